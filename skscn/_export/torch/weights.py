"""Weights of torch modules: from arrays, orthonormal in training, and back."""

from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from torch import nn

# Largest entries of D Dᵀ − I: the rounding errors of single precision, and the error
# from which on inverses and likelihoods are no longer accurate.
ROUNDING_ERROR = 1e-5
MAX_ORTHONORMALITY_ERROR = 1e-3


@dataclass(frozen=True)
class ExportOptions:
    """The options of an export.

    Parameters
    ----------
    dtype : torch dtype
        The type of all weights.
    orthonormal : bool
        Whether torch keeps atoms orthonormal.
    batch_norm : bool
        Whether projections of convolutions are normalized in training.
    """

    dtype: torch.dtype
    orthonormal: bool
    batch_norm: bool

    def tensor(self, array):
        """Return a copy of an array as a tensor."""
        # Optimizers that take all weights as one vector need contiguous ones.
        return torch.tensor(np.asarray(array), dtype=self.dtype).contiguous()


def linear_module(weight, bias=None):
    """Return a linear module of given weights, without drawing random ones."""
    n_outputs, n_inputs = weight.shape
    linear = nn.Linear(n_inputs, n_outputs, bias=bias is not None, device="meta")
    linear.weight = nn.Parameter(weight)
    if bias is not None:
        linear.bias = nn.Parameter(bias)
    return linear


def per_channel(values, x):
    """Return values per component in a shape that broadcasts over the channels of x.

    The channels are the components of every group, one group after another.
    """
    values = values.repeat(x.shape[1] // values.shape[0])
    return values.reshape(-1, *[1] * (x.ndim - 2))


def trained_array(tensor, former=None):
    """Return a tensor as an array, or `former` itself if no value changed.

    Parameters
    ----------
    tensor : Tensor
    former : ndarray, default=None
        The exported array. The result has its dtype.
    """
    tensor = tensor.detach().cpu()
    if former is not None:
        exported = torch.tensor(former, dtype=tensor.dtype)
        if torch.equal(tensor, exported):
            return former
    if torch.finfo(tensor.dtype).bits < 32:  # NumPy does not have all of these types
        tensor = tensor.float()
    array = tensor.numpy()
    return array.astype(array.dtype if former is None else former.dtype)


def check_weights(name, module):
    """Raise an error if weights have no values, or are not finite."""
    for key, weights in chain(module.named_parameters(), module.named_buffers()):
        if weights.is_meta:
            raise ValueError(
                f"The {key} of step {name!r} has no values: it is on the meta device. "
                "Load it to another device."
            )
        if weights.is_complex():
            raise ValueError(f"The {key} of step {name!r} is complex.")
        n_wrong = int((~torch.isfinite(weights)).sum())
        if n_wrong:
            raise ValueError(
                f"{n_wrong} of {weights.numel()} numbers in the {key} of step {name!r} "
                "are NaN or infinite: training diverged. Use a lower learning rate."
            )


def keep_orthonormal(module, name):
    """Let torch keep the rows of the parameter `name` orthonormal in training.

    The parametrization changes the weights by rounding. The changed weights are stored
    as `initial_atoms`, so that `trained_atoms` can tell whether they were trained.
    """
    nn.utils.parametrizations.orthogonal(module, name)
    module.initial_atoms = trained_array(getattr(module, name))


def trained_atoms(module, name, former):
    """Return the atoms of a module, or `former` itself if they were not trained."""
    atoms = getattr(module, name)
    initial = getattr(module, "initial_atoms", None)
    if initial is not None and np.array_equal(trained_array(atoms), initial):
        return former
    return trained_array(atoms, former)


def orthonormality_error(components):
    """Return the largest difference of D Dᵀ from the identity."""
    return np.abs(components @ components.T - np.eye(len(components))).max()


def check_orthonormal(name, found, expected, option="orthonormal"):
    """Raise an error if weights differ from those of orthonormal atoms."""
    error = np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-30)
    if error > MAX_ORTHONORMALITY_ERROR:
        raise ValueError(
            f"The atoms of step {name!r} are not orthonormal (by {error:.2g}) after "
            f"training that did not keep them so. Use {option}=False, or first take "
            "the nearest orthonormal atoms by from_torch(orthonormal=True)."
        )


def check_thresholds(name, alpha, *, signed):
    """Raise an error if codes of both signs have a negative threshold."""
    if signed and (alpha < 0).any():
        raise ValueError(
            f"Step {name!r} has the prior λ = {alpha.min():.3g}, but signed codes have "
            "no threshold below zero. Call clamp_priors_() of the network after every "
            "step of the optimizer."
        )
