"""Normalization and whitening of patches, and their folding into filters.

A patch x is centered by its own mean m(x), divided by its own contrast s(x), and
whitened: z = W ((x − m(x)) / s(x) − μ). Its projections on the atoms D are

    u = D z = F x / s(x) + b,    F = D W (I − 11ᵀ/p),    b = −D W μ,

so the projections are one product with the filters F, one division, and one sum.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from skscn._core.procrustes import canonical_signs


@dataclass(frozen=True)
class Whitening:
    """The map from normalized patches y to z = W (y − μ), and its pseudo-inverse.

    Parameters
    ----------
    mean : ndarray of shape (n_features,)
        μ.
    matrix : ndarray of shape (n_components, n_features)
        W.
    dewhitening_matrix : ndarray of shape (n_components, n_features)
        The transposed pseudo-inverse of W: row i is the patch of a unit of z_i.
    """

    mean: np.ndarray
    matrix: np.ndarray
    dewhitening_matrix: np.ndarray

    @classmethod
    def from_patches(cls, patches, n_components, regularization):
        """Return the whitening of the leading principal components of patches.

        Parameters
        ----------
        patches : ndarray of shape (n_patches, n_features)
            Normalized patches.
        n_components : int
        regularization : float or None
            Added to the variance of every component, in units of the mean variance of
            the features. With None components are not divided, and W is orthonormal.
        """
        mean = patches.mean(axis=0, dtype=np.float64)
        centered = patches - mean.astype(patches.dtype)
        covariance = (centered.T @ centered).astype(np.float64) / len(patches)
        n_features = len(mean)
        variances, axes = eigh(
            covariance, subset_by_index=(n_features - n_components, n_features - 1)
        )
        variances, axes = np.maximum(variances[::-1], 0.0), axes.T[::-1]
        axes = axes * canonical_signs(axes)[:, None]
        if regularization is None:
            return cls(mean, axes, axes)
        scales = np.sqrt(variances + regularization * np.trace(covariance) / n_features)
        # A variance at the level of rounding errors is zero: z_i is zero, too.
        rounding_error = n_features * np.finfo(patches.dtype).eps * variances[0]
        scales[scales**2 <= rounding_error] = np.inf
        matrix = axes / scales[:, None]
        inverse = np.where(np.isinf(scales), 0.0, scales)[:, None] * axes
        return cls(mean, matrix, inverse)

    @property
    def divides(self):
        """Whether components are divided, so that their variances are nearly one."""
        return not np.array_equal(self.matrix, self.dewhitening_matrix)

    def __call__(self, patches):
        """Return z for normalized patches, in their dtype."""
        mean, matrix = (a.astype(patches.dtype) for a in (self.mean, self.matrix))
        return (patches - mean) @ matrix.T

    def fold(self, components, center):
        """Return the filters F and biases b of atoms D, and the atoms as patches.

        Parameters
        ----------
        components : ndarray of shape (n_components, n_components)
            D.
        center : bool
            Whether the filters subtract the mean of a patch.

        Returns
        -------
        filters : ndarray of shape (n_components, n_features)
        projection_bias : ndarray of shape (n_components,)
        atoms : ndarray of shape (n_components, n_features)
            What a unit of code adds to a normalized patch.
        """
        components = components.astype(np.float64)
        filters = components @ self.matrix
        projection_bias = -filters @ self.mean
        if center:
            filters = filters - filters.mean(axis=1, keepdims=True)
        return filters, projection_bias, components @ self.dewhitening_matrix


def normalize_patches(patches, *, center, eps):
    """Return patches minus their means and divided by their contrasts, and both.

    Parameters
    ----------
    patches : ndarray of shape (n_patches, n_features)
    center : bool
        Whether to subtract the mean of each patch.
    eps : float
        Added to the variance of a patch in its contrast √(variance + eps). With 0
        patches are not divided.

    Returns
    -------
    normalized : ndarray of shape (n_patches, n_features)
    means, contrasts : ndarray of shape (n_patches, 1)
        Zeros and ones where they are not used.
    """
    ones = np.ones((len(patches), 1), dtype=patches.dtype)
    means = patches.mean(axis=1, keepdims=True)
    contrasts = ones
    if eps:
        variances = np.square(patches - means).mean(axis=1, keepdims=True)
        contrasts = np.sqrt(variances + patches.dtype.type(eps))
    if not center:
        means = 0 * ones
    return (patches - means) / contrasts, means, contrasts
