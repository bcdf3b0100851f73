"""The interface of priors: with orthonormal atoms each is one scalar function.

With D Dᵀ = I the objective ½‖x − aD‖² + Σ_j penalty(a_j) separates: up to a constant it
is Σ_j ½(u_j − a_j)² + penalty(a_j) with the projections u = x Dᵀ. A prior is the
minimizer of that scalar problem (its threshold, such as the ReLU) and, as a
distribution with parameters, the scalar posterior of `skscn._core.marginals`. A new
prior is one class and one entry in `SIGNED` or `ONE_SIDED` of `skscn._core.priors`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

# The scale of a coefficient lies between that of the data divided by this ratio and
# multiplied by it: beyond, a prior is flat or a point mass.
MAX_SCALE_RATIO = 1e6


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


def _weighted_sum_squares(codes, weights):
    if weights is None:
        return float(np.vdot(codes, codes))
    return float(weights @ np.einsum("ij,ij->i", codes, codes))
