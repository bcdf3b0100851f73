"""Theorems on learning: descent over orthonormal dictionaries."""

from functools import partial
from itertools import islice

import numpy as np
import pytest
from common import (
    make_planted_data,
    orthonormality_error,
    random_orthonormal,
    recovered_fraction,
)

from skscn._core import stiefel
from skscn._core.encoders import MapEncoder
from skscn._core.moments import CodeMoments
from skscn._core.objectives import Evaluation, Iterate
from skscn._core.priors import ONE_SIDED, SIGNED
from skscn._core.problems import CenteredRows, MapProblem, MarginalLikelihoodProblem
from skscn._core.procrustes import polar_factor
from skscn._core.row_sums import RowSums
from skscn._core.stiefel import minimize_on_stiefel

CODES = {
    "laplace": SIGNED["laplace"],
    "exponential": ONE_SIDED["exponential"],
    "spike_slab": SIGNED["spike_slab"],
    "one-sided spike_slab": ONE_SIDED["spike_slab"],
}
each_prior = pytest.mark.parametrize("prior", CODES.values(), ids=CODES)


class ArraySums(RowSums):
    """Sums over all rows of an array, at once."""

    def __init__(self, X):
        self.X, self.dtype, self.n_features = X, X.dtype, X.shape[1]

    def sum(self, function):
        return function(self.X, None)


def objective_of(X, prior, threshold):
    rows = ArraySums(X)
    data = CenteredRows(rows, np.zeros(X.shape[1]), rows.data_moments())
    problem = MapProblem(prior, False, np.array([float(threshold)]))
    return partial(problem.evaluate, data=data)


def gradient_descent(objective, components, n_steps):
    """Alternate codes and polar factor; return the last objective."""
    for _ in range(n_steps):
        components = polar_factor(
            objective(Iterate(components)).moments.cross, components
        )
    return objective(Iterate(components)).objective


def path(steps, n_steps):
    return np.array([step.evaluation.objective for step in islice(steps, n_steps)])


@each_prior
@pytest.mark.parametrize("n_components", [1, 20, 64])
def test_the_objective_is_its_definition(prior, n_components, digits):
    X = digits[:100] - digits.mean(axis=0)
    components = random_orthonormal(n_components, 64)
    codes = MapEncoder(prior, 2.0).encode(X @ components.T)
    hard = "spike" in type(prior).__name__.lower()
    penalty = 0.5 * 4.0 * (codes != 0) if hard else 2.0 * np.abs(codes)
    residual = X - codes @ components
    expected = (0.5 * (residual**2).sum() + penalty.sum()) / len(X)
    evaluation = objective_of(X, prior, 2.0)(Iterate(components))
    np.testing.assert_allclose(evaluation.objective, expected)


@each_prior
def test_the_cross_moment_is_minus_the_gradient(prior, digits, rng):
    X = digits[:200] - digits.mean(axis=0)
    objective = objective_of(X, prior, 2.3)
    components = random_orthonormal(10, 64)
    turn = rng.normal(size=(64, 64))
    step = 1e-6
    towards = [
        polar_factor(components + sign * step * components @ (turn - turn.T))
        for sign in (1, -1)
    ]
    numeric = (
        objective(Iterate(towards[0])).objective
        - objective(Iterate(towards[1])).objective
    ) / (2 * step)
    cross = objective(Iterate(components)).moments.cross / len(X)
    np.testing.assert_allclose(
        numeric, -np.vdot(cross, components @ (turn - turn.T)), rtol=1e-4
    )


@each_prior
@pytest.mark.parametrize("n_components", [1, 16, 64])
@pytest.mark.parametrize("threshold", [0.0, 1.0, 6.0, 100.0])
def test_the_objective_never_rises(prior, n_components, threshold, digits):
    X = digits[:300] - digits.mean(axis=0)
    steps = list(
        islice(
            minimize_on_stiefel(
                objective_of(X, prior, threshold),
                Iterate(random_orthonormal(n_components, 64)),
            ),
            25,
        )
    )
    values = [step.evaluation.objective for step in steps]
    assert np.all(np.diff(values) <= 0)
    assert max(orthonormality_error(step.components) for step in steps) < 1e-12


