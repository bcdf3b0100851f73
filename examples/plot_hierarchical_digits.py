"""
Do networks of sparse codes read digits better than pixels do?
==============================================================

On the pixels of scikit-learn's handwritten digits, logistic regression errs three times
in a hundred. Here it reads sparse codes instead, from networks that learn without
labels and without backpropagation: every layer learns its atoms from patches of its
input alone, and codes every place with the same atoms. That is a convolutional network,
for the signed code of an orthonormal atom is a pair of ReLU units, max(u − λ, 0) and
max(−u − λ, 0), whose bias is minus the sparsity prior.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import CenteredNorm
from sklearn import model_selection
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skscn import ConvSparseCoder, SpatialPool, make_sparse_coding_network

# %%
# Learning
# --------
# "digits" is a network by name: patches of four sizes side by side, the codes of each
# pooled on a Gaussian grid of 4 × 4, and beside them a deep branch, which codes the
# maps of one layer once more. Logistic regression reads them all.

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = model_selection.train_test_split(
    X.astype(np.float32), y, test_size=0.2, stratify=y, random_state=0
)
model = make_sparse_coding_network("digits", image_shape=(8, 8), random_state=0)
try:
    from sklearn.callback import ProgressBar  # scikit-learn 1.9, needs rich

    model.set_callbacks(ProgressBar())
except ImportError:
    model.set_params(verbose=True)
model.fit(X_train, y_train)
print(f"accuracy on {len(X_test)} held-out digits: {model.score(X_test, y_test):.1%}")

for row in model["network"].report(X_test):
    print(
        f"{row['layer']}: {1 - row['active_fraction']:.0%} of the codes are zero, "
        f"objective {row['initial_objective']:.2f} to {row['objective']:.2f} in "
        f"{row['n_iter']} iterations"
    )

# %%
# Accuracy
# --------
# The same split says little, so all models meet the same 15 splits. Pixels and PCA take
# the best of a grid on the very folds that judge them. Beside the network by name stand
# a single layer, and two that code one after the other.

conv, pool = ConvSparseCoder(16, contrast=0.1, random_state=0), SpatialPool("gaussian")
pool.set_params(grid=4, power=0.5)
second = ConvSparseCoder(48, kernel_size=3, random_state=0)
one = [("conv", conv), ("pool", pool)]
two = [
    ("conv1", conv),
    ("pool1", SpatialPool("max", window=2, stride=1)),
    ("conv2", second),
    ("pool2", pool),
]
linear = LogisticRegression(max_iter=5000)
candidates = {
    "pixels": (linear, {"C": [0.01, 0.1, 1]}),
    "PCA": (
        make_pipeline(PCA(), linear),
        {"pca__n_components": [30, 40, 50], "logisticregression__C": [0.01, 0.1, 1]},
    ),
    "one layer": (make_sparse_coding_network(one, image_shape=(8, 8)), {}),
    "two layers": (make_sparse_coding_network(two, image_shape=(8, 8)), {}),
    "by name": (
        make_sparse_coding_network("digits", image_shape=(8, 8), random_state=0),
        {},
    ),
}
folds = model_selection.RepeatedStratifiedKFold(n_splits=5, n_repeats=3, random_state=0)
accuracy = {}
print(f"\nheld out, {folds.get_n_splits()} splits  accuracy, %     fit   predict 360")
for name, (estimator, grid) in candidates.items():
    search = model_selection.GridSearchCV(
        estimator, grid, cv=folds, refit=False, n_jobs=2
    )
    results = search.fit(X.astype(np.float32), y).cv_results_
    best = {key: values[search.best_index_] for key, values in results.items()}
    splits = [best[f"split{i}_test_score"] for i in range(folds.get_n_splits())]
    accuracy[name] = 100 * np.array(splits)
    print(
        f"{name:20}{accuracy[name].mean():7.2f} ± {accuracy[name].std():.2f}"
        f"{best['mean_fit_time']:7.2f} s{1000 * best['mean_score_time']:10.1f} ms"
    )
wins = accuracy["by name"] > accuracy["pixels"]
print(f"The network by name beats pixels on {wins.sum()} of {len(wins)} splits.")

# %%
# A picture
# ---------
# Digits are put together again from the codes of their patches, averaged where patches
# overlap.

chosen = [np.flatnonzero(y_test == digit)[:2] for digit in range(10)]
digits = X_test[np.transpose(chosen).ravel()]
convs = {
    size: model["network"].named_layers_[f"size{size}"].named_layers_["conv"]
    for size in (3, 5, 7, 9)
}
rebuilt = convs[5].reconstruct(digits)


def tile(ax, images, title, **style):
    """Show images of shape (rows, columns, height, width)."""
    n_rows, n_columns, height, width = images.shape
    gaps = [(0, 0), (0, 0), (0, 1), (0, 1)]
    tiles = np.pad(images, gaps, constant_values=np.nan).swapaxes(1, 2)
    tiles = tiles.reshape(n_rows * (height + 1), n_columns * (width + 1))
    ax.imshow(tiles[:-1, :-1], **style)
    ax.set(title=title, xticks=[], yticks=[], facecolor="0.8")
    ax.spines[:].set_visible(False)


figure = plt.figure(figsize=(10, 6.8), layout="constrained")
upper, lower = figure.subfigures(2, 1, height_ratios=[1.1, 2])
for ax, (size, fitted) in zip(upper.subplots(1, 4), convs.items(), strict=True):
    filters = fitted.filters_[:8, :, :, 0].reshape(2, 4, size, size)
    filters = filters / np.abs(filters).max(axis=(2, 3), keepdims=True)
    tile(ax, filters, f"Filters, {size} × {size}", cmap="RdBu_r", norm=CenteredNorm())
left, right = lower.subplots(1, 2)
pairs = np.stack([np.reshape(part, (4, 5, 8, 8)) for part in (digits, rebuilt)], 1)
title = "Held-out digits, each above its reconstruction"
tile(left, pairs.reshape(8, 5, 8, 8), title, cmap="gray_r", vmin=0, vmax=16)
for row, values in enumerate(accuracy.values()):
    style = {"color": "0.5" if row < 2 else f"C{row - 2}"}
    right.plot(values, np.full(len(values), row), "o", alpha=0.4, **style)
    right.plot(values.mean(), row, "|", ms=24, mew=2, **style)
    right.text(values.mean(), row - 0.32, f"{values.mean():.1f} %", ha="center")
right.set(title="Held-out accuracy, a dot a split", xlabel="%", ylim=(4.5, -0.7))
right.set_yticks(range(5), accuracy)
right.spines[["top", "right"]].set_visible(False)
if "sphinx_gallery" not in sys.modules:
    figure.savefig("hierarchical_digits.png", dpi=150)
plt.show()
