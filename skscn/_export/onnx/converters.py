"""The functions that skl2onnx calls for every estimator: output shapes and nodes."""

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
from skscn._export.encoder_formulas import encode, rank_codes
from skscn._export.fitted_parameters import (
    encoder_parameters,
    linear_parameters,
    scaling_parameters,
)
from skscn._export.onnx.graph import Graph
from skscn._export.onnx.network import flatten_maps, image_layer
from skscn._images.classification import StreamingRidgeClassifier
from skscn._images.convolution import ConvSparseCoder
from skscn._images.network import SparseCodingNetwork
from skscn._images.pooling import SpatialPool
from skscn._images.scaler import FlooredScaler

CLASSIFIER_OPTIONS = {
    "zipmap": [True, False, "columns"],
    "output_class_labels": [False, True],
}


def input_dtype(operator):
    """Return the float type that a step computes in."""
    is_double = isinstance(operator.inputs[0].type, DoubleTensorType)
    return np.dtype(np.float64 if is_double else np.float32)


def returns_rows(operator):
    """Return whether a layer of images returns rows for this input."""
    has_rows = len(operator.inputs[0].type.shape) == 2
    return has_rows or operator.raw_operator._returns_rows


def set_output_shape(operator, index, *shape):
    """Set the type and the shape of an output, for any number of samples."""
    Type = FloatTensorType if input_dtype(operator) == np.float32 else DoubleTensorType
    n_samples = operator.inputs[0].get_first_dimension()
    operator.outputs[index].type = Type([n_samples, *shape])


def set_row_shape(operator):
    """Set the shape of the output of a transformer of rows."""
    step = operator.raw_operator
    n_features = getattr(step, "_n_features_out", step.n_features_in_)
    set_output_shape(operator, 0, n_features)


def set_image_shape(operator):
    """Set the shape of maps, or of their rows."""
    shape = operator.raw_operator.map_shape_
    if returns_rows(operator):
        shape = (int(np.prod(shape)),)
    set_output_shape(operator, 0, *shape)


def set_classifier_shapes(operator):
    """Set the shapes of labels and scores."""
    classes = operator.raw_operator.classes_
    Type = StringTensorType if classes.dtype.kind in "OU" else Int64TensorType
    operator.outputs[0].type = Type([operator.inputs[0].get_first_dimension()])
    set_output_shape(operator, 1, 1 if len(classes) == 2 else len(classes))


def convert_coder(scope, operator, container):
    """Add the nodes of a coder of rows."""
    coder = operator.raw_operator
    graph = Graph(scope, container, input_dtype(operator))
    x = graph.input(operator.inputs[0])
    if coder.mean_.any():
        x = x - coder.mean_
    u = graph.node("MatMul", x, coder.components_.T)
    encoder = encoder_parameters(coder)
    codes = encode(graph, u, encoder, broadcast=np.asarray)
    if encoder.n_nonzero is not None and encoder.n_nonzero < len(coder.components_):
        ranks = rank_codes(graph, codes, encoder)
        codes = graph.keep_largest(codes, ranks, encoder.n_nonzero)
    if encoder.split_sign:
        codes = graph.concatenate([graph.relu(codes), graph.relu(-codes)], axis=1)
    graph.output(codes, operator.outputs[0])


def convert_images(scope, operator, container):
    """Add the nodes of a layer of images, which compute in single precision.

    ONNX Runtime has no convolution in double precision.
    """
    layer = operator.raw_operator
    graph = Graph(scope, container, np.float32)
    x = graph.input(operator.inputs[0])
    x = graph.reshape(x, -1, *layer.image_shape_)
    maps = image_layer(graph, graph.transpose(x, 0, 3, 1, 2), layer)
    if returns_rows(operator):
        maps = flatten_maps(graph, maps, layer.map_shape_)
    elif len(layer.map_shape_) == 3:
        maps = graph.transpose(maps, 0, 2, 3, 1)
    graph.output(graph.cast(maps, input_dtype(operator)), operator.outputs[0])


def convert_scaler(scope, operator, container):
    """Add the nodes of a FlooredScaler."""
    graph = Graph(scope, container, input_dtype(operator))
    mean, scale = scaling_parameters(operator.raw_operator)
    x = (graph.input(operator.inputs[0]) - mean) / scale
    graph.output(x, operator.outputs[0])


def convert_classifier(scope, operator, container):
    """Add the nodes of a classifier without probabilities: labels and scores."""
    classes = operator.raw_operator.classes_
    coef, intercept = linear_parameters(operator.raw_operator)
    graph = Graph(scope, container, input_dtype(operator))
    scores = graph.node("MatMul", graph.input(operator.inputs[0]), coef.T) + intercept
    if len(coef) == 1:
        index = graph.node(
            "Cast", graph.reshape(scores, -1) > 0.0, to=TensorProto.INT64
        )
    else:
        index = graph.node("ArgMax", scores, axis=1, keepdims=0)
    labels = classes if classes.dtype.kind in "OU" else classes.astype(np.int64)
    graph.output(graph.node("Gather", labels, index, axis=0), operator.outputs[0])
    graph.output(scores, operator.outputs[1])


# For every estimator: the function that sets output shapes, the function that adds
# nodes, and the options of skl2onnx.
CONVERTERS: dict = {
    OrthogonalSparseCoder: (set_row_shape, convert_coder, None),
    NonNegativeSparseCoder: (set_row_shape, convert_coder, None),
    ConvSparseCoder: (set_image_shape, convert_images, None),
    SpatialPool: (set_image_shape, convert_images, None),
    SparseCodingNetwork: (set_image_shape, convert_images, None),
    FlooredScaler: (set_row_shape, convert_scaler, None),
    StreamingRidgeClassifier: (
        set_classifier_shapes,
        convert_classifier,
        CLASSIFIER_OPTIONS,
    ),
}
