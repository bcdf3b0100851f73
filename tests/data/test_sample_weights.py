"""Weights are repetitions where they can be, and otherwise relative."""

import numpy as np
import pytest

from skscn._data.sample_weights import to_repetitions

each_seed = pytest.mark.parametrize("seed", [0, 1, 2])


@each_seed
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_integers_stay(seed, dtype):
    weights = np.random.default_rng(seed).integers(1, 1000, 50).astype(dtype)
    assert to_repetitions(weights, dtype) is weights
    assert to_repetitions(np.ones(5), dtype).tolist() == [1] * 5


@each_seed
@pytest.mark.parametrize("factor", [1e-300, 1e-3, 1e290])
def test_other_weights_have_the_total_of_the_effective_number_of_samples(seed, factor):
    weights = np.random.default_rng(seed).uniform(size=50)
    found = to_repetitions(factor * weights, np.float64)
    expected = weights.sum() ** 2 / (weights**2).sum()
    np.testing.assert_allclose(found.sum(), expected)
    np.testing.assert_allclose(found / found[0], weights / weights[0])
