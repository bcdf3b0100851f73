"""Patches, products with filters and contrasts, against plain definitions."""

import numpy as np
import pytest

from skscn._core.workspace import Workspace
from skscn._images.layers.correlation import Contrast, Correlation
from skscn._images.layers.patches import (
    Geometry,
    overlap_add,
    padded,
    same_padding,
    sample_patches,
    windows,
)

# image shape, kernel, stride, padding; widths that tiles divide and that they do not
GEOMETRIES = [
    ((8, 8, 1), (3, 3), (1, 1), ((1, 1), (1, 1))),
    ((9, 11, 3), (4, 2), (1, 1), ((0, 0), (0, 0))),
    ((7, 13, 2), (3, 5), (2, 3), ((1, 1), (2, 2))),
    ((1, 29, 1), (1, 7), (1, 1), ((0, 0), (3, 3))),
    ((12, 12, 1), (4, 4), (4, 4), ((0, 0), (0, 0))),
    ((5, 5, 40), (5, 5), (1, 1), ((2, 2), (2, 2))),
    ((3, 3, 1), (3, 3), (1, 1), ((0, 0), (0, 0))),
]
each_geometry = pytest.mark.parametrize(
    "geometry", [Geometry(*g) for g in GEOMETRIES], ids=str
)


@pytest.fixture
def images_of(rng):
    return lambda geometry, n=3: rng.normal(size=(n, *geometry.image_shape))


@each_geometry
@pytest.mark.parametrize("n_filters", [1, 5, 32])
def test_tiled_products_are_the_products_of_every_patch(
    geometry, n_filters, images_of, rng
):
    images = padded(images_of(geometry), geometry, np.float64, Workspace())
    filters = rng.normal(size=(n_filters, *geometry.patch_shape))
    expected = np.einsum("nyxhwc,fhwc->nyxf", windows(images, geometry), filters)
    products = Correlation(filters, geometry)(images, Workspace())
    np.testing.assert_allclose(products, expected, atol=1e-12)


@pytest.mark.parametrize("tile", [1, 2, 3, 4, 7, 13])
def test_every_tile_gives_the_same_products(tile, images_of, rng, monkeypatch):
    geometry = Geometry((6, 13, 2), (3, 3), (1, 1), ((1, 1), (1, 1)))
    images = padded(images_of(geometry), geometry, np.float64, Workspace())
    filters = rng.normal(size=(4, *geometry.patch_shape))
    expected = Correlation(filters, geometry)(images, Workspace()).copy()
    monkeypatch.setattr("skscn._images.layers.correlation._best_tile", lambda *_: tile)
    products = Correlation(filters, geometry)(images, Workspace())
    np.testing.assert_allclose(products, expected, atol=1e-12)


@each_geometry
@pytest.mark.parametrize("centre", [0.0, 100.0])
def test_contrast_is_the_standard_deviation_of_every_patch(geometry, centre, images_of):
    images = padded(images_of(geometry), geometry, np.float64, Workspace()) + centre
    patches = windows(images, geometry)
    expected = 1 / np.sqrt(patches.var(axis=(3, 4, 5)) + 0.1)
    found = Contrast(geometry, 0.1, centre)(images)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_contrast_loses_no_digits_far_from_the_origin(rng):
    geometry = Geometry((8, 8, 1), (3, 3), (1, 1), ((0, 0), (0, 0)))
    images = (1000 + rng.normal(size=(5, 8, 8, 1))).astype(np.float32)
    expected = 1 / np.sqrt(windows(images, geometry).var(axis=(3, 4, 5)) + 0.1)
    found = Contrast(geometry, 0.1, 1000.0)(images)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@each_geometry
def test_overlap_add_of_all_patches_is_the_image(geometry, images_of):
    images = images_of(geometry)
    patches = windows(padded(images, geometry, np.float64, Workspace()), geometry)
    covered = overlap_add(np.ones_like(patches), geometry) > 0
    rebuilt = overlap_add(patches, geometry)
    np.testing.assert_allclose(rebuilt, images * covered, atol=1e-12)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 5, 8])
def test_same_padding_makes_one_patch_for_every_stride(kernel, stride):
    for size in (1, 2, 7, 12):
        padding = same_padding(size, kernel, stride)
        geometry = Geometry((1, size, 1), (1, kernel), (1, stride), ((0, 0), padding))
        assert geometry.places == (1, -(-size // stride))


def test_a_small_set_gives_all_of_its_patches(images_of):
    geometry = Geometry((6, 5, 2), (3, 3), (1, 1), ((0, 0), (1, 1)))
    images = images_of(geometry)
    rng = np.random.RandomState(0)
    found = sample_patches(images.__getitem__, 3, geometry, 10**6, np.float64, rng)
    expected = windows(padded(images, geometry, np.float64, Workspace()), geometry)
    np.testing.assert_array_equal(found, expected.reshape(found.shape))


def test_a_sample_is_bounded_and_of_patches_that_are_there(images_of):
    geometry = Geometry((6, 5, 2), (3, 3), (1, 1), ((0, 0), (1, 1)))
    images = images_of(geometry, 50)
    rng = np.random.RandomState(0)
    found = sample_patches(images.__getitem__, 50, geometry, 100, np.float64, rng)
    assert found.shape == (100, 3, 3, 2)
    every = windows(padded(images, geometry, np.float64, Workspace()), geometry)
    every = {patch.tobytes() for patch in every.reshape(-1, 3, 3, 2)}
    assert {patch.tobytes() for patch in found} <= every
    assert len({patch.tobytes() for patch in found}) > 95
