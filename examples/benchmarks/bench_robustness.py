"""Do sparse priors and stronger non-linearities make networks more robust?

The conjecture at the end of Bowren (2021). Networks of one convolutional layer of the
same shape, a multilayer perceptron, and the same repaired or run with other forward
transformations, all trained on clean images, read images with noise, salt and pepper,
blur, occlusion and lost contrast at five severities, and, where torch is installed,
images that FGSM and PGD have moved against each of them. Several seeds: of the images
to train with, of starts, and of corruptions.
"""

import argparse
import time
import warnings
from functools import partial
from statistics import mean, stdev

import numpy as np
from _corruptions import CORRUPTIONS, SEVERITIES, corrupted
from _data import folder, images
from _measure import note, optional, print_machine, table
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline

import skscn
from skscn import (
    ConvSparseCoder,
    FlooredScaler,
    SparseCodingNetwork,
    SpatialPool,
    interpret_network,
)

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch")
MOST_TRAIN, MOST_TEST = 4_000, 1_000
ATTACKED = 500  # test images that attacks move
RADII = (0.02, 0.05, 0.1, 0.15, 0.2)  # largest change of an entry, of 0 to 1
PGD_STEPS = 10
MAPS, KERNEL = 16, 5
EPOCHS, TUNED_EPOCHS, BATCH = 15, 5, 64
EXACT_ROWS = 300  # images that exact codes are found of

torch = optional("torch")


class Model:
    """Something that labels rows of pixels, and a module of torch where there is one.

    Parameters
    ----------
    predict : callable
    module : callable, default=None
        Returns the module that maps rows to logits, without arguments.
    most : int, default=None
        Most images that it is asked to read.
    """

    def __init__(self, predict, module=None, most=None):
        self.predict, self.module, self.most = predict, module, most


def drawn(name, seed, quick):
    """Return float32 images from 0 to 1 and labels to train with, then to test with."""
    X, y, Z, z = images(name)
    rng = np.random.default_rng(seed)
    n_train, n_test = (400, 100) if quick else (MOST_TRAIN, MOST_TEST)
    if name == "digits":
        X, y = np.concatenate([X, Z]), np.concatenate([y, z])
        order = rng.permutation(len(X))
        train, test = order[: min(n_train, 1_300)], order[1_300 : 1_300 + n_test]
        Z, z = X, y
    else:
        train = rng.permutation(len(X))[:n_train]
        test = rng.permutation(len(Z))[:n_test]
    scale = np.float32(np.max(X))
    X, Z = X[train].astype(np.float32) / scale, Z[test].astype(np.float32) / scale
    return X, y[train], Z, z[test]


def sparse_network(X, y, shape, seed, **options):
    """Return a fitted layer of sparse codes, pooled, and a logistic regression."""
    layer = {"n_components": MAPS, "split_sign": False} | options
    model = Pipeline(
        [
            (
                "network",
                SparseCodingNetwork(
                    [
                        (
                            "conv",
                            ConvSparseCoder(
                                kernel_size=KERNEL, random_state=seed, **layer
                            ),
                        ),
                        ("pool", SpatialPool("average", window=pool_window(shape))),
                    ],
                    image_shape=shape,
                ),
            ),
            ("scale", FlooredScaler()),
            ("classify", LogisticRegression(C=0.1, max_iter=500)),
        ]
    )
    model.fit(X, y)
    return Model(model.predict, partial(exported, model))


