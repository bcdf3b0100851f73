"""
Which prior fits natural images best?
=====================================

A prior is an assumption about the distribution of the coefficients. With orthonormal
atoms the likelihood of a sample has a closed form, so that priors can be compared by
the log-likelihood of patches that were not in the training data. This needs neither
labels nor a threshold.
"""

# %%
# The training set has patches of 8×8 pixels of one photograph, the test set patches of
# another. The mean of every patch is removed. The patches then lie in a space of 63
# dimensions, and are given in an orthonormal basis of it.

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
# Two sparse priors are compared with a Gaussian prior: scikit-learn's PCA computes the
# log-likelihood of that model, also in nats.

N_ATOMS = [1, 4, 8, 16, 32, 48, 62]
models = {
    "spike and slab": OrthogonalSparseCoder(prior="spike_slab", alpha="auto", tol=1e-3),
    "Laplace": OrthogonalSparseCoder(prior="laplace", alpha="auto", tol=1e-3),
    "Gaussian (PCA)": PCA(),
}
scores = {
    name: [model.set_params(n_components=n).fit(train).score(test) for n in N_ATOMS]
    for name, model in models.items()
}
{name: f"{max(values):.0f} nats" for name, values in scores.items()}

# %%
# The distribution of the projections of the training patches on one atom explains the
# difference. On a logarithmic scale a Gaussian density is a parabola, and a Laplace
# density consists of two straight lines. The data have more projections near zero, and
# more large projections, than both densities. A spike-and-slab prior has a component
# for each: the spike for projections near zero, the slab for large ones.

coder = models["spike and slab"].set_params(n_components=32).fit(train)
laplace = models["Laplace"].set_params(init=coder.components_, max_iter=0)
laplace = laplace.set_params(n_components=32).fit(train)
atom = coder.components_[0]
u = (train - coder.mean_) @ atom
grid = np.linspace(-2.5, 2.5, 501)


def density(model, grid):
    """Return the density of the projection on the atom, at equidistant points."""
    log_density = model.score_samples(model.mean_ + np.outer(grid, atom))
    density = np.exp(log_density - log_density.max())
    return density / (density.sum() * (grid[1] - grid[0]))


figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
colors = {"spike and slab": "#c4501b", "Laplace": "#1f5fa8", "Gaussian (PCA)": "0.5"}
for name, values in scores.items():
    left.plot(N_ATOMS, values, "o-", ms=4, color=colors[name], label=name)
left.set(xlabel="number of atoms", ylabel="mean log-likelihood of test patches, nats")
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
# The priors differ by tens of nats per patch, where one nat is a factor of e in the
# likelihood. The difference grows with the number of atoms, because each atom adds a
# coefficient whose distribution is far from Gaussian. ``score`` needs no labels, so
# that ``GridSearchCV`` can select the prior and other parameters in the same way; see
# :ref:`likelihood`.
