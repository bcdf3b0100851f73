"""Random tables and images of every kind, and the law that results on them obey.

They differ in dtype, memory layout, scale, degeneracy and missing values.
"""

import os
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from zlib import crc32

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


# (n_images, height, width) or with channels: also smaller than kernels, and empty.
IMAGE_SHAPES = [
    (1, 1, 1),
    (2, 1, 12),
    (3, 5, 1),
    (1, 2, 3, 3),
    (5, 3, 3, 2),
    (7, 6, 8),
    (20, 8, 8),
    (12, 9, 7, 3),
    (40, 5, 5, 1),
]
EMPTY_SHAPES = [(0, 4, 4), (2, 0, 4), (2, 4, 0, 3), (2, 4, 4, 0)]
MAX_LISTED = 20  # failures in the message of a test


@dataclass(frozen=True)
class RandomInput:
    """A table or images, and what a message needs to reproduce them."""

    X: object
    seed: list
    description: str


def random_table(seed):
    """Return a `RandomInput`, the same for every seed on every machine."""
    rng = np.random.default_rng(seed)
    shape, dtype = SHAPES[rng.integers(len(SHAPES))], DTYPES[rng.integers(len(DTYPES))]
    layout = LAYOUTS[rng.integers(len(LAYOUTS))]
    X, text = _random_values(rng, shape, dtype, can_miss=layout != "csr")
    return RandomInput(_laid_out(X, layout), seed, f"{shape} {layout} {text}")


def random_images(seed):
    """Return a `RandomInput` of images of one shape; some hold NaN or infinity."""
    rng = np.random.default_rng(seed)
    shape, dtype = IMAGE_SHAPES[rng.integers(9)], DTYPES[rng.integers(len(DTYPES))]
    if rng.random() < 0.03:
        shape = EMPTY_SHAPES[rng.integers(len(EMPTY_SHAPES))]
    layout = LAYOUTS[rng.integers(len(LAYOUTS) - 1)]  # images are not CSR
    if 0 in shape:
        return RandomInput(np.zeros(shape, dtype), seed, f"{shape} empty")
    flat = shape[0], int(np.prod(shape[1:]))
    X, text = _random_values(rng, flat, dtype, can_miss=rng.random() < 0.2)
    if X.dtype.kind == "f" and rng.random() < 0.03:
        X.flat[rng.integers(X.size)] = np.inf
    X = _laid_out(X.reshape(shape), layout)
    return RandomInput(X, seed, f"{shape} {layout} {text}")


def _random_values(rng, shape, dtype, *, can_miss):
    """Return an array of two dimensions, and its description."""
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
    if X.dtype.kind == "f" and can_miss and rng.random() < 0.3:
        missing = float(rng.choice([0.05, 0.3, 0.9]))
        X[rng.random(X.shape) < missing] = np.nan
    return X, f"{kind} {np.dtype(dtype).name} 1e{exponent} missing={missing}"


def _laid_out(X, layout):
    if layout == "csr":
        return sparse.csr_array(X if X.dtype != np.float16 else X.astype(np.float32))
    if layout == "F":
        return np.asfortranarray(X)
    if layout == "strided":
        wide = np.zeros((2 * len(X), 3 * X.shape[1], *X.shape[2:]), X.dtype)
        wide[::2, 1::3] = X
        return wide[::2, 1::3]
    if layout == "reversed":
        return np.flip(np.ascontiguousarray(np.flip(X)))
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


def n_inputs(n_tests):
    """Return how many inputs each of some tests has; more by the environment."""
    return int(os.environ.get("SKSCN_RANDOM_INPUTS", "240")) // n_tests


@contextmanager
def strict_warnings(expected):
    """Make warnings errors, other than those that begin with, or are, the expected."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for text in expected:
            if isinstance(text, str):
                warnings.filterwarnings("ignore", f".*{text}")
            else:
                warnings.simplefilter("ignore", text)
        yield


def obeys(function, X, expected_warnings):
    """Return the arrays that a function returns by name, or None for a clear error.

    An error is clear where it has a number, or where it is about the dtype, or about
    NaN or infinity that are in X. X must not change, and results must be finite unless
    X is infinite.
    """
    before = X.copy()
    try:
        with strict_warnings(expected_warnings):
            found = function(X)
    except (ValueError, TypeError) as error:
        text = str(error)
        is_clear = "has dtype" in text or any(character.isdigit() for character in text)
        if not np.isfinite(_values(before)).all():
            is_clear |= "NaN" in text or "infinity" in text
        if is_clear:
            return None
        raise
    finally:
        np.testing.assert_array_equal(_dense(X), _dense(before), err_msg="X changed")
    for name, values in found.items() if not np.isinf(_values(before)).any() else ():
        assert np.isfinite(values).all(), f"{name} is not finite"
    return found


def search(check, make_input, name, n):
    """Check `n` inputs, and raise with a list of those that fail."""
    failures = []
    for i in range(n):
        item = make_input([crc32(name.encode()), i])
        try:
            check(item)
        except Exception as error:
            text = f"{type(error).__name__}: {error}".replace("\n", " ")
            failures.append(f"{item.seed} {item.description}: {text[:300]}")
    listed = "\n".join(failures[:MAX_LISTED])
    assert not failures, f"{len(failures)} of {n} inputs fail:\n{listed}"


def _values(X):
    return X.data if sparse.issparse(X) else X


def _dense(X):
    return X.toarray() if sparse.issparse(X) else X
