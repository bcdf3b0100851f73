"""Scalar inference: what a projection says of its coefficient, for every prior.

A projection is its coefficient plus Gaussian noise, u = a + σ ε. In units of σ, with
z = u/σ and the prior's own numbers in these units too, every function here overwrites
`z` with the posterior mean of a/σ and returns what else learning needs. All is written
in tails of the normal distribution that are scaled by its density
(`skscn._core.normal_tail`): no exponential grows, and no two large numbers are
subtracted, for any z that a float can hold the square of.

The pieces. Left of a truncation at −x from the mean, x of any sign, let m = max(x, 0)
and w = exp(−m²/2). Then

    √(2π) Φ(x) e^{(x² − m²)/2}  =  w · mills(−x)  =  [x ≥ 0] √(2π) − w · ±mills(|x|),

with + for x ≥ 0, and the integral of a φ(a − x) over a ≥ 0, in the same scale, is
√(2π) m + w · excess(|x|) mills(|x|).
"""

import numpy as np
from scipy.special import expit

from skscn._core.normal_tail import Room, tail

ROOT = float(np.sqrt(2 * np.pi))
LOG_ROOT = float(np.log(2 * np.pi) / 2)  # of the normalising constant of a normal
HALVES = float(np.log(2)) - LOG_ROOT  # of both halves of a normal in one


def exponential(z, rate, room):
    """Prior b e^{−ba} on a ≥ 0: exponentially modified Gaussian.

    Parameters
    ----------
    z : ndarray of shape (n_samples, n_components)
        Overwritten with the posterior means.
    rate : ndarray of the same shape
        b = βσ.
    room : Room

    Returns
    -------
    log_density : ndarray of shape (n_samples, n_components)
        Of z, but for log b − log √(2π).
    """
    x, m, w = room["x"], room["m"], room["w"]
    np.subtract(z, rate, out=x)
    np.maximum(x, 0.0, out=m)
    _weight(m, w)
    excess, mills = tail(np.abs(x, out=room["tail"]), room)
    size = _beyond(m, w, excess, mills, room)
    scale = np.copysign(mills, x, out=mills)
    scale *= w
    _half_line(x, scale)  # scale: w · mills(−x)
    log = np.log(scale, out=w)
    # −z²/2 + m²/2 without cancellation: z − m = min(z, b).
    np.add(z, m, out=m)
    low = np.minimum(z, rate, out=x)
    low *= -0.5
    low *= m
    log += low
    np.divide(size, scale, out=z)
    return log


def laplace(z, rate, room):
    """Prior ½b e^{−b|a|}: a two-sided exponential plus Gaussian.

    Parameters
    ----------
    z, rate, room
        As for `exponential`.

    Returns
    -------
    log_density : ndarray of shape (n_samples, n_components)
        Of z, but for log ½b − log √(2π).
    size : ndarray of shape (n_samples, n_components)
        Posterior mean of |a|/σ.
    """
    v, x, m, w = room["v"], room["x"], room["m"], room["w"]
    np.abs(z, out=v)
    np.subtract(v, rate, out=x)
    np.maximum(x, 0.0, out=m)
    _weight(m, w)
    along, near = tail(np.abs(x, out=room["near"]), room, "near values")
    against, far = tail(np.add(v, rate, out=room["far"]), room, "far values")
    # The part of a that has the sign of z, and the part that has not.
    along *= near
    along *= w
    along += np.multiply(m, ROOT, out=room["mean"])
    against *= far
    against *= w
    scale = np.copysign(near, x, out=near)
    scale -= far
    scale *= w
    _half_line(x, scale)
    log = np.log(scale, out=w)
    np.add(v, m, out=m)
    low = np.minimum(v, rate, out=x)  # v − m
    low *= -0.5
    low *= m
    log += low
    np.reciprocal(scale, out=scale)
    np.subtract(along, against, out=v)
    v *= scale
    np.copysign(v, z, out=z)
    along += against
    along *= scale
    return log, along


def laplace_density(z, rate, room):
    """Return the log_density of `laplace` alone; overwrites z."""
    m, w = room["m"], room["w"]
    v = np.abs(z, out=z)
    x = np.subtract(v, rate, out=room["x"])
    np.maximum(x, 0.0, out=m)
    _weight(m, w)
    _, near = tail(np.abs(x, out=room["near"]), room, "near values")
    _, far = tail(np.add(v, rate, out=room["far"]), room, "near values")
    scale = np.copysign(near, x, out=near)
    scale -= far
    scale *= w
    _half_line(x, scale)
    log = np.log(scale, out=w)
    m += v
    low = np.minimum(v, rate, out=x)  # v − m
    low *= -0.5
    low *= m
    log += low
    return log


def spike_slab(z, kept, lost, log_odds, room):
    """Prior (1 − ρ) at 0 plus ρ times a Gaussian of variance τ².

    Parameters
    ----------
    z : ndarray of shape (n_samples, n_components)
        Overwritten with the posterior means.
    kept, lost : ndarray of the same shape
        κ = τ² / (τ² + σ²) and 1 − κ.
    log_odds : ndarray of the same shape
        log ρ − log (1 − ρ) + ½ log (1 − κ): of slab to spike at z = 0.
    room : Room

    Returns
    -------
    log_density : ndarray of shape (n_samples, n_components)
        Of z, but for log (1 − ρ) − log √(2π).
    active : ndarray of shape (n_samples, n_components)
        π, the posterior probability of the slab.
    square : ndarray of shape (n_samples, n_components)
        π times the posterior mean of a²/σ² where a is of the slab.
    """
    spike, slab, odds = room["spike"], room["slab"], room["odds"]
    np.multiply(z, z, out=spike)
    spike *= -0.5
    np.multiply(spike, lost, out=slab)
    slab += log_odds
    np.multiply(spike, kept, out=odds)
    np.subtract(log_odds, odds, out=odds)
    log, active = _mixture(spike, slab, odds, room)
    mean = np.multiply(z, kept, out=odds)
    square = np.multiply(mean, mean, out=slab)
    square += kept
    square *= active
    np.multiply(mean, active, out=z)
    return log, active, square


