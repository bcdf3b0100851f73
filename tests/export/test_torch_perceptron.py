"""Multi-layer perceptrons in torch, and ReLU networks of torch in scikit-learn."""

import numpy as np
import pytest
from export_helpers import N_SAMPLES, relative_error
from sklearn.neural_network import MLPClassifier, MLPRegressor
from torch_helpers import evaluate, normal_samples, perceptron

from skscn import from_torch, interpret_network, to_onnx, to_torch

torch = pytest.importorskip("torch")
nn = torch.nn

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic"])
def test_perceptrons_are_equal_in_torch_and_after_it(activation, digits, labels):
    X, y = digits[:N_SAMPLES], labels
    options = {"activation": activation, "max_iter": 3, "random_state": 0}
    for targets in (y, y > 4):
        model = MLPClassifier((20, 9), **options).fit(X, targets)
        network = to_torch(model, output="probabilities")
        assert relative_error(evaluate(network, X), model.predict_proba(X)) < 1e-5
        scores = to_torch(model)
        plain = nn.Sequential(*scores[0])
        back = from_torch(plain, classes=np.unique(targets))
        assert relative_error(back.predict_proba(X), model.predict_proba(X)) < 1e-6
        error = relative_error(
            from_torch(scores).predict_proba(X), model.predict_proba(X)
        )
        assert error < 1e-12
    model = MLPRegressor(hidden_layer_sizes=(20,), **options).fit(
        X, np.column_stack([y, -y])
    )
    plain = nn.Sequential(*to_torch(model)[0])
    assert relative_error(from_torch(plain).predict(X), model.predict(X)) < 1e-5


def test_a_poisson_regression_predicts_the_exponential_of_its_scores():
    X = normal_samples(200, 6).astype(np.float64)
    y = np.random.default_rng(0).poisson(np.exp(X[:, 0]))
    model = MLPRegressor("poisson", (5,), max_iter=9, random_state=0).fit(X, y)
    network = to_torch(model, dtype="float64")
    np.testing.assert_allclose(evaluate(network, X), model.predict(X), rtol=1e-12)
    np.testing.assert_array_equal(from_torch(network).predict(X), model.predict(X))
    np.testing.assert_allclose(
        interpret_network(model, X).predict(X), model.predict(X), rtol=1e-12
    )
    pytest.importorskip("skl2onnx")
    with pytest.raises(TypeError, match="skl2onnx has no exponential output"):
        to_onnx(model, X)


def test_two_scores_become_their_difference():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    X = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    expected = torch.softmax(module(torch.from_numpy(X)), 1).detach().numpy()
    found = from_torch(module, classes=["no", "yes"])
    assert relative_error(found.predict_proba(X), expected) < 1e-6
    assert set(found.predict(X)) <= {"no", "yes"}


def test_layers_may_be_used_twice():
    X = normal_samples(20, 6)
    relu, square = nn.ReLU(), nn.Linear(6, 6)
    module = nn.Sequential(square, relu, square, relu, nn.Linear(6, 3))
    labels = evaluate(module, X).argmax(axis=1)
    np.testing.assert_array_equal(
        from_torch(module, classes=range(3)).predict(X), labels
    )


@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize("classes", [[0, 1], [1, 0], ["b", "a"]])
def test_two_classes_keep_their_outputs(classes, n_outputs):
    X, module = normal_samples(50, 6), perceptron(6, 5, n_outputs)
    scores = evaluate(module, X)
    if n_outputs == 1:
        scores = np.hstack([0 * scores, scores])
    expected = np.array(classes)[scores.argmax(axis=1)]
    assert len(set(expected)) == 2
    np.testing.assert_array_equal(
        from_torch(module, classes=classes).predict(X), expected
    )


def test_unsorted_classes_keep_their_outputs():
    X, module, classes = (
        normal_samples(50, 6),
        perceptron(6, 5, 4),
        ["d", "a", "c", "b"],
    )
    expected = np.array(classes)[evaluate(module, X).argmax(axis=1)]
    np.testing.assert_array_equal(
        from_torch(module, classes=classes).predict(X), expected
    )
    with pytest.raises(ValueError, match="duplicate classes"):
        from_torch(module, classes=["d", "a", "c", "d"])


@pytest.mark.parametrize("last", [nn.Softmax(dim=1), nn.Softmax(-1), nn.Sigmoid()])
def test_a_last_layer_of_probabilities_is_allowed_with_classes(last):
    X, single = normal_samples(30, 6), isinstance(last, nn.Sigmoid)
    module = nn.Sequential(*perceptron(6, 5, 1 if single else 3), last)
    found = from_torch(module, classes=range(2 if single else 3)).predict_proba(X)
    found = found[:, 1:] if single else found
    np.testing.assert_allclose(found, evaluate(module, X), atol=1e-6)
    with pytest.raises(TypeError, match="from_torch takes"):
        from_torch(module)
