"""Theorems of denoising and inpainting, and how much they improve images."""

from functools import partial

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
from skscn._restoration.channels import ChannelTransform
from skscn._restoration.noise_estimation import estimate_noise
from skscn._restoration.passes import (
    _sort_patches,
    apply_wiener_filter,
    average_patches,
    reconstruct_from_codes,
)
from skscn._restoration.patch_groups import group_patches
from skscn._restoration.patch_mixture import fit_patch_mixture
from skscn._restoration.patch_model import PatchModel
from skscn._restoration.patches import (
    SMALL_TILE_PATCHES,
    dct_matrix,
    divide_into_tiles,
    near_pixels,
    sample_patches,
    select_tiles,
)

QUICK = {"n_classes": 8, "max_patches": 3000, "patch_size": 6}


def textured_image(height=96, width=80, seed=0):
    """Return an image with stripes, edges and a ramp, from 0 to 255."""
    y, x = np.mgrid[:height, :width]
    angle = np.random.default_rng(seed).uniform(0, np.pi)
    stripes = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 1.3)
    image = np.where(x < width / 2, 110 + 60 * stripes, 40 + 2 * y)
    image[height // 3 : height // 2, width // 4 : width - 9] = 210
    return np.clip(image, 0, 255)


def add_noise(image, sigma, seed=0):
    return image + np.random.default_rng(seed).normal(0, sigma, image.shape)


def psnr(restored, image):
    return 10 * np.log10(255**2 / np.mean((np.asarray(restored, float) - image) ** 2))


@pytest.mark.parametrize("stride", [(1, 1), (2, 3), (5, 4)])
@pytest.mark.parametrize("shape", [(6, 5), (37, 53), (300, 11)])
def test_the_average_of_unchanged_patches_is_the_image(shape, stride, rng, monkeypatch):
    monkeypatch.setattr("skscn._restoration.patches.TILE_ENTRIES", 2000)
    image, kernel = rng.normal(size=shape), (5, 4)
    weighted_sum, weight_sum = np.zeros(shape), np.zeros(shape)
    for tile in divide_into_tiles(shape, kernel, stride):
        patches = tile.extract_patches(image[tile.region])
        weights = rng.uniform(1, 2, size=patches.shape[1])
        values, sums = tile.overlap_add(patches, weights)
        weighted_sum[tile.region] += values
        weight_sum[tile.region] += sums
    assert weight_sum.min() >= 1
    np.testing.assert_allclose(weighted_sum / weight_sum, image, atol=1e-12)


@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
@pytest.mark.parametrize("n_needed", [1, 5, 2000])
def test_selected_tiles_have_all_patches_with_needed_pixels(
    n_needed, stride, rng, monkeypatch
):
    monkeypatch.setattr("skscn._restoration.patches.TILE_ENTRIES", 20_000)
    shape, kernel = (70, 90), (5, 4)
    needed = np.zeros(shape, bool)
    needed.flat[rng.choice(needed.size, n_needed, replace=False)] = True
    tiles = divide_into_tiles(shape, kernel, stride)
    selected = select_tiles(tiles, needed)

    def corners(tiles):
        return [
            tuple(o + i * s for o, i, s in zip(tile.origin, index, stride, strict=True))
            for tile in tiles
            for index in np.ndindex(tile.grid_shape)
        ]

    every, found = corners(tiles), corners(selected)
    assert len(found) == len(set(found))
    assert set(found) <= set(every)
    for y, x in set(every) - set(found):
        assert not needed[y : y + kernel[0], x : x + kernel[1]].any()
    if n_needed < 10:
        assert len(found) <= 4 * SMALL_TILE_PATCHES * n_needed


def test_patches_are_sampled_near_pixels(rng):
    pixels = np.arange(60 * 50.0).reshape(60, 50, 1)
    mask = np.zeros((60, 50), bool)
    mask[0, 0] = mask[40, 30] = True
    is_near = near_pixels(mask, 6)
    patches = sample_patches(pixels, (5, 4), 1000, np.random.RandomState(0), is_near)
    rows, columns = np.divmod(patches[:, 2, 2, 0].astype(int), 50)
    expected = {(y, x) for y in range(2, 7) for x in range(2, 7)}
    expected |= {(y, x) for y in range(34, 47) for x in range(24, 37)}
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == expected
    few = sample_patches(pixels, (5, 4), 20, np.random.RandomState(0), is_near)
    assert len(few) == 20


def test_a_few_missing_pixels_are_filled_in():
    image = textured_image(200, 180)
    missing = np.zeros(image.shape, bool)
    missing[[0, 50, 55, 90, 199], [0, 40, 60, 30, 179]] = True
    restored = inpaint_image(np.where(missing, np.nan, image), **QUICK)
    np.testing.assert_array_equal(restored[~missing], image[~missing])
    assert np.abs(restored - image)[missing].max() < 10


def test_extracted_patches_are_the_windows_of_the_image(rng):
    image = rng.normal(size=(20, 30))
    (tile,) = divide_into_tiles(image.shape, (3, 4), (1, 1))
    windows = np.lib.stride_tricks.sliding_window_view(image, (3, 4))
    expected = windows.reshape(-1, 12).T
    np.testing.assert_array_equal(tile.extract_patches(image), expected)


@pytest.mark.parametrize("n_channels", [1, 3, 5])
def test_the_channel_transform_is_orthonormal_and_decorrelates(n_channels, rng):
    mixing = rng.normal(size=(n_channels, n_channels))
    pixels = rng.normal(size=(50, n_channels)) @ mixing
    sigma = rng.uniform(0.5, 2, size=n_channels)
    transform = ChannelTransform.fit(pixels[None], sigma, np.random.RandomState(0))
    channels = transform.transform(pixels)
    norms = np.linalg.norm((pixels - pixels.mean(axis=0)) / sigma, axis=1)
    np.testing.assert_allclose(np.linalg.norm(channels, axis=0), norms)
    scatter = channels @ channels.T
    np.testing.assert_allclose(scatter, np.diag(np.diag(scatter)), atol=1e-9)
    restored = transform.inverse_transform(channels)
    np.testing.assert_allclose(restored, pixels, atol=1e-12)


def test_a_pass_with_a_threshold_of_zero_returns_the_image(rng):
    image = rng.normal(size=(40, 30, 1))
    transform = ChannelTransform(
        np.zeros(1), np.ones(1), np.eye(1), np.dtype(np.float64)
    )
    model = PatchModel(dct_matrix((5, 4)), MapEncoder(SIGNED["spike_slab"], 0.0))
    channels = average_patches(
        image,
        None,
        partial(reconstruct_from_codes, [(slice(1), model)]),
        transform,
        kernel=(5, 4),
        stride=2,
        n_jobs=1,
    )
    np.testing.assert_allclose(channels[0], image[..., 0], atol=1e-12)


def test_small_noise_changes_the_image_little():
    image = textured_image()
    restored = denoise_image(image, sigma=1e-6, **QUICK)
    np.testing.assert_allclose(restored, image, atol=1e-5)
    np.testing.assert_array_equal(denoise_image(image, sigma=0), image)


def test_reconstructed_patches_are_those_of_the_coder(rng):
    rows = rng.normal(size=(200, 16))
    coder = OrthogonalSparseCoder(9, prior="laplace", alpha=0.7, center=False)
    rows -= rows.mean(axis=1, keepdims=True)
    coder.fit(rows)
    model = PatchModel(coder.components_, MapEncoder(SIGNED["laplace"], 0.7))
    patches, noise = model.reconstruct(rows.T.copy())
    codes = coder.transform(rows)
    np.testing.assert_allclose(patches.T, coder.inverse_transform(codes), atol=1e-10)
    np.testing.assert_array_equal(noise, (codes != 0).sum(axis=1))


@pytest.mark.parametrize("n_channels", [1, 2, 4])
def test_a_refinement_is_the_wiener_filter_of_each_group(n_channels, rng):
    """Every channel of a block is filtered as in the definition, patch by patch."""
    kernel = (4, 4)
    channels, pilot = rng.normal(size=(2, n_channels, 20, 25))
    pilot[:, :10] *= 5
    (tile,) = divide_into_tiles((20, 25), kernel, (1, 1))
    sample = np.array([tile.extract_patches(channel).T for channel in pilot])
    mixture = fit_patch_mixture(sample.reshape(n_channels, -1, *kernel), 3)
    first = np.hstack(sample[:3])
    order, classes = _sort_patches(mixture, first.T)
    assert len(classes) > 1
    np.testing.assert_array_equal(np.sort(order), np.arange(len(first)))
    sums = apply_wiener_filter(mixture, channels, pilot, tile)
    blocks = [slice(0, min(n_channels, 3)), slice(3, 4)]
    for block, dictionaries in zip(blocks, mixture.dictionaries, strict=False):
        x, y = (
            np.concatenate([tile.extract_patches(channel) for channel in images])
            for images in (channels[block], pilot[block])
        )
        expected, weights = np.empty_like(x), np.empty(len(order))
        for label, members, groups in classes:
            atoms = dictionaries[label]
            np.testing.assert_allclose(atoms @ atoms.T, np.eye(len(x)), atol=1e-10)
            ends = np.cumsum(groups.sizes)
            for group in np.split(order[members], ends[:-1]):
                n = len(group)
                u, v = atoms @ x[:, group], atoms @ y[:, group]
                mean, pilot_mean = (z.mean(axis=1, keepdims=True) for z in (u, v))
                mean_gain = pilot_mean**2 / (pilot_mean**2 + 1 / n)
                variance = (v - pilot_mean) ** 2
                variance = (variance + v.var(axis=1, ddof=1, keepdims=True)) / 2
                gain = variance / (variance + 1)
                codes = mean_gain * mean + gain * (u - mean)
                expected[:, group] = atoms.T @ codes
                noise = mean_gain**2 / n + gain**2 * (1 - 1 / n)
                weights[group] = len(x) / (1 + noise.sum(axis=0))
        by_channel = expected.reshape(-1, 16, len(order))
        for rows, found in zip(by_channel, sums[block], strict=True):
            for array, each in zip(tile.overlap_add(rows, weights), found, strict=True):
                np.testing.assert_allclose(each, array, atol=1e-9)


@pytest.mark.parametrize("n_patches", [1, 15, 16, 1000])
def test_groups_are_balanced_and_similar(n_patches, rng):
    codes = rng.normal(size=(3, n_patches)) * [[5], [2], [0.1]]
    order, groups = group_patches(codes, 8)
    np.testing.assert_array_equal(np.sort(order), np.arange(n_patches))
    assert groups.sizes.sum() == n_patches
    assert groups.sizes.max() <= 16
    assert groups.sizes.min() >= min(8, n_patches)
    ordered = codes[:, order]
    means = groups.repeat(groups.mean(ordered))
    labels = groups.repeat(np.arange(len(groups.sizes)))
    for i in range(len(groups.sizes)):
        mean = ordered[:, labels == i].mean(axis=1)
        np.testing.assert_allclose(means[:, labels == i].T - mean, 0, atol=1e-12)
    if n_patches > 100:
        assert (ordered - means).var() < 0.2 * codes.var()
    flipped, _ = group_patches(-codes, 8)  # atoms have arbitrary signs
    np.testing.assert_array_equal(flipped, order)


def test_a_patch_belongs_to_the_class_of_largest_density(rng):
    patches = rng.normal(size=(1, 500, 9)) * rng.choice([0.1, 1, 5], size=(500, 1))
    mixture = fit_patch_mixture(patches.reshape(1, 500, 3, 3), 5)
    rows = patches[0] - patches[0].mean(axis=1, keepdims=True)
    components = rows @ mixture.axes.T
    distances = [
        ((components @ whitening.T) ** 2).sum(axis=1) + offset
        for whitening, offset in zip(
            mixture.classes.whitening, mixture.classes.offsets, strict=True
        )
    ]
    np.testing.assert_array_equal(
        mixture.predict(patches[0].T + 3.0), np.argmin(distances, axis=0)
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("sigma", [15, 40])
def test_denoising_is_better_than_cosines_and_refinements_improve_it(seed, sigma):
    image = textured_image(seed=seed)
    given = add_noise(image, sigma, seed)
    cosines = OrthogonalSparseCoder(
        prior="spike_slab",
        alpha=2.7,
        center=False,
        init=dct_matrix((6, 6)),
        max_iter=0,
    )
    by_cosines = denoise_image(given, sigma, cosines, n_refinements=0, **QUICK)
    restored = [
        psnr(denoise_image(given, sigma, n_refinements=n, **QUICK), image)
        for n in (0, 1)
    ]
    assert psnr(by_cosines, image) > psnr(given, image) + 4
    assert restored[0] > psnr(by_cosines, image) + 0.1
    assert restored[1] > restored[0] + 0.1


@pytest.mark.parametrize("factor", [1e-3, 7.0])
def test_scaling_the_image_and_the_noise_scales_the_result(factor):
    given = add_noise(textured_image(60, 50), 20)
    restored = denoise_image(factor * given, 20 * factor, **QUICK)
    np.testing.assert_allclose(restored / factor, denoise_image(given, 20, **QUICK))
    np.testing.assert_allclose(
        denoise_image(given + 1000, 20, **QUICK) - 1000,
        denoise_image(given, 20, **QUICK),
        atol=1e-6,
    )


def test_the_result_has_the_same_bits_for_every_number_of_workers(monkeypatch):
    monkeypatch.setattr("skscn._restoration.patches.TILE_ENTRIES", 30_000)
    given = add_noise(textured_image(), 20).astype(np.float32)
    one = denoise_image(given, 20, n_jobs=1, **QUICK)
    np.testing.assert_array_equal(denoise_image(given, 20, n_jobs=2, **QUICK), one)
    missing = np.random.default_rng(0).random(given.shape) < 0.3
    options = QUICK | {"n_passes": 4}
    one = inpaint_image(given, missing, n_jobs=1, **options)
    two = inpaint_image(given, missing, n_jobs=2, **options)
    np.testing.assert_array_equal(two, one)


def test_the_result_has_the_same_bits_for_every_backend(monkeypatch):
    monkeypatch.setattr("skscn._restoration.patches.TILE_ENTRIES", 30_000)
    given = add_noise(textured_image(48, 40), 20)
    with parallel_config("loky"):
        restored = denoise_image(given, 20, n_jobs=2, **QUICK)
    np.testing.assert_array_equal(restored, denoise_image(given, 20, **QUICK))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_the_result_has_the_dtype_and_range_of_the_image(dtype):
    given = np.clip(add_noise(textured_image(40, 40), 25), 0, 255).astype(dtype)
    missing = np.random.default_rng(0).random(given.shape) < 0.3
    given.flags.writeable = False
    for restored in (
        denoise_image(given, 25, **QUICK),
        inpaint_image(given, missing, **QUICK | {"n_passes": 3}),
    ):
        assert restored.dtype == dtype
        assert restored.shape == given.shape
        if np.dtype(dtype).kind == "u":
            computed = given.astype(np.float32)
            again = denoise_image(computed, 25, **QUICK)
            limits = np.iinfo(dtype)
            rounded = np.clip(np.rint(again), limits.min, limits.max)
            np.testing.assert_array_equal(denoise_image(given, 25, **QUICK), rounded)


def test_channels_may_be_on_any_axis_and_of_any_number():
    image = textured_image(50, 44)
    color = np.stack([image, 0.5 * image + 20, 200 - 0.5 * image, image], axis=-1)
    given = add_noise(color, 20)
    restored = denoise_image(given, 20, channel_axis=-1, **QUICK)
    first = denoise_image(np.moveaxis(given, -1, 0), 20, channel_axis=0, **QUICK)
    np.testing.assert_allclose(np.moveaxis(first, 0, -1), restored)
    # Four copies of an image contain more information than one.
    alone = denoise_image(given[..., 0], 20, **QUICK)
    assert psnr(restored[..., 0], image) > psnr(alone, image) + 2


@pytest.mark.parametrize("transform", ["rotation", "permutation"])
def test_rotating_the_channels_rotates_the_result(transform):
    """White noise of equal variance has no preferred axes of the channels."""
    image = np.stack([textured_image(50, 44, seed) for seed in (0, 0, 1)], axis=-1)
    given = add_noise(image * [1, 0.5, 0.7], 20)
    rotation = np.eye(3)[[2, 0, 1]]
    if transform == "rotation":
        rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    options = {"sigma": 20, "channel_axis": -1, **QUICK}
    restored = denoise_image(given, **options)
    rotated = denoise_image(given @ rotation, **options)
    np.testing.assert_allclose(rotated, restored @ rotation, atol=1e-6)


def test_every_channel_may_have_its_own_noise():
    image = np.stack([textured_image(48, 48, seed) for seed in range(3)], axis=-1)
    sigma = np.array([0.0, 10.0, 40.0])
    given = image + np.random.default_rng(0).normal(size=image.shape) * sigma
    restored = denoise_image(given, sigma, channel_axis=-1, **QUICK)
    np.testing.assert_array_equal(restored[..., 0], given[..., 0])
    for channel in (1, 2):
        before = psnr(given[..., channel], image[..., channel])
        assert psnr(restored[..., channel], image[..., channel]) > before + 3


@pytest.mark.parametrize("sigma", [3.0, 10.0, 25.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_noise_is_estimated_to_five_percent(sigma, seed):
    image = textured_image(200, 180, seed)
    image[:, :90] += np.random.default_rng(7).normal(0, 30, size=(200, 90))  # texture
    given = add_noise(image, sigma, seed)
    patches = sample_patches(given[..., None], (8, 8), 20_000, np.random.RandomState(0))
    assert abs(estimate_noise(patches[..., 0]) / sigma - 1) < 0.05


def test_clipped_pixels_do_not_count_as_pixels_without_noise():
    image = textured_image(200, 180)
    image[:, 100:] = 0
    given = np.clip(add_noise(image, 20), 0, 255).round()
    patches = sample_patches(given[..., None], (8, 8), 20_000, np.random.RandomState(0))
    assert abs(estimate_noise(patches[..., 0]) / 20 - 1) < 0.1


def test_denoising_with_estimated_noise_is_as_good_as_with_known_noise():
    image = textured_image(120, 110)
    given = add_noise(image, 20)
    restored = denoise_image(given, **QUICK)
    known = denoise_image(given, 20, **QUICK)
    assert abs(psnr(restored, image) - psnr(known, image)) < 0.2


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (3, 5), (7, 9), (64, 2)])
def test_images_may_be_smaller_than_a_patch(shape, rng):
    given = rng.normal(size=shape)
    restored = denoise_image(given, 0.5)
    assert restored.shape == shape
    assert np.isfinite(restored).all()
    assert np.isfinite(denoise_image(given)).all()
    missing = np.zeros(shape, dtype=bool)
    missing.flat[1::2] = True
    assert np.isfinite(inpaint_image(given, missing, n_passes=3)).all()


def test_a_fitted_coder_provides_its_atoms():
    image = textured_image()
    given = add_noise(image, 20)
    rows = sample_patches(
        textured_image(seed=0)[..., None], (6, 6), 3000, np.random.RandomState(0)
    ).reshape(-1, 36)
    rows = rows - rows.mean(axis=1, keepdims=True)
    options = QUICK | {"n_refinements": 0}
    coder = OrthogonalSparseCoder(20, prior="spike_slab", alpha=30.0).fit(rows)
    restored = denoise_image(given, 20, coder, **options)
    assert psnr(restored, image) > psnr(denoise_image(given, 20, **options), image)
    # The threshold is that for the noise: alpha is only used for learning.
    other = OrthogonalSparseCoder(
        prior="spike_slab", alpha=1.0, init=coder.components_, max_iter=0, center=False
    )
    other.fit(rows)
    other.mean_ = coder.mean_
    np.testing.assert_allclose(denoise_image(given, 20, other, **options), restored)


@pytest.mark.parametrize("prior", ["laplace", "spike_slab"])
@pytest.mark.parametrize("inference", ["map", "mean"])
def test_priors_are_learned_for_known_noise(prior, inference):
    image = textured_image()
    given = add_noise(image, 30)
    coder = OrthogonalSparseCoder(
        prior=prior, alpha="auto", inference=inference, init="dct", max_iter=200
    )
    restored = denoise_image(given, 30, coder, n_refinements=0, **QUICK)
    assert psnr(restored, image) > psnr(given, image) + 4
    assert not hasattr(coder, "components_")


def test_priors_of_clean_patches_serve_for_any_noise():
    image = textured_image()
    rows = sample_patches(image[..., None], (6, 6), 3000, np.random.RandomState(0))
    rows = rows.reshape(-1, 36) - rows.reshape(-1, 36).mean(axis=1, keepdims=True)
    coder = OrthogonalSparseCoder(
        20, prior="spike_slab", alpha="auto", inference="mean", max_iter=200
    ).fit(rows)
    for sigma in (10, 40):
        given = add_noise(image, sigma)
        restored = denoise_image(given, sigma, coder, n_refinements=0, **QUICK)
        assert psnr(restored, image) > psnr(given, image) + 3


@pytest.mark.parametrize("seed", [0, 1])
def test_inpainting_keeps_known_pixels_and_is_better_than_local_means(seed):
    image = textured_image(seed=seed)
    missing = np.random.default_rng(seed).random(image.shape) < 0.5
    given = np.where(missing, np.nan, image)
    restored = inpaint_image(given, missing, **QUICK)
    np.testing.assert_array_equal(restored[~missing], image[~missing])
    start = inpaint_image(given, missing, **QUICK | {"n_passes": 1})
    assert psnr(restored, image) > psnr(start, image) + 3


def test_the_values_of_missing_pixels_have_no_influence(rng):
    image = textured_image(40, 40)
    missing = rng.random(image.shape) < 0.3
    options = QUICK | {"n_passes": 3}
    one, two = (
        inpaint_image(np.where(missing, value, image), missing, **options)
        for value in (0.0, np.inf)
    )
    np.testing.assert_array_equal(one, two)


def test_inpainting_with_sigma_denoises_known_pixels():
    image = textured_image()
    missing = np.random.default_rng(0).random(image.shape) < 0.2
    given = add_noise(image, 20)
    restored = inpaint_image(given, missing, sigma=20, **QUICK)
    assert psnr(restored[~missing], image[~missing]) > (
        psnr(given[~missing], image[~missing]) + 4
    )


def test_channels_may_have_different_masks():
    image = np.stack([textured_image(48, 40), 255 - textured_image(48, 40)], axis=-1)
    missing = np.random.default_rng(0).random(image.shape) < 0.4
    options = QUICK | {"n_passes": 8, "channel_axis": -1}
    restored = inpaint_image(image, missing, **options)
    np.testing.assert_array_equal(restored[~missing], image[~missing])
    filled = np.where(missing, image.mean(), image)
    assert psnr(restored, image) > psnr(filled, image) + 8
    flat = missing[..., 0]
    both = np.repeat(flat[..., None], 2, axis=-1)
    np.testing.assert_array_equal(
        inpaint_image(image, flat, **options), inpaint_image(image, both, **options)
    )


def test_inpainting_returns_a_complete_image_unchanged(rng):
    image = rng.normal(size=(20, 20))
    np.testing.assert_array_equal(inpaint_image(image, np.zeros((20, 20), bool)), image)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sigma": -1}, ValueError, "not negative"),
        ({"sigma": [1, 2]}, ValueError, "1 channels"),
        ({"sigma": np.nan}, ValueError, "finite"),
        ({"patch_size": 0}, ValueError, "at least 1"),
        ({"patch_size": 2.5}, ValueError, "integer"),
        ({"patch_size": ()}, ValueError, "for all axes or 2 integers"),
        ({"patch_size": (3, 3, 3)}, ValueError, "for all axes or 2 integers"),
        ({"stride": 0}, ValueError, "at least 1"),
        ({"n_refinements": -1}, ValueError, "at least 0"),
        ({"n_classes": 0}, ValueError, "at least 1"),
        ({"channel_axis": 0}, ValueError, "2 axes of an image"),
        ({"coder": NonNegativeSparseCoder()}, TypeError, "OrthogonalSparseCoder"),
    ],
)
def test_invalid_parameters_raise_errors(options, error, message):
    with pytest.raises(error, match=message):
        denoise_image(np.ones((12, 12)), **options)


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.ones((4, 4), complex), TypeError, "complex"),
        (np.ones((4, 4), bool), TypeError, "bool"),
        (np.ones((9, 9, 3)), ValueError, "channel_axis=-1"),
        (np.ones((4, 9, 9)), ValueError, "channel_axis=-3"),
        (np.ones((9, 9, 9, 9)), ValueError, "3 of a volume"),
        (np.ones((0, 4)), ValueError, "no pixels"),
        (np.array([[1.0, np.nan], [np.inf, 2.0]]), ValueError, "2 of 4"),
    ],
)
def test_invalid_images_raise_errors(image, error, message):
    with pytest.raises(error, match=message):
        denoise_image(image)


def test_a_coder_of_other_patches_raises_an_error(rng):
    coder = OrthogonalSparseCoder(alpha=0.1, max_iter=0).fit(np.eye(81))
    with pytest.raises(ValueError, match="n_features=81"):
        denoise_image(rng.normal(size=(20, 20)), 1, coder)


def test_invalid_masks_raise_errors(rng):
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


def test_small_integers_are_computed_in_single_precision(rng):
    for dtype, expected in [("u1", "f4"), ("u2", "f4"), ("f4", "f4"), ("i4", "f8")]:
        pixels = rng.integers(0, 99, size=(9, 9, 1)).astype(dtype)
        transform = ChannelTransform.fit(pixels, np.ones(1), np.random.RandomState(0))
        assert transform.dtype == np.dtype(expected)


def test_inpainting_warns_of_a_sigma_in_other_units(rng):
    image = rng.integers(0, 255, (24, 24)).astype(np.uint8)
    mask = np.zeros(image.shape, dtype=bool)
    mask[5, 5] = True
    with pytest.warns(UserWarning, match="sigma=300 is larger than the range"):
        inpaint_image(image, mask, sigma=300, n_passes=1)
