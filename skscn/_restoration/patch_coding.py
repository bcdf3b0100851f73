"""How the patches of the first pass are coded: by which atoms, and which prior."""

import numpy as np
from sklearn.base import clone

from skscn._coders.orthogonal import OrthogonalSparseCoder
from skscn._core.encoders import MapEncoder, PosteriorMeanEncoder
from skscn._core.priors import SIGNED
from skscn._core.procrustes import polar_factor
from skscn._restoration.noise_estimation import cosine_products
from skscn._restoration.passes import PatchCode

# In units of the noise, for atoms that come without the numbers of their priors.
THRESHOLDS = {"spike_slab": 2.7, "laplace": 1.4}
EM_STEPS = 20
LEAST = 1e-3  # variance of a coefficient, to start from
ALTERNATIONS = 10  # of codes and dictionary, from cosines: more gain nothing


def patch_code(coder, patches, kernel, units):
    """Return how the patches of a plane are coded.

    Parameters
    ----------
    coder : OrthogonalSparseCoder or None
        Fitted in the units of the image, or to be fitted to these patches.
    patches : ndarray of shape (n_patches, n_entries)
        In units of the noise.
    kernel : tuple of int
    units : Units
    """
    dtype = patches.dtype
    patches = patches - patches.mean(axis=1, keepdims=True)
    if coder is None:
        prior, threshold = SIGNED["spike_slab"], THRESHOLDS["spike_slab"]
        atoms = cosine_products(kernel)
        for _ in range(ALTERNATIONS):
            codes = prior.map_code(patches @ atoms.T.astype(dtype), threshold)
            atoms = polar_factor(codes.T @ patches, atoms)
        return PatchCode(atoms.astype(dtype), MapEncoder(prior, threshold))
    if _is_fitted(coder):
        sigma = float(np.sqrt(np.mean(units.sigma**2)))
        code = _code_of(coder, sigma, dtype)
    else:
        sigma = 1.0
        coder, code = _learned(coder, patches)
    mean = (coder.mean_ - coder.mean_.mean()) / sigma
    return PatchCode(coder.components_.astype(dtype), code, mean.astype(dtype))


def _learned(coder, patches):
    """Return a coder fitted to noisy patches in units of the noise, and its code.

    A prior that is learned is learned after the dictionary: with as many atoms as
    entries noise and codes can only be told apart because the noise is known.
    """
    dtype = patches.dtype
    coder, prior = clone(coder), SIGNED[coder.prior]
    learns = isinstance(coder.alpha, str) or coder.inference == "mean"
    if isinstance(coder.alpha, str):
        coder.set_params(alpha=THRESHOLDS[coder.prior])
    inference = coder.inference
    coder.set_params(inference="map").fit(patches)
    if not learns:
        return coder, MapEncoder.from_thresholds(prior, coder.alpha_, dtype)
    projections = (patches - coder.mean_) @ coder.components_.T
    variance = np.maximum(projections.var(axis=0, dtype=np.float64) - 1, LEAST)
    low, high = (limit[:, None] for limit in prior.bounds(float(variance.max())))
    parameters = prior.initial_parameters(variance, np.zeros(len(variance)))
    for _ in range(EM_STEPS):
        _, sums = PosteriorMeanEncoder(prior, parameters, 1.0).encode_and_sum(
            projections.copy()
        )
        found = prior.to_unconstrained(prior.m_step(sums[1:], len(projections)))
        parameters = prior.from_unconstrained(np.clip(found, low, high))
    return coder, _code(prior, parameters, inference, dtype)


def _code_of(coder, sigma, dtype):
    """Return the code of a fitted coder, for projections in units of the noise.

    Its priors where it has learned them, whatever the noise that it met; thresholds in
    proportion to the noise where it was given thresholds.
    """
    prior = SIGNED[coder.prior]
    if not coder._learned_prior:
        return MapEncoder(prior, THRESHOLDS[coder.prior])
    scales = {"rate": sigma, "weight": 1.0, "slab_variance": sigma**-2}
    numbers = coder.prior_
    parameters = np.array(
        [
            numbers[name].astype(np.float64) * scales[name]
            for name in prior.parameter_names
        ]
    )
    return _code(prior, parameters, coder.inference, dtype)


def _code(prior, parameters, inference, dtype):
    if inference == "mean":
        return PosteriorMeanEncoder(prior, parameters, 1.0)
    threshold, shrinkage = prior.map_rule(parameters, 1.0)
    return MapEncoder.from_thresholds(prior, threshold, dtype, shrinkage)


def check_coder(coder, kernels):
    """Raise where a coder cannot code patches of these shapes."""
    if not isinstance(coder, OrthogonalSparseCoder):
        raise TypeError(
            f"coder is a {type(coder).__name__}, but must be an OrthogonalSparseCoder: "
            "patches without their means are coded with both signs."
        )
    if _is_fitted(coder):
        for kernel in kernels:
            if np.prod(kernel) != coder.n_features_in_:
                raise ValueError(
                    f"The coder was fitted to n_features={coder.n_features_in_}, but "
                    f"patches of {kernel[0]} × {kernel[1]} have {np.prod(kernel)} "
                    "numbers. Make patch_size**2 equal to the first; of images with "
                    "channels each plane is coded by itself."
                )


def _is_fitted(coder):
    return hasattr(coder, "components_")
