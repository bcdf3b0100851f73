"""A mixture as the prior of clean patches: theorems of Gaussian noise as oracles."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.datasets import load_sample_image

from skscn import SparseCodingMixture, denoise_image, iter_patches
from skscn._core.sparse_model import SparseModel
from skscn._restoration.mixture_prior import MixturePrior

SIGMA = 0.5


def make_patches(n_patches, seed=0):
    """Return patches of 3 × 3 of two kinds, without their own means."""
    rng = np.random.default_rng(seed)
    bases = [np.linalg.qr(rng.normal(size=(9, 9)))[0] for _ in range(2)]
    kinds = rng.integers(2, size=n_patches)
    patches = np.empty((n_patches, 9))
    for kind, basis in enumerate(bases):
        codes = rng.laplace(size=(n_patches, 9)) * np.arange(1, 10) / 3
        patches[kinds == kind] = (codes @ basis)[kinds == kind] + 2 * kind * basis[0]
    return patches - patches.mean(axis=1, keepdims=True)


@pytest.fixture(
    scope="module",
    params=[("laplace", True, 9), ("laplace", False, 6), ("spike_slab", True, 5)],
    ids=["square", "without means", "spike and slab"],
)
def mixture(request):
    prior, center, n_components = request.param
    model = SparseCodingMixture(
        2, n_components, prior=prior, center=center, random_state=0, tol=1e-2
    )
    return model.fit(make_patches(800))


def noisy_patches(n_patches):
    """Return other patches with noise of standard deviation one, as columns."""
    clean = make_patches(n_patches, seed=1) / SIGMA
    noisy = clean + np.random.default_rng(2).normal(size=clean.shape)
    return noisy.T


def test_a_patch_becomes_its_posterior_mean(mixture):
    """E[x | y] = y + σ² ∇ log p(y) for noise of variance σ² (Tweedie's formula)."""
    prior = MixturePrior.from_mixture(mixture, SIGMA, np.float64)
    noisy = noisy_patches(30)
    centered = noisy - noisy.mean(axis=0)
    labels = prior._predict(centered)
    found, noise = prior.reconstruct(centered.copy())
    assert np.unique(labels).size == 2
    step = 1e-5
    for i, label in enumerate(labels):
        encoder, mean = prior.encoders[label], prior.means[label]
        model = SparseModel(prior.components[label], mean, encoder)
        shifts = step * np.vstack([np.eye(9), -np.eye(9)])
        above, below = model.log_likelihood(centered[:, i] + shifts).reshape(2, 9)
        expected = centered[:, i] + (above - below) / (2 * step)
        np.testing.assert_allclose(found[:, i], expected, atol=1e-5)
    assert np.all((noise >= 0) & (noise < 10))


def test_classes_are_the_most_probable_gaussians(mixture):
    prior = MixturePrior.from_mixture(mixture, SIGMA, np.float64)
    noisy = noisy_patches(200)
    noisy -= noisy.mean(axis=0)
    scores = []
    for i, weight in enumerate(mixture.weights_):
        atoms, values = mixture.components_[i], mixture.prior_
        if mixture.prior == "laplace":
            variance = 2 / values["rate"][i] ** 2
        else:
            variance = values["weight"][i] * values["slab_variance"][i]
        covariance = (atoms.T * variance) @ atoms
        covariance += mixture.noise_variance_[i] * np.eye(9)
        covariance = covariance / SIGMA**2 + np.eye(9)
        mean = (mixture.means_[i] - mixture.means_[i].mean()) / SIGMA
        density = multivariate_normal(mean, covariance)
        scores.append(density.logpdf(noisy.T) + np.log(weight))
    np.testing.assert_array_equal(prior._predict(noisy), np.argmax(scores, axis=0))


def test_noise_that_vanishes_leaves_patches_as_they_are(mixture):
    patches = make_patches(50).T
    patches -= patches.mean(axis=0)
    prior = MixturePrior.from_mixture(mixture, 1e-6, np.float64)
    found, _ = prior.reconstruct(patches / 1e-6)
    np.testing.assert_allclose(found * 1e-6, patches, atol=1e-4)


def test_posterior_means_have_smaller_errors_than_the_best_linear_filter(mixture):
    clean = mixture.sample(4000, random_state=3)[0] / SIGMA
    clean -= clean.mean(axis=1, keepdims=True)
    noisy = clean + np.random.default_rng(4).normal(size=clean.shape)
    noisy -= noisy.mean(axis=1, keepdims=True)
    mean, covariance = clean.mean(axis=0), np.cov(clean.T)
    gain = covariance @ np.linalg.inv(covariance + np.eye(9))
    linear = mean + (noisy - mean) @ gain.T
    prior = MixturePrior.from_mixture(mixture, SIGMA, np.float64)
    found, _ = prior.reconstruct(noisy.T.copy())
    errors = [np.mean((each - clean) ** 2) for each in (found.T, linear)]
    assert errors[0] < 0.97 * errors[1]


def test_images_are_denoised_by_a_mixture_of_clean_patches():
    """Single precision and any number of workers give the same result."""
    image = load_sample_image("china.jpg").mean(axis=2)
    clean, image = image[:, 300:], image[150:230, 100:180]
    options = {"max_patches": 3000, "batch_size": 3000, "center": True}
    patches = next(iter_patches([clean], 6, **options, random_state=0))
    mixture = SparseCodingMixture(4, random_state=0, tol=1e-2).fit(patches)
    noisy = image + np.random.default_rng(0).normal(scale=25, size=image.shape)
    denoised = denoise_image(noisy, 25, mixture, patch_size=6)
    assert np.std(denoised - image) < 0.6 * 25
    single = denoise_image(noisy.astype(np.float32), 25, mixture, patch_size=6)
    assert single.dtype == np.float32
    # Rounding errors change the class of a few patches.
    difference = np.abs(single - denoised)
    assert np.mean(difference > 0.5) < 0.02
    assert np.mean(difference) < 0.05
    shared = denoise_image(noisy, 25, mixture, patch_size=6, n_jobs=2)
    np.testing.assert_array_equal(shared, denoised)


@pytest.mark.parametrize(
    ("parameters", "is_fitted", "message"),
    [
        ({}, False, "4 dictionaries that is not fitted"),
        ({"alpha": 0.5}, True, r"alpha=0\.5.*alpha=\"auto\""),
        ({"prior": "exponential"}, True, "codes of both signs: use one of laplace"),
        ({}, True, "n_features=9, but a patch of 8 × 8 has 64"),
    ],
)
def test_other_mixtures_are_refused(parameters, is_fitted, message):
    mixture = SparseCodingMixture(**parameters, random_state=0, tol=0.1)
    if is_fitted:
        mixture = clone(mixture).fit(make_patches(200))
    with pytest.raises(ValueError, match=message):
        denoise_image(np.random.default_rng(0).random((50, 50)), 0.1, mixture)
