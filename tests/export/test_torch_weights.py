"""Weights of exported networks: dtypes, layout, and values that are refused."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch_helpers import (
    PREDICTORS,
    evaluate,
    fitted_classifier,
    fitted_network,
    normal_samples,
    perceptron,
)

from skscn import NonNegativeSparseCoder, from_torch, to_torch

torch = pytest.importorskip("torch")
nn = torch.nn

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_weights_that_are_not_finite_are_refused(value):
    network = to_torch(fitted_classifier()[0])
    module = perceptron(6, 5, 3)
    with torch.no_grad():
        network[1].weight[0, 0] = value
        module[2].bias[1] = value
    message = "1 of 15 numbers in the weight of step 'logisticregression' are NaN"
    with pytest.raises(ValueError, match=message):
        from_torch(network)
    message = "1 of 3 numbers in the bias of step '2' .* training diverged"
    with pytest.raises(ValueError, match=message):
        from_torch(module)


def test_weights_without_values_are_refused():
    network = to_torch(fitted_classifier()[0])
    for wrong in (network.to("meta"), perceptron(6, 5, 3).to("meta")):
        with pytest.raises(ValueError, match="no values: it is on the meta device"):
            from_torch(wrong)
    with pytest.raises(ValueError, match=r"0 LazyLinear is lazy.* Run the module once"):
        from_torch(nn.Sequential(nn.LazyLinear(3)))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_untrained_networks_of_every_dtype_become_the_exported_model(dtype):
    model, X = fitted_classifier()
    perceptron = MLPClassifier((5,), max_iter=5, random_state=0)
    pairs = [
        (model, X),
        (make_pipeline(PCA(4), perceptron).fit(X, np.arange(60) % 3), X),
        (fitted_network(), normal_samples(60, 8, 8)),
    ]
    for model, X in pairs:
        network = to_torch(model, dtype=dtype)
        assert evaluate(network, X, as_tensor=True).dtype == getattr(torch, dtype)
        restored, method = from_torch(network), "predict_proba"
        method = method if hasattr(model, method) else "transform"
        np.testing.assert_array_equal(
            getattr(restored, method)(X), getattr(model, method)(X)
        )


def test_weights_trained_in_half_precision_are_read():
    model, X = fitted_classifier()
    network = to_torch(model, dtype="bfloat16")
    with torch.no_grad():
        network[1].weight.mul_(2)
        network[1].bias.mul_(2)
    np.testing.assert_allclose(
        from_torch(network).decision_function(X),
        2 * model.decision_function(X),
        atol=0.05,
    )


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_orthonormal_atoms_need_single_precision(dtype):
    with pytest.raises(ValueError, match="orthonormal=True needs dtype='float32' or"):
        to_torch(fitted_classifier()[0], dtype=dtype, orthonormal=True)


def test_all_weights_are_contiguous():
    X, y = normal_samples(60, 12), np.arange(60) % 3
    models = [
        make_pipeline(PCA(4, whiten=True), predictor).fit(X, y)
        for predictor in PREDICTORS
    ]
    models += [fitted_network(3), fitted_classifier()[0]]
    for model in models:
        for orthonormal in (False, True):
            network = to_torch(model, orthonormal=orthonormal)
            assert all(each.is_contiguous() for each in network.parameters())
            torch.optim.LBFGS(network.parameters()).zero_grad()
            nn.utils.parameters_to_vector(network.parameters())


@pytest.mark.parametrize("scale", [False, True])
def test_a_classifier_may_be_a_pipeline(scale):
    X, y = normal_samples(60, 12).astype(np.float64), np.arange(60) % 3
    steps = [StandardScaler()] if scale else []
    classifier = make_pipeline(*steps, LogisticRegression())
    model = make_pipeline(NonNegativeSparseCoder(5), classifier).fit(X, y)
    features = model[0].transform(X)
    expected = {
        "features": classifier[0].transform(features) if scale else features,
        "probabilities": model.predict_proba(X),
        "logits": model.decision_function(X),
    }
    for output, values in expected.items():
        network = to_torch(model, output=output, dtype="float64")
        np.testing.assert_allclose(evaluate(network, X), values, atol=1e-12)
        found = from_torch(network).predict_proba(X)
        np.testing.assert_array_equal(found, model.predict_proba(X))
