"""How accurately are tables classified from columns, splines and sparse codes?

On scikit-learn's tables, and on those of ADBench in the folder SKSCN_DATA/adbench with
at least 3 % of positive rows and at most 100 columns, as two-class problems. Compared
with logistic regression on columns, on splines and on Nystroem features, a support
vector machine and gradient boosting, and with atoms that are not learned.
"""

import warnings

import numpy as np
from _data import data_folder
from _measure import (
    make_parser,
    print_at_least,
    print_environment,
    print_note,
    print_table,
    timed,
)
from sklearn.base import clone
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_wine,
)
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
)
from sklearn.svm import SVC

from skscn import make_sparse_coding_network

PACKAGES = ("numpy", "scipy", "scikit-learn")
LOADERS = {
    "breast_cancer": load_breast_cancer,
    "diabetes": load_diabetes,
    "digits": load_digits,
    "iris": load_iris,
    "wine": load_wine,
}
MAX_ROWS, MAX_COLUMNS, MIN_POSITIVE_FRACTION = 4_000, 100, 0.03
OURS, LINEAR, NYSTROEM = 'skscn, "tables"', "linear", "Nystroem, 400"
N_NYSTROEM = 400
CODES = "network__codes"


def on_columns(classifier, *transformers):
    """Return a Pipeline of a scaler, transformers and a classifier."""
    names = [f"transform{i}" for i in range(len(transformers))]
    steps = [("scale", StandardScaler()), *zip(names, transformers, strict=True)]
    return Pipeline([*steps, ("classify", classifier)])


def make_models(seed):
    linear = LogisticRegression(max_iter=1000)
    network = make_sparse_coding_network("tables", random_state=seed)
    atoms = {f"{CODES}__coder__max_iter": 0}
    random_atoms = {**atoms, f"{CODES}__coder__init": "random"}
    nystroem = Nystroem(n_components=N_NYSTROEM, random_state=seed)
    return {
        LINEAR: on_columns(linear),
        "splines": on_columns(linear, SplineTransformer()),
        NYSTROEM: on_columns(linear, nystroem),
        "SVC": on_columns(SVC()),
        "boosting": HistGradientBoostingClassifier(random_state=seed),
        "no codes": clone(network).set_params(network__codes="drop"),
        "random atoms": clone(network).set_params(**random_atoms),
        "principal axes": clone(network).set_params(**atoms),
        OURS: network,
    }


# Parameters that the second part compares, by the name of the model. The first are
# those of the first part.
SETTINGS = {
    LINEAR: [{}, {"classify__C": 0.1}, {"classify__C": 10}],
    "splines": [{}, {"classify__C": 0.1}, {"transform0__knots": "quantile"}],
    NYSTROEM: [{}, {"classify__C": 10}, {"classify__C": 100}],
    "SVC": [{}, {"classify__C": 10}, {"classify__C": 100}],
    "boosting": [{}, {"learning_rate": 0.03}, {"l2_regularization": 10}],
    OURS: [
        {},
        {"classify__C": 0.03},
        {"classify__C": 0.3},
        {f"{CODES}__coder__alpha": 0.25},
        {f"{CODES}__coder__alpha": 1.0},
        {f"{CODES}__whiten__n_components": 0.99},
        {f"{CODES}__whiten": "passthrough"},
        {f"{CODES}__coder__prior": "spike_slab", f"{CODES}__coder__alpha": 1.0},
        {"network__splines__n_knots": 3},
        {"network__splines__n_knots": 9},
        {"network__splines": SplineTransformer()},
        {"network__splines": "drop"},
        {"scale": RobustScaler(quantile_range=(5, 95), unit_variance=True)},
        {"scale": QuantileTransformer(output_distribution="normal")},
    ],
}


def load_tables(quick):
    """Return (rows, labels) of every table by name, in alphabetical order."""
    tables = {name: load(return_X_y=True) for name, load in LOADERS.items()}
    X, progression = tables["diabetes"]
    tables["diabetes"] = X, progression > np.median(progression)
    if not quick and data_folder() is not None:
        for path in (data_folder() / "adbench").glob("*.npz"):
            with np.load(path) as data:
                X, y = data["X"], data["y"] == 1
            if y.mean() >= MIN_POSITIVE_FRACTION and X.shape[1] <= MAX_COLUMNS:
                tables[path.stem.partition("_")[2]] = X.astype(np.float64), y
    for name, (X, y) in tables.items():
        if len(X) > MAX_ROWS:
            X, _, y, _ = train_test_split(
                X, y, train_size=MAX_ROWS, stratify=y, random_state=0
            )
            tables[name] = X, y
    return dict(sorted(tables.items(), key=lambda item: item[0].lower()))


def evaluate(make_model, X, y, n_seeds):
    """Return accuracy and balanced accuracy in percent, and the seconds of a fit."""
    results = []
    for seed in range(n_seeds):
        X_train, X_test, y_train, y_test = train_test_split(
            X, y, test_size=0.3, stratify=y, random_state=seed
        )
        model, seconds = timed(make_model(seed).fit, X_train, y_train)
        predicted = model.predict(X_test)
        balanced = balanced_accuracy_score(y_test, predicted)
        accuracy = np.mean(predicted == y_test)
        results.append([100 * accuracy, 100 * balanced, seconds])
    return np.mean(results, axis=0)


