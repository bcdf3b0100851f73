"""One pass over the patches of an image: code, rebuild, average.

All is in units of the noise: its standard deviation is one. A pass maps a tile to
weighted sums of rebuilt patches. The weight of a patch is the inverse of the variance
of the noise that is left in its entries: little, where it is rebuilt from few codes, or
from codes that were shrunk.
"""

from dataclasses import dataclass

import numpy as np

from skscn._core.encoders import MapEncoder, PosteriorMeanEncoder
from skscn._restoration.patch_classes import Classes
from skscn._restoration.tiles import gather, spread


@dataclass(frozen=True)
class PatchCode:
    """Sparse codes of patches; their means are not coded, but kept as they are.

    Parameters
    ----------
    atoms : ndarray of shape (n_components, n_entries)
        Orthonormal.
    code : MapCode or MeanCode
        Of projections in units of the noise.
    mean : ndarray of shape (n_entries,), default=None
        What is subtracted from patches without means before they are coded.
    """

    atoms: np.ndarray
    code: MapEncoder | PosteriorMeanEncoder
    mean: np.ndarray | None = None

    def rebuild(self, patches):
        """Overwrite patches, columns, with what their codes say; return weights."""
        means = patches.mean(axis=0)
        patches -= means
        if self.mean is not None:
            patches -= self.mean[:, None]
        projections = self.atoms @ patches
        # To a code samples are rows, and these are columns.
        if isinstance(self.code, MapEncoder) and self.code.shrinkage is None:
            codes = self.code.encode(projections.T).T
            kept = np.count_nonzero(codes, axis=0)
        else:
            codes = self.code.encode(projections.T.copy()).T
            share = codes / np.where(codes == 0, 1, projections)
            kept = np.einsum("ij,ij->j", share, share)
        np.matmul(self.atoms.T, codes, out=patches)
        if self.mean is not None:
            patches += self.mean[:, None]
        patches += means
        return (len(patches) / (1 + kept)).astype(patches.dtype)


@dataclass(frozen=True)
class Coded:
    """The first pass: every patch is rebuilt from its sparse code.

    Parameters
    ----------
    codes : tuple of PatchCode
        One for each plane.
    """

    codes: tuple

    def __call__(self, planes, guides, tile):
        """Return weighted sums and weights of every plane of a tile."""
        sums = []
        for plane, code in zip(planes, self.codes, strict=True):
            patches = gather(plane, tile)
            weights = code.rebuild(patches)
            patches *= weights
            sums.append(spread(patches, weights, tile))
        return sums


@dataclass(frozen=True)
class Refined:
    """A further pass: every patch is coded by the dictionary of its class.

    With u the projections of a patch and v those of the same patch of the estimate so
    far, its codes are u · v² / (v² + 1): the best linear ones, if v² were the variance
    of the coefficient (empirical Wiener filter). The first plane of the estimate tells
    the class for all planes.

    Parameters
    ----------
    classes : Classes
    """

    classes: Classes

    def __call__(self, planes, guides, tile):
        """Return weighted sums and weights of every plane of a tile."""
        sums, order = [], None
        for plane, guide, atoms in zip(planes, guides, self.classes.atoms, strict=True):
            estimate = gather(guide, tile)
            if order is None:
                labels = self.classes.labels(estimate)
                order = np.argsort(labels, kind="stable")
                counts = np.bincount(labels, minlength=len(atoms))
            estimate = estimate.take(order, axis=1)
            estimate -= estimate.mean(axis=0)
            patches = gather(plane, tile).take(order, axis=1)
            means = patches.mean(axis=0)
            patches -= means
            weights = np.empty_like(means)
            end = 0
            for basis, count in zip(atoms, counts, strict=True):
                part = slice(end, end + count)
                end += count
                if count == 0:
                    continue
                gains = basis @ estimate[:, part]
                gains *= gains
                gains /= gains + 1
                codes = basis @ patches[:, part]
                codes *= gains
                patches[:, part] = basis.T @ codes
                weights[part] = len(patches) / (1 + np.einsum("ij,ij->j", gains, gains))
            patches += means
            patches *= weights
            back = np.empty_like(order)
            back[order] = np.arange(len(order))
            sums.append(spread(patches.take(back, axis=1), weights.take(back), tile))
        return sums


def run_tile(item, *, step, units):
    """Return what a pass makes of a tile.

    Parameters
    ----------
    item : tuple
        Tile, its pixels of shape (height, width, channels), and the planes of the
        estimate there, or None.
    step : Coded or Refined
    units : Units
    """
    tile, pixels, guides = item
    return step(units.planes(pixels), guides, tile)
