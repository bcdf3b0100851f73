"""Corruptions of images with entries from 0 to 1, at five severities each."""

import numpy as np
from scipy.ndimage import gaussian_filter

SEVERITIES = range(1, 6)


def noise(images, level, rng):
    """Add Gaussian noise."""
    deviation = (0.1, 0.2, 0.3, 0.4, 0.5)[level - 1]
    return np.clip(images + deviation * rng.normal(size=images.shape), 0, 1)


def salt_and_pepper(images, level, rng):
    """Set a share of the pixels to white or black."""
    share = (0.05, 0.1, 0.2, 0.3, 0.4)[level - 1]
    draw = rng.random(images.shape)
    spoiled = np.where(draw < share / 2, 0.0, images)
    return np.where(draw > 1 - share / 2, 1.0, spoiled)


def blur(images, level, rng):
    """Blur by Gaussians of a width in proportion to the images."""
    deviation = (0.03, 0.05, 0.07, 0.1, 0.13)[level - 1] * images.shape[1]
    return gaussian_filter(images, (0, deviation, deviation), mode="nearest")


def occlusion(images, level, rng):
    """Black out a square at a random place."""
    share = (0.15, 0.25, 0.35, 0.45, 0.55)[level - 1]
    height, width = images.shape[1:]
    tall, wide = max(1, round(share * height)), max(1, round(share * width))
    top = rng.integers(height - tall + 1, size=len(images))[:, None]
    left = rng.integers(width - wide + 1, size=len(images))[:, None]
    down, right = np.arange(height)[None], np.arange(width)[None]
    rows = (down >= top) & (down < top + tall)
    columns = (right >= left) & (right < left + wide)
    return images * ~(rows[:, :, None] & columns[:, None, :])


def contrast(images, level, rng):
    """Draw entries nearer to the mean of their image."""
    kept = (0.75, 0.55, 0.4, 0.25, 0.15)[level - 1]
    mean = images.mean(axis=(1, 2), keepdims=True)
    return mean + kept * (images - mean)


CORRUPTIONS = {
    "noise": noise,
    "salt, pepper": salt_and_pepper,
    "blur": blur,
    "occlusion": occlusion,
    "contrast": contrast,
}


def corrupted(images, name, level, seed):
    """Return images with a corruption, the same for every model of a seed."""
    rng = np.random.default_rng([seed, level, len(name)])
    return CORRUPTIONS[name](images, level, rng).astype(images.dtype)
