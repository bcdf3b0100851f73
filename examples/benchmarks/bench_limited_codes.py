"""How fast and how good are codes with a given number of coefficients?

Compared with orthogonal matching pursuit (OMP) and dictionary learning of scikit-learn,
SPAMS and dictlearn, on 8×8 patches of scikit-learn's two sample images, in gray from 0
to 1, without the mean of each patch. Every sample has at most 5 coefficients.
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
from sklearn.decomposition import (
    DictionaryLearning,
    MiniBatchDictionaryLearning,
    sparse_encode,
)

from skscn import NonNegativeSparseCoder, OrthogonalSparseCoder

PACKAGES = ("numpy", "scipy", "scikit-learn", "spams-bin", "dictlearn")
SIDE, N_NONZERO, ALPHA = 8, 5, 0.1
N_ATOMS = SIDE * SIDE

spams, dictlearn = import_optional("spams"), import_optional("dictlearn")


@dataclass(frozen=True)
class Sizes:
    """Sizes of the data, and numbers of iterations."""

    n_samples: int = 50_000
    n_few_samples: int = 2_000  # for DictionaryLearning
    n_iterations: int = 10  # of DictionaryLearning
    n_epochs: int = 5  # of MiniBatchDictionaryLearning
    n_spams_iterations: int = 200
    n_ksvd_iterations: int = 10


QUICK = Sizes(1_000, 100, 1, 1, 5, 1)


def make_coder(Coder=OrthogonalSparseCoder, **options):
    options = {"n_nonzero_coefs": N_NONZERO, **options}
    return Coder(center=False, n_jobs=1, **options)


def spams_omp(X, D):
    columns, atoms = np.asfortranarray(X.T), np.asfortranarray(D.T)
    return spams.omp(columns, D=atoms, L=N_NONZERO, numThreads=1).T


def spams_learn(X, n_iter):
    """Learn atoms with an L0 constraint."""
    options = {"lambda1": N_NONZERO, "mode": 3, "batchsize": 512, "verbose": False}
    columns = np.asfortranarray(X.T)
    return spams.trainDL(columns, K=N_ATOMS, iter=n_iter, numThreads=1, **options).T


def relative_error(X, D, A):
    """Return the squared error of the reconstructions, relative to the samples."""
    return np.sum((X - A @ D) ** 2) / np.sum(X**2)


def omp(X, D):
    """Return codes by the fastest OMP that is installed."""
    if spams:
        return spams_omp(X, D).toarray()
    return sparse_encode(X, D, algorithm="omp", n_nonzero_coefs=N_NONZERO)


def compare_coding(X, D, repeats):
    limited, soft, hard, positive, sparse = (
        make_coder(init=D, max_iter=0, **options).fit(X).transform
        for options in (
            {},
            {"alpha": ALPHA, "n_nonzero_coefs": None},
            {"alpha": ALPHA, "n_nonzero_coefs": None, "prior": "spike_slab"},
            {"Coder": NonNegativeSparseCoder},
            {"sparse_output": True},
        )
    )
    methods = [
        Method(f"skscn, n_nonzero_coefs={N_NONZERO}", lambda: limited(X)),
        Method("skscn, the same as CSR", lambda: sparse(X)),
        Method("skscn, the same of non-negative codes", lambda: positive(X)),
        Method("skscn, soft threshold", lambda: soft(X)),
        Method("skscn, hard threshold", lambda: hard(X)),
        Method(
            "scikit-learn OMP",
            partial(sparse_encode, X, D, algorithm="omp", n_nonzero_coefs=N_NONZERO),
        ),
        Method("SPAMS OMP", spams and partial(spams_omp, X, D)),
        Method(
            "dictlearn OMP",
            dictlearn
            and partial(
                dictlearn.sparse_encode,
                X,
                D,
                algorithm="omp",
                n_nonzero_coefs=N_NONZERO,
            ),
        ),
    ]
    seconds, results = time_methods(methods, repeats)
    own = methods[0].name
    rows, differences = [], {}
    for name in (m.name for m in methods):
        rows.append([name])
        if name in seconds:
            A = results[name]
            A = A if isinstance(A, np.ndarray) else A.toarray()
            differences[name] = np.abs(A - results[own]).max() / np.abs(A).max()
            rows[-1] += [
                f"{seconds[name]:.4f}",
                f"{seconds[name] / seconds[own]:.1f}",
                f"{np.count_nonzero(A) / len(A):.1f}",
                f"{100 * relative_error(X, D, A):.2f}",
                f"{differences[name]:.0e}",
            ]
    columns = ["", "seconds", "× skscn", "coefficients", "error, %", "difference"]
    print_table("Coding with the same orthonormal atoms", columns, rows)
    print_at_most(1e-10, differences["scikit-learn OMP"], "difference from OMP")
    for name, limit in (("scikit-learn OMP", 20), ("SPAMS OMP", 3)):
        ratio = seconds.get(name, np.nan) / seconds[own]
        print_at_least(limit, ratio, f"times faster than {name}")
    ratio = seconds[own] / seconds["skscn, soft threshold"]
    print_at_most(3, ratio, "time relative to the soft threshold")


def compare_learning(X, sizes, repeats):
    few = X[: sizes.n_few_samples]
    limits = {"transform_algorithm": "omp", "transform_n_nonzero_coefs": N_NONZERO}
    limits["fit_algorithm"] = "cd"  # several times faster than lars
    mini_batch = MiniBatchDictionaryLearning(
        N_ATOMS,
        alpha=ALPHA,
        max_iter=sizes.n_epochs,
        max_no_improvement=None,  # and tol=0: all epochs are run
        tol=0.0,
        random_state=0,
        **limits,
    )
    batch = DictionaryLearning(
        N_ATOMS, alpha=ALPHA, max_iter=sizes.n_iterations, random_state=0, **limits
    )
    ksvd = dictlearn and dictlearn.DictionaryLearning(
        N_ATOMS,
        n_nonzero_coefs=N_NONZERO,
        max_iter=sizes.n_ksvd_iterations,
        random_state=0,
    )
    axes = np.linalg.eigh(X.T @ X)[1].T[::-1]
    learn = spams and partial(spams_learn, X, sizes.n_spams_iterations)
    epochs = f"{sizes.n_epochs} epochs"
    fast_methods = [
        Method(f"skscn, n_nonzero_coefs={N_NONZERO}", lambda: make_coder().fit(X)),
        Method(
            f"skscn, soft threshold {ALPHA:g}",
            lambda: make_coder(alpha=ALPHA, n_nonzero_coefs=None).fit(X),
        ),
        Method("SPAMS trainDL, L0", learn),
    ]
    slow_methods = [
        Method(f"MiniBatchDictionaryLearning, {epochs}", lambda: mini_batch.fit(X)),
        Method(f"DictionaryLearning, {len(few):,} rows", lambda: batch.fit(few)),
        Method("dictlearn AK-SVD", ksvd and (lambda: ksvd.fit(X))),
        Method("principal axes, not learned", lambda: axes),
    ]
    seconds, results = time_methods(fast_methods, repeats)
    for values, more in zip(
        (seconds, results), time_methods(slow_methods, min(repeats, 1)), strict=True
    ):
        values.update(more)
    own, rows, errors = fast_methods[0].name, [], {}
    for name in (m.name for m in fast_methods + slow_methods):
        rows.append([name])
        if name in seconds:
            D = np.array(getattr(results[name], "components_", results[name]))
            D /= np.linalg.norm(D, axis=1, keepdims=True)
            errors[name] = 100 * relative_error(X, D, omp(X, D))
            gram = D @ D.T - np.eye(len(D))
            rows[-1] += [
                f"{seconds[name]:.3f}",
                f"{seconds[name] / seconds[own]:.1f}",
                f"{errors[name]:.2f}",
                f"{np.abs(gram).max():.2f}",
            ]
    columns = ["", "seconds", "× skscn", "error, %", "coherence"]
    print_table(f"Learning {N_ATOMS} atoms", columns, rows)
    print_note(
        f"The error is that of the best {N_NONZERO} coefficients that OMP finds on the "
        "atoms of each method. It is exact for orthonormal atoms. Atoms of coherence "
        "above zero are not orthonormal, so that they can describe a sample better, "
        "and OMP is only a heuristic for them. The methods below SPAMS were run once."
    )
    name = slow_methods[0].name
    print_at_least(10, seconds[name] / seconds[own], f"times faster than {name}")
    soft = fast_methods[1].name
    print_at_most(1, errors[own] / errors[soft], f"error relative to {soft}")


def main():
    options = make_parser(__doc__, repeats=5).parse_args()
    sizes, repeats = (QUICK, 0) if options.quick else (Sizes(), options.repeats)
    patches = load_patches(sizes.n_samples, SIDE, (0, 0))
    X = np.random.default_rng(0).permutation(patches)
    print("# Codes with a given number of coefficients\n")
    print_environment(PACKAGES)
    print_note(
        f"{len(X):,} patches of {SIDE}×{SIDE}, float64; {N_ATOMS} atoms; "
        f"n_nonzero_coefs={N_NONZERO}; one thread. The mean of every patch is "
        "subtracted, but not the mean patch (center=False). Times are medians of "
        "interleaved runs."
    )
    if options.quick:
        print_note("--quick: the values are not meaningful.")
    warnings.filterwarnings("ignore", "Orthogonal matching pursuit ended prematurely")
    coder = make_coder().fit(X)
    compare_coding(X, coder.components_, repeats)
    compare_learning(X, sizes, repeats)


if __name__ == "__main__":
    main()
