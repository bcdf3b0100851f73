"""
How much of a photograph can be missing?
========================================

:func:`~skscn.inpaint_image` fills in missing pixels so that all patches, known and
filled in, have sparse codes. Here four pixels of five are missing, and then what lies
under scratches.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image

from skscn import inpaint_image

photograph = load_sample_image("flower.jpg")[120:248, 210:338]
rng = np.random.default_rng(0)
scattered = rng.random(photograph.shape[:2]) < 0.8
scratches = np.zeros_like(scattered)
rows, columns = np.indices(scattered.shape)
for slope, start in ((0.7, 8), (-0.4, 96), (1.6, -48), (-1.2, 152), (0.1, 56)):
    scratches |= np.abs(columns * slope + start - rows) < 2

# %%
# The mask is True where pixels are missing, as in scikit-image. What the image holds
# there does not matter, and known pixels stay as they are.

figure, axes = plt.subplots(2, 2, figsize=(8, 8), layout="constrained")
for (left, right), missing in zip(axes, (scattered, scratches), strict=True):
    holed = np.where(missing[..., None], 255, photograph).astype(np.uint8)
    inpainted = inpaint_image(holed, missing, n_passes=12, channel_axis=-1)
    assert (inpainted == photograph)[~missing].all()
    error = np.mean((inpainted[missing].astype(float) - photograph[missing]) ** 2)
    left.imshow(holed)
    left.set_title(f"{missing.mean():.0%} missing")
    right.imshow(inpainted)
    right.set_title(f"filled in, {10 * np.log10(255**2 / error):.1f} dB there")
for ax in axes.flat:
    ax.axis("off")
plt.show()
