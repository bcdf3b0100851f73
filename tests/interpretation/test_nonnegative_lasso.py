"""Exact non-negative codes for any atoms, against solvers that know nothing of them."""

import numpy as np
import pytest
from common import random_orthonormal
from scipy.optimize import linprog, nnls
from sklearn.decomposition import sparse_encode

from skscn._interpretation.nonnegative_lasso import (
    exact_codes,
    gains,
    is_bounded,
    unrolled_codes,
)

each_seed = pytest.mark.parametrize("seed", range(4))


def dictionary(n_atoms, n_features, seed, *, alike=0.5):
    """Return unit atoms that resemble each other, and samples."""
    rng = np.random.default_rng(seed)
    atoms = rng.normal(size=(n_atoms, n_features)) + alike * rng.normal(size=n_features)
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    return atoms, 3 * rng.normal(size=(40, n_features))


def solved(atoms, X, priors, **options):
    gram = atoms @ atoms.T
    np.fill_diagonal(gram, 1.0)
    drive = X @ atoms.T - priors
    codes, converged = exact_codes(drive, gram, **options)
    assert converged.all()
    return codes, drive, gram


@each_seed
@pytest.mark.parametrize(("n_atoms", "n_features"), [(12, 20), (20, 12)])
def test_codes_are_those_of_the_lasso_of_scikit_learn(n_atoms, n_features, seed):
    atoms, X = dictionary(n_atoms, n_features, seed)
    codes, _, _ = solved(atoms, X, np.full(n_atoms, 0.5), tol=1e-10)
    lasso = sparse_encode(
        X, atoms, algorithm="lasso_cd", alpha=0.5, positive=True, max_iter=100_000
    )
    fits = [
        np.sum((X - a @ atoms) ** 2, axis=1) / 2 + 0.5 * a.sum(axis=1)
        for a in (codes, lasso)
    ]
    assert np.all(fits[0] <= fits[1] + 1e-9)
    np.testing.assert_allclose(codes @ atoms, lasso @ atoms, atol=2e-2)


@each_seed
def test_without_a_prior_codes_are_non_negative_least_squares(seed):
    atoms, X = dictionary(12, 20, seed)
    codes, _, _ = solved(atoms, X, np.zeros(12), tol=1e-12)
    oracle = [nnls(atoms.T, x)[0] for x in X]
    np.testing.assert_allclose(codes, oracle, atol=1e-9)


@each_seed
@pytest.mark.parametrize(("n_atoms", "n_features"), [(12, 20), (20, 12)])
def test_one_prior_for_each_atom_some_negative(n_atoms, n_features, seed):
    # Optimal if and only if slopes vanish on the support and are not positive beside.
    rng = np.random.default_rng(seed)
    atoms, X = dictionary(n_atoms, n_features, seed)
    priors = atoms @ rng.normal(size=n_features) + rng.uniform(0, 0.3, size=n_atoms)
    assert priors.min() < 0
    codes, drive, gram = solved(atoms, X, priors, tol=1e-10)
    slopes = drive - codes @ gram
    assert np.all(codes >= 0)
    assert np.abs(slopes[codes > 0]).max() < 1e-8
    assert slopes.max() < 1e-8


@each_seed
def test_orthonormal_atoms_need_no_sweep(seed):
    atoms = random_orthonormal(8, 10, seed)
    X = np.random.default_rng(seed).normal(size=(30, 10))
    drive = X @ atoms.T - 0.2
    codes, converged = exact_codes(drive, atoms @ atoms.T, max_iter=0)
    assert converged.all()
    np.testing.assert_array_equal(codes, np.maximum(drive, 0))
    np.testing.assert_allclose(unrolled_codes(drive, atoms @ atoms.T, 7), codes)


@each_seed
def test_nearly_equal_atoms_are_solved_by_an_active_set(seed):
    rng = np.random.default_rng(seed)
    atoms, X = dictionary(30, 10, seed)
    atoms[10:20] = atoms[:10] + 1e-3 * rng.normal(size=(10, 10))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    codes, drive, gram = solved(atoms, X, np.full(30, 0.3), tol=1e-8)
    slopes = drive - codes @ gram
    assert slopes.max() < 1e-6
    assert np.abs(slopes[codes > 0]).max() < 1e-6


@each_seed
def test_a_sample_is_coded_by_itself(seed):
    atoms, X = dictionary(20, 12, seed)
    priors = np.full(20, 0.1)
    together, drive, gram = solved(atoms, X, priors)
    for i in (0, 17):
        alone, _ = exact_codes(drive[i : i + 1], gram)
        np.testing.assert_allclose(alone[0], together[i], atol=1e-5)


@each_seed
def test_steps_never_raise_the_objective_and_end_at_the_exact_code(seed):
    atoms, X = dictionary(12, 20, seed)
    codes, drive, gram = solved(atoms, X, np.full(12, 0.5), tol=1e-10)
    path = [gains(unrolled_codes(drive, gram, k), drive, gram) for k in range(12)]
    assert np.all(np.diff(path, axis=0) >= -1e-10)
    assert np.all(path[-1] <= gains(codes, drive, gram) + 1e-10)
    far = unrolled_codes(drive, gram, 20_000)
    np.testing.assert_allclose(far, codes, atol=1e-6)


def test_an_atom_that_is_zero_keeps_its_constant():
    atoms, X = dictionary(6, 10, 0)
    atoms[2] = 0.0
    gram = atoms @ atoms.T
    gram[np.diag_indices(6)] = np.arange(6) != 2
    priors = np.full(6, 0.4)
    priors[2] = -1.5
    drive = X @ atoms.T - priors
    codes, _ = exact_codes(drive, gram)
    np.testing.assert_array_equal(codes[:, 2], 1.5)
    np.testing.assert_array_equal(unrolled_codes(drive, gram, 3)[:, 2], 1.5)
    others = np.arange(6) != 2
    alone, _ = exact_codes(drive[:, others], gram[np.ix_(others, others)])
    np.testing.assert_allclose(codes[:, others], alone, atol=1e-5)


@each_seed
def test_the_objective_is_bounded_if_priors_are_sparse_about_some_centre(seed):
    rng = np.random.default_rng(seed)
    atoms = rng.normal(size=(20, 5))
    centre = rng.normal(size=5)
    priors = atoms @ centre + rng.uniform(0, 1, size=20)
    assert is_bounded(atoms, priors)
    # Two opposite atoms whose priors do not even add up to zero have no such centre.
    atoms[1] = -atoms[0]
    priors[1] = -priors[0] - 0.1
    assert not is_bounded(atoms, priors)
    # Its dual: a direction of codes that rebuilds nothing and costs less and less.
    free = linprog(priors, A_eq=np.vstack([atoms.T, np.ones(20)]), b_eq=[0] * 5 + [1])
    assert free.fun < 0


def test_independent_atoms_always_have_a_centre():
    atoms = np.random.default_rng(0).normal(size=(5, 8))
    assert is_bounded(atoms, np.full(5, -100.0))


def test_no_sweep_left_is_told():
    atoms, X = dictionary(12, 20, 0)
    gram = atoms @ atoms.T
    np.fill_diagonal(gram, 1.0)
    _, converged = exact_codes(X @ atoms.T, gram, max_iter=1)
    assert not converged.all()
