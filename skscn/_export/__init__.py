"""Fitted models as torch modules, as ONNX graphs and as skops files.

A fitted estimator comes in; a torch module, an ONNX graph or the list of types that
skops has to trust goes out. Open `fitted_parameters` first: it lists the arrays that
torch and ONNX need from every fitted step. `encoder_formulas` holds the maps from
projections to codes, which both evaluate. The packages `torch` and `onnx` mirror each
other: in each, `convolution` exports convolutions and `pooling` exports pooling.
"""
