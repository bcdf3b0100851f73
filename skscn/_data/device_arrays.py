"""Arrays of other namespaces and devices, such as tensors on a GPU.

What grows with the number of samples stays on the device: the products with the atoms,
and hard thresholds. Moments come back, n_components × n_features numbers a pass, and
the dictionary learns from them at home. The special functions of exact inference are
SciPy's: for them projections come back too.
"""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from skscn._core.encoders import MapEncoder
from skscn._core.moments import (
    CodeMoments,
    DataMoments,
    code_moments,
    data_moments,
    deviations,
    encode,
    log_likelihoods,
)
from skscn._core.projection_histogram import Counts, spectrum
from skscn._data.parallel import row_slices, slice_rows
from skscn._data.sklearn_compat import as_numpy, check_sample_weight

CODED_ROWS = 2**16  # at a time: fewer are not worth the call


@dataclass(frozen=True)
class DeviceRows:
    """Rows of an array in a namespace, on a device.

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
        """The dtype, as NumPy names it."""
        return np.dtype("f4" if self.array.dtype == self.xp.float32 else "f8")

    def check_weights(self, sample_weight):
        """Return weights as an array at home, or None."""
        stand_in = np.broadcast_to(np.zeros((), self.dtype), self.shape)
        return check_sample_weight(as_numpy(sample_weight), stand_in)

    def put(self, array, dtype=None):
        """Return an array of NumPy on the device, of the dtype of the rows."""
        array = np.ascontiguousarray(array, dtype=dtype or self.dtype)
        return self.xp.asarray(array, device=self.device, copy=True)

    def to_input_namespace(self, attributes):
        """Return fitted attributes with arrays where the rows are."""
        return {
            name: self.put(value, value.dtype)
            if isinstance(value, np.ndarray)
            else value
            for name, value in attributes.items()
        }

    def times(self, atoms, offset=0.0):
        """Return rows @ atoms + offset, both arrays of NumPy."""
        product = self.array @ self.put(atoms)
        return product + self.put(offset)

    def sum_over_rows(self, function, sample_weight=None):
        """Return the sum, in order, of function(rows, weights) over slices of rows."""
        sums: Any = SUMS[_name(function)]
        parameters = self._parameters(function)
        total = None
        for part in row_slices(self.shape[0], slice_rows(self)):
            w = None if sample_weight is None else sample_weight[part]
            found = sums(replace(self, array=self.array[part, :]), w, **parameters)
            total = found if total is None else total + found
        return _home(total)

    def filled(self, function):
        """Return function(rows) for all rows, on the device."""
        maps, parameters = MAPS[_name(function)], self._parameters(function)
        parts = [
            maps(replace(self, array=self.array[part, :]), **parameters)
            for part in row_slices(self.shape[0], CODED_ROWS)
        ]
        return parts[0] if len(parts) == 1 else self.xp.concat(parts, axis=0)

    @property
    def wide(self):
        """The dtype of sums: float64, where the device has it."""
        try:
            self.xp.zeros((1,), dtype=self.xp.float64, device=self.device)
        except (TypeError, RuntimeError):
            return self.xp.float32
        return self.xp.float64

    def widened(self):
        """Return the same rows in the dtype of sums."""
        return replace(self, array=self.xp.astype(self.array, self.wide))

    def _parameters(self, function):
        return getattr(function, "keywords", {})


def check_not_on_device(X, what, remedy, asked=True):
    """Raise where something is asked for that cannot be done on a device."""
    if asked and isinstance(X, DeviceRows):
        raise TypeError(
            f"{what} needs arrays of NumPy, and X is of {named(X.xp)}. {remedy}"
        )


def named(xp):
    """Return the name of a namespace, without that of what makes it compatible."""
    return xp.__name__.partition("array_api_compat.")[2] or xp.__name__


def _name(function):
    return getattr(function, "func", function)


def _home(sums):
    """Return a record of sums as NumPy's float64."""
    found = {}
    for entry in fields(sums):
        value = getattr(sums, entry.name)
        if value is not None and not isinstance(value, float | np.ndarray):
            value = as_numpy(value).astype(np.float64)
            value = value if value.ndim else float(value)
        found[entry.name] = value
    return type(sums)(**found)


def _centred(rows, mean):
    return rows.array if mean is None else rows.array - rows.put(mean)


def _weighted(rows, values, weights):
    return values if weights is None else values * rows.put(weights)[:, None]


