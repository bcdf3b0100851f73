"""What one dictionary of a mixture contributes: its model, and its part of the M-step.

Given the responsibilities, each dictionary has the learning problem of a single one,
with weighted rows. Beside the atoms, the prior and the noise, it learns its mean: the
weighted mean of its rows, minus the offset of `ModelParameters` times the atoms.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np

from skscn._core.encoders import MapEncoder
from skscn._core.mixture import MixtureModel
from skscn._core.model_parameters import Parametrization, initial_parameters
from skscn._core.objectives import (
    EMPTY,
    Evaluation,
    Iterate,
    curvature_about_data_mean,
    curvature_by_offset,
    evaluate_likelihood,
    mean_map_objective,
    needs_float64,
    posterior_mean_model,
    with_em_statistics,
)
from skscn._core.prior import Prior
from skscn._core.sparse_model import SparseModel


@dataclass(frozen=True)
class Dictionary:
    """One dictionary of a mixture, as the optimizer changes it.

    Parameters
    ----------
    iterate : Iterate
        Atoms, and θ of prior, noise and offset.
    center : ndarray of shape (n_features,)
        The point that the offset is relative to: the weighted mean of the rows.
    """

    iterate: Iterate
    center: np.ndarray


@dataclass(frozen=True)
class MixtureProblem(ABC):
    """The learning problem of the dictionaries of a mixture.

    Parameters
    ----------
    prior : Prior
    center : bool
        Whether each dictionary has a mean.
    has_offset : bool
        Whether that mean is learned by maximum likelihood. Otherwise it is that of the
        rows, as for a single dictionary with a prior of both signs.
    data_rms : float
        Root mean square of all rows about their mean, or about zero.
    """

    prior: Prior
    center: bool
    has_offset: bool
    data_rms: float

    learns_prior = False

    @property
    def n_statistics(self):
        """Rows of `CodeMoments.statistics`, as they are summed."""
        return 0

    @abstractmethod
    def bounds(self, n_components):
        """Return the bounds of θ, or None."""

    @abstractmethod
    def start(self, components, center, energies, mean_square):
        """Return the `Dictionary` that learning starts from.

        Parameters
        ----------
        components : ndarray of shape (n_components, n_features)
        center : ndarray of shape (n_features,)
        energies : ndarray of shape (n_components,)
            Mean squares of the projections of the rows of this dictionary.
        mean_square : float
            Mean of ‖x − center‖².
        """

    @abstractmethod
    def model(self, dictionary):
        """Return the `SparseModel` of a dictionary."""

    @abstractmethod
    def complete(self, dictionary, data, codes):
        """Return moments about the center of a dictionary, as sums of a stream.

        Parameters
        ----------
        dictionary : Dictionary
            That the codes are of.
        data : DataMoments
        codes : CodeMoments
            Both about the mean of the model, weighted by responsibilities.
        """

    @abstractmethod
    def evaluate(self, dictionary, data, codes):
        """Return a dictionary centered at the mean of its rows, and its `Evaluation`.

        The moments are about the center of the given one, as `complete` returns them.
        """

    @abstractmethod
    def theta(self, estimate):
        """Return θ of the estimate of a single dictionary, whose center is the mean."""

    @abstractmethod
    def map_rule(self, dictionary):
        """Return the MAP thresholds and shrinkage of a dictionary."""

    def mean(self, dictionary):
        """Return the mean of the model of a dictionary."""
        return self.model(dictionary).mean

    @abstractmethod
    def offset(self, dictionary):
        """Return the offset of a dictionary, or None."""

    @abstractmethod
    def dtype_of_moments(self, dictionary, dtype):
        """Return the dtype that moments are computed in, for rows of some dtype."""

    @abstractmethod
    def permuted(self, dictionary, order, signs):
        """Return a dictionary with atoms in another order, some with another sign."""

    def mixture(self, dictionaries, weights):
        """Return the `MixtureModel` of dictionaries."""
        models = tuple(self.model(each) for each in dictionaries)
        if not self.learns_prior:
            return MixtureModel(models, None)
        with np.errstate(divide="ignore"):
            return MixtureModel(models, np.log(weights))

    def _shift_and_offset(self, dictionary, data):
        """Return the way from the center to the mean of the rows, and the new offset.

        Outside of the span of the atoms, the mean of the rows is the M-step of the
        mean. Within it, the offset keeps the mean where it is.
        """
        offset = self.offset(dictionary)
        if not self.center:
            return np.zeros_like(dictionary.center), offset
        shift = data.weighted_sum / data.weight
        if offset is not None:
            offset = offset + dictionary.iterate.components @ shift
        return shift, offset


@dataclass(frozen=True)
class LikelihoodMixtureProblem(MixtureProblem):
    """Maximum likelihood: each dictionary learns its prior and its noise."""

    learns_prior = True

    @property
    def n_statistics(self):
        return 1 + len(self.prior.parameter_names)

    def bounds(self, n_components):
        return self._parametrization(n_components).bounds

    def start(self, components, center, energies, mean_square):
        n_components, n_features = components.shape
        # The scale of the rows of one dictionary may be much smaller than that of all.
        rms = np.sqrt(mean_square / n_features) or self.data_rms
        parameters = initial_parameters(
            Parametrization(
                self.prior, n_components, np.square(rms), has_offset=self.has_offset
            ),
            energies,
            mean_square,
            n_features,
        )
        theta = self._parametrization(n_components).to_theta(parameters)
        return Dictionary(Iterate(components, theta), center)

    def parameters(self, dictionary):
        """Return the `ModelParameters` of a dictionary."""
        iterate = dictionary.iterate
        return self._parametrization(len(iterate.components)).from_theta(iterate.theta)

    def model(self, dictionary):
        components = dictionary.iterate.components
        parameters = self.parameters(dictionary)
        return posterior_mean_model(
            components, dictionary.center, parameters, self.prior
        )

    def dtype_of_moments(self, dictionary, dtype):
        is_small = needs_float64(self.parameters(dictionary), self.data_rms)
        return np.dtype(np.float64 if is_small else dtype)

    def theta(self, estimate):
        n_components = estimate.prior_parameters.shape[1]
        return self._parametrization(n_components).to_theta(estimate)

    def map_rule(self, dictionary):
        parameters = self.parameters(dictionary)
        return self.prior.map_rule(
            parameters.prior_parameters, parameters.noise_variance
        )

    def offset(self, dictionary):
        return self.parameters(dictionary).offset

    def permuted(self, dictionary, order, signs):
        components = dictionary.iterate.components[order] * signs[:, None]
        parameters, offset = self.parameters(dictionary), self.offset(dictionary)
        parameters = replace(
            parameters,
            prior_parameters=parameters.prior_parameters[:, order],
            offset=None if offset is None else offset[order] * signs,
        )
        theta = self._parametrization(len(components)).to_theta(parameters)
        return replace(dictionary, iterate=Iterate(components, theta))

    def complete(self, dictionary, data, codes):
        components = dictionary.iterate.components
        parameters = replace(self.parameters(dictionary), offset=None)
        codes = with_em_statistics(codes, components, parameters, self.prior)
        way = dictionary.center - self.model(dictionary).mean
        return data.recentered(way), codes.recentered(way)

    def evaluate(self, dictionary, data, codes):
        components = dictionary.iterate.components
        parametrization = self._parametrization(len(components))
        shift, offset = self._shift_and_offset(dictionary, data)
        if offset is not None:
            codes = codes_about_data_mean(codes, offset)
        parameters = replace(self.parameters(dictionary), offset=offset)
        evaluation = evaluate_likelihood(
            data.recentered(shift),
            codes.recentered(shift),
            components,
            parameters,
            parametrization,
        )
        iterate = Iterate(components, parametrization.to_theta(parameters))
        return Dictionary(iterate, dictionary.center + shift), evaluation

    def _parametrization(self, n_components):
        return Parametrization(
            self.prior,
            n_components,
            np.square(self.data_rms),
            has_offset=self.has_offset,
        )


@dataclass(frozen=True)
class MapMixtureProblem(MixtureProblem):
    """MAP codes with given thresholds, and one dictionary for every row.

    θ holds the offsets, divided by the root mean square of the data.

    Parameters
    ----------
    prior, center, has_offset, data_rms
        As of `MixtureProblem`.
    alpha : ndarray of shape (n_components,)
        Thresholds.
    n_nonzero : int, default=None
        The largest number of non-zero coefficients of a row.
    """

    alpha: np.ndarray
    n_nonzero: int | None = None

    def bounds(self, n_components):
        return None

    def start(self, components, center, energies, mean_square):
        theta = np.zeros(len(components) if self.has_offset else 0)
        return Dictionary(Iterate(components, theta), center)

    def model(self, dictionary):
        components, theta = dictionary.iterate.components, dictionary.iterate.theta
        encoder = MapEncoder.from_thresholds(
            self.prior, self.alpha, self.alpha.dtype, n_nonzero=self.n_nonzero
        )
        mean = dictionary.center
        if self.has_offset:
            mean = mean - self.data_rms * theta @ components
        return SparseModel(components, mean, encoder)

    def dtype_of_moments(self, dictionary, dtype):
        return np.dtype(dtype)

    def permuted(self, dictionary, order, signs):
        iterate = dictionary.iterate
        theta = iterate.theta[order] * signs if self.has_offset else iterate.theta
        components = iterate.components[order] * signs[:, None]
        return replace(dictionary, iterate=Iterate(components, theta))

    def theta(self, estimate):
        return EMPTY

    def map_rule(self, dictionary):
        return self.alpha, None

    def offset(self, dictionary):
        theta = dictionary.iterate.theta
        return theta * self.data_rms if self.has_offset else None

    def complete(self, dictionary, data, codes):
        way = dictionary.center - self.model(dictionary).mean
        return data.recentered(way), codes.recentered(way)

    def evaluate(self, dictionary, data, codes):
        components, unit = dictionary.iterate.components, self.data_rms
        objective = mean_map_objective(data, codes)
        shift, offset = self._shift_and_offset(dictionary, data)
        center = dictionary.center + shift
        data, codes = data.recentered(shift), codes.recentered(shift)
        if offset is None:
            evaluation = Evaluation(objective, abs(objective), codes, lambda _: EMPTY)
            return Dictionary(Iterate(components), center), evaluation
        codes = codes_about_data_mean(codes, offset)

        def m_step(polar_factor):
            rest = codes.code_sum - polar_factor @ data.weighted_sum
            return rest / codes.weight / unit

        gradient = codes.weight * offset - codes.code_sum
        gradient = (gradient + components @ data.weighted_sum) * unit
        evaluation = Evaluation(
            objective,
            abs(objective),
            codes,
            m_step,
            gradient=gradient,
            curvature=curvature_by_offset(codes) * unit**2,
        )
        return Dictionary(Iterate(components, offset / unit), center), evaluation


def codes_about_data_mean(codes, offset):
    """Return `CodeMoments` whose curvature is about the mean of the data."""
    curvature = curvature_about_data_mean(codes.curvature, offset)
    return replace(codes, curvature=curvature)
