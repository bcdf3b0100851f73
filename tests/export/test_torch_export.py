"""Models are exported to torch, trained, and restored."""

import warnings
from copy import deepcopy

import numpy as np
import pytest
from common import orthonormality_error
from export_helpers import CODERS, N_SAMPLES, relative_error
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures
from torch_helpers import (
    PREDICTORS,
    deep_network,
    evaluate,
    fitted_classifier,
    fitted_network,
    normal_samples,
    train,
)

from skscn import (
    FlooredScaler,
    NonNegativeSparseCoder,
    OrthogonalSparseCoder,
    from_torch,
    make_sparse_coding_network,
    to_torch,
)

torch = pytest.importorskip("torch")
nn = torch.nn

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.mark.parametrize("orthonormal", [False, True])
def test_untrained_networks_return_the_exported_model(orthonormal, digits, labels):
    X, y = digits[:N_SAMPLES], labels
    model = make_pipeline(
        deep_network(), FlooredScaler(), LogisticRegression(max_iter=99)
    )
    model.fit(X[:200], y[:200])
    back = from_torch(to_torch(model, orthonormal=orthonormal))
    tolerance = 1e-5 if orthonormal else 0.0
    error = relative_error(back.decision_function(X), model.decision_function(X))
    assert error <= tolerance
    for coder in CODERS[::5]:
        coder = deepcopy(coder).fit(X)
        back = from_torch(to_torch(coder, orthonormal=orthonormal))
        assert relative_error(back.transform(X), coder.transform(X)) <= tolerance


