"""What learning lowers: an objective, and what one pass over the data tells of it.

Hard codes lower min_a ½‖x − m − aD‖² + penalty(a). Exact inference lowers minus the
log-likelihood, which with orthonormal atoms is a sum over coefficients too:

    log p(x) = Σ_j log p(u_j) − ‖r‖² / 2σ² − ½ (n_features − n_components) log 2πσ²,

r the part of x − m that no atom reaches. Its derivatives are those of the expected
complete objective at the posterior of the codes (Fisher's identity), so the sums of
the EM algorithm give both: the exact M-step, and the gradient by all that is learned.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from skscn._core.encoders import PosteriorMeanEncoder
from skscn._core.model_parameters import ModelParameters, noise_cost
from skscn._core.moments import CodeMoments, code_moments

EMPTY = np.empty(0)
LEAST_FIXED = 0.01  # share of an offset that codes do not follow


@dataclass(frozen=True)
class Iterate:
    """All that is learned.

    Parameters
    ----------
    components : ndarray of shape (n_components, n_features)
    numbers : ndarray of shape (n_numbers,)
        Coordinates of what is learned beside the dictionary, if anything is.
    """

    components: np.ndarray
    numbers: np.ndarray = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True)
class Evaluation:
    """What one pass over the data tells of a state.

    Parameters
    ----------
    objective : float
        Mean over the samples.
    unit : float
        What a relative tolerance of the objective is relative to.
    moments : CodeMoments
        M = `moments.cross` is, but for `scale`, minus the gradient of the summed
        objective by the dictionary.
    m_step : callable
        Maps the polar factor of M to the numbers that go with it: together they never
        raise the objective.
    scale : float
    gradient, curvature : ndarray of shape (n_numbers,)
        Of the summed objective by the numbers; the curvature may be too large.
    """

    objective: float
    unit: float
    moments: CodeMoments
    m_step: Callable
    scale: float = 1.0
    gradient: np.ndarray = field(default_factory=lambda: EMPTY)
    curvature: np.ndarray = field(default_factory=lambda: EMPTY)


def map_objective(total, data, *, mean, code, dtype):
    """Return the objective of hard codes: one pass over the data a call.

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

    def evaluate(state, data=data):
        moments = total(
            partial(
                code_moments,
                components=state.components.astype(dtype, copy=False),
                mean=mean,
                code=code,
            )
        )
        objective = mean_objective(data, moments)
        return Evaluation(objective, abs(objective), moments, lambda _: EMPTY)

    return evaluate


def mean_objective(data, moments):
    """Return the objective of a sample in the mean, from moments about one point."""
    return (0.5 * data.square - moments.gain) / moments.weight


def evidence_objective(total, data, *, mean, coordinates, dtype):
    """Return the objective of exact inference: one pass over the data a call.

    Its objective is minus the log-likelihood of a sample in the mean, in nats.

    Parameters
    ----------
    total, data, dtype
        As for `map_objective`.
    mean : ndarray of shape (n_features,)
        Of the data, or zero.
    coordinates : Coordinates
    """

    def evaluate(state, data=data):
        belief = coordinates.belief(state.numbers)
        moments = belief_moments(
            total, mean, state.components, belief, coordinates, dtype
        )
        return evidence(data, moments, state.components, belief, coordinates)

    return evaluate


def belief_moments(total, mean, components, belief, coordinates, dtype):
    """Return the moments of posterior means, about the mean of the data.

    Their sums are those of u², of E a², and of what the M-step of the prior needs.
    """
    shift = belief.shift(components)
    point = (mean + shift).astype(dtype)
    moments = total(
        partial(
            code_moments,
            components=components.astype(dtype, copy=False),
            mean=point if point.any() else None,
            code=PosteriorMeanEncoder(
                coordinates.prior, belief.parameters, belief.noise
            ),
        )
    )
    # Σ E a² needs the belief of this pass; as a sum it adds up with those of others.
    explained = np.einsum("ij,ij->i", moments.cross, components)
    squares = coordinates.prior.squares(
        belief.parameters, belief.noise, moments.sums[1:], explained, moments.weight
    )
    sums = np.vstack([moments.sums[:1], squares, moments.sums[1:]])
    curvature = moments.curvature
    if belief.offset is not None:
        # Atoms turn about the mean of the data. About that of the model, projections
        # have the squares of the offsets too, if slopes are independent of other codes.
        curvature = curvature.copy()
        curvature[:, :-2] -= np.outer(curvature[:, -1], belief.offset**2)
        np.maximum(curvature, 0.0, out=curvature)
    return replace(moments, sums=sums, curvature=curvature).about(-shift)


def evidence(data, moments, components, belief, coordinates):
    """Return the `Evaluation` of a belief, from moments about the mean of the data.

    Parameters
    ----------
    data : DataMoments
    moments : CodeMoments
    components : ndarray of shape (n_components, n_features)
    belief : Belief
    coordinates : Coordinates
    """
    prior, noise = coordinates.prior, belief.noise
    n_components, n_features = components.shape
    weight, squares, statistics = moments.weight, moments.sums[1], moments.sums[2:]
    about = data.about(belief.shift(components))
    outside = about.square - moments.sums[0].sum()
    objective = noise_cost(outside, components.shape, weight, data.missing, noise)
    # Σ u E a of every coefficient, u about the mean of the model.
    inner = np.einsum("ij,ij->i", moments.cross, components)
    offset = np.zeros(n_components) if belief.offset is None else belief.offset
    explained = inner + offset * moments.total
    lost = about.square - 2 * explained.sum() + squares.sum()
    gradient, curvature = prior.slopes(belief.parameters, statistics, weight)
    drift = weight * offset - moments.total + components @ data.total
    size = weight * n_features - data.missing
    unit = coordinates.unit
    # An offset moves projections and, by their slope, codes.
    slope = moments.curvature[:, -1] / (moments.sampled or 1.0)
    fixed = weight * np.maximum(1.0 - slope, LEAST_FIXED)

    def m_step(polar_factor):
        reached = np.vdot(moments.cross, polar_factor)
        left = data.square - 2 * reached + squares.sum()
        known = None
        if belief.offset is not None:
            known = (moments.total - polar_factor @ data.total) / weight
            left -= weight * known @ known
        parameters = prior.m_step(statistics, weight)
        least = np.exp(coordinates.limits[0][-1])
        return coordinates.numbers(
            ModelParameters(parameters, max(left / size, least), known)
        )

    return Evaluation(
        (objective - moments.gain) / weight,
        float(n_features),
        moments,
        m_step,
        1.0 / noise,
        coordinates.joined(gradient, drift * unit / noise, (size - lost / noise) / 2),
        coordinates.joined(curvature, fixed * unit**2 / noise, size / 2),
    )
