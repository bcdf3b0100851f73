"""
How many training signals does a network need?
==============================================

In the artificial data of Saito (1994), a noisy signal contains one of three shapes, a
cylinder, a bell or a funnel, at a random position and with a random length. The
position does not depend on the class, so that distances between signals are hardly
informative. A convolutional layer codes the windows at all positions with the same
atoms, which are learned from the few training signals.
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


def make_signals(n_signals, rng):
    """Return signals of 128 time steps, and their classes."""
    label = np.arange(n_signals) % 3
    time = np.arange(128)
    start = rng.integers(16, 33, size=(n_signals, 1))
    length = rng.integers(32, 97, size=(n_signals, 1))
    is_inside = (time >= start) & (time <= start + length)
    ramp = (time - start) / length
    shape = np.choose(label[:, None], [1.0, ramp, 1 - ramp])
    height = 6 + rng.normal(size=(n_signals, 1))
    return height * is_inside * shape + rng.normal(size=(n_signals, 128)), label


X, y = make_signals(6, np.random.default_rng(0))
figure, axes = plt.subplots(2, 3, figsize=(9, 3.4), sharex=True, layout="constrained")
for ax, signal, label in zip(axes.flat, X, y, strict=True):
    ax.plot(signal, color=f"C{label}")
    ax.set_title(("cylinder", "bell", "funnel")[label], fontsize=10)

# %%
# Accuracy
# --------
# "signals" is a predefined network with four parallel layers, whose windows have
# different lengths. Without an `image_shape`, rows are signals. For each number of
# training signals there are five training sets.

X_test, y_test = make_signals(900, np.random.default_rng(1))
models = {
    "1-NN": KNeighborsClassifier(1),
    "linear": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
    "network": make_sparse_coding_network("signals", random_state=0),
}
train_sizes = [12, 24, 48, 96]
errors = {name: np.empty((len(train_sizes), 5)) for name in models}
print("error rate in % for", *train_sizes, "training signals")
for name, model in models.items():
    for i, size in enumerate(train_sizes):
        for repeat in range(5):
            X_train, y_train = make_signals(size, np.random.default_rng(2 + repeat))
            model.fit(X_train, y_train)
            errors[name][i, repeat] = 100 * (1 - model.score(X_test, y_test))
    print(f"{name:8}", *(f"{error:5.1f}" for error in errors[name].mean(axis=1)))

# %%
# The atoms of the longest windows are steps and ramps, which are the beginnings and the
# ends of the shapes. The right panel shows a signal and its reconstruction from the
# codes of these windows. Where no atom is active, the reconstruction is the mean
# window, which is above zero.

network = models["network"]["network"]
conv = network.named_layers_["size23"].named_layers_["conv"]
figure, (left, middle, right) = plt.subplots(
    1, 3, figsize=(12, 3.4), layout="constrained"
)
for name, values in errors.items():
    left.plot(train_sizes, values.mean(axis=1), "o-", label=name)
left.set(xscale="log", xticks=train_sizes, xticklabels=train_sizes, ylim=0)
left.set(title="Error rate on 900 test signals, %", xlabel="training signals")
left.minorticks_off()
left.legend(frameon=False)
for i, atom in enumerate(conv.atoms_[:, 0, :, 0]):
    middle.plot(atom / np.abs(atom).max() / 2 - i, color="0.3")
middle.set(title="Atoms of the longest windows", xlabel="time", yticks=[])
right.plot(X[1], color="0.8", label="signal")
right.plot(conv.reconstruct(X[1:2])[0], color="C1", label="reconstruction")
right.set(title="A bell", xlabel="time")
right.legend(frameon=False)
for ax in (left, middle, right):
    ax.spines[["top", "right"]].set_visible(False)
plt.show()
