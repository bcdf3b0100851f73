"""Spatial pooling: maps are reduced over neighboring positions."""

from numbers import Integral, Real
from typing import ClassVar

import numpy as np

from skscn._data.sklearn_compat import (
    CallbackSupportMixin,
    FitCallbacks,
    Interval,
    StrOptions,
    atomic_fit,
)
from skscn._images.base import BaseImageTransformer
from skscn._images.layers.pooling import Pooling, grid_pooling, window_pooling
from skscn._images.validation import check_pair


class SpatialPool(CallbackSupportMixin, BaseImageTransformer):
    """Pooling of maps over neighboring positions.

    Each map is reduced over windows of one size, or over the cells of a grid::

        pooled = sign(r) |r|^power,    r = Σ_i w_i v_i    (or the maximum of v_i)

    for the values v_i of a window or cell. The cells of a Gaussian grid overlap: the
    weights w_i fall off with the distance from the center of the cell.

    Read more in the :ref:`user guide <networks>`.

    Parameters
    ----------
    mode : {"average", "max", "sum", "gaussian"}, default="average"
        The mean, the maximum or the sum over windows or cells, or a Gaussian mean
        around the cells of a `grid`.
    window : int or tuple of int, default=2
        Height and width of a window. One number is used for both, and in signals (maps
        of one row) for the width. Not used with `grid`.
    stride : int or tuple of int, default=None
        Steps between neighboring windows. None uses the window, so that windows do not
        overlap. Positions outside all windows are not used.
    grid : int or tuple of int, default=None
        Number of cells, down and to the right. Cells are of equal size and cover all
        positions. If their size is no integer, they overlap by one position.
    sigma : float, default=0.5
        Standard deviation of a Gaussian cell, as a fraction of its height and width.
    power : float, default=1.0
        Power of the pooled values, which keep their sign: 0.5 is a square root.
    flatten : bool, default=False
        Whether to return rows for images, too, for a classifier in a Pipeline. It has
        no effect in a network.
    image_shape : tuple of int, default=None
        (height, width) or (height, width, channels) of the maps in flat rows. With None
        a flat row is a signal, a map of one row.
    n_jobs : int, default=None
        Number of :term:`workers <worker>`. None means every core that NumPy would use.
        The result has the same bits for every number.

    Attributes
    ----------
    image_shape_ : tuple of int
        (height, width, channels) of the maps that are pooled.
    map_shape_ : tuple of int
        (height, width, channels) of the pooled maps.
    n_features_in_ : int
        Number of values in the maps of an image.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen in `fit`, if X had string column names.

    Raises
    ------
    ValueError
        On `fit`, if windows are larger than maps, if `mode` is "gaussian" without a
        `grid`, or if X or a parameter has a wrong shape or value.

    See Also
    --------
    ConvSparseCoder : The layer that usually comes before.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skscn import SpatialPool
    >>> images = load_digits().images
    >>> SpatialPool("max", window=2).fit_transform(images).shape
    (1797, 4, 4, 1)
    >>> SpatialPool("gaussian", grid=3, flatten=True).fit_transform(images).shape
    (1797, 9)
    """

    _fixed_in_stream = (
        "mode",
        "window",
        "stride",
        "grid",
        "sigma",
        "power",
        "flatten",
    )
    _parameter_constraints: ClassVar[dict] = {
        "mode": [StrOptions({"average", "max", "sum", "gaussian"})],
        "window": [Interval(Integral, 1, None, closed="left"), tuple],
        "stride": [Interval(Integral, 1, None, closed="left"), tuple, None],
        "grid": [Interval(Integral, 1, None, closed="left"), tuple, None],
        "sigma": [Interval(Real, 0, None, closed="neither")],
        "power": [Interval(Real, 0, None, closed="neither")],
        "flatten": ["boolean"],
        "image_shape": ["array-like", None],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        mode="average",
        *,
        window=2,
        stride=None,
        grid=None,
        sigma=0.5,
        power=1.0,
        flatten=False,
        image_shape=None,
        n_jobs=None,
    ):
        self.mode = mode
        self.window = window
        self.stride = stride
        self.grid = grid
        self.sigma = sigma
        self.power = power
        self.flatten = flatten
        self.image_shape = image_shape
        self.n_jobs = n_jobs

    @atomic_fit
    def fit(self, X, y=None):
        """Learn the shape of the maps.

        Parameters
        ----------
        X : array-like of shape (n_images, height, width, channels), \
                (n_images, height, width) or (n_images, n_features)
            Maps, or flat rows.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        self : object
            The fitted pool.

        Raises
        ------
        ValueError
            If X is empty, not finite or complex, or if windows are larger than maps.
        """
        return self._learn(self._image_source(X, reset=True))

    @atomic_fit
    def partial_fit(self, X, y=None):
        """Learn the shape of the maps, or check that of a later mini-batch.

        Parameters
        ----------
        X : array-like
            Maps as `fit` takes them.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        self : object
            The fitted pool.

        Raises
        ------
        ValueError
            As `fit`, and if the shape of the maps changes.
        TypeError
            If X is a dask array: mini-batches must be in memory.
        """
        is_first = not hasattr(self, "map_shape_")
        return self._learn(self._mini_batch_source(X, reset=is_first))

    def _learn(self, source):
        task = FitCallbacks(self, None, 0)
        self._fitted = self._pooling(source.image_shape)
        self._flattens = self.flatten
        self.map_shape_ = self._fitted.out_shape
        task.end()
        return self

    @property
    def _returns_rows(self):
        return self._flattens

    def _fitted_layer(self, dtype):
        return self._fitted  # it computes in the dtype of its input

    def _output_shape(self, image_shape):
        return self._pooling(image_shape).out_shape

    def _pooling(self, shape):
        """Return the layer that pools maps of a shape."""
        rows, columns = self._axes(shape)
        return Pooling(shape, rows, columns, self.power)

    def _axes(self, shape):
        """Return the reductions of the rows and of the columns of maps of a shape."""
        if self.grid is not None:
            grid = check_pair(self.grid, "grid", shape[0])
            return [
                grid_pooling(*axis, self.mode, self.sigma)
                for axis in zip(shape[:2], grid, strict=True)
            ]
        if self.mode == "gaussian":
            raise ValueError(
                "mode='gaussian' pools over the cells of a grid. Give the number of "
                "cells, for instance grid=4."
            )
        window = check_pair(self.window, "window", shape[0])
        stride = window
        if self.stride is not None:
            stride = check_pair(self.stride, "stride", shape[0])
        if window[0] > shape[0] or window[1] > shape[1]:
            raise ValueError(
                f"window={window} does not fit in maps of height and width {shape[:2]} "
                f"(n_features={np.prod(shape)}). Use a smaller window, or a grid."
            )
        return [
            window_pooling(*axis, self.mode)
            for axis in zip(shape[:2], window, stride, strict=True)
        ]
