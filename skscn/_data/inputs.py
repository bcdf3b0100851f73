"""Validation of what an estimator is given, wherever the rows are.

Arrays and CSR are validated as scikit-learn does. Arrays on disk, dask arrays and
tensors become objects that the rest of the package reads in place.
"""

from dataclasses import replace
from functools import partial

import numpy as np
from scipy.sparse import issparse
from sklearn import get_config

from skscn._data.dask_arrays import DaskRows, is_dask
from skscn._data.device_arrays import (
    DeviceRows,
    check_not_on_device,
    namespace_name,
)
from skscn._data.sklearn_compat import (
    array_namespace,
    check_array,
    check_sample_weight,
    validate_data,
)
from skscn._data.stored_arrays import StoredRows, is_stored
from skscn._data.validation import check_no_sparse_nan

FLOAT_DTYPES = [np.dtype(np.float64), np.dtype(np.float32)]


def is_remote(X, types=FLOAT_DTYPES):
    """Return whether X is a dask array, or on disk in a form that has to be read."""
    return is_dask(X) or is_stored(X, types)


def remote_rows(X, types=FLOAT_DTYPES, missing_remedy=None):
    """Return the rows of remote data, read as one of the dtypes.

    The remedy is that of errors for NaN. None stands for the remedy of coders, which
    impute missing values in memory.
    """
    rows = (DaskRows if is_dask(X) else StoredRows).from_array(X, types)
    if missing_remedy is None:
        return rows
    return replace(rows, missing_remedy=missing_remedy)


def check_rows(estimator, X, *, reset, method="fit", finite="allow-nan", **checks):
    """Return X as floats, dense or CSR, or as rows that are read slice by slice.

    Parameters
    ----------
    estimator : estimator instance
        Whose `n_features_in_` is set, or compared with.
    X : {array-like, sparse matrix, dask array, array on disk, tensor}
    reset : bool
        Whether X is the first data that the estimator learns from.
    method : str, default="fit"
        The calling method, for errors.
    finite : bool or str, default="allow-nan"
        `ensure_all_finite` for arrays in memory.
    **checks
        More arguments of `check_array`.
    """
    X = mark_missing(X)
    if not reset:
        check_same_device(estimator, X, method)
    on_device = _to_device_rows(
        X,
        partial(
            validate_data,
            estimator,
            reset=reset,
            ensure_all_finite="allow-nan",
            **checks,
        ),
    )
    if on_device is not None:
        xp = on_device.xp
        if xp.any(xp.isnan(on_device.array)):
            raise ValueError(
                f"Input X contains NaN, and is of {namespace_name(xp)}. Missing values "
                "are imputed in NumPy arrays only: move X to the processor, and there "
                "use np.asarray(X)."
            )
        return on_device
    if is_remote(X):
        rows = remote_rows(X)
        if rows.ndim != 2:
            raise ValueError(
                f"Found array with dim {rows.ndim}, while 2 dimensions are expected: "
                f"X has shape {rows.shape}."
            )
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        return rows
    X = validate_floats(
        estimator,
        X,
        reset=reset,
        accept_sparse="csr",
        ensure_all_finite=finite,
        **checks,
    )
    check_no_sparse_nan(X)
    return X


def validate_floats(estimator, X, **checks):
    """Return X as scikit-learn validates it, in one of `FLOAT_DTYPES`."""
    return validate_data(estimator, X, dtype=FLOAT_DTYPES, **checks)


def check_codes(estimator, X, n_columns):
    """Return codes as floats: dense, CSR, or on a device."""
    X = mark_missing(X)
    check_same_device(estimator, X, "inverse_transform")
    codes = _to_device_rows(X, partial(check_array, estimator=estimator))
    if codes is None:
        codes = check_array(
            X, dtype=FLOAT_DTYPES, accept_sparse="csr", estimator=estimator
        )
    if codes.shape[1] != n_columns:
        raise ValueError(
            f"X has {codes.shape[1]} columns, but transform returns codes with "
            f"{n_columns} columns: inverse_transform takes codes as transform "
            "returns them."
        )
    return codes


def check_weights(sample_weight, X):
    """Return sample weights in the place of the rows, in float64, or None."""
    if hasattr(X, "check_weights"):
        return X.check_weights(sample_weight)
    return check_sample_weight(sample_weight, X)


