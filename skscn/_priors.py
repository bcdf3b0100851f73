"""Priors of the codes: with orthonormal atoms each is one scalar function.

With D Dᵀ = I the objective ½‖x − aD‖² + Σ_j penalty(a_j) separates: up to a constant
it is Σ_j ½(u_j − a_j)² + penalty(a_j) with the projections u = x Dᵀ. A prior is known
by the minimiser of that scalar problem. A new prior is one class and one entry in
`PRIORS`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Prior(ABC):
    """What a coefficient is expected to be before its sample is seen."""

    one_sided: bool

    @abstractmethod
    def mode(self, projections, threshold, scratch=None):
        """Overwrite projections with the codes that minimise the objective.

        Parameters
        ----------
        projections : ndarray of shape (n_samples, n_components)
            u = (x − mean) Dᵀ; overwritten.
        threshold : float or ndarray of shape (n_components,)
            λ ≥ 0, in the units of the projections.
        scratch : ndarray of the shape and dtype of projections, default=None
            Working memory; without it a new array serves.

        Returns
        -------
        codes : ndarray of shape (n_samples, n_components)
            The array `projections` itself.
        """

    def gain(self, codes, threshold, weights=None):
        """Return what the codes take off the objective of the zero code.

        The weighted sum over samples and coefficients of
        ½u² − ½(u − a)² − penalty(a) at the optimal codes a.
        """
        return 0.5 * _weighted_square(codes, weights)

    @staticmethod
    def slope(codes):
        """Return the derivative of the codes by their projections: 1 where active."""
        return codes != 0


@dataclass(frozen=True)
class Laplace(Prior):
    """Soft threshold: penalty λ|a|, code sign(u) max(|u| − λ, 0)."""

    one_sided: bool = False

    def mode(self, projections, threshold, scratch=None):
        if np.ndim(threshold) == 0:
            inside = np.clip(projections, -threshold, threshold, out=scratch)
        else:  # NumPy clips by arrays several times slower than it takes extrema
            inside = np.minimum(projections, threshold, out=scratch)
            np.maximum(inside, -threshold, out=inside)
        projections -= inside
        return projections


@dataclass(frozen=True)
class Exponential(Prior):
    """ReLU with bias −λ: penalty λa on a ≥ 0, code max(u − λ, 0)."""

    one_sided: bool = True

    def mode(self, projections, threshold, scratch=None):
        projections -= threshold
        return np.maximum(projections, 0, out=projections)


@dataclass(frozen=True)
class SpikeSlab(Prior):
    """Hard threshold: penalty ½λ² 1[a ≠ 0], code u 1[|u| > λ] (one-sided: u > λ)."""

    one_sided: bool

    def mode(self, projections, threshold, scratch=None):
        size = projections if self.one_sided else np.abs(projections, out=scratch)
        projections *= size > threshold
        projections += 0.0  # no negative zeros
        return projections

    def gain(self, codes, threshold, weights=None):
        active = codes != 0
        if weights is not None:
            cost = weights @ (active @ np.broadcast_to(threshold**2, active.shape[1:]))
        elif np.ndim(threshold) == 0:
            cost = threshold**2 * np.count_nonzero(active)
        else:
            cost = np.count_nonzero(active, axis=0) @ threshold**2
        return super().gain(codes, threshold, weights) - 0.5 * float(cost)


def _weighted_square(codes, weights):
    if weights is None:
        return float(np.vdot(codes, codes))
    return float(weights @ np.einsum("ij,ij->i", codes, codes))


SIGNED = {"laplace": Laplace(), "spike_slab": SpikeSlab(one_sided=False)}
ONE_SIDED = {"exponential": Exponential(), "spike_slab": SpikeSlab(one_sided=True)}


@dataclass(frozen=True)
class MapCode:
    """The map from projections to codes that maximises the posterior.

    Parameters
    ----------
    prior : Prior
    threshold : float or ndarray of shape (n_components,)
        λ of every coefficient, or of each.
    """

    prior: Prior
    threshold: float | np.ndarray

    def encode(self, projections, scratch=None):
        """Overwrite projections with codes."""
        return self.prior.mode(projections, self.threshold, scratch)

    def gain(self, codes, weights=None):
        """Return the sum over samples of what the codes take off the objective."""
        return self.prior.gain(codes, self.threshold, weights)

    def slope(self, codes):
        """Return the derivative of the codes by their projections."""
        return self.prior.slope(codes)
