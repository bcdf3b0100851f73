"""Denoising and inpainting of small, padded, masked and noise-free images."""

import numpy as np
import pytest

from skscn import OrthogonalSparseCoder, denoise_image, inpaint_image
from skscn._restoration.inpainting import fill_with_local_means
from skscn._restoration.noise_estimation import estimate_image_noise, estimate_noise
from skscn._restoration.patches import sample_patches

QUICK = {"n_classes": 8, "max_patches": 3000, "patch_size": 6}


def striped_image(height, width, seed=0):
    y, x = np.mgrid[:height, :width]
    angle = np.random.default_rng(seed).uniform(0, np.pi)
    waves = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 0.6)
    return np.where(x < width / 2, 110 + 60 * waves, 40 + 0.5 * y)


def rms_error(restored, image):
    return np.sqrt(np.mean((restored - image) ** 2))


@pytest.mark.parametrize("patch_size", [10, 20])
@pytest.mark.parametrize("shape", [(10, 10), (12, 12), (16, 16), (24, 24), (10, 160)])
def test_dictionaries_do_not_fit_the_noise_of_small_images(shape, patch_size):
    image = striped_image(*shape)
    given = image + np.random.default_rng(1).normal(0, 20, shape)
    restored = denoise_image(given, 20, patch_size=patch_size)
    small = denoise_image(given, 20, patch_size=4)
    assert rms_error(restored, image) < 0.8 * rms_error(given, image)
    assert rms_error(restored, image) < 1.15 * rms_error(small, image)


def test_patches_have_the_size_that_a_fitted_coder_needs(rng):
    coder = OrthogonalSparseCoder(prior="spike_slab", alpha=2.7, init="dct", max_iter=0)
    coder.fit(rng.normal(size=(200, 64)))
    assert np.isfinite(denoise_image(rng.normal(size=(9, 10)), 1, coder)).all()


@pytest.mark.parametrize("frame", [4, 24, 50])
@pytest.mark.parametrize("value", [0.0, 300.0])
def test_a_frame_without_noise_does_not_change_the_estimated_noise(frame, value):
    image = striped_image(200, 180)
    given = image + np.random.default_rng(0).normal(0, 20, image.shape)
    framed = np.full(image.shape, value)
    inner = np.s_[frame:-frame, frame:-frame]
    framed[inner] = given[inner]
    restored = denoise_image(framed, **QUICK)
    known = denoise_image(framed, 20, **QUICK)
    assert rms_error(restored[inner], image[inner]) < 1.1 * rms_error(
        known[inner], image[inner]
    )


def test_an_image_without_noise_is_returned_with_a_warning():
    image = np.zeros((120, 120))
    image[:, 60:] = 1
    with pytest.warns(UserWarning, match="No noise was found in these channels.*: 0"):
        np.testing.assert_array_equal(denoise_image(image), image)


def test_sigma_in_other_units_than_the_image_warns(rng):
    image = rng.random((20, 20))
    with pytest.warns(UserWarning, match="larger than the range"):
        denoise_image(image, 25, **QUICK)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sigma", [1e-30, 1e-300])
def test_noise_below_the_resolution_of_the_dtype_is_ignored(sigma, dtype, rng):
    image = rng.random((20, 20)).astype(dtype)
    np.testing.assert_array_equal(denoise_image(image, sigma), image)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"channel_axis": "last"}, "channel_axis='last'"), ({"sigma": "auto"}, "number")],
)
def test_strings_instead_of_numbers_raise_errors(options, message):
    with pytest.raises(TypeError, match=message):
        denoise_image(np.ones((12, 12, 3)), **{"channel_axis": -1} | options)


@pytest.mark.parametrize("sigma", [0.1, 0.2])
def test_sigma_below_the_rounding_errors_of_integers_warns(sigma, rng):
    image = rng.integers(0, 255, (20, 20)).astype(np.uint8)
    missing = rng.random((20, 20)) < 0.2
    for restore in (
        lambda image: denoise_image(image, sigma, **QUICK),
        lambda image: inpaint_image(image, missing, sigma=sigma, n_passes=2, **QUICK),
    ):
        with pytest.warns(UserWarning, match=f"sigma={sigma}.*0.29.*in the units of"):
            restore(image)
        restore(image.astype(float))


