"""Theorems on priors: codes are minimisers of the scalar problem."""

import numpy as np
import pytest

from skscn._core.encoders import MapEncoder
from skscn._core.priors import ONE_SIDED, SIGNED
from skscn._core.rate_priors import Exponential, Laplace
from skscn._core.spike_slab import SpikeSlab

PENALTIES = {
    Laplace(): lambda a, t: t * np.abs(a),
    Exponential(): lambda a, t: np.where(a < 0, np.inf, t * a),
    SpikeSlab(one_sided=False): lambda a, t: 0.5 * t**2 * (a != 0),
    SpikeSlab(one_sided=True): lambda a, t: np.where(
        a < 0, np.inf, 0.5 * t**2 * (a != 0)
    ),
}
each_prior = pytest.mark.parametrize("prior", PENALTIES, ids=repr)


def objective(prior, a, u, t):
    return 0.5 * (u - a) ** 2 + PENALTIES[prior](a, t)


def test_every_registered_prior_is_tested():
    assert set(PENALTIES) == {*SIGNED.values(), *ONE_SIDED.values()}


@each_prior
@pytest.mark.parametrize("threshold", [0.0, 0.3, 1.0, 2.5])
def test_the_mode_minimises_the_scalar_objective(prior, threshold):
    u = np.linspace(-4, 4, 161)
    grid = np.append(np.linspace(-5, 5, 4001), 0.0)
    codes = prior.map_code(u.copy(), threshold)
    best = objective(prior, grid[:, None], u, threshold).min(axis=0)
    # No code on the grid is better, and the grid comes as near as its spacing allows.
    assert np.all(objective(prior, codes, u, threshold) <= best + 1e-12)


@each_prior
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_gain_is_what_codes_take_off_the_objective(prior, dtype, rng):
    u = rng.normal(size=(50, 6)).astype(dtype)
    for threshold in (0.4, np.linspace(0, 1, 6).astype(dtype)):
        codes = prior.map_code(u.copy(), threshold)
        each = (0.5 * u**2 - objective(prior, codes, u, threshold)).sum(axis=1)
        np.testing.assert_allclose(
            prior.objective_decrease(codes, threshold), each.sum(), rtol=1e-5
        )
        weights = rng.random(50).astype(dtype)
        np.testing.assert_allclose(
            prior.objective_decrease(codes, threshold, weights),
            weights @ each,
            rtol=1e-5,
        )


@each_prior
def test_without_threshold_codes_are_the_projections(prior, rng):
    u = rng.normal(size=(20, 3))
    allowed = np.maximum(u, 0) if prior.one_sided else u
    np.testing.assert_array_equal(prior.map_code(u.copy(), 0.0), allowed)


@each_prior
def test_a_threshold_beyond_all_projections_leaves_nothing(prior, rng):
    u = rng.normal(size=(20, 3))
    codes = prior.map_code(u.copy(), np.abs(u).max())
    np.testing.assert_array_equal(codes, 0)
    assert not np.signbit(codes).any()
    assert prior.objective_decrease(codes, np.abs(u).max()) == 0


@each_prior
def test_equal_priors_are_one_prior(prior, rng):
    u = rng.normal(size=(20, 3))
    np.testing.assert_array_equal(
        prior.map_code(u.copy(), 0.5), prior.map_code(u.copy(), np.full(3, 0.5))
    )


@each_prior
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e15])
def test_codes_are_exact_in_both_float_types_at_any_scale(prior, dtype, scale):
    u = (np.array([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0]) * scale).astype(dtype)
    codes = prior.map_code(u.copy(), float(scale))
    assert codes.dtype == dtype
    expected = {
        Laplace: [-2, 0, 0, 0, 0, 0, 2],
        Exponential: [0, 0, 0, 0, 0, 0, 2],
        SpikeSlab: [0 if prior.one_sided else -3, 0, 0, 0, 0, 0, 3],
    }[type(prior)]
    np.testing.assert_allclose(codes, np.multiply(expected, scale), rtol=1e-6)


@each_prior
def test_the_slope_is_the_derivative_of_the_code(prior, rng):
    u = rng.normal(size=1000)
    step = 1e-6
    code = MapEncoder(prior, 0.5)
    rise = code.encode(u + step) - code.encode(u - step)
    smooth = np.abs(np.abs(u) - 0.5) > 2 * step
    np.testing.assert_allclose(
        code.derivative(u.copy())[smooth], rise[smooth] / (2 * step), atol=1e-6
    )


def test_the_share_of_a_slab_is_at_most_one():
    """Sums of the same weights differ by rounding errors."""
    statistics = np.array([[1 + 4e-16], [1.0]])
    share, _ = SpikeSlab(one_sided=False).m_step(statistics, 1.0)
    assert share == 1
