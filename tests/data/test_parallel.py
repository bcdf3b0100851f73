"""Workers change nothing but the time."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from threading import Event, Thread

import joblib
import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_info, threadpool_limits
from worker_helpers import Gauge, measure, n_workers_in_process

from skscn import OrthogonalSparseCoder
from skscn._data.blas_threads import single_blas_thread
from skscn._data.parallel import (
    MAX_SLICE_ROWS,
    MIN_SLICE_ROWS,
    _cached_executor,
    _executor,
    map_rows,
    map_rows_into,
    n_workers_of,
    row_slices,
    rows_per_slice,
    sequential_pool,
    sum_over_rows,
    worker_pool,
)


def blas_threads():
    return {
        pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"
    }


def total_of(rows, weights):
    return np.array([rows.sum(), 0 if weights is None else weights.sum()])


def double(rows, out):
    if out is None:
        return 2 * rows
    return np.multiply(rows, 2, out=out)


@pytest.mark.parametrize("n_rows", [1, MIN_SLICE_ROWS, MIN_SLICE_ROWS + 1, 50_000])
def test_slices_cover_all_rows_in_order(n_rows):
    parts = row_slices(n_rows, MIN_SLICE_ROWS)
    joined = np.concatenate([np.arange(n_rows)[part] for part in parts])
    np.testing.assert_array_equal(joined, np.arange(n_rows))
    assert max(len(np.arange(n_rows)[part]) for part in parts) <= MIN_SLICE_ROWS


@pytest.mark.parametrize(
    ("n_features", "n_rows"),
    [(1, MAX_SLICE_ROWS), (64, 16_384), (10_000, MIN_SLICE_ROWS)],
)
def test_slices_of_narrow_rows_are_longer_within_bounds(n_features, n_rows):
    assert rows_per_slice(np.empty((1, n_features))) == n_rows


@pytest.mark.parametrize("backend", [None, "threading", "loky", "multiprocessing"])
@pytest.mark.parametrize("n_jobs", [1, 2, 3])
def test_every_kind_of_worker_gives_the_same_bits(backend, n_jobs, rng):
    X, weights = rng.normal(size=(20_000, 300)), rng.random(20_000)
    with worker_pool(20_000, 1) as pool:
        expected = sum_over_rows(pool, total_of, X, weights)
    chosen = joblib.parallel_config(**({"backend": backend} if backend else {}))
    with chosen, worker_pool(20_000, n_jobs) as pool:
        np.testing.assert_array_equal(
            sum_over_rows(pool, total_of, X, weights), expected
        )
        out = map_rows_into(pool, double, X, np.empty_like(X))
        np.testing.assert_array_equal(out, 2 * X)


def test_results_wait_for_those_before_them(rng):
    """More slices than workers look ahead for come in order too."""
    X = np.arange(3000)[:, None]
    with worker_pool(len(X), 2, size=100) as pool:
        firsts = list(map_rows(pool, lambda rows, _: rows[0, 0], X, size=100))
    assert firsts == [part.start for part in row_slices(len(X), 100)]


def test_an_error_in_a_worker_reaches_the_caller():
    def fail(rows, _):
        raise ZeroDivisionError(len(rows))

    with worker_pool(20_000, 2) as pool, pytest.raises(ZeroDivisionError):
        sum_over_rows(pool, fail, np.zeros((20_000, 300)))


def test_blas_has_one_thread_in_there_and_its_own_number_after():
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        with worker_pool(10) as outer, worker_pool(20_000, 2):
            assert list(outer.map(lambda _: blas_threads(), [None])) == [{1}]
        assert blas_threads() == before
        with pytest.raises(KeyError), worker_pool(10):
            raise KeyError
        assert blas_threads() == before


def test_callers_that_overlap_put_the_threads_of_blas_back():
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        first, second = single_blas_thread(), single_blas_thread()
        for caller in (first, second):
            caller.__enter__()
        first.__exit__(None, None, None)
        assert blas_threads() == {1}
        second.__exit__(None, None, None)
        assert blas_threads() == before


def uses_one_core(estimator, X, y=None):
    """Return 1 where an estimator works by itself, with BLAS on one thread."""
    with worker_pool(10 * MIN_SLICE_ROWS, estimator.n_jobs) as pool:
        return float(pool.map is map and blas_threads() == {1})


@pytest.mark.parametrize("backend", ["threading", "loky", "multiprocessing"])
def test_workers_within_workers_do_not_multiply(backend, rng):
    """Every worker of a search is one worker, whatever the search runs on."""
    search = GridSearchCV(
        OrthogonalSparseCoder(2, max_iter=5, tol=1),
        {"alpha": [0.5, 1.0]},
        scoring=uses_one_core,
        cv=2,
        n_jobs=2,
    )
    with joblib.parallel_config(backend=backend):
        search.fit(rng.normal(size=(200, 3)))
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], 1.0)


def test_one_of_many_at_work_asks_for_no_more(rng):
    X = rng.normal(size=(3 * MIN_SLICE_ROWS, 300))
    coder = OrthogonalSparseCoder(n_jobs=2, max_iter=5, tol=1)
    with sequential_pool() as pool:
        assert pool.map is map
        assert uses_one_core(coder, X) == 1.0
        inner = coder.fit(X).transform(X)
    np.testing.assert_array_equal(inner, coder.transform(X))
    assert uses_one_core(coder, X) == 0.0


def test_fitted_state_and_codes_have_the_same_bits_for_every_n_jobs(rng):
    X = rng.laplace(size=(3 * MIN_SLICE_ROWS, 300)).astype(np.float32)
    fitted = partial(OrthogonalSparseCoder, 30, alpha=0.5, max_iter=5, tol=1)
    one = fitted(n_jobs=1).fit(X)
    for n_jobs in (2, 3, -1):
        many = fitted(n_jobs=n_jobs).fit(X)
        np.testing.assert_array_equal(many.components_, one.components_)
        assert many.objective_path_ == one.objective_path_
        np.testing.assert_array_equal(many.transform(X), one.transform(X))
        streamed = [
            fitted(n_jobs=jobs).partial_fit(X).partial_fit(X) for jobs in (1, n_jobs)
        ]
        np.testing.assert_array_equal(*(coder.components_ for coder in streamed))


@pytest.fixture
def started(monkeypatch):
    """Return the numbers of threads that are started; none is."""
    numbers = []

    def fail(n_workers):
        numbers.append(n_workers)
        pytest.fail("workers were started")

    monkeypatch.setattr("skscn._data.parallel._executor", fail)
    return numbers


def start_workers(n_jobs=None):
    with worker_pool(10 * MIN_SLICE_ROWS, n_jobs) as pool:
        pool.map(str, [])


def test_n_jobs_none_is_the_number_of_threads_of_blas(started):
    with threadpool_limits(1, user_api="blas"):
        start_workers()
    assert started == []
    for n_threads in (2, 3):
        with (
            threadpool_limits(n_threads, user_api="blas"),
            pytest.raises(pytest.fail.Exception),
        ):
            start_workers()
    assert started == [2, 3]
    with threadpool_limits(3, user_api="blas"), single_blas_thread():
        assert n_workers_of(None) == 3  # the limit of this package does not count
        assert n_workers_of(1) == 1


def test_n_jobs_none_obeys_the_configuration(started):
    with joblib.parallel_config(n_jobs=2), pytest.raises(pytest.fail.Exception):
        start_workers()
    assert started == [2]
    with threadpool_limits(2, user_api="blas"):
        with joblib.parallel_config(n_jobs=1):
            start_workers()
        with joblib.parallel_config(backend="sequential"):
            start_workers()
    assert started == [2]


def test_little_work_is_not_shared(rng, monkeypatch, started):
    X = rng.normal(size=(2 * MIN_SLICE_ROWS, 8))
    coder = OrthogonalSparseCoder(8, n_jobs=2, max_iter=0)
    with pytest.raises(pytest.fail.Exception):
        coder.fit(X)  # passes of learning are shared: they are many
    coder.set_params(n_jobs=1).fit(X).set_params(n_jobs=2).transform(X)
    monkeypatch.setattr("skscn._data.parallel.MIN_SHARED_WORK", X.size * 8)
    with pytest.raises(pytest.fail.Exception):
        coder.transform(X)


@pytest.mark.parametrize("n_callers", [2, 5])
def test_callers_in_threads_share_the_workers_of_one(n_callers):
    gauge = Gauge()
    with (
        threadpool_limits(3, user_api="blas"),
        ThreadPoolExecutor(n_callers) as callers,
    ):
        list(callers.map(measure, [gauge] * n_callers))
    assert gauge.peak == 3


def test_callers_in_threads_of_joblib_work_alone():
    gauge = Gauge()
    with threadpool_limits(3, user_api="blas"):
        joblib.Parallel(2, backend="threading")(
            joblib.delayed(measure)(gauge) for _ in range(4)
        )
    assert gauge.peak == 2


@pytest.mark.parametrize("backend", ["loky", "multiprocessing"])
def test_processes_of_joblib_do_not_use_more_cores_than_there_are(backend):
    n_processes = joblib.cpu_count()
    numbers = joblib.Parallel(n_processes, backend=backend)(
        joblib.delayed(n_workers_in_process)() for _ in range(n_processes)
    )
    assert numbers == [1] * n_processes


def test_workers_started_within_workers_do_not_wait_for_them():
    def nested(_):
        gauge = Gauge()
        measure(gauge, n_jobs=2)
        return gauge.peak

    with worker_pool(4 * MIN_SLICE_ROWS, 2) as pool:
        assert list(pool.map(nested, range(4))) == [1] * 4


def test_after_an_error_no_task_is_left():
    gauge = Gauge()

    def fail_first(rows, _):
        gauge(rows, _)
        if gauge.peak:
            raise ZeroDivisionError

    X = np.zeros((20 * MIN_SLICE_ROWS, 300))
    with pytest.raises(ZeroDivisionError), worker_pool(len(X), 2) as pool:
        list(map_rows(pool, fail_first, X))
    assert gauge.n_running == 0


def test_threads_limit_blas_and_restore_it_in_any_order():
    """Neither caller is the thread that threadpoolctl lets control OpenBLAS."""
    entered = [Event(), Event()]
    may_leave = [Event(), Event()]
    seen = []

    def call(i):
        with single_blas_thread():
            entered[i].set()
            may_leave[i].wait(10)
            seen.append(blas_threads())

    with threadpool_limits(2, user_api="blas"):
        callers = [Thread(target=call, args=(i,)) for i in range(2)]
        for caller, event in zip(callers, entered, strict=True):
            caller.start()
            assert event.wait(10)
        for caller, event in zip(callers, may_leave, strict=True):
            event.set()
            caller.join()
        assert seen == [{1}, {1}]
        assert blas_threads() == {2}


@pytest.mark.parametrize("seed", range(3))
def test_blas_is_restored_after_every_interleaving_of_threads(seed):
    rng = np.random.default_rng(seed)
    contexts = [[], [], []]  # that each of three threads is in
    with threadpool_limits(2, user_api="blas"), ExitStack() as stack:
        threads = [stack.enter_context(ThreadPoolExecutor(1)) for _ in contexts]
        n_left = 20  # contexts to enter
        while n_left or any(contexts):
            thread, inside = list(zip(threads, contexts, strict=True))[rng.integers(3)]
            if inside and (n_left == 0 or rng.random() < 0.5):
                leave = inside.pop().__exit__
                thread.submit(leave, None, None, None).result()
            elif n_left:
                inside.append(single_blas_thread())
                thread.submit(inside[-1].__enter__).result()
                n_left -= 1
            assert blas_threads() == ({1} if any(contexts) else {2})


def test_callers_that_start_at_once_share_one_executor():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(30):
            _cached_executor.cache_clear()
            with ThreadPoolExecutor(8) as callers:
                executors = set(callers.map(_executor, [3] * 8))
            assert len(executors) == 1
    finally:
        sys.setswitchinterval(before)


def test_a_limit_that_others_set_in_the_meantime_stays():
    with threadpool_limits(2, user_api="blas") as limits:
        with single_blas_thread():
            limits.restore_original_limits()
            threadpool_limits(3, user_api="blas")
        assert blas_threads() == {3}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_while_another_thread_computes_starts_without_its_limit():
    code = """
import os, threading
from threadpoolctl import threadpool_limits
from skscn._data.blas_threads import n_blas_threads, single_blas_thread
from skscn._data.parallel import map_rows, worker_pool
import numpy as np
entered, leave = threading.Event(), threading.Event()
def compute():
    with single_blas_thread():
        entered.set()
        leave.wait()
with threadpool_limits(2, user_api="blas"):
    thread = threading.Thread(target=compute)
    thread.start()
    entered.wait()
    child = os.fork()
    if child == 0:
        from threadpoolctl import threadpool_info
        pools = threadpool_info()
        numbers = {p["num_threads"] for p in pools if p["user_api"] == "blas"}
        X = np.ones((100_000, 30))
        with worker_pool(100_000) as pool:
            total = sum(map_rows(pool, lambda rows, _: rows.sum(), X))
        os._exit(0 if numbers == {2} and total == 3_000_000 else 1)
    _, status = os.waitpid(child, 0)
    leave.set()
    thread.join()
print("status", status)
"""
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stdout == "status 0\n", result.stderr
