"""
Which prior, which threshold, and how many atoms?
=================================================

A coder is a scikit-learn transformer, so that a grid search can choose its prior and
its other parameters. This example compares four priors, six thresholds and two
dictionary sizes as features of a logistic regression that classifies handwritten
digits. Two scores are computed: the accuracy, and the fraction of coefficients that are
zero.
"""

# %%
# Signed and non-negative priors belong to two classes of coders. The parameter grid is
# therefore a list with one dict for each prior. The scaler divides the codes by their
# standard deviations. It does not center them, so that zeros remain zeros.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skscn import NonNegativeSparseCoder, OrthogonalSparseCoder

X, y = load_digits(return_X_y=True)
PRIORS = {
    "laplace (soft threshold)": OrthogonalSparseCoder(prior="laplace"),
    "spike_slab (hard threshold)": OrthogonalSparseCoder(prior="spike_slab"),
    "exponential (ReLU)": NonNegativeSparseCoder(prior="exponential"),
    "spike_slab, one-sided": NonNegativeSparseCoder(prior="spike_slab"),
}
ALPHAS = [0.25, 0.5, 1, 2, 4, 8]
N_ATOMS = [32, 64]
classifier = Pipeline(
    [
        ("coder", None),
        ("scale", StandardScaler(with_mean=False)),
        ("classify", LogisticRegression(C=0.1, tol=1e-3)),
    ]
)


def parameter_grid(coder):
    return {"coder": [coder], "coder__alpha": ALPHAS, "coder__n_components": N_ATOMS}


# %%
# The second score is the fraction of zeros in the codes of the held-out digits.


def zero_fraction(classifier, X, y):
    return np.mean(classifier["coder"].transform(X) == 0)


settings = {
    "scoring": {"accuracy": "accuracy", "zeros": zero_fraction},
    "refit": "accuracy",
    "cv": 3,
    "n_jobs": -1,
}
grid = [parameter_grid(coder.set_params(tol=1e-3)) for coder in PRIORS.values()]
search = GridSearchCV(classifier, grid, **settings).fit(X, y)
search.best_params_

# %%
# Two baselines show the effect of the prior and of learning: principal components,
# which are linear features of the same number, and ReLU codes with random atoms.

random = NonNegativeSparseCoder(init="random", max_iter=0, random_state=0)
random_search = GridSearchCV(classifier, parameter_grid(random), **settings).fit(X, y)
pca_accuracy = {
    n: cross_val_score(classifier.set_params(coder=PCA(n)), X, y, cv=3).mean()
    for n in N_ATOMS
}

# %%
# The results have the order of the grid: prior, threshold, number of atoms.


def mean_scores(score):
    """Return an array of shape (n_priors, n_thresholds, n_dictionary_sizes)."""
    values = [run.cv_results_[f"mean_test_{score}"] for run in (search, random_search)]
    return np.concatenate(values).reshape(-1, len(ALPHAS), len(N_ATOMS))


names = [*PRIORS, "exponential, random atoms"]
styles = [("#1f5fa8", "--"), ("#7fb2e5", "--"), ("#c4501b", "-"), ("#f2a65e", "-")]
styles.append(("0.6", "-."))
figure, axes = plt.subplots(
    2, 2, figsize=(10, 7), sharex=True, sharey="row", layout="constrained"
)
for row, score in zip(axes, ["accuracy", "zeros"], strict=True):
    for name, (color, line), values in zip(
        names, styles, mean_scores(score), strict=True
    ):
        for ax, curve in zip(row, values.T, strict=True):
            ax.plot(ALPHAS, curve, "o", ls=line, color=color, ms=4, label=name)
            ax.yaxis.set_major_formatter("{x:.0%}")
for (above, below), n in zip(axes.T, N_ATOMS, strict=True):
    above.set_title(f"{n} atoms")
    above.axhline(pca_accuracy[n], color="0.4", ls=":", label="PCA, no zeros")
    below.set(xlabel="threshold alpha", xscale="log", ylim=(0, 1))
    below.set_xticks(ALPHAS, [f"{alpha:g}" for alpha in ALPHAS])
    below.minorticks_off()
axes[0, 0].set(ylabel="accuracy", ylim=(0.7, 0.96))
axes[1, 0].set(ylabel="fraction of zero coefficients")
axes[1, 1].legend(*axes[0, 1].get_legend_handles_labels(), loc="lower right")
plt.show()

# %%
# The accuracies of the folds differ by more than one percentage point, so only large
# differences are meaningful:
#
# - Signed codes are about as accurate as PCA. They set small coefficients to zero, and
#   remain a nearly linear function of the image.
# - Non-negative codes are a non-linear function of the image. They are one or two
#   percentage points more accurate, with two thirds of the coefficients at zero.
# - The priors differ most at large thresholds. The ReLU shrinks the coefficients that
#   it keeps. The one-sided hard threshold does not, and is as accurate as PCA with four
#   fifths of the coefficients at zero.
# - Learning the atoms matters when they are few. 32 random atoms span only a part of
#   the space of images. 64 random atoms span all of it: then learning does not change
#   the accuracy, but makes the codes sparser.
