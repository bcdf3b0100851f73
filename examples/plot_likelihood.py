"""
Which prior do natural images have?
===================================

A prior is a guess at how coefficients are distributed. With orthonormal atoms the
likelihood of a sample is known exactly, so the guess can be put to the test: the
better prior makes patches that nobody saw more probable. There are no labels, and no
threshold to choose.
"""

# %%
# Patches of 8×8 pixels from one photograph to learn from, and from another to be judged
# by. The mean of every patch is removed, and with it one dimension: in a basis of the
# others there are 63 features.

import matplotlib.pyplot as plt
import numpy as np
from scipy.linalg import helmert
from sklearn.datasets import load_sample_images
from sklearn.decomposition import PCA
from sklearn.feature_extraction.image import extract_patches_2d

from skscn import OrthogonalSparseCoder

SIDE, N_PATCHES = 8, 8000
basis = helmert(SIDE**2)
train, test = (
    extract_patches_2d(
        image.mean(axis=2) / 255, (SIDE, SIDE), max_patches=N_PATCHES, random_state=0
    )
    for image in load_sample_images().images
)
train, test = (patches.reshape(N_PATCHES, -1) @ basis.T for patches in (train, test))

# %%
# Two priors, and for comparison none: principal components with Gaussian codes, which
# scikit-learn scores in the same nats. All learn as many atoms as they are given.

SIZES = [1, 4, 8, 16, 32, 48, 62]
models = {
    "spike and slab": OrthogonalSparseCoder(prior="spike_slab", alpha="auto", tol=1e-3),
    "Laplace": OrthogonalSparseCoder(prior="laplace", alpha="auto", tol=1e-3),
    "Gaussian (PCA)": PCA(),
}
scores = {
    name: [model.set_params(n_components=n).fit(train).score(test) for n in SIZES]
    for name, model in models.items()
}
{name: f"{max(values):.0f} nats" for name, values in scores.items()}

# %%
# The projections of training patches on one atom show why. On a logarithmic scale a
# Gaussian is a parabola, a Laplace density a tent. Most coefficients of most patches
# are nearly zero, and a few are large: more of both than a tent allows. The spike and
# the slab take one each.

coder = models["spike and slab"].set_params(n_components=32).fit(train)
laplace = models["Laplace"].set_params(init=coder.components_, max_iter=0)
laplace = laplace.set_params(n_components=32).fit(train)
atom = coder.components_[0]
u = (train - coder.mean_) @ atom
grid = np.linspace(-2.5, 2.5, 501)


def density(model, place):
    """Return the density of one projection, the others held where they are."""
    logs = model.score_samples(model.mean_ + np.outer(place, atom))
    density = np.exp(logs - logs.max())
    return density / (density.sum() * (place[1] - place[0]))


figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
colors = {"spike and slab": "#c4501b", "Laplace": "#1f5fa8", "Gaussian (PCA)": "0.5"}
for name, values in scores.items():
    left.plot(SIZES, values, "o-", ms=4, color=colors[name], label=name)
left.set(xlabel="atoms", ylabel="log-likelihood of a held-out patch, nats")
left.legend(loc="lower right", frameon=False)
right.hist(u, np.linspace(-2.5, 2.5, 101), density=True, color="0.85")
right.plot(grid, density(coder, grid), color=colors["spike and slab"], lw=2)
right.plot(grid, density(laplace, grid), color=colors["Laplace"], lw=2)
normal = np.exp(-(grid**2) / 2 / np.mean(u**2)) / np.sqrt(2 * np.pi * np.mean(u**2))
right.plot(grid, normal, color=colors["Gaussian (PCA)"], lw=2)
right.set(xlabel="projection on one atom", ylabel="density", yscale="log")
right.set(xlim=(-2.5, 2.5), ylim=(1e-3, 20))
plt.show()

# %%
# The gap is large. A nat is a factor of e for every patch, and the priors differ by
# tens of them. It grows with the atoms: each brings a coefficient whose shape is far
# from Gaussian. Any question that likelihood can answer is asked in the same way, also
# by ``GridSearchCV``, since ``score`` needs no labels; see :ref:`likelihood`.
