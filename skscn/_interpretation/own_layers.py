"""Layers of this package as operations on arrays."""

from dataclasses import dataclass

import numpy as np

from skscn._coders.non_negative import NonNegativeSparseCoder
from skscn._core.workspace import WorkspacePool
from skscn._images.convolution import ConvSparseCoder
from skscn._images.layers.base import Layer, compute_maps
from skscn._images.network import SparseCodingNetwork
from skscn._images.pooling import SpatialPool
from skscn._interpretation.operations import Operation, Units

OWN = NonNegativeSparseCoder | ConvSparseCoder | SparseCodingNetwork


@dataclass(frozen=True, eq=False)
class Pooled(Operation):
    """A pool of this package.

    Parameters
    ----------
    layer : Layer
    """

    layer: Layer

    def __call__(self, samples):
        return compute_maps(
            samples,
            None,
            layer=self.layer,
            dtype=samples.dtype,
            workspaces=WorkspacePool(),
        )

    def out_shape(self, shape):
        return self.layer.out_shape


def read_own(model):
    """Return the operations of a fitted coder, layer or stack, and of what shape X is.

    Returns
    -------
    operations : tuple of Operation
    image_shape : tuple of int or None
        (height, width, channels), or None for rows.
    """
    if isinstance(model, NonNegativeSparseCoder):
        return (_coder(model),), None
    return tuple(_layers(type(model).__name__, model)), model.image_shape_


def _coder(model):
    if model.prior != "exponential" or model.inference != "map":
        raise ValueError(
            f"{type(model).__name__} has prior={model.prior!r} and inference="
            f"{model.inference!r}: its code is no ReLU. With 'exponential' and 'map' "
            "it is."
        )
    bias = -model.alpha_ - model.components_ @ model.mean_
    return Units(model.components_, bias, "coder", rectified=True, source=0)


def _layers(name, layer):
    if isinstance(layer, SpatialPool):
        yield Pooled(layer._fitted_layer(np.float64))
    elif isinstance(layer, ConvSparseCoder):
        yield _convolution(name, layer)
    elif layer.arrangement == "stack" and layer.outputs == "last":
        for part, inner in layer.layers_:
            yield from _layers(part, inner)
    else:
        raise ValueError(
            f"{name} has arrangement={layer.arrangement!r} and outputs="
            f"{layer.outputs!r}: only a stack that returns its last layer is one layer "
            "after another. Read its branches one by one."
        )


def _convolution(name, layer):
    if layer.prior != "exponential" or layer.depthwise or layer.eps_:
        raise ValueError(
            f"{name} has prior={layer.prior!r}, depthwise={layer.depthwise} and "
            f"contrast={layer.contrast}: its code is no ReLU of one product with "
            "filters. With 'exponential', False and None it is."
        )
    grid = layer._fitted.settings.grid
    return Units(
        weight=layer.filters_.reshape(len(layer.filters_), -1),
        bias=layer.bias_,
        name=name,
        rectified=True,
        kernel=grid.kernel,
        stride=grid.stride,
        padding=grid.padding,
        source=name,
    )
