"""Fitted models as torch modules that can be trained, and trained modules as models.

A fitted estimator or Pipeline comes in and a `TorchNetwork` goes out; a trained network
comes in and a fitted copy of the model goes out. Open `export` first, which holds
`to_torch` and `from_torch`; then `steps`, the table of the functions that export every
step and restore it. A step is exported and restored in the same file: `coders`,
`convolution`, `linear`, `perceptron`. Only `export` can be imported without torch.
"""
