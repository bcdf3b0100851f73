"""Passes over large images: tiles go to workers, and sums come back in order."""

from functools import partial

import numpy as np

from skscn._data.parallel import worker_pool
from skscn._images.layers.base import compute_dtype
from skscn._images.layers.patches import PatchGrid, extract_patches
from skscn._restoration.channels import Units
from skscn._restoration.passes import Refined, run_tile
from skscn._restoration.patch_classes import Classes
from skscn._restoration.tiles import tiles

SAMPLED_PIXELS = 2**17  # that tell the planes


def kernel_of(size, shape):
    """Return the patch of a size; in smaller images it is as large as these."""
    return tuple(min(size, length) for length in shape)


def kernel_to_learn(size, shape):
    """Return a patch that is small enough to learn its dictionary from the image.

    A dictionary of large patches knows the few of a small image by heart, with their
    noise.
    """
    return tuple(min(size, n, max(3, n // 4 + 1)) for n in shape)


def random_patches(pixels, kernel, n_patches, rng):
    """Return patches from random places, or all of them where there are no more.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, channels)
    kernel : tuple of int
    n_patches : int
    rng : RandomState instance

    Returns
    -------
    patches : ndarray of shape (at most n_patches, *kernel, channels)
    """
    grid = PatchGrid(pixels.shape, kernel)
    if grid.n_positions <= n_patches:
        positions = np.arange(grid.n_positions)
    else:  # those drawn twice are few, and do no harm
        positions = np.sort(rng.randint(grid.n_positions, size=n_patches))
    patches = extract_patches(pixels[None], grid)[0]
    return patches[np.unravel_index(positions, grid.grid_shape)]


def averaged(pixels, guide, steps, units, *, stride, n_jobs, wanted=None):
    """Return the average of rebuilt patches, of one or several passes.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, channels)
    guide : ndarray of shape (channels, height, width) or None
        The estimate so far.
    steps : list of (kernel, Coded or Refined)
    units : Units
    stride : int
    n_jobs : int or None
    wanted : ndarray of bool of shape (height, width), default=None
        Tiles without such pixels are left out, and their pixels as they are.

    Returns
    -------
    planes : ndarray of shape (channels, height, width)
        In units of the noise.
    """
    shape = pixels.shape[:2]
    total = np.zeros((pixels.shape[2], *shape), dtype=units.dtype)
    weight = np.zeros_like(total)
    for kernel, step in steps:
        grid = tiles(shape, kernel, (min(stride, size) for size in kernel))
        if wanted is not None:
            grid = [tile for tile in grid if wanted[tile.region].any()]
        items = (
            (tile, pixels[tile.region], None if guide is None else guide[_in(tile)])
            for tile in grid
        )
        with worker_pool(len(grid), n_jobs, 1) as pool:
            results = pool.map(partial(run_tile, step=step, units=units), items)
            for tile, sums in zip(grid, results, strict=True):
                for plane, (values, weights) in enumerate(sums):
                    total[plane][tile.region] += values
                    weight[plane][tile.region] += weights
    if wanted is not None:
        bare = weight[0] == 0
        total[:, bare] = units.planes(pixels[bare])
        weight[:, bare] = 1
    total /= weight
    return total


def _in(tile):
    """Return where a tile is in planes."""
    return (slice(None), *tile.region)


def units_of(pixels, sigma, rng):
    """Return the units of planes, learned from random pixels."""
    sample = random_patches(pixels, (1, 1), SAMPLED_PIXELS, rng)
    sample = sample.reshape(-1, pixels.shape[2]).astype(np.float64)
    return Units.of(sample, sigma, compute_dtype(pixels.dtype))


def refined(estimate, kernel, n_classes, max_patches, rng):
    """Return the pass that uses an estimate, with classes of its patches."""
    sample = random_patches(np.moveaxis(estimate, 0, -1), kernel, max_patches, rng)
    rows = np.moveaxis(sample, -1, 0).reshape(len(estimate), len(sample), -1)
    return Refined(Classes.learned(rows, kernel, n_classes))
