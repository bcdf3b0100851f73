"""A layer read as sparse coding: its anatomy, and how it codes data."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from skscn._interpretation.anatomy import Anatomy
from skscn._interpretation.density import Density
from skscn._interpretation.nonnegative_lasso import gains, is_bounded
from skscn._interpretation.operations import Units, blocks

RIDGE = 1e-8


@dataclass(frozen=True, eq=False)
class Observation:
    """How a layer codes data.

    Parameters
    ----------
    mean : ndarray of shape (n_inputs,)
        Of the layer's input.
    priors : ndarray of shape (n_units,)
        About that mean.
    activity : ndarray of shape (n_units,)
        Share of samples, or of places, where a unit is not zero.
    objective_zero, objective_relu, objective_exact : float
        ½‖x − mean − aD‖² + Σ λ_j a_j, in the mean over rows, of the code that is zero,
        of the one-step code and of the exact code; NaN where there is no exact code.
    r2_relu, r2_exact, r2_linear : float
        Share of the variance of the input that codes rebuild: one-step codes times
        atoms, exact codes times atoms, both plus the best constant, and the best linear
        map of one-step codes.
    centre_distance : float
        How far the nearest centre with sparse priors is from the mean, by the root mean
        square distance of the input from its mean; infinite where there is none.
    density : Density or None
    converged : float
        Share of rows whose exact code was found to the tolerance.
    n_rows : int
        Of how many rows objectives, shares and density are.
    """

    mean: np.ndarray
    priors: np.ndarray
    activity: np.ndarray
    objective_zero: float
    objective_relu: float
    objective_exact: float
    r2_relu: float
    r2_exact: float
    r2_linear: float
    centre_distance: float
    density: Density | None
    converged: float
    n_rows: int

    @property
    def objective_gap(self):
        """What the one-step code misses of what the exact code takes off the zero code.

        Zero where it is exact, beyond one where no code at all would be better.
        """
        best = self.objective_zero - self.objective_exact
        missed = self.objective_relu - self.objective_exact
        if best <= 0:
            return 0.0 if missed <= 0 else float("inf")
        return missed / best


@dataclass(frozen=True, eq=False)
class Reading:
    """A layer, its anatomy and, where data were given, what was observed.

    Parameters
    ----------
    units : Units
    anatomy : Anatomy
    observed : Observation or None
    """

    units: Units
    anatomy: Anatomy
    observed: Observation | None = None

    @cached_property
    def bounded(self):
        """Whether every sample has an exact code."""
        return is_bounded(self.anatomy.atoms, self.anatomy.priors)

    @property
    def density(self):
        """The distribution of the input, or an error that says why there is none."""
        name = self.units.name
        if self.observed is None:
            raise ValueError(
                f"{name}: likelihoods and posterior means need the mean and the "
                "variance of the noise of data. Give interpret_network the data, X."
            )
        if self.observed.density is not None:
            return self.observed.density
        if self.anatomy.constant.all():
            raise ValueError(f"{name} has no density: all of its weights are zero.")
        raise ValueError(
            f"{name} has no density: the data of the report do not vary in what it "
            "sees. Give interpret_network samples that differ there."
        )

    def code(self, projections, forward):
        """Return codes of pre-activations, and whether all have converged."""
        noise = self.density.noise if forward.name == "mean" else None
        if forward.name == "hard" and self.observed is None:
            raise ValueError(
                f"{self.units.name}: hard codes are about the mean of the input. Give "
                "interpret_network the data, X."
            )
        threshold = None if self.observed is None else self.observed.priors
        if forward.name == "exact" and not self.bounded:
            raise ValueError(
                f"{self.units.name} has no exact code: its atoms are dependent, or "
                "more than its inputs, and about no centre are all of its priors "
                "sparse, so that the objective falls without bound. Repair its priors "
                "first."
            )
        rows = projections.reshape(-1, projections.shape[-1])
        codes, converged = forward(
            self.anatomy.drive(rows), self.anatomy.codable(threshold, noise)
        )
        return codes.reshape(projections.shape), bool(converged.all())


def observe(operations, samples, *, max_rows, forward):
    """Return the `Reading` of every hidden layer, with what is observed on samples.

    Parameters
    ----------
    operations : sequence of Operation
    samples : ndarray of shape (n_samples, ...)
        Rows, or maps.
    max_rows : int
        Most rows whose exact codes are found, spread evenly.
    forward : Forward
        The exact one.
    """
    tallies = [_Tally(op, max_rows) for op in operations if _hidden(op)]
    parts = blocks(len(samples), operations, samples.shape[1:])
    for part in parts:
        values, left = samples[part], iter(tallies)
        for operation in operations:
            above = operation(values)
            if _hidden(operation):
                next(left).add(values, above, part.start, len(samples))
            values = above
    return [tally.reading(forward) for tally in tallies]


def _hidden(operation):
    return isinstance(operation, Units) and operation.rectified


class _Tally:
    """Sums over the input and output of a layer, and some of its rows."""

    def __init__(self, units, max_rows):
        self.units, self.max_rows = units, max_rows
        self.total: Any = 0.0
        self.active: Any = 0
        self.count = 0
        self.kept: list = []

    def add(self, below, above, start, n_samples):
        rows = self.units.rows(below)
        n_places = len(rows) // len(below)
        self.total = self.total + rows.sum(axis=0, dtype=np.float64)
        self.active = self.active + np.count_nonzero(
            above.reshape(-1, above.shape[-1]), axis=0
        )
        self.count += len(rows)
        n_all = n_samples * n_places
        n_kept = min(self.max_rows, n_all)
        chosen = (np.arange(n_kept) * n_all) // n_kept - start * n_places
        chosen = chosen[(chosen >= 0) & (chosen < len(rows))]
        self.kept.append(rows[chosen].astype(np.float64))

    def reading(self, forward):
        units, rows = self.units, np.concatenate(self.kept)
        anatomy = Anatomy.of(units.weight, units.bias)
        mean = self.total / self.count
        seen = _observation(anatomy, units, rows, mean, forward)
        return Reading(
            units,
            anatomy,
            Observation(
                mean=mean,
                priors=anatomy.about(mean),
                activity=self.active / self.count,
                n_rows=len(rows),
                **seen,
            ),
        )


def _observation(anatomy, units, rows, mean, forward):
    drive = anatomy.drive(rows @ np.asarray(units.weight, float).T + units.bias)
    atoms, gram = anatomy.atoms, anatomy.gram
    used = ~anatomy.constant
    priors = anatomy.about(mean)
    centred = rows - mean
    spread = float(np.mean(np.einsum("ij,ij->i", centred, centred)))
    relu = np.where(used, np.maximum(drive, 0), 0)
    zero = spread / 2
    found = {
        "objective_zero": zero,
        "objective_relu": zero - float(np.mean(gains(relu, drive, gram))),
        "objective_exact": float("nan"),
        "r2_relu": _share(centred, relu @ atoms, spread),
        "r2_exact": float("nan"),
        "r2_linear": _linear_share(relu, centred),
        "centre_distance": float("inf"),
        "converged": float("nan"),
        "density": Density.fitted(atoms[used], mean, priors[used], rows),
    }
    if is_bounded(atoms, anatomy.priors):
        exact, converged = forward(drive, anatomy.codable())
        found["converged"] = float(np.mean(converged))
        exact = np.where(used, exact, 0)
        found["objective_exact"] = zero - float(np.mean(gains(exact, drive, gram)))
        found["r2_exact"] = _share(centred, exact @ atoms, spread)
        # What the exact code of the mean leaves of it is the nearest point about which
        # no prior is negative: the dual of the objective.
        at_mean, _ = forward(-priors[None], anatomy.codable())
        moved = float(np.linalg.norm(np.where(used, at_mean, 0) @ atoms))
        found["centre_distance"] = moved / np.sqrt(spread) if spread else 0.0
    return found


def _share(centred, rebuilt, spread):
    left = centred - rebuilt
    left = left - left.mean(axis=0)
    return _r2(left, spread)


def _linear_share(codes, centred):
    codes = codes - codes.mean(axis=0)
    target = centred - centred.mean(axis=0)
    scatter = codes.T @ codes
    scatter[np.diag_indices(len(scatter))] += RIDGE * (np.trace(scatter) or 1.0)
    decoder = np.linalg.solve(scatter, codes.T @ target)
    spread = float(np.mean(np.einsum("ij,ij->i", target, target)))
    return _r2(target - codes @ decoder, spread)


def _r2(left, spread):
    lost = float(np.mean(np.einsum("ij,ij->i", left, left)))
    return 1.0 - lost / spread if spread else float("nan")
