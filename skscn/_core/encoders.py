"""Encoders map projections to codes: the posterior mode, or the posterior mean.

Both also sum over samples what learning needs: `encode_and_sum` overwrites projections
with codes and returns by how much these lower the objective, and the statistics of the
M-step.
"""

from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from skscn._core.code_limit import keep_largest, keep_largest_array_api
from skscn._core.prior import Prior
from skscn._core.priors import SIGNED
from skscn._core.workspace import Workspace

# Entries that special functions work on at once: fewer make calls so short that workers
# wait for each other, more leave the cache.
CHUNK_ENTRIES = 32_768


@dataclass(frozen=True)
class MapEncoder:
    """The posterior mode: a threshold, and a limit to the number of coefficients.

    Parameters
    ----------
    prior : Prior
    threshold : float or ndarray of shape (n_components,)
        λ of all coefficients, or of each.
    shrinkage : ndarray of shape (n_components,), default=None
        Factor of codes beyond the threshold. None stands for one.
    n_nonzero : int, default=None
        The largest number of non-zero coefficients of a sample. None stands for no
        limit.
    """

    prior: Prior
    threshold: float | np.ndarray
    shrinkage: np.ndarray | None = None
    n_nonzero: int | None = None

    # Rows of a slice that the curvature is estimated from. It only steers the steps of
    # the optimizer, and its estimate is as expensive as the codes.
    n_curvature_rows = 1024

    @classmethod
    def from_thresholds(cls, prior, thresholds, dtype, shrinkage=None, n_nonzero=None):
        """Return the encoder with an array of thresholds, in some dtype."""
        # NumPy works faster with a number than with an array of equal numbers.
        is_uniform = np.all(thresholds == thresholds[0])
        return cls(
            prior,
            float(thresholds[0]) if is_uniform else thresholds.astype(dtype),
            None if shrinkage is None else shrinkage.astype(dtype),
            n_nonzero,
        )

    def for_worker(self):
        """Return the encoder for one worker, with a workspace of its own if needed."""
        return self

    def encode(self, projections, scratch=None):
        """Overwrite projections with codes."""
        codes = self.prior.map_code(projections, self.threshold, scratch)
        if self.shrinkage is not None:
            codes *= self.shrinkage
        if self.n_nonzero is not None:
            rank = partial(self.prior.rank_codes, threshold=self.threshold)
            keep_largest(codes, self.n_nonzero, rank, scratch)
        return codes

    def encode_array_api(self, xp, projections, threshold):
        """Return codes without shrinkage, as a new array of a namespace `xp`.

        The threshold is an array of that namespace.
        """
        codes = self.prior.map_code_array_api(xp, projections, threshold)
        if self.n_nonzero is None:
            return codes
        ranks = self.prior.rank_codes_array_api(xp, codes, threshold)
        return keep_largest_array_api(xp, codes, self.n_nonzero, ranks)

    def encode_and_sum(self, projections, scratch=None, weights=None, first_rows=None):
        """Overwrite projections with codes; return their sums over samples.

        Parameters
        ----------
        projections : ndarray of shape (n_samples, n_components)
        scratch : ndarray of the shape and dtype of projections, default=None
        weights : ndarray of shape (n_samples,), default=None
        first_rows : ndarray of shape (n_first, n_components), default=None
            A copy of the first projections, overwritten with the derivatives of their
            codes.

        Returns
        -------
        objective_decrease : float
        statistics : None
        """
        codes = self.encode(projections, scratch)
        if first_rows is not None:
            n_first = len(first_rows)
            np.not_equal(codes[:n_first], 0, out=first_rows, casting="unsafe")
        decrease = self.prior.objective_decrease(codes, self.threshold, weights)
        return decrease, None

    def derivative(self, projections):
        """Return the derivatives of the codes by their projections."""
        return self.encode(projections.copy()) != 0


