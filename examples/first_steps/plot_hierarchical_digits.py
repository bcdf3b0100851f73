"""
Are digits classified better by sparse codes than by pixels?
============================================================

Logistic regression on the pixels of scikit-learn's handwritten digits has an error rate
of three percent. In this example its features are sparse codes from networks that are
learned without labels and without backpropagation. Every layer learns its atoms from
patches of its input, and codes the patches at all positions with the same atoms. This
is a convolutional network: the signed code of an orthonormal atom is a pair of ReLU
units, max(u − λ, 0) and max(−u − λ, 0), with bias −λ, where λ is the threshold that the
prior gives.
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
# "digits" is one of the predefined networks. It has four parallel layers with patches
# of different sizes, each followed by Gaussian pooling on a grid of 4 × 4, and two
# branches of two layers, one after the other. All of their outputs are features of a
# logistic regression.

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = model_selection.train_test_split(
    X.astype(np.float32), y, test_size=0.2, stratify=y, random_state=0
)
model = make_sparse_coding_network("digits", image_shape=(8, 8), random_state=0)
try:
    from sklearn.callback import ProgressBar  # needs scikit-learn 1.9 and rich

    model.set_callbacks(ProgressBar())
except ImportError:
    model.set_params(verbose=True)
model.fit(X_train, y_train)
print(f"accuracy on {len(X_test)} held-out digits: {model.score(X_test, y_test):.1%}")

for row in model["network"].report(X_test):
    print(
        f"{row['layer']}: {1 - row['active_fraction']:.0%} of the coefficients are "
        f"zero, objective from {row['initial_objective']:.2f} to "
        f"{row['objective']:.2f} in {row['n_iter']} iterations"
    )

# %%
# Accuracy
# --------
# A single split is not enough for a comparison: all models are evaluated on the same 15
# splits. For pixels and PCA the best parameters are chosen on the same splits, which is
# an advantage for them. The predefined network is also compared with a network of one
# layer, and with one of two layers.

conv = ConvSparseCoder(16, contrast=0.1, random_state=0)
pool = SpatialPool("gaussian", grid=4, power=0.5)
one_layer = [("conv", conv), ("pool", pool)]
two_layers = [
    ("conv1", conv),
    ("pool1", SpatialPool("max", window=2, stride=1)),
    ("conv2", ConvSparseCoder(48, kernel_size=3, random_state=0)),
    ("pool2", pool),
]
classifier = LogisticRegression(max_iter=5000)
candidates = {
    "pixels": (classifier, {"C": [0.01, 0.1, 1]}),
    "PCA": (
        make_pipeline(PCA(), classifier),
        {"pca__n_components": [30, 40, 50], "logisticregression__C": [0.01, 0.1, 1]},
    ),
    "one layer": (make_sparse_coding_network(one_layer, image_shape=(8, 8)), {}),
    "two layers": (make_sparse_coding_network(two_layers, image_shape=(8, 8)), {}),
    '"digits"': (
        make_sparse_coding_network("digits", image_shape=(8, 8), random_state=0),
        {},
    ),
}
folds = model_selection.RepeatedStratifiedKFold(n_splits=5, n_repeats=3, random_state=0)
accuracy = {}
print("\nmean of 15 splits   accuracy, %     fit   predict 360 digits")
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
is_better = accuracy['"digits"'] > accuracy["pixels"]
print(
    f'The network "digits" is more accurate than pixels on {is_better.sum()} of '
    f"{len(is_better)} splits."
)

# %%
# Reconstructions
# ---------------
# A layer reconstructs an image from the codes of its patches. Where patches overlap,
# their reconstructions are averaged.

indices = [np.flatnonzero(y_test == digit)[:2] for digit in range(10)]
digits = X_test[np.transpose(indices).ravel()]
layers = {
    size: model["network"].named_layers_[f"size{size}"].named_layers_["conv"]
    for size in (3, 5, 7, 9)
}
reconstructions = layers[5].reconstruct(digits)


def show_grid(ax, images, title, **style):
    """Show images of shape (n_rows, n_columns, height, width) in one picture."""
    n_rows, n_columns, height, width = images.shape
    margins = [(0, 0), (0, 0), (0, 1), (0, 1)]
    picture = np.pad(images, margins, constant_values=np.nan).swapaxes(1, 2)
    picture = picture.reshape(n_rows * (height + 1), n_columns * (width + 1))
    ax.imshow(picture[:-1, :-1], **style)
    ax.set(title=title, xticks=[], yticks=[], facecolor="0.8")
    ax.spines[:].set_visible(False)


figure = plt.figure(figsize=(10, 6.8), layout="constrained")
upper, lower = figure.subfigures(2, 1, height_ratios=[1.1, 2])
for ax, (size, layer) in zip(upper.subplots(1, 4), layers.items(), strict=True):
    filters = layer.filters_[:8, :, :, 0].reshape(2, 4, size, size)
    filters = filters / np.abs(filters).max(axis=(2, 3), keepdims=True)
    title = f"Filters, {size} × {size}"
    show_grid(ax, filters, title, cmap="RdBu_r", norm=CenteredNorm())
left, right = lower.subplots(1, 2)
pairs = np.stack(
    [np.reshape(images, (4, 5, 8, 8)) for images in (digits, reconstructions)], axis=1
)
title = "Held-out digits, each above its reconstruction"
show_grid(left, pairs.reshape(8, 5, 8, 8), title, cmap="gray_r", vmin=0, vmax=16)
for row, values in enumerate(accuracy.values()):
    style = {"color": "0.5" if row < 2 else f"C{row - 2}"}
    right.plot(values, np.full(len(values), row), "o", alpha=0.4, **style)
    right.plot(values.mean(), row, "|", ms=24, mew=2, **style)
    right.text(values.mean(), row - 0.32, f"{values.mean():.1f} %", ha="center")
right.set(title="Accuracy on held-out digits, one dot for each split", xlabel="%")
right.set_ylim(4.5, -0.7)
right.set_yticks(range(5), accuracy)
right.spines[["top", "right"]].set_visible(False)
if "sphinx_gallery" not in sys.modules:
    figure.savefig("hierarchical_digits.png", dpi=150)
plt.show()
