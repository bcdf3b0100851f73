"""The base of image transformers: validation of images, and transforms of a layer.

Images are arrays of shape (n_images, height, width, channels) or (n_images, height,
width), or flat rows. Transforms return maps for images, and rows for rows.
"""

from abc import abstractmethod

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skscn._data.blocks import blockwise
from skscn._data.inputs import (
    check_not_dask,
    check_numpy_input,
    is_remote,
    mark_missing,
    remote_rows,
)
from skscn._data.sklearn_compat import (
    PackageMixin,
    check_array,
    check_feature_names_in,
    validate_data,
    wrap_tables,
)
from skscn._data.stored_arrays import NO_MISSING_VALUES
from skscn._data.validation import compute_dtype
from skscn._images.image_source import ImageSource, stream
from skscn._images.layers.base import (
    compute_maps,
    reconstruct_from_maps,
    reconstruct_images,
)
from skscn._images.validation import check_image_shape

# Dtypes that are read as they are; all others are converted to float64 first. float32,
# in which these integers are computed, holds all of their values.
IMAGE_DTYPES = [np.dtype(kind) for kind in ("f8", "f4", "u1", "i1", "u2", "i2", "?")]

READER = "Layers of images"  # the name in errors for arrays that are not NumPy's


class BaseImageTransformer(  # type: ignore[call-arg]
    PackageMixin, TransformerMixin, BaseEstimator, auto_wrap_output_keys=None
):
    """A transformer of images. A concrete class learns, and returns its layer."""

    _read_types = IMAGE_DTYPES

    @property
    def _returns_rows(self):
        """Whether `transform` returns rows for images, too."""
        return False

    @property
    def _name_prefix(self):
        return type(self).__name__.lower()

    @abstractmethod
    def _output_shape(self, image_shape):
        """Return the shape of the maps of images of a shape, before learning.

        Raise if the parameters do not fit the images.
        """

    @abstractmethod
    def _fitted_layer(self, dtype):
        """Return the fitted `Layer` that computes in a dtype."""

    def fit_transform(self, X, y=None):
        """Learn from images, and compute their maps.

        Parameters
        ----------
        X : array-like
            Images as `fit` takes them.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        maps : ndarray
            Those of `transform`.

        Raises
        ------
        ValueError
            As `fit`.
        """
        return self.fit(X, y).transform(X)

    @wrap_tables
    @blockwise
    def transform(self, X):
        """Compute the maps of images.

        The maps of an image do not depend on other images. Images are read block by
        block.

        Parameters
        ----------
        X : array-like of shape (n_images, height, width, channels), \
                (n_images, height, width) or (n_images, n_features)
            Images, or flat rows. uint8 and other small integers are computed in
            float32.

        Returns
        -------
        maps : ndarray of shape (n_images, map_height, map_width, n_maps) or \
                (n_images, n_features_out)
            Maps for images, rows for rows. Networks, and pools with `flatten`, return
            rows for both. With ``set_output`` rows become data frames.

        Raises
        ------
        ValueError
            If X is not finite, or its images have another shape than in `fit`.
        """
        check_is_fitted(self)
        images, is_flat = self._validate_images(X, reset=False)
        maps = self._compute_maps(images)
        return maps.reshape(len(maps), -1) if is_flat or self._returns_rows else maps

    @blockwise
    def inverse_transform(self, X):
        """Reconstruct images from maps.

        Maps do not hold the mean and the contrast that were taken out of patches.
        `reconstruct` adds them again.

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
        check_numpy_input(X, READER)
        X = mark_missing(X)
        X = check_array(X, dtype=IMAGE_DTYPES[:2], allow_nd=True, estimator=self)
        n_features_out = int(np.prod(self.map_shape_))
        if X.shape[1:] not in (self.map_shape_, (n_features_out,)):
            raise ValueError(
                f"X has maps of shape {X.shape[1:]}, but transform returns maps of "
                f"shape {self.map_shape_}, or {n_features_out} columns."
            )
        maps = X.reshape(len(X), *self.map_shape_)
        images = self._stream(reconstruct_from_maps, maps, self.image_shape_)
        return images.reshape(len(X), -1) if X.ndim == 2 else images

    @blockwise
    def reconstruct(self, X):
        """Reconstruct images from their maps, with their own patch means.

        Parameters
        ----------
        X : array-like
            Images as `transform` takes them.

        Returns
        -------
        images : ndarray of the shape of X
            Each patch is the reconstruction from its codes, times its contrast, plus
            its mean. Overlapping patches are averaged.

        Raises
        ------
        ValueError
            As `transform`.
        """
        check_is_fitted(self)
        images, is_flat = self._validate_images(X, reset=False)
        images = self._stream(reconstruct_images, images, self.image_shape_)
        return images.reshape((len(images), -1) if is_flat else np.shape(X))

    def get_feature_names_out(self, input_features=None):
        """Return the names of the columns of the output for flat rows.

        Names hold the map and the position: ``name_map3_y0_x2`` is the value of map 3
        in row 0 and column 2 of the grid of positions. In a network they begin with the
        names of layers, ``pool2_map3_y0_x2``.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Only checked for agreement with the names seen in `fit`.

        Returns
        -------
        names : ndarray of str objects
            One name per column.
        """
        check_is_fitted(self)
        check_feature_names_in(self, input_features, generate_names=False)
        return np.array(self._feature_names(self._name_prefix), dtype=object)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _feature_names(self, prefix):
        """Return the names of the values of maps, in the order of flat rows."""
        if len(self.map_shape_) == 1:
            return [f"{prefix}{i}" for i in range(self.map_shape_[0])]
        height, width, n_maps = self.map_shape_
        return [
            f"{prefix}_map{k}_y{i}_x{j}"
            for i in range(height)
            for j in range(width)
            for k in range(n_maps)
        ]

    def _compute_maps(self, images):
        """Return the maps of validated images, as maps."""
        return self._stream(compute_maps, images, self.map_shape_)

    def _stream(self, function, rows, shape):
        dtype = compute_dtype(rows.dtype)
        layer = self._fitted_layer(dtype)
        return stream(function, rows, layer, shape, dtype, self.n_jobs)

    def _image_source(self, X, *, reset):
        """Return the images to learn from. A network gives its layers a source."""
        if not isinstance(X, ImageSource):
            images, _ = self._validate_images(X, reset=reset)
            return ImageSource.from_images(images)
        if reset:
            self._store_image_shape(X.image_shape)
        return X

    def _mini_batch_source(self, X, *, reset):
        """Return the images that `partial_fit` learns from."""
        check_not_dask(X)
        return self._image_source(X, reset=reset)

    def _validate_images(self, X, *, reset):
        """Return images of shape (n, height, width, channels), and whether X was flat.

        With `reset`, their shape is stored in `image_shape_`; otherwise it must be the
        stored shape.
        """
        check_numpy_input(X, READER)
        X = mark_missing(X)
        remote = is_remote(X, IMAGE_DTYPES)
        is_flat = sparse.issparse(X) or _n_dimensions(X) < 3
        to_images = self._rows_to_images if is_flat else self._array_to_images
        images = to_images(X, remote, reset=reset)
        shape = images.shape[1:]
        if reset:
            self._store_image_shape(shape)
        elif shape != self.image_shape_:
            raise ValueError(
                f"X has images of shape {shape}, but {type(self).__name__} was fitted "
                f"to images of shape {self.image_shape_} (height, width, channels)."
            )
        return images, is_flat

    def _rows_to_images(self, X, remote, *, reset):
        X = validate_data(
            self, X, reset=reset, dtype=IMAGE_DTYPES, skip_check_array=remote
        )
        if remote:
            X = remote_rows(X, IMAGE_DTYPES, NO_MISSING_VALUES)
        if reset:
            shape = check_image_shape(self.image_shape, X.shape[1])
        else:
            shape = self.image_shape_
        return X.reshape(len(X), *shape)

    def _array_to_images(self, X, remote, *, reset):
        if remote:
            X = remote_rows(X, IMAGE_DTYPES, NO_MISSING_VALUES)
        else:
            X = check_array(X, dtype=IMAGE_DTYPES, allow_nd=True, estimator=self)
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
            shape = check_image_shape(self.image_shape, int(np.prod(X.shape[1:])))
            if shape != X.shape[1:]:
                raise ValueError(
                    f"X has images of shape {X.shape[1:]}, but image_shape="
                    f"{self.image_shape}. Make them equal, or leave image_shape out: "
                    "it is for flat rows."
                )
        return X

    def _store_image_shape(self, shape):
        self.image_shape_ = shape
        self.n_features_in_ = int(np.prod(shape))


def _n_dimensions(X):
    try:
        return X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim
    except ValueError:  # for ragged lists, of which validate_data complains
        return 2
