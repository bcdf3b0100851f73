"""Learning the dictionary: descent over orthonormal atoms, one pass of the data a step.

For fixed codes the best dictionary is the polar factor of the cross moment M = Aᵀ X
(orthogonal Procrustes), and alternating the two never raises the objective: that step
is the safeguard here. Alone it crawls, because it ignores that codes change with the
dictionary. To second order a rotation by the antisymmetric E changes the objective by
Σ_{i<j} g_ij E_ij + ½ q_ij E_ij² with

    C = M Dᵀ,   g_ij = C_ji − C_ij,   q_ij = C_ii + C_jj − h_ij − h_ji,

where h_ij = Σ a'(u_i) u_j² is what the alternation leaves out (its step is g / (C_ii +
C_jj)). Dividing by q, with a few L-BFGS corrections for what couples pairs, reaches in
a dozen passes what takes the alternation hundreds. Where this asks for turns too large
for a quadratic model, far from rest, the alternation itself goes farther. This is the
scheme that Picard (Ablin, Cardoso and Gramfort, 2018) uses for independent components,
extended to rectangular dictionaries and to priors whose codes are exactly zero.
"""

from collections import deque
from dataclasses import dataclass
from functools import partial

import numpy as np

from skscn._moments import CodeMoments, code_moments
from skscn._procrustes import polar

HISTORY = 5  # corrections kept; more did not help
FLOOR = 0.1  # of the alternation's curvature: bounds the step at ten times its own
WIDEST = 0.5  # turn, in radians, of a pair of atoms or of one away from the others
LARGEST = 0.5  # turn of the whole dictionary that a quadratic model is trusted for
FAR = 3.0  # beyond this one it says nothing, and the alternation goes farther
SHORTER = (1.0, 0.25)  # parts of the step that are tried before the alternation's


@dataclass(frozen=True)
class Evaluation:
    """What one pass over the data tells of a dictionary.

    Parameters
    ----------
    objective : float
        Mean over the samples.
    moments : CodeMoments
        M = `moments.cross` is minus the gradient of the summed objective.
    """

    objective: float
    moments: CodeMoments


def map_objective(total, data, *, mean, code, dtype):
    """Return the function that `descend` lowers: one pass over the data a call.

    Its objective is the mean over samples of min_a ½‖x − m − aD‖² + penalty(a).

    Parameters
    ----------
    total : callable
        Sums a function of (rows, weights) over all slices of the data.
    data : DataMoments
        About the point `mean`.
    mean : ndarray of shape (n_features,) or None
    code : MapCode
    dtype : dtype of the data
    """

    def evaluate(components):
        moments = total(
            partial(
                code_moments,
                components=components.astype(dtype, copy=False),
                mean=mean,
                code=code,
            )
        )
        return Evaluation(mean_objective(data, moments), moments)

    return evaluate


def mean_objective(data, moments):
    """Return the objective of a sample in the mean, from moments about one point."""
    return (0.5 * data.square - moments.gain) / moments.weight


@dataclass(frozen=True)
class Step:
    """The dictionary held after a pass, and whether learning has come to rest."""

    components: np.ndarray
    evaluation: Evaluation
    improvement: float | None  # None after a pass that was not accepted

    def calm_since(self, calm, tol):
        """Return how many improvements in a row were at most tol of the objective.

        `calm` is their number before this step; a pass that was not accepted says
        nothing about rest.
        """
        if self.improvement is None:
            return calm
        small = self.improvement <= tol * abs(self.evaluation.objective)
        return calm + 1 if small else 0


