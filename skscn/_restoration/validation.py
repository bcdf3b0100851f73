"""Checks of images and parameters, and the types of computed and returned pixels."""

from math import prod
from numbers import Integral

import numpy as np

from skscn._coders.mixture import SparseCodingMixture
from skscn._coders.orthogonal import OrthogonalSparseCoder
from skscn._core.caller_warnings import warn_caller
from skscn._core.priors import SIGNED
from skscn._data.validation import check_sides

# Smallest side, in pixels, of a patch whose dictionary is learned from a small image.
MIN_LEARNED_SIZE = 3
# Arrays with three axes, one of which has fewer voxels, are color images whose
# channel_axis was forgotten, rather than volumes.
MIN_VOLUME_SIZE = 5
# Floats up to this power of two keep their units: their squares do not overflow.
MAX_EXPONENT = 100
ROUNDING_STD = 12**-0.5  # of numbers that are rounded to integers
MAX_SIGMA = 1e150  # in units of the image; squares of larger numbers overflow


def check_image(image, channel_axis):
    """Return an image or a volume as an array of shape (*shape, n_channels).

    Without `channel_axis` all axes are spatial, so that three axes are a volume. A
    short axis is then more probably that of the channels.

    Parameters
    ----------
    image : array-like of shape (height, width) or (depth, height, width), or with
        channels
    channel_axis : int or None
    """
    image = np.asarray(image)
    if image.dtype.kind not in "uif":
        raise TypeError(
            f"image has dtype {image.dtype}, but must have integers or floats: use "
            "image.astype(float)."
        )
    if image.ndim - (channel_axis is not None) not in (2, 3):
        raise ValueError(
            f"image has shape {image.shape}, and channel_axis={channel_axis}: besides "
            "the axis of the channels there must be 2 axes of an image or 3 of a "
            "volume. Use channel_axis=-1 if the last axis holds channels, and None if "
            "there are no channels."
        )
    if channel_axis is not None and not isinstance(channel_axis, Integral):
        raise TypeError(
            f"channel_axis={channel_axis!r} must be an integer, or None (gray images)."
        )
    n_axes = image.ndim
    if channel_axis is not None and not -n_axes <= int(channel_axis) < n_axes:
        raise ValueError(
            f"channel_axis={channel_axis} must be from {-n_axes} to {n_axes - 1}."
        )
    if image.size == 0:
        raise ValueError(f"The image of shape {image.shape} has no pixels.")
    if channel_axis is None and n_axes == 3 and min(image.shape) < MIN_VOLUME_SIZE:
        axis = int(np.argmin(image.shape)) - 3
        raise ValueError(
            f"image has shape {image.shape}, and without channel_axis three axes are "
            f"those of a volume, but its axis {axis} is shorter than {MIN_VOLUME_SIZE} "
            f"voxels. If this axis holds channels, use channel_axis={axis}. If it is a "
            "thin volume, use image[..., np.newaxis] with channel_axis=-1. Images of "
            "a stack are restored one by one."
        )
    return channels_last(image, channel_axis)


def check_finite(pixels, missing=None):
    """Raise where pixels that are not missing are NaN or infinite."""
    if missing is None:
        missing = np.broadcast_to(False, pixels.shape)
    # Row by row, so that no array of the size of the image is allocated.
    n_valid = sum(
        np.count_nonzero(np.isfinite(row) | is_missing)
        for row, is_missing in zip(pixels, missing, strict=True)
    )
    n_bad = pixels.size - n_valid
    if n_bad:
        raise ValueError(
            f"{n_bad} of {pixels.size} values of the image are NaN, infinite or "
            "masked. Use inpaint_image(image, mask, sigma=sigma) with a mask that is "
            "True for them."
        )


