"""Priors of the coefficients: with orthonormal atoms each is one scalar function.

With D Dᵀ = I the objective ½‖x − aD‖² + Σ_j penalty(a_j) separates: up to a constant it
is Σ_j ½(u_j − a_j)² + penalty(a_j) with the projections u = x Dᵀ. A prior is the
minimizer of that scalar problem (its threshold, such as the ReLU) and, as a
distribution with parameters, the scalar posterior of `skscn._core.marginals`. A new
prior is one class and one entry in `SIGNED` or `ONE_SIDED`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import expit, log_ndtr, logit

from skscn._core import marginals
from skscn._core.marginals import LOG_SQRT_2PI, positive_part

# The scale of a coefficient lies between that of the data divided by this ratio and
# multiplied by it: beyond, a prior is flat or a point mass.
MAX_SCALE_RATIO = 1e6
MAX_LOG_ODDS = 14.0  # of slab to spike: a probability of 1e-6
SLAB_WEIGHT_START = 0.3  # probability of the slab that learning starts from


@dataclass(frozen=True)
class Prior(ABC):
    """The distribution of a coefficient before its sample is seen.

    The parameters of all coefficients are an ndarray of shape (n_parameters,
    n_components). Learning uses an unconstrained form of them, in which every real
    number is valid. The noise variance is σ². Statistics are sums over samples; they
    have the shape of the parameters.
    """

    one_sided: bool
    parameter_names: ClassVar[tuple]
    sigma_powers: ClassVar[tuple]  # powers of σ in the units of the statistics
    determined_by_threshold: ClassVar[bool]  # whether λ and σ² give all parameters

    @abstractmethod
    def map_code(self, projections, threshold, scratch=None):
        """Overwrite projections with the codes that minimize the objective.

        Parameters
        ----------
        projections : ndarray of shape (n_samples, n_components)
            u = (x − mean) Dᵀ; overwritten.
        threshold : float or ndarray of shape (n_components,)
            λ ≥ 0, in the units of the projections.
        scratch : ndarray of the shape and dtype of projections, default=None
            Working memory. None allocates a new array.

        Returns
        -------
        codes : ndarray of shape (n_samples, n_components)
            The array `projections` itself.
        """

    @abstractmethod
    def map_code_array_api(self, xp, projections, threshold):
        """Return what `map_code` computes, as a new array of a namespace `xp`."""

    def rank_codes(self, codes, out=None, *, threshold):
        """Return numbers that order codes by how much they lower the objective.

        They are positive for codes that are not zero.
        """
        return np.abs(codes, out=out)

    def rank_codes_array_api(self, xp, codes, threshold):
        """Return what `rank_codes` computes, as a new array of a namespace `xp`."""
        return xp.abs(codes)

    def objective_decreases_array_api(self, xp, codes, threshold):
        """Return the decrease of the objective by each code, in a namespace `xp`."""
        return 0.5 * codes * codes

    def objective_decrease(self, codes, threshold, weights=None):
        """Return by how much the codes lower the objective of the zero code.

        This is the weighted sum over samples and coefficients of
        ½u² − ½(u − a)² − penalty(a) at the optimal codes a.
        """
        return 0.5 * _weighted_sum_squares(codes, weights)

    @abstractmethod
    def standardized_parameters(self, parameters, noise_variance):
        """Return the parameters for unit noise, and the constant of the log-density.

        Returns
        -------
        standardized : tuple of ndarray of shape (n_components,)
            The arguments that `posterior` needs.
        constant : ndarray of shape (n_components,)
            Added to the log-density of u/σ that `posterior` returns, it gives the
            log-density of u.
        """

    def statistic_units(self, noise_variance):
        """Return the powers of σ that are the units of the statistics.

        They are not computed by ``**``, whose last bit can depend on the scale of σ.
        """
        powers = {0: 1.0, 1: np.sqrt(noise_variance), 2: noise_variance}
        return [powers[power] for power in self.sigma_powers]

    @abstractmethod
    def posterior(self, z, standardized, workspace):
        """Overwrite u/σ with the posterior means of a/σ.

        Returns
        -------
        log_density : ndarray of shape (n_samples, n_components)
        statistics : tuple of ndarray of the same shape
            The posterior expectations that the M-step sums, in units of the powers of σ
            in `sigma_powers`.
        """

    @abstractmethod
    def second_moment(self, z, mean, statistics, standardized):
        """Return the posterior mean of a²/σ² of every coefficient."""

    def log_density(self, z, standardized, workspace):
        """Return the log-density of `posterior` alone; overwrites z."""
        return self.posterior(z, standardized, workspace)[0]

    def log_density_bound(self, z, standardized, workspace):
        """Return an upper bound of `log_density`, which may be itself; overwrites z."""
        return self.log_density(z, standardized, workspace)

    @abstractmethod
    def posterior_variance(self, z, standardized):
        """Return the posterior variance of a/σ, in float64."""

    @abstractmethod
    def sum_second_moments(
        self, parameters, noise_variance, statistics, sum_u_mean, weight
    ):
        """Return Σ E a² of every coefficient, given `sum_u_mean` = Σ u E a."""

    @abstractmethod
    def m_step(self, statistics, weight):
        """Return the parameters of largest expected log-likelihood."""

    @abstractmethod
    def gradient_and_curvature(self, parameters, statistics, weight):
        """Return both for minus the log-likelihood, by unconstrained parameters.

        The curvature is that of the complete data, where codes are known: an upper
        bound.
        """

    @abstractmethod
    def rescaled(self, parameters, unit):
        """Return the parameters of coefficients that are divided by a unit."""

    @abstractmethod
    def to_unconstrained(self, parameters):
        """Return the unconstrained form of parameters."""

    @abstractmethod
    def from_unconstrained(self, unconstrained):
        """Return the parameters of an unconstrained form."""

    @abstractmethod
    def bounds(self, data_variance):
        """Return the lower and upper bounds of the unconstrained parameters."""

    @abstractmethod
    def initial_parameters(self, variance, *, is_central):
        """Return parameters for codes of some variance, or of some second moment.

        Parameters
        ----------
        variance : ndarray of shape (n_components,)
        is_central : bool
            Whether it is the variance about the mean. Otherwise it is about zero.
        """

    @abstractmethod
    def mean(self, parameters):
        """Return the mean of every coefficient."""

    @abstractmethod
    def variance(self, parameters):
        """Return the variance of every coefficient."""

    @abstractmethod
    def map_rule(self, parameters, noise_variance):
        """Return the threshold λ of the posterior mode, and its shrinkage κ or None."""

    @abstractmethod
    def sample(self, parameters, n_samples, rng):
        """Return codes drawn from the prior."""


class _RatePrior(Prior):
    """Priors with one parameter, the rate β: the density falls as exp(−β|a|)."""

    parameter_names = ("rate",)
    sigma_powers = (1,)
    determined_by_threshold = True

    def second_moment(self, z, mean, statistics, standardized):
        # E a² − u E a = σ² (1 − β E|a|): the integral of d/da [a p(a | u)] is zero.
        return z * mean + 1.0 - standardized[0] * statistics[0]

    def sum_second_moments(
        self, parameters, noise_variance, statistics, sum_u_mean, weight
    ):
        return sum_u_mean + noise_variance * (weight - parameters[0] * statistics[0])

    def m_step(self, statistics, weight):
        return weight / np.maximum(statistics, np.finfo(float).tiny * max(weight, 1.0))

    def gradient_and_curvature(self, parameters, statistics, weight):
        return parameters * statistics - weight, np.full(statistics.shape, weight)

    def rescaled(self, parameters, unit):
        return parameters * unit

    def to_unconstrained(self, parameters):
        return np.log(parameters)

    def from_unconstrained(self, unconstrained):
        return np.exp(unconstrained)

    def bounds(self, data_variance):
        return tuple(
            np.array([np.log(ratio / np.sqrt(data_variance))])
            for ratio in (1 / MAX_SCALE_RATIO, MAX_SCALE_RATIO)
        )

    def map_rule(self, parameters, noise_variance):
        return noise_variance * parameters[0], None


@dataclass(frozen=True)
class Laplace(_RatePrior):
    """Soft threshold: penalty λ|a|, code sign(u) max(|u| − λ, 0)."""

    one_sided: bool = False

    def map_code(self, projections, threshold, scratch=None):
        if np.ndim(threshold) == 0:
            clipped = np.clip(projections, -threshold, threshold, out=scratch)
        else:  # NumPy clips by arrays several times slower than it takes extrema
            clipped = np.minimum(projections, threshold, out=scratch)
            np.maximum(clipped, -threshold, out=clipped)
        projections -= clipped
        return projections

    def map_code_array_api(self, xp, projections, threshold):
        clipped = xp.minimum(projections, threshold)
        return projections - xp.maximum(clipped, -threshold)

    def standardized_parameters(self, parameters, noise_variance):
        rate = parameters[0] * np.sqrt(noise_variance)
        return (rate,), np.log(parameters[0] / 2) - LOG_SQRT_2PI

    def posterior(self, z, standardized, workspace):
        log_density, magnitude = marginals.laplace_posterior(
            z, standardized[0], workspace
        )
        return log_density, (magnitude,)

    def log_density(self, z, standardized, workspace):
        return marginals.laplace_log_density(z, standardized[0], workspace)

    def log_density_bound(self, z, standardized, workspace):
        return marginals.laplace_log_density_bound(z, standardized[0], workspace)

    def second_moment(self, z, mean, statistics, standardized):
        # The same. Where β and u are large, u E a and β E|a| are nearly equal and much
        # larger than their difference.
        size, magnitude, rate = np.abs(z), statistics[0], standardized[0]
        return size * (np.sign(z) * mean - magnitude) + (size - rate) * magnitude + 1.0

    def posterior_variance(self, z, standardized):
        return marginals.laplace_variance(z, *standardized)

    def initial_parameters(self, variance, *, is_central):
        return np.sqrt(2.0 / variance)[None]

    def mean(self, parameters):
        return np.zeros(parameters.shape[1])

    def variance(self, parameters):
        return 2.0 / parameters[0] ** 2

    def sample(self, parameters, n_samples, rng):
        shape = n_samples, parameters.shape[1]
        return rng.laplace(scale=1.0 / parameters[0], size=shape)


@dataclass(frozen=True)
class Exponential(_RatePrior):
    """ReLU with bias −λ: penalty λa on a ≥ 0, code max(u − λ, 0)."""

    one_sided: bool = True

    def map_code(self, projections, threshold, scratch=None):
        if np.ndim(threshold) > 0 or threshold != 0:
            projections -= threshold
        return positive_part(projections, out=projections)

    def map_code_array_api(self, xp, projections, threshold):
        return xp.maximum(projections - threshold, xp.zeros_like(projections))

    def standardized_parameters(self, parameters, noise_variance):
        rate = parameters[0] * np.sqrt(noise_variance)
        return (rate,), np.log(parameters[0]) - LOG_SQRT_2PI

    def posterior(self, z, standardized, workspace):
        log_density = marginals.exponential_posterior(z, standardized[0], workspace)
        return log_density, (z,)

    def posterior_variance(self, z, standardized):
        return marginals.exponential_variance(z, *standardized)

    def initial_parameters(self, variance, *, is_central):
        # The second moment of a coefficient is 2/β², its variance 1/β².
        return np.sqrt((1.0 if is_central else 2.0) / variance)[None]

    def mean(self, parameters):
        return 1.0 / parameters[0]

    def variance(self, parameters):
        return 1.0 / parameters[0] ** 2

    def sample(self, parameters, n_samples, rng):
        shape = n_samples, parameters.shape[1]
        return rng.exponential(scale=1.0 / parameters[0], size=shape)


@dataclass(frozen=True)
class SpikeSlab(Prior):
    """Hard threshold: penalty ½λ² 1[a ≠ 0], code u 1[|u| > λ] (one-sided: u > λ)."""

    one_sided: bool
    parameter_names = ("weight", "slab_variance")
    sigma_powers = (0, 2)
    determined_by_threshold = False

    def map_code(self, projections, threshold, scratch=None):
        magnitude = projections
        if not self.one_sided:
            magnitude = np.abs(projections, out=scratch)
        projections *= magnitude > threshold
        projections += 0.0  # turns −0 into 0
        return projections

    def map_code_array_api(self, xp, projections, threshold):
        magnitude = projections if self.one_sided else xp.abs(projections)
        return xp.where(magnitude > threshold, projections, xp.zeros_like(projections))

    def rank_codes(self, codes, out=None, *, threshold):
        if np.ndim(threshold) == 0:  # their moduli have the same order
            return np.abs(codes, out=out)
        # √(a² − λ²) by factors, which neither overflow nor underflow.
        magnitude = np.abs(codes)
        out = np.subtract(magnitude, threshold, out=out)
        positive_part(out, out=out)
        magnitude += threshold
        np.sqrt(out, out=out)
        out *= np.sqrt(magnitude, out=magnitude)
        return out

    def rank_codes_array_api(self, xp, codes, threshold):
        magnitude = xp.abs(codes)
        excess = xp.maximum(magnitude - threshold, xp.zeros_like(codes))
        return xp.sqrt(excess) * xp.sqrt(magnitude + threshold)

    def objective_decreases_array_api(self, xp, codes, threshold):
        decreases = super().objective_decreases_array_api(xp, codes, threshold)
        penalty = xp.where(codes != 0, 0.5 * threshold**2, xp.zeros_like(codes))
        return decreases - penalty

    def objective_decrease(self, codes, threshold, weights=None):
        active = codes != 0
        if weights is not None:
            penalty = weights @ (
                active @ np.broadcast_to(threshold**2, active.shape[1:])
            )
        elif np.ndim(threshold) == 0:
            penalty = threshold**2 * np.count_nonzero(active)
        else:
            penalty = np.count_nonzero(active, axis=0) @ threshold**2
        return super().objective_decrease(codes, threshold, weights) - 0.5 * float(
            penalty
        )

    def standardized_parameters(self, parameters, noise_variance):
        weight, slab_variance = parameters
        noise_fraction = noise_variance / (noise_variance + slab_variance)
        wiener_gain = slab_variance / (noise_variance + slab_variance)
        log_odds = logit(weight) + np.log(noise_fraction) / 2
        constant = np.log1p(-weight) - LOG_SQRT_2PI - np.log(noise_variance) / 2
        return (wiener_gain, noise_fraction, log_odds), constant

    def posterior(self, z, standardized, workspace):
        kernel = marginals.spike_slab_posterior
        if self.one_sided:
            kernel = marginals.half_spike_slab_posterior
        wiener_gain, noise_fraction, log_odds = standardized
        log_density, *statistics = kernel(
            z, wiener_gain, noise_fraction, log_odds, workspace
        )
        return log_density, tuple(statistics)

    def log_density_bound(self, z, standardized, workspace):
        if self.one_sided:
            return self.log_density(z, standardized, workspace)
        return marginals.spike_slab_log_density_bound(z, standardized, workspace)

    def posterior_variance(self, z, standardized):
        kernel = marginals.spike_slab_variance
        if self.one_sided:
            kernel = marginals.half_spike_slab_variance
        return kernel(z, *standardized)

    def second_moment(self, z, mean, statistics, standardized):
        return statistics[1]

    def sum_second_moments(
        self, parameters, noise_variance, statistics, sum_u_mean, weight
    ):
        return statistics[1]

    def m_step(self, statistics, weight):
        active, second_moment = np.maximum(statistics, np.finfo(float).tiny)
        return np.array([active / weight, second_moment / active])

    def gradient_and_curvature(self, parameters, statistics, weight):
        slab_weight, slab_variance = parameters
        active, second_moment = statistics
        gradient = [
            weight * slab_weight - active,
            (active - second_moment / slab_variance) / 2,
        ]
        curvature = [weight * slab_weight * (1 - slab_weight), active / 2]
        return np.array(gradient), np.array(curvature)

    def rescaled(self, parameters, unit):
        return np.array([parameters[0], parameters[1] / unit**2])

    def to_unconstrained(self, parameters):
        return np.array([logit(parameters[0]), np.log(parameters[1])])

    def from_unconstrained(self, unconstrained):
        return np.array([expit(unconstrained[0]), np.exp(unconstrained[1])])

    def bounds(self, data_variance):
        log_ratio = np.log(MAX_SCALE_RATIO)
        return tuple(
            np.array([sign * MAX_LOG_ODDS, np.log(data_variance) + sign * log_ratio])
            for sign in (-1, 1)
        )

    def initial_parameters(self, variance, *, is_central):
        weight = np.full(len(variance), SLAB_WEIGHT_START)
        return np.array([weight, variance / weight])

    def mean(self, parameters):
        weight, slab_variance = parameters
        if not self.one_sided:
            return np.zeros(len(weight))
        return weight * np.sqrt(2 * slab_variance / np.pi)

    def variance(self, parameters):
        weight, slab_variance = parameters
        return weight * slab_variance - self.mean(parameters) ** 2

    def map_rule(self, parameters, noise_variance):
        standardized, _ = self.standardized_parameters(parameters, noise_variance)
        wiener_gain, _, log_odds = standardized
        log_odds_of_zero = np.maximum(-log_odds, 0.0)
        # Without the factor Φ(√κ z) of a half normal the odds are even at this z.
        z = np.sqrt(2 * log_odds_of_zero / wiener_gain)
        if not self.one_sided:
            energy = 2 * noise_variance * log_odds_of_zero / wiener_gain
            return np.sqrt(energy), wiener_gain
        # The odds increase with u; bisection finds where they are even.
        low, high = np.zeros(len(wiener_gain)), z
        for _ in range(60):
            z = (low + high) / 2
            odds = log_odds + wiener_gain * z**2 / 2
            odds = odds + np.log(2) + log_ndtr(np.sqrt(wiener_gain) * z)
            low, high = np.where(odds < 0, z, low), np.where(odds < 0, high, z)
        return np.sqrt(noise_variance) * high, wiener_gain

    def sample(self, parameters, n_samples, rng):
        weight, slab_variance = parameters
        shape = n_samples, len(slab_variance)
        codes = rng.normal(scale=np.sqrt(slab_variance), size=shape)
        if self.one_sided:
            codes = np.abs(codes)
        return codes * (rng.uniform(size=codes.shape) < weight)


def _weighted_sum_squares(codes, weights):
    if weights is None:
        return float(np.vdot(codes, codes))
    return float(weights @ np.einsum("ij,ij->i", codes, codes))


SIGNED = {"laplace": Laplace(), "spike_slab": SpikeSlab(one_sided=False)}
ONE_SIDED = {"exponential": Exponential(), "spike_slab": SpikeSlab(one_sided=True)}
