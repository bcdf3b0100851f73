"""What the weights of a layer say by themselves: atoms, priors, and their angles.

A unit computes max(w·x + b, 0). With its norm s = ‖w‖ that is s · max(d·x − λ, 0), with
an atom d = w/s and a prior λ = −b/s: the most probable code of x, if atoms are
orthonormal. About a centre m of the samples, x = m + y, the same unit has the prior
λ − d·m.
"""

from dataclasses import dataclass

import numpy as np

from skscn._interpretation.forwards import Atoms

TINY = 1e-6  # of the largest norm: a unit with smaller weights is a constant
ROUNDING = 1e-6  # of float32: a prior about the mean that is zero but for it


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Atoms and priors of a layer, and how far the atoms are from orthonormal.

    Parameters
    ----------
    atoms : ndarray of shape (n_units, n_inputs)
        Of norm one; zero where the weights are.
    norms : ndarray of shape (n_units,)
        What codes are multiplied with; one where the weights are zero.
    priors : ndarray of shape (n_units,)
        λ.
    constant : ndarray of shape (n_units,), bool
        Units without weights.
    gram : ndarray of shape (n_units, n_units)
    gap : float
        Frobenius norm of D Dᵀ − I over units with atoms.
    least_gap : float
        The least that so many unit atoms in so many dimensions can have (Welch's
        bound): zero unless they are overcomplete.
    coherence : float
        Largest |⟨d_i, d_j⟩| of two atoms.
    least_coherence : float
        The least that it can be.
    """

    atoms: np.ndarray
    norms: np.ndarray
    priors: np.ndarray
    constant: np.ndarray
    gram: np.ndarray
    gap: float
    least_gap: float
    coherence: float
    least_coherence: float

    @classmethod
    def of(cls, weight, bias):
        """Return the anatomy of weights (n_units, n_inputs) and biases."""
        weight = np.asarray(weight, dtype=np.float64)
        norms = np.linalg.norm(weight, axis=1)
        constant = norms <= TINY * np.max(norms, initial=0.0)
        norms = np.where(constant, 1.0, norms)
        atoms = np.where(constant[:, None], 0.0, weight / norms[:, None])
        gram = atoms @ atoms.T
        gram[np.diag_indices(len(gram))] = np.where(constant, 0.0, 1.0)
        n_atoms, n_inputs = int(np.sum(~constant)), weight.shape[1]
        apart = np.abs(gram - np.diag(np.diag(gram)))
        beyond = max(n_atoms - n_inputs, 0)
        return cls(
            atoms=atoms,
            norms=norms,
            priors=-np.asarray(bias, dtype=np.float64) / norms,
            constant=constant,
            gram=gram,
            gap=float(np.linalg.norm(apart)),
            least_gap=float(np.sqrt(n_atoms * beyond / n_inputs)),
            coherence=float(np.max(apart, initial=0.0)),
            least_coherence=float(np.sqrt(beyond / (n_inputs * max(n_atoms - 1, 1)))),
        )

    @property
    def overcomplete(self):
        """Whether there are more atoms than inputs: they cannot be orthonormal."""
        return int(np.sum(~self.constant)) > self.atoms.shape[1]

    def about(self, mean):
        """Return the priors about a centre of the layer's input."""
        moved = self.atoms @ mean
        priors = self.priors - moved
        rounding = ROUNDING * (np.abs(self.priors) + np.abs(moved))
        return np.where(np.abs(priors) <= rounding, 0.0, priors)

    def drive(self, projections):
        """Return v = u − λ of pre-activations, in their dtype."""
        return projections / self.norms.astype(projections.dtype)

    def codable(self, threshold=None, noise=None):
        """Return what a `Forward` needs to know."""
        threshold = self.priors if threshold is None else threshold
        return Atoms(self.gram, threshold, self.constant, noise)
