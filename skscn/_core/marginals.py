"""Scalar inference: the posterior and the density of one projection, for every prior.

A projection is a coefficient plus Gaussian noise, u = a + σ ε. In units of σ, with
z = u/σ and the parameters of the prior in these units too, every `..._posterior`
function overwrites `z` with the posterior mean of a/σ and returns the log-density and
what else the M-step needs. All formulas are written in Mills' ratios
(`skscn._core.normal_tail`): no exponential grows, and no two large numbers are
subtracted, for any z whose square is finite.

Let x be the mean of a normal distribution that is truncated below zero, x⁺ = max(x, 0)
and w = exp(−x⁺²/2). Then

    √(2π) Φ(x) e^{(x² − x⁺²)/2}  =  w · mills(−x)  =  [x ≥ 0] √(2π) − w · ±mills(|x|),

with + for x ≥ 0; and the integral of a φ(a − x) over a ≥ 0, on the same scale, is
√(2π) x⁺ + w · excess(|x|) mills(|x|).
"""

import numpy as np
from scipy.special import expit

from skscn._core.normal_tail import excess_and_mills
from skscn._core.workspace import Workspace

SQRT_2PI = float(np.sqrt(2 * np.pi))
TAIL_START, N_FRACTIONS = 3.0, 80  # of the variance of a truncated normal
LOG_SQRT_2PI = float(np.log(2 * np.pi) / 2)  # the log normalizer of N(0, 1)
LOG_2_MINUS_LOG_SQRT_2PI = float(np.log(2)) - LOG_SQRT_2PI  # that of a half normal


# A chord of the function log (1 + exp(−x)): where it ends, and values at both ends.
CHORD_LENGTH = 4.0
CHORD_START, CHORD_END = np.log(2.0), np.log1p(np.exp(-CHORD_LENGTH))


def positive_part(x, out):
    """Return max(x, 0) by clipping, which NumPy does several times faster."""
    return np.clip(x, 0, np.inf, out=out)


def exponential_posterior(z, rate, workspace):
    """Prior b e^{−ba} on a ≥ 0: u is exponentially modified Gaussian.

    Parameters
    ----------
    z : ndarray of shape (n_samples, n_components)
        Overwritten with the posterior means.
    rate : ndarray of the same shape
        b = βσ.
    workspace : Workspace

    Returns
    -------
    log_density : ndarray of shape (n_samples, n_components)
        Of z, without the constant log b − log √(2π).
    """
    new = workspace.like(z)
    x, positive, weight = new("x"), new("positive"), new("weight")
    np.subtract(z, rate, out=x)
    positive_part(x, out=positive)
    _gaussian_weight(positive, weight)
    excess, mills = excess_and_mills(np.abs(x, out=new("|x|")), workspace)
    first_moment = _first_moment(positive, weight, excess, mills, new)
    mass = np.copysign(mills, x, out=mills)
    mass *= weight
    _complement_if_positive(x, mass)  # mass: w · mills(−x)
    log_density = np.log(mass, out=weight)
    # −z²/2 + x⁺²/2 without cancellation: z − x⁺ = min(z, b).
    np.add(z, positive, out=positive)
    smaller = np.minimum(z, rate, out=x)
    smaller *= -0.5
    smaller *= positive
    log_density += smaller
    np.divide(first_moment, mass, out=z)
    return log_density


