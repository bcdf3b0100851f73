"""Sample weights: their range, and the number of samples that they stand for."""

import numpy as np

# With larger weights, or smaller inverses, products with squares leave the dtype.
MAX_WEIGHT = {np.dtype(np.float32): 1e18, np.dtype(np.float64): 1e150}
MAX_TOTAL = 2.0**53  # up to which float64 counts samples one by one
ROUNDING = 1e-9  # relative error of sums of weights


def cast_weights(weights, dtype):
    """Return weights in the dtype of rows, or None; raise where it cannot hold them."""
    if not isinstance(weights, np.ndarray):
        return weights  # dask arrays are checked with the rows
    check_weight_range(weights, dtype)
    return weights.astype(dtype, copy=False)


def check_weight_range(weights, dtype):
    """Raise where products of weights and squares of features leave a dtype."""
    positive = weights[weights > 0]
    if not len(positive):
        return  # zero, negative or NaN: no matter of range
    largest, smallest = float(positive.max()), float(positive.min())
    dtype = np.dtype(dtype)
    limit = MAX_WEIGHT[dtype]
    if largest > limit or smallest < 1 / limit:
        raise ValueError(
            f"The positive sample weights are between {smallest:.3g} and {largest:.3g}:"
            f" in {dtype}, the dtype of X, their products with squares of features "
            "overflow or underflow. Divide all weights by a constant, so that they are "
            f"between {1 / limit:g} and {limit:g}, and set negligible ones to zero."
        )


def n_repetitions(total, effective):
    """Return the number of samples that weights stand for.

    No integers have a total below the effective number of samples. A smaller total,
    such as that of n weights of 1/n, therefore does not count repetitions, and neither
    does one that float64 cannot count. Then the weights are relative, and stand for the
    effective number.

    Parameters
    ----------
    total : float
        Σ w.
    effective : float
        The effective number of samples (Σw)² / Σw².
    """
    is_count = effective * (1 - ROUNDING) <= total <= MAX_TOTAL
    return total if is_count else effective


def to_repetitions(weights, dtype):
    """Return weights as numbers of repetitions, whose sum is `n_repetitions`.

    Parameters
    ----------
    weights : ndarray of shape (n_samples,) or None
        Not negative, and not all zero.
    dtype : dtype
        Of the result.
    """
    if weights is None:
        return None
    largest = float(weights.max())
    relative = weights.astype(np.float64) / largest  # their squares do not overflow
    total = float(relative.sum())
    factor = total / float(relative @ relative)
    if n_repetitions(largest * total, factor * total) != largest * total:
        weights = factor * relative
    return weights.astype(dtype, copy=False)
