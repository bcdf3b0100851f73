"""Do sparse priors and stronger non-linearities make networks more robust?

This tests the conjecture at the end of Bowren (2021). Networks with one convolutional
layer of sparse codes, CNNs of the same architecture and multilayer perceptrons are
trained on clean images. Perceptrons are also repaired, or run with other inference. All
are tested on images with noise, salt and pepper, blur, occlusion and lower contrast at
five severities. If torch is installed, they are also tested on adversarial images by
FGSM and PGD. The seeds determine the training images, the initial weights and the
corruptions.

In the tables, λ are the thresholds, minus the biases b, and α is the one that atoms are
learned with: with α = 0 there is no sparse prior. ReLU, soft and hard thresholds are
the codes of three priors. "tuned" networks are fine-tuned in torch, with λ of any sign
or not negative. "repaired" perceptrons have their biases or their weights projected to
those of a sparse coding model; then the most probable codes ("exact"), the posterior
means or hard thresholds replace the ReLU. "–" was not measured: these have no gradient.
"""

import sys
import warnings
from functools import partial
from statistics import mean, stdev

import numpy as np
from _charts import SHADES
from _corruptions import CORRUPTIONS, SEVERITIES, corrupt
from _data import data_folder, load_images
from _measure import (
    import_optional,
    make_parser,
    print_environment,
    print_note,
    print_table,
    timed,
)
from _training import predict, train
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline

from skscn import (
    ConvSparseCoder,
    FlooredScaler,
    SparseCodingNetwork,
    SpatialPool,
    interpret_network,
    to_torch,
)

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch")
MAX_TRAIN, MAX_TEST = 4_000, 1_000
N_ATTACKED = 500  # test images that attacks change
RADII = (0.02, 0.05, 0.1, 0.15, 0.2)  # of attacks: largest change of a pixel in [0, 1]
N_PGD_STEPS = 10
N_MAPS, KERNEL_SIZE = 16, 5
N_EPOCHS, N_FINE_TUNING_EPOCHS, BATCH_SIZE = 15, 5, 64
MAX_EXACT_ROWS = 300  # images that are coded exactly, which is slow

torch = import_optional("torch")


class Model:
    """A function that classifies rows of pixels, and its torch module.

    Parameters
    ----------
    predict : callable
    make_module : callable, default=None
        Returns the torch module that maps rows to scores. None is a model without one.
    max_rows : int, default=None
        Maximum number of test images.
    """

    def __init__(self, predict, make_module=None, max_rows=None):
        self.predict, self.make_module = predict, make_module
        self.max_rows = max_rows


def load_data(name, seed, quick):
    """Return training and test images in [0, 1] as float32, each with labels."""
    X, y, X_test, y_test = load_images(name)
    rng = np.random.default_rng(seed)
    n_train, n_test = (150, 40) if quick else (MAX_TRAIN, MAX_TEST)
    if name == "digits":
        X, y = np.concatenate([X, X_test]), np.concatenate([y, y_test])
        order = rng.permutation(len(X))
        train_rows = order[: min(n_train, 1_300)]
        test_rows = order[1_300 : 1_300 + n_test]
        X_test, y_test = X, y
    else:
        train_rows = rng.permutation(len(X))[:n_train]
        test_rows = rng.permutation(len(X_test))[:n_test]
    scale = np.float32(np.max(X))
    X, y = X[train_rows].astype(np.float32) / scale, y[train_rows]
    X_test = X_test[test_rows].astype(np.float32) / scale
    return X, y, X_test, y_test[test_rows]


def fit_sparse_network(X, y, shape, seed, **options):
    """Return a layer of sparse codes, average pooling and logistic regression."""
    options = {"n_components": N_MAPS, "split_sign": False} | options
    conv = ConvSparseCoder(kernel_size=KERNEL_SIZE, random_state=seed, **options)
    layers = [
        ("conv", conv),
        ("pool", SpatialPool("average", window=pool_window(shape))),
    ]
    model = Pipeline(
        [
            ("network", SparseCodingNetwork(layers, image_shape=shape)),
            ("scale", FlooredScaler()),
            ("classify", LogisticRegression(C=0.1, max_iter=500)),
        ]
    )
    model.fit(X, y)
    return Model(model.predict, partial(export_to_torch, model))


