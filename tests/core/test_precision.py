"""Scalar functions against mpmath with 80 digits, far beyond the range of any data.

Projections of up to 1e6 standard deviations of the noise, and rates and scales of slabs
from 1e-6 to 1e6 of it. `SKSCN_GRID=20` in the environment tries more points per axis;
`pytest -s` prints the worst errors, which the user guide lists.
"""

import os

import numpy as np
import pytest

from skscn._core.priors import ONE_SIDED, SIGNED
from skscn._core.workspace import Workspace

mp = pytest.importorskip("mpmath")

N_POINTS = int(os.environ.get("SKSCN_GRID", "5"))  # per axis, and for each sign
DIGITS = 80  # differences of large numbers lose up to 30
POSITIVE = np.logspace(-6, 6, 2 * N_POINTS + 1)
PROJECTIONS = np.concatenate([-POSITIVE, [0.0], POSITIVE])
RATES = np.logspace(-6, 6, 2 * N_POINTS - 1)
WEIGHTS = (1e-6, 0.01, 0.3, 0.9, 1 - 1e-5)
MAX_ERROR = 1e-10


def log_mass(x):
    return mp.log(mp.erfc(-x / mp.sqrt(2)) / 2)


def truncated_normal(x):
    """Return mean, variance and log-mass of N(x, 1) truncated below zero."""
    hazard = mp.exp(-x * x / 2 - mp.log(2 * mp.pi) / 2 - log_mass(x))
    return x + hazard, 1 - hazard * (x + hazard), log_mass(x)


def mixture(parts):
    """Return moments of parts (log-weight, mean, variance), and their log-sum."""
    largest = max(log for log, *_ in parts)
    weights = [mp.exp(log - largest) for log, *_ in parts]
    total = sum(weights)
    mean = sum(w * m for w, (_, m, _) in zip(weights, parts, strict=True)) / total
    squares = [w * (v + m * m) for w, (_, m, v) in zip(weights, parts, strict=True)]
    sizes = [w * abs(m) for w, (_, m, _) in zip(weights, parts, strict=True)]
    second = sum(squares) / total
    return {
        "log-density": largest + mp.log(total),
        "mean": mean,
        "variance": second - mean * mean,
        "second moment": second,
        "magnitude": sum(sizes) / total,
        "responsibility": weights[0] / total,
    }


def rate_posterior(z, rate, *, one_sided):
    constant = mp.log(rate if one_sided else rate / 2) + rate * rate / 2
    parts = []
    for sign in (1,) if one_sided else (1, -1):
        mean, variance, log = truncated_normal(sign * z - rate)
        parts.append((constant - sign * rate * z + log, sign * mean, variance))
    return mixture(parts)


def slab_posterior(z, weight, scale, *, one_sided):
    gain = scale * scale / (1 + scale * scale)
    constant = -mp.log(2 * mp.pi) / 2
    log_slab = mp.log(weight) + mp.log(1 - gain) / 2 - z * z * (1 - gain) / 2
    mean, variance = gain * z, gain
    if one_sided:
        mean, variance, log = truncated_normal(mp.sqrt(gain) * z)
        mean, variance, log_slab = mean * mp.sqrt(gain), variance * gain, log_slab + log
        log_slab += mp.log(2)
    spike = mp.log(1 - weight) - z * z / 2 + constant
    return mixture([(log_slab + constant, mean, variance), (spike, 0, 0)])


def scale_of(name, expected):
    """Return what an error of a quantity is divided by."""
    if name == "log-density":
        return max(1, abs(expected[name]))
    if name == "mean":  # near zero it is a difference of numbers of this size
        return mp.sqrt(expected["second moment"])
    if name == "second moment":  # is needed relative to the variance of the noise
        return max(1, expected[name])
    return max(abs(expected[name]), mp.mpf(10) ** -290)


