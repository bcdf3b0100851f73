"""What is the cost of data that exceed the memory, or of more than one machine?

Compares a file on disk with the same array in memory, and with scikit-learn's
`IncrementalPCA`; a dask array on one and on two processes; the bytes that an iteration
transfers; and torch tensors with NumPy arrays on the same processor.
"""

import os
import pickle
import threading
import warnings
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from _measure import (
    Method,
    import_optional,
    make_parser,
    one_process,
    print_at_least,
    print_at_most,
    print_environment,
    print_note,
    print_table,
    time_methods,
    timed,
)
from numpy.lib.format import open_memmap
from sklearn.decomposition import IncrementalPCA
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

import skscn
from skscn import OrthogonalSparseCoder, map_blocks

PACKAGES = ("numpy", "scipy", "scikit-learn", "dask", "distributed", "torch", "zarr")
N_FEATURES, N_COMPONENTS = 64, 32
INTERVAL = 0.002  # seconds between two measurements of the memory
# The number of iterations is fixed.
warnings.simplefilter("ignore", ConvergenceWarning)


def make_coder(max_iter=10):
    """Return a coder with a fixed number of iterations."""
    return OrthogonalSparseCoder(
        N_COMPONENTS, alpha=5.0, max_iter=max_iter, tol=0, init="dct"
    )


def write_npy(path, n_rows, dtype):
    """Write rows whose coefficients in an orthonormal dictionary are sparse."""
    rng = np.random.default_rng(0)
    atoms = np.linalg.qr(rng.normal(size=(N_FEATURES, N_FEATURES)))[0]
    X = open_memmap(path, "w+", dtype=dtype, shape=(n_rows, N_FEATURES))
    for start in range(0, n_rows, 2**15):
        rows = X[start : start + 2**15]
        rows[:] = 20 * rng.laplace(size=rows.shape) @ atoms
    X.flush()


def write_zarr(folder):
    """Write the rows of the NumPy file to a Zarr array with compressed chunks."""
    import zarr

    X = np.load(Path(folder) / "X.npy", mmap_mode="r")
    chunks = (min(2**15, len(X)), N_FEATURES)
    stored = zarr.create_array(
        Path(folder) / "X.zarr", shape=X.shape, chunks=chunks, dtype=X.dtype
    )
    for start in range(0, len(X), chunks[0]):
        stored[start : start + chunks[0]] = X[start : start + chunks[0]]


class MemoryRecorder:
    """Record the increase of the memory of this process, without mapped files."""

    def __enter__(self):
        self._before, self.megabytes = self._anonymous_megabytes(), 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._record)
        self._thread.start()
        return self

    def _record(self):
        while not self._done.wait(INTERVAL):
            increase = self._anonymous_megabytes() - self._before
            self.megabytes = max(self.megabytes, increase)

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()

    @staticmethod
    def _anonymous_megabytes():
        status = Path("/proc/self/status")
        if not status.exists():
            return np.nan
        (line,) = (x for x in status.read_text().splitlines() if "RssAnon" in x)
        return int(line.split()[1]) / 2**10


def run_steps(source, folder):
    """Fit, transform and score; return (seconds, megabytes) of each, and the score."""
    path, out = Path(folder) / "X.npy", Path(folder) / "codes.npy"
    is_pca = "PCA" in source
    with MemoryRecorder() as loading:
        X = np.load(path, mmap_mode=None if source == "memory" else "r")
    if source == "zarr":
        import zarr

        X = zarr.open_array(Path(folder) / "X.zarr", mode="r")
    model = IncrementalPCA(N_COMPONENTS, batch_size=4096) if is_pca else make_coder()
    steps = [model.fit]
    if source == "memory":
        steps += [model.transform, model.score_samples]
    else:
        steps.append(partial(map_blocks, model, out=out))
        steps.append(partial(map_blocks, model, method="score_samples"))
    if is_pca:
        steps.pop()  # its score_samples needs the covariance matrix of all features
    costs = []
    for step in steps:
        with threadpool_limits(1, user_api="blas"), MemoryRecorder() as running:
            result, seconds = timed(step, X)
        costs.append((seconds, running.megabytes + loading.megabytes))
    score = np.nan if is_pca else float(np.mean(result))
    return costs, score


