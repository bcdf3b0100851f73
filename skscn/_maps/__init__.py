"""Codes at every place of images and signals, on arrays."""
