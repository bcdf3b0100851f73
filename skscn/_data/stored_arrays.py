"""Arrays that stay on disk and are read as floats, slice by slice."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.sparse import issparse

LOAD_TO_IMPUTE = (
    "Missing values are imputed in a copy, which needs X in memory: use {}, or "
    "partial_fit with mini-batches in memory."
)
NO_MISSING_VALUES = "Layers of images take no missing values: impute X first."
MAX_CHUNKS_IN_MEMORY = 2  # of a file: a slice of rows may lie in two chunks


def is_stored(X, types):
    """Return whether X is an array on disk, which is not to be loaded as a whole.

    These are memory maps of a dtype that is not among `types`, and objects that are no
    NumPy arrays but have `shape`, `dtype` and slices of rows: Zarr, HDF5.
    """
    if isinstance(X, np.memmap):
        return X.dtype not in types
    if isinstance(X, np.ndarray | np.generic) or issparse(X):
        return False
    required = ("shape", "ndim", "__getitem__")
    others = ("__dlpack__", "__dask_graph__", "iloc")  # devices, clusters, frames
    return (
        isinstance(getattr(X, "dtype", None), np.dtype)
        and all(hasattr(X, name) for name in required)
        and not any(hasattr(X, name) for name in others)
    )


def float_type(dtype, types):
    """Return the dtype that data of some dtype are read as, or raise."""
    if dtype.kind == "c":
        raise ValueError(f"Complex data not supported: X has dtype {dtype}.")
    if dtype.kind not in "biuf":
        raise ValueError(
            f"X has dtype {dtype}, but only numbers can be read slice by slice. Use "
            "X.astype(float)."
        )
    return dtype if dtype in types else np.dtype(types[0])


def check_not_empty(X):
    """Raise where an array has fewer than two dimensions, no rows or no features."""
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


def check_finite(rows, where, remedy):
    """Raise where rows that were read hold NaN or infinity."""
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
    """Rows of an array that is not in memory, and the shape that they are read in.

    Parameters
    ----------
    array : array-like
        With `shape`, `dtype` and slices.
    dtype : dtype
        That rows are read as.
    row_shape : tuple of int
    n_rows : int
    """

    array: Any
    dtype: np.dtype
    row_shape: tuple
    n_rows: int  # when the call began: files may grow

    @classmethod
    def from_array(cls, array, types):
        """Return the rows of an array, read as one of the dtypes."""
        check_not_empty(array)
        n_rows, *row_shape = array.shape
        return cls(array, float_type(array.dtype, types), tuple(row_shape), n_rows)

    @property
    def shape(self):
        """(n_rows, *row_shape)."""
        return (self.n_rows, *self.row_shape)

    @property
    def ndim(self):
        """Number of dimensions."""
        return 1 + len(self.row_shape)

    def __len__(self):
        return self.n_rows

    def reshape(self, _, *row_shape):
        """Return the same rows in another shape."""
        return replace(self, row_shape=row_shape)


@dataclass(frozen=True)
class StoredRows(RemoteRows):
    """Rows of an array on disk, which indexing reads.

    Parameters
    ----------
    array, dtype, row_shape, n_rows
        As of `RemoteRows`.
    missing_remedy : str
        The remedy in the error that is raised for NaN.
    """

    missing_remedy: str = LOAD_TO_IMPUTE.format("X[:]")
    _chunks: dict = field(default_factory=dict, repr=False, compare=False)

    def __getitem__(self, which):
        if isinstance(which, slice):
            start, stop, _ = which.indices(len(self))
            return self._read(start, stop)
        which = np.asarray(which)
        rows = np.empty((len(which), *self.row_shape), dtype=self.dtype)
        chunks = which // (chunk_rows(self.array) or 1)
        for chunk in np.unique(chunks):
            inside = np.flatnonzero(chunks == chunk)
            start = int(which[inside].min())
            read = self._read(start, int(which[inside].max()) + 1)
            rows[inside] = read[which[inside] - start]
        return rows

    def _read(self, start, stop):
        size = chunk_rows(self.array)
        if size is None:
            rows = check_complete(np.asarray(self.array[start:stop]), start, stop)
        else:
            parts = [
                self._chunk(i, size)[max(start - i * size, 0) : stop - i * size]
                for i in range(start // size, -(-stop // size))
            ]
            rows = parts[0] if len(parts) == 1 else np.concatenate(parts)
        check_finite(rows, f"rows {start} to {stop - 1}", self.missing_remedy)
        rows = rows.astype(self.dtype, order="C", copy=False)
        return rows.reshape(len(rows), *self.row_shape)

    def _chunk(self, i, size):
        """Return a chunk of the file; the last chunks read stay in memory."""
        if i not in self._chunks:
            while len(self._chunks) >= MAX_CHUNKS_IN_MEMORY:
                self._chunks.pop(next(iter(self._chunks)))
            start, stop = i * size, min((i + 1) * size, len(self))
            chunk = np.asarray(self.array[start:stop])
            self._chunks[i] = check_complete(chunk, start, stop)
        return self._chunks[i]


def check_complete(rows, start, stop):
    """Return rows that were read, or raise where some of start to stop are missing."""
    if rows.shape[0] != stop - start:
        raise ValueError(
            f"Rows {start} to {stop - 1} of X are {stop - start} rows, but "
            f"{rows.shape[0]} were read. X changed after the call began, or its file "
            "is incomplete."
        )
    return rows


def chunk_rows(X):
    """Return the number of rows in a chunk of a file, or None without chunks."""
    chunks = getattr(X, "shards", None) or getattr(X, "chunks", None)
    if not chunks or not isinstance(chunks[0], int):
        return None
    return chunks[0]
