"""The upper tail of the normal distribution, in two forms that never overflow.

With φ the density and Φ the distribution function, for z ≥ 0,

    excess(z) = φ(z) / Φ(−z) − z,      the mean of what lies beyond z, minus z,
    mills(z) = Φ(−z) / φ(z) = 1 / (z + excess(z)),     Mills' ratio.

Both decrease smoothly from about one to 1/z, so that one rational function of
2 / (2 + z) is accurate on the whole half line: its relative error is below 1e-12, and
it loses no digits because none of its coefficients is negative. SciPy's `erfcx` and
`log_ndtr` are accurate to three more digits and take five times as long; learning
evaluates this function for every coefficient of every sample in every pass.
"""

import numpy as np

# excess = t · NUMERATOR(t) / DENOMINATOR(t) with t = 2 / (2 + z): the rational
# function of degree 8 whose largest relative error is smallest (minimax).
NUMERATOR = (
    0.4999999999997328,
    0.9902869382642786,
    4.426622399676806,
    7.300929841274956,
    13.527676615158152,
    15.497644604005375,
    14.096366036670766,
    7.289648449710525,
    0.028468398830995976,
)
DENOMINATOR = (
    1.0,
    0.9805738760636978,
    7.372670989762051,
    7.23889804167145,
    17.995514006064752,
    15.288107190150164,
    16.823244433209172,
    9.39993208666717,
    3.6840836518816142,
)

# Both polynomials as a(t) + t⁴ b(t): four polynomials of degree four, evaluated by one
# matrix product with the powers of t.
HALVES = np.array(
    [[*NUMERATOR[:4], 0], [*DENOMINATOR[:4], 0], NUMERATOR[4:], DENOMINATOR[4:]]
)
HALVES_FLOAT32 = HALVES.astype(np.float32)


def excess_and_mills(z, workspace, name="polynomials"):
    """Return excess(z) and mills(z) for z ≥ 0, which is overwritten.

    Parameters
    ----------
    z : ndarray
    workspace : Workspace
        Holds the excess.
    name : str, default="polynomials"
        The excess is overwritten by the next call with the same name.
    """
    powers = workspace.array("powers", (5, z.size), z.dtype)
    values = workspace.array(name, (4, z.size), z.dtype)
    powers[0] = 1.0
    np.add(z.ravel(), 2.0, out=powers[1])
    np.divide(2.0, powers[1], out=powers[1])
    np.multiply(powers[1], powers[1], out=powers[2])
    np.multiply(powers[1:3], powers[2], out=powers[3:])
    np.matmul(HALVES if z.dtype == np.float64 else HALVES_FLOAT32, powers, out=values)
    values[2:] *= powers[4]
    values[:2] += values[2:]
    excess = values[0]
    excess *= powers[1]
    excess /= values[1]
    excess = excess.reshape(z.shape)
    z += excess
    return excess, np.reciprocal(z, out=z)
