"""Robust distances: the first scores of a trimmed fit.

A fit to all rows learns anomalies, too, and a group of similar ones is then likely.
These distances hardly depend on a minority of the rows. Their axes are spherical
principal components (Locantore et al. 1999), which use the direction of each row from
the center and not its distance. The unit of each axis is the median of the absolute
coordinates.
"""

from functools import partial

import numpy as np
from scipy import sparse
from scipy.linalg import eigh

from skscn._core.moments import data_moments
from skscn._core.sparse_model import squared_norms
from skscn._data.parallel import sum_over_rows, worker_pool
from skscn._detection.quantiles import weighted_quantiles


def robust_distances(z, weights, center, n_jobs):
    """Compute Σ_j (v_j / median |v_j|)² of the coordinates v of each row.

    Parameters
    ----------
    z : {ndarray, CSR} of shape (n_samples, n_features)
        NaN counts as the center.
    weights : ndarray of shape (n_samples,) or None
    center : ndarray of shape (n_features,)
    n_jobs : int or None
    """
    if sparse.issparse(z):
        centered, mean = z, center
    else:
        missing = np.isnan(z)
        z = np.where(missing, center, z) if missing.any() else z
        centered, mean = z - center, None
    squares = squared_norms(centered, mean)
    # A row at the center has no direction.
    has_direction = squares > np.finfo(z.dtype).eps * max(squares.max(), 1e-300)
    inverse = np.divide(1.0, squares, out=np.zeros_like(squares), where=has_direction)
    w = (inverse if weights is None else inverse * weights).astype(z.dtype)
    moments = partial(data_moments, mean=mean, scatter=True)
    with worker_pool(z.shape[0], n_jobs) as pool:
        _, axes = eigh(sum_over_rows(pool, moments, centered, w).scatter)
        coordinates = centered @ axes - (0.0 if mean is None else mean @ axes)
    distances = np.zeros(z.shape[0])
    for magnitude in np.abs(coordinates).T:
        median = weighted_quantiles(magnitude, weights, 0.5)
        if median > 0.0:
            distances += (magnitude / median) ** 2
    return distances
