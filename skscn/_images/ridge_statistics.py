"""Sums over samples that determine a ridge regression of standardized features."""

from contextlib import nullcontext
from dataclasses import dataclass, fields
from functools import cache, cached_property

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigh
from scipy.linalg.blas import dger
from scipy.linalg.lapack import dlange, dpocon, dpstrf, dtrtri

from skscn._core.sparse_model import row_blocks
from skscn._data.blas_threads import single_blas_thread
from skscn._data.sample_weights import n_repetitions

MAX_SINGLE_THREAD_FEATURES = 512  # fewer are solved faster by one thread of BLAS
# Scatter matrices summed in float32 have relative errors of 1e-7, which the solution
# multiplies by up to 1 / alpha. Smaller penalties need sums in float64.
MIN_SINGLE_PRECISION_ALPHA = 1e-3
# Penalties that are compared: from 0.0001, where sums in float32 have errors of 0.001
# of the solution, to 10.
FIRST_ALPHA, ALPHA_STEP, ALPHA_STEPS = 10**-1.5, 10**0.5, range(-5, 6)
MIN_PIVOT = 1e-7  # smaller variances of standardized features are rounding errors
# Largest n_samples / n_features for which eigenvectors are faster than a factorization:
# for a given penalty, and for one whose choice has computed them already.
MAX_SAMPLE_FRACTION, MAX_SAMPLE_FRACTION_AUTO = 1 / 8, 1 / 5
MIN_LOW_RANK_ALPHA = 5e-5  # below it MIN_PIVOT leaves too much to refinement
# Steps of iterative refinement, and the relative residual after which it ends.
MAX_REFINEMENTS, MAX_EQUATION_ERROR = 10, 1e-12
# A smaller mean square of residuals is a rounding error, in units of that of targets.
MIN_RESIDUAL = 1e-6


@dataclass(frozen=True)
class FeatureMoments:
    """Weight, means and scatter matrices of features z and targets t.

    Moments of two sets of samples add up to those of both. The scatter matrices are
    about the means, so that a change of the level of the features costs no digits.

    Parameters
    ----------
    weight : float
        Σ w.
    weight_norm : float
        √(Σ w²).
    mean : ndarray of shape (n_features,)
        Of the features.
    target_mean : ndarray of shape (n_targets,)
    scatter : ndarray of shape (n_features, n_features)
        Σ w (z − mean)ᵀ(z − mean).
    target_scatter : ndarray of shape (n_features, n_targets)
        Σ w (z − mean)ᵀ(t − target_mean).
    """

    weight: float
    weight_norm: float
    mean: np.ndarray
    target_mean: np.ndarray
    scatter: np.ndarray
    target_scatter: np.ndarray

    def __add__(self, other):
        weight = self.weight + other.weight
        fraction = other.weight / weight
        shift = other.mean - self.mean
        target_shift = other.target_mean - self.target_mean
        factor = self.weight * fraction
        scatter = self.scatter + other.scatter
        # In place; the transposed matrix has the order of BLAS and is the same matrix.
        dger(factor, shift, shift, a=scatter.T, overwrite_a=True)
        return FeatureMoments(
            weight,
            float(np.hypot(self.weight_norm, other.weight_norm)),
            self.mean + fraction * shift,
            self.target_mean + fraction * target_shift,
            scatter,
            self.target_scatter
            + other.target_scatter
            + factor * np.outer(shift, target_shift),
        )

    @property
    def n_samples(self):
        """The number of samples that the weights stand for."""
        return n_repetitions(self.weight, (self.weight / self.weight_norm) ** 2)

    def __getstate__(self):
        # The scatter matrix is symmetric: half of it is enough in a file.
        state = {field.name: getattr(self, field.name) for field in fields(self)}
        rows = [row[i:] for i, row in enumerate(self.scatter)]
        return {**state, "scatter": np.concatenate(rows)}

    def __setstate__(self, state):
        n_features = len(state["mean"])
        scatter, start = np.empty((n_features, n_features)), 0
        for i in range(n_features):
            row = state["scatter"][start : start + n_features - i]
            scatter[i, i:] = scatter[i:, i] = row
            start += len(row)
        self.__dict__.update(state, scatter=scatter)


@np.errstate(over="ignore", invalid="ignore")
def feature_moments(rows, columns, *, dtype):
    """Return the `FeatureMoments` of a slice of rows.

    Squares that overflow make `scatter` infinite or NaN, for the caller to check.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
    columns : ndarray of shape (n_rows, 1 + n_targets)
        Sample weights, all positive, and targets.
    dtype : dtype of the products
    """
    weights, targets = columns[:, 0].astype(np.float64), columns[:, 1:]
    weight, largest = weights.sum(), weights.max()
    relative = weights / largest
    mean = np.zeros(rows.shape[1])
    blocks = row_blocks(rows, rows.shape[1])
    for part in blocks:
        mean += relative[part] @ rows[part].astype(np.float64, copy=False)
    mean *= largest / weight
    target_mean = (relative @ targets) * (largest / weight)
    centered_targets = (targets - target_mean).astype(dtype)
    centered = np.empty(rows.shape, dtype=dtype)
    for part in blocks:
        centered[part] = rows[part] - mean
    weighted = centered
    if not (weights == largest).all():
        weighted = centered * relative.astype(dtype)[:, None]
    scatter, target_scatter = (
        np.asarray(weighted.T @ values, dtype=np.float64) * largest
        for values in (centered, centered_targets)
    )
    weight_norm = float(largest * np.sqrt(relative @ relative))
    return FeatureMoments(
        weight, weight_norm, mean, target_mean, scatter, target_scatter
    )


