"""The reports of hidden layers, computed from their weights and from data."""

from dataclasses import replace

import numpy as np

from skscn._data.validation import watch_range
from skscn._interpretation.layer_density import LayerDensity
from skscn._interpretation.layer_geometry import LayerGeometry
from skscn._interpretation.layer_report import LayerReport
from skscn._interpretation.nonnegative_lasso import exact_codes, objective_decrease
from skscn._interpretation.traversal import (
    hidden_layer_blocks,
    hidden_layers,
    select_rows,
)

TOLERANCE = 1e-5  # of exact codes: reports show fewer digits than predictions have
# Of the input of a layer from its mean: sums of squares of these are normal numbers.
MIN_DEVIATION, MAX_DEVIATION = 1e-140, 1e140
RIDGE = 1e-8  # of the best linear map, relative to the trace of the codes' scatter


def analyze_layers(operations, samples, max_rows):
    """Return the `LayerReport` of every hidden layer.

    Parameters
    ----------
    operations : sequence of Operation
    samples : ndarray of shape (n_samples, ...) or None
        None analyzes the weights alone.
    max_rows : int
        Maximum number of rows whose exact codes are computed, spread evenly.
    """
    layers = hidden_layers(operations)
    reports = [_analyze_weights(layer) for layer in layers]
    if samples is None:
        return reports
    statistics: list = [[] for _ in layers]
    for block, i, layer, inputs, outputs in hidden_layer_blocks(operations, samples):
        rows, codes = layer.rows(inputs), outputs.reshape(-1, outputs.shape[-1])
        row_sum = rows.sum(axis=0, dtype=np.float64)
        n_active = np.count_nonzero(codes, axis=0)
        selected = select_rows(rows, block, samples, max_rows)
        statistics[i].append((len(rows), row_sum, n_active, selected))
    for i, layer in enumerate(layers):
        n_rows, row_sums, n_active, selected = zip(*statistics[i], strict=True)
        mean, activity = sum(row_sums) / sum(n_rows), sum(n_active) / sum(n_rows)
        rows = np.concatenate(selected)
        _check_range(layer.name, rows - mean)
        with watch_range(rows, f"objectives of {layer.name}") as check_results:
            reports[i] = _analyze_input(reports[i], mean, activity)
            reports[i] = _analyze_codes(reports[i], layer, rows)
            check_results(reports[i].objective_relu)
    return reports


def _check_range(name, centered):
    """Raise ValueError if squares of the input of a layer overflow or vanish."""
    largest = float(np.max(np.abs(centered)))
    if not largest or MIN_DEVIATION <= largest <= MAX_DEVIATION:
        return
    raise ValueError(
        f"{name}: its input deviates from its mean by up to {largest:.3g}, outside of "
        f"the range {MIN_DEVIATION:g} to {MAX_DEVIATION:g} whose squares double "
        "precision holds. Scale the samples, or the weights of the layers before."
    )


def _analyze_weights(layer):
    """Return the report of a layer without data."""
    geometry = LayerGeometry.from_layer(layer)
    n_units, n_inputs = geometry.atoms.shape
    n_constant_units = int(np.sum(geometry.is_constant))
    n_atoms = n_units - n_constant_units
    n_excess = max(n_atoms - n_inputs, 0)
    cosines = np.abs(geometry.gram - np.diag(np.diag(geometry.gram)))
    error = float(np.linalg.norm(cosines))
    patch_shape = layer.patch_shape
    return LayerReport(
        name=layer.name,
        n_units=n_units,
        n_inputs=n_inputs,
        patch_shape=patch_shape,
        atoms=geometry.atoms.reshape(n_units, *(patch_shape or (n_inputs,))),
        norms=geometry.norms,
        priors=geometry.priors,
        gram=geometry.gram,
        geometry=geometry,
        n_constant_units=n_constant_units,
        positive_bias_fraction=geometry.unit_fraction(geometry.priors < 0),
        orthogonality_error=error,
        orthogonality_error_per_unit=error / np.sqrt(max(n_atoms, 1)),
        coherence=float(np.max(cosines, initial=0.0)),
        # The minima are Welch's bounds.
        min_orthogonality_error=float(np.sqrt(n_atoms * n_excess / n_inputs)),
        min_coherence=float(np.sqrt(n_excess / (n_inputs * max(n_atoms - 1, 1)))),
        is_overcomplete=n_atoms > n_inputs,
    )


