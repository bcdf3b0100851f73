"""What image transformers share: images in their many shapes, streamed through a layer.

Images are arrays of shape (n_images, height, width, channels) or (n_images, height,
width), or flat rows. Images in, maps out; rows in, rows out.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from skscn._core.workspace import WorkspacePool
from skscn._data.blocks import blockwise
from skscn._data.inputs import check_not_dask, check_numpy_input, is_remote, remote_rows
from skscn._data.parallel import map_rows_into, worker_pool
from skscn._data.sklearn_compat import check_feature_names_in
from skscn._data.stored_arrays import NO_MISSING_VALUES
from skscn._images.layers.base import run, run_back, run_through
from skscn._images.validation import check_image_shape

# What is read as it is; everything else becomes float64 first. Integers are small
# enough to be exact in float32, the type they are computed in.
IMAGE_TYPES = [np.dtype(kind) for kind in ("f8", "f4", "u1", "i1", "u2", "i2", "?")]

PLACE = "Layers of images"  # what reads NumPy alone


@dataclass(frozen=True)
class Source:
    """Where a layer that learns gets its images from.

    Parameters
    ----------
    n_images : int
    image_shape : tuple of int
        (height, width, channels).
    dtype : dtype of the computation
    take : callable
        Maps sorted indices to images of shape (n_indices, *image_shape).
    """

    n_images: int
    image_shape: tuple
    dtype: np.dtype
    take: Callable

    @classmethod
    def of(cls, images):
        """Return the source of images that are at hand."""
        dtype = computed_in(images)
        return cls(len(images), images.shape[1:], dtype, images.__getitem__)

    def through(self, layer, n_jobs):
        """Return the source of the maps that a layer makes of these images."""

        def take(indices):
            images = self.take(indices)
            return streamed(run, images, layer, layer.out_shape, self.dtype, n_jobs)

        return Source(self.n_images, layer.out_shape, self.dtype, take)


def streamed(function, rows, layer, shape, dtype, n_jobs):
    """Return what a function of `_maps.layers` makes of rows, slice by slice."""
    out = np.empty((len(rows), *shape), dtype=dtype)
    size = layer.slice_rows
    mapped = partial(function, layer=layer, dtype=dtype, scratches=WorkspacePool())
    with worker_pool(len(rows), n_jobs, size) as pool:
        return map_rows_into(pool, mapped, rows, out, size)


def computed_in(images):
    """Return the dtype that images are computed in."""
    return np.dtype(np.float64 if images.dtype == np.float64 else np.float32)


class BaseImageTransformer(TransformerMixin, BaseEstimator):
    """A transformer of images; a concrete one learns, and returns its layer."""

    _read_types = IMAGE_TYPES

    @property
    def _flattens(self):
        """Whether rows are returned for images too."""
        return False

    @abstractmethod
    def _plan(self, image_shape):
        """Return the shape of the maps of images of a shape, or say what is wrong."""

    @abstractmethod
    def _layer(self, dtype):
        """Return the fitted `Layer` that computes in dtype."""

    @blockwise
    def transform(self, X):
        """Return the maps of images.

        Images are read block by block, each by itself.

        Parameters
        ----------
        X : array-like of shape (n_images, height, width, channels), \
                (n_images, height, width) or (n_images, n_features)
            Images, or flat rows. Of uint8 and other small integers float32 is
            computed.

        Returns
        -------
        maps : ndarray of shape (n_images, map_height, map_width, n_maps) or \
                (n_images, n_features_out)
            Maps of images, rows of rows. Networks, and pools with `flatten`, return
            rows of both.

        Raises
        ------
        ValueError
            If X is not finite, or its images have another shape than in `fit`.
        """
        check_is_fitted(self)
        images, flat = self._images(X, reset=False)
        maps = self._mapped(images)
        return maps.reshape(len(maps), -1) if flat or self._flattens else maps

    @blockwise
    def inverse_transform(self, X):
        """Return the images that maps stand for.

        The mean and the contrast of patches, where they are taken out, are not in the
        maps: `reconstruct` puts them back.

        Parameters
        ----------
        X : array-like of shape (n_images, map_height, map_width, n_maps) or \
                (n_images, n_features_out)
            Maps as `transform` returns them.

        Returns
        -------
        images : ndarray of shape (n_images, height, width, channels) or \
                (n_images, n_features)
            Images for maps, rows for rows.

        Raises
        ------
        ValueError
            If X is not finite or has another shape than maps.
        """
        check_is_fitted(self)
        check_numpy_input(X, PLACE)
        X = check_array(X, dtype=IMAGE_TYPES[:2], allow_nd=True, estimator=self)
        size = int(np.prod(self.map_shape_))
        if X.shape[1:] not in (self.map_shape_, (size,)):
            raise ValueError(
                f"X has maps of shape {X.shape[1:]}, but transform returns maps of "
                f"shape {self.map_shape_}, or {size} columns."
            )
        maps = X.reshape(len(X), *self.map_shape_)
        images = self._streamed(run_back, maps, self.image_shape_)
        return images.reshape(len(X), -1) if X.ndim == 2 else images

    @blockwise
    def reconstruct(self, X):
        """Return images rebuilt from their maps, with the patch means of the images.

        Parameters
        ----------
        X : array-like
            Images as `transform` takes them.

        Returns
        -------
        images : ndarray of the shape of X
            Every patch is the one that its codes stand for, times its contrast, plus
            its mean; where patches overlap, their average.

        Raises
        ------
        ValueError
            As `transform`.
        """
        check_is_fitted(self)
        images, flat = self._images(X, reset=False)
        rebuilt = self._streamed(run_through, images, self.image_shape_)
        return rebuilt.reshape(np.shape(X)) if not flat else rebuilt.reshape(len(X), -1)

    def get_feature_names_out(self, input_features=None):
        """Return the names of the columns of the output for flat rows.

        They tell the map and the place: ``name_map3_y0_x2`` is the third map's value in
        the first row and the third column of places.

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
        return map_names(type(self).__name__.lower(), self.map_shape_)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _mapped(self, images):
        """Return the maps of images, as maps."""
        return self._streamed(run, images, self.map_shape_)

    def _streamed(self, function, rows, shape):
        dtype = computed_in(rows)
        layer = self._layer(dtype)
        return streamed(function, rows, layer, shape, dtype, self.n_jobs)

    def _chunk(self, X, *, reset):
        """Return what to learn from of a stream."""
        check_not_dask(X)
        return self._source(X, reset=reset)

    def _source(self, X, *, reset=True):
        """Return what to learn from; a network hands its layers a source."""
        if not isinstance(X, Source):
            return Source.of(self._images(X, reset=reset)[0])
        if reset:
            self.image_shape_ = X.image_shape
            self.n_features_in_ = int(np.prod(X.image_shape))
        return X

    def _images(self, X, *, reset):
        """Return X as images of shape (n, height, width, channels), and if it was flat.

        With reset the shape is kept in `image_shape_`, else compared with it.
        """
        check_numpy_input(X, PLACE)
        afar = is_remote(X, IMAGE_TYPES)
        flat = sparse.issparse(X) or _n_dims(X) < 3
        if flat:
            X = validate_data(
                self, X, reset=reset, dtype=IMAGE_TYPES, skip_check_array=afar
            )
            X = remote_rows(X, IMAGE_TYPES, NO_MISSING_VALUES) if afar else X
            shape = check_image_shape(self.image_shape, X.shape[1])
            if not reset:
                shape = self.image_shape_
            return self._kept(X.reshape(len(X), *shape), reset), True
        if afar:
            X = remote_rows(X, IMAGE_TYPES, NO_MISSING_VALUES)
        else:
            X = check_array(X, dtype=IMAGE_TYPES, allow_nd=True, estimator=self)
        if X.ndim == 3:
            X = X.reshape(*X.shape, 1)
        if X.ndim != 4:
            raise ValueError(
                f"X has {X.ndim} dimensions: images have 3 or 4, (n_images, height, "
                "width) or (n_images, height, width, channels), and flat rows have 2."
            )
        if 0 in X.shape:
            raise ValueError(f"X of shape {X.shape} has images without pixels.")
        if reset and self.image_shape is not None:
            wanted = check_image_shape(self.image_shape, int(np.prod(X.shape[1:])))
            if wanted != X.shape[1:]:
                raise ValueError(
                    f"X has images of shape {X.shape[1:]}, but image_shape="
                    f"{self.image_shape}. Make them equal, or leave image_shape out: "
                    "it is for flat rows."
                )
        return self._kept(X, reset), False

    def _kept(self, images, reset):
        shape = images.shape[1:]
        if reset:
            self.image_shape_ = shape
            self.n_features_in_ = int(np.prod(shape))
        elif shape != self.image_shape_:
            raise ValueError(
                f"X has images of shape {shape}, but {type(self).__name__} was fitted "
                f"to images of shape {self.image_shape_} (height, width, channels)."
            )
        return images


def map_names(prefix, shape):
    """Return names of the entries of maps in the order of flat rows."""
    if len(shape) == 1:
        return np.array([f"{prefix}{i}" for i in range(shape[0])], dtype=object)
    height, width, n_maps = shape
    names = [
        f"{prefix}_map{k}_y{i}_x{j}"
        for i in range(height)
        for j in range(width)
        for k in range(n_maps)
    ]
    return np.array(names, dtype=object)


def _n_dims(X):
    try:
        return X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim
    except ValueError:  # ragged lists: validate_data tells what is wrong
        return 2
