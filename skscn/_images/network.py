"""Networks: layers one after another, or side by side, learned layer by layer."""

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
    check_feature_names_in,
)
from skscn._images.base import BaseImageTransformer, map_names
from skscn._images.convolution import ConvSparseCoder
from skscn._images.layers.composition import SideBySide, Stack, joined
from skscn._images.pooling import SpatialPool
from skscn._images.validation import check_maps


class SparseCodingNetwork(CallbackSupportMixin, BaseImageTransformer, BaseComposition):
    """Layers of sparse codes, one after another or side by side.

    A stack codes the codes below it; parallel branches code the same images with, for
    instance, patches of several sizes. A network is a layer too, so that stacks of
    branches and branches of stacks are networks of networks. Every layer lowers its own
    objective, the one of :class:`ConvSparseCoder`, with those below it learned before:
    there is no backpropagation, and there are no labels.

    Images go through all layers block by block. The maps in between exist for one block
    at a time, so memory does not grow with the number of images.

    Read more in the :ref:`user guide <networks>`.

    Parameters
    ----------
    layers : list of (str, layer) tuples
        Names, and :class:`ConvSparseCoder`, :class:`SpatialPool` or networks. They are
        cloned, and the fitted ones are in `layers_`.
    arrangement : {"stack", "parallel"}, default="stack"
        Whether a layer reads the maps of the one before, or all read the same images.
    outputs : {"last", "pools"}, default="last"
        Which maps of a stack are returned: those of the last layer, or those of all
        pools and networks in it, side by side.
    image_shape : tuple of int, default=None
        (height, width) or (height, width, channels) of the images in flat rows. None
        takes a flat row for a signal, an image of one row.
    n_jobs : int, default=None
        Number of workers, for all layers. The result has the same bits for every
        number. None means 1, -1 means all cores.

    Attributes
    ----------
    layers_ : list of (str, layer) tuples
        The fitted layers.
    named_layers_ : :class:`~sklearn.utils.Bunch`
        The same by name.
    image_shape_ : tuple of int
        (height, width, channels) of the images.
    map_shape_ : tuple of int
        (height, width, n_maps) of the maps of an image; (n_features_out,) where maps of
        several sizes are side by side.
    n_features_in_ : int
        How many numbers an image has.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen in `fit`, where X had string column names.

    Raises
    ------
    ValueError
        On `fit`, if there are no layers, if a name is used twice, or as the layers do.
    TypeError
        On `fit`, if a layer is of another kind.

    See Also
    --------
    make_sparse_coding_network : A network, a scaler and a classifier in a Pipeline.
    sklearn.pipeline.Pipeline : Chains the same layers, and stores the maps in between.

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

    _parameter_constraints: ClassVar[dict] = {
        "layers": [list],
        "arrangement": [StrOptions({"stack", "parallel"})],
        "outputs": [StrOptions({"last", "pools"})],
        "image_shape": ["array-like", None],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        layers,
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
            Whether to return those of the layers too.

        Returns
        -------
        params : dict
            Names and values.
        """
        return self._get_params("layers", deep=deep)

    def set_params(self, **params):
        """Set parameters, those of layers as name__parameter, or layers by name.

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

        A layer learns from a sample of patches; only the images they come from go
        through the layers below.

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
            If a layer is of another kind.
        """
        self._check_layers()
        layers = [(name, clone(layer)) for name, layer in self.layers]
        return self._learn(self._source(X), layers, "fit")

    @partial(atomic_fit, skip_nested=False)
    def partial_fit(self, X, y=None):
        """Learn from one more chunk of images, or go on after `fit`.

        The chunk goes through the layers as they are after learning from it; a layer
        above follows those below it.

        Parameters
        ----------
        X : array-like
            Images as `fit` takes them.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        self : object
            The network, fitted to the stream so far.

        Raises
        ------
        ValueError
            As `fit`, and if the shape of the images changes.
        TypeError
            If a layer is of another kind, or X is a dask array: a chunk is at hand.
        """
        if hasattr(self, "layers_"):
            source = self._chunk(X, reset=False)
            # What was fitted before is replaced, never changed.
            layers = [(name, copy(layer)) for name, layer in self.layers_]
        else:
            self._check_layers()
            source = self._chunk(X, reset=True)
            layers = [(name, clone(layer)) for name, layer in self.layers]
        return self._learn(source, layers, "partial_fit")

    def get_feature_names_out(self, input_features=None):
        """Return the names of the columns of the output.

        They tell the layer, the map and the place: ``pool2_map3_y0_x2``.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Only checked for agreement with the names seen in `fit`.

        Returns
        -------
        names : ndarray of str objects
            One for every column.
        """
        check_is_fitted(self)
        check_feature_names_in(self, input_features, generate_names=False)
        return np.array(self._names("", self.map_shape_), dtype=object)

    def report(self, X):
        """Return what every convolution learned, and how it codes images.

        Parameters
        ----------
        X : array-like
            Images as `fit` takes them.

        Returns
        -------
        report : list of dict
            Of every :class:`ConvSparseCoder`, in order: `layer` (its names, joined by
            two underscores), `map_shape`, `n_iter`, `objective_start`, `objective`,
            `active` (the share of codes that are not zero) and `dead` (how many maps
            are zero everywhere). ``pandas.DataFrame(report)`` makes it a table.

        Raises
        ------
        ValueError
            As `transform`.
        """
        check_is_fitted(self)
        images, _ = self._images(X, reset=False)
        return self._report(images, "")

    @property
    def named_layers_(self):
        """The fitted layers by name."""
        return Bunch(**dict(self.layers_))

    @property
    def _flattens(self):
        return True

    def _check_layers(self):
        if not self.layers:
            raise ValueError("layers is empty: give at least one (name, layer).")
        for item in self.layers:
            if not isinstance(item, tuple) or len(item) != 2:
                raise TypeError(f"layers holds {item!r}, which is not (name, layer).")
        self._validate_names([name for name, _ in self.layers])
        for name, layer in self.layers:
            if not isinstance(
                layer, ConvSparseCoder | SpatialPool | SparseCodingNetwork
            ):
                raise TypeError(
                    f"Layer {name!r} is {layer!r}: a network streams ConvSparseCoder, "
                    "SpatialPool and networks. Chain other transformers by "
                    "sklearn.pipeline.Pipeline or FeatureUnion."
                )
            if layer.image_shape is not None:
                raise ValueError(
                    f"Layer {name!r} has image_shape={layer.image_shape}, but images "
                    "come to it from the network: give image_shape to the network."
                )

    def _learn(self, source, layers, method):
        self._plan(source.image_shape)  # complains before any work starts
        below = source
        task = FitCallbacks(self, None, len(layers))
        for name, layer in layers:
            with task.subtask(f"fit {name}", layer):
                getattr(layer, method)(below)
            if self.arrangement == "stack":
                below = below.through(layer._layer(source.dtype), self.n_jobs)
        self.layers_ = layers
        self.map_shape_ = self._layer(source.dtype).out_shape
        task.end()
        return self

    def _plan(self, image_shape):
        """Return the shape of the maps of images of a shape, before learning."""
        shapes = []
        for name, layer in self.layers:
            try:
                shapes.append(layer._plan(check_maps(image_shape, layer)))
            except ValueError as error:
                raise ValueError(f"Layer {name!r}: {error}") from error
            if self.arrangement == "stack":
                image_shape = shapes[-1]
        if self.arrangement == "parallel":
            return joined(shapes)[1]
        collected = self._collected()
        if collected:
            return (sum(int(np.prod(shapes[i])) for i in collected),)
        return shapes[-1]

    def _layer(self, dtype):
        layers = [layer._layer(dtype) for _, layer in self.layers_]
        if self.arrangement == "parallel":
            return SideBySide(layers, dtype)
        return Stack(layers, dtype, self._collected())

    def _collected(self):
        if self.outputs == "last":
            return []
        return [
            i
            for i, (_, layer) in enumerate(self.layers)
            if not isinstance(layer, ConvSparseCoder)
        ]

    def _names(self, prefix, shape):
        """Return the names of maps in the order of flat rows."""
        if self.arrangement == "stack":
            chosen = self._collected() or [len(self.layers_) - 1]
            parts = [self.layers_[i] for i in chosen]
        else:
            parts = self.layers_
        names = [_layer_names(f"{prefix}{name}", layer) for name, layer in parts]
        if len(parts) > 1 and len(shape) == 3:  # joined along the channels
            rows = [np.array(part, dtype=object) for part in names]
            by_place = [row.reshape(shape[0] * shape[1], -1) for row in rows]
            return list(np.concatenate(by_place, axis=1).ravel())
        return [name for part in names for name in part]

    def _report(self, images, prefix):
        rows = []
        for name, layer in self.layers_:
            if isinstance(layer, SparseCodingNetwork):
                rows += layer._report(images, f"{prefix}{name}__")
            elif isinstance(layer, ConvSparseCoder):
                rows.append({"layer": prefix + name, **layer._activity(images)})
            if self.arrangement == "stack":
                images = layer._mapped(images)
        return rows


def _layer_names(prefix, layer):
    if isinstance(layer, SparseCodingNetwork):
        return layer._names(f"{prefix}_", layer.map_shape_)
    return map_names(prefix, layer.map_shape_)
