"""Theorems on scalar inference: every formula against quadrature, at any scale."""

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.special import erfcx
from scipy.stats import exponnorm, norm

from skscn._core.encoders import MapEncoder, PosteriorMeanEncoder
from skscn._core.normal_tail import excess_and_mills
from skscn._core.priors import ONE_SIDED, SIGNED
from skscn._core.workspace import Workspace

RATES = np.array([[0.05, 0.5, 1.0, 4.0, 30.0]])
SLABS = np.array([[0.02, 0.1, 0.5, 0.9, 0.3], [100.0, 9.0, 1.0, 0.25, 1e-3]])
PRIORS = {
    "laplace": (SIGNED["laplace"], RATES),
    "exponential": (ONE_SIDED["exponential"], RATES),
    "spike_slab": (SIGNED["spike_slab"], SLABS),
    "one-sided spike_slab": (ONE_SIDED["spike_slab"], SLABS),
}
each_prior = pytest.mark.parametrize(
    ("prior", "parameters"), PRIORS.values(), ids=list(PRIORS)
)
each_noise = pytest.mark.parametrize("noise", [1e-4, 1.0, 9.0])


def log_slab(prior, parameters, a):
    """Return the logarithm of the part of the prior that has a density."""
    if prior.parameter_names == ("rate",):
        (rate,) = parameters
        logs = np.log(rate) - rate * np.abs(a)
    else:
        weight, variance = parameters
        logs = np.log(2 * weight) + norm.logpdf(a, scale=np.sqrt(variance))
    return np.where(a >= 0, logs, -np.inf) if prior.one_sided else logs - np.log(2)


def moments(prior, parameters, noise, u):
    """Return density, mean and variance by quadrature, of one coefficient."""
    sigma = np.sqrt(noise)
    scale = 1 / parameters[0] if len(parameters) == 1 else np.sqrt(parameters[1])
    # Gauss-Legendre between points where the integrand may bend.
    steps = np.array([0.0, 0.1, 0.3, 1, 2, 3, 4, 6, 8, 12, 20, 40])
    steps = np.concatenate([-steps, steps])
    ends = np.unique(np.concatenate([scale * steps, sigma * steps, u + sigma * steps]))
    ends = ends[ends >= 0] if prior.one_sided else ends
    nodes, weights = np.polynomial.legendre.leggauss(80)
    half = np.diff(ends)[:, None] / 2
    a = (ends[:-1, None] + half) + half * nodes
    logs = log_slab(prior, parameters, a) - (u - a) ** 2 / (2 * noise)
    mass = np.exp(logs - logs.max()) * half * weights
    total = mass.sum()
    mean = (mass * a).sum() / total
    variance = (mass * (a - mean) ** 2).sum() / total
    log_mass = logs.max() + np.log(total) - np.log(2 * np.pi * noise) / 2
    if len(parameters) == 1:
        return log_mass, mean, variance
    log_spike = np.log1p(-parameters[0]) + norm.logpdf(u, scale=sigma)
    log_density = np.logaddexp(log_mass, log_spike)
    share = np.exp(log_mass - log_density)
    return log_density, share * mean, share * (variance + (1 - share) * mean**2)


@each_prior
@each_noise
def test_density_mean_and_variance_are_quadrature(prior, parameters, noise):
    """To 1e-9, left and right of every threshold."""
    sigma = np.sqrt(noise)
    points = np.array([-9, -3, -0.7, 0.0, 0.2, 1.1, 2.5, 6.0]) * max(sigma, 0.3)
    for column in parameters.T:
        code = PosteriorMeanEncoder(prior, column[:, None], noise)
        u = points[:, None]
        expected = np.array([moments(prior, column, noise, x) for x in points])
        found = code.log_density(u.copy()), code.encode(u.copy())[:, 0]
        np.testing.assert_allclose(found[0], expected[:, 0], rtol=1e-9, atol=1e-9)
        size = sigma + np.abs(expected[:, 1])
        assert np.abs((found[1] - expected[:, 1]) / size).max() < 1e-9
        variance = code.posterior_variance(u)[:, 0]
        np.testing.assert_allclose(
            variance, expected[:, 2], rtol=1e-7, atol=1e-9 * noise
        )


def test_the_tail_is_scipys():
    z = np.concatenate([[0.0], np.logspace(-8, 8, 4001)])
    expected = np.sqrt(np.pi / 2) * erfcx(z / np.sqrt(2))
    for dtype, rtol in ((np.float64, 2e-12), (np.float32, 2e-6)):
        excess, mills = excess_and_mills(z.astype(dtype), Workspace())
        assert excess.dtype == mills.dtype == dtype
        np.testing.assert_allclose(mills, expected, rtol=rtol)
        np.testing.assert_allclose(
            excess[z < 10], (1 / expected - z)[z < 10], rtol=100 * rtol
        )
        assert np.all(np.diff(mills.astype(float)) <= 4e-7 * mills[1:])


