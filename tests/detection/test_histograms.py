"""Histograms of features hold probabilities that agree with direct counts."""

import numpy as np
import pytest
from scipy import sparse

from skscn._detection.histograms import FeatureHistograms

each_seed = pytest.mark.parametrize("seed", [0, 1, 2])


def histograms_of(z, weights=None):
    return FeatureHistograms.empty(z, weights).add(z, weights, n_jobs=None)


@each_seed
def test_shares_are_counts_with_a_half_added_to_each_bin(seed):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(300, 2)).round(1)
    histograms = histograms_of(z)
    shares = histograms.shares
    assert shares.shape == (2, 2 + 14)  # 2 · 300^(1/3) = 13.4
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    for j in range(2):
        edges = histograms.lower_edge[j] + histograms.bin_width[j] * np.arange(15)
        counts = np.histogram(z[:, j], edges)[0]
        np.testing.assert_array_equal(histograms.counts[j], [0, *counts, 0])
        expected = (counts + 0.5) / (300 + 16 * 0.5)
        np.testing.assert_allclose(shares[j, 1:-1], expected)


@each_seed
def test_bins_have_the_product_of_their_three_shares(seed):
    """The share, the lowest one up to the mode, and those of both tails."""
    rng = np.random.default_rng(seed)
    histograms = histograms_of(rng.gamma(2.0, size=(200, 3)) ** [0.5, 1.0, -1.0])
    for shares, log_probability in zip(
        histograms.shares, histograms.bin_log_probability, strict=True
    ):
        mode = shares.argmax()
        for i in range(len(shares)):
            lowest = shares[min(i, mode) : max(i, mode) + 1].min()
            tail = np.log(shares[i:].sum() * shares[: i + 1].sum()) / 2
            expected = (np.log(shares[i]) + np.log(lowest) + tail) / 2
            np.testing.assert_allclose(log_probability[i], expected)


@each_seed
def test_the_mean_is_that_of_the_counted_rows(seed):
    z = np.random.default_rng(seed).normal(size=(100_000, 2))
    histograms = histograms_of(z)
    mean = histograms.log_probability(z).mean(axis=0)
    np.testing.assert_allclose(histograms.mean_log_probability, mean, atol=0.01)


def test_the_long_tail_of_a_skewed_feature_counts():
    z = np.random.default_rng(0).exponential(size=(1000, 1))
    short, long = histograms_of(z).log_probability(np.array([[z.min()], [4.0]]))
    assert long < short - 3
    mirrored = histograms_of(-z).log_probability(np.array([[-z.min()], [-4.0]]))
    np.testing.assert_allclose(mirrored, [short, long], atol=0.1)


def test_values_beyond_the_range_are_in_the_outer_bins():
    histograms = histograms_of(np.random.default_rng(0).normal(size=(100, 1)))
    found = histograms.log_probability(np.array([[-1e9], [1e9], [np.nan]]))
    below, above = histograms.bin_log_probability[0, [0, -1]]
    np.testing.assert_array_equal(found.ravel(), [below, above, 0.0])
    assert max(below, above) < np.log(0.5 / (100 + 12 * 0.5))


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
