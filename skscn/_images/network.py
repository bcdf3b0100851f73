"""Networks: layers in a stack or in parallel, learned layer by layer."""

from copy import copy
from functools import partial
from numbers import Integral
from typing import ClassVar

import numpy as np
from sklearn.base import clone
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted

from skscn._data.sklearn_compat import (
    BaseComposition,
    CallbackSupportMixin,
    FitCallbacks,
    StrOptions,
    atomic_fit,
    composition_block,
)
from skscn._images.base import BaseImageTransformer
from skscn._images.convolution import ConvSparseCoder
from skscn._images.layers.composition import Parallel, Stack, concatenated_shape
from skscn._images.pooling import SpatialPool
from skscn._images.validation import check_map_shape


class SparseCodingNetwork(CallbackSupportMixin, BaseImageTransformer, BaseComposition):
    """Layers of sparse codes, in a stack or in parallel.

    In a stack, every layer codes the maps of the layer before. Parallel layers code the
    same images, for instance with patches of several sizes. A network is a layer, too,
    so stacks of parallel layers and parallel stacks are networks of networks. Every
    layer minimizes its own objective, that of :class:`ConvSparseCoder`, after the
    layers before it are learned: there is no backpropagation, and there are no labels.

    Images pass through all layers block by block. Maps between layers exist for one
    block at a time, so memory does not grow with the number of images.

    Read more in the :ref:`user guide <networks>`.

    Parameters
    ----------
    layers : list of (str, layer) tuples, default=None
        Names, and :class:`ConvSparseCoder`, :class:`SpatialPool` or networks. They are
        cloned; the fitted ones are in `layers_`. As in Pipeline and FeatureUnion,
        "passthrough" stands for a layer that returns the maps that it reads, and "drop"
        leaves out a parallel layer. None stands for one ConvSparseCoder with default
        parameters, under the name "conv".
    arrangement : {"stack", "parallel"}, default="stack"
        Whether a layer reads the maps of the one before, or all read the same images.
    outputs : {"last", "pools"}, default="last"
        Which maps of a stack are returned: those of the last layer, or those of all
        pools and networks in it, concatenated.
    image_shape : tuple of int, default=None
        (height, width) or (height, width, channels) of the images in flat rows. With
        None a flat row is a signal, an image of one row.
    n_jobs : int, default=None
        Number of :term:`workers <worker>`, for all layers. None means every core that
        NumPy would use. The result has the same bits for every number.

    Attributes
    ----------
    layers_ : list of (str, layer) tuples
        The fitted layers. A layer that is "drop", or "passthrough" in a stack, is not
        in it; "passthrough" beside parallel layers is a pool with windows of one
        position, and so is a stack without other layers.
    named_layers_ : :class:`~sklearn.utils.Bunch`
        The fitted layers by name.
    image_shape_ : tuple of int
        (height, width, channels) of the images.
    map_shape_ : tuple of int
        (height, width, n_maps) of the maps of an image, or (n_features_out,) if maps of
        several sizes are concatenated.
    n_features_in_ : int
        Number of values in an image.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen in `fit`, if X had string column names.

    Raises
    ------
    ValueError
        On `fit`, if there are no layers, if a name is used twice, or as the layers do.
    TypeError
        On `fit`, if a layer is of another type.

    See Also
    --------
    make_sparse_coding_network : A network, a scaler and a classifier in a Pipeline.
    sklearn.pipeline.Pipeline : A stack of the same layers that stores all maps.

    References
    ----------
    .. [1] J. Bowren, "A Sparse Coding Interpretation of Neural Networks and Theoretical
       Implications", arXiv:2108.06622, 2021.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skscn import ConvSparseCoder, SparseCodingNetwork, SpatialPool
    >>> images = load_digits().images
    >>> network = SparseCodingNetwork(
    ...     [
    ...         ("conv1", ConvSparseCoder(8, kernel_size=3, random_state=0)),
    ...         ("pool1", SpatialPool("max")),
    ...         ("conv2", ConvSparseCoder(16, kernel_size=3, random_state=0)),
    ...         ("pool2", SpatialPool("gaussian", grid=2)),
    ...     ]
    ... )
    >>> network.fit_transform(images).shape  # 16 atoms, two signs, four cells
    (1797, 128)
    >>> network.set_params(conv1__alpha=1.0).get_params()["conv1__alpha"]
    1.0
    """

    _fixed_in_stream = ("layers", "arrangement", "outputs")
    _parameter_constraints: ClassVar[dict] = {
        "layers": [list, None],
        "arrangement": [StrOptions({"stack", "parallel"})],
        "outputs": [StrOptions({"last", "pools"})],
        "image_shape": ["array-like", None],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        layers=None,
        *,
        arrangement="stack",
        outputs="last",
        image_shape=None,
        n_jobs=None,
    ):
        self.layers = layers
        self.arrangement = arrangement
        self.outputs = outputs
        self.image_shape = image_shape
        self.n_jobs = n_jobs

    def get_params(self, deep=True):
        """Return the parameters, with those of the layers as name__parameter.

        Parameters
        ----------
        deep : bool, default=True
            Whether to return those of the layers, too.

        Returns
        -------
        params : dict
            Names and values.
        """
        return self._get_params("layers", deep=deep)

    def set_params(self, **params):
        """Set parameters, parameters of layers (name__parameter), or layers by name.

        Parameters
        ----------
        **params : dict
            Names and values.

        Returns
        -------
        self : object
            The network.
        """
        return self._set_params("layers", **params)

    @partial(atomic_fit, skip_nested=False)
    def fit(self, X, y=None):
        """Learn the layers, from the first to the last.

        Each layer learns from a sample of patches. Only the images of these patches
        pass through the layers before it.

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
            The fitted network.

        Raises
        ------
        ValueError
            If X is empty, not finite or complex, or as the layers do.
        TypeError
            If a layer is of another type.
        """
        self._check_layers()
        source = self._image_source(X, reset=True)
        layers = [(name, clone(layer)) for name, layer in self._active_layers()]
        return self._learn(source, layers, "fit")

    @partial(atomic_fit, skip_nested=False)
    def partial_fit(self, X, y=None):
        """Learn from one more mini-batch of images, or continue after `fit`.

        Each layer is updated first, and its maps of the mini-batch are then computed
        for the layer after it.

        Parameters
        ----------
        X : array-like
            Images as `fit` takes them.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        self : object
            The network, fitted to all mini-batches so far.

        Raises
        ------
        ValueError
            As `fit`, and if the shape of the images changes.
        TypeError
            If a layer is of another type, or X is a dask array: mini-batches must
            be in memory.
        """
        is_first = not hasattr(self, "layers_")
        if is_first:
            self._check_layers()
        source = self._mini_batch_source(X, reset=is_first)
        # Copies: the fitted layers must not change if this call fails.
        layers = (
            [(name, clone(layer)) for name, layer in self._active_layers()]
            if is_first
            else [(name, copy(layer)) for name, layer in self.layers_]
        )
        return self._learn(source, layers, "partial_fit")

    def report(self, X):
        """Report how every convolution learned, and how it codes images.

        Parameters
        ----------
        X : array-like
            Images as `fit` takes them.

        Returns
        -------
        report : list of dict
            One dict for every :class:`ConvSparseCoder`, in order, with the keys `layer`
            (its names, joined by two underscores), `map_shape`, `n_iter`,
            `initial_objective`, `objective`, `active_fraction` (the share of codes that
            are not zero) and `n_dead_maps` (the number of maps that are zero
            everywhere). ``pandas.DataFrame(report)`` makes it a table.

        Raises
        ------
        ValueError
            As `transform`.
        """
        check_is_fitted(self)
        images, _ = self._validate_images(X, reset=False)
        return self._report_rows(images, "")

    @property
    def named_layers_(self):
        """The fitted layers by name."""
        return Bunch(**dict(self.layers_))

    @property
    def _returns_rows(self):
        return True

    @property
    def _name_prefix(self):
        return ""

    @property
    def _named_layers(self):
        """The layers to fit: those given, or a single convolution."""
        if self.layers is None:
            return [("conv", ConvSparseCoder())]
        return self.layers

    def _sk_visual_block_(self):
        is_stack = self.arrangement == "stack"
        return composition_block(self._named_layers, is_stack=is_stack)

    def _check_layers(self):
        layers = self._named_layers
        if not layers:
            raise ValueError("layers is empty: give at least one (name, layer).")
        for item in layers:
            if not isinstance(item, tuple) or len(item) != 2:
                raise TypeError(f"layers holds {item!r}, which is not (name, layer).")
        self._validate_names([name for name, _ in layers])
        for name, layer in layers:
            if isinstance(layer, str) and layer == "passthrough":
                continue
            if isinstance(layer, str) and layer == "drop":
                if self.arrangement == "parallel":
                    continue
                raise TypeError(
                    f"Layer {name!r} of a stack is 'drop', which leaves out one of "
                    "several parallel layers. Use 'passthrough'."
                )
            if not isinstance(
                layer, ConvSparseCoder | SpatialPool | SparseCodingNetwork
            ):
                raise TypeError(
                    f"Layer {name!r} is {layer!r}: the layers of a network are "
                    "ConvSparseCoder, SpatialPool, networks, 'passthrough' and, in "
                    "parallel, 'drop'. Use other transformers in "
                    "sklearn.pipeline.Pipeline or FeatureUnion."
                )
            if layer.image_shape is not None:
                raise ValueError(
                    f"Layer {name!r} has image_shape={layer.image_shape}, but it reads "
                    "the images of the network: give image_shape to the network."
                )

    def _active_layers(self):
        """Return the layers to fit; a pool of single positions passes maps through."""
        identity = SpatialPool(window=1)
        if self.arrangement == "stack":
            layers = [pair for pair in self._named_layers if pair[1] != "passthrough"]
            return layers or [(self._named_layers[0][0], identity)]
        layers = [
            (name, identity if layer == "passthrough" else layer)
            for name, layer in self._named_layers
            if layer != "drop"
        ]
        if not layers:
            raise ValueError(
                f"All {len(self._named_layers)} parallel layers are 'drop', and no "
                "maps are left. Give at least one layer, or 'passthrough'."
            )
        return layers

    def _learn(self, source, layers, method):
        self._output_shape(source.image_shape)  # raises before any work starts
        task = FitCallbacks(self, None, len(layers))
        layer_source = source
        for name, layer in layers:
            with task.subtask(f"fit {name}", layer):
                getattr(layer, method)(layer_source)
            if self.arrangement == "stack":
                fitted = layer._fitted_layer(source.dtype)
                layer_source = layer_source.mapped(fitted, self.n_jobs)
        self.layers_ = layers
        self._is_parallel = self.arrangement == "parallel"
        self._output_indices = self._find_outputs(layers)
        self.map_shape_ = self._combine([layer.map_shape_ for _, layer in layers])
        task.end()
        return self

    def _fitted_layer(self, dtype):
        layers = [layer._fitted_layer(dtype) for _, layer in self.layers_]
        if self._is_parallel:
            return Parallel(layers, dtype)
        return Stack(layers, dtype, self._output_indices)

    def _output_shape(self, image_shape):
        shapes = []
        for name, layer in self._active_layers():
            try:
                layer._validate_params()
                shapes.append(layer._output_shape(check_map_shape(image_shape, layer)))
            except ValueError as error:
                raise ValueError(f"Layer {name!r}: {error}") from error
            if self.arrangement == "stack":
                image_shape = shapes[-1]
        return self._combine(shapes)

    def _combine(self, shapes):
        """Return the shape of the output, given the map shapes of all layers."""
        if self.arrangement == "parallel":
            return concatenated_shape(shapes)[1]
        outputs = self._find_outputs(self._active_layers())
        if outputs:
            return (sum(int(np.prod(shapes[i])) for i in outputs),)
        return shapes[-1]

    def _find_outputs(self, layers):
        """Return the indices of the layers whose maps are returned; [] for the last."""
        if self.arrangement == "parallel" or self.outputs == "last":
            return []
        return [
            i
            for i, (_, layer) in enumerate(layers)
            if not isinstance(layer, ConvSparseCoder)
        ]

    def _feature_names(self, prefix):
        prefix = f"{prefix}_" if prefix else ""
        layers = self.layers_
        if not self._is_parallel:
            layers = [layers[i] for i in self._output_indices or [-1]]
        names = [layer._feature_names(prefix + name) for name, layer in layers]
        if len(layers) > 1 and len(self.map_shape_) == 3:
            # Maps are concatenated along the channels.
            n_positions = self.map_shape_[0] * self.map_shape_[1]
            names = [np.reshape(own, (n_positions, -1)) for own in names]
            return np.concatenate(names, axis=1).ravel().tolist()
        return [name for own in names for name in own]

    def _report_rows(self, images, prefix):
        rows = []
        for name, layer in self.layers_:
            if isinstance(layer, SparseCodingNetwork):
                rows += layer._report_rows(images, f"{prefix}{name}__")
            elif isinstance(layer, ConvSparseCoder):
                rows.append({"layer": prefix + name, **layer._report(images)})
            if not self._is_parallel:
                images = layer._compute_maps(images)
        return rows
