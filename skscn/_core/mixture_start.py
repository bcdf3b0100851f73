"""Dictionaries that a mixture starts from: classes of rows, and their principal axes.

Rows are assigned to the nearest of a few centers on the sphere, which k-means++ finds,
and a Gaussian mixture of their leading principal components improves the classes. This
takes a small part of the time of the dictionaries themselves.
"""

from functools import partial

import numpy as np
from scipy.linalg import cholesky, eigh, solve_triangular

from skscn._core.initialization import (
    principal_axes,
    principal_axes_iterated,
    uses_scatter_matrix,
)
from skscn._core.mixture_shrinkage import Shrinkage

N_LLOYD_STEPS = 10
N_GAUSSIAN_STEPS = 20
MAX_AXES = 64  # principal components that the Gaussian mixture sees
# Weight of rows of the shape of all data, at the scale of a class, that is added to its
# covariance, as a fraction of the mean weight of a class: the axes that few rows leave
# open are those of all rows. Fractions do not depend on the unit of the weights.
SHRINKAGE_FRACTION = 0.01
# The same of rows of the mean square of all data, from which follows the scale of a
# class: rows that are the same have a scale, too.
SCALE_SHRINKAGE_FRACTION = 0.001
# Added to the variances of a class, as a fraction of those of all rows.
ADDED_VARIANCE_FRACTION = 1e-6
MIN_RESPONSIBILITY = 1e-9  # smaller ones are zero
MIN_CLASS_FRACTION = 0.01  # a class of less weight takes half of the largest one


def initial_labels(rows, weights, n_classes, init, rng):
    """Return the class that every row starts in.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        Centered.
    weights : ndarray of shape (n_rows,)
    n_classes : int
    init : {"k-means++", "random"}
        "random" draws the centers.
    rng : RandomState instance
    """
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    directions = rows / np.where(norms > 0.0, norms, 1.0)
    if init == "random":
        return _nearest(directions, directions[_draw(weights, n_classes, rng)])
    centers = _spread_centers(directions, weights, n_classes, rng)
    for _ in range(N_LLOYD_STEPS):
        labels = _nearest(directions, centers)
        for i in range(n_classes):
            mean = weights[labels == i] @ directions[labels == i]
            if mean.any():
                centers[i] = mean / weights[labels == i].sum()
    return _nearest(directions, centers)


def _nearest(rows, centers):
    return np.argmax(rows @ centers.T - 0.5 * (centers**2).sum(axis=1), axis=1)


def _spread_centers(rows, weights, n_centers, rng):
    """Return rows by k-means++, the best of a few candidates each time."""
    n_trials = 2 + int(np.log(n_centers))
    squares = (rows**2).sum(axis=1)

    def distances(chosen):
        return np.maximum(
            squares[:, None] - 2 * rows @ rows[chosen].T + squares[chosen], 0.0
        )

    chosen = [int(_draw(weights, 1, rng)[0])]
    nearest = distances(chosen)[:, 0]
    while len(chosen) < n_centers:
        mass = weights * nearest
        candidates = _draw(mass if mass.any() else weights, n_trials, rng)
        trials = np.minimum(nearest[:, None], distances(candidates))
        best = int(np.argmin(weights @ trials))
        chosen.append(int(candidates[best]))
        nearest = trials[:, best]
    return rows[chosen].copy()


def _draw(mass, size, rng):
    """Return rows drawn by inversion: a repeated row as often as one of more weight."""
    cumulated = np.cumsum(mass)
    drawn = np.searchsorted(cumulated, rng.uniform(size=size) * cumulated[-1])
    return np.minimum(drawn, len(mass) - 1)


def gaussian_responsibilities(rows, weights, labels, n_classes, *, center=True):
    """Return the responsibilities of a Gaussian mixture that starts from labels.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        Centered.
    weights : ndarray of shape (n_rows,)
    labels : ndarray of int of shape (n_rows,)
    n_classes : int
    center : bool, default=True
        Whether each class has a mean.
    """
    scatter = (rows * weights[:, None]).T @ rows
    if rows.shape[1] > MAX_AXES:
        axes = eigh(
            scatter, subset_by_index=(rows.shape[1] - MAX_AXES, rows.shape[1] - 1)
        )
        rows = rows @ axes[1]
        scatter = np.diag(axes[0])
    responsibilities = np.eye(n_classes)[labels]
    for _ in range(N_GAUSSIAN_STEPS):
        responsibilities = fill_classes(responsibilities, rows, weights)
        scores = np.empty_like(responsibilities)
        for i in range(n_classes):
            scores[:, i] = _gaussian_scores(
                rows, weights, responsibilities[:, i], scatter, n_classes, center
            )
        scores -= scores.max(axis=1, keepdims=True)
        responsibilities = np.exp(scores)
        responsibilities[responsibilities < MIN_RESPONSIBILITY] = 0.0
        responsibilities /= responsibilities.sum(axis=1, keepdims=True)
    return fill_classes(responsibilities, rows, weights)


def _gaussian_scores(rows, weights, responsibility, scatter, n_classes, center):
    """Return log w_i p_i(x) up to a constant, after the M-step of a class."""
    n_features, total = rows.shape[1], weights.sum()
    selected = np.flatnonzero(responsibility)
    r = weights[selected] * responsibility[selected]
    mean = r @ rows[selected] / r.sum() * center
    centered = rows[selected] - mean
    mean_square = class_mean_square(centered, r, np.trace(scatter), total, n_classes)
    added_weight = SHRINKAGE_FRACTION * total / n_classes
    covariance = class_scatter(centered, r, mean_square, scatter, added_weight)
    added = ADDED_VARIANCE_FRACTION * np.trace(scatter) / total / n_features
    covariance[np.diag_indices(n_features)] += added or 1.0
    root = cholesky(covariance, lower=True)
    whitening = solve_triangular(root, np.eye(n_features), lower=True)
    whitened = rows @ whitening.T
    whitened -= whitening @ mean
    scores = np.einsum("ij,ij->i", whitened, whitened)
    return np.log(r.sum()) - 0.5 * scores - np.log(np.diag(root)).sum()


