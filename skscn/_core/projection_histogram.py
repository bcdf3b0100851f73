"""Noise and prior of a dictionary with hard codes: a maximum of the likelihood.

The thresholds λ of hard codes are given, and the noise is not. For a dictionary that
stands, what the likelihood of σ² and of a prior's numbers needs to know of the data is
how often projections have which size: one more pass counts them, and the search for the
maximum looks at the counts alone.
"""

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from scipy.optimize import minimize, minimize_scalar

from skscn._core.model_parameters import (
    Coordinates,
    ModelParameters,
    first_belief,
    noise_cost,
)
from skscn._core.moments import Summable, projected, squared_norms
from skscn._core.normal_tail import Room
from skscn._core.priors import Prior

OCTAVES = 14, 12  # of projections below and above the size of the data
CHUNK_ROWS = 512  # counted at once
FINE, COARSE = 16, 8  # bins an octave, of one spectrum for all and of one for each


@dataclass(frozen=True)
class Spectrum(Summable):
    """How large the projections on given atoms are: counts by logarithmic bins.

    A sum over samples that holds, to a few thousandths of a nat, what the likelihood
    of a noise variance and of the numbers of a prior needs to know of the data.

    Parameters
    ----------
    counts : ndarray of shape (n_spectra, n_bins)
        Weights, of each coefficient or of all together; negative projections in the
        second half of the bins where the prior is one-sided.
    outside : float
        Σ w of the energy that no atom reaches.
    weight : float
    missing : float
        As of `DataMoments`.
    """

    counts: np.ndarray
    outside: float
    weight: float
    missing: float = 0.0


def spectrum(rows, weights, *, components, mean, size, one_sided, pooled):
    """Return the `Spectrum` of a slice of rows.

    Parameters
    ----------
    rows, weights, components, mean
        As for `code_moments`.
    size : float
        Of the data: the root mean square of their entries.
    one_sided : bool
    pooled : bool
        Whether all coefficients are counted together.
    """
    counted = Counts(len(components), size, one_sided=one_sided, pooled=pooled)
    outside, weight = 0.0, 0.0
    for block, w, projections, scratch in projected(rows, weights, components, mean):
        square = np.multiply(projections, projections, out=scratch)
        lost = squared_norms(block, mean) - square.sum(axis=1)
        outside += float(lost.sum() if w is None else w @ lost)
        weight += float(len(lost) if w is None else w.sum())
        counted.add(projections, w)
    return counted.spectrum(outside, weight)


class Counts:
    """Counts of projections, to be added to: the parameters are those of `spectrum`."""

    def __init__(self, n_components, size, *, one_sided, pooled):
        self._octave = FINE if pooled else COARSE
        self._first, n_bins = _bins(size, self._octave)
        n_spectra, n_signs = 1 if pooled else n_components, 1 + one_sided
        self._shape = n_spectra, n_signs * n_bins
        self._counts = np.zeros(n_spectra * n_signs * n_bins)
        self._place = 0 if pooled else np.arange(n_components) * n_signs * n_bins
        self._one_sided, self._n_bins = one_sided, n_bins

    def add(self, projections, weights):
        """Count projections of shape (n_rows, n_components)."""
        for start in range(0, len(projections), CHUNK_ROWS):
            part = slice(start, start + CHUNK_ROWS)
            u = projections[part].astype(np.float64)
            # The bits of a float, read as an integer, are its logarithm to base two.
            bins = np.abs(u).view(np.int64)
            bins >>= _shift(self._octave)
            bins -= self._first
            np.clip(bins, 0, self._n_bins - 1, out=bins)
            if self._one_sided:
                bins += self._n_bins * (u < 0)
            bins += self._place
            each = None if weights is None else np.repeat(weights[part], u.shape[1])
            self._counts += np.bincount(
                bins.ravel(), weights=each, minlength=self._counts.size
            )

    def spectrum(self, outside, weight):
        """Return the `Spectrum` with its other sums."""
        return Spectrum(self._counts.reshape(self._shape), outside, weight)


def pooled(prior, threshold):
    """Return whether all coefficients are alike, and counted together."""
    return prior.given_by_threshold and bool(np.ptp(threshold) == 0)


def empty_spectrum(n_components, one_sided, pooled):
    """Return the spectrum of no data."""
    n_bins = sum(OCTAVES) * (FINE if pooled else COARSE) * (1 + one_sided)
    return Spectrum(np.zeros((1 if pooled else n_components, n_bins)), 0.0, 0.0)


def _shift(octave):
    return 52 - int(octave).bit_length() + 1


def _bins(size, octave):
    least = np.float64(size * 2.0 ** -OCTAVES[0])
    return int(least.view(np.int64) >> _shift(octave)), sum(OCTAVES) * octave


def _centres(size, octave, one_sided):
    """Return the projections that bins stand for; the lowest stands for zero too."""
    first, n_bins = _bins(size, octave)
    edges = (np.arange(first, first + n_bins + 1) << _shift(octave)).view(np.float64)
    centres = (edges[1:] + edges[:-1]) / 2
    return np.concatenate([centres, -centres]) if one_sided else centres


