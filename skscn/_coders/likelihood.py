"""A fitted coder as a probability distribution."""

from collections.abc import Callable
from functools import partial
from numbers import Integral
from typing import ClassVar

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skscn._core.encoders import MapEncoder, PosteriorMeanEncoder
from skscn._core.missing_values import (
    log_likelihood_with_missing,
    posterior_std_with_missing,
    reconstruct_missing,
)
from skscn._core.model_parameters import ModelParameters
from skscn._core.projection_histogram import LazyEstimate
from skscn._core.sparse_model import SparseModel
from skscn._data.blocks import blockwise
from skscn._data.device_arrays import DeviceRows, check_not_on_device
from skscn._data.inputs import FLOAT_DTYPES
from skscn._data.parallel import map_rows_into, worker_pool
from skscn._data.row_sums import contains_missing
from skscn._data.sklearn_compat import as_numpy
from skscn._data.validation import check_code_limit, check_norms


def check_range(model, X, *, is_likelihood):
    """Raise a ValueError for rows whose scores leave the range of float64.

    With given thresholds, noise has no influence but on likelihoods, and estimating its
    variance takes time.
    """
    needs_noise = is_likelihood or model._learned_prior
    check_norms(X, model.noise_variance_ if needs_noise else 1.0)


class ScoreMixin:
    """The mean log-likelihood of samples, and information criteria."""

    score_samples: Callable
    _n_fitted_parameters: Callable
    _fitted_prior: str
    _learned_prior: bool
    n_jobs: int | None

    def score(self, X, y=None):
        """Compute the mean log-likelihood of samples, in nats.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        log_likelihood : float
            The mean of `score_samples`.
        """
        return float(np.mean(as_numpy(self.score_samples(X))))

    def aic(self, X):
        """Compute the Akaike information criterion; lower is better.

        It is meaningless where `noise_variance_` is at its lower bound.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data that the estimator was fitted to.

        Returns
        -------
        aic : float
            Minus twice the log-likelihood of X, plus twice the number of fitted
            parameters.
        """
        log_likelihood = as_numpy(self.score_samples(X))
        return float(-2 * log_likelihood.sum() + 2 * self._n_fitted_parameters())

    def bic(self, X):
        """Compute the Bayesian information criterion; lower is better.

        It is meaningless where `noise_variance_` is at its lower bound.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data that the estimator was fitted to.

        Returns
        -------
        bic : float
            Minus twice the log-likelihood of X, plus log n_samples times the number of
            fitted parameters.
        """
        log_likelihood = as_numpy(self.score_samples(X))
        penalty = np.log(len(log_likelihood)) * self._n_fitted_parameters()
        return float(-2 * log_likelihood.sum() + penalty)

    def _map_rows(self, function, X, out):
        """Write function(rows, rows of out) for slices of rows into out."""
        with worker_pool(X.shape[0], self.n_jobs) as pool:
            return map_rows_into(pool, function, X, out)

    def _n_dictionary_parameters(self, shape, has_mean, prior):
        """Return the number of fitted parameters of one dictionary, with its noise."""
        n_components, n_features = shape
        n_parameters = n_components * n_features
        n_parameters -= n_components * (n_components + 1) // 2  # orthonormality
        n_parameters += 1 + (n_features if has_mean else 0)
        if self._learned_prior or not prior.determined_by_threshold:
            n_parameters += len(prior.parameter_names) * n_components
        return n_parameters


