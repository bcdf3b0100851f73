"""Fitting a dictionary: center the rows, start, iterate until convergence."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from skscn._core.initialization import initial_dictionary, uses_scatter_matrix
from skscn._core.model_parameters import ModelParameters
from skscn._core.moments import CodeMoments, DataMoments
from skscn._core.problems import CenteredRows
from skscn._core.procrustes import canonical_order, canonical_signs
from skscn._core.projection_histogram import LazyEstimate
from skscn._core.stiefel import minimize_on_stiefel

# Small improvements in a row that end learning: a single one may be at a saddle point.
N_SMALL_STEPS = 2
# Improvements of so many rounding units of the objective are not expected to show.
MAX_ROUNDING_UNITS = 1000


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
    rounding_error = MAX_ROUNDING_UNITS * np.finfo(data.rows.dtype).eps
    min_improvement = max(tol, rounding_error)
    scale = step.evaluation.objective_scale
    # With missing values, the objective changes with their imputation, too.
    stalled = step.expected_improvement > min_improvement * scale
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
