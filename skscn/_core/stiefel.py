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

Exact inference learns numbers beside the dictionary: those of the prior, and the noise.
Its M is that of the posterior means, a' is the posterior variance by σ², and the
safeguard is the step of the EM algorithm, of which the polar factor is a part.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from skscn._core.objectives import Evaluation, Iterate
from skscn._core.procrustes import polar_factor

HISTORY = 5  # corrections kept; more did not help
FLOOR = 0.1  # of the alternation's curvature: bounds the step at ten times its own
WIDEST = 0.5  # turn, in radians, of a pair of atoms or of one away from the others
LARGEST = 0.5  # turn of the whole dictionary that a quadratic model is trusted for
FAR = 3.0  # beyond this one it says nothing, and the alternation goes farther
REACH = 1.0  # of the numbers beside the dictionary: most are logarithms
SHORTER = (1.0, 0.25)  # parts of the step that are tried before the alternation's


@dataclass(frozen=True)
class Step:
    """The state held after a pass, and whether learning has come to rest."""

    state: Iterate
    evaluation: Evaluation
    improvement: float | None  # None after a pass that was not accepted

    @property
    def components(self):
        """The dictionary."""
        return self.state.components

    def calm_since(self, calm, tol):
        """Return how many improvements in a row were at most tol of the unit.

        `calm` is their number before this step; a pass that was not accepted says
        nothing about rest.
        """
        if self.improvement is None:
            return calm
        small = self.improvement <= tol * self.evaluation.unit
        return calm + 1 if small else 0


def minimize_on_stiefel(evaluate, start, limits=None):
    """Yield the state after each pass over the data, forever.

    The objective of the yielded states never rises.

    Parameters
    ----------
    evaluate : callable
        Maps a `Iterate` to its `Evaluation`: one pass over the data.
    start : State
        With orthonormal components.
    limits : tuple of two ndarray of shape (n_numbers,), default=None
        The least and the largest numbers.

    Yields
    ------
    step : Step
        First the start itself.
    """
    limits = limits or (-np.inf, np.inf)
    held = Step(start, evaluate(start), None)
    yield held
    history: deque = deque(maxlen=HISTORY)
    while True:
        tangent = _gradient(held.state, held.evaluation, limits)
        direction = _direction(held, tangent, history)
        sizes = SHORTER if direction is not None else ()
        for size in sizes:
            trial = _moved(held.state, direction * size, limits)
            evaluation = evaluate(trial)
            if evaluation.objective < held.evaluation.objective:
                break
            yield Step(held.state, held.evaluation, None)
        else:
            history.clear()
            size = 0.0
            components = polar_factor(held.evaluation.moments.cross, held.components)
            trial = Iterate(components, held.evaluation.m_step(components))
            evaluation = evaluate(trial)
        improvement = held.evaluation.objective - evaluation.objective
        if improvement <= 0.0:  # at rest, but for rounding
            while True:
                yield Step(held.state, held.evaluation, 0.0)
        if size > 0.0:
            step = direction * size
            step.numbers = trial.numbers - held.state.numbers  # which limits may cut
            change = _gradient(trial, evaluation, limits) - tangent.moved_to(
                trial.components
            )
            history.append((step, change))
        held = Step(trial, evaluation, improvement)
        yield held


def _gradient(state, evaluation, limits):
    """Return the gradient, without what pushes a number beyond its limit."""
    low, high = limits
    numbers = evaluation.gradient
    stopped = (state.numbers <= low) & (numbers > 0)
    stopped |= (state.numbers >= high) & (numbers < 0)
    cross = evaluation.moments.cross * evaluation.scale
    return _Tangent.gradient(state.components, cross, np.where(stopped, 0.0, numbers))


def _moved(state, step, limits):
    components = state.components + step.ambient(state.components)
    numbers = np.clip(state.numbers + step.numbers, *limits)
    return Iterate(polar_factor(components, state.components), numbers)


