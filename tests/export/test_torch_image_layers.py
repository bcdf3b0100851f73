"""Networks of layers of images in torch: equal maps, gradients and shapes."""

from copy import deepcopy

import numpy as np
import pytest
from export_helpers import N_SAMPLES, relative_error
from torch_helpers import (
    CONVOLUTIONS,
    NETWORKS,
    POOLS,
    evaluate,
    fitted_network,
    images,
    normal_samples,
)

from skscn import make_sparse_coding_network, to_torch

torch = pytest.importorskip("torch")

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.mark.parametrize("layer", NETWORKS, ids=lambda layer: str(id(layer)))
def test_networks_are_equal(layer, digits):
    X = digits[:N_SAMPLES]
    layer = deepcopy(layer).fit(X[:200])
    error = relative_error(
        evaluate(to_torch(layer, dtype="float64"), X), layer.transform(X)
    )
    assert error < 1e-12
    pooled = X.reshape(-1, 8, 8)
    error = relative_error(evaluate(to_torch(layer), pooled), layer.transform(pooled))
    assert error < 1e-4


@pytest.mark.parametrize("name", ["digits", "natural", "signals"])
def test_preset_networks_are_equal(name, digits, labels):
    X, y = digits[:80], labels[:80]
    shape = None if name == "signals" else (8, 8)
    if name == "natural":
        X = images()[:80].repeat(2, axis=1).repeat(2, axis=2)
        shape = None
    model = make_sparse_coding_network(name, image_shape=shape, random_state=0)
    for key in model.get_params():
        if key.endswith("max_iter") and key.startswith("network"):
            model.set_params(**{key: 2})
    model.fit(X, y)
    error = relative_error(evaluate(to_torch(model), X), model.decision_function(X))
    assert error < 1e-5


@pytest.mark.parametrize("layer", [*CONVOLUTIONS, *POOLS[::2], *NETWORKS])
def test_gradients_of_maps_equal_finite_differences(layer):
    X = np.random.default_rng(0).normal(size=(60, 8, 8, 1))
    network = to_torch(deepcopy(layer).fit(X), dtype="float64")
    samples = torch.from_numpy(X[:1]).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda samples: network(samples).flatten(1)[:, ::17],
        (samples,),
        eps=1e-7,
        atol=1e-5,
    )


@pytest.mark.parametrize("layer", [*CONVOLUTIONS, *POOLS, *NETWORKS])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_are_finite_at_flat_patches(layer, dtype, digits):
    X = images()[:50]
    if layer.image_shape is not None:
        X = digits[:200].reshape(-1, 8, 8, 1)
    network = to_torch(deepcopy(layer).fit(X), dtype=dtype)
    flat = np.zeros_like(X[:4])
    flat[1] = 3.0
    flat[2, :4] = 1e-30
    flat[3] = X[0]
    flat = torch.from_numpy(flat).requires_grad_()
    network(flat).square().sum().backward()
    assert torch.isfinite(flat.grad).all()
    assert flat.grad[3].abs().max() > 0
    for parameter in network.parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_not_finite_give_nan(value):
    network, X = to_torch(fitted_network()), normal_samples(3, 64)
    X[1, 9] = value
    found = evaluate(network, X)
    assert np.isnan(found[1]).any()
    assert np.isfinite(found[[0, 2]]).all()


@pytest.mark.parametrize("shape", [(128,), (8,), (3, 8, 8), (8, 8), (4, 4, 12), ()])
def test_images_of_other_shapes_are_refused(shape):
    network = to_torch(fitted_network(channels=3))
    with pytest.raises(ValueError, match="channels last"):
        network(torch.zeros(5, *shape))
    for good in ((8, 8, 3), (192,)):
        assert len(network(torch.zeros(5, *good))) == 5
        assert len(network(torch.zeros(0, *good))) == 0


def test_images_of_one_channel_have_several_shapes():
    network, X = to_torch(fitted_network()), normal_samples(5, 64)
    expected = evaluate(network, X)
    for shape in ((8, 8), (8, 8, 1), (1, 8, 8)):
        found = evaluate(network, X.reshape(5, *shape))
        np.testing.assert_array_equal(found.reshape(expected.shape), expected)
    with pytest.raises(ValueError, match=r"\(n, 64\).*not \(n, 128\)"):
        network(torch.zeros(5, 128))


def test_networks_are_exported_by_torch_with_any_number_of_samples():
    network, X = to_torch(fitted_network()).eval(), normal_samples(5, 64)
    batch = {0: torch.export.Dim("batch", min=2, max=1000)}
    program = torch.export.export(
        network, (torch.from_numpy(X),), dynamic_shapes={"x": batch}
    )
    more = normal_samples(9, 64)
    found = evaluate(program.module(), more)
    np.testing.assert_allclose(found, evaluate(network, more), atol=1e-6)
