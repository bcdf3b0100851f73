"""Layers as plain maps from blocks of images to blocks of maps.

A layer is called as layer(images, out, scratch): it reads images of shape (n_images,
height, width, channels), writes into `out` of shape (n_images, *out_shape), and keeps
what it needs on the way in `scratch`. `image_size` says how many numbers of working
memory an image takes, so that blocks can be cut to fit the cache.
"""

from abc import ABC, abstractmethod

import numpy as np

from skscn._core.workspace import Workspace
from skscn._images.layers.correlation import Contrast, Correlation
from skscn._images.layers.patches import overlap_add, padded, windows
from skscn._images.layers.pooling_axes import signed_power, spread
from skscn._images.layers.whitening import normalised

# Of working memory: eight megabytes of float32. Smaller blocks would stay in cache, but
# two workers that hand the interpreter's lock over between short calls lose more.
BLOCK_NUMBERS = 2**21
SLICE_BLOCKS = 8  # blocks that a worker takes at a time


class Layer(ABC):
    """A map from blocks of images to blocks of maps, and one back.

    Attributes
    ----------
    in_shape, out_shape : tuple of int
        Of an image and of its maps.
    image_size : int
        How many numbers of working memory an image takes.
    map_by_map : bool
        Whether every map is made of the same channel of the images alone.
    """

    in_shape: tuple
    out_shape: tuple
    image_size: int
    map_by_map = False

    @abstractmethod
    def __call__(self, images, out, scratch):
        """Write the maps of images into out."""

    @abstractmethod
    def invert(self, maps, images=None):
        """Return what the maps say of the images.

        Parameters
        ----------
        maps : ndarray of shape (n_images, *out_shape)
        images : ndarray of shape (n_images, *in_shape), default=None
            Where given, they tell what the maps leave out by design: the mean and the
            contrast of every patch.
        """

    @property
    def block(self):
        """Return how many images are worked on at a time."""
        return max(1, BLOCK_NUMBERS // self.image_size)

    @property
    def slice_rows(self):
        """Return how many images a worker takes at a time."""
        return self.block * SLICE_BLOCKS


def run(images, out, *, layer, dtype, scratches):
    """Return the maps of a slice of images, written into `out` where it is given."""
    if out is None:
        out = np.empty((len(images), *layer.out_shape), dtype=dtype)
    with scratches.borrow() as scratch:
        for part in _blocks(len(images), layer):
            layer(images[part], out[part], scratch)
    return out


def run_back(maps, out, *, layer, dtype, scratches):
    """Return what a slice of maps says of the images."""
    return _written(maps, out, layer, dtype, layer.invert)


def run_through(images, out, *, layer, dtype, scratches):
    """Return a slice of images rebuilt from their maps, patch means and contrasts."""
    with scratches.borrow() as scratch:

        def rebuilt(block):
            maps = np.empty((len(block), *layer.out_shape), dtype=dtype)
            layer(block, maps, scratch)
            return layer.invert(maps, block.astype(dtype, copy=False))

        return _written(images, out, layer, dtype, rebuilt)


def _written(rows, out, layer, dtype, function):
    if out is None:
        out = np.empty((len(rows), *layer.in_shape), dtype=dtype)
    for part in _blocks(len(rows), layer):
        out[part] = function(rows[part])
    return out


def _blocks(n_images, layer):
    starts = range(0, n_images, layer.block)
    return [slice(start, start + layer.block) for start in starts]


class Convolution(Layer):
    """The sparse code of every patch.

    The filters come in groups: one group of all channels, or one of each channel.

    Parameters
    ----------
    filters : ndarray of shape (n_groups, n_filters, *patch_shape)
    shift : ndarray of shape (n_groups, n_filters)
        Added to the products of patches with filters.
    atoms : ndarray of shape (n_groups, n_filters, *patch_shape)
        What a unit of code adds to a normalised patch.
    mean : ndarray of shape (n_groups, *patch_shape)
        Of normalised patches.
    threshold : ndarray of shape (n_filters,)
    prior : Prior
        One-sided.
    split_sign : bool
        Whether the codes of the products are followed by those of minus the products.
    geometry : Geometry
    centred : bool
        Whether a normalised patch is free from its mean; the filters see to that.
    contrast : tuple of float or None
        (eps, centre) of `Contrast`, by which the products are divided.
    """

    def __init__(
        self,
        *,
        filters,
        shift,
        atoms,
        mean,
        threshold,
        prior,
        split_sign,
        geometry,
        centred,
        contrast,
    ):
        self.atoms, self.mean = atoms, mean
        self.geometry, self.prior, self.split_sign = geometry, prior, split_sign
        self.centred, self.eps = centred, contrast and contrast[0]
        self.dtype = filters.dtype
        self.n_groups, self.n_filters = filters.shape[:2]
        of_group = geometry.of_channels(filters.shape[-1])
        self.correlations = [Correlation(group, of_group) for group in filters]
        self.contrast = contrast and Contrast(of_group, *contrast)
        # Tiled, since NumPy pays for every stretch that it broadcasts.
        n_right = geometry.places[1]
        self.shifts = [np.tile(s, n_right) if s.any() else None for s in shift]
        # A number is a faster threshold than an array.
        tiled = np.tile(threshold.astype(self.dtype), n_right)
        self.threshold = float(tiled[0]) if np.ptp(tiled) == 0 else tiled
        self.in_shape = geometry.image_shape
        n_maps = self.n_groups * self.n_filters * (1 + split_sign)
        self.out_shape = (*geometry.places, n_maps)
        self.image_size = self.correlations[0].image_size + int(
            np.prod(geometry.padded_shape)
        )

    def parts(self, images, scratch):
        """Yield the codes piece by piece, in working memory.

        Yields
        ------
        maps : slice
            Which maps they are.
        codes : ndarray of shape (n_images, n_down, n_right, n_filters)
            Until the next piece.
        """
        images = padded(images, self.geometry, self.dtype, scratch)
        groups = images[None]
        if self.n_groups > 1:
            groups = scratch.array("channels", np.roll(images.shape, 1), self.dtype)
            np.copyto(groups, np.moveaxis(images, -1, 0))
            groups = groups[..., None]
        at = 0
        for group, correlation, shift in zip(
            groups, self.correlations, self.shifts, strict=True
        ):
            products = correlation(group, scratch)
            if self.contrast is not None:
                products *= self.contrast(group)[..., None]
            rows = products.reshape(-1, products.shape[2] * self.n_filters)
            if shift is not None:
                rows += shift
            if self.split_sign:
                codes = scratch.array("codes", rows.shape, self.dtype)
                np.copyto(codes, rows)
                self.prior.map_code(codes, self.threshold)
                yield slice(at, at + self.n_filters), codes.reshape(products.shape)
                at += self.n_filters
                np.negative(rows, out=rows)
            self.prior.map_code(rows, self.threshold)
            yield slice(at, at + self.n_filters), products
            at += self.n_filters

    def __call__(self, images, out, scratch):
        """Write the codes of images into out."""
        for maps, codes in self.parts(images, scratch):
            out[..., maps] = codes

    def invert(self, maps, images=None):
        """Return images in which every patch is the one that its codes stand for."""
        n_images, n_down, n_right, _ = maps.shape
        n_places = n_images * n_down * n_right
        signs = maps.reshape(n_places, self.n_groups, -1, self.n_filters)
        codes = signs[:, :, 0] - (signs[:, :, 1] if self.split_sign else 0)
        if images is not None:
            images = padded(images, self.geometry, self.dtype, Workspace())
            patches = windows(images, self.geometry)
        rebuilt = []
        for i, (atoms, mean) in enumerate(zip(self.atoms, self.mean, strict=True)):
            rows = codes[:, i] @ atoms.reshape(self.n_filters, -1) + mean.ravel()
            if images is not None:
                own = patches if self.n_groups == 1 else patches[..., i : i + 1]
                _, means, scales = normalised(
                    own.reshape(n_places, -1), centred=self.centred, contrast=self.eps
                )
                rows = rows * scales + means
            rebuilt.append(rows.reshape(n_images, n_down, n_right, *atoms.shape[1:]))
        return overlap_add(np.concatenate(rebuilt, axis=-1), self.geometry)


class Pooling(Layer):
    """Neighbouring places of a map made one.

    Parameters
    ----------
    in_shape : tuple of int
    rows, columns : LinearAxis or WindowAxis
    power : float
        Of the pooled values.
    """

    map_by_map = True

    def __init__(self, in_shape, rows, columns, power):
        self.rows, self.columns, self.power = rows, columns, power
        self.in_shape = in_shape
        self.out_shape = (rows.n_out, columns.n_out, in_shape[2])
        self.image_size = int(np.prod(in_shape))

    def __call__(self, images, out, scratch):
        """Write the pooled images into out."""
        n_images, height, width, channels = images.shape
        images = images.astype(out.dtype, copy=False)  # sums of bytes do not fit bytes
        pooled = self.rows(images.reshape(n_images, height, width * channels))
        pooled = pooled.reshape(n_images * self.rows.n_out, width, channels)
        pooled = self.columns(pooled).reshape(out.shape)
        out[...] = pooled if self.power == 1.0 else signed_power(pooled, self.power)

    def invert(self, maps, images=None):
        """Return the smallest images that sums pool to the maps, of maxima the means.

        What was pooled by maxima is spread evenly over its window.
        """
        if self.power != 1.0:
            maps = signed_power(maps, 1.0 / self.power)
        n_images, height, width, channels = maps.shape
        spread_out = spread(self.rows, maps.reshape(n_images, height, -1))
        spread_out = spread_out.reshape(-1, width, channels)
        spread_out = spread(self.columns, spread_out)
        return spread_out.reshape(n_images, *self.in_shape[:2], channels)
