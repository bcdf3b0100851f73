"""
Why does strong noise need several scales?
==========================================

A patch of 8 × 8 pixels cannot tell a wide gradient from noise of low frequencies. If
only the image itself is denoised, such noise remains as blotches in the sky.
:func:`~skscn.denoise_image` also denoises the image at a half and at a quarter of its
resolution, where a patch covers more of it, and takes the low frequencies from there.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image

from skscn import denoise_image

photograph = load_sample_image("china.jpg")[20:164, 160:352]
sigma = 60
noise = np.random.default_rng(0).normal(scale=sigma, size=photograph.shape)
noisy = photograph + noise

# %%
# The orthonormal cosine transform of white noise is white noise. Its low frequencies
# are therefore an image with white noise, for which nothing else has to change.

estimates = {
    n_scales: denoise_image(noisy, sigma, n_scales=n_scales, stride=2, channel_axis=-1)
    for n_scales in (1, 3)
}

# %%
# What differs are the low frequencies: the edges are those of the full resolution.


def psnr(image):
    return 10 * np.log10(255**2 / np.mean((np.clip(image, 0, 255) - photograph) ** 2))


def show(ax, image, title):
    ax.imshow(np.clip(image, 0, 255).astype(np.uint8))
    ax.set_title(title)
    ax.axis("off")


figure, axes = plt.subplots(2, 2, figsize=(10, 7.6), layout="constrained")
show(axes[0, 0], noisy, f"noisy, {psnr(noisy):.1f} dB")
show(axes[0, 1], estimates[1], f"one scale, {psnr(estimates[1]):.1f} dB")
show(axes[1, 0], estimates[3], f"three scales, {psnr(estimates[3]):.1f} dB")
difference = estimates[1] - estimates[3]
show(axes[1, 1], 128 + 3 * difference, "one scale minus three scales, × 3")
plt.show()
