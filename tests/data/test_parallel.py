"""Workers change nothing but the time."""

from functools import partial

import joblib
import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_info, threadpool_limits

from skscn import OrthogonalSparseCoder
from skscn._data.parallel import (
    MAX_SLICE_ROWS,
    MIN_SLICE_ROWS,
    map_rows,
    map_rows_into,
    row_slices,
    rows_per_slice,
    sequential_pool,
    single_blas_thread,
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
    fitted = partial(OrthogonalSparseCoder, alpha=0.5, max_iter=5, tol=1)
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


def test_n_jobs_none_obeys_the_configuration(rng, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "skscn._data.parallel.ThreadPoolExecutor",
        lambda count: seen.append(count) or pytest.fail("reached"),
    )
    with joblib.parallel_config(n_jobs=2), pytest.raises(pytest.fail.Exception):
        OrthogonalSparseCoder().fit(rng.normal(size=(2 * MIN_SLICE_ROWS, 2)))
    assert seen == [2]


def test_little_work_is_not_shared(rng, monkeypatch):
    X = rng.normal(size=(2 * MIN_SLICE_ROWS, 8))
    monkeypatch.setattr(
        "skscn._data.parallel.ThreadPoolExecutor", lambda count: pytest.fail("shared")
    )
    coder = OrthogonalSparseCoder(8, n_jobs=2, max_iter=0)
    with pytest.raises(pytest.fail.Exception):
        coder.fit(X)  # passes of learning are shared: they are many
    coder.set_params(n_jobs=1).fit(X).set_params(n_jobs=2).transform(X)
    monkeypatch.setattr("skscn._data.parallel.MIN_SHARED_WORK", X.size * 8)
    with pytest.raises(pytest.fail.Exception):
        coder.transform(X)
