"""Operations of a ReLU network on arrays: affine layers, activations and pooling.

Maps are arrays of shape (n_samples, height, width, channels), and rows are arrays of
shape (n_samples, n_features). A network is a sequence of operations, of which one may
hold several such sequences in parallel (`skscn._interpretation.branches`). The ReLU
that follows an affine layer is part of that layer.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skscn._core.marginals import positive_part
from skscn._core.workspace import Workspace
from skscn._images.layers.correlation import Correlation
from skscn._images.layers.patches import PatchGrid, extract_patches, pad_images
from skscn._images.layers.whitening import normalize_patches


class Operation(ABC):
    """A function of samples that treats every sample by itself."""

    is_hidden = False

    def astype(self, dtype):
        """Return the operation with parameters of another dtype."""
        return self

    @abstractmethod
    def __call__(self, samples):
        """Return the outputs for samples."""

    @abstractmethod
    def output_shape(self, shape):
        """Return the shape of one output, given the shape of one sample.

        Raise ValueError if the operation does not take samples of that shape.
        """


@dataclass(frozen=True, eq=False)
class AffineLayer(Operation):
    """Products of rows with weights, plus biases, and the ReLU that may follow.

    Parameters
    ----------
    weight : ndarray of shape (n_units, n_inputs)
    bias : ndarray of shape (n_units,)
    name : str
    is_hidden : bool
        Whether a ReLU follows. Only then the weights are read as atoms.
    key : object, default=None
        The index or path of the layer in the model.
    patch_shape : tuple of int, default=None
        (kernel height, kernel width, channels) of a convolution.
    """

    weight: np.ndarray
    bias: np.ndarray
    name: str
    is_hidden: bool = False
    key: object = None
    patch_shape: Any = None

    def astype(self, dtype):
        return replace(
            self,
            weight=self.weight.astype(dtype, copy=False),
            bias=self.bias.astype(dtype, copy=False),
        )

    def output_shape(self, shape):
        if shape != self.weight.shape[1:]:
            hint = " Is a Flatten missing?" if len(shape) == 3 else ""
            raise ValueError(
                f"{self.name} reads rows of {self.weight.shape[1]} features, but gets "
                f"samples of shape {shape}.{hint}"
            )
        return (len(self.bias),)

    def rows(self, samples):
        """Return the inputs of the units: samples, or all patches, as rows."""
        return samples

    def projections(self, samples):
        """Return w·x + b of every unit, before the ReLU."""
        return samples @ self.weight.T + self.bias

    def __call__(self, samples):
        outputs = self.projections(samples)
        return positive_part(outputs, out=outputs) if self.is_hidden else outputs


@dataclass(frozen=True, eq=False, kw_only=True)
class ConvolutionLayer(AffineLayer):
    """An affine layer that is applied to every patch of maps.

    Rows of `weight` are filters in the order of `patch_shape`.

    Parameters
    ----------
    stride : tuple of int
        Steps from one patch to the next, down and to the right.
    padding : tuple of tuple of int
        Numbers of pixels that are added ((above, below), (left, right)).
    edge : bool, default=False
        Whether they repeat the pixels at the edge. Otherwise they are zero.
    """

    stride: tuple
    padding: tuple
    edge: bool = False

    def _grid(self, shape):
        return PatchGrid(shape, self.patch_shape[:2], self.stride, self.padding)

    def output_shape(self, shape):
        if len(shape) != 3 or shape[2] != self.patch_shape[2]:
            raise ValueError(
                f"{self.name} reads maps of {self.patch_shape[2]} channels, but gets "
                f"samples of shape {shape}."
            )
        return (*_count_positions(self.name, self._grid(shape)), len(self.bias))

    def rows(self, samples):
        grid = self._grid(samples.shape[1:])
        images = pad_images(samples, grid, samples.dtype, Workspace(), edge=self.edge)
        return extract_patches(images, grid).reshape(-1, self.weight.shape[1])

    def projections(self, samples):
        grid, workspace = self._grid(samples.shape[1:]), Workspace()
        images = pad_images(samples, grid, samples.dtype, workspace, edge=self.edge)
        filters = self.weight.reshape(-1, *self.patch_shape)
        return Correlation(filters, grid)(images, workspace) + self.bias


@dataclass(frozen=True, eq=False, kw_only=True)
class PatchLayer(AffineLayer):
    """An affine layer of patches that another operation has taken from maps.

    The patches are along the last axis, flat in the order of `patch_shape`.
    """

    def output_shape(self, shape):
        return (*shape[:-1], len(self.bias))

    def rows(self, samples):
        return samples.reshape(-1, self.weight.shape[1])


@dataclass(frozen=True)
class NormalizedPatches(Operation):
    """All patches of maps: minus their means, and divided by their contrasts.

    Parameters
    ----------
    grid : PatchGrid
    center : bool
        Whether to subtract the mean of each patch.
    eps : float
        Added to the variance of a patch in its contrast. With 0 patches are not
        divided.
    channel : int, default=None
        The only channel that is read. None stands for all of them.
    """

    grid: PatchGrid
    center: bool
    eps: float
    channel: int | None = None

    def output_shape(self, shape):
        return (*self.grid.grid_shape, int(np.prod(self.grid.patch_shape)))

    def __call__(self, samples):
        if self.channel is not None:
            samples = samples[..., self.channel : self.channel + 1]
        images = pad_images(samples, self.grid, samples.dtype, Workspace(), edge=True)
        patches = extract_patches(images, self.grid)
        shape = (len(samples), *self.output_shape(samples.shape[1:]))
        rows, _, _ = normalize_patches(
            patches.reshape(-1, shape[-1]), center=self.center, eps=self.eps
        )
        return rows.reshape(shape)


@dataclass(frozen=True, eq=False)
class Function(Operation):
    """A function of arrays, for example a softmax or a pool of this package.

    Parameters
    ----------
    function : callable
        Maps samples to outputs.
    shape : tuple of int, default=None
        The shape of an output. None stands for the shape of a sample.
    """

    function: Callable
    shape: tuple | None = None

    def __call__(self, samples):
        return self.function(samples)

    def output_shape(self, shape):
        return self.shape or shape


@dataclass(frozen=True)
class AxisFunction(Operation):
    """A function along one axis, for example a softmax of torch.

    Parameters
    ----------
    name : str
    function : callable
        Maps samples and the keyword `axis` to outputs.
    dim : int
        The axis in torch, where maps are (n_samples, channels, height, width).
    """

    name: str
    function: Callable
    dim: int

    def __call__(self, samples):
        axes = (0, 3, 1, 2) if samples.ndim == 4 else range(samples.ndim)
        return self.function(samples, axis=axes[self.dim])

    def output_shape(self, shape):
        n_axes = len(shape) + 1
        if not -n_axes < self.dim < n_axes or self.dim == 0:
            raise ValueError(
                f"{self.name} has dim={self.dim}, but is read along dim=1"
                f"{f' to {n_axes - 1}' if n_axes > 2 else ''} of tensors with "
                f"{n_axes} dimensions."
            )
        return shape


@dataclass(frozen=True)
class WindowPooling(Operation):
    """The maximum or the mean over windows of every map, as in torch.

    Parameters
    ----------
    is_max : bool
    window : tuple of int or None
        (height, width). None pools over the whole map.
    stride : tuple of int or None
    padding : tuple of int
        Rows above and below, columns left and right. They are zeros for means, and
        ignored by maxima.
    """

    is_max: bool
    window: tuple | None
    stride: tuple | None = None
    padding: tuple = (0, 0)

    def _grid(self, shape):
        window = self.window or shape[:2]
        padding = tuple((p, p) for p in self.padding)
        return PatchGrid(shape, window, self.stride or window, padding)

    def output_shape(self, shape):
        if len(shape) != 3:
            raise ValueError(f"A pool needs maps, but gets samples of shape {shape}.")
        return (*_count_positions("A pool", self._grid(shape)), shape[2])

    def __call__(self, samples):
        grid = self._grid(samples.shape[1:])
        if any(self.padding):
            widths = ((0, 0), *grid.padding, (0, 0))
            value = -np.inf if self.is_max else 0.0
            samples = np.pad(samples, widths, constant_values=value)
        reduce = np.max if self.is_max else np.mean
        return reduce(extract_patches(samples, grid), axis=(3, 4))


@dataclass(frozen=True)
class Reshape(Operation):
    """Samples of another shape, in the order (height, width, channels) of this package.

    Parameters
    ----------
    shape : tuple of int
        Of one sample.
    """

    shape: tuple

    def __call__(self, samples):
        return samples.reshape(len(samples), *self.shape)

    def output_shape(self, shape):
        if np.prod(shape, dtype=int) != np.prod(self.shape, dtype=int):
            raise ValueError(
                f"Samples of shape {shape} cannot be given the shape {self.shape}."
            )
        return self.shape


@dataclass(frozen=True)
class Flatten(Operation):
    """Maps as rows, in the order (channels, height, width) of torch."""

    def __call__(self, samples):
        if samples.ndim == 4:
            samples = np.moveaxis(samples, 3, 1)
        return samples.reshape(len(samples), -1)

    def output_shape(self, shape):
        return (int(np.prod(shape)),)


@dataclass(frozen=True)
class Unflatten(Operation):
    """Rows in the order (channels, height, width) of torch as maps."""

    shape: tuple  # (channels, height, width)

    def __call__(self, samples):
        return np.moveaxis(samples.reshape(len(samples), *self.shape), 1, 3)

    def output_shape(self, shape):
        if int(np.prod(shape)) != int(np.prod(self.shape)):
            raise ValueError(
                f"Unflatten makes maps (channels, height, width) = {self.shape}, but "
                f"gets samples of shape {shape}."
            )
        return (*self.shape[1:], self.shape[0])


def _count_positions(name, grid):
    """Return the number of patches, down and to the right; raise if there are none."""
    if min(grid.grid_shape) < 1:
        raise ValueError(
            f"{name}: its window of {grid.kernel} does not fit in maps of height "
            f"and width {grid.padded_shape[:2]}, padding included."
        )
    return grid.grid_shape