@pytest.mark.parametrize(
    "X",
    [
        np.zeros((5, 4)),
        np.ones((5, 4)),
        np.eye(4),
        np.outer(np.arange(6.0), np.ones(4)),
        np.full((3, 4), 1e-150),
        np.diag([1e6, 1.0, 1e-6, 0.0]),
    ],
)
@each_prior
def test_degenerate_data_do_no_harm(X, prior):
    for threshold in (0.0, 0.1):
        steps = list(
            islice(
                minimize_on_stiefel(
                    objective_of(X, prior, threshold), Iterate(np.eye(4))
                ),
                15,
            )
        )
        assert np.all(np.diff([step.evaluation.objective for step in steps]) <= 0)
        assert orthonormality_error(steps[-1].components) < 1e-12


def test_it_goes_where_a_thousand_plain_alternations_go(digits):
    X = digits - digits.mean(axis=0)
    objective = objective_of(X, SIGNED["laplace"], 4.0)
    start = np.linalg.eigh(X.T @ X)[1].T[::-1]
    reference = gradient_descent(objective, start, 1000)
    # Within 0.2 % of it in 30 passes, where plain alternation is not.
    assert (
        path(minimize_on_stiefel(objective, Iterate(start)), 31)[-1]
        <= reference * 1.002
    )
    assert gradient_descent(objective, start, 30) > reference * 1.002


def test_at_rest_the_moment_is_symmetric(digits):
    """The fixed points of alternation: C = M Dᵀ is symmetric, and M = C D."""
    X = digits[:400] - digits.mean(axis=0)
    objective = objective_of(X, SIGNED["laplace"], 4.0)
    *_, step = islice(
        minimize_on_stiefel(objective, Iterate(random_orthonormal(20, 64))), 400
    )
    cross = step.evaluation.moments.cross
    inner = cross @ step.components.T
    scale = np.abs(inner).max()
    np.testing.assert_allclose(inner, inner.T, atol=1e-3 * scale)
    np.testing.assert_allclose(cross, inner @ step.components, atol=1e-3 * scale)


def test_rest_is_noticed_and_kept():
    X = np.vstack([np.eye(4), -np.eye(4)])
    steps = minimize_on_stiefel(
        objective_of(X, SIGNED["laplace"], 0.1), Iterate(np.eye(4))
    )
    held = list(islice(steps, 8))
    assert held[-1].improvement == 0.0
    assert held[-1].count_small_steps(1, 0.0) == 2
    np.testing.assert_array_equal(held[-1].components, np.eye(4))


def test_a_pass_that_does_not_improve_is_not_rest(digits):
    """A rejected step says nothing about how near the minimum is."""
    X = digits[:100] - digits.mean(axis=0)
    objective = objective_of(X, SIGNED["spike_slab"], 6.0)
    steps = list(
        islice(minimize_on_stiefel(objective, Iterate(random_orthonormal(30, 64))), 60)
    )
    rejected = [step for step in steps[1:] if step.improvement is None]
    assert rejected
    assert {
        step.count_small_steps(calm, 1.0) for step in rejected for calm in (0, 1)
    } == {
        0,
        1,
    }
    accepted = next(step for step in steps[1:] if step.improvement)
    assert (accepted.count_small_steps(1, 0.0), accepted.count_small_steps(1, 1.0)) == (
        0,
        2,
    )


@pytest.mark.parametrize("n_components", [1, 5, 63])
def test_without_prior_it_finds_the_principal_subspace(n_components, digits):
    X = digits - digits.mean(axis=0)
    objective = objective_of(X, SIGNED["laplace"], 0.0)
    *_, step = islice(
        minimize_on_stiefel(objective, Iterate(random_orthonormal(n_components, 64))),
        150,
    )
    energies = np.sort(np.linalg.eigvalsh(X.T @ X))[::-1]
    lost = energies[n_components:].sum() / 2 / len(X)
    np.testing.assert_allclose(
        step.evaluation.objective, lost, rtol=1e-4, atol=1e-8 * energies.sum()
    )


