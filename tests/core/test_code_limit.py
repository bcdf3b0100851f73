"""Codes with a limited number of coefficients, against a search of all supports."""

from itertools import combinations

import numpy as np
import pytest

from skscn._core.encoders import MapEncoder
from skscn._core.priors import ONE_SIDED, SIGNED

PRIORS = [*SIGNED.values(), *ONE_SIDED.values()]
each_prior = pytest.mark.parametrize("prior", PRIORS, ids=repr)
N_COMPONENTS = 6
THRESHOLDS = {"none": 0.0, "equal": 0.4, "different": np.linspace(0, 1.5, N_COMPONENTS)}


def objective(u, codes, prior, threshold):
    """Return ½‖u − a‖² + penalty(a) of every row."""
    penalty = threshold * np.abs(codes)
    if "weight" in prior.parameter_names:
        penalty = 0.5 * np.square(threshold) * (codes != 0)
    return (0.5 * (u - codes) ** 2 + penalty).sum(axis=1)


@each_prior
@pytest.mark.parametrize("name", THRESHOLDS)
@pytest.mark.parametrize("n_nonzero", range(1, 8))
def test_no_other_support_has_a_lower_objective(prior, name, n_nonzero, rng):
    u, threshold = rng.normal(size=(40, N_COMPONENTS)), THRESHOLDS[name]
    limited = MapEncoder(prior, threshold, n_nonzero=n_nonzero)
    codes = limited.encode(u.copy(), np.empty_like(u))
    unlimited = MapEncoder(prior, threshold).encode(u.copy())
    best = np.full(len(u), np.inf)
    for support in combinations(range(N_COMPONENTS), min(n_nonzero, N_COMPONENTS)):
        others = np.zeros_like(u)
        others[:, support] = unlimited[:, support]
        best = np.minimum(best, objective(u, others, prior, threshold))
    np.testing.assert_allclose(objective(u, codes, prior, threshold), best)
    assert (codes != 0).sum(axis=1).max() <= n_nonzero
    decrease, _ = limited.encode_and_sum(u.copy())
    np.testing.assert_allclose(0.5 * np.sum(u**2) - decrease, best.sum(), atol=1e-12)


@each_prior
@pytest.mark.parametrize("name", THRESHOLDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_other_array_libraries_return_the_same_codes(prior, name, dtype, rng):
    xp = pytest.importorskip("array_api_strict")
    u = rng.integers(-3, 4, size=(200, N_COMPONENTS)).astype(dtype)  # with ties
    threshold = np.broadcast_to(THRESHOLDS[name], N_COMPONENTS).astype(dtype)
    encoder = MapEncoder.from_thresholds(prior, threshold, dtype, n_nonzero=2)
    found = encoder.encode_array_api(xp, xp.asarray(u), xp.asarray(threshold))
    np.testing.assert_array_equal(encoder.encode(u.copy()), np.asarray(found))


@each_prior
def test_of_equal_codes_the_first_are_kept(prior):
    u = np.array([[2.0, 3, 2, 2, 2], [1, 1, 1, 1, 1], [0, 0, 0, 2, 0], [0] * 5])
    expected = [[2.0, 3, 2, 0, 0], [1, 1, 1, 0, 0], [0, 0, 0, 2, 0], [0] * 5]
    encoder = MapEncoder(prior, 0.0, n_nonzero=3)
    np.testing.assert_array_equal(encoder.encode(u), expected)


@each_prior
def test_nan_stays_and_changes_no_other_row(prior, rng):
    u = rng.normal(size=(5, N_COMPONENTS))
    encoder = MapEncoder(prior, 0.1, n_nonzero=2)
    expected = encoder.encode(u.copy())
    expected[2] = u[2] = np.nan
    np.testing.assert_array_equal(encoder.encode(u), expected)


def test_codes_whose_squares_underflow_or_overflow_keep_their_order():
    thresholds = np.array([1e-30, 2e-30, 0.0])
    encoder = MapEncoder(SIGNED["spike_slab"], thresholds, n_nonzero=1)
    u = np.array([[3e-30, 4e-30, 1e-30], [1e-25, -2e-25, 5e-26], [2e30, 1e30, -3e30]])
    for dtype in (np.float32, np.float64):
        codes = encoder.encode(u.astype(dtype))
        np.testing.assert_array_equal(np.argmax(codes != 0, axis=1), [1, 1, 2])
