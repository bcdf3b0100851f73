"""Dictionaries to start from: principal axes, cosines, or chance."""

import numpy as np
from scipy.fft import idctn
from scipy.linalg import eigh, qr

from skscn._core.encoders import MapEncoder
from skscn._core.priors import SIGNED
from skscn._core.procrustes import canonical_signs, complete

SCATTER_FEATURES = 2048  # the widest data of which a scatter matrix is formed
OVERSAMPLED = 10  # axes of the subspace iteration beyond those asked for
ITERATIONS = 6
INACTIVE = MapEncoder(SIGNED["laplace"], 0.0)  # codes that are the projections


def start(init, n_components, *, data, moments, code, random_state):
    """Return the dictionary that learning starts from.

    Parameters
    ----------
    init : {"pca", "dct", "random"}
    n_components : int
    data : DataMoments
        With a scatter matrix where `init` is "pca" and `uses_scatter_matrix`.
    moments : callable
        Maps a dictionary and a `MapEncoder` to the `CodeMoments` of the data.
    code : MapCode
        The code to be learned for.
    random_state : RandomState instance
    """
    n_features = len(data.total)
    if init == "dct":
        axes = cosines(n_components, n_features)
    elif init == "random":
        axes = random_axes(n_components, n_features, random_state)
    elif data.scatter is not None:
        axes = principal_axes(data.scatter, n_components)
    else:
        axes = principal_axes_iterated(
            lambda axes: moments(axes, INACTIVE).cross,
            n_features,
            n_components,
            random_state,
        )
    if code.prior.one_sided:
        axes = oriented(axes, moments, code)
    return axes


def uses_scatter_matrix(n_features):
    """Return whether a scatter matrix is cheaper than iterating over the data."""
    return n_features <= SCATTER_FEATURES


def oriented(axes, moments, code):
    """Return axes with the signs whose one-sided codes explain more energy."""
    ahead = np.einsum("ij,ij->i", moments(axes, code).cross, axes)
    behind = np.einsum("ij,ij->i", moments(-axes, code).cross, -axes)
    least = 1e-9 * max(ahead.max(), behind.max())  # below this, rounding errors
    return axes * np.where(behind - ahead > least, -1.0, 1.0)[:, None]


def principal_axes(scatter, n_components):
    """Return the leading eigenvectors of a scatter matrix as rows.

    Directions without energy are filled with coordinate axes, so that the result does
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
    return np.vstack([axes, complete(np.zeros((missing, n_features)), axes)])


def principal_axes_iterated(multiply, n_features, n_components, random_state):
    """Return the leading principal axes by subspace iteration (Halko et al., 2011).

    Parameters
    ----------
    multiply : callable
        Maps a dictionary D of shape (n_axes, n_features) to D S, S the scatter.
    n_features, n_components : int
    random_state : RandomState instance
    """
    n_axes = min(n_components + OVERSAMPLED, n_features)
    axes = random_axes(n_axes, n_features, random_state)
    for _ in range(ITERATIONS):
        axes = qr(multiply(axes).T, mode="economic", check_finite=False)[0].T
    scatter = multiply(axes) @ axes.T
    axes = principal_axes((scatter + scatter.T) / 2, n_components) @ axes
    return axes * canonical_signs(axes)[:, None]


def cosines(n_components, n_features):
    """Return the lowest frequencies of the orthonormal discrete cosine transform.

    Over two dimensions where n_features is a square (a grey patch), over two and a
    channel where it is three squares (a colour patch), else over one (a signal).
    """
    shape = patch_shape(n_features)
    # Each column of the inverse transform of a unit impulse is one cosine.
    axes = tuple(range(1, len(shape) + 1))
    frequencies = np.indices(shape).reshape(len(shape), -1)
    # Relative to each length, so that no axis is preferred; lowest first, and stable.
    rise = (frequencies / np.array(shape)[:, None]).round(12)
    order = np.lexsort([*rise[::-1], rise.sum(axis=0)])[:n_components]
    impulses = np.zeros((len(order), n_features))
    impulses[np.arange(len(order)), order] = 1.0
    waves = idctn(impulses.reshape(-1, *shape), axes=axes, norm="ortho")
    return waves.reshape(len(order), n_features)


def patch_shape(n_features):
    """Return the shape of the patch that rows of n_features are taken for."""
    for channels in (1, 3):
        side = round((n_features / channels) ** 0.5)
        if side > 1 and side * side * channels == n_features:
            return (side, side) if channels == 1 else (side, side, channels)
    return (n_features,)


def random_axes(n_components, n_features, random_state):
    """Return a uniformly distributed orthonormal dictionary."""
    normal = random_state.standard_normal((n_features, n_components))
    axes, triangle = qr(normal, mode="economic", check_finite=False)
    return (axes * np.where(np.diag(triangle) < 0, -1.0, 1.0)).T
