"""Dask arrays and workers in other processes change nothing but where work is done."""

import pickle
from dataclasses import fields
from functools import partial

import joblib
import numpy as np
import pytest
from common import make_estimator
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits
from worker_helpers import Gauge, measure, n_workers_in_process

from skscn import (
    ConvSparseCoder,
    FlooredScaler,
    NonNegativeSparseCoder,
    OrthogonalSparseCoder,
    SparseCodingDetector,
    SparseCodingNetwork,
    SpatialPool,
    StreamingRidgeClassifier,
    map_blocks,
)
from skscn._core.encoders import MapEncoder
from skscn._core.moments import code_moments
from skscn._core.priors import SIGNED
from skscn._core.sparse_model import SparseModel
from skscn._data import dask_arrays
from skscn._data.dask_arrays import N_ADDED, DaskRows, DaskRowSums, _sum_chunk
from skscn._data.parallel import row_slices, rows_per_slice, sum_over_rows, worker_pool

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")

pytestmark = pytest.mark.usefixtures("short_slices")
N, P = 20_000, 8
few = {"max_iter": 4, "tol": 1}
here = partial(dask.config.set, scheduler="synchronous")


@pytest.fixture(scope="module")
def cluster():
    """Return a client of two processes."""
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).laplace(size=(N, P)) * np.arange(1, P + 1)


def moments_of(k, p, n):
    rows = np.random.default_rng(0).normal(size=(n, p))
    code = MapEncoder(SIGNED["laplace"], 0.5)
    model = SparseModel(np.eye(k, p), None, code)
    return code_moments(rows, None, model=model)


@pytest.mark.parametrize("chunks", [(N, P), (1234, 3), (4096, P), (13_000, P)])
@pytest.mark.parametrize(
    "coder",
    [
        OrthogonalSparseCoder(4, alpha=0.5, **few),
        OrthogonalSparseCoder(4, n_nonzero_coefs=2, split_sign=True, **few),
        OrthogonalSparseCoder(4, alpha="auto", prior="spike_slab", **few),
        NonNegativeSparseCoder(5, alpha="auto", **few),
        NonNegativeSparseCoder(4, alpha=2.0, center=False, init="dct", **few),
    ],
    ids=["soft", "limited", "spike and slab", "exponential", "ReLU"],
)
def test_chunks_of_any_size_learn_what_numpy_learns(coder, chunks, X):
    whole = clone(coder).fit(X)
    with here():
        found = clone(coder).fit(da.from_array(X, chunks=chunks))
    np.testing.assert_allclose(found.components_, whole.components_, atol=1e-10)
    np.testing.assert_allclose(found.objective_path_, whole.objective_path_, rtol=1e-10)
    np.testing.assert_allclose(found.noise_variance_, whole.noise_variance_, rtol=1e-6)


def test_chunks_that_are_slices_give_the_same_bits(X):
    sizes = tuple(len(X[part]) for part in row_slices(N, rows_per_slice(X)))
    assert len(sizes) <= N_ADDED  # more are added in another order
    coder = OrthogonalSparseCoder(4, alpha=0.5, **few)
    whole = clone(coder).fit(X)
    with here():
        found = clone(coder).fit(da.from_array(X, chunks=(sizes, P)))
    np.testing.assert_array_equal(found.components_, whole.components_)
    assert found.objective_path_ == whole.objective_path_


def test_processes_give_the_same_bits_as_one(cluster, X):
    """The data are made on the workers, and never leave them."""
    x = da.random.default_rng(0).laplace(size=(N, P), chunks=(700, P))
    coder = OrthogonalSparseCoder(4, alpha=0.5, **few)
    with here():
        one, codes = clone(coder).fit(x), coder.fit(x).transform(x).compute()
        scores = coder.score_samples(x).compute()
    with cluster.as_current():
        many = clone(coder).fit(x.persist())
        found = many.transform(x).compute(), many.score_samples(x).compute()
    np.testing.assert_array_equal(many.components_, one.components_)
    assert many.objective_path_ == one.objective_path_
    np.testing.assert_array_equal(found[0], codes)
    np.testing.assert_array_equal(found[1], scores)


