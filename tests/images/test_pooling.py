"""Pools agree with their definitions, with torch, and with their inverses."""

import numpy as np
import pytest
from sklearn.base import clone

from skscn import SpatialPool


@pytest.fixture(scope="module")
def maps():
    return np.random.default_rng(0).random((5, 9, 12, 3))


@pytest.mark.parametrize("stride", [None, 1, (2, 3)])
@pytest.mark.parametrize("window", [1, 2, (3, 4)])
@pytest.mark.parametrize("mode", ["average", "max", "sum"])
def test_pooled_values_are_reductions_over_windows(maps, mode, window, stride):
    size = (window, window) if isinstance(window, int) else window
    step = {None: size, 1: (1, 1)}.get(stride, stride)
    views = np.lib.stride_tricks.sliding_window_view(maps, size, axis=(1, 2))
    views = views[:, :: step[0], :: step[1]]
    reduce = {"average": np.mean, "max": np.max, "sum": np.sum}[mode]
    pooled = SpatialPool(mode, window=window, stride=stride).fit_transform(maps)
    np.testing.assert_allclose(pooled, reduce(views, axis=(4, 5)), atol=1e-12)


@pytest.mark.parametrize("mode", ["average", "max"])
@pytest.mark.parametrize("grid", [1, 2, 4, (9, 12), (10, 5)])
def test_grids_are_the_adaptive_pools_of_torch(maps, mode, grid):
    torch = pytest.importorskip("torch")
    pool = {
        "average": torch.nn.functional.adaptive_avg_pool2d,
        "max": torch.nn.functional.adaptive_max_pool2d,
    }[mode]
    expected = pool(torch.tensor(maps).permute(0, 3, 1, 2), grid).permute(0, 2, 3, 1)
    pooled = SpatialPool(mode, grid=grid).fit_transform(maps)
    np.testing.assert_allclose(pooled, expected.numpy(), atol=1e-12)


@pytest.mark.parametrize("mode", ["average", "max"])
@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (3, 2), (1, 1)])
def test_a_grid_of_more_cells_than_positions_repeats_them(maps, mode, shape):
    torch = pytest.importorskip("torch")
    pool = {
        "average": torch.nn.functional.adaptive_avg_pool2d,
        "max": torch.nn.functional.adaptive_max_pool2d,
    }[mode]
    few = maps[:, : shape[0], : shape[1]].copy()
    expected = pool(torch.tensor(few).permute(0, 3, 1, 2), (2, 4)).permute(0, 2, 3, 1)
    pooled = SpatialPool(mode, grid=(2, 4)).fit_transform(few)
    np.testing.assert_allclose(pooled, expected.numpy(), atol=1e-12)


@pytest.mark.parametrize("mode", ["average", "max", "sum"])
def test_a_grid_of_equal_cells_equals_windows(maps, mode):
    by_grid = SpatialPool(mode, grid=(3, 4)).fit_transform(maps)
    by_window = SpatialPool(mode, window=3).fit_transform(maps)
    np.testing.assert_allclose(by_grid, by_window, atol=1e-12)


@pytest.mark.parametrize("sigma", [0.25, 0.5, 1.0])
def test_gaussian_weights_fall_off_with_the_distance_from_the_center(maps, sigma):
    rows, columns = (
        np.exp(-0.5 * ((np.arange(n) + 0.5 - np.c_[c]) / (sigma * n / 3)) ** 2)
        for n, c in ((9, [1.5, 4.5, 7.5]), (12, [2.0, 6.0, 10.0]))
    )
    weights = np.einsum("iy,jx->ijyx", rows, columns)
    weights /= weights.sum(axis=(2, 3), keepdims=True)
    expected = np.einsum("ijyx,nyxc->nijc", weights, maps)
    pooled = SpatialPool("gaussian", grid=3, sigma=sigma).fit_transform(maps)
    np.testing.assert_allclose(pooled, expected, atol=1e-12)


def test_a_narrow_gaussian_takes_the_nearest_position(maps):
    pooled = SpatialPool("gaussian", grid=(3, 4), sigma=1e-3).fit_transform(maps)
    np.testing.assert_allclose(pooled, maps[:, 1::3, 1::3], rtol=0.5)
    assert np.isfinite(pooled).all()


def test_a_wide_gaussian_is_the_mean(maps):
    pooled = SpatialPool("gaussian", grid=2, sigma=1e4).fit_transform(maps)
    expected = np.broadcast_to(maps.mean(axis=(1, 2))[:, None, None], pooled.shape)
    np.testing.assert_allclose(pooled, expected, rtol=1e-6)


