"""The convolutional layer: a sparse coder at every position of an image."""

from copy import deepcopy
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from sklearn.utils import check_random_state, gen_batches

from skscn._core.priors import ONE_SIDED
from skscn._data.blas_threads import single_blas_thread
from skscn._data.sklearn_compat import (
    CallbackSupportMixin,
    FitCallbacks,
    Interval,
    StrOptions,
    atomic_fit,
)
from skscn._data.validation import check_alpha
from skscn._images.base import BaseImageTransformer
from skscn._images.layers.convolution import FittedConvolution
from skscn._images.layers.whitening import normalize_patches
from skscn._images.patch_learning import PatchLearningMixin
from skscn._images.validation import check_n_atoms, check_patch_grid

REPORT_BATCH_SIZE = 256  # images whose maps are in memory together in a report


class ConvSparseCoder(PatchLearningMixin, CallbackSupportMixin, BaseImageTransformer):
    """A sparse coder at every position of an image: a convolutional ReLU layer.

    Every patch x of the images is normalized, y = (x − m(x)) / s(x) with its own mean
    m(x) and contrast s(x), and whitened, z = W (y − μ). Orthonormal atoms D and codes A
    are learned from a sample of patches to minimize::

        Σ_i  ½‖z_i − a_i D‖² + Σ_j penalty(a_ij)    subject to  D Dᵀ = I

    The optimal code of a patch is one threshold of its projections. Normalization and
    whitening are linear up to the division by s(x), so they are folded into filters and
    biases, and `transform` is a convolution and one non-linearity::

        maps = max(x * filters_ / s(x) + bias_, 0)

    The biases contain the negative thresholds. With `split_sign` the codes are signed,
    and every atom has two maps, max(u − λ, 0) and max(−u − λ, 0).

    Orthonormal atoms are at most as many as the components z of a patch. With
    `n_dictionaries` above 1 there are several dictionaries of orthonormal atoms, each
    learned from the patches that it codes best, as
    :class:`SparseCodingMixture` does, and maps are the codes of all of them.

    Read more in the :ref:`user guide <networks>`.

    Parameters
    ----------
    n_components : int, default=None
        Number of atoms of a dictionary, which combine as many leading principal
        components of the patches. It is at most the number of values in a patch, less
        one with `center_patches`. None uses the maximum.
    n_dictionaries : int, default=1
        Number of dictionaries of orthonormal atoms, side by side in the same principal
        components. With several there are n_dictionaries times as many atoms, of any
        number. On photographs a few dictionaries of the leading components are more
        accurate than one with all of them.
    kernel_size : int or tuple of int, default=5
        Height and width of a patch. One number is used for both, and in signals (images
        of one row) for the width.
    stride : int or tuple of int, default=1
        Steps between neighboring patches, down and to the right.
    padding : {"same", "valid"}, int or tuple of int, default="same"
        Pixels added around the images: "same" gives one patch for every `stride`,
        "valid" adds none, and numbers are added above and below, left and right. Added
        pixels repeat those at the edge, so that the border of a bright image is no step
        from zero to its brightness.
    prior : {"exponential", "spike_slab"}, default="exponential"
        Prior of the coefficients. "exponential" shrinks codes by λ (ReLU),
        "spike_slab" leaves projections above λ unchanged.
    alpha : float or array-like of shape (n_components,), default=0.5
        The threshold λ, in units of the whitened projections: with `whiten`, of their
        standard deviation. An array gives one threshold per atom, equal in all
        dictionaries.
    transform_alpha : float or array-like of shape (n_components,), default=None
        The threshold λ of the maps, if it is another than that of the codes in
        learning. None uses `alpha`. Atoms learned from few strong codes, and maps of
        many weak ones, are often best for a classifier of photographs.
    split_sign : bool, default=True
        Whether codes are signed, and split into two non-negative maps. With False they
        are one-sided, with one map per atom.
    depthwise : bool, default=False
        Whether every channel has a dictionary of its own, of `n_components` atoms.
    center_patches : bool, default=True
        Whether to subtract from every patch its own mean.
    contrast : float, default=None
        Divide every patch by s(x) = √(variance + eps), where eps is this many times the
        mean variance of patches. None does not divide.
    whiten : float, default=0.01
        Divide principal components by √(variance + eps), where eps is this many times
        the mean variance of the values in a patch. None does not divide.
    init : {"pca", "random", "patches"}, default="pca"
        Initial atoms: the principal axes, random orthonormal atoms, or random patches
        made orthonormal. With `max_iter=0` they are baselines for learned atoms.
        Several dictionaries start from the principal axes of clusters of patches, with
        "pca" only.
    max_iter : int, default=100
        Maximum number of learning iterations. With 0 the dictionary is the initial one.
    max_patches : int, default=20000
        Maximum number of patches in the sample to learn from.
    image_shape : tuple of int, default=None
        (height, width) or (height, width, channels) of the images in flat rows. With
        None a flat row is a signal, an image of one row.
    n_jobs : int, default=None
        Number of :term:`workers <worker>`. None means every core that NumPy would use.
        The result has the same bits for every number.
    random_state : int, RandomState instance or None, default=None
        Seed for the sample of patches and for random initial atoms.

    Attributes
    ----------
    filters_ : ndarray of shape (n_maps, kernel_height, kernel_width, channels)
        Filters of the maps. With `depthwise` each has one channel, and the maps of the
        first channel come first. With `split_sign` filters are followed by their
        negatives.
    bias_ : ndarray of shape (n_maps,)
        Biases of the maps: the bias of the projections minus λ.
    atoms_ : ndarray of shape (n_atoms, kernel_height, kernel_width, channels)
        What a unit of code adds to a normalized patch. With several dictionaries the
        patch is the mean of what they reconstruct.
    mean_ : ndarray of shape (n_groups, kernel_height, kernel_width, channels)
        Mean of normalized patches. A group is all channels, or each with `depthwise`.
    alpha_ : ndarray of shape (n_dictionaries * n_components,)
        The threshold of every atom in the maps.
    eps_ : float
        Added to the variance of patches in their contrast; 0 without `contrast`.
    image_shape_ : tuple of int
        (height, width, channels) of the images.
    map_shape_ : tuple of int
        (height, width, n_maps) of the maps of an image.
    objective_path_ : list of float
        The objective above, averaged over patches, at the start and after every
        iteration; with `depthwise` also averaged over channels.
    n_iter_ : int
        Number of iterations, with `depthwise` the maximum over channels, plus the
        number of later calls of `partial_fit`.
    n_features_in_ : int
        Number of values in an image.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen in `fit`, if X had string column names.

    Raises
    ------
    ValueError
        On `fit`, if patches are larger than images, if there are more atoms than
        values in a patch, or if X or a parameter has a wrong shape or value.

    See Also
    --------
    SpatialPool : Pooling, the layer that usually follows.
    SparseCodingNetwork : Layers one after the other and in parallel, streamed.
    NonNegativeSparseCoder : The same code for rows.

    Notes
    -----
    There is no `sample_weight`: layers learn from a bounded random sample of patches,
    in which a weight could not mean repetition.

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
    _fitted: FittedConvolution
    _channel_groups: list
    _rng: np.random.RandomState

    _fixed_in_stream = (
        "n_components",
        "n_dictionaries",
        "kernel_size",
        "stride",
        "padding",
        "prior",
        "split_sign",
        "depthwise",
        "center_patches",
        "contrast",
        "whiten",
    )
    _parameter_constraints: ClassVar[dict] = {
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "n_dictionaries": [Interval(Integral, 1, None, closed="left")],
        "kernel_size": [Interval(Integral, 1, None, closed="left"), tuple],
        "stride": [Interval(Integral, 1, None, closed="left"), tuple],
        "padding": [
            StrOptions({"same", "valid"}),
            Interval(Integral, 0, None, closed="left"),
            tuple,
        ],
        "prior": [StrOptions(set(ONE_SIDED))],
        "alpha": [Interval(Real, 0, None, closed="left"), "array-like"],
        "transform_alpha": [Interval(Real, 0, None, closed="left"), "array-like", None],
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
        n_dictionaries=1,
        kernel_size=5,
        stride=1,
        padding="same",
        prior="exponential",
        alpha=0.5,
        transform_alpha=None,
        split_sign=True,
        depthwise=False,
        center_patches=True,
        contrast=None,
        whiten=0.01,
        init="pca",
        max_iter=100,
        max_patches=20_000,
        image_shape=None,
        n_jobs=None,
        random_state=None,
    ):
        self.n_components = n_components
        self.n_dictionaries = n_dictionaries
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.prior = prior
        self.alpha = alpha
        self.transform_alpha = transform_alpha
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
            if `n_components` or a threshold have a wrong value or shape.
        """
        return self._learn(self._image_source(X, reset=True), is_first=True)

    @atomic_fit
    def partial_fit(self, X, y=None):
        """Learn from one more mini-batch of images, or continue after `fit`.

        The first mini-batch is learned as by `fit`, and its whitening and contrast are
        kept: it should have some hundred images. A sample of patches of every later
        mini-batch moves the dictionary by one step, as `partial_fit` of the coders
        does.

        Parameters
        ----------
        X : array-like
            Images as `fit` takes them.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        self : object
            The layer, fitted to all mini-batches so far.

        Raises
        ------
        ValueError
            As `fit`, and if the shape of the images changes, or a parameter other than
            the thresholds that determines the maps. With several dictionaries `alpha`
            may not change either.
        TypeError
            If X is a dask array: mini-batches must be in memory.
        """
        is_first = not hasattr(self, "filters_")
        source = self._mini_batch_source(X, reset=is_first)
        return self._learn(source, is_first=is_first)

    def _learn(self, source, *, is_first):
        grid, n_groups, n_components, alpha = self._check_parameters(
            source.image_shape, source.dtype
        )
        rng = check_random_state(self.random_state) if is_first else deepcopy(self._rng)
        dtype = source.dtype if is_first else self.filters_.dtype
        task = FitCallbacks(self, None, n_groups)
        with single_blas_thread():
            patches = self._sample_patches(source, grid, n_groups, dtype, rng)
            settings = self._settings(grid, patches, is_first=is_first)
            groups = []
            for i, rows in enumerate(patches):
                rows, _, _ = normalize_patches(
                    rows, center=settings.center, eps=settings.eps
                )
                if is_first:
                    groups.append(self._fit_group(rows, n_components, rng, task))
                else:
                    groups.append(self._update_group(rows, *self._channel_groups[i]))
        self._rng = deepcopy(rng)
        self._store_groups(groups, settings, alpha, dtype)
        task.end()
        return self

    def _store_groups(self, groups, settings, alpha, dtype):
        """Store the whitenings and coders of groups of channels, and their filters."""
        self._channel_groups = groups
        folded = [
            whitening.fold(
                coder.components_.reshape(-1, len(whitening.matrix)), settings.center
            )
            for whitening, coder in groups
        ]
        filters, bias, atoms = (np.array(part) for part in zip(*folded, strict=True))
        n_dictionaries = filters.shape[1] // len(groups[0][0].matrix)
        # Each dictionary reconstructs the patch, and their mean is taken.
        atoms = atoms / n_dictionaries
        mean = np.array([whitening.mean for whitening, _ in groups])
        self._store_convolution(
            FittedConvolution.from_filters(
                settings, filters, bias, atoms, mean, alpha, dtype
            )
        )
        self.n_iter_ = max(coder.n_iter_ for _, coder in groups)
        paths = [coder.objective_path_ for _, coder in groups]
        length = max(map(len, paths))
        paths = [[*path, *[path[-1]] * (length - len(path))] for path in paths]
        self.objective_path_ = np.mean(paths, axis=0).tolist()

    def _store_convolution(self, fitted):
        """Store a `FittedConvolution`, and its arrays as public attributes."""
        self._fitted = fitted
        patch_shape = fitted.atoms.shape[2:]
        self.filters_ = fitted.filters.reshape(-1, *patch_shape)
        self.bias_ = fitted.bias.ravel()
        self.atoms_ = fitted.atoms.reshape(-1, *patch_shape)
        self.mean_, self.alpha_ = fitted.mean, fitted.threshold
        self.eps_ = fitted.settings.eps
        self.map_shape_ = fitted.map_shape

    def _fitted_layer(self, dtype):
        return self._fitted.layer(dtype)

    def _output_shape(self, image_shape):
        grid, n_groups, n_components, _ = self._check_parameters(
            image_shape, np.float64
        )
        n_atoms = self.n_dictionaries * n_components
        return (*grid.grid_shape, n_groups * n_atoms * (1 + self.split_sign))

    def _check_parameters(self, image_shape, dtype):
        """Return the grid of patches, numbers of groups and atoms, and thresholds.

        Atoms are those of a dictionary, and thresholds those of all dictionaries.
        """
        grid = check_patch_grid(
            self.kernel_size, self.stride, self.padding, image_shape
        )
        n_groups, n_channels = 1, image_shape[2]
        if self.depthwise:
            n_groups, n_channels = n_channels, 1
        n_components = check_n_atoms(
            self.n_components, grid.with_channels(n_channels), self.center_patches
        )
        if self.n_dictionaries > 1 and self.init != "pca":
            raise ValueError(
                f"init={self.init!r} is given with n_dictionaries="
                f"{self.n_dictionaries}, but several dictionaries start from clusters "
                "of patches. Use init='pca', or n_dictionaries=1."
            )
        alpha = check_alpha(self.alpha, n_components, dtype)
        if self.transform_alpha is not None:
            alpha = check_alpha(
                self.transform_alpha, n_components, dtype, name="transform_alpha"
            )
        alpha = np.tile(alpha, self.n_dictionaries)
        return grid, n_groups, n_components, alpha

    def _report(self, images):
        """Return the entries of a network's report on this layer."""
        n_active = np.zeros(self.map_shape_[2], dtype=int)
        for batch in gen_batches(len(images), REPORT_BATCH_SIZE):
            maps = self._compute_maps(images[batch])
            n_active += np.count_nonzero(maps, axis=(0, 1, 2))
        n_codes = len(images) * int(np.prod(self.map_shape_))
        return {
            "map_shape": self.map_shape_,
            "n_iter": self.n_iter_,
            "initial_objective": self.objective_path_[0],
            "objective": self.objective_path_[-1],
            "active_fraction": float(n_active.sum() / n_codes),
            "n_dead_maps": int(np.count_nonzero(n_active == 0)),
        }
