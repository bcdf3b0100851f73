"""Patches of many images as mini-batches of rows, for `partial_fit`."""

from math import prod

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.utils import check_random_state

from skscn._data.inputs import mark_missing
from skscn._data.validation import (
    cast,
    check_integers,
    check_sides,
    compute_dtype,
    watch_range,
)


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
    """Iterate over the patches of many images or volumes, in mini-batches of rows.

    The mini-batches are for `partial_fit` of a coder, or of any estimator of
    scikit-learn. One mini-batch of patches and one image are in memory at a time.
    Images may have any sizes, and come from a generator, a list or a memory map.

    Read more in the :ref:`user guide <patches>`.

    Parameters
    ----------
    images : iterable of array-like of shape ([depth,] height, width[, n_channels])
        Images or volumes of any sizes with one number of channels. For one image use a
        list, ``[image]``: an array of shape (height, width, 3) would be read as
        `height` images of shape (width, 3). Masked pixels become NaN.
    patch_size : int or tuple of int
        Side of square patches of images, or their (height, width). Three sides (depth,
        height, width) mean that the arrays are volumes; otherwise three axes are those
        of an image with channels.
    stride : int or tuple of int, default=1
        Steps between neighboring patches, for all axes or along each.
    max_patches : int, default=None
        Maximum number of patches of an image, from random positions. None uses all.
    batch_size : int, default=4096
        Number of patches in a mini-batch; the last may have fewer.
    center : bool, default=False
        Whether to subtract from every patch its own mean.
    dtype : dtype, default=None
        Dtype of the rows. None keeps the dtype of the images; with `center`, integers
        become float32. A dtype of integers must hold those of the images, and cannot be
        combined with `center`.
    random_state : int, RandomState instance or None, default=None
        Seed for the random positions.

    Returns
    -------
    batches : iterator of ndarray of shape (at most batch_size, n_features)
        With n_features = patch_height · patch_width · channels, times the depth of
        patches of volumes. Patches are in the order of their images, and those of an
        image in the order of their positions.

    Raises
    ------
    ValueError
        If an image is smaller than a patch, has other channels than the first or holds
        no real numbers, if `dtype` does not hold its values, or if a size is not a
        positive integer. Errors about an image are raised when the iterator reaches it.

    See Also
    --------
    OrthogonalSparseCoder.partial_fit : Learning from mini-batches.
    ConvSparseCoder : A coder at every position of images of one size.
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
    >>> coder.components_.shape  # 6 × 6 pixels of three colors
    (32, 108)
    """
    kernel = check_sides(patch_size, "patch_size", (2, 3))
    stride = check_sides(stride, "stride", len(kernel))
    check_integers(batch_size=(batch_size, 1))
    if max_patches is not None:
        check_integers(max_patches=(max_patches, 1))
    dtype = None if dtype is None else np.dtype(dtype)
    if center and dtype is not None and dtype.kind != "f":
        raise ValueError(
            f"dtype={dtype.name} does not hold centered patches. Use dtype='float32', "
            "or center=False."
        )
    rng = check_random_state(random_state)
    return _iter_batches(
        images, kernel, stride, max_patches, batch_size, center, dtype, rng
    )


def _iter_batches(images, kernel, stride, max_patches, batch_size, center, dtype, rng):
    buffer, n_buffered, channels = [], 0, None
    for i, image in enumerate(images):
        pixels = np.asarray(mark_missing(image))
        if pixels.ndim == len(kernel):
            pixels = pixels[..., None]
        _check_image(i, pixels, kernel, channels)
        channels = pixels.shape[-1]
        _check_dtype(i, pixels.dtype, dtype)
        patches = sliding_window_view(pixels, kernel, tuple(range(len(kernel))))
        patches = patches[tuple(slice(None, None, step) for step in stride)]
        patches = np.moveaxis(patches, len(kernel), -1)
        grid_shape = patches.shape[: len(kernel)]
        positions = np.arange(prod(grid_shape))
        if max_patches is not None and len(positions) > max_patches:
            positions = np.sort(rng.choice(len(positions), max_patches, replace=False))
        while len(positions):
            taken = positions[: batch_size - n_buffered]
            positions = positions[len(taken) :]
            rows = patches[np.unravel_index(taken, grid_shape)]
            rows = rows.reshape(len(taken), -1)
            buffer.append(_convert_rows(rows, center, dtype, i))
            n_buffered += len(taken)
            if n_buffered == batch_size:
                yield np.concatenate(buffer)
                buffer, n_buffered = [], 0
    if buffer:
        yield np.concatenate(buffer)


def _convert_rows(rows, center, dtype, i):
    """Return rows in a dtype, centered by their means if asked for."""
    name = f"Patches of image {i}"
    is_integer = rows.dtype.kind in "uib"
    if center:
        dtype = dtype or (np.dtype(np.float32) if is_integer else rows.dtype)
        rows = rows.astype(compute_dtype(rows.dtype), copy=False)  # with all digits
        with watch_range(rows, f"centered patches of image {i}") as check_results:
            centered = rows - rows.mean(axis=1, keepdims=True)
            check_results(centered)
        return cast(centered, dtype, name)
    if dtype is None:
        return rows
    if is_integer and dtype.kind == "f":  # which may be rounded, too
        rows = rows.astype(np.result_type(rows.dtype, dtype), copy=False)
    return cast(rows, dtype, name)


def _check_dtype(i, image_dtype, dtype):
    is_integer = dtype is not None and dtype.kind in "uib"
    if is_integer and not np.can_cast(image_dtype, dtype, "safe"):
        raise ValueError(
            f"Image {i} has dtype {image_dtype}, and dtype={dtype.name} does not hold "
            "all its values. Use dtype='float32', or convert the images."
        )


def _check_image(i, pixels, kernel, channels):
    if pixels.dtype.kind not in "biuf":
        raise ValueError(
            f"Image {i} has dtype {pixels.dtype}, but pixels are real numbers. Use "
            "image.astype(float), or np.abs(image) of complex numbers."
        )
    if pixels.ndim != len(kernel) + 1:
        raise ValueError(
            f"Image {i} has {pixels.ndim} dimensions, but patches of {kernel} need "
            f"{len(kernel)}, or {len(kernel) + 1} with channels last. Use a patch_size "
            "of 2 sides for images, and of 3 sides for volumes. Give one image or "
            "volume as [image]."
        )
    if any(n < size for n, size in zip(pixels.shape[:-1], kernel, strict=True)):
        raise ValueError(
            f"Image {i} has shape {pixels.shape[:-1]} without channels: patches of "
            f"{kernel} do not fit. Use a smaller patch_size, or leave the image out. "
            "One image with channels is given as [image]."
        )
    if pixels.shape[-1] == 0:
        raise ValueError(
            f"Image {i} of shape {pixels.shape} has no channels, so that its patches "
            "are empty. Leave it out."
        )
    if channels is not None and pixels.shape[-1] != channels:
        raise ValueError(
            f"Image {i} has {pixels.shape[-1]} channels, but the images before have "
            f"{channels}. Convert all images to the same channels."
        )
