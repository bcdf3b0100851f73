"""Missing pixels filled in: the refined passes of denoising, over and over."""

from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn.utils import check_random_state

from skscn._data.parallel import single_blas_thread
from skscn._data.validation import check_integers
from skscn._images.layers.base import compute_dtype
from skscn._restoration.tiled_passes import (
    averaged,
    kernel_of,
    refined,
    units_of,
)
from skscn._restoration.validation import (
    as_given,
    channels_last,
    check_image,
    check_patch_sizes,
    check_sigma,
    like,
)

# Levels of the thresholds, by the standard deviation of the known pixels.
FIRST, LAST = 0.6, 0.01
RELEARNED = 3  # passes with the same dictionaries
THINNEST = 0.02  # share of a Gaussian window that has to be known


def inpaint_image(
    image,
    mask=None,
    *,
    sigma=0.0,
    patch_size=8,
    stride=1,
    n_passes=25,
    n_classes=48,
    max_patches=40_000,
    channel_axis=None,
    n_jobs=None,
    random_state=0,
):
    """Fill in missing pixels of an image by sparse codes of its overlapping patches.

    Missing pixels begin as local means. Then all patches are coded, each by the
    orthonormal dictionary of its class, with shrinkage that begins strong and gets
    weaker from pass to pass; the average of the rebuilt patches replaces what is
    missing, and dictionaries are learned anew. Known pixels stay.

    Read more in the :ref:`user guide <patches>`.

    Parameters
    ----------
    image : array-like of shape (height, width), or with channels
        Of integers or floats in any range. What it holds where it is missing, NaN
        included, has no influence. What a masked array masks is missing.
    mask : array-like of bool of the shape of image, or of (height, width), default=None
        True where the image is missing. None takes NaN, and what a masked array masks.
    sigma : float or array-like of shape (n_channels,), default=0.0
        Standard deviation of noise in the known pixels. Above zero shrinkage stops
        there, and known pixels are denoised, too. It is not estimated here, and None is
        refused: where little is missing, `denoise_image` may estimate it from a part
        that is whole.
    patch_size : int or tuple of int, default=8
        Side of the square patches; several sides are averaged. Of holes larger than
        that only the rims are told by what surrounds them.
    stride : int, default=1
        Steps from one patch to the next.
    n_passes : int, default=25
        Number of passes.
    n_classes : int, default=48
        Most classes of patches, each with a dictionary.
    max_patches : int, default=40000
        Size of the samples of patches that dictionaries are learned from.
    channel_axis : int, default=None
        Which axis of the image holds channels, for instance -1. None stands for a grey
        image.
    n_jobs : int, default=None
        Number of workers. The result has the same bits for every number. None means 1,
        -1 means all cores.
    random_state : int, RandomState instance or None, default=0
        For the samples of patches.

    Returns
    -------
    inpainted : ndarray of the shape and dtype of image
        Integers are rounded, and clipped to the range of their dtype.

    Raises
    ------
    TypeError
        If the image holds neither integers nor real floats, or the mask no bool.
    ValueError
        If the image is empty, not finite where it is known, or of wrong dimensions, if
        the mask has another shape or nothing of a channel is known, if there is no mask
        of an image of integers, if `sigma` is None, negative or of wrong shape, or if a
        count is not a positive integer.

    See Also
    --------
    denoise_image : What every pass does to noise.
    SparseCodingImputer : Missing entries of rows.

    Notes
    -----
    Tiles of the image in which nothing is missing cost nothing.

    References
    ----------
    .. [1] O. Guleryuz, "Nonlinear Approximation Based Image Recovery Using Adaptive
       Sparse Reconstructions and Iterated Denoising", IEEE Transactions on Image
       Processing 15, 2006.
    .. [2] G. Yu, G. Sapiro, S. Mallat, "Solving Inverse Problems With Piecewise Linear
       Estimators", IEEE Transactions on Image Processing 21, 2012.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_sample_image
    >>> from skscn import inpaint_image
    >>> image = load_sample_image("china.jpg")[100:164, 100:164].mean(axis=2)
    >>> missing = np.random.default_rng(0).random(image.shape) < 0.5
    >>> inpainted = inpaint_image(np.where(missing, np.nan, image))
    >>> bool((inpainted == image)[~missing].all())
    True
    """
    masked = np.ma.getmask(image)
    image = np.asarray(image)
    if mask is None:
        mask = _given_missing(image, masked)
    missing = _check_mask(mask, image, channel_axis)
    if masked is not np.ma.nomask:
        missing = missing | channels_last(masked, channel_axis)
    pixels = check_image(image, channel_axis, missing=missing)
    _check_known(missing)
    sizes = check_patch_sizes(patch_size)
    check_integers(
        stride=(stride, 1),
        n_passes=(n_passes, 1),
        n_classes=(n_classes, 1),
        max_patches=(max_patches, 1),
    )
    n_channels = pixels.shape[2]
    if sigma is None:
        raise ValueError(
            "sigma=None: the noise of an image with missing pixels is not estimated. "
            "Give its standard deviation, or 0 where there is none."
        )
    sigma = check_sigma(sigma, n_channels)
    if not missing.any() and not sigma.any():
        return np.array(image)
    rng = check_random_state(random_state)
    filled, spread = first_fill(pixels, missing)
    kernels = list(dict.fromkeys(kernel_of(size, pixels.shape[:2]) for size in sizes))
    last = max(LAST, float(np.mean(sigma / spread)))
    levels = np.geomspace(max(FIRST, last), last, n_passes)
    units = units_of(filled, spread * levels[0], rng)
    estimate = units.planes(filled)
    wanted = None if sigma.any() else missing.any(axis=2)
    with single_blas_thread():
        for i, level in enumerate(levels):
            estimate *= units.sigma[0] / (spread[0] * level)
            units = replace(units, sigma=spread * level)
            if i % RELEARNED == 0:
                steps = [
                    (kernel, refined(estimate, kernel, n_classes, max_patches, rng))
                    for kernel in kernels
                ]
            estimate = averaged(
                filled,
                estimate,
                steps,
                units,
                stride=stride,
                n_jobs=n_jobs,
                wanted=wanted,
            )
            found = units.pixels(estimate.copy())
            np.copyto(filled, found, where=missing)
    if sigma.any():
        return like(found, image, channel_axis)
    restored = np.array(image)
    np.copyto(
        restored,
        like(filled, image, channel_axis),
        where=as_given(missing, channel_axis),
    )
    return restored


