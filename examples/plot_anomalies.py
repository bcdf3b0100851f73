"""
Why is this digit strange?
==========================

An anomaly is a sample that a model of the others finds unlikely. A score alone does not
help whoever has to act on it: which part of the sample is it? The score of a
:class:`~skscn.SparseCodingDetector` is a sum, so it can be asked.
"""

# %%
# Eights are normal here. The detector reads them through a layer of sparse codes,
# pooled on a grid of 8 × 8 cells, and never sees another digit.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

from skscn import (
    ConvSparseCoder,
    ExplanationDisplay,
    SparseCodingDetector,
    SparseCodingNetwork,
    SpatialPool,
)

digits = load_digits()
images, labels = digits.images, digits.target
eights = images[labels == 8]
train, test = eights[::2], eights[1::2]
network = SparseCodingNetwork(
    [
        ("conv", ConvSparseCoder(8, kernel_size=3, random_state=0)),
        ("pool", SpatialPool("gaussian", grid=8, power=0.5)),
    ]
)
detector = SparseCodingDetector(network).fit(train)

# %%
# Other digits have lower scores. How often is one of them below an eight that the
# detector did not see either?

others = images[labels != 8]
scores = np.concatenate([detector.score_samples(x) for x in (test, others)])
normal = np.arange(len(scores)) < len(test)
f"AUROC {roc_auc_score(normal, scores):.3f}"

# %%
# Now eights with a blot: four pixels are inked. The map of an image has its size and
# adds up to its score. Less the median map of normal images, it shows where the score
# is lost.

usual = np.median(detector.explain(train).maps, axis=0)
clean, blotted = test[:6], test[:6].copy()
places = [(2, 0), (4, 6), (1, 6), (5, 0), (3, 0), (6, 6)]
for image, (row, column) in zip(blotted, places, strict=True):
    image[row : row + 2, column : column + 2] = 16

# %%
# The redder, the less likely. Frames are around the blots.

explanations = [detector.explain(part) for part in (clean, blotted)]
losses = [usual - parts.maps for parts in explanations]
most = np.quantile(losses, 0.99)
figure, axes = plt.subplots(2, 6, figsize=(9, 3.6), layout="constrained")
for row, (parts, part) in enumerate(zip(explanations, (clean, blotted), strict=True)):
    for ax, loss, score, image in zip(
        axes[row], losses[row], parts.score, part, strict=True
    ):
        display = ExplanationDisplay(-loss.ravel(), score=score, image=image)
        display.plot(ax=ax, vmin=0, vmax=most)
for ax, (row, column) in zip(axes[1], places, strict=True):
    ax.add_patch(plt.Rectangle((column - 0.5, row - 0.5), 2, 2, fill=False))
axes[0, 0].set_ylabel("eights")
axes[1, 0].set_ylabel("with a blot")
figure.suptitle("Where the score of an image is lost")
plt.show()
