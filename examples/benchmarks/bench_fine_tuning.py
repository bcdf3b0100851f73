"""Is a sparse coding network a better initialization than random weights?

On MNIST, with 1,000 and 10,000 labeled images and few epochs: two layers of sparse
codes are learned without labels and classified by logistic regression. They are then
fine-tuned by backpropagation, with and without their constraints, and compared with
convolutional networks of the same architecture with random initial weights. The second
part compares inference with scikit-learn, torch and ONNX Runtime with the same weights.
`--quick` uses scikit-learn's digits. One part runs only by name: `--only photographs`,
three layers on CIFAR-10, which takes more than an hour.
"""

import warnings
from dataclasses import dataclass, replace
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
from sklearn.linear_model import LogisticRegression

from skscn import (
    ConvSparseCoder,
    SpatialPool,
    from_torch,
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
# Three layers on photographs: kernel sizes and numbers of atoms.
PHOTOGRAPH_LAYERS = (5, 24), (3, 64), (3, 128)
SHIFT = 4  # pixels, at most, in augmented photographs
CONSTRAINTS = {  # whether biases are clamped, and whether atoms remain orthonormal
    "fine-tuned, free": (False, False),
    "fine-tuned, λ ≥ 0": (True, False),
    "fine-tuned, orthonormal atoms": (False, True),
    "fine-tuned, both": (True, True),
}


@dataclass(frozen=True)
class PhotographNetwork:
    """A network for photographs, and how it is trained."""

    name: str
    is_sparse: bool
    batch_norm: bool
    rate: float
    classifier_rate: float | None
    n_epochs: int


PHOTOGRAPH_NETWORKS = (
    PhotographNetwork("fine-tuned, free", True, False, 6e-4, None, 16),
    PhotographNetwork("fine-tuned with batch norm", True, True, 2e-3, 2e-4, 38),
    PhotographNetwork(
        "CNN with batch norm, random weights", False, True, 3e-3, None, 18
    ),
)


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


def fit_photograph_network(X, y):
    layers = []
    for i, (kernel_size, n_atoms) in enumerate(PHOTOGRAPH_LAYERS, start=1):
        contrast = 0.05 if i == 1 else None
        coder = ConvSparseCoder(n_atoms, kernel_size=kernel_size, contrast=contrast)
        is_last = i == len(PHOTOGRAPH_LAYERS)
        pool = SpatialPool(grid=4) if is_last else SpatialPool(window=2)
        layers += [(f"conv{i}", coder), (f"pool{i}", pool)]
    classifier = LogisticRegression(C=0.001, max_iter=100)
    model = make_sparse_coding_network(layers, classifier=classifier, random_state=0)
    return model.fit(X, y)


def make_photograph_cnn(n_channels, n_classes):
    """Return a CNN of the same architecture, with batch norm and random weights."""
    torch.manual_seed(0)
    nn, modules = torch.nn, []
    for i, (kernel_size, n_atoms) in enumerate(PHOTOGRAPH_LAYERS, start=1):
        n_maps = 2 * n_atoms
        padding = kernel_size // 2
        modules.append(nn.Conv2d(n_channels, n_maps, kernel_size, padding=padding))
        modules.append(nn.BatchNorm2d(n_maps))
        is_last = i == len(PHOTOGRAPH_LAYERS)
        modules += [nn.ReLU(), nn.AdaptiveAvgPool2d(4) if is_last else nn.AvgPool2d(2)]
        n_channels = n_maps
    return nn.Sequential(*modules, nn.Flatten(), nn.Linear(16 * n_maps, n_classes))


def shift_and_mirror(images, generator, *, axes):
    """Return images that are shifted in eight groups, and mirrored by chance.

    Parameters
    ----------
    images : tensor of four dimensions
    generator : torch.Generator
    axes : tuple of int
        Vertical and horizontal axis.
    """

    def draw(*shape):
        return torch.rand(shape, generator=generator)

    parts = []
    for part in images.split(max(1, len(images) // 8)):
        for axis in axes:
            n = part.shape[axis]
            shift = int(draw(1) * (2 * SHIFT + 1)) - SHIFT
            # Pixels that come in are those at the edge, reflected.
            rows = (torch.arange(n) + shift).abs()
            part = part.index_select(
                axis, torch.where(rows < n, rows, 2 * n - 2 - rows)
            )
        parts.append(part)
    images = torch.cat(parts)
    is_mirrored = (draw(len(images)) < 0.5).reshape(-1, 1, 1, 1)
    return torch.where(is_mirrored, images.flip(axes[1]), images)


def compare_photographs(data, networks):
    """Print the accuracy of three layers on photographs, before and after training.

    Parameters
    ----------
    data : tuple of ndarray
        Training images and labels, then those of the test.
    networks : tuple of PhotographNetwork
    """
    X, y, X_test, y_test = data
    model, seconds = timed(fit_photograph_network, X, y)
    before = 100 * model.score(X_test, y_test)
    name = "sparse codes, no backpropagation"
    rows = [[name, "", "", f"{before:.2f}", "", "", f"{seconds:.0f}"]]
    mean, std = X.mean(axis=(0, 1, 2)), X.std(axis=(0, 1, 2))
    for each in networks:
        train_images, axes = X, (1, 2)
        if each.is_sparse:
            network = to_torch(model, batch_norm=each.batch_norm)
        else:  # channels first, standardized
            network = make_photograph_cnn(X.shape[-1], len(model.classes_))
            train_images, test_images = (
                np.ascontiguousarray(np.moveaxis((images - mean) / std, 3, 1))
                for images in (X, X_test)
            )
            axes = 2, 3
        epochs = train(
            network,
            train_images,
            y,
            n_epochs=each.n_epochs,
            rate=each.rate,
            classifier_rate=each.classifier_rate,
            batch_size=64,
            seed=0,
            augment=partial(shift_and_mirror, axes=axes),
            one_cycle=True,
            label_smoothing=0.1,
        )
        seconds, curve = 0.0, []
        for epoch in range(each.n_epochs):
            seconds += timed(next, epochs)[1]
            if epoch in (0, each.n_epochs - 1):
                if each.is_sparse:  # what is trained is a model of scikit-learn again
                    curve.append(100 * from_torch(network).score(X_test, y_test))
                else:
                    curve.append(accuracy(network, test_images, y_test))
        rows.append([each.name, f"{each.rate:g}", *(f"{a:.2f}" for a in curve)])
        rows[-1] += [
            f"{curve[-1] - before:+.2f}",
            f"{each.n_epochs}",
            f"{seconds:.0f}",
        ]
    columns = ["initialization", "rate", "1 epoch", "last epoch", "gain", "epochs"]
    print_table(
        f"{len(X):,} photographs: test accuracy, %", [*columns, "seconds"], rows
    )


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


def run_digits(options):
    """Compare initializations on digits."""
    X, y, X_test, y_test = load_digit_images(options.quick)
    if options.quick:
        _, initializations = make_initializations(X[:100], y[:100], 0)
        rates = dict.fromkeys(initializations, 3e-3)
        compare((X[:200], y[:200], X_test[:100], y_test[:100]), 100, range(2), 2, rates)
        return
    validation = X[-N_VALIDATION:], y[-N_VALIDATION:]
    rates = choose_rates(X[:1000], y[:1000], validation, 8)
    data = X[:-N_VALIDATION], y[:-N_VALIDATION], X_test[::2], y_test[::2]
    compare(data, 1_000, range(5), 8, rates)
    compare(data, 10_000, range(1), 4, rates)
    print_note(
        "Accuracy is that of every other test image. 'gain' is the difference from the "
        "network without backpropagation. The learning rate of every initialization is "
        "the best of four on 2,000 validation images, after training on 1,000 images; "
        "all networks with orthonormal initial atoms have the same rate. 'random "
        "orthonormal atoms' differ from the first network only in their atoms. "
        "'seconds' is the time of training on one thread; in the first row, of all "
        "learning."
    )


def run_photographs(options):
    """Compare initializations on photographs."""
    X, y, X_test, y_test = load_images("synthetic" if options.quick else "cifar10")
    X, X_test = (images.astype(np.float32) / 255 for images in (X, X_test))
    networks = PHOTOGRAPH_NETWORKS
    if options.quick:
        networks = tuple(replace(network, n_epochs=2) for network in networks)
    torch.set_num_threads(1 if options.quick else 2)
    compare_photographs((X, y, X_test, y_test), networks)
    torch.set_num_threads(1)
    print_note(
        "Photographs are shifted by up to 4 pixels and mirrored in training, and the "
        "learning rate rises and falls; with batch norm that of the classifier is a "
        "tenth. 'seconds' is the time of training on two threads; in the first row, of "
        "all learning."
    )


def run_inference(options):
    """Compare the time of inference."""
    X, y, X_test, y_test = load_digit_images(options.quick)
    n_train, n_test = (200, 100) if options.quick else (2000, 1000)
    data = X[:n_train], y[:n_train], X_test[:n_test], y_test[:n_test]
    compare_inference(data, 0 if options.quick else options.repeats)


def load_digit_images(quick):
    """Return images of digits from 0 to 1 and labels, then those of the test."""
    X, y, X_test, y_test = load_images("digits" if quick else "mnist")
    white = 16 if quick else 255
    X, X_test = (images.astype(np.float32) / white for images in (X, X_test))
    return X, y, X_test, y_test


PARTS = {
    "digits": run_digits,
    "inference": run_inference,
    "photographs": run_photographs,
}
DEFAULT_PARTS = ["digits", "inference"]


def main():
    parser = make_parser(__doc__, repeats=5)
    parser.add_argument("--only", choices=PARTS, help="run one part")
    options = parser.parse_args()
    print_environment(PACKAGES)
    if torch is None:
        print_note("Nothing is compared: install torch (pip install skscn[torch]).")
        return
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # logistic regression may not converge
    parts = list(PARTS) if options.quick else DEFAULT_PARTS
    for part in [options.only] if options.only else parts:
        PARTS[part](options)


if __name__ == "__main__":
    main()
