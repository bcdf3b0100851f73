"""The model that a detector has of images: rows of pooled codes, and theirs."""

import re
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import clone

from skscn._core.workspace import WorkspacePool
from skscn._data.parallel import map_rows_into, worker_pool
from skscn._detection.table_model import TableModel, table_scores
from skscn._images.image_source import ImageSource
from skscn._images.layers.base import compute_dtype, compute_maps
from skscn._images.network import SparseCodingNetwork
from skscn._images.pooling import SpatialPool

GRID = 4  # of the cells in which the codes of a single layer are pooled
PLACE = re.compile(r"(.*)_map\d+_y(\d+)_x(\d+)")  # in the name of a pooled code


@dataclass(frozen=True)
class ImageModel:
    """Fitted layers, and the model of the rows of codes that they make of images.

    Parameters
    ----------
    layers : fitted SparseCodingNetwork
    table : TableModel
    """

    layers: Any
    table: TableModel

    @classmethod
    def learned(cls, layers, coder_of, images, weights, **how):
        """Return the model of images.

        Parameters
        ----------
        layers : unfitted SparseCodingNetwork
        coder_of : callable
            Maps rows of codes and weights to the unfitted coder of them.
        images : ndarray of shape (n_images, height, width, channels)
        weights : ndarray of shape (n_images,) or None
        **how
            As of `TableModel.learned`.
        """
        layers.fit(_source(images, weights))
        codes = _codes(layers, images)
        weights = None if weights is None else weights.astype(codes.dtype)
        coder = coder_of(codes, weights)
        return cls(layers, TableModel.learned(coder, codes, weights, **how))

    @property
    def coder(self):
        """The coder on top of the layers."""
        return self.table.coder

    @property
    def balance(self):
        """That of its rows."""
        return self.table.balance

    def advanced(self, images, weights, trim):
        """Return the model after one more chunk; its layers stay as they are."""
        codes = _codes(self.layers, images)
        return replace(self, table=self.table.advanced(codes, weights, trim))

    def scores(self, images):
        """Return the score of every image; the codes of a block exist at a time."""
        dtype = compute_dtype(images.dtype)
        layer = self.layers._fitted_layer(dtype)
        function = partial(
            image_scores,
            settings=self.table.settings(),
            layer=layer,
            dtype=dtype,
            workspaces=WorkspacePool(),
        )
        out = np.empty(len(images))
        with worker_pool(len(images), self.table.n_jobs, layer.slice_rows) as pool:
            return map_rows_into(pool, function, images, out, layer.slice_rows)

    def explained(self, images):
        """Return the `Explanation` of every image."""
        parts = self.table.explained(_codes(self.layers, images))
        shape = self.layers.image_shape_
        names = self.layers.get_feature_names_out()
        maps = spread_over(parts.features, names, shape[:2])
        each = np.repeat(maps[..., None] / shape[2], shape[2], axis=3)
        return replace(
            parts,
            codes=parts.features,
            features=each.reshape(len(images), -1),
            image_shape=shape,
        )


def as_network(layers):
    """Return a network of a single layer and a pool, and a network as it is."""
    if isinstance(layers, SparseCodingNetwork):
        return layers
    pool = SpatialPool("gaussian", grid=GRID, power=0.5)
    shape = layers.image_shape  # which a network tells its layers
    layers = clone(layers).set_params(image_shape=None)
    return SparseCodingNetwork([("conv", layers), ("pool", pool)], image_shape=shape)


def image_scores(images, out, *, settings, **mapped):
    """Return the scores of a slice of images, written into `out` where it is given."""
    codes = compute_maps(images, None, **mapped).reshape(len(images), -1)
    return table_scores(codes, out, **settings)


def spread_over(values, names, image_size):
    """Return values of pooled codes spread over the images that they were pooled from.

    Every value is shared evenly by the pixels of its cell, so that sums stay.

    Parameters
    ----------
    values : ndarray of shape (n_images, n_codes)
    names : iterable of str
        Of the codes; they tell the layer and the place.
    image_size : tuple of int
        (height, width).

    Returns
    -------
    maps : ndarray of shape (n_images, height, width)
    """
    found = [_place(name) for name in names]
    layers = np.array([layer for layer, _ in found])
    places = np.array([place for _, place in found])
    maps = np.zeros((len(values), *image_size))
    for layer in dict.fromkeys(layers):
        mine = layers == layer
        rows, columns = places[mine].T
        down = _shares(rows.max() + 1, image_size[0])[rows]
        right = _shares(columns.max() + 1, image_size[1])[columns]
        maps += np.einsum("nc,ch,cw->nhw", values[:, mine], down, right, optimize=True)
    return maps


def _place(name):
    """Return the layer of a code, and its row and column among the cells of that."""
    found = PLACE.fullmatch(name)
    if found is None:  # it has no place: the whole image is its cell
        return name, (0, 0)
    layer, row, column = found.groups()
    return layer, (int(row), int(column))


def _shares(n_cells, size):
    """Return which part of every cell lies in every pixel, along one axis."""
    cells, pixels = np.arange(n_cells + 1) / n_cells, np.arange(size + 1) / size
    low = np.maximum(cells[:-1, None], pixels[:-1])
    high = np.minimum(cells[1:, None], pixels[1:])
    return np.maximum(high - low, 0.0) * n_cells


def _codes(layers, images):
    maps = layers._compute_maps(images)
    return maps.reshape(len(maps), -1)


def _source(images, weights):
    """Return images as a source in which a weight is repetition."""
    if weights is None:
        return ImageSource.from_images(images)
    if np.any(weights != np.round(weights)):
        raise ValueError(
            "Layers of images learn from a sample of patches, in which a weight can "
            "only be the number of times that an image is there: sample_weight must "
            f"hold integers, but has {weights[weights != np.round(weights)][0]:.3g}."
        )
    rows = np.repeat(np.arange(len(images)), weights.astype(int))
    source = ImageSource.from_images(images)
    return replace(source, n_images=len(rows), load=lambda i: images[rows[i]])
