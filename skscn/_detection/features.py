"""What a table needs before it is coded: features on one scale, and their cells.

Features come in any units, skewed, with heavy tails, with few values or with one. What
is coded is z = asinh((x − median) / scale): linear near the median and logarithmic far
from it, so that a value a thousand scales away is still a number of the size of others.
Beside the coder, which reads features together, stand the cells of each by itself: a
histogram of z, which knows values that a density cannot, such as those never seen
between two that are.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy import sparse

from skscn._core.moments import Summable
from skscn._core.sparse_model import n_rows_of

NORMAL_RANGE = 1.349  # interquartile range of a normal variable, in deviations
NORMAL_MEAN = 0.798  # mean absolute deviation of the same
NEAREST = 1e-30  # scale of a constant zero, from which every other value is far
MARGIN = 1e-5  # of the range of a feature that cells have to spare for rounding
UNSEEN = 0.5  # what is added to the weight of every cell (Krichevsky and Trofimov)
BLOCK = 2**15  # entries worked on at a time


def quantiles(values, weights, levels):
    """Return weighted quantiles; a weight equals repetition of its value.

    Where a level falls between two values it is their mean, so that weight beyond it
    is what the level says.

    Parameters
    ----------
    values : ndarray of shape (n,)
    weights : ndarray of shape (n,) or None
    levels : sequence of float in (0, 1)
    """
    order = np.argsort(values, kind="stable")
    if weights is not None:
        order = order[weights[order] > 0]
    ordered = values[order]
    below = np.arange(1.0, len(order) + 1)
    if weights is not None:
        below = np.cumsum(weights[order], dtype=np.float64)
    goal, slack = np.multiply(levels, below[-1]), 1e-9 * below[-1]
    last = len(order) - 1
    low = np.minimum(np.searchsorted(below, goal - slack), last)
    high = np.minimum(np.searchsorted(below, goal + slack), last)
    return ordered[low] / 2 + ordered[high] / 2


@dataclass(frozen=True)
class Scaling:
    """The map z = asinh((x − median) / scale) − asinh(−median / scale).

    The last term keeps what is zero zero, so that CSR stays sparse.

    Parameters
    ----------
    centre : ndarray of shape (n_features,)
        Medians.
    scale : ndarray of shape (n_features,)
        Interquartile ranges over 1.349; where half of the values are equal, mean
        absolute deviations from the median over 0.798. Both are the standard deviation
        of a normal variable.
    varies : ndarray of bool of shape (n_features,)
        Whether a feature had more than one value: those that had not are not coded.
    """

    centre: np.ndarray
    scale: np.ndarray
    varies: np.ndarray

    @classmethod
    def learned(cls, X, weights):
        """Return the scaling of rows, dense or CSR; NaN is left out."""
        columns = X.tocsc() if sparse.issparse(X) else X
        parts = [
            _centre_and_scale(*_column(columns, j, weights)) for j in range(X.shape[1])
        ]
        centre, scale = np.array(parts).T
        rounding = 10 * np.finfo(X.dtype).eps * np.abs(centre)
        least = np.maximum(rounding, NEAREST)
        varies = scale > least
        if not varies.any():  # something has to be coded, be it zeros
            varies[:] = True
        return cls(centre, np.maximum(scale, least), varies)

    def __call__(self, rows):
        """Return z for rows of their dtype, dense or CSR, and NaN where they are."""
        if not sparse.issparse(rows):
            z = np.empty_like(rows)
            for part in _blocks(rows):
                z[part] = self._mapped(rows[part], slice(None))
            return z
        return rows.__class__(
            (self._mapped(rows.data, rows.indices), rows.indices, rows.indptr),
            shape=rows.shape,
        )

    @np.errstate(over="ignore")
    def _mapped(self, values, features):
        dtype = values.dtype
        most = np.finfo(dtype).max
        centre, factor = self.centre.astype(dtype), (1.0 / self.scale).astype(dtype)
        zero = np.arcsinh(np.clip(-centre * factor, -most, most))
        y = values - centre[features]
        y *= factor[features]
        np.arcsinh(np.clip(y, -most, most, out=y), out=y)
        y -= zero[features]
        return y

    def coded(self, z):
        """Return what of z is coded: the features that vary."""
        return z if self.varies.all() else z[:, self.varies]

    @property
    def coded_centre(self):
        """Return the same of the medians."""
        return np.arcsinh(self.centre / self.scale)[self.varies]


def _column(columns, j, weights):
    """Return what was measured of a feature and its weights, zeros of CSR as one."""
    if not sparse.issparse(columns):
        values = np.asarray(columns[:, j], dtype=np.float64)
        known = ~np.isnan(values)
        if known.all():
            return values, weights
        return values[known], None if weights is None else weights[known]
    part = slice(columns.indptr[j], columns.indptr[j + 1])
    values = columns.data[part].astype(np.float64)
    total = float(columns.shape[0] if weights is None else weights.sum(dtype=float))
    mine = np.ones(len(values)) if weights is None else weights[columns.indices[part]]
    zeros = total - mine.sum(dtype=float)
    return np.append(values, 0.0), np.append(mine, max(zeros, 0.0)).astype(float)


@np.errstate(over="ignore")
def _centre_and_scale(values, weights):
    if not len(values) or (weights is not None and not weights.any()):
        return 0.0, 0.0  # nobody measured it
    low, centre, high = quantiles(values, weights, (0.25, 0.5, 0.75))
    scale = high / NORMAL_RANGE - low / NORMAL_RANGE
    if scale == 0.0:
        scale = np.average(np.abs(values - centre), weights=weights) / NORMAL_MEAN
    return centre, min(scale, np.finfo(float).max)


@dataclass(frozen=True)
class Counts(Summable):
    """How much weight fell into every cell of every feature.

    Parameters
    ----------
    weight : ndarray of shape (n_features, n_cells)
    """

    weight: np.ndarray


@dataclass(frozen=True)
class Cells:
    """The cells of every feature, of equal width in z, and two beyond their ends.

    Parameters
    ----------
    low : ndarray of shape (n_features,)
        Where the first cell begins.
    width : ndarray of shape (n_features,)
    counts : Counts
    """

    low: np.ndarray
    width: np.ndarray
    counts: Counts

    @classmethod
    def spanning(cls, z, weights):
        """Return empty cells between the least and the largest z of rows.

        Their number is Sturges', 1 + log₂ n.
        """
        kept = z if weights is None else z[np.flatnonzero(weights > 0)]
        weight = float(n_rows_of(z) if weights is None else weights.sum(dtype=float))
        n_inner = 1 + int(np.ceil(np.log2(max(weight, 1.0))))
        if sparse.issparse(kept):
            low, high = (f(axis=0).toarray().ravel() for f in (kept.min, kept.max))
        else:
            empty = np.isnan(kept).all(axis=0)
            kept = np.where(empty, 0, kept) if empty.any() else kept
            low, high = np.nanmin(kept, axis=0), np.nanmax(kept, axis=0)
        low, high = low.astype(np.float64), high.astype(np.float64)
        span = np.where(high > low, high - low, 1.0)
        middle = low / 2 + high / 2
        span *= 1 + 2 * MARGIN
        empty_counts = Counts(np.zeros((len(low), n_inner + 2)))
        return cls(middle - span / 2, span / n_inner, empty_counts)

    def filled(self, counts):
        """Return the cells with more in them."""
        return replace(self, counts=self.counts + counts)

    @property
    def log_mass(self):
        """Return the log-probability of every cell of every feature."""
        weight = self.counts.weight + UNSEEN
        return np.log(weight) - np.log(weight.sum(axis=1, keepdims=True))

    @property
    def mean_log_mass(self):
        """Return the same in the mean over what was counted of every feature."""
        log_mass = self.log_mass
        return np.sum(np.exp(log_mass) * log_mass, axis=1)

    def index(self, z, features=None):
        """Return the flat index of the cell of every entry; NaN has any."""
        low, per_width = self.low, 1.0 / self.width
        if features is not None:
            low, per_width = low[features], per_width[features]
        n_cells = self.counts.weight.shape[1]
        at = z - low
        at *= per_width
        at += 1.0
        np.fmin(at, n_cells - 1.0, out=at)
        np.fmax(at, 0.0, out=at)
        index = at.astype(np.intp)
        features = np.arange(len(self.low)) if features is None else features
        index += features * n_cells
        return index


def cell_counts(rows, weights, *, cells):
    """Return the `Counts` of a slice of z, dense or CSR."""
    shape = cells.counts.weight.shape
    w = np.ones(n_rows_of(rows)) if weights is None else weights.astype(np.float64)
    if sparse.issparse(rows):
        each = np.repeat(w, np.diff(rows.indptr))
        index = cells.index(rows.data.astype(np.float64), rows.indices)
        total = np.bincount(index, each, minlength=shape[0] * shape[1])
        here = np.bincount(rows.indices, each, minlength=shape[0])
        zeros = cells.index(np.zeros((1, shape[0])))[0]
        total[zeros] += w.sum() - here
        return Counts(total.reshape(shape))
    total = np.zeros(shape[0] * shape[1])
    for part in _blocks(rows):
        z = rows[part].astype(np.float64)
        each = w[part, None] * ~np.isnan(z)
        index = cells.index(z)
        total += np.bincount(index.ravel(), each.ravel(), minlength=len(total))
    return Counts(total.reshape(shape))


def cell_masses(z, cells, log_mass):
    """Return the log-probability of the cell of every entry of dense rows.

    What was not measured has probability one.
    """
    masses = np.take(log_mass, cells.index(z))
    masses[np.isnan(z)] = 0.0
    return masses


def cell_scores(z, cells, log_mass):
    """Return the sum of the same over the features of every row, dense or CSR."""
    if sparse.issparse(z):
        zeros = np.take(log_mass, cells.index(np.zeros((1, z.shape[1])))[0])
        index = cells.index(z.data.astype(np.float64), z.indices)
        change = np.take(log_mass, index) - zeros[z.indices]
        sums = sparse.csr_array((change, z.indices, z.indptr), shape=z.shape)
        return zeros.sum() + sums.sum(axis=1)
    out = np.empty(len(z))
    for part in _blocks(z):
        cell_masses(z[part], cells, log_mass).sum(axis=1, out=out[part])
    return out


def _blocks(rows):
    size = max(1, BLOCK // rows.shape[1])
    return [slice(i, i + size) for i in range(0, n_rows_of(rows), size)]


def learned_cells(z, weights, total):
    """Return the cells of z with all of it in them.

    Parameters
    ----------
    z : {ndarray, CSR} of shape (n_samples, n_features)
    weights : ndarray of shape (n_samples,) or None
    total : callable
        Sums a function of (rows, weights) over all rows.
    """
    cells = Cells.spanning(z, weights)
    return cells.filled(total(partial(cell_counts, cells=cells)))