@pytest.mark.parametrize("seed", range(10))
def test_a_planted_dictionary_is_recovered_from_few_samples(seed):
    X, atoms = make_planted_data(300, density=0.1, noise=0.05, seed=seed)
    objective = objective_of(X, SIGNED["laplace"], 0.2)
    *_, step = islice(
        minimize_on_stiefel(objective, Iterate(random_orthonormal(64, 64, 100 + seed))),
        100,
    )
    assert recovered_fraction(step.components, atoms) == 1.0


@pytest.mark.parametrize("seed", range(2))
def test_a_planted_dictionary_is_recovered_from_dense_codes(seed):
    X, atoms = make_planted_data(
        20_000, density=1.0, noise=0.1, seed=seed, n_components=16, n_features=16
    )
    objective = objective_of(X, SIGNED["laplace"], 0.4)
    *_, step = islice(
        minimize_on_stiefel(objective, Iterate(random_orthonormal(16, 16, 100 + seed))),
        60,
    )
    assert recovered_fraction(step.components, atoms) == 1.0


@pytest.mark.parametrize("seed", range(2))
def test_a_planted_dictionary_of_fewer_atoms_than_features(seed):
    X, atoms = make_planted_data(
        1000, density=0.2, noise=0.05, seed=seed, n_components=20
    )
    objective = objective_of(X, SIGNED["laplace"], 0.2)
    *_, step = islice(
        minimize_on_stiefel(objective, Iterate(random_orthonormal(20, 64, 100 + seed))),
        100,
    )
    assert recovered_fraction(step.components, atoms) == 1.0


def test_planted_one_sided_codes_are_recovered_with_their_sign(rng):
    atoms = random_orthonormal(16, 16)
    X = rng.exponential(size=(2000, 16)) * (rng.random((2000, 16)) < 0.2) @ atoms
    objective = objective_of(X, ONE_SIDED["exponential"], 0.1)
    *_, step = islice(
        minimize_on_stiefel(objective, Iterate(random_orthonormal(16, 16, 1))), 200
    )
    assert np.mean((step.components @ atoms.T).max(axis=0) > 0.99) > 0.9


def test_at_a_bound_the_gradient_does_not_point_beyond_it(rng):
    """The objective falls against the gradient."""
    moments = CodeMoments.zero(2, 3, 0)
    slopes, lower, upper = rng.normal(size=9), np.zeros(9), np.ones(9)
    evaluation = Evaluation(0.0, 1.0, moments, None, 1.0, slopes, np.ones(9))
    for theta, is_blocked in (
        (lower, slopes > 0),
        (upper, slopes < 0),
        ((lower + upper) / 2, np.zeros(9, dtype=bool)),
    ):
        iterate = Iterate(np.eye(2, 3), theta)
        gradient = stiefel.riemannian_gradient(iterate, evaluation, (lower, upper))
        np.testing.assert_array_equal(gradient.theta, np.where(is_blocked, 0, slopes))


@each_prior
def test_the_gradient_of_the_likelihood_is_numeric_about_any_point(prior, rng):
    """Also where the point is not the mean of the data, and in any unit."""
    X, center, atoms = rng.gamma(1.0, 3, size=(300, 4)), np.full(4, 0.5), np.eye(3, 4)
    rows = ArraySums(X)
    data = CenteredRows(rows, center, rows.data_moments(center))
    problem = MarginalLikelihoodProblem(prior, True)
    theta = problem.start(data, atoms).theta + 0.3

    def evaluate(theta):
        return problem.evaluate(Iterate(atoms, theta), data)

    numeric = [
        evaluate(theta + step).objective - evaluate(theta - step).objective
        for step in 1e-5 * np.eye(len(theta))
    ]
    gradient = evaluate(theta).gradient / len(X)
    np.testing.assert_allclose(gradient, np.array(numeric) / 2e-5, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("factor", [1.0, 1e-200, 1e200])
def test_the_norm_is_the_root_of_the_inner_product_at_any_scale(factor, rng):
    rotation = rng.normal(size=(3, 3))
    parts = rotation - rotation.T, rng.normal(size=(3, 5)), rng.normal(size=2)
    vector = stiefel.TangentVector(*parts)
    expected = factor * np.sqrt(vector.dot(vector))
    scaled = stiefel.TangentVector(*(factor * part for part in parts))
    np.testing.assert_allclose(scaled.norm(), expected, rtol=1e-12)
