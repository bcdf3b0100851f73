"""Estimation of the noise in an image.

The high and low frequencies of white noise are independent. Patches with the least
energy at low frequencies are therefore patches without content, and not patches with
little noise. Their energy at high frequencies is the noise (Ponomarenko et al., 2007;
Colom and Buades, 2013).
"""

from functools import reduce
from math import prod

import numpy as np
from scipy.fft import dct
from scipy.special import gammaincinv

from skscn._restoration.patches import dct_matrix, sample_patches

PATCH_SIZES = {2: 8, 3: 4}  # by the number of axes: 64 pixels or voxels
MAX_PATCHES = 50_000  # in the sample
# Smallest sum of the frequencies along all axes of a high frequency, where the largest
# frequency along each is one.
MIN_HIGH_FREQUENCY = 0.87
QUIET_FRACTION = 0.02  # of the patches are taken to be without content
MIN_QUIET_PATCHES = 200  # in small images
# Patches outside constant areas are only used alone if they are at least this fraction:
# fewer do not represent the image.
MIN_INNER_FRACTION = 0.1


def estimate_image_noise(pixels, rng):
    """Return the standard deviation of the noise in every channel.

    Parameters
    ----------
    pixels : ndarray of shape (*shape, n_channels)
    rng : RandomState instance
        For the sample of patches.
    """
    shape = pixels.shape[:-1]
    kernel = tuple(min(PATCH_SIZES[len(shape)], length) for length in shape)
    patches = sample_patches(pixels, kernel, MAX_PATCHES, rng)
    sizes = zip(shape, kernel, strict=True)
    grid_shape = tuple(length - size + 1 for length, size in sizes)
    channels = np.moveaxis(patches, -1, 0)
    return np.array([estimate_noise(channel, grid_shape) for channel in channels])


def estimate_noise(patches, grid_shape=None):
    """Return the standard deviation of the noise in patches of one channel.

    The mean energy at a frequency has a χ² distribution, with as many degrees of
    freedom as there are independent patches. Its median is below its mean; for one
    patch, below half of it. The median over the frequencies is corrected for this.

    Parameters
    ----------
    patches : ndarray of shape (n_patches, *kernel)
    grid_shape : tuple of int, default=None
        Number of positions of patches along each axis of the image, at a stride of one.
        None stands for patches that do not overlap.

    Returns
    -------
    sigma : float
        0 where nearly all patches are constant.
    """
    kernel = patches.shape[1:]
    rows = patches.reshape(len(patches), -1).astype(np.float64)
    low, high = rows.min(), rows.max()
    # Where values were clipped there is less noise.
    clipped = ((rows == low).sum(axis=1) > 1) | ((rows == high).sum(axis=1) > 1)
    if np.count_nonzero(~clipped) >= min(MIN_QUIET_PATCHES, len(rows)):
        rows = rows[~clipped]
    inner = ~_touches_constant_area(rows)
    if np.count_nonzero(inner) >= max(MIN_INNER_FRACTION * len(rows), 1):
        rows = rows[inner]
    rows = rows - rows.mean(axis=1, keepdims=True)
    energy = (rows @ dct_matrix(kernel).T) ** 2
    frequencies = (np.arange(size) / size for size in kernel)
    frequency = reduce(np.add.outer, frequencies).ravel()
    is_high = frequency >= min(MIN_HIGH_FREQUENCY, frequency.max())
    n_quiet = max(min(MIN_QUIET_PATCHES, len(rows)), int(QUIET_FRACTION * len(rows)))
    quiet = np.argsort(energy[:, ~is_high].sum(axis=1), kind="stable")[:n_quiet]
    redundancy = 0.0
    if grid_shape is not None:
        axes = zip(grid_shape, kernel, strict=True)
        redundancy = reduce(np.kron, (_redundancy(*axis) for axis in axes))
        redundancy = redundancy[is_high] - 1
        # As if the quiet patches were drawn at random.
        redundancy *= n_quiet / prod(grid_shape)
    freedom = np.full(np.count_nonzero(is_high), n_quiet) / (1 + redundancy)
    median = 2 * gammaincinv(freedom / 2, 0.5) / freedom  # in units of the mean
    return float(np.sqrt(np.median(energy[quiet][:, is_high].mean(axis=0) / median)))


def _redundancy(n_positions, size):
    """Return the number of overlapping patches for each independent one.

    Along one axis, the coefficients of a cosine in white noise, at positions s and t,
    have the autocorrelation r(s − t) of the cosine. The variance of the mean of n
    squares is that of n² / Σ r(s − t)² independent squares.

    Parameters
    ----------
    n_positions : int
    size : int
        Of the patches.

    Returns
    -------
    redundancy : ndarray of shape (size,)
        For every frequency.
    """
    cosines = dct(np.eye(size), axis=0, norm="ortho")
    n_pairs = np.maximum(n_positions - np.abs(np.arange(1 - size, size)), 0)
    squares = np.array([np.correlate(c, c, "full") ** 2 for c in cosines])
    return squares @ n_pairs / n_positions


def _touches_constant_area(rows):
    """Return which patches are constant, or overlap with the largest constant area.

    Frames and padding that were added after the noise have no noise.
    """
    constant = np.ptp(rows, axis=1) == 0
    if not constant.any():
        return constant
    values, counts = np.unique(rows[constant, 0], return_counts=True)
    return constant | ((rows == values[counts.argmax()]).sum(axis=1) > 1)