def misaligned(array):
    """Return the same array where no number of eight bytes should begin."""
    memory = np.empty(array.nbytes + 1, dtype=np.uint8)[1:]
    moved = memory[: array.nbytes].view(array.dtype).reshape(array.shape)
    moved[...] = array
    assert not moved.flags.aligned
    return moved


@pytest.mark.parametrize("n", [1, 2, 3, 1000])
def test_where_a_chunk_begins_in_memory_changes_no_bits(n):
    """What came over the network may begin anywhere."""
    rng = np.random.default_rng(0)
    X, mean = rng.normal(size=(n, 64)), rng.normal(size=64)
    atoms = np.linalg.qr(rng.normal(size=(64, 32)))[0].T.copy()
    code = MapEncoder(SIGNED["laplace"], 0.5)
    found = []
    for move in (np.copy, misaligned):
        model = SparseModel(move(atoms), move(mean), code)
        function = pickle.dumps(partial(code_moments, model=model))
        found.append(_sum_chunk(function, move(X), None, X.dtype, 0, 4096, True))
    for name in ("cross", "code_sum", "objective_decrease", "curvature"):
        np.testing.assert_array_equal(*(getattr(sums, name) for sums in found))


def test_what_a_chunk_sends_back_does_not_grow_with_its_rows():
    k, p = 20, 50
    small, large = (len(pickle.dumps(moments_of(k, p, n))) for n in (1000, 50_000))
    assert small == large
    vectors = 10 * (k + p) + 200
    assert large < 8 * (k * p + k * (k + 2) + vectors)


def test_an_iteration_is_one_map_reduce(X, monkeypatch):
    calls = []
    inner = DaskRowSums._map_reduce

    def count_calls(*args, **kwargs):
        calls.append(0)
        return inner(*args, **kwargs)

    monkeypatch.setattr(DaskRowSums, "_map_reduce", count_calls)
    counts = []
    with here():
        for max_iter in (2, 7):
            coder = OrthogonalSparseCoder(4, alpha=0.5, max_iter=max_iter, tol=0)
            calls.clear()
            with pytest.warns(UserWarning, match="The objective still decreases"):
                coder.fit(da.from_array(X, chunks=(5000, P)))
            counts.append(len(calls))
    assert counts[1] - counts[0] == 5
    assert counts[0] - 2 == 4  # mean, scatter, the start, and the noise


@pytest.mark.parametrize("sizes", [(1, 1, 1), (4096, 1, 5000, 100, 9000), (9, 9990)])
def test_moments_are_those_of_numpy_wherever_chunks_end(sizes):
    rng = np.random.default_rng(0)
    X, w = rng.normal(size=(sum(sizes), 3)), rng.random(sum(sizes))
    code = MapEncoder(SIGNED["laplace"], 0.5)
    model = SparseModel(np.eye(2, 3), None, code)
    with worker_pool(len(X)) as pool:
        expected = sum_over_rows(pool, partial(code_moments, model=model), X, w)
    with here():
        rows = DaskRows.from_array(da.from_array(X, chunks=(sizes, 3)), [X.dtype])
        found = DaskRowSums(rows, rows.check_weights(w)).code_moments(model)
    for field in fields(found):
        if field.name != "statistics":
            np.testing.assert_allclose(
                getattr(found, field.name), getattr(expected, field.name)
            )


@pytest.mark.parametrize("lazy", [False, True])
def test_weights_of_arrays_and_of_dask_arrays(lazy, X):
    weights = np.random.default_rng(1).random(N)
    coder = OrthogonalSparseCoder(4, alpha=0.5, **few)
    whole = clone(coder).fit(X, sample_weight=weights)
    w = da.from_array(weights, chunks=999) if lazy else weights
    with here():
        coder.fit(da.from_array(X, chunks=(7000, P)), sample_weight=w)
    np.testing.assert_allclose(coder.components_, whole.components_, atol=1e-10)


