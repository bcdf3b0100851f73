"""The abstract layer of arrays, and its application to images block by block.

A layer is called as ``layer(images, out, workspace)``: it reads images of shape
(n_images, height, width, channels), writes their maps to `out` of shape (n_images,
*out_shape), and takes temporary arrays from `workspace`.
"""

from abc import ABC, abstractmethod

import numpy as np

from skscn._data.validation import watch_range

# Workspace values of a block: 8 MB of float32. Smaller blocks would stay in the cache,
# but two threads lose more time by taking turns at the interpreter's lock.
BLOCK_VALUES = 2**21
BLOCKS_PER_SLICE = 8  # blocks of images in the slice that a worker takes at a time


class Layer(ABC):
    """A map from blocks of images to blocks of maps, with an approximate inverse.

    Attributes
    ----------
    in_shape, out_shape : tuple of int
        Shapes of an image and of its maps.
    values_per_image : int
        Number of values in the workspace for each image of a block.
    is_channelwise : bool
        Whether each map is computed from the channel of the same index alone.
    """

    in_shape: tuple
    out_shape: tuple
    values_per_image: int
    is_channelwise = False

    @abstractmethod
    def __call__(self, images, out, workspace):
        """Write the maps of images to `out`."""

    @abstractmethod
    def reconstruct(self, maps, images=None):
        """Return images reconstructed from maps.

        Parameters
        ----------
        maps : ndarray of shape (n_images, *out_shape)
        images : ndarray of shape (n_images, *in_shape), default=None
            The images that the maps were computed from. If given, the reconstruction
            has their patch means and contrasts, which maps do not hold.

        Returns
        -------
        images : ndarray of shape (n_images, *in_shape)
        """

    @property
    def block_rows(self):
        """Return the number of images in a block."""
        return max(1, BLOCK_VALUES // self.values_per_image)

    @property
    def slice_rows(self):
        """Return the number of images in the slice that a worker takes at a time."""
        return self.block_rows * BLOCKS_PER_SLICE


def compute_maps(images, out, *, layer, dtype, workspaces):
    """Return the maps of a slice of images, written to `out` if it is given."""
    if out is None:
        out = np.empty((len(images), *layer.out_shape), dtype=dtype)
    with workspaces.borrow() as workspace:
        for block in _blocks(len(images), layer):
            with watch_range(images[block], "maps") as check_results:
                layer(images[block], out[block], workspace)
                check_results(out[block])
    return out


def reconstruct_from_maps(maps, out, *, layer, dtype, workspaces):
    """Return images reconstructed from a slice of maps, written to `out` if given."""
    return _map_blocks(layer.reconstruct, maps, out, layer, dtype)


def reconstruct_images(images, out, *, layer, dtype, workspaces):
    """Return a slice of images reconstructed from their maps, means and contrasts."""
    with workspaces.borrow() as workspace:

        def reconstruct(block):
            maps = np.empty((len(block), *layer.out_shape), dtype=dtype)
            layer(block, maps, workspace)
            return layer.reconstruct(maps, block.astype(dtype, copy=False))

        return _map_blocks(reconstruct, images, out, layer, dtype)


def _map_blocks(function, rows, out, layer, dtype):
    """Return the images that a function computes from blocks of rows."""
    if out is None:
        out = np.empty((len(rows), *layer.in_shape), dtype=dtype)
    for block in _blocks(len(rows), layer):
        with watch_range(rows[block], "reconstructed images") as check_results:
            out[block] = function(rows[block])
            check_results(out[block])
    return out


def _blocks(n_images, layer):
    """Return the slices of images that are computed together."""
    starts = range(0, n_images, layer.block_rows)
    return [slice(start, start + layer.block_rows) for start in starts]
