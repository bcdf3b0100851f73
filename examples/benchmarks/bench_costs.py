"""How do time and memory grow with the size of the data?

Time of learning, coding and likelihood as functions of the numbers of samples, features
and atoms; time of a convolutional layer as a function of the size of images; all of
them as functions of the number of workers. The exponent is that of a power law fitted
to the larger half of each curve. `--save` draws the curves.
"""

import os
import textwrap
import warnings
from dataclasses import dataclass, field

import numpy as np
from _measure import (
    Method,
    make_parser,
    one_process,
    peak_memory,
    print_at_most,
    print_environment,
    print_note,
    print_table,
    reset_peak_memory,
    time_methods,
)
from sklearn.exceptions import ConvergenceWarning

from skscn import ConvSparseCoder, NonNegativeSparseCoder

N_ITERATIONS = 5  # of learning
PACKAGES = ("numpy", "scipy", "scikit-learn")


@dataclass
class Curve:
    """A cost as a function of a size."""

    name: str
    unit: str
    sizes: list = field(default_factory=list)
    costs: list = field(default_factory=list)

    @property
    def exponent(self):
        """Return the slope of the larger half of the curve on logarithmic axes."""
        half = min(len(self.sizes) // 2, len(self.sizes) - 2)
        logs = np.log(self.sizes[half:]), np.log(np.maximum(self.costs[half:], 1e-9))
        return float(np.polyfit(*logs, 1)[0])


def make_samples(n_samples, n_features):
    rng = np.random.default_rng(0)
    return rng.standard_normal((n_samples, n_features), dtype=np.float32)


def make_coder(n_components, **options):
    options = {"alpha": 0.5, "max_iter": N_ITERATIONS, "tol": 0} | options
    return NonNegativeSparseCoder(
        n_components, init="random", random_state=0, **options
    )


def coder_functions(n_samples, n_features, n_components, n_jobs=1):
    """Return the functions to time for data of one size, by name."""
    X = make_samples(n_samples, n_features)
    fixed_prior = make_coder(n_components, n_jobs=n_jobs)
    learned_prior = make_coder(n_components, n_jobs=n_jobs, alpha="auto")
    fitted = make_coder(n_components, n_jobs=n_jobs).fit(X)
    iterations = f"{N_ITERATIONS} iterations"
    return {
        f"fit, {iterations}": lambda: fixed_prior.fit(X),
        f'fit with alpha="auto", {iterations}': lambda: learned_prior.fit(X),
        "transform": lambda: fitted.transform(X),
        "score_samples": lambda: fitted.score_samples(X),
    }


def layer_function(height, n_images, n_jobs=1):
    """Return a function that applies a convolutional layer of 24 atoms of 5×5."""
    X = np.random.default_rng(0).random((n_images, height, height, 1), dtype=np.float32)
    conv = ConvSparseCoder(24, kernel_size=5, n_jobs=n_jobs, random_state=0).fit(X)
    return lambda: conv.transform(X)


def time_curves(sizes, make_functions, repeats):
    """Return a curve for each function in the dict that `make_functions` returns."""
    curves: dict = {}
    for size in sizes:
        methods = [Method(name, run) for name, run in make_functions(size).items()]
        seconds, _ = time_methods(methods, repeats)
        for name, cost in seconds.items():
            curve = curves.setdefault(name, Curve(name, "s"))
            curve.sizes.append(size)
            curve.costs.append(cost)
    return list(curves.values())


def measure_memory(kind, size):
    """Return the megabytes that transform needs besides its input and output."""
    if kind == "samples":
        X = make_samples(size, 64)
        model = make_coder(64, max_iter=0).fit(X[:1000])
    else:
        rng = np.random.default_rng(0)
        X = rng.random((2**20 // size**2, size, size, 1), dtype=np.float32)
        model = ConvSparseCoder(24, kernel_size=5, random_state=0).fit(X[:8])
    model.transform(X[:2])
    reset_peak_memory()
    before = peak_memory()
    output = model.transform(X)
    return max(peak_memory() - before - output.nbytes / 2**20, 0.1)


def memory_curve(name, kind, sizes, quick):
    """Return a curve of memory; each size is measured in a new process."""
    curve = Curve(name, "MB")
    with one_process(quick) as pool:
        for size in sizes:
            curve.sizes.append(size)
            curve.costs.append(pool.submit(measure_memory, kind, size).result())
    return curve


def draw(panels, path):
    """Draw all curves, one panel for each kind of size."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(11, 6.4), layout="constrained")
    for ax, (title, curves) in zip(axes.flat, panels.items(), strict=True):
        for curve in curves:
            label = f"{curve.name}: {curve.exponent:.2f}"
            ax.loglog(curve.sizes, curve.costs, "o-", ms=3, lw=1.2, label=label)
        label = textwrap.fill(title, 36)
        ax.set(xlabel=label, ylabel={"s": "seconds", "MB": "MB"}[curves[0].unit])
        ax.grid(True, which="major", lw=0.3)
        ax.legend(fontsize=6.5, frameon=False)
    figure.suptitle("Costs, with the exponent of the larger half of each curve")
    figure.savefig(path, dpi=110)


def measure_panels(quick, repeats):
    """Return lists of curves by the title of their panel."""
    first = slice(0, 3) if quick else slice(None)
    n = 400 if quick else 20_000
    samples = [200, 400, 800] if quick else [2**i for i in range(12, 20)]
    features = [16, 32, 64, 128, 256, 512, 1024][first]
    atoms = [8, 16, 32, 64, 128, 256, 512][first]
    heights = [8, 16, 32, 64, 128, 256, 512][first]
    n_workers = sorted({2**i for i in range(7) if 2**i <= os.cpu_count()} | {1, 2})

    def with_workers(n_jobs):
        n_images = 10 if quick else 2000
        functions = coder_functions(n * 5, 64, 64, n_jobs)
        return functions | {"convolution": layer_function(32, n_images, n_jobs)}

    def many_images(height):
        n_images = 2 ** (20 - 10 * quick) // height**2
        return {"convolution of 2²⁰ pixels": layer_function(height, n_images)}

    def one_image(height):
        return {"convolution of one image": layer_function(height, 1)}

    return {
        "samples (64 features, 64 atoms)": time_curves(
            samples, lambda i: coder_functions(i, 64, 64), repeats
        ),
        f"features ({n:,} samples, 16 atoms)": time_curves(
            features, lambda i: coder_functions(n, i, 16), repeats
        ),
        f"atoms ({n // 4:,} samples, 512 features)": time_curves(
            atoms, lambda i: coder_functions(n // 4, 512, i), repeats
        ),
        "height of images in pixels (24 atoms of 5×5)": [
            *time_curves(heights[:3] if quick else heights, many_images, repeats),
            *time_curves(heights, one_image, repeats),
        ],
        f"workers ({n * 5:,} samples; 2,000 images)": time_curves(
            n_workers, with_workers, repeats
        ),
        "samples, or height; memory beside input and output": [
            memory_curve("transform, by samples", "samples", samples, quick),
            memory_curve("convolution, by height", "heights", heights[1:], quick),
        ],
    }


def main():
    parser = make_parser(__doc__, repeats=3)
    parser.add_argument("--save", help="image file to draw the curves to")
    options = parser.parse_args()
    print("# Costs\n")
    print_environment(PACKAGES)
    with warnings.catch_warnings():  # the number of iterations is fixed
        warnings.simplefilter("ignore", ConvergenceWarning)
        panels = measure_panels(options.quick, 0 if options.quick else options.repeats)
    for title, curves in panels.items():
        sizes = [f"{size:,}" for size in curves[0].sizes]
        cells = [
            [c.name, *(f"{cost:.3g}" for cost in c.costs), f"{c.exponent:.2f}"]
            for c in curves
        ]
        columns = [curves[0].unit, *sizes, "exponent"]
        if len({len(row) for row in cells}) > 1:
            for curve, row in zip(curves, cells, strict=True):
                sizes = [f"{size:,}" for size in curve.sizes]
                print_table(
                    f"{title}: {curve.name}", [curve.unit, *sizes, "exponent"], [row]
                )
            continue
        print_table(title, columns, cells)
    print_note(
        "Data are float32. There is one worker, except in the curves by the number of "
        "workers. Times are medians. Exponents are those of the larger half of a curve."
    )
    if not options.quick:
        for curve in next(iter(panels.values())):
            print_at_most(1.1, curve.exponent, f"exponent of {curve.name} by samples")
    if options.save:
        draw(panels, options.save)


if __name__ == "__main__":
    main()
