"""What is done to patches before they are coded, folded into filters.

A patch x is first freed from its own mean m(x) and divided by its own contrast s(x),
then whitened: z = W ((x − m(x)) / s(x) − μ). Its projections on the atoms D are

    u = D z = F x / s(x) + b,    F = D W (I − 11ᵀ/p),    b = −D W μ,

so that all of it is one product with the filters F, one division, and one shift.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from skscn._core.procrustes import canonical_signs


@dataclass(frozen=True)
class Whitening:
    """The map from normalised patches y to z = W (y − μ), and what undoes it.

    Parameters
    ----------
    mean : ndarray of shape (n_features,)
        μ.
    forward : ndarray of shape (n_components, n_features)
        W.
    backward : ndarray of shape (n_components, n_features)
        What a unit of z adds to a patch: the transposed pseudo-inverse of W.
    """

    mean: np.ndarray
    forward: np.ndarray
    backward: np.ndarray

    @classmethod
    def learned(cls, patches, n_components, floor):
        """Return the whitening of the leading principal components of patches.

        Parameters
        ----------
        patches : ndarray of shape (n_patches, n_features)
            Normalised.
        n_components : int
        floor : float or None
            Added to the variance of every component, in units of the mean variance of
            the features. None leaves the variances as they are, W orthonormal.
        """
        mean = patches.mean(axis=0, dtype=np.float64)
        centred = patches - mean.astype(patches.dtype)
        scatter = (centred.T @ centred).astype(np.float64) / len(patches)
        n_features = len(mean)
        energies, axes = eigh(
            scatter, subset_by_index=(n_features - n_components, n_features - 1)
        )
        energies, axes = np.maximum(energies[::-1], 0.0), axes.T[::-1]
        axes = axes * canonical_signs(axes)[:, None]
        if floor is None:
            return cls(mean, axes, axes)
        scales = np.sqrt(energies + floor * np.trace(scatter) / n_features)
        # A direction whose variance is rounding error has none, and stays without.
        rounding = n_features * np.finfo(patches.dtype).eps * energies[0]
        scales[scales**2 <= rounding] = np.inf
        forward = axes / scales[:, None]
        backward = np.where(np.isinf(scales), 0.0, scales)[:, None] * axes
        return cls(mean, forward, backward)

    def __call__(self, patches):
        """Return z for normalised patches, of their dtype."""
        mean, forward = (a.astype(patches.dtype) for a in (self.mean, self.forward))
        return (patches - mean) @ forward.T

    def folded(self, components, centred):
        """Return F and b for atoms D, and what a unit of code adds to y.

        Parameters
        ----------
        components : ndarray of shape (n_components, n_components)
            D.
        centred : bool
            Whether F takes the mean of a patch out.
        """
        components = components.astype(np.float64)
        filters = components @ self.forward
        shift = -filters @ self.mean
        if centred:
            filters = filters - filters.mean(axis=1, keepdims=True)
        return filters, shift, components @ self.backward


def normalised(patches, *, centred, contrast):
    """Return patches without their means and divided by their contrast, and both.

    Parameters
    ----------
    patches : ndarray of shape (n_patches, n_features)
    centred : bool
    contrast : float or None
        Added to the variance of a patch.

    Returns
    -------
    normalised : ndarray of shape (n_patches, n_features)
    means, scales : ndarray of shape (n_patches, 1)
        Zeros and ones where they are not used.
    """
    ones = np.ones((len(patches), 1), dtype=patches.dtype)
    means = patches.mean(axis=1, keepdims=True)
    scales = ones
    if contrast is not None:
        variances = np.square(patches - means).mean(axis=1, keepdims=True)
        scales = np.sqrt(variances + patches.dtype.type(contrast))
    if not centred:
        means = 0 * ones
    return (patches - means) / scales, means, scales
