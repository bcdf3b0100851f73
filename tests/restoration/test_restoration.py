"""Denoising and inpainting: what holds for any image, and that they do their work."""

import numpy as np
import pytest
from joblib import parallel_config

from skscn import (
    NonNegativeSparseCoder,
    OrthogonalSparseCoder,
    denoise_image,
    inpaint_image,
)
from skscn._core.encoders import MapEncoder
from skscn._core.priors import SIGNED
from skscn._restoration.channels import Units
from skscn._restoration.noise_estimation import cosine_products, noise_level
from skscn._restoration.passes import Coded, PatchCode, Refined
from skscn._restoration.patch_classes import Classes
from skscn._restoration.tiled_passes import averaged, random_patches, units_of
from skscn._restoration.tiles import gather, spread, tiles

QUICK = {"n_classes": 8, "max_patches": 3000, "patch_size": 6}


def textured(height=96, width=80, seed=0):
    """Return stripes, edges and a ramp, from 0 to 255."""
    y, x = np.mgrid[:height, :width]
    angle = np.random.default_rng(seed).uniform(0, np.pi)
    stripes = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 1.3)
    image = np.where(x < width / 2, 110 + 60 * stripes, 40 + 2 * y)
    image[height // 3 : height // 2, width // 4 : width - 9] = 210
    return np.clip(image, 0, 255)


def noisy(image, sigma, seed=0):
    return image + np.random.default_rng(seed).normal(0, sigma, image.shape)


def psnr(found, image):
    return 10 * np.log10(255**2 / np.mean((np.asarray(found, float) - image) ** 2))


@pytest.mark.parametrize("stride", [(1, 1), (2, 3), (5, 4)])
@pytest.mark.parametrize("shape", [(6, 5), (37, 53), (300, 11)])
def test_patches_of_all_tiles_make_the_image(shape, stride, rng, monkeypatch):
    monkeypatch.setattr("skscn._restoration.tiles.TILE_NUMBERS", 2000)
    image, kernel = rng.normal(size=shape), (5, 4)
    total, weight = np.zeros(shape), np.zeros(shape)
    for tile in tiles(shape, kernel, stride):
        patches = gather(image[tile.region], tile)
        weights = rng.uniform(1, 2, size=patches.shape[1])
        values, sums = spread(patches * weights, weights, tile)
        total[tile.region] += values
        weight[tile.region] += sums
    assert weight.min() >= 1
    np.testing.assert_allclose(total / weight, image, atol=1e-12)


def test_gathered_patches_are_the_windows_of_the_image(rng):
    image = rng.normal(size=(20, 30))
    (tile,) = tiles(image.shape, (3, 4), (1, 1))
    views = np.lib.stride_tricks.sliding_window_view(image, (3, 4))
    np.testing.assert_array_equal(gather(image, tile), views.reshape(-1, 12).T)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_planes_are_an_orthonormal_change_of_units(channels, rng):
    pixels = rng.normal(size=(50, channels)) @ rng.normal(size=(channels, channels))
    sigma = rng.uniform(0.5, 2, size=channels)
    units = Units.of(pixels, sigma, np.dtype(np.float64))
    planes = units.planes(pixels)
    size = np.linalg.norm((pixels - pixels.mean(axis=0)) / sigma, axis=1)
    np.testing.assert_allclose(np.linalg.norm(planes, axis=0), size)
    scatter = planes @ planes.T
    np.testing.assert_allclose(scatter, np.diag(np.diag(scatter)), atol=1e-9)
    np.testing.assert_allclose(units.pixels(planes), pixels, atol=1e-12)


def test_a_threshold_of_zero_is_the_identity(rng):
    image = rng.normal(size=(40, 30, 1))
    units = Units(np.zeros(1), np.ones(1), np.eye(1), np.dtype(np.float64))
    code = PatchCode(cosine_products((5, 4)), MapEncoder(SIGNED["spike_slab"], 0.0))
    planes = averaged(
        image, None, [((5, 4), Coded((code,)))], units, stride=2, n_jobs=1
    )
    np.testing.assert_allclose(planes[0], image[..., 0], atol=1e-12)


def test_small_noise_changes_little():
    image = textured()
    found = denoise_image(image, sigma=1e-6, **QUICK)
    np.testing.assert_allclose(found, image, atol=1e-5)
    np.testing.assert_array_equal(denoise_image(image, sigma=0), image)


def test_rebuilt_patches_are_those_of_the_coder(rng):
    rows = rng.normal(size=(200, 16))
    coder = OrthogonalSparseCoder(9, prior="laplace", alpha=0.7, center=False)
    rows -= rows.mean(axis=1, keepdims=True)
    coder.fit(rows)
    code = PatchCode(coder.components_, MapEncoder(SIGNED["laplace"], 0.7))
    shifted = (rows + 5.0).T.copy()
    weights = code.rebuild(shifted)
    codes = coder.transform(rows)
    expected = coder.inverse_transform(codes) + 5.0
    np.testing.assert_allclose(shifted.T, expected, atol=1e-10)
    np.testing.assert_allclose(weights, 16 / (1 + (codes != 0).sum(axis=1)))


@pytest.mark.parametrize("n_planes", [1, 2])
def test_the_refined_pass_is_the_wiener_filter_of_each_patch(n_planes, rng):
    kernel = (4, 4)
    planes, guides = rng.normal(size=(2, n_planes, 20, 25))
    guides[:, :10] *= 5
    (tile,) = tiles((20, 25), kernel, (1, 1))
    sample = np.array([gather(guide, tile).T for guide in guides])
    classes = Classes.learned(sample, kernel, 3)
    labels = classes.labels(gather(guides[0], tile))
    assert len(np.unique(labels)) > 1
    found = Refined(classes)(planes, guides, tile)
    for plane, guide, atoms, (total, weight) in zip(
        planes, guides, classes.atoms, found, strict=True
    ):
        rebuilt, weights = [], []
        pairs = zip(gather(plane, tile).T, gather(guide, tile).T, labels, strict=True)
        for x, y, label in pairs:
            basis = atoms[label]
            np.testing.assert_allclose(basis @ basis.T, np.eye(16), atol=1e-10)
            v = basis @ (y - y.mean())
            gain = v**2 / (v**2 + 1)
            weights.append(16 / (1 + np.sum(gain**2)))
            rebuilt.append(basis.T @ (gain * (basis @ (x - x.mean()))) + x.mean())
        weights = np.array(weights)
        expected = spread(np.array(rebuilt).T * weights, weights, tile)
        np.testing.assert_allclose(total, expected[0], atol=1e-9)
        np.testing.assert_allclose(weight, expected[1], atol=1e-9)


def test_classes_are_those_of_largest_density(rng):
    patches = rng.normal(size=(1, 500, 9)) * rng.choice([0.1, 1, 5], size=(500, 1))
    classes = Classes.learned(patches, (3, 3), 5)
    rows = patches[0] - patches[0].mean(axis=1, keepdims=True)
    components = rows @ classes.axes.T
    distances = [
        ((components @ root.T) ** 2).sum(axis=1) + offset
        for root, offset in zip(classes.whiten, classes.offset, strict=True)
    ]
    np.testing.assert_array_equal(
        classes.labels(patches[0].T), np.argmin(distances, axis=0)
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("sigma", [15, 40])
def test_denoising_beats_cosines_and_each_refinement_gains(seed, sigma):
    image = textured(seed=seed)
    given = noisy(image, sigma, seed)
    cosines = OrthogonalSparseCoder(
        prior="spike_slab",
        alpha=2.7,
        center=False,
        init=cosine_products((6, 6)),
        max_iter=0,
    )
    by_cosines = denoise_image(given, sigma, cosines, n_refinements=0, **QUICK)
    found = [
        psnr(denoise_image(given, sigma, n_refinements=n, **QUICK), image)
        for n in (0, 1)
    ]
    assert psnr(by_cosines, image) > psnr(given, image) + 4
    assert found[0] > psnr(by_cosines, image) + 0.1
    assert found[1] > found[0] + 0.1


@pytest.mark.parametrize("factor", [1e-3, 7.0])
def test_scaling_the_image_and_the_noise_scales_the_result(factor):
    given = noisy(textured(60, 50), 20)
    found = denoise_image(factor * given, 20 * factor, **QUICK)
    np.testing.assert_allclose(found / factor, denoise_image(given, 20, **QUICK))
    np.testing.assert_allclose(
        denoise_image(given + 1000, 20, **QUICK) - 1000,
        denoise_image(given, 20, **QUICK),
        atol=1e-6,
    )


def test_workers_of_any_number_and_kind_give_the_same_bits(monkeypatch):
    monkeypatch.setattr("skscn._restoration.tiles.TILE_NUMBERS", 30_000)
    given = noisy(textured(), 20).astype(np.float32)
    one = denoise_image(given, 20, n_jobs=1, **QUICK)
    np.testing.assert_array_equal(denoise_image(given, 20, n_jobs=2, **QUICK), one)
    missing = np.random.default_rng(0).random(given.shape) < 0.3
    options = QUICK | {"n_passes": 4}
    one = inpaint_image(given, missing, n_jobs=1, **options)
    two = inpaint_image(given, missing, n_jobs=2, **options)
    np.testing.assert_array_equal(two, one)


def test_other_backends_give_the_same_bits(monkeypatch):
    monkeypatch.setattr("skscn._restoration.tiles.TILE_NUMBERS", 30_000)
    given = noisy(textured(48, 40), 20)
    with parallel_config("loky"):
        found = denoise_image(given, 20, n_jobs=2, **QUICK)
    np.testing.assert_array_equal(found, denoise_image(given, 20, **QUICK))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_dtype_and_range_are_kept(dtype):
    given = np.clip(noisy(textured(40, 40), 25), 0, 255).astype(dtype)
    missing = np.random.default_rng(0).random(given.shape) < 0.3
    given.flags.writeable = False
    for found in (
        denoise_image(given, 25, **QUICK),
        inpaint_image(given, missing, **QUICK | {"n_passes": 3}),
    ):
        assert found.dtype == dtype
        assert found.shape == given.shape
        if np.dtype(dtype).kind == "u":
            computed = given.astype(np.float32)
            again = denoise_image(computed, 25, **QUICK)
            limits = np.iinfo(dtype)
            rounded = np.clip(np.rint(again), limits.min, limits.max)
            np.testing.assert_array_equal(denoise_image(given, 25, **QUICK), rounded)


def test_channels_on_any_axis_and_of_any_number():
    image = textured(50, 44)
    colour = np.stack([image, 0.5 * image + 20, 200 - 0.5 * image, image], axis=-1)
    given = noisy(colour, 20)
    found = denoise_image(given, 20, channel_axis=-1, **QUICK)
    first = denoise_image(np.moveaxis(given, -1, 0), 20, channel_axis=0, **QUICK)
    np.testing.assert_allclose(np.moveaxis(first, 0, -1), found)
    # Four views of one image tell more of it than one.
    alone = denoise_image(given[..., 0], 20, **QUICK)
    assert psnr(found[..., 0], image) > psnr(alone, image) + 2


def test_noise_of_every_channel():
    image = np.stack([textured(48, 48, seed) for seed in range(3)], axis=-1)
    sigma = np.array([0.0, 10.0, 40.0])
    given = image + np.random.default_rng(0).normal(size=image.shape) * sigma
    found = denoise_image(given, sigma, channel_axis=-1, **QUICK)
    np.testing.assert_array_equal(found[..., 0], given[..., 0])
    for channel in (1, 2):
        before = psnr(given[..., channel], image[..., channel])
        assert psnr(found[..., channel], image[..., channel]) > before + 3


@pytest.mark.parametrize("sigma", [3.0, 10.0, 25.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_noise_is_estimated_to_five_per_cent(sigma, seed):
    image = textured(200, 180, seed)
    image[:, :90] += np.random.default_rng(7).normal(0, 30, size=(200, 90))  # texture
    patches = random_patches(
        noisy(image, sigma, seed)[..., None], (8, 8), 20_000, np.random.RandomState(0)
    )
    assert abs(noise_level(patches[..., 0]) / sigma - 1) < 0.05


def test_clipped_pixels_are_not_taken_for_pixels_without_noise():
    image = textured(200, 180)
    image[:, 100:] = 0
    given = np.clip(noisy(image, 20), 0, 255).round()
    patches = random_patches(given[..., None], (8, 8), 20_000, np.random.RandomState(0))
    assert abs(noise_level(patches[..., 0]) / 20 - 1) < 0.1


def test_the_noise_that_is_estimated_is_used():
    image = textured(120, 110)
    given = noisy(image, 20)
    found = denoise_image(given, **QUICK)
    known = denoise_image(given, 20, **QUICK)
    assert abs(psnr(found, image) - psnr(known, image)) < 0.2


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (3, 5), (7, 9), (64, 2)])
def test_images_smaller_than_a_patch(shape, rng):
    given = rng.normal(size=shape)
    found = denoise_image(given, 0.5)
    assert found.shape == shape
    assert np.isfinite(found).all()
    assert np.isfinite(denoise_image(given)).all()
    missing = np.zeros(shape, dtype=bool)
    missing.flat[1::2] = True
    assert np.isfinite(inpaint_image(given, missing, n_passes=3)).all()


def test_a_fitted_coder_gives_its_atoms():
    image = textured()
    given = noisy(image, 20)
    rows = random_patches(
        textured(seed=0)[..., None], (6, 6), 3000, np.random.RandomState(0)
    ).reshape(-1, 36)
    rows = rows - rows.mean(axis=1, keepdims=True)
    options = QUICK | {"n_refinements": 0}
    coder = OrthogonalSparseCoder(20, prior="spike_slab", alpha=30.0).fit(rows)
    found = denoise_image(given, 20, coder, **options)
    assert psnr(found, image) > psnr(denoise_image(given, 20, **options), image)
    # Its threshold is that of the noise: alpha was for learning.
    other = OrthogonalSparseCoder(
        prior="spike_slab", alpha=1.0, init=coder.components_, max_iter=0, center=False
    )
    other.fit(rows)
    other.mean_ = coder.mean_
    np.testing.assert_allclose(denoise_image(given, 20, other, **options), found)


@pytest.mark.parametrize("prior", ["laplace", "spike_slab"])
@pytest.mark.parametrize("inference", ["map", "mean"])
def test_priors_are_learned_beside_known_noise(prior, inference):
    image = textured()
    given = noisy(image, 30)
    coder = OrthogonalSparseCoder(
        prior=prior, alpha="auto", inference=inference, init="dct", max_iter=200
    )
    found = denoise_image(given, 30, coder, n_refinements=0, **QUICK)
    assert psnr(found, image) > psnr(given, image) + 4
    assert not hasattr(coder, "components_")


def test_priors_of_clean_patches_meet_any_noise():
    image = textured()
    rows = random_patches(image[..., None], (6, 6), 3000, np.random.RandomState(0))
    rows = rows.reshape(-1, 36) - rows.reshape(-1, 36).mean(axis=1, keepdims=True)
    coder = OrthogonalSparseCoder(
        20, prior="spike_slab", alpha="auto", inference="mean", max_iter=200
    ).fit(rows)
    for sigma in (10, 40):
        given = noisy(image, sigma)
        found = denoise_image(given, sigma, coder, n_refinements=0, **QUICK)
        assert psnr(found, image) > psnr(given, image) + 3


@pytest.mark.parametrize("seed", [0, 1])
def test_inpainting_keeps_what_is_known_and_beats_local_means(seed):
    image = textured(seed=seed)
    missing = np.random.default_rng(seed).random(image.shape) < 0.5
    given = np.where(missing, np.nan, image)
    found = inpaint_image(given, missing, **QUICK)
    np.testing.assert_array_equal(found[~missing], image[~missing])
    start = inpaint_image(given, missing, **QUICK | {"n_passes": 1})
    assert psnr(found, image) > psnr(start, image) + 3


def test_what_is_missing_has_no_influence(rng):
    image = textured(40, 40)
    missing = rng.random(image.shape) < 0.3
    options = QUICK | {"n_passes": 3}
    one, two = (
        inpaint_image(np.where(missing, value, image), missing, **options)
        for value in (0.0, np.inf)
    )
    np.testing.assert_array_equal(one, two)


def test_inpainting_denoises_where_there_is_noise():
    image = textured()
    missing = np.random.default_rng(0).random(image.shape) < 0.2
    given = noisy(image, 20)
    found = inpaint_image(given, missing, sigma=20, **QUICK)
    assert psnr(found[~missing], image[~missing]) > (
        psnr(given[~missing], image[~missing]) + 4
    )


def test_masks_of_channels():
    image = np.stack([textured(48, 40), 255 - textured(48, 40)], axis=-1)
    missing = np.random.default_rng(0).random(image.shape) < 0.4
    options = QUICK | {"n_passes": 8, "channel_axis": -1}
    found = inpaint_image(image, missing, **options)
    np.testing.assert_array_equal(found[~missing], image[~missing])
    assert psnr(found, image) > psnr(np.where(missing, image.mean(), image), image) + 8
    flat = missing[..., 0]
    both = np.repeat(flat[..., None], 2, axis=-1)
    np.testing.assert_array_equal(
        inpaint_image(image, flat, **options), inpaint_image(image, both, **options)
    )


def test_without_holes_nothing_happens(rng):
    image = rng.normal(size=(20, 20))
    np.testing.assert_array_equal(inpaint_image(image, np.zeros((20, 20), bool)), image)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"sigma": -1}, ValueError, "not negative"),
        ({"sigma": [1, 2]}, ValueError, "1 channels"),
        ({"sigma": np.nan}, ValueError, "finite"),
        ({"patch_size": 0}, ValueError, "at least 1"),
        ({"patch_size": 2.5}, ValueError, "integer"),
        ({"patch_size": ()}, ValueError, "no size"),
        ({"stride": 0}, ValueError, "at least 1"),
        ({"n_refinements": -1}, ValueError, "at least 0"),
        ({"n_classes": 0}, ValueError, "at least 1"),
        ({"channel_axis": 0}, ValueError, "3"),
        ({"coder": NonNegativeSparseCoder()}, TypeError, "OrthogonalSparseCoder"),
    ],
)
def test_wrong_parameters_are_told(options, error, words):
    with pytest.raises(error, match=words):
        denoise_image(np.ones((12, 12)), **options)


