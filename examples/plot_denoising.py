"""
Can sparse codes clean a noisy photograph?
==========================================

:func:`~skscn.denoise_image` learns an orthonormal dictionary on the noisy photograph
itself, codes every overlapping patch by a few of its atoms, and averages what they
rebuild. Noise has no sparse code in any dictionary, and is lost on the way.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image

from skscn import DictionaryDisplay, OrthogonalSparseCoder, denoise_image, iter_patches

photograph = load_sample_image("china.jpg")[140:268, 120:312]
noise = np.random.default_rng(0).normal(scale=25, size=photograph.shape)
noisy = np.clip(photograph + noise, 0, 255).astype(np.uint8)

# %%
# The noise is estimated where the photograph has least content. Values were clipped,
# and so there is a little less of it than was added.

denoised = denoise_image(noisy, channel_axis=-1)
denoised.dtype, denoised.shape

# %%
# The first pass can be done by hand: patches of the noisy photograph are what a coder
# learns from, with the threshold at 2.7 times the noise. Atoms that it finds are edges
# and textures of this photograph; those of the residual's kind come last.

grey = noisy.mean(axis=2)
sigma = 25 / np.sqrt(3)  # of the mean of three channels
(rows,) = iter_patches([grey], 8, stride=2, center=True, batch_size=10**6)
coder = OrthogonalSparseCoder(
    63, prior="spike_slab", alpha=2.7 * sigma, center=False, init="dct", tol=1e-3
).fit(rows)
codes = coder.transform(rows)
print(f"{(codes != 0).sum(axis=1).mean():.1f} of 63 atoms for a patch in the mean")

# %%
# What was taken away should look like noise: where it shows the temple, it took
# something of the temple.


def psnr(image):
    error = np.mean((image.astype(float) - photograph) ** 2)
    return 10 * np.log10(255**2 / error)


residual = noisy.astype(float) - denoised
figure, axes = plt.subplots(2, 2, figsize=(10, 7), layout="constrained")
axes[0, 0].imshow(noisy)
axes[0, 0].set_title(f"noisy, {psnr(noisy):.1f} dB")
axes[0, 1].imshow(denoised)
axes[0, 1].set_title(f"denoised, {psnr(denoised):.1f} dB")
axes[1, 0].imshow(np.clip(128 + 1.5 * residual, 0, 255).astype(np.uint8))
axes[1, 0].set_title("what was taken away, × 1.5")
DictionaryDisplay.from_estimator(coder, ax=axes[1, 1])
axes[1, 1].set_title("atoms, the most used first")
for ax in axes.flat:
    ax.axis("off")
plt.show()
