"""Anomaly detection: samples with a low likelihood under a model of the data."""

from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.utils.validation import check_is_fitted

from skscn._coders.base import BaseCoder
from skscn._coders.mixture import SparseCodingMixture
from skscn._coders.orthogonal import OrthogonalSparseCoder
from skscn._core.missing_values import check_measured
from skscn._data.blocks import blockwise
from skscn._data.inputs import (
    FLOAT_DTYPES,
    check_numpy_input,
    check_rows,
    check_weights,
    drop_weightless,
    load_in_memory,
)
from skscn._data.row_sums import contains_missing
from skscn._data.sample_weights import to_repetitions
from skscn._data.sklearn_compat import (
    Interval,
    PackageMixin,
    StrOptions,
    atomic_fit,
)
from skscn._detection import image_layers
from skscn._detection.quantiles import upper_fence, weighted_quantiles
from skscn._detection.row_samples import sample_rows
from skscn._detection.table_model import TableModel
from skscn._images.convolution import ConvSparseCoder
from skscn._images.network import SparseCodingNetwork

LAYERS = (ConvSparseCoder, SparseCodingNetwork)
# Of the default coder. More atoms take longer. With fewer rows for each atom, the prior
# of its coefficient is unreliable. With a lower tol, in nats a feature, the scores
# hardly change.
MAX_ATOMS, ROWS_PER_ATOM, TOL = 100, 5, 2e-3
# More rows hardly change the parameters of an atom, but take longer, and anomalies that
# are alike have more of their kind among them.
MAX_ROWS_PER_ATOM, MIN_MAX_ROWS = 50, 2500
AUTO_TRIM = 0.1  # of rows
# Samples whose scores are this close to the threshold, relative to it, can be at it.
THRESHOLD_TOLERANCE = 1e-6
MAX_SAMPLES_AT_THRESHOLD = 1000  # whose rounding errors are bounded


