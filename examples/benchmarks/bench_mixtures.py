"""Is a mixture of dictionaries a better density than a Gaussian mixture, and how fast?

On patches of 8×8 pixels from the two sample images of scikit-learn, without the mean of
each patch: 63 features. Training and test patches are drawn from the same images.
Seconds are of learning. Then clusters of digits are compared with those of k-means and
of a Gaussian mixture, of ten clusters each.
"""

import warnings
from dataclasses import dataclass

from _data import load_patches
from _measure import (
    make_parser,
    print_at_least,
    print_at_most,
    print_environment,
    print_note,
    print_table,
    timed,
)
from scipy.linalg import helmert
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from skscn import SparseCodingMixture

PACKAGES = ("numpy", "scipy", "scikit-learn")
SIDE = 8  # height and width of a patch


@dataclass(frozen=True)
class Sizes:
    """Sizes of the data and of the models."""

    n_patches: int = 20_000
    n_dictionaries: tuple = (1, 4, 10, 30, 60)
    timed: int = 10  # number of dictionaries whose time has a budget
    max_iter: int = 100


QUICK = Sizes(600, (1, 2), 2, 3)


def to_basis(patches):
    """Return patches without means in an orthonormal basis of their space."""
    return patches @ helmert(SIDE**2).T


def compare_likelihood(train, test, sizes):
    """Print the log-likelihood of test patches, and the time to learn."""
    rows, best, margin, ratio = [], -float("inf"), float("inf"), 0.0
    for n in sizes.n_dictionaries:
        models = {
            "GaussianMixture": GaussianMixture(n, reg_covar=1e-7, random_state=0),
            "skscn, Laplace": SparseCodingMixture(
                n, max_iter=sizes.max_iter, random_state=0
            ),
            "skscn, spike and slab": SparseCodingMixture(
                n, prior="spike_slab", max_iter=sizes.max_iter, random_state=0
            ),
        }
        scores, seconds = {}, {}
        for name, model in models.items():
            fitted, seconds[name] = timed(model.fit, train)
            scores[name] = fitted.score(test)
            values = scores[name], fitted.score(train)
            cells = [f"{value:.2f}" for value in values]
            rows.append([f"{name}, {n}", *cells, f"{seconds[name]:.1f}"])
        best = max(best, scores["skscn, Laplace"])
        margin = min(margin, scores["skscn, Laplace"] - scores["GaussianMixture"])
        if n == sizes.timed:
            ratio = seconds["skscn, Laplace"] / seconds["GaussianMixture"]
    columns = ["", "test", "training", "seconds"]
    print_table("Mean log-likelihood of a patch, nats", columns, rows)
    print_at_least(199.5, best, "nats of test patches, the best number of dictionaries")
    print_at_least(0, margin, "nats above a Gaussian mixture of as many components")
    name = f"time to learn {sizes.timed} dictionaries, relative to GaussianMixture"
    print_at_most(1.5, ratio, name)


def compare_clusters(sizes):
    """Print how well clusters of digits agree with their labels."""
    X, y = load_digits(return_X_y=True)
    X = PCA(20).fit_transform(X)
    models = {
        "KMeans": KMeans(10, random_state=0),
        "GaussianMixture": GaussianMixture(10, random_state=0),
        "skscn, Laplace": SparseCodingMixture(
            10, 10, max_iter=sizes.max_iter, random_state=0
        ),
    }
    rows = [
        [name, f"{adjusted_rand_score(y, model.fit_predict(X)):.3f}"]
        for name, model in models.items()
    ]
    title = "Clusters of digits, 20 principal components"
    print_table(title, ["", "adjusted Rand index"], rows)


def main():
    options = make_parser(__doc__).parse_args()
    sizes = QUICK if options.quick else Sizes()
    print("# Mixtures\n")
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
        compare_clusters(sizes)


if __name__ == "__main__":
    main()
