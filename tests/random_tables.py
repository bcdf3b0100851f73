"""Random tables of every kind: dtype, layout, scale, degeneracy and missing values."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

DTYPES = [np.float64, np.float32, np.float16, np.int64, np.uint8, bool]
LAYOUTS = ["C", "F", "strided", "reversed", "read-only", "csr"]
SHAPES = [
    (1, 1),
    (1, 5),
    (2, 3),
    (7, 1),
    (12, 4),
    (40, 6),
    (9, 30),
    (300, 8),
    (9000, 3),
]
# Powers of ten: near the smallest and the largest squares of both float types.
EXPONENTS = [
    0,
    0,
    0,
    0,
    -3,
    3,
    8,
    -10,
    17,
    18,
    19,
    -18,
    -20,
    30,
    37,
    150,
    153,
    -140,
    300,
]


@dataclass(frozen=True)
class RandomTable:
    """A table, and what a message needs to reproduce it."""

    X: object
    seed: list
    description: str

    def copy(self):
        """Return a copy of the table."""
        return self.X.copy()


def random_table(seed):
    """Return a `RandomTable`, the same for every seed on every machine."""
    rng = np.random.default_rng(seed)
    shape, dtype = SHAPES[rng.integers(len(SHAPES))], DTYPES[rng.integers(len(DTYPES))]
    layout = LAYOUTS[rng.integers(len(LAYOUTS))]
    kind = str(rng.choice(list(KINDS)))
    X = KINDS[kind](rng, shape)
    exponent = 0
    if np.issubdtype(dtype, np.floating):
        exponent = EXPONENTS[rng.integers(len(EXPONENTS))]
        with np.errstate(over="ignore", under="ignore"):
            X = X * 10.0**exponent
            X = np.clip(X, np.finfo(dtype).min, np.finfo(dtype).max).astype(dtype)
    else:
        X = (4 * np.clip(X, -1e9, 1e9)).astype(np.int64).astype(dtype)
    missing = 0.0
    if X.dtype.kind == "f" and layout != "csr" and rng.random() < 0.3:
        missing = float(rng.choice([0.05, 0.3, 0.9]))
        X[rng.random(X.shape) < missing] = np.nan
    name = np.dtype(dtype).name
    text = f"{kind} {shape} {name} {layout} 1e{exponent} missing={missing}"
    return RandomTable(_laid_out(X, layout), seed, text)


def _laid_out(X, layout):
    if layout == "csr":
        return sparse.csr_array(X if X.dtype != np.float16 else X.astype(np.float32))
    if layout == "F":
        return np.asfortranarray(X)
    if layout == "strided":
        wide = np.zeros((2 * len(X), 3 * X.shape[1]), X.dtype)
        wide[::2, 1::3] = X
        return wide[::2, 1::3]
    if layout == "reversed":
        return np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1]
    X = np.ascontiguousarray(X)
    X.flags.writeable = layout != "read-only"
    return X


def _with_constant_columns(rng, shape):
    X = rng.normal(size=shape)
    X[:, rng.random(shape[1]) < 0.5] = rng.normal()
    return X


def _with_outlier(rng, shape):
    X = rng.normal(size=shape)
    X[rng.integers(shape[0]), rng.integers(shape[1])] *= 10.0 ** rng.integers(1, 20)
    return X


KINDS = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "laplace far from zero": lambda rng, shape: 1e3 + rng.laplace(size=shape),
    "zero": lambda rng, shape: np.zeros(shape),
    "constant": lambda rng, shape: np.full(shape, 1.7),
    "constant columns": _with_constant_columns,
    "equal rows": lambda rng, shape: np.tile(rng.normal(size=shape[1]), (shape[0], 1)),
    "rank one": lambda rng, shape: np.outer(*(rng.normal(size=n) for n in shape)),
    "few values": lambda rng, shape: rng.integers(-1, 2, size=shape).astype(float),
    "sparse": lambda rng, shape: rng.normal(size=shape) * (rng.random(shape) < 0.1),
    "scales": lambda rng, shape: (
        rng.normal(size=shape) * 10.0 ** rng.integers(-8, 8, size=shape[1])
    ),
    "outlier": _with_outlier,
}
