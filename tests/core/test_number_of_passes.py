"""Learning takes few passes over the data, on problems whose optimum is known.

Learning starts near planted atoms, where numbers of passes hardly depend on rounding
errors. Each bound is what the learner takes on average, and 15 % more. The other tests
prove that a learner without one of its accelerations exceeds it.
"""

from functools import cache, partial
from itertools import islice

import numpy as np
import pytest
from common import make_planted_data, random_orthonormal

from skscn._core import expectation_propagation, stiefel
from skscn._core.encoders import MapEncoder, PosteriorMeanEncoder
from skscn._core.missing_values import _Imputation
from skscn._core.priors import ONE_SIDED, SIGNED
from skscn._core.problems import CenteredRows, MapProblem, MarginalLikelihoodProblem
from skscn._core.procrustes import polar_factor
from skscn._core.row_sums import RowSums
from skscn._core.sparse_model import SparseModel

SHAPE, N_SEEDS, N_PASSES = (10, 16), 3, 60
ACCURACY = 1e-7  # of the objective, relative to that of the start
# The learning problem, the density of planted codes, and the mean number of passes.
PROBLEMS = {
    "soft": (MapProblem, SIGNED["laplace"], 1.0, 6.7),
    "ReLU": (MapProblem, ONE_SIDED["exponential"], 0.3, 7.4),
    "Laplace": (MarginalLikelihoodProblem, SIGNED["laplace"], 0.3, 12.4),
    "exponential": (MarginalLikelihoodProblem, ONE_SIDED["exponential"], 0.3, 12.4),
}


class ArraySums(RowSums):
    """Sums over all rows of an array, at once."""

    def __init__(self, X):
        self.X, self.dtype, self.n_features = X, X.dtype, X.shape[1]

    def sum(self, function):
        return function(self.X, None)


@cache
def planted_problem(name):
    """Return a learning problem and its centered rows."""
    Problem, prior, density, _ = PROBLEMS[name]
    X, atoms = make_planted_data(
        1000, density=density, noise=0.1, seed=0, n_components=10, n_features=16
    )
    if prior.one_sided:
        rng = np.random.default_rng(0)
        codes = rng.exponential(size=(1000, 10)) * (rng.random((1000, 10)) < density)
        X = codes @ atoms + 0.1 * rng.normal(size=X.shape)
    learns_prior = Problem is MarginalLikelihoodProblem
    mean = X.mean(axis=0) if learns_prior else np.zeros(16)
    rows = ArraySums(X)
    data = CenteredRows(rows, mean, rows.data_moments(mean))
    thresholds = () if learns_prior else (np.full(10, 0.3),)
    return Problem(prior, learns_prior, *thresholds), data


def objective_path(name, seed, n_passes=N_PASSES):
    """Return the objective after every pass, from planted atoms that are turned."""
    problem, data = planted_problem(name)
    noise = np.random.default_rng(seed).normal(size=SHAPE) / 4
    atoms = polar_factor(random_orthonormal(*SHAPE) + 0.3 * noise)
    steps = stiefel.minimize_on_stiefel(
        partial(problem.evaluate, data=data),
        problem.start(data, atoms),
        problem.bounds(data, len(atoms)),
    )
    return np.array([step.evaluation.objective for step in islice(steps, n_passes)])


@cache
def optimum(name):
    return objective_path(name, seed=0, n_passes=150)[-1]


def mean_passes(name):
    """Return the mean number of passes to the optimum, or N_PASSES for longer ones."""
    numbers = []
    for seed in range(N_SEEDS):
        path = objective_path(name, seed) - optimum(name)
        is_there = path <= ACCURACY * path[0]
        numbers.append(np.argmax(is_there) if is_there.any() else N_PASSES)
    return np.mean(numbers)


def alternation_curvature(pairwise_curvature):
    """Return the function that ignores that codes change with the dictionary."""

    def curvature(step):
        _, _, theta = pairwise_curvature(step)
        energy = step.evaluation.moments.explained(step.components)
        energy = np.maximum(energy, 1e-9) * step.evaluation.gradient_scale
        return energy[:, None] + energy, energy[:, None], theta

    return curvature


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_optimum_is_found_in_few_passes(name):
    assert mean_passes(name) <= 1.15 * PROBLEMS[name][3]


