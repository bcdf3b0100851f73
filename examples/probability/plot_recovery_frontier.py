"""
How many samples are needed to recover a dictionary?
====================================================

Samples are generated from a known dictionary of 64 orthonormal atoms, with sparse codes
and a little noise. How many samples are needed to recover the atoms, and how does that
number depend on the sparsity of the codes? If one coefficient in ten is not zero,
:class:`~skscn.OrthogonalSparseCoder` recovers nearly all atoms from three samples per
atom. The figure at the end shows the result for codes of any density.
"""

import warnings
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import NullLocator, PercentFormatter
from sklearn.decomposition import DictionaryLearning, FastICA
from sklearn.exceptions import ConvergenceWarning

from skscn import OrthogonalSparseCoder

N_ATOMS, NOISE_STD = 64, 0.05
CURVE_REPEATS = 3  # data sets for every point of a curve
HEATMAP_REPEATS = 1  # data sets for every cell of the heat map

# %%
# The data
# --------
# A coefficient is zero with probability 1 − density. Otherwise it has a Laplace
# distribution of scale 1. Every feature has Gaussian noise of standard deviation 0.05.
# An atom is recovered if the absolute value of its cosine with an estimated atom
# exceeds 0.99, since sign and order of the atoms are not determined.


def make_data(n_samples, density, seed):
    rng = np.random.default_rng(seed)
    atoms = np.linalg.qr(rng.standard_normal((N_ATOMS, N_ATOMS)))[0]
    codes = rng.laplace(size=(n_samples, N_ATOMS))
    codes *= rng.random(codes.shape) < density
    noise = NOISE_STD * rng.standard_normal((n_samples, N_ATOMS))
    return codes @ atoms + noise, atoms


def recovered_fraction(method, X, atoms):
    with warnings.catch_warnings():  # methods may not converge on few samples
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimate = method(X, atoms)
    estimate /= np.maximum(np.linalg.norm(estimate, axis=1, keepdims=True), 1e-12)
    return np.mean(np.abs(estimate @ atoms.T).max(axis=0) > 0.99)


# %%
# The methods
# -----------
# The coder is initialized with random atoms. A second coder is initialized with the
# true atoms. It shows the limit of the objective: if the objective moves away from the
# true atoms, then no algorithm that minimizes it can recover them. (Several random
# initializations come closer to this limit: keep the one with the lowest
# `objective_path_[-1]`.)

coder = partial(OrthogonalSparseCoder, alpha=2 * NOISE_STD, tol=1e-7, max_iter=100)


def init_random(X, atoms):
    return coder(init="random", random_state=0).fit(X).components_


def init_true_atoms(X, atoms):
    return coder(init=atoms).fit(X).components_


# %%
# Two estimators of scikit-learn do not assume orthonormal atoms. Dictionary learning
# minimizes the same objective over all atoms of unit norm. Independent component
# analysis first whitens the data. (With four times as many iterations, dictionary
# learning needs about a fifth fewer samples.)


def dictionary_learning(X, atoms):
    learner = DictionaryLearning(
        alpha=2 * NOISE_STD, fit_algorithm="cd", max_iter=100, random_state=0
    )
    return learner.fit(X).components_


def independent_components(X, atoms):
    ica = FastICA(whiten="unit-variance", tol=1e-3, random_state=0)
    return ica.fit(X).mixing_.T


# %%
# One coefficient in ten is active
# --------------------------------
# The number of samples increases until a method recovers all atoms. (scikit-learn's
# estimators are slower, and are fitted to one data set for each number of samples.)


def recovery_curve(method, sample_counts, n_repeats=1):
    fractions = []
    for n_samples in sample_counts:
        datasets = [make_data(n_samples, 0.1, seed) for seed in range(n_repeats)]
        fractions.append(
            [recovered_fraction(method, X, atoms) for X, atoms in datasets]
        )
        if min(fractions[-1]) == 1.0:
            break
    return sample_counts[: len(fractions)], np.array(fractions)


