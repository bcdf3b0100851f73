"""What a ReLU network is made of: operations on arrays, run one after another.

Maps are (n_samples, height, width, channels), as everywhere below, and rows (n_samples,
n_features). A unit is a row of weights: of all features, or of a patch of maps at every
place.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skscn._core.workspace import Workspace
from skscn._images.layers.correlation import Correlation
from skscn._images.layers.patches import PatchGrid, extract_patches, pad_images

BLOCK_NUMBERS = 2**21  # in the patches that are looked at together


class Operation(ABC):
    """A map from samples to samples, each by itself."""

    def of_dtype(self, dtype):
        """Return the same, computing in a dtype."""
        return self

    @abstractmethod
    def __call__(self, samples):
        """Return what becomes of the samples."""

    @abstractmethod
    def out_shape(self, shape):
        """Return the shape of a result, of samples of a shape."""


@dataclass(frozen=True, eq=False)
class Units(Operation):
    """Weights and biases, dense or at every place of maps, and the ReLU that follows.

    Parameters
    ----------
    weight : ndarray of shape (n_units, n_inputs)
        Of a patch in the order (kernel height, kernel width, channels).
    bias : ndarray of shape (n_units,)
    name : str
    rectified : bool
        Whether a ReLU follows: then these are atoms with priors.
    kernel, stride : tuple of int, default=None
        Of patches; None for dense units.
    padding : tuple of tuple of int, default=None
        Zeros ((above, below), (left, right)).
    source : object, default=None
        Where the model keeps them.
    """

    weight: np.ndarray
    bias: np.ndarray
    name: str
    rectified: bool = False
    kernel: Any = None
    stride: Any = None
    padding: Any = None
    source: object = None

    @property
    def channels(self):
        """How many numbers stand at a place of the maps that come in."""
        return self.weight.shape[1] // int(np.prod(self.kernel or (1,)))

    @property
    def patch_shape(self):
        """(kernel height, kernel width, channels), or None for dense units."""
        return None if self.kernel is None else (*self.kernel, self.channels)

    def of_dtype(self, dtype):
        return replace(
            self,
            weight=self.weight.astype(dtype, copy=False),
            bias=self.bias.astype(dtype, copy=False),
        )

    def geometry(self, shape):
        """Return where the patches of maps of a shape are."""
        return PatchGrid(shape, self.kernel, self.stride, self.padding)

    def out_shape(self, shape):
        self._check(shape)
        if self.kernel is None:
            return (len(self.bias),)
        geometry = self.geometry(shape)
        if min(geometry.grid_shape) < 1:
            raise ValueError(
                f"{self.name}: its kernel of {self.kernel} does not fit in maps of "
                f"height and width {geometry.padded_shape[:2]}, padding included."
            )
        return (*geometry.grid_shape, len(self.bias))

    def _check(self, shape):
        wanted = 1 if self.kernel is None else 3
        n_inputs = self.channels if wanted == 3 else self.weight.shape[1]
        if len(shape) != wanted or shape[-1] != n_inputs:
            raise ValueError(
                f"{self.name} reads "
                + (
                    f"rows of {n_inputs} features"
                    if wanted == 1
                    else f"maps of {n_inputs} channels"
                )
                + f", but gets samples of shape {shape}"
                + (
                    " (height, width, channels). Is a Flatten missing?"
                    if len(shape) == 3 and wanted == 1
                    else "."
                )
            )

    def rows(self, samples):
        """Return what the units see: samples, or all patches, as rows."""
        if self.kernel is None:
            return samples
        geometry = self.geometry(samples.shape[1:])
        images = pad_images(samples, geometry, samples.dtype, Workspace())
        return extract_patches(images, geometry).reshape(-1, self.weight.shape[1])

    def projections(self, samples):
        """Return the pre-activations, without a ReLU."""
        if self.kernel is None:
            return samples @ self.weight.T + self.bias
        geometry = self.geometry(samples.shape[1:])
        scratch = Workspace()
        images = pad_images(samples, geometry, samples.dtype, scratch)
        filters = self.weight.reshape(-1, *self.patch_shape)
        return Correlation(filters, geometry)(images, scratch) + self.bias

    def __call__(self, samples):
        found = self.projections(samples)
        return np.maximum(found, 0, out=found) if self.rectified else found


@dataclass(frozen=True)
class Rectify(Operation):
    """A ReLU that does not belong to units."""

    def __call__(self, samples):
        return np.maximum(samples, 0)

    def out_shape(self, shape):
        return shape


@dataclass(frozen=True)
class Pool(Operation):
    """The largest value, or the mean, of windows of every map.

    Parameters
    ----------
    largest : bool
    window : tuple of int or None
        Height and width; None is all of the map.
    stride : tuple of int
    padding : tuple of int
        Below and above, left and right: zeros for means, and nothing for the largest.
    """

    largest: bool
    window: tuple | None
    stride: tuple | None = None
    padding: tuple = (0, 0)

    def _geometry(self, shape):
        window = self.window or shape[:2]
        padding = tuple((p, p) for p in self.padding)
        return PatchGrid(shape, window, self.stride or window, padding)

    def out_shape(self, shape):
        if len(shape) != 3:
            raise ValueError(f"A pool needs maps, but gets samples of shape {shape}.")
        places = self._geometry(shape).grid_shape
        if min(places) < 1:
            raise ValueError(
                f"A pool with windows of {self.window} does not fit in maps of height "
                f"and width {shape[:2]}."
            )
        return (*places, shape[2])

    def __call__(self, samples):
        geometry = self._geometry(samples.shape[1:])
        pads = ((0, 0), *geometry.padding, (0, 0))
        outside = -np.inf if self.largest else 0.0
        if any(self.padding):
            samples = np.pad(samples, pads, constant_values=outside)
        patches = extract_patches(samples, geometry)
        reduce = np.max if self.largest else np.mean
        return reduce(patches, axis=(3, 4))


@dataclass(frozen=True)
class Flatten(Operation):
    """Maps as rows, in the order (channels, height, width) of torch, or as they lie."""

    channels_first: bool = True

    def __call__(self, samples):
        if samples.ndim == 4 and self.channels_first:
            samples = np.moveaxis(samples, 3, 1)
        return samples.reshape(len(samples), -1)

    def out_shape(self, shape):
        return (int(np.prod(shape)),)


@dataclass(frozen=True)
class Unflatten(Operation):
    """Rows in the order (channels, height, width) as maps."""

    shape: tuple  # (channels, height, width)

    def __call__(self, samples):
        return np.moveaxis(samples.reshape(len(samples), *self.shape), 1, 3)

    def out_shape(self, shape):
        if int(np.prod(shape)) != int(np.prod(self.shape)):
            raise ValueError(
                f"Unflatten makes maps of shape {self.shape} (channels, height, width) "
                f"of rows of {int(np.prod(self.shape))} features, but gets {shape}."
            )
        return (*self.shape[1:], self.shape[0])


@dataclass(frozen=True)
class Softmax(Operation):
    """Probabilities of rows of logits, or their logarithms."""

    logarithm: bool = False

    def __call__(self, samples):
        found = samples - samples.max(axis=1, keepdims=True)
        total = np.exp(found).sum(axis=1, keepdims=True)
        return found - np.log(total) if self.logarithm else np.exp(found) / total

    def out_shape(self, shape):
        return shape


def blocks(n_samples, operations, shape):
    """Return slices of samples whose patches fit the cache, and raise where none fit.

    Parameters
    ----------
    n_samples : int
    operations : sequence of Operation
    shape : tuple of int
        Of a sample.
    """
    most = int(np.prod(shape))
    for operation in operations:
        above = operation.out_shape(shape)
        n_places = int(np.prod(above[:-1]))
        if isinstance(operation, Units):
            most = max(most, n_places * sum(operation.weight.shape))
        shape = above
    size = max(1, BLOCK_NUMBERS // max(most, 1))
    return [slice(start, start + size) for start in range(0, n_samples, size)]
