"""Checks of parameters and data of coders, and their errors and warnings."""

from contextlib import contextmanager
from numbers import Integral

import numpy as np
from scipy.sparse import issparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import assert_all_finite

from skscn._core.caller_warnings import warn_caller
from skscn._core.sparse_model import MAX_BLOCK_ROWS
from skscn._data.sklearn_compat import check_array

# Largest deviation of D Dᵀ from the identity in a dictionary that a user gives.
ORTHONORMALITY_TOL = 1e-4
# Data whose entries are all smaller are refused: their squares and, in float64, the
# lower bound of their noise variance lose digits.
MIN_ABS_VALUE = {np.dtype(np.float32): 1e-17, np.dtype(np.float64): 1e-142}


def compute_dtype(dtype):
    """Return float32 where it holds all values of a dtype, and otherwise float64."""
    return np.dtype(np.float32 if np.can_cast(dtype, np.float32) else np.float64)


def cast(values, dtype, name):
    """Return values in another dtype; raise where it cannot hold them.

    Floats may be rounded, but not to infinity. Other values must stay what they are:
    integers may not wrap around, and strings may not be cut.
    """
    if np.can_cast(values.dtype, dtype, "safe"):
        return values.astype(dtype, copy=False)
    with np.errstate(over="ignore", invalid="ignore"):
        converted = values.astype(dtype)
        if values.dtype.kind in "fc" and dtype.kind == values.dtype.kind:
            is_held = np.array_equal(np.isfinite(converted), np.isfinite(values))
        else:
            is_held = np.array_equal(converted.astype(values.dtype), values)
    if not is_held:
        raise ValueError(
            f"{name} have values that dtype {dtype} cannot hold. Use dtype "
            f"{values.dtype}."
        )
    return converted


def check_integers(**integers):
    """Raise where a number is not an integer, or below its minimum.

    Each is given as (value, minimum).
    """
    for name, (value, minimum) in integers.items():
        if not isinstance(value, Integral) or value < minimum:
            raise ValueError(
                f"{name}={value!r} must be an integer of at least {minimum}."
            )


def check_sides(value, name, n_axes, minimum=1):
    """Return a parameter as one integer for each axis.

    Parameters
    ----------
    value : int or sequence of int
        One integer is used for all axes.
    name : str
    n_axes : int or tuple of int
        Number of axes, or the possible numbers; one integer is used for the first.
    minimum : int, default=1
    """
    n_axes = np.atleast_1d(n_axes).tolist()
    sides = tuple(value) if np.ndim(value) else (value,) * n_axes[0]
    are_integers = all(isinstance(side, Integral) for side in sides)
    if len(sides) not in n_axes or not are_integers or min(sides) < minimum:
        raise ValueError(
            f"{name}={value!r} must be one integer for all axes or "
            f"{' or '.join(map(str, n_axes))} integers, each at least {minimum}."
        )
    return tuple(map(int, sides))


def check_n_components(n_components, n_features, init=None):
    """Return the number of atoms; None stands for that of `init`, or n_features.

    `init` is the name of an initial dictionary or an array.
    """
    n_given = None if init is None or isinstance(init, str) else len(init)
    if n_components is None:
        n_components = n_given or n_features
    if n_components > n_features:
        raise ValueError(
            f"n_components={n_components} must be at most n_features={n_features}: "
            "orthonormal atoms cannot outnumber features. Use n_components="
            f"{n_features} or less, or a mixture of several dictionaries."
        )
    if n_given is not None and n_given != n_components:
        raise ValueError(
            f"The dictionary to start from has {n_given} atoms, but n_components="
            f"{n_components}. Make them equal."
        )
    return n_components


def check_same_shape(components, n_components, n_features=None, *, remedy):
    """Raise where a fitted dictionary has another shape than what is to be learned.

    `n_components` may be None.
    """
    n_atoms, n_before = components.shape
    if n_components is not None and n_components != n_atoms:
        raise ValueError(
            f"n_components={n_components} was changed: the fitted dictionary has "
            f"{n_atoms} atoms. {remedy}"
        )
    if n_features is not None and n_features != n_before:
        raise ValueError(
            f"X has n_features={n_features}, but the fitted dictionary has "
            f"{n_before}. {remedy}"
        )


