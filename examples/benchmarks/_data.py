"""Data sets of the benchmarks: in the folder SKSCN_DATA, from OpenML, or artificial."""

import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from sklearn.datasets import fetch_openml, load_digits, load_sample_images
from sklearn.feature_extraction.image import extract_patches_2d
from sklearn.model_selection import train_test_split

# Name at OpenML, shape of a row, whether channels are first, size of the training set.
OPENML = {
    "usps": ("USPS", (16, 16), False, 7_291),
    "mnist": ("mnist_784", (28, 28), False, 60_000),
    "fashion": ("Fashion-MNIST", (28, 28), False, 60_000),
    "cifar10": ("CIFAR_10", (3, 32, 32), True, 50_000),
}
FILES = {
    "usps": "usps",
    "mnist": "mnist",
    "fashion": "fashion",
    "cifar10": "cifar10_20k",
}


def data_folder():
    """Return the folder of data sets, or None."""
    return Path(os.environ["SKSCN_DATA"]) if "SKSCN_DATA" in os.environ else None


def load_images(name):
    """Return training images and labels, then test images and labels."""
    if name == "digits":
        X, y = load_digits(return_X_y=True)
        X = X.reshape(-1, 8, 8).astype(np.float32)
        X, X_test, y, y_test = train_test_split(
            X, y, test_size=0.2, stratify=y, random_state=0
        )
        return X, y, X_test, y_test
    if name == "synthetic":  # for --quick: color images whose label is their contrast
        rng = np.random.default_rng(0)
        y = np.arange(80) % 4
        X = rng.uniform(0, 50, size=(80, 16, 16, 3)) * (y[:, None, None, None] + 1)
        X = X.astype(np.uint8)
        return X[:60], y[:60], X[60:], y[60:]
    folder = data_folder()
    if folder is not None and (folder / f"{FILES[name]}.npz").exists():
        return _load_archive(folder / f"{FILES[name]}.npz")
    title, shape, channels_first, n_train = OPENML[name]
    X, y = fetch_openml(title, version=1, return_X_y=True, as_frame=False)
    X = (X - X.min()).astype(np.float32).reshape(-1, *shape)  # the background is zero
    if channels_first:
        X = np.ascontiguousarray(np.moveaxis(X, 1, -1))
    y = np.unique(y, return_inverse=True)[1]
    return X[:n_train], y[:n_train], X[n_train:], y[n_train:]


def load_classic_images():
    """Return the five gray images of denoising papers by name; empty without files."""
    if data_folder() is None:
        return {}
    with np.load(data_folder() / "classic5.npz") as data:
        return {name: data[name] for name in data.files}


def load_photographs_to_learn_from():
    """Return gray photographs to learn from, and others to test on.

    They are three quarters and one quarter of the 80 photographs in the folder of data
    sets, or else halves of a photograph of scikit-learn.
    """
    if data_folder() is not None:
        with np.load(data_folder() / "bsds_train80.npz") as data:
            return np.split(data["X"], [60])
    china = load_sample_images().images[0].mean(axis=2)
    return [china[:, :320]], [china[150:220, 400:470]]


def make_phantom(side, seed=0):
    """Return a volume of ellipsoids, some with waves, from 0 to 255."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*3 * [np.linspace(-1, 1, side)], indexing="ij")
    positions = np.stack(axes, axis=-1)

    def is_inside(center, radii, rotation):
        scaled = (positions - center) @ rotation.T / radii
        return (scaled**2).sum(axis=-1) < 1

    volume = np.zeros(3 * [side])
    volume[is_inside(0, [0.9, 0.8, 0.85], np.eye(3))] = 200
    volume[is_inside(0, [0.84, 0.74, 0.79], np.eye(3))] = 90
    for i in range(14):
        rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        center = rng.uniform(-0.45, 0.45, 3)
        ellipsoid = is_inside(center, rng.uniform(0.08, 0.4, 3), rotation)
        frequency = rng.normal(size=3)
        frequency *= rng.uniform(15, 45) / np.linalg.norm(frequency)
        waves = 0
        if i % 2:
            phase = positions @ frequency
            waves = rng.uniform(0, 35) * np.sin(phase + rng.uniform(0, 6))
        volume = np.where(ellipsoid, rng.uniform(40, 220) + waves, volume)
    return volume


def load_scans():
    """Return two volumes from 0 to 255 by name: those whose packages are installed."""
    volumes = {}
    if find_spec("nibabel") is None:
        return volumes
    import nibabel

    tests = Path(nibabel.__file__).parent / "tests" / "data"
    scan = nibabel.load(tests / "example4d.nii.gz").get_fdata()[..., 0]
    volumes["scan"] = np.clip(scan * 255 / np.percentile(scan, 99.8), 0, 255)
    nilearn = find_spec("nilearn")  # for its file only
    if nilearn is not None:
        data = Path(nilearn.origin).parent / "datasets" / "data"
        name = "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
        template = nibabel.load(data / name).get_fdata()
        volumes["template"] = template[60:124, 60:140, 60:116] * 255 / template.max()
    return volumes


def load_patches(n_samples, side, seeds):
    """Return patches of scikit-learn's two photographs, in gray, without their means.

    Parameters
    ----------
    n_samples : int
        Even: half of the patches are from each photograph.
    side : int
        Height and width of a patch.
    seeds : (int, int)
        Of the positions in each photograph.
    """
    patches = [
        extract_patches_2d(
            image.mean(axis=2) / 255,
            (side, side),
            max_patches=n_samples // 2,
            random_state=seed,
        )
        for image, seed in zip(load_sample_images().images, seeds, strict=True)
    ]
    rows = np.concatenate(patches).reshape(n_samples, -1)
    return rows - rows.mean(axis=1, keepdims=True)


def signal_names():
    """Return the names of the signal data sets in the folder `ucr`."""
    if data_folder() is None:
        return []
    return sorted(path.stem for path in (data_folder() / "ucr").glob("*.npz"))


def load_signals(name):
    """Return training signals and labels, then test signals and labels."""
    return _load_archive(data_folder() / "ucr" / f"{name}.npz")


def make_signals(n_signals, rng, *, n_classes, noise_std):
    """Return signals with one of several shapes at a random position, and labels."""
    y = np.arange(n_signals) % n_classes
    time = np.linspace(-4, 4, 60) - rng.uniform(-1, 1, (n_signals, 1))
    shapes = [np.exp(-(time**2)), -time * np.exp(-(time**2)), np.tanh(time)]
    noise = rng.normal(scale=noise_std, size=time.shape)
    return np.choose(y[:, None], shapes[:n_classes]) + noise, y


def _load_archive(path):
    with np.load(path) as data:
        return tuple(data[key] for key in ("X_train", "y_train", "X_test", "y_test"))
