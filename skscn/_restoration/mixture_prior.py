"""A mixture that was learned from clean patches, as the prior of noisy ones.

Under each dictionary of a fitted `SparseCodingMixture`, a clean patch is x = m + a D
+ ε with ε ~ N(0, s² I). White noise of variance one only adds to that of ε, so that the
posterior mean of x given the noisy patch is again a scalar function of its projections.
"""

from dataclasses import dataclass

import numpy as np

from skscn._core.encoders import PosteriorMeanEncoder
from skscn._core.priors import SIGNED
from skscn._core.procrustes import complete_orthonormal
from skscn._restoration.gaussian_classes import GaussianClasses


@dataclass(frozen=True)
class MixturePrior:
    """Dictionaries of clean patches, for patches with noise of variance one.

    Parameters
    ----------
    means : ndarray of shape (n_dictionaries, n_entries)
        Without their own means, which the patches do not have either.
    components : ndarray of shape (n_dictionaries, n_components, n_entries)
        The dictionaries, orthonormal rows.
    encoders : list of PosteriorMeanEncoder
        Of projections of noisy patches.
    gains : ndarray of shape (n_dictionaries,)
        s² / (s² + 1): the part of a residual that is not noise.
    classes : GaussianClasses
        Densities with the covariances of the noisy patches of the dictionaries.
    """

    means: np.ndarray
    components: np.ndarray
    encoders: list
    gains: np.ndarray
    classes: GaussianClasses

    def reconstruct(self, patches):
        """Overwrite patches with their posterior means; return them and their noise.

        Each patch is coded by the dictionary of its most probable Gaussian class, which
        takes a small part of the time of exact likelihoods.

        Parameters
        ----------
        patches : ndarray of shape (n_entries, n_patches)
            Without their own means.

        Returns
        -------
        patches : ndarray of shape (n_entries, n_patches)
        noise : ndarray of shape (n_patches,)
            The noise variance that remains, summed over the entries.
        """
        labels = self._predict(patches)
        noise = np.empty_like(patches[0])
        for label in np.unique(labels):
            which = np.flatnonzero(labels == label)
            patches[:, which], noise[which] = self._denoise(label, patches[:, which])
        return patches, noise

    def _predict(self, patches):
        if not self.means.any():
            return self.classes.predict(patches)
        # The class is that of the patch minus the mean of each: one more entry.
        ones = np.ones((1, patches.shape[1]), patches.dtype)
        return self.classes.predict(np.concatenate([patches, ones]))

    def _denoise(self, label, noisy):
        """Return the posterior means of the patches of one dictionary, and noise."""
        atoms, mean = self.components[label], self.means[label][:, None]
        gain = self.gains[label]
        centered = noisy - mean
        projections = atoms @ centered
        # The samples of an encoder are rows, and these patches are columns.
        codes = self.encoders[label].encode(projections.T.copy()).T
        # The noise ε of the clean patch is a part of its projections, too.
        codes += gain * (projections - codes)
        factors = codes / np.where(projections == 0, 1, projections)
        noise = np.einsum("ij,ij->j", factors, factors)
        noise += gain**2 * (len(noisy) - len(atoms))
        clean = mean + atoms.T @ (codes - gain * projections) + gain * centered
        return clean, noise

    @classmethod
    def from_mixture(cls, mixture, sigma, dtype):
        """Return the prior of patches with noise of standard deviation `sigma`.

        Parameters
        ----------
        mixture : SparseCodingMixture
            Fitted to clean patches, with learned priors.
        sigma : float
            In the units of these patches.
        dtype : dtype of the noisy patches
        """
        prior = SIGNED[mixture.prior]
        means = (mixture.means_ - mixture.means_.mean(axis=1, keepdims=True)) / sigma
        clean_noise = mixture.noise_variance_ / sigma**2
        encoders, matrices, offsets = [], [], []
        for i, noise in enumerate(clean_noise):
            values = (mixture.prior_[name][i] for name in prior.parameter_names)
            parameters = prior.rescaled(np.array([*values], dtype=np.float64), sigma)
            encoders.append(PosteriorMeanEncoder(prior, parameters, noise + 1.0))
            variance = prior.variance(parameters) + noise + 1.0
            matrix, log_det = _whitening(mixture.components_[i], variance, noise + 1.0)
            matrices.append(np.column_stack([matrix, -matrix @ means[i]]))
            offsets.append(log_det - 2 * np.log(mixture.weights_[i]))
        whitening = np.array(matrices, dtype)
        if not means.any():
            whitening = np.ascontiguousarray(whitening[:, :, :-1])
        return cls(
            means.astype(dtype),
            mixture.components_.astype(dtype),
            encoders,
            (clean_noise / (clean_noise + 1)).astype(dtype),
            GaussianClasses(whitening, np.array(offsets, dtype)),
        )


def _whitening(atoms, variance, residual_variance):
    """Return a matrix that whitens noisy patches, and log det of their covariance."""
    n_components, n_entries = atoms.shape
    atoms = atoms.astype(np.float64)
    others = np.zeros((n_entries - n_components, n_entries))
    others = complete_orthonormal(others, atoms)
    variance = np.append(variance, np.full(len(others), residual_variance))
    basis = np.vstack([atoms, others])
    return basis / np.sqrt(variance)[:, None], np.log(variance).sum()
