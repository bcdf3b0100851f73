"""Sparse coding networks for scikit-learn."""

from skscn._coders import NonNegativeSparseCoder, OrthogonalSparseCoder

__all__ = ["NonNegativeSparseCoder", "OrthogonalSparseCoder"]
__version__ = "0.1.0.dev0"
