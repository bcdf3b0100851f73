"""What a table needs: quantiles with weights, one scale, cells, robust distances."""

from functools import partial

import numpy as np
import pytest
from common import random_orthonormal
from scipy import sparse

from skscn._data.parallel import sum_over_rows, worker_pool
from skscn._detection.features import (
    Cells,
    Scaling,
    cell_counts,
    cell_masses,
    cell_scores,
    learned_cells,
    quantiles,
)
from skscn._detection.robust_distance import robust_distances

each_seed = pytest.mark.parametrize("seed", [0, 1, 2])
LEVELS = (0.1, 0.25, 0.5, 0.75)


def summed(rows, weights=None):
    """Return what sums a function over all rows at once."""
    return lambda function: function(rows, weights)


@each_seed
@pytest.mark.parametrize("n", [1, 2, 9, 40])
def test_quantiles_are_those_of_numpy(seed, n):
    values = np.random.default_rng(seed).normal(size=n)
    expected = np.quantile(values, LEVELS, method="averaged_inverted_cdf")
    np.testing.assert_allclose(quantiles(values, None, LEVELS), expected, rtol=1e-14)


@each_seed
def test_quantiles_take_weights_for_repetitions(seed):
    rng = np.random.default_rng(seed)
    values, weights = rng.normal(size=30).round(1), rng.integers(0, 4, 30)
    np.testing.assert_array_equal(
        quantiles(values, weights, LEVELS),
        quantiles(np.repeat(values, weights), None, LEVELS),
    )


@each_seed
def test_scaling_is_by_its_definition(seed):
    X = np.random.default_rng(seed).standard_cauchy(size=(400, 3)) * [1e-3, 1, 1e6] + 5
    low, centre, high = np.quantile(
        X, [0.25, 0.5, 0.75], axis=0, method="averaged_inverted_cdf"
    )
    scale = (high - low) / 1.349
    expected = np.arcsinh((X - centre) / scale) - np.arcsinh(-centre / scale)
    found = Scaling.learned(X, None)(X)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@each_seed
def test_zeros_stay_zeros(seed):
    X = sparse.csr_array(sparse.random(200, 5, density=0.3, random_state=seed))
    scaling = Scaling.learned(X, None)
    dense = Scaling.learned(X.toarray(), None)
    np.testing.assert_allclose(scaling.scale, dense.scale, rtol=1e-12)
    assert not dense(X.toarray())[X.toarray() == 0].any()
    np.testing.assert_allclose(
        scaling(X).toarray(), dense(X.toarray()), rtol=1e-9, atol=1e-12
    )


def test_order_is_kept_out_to_the_largest_numbers():
    X = np.random.default_rng(0).normal(size=(100, 1)) + 7
    x = np.r_[-np.logspace(308, -300, 99), 0.0, np.logspace(-300, 308, 99)]
    z = Scaling.learned(X, None)(x[:, None]).ravel()
    assert np.isfinite(z).all()
    assert np.all(np.diff(z) >= 0)
    assert np.all(np.diff(z[(np.abs(x) > 1e-3) & (np.abs(x) < 1e100)]) > 0)


def test_a_feature_that_is_mostly_one_value_has_a_scale():
    X = np.r_[np.zeros(90), np.ones(10)][:, None]
    scaling = Scaling.learned(X, None)
    assert scaling.varies.all()
    np.testing.assert_allclose(scaling.scale, 0.1 / 0.798)


@pytest.mark.parametrize("value", [0.0, 1e-12, 0.1, 7.0, -1e9])
def test_a_feature_of_one_value_does_not_vary(value):
    X = np.column_stack([np.full(50, value), np.arange(50.0)])
    scaling = Scaling.learned(X, None)
    np.testing.assert_array_equal(scaling.varies, [False, True])
    assert scaling.coded(scaling(X)).shape == (50, 1)


@each_seed
def test_the_masses_of_cells_are_probabilities_that_count(seed):
    """Counts plus a half in every cell, by definition; they add up to one."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(300, 2)).round(1)
    cells = learned_cells(z, None, summed(z))
    assert cells.log_mass.shape == (2, 2 + 1 + 9)  # 2⁸ < 300 ≤ 2⁹
    np.testing.assert_allclose(np.exp(cells.log_mass).sum(axis=1), 1.0)
    for j in range(2):
        edges = cells.low[j] + cells.width[j] * np.arange(11)
        counts = np.histogram(z[:, j], edges)[0]
        np.testing.assert_array_equal(cells.counts.weight[j], [0, *counts, 0])
        expected = np.log((counts + 0.5) / (300 + 12 * 0.5))
        np.testing.assert_allclose(cells.log_mass[j, 1:-1], expected)


def test_what_lies_beyond_all_cells_falls_into_the_outer_ones():
    z = np.random.default_rng(0).normal(size=(100, 1))
    cells = learned_cells(z, None, summed(z))
    masses = cell_masses(np.array([[-1e9], [1e9], [np.nan]]), cells, cells.log_mass)
    outer = np.log(0.5 / (100 + 10 * 0.5))
    np.testing.assert_allclose(masses.ravel(), [outer, outer, 0.0])


@each_seed
def test_cells_of_sparse_rows_weights_and_gaps(seed):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(200, 4)) * (rng.random((200, 4)) < 0.4)
    weights = rng.integers(0, 3, 200).astype(float)
    dense = learned_cells(z, weights, summed(z, weights))
    csr = sparse.csr_array(z)
    found = learned_cells(csr, weights, summed(csr, weights))
    repeated = np.repeat(z, weights.astype(int), axis=0)
    again = learned_cells(repeated, None, summed(repeated))
    for other in (found, again):
        np.testing.assert_allclose(other.low, dense.low)
        np.testing.assert_array_equal(other.counts.weight, dense.counts.weight)
    np.testing.assert_allclose(
        cell_scores(csr, dense, dense.log_mass), cell_scores(z, dense, dense.log_mass)
    )
    gaps = np.where(rng.random(z.shape) < 0.2, np.nan, z)
    counted = cell_counts(gaps, None, cells=Cells.spanning(gaps, None)).weight
    np.testing.assert_array_equal(counted.sum(axis=1), (~np.isnan(gaps)).sum(axis=0))


@each_seed
@pytest.mark.parametrize("kind", ["dense", "csr"])
def test_robust_distances_turn_with_the_data_and_do_not_see_the_far_ones(seed, kind):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(400, 5)) * [0.2, 0.5, 1, 2, 4]
    z[:20] = [8.0, 0, 0, 0, 0]
    turn = random_orthonormal(5, 5, seed)

    def distances(rows):
        if kind == "csr":
            rows = sparse.csr_array(rows)
        with worker_pool(400) as pool:
            total = partial(sum_over_rows, pool)
            return robust_distances(rows, None, np.zeros(5), total)

    found = distances(z)
    np.testing.assert_allclose(distances(z @ turn), found, rtol=1e-8)
    assert found[:20].min() > np.quantile(found[20:], 0.99)