def check_initial_dictionary(init, n_features):
    """Return the name of an initial dictionary, or an array that is orthonormal."""
    if isinstance(init, str):
        return init
    init = check_array(init, dtype=np.float64, input_name="init")
    if init.shape[1] != n_features:
        raise ValueError(
            f"The dictionary to start from has {init.shape[1]} features, but X has "
            f"n_features={n_features}."
        )
    if len(init) <= n_features:  # otherwise the error of check_n_components is clearer
        error = np.abs(init @ init.T - np.eye(len(init))).max()
        if error > ORTHONORMALITY_TOL:
            raise ValueError(
                f"The rows of init must be orthonormal, but init @ init.T differs by "
                f"{error:.3g} from the identity. "
                "scipy.linalg.polar(init, side='left')[0] is the nearest orthonormal "
                "dictionary."
            )
    return init


def check_norms(X, noise_variance):
    """Raise a ValueError for rows whose log-likelihoods leave the range of float64.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_rows, n_features)
        NaN does not count. Other arrays, and float32, are not looked at.
    noise_variance : float or ndarray
        Of the models, by which squared norms are divided.
    """
    values = X.data if issparse(X) else X
    if not isinstance(values, np.ndarray) or values.dtype != np.float64:
        return
    largest = np.fmax.reduce(values, axis=None, initial=0.0)
    largest = max(largest, -np.fmin.reduce(values, axis=None, initial=0.0))
    unit = min(1.0, float(np.min(noise_variance)) or 1.0)
    # Rows are centered before they are squared.
    limit = np.sqrt(np.finfo(np.float64).max / X.shape[1]) * np.sqrt(unit) / 4
    if largest > limit:
        raise ValueError(
            "The squared norms of rows leave the range of float64: the entries of X "
            f"are up to {largest:.3g}, and may be up to {limit:.3g}. Multiply X by a "
            "constant, so that they are about 1."
        )


@contextmanager
def watch_range(X, name):
    """Yield a function that raises ValueError for results that are not finite.

    The results are computed from X within the context, in which NumPy does not warn.
    They are only looked at if an operation overflowed, or divided by zero.

    Parameters
    ----------
    X : {array-like, CSR}
        NaN in X may be NaN in the results.
    name : str
        Of the results, in the error.
    """
    flags: list = []

    def check_results(results):
        if not flags:
            return
        values, results = (
            each.tocsr().data if issparse(each) else np.asarray(each)
            for each in (X, results)
        )
        is_finite = np.isfinite(values)
        n_bad = results.size - np.count_nonzero(np.isfinite(results))
        if n_bad > values.size - np.count_nonzero(is_finite):
            largest = np.max(np.abs(values), where=is_finite, initial=0.0)
            raise ValueError(
                f"The {name} leave the range of {results.dtype}: the entries of X are "
                f"up to {largest:.3g}. Multiply X by a constant, so that they are "
                "about 1."
            )

    def record(kind, flag):
        flags.append(kind)

    with np.errstate(over="call", divide="call", invalid="call", call=record):
        yield check_results


def check_alpha(alpha, n_components, dtype, *, name="alpha"):
    """Return one finite, non-negative threshold for every coefficient."""
    alpha = np.asarray(alpha, dtype=np.float64)
    if alpha.ndim and alpha.shape != (n_components,):
        raise ValueError(
            f"{name} has shape {alpha.shape}, but one prior per coefficient has shape "
            f"(n_components,) = ({n_components},). Give a number or such an array."
        )
    if not np.all(np.isfinite(alpha) & (alpha >= 0)):
        raise ValueError(
            f"{name} must be finite and not negative, but its entries range from "
            f"{alpha.min()} to {alpha.max()}."
        )
    with np.errstate(over="ignore"):
        thresholds = np.full(n_components, alpha, dtype=dtype)
        if not np.isfinite(thresholds**2).all():
            raise ValueError(
                f"The square of {name}, up to {alpha.max():.3g}, overflows "
                f"{thresholds.dtype}, the type of X: choose a smaller {name}."
            )
    return thresholds


