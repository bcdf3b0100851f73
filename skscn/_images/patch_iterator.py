"""Patches of a stream of images, in blocks of rows for `fit` and `partial_fit`."""

import numpy as np
from sklearn.utils import check_random_state

from skscn._data.validation import check_integers
from skscn._images.layers.patches import Geometry, windows


def iter_patches(
    images,
    patch_size,
    *,
    stride=1,
    max_patches=None,
    batch_size=4096,
    center=False,
    dtype=None,
    random_state=None,
):
    """Take the patches of many images as rows, block by block.

    What `partial_fit` of a coder, or of any estimator of scikit-learn, takes: no more
    than a block of patches and one image are held at a time. Images may have any
    sizes, and be those of a generator, of a list or of a memory map.

    Read more in the :ref:`user guide <patches>`.

    Parameters
    ----------
    images : iterable of array-like of shape (height, width), or with channels last
        Of any sizes, and one number of channels. One image alone is a list of one,
        ``[image]``: an array of shape (height, width, 3) would be taken for as many
        images of shape (width, 3) as it has rows.
    patch_size : int or tuple of int
        Side of square patches, or their (height, width).
    stride : int or tuple of int, default=1
        Steps from one patch to the next, down and to the right.
    max_patches : int, default=None
        Most patches of an image, from random places. None takes all.
    batch_size : int, default=4096
        Number of patches in a block; the last may have fewer.
    center : bool, default=False
        Whether to subtract from every patch its own mean.
    dtype : dtype, default=None
        Of the rows. None keeps that of the images, and with `center` makes float32 of
        integers. A dtype of integers must hold those of the images, and does not go
        with `center`.
    random_state : int, RandomState instance or None, default=None
        For random places.

    Returns
    -------
    blocks : iterator of ndarray of shape (at most batch_size, n_features)
        With n_features = patch_height · patch_width · channels. Patches come in the
        order of their images, and those of an image in the order of their places.

    Raises
    ------
    ValueError
        If an image is smaller than a patch or has other channels than the first, if
        `dtype` does not hold its numbers, or if a size is not a positive integer. What
        concerns an image is raised when it is reached.

    See Also
    --------
    OrthogonalSparseCoder.partial_fit : What may take the blocks.
    ConvSparseCoder : A coder at every place of images of one size.
    sklearn.feature_extraction.image.extract_patches_2d : All patches of one image in
        memory.

    Examples
    --------
    >>> from sklearn.datasets import load_sample_images
    >>> from skscn import OrthogonalSparseCoder, iter_patches
    >>> photographs = load_sample_images().images
    >>> coder = OrthogonalSparseCoder(32, alpha=20.0)
    >>> for rows in iter_patches(photographs, 6, stride=4, center=True):
    ...     coder = coder.partial_fit(rows)
    >>> coder.components_.shape  # 6 × 6 pixels of three colours
    (32, 108)
    """
    kernel, stride = _pair(patch_size, "patch_size"), _pair(stride, "stride")
    check_integers(batch_size=(batch_size, 1))
    if max_patches is not None:
        check_integers(max_patches=(max_patches, 1))
    dtype = None if dtype is None else np.dtype(dtype)
    if center and dtype is not None and dtype.kind != "f":
        raise ValueError(
            f"dtype={dtype.name} does not hold patches without their means. Use "
            "dtype='float32', or center=False."
        )
    rng = check_random_state(random_state)
    return _blocks(images, kernel, stride, max_patches, batch_size, center, dtype, rng)


def _blocks(images, kernel, stride, max_patches, batch_size, center, dtype, rng):
    waiting, n_waiting, channels = [], 0, None
    for i, image in enumerate(images):
        pixels = np.asarray(image)
        if pixels.ndim == 2:
            pixels = pixels[..., None]
        _check_image(i, pixels, kernel, channels)
        channels = pixels.shape[2]
        _check_dtype(i, pixels.dtype, dtype)
        geometry = Geometry(pixels.shape, kernel, stride, ((0, 0), (0, 0)))
        n_down, n_right = geometry.places
        chosen = np.arange(n_down * n_right)
        if max_patches is not None and len(chosen) > max_patches:
            chosen = np.sort(rng.choice(len(chosen), max_patches, replace=False))
        patches = windows(pixels[None], geometry)[0]
        while len(chosen):
            part = chosen[: batch_size - n_waiting]
            chosen = chosen[len(part) :]
            rows = patches[np.divmod(part, n_right)].reshape(len(part), -1)
            waiting.append(_rows(rows, center, dtype))
            n_waiting += len(part)
            if n_waiting == batch_size:
                yield np.concatenate(waiting)
                waiting, n_waiting = [], 0
    if waiting:
        yield np.concatenate(waiting)


def _rows(rows, center, dtype):
    if center:
        small = rows.dtype.kind in "uib"
        rows = rows.astype(dtype or (np.float32 if small else rows.dtype), copy=False)
        return rows - rows.mean(axis=1, keepdims=True)
    return rows if dtype is None else rows.astype(dtype, copy=False)


def _pair(value, name):
    pair = tuple(np.atleast_1d(np.asarray(value, dtype=object)))
    pair = pair * 2 if len(pair) == 1 else pair
    if len(pair) != 2:
        raise ValueError(f"{name}={value!r} must be one or two integers.")
    for size in pair:
        check_integers(**{name: (size, 1)})
    return tuple(int(size) for size in pair)


def _check_dtype(i, given, dtype):
    whole = dtype is not None and dtype.kind in "uib"
    if whole and not np.can_cast(given, dtype, "safe"):
        raise ValueError(
            f"Image {i} has dtype {given}, and dtype={dtype.name} does not hold all "
            "its numbers. Use dtype='float32', or convert the images."
        )


def _check_image(i, pixels, kernel, channels):
    if pixels.ndim != 3:
        raise ValueError(
            f"Image {i} has {pixels.ndim} dimensions, but images have 2, or 3 with "
            "channels last. Pass several images as a list, an array or a generator."
        )
    if pixels.shape[0] < kernel[0] or pixels.shape[1] < kernel[1]:
        raise ValueError(
            f"Image {i} has height and width {pixels.shape[:2]}: patches of {kernel} "
            "do not fit. Use a smaller patch_size, or leave the image out; one image "
            "with channels is given as [image]."
        )
    if channels is not None and pixels.shape[2] != channels:
        raise ValueError(
            f"Image {i} has {pixels.shape[2]} channels, but those before have "
            f"{channels}. Convert them to the same."
        )
