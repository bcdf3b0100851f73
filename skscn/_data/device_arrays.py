"""Arrays of other namespaces and devices, such as tensors on a GPU.

Whatever grows with the number of samples stays on the device: the products with the
atoms, and thresholds. Moments come back, n_components × n_features numbers a pass, and
the dictionary is learned from them with NumPy. Posterior means need the special
functions of SciPy: for them the projections come back too.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skscn._core.encoders import MapEncoder
from skscn._core.moments import CodeMoments, DataMoments
from skscn._core.projection_histogram import ProjectionHistogram
from skscn._core.row_sums import RowSums
from skscn._data.parallel import row_slices, rows_per_slice
from skscn._data.sklearn_compat import as_numpy, check_sample_weight

BLOCK_ROWS = 2**16  # mapped at a time: fewer are not worth the call


@dataclass(frozen=True)
class DeviceRows:
    """Rows of an array in some namespace, on some device.

    Parameters
    ----------
    array : array of shape (n_rows, n_features)
        float32 or float64.
    xp : namespace
        Of the array API standard.
    device : device
    """

    array: Any
    xp: Any
    device: Any

    @property
    def shape(self):
        """(n_rows, n_features)."""
        return tuple(self.array.shape)

    @property
    def ndim(self):
        """Number of dimensions."""
        return len(self.array.shape)

    @property
    def dtype(self):
        """The dtype, as NumPy's."""
        return np.dtype("f4" if self.array.dtype == self.xp.float32 else "f8")

    @property
    def sum_dtype(self):
        """The dtype of sums: float64, where the device has it."""
        try:
            self.xp.zeros((1,), dtype=self.xp.float64, device=self.device)
        except (TypeError, RuntimeError):
            return self.xp.float32
        return self.xp.float64

    def astype_of_sums(self):
        """Return the same rows in the dtype of sums."""
        return replace(self, array=self.xp.astype(self.array, self.sum_dtype))

    def astype_of(self, model):
        """Return the same rows in the dtype of a model, where the device has it."""
        return self if model.components.dtype == self.dtype else self.astype_of_sums()

    def slice(self, part):
        """Return a slice of the rows."""
        return replace(self, array=self.array[part, :])

    def check_weights(self, sample_weight):
        """Return sample weights as a NumPy array, or None."""
        template = np.broadcast_to(np.zeros((), self.dtype), self.shape)
        return check_sample_weight(as_numpy(sample_weight), template)

    def to_device(self, array, dtype=None):
        """Return a NumPy array on the device, in the dtype of the rows."""
        array = np.ascontiguousarray(array, dtype=dtype or self.dtype)
        return self.xp.asarray(array, device=self.device, copy=True)

    def attributes_to_device(self, attributes):
        """Return fitted attributes with arrays on the device."""
        return {
            name: self.to_device(value, value.dtype)
            if isinstance(value, np.ndarray)
            else value
            for name, value in attributes.items()
        }

    def multiply(self, atoms, offset=0.0):
        """Return rows @ atoms + offset, both NumPy arrays."""
        product = self.array @ self.to_device(atoms)
        return product + self.to_device(offset)

    def centered(self, mean):
        """Return the array minus a mean, a NumPy array or None."""
        return self.array if mean is None else self.array - self.to_device(mean)

    def project(self, model):
        """Return centered rows and their projections on the atoms of a model."""
        centered = self.centered(model.mean)
        return centered, centered @ self.to_device(model.components).T

    def encode(self, model):
        """Return the codes of a `SparseModel`, on the device."""
        return self._map(lambda rows: rows._encode(model))

    def log_likelihood(self, model):
        """Return log p of every row, on the device."""
        return self._map(lambda rows: rows.astype_of_sums()._log_likelihood(model))

    def posterior_std(self, model):
        """Return posterior standard deviations, on the device."""
        return self._map(lambda rows: rows._posterior_std(model))

    def _encode(self, model):
        encoder, (_, projections) = model.encoder, self.project(model)
        if not isinstance(encoder, MapEncoder):
            codes = encoder.for_worker().encode(_numpy_copy(projections))
            return self.to_device(codes)
        threshold = self.threshold(encoder, projections.shape[1])
        codes = encoder.encode_array_api(self.xp, projections, threshold)
        if encoder.shrinkage is None:
            return codes
        return codes * self.to_device(encoder.shrinkage)

    def _log_likelihood(self, model):
        block, projections = self.project(model)
        noise_variance = model.encoder.noise_variance
        log_density = model.encoder.log_density(_numpy_copy(projections))
        log_density = log_density - model.n_free / 2 * np.log(
            2 * np.pi * noise_variance
        )
        if model.n_free:  # otherwise the residual is rounding error
            residual = block - projections @ self.to_device(model.components)
            norms = self.xp.sum(residual**2, axis=1)
            log_density -= as_numpy(norms) / (2 * noise_variance)
        return self.to_device(log_density)

    def _posterior_std(self, model):
        projections = as_numpy(self.project(model)[1])
        variance = model.encoder.posterior_variance(projections)
        return self.to_device(np.sqrt(variance))

    def threshold(self, encoder, n_components):
        """Return the thresholds of all coefficients, on the device."""
        return self.to_device(np.broadcast_to(encoder.threshold, (n_components,)))

    def _map(self, function):
        parts = [
            function(self.slice(part)) for part in row_slices(self.shape[0], BLOCK_ROWS)
        ]
        return parts[0] if len(parts) == 1 else self.xp.concat(parts, axis=0)