def pool_window(shape):
    """Return the window that makes a grid of about 4 × 4."""
    return max(2, shape[0] // 4)


def export_to_torch(model):
    """Return the torch module of a model, or None if torch is not installed."""
    return None if torch is None else to_torch(model).eval()


def fit_perceptrons(X, y, seed):
    """Return an MLP, its repaired copies, and the same with other inference.

    The second result are the fractions of positive biases, and of those that the mean
    of the inputs does not explain.
    """
    mlp = MLPClassifier((64,), max_iter=60, random_state=seed).fit(X, y)
    report = interpret_network(mlp, X[:1000])
    biases = report.repair(refit=True)
    atoms = report.repair(priors="centered", atoms=True, refit=True)
    models = {
        "MLP": Model(mlp.predict, partial(export_mlp, mlp)),
        "MLP, b ≤ 0": Model(biases.model.predict, partial(export_mlp, biases.model)),
        "MLP, sparse and orthonormal": Model(
            atoms.model.predict, partial(export_mlp, atoms.model)
        ),
        "MLP, hard": Model(partial(report.predict, inference="hard")),
        "MLP, posterior mean": Model(partial(report.predict, inference="mean")),
        "MLP, sparse and orthonormal, hard": Model(
            partial(atoms.after.predict, inference="hard")
        ),
        "MLP, exact codes": Model(
            partial(report.predict, inference="exact"), max_rows=MAX_EXACT_ROWS
        ),
    }
    layer = report.layers[0]
    return models, (layer.positive_bias_fraction, layer.unexplained_fraction)


def export_mlp(mlp):
    """Return an MLPClassifier as a torch module, or None without torch."""
    if torch is None:
        return None
    modules = []
    for coef, intercept in zip(mlp.coefs_, mlp.intercepts_, strict=True):
        linear = torch.nn.Linear(*coef.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(coef.T.copy()))
            linear.bias.copy_(torch.from_numpy(intercept))
        modules += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*modules[:-1]).eval()