def class_scatter(centered, weights, mean_square, scatter, added_weight):
    """Return the shrunk covariance of a class.

    Parameters
    ----------
    centered : ndarray of shape (n_rows, n_features)
        Rows of the class, minus their mean.
    weights : ndarray of shape (n_rows,)
    mean_square : float
        From `class_mean_square`.
    scatter : ndarray of shape (n_features, n_features)
        Of all rows.
    added_weight : float
        Of rows of the shape of all.
    """
    weight = weights.sum()
    of_class = (centered * weights[:, None]).T @ centered
    scale = mean_square / (np.trace(scatter) or 1.0)
    return (of_class + added_weight * scale * scatter) / (weight + added_weight)


def class_mean_square(centered, weights, scatter_trace, total_weight, n_classes):
    """Return the shrunk mean of ‖x − mean‖² of a class.

    Parameters
    ----------
    centered : ndarray of shape (n_rows, n_features)
        Rows of the class, minus their mean.
    weights : ndarray of shape (n_rows,)
    scatter_trace, total_weight : float
        Of all rows.
    n_classes : int
    """
    added_weight = SCALE_SHRINKAGE_FRACTION * total_weight / n_classes
    sum_squares = float(weights @ (centered**2).sum(axis=1))
    sum_squares += added_weight * scatter_trace / total_weight
    return sum_squares / (weights.sum() + added_weight)


def fill_classes(responsibilities, rows, weights):
    """Return responsibilities where every class has rows.

    A class without rows takes the half of the largest class that is on one side of its
    mean, along its longest axis.
    """
    responsibilities = responsibilities.copy()
    smallest = MIN_CLASS_FRACTION * weights.sum() / responsibilities.shape[1]
    for _ in range(responsibilities.shape[1]):
        masses = weights @ responsibilities
        empty, largest = int(np.argmin(masses)), int(np.argmax(masses))
        if masses[empty] >= smallest:
            break
        members = responsibilities[:, largest]
        r = weights * members
        centered = rows - r @ rows / r.sum()
        axis = eigh((centered * r[:, None]).T @ centered)[1][:, -1]
        side = centered @ (axis * np.sign(axis[np.argmax(np.abs(axis))]))
        moved = members * (side > 0)
        if not 0.0 < weights @ moved < masses[largest]:  # its rows are all the same
            moved = members / 2
        responsibilities[:, empty] += moved
        responsibilities[:, largest] -= moved
    return responsibilities


def start_mixture(problem, rows, weights, responsibilities, n_components, rng):
    """Return the dictionaries of classes of rows, weights, and `Shrinkage`.

    The atoms of each are the principal axes of its rows.

    Parameters
    ----------
    problem : MixtureProblem
    rows : ndarray of shape (n_rows, n_features)
    weights : ndarray of shape (n_rows,)
    responsibilities : ndarray of shape (n_rows, n_dictionaries)
    n_components : int
    rng : RandomState instance
    """
    n_features = rows.shape[1]
    total, n_classes = weights.sum(), responsibilities.shape[1]
    about_mean = rows - weights @ rows / total
    scatter_trace = float(weights @ (about_mean**2).sum(axis=1))
    scatter = None
    if uses_scatter_matrix(n_features):
        scatter = (about_mean * weights[:, None]).T @ about_mean
    added_weight = SHRINKAGE_FRACTION * total / n_classes
    dictionaries, mean_squares = [], []
    for responsibility in responsibilities.T:
        selected = np.flatnonzero(responsibility)
        r = weights[selected] * responsibility[selected]
        center = np.zeros(n_features)
        if problem.center:
            center = r @ rows[selected] / r.sum()
        centered = rows[selected] - center
        mean_square = class_mean_square(centered, r, scatter_trace, total, n_classes)
        mean_squares.append(mean_square)
        if scatter is not None:
            shrunk = class_scatter(centered, r, mean_square, scatter, added_weight)
            components = principal_axes(shrunk, n_components)
            energies = np.einsum("ij,jk,ik->i", components, shrunk, components)
            energies *= mean_square / (np.trace(shrunk) or 1.0)
        else:
            components = principal_axes_iterated(
                partial(_times_scatter, rows=centered, weights=r),
                n_features,
                n_components,
                rng,
            )
            energies = r @ (centered @ components.T) ** 2 / r.sum()
        if problem.prior.one_sided:
            components = _oriented(components, centered, r)
        dictionaries.append(problem.start(components, center, energies, mean_square))
    shares = weights @ responsibilities
    shrinkage = None
    if problem.learns_prior:
        scales = np.sqrt(np.array(mean_squares) / n_features)
        shrinkage = Shrinkage.of_data(
            about_mean if problem.center else rows,
            weights,
            np.array([each.center for each in dictionaries]),
            np.where(scales > 0.0, scales, problem.data_rms),
        )
    return tuple(dictionaries), shares / shares.sum(), shrinkage


def _oriented(components, rows, weights):
    """Return axes with the signs whose positive projections have more energy."""
    u = rows @ components.T
    difference = weights @ (u * np.abs(u))
    return components * np.where(difference < 0.0, -1.0, 1.0)[:, None]


def _times_scatter(axes, rows, weights):
    """Return axes times the scatter matrix of rows."""
    return ((rows @ axes.T) * weights[:, None]).T @ rows
