"""Fitting a mixture: one pass over the rows an iteration, for all dictionaries.

The M-step of each dictionary is that of a single one, a polar factor among it; plain EM
never decreases the likelihood. It is slow for the rotation of the atoms. By Fisher's
identity, the weighted moments are also the gradient of the likelihood of the mixture.
Each dictionary therefore takes the quasi-Newton step of `skscn._core.stiefel`. All
steps are tried together: where they decrease the likelihood, shorter ones follow, and
at last the EM step.
"""

from collections import deque
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from skscn._core.fitting import (
    N_SMALL_STEPS,
    canonical_form,
)
from skscn._core.mixture import mixture_sums
from skscn._core.mixture_problems import Dictionary
from skscn._core.objectives import Evaluation, Iterate
from skscn._core.procrustes import polar_factor
from skscn._core.stiefel import (
    LINE_SEARCH_STEPS,
    N_CORRECTIONS,
    Step,
    lbfgs_direction,
    retract,
    riemannian_gradient,
)

# A dictionary with a smaller share of the rows learns nothing more: its parameters stay
# and its weight goes to zero.
MIN_SHARE = 1e-9


@dataclass(frozen=True)
class MixtureState:
    """A mixture after one pass over the rows.

    Parameters
    ----------
    dictionaries : tuple of Dictionary
    weights : ndarray of shape (n_dictionaries,)
        Of the mixture.
    objective : float
        Mean over the samples, penalized by the shrinkage.
    data : tuple of DataMoments
        Of each dictionary, about its center, weighted by responsibilities.
    evaluations : tuple of Evaluation or None
        Of each dictionary, given the responsibilities. None where it has no rows.
    shares : ndarray of shape (n_dictionaries,)
        Mean responsibilities, the weights of the M-step.
    """

    dictionaries: tuple
    weights: np.ndarray
    objective: float
    data: tuple
    evaluations: tuple
    shares: np.ndarray


@dataclass(frozen=True)
class MixtureSolution:
    """A fitted mixture.

    Parameters
    ----------
    state : MixtureState
    objective_path : list of float
    converged : bool
    """

    state: MixtureState
    objective_path: list
    converged: bool = False


def mixture_of_one(problem, solution):
    """Return the `MixtureSolution` of a single dictionary, given its `Solution`."""
    iterate = Iterate(solution.components, problem.theta(solution.estimate))
    evaluation = Evaluation(
        solution.objective_path[-1], 1.0, solution.code_moments, lambda _: iterate.theta
    )
    state = MixtureState(
        (Dictionary(iterate, solution.mean),),
        np.ones(1),
        solution.objective_path[-1],
        (solution.moments,),
        (evaluation,),
        np.ones(1),
    )
    return MixtureSolution(state, solution.objective_path, solution.converged)


def evaluate_mixture(dictionaries, weights, *, rows, problem, shrinkage=None):
    """Return the `MixtureState` of dictionaries and weights, by one pass over rows."""
    mixture = problem.mixture(dictionaries, weights)
    sums = rows.sum(
        partial(
            mixture_sums,
            mixture=mixture,
            dtypes=tuple(problem.dtype_of_moments(d, rows.dtype) for d in dictionaries),
            n_statistics=problem.n_statistics,
        )
    )
    # Of the rows alone: mixture weights are not shrunk.
    shares = sums.responsibility / sums.weight
    if shrinkage is not None:
        sums = shrinkage.added_to(sums, mixture, problem.n_statistics)
    new, all_data, evaluations = [], [], []
    for dictionary, data, codes, share in zip(
        dictionaries, sums.data, sums.codes, shares, strict=True
    ):
        evaluation = None
        if share > MIN_SHARE:
            before = dictionary.center
            data, codes = problem.complete(dictionary, data, codes)
            dictionary, evaluation = problem.evaluate(dictionary, data, codes)
            data = data.recentered(dictionary.center - before)
        new.append(dictionary)
        all_data.append(data)
        evaluations.append(evaluation)
    return MixtureState(
        tuple(new),
        weights,
        -sums.score / sums.weight,
        tuple(all_data),
        tuple(evaluations),
        shares / shares.sum(),
    )


def em_step(dictionary, evaluation):
    """Return the M-step of one dictionary."""
    if evaluation is None:
        return dictionary
    components = polar_factor(evaluation.moments.cross, dictionary.iterate.components)
    iterate = Iterate(components, evaluation.m_step(components))
    return Dictionary(iterate, dictionary.center)


class _QuasiNewton:
    """The quasi-Newton steps of one dictionary, and their history."""

    def __init__(self, bounds):
        self.bounds = bounds or (-np.inf, np.inf)
        self.history: deque = deque(maxlen=N_CORRECTIONS)

    def prepare(self, dictionary, evaluation):
        """Compute gradient and direction at an accepted state."""
        self.dictionary, self.evaluation = dictionary, evaluation
        self.direction = None
        if evaluation is not None:
            iterate = dictionary.iterate
            self.gradient = riemannian_gradient(iterate, evaluation, self.bounds)
            accepted = Step(iterate, evaluation, None)
            self.direction = lbfgs_direction(accepted, self.gradient, self.history)

    def step(self, size):
        """Return the dictionary after a step; far from a minimum it is that of EM."""
        if self.direction is None or size == 0.0:
            return em_step(self.dictionary, self.evaluation)
        iterate = retract(self.dictionary.iterate, self.direction * size, self.bounds)
        return Dictionary(iterate, self.dictionary.center)

    def accept(self, size, trial, dictionary, evaluation):
        """Learn the curvature from an accepted step, of some size."""
        if self.direction is None or size == 0.0 or evaluation is None:
            self.history.clear()
            return
        step = self.direction * size
        step.theta = trial.iterate.theta - self.dictionary.iterate.theta
        gradient = riemannian_gradient(dictionary.iterate, evaluation, self.bounds)
        former = self.gradient.transported(dictionary.iterate.components)
        self.history.append((step, gradient - former))


