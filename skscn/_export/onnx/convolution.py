"""The ONNX nodes of ConvSparseCoder."""

import numpy as np

from skscn._export.encoder_formulas import encode
from skscn._export.fitted_parameters import convolution_parameters


def convolution(graph, x, layer):
    """Return the codes of every patch of images (n, channels, height, width)."""
    conv = convolution_parameters(layer)
    n_components, grid_shape = len(conv.encoder.bias), conv.grid_shape
    (top, bottom), (left, right) = conv.padding
    if any((top, bottom, left, right)):
        x = graph.node("Pad", x, np.array([0, 0, top, left, 0, 0, bottom, right]))
    options = {
        "kernel_shape": list(conv.weight.shape[2:]),
        "strides": list(conv.stride),
        "group": conv.n_groups,
    }
    if conv.contrast is None:
        u = graph.node("Conv", x, conv.weight, conv.bias, **options)
        u = graph.reshape(u, 0, conv.n_groups, n_components, *grid_shape)
    else:
        u = graph.node("Conv", x, conv.weight, **options)
        u = graph.reshape(u, 0, conv.n_groups, n_components, *grid_shape)
        scale = _inverse_contrast(graph, x, conv, options)
        u = u * graph.reshape(scale, 0, conv.n_groups, 1, *grid_shape)
        u = u + conv.bias.reshape(conv.n_groups, n_components, 1, 1)
    if conv.split_sign:
        u = graph.reshape(u, 0, conv.n_groups, 1, n_components, *grid_shape)
        u = graph.concatenate([u, -u], axis=2)
    codes = encode(graph, u, conv.encoder, lambda values: values[:, None, None])
    return graph.reshape(codes, 0, -1, *grid_shape)


def _inverse_contrast(graph, x, conv, options):
    """Return 1 / √(variance + eps) of the patches of padded images, for every group."""
    eps, center = conv.contrast
    averaging = np.ones((conv.n_groups, *conv.weight.shape[1:]))
    averaging /= averaging[0].size
    centered = x - center
    mean = graph.node("Conv", centered, averaging, **options)
    mean_square = graph.node("Conv", centered * centered, averaging, **options)
    variance = graph.node("Max", mean_square - mean * mean, 0.0)
    return graph.node("Reciprocal", graph.node("Sqrt", variance + eps))