class LikelihoodMixin(ScoreMixin):
    """Exact likelihoods and posteriors of a coder; approximate for missing values."""

    _read_types = FLOAT_DTYPES
    _priors: ClassVar[dict]
    _estimate: LazyEstimate | ModelParameters
    _fitted_prior: str
    _learned_prior: bool
    _shrinkage: np.ndarray | None
    _validate: Callable
    components_: np.ndarray
    mean_: np.ndarray
    alpha_: np.ndarray
    inference: str
    n_nonzero_coefs: int | None
    n_jobs: int | None

    @property
    def noise_variance_(self):
        """Variance σ² of the noise."""
        return self._parameters("noise_variance_").noise_variance

    @property
    def rate_(self):
        """Thresholds divided by the noise variance, `alpha_ / noise_variance_`."""
        parameters = self._parameters("rate_")
        alpha = as_numpy(self.alpha_)
        rates = alpha / parameters.noise_variance
        if "rate" in self._prior_object.parameter_names:
            rates = parameters.prior_parameters[0]
        return rates.astype(alpha.dtype)

    @property
    def prior_(self):
        """Parameters of the prior by name, an array of each."""
        parameters = self._parameters("prior_").prior_parameters
        names = self._prior_object.parameter_names
        return {
            name: row.astype(as_numpy(self.alpha_).dtype)
            for name, row in zip(names, parameters, strict=True)
        }

    @blockwise
    def score_samples(self, X):
        """Compute the log-likelihood of every sample, in nats.

        It is exact for complete samples: with orthonormal atoms, the likelihood of a
        sample is the product of those of its projections and of its residual.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples. NaN marks missing values, which are integrated over by expectation
            propagation.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,), float64
            Of each sample under the model.

        Raises
        ------
        ValueError
            If X is infinite, has another number of features than in `fit`, or if the
            squared norms of rows leave the range of float64.
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False, method="score_samples")
        check_range(self, X, is_likelihood=True)
        model = self._posterior_mean_model(np.float64)
        if isinstance(X, DeviceRows):
            return X.log_likelihood(model)
        function = partial(log_likelihood_with_missing, model=model)
        return self._map_rows(function, X, np.empty(X.shape[0]))

    def sample(self, n_samples=1, random_state=None):
        """Generate samples from the model.

        Parameters
        ----------
        n_samples : int, default=1
            Number of samples.
        random_state : int, RandomState instance or None, default=None
            Seed of the random numbers.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Codes drawn from the prior times the atoms, plus mean and noise.
        """
        check_is_fitted(self)
        check_n_samples(n_samples)
        rng = check_random_state(random_state)
        atoms, mean = as_numpy(self.components_), as_numpy(self.mean_)
        prior, parameters = self._prior_object, self._estimate.parameters
        X = sample_rows(prior, parameters, atoms, mean, n_samples, rng)
        return X.astype(atoms.dtype, copy=False)

    @blockwise
    def posterior_std(self, X):
        """Compute the posterior standard deviations of the codes of samples.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples. NaN marks missing values.

        Returns
        -------
        std : ndarray of shape (n_samples, n_components)
            Posterior standard deviations about the posterior means, which `transform`
            returns with `inference="mean"`.

        Raises
        ------
        ValueError
            As `score_samples`.
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False, method="posterior_std")
        check_range(self, X, is_likelihood=True)
        model = self._posterior_mean_model(X.dtype)
        if isinstance(X, DeviceRows):
            return X.posterior_std(model)
        function = partial(posterior_std_with_missing, model=model)
        out = np.empty((X.shape[0], self.components_.shape[0]), dtype=X.dtype)
        return self._map_rows(function, X, out)

    @blockwise
    def impute(self, X):
        """Impute missing values by their reconstruction.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples; NaN marks missing values.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            A copy without NaN; CSR for CSR. Missing values are mean + codes D, with the
            posterior means of the codes; measured values stay.

        Raises
        ------
        ValueError
            As `score_samples`.
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False, method="impute")
        check_range(self, X, is_likelihood=False)
        check_not_on_device(X, "impute", "Move X to the processor.")
        if not contains_missing(X):
            return X.copy()
        model = self._posterior_mean_model(X.dtype)
        return self._map_rows(partial(reconstruct_missing, model=model), X, X.copy())

    @property
    def _prior_object(self):
        return self._priors[self._fitted_prior]

    def _parameters(self, name):
        """Return the fitted parameters, for the attribute of some name."""
        if "_estimate" not in vars(self):
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r} before it is fitted."
            )
        return self._estimate.parameters

    def _encoding_model(self, dtype):
        """Return the model whose encoder `inference` names; it may change after fit."""
        if self.inference not in ("map", "mean"):
            raise ValueError(
                f"inference={self.inference!r} must be 'map' or 'mean': the posterior "
                "mode, or the posterior mean."
            )
        n_nonzero = self.n_nonzero_coefs
        check_code_limit(n_nonzero, self.inference, learns_prior=self._learned_prior)
        if self.inference == "mean":
            return self._posterior_mean_model(dtype)
        return self._map_model(dtype)

    def _map_model(self, dtype):
        encoder = MapEncoder.from_thresholds(
            self._prior_object,
            as_numpy(self.alpha_),
            dtype,
            as_numpy(self._shrinkage),
            self.n_nonzero_coefs,
        )
        return self._model(encoder, dtype)

    def _posterior_mean_model(self, dtype):
        parameters = self._estimate.parameters
        encoder = PosteriorMeanEncoder(
            self._prior_object, parameters.prior_parameters, parameters.noise_variance
        )
        return self._model(encoder, dtype)

    def _model(self, encoder, dtype):
        atoms, mean = as_numpy(self.components_), as_numpy(self.mean_)
        return SparseModel.in_dtype(atoms, mean, encoder, dtype)

    def _curves(self, component, u):
        """Return density, posterior mode and posterior mean of projections u."""
        u, parameters, selected = u[:, None], self._estimate.parameters, [component]
        shrinkage = None if self._shrinkage is None else self._shrinkage[selected]
        map_encoder = MapEncoder(
            self._prior_object, float(self.alpha_[component]), shrinkage
        )
        mean_encoder = PosteriorMeanEncoder(
            self._prior_object,
            parameters.prior_parameters[:, selected],
            parameters.noise_variance,
        )
        density = np.exp(mean_encoder.log_density(u.copy()))
        mode, mean = map_encoder.encode(u.copy()), mean_encoder.encode(u.copy())
        return density, mode[:, 0], mean[:, 0]

    def _n_fitted_parameters(self):
        has_mean = as_numpy(self.mean_).any()
        shape = self.components_.shape
        return self._n_dictionary_parameters(shape, has_mean, self._prior_object)


def sample_rows(prior, parameters, atoms, mean, n_samples, rng):
    """Return rows mean + a D + noise, with codes a drawn from the prior."""
    codes = prior.sample(parameters.prior_parameters, n_samples, rng)
    noise = rng.standard_normal((n_samples, len(mean)))
    return codes @ atoms + mean + np.sqrt(parameters.noise_variance) * noise


def check_n_samples(n_samples):
    """Raise where a number of samples to generate is not a positive integer."""
    if not isinstance(n_samples, Integral) or n_samples < 1:
        raise ValueError(
            f"n_samples={n_samples!r} must be at least 1 and an integer: ask for "
            "one sample or more."
        )
