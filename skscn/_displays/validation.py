"""Checks of the arguments of displays."""

from numbers import Integral

import numpy as np


def check_positive_integer(name, value):
    """Raise an error if a number is not an integer of at least 1."""
    if not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name}={value!r} must be an integer of at least 1.")


def check_image_shape(image_shape, n_features, owner):
    """Return the shape of images that flat rows stand for.

    Parameters
    ----------
    image_shape : tuple of int
        (height, width) or (height, width, channels).
    n_features : int
        The number of entries of a row.
    owner : str
        What the rows are, for the error message.
    """
    is_sequence = isinstance(image_shape, tuple | list | np.ndarray)
    sizes = tuple(image_shape) if is_sequence else ()
    if len(sizes) not in (2, 3) or not all(
        isinstance(size, Integral) and int(size) > 0 for size in sizes
    ):
        raise ValueError(
            f"image_shape={image_shape!r} must be (height, width) or (height, width, "
            "channels)."
        )
    if np.prod(sizes) != n_features:
        raise ValueError(
            f"image_shape={sizes} has {np.prod(sizes)} entries, but {owner} have "
            f"{n_features}. Give a shape of {n_features} entries."
        )
    return sizes