@dataclass(frozen=True)
class RidgeSolution:
    """Coefficients and intercepts of features before standardization, and the penalty.

    Parameters
    ----------
    coef : ndarray of shape (n_targets, n_features)
    intercept : ndarray of shape (n_targets,)
    alpha : float
    """

    coef: np.ndarray
    intercept: np.ndarray
    alpha: float


@dataclass(frozen=True)
class RidgeStatistics:
    """Moments, and the ridge regression that they determine.

    Parameters
    ----------
    moments : FeatureMoments or None
        None where they are not kept. The targets are ±1.
    alpha, floor
        As in `StreamingRidgeClassifier`.
    given_solution : RidgeSolution or None, default=None
        A solution that replaces that of the regression.
    """

    moments: FeatureMoments | None
    alpha: float | str
    floor: float
    given_solution: RidgeSolution | None = None

    @cached_property
    def solution(self):
        """The `RidgeSolution`."""
        if self.given_solution is not None or self.moments is None:
            return self.given_solution
        moments, n_features = self.moments, len(self.moments.mean)
        variance = np.maximum(np.diag(moments.scatter) / moments.weight, 0.0)
        rounding_error = 10 * np.finfo(np.float64).eps * np.abs(moments.mean)
        is_constant = variance <= rounding_error**2
        scale = np.where(is_constant, 1.0, np.sqrt(variance))
        scale = floored_scale(variance, scale, self.floor)
        covariance = moments.scatter / moments.weight
        covariance /= scale  # in place: the matrix may be most of the memory
        covariance /= scale[:, None]
        equations = _RidgeEquations(
            covariance,
            moments.target_scatter / moments.weight / scale[:, None],
            float(np.sum(1.0 - moments.target_mean**2)),
            moments.n_samples,
        )
        is_small = n_features < MAX_SINGLE_THREAD_FEATURES
        with single_blas_thread() if is_small else nullcontext():
            is_auto = isinstance(self.alpha, str)
            alpha = equations.best_alpha() if is_auto else float(self.alpha)
            max_fraction = MAX_SAMPLE_FRACTION_AUTO if is_auto else MAX_SAMPLE_FRACTION
            coef = equations.solve(alpha, max_fraction * n_features)
        if coef is None:
            raise ValueError(
                f"alpha={alpha:g} is too small for these {n_features} features: "
                "the equations of the ridge regression are singular up to rounding "
                "errors. Increase alpha, for instance to 1e-6."
            )
        coef /= scale[:, None]
        return RidgeSolution(coef.T, moments.target_mean - moments.mean @ coef, alpha)


