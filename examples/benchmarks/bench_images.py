"""How accurately do sparse coding networks classify images, and how long does it take?

On digits, USPS, MNIST, Fashion-MNIST and CIFAR-10, compared with classifiers on pixels,
and with the same network with k-means, random and random-patch atoms. The Debian
package dataset-fashion-mnist has the images of Fashion-MNIST, and so has OpenML.
"""

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from _data import load_images
from _measure import (
    make_parser,
    one_process,
    peak_memory,
    print_at_least,
    print_environment,
    print_note,
    print_table,
    timed,
)
from scipy.ndimage import affine_transform
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
MIN_ACCURACY = {
    "digits": 99.3,
    "usps": 97.5,
    "mnist": 99.3,
    "fashion": 93.0,
    "cifar10": 77.0,
}
COLUMNS = ["", "features", "accuracy, %", "fit features, s", "transform, ms"]
COLUMNS += ["fit classifier, s", "GB"]


class BaselineCoder(ConvSparseCoder):
    """A layer with other atoms of whitened patches, of the same number."""

    def _fit_group(self, rows, n_components, rng, task):
        whitening, coder = super()._fit_group(rows, n_components, rng, task)
        atoms = self._make_atoms(whitening(rows), n_components, rng)
        coder.components_ = atoms.reshape(coder.components_.shape)
        return whitening, coder


class KMeansCoder(BaselineCoder):
    """Atoms are k-means centers of unit norm, as in Coates and Ng (2011)."""

    def _make_atoms(self, rows, n_components, rng):
        kmeans = MiniBatchKMeans(
            n_components * self.n_dictionaries,
            batch_size=4096,
            n_init=1,
            random_state=rng,
        )
        centers = kmeans.fit(rows).cluster_centers_
        return centers / np.linalg.norm(centers, axis=1, keepdims=True)


class RandomCoder(BaselineCoder):
    """Dictionaries are random rotations."""

    def _make_atoms(self, rows, n_components, rng):
        shape = (self.n_dictionaries, n_components, n_components)
        return np.linalg.qr(rng.normal(size=shape))[0]


class RandomPatchesCoder(BaselineCoder):
    """Dictionaries are the orthonormal atoms nearest to random patches."""

    def _make_atoms(self, rows, n_components, rng):
        shape = (self.n_dictionaries, n_components)
        patches = rows[rng.choice(len(rows), size=shape)]
        left, _, right = np.linalg.svd(patches, full_matrices=False)
        return left @ right


@dataclass(frozen=True)
class Model:
    """A classifier, and a function that returns more training images of some."""

    name: str
    make: partial
    copy: Callable | None = None


def mirror(images):
    """Return one copy of all images."""
    return images[:, :, ::-1]


def distort(images):
    """Return two copies, rotated, scaled, sheared and shifted a little."""
    rng = np.random.default_rng(0)
    center = (np.array(images.shape[1:3]) - 1) / 2
    copies = np.concatenate([images, images])
    for image in copies:
        angle, shear = np.deg2rad(rng.uniform(-10, 10)), rng.uniform(-0.1, 0.1)
        cos, sin = np.cos(angle), np.sin(angle)
        matrix = np.array([[cos, -sin], [sin, cos]]) @ [[1, shear], [0, 1]]
        matrix *= 1 + rng.uniform(-0.1, 0.1, size=2)
        offset = center - matrix @ (center + rng.uniform(-1, 1, size=2))
        for channel in np.moveaxis(np.atleast_3d(image), 2, 0):
            channel[:] = affine_transform(channel.copy(), matrix, offset, order=1)
    return copies


def flatten(X):
    return X.reshape(len(X), -1).astype(np.float32)


def pixel_classifier(*steps):
    """Return a Pipeline whose steps are given rows of pixels between 0 and 1."""
    return make_pipeline(FunctionTransformer(flatten), MaxAbsScaler(), *steps)


