"""Noise and prior parameters of a dictionary with given thresholds, estimated lazily.

The thresholds λ of MAP codes are given, the noise variance is not. For a fixed
dictionary, the likelihood of σ² and of the prior parameters depends on the data through
the distribution of projections alone. One pass counts projections in a histogram with
logarithmic bins, and the maximization of the likelihood reads the histogram only. It
runs when the estimate is first asked for.
"""

from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from scipy.optimize import minimize, minimize_scalar

from skscn._core.model_parameters import (
    ModelParameters,
    Parametrization,
    initial_parameters,
    power_of_two,
    residual_nll,
)
from skscn._core.moments import Summable
from skscn._core.prior import Prior
from skscn._core.sparse_model import squared_norms
from skscn._core.workspace import Workspace

OCTAVES_BELOW, OCTAVES_ABOVE = 14, 12  # range of bins around the RMS of the data
# Bins per octave: fine enough for a few thousandths of a nat, of one histogram for all
# coefficients and of one for each.
BINS_PER_OCTAVE_SHARED, BINS_PER_OCTAVE = 16, 8
CHUNK_ROWS = 512  # counted at once
N_NOISE_CANDIDATES = 24  # on a grid of log σ², before the search around the best


@dataclass(frozen=True)
class HistogramBins:
    """Logarithmic bins of projections.

    Parameters
    ----------
    n_components : int
    data_rms : float
        Root mean square of the entries of the data.
    one_sided : bool
        Whether negative projections have bins of their own, after the positive ones.
    shared : bool
        Whether one histogram counts the projections of all coefficients.
    """

    n_components: int
    data_rms: float
    one_sided: bool
    shared: bool

    @classmethod
    def for_prior(cls, prior, thresholds, data_rms):
        """Return the bins that the likelihood of a prior needs.

        Coefficients share a histogram where their priors are the same.
        """
        shared = prior.determined_by_threshold and bool(np.ptp(thresholds) == 0)
        return cls(len(thresholds), data_rms, prior.one_sided, shared)

    @property
    def shape(self):
        """(n_histograms, n_bins)."""
        n_histograms = 1 if self.shared else self.n_components
        return n_histograms, self.n_magnitudes * (1 + self.one_sided)

    def rescaled(self, unit):
        """Return the bins of projections that are divided by a power of two."""
        return replace(self, data_rms=self.data_rms / unit)

    @property
    def centers(self):
        """Projections at the centers of the bins; the lowest also stands for zero."""
        first, n_bins = self.first_bin, self.n_magnitudes
        edges = np.arange(first, first + n_bins + 1) << self._bits
        edges = edges.view(np.float64)
        centers = (edges[1:] + edges[:-1]) / 2
        return np.concatenate([centers, -centers]) if self.one_sided else centers

    def count(self, projections, weights, counts):
        """Add the weights of projections to counts of shape `shape`."""
        n_bins, flat = self.n_magnitudes, counts.reshape(-1)
        first_of_histogram = 0
        if not self.shared:
            first_of_histogram = np.arange(self.n_components) * self.shape[1]
        for start in range(0, len(projections), CHUNK_ROWS):
            part = slice(start, start + CHUNK_ROWS)
            u = projections[part].astype(np.float64)
            # The bits of a float, read as an integer, are its logarithm to base two.
            bins = np.abs(u).view(np.int64)
            bins >>= self._bits
            bins -= self.first_bin
            np.clip(bins, 0, n_bins - 1, out=bins)
            if self.one_sided:
                bins += n_bins * (u < 0)
            bins += first_of_histogram
            w = None if weights is None else np.repeat(weights[part], u.shape[1])
            flat += np.bincount(bins.ravel(), weights=w, minlength=flat.size)

    @property
    def _per_octave(self):
        return BINS_PER_OCTAVE_SHARED if self.shared else BINS_PER_OCTAVE

    @property
    def _bits(self):
        """Bits of the mantissa that do not tell the bin."""
        return 52 - int(self._per_octave).bit_length() + 1

    @property
    def first_bin(self):
        """Number of the first bin among the bins of all scales."""
        lowest = np.float64(self.data_rms * 2.0**-OCTAVES_BELOW)
        return int(lowest.view(np.int64) >> self._bits)

    @property
    def n_magnitudes(self):
        """Number of bins of one sign."""
        return (OCTAVES_BELOW + OCTAVES_ABOVE) * self._per_octave


