"""Pooling of maps: one reduction of their rows, and one of their columns."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import pinv

from skscn._images.layers.base import Layer


@dataclass(frozen=True)
class LinearPooling1D:
    """Weighted sums along one axis.

    Parameters
    ----------
    weights : ndarray of shape (n_out, n_in)
    """

    weights: np.ndarray

    @property
    def n_out(self):
        """Return the number of sums."""
        return len(self.weights)

    def __call__(self, values):
        """Return the sums over the middle axis of values of shape (n, n_in, any)."""
        return np.matmul(self.weights.astype(values.dtype, copy=False), values)


@dataclass(frozen=True)
class WindowPooling1D:
    """Sums or maxima over windows along one axis.

    Parameters
    ----------
    is_max : bool
        Whether to take maxima instead of sums.
    windows : tuple of tuple of int
        (start, end) of each window.
    n_in : int
        Length of the axis.
    scale : float, default=1.0
        Factor of the sums.
    """

    is_max: bool
    windows: tuple
    n_in: int
    scale: float = 1.0

    @property
    def n_out(self):
        """Return the number of windows."""
        return len(self.windows)

    @property
    def weights(self):
        """Return the weights of the sums; for maxima, the weights of means."""
        weights = np.zeros((self.n_out, self.n_in))
        for row, (start, end) in zip(weights, self.windows, strict=True):
            row[start:end] = 1 / (end - start) if self.is_max else self.scale
        return weights

    def __call__(self, values):
        """Return the reduction over the middle axis of values of shape (n, n_in, any).

        Windows of equal size in equal steps are reduced together, offset by offset.
        """
        reduce = np.maximum if self.is_max else np.add
        starts, ends = np.transpose(self.windows)
        sizes, steps = ends - starts, np.diff(starts)
        step = int(steps[0]) if len(steps) else 1
        # With more cells than values some windows are equal, and the step is 0.
        if step > 0 and np.ptp(sizes) == 0 and np.all(steps == step):
            first, last = int(starts[0]), int(starts[-1]) + 1
            parts = (values[:, first + i : last + i : step] for i in range(sizes[0]))
            out = next(parts).copy()
            for part in parts:
                reduce(out, part, out=out)
        else:
            reduced = [
                reduce.reduce(values[:, start:end], axis=1)
                for start, end in self.windows
            ]
            out = np.stack(reduced, axis=1)
        if self.scale != 1.0:
            out *= values.dtype.type(self.scale)
        return out


class Pooling(Layer):
    """Separable pooling of each map over neighboring positions.

    Parameters
    ----------
    in_shape : tuple of int
        (height, width, channels).
    rows, columns : LinearPooling1D or WindowPooling1D
        Reduction of the height and of the width.
    power : float
        Power of the pooled values; their signs are kept.
    """

    is_channelwise = True

    def __init__(self, in_shape, rows, columns, power):
        self.rows, self.columns, self.power = rows, columns, power
        self.in_shape = in_shape
        self.out_shape = (rows.n_out, columns.n_out, in_shape[2])
        self.values_per_image = int(np.prod(in_shape))

    def __call__(self, images, out, workspace):
        """Write the pooled images to `out`."""
        images = images.astype(out.dtype, copy=False)  # sums of bytes overflow bytes
        pooled = self._reduced(images).reshape(out.shape)
        out[...] = signed_power(pooled, self.power)

    def _reduced(self, images):
        n_images, height, width, channels = images.shape
        pooled = self.rows(images.reshape(n_images, height, width * channels))
        pooled = pooled.reshape(n_images * self.rows.n_out, width, channels)
        return self.columns(pooled)

    def reconstruct(self, maps, images=None):
        """Return the images of minimum norm whose sums are the maps.

        Maxima are taken for means, so each is repeated over its window.
        """
        n_images, height, width, channels = maps.shape
        values = signed_power(maps, 1.0 / self.power)
        unpooled = unpool(self.rows, values.reshape(n_images, height, -1))
        unpooled = unpool(self.columns, unpooled.reshape(-1, width, channels))
        return unpooled.reshape(n_images, *self.in_shape[:2], channels)


def window_pooling(n_in, window, stride, mode):
    """Return the reduction over all windows that fit, from the first value on."""
    starts = range(0, n_in - window + 1, stride)
    windows = tuple((start, start + window) for start in starts)
    scale = 1.0 / window if mode == "average" else 1.0
    return WindowPooling1D(mode == "max", windows, n_in, scale)


def grid_pooling(n_in, n_cells, mode, sigma):
    """Return the reduction over cells of equal width.

    A cell covers every value that it touches. Each cell of a Gaussian grid covers all
    values, with weights that fall off by `sigma` cells from its center.
    """
    if mode == "gaussian":
        values = (np.arange(n_in) + 0.5) * (n_cells / n_in)  # in units of cells
        centers = np.arange(n_cells)[:, None] + 0.5
        distances = ((values - centers) / sigma) ** 2
        # Relative to the nearest value, so that narrow Gaussians do not underflow.
        distances -= distances.min(axis=1, keepdims=True)
        weights = np.exp(-0.5 * distances)
        return LinearPooling1D(weights / weights.sum(axis=1, keepdims=True))
    cells = tuple(
        (i * n_in // n_cells, -(-(i + 1) * n_in // n_cells)) for i in range(n_cells)
    )
    if mode == "max":
        return WindowPooling1D(True, cells, n_in)
    weights = np.zeros((n_cells, n_in))
    for row, (start, end) in zip(weights, cells, strict=True):
        row[start:end] = 1.0 / (end - start) if mode == "average" else 1.0
    return LinearPooling1D(weights)


def unpool(pooling, values):
    """Return the values of minimum norm whose weighted sums are the given values.

    Parameters
    ----------
    pooling : LinearPooling1D or WindowPooling1D
    values : ndarray of shape (n, n_out, any)

    Returns
    -------
    unpooled : ndarray of shape (n, n_in, any)
    """
    return np.matmul(pinv(pooling.weights).astype(values.dtype), values)


def signed_power(values, power):
    """Return sign(v) |v|^power, in a new array unless the power is 1."""
    if power == 1.0:
        return values
    result = np.abs(values)
    if power == 0.5:
        np.sqrt(result, out=result)
    else:
        np.power(result, power, out=result)
    return np.copysign(result, values, out=result)
