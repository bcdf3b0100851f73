"""Theorems on the dictionaries that learning starts from."""

import numpy as np
import pytest
from common import orthonormality_error, random_orthonormal
from scipy.fft import dct, dctn
from sklearn.decomposition import PCA

from skscn import NonNegativeSparseCoder, OrthogonalSparseCoder
from skscn._core import initialization as starts


def test_principal_axes_are_those_of_pca(digits):
    X = digits - digits.mean(axis=0)
    axes = starts.principal_axes(X.T @ X, 10)
    np.testing.assert_allclose(
        np.abs(axes @ PCA(10).fit(X).components_.T), np.eye(10), atol=1e-8
    )
    assert orthonormality_error(axes) < 1e-12


def test_directions_without_energy_are_filled(rng):
    # Two samples have one principal axis about their mean.
    X = rng.normal(size=(2, 6))
    X -= X.mean(axis=0)
    axes = starts.principal_axes(X.T @ X, 6)
    assert orthonormality_error(axes) < 1e-12
    np.testing.assert_allclose(np.abs(axes[0] @ X[0]), np.linalg.norm(X[0]))
    noise = 1e-17 * np.abs(X).max() ** 2 * rng.normal(size=(6, 6))
    np.testing.assert_allclose(
        starts.principal_axes(X.T @ X + noise + noise.T, 6), axes, atol=1e-6
    )


def test_iterated_axes_are_those_of_the_scatter_matrix(rng):
    X = rng.normal(size=(300, 80)) * 0.7 ** np.arange(80)
    scatter = X.T @ X
    axes = starts.principal_axes_iterated(
        lambda axes: axes @ scatter, 80, 6, np.random.RandomState(0)
    )
    np.testing.assert_allclose(axes, starts.principal_axes(scatter, 6), atol=1e-6)


def test_wide_data_start_from_the_same_axes(monkeypatch, digits):
    narrow = OrthogonalSparseCoder(5, alpha=0, max_iter=0).fit(digits)
    monkeypatch.setattr(starts, "MAX_SCATTER_FEATURES", 10)
    wide = OrthogonalSparseCoder(5, alpha=0, max_iter=0, random_state=0).fit(digits)
    cosines = np.linalg.svd(wide.components_ @ narrow.components_.T)[1]
    np.testing.assert_allclose(cosines, 1, atol=1e-4)


def test_cosines_of_a_signal_are_the_cosine_transform(rng):
    x = rng.normal(size=10)
    axes = starts.dct_atoms(10, 10)
    np.testing.assert_allclose(axes @ x, dct(x, norm="ortho"), atol=1e-12)


@pytest.mark.parametrize("shape", [(8, 8), (5, 5, 3)])
def test_cosines_of_a_patch_are_its_cosine_transform_lowest_first(shape, rng):
    patch = rng.normal(size=shape)
    axes = starts.dct_atoms(patch.size, patch.size)
    assert orthonormality_error(axes) < 1e-12
    np.testing.assert_allclose(
        np.sort(axes @ patch.ravel()), np.sort(dctn(patch, norm="ortho").ravel())
    )
    np.testing.assert_allclose(axes[0], axes[0][0])
    # Fewer atoms are the first of all.
    np.testing.assert_array_equal(starts.dct_atoms(9, patch.size), axes[:9])


@pytest.mark.parametrize(
    ("n_features", "shape"),
    [(64, (8, 8)), (192, (8, 8, 3)), (50, (50,)), (1, (1,)), (3, (3,))],
)
def test_the_patch_shape_that_a_width_is_taken_for(n_features, shape):
    assert starts.patch_shape(n_features) == shape


def test_random_axes_are_orthonormal_and_follow_the_seed():
    first, again, other = (
        starts.random_orthonormal(4, 9, np.random.RandomState(seed))
        for seed in (0, 0, 1)
    )
    assert orthonormality_error(first) < 1e-12
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


def test_one_sided_atoms_start_with_the_sign_that_explains_more(rng):
    # Codes are never negative, and an axis has no sign of its own.
    atoms = random_orthonormal(6, 6)
    X = rng.exponential(size=(2000, 6)) * np.arange(6, 0, -1) @ atoms
    coder = NonNegativeSparseCoder(alpha=1.0, max_iter=0).fit(X)
    assert np.all(np.einsum("ij,ij->i", coder.components_, atoms) > 0.9)


def test_of_equal_frequencies_that_along_the_rows_comes_first():
    atoms = starts.dct_atoms(3, 16).reshape(3, 4, 4)
    np.testing.assert_allclose(np.ptp(atoms[1], axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.ptp(atoms[2], axis=1), 0, atol=1e-12)


def test_random_axes_have_no_preferred_sign():
    # LAPACK's reflections alone make the first entry negative.
    axes = [
        starts.random_orthonormal(2, 5, np.random.RandomState(i)) for i in range(99)
    ]
    assert np.all(np.abs(np.mean(np.sign(axes), axis=0)) < 0.4)
