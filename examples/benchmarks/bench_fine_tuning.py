"""Is a sparse coding network a better initialization than random weights?

On MNIST, with 1,000 and 10,000 labeled images and few epochs: two layers of sparse
codes are learned without labels and classified by logistic regression. They are then
fine-tuned by backpropagation, with and without their constraints, and compared with
convolutional networks of the same architecture with random initial weights. The second
part compares inference with scikit-learn, torch and ONNX Runtime with the same weights.
`--quick` uses scikit-learn's digits.
"""

import warnings
from functools import partial
from statistics import mean, stdev

import numpy as np
from _data import load_images
from _measure import (
    Method,
    import_optional,
    make_parser,
    print_environment,
    print_note,
    print_table,
    time_methods,
    timed,
)
from _training import predict, train

from skscn import (
    ConvSparseCoder,
    SpatialPool,
    make_sparse_coding_network,
    to_onnx,
    to_torch,
)

torch = import_optional("torch")
onnxruntime = import_optional("onnxruntime") if import_optional("skl2onnx") else None

PACKAGES = ("numpy", "scikit-learn", "torch", "onnxruntime", "skl2onnx")
N_ATOMS = 8, 24  # of the two layers; every atom has two maps, one for each sign
BATCH_SIZE = 32
RATES = 3e-4, 1e-3, 3e-3, 1e-2  # learning rates, of which the best is chosen
N_VALIDATION = 2000  # images that choose the learning rates
CONSTRAINTS = {  # whether biases are clamped, and whether atoms remain orthonormal
    "fine-tuned, free": (False, False),
    "fine-tuned, λ ≥ 0": (True, False),
    "fine-tuned, orthonormal atoms": (False, True),
    "fine-tuned, both": (True, True),
}


def fit_sparse_network(X, y, seed, **options):
    first = ConvSparseCoder(N_ATOMS[0], kernel_size=5, contrast=0.1, **options)
    second = ConvSparseCoder(N_ATOMS[1], kernel_size=3, contrast=0.1, **options)
    layers = [
        ("conv1", first),
        ("pool1", SpatialPool("average", window=2)),
        ("conv2", second),
        ("pool2", SpatialPool("average", grid=4, power=0.5)),
    ]
    return make_sparse_coding_network(layers, random_state=seed).fit(X, y)


