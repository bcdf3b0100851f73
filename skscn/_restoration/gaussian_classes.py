"""Gaussian classes: which class a patch most probably belongs to."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class GaussianClasses:
    """Gaussian densities with zero means, and their weights.

    The negative log-density of v in a class, times two, is ‖W v‖² + offset up to a
    constant.

    Parameters
    ----------
    whitening : ndarray of shape (n_classes, n_entries, n_entries)
        W of every class: Wᵀ W is the inverse of the covariance Σ.
    offsets : ndarray of shape (n_classes,)
        log det Σ − 2 log w, with the weight w of every class.
    """

    whitening: np.ndarray
    offsets: np.ndarray

    def select(self, classes):
        """Return some of the classes."""
        return GaussianClasses(self.whitening[classes], self.offsets[classes])

    def predict(self, columns):
        """Return the class with the largest density of every column."""
        n_columns = columns.shape[1]
        labels = np.zeros(n_columns, dtype=np.intp)
        smallest = np.full(n_columns, np.inf, dtype=columns.dtype)
        classes = zip(self.whitening, self.offsets, strict=True)
        for label, (matrix, offset) in enumerate(classes):
            whitened = matrix @ columns
            distance = np.einsum("ij,ij->j", whitened, whitened)
            distance += offset
            labels[distance < smallest] = label
            np.minimum(smallest, distance, out=smallest)
        return labels
