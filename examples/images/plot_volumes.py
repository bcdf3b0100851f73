"""
How do sparse codes denoise a volume?
=====================================

Microscopes and tomographs return volumes: arrays with the axes (depth, height, width).
:func:`~skscn.denoise_image` learns a dictionary of small cubes of voxels from the noisy
volume itself. A cube contains what neighboring slices have in common. Slices that are
denoised one by one do not.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter

from skscn import denoise_image, inpaint_image

# %%
# The phantom is a body with a shell and several ellipsoids, some of which contain a
# texture of parallel layers. The noise has a standard deviation of 25, where black is 0
# and white is 255.

rng = np.random.default_rng(3)
shape = (48, 56, 64)
positions = 2 * np.moveaxis(np.indices(shape), 0, -1) / np.array(shape) - 1


def is_inside(center, radii, rotation):
    """Return which voxels are inside an ellipsoid."""
    return np.linalg.norm((positions - center) @ rotation / radii, axis=-1) < 1


phantom = np.zeros(shape)
for radius, value in [(0.95, 220), (0.86, 90)]:
    phantom[is_inside(0, radius, np.eye(3))] = value
for i in range(12):
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    ellipsoid = is_inside(rng.uniform(-0.5, 0.5, 3), rng.uniform(0.1, 0.4, 3), rotation)
    layers = 30 * np.sin(40 * positions @ rotation[0]) if i % 2 else 0
    phantom = np.where(ellipsoid, rng.uniform(50, 200) + layers, phantom)
phantom = gaussian_filter(phantom, 0.5)
noisy = (phantom + rng.normal(scale=25, size=shape)).astype(np.float32)

# %%
# Three axes without a ``channel_axis`` are a volume. The patches have four voxels along
# each axis by default; the standard deviation of the noise is estimated.

denoised = denoise_image(noisy)

# %%
# For comparison, the slice in the middle is denoised as an image.

middle = len(phantom) // 2
sliced = denoise_image(noisy[middle])


def psnr(restored):
    error = np.mean((restored - phantom[middle]) ** 2)
    return 10 * np.log10(255**2 / error)


images = {
    "phantom": phantom[middle],
    f"noisy, {psnr(noisy[middle]):.1f} dB": noisy[middle],
    f"one slice, {psnr(sliced):.1f} dB": sliced,
    f"volume, {psnr(denoised[middle]):.1f} dB": denoised[middle],
}
figure, axes = plt.subplots(1, 4, figsize=(12, 3), layout="constrained")
for ax, (title, image) in zip(axes, images.items(), strict=True):
    ax.imshow(image, cmap="gray", vmin=0, vmax=255)
    ax.set_title(title)
    ax.axis("off")

# %%
# :func:`~skscn.inpaint_image` fills in missing voxels. Here half of the voxels of a
# part of the phantom are missing. The patches take their values also from the slices
# above and below.

part = phantom[16:32, 8:40, 12:44]
is_missing = rng.random(part.shape) < 0.5
incomplete = np.where(is_missing, np.nan, part)
inpainted = inpaint_image(incomplete, n_passes=12)
error = np.sqrt(np.mean((inpainted - part)[is_missing] ** 2))
print(f"The error of the missing voxels is {error:.1f}.")

figure, axes = plt.subplots(1, 3, figsize=(9, 3), layout="constrained")
titles = ("phantom", "half of it", "inpainted")
for ax, title, volume in zip(axes, titles, (part, incomplete, inpainted), strict=True):
    ax.imshow(volume[8], cmap="gray", vmin=0, vmax=255)
    ax.set_title(title)
    ax.axis("off")
plt.show()
