"""Does a network of sparse codes start backpropagation better than random numbers do?

On MNIST, with 1,000 and 10,000 labelled images and few epochs: two layers of sparse
codes, learned from these images without labels and read by logistic regression, then
fine-tuned with and without their constraints, beside convolutional networks of the same
shape that start from random numbers. Then inference: scikit-learn, torch and ONNX
Runtime with the same weights. `--quick` does it on scikit-learn's digits.
"""

import argparse
import time
import warnings
from functools import partial
from statistics import mean, stdev

import numpy as np
from _data import images
from _measure import Contender, measure, note, optional, print_machine, table

from skscn import (
    ConvSparseCoder,
    SpatialPool,
    make_sparse_coding_network,
    to_onnx,
    to_torch,
)

torch = optional("torch")
onnxruntime = optional("onnxruntime") if optional("skl2onnx") else None

PACKAGES = ("numpy", "scikit-learn", "torch", "onnxruntime", "skl2onnx")
ATOMS = 8, 24  # of the layers; every atom has two maps, one for each sign
BATCH = 32
RATES = 3e-4, 1e-3, 3e-3, 1e-2  # of Adam; each contender takes its best of these
CONSTRAINTS = {  # whether priors are clamped, and atoms kept orthonormal
    "fine-tuned, free": (False, False),
    "fine-tuned, λ ≥ 0": (True, False),
    "fine-tuned, orthonormal atoms": (False, True),
    "fine-tuned, both": (True, True),
}


def learned(X, y, seed, **options):
    first = ConvSparseCoder(ATOMS[0], kernel_size=5, contrast=0.1, **options)
    second = ConvSparseCoder(ATOMS[1], kernel_size=3, contrast=0.1, **options)
    layers = [
        ("conv1", first),
        ("pool1", SpatialPool("average", window=2)),
        ("conv2", second),
        ("pool2", SpatialPool("average", grid=4, power=0.5)),
    ]
    return make_sparse_coding_network(layers, random_state=seed).fit(X, y)


