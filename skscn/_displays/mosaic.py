"""Atoms side by side in one image."""

import numpy as np

GAP_PIXELS = 1  # between neighboring atoms


def mosaic(atoms, n_columns=None):
    """Return one image of all atoms, each divided by its largest absolute value.

    Parameters
    ----------
    atoms : ndarray of shape (n_atoms, height, width) or \
            (n_atoms, height, width, channels)
    n_columns : int, default=None
        Number of atoms in a row. None makes the image nearly square.

    Returns
    -------
    image : ndarray of shape (image_height, image_width) or \
            (image_height, image_width, channels)
        Values from −1 to 1, and NaN between atoms.
    """
    n_atoms, height, width = atoms.shape[:3]
    if n_columns is None:
        n_columns = int(np.ceil(np.sqrt(n_atoms * height / width)))
    n_rows = -(-n_atoms // n_columns)
    row_step, column_step = height + GAP_PIXELS, width + GAP_PIXELS
    shape = (n_rows * row_step - GAP_PIXELS, n_columns * column_step - GAP_PIXELS)
    image = np.full((*shape, *atoms.shape[3:]), np.nan)
    for i, atom in enumerate(atoms):
        top, left = row_step * (i // n_columns), column_step * (i % n_columns)
        scaled = atom / (np.abs(atom).max() or 1.0)
        image[top : top + height, left : left + width] = scaled
    return image