def compare_files(pool, n_rows):
    """Print time and memory of files and of arrays in memory."""
    rows, max_megabytes, max_ratio = [], 0.0, 0.0
    has_zarr = import_optional("zarr") is not None
    for dtype, sources in (
        ("float32", ["memory", "file", "zarr", "file, IncrementalPCA"]),
        ("int16", ["memory", "file"]),
    ):
        with TemporaryDirectory() as folder:
            write_npy(Path(folder) / "X.npy", n_rows, dtype)
            if has_zarr and "zarr" in sources:
                write_zarr(folder)
            size = n_rows * N_FEATURES * np.dtype(dtype).itemsize / 2**20
            seconds_in_memory = None
            for source in sources:
                name = f"{dtype}, {size:.0f} MB, {source}"
                if source == "zarr" and not has_zarr:
                    rows.append([name])
                    continue
                costs, score = pool.submit(run_steps, source, folder).result()
                seconds, megabytes = zip(*costs, strict=True)
                seconds_in_memory = seconds_in_memory or seconds
                cells = [f"{s:.2f} s, {m:.0f} MB" for s, m in costs]
                cells += [""] * (3 - len(cells))
                rows.append([name, *cells, "" if np.isnan(score) else f"{score:.2f}"])
                if source == "file":
                    # The scores themselves are in memory: eight bytes for each row.
                    score_megabytes = megabytes[2] - n_rows * 8 / 2**20
                    max_megabytes = max(max_megabytes, *megabytes[:2], score_megabytes)
                    max_ratio = max(max_ratio, seconds[0] / seconds_in_memory[0])
    columns = ["data", "fit", "transform", "score_samples", "log-likelihood"]
    print_table("Files: seconds, and megabytes without mapped files", columns, rows)
    print_at_most(60, max_megabytes, "maximum MB with a file")
    print_at_most(
        1.5, max_ratio, "maximum time to fit a file relative to an array in memory"
    )


