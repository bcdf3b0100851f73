"""
Which prior, how sparse, how many atoms?
========================================

A coder is a transformer like any other, so its prior is a parameter to search. Four
priors, six thresholds and two sizes of the dictionary compete in front of a logistic
regression that reads handwritten digits. Each is asked two things: how many digits are
read correctly, and how much of the code is zero.
"""

# %%
# Signed and non-negative priors belong to two coders, and a grid may be a list of
# parts: one part per prior. The scaler makes the classifier indifferent to the size of
# the codes. It does not centre them, so that zeros remain zeros.

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
SIZES = [32, 64]
classifier = Pipeline(
    [
        ("coder", None),
        ("scale", StandardScaler(with_mean=False)),
        ("classify", LogisticRegression(C=0.1, tol=1e-3)),
    ]
)


def part(coder):
    return {"coder": [coder], "coder__alpha": ALPHAS, "coder__n_components": SIZES}


# %%
# The search notes a second score beside accuracy: the share of zeros among the codes of
# the held-out digits.


def zeros(classifier, X, y):
    return np.mean(classifier["coder"].transform(X) == 0)


settings = {
    "scoring": {"accuracy": "accuracy", "zeros": zeros},
    "refit": "accuracy",
    "cv": 3,
    "n_jobs": -1,
}
grid = [part(coder.set_params(tol=1e-3)) for coder in PRIORS.values()]
search = GridSearchCV(classifier, grid, **settings).fit(X, y)
search.best_params_

# %%
# Two baselines tell what the priors and the learning add: principal components, which
# are a linear code of the same size, and ReLU codes of a random dictionary.

random = NonNegativeSparseCoder(init="random", max_iter=0, random_state=0)
random_search = GridSearchCV(classifier, part(random), **settings).fit(X, y)
linear = {
    size: cross_val_score(classifier.set_params(coder=PCA(size)), X, y, cv=3).mean()
    for size in SIZES
}

# %%
# Results come in the order of the grid: prior, threshold, size.


def table(score):
    values = [run.cv_results_[f"mean_test_{score}"] for run in (search, random_search)]
    return np.concatenate(values).reshape(-1, len(ALPHAS), len(SIZES))


names = [*PRIORS, "exponential, random atoms"]
styles = [("#1f5fa8", "--"), ("#7fb2e5", "--"), ("#c4501b", "-"), ("#f2a65e", "-")]
styles.append(("0.6", "-."))
figure, axes = plt.subplots(
    2, 2, figsize=(10, 7), sharex=True, sharey="row", layout="constrained"
)
for row, score in zip(axes, ["accuracy", "zeros"], strict=True):
    for p, values in enumerate(table(score)):
        color, line = styles[p]
        for axis, curve in zip(row, values.T, strict=True):
            axis.plot(ALPHAS, curve, "o", ls=line, color=color, ms=4, label=names[p])
            axis.yaxis.set_major_formatter("{x:.0%}")
for (above, below), size in zip(axes.T, SIZES, strict=True):
    above.set_title(f"{size} atoms")
    above.axhline(linear[size], color="0.4", ls=":", label="PCA, nothing is zero")
    below.set(xlabel="threshold alpha", xscale="log", ylim=(0, 1))
    below.set_xticks(ALPHAS, [f"{alpha:g}" for alpha in ALPHAS])
    below.minorticks_off()
axes[0, 0].set(ylabel="accuracy", ylim=(0.7, 0.96))
axes[1, 0].set(ylabel="share of zeros in the code")
axes[1, 1].legend(*axes[0, 1].get_legend_handles_labels(), loc="lower right")
plt.show()

# %%
# Folds differ by more than a point, so only the large differences count:
#
# - Signed codes stay near PCA. They remove what is small, and the classifier still sees
#   a nearly linear function of the picture.
# - Non-negative codes add what a linear classifier lacks, and read one or two points
#   more with two thirds of the code at zero.
# - Large thresholds tell the priors apart. The ReLU shrinks whatever it keeps; the
#   one-sided hard threshold does not, and still reads as well as PCA with four fifths
#   of the code at zero.
# - Learning matters where atoms are few. With 32 of them random directions miss much
#   of the picture. With 64 they span all of it, and the classifier does not mind; what
#   learning then buys is sparsity.
