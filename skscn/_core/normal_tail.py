"""The upper tail of the normal distribution, in the two forms that never overflow.

With φ the density and Φ the distribution function, for z ≥ 0,

    excess(z) = φ(z) / Φ(−z) − z,      the mean distance beyond z of what lies beyond z,
    mills(z) = Φ(−z) / φ(z) = 1 / (z + excess(z)).

Both fall from about one to 1/z, smoothly, so that one rational function of 2 / (2 + z)
serves the whole half line: it has a relative error below 1e-12 there, and with no
negative coefficient no digits cancel. SciPy's `erfcx` and `log_ndtr` have three more
digits, and cost five times as much: a learner calls this for every coefficient of every
sample in every pass.
"""

import numpy as np

# Minimax, relative to the excess, in t = 2 / (2 + z): excess = t · UPPER(t) / LOWER(t).
UPPER = (
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
LOWER = (
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

# Both polynomials as a(t) + t⁴ b(t): four of degree four, in one matrix product.
PARTS = np.array([[*UPPER[:4], 0], [*LOWER[:4], 0], UPPER[4:], LOWER[4:]])
SINGLE = PARTS.astype(np.float32)


def tail(z, room, name="values"):
    """Return excess(z) and mills(z) for z ≥ 0, which is overwritten.

    Parameters
    ----------
    z : ndarray
    room : Room
        Working memory, where the excess lives.
    name : str, default="values"
        It lives there until the next use of the name.
    """
    powers, values = room.rows("powers", 5, z.size), room.rows(name, 4, z.size)
    powers[0] = 1.0
    np.add(z.ravel(), 2.0, out=powers[1])
    np.divide(2.0, powers[1], out=powers[1])
    np.multiply(powers[1], powers[1], out=powers[2])
    np.multiply(powers[1:3], powers[2], out=powers[3:])
    np.matmul(PARTS if z.dtype == np.float64 else SINGLE, powers, out=values)
    values[2:] *= powers[4]
    values[:2] += values[2:]
    excess = values[0]
    excess *= powers[1]
    excess /= values[1]
    excess = excess.reshape(z.shape)
    z += excess
    return excess, np.reciprocal(z, out=z)


class Room(dict):
    """Working arrays of one shape by name, made when they are first asked for."""

    def __init__(self, shape, dtype):
        super().__init__()
        self.shape, self.dtype = shape, dtype

    def __missing__(self, name):
        return self.setdefault(name, np.empty(self.shape, dtype=self.dtype))

    def rows(self, name, n_rows, size):
        """Return another array, of n_rows rows of some size."""
        key = name, n_rows, size
        if key not in self:
            self[key] = np.empty((n_rows, size), dtype=self.dtype)
        return self[key]
