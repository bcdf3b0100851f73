"""Arrays that stay on disk, read as floats slice by slice."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.sparse import issparse

AT_HAND = (
    "Missing entries are completed in a copy, which needs X at hand: use {}, or chunks "
    "of it with partial_fit."
)
NO_MISSING_VALUES = "Layers of images take no missing entries: complete X first."
HELD = 2  # chunks of a file that stay in memory: a slice may lie in two


def is_stored(X, types):
    """Return whether X is an array that would have to be copied to be at hand.

    Such are memory maps of a dtype that is not among `types`, and whatever is no array
    of NumPy but has its `shape`, `dtype` and slices of rows: Zarr, HDF5.
    """
    if isinstance(X, np.memmap):
        return X.dtype not in types
    if isinstance(X, np.ndarray | np.generic) or issparse(X):
        return False
    asked = ("shape", "ndim", "__getitem__")
    others = ("__dlpack__", "__dask_graph__", "iloc")  # devices, clusters, frames
    return (
        isinstance(getattr(X, "dtype", None), np.dtype)
        and all(hasattr(X, name) for name in asked)
        and not any(hasattr(X, name) for name in others)
    )


def float_type(dtype, types):
    """Return the dtype that data of a dtype are read as, or say why there is none."""
    if dtype.kind == "c":
        raise ValueError(f"Complex data not supported: X has dtype {dtype}.")
    if dtype.kind not in "biuf":
        raise ValueError(
            f"X has dtype {dtype}, but only numbers can be read slice by slice. Use "
            "X.astype(float)."
        )
    return dtype if dtype in types else np.dtype(types[0])


def check_sizes(X):
    """Raise where an array has no rows, or rows of nothing."""
    if len(X.shape) < 2:
        raise ValueError(
            f"Expected 2D array, got an array of shape {tuple(X.shape)} instead. Use "
            "X.reshape(1, -1) if it is a single sample."
        )
    if 0 in X.shape:
        raise ValueError(
            f"Found array with shape {tuple(X.shape)} while a minimum of 1 sample and "
            "1 feature is required."
        )


def check_method(method):
    """Raise where a method learns, which no block can do by itself."""
    if method.startswith(("fit", "partial_fit")):
        raise ValueError(
            f"method={method!r} would learn anew from every block. Call fit first, "
            'and give the name of a method that reads, such as "transform".'
        )


def check_result(found, method):
    """Raise where a method, asked for one sample, does not return one row."""
    shape = getattr(found, "shape", ())
    if not shape or shape[0] != 1:
        raise ValueError(
            f"{method} returns no row for each sample: of 1 sample it made "
            f"{type(found).__name__} of shape {tuple(shape)}. Blocks are for methods "
            'such as "transform", "predict" and "score_samples".'
        )


def check_finite(rows, where, remedy):
    """Raise where rows that are not at hand hold NaN or infinity."""
    if rows.dtype.kind != "f":
        return
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(rows.sum(dtype=np.float64)):
            return
    if np.isinf(rows).any():
        raise ValueError(f"Input X contains infinity in {where}.")
    if np.isnan(rows).any():
        raise ValueError(f"Input X contains NaN in {where}. {remedy}")


@dataclass(frozen=True)
class RemoteRows:
    """Rows of an array that is not at hand, of the shape that they are read in.

    Parameters
    ----------
    array : array-like
        With `shape`, `dtype` and slices.
    dtype : dtype
        That rows are read as.
    row_shape : tuple of int
    """

    array: Any
    dtype: np.dtype
    row_shape: tuple

    @classmethod
    def of(cls, array, types):
        """Return the rows of an array, read as one of the types."""
        check_sizes(array)
        return cls(array, float_type(array.dtype, types), tuple(array.shape[1:]))

    @property
    def shape(self):
        """(n_rows, *row_shape)."""
        return (self.array.shape[0], *self.row_shape)

    @property
    def ndim(self):
        """Number of dimensions."""
        return 1 + len(self.row_shape)

    def __len__(self):
        return self.array.shape[0]

    def reshape(self, _, *row_shape):
        """Return the same with rows of another shape."""
        return replace(self, row_shape=row_shape)


@dataclass(frozen=True)
class StoredRows(RemoteRows):
    """Rows of an array on disk: indexing reads them.

    Parameters
    ----------
    array, dtype, row_shape
        As for `RemoteRows`.
    remedy : str
        What to do about NaN.
    """

    remedy: str = AT_HAND.format("X[:]")
    _held: dict = field(default_factory=dict, repr=False, compare=False)

    def __getitem__(self, which):
        if isinstance(which, slice):
            start, stop, _ = which.indices(len(self))
            return self._read(start, stop)
        which = np.asarray(which)
        rows = np.empty((len(which), *self.row_shape), dtype=self.dtype)
        size = chunk_rows(self.array) or 1
        spans = which // size
        for span in np.unique(spans):
            wanted = np.flatnonzero(spans == span)
            start = int(which[wanted].min())
            read = self._read(start, int(which[wanted].max()) + 1)
            rows[wanted] = read[which[wanted] - start]
        return rows

    def _read(self, start, stop):
        size = chunk_rows(self.array)
        if size is None:
            rows = np.asarray(self.array[start:stop])
        else:
            parts = [
                self._chunk(i, size)[max(start - i * size, 0) : stop - i * size]
                for i in range(start // size, -(-stop // size))
            ]
            rows = parts[0] if len(parts) == 1 else np.concatenate(parts)
        check_finite(rows, f"rows {start} to {stop - 1}", self.remedy)
        rows = rows.astype(self.dtype, order="C", copy=False)
        return rows.reshape(len(rows), *self.row_shape)

    def _chunk(self, i, size):
        """Return a chunk of the file, which is slow to read and is held a while."""
        if i not in self._held:
            while len(self._held) >= HELD:
                self._held.pop(next(iter(self._held)))
            self._held[i] = np.asarray(self.array[i * size : (i + 1) * size])
        return self._held[i]


def chunk_rows(X):
    """Return how many rows of a file are stored together, or None for each alone."""
    chunks = getattr(X, "shards", None) or getattr(X, "chunks", None)
    if not chunks or not isinstance(chunks[0], int):
        return None
    return chunks[0]
