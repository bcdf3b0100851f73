"""Helpers of tests that count workers."""

import time
import warnings
from threading import Lock

import numpy as np
from common import ESTIMATORS, make_data, make_short, results

from skscn._data.parallel import MIN_SLICE_ROWS, map_rows, n_workers_of, worker_pool


class Gauge:
    """Counts the calls that run at the same time."""

    def __init__(self):
        self.lock, self.n_running, self.peak = Lock(), 0, 0

    def __call__(self, rows, _):
        with self.lock:
            self.n_running += 1
            self.peak = max(self.peak, self.n_running)
        time.sleep(0.002)
        with self.lock:
            self.n_running -= 1


def measure(gauge, n_jobs=None):
    X = np.zeros((8 * MIN_SLICE_ROWS, 300))
    with worker_pool(len(X), n_jobs) as pool:
        for _ in map_rows(pool, gauge, X):
            pass


def n_workers_in_process():
    """Return how many workers the default of `n_jobs` means here."""
    return n_workers_of(None)


def results_of_all_estimators():
    """Fit every public estimator, and return its results."""
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for Estimator in ESTIMATORS:
            X, y = make_data(Estimator, 60)
            for name, values in results(make_short(Estimator).fit(X, y), X).items():
                found[Estimator.__name__, name] = values
    return found
