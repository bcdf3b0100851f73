"""The only door to joblib and to the threads of BLAS.

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

# A slice is long enough that handing it over costs nothing beside it, and there are
# enough of them for many workers where the work is worth sharing.
SLICE_NUMBERS = 2**20
SLICE_ROWS = (4096, 65_536)
SHARED_WORK = 2**29  # multiply-adds that workers need to be faster than one of them


@dataclass(frozen=True)
class Workers:
    """An ordered, lazy map over workers.

    Parameters
    ----------
    map : callable
        Like the built-in `map` over one iterable.
    share_memory : bool
        Whether what workers write into arrays is seen here.
    """

    map: Callable
    share_memory: bool


@contextmanager
def workers(n_rows, n_jobs=None, size=SLICE_ROWS[0], work=SHARED_WORK):
    """Yield the `Workers` for slices of `n_rows` rows, each with BLAS on one thread.

    There is one where there are fewer than `SHARED_WORK` multiply-adds of `work`.

    joblib says how many there are and of what kind (`parallel_config` is obeyed).
    Where they are threads of this process, as by default, they are driven by an
    executor: joblib looks for results every 10 ms, which is as long as a whole pass
    over 50,000 patches takes.
    """
    count = min(effective_n_jobs(n_jobs), len(row_slices(n_rows, size)))
    count = count if work >= SHARED_WORK else 1
    with single_blas_thread():
        if count == 1:
            yield Workers(map, share_memory=True)
            return
        backend, _ = get_active_backend(prefer="threads")
        if getattr(backend, "uses_threads", False):
            with ThreadPoolExecutor(count) as pool:
                yield Workers(partial(_map_ahead, pool, 2 * count), share_memory=True)
            return
        streams = getattr(backend, "supports_return_generator", False)
        with Parallel(
            n_jobs=n_jobs, return_as="generator" if streams else "list"
        ) as parallel:
            yield Workers(partial(_map_joblib, parallel), share_memory=False)


def slice_rows(X):
    """Return how many rows of X a worker takes at a time, at most."""
    return int(np.clip(SLICE_NUMBERS // X.shape[1], *SLICE_ROWS))


def row_slices(n_rows, size):
    """Return near-equal slices of at most `size` rows, the same anywhere.

    They are one or even in number, so that two workers end together.
    """
    count = max(1, -(-n_rows // size))
    count += count > 1 and count % 2
    size = max(1, -(-n_rows // count))
    return [slice(start, start + size) for start in range(0, n_rows, size)]


def map_rows(workers, function, X, other=None, size=None):
    """Yield function(rows, rows of other or None) for every slice of rows, in order."""
    size = slice_rows(X) if size is None else size
    return workers.map(
        partial(_call, function),
        (
            (X[part], None if other is None else other[part])
            for part in row_slices(X.shape[0], size)
        ),
    )


def sum_over_rows(workers, function, X, sample_weight=None):
    """Return the sum, in order, of function(rows, weights) over slices of rows.

    Rows that are elsewhere are summed there.
    """
    if hasattr(X, "sum_over_rows"):
        return X.sum_over_rows(function, sample_weight)
    results = map_rows(workers, function, X, sample_weight)
    total = next(results)
    for result in results:
        total = total + result
    return total


def map_rows_into(workers, function, X, out, size=None):
    """Write function(rows, rows of out) for every slice of rows into out."""
    size = slice_rows(X) if size is None else size
    if workers.share_memory:
        for _ in map_rows(workers, function, X, out, size):
            pass
    else:
        results = map_rows(workers, function, X, size=size)
        parts = row_slices(X.shape[0], size)
        for part, result in zip(parts, results, strict=True):
            out[part] = result
    return out


def _call(function, arguments):
    return function(*arguments)


def _map_ahead(pool, ahead, function, items):
    # Results wait in memory until the ones before them are consumed: only a few may.
    items = iter(items)
    waiting = deque(pool.submit(function, item) for item in islice(items, ahead))
    while waiting:
        result = waiting.popleft().result()
        waiting.extend(pool.submit(function, item) for item in islice(items, 1))
        yield result


def _map_joblib(parallel, function, items):
    return iter(parallel(delayed(_on_one_thread)(function, item) for item in items))


def _on_one_thread(function, item):
    with single_blas_thread():
        return function(item)


@contextmanager
def sequential_pool():
    """Yield the one of `Workers`: the caller is one of many at work already."""
    with parallel_config(backend="sequential"), single_blas_thread():
        yield Workers(map, share_memory=True)


@contextmanager
def single_blas_thread():
    """Hold BLAS to one thread: small matrices lose by more.

    The number of threads is the whole process's. Of several callers in threads of their
    own the first sets it, and the last puts it back.
    """
    with _held.lock:
        if _held.callers == 0:
            _held.limit = _controller().limit(limits=1, user_api="blas")
        _held.callers += 1
    try:
        yield
    finally:
        with _held.lock:
            _held.callers -= 1
            if _held.callers == 0:
                _held.limit.restore_original_limits()


class _Held:
    """How many callers hold BLAS to one thread."""

    def __init__(self):
        self.lock, self.callers = Lock(), 0
        self.limit: Any = None


_held = _Held()


@lru_cache
def _controller():
    return ThreadpoolController()  # scanning the loaded libraries takes milliseconds
