"""Checks of the rows that a coder learns from, and warnings about what it learned."""

import numpy as np

from skscn._data.inputs import check_weights, drop_weightless
from skscn._data.sample_weights import cast_weights
from skscn._data.validation import (
    check_not_tiny,
    check_squares,
    warn_not_converged,
    warn_stalled,
    warn_zero_codes,
)


def weighted_rows(X, sample_weight):
    """Return the rows of positive weight, and their checked weights or None."""
    X, weights = drop_weightless(X, check_weights(sample_weight, X))
    return X, cast_weights(weights, X.dtype)


def check_moments(moments, rows=None, *, dtype):
    """Raise where squares overflow or, of rows that are not centered, underflow."""
    check_squares(moments.sum_squares / moments.weight, dtype)
    if rows is not None:
        n_entries = moments.weight * rows.n_features
        check_not_tiny(moments.sum_squares / n_entries, rows.max_abs, dtype)


def warn_after_fit(solution, problem, *, alpha, tol, max_iter, dtype):
    """Warn where learning did not converge, or where all codes are zero."""
    if solution.stalled:
        warn_stalled(len(solution.objective_path) - 1, dtype)
    elif not solution.converged:
        unit = "nats a feature" if problem.learns_prior else "of its value"
        warn_not_converged(tol, unit, max_iter)
    moments, decrease = solution.moments, solution.code_moments.objective_decrease
    if not problem.learns_prior and decrease == 0.0 and moments.sum_squares > 0.0:
        n_entries = moments.weight * len(solution.mean)
        warn_zero_codes(alpha, np.sqrt(moments.sum_squares / n_entries))
