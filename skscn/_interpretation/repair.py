"""Copies of a network with sparse priors and orthonormal atoms."""

from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any

import numpy as np

from skscn._interpretation.layer_geometry import LayerGeometry, orthonormalize
from skscn._interpretation.operations import AffineLayer
from skscn._interpretation.traversal import sample_blocks, select_rows

RIDGE = 1e-4  # of a refit, relative to the mean squared norm of a feature


@dataclass(frozen=True, eq=False, repr=False)
class RepairResult:
    """A repaired copy of a network, and the reports and scores before and after.

    Parameters
    ----------
    model : object
        The repaired copy.
    before, after : NetworkReport
        Of the model and of the copy.
    score_before, score_after : float or None
        Accuracy, or R² of values. None if X and y were not given.
    """

    model: object
    before: Any
    after: Any
    score_before: float | None = None
    score_after: float | None = None

    @property
    def change(self):
        """The difference of the scores, or None."""
        if self.score_before is None or self.score_after is None:
            return None
        return self.score_after - self.score_before

    def __repr__(self):
        text = f"before\n{self.before}\nafter\n{self.after}"
        if self.change is None:
            return text
        scores = f"{self.score_before:.3f} -> {self.score_after:.3f}"
        return f"{text}\nscore {scores}, change {self.change:+.3f}"


def repair_operations(operations, samples, means, max_rows, priors, atoms, refit):
    """Return operations with repaired hidden layers, from the input on.

    Parameters
    ----------
    operations : sequence of Operation
    samples : ndarray of shape (n_samples, ...) or None
        Needed for means of the input that follow a repair, and for refits.
    means : list of ndarray or None
        The mean input of each hidden layer before the repair.
    max_rows : int
        Maximum number of rows of a refit, spread evenly.
    priors : {"bias", "centered"} or None
    atoms, refit : bool
        As for `NetworkReport.repair`.
    """
    repaired: list = []
    is_changed, means = False, iter(means or repeat(None))
    for i, operation in enumerate(operations):
        if isinstance(operation, AffineLayer):
            layer, mean = operation, next(means) if operation.is_hidden else None
            if is_changed and refit:
                before = _input_rows(operations[:i], layer, samples, max_rows)
                after = _input_rows(repaired, layer, samples, max_rows)
                layer, mean = _refit_layer(layer, before, after), after.mean(axis=0)
            elif is_changed and layer.is_hidden and samples is not None:
                mean = _input_rows(repaired, layer, samples, max_rows).mean(axis=0)
            if operation.is_hidden:
                layer = _repair_layer(layer, mean, priors, atoms)
                is_changed |= not (
                    np.array_equal(layer.weight, operation.weight)
                    and np.array_equal(layer.bias, operation.bias)
                )
            operation = layer
        repaired.append(operation)
    return repaired


def _repair_layer(layer, mean, priors, atoms):
    geometry = LayerGeometry.from_layer(layer)
    is_used = ~geometry.is_constant
    weight, bias = layer.weight.astype(np.float64), layer.bias.astype(np.float64)
    if atoms and is_used.any():
        rotated = weight.copy()
        rotated[is_used] = orthonormalize(geometry.atoms[is_used])
        rotated[is_used] *= geometry.norms[is_used, None]
        if mean is not None:  # keep the pre-activations of the mean input
            bias = bias + (weight - rotated) @ mean
        weight = rotated
    if priors is not None:
        bound = 0.0 if priors == "bias" else -weight @ mean
        bias[is_used] = np.minimum(bias, bound)[is_used]
    return _with_parameters(layer, weight, bias)


def _refit_layer(layer, before, after):
    """Return the layer with weights that map new inputs to the old pre-activations.

    Ridge regression, which shrinks toward the weights as they are.

    Parameters
    ----------
    layer : AffineLayer
    before, after : ndarray of shape (n_rows, n_inputs)
        Rows of its input before and after the layers below were repaired.
    """
    weight = layer.weight.astype(np.float64)
    target = before @ weight.T + layer.bias
    mean, target_mean = after.mean(axis=0), target.mean(axis=0)
    centered = after - mean
    residual = target - target_mean - centered @ weight.T
    scatter = centered.T @ centered
    mean_square = np.trace(scatter) / len(scatter)
    scatter[np.diag_indices(len(scatter))] += RIDGE * (mean_square or 1.0)
    weight = weight + np.linalg.solve(scatter, centered.T @ residual).T
    return _with_parameters(layer, weight, target_mean - weight @ mean)


def _with_parameters(layer, weight, bias):
    dtype = layer.weight.dtype
    return replace(layer, weight=weight.astype(dtype), bias=bias.astype(dtype))


def _input_rows(operations, layer, samples, max_rows):
    """Return input rows of a layer that follows the operations, in float64."""
    selected = []
    for block in sample_blocks([*operations, layer], samples):
        values = samples[block]
        for operation in operations:
            values = operation(values)
        selected.append(select_rows(layer.rows(values), block, samples, max_rows))
    return np.concatenate(selected)
