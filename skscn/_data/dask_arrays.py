"""Dask arrays: moments are computed where the chunks are, and only sums come back.

One pass over the data is a map-reduce. The worker that holds a chunk computes the
moments of its rows: n_components × n_features numbers and a few vectors. Moments are
added in the order of the chunks, eight at a time, so that the sum has the same bits for
every number of workers.
"""

import pickle
from concurrent.futures import CancelledError
from dataclasses import dataclass
from functools import cached_property, partial, reduce
from operator import add
from typing import Any
from uuid import uuid4

import numpy as np
from scipy import sparse

from skscn._core.moments import code_moments
from skscn._core.row_sums import RowSums
from skscn._data.parallel import row_slices, rows_per_slice, sequential_pool
from skscn._data.sample_weights import check_weight_range
from skscn._data.sklearn_compat import check_sample_weight
from skscn._data.stored_arrays import (
    LOAD_TO_IMPUTE,
    RemoteRows,
    check_finite,
    check_not_empty,
)

N_ADDED = 8  # moments that one task adds
MISSING_REMEDY = LOAD_TO_IMPUTE.format("X.compute()")


def is_dask(X):
    """Return whether X is a dask array; raise where it is a data frame of dask."""
    if not (hasattr(X, "__dask_graph__") and hasattr(X, "to_delayed")):
        return False
    if hasattr(X, "to_dask_array"):
        raise TypeError(
            f"X is a {type(X).__name__} of dask, but only arrays of dask can be read. "
            "Use X.to_dask_array(lengths=True)."
        )
    return all(hasattr(X, name) for name in ("dtype", "chunks", "map_blocks"))


@dataclass(frozen=True)
class DaskRows(RemoteRows):
    """Rows of a dask array, whose chunks hold complete rows.

    Parameters
    ----------
    array : dask.array.Array
    dtype, row_shape
        As of `RemoteRows`.
    missing_remedy : str
        The remedy in the error that is raised for NaN.
    """

    missing_remedy: str = MISSING_REMEDY

    @classmethod
    def from_array(cls, array, types):
        """Return the rows of an array, read as one of the dtypes."""
        array = rechunk_to_rows(array)
        check_not_empty(array)
        n_rows = tuple(size for size in array.chunks[0] if size)  # empty chunks add 0
        return super().from_array(array.rechunk({0: n_rows}), types)

    def __getitem__(self, which):
        rows = np.asarray(self.array[which].compute())
        check_finite(rows, "the rows to learn from", self.missing_remedy)
        rows = rows.astype(self.dtype, copy=False)
        return rows.reshape(len(rows), *self.row_shape)

    @property
    def chunk_sizes(self):
        """Number of rows in every chunk."""
        return self.array.chunks[0]

    @cached_property
    def delayed_chunks(self):
        """The chunks as delayed objects."""
        return self.array.to_delayed().reshape(-1)

    def check_weights(self, sample_weight):
        """Return sample weights in the chunks of the rows, or None."""
        if sample_weight is None:
            return None
        if not is_dask(sample_weight):
            return check_sample_weight(sample_weight, self)
        if sample_weight.shape != (len(self),):
            raise ValueError(
                f"sample_weight.shape == {sample_weight.shape}, expected "
                f"{(len(self),)}: one weight a sample."
            )
        extrema = np.array(_compute(sample_weight.min(), sample_weight.max()))
        extrema = check_sample_weight(extrema, np.empty((2, 1), self.dtype))
        check_weight_range(extrema, self.dtype)
        return sample_weight.rechunk((self.chunk_sizes,))


class DaskRowSums(RowSums):
    """Sums over the rows of a dask array; each is one map-reduce.

    Parameters
    ----------
    X : DaskRows
    weights : {ndarray, dask array} of shape (n_samples,) or None
    """

    def __init__(self, X, weights):
        self.X, self.weights = X, weights
        self.dtype, self.n_features = X.dtype, X.shape[1]

    def sum(self, function):
        """Return the sum of function(rows, weights) over all slices, in their order."""
        return self._map_reduce(function)

    def code_moments(self, model, dtype=None):
        """Return the `CodeMoments` of the codes of a `SparseModel`."""
        model = model.astype(self.dtype if dtype is None else dtype)
        function = partial(code_moments, model=model)
        return self._map_reduce(function, takes_n_rows_before=True)

    def _map_reduce(self, function, **options):
        from dask.delayed import delayed

        pickled = pickle.dumps(function)
        try:
            return self._compute_sum(_broadcast(pickled), **options)
        except (CancelledError, TimeoutError):
            # All workers that held the function are lost, or none was there to receive
            # it. As a part of the graph it is sent again to whichever workers come.
            function = delayed(pickled, pure=False, traverse=False)
            return self._compute_sum(function, **options)

    def _compute_sum(self, function, *, takes_n_rows_before=False):
        from dask.delayed import delayed

        map_chunk = delayed(_sum_chunk, pure=False, traverse=False)
        reduce_sums = delayed(_add, pure=False)
        sizes = self.X.chunk_sizes
        slice_size = row_slices(len(self.X), rows_per_slice(self.X))[0].stop
        starts = np.cumsum([0, *sizes]).tolist()
        sums = [
            map_chunk(
                function,
                chunk,
                weights,
                self.dtype,
                start,
                slice_size,
                takes_n_rows_before,
            )
            for chunk, weights, start in zip(
                self.X.delayed_chunks,
                _split_weights(self.weights, sizes),
                starts,
                strict=False,
            )
        ]
        while len(sums) > 1:
            sums = [
                reduce_sums(sums[start : start + N_ADDED])
                for start in range(0, len(sums), N_ADDED)
            ]
        return sums[0].compute()