def laplace_posterior(z, rate, workspace):
    """Prior ½b e^{−b|a|}: u is a two-sided exponential plus Gaussian.

    Parameters
    ----------
    z, rate, workspace
        As for `exponential_posterior`.

    Returns
    -------
    log_density : ndarray of shape (n_samples, n_components)
        Of z, without the constant log ½b − log √(2π).
    magnitude : ndarray of shape (n_samples, n_components)
        Posterior mean of |a|/σ.
    """
    new = workspace.like(z)
    v, x, positive, weight = new("|z|"), new("x"), new("positive"), new("weight")
    np.abs(z, out=v)
    np.subtract(v, rate, out=x)
    positive_part(x, out=positive)
    _gaussian_weight(positive, weight)
    same_sign, mills_same = excess_and_mills(
        np.abs(x, out=new("same sign")), workspace, "same sign polynomials"
    )
    opposite_sign, mills_opposite = excess_and_mills(
        np.add(v, rate, out=new("opposite sign")), workspace, "opposite polynomials"
    )
    # First moments over the coefficients that have the sign of z, and the other sign.
    same_sign *= mills_same
    same_sign *= weight
    same_sign += np.multiply(positive, SQRT_2PI, out=new("product"))
    opposite_sign *= mills_opposite
    opposite_sign *= weight
    mass = np.copysign(mills_same, x, out=mills_same)
    mass -= mills_opposite
    mass *= weight
    _complement_if_positive(x, mass)
    log_density = np.log(mass, out=weight)
    np.add(v, positive, out=positive)
    smaller = np.minimum(v, rate, out=x)  # |z| − x⁺
    smaller *= -0.5
    smaller *= positive
    log_density += smaller
    np.reciprocal(mass, out=mass)
    np.subtract(same_sign, opposite_sign, out=v)
    v *= mass
    np.copysign(v, z, out=z)
    same_sign += opposite_sign
    same_sign *= mass
    return log_density, same_sign


def laplace_log_density(z, rate, workspace):
    """Return the log-density of `laplace_posterior` alone; overwrites z."""
    new = workspace.like(z)
    positive, weight = new("positive"), new("weight")
    v = np.abs(z, out=z)
    x = np.subtract(v, rate, out=new("x"))
    positive_part(x, out=positive)
    _gaussian_weight(positive, weight)
    _, mills_same = excess_and_mills(np.abs(x, out=new("same sign")), workspace)
    _, mills_opposite = excess_and_mills(
        np.add(v, rate, out=new("opposite sign")), workspace
    )
    mass = np.copysign(mills_same, x, out=mills_same)
    mass -= mills_opposite
    mass *= weight
    _complement_if_positive(x, mass)
    log_density = np.log(mass, out=weight)
    positive += v
    smaller = np.minimum(v, rate, out=x)  # |z| − x⁺
    smaller *= -0.5
    smaller *= positive
    log_density += smaller
    return log_density


def laplace_log_density_bound(z, rate, workspace):
    """Return an upper bound of `laplace_log_density`, in a fraction of its time.

    The density is at most √(2π) times exp(−h(z)), with Huber's function h: z²/2 up to
    the rate β, and β|z| − β²/2 beyond. It is nearly that where β is small or |z| large.
    """
    magnitude = np.abs(z, out=z)
    clipped = np.minimum(magnitude, rate, out=workspace.like(z)("clipped"))
    clipped *= -0.5
    magnitude += clipped
    magnitude *= clipped
    magnitude *= 2.0
    magnitude += LOG_SQRT_2PI
    return magnitude


def spike_slab_log_density_bound(z, standardized, workspace):
    """Return an upper bound of the log-density of `spike_slab_posterior`.

    `standardized` holds its arguments between z and the workspace.
    The logarithm of 1 + exp(−|log-odds|) is at most log 2 at even odds, and below its
    chord from there to |log-odds| = 4.
    """
    _, noise_fraction, log_odds = standardized
    new = workspace.like(z)
    spike = np.multiply(z, z, out=z)
    spike *= -0.5
    slab = np.multiply(spike, noise_fraction, out=new("slab"))
    slab += log_odds
    distance = np.subtract(spike, slab, out=new("distance"))
    np.abs(distance, out=distance)
    distance *= (CHORD_START - CHORD_END) / CHORD_LENGTH
    np.subtract(CHORD_START, distance, out=distance)
    np.maximum(distance, CHORD_END, out=distance)
    np.maximum(spike, slab, out=spike)
    spike += distance
    return spike


