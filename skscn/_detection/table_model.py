"""The model that a detector has of rows: an exact coder, and the cells of features."""

from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse

from skscn._core.missing_values import (
    log_likelihood_with_missing,
    reconstruct_missing,
)
from skscn._data.parallel import map_rows_into, sum_over_rows, worker_pool
from skscn._detection.explanation import Explanation, costs, terms
from skscn._detection.features import (
    Cells,
    Scaling,
    cell_counts,
    cell_masses,
    cell_scores,
    learned_cells,
    quantiles,
)
from skscn._detection.robust_distance import WIDEST, robust_distances

TRIMS = 3  # most rounds of leaving out what is least likely


@dataclass(frozen=True)
class TableModel:
    """log p(z) of a coder, and with weight `balance` that of independent features.

    Parameters
    ----------
    coder : fitted OrthogonalSparseCoder or NonNegativeSparseCoder
    scaling : Scaling or None
        What makes z of x; None codes x itself.
    cells : Cells or None
        None leaves the independent features out.
    balance : float
    n_jobs : int or None
    """

    coder: Any
    scaling: Scaling | None
    cells: Cells | None
    balance: float
    n_jobs: int | None

    @classmethod
    def learned(cls, coder, X, weights, *, scaled, marginals, trim, n_jobs):
        """Return the model of rows, of which the least likely are left out.

        Parameters
        ----------
        coder : unfitted coder
        X : {ndarray, CSR} of shape (n_samples, n_features)
        weights : ndarray of shape (n_samples,) or None
        scaled, marginals : bool
        trim : float
            Share of the weight to leave out.
        n_jobs : int or None
        """
        scaling = Scaling.learned(X, weights) if scaled else None
        model = cls(coder, scaling, None, 1.0, n_jobs)
        z = model._z(X)
        kept = model._begun(X, model._coded(z), weights, trim) if trim else weights
        n_components = coder.n_components or 0
        for _ in range(TRIMS if trim else 1):
            if (
                trim and scaling is not None
            ):  # what is left may have fewer features that vary
                varies = scaling.varies & Scaling.learned(X, kept).varies
                varies = varies if varies.any() else scaling.varies
                model = replace(model, scaling=replace(scaling, varies=varies))
            coded = model._coded(z)
            if coded.shape[1] < n_components <= X.shape[1]:  # constants are in the way
                coder.set_params(n_components=coded.shape[1])
            coder.fit(coded, sample_weight=kept)
            with worker_pool(X.shape[0], n_jobs) as pool:
                if marginals:
                    total = partial(sum_over_rows, pool, X=z, sample_weight=kept)
                    model = replace(model, cells=learned_cells(z, kept, total))
                    joint = model._scores(pool, X, cells=None)
                    apart = model._scores(pool, X, balance=1.0, reader=None)
                    model = replace(model, balance=_balance(joint, apart, kept))
                if not trim:
                    break
                before, kept = kept, _trimmed(model._scores(pool, X), weights, trim)
            if before is not None and np.array_equal(before, kept):
                break
        return model

    def advanced(self, X, weights, trim):
        """Return the model after one more chunk of rows."""
        kept = _trimmed(self.scores(X), weights, trim) if trim else weights
        z = self._z(X)
        cells = self.cells
        if cells is not None:
            with worker_pool(X.shape[0], self.n_jobs) as pool:
                more = sum_over_rows(pool, partial(cell_counts, cells=cells), z, kept)
            cells = cells.filled(more)
        coder = copy(self.coder)  # what was fitted before is replaced, never changed
        coder.partial_fit(self._coded(z), sample_weight=kept)
        return replace(self, coder=coder, cells=cells)

    def scores(self, X):
        """Return the score of every row."""
        with worker_pool(X.shape[0], self.n_jobs) as pool:
            return self._scores(pool, X)

    def settings(self):
        """Return what `table_scores` needs to know."""
        return {
            "scaling": self.scaling,
            "cells": self.cells,
            "balance": self.balance,
            "reader": self._reader(),
        }

    def explained(self, X):
        """Return the `Explanation` of every row."""
        z = self._z(_dense(X).astype(np.float64, copy=False))
        masses = np.zeros(z.shape)
        if self.cells is not None:
            masses = self.balance * cell_masses(z, self.cells, self.cells.log_mass)
        coded = self._coded(z).copy()
        reader, gaps = self._reader(), np.isnan(coded).any(axis=1)
        volumes = np.zeros(len(z))
        if gaps.any():
            imputed = reconstruct_missing(coded[gaps], model=reader)
            volumes[gaps] = log_likelihood_with_missing(coded[gaps], model=reader)
            volumes[gaps] -= reader.log_likelihood(imputed)
            coded[gaps] = imputed
        coefficients, rest = terms(coded, reader)
        rest += volumes
        score = coefficients.sum(axis=1) + rest + masses.sum(axis=1)
        features = masses - self._spread(costs(coded, reader))
        if self.cells is not None:
            features -= self.balance * self.cells.mean_log_mass
        features += ((score - features.sum(axis=1)) / z.shape[1])[:, None]
        return Explanation(
            score=score,
            coefficients=coefficients,
            rest=rest,
            marginals=masses,
            features=features,
            components=self._spread(self.coder.components_),
        )

    def _scores(self, pool, X, **instead):
        function = partial(table_scores, **{**self.settings(), **instead})
        return map_rows_into(pool, function, X, np.empty(X.shape[0]))

    def _reader(self):
        return self.coder._posterior_mean_model(np.float64)

    def _begun(self, X, coded, weights, trim):
        """Return the weights that a trimmed fit starts with."""
        if X.shape[1] > WIDEST:
            return weights
        scaling = self.scaling or Scaling.learned(X, weights)
        centre = scaling.centre if self.scaling is None else scaling.coded_centre
        with worker_pool(X.shape[0], self.n_jobs) as pool:
            total = partial(sum_over_rows, pool)
            distances = robust_distances(coded, weights, centre, total)
        return _trimmed(-distances, weights, trim)

    def _z(self, X):
        return X if self.scaling is None else self.scaling(X)

    def _coded(self, z):
        return z if self.scaling is None else self.scaling.coded(z)

    def _spread(self, columns):
        """Return columns of coded features among zeros for those that are not."""
        if self.scaling is None or self.scaling.varies.all():
            return columns
        out = np.zeros((len(columns), len(self.scaling.varies)), columns.dtype)
        out[:, self.scaling.varies] = columns
        return out


