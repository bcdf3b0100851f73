"""What learning asks of data: sums over rows, wherever the rows are."""

from abc import ABC, abstractmethod
from functools import partial

import numpy as np

from skscn._core.moments import code_moments, data_moments, max_abs
from skscn._core.projection_histogram import projection_histogram


class RowSums(ABC):
    """Weighted rows of data that can be summed over, but need not be in memory.

    Subclasses hold arrays and CSR, files, chunks of a cluster, tensors on a device.

    Attributes
    ----------
    dtype : dtype
        That the rows are read as.
    n_features : int
    has_small_span : bool
        Whether the rows are much fewer than their features, and in memory.
    has_missing : bool
        Whether values are missing. They are imputed, at first by the means of their
        features, and the sums are those of the imputed rows.
    """

    dtype = np.dtype(np.float64)
    n_features = 0
    has_missing = False
    has_small_span = False

    @abstractmethod
    def sum(self, function):
        """Return the sum of function(rows, weights) over all slices, in their order."""

    def data_moments(self, mean=None, *, scatter=False):
        """Return the `DataMoments` about a mean; None stands for zero.

        They are computed in the larger dtype of the rows and the mean.
        """
        if mean is not None and mean.dtype == self.dtype and not mean.any():
            mean = None
        return self.sum(partial(data_moments, mean=mean, scatter=scatter))

    def code_moments(self, model, dtype=None):
        """Return the `CodeMoments` of the codes of a `SparseModel`.

        They are computed in some dtype; None stands for that of the rows.
        """
        model = model.astype(self.dtype if dtype is None else dtype)
        return self.sum(partial(code_moments, model=model))

    def projection_histogram(self, model, bins, dtype=None):
        """Return the `ProjectionHistogram` of the projections of a `SparseModel`.

        It is computed in some dtype; None stands for that of the rows.
        """
        model = model.astype(self.dtype if dtype is None else dtype)
        return self.sum(partial(projection_histogram, model=model, bins=bins))

    def max_abs(self):
        """Return the largest absolute value of the rows."""
        return self.sum(max_abs).value

    def span(self, mean):
        """Return an orthonormal basis of centered rows, and their coordinates in it.

        Returns
        -------
        basis : ndarray of shape (n_dimensions, n_features)
            Principal axes, those of largest variance first.
        coordinates : RowSums
            Of the rows in the basis.
        """
        raise NotImplementedError("these rows are not known to span few dimensions")

    def impute(self, model):
        """Impute missing values by a `SparseModel`, for all sums that follow."""
        raise NotImplementedError("these rows have no missing values")