def spike_slab_posterior(z, wiener_gain, noise_fraction, log_odds, workspace):
    """Prior (1 − ρ) at 0 plus ρ times a Gaussian of variance τ².

    Parameters
    ----------
    z : ndarray of shape (n_samples, n_components)
        Overwritten with the posterior means.
    wiener_gain, noise_fraction : ndarray of the same shape
        κ = τ² / (τ² + σ²) and 1 − κ.
    log_odds : ndarray of the same shape
        log ρ − log (1 − ρ) + ½ log (1 − κ): of slab to spike at z = 0.
    workspace : Workspace

    Returns
    -------
    log_density : ndarray of shape (n_samples, n_components)
        Of z, without the constant log (1 − ρ) − log √(2π).
    responsibility : ndarray of shape (n_samples, n_components)
        π, the posterior probability of the slab.
    second_moment : ndarray of shape (n_samples, n_components)
        π times the posterior mean of a²/σ² given the slab.
    """
    new = workspace.like(z)
    spike, slab, odds = new("spike"), new("slab"), new("odds")
    np.multiply(z, z, out=spike)
    spike *= -0.5
    np.multiply(spike, noise_fraction, out=slab)
    slab += log_odds
    np.multiply(spike, wiener_gain, out=odds)
    np.subtract(log_odds, odds, out=odds)
    log_density, responsibility = _mixture(spike, slab, odds, new)
    mean = np.multiply(z, wiener_gain, out=odds)
    second_moment = np.multiply(mean, mean, out=slab)
    second_moment += wiener_gain
    second_moment *= responsibility
    np.multiply(mean, responsibility, out=z)
    return log_density, responsibility, second_moment


def half_spike_slab_posterior(z, wiener_gain, noise_fraction, log_odds, workspace):
    """Prior (1 − ρ) at 0 plus ρ times the positive half of a Gaussian of variance τ².

    Parameters
    ----------
    z, wiener_gain, noise_fraction, log_odds, workspace
        As for `spike_slab_posterior`.

    Returns
    -------
    log_density, responsibility, second_moment : ndarray of shape \
            (n_samples, n_components)
        As from `spike_slab_posterior`.
    """
    new = workspace.like(z)
    spike, slab, odds = new("spike"), new("slab"), new("odds")
    x, positive, weight, root = new("x"), new("positive"), new("weight"), new("root")
    # Given the slab, a/σ is √κ times a normal of mean x = √κ z, truncated below zero.
    np.sqrt(wiener_gain, out=root)
    np.multiply(z, root, out=x)
    positive_part(x, out=positive)
    _gaussian_weight(positive, weight)
    excess, mills = excess_and_mills(np.abs(x, out=new("|x|")), workspace)
    mean = _first_moment(positive, weight, excess, mills, new)
    mass = np.copysign(mills, x, out=mills)
    mass *= weight
    np.copyto(odds, x)
    _complement_if_positive(odds, mass)
    mean /= mass
    np.multiply(z, z, out=spike)
    spike *= -0.5
    np.log(mass, out=slab)
    slab += log_odds
    slab += LOG_2_MINUS_LOG_SQRT_2PI
    np.multiply(positive, positive, out=odds)
    odds *= 0.5
    odds += slab
    # x⁺²/2 − z²/2 without cancellation.
    slab += np.where(z > 0.0, spike * noise_fraction, spike)
    x *= mean  # E a² = κ (1 + x E a) for a of unit variance
    x += 1.0
    x *= wiener_gain
    log_density, responsibility = _mixture(spike, slab, odds, new)
    x *= responsibility
    mean *= root
    np.multiply(mean, responsibility, out=z)
    return log_density, responsibility, x


def _mixture(spike, slab, odds, new):
    """Return log (e^spike + e^slab) and the responsibility of the slab.

    The log-odds are slab − spike. All three arrays are overwritten.
    """
    smaller, responsibility = new("smaller"), new("responsibility")
    np.abs(odds, out=responsibility)
    np.negative(responsibility, out=responsibility)
    np.exp(responsibility, out=responsibility)
    np.clip(odds, -np.inf, 0, out=smaller)
    np.exp(smaller, out=smaller)
    np.maximum(spike, slab, out=spike)
    spike += np.log1p(responsibility, out=odds)
    responsibility += 1.0
    np.divide(smaller, responsibility, out=responsibility)
    return spike, responsibility


