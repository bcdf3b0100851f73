"""Sparse coding networks for scikit-learn."""

from skscn._coders import NonNegativeSparseCoder, OrthogonalSparseCoder
from skscn._convolution import ConvSparseCoder
from skscn._detection.detector import SparseCodingDetector
from skscn._detection.explanation_display import ExplanationDisplay
from skscn._heads import FlooredScaler, StreamingRidgeClassifier
from skscn._imputer import SparseCodingImputer
from skscn._network import SparseCodingNetwork
from skscn._patchwork.denoising import denoise_image
from skscn._patchwork.dictionary_display import DictionaryDisplay
from skscn._patchwork.inpainting import inpaint_image
from skscn._patchwork.reading import iter_patches
from skscn._pooling import SpatialPool
from skscn._presets import make_sparse_coding_network

__all__ = [
    "ConvSparseCoder",
    "DictionaryDisplay",
    "ExplanationDisplay",
    "FlooredScaler",
    "NonNegativeSparseCoder",
    "OrthogonalSparseCoder",
    "SparseCodingDetector",
    "SparseCodingImputer",
    "SparseCodingNetwork",
    "SpatialPool",
    "StreamingRidgeClassifier",
    "denoise_image",
    "inpaint_image",
    "iter_patches",
    "make_sparse_coding_network",
]
__version__ = "0.1.0.dev0"
