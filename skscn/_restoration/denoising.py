"""Denoising of images and volumes: sparse codes of all patches, averaged."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from skscn._core.caller_warnings import warn_caller
from skscn._data.blas_threads import single_blas_thread
from skscn._data.validation import check_integers, compute_dtype
from skscn._restoration.channels import ChannelTransform
from skscn._restoration.noise_estimation import estimate_image_noise
from skscn._restoration.passes import (
    average_patches,
    fit_coding_pass,
    fit_wiener_pass,
)
from skscn._restoration.scales import (
    coarse_noise,
    halve_shape,
    replace_low_frequencies,
    take_coarse_scale,
)
from skscn._restoration.validation import (
    channels_last,
    check_coder,
    check_finite,
    check_image,
    check_patch_size,
    check_sigma,
    round_to_dtype,
    scale_to_unit,
    warn_large_sigma,
    warn_small_sigma,
)

PATCH_SIZES = {2: 8, 3: 4}  # by the number of axes of images and volumes
# The first pass takes every second patch, if others follow and patches have this side.
# Smaller patches would overlap too little.
MIN_SIDE_OF_SPARSE_PASS = 6


def denoise_image(
    image,
    sigma=None,
    coder=None,
    *,
    patch_size=None,
    stride=1,
    n_refinements=2,
    n_scales=3,
    n_classes=48,
    max_patches=40_000,
    channel_axis=None,
    n_jobs=None,
    random_state=0,
):
    """Remove white noise from an image or volume by sparse codes of its patches.

    A dictionary D of orthonormal atoms is learned from the noisy image. Its atoms have
    entries in up to three channels. In units of the noise, every patch x without the
    means of its channels is reconstructed from the code that minimizes ::

        ½‖x − a D‖² + ½λ² · (number of non-zero a_j)

    and a pixel becomes the weighted average of all patches that cover it. Further
    passes use this estimate. Its patches are sorted into classes, each class has its
    own orthonormal dictionary, and groups of 8 to 16 similar patches of a class share
    an estimate of the variances of the codes. With this variance s², the projections u
    of a noisy patch become u · s² / (s² + 1) (empirical Wiener filter). The groups are
    the leaves of a tree: patches are not compared in pairs, so the time is proportional
    to the number of pixels. The lowest frequencies are taken from the same image at
    half the resolution, where a patch covers more of it [4]_.

    Read more in the :ref:`user guide <patches>`.

    Parameters
    ----------
    image : array-like of shape ([depth,] height, width[, n_channels])
        The noisy image or volume, with integers or floats in any range. Integers of up
        to 16 bits and float32 are computed in float32, other types in float64.
    sigma : float or array-like of shape (n_channels,), default=None
        Standard deviation of the noise of all channels or of each channel, in the units
        of the image. Channels without noise are returned unchanged. None estimates the
        noise of every channel, from the high frequencies of the patches with the least
        energy at low frequencies. Texture that covers the whole image is mistaken for
        noise. Noise below the resolution of the dtype counts as no noise.
    coder : OrthogonalSparseCoder or SparseCodingMixture, default=None
        The coder of the patches of the first pass. A coder that is not fitted is fitted
        to noisy patches in units of the noise, so its `alpha` is in these units; "auto"
        learns the priors by EM, for the known noise. A fitted coder, for example fitted
        to patches of clean images in the units of this image, provides its atoms, and
        its priors if it learned them. A mixture is fitted to clean patches without
        their own means; each patch becomes its posterior mean under its most probable
        dictionary. None uses a spike-and-slab prior with the threshold 2.7, which
        measured best.
    patch_size : int or tuple of int, default=None
        Side of the patches, or their sides along each axis that is not that of the
        channels, such as (height, width). None stands for 8 pixels, or 4 voxels of a
        volume. Without `coder`, a patch has at most n // 4 + 1 pixels along an axis of
        n pixels, and at least 3; for the default this matters for images with n < 28,
        and for volumes with n < 12.
    stride : int, default=1
        Number of pixels between neighboring patches, at most the side of a patch. A
        stride of 2 takes about two thirds of the time, and loses 0.1 to 0.2 dB. With
        refinements and patches of 6 pixels or more, the first pass has at least 2.
    n_refinements : int, default=2
        Number of passes that use the current estimate.
    n_scales : int, default=3
        Maximum number of scales, each with half the pixels of the one before along
        every axis. They are the low frequencies of the cosine transform of the image,
        in which white noise remains white. Axes with less than four patches side by
        side are not halved, and 1 means the resolution of the image only.
    n_classes : int, default=48
        Maximum number of classes of patches in the refinements, each with a dictionary;
        half as many at each coarser scale.
    max_patches : int, default=40000
        Maximum number of patches that a dictionary is learned from; half as many at
        each coarser scale.
    channel_axis : int, default=None
        Axis of the channels, for example -1. Channels are first made uncorrelated; any
        number of them is possible, in blocks of three that are coded jointly. A `coder`
        codes each of them alone. None means that all axes are spatial: two of a gray
        image, or three of a volume. Three axes, one of which is shorter than 5, are an
        error without `channel_axis`, because they are more often a color image.
    n_jobs : int, default=None
        Number of :term:`workers <worker>`. None means every core that NumPy would use.
        The result has the same bits for every number.
    random_state : int, RandomState instance or None, default=0
        Seed for the samples of patches.

    Returns
    -------
    denoised : ndarray of the shape and dtype of image
        Integers are rounded, and clipped to the range of their dtype.

    Raises
    ------
    TypeError
        If the image has neither integers nor real floats, if `sigma` is not a number,
        if `channel_axis` is not an integer, or if `coder` is another estimator.
    ValueError
        If the image is empty, masked, not finite or has wrong dimensions, if `sigma` is
        negative or has a wrong shape, if `patch_size` has another number of sides than
        the image has axes, if a fitted `coder` has another number of
        features than patches have entries, or if a count is not a positive integer
        (`n_refinements` may be zero).

    Warns
    -----
    UserWarning
        If no noise is found in a channel that is not constant, or if `sigma` is larger
        than the range of the image, or smaller than the rounding errors of integers.

    See Also
    --------
    inpaint_image : Fill in missing pixels.
    iter_patches : Patches of many images, to fit a coder to.
    OrthogonalSparseCoder : The coder of the patches.

    Notes
    -----
    Scaling image and sigma scales the result, for floats of any size. The working
    memory is that of two images of float32 or float64 besides the result, for any patch
    size. Inside ``joblib.parallel_config(verbose=10)``, every pass prints its progress.

    References
    ----------
    .. [1] M. Elad, M. Aharon, "Image Denoising Via Sparse and Redundant Representations
       Over Learned Dictionaries", IEEE Transactions on Image Processing 15, 2006.
    .. [2] G. Yu, G. Sapiro, S. Mallat, "Solving Inverse Problems With Piecewise Linear
       Estimators", IEEE Transactions on Image Processing 21, 2012.
    .. [3] M. Colom, A. Buades, "Analysis and Extension of the Ponomarenko et al.
       Method", Image Processing On Line 3, 2013.
    .. [4] G. Facciolo, N. Pierazzo, J.-M. Morel, "Conservative Scale Recomposition for
       Multiscale Denoising", SIAM Journal on Imaging Sciences 10, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_sample_image
    >>> from skscn import denoise_image
    >>> image = load_sample_image("china.jpg")[100:228, 100:228].mean(axis=2)
    >>> noise = np.random.default_rng(0).normal(scale=20, size=image.shape)
    >>> denoised = denoise_image(image + noise, sigma=20)
    >>> print(f"the error decreases from 20 to {np.std(denoised - image):.0f}")
    the error decreases from 20 to 12
    """
    if np.ma.getmask(image).any():  # check_finite raises an error for NaN
        image = image.astype(np.float64).filled(np.nan)
    image = np.asarray(image)
    pixels = check_image(image, channel_axis)
    check_finite(pixels)
    kernel = check_patch_size(
        patch_size, pixels.shape[:-1], PATCH_SIZES, is_learned=coder is None
    )
    check_integers(
        stride=(stride, 1),
        n_refinements=(n_refinements, 0),
        n_scales=(n_scales, 1),
        n_classes=(n_classes, 1),
        max_patches=(max_patches, 1),
    )
    if coder is not None:
        check_coder(coder, kernel)
    rng = check_random_state(random_state)
    if sigma is not None:
        sigma = check_sigma(sigma, pixels.shape[-1])
        warn_small_sigma(sigma, image.dtype)
    pixels, sigma, unit = scale_to_unit(pixels, sigma)
    channels = np.moveaxis(pixels, -1, 0)
    ranges = np.array([float(x.max()) - float(x.min()) for x in channels])
    largest = np.array([max(float(x.max()), -float(x.min())) for x in channels])
    resolution = np.finfo(compute_dtype(pixels.dtype)).eps * np.maximum(ranges, largest)
    if sigma is None:
        sigma = estimate_image_noise(pixels, rng)
        _warn_no_noise((sigma <= resolution) & (ranges > 0))
    else:
        warn_large_sigma(sigma, ranges, unit)
    has_noise = sigma > resolution
    if not has_noise.any():
        return np.array(image)
    noisy = pixels if has_noise.all() else pixels[..., has_noise]
    denoiser = PatchDenoiser(
        kernel, stride, coder, n_refinements, n_classes, max_patches, n_jobs, rng, unit
    )
    with single_blas_thread():
        reconstructed = denoiser.denoise(noisy, sigma[has_noise], n_scales)
    denoised = np.array(image)
    channels = channels_last(denoised, channel_axis)
    channels[..., has_noise] = round_to_dtype(reconstructed, image.dtype, unit)
    return denoised


@dataclass(frozen=True)
class PatchDenoiser:
    """The passes over one scale of an image, and over its coarser scales.

    Parameters
    ----------
    kernel : tuple of int
    unit : float
        Of the pixels, for a fitted coder.
    stride, coder, n_refinements, n_classes, max_patches, n_jobs, rng
        As of `denoise_image`.
    """

    kernel: tuple
    stride: int
    coder: Any
    n_refinements: int
    n_classes: int
    max_patches: int
    n_jobs: int | None
    rng: np.random.RandomState
    unit: float

    def denoise(self, noisy, sigma, n_scales):
        """Return an image of floats without noise.

        Parameters
        ----------
        noisy : ndarray of shape (*shape, n_channels)
        sigma : ndarray of shape (n_channels,)
        n_scales : int
        """
        denoised = self._denoise_scale(noisy, sigma)
        fine_shape = noisy.shape[:-1]
        shape = halve_shape(fine_shape, self.kernel)
        if n_scales > 1 and shape != fine_shape:
            coarse = take_coarse_scale(noisy, shape, denoised.dtype)
            sigma = sigma * coarse_noise(fine_shape, shape)
            # Smaller images need smaller samples and fewer classes: learning takes less
            # of the time.
            denoiser = replace(
                self,
                n_classes=-(-self.n_classes // 2),
                max_patches=-(-self.max_patches // 2),
            )
            coarse = denoiser.denoise(coarse, sigma, n_scales - 1)
            replace_low_frequencies(denoised, coarse)
        return denoised

    def _denoise_scale(self, noisy, sigma):
        kernel, max_patches, rng = self.kernel, self.max_patches, self.rng
        transform = ChannelTransform.fit(noisy, sigma, rng)
        average = partial(
            average_patches,
            noisy,
            transform=transform,
            kernel=kernel,
            n_jobs=self.n_jobs,
        )
        coding_pass = fit_coding_pass(
            noisy, transform, kernel, self.coder, max_patches, rng, self.unit
        )
        stride = self.stride
        if self.n_refinements and min(kernel) >= MIN_SIDE_OF_SPARSE_PASS:
            stride = max(stride, 2)
        estimate = average(None, coding_pass, stride=stride)
        for _ in range(self.n_refinements):
            wiener_pass = fit_wiener_pass(
                estimate, kernel, self.n_classes, max_patches, rng
            )
            estimate = average(estimate, wiener_pass, stride=self.stride)
        return transform.inverse_transform(estimate)


def _warn_no_noise(is_clean):
    channels = ", ".join(map(str, np.flatnonzero(is_clean)))
    if channels:
        warn_caller(
            "No noise was found in these channels, which are returned unchanged: "
            f"{channels}. Too many of their patches are constant. If they have noise, "
            "give sigma."
        )
