"""What stands on top of a network: a scaler, and a classifier for streams."""

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
from skscn._data.inputs import load_in_memory
from skscn._data.parallel import single_blas_thread, sum_over_rows, worker_pool
from skscn._data.sklearn_compat import Interval, atomic_fit, check_sample_weight
from skscn._data.validation import check_squares

FLOAT_DTYPES = [np.float64, np.float32]
ORIGIN_ROWS = 1024
SMALL = 512  # features, below which threads of BLAS cost more than they do


def gathering(method):
    """Decorate a method that reads features at hand: those afar are brought there."""

    @wraps(method)
    def call(estimator, X, *args, **kwargs):
        return method(estimator, load_in_memory(X), *args, **kwargs)

    return call


class FlooredScaler(StandardScaler):
    """Standardisation in which features that hardly vary are not blown up.

    Every feature is freed from its mean and divided by

        scale = √max(variance, floor² · mean variance of all features)

    Sparse codes need it: where few training images have a code at all, as at the rim of
    digits, the standard deviation is tiny, and the one new image that has it would
    outweigh everything else.

    Dask arrays and arrays on disk are brought into memory, once in every call.

    Parameters
    ----------
    floor : float, default=0.1
        Least scale, in units of the root mean variance. 0 makes it
        :class:`~sklearn.preprocessing.StandardScaler`.
    copy : bool, default=True
        Whether `transform` leaves X as it is.
    with_mean : bool, default=True
        Whether to subtract the mean.
    with_std : bool, default=True
        Whether to divide by the scale.

    Attributes
    ----------
    scale_ : ndarray of shape (n_features,)
        What features are divided by; None with `with_std=False`.
    mean_ : ndarray of shape (n_features,)
        Mean of every feature.
    var_ : ndarray of shape (n_features,)
        Variance of every feature.
    n_samples_seen_ : int
        Number of samples, or their weight.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen in `fit`, where X had string column names.

    Raises
    ------
    ValueError
        On `fit`, if X or a parameter has a wrong shape or value.

    See Also
    --------
    sklearn.preprocessing.StandardScaler : The same without a floor, which this extends.

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

    # The first of them, so that a Pipeline does not compute features twice.
    fit_transform = gathering(StandardScaler.fit_transform)
    transform = gathering(StandardScaler.transform)
    inverse_transform = gathering(StandardScaler.inverse_transform)

    @gathering
    def partial_fit(self, X, y=None, sample_weight=None):
        """Learn means and variances from one more chunk; `fit` is one chunk.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The chunk.
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


