"""Volumes are restored by the code for images, with one more axis."""

import tracemalloc

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from scipy.fft import dctn

from skscn import OrthogonalSparseCoder, denoise_image, inpaint_image, iter_patches
from skscn._restoration.noise_estimation import estimate_image_noise
from skscn._restoration.patch_mixture import fit_patch_mixture
from skscn._restoration.patches import (
    dct_matrix,
    divide_into_tiles,
    near_pixels,
    select_tiles,
)

QUICK = {"n_classes": 6, "max_patches": 2000, "patch_size": 4}
# Few classes start from the energies of patches, which have no direction.
UNDIRECTED = {"n_classes": 3, "max_patches": 10**6, "n_refinements": 1}


def textured_volume(shape, seed=0):
    """Return an ellipsoid with waves in front of a ramp, from 0 to 255."""
    rng = np.random.default_rng(seed)
    axes = np.moveaxis(np.indices(shape), 0, -1)
    positions = 2 * axes / np.array(shape) - 1
    waves = np.sin(axes @ rng.uniform(0.2, 0.8, 3))
    is_inside = np.linalg.norm(positions @ rng.normal(size=(3, 3)), axis=-1) < 1
    return np.where(is_inside, 150 + 60 * waves, 60 + 40 * positions[..., 0])


def add_noise(volume, sigma):
    return volume + np.random.default_rng(0).normal(0, sigma, volume.shape)


def rms_error(restored, volume):
    return np.sqrt(np.mean((np.asarray(restored, float) - volume) ** 2))


def test_cosine_atoms_are_products_along_all_axes(rng):
    patch = rng.normal(size=(2, 3, 4))
    expected = dctn(patch, norm="ortho").ravel()
    np.testing.assert_allclose(dct_matrix((2, 3, 4)) @ patch.ravel(), expected)


@pytest.mark.parametrize("stride", [(1, 1, 1), (2, 3, 1)])
def test_tiles_average_all_patches_of_a_volume(stride, rng, monkeypatch):
    monkeypatch.setattr("skscn._restoration.patches.TILE_ENTRIES", 2000)
    volume, kernel = rng.normal(size=(17, 6, 11)), (4, 3, 2)
    tiles = divide_into_tiles(volume.shape, kernel, stride)
    assert len(tiles) > 3
    weighted_sum, weight_sum = np.zeros((2, *volume.shape))
    for tile in tiles:
        patches = tile.extract_patches(volume[tile.region])
        if stride == (1, 1, 1):
            windows = sliding_window_view(volume[tile.region], kernel)
            np.testing.assert_array_equal(patches.T, windows.reshape(-1, 24))
        weights = rng.uniform(1, 2, size=patches.shape[1])
        values, sums = tile.overlap_add(patches, weights)
        weighted_sum[tile.region] += values
        weight_sum[tile.region] += sums
    np.testing.assert_allclose(weighted_sum / weight_sum, volume, atol=1e-12)
    needed = np.zeros(volume.shape, bool)
    needed[8, 3, 5] = True
    n_covering = sum(np.prod(tile.grid_shape) for tile in select_tiles(tiles, needed))
    assert 0 < n_covering < sum(np.prod(tile.grid_shape) for tile in tiles)
    assert near_pixels(needed, 2).sum() == 5**3


@pytest.mark.parametrize("axis", [0, 2])
def test_a_volume_that_is_constant_along_an_axis_is_denoised_as_an_image(axis):
    """The mean of n equal voxels is no better than one, so its noise is larger."""
    image = add_noise(textured_volume((26, 24, 1))[..., 0], 20)
    volume = np.repeat(np.expand_dims(image, axis), 13, axis=axis)
    kernel = [5, 6]
    kernel.insert(axis, 4)
    options = UNDIRECTED | {"n_refinements": 0}
    expected = denoise_image(image, 20, patch_size=(5, 6), **options)
    found = denoise_image(volume, 20 * 4**0.5, patch_size=tuple(kernel), **options)
    for layer in np.moveaxis(found, axis, 0):
        np.testing.assert_allclose(layer, expected, rtol=1e-9)


def test_transposing_a_volume_and_its_patches_transposes_the_result():
    """A sample of patches, and classes of directions, depend on the order of axes."""
    noisy = add_noise(textured_volume((14, 15, 16)), 20)
    order = (2, 0, 1)
    found = denoise_image(
        noisy.transpose(order), 20, patch_size=(3, 4, 2), **UNDIRECTED
    )
    expected = denoise_image(noisy, 20, patch_size=(4, 2, 3), **UNDIRECTED)
    np.testing.assert_allclose(found, expected.transpose(order), rtol=1e-9)


def test_classes_are_learned_from_the_directions_of_volumes(rng):
    directions = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    positions = np.moveaxis(np.indices((4, 4, 4)), 0, -1)
    kinds = rng.integers(3, size=3000)
    patches = (positions @ directions.T)[..., kinds] * rng.normal(0, 5, 3000)
    patches = np.moveaxis(patches, -1, 0) + rng.normal(0, 0.3, (3000, 4, 4, 4))
    mixture = fit_patch_mixture(patches[None], 12)
    labels = mixture.predict(patches.reshape(3000, -1).T)
    strong = np.ptp(patches, axis=(1, 2, 3)) > 20
    table = [np.bincount(labels[strong & (kinds == k)], minlength=12) for k in range(3)]
    assert (np.count_nonzero(table, axis=0) <= 1).all()


