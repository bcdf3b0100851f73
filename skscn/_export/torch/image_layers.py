"""Layers of images joined in torch: their layout, and the concatenation of outputs.

Maps between layers are (n_images, n_maps, height, width), as torch has them.
"""

import torch
from torch import nn


class ChannelsLast(nn.Module):
    """A layer of maps for images with their channels last and for rows.

    Parameters
    ----------
    layer : Module
    image_shape : tuple of int
        (height, width, channels).
    flatten : bool
        Whether rows are returned for images too.
    """

    def __init__(self, layer, image_shape, flatten):
        super().__init__()
        self.layer, self.image_shape, self.flatten = layer, image_shape, flatten

    def forward(self, x):
        """Return maps of shape (n, height, width, n_maps), or rows.

        Parameters
        ----------
        x : Tensor of shape (n, height, width, channels), (n, height, width) or \
                (n, height * width * channels)
        """
        if not is_traced():
            self._check(tuple(x.shape[1:]))
        images = x.reshape(x.shape[0], *self.image_shape).permute(0, 3, 1, 2)
        maps = self.layer(images)
        if x.ndim == 2 or self.flatten:
            return flatten_maps(maps)
        return maps.permute(0, 2, 3, 1) if maps.ndim == 4 else maps

    def _check(self, shape):
        """Raise an error for other shapes, whose pixels may have another order."""
        height, width, channels = self.image_shape
        allowed = [(height * width * channels,), (height, width, channels)]
        if channels == 1:
            allowed += [(height, width), (1, height, width)]
        if shape not in allowed:
            shapes = ", ".join(map(_batch_shape, allowed[:3]))
            raise ValueError(
                f"The network takes rows or images with their channels last, {shapes}, "
                f"not {_batch_shape(shape)}. For images with their channels first use "
                "x.permute(0, 2, 3, 1)."
            )

    def extra_repr(self):
        """Return the shape of images."""
        return f"image_shape={self.image_shape}"


class Parallel(nn.ModuleDict):
    """Layers with the same input, whose outputs are concatenated.

    Maps of one size are concatenated along the channels, others as rows.
    """

    def forward(self, x):
        """Return the concatenated outputs."""
        outputs = [layer(x) for layer in self.values()]
        if len({(maps.ndim, maps.shape[2:]) for maps in outputs}) > 1:
            outputs = [flatten_maps(maps) for maps in outputs]
        return torch.cat(outputs, dim=1)


class MultiOutputSequential(nn.Sequential):
    """Layers one after another. The outputs of several are concatenated as rows.

    Parameters
    ----------
    layers : OrderedDict of str to Module
    output_indices : list of int
    """

    def __init__(self, layers, output_indices):
        super().__init__(layers)
        self.output_indices = output_indices

    def forward(self, x):
        """Return the concatenated outputs."""
        outputs = []
        for i, layer in enumerate(self):
            x = layer(x)
            if i in self.output_indices:
                outputs.append(flatten_maps(x))
        return torch.cat(outputs, dim=1)


def flatten_maps(maps):
    """Return maps as rows in the order of scikit-learn, channels last."""
    return (maps.permute(0, 2, 3, 1) if maps.ndim == 4 else maps).flatten(1)


def is_traced():
    """Return whether torch records a graph, in which shapes cannot be compared."""
    return torch.jit.is_tracing()  # type: ignore[attr-defined]


def _batch_shape(shape):
    """Return the shape of a batch of samples as text."""
    return f"({', '.join(map(str, ('n', *shape)))})"
