"""Samples of rows that are spread evenly over a table."""

import numpy as np

# Multiples of it, modulo one, are spread evenly and have no period.
GOLDEN_RATIO = (5**0.5 - 1) / 2


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
