"""How well and how fast are anomalies detected, and are the explanations right?

On the data sets of ADBench in the folder SKSCN_DATA/adbench: a stratified 70 % of the
rows are training data, without labels and including anomalies, and 30 % are test data,
for several seeds. Larger data sets are reduced to 20,000 rows. Then the training data
are 100, 200 and 400 rows. Then one class of digits, or of the signals of the UCR
archive, is normal and the others are anomalies.
Without the folder, and with --quick, on artificial data.
"""

import warnings
from statistics import mean

import numpy as np
from _data import data_folder, load_images, load_signals, make_signals, signal_names
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
    timed,
)
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.covariance import EllipticEnvelope, EmpiricalCovariance
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import train_test_split
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import OneClassSVM

from skscn import ConvSparseCoder, SparseCodingDetector, SparseCodingMixture

PACKAGES = ("numpy", "scipy", "scikit-learn", "pyod")
OURS = "skscn"
MAX_ROWS = 20_000
MAX_FEATURES = 500  # of EllipticEnvelope, which takes hours for more
SMALL_SAMPLES = (100, 200, 400)  # rows of small training data
MAX_SMALL_FEATURES = 100  # of a table that they are taken from
MAX_TEST_ROWS = 2_000  # of small training data
DIGITS_PER_CLASS = 2_000  # in the training data
MIN_SIGNALS = 10  # of a class that is normal


class Scorer(OutlierMixin, BaseEstimator):
    """A detector made of any estimator and a function that scores samples with it.

    Parameters
    ----------
    model : estimator
    score : callable
        Maps the fitted model and rows to scores, which are higher for normal rows.
    """

    def __init__(self, model, score):
        self.model = model
        self.score = score

    def fit(self, X, y=None):
        """Fit the model."""
        self.model.fit(X)
        self.fitted_ = True
        return self

    def score_samples(self, X):
        """Return the scores."""
        return self.score(self.model, X)


class LimitedEllipticEnvelope(EllipticEnvelope):
    """EllipticEnvelope, with an error for data that would take hours."""

    def fit(self, X, y=None):
        """Fit if there are at most MAX_FEATURES features."""
        if X.shape[1] > MAX_FEATURES:
            raise ValueError(f"{X.shape[1]} features would take hours.")
        return super().fit(X)


def flatten(images):
    """Return images as rows."""
    return images.reshape(len(images), -1)


def on_rows(detector):
    """Return a detector that takes images and gives their rows to a detector."""
    return make_pipeline(FunctionTransformer(flatten), detector)


def nearest_neighbors():
    """Return a detector by the distance to the fifth nearest neighbor."""
    model = NearestNeighbors(n_neighbors=5)
    return Scorer(model, lambda model, X: -model.kneighbors(X)[0][:, -1])


def mahalanobis():
    """Return a detector by the Mahalanobis distance."""
    return Scorer(EmpiricalCovariance(), lambda model, X: -model.mahalanobis(X))


def pca_reconstruction():
    """Return a detector by the error of PCA with 90 % of the variance."""

    def score(model, X):
        reconstruction = model.inverse_transform(model.transform(X))
        return -np.square(X - reconstruction).sum(axis=1)

    return Scorer(PCA(0.9, svd_solver="full"), score)


def pyod_detector(name):
    """Return a detector of PyOD, or None if PyOD is not installed."""
    module = import_optional(f"pyod.models.{name.lower()}")
    if module is None:
        return None
    model = getattr(module, name)()
    # PyOD's scores are higher for anomalies.
    return Scorer(model, lambda model, X: -model.decision_function(X))


def make_baselines(seed):
    """Return other detectors by name, with default parameters, on standardized data."""
    models = {
        "IsolationForest": IsolationForest(random_state=seed),
        "LocalOutlierFactor": LocalOutlierFactor(novelty=True),
        "5 neighbors": nearest_neighbors(),
        "Mahalanobis": mahalanobis(),
        "PCA, 90 %": pca_reconstruction(),
        "OneClassSVM": OneClassSVM(),
        "EllipticEnvelope": LimitedEllipticEnvelope(random_state=seed),
        "GaussianMixture, 8": GaussianMixture(8, reg_covar=1e-3, random_state=seed),
    }
    models |= {name: pyod_detector(name) for name in ("ECOD", "COPOD", "HBOS")}
    return {
        name: None if model is None else make_pipeline(StandardScaler(), model)
        for name, model in models.items()
    }