@pytest.mark.parametrize(
    ("dtype", "exponent"),
    [(np.float32, -110), (np.float32, 115), (np.float64, -990), (np.float64, 1000)],
)
def test_scaled_images_have_scaled_results(dtype, exponent):
    """They have the same bits for powers of two, for numbers of any size."""
    image = striped_image(48, 40) + np.random.default_rng(0).normal(0, 10, (48, 40))
    image = image.astype(dtype)
    missing = np.random.default_rng(0).random(image.shape) < 0.3
    factor, options = 2.0**exponent, QUICK | {"n_passes": 3}
    scaled = image * dtype(factor)
    np.testing.assert_array_equal(
        denoise_image(scaled, **QUICK), denoise_image(image, **QUICK) * dtype(factor)
    )
    scaled[missing] = np.inf
    for sigma in (0.0, 10.0):
        expected = inpaint_image(image, missing, sigma=sigma, **options)
        found = inpaint_image(scaled, missing, sigma=sigma * factor, **options)
        np.testing.assert_array_equal(found, expected * dtype(factor))


@pytest.mark.parametrize("level", [0.0, 1e4, 1e6])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_float32_is_restored_as_the_same_numbers_in_float64(level, scale):
    """Some patches change their class, which changes results, but not their error."""
    image = striped_image(48, 40)
    given = image + np.random.default_rng(0).normal(0, 10, image.shape)
    given = ((given + level) * scale).astype(np.float32)
    clean = (image + level) * scale
    missing = np.random.default_rng(1).random(image.shape) < 0.3
    for restore in (
        lambda x: denoise_image(x, **QUICK),
        lambda x: denoise_image(x, 10 * scale, **QUICK),
        lambda x: inpaint_image(x, missing, n_passes=8, **QUICK),
        lambda x: inpaint_image(x, missing, sigma=10 * scale, n_passes=8, **QUICK),
    ):
        single, double = restore(given), restore(given.astype(float))
        assert rms_error(single, double) < 0.5 * scale
        assert rms_error(single, clean) < 1.02 * rms_error(double, clean)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_largest_numbers_do_not_overflow(dtype, rng):
    largest = float(np.finfo(dtype).max)
    image = (rng.choice([-largest, largest], (20, 20)) * 0.999).astype(dtype)
    missing = rng.random((20, 20)) < 0.2
    assert np.isfinite(denoise_image(image, largest / 10, **QUICK)).all()
    assert np.isfinite(denoise_image(image, **QUICK)).all()
    assert np.isfinite(inpaint_image(image, missing, n_passes=2, **QUICK)).all()


def test_a_fitted_coder_is_in_the_units_of_a_scaled_image():
    image = striped_image(48, 40) + np.random.default_rng(0).normal(0, 10, (48, 40))
    rows = sample_patches(image[..., None], (6, 6), 3000, np.random.RandomState(0))
    rows = rows.reshape(-1, 36)
    factor, restored = 2.0**-120, []
    for unit in (1.0, factor):
        coder = OrthogonalSparseCoder(
            20, prior="spike_slab", alpha="auto", inference="mean", max_iter=30, tol=1.0
        ).fit(unit * rows)
        options = QUICK | {"n_refinements": 0}
        restored.append(denoise_image(unit * image, 10 * unit, coder, **options))
    np.testing.assert_allclose(restored[1] / factor, restored[0], rtol=1e-9)


@pytest.mark.parametrize("shape", [(5, 5), (8, 8), (9, 9), (12, 12), (24, 24), (1, 40)])
def test_the_noise_of_small_images_is_estimated_without_bias(shape):
    estimates = []
    for seed in range(100):
        pixels = np.random.default_rng(seed).normal(0, 10, (*shape, 1))
        estimates += [*estimate_image_noise(pixels, np.random.RandomState(0))]
    standard_error = np.std(estimates) / 10
    assert abs(np.mean(estimates) - 10) < 3 * standard_error + 0.2


def test_masked_pixels_are_missing(rng):
    image = rng.random((20, 20))
    missing = rng.random((20, 20)) < 0.2
    masked = np.ma.array(image, mask=missing)
    options = QUICK | {"n_passes": 2}
    expected = inpaint_image(image, missing, **options)
    for restored in (
        inpaint_image(masked, **options),
        inpaint_image(masked, np.zeros((20, 20), bool), **options),
        inpaint_image(np.where(missing, np.nan, image), **options),
    ):
        assert type(restored) is np.ndarray
        np.testing.assert_array_equal(restored, expected)
    with pytest.raises(ValueError, match=f"{missing.sum()} of 400 .* masked"):
        denoise_image(masked, 0.1)
    complete = np.ma.array(image)
    np.testing.assert_array_equal(
        denoise_image(complete, 0.1, **QUICK), denoise_image(image, 0.1, **QUICK)
    )