def table_scores(rows, out, *, scaling, cells, balance, reader):
    """Return the scores of a slice of rows, written into `out` where it is given.

    Parameters
    ----------
    rows : {ndarray, CSR} of shape (n_rows, n_features)
    out : ndarray of shape (n_rows,) or None
    scaling, cells, balance
        As of `TableModel`.
    reader : SparseModel or None
        Of the coder.
    """
    out = np.empty(rows.shape[0]) if out is None else out
    out[:] = 0.0
    z = rows.astype(np.float64, copy=False)
    if scaling is not None:
        z = scaling(z)
    if cells is not None:
        out += balance * cell_scores(z, cells, cells.log_mass)
    if reader is None:
        return out
    coded = z if scaling is None else scaling.coded(z)
    out += log_likelihood_with_missing(coded, model=reader)
    return out


def _balance(joint, apart, weights):
    """Return what makes two scores of the same rows differ by as much."""
    low, high = quantiles(joint, weights, (0.25, 0.75))
    first, last = quantiles(apart, weights, (0.25, 0.75))
    if not (high > low and last > first):
        return 1.0
    return float((high - low) / (last - first))


def _trimmed(scores, weights, trim):
    """Return the weights of rows without the share whose scores are least."""
    (limit,) = quantiles(scores, weights, (trim,))
    kept = (scores >= limit).astype(scores.dtype)
    return kept if weights is None else kept.astype(weights.dtype) * weights


def _dense(X):
    return X.toarray() if sparse.issparse(X) else X
