"""Imputation of missing values by a coder, as a step of a Pipeline."""

from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.impute import MissingIndicator
from sklearn.utils.validation import check_is_fitted

from skscn._coders.base import BaseCoder
from skscn._coders.orthogonal import OrthogonalSparseCoder
from skscn._core.caller_warnings import warn_caller
from skscn._data.inputs import (
    check_numpy_input,
    check_weights,
    drop_weightless,
    load_in_memory,
    validate_floats,
)
from skscn._data.sample_weights import to_repetitions
from skscn._data.sklearn_compat import (
    PackageMixin,
    atomic_fit,
    check_feature_names_in,
)

# The default coder has one atom for so many features and for so many samples: with more
# atoms the imputed values fit the noise.
FEATURES_PER_ATOM = 3
ROWS_PER_ATOM = 5


class SparseCodingImputer(PackageMixin, TransformerMixin, BaseEstimator):
    """Imputation of missing values by a model of sparse codes.

    A coder learns from the measured values. A missing value is replaced by its
    reconstruction, mean + codes D, with the posterior mean of the codes given the
    measured values of its sample. This is the method `impute` of a coder as a
    transformer, for a Pipeline in which the coder is fitted to the training folds only.

    Features should have the same scale, as for :class:`~sklearn.decomposition.PCA`.

    Read more in the :ref:`user guide <missing>`.

    Parameters
    ----------
    coder : estimator, default=None
        An :class:`OrthogonalSparseCoder` or :class:`NonNegativeSparseCoder`. None takes
        an OrthogonalSparseCoder with ``alpha="auto"``, one atom for every three
        features, and at least five samples for every atom.
    add_indicator : bool, default=False
        Whether `transform` appends a column for each feature with missing values in
        `fit`: 1 where it is missing and 0 elsewhere, as in
        :class:`~sklearn.impute.SimpleImputer`.
    keep_empty_features : bool, default=False
        What becomes of features that are missing in all samples of `fit`, about which
        nothing can be learned. With False they are dropped, with a warning. With True
        their missing values become zero. Both are as in
        :class:`~sklearn.impute.SimpleImputer`.

    Attributes
    ----------
    coder_ : estimator
        The coder, fitted to the features that are not empty.
    indicator_ : MissingIndicator or None
        The transformer that appends the indicator columns, with `add_indicator=True`.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen in `fit`, where X had string column names.

    Raises
    ------
    ValueError
        On `fit`, if all features are missing in all samples, or as the coder does.

    See Also
    --------
    OrthogonalSparseCoder : Encodes samples with missing values by itself.
    sklearn.impute.IterativeImputer : A regression for every feature.
    sklearn.impute.KNNImputer : The mean of similar samples.

    References
    ----------
    .. [1] A. Dempster, N. Laird, D. Rubin, "Maximum likelihood from incomplete data via
       the EM algorithm", Journal of the Royal Statistical Society B 39, 1977.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from skscn import SparseCodingImputer
    >>> X, _ = load_digits(return_X_y=True)
    >>> missing = np.random.default_rng(0).random(X.shape) < 0.1
    >>> imputed = SparseCodingImputer().fit_transform(np.where(missing, np.nan, X))
    >>> error = np.std((imputed - X)[missing])
    >>> bool(error < 0.7 * np.std((X - X.mean(axis=0))[missing]))
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        "coder": [BaseCoder, None],
        "add_indicator": ["boolean"],
        "keep_empty_features": ["boolean"],
    }

    def __init__(self, coder=None, *, add_indicator=False, keep_empty_features=False):
        self.coder = coder
        self.add_indicator = add_indicator
        self.keep_empty_features = keep_empty_features

    @atomic_fit
    def fit(self, X, y=None, sample_weight=None):
        """Learn the coder.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training data; NaN marks missing values.
        y : Ignored
            Not used, present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. An integer weight equals repetition of its sample.

        Returns
        -------
        self : object
            The fitted imputer.

        Raises
        ------
        ValueError
            If X is empty, infinite or complex, if all features are missing in all
            samples, or as the coder does.
        """
        X = self._validate(X, reset=True)
        counted, weights = drop_weightless(X, check_weights(sample_weight, X))
        is_empty = np.isnan(counted).all(axis=0)
        self._check_empty(is_empty, len(counted))
        coder = self.coder
        if coder is None:
            n_atoms = int(np.count_nonzero(~is_empty)) // FEATURES_PER_ATOM
            n_rows = len(X)
            if weights is not None:
                n_rows = to_repetitions(weights, np.float64).sum()
            n_atoms = max(1, min(n_atoms, int(n_rows // ROWS_PER_ATOM)))
            coder = OrthogonalSparseCoder(n_atoms, alpha="auto", tol=1e-3)
        self.coder_ = clone(coder).fit(_drop(X, is_empty), sample_weight=sample_weight)
        self._is_empty, self.indicator_ = is_empty, None
        self._keeps_empty = self.keep_empty_features
        if self.add_indicator:
            self.indicator_ = MissingIndicator(error_on_new=False).fit(counted)
        return self

    def transform(self, X):
        """Impute missing values.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples; NaN marks missing values.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features_out)
            A copy without NaN; measured values stay. Features that were empty in `fit`
            are dropped, or zero where they are missing. The indicator columns follow.

        Raises
        ------
        ValueError
            If X is infinite or has another number of features than in `fit`.
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        is_empty = self._is_empty
        imputed = self.coder_.impute(_drop(X, is_empty))
        if self._keeps_empty:
            kept = np.where(is_empty & np.isnan(X), 0, X)
            kept[:, ~is_empty] = imputed
            imputed = kept
        if self.indicator_ is None:
            return imputed
        return np.hstack([imputed, self.indicator_.transform(X)], dtype=X.dtype)

    def get_feature_names_out(self, input_features=None):
        """Return the names of the features that `transform` returns.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the features of X. None takes those seen in `fit`, or x0, x1, ...

        Returns
        -------
        names : ndarray of str
            Names of the features that are kept, and of the indicator columns.
        """
        check_is_fitted(self)
        names = check_feature_names_in(self, input_features)
        kept = names if self._keeps_empty else names[~self._is_empty]
        if self.indicator_ is None:
            return kept
        return np.concatenate([kept, self.indicator_.get_feature_names_out(names)])

    def _check_empty(self, is_empty, n_samples):
        """Warn of empty features that are dropped; raise where all are empty."""
        if is_empty.all():
            raise ValueError(
                f"All {len(is_empty)} features of X are NaN in all {n_samples} "
                "samples, so that nothing can be learned. Give at least one measured "
                "value."
            )
        if is_empty.any() and not self.keep_empty_features:
            warn_caller(
                f"{np.count_nonzero(is_empty)} of {len(is_empty)} features are NaN in "
                f"all {n_samples} samples and are dropped: {np.flatnonzero(is_empty)}. "
                "keep_empty_features=True keeps them.",
            )

    def _validate(self, X, *, reset):
        check_numpy_input(X, "Imputers")
        return validate_floats(
            self, load_in_memory(X), reset=reset, ensure_all_finite="allow-nan"
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _drop(X, is_empty):
    """Return X without the empty features, in C order."""
    return np.ascontiguousarray(X[:, ~is_empty]) if is_empty.any() else X
