"""The patches of an image or a volume: a random sample, or all of them, tile by tile.

An image has the axes (height, width), and a volume (depth, height, width): `shape` has
one length for each. All functions treat the axes alike.

A tile is a region with so many patches that they fit into the cache. They are the
columns of a matrix. Each of its rows contains one entry of all patches, and is the
shifted tile itself. Extracting patches and adding them up therefore copies and sums
whole rows of pixels.
"""

from dataclasses import dataclass
from functools import reduce
from itertools import product
from math import prod

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.fft import dct
from scipy.ndimage import maximum_filter

# Entries of the patches of one channel of a tile: 4 MB of float32 fit into the cache.
TILE_ENTRIES = 2**20
# Where few patches of a tile are needed, smaller tiles of at most this many patches are
# computed, if these have at most this fraction of its patches.
SMALL_TILE_PATCHES, MAX_SMALL_FRACTION = 144, 0.6


def sample_patches(pixels, kernel, n_patches, rng, is_near=None):
    """Return patches from random positions, or all where there are not more.

    Parameters
    ----------
    pixels : ndarray of shape (*shape, n_channels)
    kernel : tuple of int
        Sides of a patch.
    n_patches : int
    rng : RandomState instance
    is_near : ndarray of bool of shape `shape`, default=None
        Where the centers of patches may be; None means everywhere.

    Returns
    -------
    patches : ndarray of shape (at most n_patches, *kernel, n_channels)
        In the order of their positions.
    """
    axes = tuple(range(len(kernel)))
    windows = np.moveaxis(sliding_window_view(pixels, kernel, axes), len(kernel), -1)
    grid_shape = windows.shape[: len(kernel)]
    n_positions, positions = prod(grid_shape), None
    if is_near is not None:
        corners = zip(kernel, grid_shape, strict=True)
        centers = is_near[tuple(slice(k // 2, k // 2 + n) for k, n in corners)]
        positions = np.flatnonzero(centers)
        n_positions = len(positions)
    chosen = np.arange(min(n_positions, n_patches))
    if n_positions > n_patches:  # few are drawn twice, which does no harm
        chosen = np.sort(rng.randint(n_positions, size=n_patches))
    positions = chosen if positions is None else positions[chosen]
    return windows[np.unravel_index(positions, grid_shape)]


def near_pixels(mask, distance):
    """Return which pixels are at most at a distance from those of a mask.

    Parameters
    ----------
    mask : ndarray of bool
    distance : int
        The largest of the distances along the axes.
    """
    return maximum_filter(mask, 2 * distance + 1)


def dct_matrix(kernel):
    """Return the multi-dimensional discrete cosine transform of patches as rows.

    Parameters
    ----------
    kernel : tuple of int
        Sides of a patch.

    Returns
    -------
    matrix : ndarray of shape (n_entries, n_entries)
        Its rows are orthonormal: products of one cosine along each axis.
    """
    return reduce(np.kron, (dct(np.eye(n), axis=0, norm="ortho") for n in kernel))


def join_channels(patches):
    """Return patches of several channels as rows, without their means.

    Parameters
    ----------
    patches : ndarray of shape (n_channels, n_patches, *kernel)

    Returns
    -------
    rows : ndarray of shape (n_patches, n_channels * n_entries)
        The entries of one channel after those of another, each without their mean.
    """
    n_channels, n_patches = patches.shape[:2]
    patches = patches.reshape(n_channels, n_patches, -1)
    patches = patches - patches.mean(axis=2, keepdims=True)
    return np.moveaxis(patches, 0, 1).reshape(n_patches, -1)


@dataclass(frozen=True)
class Tile:
    """A region of an image, with the patches in it whose corners are on a grid.

    Parameters
    ----------
    origin : tuple of int
        Position of the first corner.
    grid_shape : tuple of int
        Number of patches along each axis.
    kernel : tuple of int
        Sides of a patch.
    stride : tuple of int
        Number of pixels between neighboring patches along each axis.
    """

    origin: tuple
    grid_shape: tuple
    kernel: tuple
    stride: tuple

    @property
    def shape(self):
        """Lengths of the region."""
        sizes = zip(self.grid_shape, self.stride, self.kernel, strict=True)
        return tuple((count - 1) * step + size for count, step, size in sizes)

    @property
    def region(self):
        """The region, as one slice of the image along each axis."""
        sizes = zip(self.origin, self.shape, strict=True)
        return tuple(slice(start, start + size) for start, size in sizes)

    def extract_patches(self, channel):
        """Return the patches of the tile as columns.

        Parameters
        ----------
        channel : ndarray of shape `shape`

        Returns
        -------
        patches : ndarray of shape (n_entries, n_patches)
        """
        shape = (prod(self.kernel), *self.grid_shape)
        patches = np.empty(shape, dtype=channel.dtype)
        for row, pixels in zip(patches, self._entry_pixels(), strict=True):
            row[...] = channel[pixels]
        return patches.reshape(len(patches), -1)

    def overlap_add(self, patches, weights):
        """Return the weighted sum of the patches at every pixel, and that of weights.

        Parameters
        ----------
        patches : ndarray of shape (n_entries, n_patches)
            Overwritten with the weighted patches.
        weights : ndarray of shape (n_patches,)

        Returns
        -------
        weighted_sum, weight_sum : ndarray of shape `shape`
        """
        patches *= weights
        weighted_sum = np.zeros(self.shape, dtype=patches.dtype)
        weight_sum = np.zeros(self.shape, dtype=patches.dtype)
        weights = weights.reshape(self.grid_shape)
        rows = patches.reshape(-1, *self.grid_shape)
        for row, pixels in zip(rows, self._entry_pixels(), strict=True):
            weighted_sum[pixels] += row
            weight_sum[pixels] += weights
        return weighted_sum, weight_sum

    def divide(self):
        """Return small tiles that together have the patches of this one."""
        size = _max_patches_per_axis(SMALL_TILE_PATCHES, len(self.kernel))
        axes = [
            [(start + i * step, min(size, n - i)) for i in range(0, n, size)]
            for start, n, step in zip(
                self.origin, self.grid_shape, self.stride, strict=True
            )
        ]
        return _make_tiles(axes, self.kernel, self.stride)

    def _entry_pixels(self):
        """Yield, for every entry of a patch, the pixels of the region that it takes."""
        for corner in np.ndindex(self.kernel):
            sizes = zip(corner, self.grid_shape, self.stride, strict=True)
            yield tuple(slice(i, i + (n - 1) * step + 1, step) for i, n, step in sizes)


def divide_into_tiles(shape, kernel, stride):
    """Return tiles whose patches cover every pixel of an image.

    If the stride does not reach the last pixels along an axis, one more layer of
    patches does.

    Parameters
    ----------
    shape, kernel, stride : tuple of int
        Along each axis; patches are not larger than the image.
    """
    max_patches = _max_patches_per_axis(TILE_ENTRIES / prod(kernel), len(kernel))
    axes = [
        _divide_axis(length - size + 1, step, max_patches)
        for length, size, step in zip(shape, kernel, stride, strict=True)
    ]
    return _make_tiles(axes, kernel, stride)


def select_tiles(tiles, needed):
    """Return tiles, whole or divided, whose patches cover all needed pixels.

    Parameters
    ----------
    tiles : list of Tile
    needed : ndarray of bool of the shape of the image
    """
    selected = []
    for tile in tiles:
        if not needed[tile.region].any():
            continue
        parts = [part for part in tile.divide() if needed[part.region].any()]
        n_patches = sum(prod(part.grid_shape) for part in parts)
        is_few = n_patches <= MAX_SMALL_FRACTION * prod(tile.grid_shape)
        selected += parts if is_few else [tile]
    return selected


def _max_patches_per_axis(n_patches, n_axes):
    return max(1, int(n_patches ** (1 / n_axes)))


def _make_tiles(axes, kernel, stride):
    """Return the tiles of all combinations of (origin, number of patches) of axes."""
    tiles = []
    for intervals in product(*axes):
        origin, grid_shape = zip(*intervals, strict=True)
        tiles.append(Tile(origin, grid_shape, kernel, stride))
    return tiles


def _divide_axis(n_positions, stride, max_patches):
    """Return (first position, number of patches) of the tiles along an axis."""
    count = (n_positions - 1) // stride + 1
    n_tiles = -(-count // max_patches)
    size = -(-count // n_tiles)
    tiles = [(i * stride, min(size, count - i)) for i in range(0, count, size)]
    if (count - 1) * stride < n_positions - 1:
        tiles.append((n_positions - 1, 1))
    return tiles