def _gaussian_weight(positive, out):
    """Write w = exp(−x⁺²/2), or a number that is negligible beside one."""
    # Where exp underflows it is ten times slower.
    np.clip(positive, 0, 37.0 if positive.dtype == np.float64 else 12.0, out=out)
    np.multiply(out, out, out=out)
    out *= -0.5
    np.exp(out, out=out)


def _first_moment(positive, weight, excess, mills, new):
    """Return √(2π) x⁺ + w · excess · mills, written over the excess."""
    excess *= mills
    excess *= weight
    excess += np.multiply(positive, SQRT_2PI, out=new("product"))
    return excess


def _complement_if_positive(x, mass):
    """Overwrite mass with [x ≥ 0] √(2π) − mass, and x with working values."""
    np.copysign(SQRT_2PI / 2, x, out=x)
    x += SQRT_2PI / 2
    np.subtract(x, mass, out=mass)


def exponential_variance(z, rate):
    """Return the posterior variance of a/σ, in float64 and without cancellation."""
    return _truncated_normal(z - rate)[1]


def laplace_variance(z, rate):
    """Return the posterior variance of a/σ, in float64 and without cancellation."""
    # The posterior mixes two truncated normals; every term is positive.
    v = np.abs(z)
    same_sign, opposite_sign = (_truncated_normal(x) for x in (v - rate, -v - rate))
    share = expit(same_sign[2] - opposite_sign[2])
    within = share * same_sign[1] + (1 - share) * opposite_sign[1]
    return within + share * (1 - share) * (same_sign[0] + opposite_sign[0]) ** 2


def spike_slab_variance(z, wiener_gain, noise_fraction, log_odds):
    """Return the posterior variance of a/σ, in float64 and without cancellation."""
    responsibility = expit(log_odds + wiener_gain * z**2 / 2)
    between = (1 - responsibility) * (wiener_gain * z) ** 2
    return responsibility * (wiener_gain + between)


def half_spike_slab_variance(z, wiener_gain, noise_fraction, log_odds):
    """Return the posterior variance of a/σ, in float64 and without cancellation."""
    mean, variance, log_mass = _truncated_normal(np.sqrt(wiener_gain) * z)
    responsibility = expit(log_odds + LOG_2_MINUS_LOG_SQRT_2PI + log_mass)
    within = variance + (1 - responsibility) * mean**2
    return wiener_gain * responsibility * within


def _truncated_normal(x):
    """Return mean, variance and log ∫ φ(a − x) / φ(x) of N(x, 1) truncated below 0."""
    excess, mills = excess_and_mills(np.abs(x).astype(np.float64), Workspace())
    positive = np.maximum(x, 0.0)
    weight = np.exp(-(positive**2) / 2)
    mass = np.where(x >= 0, SQRT_2PI - weight * mills, mills)
    hazard = weight / mass  # φ(x) / Φ(x)
    mean = np.where(x >= 0, x + hazard, excess)
    variance = np.where(x >= 0, 1 - mean * hazard, 1 - excess * (excess - x))
    is_tail = x < -TAIL_START
    variance[is_tail] = _tail_variance(-x[is_tail])
    return mean, np.maximum(variance, 0.0), np.log(mass) + positive**2 / 2


def _tail_variance(y):
    """Return the variance of N(−y, 1) truncated below zero, for y > `TAIL_START`.

    With the continued fractions e = 1/(y + g) and g = 2/(y + 3/(y + 4/(y + ...))) of
    its mean it is 1 − e (e + y) = e (g − e), in which no digits cancel.
    """
    g = np.zeros_like(y)
    for i in range(N_FRACTIONS, 1, -1):
        g = i / (y + g)
    e = 1.0 / (y + g)
    return e * (g - e)