def drop_weightless(X, weights):
    """Return the rows of positive weight, and their weights.

    A row of weight zero does not count, whatever its values are. Remote rows stay.
    """
    if weights is None or not isinstance(weights, np.ndarray) or weights.all():
        return X, weights
    if not isinstance(X, np.ndarray) and not issparse(X):
        return X, weights
    return X[weights > 0], weights[weights > 0]


def mark_missing(X):
    """Return X with NaN in the place of masked values, and of pandas.NA in objects."""
    if isinstance(X, np.ma.MaskedArray):
        X = X if X.dtype.kind == "f" else X.astype(np.float64)
        return X.filled(np.nan)
    if hasattr(X, "isetitem"):  # a frame of pandas
        objects = [i for i, dtype in enumerate(X.dtypes) if dtype == "object"]
        X = X.copy(deep=False) if objects else X
        for i in objects:
            X.isetitem(i, X.iloc[:, i].to_numpy(na_value=np.nan))
    return X


def load_in_memory(X):
    """Return remote data as an array, for what cannot be learned in passes."""
    if is_dask(X):
        return X.compute()
    return np.asarray(X[:]) if is_remote(X) else mark_missing(X)


def load_minibatch(X):
    """Return a mini-batch as an array or CSR."""
    if isinstance(X, StoredRows):
        return X[:]
    check_not_dask(X)
    check_not_on_device(X, "partial_fit", "Use fit.")
    return X


def cast_minibatch(X, dtype):
    """Return a mini-batch in the dtype of the fitted atoms.

    Values beyond its range become infinite, and `check_squares` raises after it.
    """
    with np.errstate(over="ignore"):
        return X.astype(dtype, copy=False)


def check_not_dask(X):
    """Raise where a mini-batch is a dask array."""
    if isinstance(X, DaskRows) or is_dask(X):
        raise TypeError(
            "partial_fit takes a mini-batch in memory, but X is a dask array. Use fit, "
            "which reads it chunk by chunk on the workers, or X.compute()."
        )


def check_no_gradients(X):
    """Raise where a tensor requires gradients, which would be lost."""
    if getattr(X, "requires_grad", False):
        raise TypeError(
            "X is a tensor that requires gradients, and coders have none. Use "
            "X.detach()."
        )


def check_numpy_input(X, what):
    """Raise where X is of another namespace, for estimators that need NumPy."""
    place = array_namespace(X)
    if place is not None:
        raise TypeError(
            f"{what} read NumPy arrays, but X is of {namespace_name(place[0])}. Use "
            "X.numpy(), or np.asarray(X), on the processor."
        )


def check_same_device(estimator, X, method):
    """Raise where a fitted estimator and X are on different devices."""
    fitted = getattr(estimator, "components_", None)
    place_of_X, place_of_fitted = array_namespace(X), array_namespace(fitted)
    if not get_config()["array_api_dispatch"]:
        if isinstance(fitted, np.ndarray | None):
            return
        raise TypeError(
            f"{type(estimator).__name__} was fitted to arrays of "
            f"{type(fitted).__module__}. Call {method} where it was fitted: in "
            "sklearn.config_context(array_api_dispatch=True)."
        )
    if place_of_X == place_of_fitted:
        return
    raise ValueError(
        f"Inputs passed to {type(estimator).__name__}.{method}() must use the same "
        "namespace and the same device as those passed to fit(). That was "
        f"{_place_name(place_of_fitted)}, and X is {_place_name(place_of_X)}. Move X, "
        "or fit again."
    )


def to_input_namespace(X, attributes):
    """Return fitted attributes with arrays in the namespace and device of the rows."""
    if isinstance(X, DeviceRows):
        return X.attributes_to_device(attributes)
    return attributes


def _to_device_rows(X, validate):
    """Return an array of another namespace as `DeviceRows`, or None for NumPy.

    `validate` takes X and `dtype`.
    """
    place = array_namespace(X)
    if place is None:
        return None
    xp, device = place
    check_no_gradients(X)
    if xp.isdtype(X.dtype, "complex floating"):
        raise ValueError(f"Complex data not supported: X has dtype {X.dtype}.")
    dtype = X.dtype if X.dtype in (xp.float32, xp.float64) else xp.float64
    return DeviceRows(validate(X, dtype=dtype), xp, device)


def _place_name(place):
    return "NumPy" if place is None else f"{namespace_name(place[0])} on {place[1]}"
