"""Corruptions of images with values from 0 to 1, at five severities each."""

import numpy as np
from scipy.ndimage import gaussian_filter

SEVERITIES = range(1, 6)


def add_noise(images, severity, rng):
    """Add Gaussian noise."""
    std = (0.1, 0.2, 0.3, 0.4, 0.5)[severity - 1]
    return np.clip(images + std * rng.normal(size=images.shape), 0, 1)


def add_salt_and_pepper(images, severity, rng):
    """Set a fraction of the pixels to white or black."""
    fraction = (0.05, 0.1, 0.2, 0.3, 0.4)[severity - 1]
    uniform = rng.random(images.shape)
    corrupted = np.where(uniform < fraction / 2, 0.0, images)
    return np.where(uniform > 1 - fraction / 2, 1.0, corrupted)


def blur(images, severity, rng):
    """Convolve with a Gaussian whose width is proportional to the height of images."""
    std = (0.03, 0.05, 0.07, 0.1, 0.13)[severity - 1] * images.shape[1]
    return gaussian_filter(images, (0, std, std), mode="nearest")


def occlude(images, severity, rng):
    """Set a rectangle at a random position to black."""
    fraction = (0.15, 0.25, 0.35, 0.45, 0.55)[severity - 1]
    height, width = images.shape[1:]
    n_rows = max(1, round(fraction * height))
    n_columns = max(1, round(fraction * width))
    top = rng.integers(height - n_rows + 1, size=len(images))[:, None]
    left = rng.integers(width - n_columns + 1, size=len(images))[:, None]
    row, column = np.arange(height)[None], np.arange(width)[None]
    in_rows = (row >= top) & (row < top + n_rows)
    in_columns = (column >= left) & (column < left + n_columns)
    return images * ~(in_rows[:, :, None] & in_columns[:, None, :])


def reduce_contrast(images, severity, rng):
    """Move pixels toward the mean of their image."""
    factor = (0.75, 0.55, 0.4, 0.25, 0.15)[severity - 1]
    mean = images.mean(axis=(1, 2), keepdims=True)
    return mean + factor * (images - mean)


CORRUPTIONS = {
    "noise": add_noise,
    "salt, pepper": add_salt_and_pepper,
    "blur": blur,
    "occlusion": occlude,
    "contrast": reduce_contrast,
}


def corrupt(images, name, severity, seed):
    """Return corrupted images; equal seeds give equal corruptions."""
    rng = np.random.default_rng([seed, severity, len(name)])
    return CORRUPTIONS[name](images, severity, rng).astype(images.dtype)
