"""Missing entries: the sample that the model completes itself.

With entries missing, coefficients no longer separate: D Dᵀ = I holds for whole samples
only. What is missing is completed instead, x̂ = mean + aD where nothing was measured and
a the code of x̂, over and over: an EM algorithm for both, and a gradient step on the
objective of x̂ alone, so that Nesterov's momentum makes it fast. For hard codes the rest
is the code that costs least on what was measured; for a prior that is log-concave there
is one such point only.
"""

from dataclasses import replace
from functools import partial

import numpy as np

from skscn._core.moments import data_moments

BLOCK = 2**15  # entries completed at once
CLOSE = 1e-4  # least distance from one of what the eigenvalues of a coupling may be
SWEEPS = 500


def has_missing(X, parts):
    """Return whether dense rows hold NaN, looking at one slice at a time."""
    with np.errstate(over="ignore", invalid="ignore"):
        return any(np.isnan(X[part]).any() for part in parts if np.isnan(X[part].sum()))


def complete(rows, out, *, components, mean, code, tol=None):
    """Return a slice of rows with what is missing completed, written into `out`.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        NaN where nothing was measured.
    out : ndarray of shape (n_rows, n_features) or None
        Where it is given it holds rows that were completed before, to go on from.
    components : ndarray of shape (n_components, n_features)
        Orthonormal atoms, of the dtype of the rows.
    mean : ndarray of shape (n_features,) or None
    code : MapCode or MeanCode
    tol : float, default=None
        A row is done when no entry changes by more than this part of its largest
        distance from the mean; None stands for the rounding errors of its dtype.
    """
    mean = np.zeros(rows.shape[1], dtype=rows.dtype) if mean is None else mean
    gaps = np.isnan(rows)
    out = np.where(gaps, mean, rows) if out is None else out
    tol = 100 * np.finfo(rows.dtype).eps if tol is None else tol
    which = np.flatnonzero(gaps.any(axis=1))
    size = max(1, BLOCK // rows.shape[1])
    for start in range(0, len(which), size):
        left = which[start : start + size]
        _complete(out, left, gaps[left], components, mean, code.prepared(), tol)
    return out


def _complete(out, left, gaps, components, mean, code, tol):
    """Complete some rows of `out`, each until it rests."""
    x = ahead = out[left] - mean
    pace = np.ones((len(left), 1), dtype=x.dtype)
    for _ in range(SWEEPS):
        rebuilt = code.encode(ahead @ components.T) @ components
        change = np.where(gaps, rebuilt - ahead, 0)
        new = ahead + change
        step = new - x
        # Momentum that leads uphill is dropped.
        pace[np.einsum("ij,ij->i", change, step) < 0] = 1
        faster = (1 + np.sqrt(1 + 4 * pace**2)) / 2
        x, ahead, pace = new, new + (pace - 1) / faster * step, faster
        done = np.abs(change).max(axis=1) <= tol * np.abs(x).max(axis=1)
        if done.any():
            out[left[done]] = np.where(gaps[done], x[done] + mean, out[left[done]])
            left, gaps, x, ahead, pace = (
                array[~done] for array in (left, gaps, x, ahead, pace)
            )
        if not len(left):
            return
    out[left] = np.where(gaps, x + mean, out[left])


def couplings(slopes, gaps, components):
    """Yield how missing entries couple the coefficients of each sample.

    About the completed sample, −log p has the second derivative (I − Dᵀ S D) / σ² with
    the slopes S of the codes. Where x̂ was not measured its block is I − Vᵀ V.

    Yields
    ------
    values : ndarray of shape (n_missing,)
        Eigenvalues of I − Vᵀ V.
    vectors : ndarray of shape (n_components, n_missing)
        V times its eigenvectors.
    """
    for slope, gap in zip(slopes, gaps, strict=True):
        V = np.sqrt(slope)[:, None] * components[:, gap]
        values, vectors = np.linalg.eigh(V.T @ V)
        yield np.maximum(1.0 - values, CLOSE), V @ vectors


def log_missing_volumes(rows, *, components, mean, code):
    """Return what integrating over missing entries adds to log p of completed rows.

    The integral is Laplace's: of the Gaussian with the same second derivative.
    """
    filled = complete(rows, None, components=components, mean=mean, code=code)
    u = (filled if mean is None else filled - mean) @ components.T
    gaps = np.isnan(rows)
    volumes = gaps.sum(axis=1) / 2 * np.log(2 * np.pi * code.noise)
    for i, (values, _) in enumerate(
        couplings(code.variance(u) / code.noise, gaps, components)
    ):
        volumes[i] -= np.log(values).sum() / 2
    return filled, volumes


def wider(filled, rows, *, components, mean, code):
    """Return posterior standard deviations for rows that were completed."""
    u = (filled if mean is None else filled - mean) @ components.T
    slopes = code.variance(u) / code.noise
    variances = slopes.copy()
    pairs = couplings(slopes, np.isnan(rows), components)
    for i, (values, vectors) in enumerate(pairs):
        variances[i] *= 1.0 + (vectors**2 / values).sum(axis=1)
    return np.sqrt(code.noise * variances)


class MissingValues:
    """Data with missing entries, completed in a copy.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    weights : ndarray of shape (n_samples,) or None
    fill : callable
        Writes function(rows, rows of out) for every slice of rows into out.
    empty : bool, default=False
        Whether a feature may be missing everywhere, for a model that knows it.
    """

    def __init__(self, X, weights, fill, *, empty=False):
        self._X, self._fill = X, fill
        gaps = np.isnan(X)
        n_measured = (~gaps).sum(axis=0) if weights is None else weights @ ~gaps
        if not (empty or n_measured.all()):
            j = int(np.argmin(n_measured))
            raise ValueError(
                f"Feature {j} of X is NaN in all {len(X)} samples: nothing can be "
                "learned of it. Leave it out."
            )
        known = np.where(gaps, 0, X)
        known = known.sum(axis=0) if weights is None else weights @ known
        self.filled = np.where(
            gaps, (known / np.maximum(n_measured, 1e-300)).astype(X.dtype), X
        )
        each = gaps.sum(axis=1)
        self.n_missing = float(each.sum() if weights is None else weights @ each)

    def refill(self, *, components, mean, code, tol=1e-4):
        """Complete the data anew, from where they are."""
        dtype = self._X.dtype
        function = partial(
            complete,
            components=components.astype(dtype, copy=False),
            mean=mean.astype(dtype, copy=False),
            code=code,
            tol=tol,
        )
        self._fill(function, self._X, self.filled)

    def profiled(self, evaluate, reader, total, mean):
        """Return an objective of states alone: the least of any completion.

        Parameters
        ----------
        evaluate : callable
            Maps a state and the moments of completed data to an `Evaluation`.
        reader : callable
            Maps a state to the mean of its model and its code.
        total : callable
            Sums a function of (rows, weights) over the completed data.
        mean : ndarray of shape (n_features,)
        """

        def profile(state):
            return evaluate(state, self.completed(state, reader, total, mean))

        return profile

    def completed(self, state, reader, total, mean):
        """Complete the data as a state does, and return their moments about a mean."""
        point, code = reader(state)
        self.refill(components=state.components, mean=point, code=code)
        data = total(partial(data_moments, mean=mean.astype(self._X.dtype)))
        return replace(data, missing=self.n_missing)
