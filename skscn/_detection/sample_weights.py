"""Sample weights: repetitions of samples, relative weights, and fewer samples."""

import numpy as np

MAX_TOTAL = 2.0**53  # up to which float64 counts samples one by one
# Multiples of it, modulo one, are spread evenly and have no period.
GOLDEN_RATIO = (5**0.5 - 1) / 2


def to_repetitions(weights):
    """Return weights as numbers of repetitions of their samples.

    The effective number of samples of weights w is (Σw)² / Σw². No integers have a
    total below it. A smaller total, such as that of n weights of 1/n, therefore does
    not count repetitions, and neither does one that float64 cannot count. Such weights
    are relative: they are scaled so that their total is the effective number.

    Parameters
    ----------
    weights : ndarray of shape (n_samples,) or None
        Not negative, and not all zero.
    """
    if weights is None:
        return None
    largest = float(weights.max())
    relative = weights.astype(np.float64) / largest
    total, factor = relative.sum(), relative.sum() / (relative @ relative)
    if factor <= largest <= MAX_TOTAL / total:
        return weights
    return (factor * relative).astype(weights.dtype)


def sample_rows(n_rows, weights, size):
    """Choose rows, spread evenly over all, whose total weight is at most `size`.

    The order of the rows counts, but they are not at equal distances: data can be
    periodic. A weight equals repetition of its row.

    Parameters
    ----------
    n_rows : int
    weights : ndarray of shape (n_rows,) or None
    size : int

    Returns
    -------
    rows : ndarray of int, or a slice of all rows
    weights : ndarray of the weights of these rows, or None
    """
    cumulative = np.arange(1.0, n_rows + 1)
    if weights is not None:
        cumulative = np.cumsum(weights, dtype=np.float64)
    if cumulative[-1] <= size:
        return slice(None), weights
    places = np.arange(size)
    places = (places + places * GOLDEN_RATIO % 1) * (cumulative[-1] / size)
    rows = np.searchsorted(cumulative, places, side="right")
    rows, counts = np.unique(np.minimum(rows, n_rows - 1), return_counts=True)
    return rows, None if counts.max() == 1 else counts.astype(float)