class DeviceRowSums(RowSums):
    """Sums over rows on a device.

    Parameters
    ----------
    X : DeviceRows
    weights : ndarray of shape (n_samples,) or None
    """

    def __init__(self, X, weights):
        self.X, self.weights = X, weights
        self.dtype, self.n_features = X.dtype, X.shape[1]

    def sum(self, function):
        """Return the sum of function(DeviceRows, weights) over all slices, in order."""
        total: Any = None
        for part in row_slices(self.X.shape[0], rows_per_slice(self.X)):
            w = None if self.weights is None else self.weights[part]
            result = function(self.X.slice(part), w)
            total = result if total is None else total + result
        return total

    def data_moments(self, mean=None, *, scatter=False):
        """Return the `DataMoments` about a mean; None stands for zero."""
        if mean is not None and mean.dtype == self.dtype and not mean.any():
            mean = None
        return self.sum(lambda rows, w: _data_moments(rows, w, mean, scatter))

    def code_moments(self, model, dtype=None):
        """Return the `CodeMoments` of the codes of a `SparseModel`."""
        model = model.astype(self.dtype if dtype is None else dtype)
        return self.sum(lambda rows, w: _code_moments(rows.astype_of(model), w, model))

    def projection_histogram(self, model, bins, dtype=None):
        """Return the `ProjectionHistogram` of the projections of a `SparseModel`."""
        model = model.astype(self.dtype if dtype is None else dtype)
        return self.sum(
            lambda rows, w: _projection_histogram(rows.astype_of(model), w, model, bins)
        )

    def max_abs(self):
        """Return the largest absolute value of the rows."""
        return float(self.X.xp.max(self.X.xp.abs(self.X.array)))


def check_not_on_device(X, what, remedy):
    """Raise where X is on a device, for something that NumPy alone can do."""
    if isinstance(X, DeviceRows):
        raise TypeError(
            f"{what} needs NumPy arrays, but X is of {namespace_name(X.xp)}. {remedy}"
        )


def namespace_name(xp):
    """Return the name of a namespace, without the prefix of array_api_compat."""
    return xp.__name__.partition("array_api_compat.")[2] or xp.__name__


def _data_moments(rows, weights, mean, scatter):
    xp, dtype = rows.xp, rows.sum_dtype
    block = rows.centered(mean)
    weighted = _weighted(rows, block, weights)
    return DataMoments(
        _total_weight(rows, weights),
        _sum_to_numpy(xp.sum(weighted, axis=0, dtype=dtype)),
        _sum_to_numpy(xp.sum(weighted * block, dtype=dtype)),
        _sum_to_numpy(xp.astype(weighted.T @ block, dtype)) if scatter else None,
    )


def _code_moments(rows, weights, model):
    xp, dtype, encoder = rows.xp, rows.sum_dtype, model.encoder
    block, projections = rows.project(model)
    n_first = min(encoder.n_curvature_rows, block.shape[0])
    squares = projections[:n_first, :] ** 2
    residual = xp.sum(block[:n_first, :] ** 2, axis=1) - xp.sum(squares, axis=1)
    codes, derivatives, decrease, statistics = _encode_and_sum(
        rows, projections, weights, encoder, n_first
    )
    first_weights = None if weights is None else weights[:n_first]
    derivatives = _weighted(rows, derivatives, first_weights)
    residual = xp.maximum(residual, xp.zeros_like(residual))
    columns = (squares, residual[:, None], xp.ones_like(residual)[:, None])
    curvature = derivatives.T @ xp.concat(columns, axis=1)
    weighted = _weighted(rows, codes, weights)
    return CodeMoments(
        _total_weight(rows, weights),
        _sum_to_numpy(xp.astype(weighted.T @ block, dtype)),
        _sum_to_numpy(xp.sum(weighted, axis=0, dtype=dtype)),
        decrease,
        float(n_first if weights is None else weights[:n_first].sum()),
        _sum_to_numpy(xp.astype(curvature, dtype)),
        statistics,
    )


def _encode_and_sum(rows, projections, weights, encoder, n_first):
    """Return codes, the first derivatives, the decrease, and the statistics."""
    xp = rows.xp
    if isinstance(encoder, MapEncoder):
        prior, threshold = encoder.prior, rows.threshold(encoder, projections.shape[1])
        codes = encoder.encode_array_api(xp, projections, threshold)
        derivatives = xp.astype(codes[:n_first, :] != 0, codes.dtype)
        decreases = prior.objective_decreases_array_api(xp, codes, threshold)
        decreases = _weighted(rows, decreases, weights)
        total = _sum_to_numpy(xp.sum(decreases, dtype=rows.sum_dtype))
        return codes, derivatives, total, None
    codes = _numpy_copy(projections)
    derivatives = codes[:n_first].copy()
    log_likelihood, statistics = encoder.for_worker().encode_and_sum(
        codes, None, weights, derivatives
    )
    codes, derivatives = rows.to_device(codes), rows.to_device(derivatives)
    return codes, derivatives, log_likelihood, statistics


def _projection_histogram(rows, weights, model, bins):
    block, projections = rows.project(model)
    norms = rows.xp.sum(block**2, axis=1) - rows.xp.sum(projections**2, axis=1)
    norms = as_numpy(norms).astype(np.float64)
    counts = np.zeros(bins.shape)
    bins.count(as_numpy(projections), weights, counts)
    residual = float(norms.sum() if weights is None else weights @ norms)
    return ProjectionHistogram(counts, residual, _total_weight(rows, weights))


def _weighted(rows, values, weights):
    return values if weights is None else values * rows.to_device(weights)[:, None]


def _total_weight(rows, weights):
    return float(rows.shape[0] if weights is None else weights.sum())


def _numpy_copy(array):
    return np.array(as_numpy(array))


def _sum_to_numpy(value):
    """Return a sum as a float or an array of float64."""
    value = as_numpy(value).astype(np.float64)
    return value if value.ndim else float(value)