def network_classifier(preset, classifier, Coder=ConvSparseCoder, **options):
    """Return a predefined network, with another class of layers or other options."""
    model = make_sparse_coding_network(
        preset, classifier=classifier, n_jobs=-1, random_state=0
    )
    layers = model["network"].get_params()
    coders = {
        name: Coder(**{**layer.get_params(), **options})
        for name, layer in layers.items()
        if isinstance(layer, ConvSparseCoder)
    }
    model["network"].set_params(**coders)
    return model


def two_layer_classifier(classifier):
    """Return a network of two layers, one after the other."""
    layers = [
        ("conv1", ConvSparseCoder(16, kernel_size=5, contrast=0.1, random_state=0)),
        ("pool1", SpatialPool("max", window=2, stride=1)),
        ("conv2", ConvSparseCoder(48, kernel_size=3, random_state=0)),
        ("pool2", SpatialPool("gaussian", grid=4, power=0.5)),
    ]
    return make_sparse_coding_network(layers, classifier=classifier, n_jobs=-1)


def nystroem_classifier(n_components, gamma, alpha):
    """Return a ridge classifier with an approximate RBF kernel."""
    return make_pipeline(
        Nystroem(gamma=gamma, n_components=n_components, random_state=0),
        StreamingRidgeClassifier(alpha=alpha, floor=0, n_jobs=-1),
    )


def make_models(name):
    """Return the models for a data set."""
    preset = "natural" if name == "cifar10" else "digits"
    linear = LogisticRegression(max_iter=300)
    classifier = LogisticRegression(C=0.01, max_iter=300)
    if preset == "natural":
        classifier = StreamingRidgeClassifier(n_jobs=-1)
    svc = SVC(C=10, cache_size=1000)
    boosting = HistGradientBoostingClassifier(max_iter=50, random_state=0)
    mlp = MLPClassifier(256, early_stopping=True, random_state=0)
    pca = PCA(0.95, random_state=0)
    network = partial(network_classifier, preset, classifier)
    not_learned = {"max_iter": 0}
    models = [
        Model("pixels, LogisticRegression", partial(pixel_classifier, linear)),
        Model("PCA + LogisticRegression", partial(pixel_classifier, pca, linear)),
        Model("PCA + SVC, RBF", partial(pixel_classifier, pca, svc)),
        Model("MLPClassifier, 256", partial(pixel_classifier, mlp)),
        Model("HistGradientBoosting, 50", partial(pixel_classifier, boosting)),
        Model("random orthonormal atoms", partial(network, RandomCoder, **not_learned)),
        Model(
            "random patches as atoms",
            partial(network, RandomPatchesCoder, **not_learned),
        ),
        Model("principal axes as atoms", partial(network, **not_learned)),
        Model("k-means atoms", partial(network, KMeansCoder, **not_learned)),
        Model(f'learned atoms: skscn, "{preset}"', network),
    ]
    if preset == "natural":
        models.append(Model("the same with mirror images", network, mirror))
    else:
        models.append(Model("the same with two distorted copies", network, distort))
        models.append(
            Model("skscn, two layers", partial(two_layer_classifier, classifier))
        )
        ridge = StreamingRidgeClassifier(n_jobs=-1)
        models.append(
            Model(
                f'skscn, "{preset}", ridge', partial(network_classifier, preset, ridge)
            )
        )
        models.append(replace(models[-1], name="the same with copies", copy=distort))
    if name in ("synthetic", "fashion", "cifar10"):
        del models[4]  # HistGradientBoosting is slow on many features
    if name in ("digits", "usps"):
        title, kernel = "SVC, RBF", SVC(C=10, gamma=2.5e-5, cache_size=1000)
    else:
        title = "Nystroem, RBF, and ridge"
        values = {"cifar10": (8000, 2e-5, 1e-6), "fashion": (8000, 2.5e-5, 1e-6)}
        kernel = nystroem_classifier(*values.get(name, (4000, 2.5e-5, 1e-4)))
    title = f'skscn, "{preset}", {title}'
    models.append(Model(title, partial(network_classifier, preset, kernel)))
    if name == "cifar10":
        title = "Nystroem and ridge, with mirror images"
        models.append(replace(models[-1], name=title, copy=mirror))
    if name == "fashion":  # clothes are upright: distorted copies are less accurate
        models = [model for model in models if model.copy is None]
    return models


