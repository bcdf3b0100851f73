"""Dictionaries to start from: principal axes, cosines, or random orthonormal atoms."""

import numpy as np
from scipy.fft import idctn
from scipy.linalg import eigh, qr

from skscn._core.encoders import IDENTITY
from skscn._core.procrustes import canonical_signs, complete_orthonormal
from skscn._core.sparse_model import SparseModel

MAX_SCATTER_FEATURES = 2048  # beyond, a scatter matrix costs more than passes over X
N_OVERSAMPLED = 10  # axes of the subspace iteration beyond those asked for
N_ITERATIONS = 6  # of the subspace iteration


def initial_dictionary(init, n_components, data, problem, random_state):
    """Return the dictionary that learning starts from.

    Parameters
    ----------
    init : {"pca", "dct", "random"}
    n_components : int
    data : CenteredRows
        Their moments have a scatter matrix where `init` is "pca" and
        `uses_scatter_matrix`.
    problem : LearningProblem
        One-sided codes need atoms with the right signs.
    random_state : RandomState instance
    """
    n_features = len(data.mean)
    if init == "dct":
        axes = dct_atoms(n_components, n_features)
    elif init == "random":
        axes = random_orthonormal(n_components, n_features, random_state)
    elif data.moments.scatter is not None:
        axes = principal_axes(data.moments.scatter, n_components)
    else:
        axes = principal_axes_iterated(
            lambda axes: _encoded(axes, data, IDENTITY).cross,
            n_features,
            n_components,
            random_state,
        )
    if problem.prior.one_sided:
        axes = orient_atoms(axes, data, problem.encoder)
    return axes


def uses_scatter_matrix(n_features):
    """Return whether a scatter matrix is cheaper than iterating over the data."""
    return n_features <= MAX_SCATTER_FEATURES


def orient_atoms(axes, data, encoder):
    """Return axes with the signs whose one-sided codes explain more energy."""
    positive, negative = (
        _encoded(signed, data, encoder).explained(signed) for signed in (axes, -axes)
    )
    rounding_error = 1e-9 * max(positive.max(), negative.max())
    is_negative = negative - positive > rounding_error
    return axes * np.where(is_negative, -1.0, 1.0)[:, None]


def principal_axes(scatter, n_components):
    """Return the leading eigenvectors of a scatter matrix as rows.

    Directions without energy are replaced by coordinate axes, so that the result does
    not depend on rounding errors.
    """
    n_features = len(scatter)
    scale = np.max(np.abs(scatter), initial=0.0)
    energies, vectors = eigh(
        scatter / (scale or 1.0),
        subset_by_index=(n_features - n_components, n_features - 1),
        check_finite=False,
    )
    axes = vectors[:, energies > 1e-12 * n_features * energies[-1]].T[::-1]
    axes = axes * canonical_signs(axes)[:, None]
    missing = n_components - len(axes)
    if missing == 0:
        return axes
    return np.vstack(
        [axes, complete_orthonormal(np.zeros((missing, n_features)), axes)]
    )


def principal_axes_iterated(multiply, n_features, n_components, random_state):
    """Return the leading principal axes by subspace iteration (Halko et al., 2011).

    Parameters
    ----------
    multiply : callable
        Maps a dictionary D of shape (n_axes, n_features) to D S, S the scatter.
    n_features, n_components : int
    random_state : RandomState instance
    """
    n_axes = min(n_components + N_OVERSAMPLED, n_features)
    axes = random_orthonormal(n_axes, n_features, random_state)
    for _ in range(N_ITERATIONS):
        axes = qr(multiply(axes).T, mode="economic", check_finite=False)[0].T
    scatter = multiply(axes) @ axes.T
    axes = principal_axes((scatter + scatter.T) / 2, n_components) @ axes
    return axes * canonical_signs(axes)[:, None]


def dct_atoms(n_components, n_features):
    """Return the lowest frequencies of the orthonormal discrete cosine transform.

    The transform has two dimensions where n_features is a square (a gray patch), two
    and a channel where it is three squares (a color patch), and otherwise one (a
    signal).
    """
    shape = patch_shape(n_features)
    # Each column of the inverse transform of a unit impulse is one cosine.
    axes = tuple(range(1, len(shape) + 1))
    frequencies = np.indices(shape).reshape(len(shape), -1)
    # Frequencies relative to each length prefer no axis; the order is stable.
    relative = (frequencies / np.array(shape)[:, None]).round(12)
    order = np.lexsort([*relative[::-1], relative.sum(axis=0)])[:n_components]
    impulses = np.zeros((len(order), n_features))
    impulses[np.arange(len(order)), order] = 1.0
    waves = idctn(impulses.reshape(-1, *shape), axes=axes, norm="ortho")
    return waves.reshape(len(order), n_features)


def patch_shape(n_features):
    """Return the shape of a patch with n_features entries, as `dct_atoms` assumes."""
    for channels in (1, 3):
        side = round((n_features / channels) ** 0.5)
        if side > 1 and side * side * channels == n_features:
            return (side, side) if channels == 1 else (side, side, channels)
    return (n_features,)


def random_orthonormal(n_components, n_features, random_state):
    """Return an orthonormal dictionary drawn from the uniform (Haar) distribution."""
    normal = random_state.standard_normal((n_features, n_components))
    axes, triangle = qr(normal, mode="economic", check_finite=False)
    return (axes * np.where(np.diag(triangle) < 0, -1.0, 1.0)).T


def _encoded(axes, data, encoder):
    return data.rows.code_moments(SparseModel(axes, data.mean, encoder))
