"""Denoising and inpainting at their limits: small, padded, masked and clean images."""

import numpy as np
import pytest

from skscn import OrthogonalSparseCoder, denoise_image, inpaint_image
from skscn._restoration.inpainting import first_fill
from skscn._restoration.noise_estimation import noise_level
from skscn._restoration.tiled_passes import random_patches

QUICK = {"n_classes": 8, "max_patches": 3000, "patch_size": 6}


def stripes(height, width, seed=0):
    y, x = np.mgrid[:height, :width]
    angle = np.random.default_rng(seed).uniform(0, np.pi)
    waves = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 0.6)
    return np.where(x < width / 2, 110 + 60 * waves, 40 + 0.5 * y)


def left_of(found, image):
    return np.sqrt(np.mean((found - image) ** 2))


@pytest.mark.parametrize("patch_size", [10, 20])
@pytest.mark.parametrize("shape", [(10, 10), (12, 12), (16, 16), (24, 24), (10, 160)])
def test_dictionaries_do_not_know_small_images_by_heart(shape, patch_size):
    image = stripes(*shape)
    given = image + np.random.default_rng(1).normal(0, 20, shape)
    found = denoise_image(given, 20, patch_size=patch_size)
    small = denoise_image(given, 20, patch_size=4)
    assert left_of(found, image) < 0.8 * left_of(given, image)
    assert left_of(found, image) < 1.15 * left_of(small, image)


def test_patches_of_a_coder_have_its_size_in_small_images(rng):
    coder = OrthogonalSparseCoder(prior="spike_slab", alpha=2.7, init="dct", max_iter=0)
    coder.fit(rng.normal(size=(200, 100)))
    assert np.isfinite(denoise_image(rng.normal(size=(12, 14)), 1, coder)).all()


@pytest.mark.parametrize("frame", [4, 24, 50])
@pytest.mark.parametrize("value", [0.0, 300.0])
def test_a_frame_without_noise_does_not_hide_the_noise(frame, value):
    image = stripes(200, 180)
    given = image + np.random.default_rng(0).normal(0, 20, image.shape)
    framed = np.full(image.shape, value)
    inner = np.s_[frame:-frame, frame:-frame]
    framed[inner] = given[inner]
    found = denoise_image(framed, **QUICK)
    known = denoise_image(framed, 20, **QUICK)
    assert left_of(found[inner], image[inner]) < 1.1 * left_of(
        known[inner], image[inner]
    )


def test_an_image_without_noise_is_told_and_kept():
    image = np.zeros((120, 120))
    image[:, 60:] = 1
    with pytest.warns(UserWarning, match="No noise was found in channel 0"):
        np.testing.assert_array_equal(denoise_image(image), image)


def test_noise_in_other_units_than_the_image_is_told(rng):
    image = rng.random((20, 20))
    with pytest.warns(UserWarning, match="larger than the range"):
        denoise_image(image, 25, **QUICK)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sigma", [1e-30, 1e-300])
def test_noise_below_the_dtype_is_none(sigma, dtype, rng):
    image = rng.random((20, 20)).astype(dtype)
    np.testing.assert_array_equal(denoise_image(image, sigma), image)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"channel_axis": "last"}, "channel_axis='last'"), ({"sigma": "auto"}, "number")],
)
def test_words_for_numbers_are_told(options, words):
    with pytest.raises(TypeError, match=words):
        denoise_image(np.ones((12, 12, 3)), **{"channel_axis": -1} | options)


def test_masked_pixels_are_missing(rng):
    image = rng.random((20, 20))
    missing = rng.random((20, 20)) < 0.2
    masked = np.ma.array(image, mask=missing)
    options = QUICK | {"n_passes": 2}
    expected = inpaint_image(image, missing, **options)
    for found in (
        inpaint_image(masked, **options),
        inpaint_image(masked, np.zeros((20, 20), bool), **options),
        inpaint_image(np.where(missing, np.nan, image), **options),
    ):
        assert type(found) is np.ndarray
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match=f"{missing.sum()} of 400 .* masked"):
        denoise_image(masked, 0.1)
    whole = np.ma.array(image)
    np.testing.assert_array_equal(
        denoise_image(whole, 0.1, **QUICK), denoise_image(image, 0.1, **QUICK)
    )


def test_masks_that_are_left_out_are_told_where_nothing_stands_for_them():
    image = np.ones((9, 9), dtype=np.uint8)
    with pytest.raises(ValueError, match="give the mask"):
        inpaint_image(image)
    with pytest.raises(ValueError, match="not estimated"):
        inpaint_image(image, image > 1, sigma=None)


@pytest.mark.parametrize("n_known", [1, 3, 20])
def test_little_that_is_known_fills_the_rest(n_known, rng):
    image = rng.random((40, 30))
    missing = np.ones(image.shape, dtype=bool)
    missing.flat[rng.choice(1200, n_known, replace=False)] = False
    filled, _ = first_fill(image[..., None], missing[..., None])
    known = image[~missing]
    assert filled.min() >= known.min() - 1e-9
    assert filled.max() <= known.max() + 1e-9
    found = inpaint_image(image, missing, **QUICK | {"n_passes": 2})
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[~missing], known)


@pytest.mark.parametrize("value", [0.0, 90.0, 300.0])
def test_patches_that_reach_into_a_frame_do_not_tell_the_noise(value):
    image = stripes(200, 180)
    given = image + np.random.default_rng(0).normal(0, 20, image.shape)
    y, x = np.mgrid[:200, :180]
    given[y + x < 150] = value
    places = np.random.RandomState(0)
    patches = random_patches(given[..., None], (8, 8), 20_000, places)
    assert abs(noise_level(patches[..., 0]) / 20 - 1) < 0.05


def test_a_constant_image_stays():
    image = np.full((30, 20), 7, dtype=np.uint8)
    np.testing.assert_array_equal(denoise_image(image), image)
    np.testing.assert_array_equal(denoise_image(image, 5), image)
    missing = np.zeros(image.shape, dtype=bool)
    missing[5:20, 3:12] = True
    holed = np.where(missing, 0, image).astype(np.uint8)
    np.testing.assert_array_equal(inpaint_image(holed, missing), image)
