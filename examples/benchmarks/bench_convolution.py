"""How fast is a convolutional layer, and how much memory does it take?

A layer without contrast normalization and average pooling over windows of 2 × 2, in
float32, compared with torch with the same filters and the same number of threads.
"""

from dataclasses import dataclass, replace

import numpy as np
from _measure import (
    Method,
    import_optional,
    make_parser,
    one_process,
    peak_memory,
    print_at_least,
    print_at_most,
    print_environment,
    print_note,
    print_table,
    reset_peak_memory,
    time_methods,
)

from skscn import ConvSparseCoder, SparseCodingNetwork, SpatialPool

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch")
BATCH_SIZE = 250  # images in one call of torch, which limits the memory of its maps

torch = import_optional("torch")


@dataclass(frozen=True)
class Layer:
    """A layer, and the number and shape of its input images."""

    name: str
    n_images: int
    image_shape: tuple
    n_atoms: int
    kernel_size: int


LAYERS = (
    Layer("28×28, 5×5, 16 atoms", 2000, (28, 28, 1), 16, 5),
    Layer("28×28, 9×9, 48 atoms", 2000, (28, 28, 1), 48, 9),
    Layer("32×32×3, 7×7, 56 atoms", 1000, (32, 32, 3), 56, 7),
    Layer("32×32×3, 11×11, 96 atoms", 500, (32, 32, 3), 96, 11),
    Layer("14×14×32, 5×5, 48 atoms", 1000, (14, 14, 32), 48, 5),
    Layer("256×256×3, 7×7, 32 atoms", 20, (256, 256, 3), 32, 7),
)


def make_small(layer):
    """Return a layer of few atoms for few small images, for --quick."""
    height, width, n_channels = layer.image_shape
    shape = (min(height, 32), min(width, 32), n_channels)
    return replace(layer, n_images=4, image_shape=shape, n_atoms=layer.n_atoms // 8)


def fit_network(layer, n_jobs=1, contrast=None):
    conv = ConvSparseCoder(
        layer.n_atoms, kernel_size=layer.kernel_size, contrast=contrast, random_state=0
    )
    layers = [("conv", conv), ("pool", SpatialPool("average", window=2))]
    return SparseCodingNetwork(layers, n_jobs=n_jobs).fit(make_images(layer, 20))


def make_images(layer, n_images):
    rng = np.random.default_rng(0)
    return rng.random((n_images, *layer.image_shape), dtype=np.float32)


def make_torch_function(network, X):
    """Return a function of n_threads that computes the same maps of X with torch."""
    conv = network.named_layers_["conv"]
    weight = torch.from_numpy(conv.filters_.transpose(0, 3, 1, 2).copy())
    bias = torch.from_numpy(conv.bias_)
    X = torch.from_numpy(X.transpose(0, 3, 1, 2).copy())
    functional, margin = torch.nn.functional, weight.shape[-1] // 2

    def run(n_threads):
        torch.set_num_threads(n_threads)
        parts = []
        with torch.inference_mode():
            for batch in X.split(BATCH_SIZE):
                padded = functional.pad(batch, 4 * (margin,), mode="replicate")
                maps = functional.conv2d(padded, weight, bias)
                parts.append(functional.avg_pool2d(maps.relu_(), 2))
        return torch.cat(parts).numpy().transpose(0, 2, 3, 1)

    return run


def compare(layer, n_images, repeats):
    """Return the table row of a layer, its times relative to torch, and the speedup."""
    X = make_images(layer, n_images)
    one, two = fit_network(layer, 1), fit_network(layer, 2)
    normalized = fit_network(layer, 1, contrast=0.1)
    run_torch = torch and make_torch_function(one, X)
    seconds, results = time_methods(
        [
            Method("one", lambda: one.transform(X)),
            Method("two", lambda: two.transform(X)),
            Method("contrast", lambda: normalized.transform(X)),
            Method("torch 1", run_torch and (lambda: run_torch(1))),
            Method("torch 2", run_torch and (lambda: run_torch(2))),
        ],
        repeats,
    )
    ms = {name: 1000 * value / n_images for name, value in seconds.items()}
    cells = [f"{ms[name]:.3f}" for name in ("one", "two", "contrast")]
    ratios = [np.nan, np.nan, ms["one"] / ms["two"]]
    if run_torch:
        ratios[:2] = ms["one"] / ms["torch 1"], ms["two"] / ms["torch 2"]
        difference = results["one"] - results["torch 1"].reshape(n_images, -1)
        cells += [f"{ms['torch 1']:.3f}", f"{ms['torch 2']:.3f}"]
        cells.append(f"{np.abs(difference).max():.0e}")
    return [layer.name, *cells], ratios


def measure_memory(layer, n_images):
    """Return the megabytes that transform needs besides its input and its output."""
    network = fit_network(layer, 2, contrast=0.1)
    X = make_images(layer, n_images)
    network.transform(X[:1])
    reset_peak_memory()
    before = peak_memory()
    output = network.transform(X)
    return peak_memory() - before - output.nbytes / 2**20


def main():
    options = make_parser(__doc__, repeats=5).parse_args()
    quick, repeats = options.quick, 0 if options.quick else options.repeats
    print_environment(PACKAGES)
    layers = [make_small(layer) for layer in LAYERS] if quick else LAYERS
    comparisons = [compare(layer, layer.n_images, repeats) for layer in layers]
    rows, ratios = zip(*comparisons, strict=True)
    if torch is None:
        rows = [[*row, "not installed (pip install torch)"] for row in rows]
    columns = ["maps of both signs", "skscn, 1 worker", "2 workers"]
    columns += ["1 worker, contrast", "torch, 1 thread", "2 threads", "difference"]
    print_table("Convolution, ReLU and pooling: ms per image", columns, rows)
    worst = np.max(np.array(ratios)[:, :2], axis=0)
    print_at_most(1, worst[0], "maximum time relative to torch, 1 worker and 1 thread")
    print_at_most(1, worst[1], "maximum time relative to torch, 2 workers and threads")
    speedup = np.min(np.array(ratios)[:, 2])
    print_at_least(1.6, speedup, "minimum speedup with 2 workers")
    with one_process(quick) as pool:
        for layer in layers[1::2]:
            n_images = 10 * layer.n_images
            megabytes = pool.submit(measure_memory, layer, n_images).result()
            print_at_most(200, megabytes, f"MB besides input and output, {layer.name}")
    print_note(
        f"torch is given {BATCH_SIZE} images at a time, with channels first, which is "
        "fastest for it. skscn reads and returns images with channels last."
    )


if __name__ == "__main__":
    main()
