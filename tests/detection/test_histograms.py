"""Histograms of features hold probabilities that agree with direct counts."""

import numpy as np
import pytest
from scipy import sparse

from skscn._detection.histograms import FeatureHistograms

each_seed = pytest.mark.parametrize("seed", [0, 1, 2])


def histograms_of(z, weights=None):
    return FeatureHistograms.empty(z, weights).add(z, weights, n_jobs=None)


@each_seed
def test_probabilities_are_counts_with_a_half_added_to_each_bin(seed):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(300, 2)).round(1)
    histograms = histograms_of(z)
    log_probability = histograms.bin_log_probability
    assert log_probability.shape == (2, 2 + 1 + 9)  # 2⁸ < 300 ≤ 2⁹
    np.testing.assert_allclose(np.exp(log_probability).sum(axis=1), 1.0)
    for j in range(2):
        edges = histograms.lower_edge[j] + histograms.bin_width[j] * np.arange(11)
        counts = np.histogram(z[:, j], edges)[0]
        np.testing.assert_array_equal(histograms.counts[j], [0, *counts, 0])
        expected = np.log((counts + 0.5) / (300 + 12 * 0.5))
        np.testing.assert_allclose(log_probability[j, 1:-1], expected)


def test_values_beyond_the_range_are_in_the_outer_bins():
    z = np.random.default_rng(0).normal(size=(100, 1))
    found = histograms_of(z).log_probability(np.array([[-1e9], [1e9], [np.nan]]))
    outer = np.log(0.5 / (100 + 10 * 0.5))
    np.testing.assert_allclose(found.ravel(), [outer, outer, 0.0])


@each_seed
def test_sparse_rows_weights_and_missing_values_are_counted(seed):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(200, 4)) * (rng.random((200, 4)) < 0.4)
    weights = rng.integers(0, 3, 200).astype(float)
    csr = sparse.csr_array(z)
    dense = histograms_of(z, weights)
    from_csr = histograms_of(csr, weights)
    from_repeated = histograms_of(np.repeat(z, weights.astype(int), axis=0))
    for other in (from_csr, from_repeated):
        np.testing.assert_allclose(other.lower_edge, dense.lower_edge)
        np.testing.assert_array_equal(other.counts, dense.counts)
    np.testing.assert_allclose(
        dense.row_log_probability(csr), dense.row_log_probability(z)
    )
    incomplete = np.where(rng.random(z.shape) < 0.2, np.nan, z)
    counts = histograms_of(incomplete).counts
    n_measured = (~np.isnan(incomplete)).sum(axis=0)
    np.testing.assert_array_equal(counts.sum(axis=1), n_measured)


@pytest.mark.parametrize("n_samples", [100, 1000, 100_000])
@pytest.mark.parametrize("largest", [2, 5, 6, 9, 10, 16])
def test_rounding_errors_do_not_move_integers_to_other_bins(n_samples, largest):
    z = np.arange(n_samples)[:, None] % (largest + 1.0)
    histograms = histograms_of(z)
    for error in (-1e-6, 1e-6):
        found = histograms.log_probability(z + error * largest)
        np.testing.assert_array_equal(found, histograms.log_probability(z))


def test_a_constant_feature_is_in_the_middle_of_its_range():
    histograms = histograms_of(np.full((50, 1), 3.0))
    near, far = histograms.log_probability(np.array([[3.0], [4.0]])).ravel()
    assert far < near - 3