@dataclass(frozen=True)
class ProjectionHistogram(Summable):
    """Counts of projections by logarithmic bins, and the energy of the residuals.

    Parameters
    ----------
    counts : ndarray of shape (n_histograms, n_bins)
        Sums of weights.
    residual_sum_squares : float
        Σ w ‖r‖² of the residuals r.
    weight : float
        Σ w.
    missing_weight : float
        Σ w of the missing entries.
    """

    counts: np.ndarray
    residual_sum_squares: float
    weight: float
    missing_weight: float = 0.0

    def rebinned(self, bins, new_bins):
        """Return the histogram with bins of another range.

        Counts beyond the new range are added to its first and last bin.
        """
        shift = bins.first_bin - new_bins.first_bin
        if shift == 0:
            return self
        n_bins = bins.n_magnitudes
        targets = np.clip(np.arange(n_bins) + shift, 0, n_bins - 1)
        counts = np.zeros((self.counts.size // n_bins, n_bins))
        np.add.at(counts.T, targets, self.counts.reshape(counts.shape).T)
        return replace(self, counts=counts.reshape(self.counts.shape))

    @classmethod
    def zero(cls, bins):
        """Return the histogram of no data."""
        return cls(np.zeros(bins.shape), 0.0, 0.0)


def projection_histogram(rows, weights, *, model, bins):
    """Return the `ProjectionHistogram` of a slice of rows."""
    counts = np.zeros(bins.shape)
    residual_sum_squares, weight = 0.0, 0.0
    for block, w, projections, scratch in model.projections(rows, weights):
        squares = np.multiply(projections, projections, out=scratch)
        residual = squared_norms(block, model.mean) - squares.sum(axis=1)
        residual_sum_squares += float(residual.sum() if w is None else w @ residual)
        weight += float(len(residual) if w is None else w.sum())
        bins.count(projections, w, counts)
    return ProjectionHistogram(counts, residual_sum_squares, weight)


@dataclass(frozen=True)
class LazyEstimate:
    """Model parameters of largest likelihood for given thresholds.

    Parameters
    ----------
    prior : Prior
    threshold : ndarray of shape (n_components,)
        λ.
    histogram : ProjectionHistogram
    bins : HistogramBins
    n_features : int
    """

    prior: Prior
    threshold: np.ndarray
    histogram: ProjectionHistogram
    bins: HistogramBins
    n_features: int

    @cached_property
    def parameters(self):
        """The `ModelParameters`."""
        # In units of the data, data scaled by a power of two have the same estimate.
        unit = power_of_two(self.bins.data_rms)
        bins, shared = self.bins.rescaled(unit), self.bins.shared
        threshold = (self.threshold[:1] if shared else self.threshold) / unit
        residual = self.histogram.residual_sum_squares / unit**2
        counts = self.histogram.counts.T
        is_used = counts.any(axis=1)
        objective = _HistogramObjective(
            self.prior,
            np.ascontiguousarray(counts[is_used]),
            bins.centers[is_used],
            replace(self.histogram, residual_sum_squares=residual),
            (len(self.threshold), self.n_features),
            Parametrization(
                self.prior, len(threshold), np.square(bins.data_rms), has_offset=False
            ),
        )
        if not self.prior.determined_by_threshold:
            return objective.maximize_all().rescaled(self.prior, 1.0 / unit)
        parameters = objective.maximize_noise(threshold.astype(np.float64))
        parameters = parameters.rescaled(self.prior, 1.0 / unit)
        if not shared:
            return parameters
        repeated = np.repeat(parameters.prior_parameters, len(self.threshold), axis=1)
        return ModelParameters(repeated, parameters.noise_variance)


@dataclass(frozen=True)
class _HistogramObjective:
    """Negative log-likelihood of model parameters, from counts (n_bins, n_histograms).

    Parameters
    ----------
    prior : Prior
    counts : ndarray of shape (n_bins, n_histograms)
    centers : ndarray of shape (n_bins,)
    histogram : ProjectionHistogram
    shape : tuple of int
        (n_components, n_features).
    parametrization : Parametrization
    """

    prior: Prior
    counts: np.ndarray
    centers: np.ndarray
    histogram: ProjectionHistogram
    shape: tuple
    parametrization: Parametrization

    def maximize_noise(self, threshold):
        """Return the parameters of largest likelihood with rates λ/σ²."""
        lower, upper = self.parametrization.bounds
        log_threshold = np.log(np.maximum(threshold, np.finfo(float).tiny))

        def parameters(log_noise):
            log_rates = np.clip(log_threshold - log_noise, lower[0], upper[0])
            return ModelParameters(np.exp(log_rates)[None], float(np.exp(log_noise)))

        def nll(log_noise):
            return self._expectations(parameters(log_noise))[0]

        # There may be several minima: search around the best of a grid.
        grid = np.linspace(lower[-1], upper[-1], N_NOISE_CANDIDATES)
        best = int(np.argmin([nll(log_noise) for log_noise in grid]))
        bounds = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
        result = minimize_scalar(
            nll, bounds=bounds, method="bounded", options={"xatol": 1e-4}
        )
        return parameters(result.x)

    def maximize_all(self):
        """Return the parameters of largest likelihood."""
        parametrization = self.parametrization
        weight = self.histogram.weight
        residual = max(self.histogram.residual_sum_squares, 0.0)
        energies = self.centers**2 @ self.counts / weight
        mean_square = energies.sum() + residual / weight
        start = initial_parameters(
            parametrization, energies, mean_square, self.shape[1]
        )
        result = minimize(
            partial(self._value_and_gradient, sum_squares=mean_square * weight),
            parametrization.to_theta(start),
            jac=True,
            method="L-BFGS-B",
            bounds=list(zip(*parametrization.bounds, strict=True)),
        )
        return parametrization.from_theta(result.x)

    def _value_and_gradient(self, theta, sum_squares):
        parameters = self.parametrization.from_theta(theta)
        prior_parameters, noise = (
            parameters.prior_parameters,
            parameters.noise_variance,
        )
        nll, codes, statistics = self._expectations(parameters)
        weight = self.histogram.weight
        sum_u_mean = np.einsum("i,ij,ij->j", self.centers, self.counts, codes)
        second_moments = self.prior.sum_second_moments(
            prior_parameters, noise, statistics, sum_u_mean, weight
        )
        expected_residual = sum_squares - 2 * sum_u_mean.sum() + second_moments.sum()
        gradient, _ = self.prior.gradient_and_curvature(
            prior_parameters, statistics, weight
        )
        n_entries = weight * self.shape[1]
        n_measured = n_entries - self.histogram.missing_weight
        by_noise = (n_measured - expected_residual / noise) / 2
        return nll / n_entries, np.append(gradient.ravel(), by_noise) / n_entries

    def _expectations(self, parameters):
        """Return the objective, posterior means, and the statistics of the M-step."""
        noise_variance = parameters.noise_variance
        sigma = np.sqrt(noise_variance)
        z = np.repeat(self.centers[:, None] / sigma, self.counts.shape[1], axis=1)
        standardized, constant = self.prior.standardized_parameters(
            parameters.prior_parameters, noise_variance
        )
        standardized = [np.broadcast_to(row, z.shape) for row in standardized]
        log_density, statistics = self.prior.posterior(z, standardized, Workspace())
        histogram = self.histogram
        nll = residual_nll(
            histogram.residual_sum_squares,
            self.shape,
            histogram.weight,
            histogram.missing_weight,
            noise_variance,
        )
        nll -= np.vdot(self.counts, log_density) + self.counts.sum(axis=0) @ constant
        sums = [
            np.einsum("ij,ij->j", self.counts, statistic) * unit
            for statistic, unit in zip(
                statistics, self.prior.statistic_units(noise_variance), strict=True
            )
        ]
        return nll, z * sigma, np.array(sums)
