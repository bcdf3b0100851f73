"""
Does backpropagation improve atoms that were learned without labels?
====================================================================

A sparse coding network is a convolutional network whose weights are learned without
labels. :func:`~skscn.to_torch` converts it to a torch module that computes the same
function and can be trained further by backpropagation. How much accuracy does that
gain? And what does it cost to keep the atoms orthonormal and the thresholds λ ≥ 0,
which means biases of at most zero?

This example needs torch: ``pip install 'skscn[torch]'``.
"""

# %%
# The training set has 300 labeled digits, the test set the other 1,497. The network is
# one convolutional layer of sparse codes, a pooling layer and logistic regression.

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from skscn import (
    ConvSparseCoder,
    DictionaryDisplay,
    SpatialPool,
    from_torch,
    make_sparse_coding_network,
    to_torch,
)

torch.manual_seed(0)
torch.set_num_threads(1)  # more threads do not make such a small network faster
X, y = load_digits(return_X_y=True)


def sparse_coding_network(X, y, seed):
    """Return a fitted network of sparse codes, learned without backpropagation."""
    layers = [
        ("conv", ConvSparseCoder(12, kernel_size=5, contrast=0.1, random_state=seed)),
        ("pool", SpatialPool("gaussian", grid=3, power=0.5)),
    ]
    return make_sparse_coding_network(layers, image_shape=(8, 8)).fit(X, y)


# %%
# Fine-tuning is an ordinary training loop. With ``to_torch(..., orthonormal=True)`` the
# atoms remain orthonormal. ``clamp_priors_`` keeps the biases at zero or below. With
# ``to_torch(..., batch_norm=True)`` the projections are normalized by the mean and the
# variance of the mini-batch, and ``from_torch`` folds that into the filters.

N_EPOCHS, LEARNING_RATE, BATCH_SIZE = 12, 2e-3, 32


def fine_tune(network, X, y, X_test, y_test, *, clamp=False, rate=LEARNING_RATE):
    """Train a network in place. Return its test accuracy before and after epochs."""
    data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(y))
    batches = torch.utils.data.DataLoader(data, BATCH_SIZE, shuffle=True)
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)

    def accuracy():
        network.eval()
        with torch.no_grad():
            labels = network(torch.from_numpy(X_test)).argmax(dim=1).numpy()
        return np.mean(labels == y_test)

    curve = [accuracy()]
    for _ in range(N_EPOCHS):
        network.train()
        for images, labels in batches:
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(images), labels).backward()
            optimizer.step()
            if clamp:
                network.clamp_priors_()
        curve.append(accuracy())
    return curve


# %%
# For comparison, a network of the same architecture has random initial weights: 24
# filters of 5 × 5, ReLU, and average pooling on a grid of 3 × 3.


def random_network():
    """Return a convolutional network with torch's default initialization."""
    network = nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 24, 5, padding=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(3),
        nn.Flatten(),
        nn.BatchNorm1d(24 * 9, affine=False),
        nn.Linear(24 * 9, 10),
    )
    return network.double()


constraints = {
    "free": {},
    "batch norm": {"batch_norm": True},
    "λ ≥ 0": {"clamp": True},
    "orthonormal atoms": {"orthonormal": True},
    "λ ≥ 0, orthonormal atoms": {"clamp": True, "orthonormal": True},
}
curves = {name: [] for name in [*constraints, "random weights"]}
for seed in range(3):
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, train_size=300, stratify=y, random_state=seed
    )
    data = X_train, y_train, X_test, y_test
    model = sparse_coding_network(X_train, y_train, seed)
    for name, options in constraints.items():
        clamp = options.get("clamp", False)
        options = {key: value for key, value in options.items() if key != "clamp"}
        network = to_torch(model, **options)
        curves[name].append(fine_tune(network, *data, clamp=clamp))
    curves["random weights"].append(fine_tune(random_network(), *data, rate=1e-2))

for name, curve in curves.items():
    start, *_, end = np.mean(curve, axis=0)
    print(f"{name:>26}: {start:.1%} before, {end:.1%} after {N_EPOCHS} epochs")

# %%
# :func:`~skscn.from_torch` converts the last network back to a Pipeline of the original
# steps. Its atoms are still orthonormal, so that it can still reconstruct images.

tuned = from_torch(network)
print(f"as a scikit-learn Pipeline: {tuned.score(X_test, y_test):.1%}")
scores = network(torch.from_numpy(X_test)).detach().numpy()
difference = np.abs(tuned.decision_function(X_test) - scores).max()
print(f"largest difference of the scores from those of torch: {difference:.0e}")

# %%
# Twelve epochs remove about a quarter of the errors, with and without constraints: here
# orthonormal atoms and sparse priors cost no accuracy. The network with random weights
# needs several epochs to reach the initial accuracy of the sparse coding network. The
# atoms hardly change.

before = model["network"].named_layers_.conv.atoms_[..., 0]
after = tuned["network"].named_layers_.conv.atoms_[..., 0]
figure = plt.figure(figsize=(10, 4.2), layout="constrained")
left, right = figure.subfigures(1, 2, width_ratios=[1.1, 1])
axes = left.subplots()
styles = ["C0-", "C4-", "C2-", "C1-", "C3-", "k:"]
for (name, curve), style in zip(curves.items(), styles, strict=True):
    axes.plot(100 * np.mean(curve, axis=0), style, label=name)
axes.set(xlabel="epochs of backpropagation", ylabel="test accuracy (%)")
axes.set(ylim=(89, 98.5), title="300 labeled digits, mean of three splits")
axes.legend(loc="lower right", frameon=False)
titles = "atoms before fine-tuning", "after, with orthonormal atoms"
for ax, title, atoms in zip(right.subplots(2), titles, (before, after), strict=True):
    DictionaryDisplay(atoms).plot(ax=ax, n_columns=6, cmap="RdBu")
    ax.set_title(title)
plt.show()
