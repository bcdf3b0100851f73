"""Sums over samples that determine a ridge regression of standardized features."""

from contextlib import nullcontext
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.linalg.blas import dger
from scipy.linalg.lapack import dlange, dpocon

from skscn._core.sparse_model import row_blocks
from skscn._data.blas_threads import single_blas_thread

MAX_SINGLE_THREAD_FEATURES = 512  # fewer are solved faster by one thread of BLAS
# Scatter matrices summed in float32 have relative errors of 1e-7, which the solution
# multiplies by up to 1 / alpha. Smaller penalties need sums in float64.
MIN_SINGLE_PRECISION_ALPHA = 1e-3


@dataclass(frozen=True)
class FeatureMoments:
    """Weight, means and scatter matrices of features z and targets t.

    Moments of two sets of samples add up to those of both. The scatter matrices are
    about the means, so that a change of the level of the features costs no digits.

    Parameters
    ----------
    weight : float
        Σ w.
    mean : ndarray of shape (n_features,)
        Of the features.
    target_mean : ndarray of shape (n_targets,)
    scatter : ndarray of shape (n_features, n_features)
        Σ w (z − mean)ᵀ(z − mean).
    target_scatter : ndarray of shape (n_features, n_targets)
        Σ w (z − mean)ᵀ(t − target_mean).
    """

    weight: float
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
            self.mean + fraction * shift,
            self.target_mean + fraction * target_shift,
            scatter,
            self.target_scatter
            + other.target_scatter
            + factor * np.outer(shift, target_shift),
        )

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
    return FeatureMoments(weight, mean, target_mean, scatter, target_scatter)


@dataclass(frozen=True)
class RidgeStatistics:
    """Moments, and the ridge regression that they determine.

    Parameters
    ----------
    moments : FeatureMoments or None
        None where they are not kept.
    alpha, floor : float
        As in `StreamingRidgeClassifier`.
    given_solution : tuple of ndarray or None, default=None
        A solution that replaces that of the regression.
    """

    moments: FeatureMoments | None
    alpha: float
    floor: float
    given_solution: tuple | None = None

    @cached_property
    def solution(self):
        """Coefficients and intercepts for the features before standardization."""
        if self.given_solution is not None or self.moments is None:
            return self.given_solution
        moments, n_features = self.moments, len(self.moments.mean)
        variance = np.maximum(np.diag(moments.scatter) / moments.weight, 0.0)
        rounding_error = 10 * np.finfo(np.float64).eps * np.abs(moments.mean)
        is_constant = variance <= rounding_error**2
        scale = np.where(is_constant, 1.0, np.sqrt(variance))
        scale = floored_scale(variance, scale, self.floor)
        system = moments.scatter / moments.weight / scale / scale[:, None]
        system[np.diag_indices(n_features)] += self.alpha
        right_side = moments.target_scatter / moments.weight / scale[:, None]
        is_small = n_features < MAX_SINGLE_THREAD_FEATURES
        with single_blas_thread() if is_small else nullcontext():
            coef = _solve_positive_definite(system, right_side)
        if coef is None:
            raise ValueError(
                f"alpha={self.alpha:g} is too small for these {n_features} features: "
                "the equations of the ridge regression are singular up to rounding "
                "errors. Increase alpha, for instance to 1e-6."
            )
        coef /= scale[:, None]
        return coef.T, moments.target_mean - moments.mean @ coef


def _solve_positive_definite(system, right_side):
    """Solve symmetric equations; return None where they are singular up to rounding.

    `scipy.linalg.solve` warns of an ill-conditioned matrix. To catch its warning would
    change the filters of all threads.
    """
    try:
        factor = cho_factor(system)
    except LinAlgError:
        return None
    norm = dlange("1", system.T)  # which is not copied: its order is Fortran's
    inverse_condition, _ = dpocon(factor[0], norm)
    if not inverse_condition >= np.finfo(np.float64).eps:
        return None
    return cho_solve(factor, right_side)


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
