"""Sample weights: repetitions of samples, or relative weights."""

import numpy as np

MAX_TOTAL = 2.0**53  # up to which float64 counts samples one by one


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
