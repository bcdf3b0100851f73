"""A scaler and a streaming classifier for the features of a network."""

from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property, partial, wraps
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from scipy.linalg import solve
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.preprocessing import LabelBinarizer, StandardScaler
from sklearn.utils.multiclass import check_classification_targets, unique_labels
from sklearn.utils.validation import check_is_fitted, validate_data

from skscn._core.moments import DataMoments, data_moments
from skscn._data.blas_threads import single_blas_thread
from skscn._data.inputs import check_numpy_input, load_in_memory
from skscn._data.parallel import sum_over_rows, worker_pool
from skscn._data.sklearn_compat import (
    Interval,
    VersionMixin,
    atomic_fit,
    check_sample_weight,
)
from skscn._data.validation import check_squares

FLOAT_DTYPES = [np.float64, np.float32]
READER = "Scalers and classifiers of features"
ORIGIN_ROWS = 1024  # first rows, whose mean is subtracted from all rows
MAX_SINGLE_THREAD_FEATURES = 512  # fewer are solved faster by one thread of BLAS


def in_memory(method):
    """Decorate a method that reads features in memory: others are loaded first.

    Tensors are refused.
    """

    @wraps(method)
    def call(estimator, X, *args, **kwargs):
        check_numpy_input(X, READER)
        return method(estimator, load_in_memory(X), *args, **kwargs)

    return call


class FlooredScaler(VersionMixin, StandardScaler):
    """Standardization with a lower bound of the scale.

    The mean of every feature is subtracted, and the feature is divided by

        scale = √max(variance, floor² · mean variance of all features)

    Sparse codes need the bound: a code that is zero in almost all training images, as
    at the edges of digits, has a tiny standard deviation. Without the bound, a new
    image with this code would have a feature larger than all others.

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

    # fit_transform, too, so that a Pipeline does not load features twice.
    fit_transform = in_memory(StandardScaler.fit_transform)
    transform = in_memory(StandardScaler.transform)
    inverse_transform = in_memory(StandardScaler.inverse_transform)

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
            An integer weight equals repetition of its sample.

        Returns
        -------
        self : object
            The scaler.
        """
        super().partial_fit(X, y, sample_weight)
        if self.with_std:
            self.scale_ = floored_scale(self.var_, self.floor)
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.array_api_support = False
        return tags


class StreamingRidgeClassifier(VersionMixin, ClassifierMixin, BaseEstimator):
    """Ridge classification of standardized features, from sums over samples.

    With targets t of ±1 for every class and features z standardized by
    :class:`FlooredScaler`, it minimizes the mean over samples of::

        ‖z W + b − t‖²  +  alpha ‖W‖²

    The classifier stores sums over samples only, n_features² numbers. It is for
    features that do not fit in memory: mini-batches give the same solution as all
    samples together, up to rounding. The equations are solved when the solution is
    first used. scikit-learn's :class:`~sklearn.linear_model.RidgeClassifier`, with
    `alpha` times n_samples, finds the same solution.

    Read more in the :ref:`user guide <networks>`.

    Parameters
    ----------
    alpha : float, default=0.01
        Penalty, for one sample.
    floor : float, default=0.1
        Minimum scale of a feature, in units of the square root of the mean variance.
    n_jobs : int, default=None
        Number of :term:`workers <worker>`. None means every core that NumPy would use.
        The result has the same bits for every number.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients of the features before standardization.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts of the decision function.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen in `fit`, if X had string column names.

    Raises
    ------
    ValueError
        On `fit`, if X, y or a parameter has a wrong shape or value.

    See Also
    --------
    sklearn.linear_model.RidgeClassifier : The same for all samples together.
    sklearn.linear_model.SGDClassifier : Other losses on mini-batches, approximately.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from skscn import StreamingRidgeClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> classifier = StreamingRidgeClassifier()
    >>> for rows in np.array_split(np.arange(len(X)), 4):
    ...     classifier = classifier.partial_fit(X[rows], y[rows], classes=range(10))
    >>> print(f"{classifier.score(X, y):.2f}")
    0.95
    """

    _parameter_constraints: ClassVar[dict] = {
        "alpha": [Interval(Real, 0, None, closed="neither")],
        "floor": [Interval(Real, 0, None, closed="left")],
        "n_jobs": [Integral, None],
    }

    def __init__(self, *, alpha=0.01, floor=0.1, n_jobs=None):
        self.alpha = alpha
        self.floor = floor
        self.n_jobs = n_jobs

    @atomic_fit
    @in_memory
    def fit(self, X, y, sample_weight=None):
        """Learn from all samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features. Dask arrays are loaded into memory.
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. An integer weight equals repetition of its sample.

        Returns
        -------
        self : object
            The fitted classifier.

        Raises
        ------
        ValueError
            If X is not finite, y has one class only, or shapes disagree.
        """
        y = load_in_memory(y)
        X, y = validate_data(self, X, y, dtype=FLOAT_DTYPES)
        check_classification_targets(y)
        return self._learn(X, y, sample_weight, unique_labels(y), None)

    @atomic_fit
    @in_memory
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Learn from one more mini-batch of samples, or continue after `fit`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The mini-batch.
        y : array-like of shape (n_samples,)
            Labels.
        classes : array-like of shape (n_classes,), default=None
            All labels. They are needed in the first call.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. An integer weight equals repetition of its sample.

        Returns
        -------
        self : object
            The classifier, fitted to all mini-batches so far.

        Raises
        ------
        ValueError
            As `fit`, and if `classes` is missing or changes, or y has other labels.
        """
        is_first = not hasattr(self, "classes_")
        y = load_in_memory(y)
        X, y = validate_data(self, X, y, dtype=FLOAT_DTYPES, reset=is_first)
        check_classification_targets(y)
        if is_first and classes is None:
            raise ValueError(
                "The first call of partial_fit needs all classes: give all labels of "
                "the data as classes=."
            )
        all_classes = unique_labels(classes) if is_first else self.classes_
        if classes is not None and not np.array_equal(
            unique_labels(classes), all_classes
        ):
            raise ValueError(
                f"classes={classes} is not the same as in the call before, "
                f"{all_classes}."
            )
        statistics = None if is_first else self._statistics
        return self._learn(X, y, sample_weight, all_classes, statistics)

    @property
    def coef_(self):
        """Coefficients of the features before standardization."""
        return self._solution("coef_")[0]

    @property
    def intercept_(self):
        """Intercepts of the decision function."""
        return self._solution("intercept_")[1]

    @in_memory
    def decision_function(self, X):
        """Predict the score of every class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes)
            About 1 for the class of a sample and -1 for others. For two classes it is
            the score of the second.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOAT_DTYPES, reset=False)
        scores = X @ self.coef_.T.astype(X.dtype) + self.intercept_.astype(X.dtype)
        return scores.ravel() if len(self.coef_) == 1 else scores

    def predict(self, X):
        """Predict the label with the largest score.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Labels.
        """
        scores = self.decision_function(X)
        if scores.ndim == 1:
            return self.classes_[(scores > 0).astype(int)]
        return self.classes_[scores.argmax(axis=1)]

    def _solution(self, name):
        if not hasattr(self, "classes_"):
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r} before it is fitted."
            )
        return self._statistics.solution

    def _learn(self, X, y, sample_weight, classes, statistics):
        if len(classes) < 2:
            raise ValueError(
                f"y has 1 class, {classes}: a classifier needs samples of at least two."
            )
        unknown = np.setdiff1d(y, classes)
        if len(unknown):
            raise ValueError(f"y has the labels {unknown}, which are not in classes.")
        weights = check_sample_weight(sample_weight, X)
        if weights is None:
            weights = np.ones(len(X), dtype=X.dtype)
        targets = LabelBinarizer(neg_label=-1, pos_label=1).fit(classes).transform(y)
        if statistics is None:
            # Close to the mean, so that sums of squares keep their digits.
            origin = X[:ORIGIN_ROWS].mean(axis=0, dtype=np.float64).astype(X.dtype)
        else:
            origin = statistics.origin
        with worker_pool(len(X), self.n_jobs) as pool:
            function = partial(_moments, origin=origin.astype(X.dtype))
            columns = np.column_stack([weights, targets])
            moments = sum_over_rows(pool, function, X, columns)
        check_squares(np.trace(moments.scatter), X.dtype)
        if statistics is not None:
            moments = statistics.moments + moments
        self._statistics = RidgeStatistics(origin, moments, self.alpha, self.floor)
        self.classes_ = classes
        return self