@pytest.mark.parametrize("power", [0.5, 2.0, 1 / 3])
def test_the_power_keeps_the_sign(maps, power):
    signed = maps - 0.5
    plain = SpatialPool(grid=3).fit_transform(signed)
    raised = SpatialPool(grid=3, power=power).fit_transform(signed)
    np.testing.assert_allclose(raised, np.sign(plain) * np.abs(plain) ** power)


@pytest.mark.parametrize("power", [1.0, 0.5])
@pytest.mark.parametrize(
    "parameters",
    [
        {"mode": "average", "window": 3},
        {"mode": "sum", "window": 2, "stride": 1},
        {"mode": "gaussian", "grid": 3},
        {"mode": "average", "grid": (2, 5)},
    ],
    ids=str,
)
def test_pooling_of_the_inverse_returns_the_pooled_values(maps, parameters, power):
    pool = SpatialPool(**parameters, power=power).fit(maps)
    pooled = pool.transform(maps)
    again = pool.transform(pool.inverse_transform(pooled))
    np.testing.assert_allclose(again, pooled, atol=1e-9)


def test_the_inverse_repeats_values_over_windows_without_overlap(maps):
    pool = SpatialPool("max", window=3).fit(maps)
    pooled = pool.transform(maps)
    expected = pooled.repeat(3, axis=1).repeat(3, axis=2)
    np.testing.assert_allclose(pool.inverse_transform(pooled), expected, atol=1e-12)


def test_flat_rows_have_names_and_keep_float32(maps):
    rows = maps.astype(np.float32).reshape(5, -1)
    pool = SpatialPool(window=3, image_shape=(9, 12, 3)).fit(rows)
    pooled = pool.transform(rows)
    assert pooled.shape == (5, 36)
    assert pooled.dtype == np.float32
    column = list(pool.get_feature_names_out()).index("spatialpool_map1_y2_x3")
    expected = clone(pool).fit_transform(maps)
    np.testing.assert_allclose(pooled[:, column], expected[:, 2, 3, 1], rtol=1e-6)
    flat = clone(pool).set_params(flatten=True).fit_transform(maps)
    np.testing.assert_array_equal(flat, expected.reshape(5, -1))


def test_a_signal_is_pooled_along_its_row(rng):
    X = rng.normal(size=(4, 10))
    pooled = SpatialPool("max", window=5).fit_transform(X)
    np.testing.assert_array_equal(pooled, X.reshape(4, 2, 5).max(axis=2))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"mode": "gaussian"}, "grid=4"),
        ({"window": 10}, r"window=\(10, 10\) does not fit"),
        ({"window": (1, 0)}, "window"),
        ({"grid": (1, 2, 3)}, "grid"),
        ({"stride": (0, 1)}, "stride"),
        ({"power": 0.0}, "power"),
    ],
    ids=str,
)
def test_errors_name_the_numbers(maps, parameters, message):
    with pytest.raises(ValueError, match=message):
        SpatialPool(**parameters).fit(maps)


def test_later_mini_batches_of_another_shape_raise(maps):
    pool = SpatialPool().partial_fit(maps)
    with pytest.raises(ValueError, match=r"fitted to images of shape \(9, 12, 3\)"):
        pool.partial_fit(maps[:, :5])
    assert pool.partial_fit(maps).map_shape_ == (4, 6, 3)


@pytest.mark.parametrize("mode", ["average", "max", "sum", "gaussian"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, bool])
@pytest.mark.parametrize("power", [1.0, 0.5])
def test_small_integers_are_pooled_as_float32(mode, dtype, power):
    images = np.random.default_rng(0).integers(0, 120, size=(3, 8, 6)).astype(dtype)
    pool = SpatialPool(mode, grid=2, power=power)
    pooled = pool.fit_transform(images)
    assert pooled.dtype == np.float32
    expected = clone(pool).fit_transform(images.astype(np.float32))
    np.testing.assert_array_equal(pooled, expected)


@pytest.mark.parametrize("grid", [None, 2])
@pytest.mark.parametrize(("mode", "power"), [("sum", 1.0), ("average", 2.0)])
def test_pooled_values_that_overflow_are_an_error_with_their_size(mode, power, grid):
    maps = np.full((2, 4, 4), 3e38, dtype=np.float32)
    pool = SpatialPool(mode, grid=grid, power=power).fit(maps)
    with pytest.raises(ValueError, match=r"maps leave the range of float32.* 3e\+38"):
        pool.transform(maps)


def test_finite_maps_whose_sum_overflows_are_read():
    # scikit-learn adds all entries to see whether they are finite.
    maps = np.full((2, 4, 4), 3e38, dtype=np.float32)
    maps[0] *= -1
    pooled = SpatialPool("max").fit_transform(maps)
    np.testing.assert_array_equal(pooled, maps[:, :2, :2, None])