def fit_cnn(X, y, shape, seed, *, clamp):
    """Return a CNN of the architecture of the sparse networks; b ≤ 0 if clamped."""
    nn = torch.nn
    torch.manual_seed(seed)
    window = pool_window(shape)
    n_positions = (shape[0] // window) * (shape[1] // window)
    module = nn.Sequential(
        nn.Unflatten(1, (1, *shape)),
        nn.Conv2d(1, N_MAPS, KERNEL_SIZE, padding=KERNEL_SIZE // 2),
        nn.ReLU(),
        nn.AvgPool2d(window),
        nn.Flatten(),
        nn.Linear(N_MAPS * n_positions, int(y.max()) + 1),
    )

    def clamp_bias():
        with torch.no_grad():
            module[1].bias.clamp_(max=0.0)

    after_step = clamp_bias if clamp else None
    return train_model(module, X, y, seed, N_EPOCHS, 5e-3, after_step)


def fine_tune(model, X, y, seed, *, clamp):
    """Return a sparse network after training by backpropagation; λ ≥ 0 if clamped."""
    module = model.make_module()
    after_step = module.clamp_priors_ if clamp else None
    return train_model(module, X, y, seed, N_FINE_TUNING_EPOCHS, 2e-3, after_step)


def train_model(module, X, y, seed, n_epochs, rate, after_step):
    """Train a module in place; return it as a model."""
    options = {"n_epochs": n_epochs, "rate": rate, "after_step": after_step}
    for _ in train(module, X, y, batch_size=BATCH_SIZE, seed=seed, **options):
        pass
    module.eval()
    return Model(partial(predict, module), lambda: module)


def attack(module, X, y, radius, n_steps):
    """Return adversarial rows: by FGSM for one step, by PGD for more."""
    start, target = torch.from_numpy(X), torch.from_numpy(np.asarray(y, dtype=np.int64))
    rows = start.clone()
    step_size = radius if n_steps == 1 else 2.5 * radius / n_steps
    for _ in range(n_steps):
        rows.requires_grad_(True)
        loss = torch.nn.functional.cross_entropy(module(rows), target)
        (gradient,) = torch.autograd.grad(loss, rows)
        rows = rows.detach() + step_size * gradient.sign()
        rows = (start + (rows - start).clamp(-radius, radius)).clamp(0, 1)
    return rows.numpy()


def fit_models(X, y, shape, seed):
    """Fit all models one after another; yield their names and the models."""
    variants = {
        "sparse net, ReLU": {},
        "sparse net, ReLU, α = 0": {"alpha": 0.0},
        "sparse net, hard": {"prior": "spike_slab"},
        "sparse net, ReLU, patches normalized": {"contrast": 0.1},
        "sparse net, soft": {"n_components": N_MAPS // 2, "split_sign": True},
        "sparse net, soft, α = 0": {
            "n_components": N_MAPS // 2,
            "split_sign": True,
            "alpha": 0.0,
        },
    }
    for name, options in variants.items():
        model = fit_sparse_network(X, y, shape, seed, **options)
        yield name, model
        if name == "sparse net, ReLU, α = 0" and torch is not None:
            # Fine-tuning starts from λ = 0 and can make λ positive or negative.
            for clamp in (False, True):
                tuned = fine_tune(model, X, y, seed, clamp=clamp)
                yield f"{name}, tuned, {'λ ≥ 0' if clamp else 'λ free'}", tuned
    if torch is not None:
        for clamp in (False, True):
            name = "CNN, b ≤ 0" if clamp else "CNN"
            yield name, fit_cnn(X, y, shape, seed, clamp=clamp)
    models, (positive, unexplained) = fit_perceptrons(X, y, seed)
    print(
        f"MLP: {positive:.0%} of the biases are positive, {unexplained:.0%} even after "
        "the part that centers the inputs is left out",
        file=sys.stderr,
    )
    yield from models.items()


def evaluate(model, X, y, shape, seed):
    """Return accuracies by (corruption, severity); ("clean", 0) is without."""
    X, y = X[: model.max_rows], y[: model.max_rows]
    test_sets = {("clean", 0): X}
    for name in CORRUPTIONS:
        for severity in SEVERITIES:
            images = corrupt(X.reshape(-1, *shape), name, severity, seed)
            test_sets[name, severity] = images.reshape(len(X), -1)
    accuracies = {
        key: float(np.mean(model.predict(rows) == y)) for key, rows in test_sets.items()
    }
    module = None if model.make_module is None else model.make_module()
    if module is not None:
        X, y = X[:N_ATTACKED], y[:N_ATTACKED]
        for severity, radius in zip(SEVERITIES, RADII, strict=True):
            for name, n_steps in (("FGSM", 1), ("PGD", N_PGD_STEPS)):
                rows = attack(module, X, y, radius, n_steps)
                accuracies[name, severity] = float(np.mean(predict(module, rows) == y))
    return accuracies


def run_seed(name, seed, quick, results):
    """Append the accuracies of all models with one seed to the lists of `results`."""
    X, y, X_test, y_test = load_data(name, seed, quick)
    shape = X.shape[1:]
    X, X_test = X.reshape(len(X), -1), X_test.reshape(len(X_test), -1)
    for title, model in fit_models(X, y, shape, seed):
        accuracies = evaluate(model, X_test, y_test, shape, seed)
        results.setdefault(title, []).append(accuracies)


def compare(name, seeds, quick):
    """Return for every model a list of accuracies, one dict for each seed."""
    results: dict = {}
    for seed in seeds:
        _, seconds = timed(run_seed, name, seed, quick, results)
        print(f"{name}, seed {seed}: {seconds:.0f} s", file=sys.stderr)
    return results


def average_severities(trials, corruption):
    """Return the mean over severities for each seed, or None if it was not tested."""
    severities = [0] if corruption == "clean" else SEVERITIES
    if (corruption, severities[0]) not in trials[0]:
        return None
    return [mean(trial[corruption, s] for s in severities) for trial in trials]


def print_results(name, results):
    """Print the mean over severities in percent, with its deviation over seeds."""
    corruptions = ["clean", *CORRUPTIONS, "FGSM", "PGD"]
    rows = []
    for title, trials in results.items():
        row = [title]
        for corruption in corruptions:
            values = average_severities(trials, corruption)
            if values is None:
                row.append("–")
                continue
            std = stdev(values) if len(values) > 1 else 0.0
            row.append(f"{100 * mean(values):.1f} ± {100 * std:.1f}")
        rows.append(row)
    n_seeds = len(next(iter(results.values())))
    print_table(
        f"{name}: accuracy in %, mean over five severities ± standard deviation over "
        f"{n_seeds} seeds",
        ["", *corruptions],
        rows,
    )


PAIRS = (
    ("sparse prior: ReLU", "sparse net, ReLU", "sparse net, ReLU, α = 0"),
    ("sparse prior: soft", "sparse net, soft", "sparse net, soft, α = 0"),
    ("stronger: hard, not ReLU", "sparse net, hard", "sparse net, ReLU"),
    (
        "patches normalized",
        "sparse net, ReLU, patches normalized",
        "sparse net, ReLU",
    ),
    (
        "fine-tuning with λ ≥ 0",
        "sparse net, ReLU, α = 0, tuned, λ ≥ 0",
        "sparse net, ReLU, α = 0, tuned, λ free",
    ),
    ("CNN trained with b ≤ 0", "CNN, b ≤ 0", "CNN"),
    ("sparse net, not CNN", "sparse net, ReLU", "CNN"),
    ("MLP repaired to b ≤ 0", "MLP, b ≤ 0", "MLP"),
    ("MLP sparse and orthonormal", "MLP, sparse and orthonormal", "MLP"),
    ("MLP with hard codes", "MLP, hard", "MLP"),
    ("MLP with posterior means", "MLP, posterior mean", "MLP"),
)


def print_conjecture(name, results):
    """Print the difference in accuracy of the first and the second model of a pair."""
    corruptions = ["clean", *CORRUPTIONS, "FGSM", "PGD"]
    rows = []
    for title, first, second in PAIRS:
        if first not in results or second not in results:
            continue
        row = [title]
        for corruption in corruptions:
            first_values = average_severities(results[first], corruption)
            second_values = average_severities(results[second], corruption)
            if first_values is None or second_values is None:
                row.append("–")
                continue
            gains = [
                100 * (a - b) for a, b in zip(first_values, second_values, strict=True)
            ]
            error = stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else np.inf
            mark = "*" if abs(mean(gains)) > 2.8 * error else ""
            row.append(f"{mean(gains):+.1f}{mark}")
        rows.append(row)
    print_table(
        f"{name}: gain in accuracy, percentage points; * is significant",
        ["", *corruptions],
        rows,
    )


def draw(results, path):
    """Draw accuracy by severity: one row per data set, one column per corruption."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    titles = (
        "sparse net, ReLU",
        "sparse net, ReLU, α = 0",
        "sparse net, hard",
        "CNN",
        "CNN, b ≤ 0",
        "MLP",
        "MLP, b ≤ 0",
    )
    first = next(iter(results.values()))
    corruptions = [
        corruption
        for corruption in [*CORRUPTIONS, "FGSM", "PGD"]
        if any(average_severities(trials, corruption) for trials in first.values())
    ]
    figure, axes = plt.subplots(
        len(results),
        len(corruptions),
        figsize=(2.1 * len(corruptions), 2.2 * len(results)),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for row, (name, models) in zip(axes, results.items(), strict=True):
        for ax, corruption in zip(row, corruptions, strict=True):
            for i, title in enumerate(titles):
                trials = models.get(title)
                if trials is None or average_severities(trials, corruption) is None:
                    continue
                clean = [trial["clean", 0] for trial in trials]
                levels = [[t[corruption, s] for t in trials] for s in SEVERITIES]
                curve = np.mean([clean, *levels], axis=1)
                ax.plot(range(6), curve, color=SHADES[i], label=title, linewidth=1.2)
            ax.set_title(f"{name}, {corruption}", fontsize="small")
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=4,
        fontsize="small",
    )
    for ax in axes[-1]:
        ax.set_xlabel("severity", fontsize="small")
    for ax in axes[:, 0]:
        ax.set_ylabel("accuracy", fontsize="small")
    figure.savefig(path, dpi=110)


def main():
    parser = make_parser(__doc__)
    parser.add_argument(
        "datasets", nargs="*", help="one or more of: digits, usps, mnist"
    )
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds")
    parser.add_argument("--save", help="image file to draw accuracy by severity to")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # classifiers may not converge
    print_environment(PACKAGES)
    if torch is None:
        print_note("torch is not installed: there are no CNNs and no attacks.")
    names = options.datasets or ["digits", "usps", "mnist"]
    if options.quick:
        names = ["digits"]
    elif not options.datasets and data_folder() is None:
        print_note("SKSCN_DATA is not set: USPS and MNIST are loaded from OpenML.")
    results = {}
    for name in names:
        seeds = range(1 if options.quick else options.seeds)
        results[name] = compare(name, seeds, options.quick)
        print_results(name, results[name])
        print_conjecture(name, results[name])
    print_note(
        "A gain has a star if it is larger than 2.8 standard errors over seeds (5 % "
        "level of Student's t with 4 degrees of freedom): of 80 gains without an "
        "effect, four have a star by chance."
    )
    if options.save:
        draw(results, options.save)


if __name__ == "__main__":
    main()
