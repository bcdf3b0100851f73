"""What a fitted coder says as a probability distribution."""

from collections.abc import Callable
from functools import partial
from numbers import Integral
from typing import ClassVar

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skscn._core.encoders import MapEncoder, PosteriorMeanEncoder
from skscn._core.missing_values import complete, has_missing, log_missing_volumes, wider
from skscn._core.model_parameters import ModelParameters
from skscn._core.moments import deviations, log_likelihoods
from skscn._core.projection_histogram import LazyEstimate
from skscn._data.blocks import blockwise
from skscn._data.device_arrays import DeviceRows, check_not_on_device
from skscn._data.inputs import FLOAT_DTYPES
from skscn._data.parallel import map_rows_into, row_slices, slice_rows, workers
from skscn._data.sklearn_compat import as_numpy


class Likelihood:
    """The part of a coder that knows densities: exact, unless entries are missing."""

    _read_types = FLOAT_DTYPES
    _priors: ClassVar[dict]
    _known: LazyEstimate | ModelParameters
    _fitted_prior: str
    _learned_prior: bool
    _shrinkage: np.ndarray | None
    _validated: Callable
    components_: np.ndarray
    mean_: np.ndarray
    alpha_: np.ndarray
    inference: str
    n_jobs: int | None

    @property
    def noise_variance_(self):
        """Variance σ² of the noise."""
        return self._believed("noise_variance_").noise

    @property
    def rate_(self):
        """Thresholds by the variance of the noise, `alpha_ / noise_variance_`."""
        belief = self._believed("rate_")
        names = self._priors[self._fitted_prior].names
        alpha = as_numpy(self.alpha_)
        rates = belief.parameters[0] if "rate" in names else alpha / belief.noise
        return rates.astype(alpha.dtype)

    @property
    def prior_(self):
        """The numbers of the prior by their names, an array of each."""
        belief = self._believed("prior_")
        names = self._priors[self._fitted_prior].names
        return {
            name: row.astype(as_numpy(self.alpha_).dtype)
            for name, row in zip(names, belief.parameters, strict=True)
        }

    @blockwise
    def score_samples(self, X):
        """Return the log-likelihood of every sample, in nats.

        Exact: with orthonormal atoms the likelihood of a sample is that of its
        projections, each by itself, times that of the noise that no atom reaches.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples. NaN stands for what was not measured, and is integrated over by
            Laplace's method.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,), float64
            Of each sample under the model.
        """
        check_is_fitted(self)
        X = self._validated(X, reset=False, method="score_samples")
        likelihood = partial(
            log_likelihoods,
            components=self._atoms(np.float64),
            mean=self._shift(np.float64),
            code=self._mean_code(),
        )
        if isinstance(X, DeviceRows):
            return X.filled(likelihood)
        with workers(X.shape[0], self.n_jobs) as pool:
            found = map_rows_into(pool, likelihood, X, np.empty(X.shape[0]))
        gaps = np.flatnonzero(np.isnan(found))
        if len(gaps):
            filled, volumes = log_missing_volumes(
                X[gaps].astype(np.float64), **likelihood.keywords
            )
            found[gaps] = likelihood(filled, None) + volumes
        return found

    def score(self, X, y=None):
        """Return the log-likelihood of a sample in the mean, in nats.

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
        """Return the Akaike information criterion; lower is better.

        It means nothing where `noise_variance_` has come down to its floor.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data that the coder was fitted to.

        Returns
        -------
        aic : float
            Minus twice the log-likelihood of X, plus twice the number of what was
            learned.
        """
        log_likelihood = as_numpy(self.score_samples(X))
        return float(-2 * log_likelihood.sum() + 2 * self._n_learned())

    def bic(self, X):
        """Return the Bayesian information criterion; lower is better.

        It means nothing where `noise_variance_` has come down to its floor.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data that the coder was fitted to.

        Returns
        -------
        bic : float
            Minus twice the log-likelihood of X, plus log n_samples for everything that
            was learned.
        """
        log_likelihood = as_numpy(self.score_samples(X))
        price = np.log(len(log_likelihood)) * self._n_learned()
        return float(-2 * log_likelihood.sum() + price)

    def sample(self, n_samples=1, random_state=None):
        """Draw new samples from the model.

        Parameters
        ----------
        n_samples : int, default=1
            How many.
        random_state : int, RandomState instance or None, default=None
            Where chance comes from.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Codes drawn from the prior times the atoms, plus mean and noise.
        """
        check_is_fitted(self)
        if not isinstance(n_samples, Integral) or n_samples < 1:
            raise ValueError(
                f"n_samples={n_samples!r} must be at least 1 and an integer: ask for "
                "one sample or more."
            )
        rng = check_random_state(random_state)
        belief = self._known.belief
        prior = self._priors[self._fitted_prior]
        codes = prior.draw(belief.parameters, n_samples, rng)
        atoms, mean = as_numpy(self.components_), as_numpy(self.mean_)
        noise = rng.standard_normal((n_samples, len(mean)))
        X = codes @ atoms + mean + np.sqrt(belief.noise) * noise
        return X.astype(atoms.dtype, copy=False)

    @blockwise
    def posterior_std(self, X):
        """Return how uncertain the code of every sample is.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples. NaN stands for what was not measured.

        Returns
        -------
        deviations : ndarray of shape (n_samples, n_components)
            Posterior standard deviations of the coefficients, about the posterior
            means that `transform` returns with `inference="mean"`.
        """
        check_is_fitted(self)
        X = self._validated(X, reset=False, method="posterior_std")
        deviation = partial(
            deviations,
            components=self._atoms(X.dtype),
            mean=self._shift(X.dtype),
            code=self._mean_code(),
        )
        if isinstance(X, DeviceRows):
            return X.filled(deviation)
        with workers(X.shape[0], self.n_jobs) as pool:
            out = np.empty((X.shape[0], self.components_.shape[0]), dtype=X.dtype)
            found = map_rows_into(pool, deviation, X, out)
        gaps = np.flatnonzero(np.isnan(found[:, 0]))
        if len(gaps):
            filled = self._completed(X[gaps], deviation)
            found[gaps] = wider(filled, X[gaps], **deviation.keywords)
        return found

    @blockwise
    def impute(self, X):
        """Return samples with missing entries completed by what the model expects.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples; NaN stands for what is missing.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            A copy without NaN, CSR for CSR. What was missing is mean + codes D, with
            the posterior mean of the code; what was measured is as it was.
        """
        check_is_fitted(self)
        X = self._validated(X, reset=False, method="impute")
        check_not_on_device(X, "impute", "Missing entries are completed there alone.")
        if not self._has_missing(X):
            return X.copy()
        reader = partial(
            log_likelihoods,
            components=self._atoms(X.dtype),
            mean=self._shift(X.dtype),
            code=self._mean_code(),
        )
        return self._completed(X, reader)

    def _curves(self, component, u):
        """Return density, most probable code and posterior mean of projections u."""
        u, belief = u[:, None], self._known.belief
        prior = self._priors[self._fitted_prior]
        alone = [component]
        shrinkage = None if self._shrinkage is None else self._shrinkage[alone]
        by_mode = MapEncoder(prior, float(self.alpha_[component]), shrinkage)
        by_mean = PosteriorMeanEncoder(prior, belief.parameters[:, alone], belief.noise)
        density = np.exp(by_mean.log_density(u.copy()))
        code, mean = by_mode.encode(u.copy()), by_mean.encode(u.copy())
        return density, code[:, 0], mean[:, 0]

    def _believed(self, name):
        if "_known" not in vars(self):
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r} before it is fitted."
            )
        return self._known.belief

    def _has_missing(self, X):
        # What is not at hand is checked as it is read.
        if not isinstance(X, np.ndarray):
            return False
        return has_missing(X, row_slices(X.shape[0], slice_rows(X)))

    def _completed(self, X, reader):
        """Return rows with what is missing completed, for a reader of rows."""
        completer = partial(complete, **reader.keywords)
        with workers(X.shape[0], self.n_jobs) as pool:
            out = np.where(np.isnan(X), self.mean_.astype(X.dtype), X)
            return map_rows_into(pool, completer, X, out)

    def _asked_code(self, dtype):
        """Return the code that `inference` asks for, which may change after fit."""
        if self.inference not in ("map", "mean"):
            raise ValueError(
                f"inference={self.inference!r} must be 'map' or 'mean': the most "
                "probable code, or the posterior mean."
            )
        return self._mean_code() if self.inference == "mean" else self._map_code(dtype)

    def _map_code(self, dtype):
        prior = self._priors[self._fitted_prior]
        alpha, shrinkage = as_numpy(self.alpha_), as_numpy(self._shrinkage)
        return MapEncoder.of(prior, alpha, dtype, shrinkage)

    def _mean_code(self):
        belief = self._known.belief
        prior = self._priors[self._fitted_prior]
        return PosteriorMeanEncoder(prior, belief.parameters, belief.noise)

    def _shift(self, dtype):
        """Return the mean, or None for zero."""
        mean = as_numpy(self.mean_)
        return mean.astype(dtype, copy=False) if mean.any() else None

    def _atoms(self, dtype):
        """Return the dictionary at home."""
        return as_numpy(self.components_).astype(dtype, copy=False)

    def _n_learned(self):
        n_components, n_features = self.components_.shape
        dictionary = n_components * n_features - n_components * (n_components + 1) // 2
        numbers = 1 + (n_features if as_numpy(self.mean_).any() else 0)
        prior = self._priors[self._fitted_prior]
        if self._learned_prior or not prior.given_by_threshold:
            numbers += len(prior.names) * n_components
        return dictionary + numbers
