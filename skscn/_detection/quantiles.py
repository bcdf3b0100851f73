"""Quantiles of weighted values."""

import numpy as np

RELATIVE_TOLERANCE = 1e-9  # of cumulative weights, which carry rounding errors


def weighted_quantiles(values, weights, levels):
    """Compute weighted quantiles; a weight equals repetition of its value.

    Where a level falls between two values, the quantile is their mean, as with the
    method "averaged_inverted_cdf" of NumPy.

    Parameters
    ----------
    values : ndarray of shape (n,)
    weights : ndarray of shape (n,) or None
    levels : float or sequence of float, in (0, 1)

    Returns
    -------
    quantiles : float or ndarray of shape (n_levels,)
    """
    order = np.argsort(values, kind="stable")
    if weights is not None:
        order = order[weights[order] > 0]
    sorted_values = values[order]
    cumulative = np.arange(1.0, len(order) + 1)
    if weights is not None:
        cumulative = np.cumsum(weights[order], dtype=np.float64)
    total, last = cumulative[-1], len(order) - 1
    target, tolerance = np.multiply(levels, total), RELATIVE_TOLERANCE * total
    low = np.minimum(np.searchsorted(cumulative, target - tolerance), last)
    high = np.minimum(np.searchsorted(cumulative, target + tolerance), last)
    return sorted_values[low] / 2 + sorted_values[high] / 2


def interquartile_range(values, weights):
    """Compute the distance between the weighted quartiles of values."""
    low, high = weighted_quantiles(values, weights, (0.25, 0.75))
    return high - low
