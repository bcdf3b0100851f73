"""Weighted quantiles agree with NumPy, and weights with repetitions."""

import numpy as np
import pytest

from skscn._detection.quantiles import weighted_quantiles

each_seed = pytest.mark.parametrize("seed", [0, 1, 2])
LEVELS = (0.1, 0.25, 0.5, 0.75)


@each_seed
@pytest.mark.parametrize("n", [1, 2, 9, 40])
def test_quantiles_are_those_of_numpy(seed, n):
    values = np.random.default_rng(seed).normal(size=n)
    expected = np.quantile(values, LEVELS, method="averaged_inverted_cdf")
    found = weighted_quantiles(values, None, LEVELS)
    np.testing.assert_allclose(found, expected, rtol=1e-14)


@each_seed
def test_weights_are_repetitions(seed):
    rng = np.random.default_rng(seed)
    values, weights = rng.normal(size=30).round(1), rng.integers(0, 4, 30)
    np.testing.assert_array_equal(
        weighted_quantiles(values, weights, LEVELS),
        weighted_quantiles(np.repeat(values, weights), None, LEVELS),
    )
