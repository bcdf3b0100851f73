"""The exported network: its inputs, its structure and its state."""

import pickle
from copy import deepcopy

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from torch_helpers import (
    deep_network,
    evaluate,
    fitted_classifier,
    normal_samples,
    train,
)

from skscn import from_torch, to_torch

torch = pytest.importorskip("torch")
nn = torch.nn

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.mark.parametrize("shape", [(4, 1), (4, 13), (12,), (2, 3, 12)])
def test_rows_of_another_width_are_refused(shape):
    network = to_torch(fitted_classifier()[0])
    with pytest.raises(ValueError, match="rows of 12 features"):
        network(torch.zeros(shape))


def test_arrays_are_refused():
    network = to_torch(fitted_classifier()[0])
    with pytest.raises(TypeError, match=r"not ndarray: use torch\.from_numpy"):
        network(normal_samples(4, 12))


def test_networks_of_other_layers_are_refused():
    model, _ = fitted_classifier()
    network = to_torch(model)
    network.append(nn.Linear(3, 3))
    with pytest.raises(
        ValueError, match=r"Step '2' was nothing .* is Linear of weight"
    ):
        from_torch(network)
    network = to_torch(model)
    network[-1] = nn.Linear(5, 7)
    with pytest.raises(
        ValueError, match=r"'logisticregression' was .*\(3, 5\).*\(7, 5"
    ):
        from_torch(network)
    network = to_torch(model)
    del network[-1]
    with pytest.raises(ValueError, match=r"'logisticregression' .* is nothing now"):
        from_torch(network)


def test_probabilities_may_be_removed():
    model, X = fitted_classifier()
    network = to_torch(model, output="probabilities")
    del network[-1]
    found = from_torch(network).decision_function(X)
    np.testing.assert_array_equal(found, model.decision_function(X))


def test_layers_of_the_same_class_and_shape_may_be_replaced():
    model, X = fitted_classifier()
    network = to_torch(model, output="probabilities", orthonormal=True)
    network[1] = nn.Linear(5, 3)
    nn.utils.parametrize.remove_parametrizations(network[0].project, "weight")
    found = from_torch(network).predict_proba(X)
    np.testing.assert_allclose(found, evaluate(network, X), atol=1e-5)


def test_weights_are_copies_and_states_load(digits, labels):
    X, y = digits[:200], labels[:200]
    model = make_pipeline(deep_network(), LogisticRegression(max_iter=50)).fit(X, y)
    before = model.decision_function(X)
    network = train(to_torch(model), X, y)
    np.testing.assert_array_equal(model.decision_function(X), before)
    other = to_torch(model)
    other.load_state_dict(network.state_dict())
    np.testing.assert_array_equal(evaluate(other, X), evaluate(network, X))
    np.testing.assert_array_equal(evaluate(deepcopy(network), X), evaluate(network, X))
    assert isinstance(network[:1], nn.Sequential)


def test_networks_are_pickled_and_states_are_loaded():
    model, X = fitted_classifier()
    network = pickle.loads(pickle.dumps(to_torch(model)))
    np.testing.assert_array_equal(evaluate(network, X), evaluate(to_torch(model), X))
    kept = to_torch(model, orthonormal=True)
    with torch.no_grad():
        kept[0].prior_bias.sub_(0.1)
    other = to_torch(model, orthonormal=True)
    other.load_state_dict(kept.state_dict())
    np.testing.assert_array_equal(evaluate(other, X), evaluate(kept, X))