def evaluate(model, X, y, X_test, y_test):
    """Fit the steps of a model one by one; return the values of the columns."""
    if model.copy is not None:
        copies = model.copy(X)
        X = np.concatenate([X, copies])
        y = np.tile(y, len(X) // len(y))
    fit_seconds = transform_seconds = 0.0
    *steps, classifier = (step for _, step in model.make().steps)
    n_images = len(X) + len(X_test)
    for step in steps:
        fit_seconds += timed(step.fit, X)[1]
        X, seconds = timed(step.transform, X)
        X_test, test_seconds = timed(step.transform, X_test)
        transform_seconds += seconds + test_seconds
    _, classifier_seconds = timed(classifier.fit, X, y)
    accuracy = 100 * np.mean(classifier.predict(X_test) == y_test)
    milliseconds = 1000 * transform_seconds / n_images
    return X.shape[1], accuracy, fit_seconds, milliseconds, classifier_seconds


def evaluate_folds(name, index, n_folds):
    """Return the values of the columns of a model, averaged over folds."""
    warnings.simplefilter("ignore")  # other classifiers may not converge
    model, (X, y, X_test, y_test) = make_models(name)[index], load_images(name)
    if name == "digits":
        X, y = np.concatenate([X, X_test]), np.concatenate([y, y_test])
        folds = RepeatedStratifiedKFold(n_splits=5, n_repeats=2, random_state=0)
        splits = list(folds.split(X, y))[:n_folds]
        values = [evaluate(model, X[i], y[i], X[j], y[j]) for i, j in splits]
    else:
        values = [evaluate(model, X, y, X_test, y_test)]
    return [*np.mean(values, axis=0), peak_memory() / 2**10]


def compare(name, quick):
    """Print the table of a data set; every model has a process of its own."""
    rows, best = [], 0.0
    formats = ["{:,.0f}", "{:.2f}", "{:.1f}", "{:.2f}", "{:.1f}", "{:.2f}"]
    n_folds = 1 if quick else 10
    with one_process(quick) as pool:
        for index, model in enumerate(make_models(name)):
            try:
                values = pool.submit(evaluate_folds, name, index, n_folds).result()
            except OSError as error:
                print_note(f"{name} is omitted, because it cannot be loaded: {error}")
                return
            if "skscn" in model.name or model.copy is not None:
                best = max(best, values[1])
            cells = [f.format(v) for f, v in zip(formats, values, strict=True)]
            rows.append([model.name, *cells])
            print(f"{name}: {' | '.join(rows[-1])}", file=sys.stderr)
    print_table(name, COLUMNS, rows)
    if name in MIN_ACCURACY:
        print_at_least(MIN_ACCURACY[name], best, f"accuracy of skscn on {name}, %")


def main():
    parser = make_parser(__doc__)
    parser.add_argument(
        "datasets", nargs="*", help=f"one or more of: {', '.join(MIN_ACCURACY)}"
    )
    options = parser.parse_args()
    print_environment(PACKAGES)
    names = options.datasets or (["synthetic"] if options.quick else list(MIN_ACCURACY))
    for name in names:
        compare(name, options.quick)
    print_note(
        "'fit features' and 'transform' are of all steps before the classifier; "
        "'transform' is per image, for training and test images together. 'GB' is the "
        "largest memory of the process, including the data and the libraries. With "
        "several dictionaries the principal axes are those of clusters. Results "
        "for digits are means of two repetitions of 5-fold cross-validation. The file "
        "of CIFAR-10 in SKSCN_DATA may contain a part of the data set."
    )


if __name__ == "__main__":
    main()
