"""
How does a fixed number of coefficients differ from a threshold?
================================================================

A threshold makes the codes of quiet samples sparser than those of loud ones. The
parameter ``n_nonzero_coefs`` gives every sample the same number of coefficients, and
does not shrink them. With orthonormal atoms it finds the best such code, the one that
orthogonal matching pursuit (OMP) finds.
"""

# %%
# The patches are those of a photograph, in gray from 0 to 1, without their means. One
# coder has at most five coefficients for a patch. The threshold of the other two is
# chosen so that patches have five coefficients on average.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image
from sklearn.decomposition import sparse_encode
from sklearn.feature_extraction.image import extract_patches_2d

from skscn import DictionaryDisplay, OrthogonalSparseCoder

N_NONZERO = 5
image = load_sample_image("china.jpg").mean(axis=2) / 255
X = extract_patches_2d(image, (8, 8), max_patches=20_000, random_state=0)
X = X.reshape(len(X), -1)
X -= X.mean(axis=1, keepdims=True)

options = {"n_components": 63, "center": False, "tol": 1e-3, "max_iter": 200}
limited = OrthogonalSparseCoder(n_nonzero_coefs=N_NONZERO, **options).fit(X)
moduli = np.sort(np.abs(X @ limited.components_.T), axis=None)
threshold = moduli[-N_NONZERO * len(X)]
soft = OrthogonalSparseCoder(alpha=threshold, **options).fit(X)
hard = OrthogonalSparseCoder(alpha=threshold, prior="spike_slab", **options).fit(X)
coders = {"at most 5": limited, "soft threshold": soft, "hard threshold": hard}

# %%
# The codes are those of OMP, to rounding errors.

omp = sparse_encode(
    X[:1000], limited.components_, algorithm="omp", n_nonzero_coefs=N_NONZERO
)
f"{np.abs(limited.transform(X[:1000]) - omp).max():.0e}"

# %%
# The figure shows the number of coefficients of the patches, and the error of their
# reconstructions, for patches of every contrast. The threshold keeps no coefficient of
# flat patches and most coefficients of patches with much contrast: its absolute error
# hardly depends on the contrast. The error of a fixed number of coefficients is a
# fraction of the contrast.

BLUE, ORANGE, GREEN = "#1f5fa8", "#e07b20", "#3c8d40"
contrast = np.linalg.norm(X, axis=1)
edges = np.quantile(contrast, np.linspace(0, 1, 21))
bins = np.digitize(contrast, edges[1:-1])
centers = [np.median(contrast[bins == i]) for i in range(20)]
figure, (left, middle, right) = plt.subplots(
    1, 3, figsize=(12, 3.8), layout="constrained"
)
for (name, coder), color in zip(coders.items(), (BLUE, ORANGE, GREEN), strict=True):
    codes = coder.transform(X)
    n_nonzero = np.count_nonzero(codes, axis=1)
    error = np.linalg.norm(X - coder.inverse_transform(codes), axis=1)
    counts = np.bincount(n_nonzero, minlength=64) / len(X)
    left.plot(np.cumsum(counts), drawstyle="steps-post", color=color, label=name)
    for axes, values in ((middle, n_nonzero), (right, error)):
        means = [values[bins == i].mean() for i in range(20)]
        axes.plot(centers, means, "o-", ms=3, color=color)
left.set(xlabel="number of coefficients", ylabel="cumulative fraction of patches")
left.set(xlim=(0, 30))
middle.set(xlabel="norm of the patch", ylabel="number of coefficients", xscale="log")
right.set(xlabel="norm of the patch", ylabel="norm of the error", xscale="log")
left.legend(loc="lower right", frameon=False)
plt.show()

# %%
# Use a threshold where small projections are noise, as in denoising. Use a number of
# coefficients where every sample has the same budget: in compression, for features of
# equal size, or for data of very different scales. The atoms that both learn are
# similar.

display = DictionaryDisplay.from_estimator(limited, image_shape=(8, 8))
display.figure_.suptitle("atoms learned with at most five coefficients")
plt.show()
