"""How fast and how good are coding and learning on natural image patches?

Beside scikit-learn, SPAMS and dictlearn, on 8×8 patches of scikit-learn's two sample
images, grey in [0, 1], the mean of every patch removed; 64 atoms, alpha = 0.1.
"""

import argparse
import warnings
from dataclasses import dataclass
from functools import partial

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
from scipy.sparse import issparse
from sklearn.datasets import load_sample_images
from sklearn.decomposition import (
    PCA,
    FastICA,
    MiniBatchDictionaryLearning,
    MiniBatchNMF,
    sparse_encode,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.image import extract_patches_2d
from sklearn.linear_model import Lasso

from skscn import NonNegativeSparseCoder, OrthogonalSparseCoder

PACKAGES = ("numpy", "scipy", "scikit-learn", "spams-bin", "dictlearn")
SIDE, ALPHA = 8, 0.1
N_ATOMS = SIDE * SIDE

spams, dictlearn = optional("spams"), optional("dictlearn")


@dataclass(frozen=True)
class Size:
    """How much is measured: all by default, hardly anything with --quick."""

    n_samples: int = 50_000
    n_slow: int = 5_000
    n_alternations: int = 1_000
    n_passes: int = 5
    n_spams: int = 200
    n_ksvd: int = 10
    shapes: tuple = ((100_000, 64, 64), (20_000, 784, 256))


QUICK = Size(1_000, 100, 20, 1, 5, 1, ((1_000, 64, 64), (200, 784, 256)))


def patches(n_samples):
    rows = []
    for image in load_sample_images().images:
        grey = image.mean(axis=2) / 255
        rows.append(
            extract_patches_2d(
                grey, (SIDE, SIDE), max_patches=n_samples // 2, random_state=0
            )
        )
    rows = np.random.default_rng(0).permutation(np.vstack(rows).reshape(-1, N_ATOMS))
    return rows - rows.mean(axis=1, keepdims=True)


def orthogonal(n_jobs=1, **options):
    return OrthogonalSparseCoder(alpha=ALPHA, center=False, n_jobs=n_jobs, **options)


# SPAMS has threads of its own, numThreads: BLAS below them is left at one.


def spams_lasso(X, D, threads=1, positive=False):
    # Columns in Fortran order are rows in C order: nothing is copied.
    columns, atoms = np.asfortranarray(X.T), np.asfortranarray(D.T)
    options = {"lambda1": ALPHA, "pos": positive, "numThreads": threads}
    return spams.lasso(columns, D=atoms, **options).T


def spams_learn(X, n_iter, threads):
    options = {"lambda1": ALPHA, "batchsize": 512, "iter": n_iter, "verbose": False}
    columns = np.asfortranarray(X.T)
    return spams.trainDL(columns, K=N_ATOMS, numThreads=threads, **options).T


def objective(X, D, A):
    """Return the lasso objective of a sample in the mean."""
    return (0.5 * np.sum((X - A @ D) ** 2) + ALPHA * np.abs(A).sum()) / len(X)


def alternate(X, D, n_iter):
    """Learn by plain alternation of codes and polar factor."""
    for _ in range(n_iter):
        U = X @ D.T
        left, _, right = np.linalg.svd((U - np.clip(U, -ALPHA, ALPHA)).T @ X)
        D = left @ right
    return D


def coding(X, D, n_active, size, repeats):
    """Code with the learned dictionary: signed, then non-negative."""
    one, two = (orthogonal(n, init=D, max_iter=0).fit(X).transform for n in (1, 2))
    peer = partial(sparse_encode, dictionary=D, alpha=ALPHA)
    few = X[: size.n_slow]
    encode = dictlearn and partial(dictlearn.sparse_encode, X, D)
    contenders = [
        Contender("skscn, 1 worker", lambda: one(X)),
        Contender("skscn, 2 workers", lambda: two(X), 2),
        Contender("X @ D.T alone, 1 thread", lambda: X @ D.T),
        Contender("X @ D.T alone, 2 threads", lambda: X @ D.T, 2),
        Contender("scikit-learn threshold", partial(peer, X, algorithm="threshold")),
        Contender("scikit-learn lasso_cd", partial(peer, X, algorithm="lasso_cd")),
        Contender(
            "scikit-learn lasso_lars",
            partial(peer, few, algorithm="lasso_lars"),
            share=len(few) / len(X),
        ),
        Contender("SPAMS lasso, 1 thread", spams and partial(spams_lasso, X, D, 1)),
        Contender("SPAMS lasso, 2 threads", spams and partial(spams_lasso, X, D, 2)),
        Contender(
            "dictlearn FISTA",
            encode and partial(encode, algorithm="fista", alpha=2 * ALPHA, tol=1e-9),
        ),
        Contender(
            f"dictlearn OMP({n_active})",
            encode and partial(encode, algorithm="omp", n_nonzero_coefs=n_active),
        ),
    ]
    seconds, differences = code_table("Coding", X, D, contenders, repeats)
    note(
        f"lasso_lars was timed on {len(few):,} rows, and scaled; lasso_cd stops at the "
        f"tol of sparse_encode, 1e-8. OMP solves another problem: {n_active} active "
        "codes at most, the mean of the lasso's."
    )
    at_most(1e-6, differences["scikit-learn lasso_cd"], "difference to lasso_cd")
    own = seconds["skscn, 1 worker"]
    for name, limit in (
        ("scikit-learn lasso_cd", 100),
        ("scikit-learn lasso_lars", 300),
        ("SPAMS lasso, 1 thread", 10),
    ):
        at_least(limit, seconds.get(name, np.nan) / own, f"times faster than {name}")
    at_most(1.05, seconds["skscn, 2 workers"] / own, "time of 2 workers by that of 1")

    relu = NonNegativeSparseCoder(alpha=ALPHA, center=False, init=D, max_iter=0).fit(X)
    peer = partial(peer, X, positive=True)
    contenders = [
        Contender("skscn, 1 worker", lambda: relu.transform(X)),
        Contender("scikit-learn threshold", partial(peer, algorithm="threshold")),
        Contender("scikit-learn lasso_cd", partial(peer, algorithm="lasso_cd")),
        Contender(
            "SPAMS lasso, 1 thread", spams and partial(spams_lasso, X, D, 1, True)
        ),
    ]
    code_table("Coding, codes ≥ 0", X, D, contenders, repeats)
    # What lasso_cd runs, down to a duality gap at which codes can be told apart.
    lasso = Lasso(
        ALPHA / X.shape[1], fit_intercept=False, positive=True, tol=1e-14
    ).fit(D.T, few.T)
    note(f"The difference below is to lasso_cd at tol=1e-14, on {len(few):,} rows.")
    difference = np.abs(relu.transform(few) - lasso.coef_).max() / lasso.coef_.max()
    at_most(1e-6, difference, "difference to lasso_cd")


def code_table(title, X, D, contenders, repeats):
    """Print times, and codes beside those of the first; return both by name."""
    seconds, results = measure(contenders, repeats)
    first = contenders[0].name
    rows, differences = [], {}
    for name in (c.name for c in contenders):
        rows.append([name])
        if name not in seconds:
            continue
        rows[-1] += [f"{seconds[name]:.4f}", f"{seconds[name] / seconds[first]:.1f}"]
        if "alone" not in name:
            A = results[name].toarray() if issparse(results[name]) else results[name]
            gap = np.abs(A - results[first][: len(A)]).max()
            differences[name] = gap / np.abs(results[first]).max()
            cost = objective(X[: len(A)], D, A)
            rows[-1] += [f"{differences[name]:.0e}", f"{cost:.5f}"]
    table(title, ["", "seconds", "× skscn", "difference", "objective"], rows)
    return seconds, differences


def learning(X, n_active, size, repeats):
    """Learn with each, then code with its dictionary to the optimum of the lasso."""
    peer = partial(
        MiniBatchDictionaryLearning,
        N_ATOMS,
        alpha=ALPHA,
        max_iter=size.n_passes,
        max_no_improvement=None,  # with tol=0: as many passes, no fewer
        tol=0.0,
        random_state=0,
    )
    ksvd = dictlearn and dictlearn.DictionaryLearning(
        N_ATOMS, n_nonzero_coefs=n_active, max_iter=size.n_ksvd, random_state=0
    )
    axes = np.linalg.eigh(X.T @ X)[1].T[::-1]
    plain = f"{size.n_alternations:,} plain alternations"
    lars = f"MiniBatchDictionaryLearning, {size.n_passes} passes, lars"
    learn = spams and partial(spams_learn, X, size.n_spams)
    often = [
        Contender("skscn, 1 worker", lambda: orthogonal(1).fit(X)),
        Contender("skscn, 2 workers", lambda: orthogonal(2).fit(X), 2),
        Contender("SPAMS trainDL, 1 thread", learn and partial(learn, 1)),
        Contender("SPAMS trainDL, 2 threads", learn and partial(learn, 2)),
    ]
    once = [
        Contender(plain, lambda: alternate(X, axes, size.n_alternations)),
        Contender(lars, lambda: peer().fit(X)),
        Contender(lars.replace("lars", "cd"), lambda: peer(fit_algorithm="cd").fit(X)),
        Contender(f"dictlearn AK-SVD({n_active})", ksvd and (lambda: ksvd.fit(X))),
        Contender("PCA", lambda: PCA(N_ATOMS).fit(X)),
        Contender("FastICA", lambda: FastICA(N_ATOMS, tol=1e-3, random_state=0).fit(X)),
        Contender(
            f"MiniBatchNMF, {size.n_passes} passes",
            lambda: MiniBatchNMF(
                N_ATOMS, max_iter=size.n_passes, max_no_improvement=None, tol=0.0
            ).fit(X - X.min()),
        ),
    ]
    seconds, results = measure(often, repeats)
    for found, more in zip((seconds, results), measure(once, 1), strict=True):
        found.update(more)
    encode = (
        spams_lasso
        if spams
        else partial(sparse_encode, algorithm="lasso_cd", alpha=ALPHA)
    )
    own, costs = seconds["skscn, 1 worker"], {}
    for name, result in results.items():
        D = getattr(result, "components_", result)
        D = np.array(result.mixing_.T if isinstance(result, FastICA) else D)
        D /= np.linalg.norm(D, axis=1, keepdims=True)
        costs[name] = objective(X, D, encode(X, D))
    excess = {name: 100 * (cost / costs[plain] - 1) for name, cost in costs.items()}
    rows = []
    for name in (c.name for c in often + once):
        rows.append([name])
        if name in seconds:
            rows[-1] += [f"{seconds[name]:.3f}", f"{seconds[name] / own:.1f}"]
            rows[-1] += [f"{costs[name]:.5f}", f"{excess[name]:+.3f}"]
    table("Learning", ["", "seconds", "× skscn", "objective", "% above"], rows)
    note(
        f"skscn took {results['skscn, 1 worker'].n_iter_} iterations at its default "
        "tol. % above is above the plain alternations, which ran once, as all below. "
        "The atoms of SPAMS, scikit-learn and dictlearn are not orthonormal, so that "
        "their objective may be lower. K-SVD lowers another objective, for "
        f"max_iter={size.n_ksvd}, and so do PCA, FastICA, whose atoms are the columns "
        "of its mixing matrix, and NMF, which reads the patches above their least "
        "entry."
    )
    at_most(0.1, excess["skscn, 1 worker"], f"% above {plain}")
    at_least(40, seconds[lars] / own, f"times faster than {lars}")
    for ours, theirs in (("1 worker", "1 thread"), ("2 workers", "2 threads")):
        name = f"SPAMS trainDL, {theirs}"
        times = seconds.get(name, np.nan) / seconds[f"skscn, {ours}"]
        at_least(1, times, f"times faster than {name}")
    at_most(1.05, seconds["skscn, 2 workers"] / own, "time of 2 workers by that of 1")


def iteration(X, D, repeats):
    """Time an iteration, and the linear algebra that no iteration can do without."""
    U = np.empty((len(X), len(D)))

    def products_and_svd():
        np.matmul(X, D.T, out=U)
        return np.linalg.svd(U.T @ X)

    contenders = [
        Contender("short", lambda: orthogonal(max_iter=10, tol=0).fit(X)),
        Contender("long", lambda: orthogonal(max_iter=20, tol=0).fit(X)),
        Contender("alone", products_and_svd),
    ]
    with warnings.catch_warnings():  # that it has not converged: it is told not to
        warnings.simplefilter("ignore", ConvergenceWarning)
        seconds, results = measure(contenders, 3 * repeats)
    more = results["long"].n_iter_ - results["short"].n_iter_
    took = (seconds["long"] - seconds["short"]) / max(more, 1)
    rows = [
        ["iteration 11 to 20 of a fit, in the mean", f"{1e3 * took:.2f}"],
        ["two matrix products and one SVD alone", f"{1e3 * seconds['alone']:.2f}"],
    ]
    table("One iteration of learning", ["1 thread", "ms"], rows)
    at_most(1.3, took / seconds["alone"], "iteration by products and SVD")


def projecting(shape, repeats):
    """Return milliseconds of the product and of transform, on one thread and two."""
    n_samples, n_features, n_atoms = shape
    X = np.random.default_rng(0).standard_normal((n_samples, n_features), np.float32)
    coder = OrthogonalSparseCoder(
        n_atoms, alpha=0.5, init="random", max_iter=0, random_state=0
    ).fit(X)
    D = coder.components_
    seconds, _ = measure(
        [
            Contender("product 1", lambda: X @ D.T),
            Contender("transform 1", lambda: coder.set_params(n_jobs=1).transform(X)),
            Contender("product 2", lambda: X @ D.T, 2),
            Contender(
                "transform 2", lambda: coder.set_params(n_jobs=2).transform(X), 2
            ),
        ],
        3 * repeats,
    )
    return [1e3 * value for value in seconds.values()]


def projecting_table(size, repeats):
    rows, budgets = [], []
    for shape, limit in zip(size.shapes, (1.5, 1.15), strict=True):
        product, one, product_2, two = projecting(shape, repeats)
        name = "{:,}×{}→{}".format(*shape)
        for threads, alone, whole in (("1", product, one), ("2", product_2, two)):
            cells = [f"{alone:.2f}", f"{whole:.2f}", f"{whole / alone:.2f}"]
            rows.append([f"{name}, {threads}", *cells])
            budgets.append((limit, whole / alone, f"ratio at {name}, {threads}"))
        budgets.append((1.05, two / one, f"time of 2 workers by that of 1 at {name}"))
    columns = ["float32, centred, threads", "X @ D.T, ms", "transform, ms", "ratio"]
    table("transform and its product", columns, rows)
    for line in budgets:
        at_most(*line)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="rounds (default: 5)")
    parser.add_argument("--quick", action="store_true", help="tiny: does it run?")
    options = parser.parse_args()
    size, repeats = (QUICK, 1) if options.quick else (Size(), options.repeats)
    X = patches(size.n_samples)
    print("# Natural image patches\n")
    print_machine(PACKAGES)
    note(
        f"{len(X):,} patches of {SIDE}×{SIDE}, float64; {N_ATOMS} atoms, {ALPHA=}. "
        "The mean of every patch is removed, and nothing else (center=False). Medians "
        "of interleaved runs; BLAS has one thread where nothing is said."
    )
    if options.quick:
        note("--quick: these figures mean nothing.")
    coder = orthogonal().fit(X)
    n_active = round(np.count_nonzero(coder.transform(X)) / len(X))
    coding(X, coder.components_, n_active, size, repeats)
    learning(X, n_active, size, repeats)
    iteration(X, coder.components_, repeats)
    projecting_table(size, repeats)


if __name__ == "__main__":
    main()
