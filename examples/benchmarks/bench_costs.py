"""How do time and memory grow with the data?

Learning, coding and likelihood against samples, features and atoms, a convolutional
layer against the side of its images, all against workers. The exponent is that of the
power law through the larger half of every curve. `--save` draws them.
"""

import argparse
import multiprocessing
import os
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from _measure import (
    Contender,
    at_most,
    forget_peak,
    measure,
    note,
    peak_memory,
    print_machine,
    table,
)
from sklearn.exceptions import ConvergenceWarning

from skscn import ConvSparseCoder, NonNegativeSparseCoder

PASSES = 5  # of learning
PACKAGES = ("numpy", "scipy", "scikit-learn")


@dataclass
class Curve:
    """A cost at several sizes."""

    name: str
    x: str
    unit: str
    sizes: list = field(default_factory=list)
    costs: list = field(default_factory=list)

    @property
    def exponent(self):
        """Return the slope of the larger half on logarithmic axes."""
        half = min(len(self.sizes) // 2, len(self.sizes) - 2)
        logs = np.log(self.sizes[half:]), np.log(np.maximum(self.costs[half:], 1e-9))
        return float(np.polyfit(*logs, 1)[0])


def rows(n_samples, n_features):
    rng = np.random.default_rng(0)
    return rng.standard_normal((n_samples, n_features), dtype=np.float32)


def coder(n_components, **options):
    options = {"alpha": 0.5, "max_iter": PASSES, "tol": 0} | options
    return NonNegativeSparseCoder(
        n_components, init="random", random_state=0, **options
    )


def jobs(n_samples, n_features, n_components, n_jobs=1):
    """Return what is timed for data of a size, by name."""
    X = rows(n_samples, n_features)
    hard = coder(n_components, n_jobs=n_jobs)
    exact = coder(n_components, n_jobs=n_jobs, alpha="auto")
    fitted = coder(n_components, n_jobs=n_jobs).fit(X)
    return {
        f"fit, {PASSES} passes": lambda: hard.fit(X),
        f'fit with alpha="auto", {PASSES} passes': lambda: exact.fit(X),
        "transform": lambda: fitted.transform(X),
        "score_samples": lambda: fitted.score_samples(X),
    }


def layer(side, n_images, n_jobs=1):
    """Return a convolutional layer of 32 atoms of 5×5 as a function of nothing."""
    X = np.random.default_rng(0).random((n_images, side, side, 1), dtype=np.float32)
    conv = ConvSparseCoder(24, kernel_size=5, n_jobs=n_jobs, random_state=0).fit(X)
    return lambda: conv.transform(X)


def time_curves(x, sizes, make, repeats):
    """Return a curve for each name that `make(size)` returns."""
    curves: dict = {}
    for size in sizes:
        contenders = [Contender(name, run) for name, run in make(size).items()]
        seconds, _ = measure(contenders, repeats)
        for name, cost in seconds.items():
            curve = curves.setdefault(name, Curve(name, x, "s"))
            curve.sizes.append(size)
            curve.costs.append(cost)
    return list(curves.values())


def memory(what, size):
    """Return megabytes that a transform takes beyond its input and output."""
    if what == "samples":
        X = rows(size, 64)
        model = coder(64, max_iter=0).fit(X[:1000])
    else:
        rng = np.random.default_rng(0)
        X = rng.random((2**20 // size**2, size, size, 1), dtype=np.float32)
        model = ConvSparseCoder(24, kernel_size=5, random_state=0).fit(X[:8])
    model.transform(X[:2])
    forget_peak()
    before = peak_memory()
    output = model.transform(X)
    return max(peak_memory() - before - output.nbytes / 2**20, 0.1)


def memory_curve(name, what, x, sizes):
    """Measure each size in a process of its own."""
    curve = Curve(name, x, "MB")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as pool:
        for size in sizes:
            curve.sizes.append(size)
            curve.costs.append(pool.submit(memory, what, size).result())
    return curve


def draw(panels, path):
    """Draw all curves, a panel for what they are against."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(11, 6.4), layout="constrained")
    for ax, (title, curves) in zip(axes.flat, panels.items(), strict=True):
        for curve in curves:
            label = f"{curve.name}: {curve.exponent:.2f}"
            ax.loglog(curve.sizes, curve.costs, "o-", ms=3, lw=1.2, label=label)
        ax.set(xlabel=title, ylabel={"s": "seconds", "MB": "MB"}[curves[0].unit])
        ax.grid(True, which="major", lw=0.3)
        ax.legend(fontsize=6.5, frameon=False)
    figure.suptitle("Costs, and the exponents of the larger half of every curve")
    figure.savefig(path, dpi=110)


def panels(quick, repeats):
    """Return all curves by what they are against."""
    few = slice(0, 3) if quick else slice(None)
    n = 400 if quick else 20_000
    samples = [200, 400, 800] if quick else [2**i for i in range(12, 20)]
    features = [16, 32, 64, 128, 256, 512, 1024][few]
    atoms = [8, 16, 32, 64, 128, 256, 512][few]
    sides = [8, 16, 32, 64, 128, 256, 512][few]
    counts = sorted({2**i for i in range(7) if 2**i <= os.cpu_count()} | {1, 2})

    def by_workers(n_jobs):
        found = jobs(n * 5, 64, 64, n_jobs)
        return found | {"convolution": layer(32, 10 if quick else 2000, n_jobs)}

    def many(side):
        return {
            "convolution of 2²⁰ pixels": layer(side, 2 ** (20 - 10 * quick) // side**2)
        }

    def one(side):
        return {"convolution of one image": layer(side, 1)}

    return {
        "samples (64 features, 64 atoms)": time_curves(
            "n_samples", samples, lambda i: jobs(i, 64, 64), repeats
        ),
        f"features ({n:,} samples, 16 atoms)": time_curves(
            "n_features", features, lambda i: jobs(n, i, 16), repeats
        ),
        f"atoms ({n // 4:,} samples, 512 features)": time_curves(
            "n_components", atoms, lambda i: jobs(n // 4, 512, i), repeats
        ),
        "side of images (24 atoms of 5×5)": [
            *time_curves("side", sides[:3] if quick else sides, many, repeats),
            *time_curves("side", sides, one, repeats),
        ],
        f"workers ({n * 5:,} samples; 2,000 images of 32×32)": time_curves(
            "n_jobs", counts, by_workers, repeats
        ),
        "samples, pixels of a side: memory beside input and output": [
            memory_curve("transform, samples", "samples", "n_samples", samples),
            memory_curve("convolution, side", "sides", "side", sides[1:]),
        ],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="rounds (default: 3)")
    parser.add_argument("--quick", action="store_true", help="tiny: does it run?")
    parser.add_argument("--save", help="file to draw the curves to, of matplotlib")
    options = parser.parse_args()
    print("# Costs\n")
    print_machine(PACKAGES)
    with warnings.catch_warnings():  # that it has not converged: it is told not to
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = panels(options.quick, 1 if options.quick else options.repeats)
    for title, curves in found.items():
        sizes = [f"{size:,}" for size in curves[0].sizes]
        cells = [
            [c.name, *(f"{cost:.3g}" for cost in c.costs), f"{c.exponent:.2f}"]
            for c in curves
        ]
        columns = [curves[0].unit, *sizes, "exponent"]
        if len({len(row) for row in cells}) > 1:
            for curve, row in zip(curves, cells, strict=True):
                sizes = [f"{size:,}" for size in curve.sizes]
                table(f"{title}: {curve.name}", [curve.unit, *sizes, "exponent"], [row])
            continue
        table(title, columns, cells)
    note(
        "float32, one worker but for the curves against workers. Times are medians, of "
        "which each exponent is fitted to the larger half."
    )
    if not options.quick:
        for curve in next(iter(found.values())):
            at_most(1.1, curve.exponent, f"exponent of {curve.name} by samples")
    if options.save:
        draw(found, options.save)


if __name__ == "__main__":
    main()
