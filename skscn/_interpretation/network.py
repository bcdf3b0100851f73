"""A network of operations with another forward transformation in its hidden layers."""

import numpy as np

from skscn._interpretation.operations import Units, blocks


def outputs(operations, readings, samples, forward, *, stop=None):
    """Return what the network makes of samples, and in how many blocks codes converged.

    Parameters
    ----------
    operations : sequence of Operation
    readings : list of Reading
        Of hidden units in their order.
    samples : ndarray
    forward : Forward
    stop : int, default=None
        Hidden layer whose codes are returned, in units of its atoms; None is the end.

    Returns
    -------
    found : ndarray
    converged : bool
    """
    dtype = samples.dtype
    operations = [operation.of_dtype(dtype) for operation in operations]
    found, converged = [], True
    for part in blocks(len(samples), operations, samples.shape[1:]):
        values, done = _run(operations, readings, samples[part], forward, stop)
        found.append(values)
        converged &= done
    return np.concatenate(found), converged


def _run(operations, readings, values, forward, stop):
    at, converged = 0, True
    for operation in operations:
        if not (isinstance(operation, Units) and operation.rectified):
            values = operation(values)
            continue
        reading, here = readings[at], at == stop
        norms = reading.anatomy.norms.astype(values.dtype)
        if forward.name == "relu":
            values = operation(values)
            if here:
                return values / norms, converged
        else:
            codes, done = reading.code(operation.projections(values), forward)
            converged &= done
            if here:
                return codes, converged
            values = codes * norms
        at += 1
    return values, converged


def log_likelihoods(operations, densities, samples):
    """Return the sum over hidden layers of the log-densities of their input.

    Parameters
    ----------
    operations, samples
        As for `outputs`.
    densities : dict of int to Density
        Of those hidden layers that are asked.
    """
    operations = [operation.of_dtype(samples.dtype) for operation in operations]
    total = np.zeros(len(samples))
    for part in blocks(len(samples), operations, samples.shape[1:]):
        values, at = samples[part], 0
        for operation in operations:
            if isinstance(operation, Units) and operation.rectified:
                if at in densities:
                    rows = operation.rows(values).astype(np.float64)
                    found = densities[at](rows)
                    total[part] += found.reshape(len(values), -1).sum(axis=1)
                at += 1
            values = operation(values)
    return total