def check_missing(image, mask, pixels, channel_axis):
    """Return which pixels are missing: by the mask, or NaN, or masked.

    Parameters
    ----------
    image : array-like
    mask : array-like of bool or None
    pixels : ndarray of shape (*shape, n_channels)
        Of the image.
    channel_axis : int or None

    Returns
    -------
    missing : ndarray of bool of shape (*shape, n_channels)
    """
    if mask is not None:
        mask = np.asarray(mask)
        if mask.dtype != bool:
            raise TypeError(
                f"mask has dtype {mask.dtype}, but must be bool, True where the image "
                "is missing: use mask.astype(bool)."
            )
        if mask.shape not in (np.shape(image), pixels.shape[:-1]):
            raise ValueError(
                f"mask has shape {mask.shape}, but the image has {np.shape(image)}: "
                "make them equal, or leave out the channels of the mask."
            )
        mask = channels_last(mask, None if mask.ndim < pixels.ndim else channel_axis)
        missing = np.broadcast_to(mask, pixels.shape)
    elif pixels.dtype.kind == "f" or np.ma.getmask(image) is not np.ma.nomask:
        missing = np.isnan(pixels)
    else:
        raise ValueError(
            f"An image of {pixels.dtype} has no NaN that marks missing pixels: give "
            "the mask, which is True for them."
        )
    missing = missing | channels_last(np.ma.getmaskarray(image), channel_axis)
    empty_channels = np.flatnonzero(missing.all(axis=tuple(range(missing.ndim - 1))))
    if empty_channels.size:
        raise ValueError(
            f"All {missing[..., 0].size} pixels of channel {empty_channels[0]} are "
            "missing, so there is nothing to fill them in from: remove the channel."
        )
    return missing


def check_sigma(sigma, n_channels):
    """Return the standard deviation of the noise in every channel."""
    given = np.asarray(sigma)
    if given.dtype.kind not in "uif":
        raise TypeError(
            f"sigma={sigma!r} must be a number, or one number for each channel."
        )
    sigma = given.astype(np.float64)
    if sigma.ndim and sigma.shape != (n_channels,):
        raise ValueError(
            f"sigma has shape {sigma.shape}, but the image has {n_channels} channels: "
            "give one number, or one number for each channel."
        )
    if not np.all(np.isfinite(sigma) & (sigma >= 0)):
        raise ValueError(f"sigma={sigma.tolist()} must be finite and not negative.")
    return np.full(n_channels, sigma)


def scale_to_unit(pixels, sigma, is_known=True):
    """Return pixels and sigma in units of a power of two, and this unit.

    The squares of very large or small floats overflow or underflow. The unit is 1 for
    all others. `sigma` may be None.
    """
    if pixels.dtype.kind != "f":
        return pixels, sigma, 1.0
    limits = (f(pixels, where=is_known, initial=0.0) for f in (np.min, np.max))
    exponent = int(np.frexp(max(abs(float(limit)) for limit in limits))[1]) - 1
    if abs(exponent) <= MAX_EXPONENT:
        return pixels, sigma, 1.0
    unit = 2.0**exponent
    with np.errstate(over="ignore", invalid="ignore"):  # missing pixels may be infinite
        pixels = pixels / pixels.dtype.type(unit)
        if sigma is not None:
            sigma = np.minimum(sigma / unit, MAX_SIGMA)
    return pixels, sigma, unit


def warn_small_sigma(sigma, dtype):
    """Warn where the noise is smaller than the rounding errors of integers."""
    if dtype.kind in "ui" and np.any((sigma > 0) & (sigma < ROUNDING_STD)):
        warn_caller(
            f"sigma={np.min(sigma[sigma > 0]):g} is less than the standard deviation "
            f"{ROUNDING_STD:.2g} of the rounding errors of {dtype} pixels, so that the "
            "image hardly changes. Give sigma in the units of the image.",
        )


def warn_large_sigma(sigma, ranges, unit):
    """Warn where the noise is larger than the range of the pixels of a channel."""
    channels = np.flatnonzero((sigma > ranges) & (ranges > 0))
    if channels.size:
        first = channels[0]
        warn_caller(
            f"sigma={sigma[first] * unit:g} is larger than the range "
            f"{ranges[first] * unit:g} of channel {first}, of which little more than "
            "local means will remain. Give sigma in the units of the image.",
        )


