"""
How well does sparse coding impute missing values?
==================================================

A coder with a learned prior is a distribution of the samples, and missing values are
estimated from those that were measured. :class:`~skscn.SparseCodingImputer` is a step
of a pipeline like the imputers of scikit-learn.
"""

# %%
# The samples are patches of 8 × 8 pixels of a photograph. A quarter to three quarters
# of the pixels are removed at random, from the patches to learn from, too. Every
# imputer sees the same pixels.

from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image
from sklearn.feature_extraction.image import extract_patches_2d
from sklearn.impute import KNNImputer, SimpleImputer

from skscn import SparseCodingImputer

image = load_sample_image("china.jpg").mean(axis=2) / 255
X = extract_patches_2d(image, (8, 8), max_patches=4000, random_state=0)
X = X.reshape(len(X), -1)
X_train, X_test = X[:3000], X[3000:]
imputers = {
    "SparseCodingImputer": SparseCodingImputer(),
    "KNNImputer": KNNImputer(n_neighbors=10),
    "SimpleImputer": SimpleImputer(),
}
fractions = [0.25, 0.5, 0.75]
errors, seconds = ({name: [] for name in imputers} for _ in range(2))
for fraction in fractions:
    rng = np.random.default_rng(0)
    train, test = (
        np.where(rng.random(part.shape) < fraction, np.nan, part)
        for part in (X_train, X_test)
    )
    for name, imputer in imputers.items():
        start = perf_counter()
        imputed = imputer.fit(train).transform(test)
        seconds[name].append(perf_counter() - start)
        missing = np.isnan(test)
        error = np.sqrt(np.mean((imputed[missing] - X_test[missing]) ** 2))
        errors[name].append(error / X_test[missing].std())
    print(
        f"{fraction:.0%} missing: "
        + ", ".join(f"{name} {errors[name][-1]:.2f}" for name in imputers)
    )

# %%
# The error is the root mean square of the difference to the pixels that were removed,
# in units of their standard deviation. The time is that of learning from 3,000 patches
# and imputing 1,000 others, half of whose pixels are missing.

colors = dict(zip(imputers, ("#1f5fa8", "#e07b20", "#888888"), strict=True))
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for name in imputers:
    left.plot(fractions, errors[name], "o-", color=colors[name], label=name)
left.set(xlabel="fraction of missing pixels", ylabel="error / standard deviation")
left.set(xticks=fractions, ylim=(0, None))
left.legend(frameon=False)
bars = right.barh(
    list(imputers), [seconds[name][1] for name in imputers], color=list(colors.values())
)
right.bar_label(bars, fmt=" %.2f s", padding=2)
right.invert_yaxis()
right.set(xlabel="seconds", xscale="log")
right.margins(x=0.3)
plt.show()

# %%
# An imputed value is an estimate. The coder also knows how uncertain it is about the
# code of a sample: the posterior standard deviations grow with the number of missing
# values.

coder = imputers["SparseCodingImputer"].coder_
stds = []
for fraction in (0.0, *fractions):
    holes = np.random.default_rng(0).random(X_test.shape) < fraction
    stds.append(coder.posterior_std(np.where(holes, np.nan, X_test)).mean())
[round(float(std), 3) for std in stds]
