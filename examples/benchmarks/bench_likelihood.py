"""How likely are test data under a coder, and what does exact inference gain?

On 8×8 patches of scikit-learn's two sample images, in gray from 0 to 1, without the
mean of each patch: 63 features in an orthonormal basis. The log-likelihood is compared
with that of PCA, factor analysis, independent components and Gaussian mixtures. Then
the parameters of models are estimated from their own samples, and missing values are
imputed.
"""

import warnings
from dataclasses import dataclass
from functools import partial

import numpy as np
from _data import load_patches
from _measure import (
    Method,
    make_parser,
    print_at_least,
    print_at_most,
    print_environment,
    print_note,
    print_table,
    time_methods,
    timed,
)
from scipy.linalg import helmert
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA, FactorAnalysis, FastICA
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.mixture import GaussianMixture

from skscn import NonNegativeSparseCoder, OrthogonalSparseCoder

PACKAGES = ("numpy", "scipy", "scikit-learn")
SIDE = 8  # height and width of a patch
PRIORS = [
    (OrthogonalSparseCoder, "laplace"),
    (OrthogonalSparseCoder, "spike_slab"),
    (NonNegativeSparseCoder, "exponential"),
    (NonNegativeSparseCoder, "spike_slab"),
]


@dataclass(frozen=True)
class Sizes:
    """Sizes of the data and of the models."""

    n_patches: int = 20_000
    max_iter: int = 300  # of a fit that runs until the likelihood no longer changes
    mixtures: tuple = (10, 50)  # numbers of components
    n_samples: int = 50_000  # of models whose parameters are estimated
    n_incomplete: int = 2_000  # rows with missing values
    n_rounds: int = 10  # of IterativeImputer


QUICK = Sizes(300, 5, (2,), 500, 80, 1)


def to_basis(patches):
    """Return patches without means in an orthonormal basis of their space."""
    return patches @ helmert(SIDE**2).T


def make_coder(Coder=OrthogonalSparseCoder, prior="laplace", **parameters):
    """Return a coder that learns its prior and the noise by maximum likelihood."""
    return Coder(prior=prior, alpha="auto", **parameters)


class LaplaceICA:
    """FastICA with the maximum likelihood Laplace density for every component."""

    def fit(self, X):
        """Learn the components, then the scale of each."""
        self.ica = FastICA(whiten="unit-variance", max_iter=500, random_state=0).fit(X)
        self.scale = np.abs(self.ica.transform(X)).mean(axis=0)
        return self

    def score(self, X):
        """Return the mean log-likelihood of the samples."""
        sources = self.ica.transform(X)
        log_densities = -np.abs(sources) / self.scale - np.log(2 * self.scale)
        log_determinant = np.linalg.slogdet(self.ica.components_)[1]
        return log_densities.sum(axis=1).mean() + log_determinant


def compare_likelihood(train, test, sizes):
    """Print the log-likelihood of test patches under several models."""
    models = {
        "skscn, Laplace": make_coder(),
        "skscn, spike and slab": make_coder(prior="spike_slab"),
        "PCA, 62 components": PCA(62),
        "FactorAnalysis": FactorAnalysis(62, random_state=0),
        "FastICA and Laplace densities": LaplaceICA(),
    }
    for n in sizes.mixtures:
        models[f"GaussianMixture, full, {n}"] = GaussianMixture(
            n, reg_covar=1e-7, random_state=0
        )
    rows, scores = [], {}
    for name, model in models.items():
        fitted, seconds = timed(model.fit, train)
        scores[name] = fitted.score(test)
        values = scores[name], fitted.score(train), seconds
        rows.append([name, *(f"{value:.2f}" for value in values)])
    print_table(
        "Mean log-likelihood of a patch, nats",
        ["", "test", "training", "seconds"],
        rows,
    )
    print_at_least(118, scores["skscn, Laplace"], "nats of test patches, Laplace")
    print_at_most(90, scores["PCA, 62 components"], "nats of test patches, PCA")


def measure_learning(train, sizes):
    """Print how many iterations learning needs at the default tolerance."""
    rows, iterations = [], {}
    for prior in ("laplace", "spike_slab"):
        default = make_coder(prior=prior).fit(train)
        path = -np.array(default.objective_path_)
        iterations[prior] = int(np.argmax(path >= path[-1] - 0.1))
        converged = make_coder(prior=prior, tol=0, max_iter=sizes.max_iter).fit(train)
        rows.append(
            [
                prior,
                f"{path[-1]:.2f}",
                f"{default.n_iter_}",
                f"{iterations[prior]}",
                f"{-converged.objective_path_[-1]:.2f}",
            ]
        )
    columns = ["", "final", "iterations", "iterations to within 0.1"]
    columns.append(f"after {sizes.max_iter}")
    title = "Learning with the default tol, nats of a training patch"
    print_table(title, columns, rows)
    name = "iterations to within 0.1 nat of the final value, Laplace"
    print_at_most(30, iterations["laplace"], name)


def time_iterations(train, repeats):
    """Print the time of an iteration of EM relative to one with MAP codes."""
    coders = {
        "MAP, Laplace": OrthogonalSparseCoder(alpha=0.1, tol=0),
        "EM, Laplace": make_coder(tol=0),
        "MAP, spike and slab": OrthogonalSparseCoder(
            prior="spike_slab", alpha=0.1, tol=0
        ),
        "EM, spike and slab": make_coder(prior="spike_slab", tol=0),
    }
    methods = [
        Method(
            f"{name} {n_iter}",
            partial(clone(coder).set_params(max_iter=n_iter).fit, train),
        )
        for name, coder in coders.items()
        for n_iter in (5, 15)
    ]
    seconds, _ = time_methods(methods, repeats)
    per_iteration = {
        name: (seconds[f"{name} 15"] - seconds[f"{name} 5"]) / 10 for name in coders
    }
    reference = per_iteration["MAP, Laplace"]
    rows = [
        [name, f"{1e3 * value:.1f}", f"{value / reference:.2f}"]
        for name, value in per_iteration.items()
    ]
    print_table("One iteration, 1 thread", ["", "ms", "× MAP, Laplace"], rows)
    ratio = per_iteration["EM, Laplace"] / reference
    print_at_most(4, ratio, "time of an EM iteration relative to a MAP iteration")


