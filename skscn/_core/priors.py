"""Priors of the codes: with orthonormal atoms each is one scalar function.

With D Dᵀ = I the objective ½‖x − aD‖² + Σ_j penalty(a_j) separates: up to a constant
it is Σ_j ½(u_j − a_j)² + penalty(a_j) with the projections u = x Dᵀ. A prior is known
by the minimiser of that scalar problem, and as a distribution with numbers of its own,
the `parameters`, by what a projection says of them (`skscn._core.marginals`). A new
prior is one class and one entry in `SIGNED` or `ONE_SIDED`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import expit, log_ndtr, logit

from skscn._core import marginals

LOG_ROOT = marginals.LOG_ROOT
FURTHEST = 1e6  # scale of a coefficient by that of the data, or the inverse
SURE = 14.0  # largest log odds of the slab to the spike


@dataclass(frozen=True)
class Prior(ABC):
    """What a coefficient is expected to be before its sample is seen.

    As a distribution it has `parameters`, an ndarray of shape (n_parameters,
    n_components); learning moves their `coordinates`, which may be any number. `noise`
    is σ². Statistics are sums over samples, of the shape of the parameters.
    """

    one_sided: bool
    names: ClassVar[tuple]
    units: ClassVar[tuple]  # of the statistics, as powers of σ
    given_by_threshold: ClassVar[bool]  # whether λ and σ² say all of the parameters

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

    @abstractmethod
    def codes(self, xp, projections, threshold):
        """Return what `mode` does, as a new array of an array namespace `xp`."""

    def gains(self, xp, codes, threshold):
        """Return what every code takes off the objective, in an array namespace."""
        return 0.5 * codes * codes

    def gain(self, codes, threshold, weights=None):
        """Return what the codes take off the objective of the zero code.

        The weighted sum over samples and coefficients of
        ½u² − ½(u − a)² − penalty(a) at the optimal codes a.
        """
        return 0.5 * _weighted_square(codes, weights)

    @abstractmethod
    def scalars(self, parameters, noise):
        """Return what `posterior` needs of each coefficient, and log_density's rest.

        Returns
        -------
        scalars : tuple of ndarray of shape (n_components,)
            For noise of variance one.
        constant : ndarray of shape (n_components,)
            To be added to log_density: that of u, not of u/σ.
        """

    @abstractmethod
    def posterior(self, z, scalars, room):
        """Overwrite u/σ with posterior means of a/σ.

        Returns
        -------
        log_density : ndarray of shape (n_samples, n_components)
        statistics : tuple of ndarray of the same shape
            What the M-step sums, in powers of σ that `units` tells.
        """

    @abstractmethod
    def square(self, z, mean, statistics, scalars):
        """Return the posterior mean of a²/σ² of every coefficient."""

    def log_density(self, z, scalars, room):
        """Return the log_density of `posterior` alone; overwrites z."""
        return self.posterior(z, scalars, room)[0]

    @abstractmethod
    def variance(self, z, scalars):
        """Return the posterior variance of a/σ, in float64."""

    @abstractmethod
    def squares(self, parameters, noise, statistics, explained, weight):
        """Return Σ E a² of every coefficient, from Σ u E a = `explained`."""

    @abstractmethod
    def m_step(self, statistics, weight):
        """Return the parameters that the statistics make most likely."""

    @abstractmethod
    def slopes(self, parameters, statistics, weight):
        """Return gradient and curvature of minus the log-likelihood by coordinates.

        The curvature is that of known codes: an upper bound.
        """

    @abstractmethod
    def coordinates(self, parameters):
        """Return the parameters as coordinates."""

    @abstractmethod
    def parameters(self, coordinates):
        """Return the parameters of coordinates."""

    @abstractmethod
    def limits(self, scale):
        """Return the least and the largest coordinates, for data of some variance."""

    @abstractmethod
    def guess(self, variance, offset):
        """Return parameters for codes of a variance, or square where offset is None."""

    @abstractmethod
    def mean(self, parameters):
        """Return the mean of every coefficient."""

    @abstractmethod
    def rule(self, parameters, noise):
        """Return threshold λ, and shrinkage κ or None, of the posterior mode."""

    @abstractmethod
    def draw(self, parameters, n_samples, rng):
        """Return codes drawn from the prior."""


class _Rate(Prior):
    """Priors that have one number, the rate β: the density falls as exp(−β|a|)."""

    names = ("rate",)
    units = (1,)
    given_by_threshold = True

    def square(self, z, mean, statistics, scalars):
        # E a² − u E a = σ² (1 − β E|a|): the integral of d/da [a p(a | u)] is zero.
        return z * mean + 1.0 - scalars[0] * statistics[0]

    def squares(self, parameters, noise, statistics, explained, weight):
        return explained + noise * (weight - parameters[0] * statistics[0])

    def m_step(self, statistics, weight):
        return weight / np.maximum(statistics, np.finfo(float).tiny * max(weight, 1.0))

    def slopes(self, parameters, statistics, weight):
        return parameters * statistics - weight, np.full(statistics.shape, weight)

    def coordinates(self, parameters):
        return np.log(parameters)

    def parameters(self, coordinates):
        return np.exp(coordinates)

    def limits(self, scale):
        return tuple(
            np.array([np.log(factor / np.sqrt(scale))])
            for factor in (1 / FURTHEST, FURTHEST)
        )

    def rule(self, parameters, noise):
        return noise * parameters[0], None


@dataclass(frozen=True)
class Laplace(_Rate):
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

    def codes(self, xp, projections, threshold):
        inside = xp.minimum(projections, threshold)
        return projections - xp.maximum(inside, -threshold)

    def scalars(self, parameters, noise):
        rate = parameters[0] * np.sqrt(noise)
        return (rate,), np.log(parameters[0] / 2) - LOG_ROOT

    def posterior(self, z, scalars, room):
        log_density, size = marginals.laplace(z, scalars[0], room)
        return log_density, (size,)

    def log_density(self, z, scalars, room):
        return marginals.laplace_density(z, scalars[0], room)

    def variance(self, z, scalars):
        return marginals.laplace_variance(z, *scalars)

    def guess(self, variance, offset):
        return np.sqrt(2.0 / variance)[None]

    def mean(self, parameters):
        return np.zeros(parameters.shape[1])

    def draw(self, parameters, n_samples, rng):
        shape = n_samples, parameters.shape[1]
        return rng.laplace(scale=1.0 / parameters[0], size=shape)


@dataclass(frozen=True)
class Exponential(_Rate):
    """ReLU with bias −λ: penalty λa on a ≥ 0, code max(u − λ, 0)."""

    one_sided: bool = True

    def mode(self, projections, threshold, scratch=None):
        projections -= threshold
        return np.maximum(projections, 0, out=projections)

    def codes(self, xp, projections, threshold):
        return xp.maximum(projections - threshold, xp.zeros_like(projections))

    def scalars(self, parameters, noise):
        rate = parameters[0] * np.sqrt(noise)
        return (rate,), np.log(parameters[0]) - LOG_ROOT

    def posterior(self, z, scalars, room):
        return marginals.exponential(z, scalars[0], room), (z,)

    def variance(self, z, scalars):
        return marginals.exponential_variance(z, *scalars)

    def guess(self, variance, offset):
        # The square of a coefficient is 2/β² in the mean, its variance is 1/β².
        return np.sqrt((2.0 if offset is None else 1.0) / variance)[None]

    def mean(self, parameters):
        return 1.0 / parameters[0]

    def draw(self, parameters, n_samples, rng):
        shape = n_samples, parameters.shape[1]
        return rng.exponential(scale=1.0 / parameters[0], size=shape)


@dataclass(frozen=True)
class SpikeSlab(Prior):
    """Hard threshold: penalty ½λ² 1[a ≠ 0], code u 1[|u| > λ] (one-sided: u > λ)."""

    one_sided: bool
    names = ("weight", "slab_variance")
    units = (0, 2)
    given_by_threshold = False

    def mode(self, projections, threshold, scratch=None):
        size = projections if self.one_sided else np.abs(projections, out=scratch)
        projections *= size > threshold
        projections += 0.0  # no negative zeros
        return projections

    def codes(self, xp, projections, threshold):
        size = projections if self.one_sided else xp.abs(projections)
        return xp.where(size > threshold, projections, xp.zeros_like(projections))

    def gains(self, xp, codes, threshold):
        gains = super().gains(xp, codes, threshold)
        cost = xp.where(codes != 0, 0.5 * threshold**2, xp.zeros_like(codes))
        return gains - cost

    def gain(self, codes, threshold, weights=None):
        active = codes != 0
        if weights is not None:
            cost = weights @ (active @ np.broadcast_to(threshold**2, active.shape[1:]))
        elif np.ndim(threshold) == 0:
            cost = threshold**2 * np.count_nonzero(active)
        else:
            cost = np.count_nonzero(active, axis=0) @ threshold**2
        return super().gain(codes, threshold, weights) - 0.5 * float(cost)

    def scalars(self, parameters, noise):
        weight, slab = parameters
        lost = noise / (noise + slab)
        kept = slab / (noise + slab)
        log_odds = logit(weight) + np.log(lost) / 2
        constant = np.log1p(-weight) - LOG_ROOT - np.log(noise) / 2
        return (kept, lost, log_odds), constant

    def posterior(self, z, scalars, room):
        kernel = marginals.half_spike_slab if self.one_sided else marginals.spike_slab
        kept, lost, log_odds = scalars
        log_density, *statistics = kernel(z, kept, lost, log_odds, room)
        return log_density, tuple(statistics)

    def variance(self, z, scalars):
        kernel = (
            marginals.half_spike_slab_variance
            if self.one_sided
            else marginals.spike_slab_variance
        )
        return kernel(z, *scalars)

    def square(self, z, mean, statistics, scalars):
        return statistics[1]

    def squares(self, parameters, noise, statistics, explained, weight):
        return statistics[1]

    def m_step(self, statistics, weight):
        active, square = np.maximum(statistics, np.finfo(float).tiny)
        return np.array([active / weight, square / active])

    def slopes(self, parameters, statistics, weight):
        share, slab = parameters
        active, square = statistics
        gradient = [weight * share - active, (active - square / slab) / 2]
        curvature = [weight * share * (1 - share), active / 2]
        return np.array(gradient), np.array(curvature)

    def coordinates(self, parameters):
        return np.array([logit(parameters[0]), np.log(parameters[1])])

    def parameters(self, coordinates):
        return np.array([expit(coordinates[0]), np.exp(coordinates[1])])

    def limits(self, scale):
        return tuple(
            np.array([sign * SURE, np.log(scale) + sign * np.log(FURTHEST)])
            for sign in (-1, 1)
        )

    def guess(self, variance, offset):
        share = np.full(len(variance), 0.3)
        return np.array([share, variance / share])

    def mean(self, parameters):
        share, slab = parameters
        if not self.one_sided:
            return np.zeros(len(share))
        return share * np.sqrt(2 * slab / np.pi)

    def rule(self, parameters, noise):
        (kept, _, log_odds), _ = self.scalars(parameters, noise)
        if not self.one_sided:
            return np.sqrt(2 * noise * np.maximum(-log_odds, 0.0) / kept), kept
        # The odds grow with u; halving finds where they are even.
        low = np.zeros(len(kept))
        high = np.sqrt(2 * np.maximum(-log_odds, 0.0) / kept)
        for _ in range(60):
            z = (low + high) / 2
            odds = log_odds + kept * z**2 / 2 + np.log(2) + log_ndtr(np.sqrt(kept) * z)
            low, high = np.where(odds < 0, z, low), np.where(odds < 0, high, z)
        return np.sqrt(noise) * high, kept

    def draw(self, parameters, n_samples, rng):
        share, slab = parameters
        codes = rng.normal(scale=np.sqrt(slab), size=(n_samples, len(slab)))
        if self.one_sided:
            codes = np.abs(codes)
        return codes * (rng.uniform(size=codes.shape) < share)


def _weighted_square(codes, weights):
    if weights is None:
        return float(np.vdot(codes, codes))
    return float(weights @ np.einsum("ij,ij->i", codes, codes))


SIGNED = {"laplace": Laplace(), "spike_slab": SpikeSlab(one_sided=False)}
ONE_SIDED = {"exponential": Exponential(), "spike_slab": SpikeSlab(one_sided=True)}
