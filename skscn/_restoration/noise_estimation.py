"""Estimation of the noise in an image.

The high and low frequencies of white noise are independent. Patches with the least
energy at low frequencies are therefore patches without content, and not patches with
little noise. Their energy at high frequencies is the noise (Ponomarenko et al., 2007;
Colom and Buades, 2013).
"""

import numpy as np

from skscn._restoration.patches import dct_matrix, sample_patches

PATCH_SIZE = 8  # pixels
MAX_PATCHES = 50_000  # in the sample
# Smallest sum of the vertical and the horizontal frequency of a high frequency, where
# the largest frequency of each is one.
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
    pixels : ndarray of shape (height, width, n_channels)
    rng : RandomState instance
        For the sample of patches.
    """
    kernel = tuple(min(PATCH_SIZE, length) for length in pixels.shape[:2])
    patches = sample_patches(pixels, kernel, MAX_PATCHES, rng)
    channels = np.moveaxis(patches, -1, 0)
    return np.array([estimate_noise(channel) for channel in channels])


def estimate_noise(patches):
    """Return the standard deviation of the noise in patches of one channel.

    Parameters
    ----------
    patches : ndarray of shape (n_patches, height, width)

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
    frequency = np.add.outer(*(np.arange(size) / size for size in kernel)).ravel()
    is_high = frequency >= min(MIN_HIGH_FREQUENCY, frequency.max())
    n_quiet = max(min(MIN_QUIET_PATCHES, len(rows)), int(QUIET_FRACTION * len(rows)))
    quiet = np.argsort(energy[:, ~is_high].sum(axis=1), kind="stable")[:n_quiet]
    return float(np.sqrt(np.median(energy[quiet][:, is_high].mean(axis=0))))


def _touches_constant_area(rows):
    """Return which patches are constant, or overlap with the largest constant area.

    Frames and padding that were added after the noise have no noise.
    """
    constant = np.ptp(rows, axis=1) == 0
    if not constant.any():
        return constant
    values, counts = np.unique(rows[constant, 0], return_counts=True)
    return constant | ((rows == values[counts.argmax()]).sum(axis=1) > 1)
