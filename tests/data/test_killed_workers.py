"""Workers that the system kills: a right result or a clear error, and no hang."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import joblib
import numpy as np
import pytest
from joblib.externals.loky.process_executor import TerminatedWorkerError
from sklearn.base import clone

from skscn import OrthogonalSparseCoder
from skscn._data.parallel import MIN_SLICE_ROWS, map_rows, worker_pool

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
TIMEOUT = 120  # seconds, until a test counts a call as one that hangs

coder = OrthogonalSparseCoder(3, alpha=0.5, max_iter=2, tol=1)


def within_time(function):
    """Return function(), or raise a TimeoutError."""
    executor = ThreadPoolExecutor(1)
    try:
        return executor.submit(function).result(TIMEOUT)
    finally:
        executor.shutdown(wait=False)


def kill_first(path, rows, *_):
    """Kill the process of the first call; a file tells the others."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return rows
    os.kill(os.getpid(), signal.SIGKILL)


def kill_always(rows):
    os.kill(os.getpid(), signal.SIGKILL)
    return rows


@pytest.mark.filterwarnings("ignore:.*worker:UserWarning")
def test_a_killed_process_of_joblib_is_an_error_and_the_next_call_works(
    tmp_path, short_slices, rng
):
    X = rng.laplace(size=(4 * MIN_SLICE_ROWS, 5))

    def call():
        function = partial(kill_first, tmp_path / "killed")
        with worker_pool(len(X), 2) as pool:
            list(map_rows(pool, function, X))

    def call_and_fit():
        error = pytest.raises(TerminatedWorkerError, match="unexpectedly terminated")
        with joblib.parallel_config("loky", n_jobs=2), error:
            call()
        return clone(coder).set_params(n_jobs=2).fit(X)

    found = within_time(call_and_fit)
    np.testing.assert_array_equal(found.components_, clone(coder).fit(X).components_)


@pytest.mark.skipif("SKSCN_FAULTS" not in os.environ, reason="takes several seconds")
def test_a_killed_process_of_dask_is_restarted_or_an_error(tmp_path, rng):
    dask = pytest.importorskip("dask")
    da = pytest.importorskip("dask.array")
    distributed = pytest.importorskip("distributed")
    X = rng.laplace(size=(900, 5))
    x = da.from_array(X, chunks=(300, 5))
    options = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": ":0"}
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(**options, silence_logs=50) as cluster,
        distributed.Client(cluster),
    ):
        once = partial(kill_first, tmp_path / "killed")
        killed = x.map_blocks(once, dtype=x.dtype, meta=X[:0])
        found = within_time(lambda: clone(coder).fit(killed))
        expected = clone(coder).fit(x)
        np.testing.assert_array_equal(found.components_, expected.components_)
        assert (tmp_path / "killed").exists()
        broken = x.map_blocks(kill_always, dtype=x.dtype, meta=X[:0])
        before = dict(vars(found))
        with pytest.raises(distributed.KilledWorker, match="died"):
            within_time(lambda: found.fit(broken))
        assert vars(found) == before