def check_code_limit(n_nonzero_coefs, inference, *, learns_prior):
    """Raise where the number of non-zero coefficients cannot be limited."""
    if n_nonzero_coefs is None:
        return
    check_integers(n_nonzero_coefs=(n_nonzero_coefs, 1))
    if learns_prior:
        raise ValueError(
            f"n_nonzero_coefs={n_nonzero_coefs} limits the codes of given thresholds, "
            'but alpha="auto" learns the prior from the data. Use a number as alpha, '
            "such as alpha=0, or n_nonzero_coefs=None."
        )
    if inference != "map":
        raise ValueError(
            f"n_nonzero_coefs={n_nonzero_coefs} limits posterior modes, but inference="
            f"{inference!r} returns posterior means, which are never zero. Use "
            'inference="map", or n_nonzero_coefs=None.'
        )


def check_no_sparse_nan(X):
    """Raise where CSR holds NaN: an entry that is not stored is zero, not missing."""
    if issparse(X) and np.isnan(X.data).any():
        raise ValueError(
            f"X is sparse and holds {np.count_nonzero(np.isnan(X.data))} NaN. Missing "
            "values are imputed in dense X only: use X.toarray()."
        )


def check_only_missing(rows, estimator):
    """Return rows without finite codes; raise where NaN in them is not the reason."""
    with np.errstate(invalid="ignore"):  # it adds infinities of both signs
        assert_all_finite(
            rows,
            allow_nan=True,
            estimator_name=type(estimator).__name__,
            input_name="X",
        )
    complete = rows[~np.isnan(rows).any(axis=1)]
    if len(complete):
        raise ValueError(
            f"The projections of X, with entries up to {np.abs(complete).max():.3g}, "
            f"overflow {rows.dtype}. Scale X as the training data were."
        )
    return rows


def check_squares(mean_square_norm, dtype):
    """Raise where squares of the data, summed over a block of rows, overflow."""
    if not mean_square_norm < float(np.finfo(dtype).max) / MAX_BLOCK_ROWS:
        raise ValueError(
            f"The squares of the entries of X overflow {dtype}. Scale X, for instance "
            "with sklearn.preprocessing.StandardScaler."
        )


def check_not_tiny(mean_square, max_abs, dtype):
    """Raise where the squares of the data underflow their dtype.

    `max_abs` returns the largest absolute value; it is only called where the mean
    square is small.
    """
    smallest = MIN_ABS_VALUE[np.dtype(dtype)]
    if mean_square >= smallest**2:
        return
    largest = max_abs()
    if 0.0 < largest < smallest:
        raise ValueError(
            f"The entries of X are at most {largest:.3g} in absolute value, and their "
            f"squares underflow {np.dtype(dtype)}. Multiply X by a constant, so that "
            f"its entries are larger than {smallest:.1g}."
        )


def warn_not_converged(tol, unit, max_iter):
    """Warn that learning ended before it converged."""
    warn_caller(
        f"The objective still decreases by more than {tol:g} {unit} after "
        f"max_iter={max_iter} iterations. Increase max_iter.",
        ConvergenceWarning,
    )


def warn_stalled(n_iter, dtype):
    """Warn that rounding errors ended learning before it converged."""
    remedy = "Convert X to float64." if dtype == np.float32 else "Scale the features."
    warn_caller(
        f"Learning stopped after {n_iter} iterations, before it converged: rounding "
        f"errors of {np.dtype(dtype)} hide any further decrease of the objective. "
        f"{remedy}",
        ConvergenceWarning,
    )


def warn_zero_codes(alpha, rms):
    """Warn that alpha exceeds every projection of data of some root mean square."""
    warn_caller(
        f"All codes of the training data are zero: alpha={alpha} is above every "
        "projection. The rows that are projected on the atoms have root mean square "
        f"{rms:.3g} about their mean; choose an alpha of that order or below.",
    )


def warn_unused_dictionaries(n_samples):
    """Warn of dictionaries of a mixture with less than one sample."""
    n_unused = np.count_nonzero(n_samples < 1.0)
    if n_unused:
        warn_caller(
            f"{n_unused} of {len(n_samples)} dictionaries have less than one sample. "
            "Use a smaller n_dictionaries.",
            ConvergenceWarning,
        )
