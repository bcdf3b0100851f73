"""Restoration of images by sparse codes of their overlapping patches.

A noisy image, or an image with missing pixels, comes in as an array; the restored image
goes out, with the same shape and dtype. Open `denoising.py` first, then `passes.py`:
both functions repeat passes over the image, and every pass reconstructs all patches and
averages them. `patch_model.py` and `patch_mixture.py` learn the dictionaries,
`patches.py` says where the patches are, and `channels.py` converts pixels to the units
of the noise.
"""
