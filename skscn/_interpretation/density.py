"""The probability distribution that a layer stands for.

Sparse codes with exponential priors, orthonormal atoms and Gaussian noise have an exact
likelihood. The atoms of a trained layer are not orthonormal. The nearest ones that are,
the polar factor of D, take their place; priors are those of the layer about the mean of
its input, and the variance of the noise is the one that makes the input most likely.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from skscn._core.encoders import PosteriorMeanEncoder
from skscn._core.priors import ONE_SIDED
from skscn._core.procrustes import polar_factor

LEAST = 0.01  # of the root mean square projection: priors below are taken for it
RANGE = 1e-6, 1e2  # of the noise, by the variance of the input


@dataclass(frozen=True, eq=False)
class Density:
    """Log-densities of the input of a layer.

    Parameters
    ----------
    atoms : ndarray of shape (n_units, n_inputs)
        Orthonormal rows; of an overcomplete layer orthogonal columns.
    mean : ndarray of shape (n_inputs,)
    threshold : ndarray of shape (n_units,)
        λ > 0.
    noise : float
        σ².
    """

    atoms: np.ndarray
    mean: np.ndarray
    threshold: np.ndarray
    noise: float

    @classmethod
    def fitted(cls, atoms, mean, threshold, rows):
        """Return the density with the noise that makes rows most likely, or None."""
        if not len(atoms) or not np.any(rows != rows[:1]):
            return None
        atoms = orthonormalised(atoms)
        centred = rows - mean
        typical = np.sqrt(np.mean((centred @ atoms.T) ** 2))
        threshold = np.maximum(threshold, LEAST * typical)
        variance = np.mean(centred**2)

        def cost(log_noise):
            density = cls(atoms, mean, threshold, float(np.exp(log_noise)))
            return -float(np.mean(density(rows)))

        bounds = tuple(np.log(variance) + np.log(RANGE))
        found = minimize_scalar(cost, bounds=bounds, method="bounded")
        return cls(atoms, mean, threshold, float(np.exp(found.x)))

    def __call__(self, rows):
        """Return log p of rows; where atoms are overcomplete, up to a constant.

        There the projections are not independent of each other, and the product of
        their densities is that of a product of experts.
        """
        centred = rows - self.mean
        u = centred @ self.atoms.T
        n_atoms, n_inputs = self.atoms.shape
        free = n_inputs - n_atoms
        found = np.zeros(len(rows))
        if free > 0:
            lost = centred - u @ self.atoms
            found -= np.einsum("ij,ij->i", lost, lost) / (2 * self.noise)
            found -= free / 2 * np.log(2 * np.pi * self.noise)
        code = PosteriorMeanEncoder(
            ONE_SIDED["exponential"], self.threshold[None] / self.noise, self.noise
        )
        return found + code.log_density(u)


def orthonormalised(atoms):
    """Return the nearest orthonormal atoms; of overcomplete ones the tight frame.

    A tight frame has orthogonal columns of one norm, chosen so that the mean square
    norm of its atoms is one.
    """
    n_atoms, n_inputs = atoms.shape
    if n_atoms <= n_inputs:
        return polar_factor(atoms)
    return polar_factor(atoms.T).T * np.sqrt(n_atoms / n_inputs)
