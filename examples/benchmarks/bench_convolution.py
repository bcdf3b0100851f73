"""How fast is a convolutional layer, and how much memory does it take?

A layer without contrast normalisation and an average pool of 2 × 2, float32, beside
torch with the same filters and as many threads.
"""

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from _measure import (
    Contender,
    at_least,
    at_most,
    forget_peak,
    measure,
    note,
    optional,
    peak_memory,
    print_machine,
    table,
)

from skscn import ConvSparseCoder, SparseCodingNetwork, SpatialPool

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch")
BATCH = 250  # images that torch gets at a time: its maps would not fit otherwise

torch = optional("torch")


@dataclass(frozen=True)
class Layer:
    """A layer, the images it reads, and how many."""

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


def fitted(layer, n_jobs=1, contrast=None):
    conv = ConvSparseCoder(
        layer.n_atoms, kernel_size=layer.kernel_size, contrast=contrast, random_state=0
    )
    layers = [("conv", conv), ("pool", SpatialPool("average", window=2))]
    return SparseCodingNetwork(layers, n_jobs=n_jobs).fit(images(layer, 20))


def images(layer, n_images):
    rng = np.random.default_rng(0)
    return rng.random((n_images, *layer.image_shape), dtype=np.float32)


def torch_layer(network, X):
    """Return the same as a function of nothing, its result as a NumPy array."""
    conv = network.named_layers_["conv"]
    weight = torch.from_numpy(conv.filters_.transpose(0, 3, 1, 2).copy())
    bias = torch.from_numpy(conv.bias_)
    X = torch.from_numpy(X.transpose(0, 3, 1, 2).copy())
    functional = torch.nn.functional

    def run(n_threads):
        torch.set_num_threads(n_threads)
        parts = []
        with torch.inference_mode():
            for batch in X.split(BATCH):
                maps = functional.conv2d(batch, weight, bias, padding="same")
                parts.append(functional.avg_pool2d(maps.relu_(), 2))
        return torch.cat(parts).numpy().transpose(0, 2, 3, 1)

    return run


def compare(layer, n_images, repeats):
    """Return the row of a layer, and times by those of torch and of 2 workers."""
    X = images(layer, n_images)
    one, two = fitted(layer, 1), fitted(layer, 2)
    normalised = fitted(layer, 1, contrast=0.1)
    peer = torch and torch_layer(one, X)
    seconds, results = measure(
        [
            Contender("one", lambda: one.transform(X)),
            Contender("two", lambda: two.transform(X)),
            Contender("contrast", lambda: normalised.transform(X)),
            Contender("torch 1", peer and (lambda: peer(1))),
            Contender("torch 2", peer and (lambda: peer(2))),
        ],
        repeats,
    )
    ms = {name: 1000 * value / n_images for name, value in seconds.items()}
    cells = [f"{ms[name]:.3f}" for name in ("one", "two", "contrast")]
    ratios = [np.nan, np.nan, ms["one"] / ms["two"]]
    if peer:
        ratios[:2] = ms["one"] / ms["torch 1"], ms["two"] / ms["torch 2"]
        gap = np.abs(results["one"] - results["torch 1"].reshape(n_images, -1)).max()
        cells += [f"{ms['torch 1']:.3f}", f"{ms['torch 2']:.3f}", f"{gap:.0e}"]
    return [layer.name, *cells], ratios


def memory(layer, n_images):
    """Return megabytes that transform takes beyond its input and its output."""
    network, X = fitted(layer, 2, contrast=0.1), images(layer, n_images)
    network.transform(X[:1])
    forget_peak()
    before = peak_memory()
    output = network.transform(X)
    return peak_memory() - before - output.nbytes / 2**20


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="hardly any images")
    arguments = parser.parse_args()
    quick, repeats = arguments.quick, 1 if arguments.quick else arguments.repeats
    print_machine(PACKAGES)
    found = [
        compare(layer, 4 if quick else layer.n_images, repeats) for layer in LAYERS
    ]
    rows, ratios = zip(*found, strict=True)
    if torch is None:
        rows = [[*row, "not installed (pip install torch)"] for row in rows]
    columns = ["maps of both signs", "skscn, 1 worker", "2 workers", "1, contrast"]
    columns += ["torch, 1 thread", "2 threads", "difference"]
    table("Convolution, ReLU and pool: ms an image", columns, rows)
    worst = np.max(np.array(ratios)[:, :2], axis=0)
    at_most(1, worst[0], "time by that of torch, 1 worker and 1 thread, at worst")
    at_most(1, worst[1], "time by that of torch, 2 workers and 2 threads, at worst")
    speedup = np.min(np.array(ratios)[:, 2])
    at_least(1.6, speedup, "times faster with 2 workers, at worst")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as pool:
        for layer in (LAYERS[1], LAYERS[3], LAYERS[5]):
            n_images = 4 if quick else 10 * layer.n_images
            extra = pool.submit(memory, layer, n_images).result()
            at_most(200, extra, f"MB beside input and output, {layer.name}")
    note(
        "torch reads images channel by channel, as it likes them best, and "
        f"{BATCH} at a time. skscn reads and returns them channels last."
    )


if __name__ == "__main__":
    main()
