"""The public coders: one body, and the priors that tell them apart."""

from typing import ClassVar

from skscn._coders.base import BaseCoder
from skscn._core.priors import ONE_SIDED, SIGNED
from skscn._data.sklearn_compat import StrOptions


class OrthogonalSparseCoder(BaseCoder):
    """Sparse coding with orthonormal atoms and signed codes.

    Learns a dictionary D of orthonormal atoms, and codes A, that minimise::

        Σ_i  ½‖x_i − mean − a_i D‖² + Σ_j penalty(a_ij)    subject to  D Dᵀ = I

    With orthonormal atoms this separates, so that the best code of a sample is one
    matrix product and one scalar function of the projections u = (x − mean) Dᵀ. For the
    Laplace prior it is the soft threshold, ``sign(u) max(|u| − λ, 0)``: the solution
    that the lasso finds by iterating.

    Read more in the :ref:`user guide <model>`.

    Parameters
    ----------
    n_components : int, default=None
        Number of atoms, at most n_features. None takes n_features, or as many as
        there are rows in `init`.
    prior : {"laplace", "spike_slab"}, default="laplace"
        What is expected of a coefficient. "laplace" has the penalty λ|a| and shrinks
        every code by λ (soft threshold). "spike_slab" has the penalty ½λ² 1[a ≠ 0] and
        keeps projections beyond λ as they are (hard threshold).
    alpha : float, array-like of shape (n_components,) or "auto", default=1.0
        The threshold λ in units of X, as `alpha` of
        :class:`~sklearn.decomposition.DictionaryLearning`. An array gives one prior per
        coefficient, and the atoms keep the order of its entries. "auto" learns the
        prior of every coefficient, and the noise, with the dictionary: `fit` then
        maximises the likelihood of X. Give it fewer components than features, and more
        samples than components: where codes alone explain X the noise vanishes, and new
        samples, which do have noise, become as good as impossible.
    inference : {"map", "mean"}, default="map"
        The code that `transform` returns: the most probable one, or the mean of the
        posterior, which has the least squared error and is never exactly zero.
    center : bool, default=True
        Whether to subtract the mean of X first, as PCA does. CSR input is not made
        dense: the mean is folded into the projections.
    init : {"pca", "dct", "random"} or array-like of shape (n_components, n_features), \
            default="pca"
        The dictionary to start from: the principal axes of X; the lowest frequencies
        of the discrete cosine transform (in two dimensions where n_features is a
        square or three squares, else in one); a uniformly random one; or the given
        orthonormal rows.
    max_iter : int, default=100
        Most learning iterations, each one pass over X. With 0 the start is the
        dictionary.
    tol : float, default=1e-4
        Learning stops when two iterations in a row lower the objective by no more than
        this part of it; with `alpha="auto"`, by no more nats for each feature.
    forgetting : float, default=1.0
        How fast `partial_fit` forgets: the i-th of n samples weighs (i / n)^forgetting.
        0 forgets nothing.
    sparse_output : bool, default=False
        Whether `transform` returns CSR, built block by block.
    warm_start : bool, default=False
        Whether `fit` starts from the dictionary of the fit before.
    n_jobs : int, default=None
        Number of workers (threads, unless :func:`joblib.parallel_config` says
        otherwise). The result has the same bits for every number. None means 1, -1
        means all cores.
    random_state : int, RandomState instance or None, default=None
        For `init="random"`, and for the principal axes of more than 2048 features.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        The atoms, orthonormal rows of the dtype of X, in the order of the energy of
        their codes; the largest entry of each is positive.
    mean_ : ndarray of shape (n_features,)
        Mean of X, zero with `center=False`.
    alpha_ : ndarray of shape (n_components,)
        The threshold of every coefficient. What "auto" learned with "spike_slab" is
        where the slab becomes more probable than the spike; codes beyond it are shrunk
        by τ² / (τ² + σ²).
    noise_variance_ : float
        Variance σ² of the noise: learned with `alpha="auto"`, and otherwise of the
        largest likelihood for the dictionary and `alpha_`. Never below 1e-8 times the
        mean variance of the features.
    rate_ : ndarray of shape (n_components,)
        `alpha_ / noise_variance_`, the rates β of the Laplace prior. Never below 1e-6
        by the root mean square of X, even where `alpha_` is zero: a flat prior has no
        density.
    prior_ : dict of str to ndarray of shape (n_components,)
        The numbers of the prior: "rate", or "weight" and "slab_variance".
    objective_path_ : list of float
        The objective above, in the mean over samples, of the start and after every
        iteration: in `fit` it never rises. `partial_fit` adds that of every chunk. With
        `alpha="auto"` it is minus the log-likelihood, in nats.
    n_iter_ : int
        Number of iterations, plus that of chunks of `partial_fit`.
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
    NonNegativeSparseCoder : The same with non-negative codes.
    sklearn.decomposition.DictionaryLearning : Atoms of any angles and number, codes by
        iteration.
    sklearn.decomposition.PCA : What remains for `alpha=0`.

    Notes
    -----
    The best dictionary for given codes is the polar factor of Aᵀ(X − mean), the
    orthogonal Procrustes solution [2]_. Learning descends on the objective over all
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
    >>> from skscn import OrthogonalSparseCoder
    >>> X, _ = load_digits(return_X_y=True)
    >>> coder = OrthogonalSparseCoder(n_components=32, alpha=4.0).fit(X)
    >>> codes = coder.transform(X)
    >>> codes.shape
    (1797, 32)
    >>> bool((codes == 0).mean() > 0.6)  # most coefficients are exactly zero
    True

    With everything but their number learned from the data, scored on others:

    >>> coder.set_params(alpha="auto").fit(X[::2]).score(X[1::2])
    -144.7
    """

    _priors = SIGNED
    _parameter_constraints: ClassVar[dict] = {
        **BaseCoder._parameter_constraints,
        "prior": [StrOptions(set(SIGNED))],
    }

    def __init__(
        self,
        n_components=None,
        *,
        prior="laplace",
        alpha=1.0,
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


class NonNegativeSparseCoder(BaseCoder):
    """Sparse coding with orthonormal atoms and non-negative codes: a ReLU layer.

    Learns a dictionary D of orthonormal atoms, and codes A, that minimise::

        Σ_i  ½‖x_i − mean − a_i D‖² + Σ_j penalty(a_ij)    subject to  D Dᵀ = I, A ≥ 0

    With orthonormal atoms this separates, so that the best code of a sample is one
    matrix product and one scalar function of the projections u = (x − mean) Dᵀ. For the
    exponential prior it is max(u − λ, 0): a layer of ReLU units whose weights are the
    atoms and whose biases are the negative priors.

    Read more in the :ref:`user guide <model>`.

    Parameters
    ----------
    n_components : int, default=None
        Number of atoms, at most n_features. None takes n_features, or as many as
        there are rows in `init`.
    prior : {"exponential", "spike_slab"}, default="exponential"
        What is expected of a coefficient. "exponential" has the penalty λa and shrinks
        every code by λ (ReLU). "spike_slab" has the penalty ½λ² 1[a ≠ 0] and keeps
        projections above λ as they are (one-sided hard threshold).
    alpha : float, array-like of shape (n_components,) or "auto", default=1.0
        The threshold λ in units of X, as `alpha` of
        :class:`~sklearn.decomposition.DictionaryLearning`. An array gives one prior per
        coefficient, and the atoms keep the order of its entries. "auto" learns the
        prior of every coefficient, and the noise, with the dictionary: `fit` then
        maximises the likelihood of X. Give it fewer components than features, and more
        samples than components: where codes alone explain X the noise vanishes, and new
        samples, which do have noise, become as good as impossible.
    inference : {"map", "mean"}, default="map"
        The code that `transform` returns: the most probable one, or the mean of the
        posterior, which has the least squared error and is never exactly zero.
    center : bool, default=True
        Whether to subtract the mean of X first, as PCA does. CSR input is not made
        dense: the mean is folded into the projections.
    init : {"pca", "dct", "random"} or array-like of shape (n_components, n_features), \
            default="pca"
        The dictionary to start from: the principal axes of X; the lowest frequencies
        of the discrete cosine transform (in two dimensions where n_features is a
        square or three squares, else in one); a uniformly random one; or the given
        orthonormal rows.
    max_iter : int, default=100
        Most learning iterations, each one pass over X. With 0 the start is the
        dictionary.
    tol : float, default=1e-4
        Learning stops when two iterations in a row lower the objective by no more than
        this part of it; with `alpha="auto"`, by no more nats for each feature.
    forgetting : float, default=1.0
        How fast `partial_fit` forgets: the i-th of n samples weighs (i / n)^forgetting.
        0 forgets nothing.
    sparse_output : bool, default=False
        Whether `transform` returns CSR, built block by block.
    warm_start : bool, default=False
        Whether `fit` starts from the dictionary of the fit before.
    n_jobs : int, default=None
        Number of workers (threads, unless :func:`joblib.parallel_config` says
        otherwise). The result has the same bits for every number. None means 1, -1
        means all cores.
    random_state : int, RandomState instance or None, default=None
        For `init="random"`, and for the principal axes of more than 2048 features.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        The atoms, orthonormal rows of the dtype of X, in the order of the energy of
        their codes.
    mean_ : ndarray of shape (n_features,)
        Mean of X, zero with `center=False`. With `alpha="auto"` it is the sample that
        has no codes, which lies below the mean of X by the mean codes.
    alpha_ : ndarray of shape (n_components,)
        The threshold of every coefficient. What "auto" learned with "spike_slab" is
        where the slab becomes more probable than the spike; codes beyond it are shrunk
        by τ² / (τ² + σ²).
    noise_variance_ : float
        Variance σ² of the noise: learned with `alpha="auto"`, and otherwise of the
        largest likelihood for the dictionary and `alpha_`. Never below 1e-8 times the
        mean variance of the features.
    rate_ : ndarray of shape (n_components,)
        `alpha_ / noise_variance_`, the rates β of the exponential prior. Never below
        1e-6 by the root mean square of X, even where `alpha_` is zero: a flat prior
        has no density.
    prior_ : dict of str to ndarray of shape (n_components,)
        The numbers of the prior: "rate", or "weight" and "slab_variance".
    objective_path_ : list of float
        The objective above, in the mean over samples, of the start and after every
        iteration: in `fit` it never rises. `partial_fit` adds that of every chunk. With
        `alpha="auto"` it is minus the log-likelihood, in nats.
    n_iter_ : int
        Number of iterations, plus that of chunks of `partial_fit`.
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
    orthogonal Procrustes solution [2]_. Learning descends on the objective over all
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

    With everything but their number learned from the data, scored on others:

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
        alpha=1.0,
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