@pytest.mark.parametrize("name", ["soft", "Laplace", "exponential"])
def test_without_pairwise_curvature_it_takes_more_passes(name, monkeypatch):
    expected = optimum(name)
    slower = alternation_curvature(stiefel._pairwise_curvature)
    monkeypatch.setattr(stiefel, "_pairwise_curvature", slower)
    assert mean_passes(name) > 1.15 * PROBLEMS[name][3]
    np.testing.assert_allclose(objective_path(name, 0)[-1], expected, rtol=1e-6)


@pytest.mark.parametrize("name", PROBLEMS)
def test_without_corrections_of_l_bfgs_it_takes_more_passes(name, monkeypatch):
    optimum(name)
    monkeypatch.setattr(stiefel, "N_CORRECTIONS", 0)
    assert mean_passes(name) > 1.15 * PROBLEMS[name][3]


@pytest.mark.parametrize("name", ["soft", "Laplace", "exponential"])
def test_plain_alternation_takes_four_times_as_many_passes(name, monkeypatch):
    optimum(name)
    monkeypatch.setattr(stiefel, "lbfgs_direction", lambda *_: None)
    assert mean_passes(name) > 4 * PROBLEMS[name][3]


def test_a_transported_vector_is_tangent_and_keeps_its_rotation(rng):
    atoms, other = random_orthonormal(*SHAPE), random_orthonormal(*SHAPE, seed=1)
    vector = stiefel.TangentVector.gradient(
        atoms, rng.normal(size=SHAPE), np.array([1.0, 2.0])
    )
    moved = vector.transported(other)
    np.testing.assert_allclose(moved.normal @ other.T, 0, atol=1e-12)
    np.testing.assert_array_equal(moved.rotation, vector.rotation)
    for each, components in ((vector, atoms), (moved, other)):
        ambient = each.ambient(components)
        inner = ambient @ components.T  # of a tangent vector it is antisymmetric
        np.testing.assert_allclose(inner + inner.T, 0, atol=1e-12)
        norm = np.sum(ambient**2) - np.sum(each.rotation**2) / 2 + 5
        np.testing.assert_allclose(each.dot(each), norm)


def count_sweeps(accelerate):
    """Return the mean number of sweeps over rows with missing values."""
    rng = np.random.default_rng(0)
    atoms = random_orthonormal(12, 20)
    X = rng.laplace(size=(200, 12)) @ atoms + 0.1 * rng.normal(size=(200, 20))
    missing = rng.random(X.shape) < 0.5
    model = SparseModel(atoms, None, MapEncoder(SIGNED["laplace"], 0.05))
    imputation = _Imputation(model, missing, np.where(missing, 0.0, X))
    n_rows, change = [], imputation.change

    def counted(x, missing):
        n_rows.append(len(x))
        return change(x, missing)

    imputation.change = counted
    accelerate(imputation, np.arange(200), 1e-6, 1000)
    return sum(n_rows) / 200


def iterate_plainly(imputation, running, tol, n_sweeps):
    for _ in range(n_sweeps):
        x = imputation.x[running]
        change, _ = imputation.change(x, imputation.missing[running])
        imputation.x[running] = x + change
        running = running[np.abs(change).max(axis=1) > tol * np.abs(x).max(axis=1)]


def test_momentum_saves_sweeps_of_imputation():
    n_sweeps = count_sweeps(_Imputation.accelerate)
    assert n_sweeps < 66  # 57, and 15 % more; without restarts it takes 121
    assert count_sweeps(iterate_plainly) > 4 * n_sweeps


def test_expectation_propagation_ends_when_sites_no_longer_change(monkeypatch):
    """For complete samples by the factor 1 − DAMPING: their cavities do not change."""
    encoder = PosteriorMeanEncoder(SIGNED["laplace"], np.array([[1.0, 2.0]]), 0.5)
    model = SparseModel(random_orthonormal(2, 3), None, encoder)
    passes, tilted = [], expectation_propagation._tilted

    def counted(*arguments):
        passes.append(1)
        return tilted(*arguments)

    monkeypatch.setattr(expectation_propagation, "_tilted", counted)
    rows = np.array([[0.3, -1.0, 2.0]])
    expectation_propagation.approximate_posterior(rows, model)
    factor = 1 - expectation_propagation.DAMPING
    expected = np.log(expectation_propagation.TOL) / np.log(factor)
    assert expected < len(passes) < expected + 4
