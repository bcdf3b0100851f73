"""Codes with at most a given number of non-zero coefficients.

With D Dᵀ = I the objective is a sum over coefficients, and each of them lowers it by
itself. The best code with at most n of them keeps the n that lower it most. Without a
penalty these are the n projections of largest modulus, which is what orthogonal
matching pursuit finds.
"""

import numpy as np


def keep_largest(codes, n_nonzero, rank, scratch=None):
    """Overwrite all but the n_nonzero best coefficients of every sample with zero.

    Of coefficients that are equally good, those of lower index are kept. NaN stays.

    Parameters
    ----------
    codes : ndarray of shape (n_samples, n_components)
        Overwritten.
    n_nonzero : int
    rank : callable
        rank(codes, out) returns a number for every coefficient, in `out` where it is
        given: the larger, the better. It is positive where a coefficient is not zero,
        and otherwise zero.
    scratch : ndarray of the shape and dtype of codes, default=None
        Working memory.

    Returns
    -------
    codes : ndarray of shape (n_samples, n_components)
        The array itself.
    """
    n_samples, n_components = codes.shape
    if n_nonzero >= n_components:
        return codes
    ranks = rank(codes, scratch)
    ranks.partition(n_components - n_nonzero, axis=1)
    lowest_kept = ranks[:, n_components - n_nonzero, None].copy()
    ranks = rank(codes, scratch)
    is_kept = ranks >= lowest_kept
    codes *= is_kept  # several times faster than an assignment where a mask is true
    codes += 0.0  # turns −0 into 0
    if np.count_nonzero(is_kept) == n_samples * n_nonzero:
        return codes
    surplus = np.count_nonzero(codes, axis=1) - n_nonzero
    tied = np.flatnonzero(surplus > 0)
    is_tied = ranks[tied] == lowest_kept[tied]
    n_tied_after = np.cumsum(is_tied[:, ::-1], axis=1)[:, ::-1]
    is_dropped = is_tied & (n_tied_after <= surplus[tied, None])
    codes[tied] = np.where(is_dropped, 0, codes[tied])
    return codes


def keep_largest_array_api(xp, codes, n_nonzero, ranks):
    """Return what `keep_largest` computes, as a new array of a namespace `xp`."""
    best_first = xp.argsort(ranks, axis=1, descending=True, stable=True)
    position = xp.argsort(best_first, axis=1, stable=True)
    return xp.where(position < n_nonzero, codes, xp.zeros_like(codes))
