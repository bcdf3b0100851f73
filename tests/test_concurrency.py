"""Threads and processes have the bits of one thread, and change nothing around them."""

import multiprocessing
import pickle
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from common import ESTIMATORS, assert_same_bits, make_data, make_short, results
from sklearn import get_config
from sklearn.base import clone
from threadpoolctl import threadpool_info, threadpool_limits
from worker_helpers import results_of_all_estimators

N_THREADS = 8

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:All codes of the training data are zero"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


@pytest.fixture
def frequent_switches():
    """Let Python switch between threads as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def global_state():
    """Return what fits and calls must leave as it was.

    Filters of warnings are left out: checks of scikit-learn change them while they run,
    and threads that do so at the same time may leave them behind.
    """
    numbers = [pool["num_threads"] for pool in threadpool_info()]
    generator = pickle.dumps(np.random.get_state())  # noqa: NPY002
    return numbers, np.geterr(), get_config(), generator


@pytest.mark.parametrize("Estimator", ESTIMATORS, ids=lambda each: each.__name__)
def test_threads_have_the_bits_of_one(Estimator, frequent_switches):
    """Calls of one estimator whose caches are empty, and fits of clones."""
    X, y = make_data(Estimator, 60)
    with threadpool_limits(2, user_api="blas"):
        before = global_state()
        estimator = make_short(Estimator).fit(X, y)
        expected = results(estimator, X)
        shared = pickle.loads(pickle.dumps(estimator))
        with ThreadPoolExecutor(N_THREADS) as threads:
            calls = list(threads.map(lambda _: results(shared, X), range(16)))
            fits = list(threads.map(lambda _: clone(estimator).fit(X, y), range(8)))
        assert global_state() == before
    for found in (*calls, *(results(fit, X) for fit in fits)):
        assert_same_bits(found, expected)


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_processes_have_the_bits_of_this_one(method):
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        found = executor.submit(results_of_all_estimators).result(timeout=300)
    assert_same_bits(found, results_of_all_estimators())
