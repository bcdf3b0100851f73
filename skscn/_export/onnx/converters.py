"""What skl2onnx asks of every estimator: the shapes of its outputs, and its nodes."""

import numpy as np
from onnx import TensorProto
from skl2onnx.common.data_types import (
    DoubleTensorType,
    FloatTensorType,
    Int64TensorType,
    StringTensorType,
)

from skscn._coders.non_negative import NonNegativeSparseCoder
from skscn._coders.orthogonal import OrthogonalSparseCoder
from skscn._export.fitted_layers import read_coder, read_conv, read_linear, read_pool
from skscn._export.onnx import graph as onnx_graph
from skscn._export.onnx.graph import Graph
from skscn._images.classification import FlooredScaler, StreamingRidgeClassifier
from skscn._images.convolution import ConvSparseCoder
from skscn._images.network import SparseCodingNetwork
from skscn._images.pooling import SpatialPool

CLASSIFIER_OPTIONS = {
    "zipmap": [True, False, "columns"],
    "output_class_labels": [False, True],
}


def input_dtype(operator):
    """Return the float type that a step computes in."""
    double = isinstance(operator.inputs[0].type, DoubleTensorType)
    return np.dtype(np.float64 if double else np.float32)


def set_output(operator, *shape):
    """Tell the shape of the output, for any number of samples."""
    kind = FloatTensorType if input_dtype(operator) == np.float32 else DoubleTensorType
    operator.outputs[0].type = kind([operator.inputs[0].get_first_dimension(), *shape])


def row_shapes(operator):
    """Tell the shape of what a transformer of rows returns."""
    step = operator.raw_operator
    n_features = getattr(step, "_n_features_out", step.n_features_in_)
    set_output(operator, n_features)


def image_shapes(operator):
    """Tell the shape of maps, or of their rows."""
    shape = operator.raw_operator.map_shape_
    if returns_rows(operator):
        shape = (int(np.prod(shape)),)
    set_output(operator, *shape)


def classifier_shapes(operator):
    """Tell the shapes of labels and scores."""
    classes = operator.raw_operator.classes_
    n_samples = operator.inputs[0].get_first_dimension()
    text = classes.dtype.kind in "OU"
    kind = StringTensorType if text else Int64TensorType
    operator.outputs[0].type = kind([n_samples])
    double = input_dtype(operator) == np.float64
    kind = DoubleTensorType if double else FloatTensorType
    n_scores = 1 if len(classes) == 2 else len(classes)
    operator.outputs[1].type = kind([n_samples, n_scores])


def returns_rows(operator):
    """Return whether a layer returns rows for this input."""
    flat = len(operator.inputs[0].type.shape) == 2
    return flat or operator.raw_operator._flattens


def convert_coder(scope, operator, container):
    """Add the nodes of a coder of rows."""
    graph = Graph(scope, container, input_dtype(operator))
    x = graph.cast(operator.inputs[0].full_name)
    codes = onnx_graph.dense(graph, x, read_coder(operator.raw_operator))
    graph.output(codes, operator.outputs[0].full_name)


def convert_images(scope, operator, container):
    """Add the nodes of layers of images, which compute in single precision.

    ONNX Runtime convolves nothing else.
    """
    layer = operator.raw_operator
    graph = Graph(scope, container, np.float32)
    height, width, channels = layer.image_shape_
    x = graph.cast(operator.inputs[0].full_name)
    x = graph.reshape(x, -1, height, width, channels)
    x = graph.node("Transpose", x, perm=[0, 3, 1, 2])
    x, shape = _layer(graph, x, layer)
    if returns_rows(operator):
        x = onnx_graph.rows(graph, x, shape)
    elif len(shape) == 3:
        x = graph.node("Transpose", x, perm=[0, 2, 3, 1])
    x = graph.cast(x, input_dtype(operator))
    graph.output(x, operator.outputs[0].full_name)


def convert_scaler(scope, operator, container):
    """Add the nodes of a scaler."""
    scaler = operator.raw_operator
    graph = Graph(scope, container, input_dtype(operator))
    x = graph.cast(operator.inputs[0].full_name)
    if scaler.with_mean:
        x = graph.node("Sub", x, scaler.mean_)
    if scaler.with_std:
        x = graph.node("Div", x, scaler.scale_)
    graph.output(x, operator.outputs[0].full_name)


def convert_classifier(scope, operator, container):
    """Add the nodes of a classifier without probabilities: labels, and scores."""
    classifier = operator.raw_operator
    linear = read_linear(classifier)
    graph = Graph(scope, container, input_dtype(operator))
    x = graph.cast(operator.inputs[0].full_name)
    scores = graph.node("MatMul", x, linear.coef.T)
    scores = graph.node("Add", scores, linear.intercept)
    if len(linear.coef) == 1:
        best = graph.node("Greater", graph.reshape(scores, -1), 0.0)
        best = graph.node("Cast", best, to=TensorProto.INT64)
    else:
        best = graph.node("ArgMax", scores, axis=1, keepdims=0)
    labels = classifier.classes_
    if labels.dtype.kind in "OU":
        name = scope.get_unique_variable_name("classes")
        texts = [str(label).encode() for label in labels]
        container.add_initializer(name, TensorProto.STRING, [len(texts)], texts)
    else:
        name = graph.constant(labels.astype(np.int64))
    label = graph.node("Gather", name, best, axis=0)
    graph.output(label, operator.outputs[0].full_name)
    graph.output(scores, operator.outputs[1].full_name)


# Of every estimator: the shapes of its outputs, its nodes, and options of skl2onnx.
CONVERTERS: dict = {
    OrthogonalSparseCoder: (row_shapes, convert_coder, None),
    NonNegativeSparseCoder: (row_shapes, convert_coder, None),
    ConvSparseCoder: (image_shapes, convert_images, None),
    SpatialPool: (image_shapes, convert_images, None),
    SparseCodingNetwork: (image_shapes, convert_images, None),
    FlooredScaler: (row_shapes, convert_scaler, None),
    StreamingRidgeClassifier: (
        classifier_shapes,
        convert_classifier,
        CLASSIFIER_OPTIONS,
    ),
}


def _layer(graph, x, layer):
    """Return what a layer makes of maps, and its shape in the order of scikit-learn."""
    if isinstance(layer, ConvSparseCoder):
        return onnx_graph.conv(graph, x, read_conv(layer)), layer.map_shape_
    if isinstance(layer, SpatialPool):
        return onnx_graph.pool(graph, x, read_pool(layer)), layer.map_shape_
    if layer.arrangement == "parallel":
        parts = [_layer(graph, x, part) for _, part in layer.layers_]
        return _joined(graph, parts), layer.map_shape_
    parts, collected = [], layer._collected()
    for _, part in layer.layers_:
        x, shape = _layer(graph, x, part)
        parts.append((x, shape))
    if collected:
        flat = [onnx_graph.rows(graph, *parts[i]) for i in collected]
        x = graph.node("Concat", *flat, axis=1)
    return x, layer.map_shape_


def _joined(graph, parts):
    """Return maps of one size joined along their channels, others as rows."""
    outputs = [x for x, _ in parts]
    if len({shape[:-1] for _, shape in parts}) > 1:
        outputs = [onnx_graph.rows(graph, x, shape) for x, shape in parts]
    return graph.node("Concat", *outputs, axis=1)
