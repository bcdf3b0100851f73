"""The images that layers learn from, loaded in parts, and their streaming to layers."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from skscn._core.workspace import WorkspacePool
from skscn._data.parallel import map_rows_into, worker_pool
from skscn._data.validation import compute_dtype
from skscn._images.layers.base import compute_maps


@dataclass(frozen=True)
class ImageSource:
    """Images to learn from, of which a layer loads only those that it samples.

    Parameters
    ----------
    n_images : int
    image_shape : tuple of int
        (height, width, channels).
    dtype : dtype of the computation
    load : callable
        Maps sorted indices to images of shape (n_indices, *image_shape).
    """

    n_images: int
    image_shape: tuple
    dtype: np.dtype
    load: Callable

    @classmethod
    def from_images(cls, images):
        """Return the source of an array of images."""
        dtype = compute_dtype(images.dtype)
        return cls(len(images), images.shape[1:], dtype, images.__getitem__)

    def mapped(self, layer, n_jobs):
        """Return the source of the maps that a layer computes from these images."""

        def load(indices):
            images, shape = self.load(indices), layer.out_shape
            return stream(compute_maps, images, layer, shape, self.dtype, n_jobs)

        return ImageSource(self.n_images, layer.out_shape, self.dtype, load)


def stream(function, rows, layer, shape, dtype, n_jobs):
    """Return the results of a function of a layer, computed slice by slice by workers.

    Parameters
    ----------
    function : {compute_maps, reconstruct_from_maps, reconstruct_images}
        From `skscn._images.layers.base`.
    rows : ndarray of shape (n_images, ...)
    layer : Layer
    shape : tuple of int
        Shape of the result of an image.
    dtype : dtype of the results
    n_jobs : int or None

    Returns
    -------
    out : ndarray of shape (n_images, *shape)
    """
    out = np.empty((len(rows), *shape), dtype=dtype)
    size = layer.slice_rows
    function = partial(function, layer=layer, dtype=dtype, workspaces=WorkspacePool())
    with worker_pool(len(rows), n_jobs, size) as pool:
        return map_rows_into(pool, function, rows, out, size)