def load_tables(quick):
    """Yield the name, the rows and the labels of every table; anomalies are True."""
    if quick or data_folder() is None:
        rng = np.random.default_rng(0)
        for name, scale in (("scaled rows", 3.0), ("permuted features", 1.0)):
            X = rng.laplace(size=(400, 6)) @ rng.normal(size=(6, 6))
            y = np.arange(400) % 10 == 0
            X[y] = scale * (X[y] if scale > 1 else rng.permuted(X, axis=0)[y])
            yield name, X, y
        return
    for path in sorted((data_folder() / "adbench").glob("*.npz")):
        with np.load(path) as data:
            X, y = data["X"], data["y"] == 1
        if len(X) > MAX_ROWS:
            rows = np.random.default_rng(0).choice(len(X), MAX_ROWS, replace=False)
            X, y = X[rows], y[rows]
        yield path.stem, X.astype(np.float64), y


def evaluate(model, X, X_test, is_anomaly):
    """Return AUROC, average precision, and the seconds of fitting and of scoring."""
    _, fit_seconds = timed(model.fit, X)
    scores, score_seconds = timed(model.score_samples, X_test)
    scores = np.nan_to_num(-scores)
    return (
        roc_auc_score(is_anomaly, scores),
        average_precision_score(is_anomaly, scores),
        fit_seconds,
        score_seconds,
    )


def compare(make_detectors, datasets):
    """Return results of shape (n_detectors, n_datasets, 4), averaged over trials.

    Parameters
    ----------
    make_detectors : callable
        Maps a seed to a dict of detectors; None is a detector that is not installed.
    datasets : iterable of iterable of (seed, X, X_test, is_anomaly)
        The trials of every data set. A detector that raises gets the results of chance.
    """
    results, messages = [], set()
    for trials in datasets:
        trial_results = []
        for seed, X, X_test, is_anomaly in trials:
            rows = []
            for name, model in make_detectors(seed).items():
                row = (np.nan,) * 4
                if model is not None:
                    try:
                        row = evaluate(model, X, X_test, is_anomaly)
                    except ValueError as error:
                        messages.add(f"{name}: {str(error).splitlines()[0]}")
                        row = 0.5, is_anomaly.mean(), 0.0, 0.0
                rows.append(row)
            trial_results.append(rows)
        results.append(np.mean(trial_results, axis=0))
    for message in sorted(messages):
        print_note(f"{message} The results of chance are counted there.")
    return np.moveaxis(results, 1, 0)


def print_results(title, names, results):
    """Print the results over all data sets; return the mean AUROC and rank of each."""
    is_installed = ~np.isnan(results[:, 0, 0])
    auroc = results[:, :, 0].mean(axis=1)
    ranks = np.full(len(names), np.nan)
    ranks[is_installed] = rankdata(-results[is_installed, :, 0].round(6), axis=0).mean(
        axis=1
    )
    rows = []
    for i in np.argsort(-auroc):
        if not is_installed[i]:
            rows.append([names[i]])
            continue
        aurocs, precisions, fit_seconds, score_seconds = results[i].T
        scores = [aurocs.mean(), np.median(aurocs)]
        scores += [precisions.mean(), np.median(precisions)]
        seconds = [f"{fit_seconds.sum():.2f}", f"{score_seconds.sum():.2f}"]
        rows.append(
            [names[i], *(f"{s:.3f}" for s in scores), f"{ranks[i]:.2f}", *seconds]
        )
    columns = ["", "AUROC", "median", "precision", "median", "mean rank"]
    print_table(title, [*columns, "fit, s", "score, s"], rows)
    return dict(zip(names, auroc, strict=True)), dict(zip(names, ranks, strict=True))


