"""
Can a photograph be restored from one fifth of its pixels?
==========================================================

:func:`~skscn.inpaint_image` estimates missing pixels such that all patches of the image
have sparse codes. In the first image 80 % of the pixels are missing at random, in the
second image the pixels under scratches.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image

from skscn import inpaint_image

photograph = load_sample_image("flower.jpg")[120:248, 210:338]
rng = np.random.default_rng(0)
random_pixels = rng.random(photograph.shape[:2]) < 0.8
scratches = np.zeros_like(random_pixels)
rows, columns = np.indices(scratches.shape)
for slope, start in ((0.7, 8), (-0.4, 96), (1.6, -48), (-1.2, 152), (0.1, 56)):
    scratches |= np.abs(columns * slope + start - rows) < 2

# %%
# As in scikit-image, the mask is True where pixels are missing. The values of these
# pixels are not used. The other pixels do not change.

figure, axes = plt.subplots(2, 2, figsize=(8, 8), layout="constrained")
for (left, right), missing in zip(axes, (random_pixels, scratches), strict=True):
    masked = np.where(missing[..., None], 255, photograph).astype(np.uint8)
    inpainted = inpaint_image(masked, missing, n_passes=12, channel_axis=-1)
    assert (inpainted == photograph)[~missing].all()
    error = np.mean((inpainted[missing].astype(float) - photograph[missing]) ** 2)
    left.imshow(masked)
    left.set_title(f"{missing.mean():.0%} missing")
    right.imshow(inpainted)
    right.set_title(
        f"inpainted, PSNR of these pixels {10 * np.log10(255**2 / error):.1f} dB"
    )
for ax in axes.flat:
    ax.axis("off")
plt.show()