def _data_moments(rows, weights, *, mean=None, scatter=False):
    xp, wide = rows.xp, rows.wide
    block = _centred(rows, mean)
    weighted = _weighted(rows, block, weights)
    return DataMoments(
        float(block.shape[0] if weights is None else weights.sum()),
        xp.sum(weighted, axis=0, dtype=wide),
        xp.sum(weighted * block, dtype=wide),
        xp.astype(weighted.T @ block, wide) if scatter else None,
    )


def _code_moments(rows, weights, *, components, mean, code):
    xp, wide = rows.xp, rows.wide
    block = _centred(rows, mean)
    projections = block @ rows.put(components).T
    n_sampled = min(code.sampled_rows, block.shape[0])
    square = projections[:n_sampled, :] ** 2
    outside = xp.sum(block[:n_sampled, :] ** 2, axis=1) - xp.sum(square, axis=1)
    codes, slopes, gain, sums = _expected(rows, projections, weights, code, n_sampled)
    slopes = _weighted(rows, slopes, None if weights is None else weights[:n_sampled])
    outside = xp.maximum(outside, xp.zeros_like(outside))
    columns = (square, outside[:, None], xp.ones_like(outside)[:, None])
    weighted = _weighted(rows, codes, weights)
    sampled = n_sampled if weights is None else weights[:n_sampled].sum()
    return CodeMoments(
        float(block.shape[0] if weights is None else weights.sum()),
        xp.astype(weighted.T @ block, wide),
        xp.sum(weighted, axis=0, dtype=wide),
        gain,
        float(sampled),
        xp.astype(slopes.T @ xp.concat(columns, axis=1), wide),
        sums,
    )


def _expected(rows, projections, weights, code, n_sampled):
    """Return codes, the slopes of the first of them, their gain, and their sums."""
    xp = rows.xp
    if isinstance(code, MapEncoder):
        threshold = _threshold(rows, code, projections.shape[1])
        codes = code.prior.codes(xp, projections, threshold)
        slopes = xp.astype(codes[:n_sampled, :] != 0, codes.dtype)
        gains = _weighted(rows, code.prior.gains(xp, codes, threshold), weights)
        return codes, slopes, xp.sum(gains, dtype=rows.wide), None
    codes = np.array(as_numpy(projections))
    slopes = codes[:n_sampled].copy()
    gain, sums = code.prepared().expect(codes, None, weights, slopes)
    return rows.put(codes), rows.put(slopes), gain, sums


def _spectrum(rows, weights, *, components, mean, size, one_sided, pooled):
    block = _centred(rows, mean)
    projections = block @ rows.put(components).T
    lost = rows.xp.sum(block**2, axis=1) - rows.xp.sum(projections**2, axis=1)
    counts = Counts(components.shape[0], size, one_sided=one_sided, pooled=pooled)
    counts.add(as_numpy(projections), weights)
    lost = as_numpy(lost).astype(np.float64)
    outside = float(lost.sum() if weights is None else weights @ lost)
    return counts.spectrum(
        outside, float(len(lost) if weights is None else weights.sum())
    )


def _encode(rows, *, components, mean, code):
    projections = _centred(rows, mean) @ rows.put(components).T
    if not isinstance(code, MapEncoder):
        return rows.put(code.prepared().encode(np.array(as_numpy(projections))))
    n_components = projections.shape[1]
    threshold = _threshold(rows, code, n_components)
    codes = code.prior.codes(rows.xp, projections, threshold)
    return codes if code.shrinkage is None else codes * rows.put(code.shrinkage)


def _log_likelihoods(rows, *, components, mean, code):
    rows = rows.widened()
    block, atoms = _centred(rows, mean), rows.put(components)
    projections = block @ atoms.T
    n_free = components.shape[1] - components.shape[0]
    found = code.log_density(np.array(as_numpy(projections)))
    found = found - n_free / 2 * np.log(2 * np.pi * code.noise)
    if n_free:  # else what is outside is rounding error
        lost = rows.xp.sum((block - projections @ atoms) ** 2, axis=1)
        found -= as_numpy(lost) / (2 * code.noise)
    return rows.put(found)


def _deviations(rows, *, components, mean, code):
    projections = as_numpy(_centred(rows, mean) @ rows.put(components).T)
    return rows.put(np.sqrt(code.variance(projections)))


def _threshold(rows, code, n_components):
    return rows.put(np.broadcast_to(code.threshold, (n_components,)))


# What the functions of the core do at home, on a device.
SUMS = {
    data_moments: _data_moments,
    code_moments: _code_moments,
    spectrum: _spectrum,
}
MAPS = {
    encode: _encode,
    log_likelihoods: _log_likelihoods,
    deviations: _deviations,
}
