"""Reductions along one axis: what pools are made of, for pooling is separable."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import pinv


@dataclass(frozen=True)
class LinearAxis:
    """Weighted sums along an axis.

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
class WindowAxis:
    """A reduction over windows of one size, or of near-equal ones, along an axis.

    Parameters
    ----------
    reduce : ufunc
        `np.add` or `np.maximum`.
    windows : tuple of tuple of int
        (start, end) of each.
    n_in : int
    scale : float
        Of the result.
    """

    reduce: np.ufunc
    windows: tuple
    n_in: int
    scale: float = 1.0

    @property
    def n_out(self):
        """Return the number of windows."""
        return len(self.windows)

    @property
    def weights(self):
        """Return the weights of sums over the windows; for maxima, those of means."""
        weights = np.zeros((self.n_out, self.n_in))
        for row, (start, end) in zip(weights, self.windows, strict=True):
            row[start:end] = self.scale if self.reduce is np.add else 1 / (end - start)
        return weights

    def __call__(self, values):
        """Return the reduction over the middle axis of values of shape (n, n_in, any).

        Windows in equal steps are reduced all at once, entry by entry.
        """
        starts, ends = np.transpose(self.windows)
        sizes, steps = ends - starts, np.diff(starts)
        if np.ptp(sizes) == 0 and (len(steps) == 0 or np.ptp(steps) == 0):
            step = int(steps[0]) if len(steps) else 1
            first, last = int(starts[0]), int(starts[-1]) + 1
            parts = (values[:, first + i : last + i : step] for i in range(sizes[0]))
            out = next(parts).copy()
            for part in parts:
                self.reduce(out, part, out=out)
        else:
            reduced = (
                self.reduce.reduce(values[:, start:end], axis=1)
                for start, end in self.windows
            )
            out = np.stack(list(reduced), axis=1)
        if self.scale != 1.0:
            out *= values.dtype.type(self.scale)
        return out


def window_axis(n_in, window, stride, mode):
    """Return the reduction over windows that fit in, from the first entry on."""
    starts = range(0, n_in - window + 1, stride)
    windows = tuple((start, start + window) for start in starts)
    if mode == "max":
        return WindowAxis(np.maximum, windows, n_in)
    return WindowAxis(np.add, windows, n_in, 1.0 / window if mode == "average" else 1.0)


def grid_axis(n_in, n_cells, mode, sigma):
    """Return the reduction over so many cells of equal width.

    A cell covers every entry that it touches; cells of a Gaussian grid cover all, with
    weights that fall off by `sigma` cells from their centres.
    """
    if mode == "gaussian":
        at = (np.arange(n_in) + 0.5) * (n_cells / n_in)
        centres = np.arange(n_cells)[:, None] + 0.5
        distance = ((at - centres) / sigma) ** 2
        # From the nearest entry on: narrow bells between entries do not vanish.
        weights = np.exp(-0.5 * (distance - distance.min(axis=1, keepdims=True)))
        return LinearAxis(weights / weights.sum(axis=1, keepdims=True))
    cells = tuple(
        (i * n_in // n_cells, -(-(i + 1) * n_in // n_cells)) for i in range(n_cells)
    )
    if mode == "max":
        return WindowAxis(np.maximum, cells, n_in)
    weights = np.zeros((n_cells, n_in))
    for row, (start, end) in zip(weights, cells, strict=True):
        row[start:end] = 1.0 / (end - start) if mode == "average" else 1.0
    return LinearAxis(weights)


def spread(axis, values):
    """Return the smallest values of the axis whose weighted sums are the given ones."""
    return np.matmul(pinv(axis.weights).astype(values.dtype), values)


def signed_power(values, power):
    """Return sign(v) |v|^power, in new memory."""
    size = np.abs(values)
    size = np.sqrt(size, out=size) if power == 0.5 else np.power(size, power, out=size)
    return np.copysign(size, values, out=size)
