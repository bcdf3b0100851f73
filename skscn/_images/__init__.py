"""Layers of sparse codes for images, networks of them, and classifiers of their codes.

Images come in as arrays of shape (n_images, height, width, channels) or as flat rows,
and maps of sparse codes go out. `base.py` validates images and streams them through a
layer; `convolution.py`, `pooling.py` and `network.py` are the estimators that learn
layers, `patch_learning.py` learns the dictionaries of a convolution, and `layers/`
computes with plain arrays. `scaler.py` and `classification.py` have a scaler and a
classifier for the codes, and `presets.py` the complete Pipeline. Open `convolution.py`
first.
"""
