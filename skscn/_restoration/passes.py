"""One pass over an image: every patch is reconstructed, and all are averaged.

A pass is a function that reconstructs the patches of a tile. It works on transformed
channels, in which the noise has standard deviation one. The weight of a patch in the
average is the inverse of the noise variance that remains in its entries. It is large
for a patch with few codes, or with strongly shrunk codes.
"""

from functools import partial

import numpy as np

from skscn._data.parallel import worker_pool
from skscn._data.progress import report_progress
from skscn._restoration.patch_mixture import fit_patch_mixture
from skscn._restoration.patch_model import fit_patch_model
from skscn._restoration.patches import divide_into_tiles, sample_patches, select_tiles


def fit_coding_pass(pixels, transform, kernel, coder, max_patches, rng, unit=1.0):
    """Return the first pass, with models of noisy patches.

    Parameters
    ----------
    pixels : ndarray of shape (*shape, n_channels)
    transform : ChannelTransform
    kernel : tuple of int
        Sides of a patch.
    coder : OrthogonalSparseCoder or None
    max_patches : int
        Size of the sample of patches.
    rng : RandomState instance
        For the sample.
    unit : float, default=1.0
        Of the pixels, in the units of a fitted coder.

    Returns
    -------
    reconstruct : callable
        With the parameters (channels, pilot, tile).
    """
    sample = transform.transform(sample_patches(pixels, kernel, max_patches, rng))
    sigma = unit * transform.sigma
    models = [fit_patch_model(coder, sigma, patches) for patches in sample]
    return partial(reconstruct_from_codes, models)


def fit_wiener_pass(pilot, kernel, n_classes, max_patches, rng, is_near=None):
    """Return a further pass, with a mixture of patches of the pilot.

    Parameters
    ----------
    pilot : ndarray of shape (n_channels, *shape)
        The current estimate.
    kernel : tuple of int
        Sides of a patch.
    n_classes, max_patches : int
    rng : RandomState instance
        For the sample of patches.
    is_near : ndarray of bool of shape `shape`, default=None
        Where patches are sampled; None means everywhere.

    Returns
    -------
    reconstruct : callable
        With the parameters (channels, pilot, tile).
    """
    pixels = np.moveaxis(pilot, 0, -1)
    sample = sample_patches(pixels, kernel, max_patches, rng, is_near)
    mixture = fit_patch_mixture(np.moveaxis(sample, -1, 0), n_classes)
    return partial(apply_wiener_filter, mixture)


def reconstruct_from_codes(models, channels, pilot, tile):
    """Reconstruct every patch of a tile from its sparse code.

    Parameters
    ----------
    models : list of PatchModel
        One for each channel.
    channels : ndarray of shape (n_channels, *tile.shape)
    pilot : ndarray
        Not used, present for API consistency with `apply_wiener_filter`.
    tile : Tile

    Returns
    -------
    sums : list of tuple of ndarray
        The result of `Tile.overlap_add` for every channel.
    """
    return [
        tile.overlap_add(*model.reconstruct(tile.extract_patches(channel)))
        for channel, model in zip(channels, models, strict=True)
    ]


def apply_wiener_filter(mixture, channels, pilot, tile):
    """Filter every patch of a tile in the dictionary of its class.

    Let u be the projections of a noisy patch, and v those of the same patch of the
    pilot. The codes are u · v² / (v² + 1): the best linear estimate if v² is the
    variance of the coefficient (empirical Wiener filter). The first channel of the
    pilot determines the classes of the patches in all channels.

    Parameters
    ----------
    mixture : PatchMixture
    channels, pilot : ndarray of shape (n_channels, *tile.shape)
        The noisy image and its current estimate.
    tile : Tile

    Returns
    -------
    sums : list of tuple of ndarray
        The result of `Tile.overlap_add` for every channel.
    """
    sums, order = [], None
    arrays = zip(channels, pilot, mixture.dictionaries, strict=True)
    for noisy, estimate, dictionaries in arrays:
        pilot_patches = tile.extract_patches(estimate)
        if order is None:
            labels = mixture.predict(pilot_patches)
            order = np.argsort(labels, kind="stable")
            ends = np.searchsorted(labels, range(1, len(dictionaries)), sorter=order)
            inverse_order = np.empty_like(order)
            inverse_order[order] = np.arange(len(order))
        # After sorting, the patches of a class are neighboring columns.
        pilot_patches = pilot_patches.take(order, axis=1)
        pilot_patches -= pilot_patches.mean(axis=0)
        patches = tile.extract_patches(noisy).take(order, axis=1)
        means = patches.mean(axis=0)
        patches -= means
        weights = _filter_classes(patches, pilot_patches, dictionaries, ends)
        patches += means
        patches = patches.take(inverse_order, axis=1)
        sums.append(tile.overlap_add(patches, weights.take(inverse_order)))
    return sums


def _filter_classes(patches, pilot_patches, dictionaries, ends):
    """Overwrite patches, sorted by class, with filtered ones; return their weights."""
    classes = (np.split(array, ends, axis=1) for array in (patches, pilot_patches))
    weights = []
    for atoms, noisy, estimate in zip(dictionaries, *classes, strict=True):
        gains = atoms @ estimate
        gains *= gains
        gains /= gains + 1
        codes = atoms @ noisy
        codes *= gains
        noisy[...] = atoms.T @ codes
        weights.append(len(noisy) / (1 + np.einsum("ij,ij->j", gains, gains)))
    return np.concatenate(weights)


def average_patches(
    pixels, pilot, reconstruct, transform, *, kernel, stride, n_jobs, needed=None
):
    """Return the weighted average of the patches that a pass reconstructs.

    Parameters
    ----------
    pixels : ndarray of shape (*shape, n_channels)
    pilot : ndarray of shape (n_channels, *shape) or None
        The current estimate; None for the first pass.
    reconstruct : callable
        The pass, with the parameters (channels, pilot, tile).
    transform : ChannelTransform
    kernel : tuple of int
        Sides of a patch.
    stride : int
    n_jobs : int or None
    needed : ndarray of bool of shape `shape`, default=None
        Tiles without such pixels are not processed. Their pixels are only transformed.

    Returns
    -------
    estimate : ndarray of shape (n_channels, *shape)
        Transformed channels.
    """
    *shape, n_channels = pixels.shape
    pilot = np.empty((0, *shape)) if pilot is None else pilot
    estimate = np.zeros((n_channels, *shape), dtype=transform.dtype)
    weight_sums = np.zeros_like(estimate)
    strides = tuple(min(stride, size) for size in kernel)
    tiles = divide_into_tiles(shape, kernel, strides)
    if needed is not None:
        tiles = select_tiles(tiles, needed)
    items = ((tile, pixels[tile.region], pilot[(..., *tile.region)]) for tile in tiles)
    function = partial(_reconstruct_tile, reconstruct, transform)
    with worker_pool(len(tiles), n_jobs, 1) as pool:
        results = report_progress(pool.map(function, items), len(tiles))
        for tile, sums in zip(tiles, results, strict=True):
            for channel, (weighted_sum, weight_sum) in enumerate(sums):
                estimate[channel][tile.region] += weighted_sum
                weight_sums[channel][tile.region] += weight_sum
    if needed is not None:
        uncovered = weight_sums[0] == 0
        estimate[:, uncovered] = transform.transform(pixels[uncovered])
        weight_sums[:, uncovered] = 1
    estimate /= weight_sums
    return estimate


def _reconstruct_tile(reconstruct, transform, item):
    tile, pixels, pilot = item
    return reconstruct(transform.transform(pixels), pilot, tile)
