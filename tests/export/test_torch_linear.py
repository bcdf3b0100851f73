"""Linear models and probabilities in torch."""

import pickle
from copy import deepcopy

import numpy as np
import pytest
from export_helpers import N_SAMPLES, relative_error
from sklearn.pipeline import make_pipeline
from torch_helpers import PREDICTORS, deep_network, evaluate, train

from skscn import FlooredScaler, StreamingRidgeClassifier, from_torch, to_torch

torch = pytest.importorskip("torch")

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.mark.parametrize("n_classes", [2, 10])
@pytest.mark.parametrize(
    "predictor", PREDICTORS, ids=lambda predictor: type(predictor).__name__
)
def test_decisions_and_probabilities_are_equal(predictor, n_classes, digits, labels):
    X, y = digits[:N_SAMPLES], labels % n_classes
    model = make_pipeline(deep_network(), FlooredScaler(), deepcopy(predictor)).fit(
        X[:300], y[:300]
    )
    if hasattr(model, "decision_function"):
        error = relative_error(evaluate(to_torch(model), X), model.decision_function(X))
        assert error < 1e-5
    if hasattr(model, "predict_proba"):
        network = to_torch(model, output="probabilities")
        assert relative_error(evaluate(network, X), model.predict_proba(X)) < 1e-5
    else:
        with pytest.raises(ValueError, match="no probabilities"):
            to_torch(model, output="probabilities")
    features = to_torch(model, output="features", dtype="float64")
    assert relative_error(evaluate(features, X), model[:-1].transform(X)) < 1e-12


def test_a_trained_ridge_classifier_solves_its_equations_again_in_partial_fit(
    digits, labels
):
    X, y = digits[:300], labels[:300]
    model = make_pipeline(FlooredScaler(), StreamingRidgeClassifier()).fit(X, y)
    Z, former = model[0].transform(X), model[1].coef_.copy()
    classifier = from_torch(train(to_torch(model), X, y))[1]
    assert not np.allclose(classifier.coef_, former)
    loaded = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(loaded.coef_, classifier.coef_)
    found, expected = classifier.partial_fit(Z, y), deepcopy(model[1]).partial_fit(Z, y)
    np.testing.assert_array_equal(found.coef_, expected.coef_)
