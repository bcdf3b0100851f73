"""Rows wherever they are: what an estimator is given, checked, and ready to be read."""

from dataclasses import replace

import numpy as np
from sklearn import get_config
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from skscn._data.dask_arrays import DaskRows, is_dask
from skscn._data.device_arrays import DeviceRows, check_not_on_device, named
from skscn._data.sklearn_compat import array_namespace, check_sample_weight
from skscn._data.stored_arrays import StoredRows, is_stored
from skscn._data.validation import check_no_sparse_nan

FLOAT_DTYPES = [np.dtype(np.float64), np.dtype(np.float32)]


def is_remote(X, types=FLOAT_DTYPES):
    """Return whether X is on a cluster, or on disk in a form that must be read."""
    return is_dask(X) or is_stored(X, types)


def remote_rows(X, types=FLOAT_DTYPES, remedy=None):
    """Return the rows of data that are afar, read as one of the types.

    The remedy is for NaN; None stands for that of coders, which complete them.
    """
    rows = (DaskRows if is_dask(X) else StoredRows).of(X, types)
    return rows if remedy is None else replace(rows, remedy=remedy)


def check_rows(estimator, X, *, reset, method="fit", finite="allow-nan", **checks):
    """Return X as floats, dense or CSR, or as rows that are read slice by slice.

    Parameters
    ----------
    estimator : estimator instance
        Whose `n_features_in_` is set, or compared with.
    X : {array-like, sparse matrix, dask array, array on disk}
    reset : bool
        Whether X is what the estimator learns from first.
    method : str, default="fit"
        Who asks, for errors.
    finite : bool or str, default="allow-nan"
        What `ensure_all_finite` is for arrays at hand.
    **checks
        More for `check_array`.
    """
    if not reset:
        check_same_device(estimator, X, method)
    place = array_namespace(X)
    if place is not None:
        xp, _ = place
        check_no_gradients(X)
        known = X.dtype in (xp.float32, xp.float64)
        X = validate_data(
            estimator,
            X,
            reset=reset,
            dtype=X.dtype if known else xp.float64,
            ensure_all_finite="allow-nan",
            **checks,
        )
        if xp.any(xp.isnan(X)):
            raise ValueError(
                f"Input X contains NaN, and is of {named(xp)}. Missing values are "
                "completed in NumPy arrays only: move X to the processor, and there "
                "use np.asarray(X)."
            )
        return DeviceRows(X, *place)
    if is_remote(X):
        rows = remote_rows(X)
        if rows.ndim != 2:
            raise ValueError(
                f"Found array with dim {rows.ndim}, while 2 dimensions are expected: "
                f"X has shape {rows.shape}."
            )
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        return rows
    X = validate_data(
        estimator,
        X,
        reset=reset,
        dtype=FLOAT_DTYPES,
        accept_sparse="csr",
        ensure_all_finite=finite,
        **checks,
    )
    check_no_sparse_nan(X)
    return X


def check_weights(sample_weight, X):
    """Return weights that stand where the rows do, or None."""
    if hasattr(X, "check_weights"):
        return X.check_weights(sample_weight)
    return check_sample_weight(sample_weight, X)


def load_in_memory(X):
    """Return data that are afar as an array: for what cannot be learned in passes."""
    if is_dask(X):
        return X.compute()
    return np.asarray(X[:]) if is_remote(X) else X


def require_in_memory(X):
    """Return a chunk of rows as an array or CSR."""
    if isinstance(X, StoredRows):
        return X[:]
    check_not_dask(X)
    check_not_on_device(X, "partial_fit", "Use fit.")
    return X


def check_not_dask(X):
    """Raise where a chunk of a stream is on a cluster."""
    if isinstance(X, DaskRows) or is_dask(X):
        raise TypeError(
            "partial_fit learns from a chunk at hand, and X is a dask array. Use fit, "
            "which reads it chunk by chunk where it is, or X.compute()."
        )


def check_no_gradients(X):
    """Raise where a tensor carries gradients, which NumPy would lose."""
    if getattr(X, "requires_grad", False):
        raise TypeError(
            "X is a tensor that requires gradients, and coders have none. Use "
            "X.detach()."
        )


def check_numpy_input(X, what):
    """Raise where what NumPy alone can do is asked of another namespace."""
    place = array_namespace(X)
    if place is not None:
        raise TypeError(
            f"{what} read arrays of NumPy, and X is of {named(place[0])}. Use "
            "X.numpy(), or np.asarray(X), on the processor."
        )


def check_same_device(estimator, X, method):
    """Raise where a fitted estimator and X are on different devices."""
    fitted = getattr(estimator, "components_", None)
    here, there = array_namespace(X), array_namespace(fitted)
    if not get_config()["array_api_dispatch"]:
        if isinstance(fitted, np.ndarray | None):
            return
        raise TypeError(
            f"{type(estimator).__name__} was fitted to arrays of "
            f"{type(fitted).__module__}. Call {method} where it was fitted: in "
            "sklearn.config_context(array_api_dispatch=True)."
        )
    if here == there:
        return
    raise ValueError(
        f"Inputs passed to {type(estimator).__name__}.{method}() must use the same "
        "namespace and the same device as those passed to fit(). That was "
        f"{_named(there)}, and X is {_named(here)}. Move X, or fit again."
    )


def to_input_namespace(X, attributes):
    """Return fitted attributes with arrays where the rows are."""
    return X.to_input_namespace(attributes) if isinstance(X, DeviceRows) else attributes


def check_codes(estimator, X, n_components):
    """Return codes as floats: dense, CSR, or on a device."""
    check_same_device(estimator, X, "inverse_transform")
    place = array_namespace(X)
    if place is not None:
        xp, _ = place
        check_no_gradients(X)
        known = X.dtype in (xp.float32, xp.float64)
        X = check_array(X, dtype=X.dtype if known else xp.float64, estimator=estimator)
        X = DeviceRows(X, *place)
    else:
        X = check_array(X, dtype=FLOAT_DTYPES, accept_sparse="csr", estimator=estimator)
    if X.shape[1] != n_components:
        raise ValueError(
            f"X has {X.shape[1]} columns, but there are n_components={n_components} "
            "atoms: inverse_transform takes codes as transform returns them."
        )
    return X


def _named(place):
    return "NumPy" if place is None else f"{named(place[0])} on {place[1]}"