def sample_model(Coder, prior, n_samples, seed=0):
    """Return samples of a model, their codes, the atoms and the prior's parameters."""
    rng = np.random.default_rng(seed)
    n_components, n_features = 16, 24
    atoms = np.linalg.qr(rng.normal(size=(n_features, n_components)))[0].T
    scale = np.linspace(1, 2, n_components)
    shape = n_samples, n_components
    if prior == "spike_slab":
        weight = np.linspace(0.15, 0.4, n_components)
        codes = 2 * scale * rng.normal(size=shape) * (rng.random(shape) < weight)
        parameters = np.array([weight, 4 * scale**2])
    else:
        codes = scale * rng.laplace(size=shape)
        parameters = 1 / scale[None]
    if Coder is NonNegativeSparseCoder:
        codes = np.abs(codes)
    X = codes @ atoms + 0.5 * rng.normal(size=(n_samples, n_features))
    return X, codes, atoms, parameters


def compare_recovery(sizes):
    """Print how well models are estimated from their own samples."""
    rows, worst = [], 0.0
    for Coder, prior in PRIORS:
        X, codes, atoms, parameters = sample_model(Coder, prior, sizes.n_samples)
        coder = make_coder(Coder, prior, n_components=16, tol=1e-5, max_iter=200).fit(X)
        cosines = coder.components_ @ atoms.T
        match = np.argmax(np.abs(cosines), axis=1)
        signs = np.sign(cosines[np.arange(16), match])
        estimates = np.array(list(coder.prior_.values()))
        prior_error = np.abs(estimates / parameters[:, match] - 1).max()
        noise_error = abs(coder.noise_variance_ / 0.25 - 1)
        worst = max(worst, prior_error, noise_error)
        squared_errors = [
            np.mean((signs * coder.transform(X) - codes[:, match]) ** 2)
            for coder.inference in ("map", "mean")
        ]
        rows.append(
            [
                f"{Coder.__name__}, {prior}",
                f"{np.abs(cosines).max(axis=1).min():.4f}",
                f"{100 * prior_error:.1f}",
                f"{100 * noise_error:.1f}",
                *(f"{error:.4f}" for error in squared_errors),
            ]
        )
    columns = ["", "minimum cosine", "error of the prior, %", "error of σ², %"]
    columns += ["MSE, MAP", "MSE, mean"]
    title = f"Models estimated from {sizes.n_samples:,} of their samples"
    print_table(title, columns, rows)
    print_note(
        "The error of the prior is the largest relative error of its parameters. The "
        "mean squared error (MSE) is that of the codes of the noisy samples, by MAP "
        "and by posterior mean."
    )
    name = "largest relative error of a parameter of the prior or the noise, %"
    print_at_most(5, 100 * worst, name)


def compare_imputation(sizes):
    """Print errors of imputed values; 20 % of all values are missing at random."""
    datasets = {
        "digits": load_digits(return_X_y=True)[0][: sizes.n_incomplete],
        "patches": load_patches(sizes.n_incomplete, SIDE, (7, 8)),
    }
    for name, X in datasets.items():
        missing = np.random.default_rng(0).random(X.shape) < 0.2
        X_missing = np.where(missing, np.nan, X)
        imputers = {
            "SimpleImputer": SimpleImputer().fit_transform,
            "KNNImputer": KNNImputer().fit_transform,
            "IterativeImputer": IterativeImputer(
                max_iter=sizes.n_rounds, random_state=0
            ).fit_transform,
        }
        for n_components in (10, 20, 30):
            coder = make_coder(n_components=n_components)
            imputers[f"skscn, Laplace, {n_components} atoms"] = partial(
                lambda coder, rows: coder.fit(rows).impute(rows), coder
            )
        rows = []
        for imputer, impute in imputers.items():
            imputed, seconds = timed(impute, X_missing)
            error = np.sqrt(np.mean((imputed - X)[missing] ** 2)) / X.std()
            rows.append([imputer, f"{error:.4f}", f"{seconds:.2f}"])
        title = f"Imputation of {len(X):,} {name} with 20 % missing values"
        print_table(title, ["", "RMSE / standard deviation", "seconds"], rows)


def main():
    options = make_parser(__doc__, repeats=5).parse_args()
    sizes, repeats = (QUICK, 0) if options.quick else (Sizes(), options.repeats)
    print("# Likelihood\n")
    print_environment(PACKAGES)
    print_note(f"{sizes.n_patches:,} training patches, as many test patches, float64.")
    if options.quick:
        print_note("--quick: the values are not meaningful.")
    train, test = (
        to_basis(load_patches(sizes.n_patches, SIDE, seeds))
        for seeds in ((0, 1), (100, 101))
    )
    with warnings.catch_warnings():  # some fits have a fixed number of iterations
        warnings.simplefilter("ignore", ConvergenceWarning)
        compare_likelihood(train, test, sizes)
        measure_learning(train, sizes)
        time_iterations(train, repeats)
        compare_recovery(sizes)
        compare_imputation(sizes)


if __name__ == "__main__":
    main()
