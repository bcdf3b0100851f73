"""Coarser scales of an image, by its orthonormal cosine transform.

The low frequencies of an image are an image of fewer pixels. An orthonormal transform
keeps white noise white, and averages it, so that low frequencies are denoised best at
the coarse scale, where a patch covers more of the image.
"""

from math import prod, sqrt

import numpy as np
from scipy.fft import dct, idct

# A coarse scale has at least so many patches side by side, without overlap.
MIN_PATCHES = 4
# Frequencies up to the first come from the coarse scale, those from the second on from
# the fine one, in units of the highest frequency of the coarse scale. On 16 gray and
# color photographs other limits between 0 and 0.8 were up to 0.05 dB worse.
BAND = 0.2, 0.6


def halve_shape(shape, kernel):
    """Return the shape of the next coarser scale; short axes keep their lengths."""
    halves = [-(-n // 2) for n in shape]
    return tuple(
        half if half >= MIN_PATCHES * size else n
        for n, half, size in zip(shape, halves, kernel, strict=True)
    )


def coarse_noise(fine_shape, coarse_shape):
    """Return the standard deviation of noise at a coarse scale, relative to a fine."""
    return sqrt(prod(coarse_shape) / prod(fine_shape))


def take_coarse_scale(image, shape, dtype):
    """Return the low frequencies of an image as an image of fewer pixels.

    Parameters
    ----------
    image : ndarray of shape (*fine_shape, n_channels)
    shape : tuple of int
        Of the coarse scale.
    dtype : dtype of float

    Returns
    -------
    coarse : ndarray of shape (*shape, n_channels)
        In the units of the image.
    """
    fine_shape = image.shape[:-1]
    level = _level(image, dtype)
    coarse = _low_frequencies(np.subtract(image, level, dtype=dtype, order="C"), shape)
    for axis in _halved_axes(fine_shape, shape):
        coarse = idct(coarse, axis=axis, norm="ortho")
    coarse *= dtype.type(coarse_noise(fine_shape, shape))
    coarse += level
    return coarse


def replace_low_frequencies(image, coarse):
    """Replace the low frequencies of an image by those of a coarse scale, in place."""
    fine_shape, shape = image.shape[:-1], coarse.shape[:-1]
    axes = _halved_axes(fine_shape, shape)
    level = _level(image, image.dtype)
    change = coarse - level
    for axis in axes:
        change = dct(change, axis=axis, norm="ortho", overwrite_x=True)
    change /= image.dtype.type(coarse_noise(fine_shape, shape))
    change -= _low_frequencies(image - level, shape)
    change *= _band_weights(shape, axes, image.dtype)[..., None]
    for axis in axes:
        change = idct(change, n=fine_shape[axis], axis=axis, norm="ortho")
    image += change


def _level(image, dtype):
    """Return the mean of every channel: it may be large beside rounding errors."""
    axes = tuple(range(image.ndim - 1))
    # In C order, because the order of a sum determines its rounding.
    return np.ascontiguousarray(image).mean(axis=axes, dtype=np.float64).astype(dtype)


def _low_frequencies(image, shape):
    """Return coefficients of the cosine transform of floats, which it overwrites."""
    for axis in _halved_axes(image.shape[:-1], shape):
        image = dct(image, axis=axis, norm="ortho", overwrite_x=True)
        image = image[(slice(None),) * axis + (slice(shape[axis]),)]
    return image


def _halved_axes(fine_shape, shape):
    return [i for i, n in enumerate(fine_shape) if n != shape[i]]


def _band_weights(shape, axes, dtype):
    """Return weights from 1 to 0, by the frequency along axes."""
    squares = np.zeros(shape, dtype)
    for axis in axes:
        frequencies = np.linspace(0, 1, shape[axis], endpoint=False, dtype=dtype)
        along = [1] * len(shape)
        along[axis] = -1
        squares += frequencies.reshape(along) ** 2
    low, high = BAND
    position = np.clip((high - np.sqrt(squares)) / (high - low), 0, 1)
    return (1 - np.cos(np.pi * position)) / 2
