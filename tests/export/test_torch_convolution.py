"""Convolutions in torch: equal maps, and trained filters and atoms."""

from copy import deepcopy

import numpy as np
import pytest
from common import orthonormality_error
from export_helpers import N_SAMPLES, relative_error
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from torch_helpers import (
    CONVOLUTIONS,
    convolution,
    deep_network,
    evaluate,
    images,
    train,
)

from skscn import SpatialPool, from_torch, to_torch

torch = pytest.importorskip("torch")
contrast_conv2d = pytest.importorskip("skscn._export.torch.convolution").contrast_conv2d

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.mark.parametrize("orthonormal", [False, True])
@pytest.mark.parametrize("layer", CONVOLUTIONS, ids=repr)
def test_maps_of_convolutions_are_equal(layer, orthonormal):
    X = images()
    layer = deepcopy(layer).fit(X[:100])
    network = to_torch(layer, orthonormal=orthonormal)
    rows = X.reshape(N_SAMPLES, -1)
    assert relative_error(evaluate(network, X), layer.transform(X)) < 1e-5
    expected = layer.transform(X).reshape(N_SAMPLES, -1)
    assert relative_error(evaluate(network, rows), expected) < 1e-5
    network = to_torch(layer, orthonormal=orthonormal, dtype="float64")
    assert relative_error(evaluate(network, X), layer.transform(X)) < 1e-12


def test_free_filters_have_nearest_orthonormal_atoms(digits, labels):
    X, y = digits[:300], labels[:300]
    model = make_pipeline(deep_network(), LogisticRegression(max_iter=50)).fit(X, y)
    network = train(to_torch(model), X, y)
    back = from_torch(network, orthonormal=True)
    for name in ("conv1", "conv2"):
        for _, coder in back[0].named_layers_[name]._channel_groups:
            assert orthonormality_error(coder.components_) < 1e-10
    outputs = evaluate(network, X)
    free = from_torch(network)
    assert relative_error(outputs, free.decision_function(X)) < 1e-5
    assert relative_error(outputs, back.decision_function(X)) > 1e-5


@pytest.mark.parametrize("orthonormal", [False, True])
def test_each_of_several_dictionaries_is_trained_and_learns_on(
    orthonormal, digits, labels
):
    X, y = digits[:300].reshape(-1, 8, 8), labels[:300]
    layer = convolution(5, n_dictionaries=2, contrast=0.1, max_iter=30)
    pool = SpatialPool(grid=2, flatten=True)
    model = make_pipeline(layer, pool, LogisticRegression(max_iter=50)).fit(X, y)
    network = train(to_torch(model, orthonormal=orthonormal, dtype="float64"), X, y)
    back = from_torch(network, orthonormal=True)
    if orthonormal:
        outputs = evaluate(network, X)
        assert relative_error(outputs, back.decision_function(X)) < 1e-10
    ((_, mixture),) = back[0]._channel_groups
    assert mixture.components_.shape == (2, 5, 5)
    for atoms in mixture.components_:
        assert orthonormality_error(atoms) < 1e-10
    filters = back[0].filters_
    following = deepcopy(back[0]).partial_fit(X)
    assert 0 < relative_error(following.filters_, filters) < 1


def test_atoms_of_free_filters_are_their_pseudo_inverse(digits, labels):
    X, y = digits[:300].reshape(-1, 8, 8), labels[:300]
    layer = convolution(5, split_sign=False, alpha=0.0, padding="valid", stride=3)
    pool = SpatialPool(window=1, flatten=True)
    model = make_pipeline(layer, pool, LogisticRegression(max_iter=50)).fit(X, y)
    back = from_torch(train(to_torch(model, dtype="float64"), X, y))
    layer = back[0]
    filters = layer.filters_.reshape(5, -1)
    atoms = layer.atoms_.reshape(5, -1)
    np.testing.assert_allclose(filters @ atoms.T, np.eye(5), atol=1e-10)
    projected = filters @ layer.mean_.ravel()
    np.testing.assert_allclose(projected, -layer.bias_ - layer.alpha_, atol=1e-10)


WHITENED = [layer for layer in CONVOLUTIONS if layer.whiten is not None]


