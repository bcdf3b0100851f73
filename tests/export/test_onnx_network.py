"""Layers of images and networks in ONNX Runtime have equal outputs."""

from copy import deepcopy

import numpy as np
import pytest
from export_helpers import N_SAMPLES, relative_error
from onnx_helpers import deep_network, run

from skscn import (
    ConvSparseCoder,
    SparseCodingNetwork,
    SpatialPool,
    make_sparse_coding_network,
    to_onnx,
)

skl2onnx = pytest.importorskip("skl2onnx")

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

LAYERS = [
    *(
        ConvSparseCoder(4, kernel_size=3, max_iter=5, random_state=0, **options)
        for options in (
            {},
            {"contrast": 0.1},
            {"contrast": 0.1, "depthwise": True, "padding": "valid"},
            {"contrast": 0.1, "depthwise": True, "n_dictionaries": 2},
            {"stride": (2, 3), "padding": (1, 2), "split_sign": False},
            {"depthwise": True, "alpha": np.linspace(0.2, 1.0, 4)},
            {"center_patches": False, "whiten": None, "alpha": 2.0},
        )
    ),
    *(
        SpatialPool(mode, **options)
        for mode in ("average", "max", "sum")
        for options in (
            {"window": (3, 2), "stride": (1, 2)},
            {"grid": (4, 3), "power": 0.5},
            {"grid": 2, "power": 2.0, "flatten": True},
        )
    ),
    SpatialPool("gaussian", grid=3, power=0.5),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_maps_are_equal(layer, dtype):
    X = 2 + np.random.default_rng(0).normal(size=(N_SAMPLES, 7, 8, 3))
    X = X.astype(dtype)
    layer = deepcopy(layer).fit(X[:100])
    expected = layer.transform(X)
    (maps,) = run(to_onnx(layer, X), X)
    assert maps.dtype == dtype
    assert relative_error(maps, expected) < 1e-5
    rows = X.reshape(N_SAMPLES, -1)
    error = relative_error(
        run(to_onnx(layer, rows), rows)[0], expected.reshape(N_SAMPLES, -1)
    )
    assert error < 1e-5


@pytest.mark.parametrize("outputs", ["last", "pools"])
@pytest.mark.parametrize("arrangement", ["stack", "parallel"])
def test_networks_are_equal(outputs, arrangement, digits):
    X = digits[:N_SAMPLES].astype(np.float32)
    layer = deep_network(outputs, arrangement).fit(X[:200])
    assert relative_error(run(to_onnx(layer, X), X)[0], layer.transform(X)) < 1e-5
    bytes_ = X.reshape(-1, 8, 8).astype(np.uint8)
    error = relative_error(
        run(to_onnx(layer, bytes_), bytes_)[0], layer.transform(bytes_)
    )
    assert error < 1e-5


@pytest.mark.parametrize("name", ["digits", "natural", "signals"])
def test_preset_networks_are_equal(name, digits, labels):
    X, y = digits[:80].astype(np.float32), labels[:80]
    if name == "natural":
        X = X.reshape(-1, 8, 8, 1).repeat(2, axis=1).repeat(2, axis=2).repeat(3, axis=3)
    shape = (8, 8) if name == "digits" else None
    model = make_sparse_coding_network(name, image_shape=shape, random_state=0)
    for key in model.get_params():
        if key.endswith("max_iter") and key.startswith("network"):
            model.set_params(**{key: 2})
    model.fit(X, y)
    found, probabilities = run(to_onnx(model, X[:1]), X)
    np.testing.assert_array_equal(found, model.predict(X))
    assert relative_error(probabilities, model.predict_proba(X)) < 1e-5


@pytest.mark.parametrize("depthwise", [False, True])
def test_maps_of_bright_images_in_float32_are_those_in_float64(depthwise):
    rng = np.random.default_rng(0)
    levels = 1e4 * rng.uniform(-1, 1, size=(60, 1, 1, 1))
    X = (rng.normal(size=(60, 8, 9, 3)) + levels).astype(np.float32)
    layer = ConvSparseCoder(
        4, kernel_size=(3, 4), contrast=0.1, depthwise=depthwise, random_state=0
    ).fit(X.astype(np.float64))
    expected = layer.transform(X.astype(np.float64))
    assert relative_error(run(to_onnx(layer, X[:2]), X)[0], expected) < 1e-3


def test_parameters_that_are_set_after_fit_change_no_exported_maps():
    X = np.random.default_rng(0).normal(size=(50, 8, 8, 1)).astype(np.float32)
    layers = [("a", SpatialPool("max")), ("b", SpatialPool(power=0.5))]
    network = SparseCodingNetwork(layers, outputs="pools").fit(X)
    expected = network.transform(X)
    network.set_params(arrangement="parallel", outputs="last", a__mode="sum")
    network.named_layers_.b.set_params(power=2.0, flatten=True)
    assert relative_error(run(to_onnx(network, X[:2]), X)[0], expected) < 1e-5
