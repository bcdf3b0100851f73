"""Robust distances: they decide which rows a trimmed fit leaves out.

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

from skscn._data.parallel import map_rows, sum_over_rows, worker_pool
from skscn._detection.quantiles import weighted_quantiles

LARGEST = 1e300  # of distances from the center; larger ones could overflow


def robust_distances(z, weights, center, n_jobs):
    """Compute ‖v / median |v|‖ of the coordinates v of each row.

    Parameters
    ----------
    z : {ndarray, CSR} of shape (n_samples, n_features)
        NaN counts as the center.
    weights : ndarray of shape (n_samples,) or None
    center : ndarray of shape (n_features,)
    n_jobs : int or None
    """
    with worker_pool(z.shape[0], n_jobs) as pool:
        scatter = partial(_scatter_of_directions, center)
        _, axes = eigh(sum_over_rows(pool, scatter, z, weights))
        coordinates = map_rows(pool, partial(_coordinates, center, axes), z)
        coordinates = np.concatenate(list(coordinates))
    distances = np.zeros(z.shape[0])
    for magnitude in np.abs(coordinates).T:
        median = weighted_quantiles(magnitude, weights, 0.5)
        if median > 0.0:
            with np.errstate(over="ignore"):
                distances = np.hypot(distances, magnitude / median)
    return distances


@np.errstate(over="ignore")
def center_rows(rows, center):
    """Return a slice of rows minus the center, dense and in float64; NaN becomes 0."""
    rows = rows.toarray() if sparse.issparse(rows) else rows
    centered = np.clip(rows.astype(np.float64) - center, -LARGEST, LARGEST)
    centered[np.isnan(centered)] = 0.0
    return centered


def _directions(rows, center):
    """Return unit vectors from the center to rows, and their lengths.

    A row at the center has the zero vector.
    """
    directions = center_rows(rows, center)
    # Divided by their largest entry first, squares neither overflow nor underflow.
    largest = np.abs(directions).max(axis=1)
    directions /= np.where(largest > 0, largest, 1.0)[:, None]
    norms = np.sqrt(np.einsum("ij,ij->i", directions, directions))
    directions /= np.where(norms > 0, norms, 1.0)[:, None]
    return directions, largest * norms


def _scatter_of_directions(center, rows, weights):
    directions, _ = _directions(rows, center)
    if weights is None:
        return directions.T @ directions
    return (directions * weights[:, None]).T @ directions


def _coordinates(center, axes, rows, _):
    directions, lengths = _directions(rows, center)
    return (directions @ axes) * lengths[:, None]