def first_fill(pixels, missing):
    """Return pixels with means of what is known near the missing, and the spreads.

    Gaussian windows are widened until enough of them is known, or until they are wider
    than the image; what is left has the mean of all.

    Returns
    -------
    filled : ndarray of shape (height, width, channels), floats
    spread : ndarray of shape (channels,)
        Standard deviation of the known pixels; 1 where that is zero.
    """
    dtype = compute_dtype(pixels.dtype)
    filled = np.empty(pixels.shape, dtype=dtype)
    spread = np.ones(pixels.shape[2])
    for channel in range(pixels.shape[2]):
        gaps = missing[..., channel]
        known = pixels[..., channel][~gaps]
        centre = known.mean(dtype=np.float64)
        spread[channel] = known.std(dtype=np.float64) or 1.0
        values = np.where(gaps, dtype.type(centre), pixels[..., channel]).astype(dtype)
        values -= dtype.type(centre)
        share = (~gaps).astype(dtype)
        plane, width = values.copy(), 1.0
        while gaps.any() and width <= max(gaps.shape):
            total = gaussian_filter(values, width)
            weight = gaussian_filter(share, width)
            ready = gaps & (weight > THINNEST)
            plane[ready] = total[ready] / weight[ready]
            gaps = gaps & ~ready
            width *= 2
        filled[..., channel] = plane + dtype.type(centre)
    return filled, spread


def _given_missing(image, masked):
    """Return which numbers an image itself calls missing."""
    if image.dtype.kind == "f":
        return np.isnan(image)
    if masked is np.ma.nomask:
        raise ValueError(
            f"An image of {image.dtype} has no NaN to tell what is missing: give the "
            "mask, True where the image is missing."
        )
    return masked


def _check_mask(mask, image, channel_axis):
    """Return which numbers of an image are missing, channels last."""
    shape = np.shape(image)
    mask = np.asarray(mask)
    if mask.dtype != bool:
        raise TypeError(
            f"The mask has dtype {mask.dtype}, but must be of bool, True where the "
            "image is missing. Use mask.astype(bool) or mask > 0."
        )
    if channel_axis is not None and len(shape) == 3 and mask.ndim == 2:
        mask = np.expand_dims(mask, channel_axis % 3)
        if all(n in (1, m) for n, m in zip(mask.shape, shape, strict=True)):
            mask = np.broadcast_to(mask, shape)
    if mask.shape != shape:
        raise ValueError(
            f"The mask has shape {mask.shape}, but the image has shape {shape}. Make "
            "them equal, or leave out the channels of the mask."
        )
    return channels_last(mask, channel_axis if mask.ndim == 3 else None)


def _check_known(missing):
    """Raise where all of a channel is missing."""
    bare = np.flatnonzero(missing.all(axis=(0, 1)))
    if bare.size:
        raise ValueError(
            f"All {missing[..., 0].size} pixels of channel {bare[0]} are missing: "
            "there is nothing to fill them in from. Leave the channel out."
        )
