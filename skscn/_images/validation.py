"""Checks of what image layers, scalers and classifiers are given, and their errors."""

from functools import wraps

import numpy as np

from skscn._data.inputs import check_numpy_input, load_in_memory
from skscn._data.validation import check_sides
from skscn._images.layers.patches import PatchGrid, same_padding


def check_image_shape(image_shape, n_features):
    """Return (height, width, channels) of flat rows. None means a signal, one row."""
    if image_shape is None:
        return (1, n_features, 1)
    shape = tuple(image_shape)
    are_sizes = all(isinstance(size, int | np.integer) and size > 0 for size in shape)
    if len(shape) not in (2, 3) or not are_sizes:
        raise ValueError(
            f"image_shape={image_shape} must be (height, width) or (height, width, "
            "channels), with positive integers."
        )
    if np.prod(shape) != n_features:
        raise ValueError(
            f"image_shape={image_shape} has {np.prod(shape)} values, but X has "
            f"n_features={n_features}."
        )
    shape = tuple(int(size) for size in shape)
    return shape if len(shape) == 3 else (*shape, 1)


def check_map_shape(shape, layer):
    """Return the shape of the maps that a layer reads. Raise if they are rows."""
    if len(shape) != 3:
        raise ValueError(
            f"{type(layer).__name__} reads maps, but the layer before it returns rows "
            f"of {shape[0]} numbers, from maps of several sizes. Put the layer inside "
            "each branch."
        )
    return shape


def check_pair(value, name, image_height, minimum=1):
    """Return a parameter as two integers, for the height and the width.

    One number is used for both. In images of one row it is used for the width, and the
    height is `minimum`.
    """
    height, width = check_sides(value, name, 2, minimum)
    if image_height == 1 and not np.ndim(value):
        height = minimum
    return height, width


def check_patch_grid(kernel_size, stride, padding, image_shape):
    """Return the `PatchGrid` of parameters of a convolution."""
    height = image_shape[0]
    kernel = check_pair(kernel_size, "kernel_size", height)
    stride = check_pair(stride, "stride", height)
    if padding == "same":
        sizes = zip(image_shape[:2], kernel, stride, strict=True)
        padding = tuple(same_padding(*axis) for axis in sizes)
    elif padding == "valid":
        padding = ((0, 0), (0, 0))
    else:
        pair = check_pair(padding, "padding", height, minimum=0)
        padding = tuple((size, size) for size in pair)
    grid = PatchGrid(image_shape, kernel, stride, padding)
    if min(grid.grid_shape) < 1:
        raise ValueError(
            f"kernel_size={kernel} does not fit in images of height and width "
            f"{grid.padded_shape[:2]}, padding included. Use a smaller kernel_size, or "
            "padding='same'."
        )
    return grid


def check_n_atoms(n_components, grid, center):
    """Return the number of atoms. None means the largest number that is possible."""
    patch_size = int(np.prod(grid.patch_shape))
    max_atoms = patch_size - 1 if center else patch_size
    if max_atoms == 0:
        raise ValueError(
            f"kernel_size={grid.kernel} gives patches of 1 number, and "
            "center_patches=True subtracts their mean: they are all zero. Use "
            "center_patches=False, or a larger kernel_size."
        )
    if n_components is not None and n_components > max_atoms:
        signals = (
            " X was read as signals, images of one row: if its rows are images, give "
            "their image_shape."
        )
        raise ValueError(
            f"n_components={n_components} must be at most {max_atoms}: patches of "
            f"{patch_size} numbers{', whose mean is subtracted,' if center else ''} "
            "have no more orthogonal directions. Use n_components="
            f"{max_atoms} or less, a larger kernel_size, or several layers in parallel."
            f"{signals if grid.image_shape[0] == 1 else ''}"
        )
    return n_components or max_atoms


def in_memory(method):
    """Decorate a method that reads features in memory: others are loaded first.

    Tensors are refused.
    """

    @wraps(method)
    def call(estimator, X, *args, **kwargs):
        check_numpy_input(X, "Scalers and classifiers of features")
        return method(estimator, load_in_memory(X), *args, **kwargs)

    return call
