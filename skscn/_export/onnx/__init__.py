"""Fitted models as ONNX graphs, by converters for skl2onnx.

A fitted estimator or Pipeline comes in and an `onnx.ModelProto` goes out. Open `export`
first, which holds `to_onnx`; then `converters`, the table of what skl2onnx calls for
every estimator. `graph` adds nodes to a graph; `convolution`, `pooling` and `network`
are written with it. Only `export` can be imported without skl2onnx.
"""
