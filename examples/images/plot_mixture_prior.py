"""
What do clean photographs teach about noisy ones?
=================================================

By default, :func:`~skscn.denoise_image` learns its dictionaries from the noisy image
itself. A :class:`~skscn.SparseCodingMixture` of patches of clean images is a
distribution of patches, and turns each noisy patch into its posterior mean.
"""

# %%
# The mixture learns from patches of 8 × 8 pixels of the left half of a photograph, each
# without its own mean. The image to denoise is a part of the right half. In practice,
# learn from many photographs, and keep the mixture in a file.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image

from skscn import SparseCodingMixture, denoise_image, iter_patches

china = load_sample_image("china.jpg").mean(axis=2).astype(np.float32)
patches = next(
    iter_patches(
        [china[:, :320]],
        8,
        max_patches=15_000,
        batch_size=15_000,
        center=True,
        random_state=0,
    )
)
mixture = SparseCodingMixture(12, random_state=0, tol=3e-3, max_iter=20).fit(patches)
print(f"{mixture.n_iter_} iterations, score {mixture.score(patches):.1f} nats a patch")

# %%
# The noise has a standard deviation of 25. With a mixture, one refinement is enough.

image = china[130:290, 400:620]
noisy = image + np.random.default_rng(0).normal(scale=25, size=image.shape)
noisy = noisy.astype(np.float32)
estimates = {
    "noisy": noisy,
    "learned from the noisy image": denoise_image(noisy, 25),
    "learned from clean patches": denoise_image(
        noisy, 25, mixture, patch_size=8, n_refinements=1
    ),
}


def psnr(estimate):
    return 10 * np.log10(255**2 / np.mean((estimate - image) ** 2))


figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
for (name, estimate), ax in zip(estimates.items(), axes, strict=True):
    ax.imshow(estimate, cmap="gray", vmin=0, vmax=255)
    ax.set_title(f"{name}\n{psnr(estimate):.1f} dB")
    ax.axis("off")
plt.show()

# %%
# Every dictionary of the mixture is for one kind of patch: flat ones, edges of one
# direction, or texture. These are the six most frequent ones, with the four atoms that
# their patches use most.

order = np.argsort(-mixture.weights_)[:6]
figure, axes = plt.subplots(4, 6, figsize=(8, 5.6), layout="constrained")
for column, dictionary in zip(axes.T, order, strict=True):
    column[0].set_title(f"{mixture.weights_[dictionary]:.0%}")
    for ax, atom in zip(column, mixture.components_[dictionary], strict=False):
        largest = np.abs(atom).max()
        ax.imshow(atom.reshape(8, 8), cmap="RdBu_r", vmin=-largest, vmax=largest)
        ax.axis("off")
plt.show()
