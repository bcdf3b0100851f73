"""How likely are data to coders, and what is exact inference worth?

Beside PCA, factor analysis, independent components and Gaussian mixtures, on 8×8
patches of scikit-learn's two sample images, grey in [0, 1], the mean of every patch
removed: 63 features, in an orthonormal basis. Then models are found again from their
own samples, noisy codes are read, and missing entries are completed.
"""

import argparse
import time
import warnings
from dataclasses import dataclass
from functools import partial

import numpy as np
from _measure import Contender, at_least, at_most, measure, note, print_machine, table
from scipy.linalg import helmert
from sklearn.base import clone
from sklearn.datasets import load_digits, load_sample_images
from sklearn.decomposition import PCA, FactorAnalysis, FastICA
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.feature_extraction.image import extract_patches_2d
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.mixture import GaussianMixture

from skscn import NonNegativeSparseCoder, OrthogonalSparseCoder

PACKAGES = ("numpy", "scipy", "scikit-learn")
SIDE = 8
PRIORS = [
    (OrthogonalSparseCoder, "laplace"),
    (OrthogonalSparseCoder, "spike_slab"),
    (NonNegativeSparseCoder, "exponential"),
    (NonNegativeSparseCoder, "spike_slab"),
]


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    n_patches: int = 20_000
    n_converged: int = 300
    mixtures: tuple = (10, 50)
    n_model: int = 50_000
    n_holed: int = 2_000


QUICK = Size(600, 5, (2,), 2_000, 200)


def patches(n_samples, seed):
    """Return mean-removed patches, half of them from each sample image."""
    grey = [image.mean(axis=2) / 255 for image in load_sample_images().images]
    rows = [
        extract_patches_2d(
            image, (SIDE, SIDE), max_patches=n_samples // 2, random_state=seed + i
        )
        for i, image in enumerate(grey)
    ]
    rows = np.concatenate(rows).reshape(n_samples, -1)
    return rows - rows.mean(axis=1, keepdims=True)


def in_63(patches):
    """Return mean-removed patches in an orthonormal basis of what they span."""
    return patches @ helmert(SIDE**2).T


def exact(Coder=OrthogonalSparseCoder, prior="laplace", **parameters):
    """Return a coder that learns everything by maximum likelihood."""
    return Coder(prior=prior, alpha="auto", **parameters)


def timed(run):
    """Return the result and the seconds it took."""
    start = time.perf_counter()
    result = run()
    return result, time.perf_counter() - start


class IndependentLaplace:
    """FastICA, and a Laplace density of largest likelihood for every component."""

    def fit(self, X):
        """Learn components, then the scale of each."""
        self.ica = FastICA(whiten="unit-variance", max_iter=500, random_state=0).fit(X)
        self.scale = np.abs(self.ica.transform(X)).mean(axis=0)
        return self

    def score(self, X):
        """Return the log-likelihood of a sample in the mean."""
        sources = self.ica.transform(X)
        logs = -np.abs(sources) / self.scale - np.log(2 * self.scale)
        volume = np.linalg.slogdet(self.ica.components_)[1]
        return logs.sum(axis=1).mean() + volume


def held_out(train, test, size):
    """Print the log-likelihood of patches that nobody saw."""
    models = {
        "skscn, Laplace": exact(),
        "skscn, spike and slab": exact(prior="spike_slab"),
        "PCA, 62 components": PCA(62),
        "FactorAnalysis": FactorAnalysis(62, random_state=0),
        "FastICA and Laplace densities": IndependentLaplace(),
    }
    for n in size.mixtures:
        models[f"GaussianMixture, full, {n}"] = GaussianMixture(
            n, reg_covar=1e-7, random_state=0
        )
    rows, scores = [], {}
    for name, model in models.items():
        fitted, seconds = timed(lambda model=model: model.fit(train))
        scores[name] = fitted.score(test)
        rows.append(
            [
                name,
                f"{scores[name]:.2f}",
                f"{fitted.score(train):.2f}",
                f"{seconds:.2f}",
            ]
        )
    table(
        "Log-likelihood of a patch in the mean, nats",
        ["", "held out", "training", "seconds"],
        rows,
    )
    at_least(118, scores["skscn, Laplace"], "held-out nats, Laplace")
    at_most(90, scores["PCA, 62 components"], "held-out nats, PCA")


def learning(train, size):
    """Print how many passes learning takes, and how long a pass does."""
    rows = []
    for prior in ("laplace", "spike_slab"):
        default = exact(prior=prior).fit(train)
        path = -np.array(default.objective_path_)
        near = int(np.argmax(path >= path[-1] - 0.1))
        further = exact(prior=prior, tol=0, max_iter=size.n_converged).fit(train)
        limit = -further.objective_path_[-1]
        rows.append(
            [
                prior,
                f"{path[-1]:.2f}",
                f"{default.n_iter_}",
                f"{near}",
                f"{limit:.2f}",
            ]
        )
        if prior == "laplace":
            at = near
    table(
        "Learning at the default tol, nats of training data",
        ["", "at rest", "passes", "within 0.1", f"after {size.n_converged}"],
        rows,
    )
    at_most(30, at, "passes to within 0.1 nat of rest, Laplace")