def pool_window(shape):
    """Return the window that leaves about four cells a side."""
    return max(2, shape[0] // 4)


def exported(model):
    """Return the torch module of a model, or None where it cannot be had."""
    to_torch = getattr(skscn, "to_torch", None)
    return None if to_torch is None or torch is None else to_torch(model).eval()


def perceptrons(X, y, seed):
    """Return an MLP, its repaired copies, and other transformations of the same."""
    model = MLPClassifier((64,), max_iter=60, random_state=seed).fit(X, y)
    report = interpret_network(model, X[:1000])
    repaired = report.repair(refit=True)
    both = report.repair(priors="centered", atoms=True, refit=True)
    found = {
        "MLP": Model(model.predict, partial(dense, model)),
        "MLP, b ≤ 0": Model(repaired.model.predict, partial(dense, repaired.model)),
        "MLP, sparse and orthonormal": Model(
            both.model.predict, partial(dense, both.model)
        ),
        "MLP, hard": Model(partial(report.predict, inference="hard")),
        "MLP, posterior mean": Model(partial(report.predict, inference="mean")),
        "MLP, sparse and orthonormal, hard": Model(
            partial(both.after.predict, inference="hard")
        ),
        "MLP, exact codes": Model(
            partial(report.predict, inference="exact"), most=EXACT_ROWS
        ),
    }
    fractions = (
        report.layers[0].positive_bias_fraction,
        report.layers[0].unexplained_fraction,
    )
    return found, fractions


def dense(model):
    """Return a perceptron as a module."""
    if torch is None:
        return None
    layers = []
    for coef, intercept in zip(model.coefs_, model.intercepts_, strict=True):
        layer = torch.nn.Linear(*coef.shape)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(coef.T.copy()))
            layer.bias.copy_(torch.from_numpy(intercept))
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1]).eval()