class SparseCodingDetector(PackageMixin, OutlierMixin, BaseEstimator):
    """Anomaly detection by likelihood, with explanations.

    The score of a sample is a log-likelihood with two terms::

        score(x) = log p(z)  +  marginal_weight · Σ_f log m_f(z_f)

    z = asinh((x − median) / scale) are the features on a common scale. p is the exact
    likelihood of a sparse coder, which models the dependence between features. m_f is
    from a histogram of z_f, and models each feature by itself: discrete features, gaps
    between values, and values that few or no training samples exceed. For rows,
    `marginal_weight_` is 1.

    The score is a sum. `explain` returns its terms, by atom and by feature.

    With a coder of images, z are the pooled codes of an image, and the score is a sum
    over all pooled layers and positions. As pooled codes overlap, `marginal_weight_`
    then makes the interquartile ranges of both terms equal on the training data.

    Read more in the :ref:`user guide <anomalies>`.

    Parameters
    ----------
    coder : estimator, default=None
        For rows an :class:`OrthogonalSparseCoder` or :class:`NonNegativeSparseCoder`,
        or a :class:`SparseCodingMixture` if normal rows are of several kinds. For
        images and signals a :class:`ConvSparseCoder` or :class:`SparseCodingNetwork`;
        the default coder models its pooled codes. The codes of a single layer are
        pooled on a Gaussian grid of 4 × 4 cells; use a network to pool them in another
        way. None stands for ``OrthogonalSparseCoder(n_components, alpha="auto",
        tol=2e-3)`` with as many atoms as features, but at most 100, and at least five
        samples for each atom. It and the histograms are learned from at most 50 samples
        for each atom, or 2500 if this is more. Your own coder learns from all samples.
    scaling : {"robust"} or None, default="robust"
        "robust" transforms features to z with the median and the interquartile range of
        each, or with the mean absolute deviation where half of the values are equal.
        Features with a single value are not coded. None uses z = x.
    marginals : bool, default=True
        Whether to add the log m_f. Without them and without `scaling`, the score is the
        log-likelihood of the coder.
    trim : "auto" or float, default="auto"
        Fraction of the training samples to leave out, in [0, 0.5): those that are
        farthest from the median by a robust distance. Samples that alone vary in some
        direction are not left out. "auto" is 0.1 for rows and 0 for images. With zero,
        all samples are learned, and a group of similar anomalies among them then looks
        normal.
    contamination : "auto" or float, default="auto"
        Fraction of the training samples that `predict` labels as anomalies, in
        (0, 0.5]. With "auto", about 1 % of new normal samples are below the threshold,
        and up to 7 % where features have few samples or short tails. It is computed
        from quantiles of the scores of the samples that are learned.
    n_jobs : int, default=None
        Number of :term:`workers <worker>`. None means every core that NumPy would use.
        The result has the same bits for every number.

    Attributes
    ----------
    coder_ : estimator
        The fitted coder of rows, or of pooled codes.
    layers_ : SparseCodingNetwork or None
        The fitted layers of images.
    marginal_weight_ : float
        Factor of Σ_f log m_f.
    offset_ : float
        The threshold: `decision_function` is `score_samples` minus `offset_`. It is
        lowered by a bound on rounding errors, so that a sample at the threshold has the
        same label in every batch.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen in `fit`, where X had string column names.

    Raises
    ------
    ValueError
        On `fit`, if X has one sample only, if it is infinite, or as the coder does.

    See Also
    --------
    ExplanationDisplay : Plots the output of `explain`.
    OrthogonalSparseCoder : Its `score_samples` is log p alone.
    sklearn.ensemble.IsolationForest : A detector that needs no scaling either.

    Notes
    -----
    Scores are log-probabilities of z, which depends on the training data. Use them to
    compare samples, not fits. A sample that violates an equation that all training
    samples satisfy has a score of −1e5 to −1e9: the model has nearly no variance in its
    direction.

    References
    ----------
    .. [1] J. Bowren, "A Sparse Coding Interpretation of Neural Networks and Theoretical
       Implications", arXiv:2108.06622, 2021.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.metrics import roc_auc_score
    >>> from skscn import SparseCodingDetector
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> benign = y == 1
    >>> detector = SparseCodingDetector(trim=0).fit(X[benign][::2])  # no anomalies
    >>> print(f"{roc_auc_score(benign, detector.score_samples(X)):.2f}")
    0.97
    """

    _read_types = FLOAT_DTYPES
    _fixed_in_stream = ("coder", "scaling", "marginals")
    _parameter_constraints: ClassVar[dict] = {
        "coder": [BaseCoder, SparseCodingMixture, *LAYERS, None],
        "scaling": [StrOptions({"robust"}), None],
        "marginals": ["boolean"],
        "trim": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="left")],
        "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        coder=None,
        *,
        scaling="robust",
        marginals=True,
        trim="auto",
        contamination="auto",
        n_jobs=None,
    ):
        self.coder = coder
        self.scaling = scaling
        self.marginals = marginals
        self.trim = trim
        self.contamination = contamination
        self.n_jobs = n_jobs

    @atomic_fit
    def fit(self, X, y=None, sample_weight=None):
        """Learn a model of normal samples.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data, most of them normal. NaN marks missing values. With a coder
            of images, images as its `fit` takes them.
        y : Ignored
            Not used, present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. An integer weight equals repetition of its sample.
            Weights whose total is below (Σw)² / Σw², such as 1/n, cannot be
            repetitions. They are scaled to this total, the effective number of samples.
            For images, weights must be integers.

        Returns
        -------
        self : object
            The fitted detector.

        Raises
        ------
        ValueError
            If X has one sample only, if it is infinite or complex, if a feature is NaN
            everywhere, or as the coder does.
        """
        return self._learn(X, sample_weight, is_first=True)

    @atomic_fit
    def partial_fit(self, X, y=None, sample_weight=None):
        """Learn from one more mini-batch of a stream, or continue after `fit`.

        The first mini-batch is learned as by `fit`. Its scaling, the bins of the
        histograms and the layers of images stay, so it should have some hundred
        samples. Later mini-batches update the coder by its own `partial_fit`, and the
        counts of the histograms. `offset_` is computed from the scores of the latest
        mini-batch.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The mini-batch.
        y : Ignored
            Not used, present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights, as of `fit`.

        Returns
        -------
        self : object
            The detector, fitted to the stream so far.

        Raises
        ------
        ValueError
            As `fit`, and if the number of features changes.
        """
        return self._learn(X, sample_weight, is_first=not hasattr(self, "_model"))

    @blockwise
    def score_samples(self, X):
        """Compute the score of every sample, in nats; higher is more normal.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples. Each is scored by itself, so that its score does not depend on the
            others.

        Returns
        -------
        scores : ndarray of shape (n_samples,), float64
            The scores.

        Raises
        ------
        ValueError
            If X is infinite or has another number of features than in `fit`.
        """
        check_is_fitted(self)
        return self._scores(self._validate(X, reset=False))

    def decision_function(self, X):
        """Compute the score minus `offset_`: negative for anomalies.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        scores : ndarray of shape (n_samples,), float64
            `score_samples` minus `offset_`.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X):
        """Predict 1 for normal samples and -1 for anomalies.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        is_inlier : ndarray of shape (n_samples,)
            -1 where `decision_function` is negative, else 1.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def explain(self, X):
        """Compute the terms that the score of every sample is the sum of.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        explanation : Explanation
            With the attributes `score`; `coefficients`, `residual`, `marginals` and
            `components` for a sum over atoms; `features` for a sum over features; and
            for images `maps` for a sum over pixels. See :ref:`explaining`.
        """
        check_is_fitted(self)
        rows = self._to_rows(self._validate(X, reset=False))
        explanation = self._model.explain(rows)
        if self.layers_ is None:
            return explanation
        return image_layers.distribute_over_pixels(explanation, self.layers_)

    def _learn(self, X, sample_weight, *, is_first):
        """Fit to the first data or update by a mini-batch, and set the threshold."""
        if is_first:
            self.layers_ = None
            if isinstance(self.coder, LAYERS):
                self.layers_ = image_layers.to_network(self.coder, self.n_jobs)
        X = self._validate(X, reset=is_first)
        X, weights = drop_weightless(X, check_weights(sample_weight, X))
        if is_first and self.layers_ is not None:
            image_layers.fit(self.layers_, X, weights)
        rows = self._to_rows(X)
        weights = to_repetitions(weights, rows.dtype)
        if is_first:
            if contains_missing(rows):
                check_measured((~np.isnan(rows)).sum(axis=0), len(rows))
            self._model = TableModel.fit(
                self._unfitted_coder(rows, weights),
                rows,
                weights,
                robust_scaling=self.scaling is not None,
                marginals=self.marginals,
                pooled=self.layers_ is not None,
                trim=self._trim,
                max_rows=self._max_rows(rows),
                n_jobs=self.n_jobs,
            )
        else:
            self._model = self._model.update(rows, weights, self._trim, self.n_jobs)
        self.coder_ = self._model.coder
        self.marginal_weight_ = self._model.marginal_weight
        size = self._max_rows(rows)
        if self.contamination == "auto" and size is not None:
            samples, weights = sample_rows(rows.shape[0], weights, size)
            X, rows = X[samples], rows[samples]
        self.offset_ = self._threshold(rows, self._scores(X), weights)
        return self

    def _unfitted_coder(self, rows, weights):
        """Return the coder of rows or of pooled codes."""
        if self.coder is not None and self.layers_ is None:
            return clone(self.coder)
        total = rows.shape[0] if weights is None else float(weights.sum(dtype=float))
        n_atoms = max(1, min(MAX_ATOMS, int(total / ROWS_PER_ATOM), rows.shape[1]))
        return OrthogonalSparseCoder(n_atoms, alpha="auto", tol=TOL, n_jobs=self.n_jobs)

    @property
    def _trim(self):
        """The fraction of the training data to leave out."""
        if self.trim == "auto":
            return AUTO_TRIM if self.layers_ is None else 0.0
        return self.trim

    def _max_rows(self, rows):
        """Return the number of rows that the default coder learns from."""
        if self.coder is not None and self.layers_ is None:
            return None
        return max(MIN_MAX_ROWS, MAX_ROWS_PER_ATOM * min(MAX_ATOMS, rows.shape[1]))

    def _to_rows(self, X):
        """Return the pooled codes of images, or rows as they are."""
        return X if self.layers_ is None else image_layers.encode(self.layers_, X)

    def _scores(self, X):
        if self.layers_ is None:
            return self._model.scores(X, self.n_jobs)
        return image_layers.scores(self.layers_, self._model, X, self.n_jobs)

    def _threshold(self, rows, scores, weights):
        """Return the score below which a sample is an anomaly.

        Equal samples have scores that differ by rounding errors, because the order of
        the sums in a matrix product depends on the number of rows. The quantile is
        lowered by a bound on these errors, so that a training sample at the threshold
        is normal in every batch.
        """
        if self.contamination == "auto":
            # Squared distances of normal samples have a χ² distribution, and their cube
            # roots are nearly normal for every number of degrees of freedom (Wilson and
            # Hilferty 1931).
            roots = np.cbrt(scores.max() - scores)
            threshold = scores.max() - upper_fence(roots, weights) ** 3
        else:
            threshold = weighted_quantiles(scores, weights, self.contamination)
        distances = np.abs(scores - threshold)
        nearest = np.argsort(distances, kind="stable")[:MAX_SAMPLES_AT_THRESHOLD]
        tolerance = THRESHOLD_TOLERANCE * np.abs(threshold)
        at_threshold = nearest[distances[nearest] <= tolerance]
        if len(at_threshold):
            errors = self._model.rounding_error(rows[at_threshold])
            # The training score and the new one each have an error.
            threshold = threshold - 2 * errors.max()
        return float(threshold)

    def _validate(self, X, *, reset):
        """Return rows as floats, dense or CSR, or images as 4-D arrays."""
        X, min_samples = load_in_memory(X), 2 if reset else 1
        if self.layers_ is None:
            check_numpy_input(X, "Detectors")
            return check_rows(self, X, reset=reset, ensure_min_samples=min_samples)
        images, _ = self.layers_._validate_images(X, reset=reset)
        if len(images) < min_samples:
            raise ValueError(
                f"Found an array with {len(images)} sample(s) while a minimum of "
                f"{min_samples} is required: give more images."
            )
        if reset:
            self.n_features_in_ = self.layers_.n_features_in_
            if hasattr(self.layers_, "feature_names_in_"):
                self.feature_names_in_ = self.layers_.feature_names_in_
        return images

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        is_table = not isinstance(self.coder, LAYERS)
        tags.input_tags.sparse = is_table
        tags.input_tags.allow_nan = is_table
        tags.input_tags.three_d_array = not is_table
        return tags
