"""Networks and ONNX Runtime for tests of exports to ONNX."""

import pytest

from skscn import ConvSparseCoder, SparseCodingNetwork, SpatialPool

onnxruntime = pytest.importorskip("onnxruntime")


def deep_network(outputs="last", arrangement="stack"):
    deep = SparseCodingNetwork(
        [
            ("conv1", ConvSparseCoder(5, kernel_size=3, contrast=0.1, random_state=0)),
            ("pool1", SpatialPool("max")),
            ("conv2", ConvSparseCoder(6, kernel_size=3, depthwise=True)),
            ("pool2", SpatialPool(grid=2)),
        ],
        outputs=outputs,
        image_shape=(8, 8),
    )
    if arrangement == "stack":
        return deep
    layers = [("deep", deep.set_params(image_shape=None)), ("flat", SpatialPool())]
    return SparseCodingNetwork(layers, arrangement="parallel", image_shape=(8, 8))


def run(graph, X):
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {session.get_inputs()[0].name: X})
