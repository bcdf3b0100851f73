"""Inpainting of images and volumes: many Wiener filters, with decreasing noise."""

from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn.utils import check_random_state

from skscn._data.blas_threads import single_blas_thread
from skscn._data.validation import check_integers, compute_dtype
from skscn._restoration.channels import ChannelTransform
from skscn._restoration.passes import average_patches, fit_wiener_pass
from skscn._restoration.patches import near_pixels
from skscn._restoration.validation import (
    channels_last,
    check_finite,
    check_image,
    check_missing,
    check_patch_size,
    check_sigma,
    round_to_dtype,
    scale_to_unit,
    warn_large_sigma,
    warn_small_sigma,
)

# Noise that the filter assumes, in standard deviations of the known pixels. The first
# pass keeps little more than the largest structures, the last one most of the details.
MAX_NOISE_LEVEL, MIN_NOISE_LEVEL = 0.6, 0.01
PASSES_PER_MIXTURE = 3  # passes with the same dictionaries
# Of all passes but the last. Steps beyond the filtered values converge in fewer passes,
# as over-relaxation of averaged operators does, for factors below 2.
STEP_SIZE = 1.8
# Dictionaries are learned from patches near missing pixels, which resemble those that
# are filled in, and from few patches where few pixels are missing.
LEARNING_DISTANCE = 32  # pixels
LEARNED_PER_NEEDED, MIN_LEARNED = 12, 8000  # patches
PATCH_SIZES = {2: 8, 3: 5}  # by the number of axes of images and volumes
MIN_KNOWN_FRACTION = 0.02  # of a Gaussian window, below which it is widened


