"""The convolutional layer: what was fitted, and the computation of codes with it."""

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from skscn._core.priors import ONE_SIDED
from skscn._core.workspace import Workspace
from skscn._images.layers.base import Layer
from skscn._images.layers.contrast import InverseContrast
from skscn._images.layers.correlation import Correlation
from skscn._images.layers.patches import (
    PatchGrid,
    extract_patches,
    pad_images,
    reconstruct_from_patches,
)
from skscn._images.layers.whitening import normalize_patches


@dataclass(frozen=True)
class ConvolutionSettings:
    """The patches of a convolution, their normalization, and their prior.

    Parameters
    ----------
    grid : PatchGrid
    prior : {"exponential", "spike_slab"}
        Name of a one-sided prior.
    split_sign : bool
        Whether the codes of the projections are followed by those of the negative
        projections.
    center : bool
        Whether patches are centered by their means.
    eps : float
        Added to the variance of a patch in its contrast. With 0 patches are not divided
        by their contrasts.
    """

    grid: PatchGrid
    prior: str
    split_sign: bool
    center: bool
    eps: float


@dataclass(frozen=True, eq=False)
class FittedConvolution:
    """Everything that a convolution learned: all later computation reads it here.

    Filters are in groups: one group of all channels, or one group of each channel. The
    second sign, of the negative filters, is there with `split_sign` only.

    Parameters
    ----------
    settings : ConvolutionSettings
    filters : ndarray of shape (n_groups, n_signs, n_filters, *patch_shape)
    bias : ndarray of shape (n_groups, n_signs, n_filters)
        Bias of the projections minus the threshold.
    atoms : ndarray of shape (n_groups, n_filters, *patch_shape)
        What a unit of code adds to a normalized patch.
    mean : ndarray of shape (n_groups, *patch_shape)
        Mean of normalized patches.
    threshold : ndarray of shape (n_filters,)
        λ.
    """

    settings: ConvolutionSettings
    filters: np.ndarray
    bias: np.ndarray
    atoms: np.ndarray
    mean: np.ndarray
    threshold: np.ndarray

    @classmethod
    def from_filters(cls, settings, filters, bias, atoms, mean, threshold, dtype):
        """Return the convolution of filters of one sign.

        Parameters
        ----------
        settings : ConvolutionSettings
        filters, atoms : array-like of shape (n_groups, n_filters, *patch_shape)
            The shape of a patch may be flat, here and in `mean`.
        bias : ndarray of shape (n_groups, n_filters)
            Bias of the projections.
        mean : array-like of shape (n_groups, *patch_shape)
        threshold : ndarray of shape (n_filters,)
        dtype : dtype of the arrays
        """
        signs = (1, -1) if settings.split_sign else (1,)
        filters = np.stack([sign * np.asarray(filters) for sign in signs], axis=1)
        bias = np.stack([sign * bias - threshold for sign in signs], axis=1)
        n_groups, _, n_filters = bias.shape
        height, width, channels = settings.grid.patch_shape
        patch_shape = (height, width, channels // n_groups)
        shapes = (bias.shape, (n_groups, n_filters), (n_groups,))
        filters, atoms, mean = (
            np.reshape(array, (*shape, *patch_shape)).astype(dtype)
            for array, shape in zip((filters, atoms, mean), shapes, strict=True)
        )
        return cls(settings, filters, bias.astype(dtype), atoms, mean, threshold)

    @property
    def projection_bias(self):
        """Return the bias of the projections, of shape (n_groups, n_filters)."""
        return (self.bias + self.threshold)[:, 0]

    @property
    def map_shape(self):
        """Return (height, width, n_maps) of the maps of an image."""
        return (*self.settings.grid.grid_shape, self.bias.size)

    def layer(self, dtype):
        """Return the layer that computes in a dtype. It is built at the first call."""
        dtype = np.dtype(dtype)
        if dtype not in self._layers:
            self._layers[dtype] = Convolution(self, dtype)
        return self._layers[dtype]

    @cached_property
    def _layers(self):
        return {}

    def __getstate__(self):
        # Layers are built again after loading: banded filters are large.
        return {field.name: getattr(self, field.name) for field in fields(self)}


class Convolution(Layer):
    """The sparse codes of all patches of images, computed in one dtype.

    Parameters
    ----------
    fitted : FittedConvolution
    dtype : dtype
    """

    def __init__(self, fitted, dtype):
        settings, grid = fitted.settings, fitted.settings.grid
        self.settings, self.grid, self.dtype = settings, grid, dtype
        self.prior = ONE_SIDED[settings.prior]
        self.atoms = fitted.atoms.astype(dtype, copy=False)
        self.mean = fitted.mean.astype(dtype, copy=False)
        filters = fitted.filters[:, 0].astype(dtype, copy=False)
        self.n_groups, self.n_filters = filters.shape[:2]
        group_grid = grid.with_channels(filters.shape[-1])
        self.correlations = [Correlation(group, group_grid) for group in filters]
        self.inverse_contrast = None
        if settings.eps:
            self.inverse_contrast = InverseContrast(group_grid, settings.eps)
        # The threshold of a ReLU is a part of its bias.
        is_relu = settings.prior == "exponential"
        bias = fitted.bias if is_relu else fitted.bias + fitted.threshold
        threshold = np.zeros(self.n_filters) if is_relu else fitted.threshold
        # Tiled to rows of the grid, because short broadcast rows are slow in NumPy.
        tiles = 1, 1, grid.grid_shape[1]
        self.biases = np.tile(bias.astype(dtype, copy=False), tiles)
        threshold = np.tile(threshold.astype(dtype, copy=False), tiles[2])
        # A number is a faster threshold than an array.
        self.threshold = float(threshold[0]) if np.ptp(threshold) == 0 else threshold
        self.in_shape, self.out_shape = grid.image_shape, fitted.map_shape
        self.values_per_image = self.correlations[0].values_per_image + int(
            np.prod(grid.padded_shape)
        )

    def __call__(self, images, out, workspace):
        """Write the codes of images to `out`."""
        for maps, codes in self.iter_codes(images, workspace):
            out[..., maps] = codes

    def iter_codes(self, images, workspace):
        """Yield the codes of one group and one sign after the other.

        Yields
        ------
        maps : slice
            Indices of the maps.
        codes : ndarray of shape (n_images, *grid_shape, n_filters)
            In the memory of the workspace, which the next codes overwrite.
        """
        images = pad_images(images, self.grid, self.dtype, workspace, edge=True)
        groups = images[None]
        if self.n_groups > 1:
            groups = workspace.array("channels", np.roll(images.shape, 1), self.dtype)
            np.copyto(groups, np.moveaxis(images, -1, 0))
            groups = groups[..., None]
        start = 0
        for group, correlation, biases in zip(
            groups, self.correlations, self.biases, strict=True
        ):
            products = correlation(group, workspace)
            if self.inverse_contrast is not None:
                products *= self.inverse_contrast(group, workspace)[..., None]
            rows = products.reshape(-1, products.shape[2] * self.n_filters)
            codes = rows
            if self.settings.split_sign:
                codes = workspace.array("codes", rows.shape, self.dtype)
            for add_sign, bias in zip((np.add, np.subtract), biases, strict=False):
                add_sign(bias, rows, out=codes)
                self.prior.map_code(codes, self.threshold)
                yield (
                    slice(start, start + self.n_filters),
                    codes.reshape(products.shape),
                )
                start += self.n_filters

    def reconstruct(self, maps, images=None):
        """Return images whose patches are reconstructed from their codes."""
        n_images = len(maps)
        n_patches = n_images * self.grid.n_positions
        signs = maps.reshape(n_patches, self.n_groups, -1, self.n_filters)
        codes = signs[:, :, 0] - (signs[:, :, 1] if self.settings.split_sign else 0)
        if images is not None:
            # Patches without their means are averaged without loss of digits in bright
            # images, too, if the level of the image is added after that.
            level = images.mean(axis=(1, 2, 3), keepdims=True, dtype=self.dtype)
            level *= self.settings.center
            images = pad_images(
                images - level, self.grid, self.dtype, Workspace(), edge=True
            )
            patches = extract_patches(images, self.grid)
        groups = []
        for i, (atoms, mean) in enumerate(zip(self.atoms, self.mean, strict=True)):
            rows = codes[:, i] @ atoms.reshape(self.n_filters, -1) + mean.ravel()
            if images is not None:
                group = patches if self.n_groups == 1 else patches[..., i : i + 1]
                _, means, contrasts = normalize_patches(
                    group.reshape(n_patches, -1),
                    center=self.settings.center,
                    eps=self.settings.eps,
                )
                rows = rows * contrasts + means
            groups.append(
                rows.reshape(n_images, *self.grid.grid_shape, *atoms.shape[1:])
            )
        out = reconstruct_from_patches(np.concatenate(groups, axis=-1), self.grid)
        return out if images is None else out + level
