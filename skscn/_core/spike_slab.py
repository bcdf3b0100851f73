"""The prior of hard thresholds: a coefficient is zero, or normally distributed."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_ndtr, logit

from skscn._core import marginals
from skscn._core.marginals import LOG_SQRT_2PI, positive_part
from skscn._core.prior import MAX_SCALE_RATIO, Prior

MAX_LOG_ODDS = 14.0  # of slab to spike: a probability of 1e-6
SLAB_WEIGHT_START = 0.3  # probability of the slab that learning starts from


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
        # Sums of the same weights in another order may be larger by rounding errors.
        return np.array([np.minimum(active / weight, 1.0), second_moment / active])

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
