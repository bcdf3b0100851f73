"""The two learning problems: MAP codes with given thresholds, and maximum likelihood.

A problem says which objective is minimized, how one more mini-batch of a stream updates
the dictionary, and how noise and prior are estimated. The fitting loop and the stream
(`skscn._core.fitting`, `skscn._core.online`) are the same for both.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np

from skscn._core.encoders import IDENTITY, MapEncoder
from skscn._core.model_parameters import (
    ModelParameters,
    Parametrization,
    initial_parameters,
)
from skscn._core.moments import DataMoments
from skscn._core.objectives import (
    EMPTY,
    Evaluation,
    Iterate,
    evaluate_likelihood,
    mean_map_objective,
    posterior_mean_model,
    posterior_moments,
)
from skscn._core.prior import Prior
from skscn._core.procrustes import polar_factor
from skscn._core.projection_histogram import (
    HistogramBins,
    LazyEstimate,
    ProjectionHistogram,
)
from skscn._core.row_sums import RowSums
from skscn._core.sparse_model import SparseModel

# The smallest energy of residuals, as a fraction of that of the data, that differences
# of energies in float32 resolve to a thousandth.
MIN_FLOAT32_RESIDUAL_FRACTION = 1e-4


@dataclass(frozen=True)
class CenteredRows:
    """Rows, their mean, and their moments about it.

    Parameters
    ----------
    rows : RowSums
    mean : ndarray of shape (n_features,)
        Of the rows or of a stream, or zero.
    moments : DataMoments
    """

    rows: RowSums
    mean: np.ndarray
    moments: DataMoments

    def imputed(self, model):
        """Return the moments, with missing values imputed by a `SparseModel`."""
        if not self.rows.has_missing:
            return self.moments
        self.rows.impute(model)
        return self.rows.data_moments(self.mean.astype(self.rows.dtype))


@dataclass(frozen=True)
class LearningProblem(ABC):
    """What is minimized, and what is estimated beside the dictionary.

    Parameters
    ----------
    prior : Prior
    center : bool
        Whether the model has a mean.
    """

    prior: Prior
    center: bool

    learns_prior = False

    @property
    def n_statistics(self):
        """Rows of `CodeMoments.statistics`."""
        return 0

    def bounds(self, data, n_components):
        """Return the bounds of θ of an `Iterate`, or None."""
        return None

    @abstractmethod
    def start(self, data, components, parameters=None):
        """Return the first `Iterate`, with `ModelParameters` where they are known."""

    @abstractmethod
    def evaluate(self, iterate, data):
        """Return the `Evaluation` of an iterate, by one pass over `CenteredRows`.

        Missing values are first imputed by the iterate.
        """

    @abstractmethod
    def model(self, iterate, data):
        """Return the `SparseModel` of an iterate."""

    @abstractmethod
    def estimate(self, iterate, data):
        """Return the parameters of an iterate: `ModelParameters` or `LazyEstimate`."""

    @abstractmethod
    def start_stream(self, data, components):
        """Return the parameters that a stream begins with."""

    @abstractmethod
    def continues(self, state):
        """Return whether the moments of an `OnlineState` are of this problem."""

    @abstractmethod
    def update(self, state, batch, stream_moments, shift, discount):
        """Return the dictionary, moments, estimate and objective after a mini-batch.

        Parameters
        ----------
        state : OnlineState
        batch : CenteredRows
            The mini-batch, about the mean of the stream with it.
        stream_moments : DataMoments
            Of the stream with the mini-batch, about the same mean.
        shift : ndarray of shape (n_features,)
            From the mean before to this one.
        discount : float
            Factor of the moments of the stream before.

        Returns
        -------
        components : ndarray of shape (n_components, n_features)
        code_moments : CodeMoments
        estimate : LazyEstimate or ModelParameters
        objective : float
            Of the mini-batch before it was learned.
        """

    @abstractmethod
    def imputing_model(self, fitted):
        """Return the `SparseModel` of a `Solution` or an `OnlineState`."""

    @abstractmethod
    def attributes(self, fitted):
        """Return the mean of the fitted model, and its MAP thresholds and shrinkage."""


@dataclass(frozen=True)
class MapProblem(LearningProblem):
    """MAP codes with given thresholds: the mean of min_a ½‖x − m − aD‖² + penalty(a).

    The number of non-zero coefficients of a sample may be limited.

    Parameters
    ----------
    prior, center
        As of `LearningProblem`.
    alpha : ndarray of shape (n_components,)
        Thresholds, in the dtype of the data.
    n_nonzero : int, default=None
        The largest number of non-zero coefficients of a sample. None stands for no
        limit.
    """

    alpha: np.ndarray
    n_nonzero: int | None = None

    @property
    def encoder(self):
        """The encoder with the given thresholds; it also orients initial atoms."""
        return MapEncoder.from_thresholds(
            self.prior, self.alpha, self.alpha.dtype, n_nonzero=self.n_nonzero
        )

    def start(self, data, components, parameters=None):
        return Iterate(components)

    def evaluate(self, iterate, data):
        model = self.model(iterate, data)
        moments = data.imputed(model)
        encoded = data.rows.code_moments(model)
        objective = mean_map_objective(moments, encoded)
        return Evaluation(objective, abs(objective), encoded, lambda _: EMPTY)

    def model(self, iterate, data):
        return SparseModel(iterate.components, data.mean, self.encoder)

    def estimate(self, iterate, data):
        bins = self._bins(data.moments.rms)
        histogram = self._histogram(data, iterate.components, bins)
        return LazyEstimate(self.prior, self.alpha, histogram, bins, len(data.mean))

    def start_stream(self, data, components):
        bins = self._bins(data.moments.rms)
        histogram = ProjectionHistogram.zero(bins)
        return LazyEstimate(self.prior, self.alpha, histogram, bins, len(data.mean))

    def continues(self, state):
        estimate = state.estimate
        if not isinstance(estimate, LazyEstimate):
            return False
        return estimate.bins.shape == self._bins(estimate.bins.data_rms).shape

    def update(self, state, batch, stream_moments, shift, discount):
        encoded = batch.rows.code_moments(self.model(state, batch))
        moments = state.code_moments.recentered(shift) * discount + encoded
        components = polar_factor(moments.cross, state.components)
        bins = self._bins(stream_moments.rms)
        former = state.estimate.histogram.rebinned(state.estimate.bins, bins)
        histogram = former * discount + self._histogram(batch, components, bins)
        estimate = LazyEstimate(
            self.prior, self.alpha, histogram, bins, len(batch.mean)
        )
        objective = mean_map_objective(batch.moments, encoded)
        return components, moments, estimate, objective

    def imputing_model(self, fitted):
        return self.model(fitted, fitted)

    def attributes(self, fitted):
        return fitted.mean, self.alpha, None

    def _bins(self, data_rms):
        return HistogramBins.for_prior(self.prior, self.alpha, data_rms)

    def _histogram(self, data, components, bins):
        model = SparseModel(components, data.mean, self.encoder)
        histogram = data.rows.projection_histogram(model, bins)
        min_residual = MIN_FLOAT32_RESIDUAL_FRACTION * data.moments.sum_squares
        is_rounding = histogram.residual_sum_squares < min_residual
        if is_rounding and model.n_free and data.rows.dtype == np.float32:
            histogram = data.rows.projection_histogram(model, bins, np.float64)
        return replace(histogram, missing_weight=data.moments.missing_weight)


@dataclass(frozen=True)
class MarginalLikelihoodProblem(LearningProblem):
    """Posterior means, with prior and noise: the mean negative log-likelihood.

    Parameters
    ----------
    prior, center
        As of `LearningProblem`.
    """

    learns_prior = True

    @property
    def n_statistics(self):
        return 2 + len(self.prior.parameter_names)

    @property
    def encoder(self):
        """The encoder that initial atoms are oriented for."""
        return MapEncoder(self.prior, 0.0)

    def bounds(self, data, n_components):
        return self._parametrization(data.moments, n_components).bounds

    def start(self, data, components, parameters=None):
        parameters = parameters or self.start_stream(data, components)
        parametrization = self._parametrization(data.moments, len(components))
        return Iterate(components, parametrization.to_theta(parameters))

    def evaluate(self, iterate, data):
        components, rows = iterate.components, data.rows
        moments = data.moments
        if rows.has_missing:
            moments = data.imputed(self.model(iterate, data))
        parametrization = self._parametrization(data.moments, len(components))
        parameters = parametrization.from_theta(iterate.theta)
        encoded = posterior_moments(data, components, parameters, self.prior)
        return evaluate_likelihood(
            moments, encoded, components, parameters, parametrization
        )

    def model(self, iterate, data):
        parameters = self.estimate(iterate, data)
        return posterior_mean_model(
            iterate.components, data.mean, parameters, self.prior
        )

    def estimate(self, iterate, data):
        parametrization = self._parametrization(data.moments, len(iterate.components))
        return parametrization.from_theta(iterate.theta)

    def start_stream(self, data, components):
        model = SparseModel(components, data.mean, IDENTITY)
        projected, weight = data.rows.code_moments(model), data.moments.weight
        return initial_parameters(
            self._parametrization(data.moments, len(components)),
            projected.explained(components) / weight,
            data.moments.sum_squares / weight,
            len(data.mean),
        )

    def continues(self, state):
        statistics = state.code_moments.statistics
        return (
            isinstance(state.estimate, ModelParameters)
            and statistics is not None
            and len(statistics) == self.n_statistics
        )

    def update(self, state, batch, stream_moments, shift, discount):
        components, parameters = state.components, state.estimate
        parametrization = self._parametrization(stream_moments, len(components))
        encoded = posterior_moments(batch, components, parameters, self.prior)
        moments = state.code_moments.recentered(shift) * discount + encoded
        at_batch, at_stream = (
            evaluate_likelihood(data, codes, components, parameters, parametrization)
            for data, codes in ((batch.moments, encoded), (stream_moments, moments))
        )
        components = polar_factor(moments.cross, components)
        estimate = parametrization.from_theta(at_stream.m_step(components))
        return components, moments, estimate, at_batch.reported_objective

    def imputing_model(self, fitted):
        return posterior_mean_model(
            fitted.components, fitted.mean, fitted.estimate, self.prior
        )

    def attributes(self, fitted):
        parameters = fitted.estimate
        alpha, shrinkage = self.prior.map_rule(
            parameters.prior_parameters, parameters.noise_variance
        )
        mean = fitted.mean + parameters.mean_offset(fitted.components)
        return mean, alpha, shrinkage

    def _parametrization(self, moments, n_components):
        has_offset = self.center and self.prior.one_sided
        return Parametrization(
            self.prior, n_components, np.square(moments.rms), has_offset=has_offset
        )
