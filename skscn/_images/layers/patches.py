"""The grid of patches in an image, patches taken from images, and images rebuilt.

Images are (n_images, height, width, channels) throughout; a signal is an image of one
row. A patch and a filter are arrays of shape (kernel height, kernel width, channels).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


@dataclass(frozen=True)
class PatchGrid:
    """The positions of the patches in images of one shape.

    Parameters
    ----------
    image_shape : tuple of int
        (height, width, channels).
    kernel : tuple of int
        (height, width) of a patch.
    stride : tuple of int, default=(1, 1)
        Steps between neighboring patches, down and to the right.
    padding : tuple of tuple of int, default=((0, 0), (0, 0))
        Number of pixels added ((above, below), (left, right)).
    """

    image_shape: tuple
    kernel: tuple
    stride: tuple = (1, 1)
    padding: tuple = ((0, 0), (0, 0))

    @property
    def padded_shape(self):
        """Return (height, width, channels) of a padded image."""
        sizes = zip(self.image_shape[:2], self.padding, strict=True)
        return (*(size + sum(pad) for size, pad in sizes), self.image_shape[2])

    @property
    def grid_shape(self):
        """Return the number of positions, down and to the right."""
        sizes = zip(self.padded_shape[:2], self.kernel, self.stride, strict=True)
        return tuple((size - kernel) // stride + 1 for size, kernel, stride in sizes)

    @property
    def n_positions(self):
        """Return the number of patches in an image."""
        grid_height, grid_width = self.grid_shape
        return grid_height * grid_width

    @property
    def patch_shape(self):
        """Return (height, width, channels) of a patch."""
        return (*self.kernel, self.image_shape[2])

    def with_channels(self, n_channels):
        """Return the grid of images of the same size with other channels."""
        return replace(self, image_shape=(*self.image_shape[:2], n_channels))


def same_padding(size, kernel, stride):
    """Return the pixels before and after that give one patch for every `stride`."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def pad_images(images, grid, dtype, workspace, *, edge, name="padded"):
    """Return images with a frame, in `dtype`, in the memory of the workspace.

    With `edge` every pixel of the frame is the nearest pixel of the image; otherwise it
    is zero.
    """
    (above, _), (left, _) = grid.padding
    height, width, _ = grid.image_shape
    shape = (len(images), *grid.padded_shape)
    if shape == images.shape and images.dtype == dtype and images.flags.c_contiguous:
        return images
    out = workspace.array(name, shape, dtype)
    bottom, end = above + height, left + width
    if not edge and shape[1:] != images.shape[1:]:
        out[...] = 0  # the memory may hold a block with another number of images
    out[:, above:bottom, left:end] = images
    if edge:
        rows = out[:, above:bottom]
        rows[:, :, :left] = rows[:, :, left, None]
        rows[:, :, end:] = rows[:, :, end - 1, None]
        out[:, :above] = out[:, above, None]
        out[:, bottom:] = out[:, bottom - 1, None]
    return out


def extract_patches(images, grid):
    """Return a view of all patches of padded images.

    Returns
    -------
    patches : ndarray of shape (n_images, *grid_shape, *patch_shape)
    """
    patches = sliding_window_view(images, grid.kernel, axis=(1, 2))
    down, right = grid.stride
    return np.moveaxis(patches[:, ::down, ::right], 3, -1)


def reconstruct_from_patches(patches, grid):
    """Return images in which every pixel is the mean of the patches that cover it.

    Parameters
    ----------
    patches : ndarray of shape (n_images, *grid_shape, *patch_shape)
    grid : PatchGrid

    Returns
    -------
    images : ndarray of shape (n_images, *image_shape)
        Zero where there is no patch.
    """
    shape = (len(patches), *grid.padded_shape)
    total = np.zeros(shape, dtype=patches.dtype)
    count = np.zeros(shape[1:3], dtype=patches.dtype)
    (grid_height, grid_width), (down, right) = grid.grid_shape, grid.stride
    for i in range(grid.kernel[0]):
        rows = slice(i, i + (grid_height - 1) * down + 1, down)
        for j in range(grid.kernel[1]):
            columns = slice(j, j + (grid_width - 1) * right + 1, right)
            total[:, rows, columns] += patches[:, :, :, i, j]
            count[rows, columns] += 1
    total /= np.maximum(count, 1)[:, :, None]
    (above, _), (left, _) = grid.padding
    height, width, _ = grid.image_shape
    return total[:, above : above + height, left : left + width]
