"""Patches, products with filters, and contrasts agree with their definitions."""

import numpy as np
import pytest

from skscn._core.workspace import Workspace
from skscn._images.layers.contrast import InverseContrast
from skscn._images.layers.correlation import Correlation
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


def pad64(images, grid):
    """Return padded images as a layer sees them."""
    return pad_images(images, grid, np.float64, Workspace(), edge=True)


@pytest.fixture
def images_of(rng):
    return lambda grid, n=3: rng.normal(size=(n, *grid.image_shape))


@each_grid
@pytest.mark.parametrize("n_filters", [1, 5, 32])
def test_products_of_segments_are_the_products_of_all_patches(
    grid, n_filters, images_of, rng
):
    images = pad64(images_of(grid), grid)
    filters = rng.normal(size=(n_filters, *grid.patch_shape))
    expected = np.einsum("nyxhwc,fhwc->nyxf", extract_patches(images, grid), filters)
    products = Correlation(filters, grid)(images, Workspace())
    np.testing.assert_allclose(products, expected, atol=1e-12)


@pytest.mark.parametrize("n_patches", [1, 2, 3, 4, 7, 13])
def test_segments_of_every_length_give_the_same_products(
    n_patches, images_of, rng, monkeypatch
):
    grid = PatchGrid((6, 13, 2), (3, 3), (1, 1), ((1, 1), (1, 1)))
    images = pad64(images_of(grid), grid)
    filters = rng.normal(size=(4, *grid.patch_shape))
    expected = Correlation(filters, grid)(images, Workspace()).copy()
    monkeypatch.setattr(
        "skscn._images.layers.correlation._choose_segment_patches", lambda *_: n_patches
    )
    products = Correlation(filters, grid)(images, Workspace())
    np.testing.assert_allclose(products, expected, atol=1e-12)


@each_grid
@pytest.mark.parametrize("edge", [True, False])
def test_the_frame_of_an_image_is_that_of_numpy(grid, edge, images_of):
    images, workspace = images_of(grid), Workspace()
    pad_images(7.0 + images, grid, np.float64, workspace, edge=True)  # fills the memory
    widths = ((0, 0), *grid.padding, (0, 0))
    expected = np.pad(images, widths, mode="edge" if edge else "constant")
    found = pad_images(images, grid, np.float64, workspace, edge=edge)
    np.testing.assert_array_equal(found, expected)


@each_grid
@pytest.mark.parametrize("level", [0.0, 100.0])
def test_the_inverse_contrast_divides_by_the_standard_deviation_of_a_patch(
    grid, level, images_of
):
    images = pad64(images_of(grid), grid) + level
    patches = extract_patches(images, grid)
    expected = 1 / np.sqrt(patches.var(axis=(3, 4, 5)) + 0.1)
    found = InverseContrast(grid, 0.1)(images, Workspace())
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@each_grid
@pytest.mark.parametrize("level", [0.0, 1e3, 1e5])
@pytest.mark.parametrize("drift", [0.0, 1e4])
def test_products_and_contrasts_of_bright_images_keep_the_digits_of_float32(
    grid, level, drift, images_of, rng
):
    images = (
        images_of(grid)
        + level
        + drift
        * np.linspace(-1, 1, grid.image_shape[1])[:, None]
        ** np.arange(1, 4)[:, None, None, None]
    )
    images = pad64(images, grid).astype(np.float32)
    filters = rng.normal(size=(4, *grid.patch_shape))
    filters -= filters.mean(axis=(1, 2, 3), keepdims=True)
    patches = extract_patches(images.astype(np.float64), grid)
    contrast = 1 / np.sqrt(patches.var(axis=(3, 4, 5)) + 0.1)
    found = InverseContrast(grid, 0.1)(images, Workspace())
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, contrast, rtol=5e-4)
    products = np.einsum("nyxhwc,fhwc->nyxf", patches, filters)
    found = Correlation(filters.astype(np.float32), grid)(images, Workspace())
    error = np.abs(found - products) * contrast[..., None]
    assert error.max() < 1e-3


def test_products_with_filters_of_any_sum_are_those_of_the_pixels(images_of, rng):
    # A filter whose sum is small, but no rounding error, must see the level.
    grid = PatchGrid((6, 13, 2), (3, 3))
    images = images_of(grid) + 1e6
    filters = rng.normal(size=(3, *grid.patch_shape))
    filters -= filters.mean(axis=(1, 2, 3), keepdims=True) - 1e-9
    expected = np.einsum("nyxhwc,fhwc->nyxf", extract_patches(images, grid), filters)
    found = Correlation(filters, grid)(images, Workspace())
    np.testing.assert_allclose(found, expected, atol=1e-8)


@each_grid
def test_all_patches_reconstruct_the_image(grid, images_of):
    images = images_of(grid)
    patches = extract_patches(pad64(images, grid), grid)
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
    expected = extract_patches(pad64(images, grid), grid)
    np.testing.assert_array_equal(found, expected.reshape(found.shape))


def test_a_sample_has_n_patches_different_patches_of_the_images(images_of):
    grid = PatchGrid((6, 5, 2), (3, 3), (1, 1), ((0, 0), (1, 1)))
    images = images_of(grid, 50)
    rng = np.random.RandomState(0)
    found = sample_patches(images.__getitem__, 50, grid, 100, np.float64, rng)
    assert found.shape == (100, 3, 3, 2)
    patches = extract_patches(pad64(images, grid), grid)
    patches = {patch.tobytes() for patch in patches.reshape(-1, 3, 3, 2)}
    assert {patch.tobytes() for patch in found} <= patches
    assert len({patch.tobytes() for patch in found}) > 95
