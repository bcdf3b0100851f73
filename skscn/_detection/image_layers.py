"""Layers of images in front of the model of rows: the rows are pooled codes."""

from dataclasses import replace
from functools import partial

import numpy as np
from sklearn.base import clone

from skscn._core.workspace import WorkspacePool
from skscn._data.parallel import map_rows_into, worker_pool
from skscn._data.validation import compute_dtype
from skscn._images.image_source import ImageSource
from skscn._images.layers.base import compute_maps
from skscn._images.network import SparseCodingNetwork
from skscn._images.pooling import SpatialPool

GRID_SIZE = 4  # of the cells for the codes of a single layer
MAX_REPETITIONS = 2**31  # of an image


def to_network(coder, n_jobs):
    """Return an unfitted network: a clone, or a single layer and a pool.

    Parameters
    ----------
    coder : SparseCodingNetwork or ConvSparseCoder
    n_jobs : int or None
        None keeps that of the network.
    """
    if isinstance(coder, SparseCodingNetwork):
        network = clone(coder)
    else:
        layer = clone(coder).set_params(image_shape=None)  # the network has it
        pool = SpatialPool("gaussian", grid=GRID_SIZE, power=0.5)
        layers = [("conv", layer), ("pool", pool)]
        network = SparseCodingNetwork(layers, image_shape=coder.image_shape)
    return network if n_jobs is None else network.set_params(n_jobs=n_jobs)


def fit(layers, images, weights):
    """Fit a network in place; weights are repetitions of images.

    Parameters
    ----------
    layers : SparseCodingNetwork
    images : ndarray of shape (n_images, height, width, channels)
    weights : ndarray of shape (n_images,) or None
    """
    source = ImageSource.from_images(images)
    if weights is not None:
        is_count = (weights == np.round(weights)) & (weights <= MAX_REPETITIONS)
        if not is_count.all():
            raise ValueError(
                "Layers of images learn from a sample of patches, and a weight is the "
                "number of repetitions of an image: sample_weight must hold integers, "
                f"but has {weights[~is_count][0]:.3g}. Use integers of at most "
                f"{MAX_REPETITIONS}, or no sample_weight."
            )
        rows = np.repeat(np.arange(len(images)), weights.astype(int))
        source = replace(source, n_images=len(rows), load=lambda i: images[rows[i]])
    layers.fit(source)


def encode(layers, images):
    """Compute the pooled codes of images, of shape (n_images, n_codes)."""
    return layers._compute_maps(images).reshape(len(images), -1)


def scores(layers, table_model, images, n_jobs):
    """Compute the scores of images, with the pooled codes of one block at a time."""
    dtype = compute_dtype(images.dtype)
    layer = layers._fitted_layer(dtype)
    score_rows = table_model.row_function()
    function = partial(_score_slice, score_rows, layer, dtype, WorkspacePool())
    out = np.empty(len(images))
    with worker_pool(len(images), n_jobs, layer.slice_rows) as pool:
        return map_rows_into(pool, function, images, out, layer.slice_rows)


def _score_slice(score_rows, layer, dtype, workspaces, images, out):
    codes = compute_maps(images, None, layer=layer, dtype=dtype, workspaces=workspaces)
    return score_rows(codes.reshape(len(images), -1), out)


def distribute_over_pixels(explanation, layers):
    """Return the `Explanation` of images, given that of their pooled codes.

    Parameters
    ----------
    explanation : Explanation
        Its features are the pooled codes.
    layers : fitted SparseCodingNetwork
    """
    maps = pixel_maps(explanation.features, layers)
    n_channels = layers.image_shape_[2]
    features = np.repeat(maps[..., None] / n_channels, n_channels, axis=3)
    return replace(
        explanation,
        codes=explanation.features,
        features=features.reshape(len(maps), -1),
        image_shape=layers.image_shape_,
    )


def pixel_maps(values, layers):
    """Distribute values of pooled codes over the pixels of the images.

    Each value is distributed evenly over the pixels of its cell, which keeps sums.

    Parameters
    ----------
    values : ndarray of shape (n_images, n_codes)
    layers : fitted SparseCodingNetwork

    Returns
    -------
    maps : ndarray of shape (n_images, height, width)
    """
    height, width, _ = layers.image_shape_
    maps = np.zeros((len(values), height, width))
    indices = np.arange(values.shape[1]).reshape(layers.map_shape_)
    for codes in _indices_by_layer(layers, indices):
        rows, columns, _ = np.indices(codes.shape).reshape(3, -1)
        down = _pixel_fractions(codes.shape[0], height)[rows]
        right = _pixel_fractions(codes.shape[1], width)[columns]
        own = values[:, codes.ravel()]
        maps += np.einsum("nc,ch,cw->nhw", own, down, right, optimize=True)
    return maps


def _indices_by_layer(layer, indices):
    """Yield the indices of the codes of each layer whose maps a network returns.

    Parameters
    ----------
    layer : fitted SparseCodingNetwork, ConvSparseCoder or SpatialPool
    indices : ndarray of int of the shape of its maps
        Among the codes of the whole network.

    Yields
    ------
    indices : ndarray of int of shape (map_height, map_width, n_maps)
    """
    if not isinstance(layer, SparseCodingNetwork):
        yield indices
        return
    parts = [part for _, part in layer.layers_]
    if not layer._is_parallel:
        parts = [parts[i] for i in layer._output_indices or [-1]]
    # Maps of equal size are side by side along the channels, others as flat rows.
    are_maps = indices.ndim == 3
    shapes = [part.map_shape_ for part in parts]
    sizes = [shape[-1] if are_maps else np.prod(shape) for shape in shapes]
    split = np.split(indices, np.cumsum(sizes)[:-1], axis=-1)
    for part, own in zip(parts, split, strict=True):
        yield from _indices_by_layer(part, own.reshape(part.map_shape_))


def _pixel_fractions(n_cells, n_pixels):
    """Return the fraction of each cell that is in each pixel, along one axis."""
    cells = np.arange(n_cells + 1) / n_cells
    pixels = np.arange(n_pixels + 1) / n_pixels
    start = np.maximum(cells[:-1, None], pixels[:-1])
    end = np.minimum(cells[1:, None], pixels[1:])
    return np.maximum(end - start, 0.0) * n_cells
