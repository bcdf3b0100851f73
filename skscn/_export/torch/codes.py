"""Torch modules of codes: one for every prior, of modes and of posterior means.

Trained are the priors. All of it can be differentiated wherever it has values.
"""

from functools import partial

import torch
from torch import Tensor, nn

from skscn._core.marginals import LOG_2_MINUS_LOG_SQRT_2PI, SQRT_2PI
from skscn._core.normal_tail import DENOMINATOR, NUMERATOR


class Code(nn.Module):
    """The map from projections to codes; its trained `bias` is −λ, minus the priors.

    Parameters
    ----------
    bias : Tensor of shape (n_components,)
    split : bool, default=False
        Whether the codes of u are followed by those of −u, group by group.
    """

    def __init__(self, bias, split=False):
        super().__init__()
        self.bias = nn.Parameter(bias)
        self.split = split

    def forward(self, u):
        """Return the codes of projections (n, n_groups · n_components, ...)."""
        n_components = len(self.bias)
        if self.split:
            u = u.unflatten(1, (-1, 1, n_components))
            u = torch.cat([u, -u], dim=2).flatten(1, 3)
        return self.code(u, partial(along, x=u))

    def code(self, u, laid):
        """Return codes; `laid` lays out the numbers of components."""
        raise NotImplementedError

    def extra_repr(self):
        """Return what is printed."""
        return f"{len(self.bias)}{', split=True' if self.split else ''}"


class Rectifier(Code):
    """Exponential prior: max(u − λ, 0)."""

    def code(self, u, laid):
        """Return max(u + bias, 0)."""
        return torch.relu(u + laid(self.bias))


class SoftThreshold(Code):
    """Laplace prior: sign(u) max(|u| − λ, 0), as two rectifiers."""

    def code(self, u, laid):
        """Return max(u + bias, 0) − max(−u + bias, 0)."""
        bias = laid(self.bias)
        return torch.relu(u + bias) - torch.relu(bias - u)


class HardThreshold(Code):
    """Spike and slab: projections beyond λ, which itself gets no gradient.

    Parameters
    ----------
    bias, split
        As of `Code`.
    one_sided : bool
    shrinkage : Tensor of shape (n_components,) or None
    """

    shrinkage: Tensor | None

    def __init__(self, bias, split, one_sided, shrinkage):
        super().__init__(bias, split)
        self.one_sided = one_sided
        self.register_buffer("shrinkage", shrinkage)

    def code(self, u, laid):
        """Return u 1[|u| > −bias], shrunk."""
        size = u if self.one_sided else torch.abs(u)
        # Asked so, NaN stays what it is.
        codes = torch.where(size <= -laid(self.bias), torch.zeros_like(u), u)
        return codes if self.shrinkage is None else codes * laid(self.shrinkage)


class ExponentialMean(Code):
    """Exponential prior: the posterior mean, a smooth rectifier.

    Parameters
    ----------
    bias : Tensor of shape (n_components,)
    sigma : float
        Standard deviation of the noise.
    """

    def __init__(self, bias, sigma):
        super().__init__(bias)
        self.sigma = sigma

    def code(self, u, laid):
        """Return the mean of N(u + bias, σ²) cut off below zero."""
        return self.sigma * _cut_off((u + laid(self.bias)) / self.sigma)[0]


class LaplaceMean(ExponentialMean):
    """Laplace prior: the posterior mean, a smooth soft threshold."""

    def code(self, u, laid):
        """Return the mean of a mixture of two normals cut off at zero."""
        bias = laid(self.bias)
        ahead, log_ahead = _cut_off((u + bias) / self.sigma)
        behind, log_behind = _cut_off((bias - u) / self.sigma)
        share = torch.sigmoid(log_ahead - log_behind)
        rest = torch.sigmoid(log_behind - log_ahead)
        return self.sigma * (share * ahead - rest * behind)


class SpikeSlabMean(Code):
    """Spike and slab: the posterior mean; trained are the log odds, here the `bias`.

    Parameters
    ----------
    log_odds : Tensor of shape (n_components,)
        Of slab to spike at zero.
    kept : Tensor of shape (n_components,)
        τ² / (τ² + σ²).
    sigma : float
    one_sided : bool
    """

    kept: Tensor

    def __init__(self, log_odds, kept, sigma, one_sided):
        super().__init__(log_odds)
        self.register_buffer("kept", kept)
        self.sigma, self.one_sided = sigma, one_sided

    def code(self, u, laid):
        """Return the probability of the slab times its posterior mean."""
        z, kept, log_odds = u / self.sigma, laid(self.kept), laid(self.bias)
        if not self.one_sided:
            return torch.sigmoid(log_odds + kept * z**2 / 2) * kept * u
        root = torch.sqrt(kept)
        mean, log_mass = _cut_off(root * z)
        return (
            self.sigma
            * torch.sigmoid(log_odds + LOG_2_MINUS_LOG_SQRT_2PI + log_mass)
            * root
            * mean
        )


def along(row, x):
    """Return a number for every component laid along the second axis of x."""
    row = row.repeat(x.shape[1] // len(row))
    return row.reshape(-1, *[1] * (x.ndim - 2))


def _cut_off(x):
    """Return mean and log mass of N(x, 1) cut off below zero, as `marginals` has them.

    All of it is polynomials, so that derivatives hold wherever values do.
    """
    size = torch.where(x >= 0, x, -x)  # whose derivative at zero is not zero
    t = 2.0 / (2.0 + size)
    excess = t * _polynomial(NUMERATOR, t) / _polynomial(DENOMINATOR, t)
    mills = 1.0 / (size + excess)
    m = torch.relu(x)
    w = torch.exp(-m * m / 2)
    mass = torch.where(x >= 0, SQRT_2PI - w * mills, mills)
    mean = torch.where(x >= 0, x + w / mass, excess)
    return mean, torch.log(mass) + m * m / 2


def _polynomial(coefficients, t):
    total = torch.full_like(t, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = total * t + coefficient
    return total
