"""From what the units of a layer see to codes: the ReLU, and stronger transformations.

Codes are in units of the atoms, which have norm one. v = u − λ are the pre-activations
of a layer by the norms of its weights, and do not depend on where samples are centred;
u = v + λ do.
"""

from dataclasses import dataclass
from numbers import Integral

import numpy as np

from skscn._core import marginals
from skscn._core.workspace import Workspace
from skscn._interpretation.nonnegative_lasso import exact_codes, unrolled_codes

FORWARDS = ("relu", "exact", "unrolled", "hard", "mean")
TOL = 1e-6


@dataclass(frozen=True)
class Forward:
    """A transformation by its name, and its numbers.

    Parameters
    ----------
    name : {"relu", "exact", "unrolled", "hard", "mean"}
    n_steps : int
        Of "unrolled".
    tol : float
        Of "exact".
    max_iter : int
        Of "exact".
    """

    name: str = "relu"
    n_steps: int = 5
    tol: float = TOL
    max_iter: int = 1000

    def __call__(self, drive, atoms):
        """Return codes, and whether each row has converged.

        Parameters
        ----------
        drive : ndarray of shape (n_rows, n_units)
            v = u − λ.
        atoms : Atoms
        """
        converged = np.ones(len(drive), dtype=bool)
        if self.name == "relu":
            codes = np.maximum(drive, 0)
        elif self.name == "exact":
            codes, converged = exact_codes(
                drive, atoms.gram, tol=self.tol, max_iter=self.max_iter
            )
            codes = codes.astype(drive.dtype, copy=False)
        elif self.name == "unrolled":
            codes = unrolled_codes(drive, atoms.gram, self.n_steps)
        elif self.name == "hard":
            # Where a prior is negative nothing was shrunk, and nothing is given back.
            kept = drive + np.maximum(atoms.threshold, 0).astype(drive.dtype)
            codes = np.where(drive > 0, kept, drive.dtype.type(0))
        else:
            codes = posterior_means(drive, atoms.noise)
        if atoms.constant.any() and self.name in ("hard", "mean"):
            at = atoms.constant
            codes[:, at] = np.maximum(drive[:, at], 0)
        return codes, converged


@dataclass(frozen=True, eq=False)
class Atoms:
    """What a transformation needs to know of a layer.

    Parameters
    ----------
    gram : ndarray of shape (n_units, n_units)
        D Dᵀ.
    threshold : ndarray of shape (n_units,)
        λ, about the mean of the layer's input where it is known.
    constant : ndarray of shape (n_units,), bool
        Units whose weights are zero: they have no atom.
    noise : float or None
        σ².
    """

    gram: np.ndarray
    threshold: np.ndarray
    constant: np.ndarray
    noise: float | None = None


def whole(name, value, least=None):
    """Raise where a parameter is no integer, or less than the least."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name}={value!r} must be an integer.")
    if least is not None and value < least:
        raise ValueError(f"{name}={value} must be at least {least}.")


def posterior_means(drive, noise):
    """Return the means of N(v, σ²) cut off below zero: a ReLU with a smooth corner."""
    z = drive / drive.dtype.type(np.sqrt(noise))
    marginals.exponential_posterior(z, np.zeros_like(z), Workspace())
    return z * drive.dtype.type(np.sqrt(noise))
