"""The data sets of the benchmarks: from the folder SKSCN_DATA, or from OpenML."""

import os
from pathlib import Path

import numpy as np
from sklearn.datasets import fetch_openml, load_digits
from sklearn.model_selection import train_test_split

# Name at OpenML, shape of a row, whether channels come first, images to train with.
OPENML = {
    "usps": ("USPS", (16, 16), False, 7_291),
    "mnist": ("mnist_784", (28, 28), False, 60_000),
    "cifar10": ("CIFAR_10", (3, 32, 32), True, 50_000),
}
FILES = {"usps": "usps", "mnist": "mnist", "cifar10": "cifar10_20k"}


def folder():
    """Return the folder of data sets, or None."""
    return Path(os.environ["SKSCN_DATA"]) if "SKSCN_DATA" in os.environ else None


def images(name):
    """Return images and labels to train with, then to test with."""
    if name == "digits":
        X, y = load_digits(return_X_y=True)
        X = X.reshape(-1, 8, 8).astype(np.float32)
        return split(*train_test_split(X, y, test_size=0.2, stratify=y, random_state=0))
    if name == "synthetic":  # for --quick: three channels, and labels in the contrast
        rng = np.random.default_rng(0)
        y = np.arange(200) % 4
        X = rng.uniform(0, 50, size=(200, 16, 16, 3)) * (y[:, None, None, None] + 1)
        X = X.astype(np.uint8)
        return X[:150], y[:150], X[150:], y[150:]
    if folder() is not None:
        return archive(folder() / f"{FILES[name]}.npz")
    title, shape, channels_first, n_train = OPENML[name]
    X, y = fetch_openml(title, version=1, return_X_y=True, as_frame=False)
    X = (X - X.min()).astype(np.float32).reshape(-1, *shape)  # paper is zero
    if channels_first:
        X = np.ascontiguousarray(np.moveaxis(X, 1, -1))
    y = np.unique(y, return_inverse=True)[1]
    return X[:n_train], y[:n_train], X[n_train:], y[n_train:]


def classics():
    """Return the five grey images of denoising papers by their names, or none."""
    if folder() is None:
        return {}
    with np.load(folder() / "classic5.npz") as data:
        return {name: data[name] for name in data.files}


def signals():
    """Return the names of the signal sets of the folder `ucr`."""
    if folder() is None:
        return []
    return sorted(path.stem for path in (folder() / "ucr").glob("*.npz"))


def signal(name):
    """Return signals and labels to train with, then to test with."""
    return archive(folder() / "ucr" / f"{name}.npz")


def archive(path):
    """Return what an archive holds."""
    with np.load(path) as data:
        return tuple(data[key] for key in ("X_train", "y_train", "X_test", "y_test"))


def split(X, Z, y, z):
    """Return what train_test_split does in the order of the others."""
    return X, y, Z, z