def compare_tables(quick, n_seeds):
    """Print how well anomalies in tables are detected."""

    def make_detectors(seed):
        return {
            OURS: SparseCodingDetector(),
            f"{OURS}, trim=0": SparseCodingDetector(trim=0.0),
            **make_baselines(seed),
        }

    def make_trials(X, y):
        for seed in range(n_seeds):
            X_train, X_test, _, y_test = train_test_split(
                X, y, test_size=0.3, stratify=y, random_state=seed
            )
            yield seed, X_train, X_test, y_test

    tables = list(load_tables(quick))
    results = compare(make_detectors, (make_trials(X, y) for _, X, y in tables))
    names = list(make_detectors(0))
    rows = [
        [title, f"{X.shape[0]} × {X.shape[1]}", f"{100 * y.mean():.1f}"]
        + ["" if np.isnan(value) else f"{value:.3f}" for value in results[:, i, 0]]
        for i, (title, X, y) in enumerate(tables)
    ]
    print_table("AUROC by table", ["", "rows", "anomalies, %", *names], rows)
    print_results("With and without a trimmed fit", names, results)
    # skscn takes part in the ranking once, with its defaults.
    in_ranking = np.array([not name.endswith("trim=0") for name in names])
    names = [name for name, keep in zip(names, in_ranking, strict=True) if keep]
    auroc, ranks = print_results("All tables", names, results[in_ranking])
    others = [name for name in names if name != OURS and not np.isnan(auroc[name])]
    best = max(auroc[name] for name in others)
    print_at_least(best, auroc[OURS], "mean AUROC, and the best of the others")
    best = min(ranks[name] for name in others)
    print_at_most(best, ranks[OURS], "mean rank, and the best of the others")


def compare_small_samples(quick, n_seeds):
    """Print how well anomalies are detected after fits to few rows of tables."""

    def make_detectors(seed):
        return {OURS: SparseCodingDetector(), **make_baselines(seed)}

    def make_trials(X, y, n_samples):
        n_test = min(len(X) - n_samples, MAX_TEST_ROWS)
        for seed in range(n_seeds):
            X_train, X_test, _, y_test = train_test_split(
                X,
                y,
                train_size=n_samples,
                test_size=n_test,
                stratify=y,
                random_state=seed,
            )
            yield seed, X_train, X_test, y_test

    tables = [
        (X, y) for _, X, y in load_tables(quick) if X.shape[1] <= MAX_SMALL_FEATURES
    ]
    for n_samples in SMALL_SAMPLES[: 1 if quick else None]:
        trials = (
            make_trials(X, y, n_samples) for X, y in tables if 1.3 * n_samples <= len(X)
        )
        results = compare(make_detectors, trials)
        title = f"Fits to {n_samples} rows"
        auroc, _ = print_results(title, list(make_detectors(0)), results)
        ours = auroc.pop(OURS)
        best = max(value for value in auroc.values() if not np.isnan(value))
        print_at_least(best, ours, "mean AUROC, and the best of the others")


def compare_trimming(quick):
    """Print the effect of trimming if anomalies of the training data form a cluster."""
    rng = np.random.default_rng(0)
    n_features, rows = 10, []
    axes = np.linalg.qr(rng.normal(size=(n_features, n_features)))[0].T
    scales = np.linspace(0.2, 2.0, n_features)

    def make_normal(n_samples):
        return rng.normal(size=(n_samples, n_features)) * scales @ axes

    for fraction in (0.0, 0.05, 0.1, 0.2):
        n_samples = 500 if quick else 3_000
        n_anomalies = int(fraction * n_samples)
        noise = 0.1 * rng.normal(size=(n_anomalies + 500, n_features))
        cluster = 8.0 * axes[0] + noise
        X = np.vstack([make_normal(n_samples - n_anomalies), cluster[:n_anomalies]])
        X_test = np.vstack([make_normal(1_000), cluster[n_anomalies:]])
        y_test = np.arange(len(X_test)) >= 1_000
        detectors = [
            SparseCodingDetector(trim=trim).fit(X) for trim in (0.0, 0.1, 0.25)
        ]
        aurocs = [roc_auc_score(y_test, -d.score_samples(X_test)) for d in detectors]
        rows.append([f"{100 * fraction:.0f} %", *(f"{a:.3f}" for a in aurocs)])
    title = "AUROC with a cluster of anomalies in the training data"
    print_table(title, ["anomalies", "trim=0", "trim=0.1", "trim=0.25"], rows)