def test_integers_need_a_mask_and_inpainting_needs_sigma():
    image = np.ones((9, 9), dtype=np.uint8)
    with pytest.raises(ValueError, match="give the mask"):
        inpaint_image(image)
    with pytest.raises(ValueError, match="not estimated"):
        inpaint_image(image, image > 1, sigma=None)


@pytest.mark.parametrize("n_known", [1, 3, 20])
def test_few_known_pixels_fill_the_image(n_known, rng):
    image = rng.random((40, 30))
    missing = np.ones(image.shape, dtype=bool)
    missing.flat[rng.choice(1200, n_known, replace=False)] = False
    filled, _ = fill_with_local_means(image[..., None], missing[..., None])
    known = image[~missing]
    assert filled.min() >= known.min() - 1e-9
    assert filled.max() <= known.max() + 1e-9
    restored = inpaint_image(image, missing, **QUICK | {"n_passes": 2})
    assert np.isfinite(restored).all()
    np.testing.assert_array_equal(restored[~missing], known)


@pytest.mark.parametrize("value", [0.0, 90.0, 300.0])
def test_patches_that_overlap_with_a_frame_do_not_count_for_the_noise(value):
    image = striped_image(200, 180)
    given = image + np.random.default_rng(0).normal(0, 20, image.shape)
    y, x = np.mgrid[:200, :180]
    given[y + x < 150] = value
    positions = np.random.RandomState(0)
    patches = sample_patches(given[..., None], (8, 8), 20_000, positions)
    assert abs(estimate_noise(patches[..., 0]) / 20 - 1) < 0.05


def test_a_constant_image_is_returned_unchanged():
    image = np.full((30, 20), 7, dtype=np.uint8)
    np.testing.assert_array_equal(denoise_image(image), image)
    np.testing.assert_array_equal(denoise_image(image, 5), image)
    missing = np.zeros(image.shape, dtype=bool)
    missing[5:20, 3:12] = True
    incomplete = np.where(missing, 0, image).astype(np.uint8)
    np.testing.assert_array_equal(inpaint_image(incomplete, missing), image)


def test_an_opaque_alpha_channel_stays(rng):
    image = rng.integers(0, 256, size=(24, 24, 4)).astype(np.uint8)
    image[..., 3] = 255
    restored = denoise_image(image, 20, channel_axis=-1, n_refinements=0)
    np.testing.assert_array_equal(restored[..., 3], 255)
    colors = denoise_image(image[..., :3], 20, channel_axis=-1, n_refinements=0)
    np.testing.assert_array_equal(restored[..., :3], colors)
    first = denoise_image(
        np.moveaxis(image, -1, 0), 20, channel_axis=0, n_refinements=0
    )
    np.testing.assert_array_equal(np.moveaxis(first, 0, -1), restored)


@pytest.mark.parametrize("garbage", [np.nan, np.inf, 1e30, -999.0])
def test_pixels_under_a_mask_do_not_count(garbage, rng):
    image, mask = rng.normal(size=(20, 20)), rng.random((20, 20)) < 0.2
    options = {"n_passes": 2, "sigma": 0.1}
    expected = inpaint_image(np.where(mask, 0.0, image), mask, **options)
    found = inpaint_image(np.where(mask, garbage, image), mask, **options)
    np.testing.assert_array_equal(found, expected)


def test_the_brightest_float16_pixels_stay_finite():
    image = np.full((12, 12), np.finfo(np.float16).max)
    image[::2, 1::3] *= np.float16(0.9)
    mask = np.zeros(image.shape, dtype=bool)
    mask[5, 5] = True
    for restored in (denoise_image(image, 6e3), inpaint_image(image, mask)):
        assert restored.dtype == np.float16
        assert np.isfinite(restored).all()


@pytest.mark.parametrize("level", [1.7, 1e300])
def test_noise_below_the_rounding_errors_of_a_constant_image_is_no_noise(level):
    image = np.full((9, 7, 3), level)
    sigma = level * 1e-290
    np.testing.assert_array_equal(denoise_image(image, sigma, channel_axis=-1), image)
