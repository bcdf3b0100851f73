"""Restoration of images and volumes by sparse codes of their overlapping patches.

A noisy image or volume, or one with missing pixels, comes in as an array; the restored
one goes out, with the same shape and dtype. One code treats any number of axes. Open
`denoising.py` first, then `passes.py`: both functions repeat passes over the image, and
every pass reconstructs all patches and averages them. `patch_model.py` and
`patch_mixture.py` learn the dictionaries, `patches.py` says where the patches are, and
`channels.py` converts pixels to the units of the noise. `scales.py` makes smaller
images of the low frequencies, to which the same passes apply.
"""