def inpaint_image(
    image,
    mask=None,
    *,
    sigma=0.0,
    patch_size=None,
    stride=1,
    n_passes=20,
    n_classes=48,
    max_patches=40_000,
    channel_axis=None,
    n_jobs=None,
    random_state=0,
):
    """Fill in missing pixels or voxels by sparse codes of overlapping patches.

    Missing pixels first become local means. Then the image is passed over several
    times. In each pass, every patch is coded with the orthonormal dictionary of its
    class, and the average of the reconstructed patches replaces the missing pixels. The
    shrinkage of the codes decreases from pass to pass, and the dictionaries are learned
    again. Known pixels are kept.

    Read more in the :ref:`user guide <patches>`.

    Parameters
    ----------
    image : array-like of shape ([depth,] height, width[, n_channels])
        Image or volume, with integers or floats in any range. The values of missing
        pixels, which may be NaN, have no influence. Masked values of a masked array are
        missing.
    mask : array-like of bool of the shape of image, or without channels, default=None
        True where the image is missing. None means NaN and the masked values of a
        masked array.
    sigma : float or array-like of shape (n_channels,), default=0.0
        Standard deviation of the noise in the known pixels. If it is positive, the
        shrinkage stops there, and known pixels are denoised too. It is not estimated,
        and None is an error. `denoise_image` can estimate it from a part of the image
        without missing pixels.
    patch_size : int or tuple of int, default=None
        Side of the patches, or their sides along each axis that is not that of the
        channels, such as (height, width). None stands for 8 pixels, or 5 voxels of a
        volume. Only the borders of holes larger than this are determined by the pixels
        around them.
    stride : int, default=1
        Number of pixels between neighboring patches.
    n_passes : int, default=20
        Number of passes.
    n_classes : int, default=48
        Maximum number of classes of patches, each with a dictionary.
    max_patches : int, default=40000
        Maximum number of patches that the dictionaries are learned from. Where few
        pixels are missing, they are learned from fewer.
    channel_axis : int, default=None
        Axis of the channels, for example -1. None means that all axes are spatial: two
        of a gray image, or three of a volume, none of them shorter than 5.
    n_jobs : int, default=None
        Number of :term:`workers <worker>`. None means every core that NumPy would use.
        The result has the same bits for every number.
    random_state : int, RandomState instance or None, default=0
        Seed for the samples of patches.

    Returns
    -------
    inpainted : ndarray of the shape and dtype of image
        Integers are rounded, and clipped to the range of their dtype.

    Raises
    ------
    TypeError
        If the image has neither integers nor real floats, or the mask is not bool.
    ValueError
        If the image is empty, has wrong dimensions, or is not finite where it is known,
        if the mask has another shape, if all pixels of a channel are missing, if an
        image of integers has no mask, if `sigma` is None, negative or has a wrong
        shape, or if a count is not a positive integer.

    Warns
    -----
    UserWarning
        If `sigma` is larger than the range of a channel, or positive and smaller than
        the rounding errors of integers: it has other units than the image.

    See Also
    --------
    denoise_image : Remove noise from an image.
    SparseCodingImputer : Impute missing values of rows.

    Notes
    -----
    Unless `sigma` is positive, only the neighborhoods of missing pixels are processed,
    and the dictionaries are learned there: the time grows with the number of missing
    pixels. `sigma` scales with the image, whose floats may have any size. Inside
    ``joblib.parallel_config(verbose=10)``, every pass prints its progress.

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
    pixels = check_image(image, channel_axis)
    missing = check_missing(image, mask, pixels, channel_axis)
    check_finite(pixels, missing)
    image = np.asarray(image)
    kernel = check_patch_size(patch_size, pixels.shape[:-1], PATCH_SIZES)
    check_integers(
        stride=(stride, 1),
        n_passes=(n_passes, 1),
        n_classes=(n_classes, 1),
        max_patches=(max_patches, 1),
    )
    if sigma is None:
        raise ValueError(
            "sigma=None: the noise of an image with missing pixels is not estimated. "
            "Give its standard deviation, or 0 if there is no noise."
        )
    sigma = check_sigma(sigma, pixels.shape[-1])
    warn_small_sigma(sigma, image.dtype)
    if not missing.any() and not sigma.any():
        return np.array(image)
    rng = check_random_state(random_state)
    pixels, sigma, unit = scale_to_unit(pixels, sigma, ~missing)
    filled, std = fill_with_local_means(pixels, missing)
    warn_large_sigma(sigma, np.ptp(filled, axis=tuple(range(filled.ndim - 1))), unit)
    min_level = max(MIN_NOISE_LEVEL, float(np.mean(sigma / std)))
    levels = np.geomspace(max(MAX_NOISE_LEVEL, min_level), min_level, n_passes)
    transform = ChannelTransform.fit(filled, std * levels[0], rng)
    pilot = transform.transform(filled)
    needed = is_near = None
    if not sigma.any():
        needed, size = missing.any(axis=-1), max(kernel)
        is_near = near_pixels(needed, max(LEARNING_DISTANCE, size))
        n_needed = np.count_nonzero(near_pixels(needed, size // 2))
        max_patches = min(max_patches, max(MIN_LEARNED, LEARNED_PER_NEEDED * n_needed))
    options = {"kernel": kernel, "stride": stride, "n_jobs": n_jobs, "needed": needed}
    with single_blas_thread():
        for i, level in enumerate(levels):
            pilot *= transform.sigma[0] / (std[0] * level)
            transform = replace(transform, sigma=std * level)
            if i % PASSES_PER_MIXTURE == 0:
                reconstruct = fit_wiener_pass(
                    pilot, kernel, n_classes, max_patches, rng, is_near
                )
            pilot = average_patches(filled, pilot, reconstruct, transform, **options)
            reconstructed = transform.inverse_transform(pilot.copy())
            if i < n_passes - 1:
                reconstructed = filled + STEP_SIZE * (reconstructed - filled)
            np.copyto(filled, reconstructed, where=missing)
    if sigma.any():
        missing, filled = np.True_, reconstructed  # all pixels are replaced
    inpainted = np.array(image)
    channels = channels_last(inpainted, channel_axis)
    np.copyto(channels, round_to_dtype(filled, image.dtype, unit), where=missing)
    return inpainted


def fill_with_local_means(pixels, missing):
    """Return pixels in which Gaussian means of known pixels replace missing ones.

    The Gaussian window of a missing pixel is widened until enough of it is known. If it
    becomes wider than the image, the pixel becomes the mean of all known pixels.

    Parameters
    ----------
    pixels : ndarray of shape (*shape, n_channels)
    missing : ndarray of bool of shape (*shape, n_channels)

    Returns
    -------
    filled : ndarray of shape (*shape, n_channels), floats
    std : ndarray of shape (n_channels,)
        Standard deviation of the known pixels; 1 where it is zero.
    """
    dtype = compute_dtype(pixels.dtype)
    known = [pixels[..., i][~missing[..., i]] for i in range(pixels.shape[-1])]
    std = np.array([values.std(dtype=np.float64) or 1.0 for values in known])
    means = np.array([values.mean(dtype=np.float64) for values in known], dtype=dtype)
    centered = np.where(missing, means, pixels).astype(dtype) - means
    is_known = (~missing).astype(dtype)
    filled, unfilled, width = centered.copy(), missing, 1.0
    while unfilled.any() and width <= max(missing.shape[:-1]):
        widths = (*[width] * (missing.ndim - 1), 0)  # the channels are not mixed
        weighted_sum = gaussian_filter(centered, widths)
        known_fraction = gaussian_filter(is_known, widths)
        ready = unfilled & (known_fraction > MIN_KNOWN_FRACTION)
        filled[ready] = weighted_sum[ready] / known_fraction[ready]
        unfilled = unfilled & ~ready
        width *= 2
    return filled + means, std
