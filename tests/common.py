"""Helpers of all tests: estimators, orthonormal atoms and data of known atoms."""

import inspect

import numpy as np
from sklearn.base import BaseEstimator

import skscn

ESTIMATORS = [
    member
    for name in skscn.__all__
    if inspect.isclass(member := getattr(skscn, name))
    and issubclass(member, BaseEstimator)
]


def make_estimator(Estimator):
    """Return an estimator with its defaults.

    A network has a convolution and a pool.
    """
    if Estimator is skscn.SparseCodingNetwork:
        layers = [
            ("conv", skscn.ConvSparseCoder(kernel_size=3)),
            ("pool", skscn.SpatialPool(grid=2)),
        ]
        return Estimator(layers)
    return Estimator()


def random_orthonormal(n_components, n_features, seed=0):
    """Return an array of shape (n_components, n_features) with orthonormal rows."""
    normal = np.random.default_rng(seed).normal(size=(n_features, n_components))
    return np.linalg.qr(normal)[0].T


def make_planted_data(
    n_samples, *, density, noise, seed, n_components=64, n_features=64
):
    """Return noisy samples with sparse Laplace codes, and the orthonormal atoms.

    A coefficient is not zero with probability `density`.
    """
    rng = np.random.default_rng(seed)
    atoms = random_orthonormal(n_components, n_features, seed)
    codes = rng.laplace(size=(n_samples, n_components))
    codes *= rng.random(codes.shape) < density
    return codes @ atoms + noise * rng.normal(size=(n_samples, n_features)), atoms


def recovered_fraction(components, atoms):
    """Return the fraction of atoms whose best cosine with a component exceeds 0.99."""
    return np.mean(np.abs(components @ atoms.T).max(axis=0) > 0.99)


def orthonormality_error(components):
    """Return the largest absolute entry of D Dᵀ − I."""
    return np.abs(components @ components.T - np.eye(len(components))).max()


def make_data(Estimator, n_samples=120):
    """Return samples, of images where these are read, and labels."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, size=n_samples)
    X = rng.laplace(size=(n_samples, 8)) @ rng.normal(size=(8, 8)) + y[:, None]
    if hasattr(make_estimator(Estimator), "image_shape"):
        X = rng.laplace(size=(n_samples, 6, 6))
    return X, y


def make_short(Estimator):
    """Return an estimator that learns in few iterations."""
    estimator = make_estimator(Estimator)
    values = {"max_iter": 4, "n_jobs": 1, "random_state": 0}
    for name in estimator.get_params():
        own_name = name.rpartition("__")[2]  # of a parameter, maybe of a layer
        if own_name in values:
            estimator.set_params(**{name: values[own_name]})
    return estimator


def results(estimator, X):
    """Return the results of all methods that a fitted estimator has for samples."""
    methods = ("transform", "predict", "decision_function", "score_samples")
    methods += ("reconstruct", "predict_proba", "posterior_std")
    return {
        method: np.asarray(getattr(estimator, method)(X))
        for method in methods
        if hasattr(estimator, method)
    }


def assert_same_bits(found, expected):
    """Check that two dictionaries of arrays are equal."""
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