def rechunk_to_rows(X):
    """Return a dask array whose chunks hold complete rows."""
    if any(np.isnan(size) for size in X.shape):
        raise ValueError(
            f"X has chunks of unknown sizes, shape {X.shape}. Use "
            "X.compute_chunk_sizes(), or to_dask_array(lengths=True) of a frame."
        )
    return X.rechunk(dict.fromkeys(range(1, X.ndim), -1))


def map_dask_blocks(estimator, X, method, check_result):
    """Return the lazy dask array of the results of a method for every chunk of X."""
    from cloudpickle import dumps
    from dask import array
    from dask.delayed import delayed

    X = rechunk_to_rows(X)
    check_not_empty(X)
    pickled = dumps(estimator)
    first = _apply_method(np.zeros((1, *X.shape[1:]), X.dtype), pickled, method)
    check_result(first, method)
    shape = first.shape[1:]
    return array.map_blocks(
        _apply_method,
        X,
        pickled=delayed(pickled, pure=False, traverse=False),
        method=method,
        empty=first[:0],
        drop_axis=list(range(1, X.ndim)),
        new_axis=list(range(1, 1 + len(shape))),
        chunks=(X.chunks[0], *((size,) for size in shape)),
        meta=first[:0],
        name=f"{method}-{uuid4().hex}",
    )


def _apply_method(rows, pickled, method, empty=None):
    """Return the result of a method for a chunk; the caller is one of many workers.

    Estimators refuse chunks without rows: their result is `empty`.
    """
    if not rows.shape[0]:
        return empty
    if not sparse.issparse(rows):
        rows = np.require(rows, None, "A")
    with sequential_pool():
        result = getattr(pickle.loads(pickled), method)(rows)
    is_array = sparse.issparse(result) or np.isscalar(result)
    return result if is_array else np.asarray(result)


def _sum_chunk(function, rows, weights, dtype, start, slice_size, takes_n_rows_before):
    """Return the sum over one chunk, by the slices that all rows are cut into.

    Wherever chunks end, slices also end where they would for rows in memory. Rows that
    came over the network may begin at any address, for which NumPy computes other bits,
    and slower: they are copied to an aligned one.
    """
    function = pickle.loads(function)
    stop = start + rows.shape[0]
    if not sparse.issparse(rows):
        rows = np.asarray(rows)
    rows = rows.astype(dtype, copy=False)
    if weights is not None:
        weights = np.asarray(weights).astype(dtype, copy=False)
    sums = []
    with sequential_pool():
        for i in range(start // slice_size, -(-stop // slice_size)):
            n_rows_before = max(start - i * slice_size, 0)
            part = slice(
                i * slice_size + n_rows_before - start, (i + 1) * slice_size - start
            )
            options = {"n_rows_before": n_rows_before} if takes_n_rows_before else {}
            w = None if weights is None else np.require(weights[part], None, "A")
            block = rows[part]
            if not sparse.issparse(block):
                block = np.require(block, None, "A")
            sums.append(function(block, w, **options))
            sums = [_add(sums)]
    # The first pass, for the moments of the data, finds NaN; other passes need not.
    if not np.isfinite(getattr(sums[0], "sum_squares", 0.0)):
        values = rows.data if sparse.issparse(rows) else rows
        check_finite(values, f"rows {start} to {stop - 1}", MISSING_REMEDY)
    return sums[0]


def _add(sums):
    return reduce(add, sums)


def _broadcast(function):
    """Return a pickled function that was sent to every worker once."""
    from dask.base import get_scheduler
    from dask.delayed import delayed

    client: Any = getattr(get_scheduler(), "__self__", None)
    if hasattr(client, "scatter"):
        return client.scatter(function, broadcast=True, hash=False)
    return delayed(function, pure=False, traverse=False)


def _split_weights(weights, sizes):
    if weights is None:
        return [None] * len(sizes)
    if is_dask(weights):
        return weights.to_delayed().ravel()
    return np.split(weights, np.cumsum(sizes)[:-1])


def _compute(*values):
    from dask.base import compute

    return compute(*values)
