"""
What does a layer see in a photograph?
======================================

Patches of photographs are mostly edges, and sparse atoms for them are edges too:
Olshausen and Field showed it in 1996, and today it takes a second. A layer learns
filters in colour from two photographs, beside layers that do not learn. Then we look at
where in a photograph its filters fire.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_images

from skscn import ConvSparseCoder, SparseCodingNetwork, SpatialPool

# %%
# Learning
# --------
# The photographs are cut into tiles, for a layer draws a few patches from each of many
# images. Every patch loses its mean and is divided by its contrast, so that sky and
# leaves count alike, and is whitened to 60 principal components.

photographs = np.stack(load_sample_images().images)[:, :416, :640]
tiles = photographs.reshape(2, 13, 32, 20, 32, 3).swapaxes(2, 3).reshape(-1, 32, 32, 3)
print(f"{len(tiles)} tiles of {tiles.shape[1:]}, {tiles.dtype}")

options = {
    "n_components": 60,
    "kernel_size": 10,
    "padding": "valid",
    "contrast": 0.05,
    "random_state": 0,
}
layers = {
    "learned": ConvSparseCoder(**options),
    "principal axes": ConvSparseCoder(max_iter=0, **options),
    "random": ConvSparseCoder(init="random", max_iter=0, **options),
}
for name, conv in layers.items():
    active = np.mean(conv.fit_transform(tiles[::4]) > 0)
    objective = conv.objective_path_[-1]
    print(f"{name:15} objective {objective:5.2f}, {active:5.1%} of the codes active")

# %%
# All three span the same 60 components, so that without a prior they would be equally
# good. It is sparsity that tells them apart. Principal axes are waves without a place;
# learned atoms are edges and bars, at a place and of an orientation, with a few blobs
# of colour; random atoms are mixtures of everything.


def tile(ax, atoms, title):
    """Show atoms of shape (6, 10, height, width, channels)."""
    atoms = 0.5 + 0.5 * atoms / np.abs(atoms).max(axis=(2, 3, 4), keepdims=True)
    gaps = [(0, 0), (0, 0), (0, 1), (0, 1), (0, 0)]
    atoms = np.pad(atoms, gaps, constant_values=1).swapaxes(1, 2)
    ax.imshow(atoms.reshape(6 * 11, 10 * 11, 3)[:-1, :-1])
    ax.set_title(title)
    ax.axis("off")


figure, axes = plt.subplots(1, 3, figsize=(12, 2.9), layout="constrained")
for ax, (name, conv) in zip(axes, layers.items(), strict=True):
    title = f"{name}, objective {conv.objective_path_[-1]:.1f}"
    tile(ax, conv.atoms_.reshape(6, 10, 10, 10, 3), title)

# %%
# Where filters fire
# ------------------
# The same layer with a pool of 8 × 8 is a small network. It is fitted to the
# photographs as they are, and pooled maps say which edges are about where: this is what
# a layer above would get. Of the filters that fire in a tenth of the cells or more,
# these fire least evenly.

network = SparseCodingNetwork(
    [
        ("conv", ConvSparseCoder(**{**options, "alpha": 1.0})),
        ("pool", SpatialPool("average", window=8)),
    ]
).fit(photographs)
pooled = network.transform(photographs[:1]).reshape(network.map_shape_)
often = np.flatnonzero((pooled > 0).mean(axis=(0, 1)) > 0.1)
uneven = pooled[:, :, often].std(axis=(0, 1)) / pooled[:, :, often].mean(axis=(0, 1))
chosen = often[np.argsort(uneven)[::-1]][:12:4]
filters = network.named_layers_["conv"].filters_
figure, axes = plt.subplots(1, 4, figsize=(12, 2.3), layout="constrained")
axes[0].imshow(photographs[0])
axes[0].set_title("photograph")
for ax, index in zip(axes[1:], chosen, strict=True):
    ax.imshow(pooled[:, :, index], cmap="magma", interpolation="nearest")
    ax.set_title(f"map {index}, and its filter")
    corner = ax.inset_axes((0.0, 0.62, 0.25, 0.38))
    corner.imshow(0.5 + 0.5 * filters[index] / np.abs(filters[index]).max())
    corner.axis("off")
for ax in axes:
    ax.axis("off")
plt.show()
