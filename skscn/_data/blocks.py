"""Methods that treat each sample by itself, applied block by block."""

from contextlib import suppress
from functools import wraps
from numbers import Real
from os import PathLike, fspath, fsync, replace, unlink
from os.path import exists, isdir, realpath, samefile
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.lib.format import dtype_to_descr, open_memmap, write_array_header_1_0
from scipy import sparse

from skscn._data.dask_arrays import is_dask, map_dask_blocks
from skscn._data.inputs import is_remote
from skscn._data.progress import report_progress
from skscn._data.sklearn_compat import array_namespace, as_numpy
from skscn._data.stored_arrays import check_complete, check_not_empty, chunk_rows
from skscn._data.validation import cast

BLOCK_BYTES = 2**25  # of input or output, whichever is larger, as float64


def map_blocks(estimator, X, *, method="transform", out=None, block_bytes=BLOCK_BYTES):
    """Apply a method of an estimator to samples, block by block.

    This is for data or results that are larger than memory: only one block of each is
    in memory at a time. The method must treat each sample by itself, as `transform`,
    `predict` and `score_samples` of all estimators of this package do, and of most
    others. A Pipeline of such steps can be used, too.

    Parameters
    ----------
    estimator : estimator instance
        Fitted.
    X : array-like of shape (n_samples, ...)
        Samples: an array, a memory map, a data frame, a dask array, or any array that
        has a `shape`, a `dtype` and slices of rows, such as those of Zarr and of HDF5.
        Sparse matrices are converted to CSR.
    method : str, default="transform"
        The name of the method.
    out : array-like of shape (n_samples, ...), str or path, default=None
        Where results are written: an array, a memory map, or any array that slices of
        rows can be assigned to; or the name of an `.npy` file to create. An existing
        file of that name is replaced when all results are complete. None creates an
        array in memory.
    block_bytes : int, default=33554432
        Approximate size of a block of samples, or of results.

    Returns
    -------
    out : array-like of shape (n_samples, ...)
        The results. For a new file, a memory map of it; CSR where the method returns
        CSR; for a dask array, a lazy one with known chunks.

    Raises
    ------
    ValueError
        If `out` has another shape than the results, a dtype that cannot hold them
        (floats may be rounded, but must not overflow; other values must stay what they
        are), shares memory with rows of X that are still to be read, or is the file
        that X is read from; if the method learns, or returns no row for each sample; if
        `block_bytes` is not a positive integer; or as the method does.
    TypeError
        If the estimator has no such method, if `out` is not an array with a NumPy
        dtype, or is given for a dask array, which has its own ways to be stored, or if
        X is a data frame of dask.

    See Also
    --------
    sklearn.base.TransformerMixin : The methods, for data in memory.
    numpy.lib.format.open_memmap : Memory maps of `.npy` files.

    Notes
    -----
    Inside ``joblib.parallel_config(verbose=10)``, the progress is printed.

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
    check_method(method, estimator)
    block_bytes = _check_block_bytes(block_bytes)
    if is_dask(X):
        if out is not None:
            raise TypeError(
                "out is for arrays in memory or on disk. Results of dask arrays are "
                "lazy: store them by dask.array.store, to_zarr or to_npy_stack."
            )
        return map_dask_blocks(estimator, X, method, check_result)
    X = X if hasattr(X, "shape") else np.asarray(X)
    X = X.tocsr() if sparse.issparse(X) else X  # other formats have no slices of rows
    check_not_empty(X)
    function = getattr(estimator, method)
    first = function(_read(X, 0, 1))  # has the shape and dtype of a result
    check_result(first, method)
    slices = _slices(X, first, block_bytes)
    parts = report_progress(slices, len(slices))

    def compute(start, stop):
        result = function(_read(X, start, stop))
        _check_shape(result, (stop - start, *first.shape[1:]), method)
        return result

    if sparse.issparse(first):
        if out is not None:
            raise ValueError(
                f"{method} returns CSR, which out cannot hold: use sparse_output=False."
            )
        results = [compute(*part) for part in parts]
        return sparse.vstack(results, format="csr")
    first = np.asarray(as_numpy(first))
    shape = (X.shape[0], *first.shape[1:])
    blocks = ((part, np.asarray(as_numpy(compute(*part)))) for part in parts)
    if isinstance(out, str | PathLike):
        _check_path(out, X, first.dtype)
        return _write_file(blocks, realpath(fspath(out)), first.dtype, shape)
    if out is None:
        out = np.empty(shape, dtype=first.dtype)
    _check_out(out, shape, first.dtype)
    _check_overlap(out, X)
    return _write_blocks(blocks, out)


def blockwise(method):
    """Decorate a method that treats each sample by itself: it accepts remote data.

    For dask arrays it returns lazy ones. Arrays on disk are read block by block. The
    estimator has `_read_types`, the dtypes that it reads without a copy.
    """

    @wraps(method)
    def call(estimator, X, *args, **kwargs):
        if is_remote(X, estimator._read_types):
            return map_blocks(estimator, X, method=method.__name__)
        return method(estimator, X, *args, **kwargs)

    return call


def _write_blocks(blocks, out):
    """Write results into an array, and return it."""
    for (start, stop), result in blocks:
        out[start:stop] = _cast_block(result, out.dtype, (start, stop))
        del result  # before the next block is computed
    if isinstance(out, np.memmap):
        out.flush()
    return out


def _cast_block(result, dtype, part):
    """Return results in a dtype that holds them; raise if it does not."""
    if dtype.hasobject:
        return result
    return cast(result, dtype, f"The results of rows {part[0]} to {part[1] - 1}")


def _write_file(blocks, path, dtype, shape):
    """Return the memory map of a new file, renamed into place when it is complete.

    Until then an older file of that name stays: X may be a view of it. Blocks are
    written one after another, because a full disk is an error there, whereas writing
    to a memory map ends the process.
    """
    header = {"descr": dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    partial_path = f"{path}.{uuid4().hex}.part"
    try:
        with open(partial_path, "xb") as file:
            write_array_header_1_0(file, header)
            for part, result in blocks:
                rows = np.ascontiguousarray(_cast_block(result, dtype, part))
                file.write(rows.reshape(-1).view(np.uint8).data)
            file.flush()
            fsync(file.fileno())  # the name must not reach the disk before the rows
        replace(partial_path, path)
    except BaseException:
        with suppress(OSError):  # no incomplete file stays
            unlink(partial_path)
        raise
    return open_memmap(path, "r+")


def _read(X, start, stop):
    """Return a block of rows in memory: an array of any library, CSR or a frame."""
    block = X[start:stop, ...] if array_namespace(X) else X[start:stop]
    block = block if hasattr(block, "shape") else np.asarray(block)
    check_complete(block, start, stop)
    require_in_memory = sparse.issparse(block) or hasattr(block, "columns")
    return block if require_in_memory or array_namespace(X) else np.asarray(block)


def _slices(X, first, block_bytes):
    """Return blocks of rows as (start, stop); they end where chunks of a file end."""
    n_rows = X.shape[0]
    numbers = max(int(np.prod(X.shape[1:])), int(np.prod(first.shape[1:])))
    size = max(1, block_bytes // (8 * numbers))
    chunk = chunk_rows(X) or 1
    size = max(chunk, size // chunk * chunk)
    return [(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]


def check_method(method, estimator):
    """Raise where there is no such method, or where it learns from all samples."""
    try:
        getattr(estimator, method)
    except (AttributeError, TypeError) as error:
        raise TypeError(
            f"{type(estimator).__name__} has no method {method!r}. Give the name of "
            "one that it has."
        ) from error
    if method.startswith(("fit", "partial_fit")):
        raise ValueError(
            f"method={method!r} would learn anew from every block. Call fit first, "
            'and give the name of a method that does not learn, such as "transform".'
        )


def check_result(result, method):
    """Raise where the result of a method for one sample is not one row."""
    shape = getattr(result, "shape", ())
    if not shape or shape[0] != 1:
        raise ValueError(
            f"{method} returns no row for each sample: for 1 sample it returned "
            f"{type(result).__name__} of shape {tuple(shape)}. map_blocks is for "
            'methods such as "transform", "predict" and "score_samples".'
        )


def _check_shape(result, shape, method):
    """Raise where the results of a block do not have the shape of those of one row."""
    if tuple(np.shape(result)) != shape:
        raise ValueError(
            f"{method} returned an array of shape {tuple(np.shape(result))} for "
            f"{shape[0]} samples, but should return {shape}, as it did for one sample. "
            "map_blocks is for methods that treat each sample by itself."
        )


def _check_block_bytes(block_bytes):
    """Return block_bytes as a positive integer, or raise."""
    size = float(block_bytes) if isinstance(block_bytes, Real) else 0.0
    if size <= 0 or not size.is_integer():
        raise ValueError(
            f"block_bytes={block_bytes!r} must be a positive integer: a number of "
            f"bytes, such as {BLOCK_BYTES}."
        )
    return int(size)


def _check_path(path, X, dtype):
    """Raise where a new file would replace the one that X is read from."""
    if dtype.hasobject:
        raise ValueError(
            f"The results have dtype {dtype}, which memory maps cannot hold: leave out "
            "at None, or fit to labels that are numbers or fixed-width strings."
        )
    if isdir(path):
        raise IsADirectoryError(f"out is a folder, {path}. Give the name of a file.")
    source = getattr(X, "filename", None)
    if source is not None and exists(path) and samefile(path, source):
        raise ValueError(
            f"out is the file that X is read from, {path}. Give another name."
        )


def _check_out(out, shape, dtype):
    """Raise where an array cannot take the results."""
    has_dtype = isinstance(getattr(out, "dtype", None), np.dtype)
    if not (has_dtype and hasattr(out, "shape")) or is_dask(out):
        raise TypeError(
            f"out is of type {type(out).__name__}: results are written to arrays with "
            "a NumPy dtype, such as those of NumPy, Zarr and HDF5, or to a file whose "
            "name is given."
        )
    if tuple(out.shape) != shape:
        raise ValueError(
            f"out has shape {tuple(out.shape)}, but the results have shape {shape}. "
            "Use that shape, or give the name of a new .npy file."
        )
    if not np.can_cast(dtype, out.dtype, "same_kind"):
        raise ValueError(
            f"out has dtype {out.dtype}, which cannot hold the results, of dtype "
            f"{dtype}. Make it of that dtype."
        )
    if isinstance(out, np.ndarray) and not out.flags.writeable:
        raise ValueError('out is read-only. Open memory maps of it with mode="r+".')


def _check_overlap(out, X):
    """Raise where results would overwrite rows that are still to be read."""
    if not (isinstance(X, np.ndarray) and np.may_share_memory(X, out)):
        return
    is_row_by_row = X[0].flags.c_contiguous and out[:1].flags.c_contiguous
    is_row_by_row = is_row_by_row and out.strides[0] <= X.strides[0]
    is_in_place = X.ctypes.data == out.ctypes.data and (
        X.strides == out.strides or is_row_by_row
    )
    if not is_in_place and _share_memory(X, out):
        raise ValueError(
            "out shares memory with X, and results would overwrite rows that are still "
            "to be read. Give another array, or one that begins where X does."
        )


def _share_memory(X, out):
    work: Any = 10_000  # where the exact answer takes longer, it counts as yes
    try:
        return np.shares_memory(X, out, max_work=work)
    except np.exceptions.TooHardError:
        return True
