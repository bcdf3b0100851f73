"""Codes and reconstructions of rows by a mixture of dictionaries."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from skscn._core.missing_values import encode_with_missing, impute_rows
from skscn._core.mixture import MIN_RESPONSIBILITY, MixtureModel
from skscn._core.projection_histogram import (
    ProjectionHistogram,
    projection_histogram,
)
from skscn._core.sparse_model import n_rows_of


@dataclass(frozen=True)
class MixtureEncoder:
    """How rows are encoded: by one dictionary, or by all and their responsibilities.

    Its methods take a slice of rows, dense or CSR, and can be sent to workers.

    Parameters
    ----------
    mixture : MixtureModel
        Assigns rows to dictionaries.
    models : tuple of SparseModel
        That encode them, in the dtype of the rows.
    averages : bool
        Whether codes are averaged over all dictionaries, with responsibilities as
        weights. Otherwise they are those of the most probable one.
    """

    mixture: MixtureModel
    models: tuple
    averages: bool

    @property
    def shape(self):
        """(n_dictionaries, n_components)."""
        return len(self.models), len(self.models[0].components)

    def encode(self, rows, out=None):
        """Return codes, of each dictionary in its own columns, written into `out`."""
        n_dictionaries, n_components = self.shape
        if out is None:
            out = np.empty((n_rows_of(rows), n_dictionaries * n_components), rows.dtype)
        out[:] = 0.0
        for index, selected, r, codes in self._codes(rows):
            columns = slice(index * n_components, (index + 1) * n_components)
            out[selected, columns] = codes if r is None else codes * r[:, None]
        return out

    def encode_to_csr(self, rows, _=None):
        """Return the same as CSR, without a dense array of all columns."""
        n_dictionaries, n_components = self.shape
        n_rows, parts = n_rows_of(rows), []
        for index, selected, r, codes in self._codes(rows):
            codes = sparse.coo_array(codes if r is None else codes * r[:, None])
            i, j = codes.row, codes.col
            parts.append((selected[i], j + index * n_components, codes.data))
        i, j, values = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        shape = n_rows, n_dictionaries * n_components
        return sparse.csr_array((values, (i, j)), shape=shape, dtype=rows.dtype)

    def reconstruct(self, rows, out=None):
        """Return mean + codes D of rows, averaged over dictionaries as codes are."""
        if out is None:
            out = np.empty(rows.shape, rows.dtype)
        out[:] = 0.0
        for index, selected, r, codes in self._codes(rows):
            model = self.models[index]
            x = codes @ model.components
            if model.mean is not None:
                x += model.mean
            out[selected] += x if r is None else x * r[:, None]
        return out

    def _codes(self, rows):
        """Yield every dictionary with its rows, their responsibilities, and codes.

        The responsibilities are None where each row belongs to one dictionary.
        """
        scores = self.mixture.scores(rows)
        if self.averages:
            _, responsibilities = self.mixture.assign(scores)
        else:
            labels = scores.argmax(axis=1)
        for i, model in enumerate(self.models):
            r = None
            if self.averages:
                selected = np.flatnonzero(responsibilities[:, i] >= MIN_RESPONSIBILITY)
                r = responsibilities[selected, i].astype(rows.dtype)
            else:
                selected = np.flatnonzero(labels == i)
            if not len(selected):
                continue
            part = rows[selected]
            codes = model.encode(part)
            missing = np.flatnonzero(np.isnan(codes[:, 0]))
            if len(missing):
                codes[missing] = encode_with_missing(part[missing], model=model)
            yield i, selected, r, codes


def mixture_histograms(rows, weights, *, mixture, bins):
    """Return the `ProjectionHistogram` of each dictionary, of the rows it encodes.

    Parameters
    ----------
    rows : {ndarray, CSR} of shape (n_rows, n_features)
    weights : ndarray of shape (n_rows,) or None
    mixture : MixtureModel
        With MAP codes.
    bins : HistogramBins

    Returns
    -------
    histograms : Histograms
    """
    labels = mixture.scores(rows).argmax(axis=1)
    w = np.ones(len(labels)) if weights is None else weights.astype(np.float64)
    histograms = []
    for i, model in enumerate(mixture.models):
        selected = np.flatnonzero(labels == i)
        if not len(selected):
            histograms.append(ProjectionHistogram.zero(bins))
            continue
        part, r, missing_weight = rows[selected], w[selected], 0.0
        model = model.astype(np.float64)
        if isinstance(part, np.ndarray) and np.isnan(part).any():
            missing_weight = float(r @ np.isnan(part).sum(axis=1))
            part = impute_rows(part.astype(np.float64), model=model)
        histogram = projection_histogram(part, r, model=model, bins=bins)
        histograms.append(replace(histogram, missing_weight=missing_weight))
    return Histograms(tuple(histograms))


@dataclass(frozen=True)
class Histograms:
    """Histograms of several dictionaries, which add up.

    Parameters
    ----------
    each : tuple of ProjectionHistogram
    """

    each: tuple

    def __add__(self, other):
        pairs = zip(self.each, other.each, strict=True)
        return Histograms(tuple(a + b for a, b in pairs))
