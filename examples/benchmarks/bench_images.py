"""How well do networks of sparse codes read images, and what does it cost?

On digits, USPS, MNIST and CIFAR-10, beside classifiers on pixels, and beside k-means,
random and random-patch atoms in the same network.
"""

import argparse
import multiprocessing
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from _data import images
from _measure import at_least, note, peak_memory, print_machine, table
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler
from sklearn.svm import SVC

from skscn import (
    ConvSparseCoder,
    SpatialPool,
    StreamingRidgeClassifier,
    make_sparse_coding_network,
)

PACKAGES = ("numpy", "scipy", "scikit-learn")
GOALS = {"digits": 99.3, "usps": 97.5, "mnist": 99.3, "cifar10": 71.0}
COLUMNS = ["", "features", "accuracy, %", "learn, s", "encode, ms", "head, s", "GB"]


class KMeansCoder(ConvSparseCoder):
    """The same layer with the centres of k-means for atoms, as Coates and Ng have it.

    They are the centres of whitened patches, brought to unit length.
    """

    def _fit_group(self, rows, n_components, rng, task):
        whitening, coder = super()._fit_group(rows, n_components, rng, task)
        means = MiniBatchKMeans(n_components, batch_size=4096, n_init=1, random_state=0)
        centers = means.fit(whitening(rows)).cluster_centers_
        coder.components_ = centers / np.linalg.norm(centers, axis=1, keepdims=True)
        return whitening, coder


@dataclass(frozen=True)
class Model:
    """A classifier on pixels or features, and whether to train with mirrored images."""

    name: str
    make: partial
    flips: bool = False


def flatten(X):
    return X.reshape(len(X), -1).astype(np.float32)


def pixels(*steps):
    """Return steps that read flat rows of pixels between 0 and 1."""
    return make_pipeline(FunctionTransformer(flatten), MaxAbsScaler(), *steps)


def network(preset, head, Coder=ConvSparseCoder, **options):
    """Return a network by name, with other coders, or other options of them."""
    model = make_sparse_coding_network(
        preset, classifier=head, n_jobs=-1, random_state=0
    )
    layers = model["network"].get_params()
    coders = {
        name: Coder(**{**layer.get_params(), **options})
        for name, layer in layers.items()
        if isinstance(layer, ConvSparseCoder)
    }
    model["network"].set_params(**coders)
    return model


def stack(head):
    """Return two layers, one on top of the other."""
    layers = [
        ("conv1", ConvSparseCoder(16, kernel_size=5, contrast=0.1, random_state=0)),
        ("pool1", SpatialPool("max", window=2, stride=1)),
        ("conv2", ConvSparseCoder(48, kernel_size=3, random_state=0)),
        ("pool2", SpatialPool("gaussian", grid=4, power=0.5)),
    ]
    return make_sparse_coding_network(layers, classifier=head, n_jobs=-1)


def nystroem():
    """Return ridge classification by an rbf kernel, approximately."""
    return make_pipeline(
        Nystroem(gamma=5e-5, n_components=4000, random_state=0),
        StreamingRidgeClassifier(alpha=1e-4, floor=0, n_jobs=-1),
    )


def models(name):
    """Return what runs on a data set; `ours` is first of the networks."""
    preset = "natural" if name == "cifar10" else "digits"
    linear = LogisticRegression(max_iter=300)
    head = LogisticRegression(C=0.01, max_iter=300)
    if preset == "natural":
        head = StreamingRidgeClassifier(alpha=0.03, n_jobs=-1)
    svc = SVC(C=10, cache_size=1000)
    boosting = HistGradientBoostingClassifier(max_iter=50, random_state=0)
    mlp = MLPClassifier(256, early_stopping=True, random_state=0)
    few = PCA(0.95, random_state=0)
    ours = partial(network, preset, head)
    fixed = {"max_iter": 0}
    chosen = [
        Model("pixels, LogisticRegression", partial(pixels, linear)),
        Model("PCA + LogisticRegression", partial(pixels, few, linear)),
        Model("PCA + SVC, rbf", partial(pixels, few, svc)),
        Model("MLPClassifier, 256", partial(pixels, mlp)),
        Model("HistGradientBoosting, 50", partial(pixels, boosting)),
        Model("random orthonormal atoms", partial(ours, init="random", **fixed)),
        Model("random patches as atoms", partial(ours, init="patches", **fixed)),
        Model("principal axes as atoms", partial(ours, **fixed)),
        Model("k-means atoms", partial(ours, KMeansCoder, **fixed)),
        Model(f'learned atoms: skscn, "{preset}"', ours),
    ]
    if preset == "natural":
        chosen.append(Model("the same, trained with flips", ours, flips=True))
    else:
        chosen.append(Model("two skscn layers, a stack", partial(stack, head)))
        ridge = StreamingRidgeClassifier(n_jobs=-1)
        chosen.append(
            Model(f'skscn, "{preset}", ridge', partial(network, preset, ridge))
        )
    if name in ("synthetic", "cifar10"):
        del chosen[4]  # slow on however few images, and on 3,072 features
    if name in ("digits", "usps"):
        title, head = "SVC, rbf", SVC(C=10, gamma=5e-5, cache_size=1000)
    else:
        title, head = "Nystroem, rbf, and ridge", nystroem()
    chosen.append(Model(f'skscn, "{preset}", {title}', partial(network, preset, head)))
    return chosen


