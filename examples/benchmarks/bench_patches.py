"""How fast and how good are coding and learning on natural image patches?

Compared with scikit-learn, SPAMS and dictlearn, on 8×8 patches of scikit-learn's two
sample images, in gray from 0 to 1, without the mean of each patch; 64 atoms, alpha=0.1.
"""

import warnings
from dataclasses import dataclass
from functools import partial

import numpy as np
from _data import load_patches
from _measure import (
    Method,
    import_optional,
    make_parser,
    print_at_least,
    print_at_most,
    print_environment,
    print_note,
    print_table,
    time_methods,
)
from scipy.sparse import issparse
from sklearn.decomposition import (
    PCA,
    FastICA,
    MiniBatchDictionaryLearning,
    MiniBatchNMF,
    sparse_encode,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso

from skscn import NonNegativeSparseCoder, OrthogonalSparseCoder

PACKAGES = ("numpy", "scipy", "scikit-learn", "spams-bin", "dictlearn")
SIDE, ALPHA = 8, 0.1
N_ATOMS = SIDE * SIDE

spams, dictlearn = import_optional("spams"), import_optional("dictlearn")


@dataclass(frozen=True)
class Sizes:
    """Sizes of the data, and numbers of iterations."""

    n_samples: int = 50_000
    n_few_samples: int = 5_000  # for slow methods
    n_alternations: int = 1_000
    n_epochs: int = 5  # of scikit-learn's mini-batch estimators
    n_spams_iterations: int = 200
    n_ksvd_iterations: int = 10
    shapes: tuple = ((100_000, 64, 64), (20_000, 784, 256))


QUICK = Sizes(300, 30, 20, 1, 5, 1, ((1_000, 64, 64), (200, 784, 256)))


def make_coder(n_jobs=1, **options):
    return OrthogonalSparseCoder(alpha=ALPHA, center=False, n_jobs=n_jobs, **options)


# SPAMS has its own threads, numThreads. BLAS has one thread while it runs.


def spams_lasso(X, D, n_threads=1, positive=False):
    # The transpose of an array in C order is in Fortran order: nothing is copied.
    columns, atoms = np.asfortranarray(X.T), np.asfortranarray(D.T)
    options = {"lambda1": ALPHA, "pos": positive, "numThreads": n_threads}
    return spams.lasso(columns, D=atoms, **options).T


def spams_learn(X, n_iter, n_threads):
    options = {"lambda1": ALPHA, "batchsize": 512, "iter": n_iter, "verbose": False}
    columns = np.asfortranarray(X.T)
    return spams.trainDL(columns, K=N_ATOMS, numThreads=n_threads, **options).T


def lasso_objective(X, D, A):
    """Return the mean lasso objective of the samples."""
    return (0.5 * np.sum((X - A @ D) ** 2) + ALPHA * np.abs(A).sum()) / len(X)


def learn_by_alternation(X, D, n_iter):
    """Alternate between codes and the polar factor, without acceleration."""
    for _ in range(n_iter):
        U = X @ D.T
        left, _, right = np.linalg.svd((U - np.clip(U, -ALPHA, ALPHA)).T @ X)
        D = left @ right
    return D


def compare_coding(X, D, n_active, sizes, repeats):
    """Code with the learned dictionary: signed codes, then non-negative codes."""
    one, two = (make_coder(n, init=D, max_iter=0).fit(X).transform for n in (1, 2))
    sklearn_encode = partial(sparse_encode, dictionary=D, alpha=ALPHA)
    few = X[: sizes.n_few_samples]
    dictlearn_encode = dictlearn and partial(dictlearn.sparse_encode, X, D)
    methods = [
        Method("skscn, 1 worker", lambda: one(X)),
        Method("skscn, 2 workers", lambda: two(X), 2),
        Method("only X @ D.T, 1 thread", lambda: X @ D.T),
        Method("only X @ D.T, 2 threads", lambda: X @ D.T, 2),
        Method(
            "scikit-learn threshold", partial(sklearn_encode, X, algorithm="threshold")
        ),
        Method(
            "scikit-learn lasso_cd", partial(sklearn_encode, X, algorithm="lasso_cd")
        ),
        Method(
            "scikit-learn lasso_lars",
            partial(sklearn_encode, few, algorithm="lasso_lars"),
            row_fraction=len(few) / len(X),
        ),
        Method("SPAMS lasso, 1 thread", spams and partial(spams_lasso, X, D, 1)),
        Method("SPAMS lasso, 2 threads", spams and partial(spams_lasso, X, D, 2)),
        Method(
            "dictlearn FISTA",
            dictlearn_encode
            and partial(dictlearn_encode, algorithm="fista", alpha=2 * ALPHA, tol=1e-9),
        ),
        Method(
            f"dictlearn OMP({n_active})",
            dictlearn_encode
            and partial(dictlearn_encode, algorithm="omp", n_nonzero_coefs=n_active),
        ),
    ]
    seconds, differences = print_coding_table("Coding", X, D, methods, repeats)
    print_note(
        f"The time of lasso_lars is extrapolated from {len(few):,} rows. lasso_cd uses "
        "the tol of sparse_encode, 1e-8. OMP solves another problem: it uses at most "
        f"{n_active} atoms, the mean number of the lasso."
    )
    print_at_most(
        1e-6, differences["scikit-learn lasso_cd"], "difference from lasso_cd"
    )
    own = seconds["skscn, 1 worker"]
    for name, limit in (
        ("scikit-learn lasso_cd", 100),
        ("scikit-learn lasso_lars", 300),
        ("SPAMS lasso, 1 thread", 10),
    ):
        ratio = seconds.get(name, np.nan) / own
        print_at_least(limit, ratio, f"times faster than {name}")
    ratio = seconds["skscn, 2 workers"] / own
    print_at_most(1.05, ratio, "time with 2 workers relative to 1 worker")

    relu = NonNegativeSparseCoder(alpha=ALPHA, center=False, init=D, max_iter=0).fit(X)
    encode = partial(sklearn_encode, X, positive=True)
    methods = [
        Method("skscn, 1 worker", lambda: relu.transform(X)),
        Method("scikit-learn threshold", partial(encode, algorithm="threshold")),
        Method("scikit-learn lasso_cd", partial(encode, algorithm="lasso_cd")),
        Method("SPAMS lasso, 1 thread", spams and partial(spams_lasso, X, D, 1, True)),
    ]
    print_coding_table("Coding, non-negative codes", X, D, methods, repeats)
    # sparse_encode has no tol that is small enough for a comparison of the codes.
    lasso = Lasso(
        ALPHA / X.shape[1], fit_intercept=False, positive=True, tol=1e-14
    ).fit(D.T, few.T)
    print_note(f"The next difference is from Lasso(tol=1e-14), on {len(few):,} rows.")
    difference = np.abs(relu.transform(few) - lasso.coef_).max() / lasso.coef_.max()
    print_at_most(1e-6, difference, "difference from lasso_cd")


def print_coding_table(title, X, D, methods, repeats):
    """Print times and codes; return seconds and differences from the first method."""
    seconds, results = time_methods(methods, repeats)
    first = methods[0].name
    rows, differences = [], {}
    for name in (m.name for m in methods):
        rows.append([name])
        if name not in seconds:
            continue
        rows[-1] += [f"{seconds[name]:.4f}", f"{seconds[name] / seconds[first]:.1f}"]
        if not name.startswith("only"):
            A = results[name].toarray() if issparse(results[name]) else results[name]
            difference = np.abs(A - results[first][: len(A)]).max()
            differences[name] = difference / np.abs(results[first]).max()
            objective = lasso_objective(X[: len(A)], D, A)
            rows[-1] += [f"{differences[name]:.0e}", f"{objective:.5f}"]
    print_table(title, ["", "seconds", "× skscn", "difference", "objective"], rows)
    return seconds, differences


def compare_learning(X, n_active, sizes, repeats):
    """Learn with all methods; compare the optimum of the lasso on their atoms."""
    mini_batch = partial(
        MiniBatchDictionaryLearning,
        N_ATOMS,
        alpha=ALPHA,
        max_iter=sizes.n_epochs,
        max_no_improvement=None,  # and tol=0: all epochs are run
        tol=0.0,
        random_state=0,
    )
    ksvd = dictlearn and dictlearn.DictionaryLearning(
        N_ATOMS,
        n_nonzero_coefs=n_active,
        max_iter=sizes.n_ksvd_iterations,
        random_state=0,
    )
    axes = np.linalg.eigh(X.T @ X)[1].T[::-1]
    alternation = f"{sizes.n_alternations:,} plain alternations"
    lars = f"MiniBatchDictionaryLearning, {sizes.n_epochs} epochs, lars"
    train_dl = spams and partial(spams_learn, X, sizes.n_spams_iterations)
    fast_methods = [
        Method("skscn, 1 worker", lambda: make_coder(1).fit(X)),
        Method("skscn, 2 workers", lambda: make_coder(2).fit(X), 2),
        Method("SPAMS trainDL, 1 thread", train_dl and partial(train_dl, 1)),
        Method("SPAMS trainDL, 2 threads", train_dl and partial(train_dl, 2)),
    ]
    slow_methods = [
        Method(
            alternation, lambda: learn_by_alternation(X, axes, sizes.n_alternations)
        ),
        Method(lars, lambda: mini_batch().fit(X)),
        Method(
            lars.replace("lars", "cd"), lambda: mini_batch(fit_algorithm="cd").fit(X)
        ),
        Method(f"dictlearn AK-SVD({n_active})", ksvd and (lambda: ksvd.fit(X))),
        Method("PCA", lambda: PCA(N_ATOMS).fit(X)),
        Method("FastICA", lambda: FastICA(N_ATOMS, tol=1e-3, random_state=0).fit(X)),
        Method(
            f"MiniBatchNMF, {sizes.n_epochs} epochs",
            lambda: MiniBatchNMF(
                N_ATOMS, max_iter=sizes.n_epochs, max_no_improvement=None, tol=0.0
            ).fit(X - X.min()),
        ),
    ]
    seconds, results = time_methods(fast_methods, repeats)
    for values, more in zip(
        (seconds, results), time_methods(slow_methods, min(repeats, 1)), strict=True
    ):
        values.update(more)
    encode = (
        spams_lasso
        if spams
        else partial(sparse_encode, algorithm="lasso_cd", alpha=ALPHA)
    )
    own, objectives = seconds["skscn, 1 worker"], {}
    for name, result in results.items():
        D = getattr(result, "components_", result)
        D = np.array(result.mixing_.T if isinstance(result, FastICA) else D)
        D /= np.linalg.norm(D, axis=1, keepdims=True)
        objectives[name] = lasso_objective(X, D, encode(X, D))
    excess = {
        name: 100 * (objective / objectives[alternation] - 1)
        for name, objective in objectives.items()
    }
    rows = []
    for name in (m.name for m in fast_methods + slow_methods):
        rows.append([name])
        if name in seconds:
            rows[-1] += [f"{seconds[name]:.3f}", f"{seconds[name] / own:.1f}"]
            rows[-1] += [f"{objectives[name]:.5f}", f"{excess[name]:+.3f}"]
    print_table("Learning", ["", "seconds", "× skscn", "objective", "% above"], rows)
    print_note(
        f"skscn needed {results['skscn, 1 worker'].n_iter_} iterations at its default "
        "tol. '% above' is relative to plain alternation. Plain alternation and the "
        "methods below it were run once. The atoms of SPAMS, scikit-learn and "
        "dictlearn are not orthonormal, so that their objective may be lower. Some "
        "methods minimize "
        f"other objectives: K-SVD, with max_iter={sizes.n_ksvd_iterations}; PCA; "
        "FastICA, whose atoms are the columns of its mixing matrix; and NMF, which is "
        "given the patches minus their smallest value."
    )
    print_at_most(0.1, excess["skscn, 1 worker"], f"% above {alternation}")
    print_at_least(40, seconds[lars] / own, f"times faster than {lars}")
    for workers, threads in (("1 worker", "1 thread"), ("2 workers", "2 threads")):
        name = f"SPAMS trainDL, {threads}"
        ratio = seconds.get(name, np.nan) / seconds[f"skscn, {workers}"]
        print_at_least(1, ratio, f"times faster than {name}")
    ratio = seconds["skscn, 2 workers"] / own
    print_at_most(1.05, ratio, "time with 2 workers relative to 1 worker")


def time_iteration(X, D, repeats):
    """Time an iteration of learning, and the linear algebra that it needs at least."""
    U = np.empty((len(X), len(D)))

    def products_and_svd():
        np.matmul(X, D.T, out=U)
        return np.linalg.svd(U.T @ X)

    methods = [
        Method("10 iterations", lambda: make_coder(max_iter=10, tol=0).fit(X)),
        Method("20 iterations", lambda: make_coder(max_iter=20, tol=0).fit(X)),
        Method("products and SVD", products_and_svd),
    ]
    with warnings.catch_warnings():  # the number of iterations is fixed
        warnings.simplefilter("ignore", ConvergenceWarning)
        seconds, results = time_methods(methods, 3 * repeats)
    difference = seconds["20 iterations"] - seconds["10 iterations"]
    n_iter = results["20 iterations"].n_iter_ - results["10 iterations"].n_iter_
    per_iteration = difference / max(n_iter, 1)
    minimum = seconds["products and SVD"]
    rows = [
        ["mean of iterations 11 to 20 of a fit", f"{1e3 * per_iteration:.2f}"],
        ["only two matrix products and one SVD", f"{1e3 * minimum:.2f}"],
    ]
    print_table("One iteration of learning", ["1 thread", "ms"], rows)
    ratio = per_iteration / minimum
    print_at_most(1.3, ratio, "time of an iteration relative to products and SVD")


def time_transform(shape, repeats):
    """Return milliseconds of the product and of transform, on one and two threads."""
    n_samples, n_features, n_atoms = shape
    X = np.random.default_rng(0).standard_normal((n_samples, n_features), np.float32)
    coder = OrthogonalSparseCoder(
        n_atoms, alpha=0.5, init="random", max_iter=0, random_state=0
    ).fit(X)
    D = coder.components_
    seconds, _ = time_methods(
        [
            Method("product 1", lambda: X @ D.T),
            Method("transform 1", lambda: coder.set_params(n_jobs=1).transform(X)),
            Method("product 2", lambda: X @ D.T, 2),
            Method("transform 2", lambda: coder.set_params(n_jobs=2).transform(X), 2),
        ],
        3 * repeats,
    )
    return [1e3 * value for value in seconds.values()]


def compare_transform(sizes, repeats):
    """Print the time of transform relative to its matrix product."""
    rows, budgets = [], []
    for shape, limit in zip(sizes.shapes, (1.5, 1.15), strict=True):
        product_1, transform_1, product_2, transform_2 = time_transform(shape, repeats)
        name = "{:,}×{}→{}".format(*shape)
        for n_threads, product, transform in (
            ("1", product_1, transform_1),
            ("2", product_2, transform_2),
        ):
            values = product, transform, transform / product
            title = f"{name}, {n_threads}"
            rows.append([title, *(f"{value:.2f}" for value in values)])
            budgets.append((limit, transform / product, f"ratio at {title}"))
        title = f"time with 2 workers relative to 1 worker at {name}"
        budgets.append((1.05, transform_2 / transform_1, title))
    columns = ["float32, centered, threads", "X @ D.T, ms", "transform, ms", "ratio"]
    print_table("transform and its matrix product", columns, rows)
    for budget in budgets:
        print_at_most(*budget)


def main():
    options = make_parser(__doc__, repeats=5).parse_args()
    sizes, repeats = (QUICK, 0) if options.quick else (Sizes(), options.repeats)
    patches = load_patches(sizes.n_samples, SIDE, (0, 0))
    X = np.random.default_rng(0).permutation(patches)
    print("# Natural image patches\n")
    print_environment(PACKAGES)
    print_note(
        f"{len(X):,} patches of {SIDE}×{SIDE}, float64; {N_ATOMS} atoms; "
        f"alpha={ALPHA}. The mean of every patch is subtracted, but not the mean patch "
        "(center=False). Times are medians of interleaved runs. BLAS has one thread "
        "where no number is given."
    )
    if options.quick:
        print_note("--quick: the values are not meaningful.")
    coder = make_coder().fit(X)
    n_active = round(np.count_nonzero(coder.transform(X)) / len(X))
    compare_coding(X, coder.components_, n_active, sizes, repeats)
    compare_learning(X, n_active, sizes, repeats)
    time_iteration(X, coder.components_, repeats)
    compare_transform(sizes, repeats)


if __name__ == "__main__":
    main()