def test_volumes_are_denoised_better_than_their_slices():
    volume = textured_volume((24, 26, 28))
    noisy = add_noise(volume, 25).astype(np.float32)
    restored = denoise_image(noisy, 25, n_jobs=1, **QUICK)
    assert restored.dtype == np.float32
    by_slices = [denoise_image(x, 25, **QUICK | {"patch_size": 8}) for x in noisy[9:13]]
    error = rms_error(restored[9:13], volume[9:13])
    assert error < 0.75 * rms_error(by_slices, volume[9:13])
    np.testing.assert_array_equal(denoise_image(noisy, 25, n_jobs=2, **QUICK), restored)
    double = denoise_image(noisy.astype(float), 25, **QUICK)
    assert rms_error(restored, double) < 0.1 * rms_error(double, volume)
    rounded = denoise_image(np.clip(noisy, 0, 255).astype(np.uint8), 25, **QUICK)
    assert rounded.dtype == np.uint8
    assert rms_error(rounded, volume) < 1.1 * rms_error(restored, volume)


def test_a_coder_of_patches_of_volumes_denoises_a_volume(rng):
    volume = textured_volume((20, 22, 24))
    (rows,) = iter_patches([volume], (3, 2, 4), center=True, batch_size=10**6)
    coder = OrthogonalSparseCoder(12, prior="spike_slab", alpha=30.0, max_iter=50)
    coder.fit(rows)
    noisy = add_noise(volume, 25)
    options = {"patch_size": (3, 2, 4), "n_refinements": 0}
    restored = denoise_image(noisy, 25, coder, **options)
    assert rms_error(restored, volume) < rms_error(
        denoise_image(noisy, 25, **options), volume
    )
    with pytest.raises(ValueError, match="n_features=24, but a patch of 2 × 3 × 3"):
        denoise_image(noisy, 25, coder, patch_size=(2, 3, 3))


@pytest.mark.parametrize("shape", [(6, 6, 6), (9, 14, 5), (20, 20, 20)])
def test_the_noise_of_volumes_is_estimated_without_bias(shape):
    white = add_noise(np.zeros((*shape, 12)), 10)
    estimates = estimate_image_noise(white, np.random.RandomState(0))
    standard_error = np.std(estimates) / 12**0.5
    assert abs(np.mean(estimates) - 10) < 3 * standard_error + 0.2
    volume = textured_volume(shape)[..., None]
    if min(shape) == 20:
        given = add_noise(volume, 10)
        assert 9.5 < estimate_image_noise(given, np.random.RandomState(0)) < 10.5


def test_missing_voxels_are_filled_in_and_known_ones_are_kept(rng):
    volume = textured_volume((18, 17, 16))
    missing = rng.random(volume.shape) < 0.5
    given = np.where(missing, np.nan, volume)
    options = QUICK | {"n_passes": 9}
    restored = inpaint_image(given, n_jobs=1, **options)
    np.testing.assert_array_equal(restored[~missing], volume[~missing])
    start = inpaint_image(given, **options | {"n_passes": 1})
    assert rms_error(restored, volume) < 0.85 * rms_error(start, volume)
    two = inpaint_image(given, missing, n_jobs=2, **options)
    np.testing.assert_array_equal(two, restored)


def test_volumes_may_have_channels_and_few_slices():
    volume = textured_volume((12, 14, 3))
    clean = np.stack([volume, 255 - volume], axis=1)
    noisy = add_noise(clean, 20)
    restored = denoise_image(noisy, 20, channel_axis=1, **QUICK)
    last = denoise_image(np.moveaxis(noisy, 1, -1), 20, channel_axis=-1, **QUICK)
    np.testing.assert_allclose(np.moveaxis(last, -1, 1), restored)
    assert rms_error(restored, clean) < 0.7 * rms_error(noisy, clean)
    missing = np.random.default_rng(0).random(volume.shape) < 0.2
    filled = inpaint_image(noisy, missing, channel_axis=1, n_passes=2, **QUICK)
    known = np.moveaxis(filled == noisy, 1, -1)[~missing]
    assert known.all()
    with pytest.raises(ValueError, match=r"axis -1 is shorter .* channel_axis=-1"):
        denoise_image(volume, 20)
    thin = denoise_image(volume[..., np.newaxis], 20, channel_axis=-1, **QUICK)
    assert thin.shape == (12, 14, 3, 1)


def test_patches_of_volumes_are_those_of_sliding_windows(rng):
    volumes = [rng.normal(size=shape) for shape in [(5, 6, 7), (4, 3, 9)]]
    rows = np.concatenate(list(iter_patches(volumes, (3, 2, 4), stride=(1, 2, 1))))
    windows = [sliding_window_view(x, (3, 2, 4))[:, ::2] for x in volumes]
    expected = np.concatenate([x.reshape(-1, 24) for x in windows])
    np.testing.assert_array_equal(rows, expected)
    (colors,) = iter_patches([np.stack(2 * [volumes[0]], axis=-1)], (3, 2, 4), stride=2)
    one = sliding_window_view(volumes[0], (3, 2, 4))[::2, ::2, ::2].reshape(-1, 24)
    np.testing.assert_array_equal(colors, np.repeat(one, 2, axis=1))
    with pytest.raises(ValueError, match=r"Image 0 has 2 dim.* \[image\]"):
        next(iter_patches(volumes[0], (3, 2, 4)))
    with pytest.raises(ValueError, match="do not fit"):
        next(iter_patches(volumes, (5, 6, 8)))


def test_the_working_memory_is_that_of_two_volumes(rng, monkeypatch):
    monkeypatch.setattr("skscn._restoration.patches.TILE_ENTRIES", 2**14)
    monkeypatch.setattr("skscn._restoration.channels.MAX_SAMPLED_PIXELS", 1000)
    volume = rng.normal(size=(72, 72, 72)).astype(np.float32)
    options = {"n_classes": 1, "max_patches": 500, "stride": 4, "n_refinements": 1}
    tracemalloc.start()
    denoise_image(volume, 1.0, n_jobs=1, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * volume.nbytes  # with the result and the current estimate
