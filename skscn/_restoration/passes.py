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
from skscn._restoration.patch_groups import group_patches
from skscn._restoration.patch_mixture import channel_blocks, fit_patch_mixture
from skscn._restoration.patch_model import fit_patch_model
from skscn._restoration.patches import divide_into_tiles, sample_patches, select_tiles

GROUP_SIZE = 8  # minimum number of similar patches in a group
N_GROUPING_COEFFICIENTS = 24  # leading coefficients of a patch that determine its group


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
    sigma, n_channels = unit * transform.sigma, pixels.shape[-1]
    blocks = channel_blocks(n_channels)
    if coder is not None:  # of the patches of one channel
        blocks = [slice(i, i + 1) for i in range(n_channels)]
    sample = transform.transform(sample_patches(pixels, kernel, max_patches, rng))
    models = [(block, fit_patch_model(coder, sigma, sample[block])) for block in blocks]
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
    models : list of (slice, PatchModel)
        Blocks of channels that are coded jointly.
    channels : ndarray of shape (n_channels, *tile.shape)
    pilot : ndarray
        Not used, present for API consistency with `apply_wiener_filter`.
    tile : Tile

    Returns
    -------
    sums : list of tuple of ndarray
        The result of `Tile.overlap_add` for every channel.
    """
    sums = []
    for block, model in models:
        patches = _extract_patches(tile, channels[block])
        n_channels = len(channels[block])
        by_channel = patches.reshape(n_channels, -1, patches.shape[1])
        means = by_channel.mean(axis=1, keepdims=True)
        by_channel -= means
        patches, noise = model.reconstruct(patches)
        by_channel = patches.reshape(by_channel.shape)
        by_channel += means  # each has the noise variance of one coefficient
        noise = noise + (n_channels - 1)
        sums += _add_patches(tile, patches, n_channels, noise)
    return sums


def apply_wiener_filter(mixture, channels, pilot, tile):
    """Filter every patch of a tile in the dictionary of its class.

    Let u be the projections of a noisy patch, with the means of its channels, and v
    those of the same patch of the pilot. The best linear estimate of a coefficient
    with variance s² is u · s² / (s² + 1) (Wiener filter). Similar patches of a class
    form a group of n. The mean of u over the group has noise of variance 1 / n; its s²
    is the square of the mean of v. For the deviations from it, s² is the average of
    two estimates: the squared deviation of v, and the variance of v in the group. The
    first block of channels of the pilot determines the classes and the groups.

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
    blocks, sums = channel_blocks(len(channels)), []
    order, classes = _sort_patches(mixture, _extract_patches(tile, pilot[blocks[0]]))
    inverse_order = np.empty_like(order)
    inverse_order[order] = np.arange(len(order))
    for block, dictionaries in zip(blocks, mixture.dictionaries, strict=True):
        patches, pilot_patches = (
            _extract_patches(tile, images[block]).take(order, axis=1)
            for images in (channels, pilot)
        )
        noise = np.empty_like(patches[0])
        for label, members, groups in classes:
            atoms = dictionaries[label]
            codes = atoms @ patches[:, members]
            pilot_codes = atoms @ pilot_patches[:, members]
            codes, noise[members] = _filter_groups(codes, pilot_codes, groups)
            np.matmul(atoms.T, codes, out=patches[:, members])
        patches = patches.take(inverse_order, axis=1)
        n_channels = len(channels[block])
        sums += _add_patches(tile, patches, n_channels, noise.take(inverse_order))
    return sums


def _sort_patches(mixture, pilot_patches):
    """Return an order of the patches in which classes and groups are neighbors.

    Parameters
    ----------
    mixture : PatchMixture
    pilot_patches : ndarray of shape (n_entries, n_patches)
        Of the first block of channels.

    Returns
    -------
    order : ndarray of int of shape (n_patches,)
    classes : list of (label, slice of the ordered patches, PatchGroups)
    """
    labels = mixture.predict(pilot_patches)
    order, classes, start = [], [], 0
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        atoms = mixture.dictionaries[0][label][:N_GROUPING_COEFFICIENTS]
        codes = atoms @ pilot_patches.take(members, axis=1)
        member_order, groups = group_patches(codes, GROUP_SIZE)
        order.append(members[member_order])
        classes.append((label, slice(start, start + len(members)), groups))
        start += len(members)
    return np.concatenate(order), classes


def _filter_groups(codes, pilot_codes, groups):
    """Return filtered codes, and the sum of the noise variance that remains in them."""
    n_patches = groups.sizes.astype(codes.dtype)
    pilot_means, means = groups.mean(pilot_codes), groups.mean(codes)
    gains = pilot_means**2
    gains /= gains + 1 / n_patches
    noise = np.einsum("ij,ij->j", gains, gains) / n_patches
    deviations = codes - groups.repeat(means)
    variance = (pilot_codes - groups.repeat(pilot_means)) ** 2
    group_variance = groups.mean(variance) * (n_patches / np.maximum(n_patches - 1, 1))
    variance += groups.repeat(group_variance)
    variance /= variance + 2  # the gain of their average
    noise = groups.repeat(noise)
    noise += np.einsum("ij,ij->j", variance, variance) * groups.repeat(
        1 - 1 / n_patches
    )
    deviations *= variance
    deviations += groups.repeat(gains * means)
    return deviations, noise


def _extract_patches(tile, channels):
    """Return the patches of several channels as columns."""
    return np.concatenate([tile.extract_patches(channel) for channel in channels])


def _add_patches(tile, patches, n_channels, noise):
    """Return the weighted sums of the patches of every channel.

    The weight of a patch is the inverse of its noise variance, averaged over the
    entries. At least the variance of one coefficient is assumed.
    """
    weights = (len(patches) / (1 + noise)).astype(patches.dtype)
    by_channel = patches.reshape(n_channels, -1, patches.shape[1])
    return [tile.overlap_add(rows, weights) for rows in by_channel]


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
