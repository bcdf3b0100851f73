"""Fitting a dictionary: center the rows, start, iterate until convergence."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from skscn._core.initialization import (
    initial_dictionary,
    orient_atoms,
    uses_scatter_matrix,
)
from skscn._core.model_parameters import ModelParameters
from skscn._core.moments import CodeMoments, DataMoments
from skscn._core.objectives import Iterate
from skscn._core.problems import CenteredRows
from skscn._core.procrustes import (
    canonical_order,
    canonical_signs,
    complete_orthonormal,
)
from skscn._core.projection_histogram import LazyEstimate
from skscn._core.stiefel import minimize_on_stiefel

# Small improvements in a row that end learning: a single one may be at a saddle point.
N_SMALL_STEPS = 2
# Improvements of so many rounding units of the objective are not expected to show.
MAX_ROUNDING_UNITS = 1000
ZERO_ROUNDING_UNITS = 10  # of the energy of the data: a smaller objective is zero


@dataclass(frozen=True)
class Solution:
    """A fitted dictionary.

    Parameters
    ----------
    components : ndarray of shape (n_components, n_features)
    mean : ndarray of shape (n_features,)
        Of the data, or zero.
    moments : DataMoments
        About the mean, with missing values imputed by the fitted model.
    code_moments : CodeMoments
    estimate : LazyEstimate or ModelParameters
        Of noise and prior.
    objective_path : list of float
        Of the start and after every iteration.
    converged : bool
    stalled : bool
        Whether rounding errors ended learning before it converged.
    """

    components: np.ndarray
    mean: np.ndarray
    moments: DataMoments
    code_moments: CodeMoments
    estimate: LazyEstimate | ModelParameters
    objective_path: list
    converged: bool = False
    stalled: bool = False


def center_rows(rows, *, center, scatter, check_moments):
    """Return `CenteredRows` about their mean, or about zero.

    Parameters
    ----------
    rows : RowSums
    center : bool
        Whether to take the mean.
    scatter : bool
        Whether the moments have a scatter matrix.
    check_moments : callable
        Takes moments, and the rows that they are of where they are about zero. It
        raises where squares overflow or underflow.
    """
    mean = np.zeros(rows.n_features, dtype=rows.dtype)
    if center:
        moments = rows.data_moments()
        check_moments(moments, rows)
        mean = (moments.weighted_sum / moments.weight).astype(rows.dtype)
    moments = rows.data_moments(mean, scatter=scatter)
    check_moments(moments, None if center else rows)
    return CenteredRows(rows, mean.astype(np.float64), moments)


def start_dictionary(rows, problem, init, n_components, *, random_state, check_moments):
    """Return `CenteredRows`, and a dictionary to start from.

    Parameters
    ----------
    rows : RowSums
    problem : LearningProblem
    init : {"pca", "dct", "random"} or ndarray of shape (n_components, n_features)
    n_components : int
    random_state : RandomState instance
    check_moments
        As for `center_rows`.
    """
    is_name = isinstance(init, str)
    scatter = is_name and init == "pca" and uses_scatter_matrix(rows.n_features)
    data = center_rows(
        rows, center=problem.center, scatter=scatter, check_moments=check_moments
    )
    if is_name:
        init = initial_dictionary(init, n_components, data, problem, random_state)
    return replace(data, moments=replace(data.moments, scatter=None)), init


def learn_dictionary(
    rows,
    problem,
    init,
    n_components,
    *,
    random_state,
    check_moments,
    parameters=None,
    **options,
):
    """Return the `Solution` of a learning problem on rows.

    Parameters
    ----------
    rows, problem, init, n_components, random_state, check_moments
        As for `start_dictionary`.
    parameters, **options
        As for `fit_dictionary`.
    """
    is_pca = isinstance(init, str) and init == "pca"
    if is_pca and rows.has_small_span and not problem.learns_prior:
        data = center_rows(
            rows, center=problem.center, scatter=False, check_moments=check_moments
        )
        return fit_in_span(problem, data, n_components, **options)
    data, components = start_dictionary(
        rows,
        problem,
        init,
        n_components,
        random_state=random_state,
        check_moments=check_moments,
    )
    return fit_dictionary(problem, data, components, parameters=parameters, **options)


def fit_in_span(problem, data, n_components, *, callbacks, **options):
    """Return the `Solution` that starts from principal axes, found in the rows' span.

    Where rows are much fewer than features, atoms outside of their span have neither
    codes nor gradients. The problem is solved in coordinates of the span, and its atoms
    are completed to an orthonormal dictionary.

    Parameters
    ----------
    problem : MapProblem
    data : CenteredRows
    n_components : int
    callbacks, **options
        As for `fit_dictionary`.
    """
    basis, coordinates = data.rows.span(data.mean)
    n_inside = min(n_components, len(basis))
    problem_inside = replace(problem, alpha=problem.alpha[:n_inside])
    origin = np.zeros(len(basis))
    inside = CenteredRows(coordinates, origin, coordinates.data_moments(origin))
    atoms = np.eye(n_inside, len(basis))
    if problem.prior.one_sided:
        atoms = orient_atoms(atoms, inside, problem_inside.encoder)

    def lift(solution):
        components = solution.components @ basis
        others = np.zeros((n_components - n_inside, len(data.mean)))
        others = complete_orthonormal(others, components)
        iterate = Iterate(np.vstack([components, others]))
        if not problem.prior.one_sided:
            signs = canonical_signs(iterate.components)
            iterate = iterate.permuted(np.arange(n_components), signs)
        return replace(
            solution,
            components=iterate.components,
            mean=data.mean,
            moments=data.moments,
            code_moments=problem.evaluate(iterate, data).moments,
            estimate=problem.estimate(iterate, data),
        )

    callbacks = _LiftedCallbacks(callbacks, lift)
    return lift(
        fit_dictionary(problem_inside, inside, atoms, callbacks=callbacks, **options)
    )


@dataclass(frozen=True)
class _LiftedCallbacks:
    """Callbacks that receive solutions of all features."""

    callbacks: Any
    lift: Callable

    def begin_iteration(self):
        self.callbacks.begin_iteration()

    def end_iteration(self, solution):
        return self.callbacks.end_iteration(lambda: self.lift(solution()))


def fit_dictionary(
    problem,
    data,
    components,
    *,
    parameters=None,
    max_iter,
    tol,
    fixed_order=False,
    callbacks,
):
    """Return the `Solution` of a learning problem.

    Parameters
    ----------
    problem : LearningProblem
    data, components
        From `start_dictionary`.
    parameters : ModelParameters, default=None
        To start from. None starts from the data.
    max_iter : int
    tol : float
        Relative to the objective, or in nats a feature.
    fixed_order : bool, default=False
        Whether atoms keep their order, which the thresholds of an array refer to.
    callbacks : object
        With methods `begin_iteration()`, and `end_iteration(solution)`, which takes a
        function that returns the `Solution` so far and returns whether to stop.
    """
    steps = minimize_on_stiefel(
        partial(problem.evaluate, data=data),
        problem.start(data, components, parameters),
        problem.bounds(data, len(components)),
    )
    step = next(steps)
    path = [step.evaluation.reported_objective]

    def solution(iterate, moments, code_moments, converged=False, stalled=False):
        return Solution(
            iterate.components,
            data.mean,
            moments,
            code_moments,
            problem.estimate(iterate, data),
            list(path),
            converged,
            stalled,
        )

    n_small, converged = 0, max_iter == 0
    while not converged and len(path) <= max_iter:
        callbacks.begin_iteration()
        step = next(steps)
        path.append(step.evaluation.reported_objective)
        n_small = step.count_small_steps(n_small, tol)
        converged = n_small == N_SMALL_STEPS
        converged |= callbacks.end_iteration(
            partial(solution, step.iterate, data.moments, step.evaluation.moments)
        )
    iterate, code_moments = step.iterate, step.evaluation.moments
    if max_iter > 0:
        order, signs = canonical_form(
            iterate.components, code_moments, problem.prior, fixed_order=fixed_order
        )
        iterate = iterate.permuted(order, signs)
        code_moments = code_moments.permuted(order, signs)
    moments = data.imputed(problem.model(iterate, data))
    eps, scale = np.finfo(data.rows.dtype).eps, step.evaluation.objective_scale
    min_improvement = max(tol, MAX_ROUNDING_UNITS * eps) * scale
    stalled = step.expected_improvement > min_improvement
    # Without a threshold, atoms may reconstruct the data up to rounding errors.
    energy = 0.5 * data.moments.sum_squares / data.moments.weight
    stalled &= problem.learns_prior or scale > ZERO_ROUNDING_UNITS * eps * energy
    # With missing values, the objective changes with their imputation, too.
    stalled &= not data.rows.has_missing
    return solution(iterate, moments, code_moments, converged, stalled)


def canonical_form(components, code_moments, prior, *, fixed_order):
    """Return the order of atoms by the energy of their codes, and their signs.

    The order stays where each coefficient has a threshold of its own. The signs stay
    where codes are one-sided.
    """
    order, signs = np.arange(len(components)), np.ones(len(components))
    if not fixed_order:
        order = canonical_order(components, code_moments.cross)
    if not prior.one_sided:
        signs = canonical_signs(components[order])
    return order, signs
