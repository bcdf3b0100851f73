"""The ONNX nodes of SpatialPool."""

import numpy as np

from skscn._export.fitted_parameters import pooling_parameters


def pooling(graph, x, layer):
    """Return the pooled maps of maps (n, channels, height, width)."""
    pool = pooling_parameters(layer)
    if not pool.is_max:
        x = graph.node("MatMul", x, pool.columns.weights.T)
        x = graph.node("MatMul", pool.rows.weights, x)
    elif pool.windows is not None:
        sizes, strides = pool.windows
        x = graph.node("MaxPool", x, kernel_shape=list(sizes), strides=list(strides))
    else:
        x = _max_over_windows(graph, x, pool.columns, axis=3)
        x = _max_over_windows(graph, x, pool.rows, axis=2)
    if pool.power == 1.0:
        return x
    magnitude = graph.abs(x)
    if pool.power == 0.5:
        magnitude = graph.node("Sqrt", magnitude)
    else:
        magnitude = graph.node("Pow", magnitude, pool.power)
    return graph.node("Sign", x) * magnitude


def _max_over_windows(graph, x, windows, axis):
    """Return maxima over windows of several sizes along one axis."""
    starts, ends = np.transpose(windows.windows)
    entries = [
        graph.node("Gather", x, np.minimum(starts + i, ends - 1), axis=axis)
        for i in range(max(ends - starts))
    ]
    return graph.node("Max", *entries)