def make_random_network(shape, n_classes, batch_norm, seed):
    """Return a CNN of the same architecture, with torch's default initialization."""
    torch.manual_seed(seed)
    nn, (first, second) = torch.nn, (2 * n for n in N_ATOMS)
    modules = [
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
        modules.insert(5, nn.BatchNorm2d(second))
        modules.insert(2, nn.BatchNorm2d(first))
    return nn.Sequential(*modules)


def accuracy(network, X, y):
    return 100 * np.mean(predict(network, X) == y)


def train_network(network, X, y, rate, n_epochs, clamp, seed):
    """Train in place; yield after every epoch."""
    return train(
        network,
        X,
        y,
        n_epochs=n_epochs,
        rate=rate,
        batch_size=BATCH_SIZE,
        seed=seed,
        after_step=network.clamp_priors_ if clamp else None,
    )


def make_initializations(X, y, seed):
    """Return the fitted network, and all initializations by name.

    An initialization is a function that returns a new torch module, and whether the
    biases of the module are clamped.
    """
    model = fit_sparse_network(X, y, seed)
    random_atoms = fit_sparse_network(X, y, seed, init="random", max_iter=0)
    initializations = {}
    for name, (clamp, orthonormal) in CONSTRAINTS.items():
        make = partial(to_torch, model, orthonormal=orthonormal)
        initializations[name] = make, clamp
    make = partial(to_torch, random_atoms)
    initializations["random orthonormal atoms, free"] = make, False
    n_classes = len(model.classes_)
    for name, batch_norm in (("CNN", False), ("CNN with batch norm", True)):
        make = partial(make_random_network, X.shape, n_classes, batch_norm, seed)
        initializations[f"{name}, random weights"] = make, False
    return model, initializations


def positive_bias_percentage(network):
    """Return the percentage of units with a positive bias, which means λ < 0."""
    biases = [
        module.prior_bias.detach()
        for module in network.modules()
        if getattr(module, "prior_bias", None) is not None
    ]
    return 100 * float((torch.cat(biases) > 0).double().mean()) if biases else np.nan


def choose_rates(X, y, validation, n_epochs):
    """Return the learning rate of every initialization.

    It is the rate with the highest accuracy on validation data. All networks with
    orthonormal initial atoms have the rate of the first one.
    """
    _, initializations = make_initializations(X, y, 100)
    rates = {}
    for name, (make, clamp) in initializations.items():
        if rates and "CNN" not in name:
            rates[name] = next(iter(rates.values()))
            continue
        accuracies = []
        for rate in RATES:
            network = make()
            for _ in train_network(network, X, y, rate, n_epochs, clamp, 100):
                pass
            accuracies.append(accuracy(network, *validation))
        rates[name] = RATES[int(np.argmax(accuracies))]
    return rates


def compare(data, n_labeled, seeds, n_epochs, rates):
    """Print the accuracy of all networks before and after training."""
    X, y, X_test, y_test = data
    accuracies, fit_seconds = [], []
    curves, train_seconds, percentages = {}, {}, {}
    for seed in seeds:
        rows = np.random.default_rng(seed).choice(len(X), n_labeled, replace=False)
        fit_seconds.append(timed(fit_sparse_network, X[rows], y[rows], seed)[1])
        model, initializations = make_initializations(X[rows], y[rows], seed)
        accuracies.append(100 * model.score(X_test, y_test))
        for name, (make, clamp) in initializations.items():
            network, curve = make(), []
            epochs = train_network(
                network, X[rows], y[rows], rates[name], n_epochs, clamp, seed
            )
            seconds = 0.0
            for epoch in range(n_epochs):
                seconds += timed(next, epochs)[1]
                if epoch in (0, n_epochs - 1):
                    curve.append(accuracy(network, X_test, y_test))
            curves.setdefault(name, []).append(curve)
            train_seconds.setdefault(name, []).append(seconds)
            percentage = positive_bias_percentage(network)
            percentages.setdefault(name, []).append(percentage)

    def format_mean(values, digits=2):
        std = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
        return f"{mean(values):.{digits}f}{std}"

    rows = [["sparse codes, no backpropagation", "", "", format_mean(accuracies)]]
    rows[0] += ["", "", f"{mean(fit_seconds):.1f}"]
    for name, curve in curves.items():
        curve = np.array(curve)
        rows.append(
            [
                name,
                f"{rates[name]:g}",
                format_mean(curve[:, 0].tolist()),
                format_mean(curve[:, -1].tolist()),
                f"{np.mean(curve[:, -1] - accuracies):+.2f}",
                ""
                if np.isnan(percentages[name][0])
                else f"{mean(percentages[name]):.0f}",
                f"{mean(train_seconds[name]):.1f}",
            ]
        )
    columns = ["initialization", "rate", "1 epoch", "last epoch", "gain", "λ < 0, %"]
    columns.append("seconds")
    print_table(
        f"{n_labeled:,} labeled images, {n_epochs} epochs, {len(seeds)} seeds: "
        "test accuracy, %",
        columns,
        rows,
    )


def make_inference_methods(model, X):
    """Return scikit-learn, torch and ONNX Runtime, with the same weights."""
    network, tensor = to_torch(model), torch.from_numpy(X)

    def run_torch():
        with torch.no_grad():
            return torch.cat([network(part) for part in tensor.split(250)]).numpy()

    def run_onnx():
        parts = np.array_split(X, max(1, len(X) // 250))
        return np.concatenate([session.run(None, {"X": part})[1] for part in parts])

    if onnxruntime is not None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        raw = {id(model["classify"]): {"zipmap": False, "raw_scores": True}}
        session = onnxruntime.InferenceSession(
            to_onnx(model, X, options=raw).SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
        )
    return [
        Method("scikit-learn", partial(model.decision_function, X)),
        Method("torch", run_torch),
        Method("ONNX Runtime", run_onnx if onnxruntime is not None else None),
    ]


def compare_inference(data, repeats):
    """Print the time of inference, and the difference from double precision."""
    X, y, X_test, _ = data
    rows = []
    X, y, X_test = X[:2000], y[:2000], X_test[:1000]
    models = {
        "two layers": fit_sparse_network(X, y, 0),
        '"digits"': make_sparse_coding_network("digits", random_state=0).fit(X, y),
    }
    for name, model in models.items():
        methods = make_inference_methods(model, X_test)
        seconds, results = time_methods(methods, repeats)
        expected = model.decision_function(X_test.astype(np.float64))
        for method in methods:
            row = [f"{name}, {method.name}"]
            if method.name in seconds:
                time = seconds[method.name]
                error = np.abs(results[method.name] - expected).max()
                row += [
                    f"{1e3 * time / len(X_test):.3f}",
                    f"{time / seconds['scikit-learn']:.2f}",
                    f"{error:.0e}",
                    f"{np.abs(expected).max():.1f}",
                ]
            rows.append(row)
    print_table(
        "Inference in float32, one thread, 250 images at a time",
        ["", "ms per image", "× scikit-learn", "maximum error", "maximum score"],
        rows,
    )


def main():
    options = make_parser(__doc__, repeats=5).parse_args()
    print_environment(PACKAGES)
    if torch is None:
        print_note("Nothing is compared: install torch (pip install skscn[torch]).")
        return
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # logistic regression may not converge
    X, y, X_test, y_test = load_images("digits" if options.quick else "mnist")
    white = 16 if options.quick else 255
    X, X_test = (images.astype(np.float32) / white for images in (X, X_test))
    data = X, y, X_test, y_test
    if options.quick:
        data = X[:200], y[:200], X_test[:100], y_test[:100]
        _, initializations = make_initializations(X[:100], y[:100], 0)
        compare(data, 100, range(2), 2, dict.fromkeys(initializations, 3e-3))
        compare_inference(data, 0)
        return
    validation = X[-N_VALIDATION:], y[-N_VALIDATION:]
    rates = choose_rates(X[:1000], y[:1000], validation, 8)
    data = X[:-N_VALIDATION], y[:-N_VALIDATION], X_test[::2], y_test[::2]
    compare(data, 1_000, range(5), 8, rates)
    compare(data, 10_000, range(1), 4, rates)
    compare_inference(data, options.repeats)
    print_note(
        "Accuracy is that of every other test image. 'gain' is the difference from the "
        "network without backpropagation. The learning rate of every initialization is "
        "the best of four on 2,000 validation images, after training on 1,000 images; "
        "all networks with orthonormal initial atoms have the same rate. 'random "
        "orthonormal atoms' differ from the first network only in their atoms. "
        "'seconds' is the time of training on one thread; in the first row, of all "
        "learning."
    )


if __name__ == "__main__":
    main()
