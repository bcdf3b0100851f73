"""Minimization over orthonormal dictionaries: L-BFGS on the Stiefel manifold.

For fixed codes the best dictionary is the polar factor of the cross moment M = Aᵀ X
(orthogonal Procrustes). Alternating codes and polar factors never increases the
objective, and serves as the safeguard here. Alone it converges slowly, because it
ignores that codes change with the dictionary. To second order, a rotation by an
antisymmetric E changes the objective by Σ_{i<j} g_ij E_ij + ½ q_ij E_ij² with

    C = M Dᵀ,   g_ij = C_ji − C_ij,   q_ij = C_ii + C_jj − h_ij − h_ji,

where h_ij = Σ a'(u_i) u_j² is what the alternation leaves out (its step is g / (C_ii +
C_jj)). Dividing by q, with a few L-BFGS corrections for the coupling of pairs, takes a
dozen passes where the alternation takes hundreds. Where the step would be a rotation
too large for a quadratic model, far from the minimum, the alternation makes more
progress and is taken instead. This is the scheme of Picard (Ablin, Cardoso and
Gramfort, 2018) for independent components, extended to rectangular dictionaries and to
priors whose codes are exactly zero.

Maximum likelihood also learns θ, the parameters of prior and noise. Then M is that of
the posterior means, a' is the posterior variance by σ², and the safeguard is the EM
step, of which the polar factor is a part.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from skscn._core.model_parameters import power_of_two
from skscn._core.objectives import Evaluation, Iterate
from skscn._core.procrustes import polar_factor

N_CORRECTIONS = 5  # of L-BFGS; more did not reduce the number of passes
# The smallest curvature in units of that of the alternation: it bounds a step at ten
# times the step of the alternation.
MIN_CURVATURE_RATIO = 0.1
MAX_PAIR_ANGLE = 0.5  # radians, of a pair of atoms and of an atom out of their span
MAX_TOTAL_ANGLE = 0.5  # radians, of the dictionary: longer steps are shortened
# Radians of the dictionary, beyond which the quadratic model has no information and the
# alternation makes more progress.
MAX_QUADRATIC_ANGLE = 3.0
MAX_THETA_STEP = 1.0  # of the parameters beside the dictionary, most of them logarithms
LINE_SEARCH_STEPS = (1.0, 0.25)  # fractions of the step, before the alternation's


@dataclass(frozen=True)
class Step:
    """The best iterate after one pass over the data.

    Parameters
    ----------
    iterate : Iterate
    evaluation : Evaluation
    improvement : float or None
        Decrease of the objective; None after a pass that was not accepted.
    expected_improvement : float
        Of a step that did not decrease the objective: the decrease that its gradient
        and curvature promise. Where it is large, rounding errors hide the decrease.
    """

    iterate: Iterate
    evaluation: Evaluation
    improvement: float | None
    expected_improvement: float = 0.0

    @property
    def components(self):
        """The dictionary."""
        return self.iterate.components

    def count_small_steps(self, n_before, tol):
        """Return how many improvements in a row were at most tol times the scale.

        `n_before` is their number before this step. A pass that was not accepted does
        not change it.
        """
        if self.improvement is None:
            return n_before
        is_small = self.improvement <= tol * self.evaluation.objective_scale
        return n_before + 1 if is_small else 0


def minimize_on_stiefel(objective, start, bounds=None):
    """Yield the best iterate after each pass over the data, endlessly.

    The objective of the yielded iterates never increases.

    Parameters
    ----------
    objective : callable
        Maps an `Iterate` to its `Evaluation`: one pass over the data.
    start : Iterate
        With orthonormal components.
    bounds : tuple of two ndarray of shape (n_parameters,), default=None
        Lower and upper bounds of θ.

    Yields
    ------
    step : Step
        The first is the start itself.
    """
    bounds = bounds or (-np.inf, np.inf)
    accepted = Step(start, objective(start), None)
    yield accepted
    history: deque = deque(maxlen=N_CORRECTIONS)
    while True:
        gradient = riemannian_gradient(accepted.iterate, accepted.evaluation, bounds)
        direction = lbfgs_direction(accepted, gradient, history)
        step_sizes = LINE_SEARCH_STEPS if direction is not None else ()
        for step_size in step_sizes:
            trial = retract(accepted.iterate, direction * step_size, bounds)
            evaluation = objective(trial)
            if evaluation.objective < accepted.evaluation.objective:
                break
            yield Step(accepted.iterate, accepted.evaluation, None)
        else:  # the alternation, or the EM step
            history.clear()
            step_size = 0.0
            cross = accepted.evaluation.moments.cross
            components = polar_factor(cross, accepted.components)
            trial = Iterate(components, accepted.evaluation.m_step(components))
            evaluation = objective(trial)
        improvement = accepted.evaluation.objective - evaluation.objective
        if improvement <= 0.0:  # a minimum, up to rounding errors
            expected = 0.0
            if direction is not None:
                weight = accepted.evaluation.moments.weight
                expected = -0.5 * direction.dot(gradient) / weight
            while True:
                yield Step(accepted.iterate, accepted.evaluation, 0.0, expected)
        if step_size > 0.0:
            step = direction * step_size
            step.theta = trial.theta - accepted.iterate.theta  # clipped to the bounds
            new_gradient = riemannian_gradient(trial, evaluation, bounds)
            history.append(
                (step, new_gradient - gradient.transported(trial.components))
            )
        accepted = Step(trial, evaluation, improvement)
        yield accepted


def riemannian_gradient(iterate, evaluation, bounds):
    """Return the gradient, without components that point out of the bounds of θ."""
    lower, upper = bounds
    by_theta = evaluation.gradient
    is_blocked = (iterate.theta <= lower) & (by_theta > 0)
    is_blocked |= (iterate.theta >= upper) & (by_theta < 0)
    cross = evaluation.moments.cross * evaluation.gradient_scale
    by_theta = np.where(is_blocked, 0.0, by_theta)
    return TangentVector.gradient(iterate.components, cross, by_theta)


def retract(iterate, step, bounds):
    """Return the iterate after a step along a tangent vector."""
    components = iterate.components + step.ambient(iterate.components)
    theta = np.clip(iterate.theta + step.theta, *bounds)
    return Iterate(polar_factor(components, iterate.components), theta)


class TangentVector:
    """A tangent vector E D + N at a dictionary D, and a direction of θ.

    E is antisymmetric, and stays the same when the vector is transported to another
    dictionary. The rows of N are orthogonal to those of D, and are projected.

    Parameters
    ----------
    rotation : ndarray of shape (n_components, n_components)
        E, among the atoms.
    normal : ndarray of shape (n_components, n_features)
        N, out of the span of the atoms.
    theta : ndarray of shape (n_parameters,)
    """

    def __init__(self, rotation, normal, theta):
        self.rotation, self.normal, self.theta = rotation, normal, theta

    @classmethod
    def gradient(cls, components, cross, by_theta):
        """Return the Riemannian gradient, given minus the Euclidean one, `cross`."""
        inner = cross @ components.T
        return cls(inner.T - inner, inner @ components - cross, by_theta)

    def ambient(self, components):
        """Return E D + N."""
        return self.rotation @ components + self.normal

    def transported(self, components):
        """Return the vector at another dictionary."""
        normal = self.normal - (self.normal @ components.T) @ components
        return TangentVector(self.rotation, normal, self.theta)

    def dot(self, other):
        """Return the inner product, in which pairs i < j count once."""
        return (
            0.5 * np.vdot(self.rotation, other.rotation)
            + np.vdot(self.normal, other.normal)
            + self.theta @ other.theta
        )

    def norm(self):
        """Return the norm; squares of large and small entries stay in range."""
        parts = (self.rotation, self.normal, self.theta)
        largest = max(np.max(np.abs(part), initial=0.0) for part in parts)
        if largest == 0.0:
            return 0.0
        unit = power_of_two(largest)
        scaled = self * (1.0 / unit)
        return unit * np.sqrt(scaled.dot(scaled))

    def __add__(self, other):
        return self._combined(np.add, other)

    def __sub__(self, other):
        return self._combined(np.subtract, other)

    def __mul__(self, factor):
        return TangentVector(
            self.rotation * factor, self.normal * factor, self.theta * factor
        )

    def _combined(self, operation, other):
        return TangentVector(
            operation(self.rotation, other.rotation),
            operation(self.normal, other.normal),
            operation(self.theta, other.theta),
        )

    def divided(self, rotation, normal, theta):
        """Return the vector divided by a diagonal curvature."""
        return TangentVector(
            self.rotation / rotation, self.normal / normal, self.theta / theta
        )

    def clipped(self, max_angle, max_theta):
        """Return the vector with bounded rotations of pairs and changes of θ."""
        norms = np.linalg.norm(self.normal, axis=1, keepdims=True)
        return TangentVector(
            np.clip(self.rotation, -max_angle, max_angle),
            self.normal * (max_angle / np.maximum(norms, max_angle)),
            np.clip(self.theta, -max_theta, max_theta),
        )


def lbfgs_direction(accepted, gradient, history):
    """Return the L-BFGS direction preconditioned by the pairwise curvature.

    None stands for an iterate too far from the minimum for a quadratic model.
    """
    components = accepted.components
    curvature = _pairwise_curvature(accepted)
    direction, used = gradient, []
    for step, change in reversed(history):
        step, change = step.transported(components), change.transported(components)
        slope = step.dot(change)
        if slope > 1e-10 * step.norm() * change.norm():
            ratio = step.dot(direction) / slope
            used.append((step, change, slope, ratio))
            direction = direction - change * ratio
    direction = direction.divided(*curvature)
    for step, change, slope, ratio in reversed(used):
        direction = direction + step * (ratio - change.dot(direction) / slope)
    if direction.dot(gradient) <= 0.0:
        history.clear()
        direction = gradient.divided(*curvature)
    direction = direction.clipped(MAX_PAIR_ANGLE, MAX_THETA_STEP)
    angle = float(np.linalg.norm(direction.ambient(components), 2))
    if angle > MAX_QUADRATIC_ANGLE:
        return None
    return direction * (-1.0 / max(1.0, angle / MAX_TOTAL_ANGLE))


def _pairwise_curvature(accepted):
    """Return q of pairs of atoms, of atoms against their complement, and of θ."""
    components, evaluation = accepted.components, accepted.evaluation
    moments, scale = evaluation.moments, evaluation.gradient_scale
    n_components, n_features = components.shape
    energy = moments.explained(components)
    curvature = moments.curvature * (moments.weight / (moments.curvature_weight or 1.0))
    pairs = curvature[:, :-2]
    alternation = energy[:, None] + energy
    # Atoms without codes have neither gradient nor curvature: their divisor may be
    # anything that is well above rounding errors.
    largest = alternation.max(initial=0.0)
    if evaluation.noise_variance is not None:  # the curvature of noise alone
        largest = max(largest, moments.weight * evaluation.noise_variance)
    tiny = max(largest, 0.0) * 1e-6 + np.finfo(float).tiny
    rotation = (
        np.maximum(alternation - pairs - pairs.T, MIN_CURVATURE_RATIO * alternation)
        + tiny
    )
    noise = curvature[:, -2] / max(n_features - n_components, 1)
    normal = np.maximum(energy - noise, MIN_CURVATURE_RATIO * energy) + tiny
    theta = np.maximum(evaluation.curvature, np.finfo(float).tiny)
    return rotation * scale, normal[:, None] * scale, theta
