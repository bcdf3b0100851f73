"""
How few samples recover a planted dictionary?
=============================================

Samples are drawn from a secret dictionary of 64 orthonormal atoms, with sparse codes
and a little noise. How many samples does it take to find the atoms, and how sparse must
the codes be? :class:`~skscn.OrthogonalSparseCoder` finds nearly all from three samples
an atom where one code in ten is active; the figure at the end shows its frontier.
"""

import warnings
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import NullLocator, PercentFormatter
from sklearn.decomposition import DictionaryLearning, FastICA
from sklearn.exceptions import ConvergenceWarning

from skscn import OrthogonalSparseCoder

N_ATOMS, NOISE = 64, 0.05
DATASETS = 4  # for every point of a curve; more of them make smoother bands
CELL_DATASETS = 1  # for every cell of the map

# %%
# The planted model
# -----------------
# A coefficient is zero with probability 1 − density, and else drawn from the Laplace
# distribution of scale 1. Every feature gets normal noise of deviation 0.05. An atom
# counts as recovered if its cosine with an atom that was found is above 0.99 in size:
# sign and order are anybody's choice.


def planted(n_samples, density, seed):
    rng = np.random.default_rng(seed)
    atoms = np.linalg.qr(rng.standard_normal((N_ATOMS, N_ATOMS)))[0]
    codes = rng.laplace(size=(n_samples, N_ATOMS))
    codes *= rng.random(codes.shape) < density
    noise = NOISE * rng.standard_normal((n_samples, N_ATOMS))
    return codes @ atoms + noise, atoms


def recovered(method, X, atoms):
    with warnings.catch_warnings():  # with too few samples nothing need converge
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = method(X, atoms)
    found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    return np.mean(np.abs(found @ atoms.T).max(axis=0) > 0.99)


# %%
# Ways to look for it
# -------------------
# The coder starts from random atoms. A second line below is told the answer on purpose:
# atoms that the objective leaves behind although it starts at them are beyond any
# search. (In between, take the lowest `objective_path_[-1]` of several random starts.)

coder = partial(OrthogonalSparseCoder, alpha=2 * NOISE, tol=1e-7, max_iter=100)


def random_start(X, atoms):
    return coder(init="random", random_state=0).fit(X).components_


def start_at_the_answer(X, atoms):
    return coder(init=atoms).fit(X).components_


# %%
# Two peers of scikit-learn do not know that the atoms are orthonormal: dictionary
# learning lowers the same objective over atoms of any angles, and independent component
# analysis estimates the whitening first. (Four times the iterations move the curve of
# dictionary learning to the left by about a fifth.)


def dictionary_learning(X, atoms):
    learner = DictionaryLearning(
        alpha=2 * NOISE, fit_algorithm="cd", max_iter=100, random_state=0
    )
    return learner.fit(X).components_


def independent_components(X, atoms):
    ica = FastICA(whiten="unit-variance", tol=1e-3, random_state=0)
    return ica.fit(X).mixing_.T


# %%
# One code in ten
# ---------------
# Every method is given more samples until it finds all atoms. (One dataset will do for
# the peers, which take most of the time here.)


def curve(method, sample_counts, n_datasets=1):
    rates = []
    for n_samples in sample_counts:
        datasets = [planted(n_samples, 0.1, seed) for seed in range(n_datasets)]
        rates.append([recovered(method, X, atoms) for X, atoms in datasets])
        if min(rates[-1]) == 1.0:
            break
    return sample_counts[: len(rates)], np.array(rates)


few = (70, 80, 90, 100, 110, 120, 135, 150, 170, 190, 220, 250, 280, 320)
limit = curve(start_at_the_answer, few, DATASETS)
found = curve(random_start, few, DATASETS)
learned = curve(dictionary_learning, (165, 260, 425))
independent = curve(independent_components, (600, 1000, 1500, 2200))

# %%
# From sparse to dense
# --------------------
# The same for codes of any density, from one coefficient in a hundred to all of them,
# in float32 for speed.

densities = np.geomspace(0.01, 1.0, 11)
counts = np.geomspace(64, 4096, 13).round().astype(int)
frontier = np.zeros((len(densities), len(counts)))
for i, density in enumerate(densities):
    for j, n_samples in enumerate(counts):
        for seed in range(CELL_DATASETS):
            X, atoms = planted(n_samples, density, seed)
            rate = recovered(random_start, X.astype(np.float32), atoms)
            frontier[i, j] += rate / CELL_DATASETS

# %%
# The frontier
# ------------
# A random start ends close to where the answer itself would. The frontier is sharp.
# Where codes are sparser than a tenth, what counts is how often an atom is seen at all;
# from there to a third, two or three samples an atom will do. Dense codes are the hard
# case: nothing but the shape of the Laplace distribution then tells one rotation from
# another, and it takes dozens of samples an atom to see it.

fig, (top, bottom) = plt.subplots(
    2, 1, sharex=True, figsize=(7.5, 8), height_ratios=(4, 5), layout="constrained"
)
blue, green, orange = "#08519c", "#3a7d44", "#c8641b"


def draw(points, color, **style):
    n_samples, rates = points
    band = rates.min(axis=1), rates.max(axis=1)
    top.fill_between(n_samples, *band, color=color, alpha=0.15, lw=0)
    return top.plot(n_samples, rates.mean(axis=1), color=color, **style)[0]


coders = [
    draw(found, blue, label="random start", lw=2.5),
    draw(limit, "0.35", label="started at the answer", ls="--"),
]
draw(learned, green, marker="o", ms=4)
draw(independent, orange, marker="o", ms=4)
top.annotate("DictionaryLearning", (270, 0.7), color=green)
top.annotate("FastICA", (1120, 0.55), color=orange)
top.legend(
    handles=coders,
    title="OrthogonalSparseCoder",
    title_fontproperties={"weight": "bold"},
    alignment="left",
    loc="lower right",
    frameon=False,
)
top.set_title("One code in ten is active", loc="left", weight="bold")
top.set_ylabel("atoms recovered")
top.yaxis.set_major_formatter(PercentFormatter(1.0))
top.spines[["top", "right"]].set_visible(False)


def edges(centres):
    half = np.sqrt(centres[1] / centres[0])
    return np.append(centres / half, centres[-1] * half)


mesh = bottom.pcolormesh(
    edges(counts), edges(densities), frontier, cmap="Blues", vmin=0, vmax=1
)
sparse = densities[densities < 0.08]
bottom.plot(10 / sparse, sparse, color="w", ls="--")
bottom.text(
    340, 0.035, "every atom seen ten times", color="w", rotation=-31
).set_rotation_mode("anchor")
bottom.set(
    xscale="log", yscale="log", xlabel="samples (an atom)", ylabel="active codes"
)
bottom.set_title("OrthogonalSparseCoder, random start", loc="left", weight="bold")
ticks = N_ATOMS * 2 ** np.arange(7)
bottom.set_xticks(ticks, [f"{n:,}\n({n // N_ATOMS})" for n in ticks])
bottom.set_yticks([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0])
for axis in (bottom.xaxis, bottom.yaxis):
    axis.set_minor_locator(NullLocator())
bottom.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
fig.colorbar(mesh, ax=bottom, format=PercentFormatter(1.0), label="atoms recovered")
plt.show()
