"""The ONNX nodes of SpatialPool."""

import numpy as np

from skscn._export.fitted_parameters import pooling_axes


def pooling(graph, x, layer):
    """Return the pooled maps of maps (n, channels, height, width)."""
    rows, columns, windows = pooling_axes(layer)
    if layer.mode != "max":
        x = graph.node("MatMul", x, columns.weights.T)
        x = graph.node("MatMul", rows.weights, x)
    elif windows is not None:
        sizes, strides = windows
        x = graph.node("MaxPool", x, kernel_shape=list(sizes), strides=list(strides))
    else:
        x = _max_over_windows(graph, x, columns, axis=3)
        x = _max_over_windows(graph, x, rows, axis=2)
    if layer.power == 1.0:
        return x
    magnitude = graph.abs(x)
    if layer.power == 0.5:
        magnitude = graph.node("Sqrt", magnitude)
    else:
        magnitude = graph.node("Pow", magnitude, layer.power)
    return graph.node("Sign", x) * magnitude


def _max_over_windows(graph, x, windows, axis):
    """Return maxima over windows of several sizes along one axis."""
    starts, ends = np.transpose(windows.windows)
    entries = [
        graph.node("Gather", x, np.minimum(starts + i, ends - 1), axis=axis)
        for i in range(max(ends - starts))
    ]
    return graph.node("Max", *entries)
