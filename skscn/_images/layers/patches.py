"""Patches of images: where they are, a sample of them, and images made of them.

Images are (n_images, height, width, channels) throughout; a signal is an image of one
row. A patch is read in that order too, so that a patch and a filter are arrays of shape
(kernel height, kernel width, channels).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from skscn._core.workspace import Workspace

PATCHES_PER_IMAGE = 8  # drawn from one image, as long as there are images enough
FEW_PLACES = 1024  # in an image, of which none is drawn twice
SAMPLED_NUMBERS = 2**22  # in the images that are read at a time for a sample


@dataclass(frozen=True)
class Geometry:
    """Where the patches of an image are.

    Parameters
    ----------
    image_shape : tuple of int
        (height, width, channels).
    kernel : tuple of int
        (height, width) of a patch.
    stride : tuple of int
        Steps from one patch to the next, down and to the right.
    padding : tuple of tuple of int
        Zeros added ((above, below), (left, right)).
    """

    image_shape: tuple
    kernel: tuple
    stride: tuple
    padding: tuple

    @property
    def padded_shape(self):
        """Return (height, width, channels) with padding."""
        sizes = zip(self.image_shape[:2], self.padding, strict=True)
        return (*(size + sum(pad) for size, pad in sizes), self.image_shape[2])

    @property
    def places(self):
        """Return how many patches there are, down and to the right."""
        sizes = zip(self.padded_shape[:2], self.kernel, self.stride, strict=True)
        return tuple((size - kernel) // stride + 1 for size, kernel, stride in sizes)

    @property
    def patch_shape(self):
        """Return (height, width, channels) of a patch."""
        return (*self.kernel, self.image_shape[2])

    def of_channels(self, channels):
        """Return the same places in images of so many channels."""
        return replace(self, image_shape=(*self.image_shape[:2], channels))


def same_padding(size, kernel, stride):
    """Return the zeros before and after that make one patch for every `stride`."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def padded(images, geometry, dtype, scratch, name="padded"):
    """Return images with zeros around them, in the dtype of the computation."""
    (above, _), (left, _) = geometry.padding
    height, width, _ = geometry.image_shape
    shape = (len(images), *geometry.padded_shape)
    if shape == images.shape and images.dtype == dtype and images.flags.c_contiguous:
        return images
    out = scratch.array(name, shape, dtype)
    if shape[1:] != images.shape[1:]:
        out[...] = 0  # the memory may have served images of another number
    out[:, above : above + height, left : left + width] = images
    return out


def sample_patches(take, n_images, geometry, n_patches, dtype, random_state):
    """Return patches from random places of random images, in the order of the images.

    All of them where there are no more than asked for.

    Parameters
    ----------
    take : callable
        Maps sorted indices to images of shape (n_indices, height, width, channels).
    n_images : int
    geometry : Geometry
    n_patches : int
    dtype : dtype of the patches
    random_state : RandomState instance

    Returns
    -------
    patches : ndarray of shape (at most n_patches, *patch_shape)
    """
    n_down, n_right = geometry.places
    n_places = n_down * n_right
    if n_images * n_places <= n_patches:
        chosen = np.arange(n_images)
        places = np.tile(np.arange(n_places), (n_images, 1))
    else:
        n_chosen = min(n_images, max(1, n_patches // min(PATCHES_PER_IMAGE, n_places)))
        chosen = np.sort(random_state.choice(n_images, n_chosen, replace=False))
        share = -(-n_patches // n_chosen)
        if n_places <= FEW_PLACES:
            order = random_state.random_sample((n_chosen, n_places)).argsort(axis=1)
            places = order[:, :share]
        else:  # where repetition is rare
            places = random_state.randint(n_places, size=(n_chosen, share))
    patches = np.empty((*places.shape, *geometry.patch_shape), dtype=dtype)
    scratch = Workspace()
    size = max(1, SAMPLED_NUMBERS // int(np.prod(geometry.padded_shape)))
    for start in range(0, len(chosen), size):
        part = slice(start, start + size)
        images = padded(take(chosen[part]), geometry, dtype, scratch)
        down, right = np.divmod(places[part], n_right)
        which = np.arange(len(images))[:, None]
        patches[part] = windows(images, geometry)[which, down, right]
    return patches.reshape(-1, *geometry.patch_shape)[:n_patches]


def windows(images, geometry):
    """Return a view of all patches of padded images.

    Returns
    -------
    patches : ndarray of shape (n_images, n_down, n_right, *patch_shape)
    """
    views = sliding_window_view(images, geometry.kernel, axis=(1, 2))
    down, right = geometry.stride
    return np.moveaxis(views[:, ::down, ::right], 3, -1)


def overlap_add(patches, geometry):
    """Return images whose every entry is the mean of the patches that cover it.

    Parameters
    ----------
    patches : ndarray of shape (n_images, n_down, n_right, *patch_shape)
    geometry : Geometry

    Returns
    -------
    images : ndarray of shape (n_images, *image_shape)
        Zero where no patch is.
    """
    shape = (len(patches), *geometry.padded_shape)
    total = np.zeros(shape, dtype=patches.dtype)
    count = np.zeros(shape[1:3], dtype=patches.dtype)
    (n_down, n_right), (down, right) = geometry.places, geometry.stride
    for i in range(geometry.kernel[0]):
        rows = slice(i, i + (n_down - 1) * down + 1, down)
        for j in range(geometry.kernel[1]):
            columns = slice(j, j + (n_right - 1) * right + 1, right)
            total[:, rows, columns] += patches[:, :, :, i, j]
            count[rows, columns] += 1
    total /= np.maximum(count, 1)[:, :, None]
    (above, _), (left, _) = geometry.padding
    height, width, _ = geometry.image_shape
    return total[:, above : above + height, left : left + width]
