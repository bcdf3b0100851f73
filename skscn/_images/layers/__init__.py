"""Layers as computations on plain arrays, without validation and without fitting.

Blocks of images and fitted arrays come in, and maps go out, or images reconstructed
from maps. `patches.py` defines the grid of patches that all modules use, `base.py` the
interface of a layer, `convolution.py`, `pooling.py` and `composition.py` the layers.
Open `base.py` first.
"""
