"""Preprocessing of scikit-learn in torch."""

import pytest
from export_helpers import N_SAMPLES, relative_error
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    StandardScaler,
)
from torch_helpers import evaluate

from skscn import NonNegativeSparseCoder, to_torch

torch = pytest.importorskip("torch")

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def test_steps_of_scikit_learn_are_equal(digits, labels):
    X, y = digits[:N_SAMPLES], labels
    union = FeatureUnion(
        [
            ("codes", NonNegativeSparseCoder(5)),
            ("a.b", make_pipeline(MaxAbsScaler(), "passthrough", PCA(6, whiten=True))),
        ]
    )
    for norm in ("l1", "l2", "max"):
        model = Pipeline(
            [
                ("train", StandardScaler()),  # a name that modules have for themselves
                ("union", union),
                ("nothing", FunctionTransformer()),
                ("range", MinMaxScaler((-1, 2))),
                ("norm", Normalizer(norm)),
                ("ridge", Ridge()),
            ]
        ).fit(X, y.astype(float))
        assert relative_error(evaluate(to_torch(model), X), model.predict(X)) < 1e-5
