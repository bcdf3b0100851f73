"""Inference methods: how a network computes codes from its pre-activations.

Codes refer to atoms of norm one. The pre-activation v = u − λ of a unit is w·x + b
divided by ‖w‖, and its projection is u. Centering the samples changes u and λ, but not
their difference v.
"""

from itertools import count

import numpy as np

from skscn._core import marginals
from skscn._core.workspace import Workspace
from skscn._data.validation import watch_range
from skscn._interpretation.nonnegative_lasso import exact_codes, unrolled_codes
from skscn._interpretation.traversal import (
    compute_dtype,
    hidden_layer_blocks,
    run_hidden_layers,
    sample_blocks,
)

INFERENCE_METHODS = ("relu", "exact", "unrolled", "hard", "mean")


def run_network(operations, layers, samples, inference, n_steps, *, index=None):
    """Return the outputs of a network, or the codes of a hidden layer.

    Parameters
    ----------
    operations : sequence of Operation
    layers : sequence of LayerReport
        Of the hidden layers.
    samples : ndarray of shape (n_samples, ...)
    inference : {"relu", "exact", "unrolled", "hard", "mean"}
    n_steps : int
        Number of steps of "unrolled".
    index : int, default=None
        Hidden layer whose codes are returned. None returns the outputs.

    Returns
    -------
    outputs : ndarray of shape (n_samples, ...)
    converged : bool
        Whether all exact codes have converged.
    """
    dtype = compute_dtype(operations, samples)
    operations = [operation.astype(dtype) for operation in operations]
    blocks = []
    for block in sample_blocks(operations, samples):
        values = samples[block].astype(dtype, copy=False)
        with watch_range(values, "activations of the network") as check_results:
            result, converged = _run_block(
                operations, layers, values, inference, n_steps, index
            )
            result = result.astype(samples.dtype, copy=False)
            check_results(result)
        blocks.append((result, converged))
    outputs, converged = zip(*blocks, strict=True)
    return np.concatenate(outputs), all(converged)


def _run_block(operations, layers, values, inference, n_steps, index):
    steps, outputs, converged = run_hidden_layers(operations, values), None, True
    for i in count():
        try:
            layer, inputs = steps.send(outputs)
        except StopIteration as end:
            return end.value, converged
        norms = layers[i].norms.astype(inputs.dtype)
        if inference == "relu":  # the activations of the network, without rounding
            outputs = layer(inputs)
            codes = outputs / norms if i == index else None
        else:
            projections = layer.projections(inputs)
            codes, is_converged = _encode(layers[i], projections, inference, n_steps)
            outputs, converged = codes * norms, converged and is_converged
        if i == index:
            return codes, converged


def _encode(layer, projections, inference, n_steps):
    """Return codes, and whether all of them have converged."""
    geometry, converged = layer.geometry, True
    norms = layer.norms.astype(projections.dtype)
    v = projections.reshape(-1, layer.n_units) / norms
    if inference == "exact":
        if not geometry.has_exact_codes:
            raise ValueError(
                f"{layer.name} has no exact code: its objective has no lower bound, "
                "because its priors are not sparse for any center. Repair them first."
            )
        codes, row_converged = exact_codes(v, geometry.gram)
        codes, converged = codes.astype(v.dtype, copy=False), bool(row_converged.all())
    elif inference == "unrolled":
        codes = unrolled_codes(v, geometry.gram, n_steps)
    elif inference == "hard":
        if layer.centered_priors is None:
            raise ValueError(
                f"{layer.name}: hard codes need the mean of the input. Give "
                "interpret_network the data, X."
            )
        # A negative prior does not shrink the code: nothing is added to undo it.
        threshold = np.maximum(layer.centered_priors, 0).astype(v.dtype)
        codes = np.where(v > 0, v + threshold, v.dtype.type(0))
    else:
        codes = _posterior_means(v, check_density(layer).noise_variance)
    if inference in ("hard", "mean"):
        constant = geometry.is_constant
        codes[:, constant] = np.maximum(v[:, constant], 0)
    return codes.reshape(projections.shape), converged


def _posterior_means(v, noise_variance):
    """Return the means of N(v, σ²) truncated to positive values: a smooth ReLU."""
    sigma = v.dtype.type(np.sqrt(noise_variance))
    z = v / sigma
    marginals.exponential_posterior(z, np.zeros_like(z), Workspace())
    return z * sigma


def network_log_likelihood(operations, densities, samples):
    """Return the sum of the log-likelihoods of the inputs of hidden layers.

    Parameters
    ----------
    operations, samples
        As for `run_network`.
    densities : dict of int to LayerDensity
        By index of the hidden layer. Other layers are left out.
    """
    total = np.zeros(len(samples))
    for block, i, layer, inputs, _ in hidden_layer_blocks(operations, samples):
        if i in densities:
            rows = layer.rows(inputs).astype(np.float64)
            log_likelihood = densities[i].log_likelihood(rows)
            total[block] += log_likelihood.reshape(len(inputs), -1).sum(axis=1)
    return total


def check_density(layer):
    """Return the density of the input of a layer, and raise ValueError if it has none.

    Parameters
    ----------
    layer : LayerReport
    """
    if layer.mean is None:
        raise ValueError(
            f"{layer.name}: likelihoods and posterior means need the mean of the input "
            "and the variance of the noise. Give interpret_network the data, X."
        )
    if layer.density is None:
        raise ValueError(
            f"{layer.name} has no density: its weights are zero, or its input is the "
            "same for all data of the report. Give interpret_network other samples."
        )
    return layer.density
