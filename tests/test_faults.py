"""Errors in the middle of learning leave an estimator, and its process, as they were.

An exception is raised inside of the calls of functions of the core, of the layers, and
of the linear algebra of NumPy, SciPy and scikit-learn, from the first to the last call
of a fit. `SKSCN_FAULTS=1000` in the environment tries more of these calls.
"""

import gc
import inspect
import os
import pickle
import sys
import tempfile
import threading

import numpy as np
import pytest
from common import ESTIMATORS, make_data, make_short
from sklearn.base import clone
from threadpoolctl import threadpool_info

N_FAULTS = int(os.environ.get("SKSCN_FAULTS", "5"))  # of each fit
PLACES = tuple(
    os.path.join(*place)
    for place in (
        ("skscn", "_core"),
        ("skscn", "_data", "row_sums"),
        ("skscn", "_images", "layers"),
        ("sklearn", "utils", "extmath"),
        ("numpy", "linalg"),
        ("scipy", "linalg"),
    )
)

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:All codes of the training data are zero"),
]


class Fault:
    """Counts the calls of functions in `PLACES`, and raises an error in one of them."""

    def __init__(self, error=None, position=None):
        self.error, self.position, self.n_calls = error, position, 0

    def __enter__(self):
        # A garbage collector that runs in the meantime would swallow the error.
        gc.disable()
        sys.setprofile(self)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)
        gc.enable()

    def __call__(self, frame, event, _):
        if event != "call" or not any(p in frame.f_code.co_filename for p in PLACES):
            return
        self.n_calls += 1
        if self.n_calls - 1 == self.position:
            raise self.error("injected")


def surroundings():
    """Return what a failed fit must not change: BLAS limits, threads, files."""
    limits = [(pool["filepath"], pool["num_threads"]) for pool in threadpool_info()]
    threads = {t for t in threading.enumerate() if not t.name.startswith("skscn")}
    return limits, threads, sorted(os.listdir(tempfile.gettempdir()))


def fitted_attributes(estimator):
    """Return the attributes that end with an underscore, as bytes."""
    attributes = vars(estimator).items()
    return {name: pickle.dumps(value) for name, value in attributes if name[-1] == "_"}


def call(estimator, method, X, y):
    function, options = getattr(estimator, method), {}
    if "classes" in inspect.signature(function).parameters:
        options["classes"] = np.unique(y)
    return function(X, y, **options)


CASES = [
    (Estimator, method)
    for Estimator in ESTIMATORS
    for method in ("fit", "partial_fit")
    if hasattr(Estimator, method)
]


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
@pytest.mark.parametrize(
    ("Estimator", "method"), CASES, ids=[f"{e.__name__}.{m}" for e, m in CASES]
)
def test_a_failed_fit_changes_nothing(Estimator, method, error, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    X, y = make_data(Estimator, 60)
    new = make_short(Estimator)
    fitted = clone(new).fit(X, y)
    for estimator in (new, fitted):
        for _ in range(2):  # the first call may fill caches
            copy = pickle.loads(pickle.dumps(estimator))
            with Fault() as counter:
                call(copy, method, X[::-1], y[::-1])
        positions = np.linspace(0, counter.n_calls - 1, N_FAULTS).astype(int)
        before, around = pickle.dumps(estimator), surroundings()
        for position in np.unique(positions[: counter.n_calls]):
            with Fault(error, position), pytest.raises(error, match="injected"):
                call(estimator, method, X[::-1], y[::-1])
            assert pickle.dumps(estimator) == before
            assert surroundings() == around


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_an_error_in_a_callback_changes_nothing(error):
    pytest.importorskip("sklearn.callback")

    class Failing:
        def setup(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context, *, fitted_estimator):
            raise error("injected")

        def teardown(self, estimator, context):
            pass

    for Estimator in ESTIMATORS:
        if not hasattr(Estimator, "set_callbacks"):
            continue
        X, y = make_data(Estimator, 60)
        estimator = make_short(Estimator).fit(X, y).set_callbacks(Failing())
        before = {
            k: pickle.dumps(v) for k, v in vars(estimator).items() if k[-1] == "_"
        }
        with pytest.raises(error, match="injected"):
            estimator.fit(X[::-1], y[::-1])
        assert fitted_attributes(estimator) == before
