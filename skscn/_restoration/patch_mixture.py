"""A Gaussian mixture of patches, with an orthonormal dictionary for each class.

One orthonormal dictionary has to represent edges of all directions and all textures. A
mixture therefore sorts the patches into classes, by their leading principal components,
and the dictionary of a class contains the principal axes of its patches. The code of a
patch is still one matrix product.

Up to three channels are coded jointly: an atom has entries in all of them. More
channels are divided into blocks, in the order of their variance.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, eigh, solve_triangular

from skscn._core.initialization import principal_axes
from skscn._restoration.gaussian_classes import GaussianClasses
from skscn._restoration.patches import join_channels

MAX_JOINT_CHANNELS = 3  # the time of a pixel grows linearly with more channels
MAX_AXES = 24  # number of principal components that determine the class
# Added to the variances of a class: a constant in units of the noise, and a fraction of
# their sum, as float32 does not resolve smaller ones.
ADDED_VARIANCE = 0.04
ADDED_VARIANCE_FRACTION = 1e-6
N_EM_ITERATIONS = 6
MIN_PATCHES_PER_AXIS = 3  # of a class; the patches of smaller classes join others
POOLED_FRACTION = 1e-3  # weight of all patches in the principal axes of a class
# Patches with energies below these quantiles start in the first and the second class.
FLAT_QUANTILES = (0.3, 0.5)


@dataclass(frozen=True)
class PatchMixture:
    """Gaussian classes of patches, and a dictionary of each.

    Parameters
    ----------
    axes : ndarray of shape (n_axes, n_block_entries)
        The principal axes of patches of the first block of channels, without the mean
        of each channel.
    classes : GaussianClasses
        Of the principal components.
    dictionaries : list of ndarray of shape (n_classes, n_entries, n_entries)
        Orthonormal, for patches of every block of channels with their means.
    """

    axes: np.ndarray
    classes: GaussianClasses
    dictionaries: list

    def predict(self, patches):
        """Return the classes of patches of the first block, which are columns."""
        return self.classes.predict(self.axes @ patches)


def channel_blocks(n_channels):
    """Return the blocks of channels that are coded jointly, as slices."""
    starts = range(0, n_channels, MAX_JOINT_CHANNELS)
    return [slice(i, min(i + MAX_JOINT_CHANNELS, n_channels)) for i in starts]


def fit_patch_mixture(patches, n_classes):
    """Return a mixture that is learned by classification EM.

    The first block of channels determines the classes.

    Parameters
    ----------
    patches : ndarray of shape (n_channels, n_patches, *kernel)
    n_classes : int
        Maximum number of classes.
    """
    dtype, n_patches, kernel = patches.dtype, patches.shape[1], patches.shape[2:]
    blocks = channel_blocks(len(patches))
    rows = join_channels(patches[blocks[0]])
    n_axes = min(MAX_AXES, rows.shape[1])
    axes = principal_axes((rows.T @ rows).astype(np.float64), n_axes)
    components = rows @ axes.T.astype(dtype)
    labels = _initial_labels(rows[:, : np.prod(kernel)], kernel, n_classes)
    min_patches = MIN_PATCHES_PER_AXIS * n_axes
    for _ in range(N_EM_ITERATIONS):
        classes = _fit_gaussians(components, labels, min_patches)
        labels = classes.predict(components.T)
    kept = np.unique(labels)
    dictionaries = []
    for block in blocks:
        # The means of the patches are large: float32 does not resolve small variances.
        rows = np.moveaxis(patches[block], 0, 1).reshape(n_patches, -1)
        rows = rows.astype(np.float64)
        # All patches determine the axes that the patches of a class leave open.
        pooled = rows.T @ rows * (POOLED_FRACTION / n_patches)
        atoms = np.empty((len(kept), *pooled.shape), dtype)
        for i, label in enumerate(kept):
            members = rows[labels == label]
            atoms[i] = eigh(members.T @ members + pooled)[1].T[::-1]
        dictionaries.append(atoms)
    # The components of a patch do not depend on the means of its channels.
    axes = axes.reshape(n_axes, -1, np.prod(kernel))
    axes = (axes - axes.mean(axis=2, keepdims=True)).reshape(n_axes, -1).astype(dtype)
    return PatchMixture(axes, classes.select(kept), dictionaries)


def _fit_gaussians(components, labels, min_patches):
    """Return the `GaussianClasses` of the labels that enough patches have.

    If there is no such class, all patches are one class.
    """
    n_patches, n_axes = components.shape
    classes = [components[labels == label] for label in np.unique(labels)]
    classes = [rows for rows in classes if len(rows) >= min_patches] or [components]
    whitening, offsets = [], []
    for rows in classes:
        members = rows.astype(np.float64)
        covariance = members.T @ members / len(members)
        added = ADDED_VARIANCE + ADDED_VARIANCE_FRACTION * np.trace(covariance)
        covariance += added * np.eye(n_axes)
        root = cholesky(covariance, lower=True)
        whitening.append(solve_triangular(root, np.eye(n_axes), lower=True))
        log_det = 2 * np.log(np.diag(root)).sum()
        offsets.append(log_det - 2 * np.log(len(members) / n_patches))
    dtype = components.dtype
    return GaussianClasses(np.array(whitening, dtype), np.array(offsets, dtype))


def _initial_labels(patches, kernel, n_classes):
    """Return initial classes: two of flat patches, the others by their direction."""
    energy = np.einsum("ij,ij->i", patches, patches)
    if n_classes < 4 or min(kernel) < 2:
        return np.argsort(np.argsort(energy)) * n_classes // len(patches)
    low, middle = np.quantile(energy, FLAT_QUANTILES)
    gradients = _gradients(patches.reshape(-1, *kernel))
    if len(kernel) == 2:
        labels = 2 + _angle_labels(gradients, n_classes - 2)
    else:
        labels = 2 + _tensor_labels(gradients, energy >= middle, n_classes - 2)
    labels[energy < middle] = 1
    labels[energy < low] = 0
    return labels


def _gradients(images):
    """Return differences of neighboring pixels.

    Parameters
    ----------
    images : ndarray of shape (n_images, *kernel)

    Returns
    -------
    gradients : ndarray of shape (n_axes, n_images, n_differences)
    """
    axes = range(1, images.ndim)
    gradients = []
    for axis in axes:
        others = (slice(int(other != axis), None) for other in axes)
        difference = np.diff(images, axis=axis)[(slice(None), *others)]
        gradients.append(difference.reshape(len(images), -1))
    return np.array(gradients)


def _angle_labels(gradients, n_directions):
    """Return labels of equal intervals of the angle of images."""
    down, right = gradients
    squares = (right**2 - down**2).sum(axis=1)
    angle = np.arctan2(2 * (right * down).sum(axis=1), squares)
    turn = (angle + np.pi) / (2 * np.pi)
    return np.minimum((turn * n_directions).astype(int), n_directions - 1)


def _tensor_labels(gradients, is_textured, n_directions):
    """Return labels by the most similar structure tensor of some textured volumes.

    The tensor contains the scalar products of the gradients along all pairs of axes.
    """
    tensors = np.einsum("aij,bij->iab", gradients, gradients)
    tensors = tensors.reshape(len(tensors), -1)
    norms = np.linalg.norm(tensors, axis=1, keepdims=True)
    tensors /= np.where(norms == 0, 1, norms)
    textured = np.flatnonzero(is_textured)
    chosen = textured[np.arange(n_directions) * len(textured) // n_directions]
    return (tensors @ tensors[chosen].T).argmax(axis=1)
