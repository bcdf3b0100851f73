"""Codes of both signs as non-negative codes: positive and negative parts."""

import numpy as np
from scipy import sparse

from skscn._core.marginals import positive_part


def encode_and_split(rows, out=None, *, encode):
    """Return both parts of the codes encode(rows), which are dense or CSR.

    Dense parts are written into `out`.
    """
    codes = encode(rows)
    return _split_csr(codes) if sparse.issparse(codes) else split_signs(codes, out)


def split_signs(codes, out):
    """Return max(a, 0) and max(−a, 0) of dense codes a, side by side.

    Parameters
    ----------
    codes : ndarray of shape (n_rows, n_components)
        Overwritten.
    out : ndarray of shape (n_rows, 2 * n_components)
        Where the parts are written.
    """
    n_components = codes.shape[1]
    positive_part(codes, out=out[:, :n_components])
    positive_part(np.negative(codes, out=codes), out=out[:, n_components:])
    return out


def split_array_api(xp, codes):
    """Return both parts of codes, as a new array of a namespace `xp`."""
    zeros = xp.zeros_like(codes)
    return xp.concat([xp.maximum(codes, zeros), xp.maximum(-codes, zeros)], axis=1)


def _split_csr(codes):
    n_rows, n_components = codes.shape
    columns = np.where(codes.data < 0, codes.indices + n_components, codes.indices)
    parts = sparse.csr_array(
        (np.abs(codes.data), columns, codes.indptr), shape=(n_rows, 2 * n_components)
    )
    parts.sort_indices()
    return parts