def worst_errors(prior, parameters, posterior):
    """Return the worst relative error of every quantity, over all projections."""
    worst = {}
    n = len(PROJECTIONS)
    for column in parameters:
        standardized, constant = prior.standardized_parameters(
            np.array(column)[:, None] ** [[1], [2]][: len(column)], 1.0
        )
        tiles = [np.tile(each, (n, 1)) for each in standardized]
        z, mean = PROJECTIONS[:, None], PROJECTIONS[:, None].copy()
        log_density, statistics = prior.posterior(mean, tiles, Workspace())
        alone = prior.log_density(z.copy(), tiles, Workspace())
        np.testing.assert_allclose(alone, log_density, rtol=1e-14)
        names = ("magnitude",) if len(column) == 1 else ("responsibility",)
        found = {
            "log-density": log_density + constant,
            "mean": mean,
            "variance": prior.posterior_variance(z, tiles),
            "second moment": prior.second_moment(z, mean, statistics, tiles),
            **dict(zip(names, statistics, strict=False)),
        }
        for i, projection in enumerate(PROJECTIONS):
            expected = posterior(mp.mpf(float(projection)), *map(mp.mpf, column))
            for name, values in found.items():
                error = abs(mp.mpf(float(values[i, 0])) - expected[name])
                error = float(error / scale_of(name, expected))
                worst[name] = max(worst.get(name, 0.0), error)
    return worst


@pytest.mark.parametrize("prior", [SIGNED["laplace"], ONE_SIDED["exponential"]])
def test_posteriors_of_rates_are_exact(prior):
    def posterior(z, rate):
        return rate_posterior(z, rate, one_sided=prior.one_sided)

    with mp.workdps(DIGITS):
        worst = worst_errors(prior, [(float(rate),) for rate in RATES], posterior)
    # With the option -s, for the table in the user guide; so are those below.
    print(prior, {name: f"{error:.0e}" for name, error in worst.items()})  # noqa: T201
    assert max(worst.values()) < MAX_ERROR


@pytest.mark.parametrize("prior", [SIGNED["spike_slab"], ONE_SIDED["spike_slab"]])
def test_posteriors_of_slabs_are_exact(prior):
    def posterior(z, weight, scale):
        return slab_posterior(z, weight, scale, one_sided=prior.one_sided)

    parameters = [(w, float(scale)) for w in WEIGHTS for scale in RATES[::2]]
    with mp.workdps(DIGITS):
        worst = worst_errors(prior, parameters, posterior)
    print(prior, {name: f"{error:.0e}" for name, error in worst.items()})  # noqa: T201
    assert max(worst.values()) < MAX_ERROR


@pytest.mark.parametrize("one_sided", [False, True])
def test_thresholds_of_slabs_are_where_the_odds_are_even(one_sided):
    prior = (ONE_SIDED if one_sided else SIGNED)["spike_slab"]
    worst = 0.0
    with mp.workdps(DIGITS):
        for weight in WEIGHTS:
            for scale in RATES:
                parameters = np.array([[weight], [float(scale) ** 2]])
                (found,), gain = prior.map_rule(parameters, 1.0)
                variance = mp.mpf(float(scale)) ** 2
                exact_gain = variance / (1 + variance)
                log_odds = mp.log(mp.mpf(weight) / (1 - mp.mpf(weight)))
                log_odds += mp.log(1 - exact_gain) / 2
                if log_odds >= 0:
                    assert found == 0
                    continue
                z = mp.sqrt(-2 * log_odds / exact_gain)
                if one_sided:

                    def odds(z, log_odds=log_odds, gain=exact_gain):
                        mass = mp.log(2) + log_mass(mp.sqrt(gain) * z)
                        return log_odds + gain * z * z / 2 + mass

                    z = mp.findroot(odds, (z / 10, z), solver="anderson", tol=1e-60)
                worst = max(worst, float(abs(found - z) / z))
                assert abs(gain[0] - exact_gain) < MAX_ERROR * exact_gain
    print("threshold", f"{worst:.0e}")  # noqa: T201
    assert worst < MAX_ERROR
