"""Overlapping patches of a large image, a tile at a time.

A tile holds so many patches that they fit the cache. Patches are columns, an entry of
all patches after another: every one of these rows is the tile itself, shifted, so that
taking patches out and adding them up are copies and sums of whole rows of pixels.
Planes are arrays of shape (n_planes, height, width).
"""

from dataclasses import dataclass

import numpy as np

TILE_NUMBERS = 2**20  # in the patches of one plane of a tile


@dataclass(frozen=True)
class Tile:
    """Patches whose corners stand on a grid.

    Parameters
    ----------
    origin : tuple of int
        Row and column of the first corner.
    places : tuple of int
        How many patches there are, down and to the right.
    stride : tuple of int
        Steps from one patch to the next.
    kernel : tuple of int
        (height, width) of a patch.
    """

    origin: tuple
    places: tuple
    stride: tuple
    kernel: tuple

    @property
    def shape(self):
        """Return height and width of what the patches cover."""
        sizes = zip(self.places, self.stride, self.kernel, strict=True)
        return tuple((count - 1) * step + size for count, step, size in sizes)

    @property
    def region(self):
        """Return where in the image that is, as slices of rows and columns."""
        sizes = zip(self.origin, self.shape, strict=True)
        return tuple(slice(start, start + size) for start, size in sizes)

    def shifts(self):
        """Yield, for every entry of a patch, where it lies in the covered region."""
        (n_down, n_right), (down, right) = self.places, self.stride
        for i in range(self.kernel[0]):
            rows = slice(i, i + (n_down - 1) * down + 1, down)
            for j in range(self.kernel[1]):
                yield rows, slice(j, j + (n_right - 1) * right + 1, right)


def tiles(shape, kernel, stride):
    """Return tiles in whose patches every pixel of an image is, the same anywhere.

    Where the stride leaves pixels over at the far edges, one more row or column of
    patches is flush with the edge.

    Parameters
    ----------
    shape, kernel, stride : tuple of int
        Of height and width; patches fit in the image.
    """
    kernel, stride = tuple(kernel), tuple(stride)
    side = max(1, int((TILE_NUMBERS / np.prod(kernel)) ** 0.5))
    rows, columns = (
        _pieces(size - length + 1, step, side)
        for size, length, step in zip(shape, kernel, stride, strict=True)
    )
    return [
        Tile((top, left), (n_down, n_right), stride, kernel)
        for top, n_down in rows
        for left, n_right in columns
    ]


def _pieces(n_corners, step, side):
    """Return (start, count) of the pieces that an axis of corners is cut into."""
    count = (n_corners - 1) // step + 1
    n_pieces = -(-count // side)
    size = -(-count // n_pieces)
    pieces = [
        (first * step, min(size, count - first)) for first in range(0, count, size)
    ]
    if (count - 1) * step < n_corners - 1:
        pieces.append((n_corners - 1, 1))
    return pieces


def gather(plane, tile):
    """Return the patches of a tile as columns.

    Parameters
    ----------
    plane : ndarray of shape `tile.shape`
    tile : Tile

    Returns
    -------
    patches : ndarray of shape (n_entries, n_patches)
    """
    patches = np.empty((np.prod(tile.kernel), *tile.places), dtype=plane.dtype)
    for row, (down, right) in zip(patches, tile.shifts(), strict=True):
        row[...] = plane[down, right]
    return patches.reshape(len(patches), -1)


def spread(patches, weights, tile):
    """Return the weighted sums of the patches that cover each pixel, and of weights.

    Parameters
    ----------
    patches : ndarray of shape (n_entries, n_patches)
        Already times their weights.
    weights : ndarray of shape (n_patches,)
    tile : Tile

    Returns
    -------
    total, weight : ndarray of shape `tile.shape`
    """
    total = np.zeros(tile.shape, dtype=patches.dtype)
    weight = np.zeros(tile.shape, dtype=patches.dtype)
    weights = weights.reshape(tile.places)
    rows = patches.reshape(-1, *tile.places)
    for row, (down, right) in zip(rows, tile.shifts(), strict=True):
        total[down, right] += row
        weight[down, right] += weights
    return total, weight
