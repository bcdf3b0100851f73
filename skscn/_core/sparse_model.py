"""A dictionary with its encoder: codes, likelihoods and uncertainties of rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from skscn._core.signs import split_signs

# Bytes of a block of rows: it fits the cache, and takes long enough that two workers
# overlap between calls that hold the interpreter's lock.
BLOCK_BYTES = 2**19
MIN_BLOCK_ROWS, MAX_BLOCK_ROWS = 512, 4096  # fewer rows starve the matrix product
SHORT_ROW = 512  # features, below which broadcasting a row costs more than tiling it


@dataclass(frozen=True)
class SparseModel:
    """The model x = mean + a D + noise, and how codes a are inferred.

    Its methods take a slice of rows, dense or CSR, and can be sent to workers. They
    compute in the dtype of the components, which the rows are converted to.

    Parameters
    ----------
    components : ndarray of shape (n_components, n_features)
        D, orthonormal rows.
    mean : ndarray of shape (n_features,) or None
        None stands for zero.
    encoder : MapEncoder or PosteriorMeanEncoder
    """

    components: np.ndarray
    mean: np.ndarray | None
    encoder: Any

    @classmethod
    def in_dtype(cls, components, mean, encoder, dtype):
        """Return the model that computes in a dtype; a mean of zero becomes None."""
        mean = None if mean is None else mean.astype(dtype)
        if mean is not None and not mean.any():
            mean = None
        return cls(components.astype(dtype, copy=False), mean, encoder)

    def astype(self, dtype):
        """Return the model that computes in another dtype."""
        return SparseModel.in_dtype(self.components, self.mean, self.encoder, dtype)

    @property
    def n_free(self):
        """Number of dimensions of the residual."""
        n_components, n_features = self.components.shape
        return n_features - n_components

    @np.errstate(over="ignore", invalid="ignore")
    def encode(self, rows, out=None, *, split_sign=False):
        """Return the codes of rows, written into `out` where it is given.

        With `split_sign`, the columns are their positive and their negative parts.

        The codes of a row that is not finite are NaN. Its first projection tells: zero
        times infinity is NaN, so that every projection of it is infinite or NaN.
        """
        if out is None:
            n_columns = len(self.components) * (1 + split_sign)
            out = np.empty((n_rows_of(rows), n_columns), rows.dtype)
        encoder, start = self.encoder.for_worker(), 0
        blocks = self.projections(rows, out=None if split_sign else out)
        for _, _, projections, scratch in blocks:
            finite = np.isfinite(projections[:, 0])
            if not finite.all():
                projections[~finite] = np.nan
            codes = encoder.encode(projections, scratch)
            if split_sign:
                part = slice(start, start := start + len(codes))
                split_signs(codes, out[part])
        return out

    def encode_to_csr(self, rows, _=None):
        """Return the codes of rows as CSR; no dense array is larger than a block."""
        encoder = self.encoder.for_worker()
        blocks = [
            sparse.csr_array(encoder.encode(projections, scratch))
            for _, _, projections, scratch in self.projections(rows)
        ]
        return blocks[0] if len(blocks) == 1 else sparse.vstack(blocks, format="csr")

    def log_likelihood(self, rows, out=None, *, bound=False):
        """Return log p of every row, written into `out` where it is given.

        With `bound`, an upper bound of it, which takes less time. Computed in float64,
        which the components must have. The encoder must be a `PosteriorMeanEncoder`.
        """
        rows = rows.astype(np.float64, copy=False)
        out = np.empty(n_rows_of(rows)) if out is None else out
        noise_variance, start = self.encoder.noise_variance, 0
        for block, _, projections, _ in self.projections(rows):
            part = slice(start, start := start + len(projections))
            out[part] = -self.n_free / 2 * np.log(2 * np.pi * noise_variance)
            if self.n_free:  # otherwise the residual is rounding error
                residual = self.residual_norms(block, projections)
                out[part] -= residual / (2 * noise_variance)
            out[part] += self.encoder.log_density(projections, bound=bound)
        return out

    def posterior_std(self, rows, out=None):
        """Return posterior standard deviations, written into `out` where it is given.

        The encoder must be a `PosteriorMeanEncoder`.
        """
        if out is None:
            out = np.empty((n_rows_of(rows), len(self.components)), rows.dtype)
        for _, _, projections, _ in self.projections(rows, out=out):
            projections[:] = np.sqrt(self.encoder.posterior_variance(projections))
        return out

    def residual_norms(self, block, projections):
        """Return the squared norm of the residual of every row of a block.

        The block and its projections are those that `projections` yields.
        """
        if not sparse.issparse(block):
            # The residual itself keeps digits that a difference of squares loses.
            residual = block - projections @ self.components
            return np.einsum("ij,ij->i", residual, residual)
        squares = np.einsum("ij,ij->i", projections, projections)
        return np.maximum(squared_norms(block, self.mean) - squares, 0.0)

    def projections(self, rows, weights=None, out=None):
        """Yield blocks with their weights, projections (x − m) Dᵀ, and scratch memory.

        Dense blocks are centered, in a buffer that the next block overwrites: the mean
        is subtracted first, which keeps float32 exact for data far from the origin. CSR
        blocks are not centered; the mean is folded into their projections. The
        projections are views of `out` where it is given, otherwise of a buffer too.
        """
        n_components, n_features = self.components.shape
        dtype = self.components.dtype
        if sparse.issparse(rows):
            rows = rows.astype(dtype, copy=False)
        blocks = row_blocks(rows, max(n_components, n_features))
        n_most = blocks[0].stop
        # Memory is allocated once: workers that allocate again and again wait for the
        # operating system.
        scratch = np.empty((n_most, n_components), dtype=dtype)
        if out is None:
            buffer = np.empty_like(scratch)
        is_dense = not sparse.issparse(rows)
        if is_dense and self.mean is not None:
            centered = np.empty((n_most, n_features), dtype=dtype)
            mean = _repeat_row(self.mean, n_most)
        elif not is_dense:
            transposed = np.ascontiguousarray(self.components.T)
            projected_mean = 0.0 if self.mean is None else self.mean @ transposed
        for part in blocks:
            block = rows[part]
            n_rows = n_rows_of(block)
            projections = buffer[:n_rows] if out is None else out[part]
            if not is_dense:
                np.subtract(block @ transposed, projected_mean, out=projections)
            else:
                if self.mean is not None:
                    block = np.subtract(block, mean[:n_rows], out=centered[:n_rows])
                else:
                    block = block.astype(dtype, copy=False)
                np.matmul(block, self.components.T, out=projections)
            w = None if weights is None else weights[part]
            yield block, w, projections, scratch[:n_rows]


def n_rows_of(rows):
    """Return the number of rows; the matrices of SciPy have no len()."""
    return rows.shape[0]


def row_blocks(rows, width):
    """Return slices of rows that fit the cache.

    CSR rows stay together: their products stream through the atoms, not the rows.
    """
    n_rows = n_rows_of(rows)
    if sparse.issparse(rows):
        return [slice(0, n_rows)]
    size = BLOCK_BYTES // (width * rows.dtype.itemsize)
    size = min(max(size, MIN_BLOCK_ROWS), MAX_BLOCK_ROWS, n_rows)
    return [slice(start, start + size) for start in range(0, n_rows, size)]


def squared_norms(block, mean):
    """Return ‖x − m‖² of every row; the mean is for CSR, dense blocks are centered."""
    if not sparse.issparse(block):
        return np.einsum("ij,ij->i", block, block)
    squares = np.asarray(block.multiply(block).sum(axis=1)).ravel()
    if mean is None:
        return squares
    return squares - 2 * (block @ mean) + mean @ mean


def _repeat_row(row, n_rows):
    if len(row) < SHORT_ROW:
        return np.tile(row, (n_rows, 1))
    return np.broadcast_to(row, (n_rows, len(row)))
