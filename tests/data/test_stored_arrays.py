"""Data and results on disk: the same codes, in memory that does not grow with them."""

import tracemalloc
from functools import partial

import numpy as np
import pytest
from common import make_estimator
from numpy.lib.format import open_memmap
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skscn import (
    ConvSparseCoder,
    NonNegativeSparseCoder,
    OrthogonalSparseCoder,
    SparseCodingDetector,
    SparseCodingNetwork,
    SpatialPool,
    map_blocks,
)
from skscn._data.stored_arrays import MAX_CHUNKS_IN_MEMORY, StoredRows

few = {"alpha": 0.5, "max_iter": 3, "tol": 1}


class Stored:
    """An array that can be sliced by rows and no more, as those of Zarr and HDF5."""

    def __init__(self, array, chunk=None):
        self._array = array
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim
        if chunk:
            self.chunks = (chunk, *array.shape[1:])
        self.read = []

    def __getitem__(self, part):
        assert isinstance(part, slice)
        self.read.append((part.start, part.stop))
        return self._array[part].copy()


@pytest.fixture
def X(rng):
    return rng.laplace(size=(9_000, 6)).astype(np.float32)


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, size=(90, 8, 8), dtype=np.uint8)


@pytest.fixture
def on_disk(tmp_path):
    """Return the function that writes an array, and opens it as a memory map."""

    def written(array):
        np.save(tmp_path / "X.npy", array)
        return np.load(tmp_path / "X.npy", mmap_mode="r")

    return written


