"""How a mixture of dictionaries learns: problems, starts, and fitted attributes."""

from functools import partial
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from skscn._coders.checks import check_moments
from skscn._coders.mixture_likelihood import PRIORS
from skscn._coders.mixture_start import start_dictionaries
from skscn._core.fitting import center_rows, learn_dictionary
from skscn._core.mixture_codes import mixture_histograms
from skscn._core.mixture_fitting import fit_mixture, mixture_of_one
from skscn._core.mixture_online import OnlineMixture
from skscn._core.mixture_problems import (
    LikelihoodMixtureProblem,
    MapMixtureProblem,
)
from skscn._core.problems import (
    LearningProblem,
    MapProblem,
    MarginalLikelihoodProblem,
)
from skscn._core.projection_histogram import HistogramBins, LazyEstimate
from skscn._data.inputs import check_numpy_input, check_rows
from skscn._data.row_sums import ArrayRowSums
from skscn._data.sklearn_compat import FitCallbacks
from skscn._data.validation import check_alpha, check_code_limit


class MixtureLearningMixin:
    """What `fit` and `partial_fit` of a mixture share."""

    n_dictionaries: int
    prior: str
    alpha: Any
    n_nonzero_coefs: int | None
    inference: str
    center: bool
    init: Any
    n_init: int
    max_iter: int
    tol: float
    random_state: Any

    def _validate(self, X, *, reset, method="fit"):
        check_numpy_input(X, "Mixtures")
        return check_rows(self, X, reset=reset, method=method)

    def _check_n_samples(self, n_samples):
        if n_samples < self.n_dictionaries:
            raise ValueError(
                f"n_samples={n_samples} is less than n_dictionaries="
                f"{self.n_dictionaries}: give more samples, or use fewer dictionaries."
            )

    def _problem(self, n_components, dtype, data_rms):
        """Return the `MixtureProblem` of the parameters."""
        prior, n_nonzero = PRIORS[self.prior], self.n_nonzero_coefs
        learns_prior = isinstance(self.alpha, str)
        check_code_limit(n_nonzero, self.inference, learns_prior=learns_prior)
        # A single dictionary has the mean of the rows, as a coder has.
        has_offset = self.center and (self.n_dictionaries > 1 or prior.one_sided)
        if learns_prior:
            return LikelihoodMixtureProblem(prior, self.center, has_offset, data_rms)
        alpha = check_alpha(self.alpha, n_components, dtype)
        has_offset = self.center and self.n_dictionaries > 1
        return MapMixtureProblem(
            prior, self.center, has_offset, data_rms, alpha, n_nonzero
        )

    def _learn_one(self, X, rows, n_components, labels):
        """Learn a single dictionary as a coder does.

        Returns the callbacks, the problem, and the fitted attributes.
        """
        checks = self._problem(n_components, X.dtype, 1.0)
        problem: LearningProblem
        if checks.learns_prior:
            problem = MarginalLikelihoodProblem(checks.prior, self.center)
        else:
            problem = MapProblem(
                checks.prior, self.center, checks.alpha, checks.n_nonzero
            )

        def attributes(solution):
            of_mixture = self._problem(n_components, X.dtype, solution.moments.rms)
            mixture = mixture_of_one(of_mixture, solution)
            estimates = [solution.estimate]
            return self._fitted_attributes(of_mixture, rows, mixture, estimates)

        callbacks = FitCallbacks(self, X, self.max_iter, attributes)
        solution = learn_dictionary(
            rows,
            problem,
            "pca",
            n_components,
            random_state=check_random_state(self.random_state),
            check_moments=partial(check_moments, dtype=X.dtype),
            max_iter=self.max_iter,
            tol=self.tol,
            fixed_order=np.ndim(self.alpha) > 0,
            callbacks=callbacks,
        )
        return callbacks, problem, attributes(solution)

    def _learn_several(self, X, rows, n_components, labels):
        """Learn several dictionaries, from the best of several starts."""
        n_init = self.n_init if labels is None else 1
        rng, best, callbacks = check_random_state(self.random_state), None, None
        for _ in range(n_init):
            problem, *start = self._start(X, rows, n_components, labels, rng)
            incomplete = self._incomplete(rows)
            attributes = partial(self._fitted_attributes, problem, incomplete)
            if callbacks is None:
                n_iter = n_init * self.max_iter
                callbacks = FitCallbacks(self, X, n_iter, attributes)
            solution = fit_mixture(
                problem,
                incomplete,
                *start,
                max_iter=self.max_iter,
                tol=self.tol,
                fixed_order=np.ndim(self.alpha) > 0,
                sort=labels is None,
                callbacks=callbacks,
            )
            if best is None or solution.state.objective < best.state.objective:
                best = solution
        return callbacks, problem, attributes(best)

    def _start(self, X, rows, n_components, labels, rng=None):
        """Return the problem, and dictionaries, weights and shrinkage to start from."""
        check = partial(check_moments, dtype=X.dtype)
        data = center_rows(rows, center=self.center, scatter=False, check_moments=check)
        problem = self._problem(n_components, X.dtype, data.moments.rms)
        rng = check_random_state(self.random_state) if rng is None else rng
        start = start_dictionaries(
            problem,
            X,
            rows.weights,
            self.n_dictionaries,
            n_components,
            self.init if labels is None else labels,
            rng,
        )
        return problem, *start

    def _incomplete(self, rows):
        """Return rows with NaN: each dictionary imputes them by itself."""
        if not rows.has_missing:
            return rows
        return ArrayRowSums(rows.incomplete, rows.weights, rows.pool)

    def _estimates_of(self, problem, rows, state):
        """Return prior and noise of dictionaries: learned, or given the thresholds."""
        if problem.learns_prior:
            return [problem.parameters(each) for each in state.dictionaries]
        bins = HistogramBins.for_prior(problem.prior, problem.alpha, problem.data_rms)
        mixture = problem.mixture(state.dictionaries, state.weights)
        histograms = rows.sum(partial(mixture_histograms, mixture=mixture, bins=bins))
        return [
            LazyEstimate(problem.prior, problem.alpha, each, bins, rows.n_features)
            for each in histograms.each
        ]

    def _fitted_attributes(self, problem, rows, solution, estimates=None):
        """Return the attributes of a `MixtureSolution`."""
        state = solution.state
        if estimates is None:
            estimates = self._estimates_of(problem, rows, state)
        return {
            **self._attributes_of(problem, rows.dtype, state),
            "_estimates": estimates,
            "_online_state": OnlineMixture.after_fit(state, problem),
            "objective_path_": solution.objective_path,
            "n_iter_": len(solution.objective_path) - 1,
            "converged_": solution.converged,
        }

    def _attributes_of(self, problem, dtype, state):
        """Return the attributes of a `MixtureState` or of an `OnlineMixture`."""
        dictionaries = state.dictionaries
        rules = [problem.map_rule(each) for each in dictionaries]
        shrinkage = [each for _, each in rules]
        return {
            "components_": np.array(
                [d.iterate.components for d in dictionaries], dtype
            ),
            "means_": np.array([problem.mean(each) for each in dictionaries], dtype),
            "alpha_": np.array([alpha for alpha, _ in rules], dtype),
            "weights_": state.weights,
            "_shrinkage": None if shrinkage[0] is None else np.array(shrinkage),
            "_learned_prior": problem.learns_prior,
            "_fitted_prior": self.prior,
        }
