"""Scalers, normalization and principal components as torch modules."""

from collections import OrderedDict

import numpy as np
import torch
from torch import Tensor, nn

from skscn._export.fitted_parameters import scaling_parameters
from skscn._export.torch.weights import linear_module

NORM_ORDERS = {"l1": 1, "l2": 2, "max": np.inf}


class Standardize(nn.Module):
    """(x − mean) / scale. Both are buffers, which are not trained.

    Parameters
    ----------
    mean : Tensor of shape (n_features,)
    scale : Tensor of shape (n_features,) or None, default=None
        None stands for one.
    """

    mean: Tensor
    scale: Tensor | None

    def __init__(self, mean, scale=None):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)

    def forward(self, x):
        """Return (x − mean) / scale."""
        x = x - self.mean
        return x if self.scale is None else x / self.scale

    def extra_repr(self):
        """Return the number of features."""
        return f"{len(self.mean)}"


class Normalize(nn.Module):
    """Rows divided by their norm; rows of zeros stay zero."""

    def __init__(self, order):
        super().__init__()
        self.order = order

    def forward(self, x):
        """Return x / ‖x‖."""
        is_zero = (x == 0).all(dim=1, keepdim=True)
        x_or_ones = torch.where(is_zero, 1.0, x)  # a norm of zero has no derivative
        return x / torch.linalg.vector_norm(x_or_ones, self.order, dim=1, keepdim=True)

    def extra_repr(self):
        """Return the order of the norm."""
        return f"order={self.order}"


def scaler_module(name, scaler, options):
    """Return the module of a scaler of scikit-learn or of a FlooredScaler."""
    if getattr(scaler, "clip", False):
        kind = type(scaler).__name__
        raise TypeError(f"Step {name!r} clips: use {kind}(clip=False).")
    offset, scale = scaling_parameters(scaler)
    return Standardize(options.tensor(offset), options.tensor(scale))


def normalizer_module(name, normalizer, options):
    """Return the module of a Normalizer."""
    return Normalize(NORM_ORDERS[normalizer.norm])


def function_module(name, transformer, options):
    """Return the identity; a FunctionTransformer with a function has no module."""
    if transformer.func is not None:
        raise TypeError(
            f"Step {name!r} calls {transformer.func!r}: FunctionTransformer has a "
            "torch module for func=None only."
        )
    return nn.Identity()


def pca_module(name, pca, options):
    """Return centering and projection on principal components."""
    weight = pca.components_
    if pca.whiten:
        min_scale = np.finfo(pca.explained_variance_.dtype).eps
        scale = np.maximum(np.sqrt(pca.explained_variance_), min_scale)
        weight = weight / scale[:, None]
    modules = {
        "center": Standardize(options.tensor(pca.mean_)),
        "project": linear_module(options.tensor(weight)),
    }
    return nn.Sequential(OrderedDict(modules))