def peak_of(function):
    """Return the most megabytes that NumPy and Python had at a time in a call."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module", params=["float64", "int32"])
def large(request, tmp_path_factory):
    """Return 200 MB on disk: floats, or integers that are 400 MB of floats."""
    dtype = np.dtype(request.param)
    shape = (200 * 2**20 // dtype.itemsize // 64, 64)
    name = tmp_path_factory.mktemp("large") / "X.npy"
    X = open_memmap(name, "w+", dtype=dtype, shape=shape)
    block = 10 * np.random.default_rng(0).laplace(size=(2**14, 64))
    for start in range(0, len(X), len(block)):
        X[start : start + len(block)] = block[: len(X) - start]
    X.flush()
    del X
    yield np.load(name, mmap_mode="r")
    name.unlink()


def test_memory_does_not_grow_with_a_file(large, tmp_path):
    """Of 200 MB, and of some of codes, less than 60 are in memory at a time."""
    coder = OrthogonalSparseCoder(16, max_iter=2, tol=1)
    assert peak_of(lambda: coder.fit(large)) < 60
    out = tmp_path / "codes.npy"
    assert peak_of(lambda: map_blocks(coder, large, out=out)) < 60
    scores = large.shape[0] * 8 / 2**20
    assert peak_of(lambda: coder.score_samples(large)) < 60 + scores
    codes = np.load(out, mmap_mode="r")
    assert codes.shape == (len(large), 16)
    some = large[-10:].astype(codes.dtype)
    np.testing.assert_allclose(codes[-10:], coder.transform(some), rtol=1e-4, atol=1e-4)
    out.unlink()


def test_memory_of_images_does_not_grow_with_their_file(tmp_path):
    """100 MB of bytes: as float32 they were 400."""
    name, shape = tmp_path / "X.npy", (100, 1024, 1024)
    images = open_memmap(name, "w+", dtype=np.uint8, shape=shape)
    images[:] = np.random.default_rng(0).integers(0, 256, size=(1024, 1024))
    images.flush()
    images = np.load(name, mmap_mode="r").reshape(-1, 32, 32)
    conv = ConvSparseCoder(4, kernel_size=3, stride=2, max_patches=2000)
    network = SparseCodingNetwork([("conv", conv), ("pool", SpatialPool(grid=2))])
    assert peak_of(lambda: network.fit(images)) < 60
    out = tmp_path / "maps.npy"
    assert peak_of(lambda: map_blocks(network, images, out=out)) < 100
    assert np.load(out, mmap_mode="r").shape == (len(images), 32)


@pytest.mark.parametrize("chunk", [None, 1, 1000, 4096, 100_000])
@pytest.mark.parametrize("alpha", [0.5, "auto"])
def test_what_is_sliced_gives_the_same_bits(chunk, alpha, X):
    coder = OrthogonalSparseCoder(4, **few | {"alpha": alpha})
    whole = clone(coder).fit(X)
    stored = clone(coder).fit(Stored(X, chunk))
    np.testing.assert_array_equal(stored.components_, whole.components_)
    assert stored.objective_path_ == whole.objective_path_
    for method in ("transform", "score_samples", "posterior_std", "impute"):
        np.testing.assert_allclose(
            getattr(stored, method)(Stored(X, chunk)),
            getattr(whole, method)(X),
            rtol=1e-5,
            atol=1e-6,
        )


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i1", "u2", "i8", ">f8", ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_files_of_any_numbers_in_any_order(dtype, order, X, on_disk):
    X = np.asarray(10 * X, order=order).astype(dtype)
    coder = NonNegativeSparseCoder(4, **few)
    whole = clone(coder).fit(np.array(X))
    read = clone(coder).fit(on_disk(X))
    np.testing.assert_allclose(
        read.components_, whole.components_, rtol=1e-4, atol=1e-5
    )
    assert read.components_.dtype == whole.components_.dtype
    codes = read.transform(on_disk(X))
    assert codes.dtype == whole.transform(X).dtype
    np.testing.assert_allclose(codes, read.transform(np.array(X)), rtol=1e-4, atol=1e-4)


def test_weights_and_chunks_of_streams_are_those_of_data_at_hand(X, rng):
    weights = rng.random(len(X))
    coder = OrthogonalSparseCoder(4, **few)
    for method in ("fit", "partial_fit"):
        whole = getattr(clone(coder), method)(X, sample_weight=weights)
        stored = getattr(clone(coder), method)(Stored(X, 700), sample_weight=weights)
        np.testing.assert_array_equal(stored.components_, whole.components_)


def test_a_chunk_of_a_file_is_read_once_a_pass(X):
    rows = StoredRows.from_array(file := Stored(X, 1000), [X.dtype])
    found = [rows[start : start + 700] for start in range(0, len(X), 700)]
    np.testing.assert_array_equal(np.concatenate(found), X)
    assert file.read == [(start, start + 1000) for start in range(0, 9000, 1000)]
    assert len(rows._chunks) == MAX_CHUNKS_IN_MEMORY


@pytest.mark.parametrize("chunk", [None, 7, 100])
def test_images_are_read_from_files(chunk, images):
    network = make_estimator(SparseCodingNetwork)
    whole = clone(network).fit(images)
    stored = clone(network).fit(Stored(images, chunk))
    np.testing.assert_array_equal(
        stored.named_layers_["conv"].filters_, whole.named_layers_["conv"].filters_
    )
    maps = whole.transform(images)
    np.testing.assert_allclose(stored.transform(Stored(images)), maps, atol=1e-5)
    rows = Stored(images.reshape(90, -1))
    flat = clone(network).set_params(image_shape=(8, 8)).fit(rows)
    np.testing.assert_allclose(flat.transform(rows), maps, atol=1e-5)
    conv = ConvSparseCoder(4, kernel_size=3, random_state=0).fit(Stored(images))
    for method in ("transform", "reconstruct"):
        np.testing.assert_allclose(
            getattr(conv, method)(Stored(images)),
            getattr(conv, method)(images),
            atol=1e-4,
        )


def test_a_detector_scores_what_is_stored(X):
    detector = SparseCodingDetector().fit(Stored(X[:500]))
    scores = detector.fit(X[:500]).score_samples(X)
    np.testing.assert_allclose(detector.score_samples(Stored(X)), scores, rtol=1e-5)
    np.testing.assert_array_equal(detector.predict(Stored(X)), detector.predict(X))


def test_zarr(X, tmp_path):
    zarr = pytest.importorskip("zarr")
    make = partial(zarr.create_array, chunks=(700, 4), dtype="f4")
    stored = make(tmp_path / "X", shape=X.shape)
    stored[:] = X
    coder = OrthogonalSparseCoder(4, **few)
    whole = clone(coder).fit(X)
    np.testing.assert_array_equal(coder.fit(stored).components_, whole.components_)
    codes = make(tmp_path / "A", shape=(9000, 4))
    assert map_blocks(coder, stored, out=codes) is codes
    np.testing.assert_allclose(codes[:], whole.transform(X), atol=1e-6)


@pytest.mark.parametrize("block_bytes", [1, 1000, 10**9])
def test_blocks_are_the_whole(block_bytes, X):
    X = X[:300]
    model = make_pipeline(StandardScaler(), OrthogonalSparseCoder(4)).fit(X)
    for method in ("transform", "score_samples"):
        whole = getattr(model, method)(X)
        found = map_blocks(model, X, method=method, block_bytes=block_bytes)
        np.testing.assert_allclose(found, whole, rtol=1e-5, atol=1e-6)
        assert found.dtype == whole.dtype
        out = np.empty_like(whole)
        assert map_blocks(model, X, method=method, out=out) is out
        np.testing.assert_allclose(out, whole, rtol=1e-5, atol=1e-6)


def test_blocks_of_lists_of_csr_of_frames_and_of_rows_with_gaps(X):
    pandas = pytest.importorskip("pandas")
    X = X[:300].astype(float)
    coder = OrthogonalSparseCoder(4, sparse_output=True).fit(X)
    codes = coder.transform(X)
    found = map_blocks(coder, X.tolist(), block_bytes=1000)
    assert found.format == "csr"
    np.testing.assert_allclose(found.toarray(), codes.toarray(), atol=1e-12)
    coder.set_params(sparse_output=False)
    polars = pytest.importorskip("polars")
    for frame in (pandas.DataFrame(X), polars.DataFrame(X)):
        model = clone(coder).fit(frame)
        found = map_blocks(model, frame, block_bytes=1000)
        np.testing.assert_allclose(found, codes.toarray(), atol=1e-12)
    np.testing.assert_allclose(
        map_blocks(coder, codes, method="inverse_transform", block_bytes=1000),
        coder.inverse_transform(codes),
        atol=1e-12,
    )
    X[::7, 2] = np.nan
    np.testing.assert_allclose(
        coder.transform(Stored(X)), coder.transform(X), atol=1e-9
    )


def test_a_new_file_holds_the_codes(X, tmp_path):
    coder = OrthogonalSparseCoder(4).fit(X)
    returned = map_blocks(coder, X, out=str(tmp_path / "codes.npy"))
    assert isinstance(returned, np.memmap)
    np.testing.assert_allclose(
        np.load(tmp_path / "codes.npy"), coder.transform(X), atol=1e-6
    )


def test_no_half_written_file_stays(X, tmp_path):
    coder = OrthogonalSparseCoder(4).fit(X)
    X[-1, 2] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        map_blocks(coder, X, out=tmp_path / "codes.npy")
    assert not list(tmp_path.iterdir())


class Failing(Stored):
    """A stored array whose file changes, or cannot be read, after some reads."""

    def __init__(self, array, n_reads, fault):
        super().__init__(array)
        self.n_reads, self.fault = n_reads, fault

    def __getitem__(self, part):
        rows = super().__getitem__(part)
        if len(self.read) <= self.n_reads:
            return rows
        if self.fault == "error":
            raise OSError("Input/output error")
        return rows[:1] if self.fault == "shrinks" else rows[:-1]


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("n_reads", [0, 1, 3, 5])
@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        ("error", OSError, "Input/output error"),
        ("truncated", ValueError, "X changed after the call began, or its file is inc"),
        ("shrinks", ValueError, r"but 1 were read\. X changed"),
    ],
)
def test_files_that_cannot_be_read_or_change_are_errors(
    fault, kind, message, n_reads, n_jobs, X, tmp_path
):
    """A fit changes nothing then, and no file of results appears."""
    coder = OrthogonalSparseCoder(4, n_jobs=n_jobs, **few).fit(X)
    before = dict(vars(coder))
    with pytest.raises(kind, match=message):
        coder.fit(Failing(X, n_reads, fault))
    assert vars(coder) == before
    out = np.full((9000, 4), np.nan, dtype=np.float32)
    for where in (tmp_path / "codes.npy", out):
        with pytest.raises(kind, match=message):
            map_blocks(coder, Failing(X, n_reads, fault), out=where, block_bytes=48_000)
    assert not list(tmp_path.iterdir())
    assert np.isnan(out[-1]).all()


def test_rows_that_are_appended_during_a_fit_do_not_count(X):
    class Growing(Stored):
        def __getitem__(self, part):
            self.shape = (self.shape[0] + 10, *self.shape[1:])
            return super().__getitem__(part)

    expected = OrthogonalSparseCoder(4, **few).fit(X[:5000])
    found = OrthogonalSparseCoder(4, **few).fit(Growing(X[:5000]))
    np.testing.assert_array_equal(found.components_, expected.components_)


def test_results_of_another_shape_than_that_of_one_sample_are_refused(X, tmp_path):
    class Grouping(OrthogonalSparseCoder):
        def transform(self, X):
            return super().transform(X)[:1]

    model = Grouping(4).fit(X)
    for out in (None, tmp_path / "codes.npy"):
        with pytest.raises(ValueError, match=r"shape \(1, 4\) for \d+ samples"):
            map_blocks(model, X, out=out)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_an_error_and_leaves_the_file_before(X, tmp_path):
    """A limit of the size of files stands for it."""
    resource = pytest.importorskip("resource")
    coder = OrthogonalSparseCoder(4).fit(X)
    path = tmp_path / "codes.npy"
    before = np.array(map_blocks(coder, X[:100], out=path))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            map_blocks(coder, X, out=path, block_bytes=48_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [each.name for each in tmp_path.iterdir()] == ["codes.npy"]
    np.testing.assert_array_equal(np.load(path), before)


def test_a_truncated_file_is_refused_before_anything_is_learned(X, tmp_path):
    path = tmp_path / "X.npy"
    np.save(path, X)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="mmap length is greater than file size"):
        OrthogonalSparseCoder(4).fit(np.load(path, mmap_mode="r"))


def test_no_file_is_read_and_written_at_once(X, on_disk, tmp_path):
    coder = OrthogonalSparseCoder(6).fit(X)
    with pytest.raises(ValueError, match="is the file that X is read from"):
        map_blocks(coder, on_disk(X), out=tmp_path / "X.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "X.npy"), X)


@pytest.mark.parametrize("view", [np.asarray, lambda X: X[:], lambda X: X[:, ::-1]])
def test_a_file_takes_its_name_once_it_is_whole(view, X, on_disk, tmp_path):
    """Even where X is a view of the file that a new one takes the place of."""
    coder = OrthogonalSparseCoder(6).fit(X)
    seen = view(on_disk(X))
    seen = seen.view(np.ndarray)  # does not tell its file
    expected = coder.transform(np.array(seen))
    found = map_blocks(coder, seen, out=tmp_path / "X.npy", block_bytes=10_000)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_array_equal(np.load(tmp_path / "X.npy"), found)
    assert found.flags.writeable


def test_failure_leaves_the_file_before(X, tmp_path):
    coder = OrthogonalSparseCoder(4).fit(X)
    before = np.array(map_blocks(coder, X, out=tmp_path / "codes.npy"))
    X[-1, 2] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        map_blocks(coder, X, out=tmp_path / "codes.npy", block_bytes=10_000)
    assert [path.name for path in tmp_path.iterdir()] == ["codes.npy"]
    np.testing.assert_array_equal(np.load(tmp_path / "codes.npy"), before)


def test_results_may_take_the_place_of_samples_that_were_read(rng):
    memory = rng.laplace(size=(400, 12))
    X = memory[:300, :6]
    coder = OrthogonalSparseCoder(6).fit(X)
    expected = coder.transform(X)
    for columns in (slice(6), slice(6, 12)):  # in place, beside
        memory[:300, :6] = X
        kept = X.copy()
        out = memory[:300, columns]
        map_blocks(coder, X, out=out, block_bytes=1000)
        np.testing.assert_allclose(out, expected, atol=1e-12)
        X[:] = kept
    for out in (memory[1:301, :6], memory[:300, 3:9], memory[299::-1, :6]):
        with pytest.raises(ValueError, match="out shares memory with X"):
            map_blocks(coder, X, out=out, block_bytes=1000)
    flat = np.array(X)
    narrow = flat.reshape(-1)[:1200].reshape(4, 300).T  # begins there, other rows
    with pytest.raises(ValueError, match="out shares memory with X"):
        map_blocks(OrthogonalSparseCoder(4).fit(X), flat, out=narrow)
    np.testing.assert_array_equal(flat, X)


def test_blocks_need_a_method_of_the_estimator(X):
    coder = OrthogonalSparseCoder(4).fit(X)
    for estimator, method in ((coder, "predict"), ("coder", "transform")):
        with pytest.raises(TypeError, match=f"has no method '{method}'"):
            map_blocks(estimator, X, method=method)


@pytest.mark.parametrize("method", ["fit", "fit_transform", "partial_fit"])
def test_blocks_do_not_learn(method, X):
    coder = OrthogonalSparseCoder(4).fit(X)
    atoms = coder.components_
    with pytest.raises(ValueError, match="would learn anew from every block"):
        map_blocks(coder, X, method=method)
    assert coder.components_ is atoms


def test_a_method_returns_a_row_for_each_sample(X):
    coder = OrthogonalSparseCoder(4).fit(X)
    for method in ("score", "aic"):
        with pytest.raises(ValueError, match=f"{method} returns no row for each"):
            map_blocks(coder, X, method=method)


@pytest.mark.parametrize("block_bytes", [0, -5, "32MB", None, 1.5, np.inf, np.nan])
def test_blocks_have_a_size(block_bytes, X):
    coder = OrthogonalSparseCoder(4).fit(X)
    with pytest.raises(ValueError, match=r"block_bytes=.* must be a positive integer"):
        map_blocks(coder, X, block_bytes=block_bytes)


def test_the_size_of_blocks_may_be_written_as_a_float(X):
    coder = OrthogonalSparseCoder(4).fit(X)
    found = map_blocks(coder, X, block_bytes=1e4)
    np.testing.assert_array_equal(found, map_blocks(coder, X, block_bytes=10_000))


def test_results_are_written_to_arrays_that_hold_them(X, tmp_path):
    coder = OrthogonalSparseCoder(4).fit(X)
    with pytest.raises(TypeError, match="out is of type list"):
        map_blocks(coder, X, out=[])
    with pytest.raises(ValueError, match="out is read-only"):
        map_blocks(coder, X, out=np.broadcast_to(np.float32(0), (9000, 4)))
    with pytest.raises(IsADirectoryError, match="out is a folder"):
        map_blocks(coder, X, out=tmp_path)
    labels = np.array(["small", "large"], dtype=object)[(X[:, 0] > 0).astype(int)]
    classifier = LogisticRegression().fit(X, labels)
    with pytest.raises(ValueError, match="dtype object, which memory maps cannot"):
        map_blocks(classifier, X, method="predict", out=tmp_path / "labels.npy")
    assert not list(tmp_path.iterdir())


class Written(Stored):
    """A stored array that converts what is written without a word, as HDF5 does."""

    def __setitem__(self, part, values):
        with np.errstate(all="ignore"):
            self._array[part] = values


@pytest.mark.parametrize("make", [np.asarray, Written])
def test_results_change_no_value_in_a_narrower_dtype(make, X):
    X = X[:200].astype(np.float64)
    labels = np.where(X[:, 0] > 0, 1_000_000, 3)
    numbers = LogisticRegression().fit(X, labels)
    words = LogisticRegression().fit(X, np.where(X[:, 0] > 0, "large", "low"))
    coder = OrthogonalSparseCoder(6).fit(X)

    def written(model, X, dtype, method="predict", shape=(200,)):
        out = make(np.empty(shape, dtype=dtype))
        return map_blocks(model, X, method=method, out=out, block_bytes=1000)[:]

    expected = numbers.predict(X)
    for dtype in ("i4", "u8", "f4", "f8"):
        if np.can_cast(labels.dtype, dtype, "same_kind"):
            np.testing.assert_array_equal(written(numbers, X, dtype), expected)
    np.testing.assert_array_equal(written(words, X, "<U9"), words.predict(X))
    codes = written(coder, X, "f2", "transform", (200, 6))
    np.testing.assert_array_equal(codes, coder.transform(X).astype("f2"))
    for model, dtype, needed in [
        (numbers, "i2", "int64"),
        (numbers, "f2", "int64"),
        (words, "<U3", "<U5"),
    ]:
        with pytest.raises(ValueError, match=f"cannot hold. Use dtype {needed}"):
            written(model, X, dtype)
    with pytest.raises(ValueError, match="dtype float16 cannot hold"):
        written(coder, 1e6 * X, "f2", "transform", (200, 6))


@pytest.mark.parametrize("name", ["csr", "csc", "bsr", "dia", "lil", "dok"])
@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csr_matrix])
def test_blocks_of_every_sparse_format_are_those_of_csr(name, container, X):
    coder = OrthogonalSparseCoder(4).fit(X)
    band = sparse.diags([np.arange(1.0, 7.0), np.ones(5)], offsets=[0, -1])
    rows = container(sparse.vstack([band] * 20)).astype(np.float32)
    found = map_blocks(coder, rows.asformat(name), block_bytes=1000)
    np.testing.assert_allclose(found, coder.transform(rows), rtol=1e-5)


def test_results_must_fit_into_out(X):
    coder = OrthogonalSparseCoder(4).fit(X)
    with pytest.raises(ValueError, match=r"\(9000, 6\), but the results .*\(9000, 4\)"):
        map_blocks(coder, X, out=np.empty((9000, 6)))
    with pytest.raises(ValueError, match="out has dtype int64, which cannot hold"):
        map_blocks(coder, X, out=np.empty((9000, 4), dtype=np.int64))
    with pytest.raises(ValueError, match="use sparse_output=False"):
        map_blocks(coder.set_params(sparse_output=True), X, out=np.empty((9000, 4)))


@pytest.mark.parametrize(
    ("Estimator", "bad", "message"),
    [
        (OrthogonalSparseCoder, np.nan, r"NaN in rows .*: use X\[:\], or partial_fit"),
        (OrthogonalSparseCoder, np.inf, r"infinity in rows \d+ to \d+\.$"),
        (ConvSparseCoder, np.nan, r"NaN in rows .* Layers of images take no missing"),
        (ConvSparseCoder, np.inf, r"infinity in rows \d+ to \d+\.$"),
    ],
)
def test_what_cannot_be_completed_where_it_is_says_so(Estimator, bad, message, X):
    X[8000:, 2] = bad
    with pytest.raises(ValueError, match=message):
        Estimator().fit(Stored(X))


def test_errors_of_files_are_those_of_arrays(X):
    coder = OrthogonalSparseCoder(4, **few)
    with pytest.raises(ValueError, match="Complex data not supported"):
        coder.fit(Stored(X.astype(complex)))
    with pytest.raises(ValueError, match="dtype object"):
        coder.fit(Stored(X.astype(object)))
    with pytest.raises(ValueError, match="Expected 2D array"):
        coder.fit(Stored(X[0]))
    with pytest.raises(ValueError, match="dim 3"):
        coder.fit(Stored(X[None]))
    with pytest.raises(ValueError, match="minimum of 1 sample"):
        coder.fit(Stored(X[:0]))
    coder.fit(Stored(X))
    with pytest.raises(ValueError, match="X has 5 features, but Orthogonal"):
        coder.transform(Stored(X[:, :5]))
    network = make_estimator(SparseCodingNetwork).set_params(image_shape=(2, 2))
    with pytest.raises(ValueError, match="image_shape"):
        network.fit(Stored(X))
