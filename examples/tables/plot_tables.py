"""
What do sparse codes add to the columns of a table?
===================================================

A linear classifier separates classes by straight lines. Splines of every column bend
them, but the columns still act independently of each other. Codes are functions of
several columns at once. ``make_sparse_coding_network("tables")`` puts all three side by
side. This example draws the regions that each of them adds, and searches for the prior
and the threshold of the codes.
"""

# %%
# The table
# ---------
# The rows are wines from three vineyards. All 13 columns together separate them almost
# perfectly, so that only two of them are used here. The columns have different units,
# and the network scales them.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV, RepeatedStratifiedKFold

from skscn import make_sparse_coding_network

X, y = load_wine(return_X_y=True, as_frame=True)
X = X[["total_phenols", "hue"]]
model = make_sparse_coding_network("tables").set_params(classify__C=1.0)
model

# %%
# The prior and the threshold
# ---------------------------
# The parameters of the coder have nested names, as in every pipeline, and "drop" leaves
# a part out. A fold has few rows, so that the accuracy is the average over four
# partitions.

cv = RepeatedStratifiedKFold(n_splits=5, n_repeats=4, random_state=0)
alphas = [0.1, 0.25, 0.5, 1.0, 2.0]
priors = {"laplace": "laplace (soft threshold)", "spike_slab": "spike_slab (hard)"}
coder = "network__codes__coder"
search = GridSearchCV(
    model,
    {f"{coder}__prior": list(priors), f"{coder}__alpha": alphas},
    cv=cv,
    n_jobs=-1,
).fit(X, y)
parts = {
    "columns": {"network__splines": "drop", "network__codes": "drop"},
    "columns and splines": {"network__codes": "drop"},
}
smaller = {
    name: GridSearchCV(
        model, {key: [value] for key, value in dropped.items()}, cv=cv, n_jobs=-1
    ).fit(X, y)
    for name, dropped in parts.items()
}
for name, result in {**smaller, "columns, splines and codes": search}.items():
    print(f"{name:27} {result.best_score_:.1%}")
search.best_params_

# %%
# The regions
# -----------
# The columns alone give regions with straight boundaries. Splines bend the boundaries
# where a column has one of its quartiles, and the effect of a column does not depend on
# the other. Codes bend them along oblique lines, where the projection onto an atom
# reaches the threshold. The dashed lines of the third panel are these thresholds.

models = {name: result.best_estimator_ for name, result in smaller.items()}
models["columns, splines and codes"] = search.best_estimator_
x_range, y_range = ((X[name].min() - 0.1, X[name].max() + 0.1) for name in X)
grid = np.meshgrid(np.linspace(*x_range, 300), np.linspace(*y_range, 300))
rows = pd.DataFrame(np.column_stack([each.ravel() for each in grid]), columns=X.columns)
figure, axes = plt.subplots(2, 2, figsize=(10, 8), layout="constrained")
for ax, (name, fitted) in zip(axes.flat, models.items(), strict=False):
    region = fitted.predict(rows).reshape(grid[0].shape)
    light, dark = (["#bcd6ef", "#f9d9b8", "#cfe5cf"], ["#1f5fa8", "#c4501b", "#3c7a3c"])
    ax.contourf(*grid, region, levels=[-0.5, 0.5, 1.5, 2.5], colors=light)
    for label, color in enumerate(dark):
        ax.scatter(*X[y == label].to_numpy().T, s=12, color=color)
    ax.set(title=name, xlabel="total phenols", ylabel="hue")

best = search.best_estimator_
codes = best["network"]["codes"]
whitened = codes["whiten"].transform(best["scale"].transform(rows))
projections = (whitened - codes["coder"].mean_) @ codes["coder"].components_.T
for projection in projections.T:
    axes[1, 0].contour(
        *grid,
        projection.reshape(grid[0].shape),
        levels=[-codes["coder"].alpha, codes["coder"].alpha],
        colors="0.2",
        linestyles="--",
        linewidths=0.9,
    )

ax = axes[1, 1]
scores = search.cv_results_["mean_test_score"].reshape(len(alphas), len(priors)).T
for values, label, color in zip(
    scores, priors.values(), ["#c4501b", "#1f5fa8"], strict=True
):
    ax.plot(alphas, values, "o-", color=color, label=label)
for (name, result), style in zip(smaller.items(), [":", "--"], strict=True):
    ax.axhline(result.best_score_, color="0.4", ls=style, label=name)
ax.set(xscale="log", xlabel="threshold alpha", title="accuracy in cross-validation")
ax.set_xticks(alphas, [f"{alpha:g}" for alpha in alphas])
ax.minorticks_off()
ax.yaxis.set_major_formatter("{x:.0%}")
ax.set_ylim(0.7)
ax.legend(frameon=False)
plt.show()

# %%
# Both priors are best at moderate thresholds. At a threshold of two standard deviations
# hardly any code is left, and the accuracy is that of the columns and splines.
