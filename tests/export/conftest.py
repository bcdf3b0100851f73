"""Fixtures of tests of exports."""

import sys

import pytest
from export_helpers import N_SAMPLES
from sklearn.datasets import load_digits


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread():
    """Let torch use one thread, as BLAS does: more cost time for small matrices."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="module")
def labels():
    """Return the labels of the first digits."""
    return load_digits(return_X_y=True)[1][:N_SAMPLES]
