"""A hidden layer, read as sparse coding, in words and numbers of its own."""

from dataclasses import dataclass

import numpy as np

from skscn._interpretation.forwards import whole
from skscn._interpretation.reading import Reading

# Attribute, heading and format of what a report prints, with and without data.
COLUMNS = (
    ("n_units", "units", "{:d}"),
    ("n_inputs", "inputs", "{:d}"),
    ("broken", "b > 0", "{:.0%}"),
    ("explained", "explained", "{:.0%}"),
    ("gap_per_unit", "gap", "{:.2f}"),
    ("coherence", "coherence", "{:.2f}"),
    ("active", "active", "{:.0%}"),
    ("n_dead", "dead", "{:d}"),
    ("r2_linear", "R² linear", "{:.2f}"),
    ("objective_gap", "objective gap", "{:.2f}"),
)
WITHOUT_DATA = ("n_units", "n_inputs", "broken", "gap_per_unit", "coherence")
LEGEND = (  # of what is printed without data, and more with data
    ("b > 0: units whose prior is not sparse", "explained: those by the input's mean"),
    (
        "gap: how far atoms are from orthonormal",
        "objective gap: what it costs, 0 is nothing",
    ),
)
MORE = (
    "n_constant",
    "unexplained",
    "broken_centred",
    "orthogonality_gap",
    "least_gap",
    "least_coherence",
    "overcomplete",
    "objective_zero",
    "objective_relu",
    "objective_exact",
    "r2_relu",
    "r2_exact",
    "centre_distance",
    "noise",
    "converged",
)


