"""
How do sparse atoms differ from those of PCA, ICA and NMF?
==========================================================

All of them, and the dictionary learning of scikit-learn, write an image as a
combination of atoms. They differ in what they require of the atoms and of the
coefficients, and in the time that they take.
"""

# %%
# The images are handwritten digits of 8 × 8 pixels. Every method learns 32 atoms from
# the first half of them, and codes the second half. The thresholds of the two sparse
# coders make their codes equally sparse.

from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import (
    NMF,
    PCA,
    FastICA,
    MiniBatchDictionaryLearning,
)
from sklearn.linear_model import LogisticRegression

from skscn import NonNegativeSparseCoder, OrthogonalSparseCoder

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = X[::2], X[1::2], y[::2], y[1::2]
mean = X_train.mean(axis=0)  # the class of scikit-learn does not center

models = {
    "OrthogonalSparseCoder": OrthogonalSparseCoder(32, alpha=3.0),
    "NonNegativeSparseCoder": NonNegativeSparseCoder(32, alpha=3.0),
    "DictionaryLearning": MiniBatchDictionaryLearning(
        32,
        alpha=3.0,
        fit_algorithm="cd",
        transform_algorithm="lasso_cd",
        max_iter=3,
        random_state=0,
    ),
    "PCA": PCA(32),
    "ICA": FastICA(32, random_state=0, tol=1e-3, max_iter=500),
    "NMF": NMF(32, init="nndsvda", max_iter=1000, tol=1e-3),
}

# %%
# For every method: the seconds to learn the atoms and to code the held-out digits, the
# fraction of coefficients that are zero, the fraction of the variance that the codes
# reconstruct, and the accuracy of a linear classifier of the codes.

results = {}
for name, model in models.items():
    offset = mean if name == "DictionaryLearning" else 0.0
    start = perf_counter()
    codes_train = model.fit(X_train - offset).transform(X_train - offset)
    codes = model.transform(X_test - offset)
    seconds = perf_counter() - start
    if name == "DictionaryLearning":
        reconstruction = codes @ model.components_ + mean
    else:
        reconstruction = model.inverse_transform(codes)
    residual = ((X_test - reconstruction) ** 2).sum()
    r2 = 1 - residual / ((X_test - mean) ** 2).sum()
    scale = codes_train.std() or 1.0
    classifier = LogisticRegression(max_iter=2000).fit(codes_train / scale, y_train)
    accuracy = classifier.score(codes / scale, y_test)
    results[name] = seconds, np.mean(codes == 0), r2, accuracy
    print(
        f"{name:23} {seconds:5.2f} s  zeros {np.mean(codes == 0):4.0%}  "
        f"R² {r2:.2f}  accuracy {accuracy:.3f}"
    )

# %%
# The atoms of PCA are orthonormal and ordered by variance, and every digit uses all of
# them. Sparse atoms are orthonormal, too, but rotated until most coefficients are zero.
# Independent components are uncorrelated, but their atoms are not orthonormal. Those of
# NMF have no negative pixels: they are parts of strokes. Free atoms of dictionary
# learning reconstruct as much with slightly fewer coefficients, because they can be
# similar to one another; learning and coding then need an iterative solver.

figure, axes = plt.subplots(2, 3, figsize=(11, 5.4), layout="constrained")
for (name, model), ax in zip(models.items(), axes.flat, strict=True):
    atoms = model.mixing_.T if name == "ICA" else model.components_
    order = np.argsort(-np.linalg.norm(model.transform(X_test), axis=0))
    tiles = np.zeros((4 * 9 + 1, 8 * 9 + 1))
    for position, atom in enumerate(atoms[order]):
        row, column = divmod(position, 8)
        tile = atom.reshape(8, 8) / np.abs(atom).max()
        tiles[9 * row + 1 : 9 * row + 9, 9 * column + 1 : 9 * column + 9] = tile
    ax.imshow(tiles, cmap="RdBu_r", vmin=-1, vmax=1)
    seconds, zeros, r2, accuracy = results[name]
    ax.set_title(f"{name}\n{zeros:.0%} zeros, R² {r2:.2f}", fontsize=11)
    ax.axis("off")
plt.show()
