"""Fitted models elsewhere: torch modules, ONNX graphs and trusted files."""
