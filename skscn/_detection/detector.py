"""The detector of anomalies: samples that a model of the data finds unlikely."""

from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.utils.validation import check_is_fitted, validate_data

from skscn._coders.base import BaseCoder
from skscn._coders.orthogonal import OrthogonalSparseCoder
from skscn._data.blocks import blockwise
from skscn._data.inputs import FLOAT_DTYPES, load_in_memory
from skscn._data.sklearn_compat import (
    Interval,
    StrOptions,
    atomic_fit,
    check_sample_weight,
)
from skscn._data.validation import check_no_sparse_nan
from skscn._detection.features import quantiles
from skscn._detection.image_model import ImageModel, as_network
from skscn._detection.table_model import TableModel
from skscn._images.convolution import ConvSparseCoder
from skscn._images.network import SparseCodingNetwork

LAYERS = (ConvSparseCoder, SparseCodingNetwork)
MOST_ATOMS = 100  # of the coder by default: what they leave is noise
ROWS_PER_ATOM = 5  # fewer do not tell how an atom is used
TOL = 1e-3  # nats a feature: scores do not gain from more
ROUNDING = 1e-12  # of scores
FENCE = 1.5  # interquartile ranges below the first quartile that are still normal


class SparseCodingDetector(OutlierMixin, BaseEstimator):
    """Detection of anomalies by likelihood, with reasons.

    The score of a sample is how likely it is to a model of the data::

        score(x) = log p(z)  +  balance · Σ_f log m_f(z_f)

    Features are first brought to one scale, z = asinh((x − median) / scale). p is the
    exact likelihood of a sparse coder: it knows which features go together. m_f is how
    often feature f falls into the cell of a histogram that z_f is in, all by itself: it
    knows discrete features, gaps between values and values never seen. The balance
    makes both differ by as much from one training sample to another, in interquartile
    ranges, so that neither drowns the other.

    The score is a sum, and `explain` returns its terms: by atom and by feature.

    Around a layer of images or a network, z are the pooled codes of an image: the score
    sums over all layers and places that are pooled.

    Read more in the :ref:`user guide <anomalies>`.

    Parameters
    ----------
    coder : estimator, default=None
        An :class:`OrthogonalSparseCoder` or :class:`NonNegativeSparseCoder` of rows, or
        a :class:`ConvSparseCoder` or :class:`SparseCodingNetwork` of images and
        signals, with the default coder on top of its codes. Codes of a single layer are
        pooled on a Gaussian grid of 4 × 4 cells; give a network to pool them in another
        way. None stands for ``OrthogonalSparseCoder(n_components, alpha="auto")`` with
        as many atoms as features, but at most 100, and five samples for each.
    scaling : {"robust"} or None, default="robust"
        "robust" brings features to z as above, with the median and the interquartile
        range of each; where half of the values are equal, with the mean absolute
        deviation. Features of one value are not coded. None codes x itself.
    marginals : bool, default=True
        Whether to add log m_f. Without it and without `scaling` the score is the
        log-likelihood of the coder.
    trim : float, default=0.0
        Share of the training samples to leave out as the least likely, in [0, 0.5). For
        training data with anomalies that lie together.
    contamination : "auto" or float, default="auto"
        Share of the training samples that `predict` takes for anomalies, in (0, 0.5].
        "auto" draws the line 1.5 interquartile ranges below the first quartile of their
        scores, the fence of Tukey's box plots.
    n_jobs : int, default=None
        Number of workers. The result has the same bits for every number. None means 1,
        -1 means all cores.

    Attributes
    ----------
    coder_ : estimator
        The fitted coder of rows, or of pooled codes.
    layers_ : SparseCodingNetwork or None
        The fitted layers of images.
    balance_ : float
        What log m_f is multiplied by.
    offset_ : float
        The line: `decision_function` is `score_samples` less it.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen in `fit`, where X had string column names.

    Raises
    ------
    ValueError
        On `fit`, if X has one row only, if it is infinite, or as the coder does.

    See Also
    --------
    ExplanationDisplay : Draws what `explain` returns.
    OrthogonalSparseCoder : Its `score_samples` is the likelihood alone.
    sklearn.ensemble.IsolationForest : A detector that needs no scaling either.

    Notes
    -----
    Scores are log-probabilities in the coordinates z. They tell samples of one fit
    apart, and are not densities in the units of x.

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
    >>> detector = SparseCodingDetector().fit(X[benign][::2])
    >>> print(f"{roc_auc_score(benign, detector.score_samples(X)):.2f}")
    0.97
    """

    _read_types = FLOAT_DTYPES
    _parameter_constraints: ClassVar[dict] = {
        "coder": [BaseCoder, *LAYERS, None],
        "scaling": [StrOptions({"robust"}), None],
        "marginals": ["boolean"],
        "trim": [Interval(Real, 0, 0.5, closed="left")],
        "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        coder=None,
        *,
        scaling="robust",
        marginals=True,
        trim=0.0,
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
        """Learn what is normal.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data, most of them normal. NaN stands for what was not measured.
            Around layers, images as these take them.
        y : Ignored
            Not used, present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. An integer weight equals repetition of its sample.
            Around layers they must be integers.

        Returns
        -------
        self : object
            The fitted detector.

        Raises
        ------
        ValueError
            If X has one row only, if it is not finite or complex, or as the coder does.
        """
        X = load_in_memory(X)
        how = {
            "scaled": self.scaling is not None,
            "marginals": self.marginals,
            "trim": self.trim,
            "n_jobs": self.n_jobs,
        }
        if isinstance(self.coder, LAYERS):
            layers = clone(as_network(self.coder))
            if self.n_jobs is not None:
                layers.set_params(n_jobs=self.n_jobs)
            X = self._seen(layers, X, reset=True)
            weights = check_sample_weight(sample_weight, X.reshape(len(X), -1))
            model = ImageModel.learned(layers, self._default, X, weights, **how)
            self.layers_ = layers
        else:
            X = self._rows(X, reset=True)
            weights = check_sample_weight(sample_weight, X)
            coder = self._default(X, weights)
            if self.coder is not None:
                coder = clone(self.coder)
            model = TableModel.learned(coder, X, weights, **how)
            self.layers_ = None
        return self._draw_line(model, X, weights)

    @atomic_fit
    def partial_fit(self, X, y=None, sample_weight=None):
        """Learn from one more chunk of a stream, or go on after `fit`.

        The first chunk is learned as by `fit`, and its scaling, the cells of features
        and the layers of images stay: give it some hundred samples. Later chunks move
        the coder as its own `partial_fit` does and fill the cells. The line is drawn by
        the scores of the latest chunk.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The chunk.
        y : Ignored
            Not used, present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. An integer weight equals repetition of its sample.

        Returns
        -------
        self : object
            The detector, fitted to the stream so far.

        Raises
        ------
        ValueError
            As `fit`, and if the number of features changes.
        """
        if not hasattr(self, "_model"):
            return self.fit(X, y, sample_weight)
        X = self._validated(load_in_memory(X))
        flat = X.reshape(len(X), -1) if self.layers_ is not None else X
        weights = check_sample_weight(sample_weight, flat)
        return self._draw_line(self._model.advanced(X, weights, self.trim), X, weights)

    @blockwise
    def score_samples(self, X):
        """Return how likely every sample is, in nats; higher is more normal.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples; each is scored by itself.

        Returns
        -------
        scores : ndarray of shape (n_samples,), float64
            The score above.

        Raises
        ------
        ValueError
            If X is not finite or has another number of features than in `fit`.
        """
        check_is_fitted(self)
        return self._model.scores(self._validated(X))

    def decision_function(self, X):
        """Return the score less `offset_`: negative for anomalies.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        scores : ndarray of shape (n_samples,), float64
            `score_samples` less `offset_`.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X):
        """Return 1 for normal samples and -1 for anomalies.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        is_inlier : ndarray of shape (n_samples,)
            The sign of `decision_function`.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def explain(self, X):
        """Return the parts that the score of every sample is the sum of.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        explanation : Explanation
            With the attributes `score`, `coefficients`, `rest`, `marginals` and
            `components`, which tell the atoms, `features`, which tells the entries of
            the samples, and for images `maps` of their size. See :ref:`explaining`.
        """
        check_is_fitted(self)
        return self._model.explained(self._validated(load_in_memory(X)))

    def _default(self, X, weights=None):
        """Return the coder of rows by default."""
        n_samples = X.shape[0] if weights is None else float(weights.sum(dtype=float))
        most = max(1, min(MOST_ATOMS, int(n_samples / ROWS_PER_ATOM)))
        return OrthogonalSparseCoder(
            min(X.shape[1], most), alpha="auto", tol=TOL, n_jobs=self.n_jobs
        )

    def _draw_line(self, model, X, weights):
        scores = model.scores(X)
        if self.contamination == "auto":
            low, high = quantiles(scores, weights, (0.25, 0.75))
            line = low - FENCE * (high - low)
        else:
            (line,) = quantiles(scores, weights, (self.contamination,))
        # A training sample on the line stays on one side of it, whatever rounding does.
        (size,) = quantiles(np.abs(scores), weights, (0.5,))
        self.offset_ = float(line - ROUNDING * size)
        self.coder_ = model.coder
        self.balance_ = model.balance
        self._model = model
        return self

    def _validated(self, X):
        if self.layers_ is None:
            return self._rows(X, reset=False)
        return self._seen(self.layers_, X, reset=False)

    def _rows(self, X, *, reset):
        X = validate_data(
            self,
            X,
            reset=reset,
            dtype=FLOAT_DTYPES,
            accept_sparse="csr",
            ensure_min_samples=2 if reset else 1,
            ensure_all_finite="allow-nan",
        )
        check_no_sparse_nan(X)
        return X

    def _seen(self, layers, X, *, reset):
        """Return images as layers see them; they keep the shape and the names."""
        images, _ = layers._validate_images(X, reset=reset)
        if reset:
            if len(images) < 2:
                raise ValueError(
                    f"Found an array with {len(images)} sample(s) while a minimum of "
                    "2 is required: give more images."
                )
            self.n_features_in_ = layers.n_features_in_
            if hasattr(layers, "feature_names_in_"):
                self.feature_names_in_ = layers.feature_names_in_
        return images

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        rows = not isinstance(self.coder, LAYERS)
        tags.input_tags.sparse = rows
        tags.input_tags.allow_nan = rows
        tags.input_tags.three_d_array = not rows
        return tags