@dataclass(frozen=True)
class _RidgeEquations:
    """The equations (S + alpha I) W = C of standardized features.

    Parameters
    ----------
    covariance : ndarray of shape (n_features, n_features)
        S.
    target_covariance : ndarray of shape (n_features, n_targets)
        C.
    target_variance : float
        Sum of the variances of the targets.
    n_samples : float
    """

    covariance: np.ndarray
    target_covariance: np.ndarray
    target_variance: float
    n_samples: float

    def solve(self, alpha, max_rank):
        """Return W, or None where the equations are singular up to rounding.

        Eigenvectors are tried for up to `max_rank` samples.

        `scipy.linalg.solve` warns of an ill-conditioned matrix. To catch its warning
        would change the filters of all threads.
        """
        if self.n_samples <= max_rank and alpha >= MIN_LOW_RANK_ALPHA:
            coef = self._solve_low_rank(alpha)
            if coef is not None:
                return coef
        system = self._penalized(alpha)
        norm = dlange("1", system)
        try:
            factor = cho_factor(system, overwrite_a=True)
        except LinAlgError:
            return None
        inverse_condition, _ = dpocon(factor[0], norm)
        if not inverse_condition >= np.finfo(np.float64).eps:
            return None
        return cho_solve(factor, self.target_covariance)

    def _solve_low_rank(self, alpha):
        """Return W by the eigenvectors of S, or None where this is not accurate.

        With S = B Λ Bᵀ up to rounding, (S + alpha I)⁻¹ is (I − B Λ (Λ + alpha I)⁻¹ Bᵀ)
        / alpha. Refinement makes up for what was rounded.
        """
        eigenvalues, vectors, factor = self._factor
        basis = factor.T @ (vectors / np.sqrt(eigenvalues))
        shrinkage = (eigenvalues / (eigenvalues + alpha))[:, None]

        def multiply_inverse(columns):
            return (columns - basis @ (shrinkage * (basis.T @ columns))) / alpha

        coef = np.zeros_like(self.target_covariance)
        max_error = MAX_EQUATION_ERROR * np.abs(self.target_covariance).max()
        for _ in range(MAX_REFINEMENTS):
            residual = self.target_covariance - self.covariance @ coef - alpha * coef
            if np.abs(residual).max() <= max_error:
                return coef
            coef += multiply_inverse(residual)
        return None

    def best_alpha(self):
        """Return the penalty of least generalized cross-validation error.

        The error (Golub, Heath and Wahba 1979) is the mean square of the residuals over
        (1 − k / n)², with the degrees of freedom k = 1 + tr S (S + alpha I)⁻¹ of n
        samples. It approximates that of leaving out one sample after the other. Steps
        go downhill from the first penalty, and end at the vertex of the parabola
        through the best point and its neighbors.
        """

        @cache
        def error(step):
            if step not in ALPHA_STEPS:
                return np.inf
            return self._cross_validation_error(FIRST_ALPHA * ALPHA_STEP**step)

        best = 0
        direction = -1 if error(-1) < error(0) else 1
        while error(best + direction) < error(best):
            best += direction
        low, middle, high = (error(best + shift) for shift in (-1, 0, 1))
        curvature = low - 2 * middle + high
        shift = 0.0
        if np.isfinite(curvature) and curvature > 0:
            shift = (low - high) / (2 * curvature)
        return float(FIRST_ALPHA * ALPHA_STEP ** (best + shift))

    def _cross_validation_error(self, alpha):
        """Return the error of generalized cross-validation, infinite if undefined."""
        try:
            explained, n_used = self._fit_quality(alpha)
        except LinAlgError:
            return np.inf
        residual = max(
            self.target_variance - explained, MIN_RESIDUAL * self.target_variance
        )
        n_free = self.n_samples - 1 - n_used
        if n_free <= 0:
            return np.inf
        return residual * (self.n_samples / n_free) ** 2

    def _fit_quality(self, alpha):
        """Return the explained variance of the targets, and tr S (S + alpha I)⁻¹."""
        if self._spectrum is not None:
            eigenvalues, squares = self._spectrum
            shifted = eigenvalues + alpha
            explained = np.sum(squares * (1.0 + alpha / shifted) / shifted)
            return explained, np.sum(eigenvalues / shifted)
        factor = cho_factor(self._penalized(alpha), overwrite_a=True)
        coef = cho_solve(factor, self.target_covariance)
        explained = np.vdot(coef, self.target_covariance) + alpha * np.vdot(coef, coef)
        inverse_factor, _ = dtrtri(factor[0], overwrite_c=True)
        trace = np.linalg.norm(np.triu(inverse_factor)) ** 2  # of (S + alpha I)⁻¹
        return explained, len(coef) - alpha * trace

    @cached_property
    def _spectrum(self):
        """Eigenvalues of S, and squared sums of C along its eigenvectors.

        None where there is no `_factor`.
        """
        if self._factor is None:
            return None
        eigenvalues, vectors, factor = self._factor
        along = vectors.T @ (factor @ self.target_covariance)
        return eigenvalues, np.square(along).sum(axis=1) / eigenvalues

    @cached_property
    def _factor(self):
        """A factor R of few rows of S = RᵀR, and the eigenvalues and -vectors of R Rᵀ.

        Only where samples are much fewer than features, so that the rank of S is below
        their number; otherwise None.
        """
        n_features = len(self.covariance)
        max_rank = int(np.ceil(self.n_samples))
        if max_rank > n_features // 2:
            return None
        pivoted, order, rank, _ = dpstrf(self.covariance, tol=MIN_PIVOT)
        rank = min(rank, max_rank)
        factor = np.empty((rank, n_features))
        factor[:, order - 1] = np.triu(pivoted[:rank])
        if rank == 0:  # features are constant; old versions of SciPy raise an error
            return np.empty(0), np.empty((0, 0)), factor
        eigenvalues, vectors = eigh(factor @ factor.T)
        is_used = eigenvalues > MIN_PIVOT
        return eigenvalues[is_used], vectors[:, is_used], factor

    def _penalized(self, alpha):
        # In the order of LAPACK. The transposed matrix is the same, and copied faster.
        system = self.covariance.T.copy(order="F")
        system[np.diag_indices(len(system))] += alpha
        return system


def floored_scale(variance, scale, floor):
    """Return standard deviations of at least `floor` times their root mean square.

    Parameters
    ----------
    variance : ndarray of shape (n_features,)
        NaN or infinite for features that do not count in the mean.
    scale : ndarray of shape (n_features,)
        The scale of every feature without a floor.
    floor : float
    """
    counted = variance[np.isfinite(variance)]
    largest = counted.max(initial=0.0)
    if floor == 0 or largest == 0:
        return scale
    mean_square = np.mean(counted / largest)  # a sum of large variances overflows
    min_scale = floor * np.sqrt(mean_square) * np.sqrt(largest)
    return np.maximum(np.sqrt(variance), min_scale)