def judge(model, X, y, Z, z):
    """Fit a model step by step; return figures in the order of the columns."""
    if model.flips:
        X, y = np.concatenate([X, X[:, :, ::-1]]), np.concatenate([y, y])
    learn = encode = 0.0
    *steps, head = (step for _, step in model.make().steps)
    n_images = len(X) + len(Z)
    for step in steps:
        start = time.perf_counter()
        step.fit(X)
        learned = time.perf_counter()
        X, Z = step.transform(X), step.transform(Z)
        learn += learned - start
        encode += time.perf_counter() - learned
    start = time.perf_counter()
    head.fit(X, y)
    seconds = time.perf_counter() - start
    accuracy = 100 * np.mean(head.predict(Z) == z)
    return X.shape[1], accuracy, learn, 1000 * encode / n_images, seconds


def figures(name, index, n_folds):
    """Return the figures of a model on a data set, in the mean over folds."""
    warnings.simplefilter("ignore")  # that peers have not converged
    model, (X, y, Z, z) = models(name)[index], images(name)
    if name == "digits":
        X, y = np.concatenate([X, Z]), np.concatenate([y, z])
        folds = RepeatedStratifiedKFold(n_splits=5, n_repeats=2, random_state=0)
        splits = list(folds.split(X, y))[:n_folds]
        parts = [judge(model, X[i], y[i], X[j], y[j]) for i, j in splits]
    else:
        parts = [judge(model, X, y, Z, z)]
    return [*np.mean(parts, axis=0), peak_memory() / 2**10]


def compare(name, n_folds):
    """Print the table of a data set, every model in a process of its own."""
    rows, best = [], 0.0
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as pool:
        for index, model in enumerate(models(name)):
            try:
                width, accuracy, *rest = pool.submit(
                    figures, name, index, n_folds
                ).result()
            except OSError as error:
                note(f"{name} was left out, for it is not at hand: {error}")
                return
            if "skscn" in model.name or model.flips:
                best = max(best, accuracy)
            cells = [f"{width:,.0f}", f"{accuracy:.2f}"]
            cells += ["{:.1f}", "{:.2f}", "{:.1f}", "{:.2f}"]
            cells[2:] = [c.format(v) for c, v in zip(cells[2:], rest, strict=True)]
            rows.append([model.name, *cells])
            print(f"{name}: {' | '.join(rows[-1])}", flush=True)
    table(name, COLUMNS, rows)
    if name in GOALS:
        at_least(GOALS[name], best, f"accuracy of skscn on {name}, %")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", default=None, help="of " + ", ".join(GOALS))
    parser.add_argument("--quick", action="store_true", help="hardly any data")
    arguments = parser.parse_args()
    print_machine(PACKAGES)
    names = arguments.sets or (["synthetic"] if arguments.quick else list(GOALS))
    for name in names:
        compare(name, 1 if arguments.quick else 10)
    note(
        "encode: milliseconds an image, through all steps before the last, of training "
        "and test images together. head: seconds to train the last step. GB: the most "
        "memory that the process had at any time, the data and the libraries included. "
        "Digits: twice five folds. CIFAR-10 with SKSCN_DATA may be a part of it."
    )


if __name__ == "__main__":
    main()
