"""A fitted mixture of dictionaries as a probability distribution and a clustering."""

from collections.abc import Callable

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skscn._coders.likelihood import (
    ScoreMixin,
    check_n_samples,
    check_range,
    sample_rows,
)
from skscn._core.encoders import MapEncoder, PosteriorMeanEncoder
from skscn._core.mixture import MixtureModel
from skscn._core.mixture_codes import MixtureEncoder
from skscn._core.priors import ONE_SIDED, SIGNED
from skscn._core.sparse_model import SparseModel
from skscn._data.blocks import blockwise
from skscn._data.inputs import FLOAT_DTYPES
from skscn._data.validation import check_code_limit

PRIORS = {
    "laplace": SIGNED["laplace"],
    "spike_slab": SIGNED["spike_slab"],
    "exponential": ONE_SIDED["exponential"],
    "half_spike_slab": ONE_SIDED["spike_slab"],
}


class MixtureLikelihoodMixin(ScoreMixin):
    """Exact likelihoods, responsibilities and reconstructions of a mixture."""

    _read_types = FLOAT_DTYPES
    _estimates: list
    _fitted_prior: str
    _learned_prior: bool
    _shrinkage: np.ndarray | None
    _validate: Callable
    components_: np.ndarray
    means_: np.ndarray
    alpha_: np.ndarray
    weights_: np.ndarray
    inference: str
    n_nonzero_coefs: int | None
    n_jobs: int | None

    @property
    def noise_variance_(self):
        """Variance σ² of the noise of every dictionary."""
        parameters = self._parameters("noise_variance_")
        return np.array([each.noise_variance for each in parameters])

    @property
    def prior_(self):
        """Parameters of the prior by name, of all dictionaries and coefficients."""
        parameters = self._parameters("prior_")
        names = PRIORS[self._fitted_prior].parameter_names
        values = np.array([each.prior_parameters for each in parameters])
        values = values.astype(self.alpha_.dtype)
        return {name: values[:, i] for i, name in enumerate(names)}

    @blockwise
    def score_samples(self, X):
        """Compute the log-likelihood of every sample, in nats.

        It is exact for complete samples: the likelihood of a sample is the weighted sum
        of those of the dictionaries.

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
        mixture = self._likelihood_model()
        return self._map_rows(mixture.log_likelihood, X, np.empty(X.shape[0]))

    @blockwise
    def predict_proba(self, X):
        """Compute the responsibility of every dictionary for each sample.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples. NaN marks missing values.

        Returns
        -------
        responsibilities : ndarray of shape (n_samples, n_dictionaries), float64
            Posterior probabilities of the dictionaries. With given thresholds, 1 for
            the dictionary of smallest objective, and 0 for all others.

        Raises
        ------
        ValueError
            As `score_samples`.
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False, method="predict_proba")
        check_range(self, X, is_likelihood=False)
        mixture = self._assigning_model()
        out = np.empty((X.shape[0], len(mixture.models)))
        return self._map_rows(mixture.responsibilities, X, out)

    @blockwise
    def predict(self, X):
        """Return the most probable dictionary of each sample.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples. NaN marks missing values.

        Returns
        -------
        labels : ndarray of int of shape (n_samples,)
            Its index. With given thresholds, the dictionary of smallest objective.

        Raises
        ------
        ValueError
            As `score_samples`.
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False, method="predict")
        check_range(self, X, is_likelihood=False)
        labels = np.empty(X.shape[0], dtype=np.intp)
        return self._map_rows(self._assigning_model().labels, X, labels)

    @blockwise
    def reconstruct(self, X):
        """Return samples without noise: their posterior mean.

        It is the mean of mean + codes D under the posterior distribution of dictionary
        and codes. With given thresholds, the MAP codes of the dictionary of smallest
        objective take its place.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples. NaN marks missing values, which are reconstructed as well.

        Returns
        -------
        samples : ndarray of shape (n_samples, n_features)
            In the dtype of X.

        Raises
        ------
        ValueError
            As `score_samples`.
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False, method="reconstruct")
        check_range(self, X, is_likelihood=False)
        encoder = self._encoder(X.dtype, averages=self._learned_prior)
        out = np.empty(X.shape, dtype=X.dtype)
        return self._map_rows(encoder.reconstruct, X, out)

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
        labels : ndarray of int of shape (n_samples,)
            The dictionary of each sample, in ascending order.
        """
        check_is_fitted(self)
        check_n_samples(n_samples)
        rng = check_random_state(random_state)
        weights = self.weights_ / self.weights_.sum()
        counts = rng.multinomial(n_samples, weights)
        parts = []
        prior = PRIORS[self._fitted_prior]
        for count, atoms, mean, estimate in zip(
            counts, self.components_, self.means_, self._estimates, strict=True
        ):
            parameters = estimate.parameters
            parts.append(sample_rows(prior, parameters, atoms, mean, count, rng))
        X = np.concatenate(parts).astype(self.components_.dtype, copy=False)
        return X, np.repeat(np.arange(len(counts)), counts)

    def _parameters(self, name):
        """Return the parameters of the dictionaries, for the attribute of some name."""
        if "_estimates" not in vars(self):
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r} before it is fitted."
            )
        return [estimate.parameters for estimate in self._estimates]

    def _likelihood_model(self):
        """Return the `MixtureModel` whose scores are log-likelihoods."""
        with np.errstate(divide="ignore"):  # dictionaries without samples
            log_weights = np.log(self.weights_)
        return MixtureModel(self._posterior_mean_models(np.float64), log_weights)

    def _assigning_model(self):
        """Return the `MixtureModel` that assigns samples to dictionaries."""
        if self._learned_prior:
            return self._likelihood_model()
        return MixtureModel(self._map_models(np.float64), None)

    def _encoder(self, dtype, averages):
        """Return the `MixtureEncoder` of the most probable, or of all dictionaries."""
        if averages:
            models = self._posterior_mean_models(dtype)
            return MixtureEncoder(self._likelihood_model(), models, True)
        return MixtureEncoder(self._assigning_model(), self._map_models(dtype), False)

    def _encoding_encoder(self, dtype):
        """Return the encoder that `inference` names; it may change after fit."""
        if self.inference not in ("map", "mean"):
            raise ValueError(
                f"inference={self.inference!r} must be 'map' or 'mean': the posterior "
                "mode of the most probable dictionary, or the mean over all."
            )
        n_nonzero = self.n_nonzero_coefs
        check_code_limit(n_nonzero, self.inference, learns_prior=self._learned_prior)
        return self._encoder(dtype, averages=self.inference == "mean")

    def _map_models(self, dtype):
        prior = PRIORS[self._fitted_prior]
        n_nonzero = None if self._learned_prior else self.n_nonzero_coefs
        shrinkage = self._shrinkage
        encoders = [
            MapEncoder.from_thresholds(
                prior,
                alpha,
                dtype,
                None if shrinkage is None else shrinkage[i],
                n_nonzero,
            )
            for i, alpha in enumerate(self.alpha_)
        ]
        return self._models(encoders, dtype)

    def _posterior_mean_models(self, dtype):
        prior = PRIORS[self._fitted_prior]
        encoders = [
            PosteriorMeanEncoder(prior, each.prior_parameters, each.noise_variance)
            for each in self._parameters("_estimates")
        ]
        return self._models(encoders, dtype)

    def _models(self, encoders, dtype):
        return tuple(
            SparseModel.in_dtype(atoms, mean, encoder, dtype)
            for atoms, mean, encoder in zip(
                self.components_, self.means_, encoders, strict=True
            )
        )

    def _n_fitted_parameters(self):
        n_dictionaries, *shape = self.components_.shape
        prior, has_mean = PRIORS[self._fitted_prior], self.means_.any()
        n_parameters = self._n_dictionary_parameters(shape, has_mean, prior)
        return n_dictionaries * (n_parameters + 1) - 1  # with the mixture weights
