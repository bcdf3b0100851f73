"""The ONNX nodes of layers of images and of networks of them."""

import numpy as np

from skscn._export.onnx.convolution import convolution
from skscn._export.onnx.pooling import pooling
from skscn._images.convolution import ConvSparseCoder
from skscn._images.pooling import SpatialPool


def image_layer(graph, x, layer):
    """Return the output of a layer or a network.

    Parameters
    ----------
    graph : Graph
    x : Tensor of shape (n, channels, height, width)
    layer : ConvSparseCoder, SpatialPool or SparseCodingNetwork

    Returns
    -------
    maps : Tensor
        Of shape (n, n_maps, height, width), or rows if `layer.map_shape_` has one axis.
    """
    if isinstance(layer, ConvSparseCoder):
        return convolution(graph, x, layer)
    if isinstance(layer, SpatialPool):
        return pooling(graph, x, layer)
    layers = [each for _, each in layer.layers_]
    outputs: list = []
    for each in layers:
        outputs.append(image_layer(graph, x, each))
        if not layer._is_parallel:
            x = outputs[-1]
    if not layer._is_parallel:
        indices = layer._output_indices
        if not indices:
            return x
    elif len({each.map_shape_[:-1] for each in layers}) == 1:
        return graph.concatenate(outputs, axis=1)
    else:
        indices = range(len(layers))
    rows = [flatten_maps(graph, outputs[i], layers[i].map_shape_) for i in indices]
    return graph.concatenate(rows, axis=1)


def flatten_maps(graph, maps, map_shape):
    """Return maps as rows in the order of scikit-learn, channels last."""
    if len(map_shape) == 3:
        maps = graph.transpose(maps, 0, 2, 3, 1)
    return graph.reshape(maps, 0, int(np.prod(map_shape)))
