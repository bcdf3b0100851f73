"""The model of rows: the exact likelihood of a coder, and histograms of features."""

from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse

from skscn._data.parallel import map_rows_into, worker_pool
from skscn._detection.explanation import Explanation
from skscn._detection.histograms import FeatureHistograms
from skscn._detection.joint_density import JointDensity
from skscn._detection.quantiles import interquartile_range
from skscn._detection.row_samples import sample_rows
from skscn._detection.scaling import RobustScaling
from skscn._detection.trimming import initial_weights, restore_rank, trim_weights


@dataclass(frozen=True)
class TableModel:
    """The score log p(z) + marginal_weight · Σ_f log m_f(z_f) of rows.

    Parameters
    ----------
    coder : fitted coder or SparseCodingMixture
        p. It models the features of z that vary.
    scaling : RobustScaling or None
        The map from rows to z; None for the identity.
    histograms : FeatureHistograms or None
        m_f of all features; None for a score of log p alone.
    marginal_weight : float
    """

    coder: Any
    scaling: RobustScaling | None
    histograms: FeatureHistograms | None = None
    marginal_weight: float = 1.0

    @classmethod
    def fit(
        cls,
        coder,
        X,
        weights,
        *,
        robust_scaling,
        marginals,
        pooled,
        trim,
        max_rows,
        n_jobs,
    ):
        """Fit the scaling to rows, and the coder and the histograms to some of them.

        Rows beyond `max_rows` are left out evenly, and with `trim` those of large
        robust distance.

        Parameters
        ----------
        coder : unfitted coder or SparseCodingMixture
            It is fitted in place.
        X : {ndarray, CSR} of shape (n_samples, n_features)
        weights : ndarray of shape (n_samples,) or None
            Numbers of repetitions.
        robust_scaling, marginals : bool
        pooled : bool
            Whether the features are pooled codes, which overlap, so that the histograms
            count what they share several times. Then m_f are only the shares of bins,
            and `marginal_weight` makes the interquartile ranges of both terms equal.
        trim : float
            Fraction of the weight to leave out.
        max_rows : int or None
            None for no maximum.
        n_jobs : int or None
        """
        scaling = None
        if robust_scaling:
            scaling = RobustScaling.from_rows(X, weights, n_jobs)
        if max_rows is not None:
            rows, weights = sample_rows(X.shape[0], weights, max_rows)
            X = X[rows]
        z, all_weights = _scale(X, scaling), weights
        if trim:
            coded, center = _select_coded(z, scaling), _center(X, weights, scaling)
            weights = initial_weights(coded, center, weights, trim, n_jobs)
        if scaling is not None and (trim or max_rows is not None):
            scaling = scaling.without_constants(X, weights)
        coded = _select_coded(z, scaling)
        if trim:
            if scaling is not None:
                center = scaling.transformed_center
            weights = restore_rank(coded, center, all_weights, weights, n_jobs)
        if coded.shape[1] < (coder.n_components or 0) <= X.shape[1]:
            coder.set_params(n_components=coded.shape[1])
        coder.fit(coded, sample_weight=weights)
        if not marginals:
            return cls(coder, scaling)
        histograms = FeatureHistograms.empty(z, weights, shares_only=pooled)
        histograms = histograms.add(X, weights, n_jobs, _transform(scaling))
        model = cls(coder, scaling, histograms)
        return model._balanced(X, weights, n_jobs) if pooled else model

    def update(self, X, weights, trim, n_jobs):
        """Return the model after a mini-batch; scaling, bins and weight stay."""
        if trim:
            weights = trim_weights(self.scores(X, n_jobs), weights, trim)
        z, histograms = _scale(X, self.scaling), self.histograms
        if histograms is not None:
            histograms = histograms.add(X, weights, n_jobs, _transform(self.scaling))
        coder = copy(self.coder)  # its fitted attributes are replaced, never changed
        coder.partial_fit(_select_coded(z, self.scaling), sample_weight=weights)
        return replace(self, coder=coder, histograms=histograms)

    def scores(self, X, n_jobs):
        """Compute the score of each row."""
        with worker_pool(X.shape[0], n_jobs) as pool:
            return map_rows_into(pool, self.row_function(), X, np.empty(X.shape[0]))

    def row_function(self):
        """Return the function score_rows(rows, out) for slices of rows."""
        density = JointDensity.of(self.coder)
        histograms, weight = self.histograms, self.marginal_weight
        return partial(score_rows, self.scaling, density, histograms, weight)

    def explain(self, X):
        """Compute the `Explanation` of rows."""
        X = X.toarray() if sparse.issparse(X) else X
        z = _scale(X.astype(np.float64, copy=False), self.scaling)
        density = JointDensity.of(self.coder)
        coded = _select_coded(z, self.scaling)
        coefficients, residual, costs = density.explain(coded)
        marginals, mean_marginals = np.zeros(z.shape), 0.0
        if self.histograms is not None:
            marginals = self.marginal_weight * self.histograms.log_probability(z)
            mean_marginals = self.marginal_weight * self.histograms.mean_log_probability
        score = coefficients.sum(axis=1) + residual + marginals.sum(axis=1)
        features = marginals - self._to_all_features(costs) - mean_marginals
        features += ((score - features.sum(axis=1)) / z.shape[1])[:, None]
        atoms = self._to_all_features(density.atoms)
        return Explanation(score, coefficients, residual, marginals, features, atoms)

    def rounding_error(self, X):
        """Bound the difference of scores of equal rows in different batches."""
        X = X.toarray() if sparse.issparse(X) else X
        z = _scale(X.astype(np.float64, copy=False), self.scaling)
        density = JointDensity.of(self.coder)
        error = density.rounding_error(_select_coded(z, self.scaling))
        if self.histograms is not None:
            terms = self.marginal_weight * self.histograms.log_probability(z)
            error += np.finfo(float).eps * z.shape[1] * np.abs(terms).sum(axis=1)
        return error

    def _balanced(self, X, weights, n_jobs):
        """Return the model with a weight for equal spread of both terms on rows."""
        joint = replace(self, histograms=None).scores(X, n_jobs)
        marginal = self.scores(X, n_jobs) - joint
        joint_range = interquartile_range(joint, weights)
        marginal_range = interquartile_range(marginal, weights)
        both_vary = joint_range > 0 and marginal_range > 0
        weight = float(joint_range / marginal_range) if both_vary else 1.0
        return replace(self, marginal_weight=weight)

    def _to_all_features(self, columns):
        """Return columns of coded features, with zeros for the other features."""
        if self.scaling is None or self.scaling.varies.all():
            return columns
        out = np.zeros((len(columns), len(self.scaling.varies)), columns.dtype)
        out[:, self.scaling.varies] = columns
        return out


def score_rows(scaling, density, histograms, marginal_weight, rows, out=None):
    """Compute the scores of a slice of rows, written into `out` where it is given.

    Parameters
    ----------
    scaling, histograms, marginal_weight
        As of `TableModel`.
    density : JointDensity
        Of the coder.
    rows : {ndarray, CSR} of shape (n_rows, n_features)
    out : ndarray of shape (n_rows,), default=None
    """
    z = _scale(rows.astype(np.float64, copy=False), scaling)
    out = density.log_likelihood(_select_coded(z, scaling), out)
    if histograms is not None:
        out += marginal_weight * histograms.row_log_probability(z)
    return out


def _scale(rows, scaling):
    return rows if scaling is None else scaling.transform(rows)


def _transform(scaling):
    return None if scaling is None else scaling.transform


def _select_coded(z, scaling):
    return z if scaling is None else scaling.select_varying(z)


def _center(X, weights, scaling):
    """Return the medians of the coded features."""
    if scaling is None:
        return RobustScaling.from_rows(X, weights).center
    return scaling.transformed_center