@dataclass(frozen=True, eq=False, repr=False)
class LayerReport:
    """What a hidden layer is as sparse coding.

    Attributes that data tell are None where a report was made without.

    Parameters
    ----------
    reading : Reading
    """

    reading: Reading

    @property
    def name(self):
        """Of the layer in the model."""
        return self.reading.units.name

    @property
    def n_units(self):
        """How many units it has."""
        return len(self.reading.units.bias)

    @property
    def n_inputs(self):
        """How many numbers a unit sees: features, or those of a patch."""
        return self.reading.units.weight.shape[1]

    @property
    def patch_shape(self):
        """(kernel height, kernel width, channels), or None for dense units."""
        return self.reading.units.patch_shape

    @property
    def atoms(self):
        """Weights of norm one, (n_units, n_inputs) or (n_units, *patch_shape)."""
        atoms = self.reading.anatomy.atoms
        if self.patch_shape is None:
            return atoms
        return atoms.reshape(-1, *self.patch_shape)

    @property
    def norms(self):
        """Norms of the weights; one for units without weights."""
        return self.reading.anatomy.norms

    @property
    def priors(self):
        """λ = −b/‖w‖ of every unit."""
        return self.reading.anatomy.priors

    @property
    def gram(self):
        """Inner products of atoms."""
        return self.reading.anatomy.gram

    @property
    def centred_priors(self):
        """λ − d·m about the mean m of the layer's input."""
        return self._seen("priors")

    @property
    def n_constant(self):
        """Units without weights, whose output is always the same."""
        return int(np.sum(self.reading.anatomy.constant))

    @property
    def broken(self):
        """Share of units whose bias is positive: their prior is not sparse."""
        return self._share(self.priors < 0)

    @property
    def explained(self):
        """Share of units whose positive bias is that of inputs that are not centred."""
        if self.centred_priors is None:
            return None
        return self._share((self.priors < 0) & (self.centred_priors >= 0))

    @property
    def unexplained(self):
        """Share of units with b > 0 whose prior about the mean is not sparse either."""
        if self.centred_priors is None:
            return None
        return self._share((self.priors < 0) & (self.centred_priors < 0))

    @property
    def broken_centred(self):
        """Share of units whose prior about the mean is not sparse, whatever b is."""
        if self.centred_priors is None:
            return None
        return self._share(self.centred_priors < 0)

    @property
    def orthogonality_gap(self):
        """Frobenius norm of D Dᵀ − I."""
        return self.reading.anatomy.gap

    @property
    def gap_per_unit(self):
        """`orthogonality_gap` by √n_units: what others weigh at a unit, in the mean."""
        n_atoms = max(self.n_units - self.n_constant, 1)
        return self.orthogonality_gap / np.sqrt(n_atoms)

    @property
    def least_gap(self):
        """The least `orthogonality_gap` that so many atoms can have."""
        return self.reading.anatomy.least_gap

    @property
    def coherence(self):
        """Largest |cosine| of two atoms."""
        return self.reading.anatomy.coherence

    @property
    def least_coherence(self):
        """The least `coherence` that so many atoms can have."""
        return self.reading.anatomy.least_coherence

    @property
    def overcomplete(self):
        """Whether there are more atoms than inputs."""
        return self.reading.anatomy.overcomplete

    @property
    def activity(self):
        """Share of samples, or of places, where a unit is not zero."""
        return self._seen("activity")

    @property
    def active(self):
        """Share of codes that are not zero."""
        return None if self.activity is None else float(np.mean(self.activity))

    @property
    def dead(self):
        """Indices of units that are zero on all of the data."""
        return None if self.activity is None else np.flatnonzero(self.activity == 0)

    @property
    def n_dead(self):
        """How many units are zero on all of the data."""
        return None if self.activity is None else len(self.dead)

    @property
    def mean(self):
        """Mean of the layer's input."""
        return self._seen("mean")

    @property
    def r2_relu(self):
        """Share of the input's variance that one-step codes times atoms rebuild."""
        return self._seen("r2_relu")

    @property
    def r2_exact(self):
        """The same of exact codes; NaN where there are none."""
        return self._seen("r2_exact")

    @property
    def r2_linear(self):
        """The same of one-step codes and the best linear map: what they keep."""
        return self._seen("r2_linear")

    @property
    def objective_zero(self):
        """½‖x − m‖² in the mean: the objective of no code."""
        return self._seen("objective_zero")

    @property
    def objective_relu(self):
        """½‖x − m − aD‖² + Σ λ_j a_j in the mean, of one-step codes."""
        return self._seen("objective_relu")

    @property
    def objective_exact(self):
        """The same of exact codes; NaN where there are none."""
        return self._seen("objective_exact")

    @property
    def objective_gap(self):
        """What one-step codes miss of what exact ones gain; beyond 1 none is better."""
        return self._seen("objective_gap")

    @property
    def centre_distance(self):
        """Distance of the nearest centre with sparse priors, by that of samples."""
        return self._seen("centre_distance")

    @property
    def noise(self):
        """Variance of the noise in the layer's input under its density."""
        density = self._seen("density")
        return None if density is None else density.noise

    @property
    def converged(self):
        """Share of rows whose exact code was found to the tolerance."""
        return self._seen("converged")

    def summary(self):
        """Return all numbers by their names."""
        names = [name for name, *_ in COLUMNS] + list(MORE)
        return {"layer": self.name} | {name: getattr(self, name) for name in names}

    def __repr__(self):
        known = {
            heading: shown.format(value)
            for name, heading, shown in COLUMNS
            if (value := getattr(self, name)) is not None
        }
        return f"<{self.name}: " + ", ".join(f"{k} {v}" for k, v in known.items()) + ">"

    def _seen(self, name):
        observed = self.reading.observed
        return None if observed is None else getattr(observed, name)

    def _share(self, units):
        used = ~self.reading.anatomy.constant
        return float(np.mean(units[used])) if used.any() else 0.0


def place(layer, n_layers):
    """Return where a layer stands, counted from the input, and raise where none is."""
    whole("layer", layer)
    if not -n_layers <= layer < n_layers:
        raise ValueError(
            f"layer={layer} is not there: the network has {n_layers} hidden "
            f"layer{'s' if n_layers > 1 else ''}."
        )
    return layer % n_layers


def table(layers, *, with_data):
    """Return the numbers of layers in lines, a layer each, and what headings mean."""
    columns = [column for column in COLUMNS if with_data or column[0] in WITHOUT_DATA]
    rows = [["layer", *(heading for _, heading, _ in columns)]]
    for layer in layers:
        cells = [shown.format(getattr(layer, name)) for name, _, shown in columns]
        rows.append([layer.name, *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [c.rjust(w) for c, w in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]))
    lines += ["; ".join(parts if with_data else parts[:1]) for parts in LEGEND]
    return "\n".join(lines)