@pytest.mark.parametrize("rate", [0.01, 0.7, 20.0])
@each_noise
def test_the_exponential_marginal_is_scipys(rate, noise):
    sigma = np.sqrt(noise)
    u = np.linspace(-20, 20, 401)[:, None] * max(sigma, 1 / rate)
    code = PosteriorMeanEncoder(ONE_SIDED["exponential"], np.array([[rate]]), noise)
    expected = exponnorm.logpdf(u[:, 0], 1 / (rate * sigma), scale=sigma)
    finite = np.isfinite(expected) & (expected > -600)
    found = code.log_density(u.copy())
    np.testing.assert_allclose(found[finite], expected[finite], rtol=1e-9)


@each_prior
@each_noise
def test_densities_integrate_to_one(prior, parameters, noise):
    for column in parameters.T:
        code = PosteriorMeanEncoder(prior, column[:, None], noise)
        scale = np.sqrt(noise + (1 / column[0] ** 2 if len(column) == 1 else column[1]))
        sigma = np.sqrt(noise)
        near = np.linspace(-12 * sigma, 12 * sigma, 20_001)
        far = np.linspace(12 * sigma, 12 * sigma + 40 * scale, 200_001)
        u = np.concatenate([-far[::-1], near, far])
        density = np.exp(code.log_density(u[:, None].copy()))
        np.testing.assert_allclose(trapezoid(density, u), 1, atol=1e-6)


@each_prior
@each_noise
def test_the_mean_is_tweedies_formula(prior, parameters, noise):
    """E a = u + σ² d/du log p(u), and the variance is σ² d/du E a."""
    sigma = np.sqrt(noise)
    u = np.linspace(-6, 6, 60)[:, None] * max(sigma, 0.3) + np.zeros(5)
    code = PosteriorMeanEncoder(prior, parameters, noise)
    step = 1e-5 * sigma
    slope = np.empty_like(u)
    for j in range(5):
        one = PosteriorMeanEncoder(prior, parameters[:, [j]], noise)
        logs = [one.log_density(u[:, [j]] + sign * step) for sign in (1, -1)]
        slope[:, j] = (logs[0] - logs[1]) / (2 * step)
    mean = code.encode(u.copy())
    assert np.abs(mean - u - noise * slope).max() < 1e-5 * (sigma + np.abs(u).max())
    rise = (code.encode(u + step) - code.encode(u - step)) / (2 * step)
    np.testing.assert_allclose(code.derivative(u), rise, atol=2e-5)


@each_prior
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_all_is_finite_and_means_rise_to_ten_thousand_deviations(
    prior, parameters, dtype
):
    half = np.concatenate([[0.0], np.logspace(-6, 4, 2000)])
    z = np.concatenate([-half[::-1], half]).astype(dtype)
    for noise in (1.0, 1e-6):
        u = (z * np.sqrt(noise)).astype(dtype)[:, None] + np.zeros(5, dtype=dtype)
        code = PosteriorMeanEncoder(prior, parameters, noise)
        mean = code.encode(u.copy())
        assert mean.dtype == dtype
        assert np.isfinite(mean).all()
        assert np.isfinite(code.log_density(u.copy())).all()
        variance = code.posterior_variance(u)
        assert np.isfinite(variance).all()
        assert variance.min() >= 0
        rounding = 8 * np.finfo(dtype).eps * np.abs(mean[1:])
        tiny = np.finfo(dtype).eps * np.sqrt(noise)
        assert np.all(np.diff(mean, axis=0) >= -rounding - tiny)
        if prior.one_sided:
            assert mean.min() >= 0