@dataclass(frozen=True)
class LazyEstimate:
    """A dictionary with hard codes, as a distribution: estimated when it is asked for.

    Parameters
    ----------
    prior : Prior
    threshold : ndarray of shape (n_components,)
        λ.
    spectrum : Spectrum
    size : float
        As for `spectrum`.
    n_features : int
    """

    prior: Prior
    threshold: np.ndarray
    spectrum: Spectrum
    size: float
    n_features: int

    @cached_property
    def belief(self):
        """The belief of largest likelihood for these thresholds."""
        counts = self.spectrum.counts.T
        used = counts.any(axis=1)
        together = pooled(self.prior, self.threshold)
        threshold = self.threshold[:1] if together else self.threshold
        cost = _Cost(
            self.prior,
            np.ascontiguousarray(counts[used]),
            _centres(self.size, FINE if together else COARSE, self.prior.one_sided)[
                used
            ],
            self.spectrum,
            (len(self.threshold), self.n_features),
            Coordinates(self.prior, len(threshold), self.size**2, offset=False),
        )
        if self.prior.given_by_threshold:
            belief = cost.best_noise(threshold.astype(np.float64))
        else:
            belief = cost.best_numbers()
        if together:
            parameters = np.repeat(belief.parameters, len(self.threshold), axis=1)
            return ModelParameters(parameters, belief.noise)
        return belief


@dataclass(frozen=True)
class _Cost:
    """Minus the log-likelihood of a belief, from counts (n_bins, n_spectra)."""

    prior: Prior
    counts: np.ndarray
    centres: np.ndarray
    spectrum: Spectrum
    shape: tuple
    coordinates: Coordinates

    def best_noise(self, threshold):
        """Return the belief of largest likelihood with rates λ/σ²."""
        low, high = self.coordinates.limits
        log_threshold = np.log(np.maximum(threshold, np.finfo(float).tiny))

        def belief(log_noise):
            log_rates = np.clip(log_threshold - log_noise, low[0], high[0])
            return ModelParameters(np.exp(log_rates)[None], float(np.exp(log_noise)))

        def cost(log_noise):
            return self._posterior(belief(log_noise))[0]

        # There may be several minima: the best of a few, then its own.
        grid = np.linspace(low[-1], high[-1], 24)
        best = int(np.argmin([cost(log_noise) for log_noise in grid]))
        ends = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
        options = {"xatol": 1e-4}
        found = minimize_scalar(cost, bounds=ends, method="bounded", options=options)
        return belief(found.x)

    def best_numbers(self):
        """Return the belief of largest likelihood."""
        coordinates, outside = self.coordinates, max(self.spectrum.outside, 0.0)
        energies = self.centres**2 @ self.counts / self.spectrum.weight
        square = energies.sum() + outside / self.spectrum.weight
        start = first_belief(coordinates, energies, square, self.shape[1])
        least = minimize(
            partial(self._slopes, square=square * self.spectrum.weight),
            coordinates.numbers(start),
            jac=True,
            method="L-BFGS-B",
            bounds=list(zip(*coordinates.limits, strict=True)),
        )
        return coordinates.belief(least.x)

    def _slopes(self, numbers, square):
        belief = self.coordinates.belief(numbers)
        value, codes, statistics = self._posterior(belief)
        weight, noise = self.spectrum.weight, belief.noise
        explained = np.einsum("i,ij,ij->j", self.centres, self.counts, codes)
        squares = self.prior.squares(
            belief.parameters, noise, statistics, explained, weight
        )
        lost = square - 2 * explained.sum() + squares.sum()
        gradient, _ = self.prior.slopes(belief.parameters, statistics, weight)
        measured = weight * self.shape[1] - self.spectrum.missing
        by_noise = (measured - lost / noise) / 2
        size = weight * self.shape[1]
        return value / size, np.append(gradient.ravel(), by_noise) / size

    def _posterior(self, belief):
        """Return the cost, posterior means, and what the M-step sums."""
        sigma = np.sqrt(belief.noise)
        z = np.repeat(self.centres[:, None] / sigma, self.counts.shape[1], axis=1)
        scalars, constant = self.prior.scalars(belief.parameters, belief.noise)
        scalars = [np.broadcast_to(row, z.shape) for row in scalars]
        log_density, statistics = self.prior.posterior(z, scalars, Room(z.shape, float))
        found = self.spectrum
        cost = noise_cost(
            found.outside, self.shape, found.weight, found.missing, belief.noise
        )
        cost -= np.vdot(self.counts, log_density) + self.counts.sum(axis=0) @ constant
        sums = [
            np.einsum("ij,ij->j", self.counts, statistic) * sigma**power
            for statistic, power in zip(statistics, self.prior.units, strict=True)
        ]
        return cost, z * sigma, np.array(sums)
