"""Work on slices of rows, shared among workers: the only module that calls joblib.

Rows are cut into slices by their number alone, and results come back in order, so that
sums over them have the same bits for every `n_jobs`.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice
from threading import Lock
from typing import Any

import numpy as np
from joblib import effective_n_jobs, parallel_config
from joblib.parallel import get_active_backend
from sklearn.utils.parallel import Parallel, delayed
from threadpoolctl import ThreadpoolController

# A slice takes so long that handing it over costs nothing in comparison, and there are
# enough slices for many workers where the work is worth sharing.
SLICE_ENTRIES = 2**20
MIN_SLICE_ROWS, MAX_SLICE_ROWS = 4096, 65_536
# Multiply-adds below which several workers are not faster than one.
MIN_SHARED_WORK = 2**29


@dataclass(frozen=True)
class WorkerPool:
    """An ordered, lazy map over workers.

    Parameters
    ----------
    map : callable
        Like the built-in `map` over one iterable.
    share_memory : bool
        Whether arrays that workers write into are the arrays of this process.
    """

    map: Callable
    share_memory: bool


@contextmanager
def worker_pool(n_rows, n_jobs=None, size=MIN_SLICE_ROWS, work=MIN_SHARED_WORK):
    """Yield the `WorkerPool` for slices of `n_rows` rows, with one BLAS thread each.

    One worker is used for fewer than `MIN_SHARED_WORK` multiply-adds of `work`.

    joblib decides on the number and kind of workers (`parallel_config` is obeyed).
    Threads of this process, the default, are driven by an executor: joblib looks for
    results every 10 ms, which is as long as a whole pass over 50,000 patches.
    """
    n_workers = min(effective_n_jobs(n_jobs), len(row_slices(n_rows, size)))
    n_workers = n_workers if work >= MIN_SHARED_WORK else 1
    with single_blas_thread():
        if n_workers == 1:
            yield WorkerPool(map, share_memory=True)
            return
        backend, _ = get_active_backend(prefer="threads")
        if getattr(backend, "uses_threads", False):
            with ThreadPoolExecutor(n_workers) as executor:
                mapped = partial(_map_in_threads, executor, 2 * n_workers)
                yield WorkerPool(mapped, share_memory=True)
            return
        streams = getattr(backend, "supports_return_generator", False)
        with Parallel(
            n_jobs=n_jobs, return_as="generator" if streams else "list"
        ) as parallel:
            yield WorkerPool(partial(_map_in_joblib, parallel), share_memory=False)


@contextmanager
def sequential_pool():
    """Yield the `WorkerPool` of one worker, for a caller that is a worker itself."""
    with parallel_config(backend="sequential"), single_blas_thread():
        yield WorkerPool(map, share_memory=True)


def rows_per_slice(X):
    """Return the maximum number of rows of X that a worker takes at a time."""
    return int(np.clip(SLICE_ENTRIES // X.shape[1], MIN_SLICE_ROWS, MAX_SLICE_ROWS))


def row_slices(n_rows, size):
    """Return slices of nearly equal length, at most `size`, that depend on n_rows only.

    Their number is one or even, so that two workers finish together.
    """
    count = max(1, -(-n_rows // size))
    count += count > 1 and count % 2
    size = max(1, -(-n_rows // count))
    return [slice(start, start + size) for start in range(0, n_rows, size)]


def map_rows(pool, function, X, other=None, size=None):
    """Yield function(rows, rows of other or None) for every slice of rows, in order."""
    size = rows_per_slice(X) if size is None else size
    return pool.map(
        partial(_call, function),
        (
            (X[part], None if other is None else other[part])
            for part in row_slices(X.shape[0], size)
        ),
    )


def sum_over_rows(pool, function, X, sample_weight=None):
    """Return the sum, in order, of function(rows, weights) over slices of rows."""
    results = map_rows(pool, function, X, sample_weight)
    total = next(results)
    for result in results:
        total = total + result
    return total


def map_rows_into(pool, function, X, out, size=None):
    """Write function(rows, rows of out) for every slice of rows into out."""
    size = rows_per_slice(X) if size is None else size
    if pool.share_memory:
        for _ in map_rows(pool, function, X, out, size):
            pass
    else:
        results = map_rows(pool, function, X, size=size)
        parts = row_slices(X.shape[0], size)
        for part, result in zip(parts, results, strict=True):
            out[part] = result
    return out


def _call(function, arguments):
    return function(*arguments)


def _map_in_threads(executor, n_ahead, function, items):
    # Results wait in memory until those before them are consumed, so that only a few
    # tasks may be submitted ahead.
    items = iter(items)
    waiting = deque(executor.submit(function, item) for item in islice(items, n_ahead))
    while waiting:
        result = waiting.popleft().result()
        waiting.extend(executor.submit(function, item) for item in islice(items, 1))
        yield result


def _map_in_joblib(parallel, function, items):
    tasks = (delayed(_with_single_blas_thread)(function, item) for item in items)
    return iter(parallel(tasks))


def _with_single_blas_thread(function, item):
    with single_blas_thread():
        return function(item)


@contextmanager
def single_blas_thread():
    """Limit BLAS to one thread: its threads slow small products down.

    The limit is one of the whole process. When several threads ask for it at the same
    time, the first sets it and the last restores the number of threads before.
    """
    with _blas_limit.lock:
        if _blas_limit.n_callers == 0:
            _blas_limit.limiter = _controller().limit(limits=1, user_api="blas")
        _blas_limit.n_callers += 1
    try:
        yield
    finally:
        with _blas_limit.lock:
            _blas_limit.n_callers -= 1
            if _blas_limit.n_callers == 0:
                _blas_limit.limiter.restore_original_limits()


class _BlasLimit:
    """The number of callers that limit BLAS to one thread, and their limiter."""

    def __init__(self):
        self.lock, self.n_callers = Lock(), 0
        self.limiter: Any = None


_blas_limit = _BlasLimit()


@lru_cache
def _controller():
    return ThreadpoolController()  # scanning the loaded libraries takes milliseconds
