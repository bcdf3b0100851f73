"""What patch workflows ask of images and numbers, and the errors that say so."""

from numbers import Integral

import numpy as np

from skscn._data.validation import check_integers


def check_image(image, channel_axis, *, missing=None):
    """Return an image as an array of shape (height, width, channels).

    Parameters
    ----------
    image : array-like of shape (height, width), or with channels
    channel_axis : int or None
    missing : ndarray of bool of shape (height, width) or of the image, default=None
        Where the image may hold anything.
    """
    image = np.asarray(image)
    if image.dtype.kind not in "uif":
        raise TypeError(
            f"The image has dtype {image.dtype}, but integers or floats are needed. "
            "Use image.astype('float32')."
        )
    if image.ndim != 2 + (channel_axis is not None):
        raise ValueError(
            f"The image has shape {image.shape}: grey images have 2 dimensions, and "
            "images with channels have 3. Tell which of these are the channels, for "
            "instance channel_axis=-1, and call once for every image of a stack."
        )
    if channel_axis is not None and not isinstance(channel_axis, Integral):
        raise TypeError(
            f"channel_axis={channel_axis!r} must be an integer, for instance -1 for "
            "the last, or None for grey images."
        )
    if channel_axis is not None and not -3 <= int(channel_axis) < 3:
        raise ValueError(f"channel_axis={channel_axis} must be from -3 to 2.")
    if image.size == 0:
        raise ValueError(f"The image of shape {image.shape} has no pixels.")
    pixels = channels_last(image, channel_axis)
    if image.dtype.kind == "f":
        n_bad = _count_not_finite(pixels, missing)
        if n_bad:
            raise ValueError(
                f"{n_bad} of {image.size} numbers of the image are NaN or infinite. "
                "Use inpaint_image(image, ~np.isfinite(image)) to fill them in."
            )
    return pixels


def check_unmasked(image):
    """Raise where pixels of a masked array are masked."""
    n_masked = np.count_nonzero(np.ma.getmask(image))
    if n_masked:
        raise ValueError(
            f"{n_masked} of {image.size} numbers of the image are masked. Use "
            "inpaint_image(image, sigma=...): it fills them in and denoises the rest."
        )


def channels_last(array, channel_axis):
    """Return a view of shape (height, width, channels)."""
    if channel_axis is None:
        return array[..., None]
    return np.moveaxis(array, channel_axis, -1)


def like(pixels, image, channel_axis):
    """Return computed pixels in the shape, dtype and range of the image."""
    if image.dtype.kind in "ui":
        limits = np.iinfo(image.dtype)
        np.rint(pixels, out=pixels)
        # In floats the largest of wide integers is one too large.
        low, high = (
            np.asarray(x, dtype=pixels.dtype) for x in (limits.min, limits.max)
        )
        if int(high) > limits.max:
            high = np.nextafter(high, low)
        np.clip(pixels, low, high, out=pixels)
    return as_given(pixels.astype(image.dtype, copy=False), channel_axis)


def as_given(pixels, channel_axis):
    """Return an array of shape (height, width, channels) with channels as given."""
    if channel_axis is None:
        return pixels[..., 0]
    return np.moveaxis(pixels, -1, channel_axis)


def check_sigma(sigma, n_channels):
    """Return the noise of every channel, or None where it is to be estimated."""
    if sigma is None:
        return None
    given = np.asarray(sigma)
    if given.dtype.kind not in "uif":
        raise TypeError(
            f"sigma={sigma!r} must be a number, or one for each channel: it is a "
            "standard deviation in the units of the image."
        )
    sigma = given.astype(np.float64)
    if sigma.ndim and sigma.shape != (n_channels,):
        raise ValueError(
            f"sigma has shape {sigma.shape}, but the image has {n_channels} channels: "
            "give one number, or one for each channel."
        )
    if not np.all(np.isfinite(sigma) & (sigma >= 0)):
        raise ValueError(
            f"sigma={sigma.tolist()} must be finite and not negative: it is a "
            "standard deviation."
        )
    return np.full(n_channels, sigma)


def check_patch_sizes(patch_size):
    """Return the sizes that one integer or several stand for."""
    sizes = tuple(np.atleast_1d(np.asarray(patch_size, dtype=object)))
    if not sizes:
        raise ValueError("patch_size=() holds no size: give one or several integers.")
    for size in sizes:
        check_integers(patch_size=(size, 1))
    return tuple(int(size) for size in sizes)


def _count_not_finite(pixels, missing):
    # Row by row: no array of the size of the image is made.
    count = 0
    for i, row in enumerate(pixels):
        bad = ~np.isfinite(row)
        if missing is not None:
            bad &= ~missing[i]
        count += int(np.count_nonzero(bad))
    return count
