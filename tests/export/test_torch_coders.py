"""Coders of rows in torch: equal codes, finite gradients, and trained coders."""

from copy import deepcopy

import numpy as np
import pytest
from common import orthonormality_error
from export_helpers import CODERS, N_SAMPLES, relative_error
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from torch_helpers import evaluate, normal_samples, train

from skscn import NonNegativeSparseCoder, OrthogonalSparseCoder, from_torch, to_torch

torch = pytest.importorskip("torch")

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.mark.parametrize("orthonormal", [False, True])
@pytest.mark.parametrize("dtype", ["float32", torch.float64])
@pytest.mark.parametrize("coder", CODERS, ids=repr)
def test_codes_of_rows_are_equal(coder, dtype, orthonormal, digits):
    X = digits[:N_SAMPLES]
    coder = deepcopy(coder).fit(X)
    network = to_torch(coder, dtype=dtype, orthonormal=orthonormal)
    single = dtype == "float32"
    assert relative_error(evaluate(network, X), coder.transform(X)) < (
        1e-5 if single else 1e-12
    )


def test_posterior_means_and_gradients_are_finite_for_large_projections(digits):
    for coder in CODERS:
        if coder.inference != "mean":
            continue
        coder = deepcopy(coder).fit(digits)
        far = coder.mean_ + np.array([[1e4], [-1e4], [1e-9]]) * coder.components_.sum(0)
        for dtype in ("float32", "float64"):
            samples = torch.from_numpy(far).requires_grad_()
            codes = to_torch(coder, dtype=dtype)(samples)
            codes.sum().backward()
            assert relative_error(codes.detach().numpy(), coder.transform(far)) < 1e-5
            assert torch.isfinite(samples.grad).all()


@pytest.mark.parametrize("coder", CODERS, ids=repr)
def test_gradients_of_codes_equal_finite_differences(coder, digits):
    coder = deepcopy(coder).fit(digits)
    network = to_torch(coder, dtype="float64")
    samples = torch.from_numpy(digits[:3]).requires_grad_()
    assert torch.autograd.gradcheck(network, (samples,), eps=1e-6, atol=1e-5)


@pytest.mark.parametrize("inference", ["map", "mean"])
@pytest.mark.parametrize(
    "coder",
    [
        OrthogonalSparseCoder(5),
        OrthogonalSparseCoder(5, prior="spike_slab"),
        NonNegativeSparseCoder(5),
        NonNegativeSparseCoder(5, prior="spike_slab"),
    ],
    ids=repr,
)
def test_nan_features_give_nan_codes(coder, inference):
    coder = deepcopy(coder).set_params(inference=inference, alpha="auto", max_iter=5)
    X = normal_samples(60, 12)
    network = to_torch(coder.fit(X))
    X[1, 3] = np.nan
    found = evaluate(network, X)
    assert np.isnan(found[1]).all()
    assert np.isfinite(found[2:]).all()


@pytest.mark.parametrize("coder", CODERS, ids=repr)
def test_trained_coders_have_the_outputs_of_the_network(coder, digits, labels):
    X, y = digits[:300], labels[:300]
    coder = deepcopy(coder).fit(X)
    model = make_pipeline(coder, LogisticRegression(max_iter=100)).fit(X, y)
    network = train(
        to_torch(model, orthonormal=True, dtype="float64"), X, y, clamp=True
    )
    back = from_torch(network)
    assert relative_error(evaluate(network, X), back.decision_function(X)) < 1e-10
    assert orthonormality_error(back[0].components_) < 1e-10
    assert np.isfinite(back[0].score_samples(X)).all()
    assert not np.array_equal(back[0].components_, model[0].components_)
    free = train(to_torch(model, dtype="float64"), X, y, clamp=True)
    with pytest.warns(UserWarning, match="no longer orthonormal"):
        back = from_torch(free)
    assert relative_error(evaluate(free, X), back.decision_function(X)) < 1e-10
    nearest = from_torch(free, orthonormal=True)
    assert orthonormality_error(nearest[0].components_) < 1e-10
    nearest[0].partial_fit(X)


def test_negative_priors_are_clamped_or_refused(digits):
    X = digits[:300]
    coder = OrthogonalSparseCoder(8, alpha=0.01).fit(X)
    network = to_torch(coder)
    with torch.no_grad():
        network[0].prior_bias[2] = 0.5
    with pytest.raises(ValueError, match="clamp_priors_"):
        from_torch(network)
    back = from_torch(network.clamp_priors_())
    assert back.alpha_.min() == 0.0
    # A rectifier may break its prior, and does the same in scikit-learn.
    coder = NonNegativeSparseCoder(8, alpha=0.01).fit(X)
    network = to_torch(coder, dtype="float64")
    with torch.no_grad():
        network[0].prior_bias[2] = 0.5
    error = relative_error(evaluate(network, X), from_torch(network).transform(X))
    assert error < 1e-12


@pytest.mark.parametrize("orthonormal", [False, True])
def test_priors_are_restored_if_only_they_were_trained(orthonormal):
    X = normal_samples(80, 12)
    coder = NonNegativeSparseCoder(5, alpha=0.1).fit(X)
    network = to_torch(coder, orthonormal=orthonormal)
    with torch.no_grad():
        network[0].prior_bias.sub_(1.0)
    back = from_torch(network)
    np.testing.assert_allclose(back.alpha_, coder.alpha_ + 1.0, rtol=1e-6)
    assert orthonormality_error(back.components_) < 1e-5
