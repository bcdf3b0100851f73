"""What a coder asks of its parameters, and the errors that say so."""

import warnings
from numbers import Integral

import numpy as np
from scipy.sparse import issparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import assert_all_finite, check_array

ORTHONORMAL = 1e-4  # how far D Dᵀ of a given dictionary may be from the identity


def check_integers(**counts):
    """Raise where a count is no integer, or below its least value.

    Each is given as (value, least).
    """
    for name, (value, least) in counts.items():
        if not isinstance(value, Integral) or value < least:
            raise ValueError(
                f"{name}={value!r} must be an integer of at least {least}."
            )


def check_n_components(n_components, n_features, start=None):
    """Return the number of atoms; None stands for that of a start, or n_features."""
    if n_components is None:
        n_components = n_features if start is None else len(start)
    if n_components > n_features:
        raise ValueError(
            f"n_components={n_components} must be at most n_features={n_features}: "
            "orthonormal atoms cannot outnumber features. Use n_components="
            f"{n_features} or less, or several coders side by side in a FeatureUnion."
        )
    if start is not None and len(start) != n_components:
        raise ValueError(
            f"The dictionary to start from has {len(start)} atoms, but n_components="
            f"{n_components}. Make them equal."
        )
    return n_components


def check_initial_dictionary(start, n_features):
    """Return a dictionary that is given as an array, or None for a name."""
    if isinstance(start, str):
        return None
    start = check_array(start, dtype=np.float64, input_name="init")
    if start.shape[1] != n_features:
        raise ValueError(
            f"The dictionary to start from has {start.shape[1]} features, but X has "
            f"n_features={n_features}."
        )
    if len(start) <= n_features:  # else check_n_components has the plainer complaint
        gap = np.abs(start @ start.T - np.eye(len(start))).max()
        if gap > ORTHONORMAL:
            raise ValueError(
                f"The rows of init must be orthonormal, but init @ init.T differs by "
                f"{gap:.3g} from the identity. scipy.linalg.polar(init, side='left')[0]"
                " is the nearest orthonormal dictionary."
            )
    return start


def check_alpha(alpha, n_components, dtype):
    """Return one finite, non-negative threshold per coefficient."""
    alpha = np.asarray(alpha, dtype=np.float64)
    if alpha.ndim and alpha.shape != (n_components,):
        raise ValueError(
            f"alpha has shape {alpha.shape}, but one prior per coefficient has shape "
            f"(n_components,) = ({n_components},). Give a number or such an array."
        )
    if not np.all(np.isfinite(alpha) & (alpha >= 0)):
        raise ValueError(
            f"alpha must be finite and not negative, but its entries range from "
            f"{alpha.min()} to {alpha.max()}."
        )
    with np.errstate(over="ignore"):
        cast = np.full(n_components, alpha, dtype=dtype)
        if not np.isfinite(cast**2).all():
            raise ValueError(
                f"The square of alpha, up to {alpha.max():.3g}, overflows "
                f"{cast.dtype}, the type of X: choose a smaller alpha."
            )
    return cast


def check_no_sparse_nan(X):
    """Raise where CSR rows hold NaN: what is not stored there is zero, not missing."""
    if issparse(X) and np.isnan(X.data).any():
        raise ValueError(
            f"X is sparse and holds {np.count_nonzero(np.isnan(X.data))} NaN. Missing "
            "entries are completed in dense X only: use X.toarray()."
        )


def check_only_missing(rows, estimator):
    """Return rows without finite codes; raise where it is not for something missing."""
    with np.errstate(invalid="ignore"):  # it adds infinities of both signs
        assert_all_finite(
            rows,
            allow_nan=True,
            estimator_name=type(estimator).__name__,
            input_name="X",
        )
    whole = rows[~np.isnan(rows).any(axis=1)]
    if len(whole):
        raise ValueError(
            f"The projections of X, with entries up to {np.abs(whole).max():.3g}, "
            f"overflow {rows.dtype}. Scale X as the training data were."
        )
    return rows


def check_squares(square, dtype):
    """Raise where the squares of the data overflow their dtype."""
    if not np.isfinite(square):
        raise ValueError(
            f"The squares of the entries of X overflow {dtype}. Scale X, for instance "
            "with sklearn.preprocessing.StandardScaler."
        )


def warn_not_converged(tol, unit, max_iter):
    """Warn that learning ended before it came to rest."""
    warnings.warn(
        f"The objective still falls by more than {tol:g} {unit} after "
        f"max_iter={max_iter} iterations. Increase max_iter.",
        ConvergenceWarning,
        stacklevel=4,
    )


def warn_zero_codes(alpha, size):
    """Warn that an alpha is above every projection of data of some size."""
    warnings.warn(
        f"All codes of the training data are zero: alpha={alpha} is above every "
        "projection. The rows that are projected on the atoms have root mean square "
        f"{size:.3g} about their mean; choose an alpha of that order or below.",
        stacklevel=4,
    )
