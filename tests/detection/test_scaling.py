"""Robust scaling follows its definition, and keeps zeros, signs and order."""

import numpy as np
import pytest
from scipy import sparse

from skscn._detection.scaling import RobustScaling

each_seed = pytest.mark.parametrize("seed", [0, 1, 2])


@each_seed
def test_scaling_is_asinh_of_distances_from_the_median(seed):
    X = np.random.default_rng(seed).standard_cauchy(size=(400, 3)) * [1e-3, 1, 1e6] + 5
    low, center, high = np.quantile(
        X, [0.25, 0.5, 0.75], axis=0, method="averaged_inverted_cdf"
    )
    scale = (high - low) / 1.349
    expected = np.arcsinh((X - center) / scale) - np.arcsinh(-center / scale)
    found = RobustScaling.from_rows(X, None).transform(X)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@each_seed
def test_zeros_stay_zeros(seed):
    X = sparse.csr_array(sparse.random(200, 5, density=0.3, random_state=seed))
    scaling = RobustScaling.from_rows(X, None)
    dense = RobustScaling.from_rows(X.toarray(), None)
    np.testing.assert_allclose(scaling.scale, dense.scale, rtol=1e-12)
    z = dense.transform(X.toarray())
    assert not z[X.toarray() == 0].any()
    found = scaling.transform(X).toarray()
    np.testing.assert_allclose(found, z, rtol=1e-9, atol=1e-12)


def test_order_is_kept_out_to_the_largest_numbers():
    X = np.random.default_rng(0).normal(size=(100, 1)) + 7
    x = np.r_[-np.logspace(308, -300, 99), 0.0, np.logspace(-300, 308, 99)]
    z = RobustScaling.from_rows(X, None).transform(x[:, None]).ravel()
    assert np.isfinite(z).all()
    assert np.all(np.diff(z) >= 0)
    assert np.all(np.diff(z[(np.abs(x) > 1e-3) & (np.abs(x) < 1e100)]) > 0)


@pytest.mark.parametrize("exponent", [-900, -499, 499, 900])
def test_scaling_is_exact_in_units_of_any_power_of_two(exponent):
    X = np.random.default_rng(0).standard_cauchy(size=(101, 3))
    scaling = RobustScaling.from_rows(X, None)
    scaled = RobustScaling.from_rows(np.ldexp(X, exponent), None)
    np.testing.assert_array_equal(scaled.center, np.ldexp(scaling.center, exponent))
    np.testing.assert_array_equal(scaled.scale, np.ldexp(scaling.scale, exponent))


def test_a_feature_that_is_mostly_one_value_has_a_scale():
    X = np.r_[np.zeros(90), np.ones(10)][:, None]
    scaling = RobustScaling.from_rows(X, None)
    assert scaling.varies.all()
    np.testing.assert_allclose(scaling.scale, 0.1 / 0.798)


@pytest.mark.parametrize("value", [0.0, 1e-12, 0.1, 7.0, -1e9])
def test_a_feature_of_one_value_does_not_vary(value):
    X = np.column_stack([np.full(50, value), np.arange(50.0)])
    scaling = RobustScaling.from_rows(X, None)
    np.testing.assert_array_equal(scaling.varies, [False, True])
    assert scaling.select_varying(scaling.transform(X)).shape == (50, 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_scale_is_that_of_data_of_any_size(dtype):
    X = np.random.default_rng(0).normal(size=(101, 1)).astype(dtype)
    X = np.hstack([X, X > 1])
    scale = RobustScaling.from_rows(X, None).scale
    limits = np.finfo(dtype)
    for exponent in (limits.minexp + 30, limits.maxexp - 4):
        found = RobustScaling.from_rows(X * dtype(2.0**exponent), None)
        np.testing.assert_array_equal(found.scale, scale * 2.0**exponent)
        assert found.varies.all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_value_is_far_from_a_feature_of_zeros(dtype):
    X = np.column_stack([np.zeros(50), np.arange(50)]).astype(dtype)
    scaling = RobustScaling.from_rows(X, None)
    x = np.array([[10 * np.finfo(dtype).tiny, 0], [1, 0]])
    assert scaling.transform(x)[:, 0].min() > 10
