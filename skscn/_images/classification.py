"""A streaming classifier for the features of a network."""

from dataclasses import replace
from functools import partial
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.multiclass import check_classification_targets, unique_labels
from sklearn.utils.validation import check_is_fitted

from skscn._data.inputs import drop_weightless, load_in_memory
from skscn._data.parallel import sum_over_rows, worker_pool
from skscn._data.sample_weights import cast_weights
from skscn._data.sklearn_compat import (
    Interval,
    PackageMixin,
    StrOptions,
    atomic_fit,
    check_sample_weight,
    validate_data,
)
from skscn._data.validation import check_squares
from skscn._images.ridge_statistics import (
    MIN_SINGLE_PRECISION_ALPHA,
    RidgeStatistics,
    feature_moments,
)
from skscn._images.validation import in_memory

FLOAT_DTYPES = [np.float64, np.float32]


class StreamingRidgeClassifier(PackageMixin, ClassifierMixin, BaseEstimator):
    """Ridge classification of standardized features, from sums over samples.

    With targets t of ±1 for every class and features z standardized by
    :class:`FlooredScaler`, it minimizes the mean over samples of::

        ‖z W + b − t‖²  +  alpha ‖W‖²

    The classifier stores sums over samples only, n_features² numbers. It is for
    features that do not fit in memory: mini-batches give the same solution as all
    samples together, up to rounding. `fit` solves the equations; after `partial_fit`
    they are solved when the solution is first used. With ``alpha`` below 0.001 sums of
    float32 features are computed in float64, which takes twice as long. scikit-learn's
    :class:`~sklearn.linear_model.RidgeClassifier`, with `alpha` times n_samples, finds
    the same solution.

    Read more in the :ref:`user guide <networks>`.

    Parameters
    ----------
    alpha : float or "auto", default="auto"
        Penalty, for one sample. "auto" minimizes the error of generalized
        cross-validation [1]_, which needs the sums only: in a stream, the penalty
        follows the samples seen so far. It is between 0.0001 and 10. The equations are
        then solved for about five penalties, which takes n_features³ · 3
        multiplications, or once if there are far fewer samples than features. Weights
        count as repetitions of samples, unless their total is below (Σw)² / Σw²:
        weights of 100 would mean a hundred times the samples.
    floor : float, default=0.1
        Minimum scale of a feature, in units of the square root of the mean variance.
        For tables of mixed units use 0.
    store_statistics : bool, default=True
        Whether to store the sums after `fit`, for later calls of `partial_fit`. Files
        of a classifier hold half of n_features² numbers with them, and n_classes ×
        n_features coefficients without.
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
    alpha_ : float
        The penalty.
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

    References
    ----------
    .. [1] G. H. Golub, M. Heath and G. Wahba, "Generalized Cross-Validation as a Method
       for Choosing a Good Ridge Parameter", Technometrics 21, 1979, 215-223.

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

    _statistics: RidgeStatistics

    _parameter_constraints: ClassVar[dict] = {
        "alpha": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "floor": [Interval(Real, 0, None, closed="left")],
        "store_statistics": ["boolean"],
        "n_jobs": [Integral, None],
    }

    def __init__(self, *, alpha="auto", floor=0.1, store_statistics=True, n_jobs=None):
        self.alpha = alpha
        self.floor = floor
        self.store_statistics = store_statistics
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
            If X is not finite, y has one class only, or shapes disagree, or if `alpha`
            is so small that rounding errors decide.
        """
        y = load_in_memory(y)
        X, y = validate_data(self, X, y, dtype=FLOAT_DTYPES)
        check_classification_targets(y)
        self._learn(X, y, sample_weight, unique_labels(y), None)
        solution = self._statistics.solution
        if not self.store_statistics:
            self._statistics = replace(
                self._statistics, moments=None, given_solution=solution
            )
        return self

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
            As `fit`, and if `classes` is missing or changes, or y has other labels. If
            `alpha` is too small, the first use of the solution raises this.
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
        moments = None if is_first else self._statistics.moments
        if moments is None and not is_first:
            raise ValueError(
                "partial_fit continues from the sums over earlier samples, which fit "
                "has not stored with store_statistics=False. Set it to True and fit "
                "again."
            )
        return self._learn(X, y, sample_weight, all_classes, moments)

    @property
    def coef_(self):
        """Coefficients of the features before standardization."""
        return self._solution("coef_").coef

    @property
    def intercept_(self):
        """Intercepts of the decision function."""
        return self._solution("intercept_").intercept

    @property
    def alpha_(self):
        """The penalty."""
        return self._solution("alpha_").alpha

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

    def _learn(self, X, y, sample_weight, classes, moments):
        if len(classes) < 2:
            raise ValueError(
                f"y has 1 class, {classes}: a classifier needs samples of at least two."
            )
        unknown = np.setdiff1d(y, classes)
        if len(unknown):
            raise ValueError(f"y has the labels {unknown}, which are not in classes.")
        weights = cast_weights(check_sample_weight(sample_weight, X), X.dtype)
        targets = LabelBinarizer(neg_label=-1, pos_label=1).fit(classes).transform(y)
        if weights is None:
            weights = np.ones(len(X), dtype=X.dtype)
        targets = targets[weights > 0]
        X, weights = drop_weightless(X, weights)
        is_small = self.alpha != "auto" and self.alpha < MIN_SINGLE_PRECISION_ALPHA
        is_precise = X.dtype == np.float64 or is_small
        function = partial(feature_moments, dtype=np.float64 if is_precise else X.dtype)
        with worker_pool(len(X), self.n_jobs) as pool:
            columns = np.column_stack([weights, targets])
            added = sum_over_rows(pool, function, X, columns)
        check_squares(np.trace(added.scatter) / added.weight, X.dtype)
        moments = added if moments is None else moments + added
        self._statistics = RidgeStatistics(moments, self.alpha, self.floor)
        self.classes_ = classes
        return self