def compare_processes(n_rows, repeats):
    """Print the time of a dask array on one and on two processes."""
    distributed = import_optional("distributed")
    da = import_optional("dask.array")
    if distributed is None or da is None:
        print_table("A dask array", ["processes"], [["dask.distributed"]])
        return
    rows, fit_seconds, components = [], [], []
    for n_workers in (1, 2):
        with (
            distributed.LocalCluster(
                n_workers=n_workers, threads_per_worker=1, dashboard_address=":0"
            ) as cluster,
            distributed.Client(cluster),
        ):
            X = da.random.default_rng(0).laplace(
                size=(n_rows, N_FEATURES), chunks=(max(1, n_rows // 16), N_FEATURES)
            )
            X = X.persist()
            model = make_coder().fit(X)  # the first fit includes imports
            methods = [
                Method("fit", lambda X=X: make_coder().fit(X)),
                Method("score", lambda X=X, model=model: model.score(X)),
            ]
            seconds, results = time_methods(methods, repeats)
            components.append(results["fit"].components_)
            fit_seconds.append(seconds["fit"])
            per_iteration = seconds["fit"] / results["fit"].n_iter_
            times = (f"{seconds[name]:.2f} s" for name in ("fit", "score"))
            rows.append([str(n_workers), *times, f"{1000 * per_iteration:.0f} ms"])
    columns = ["processes with one thread", "fit", "score", "one iteration of fit"]
    print_table(f"A dask array of {n_rows:,} × {N_FEATURES} float64", columns, rows)
    is_equal = np.array_equal(*components)
    print_note(f"The two dictionaries are {'equal' if is_equal else 'NOT EQUAL'}.")
    print_at_least(1.6, fit_seconds[0] / fit_seconds[1], "speedup with two processes")


def count_bytes(shapes):
    """Print the bytes that an iteration transfers, for any number of rows."""
    # Private modules: no public function returns the sums of an iteration.
    from skscn._core.encoders import MapEncoder
    from skscn._core.moments import code_moments
    from skscn._core.priors import SIGNED
    from skscn._core.sparse_model import SparseModel

    rows = []
    encoder = MapEncoder(SIGNED["laplace"], 0.5)
    for k, p in shapes:
        model = SparseModel(np.eye(k, p), np.zeros(p), encoder)
        function = partial(code_moments, model=model)
        n_sent = len(pickle.dumps(function))
        n_received = [
            len(pickle.dumps(function(np.zeros((n, p)), None))) for n in (1000, 10_000)
        ]
        assert n_received[0] == n_received[1]
        n_atoms = 8 * k * p
        n_total = n_sent + n_received[0]
        cells = [f"{n / 2**10:,.0f} KB" for n in (n_atoms, n_sent, n_received[0])]
        cells.append(f"{n_total / n_atoms:.2f}")
        cells.append(f"{10**6 * p * 8 / n_total:,.0f}")
        rows.append([f"{k} × {p}", *cells])
    columns = ["n_components × n_features", "atoms", "to a worker", "from a worker"]
    columns += ["total / atoms", "a million rows / total"]
    print_table(
        "Bytes transferred in an iteration, for any number of rows", columns, rows
    )


def time_torch(n_rows, repeats):
    """Return the seconds with torch and NumPy, and the largest difference of codes."""
    import sklearn
    import torch

    X = np.random.default_rng(0).laplace(size=(n_rows, N_FEATURES)).astype("f4")
    tensor = torch.asarray(X)
    torch.set_num_threads(1)

    def dispatch(function):
        with sklearn.config_context(array_api_dispatch=True):
            return function()

    coder = make_coder().fit(X)
    torch_coder = dispatch(lambda: make_coder().fit(tensor))
    seconds, results = time_methods(
        [
            Method("fit, NumPy", lambda: make_coder().fit(X)),
            Method("fit, torch", lambda: dispatch(lambda: make_coder().fit(tensor))),
            Method("transform, NumPy", lambda: coder.transform(X)),
            Method(
                "transform, torch",
                lambda: dispatch(lambda: torch_coder.transform(tensor)),
            ),
        ],
        repeats,
    )
    difference = results["transform, NumPy"] - results["transform, torch"].numpy()
    return seconds, float(np.abs(difference).max())


def compare_torch(pool, n_rows, repeats):
    """Print the time of torch tensors and of NumPy arrays."""
    if import_optional("torch") is None:
        print_table("Tensors", ["library"], [["torch"]])
        return
    seconds, difference = pool.submit(time_torch, n_rows, repeats).result()
    fit, transform = (
        [f"{seconds[f'{step}, {library}']:.3f} s" for library in ("NumPy", "torch")]
        for step in ("fit", "transform")
    )
    rows = [["fit", *fit, ""], ["transform", *transform, f"{difference:.0e}"]]
    title = f"Tensors, {n_rows:,} × {N_FEATURES} float32, one thread"
    print_table(title, ["", "NumPy", "torch on the CPU", "difference"], rows)


def main():
    options = make_parser(__doc__, repeats=5).parse_args()
    quick, repeats = options.quick, 0 if options.quick else options.repeats
    print_environment(PACKAGES)
    shapes = (32, 64), (256, 784), (1000, 4096)  # of dictionaries
    count_bytes(shapes[:1] if quick else shapes)
    # For the new processes: SciPy reads SCIPY_ARRAY_API when it is imported.
    os.environ["SCIPY_ARRAY_API"] = "1"
    os.environ["PYTHONPATH"] = str(Path(skscn.__file__).parents[1])
    with one_process(quick) as pool:
        compare_files(pool, 20_000 if quick else 1_000_000)
        compare_torch(pool, 5000 if quick else 200_000, repeats)
    compare_processes(10_000 if quick else 1_000_000, repeats)


if __name__ == "__main__":
    main()
