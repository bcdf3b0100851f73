"""The probability density of the input of a layer.

Codes with exponential priors, orthonormal atoms and Gaussian noise have an exact
likelihood. The atoms of a trained layer are not orthonormal, and the nearest
orthonormal atoms, the polar factor of D, take their place. The priors are those of the
layer for centered inputs. The noise variance maximizes the likelihood of the inputs.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from skscn._core.encoders import PosteriorMeanEncoder
from skscn._core.priors import ONE_SIDED
from skscn._core.sparse_model import SparseModel
from skscn._interpretation.layer_geometry import orthonormalize

MIN_RELATIVE_THRESHOLD = 0.01  # times the RMS projection; smaller priors are replaced
NOISE_BOUNDS = 1e-6, 1e2  # of the noise variance, relative to that of the input


@dataclass(frozen=True, eq=False)
class LayerDensity:
    """The density of the input of a layer.

    Parameters
    ----------
    atoms : ndarray of shape (n_units, n_inputs)
        Orthonormal rows, or a tight frame.
    mean : ndarray of shape (n_inputs,)
    threshold : ndarray of shape (n_units,)
        λ > 0.
    noise_variance : float
        σ².
    """

    atoms: np.ndarray
    mean: np.ndarray
    threshold: np.ndarray
    noise_variance: float

    @classmethod
    def fit(cls, atoms, mean, threshold, rows):
        """Return the density that is most likely for rows, or None if rows are equal.

        Atoms are made orthonormal, thresholds are bounded below, and the noise variance
        is estimated.
        """
        if not len(atoms) or not np.any(rows != rows[:1]):
            return None
        atoms, centered = orthonormalize(atoms), rows - mean
        projections = centered @ atoms.T
        rms = np.sqrt(np.mean(projections**2))
        threshold = np.maximum(threshold, MIN_RELATIVE_THRESHOLD * rms)
        # Projections and residuals do not depend on the noise variance.
        n_free, energy = max(atoms.shape[1] - len(atoms), 0), 0.0
        if n_free:
            residual = centered - projections @ atoms
            energy = np.einsum("ij,ij->i", residual, residual)

        def negative_log_likelihood(log_noise):
            density = cls(atoms, mean, threshold, float(np.exp(log_noise)))
            noise = energy / (2 * density.noise_variance)
            noise += n_free / 2 * np.log(2 * np.pi * density.noise_variance)
            return -np.mean(density.encoder.log_density(projections.copy()) - noise)

        bounds = tuple(np.log(np.mean(centered**2)) + np.log(NOISE_BOUNDS))
        optimum = minimize_scalar(
            negative_log_likelihood, bounds=bounds, method="bounded"
        )
        return cls(atoms, mean, threshold, float(np.exp(optimum.x)))

    @property
    def encoder(self):
        """The encoder with the exponential priors and the noise of the density."""
        rate = self.threshold[None] / self.noise_variance
        return PosteriorMeanEncoder(ONE_SIDED["exponential"], rate, self.noise_variance)

    def log_likelihood(self, rows):
        """Return log p(x) of every row.

        The projections on a tight frame are not independent. There the result is that
        of a product of experts, known up to a constant.
        """
        if len(self.atoms) > self.atoms.shape[1]:
            return self.encoder.log_density((rows - self.mean) @ self.atoms.T)
        return SparseModel(self.atoms, self.mean, self.encoder).log_likelihood(rows)
