"""The mixture of orthonormal dictionaries: a union of bases, each with exact codes."""

from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from scipy import sparse
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    DensityMixin,
    TransformerMixin,
)
from sklearn.utils import ClassifierTags
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted

from skscn._coders.likelihood import check_range
from skscn._coders.mixture_likelihood import PRIORS, MixtureLikelihoodMixin
from skscn._coders.mixture_start import check_labels
from skscn._coders.mixture_stream import MixtureStreamMixin
from skscn._data.blocks import blockwise
from skscn._data.inputs import (
    check_codes,
    check_weights,
    drop_weightless,
)
from skscn._data.parallel import map_rows, map_rows_into, worker_pool
from skscn._data.row_sums import row_sums
from skscn._data.sample_weights import to_repetitions
from skscn._data.sklearn_compat import (
    CallbackSupportMixin,
    Interval,
    PackageMixin,
    StrOptions,
    atomic_fit,
    to_sparse_interface,
)
from skscn._data.validation import (
    check_n_components,
    warn_not_converged,
    warn_unused_dictionaries,
)


class SparseCodingMixture(
    PackageMixin,
    MixtureStreamMixin,
    MixtureLikelihoodMixin,
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    ClusterMixin,
    DensityMixin,
    BaseEstimator,
):
    """A mixture of orthonormal dictionaries with sparse codes.

    The probability density of a sample is the sum over L dictionaries::

        p(x) = Σ_l w_l p_l(x),    x = mean_l + a D_l + noise    under p_l,

    with orthonormal atoms D_l and a sparse prior of the codes a. Each dictionary has
    its own mean, prior and noise. All p_l are exact, and so are the responsibilities
    w_l p_l(x) / p(x) and the EM algorithm that learns them.

    A single orthonormal dictionary cannot have more atoms than features. A mixture has
    n_dictionaries times as many, and codes remain one matrix product and one scalar
    function: each sample is coded by one dictionary. It is also a density and a
    clustering, as :class:`~sklearn.mixture.GaussianMixture` is, with heavier tails and
    fewer effective parameters for data that are sparse in some basis.

    With numbers as `alpha`, also 0 together with `n_nonzero_coefs`, it learns a union
    of orthonormal bases: dictionaries and MAP codes that minimize the sum over samples
    of::

        min_l min_a  ½‖x − mean_l − a D_l‖² + Σ_j penalty(a_j)

    Read more in the :ref:`user guide <mixtures>`.

    Parameters
    ----------
    n_dictionaries : int, default=4
        Number L of dictionaries. A mixture of one is learned as a coder is:
        :class:`OrthogonalSparseCoder`, or :class:`NonNegativeSparseCoder` with the
        priors of one sign.
    n_components : int, default=None
        Number of atoms of each dictionary, at most n_features. None takes n_features.
    prior : {"laplace", "spike_slab", "exponential", "half_spike_slab"}, \
            default="laplace"
        Prior distribution of a coefficient: those of :class:`OrthogonalSparseCoder`,
        and the two of non-negative codes of :class:`NonNegativeSparseCoder`.
    alpha : float, array-like of shape (n_components,) or "auto", default="auto"
        "auto" learns the priors and the noise of every dictionary by maximum
        likelihood, shrunk a little: see Notes. A number gives all coefficients a
        threshold in the units of X, and an array one to each coefficient, in all
        dictionaries.
    n_nonzero_coefs : int, default=None
        Maximum number of non-zero coefficients of a sample. It is an error together
        with `alpha="auto"` or `inference="mean"`. It may be changed after `fit`.
    inference : {"map", "mean"}, default="map"
        Code that `transform` returns. "map" is the posterior mode of the most probable
        dictionary. "mean" is the posterior mean over all dictionaries. It may be
        changed after `fit`.
    center : bool, default=True
        Whether dictionaries have means. Without, they are cones around the origin.
    init : {"k-means++", "random"} or array-like of int of shape (n_samples,), \
            default="k-means++"
        Dictionary that each sample starts in. "k-means++" clusters the directions of
        samples from their mean, and "random" draws; a Gaussian mixture then improves
        both. An array gives labels, and dictionaries keep their order.
    n_init : int, default=1
        Number of starts; the best result is kept.
    max_iter : int, default=100
        Maximum number of iterations of a start, each one pass over X.
    tol : float, default=3e-4
        Learning stops after two iterations in a row that raise the mean log-likelihood
        by at most this many nats a feature; of MAP objectives, that lower them by at
        most this fraction.
    forgetting : float, default=1.0
        Rate at which `partial_fit` discounts old samples: the i-th of n samples weighs
        (i / n)^forgetting. With 0 all samples weigh the same.
    sparse_output : bool, default=False
        Whether `transform` returns CSR, where columns of other dictionaries take no
        memory. It may be changed after `fit`.
    n_jobs : int, default=None
        Number of :term:`workers <worker>`. None means every core that NumPy would use.
        The result has the same bits for every number.
    random_state : int, RandomState instance or None, default=None
        Seed of the start.

    Attributes
    ----------
    weights_ : ndarray of shape (n_dictionaries,)
        The mixture weights w; of MAP objectives, the fractions of samples. They
        decrease, unless `init` gives labels.
    components_ : ndarray of shape (n_dictionaries, n_components, n_features)
        The atoms: orthonormal rows of every dictionary, in the dtype of X and in the
        order of the energy of their codes.
    means_ : ndarray of shape (n_dictionaries, n_features)
        Means of the dictionaries; zero with `center=False`. They are learned as the
        atoms are: the sample whose code is zero.
    alpha_ : ndarray of shape (n_dictionaries, n_components)
        Threshold of every coefficient.
    noise_variance_ : ndarray of shape (n_dictionaries,)
        Variance σ² of the noise of every dictionary.
    prior_ : dict of str to ndarray of shape (n_dictionaries, n_components)
        Parameters of the priors: "rate", or "weight" and "slab_variance".
    labels_ : ndarray of int of shape (n_samples,)
        The most probable dictionary of each sample of `fit`, as `predict` returns it.
        `partial_fit` changes the dictionaries, and removes them.
    objective_path_ : list of float
        The negative log-likelihood in nats, penalized by the shrinkage, or the MAP
        objective, on average over samples: of the start and after every iteration. In
        `fit` it never increases.
    n_iter_ : int
        Number of iterations, plus the number of mini-batches of `partial_fit`.
    converged_ : bool
        Whether `fit` reached `tol`.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen in `fit`, where X had string column names.

    Raises
    ------
    ValueError
        On `fit`, if n_components exceeds n_features, if there are fewer samples than
        dictionaries, or if X or a parameter has a wrong shape or value.

    See Also
    --------
    OrthogonalSparseCoder : A single dictionary.
    sklearn.mixture.GaussianMixture : Gaussian densities in place of sparse codes.
    sklearn.decomposition.DictionaryLearning : Atoms of any number and angles, and
        iterative codes.

    Notes
    -----
    Every dictionary has some n_features² / 2 parameters, as a full covariance matrix
    has. Held-out likelihood, or `bic`, tells how many dictionaries the data support.

    With `alpha="auto"`, every dictionary of several has pseudo-observations in `fit`,
    of a total weight of n_features samples: on the principal axes of all data, at the
    scale of the samples that it started from. They are a prior of its parameters, and
    the likelihood has a maximum even with fewer samples than features. The shrinkage
    vanishes with the number of samples, and :ref:`mixture-shrinkage` defines it.
    `partial_fit` adds none.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skscn import SparseCodingMixture
    >>> X, _ = load_digits(return_X_y=True)
    >>> mixture = SparseCodingMixture(10, 16, random_state=0, tol=1e-3).fit(X[::2])
    >>> one = SparseCodingMixture(1, 16, tol=1e-3).fit(X[::2])
    >>> bool(mixture.score(X[1::2]) > one.score(X[1::2]) + 5)  # nats
    True
    >>> mixture.transform(X).shape
    (1797, 160)
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_dictionaries": [Interval(Integral, 1, None, closed="left")],
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "prior": [StrOptions(set(PRIORS))],
        "alpha": [
            Interval(Real, 0, None, closed="left"),
            StrOptions({"auto"}),
            "array-like",
        ],
        "n_nonzero_coefs": [Interval(Integral, 1, None, closed="left"), None],
        "inference": [StrOptions({"map", "mean"})],
        "center": ["boolean"],
        "init": [StrOptions({"k-means++", "random"}), "array-like"],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "forgetting": [Interval(Real, 0, None, closed="left")],
        "sparse_output": ["boolean"],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    _fixed_in_stream: tuple = (
        "n_dictionaries",
        "n_components",
        "prior",
        "alpha",
        "n_nonzero_coefs",
        "center",
    )

    def __init__(
        self,
        n_dictionaries=4,
        n_components=None,
        *,
        prior="laplace",
        alpha="auto",
        n_nonzero_coefs=None,
        inference="map",
        center=True,
        init="k-means++",
        n_init=1,
        max_iter=100,
        tol=3e-4,
        forgetting=1.0,
        sparse_output=False,
        n_jobs=None,
        random_state=None,
    ):
        self.n_dictionaries = n_dictionaries
        self.n_components = n_components
        self.prior = prior
        self.alpha = alpha
        self.n_nonzero_coefs = n_nonzero_coefs
        self.inference = inference
        self.center = center
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.forgetting = forgetting
        self.sparse_output = sparse_output
        self.n_jobs = n_jobs
        self.random_state = random_state

    @atomic_fit
    def fit(self, X, y=None, sample_weight=None):
        """Learn the dictionaries.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data. float32 stays float32 and CSR stays sparse. NaN marks missing
            values. Files and dask arrays are read in place: see :ref:`scaling`.
        y : Ignored
            Not used, present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. An integer weight equals repetition of its sample.
            Weights that cannot be repetitions, such as 1/n, are relative: the shrinkage
            then counts the effective number of samples.

        Returns
        -------
        self : object
            The fitted mixture.

        Raises
        ------
        ValueError
            If X is empty, infinite or complex, if a feature is NaN everywhere, if there
            are fewer samples than dictionaries, if n_components exceeds n_features, or
            if `alpha`, `init` or `sample_weight` have a wrong shape or value.
        """
        samples = X
        X = self._validate(X, reset=True)
        weights = check_weights(sample_weight, X)
        labels = check_labels(self.init, X.shape[0], self.n_dictionaries, weights)
        n_components = check_n_components(self.n_components, X.shape[1])
        X, weights = drop_weightless(X, weights)
        if isinstance(weights, np.ndarray):  # the shrinkage counts samples
            weights = to_repetitions(weights, X.dtype)
        self._check_n_samples(X.shape[0])
        learn = self._learn_several if self.n_dictionaries > 1 else self._learn_one
        with row_sums(X, weights, self.n_jobs) as rows:
            callbacks, problem, attributes = learn(X, rows, n_components, labels)
        self.__dict__.update(attributes, _row_buffer=None)
        self.labels_ = np.asarray(self.predict(samples))
        callbacks.end()
        if not self.converged_:
            unit = "nats a feature" if problem.learns_prior else "of its value"
            warn_not_converged(self.tol, unit, self.max_iter)
        warn_unused_dictionaries(self.weights_ * X.shape[0])
        return self

    def fit_predict(self, X, y=None, sample_weight=None):
        """Learn the dictionaries, and return the most probable one of each sample.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data.
        y : Ignored
            Not used, present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        Returns
        -------
        labels : ndarray of int of shape (n_samples,)
            As in `labels_`.
        """
        return self.fit(X, sample_weight=sample_weight).labels_

    @blockwise
    def transform(self, X):
        """Encode samples: each by its most probable dictionary, or by all of them.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples. NaN marks missing values.

        Returns
        -------
        codes : {ndarray, CSR} of shape (n_samples, n_dictionaries * n_components)
            In the dtype of X; CSR with `sparse_output=True`. Columns l n_components to
            (l + 1) n_components - 1 are the coefficients of dictionary l. With
            `inference="map"`, those of the most probable dictionary hold its code and
            all others are zero. With `inference="mean"`, they hold posterior means:
            those given the dictionary, times its responsibility.

        Raises
        ------
        ValueError
            If X is infinite or has another number of features than in `fit`, if squared
            norms of rows leave the range of float64, or if `n_nonzero_coefs` is given
            for codes that are not limited.
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False, method="transform")
        check_range(self, X, is_likelihood=False)
        encoder = self._encoding_encoder(X.dtype)
        with worker_pool(X.shape[0], self.n_jobs) as pool:
            if self.sparse_output:
                slices = list(map_rows(pool, encoder.encode_to_csr, X))
                return to_sparse_interface(sparse.vstack(slices, format="csr"))
            out = np.empty((X.shape[0], self._n_features_out), dtype=X.dtype)
            return map_rows_into(pool, encoder.encode, X, out)

    @blockwise
    def inverse_transform(self, X):
        """Reconstruct samples from codes, as mean + codes D.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape \
                (n_samples, n_dictionaries * n_components)
            Codes, as `transform` returns them.

        Returns
        -------
        samples : ndarray of shape (n_samples, n_features)
            In the dtype of the codes. The mean is that of the dictionary whose codes
            have the largest energy. A code without any coefficient does not tell its
            dictionary, and becomes the mean of all: `reconstruct` has no such limit.

        Raises
        ------
        ValueError
            If X is not finite or has another number of columns than the codes that
            `transform` returns.
        """
        check_is_fitted(self)
        X = check_codes(self, X, self._n_features_out)
        n_dictionaries, n_components, n_features = self.components_.shape
        atoms = self.components_.reshape(-1, n_features).astype(X.dtype, copy=False)
        samples = safe_sparse_dot(X, atoms)
        if self.means_.any():
            of_dictionary = np.repeat(np.eye(n_dictionaries), n_components, axis=0)
            squares = X.multiply(X).tocsr() if sparse.issparse(X) else X * X
            energy = safe_sparse_dot(squares, of_dictionary.astype(X.dtype))
            means = self.means_[energy.argmax(axis=1)]
            means[~energy.any(axis=1)] = self.weights_ @ self.means_
            samples += means.astype(X.dtype, copy=False)
        return samples

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        # Where there is predict_proba, scikit-learn's check of sparse input reads them.
        tags.classifier_tags = ClassifierTags(multi_class=self.n_dictionaries > 2)
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _n_features_out(self):
        return self.components_.shape[0] * self.components_.shape[1]