def descend(evaluate, components):
    """Yield the dictionary after each pass over the data, forever.

    The objective of the yielded dictionaries never rises.

    Parameters
    ----------
    evaluate : callable
        Maps a dictionary to its `Evaluation`: one pass over the data.
    components : ndarray of shape (n_components, n_features)
        The start, orthonormal.

    Yields
    ------
    step : Step
        First the start itself.
    """
    held = Step(components, evaluate(components), None)
    yield held
    history: deque = deque(maxlen=HISTORY)
    while True:
        tangent = _Tangent.gradient(held.components, held.evaluation.moments.cross)
        direction = _direction(held, tangent, history)
        sizes = SHORTER if direction is not None else ()
        for size in sizes:
            move = direction.ambient(held.components) * size
            trial = polar(held.components + move, held.components)
            evaluation = evaluate(trial)
            if evaluation.objective < held.evaluation.objective:
                break
            yield Step(held.components, held.evaluation, None)
        else:
            history.clear()
            size = 0.0
            trial = polar(held.evaluation.moments.cross, held.components)
            evaluation = evaluate(trial)
        improvement = held.evaluation.objective - evaluation.objective
        if improvement <= 0.0:  # at rest, but for rounding
            while True:
                yield Step(held.components, held.evaluation, 0.0)
        if size > 0.0:
            old = tangent.moved_to(trial)
            new = _Tangent.gradient(trial, evaluation.moments.cross)
            history.append((direction * size, new - old))
        held = Step(trial, evaluation, improvement)
        yield held


class _Tangent:
    """A tangent vector E D + N at D: E antisymmetric, the rows of N orthogonal to D's.

    E is kept as it is when the dictionary moves; N is projected.
    """

    def __init__(self, inside, outside):
        self.inside, self.outside = inside, outside

    @classmethod
    def gradient(cls, components, cross):
        inner = cross @ components.T
        return cls(inner.T - inner, inner @ components - cross)

    def ambient(self, components):
        return self.inside @ components + self.outside

    def moved_to(self, components):
        outside = self.outside - (self.outside @ components.T) @ components
        return _Tangent(self.inside, outside)

    def dot(self, other):
        # Pairs i < j, each once.
        return 0.5 * np.vdot(self.inside, other.inside) + np.vdot(
            self.outside, other.outside
        )

    def __add__(self, other):
        return _Tangent(self.inside + other.inside, self.outside + other.outside)

    def __sub__(self, other):
        return _Tangent(self.inside - other.inside, self.outside - other.outside)

    def __mul__(self, factor):
        return _Tangent(self.inside * factor, self.outside * factor)

    def divided(self, inside, outside):
        return _Tangent(self.inside / inside, self.outside / outside)

    def clipped(self, widest):
        away = np.linalg.norm(self.outside, axis=1, keepdims=True)
        return _Tangent(
            np.clip(self.inside, -widest, widest),
            self.outside * (widest / np.maximum(away, widest)),
        )


def _direction(held, gradient, history):
    """Return the L-BFGS descent direction with the pairwise curvature as its start.

    None stands for a dictionary that is too far from rest for a quadratic model.
    """
    inside, outside = _curvature(held)
    direction, used = gradient, []
    for step, change in reversed(history):
        step, change = step.moved_to(held.components), change.moved_to(held.components)
        slope = step.dot(change)
        if slope > 1e-10 * np.sqrt(step.dot(step) * change.dot(change)):
            ahead = step.dot(direction) / slope
            used.append((step, change, slope, ahead))
            direction = direction - change * ahead
    direction = direction.divided(inside, outside)
    for step, change, slope, ahead in reversed(used):
        direction = direction + step * (ahead - change.dot(direction) / slope)
    if direction.dot(gradient) <= 0.0:
        history.clear()
        direction = gradient.divided(inside, outside)
    direction = direction.clipped(WIDEST)
    largest = float(np.linalg.norm(direction.ambient(held.components), 2))
    if largest > FAR:
        return None
    return direction * (-1.0 / max(1.0, largest / LARGEST))


def _curvature(held):
    """Return q for pairs of atoms, and for each atom against the space outside."""
    components, moments = held.components, held.evaluation.moments
    n_components, n_features = components.shape
    energy = np.einsum("ij,ij->i", moments.cross, components)
    curvature = moments.curvature * (moments.weight / (moments.sampled or 1.0))
    pairs = curvature[:, :-1]
    alone = energy[:, None] + energy
    # Atoms without codes have neither gradient nor curvature: any divisor will do that
    # is well above rounding errors.
    tiny = max(alone.max(initial=0.0), 0.0) * 1e-6 + np.finfo(float).tiny
    inside = np.maximum(alone - pairs - pairs.T, FLOOR * alone) + tiny
    noise = curvature[:, -1] / max(n_features - n_components, 1)
    outside = np.maximum(energy - noise, FLOOR * energy) + tiny
    return inside, outside[:, None]
