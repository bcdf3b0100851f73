"""The coder with non-negative codes: a ReLU layer."""

from typing import ClassVar

from skscn._coders.base import BaseCoder
from skscn._core.priors import ONE_SIDED
from skscn._data.sklearn_compat import StrOptions


class NonNegativeSparseCoder(BaseCoder):
    """Sparse coding with orthonormal atoms and non-negative codes: a ReLU layer.

    It learns a dictionary D of orthonormal atoms, and codes A, that minimize::

        Σ_i  ½‖x_i − mean − a_i D‖² + Σ_j penalty(a_ij)    subject to  D Dᵀ = I, A ≥ 0

    With orthonormal atoms the objective separates, so that the best code of a sample is
    one matrix product and one scalar function of the projections u = (x − mean) Dᵀ. For
    the exponential prior it is max(u − λ, 0): a layer of ReLU units whose weights are
    the atoms and whose biases are the negative thresholds.

    Read more in the :ref:`user guide <model>`.

    Parameters
    ----------
    n_components : int, default=None
        Number of atoms, at most n_features. None takes n_features, or the number of
        rows of `init`.
    prior : {"exponential", "spike_slab"}, default="exponential"
        Prior distribution of a coefficient. "exponential" has the penalty λa and
        shrinks every code by λ (ReLU). "spike_slab" has the penalty ½λ² 1[a ≠ 0] and
        keeps projections above λ unchanged (one-sided hard threshold).
    alpha : float, array-like of shape (n_components,) or "auto", default=None
        Threshold λ in the units of X, as `alpha` of
        :class:`~sklearn.decomposition.DictionaryLearning`. An array gives every
        coefficient a threshold of its own, and the atoms keep the order of its entries.
        "auto" learns the prior of every coefficient and the noise together with the
        dictionary: `fit` maximizes the likelihood of X. It needs fewer components than
        features, and more samples than components. Otherwise the codes explain the
        training data completely, the noise variance falls to its lower bound, and the
        likelihood of new samples is extremely low. None stands for 1, and for 0 where
        `n_nonzero_coefs` is given.
    n_nonzero_coefs : int, default=None
        Maximum number of non-zero coefficients of a sample. The codes minimize the
        objective among all codes with at most so many: of the thresholded codes, those
        that lower it most are kept. These are the largest where all have the same
        threshold, and of equal ones the first. Without a threshold they are the codes
        of orthogonal matching pursuit. See the
        :ref:`user guide <limited-codes>`.
        None, or a number above n_components, is no limit. It is an error together with
        `alpha="auto"` or `inference="mean"`. It may be changed after `fit`.
    inference : {"map", "mean"}, default="map"
        Code that `transform` returns. "map" is the posterior mode, which is sparse.
        "mean" is the posterior mean, which has the smallest expected squared error and
        is never exactly zero. It may be changed after `fit`.
    center : bool, default=True
        Whether to subtract the mean of X, as PCA does. CSR input stays sparse: the mean
        is subtracted from the projections.
    init : {"pca", "dct", "random"} or array-like of shape (n_components, n_features), \
            default="pca"
        Initial dictionary. "pca" are the principal axes of X, "dct" the lowest
        frequencies of the discrete cosine transform (two-dimensional where n_features
        is a square or three squares, otherwise one-dimensional), and "random" is drawn
        uniformly. An array gives orthonormal rows.
    max_iter : int, default=100
        Maximum number of iterations, each one pass over X. With 0 the initial
        dictionary is kept.
    tol : float, default=1e-4
        Learning stops after two iterations in a row that lower the objective by at most
        this fraction of it; with `alpha="auto"`, by at most this many nats a feature.
    forgetting : float, default=1.0
        Rate at which `partial_fit` discounts old samples: the i-th of n samples weighs
        (i / n)^forgetting. With 0 all samples weigh the same.
    sparse_output : bool, default=False
        Whether `transform` returns CSR, built block by block. It may be changed after
        `fit`.
    warm_start : bool, default=False
        Whether `fit` starts from the dictionary of the previous fit.
    n_jobs : int, default=None
        Number of :term:`workers <worker>`. None means every core that NumPy would use.
        The result has the same bits for every number.
    random_state : int, RandomState instance or None, default=None
        Seed for `init="random"`, and for the principal axes of more than 2048 features.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        The atoms: orthonormal rows in the dtype of X, in the order of the energy of
        their codes.
    mean_ : ndarray of shape (n_features,)
        Mean of X; zero with `center=False`. With `alpha="auto"` it is the sample whose
        code is zero: the mean of X minus the mean code times the atoms.
    alpha_ : ndarray of shape (n_components,)
        Threshold of every coefficient. With `alpha="auto"` and "spike_slab", the slab
        is more probable than the spike beyond it, and codes are multiplied by
        τ² / (τ² + σ²).
    noise_variance_ : float
        Variance σ² of the noise: learned with `alpha="auto"`, and otherwise the value
        of largest likelihood for the dictionary and `alpha_`. At least 1e-8 times the
        mean variance of the features.
    rate_ : ndarray of shape (n_components,)
        `alpha_ / noise_variance_`, the rates β of the exponential prior. At least
        1e-6 divided by the root mean square of X, even where `alpha_` is zero: a flat
        prior has no density.
    prior_ : dict of str to ndarray of shape (n_components,)
        Parameters of the prior: "rate", or "weight" and "slab_variance".
    objective_path_ : list of float
        The objective above, on average over samples, of the start and after every
        iteration. In `fit` it never increases. `partial_fit` appends that of every
        mini-batch. With `alpha="auto"` it is the negative log-likelihood in nats.
    n_iter_ : int
        Number of iterations, plus the number of mini-batches of `partial_fit`.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen in `fit`, where X had string column names.

    Raises
    ------
    ValueError
        On `fit`, if n_components exceeds n_features, or if X or a parameter has a wrong
        shape or value.

    See Also
    --------
    OrthogonalSparseCoder : The same with signed codes.
    sklearn.decomposition.NMF : Atoms that are non-negative too, and not orthonormal.

    Notes
    -----
    The best dictionary for given codes is the polar factor of Aᵀ(X − mean), the
    orthogonal Procrustes solution [2]_. Learning minimizes the objective over all
    orthonormal dictionaries with that step as its safeguard; see the :ref:`user guide
    <learning>`. A coder is also a probability distribution, with an exact likelihood:
    see :ref:`likelihood`.

    References
    ----------
    .. [1] J. Bowren, "A Sparse Coding Interpretation of Neural Networks and Theoretical
       Implications", arXiv:2108.06622, 2021.
    .. [2] P. Schönemann, "A generalized solution of the orthogonal Procrustes problem",
       Psychometrika 31, 1966.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skscn import NonNegativeSparseCoder
    >>> X, _ = load_digits(return_X_y=True)
    >>> coder = NonNegativeSparseCoder(n_components=32, alpha=4.0).fit(X)
    >>> codes = coder.transform(X)
    >>> codes.shape
    (1797, 32)
    >>> bool((codes == 0).mean() > 0.6)  # most coefficients are exactly zero
    True

    With a prior that is learned from the data, scored on other data:

    >>> coder = NonNegativeSparseCoder(n_components=8, alpha="auto").fit(X[::2])
    >>> coder.score(X[1::2])
    -164.3
    """

    _priors = ONE_SIDED
    _parameter_constraints: ClassVar[dict] = {
        **BaseCoder._parameter_constraints,
        "prior": [StrOptions(set(ONE_SIDED))],
    }

    def __init__(
        self,
        n_components=None,
        *,
        prior="exponential",
        alpha=None,
        n_nonzero_coefs=None,
        inference="map",
        center=True,
        init="pca",
        max_iter=100,
        tol=1e-4,
        forgetting=1.0,
        sparse_output=False,
        warm_start=False,
        n_jobs=None,
        random_state=None,
    ):
        self.n_components = n_components
        self.prior = prior
        self.alpha = alpha
        self.n_nonzero_coefs = n_nonzero_coefs
        self.inference = inference
        self.center = center
        self.init = init
        self.max_iter = max_iter
        self.tol = tol
        self.forgetting = forgetting
        self.sparse_output = sparse_output
        self.warm_start = warm_start
        self.n_jobs = n_jobs
        self.random_state = random_state