def half_spike_slab(z, kept, lost, log_odds, room):
    """Prior (1 − ρ) at 0 plus ρ times the positive half of a Gaussian of variance τ².

    Parameters
    ----------
    z, kept, lost, log_odds, room
        As for `spike_slab`.

    Returns
    -------
    log_density, active, square : ndarray of shape (n_samples, n_components)
        As from `spike_slab`.
    """
    spike, slab, odds = room["spike"], room["slab"], room["odds"]
    x, m, w, root = room["x"], room["m"], room["w"], room["root"]
    # Of the slab, a/σ is √κ times a normal of mean x = √κ z, cut off below zero.
    np.sqrt(kept, out=root)
    np.multiply(z, root, out=x)
    np.maximum(x, 0.0, out=m)
    _weight(m, w)
    excess, mills = tail(np.abs(x, out=room["tail"]), room)
    size = _beyond(m, w, excess, mills, room)
    scale = np.copysign(mills, x, out=mills)
    scale *= w
    np.copyto(odds, x)
    _half_line(odds, scale)
    size /= scale
    np.multiply(z, z, out=spike)
    spike *= -0.5
    np.log(scale, out=slab)
    slab += log_odds
    slab += HALVES
    np.multiply(m, m, out=odds)
    odds *= 0.5
    odds += slab
    # m²/2 − z²/2 without cancellation.
    slab += np.where(z > 0.0, spike * lost, spike)
    x *= size  # E a² = κ (1 + x E a) for a of unit variance
    x += 1.0
    x *= kept
    log, active = _mixture(spike, slab, odds, room)
    x *= active
    size *= root
    np.multiply(size, active, out=z)
    return log, active, x


def _mixture(spike, slab, odds, room):
    """Return log (e^spike + e^slab), and the share of the slab; odds = slab − spike.

    Overwrites all three.
    """
    less, share = room["less"], room["share"]
    np.abs(odds, out=share)
    np.negative(share, out=share)
    np.exp(share, out=share)
    np.minimum(odds, 0.0, out=less)
    np.exp(less, out=less)
    np.maximum(spike, slab, out=spike)
    spike += np.log1p(share, out=odds)
    share += 1.0
    np.divide(less, share, out=share)
    return spike, share


def _weight(m, out):
    """Return exp(−m²/2), or a number that is nothing beside one."""
    # Where exp underflows it is ten times slower.
    np.minimum(m, 37.0 if m.dtype == np.float64 else 12.0, out=out)
    np.multiply(out, out, out=out)
    out *= -0.5
    np.exp(out, out=out)


def _beyond(m, w, excess, mills, room):
    """Return √(2π) m + w · excess · mills, in place of the excess."""
    excess *= mills
    excess *= w
    excess += np.multiply(m, ROOT, out=room["mean"])
    return excess


def _half_line(x, scale):
    """Overwrite scale with [x ≥ 0] √(2π) − scale, and x with working values."""
    np.copysign(ROOT / 2, x, out=x)
    x += ROOT / 2
    np.subtract(x, scale, out=scale)


def exponential_variance(z, rate):
    """Return the posterior variance of a/σ: no cancellation, in float64."""
    return _cut_off(z - rate)[1]


def laplace_variance(z, rate):
    """Return the posterior variance of a/σ: no cancellation, in float64."""
    # A mixture of two normals cut off at zero; every term is positive.
    v = np.abs(z)
    ahead, behind = (_cut_off(x) for x in (v - rate, -v - rate))
    share = expit(ahead[2] - behind[2])
    within = share * ahead[1] + (1 - share) * behind[1]
    return within + share * (1 - share) * (ahead[0] + behind[0]) ** 2


def spike_slab_variance(z, kept, lost, log_odds):
    """Return the posterior variance of a/σ: no cancellation, in float64."""
    share = expit(log_odds + kept * z**2 / 2)
    return share * (kept + (1 - share) * (kept * z) ** 2)


def half_spike_slab_variance(z, kept, lost, log_odds):
    """Return the posterior variance of a/σ: no cancellation, in float64."""
    mean, variance, log_mass = _cut_off(np.sqrt(kept) * z)
    share = expit(log_odds + HALVES + log_mass)
    return kept * share * (variance + (1 - share) * mean**2)


def _cut_off(x):
    """Return mean, variance and log ∫ φ(a − x) / φ(x) of N(x, 1) cut off below zero."""
    room = Room(x.shape, np.float64)
    excess, mills = tail(np.abs(x).astype(np.float64), room)
    m = np.maximum(x, 0.0)
    w = np.exp(-(m**2) / 2)
    mass = np.where(x >= 0, ROOT - w * mills, mills)
    hazard = w / mass  # φ(x) / Φ(x)
    mean = np.where(x >= 0, x + hazard, excess)
    variance = np.where(x >= 0, 1 - mean * hazard, 1 - excess * (excess - x))
    return mean, np.maximum(variance, 0.0), np.log(mass) + m**2 / 2