@pytest.mark.parametrize("layer", WHITENED, ids=repr)
def test_batch_norm_starts_as_the_identity(layer):
    X = images()
    layer = deepcopy(layer).fit(X)
    network = to_torch(layer, batch_norm=True, dtype="float64").eval()
    expected = layer.transform(X)
    assert relative_error(evaluate(network, X), expected) < 1e-12
    np.testing.assert_array_equal(from_torch(network).transform(X), expected)
    for dtype in ("bfloat16", "float16", "float32"):
        shorter = to_torch(layer, batch_norm=True, dtype=dtype).eval()
        found = evaluate(shorter, X, as_tensor=True).float().numpy()
        assert np.abs(found - expected).mean() < 0.01  # few codes cross a threshold
    # Projections have nearly mean zero and variance one, so that training mode is
    # nearly the identity, too, in any units of the images.
    (norm,) = (m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d))
    norm.momentum = 1.0
    evaluate(network.train(), X)
    assert 0 < abs(norm.running_mean).max() < 0.1
    assert 0 < abs(norm.running_var - 1).max() < 0.3


def test_trained_batch_norm_is_folded_into_filters_and_biases(digits, labels):
    X, y = digits[:300], labels[:300]
    model = make_pipeline(deep_network(), LogisticRegression(max_iter=50)).fit(X, y)
    network = to_torch(model, batch_norm=True, dtype="float64")
    network = train(network, X, y, clamp=True).eval()
    outputs = evaluate(network, X)
    assert relative_error(outputs, model.decision_function(X)) > 1e-2
    back = from_torch(network)
    assert relative_error(outputs, back.decision_function(X)) < 1e-10
    without = to_torch(back, dtype="float64")
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in without.modules())
    assert relative_error(outputs, evaluate(without, X)) < 1e-10
    with pytest.raises(
        ValueError, match=r"are not orthonormal .* Use batch_norm=False"
    ):
        to_torch(back, batch_norm=True)
    back[0].partial_fit(X)
    nearest = from_torch(network, orthonormal=True)
    again = evaluate(to_torch(nearest, batch_norm=True, dtype="float64").eval(), X)
    assert relative_error(again, nearest.decision_function(X)) < 1e-10


def test_batch_norm_needs_whitened_convolutions(digits):
    layer = convolution(4, whiten=None).fit(digits[:50].reshape(-1, 8, 8))
    with pytest.raises(ValueError, match="has whiten=None, and batch_norm=True"):
        to_torch(layer, batch_norm=True)


@pytest.mark.parametrize("level", [1e3, 1e5])
@pytest.mark.parametrize("depthwise", [False, True])
def test_maps_of_bright_images_in_float32_are_those_in_float64(level, depthwise):
    X = images()[:60] + level * np.linspace(-1, 1, 60)[:, None, None, None]
    X = X.astype(np.float32)
    layer = convolution(4, contrast=0.1, depthwise=depthwise).fit(X.astype(np.float64))
    expected = layer.transform(X.astype(np.float64))
    assert relative_error(evaluate(to_torch(layer), X), expected) < 1e-3


def test_products_of_trained_filters_contain_the_level_and_so_do_their_gradients():
    x = torch.from_numpy(images()[:3]).permute(0, 3, 1, 2).double() + 50
    weight = torch.randn(4, 3, 2, 2, dtype=torch.float64).requires_grad_()
    with torch.no_grad():
        weight[:2] -= weight[:2].mean(
            dim=(1, 2, 3), keepdim=True
        )  # their sums are zero
    bias = torch.zeros(4, dtype=torch.float64)
    patches = torch.nn.functional.unfold(x, 2).unflatten(2, (7, 7))
    contrast = (patches.var(dim=1, correction=0, keepdim=True) + 0.1).sqrt()
    expected = torch.nn.functional.conv2d(x, weight) / contrast
    found = contrast_conv2d(x, weight, bias, (1, 1), 1, 0.1)
    torch.testing.assert_close(found, expected)
    for loss in (found, expected):
        gradient, weight.grad = weight.grad, None
        loss.square().sum().backward()
    torch.testing.assert_close(gradient, weight.grad)
