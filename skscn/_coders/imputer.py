"""Imputation of missing values by a coder, as a step of a Pipeline."""

from typing import ClassVar

from sklearn.base import (
    BaseEstimator,
    OneToOneFeatureMixin,
    TransformerMixin,
    clone,
)
from sklearn.utils.validation import check_is_fitted, validate_data

from skscn._coders.base import BaseCoder
from skscn._coders.orthogonal import OrthogonalSparseCoder
from skscn._data.inputs import FLOAT_DTYPES, check_numpy_input, load_in_memory
from skscn._data.sklearn_compat import VersionMixin, atomic_fit

# The default coder has one atom for so many features and for so many samples: with more
# atoms the imputed values fit the noise.
FEATURES_PER_ATOM = 3
ROWS_PER_ATOM = 5


class SparseCodingImputer(
    VersionMixin, OneToOneFeatureMixin, TransformerMixin, BaseEstimator
):
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

    Attributes
    ----------
    coder_ : estimator
        The fitted coder.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen in `fit`, where X had string column names.

    Raises
    ------
    ValueError
        On `fit`, if a feature is missing in all samples, or as the coder does.

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

    _parameter_constraints: ClassVar[dict] = {"coder": [BaseCoder, None]}

    def __init__(self, coder=None):
        self.coder = coder

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
            If X is empty, infinite or complex, if a feature is missing in all samples,
            or as the coder does.
        """
        X = self._validate(X, reset=True)
        coder = self.coder
        if coder is None:
            n_atoms = min(X.shape[1] // FEATURES_PER_ATOM, len(X) // ROWS_PER_ATOM)
            coder = OrthogonalSparseCoder(max(1, n_atoms), alpha="auto", tol=1e-3)
        self.coder_ = clone(coder).fit(X, sample_weight=sample_weight)
        return self

    def transform(self, X):
        """Impute missing values.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples; NaN marks missing values.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            A copy without NaN; measured values stay.

        Raises
        ------
        ValueError
            If X is infinite or has another number of features than in `fit`.
        """
        check_is_fitted(self)
        return self.coder_.impute(self._validate(X, reset=False))

    def _validate(self, X, *, reset):
        check_numpy_input(X, "Imputers")
        X = load_in_memory(X)
        return validate_data(
            self, X, reset=reset, dtype=FLOAT_DTYPES, ensure_all_finite="allow-nan"
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