@pytest.mark.parametrize("method", ["transform", "score_samples", "posterior_std"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
def test_results_are_lazy_with_known_chunks(method, dtype, X):
    X = X.astype(dtype)
    x = da.from_array(X, chunks=(7000, 3))
    with here():
        coder = OrthogonalSparseCoder(4, alpha=0.5, **few).fit(x)
        found, expected = getattr(coder, method)(x), getattr(coder, method)(X)
        assert isinstance(found, da.Array)
        assert found.chunks[0] == x.chunks[0]
        assert found.shape == expected.shape
        assert found.dtype == expected.dtype
        values = found.compute()
        assert coder.score(x) == pytest.approx(coder.score(X))
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5)
    assert coder.components_.dtype == ("f4" if dtype == "float32" else "f8")


def test_codes_come_back_and_may_be_sparse(X):
    x = da.from_array(X, chunks=(7000, P))
    with here():
        coder = OrthogonalSparseCoder(4, alpha=9.0, **few).fit(X)
        rows = coder.inverse_transform(coder.transform(x)).compute()
        expected = coder.inverse_transform(coder.transform(X))
        np.testing.assert_allclose(rows, expected, atol=1e-10)
        coder.set_params(sparse_output=True)
        codes = coder.transform(x).compute()
    assert sparse.issparse(codes)
    np.testing.assert_allclose(codes.toarray(), coder.transform(X).toarray())


def test_chunks_may_be_sparse():
    X = sparse.random(3000, 30, density=0.1, format="csr", random_state=0)
    x = da.from_array(X.toarray(), chunks=(700, 30)).map_blocks(sparse.csr_matrix)
    coder = OrthogonalSparseCoder(4, alpha=0.1, **few)
    whole = clone(coder).fit(X)
    with here():
        np.testing.assert_allclose(
            coder.fit(x).components_, whole.components_, atol=1e-10
        )
        codes = coder.transform(x).compute()
    np.testing.assert_allclose(codes, whole.transform(X), atol=1e-10)


def test_gaps_and_steps_of_other_packages_in_chunks(X):
    X = X.copy()
    coder = OrthogonalSparseCoder(4, alpha=0.5, **few).fit(X)
    X[::7, 2] = np.nan
    x = da.from_array(X, chunks=(7000, P))
    with here():
        for method in ("transform", "score_samples", "impute"):
            found = map_blocks(coder, x, method=method).compute()
            np.testing.assert_allclose(found, getattr(coder, method)(X), atol=1e-8)


def test_networks_learn_from_images_on_a_cluster(cluster):
    images = np.random.default_rng(0).integers(0, 256, size=(90, 8, 8), dtype=np.uint8)
    network = make_estimator(SparseCodingNetwork)
    whole = clone(network).fit(images)
    x = da.from_array(images, chunks=(40, 4, 8))
    with cluster.as_current():
        many = clone(network).fit(x)
        maps = many.transform(x)
        assert maps.chunks == ((40, 40, 10), (whole.transform(images).shape[1],))
        values = maps.compute()
    np.testing.assert_array_equal(
        many.named_layers_["conv"].filters_, whole.named_layers_["conv"].filters_
    )
    np.testing.assert_allclose(values, whole.transform(images), atol=1e-4)
    with here():
        conv = ConvSparseCoder(4, kernel_size=3, random_state=0).fit(x)
        rebuilt = conv.reconstruct(x)
        np.testing.assert_allclose(
            rebuilt.compute(), conv.reconstruct(images), atol=1e-3
        )


def test_detectors_score_lazily(X):
    detector = SparseCodingDetector().fit(X[:500])
    x = da.from_array(X[:2000], chunks=(700, P))
    with here():
        scores = detector.decision_function(x)
        assert isinstance(scores, da.Array)
        np.testing.assert_allclose(
            scores.compute(), detector.decision_function(X[:2000])
        )
        np.testing.assert_array_equal(detector.predict(x), detector.predict(X[:2000]))


@pytest.mark.filterwarnings("error")
def test_features_of_later_steps_come_to_one_machine(X):
    images = np.random.default_rng(0).integers(0, 256, size=(90, 8, 8), dtype=np.uint8)
    y = np.arange(90) % 3
    x = da.from_array(images, chunks=(40, 8, 8))
    for head in (LogisticRegression(max_iter=5000), StreamingRidgeClassifier()):
        model = make_pipeline(
            make_estimator(SparseCodingNetwork), FlooredScaler(), head
        )
        whole = clone(model).fit(images, y)
        with here():
            many = clone(model).fit(x, y)
            np.testing.assert_array_equal(many.predict(x), whole.predict(images))
            np.testing.assert_allclose(many[1].scale_, whole[1].scale_, rtol=1e-4)
    features = da.from_array(X, chunks=(7000, P))
    labels = (X[:, 0] > 0).astype(int)
    with here():
        scaler = FlooredScaler().fit(features)
        back = scaler.inverse_transform(scaler.transform(features))
        np.testing.assert_allclose(back, X, atol=1e-12)
        lazy = da.from_array(labels, chunks=7000)
        found = StreamingRidgeClassifier().fit(features, lazy)
    expected = StreamingRidgeClassifier().fit(X, labels)
    np.testing.assert_array_equal(found.coef_, expected.coef_)


def test_features_are_computed_once(X):
    computed = []

    def watched(block):
        computed.append(len(block))
        return block

    x = da.from_array(X, chunks=(7000, P)).map_blocks(watched, dtype=X.dtype, meta=X)
    with here():
        FlooredScaler().fit_transform(x)
    assert sum(computed) == len(X)


class Frame:
    """A frame as those of dask."""

    dtypes = shape = ndim = None

    def __dask_graph__(self): ...

    def to_delayed(self): ...

    def to_dask_array(self, lengths): ...


def test_frames_are_told_what_they_can_become(X):
    coder = OrthogonalSparseCoder(4, alpha=0.5, **few)
    conv = ConvSparseCoder(4, image_shape=(2, 4), kernel_size=2)
    for call in (
        coder.fit,
        coder.partial_fit,
        conv.fit,
        conv.partial_fit,
        coder.fit(X).transform,
        partial(map_blocks, coder),
    ):
        with pytest.raises(
            TypeError, match=r"a Frame of dask.*Use X\.to_dask_array\(lengths="
        ):
            call(Frame())


@pytest.mark.parametrize("Layer", [ConvSparseCoder, SparseCodingNetwork, SpatialPool])
def test_chunks_of_streams_of_images_are_at_hand(Layer):
    x = da.ones((20, 8, 8, 2), chunks=(10, 8, 8, 2))
    layer = make_estimator(Layer)
    with (
        here(),
        pytest.raises(TypeError, match="partial_fit takes a mini-batch in memory"),
    ):
        layer.partial_fit(x)


def test_blocks_of_a_cluster_are_those_of_methods_that_read(X):
    coder = OrthogonalSparseCoder(4, alpha=0.5, **few).fit(X)
    x = da.from_array(X, chunks=(7000, P))
    with pytest.raises(ValueError, match="would learn anew from every block"):
        map_blocks(coder, x, method="fit_transform")
    with pytest.raises(ValueError, match="score returns no row for each sample"):
        map_blocks(coder, x, method="score")


def test_joblib_on_dask_gives_the_same_bits(cluster, X):
    coder = OrthogonalSparseCoder(4, alpha=0.5, **few)
    one = clone(coder).fit(X)
    with cluster.as_current(), joblib.parallel_config(backend="dask"):
        many = clone(coder).set_params(n_jobs=2).fit(X)
        codes = many.transform(X)
    np.testing.assert_array_equal(many.components_, one.components_)
    np.testing.assert_array_equal(codes, one.transform(X))


def test_processes_of_a_cluster_do_not_use_more_cores_than_there_are(cluster):
    """Each of them is one worker, and so are the tasks of joblib on dask."""
    addresses = list(cluster.scheduler_info()["workers"])
    tasks = [
        cluster.submit(n_workers_in_process, pure=False, workers=[address])
        for address in addresses
    ]
    assert cluster.gather(tasks) == [1, 1]
    with cluster.as_current(), joblib.parallel_config(backend="dask"):
        tasks = (joblib.delayed(n_workers_in_process)() for _ in range(4))
        assert joblib.Parallel()(tasks) == [1] * 4


GAUGE = Gauge()  # tasks of dask cannot take it: it has a lock


def measure_in_thread():
    measure(GAUGE)


def test_threads_of_a_cluster_share_the_workers_of_one():
    """Fits in four threads run as many slices at a time as one fit does."""
    with (
        threadpool_limits(2, user_api="blas"),
        distributed.Client(
            processes=False,
            n_workers=1,
            threads_per_worker=4,
            dashboard_address=":0",
            set_as_default=False,
        ) as client,
    ):
        client.gather([client.submit(measure_in_thread, pure=False) for _ in range(4)])
    assert GAUGE.peak == 2


def test_empty_chunks_change_nothing(X):
    """A mask of rows leaves empty chunks."""
    X = X[:5000]
    sizes = (0, 0, 700, 0, 2300, 1, 0, 1999, 0)
    x = da.from_array(X).rechunk((sizes, 2))
    weights = np.arange(1.0, 5001)
    coder = OrthogonalSparseCoder(4, alpha=0.5, **few)
    with here():
        whole = clone(coder).fit(X, sample_weight=weights)
        for given in (weights, da.from_array(weights, chunks=(800,))):
            coder.fit(x, sample_weight=given)
            np.testing.assert_allclose(
                coder.components_, whole.components_, rtol=1e-9, atol=1e-12
            )
        detector = SparseCodingDetector(coder=coder).fit(X)
        for model, methods in [
            (whole, ("transform", "score_samples", "posterior_std", "impute")),
            (detector, ("predict", "score_samples", "decision_function")),
        ]:
            for method in methods:
                lazy = getattr(model, method)(x)
                assert lazy.chunks[0] == sizes
                expected = getattr(model, method)(X)
                np.testing.assert_allclose(lazy.compute(), expected, rtol=1e-9)
                assert lazy.dtype == expected.dtype
        assert np.isclose(whole.score(x), whole.score(X))
        whole.set_params(sparse_output=True)
        found = whole.transform(x).compute()
        np.testing.assert_allclose(found.toarray(), whole.transform(X).toarray())
        with pytest.raises(ValueError, match="minimum of 1 sample"):
            coder.fit(x[:0])


def test_a_fit_survives_that_all_workers_are_lost(cluster, X, monkeypatch):
    """What was sent to them is lost too: a canceled future stands for it."""
    n_lost = 0

    def lose(function):
        nonlocal n_lost
        n_lost += 1
        if n_lost == 2:
            raise TimeoutError("No valid workers found")
        future = cluster.scatter(function, hash=False)
        future.cancel()
        return future

    coder = OrthogonalSparseCoder(4, alpha=0.5, **few)
    x = da.from_array(X, chunks=(5000, P))
    with cluster.as_current():
        expected = clone(coder).fit(x).components_
        monkeypatch.setattr(dask_arrays, "_broadcast", lose)
        np.testing.assert_array_equal(coder.fit(x).components_, expected)
    assert n_lost > 4


def test_errors_tell_the_remedy(X):
    coder = OrthogonalSparseCoder(4, alpha=0.5, **few)
    x = da.from_array(X, chunks=(7000, P))
    with here():
        with pytest.raises(ValueError, match="compute_chunk_sizes"):
            coder.fit(x[x[:, 0] > 0])
        with pytest.raises(ValueError, match="Negative values"):
            coder.fit(x, sample_weight=da.from_array(np.arange(N) - 1.0))
        with pytest.raises(ValueError, match=r"expected \(20000,\)"):
            coder.fit(x, sample_weight=da.ones(5))
        with pytest.raises(ValueError, match="n_components=9 must be at most"):
            clone(coder).set_params(n_components=9).fit(x)
        with pytest.raises(ValueError, match="Complex data not supported"):
            coder.fit(x.astype(complex))
        with pytest.raises(ValueError, match=r"NaN in rows 7000 to 13999.*X.compute"):
            coder.fit(da.where(x == X[8000, 2], np.nan, x))
        with pytest.raises(ValueError, match="Expected 2D array"):
            coder.fit(x[0])
        assert not hasattr(coder, "components_")
        with pytest.raises(TypeError, match="Use fit"):
            coder.partial_fit(x)
        coder.fit(x)
        with pytest.raises(TypeError, match="to_zarr"):
            map_blocks(coder, x, out=np.empty((N, 4)))
        with pytest.raises(ValueError, match="X has 5 features"):
            coder.transform(x[:, :5])