coder_counts = (70, 80, 90, 100, 110, 125, 150, 180, 220, 280)
true_curve = recovery_curve(init_true_atoms, coder_counts, CURVE_REPEATS)
random_curve = recovery_curve(init_random, coder_counts, CURVE_REPEATS)
learning_curve = recovery_curve(dictionary_learning, (165, 260, 425))
ica_curve = recovery_curve(independent_components, (600, 1000, 1500, 2200))

# %%
# Codes of any density
# --------------------
# The same experiment for densities from one coefficient in a hundred to all
# coefficients, in float32 to save time.

densities = np.geomspace(0.01, 1.0, 9)
sample_counts = np.geomspace(64, 4096, 9).round().astype(int)
heatmap = np.zeros((len(densities), len(sample_counts)))
for i, density in enumerate(densities):
    for j, n_samples in enumerate(sample_counts):
        for seed in range(HEATMAP_REPEATS):
            X, atoms = make_data(n_samples, density, seed)
            fraction = recovered_fraction(init_random, X.astype(np.float32), atoms)
            heatmap[i, j] += fraction / HEATMAP_REPEATS

# %%
# Results
# -------
# A coder with random initialization is close to the limit of the objective. The
# transition from no atoms to all atoms is sharp. If less than a tenth of the
# coefficients is active, the number of samples in which an atom occurs is decisive.
# From a tenth to a third, two or three samples per atom are enough. Dense codes are the
# hardest case: only the shape of the Laplace distribution distinguishes the atoms from
# their rotations, and dozens of samples per atom are needed to estimate it.

figure, (top, bottom) = plt.subplots(
    2, 1, sharex=True, figsize=(7.5, 8), height_ratios=(4, 5), layout="constrained"
)
blue, green, orange = "#08519c", "#3a7d44", "#c8641b"


def draw(curve, color, **style):
    n_samples, fractions = curve
    band = fractions.min(axis=1), fractions.max(axis=1)
    top.fill_between(n_samples, *band, color=color, alpha=0.15, lw=0)
    return top.plot(n_samples, fractions.mean(axis=1), color=color, **style)[0]


coder_lines = [
    draw(random_curve, blue, label="random initialization", lw=2.5),
    draw(true_curve, "0.35", label="initialized with the true atoms", ls="--"),
]
draw(learning_curve, green, marker="o", ms=4)
draw(ica_curve, orange, marker="o", ms=4)
top.annotate("DictionaryLearning", (270, 0.7), color=green)
top.annotate("FastICA", (1120, 0.55), color=orange)
top.legend(
    handles=coder_lines,
    title="OrthogonalSparseCoder",
    title_fontproperties={"weight": "bold"},
    alignment="left",
    loc="lower right",
    frameon=False,
)
top.set_title("One coefficient in ten is active", loc="left", weight="bold")
top.set_ylabel("recovered atoms")
top.yaxis.set_major_formatter(PercentFormatter(1.0))
top.spines[["top", "right"]].set_visible(False)


def cell_edges(centers):
    half = np.sqrt(centers[1] / centers[0])
    return np.append(centers / half, centers[-1] * half)


mesh = bottom.pcolormesh(
    cell_edges(sample_counts),
    cell_edges(densities),
    heatmap,
    cmap="Blues",
    vmin=0,
    vmax=1,
)
sparse = densities[densities < 0.08]
bottom.plot(10 / sparse, sparse, color="w", ls="--")
bottom.text(
    340, 0.035, "every atom occurs ten times", color="w", rotation=-31
).set_rotation_mode("anchor")
bottom.set(
    xscale="log",
    yscale="log",
    xlabel="samples (samples per atom)",
    ylabel="active coefficients",
)
bottom.set_title(
    "OrthogonalSparseCoder, random initialization", loc="left", weight="bold"
)
ticks = N_ATOMS * 2 ** np.arange(7)
bottom.set_xticks(ticks, [f"{n:,}\n({n // N_ATOMS})" for n in ticks])
bottom.set_yticks([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0])
for axis in (bottom.xaxis, bottom.yaxis):
    axis.set_minor_locator(NullLocator())
bottom.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
figure.colorbar(mesh, ax=bottom, format=PercentFormatter(1.0), label="recovered atoms")
plt.show()