def convolutional(X, y, shape, seed, *, clamped):
    """Return a CNN of the shape of the sparse networks, trained by backpropagation."""
    nn = torch.nn
    torch.manual_seed(seed)
    window = pool_window(shape)
    cells = (shape[0] // window) * (shape[1] // window)
    module = nn.Sequential(
        nn.Unflatten(1, (1, *shape)),
        nn.Conv2d(1, MAPS, KERNEL, padding=KERNEL // 2),
        nn.ReLU(),
        nn.AvgPool2d(window),
        nn.Flatten(),
        nn.Linear(MAPS * cells, int(y.max()) + 1),
    )
    return trained(module, X, y, [module[1].bias] if clamped else [], seed)


def trained(module, X, y, clamped, seed, *, epochs=EPOCHS, rate=5e-3):
    """Train a module by Adam, with biases kept at zero or below; return the model."""
    X, y = torch.from_numpy(X), torch.from_numpy(np.asarray(y, dtype=np.int64))
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(module.parameters(), lr=rate)
    module.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(X), generator=generator).split(BATCH):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(module(X[rows]), y[rows]).backward()
            optimizer.step()
            with torch.no_grad():
                for bias in clamped:
                    bias.clamp_(max=0.0)
    module.eval()
    return Model(partial(labels, module), lambda: module)


def fine_tuned(model, X, y, seed, *, clamped):
    """Return a sparse network that backpropagation went on with."""
    module = model.module()
    X, y = torch.from_numpy(X), torch.from_numpy(np.asarray(y, dtype=np.int64))
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(module.parameters(), lr=2e-3)
    module.train()
    for _ in range(TUNED_EPOCHS):
        for rows in torch.randperm(len(X), generator=generator).split(BATCH):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(module(X[rows]), y[rows]).backward()
            optimizer.step()
            if clamped:
                module.clamp_priors_()
    module.eval()
    return Model(partial(labels, module), lambda: module)


def labels(module, X):
    """Return the columns of the largest logits."""
    with torch.no_grad():
        return module(torch.from_numpy(X)).argmax(dim=1).numpy()


def attacked(module, X, y, radius, steps):
    """Return rows moved against a module: FGSM with one step, PGD with more."""
    start, target = torch.from_numpy(X), torch.from_numpy(np.asarray(y, dtype=np.int64))
    moved = start.clone()
    size = radius if steps == 1 else 2.5 * radius / steps
    for _ in range(steps):
        moved.requires_grad_(True)
        loss = torch.nn.functional.cross_entropy(module(moved), target)
        (slope,) = torch.autograd.grad(loss, moved)
        moved = moved.detach() + size * slope.sign()
        moved = (start + (moved - start).clamp(-radius, radius)).clamp(0, 1)
    return moved.numpy()


def contenders(X, y, shape, seed):
    """Yield names and models, learned one after another."""
    variants = {
        "sparse net, ReLU": {},
        "sparse net, ReLU, α = 0": {"alpha": 0.0},
        "sparse net, hard": {"prior": "spike_slab"},
        "sparse net, ReLU, patches normalised": {"contrast": 0.1},
        "sparse net, soft": {"n_components": MAPS // 2, "split_sign": True},
        "sparse net, soft, α = 0": {
            "n_components": MAPS // 2,
            "split_sign": True,
            "alpha": 0.0,
        },
    }
    for name, options in variants.items():
        model = sparse_network(X, y, shape, seed, **options)
        yield name, model
        if name == "sparse net, ReLU, α = 0" and model.module() is not None:
            # From priors of zero, which may become negative or sparse.
            for clamped in (False, True):
                tuned = fine_tuned(model, X, y, seed, clamped=clamped)
                yield f"{name}, tuned, {'λ ≥ 0' if clamped else 'λ free'}", tuned
    if torch is not None:
        for clamped in (False, True):
            name = "CNN, b ≤ 0" if clamped else "CNN"
            yield name, convolutional(X, y, shape, seed, clamped=clamped)
    found, (positive, unexplained) = perceptrons(X, y, seed)
    print(f"  MLP: b > 0 in {positive:.0%}, not by the mean in {unexplained:.0%}")
    yield from found.items()


def trial(model, Z, z, shape, seed):
    """Return accuracies by (corruption, severity), clean images being "clean", 0."""
    Z, z = Z[: model.most], z[: model.most]
    cases = {("clean", 0): Z}
    for name in CORRUPTIONS:
        for level in SEVERITIES:
            spoiled = corrupted(Z.reshape(-1, *shape), name, level, seed)
            cases[name, level] = spoiled.reshape(len(Z), -1)
    found = {
        case: float(np.mean(model.predict(rows) == z)) for case, rows in cases.items()
    }
    module = None if model.module is None else model.module()
    if module is not None:
        Z, z = Z[:ATTACKED], z[:ATTACKED]
        for level, radius in zip(SEVERITIES, RADII, strict=True):
            for name, steps in (("FGSM", 1), ("PGD", PGD_STEPS)):
                moved = attacked(module, Z, z, radius, steps)
                found[name, level] = float(np.mean(labels(module, moved) == z))
    return found


def compare(name, seeds, quick):
    """Return the accuracies of all models: {model: [{case: accuracy} by seed]}."""
    results: dict = {}
    for seed in seeds:
        start = time.perf_counter()
        X, y, Z, z = drawn(name, seed, quick)
        shape = X.shape[1:]
        X, Z = X.reshape(len(X), -1), Z.reshape(len(Z), -1)
        for title, model in contenders(X, y, shape, seed):
            results.setdefault(title, []).append(trial(model, Z, z, shape, seed))
        print(f"- {name}, seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)
    return results


def over_severities(trials, name):
    """Return the mean over severities of each seed, or None where there is none."""
    levels = [0] if name == "clean" else SEVERITIES
    if (name, levels[0]) not in trials[0]:
        return None
    return [mean(found[name, level] for level in levels) for found in trials]


def print_results(name, results):
    """Print the mean over severities, in per cent, with its spread over seeds."""
    kinds = ["clean", *CORRUPTIONS, "FGSM", "PGD"]
    rows = []
    for title, trials in results.items():
        cells = [title]
        for kind in kinds:
            values = over_severities(trials, kind)
            if values is None:
                cells.append("–")
                continue
            spread = stdev(values) if len(values) > 1 else 0.0
            cells.append(f"{100 * mean(values):.1f} ± {100 * spread:.1f}")
        rows.append(cells)
    n_seeds = len(next(iter(results.values())))
    table(
        f"{name}: accuracy, mean over five severities ± spread of {n_seeds} seeds",
        ["", *kinds],
        rows,
    )


PAIRS = (
    ("sparse prior: ReLU", "sparse net, ReLU", "sparse net, ReLU, α = 0"),
    ("sparse prior: soft", "sparse net, soft", "sparse net, soft, α = 0"),
    ("stronger: hard for ReLU", "sparse net, hard", "sparse net, ReLU"),
    (
        "patches normalised",
        "sparse net, ReLU, patches normalised",
        "sparse net, ReLU",
    ),
    (
        "priors kept in fine-tuning",
        "sparse net, ReLU, α = 0, tuned, λ ≥ 0",
        "sparse net, ReLU, α = 0, tuned, λ free",
    ),
    ("CNN trained with b ≤ 0", "CNN, b ≤ 0", "CNN"),
    ("sparse net for CNN", "sparse net, ReLU", "CNN"),
    ("MLP repaired to b ≤ 0", "MLP, b ≤ 0", "MLP"),
    ("MLP sparse and orthonormal", "MLP, sparse and orthonormal", "MLP"),
    ("MLP with hard codes", "MLP, hard", "MLP"),
    ("MLP with posterior means", "MLP, posterior mean", "MLP"),
)


def print_conjecture(name, results):
    """Print by how many points the first of a pair is ahead of the second."""
    kinds = ["clean", *CORRUPTIONS, "FGSM", "PGD"]
    rows = []
    for title, with_it, without in PAIRS:
        if with_it not in results or without not in results:
            continue
        cells = [title]
        for kind in kinds:
            ahead = over_severities(results[with_it], kind)
            behind = over_severities(results[without], kind)
            if ahead is None or behind is None:
                cells.append("–")
                continue
            gains = [100 * (a - b) for a, b in zip(ahead, behind, strict=True)]
            error = stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else np.inf
            mark = "*" if abs(mean(gains)) > 2.8 * error else ""
            cells.append(f"{mean(gains):+.1f}{mark}")
        rows.append(cells)
    table(
        f"{name}: does it help? Points of accuracy gained, * beyond chance",
        ["", *kinds],
        rows,
    )


def draw(results, path):
    """Draw accuracy by severity: a row for each data set, a column for corruptions."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    shown = (
        "sparse net, ReLU",
        "sparse net, ReLU, α = 0",
        "sparse net, hard",
        "CNN",
        "CNN, b ≤ 0",
        "MLP",
        "MLP, b ≤ 0",
    )
    first = next(iter(results.values()))
    kinds = [*CORRUPTIONS, "FGSM", "PGD"]
    kinds = [
        kind
        for kind in kinds
        if any(over_severities(trials, kind) for trials in first.values())
    ]
    figure, axes = plt.subplots(
        len(results),
        len(kinds),
        figsize=(2.1 * len(kinds), 2.2 * len(results)),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for row, (name, found) in zip(axes, results.items(), strict=True):
        for ax, kind in zip(row, kinds, strict=True):
            for i, title in enumerate(shown):
                trials = found.get(title)
                if trials is None or over_severities(trials, kind) is None:
                    continue
                clean = [trial["clean", 0] for trial in trials]
                levels = [[t[kind, level] for t in trials] for level in SEVERITIES]
                curve = np.mean([clean, *levels], axis=1)
                ax.plot(range(6), curve, color=f"C{i}", label=title, linewidth=1.2)
            ax.set_title(f"{name}, {kind}", fontsize="small")
    handles, titles = axes[0, 0].get_legend_handles_labels()
    figure.legend(
        handles, titles, loc="outside lower center", ncols=4, fontsize="small"
    )
    for ax in axes[-1]:
        ax.set_xlabel("severity", fontsize="small")
    for ax in axes[:, 0]:
        ax.set_ylabel("accuracy", fontsize="small")
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", help="of digits, usps and mnist; or all")
    parser.add_argument("--quick", action="store_true", help="tiny: see that it runs")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--figure", help="draw accuracy by severity into this file")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of convergence
    print_machine(PACKAGES)
    if torch is None:
        note("Without torch there is no CNN and there are no attacks.")
    elif not hasattr(skscn, "to_torch"):
        note("Without skscn.to_torch sparse networks are not attacked or fine-tuned.")
    names = options.sets or ["digits", "usps", "mnist"]
    if options.quick:
        names = ["digits"]
    elif not options.sets and folder() is None:
        note("Without SKSCN_DATA, USPS and MNIST come from OpenML.")
    results = {}
    for name in names:
        seeds = range(1 if options.quick else options.seeds)
        results[name] = compare(name, seeds, options.quick)
        print_results(name, results[name])
        print_conjecture(name, results[name])
    note(
        "Conjecture: sparse priors and stronger non-linearities are more robust. A "
        "gain is starred where it is larger than 2.8 standard errors over seeds (t, "
        "5 % of 4 degrees of freedom)."
    )
    if options.figure:
        draw(results, options.figure)


if __name__ == "__main__":
    main()