@dataclass(frozen=True)
class RidgeStatistics:
    """Sums over samples, and the ridge regression that they determine.

    Parameters
    ----------
    origin : ndarray of shape (n_features,)
        Subtracted from the features before they are summed.
    moments : DataMoments
        Of features and targets, with their scatter matrix.
    alpha, floor : float
        As in `StreamingRidgeClassifier`.
    given_solution : tuple of ndarray or None, default=None
        A solution that replaces that of the regression.
    """

    origin: np.ndarray
    moments: DataMoments
    alpha: float
    floor: float
    given_solution: tuple | None = None

    @cached_property
    def solution(self):
        """Coefficients and intercepts for the features before standardization."""
        if self.given_solution is not None:
            return self.given_solution
        moments, n_features = self.moments, len(self.origin)
        mean = moments.weighted_sum / moments.weight
        covariance = np.asarray(moments.scatter) / moments.weight
        covariance = covariance - np.outer(mean, mean)
        variance = np.maximum(np.diag(covariance)[:n_features], 0.0)
        scale = floored_scale(variance, self.floor)
        features, targets = slice(n_features), slice(n_features, None)
        system = covariance[features, features] / scale / scale[:, None]
        system[np.diag_indices(n_features)] += self.alpha
        is_small = n_features < MAX_SINGLE_THREAD_FEATURES
        with single_blas_thread() if is_small else nullcontext():
            coef = solve(
                system, covariance[features, targets] / scale[:, None], assume_a="pos"
            )
        coef /= scale[:, None]
        return coef.T, mean[targets] - (self.origin + mean[features]) @ coef


def floored_scale(variance, floor):
    """Return standard deviations of at least `floor` times their root mean square."""
    scale = np.sqrt(np.maximum(variance, floor**2 * np.mean(variance)))
    # A scale at the level of rounding errors is replaced by 1, as in StandardScaler.
    scale[scale <= 10 * np.finfo(scale.dtype).eps * np.max(scale, initial=0.0)] = 1.0
    return scale


def _moments(rows, columns, *, origin):
    """Return the moments of features and targets.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
    columns : ndarray of shape (n_rows, 1 + n_targets)
        Sample weights and targets.
    origin : ndarray of shape (n_features,)
    """
    weights, targets = columns[:, 0], columns[:, 1:]
    features_and_targets = np.hstack([rows - origin, targets.astype(rows.dtype)])
    return data_moments(features_and_targets, weights.astype(rows.dtype), scatter=True)
