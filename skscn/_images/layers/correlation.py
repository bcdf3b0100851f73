"""Products of patches with filters, and contrasts, without storing the patches."""

import numpy as np
from numpy.lib.stride_tricks import as_strided

MOST_TILES = 16  # patches side by side in a run, at most
COPY_COST = 24.0  # time of copying one number, in multiply-adds of a matrix product
RUN_COST = 8.0  # numbers that could be copied in the time that a run of them takes


class Correlation:
    """Products of every patch of images with every filter, by few large products.

    Patches side by side share most of their numbers. A run of `tile` of them is copied
    once, and multiplied by a banded matrix that holds the filters at their places in
    it: some more multiplications by zero, and several times less copying than with
    patches in full.

    Parameters
    ----------
    filters : ndarray of shape (n_filters, *patch_shape)
    geometry : Geometry
    """

    def __init__(self, filters, geometry):
        self.geometry = geometry
        n_filters = len(filters)
        height, width = geometry.kernel
        step = geometry.stride[1]
        self.tile = _best_tile(geometry, n_filters)
        self.run = (self.tile - 1) * step + width
        channels = geometry.image_shape[2]
        bands = np.zeros(
            (height, self.run, channels, self.tile, n_filters), dtype=filters.dtype
        )
        for i in range(self.tile):
            at = slice(i * step, i * step + width)
            bands[:, at, :, i] = np.moveaxis(filters, 0, -1)
        self.bands = bands.reshape(-1, self.tile * n_filters)
        self.n_filters = n_filters
        n_tiles = geometry.places[0] * -(-geometry.places[1] // self.tile)
        self.image_size = n_tiles * sum(self.bands.shape)

    def __call__(self, images, scratch):
        """Return the products.

        Parameters
        ----------
        images : ndarray of shape (n_images, *padded_shape)
        scratch : Scratch

        Returns
        -------
        products : ndarray of shape (n_images, n_down, n_right, n_filters)
            In working memory.
        """
        n_down, n_right = self.geometry.places
        shape = (len(images), n_down, n_right, self.n_filters)
        products = scratch.array("products", shape, self.bands.dtype)
        n_whole = n_right // self.tile
        rest = n_right - n_whole * self.tile
        if rest == 0:
            self._multiply(images, n_whole, products, scratch)
            return products
        parts = scratch.array("parts", shape, self.bands.dtype)
        tiled = n_whole * self.tile
        part = parts.reshape(-1)[: products[:, :, :tiled].size]
        part = part.reshape(products[:, :, :tiled].shape)
        self._multiply(images, n_whole, part, scratch)
        products[:, :, :tiled] = part
        # The last run starts earlier, and its first products are known already.
        start = (n_right - self.tile) * self.geometry.stride[1]
        part = parts.reshape(-1)[: products[:, :, : self.tile].size]
        part = part.reshape(products[:, :, : self.tile].shape)
        self._multiply(images[:, :, start:], 1, part, scratch)
        products[:, :, tiled:] = part[:, :, -rest:]
        return products

    def _multiply(self, images, n_tiles, out, scratch):
        """Write the products of so many runs from the left edge of images."""
        n_images, _, _, channels = images.shape
        (down, right), n_down = self.geometry.stride, self.geometry.places[0]
        by_image, by_row, by_column, _ = images.strides
        runs = as_strided(
            images,
            (n_images, n_down, n_tiles, self.geometry.kernel[0], self.run * channels),
            (
                by_image,
                down * by_row,
                self.tile * right * by_column,
                by_row,
                by_column // channels,
            ),
            writeable=False,
        )
        n_rows = n_images * n_down * n_tiles
        copied = scratch.array("runs", (n_rows, len(self.bands)), self.bands.dtype)
        np.copyto(copied.reshape(runs.shape), runs)
        np.matmul(copied, self.bands, out=out.reshape(n_rows, -1))


def _best_tile(geometry, n_filters):
    """Return how many patches side by side are copied as one run."""
    height, width = geometry.kernel
    channels = geometry.image_shape[2]
    n_right = geometry.places[1]
    best, least = 1, np.inf
    for tile in range(1, min(n_right, MOST_TILES) + 1):
        run = (tile - 1) * geometry.stride[1] + width
        n_tiles = -(-n_right // tile)
        # A run of kernel height rows; the products of the run with all filters.
        copied = height * (run * channels + RUN_COST)
        multiplied = height * run * channels * tile * max(n_filters, 4)
        cost = n_tiles * (COPY_COST * copied + multiplied)
        if cost < least * 0.98:
            best, least = tile, cost
    return best


class Contrast:
    """The standard deviation of every patch, from sums over boxes.

    Parameters
    ----------
    geometry : Geometry
    eps : float
        Added to the variance.
    centre : float
        A number that the entries of patches are near to: sums of squares about it lose
        no digits.
    """

    def __init__(self, geometry, eps, centre):
        self.eps, self.centre = eps, centre
        self.size = int(np.prod(geometry.patch_shape))
        self.boxes = [
            _box(size, kernel, stride, n_places)
            for size, kernel, stride, n_places in zip(
                geometry.padded_shape,
                geometry.kernel,
                geometry.stride,
                geometry.places,
                strict=False,
            )
        ]

    def __call__(self, images):
        """Return 1 / √(variance + eps) of shape (n_images, n_down, n_right)."""
        centred = images - images.dtype.type(self.centre)
        rows, columns = (box.astype(images.dtype, copy=False) for box in self.boxes)
        mean, square = (
            np.matmul(rows, part @ columns.T) / images.dtype.type(self.size)
            for part in (
                centred.sum(axis=3),
                np.einsum("ijkl,ijkl->ijk", centred, centred),
            )
        )
        square -= mean * mean
        np.maximum(square, 0, out=square)
        square += images.dtype.type(self.eps)
        np.sqrt(square, out=square)
        return np.reciprocal(square, out=square)


def _box(size, kernel, stride, n_places):
    """Return the matrix that sums over the kernel at every place."""
    box = np.zeros((n_places, size))
    for place in range(n_places):
        box[place, place * stride : place * stride + kernel] = 1.0
    return box
