"""Likelihood and posterior of samples with missing values: expectation propagation.

With entries missing, D Dᵀ = I no longer holds for the measured ones, and coefficients
do not separate. Expectation propagation (Minka, 2001) replaces the prior of every
coefficient by a Gaussian site exp(−½ τ_j a² + ν_j a). What the other sites and the
measured entries say of a coefficient is then a Gaussian again, its cavity: a projection
u with a noise variance of its own, for which the scalar posterior of the prior is exact
(`skscn._core.marginals`). The sites are changed until they have the mean and the
variance of that posterior. For complete samples the cavities are the projections, and
the result is exact.
"""

from dataclasses import replace

import numpy as np

from skscn._core.model_parameters import power_of_two
from skscn._core.workspace import Workspace

MAX_ITER = 60
DAMPING = 0.7  # of changes of the sites; undamped changes may oscillate
TOL = 1e-8  # relative change of the posterior means and variances
# A cavity has at least this fraction of the precision of its prior: without any
# information, the posterior is the prior.
MIN_PRECISION_RATIO = 1e-10
SYSTEM_ENTRIES = 2**21  # in the linear systems that are solved together


def approximate_posterior(rows, model):
    """Return log-likelihoods, posterior means and deviations of incomplete rows.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        NaN where nothing was measured.
    model : SparseModel
        With a `PosteriorMeanEncoder`.

    Returns
    -------
    log_likelihood : ndarray of shape (n_rows,)
        log p of the measured entries.
    mean, std : ndarray of shape (n_rows, n_components)
        Posterior means and standard deviations of the codes.
    """
    n_components = len(model.components)
    # In units of the noise, neither prior variances nor precisions overflow.
    unit = power_of_two(np.sqrt(model.encoder.noise_variance))
    model = _rescaled(model, unit)
    log_likelihood = np.empty(len(rows))
    mean, std = np.empty((2, len(rows), n_components))
    size = max(1, SYSTEM_ENTRIES // n_components**2)
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        block = rows[part].astype(np.float64) / unit
        log_likelihood[part], mean[part], variance = _propagate(block, model)
        std[part] = np.sqrt(variance)
        n_measured = np.count_nonzero(~np.isnan(block), axis=1)
        log_likelihood[part] -= n_measured * np.log(unit)
    return log_likelihood, mean * unit, std * unit


def _rescaled(model, unit):
    """Return the model of rows that are divided by a unit."""
    encoder, prior = model.encoder, model.encoder.prior
    encoder = replace(
        encoder,
        parameters=prior.rescaled(encoder.parameters, unit),
        noise_variance=encoder.noise_variance / unit**2,
    )
    mean = None if model.mean is None else model.mean / unit
    return replace(model, mean=mean, encoder=encoder)


def _propagate(rows, model):
    encoder, prior = model.encoder, model.encoder.prior
    atoms, noise_variance = model.components, encoder.noise_variance
    measured = ~np.isnan(rows)
    y = np.where(measured, rows if model.mean is None else rows - model.mean, 0.0)
    # The measured entries as a Gaussian of the codes, exp(−½ a P aᵀ + a hᵀ).
    precision = (measured[:, None, :] * atoms) @ atoms.T / noise_variance
    linear = y @ atoms.T / noise_variance
    prior_variance = prior.variance(encoder.parameters)
    site_precision = np.tile(1.0 / prior_variance, (len(rows), 1))
    site_linear = prior.mean(encoder.parameters) * site_precision
    min_precision = MIN_PRECISION_RATIO / prior_variance
    mean = variance = np.zeros_like(linear)
    for _ in range(MAX_ITER):
        former_mean, former_variance = mean, variance
        covariance, log_determinant = _inverse(precision, site_precision)
        variance = np.einsum("njj->nj", covariance)
        mean = np.einsum("nij,nj->ni", covariance, linear + site_linear)
        cavity_precision = np.maximum(1.0 / variance - site_precision, min_precision)
        cavity_linear = mean / variance - site_linear
        log_z, tilted_mean, tilted_variance = _tilted(
            encoder, cavity_precision, cavity_linear
        )
        change = np.abs(variance - former_variance) / variance
        change += np.abs(mean - former_mean) / np.sqrt(variance)
        if change.max(initial=0.0) <= TOL:
            break
        new_precision = np.maximum(1.0 / tilted_variance - cavity_precision, 0.0)
        new_linear = tilted_mean * (new_precision + cavity_precision) - cavity_linear
        site_precision = site_precision + DAMPING * (new_precision - site_precision)
        site_linear = site_linear + DAMPING * (new_linear - site_linear)
    # log Z = Σ_j (log Z_j − log of the same with the site in place of the prior) + the
    # log of the Gaussian integral over all sites and the measured entries.
    total_precision = cavity_precision + site_precision
    log_site = 0.5 * (
        (cavity_linear + site_linear) ** 2 / total_precision
        - cavity_linear**2 / cavity_precision
        - np.log(total_precision / cavity_precision)
    )
    n_measured = measured.sum(axis=1)
    log_gaussian = 0.5 * (
        np.einsum("ni,ni->n", mean, linear + site_linear)
        - np.einsum("np,np->n", y, y) / noise_variance
        - n_measured * np.log(2 * np.pi * noise_variance)
        - log_determinant
        + linear.shape[1] * np.log(2 * np.pi)
    )
    log_likelihood = (log_z - log_site).sum(axis=1) + log_gaussian
    return np.where(n_measured > 0, log_likelihood, 0.0), tilted_mean, tilted_variance


def _inverse(precision, site_precision):
    """Return the inverses of the sums, and the log-determinants of the sums."""
    diagonal = np.arange(precision.shape[1])
    total = precision.copy()
    total[:, diagonal, diagonal] += site_precision
    return np.linalg.inv(total), np.linalg.slogdet(total)[1]


def _tilted(encoder, precision, linear):
    """Return log-normalizer, mean and variance of the prior times Gaussian cavities."""
    prior, noise_variance = encoder.prior, 1.0 / precision
    sigma = np.sqrt(noise_variance)
    parameters = np.broadcast_to(
        encoder.parameters[:, None, :], (len(encoder.parameters), *linear.shape)
    )
    standardized, constant = prior.standardized_parameters(parameters, noise_variance)
    standardized = [np.ascontiguousarray(array) for array in standardized]
    z = linear * sigma
    variance = noise_variance * prior.posterior_variance(z, standardized)
    log_density, _ = prior.posterior(z, standardized, Workspace())
    return log_density + constant, z * sigma, variance
