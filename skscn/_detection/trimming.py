"""Trimming: which rows a fit leaves out, so that it does not learn anomalies."""

from functools import partial

import numpy as np
from scipy.linalg import eigh

from skscn._core.model_parameters import MIN_NOISE_FRACTION
from skscn._core.moments import data_moments
from skscn._data.parallel import map_rows, sum_over_rows, worker_pool
from skscn._detection.quantiles import weighted_quantiles
from skscn._detection.robust_distances import center_rows, robust_distances

MAX_FEATURES = 2048  # with more, the eigenvectors of their covariance take too long
# Squared distance of a row from the span of the others, in units of the mean variance
# of the features. With the smallest noise variance, a row at this distance loses a
# hundred nats.
MAX_SQUARED_DISTANCE = 200 * MIN_NOISE_FRACTION


def initial_weights(z, center, weights, trim, n_jobs):
    """Return weights without the rows that are farthest from the center.

    Parameters
    ----------
    z : {ndarray, CSR} of shape (n_samples, n_features)
    center : ndarray of shape (n_features,)
    weights : ndarray of shape (n_samples,) or None
    trim : float
        Fraction of the weight to leave out.
    n_jobs : int or None
    """
    if z.shape[1] > MAX_FEATURES:
        return np.ones(z.shape[0]) if weights is None else weights
    return trim_weights(-robust_distances(z, weights, center, n_jobs), weights, trim)


def trim_weights(scores, weights, trim):
    """Return weights without the given fraction, of the rows of lowest scores."""
    is_kept = scores >= weighted_quantiles(scores, weights, trim)
    return is_kept * (1.0 if weights is None else weights)


def restore_rank(z, center, weights, trimmed, n_jobs):
    """Return trimmed weights, with those of rows outside the span of the kept rows.

    The kept rows can satisfy an equation that others do not: without a rare category,
    the indicators of the others add up to one. A model of the kept rows alone would
    have nearly no variance in such a direction, and a score of about −1e6 for rows that
    the data contain. Where the kept rows are so few that they have to satisfy
    equations, the weights stay.

    Parameters
    ----------
    z : {ndarray, CSR} of shape (n_samples, n_features)
    center : ndarray of shape (n_features,)
        A point near the rows.
    weights : ndarray of shape (n_samples,) or None
    trimmed : ndarray of shape (n_samples,)
        Zero for rows that are left out.
    n_jobs : int or None
    """
    n_features, n_kept = z.shape[1], trimmed.sum(dtype=float)  # with repetitions
    if n_features > MAX_FEATURES or trimmed.all():
        return trimmed
    with worker_pool(z.shape[0], n_jobs) as pool:
        moments = sum_over_rows(pool, partial(_moments, center), z, trimmed)
        mean, covariance = _mean_and_covariance(moments)
        if not np.isfinite(covariance).all():  # the coder raises an error
            return trimmed
        variance, axes = eigh(covariance)
        is_null = variance <= MIN_NOISE_FRACTION * variance.mean()
        rank = n_features - np.count_nonzero(is_null)
        if rank == n_features or rank >= n_kept - 1:
            return trimmed
        function = partial(_squared_distances, center + mean, axes[:, is_null])
        squares = np.concatenate(list(map_rows(pool, function, z)))
    is_outside = squares > MAX_SQUARED_DISTANCE * variance.mean()
    return np.where(is_outside, 1.0 if weights is None else weights, trimmed)


# Workers do not share the error state of NumPy: every function has its own.
@np.errstate(all="ignore")
def _moments(center, rows, weights):
    return data_moments(center_rows(rows, center), weights, scatter=True)


@np.errstate(all="ignore")
def _mean_and_covariance(moments):
    mean = moments.weighted_sum / moments.weight
    return mean, moments.scatter / moments.weight - np.outer(mean, mean)


@np.errstate(all="ignore")
def _squared_distances(mean, null_axes, rows, _):
    projections = center_rows(rows, mean) @ null_axes
    return np.einsum("ij,ij->i", projections, projections)
