"""Data that tests share."""

import os

import numpy as np
import pytest
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

# Not to be imported where nothing is dispatched: test_array_api runs it.
DISPATCHES = os.environ.get("SCIPY_ARRAY_API") == "1"
collect_ignore = [] if DISPATCHES else ["data/array_api.py"]


@pytest.fixture
def short_slices(monkeypatch):
    """Cut rows into slices of the least length, however narrow they are."""
    from skscn._data import parallel

    monkeypatch.setattr(parallel, "MAX_SLICE_ROWS", parallel.MIN_SLICE_ROWS)
    return parallel.MIN_SLICE_ROWS


@pytest.fixture(scope="session", autouse=True)
def single_blas_thread():
    """Hold BLAS to one thread: its threads cost more than they do on small matrices."""
    with threadpool_limits(1, user_api="blas"):
        yield


@pytest.fixture(scope="session")
def digits():
    """Return handwritten digits as rows of 64 pixels from 0 to 16."""
    return load_digits(return_X_y=True)[0]


@pytest.fixture
def rng():
    return np.random.default_rng(0)