@pytest.mark.parametrize("orthonormal", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_untrained_networks_return_the_same_bits(orthonormal, dtype):
    X = normal_samples(80, 64)
    coder = NonNegativeSparseCoder(7).fit(X)
    for nearest in (False, True):
        back = from_torch(
            to_torch(coder, orthonormal=orthonormal, dtype=dtype), orthonormal=nearest
        )
        np.testing.assert_array_equal(back.components_, coder.components_)
        np.testing.assert_array_equal(back.transform(X), coder.transform(X))
        was_known = coder._online_state.estimate is not None
        assert back._online_state.estimate is not None or not was_known
    network = fitted_network()
    back = from_torch(to_torch(network, orthonormal=orthonormal, dtype=dtype))
    np.testing.assert_array_equal(back.transform(X), network.transform(X))
    more = normal_samples(30, 64)
    np.testing.assert_array_equal(
        back.partial_fit(more).transform(X),
        deepcopy(network).partial_fit(more).transform(X),
    )


@pytest.mark.parametrize("orthonormal", [False, True])
@pytest.mark.parametrize(
    "predictor", PREDICTORS, ids=lambda predictor: type(predictor).__name__
)
def test_trained_networks_return_models_with_their_outputs(
    orthonormal, predictor, digits, labels
):
    X, y = digits[:300], labels[:300]
    model = make_pipeline(deep_network(), FlooredScaler(), deepcopy(predictor)).fit(
        X, y
    )
    before = model.predict(X)
    network = to_torch(model, orthonormal=orthonormal, dtype="float64")
    network = train(network, X, y, clamp=True)
    back = from_torch(network)
    if hasattr(back, "decision_function"):
        assert relative_error(evaluate(network, X), back.decision_function(X)) < 1e-10
    assert relative_error(evaluate(network[:-1], X), back[:-1].transform(X)) < 1e-10
    assert not np.allclose(back[0].transform(X), model[0].transform(X))
    np.testing.assert_array_equal(model.predict(X), before)  # never in place
    layer = back[0].named_layers_.conv1
    if orthonormal:
        ((_, coder),) = layer._channel_groups
        assert orthonormality_error(coder.components_) < 1e-10
    assert np.isfinite(back[0].reconstruct(X)).all()
    back[0].partial_fit(X)


def test_atoms_that_are_not_orthonormal_cannot_be_kept_orthonormal(digits, labels):
    X, y = digits[:300], labels[:300]
    predictor = LogisticRegression(max_iter=50)
    for coder in (NonNegativeSparseCoder(9), deep_network()):
        model = make_pipeline(deepcopy(coder), predictor).fit(X, y)
        network = train(to_torch(model), X, y)
        nearest = from_torch(network, orthonormal=True)
        to_torch(nearest, orthonormal=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loose = from_torch(network)
        error = relative_error(evaluate(to_torch(loose), X), loose.decision_function(X))
        assert error < 1e-5
        with pytest.raises(ValueError, match="are not orthonormal"):
            to_torch(loose, orthonormal=True)


def test_everything_that_was_learned_gets_a_gradient(digits, labels):
    X, y = digits[:200], labels[:200]
    model = make_sparse_coding_network(deep_network(), image_shape=(8, 8)).fit(X, y)
    for orthonormal in (False, True):
        network = to_torch(model, orthonormal=orthonormal)
        loss = nn.functional.cross_entropy(
            network(torch.from_numpy(X)), torch.from_numpy(y)
        )
        loss.backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad.abs().max() > 0, name


def test_training_lowers_the_loss_and_keeps_atoms_orthonormal(digits, labels):
    X, y = digits[:300] / 16, labels[:300]
    model = make_pipeline(
        NonNegativeSparseCoder(20, alpha=0.1), LogisticRegression()
    ).fit(X, y)
    network = to_torch(model, orthonormal=True)

    def loss():
        scores = network(torch.from_numpy(X))
        return nn.functional.cross_entropy(scores, torch.from_numpy(y)).item()

    before = loss()
    train(network, X, y, n_steps=20, rate=0.01, clamp=True)
    assert loss() < before
    atoms = network[0].project.weight.detach().numpy()
    assert orthonormality_error(atoms) < 1e-4
    assert network[0].prior_bias.max().item() <= 0


def test_a_step_along_the_gradient_is_an_adversarial_attack(digits, labels):
    X, y = digits[:300], labels[:300]
    model = make_sparse_coding_network(deep_network(), image_shape=(8, 8)).fit(X, y)
    network = to_torch(model)
    samples = torch.from_numpy(X).requires_grad_()
    scores = network(samples)
    nn.functional.cross_entropy(scores, torch.from_numpy(y)).backward()
    step = samples.grad.sign().numpy()
    attacked = model.score(X + 2.0 * step, y)
    noisy = model.score(X + 2.0 * np.random.default_rng(0).choice([-1, 1], X.shape), y)
    assert attacked < noisy - 0.2


def test_torch_keeps_its_random_state(digits, labels):
    model = make_pipeline(deep_network(), LogisticRegression(max_iter=50))
    model.fit(digits[:200], labels[:200])
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    to_torch(model), to_torch(model, orthonormal=True)
    assert torch.equal(torch.rand(3), expected)


def test_the_best_estimator_of_a_search_is_exported():
    model, X = fitted_classifier()
    search = GridSearchCV(model, {"logisticregression__C": [0.1, 1.0]}, cv=2)
    search.fit(X, np.arange(60) % 3)
    network = to_torch(search)
    np.testing.assert_allclose(
        evaluate(network, X), search.decision_function(X), atol=1e-5
    )


@pytest.mark.parametrize("dtype", ["flot", "int64", torch.int32, None.__class__])
def test_dtypes_are_floats(dtype):
    with pytest.raises(ValueError, match=r"dtype=.* must be a floating-point dtype of"):
        to_torch(fitted_classifier()[0], dtype=dtype)


def test_errors_name_the_remedy(digits, labels):
    X, y = digits[:200], labels[:200]
    model = make_pipeline(PolynomialFeatures(1), LogisticRegression(max_iter=50))
    with pytest.raises(
        TypeError, match=r"'polynomialfeatures' is .* There are modules"
    ):
        to_torch(model.fit(X, y))
    model = make_pipeline(FunctionTransformer(np.sqrt), LogisticRegression(max_iter=50))
    with pytest.raises(TypeError, match="func=None only"):
        to_torch(model.fit(X, y))
    coder = OrthogonalSparseCoder(3)
    with pytest.raises(NotFittedError):
        to_torch(coder)
    with pytest.raises(ValueError, match="must be one of"):
        to_torch(coder.fit(X), output="labels")
    with pytest.raises(ValueError, match="batch_norm=True normalizes convolutions"):
        to_torch(coder, batch_norm=True)
    with pytest.raises(ValueError, match="exclude each other"):
        to_torch(coder, orthonormal=True, batch_norm=True)
    with pytest.raises(ValueError, match="has no probabilities"):
        to_torch(coder, output="probabilities")
    perceptron = MLPClassifier((3,), max_iter=1).fit(X, np.eye(10, dtype=int)[y])
    with pytest.raises(TypeError, match="several labels of a sample"):
        to_torch(perceptron)
    with pytest.raises(TypeError, match="from_torch takes what to_torch returned"):
        from_torch(nn.Linear(3, 2))
    with pytest.raises(TypeError, match=r"its part '1' is Conv2d"):
        from_torch(nn.Sequential(nn.Linear(3, 2), nn.Conv2d(1, 1, 1)))
    with pytest.raises(TypeError, match="its activations"):
        from_torch(nn.Sequential(nn.Linear(3, 2), nn.ReLU()))
    with pytest.raises(ValueError, match=r"3 outputs, but there are 2 classes"):
        from_torch(nn.Sequential(nn.Linear(3, 3)), classes=[0, 1])
    with warnings.catch_warnings(), pytest.raises(TypeError):
        from_torch(to_torch(coder)[:0])
    with pytest.raises(ValueError, match="keeps the labels of its model"):
        from_torch(to_torch(coder), classes=["no", "yes"])