class StreamingRidgeClassifier(ClassifierMixin, BaseEstimator):
    """Ridge classification of standardised features, from sums over samples.

    With targets t of ±1 for every class and features z standardised as
    :class:`FlooredScaler` does, it minimises the mean over samples of::

        ‖z W + b − t‖²  +  alpha ‖W‖²

    All that it keeps of the samples are sums, so that chunks give what all samples at
    once give, to rounding, in the memory of n_features² numbers: the classifier for
    features that do not fit in memory. The equations are solved when the weights are
    first asked for. scikit-learn's
    :class:`~sklearn.linear_model.RidgeClassifier` with `alpha` times n_samples finds
    the same weights.

    Read more in the :ref:`user guide <networks>`.

    Parameters
    ----------
    alpha : float, default=0.01
        Penalty, for one sample.
    floor : float, default=0.1
        Least scale of a feature, in units of the root mean variance of features.
    n_jobs : int, default=None
        Number of workers. The result has the same bits for every number. None means 1,
        -1 means all cores.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Weights of the features as they are, not standardised.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Added to the products.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen in `fit`, where X had string column names.

    Raises
    ------
    ValueError
        On `fit`, if X, y or a parameter has a wrong shape or value.

    See Also
    --------
    sklearn.linear_model.RidgeClassifier : For all samples at once.
    sklearn.linear_model.SGDClassifier : Other losses on chunks, approximately.

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
    @gathering
    def fit(self, X, y, sample_weight=None):
        """Learn from all samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features, read slice by slice. Dask arrays are brought into memory.
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
    @gathering
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Learn from one more chunk of samples, or go on after `fit`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The chunk.
        y : array-like of shape (n_samples,)
            Labels.
        classes : array-like of shape (n_classes,), default=None
            All labels of the stream; needed with its first chunk.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. An integer weight equals repetition of its sample.

        Returns
        -------
        self : object
            The classifier, fitted to the stream so far.

        Raises
        ------
        ValueError
            As `fit`, and if `classes` is missing or changes, or y has other labels.
        """
        first = not hasattr(self, "classes_")
        y = load_in_memory(y)
        X, y = validate_data(self, X, y, dtype=FLOAT_DTYPES, reset=first)
        check_classification_targets(y)
        if first and classes is None:
            raise ValueError(
                "The first call of partial_fit needs all classes: give all labels of "
                "the stream as classes=."
            )
        known = unique_labels(classes) if first else self.classes_
        if classes is not None and not np.array_equal(unique_labels(classes), known):
            raise ValueError(
                f"classes={classes} is not the same as in the call before, {known}."
            )
        seen = None if first else self._ridge
        return self._learn(X, y, sample_weight, known, seen)

    @property
    def coef_(self):
        """Weights of the features as they are."""
        return self._solved("coef_")[0]

    @property
    def intercept_(self):
        """What is added to the products."""
        return self._solved("intercept_")[1]

    @gathering
    def decision_function(self, X):
        """Return the confidence in every class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes)
            About 1 for the class of a sample and -1 for others; for two classes, of the
            second.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOAT_DTYPES, reset=False)
        scores = X @ self.coef_.T.astype(X.dtype) + self.intercept_.astype(X.dtype)
        return scores.ravel() if len(self.coef_) == 1 else scores

    def predict(self, X):
        """Return the label of the largest score.

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

    def _solved(self, name):
        if not hasattr(self, "classes_"):
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r} before it is fitted."
            )
        return self._ridge.solution

    def _learn(self, X, y, sample_weight, classes, seen):
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
        if seen is None:
            # Squares about a point near the data lose no digits.
            origin = X[:ORIGIN_ROWS].mean(axis=0, dtype=np.float64).astype(X.dtype)
        else:
            origin, seen = seen.origin, seen.moments
        with worker_pool(len(X), self.n_jobs) as pool:
            sums = partial(_sums, origin=origin.astype(X.dtype))
            moments = sum_over_rows(pool, sums, X, np.column_stack([weights, targets]))
        check_squares(np.trace(moments.scatter), X.dtype)
        if seen is not None:
            moments = seen + moments
        self._ridge = Ridge(origin, moments, self.alpha, self.floor)
        self.classes_ = classes
        return self


@dataclass(frozen=True)
class Ridge:
    """Sums over samples, and the ridge regression that they make, once it is asked for.

    Parameters
    ----------
    origin : ndarray of shape (n_features,)
        What features are taken about.
    moments : DataMoments
        Of features and targets, with their scatter.
    alpha, floor : float
        As of `StreamingRidgeClassifier`.
    given_solution : tuple of ndarray or None, default=None
        Weights and intercepts that replace the solution, such as fine-tuned ones.
    """

    origin: np.ndarray
    moments: DataMoments
    alpha: float
    floor: float
    given_solution: tuple | None = None

    @cached_property
    def solution(self):
        """Weights and intercepts for the features as they are."""
        if self.given_solution is not None:
            return self.given_solution
        moments, n_features = self.moments, len(self.origin)
        mean = moments.weighted_sum / moments.weight
        scatter = np.asarray(moments.scatter) / moments.weight - np.outer(mean, mean)
        variance = np.maximum(np.diag(scatter)[:n_features], 0.0)
        scale = floored_scale(variance, self.floor)
        features, targets = slice(n_features), slice(n_features, None)
        system = scatter[features, features] / scale / scale[:, None]
        system[np.diag_indices(n_features)] += self.alpha
        with single_blas_thread() if n_features < SMALL else nullcontext():
            coef = solve(
                system, scatter[features, targets] / scale[:, None], assume_a="pos"
            )
        coef /= scale[:, None]
        return coef.T, mean[targets] - (self.origin + mean[features]) @ coef


def floored_scale(variance, floor):
    """Return standard deviations of at least `floor` times their root mean square."""
    scale = np.sqrt(np.maximum(variance, floor**2 * np.mean(variance)))
    # What is rounding error stands for no spread at all, as in StandardScaler.
    scale[scale <= 10 * np.finfo(scale.dtype).eps * np.max(scale, initial=0.0)] = 1.0
    return scale


def _sums(rows, beside, *, origin):
    """Return the moments of features and targets, beside which their weights stand."""
    weights, targets = beside[:, 0], beside[:, 1:]
    joined = np.hstack([rows - origin, targets.astype(rows.dtype)])
    return data_moments(joined, weights.astype(rows.dtype), scatter=True)
