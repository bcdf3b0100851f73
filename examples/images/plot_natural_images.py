"""
Which filters does a layer learn from photographs?
==================================================

Sparse atoms of patches of photographs are edges, as Olshausen and Field showed in 1996.
This example learns color filters from two photographs in about a second, and compares
them with principal axes and random atoms. It then shows where in a photograph the
filters are active.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_images

from skscn import ConvSparseCoder, DictionaryDisplay, SparseCodingNetwork, SpatialPool

# %%
# Learning
# --------
# A layer samples a few patches from each image, so the photographs are cut into many
# tiles. Three operations are applied to every patch: its mean is subtracted, it is
# divided by its standard deviation, so that sky and leaves have equal weight, and it is
# whitened to 60 principal components.

photographs = np.stack(load_sample_images().images)[:, :416, :640]
tiles = photographs.reshape(2, 13, 32, 20, 32, 3).swapaxes(2, 3).reshape(-1, 32, 32, 3)
print(f"{len(tiles)} tiles of shape {tiles.shape[1:]}, {tiles.dtype}")

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
    active_fraction = np.mean(conv.fit_transform(tiles[::4]) > 0)
    objective = conv.objective_path_[-1]
    print(
        f"{name:15} objective {objective:5.2f}, {active_fraction:5.1%} of codes active"
    )

# %%
# All three sets of atoms span the same space of 60 dimensions: without a prior their
# objectives would be equal, so the objectives differ only by the sparsity of the codes.
# Principal axes are waves over the whole patch. Learned atoms are edges and bars with a
# position and an orientation, and a few spots of color. Random atoms have no structure.

figure, axes = plt.subplots(1, 3, figsize=(12, 2.9), layout="constrained")
for ax, (name, conv) in zip(axes, layers.items(), strict=True):
    DictionaryDisplay.from_estimator(conv, ax=ax, n_columns=10)
    ax.set_title(f"{name}, objective {conv.objective_path_[-1]:.1f}")

# %%
# Where filters are active
# ------------------------
# The same layer, followed by average pooling over windows of 8 × 8, is a small network.
# It is fitted to the two photographs. Its pooled maps show how strongly each filter is
# active in each part of a photograph. The maps below belong to filters that are active
# in more than a tenth of the windows, and vary strongly between windows.

network = SparseCodingNetwork(
    [
        ("conv", ConvSparseCoder(**{**options, "alpha": 1.0})),
        ("pool", SpatialPool("average", window=8)),
    ]
).fit(photographs)
pooled = network.transform(photographs[:1]).reshape(network.map_shape_)
candidates = np.flatnonzero((pooled > 0).mean(axis=(0, 1)) > 0.1)
maps = pooled[:, :, candidates]
variation = maps.std(axis=(0, 1)) / maps.mean(axis=(0, 1))
chosen = candidates[np.argsort(variation)[::-1]][:12:4]
filters = network.named_layers_["conv"].filters_
figure, axes = plt.subplots(1, 4, figsize=(12, 2.3), layout="constrained")
axes[0].imshow(photographs[0])
axes[0].set_title("photograph")
for ax, index in zip(axes[1:], chosen, strict=True):
    ax.imshow(pooled[:, :, index], cmap="magma", interpolation="nearest")
    ax.set_title(f"map {index} and its filter")
    inset = ax.inset_axes((0.0, 0.62, 0.25, 0.38))
    inset.imshow(0.5 + 0.5 * filters[index] / np.abs(filters[index]).max())
    inset.axis("off")
for ax in axes:
    ax.axis("off")
plt.show()
