"""The convolutional layer: a sparse coder at every place of an image."""

from copy import copy, deepcopy
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from sklearn.utils import check_random_state, gen_batches

from skscn._coders.non_negative import NonNegativeSparseCoder
from skscn._coders.orthogonal import OrthogonalSparseCoder
from skscn._core.priors import ONE_SIDED
from skscn._core.procrustes import polar_factor
from skscn._data.parallel import single_blas_thread
from skscn._data.sklearn_compat import (
    CallbackSupportMixin,
    FitCallbacks,
    Interval,
    StrOptions,
    atomic_fit,
)
from skscn._data.validation import check_alpha, check_squares
from skscn._images.base import BaseImageTransformer
from skscn._images.layers.base import Convolution
from skscn._images.layers.patches import sample_patches
from skscn._images.layers.whitening import Whitening, normalised
from skscn._images.validation import check_geometry, check_n_atoms

# The signed prior whose codes, split by sign, are those of the one-sided prior.
SIGNED_TWIN = {"exponential": "laplace", "spike_slab": "spike_slab"}
TOL = 1e-3  # relative; features do not gain from more
REPORTED = 256  # images whose maps a report looks at together


class ConvSparseCoder(CallbackSupportMixin, BaseImageTransformer):
    """A sparse coder at every place of an image: a convolutional ReLU layer.

    Every patch x of the images is normalised, y = (x − m(x)) / s(x) with its own mean
    m(x) and contrast s(x), and whitened, z = W (y − μ). Orthonormal atoms D and codes A
    are learned from a sample of patches to minimise::

        Σ_i  ½‖z_i − a_i D‖² + Σ_j penalty(a_ij)    subject to  D Dᵀ = I

    The best code of a patch is one threshold of its projections. All that comes before
    is linear up to the division by s(x), and folded into filters and biases, so that
    `transform` is a convolution and one non-linearity::

        maps = max(x * filters_ / s(x) + bias_, 0)

    The biases hold the negative priors. With `split_sign` the codes are signed, and
    every atom has two maps, max(u − λ, 0) and max(−u − λ, 0).

    Read more in the :ref:`user guide <networks>`.

    Parameters
    ----------
    n_components : int, default=None
        Number of atoms, each from a patch's leading principal components: at most the
        numbers in a patch, less one with `center_patches`. None takes as many.
    kernel_size : int or tuple of int, default=5
        Height and width of a patch. One number stands for both, and in signals (images
        of one row) for the width.
    stride : int or tuple of int, default=1
        Steps from one patch to the next, down and to the right.
    padding : {"same", "valid"}, int or tuple of int, default="same"
        Zeros around the images: as many as make one patch for every `stride`, none, or
        so many above and below, left and right.
    prior : {"exponential", "spike_slab"}, default="exponential"
        What is expected of a coefficient. "exponential" shrinks codes by λ (ReLU),
        "spike_slab" keeps projections above λ as they are.
    alpha : float or array-like of shape (n_components,), default=0.5
        The threshold λ, in units of the whitened projections: with `whiten`, of their
        standard deviation. An array gives one prior per atom.
    split_sign : bool, default=True
        Whether codes are signed, and split into two non-negative maps. With False they
        are one-sided, one map for every atom.
    depthwise : bool, default=False
        Whether every channel has a dictionary of its own, of `n_components` atoms.
    center_patches : bool, default=True
        Whether to subtract from every patch its own mean.
    contrast : float, default=None
        Divide every patch by s(x) = √(variance + eps), with eps this many times the
        mean variance of patches. None does not divide.
    whiten : float, default=0.01
        Divide principal components by √(variance + floor), with the floor this many
        times the mean variance of the numbers in a patch. None does not divide.
    init : {"pca", "random", "patches"}, default="pca"
        Atoms to start from: the principal axes, random orthonormal ones, or random
        patches made orthonormal. Together with `max_iter=0` these are what learned
        atoms are to be compared with.
    max_iter : int, default=30
        Most learning iterations. With 0 the start is the dictionary.
    max_patches : int, default=20000
        Size of the sample of patches to learn from.
    image_shape : tuple of int, default=None
        (height, width) or (height, width, channels) of the images in flat rows. None
        takes a flat row for a signal, an image of one row.
    n_jobs : int, default=None
        Number of workers. The result has the same bits for every number. None means 1,
        -1 means all cores.
    random_state : int, RandomState instance or None, default=None
        For the sample of patches, and random starts.

    Attributes
    ----------
    filters_ : ndarray of shape (n_maps, kernel_height, kernel_width, channels)
        What patches are multiplied with; one channel each with `depthwise`, where the
        maps of the first channel come first. With `split_sign` filters are followed by
        their negatives.
    bias_ : ndarray of shape (n_maps,)
        Added to the products: −λ, less the share of the mean patch.
    atoms_ : ndarray of shape (n_atoms, kernel_height, kernel_width, channels)
        What a unit of code adds to a normalised patch.
    mean_ : ndarray of shape (n_groups, kernel_height, kernel_width, channels)
        Mean of normalised patches; a group is all channels, or each with `depthwise`.
    alpha_ : ndarray of shape (n_components,)
        The threshold of every atom.
    eps_ : float
        What is added to the variance of patches, 0 without `contrast`.
    image_shape_ : tuple of int
        (height, width, channels) of the images.
    map_shape_ : tuple of int
        (height, width, n_maps) of the maps of an image.
    objective_path_ : list of float
        The objective above, in the mean over patches, of the start and after every
        iteration; with `depthwise` the mean over channels.
    n_iter_ : int
        Number of iterations, with `depthwise` the most of any channel, plus that of
        chunks of `partial_fit`.
    n_features_in_ : int
        How many numbers an image has.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen in `fit`, where X had string column names.

    Raises
    ------
    ValueError
        On `fit`, if patches are larger than images, if there are more atoms than
        numbers in a patch, or if X or a parameter has a wrong shape or value.

    See Also
    --------
    SpatialPool : What usually follows.
    SparseCodingNetwork : Layers one after another and side by side, streamed.
    NonNegativeSparseCoder : The same code for rows.

    Notes
    -----
    There is no `sample_weight`: learning takes a bounded random sample of patches, in
    which a weight could not mean repetition.

    References
    ----------
    .. [1] J. Bowren, "A Sparse Coding Interpretation of Neural Networks and Theoretical
       Implications", arXiv:2108.06622, 2021.
    .. [2] A. Coates, A. Ng, "The Importance of Encoding Versus Training with Sparse
       Coding and Vector Quantization", ICML 2011.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skscn import ConvSparseCoder
    >>> images = load_digits().images
    >>> conv = ConvSparseCoder(n_components=8, kernel_size=3, random_state=0)
    >>> maps = conv.fit_transform(images)
    >>> maps.shape  # 8 atoms, two signs
    (1797, 8, 8, 16)
    >>> bool((maps >= 0).all())
    True
    """

    filters_: np.ndarray
    _groups: list

    _parameter_constraints: ClassVar[dict] = {
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "kernel_size": [Interval(Integral, 1, None, closed="left"), tuple],
        "stride": [Interval(Integral, 1, None, closed="left"), tuple],
        "padding": [
            StrOptions({"same", "valid"}),
            Interval(Integral, 0, None, closed="left"),
            tuple,
        ],
        "prior": [StrOptions(set(ONE_SIDED))],
        "alpha": [Interval(Real, 0, None, closed="left"), "array-like"],
        "split_sign": ["boolean"],
        "depthwise": ["boolean"],
        "center_patches": ["boolean"],
        "contrast": [Interval(Real, 0, None, closed="neither"), None],
        "whiten": [Interval(Real, 0, None, closed="left"), None],
        "init": [StrOptions({"pca", "random", "patches"})],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "max_patches": [Interval(Integral, 1, None, closed="left")],
        "image_shape": ["array-like", None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_components=None,
        *,
        kernel_size=5,
        stride=1,
        padding="same",
        prior="exponential",
        alpha=0.5,
        split_sign=True,
        depthwise=False,
        center_patches=True,
        contrast=None,
        whiten=0.01,
        init="pca",
        max_iter=30,
        max_patches=20_000,
        image_shape=None,
        n_jobs=None,
        random_state=None,
    ):
        self.n_components = n_components
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.prior = prior
        self.alpha = alpha
        self.split_sign = split_sign
        self.depthwise = depthwise
        self.center_patches = center_patches
        self.contrast = contrast
        self.whiten = whiten
        self.init = init
        self.max_iter = max_iter
        self.max_patches = max_patches
        self.image_shape = image_shape
        self.n_jobs = n_jobs
        self.random_state = random_state

    @atomic_fit
    def fit(self, X, y=None):
        """Learn the filters from a sample of the patches of images.

        Parameters
        ----------
        X : array-like of shape (n_images, height, width, channels), \
                (n_images, height, width) or (n_images, n_features)
            Images, or flat rows. float64 is computed in float64, small integers in
            float32.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        self : object
            The fitted layer.

        Raises
        ------
        ValueError
            If X is empty, not finite or complex, if patches are larger than images, or
            if `n_components` or `alpha` have a wrong value or shape.
        """
        source = self._source(X)
        self._learn(source, check_random_state(self.random_state), fresh=True)
        return self

    @atomic_fit
    def partial_fit(self, X, y=None):
        """Learn from one more chunk of images, or go on after `fit`.

        The first chunk is learned as by `fit`, and its whitening and contrast stay:
        give it some hundred images. A sample of patches of every later chunk moves the
        dictionary by one step, as `partial_fit` of the coders does.

        Parameters
        ----------
        X : array-like
            Images as `fit` takes them.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        self : object
            The layer, fitted to the stream so far.

        Raises
        ------
        ValueError
            As `fit`, and if the shape of the images changes.
        TypeError
            If X is a dask array: a chunk is at hand.
        """
        fresh = not hasattr(self, "filters_")
        source = self._chunk(X, reset=fresh)
        rng = check_random_state(self.random_state) if fresh else deepcopy(self._rng)
        self._learn(source, rng, fresh=fresh)
        return self

    def _learn(self, source, rng, *, fresh):
        geometry = self._geometry(source.image_shape)
        n_components = self._n_atoms(geometry)
        alpha = check_alpha(self.alpha, n_components, source.dtype)
        n_groups = geometry.image_shape[2] if self.depthwise else 1
        dtype = source.dtype if fresh else self.filters_.dtype
        task = FitCallbacks(self, None, n_groups)
        with single_blas_thread():
            patches = sample_patches(
                source.take, source.n_images, geometry, self.max_patches, dtype, rng
            )
            with np.errstate(over="ignore"):
                check_squares(np.vdot(patches, patches), dtype)
            n_patches = len(patches)
            if self.depthwise:
                patches = np.moveaxis(patches, -1, 0)
            patches = patches.reshape(n_groups, n_patches, -1)
            if fresh:
                self._centre = float(patches.mean(dtype=np.float64))
                self.eps_ = 0.0
                if self.contrast is not None:
                    variance = float(patches.var(axis=2, dtype=np.float64).mean())
                    self.eps_ = self.contrast * (variance or 1.0)
                groups = [
                    self._group(rows, n_components, rng, task) for rows in patches
                ]
            else:
                groups = [
                    self._next_group(rows, *group)
                    for rows, group in zip(patches, self._groups, strict=True)
                ]
        self._groups, self._rng = groups, deepcopy(rng)
        self._set_attributes(geometry, alpha, dtype)
        task.end()

    def _group(self, patches, n_components, rng, task):
        """Return the whitening and the coder of a group of channels."""
        rows = self._normalised(patches)
        whitening = Whitening.learned(rows, n_components, self.whiten)
        rows = whitening(rows)
        init = self.init
        if init == "patches":
            replace = len(rows) < n_components
            init = polar_factor(
                rows[rng.choice(len(rows), n_components, replace=replace)]
            )
        elif init == "pca":  # the axes of whitened patches are those of the patches
            init = np.eye(n_components)
        Coder = OrthogonalSparseCoder if self.split_sign else NonNegativeSparseCoder
        coder = Coder(
            n_components,
            prior=SIGNED_TWIN[self.prior] if self.split_sign else self.prior,
            alpha=self.alpha,
            center=False,
            init=init,
            max_iter=self.max_iter,
            tol=TOL,
            n_jobs=self.n_jobs,
            random_state=rng.randint(2**31 - 1),
        )
        coder._remedy = "Increase max_iter."
        coder._entries = "The numbers in whitened patches"
        with task.subtask("learn dictionary", coder):
            coder.fit(rows)
        return whitening, coder

    def _next_group(self, patches, whitening, coder):
        """Return the same after one more chunk."""
        coder = copy(coder)  # what was fitted before is replaced, never changed
        coder.set_params(alpha=self.alpha)
        return whitening, coder.partial_fit(whitening(self._normalised(patches)))

    def _normalised(self, patches):
        eps = self.eps_ or None
        return normalised(patches, centred=self.center_patches, contrast=eps)[0]

    def _set_attributes(self, geometry, alpha, dtype):
        whitenings, coders = zip(*self._groups, strict=True)
        n_groups = len(coders)
        shape = (*geometry.kernel, geometry.image_shape[2] // n_groups)
        folded = [
            whitening.folded(coder.components_, self.center_patches)
            for whitening, coder in self._groups
        ]
        filters, shift, atoms = (np.array(part) for part in zip(*folded, strict=True))
        signs = (1, -1) if self.split_sign else (1,)
        filters = np.concatenate([sign * filters for sign in signs], axis=1)
        bias = np.concatenate([sign * shift - alpha for sign in signs], axis=1)
        self.filters_ = filters.reshape(-1, *shape).astype(dtype)
        self.bias_ = bias.ravel().astype(dtype)
        self.atoms_ = atoms.reshape(-1, *shape).astype(dtype)
        means = np.array([whitening.mean for whitening in whitenings])
        self.mean_ = means.reshape(n_groups, *shape).astype(dtype)
        self.alpha_ = alpha
        self.map_shape_ = self._plan(geometry.image_shape)
        self.n_iter_ = max(coder.n_iter_ for coder in coders)
        paths = [coder.objective_path_ for coder in coders]
        longest = max(map(len, paths))
        paths = [[*path, *[path[-1]] * (longest - len(path))] for path in paths]
        self.objective_path_ = np.mean(paths, axis=0).tolist()

    def _layer(self, dtype):
        """Return the layer, made of the public attributes alone."""
        n_components, n_signs = len(self.alpha_), 1 + self.split_sign
        n_groups = len(self.mean_)
        shape = (n_groups, n_signs, n_components)
        filters = self.filters_.astype(dtype, copy=False)
        filters = filters.reshape(*shape, *filters.shape[1:])[:, 0]
        shift = (self.bias_.reshape(shape) + self.alpha_)[:, 0]
        return Convolution(
            filters=filters,
            shift=shift.astype(dtype, copy=False),
            atoms=self.atoms_.astype(dtype, copy=False).reshape(filters.shape),
            mean=self.mean_.astype(dtype, copy=False),
            threshold=self.alpha_,
            prior=ONE_SIDED[self.prior],
            split_sign=self.split_sign,
            geometry=self._geometry(self.image_shape_),
            centred=self.center_patches,
            contrast=(self.eps_, self._centre) if self.eps_ else None,
        )

    def _plan(self, image_shape):
        geometry = self._geometry(image_shape)
        n_components = self._n_atoms(geometry)
        check_alpha(self.alpha, n_components, np.float64)
        n_groups = image_shape[2] if self.depthwise else 1
        return (*geometry.places, n_groups * n_components * (1 + self.split_sign))

    def _activity(self, images):
        """Return what a network reports of the layer."""
        n_active = np.zeros(self.map_shape_[2], dtype=int)
        for part in gen_batches(len(images), REPORTED):
            maps = self._mapped(images[part])
            n_active += np.count_nonzero(maps, axis=(0, 1, 2))
        n_codes = len(images) * int(np.prod(self.map_shape_))
        return {
            "map_shape": self.map_shape_,
            "n_iter": self.n_iter_,
            "objective_start": self.objective_path_[0],
            "objective": self.objective_path_[-1],
            "active": float(n_active.sum() / n_codes),
            "dead": int(np.count_nonzero(n_active == 0)),
        }

    def _geometry(self, image_shape):
        return check_geometry(self.kernel_size, self.stride, self.padding, image_shape)

    def _n_atoms(self, geometry):
        channels = 1 if self.depthwise else geometry.image_shape[2]
        return check_n_atoms(
            self.n_components, geometry.of_channels(channels), self.center_patches
        )
