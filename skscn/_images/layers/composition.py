"""Layers made of layers: one after another, or side by side on the same images."""

import numpy as np

from skscn._core.workspace import Workspace
from skscn._images.layers.base import Convolution, Layer


class Stack(Layer):
    """Layers one after another.

    Where what follows a convolution works map by map, the codes go into it piece by
    piece, and its maps are never stored side by side.

    Parameters
    ----------
    layers : list of Layer
    dtype : dtype of the maps
    collected : sequence of int, default=()
        Whose outputs are returned as rows, side by side; empty for that of the last.
    """

    def __init__(self, layers, dtype, collected=()):
        self.layers, self.dtype = layers, dtype
        self.in_shape, self.out_shape = layers[0].in_shape, layers[-1].out_shape
        self.columns = {}
        if collected:
            sizes = [int(np.prod(layers[i].out_shape)) for i in collected]
            self.columns = dict(zip(collected, _slices(sizes), strict=True))
            self.out_shape = (sum(sizes),)
        self.image_size = max(layer.image_size for layer in layers)

    def __call__(self, images, out, scratch):
        """Write the maps of the last layer, or of those collected, into out."""
        parts = None
        for i, layer in enumerate(self.layers):
            own = scratch.child(i)
            if self._in_parts(i):
                parts = layer.parts(images, own)
                continue
            if i == len(self.layers) - 1 and not self.columns:
                maps = out
            else:
                maps = own.array("out", (len(images), *layer.out_shape), self.dtype)
            if parts is None:
                layer(images, maps, own)
            else:
                for part, codes in parts:
                    layer(codes, maps[..., part], own)
                parts = None
            if i in self.columns:
                out[:, self.columns[i]] = maps.reshape(len(images), -1)
            images = maps

    def invert(self, maps, images=None):
        """Return what the maps say of the images, through all layers."""
        last = len(self.layers)
        if self.columns:
            last, columns = list(self.columns.items())[-1]
            maps = maps[:, columns].reshape(-1, *self.layers[last].out_shape)
            last += 1
        below = [images]
        if images is not None:
            for layer in self.layers[: last - 1]:
                above = np.empty((len(images), *layer.out_shape), dtype=self.dtype)
                layer(below[-1], above, Workspace())
                below.append(above)
        else:
            below *= last
        for layer, known in zip(self.layers[last - 1 :: -1], below[::-1], strict=True):
            maps = layer.invert(maps, known)
        return maps

    def _in_parts(self, i):
        layer, after = self.layers[i], self.layers[i + 1 : i + 2]
        return (
            isinstance(layer, Convolution)
            and any(layer.map_by_map for layer in after)
            and i not in self.columns
        )


class SideBySide(Layer):
    """Layers that read the same images.

    Their maps are joined along the channels where all are of one size, else as rows.

    Parameters
    ----------
    layers : list of Layer
    dtype : dtype of the maps
    """

    def __init__(self, layers, dtype):
        self.layers, self.dtype = layers, dtype
        self.in_shape = layers[0].in_shape
        self.sizes, self.out_shape = joined([layer.out_shape for layer in layers])
        self.as_maps = self.out_shape[:-1] == layers[0].out_shape[:-1]
        self.places = _slices(self.sizes)
        self.image_size = max(layer.image_size for layer in layers)

    def __call__(self, images, out, scratch):
        """Write the maps of all layers into out."""
        for i, (layer, place) in enumerate(zip(self.layers, self.places, strict=True)):
            own = scratch.child(i)
            if self.as_maps:
                layer(images, out[..., place], own)
            else:
                maps = own.array("out", (len(images), *layer.out_shape), self.dtype)
                layer(images, maps, own)
                out[:, place] = maps.reshape(len(images), -1)

    def invert(self, maps, images=None):
        """Return the mean of what the maps of each layer say of the images."""
        total = 0
        for layer, place in zip(self.layers, self.places, strict=True):
            own = maps[..., place].reshape(len(maps), *layer.out_shape)
            total = total + layer.invert(own, images)
        return total / maps.dtype.type(len(self.layers))


def joined(shapes):
    """Return how long pieces of these shapes are along the last axis of all, joined.

    Maps of one height and width are joined along their channels, others as rows.
    """
    if len({shape[:-1] for shape in shapes}) == 1:
        sizes = [shape[-1] for shape in shapes]
        return sizes, (*shapes[0][:-1], sum(sizes))
    sizes = [int(np.prod(shape)) for shape in shapes]
    return sizes, (sum(sizes),)


def _slices(sizes):
    ends = np.cumsum(sizes).tolist()
    return [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]