def _analyze_input(report, mean, activity):
    """Return the report with the mean of the input and the activity of the units."""
    centered_priors = report.geometry.centered_priors(mean)
    is_positive_bias, is_sparse = report.priors < 0, centered_priors >= 0
    fraction = report.geometry.unit_fraction
    dead_units = np.flatnonzero(activity == 0)
    return replace(
        report,
        mean=mean,
        centered_priors=centered_priors,
        explained_fraction=fraction(is_positive_bias & is_sparse),
        unexplained_fraction=fraction(is_positive_bias & ~is_sparse),
        positive_bias_fraction_centered=fraction(~is_sparse),
        activity=activity,
        active_fraction=float(np.mean(activity)),
        dead_units=dead_units,
        n_dead_units=len(dead_units),
    )


def _analyze_codes(report, layer, rows):
    """Return the report with objectives, R² and density of rows."""
    geometry, is_used = report.geometry, ~report.geometry.is_constant
    gram, atoms = geometry.gram, geometry.atoms
    centered = rows - report.mean
    variance = _mean_square(centered)
    v = (rows @ layer.weight.astype(float).T + layer.bias) / geometry.norms
    relu = np.where(is_used, np.maximum(v, 0), 0)
    zero = variance / 2
    objective_relu = zero - float(np.mean(objective_decrease(relu, v, gram)))
    objective_exact = r2_exact = converged_fraction = float("nan")
    distance = float("inf")
    if geometry.has_exact_codes:
        exact, converged = exact_codes(v, gram, tol=TOLERANCE)
        exact = np.where(is_used, exact, 0)
        objective_exact = zero - float(np.mean(objective_decrease(exact, v, gram)))
        r2_exact = _r2(_center(centered - exact @ atoms), variance)
        converged_fraction = float(np.mean(converged))
        # By duality the nearest center with sparse priors is the residual of the exact
        # code of the mean.
        code, _ = exact_codes(-report.centered_priors[None], gram, tol=TOLERANCE)
        shift = float(np.linalg.norm(np.where(is_used, code, 0) @ atoms))
        distance = shift / np.sqrt(variance) if variance else 0.0
    density = LayerDensity.fit(
        atoms[is_used], report.mean, report.centered_priors[is_used], rows
    )
    return replace(
        report,
        objective_zero=zero,
        objective_relu=objective_relu,
        objective_exact=objective_exact,
        objective_gap=_objective_gap(zero, objective_relu, objective_exact),
        r2_relu=_r2(_center(centered - relu @ atoms), variance),
        r2_exact=r2_exact,
        r2_linear=_r2_of_best_linear_map(relu, centered),
        center_distance=distance,
        converged_fraction=converged_fraction,
        density=density,
        noise_variance=None if density is None else density.noise_variance,
    )


def _objective_gap(zero, relu, exact):
    if zero - exact <= 0:
        return 0.0 if relu - exact <= 0 else float("inf")
    return (relu - exact) / (zero - exact)


def _r2_of_best_linear_map(codes, rows):
    codes, rows = _center(codes), _center(rows)
    scatter = codes.T @ codes
    scatter[np.diag_indices(len(scatter))] += RIDGE * (np.trace(scatter) or 1.0)
    decoder = np.linalg.solve(scatter, codes.T @ rows)
    return _r2(rows - codes @ decoder, _mean_square(rows))


def _r2(residual, variance):
    return 1.0 - _mean_square(residual) / variance if variance else float("nan")


def _center(rows):
    return rows - rows.mean(axis=0)


def _mean_square(rows):
    return float(np.mean(np.einsum("ij,ij->i", rows, rows)))
