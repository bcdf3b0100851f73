"""How far rows are from most others: where a trimmed fit starts.

A fit to all rows has seen the anomalies, and a group of them that lie together looks
likely to it. Distances that fewer than half of the rows cannot bend begin with the
directions from the median, whose lengths do not matter (the spherical principal
components of Locantore et al. 1999), and measure each axis by the median of what is on
it.
"""

from functools import partial

import numpy as np
from scipy import sparse
from scipy.linalg import eigh

from skscn._core.moments import data_moments
from skscn._core.sparse_model import squared_norms
from skscn._detection.features import quantiles

WIDEST = 2048  # features, of which all axes are looked for


def robust_distances(z, weights, centre, total):
    """Return Σ_j (v_j / median |v_j|)² of the coordinates v of every row.

    Parameters
    ----------
    z : {ndarray, CSR} of shape (n_samples, n_features)
        Not more than `WIDEST` features. What was not measured counts as the centre.
    weights : ndarray of shape (n_samples,) or None
    centre : ndarray of shape (n_features,)
    total : callable
        Sums a function of (rows, weights), as total(function, X=, sample_weight=).
    """
    if not sparse.issparse(z):
        gaps = np.isnan(z)
        z = np.where(gaps, centre, z) if gaps.any() else z
    y = z if sparse.issparse(z) else z - centre
    mean = centre if sparse.issparse(z) else None
    squares = squared_norms(y, mean)
    # A row at the median has no direction.
    far = squares > np.finfo(z.dtype).eps * max(squares.max(), 1e-300)
    inverse = np.where(far, 1.0 / np.where(far, squares, 1.0), 0.0)
    signs = inverse if weights is None else inverse * weights
    moments = partial(data_moments, mean=mean, scatter=True)
    scatter = total(moments, X=y, sample_weight=signs.astype(z.dtype)).scatter
    _, axes = eigh(scatter)
    v = np.abs(y @ axes - (0.0 if mean is None else mean @ axes))
    distances = np.zeros(z.shape[0])
    for column in v.T:
        (size,) = quantiles(column, weights, (0.5,))
        if size > 0.0:
            distances += (column / size) ** 2
    return distances
