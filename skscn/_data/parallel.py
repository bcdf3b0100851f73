"""Work on slices of rows, shared among the workers that joblib decides on.

Rows are cut into slices by their number alone, and results come back in order, so that
sums over them have the same bits for every `n_jobs`.
"""

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice
from multiprocessing import current_process
from threading import Lock, current_thread, local, main_thread

import numpy as np
from joblib import cpu_count, effective_n_jobs, parallel_config
from joblib.parallel import get_active_backend
from sklearn.utils.parallel import Parallel, delayed

from skscn._data.blas_threads import n_blas_threads, single_blas_thread
from skscn._data.progress import report_progress

# A slice takes so long that handing it over costs nothing in comparison, and there are
# enough slices for many workers where the work is worth sharing.
SLICE_ENTRIES = 2**20
MIN_SLICE_ROWS, MAX_SLICE_ROWS = 4096, 65_536
# Multiply-adds below which several workers are not faster than one.
MIN_SHARED_WORK = 2**25


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

    joblib decides on the kind of workers (`parallel_config` is obeyed). Threads of this
    process, the default, are driven by an executor: joblib looks for results every
    10 ms, which is as long as a whole pass over 50,000 patches.
    """
    n_slices = len(row_slices(n_rows, size))
    can_share = work >= MIN_SHARED_WORK and n_slices > 1 and not _is_worker()
    n_workers = min(n_workers_of(n_jobs), n_slices) if can_share else 1
    with single_blas_thread():
        if n_workers == 1:
            yield WorkerPool(map, share_memory=True)
            return
        backend, _ = get_active_backend(prefer="threads")
        if getattr(backend, "uses_threads", False):
            running: set = set()
            executor = _executor(n_workers)
            mapped = partial(_map_in_threads, executor, 2 * n_workers, running)
            try:
                yield WorkerPool(mapped, share_memory=True)
            finally:  # tasks are left here only by an error
                for task in running:
                    task.cancel()
                wait(running)
            return
        streams = getattr(backend, "supports_return_generator", False)
        with Parallel(
            n_jobs=n_workers if n_jobs is None else n_jobs,
            return_as="generator" if streams else "list",
            verbose=0,  # progress is reported in the same way for all workers
        ) as parallel:
            yield WorkerPool(partial(_map_in_joblib, parallel), share_memory=False)


def n_workers_of(n_jobs):
    """Return the number of workers that `n_jobs` stands for at this moment.

    None means as many as BLAS would use threads for a product. This is the number of
    cores, unless a limit of threadpoolctl, an environment variable, or joblib in its
    processes says otherwise. A number in `parallel_config` takes precedence. A thread
    that joblib has started, and a process that may not have children, work alone.
    """
    backend, configured = get_active_backend()
    if n_jobs is not None or configured is not None:
        return effective_n_jobs(n_jobs)
    in_thread = backend.nesting_level and current_thread() is not main_thread()
    if in_thread or current_process().daemon:
        return 1
    return backend.effective_n_jobs(n_blas_threads() or cpu_count())


def _executor(n_workers):
    """Return threads, which start with their first task and wait for others.

    To start threads takes longer than a small pass. Calls from several threads share
    them, and therefore never run more tasks at a time than one call does.
    """
    with _executor_lock:  # two threads at a time would make two executors
        return _cached_executor(n_workers)


@lru_cache(maxsize=4)
def _cached_executor(n_workers):
    return ThreadPoolExecutor(n_workers, "skscn", initializer=_start_worker)


def _forget_executors():
    """Start anew in a forked process, which has none of the threads."""
    _cached_executor.cache_clear()
    _executor_lock.release()


def _start_worker():
    _thread.is_worker = True


def _is_worker():
    return getattr(_thread, "is_worker", False)


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
    parts = row_slices(X.shape[0], rows_per_slice(X) if size is None else size)
    results = pool.map(
        partial(_call, function),
        ((X[part], None if other is None else other[part]) for part in parts),
    )
    return report_progress(results, len(parts))


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


def _map_in_threads(executor, n_ahead, running, function, items):
    # Results wait in memory until those before them are consumed, so that only a few
    # tasks may be submitted ahead.
    items = iter(items)
    waiting = deque(islice(items, n_ahead))
    if len(waiting) == 1:  # is not worth the way to another thread
        yield function(waiting.pop())

    def submit(item):
        task = executor.submit(_with_single_blas_thread, function, item)
        running.add(task)
        return task

    waiting = deque(map(submit, waiting))
    while waiting:
        task = waiting.popleft()
        result = task.result()
        running.discard(task)
        waiting.extend(map(submit, islice(items, 1)))
        yield result


def _map_in_joblib(parallel, function, items):
    tasks = (delayed(_with_single_blas_thread)(function, item) for item in items)
    return iter(parallel(tasks))


def _with_single_blas_thread(function, item):
    with single_blas_thread():
        return function(item)


_thread = local()
_executor_lock = Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_executor_lock.acquire,
        after_in_parent=_executor_lock.release,
        after_in_child=_forget_executors,
    )
