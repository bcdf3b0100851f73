"""What tests build: estimators, orthonormal atoms and planted data."""

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


def instance(Estimator):
    """Return an estimator with what it cannot do without."""
    if Estimator is skscn.SparseCodingNetwork:
        layers = [
            ("conv", skscn.ConvSparseCoder(kernel_size=3)),
            ("pool", skscn.SpatialPool(grid=2)),
        ]
        return Estimator(layers)
    return Estimator()


def orthonormal(n_components, n_features, seed=0):
    normal = np.random.default_rng(seed).normal(size=(n_features, n_components))
    return np.linalg.qr(normal)[0].T


def planted(n_samples, *, density, noise, seed, n_components=64, n_features=64):
    """Return Laplace codes of some density times orthonormal atoms, and the atoms."""
    rng = np.random.default_rng(seed)
    atoms = orthonormal(n_components, n_features, seed)
    codes = rng.laplace(size=(n_samples, n_components))
    codes *= rng.random(codes.shape) < density
    return codes @ atoms + noise * rng.normal(size=(n_samples, n_features)), atoms


def recovered(components, atoms):
    """Return the fraction of atoms found with a cosine beyond 0.99."""
    return np.mean(np.abs(components @ atoms.T).max(axis=0) > 0.99)


def gap(components):
    """Return how far the rows are from orthonormal."""
    return np.abs(components @ components.T - np.eye(len(components))).max()