class _Tangent:
    """A tangent vector E D + N at D, and a vector of numbers.

    E is antisymmetric, and kept as it is when the dictionary moves; the rows of N are
    orthogonal to those of D, and projected.
    """

    def __init__(self, inside, outside, numbers):
        self.inside, self.outside, self.numbers = inside, outside, numbers

    @classmethod
    def gradient(cls, components, cross, numbers):
        inner = cross @ components.T
        return cls(inner.T - inner, inner @ components - cross, numbers)

    def ambient(self, components):
        return self.inside @ components + self.outside

    def moved_to(self, components):
        outside = self.outside - (self.outside @ components.T) @ components
        return _Tangent(self.inside, outside, self.numbers)

    def dot(self, other):
        # Pairs i < j, each once.
        return (
            0.5 * np.vdot(self.inside, other.inside)
            + np.vdot(self.outside, other.outside)
            + self.numbers @ other.numbers
        )

    def __add__(self, other):
        return self._joined(np.add, other)

    def __sub__(self, other):
        return self._joined(np.subtract, other)

    def __mul__(self, factor):
        return _Tangent(
            self.inside * factor, self.outside * factor, self.numbers * factor
        )

    def _joined(self, operation, other):
        return _Tangent(
            operation(self.inside, other.inside),
            operation(self.outside, other.outside),
            operation(self.numbers, other.numbers),
        )

    def divided(self, inside, outside, numbers):
        return _Tangent(
            self.inside / inside, self.outside / outside, self.numbers / numbers
        )

    def clipped(self, widest, reach):
        away = np.linalg.norm(self.outside, axis=1, keepdims=True)
        return _Tangent(
            np.clip(self.inside, -widest, widest),
            self.outside * (widest / np.maximum(away, widest)),
            np.clip(self.numbers, -reach, reach),
        )


def _direction(held, gradient, history):
    """Return the L-BFGS descent direction with the pairwise curvature as its start.

    None stands for a dictionary that is too far from rest for a quadratic model.
    """
    curvature = _curvature(held)
    direction, used = gradient, []
    for step, change in reversed(history):
        step, change = step.moved_to(held.components), change.moved_to(held.components)
        slope = step.dot(change)
        if slope > 1e-10 * np.sqrt(step.dot(step) * change.dot(change)):
            ahead = step.dot(direction) / slope
            used.append((step, change, slope, ahead))
            direction = direction - change * ahead
    direction = direction.divided(*curvature)
    for step, change, slope, ahead in reversed(used):
        direction = direction + step * (ahead - change.dot(direction) / slope)
    if direction.dot(gradient) <= 0.0:
        history.clear()
        direction = gradient.divided(*curvature)
    direction = direction.clipped(WIDEST, REACH)
    largest = float(np.linalg.norm(direction.ambient(held.components), 2))
    if largest > FAR:
        return None
    return direction * (-1.0 / max(1.0, largest / LARGEST))


def _curvature(held):
    """Return q of pairs of atoms, of each against the space outside, of numbers."""
    components, moments = held.components, held.evaluation.moments
    n_components, n_features = components.shape
    energy = np.einsum("ij,ij->i", moments.cross, components)
    curvature = moments.curvature * (moments.weight / (moments.sampled or 1.0))
    pairs = curvature[:, :-2]
    alone = energy[:, None] + energy
    # Atoms without codes have neither gradient nor curvature: any divisor will do that
    # is well above rounding errors.
    least = alone.max(initial=0.0)
    if held.evaluation.gradient.size:  # what the noise alone would have
        least = max(least, moments.weight / held.evaluation.scale)
    tiny = max(least, 0.0) * 1e-6 + np.finfo(float).tiny
    inside = np.maximum(alone - pairs - pairs.T, FLOOR * alone) + tiny
    noise = curvature[:, -2] / max(n_features - n_components, 1)
    outside = np.maximum(energy - noise, FLOOR * energy) + tiny
    scale = held.evaluation.scale
    numbers = np.maximum(held.evaluation.curvature, np.finfo(float).tiny)
    return inside * scale, outside[:, None] * scale, numbers