def minimize_mixture(evaluate, state, bounds):
    """Yield the best `MixtureState` after each pass, and its improvement, endlessly.

    The improvement is None after a pass that was not accepted. The objective of the
    yielded states never increases.

    Parameters
    ----------
    evaluate : callable
        Maps dictionaries and weights to their `MixtureState`: one pass over the data.
    state : MixtureState
        To start from.
    bounds : tuple of two ndarray, or None
        Of θ of every dictionary.
    """
    optimizers = [_QuasiNewton(bounds) for _ in state.dictionaries]
    while True:
        for optimizer, dictionary, evaluation in zip(
            optimizers, state.dictionaries, state.evaluations, strict=True
        ):
            optimizer.prepare(dictionary, evaluation)
        is_newton = any(optimizer.direction is not None for optimizer in optimizers)
        for size in (*(LINE_SEARCH_STEPS if is_newton else ()), 0.0):
            trials = tuple(optimizer.step(size) for optimizer in optimizers)
            new = evaluate(trials, state.shares)
            improvement = state.objective - new.objective
            if improvement > 0.0:
                break
            if size > 0.0:
                yield state, None
        else:  # a minimum, up to rounding errors
            while True:
                yield state, 0.0
        for optimizer, trial, dictionary, evaluation in zip(
            optimizers, trials, new.dictionaries, new.evaluations, strict=True
        ):
            optimizer.accept(size, trial, dictionary, evaluation)
        state = new
        yield state, improvement


def fit_mixture(
    problem,
    rows,
    dictionaries,
    weights,
    shrinkage=None,
    *,
    max_iter,
    tol,
    fixed_order=False,
    sort=True,
    callbacks,
):
    """Return the `MixtureSolution` of a learning problem.

    Parameters
    ----------
    problem : MixtureProblem
    rows : RowSums
        Where values are missing, the rows hold NaN.
    dictionaries : tuple of Dictionary
    weights : ndarray of shape (n_dictionaries,)
        To start from.
    shrinkage : Shrinkage or None
        Pseudo-observations of the dictionaries.
    max_iter : int
    tol : float
        In nats a feature or, of MAP objectives, relative.
    fixed_order : bool, default=False
        Whether atoms keep their order, which the thresholds of an array refer to.
    sort : bool, default=True
        Whether dictionaries are sorted by their weights.
    callbacks : object
        As for `fit_dictionary`.
    """
    evaluate = partial(
        evaluate_mixture, rows=rows, problem=problem, shrinkage=shrinkage
    )
    state = evaluate(dictionaries, weights)
    n_components, n_features = dictionaries[0].iterate.components.shape
    path = [state.objective]
    steps = minimize_mixture(evaluate, state, problem.bounds(n_components))
    n_small, converged = 0, max_iter == 0
    while not converged and len(path) <= max_iter:
        callbacks.begin_iteration()
        state, improvement = next(steps)
        path.append(state.objective)
        if improvement is not None:
            scale = n_features if problem.learns_prior else abs(state.objective)
            n_small = n_small + 1 if improvement <= tol * scale else 0
        converged = n_small == N_SMALL_STEPS
        converged |= callbacks.end_iteration(
            partial(MixtureSolution, state, list(path))
        )
    if max_iter > 0:
        # The state has already taken a part of the next M-step: weights, and means
        # outside of the span of the atoms.
        path[-1] = min(evaluate(state.dictionaries, state.shares).objective, path[-1])
        state = canonical_state(state, problem, fixed_order=fixed_order, sort=sort)
    return MixtureSolution(state, path, converged)


def canonical_state(state, problem, *, fixed_order, sort):
    """Return the state with dictionaries, and the atoms of each, in canonical order."""
    order = np.arange(len(state.shares))
    if sort:
        order = np.argsort(-state.shares, kind="stable")
    dictionaries, evaluations = [], []
    for i in order:
        dictionary, evaluation = state.dictionaries[i], state.evaluations[i]
        if evaluation is not None:
            atoms, signs = canonical_form(
                dictionary.iterate.components,
                evaluation.moments,
                problem.prior,
                fixed_order=fixed_order,
            )
            dictionary = problem.permuted(dictionary, atoms, signs)
            moments = evaluation.moments.permuted(atoms, signs)
            evaluation = replace(evaluation, moments=moments)
        dictionaries.append(dictionary)
        evaluations.append(evaluation)
    return MixtureState(
        tuple(dictionaries),
        state.shares[order],
        state.objective,
        tuple(state.data[i] for i in order),
        tuple(evaluations),
        state.shares[order],
    )
