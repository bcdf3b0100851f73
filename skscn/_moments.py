"""Sums over rows: all that learning keeps of the data.

Every record adds up, so that batches, chunks, weights, blocks on many cores and files
larger than memory are one code path: map slices of rows to moments, and add.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
from scipy import sparse

BLOCK_BYTES = 2**20  # of a working array: in cache, and long enough for workers to
BLOCK_ROWS = (512, 4096)  # overlap; fewer rows starve the matrix product
CURVATURE_ROWS = 512  # of every slice: the curvature only steers the learner's step


@dataclass(frozen=True)
class Sums:
    """A record of sums over rows, or of None, that adds and scales field by field."""

    def __add__(self, other):
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return type(self)(*(None if a is None else a + b for a, b in pairs))

    def __mul__(self, factor):
        values = (getattr(self, f.name) for f in fields(self))
        return type(self)(*(None if a is None else a * factor for a in values))


@dataclass(frozen=True)
class DataMoments(Sums):
    """Moments of the data alone, about a point m (the origin where `mean` is None).

    Parameters
    ----------
    weight : float
        Σ w.
    total : ndarray of shape (n_features,)
        Σ w (x − m).
    square : float
        Σ w ‖x − m‖².
    scatter : ndarray of shape (n_features, n_features) or None
        Σ w (x − m)ᵀ(x − m), where it was asked for.
    """

    weight: float
    total: np.ndarray
    square: float
    scatter: np.ndarray | None

    def about(self, shift):
        """Return the moments about the point m + shift."""
        if self.scatter is not None:
            raise NotImplementedError("a scatter matrix stays where it was taken")
        return DataMoments(
            self.weight,
            self.total - self.weight * shift,
            self.square - 2 * shift @ self.total + self.weight * shift @ shift,
            None,
        )


@dataclass(frozen=True)
class CodeMoments(Sums):
    """Moments of codes a and data x about a point m.

    Parameters
    ----------
    weight : float
        Σ w.
    cross : ndarray of shape (n_components, n_features)
        Σ w aᵀ(x − m): the gradient of the explained energy by the dictionary.
    total : ndarray of shape (n_components,)
        Σ w a.
    gain : float
        Σ w of what the codes take off the objective ½‖x − m‖² of the zero code.
    sampled : float
        Σ w over the rows from which `curvature` was taken.
    curvature : ndarray of shape (n_components, n_components + 1)
        Σ w a'_i u_j² over those rows, a' the slope of the code; the last column has
        the energy outside the atoms, ‖x − m‖² − ‖u‖², in place of u_j².
    """

    weight: float
    cross: np.ndarray
    total: np.ndarray
    gain: float
    sampled: float
    curvature: np.ndarray

    def about(self, shift):
        """Return the moments of the same codes and data about the point m + shift."""
        return replace(self, cross=self.cross - np.outer(self.total, shift))

    def rearranged(self, order, signs):
        """Return the moments for atoms in another order, some with another sign."""
        return replace(
            self,
            cross=self.cross[order] * signs[:, None],
            total=self.total[order] * signs,
            curvature=self.curvature[np.ix_(order, [*order, -1])],
        )


@np.errstate(over="ignore", invalid="ignore")
def data_moments(rows, weights, *, mean=None, scatter=False):
    """Return the `DataMoments` of a slice of rows, dense or CSR.

    Squares that overflow leave `square` not finite, for the caller to notice.
    """
    n_features = rows.shape[1]
    weight = float(len_rows(rows) if weights is None else weights.sum())
    total, square = np.zeros(n_features), 0.0
    outer = np.zeros((n_features, n_features)) if scatter else None
    for part in _blocks(rows, n_features):
        block, w = rows[part], None if weights is None else weights[part]
        if sparse.issparse(block):
            raw, block_square, block_outer = _sparse_moments(block, w, mean, scatter)
            total += raw
            square += block_square
            if scatter:
                outer += block_outer
            continue
        if mean is not None:
            block = block - mean
        weighted = block if w is None else block * w[:, None]
        total += weighted.sum(axis=0, dtype=np.float64)
        square += float(np.vdot(weighted, block))
        if scatter:
            outer += weighted.T @ block
    return DataMoments(weight, total, square, outer)


def code_moments(rows, weights, *, components, mean, code):
    """Encode a slice of rows, dense or CSR, and return its `CodeMoments`.

    Parameters
    ----------
    rows : {ndarray, CSR} of shape (n_rows, n_features)
    weights : ndarray of shape (n_rows,) or None
    components : ndarray of shape (n_components, n_features)
        Orthonormal atoms, of the dtype of the rows.
    mean : ndarray of shape (n_features,) or None
        The point m.
    code : MapCode
        The map from projections to codes.
    """
    n_components, n_features = components.shape
    cross = np.zeros((n_components, n_features))
    total = np.zeros(n_components)
    gain = 0.0
    sampled, curvature = 0.0, np.zeros((n_components, n_components + 1))
    for block, w, projections, scratch in _projected(rows, weights, components, mean):
        first = sampled == 0.0
        if first:
            square = projections[:CURVATURE_ROWS] ** 2
            outside = _row_square(block[:CURVATURE_ROWS], mean) - square.sum(axis=1)
        codes = code.encode(projections, scratch)
        gain += code.gain(codes, w)
        if first:
            slope = code.slope(codes[:CURVATURE_ROWS]).astype(codes.dtype, copy=False)
            if w is not None:
                slope = slope * w[:CURVATURE_ROWS, None]
            sampled = float(len(slope) if w is None else w[:CURVATURE_ROWS].sum())
            curvature[:, :-1] = slope.T @ square
            curvature[:, -1] = np.maximum(outside, 0.0) @ slope
        weighted = codes if w is None else codes * w[:, None]
        # A product with ones is several times faster than a sum over the first axis.
        block_total = np.ones(len(codes), dtype=codes.dtype) @ weighted
        total += block_total
        if sparse.issparse(block):
            cross += (block.T @ weighted).T
            if mean is not None:
                cross -= np.outer(block_total, mean)
        else:
            cross += weighted.T @ block
    weight = float(len_rows(rows) if weights is None else weights.sum())
    return CodeMoments(weight, cross, total, gain, sampled, curvature)


def encode(rows, out, *, components, mean, code):
    """Return the codes of a slice of rows, written into `out` where it is given."""
    if out is None:
        out = np.empty((len_rows(rows), len(components)), dtype=components.dtype)
    for _, _, projections, scratch in _projected(rows, None, components, mean, out):
        code.encode(projections, scratch)
    return out


def encode_sparse(rows, _, *, components, mean, code):
    """Return the codes of a slice of rows as CSR; no dense array outgrows a block."""
    blocks = [
        sparse.csr_array(code.encode(projections, scratch))
        for _, _, projections, scratch in _projected(rows, None, components, mean)
    ]
    return blocks[0] if len(blocks) == 1 else sparse.vstack(blocks, format="csr")


def len_rows(rows):
    """Return the number of rows; scipy's matrices have no len()."""
    return rows.shape[0]


