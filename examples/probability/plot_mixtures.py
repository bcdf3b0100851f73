"""
How many dictionaries do natural images need?
=============================================

One orthonormal dictionary has to represent flat regions, edges of all directions and
textures. A mixture has a dictionary for each kind of patch. Its likelihood is exact, so
that the number of dictionaries can be chosen by the log-likelihood of patches that were
not in the training data.
"""

# %%
# The training patches are from the left half of a photograph, and those that are held
# out from its right half. The mean of every patch is removed; the patches then lie in a
# space of 63 dimensions, and are given in an orthonormal basis of it.

import matplotlib.pyplot as plt
import numpy as np
from scipy.linalg import helmert
from sklearn.datasets import load_sample_image
from sklearn.feature_extraction.image import extract_patches_2d
from sklearn.mixture import GaussianMixture

from skscn import DictionaryDisplay, SparseCodingMixture

SIDE, N_PATCHES = 8, 3000
basis = helmert(SIDE**2)
image = load_sample_image("china.jpg").mean(axis=2) / 255
train, test = (
    extract_patches_2d(
        part, (SIDE, SIDE), max_patches=N_PATCHES, random_state=0
    ).reshape(N_PATCHES, -1)
    @ basis.T
    for part in (image[:, :320], image[:, 320:])
)

# %%
# More dictionaries fit the training patches better and better. The patches that were
# held out tell when this stops to be of use.

N_DICTIONARIES = [1, 2, 4, 8, 16]
scores = {"sparse codes": [], "Gaussian": []}
for n in N_DICTIONARIES:
    mixture = SparseCodingMixture(n, tol=3e-3, random_state=0).fit(train)
    scores["sparse codes"].append(mixture.score(test))
    gaussian = GaussianMixture(n, reg_covar=1e-6, tol=0.1, random_state=0).fit(train)
    scores["Gaussian"].append(gaussian.score(test))
best = N_DICTIONARIES[int(np.argmax(scores["sparse codes"]))]
{name: np.round(values).tolist() for name, values in scores.items()}, best

# %%
# A mixture of sparse coders needs fewer components than one of Gaussians: its densities
# have heavy tails.

_, ax = plt.subplots(layout="constrained")
for name, values in scores.items():
    ax.plot(N_DICTIONARIES, values, marker="o", label=name)
ax.set(xscale="log", xlabel="number of dictionaries", ylabel="nats per held-out patch")
ax.set_xticks(N_DICTIONARIES, N_DICTIONARIES)
_ = ax.legend()

# %%
# Each row has the first atoms of one of six dictionaries, and its weight. The kinds of
# patches differ in their contrast and in the direction of their edges. The atoms are
# transformed back to pixels.

mixture = SparseCodingMixture(6, tol=3e-3, random_state=0).fit(train)
atoms = (mixture.components_[:, :12] @ basis).reshape(-1, SIDE, SIDE)
DictionaryDisplay(atoms, mixture.weights_).plot()

# %%
# Most patches belong almost surely to one dictionary, which makes learning fast. This
# is the fraction whose largest responsibility exceeds 0.9.

np.mean(mixture.predict_proba(test).max(axis=1) > 0.9).round(2)
