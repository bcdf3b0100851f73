"""
Do sparse codes of sparse codes beat pixels?
============================================

On the pixels of scikit-learn's handwritten digits, logistic regression errs three times
in a hundred. Here it reads sparse codes instead, from a hierarchy without
backpropagation: each layer learns its atoms from its input alone, codes every place
with the same atoms, and hands the codes on. That is a convolutional network, for the
signed code of an orthonormal atom is a pair of ReLU units, max(u − λ, 0) and
max(−u − λ, 0), whose bias is minus the sparsity prior.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import CenteredNorm
from numpy.lib.stride_tricks import sliding_window_view
from sklearn import model_selection
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.feature_extraction.image import reconstruct_from_patches_2d
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from skscn import OrthogonalSparseCoder

# %%
# A layer
# -------
# The windows around all places become rows, so that one dictionary is learned for them
# all. The codes, split by sign, are pooled: of 2 × 2 places the largest code stays.


def windows(X, side, size, pad):
    """Return the size × size windows of the maps in X, one window a row."""
    maps = X.reshape(len(X), side, side, -1)
    maps = np.pad(maps, [(0, 0), (pad, pad), (pad, pad), (0, 0)])
    views = sliding_window_view(maps, (size, size), axis=(1, 2))
    return views.reshape(-1, views.shape[3] * size**2)


def pool(codes, side, stride):
    """Return the maxima of either sign over 2 × 2 places, an image a row."""
    signs = np.hstack([codes, -codes]).reshape(-1, side, side, 2 * codes.shape[1])
    places = sliding_window_view(signs, (2, 2), axis=(1, 2))[:, ::stride, ::stride]
    return places.max(axis=(4, 5)).clip(min=0).reshape(len(signs), -1)


def layer(n_atoms, side, size, pad, stride):
    coder = OrthogonalSparseCoder(
        n_atoms, alpha=0.1, center=False, init="random", tol=1e-3, random_state=0
    )
    before = {"side": side, "size": size, "pad": pad}
    after = {"side": side + 2 * pad - size + 1, "stride": stride}
    return Pipeline(
        [
            ("windows", FunctionTransformer(windows, kw_args=before)),
            ("coder", coder),
            ("pool", FunctionTransformer(pool, kw_args=after)),
        ]
    )


layer1 = ("layer 1", layer(16, side=8, size=5, pad=2, stride=1))  # 8×8 to 7×7×32
layer2 = ("layer 2", layer(48, side=7, size=2, pad=0, stride=2))  # 7×7×32 to 3×3×96

# %%
# Learning
# --------
# Without labels, up to the logistic regression. The codes counted are of digits that
# were held out.

X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)  # from 0 to 1: λ = 0.1 is a tenth of full ink
X_train, X_test, y_train, y_test = model_selection.train_test_split(
    X, y, test_size=0.2, stratify=y, random_state=1
)
classify = ("classify", LogisticRegression(max_iter=1000))
model = Pipeline([layer1, layer2, classify])
try:
    from sklearn.callback import ProgressBar  # scikit-learn 1.9, needs rich

    model.set_callbacks(ProgressBar())
except ImportError:
    model.set_params(verbose=True)
model.fit(X_train, y_train)

below = X_test
for name, fitted in model.steps[:2]:
    zeros = np.mean(fitted[:2].transform(below) == 0)
    below = fitted.transform(below)
    path = fitted["coder"].objective_path_
    print(
        f"{name}: {zeros:.0%} of the codes are zero, objective {path[0]:.2f} to "
        f"{path[-1]:.2f} in {len(path) - 1} iterations"
    )

# %%
# Accuracy
# --------
# Pixels and PCA take the best of a grid on the very folds that judge them; the
# hierarchy has one setting, found on other splits of the same digits.

folds = model_selection.RepeatedStratifiedKFold(n_splits=5, n_repeats=3, random_state=1)
grid = {"classify__C": [1, 3, 10]}
candidates = {
    "pixels": ([classify], grid),
    "PCA": ([("pca", PCA()), classify], {"pca__n_components": [30, 40, 50], **grid}),
    "one layer": ([layer1, classify], {}),
    "two layers": ([layer1, layer2, classify], {}),
}
accuracy = {}
print(f"held out, {folds.get_n_splits()} splits  accuracy, %     fit   predict 360")
for name, (steps, grid) in candidates.items():
    search = model_selection.GridSearchCV(
        Pipeline(steps), grid, cv=folds, refit=False, n_jobs=2
    )
    results = search.fit(X, y).cv_results_
    best = {key: values[search.best_index_] for key, values in results.items()}
    splits = [best[f"split{i}_test_score"] for i in range(folds.get_n_splits())]
    accuracy[name] = 100 * np.array(splits)
    print(
        f"{name:20}{accuracy[name].mean():7.2f} ± {accuracy[name].std():.2f}"
        f"{best['mean_fit_time']:7.2f} s{1000 * best['mean_score_time']:10.1f} ms"
    )
wins = accuracy["two layers"] > accuracy["pixels"]
print(f"Two layers beat pixels on {wins.sum()} of {len(wins)} splits.")

# %%
# A picture
# ---------
# Digits are put together again from the codes of their windows, averaged where windows
# overlap.

chosen = [np.flatnonzero(y_test == digit)[:2] for digit in range(10)]
digits = X_test[np.transpose(chosen).ravel()]
encoder = model["layer 1"][:2]
patches = encoder["coder"].inverse_transform(encoder.transform(digits))
rebuilt = [
    reconstruct_from_patches_2d(patch, (12, 12))[2:-2, 2:-2]
    for patch in patches.reshape(20, 64, 5, 5)
]


def tile(ax, images, title, **style):
    """Show images of shape (rows, columns, height, width)."""
    n_rows, n_columns, height, width = images.shape
    gaps = [(0, 0), (0, 0), (0, 1), (0, 1)]
    tiles = np.pad(images, gaps, constant_values=np.nan).swapaxes(1, 2)
    tiles = tiles.reshape(n_rows * (height + 1), n_columns * (width + 1))
    ax.imshow(tiles[:-1, :-1], **style)
    ax.set(title=title, xticks=[], yticks=[], facecolor="0.8")
    ax.spines[:].set_visible(False)


figure, ((top_left, top_right), (low_left, low_right)) = plt.subplots(
    2, 2, figsize=(10, 6.6), width_ratios=[2, 4], layout="constrained"
)
atoms = model["layer 1"]["coder"].components_.reshape(4, 4, 5, 5)
tile(top_left, atoms, "Atoms of layer 1", cmap="RdBu_r", norm=CenteredNorm())
pairs = np.stack([np.reshape(part, (2, 10, 8, 8)) for part in (digits, rebuilt)], 1)
title = "Held-out digits, each above its reconstruction"
tile(top_right, pairs.reshape(4, 10, 8, 8), title, cmap="gray_r", vmin=0, vmax=1)
colours = {"layer 1": "C0", "layer 2": "C1", "one layer": "C0", "two layers": "C1"}
for name, fitted in model.steps[:2]:
    path = np.array(fitted["coder"].objective_path_)
    low_left.plot(path / path[0], color=colours[name], label=name)
low_left.set(title="Descent", xlabel="iteration", ylabel="objective / start", ylim=0)
low_left.legend(frameon=False)
for row, (name, values) in enumerate(accuracy.items()):
    style = {"color": colours.get(name, "0.5")}
    low_right.plot(values, np.full(len(values), row), "o", alpha=0.4, **style)
    low_right.plot(values.mean(), row, "|", ms=24, mew=2, **style)
    low_right.text(values.mean(), row - 0.32, f"{values.mean():.1f} %", ha="center")
low_right.set(title="Held-out accuracy, a dot a split", xlabel="%", ylim=(3.5, -0.7))
low_right.set_yticks(range(4), accuracy)
for ax in (low_left, low_right):
    ax.spines[["top", "right"]].set_visible(False)
if "sphinx_gallery" not in sys.modules:
    figure.savefig("hierarchical_digits.png", dpi=150)
plt.show()
