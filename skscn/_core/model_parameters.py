"""Parameters of the model beside the dictionary: prior, noise variance and offset."""

from dataclasses import dataclass

import numpy as np

# The lower bound of σ² as a fraction of the mean variance of the features: below, the
# likelihood of training data grows without bound.
MIN_NOISE_FRACTION = 1e-8
# The smallest σ² that learning starts from, as the same fraction: noise smooths the
# likelihood that learning climbs.
MIN_INITIAL_NOISE_FRACTION = 1e-3
MAX_NOISE_FRACTION = 100.0


@dataclass(frozen=True)
class ModelParameters:
    """Parameters of the prior, the variance of the noise, and the mean code.

    Parameters
    ----------
    prior_parameters : ndarray of shape (n_parameters, n_components)
    noise_variance : float
        σ².
    offset : ndarray of shape (n_components,) or None
        The code of the mean of the data. Codes of a one-sided prior have a positive
        mean, and x = mean + (a − offset) D + noise.
    """

    prior_parameters: np.ndarray
    noise_variance: float
    offset: np.ndarray | None = None

    @property
    def parameters(self):
        """The parameters themselves, as of `LazyEstimate`."""
        return self

    def rescaled(self, prior, unit):
        """Return the parameters of data and codes that are divided by a unit."""
        return ModelParameters(
            prior.rescaled(self.prior_parameters, unit),
            self.noise_variance / unit**2,
            None if self.offset is None else self.offset / unit,
        )

    def mean_offset(self, components):
        """Return the mean of the model minus the mean of the data."""
        if self.offset is None:
            return np.zeros(components.shape[1])
        return -self.offset @ components


class Parametrization:
    """Maps model parameters to a bounded vector θ, which optimizers change, and back.

    θ holds the unconstrained prior parameters, the offsets, and log σ². All are taken
    in a unit near the root mean square of the data. The unit is a power of two, so that
    data scaled by a power of two have the same θ, to the last bit.

    Parameters
    ----------
    prior : Prior
    n_components : int
    data_variance : float
        Mean variance of the features of the data. As a square of `np.square`, not of
        ``**``, it has the same bits in every unit.
    has_offset : bool
        Whether the offset is learned.
    """

    def __init__(self, prior, n_components, data_variance, *, has_offset):
        self.prior, self.has_offset = prior, has_offset
        self.shape = len(prior.parameter_names), n_components
        self.data_variance = data_variance
        self.unit = power_of_two(np.sqrt(data_variance))
        variance = data_variance / self.unit**2
        lower, upper = prior.bounds(variance)
        bounds = []
        for bound, offset_bound, noise_variance in (
            (lower, -np.inf, MIN_NOISE_FRACTION * variance),
            (upper, np.inf, MAX_NOISE_FRACTION * variance),
        ):
            parts = [np.repeat(bound, n_components)]
            if has_offset:
                parts.append(np.full(n_components, offset_bound))
            bounds.append(np.concatenate([*parts, [np.log(noise_variance)]]))
        self.bounds = tuple(bounds)

    def to_theta(self, parameters):
        """Return θ of model parameters, clipped to its bounds."""
        parameters = parameters.rescaled(self.prior, self.unit)
        unconstrained = self.prior.to_unconstrained(parameters.prior_parameters)
        parts = [unconstrained.ravel()]
        if self.has_offset:
            offset = parameters.offset
            offset = np.zeros(self.shape[1]) if offset is None else offset
            parts.append(offset)
        parts.append([np.log(parameters.noise_variance)])
        return np.clip(np.concatenate(parts), *self.bounds)

    def from_theta(self, theta):
        """Return the model parameters of θ."""
        size = self.shape[0] * self.shape[1]
        parameters = self.prior.from_unconstrained(theta[:size].reshape(self.shape))
        offset = theta[size:-1] if self.has_offset else None
        parameters = ModelParameters(parameters, float(np.exp(theta[-1])), offset)
        return parameters.rescaled(self.prior, 1.0 / self.unit)

    def flatten(self, prior_parameters, offset, noise_variance):
        """Return derivatives by every parameter as a vector in the order of θ."""
        parts = [prior_parameters.ravel()]
        if self.has_offset:
            parts.append(offset)
        return np.concatenate([*parts, [noise_variance]])


def power_of_two(value):
    """Return the largest power of two that is at most a positive value."""
    return float(2.0 ** (np.frexp(value)[1] - 1))


def residual_nll(sum_squares, shape, weight, missing_weight, noise_variance):
    """Return the negative log-likelihood of the residuals, summed over samples.

    The residual of a sample lies in the orthogonal complement of the atoms. A missing
    entry integrates to √(2πσ²).

    Parameters
    ----------
    sum_squares : float
        Σ w ‖r‖².
    shape : tuple of int
        (n_components, n_features).
    weight, missing_weight : float
        Of the samples, and of their missing entries.
    noise_variance : float
    """
    n_free = shape[1] - shape[0]
    log_normalizer = np.log(2 * np.pi * noise_variance)
    constant = (weight * n_free - missing_weight) / 2 * log_normalizer
    if n_free == 0:  # the residuals are rounding error
        return constant
    return max(sum_squares, 0.0) / (2 * noise_variance) + constant


def initial_parameters(parametrization, energies, mean_square, n_features):
    """Return the model parameters that learning starts from.

    Parameters
    ----------
    parametrization : Parametrization
    energies : ndarray of shape (n_components,)
        Mean squares of the projections.
    mean_square : float
        Mean of ‖x − mean‖².
    n_features : int
    """
    data_variance = parametrization.data_variance
    n_free = n_features - len(energies)
    noise_variance = energies.min() / 2
    if n_free:
        noise_variance = (mean_square - energies.sum()) / n_free
    noise_variance = max(noise_variance, MIN_INITIAL_NOISE_FRACTION * data_variance)
    variance = np.maximum(
        np.maximum(energies - noise_variance, energies / 10),
        MIN_NOISE_FRACTION * data_variance,
    )
    prior, has_offset = parametrization.prior, parametrization.has_offset
    parameters = prior.initial_parameters(variance, is_central=has_offset)
    offset = prior.mean(parameters) if has_offset else None
    return ModelParameters(parameters, noise_variance, offset)
