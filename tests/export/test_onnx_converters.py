"""Coders and classifiers in ONNX Runtime have equal outputs."""

from copy import deepcopy

import numpy as np
import pytest
from export_helpers import CODERS, N_SAMPLES, relative_error
from onnx_helpers import deep_network, run
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skscn import (
    FlooredScaler,
    NonNegativeSparseCoder,
    StreamingRidgeClassifier,
    register_onnx_converters,
    to_onnx,
)

skl2onnx = pytest.importorskip("skl2onnx")

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def margins(scores):
    """Return how far the highest score is above the next, or above zero."""
    if scores.shape[1] == 1:
        return np.abs(scores[:, 0])
    second, first = np.sort(scores, axis=1)[:, -2:].T
    return first - second


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("coder", CODERS, ids=repr)
def test_codes_of_rows_are_equal(coder, dtype, digits):
    X = digits[:N_SAMPLES]
    coder = deepcopy(coder).fit(X)
    (codes,) = run(to_onnx(coder, X.astype(dtype)), X.astype(dtype))
    assert codes.dtype == dtype
    assert relative_error(codes, coder.transform(X)) < (
        1e-5 if dtype == np.float32 else 1e-12
    )


@pytest.mark.parametrize("names", [False, True])
@pytest.mark.parametrize("n_classes", [2, 10])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("Predictor", [LogisticRegression, StreamingRidgeClassifier])
def test_labels_and_scores_are_equal(
    Predictor, dtype, n_classes, names, digits, labels
):
    X, y = digits[:N_SAMPLES].astype(dtype), labels % n_classes
    y = np.array([f"class {i}" for i in y]) if names else y
    model = make_pipeline(deep_network(), FlooredScaler(), Predictor()).fit(
        X[:300], y[:300]
    )
    found, scores = run(to_onnx(model, X[:1]), X)
    if hasattr(model, "predict_proba"):
        expected = model.predict_proba(X)
    else:
        expected = model.decision_function(X).reshape(N_SAMPLES, -1)
    assert relative_error(scores, expected) < 1e-5
    clear = margins(expected) > 1e-5 * np.abs(expected).max()
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(found[clear], model.predict(X)[clear])
    assert scores.dtype == dtype


@pytest.mark.parametrize("target_opset", [15, 18, 21])
def test_older_operator_sets_give_equal_outputs(target_opset, digits, labels):
    X, y = digits[:200].astype(np.float32), labels[:200]
    model = make_pipeline(
        deep_network(), FlooredScaler(), LogisticRegression(max_iter=99)
    )
    graph = to_onnx(model.fit(X, y), X, target_opset=target_opset)
    assert relative_error(run(graph, X)[1], model.predict_proba(X)) < 1e-5


def test_converters_are_used_inside_of_other_estimators(digits, labels):
    X, y = digits[:200].astype(np.float32), labels[:200]
    model = make_pipeline(
        StandardScaler(), NonNegativeSparseCoder(9), LogisticRegression(max_iter=99)
    ).fit(X, y)
    register_onnx_converters()
    graph = skl2onnx.to_onnx(model, X[:1])  # with a list of dictionaries
    _, probabilities = run(graph, X)
    expected = model.predict_proba(X)
    found = np.array([[row[k] for k in model.classes_] for row in probabilities])
    assert relative_error(found, expected) < 1e-5
