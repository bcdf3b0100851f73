"""Non-negative codes for any atoms, compared with general solvers."""

import numpy as np
import pytest
from common import random_orthonormal
from scipy.optimize import linprog, nnls
from sklearn.decomposition import sparse_encode

from skscn._interpretation.nonnegative_lasso import (
    exact_codes,
    is_bounded,
    objective_decrease,
    unrolled_codes,
)

each_seed = pytest.mark.parametrize("seed", range(4))


def random_dictionary(n_atoms, n_features, seed, *, similarity=0.5):
    """Return similar atoms of norm one, and samples."""
    rng = np.random.default_rng(seed)
    atoms = rng.normal(size=(n_atoms, n_features)) + similarity * rng.normal(
        size=n_features
    )
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    return atoms, 3 * rng.normal(size=(40, n_features))


def solve(atoms, X, priors, **options):
    gram = atoms @ atoms.T
    np.fill_diagonal(gram, 1.0)
    v = X @ atoms.T - priors
    codes, converged = exact_codes(v, gram, **options)
    assert converged.all()
    return codes, v, gram


@each_seed
@pytest.mark.parametrize(("n_atoms", "n_features"), [(12, 20), (20, 12)])
def test_codes_are_those_of_the_lasso_in_scikit_learn(n_atoms, n_features, seed):
    atoms, X = random_dictionary(n_atoms, n_features, seed)
    codes, _, _ = solve(atoms, X, np.full(n_atoms, 0.5), tol=1e-10)
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
    atoms, X = random_dictionary(12, 20, seed)
    codes, _, _ = solve(atoms, X, np.zeros(12), tol=1e-12)
    oracle = [nnls(atoms.T, x)[0] for x in X]
    np.testing.assert_allclose(codes, oracle, atol=1e-9)


@each_seed
@pytest.mark.parametrize(("n_atoms", "n_features"), [(12, 20), (20, 12)])
def test_codes_for_negative_priors_satisfy_the_optimality_conditions(
    n_atoms, n_features, seed
):
    # Optimal codes have a zero gradient on the support, and no positive one outside.
    rng = np.random.default_rng(seed)
    atoms, X = random_dictionary(n_atoms, n_features, seed)
    priors = atoms @ rng.normal(size=n_features) + rng.uniform(0, 0.3, size=n_atoms)
    assert priors.min() < 0
    codes, v, gram = solve(atoms, X, priors, tol=1e-10)
    gradient = v - codes @ gram
    assert np.all(codes >= 0)
    assert np.abs(gradient[codes > 0]).max() < 1e-8
    assert gradient.max() < 1e-8


@each_seed
def test_codes_of_orthonormal_atoms_are_relu_codes(seed):
    atoms = random_orthonormal(8, 10, seed)
    X = np.random.default_rng(seed).normal(size=(30, 10))
    v = X @ atoms.T - 0.2
    codes, converged = exact_codes(v, atoms @ atoms.T, max_iter=0)
    assert converged.all()
    np.testing.assert_array_equal(codes, np.maximum(v, 0))
    np.testing.assert_allclose(unrolled_codes(v, atoms @ atoms.T, 7), codes)


@each_seed
def test_codes_of_nearly_equal_atoms_are_optimal(seed):
    rng = np.random.default_rng(seed)
    atoms, X = random_dictionary(30, 10, seed)
    atoms[10:20] = atoms[:10] + 1e-3 * rng.normal(size=(10, 10))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    codes, v, gram = solve(atoms, X, np.full(30, 0.3), tol=1e-8)
    gradient = v - codes @ gram
    assert gradient.max() < 1e-6
    assert np.abs(gradient[codes > 0]).max() < 1e-6


@each_seed
def test_the_code_of_a_sample_does_not_depend_on_other_samples(seed):
    atoms, X = random_dictionary(20, 12, seed)
    priors = np.full(20, 0.1)
    together, v, gram = solve(atoms, X, priors)
    for i in (0, 17):
        alone, _ = exact_codes(v[i : i + 1], gram)
        np.testing.assert_allclose(alone[0], together[i], atol=1e-5)


@each_seed
def test_unrolled_steps_decrease_the_objective_to_its_minimum(seed):
    atoms, X = random_dictionary(12, 20, seed)
    codes, v, gram = solve(atoms, X, np.full(12, 0.5), tol=1e-10)
    path = [objective_decrease(unrolled_codes(v, gram, k), v, gram) for k in range(12)]
    assert np.all(np.diff(path, axis=0) >= -1e-10)
    assert np.all(path[-1] <= objective_decrease(codes, v, gram) + 1e-10)
    last = unrolled_codes(v, gram, 20_000)
    np.testing.assert_allclose(last, codes, atol=1e-6)


def test_the_code_of_a_zero_atom_is_constant():
    atoms, X = random_dictionary(6, 10, 0)
    atoms[2] = 0.0
    gram = atoms @ atoms.T
    gram[np.diag_indices(6)] = np.arange(6) != 2
    priors = np.full(6, 0.4)
    priors[2] = -1.5
    v = X @ atoms.T - priors
    codes, _ = exact_codes(v, gram)
    np.testing.assert_array_equal(codes[:, 2], 1.5)
    np.testing.assert_array_equal(unrolled_codes(v, gram, 3)[:, 2], 1.5)
    others = np.arange(6) != 2
    alone, _ = exact_codes(v[:, others], gram[np.ix_(others, others)])
    np.testing.assert_allclose(codes[:, others], alone, atol=1e-5)


@each_seed
def test_the_objective_is_bounded_if_priors_are_sparse_for_some_center(seed):
    rng = np.random.default_rng(seed)
    atoms = rng.normal(size=(20, 5))
    center = rng.normal(size=5)
    priors = atoms @ center + rng.uniform(0, 1, size=20)
    assert is_bounded(atoms, priors)
    # Opposite atoms have no such center if the sum of their priors is negative.
    atoms[1] = -atoms[0]
    priors[1] = -priors[0] - 0.1
    assert not is_bounded(atoms, priors)
    # The dual: a direction of codes with a zero reconstruction and a negative cost.
    dual = linprog(priors, A_eq=np.vstack([atoms.T, np.ones(20)]), b_eq=[0] * 5 + [1])
    assert dual.fun < 0


def test_the_objective_is_bounded_for_independent_atoms():
    atoms = np.random.default_rng(0).normal(size=(5, 8))
    assert is_bounded(atoms, np.full(5, -100.0))


def test_codes_after_too_few_sweeps_have_not_converged():
    atoms, X = random_dictionary(12, 20, 0)
    gram = atoms @ atoms.T
    np.fill_diagonal(gram, 1.0)
    _, converged = exact_codes(X @ atoms.T, gram, max_iter=1)
    assert not converged.all()