def _blocks(rows, width):
    """Return slices of rows that fit the cache.

    CSR rows come whole: their products stream through the atoms, not the rows.
    """
    n_rows = len_rows(rows)
    if sparse.issparse(rows):
        return [slice(0, n_rows)]
    size = BLOCK_BYTES // (width * rows.dtype.itemsize)
    size = min(max(size, BLOCK_ROWS[0]), BLOCK_ROWS[1], n_rows)
    return [slice(start, start + size) for start in range(0, n_rows, size)]


def _projected(rows, weights, components, mean, out=None):
    """Yield blocks with their weights, projections (x − m) Dᵀ, and working memory.

    Dense blocks come centred, in a buffer that the next block overwrites: subtracting
    first keeps float32 exact for data far from the origin. CSR blocks come as they are
    and have the mean folded into the projections. These are views of `out` where it is
    given, else of a buffer too.
    """
    n_components, n_features = components.shape
    blocks = _blocks(rows, max(n_components, n_features))
    n_most = blocks[0].stop
    # Memory is asked for once: workers that each ask again and again wait in line.
    scratch = np.empty((n_most, n_components), dtype=components.dtype)
    if out is None:
        coded = np.empty_like(scratch)
    dense = not sparse.issparse(rows)
    if dense and mean is not None:
        centred = np.empty((n_most, n_features), dtype=components.dtype)
        shift = _tiled(mean, n_most)
    elif not dense:
        transposed = np.ascontiguousarray(components.T)
        offset = 0.0 if mean is None else mean @ transposed
    for part in blocks:
        block = rows[part]
        n_rows = len_rows(block)
        projections = coded[:n_rows] if out is None else out[part]
        if not dense:
            np.subtract(block @ transposed, offset, out=projections)
        else:
            if mean is not None:
                block = np.subtract(block, shift[:n_rows], out=centred[:n_rows])
            np.matmul(block, components.T, out=projections)
        w = None if weights is None else weights[part]
        yield block, w, projections, scratch[:n_rows]


def _tiled(vector, n_rows):
    # NumPy pays per row for broadcasting: over short rows that costs more than memory.
    if len(vector) < 512:
        return np.tile(vector, (n_rows, 1))
    return np.broadcast_to(vector, (n_rows, len(vector)))


def _row_square(block, mean):
    """Return ‖x − m‖² of every row; dense blocks come centred."""
    if not sparse.issparse(block):
        return np.einsum("ij,ij->i", block, block)
    square = np.asarray(block.multiply(block).sum(axis=1)).ravel()
    if mean is None:
        return square
    return square - 2 * (block @ mean) + mean @ mean


def _sparse_moments(block, weights, mean, scatter):
    """Return total, square and scatter of a CSR block about m, nothing made dense."""
    w = (
        np.ones(len_rows(block))
        if weights is None
        else weights.astype(np.float64, copy=False)
    )
    raw = block.T @ w
    square = float(w @ _row_square(block, mean))
    outer = None
    if scatter:
        weighted = block.multiply(w[:, None]).tocsr()
        outer = (block.T @ weighted).toarray().astype(np.float64, copy=False)
    total = raw
    if mean is not None:
        weight = w.sum()
        total = raw - weight * mean
        if scatter:
            cross = np.outer(raw, mean)
            outer += weight * np.outer(mean, mean) - cross - cross.T
    return total, square, outer
