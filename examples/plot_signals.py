"""
How many signals does it take to learn their shapes?
====================================================

A cylinder, a bell or a funnel begins somewhere in a noisy signal and ends somewhere:
the classical artificial set of Saito (1994). Where a shape is says nothing, so
distances between signals say little. A convolutional layer looks at windows, wherever
they are, and its atoms are learned from the few signals at hand.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skscn import make_sparse_coding_network

# %%
# The signals
# -----------


def draw(n_signals, rng):
    """Return signals of 128 samples, and which shape they hold."""
    kind = np.arange(n_signals) % 3
    time = np.arange(128)
    start = rng.integers(16, 33, size=(n_signals, 1))
    length = rng.integers(32, 97, size=(n_signals, 1))
    inside = (time >= start) & (time <= start + length)
    rise = (time - start) / length
    shape = np.choose(kind[:, None], [1.0, rise, 1 - rise])
    height = 6 + rng.normal(size=(n_signals, 1))
    return height * inside * shape + rng.normal(size=(n_signals, 128)), kind


rng = np.random.default_rng(0)
X, y = draw(6, rng)
figure, axes = plt.subplots(2, 3, figsize=(9, 3.4), sharex=True, layout="constrained")
for ax, signal, kind in zip(axes.flat, X, y, strict=True):
    ax.plot(signal, color=f"C{kind}")
    ax.set_title(("cylinder", "bell", "funnel")[kind], fontsize=10)

# %%
# Accuracy
# --------
# "signals" is a network by name, of windows of four widths side by side. Rows without
# an `image_shape` are signals. Each training set is drawn five times.

X_test, y_test = draw(900, np.random.default_rng(1))
models = {
    "1-NN": KNeighborsClassifier(1),
    "linear": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
    "network": make_sparse_coding_network("signals", random_state=0),
}
sizes = [12, 24, 48, 96]
errors = {name: np.empty((len(sizes), 5)) for name in models}
print("errors, %, of", *sizes, "training signals")
for name, model in models.items():
    for i, size in enumerate(sizes):
        for trial in range(5):
            X_train, y_train = draw(size, np.random.default_rng(2 + trial))
            model.fit(X_train, y_train)
            errors[name][i, trial] = 100 * (1 - model.score(X_test, y_test))
    print(f"{name:8}", *(f"{error:5.1f}" for error in errors[name].mean(axis=1)))

# %%
# The atoms are steps and ramps: the ends of the shapes. To the right is what the codes
# of the largest windows keep of a signal. Where nothing is active they rebuild the mean
# window, which is above zero.

network = models["network"]["network"]
conv = network.named_layers_["size23"].named_layers_["conv"]
figure, (left, middle, right) = plt.subplots(
    1, 3, figsize=(12, 3.4), layout="constrained"
)
for name, values in errors.items():
    left.plot(sizes, values.mean(axis=1), "o-", label=name)
left.set(xscale="log", xticks=sizes, xticklabels=sizes, ylim=0)
left.set(title="Errors on 900 new signals, %", xlabel="training signals")
left.minorticks_off()
left.legend(frameon=False)
for i, atom in enumerate(conv.atoms_[:, 0, :, 0]):
    middle.plot(atom / np.abs(atom).max() / 2 - i, color="0.3")
middle.set(title="Atoms of the largest windows", xlabel="sample", yticks=[])
right.plot(X[1], color="0.8", label="signal")
right.plot(conv.reconstruct(X[1:2])[0], color="C1", label="rebuilt from its codes")
right.set(title="A bell", xlabel="sample")
right.legend(frameon=False)
for ax in (left, middle, right):
    ax.spines[["top", "right"]].set_visible(False)
plt.show()