def compare_digits(quick):
    """Print how well other digits are detected if one digit is normal."""
    layer = ConvSparseCoder(24, kernel_size=7, random_state=0)
    mixture = GaussianMixture(5, reg_covar=1e-4, random_state=0)
    pca = PCA(8 if quick else 32)
    kinds = SparseCodingMixture(3, pca.n_components, tol=1e-3, random_state=0)
    pixels = {"scaling": None, "marginals": False}
    detectors = {
        f"{OURS}, around a layer": SparseCodingDetector(layer),
        f"{OURS}, pixels": on_rows(SparseCodingDetector(**pixels)),
        f"{OURS}, mixture of 3": on_rows(SparseCodingDetector(kinds, **pixels)),
        "IsolationForest": on_rows(IsolationForest(random_state=0)),
        "OneClassSVM": on_rows(OneClassSVM()),
        "PCA, 90 %": on_rows(pca_reconstruction()),
        "5 neighbors": on_rows(nearest_neighbors()),
        "GaussianMixture, 5 of 32": on_rows(make_pipeline(pca, mixture)),
    }
    for name in ["digits"] if quick else ["usps", "mnist"]:
        X, y, X_test, y_test = load_images(name)
        X, X_test = (images.astype(np.float32) / 255 for images in (X, X_test))
        n_train = 60 if quick else DIGITS_PER_CLASS
        trials = (
            [(0, X[y == digit][:n_train], X_test, y_test != digit)]
            for digit in range(2 if quick else 10)
        )
        results = compare(lambda seed: detectors, trials)
        title = f"One digit of {name} is normal"
        auroc, _ = print_results(title, list(detectors), results)
        ours = auroc.pop(f"{OURS}, around a layer")
        best = max(auroc[name] for name in auroc if not name.startswith(OURS))
        print_at_least(best, ours, "mean AUROC, and the best of the others")


def compare_signals(quick):
    """Print how well other classes are detected if one class of signals is normal."""

    def make_detectors(seed):
        layer = ConvSparseCoder(8, kernel_size=9, random_state=seed)
        return {
            f"{OURS}, around a layer": SparseCodingDetector(layer),
            f"{OURS}, samples": SparseCodingDetector(),
            "IsolationForest": IsolationForest(random_state=seed),
            "OneClassSVM": OneClassSVM(),
            "PCA, 90 %": pca_reconstruction(),
            "5 neighbors": nearest_neighbors(),
        }

    def make_trials(X, y, X_test, y_test):
        for label in np.unique(y):
            normal = X[y == label]
            if len(normal) > MIN_SIGNALS:
                yield 0, normal, X_test, y_test != label

    names = [] if quick else signal_names()
    if names:
        datasets = [load_signals(name) for name in names]
    else:
        rng, options = np.random.default_rng(0), {"n_classes": 2, "noise_std": 0.2}
        datasets = [
            (*make_signals(60, rng, **options), *make_signals(200, rng, **options))
        ]
    trials = [list(make_trials(*data)) for data in datasets]
    results = compare(make_detectors, [part for part in trials if part])
    print_results("One class of signals is normal", list(make_detectors(0)), results)


