"""What is believed of codes and noise beside the dictionary, as numbers to learn."""

from dataclasses import dataclass

import numpy as np

NOISE_FLOOR = 1e-8  # least σ², by the mean variance of the features
FIRST_NOISE = 1e-3  # the same to begin with: noise smooths what learning has to climb


@dataclass(frozen=True)
class ModelParameters:
    """What is believed of codes and noise: a prior with its numbers.

    Parameters
    ----------
    parameters : ndarray of shape (n_parameters, n_components)
        Of the prior.
    noise : float
        σ².
    offset : ndarray of shape (n_components,) or None
        The code that the mean of the data stands for: with a one-sided prior codes have
        a mean, and x = mean + (a − offset) D + noise.
    """

    parameters: np.ndarray
    noise: float
    offset: np.ndarray | None = None

    @property
    def belief(self):
        """The belief itself, as of all that is known of a dictionary."""
        return self

    def shift(self, components):
        """Return how far the mean of the model lies from that of the data."""
        if self.offset is None:
            return np.zeros(components.shape[1])
        return -self.offset @ components


class Coordinates:
    """Beliefs as vectors of numbers that may take any value, within limits.

    Parameters
    ----------
    prior : Prior
    n_components : int
    scale : float
        Mean variance of the features of the data.
    offset : bool
        Whether the offset is learned.
    """

    def __init__(self, prior, n_components, scale, *, offset):
        self.prior, self.offset = prior, offset
        self.shape = len(prior.names), n_components
        self.unit = np.sqrt(scale)  # of offsets
        low, high = prior.limits(scale)
        ends = []
        for end, furthest, noise in (
            (low, -np.inf, NOISE_FLOOR * scale),
            (high, np.inf, 100.0 * scale),
        ):
            parts = [np.repeat(end, n_components)]
            if offset:
                parts.append(np.full(n_components, furthest))
            ends.append(np.concatenate([*parts, [np.log(noise)]]))
        self.limits = tuple(ends)

    def numbers(self, belief):
        """Return the vector of a belief, within the limits."""
        parts = [self.prior.coordinates(belief.parameters).ravel()]
        if self.offset:
            known = np.zeros(self.shape[1]) if belief.offset is None else belief.offset
            parts.append(known / self.unit)
        return np.clip(np.concatenate([*parts, [np.log(belief.noise)]]), *self.limits)

    def belief(self, numbers):
        """Return the belief of a vector."""
        size = self.shape[0] * self.shape[1]
        parameters = self.prior.parameters(numbers[:size].reshape(self.shape))
        offset = numbers[size:-1] * self.unit if self.offset else None
        return ModelParameters(parameters, float(np.exp(numbers[-1])), offset)

    def joined(self, parameters, offset, noise):
        """Return what belongs to each number, as a vector in their order."""
        parts = [parameters.ravel()]
        if self.offset:
            parts.append(offset)
        return np.concatenate([*parts, [noise]])


def noise_cost(outside, shape, weight, missing, noise):
    """Return minus the log-likelihood of what no atom reaches, of energy `outside`.

    Every entry that is missing integrates to √(2πσ²).
    """
    n_free = shape[1] - shape[0]
    constant = (weight * n_free - missing) / 2 * np.log(2 * np.pi * noise)
    if n_free == 0:  # what is there is rounding error
        return constant
    return max(outside, 0.0) / (2 * noise) + constant


def first_belief(coordinates, energies, square, n_features):
    """Return a belief to start from.

    Parameters
    ----------
    coordinates : Coordinates
    energies : ndarray of shape (n_components,)
        Mean squares of the projections.
    square : float
        Mean square of the samples.
    n_features : int
    """
    floor = NOISE_FLOOR * coordinates.unit**2
    n_free = n_features - len(energies)
    noise = (square - energies.sum()) / n_free if n_free else energies.min() / 2
    noise = max(noise, FIRST_NOISE * coordinates.unit**2)
    variance = np.maximum(np.maximum(energies - noise, energies / 10), floor)
    offset = np.zeros(len(energies)) if coordinates.offset else None
    parameters = coordinates.prior.guess(variance, offset)
    if coordinates.offset:
        offset = coordinates.prior.mean(parameters)
    return ModelParameters(parameters, noise, offset)
