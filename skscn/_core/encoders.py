"""Maps from projections to codes: the most probable, and the mean.

Both are told of in sums over samples: `expect` encodes and returns what the codes gain,
and what learning a prior needs of them.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from skscn._core.normal_tail import Room
from skscn._core.priors import Prior

CHUNK = 32_768  # entries: fewer, and workers wait for each other between short calls
SHAPES = 4  # of chunks whose working arrays are held


@dataclass(frozen=True)
class MapEncoder:
    """The map from projections to codes that maximises the posterior.

    Parameters
    ----------
    prior : Prior
    threshold : float or ndarray of shape (n_components,)
        λ of every coefficient, or of each.
    shrinkage : ndarray of shape (n_components,), default=None
        What codes beyond the threshold are multiplied by; None stands for one.
    """

    prior: Prior
    threshold: float | np.ndarray
    shrinkage: np.ndarray | None = None

    # Rows of a slice that the curvature is taken from: it only steers a learner's step.
    sampled_rows = 1024

    def prepared(self):
        """Return the code for one worker."""
        return self

    @classmethod
    def of(cls, prior, alpha, dtype, shrinkage=None):
        """Return the code of one threshold for every coefficient, in a dtype."""
        # A number is a faster threshold than an array.
        uniform = np.all(alpha == alpha[0])
        threshold = alpha.astype(dtype, copy=False)
        return cls(
            prior,
            float(alpha[0]) if uniform else threshold,
            None if shrinkage is None else shrinkage.astype(dtype, copy=False),
        )

    def encode(self, projections, scratch=None):
        """Overwrite projections with codes."""
        codes = self.prior.mode(projections, self.threshold, scratch)
        if self.shrinkage is not None:
            codes *= self.shrinkage
        return codes

    def expect(self, projections, scratch=None, weights=None, head=None):
        """Overwrite projections with codes; return what these take off the objective.

        `head`, the first of the projections, is overwritten with slopes.

        Returns
        -------
        gain : float
        sums : None
        """
        codes = self.encode(projections, scratch)
        if head is not None:
            np.not_equal(codes[: len(head)], 0, out=head, casting="unsafe")
        return self.gain(codes, weights), None

    def gain(self, codes, weights=None):
        """Return the sum over samples of what the codes take off the objective."""
        return self.prior.gain(codes, self.threshold, weights)

    def slope(self, projections):
        """Return the derivative of the codes by their projections."""
        return self.encode(projections.copy()) != 0


@dataclass(frozen=True)
class PosteriorMeanEncoder:
    """The map from projections to the posterior means of their coefficients.

    Parameters
    ----------
    prior : Prior
    parameters : ndarray of shape (n_parameters, n_components)
    noise : float
        σ².
    workspace : dict, default=None
        Working arrays that stay for the next call, of one worker alone.
    """

    prior: Prior
    parameters: np.ndarray
    noise: float
    workspace: dict | None = field(default=None, repr=False, compare=False)

    sampled_rows = 256

    def prepared(self):
        """Return the code for one worker, who asks for memory once."""
        return replace(self, workspace={})

    def encode(self, projections, scratch=None):
        """Overwrite projections with codes."""
        for _ in self._chunks(projections):
            pass
        return projections

    def expect(self, projections, scratch=None, weights=None, head=None):
        """Overwrite projections with codes; return sums over samples.

        `head`, the first of the projections, is overwritten with slopes.

        Returns
        -------
        gain : float
            Σ w Σ_j log p(u_j).
        sums : ndarray of shape (1 + n_parameters, n_components)
            Σ w u², and Σ w of the posterior means that the M-step of the prior needs.
        """
        n_head = 0 if head is None else len(head)
        w = np.ones(len(projections)) if weights is None else weights
        w = w.astype(projections.dtype, copy=False)
        n_components = projections.shape[1]
        sums = np.zeros((1 + len(self.prior.units), n_components))
        each = np.ones(n_components, dtype=projections.dtype)
        gain = 0.0
        square = np.empty_like(projections[: self._rows(projections)])
        for part, chunk in self._parts(projections):
            sums[0] += w[part] @ np.square(chunk, out=square[: len(chunk)])
        for part, mean, log_density, statistics in self._chunks(projections):
            if part.start < n_head:
                self._slopes(head[part], mean, statistics)
            gain += float(w[part] @ (log_density @ each))
            for total, statistic in zip(sums[1:], statistics, strict=True):
                total += w[part] @ statistic
        powers = np.array(self.prior.units)[:, None]
        sums[1:] *= np.sqrt(self.noise) ** powers
        return gain + float(w.sum(dtype=np.float64)) * self._constant, sums

    def log_density(self, projections):
        """Return Σ_j log p(u_j) of every sample; overwrites projections."""
        total = np.empty(len(projections), dtype=projections.dtype)
        for part, _, log_density, _ in self._chunks(projections, density_only=True):
            log_density.sum(axis=1, out=total[part])
        return total + projections.dtype.type(self._constant)

    def variance(self, projections):
        """Return the posterior variances of the coefficients."""
        z = projections.astype(np.float64) / np.sqrt(self.noise)
        scalars, _ = self.prior.scalars(self.parameters, self.noise)
        return self.noise * self.prior.variance(z, scalars)

    def slope(self, projections):
        """Return the derivative of the codes by their projections."""
        head = projections.copy()
        self.expect(projections.copy(), head=head)
        return head

    def _slopes(self, u, mean, statistics):
        """Overwrite u with slopes, which are variances by σ², by subtraction."""
        scalars, _ = self.prior.scalars(self.parameters, self.noise)
        scalars = [row.astype(u.dtype) for row in scalars]
        u /= float(np.sqrt(self.noise))
        mean = mean[: len(u)]
        statistics = [statistic[: len(u)] for statistic in statistics]
        square = self.prior.square(u, mean, statistics, scalars)
        np.maximum(square - mean**2, 0.0, out=u)

    @property
    def _constant(self):
        return float(self.prior.scalars(self.parameters, self.noise)[1].sum())

    def _rows(self, projections):
        return min(len(projections), max(1, CHUNK // projections.shape[1]))

    def _parts(self, projections):
        size = self._rows(projections)
        for start in range(0, len(projections), size):
            part = slice(start, start + size)
            yield part, projections[part]

    def _chunks(self, projections, *, density_only=False):
        """Encode part by part; yield each with log densities and statistics.

        The parts are codes by σ until the next, and the log densities lack a constant.
        Where only they are wanted the parts are working memory.
        """
        sigma = float(np.sqrt(self.noise))
        held: dict = {} if self.workspace is None else self.workspace
        for part, z in self._parts(projections):
            key = z.shape, z.dtype
            if key not in held:
                if len(held) == SHAPES:
                    held.clear()
                held[key] = self._tiles(*key), Room(*key)
            tiles, room = held[key]
            z *= 1.0 / sigma
            if density_only:
                yield part, z, self.prior.log_density(z, tiles, room), ()
                continue
            log_density, statistics = self.prior.posterior(z, tiles, room)
            yield part, z, log_density, statistics
            z *= sigma

    def _tiles(self, shape, dtype):
        # NumPy pays per row for broadcasting: that costs more than memory.
        scalars, _ = self.prior.scalars(self.parameters, self.noise)
        return [np.tile(row.astype(dtype), (shape[0], 1)) for row in scalars]