@dataclass(frozen=True)
class PosteriorMeanEncoder:
    """The posterior mean.

    Parameters
    ----------
    prior : Prior
    parameters : ndarray of shape (n_parameters, n_components)
        Of the prior.
    noise_variance : float
        σ².
    workspace : Workspace, default=None
        Of the one worker that uses this encoder.
    """

    prior: Prior
    parameters: np.ndarray
    noise_variance: float
    workspace: Workspace | None = field(default=None, repr=False, compare=False)

    n_curvature_rows = 256

    def for_worker(self):
        """Return the encoder for one worker, with a workspace of its own."""
        return replace(self, workspace=Workspace())

    def encode(self, projections, scratch=None):
        """Overwrite projections with codes."""
        for _ in self._encoded_chunks(projections):
            pass
        return projections

    def encode_and_sum(self, projections, scratch=None, weights=None, first_rows=None):
        """Overwrite projections with codes; return their sums over samples.

        Parameters
        ----------
        projections, scratch, weights, first_rows
            As for `MapEncoder.encode_and_sum`.

        Returns
        -------
        log_likelihood : float
            Σ w Σ_j log p(u_j), without the constant of the density of u_j/σ that
            `Prior.standardized_parameters` returns.
        statistics : ndarray of shape (1 + n_parameters, n_components)
            Σ w u², and Σ w of the posterior expectations that the M-step needs.
        """
        n_first = 0 if first_rows is None else len(first_rows)
        w = np.ones(len(projections)) if weights is None else weights
        w = w.astype(projections.dtype, copy=False)
        n_components = projections.shape[1]
        sums = np.zeros((1 + len(self.prior.sigma_powers), n_components))
        ones = np.ones(n_components, dtype=projections.dtype)
        log_likelihood = 0.0
        squares = np.empty_like(projections[: self._chunk_rows(projections)])
        for part, chunk in self._chunks(projections):
            sums[0] += w[part] @ np.square(chunk, out=squares[: len(chunk)])
        for part, mean, log_density, statistics in self._encoded_chunks(projections):
            if part.start < n_first:
                self._differentiate(first_rows[part], mean, statistics)
            log_likelihood += float(w[part] @ (log_density @ ones))
            for total, statistic in zip(sums[1:], statistics, strict=True):
                total += w[part] @ statistic
        sums[1:] *= np.array(self.prior.statistic_units(self.noise_variance))[:, None]
        return log_likelihood, sums

    def log_density(self, projections, *, bound=False):
        """Return Σ_j log p(u_j) of every sample, or an upper bound of it.

        The projections are overwritten.
        """
        total = np.empty(len(projections), dtype=projections.dtype)
        density = self.prior.log_density_bound if bound else self.prior.log_density
        for part, _, log_density, _ in self._encoded_chunks(projections, density):
            log_density.sum(axis=1, out=total[part])
        constant = self._standardized()[1].sum()
        return total + projections.dtype.type(constant)

    def posterior_variance(self, projections):
        """Return the posterior variances of the coefficients."""
        z = projections.astype(np.float64) / np.sqrt(self.noise_variance)
        variance = self.prior.posterior_variance(z, self._standardized()[0])
        return self.noise_variance * variance

    def derivative(self, projections):
        """Return the derivatives of the codes by their projections."""
        derivatives = projections.copy()
        self.encode_and_sum(projections.copy(), first_rows=derivatives)
        return derivatives

    def _differentiate(self, u, mean, statistics):
        """Overwrite u with the derivatives of codes: posterior variances by σ²."""
        standardized = [row.astype(u.dtype) for row in self._standardized()[0]]
        u /= float(np.sqrt(self.noise_variance))
        mean = mean[: len(u)]
        statistics = [statistic[: len(u)] for statistic in statistics]
        second_moment = self.prior.second_moment(u, mean, statistics, standardized)
        np.maximum(second_moment - mean**2, 0.0, out=u)

    def _standardized(self):
        return self.prior.standardized_parameters(self.parameters, self.noise_variance)

    def _chunk_rows(self, projections):
        return min(len(projections), max(1, CHUNK_ENTRIES // projections.shape[1]))

    def _chunks(self, projections):
        size = self._chunk_rows(projections)
        for start in range(0, len(projections), size):
            part = slice(start, start + size)
            yield part, projections[part]

    def _encoded_chunks(self, projections, density=None):
        """Encode chunk by chunk; yield each with log-densities and statistics.

        A chunk holds codes divided by σ until the next one is asked for, and the
        log-densities lack their constant. Where a function for densities alone is
        given, a chunk is overwritten with working values.
        """
        sigma = float(np.sqrt(self.noise_variance))
        workspace = Workspace() if self.workspace is None else self.workspace
        rows = [row.astype(projections.dtype) for row in self._standardized()[0]]
        for part, z in self._chunks(projections):
            standardized = [
                workspace.tile(i, row, len(z)) for i, row in enumerate(rows)
            ]
            z *= 1.0 / sigma
            if density is not None:
                yield part, z, density(z, standardized, workspace), ()
                continue
            log_density, statistics = self.prior.posterior(z, standardized, workspace)
            yield part, z, log_density, statistics
            z *= sigma


IDENTITY = MapEncoder(SIGNED["laplace"], 0.0)  # codes are the projections
