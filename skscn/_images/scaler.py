"""A scaler for the features of a network: standardization with a minimum scale."""

from copy import copy, deepcopy
from functools import wraps
from numbers import Real
from typing import ClassVar

import numpy as np
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from skscn._data.sample_weights import check_weight_range
from skscn._data.sklearn_compat import (
    Interval,
    PackageMixin,
    atomic_fit,
    check_fixed_parameters,
    check_sample_weight,
    safe_indexing,
    store_fixed_parameters,
)
from skscn._data.validation import watch_range
from skscn._images.ridge_statistics import floored_scale
from skscn._images.validation import in_memory


def _as_fitted(method):
    """Decorate a method of StandardScaler that reads parameters: they are as in fit."""

    @wraps(method)
    def call(scaler, X, *args, **kwargs):
        check_is_fitted(scaler)
        fitted = copy(scaler)
        vars(fitted).update(scaler._fixed_parameters)
        X = _as_float32(X)
        with watch_range(X, "scaled features") as check_results:
            result = method(fitted, X, *args, **kwargs)
            check_results(result)
        return result

    return call


class FlooredScaler(PackageMixin, StandardScaler):
    """Standardization with a lower bound of the scale.

    The mean of every feature is subtracted, and the feature is divided by

        scale = √max(variance, floor² · mean variance of all features)

    Sparse codes need the bound: a code that is zero in almost all training images, as
    at the edges of digits, has a tiny standard deviation. Without the bound, a new
    image with this code would have a feature larger than all others.

    The bound compares features with each other, so they need a common unit, as codes
    have. In a table of mixed units the features of small numbers would hardly count:
    there use ``floor=0``.

    Dask arrays and arrays on disk are loaded into memory in every call.

    Parameters
    ----------
    floor : float, default=0.1
        Minimum scale, in units of the square root of the mean variance. With 0 it is
        :class:`~sklearn.preprocessing.StandardScaler`.
    copy : bool, default=True
        Whether `transform` leaves X unchanged.
    with_mean : bool, default=True
        Whether to subtract the mean.
    with_std : bool, default=True
        Whether to divide by the scale.

    Attributes
    ----------
    scale_ : ndarray of shape (n_features,)
        Divisor of every feature; None with `with_std=False`.
    mean_ : ndarray of shape (n_features,)
        Mean of every feature.
    var_ : ndarray of shape (n_features,)
        Variance of every feature.
    n_samples_seen_ : int
        Number of samples, or the sum of their weights.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen in `fit`, if X had string column names.

    Raises
    ------
    ValueError
        On `fit`, if X or a parameter has a wrong shape or value.

    See Also
    --------
    sklearn.preprocessing.StandardScaler : The same without a lower bound.

    Examples
    --------
    >>> import numpy as np
    >>> from skscn import FlooredScaler
    >>> X = np.array([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [-1.0, 0.01]])
    >>> FlooredScaler(floor=0.1).fit(X).scale_
    array([1.  , 0.07])
    """

    _parameter_constraints: ClassVar[dict] = {
        "floor": [Interval(Real, 0, None, closed="left")],
        **StandardScaler._parameter_constraints,
    }

    def __init__(self, *, floor=0.1, copy=True, with_mean=True, with_std=True):
        super().__init__(copy=copy, with_mean=with_mean, with_std=with_std)
        self.floor = floor

    scale_: np.ndarray

    _fixed_in_stream = ("with_mean", "with_std")

    fit = atomic_fit(StandardScaler.fit)  # it forgets, and learns anew
    # fit_transform, too, so that a Pipeline does not load features twice.
    fit_transform = in_memory(StandardScaler.fit_transform)
    transform = in_memory(_as_fitted(StandardScaler.transform))
    inverse_transform = in_memory(_as_fitted(StandardScaler.inverse_transform))

    @in_memory
    def partial_fit(self, X, y=None, sample_weight=None):
        """Learn means and variances from one more mini-batch.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The mini-batch.
        y : Ignored
            Not used, present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. An integer weight equals repetition of its sample.
            Samples of weight zero do not count, whatever their features are.

        Returns
        -------
        self : object
            The scaler.

        Raises
        ------
        ValueError
            If X has another number of features, if its squares, or weights times them,
            leave the range of float64, or if a weight is negative.
        """
        X = _as_float32(X)
        if hasattr(self, "n_samples_seen_"):
            check_fixed_parameters(self)
        if sample_weight is not None:
            X, sample_weight = _drop_weightless_samples(X, sample_weight)
        updated = deepcopy(self)  # StandardScaler writes into its attributes
        _add_samples(updated, X, y, sample_weight)
        _check_moments(updated)
        if self.with_std:
            updated.scale_ = floored_scale(updated.var_, updated.scale_, self.floor)
        self.__dict__.update(updated.__dict__)
        store_fixed_parameters(self)
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.array_api_support = False
        return tags


def _add_samples(scaler, X, y, sample_weight):
    """Call `partial_fit` of StandardScaler, and mend what it loses.

    It divides zero by zero for features that are missing in all samples, of the
    mini-batch or until now.
    """
    former_count = np.asarray(getattr(scaler, "n_samples_seen_", 0))
    former = {name: getattr(scaler, name, None) for name in ("mean_", "var_")}
    for name, moments in former.items():
        if moments is not None:
            setattr(scaler, name, np.where(former_count > 0, moments, 0.0))
    with np.errstate(over="ignore", invalid="ignore"):
        StandardScaler.partial_fit(scaler, X, y, sample_weight)
    is_missing = np.asarray(scaler.n_samples_seen_) == former_count
    for name, moments in former.items():
        if moments is not None and is_missing.any():
            kept = np.where(is_missing, moments, getattr(scaler, name))
            setattr(scaler, name, kept)


def _check_moments(scaler):
    """Raise where sums over the measured values of a feature overflowed."""
    is_measured = np.asarray(scaler.n_samples_seen_) > 0
    for moments in (scaler.mean_, scaler.var_):
        if moments is not None:
            n_lost = np.count_nonzero(~np.isfinite(moments) & is_measured)
            if n_lost:
                raise ValueError(
                    f"The squares of {n_lost} of {len(moments)} features overflow. "
                    "Divide X by a constant."
                )


def _as_float32(X):
    """Return X, an array or CSR, without float16: its squares soon overflow."""
    return X.astype(np.float32) if getattr(X, "dtype", None) == np.float16 else X


def _drop_weightless_samples(X, sample_weight):
    """Return the samples of a table of any kind that have a weight, and the weights."""
    weights = check_sample_weight(sample_weight, X)
    dtype = getattr(X, "dtype", None)
    check_weight_range(weights, np.float32 if dtype == np.float32 else np.float64)
    if weights.all():
        return X, weights
    return safe_indexing(X, np.flatnonzero(weights)), weights[weights != 0]
