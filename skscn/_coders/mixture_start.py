"""The rows that a mixture starts from: all, or a sample of them, in memory."""

import numpy as np
from scipy import sparse
from sklearn.utils import check_array

from skscn._core.missing_values import impute_means
from skscn._core.mixture_start import (
    fill_classes,
    gaussian_responsibilities,
    initial_labels,
    start_mixture,
)

# Entries of the rows that the start is found from: it need not be exact.
START_ENTRIES = 2**22
MIN_START_ROWS_PER_DICTIONARY = 100


def start_dictionaries(problem, X, weights, n_dictionaries, n_components, init, rng):
    """Return dictionaries, mixture weights and shrinkage that learning starts from.

    Parameters
    ----------
    problem : MixtureProblem
    X : {ndarray, CSR, StoredRows, DaskRows} of shape (n_samples, n_features)
    weights : array-like of shape (n_samples,) or None
    n_dictionaries, n_components : int
    init : {"k-means++", "random"} or ndarray of int of shape (n_samples,)
    rng : RandomState instance
    """
    n_rows, n_features = X.shape
    size = START_ENTRIES // n_features
    size = max(size, MIN_START_ROWS_PER_DICTIONARY * n_dictionaries)
    which = np.arange(n_rows)
    if n_rows > size:
        which = np.sort(rng.choice(n_rows, size, replace=False))
    rows = X[which]
    rows = rows.toarray() if sparse.issparse(rows) else rows
    rows = rows.astype(np.float64)
    w = np.ones(len(rows))
    if weights is not None:
        w = np.asarray(weights[which]).astype(np.float64)
        w /= w.mean()
    if np.isnan(rows).any():
        rows, _ = impute_means(rows, w, allow_empty=True)
    # What is drawn does not depend on the order of rows.
    order = np.argsort(rows @ np.cos(np.arange(n_features)), kind="stable")
    which, rows, w = which[order], rows[order], w[order]
    if isinstance(init, str):
        centered = rows - w @ rows / w.sum() if problem.center else rows
        labels = initial_labels(centered, w, n_dictionaries, init, rng)
        responsibilities = gaussian_responsibilities(
            centered, w, labels, n_dictionaries, center=problem.center
        )
    else:
        responsibilities = np.eye(n_dictionaries)[init[which]]
        responsibilities = fill_classes(responsibilities, rows, w)
    return start_mixture(problem, rows, w, responsibilities, n_components, rng)


def check_labels(init, n_samples, n_dictionaries, weights):
    """Return the initial dictionaries of samples as integers, or None for a name.

    Those of samples of weight zero are left out.
    """
    if isinstance(init, str):
        return None
    labels = check_array(init, ensure_2d=False, dtype=None, input_name="init")
    if labels.shape != (n_samples,):
        raise ValueError(
            f"init has shape {labels.shape}, but labels of all samples have shape "
            f"(n_samples,) = ({n_samples},)."
        )
    integers = labels.astype(np.intp)
    is_valid = np.array_equal(integers, labels) and integers.min() >= 0
    if not is_valid or integers.max() >= n_dictionaries:
        raise ValueError(
            f"init holds labels from {labels.min()} to {labels.max()}, but they must "
            f"be integers from 0 to n_dictionaries - 1 = {n_dictionaries - 1}."
        )
    return integers if weights is None else integers[weights > 0]
