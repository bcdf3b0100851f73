"""Histograms of features: how often each value occurs, whatever the other features.

They know values that a density of all features does not, such as values in a gap
between the values of the training data.

A bin is judged by three shares of the training data. Its own share finds gaps between
values. The lowest share between it and the fullest bin does not grow again away from
this bin, so that a group of anomalies at the end of a feature is unlikely. The third is
the geometric mean of the shares of both tails, of values at least as large and at least
as small. It finds extreme values, whose own bins have too few samples to be compared.
"""

from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from scipy import sparse

from skscn._data.parallel import sum_over_rows, worker_pool

# Added to the count of every bin, so that no value has probability zero: the estimator
# of Krichevsky and Trofimov.
PSEUDOCOUNT = 0.5
# Added to the range of a feature below and above, as fractions of it, so that rounding
# errors do not move values across edges. With this ratio, the golden one, values at
# simple fractions of the range, such as integers, are not at edges either.
MARGIN_BELOW, MARGIN_ABOVE = 0.382e-3, 0.618e-3
# Of each of the three shares whose product is m_f. With one half, m_f varies about as
# much as the first alone.
EXPONENT = 0.5
BLOCK_ENTRIES = 2**15  # of rows worked on at once: they fit the cache


@dataclass(frozen=True)
class FeatureHistograms:
    """A histogram of each feature, with log m_f of each bin.

    The bins of a feature have equal width and cover the range of the training data. The
    first and the last bin are for all values below and above it.

    Parameters
    ----------
    lower_edge : ndarray of shape (n_features,)
        Where the second bin begins.
    bin_width : ndarray of shape (n_features,)
    counts : ndarray of shape (n_features, n_bins)
        Sums of sample weights.
    shares_only : bool
        Whether m_f are the shares of bins alone.
    """

    lower_edge: np.ndarray
    bin_width: np.ndarray
    counts: np.ndarray
    shares_only: bool = False

    @classmethod
    def empty(cls, z, weights, *, shares_only=False):
        """Return histograms without counts that cover the range of rows z.

        The number of bins in the range is that of Rice's rule, 2 n^(1/3): it grows with
        n like the number that minimizes the error of a histogram.
        """
        total = float(z.shape[0] if weights is None else weights.sum(dtype=float))
        # Rounded first: cube roots of 64 or 125 have rounding errors.
        n_inner_bins = int(np.ceil(np.round(2 * np.cbrt(max(total, 1.0)), 9)))
        z = z if weights is None else z[np.flatnonzero(weights > 0)]
        if sparse.issparse(z):
            low, high = (f(axis=0).toarray().ravel() for f in (z.min, z.max))
        else:
            low, high = np.fmin.reduce(z, axis=0), np.fmax.reduce(z, axis=0)
        # A feature without measured values has the range of a feature of zeros.
        low, high = (np.where(np.isnan(x), 0, x).astype(float) for x in (low, high))
        width = np.where(high > low, high - low, 1.0)
        is_constant = high <= low
        lower_edge = low - np.where(is_constant, 0.5, MARGIN_BELOW) * width
        width *= 1 + MARGIN_BELOW + MARGIN_ABOVE
        counts = np.zeros((len(low), n_inner_bins + 2))
        return cls(lower_edge, width / n_inner_bins, counts, shares_only)

    def add(self, rows, weights, n_jobs, transform=None):
        """Return the histograms with the counts of more rows, dense or CSR.

        `transform` computes z of a slice of rows in float64; None means z = rows. Rows
        that are counted and rows that are scored have the same z, to the last bit.
        """
        count = partial(self._count, transform)
        with worker_pool(rows.shape[0], n_jobs) as pool:
            counts = sum_over_rows(pool, count, rows, weights)
        return replace(self, counts=self.counts + counts)

    @property
    def shares(self):
        """Share of the training data in each bin of each feature."""
        counts = self.counts + PSEUDOCOUNT
        return counts / counts.sum(axis=1, keepdims=True)

    @cached_property
    def bin_log_probability(self):
        """The log m_f of each bin of each feature: half the sum of three logarithms."""
        shares = self.shares
        if self.shares_only:
            return np.log(shares)
        log_shares = np.log(shares) + np.log(_unimodal(shares)) + _log_tails(shares)
        return EXPONENT * log_shares

    @property
    def mean_log_probability(self):
        """Mean log m_f of each feature over the rows that were counted."""
        return np.sum(self.shares * self.bin_log_probability, axis=1)

    def log_probability(self, z):
        """Compute the log-probability of each entry of dense rows; 0 for NaN."""
        log_probability = np.take(self.bin_log_probability, self._bins(z))
        log_probability[np.isnan(z)] = 0.0
        return log_probability

    def row_log_probability(self, z):
        """Compute the sum of log-probabilities of each row, dense or CSR."""
        if sparse.issparse(z):
            of_zero = np.take(self.bin_log_probability, self._bins_of_zero)
            bins = self._bins(z.data.astype(np.float64), z.indices)
            difference = np.take(self.bin_log_probability, bins) - of_zero[z.indices]
            sums = sparse.csr_array((difference, z.indices, z.indptr), shape=z.shape)
            return of_zero.sum() + sums.sum(axis=1)
        out = np.empty(len(z))
        for part in _blocks(z):
            self.log_probability(z[part]).sum(axis=1, out=out[part])
        return out

    def _count(self, transform, rows, weights):
        """Compute the counts of a slice of rows, dense or CSR."""
        if transform is not None:
            rows = transform(rows.astype(np.float64, copy=False))
        n_features, n_bins = self.counts.shape
        counts = np.zeros(n_features * n_bins)
        w = np.ones(rows.shape[0]) if weights is None else weights.astype(np.float64)
        if sparse.issparse(rows):
            w_entries = np.repeat(w, np.diff(rows.indptr))
            bins = self._bins(rows.data.astype(np.float64), rows.indices)
            counts += np.bincount(bins, w_entries, minlength=len(counts))
            nonzero = np.bincount(rows.indices, w_entries, minlength=n_features)
            counts[self._bins_of_zero] += w.sum() - nonzero
        else:
            for part in _blocks(rows):
                z = rows[part].astype(np.float64)
                w_entries = w[part, None] * ~np.isnan(z)
                bins = self._bins(z).ravel()
                counts += np.bincount(bins, w_entries.ravel(), minlength=len(counts))
        return counts.reshape(n_features, n_bins)

    def _bins(self, z, features=None):
        """Return indices into the flattened counts; NaN has the index of any bin.

        Parameters
        ----------
        z : ndarray of shape (n_rows, n_features) or (n_entries,)
        features : ndarray of int of shape (n_entries,), default=None
            The features of entries; None for rows.
        """
        n_features, n_bins = self.counts.shape
        lower_edge, factor = self.lower_edge, 1.0 / self.bin_width
        if features is not None:
            lower_edge, factor = lower_edge[features], factor[features]
        position = z - lower_edge
        position *= factor
        position += 1.0
        np.fmin(position, n_bins - 1.0, out=position)
        np.fmax(position, 0.0, out=position)
        bins = position.astype(np.intp)
        bins += n_bins * (np.arange(n_features) if features is None else features)
        return bins

    @property
    def _bins_of_zero(self):
        return self._bins(np.zeros((1, len(self.lower_edge))))[0]


def _unimodal(shares):
    """Return the lowest share between each bin and the fullest bin of its feature."""
    mode = shares.argmax(axis=1, keepdims=True)
    bins = np.arange(shares.shape[1])
    above = np.minimum.accumulate(np.where(bins < mode, 1.0, shares), axis=1)
    below = np.where(bins > mode, 1.0, shares)[:, ::-1]
    below = np.minimum.accumulate(below, axis=1)[:, ::-1]
    return np.where(bins < mode, below, above)


def _log_tails(shares):
    """Return the mean log share of values at least as large and at least as small."""
    above = np.cumsum(shares[:, ::-1], axis=1)[:, ::-1]
    below = np.cumsum(shares, axis=1)
    return (np.log(above) + np.log(below)) / 2


def _blocks(rows):
    size = max(1, BLOCK_ENTRIES // rows.shape[1])
    return [slice(start, start + size) for start in range(0, len(rows), size)]
