"""Classes of patches, each with an orthonormal dictionary of its own.

One orthonormal dictionary is a compromise between edges of all directions and textures.
Patches are therefore sorted into classes, by a mixture of Gaussians of their leading
principal components, and each class has the dictionary of its own principal axes. The
patches of a class are still coded exactly by one product.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, eigh, solve_triangular

from skscn._core.initialization import principal_axes

N_AXES = 24  # principal components that tell the class
FLOOR = 0.04  # variance that is added to all of them, in units of the noise
SLIGHT = 1e-6  # and of their sum: what float32 resolves
ITERATIONS = 6
FEW = 3  # least patches of a class by the number of axes


@dataclass(frozen=True)
class Classes:
    """Classes of patches and their dictionaries.

    Parameters
    ----------
    axes : ndarray of shape (n_axes, n_entries)
        Of patches without their means.
    whiten : ndarray of shape (n_classes, n_axes, n_axes)
        W of every class: −½‖W z‖² is its log density, up to a constant, for the
        components z of a patch.
    offset : ndarray of shape (n_classes,)
        Minus two times that constant.
    atoms : ndarray of shape (n_planes, n_classes, n_entries, n_entries)
        Orthonormal dictionaries.
    """

    axes: np.ndarray
    whiten: np.ndarray
    offset: np.ndarray
    atoms: np.ndarray

    @classmethod
    def learned(cls, patches, kernel, n_classes):
        """Return classes of patches, learned by classification EM.

        Parameters
        ----------
        patches : ndarray of shape (n_planes, n_patches, n_entries)
        kernel : tuple of int
            (height, width) of a patch.
        n_classes : int
            Most classes; there are fewer where patches are few.
        """
        dtype = patches.dtype
        patches = patches - patches.mean(axis=2, keepdims=True)
        first = patches[0]
        n_patches, n_entries = first.shape
        n_axes = min(N_AXES, n_entries)
        axes = principal_axes((first.T @ first).astype(np.float64), n_axes)
        components = first @ axes.T.astype(dtype)
        labels = _first_labels(first, kernel, n_classes)
        for _ in range(ITERATIONS):
            whiten, offset = _densities(components, labels, FEW * n_axes)
            labels = _nearest(components.T, whiten, offset)
        kept = np.unique(labels)
        whiten, offset = whiten[kept], offset[kept]
        atoms = np.empty((len(patches), len(kept), n_entries, n_entries), dtype)
        for plane, rows in enumerate(patches):
            # A little of all patches settles what those of a class leave open.
            prior = (rows.T @ rows).astype(np.float64) * (1e-3 / n_patches)
            for i, label in enumerate(kept):
                own = rows[labels == label]
                atoms[plane, i] = eigh((own.T @ own) + prior)[1].T[::-1]
        return cls(axes.astype(dtype), whiten, offset, atoms)

    def labels(self, patches):
        """Return the class of every patch, patches as columns."""
        components = self.axes @ patches
        components -= self.axes.sum(axis=1)[:, None] * patches.mean(axis=0)
        return _nearest(components, self.whiten, self.offset)


def _densities(components, labels, least):
    """Return `whiten` and `offset` of the Gaussians of labelled patches."""
    n_patches, n_axes = components.shape
    whiten, offset = [], []
    for label in np.unique(labels):
        own = components[labels == label].astype(np.float64)
        if len(own) < least:  # its patches join others
            continue
        scatter = own.T @ own / len(own)
        scatter += (FLOOR + SLIGHT * np.trace(scatter)) * np.eye(n_axes)
        root = cholesky(scatter, lower=True)
        whiten.append(solve_triangular(root, np.eye(n_axes), lower=True))
        volume = 2 * np.log(np.diag(root)).sum()
        offset.append(volume - 2 * np.log(len(own) / n_patches))
    if not whiten:
        return _densities(components, np.zeros(n_patches, dtype=int), 0)
    dtype = components.dtype
    return np.array(whiten, dtype=dtype), np.array(offset, dtype=dtype)


def _nearest(components, whiten, offset):
    """Return the class of largest density of every column."""
    n_patches = components.shape[1]
    labels = np.zeros(n_patches, dtype=np.intp)
    least = np.full(n_patches, np.inf, dtype=components.dtype)
    for label, (root, constant) in enumerate(zip(whiten, offset, strict=True)):
        projected = root @ components
        distance = np.einsum("ij,ij->j", projected, projected)
        distance += constant
        labels[distance < least] = label
        np.minimum(least, distance, out=least)
    return labels


def _first_labels(patches, kernel, n_classes):
    """Return classes to start from: two of flat patches, others by direction."""
    n_patches = len(patches)
    if n_classes < 4 or min(kernel) < 2:
        energy = np.einsum("ij,ij->i", patches, patches)
        return np.argsort(np.argsort(energy)) * n_classes // n_patches
    images = patches.reshape(-1, *kernel)
    down, right = np.diff(images, axis=1)[:, :, 1:], np.diff(images, axis=2)[:, 1:]
    squares = (right**2 - down**2).sum(axis=(1, 2))
    angle = np.arctan2(2 * (right * down).sum(axis=(1, 2)), squares)
    turn = (angle + np.pi) / (2 * np.pi)
    n_turns = n_classes - 2
    labels = 2 + np.minimum((turn * n_turns).astype(int), n_turns - 1)
    energy = np.einsum("ij,ij->i", patches, patches)
    low, middle = np.quantile(energy, [0.3, 0.5])
    labels[energy < middle] = 1
    labels[energy < low] = 0
    return labels
