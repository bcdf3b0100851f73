"""Fixtures of all tests."""

import os

import numpy as np
import pytest
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

# array_api.py needs array API dispatch: test_array_api.py runs it in another process.
HAS_DISPATCH = os.environ.get("SCIPY_ARRAY_API") == "1"
collect_ignore = [] if HAS_DISPATCH else ["data/array_api.py"]


@pytest.fixture
def short_slices(monkeypatch):
    """Cut rows into slices of the minimum length, and return that length."""
    from skscn._data import parallel

    monkeypatch.setattr(parallel, "MAX_SLICE_ROWS", parallel.MIN_SLICE_ROWS)
    return parallel.MIN_SLICE_ROWS


@pytest.fixture(scope="session", autouse=True)
def single_blas_thread():
    """Limit BLAS to one thread: more threads make products of small matrices slower."""
    with threadpool_limits(1, user_api="blas"):
        yield


@pytest.fixture(scope="session")
def digits():
    """Return handwritten digits of shape (1797, 64), with pixels from 0 to 16."""
    return load_digits(return_X_y=True)[0]


@pytest.fixture
def rng():
    return np.random.default_rng(0)
