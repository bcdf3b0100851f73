"""Sparse coding networks for scikit-learn."""

from skscn._coders import NonNegativeSparseCoder, OrthogonalSparseCoder
from skscn._convolution import ConvSparseCoder
from skscn._detection.detector import SparseCodingDetector
from skscn._detection.explanation_display import ExplanationDisplay
from skscn._heads import FlooredScaler, StreamingRidgeClassifier
from skscn._imputer import SparseCodingImputer
from skscn._interpretation.interpret import interpret_network, repair_network
from skscn._interpretation.interpretation_display import InterpretationDisplay
from skscn._interpretation.report import NetworkReport
from skscn._network import SparseCodingNetwork
from skscn._pooling import SpatialPool
from skscn._presets import make_sparse_coding_network

__all__ = [
    "ConvSparseCoder",
    "ExplanationDisplay",
    "FlooredScaler",
    "InterpretationDisplay",
    "NetworkReport",
    "NonNegativeSparseCoder",
    "OrthogonalSparseCoder",
    "SparseCodingDetector",
    "SparseCodingImputer",
    "SparseCodingNetwork",
    "SpatialPool",
    "StreamingRidgeClassifier",
    "interpret_network",
    "make_sparse_coding_network",
    "repair_network",
]
__version__ = "0.1.0.dev0"
