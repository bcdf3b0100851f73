"""Dask arrays: moments are summed where the chunks are, and a dictionary is sent there.

One pass is a map-reduce. Every chunk becomes the moments of its rows, n_components ×
n_features numbers and a few vectors, on the worker that holds it; moments are added in
the order of the chunks, eight at a time, so that the sum has the same bits for every
number of workers. Only their sum comes back.
"""

import pickle
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add
from typing import Any
from uuid import uuid4

import numpy as np
from scipy import sparse

from skscn._core.moments import code_moments
from skscn._data.parallel import row_slices, sequential_pool, slice_rows
from skscn._data.sklearn_compat import check_sample_weight
from skscn._data.stored_arrays import (
    AT_HAND,
    RemoteRows,
    check_finite,
    check_result,
    check_sizes,
)

ADDED = 8  # moments that are added at a time
REMEDY = AT_HAND.format("X.compute()")


def is_dask(X):
    """Return whether X is a dask array; raise where it is a frame of dask."""
    if not (hasattr(X, "__dask_graph__") and hasattr(X, "to_delayed")):
        return False
    if hasattr(X, "to_dask_array"):
        raise TypeError(
            f"Of dask, arrays are read, and this is a {type(X).__name__}. Use "
            "to_dask_array(lengths=True) of it."
        )
    return _is_array(X)


@dataclass(frozen=True)
class DaskRows(RemoteRows):
    """Rows of a dask array, in chunks that hold all of a row.

    Parameters
    ----------
    array : dask.array.Array
    dtype, row_shape
        As for `RemoteRows`.
    remedy : str
        What to do about NaN.
    """

    remedy: str = REMEDY

    @classmethod
    def of(cls, array, types):
        """Return the rows of an array, read as one of the types."""
        return super().of(whole_row_chunks(array), types)

    def __getitem__(self, which):
        rows = np.asarray(self.array[which].compute())
        check_finite(rows, "the rows that are learned from", self.remedy)
        rows = rows.astype(self.dtype, copy=False)
        return rows.reshape(len(rows), *self.row_shape)

    @cached_property
    def _chunks(self):
        return self.array.to_delayed().reshape(-1)

    def check_weights(self, sample_weight):
        """Return weights in the chunks of the rows, or None."""
        if sample_weight is None:
            return None
        if not is_dask(sample_weight):
            return check_sample_weight(sample_weight, self)
        if sample_weight.shape != (len(self),):
            raise ValueError(
                f"sample_weight.shape == {sample_weight.shape}, expected "
                f"{(len(self),)}: one weight a sample."
            )
        check_sample_weight(_ends(sample_weight), np.empty((2, 1), self.dtype))
        return sample_weight.rechunk((self.array.chunks[0],))

    def sum_over_rows(self, function, sample_weight=None):
        """Return the sum of function(rows, weights): one map-reduce."""
        from dask.delayed import delayed

        weights = _in_chunks(sample_weight, self.array.chunks[0])
        everywhere = _sent(pickle.dumps(function))
        mapped = delayed(_of_chunk, pure=False, traverse=False)
        added = delayed(_added, pure=False)
        size = row_slices(len(self), slice_rows(self))[0].stop
        starts = np.cumsum([0, *self.array.chunks[0]]).tolist()
        sums = [
            mapped(everywhere, chunk, w, self.dtype, start, size)
            for chunk, w, start in zip(self._chunks, weights, starts, strict=False)
        ]
        while len(sums) > 1:
            sums = [
                added(sums[start : start + ADDED])
                for start in range(0, len(sums), ADDED)
            ]
        return sums[0].compute()


def whole_row_chunks(X):
    """Return a dask array whose chunks hold all of a row."""
    if any(np.isnan(size) for size in X.shape):
        raise ValueError(
            f"X has chunks of unknown sizes, shape {X.shape}. Use "
            "X.compute_chunk_sizes(), or to_dask_array(lengths=True) of a frame."
        )
    return X.rechunk(dict.fromkeys(range(1, X.ndim), -1))


def map_dask_blocks(estimator, X, method):
    """Return the dask array of what a method makes of the chunks of one."""
    from cloudpickle import dumps
    from dask import array
    from dask.delayed import delayed

    X = whole_row_chunks(X)
    check_sizes(X)
    pickled = dumps(estimator)
    first = _applied(np.zeros((1, *X.shape[1:]), X.dtype), pickled, method)
    check_result(first, method)
    shape = first.shape[1:]
    return array.map_blocks(
        _applied,
        X,
        pickled=delayed(pickled, pure=False, traverse=False),
        method=method,
        drop_axis=list(range(1, X.ndim)),
        new_axis=list(range(1, 1 + len(shape))),
        chunks=(X.chunks[0], *((size,) for size in shape)),
        meta=first[:0],
        name=f"{method}-{uuid4().hex}",
    )


def _applied(rows, pickled, method):
    """Return what a method makes of a chunk, which is one of many at work."""
    if not sparse.issparse(rows):
        rows = np.require(rows, None, "A")
    with sequential_pool():
        found = getattr(pickle.loads(pickled), method)(rows)
    require_in_memory = sparse.issparse(found) or np.isscalar(found)
    return found if require_in_memory else np.asarray(found)


def _of_chunk(function, rows, weights, dtype, start, size):
    """Return the sum over one chunk, in the slices that all rows are cut into.

    Wherever chunks end, slices do so too where they would for rows at hand. What came
    over the network may begin anywhere in memory, which NumPy computes otherwise, and
    more slowly: it is laid out anew.
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
        for i in range(start // size, -(-stop // size)):
            skipped = max(start - i * size, 0)
            part = slice(i * size + skipped - start, (i + 1) * size - start)
            cut = {"skipped": skipped} if skipped and _has_code(function) else {}
            w = None if weights is None else np.require(weights[part], None, "A")
            block = rows[part]
            if not sparse.issparse(block):
                block = np.require(block, None, "A")
            sums.append(function(block, w, **cut))
            sums = [_added(sums)]
    # The first pass, that of the data alone, tells: others need not look at all rows.
    if not np.isfinite(getattr(sums[0], "square", 0.0)):
        values = rows.data if sparse.issparse(rows) else rows
        check_finite(values, f"rows {start} to {stop - 1}", REMEDY)
    return sums[0]


def _has_code(function):
    return getattr(function, "func", None) is code_moments


def _added(sums):
    return reduce(add, sums)


def _sent(function):
    """Return a pickled function that stands at every worker, once."""
    from dask.base import get_scheduler
    from dask.delayed import delayed

    client: Any = getattr(get_scheduler(), "__self__", None)
    if hasattr(client, "scatter"):
        return client.scatter(function, broadcast=True, hash=False)
    return delayed(function, pure=False, traverse=False)


def _in_chunks(weights, sizes):
    if weights is None:
        return [None] * len(sizes)
    if is_dask(weights):
        return weights.to_delayed().ravel()
    return np.split(weights, np.cumsum(sizes)[:-1])


def _ends(weights):
    """Return the least and the largest of weights."""
    from dask.base import compute

    return np.array(compute(weights.min(), weights.max()), dtype=np.float64)


def _is_array(X):
    return all(hasattr(X, name) for name in ("dtype", "chunks", "map_blocks"))
