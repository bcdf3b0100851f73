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

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np

from skscn._core.model_parameters import power_of_two
from skscn._core.workspace import Workspace

MAX_ITER = 200
DAMPING = 0.7  # of changes of the sites; undamped changes may oscillate
TOL = 1e-8  # relative change of the posterior means and variances
# Cavities and sites have at least this fraction of the precision of their prior:
# without any information the posterior is the prior, and linear systems are regular.
MIN_PRECISION_RATIO = 1e-10
SYSTEM_ENTRIES = 2**19  # in the linear systems that are solved together
# Missing entries per component, up to which systems of their size are the smaller ones.
MAX_FEW_RATIO = 0.7
MIN_OPEN_RATIO = 0.8  # of rows that are not done; from fewer on, others are left out


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
    n_missing = np.isnan(rows).sum(axis=1)
    for Measurements, n_entries, part in _groups(n_missing, n_components):
        size = max(1, SYSTEM_ENTRIES // (n_components * n_entries))
        for start in range(0, len(part), size):
            which = part[start : start + size]
            measurements = Measurements.of(rows[which].astype(np.float64) / unit, model)
            log_likelihood[which], mean[which], variance = _propagate(
                measurements, model.encoder
            )
            std[which] = np.sqrt(variance)
    n_measured = rows.shape[1] - n_missing
    log_likelihood -= n_measured * np.log(unit)
    log_likelihood[n_measured == 0] = 0.0
    return log_likelihood, mean * unit, std * unit


def _groups(n_missing, n_components):
    """Yield a class of measurements, the size of its systems, and rows for it."""
    is_few = n_missing <= MAX_FEW_RATIO * n_components
    if not is_few.all():
        yield _FewComponents, n_components, np.flatnonzero(~is_few)
    # Systems of a group have the size of the largest, at most √2 times the smallest.
    n_missing = np.maximum(n_missing, 1)
    sizes = np.floor(2 * np.log2(n_missing))
    for size in np.unique(sizes[is_few]):
        which = np.flatnonzero(is_few & (sizes == size))
        yield _FewMissing, n_missing[which].max(), which


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


@dataclass(frozen=True)
class _Measurements(ABC):
    """The measured entries of rows, as Gaussians of codes exp(−½ a P aᵀ + a hᵀ + c).

    Parameters
    ----------
    noise_variance : float
    linear : ndarray of shape (n_rows, n_components)
        h = y Dᵀ / σ², with y = 0 for missing entries.
    constant : ndarray of shape (n_rows,)
        c.
    systems : tuple of ndarray of shape (n_rows, ...)
        What P is computed from.
    """

    noise_variance: float
    linear: np.ndarray
    constant: np.ndarray
    systems: tuple

    @classmethod
    def of(cls, rows, model):
        """Return the measurements of rows."""
        atoms, noise_variance = model.components, model.encoder.noise_variance
        measured = ~np.isnan(rows)
        y = np.where(measured, rows if model.mean is None else rows - model.mean, 0.0)
        n_measured = measured.sum(axis=1)
        squares = np.einsum("np,np->n", y, y)
        constant = -0.5 * (
            squares / noise_variance + n_measured * np.log(2 * np.pi * noise_variance)
        )
        linear = y @ atoms.T / noise_variance
        systems = cls._systems(measured, atoms)
        return cls(noise_variance, linear, constant, systems)

    def __getitem__(self, which):
        return replace(
            self,
            linear=self.linear[which],
            constant=self.constant[which],
            systems=tuple(array[which] for array in self.systems),
        )

    @staticmethod
    @abstractmethod
    def _systems(measured, atoms):
        """Return `systems`."""

    @abstractmethod
    def posterior(self, site_precision, linear):
        """Return means and variances of codes, with sites."""

    @abstractmethod
    def log_determinant(self, site_precision):
        """Return log det (P + sites)."""


class _FewComponents(_Measurements):
    """By the inverses of P + sites."""

    @staticmethod
    def _systems(measured, atoms):
        return ((measured[:, None, :] * atoms) @ atoms.T,)

    def posterior(self, site_precision, linear):
        covariance = np.linalg.inv(self._precision(site_precision))
        variance = np.einsum("njj->nj", covariance)
        return np.einsum("nij,nj->ni", covariance, linear), variance

    def log_determinant(self, site_precision):
        return np.linalg.slogdet(self._precision(site_precision))[1]

    def _precision(self, site_precision):
        precision = self.systems[0] / self.noise_variance
        diagonal = np.arange(precision.shape[1])
        precision[:, diagonal, diagonal] += site_precision
        return precision


class _FewMissing(_Measurements):
    """By systems of the size of the missing entries.

    With the columns U of D for the missing entries, P = (I − U Uᵀ) / σ², because
    D Dᵀ = I. With s = σ² τ, Woodbury's identity gives::

        (P + τ)⁻¹ = σ² / (1 + s) + σ² / (1 + s) U S⁻¹ Uᵀ / (1 + s)
        S = I − Uᵀ U + Uᵀ s / (1 + s) U
        det (P + τ) = det S Π_j (1 + s_j) / σ²

    All terms are positive, so that nothing cancels. UᵀU = I for square D. Rows with
    fewer missing entries than others have columns of zeros, which change nothing.
    """

    @staticmethod
    def _systems(measured, atoms):
        n_components, n_features = atoms.shape
        size = n_features - measured.sum(axis=1).min()
        missing = np.argsort(measured, axis=1, kind="stable")[:, :size]
        is_padding = np.take_along_axis(measured, missing, axis=1)
        columns = np.where(is_padding[:, :, None], 0.0, atoms.T[missing])  # Uᵀ
        if n_components == n_features:
            rest = np.zeros((len(measured), size, size))
            diagonal = np.arange(size)
            rest[:, diagonal, diagonal] = is_padding
        else:
            rest = np.eye(size) - columns @ columns.transpose(0, 2, 1)
        return columns, rest

    def posterior(self, site_precision, linear):
        columns, _ = self.systems
        shrinkage = 1.0 / (1.0 + self.noise_variance * site_precision)
        solved = np.linalg.solve(self._system(site_precision), columns)
        scaled = self.noise_variance * shrinkage
        variance = scaled + scaled * shrinkage * (columns * solved).sum(axis=1)
        mean = scaled * linear
        projections = columns @ (shrinkage * linear)[:, :, None]
        mean += scaled * (solved.transpose(0, 2, 1) @ projections)[:, :, 0]
        return mean, variance

    def log_determinant(self, site_precision):
        relative = self.noise_variance * site_precision
        log_diagonal = np.log1p(relative).sum(axis=1)
        log_diagonal -= relative.shape[1] * np.log(self.noise_variance)
        return np.linalg.slogdet(self._system(site_precision))[1] + log_diagonal

    def _system(self, site_precision):
        columns, rest = self.systems
        relative = self.noise_variance * site_precision
        weighted = columns * (relative / (1.0 + relative))[:, None, :]
        return rest + weighted @ columns.transpose(0, 2, 1)


def _propagate(measurements, encoder):
    """Return log-likelihoods, and posterior means and variances of codes.

    Each row is done when its own sites no longer change, and does not depend on the
    others.
    """
    n_rows, n_components = measurements.linear.shape
    prior_variance = encoder.prior.variance(encoder.parameters)
    site_precision = np.tile(1.0 / prior_variance, (n_rows, 1))
    site_linear = encoder.prior.mean(encoder.parameters) * site_precision
    min_precision = MIN_PRECISION_RATIO / prior_variance
    mean = variance = np.zeros((n_rows, n_components))
    log_likelihood = np.empty(n_rows)
    tilted_means, tilted_variances = np.empty((2, n_rows, n_components))
    rows = np.arange(n_rows)
    is_open = np.ones(n_rows, dtype=bool)
    for i in range(MAX_ITER):
        former_mean, former_variance = mean, variance
        linear = measurements.linear + site_linear
        mean, variance = measurements.posterior(site_precision, linear)
        cavity_precision = np.maximum(1.0 / variance - site_precision, min_precision)
        cavity_linear = mean / variance - site_linear
        log_z, tilted_mean, tilted_variance = _tilted(
            encoder, cavity_precision, cavity_linear
        )
        change = np.abs(variance - former_variance) / variance
        change += np.abs(mean - former_mean) / np.sqrt(variance)
        is_last = i == MAX_ITER - 1
        done = np.flatnonzero(is_open & ((change.max(axis=1) <= TOL) | is_last))
        if len(done):
            which = rows[done]
            tilted_means[which] = tilted_mean[done]
            tilted_variances[which] = tilted_variance[done]
            # log Z = Σ_j (log Z_j − log of the same with the site in place of the
            # prior) + log of the Gaussian integral over all sites and measurements.
            log_site = _log_site(
                site_precision[done],
                site_linear[done],
                cavity_precision[done],
                cavity_linear[done],
            )
            log_likelihood[which] = (log_z[done] - log_site).sum(axis=1)
            log_likelihood[which] += _log_gaussian(
                measurements[done], site_precision[done], mean[done], linear[done]
            )
            is_open[done] = False
            if not is_open.any():
                break
        new_precision = 1.0 / tilted_variance - cavity_precision
        new_precision = np.maximum(new_precision, min_precision)
        new_linear = tilted_mean * (new_precision + cavity_precision) - cavity_linear
        site_precision = site_precision + DAMPING * (new_precision - site_precision)
        site_linear = site_linear + DAMPING * (new_linear - site_linear)
        if is_open.mean() < MIN_OPEN_RATIO:
            measurements, rows = measurements[is_open], rows[is_open]
            site_precision, site_linear, mean, variance = (
                array[is_open]
                for array in (site_precision, site_linear, mean, variance)
            )
            is_open = is_open[is_open]
    return log_likelihood, tilted_means, tilted_variances


def _log_site(site_precision, site_linear, cavity_precision, cavity_linear):
    """Return the logarithms of the integrals of sites and normalized cavities."""
    total = cavity_precision + site_precision
    return 0.5 * (
        (cavity_linear + site_linear) ** 2 / total
        - cavity_linear**2 / cavity_precision
        - np.log(total / cavity_precision)
    )


def _log_gaussian(measurements, site_precision, mean, linear):
    """Return the logarithms of the integrals of measurements and sites."""
    log_determinant = measurements.log_determinant(site_precision)
    log_volume = mean.shape[1] * np.log(2 * np.pi) - log_determinant
    quadratic = np.einsum("ni,ni->n", mean, linear)
    return measurements.constant + 0.5 * (quadratic + log_volume)


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