@each_prior
def test_single_precision_agrees_with_double(prior, parameters, rng):
    u = rng.normal(size=(500, 5)) * 5
    code = PosteriorMeanEncoder(prior, parameters, 0.7)
    single = u.astype(np.float32)
    np.testing.assert_allclose(
        code.encode(single.copy()), code.encode(u.copy()), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(
        code.log_density(single.copy()), code.log_density(u.copy()), rtol=1e-4
    )


@each_prior
def test_without_noise_the_mean_is_the_projection(prior, parameters):
    u = np.linspace(0.1, 3, 30)[:, None] + np.zeros(5)
    mean = PosteriorMeanEncoder(prior, parameters, 1e-12).encode(u.copy())
    np.testing.assert_allclose(mean, u, atol=1e-6)


@pytest.mark.parametrize("name", ["laplace", "exponential"])
def test_limits_of_the_rate(name, rng):
    """A flat prior returns the projection, or its cut-off mean; a sharp one nothing."""
    prior = PRIORS[name][0]
    u = rng.normal(size=(100, 1)) * 3
    flat = PosteriorMeanEncoder(prior, np.array([[1e-9]]), 1.0).encode(u.copy())
    cut = u + norm.pdf(u) / norm.cdf(u) if prior.one_sided else u
    np.testing.assert_allclose(flat, cut, atol=1e-6)
    sharp = PosteriorMeanEncoder(prior, np.array([[1e9]]), 1.0)
    np.testing.assert_allclose(sharp.encode(u.copy()), 0, atol=1e-8)
    np.testing.assert_allclose(
        sharp.log_density(u.copy()), norm.logpdf(u[:, 0]), atol=1e-6
    )


@each_prior
@each_noise
def test_the_learned_mode_is_the_most_probable_value(prior, parameters, noise):
    """Of the posterior's density; of the slab, where that is more probable than not."""
    u = np.linspace(-5, 5, 101)[:, None] * max(np.sqrt(noise), 0.3) + np.zeros(5)
    codes = MapEncoder(prior, *prior.map_rule(parameters, noise)).encode(u.copy())
    grid = np.linspace(0.0 if prior.one_sided else -1.0, 1.0, 4001) * np.abs(u).max()
    for column, projections, code in zip(parameters.T, u.T, codes.T, strict=True):
        logs = log_slab(prior, column, grid) - (projections[:, None] - grid) ** 2 / (
            2 * noise
        )
        best = grid[np.argmax(logs, axis=1)]
        if len(column) == 2:
            spike = np.log1p(-column[0]) + norm.logpdf(projections, scale=noise**0.5)
            density = [moments(prior, column, noise, x)[0] for x in projections]
            best = np.where(density > spike + np.log(2), best, 0.0)
        assert np.abs(code - best).max() <= 1.01 * (grid[1] - grid[0])


@each_prior
@each_noise
def test_the_gradient_by_coordinates_is_numeric(prior, parameters, noise, rng):
    """Fisher's identity: expectations of the complete gradient are the gradient."""
    u = rng.normal(size=(200, 5)) * 2 + 1
    weights = rng.random(200)
    _, sums = PosteriorMeanEncoder(prior, parameters, noise).encode_and_sum(
        u.copy(), None, weights
    )
    gradient, curvature = prior.gradient_and_curvature(
        parameters, sums[1:], weights.sum()
    )
    np.testing.assert_allclose(sums[0], weights @ u**2)
    place = prior.to_unconstrained(parameters)
    np.testing.assert_allclose(prior.from_unconstrained(place), parameters)
    assert np.all(curvature >= 0)
    for index in np.ndindex(place.shape):
        costs = []
        for sign in (1, -1):
            moved = place.copy()
            moved[index] += sign * 1e-5
            code = PosteriorMeanEncoder(prior, prior.from_unconstrained(moved), noise)
            costs.append(-weights @ code.log_density(u.copy()))
        numeric = (costs[0] - costs[1]) / 2e-5
        np.testing.assert_allclose(gradient[index], numeric, rtol=1e-4, atol=1e-4)


@each_prior
@each_noise
def test_expected_squares_are_those_of_mean_and_variance(prior, parameters, noise, rng):
    u = rng.normal(size=(50, 5)) * 2 + 1
    code = PosteriorMeanEncoder(prior, parameters, noise)
    mean = code.encode(u.copy())
    _, sums = code.encode_and_sum(u.copy())
    squares = prior.sum_second_moments(
        parameters, noise, sums[1:], np.sum(u * mean, axis=0), 50
    )
    np.testing.assert_allclose(
        squares, np.sum(mean**2 + code.posterior_variance(u), axis=0), rtol=1e-6
    )


@each_prior
def test_drawn_codes_have_the_moments_of_the_prior(prior, parameters):
    codes = prior.sample(parameters, 200_000, np.random.RandomState(0))
    error = 5 * codes.std(axis=0) / np.sqrt(len(codes))
    assert np.all(np.abs(codes.mean(axis=0) - prior.mean(parameters)) < error)
    learned = prior.m_step(*_complete(prior, codes))
    np.testing.assert_allclose(learned, parameters, rtol=0.1)


def _complete(prior, codes):
    if prior.parameter_names == ("rate",):
        return np.abs(codes).sum(axis=0)[None], len(codes)
    return np.array([(codes != 0).sum(axis=0), (codes**2).sum(axis=0)]), len(codes)


def test_working_memory_is_bounded():
    """A worker that codes ever fewer rows does not hold arrays for each number."""
    code = PosteriorMeanEncoder(SIGNED["laplace"], RATES, 1.0).for_worker()
    for n_rows in range(50, 0, -1):
        code.encode(np.ones((n_rows, 5)))
    assert len(code.workspace._tiles) == 1


@each_prior
@each_noise
def test_the_log_density_alone_is_that_of_the_posterior(prior, parameters, noise):
    u = np.r_[-np.logspace(-5, 4, 60), 0.0, np.logspace(-5, 4, 60)] * np.sqrt(noise)
    z = np.tile(u[:, None] / np.sqrt(noise), 5)
    scalars, _ = prior.standardized_parameters(parameters, noise)
    tiles = [np.tile(row, (len(z), 1)) for row in scalars]
    expected, _ = prior.posterior(z.copy(), tiles, Workspace())
    found = prior.log_density(z.copy(), tiles, Workspace())
    np.testing.assert_allclose(found, expected, rtol=1e-14)
