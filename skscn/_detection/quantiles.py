"""Quantiles of weighted values."""

import numpy as np

# The whiskers of a box plot end at 2.7 standard deviations of a normal distribution.
# Here this is in units of the distance from the median to these levels.
FENCE_LEVELS, FENCE_FACTORS = (0.75, 0.9), (4.0, 2.105)
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
    if weights is None:
        total, last = float(len(values)), len(values) - 1
    else:
        order = np.argsort(values, kind="stable")
        order = order[weights[order] > 0]
        cumulative = np.cumsum(weights[order], dtype=np.float64)
        total, last = cumulative[-1], len(order) - 1
    target, tolerance = np.multiply(levels, total), RELATIVE_TOLERANCE * total
    bounds = np.array([target - tolerance, target + tolerance])
    if weights is None:  # only the needed values are sorted
        ranks = np.clip(np.ceil(bounds).astype(int) - 1, 0, last)
        sorted_values = np.partition(values, np.unique(ranks))
    else:
        ranks = np.minimum(np.searchsorted(cumulative, bounds), last)
        sorted_values = values[order]
    low, high = ranks
    return sorted_values[low] / 2 + sorted_values[high] / 2


def interquartile_range(values, weights):
    """Compute the distance between the weighted quartiles of values."""
    low, high = weighted_quantiles(values, weights, (0.25, 0.75))
    return high - low


def upper_fence(values, weights):
    """Compute the largest value that is not an outlier.

    Of normal values, 0.35 % are above it. It is the higher one of two fences, by the
    third quartile and by the ninth decile: the tenth of the samples that a trimmed fit
    has not learned can have values apart from the others.
    """
    median, *high = weighted_quantiles(values, weights, (0.5, *FENCE_LEVELS))
    return median + np.max(np.multiply(FENCE_FACTORS, high - median))
