"""Orthogonal Procrustes: the polar factor of a matrix, canonical order and signs.

The orthonormal dictionary that best reconstructs `X` from given codes `A` is the
solution of the orthogonal Procrustes problem (Schönemann, 1966): the polar factor of
the cross moment `A.T @ X`.
"""

import numpy as np
from scipy.linalg import LinAlgError, qr, svd

MAX_SINGLE_AXES = 32  # found one by one, which does not depend on rounding errors


def polar_factor(moment, reference=None):
    """Return the row-orthonormal matrix of largest inner product with a moment.

    Solves max ⟨M, D⟩ subject to D Dᵀ = I. With M = U S Vᵀ the solution is U Vᵀ, and
    ⟨M, D⟩ is the nuclear norm of M. Where M is rank-deficient the solution is not
    unique: atoms that M does not determine stay as near to `reference` as
    orthonormality allows, so that the result depends on M and `reference` alone, not on
    rounding errors.

    Parameters
    ----------
    moment : ndarray of shape (n_components, n_features)
        Any scale, any rank, n_components ≤ n_features.
    reference : ndarray of shape (n_components, n_features), default=None
        Tie-break for a rank-deficient moment; None stands for the first axes.

    Returns
    -------
    components : ndarray of shape (n_components, n_features), float64
    """
    moment = np.asarray(moment, dtype=np.float64)
    n_components, n_features = moment.shape
    left, values, right = _svd(moment)
    rank = _rank(values, moment.shape)
    if rank == n_components:
        return left @ right
    if reference is None:
        reference = np.eye(n_components, n_features)
    free = left[:, rank:]
    known = left[:, :rank] @ right[:rank]
    return known + free @ complete_orthonormal(free.T @ reference, right[:rank])


def complete_orthonormal(wanted, basis):
    """Return orthonormal rows near `wanted` that are orthogonal to the rows of `basis`.

    Directions that `wanted` does not determine are filled with coordinate axes, first
    those with the smallest projection on the rows found so far.

    Parameters
    ----------
    wanted : ndarray of shape (n_rows, n_features)
    basis : ndarray of shape (n_basis, n_features)
        Orthonormal rows, n_basis + n_rows ≤ n_features.

    Returns
    -------
    rows : ndarray of shape (n_rows, n_features)
    """
    left, values, right = _svd(_orthogonal_part(wanted, basis))
    # An absolute tolerance: rows of `wanted` have at most unit norm, and below it their
    # orthogonal parts are rounding errors.
    rank = int(np.count_nonzero(values > 1e-6))
    rows = _orthogonal_part(right[:rank], basis)
    found = np.vstack([basis, rows / np.linalg.norm(rows, axis=1, keepdims=True)])
    n_left = len(wanted) - rank
    if n_left > MAX_SINGLE_AXES:  # the complement by Householder reflections
        complement = qr(found.T, check_finite=False)[0].T[len(found) :]
        found, n_left = np.vstack([found, complement[:n_left]]), 0
    for _ in range(n_left):
        covered = np.einsum("ij,ij->j", found, found)
        axis = np.zeros((1, wanted.shape[1]))
        axis[0, np.argmin(covered.round(6))] = 1.0
        row = _orthogonal_part(axis, found)
        found = np.vstack([found, row / np.linalg.norm(row)])
    return left @ found[len(basis) :]


def canonical_order(components, moment):
    """Return the order of atoms by the energy of their codes, largest first.

    The energy of atom j is ⟨m_j, d_j⟩ = Σ_i a_ij u_ij. Atoms of equal energy, and those
    whose energy is a rounding error, keep their order.
    """
    energy = np.einsum("ij,ij->i", moment, components)
    energy[energy < 1e-9 * energy.max()] = 0.0
    return np.argsort(-energy, kind="stable")


def canonical_signs(components):
    """Return, per atom, the sign that makes its largest entry positive."""
    largest = np.argmax(np.abs(components), axis=1)
    return np.where(components[np.arange(len(components)), largest] < 0, -1.0, 1.0)


def _orthogonal_part(rows, basis):
    # Twice is enough: the second projection removes the rounding error of the first.
    for _ in range(2):
        rows = rows - (rows @ basis.T) @ basis
    return rows


def _svd(matrix):
    # Scaled so that products inside LAPACK neither overflow nor underflow.
    scale = np.max(np.abs(matrix), initial=0.0)
    if scale == 0.0:
        n_rows, n_columns = matrix.shape
        return np.eye(n_rows), np.zeros(n_rows), np.eye(n_rows, n_columns)
    scaled = matrix / scale
    try:
        return svd(scaled, full_matrices=False, check_finite=False)
    except LinAlgError:  # divide and conquer may fail where QR iteration does not
        return svd(
            scaled, full_matrices=False, check_finite=False, lapack_driver="gesvd"
        )


def _rank(values, shape):
    tolerance = np.max(values, initial=0.0) * max(shape) * np.finfo(values.dtype).eps
    return int(np.count_nonzero(values > tolerance))
