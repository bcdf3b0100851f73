"""Coarser scales: an orthonormal transform keeps white noise, levels and images."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.fft import dctn

from skscn import denoise_image
from skscn._restoration.scales import (
    BAND,
    coarse_noise,
    halve_shape,
    replace_low_frequencies,
    take_coarse_scale,
)

FLOAT64, FLOAT32 = np.dtype(np.float64), np.dtype(np.float32)


@pytest.mark.parametrize(
    ("shape", "kernel", "expected"),
    [
        ((64, 65), (8, 8), (32, 33)),
        ((62, 64), (8, 8), (62, 32)),  # 31 pixels are less than four patches
        ((9, 200, 7), (4, 4, 4), (9, 100, 7)),
        ((40, 40), (12, 5), (40, 20)),
    ],
)
def test_axes_are_halved_while_four_patches_fit(shape, kernel, expected):
    assert halve_shape(shape, kernel) == expected


@pytest.mark.parametrize("shape", [(33, 40), (32, 21), (12, 20, 14)])
def test_white_noise_remains_white(shape):
    # The map from the pixels to the coarse scale has orthogonal rows of equal norms.
    coarse_shape = tuple(-(-n // 2) for n in shape[:-1]) + shape[-1:]
    n = int(np.prod(shape))
    unit_pixels = np.eye(n).reshape(*shape, n)
    rows = take_coarse_scale(unit_pixels, coarse_shape, FLOAT64).reshape(-1, n)
    expected = coarse_noise(shape, coarse_shape) ** 2
    assert_allclose(rows @ rows.T, expected * np.eye(len(rows)), atol=1e-12)


@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64])
@pytest.mark.parametrize("level", [0, 1e6])
def test_levels_are_kept(dtype, level):
    image = np.full((30, 41, 2), [level, level + 1], dtype)
    coarse = take_coarse_scale(image, (15, 21), dtype)
    assert coarse.dtype == dtype
    assert_array_equal(coarse, np.broadcast_to(image[:1, :1], coarse.shape))


def test_low_frequencies_are_replaced_and_others_are_kept():
    rng = np.random.default_rng(0)
    image, coarse = rng.normal(size=(40, 30, 2)), rng.normal(size=(20, 15, 2))
    result = image.copy()
    replace_low_frequencies(result, take_coarse_scale(image, (20, 15), FLOAT64))
    assert_allclose(result, image, atol=1e-12)
    replace_low_frequencies(result, coarse)
    changed, fine, given = (
        dctn(pixels, axes=(0, 1), norm="ortho") for pixels in (result, image, coarse)
    )
    frequencies = np.hypot(np.arange(40)[:, None] / 20, np.arange(30) / 15)
    is_low, is_high = frequencies <= BAND[0], frequencies >= BAND[1]
    assert_allclose(changed[is_high], fine[is_high], atol=1e-12)
    ratio = coarse_noise((40, 30), (20, 15))
    assert_allclose(changed[is_low], given[is_low[:20, :15]] / ratio, atol=1e-12)


def test_coarser_scales_denoise_low_frequencies_better():
    y, x = np.mgrid[:128, :128] / 128
    image = 100 * np.sin(5 * x + 3 * y**2) + 30 * (x > 0.6)
    noisy = image + np.random.default_rng(0).normal(scale=50, size=image.shape)
    errors = [
        np.mean((denoise_image(noisy, 50, n_scales=n) - image) ** 2) for n in (1, 2, 3)
    ]
    assert errors[1] < 0.8 * errors[0]
    assert errors[2] < errors[1]
    with pytest.raises(ValueError, match="n_scales=0 must be an integer of at least 1"):
        denoise_image(noisy, 50, n_scales=0)


def test_small_images_have_one_scale():
    noisy = np.random.default_rng(0).normal(size=(62, 20))
    assert_array_equal(denoise_image(noisy, 0.5), denoise_image(noisy, 0.5, n_scales=1))


def test_the_memory_order_does_not_change_bits():
    image = np.random.default_rng(0).normal(size=(72, 70, 2))
    coarse = take_coarse_scale(image, (36, 35), FLOAT64)
    given = np.asfortranarray(image)
    assert_array_equal(take_coarse_scale(given, (36, 35), FLOAT64), coarse)
