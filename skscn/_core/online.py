"""Online learning: discounted moments, and one Procrustes step a mini-batch."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from skscn._core.model_parameters import ModelParameters
from skscn._core.moments import CodeMoments, DataMoments
from skscn._core.problems import CenteredRows
from skscn._core.projection_histogram import LazyEstimate

# Mean energies of samples whose ratio is larger are of different scales: a sensor that
# was switched on, or an outlier at the start.
MAX_ENERGY_RATIO = 10.0


@dataclass(frozen=True)
class OnlineState:
    """What is kept of a stream.

    Parameters
    ----------
    components : ndarray of shape (n_components, n_features)
        The dictionary.
    mean : ndarray of shape (n_features,)
    moments : DataMoments
    code_moments : CodeMoments
        Both discounted, and about `mean`.
    estimate : LazyEstimate or ModelParameters or None
        Of noise and prior. None where the stream starts anew.
    weight_seen : float
        Weight of all samples of the stream, not discounted.
    quiet : DataMoments or None
        Of the latest mini-batches, about `mean`, as long as their scale is much smaller
        than that of the stream.
    """

    components: np.ndarray
    mean: np.ndarray
    moments: DataMoments
    code_moments: CodeMoments
    estimate: LazyEstimate | ModelParameters | None
    weight_seen: float
    quiet: DataMoments | None = None

    @classmethod
    def after_fit(cls, solution):
        """Return the state that continues a `Solution`."""
        return cls(
            solution.components,
            solution.mean,
            solution.moments,
            solution.code_moments,
            solution.estimate,
            solution.moments.weight,
        )

    @classmethod
    def start(cls, problem, data, components):
        """Return the state before the first mini-batch, whose rows are given."""
        n_components, n_features = components.shape
        return cls(
            components,
            data.mean,
            DataMoments(0.0, np.zeros(n_features), 0.0, None),
            CodeMoments.zero(n_components, n_features, problem.n_statistics),
            problem.start_stream(data, components),
            0.0,
        )

    @np.errstate(over="ignore", invalid="ignore")  # check_moments raises after it
    def with_scale_of(self, batch, *, center):
        """Return the state, or None where a mini-batch shows that its scale is wrong.

        A model that was learned at another scale hardly recovers by small steps, and
        the moments of very large samples outweigh all others for long. A stream is
        therefore started anew where one mini-batch has much more energy than all
        samples before, or where mini-batches that together have much less energy have
        become the majority. Where the model has a mean, energies of mini-batches are
        about their own mean, so that a mean that drifts is no other scale.

        Parameters
        ----------
        batch : DataMoments
            Of the mini-batch, about the mean of the state.
        center : bool
            Whether the model has a mean.
        """
        before = self.moments
        if before.sum_squares == 0.0:
            return self
        energy = before.sum_squares / before.weight
        inner_squares = batch.sum_squares
        if center:  # about the own mean
            shift = batch.weighted_sum / batch.weight
            inner_squares -= batch.weighted_sum @ shift
        is_loud = inner_squares > MAX_ENERGY_RATIO * batch.weight * energy
        if is_loud and inner_squares > MAX_ENERGY_RATIO * before.sum_squares:
            return None
        quiet = batch if self.quiet is None else self.quiet + batch
        variance = quiet.variance if center else quiet.sum_squares / quiet.weight
        if variance * MAX_ENERGY_RATIO > energy:
            return replace(self, quiet=None)
        others = self.weight_seen - (quiet.weight - batch.weight)
        if quiet.weight > others:
            return None
        return replace(self, quiet=quiet)


def update(state, rows, problem, *, forgetting, check_moments):
    """Return the state after one more mini-batch, and the objective of the mini-batch.

    Before the mini-batch is added, the moments of the stream are scaled by
    (n / n')^forgetting, where n is the weight seen before it and n' the weight with it.
    The i-th of n samples therefore weighs (i / n)^forgetting, for mini-batches of any
    size. Codes of old dictionaries fade, and every step is smaller than the last, so
    that the dictionary converges.

    Parameters
    ----------
    state : OnlineState
    rows : RowSums
    problem : LearningProblem
    forgetting : float
    check_moments : callable
        Takes the moments of the mini-batch, and raises where squares overflow.
    """
    if rows.has_missing:
        rows.impute(problem.imputing_model(state))
    batch = rows.data_moments(state.mean)
    check_moments(batch)
    weight_seen = state.weight_seen + batch.weight
    discount = (state.weight_seen / weight_seen) ** forgetting
    stream = state.moments * discount + batch
    shift = np.zeros_like(state.mean)
    if problem.center:
        shift = stream.weighted_sum / stream.weight
    mean, stream = state.mean + shift, stream.recentered(shift)
    batch = CenteredRows(rows, mean, batch.recentered(shift))
    components, code_moments, estimate, objective = problem.update(
        state, batch, stream, shift, discount
    )
    new = OnlineState(
        components,
        mean,
        stream,
        code_moments,
        estimate,
        weight_seen,
        None if state.quiet is None else state.quiet.recentered(shift),
    )
    return new, objective


@dataclass(frozen=True)
class RowBuffer:
    """The first rows of a stream, kept until they are enough to start from.

    Parameters
    ----------
    rows : {ndarray, CSR} of shape (n_rows, n_features)
    weights : ndarray of shape (n_rows,) or None
    """

    rows: Any
    weights: np.ndarray | None = None

    @property
    def weight(self):
        """Sum of the weights, rounded down."""
        if self.weights is None:
            return self.rows.shape[0]
        return int(self.weights.sum())

    def extended(self, X, weights):
        """Return the buffer with more rows."""
        rows = self.rows
        if sparse.issparse(X):
            rows = sparse.vstack([sparse.csr_array(rows), X], format="csr")
        else:
            rows = rows.toarray() if sparse.issparse(rows) else rows
            rows = np.vstack([rows, X])
        if self.weights is None and weights is None:
            return RowBuffer(rows)
        both = [
            np.ones(part.shape[0], dtype=X.dtype) if w is None else w
            for part, w in ((self.rows, self.weights), (X, weights))
        ]
        return RowBuffer(rows, np.concatenate(both))


def buffer_rows(buffer, X, weights, required_weight):
    """Add a mini-batch to the buffer of first rows.

    The stream starts anew from all rows of the buffer each time that their weight has
    doubled: this bounds the cost of a stream of single rows.

    Returns
    -------
    buffer : RowBuffer or None
        None when there are enough rows.
    rows : {ndarray, CSR}
        Rows to learn from.
    weights : ndarray or None
        Their weights.
    restarts : bool
        Whether the stream starts anew from these rows.
    """
    extended = buffer.extended(X, weights)
    if extended.weight >= required_weight:
        return None, extended.rows, extended.weights, True
    has_doubled = extended.weight.bit_length() > buffer.weight.bit_length()
    if has_doubled or buffer.rows.shape[0] == 0:
        return extended, extended.rows, extended.weights, True
    return extended, X, weights, False
