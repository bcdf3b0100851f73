"""Theorems on the polar factor."""

import numpy as np
import pytest
from common import orthonormality_error, random_orthonormal
from scipy import linalg

from skscn._core.procrustes import (
    canonical_order,
    canonical_signs,
    complete_orthonormal,
    polar_factor,
)


def of_rank(rank, n_components, n_features, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_components, rank)) @ rng.normal(size=(rank, n_features))


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 5), (5, 8), (40, 60)])
def test_of_a_full_rank_moment_it_is_that_of_scipy(shape):
    moment = of_rank(shape[0], *shape)
    expected = linalg.polar(moment, side="left")[0]
    np.testing.assert_allclose(polar_factor(moment), expected, atol=1e-10)


def test_it_solves_the_procrustes_problem(rng):
    codes, X = rng.normal(size=(100, 6)), rng.normal(size=(100, 6))
    expected = linalg.orthogonal_procrustes(codes, X)[0]
    np.testing.assert_allclose(polar_factor(codes.T @ X), expected, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("rank", [0, 1, 4, 9, 10])
@pytest.mark.parametrize("n_features", [10, 25])
def test_orthonormal_and_optimal_at_any_rank(rank, n_features, dtype):
    moment = of_rank(rank, 10, n_features).astype(dtype)
    components = polar_factor(moment)
    assert orthonormality_error(components) < 1e-13
    # No orthonormal matrix has a larger inner product than the nuclear norm.
    np.testing.assert_allclose(
        np.vdot(moment, components), np.linalg.norm(moment, "nuc"), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("dtype", "scales"),
    [(np.float64, [1e-320, 1e-300, 1e300]), (np.float32, [1e-44, 1e-38, 1e37])],
)
def test_scale_does_not_matter(dtype, scales):
    moment = of_rank(4, 4, 6).astype(dtype)
    for scale in scales:
        scaled = (moment * scale).astype(dtype)
        assert orthonormality_error(polar_factor(scaled)) < 1e-13
    exact = moment.astype(np.float64) * 2.0**-900
    np.testing.assert_allclose(polar_factor(exact), polar_factor(moment), atol=1e-12)


@pytest.mark.parametrize("rank", [0, 3, 7])
def test_what_the_moment_leaves_open_stays_near_the_reference(rank):
    reference = random_orthonormal(8, 12)
    moment = of_rank(rank, 8, 8) @ reference
    moment = moment @ np.linalg.qr(np.random.default_rng(1).normal(size=(12, 12)))[0]
    components = polar_factor(moment, reference)
    assert orthonormality_error(components) < 1e-13
    # The derivative of <reference, D> vanishes over all moves that keep <M, D>.
    left = np.linalg.svd(moment)[0][:, rank:]
    inner = left.T @ components @ reference.T @ left
    np.testing.assert_allclose(inner, inner.T, atol=1e-12)
    assert np.linalg.eigvalsh(inner).min(initial=1) > -1e-12


def test_a_zero_moment_keeps_the_reference():
    reference = random_orthonormal(5, 9)
    np.testing.assert_allclose(polar_factor(np.zeros((5, 9)), reference), reference)


def test_an_atom_without_codes_stays_where_it_is():
    reference = random_orthonormal(5, 5)
    moment = np.diag([3.0, 2.0, 0.0, 1.0, 4.0]) @ reference
    np.testing.assert_allclose(polar_factor(moment, reference), reference, atol=1e-14)


@pytest.mark.parametrize("rank", [0, 2, 5])
def test_rounding_errors_of_a_deficient_moment_do_not_matter(rank, rng):
    moment = of_rank(rank, 6, 9)
    noise = 1e-17 * np.abs(moment).max() * rng.normal(size=moment.shape)
    reference = random_orthonormal(6, 9)
    for given in (None, reference):
        np.testing.assert_allclose(
            polar_factor(moment + noise, given), polar_factor(moment, given), atol=1e-6
        )


def test_it_turns_with_the_data():
    moment, turn = of_rank(5, 5, 7), random_orthonormal(7, 7, seed=1)
    np.testing.assert_allclose(
        polar_factor(moment @ turn), polar_factor(moment) @ turn, atol=1e-12
    )


@pytest.mark.parametrize(
    ("n_rows", "n_features"), [(0, 7), (1, 7), (4, 7), (40, 43), (40, 60)]
)
def test_completion_is_orthogonal_to_the_basis(n_rows, n_features, rng):
    basis = random_orthonormal(3, n_features)
    for wanted in (
        rng.normal(size=(n_rows, n_features)),
        np.zeros((n_rows, n_features)),
        np.ones((n_rows, 3)) @ basis,
    ):
        rows = complete_orthonormal(wanted, basis)
        assert rows.shape == (n_rows, n_features)
        assert orthonormality_error(np.vstack([basis, rows])) < 1e-13


def test_order_is_by_explained_energy_and_stable():
    components = np.eye(4)
    moment = np.diag([1.0, 5.0, 1.0, 2.0])
    np.testing.assert_array_equal(canonical_order(components, moment), [1, 3, 0, 2])


def test_signs_make_the_largest_entry_positive():
    components = np.array([[0.6, -0.8], [0.8, 0.6]])
    np.testing.assert_array_equal(canonical_signs(components), [-1, 1])
