"""What do data cost that are larger than memory, or than one machine?

A file on disk beside the same array in memory, and beside scikit-learn's
`IncrementalPCA`; a dask array on one and on two processes; the bytes that an iteration
moves; and tensors of torch beside arrays of NumPy, on the same processor.
"""

import argparse
import multiprocessing
import os
import pickle
import threading
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from _measure import (
    Contender,
    at_least,
    at_most,
    measure,
    note,
    optional,
    print_machine,
    table,
)
from numpy.lib.format import open_memmap
from sklearn.decomposition import IncrementalPCA
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

import skscn
from skscn import OrthogonalSparseCoder, map_blocks

PACKAGES = ("numpy", "scipy", "scikit-learn", "dask", "distributed", "torch", "zarr")
N_FEATURES, N_COMPONENTS = 64, 32
LOOK = 0.002  # seconds between two looks at the memory
warnings.simplefilter("ignore", ConvergenceWarning)


def coder(max_iter=10):
    """Return a coder that makes as many passes, wherever it stands by then."""
    return OrthogonalSparseCoder(
        N_COMPONENTS, alpha=5.0, max_iter=max_iter, tol=0, init="dct"
    )


def write(name, n_rows, dtype):
    """Write rows of heavy tails on the axes of a dictionary that is to be found."""
    rng = np.random.default_rng(0)
    atoms = np.linalg.qr(rng.normal(size=(N_FEATURES, N_FEATURES)))[0]
    X = open_memmap(name, "w+", dtype=dtype, shape=(n_rows, N_FEATURES))
    for start in range(0, n_rows, 2**15):
        rows = X[start : start + 2**15]
        rows[:] = 20 * rng.laplace(size=rows.shape) @ atoms
    X.flush()


class Anonymous:
    """The memory of this process that is not that of files, while something runs."""

    def __enter__(self):
        self._before, self.megabytes, self._done = self._now(), 0.0, threading.Event()
        self._watch = threading.Thread(target=self._look)
        self._watch.start()
        return self

    def _look(self):
        while not self._done.wait(LOOK):
            self.megabytes = max(self.megabytes, self._now() - self._before)

    def __exit__(self, *_):
        self._done.set()
        self._watch.join()

    @staticmethod
    def _now():
        status = Path("/proc/self/status")
        if not status.exists():
            return np.nan
        (line,) = (x for x in status.read_text().splitlines() if "RssAnon" in x)
        return int(line.split()[1]) / 2**10


def work(how, folder):
    """Fit, code and score; return the seconds and megabytes of each, and the score."""
    name, out = Path(folder) / "X.npy", Path(folder) / "codes.npy"
    cells = []
    with Anonymous() as opened:
        X = np.load(name, mmap_mode=None if how == "memory" else "r")
    if how == "zarr":
        import zarr

        X = zarr.open_array(Path(folder) / "X.zarr", mode="r")
    model = IncrementalPCA(N_COMPONENTS, batch_size=4096) if "PCA" in how else coder()
    steps = [model.fit]
    if how == "memory":
        steps += [model.transform, model.score_samples]
    else:
        steps.append(partial(map_blocks, model, out=out))
        steps.append(partial(map_blocks, model, method="score_samples"))
    if "PCA" in how:
        steps.pop()  # forms the covariance of the features, and has no peer here
    for step in steps:
        with threadpool_limits(1, user_api="blas"), Anonymous() as used:
            start = time.perf_counter()
            found = step(X)
            seconds = time.perf_counter() - start
        cells.append((seconds, used.megabytes + opened.megabytes))
    score = np.nan if "PCA" in how else float(np.mean(found))
    return cells, score


def compare_disk(pool, n_rows):
    """Print time and memory of files and of arrays."""
    rows, most, slowest = [], 0.0, 0.0
    for dtype, ways in (
        ("float32", ["memory", "file", "zarr", "file, IncrementalPCA"]),
        ("int16", ["memory", "file"]),
    ):
        with TemporaryDirectory() as folder:
            write(Path(folder) / "X.npy", n_rows, dtype)
            if optional("zarr") is not None and "zarr" in ways:
                to_zarr(folder)
            size = n_rows * N_FEATURES * np.dtype(dtype).itemsize / 2**20
            base = None
            for how in ways:
                name = f"{dtype}, {size:.0f} MB, {how}"
                if how == "zarr" and optional("zarr") is None:
                    rows.append([name])
                    continue
                cells, score = pool.submit(work, how, folder).result()
                spent, used = zip(*cells, strict=True)
                base = base or spent
                texts = [f"{s:.2f} s, {m:.0f} MB" for s, m in cells]
                texts += [""] * (3 - len(texts))
                rows.append([name, *texts, "" if np.isnan(score) else f"{score:.2f}"])
                if how == "file":
                    # Scores are returned in memory: eight bytes a row.
                    most = max(most, *used[:2], used[2] - n_rows * 8 / 2**20)
                    slowest = max(slowest, spent[0] / base[0])
    columns = ["data", "fit", "transform", "score_samples", "log-likelihood"]
    table("Files: seconds, and megabytes beside those of files", columns, rows)
    at_most(60, most, "MB that a file takes, at worst")
    at_most(1.5, slowest, "times as long to fit a file as an array in memory, at worst")


