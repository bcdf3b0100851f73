"""The maps from projections to codes, for torch tensors and for ONNX graphs.

The argument `ops` of these functions is `torch` or a graph of
`skscn._export.onnx.graph`. Both have the functions `abs`, `exp`, `log`, `relu`,
`sigmoid` and `where`; tensors of both have arithmetic. Derivatives are finite wherever
values are, and NaN stays NaN.
"""

from skscn._core.marginals import LOG_2_MINUS_LOG_SQRT_2PI, SQRT_2PI
from skscn._core.normal_tail import DENOMINATOR, NUMERATOR


def encode(ops, u, encoder, broadcast):
    """Return the codes of projections.

    Parameters
    ----------
    ops : module torch or Graph
    u : tensor of shape (n_samples, n_components, ...)
    encoder : EncoderParameters or torch Encoder
    broadcast : callable
        Maps arrays of shape (n_components,) to a shape that broadcasts with u.

    Returns
    -------
    codes : tensor of the shape of u
        Without a limit to their number, and of both signs.
    """
    one_sided, sigma = encoder.one_sided, encoder.sigma
    bias, wiener_gain = broadcast(encoder.bias), encoder.wiener_gain
    if wiener_gain is not None:
        wiener_gain = broadcast(wiener_gain)
    if encoder.prior == "spike_slab":
        if sigma is not None:
            return _spike_slab_mean(ops, u, one_sided, bias, wiener_gain, sigma)
        magnitude = u if one_sided else ops.abs(u)
        codes = ops.where(magnitude <= -bias, 0.0, u)  # NaN is not <= and stays
        return codes if wiener_gain is None else codes * wiener_gain
    if sigma is not None:
        return _exponential_mean(ops, u, one_sided, bias, sigma)
    codes = ops.relu(u + bias)
    return codes if one_sided else codes - ops.relu(bias - u)


def rank_codes(ops, codes, encoder):
    """Return numbers that order the codes of rows by how much they lower the objective.

    They order codes as `skscn._core.prior.Prior.rank_codes` does.
    """
    magnitude = ops.abs(codes)
    if encoder.prior != "spike_slab":
        return magnitude
    return ops.relu(magnitude + encoder.bias) * (magnitude - encoder.bias)


def _exponential_mean(ops, u, one_sided, bias, sigma):
    """Return posterior means under an exponential prior or a two-sided one."""
    mean, log_mass = _truncated_normal(ops, (u + bias) / sigma)
    if one_sided:
        return sigma * mean
    opposite_mean, opposite_log_mass = _truncated_normal(ops, (bias - u) / sigma)
    log_odds = log_mass - opposite_log_mass
    positive, negative = ops.sigmoid(log_odds), ops.sigmoid(-log_odds)
    return sigma * (positive * mean - negative * opposite_mean)


def _spike_slab_mean(ops, u, one_sided, log_odds, wiener_gain, sigma):
    """Return the probability of the slab times the posterior mean of the slab."""
    z = u / sigma
    if not one_sided:
        slab_probability = ops.sigmoid(log_odds + wiener_gain * (z * z) / 2)
        return slab_probability * wiener_gain * u
    root = wiener_gain**0.5
    mean, log_mass = _truncated_normal(ops, root * z)
    slab_probability = ops.sigmoid(log_odds + LOG_2_MINUS_LOG_SQRT_2PI + log_mass)
    return sigma * slab_probability * root * mean


def _truncated_normal(ops, x):
    """Return the mean of N(x, 1) truncated to positive values, and log(Φ(x) / φ(x)).

    Φ(x) is the mass of the positive values and φ(x) the density at zero. The formulas
    are those of `skscn._core.marginals`.
    """
    magnitude = ops.where(x >= 0, x, -x)  # abs has the derivative 0 at x = 0
    t = 2.0 / (2.0 + magnitude)
    excess = t * _polynomial(NUMERATOR, t) / _polynomial(DENOMINATOR, t)
    mills = 1.0 / (magnitude + excess)
    positive = ops.relu(x)
    weight = ops.exp(-positive * positive / 2)
    mass = ops.where(x >= 0, SQRT_2PI - weight * mills, mills)
    mean = ops.where(x >= 0, x + weight / mass, excess)
    return mean, ops.log(mass) + positive * positive / 2


def _polynomial(coefficients, t):
    value = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        value = value * t + coefficient
    return value
