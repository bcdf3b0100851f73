"""Spatial pooling: neighbouring places of a map made one."""

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
from skscn._images.layers.base import Pooling
from skscn._images.layers.pooling_axes import grid_axis, window_axis
from skscn._images.validation import check_pair


class SpatialPool(CallbackSupportMixin, BaseImageTransformer):
    """Pooling of maps over neighbouring places.

    Every map is reduced on its own, over windows of one size or over a grid of so many
    cells an image::

        pooled = sign(r) |r|^power,    r = Σ_i w_i v_i    (or the largest v_i)

    for the values v_i of a window or cell. The cells of a Gaussian grid overlap: the
    weights w_i fall off with the distance from the centre of the cell.

    Read more in the :ref:`user guide <networks>`.

    Parameters
    ----------
    mode : {"average", "max", "sum", "gaussian"}, default="average"
        The mean, the maximum or the sum over windows or cells, or a Gaussian mean
        around the cells of a `grid`.
    window : int or tuple of int, default=2
        Height and width of a window. One number stands for both, and in signals (maps
        of one row) for the width. Not used with `grid`.
    stride : int or tuple of int, default=None
        Steps from one window to the next. None takes the window, so that windows do not
        overlap. Places that no window reaches are left out.
    grid : int or tuple of int, default=None
        Number of cells, down and to the right. Cells are of equal size and cover all
        places; where they do not come out even they overlap by one place.
    sigma : float, default=0.5
        Standard deviation of a Gaussian cell, as a fraction of its height and width.
    power : float, default=1.0
        Of the pooled values, their sign kept: 0.5 is a square root.
    flatten : bool, default=False
        Whether to return rows for images too, as a classifier in a Pipeline needs them.
        Inside a network it changes nothing.
    image_shape : tuple of int, default=None
        (height, width) or (height, width, channels) of the maps in flat rows. None
        takes a flat row for a signal, a map of one row.
    n_jobs : int, default=None
        Number of workers. The result has the same bits for every number. None means 1,
        -1 means all cores.

    Attributes
    ----------
    image_shape_ : tuple of int
        (height, width, channels) of the maps that are pooled.
    map_shape_ : tuple of int
        (height, width, channels) of pooled maps.
    n_features_in_ : int
        How many numbers the maps of an image are.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen in `fit`, where X had string column names.

    Raises
    ------
    ValueError
        On `fit`, if windows are larger than maps, if a Gaussian is asked for without a
        grid, or if X or a parameter has a wrong shape or value.

    See Also
    --------
    ConvSparseCoder : What usually comes before.

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
        """Take note of the shape of the maps.

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
            The pool.

        Raises
        ------
        ValueError
            If X is empty, not finite or complex, or if windows are larger than maps.
        """
        task = FitCallbacks(self, None, 0)
        self.map_shape_ = self._plan(self._source(X).image_shape)
        task.end()
        return self

    @atomic_fit
    def partial_fit(self, X, y=None):
        """Do as `fit`; of later chunks the shape is checked.

        Parameters
        ----------
        X : array-like
            Maps as `fit` takes them.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        self : object
            The pool.

        Raises
        ------
        ValueError
            As `fit`, and if the shape of the maps changes.
        TypeError
            If X is a dask array: a chunk is at hand.
        """
        source = self._chunk(X, reset=not hasattr(self, "map_shape_"))
        self.map_shape_ = self._plan(source.image_shape)
        return self

    @property
    def _flattens(self):
        return self.flatten

    def _plan(self, image_shape):
        rows, columns = self._axes(image_shape)
        return (rows.n_out, columns.n_out, image_shape[2])

    def _layer(self, dtype):
        rows, columns = self._axes(self.image_shape_)
        return Pooling(self.image_shape_, rows, columns, self.power)

    def _axes(self, shape):
        """Return how the rows and the columns of maps of a shape are pooled."""
        if self.grid is not None:
            grid = check_pair(self.grid, "grid", shape, 1)
            return [
                grid_axis(*axis, self.mode, self.sigma)
                for axis in zip(shape[:2], grid, strict=True)
            ]
        if self.mode == "gaussian":
            raise ValueError(
                "mode='gaussian' pools over the cells of a grid: give their number, "
                "for instance grid=4."
            )
        window = check_pair(self.window, "window", shape, 1)
        stride = window
        if self.stride is not None:
            stride = check_pair(self.stride, "stride", shape, 1)
        if window[0] > shape[0] or window[1] > shape[1]:
            raise ValueError(
                f"window={window} does not fit in maps of height and width {shape[:2]} "
                f"(n_features={np.prod(shape)}). Use a smaller window, or a grid."
            )
        return [
            window_axis(*axis, self.mode)
            for axis in zip(shape[:2], window, stride, strict=True)
        ]
