"""The description of a hidden layer as a sparse coding model, and tables of layers."""

from dataclasses import dataclass, fields
from html import escape

import numpy as np

from skscn._interpretation.layer_density import LayerDensity
from skscn._interpretation.layer_geometry import LayerGeometry

# Attribute, heading and format of the columns of a printed report.
COLUMNS = (
    ("n_units", "units", "{:d}"),
    ("n_inputs", "inputs", "{:d}"),
    ("positive_bias_fraction", "b > 0", "{:.0%}"),
    ("explained_fraction", "explained", "{:.0%}"),
    ("orthogonality_error_per_unit", "error", "{:.2f}"),
    ("coherence", "coherence", "{:.2f}"),
    ("active_fraction", "active", "{:.0%}"),
    ("n_dead_units", "dead", "{:d}"),
    ("r2_linear", "R² linear", "{:.2f}"),
    ("objective_gap", "objective gap", "{:.2f}"),
)
NUMBER_TYPES = int, float, bool, int | None, float | None
LEGEND = {
    "b > 0": "units with a positive bias",
    "explained": "by the mean of the input",
    "error": "deviation from orthonormal atoms, per unit",
    "objective gap": "0 for exact codes",
}


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class LayerReport:
    """A hidden layer as a sparse coding model.

    `mean` and all parameters below it are statistics of data, and None if the report
    was made without data. Objectives and R² are averages over at most `max_rows` rows.

    Parameters
    ----------
    name : str
        The name of the layer in the model.
    n_units : int
    n_inputs : int
        The number of features, or of numbers in a patch, that a unit sees.
    patch_shape : tuple of int or None
        (kernel height, kernel width, channels), or None for a dense layer.
    atoms : ndarray of shape (n_units, n_inputs) or (n_units, *patch_shape)
        The weights w divided by their norms.
    norms : ndarray of shape (n_units,)
        ‖w‖, and one for a unit without weights.
    priors : ndarray of shape (n_units,)
        λ = −b/‖w‖.
    gram : ndarray of shape (n_units, n_units)
        Inner products of the atoms.
    n_constant_units : int
        The number of units without weights, whose output is constant.
    positive_bias_fraction : float
        The fraction of units with a positive bias. Their prior is not sparse.
    orthogonality_error, min_orthogonality_error : float
        The Frobenius norm of D Dᵀ − I, and its minimum for that many atoms.
    orthogonality_error_per_unit : float
        `orthogonality_error` divided by √n_units.
    coherence, min_coherence : float
        The largest |cosine| of two atoms, and its minimum for that many atoms.
    is_overcomplete : bool
        Whether there are more atoms than inputs.
    geometry : LayerGeometry
        The atoms as rows, with norms, priors and Gram matrix.
    mean : ndarray of shape (n_inputs,)
        The mean of the input.
    centered_priors : ndarray of shape (n_units,)
        λ − d·mean, the priors for the centered input.
    explained_fraction, unexplained_fraction : float
        The fractions of units whose bias is positive and whose centered prior is
        sparse, or is not.
    positive_bias_fraction_centered : float
        The fraction of units whose centered prior is not sparse.
    activity : ndarray of shape (n_units,)
        The fraction of samples, or of positions, for which a unit is not zero.
    active_fraction : float
        The mean of `activity`.
    dead_units : ndarray of int
        The indices of units that are zero for all samples.
    n_dead_units : int
    objective_zero, objective_relu, objective_exact : float
        ½‖x − mean − aD‖² + Σ λ_j a_j, with centered priors, for the code zero, for the
        code of the ReLU and for the exact code. NaN if there is no exact code.
    objective_gap : float
        The part of the decrease from `objective_zero` to `objective_exact` that the
        ReLU does not reach: 0 if its codes are exact, more than 1 if the code zero is
        better.
    r2_relu, r2_exact : float
        The fraction of the variance of the input that codes times atoms explain.
    r2_linear : float
        The same for the best linear map of the codes of the ReLU.
    center_distance : float
        The distance from the mean to the nearest center for which all priors are
        sparse, divided by the RMS distance of the input; infinite if there is none.
    converged_fraction : float
        The fraction of rows whose exact code was found to the tolerance.
    density : LayerDensity
        None, too, if the input does not vary or the weights are zero.
    noise_variance : float
        The noise variance of the density.
    """

    name: str
    # Numbers, in the order of the data frame of a report.
    n_units: int
    n_inputs: int
    positive_bias_fraction: float
    explained_fraction: float | None = None
    orthogonality_error_per_unit: float
    coherence: float
    active_fraction: float | None = None
    n_dead_units: int | None = None
    r2_linear: float | None = None
    objective_gap: float | None = None
    n_constant_units: int
    unexplained_fraction: float | None = None
    positive_bias_fraction_centered: float | None = None
    orthogonality_error: float
    min_orthogonality_error: float
    min_coherence: float
    is_overcomplete: bool
    objective_zero: float | None = None
    objective_relu: float | None = None
    objective_exact: float | None = None
    r2_relu: float | None = None
    r2_exact: float | None = None
    center_distance: float | None = None
    noise_variance: float | None = None
    converged_fraction: float | None = None
    # Arrays and records.
    patch_shape: tuple | None
    atoms: np.ndarray
    norms: np.ndarray
    priors: np.ndarray
    gram: np.ndarray
    geometry: LayerGeometry
    mean: np.ndarray | None = None
    centered_priors: np.ndarray | None = None
    activity: np.ndarray | None = None
    dead_units: np.ndarray | None = None
    density: LayerDensity | None = None

    def to_dict(self):
        """Return the name and the numbers of the layer."""
        names = [field.name for field in fields(self) if field.type in NUMBER_TYPES]
        return {"layer": self.name} | {name: getattr(self, name) for name in names}

    def __repr__(self):
        return format_table([self])


def format_table(layers):
    """Return a table with a line for each layer, and its legend."""
    rows = _table_cells(layers)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [c.rjust(w) for c, w in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]))
    legend = _legend(rows[0])
    lines += ["; ".join(legend[i : i + 2]) for i in range(0, len(legend), 2)]
    return "\n".join(lines)


def format_html_table(title, layers):
    """Return the same table in HTML, with a title."""
    head, *rows = _table_cells(layers)
    lines = [f"<caption>{escape(title)}</caption>"]
    for tag, cells in (("th", head), *(("td", row) for row in rows)):
        cells = "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells)
        lines.append(f"<tr>{cells}</tr>")
    table = "\n".join(["<table>", *lines, "</table>"])
    return f"{table}\n<p>{escape('; '.join(_legend(head)))}</p>"


def _table_cells(layers):
    """Return the headings, and the cells of every layer."""
    columns = [c for c in COLUMNS if getattr(layers[0], c[0]) is not None]
    rows = [["layer", *(heading for _, heading, _ in columns)]]
    for layer in layers:
        cells = [form.format(getattr(layer, name)) for name, _, form in columns]
        rows.append([layer.name, *cells])
    return rows


def _legend(headings):
    return [f"{key}: {text}" for key, text in LEGEND.items() if key in headings]