def a_pass(train, repeats):
    """Print the time of a pass of exact inference by that of hard codes."""
    kinds = {
        "hard codes, Laplace": OrthogonalSparseCoder(alpha=0.1, tol=0),
        "exact, Laplace": exact(tol=0),
        "hard codes, spike and slab": OrthogonalSparseCoder(
            prior="spike_slab", alpha=0.1, tol=0
        ),
        "exact, spike and slab": exact(prior="spike_slab", tol=0),
    }
    contenders = [
        Contender(
            f"{name} {n_iter}",
            partial(clone(coder).set_params(max_iter=n_iter).fit, train),
        )
        for name, coder in kinds.items()
        for n_iter in (5, 15)
    ]
    seconds, _ = measure(contenders, repeats)
    took = {name: (seconds[f"{name} 15"] - seconds[f"{name} 5"]) / 10 for name in kinds}
    hard = took["hard codes, Laplace"]
    rows = [
        [name, f"{1e3 * value:.1f}", f"{value / hard:.2f}"]
        for name, value in took.items()
    ]
    table("One pass, 1 thread", ["", "ms", "× hard"], rows)
    at_most(4, took["exact, Laplace"] / hard, "a pass of exact by one of hard codes")


def model(Coder, prior, n_samples, seed=0):
    """Return samples of a model, their codes, and the numbers of the model."""
    rng = np.random.default_rng(seed)
    n_components, n_features = 16, 24
    atoms = np.linalg.qr(rng.normal(size=(n_features, n_components)))[0].T
    scale = np.linspace(1, 2, n_components)
    shape = n_samples, n_components
    if prior == "spike_slab":
        weight = np.linspace(0.15, 0.4, n_components)
        codes = 2 * scale * rng.normal(size=shape) * (rng.random(shape) < weight)
        numbers = np.array([weight, 4 * scale**2])
    else:
        codes = scale * rng.laplace(size=shape)
        numbers = 1 / scale[None]
    if Coder is NonNegativeSparseCoder:
        codes = np.abs(codes)
    X = codes @ atoms + 0.5 * rng.normal(size=(n_samples, n_features))
    return X, codes, atoms, numbers


def recovery(size):
    """Print what exact inference finds of models that made the data."""
    rows, worst = [], 0.0
    for Coder, prior in PRIORS:
        X, codes, atoms, numbers = model(Coder, prior, size.n_model)
        coder = exact(Coder, prior, n_components=16, tol=1e-5, max_iter=200).fit(X)
        cosines = coder.components_ @ atoms.T
        place = np.argmax(np.abs(cosines), axis=1)
        signs = np.sign(cosines[np.arange(16), place])
        found = np.array(list(coder.prior_.values()))
        off = np.abs(found / numbers[:, place] - 1).max()
        noise = abs(coder.noise_variance_ / 0.25 - 1)
        worst = max(worst, off, noise)
        errors = [
            np.mean((signs * coder.transform(X) - codes[:, place]) ** 2)
            for coder.inference in ("map", "mean")
        ]
        rows.append(
            [
                f"{Coder.__name__}, {prior}",
                f"{np.abs(cosines).max(axis=1).min():.4f}",
                f"{100 * off:.1f}",
                f"{100 * noise:.1f}",
                f"{errors[0]:.4f}",
                f"{errors[1]:.4f}",
            ]
        )
    table(
        f"Models found again from {size.n_model:,} samples",
        ["", "least cosine", "prior, % off", "σ², % off", "MSE mode", "MSE mean"],
        rows,
    )
    note(
        "% off is that of the worst coefficient. The mean squared error is that of the "
        "codes, against those that made the noisy data."
    )
    at_most(5, 100 * worst, "% off of the worst number of a prior or noise")


def completion(size):
    """Print errors of completed entries, 20 % of all removed by chance."""
    data = {
        "digits": load_digits(return_X_y=True)[0][: size.n_holed],
        "patches": patches(size.n_holed, 7),
    }
    for name, X in data.items():
        gone = np.random.default_rng(0).random(X.shape) < 0.2
        holed = np.where(gone, np.nan, X)
        imputers = {
            "SimpleImputer": SimpleImputer().fit_transform,
            "KNNImputer": KNNImputer().fit_transform,
            "IterativeImputer": IterativeImputer(random_state=0).fit_transform,
        }
        for n_components in (10, 20, 30):
            coder = exact(n_components=n_components)
            imputers[f"skscn, Laplace, {n_components} atoms"] = partial(
                lambda coder, rows: coder.fit(rows).impute(rows), coder
            )
        rows = []
        for imputer, run in imputers.items():
            filled, seconds = timed(partial(run, holed))
            error = np.sqrt(np.mean((filled - X)[gone] ** 2)) / X.std()
            rows.append([imputer, f"{error:.4f}", f"{seconds:.2f}"])
        title = f"Missing entries of {len(X):,} {name}"
        table(title, ["", "RMSE / std", "seconds"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="rounds (default: 5)")
    parser.add_argument("--quick", action="store_true", help="tiny: does it run?")
    options = parser.parse_args()
    size, repeats = (QUICK, 1) if options.quick else (Size(), options.repeats)
    print("# Likelihood\n")
    print_machine(PACKAGES)
    note(f"{size.n_patches:,} patches to train with and as many to test, float64.")
    if options.quick:
        note("--quick: these figures mean nothing.")
    train, test = (in_63(patches(size.n_patches, seed)) for seed in (0, 100))
    with warnings.catch_warnings():  # that a fit was told to end early
        warnings.simplefilter("ignore", ConvergenceWarning)
        held_out(train, test, size)
        learning(train, size)
        a_pass(train, repeats)
        recovery(size)
        completion(size)


if __name__ == "__main__":
    main()
