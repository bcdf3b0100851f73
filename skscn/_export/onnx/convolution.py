"""The ONNX nodes of ConvSparseCoder."""

import numpy as np

from skscn._export.encoder_formulas import encode
from skscn._export.fitted_parameters import convolution_parameters
from skscn._images.layers.correlation import have_zero_sums


def convolution(graph, x, layer):
    """Return the codes of every patch of images (n, channels, height, width)."""
    conv = convolution_parameters(layer)
    n_components, grid_shape = len(conv.encoder.bias), conv.grid_shape
    (top, bottom), (left, right) = conv.padding
    if any((top, bottom, left, right)):
        pads = np.array([0, 0, top, left, 0, 0, bottom, right])
        x = graph.node("Pad", x, pads, mode="edge")
    options = {
        "kernel_shape": list(conv.weight.shape[2:]),
        "strides": list(conv.stride),
        "group": conv.n_groups,
    }
    if conv.contrast_eps is None:
        u = graph.node("Conv", x, conv.weight, conv.bias, **options)
        u = graph.reshape(u, 0, conv.n_groups, n_components, *grid_shape)
    else:
        centered = _subtract_level(graph, x, conv)
        x = centered if have_zero_sums(conv.weight) else x
        u = graph.node("Conv", x, conv.weight, **options)
        u = graph.reshape(u, 0, conv.n_groups, n_components, *grid_shape)
        scale = _inverse_contrast(graph, centered, conv)
        u = u * graph.reshape(scale, 0, conv.n_groups, 1, *grid_shape)
        u = u + conv.bias.reshape(conv.n_groups, n_components, 1, 1)
    if conv.split_sign:
        u = graph.reshape(u, 0, conv.n_groups, 1, n_components, *grid_shape)
        u = graph.concatenate([u, -u], axis=2)
    codes = encode(graph, u, conv.encoder, lambda values: values[:, None, None])
    return graph.reshape(codes, 0, -1, *grid_shape)


def _subtract_level(graph, x, conv):
    """Subtract from every group of channels its mean, which keeps more digits."""
    n_channels, (height, width) = conv.weight.shape[1], conv.padded_shape
    x = graph.reshape(x, 0, conv.n_groups, n_channels * height, width)
    x = x - graph.node("GlobalAveragePool", x)
    return graph.reshape(x, 0, conv.n_groups * n_channels, height, width)


def _inverse_contrast(graph, x, conv):
    """Return 1 / √(variance + eps) of the patches of padded images, for every group.

    The variance is computed one axis at a time by the law of total variance, as in
    `skscn._images.layers.contrast`.
    """
    n_channels, height, width = conv.weight.shape[1:]
    down, right = conv.stride
    mean, variance = x, None
    for kernel, strides in (
        ((n_channels, 1, 1), [1, 1]),
        ((1, 1, width), [1, right]),
        ((1, height, 1), [down, 1]),
    ):
        mean, variance = _moments_of_windows(
            graph, mean, variance, conv.n_groups, kernel, strides
        )
    return graph.node("Reciprocal", graph.node("Sqrt", variance + conv.contrast_eps))


def _moments_of_windows(graph, mean, variance, n_groups, kernel, strides):
    """Return mean and variance of windows of one axis, of every group of channels.

    The variance is that of the values that each entry of `mean` stands for, or None
    where it stands for itself.
    """
    size = int(np.prod(kernel))

    def convolve(x, weight, strides=(1, 1)):
        weight = np.tile(weight, (n_groups, 1, 1, 1))
        options = {"kernel_shape": weight.shape[2:], "strides": list(strides)}
        return graph.node("Conv", x, weight, group=n_groups, **options)

    averaging = np.full((1, *kernel), 1 / size)
    centering = np.eye(size).reshape(size, *kernel) - averaging
    deviations = convolve(mean, centering, strides)
    variance_of_means = convolve(
        deviations * deviations, np.full((1, size, 1, 1), 1 / size)
    )
    mean_of_windows = convolve(mean, averaging, strides)
    if variance is None:
        return mean_of_windows, variance_of_means
    return mean_of_windows, convolve(variance, averaging, strides) + variance_of_means