@pytest.mark.parametrize(
    ("image", "error", "words"),
    [
        (np.ones((4, 4), complex), TypeError, "complex"),
        (np.ones((4, 4), bool), TypeError, "bool"),
        (np.ones((4, 4, 3)), ValueError, "channel_axis"),
        (np.ones((0, 4)), ValueError, "no pixels"),
        (np.array([[1.0, np.nan], [np.inf, 2.0]]), ValueError, "2 of 4"),
    ],
)
def test_wrong_images_are_told(image, error, words):
    with pytest.raises(error, match=words):
        denoise_image(image)


def test_a_coder_of_other_patches_is_told(rng):
    coder = OrthogonalSparseCoder(alpha=0.1, max_iter=0).fit(np.eye(64))
    with pytest.raises(ValueError, match="n_features=64"):
        denoise_image(rng.normal(size=(20, 20)), 1, coder)


def test_wrong_masks_are_told(rng):
    image = rng.normal(size=(8, 8))
    with pytest.raises(TypeError, match="bool"):
        inpaint_image(image, np.zeros((8, 8)))
    with pytest.raises(ValueError, match="shape"):
        inpaint_image(image, np.zeros((8, 7), bool))
    with pytest.raises(ValueError, match="nothing to fill"):
        inpaint_image(image, np.ones((8, 8), bool))
    with pytest.raises(ValueError, match="1 of 64"):
        inpaint_image(
            np.where(np.eye(8) * image == image[0, 0], np.nan, image), image > 9
        )


def test_units_of_small_numbers_are_single_precision(rng):
    for dtype, expected in [("u1", "f4"), ("u2", "f4"), ("f4", "f4"), ("i4", "f8")]:
        pixels = rng.integers(0, 99, size=(9, 9, 1)).astype(dtype)
        units = units_of(pixels, np.ones(1), np.random.RandomState(0))
        assert units.dtype == np.dtype(expected)