def check_patch_size(patch_size, shape, default, *, is_learned=False):
    """Return the sides of the patches of an image or a volume, along each axis.

    Parameters
    ----------
    patch_size : int or tuple of int or None
    shape : tuple of int
        Of the image, without channels.
    default : dict of int to int
        The side that None stands for, for every number of axes.
    is_learned : bool, default=False
        Whether one dictionary is learned from all patches of the image. If the patches
        are large and few, it fits their noise, so they are made smaller.

    Returns
    -------
    kernel : tuple of int
    """
    sizes = default[len(shape)] if patch_size is None else patch_size
    sizes = check_sides(sizes, "patch_size", len(shape))
    max_sizes = shape
    if is_learned:
        max_sizes = [min(n, max(MIN_LEARNED_SIZE, n // 4 + 1)) for n in shape]
    return tuple(min(k, n) for k, n in zip(sizes, max_sizes, strict=True))


def check_coder(coder, kernel):
    """Raise where a coder cannot encode patches of a kernel."""
    if isinstance(coder, SparseCodingMixture):
        _check_mixture(coder)
    elif not isinstance(coder, OrthogonalSparseCoder):
        raise TypeError(
            f"coder is a {type(coder).__name__}, but must be an OrthogonalSparseCoder "
            "or a SparseCodingMixture: patches without their means need codes of both "
            "signs."
        )
    if coder.n_nonzero_coefs is not None:
        raise ValueError(
            f"coder has n_nonzero_coefs={coder.n_nonzero_coefs}, but the noise decides "
            "how many coefficients of a patch are kept: use n_nonzero_coefs=None."
        )
    if hasattr(coder, "components_") and prod(kernel) != coder.n_features_in_:
        raise ValueError(
            f"coder was fitted to n_features={coder.n_features_in_}, but a patch of "
            f"{' × '.join(map(str, kernel))} has {prod(kernel)} pixels per channel. "
            "Use the patch_size of the patches that the coder was fitted to."
        )


def _check_mixture(mixture):
    """Raise where a mixture is not a distribution of clean patches."""
    if mixture.prior not in SIGNED:
        raise ValueError(
            f'coder has prior="{mixture.prior}", but patches without their means need '
            f"codes of both signs: use one of {', '.join(sorted(SIGNED))}."
        )
    if not isinstance(mixture.alpha, str):
        raise ValueError(
            f"coder has alpha={mixture.alpha}, but only a mixture that learned its "
            'priors is a distribution of clean patches: fit it with alpha="auto".'
        )
    if not hasattr(mixture, "components_"):
        raise ValueError(
            f"coder is a SparseCodingMixture of {mixture.n_dictionaries} dictionaries "
            "that is not fitted: fit it to patches of clean images, without their own "
            "means and in the units of this image."
        )


def channels_last(array, channel_axis):
    """Return a view of shape (*shape, n_channels)."""
    if channel_axis is None:
        return array[..., None]
    return np.moveaxis(array, channel_axis, -1)


def round_to_dtype(pixels, dtype, unit=1.0):
    """Return pixels in a dtype; for integers they are rounded and clipped in place.

    The pixels are multiplied by their unit, and clipped where it makes them overflow.
    """
    if unit != 1.0:
        largest = np.finfo(pixels.dtype).max / max(unit, 1.0)
        np.clip(pixels, -largest, largest, out=pixels)
        pixels *= pixels.dtype.type(unit)
    if dtype.kind == "f" and dtype.itemsize < pixels.dtype.itemsize:
        largest = np.finfo(dtype).max
        pixels = np.clip(pixels, -largest, largest)
    if dtype.kind in "ui":
        limits = np.iinfo(dtype)
        low, high = (pixels.dtype.type(limit) for limit in (limits.min, limits.max))
        if int(high) > limits.max:  # wide integers: as a float it is rounded up
            high = np.nextafter(high, low)
        np.clip(np.rint(pixels, out=pixels), low, high, out=pixels)
    return pixels.astype(dtype, copy=False)
