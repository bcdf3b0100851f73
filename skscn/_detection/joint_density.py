"""The joint density of the features of a row: that of a coder, or of a mixture."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from skscn._coders.mixture import SparseCodingMixture
from skscn._core.missing_values import log_likelihood_with_missing
from skscn._core.mixture import MixtureModel
from skscn._core.sparse_model import SparseModel
from skscn._detection.explanation import explain_log_likelihood, rounding_error_bound


class JointDensity(ABC):
    """log p of rows, its terms, and its rounding errors; it can be sent to workers."""

    @classmethod
    def of(cls, coder):
        """Return the density of a fitted coder or mixture, in float64."""
        if isinstance(coder, SparseCodingMixture):
            return MixtureDensity(coder._likelihood_model())
        return CoderDensity(coder._posterior_mean_model(np.float64))

    @property
    @abstractmethod
    def atoms(self):
        """The atoms, shape (n_atoms, n_features)."""

    @abstractmethod
    def log_likelihood(self, rows, out=None):
        """Return log p of rows, dense or CSR, written into `out` where it is given."""

    @abstractmethod
    def explain(self, rows):
        """Return the terms of log p of dense rows.

        Returns
        -------
        coefficients : ndarray of shape (n_samples, n_atoms)
        residual : ndarray of shape (n_samples,)
            All other terms.
        attributions : ndarray of shape (n_samples, n_features)
            The cost of each feature, in nats.
        """

    @abstractmethod
    def rounding_error(self, rows):
        """Return a bound on the rounding errors of log p of dense rows."""


@dataclass(frozen=True)
class CoderDensity(JointDensity):
    """The density of a coder.

    Parameters
    ----------
    model : SparseModel
        In float64, with a `PosteriorMeanEncoder`.
    """

    model: SparseModel

    @property
    def atoms(self):
        return self.model.components

    def log_likelihood(self, rows, out=None):
        return log_likelihood_with_missing(rows, out, model=self.model)

    def explain(self, rows):
        return explain_log_likelihood(rows, self.model)

    def rounding_error(self, rows):
        return rounding_error_bound(rows, self.model)


@dataclass(frozen=True)
class MixtureDensity(JointDensity):
    """The density of a mixture, explained by the most probable dictionary of each row.

    log p(x) = log p_l(x) + log w_l − log r_l(x) for every dictionary l, with the
    responsibility r_l. The last two terms say how common the kind of row is, and how
    certain. They count as residual.

    Parameters
    ----------
    mixture : MixtureModel
        In float64, of likelihoods.
    """

    mixture: MixtureModel

    @property
    def atoms(self):
        return np.concatenate([model.components for model in self.mixture.models])

    def log_likelihood(self, rows, out=None):
        return self.mixture.log_likelihood(rows, out)

    def explain(self, rows):
        scores = self.mixture.scores(rows)
        total, _ = self.mixture.assign(scores)
        labels = scores.argmax(axis=1)
        n_components = len(self.mixture.models[0].components)
        coefficients = np.zeros((len(rows), len(self.mixture.models) * n_components))
        residual, attributions = np.zeros(len(rows)), np.zeros(rows.shape)
        for label in np.unique(labels):
            which = np.flatnonzero(labels == label)
            terms = explain_log_likelihood(rows[which], self.mixture.models[label])
            columns = slice(label * n_components, (label + 1) * n_components)
            coefficients[which, columns], _, attributions[which] = terms
            residual[which] = total[which] - terms[0].sum(axis=1)
        return coefficients, residual, attributions

    def rounding_error(self, rows):
        # log p is between the largest log w_l p_l and their sum: it has its error.
        labels = self.mixture.scores(rows).argmax(axis=1)
        errors = np.empty(len(rows))
        for label in np.unique(labels):
            which = labels == label
            errors[which] = rounding_error_bound(
                rows[which], self.mixture.models[label]
            )
        return errors