def to_zarr(folder):
    """Write the same rows in compressed chunks."""
    import zarr

    X = np.load(Path(folder) / "X.npy", mmap_mode="r")
    chunks = (min(2**15, len(X)), N_FEATURES)
    stored = zarr.create_array(
        Path(folder) / "X.zarr", shape=X.shape, chunks=chunks, dtype=X.dtype
    )
    for start in range(0, len(X), chunks[0]):
        stored[start : start + chunks[0]] = X[start : start + chunks[0]]


def compare_cluster(n_rows, repeats):
    """Print time of a dask array on one and on two processes."""
    if optional("distributed") is None or optional("dask.array") is None:
        table("A dask array", ["processes"], [["dask.distributed"]])
        return
    import dask.array as da
    from distributed import Client, LocalCluster

    rows, fits, bits = [], [], []
    for n_workers in (1, 2):
        with (
            LocalCluster(
                n_workers=n_workers, threads_per_worker=1, dashboard_address=":0"
            ) as cluster,
            Client(cluster),
        ):
            X = da.random.default_rng(0).laplace(
                size=(n_rows, N_FEATURES), chunks=(max(1, n_rows // 16), N_FEATURES)
            )
            X = X.persist()
            model = coder().fit(X)  # what is imported first is not counted
            contenders = [
                Contender("fit", lambda X=X: coder().fit(X)),
                Contender("score", lambda X=X, model=model: model.score(X)),
            ]
            seconds, results = measure(contenders, repeats)
            bits.append(results["fit"].components_)
            fits.append(seconds["fit"])
            each = seconds["fit"] / results["fit"].n_iter_
            times = (f"{seconds[name]:.2f} s" for name in ("fit", "score"))
            rows.append([str(n_workers), *times, f"{1000 * each:.0f} ms"])
    columns = ["processes of one thread", "fit", "score", "an iteration of fit"]
    table(f"A dask array of {n_rows:,} × {N_FEATURES} float64", columns, rows)
    same = np.array_equal(*bits)
    note(f"The dictionary has {'the same' if same else 'OTHER'} bits on both.")
    at_least(1.6, fits[0] / fits[1], "times faster on two processes")


def count_bytes():
    """Print how many bytes an iteration moves, whatever the number of rows."""
    from skscn._core.encoders import MapEncoder
    from skscn._core.moments import code_moments
    from skscn._core.priors import SIGNED

    rows = []
    for k, p in ((32, 64), (256, 784), (1000, 4096)):
        function = partial(
            code_moments,
            components=np.eye(k, p),
            mean=np.zeros(p),
            code=MapEncoder(SIGNED["laplace"], 0.5),
        )
        there = len(pickle.dumps(function))
        back = [
            len(pickle.dumps(function(np.zeros((n, p)), None))) for n in (1000, 10_000)
        ]
        assert back[0] == back[1]
        atoms = 8 * k * p
        cells = [f"{x / 2**10:,.0f} KB" for x in (atoms, there, back[0])]
        ratio = [f"{(there + back[0]) / atoms:.2f}"]
        data = f"{10**6 * p * 8 / (there + back[0]):,.0f}"
        rows.append([f"{k} × {p}", *cells, *ratio, data])
    columns = ["n_components × n_features", "atoms", "to a worker", "back"]
    columns += ["sum by atoms", "a million rows by the sum"]
    table("What an iteration moves, for any number of rows", columns, rows)


def compare_torch(n_rows, repeats):
    """Return time on torch and on NumPy, and how far codes differ."""
    import sklearn
    import torch

    X = np.random.default_rng(0).laplace(size=(n_rows, N_FEATURES)).astype("f4")
    tensor = torch.asarray(X)
    torch.set_num_threads(1)

    def there(function):
        with sklearn.config_context(array_api_dispatch=True):
            return function()

    here = coder().fit(X)
    far = there(lambda: coder().fit(tensor))
    seconds, results = measure(
        [
            Contender("fit, NumPy", lambda: coder().fit(X)),
            Contender("fit, torch", lambda: there(lambda: coder().fit(tensor))),
            Contender("transform, NumPy", lambda: here.transform(X)),
            Contender("transform, torch", lambda: there(lambda: far.transform(tensor))),
        ],
        repeats,
    )
    gap = np.abs(
        results["transform, NumPy"] - results["transform, torch"].numpy()
    ).max()
    return seconds, float(gap)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="hardly any rows")
    arguments = parser.parse_args()
    quick, repeats = arguments.quick, 1 if arguments.quick else arguments.repeats
    print_machine(PACKAGES)
    count_bytes()
    # Before the process has any threads, and before SciPy is imported in there.
    os.environ["SCIPY_ARRAY_API"] = "1"
    os.environ["PYTHONPATH"] = str(Path(skscn.__file__).parents[1])
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as pool:
        compare_disk(pool, 20_000 if quick else 1_000_000)
        if optional("torch") is not None:
            n_rows = 5000 if quick else 200_000
            seconds, gap = pool.submit(compare_torch, n_rows, repeats).result()
            cells = [
                [f"{seconds[f'{what}, {whose}']:.3f} s" for whose in ("NumPy", "torch")]
                for what in ("fit", "transform")
            ]
            rows = [["fit", *cells[0], ""], ["transform", *cells[1], f"{gap:.0e}"]]
            title = f"Tensors, {n_rows:,} × {N_FEATURES} float32, one thread"
            table(title, ["", "NumPy", "torch on the processor", "difference"], rows)
        else:
            table("Tensors", ["library"], [["torch"]])
    compare_cluster(10_000 if quick else 1_000_000, repeats)


if __name__ == "__main__":
    main()
