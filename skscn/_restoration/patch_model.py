"""The model of the patches of the first pass: a dictionary and an encoder.

Patches are given without their means and in units of the noise, whose standard
deviation is therefore one.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.base import clone

from skscn._coders.mixture import SparseCodingMixture
from skscn._core.encoders import MapEncoder, PosteriorMeanEncoder
from skscn._core.priors import SIGNED
from skscn._core.procrustes import polar_factor
from skscn._restoration.mixture_prior import MixturePrior
from skscn._restoration.patches import dct_matrix, join_channels

# λ in units of the noise, where the coder has no learned prior. These values measured
# best on photographs.
THRESHOLDS = {"spike_slab": 2.7, "laplace": 1.4}
N_ALTERNATIONS = 10  # of codes and dictionary, from the DCT; more do not improve it
N_EM_ITERATIONS = 20
MIN_INITIAL_VARIANCE = 1e-3  # of a coefficient, in units of the noise


@dataclass(frozen=True)
class PatchModel:
    """A sparse model of patches whose own means have been subtracted.

    Parameters
    ----------
    components : ndarray of shape (n_components, n_entries)
        The dictionary, orthonormal rows.
    encoder : MapEncoder or PosteriorMeanEncoder
        Of projections in units of the noise.
    mean : ndarray of shape (n_entries,), default=None
        Mean of the model. None stands for zero.
    """

    components: np.ndarray
    encoder: MapEncoder | PosteriorMeanEncoder
    mean: np.ndarray | None = None

    def reconstruct(self, patches):
        """Overwrite patches with their reconstructions; return them and their noise.

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
        if self.mean is not None:
            patches -= self.mean[:, None]
        projections = self.components @ patches
        # The samples of an encoder are rows, and these patches are columns.
        if isinstance(self.encoder, MapEncoder) and self.encoder.shrinkage is None:
            codes = self.encoder.encode(projections.T).T
            noise = np.count_nonzero(codes, axis=0)
        else:
            codes = self.encoder.encode(projections.T.copy()).T
            gains = codes / np.where(codes == 0, 1, projections)
            noise = np.einsum("ij,ij->j", gains, gains)
        np.matmul(self.components.T, codes, out=patches)
        if self.mean is not None:
            patches += self.mean[:, None]
        return patches, noise


def fit_patch_model(coder, sigma, patches):
    """Return the model of the noisy patches of one or several channels.

    It is a `PatchModel`, or a `MixturePrior` for a mixture.

    Parameters
    ----------
    coder : OrthogonalSparseCoder, SparseCodingMixture or None
        Fitted to patches in the units of the image, or not fitted.
    sigma : ndarray of shape (n_channels,)
        Standard deviations of the noise, in the units of the image.
    patches : ndarray of shape (n_channels, n_patches, *kernel)
        In units of the noise. The channels are coded jointly.
    """
    dtype, n_channels, kernel = patches.dtype, len(patches), patches.shape[2:]
    if isinstance(coder, SparseCodingMixture):
        return MixturePrior.from_mixture(coder, _root_mean_square(sigma), dtype)
    patches = join_channels(patches)
    if coder is None:
        prior, threshold = SIGNED["spike_slab"], THRESHOLDS["spike_slab"]
        components = np.kron(np.eye(n_channels), dct_matrix(kernel))
        for _ in range(N_ALTERNATIONS):
            codes = prior.map_code(patches @ components.T.astype(dtype), threshold)
            components = polar_factor(codes.T @ patches, components)
        return PatchModel(components.astype(dtype), MapEncoder(prior, threshold))
    if hasattr(coder, "components_"):  # in the units of the image
        noise_std = _root_mean_square(sigma)
        encoder = _encoder_of_fitted(coder, noise_std, dtype)
    else:  # in units of the noise
        noise_std = 1.0
        coder, encoder = _fit_coder(coder, patches)
    mean = (coder.mean_ - coder.mean_.mean()) / noise_std
    return PatchModel(coder.components_.astype(dtype), encoder, mean.astype(dtype))


def _root_mean_square(sigma):
    return float(np.sqrt(np.mean(sigma**2)))


def _encoder_of_fitted(coder, sigma, dtype):
    """Return the encoder of a fitted coder, for projections in units of the noise.

    A prior that was learned is kept, whatever noise it was learned with. A threshold
    that was given is replaced by a threshold for this noise.
    """
    prior = SIGNED[coder.prior]
    if not coder._learned_prior:
        return MapEncoder(prior, THRESHOLDS[coder.prior])
    values = (coder.prior_[name] for name in prior.parameter_names)
    parameters = prior.rescaled(np.array([*values], dtype=np.float64), sigma)
    return _encoder(prior, parameters, coder.inference, dtype)


def _fit_coder(coder, patches):
    """Return a coder fitted to noisy patches, and its encoder.

    A prior is learned after the dictionary, for the known noise. With as many atoms as
    entries, the variance of the noise cannot be learned too: no residual shows it.
    """
    prior, inference = SIGNED[coder.prior], coder.inference
    is_auto = isinstance(coder.alpha, str)
    coder = clone(coder).set_params(inference="map")
    if is_auto:
        coder.set_params(alpha=THRESHOLDS[coder.prior])
    coder.fit(patches)
    if inference == "map" and not is_auto:
        return coder, MapEncoder.from_thresholds(prior, coder.alpha_, patches.dtype)
    projections = (patches - coder.mean_) @ coder.components_.T
    parameters = _learn_prior(prior, projections)
    return coder, _encoder(prior, parameters, inference, patches.dtype)


def _learn_prior(prior, projections):
    """Return the parameters of a prior with the largest likelihood of projections.

    This is the EM algorithm for a fixed dictionary and a noise variance of one. The
    E-step sums posterior expectations over the samples, and the M-step of the prior
    follows from these sums.
    """
    variance = projections.var(axis=0, dtype=np.float64) - 1
    variance = np.maximum(variance, MIN_INITIAL_VARIANCE)
    lower, upper = (bound[:, None] for bound in prior.bounds(float(variance.max())))
    parameters = prior.initial_parameters(variance, is_central=True)
    for _ in range(N_EM_ITERATIONS):
        encoder = PosteriorMeanEncoder(prior, parameters, 1.0)
        _, sums = encoder.encode_and_sum(projections.copy())
        theta = prior.to_unconstrained(prior.m_step(sums[1:], len(projections)))
        parameters = prior.from_unconstrained(np.clip(theta, lower, upper))
    return parameters


def _encoder(prior, parameters, inference, dtype):
    if inference == "mean":
        return PosteriorMeanEncoder(prior, parameters, 1.0)
    threshold, shrinkage = prior.map_rule(parameters, 1.0)
    return MapEncoder.from_thresholds(prior, threshold, dtype, shrinkage)
