"""Patches, products with filters, and contrasts agree with their definitions."""

import numpy as np
import pytest

from skscn._core.workspace import Workspace
from skscn._images.layers.correlation import Correlation, InverseContrast
from skscn._images.layers.patch_sampling import sample_patches
from skscn._images.layers.patches import (
    PatchGrid,
    extract_patches,
    pad_images,
    reconstruct_from_patches,
    same_padding,
)

# Image shape, kernel, stride, padding. Segments divide some of the grid widths.
GRIDS = [
    ((8, 8, 1), (3, 3), (1, 1), ((1, 1), (1, 1))),
    ((9, 11, 3), (4, 2), (1, 1), ((0, 0), (0, 0))),
    ((7, 13, 2), (3, 5), (2, 3), ((1, 1), (2, 2))),
    ((1, 29, 1), (1, 7), (1, 1), ((0, 0), (3, 3))),
    ((12, 12, 1), (4, 4), (4, 4), ((0, 0), (0, 0))),
    ((5, 5, 40), (5, 5), (1, 1), ((2, 2), (2, 2))),
    ((3, 3, 1), (3, 3), (1, 1), ((0, 0), (0, 0))),
]
each_grid = pytest.mark.parametrize("grid", [PatchGrid(*g) for g in GRIDS], ids=str)


@pytest.fixture
def images_of(rng):
    return lambda grid, n=3: rng.normal(size=(n, *grid.image_shape))


@each_grid
@pytest.mark.parametrize("n_filters", [1, 5, 32])
def test_products_of_segments_are_the_products_of_all_patches(
    grid, n_filters, images_of, rng
):
    images = pad_images(images_of(grid), grid, np.float64, Workspace())
    filters = rng.normal(size=(n_filters, *grid.patch_shape))
    expected = np.einsum("nyxhwc,fhwc->nyxf", extract_patches(images, grid), filters)
    products = Correlation(filters, grid)(images, Workspace())
    np.testing.assert_allclose(products, expected, atol=1e-12)


@pytest.mark.parametrize("n_patches", [1, 2, 3, 4, 7, 13])
def test_segments_of_every_length_give_the_same_products(
    n_patches, images_of, rng, monkeypatch
):
    grid = PatchGrid((6, 13, 2), (3, 3), (1, 1), ((1, 1), (1, 1)))
    images = pad_images(images_of(grid), grid, np.float64, Workspace())
    filters = rng.normal(size=(4, *grid.patch_shape))
    expected = Correlation(filters, grid)(images, Workspace()).copy()
    monkeypatch.setattr(
        "skscn._images.layers.correlation._choose_segment_patches", lambda *_: n_patches
    )
    products = Correlation(filters, grid)(images, Workspace())
    np.testing.assert_allclose(products, expected, atol=1e-12)


@each_grid
@pytest.mark.parametrize("pixel_mean", [0.0, 100.0])
def test_the_inverse_contrast_divides_by_the_standard_deviation_of_a_patch(
    grid, pixel_mean, images_of
):
    images = pad_images(images_of(grid), grid, np.float64, Workspace()) + pixel_mean
    patches = extract_patches(images, grid)
    expected = 1 / np.sqrt(patches.var(axis=(3, 4, 5)) + 0.1)
    found = InverseContrast(grid, 0.1, pixel_mean)(images)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_the_inverse_contrast_is_accurate_far_from_the_origin(rng):
    grid = PatchGrid((8, 8, 1), (3, 3))
    images = (1000 + rng.normal(size=(5, 8, 8, 1))).astype(np.float32)
    expected = 1 / np.sqrt(extract_patches(images, grid).var(axis=(3, 4, 5)) + 0.1)
    found = InverseContrast(grid, 0.1, 1000.0)(images)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@each_grid
def test_all_patches_reconstruct_the_image(grid, images_of):
    images = images_of(grid)
    patches = extract_patches(pad_images(images, grid, np.float64, Workspace()), grid)
    is_covered = reconstruct_from_patches(np.ones_like(patches), grid) > 0
    reconstructed = reconstruct_from_patches(patches, grid)
    np.testing.assert_allclose(reconstructed, images * is_covered, atol=1e-12)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 5, 8])
def test_same_padding_gives_one_patch_for_every_stride(kernel, stride):
    for size in (1, 2, 7, 12):
        padding = same_padding(size, kernel, stride)
        grid = PatchGrid((1, size, 1), (1, kernel), (1, stride), ((0, 0), padding))
        assert grid.grid_shape == (1, -(-size // stride))


def test_a_sample_from_few_images_has_all_patches(images_of):
    grid = PatchGrid((6, 5, 2), (3, 3), (1, 1), ((0, 0), (1, 1)))
    images = images_of(grid)
    rng = np.random.RandomState(0)
    found = sample_patches(images.__getitem__, 3, grid, 10**6, np.float64, rng)
    expected = extract_patches(pad_images(images, grid, np.float64, Workspace()), grid)
    np.testing.assert_array_equal(found, expected.reshape(found.shape))


def test_a_sample_has_n_patches_different_patches_of_the_images(images_of):
    grid = PatchGrid((6, 5, 2), (3, 3), (1, 1), ((0, 0), (1, 1)))
    images = images_of(grid, 50)
    rng = np.random.RandomState(0)
    found = sample_patches(images.__getitem__, 50, grid, 100, np.float64, rng)
    assert found.shape == (100, 3, 3, 2)
    patches = extract_patches(pad_images(images, grid, np.float64, Workspace()), grid)
    patches = {patch.tobytes() for patch in patches.reshape(-1, 3, 3, 2)}
    assert {patch.tobytes() for patch in found} <= patches
    assert len({patch.tobytes() for patch in found}) > 95
