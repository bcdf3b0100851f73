"""Sums over rows in memory or on disk, and the choice among all kinds of rows."""

from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
from scipy.linalg import svd

from skscn._core.missing_values import has_missing, impute_means, impute_rows
from skscn._core.row_sums import RowSums
from skscn._data.dask_arrays import DaskRows, DaskRowSums
from skscn._data.device_arrays import DeviceRows, DeviceRowSums
from skscn._data.parallel import (
    map_rows,
    row_slices,
    rows_per_slice,
    sum_over_rows,
    worker_pool,
)

# Features by rows, from which on the span of the rows is worth computing.
MIN_SPAN_RATIO = 4
IMPUTATION_TOL = 1e-4  # during learning, relative to the largest entry of a row


@contextmanager
def row_sums(X, weights, n_jobs, *, allow_empty=False):
    """Yield the `RowSums` of validated rows, with workers while the context lasts.

    Parameters
    ----------
    X : {ndarray, CSR, StoredRows, DaskRows, DeviceRows}
    weights : array-like of shape (n_samples,) or None
    n_jobs : int or None
    allow_empty : bool, default=False
        Whether a feature may be missing in all rows.
    """
    with worker_pool(X.shape[0], n_jobs) as pool:
        if isinstance(X, DaskRows):
            yield DaskRowSums(X, weights)
        elif isinstance(X, DeviceRows):
            yield DeviceRowSums(X, weights)
        elif contains_missing(X):
            yield IncompleteRowSums(X, weights, pool, allow_empty=allow_empty)
        else:
            yield ArrayRowSums(X, weights, pool)


def contains_missing(X):
    """Return whether an array in memory holds NaN; other rows are checked when read."""
    if not isinstance(X, np.ndarray):
        return False
    return has_missing(X, row_slices(X.shape[0], rows_per_slice(X)))


class ArrayRowSums(RowSums):
    """Sums over rows in memory, dense or CSR, or over a file that is read by slices.

    Parameters
    ----------
    X : {ndarray, CSR, StoredRows} of shape (n_samples, n_features)
    weights : ndarray of shape (n_samples,) or None
    pool : WorkerPool
    """

    def __init__(self, X, weights, pool):
        self.X, self.weights, self.pool = X, weights, pool
        self.dtype, self.n_features = X.dtype, X.shape[1]
        is_wide = MIN_SPAN_RATIO * X.shape[0] <= X.shape[1]
        self.has_small_span = is_wide and isinstance(X, np.ndarray)

    def sum(self, function):
        """Return the sum of function(rows, weights) over all slices, in their order."""
        return sum_over_rows(self.pool, function, self.X, self.weights)

    def span(self, mean):
        """Return an orthonormal basis of centered rows, and sums over coordinates."""
        n_rows, n_features = self.X.shape
        centered = self.X - mean  # float64
        root = np.ones(n_rows) if self.weights is None else np.sqrt(self.weights)
        _, values, basis = svd(centered * root[:, None], full_matrices=False)
        rounding = values.max(initial=0.0) * n_features * np.finfo(self.dtype).eps
        basis = basis[: max(1, np.count_nonzero(values > rounding))]
        coordinates = (centered @ basis.T).astype(self.dtype)
        return basis, ArrayRowSums(coordinates, self.weights, self.pool)


class IncompleteRowSums(ArrayRowSums):
    """Sums over rows with missing values, which are imputed in a copy.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        NaN where nothing was measured.
    weights, pool
        As of `ArrayRowSums`.
    allow_empty : bool
        Whether a feature may be missing in all rows.
    """

    has_missing = True

    def __init__(self, X, weights, pool, *, allow_empty):
        imputed, self.missing_weight = impute_means(X, weights, allow_empty=allow_empty)
        super().__init__(imputed, weights, pool)
        self.has_small_span = False  # imputation needs all features
        self.incomplete = X

    def data_moments(self, mean=None, *, scatter=False):
        """Return the `DataMoments` about a mean; None stands for zero."""
        moments = super().data_moments(mean, scatter=scatter)
        return replace(moments, missing_weight=self.missing_weight)

    def impute(self, model):
        """Impute missing values by a `SparseModel`, for all sums that follow."""
        # Imputation continues from where it was, in other processes from a copy.
        function = partial(
            _impute_copy, model=model.astype(self.dtype), tol=IMPUTATION_TOL
        )
        size = rows_per_slice(self.X)
        imputed = map_rows(self.pool, function, self.incomplete, self.X, size)
        for part, rows in zip(row_slices(len(self.X), size), imputed, strict=True):
            self.X[part] = rows


def _impute_copy(rows, imputed, **options):
    return impute_rows(rows, imputed.copy(), **options)
