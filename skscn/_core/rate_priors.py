"""Priors with a rate: Laplace, of soft thresholds, and exponential, of the ReLU."""

from dataclasses import dataclass

import numpy as np

from skscn._core import marginals
from skscn._core.marginals import LOG_SQRT_2PI, positive_part
from skscn._core.prior import MAX_SCALE_RATIO, Prior


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