def random_network(shape, n_classes, batch_norm, seed):
    """Return a convolutional network of the same shape, with torch's own start."""
    torch.manual_seed(seed)
    nn, (first, second) = torch.nn, (2 * n for n in ATOMS)
    parts = [
        nn.Unflatten(1, (1, shape[1])),
        nn.Conv2d(1, first, 5, padding=2),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(first, second, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(16 * second, n_classes),
    ]
    if batch_norm:
        parts.insert(5, nn.BatchNorm2d(second))
        parts.insert(2, nn.BatchNorm2d(first))
    return nn.Sequential(*parts)


def accuracy(network, X, y):
    network.eval()
    with torch.no_grad():
        parts = torch.from_numpy(X).split(500)
        labels = torch.cat([network(part).argmax(dim=1) for part in parts])
    network.train()
    return 100 * np.mean(labels.numpy() == y)


def trained(network, X, y, rate, n_epochs, clamp, seed):
    """Train in place; yield after every epoch."""
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    X, y = torch.from_numpy(X), torch.from_numpy(y.astype(np.int64))
    rng = torch.Generator().manual_seed(seed)
    for _ in range(n_epochs):
        for rows in torch.randperm(len(X), generator=rng).split(BATCH):
            optimizer.zero_grad()
            scores = network(X[rows])
            torch.nn.functional.cross_entropy(scores, y[rows]).backward()
            optimizer.step()
            if clamp:
                network.clamp_priors_()
        yield


def starts(X, y, seed):
    """Return, by name, what makes a network to train, and whether it is clamped."""
    model = learned(X, y, seed)
    control = learned(X, y, seed, init="random", max_iter=0)
    made = {}
    for name, (clamp, orthonormal) in CONSTRAINTS.items():
        made[name] = partial(to_torch, model, orthonormal=orthonormal), clamp
    made["random orthonormal atoms, free"] = partial(to_torch, control), False
    n_classes = len(model.classes_)
    for name, batch_norm in (("CNN", False), ("CNN with batch norm", True)):
        network = partial(random_network, X.shape, n_classes, batch_norm, seed)
        made[f"{name}, random start"] = network, False
    return model, made


def broken(network):
    """Return the share of priors below zero, in per cent, of exported networks."""
    biases = [
        module.prior_bias.detach()
        for module in network.modules()
        if getattr(module, "prior_bias", None) is not None
    ]
    return 100 * float((torch.cat(biases) > 0).double().mean()) if biases else np.nan


def best_rates(X, y, held_out, n_epochs):
    """Return the rate of every contender that held-out images like best.

    All that start from orthonormal atoms have that of the first.
    """
    _, made = starts(X, y, 100)
    rates = {}
    for name, (make, clamp) in made.items():
        if rates and "CNN" not in name:
            rates[name] = next(iter(rates.values()))
            continue
        found = []
        for rate in RATES:
            network = make()
            for _ in trained(network, X, y, rate, n_epochs, clamp, 100):
                pass
            found.append(accuracy(network, *held_out))
        rates[name] = RATES[int(np.argmax(found))]
    return rates


def compare(data, n_labelled, seeds, n_epochs, rates):
    X, y, Z, z = data
    before, seconds = [], []
    curves, spent, shares = {}, {}, {}
    for seed in seeds:
        rows = np.random.default_rng(seed).choice(len(X), n_labelled, replace=False)
        began = time.perf_counter()
        learned(X[rows], y[rows], seed)
        seconds.append(time.perf_counter() - began)
        model, made = starts(X[rows], y[rows], seed)
        before.append(100 * model.score(Z, z))
        for name, (make, clamp) in made.items():
            network, curve = make(), []
            steps = trained(
                network, X[rows], y[rows], rates[name], n_epochs, clamp, seed
            )
            total = 0.0
            for epoch in range(n_epochs):
                began = time.perf_counter()
                next(steps)
                total += time.perf_counter() - began
                if epoch in (0, n_epochs - 1):
                    curve.append(accuracy(network, Z, z))
            curves.setdefault(name, []).append(curve)
            spent.setdefault(name, []).append(total)
            shares.setdefault(name, []).append(broken(network))

    def cells(values, digits=2):
        spread = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
        return f"{mean(values):.{digits}f}{spread}"

    rows = [["sparse codes, no backpropagation", "", "", cells(before), "", ""]]
    rows[0].append(f"{mean(seconds):.1f}")
    for name, curve in curves.items():
        after = np.array(curve)
        rows.append(
            [
                name,
                f"{rates[name]:g}",
                cells(after[:, 0].tolist()),
                cells(after[:, -1].tolist()),
                f"{np.mean(after[:, -1] - before):+.2f}",
                "" if np.isnan(shares[name][0]) else f"{mean(shares[name]):.0f}",
                f"{mean(spent[name]):.1f}",
            ]
        )
    table(
        f"{n_labelled:,} labelled images, {n_epochs} epochs, {len(seeds)} seeds: "
        "test accuracy, %",
        ["start", "rate", "1 epoch", "last epoch", "gain", "λ < 0, %", "seconds"],
        rows,
    )


def contenders(model, Z):
    """Return scikit-learn, torch and ONNX Runtime, with the same weights."""
    network, tensor = to_torch(model), torch.from_numpy(Z)

    def with_torch():
        with torch.no_grad():
            return torch.cat([network(part) for part in tensor.split(250)]).numpy()

    def with_onnx():
        parts = np.array_split(Z, max(1, len(Z) // 250))
        return np.concatenate([session.run(None, {"X": part})[1] for part in parts])

    if onnxruntime is not None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        raw = {id(model["classify"]): {"zipmap": False, "raw_scores": True}}
        session = onnxruntime.InferenceSession(
            to_onnx(model, Z, options=raw).SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
        )
    return [
        Contender("scikit-learn", partial(model.decision_function, Z)),
        Contender("torch", with_torch),
        Contender("ONNX Runtime", with_onnx if onnxruntime is not None else None),
    ]


def inference(data, repeats):
    """Print how long inference takes, and how far results are from double precision."""
    X, y, Z, _ = data
    rows = []
    X, y, Z = X[:2000], y[:2000], Z[:1000]
    named = make_sparse_coding_network("digits", random_state=0).fit(X, y)
    for name, model in {"two layers": learned(X, y, 0), '"digits"': named}.items():
        compared = contenders(model, Z)
        seconds, results = measure(compared, repeats)
        wanted = model.decision_function(Z.astype(np.float64))
        for which in (contender.name for contender in compared):
            if which not in seconds:
                rows.append([f"{name}, {which}"])
                continue
            rows.append(
                [
                    f"{name}, {which}",
                    f"{1e3 * seconds[which] / len(Z):.3f}",
                    f"{seconds[which] / seconds['scikit-learn']:.2f}",
                    f"{np.abs(results[which] - wanted).max():.0e}",
                    f"{np.abs(wanted).max():.1f}",
                ]
            )
    table(
        "Inference in float32, one thread, 250 images at a time",
        ["", "ms an image", "by scikit-learn", "off float64 by at most", "of"],
        rows,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small digits, few epochs")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    print_machine(PACKAGES)
    if torch is None:
        note("torch is not installed (pip install skscn[torch]): nothing to compare.")
        return
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # that logistic regression has not converged
    X, y, Z, z = images("digits" if arguments.quick else "mnist")
    top = 16 if arguments.quick else 255
    X, Z = (a.astype(np.float32) / top for a in (X, Z))
    data = X, y, Z, z
    if arguments.quick:
        rates = dict.fromkeys([*starts(X[:200], y[:200], 0)[1]], 3e-3)
        compare(data, 300, range(2), 2, rates)
        inference(data, 1)
        return
    held_out = X[-2000:], y[-2000:]
    rates = best_rates(X[:1000], y[:1000], held_out, 8)
    data = X[:-2000], y[:-2000], Z[::2], z[::2]
    compare(data, 1_000, range(5), 8, rates)
    compare(data, 10_000, range(1), 4, rates)
    inference(data, arguments.repeats)
    note(
        "Accuracy on every other test image. 'gain' is over the network without "
        "backpropagation. Every contender has the rate of Adam, of four, that is best "
        "on 2,000 other images after training on 1,000; all that start from "
        "orthonormal atoms share one. 'random orthonormal atoms' "
        "differ from the first network in their atoms alone. Seconds are those of "
        "training on one thread; of the first row, of all learning."
    )


if __name__ == "__main__":
    main()
