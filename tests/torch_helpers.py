"""Layers, networks and classifiers for tests of exports to torch."""

from itertools import pairwise

import numpy as np
import pytest
from export_helpers import N_SAMPLES
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from skscn import (
    ConvSparseCoder,
    NonNegativeSparseCoder,
    SparseCodingNetwork,
    SpatialPool,
    StreamingRidgeClassifier,
)

torch = pytest.importorskip("torch")
nn = torch.nn

CONVOLUTIONS = [
    ConvSparseCoder(4, kernel_size=3, max_iter=5, random_state=0, **options)
    for options in (
        {},
        {"contrast": 0.1},
        {"contrast": 0.1, "depthwise": True, "padding": "valid"},
        {"contrast": 0.1, "depthwise": True, "n_dictionaries": 2},
        {"stride": (2, 3), "padding": (1, 2), "split_sign": False},
        {"prior": "spike_slab", "alpha": np.linspace(0.2, 1.0, 4)},
        {"center_patches": False, "whiten": None, "alpha": 2.0},
    )
]
POOLS = [
    SpatialPool(mode, **options)
    for mode in ("average", "max", "sum")
    for options in (
        {"window": (3, 2), "stride": (1, 2)},
        {"grid": (4, 2), "power": 0.5},
        {"grid": 2, "power": 2.0, "flatten": True},
    )
] + [SpatialPool("gaussian", grid=3, power=0.5), SpatialPool("max", grid=5)]


def convolution(n_components, **options):
    options = {"kernel_size": 3, "max_iter": 3, "random_state": 0, **options}
    return ConvSparseCoder(n_components, **options)


def deep_network(**options):
    layers = [
        ("conv1", convolution(5, contrast=0.1)),
        ("pool1", SpatialPool("max")),
        ("conv2", convolution(6, depthwise=True)),
        ("pool2", SpatialPool("gaussian", grid=2, power=0.5)),
    ]
    return SparseCodingNetwork(layers, image_shape=(8, 8), **options)


def parallel_network(*pools):
    layers = [
        (
            f"branch{i}",
            SparseCodingNetwork([("conv", convolution(3 + i)), ("pool", pool)]),
        )
        for i, pool in enumerate(pools)
    ]
    return SparseCodingNetwork(layers, arrangement="parallel", image_shape=(8, 8))


def network_on_parallel_maps():
    parallel = parallel_network(SpatialPool("max"), SpatialPool("average"))
    parallel.set_params(image_shape=None)
    return SparseCodingNetwork(
        [("parallel", parallel), ("conv", convolution(4))], image_shape=(8, 8)
    )


NETWORKS = [
    deep_network(),
    deep_network(outputs="pools"),
    parallel_network(SpatialPool("max"), SpatialPool("sum")),
    parallel_network(SpatialPool(grid=3), SpatialPool("max", grid=2)),
    network_on_parallel_maps(),
]
PREDICTORS = [
    LogisticRegression(max_iter=200),
    StreamingRidgeClassifier(),
    RidgeClassifier(),
    LinearSVC(),
    MLPClassifier((8,), max_iter=5, random_state=0),
]


def images(seed=0):
    rng = np.random.default_rng(seed)
    return 2 + rng.normal(size=(N_SAMPLES, 8, 8, 3))


def evaluate(network, X, *, as_tensor=False):
    with torch.no_grad():
        outputs = network(torch.from_numpy(X))
    return outputs if as_tensor else outputs.numpy()


def train(network, X, y, n_steps=5, rate=0.05, clamp=False):
    """Return a network after some steps of a quick descent."""
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    X, y = torch.from_numpy(X), torch.from_numpy(y)
    for _ in range(n_steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(X), y).backward()
        optimizer.step()
        if clamp:
            network.clamp_priors_()
    return network


def fitted_network(channels=1):
    parts = [
        ("conv", ConvSparseCoder(4, kernel_size=3, contrast=0.1, max_iter=2)),
        ("pool", SpatialPool(grid=2, power=0.5)),
    ]
    X = np.random.default_rng(0).normal(size=(60, 8, 8, channels))
    return SparseCodingNetwork(parts, image_shape=(8, 8, channels)).fit(X)


def fitted_classifier(seed=0):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(60, 12)), np.arange(60) % 3
    return make_pipeline(NonNegativeSparseCoder(5), LogisticRegression()).fit(X, y), X


def perceptron(*sizes, seed=0):
    torch.manual_seed(seed)
    parts = [nn.Linear(*pair) for pair in pairwise(sizes)]
    return nn.Sequential(parts[0], nn.ReLU(), *parts[1:])


def normal_samples(*shape):
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)
