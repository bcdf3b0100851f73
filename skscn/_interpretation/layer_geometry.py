"""The weights of a layer as unit-norm atoms with priors.

A unit computes max(w·x + b, 0). With the norm s = ‖w‖ this is s · max(d·x − λ, 0), with
the atom d = w/s and the prior λ = −b/s. If the atoms are orthonormal, max(d·x − λ, 0)
is the most probable code of x. The same unit has the prior λ − d·m for samples that are
centered at m.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skscn._core.procrustes import polar_factor
from skscn._interpretation.nonnegative_lasso import is_bounded

MIN_RELATIVE_NORM = 1e-6  # relative to the largest norm; units below it are constant
FLOAT32_TOLERANCE = 1e-6  # relative; a centered prior closer to zero is zero


@dataclass(frozen=True, eq=False)
class LayerGeometry:
    """Atoms, norms, priors and Gram matrix of a layer.

    Parameters
    ----------
    atoms : ndarray of shape (n_units, n_inputs)
        Rows of norm one, and zeros for constant units.
    norms : ndarray of shape (n_units,)
        Norms of the weights, and one for constant units.
    priors : ndarray of shape (n_units,)
        λ.
    is_constant : ndarray of shape (n_units,), bool
        Units whose weights are zero.
    gram : ndarray of shape (n_units, n_units)
        D Dᵀ.
    """

    atoms: np.ndarray
    norms: np.ndarray
    priors: np.ndarray
    is_constant: np.ndarray
    gram: np.ndarray

    @classmethod
    def from_layer(cls, layer):
        """Return the geometry of an `AffineLayer`."""
        weight = layer.weight.astype(np.float64)
        # Scaled by a power of two, so that squares neither overflow nor vanish.
        _, exponent = np.frexp(np.max(np.abs(weight), initial=0.0))
        weight = np.ldexp(weight, -exponent)
        norms = np.linalg.norm(weight, axis=1)
        is_constant = norms <= MIN_RELATIVE_NORM * np.max(norms, initial=0.0)
        norms = np.where(is_constant, 1.0, norms)
        atoms = np.where(is_constant[:, None], 0.0, weight / norms[:, None])
        norms = np.where(is_constant, 1.0, np.ldexp(norms, exponent))
        gram = atoms @ atoms.T
        gram[np.diag_indices(len(gram))] = np.where(is_constant, 0.0, 1.0)
        priors = -layer.bias.astype(np.float64) / norms
        return cls(atoms, norms, priors, is_constant, gram)

    @cached_property
    def has_exact_codes(self):
        """Whether the objective of codes has a minimum for every sample."""
        return is_bounded(self.atoms, self.priors)

    def centered_priors(self, mean):
        """Return the priors λ − d·m for samples that are centered at their mean m."""
        offsets = self.atoms @ mean
        priors = self.priors - offsets
        tolerance = FLOAT32_TOLERANCE * (np.abs(self.priors) + np.abs(offsets))
        return np.where(np.abs(priors) <= tolerance, 0.0, priors)

    def unit_fraction(self, is_counted):
        """Return the fraction of the units with weights that are counted."""
        is_used = ~self.is_constant
        return float(np.mean(is_counted[is_used])) if is_used.any() else 0.0


def orthonormalize(atoms):
    """Return the nearest orthonormal atoms, or the nearest tight frame.

    More atoms than inputs cannot be orthonormal. They become a tight frame: its columns
    are orthogonal and of equal norm, such that the mean squared norm of its atoms is 1.
    """
    n_atoms, n_inputs = atoms.shape
    if n_atoms <= n_inputs:
        return polar_factor(atoms)
    return polar_factor(atoms.T).T * np.sqrt(n_atoms / n_inputs)
