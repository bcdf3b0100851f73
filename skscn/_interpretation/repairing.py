"""Weights near to given ones, with sparse priors and orthonormal atoms."""

from dataclasses import dataclass, replace
from itertools import repeat

import numpy as np

from skscn._interpretation.anatomy import Anatomy
from skscn._interpretation.density import orthonormalised
from skscn._interpretation.operations import Units, blocks

RIDGE = 1e-4  # of the mean square of a feature, in a refit


@dataclass(frozen=True)
class Remedy:
    """What is repaired, and how.

    Parameters
    ----------
    priors : {"bias", "centred"} or None
        Biases at most zero; biases at most zero about the mean of the input; or as they
        are.
    atoms : bool
        Whether atoms become orthonormal.
    refit : bool
        Whether the layer after a repaired one is fitted to the pre-activations that it
        had.
    """

    priors: str | None
    atoms: bool
    refit: bool

    def units(self, units, mean):
        """Return repaired units.

        Parameters
        ----------
        units : Units
        mean : ndarray of shape (n_inputs,) or None
            Of their input.
        """
        anatomy = Anatomy.of(units.weight, units.bias)
        used = ~anatomy.constant
        weight = units.weight.astype(np.float64)
        bias = units.bias.astype(np.float64)
        if self.atoms and used.any():
            turned = weight.copy()
            atoms = orthonormalised(anatomy.atoms[used])
            turned[used] = anatomy.norms[used, None] * atoms
            if mean is not None:  # the input in the mean is seen as before
                bias = bias + (weight - turned) @ mean
            weight = turned
        if self.priors == "bias":
            bias[used] = np.minimum(bias, 0.0)[used]
        elif self.priors == "centred":
            bias[used] = np.minimum(bias, -weight @ mean)[used]
        dtype = units.weight.dtype
        return replace(units, weight=weight.astype(dtype), bias=bias.astype(dtype))


def repaired(operations, samples, means, remedy, max_rows):
    """Return operations with repaired hidden units, layer by layer from the input.

    Parameters
    ----------
    operations : sequence of Operation
    samples : ndarray or None
        Where the mean of a layer's input, or a refit, is asked of data.
    means : list of ndarray or None
        Of the input of each hidden layer as the model was.
    remedy : Remedy
    max_rows : int
        Most rows that a refit is made of, spread evenly.
    """
    found: list = []
    changed, means = False, iter(means or repeat(None))
    for at, operation in enumerate(operations):
        if isinstance(operation, Units):
            mean = next(means) if operation.rectified else None
            fixed = operation
            if changed and remedy.refit:
                fixed, mean = _refitted(
                    operations[:at], found, operation, samples, max_rows
                )
            elif changed and operation.rectified and samples is not None:
                mean = _rows(found, operation, samples, max_rows).mean(axis=0)
            if operation.rectified:
                fixed = remedy.units(fixed, mean)
                changed |= not (
                    np.array_equal(fixed.weight, operation.weight)
                    and np.array_equal(fixed.bias, operation.bias)
                )
            operation = fixed
        found.append(operation)
    return tuple(found)


def _refitted(before, after, units, samples, max_rows):
    """Return units that see in new codes what they saw in the old, and the new mean.

    Least squares of the pre-activations that old codes made on new codes, with a ridge
    towards the weights as they are.
    """
    old = _rows(before, units, samples, max_rows)
    new = _rows(after, units, samples, max_rows)
    weight = units.weight.astype(np.float64)
    target = old @ weight.T + units.bias
    mean, aim = new.mean(axis=0), target.mean(axis=0)
    new = new - mean
    missed = target - aim - new @ weight.T
    scatter = new.T @ new
    size = np.trace(scatter) / len(scatter)
    scatter[np.diag_indices(len(scatter))] += RIDGE * (size or 1.0)
    weight = weight + np.linalg.solve(scatter, new.T @ missed).T
    dtype = units.weight.dtype
    bias = aim - weight @ mean
    return replace(units, weight=weight.astype(dtype), bias=bias.astype(dtype)), mean


def _rows(before, units, samples, max_rows):
    """Return rows that units see after the operations before them, in float64."""
    kept, n_samples = [], len(samples)
    for part in blocks(n_samples, [*before, units], samples.shape[1:]):
        values = samples[part]
        for operation in before:
            values = operation(values)
        rows = units.rows(values)
        n_places = len(rows) // len(values)
        n_all = n_samples * n_places
        n_kept = min(max_rows, n_all)
        chosen = (np.arange(n_kept) * n_all) // n_kept - part.start * n_places
        chosen = chosen[(chosen >= 0) & (chosen < len(rows))]
        kept.append(rows[chosen].astype(np.float64))
    return np.concatenate(kept)
