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