def compare(tables, n_seeds):
    """Print the accuracies of all models with the same parameters for all tables."""
    names = list(make_models(0))
    results = np.array(
        [
            [
                evaluate(
                    lambda seed, name=name: make_models(seed)[name], *table, n_seeds
                )
                for name in names
            ]
            for table in tables.values()
        ]
    )
    rows = [
        [
            title,
            f"{X.shape[0]:,} × {X.shape[1]}",
            f"{100 * np.unique(y, return_counts=True)[1].max() / len(y):.1f}",
            *(f"{value:.1f}" for value in accuracies),
        ]
        for (title, (X, y)), accuracies in zip(
            tables.items(), results[:, :, 0], strict=True
        )
    ]
    means = results.mean(axis=0)
    rows.append(["mean", "", "", *(f"{value:.2f}" for value in means[:, 0])])
    rows.append(["mean, balanced", "", "", *(f"{value:.2f}" for value in means[:, 1])])
    seconds = results[:, :, 2].sum(axis=0)
    rows.append(["seconds", "", "", *(f"{value:.1f}" for value in seconds)])
    columns = ["", "rows × columns", "largest class, %", *names]
    print_table("Accuracy, %, one setting for all tables", columns, rows)
    accuracy = dict(zip(names, means[:, 0], strict=True))
    gain = accuracy[OURS] - accuracy[LINEAR]
    print_at_least(1.5, gain, "points of mean accuracy above logistic regression")
    gain = accuracy[OURS] - accuracy[NYSTROEM]
    print_at_least(0, gain, f"points of mean accuracy above {NYSTROEM}, C=1")
    gain = accuracy[OURS] - accuracy["random atoms"]
    print_at_least(0, gain, "points of mean accuracy above random atoms")


def compare_settings(tables, n_seeds):
    """Print settings; every half of the tables is tested with the best of the other."""
    half = np.arange(len(tables)) % 2
    own_rows, chosen_rows = [], []
    for name, settings in SETTINGS.items():
        accuracies = np.empty((len(settings), len(tables)))
        for i, parameters in enumerate(settings):

            def make_model(seed, name=name, parameters=parameters):
                model = make_models(seed)[name]
                return model.set_params(**clone(parameters, safe=False))

            for j, (X, y) in enumerate(tables.values()):
                accuracies[i, j] = evaluate(make_model, X, y, n_seeds)[0]
        by_half = [accuracies[:, half == i].mean(axis=1) for i in range(2)]
        best = [int(np.argmax(values)) for values in by_half]
        tested = [by_half[0][best[1]], by_half[1][best[0]]]
        mean = np.average(tested, weights=np.bincount(half))
        chosen_rows.append(
            [
                name,
                *(f"{value:.2f}" for value in [*tested, mean]),
                *(describe(settings[i]) for i in best),
            ]
        )
        for parameters, values, *halves in zip(
            settings, accuracies, *by_half, strict=True
        ):
            cells = [f"{value:.2f}" for value in [*halves, values.mean()]]
            own_rows.append([f"{name}: {describe(parameters)}", *cells])
    columns = ["", "first half", "second half", "mean"]
    print_table("Accuracy, %, of all settings", columns, own_rows)
    chosen = ["best in the first half", "best in the second half"]
    print_table(
        "Accuracy, %, with the setting that is best in the other half",
        [*columns, *chosen],
        chosen_rows,
    )
    print_note(
        "The first half are the tables in odd places of the alphabetical order, the "
        "second those in even places."
    )


def describe(parameters):
    """Return parameters as text, without the names of steps."""
    names = (f"{key.rpartition('__')[2]}={value}" for key, value in parameters.items())
    return ", ".join(names) or "as above"


def main():
    parser = make_parser(__doc__)
    parser.add_argument(
        "--seeds", type=int, default=5, help="number of train-test splits of a table"
    )
    parser.add_argument("--only", choices=["models", "settings"], help="run one part")
    options = parser.parse_args()
    n_seeds = 1 if options.quick else options.seeds
    tables = load_tables(options.quick)
    if options.quick:
        tables = {name: tables[name] for name in ("iris", "wine")}
    print("# Tables\n")
    print_environment(PACKAGES)
    warnings.simplefilter("ignore")  # some models may not converge
    if options.only in (None, "models"):
        compare(tables, n_seeds)
    if options.only in (None, "settings"):
        compare_settings(tables, n_seeds)
    print_note(
        f"Means over {n_seeds} stratified splits, 30 % for testing; at most "
        f"{MAX_ROWS:,} rows. The target of diabetes is whether the progression is "
        "above its median. All models but boosting read standardized columns. Without "
        "further parameters they have scikit-learn's defaults. The columns before the "
        "last are the network without codes, and with orthonormal atoms that are not "
        "learned."
    )


if __name__ == "__main__":
    main()
