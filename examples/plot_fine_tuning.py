"""
Does backpropagation improve atoms that were learned without labels?
====================================================================

A network of sparse codes is a convolutional network whose weights nobody's labels have
seen. :func:`~skscn.to_torch` makes it a torch module that computes the same, from where
backpropagation can go on. Is there something left to gain? And does the network stay
what it was: orthonormal atoms, and priors λ ≥ 0, which are biases of at most zero?

This needs torch: ``pip install 'skscn[torch]'``.
"""

# %%
# Three hundred digits have labels, and 1,497 wait to be read. The network is one layer
# of sparse codes, a pool, and logistic regression.

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from skscn import (
    ConvSparseCoder,
    SpatialPool,
    from_torch,
    make_sparse_coding_network,
    to_torch,
)

torch.manual_seed(0)
torch.set_num_threads(1)  # such a small network gains nothing from more
X, y = load_digits(return_X_y=True)


def learned(X, y, seed):
    """Return a network of sparse codes, learned without backpropagation."""
    layers = [
        ("conv", ConvSparseCoder(12, kernel_size=5, contrast=0.1, random_state=seed)),
        ("pool", SpatialPool("gaussian", grid=3, power=0.5)),
    ]
    return make_sparse_coding_network(layers, image_shape=(8, 8)).fit(X, y)


# %%
# Fine-tuning is plain torch. To keep atoms orthonormal, torch moves them on the set of
# orthonormal matrices; to keep priors, biases are clamped after every step.

EPOCHS, RATE, BATCH = 12, 2e-3, 32


def fine_tune(network, X, y, X_test, y_test, *, clamp=False, rate=RATE):
    """Train a network in place; return its test accuracy after every epoch."""
    data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(y))
    batches = torch.utils.data.DataLoader(data, BATCH, shuffle=True)
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)

    def accuracy():
        with torch.no_grad():
            labels = network(torch.from_numpy(X_test)).argmax(dim=1).numpy()
        return np.mean(labels == y_test)

    curve = [accuracy()]
    for _ in range(EPOCHS):
        for images, labels in batches:
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(images), labels).backward()
            optimizer.step()
            if clamp:
                network.clamp_priors_()
        curve.append(accuracy())
    return curve


# %%
# For comparison, a network of the same shape starts from random numbers: 24 filters of
# 5 × 5, rectified and pooled on 3 × 3 cells.


def random_network():
    """Return a convolutional network of the same shape, with torch's own start."""
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
    "λ ≥ 0": {"clamp": True},
    "orthonormal atoms": {"orthonormal": True},
    "λ ≥ 0, orthonormal atoms": {"clamp": True, "orthonormal": True},
}
curves = {name: [] for name in [*constraints, "random start"]}
for seed in range(3):
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, train_size=300, stratify=y, random_state=seed
    )
    data = X_train, y_train, X_test, y_test
    model = learned(X_train, y_train, seed)
    for name, options in constraints.items():
        orthonormal = options.get("orthonormal", False)
        network = to_torch(model, orthonormal=orthonormal)
        clamp = options.get("clamp", False)
        curves[name].append(fine_tune(network, *data, clamp=clamp))
    curves["random start"].append(fine_tune(random_network(), *data, rate=1e-2))

for name, curve in curves.items():
    start, *_, end = np.mean(curve, axis=0)
    print(f"{name:>26}: {start:.1%} before, {end:.1%} after {EPOCHS} epochs")

# %%
# The last network comes back to scikit-learn as the Pipeline that it was made of. Its
# atoms are orthonormal still, so that it also still rebuilds images from its codes.

tuned = from_torch(network)
print(f"back in scikit-learn: {tuned.score(X_test, y_test):.1%}")
scores = network(torch.from_numpy(X_test)).detach().numpy()
difference = np.abs(tuned.decision_function(X_test) - scores).max()
print(f"largest difference from torch: {difference:.0e}")

# %%
# A few epochs remove a quarter of the errors, whatever is kept: orthonormal atoms and
# sparse priors cost nothing here. The random start needs several epochs to reach where
# the network of sparse codes begins. And the atoms? They have hardly moved.

before = model["network"].named_layers_.conv.atoms_[..., 0]
after = tuned["network"].named_layers_.conv.atoms_[..., 0]
figure = plt.figure(figsize=(10, 4.2), layout="constrained")
left, right = figure.subfigures(1, 2, width_ratios=[1.1, 1])
axes = left.subplots()
styles = ["C0-", "C2-", "C1-", "C3-", "k:"]
for (name, curve), style in zip(curves.items(), styles, strict=True):
    axes.plot(100 * np.mean(curve, axis=0), style, label=name)
axes.set(xlabel="epochs of backpropagation", ylabel="test accuracy (%)")
axes.set(ylim=(89, 98.5), title="300 labelled digits, three splits")
axes.legend(loc="lower right", frameon=False)
grid = right.subplots(4, 6)
for k, (old, new) in enumerate(zip(before, after, strict=True)):
    row, column = 2 * (k // 6), k % 6
    for offset, atom in enumerate((old, new)):
        size = np.abs(atom).max()
        picture = grid[row + offset, column]
        picture.imshow(atom, cmap="RdBu", vmin=-size, vmax=size)
        picture.set(xticks=[], yticks=[])
for row in range(4):
    grid[row, 0].set_ylabel(("before", "after")[row % 2])
right.suptitle("atoms, kept orthonormal")
plt.show()
