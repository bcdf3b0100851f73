"""
Which part of an image is anomalous?
====================================

An anomaly is a sample with a low likelihood under a model of normal samples. A score
alone does not say which part of the sample is unusual. The score of a
:class:`~skscn.SparseCodingDetector` is a sum over the parts of a sample, and
:meth:`~skscn.SparseCodingDetector.explain` returns its terms.
"""

# %%
# Images of the digit eight are normal here. The detector models the codes of a
# convolutional layer, pooled on a grid of 8 × 8 cells. It is trained on eights only.

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
# Other digits get lower scores than eights that were not in the training data. The
# AUROC is the probability that an eight has the higher score.

others = images[labels != 8]
scores = np.concatenate([detector.score_samples(x) for x in (test, others)])
normal = np.arange(len(scores)) < len(test)
f"AUROC {roc_auc_score(normal, scores):.3f}"

# %%
# Now four pixels of each eight are set to black. The explanation of an image is a map
# of the same size, whose entries add up to the score. Its difference from the median
# map of normal images shows which pixels lower the score.

median_map = np.median(detector.explain(train).maps, axis=0)
clean, corrupted = test[:6], test[:6].copy()
corners = [(2, 0), (4, 6), (1, 6), (5, 0), (3, 0), (6, 6)]
for image, (row, column) in zip(corrupted, corners, strict=True):
    image[row : row + 2, column : column + 2] = 16

# %%
# Red pixels lower the score. Frames mark the pixels that were changed.

explanations = [detector.explain(images) for images in (clean, corrupted)]
decreases = [median_map - explanation.maps for explanation in explanations]
max_decrease = np.quantile(decreases, 0.99)
figure, axes = plt.subplots(2, 6, figsize=(9, 3.6), layout="constrained")
for row_of_axes, images, explanation, maps in zip(
    axes, (clean, corrupted), explanations, decreases, strict=True
):
    for ax, image, score, decrease in zip(
        row_of_axes, images, explanation.score, maps, strict=True
    ):
        display = ExplanationDisplay(-decrease.ravel(), score=score, image=image)
        display.plot(ax=ax, vmin=0, vmax=max_decrease)
for ax, (row, column) in zip(axes[1], corners, strict=True):
    ax.add_patch(plt.Rectangle((column - 0.5, row - 0.5), 2, 2, fill=False))
axes[0, 0].set_ylabel("eights")
axes[1, 0].set_ylabel("four pixels changed")
figure.suptitle("Pixels that lower the score")
plt.show()
