"""Moments: the sums over rows that learning keeps of the data.

Moments of two sets of rows add up to those of both. Batches, mini-batches, weights,
blocks on many cores, chunks of a cluster and files larger than memory are therefore one
code path: compute the moments of every slice of rows, and add them.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
from scipy import sparse

from skscn._core.sparse_model import n_rows_of, row_blocks, squared_norms

MIN_WEIGHT_OF_MEAN = 10.0  # of samples whose own mean leaves most of their variance


@dataclass(frozen=True)
class Summable:
    """A record of sums over rows, which adds and scales field by field."""

    def __add__(self, other):
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return type(self)(*(None if a is None else a + b for a, b in pairs))

    def __mul__(self, factor):
        values = (getattr(self, f.name) for f in fields(self))
        return type(self)(*(None if a is None else a * factor for a in values))


@dataclass(frozen=True)
class DataMoments(Summable):
    """Moments of the data about a point m.

    Parameters
    ----------
    weight : float
        Σ w.
    weighted_sum : ndarray of shape (n_features,)
        Σ w (x − m).
    sum_squares : float
        Σ w ‖x − m‖².
    scatter : ndarray of shape (n_features, n_features) or None
        Σ w (x − m)ᵀ(x − m), where it was asked for.
    missing_weight : float
        Σ w of the missing entries, which are imputed.
    """

    weight: float
    weighted_sum: np.ndarray
    sum_squares: float
    scatter: np.ndarray | None
    missing_weight: float = 0.0

    def recentered(self, shift):
        """Return the moments about the point m + shift."""
        if self.scatter is not None:
            raise NotImplementedError("a scatter matrix cannot be recentered")
        return DataMoments(
            self.weight,
            self.weighted_sum - self.weight * shift,
            self.sum_squares
            - 2 * shift @ self.weighted_sum
            + self.weight * shift @ shift,
            None,
            self.missing_weight,
        )

    @property
    def variance(self):
        """Variance of the samples about their own mean; of a few samples, about m."""
        about_m = self.sum_squares / self.weight
        if self.weight < MIN_WEIGHT_OF_MEAN:
            return about_m
        mean = self.weighted_sum / self.weight
        return max(about_m - mean @ mean, 0.0)

    @property
    def rms(self):
        """Root mean square of the entries of the data about m, or 1 for no data."""
        variance = self.sum_squares / (self.weight * len(self.weighted_sum))
        # Below, the data are constant up to rounding errors: their scale is arbitrary.
        return float(np.sqrt(variance)) if variance > 1e-290 else 1.0


@dataclass(frozen=True)
class CodeMoments(Summable):
    """Moments of codes a and data x about a point m.

    Parameters
    ----------
    weight : float
        Σ w.
    cross : ndarray of shape (n_components, n_features)
        The cross moment Σ w aᵀ(x − m).
    code_sum : ndarray of shape (n_components,)
        Σ w a.
    objective_decrease : float
        Σ w of the decrease of the objective ½‖x − m‖² by the codes; with posterior
        means, the log-likelihood of the projections without its constant.
    curvature_weight : float
        Σ w over the rows from which `curvature` was computed.
    curvature : ndarray of shape (n_components, n_components + 2)
        Σ w a'_i u_j² over those rows, with a' the derivative of the code. The last two
        columns have the squared norm of the residual, and one, in place of u_j².
    statistics : ndarray of shape (n_statistics, n_components) or None
        Sums that the M-step of the prior needs.
    """

    weight: float
    cross: np.ndarray
    code_sum: np.ndarray
    objective_decrease: float
    curvature_weight: float
    curvature: np.ndarray
    statistics: np.ndarray | None = None

    @classmethod
    def zero(cls, n_components, n_features, n_statistics):
        """Return the moments of no data."""
        return cls(
            0.0,
            np.zeros((n_components, n_features)),
            np.zeros(n_components),
            0.0,
            0.0,
            np.zeros((n_components, n_components + 2)),
            np.zeros((n_statistics, n_components)) if n_statistics else None,
        )

    def recentered(self, shift):
        """Return the moments of the same codes and data about the point m + shift."""
        return replace(self, cross=self.cross - np.outer(self.code_sum, shift))

    def permuted(self, order, signs):
        """Return the moments for atoms in another order, some with another sign."""
        statistics = self.statistics
        return replace(
            self,
            cross=self.cross[order] * signs[:, None],
            code_sum=self.code_sum[order] * signs,
            curvature=self.curvature[np.ix_(order, [*order, -2, -1])],
            statistics=None if statistics is None else statistics[:, order],
        )

    def explained(self, components):
        """Return Σ w a_j u_j of every atom j, the inner products of cross and atoms."""
        return np.einsum("ij,ij->i", self.cross, components)


@np.errstate(over="ignore", invalid="ignore")
def data_moments(rows, weights, *, mean=None, scatter=False):
    """Return the `DataMoments` of a slice of rows, dense or CSR, about a mean.

    Squares that overflow make `sum_squares` infinite or NaN, for the caller to check.
    """
    n_features = rows.shape[1]
    weight = float(n_rows_of(rows) if weights is None else weights.sum())
    weighted_sum, sum_squares = np.zeros(n_features), 0.0
    total_scatter = np.zeros((n_features, n_features)) if scatter else None
    for part in row_blocks(rows, n_features):
        block, w = rows[part], None if weights is None else weights[part]
        if sparse.issparse(block):
            block_sum, block_squares, block_scatter = _csr_moments(
                block, w, mean, scatter
            )
            weighted_sum += block_sum
            sum_squares += block_squares
            if scatter:
                total_scatter += block_scatter
            continue
        # Squares are summed in float64: the noise is a small part of them.
        block = block.astype(np.float64, copy=False)
        if mean is not None:
            block = block - mean
        weighted = block if w is None else block * w[:, None]
        weighted_sum += weighted.sum(axis=0)
        sum_squares += float(np.vdot(weighted, block))
        if scatter:
            total_scatter += weighted.T.astype(rows.dtype) @ block.astype(rows.dtype)
    return DataMoments(weight, weighted_sum, sum_squares, total_scatter)


@dataclass(frozen=True)
class Maximum:
    """The largest of some values; addition takes the larger one."""

    value: float

    def __add__(self, other):
        return Maximum(max(self.value, other.value))


def max_abs(rows, weights):
    """Return the `Maximum` of the absolute values of a slice of rows."""
    values = rows.data if sparse.issparse(rows) else rows
    return Maximum(float(np.max(np.abs(values), initial=0.0)))


@np.errstate(over="ignore", invalid="ignore")
def code_moments(rows, weights, *, model, n_rows_before=0):
    """Encode a slice of rows, dense or CSR, and return its `CodeMoments`.

    Parameters
    ----------
    rows : {ndarray, CSR} of shape (n_rows, n_features)
    weights : ndarray of shape (n_rows,) or None
    model : SparseModel
    n_rows_before : int, default=0
        Rows of the slice that precede these. Where a chunk boundary cuts a slice, the
        curvature is still computed from the first rows of the whole slice.
    """
    n_components, n_features = model.components.shape
    encoder = model.encoder.for_worker()
    n_curvature_rows = max(encoder.n_curvature_rows - n_rows_before, 0)
    cross = np.zeros((n_components, n_features))
    code_sum = np.zeros(n_components)
    decrease, statistics = 0.0, None
    curvature_weight, curvature = 0.0, np.zeros((n_components, n_components + 2))
    for block, w, projections, scratch in model.projections(rows, weights):
        first_rows = None
        if curvature_weight == 0.0:
            first_rows = projections[:n_curvature_rows].copy()
            squares = first_rows**2
            norms = squared_norms(block[: len(first_rows)], model.mean)
            residual = norms - squares.sum(axis=1)
        block_decrease, block_statistics = encoder.encode_and_sum(
            projections, scratch, w, first_rows
        )
        if first_rows is not None:
            derivatives, n_first = first_rows, len(first_rows)
            if w is not None:
                derivatives *= w[:n_first, None]
            curvature_weight = float(n_first if w is None else w[:n_first].sum())
            curvature[:, :-2] = derivatives.T @ squares
            curvature[:, -2] = np.maximum(residual, 0.0) @ derivatives
            curvature[:, -1] = derivatives.sum(axis=0)
        decrease += block_decrease
        if block_statistics is not None:
            statistics = (
                block_statistics
                if statistics is None
                else statistics + block_statistics
            )
        codes = projections
        weighted = codes if w is None else codes * w[:, None]
        # A product with ones is several times faster than a sum over the first axis.
        block_sum = np.ones(len(codes), dtype=codes.dtype) @ weighted
        code_sum += block_sum
        if sparse.issparse(block):
            cross += (block.T @ weighted).T
            if model.mean is not None:
                cross -= np.outer(block_sum, model.mean)
        else:
            cross += weighted.T @ block
    weight = float(n_rows_of(rows) if weights is None else weights.sum())
    return CodeMoments(
        weight, cross, code_sum, decrease, curvature_weight, curvature, statistics
    )


def _csr_moments(block, weights, mean, scatter):
    """Return sum, squares and scatter of CSR rows about a mean; nothing gets dense."""
    w = np.ones(n_rows_of(block))
    if weights is not None:
        w = weights.astype(np.float64, copy=False)
    raw_sum = block.T @ w
    sum_squares = float(w @ squared_norms(block, mean))
    total_scatter = None
    if scatter:
        weighted = block.multiply(w[:, None]).tocsr()
        total_scatter = (block.T @ weighted).toarray().astype(np.float64, copy=False)
    weighted_sum = raw_sum
    if mean is not None:
        weight = w.sum()
        # Of rows that are not centered, a smaller variance is a rounding error.
        resolution = np.finfo(block.dtype).eps * weight * float(mean @ mean)
        sum_squares = max(sum_squares, resolution)
        weighted_sum = raw_sum - weight * mean
        if scatter:
            cross = np.outer(raw_sum, mean)
            total_scatter += weight * np.outer(mean, mean) - cross - cross.T
    return weighted_sum, sum_squares, total_scatter
