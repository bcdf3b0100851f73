"""Images freed from noise: sparse codes of all overlapping patches, averaged."""

import warnings

import numpy as np
from sklearn.utils import check_random_state

from skscn._data.parallel import single_blas_thread
from skscn._data.validation import check_integers
from skscn._images.layers.base import compute_dtype
from skscn._restoration.noise_estimation import noise_level
from skscn._restoration.passes import Coded
from skscn._restoration.patch_coding import check_coder, patch_code
from skscn._restoration.tiled_passes import (
    averaged,
    kernel_of,
    kernel_to_learn,
    random_patches,
    refined,
    units_of,
)
from skscn._restoration.validation import (
    check_image,
    check_patch_sizes,
    check_sigma,
    check_unmasked,
    like,
)

NOISE_SIZE, NOISE_PATCHES = 8, 50_000


def denoise_image(
    image,
    sigma=None,
    coder=None,
    *,
    patch_size=10,
    stride=1,
    n_refinements=2,
    n_classes=48,
    max_patches=40_000,
    channel_axis=None,
    n_jobs=None,
    random_state=0,
):
    """Free an image from white noise by sparse codes of its overlapping patches.

    In units of the noise, every patch x, less its mean, is rebuilt from the code that
    minimises, for orthonormal atoms D that are learned from the noisy image itself::

        ½‖x − a D‖² + ½λ² · (number of non-zero a_j)

    and a pixel is the weighted mean of all the patches that cover it. Further passes
    use the estimate so far: its patches are sorted into classes, each class has an
    orthonormal dictionary of its own, and projections u of the noisy patch become u ·
    v² / (v² + 1), with v those of the estimate (empirical Wiener filter). No patch is
    compared with others, so that the cost grows with the number of pixels alone.

    Read more in the :ref:`user guide <patches>`.

    Parameters
    ----------
    image : array-like of shape (height, width), or with channels
        The noisy image, of integers or floats in any range. Integers of up to 16 bits
        and float32 are computed in float32, others in float64.
    sigma : float or array-like of shape (n_channels,), default=None
        Standard deviation of the noise, in the units of the image, of all channels or
        of each. Channels without noise are returned as they are. None estimates it of
        every channel, from the high frequencies of the patches with the least energy at
        low ones; texture that covers all of an image is taken for noise. Noise below
        what the dtype resolves counts as none.
    coder : OrthogonalSparseCoder, default=None
        How the patches of the first pass are coded. Unfitted, it is fitted to noisy
        patches in units of the noise, in which its `alpha` counts; "auto" learns the
        priors by EM, with the noise as it is known. Fitted, for instance to patches of
        clean images in the units of this one, it gives its atoms, and its priors where
        it has learned them. None is a spike-and-slab coder of threshold 2.7, which
        measured best.
    patch_size : int or tuple of int, default=10
        Side of the square patches. A tuple does not hold height and width, but several
        sides: the estimates of each are averaged, which gains little for its time. In
        small images patches have no more than a quarter of the image, plus one pixel,
        to each side, and at least 3, unless `coder` is given; below a side of 36 that
        concerns the default.
    stride : int, default=1
        Steps from one patch to the next. 2 takes a third of the time, or less, and
        about 0.1 dB.
    n_refinements : int, default=2
        Number of passes that use the estimate so far.
    n_classes : int, default=48
        Most classes of patches, each with a dictionary, in these passes.
    max_patches : int, default=40000
        Size of the samples of patches that dictionaries are learned from.
    channel_axis : int, default=None
        Which axis of the image holds channels, for instance -1. None stands for a grey
        image. Channels are made uncorrelated first, and may be of any number.
    n_jobs : int, default=None
        Number of workers. The result has the same bits for every number. None means 1,
        -1 means all cores.
    random_state : int, RandomState instance or None, default=0
        For the samples of patches.

    Returns
    -------
    denoised : ndarray of the shape and dtype of image
        Integers are rounded, and clipped to the range of their dtype.

    Raises
    ------
    TypeError
        If the image holds neither integers nor real floats, if `sigma` is no number,
        if `channel_axis` is no integer, or if `coder` is another estimator.
    ValueError
        If the image is empty, masked, not finite or of wrong dimensions, if `sigma` is
        negative or of wrong shape, if a fitted `coder` has another number of features
        than patches have entries, or if a count is not a positive integer.

    Warns
    -----
    UserWarning
        If no noise is found in a channel that varies, or if `sigma` is larger than the
        range of the image, which noise of that size never is.

    See Also
    --------
    inpaint_image : Fill in missing pixels.
    iter_patches : Patches of many images, to fit a coder to.
    OrthogonalSparseCoder : The code of patches.

    Notes
    -----
    Scaling image and sigma scales the result. Working memory is that of two images of
    float32, or float64, beside the result, whatever the patches.

    References
    ----------
    .. [1] M. Elad, M. Aharon, "Image Denoising Via Sparse and Redundant Representations
       Over Learned Dictionaries", IEEE Transactions on Image Processing 15, 2006.
    .. [2] G. Yu, G. Sapiro, S. Mallat, "Solving Inverse Problems With Piecewise Linear
       Estimators", IEEE Transactions on Image Processing 21, 2012.
    .. [3] M. Colom, A. Buades, "Analysis and Extension of the Ponomarenko et al.
       Method", Image Processing On Line 3, 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_sample_image
    >>> from skscn import denoise_image
    >>> image = load_sample_image("china.jpg")[100:228, 100:228].mean(axis=2)
    >>> noise = np.random.default_rng(0).normal(scale=20, size=image.shape)
    >>> denoised = denoise_image(image + noise, sigma=20)
    >>> print(f"{np.std(denoised - image):.0f} is left of 20")
    12 is left of 20
    """
    check_unmasked(image)
    image = np.asarray(image)
    pixels = check_image(image, channel_axis)
    sizes = check_patch_sizes(patch_size)
    check_integers(
        stride=(stride, 1),
        n_refinements=(n_refinements, 0),
        n_classes=(n_classes, 1),
        max_patches=(max_patches, 1),
    )
    sigma = check_sigma(sigma, pixels.shape[2])
    kernel = kernel_to_learn if coder is None else kernel_of
    kernels = list(dict.fromkeys(kernel(size, pixels.shape[:2]) for size in sizes))
    if coder is not None:
        check_coder(coder, kernels)
    rng = check_random_state(random_state)
    spans = np.array(
        [float(x.max()) - float(x.min()) for x in np.moveaxis(pixels, -1, 0)]
    )
    least = np.finfo(compute_dtype(pixels.dtype)).eps * spans
    if sigma is None:
        sigma = noise_of(pixels, rng)
        _warn_of_no_noise(sigma <= least, spans)
    else:
        _warn_of_units(sigma, spans)
    noisy = sigma > least
    if not noisy.any():
        return np.array(image)
    part = pixels if noisy.all() else pixels[..., noisy]
    units = units_of(part, sigma[noisy], rng)

    options = {"units": units, "stride": stride, "n_jobs": n_jobs}
    with single_blas_thread():
        steps = []
        for kernel in kernels:
            sample = units.planes(random_patches(part, kernel, max_patches, rng))
            rows = sample.reshape(*sample.shape[:2], -1)
            codes = tuple(patch_code(coder, plane, kernel, units) for plane in rows)
            steps.append((kernel, Coded(codes)))
        estimate = averaged(part, None, steps, **options)
        for _ in range(n_refinements):
            steps = [
                (kernel, refined(estimate, kernel, n_classes, max_patches, rng))
                for kernel in kernels
            ]
            estimate = averaged(part, estimate, steps, **options)
    found = units.pixels(estimate)
    if not noisy.all():
        whole = np.array(pixels, dtype=found.dtype)
        whole[..., noisy] = found
        found = whole
    return like(found, image, channel_axis)


def _warn_of_no_noise(clean, spans):
    for channel in np.flatnonzero(clean & (spans > 0)):
        warnings.warn(
            f"No noise was found in channel {channel}, which is returned as it is: too "
            "many of its patches are constant. If it has noise, give sigma.",
            UserWarning,
            stacklevel=3,
        )


def _warn_of_units(sigma, spans):
    for channel in np.flatnonzero((sigma > spans) & (spans > 0)):
        warnings.warn(
            f"sigma={sigma[channel]:g} is larger than the range {spans[channel]:g} of "
            f"channel {channel}, and hardly more than its mean will be left. Give "
            "sigma in the units of the image.",
            UserWarning,
            stacklevel=3,
        )


def noise_of(pixels, rng):
    """Return an estimate of the noise of every channel."""
    kernel = kernel_of(NOISE_SIZE, pixels.shape[:2])
    patches = random_patches(pixels, kernel, NOISE_PATCHES, rng)
    return np.array([noise_level(patches[..., c]) for c in range(pixels.shape[2])])