def compare_speed(quick, repeats):
    """Print the time of fitting and scoring 50,000 rows of 64 features."""
    n_samples = 2_000 if quick else 50_000
    X = np.random.default_rng(0).laplace(size=(n_samples, 64))
    X_few = X[: 10 if quick else 500]  # for LocalOutlierFactor, which is slow
    models = {
        OURS: SparseCodingDetector(),
        "IsolationForest": IsolationForest(random_state=0),
        "LocalOutlierFactor": LocalOutlierFactor(novelty=True),
    }
    fit_seconds, methods = {}, []
    for name, model in models.items():
        _, fit_seconds[name] = timed(model.fit, X)
        rows = X_few if name == "LocalOutlierFactor" else X
        run = lambda model=model, rows=rows: model.score_samples(rows)  # noqa: E731
        methods.append(Method(name, run, row_fraction=len(rows) / len(X)))
    seconds, _ = time_methods(methods, repeats)
    rows = [
        [name, f"{fit_seconds[name]:.2f}", f"{s:.3f}", f"{s / seconds[OURS]:.1f}"]
        for name, s in seconds.items()
    ]
    columns = ["", "fit, s", "score, s", "× skscn"]
    print_table(f"Scoring {n_samples:,} × 64", columns, rows)
    for name, limit in (("IsolationForest", 10), ("LocalOutlierFactor", 100)):
        print_at_least(limit, seconds[name] / seconds[OURS], f"{name}, × skscn")


def evaluate_explanations(quick):
    """Print how often the explanation ranks the corrupted feature first."""
    rows, fractions = [], []
    n_test = 200 if quick else 2_000
    for n_features in (8, 30, 64):
        rng = np.random.default_rng(n_features)
        axes = np.linalg.qr(rng.normal(size=(n_features, n_features)))[0]
        scales = np.linspace(0.2, 2.0, n_features)
        X = rng.laplace(size=(2_000 + n_test, n_features)) * scales @ axes
        X_train, X_test = X[:2_000], X[2_000:]
        feature = rng.integers(n_features, size=n_test)
        sign = rng.choice([-1, 1], size=n_test)
        detector = SparseCodingDetector().fit(X_train)
        row = [str(n_features)]
        for n_stds in (2, 3, 4, 6):
            X_corrupted = X_test.copy()
            shift = n_stds * sign * X_train.std(axis=0)[feature]
            X_corrupted[np.arange(n_test), feature] += shift
            explanation = detector.explain(X_corrupted)
            fraction = np.mean(explanation.features.argmin(axis=1) == feature)
            row.append(f"{100 * fraction:.1f}")
            if n_stds == 4:
                fractions.append(fraction)
        error = explanation.features.sum(axis=1) - detector.score_samples(X_corrupted)
        rows.append([*row, f"{np.abs(error).max():.1e}"])
    columns = ["features", "2 standard deviations", "3", "4", "6", "error of the sum"]
    print_table("The corrupted feature is ranked first, %", columns, rows)
    print_at_least(
        0.95, mean(fractions), "fraction ranked first, at four standard deviations"
    )


def main():
    parser = make_parser(__doc__, repeats=5)
    parser.add_argument(
        "--seeds", type=int, default=5, help="number of train-test splits of a table"
    )
    parser.add_argument(
        "--only",
        choices=[
            "tables",
            "small",
            "trim",
            "digits",
            "signals",
            "speed",
            "explanations",
        ],
        help="run one part",
    )
    options = parser.parse_args()
    quick = options.quick
    print_environment(PACKAGES)
    warnings.simplefilter("ignore")  # other detectors may not converge
    parts = {
        "tables": lambda: compare_tables(quick, 1 if quick else options.seeds),
        "small": lambda: compare_small_samples(quick, 1 if quick else options.seeds),
        "trim": lambda: compare_trimming(quick),
        "digits": lambda: compare_digits(quick),
        "signals": lambda: compare_signals(quick),
        "speed": lambda: compare_speed(quick, 0 if quick else options.repeats),
        "explanations": lambda: evaluate_explanations(quick),
    }
    for name, run in parts.items():
        if options.only in (None, name):
            run()
    print_note(
        "Other detectors have their default parameters. Features of tables are "
        "standardized for them; digits and signals are not. skscn has the same "
        "parameters for all tables. The decision to add the likelihood and the three "
        "shares of the histograms was made on these data sets and on generated "
        "anomalies. Other scalings, numbers of bins and priors changed the mean AUROC "
        "by at most 0.015."
    )


if __name__ == "__main__":
    main()
