"""
How well do sparse codes denoise a photograph?
==============================================

:func:`~skscn.denoise_image` learns an orthonormal dictionary from the noisy photograph
itself, reconstructs every patch from a sparse code, and averages the overlapping
reconstructions. White noise has no sparse code in any orthonormal dictionary, so that
thresholds remove it.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image

from skscn import DictionaryDisplay, OrthogonalSparseCoder, denoise_image, iter_patches

photograph = load_sample_image("china.jpg")[140:268, 120:312]
noise = np.random.default_rng(0).normal(scale=25, size=photograph.shape)
noisy = np.clip(photograph + noise, 0, 255).astype(np.uint8)

# %%
# The standard deviation of the noise is estimated from the patches with the least
# energy at low frequencies.

denoised = denoise_image(noisy, channel_axis=-1)
denoised.dtype, denoised.shape

# %%
# A coder can do the same for a single pass. It learns from patches of the noisy
# photograph with a threshold of 2.7 standard deviations of the noise. Its atoms are
# edges and textures of this photograph. They are sorted by the energy of their codes:
# the last ones resemble noise.

gray = noisy.mean(axis=2)
sigma = 25 / np.sqrt(3)  # standard deviation of the mean of three channels
(rows,) = iter_patches([gray], 8, stride=2, center=True, batch_size=10**6)
coder = OrthogonalSparseCoder(
    63, prior="spike_slab", alpha=2.7 * sigma, center=False, init="dct", tol=1e-3
).fit(rows)
codes = coder.transform(rows)
n_active = (codes != 0).sum(axis=1).mean()
print(f"A patch is coded by {n_active:.1f} of 63 atoms on average.")

# %%
# The difference between the noisy and the denoised photograph should look like noise.
# Where it shows the temple, denoising has removed details of the temple.


def psnr(image):
    error = np.mean((image.astype(float) - photograph) ** 2)
    return 10 * np.log10(255**2 / error)


removed = noisy.astype(float) - denoised
figure, axes = plt.subplots(2, 2, figsize=(10, 7), layout="constrained")
axes[0, 0].imshow(noisy)
axes[0, 0].set_title(f"noisy, {psnr(noisy):.1f} dB")
axes[0, 1].imshow(denoised)
axes[0, 1].set_title(f"denoised, {psnr(denoised):.1f} dB")
axes[1, 0].imshow(np.clip(128 + 1.5 * removed, 0, 255).astype(np.uint8))
axes[1, 0].set_title("noisy minus denoised, × 1.5")
DictionaryDisplay.from_estimator(coder, ax=axes[1, 1])
axes[1, 1].set_title("atoms, sorted by the energy of their codes")
for ax in axes.flat:
    ax.axis("off")
plt.show()
