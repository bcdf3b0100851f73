"""Sums over rows: all that learning keeps of the data.

Every record adds up, so that batches, chunks, weights, blocks on many cores and files
larger than memory are one code path: map slices of rows to moments, and add.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
from scipy import sparse

BLOCK_BYTES = 2**19  # of a working array: in cache, and long enough for workers to
BLOCK_ROWS = (512, 4096)  # overlap; fewer rows starve the matrix product


@dataclass(frozen=True)
class Summable:
    """A record of sums over rows, or of None, that adds and scales field by field."""

    def __add__(self, other):
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return type(self)(*(None if a is None else a + b for a, b in pairs))

    def __mul__(self, factor):
        values = (getattr(self, f.name) for f in fields(self))
        return type(self)(*(None if a is None else a * factor for a in values))


@dataclass(frozen=True)
class DataMoments(Summable):
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
    missing : float
        Σ w of entries that were not measured and stand for what the model expects.
    """

    weight: float
    total: np.ndarray
    square: float
    scatter: np.ndarray | None
    missing: float = 0.0

    def about(self, shift):
        """Return the moments about the point m + shift."""
        if self.scatter is not None:
            raise NotImplementedError("a scatter matrix stays where it was taken")
        return DataMoments(
            self.weight,
            self.total - self.weight * shift,
            self.square - 2 * shift @ self.total + self.weight * shift @ shift,
            None,
            self.missing,
        )


@dataclass(frozen=True)
class CodeMoments(Summable):
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
        Σ w of what the codes take off the objective ½‖x − m‖² of the zero code, or of
        the log-likelihood of the projections: what the code's `expect` returns.
    sampled : float
        Σ w over the rows from which `curvature` was taken.
    curvature : ndarray of shape (n_components, n_components + 2)
        Σ w a'_i u_j² over those rows, a' the slope of the code; the last columns have
        the energy outside the atoms, ‖x − m‖² − ‖u‖², and one, in place of u_j².
    sums : ndarray of shape (n_sums, n_components) or None
        What learning a prior needs, where the code tells it.
    """

    weight: float
    cross: np.ndarray
    total: np.ndarray
    gain: float
    sampled: float
    curvature: np.ndarray
    sums: np.ndarray | None = None

    def about(self, shift):
        """Return the moments of the same codes and data about the point m + shift."""
        return replace(self, cross=self.cross - np.outer(self.total, shift))

    def rearranged(self, order, signs):
        """Return the moments for atoms in another order, some with another sign."""
        return replace(
            self,
            cross=self.cross[order] * signs[:, None],
            total=self.total[order] * signs,
            curvature=self.curvature[np.ix_(order, [*order, -2, -1])],
            sums=None if self.sums is None else self.sums[:, order],
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


def code_moments(rows, weights, *, components, mean, code, skipped=0):
    """Encode a slice of rows, dense or CSR, and return its `CodeMoments`.

    Parameters
    ----------
    rows : {ndarray, CSR} of shape (n_rows, n_features)
    weights : ndarray of shape (n_rows,) or None
    components : ndarray of shape (n_components, n_features)
        Orthonormal atoms, of the dtype of the rows.
    mean : ndarray of shape (n_features,) or None
        The point m.
    code : MapCode or MeanCode
        The map from projections to codes.
    skipped : int, default=0
        Rows of the slice that are not among these, but were before them: where a slice
        is cut, its curvature still is that of its first rows.
    """
    n_components, n_features = components.shape
    n_sampled = max(code.sampled_rows - skipped, 0)
    cross = np.zeros((n_components, n_features))
    total = np.zeros(n_components)
    code, gain, sums = code.prepared(), 0.0, None
    sampled, curvature = 0.0, np.zeros((n_components, n_components + 2))
    for block, w, projections, scratch in projected(rows, weights, components, mean):
        head = None
        if sampled == 0.0:
            head = projections[:n_sampled].copy()
            square = head**2
            outside = squared_norms(block[: len(head)], mean) - square.sum(axis=1)
        block_gain, block_sums = code.expect(projections, scratch, w, head)
        if head is not None:
            if w is not None:
                head *= w[: len(head), None]
            sampled = float(len(head) if w is None else w[: len(head)].sum())
            curvature[:, :-2] = head.T @ square
            curvature[:, -2] = np.maximum(outside, 0.0) @ head
            curvature[:, -1] = head.sum(axis=0)
        codes, gain = projections, gain + block_gain
        if block_sums is not None:
            sums = block_sums if sums is None else sums + block_sums
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
    return CodeMoments(weight, cross, total, gain, sampled, curvature, sums)


@np.errstate(over="ignore", invalid="ignore")
def encode(rows, out, *, components, mean, code):
    """Return the codes of a slice of rows, written into `out` where it is given.

    Rows that are not finite have NaN for codes. One projection tells: infinite times
    zero is NaN, so that every projection of such a row is infinite or NaN.
    """
    if out is None:
        out = np.empty((len_rows(rows), len(components)), dtype=components.dtype)
    code = code.prepared()
    for _, _, projections, scratch in projected(rows, None, components, mean, out):
        finite = np.isfinite(projections[:, 0])
        if not finite.all():
            projections[~finite] = np.nan
        code.encode(projections, scratch)
    return out


def encode_sparse(rows, _, *, components, mean, code):
    """Return the codes of a slice of rows as CSR; no dense array outgrows a block."""
    blocks = [
        sparse.csr_array(code.encode(projections, scratch))
        for _, _, projections, scratch in projected(rows, None, components, mean)
    ]
    return blocks[0] if len(blocks) == 1 else sparse.vstack(blocks, format="csr")


def log_likelihoods(rows, out, *, components, mean, code):
    """Return log p of every row of a slice, written into `out` where it is given.

    Parameters
    ----------
    rows : {ndarray, CSR} of shape (n_rows, n_features)
    out : ndarray of shape (n_rows,) or None
    components, mean
        As for `code_moments`, in float64: rows are taken as float64 too.
    code : MeanCode
    """
    rows = rows.astype(np.float64, copy=False)
    out = np.empty(len_rows(rows)) if out is None else out
    n_components, n_features = components.shape
    n_free, done = n_features - n_components, 0
    for block, _, projections, _ in projected(rows, None, components, mean):
        part = slice(done, done := done + len(projections))
        out[part] = -n_free / 2 * np.log(2 * np.pi * code.noise)
        if n_free:  # else what is outside is rounding error
            lost = _outside(block, projections, components, mean)
            out[part] -= lost / (2 * code.noise)
        out[part] += code.log_density(projections)
    return out


def _outside(block, projections, components, mean):
    """Return the energy of every row that no atom reaches."""
    if not sparse.issparse(block):  # the rest itself keeps digits that squares lose
        rest = block - projections @ components
        return np.einsum("ij,ij->i", rest, rest)
    lost = squared_norms(block, mean) - np.einsum("ij,ij->i", projections, projections)
    return np.maximum(lost, 0.0)


def deviations(rows, out, *, components, mean, code):
    """Return posterior standard deviations, written into `out` where it is given."""
    if out is None:
        out = np.empty((len_rows(rows), len(components)), dtype=components.dtype)
    for _, _, projections, _ in projected(rows, None, components, mean, out):
        projections[:] = np.sqrt(code.variance(projections))
    return out


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


def projected(rows, weights, components, mean, out=None):
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


def squared_norms(block, mean):
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
    square = float(w @ squared_norms(block, mean))
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
