"""What image transformers ask of shapes, and the errors that say so."""

from numbers import Integral

import numpy as np

from skscn._images.layers.patches import Geometry, same_padding


def check_image_shape(image_shape, n_features):
    """Return (height, width, channels) of flat rows; None is a signal, one row."""
    if image_shape is None:
        return (1, n_features, 1)
    shape = tuple(image_shape)
    whole = all(isinstance(size, int | np.integer) and size > 0 for size in shape)
    if len(shape) not in (2, 3) or not whole:
        raise ValueError(
            f"image_shape={image_shape} must be (height, width) or (height, width, "
            "channels), of positive integers."
        )
    if np.prod(shape) != n_features:
        raise ValueError(
            f"image_shape={image_shape} stands for {np.prod(shape)} numbers, but X has "
            f"n_features={n_features}."
        )
    shape = tuple(int(size) for size in shape)
    return shape if len(shape) == 3 else (*shape, 1)


def check_maps(shape, layer):
    """Return a shape of maps; a layer cannot read rows."""
    if len(shape) != 3:
        raise ValueError(
            f"{type(layer).__name__} reads maps, but the layers before it return rows "
            f"of {shape[0]} numbers, from maps of several sizes. Put it inside of each "
            "branch."
        )
    return shape


def check_pair(value, name, image_shape, least):
    """Return the two integers that a parameter stands for, of height and width.

    A single number holds for both; in images of one row it holds for the width, and
    the height has the least.
    """
    pair = (value, value) if isinstance(value, Integral) else tuple(value)
    if image_shape[0] == 1 and (isinstance(value, Integral) or len(pair) == 1):
        pair = (least, pair[-1])
    whole = all(isinstance(size, Integral) and size >= least for size in pair)
    if len(pair) != 2 or not whole:
        raise ValueError(
            f"{name}={value!r} must be one or two integers, of height and width, each "
            f"at least {least}."
        )
    return int(pair[0]), int(pair[1])


def check_geometry(kernel_size, stride, padding, image_shape):
    """Return where patches are in images of a shape."""
    kernel = check_pair(kernel_size, "kernel_size", image_shape, 1)
    stride = check_pair(stride, "stride", image_shape, 1)
    if padding == "same":
        sizes = zip(image_shape[:2], kernel, stride, strict=True)
        pads = tuple(same_padding(*axis) for axis in sizes)
    elif padding == "valid":
        pads = ((0, 0), (0, 0))
    else:
        pair = check_pair(padding, "padding", image_shape, 0)
        pads = tuple((pad, pad) for pad in pair)
    geometry = Geometry(image_shape, kernel, stride, pads)
    height, width, _ = geometry.padded_shape
    if height < kernel[0] or width < kernel[1]:
        raise ValueError(
            f"kernel_size={kernel} does not fit in images of height and width "
            f"{(height, width)}, padding included. Use a smaller kernel_size, or "
            "padding='same'."
        )
    return geometry


def check_n_atoms(n_components, geometry, centred):
    """Return the number of atoms; None stands for as many as patches have room for."""
    size = int(np.prod(geometry.patch_shape))
    most = size - 1 if centred else size
    if most == 0:
        raise ValueError(
            "Patches of one number whose mean is removed are all zero. Use "
            "center_patches=False, or a larger kernel_size."
        )
    if n_components is not None and n_components > most:
        signals = (
            " X was read as signals, images of one row: if its rows are images, give "
            "their image_shape."
        )
        raise ValueError(
            f"n_components={n_components} must be at most {most}: patches of {size} "
            f"numbers{', whose mean is removed,' if centred else ''} have no more "
            f"orthogonal directions. Use n_components={most} or less, a larger "
            "kernel_size, or several layers side by side."
            f"{signals if geometry.image_shape[0] == 1 else ''}"
        )
    return n_components or most
