"""Coders of rows as torch modules, and trained modules as coders."""

from collections import OrderedDict
from functools import partial

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor, nn

from skscn._core.model_parameters import ModelParameters
from skscn._core.procrustes import polar_factor
from skscn._export.encoder_formulas import encode, rank_codes
from skscn._export.fitted_parameters import encoder_parameters
from skscn._export.torch.preprocessing import Standardize
from skscn._export.torch.weights import (
    ROUNDING_ERROR,
    check_orthonormal,
    check_thresholds,
    keep_orthonormal,
    linear_module,
    orthonormality_error,
    per_channel,
    trained_array,
    trained_atoms,
)

# The smallest trained rate, by the smallest fitted one: λ = 0 stands for the rate zero,
# which has no density.
MIN_RATE_RATIO = 1e-3


class Encoder(nn.Module):
    """The map from projections to codes; `bias` is trained.

    Parameters
    ----------
    encoder : EncoderParameters
    options : ExportOptions
    """

    wiener_gain: Tensor | None

    def __init__(self, encoder, options):
        super().__init__()
        self.prior, self.one_sided = encoder.prior, encoder.one_sided
        self.sigma = encoder.sigma
        self.n_nonzero, self.split_sign = encoder.n_nonzero, encoder.split_sign
        self.bias = nn.Parameter(options.tensor(encoder.bias))
        gain = encoder.wiener_gain
        gain = None if gain is None else options.tensor(gain)
        self.register_buffer("wiener_gain", gain)

    def forward(self, u):
        """Return the codes of projections (n, n_groups * n_components, ...)."""
        codes = encode(torch, u, self, partial(per_channel, x=u))
        if self.n_nonzero is not None and self.n_nonzero < codes.shape[1]:
            ranks = rank_codes(torch, codes.detach(), self)
            best_first = torch.argsort(ranks, dim=1, descending=True, stable=True)
            best = best_first[:, : self.n_nonzero]
            codes = codes * torch.zeros_like(codes).scatter(1, best, 1.0)
        if self.split_sign:
            codes = torch.cat([torch.relu(codes), torch.relu(-codes)], dim=1)
        return codes

    def extra_repr(self):
        """Return the number of coefficients, the prior and the inference."""
        inference = "map" if self.sigma is None else "mean"
        text = f"{len(self.bias)}, prior={self.prior!r}, inference={inference!r}"
        if self.n_nonzero is not None:
            text += f", n_nonzero={self.n_nonzero}"
        return f"{text}, split_sign=True" if self.split_sign else text


class SparseCoder(nn.Sequential):
    """Projections and their encoder, for rows or for patches of images."""

    project: nn.Module
    encoder: nn.Module

    @property
    def prior_bias(self):
        """The trained −λ, minus the thresholds; None if log odds are trained instead.

        The ReLU of a coder of rows has its bias in the linear module before it.
        """
        if isinstance(self.encoder, nn.ReLU):
            return self.project.bias
        is_log_odds = self.encoder.prior == "spike_slab" and self.encoder.sigma
        return None if is_log_odds else self.encoder.bias


def coder_module(name, coder, options):
    """Return centering, projection on atoms, and encoder of a coder of rows."""
    encoder, components = encoder_parameters(coder), coder.components_
    # With an exponential prior MAP coding is a linear layer and a ReLU.
    is_relu = encoder.prior == "exponential" and encoder.sigma is None
    is_relu &= encoder.n_nonzero is None
    project = linear_module(
        options.tensor(components), options.tensor(encoder.bias) if is_relu else None
    )
    if options.orthonormal:
        check_orthonormal(name, components @ components.T, np.eye(len(components)))
        keep_orthonormal(project, "weight")
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    if coder.mean_.any():
        modules["center"] = Standardize(options.tensor(coder.mean_))
    modules["project"] = project
    modules["encoder"] = nn.ReLU() if is_relu else Encoder(encoder, options)
    return SparseCoder(modules)


def restore_coder(name, coder, module, orthonormal):
    """Write trained atoms and priors into a coder of rows.

    Returns
    -------
    error : float
        Orthonormality error of the trained atoms.
    """
    components = trained_atoms(module.project, "weight", coder.components_)
    if orthonormal and orthonormality_error(components) >= ROUNDING_ERROR:
        components = polar_factor(components).astype(components.dtype)
    alpha, parameters = _trained_prior(coder, module)
    one_sided = coder._prior_object.one_sided
    check_thresholds(name, alpha, signed=not one_sided)
    error = orthonormality_error(components)
    if components is coder.components_ and alpha is coder.alpha_:
        return error
    if error < ROUNDING_ERROR:  # the network may compute in a shorter dtype
        nearest = polar_factor(components.astype(np.float64))
        components = nearest.astype(components.dtype)
    coder.components_, coder.alpha_ = components, alpha
    coder._estimate = ModelParameters(
        parameters, coder._estimate.parameters.noise_variance
    )
    coder._restart_stream(components)
    return error


def _trained_prior(coder, module):
    """Return the thresholds and the parameters of the trained prior."""
    prior, noise = coder._prior_object, coder._estimate.parameters.noise_variance
    alpha, parameters = coder.alpha_, coder._estimate.parameters.prior_parameters
    if module.prior_bias is not None:
        alpha = trained_array(-module.prior_bias, alpha)
        if prior.determined_by_threshold:
            rate = alpha.astype(np.float64) / noise
            parameters = np.maximum(rate, np.min(parameters) * MIN_RATE_RATIO)[None]
        return alpha, parameters
    former = encoder_parameters(coder).bias
    log_odds = trained_array(module.encoder.bias, former)
    if log_odds is former:
        return alpha, parameters
    slab_variance = parameters[1]
    log_odds = log_odds + np.log1p(slab_variance / noise) / 2
    parameters = np.array([expit(log_odds), slab_variance])
    alpha, coder._shrinkage = prior.map_rule(parameters, noise)
    return alpha.astype(coder.alpha_.dtype), parameters
