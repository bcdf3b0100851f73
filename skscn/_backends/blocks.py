"""Methods that read each sample by itself, block by block, wherever the samples are."""

from contextlib import suppress
from functools import wraps
from os import PathLike, unlink
from os.path import exists, samefile

import numpy as np
from numpy.lib.format import open_memmap
from scipy import sparse

from skscn._backends.cluster import is_dask, lazily
from skscn._backends.rows import is_afar
from skscn._backends.stored import check_sizes, chunk_rows
from skscn._compat import array_namespace, as_numpy

BLOCK_BYTES = 2**25  # of input or output, whichever is larger, as float64


def map_blocks(estimator, X, *, method="transform", out=None, block_bytes=BLOCK_BYTES):
    """Return what a method of an estimator makes of samples, block by block.

    For data, or results, that are larger than memory: only a block of both is at hand
    at a time. The method must treat each sample by itself, as `transform`, `predict` or
    `score_samples` of all estimators here do, and of most others. A Pipeline of such
    steps will do.

    Parameters
    ----------
    estimator : estimator instance
        Fitted.
    X : array-like of shape (n_samples, ...)
        Samples: an array, a memory map, CSR, a frame, a dask array, or any array that
        has a `shape`, a `dtype` and slices of rows, such as those of Zarr and of HDF5.
    method : str, default="transform"
        The name of the method.
    out : array-like of shape (n_samples, ...), str or path, default=None
        Where results are written: an array, a memory map, or any array that slices of
        rows can be assigned to; or the name of an `.npy` file, which is made. None
        makes an array in memory.
    block_bytes : int, default=33554432
        About how large a block of samples, or of results, may be.

    Returns
    -------
    out : array-like of shape (n_samples, ...)
        The results; of a new file, a memory map of it. CSR where the method returns
        CSR. Of a dask array, a lazy one with known chunks.

    Raises
    ------
    ValueError
        If `out` has another shape than the results, a dtype that cannot hold them, or
        is the file that X is read from, or as the method does.
    TypeError
        If `out` is given for dask arrays, which have their own ways to be stored.

    See Also
    --------
    sklearn.base.TransformerMixin : The methods, of data at hand.
    numpy.lib.format.open_memmap : Memory maps of `.npy` files.

    Examples
    --------
    >>> import numpy as np
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn.datasets import load_digits
    >>> from skscn import OrthogonalSparseCoder, map_blocks
    >>> X, _ = load_digits(return_X_y=True)
    >>> with TemporaryDirectory() as folder:
    ...     np.save(Path(folder) / "X.npy", X)
    ...     X = np.load(Path(folder) / "X.npy", mmap_mode="r")
    ...     coder = OrthogonalSparseCoder(32, alpha=4.0).fit(X)
    ...     codes = map_blocks(coder, X, out=Path(folder) / "codes.npy")
    ...     codes.shape, codes.dtype
    ((1797, 32), dtype('float64'))
    """
    if is_dask(X):
        if out is not None:
            raise TypeError(
                "out is for arrays at hand. Results of dask arrays are lazy: store "
                "them by dask.array.store, to_zarr or to_npy_stack."
            )
        return lazily(estimator, X, method)
    X = X if hasattr(X, "shape") else np.asarray(X)
    check_sizes(X)
    function = getattr(estimator, method)
    first = function(_read(X, 0, 1))  # tells what results are like
    parts = _slices(X, first, block_bytes)
    if sparse.issparse(first):
        if out is not None:
            raise ValueError(
                f"{method} returns CSR, which out cannot hold: use sparse_output=False."
            )
        found = [function(_read(X, *part)) for part in parts]
        return sparse.vstack(found, format="csr")
    first = np.asarray(as_numpy(first))
    shape = (X.shape[0], *first.shape[1:])
    path = None
    if out is None:
        out = np.empty(shape, dtype=first.dtype)
    elif isinstance(out, str | PathLike):
        _check_path(out, X)
        path, out = out, open_memmap(out, "w+", dtype=first.dtype, shape=shape)
    _check_out(out, shape, first.dtype)
    try:
        for start, stop in parts:
            out[start:stop] = np.asarray(as_numpy(function(_read(X, start, stop))))
    except BaseException:
        if path is not None:  # no half-written file stays
            with suppress(OSError):
                unlink(path)
        raise
    if isinstance(out, np.memmap):
        out.flush()
    return out


def rowwise(method):
    """Decorate a method that reads each sample by itself: it takes data that are afar.

    Of dask arrays it returns lazy ones; what is on disk it reads block by block. The
    estimator has `_read_types`, dtypes that it reads without a copy.
    """

    @wraps(method)
    def call(estimator, X, *args, **kwargs):
        if is_afar(X, estimator._read_types):
            return map_blocks(estimator, X, method=method.__name__)
        return method(estimator, X, *args, **kwargs)

    return call


def _read(X, start, stop):
    """Return a block of rows at hand: an array of any library, CSR or a frame."""
    block = X[start:stop, ...] if array_namespace(X) else X[start:stop]
    at_hand = sparse.issparse(block) or hasattr(block, "columns")
    return block if at_hand or array_namespace(X) else np.asarray(block)


def _slices(X, first, block_bytes):
    """Return blocks of rows as (start, stop); they end where chunks of a file do."""
    n_rows = X.shape[0]
    numbers = max(int(np.prod(X.shape[1:])), int(np.prod(first.shape[1:])))
    size = max(1, block_bytes // (8 * numbers))
    chunk = chunk_rows(X) or 1
    size = max(chunk, size // chunk * chunk)
    return [(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]


def _check_path(path, X):
    """Raise where a new file would take the place of the one that is read."""
    source = getattr(X, "filename", None)
    if source is not None and exists(path) and samefile(path, source):
        raise ValueError(
            f"out is the file that X is read from, {path}. Give the name of another."
        )


def _check_out(out, shape, dtype):
    """Raise where results do not fit into an array."""
    if tuple(out.shape) != shape:
        raise ValueError(
            f"out has shape {tuple(out.shape)}, but the results have shape {shape}. "
            "Make it so, or give the name of a new .npy file."
        )
    if not np.can_cast(dtype, out.dtype, "same_kind"):
        raise ValueError(
            f"out has dtype {out.dtype}, which cannot hold the results, of dtype "
            f"{dtype}. Make it of that dtype."
        )
