"""Layers of layers: one after the other, or in parallel on the same images."""

import numpy as np

from skscn._core.workspace import Workspace
from skscn._images.layers.base import Layer
from skscn._images.layers.convolution import Convolution


class Stack(Layer):
    """Layers one after the other.

    A convolution and a channelwise layer after it are fused: the second layer reads
    the codes of one group at a time, and all maps of the first never exist together.

    Parameters
    ----------
    layers : list of Layer
    dtype : dtype of the maps
    outputs : sequence of int, default=()
        Indices of the layers whose maps are returned as rows, concatenated. If empty,
        the maps of the last layer are returned.
    """

    def __init__(self, layers, dtype, outputs=()):
        self.layers, self.dtype = layers, dtype
        self.in_shape, self.out_shape = layers[0].in_shape, layers[-1].out_shape
        self.columns = {}
        if outputs:
            sizes = [int(np.prod(layers[i].out_shape)) for i in outputs]
            self.columns = dict(zip(outputs, _consecutive_slices(sizes), strict=True))
            self.out_shape = (sum(sizes),)
        self.values_per_image = max(layer.values_per_image for layer in layers)

    def __call__(self, images, out, workspace):
        """Write the maps of the last layer, or of the output layers, to `out`."""
        codes_of_groups = None
        for i, layer in enumerate(self.layers):
            own = workspace.child(i)
            if self._is_fused_with_next(i):
                codes_of_groups = layer.iter_codes(images, own)
                continue
            if i == len(self.layers) - 1 and not self.columns:
                maps = out
            else:
                maps = own.array("out", (len(images), *layer.out_shape), self.dtype)
            if codes_of_groups is None:
                layer(images, maps, own)
            else:
                for channels, codes in codes_of_groups:
                    layer(codes, maps[..., channels], own)
                codes_of_groups = None
            if i in self.columns:
                out[:, self.columns[i]] = maps.reshape(len(images), -1)
            images = maps

    def reconstruct(self, maps, images=None):
        """Return images reconstructed from maps, layer by layer from the last."""
        n_layers = len(self.layers)
        if self.columns:
            last, columns = list(self.columns.items())[-1]
            maps = maps[:, columns].reshape(-1, *self.layers[last].out_shape)
            n_layers = last + 1
        inputs = [images] * n_layers
        if images is not None:
            for i, layer in enumerate(self.layers[: n_layers - 1]):
                inputs[i + 1] = np.empty((len(images), *layer.out_shape), self.dtype)
                layer(inputs[i], inputs[i + 1], Workspace())
        for layer, layer_input in zip(
            self.layers[n_layers - 1 :: -1], inputs[::-1], strict=True
        ):
            maps = layer.reconstruct(maps, layer_input)
        return maps

    def _is_fused_with_next(self, i):
        layer, following = self.layers[i], self.layers[i + 1 : i + 2]
        return (
            isinstance(layer, Convolution)
            and any(layer.is_channelwise for layer in following)
            and i not in self.columns
        )


class Parallel(Layer):
    """Layers that read the same images.

    Their maps are concatenated along the channels if all have one height and width,
    and as rows otherwise.

    Parameters
    ----------
    layers : list of Layer
    dtype : dtype of the maps
    """

    def __init__(self, layers, dtype):
        self.layers, self.dtype = layers, dtype
        self.in_shape = layers[0].in_shape
        shapes = [layer.out_shape for layer in layers]
        sizes, self.out_shape = concatenated_shape(shapes)
        self.returns_maps = self.out_shape[:-1] == shapes[0][:-1]
        self.slices = _consecutive_slices(sizes)
        self.values_per_image = max(layer.values_per_image for layer in layers)

    def __call__(self, images, out, workspace):
        """Write the maps of all layers to `out`."""
        for i, (layer, part) in enumerate(zip(self.layers, self.slices, strict=True)):
            own = workspace.child(i)
            if self.returns_maps:
                layer(images, out[..., part], own)
            else:
                maps = own.array("out", (len(images), *layer.out_shape), self.dtype)
                layer(images, maps, own)
                out[:, part] = maps.reshape(len(images), -1)

    def reconstruct(self, maps, images=None):
        """Return the mean of the images that are reconstructed by each layer."""
        total = 0
        for layer, part in zip(self.layers, self.slices, strict=True):
            own = maps[..., part].reshape(len(maps), *layer.out_shape)
            total = total + layer.reconstruct(own, images)
        return total / maps.dtype.type(len(self.layers))


def concatenated_shape(shapes):
    """Return the sizes of maps along the axis of concatenation, and the joint shape.

    Maps of one height and width are concatenated along the channels, others as rows.
    """
    if len({shape[:-1] for shape in shapes}) == 1:
        sizes = [shape[-1] for shape in shapes]
        return sizes, (*shapes[0][:-1], sum(sizes))
    sizes = [int(np.prod(shape)) for shape in shapes]
    return sizes, (sum(sizes),)


def _consecutive_slices(sizes):
    ends = np.cumsum(sizes).tolist()
    return [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]
