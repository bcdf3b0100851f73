"""Robust scaling of features: z = asinh((x − median) / scale).

Features have different units. They can be skewed, have heavy tails, or have few
different values. z is linear near the median and logarithmic in the tails, so that a
value that is a thousand scales away from the median does not dominate.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy import sparse

from skscn._data.parallel import row_slices, worker_pool
from skscn._detection.quantiles import weighted_quantiles

# Of a normal distribution, in standard deviations.
NORMAL_INTERQUARTILE_RANGE = 1.349
NORMAL_MEAN_DEVIATION = 0.798  # mean absolute deviation
MAX_SQUARED = 1e100  # larger values are not squared
MIN_EXPONENT = 500  # of values that are measured in units of a power of two
MIN_SCALE = 10  # in rounding errors of the median
BLOCK_ENTRIES = 2**15  # transformed at once: they fit the cache
COLUMNS_PER_SLICE = 8  # for each worker that computes quantiles
WORK_PER_ENTRY = 32  # of quantiles, in multiply-adds


@dataclass(frozen=True)
class RobustScaling:
    """The map z = asinh((x − median) / scale) − asinh(−median / scale).

    The second term maps zero to zero, so that CSR stays sparse.

    Parameters
    ----------
    center : ndarray of shape (n_features,)
        Medians.
    scale : ndarray of shape (n_features,)
        Interquartile ranges over 1.349. Where half of the values are equal, mean
        absolute deviations from the median over 0.798. For a normal distribution, both
        are the standard deviation.
    varies : ndarray of bool of shape (n_features,)
        Whether a feature has more than one value. The coder gets only such features.
    """

    center: np.ndarray
    scale: np.ndarray
    varies: np.ndarray

    @classmethod
    def from_rows(cls, X, weights, n_jobs=None):
        """Compute the scaling of rows, dense or CSR, from their measured values."""
        columns, n_features = X.tocsc() if sparse.issparse(X) else X, X.shape[1]
        function, work = partial(_centers_and_scales, weights), WORK_PER_ENTRY * X.size
        with worker_pool(n_features, n_jobs, COLUMNS_PER_SLICE, work) as pool:
            parts = row_slices(n_features, COLUMNS_PER_SLICE)
            pairs = list(pool.map(function, (columns[:, part] for part in parts)))
        center, scale = np.concatenate(pairs).T
        min_scale = _min_scale(center, X.dtype)
        varies = _varies(X, weights, center)
        if not varies.any():  # the coder needs at least one feature
            varies[:] = True
        return cls(center, np.maximum(scale, min_scale), varies)

    def without_constants(self, X, weights):
        """Return the scaling that also excludes features that rows X are constant in.

        Where all features are constant, none is excluded.
        """
        varies = self.varies & _varies(X, weights, self.center)
        return replace(self, varies=varies) if varies.any() else self

    def transform(self, rows):
        """Compute z of rows, dense or CSR, in their dtype; NaN stays NaN.

        It is computed in float64: of data far from the origin, float32 does not hold
        the center.
        """
        if sparse.issparse(rows):
            z = self._transform_entries(rows.data, rows.indices).astype(rows.dtype)
            return type(rows)((z, rows.indices, rows.indptr), shape=rows.shape)
        z = np.empty_like(rows)
        for part in row_slices(len(rows), max(1, BLOCK_ENTRIES // rows.shape[1])):
            z[part] = self._transform_entries(rows[part], slice(None))
        return z

    def select_varying(self, z):
        """Return the columns of the features that vary."""
        return z if self.varies.all() else z[:, self.varies]

    @property
    def transformed_center(self):
        """The medians of z, of the features that vary."""
        return self._shift[self.varies]

    @property
    def _shift(self):
        """−asinh(−median / scale): z of the medians, of all features."""
        return _arcsinh(self.center / self.scale)

    @np.errstate(over="ignore")
    def _transform_entries(self, values, features):
        """Compute z of entries that belong to the features of some indices."""
        z = values - self.center[features]
        z /= self.scale[features]  # the inverse of a small scale could overflow
        z = _arcsinh(z)
        z += self._shift[features]
        return z


def _arcsinh(x):
    """Compute asinh x to a few rounding units of max(1, |asinh x|).

    It is log(|x| + √(x² + 1)), with a logarithm that NumPy computes on vectors of
    values: np.arcsinh takes three times as long. Values beyond half of the largest
    float count as this half.
    """
    magnitude = np.abs(x)
    np.minimum(magnitude, np.finfo(np.float64).max / 2, out=magnitude)
    out = np.minimum(magnitude, MAX_SQUARED)
    out *= out
    out += 1.0
    np.sqrt(out, out=out)
    np.maximum(out, magnitude, out=out)
    out += magnitude
    np.log(out, out=out)
    return np.copysign(out, x, out=out)


def _measured_values(columns, j, weights):
    """Return the measured values of a feature and their weights.

    The zeros of CSC are one value, with the sum of their weights.
    """
    if not sparse.issparse(columns):
        values = columns[:, j].astype(np.float64)  # contiguous
        is_measured = ~np.isnan(values)
        if is_measured.all():
            return values, weights
        return values[is_measured], None if weights is None else weights[is_measured]
    part = slice(columns.indptr[j], columns.indptr[j + 1])
    values = columns.data[part].astype(np.float64)
    total = columns.shape[0] if weights is None else weights.sum(dtype=float)
    w = np.ones(len(values)) if weights is None else weights[columns.indices[part]]
    w = np.append(w, max(total - w.sum(dtype=float), 0.0)).astype(float)
    return np.append(values, 0.0), w


def _centers_and_scales(weights, columns):
    n_columns = columns.shape[1]
    return [_center_and_scale(columns, j, weights) for j in range(n_columns)]


def _center_and_scale(columns, j, weights):
    values, weights = _measured_values(columns, j, weights)
    if not len(values) or (weights is not None and not weights.any()):
        return 0.0, 0.0  # nothing was measured
    # In units of a power of two, differences neither overflow nor underflow.
    exponent = np.frexp(max(values.max(), -values.min()))[1]
    if abs(exponent) < MIN_EXPONENT:
        exponent = 0
    else:
        values = np.ldexp(values, -exponent)
    low, center, high = weighted_quantiles(values, weights, (0.25, 0.5, 0.75))
    scale = (high - low) / NORMAL_INTERQUARTILE_RANGE
    if scale == 0.0:
        deviations = np.abs(values - center)
        scale = np.average(deviations, weights=weights) / NORMAL_MEAN_DEVIATION
    with np.errstate(over="ignore"):
        scale = np.ldexp(scale, exponent)
    return np.ldexp(center, exponent), min(scale, np.finfo(float).max)


def _min_scale(center, dtype):
    """Return the scale that values of a dtype near the centers have at least."""
    smallest = float(np.nextafter(dtype.type(0), dtype.type(1)))
    return MIN_SCALE * np.maximum(np.finfo(dtype).eps * np.abs(center), smallest)


def _varies(X, weights, center):
    """Return whether the values of each feature differ by more than rounding errors."""
    X = X if weights is None else X[np.flatnonzero(weights > 0)]
    if sparse.issparse(X):
        low, high = (f(axis=0).toarray().ravel() for f in (X.min, X.max))
    else:
        low, high = np.fmin.reduce(X, axis=0), np.fmax.reduce(X, axis=0)
    with np.errstate(over="ignore"):
        return high.astype(float) - low > _min_scale(center, X.dtype)
