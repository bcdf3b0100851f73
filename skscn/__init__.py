"""Sparse coding networks for scikit-learn."""

from skscn._coders.imputer import SparseCodingImputer
from skscn._coders.mixture import SparseCodingMixture
from skscn._coders.non_negative import NonNegativeSparseCoder
from skscn._coders.orthogonal import OrthogonalSparseCoder
from skscn._data.blocks import map_blocks
from skscn._detection.detector import SparseCodingDetector
from skscn._displays.dictionary import DictionaryDisplay
from skscn._displays.explanation import ExplanationDisplay
from skscn._displays.interpretation import InterpretationDisplay
from skscn._displays.objective import ObjectiveDisplay
from skscn._displays.prior import PriorDisplay
from skscn._displays.reconstruction import ReconstructionDisplay
from skscn._export.onnx.export import register_onnx_converters, to_onnx
from skscn._export.skops_types import skops_trusted_types
from skscn._export.torch.export import from_torch, to_torch
from skscn._images.classification import StreamingRidgeClassifier
from skscn._images.convolution import ConvSparseCoder
from skscn._images.network import SparseCodingNetwork
from skscn._images.patch_iterator import iter_patches
from skscn._images.pooling import SpatialPool
from skscn._images.presets import make_sparse_coding_network
from skscn._images.scaler import FlooredScaler
from skscn._interpretation.interpret import interpret_network, repair_network
from skscn._interpretation.report import NetworkReport
from skscn._restoration.denoising import denoise_image
from skscn._restoration.inpainting import inpaint_image

__all__ = [
    "ConvSparseCoder",
    "DictionaryDisplay",
    "ExplanationDisplay",
    "FlooredScaler",
    "InterpretationDisplay",
    "NetworkReport",
    "NonNegativeSparseCoder",
    "ObjectiveDisplay",
    "OrthogonalSparseCoder",
    "PriorDisplay",
    "ReconstructionDisplay",
    "SparseCodingDetector",
    "SparseCodingImputer",
    "SparseCodingMixture",
    "SparseCodingNetwork",
    "SpatialPool",
    "StreamingRidgeClassifier",
    "denoise_image",
    "from_torch",
    "inpaint_image",
    "interpret_network",
    "iter_patches",
    "make_sparse_coding_network",
    "map_blocks",
    "register_onnx_converters",
    "repair_network",
    "skops_trusted_types",
    "to_onnx",
    "to_torch",
]
__version__ = "0.1.0.dev0"
