"""Random samples of patches from many images."""

import numpy as np

from skscn._core.workspace import Workspace
from skscn._images.layers.patches import extract_patches, pad_images

PATCHES_PER_IMAGE = 8  # more are taken from an image only where there are few images
# Positions in an image up to which a sample has no patch twice. In larger images
# repetitions are rare, and drawing without them would cost more.
MAX_POSITIONS_WITHOUT_REPLACEMENT = 1024
BATCH_VALUES = 2**22  # pixel values of the images that are loaded at a time


def sample_patches(load_images, n_images, grid, n_patches, dtype, random_state):
    """Return patches at random positions of random images, in the order of the images.

    All patches are returned if there are at most `n_patches`.

    Parameters
    ----------
    load_images : callable
        Maps sorted indices to images of shape (n_indices, height, width, channels).
    n_images : int
    grid : PatchGrid
    n_patches : int
    dtype : dtype of the patches
    random_state : RandomState instance

    Returns
    -------
    patches : ndarray of shape (at most n_patches, *patch_shape)
    """
    indices, positions = _draw_positions(
        n_images, grid.n_positions, n_patches, random_state
    )
    patches = np.empty((*positions.shape, *grid.patch_shape), dtype=dtype)
    workspace = Workspace()
    batch_size = max(1, BATCH_VALUES // int(np.prod(grid.padded_shape)))
    for start in range(0, len(indices), batch_size):
        batch = slice(start, start + batch_size)
        images = load_images(indices[batch])
        images = pad_images(images, grid, dtype, workspace, edge=True)
        image_indices = np.arange(len(images))[:, None]
        rows, columns = np.unravel_index(positions[batch], grid.grid_shape)
        patches[batch] = extract_patches(images, grid)[image_indices, rows, columns]
    return patches.reshape(-1, *grid.patch_shape)[:n_patches]


def _draw_positions(n_images, n_positions, n_patches, random_state):
    """Return sorted indices of images, and the positions in each of them."""
    if n_images * n_positions <= n_patches:
        return np.arange(n_images), np.tile(np.arange(n_positions), (n_images, 1))
    n_drawn = min(n_images, max(1, n_patches // min(PATCHES_PER_IMAGE, n_positions)))
    indices = np.sort(random_state.choice(n_images, n_drawn, replace=False))
    n_per_image = -(-n_patches // n_drawn)
    if n_positions <= MAX_POSITIONS_WITHOUT_REPLACEMENT:
        order = random_state.random_sample((n_drawn, n_positions)).argsort(axis=1)
        return indices, order[:, :n_per_image]
    return indices, random_state.randint(n_positions, size=(n_drawn, n_per_image))
