"""The two objectives of learning, evaluated by one pass over the data.

MAP learning minimizes min_a ½‖x − m − aD‖² + penalty(a), on average over samples.
Maximum likelihood minimizes the negative log-likelihood, which with orthonormal atoms
is a sum over coefficients too:

    log p(x) = Σ_j log p(u_j) − ‖r‖² / 2σ² − ½ (n_features − n_components) log 2πσ²,

with r the residual of x − m. Its derivatives are those of the expected complete-data
objective under the posterior of the codes (Fisher's identity). The sums of the EM
algorithm therefore give both the exact M-step and the gradient by all parameters.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from skscn._core.encoders import PosteriorMeanEncoder
from skscn._core.model_parameters import ModelParameters, residual_nll
from skscn._core.moments import CodeMoments
from skscn._core.sparse_model import SparseModel

EMPTY = np.empty(0)
# The smallest fraction of an offset that its codes may be taken to not compensate for:
# it keeps the curvature by the offset positive.
MIN_UNCOMPENSATED_FRACTION = 0.01
# The smallest noise variance, as a fraction of the mean variance of the features, for
# which float32 is accurate enough. Rounding errors of 1e-7 ‖x‖² change the objective by
# up to 1e-7 ‖x‖² / 2σ²: beyond this fraction, by less than 1e-4 nats a feature.
MIN_FLOAT32_NOISE_FRACTION = 1e-3


@dataclass(frozen=True)
class Iterate:
    """A dictionary and the parameters beside it, as the optimizer changes them.

    Parameters
    ----------
    components : ndarray of shape (n_components, n_features)
    theta : ndarray of shape (n_parameters,)
        See `Parametrization`; empty where only the dictionary is learned.
    """

    components: np.ndarray
    theta: np.ndarray = field(default_factory=lambda: EMPTY)

    def permuted(self, order, signs):
        """Return the iterate with atoms in another order, some with another sign."""
        theta = self.theta
        if theta.size:
            rows = theta[:-1].reshape(-1, len(order))
            theta = np.concatenate([*rows[:, order], theta[-1:]])
        return Iterate(self.components[order] * signs[:, None], theta)


@dataclass(frozen=True)
class Evaluation:
    """An objective and its derivatives at an iterate.

    Parameters
    ----------
    objective : float
        Mean over the samples, up to `objective_offset`.
    objective_scale : float
        What a relative tolerance of the objective is relative to.
    moments : CodeMoments
        The cross moment times `gradient_scale` is minus the gradient of the summed
        objective by the dictionary.
    m_step : callable
        Maps the polar factor of the cross moment to the θ of the M-step. Replacing both
        never increases the objective.
    noise_variance : float, default=None
        Of a likelihood. None for a MAP objective, which has the units of x².
    gradient, curvature : ndarray of shape (n_parameters,)
        Of the summed objective by θ. The curvature may be too large.
    objective_offset : float
        Of the same data, it is the same for all iterates: the objective is computed in
        units of the data, where comparisons have the same rounding errors at any scale.
    """

    objective: float
    objective_scale: float
    moments: CodeMoments
    m_step: Callable
    noise_variance: float | None = None
    gradient: np.ndarray = field(default_factory=lambda: EMPTY)
    curvature: np.ndarray = field(default_factory=lambda: EMPTY)
    objective_offset: float = 0.0

    @property
    def gradient_scale(self):
        """The inverse noise variance, or one for a MAP objective."""
        return 1.0 if self.noise_variance is None else 1.0 / self.noise_variance

    @property
    def reported_objective(self):
        """The objective in the units of the data."""
        return self.objective + self.objective_offset


def mean_map_objective(data, codes):
    """Return the mean MAP objective of samples, given moments about one mean."""
    return (0.5 * data.sum_squares - codes.objective_decrease) / codes.weight


def posterior_mean_model(components, mean, parameters, prior):
    """Return the `SparseModel` with posterior means, given the mean of the data."""
    encoder = PosteriorMeanEncoder(
        prior, parameters.prior_parameters, parameters.noise_variance
    )
    return SparseModel(components, mean + parameters.mean_offset(components), encoder)


def posterior_moments(data, components, parameters, prior):
    """Return the moments of posterior means, about the mean of the data.

    The statistics are Σ u², Σ E a², and those of the M-step of the prior.

    The noise variance follows from a small difference between the energies of samples
    and of codes. Where it is too small for float32, the sums are computed in float64.

    Parameters
    ----------
    data : CenteredRows
    components : ndarray of shape (n_components, n_features)
    parameters : ModelParameters
    prior : Prior
    """
    shift = parameters.mean_offset(components)
    model = posterior_mean_model(components, data.mean, parameters, prior)
    is_small = needs_float64(parameters, data.moments.rms)
    moments = data.rows.code_moments(model, np.float64 if is_small else None)
    return with_em_statistics(moments, components, parameters, prior).recentered(-shift)


def needs_float64(parameters, data_rms):
    """Return whether the noise is too small for moments in float32."""
    return parameters.noise_variance / data_rms**2 < MIN_FLOAT32_NOISE_FRACTION


def with_em_statistics(moments, components, parameters, prior):
    """Return moments whose statistics are those that `posterior_moments` documents.

    Parameters
    ----------
    moments : CodeMoments
        Of posterior means, about the mean of the model.
    components : ndarray of shape (n_components, n_features)
    parameters : ModelParameters
    prior : Prior
    """
    # Σ E a² depends on the parameters of this pass; as a sum it adds up with those of
    # other passes.
    second_moments = prior.sum_second_moments(
        parameters.prior_parameters,
        parameters.noise_variance,
        moments.statistics[1:],
        moments.explained(components),
        moments.weight,
    )
    statistics = np.vstack(
        [moments.statistics[:1], second_moments, moments.statistics[1:]]
    )
    curvature = moments.curvature
    if parameters.offset is not None:
        curvature = curvature_about_data_mean(curvature, parameters.offset)
    return replace(moments, statistics=statistics, curvature=curvature)


def curvature_about_data_mean(curvature, offset):
    """Return the curvature of atoms that rotate about the mean of the data.

    About the mean of the model, projections also have the squared offsets, if the
    derivatives of codes are independent of other codes.
    """
    curvature = curvature.copy()
    curvature[:, :-2] -= np.outer(curvature[:, -1], offset**2)
    return np.maximum(curvature, 0.0)


def curvature_by_offset(moments):
    """Return the curvature of the summed ½‖x − m − aD‖² by every offset.

    An offset changes projections and, through the derivative of the encoder, codes.
    """
    derivative = moments.curvature[:, -1] / (moments.curvature_weight or 1.0)
    return moments.weight * np.maximum(1.0 - derivative, MIN_UNCOMPENSATED_FRACTION)


def evaluate_likelihood(data, moments, components, parameters, parametrization):
    """Return the `Evaluation` of the likelihood, given moments about the data's mean.

    The objective is that of data divided by the unit of the parametrization.

    Parameters
    ----------
    data : DataMoments
    moments : CodeMoments
        From `posterior_moments`.
    components : ndarray of shape (n_components, n_features)
    parameters : ModelParameters
    parametrization : Parametrization
    """
    prior, noise_variance = parametrization.prior, parameters.noise_variance
    n_components, n_features = components.shape
    weight, second_moments = moments.weight, moments.statistics[1]
    statistics = moments.statistics[2:]
    about_model_mean = data.recentered(parameters.mean_offset(components))
    residual = about_model_mean.sum_squares - moments.statistics[0].sum()
    unit = parametrization.unit
    rescaled = parameters.rescaled(prior, unit)
    nll = residual_nll(
        residual / unit**2,
        components.shape,
        weight,
        data.missing_weight,
        rescaled.noise_variance,
    )
    _, log_constant = prior.standardized_parameters(
        rescaled.prior_parameters, rescaled.noise_variance
    )
    log_likelihood = moments.objective_decrease + weight * log_constant.sum()
    offset = parameters.offset
    offset = np.zeros(n_components) if offset is None else offset
    # Σ u E a of every coefficient, with u about the mean of the model.
    sum_u_mean = moments.explained(components) + offset * moments.code_sum
    expected_residual = (
        about_model_mean.sum_squares - 2 * sum_u_mean.sum() + second_moments.sum()
    )
    gradient, curvature = prior.gradient_and_curvature(
        parameters.prior_parameters, statistics, weight
    )
    by_offset = weight * offset - moments.code_sum + components @ data.weighted_sum
    n_measured = weight * n_features - data.missing_weight
    offset_curvature = curvature_by_offset(moments)

    def m_step(polar_factor):
        explained = np.vdot(moments.cross, polar_factor)
        expected = data.sum_squares - 2 * explained + second_moments.sum()
        new_offset = None
        if parameters.offset is not None:
            new_offset = (moments.code_sum - polar_factor @ data.weighted_sum) / weight
            expected -= weight * new_offset @ new_offset
        min_noise_variance = np.exp(parametrization.bounds[0][-1]) * unit**2
        return parametrization.to_theta(
            ModelParameters(
                prior.m_step(statistics, weight),
                max(expected / n_measured, min_noise_variance),
                new_offset,
            )
        )

    return Evaluation(
        (nll - log_likelihood) / weight,
        float(n_features),
        moments,
        m_step,
        noise_variance,
        parametrization.flatten(
            gradient,
            by_offset * unit / noise_variance,
            (n_measured - expected_residual / noise_variance) / 2,
        ),
        parametrization.flatten(
            curvature,
            offset_curvature * unit**2 / noise_variance,
            n_measured / 2,
        ),
        n_measured / weight * np.log(unit),
    )
