"""Pooling as torch modules: those of torch for equal windows, else weighted sums."""

from collections import OrderedDict

import numpy as np
import torch
from torch import Tensor, nn

from skscn._export.fitted_parameters import pooling_parameters


class SeparablePool2d(nn.Module):
    """Weighted sums over rows and columns, or maxima over windows of several sizes.

    Parameters
    ----------
    is_max : bool
    rows, columns : Tensor of shape (n_out, n_in)
        Weights of the sums. For maxima: the indices of the entries of every window, of
        shape (n_out, size).
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, is_max, rows, columns):
        super().__init__()
        self.register_buffer("rows", rows)
        self.register_buffer("columns", columns)
        self.is_max = is_max

    def forward(self, x):
        """Return the pooled maps."""
        if self.is_max:
            x = x[:, :, :, self.columns].amax(dim=-1)
            return x[:, :, self.rows].amax(dim=3)
        return self.rows @ (x @ self.columns.T)

    def extra_repr(self):
        """Return the number of cells and the reduction."""
        mode = "max" if self.is_max else "sum"
        return f"{len(self.rows)} x {len(self.columns)} cells, {mode}"


class SignedPower(nn.Module):
    """sign(x) |x|^power.

    For power < 1 the derivative at x = 0 is infinite. There the result and its
    derivative are zero where the result is below the rounding error of one.
    """

    def __init__(self, power):
        super().__init__()
        self.power = power

    def forward(self, x):
        """Return the powers."""
        magnitude = x.abs()
        if self.power >= 1:
            return torch.sign(x) * magnitude**self.power
        min_magnitude = torch.finfo(x.dtype).eps ** (1 / self.power)
        is_tiny = magnitude <= min_magnitude  # False for NaN, which is kept
        magnitude = torch.where(is_tiny, 1.0, magnitude)
        powers = magnitude.sqrt() if self.power == 0.5 else magnitude**self.power
        return torch.where(is_tiny, 0.0, torch.sign(x) * powers)

    def extra_repr(self):
        """Return the power."""
        return f"{self.power:g}"


def pooling_module(name, layer, options):
    """Return the module of a SpatialPool."""
    pool = pooling_parameters(layer)
    reduce: nn.Module
    if pool.windows is None:
        arrays = (
            torch.tensor(_window_indices(axis))
            if pool.is_max
            else options.tensor(axis.weights)
            for axis in (pool.rows, pool.columns)
        )
        reduce = SeparablePool2d(pool.is_max, *arrays)
    elif pool.is_max:
        reduce = nn.MaxPool2d(*pool.windows)
    else:
        sizes, strides = pool.windows
        divisor = 1 if pool.is_sum else None
        reduce = nn.AvgPool2d(sizes, strides, divisor_override=divisor)
    if pool.power == 1.0:
        return reduce
    power = SignedPower(pool.power)
    return nn.Sequential(OrderedDict(reduce=reduce, power=power))


def _window_indices(axis):
    """Return the entries of every window; smaller windows repeat their last entry."""
    starts, ends = np.transpose(axis.windows)
    offsets = np.arange(max(ends - starts))
    return np.minimum(starts[:, None] + offsets, ends[:, None] - 1)
