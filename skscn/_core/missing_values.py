"""Missing values: imputed in learning, integrated over in likelihoods.

With entries missing, coefficients no longer separate, because D Dᵀ = I holds for
complete samples only. The posterior mode is found by imputation: x̂ = mean + aD where
nothing was measured, with a the code of x̂, repeatedly. This is a gradient step on the
objective of x̂ alone, so that Nesterov's momentum and Newton's method accelerate it. The
result is the code of smallest objective on the measured entries; for a log-concave
prior there is only one. Likelihoods and posterior means are those of expectation
propagation (`skscn._core.expectation_propagation`).
"""

import numpy as np
from scipy import sparse

from skscn._core.caller_warnings import warn_caller
from skscn._core.encoders import MapEncoder
from skscn._core.expectation_propagation import approximate_posterior

BLOCK_ENTRIES = 2**15  # imputed at once
MAX_LEARNING_SWEEPS = 500  # of one pass; the next pass goes on
N_FIRST_SWEEPS = 20  # before Newton's method, which converges near the fixed point
MAX_NEWTON_STEPS = 30
MAX_SWEEPS = 2000  # of rows that Newton's method does not solve
ROUNDING_UNITS = 100  # of changes that are rounding errors
SYSTEM_ENTRIES = 2**21  # in the linear systems that are solved together
INITIAL_DAMPING, MIN_DAMPING = 1e-3, 1e-12  # of Newton's method


def has_missing(X, parts):
    """Return whether dense rows hold NaN, one slice of rows at a time."""
    with np.errstate(over="ignore", invalid="ignore"):
        return any(np.isnan(X[part]).any() for part in parts if np.isnan(X[part].sum()))


def impute_rows(rows, out=None, *, model, tol=None):
    """Return a slice of rows with imputed missing entries, written into `out`.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        NaN where nothing was measured.
    out : ndarray of shape (n_rows, n_features), default=None
        Rows that were imputed before, from which the iteration starts. None starts from
        the mean.
    model : SparseModel
        In the dtype of the rows.
    tol : float, default=None
        A row is done when no entry changes by more than this fraction of its largest
        distance from the mean. None solves for the limit, up to rounding errors.
    """
    mean = model.mean
    mean = np.zeros(rows.shape[1], dtype=rows.dtype) if mean is None else mean
    missing = np.isnan(rows)
    out = np.where(missing, mean, rows) if out is None else out
    which = np.flatnonzero(missing.any(axis=1))
    size = max(1, BLOCK_ENTRIES // rows.shape[1])
    for start in range(0, len(which), size):
        block = which[start : start + size]
        iteration = _Imputation(model, missing[block], out[block] - mean)
        if tol is None:
            iteration.converge(ROUNDING_UNITS * np.finfo(rows.dtype).eps)
        else:
            iteration.accelerate(np.arange(len(block)), tol, MAX_LEARNING_SWEEPS)
        out[block] = np.where(missing[block], iteration.x + mean, out[block])
    return out


class _Imputation:
    """Rows x = x̂ − mean on their way to the fixed point of their missing entries.

    Parameters
    ----------
    model : SparseModel
    missing : ndarray of bool of shape (n_rows, n_features)
    x : ndarray of shape (n_rows, n_features)
        Overwritten.
    """

    def __init__(self, model, missing, x):
        self.atoms, self.encoder = model.components, model.encoder.for_worker()
        self.missing, self.x = missing, x

    def change(self, x, missing):
        """Return the change of missing entries by one step, and the projections."""
        u = x @ self.atoms.T
        reconstruction = self.encoder.encode(u.copy()) @ self.atoms
        return np.where(missing, reconstruction - x, 0), u

    def converge(self, tol):
        """Iterate every row until it has converged, or warn."""
        rows = self.accelerate(np.arange(len(self.x)), tol, N_FIRST_SWEEPS)
        rows = self.solve(np.arange(len(self.x)), tol)
        rows = self.accelerate(rows, tol, MAX_SWEEPS) if len(rows) else rows
        if len(rows):
            warn_caller(
                f"The imputation of {len(rows)} of {len(self.x)} rows with missing "
                "values did not converge: their measured values hardly determine the "
                "codes. Use fewer atoms or a larger alpha.",
                RuntimeWarning,
            )

    def accelerate(self, running, tol, n_sweeps):
        """Iterate rows with momentum, each until it changes by less than `tol`.

        Returns the rows that have not converged.
        """
        x = extrapolated = self.x[running]
        momentum = np.ones((len(x), 1), dtype=x.dtype)
        for _ in range(n_sweeps):
            missing = self.missing[running]
            change, _ = self.change(extrapolated, missing)
            new = extrapolated + change
            step = new - x
            # Momentum restarts where it increases the objective.
            momentum[np.einsum("ij,ij->i", change, step) < 0] = 1
            next_momentum = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            extrapolated = new + (momentum - 1) / next_momentum * step
            x, momentum = new, next_momentum
            self.x[running] = x
            left = np.abs(change).max(axis=1) > tol * np.abs(x).max(axis=1)
            running, x, extrapolated, momentum = (
                array[left] for array in (running, x, extrapolated, momentum)
            )
            if not len(running):
                break
        return running

    def solve(self, running, tol):
        """Solve for the fixed point by a regularized Newton's method.

        The step of the missing entries is (I + μ − Dᵀ S D)⁻¹ times their change, with
        the derivatives S of the codes, restricted to missing entries. The damping μ of
        a row is divided by ten after a step that makes its change smaller; other steps
        are replaced by plain ones, and their damping is multiplied by ten. Returns the
        rows that have not converged.
        """
        damping = np.full(len(self.x), INITIAL_DAMPING)
        for _ in range(MAX_NEWTON_STEPS):
            x, missing = self.x[running], self.missing[running]
            change, u = self.change(x, missing)
            step = self._newton_step(change, u, missing, damping[running])
            next_change, _ = self.change(x + step, missing)
            is_smaller = np.linalg.norm(next_change, axis=1) < np.linalg.norm(
                change, axis=1
            )
            step = np.where(is_smaller[:, None], step, change)
            damping[running] *= np.where(is_smaller, 0.1, 10.0)
            np.clip(damping, MIN_DAMPING, 1.0, out=damping)
            self.x[running] = x + step
            left = np.abs(step).max(axis=1) > tol * np.abs(x + step).max(axis=1)
            running = running[left]
            if not len(running):
                break
        return running

    def _newton_step(self, change, u, missing, damping):
        """Return the Newton steps, by systems of the size of the codes.

        (δ − Dᵀ S D)⁻¹ = (I + Dᵀ (δ − S G)⁻¹ S D) / δ with δ = 1 + μ and G = D Dᵀ over
        missing entries.
        """
        atoms, n_components = self.atoms, len(self.atoms)
        derivative = self.encoder.derivative(u).astype(u.dtype)
        right = derivative * (change @ atoms.T)
        step, diagonal = change.copy(), np.arange(n_components)
        size = max(1, SYSTEM_ENTRIES // n_components**2)
        for start in range(0, len(change), size):
            part = slice(start, start + size)
            gram = (missing[part, None, :] * atoms) @ atoms.T
            system = -derivative[part, :, None] * gram
            system[:, diagonal, diagonal] += 1.0 + damping[part, None]
            codes = np.linalg.solve(system, right[part, :, None])[:, :, 0]
            step[part] += np.where(missing[part], codes.astype(u.dtype) @ atoms, 0)
        return step / (1.0 + damping[:, None]).astype(u.dtype)


def encode_with_missing(rows, out=None, *, model):
    """Return the codes of rows with missing entries, written into `out`.

    The posterior mode is the code of smallest objective on the measured entries. The
    posterior mean is that of expectation propagation.
    """
    if isinstance(model.encoder, MapEncoder):
        return model.encode(impute_rows(rows, model=model), out)
    if out is None:
        out = np.empty((len(rows), len(model.components)), rows.dtype)
    out[:] = approximate_posterior(rows, model.astype(np.float64))[1]
    return out


def encode_to_csr_with_missing(rows, _=None, *, model):
    """Return the codes of rows, some of which have missing entries, as CSR."""
    codes = model.encode(rows)
    which = np.flatnonzero(np.isnan(codes[:, 0]))
    if len(which):
        codes[which] = encode_with_missing(rows[which], model=model)
    return sparse.csr_array(codes)


def reconstruct_missing(rows, out=None, *, model):
    """Return rows whose missing entries are those of their reconstruction."""
    out = rows.copy() if out is None else out
    which = np.flatnonzero(np.isnan(rows).any(axis=1))
    if len(which):
        codes = encode_with_missing(rows[which], model=model)
        reconstruction = codes @ model.components
        if model.mean is not None:
            reconstruction += model.mean
        missing = np.isnan(rows[which])
        out[which] = np.where(missing, reconstruction, rows[which])
    return out


def log_likelihood_with_missing(rows, out=None, *, model):
    """Return log p of the measured entries of rows.

    It is exact for complete rows, and that of expectation propagation for others.
    """
    log_likelihood = model.log_likelihood(rows, out)
    which = np.flatnonzero(np.isnan(log_likelihood))
    if len(which):
        log_likelihood[which] = approximate_posterior(rows[which], model)[0]
    return log_likelihood


def posterior_std_with_missing(rows, out=None, *, model):
    """Return posterior standard deviations; missing entries widen them."""
    std = model.posterior_std(rows, out)
    which = np.flatnonzero(np.isnan(std[:, 0]))
    if len(which):
        model = model.astype(np.float64)
        std[which] = approximate_posterior(rows[which], model)[2]
    return std


@np.errstate(over="ignore", invalid="ignore")
def check_measured(n_measured, n_samples):
    """Raise where a feature is missing in all samples."""
    if not n_measured.all():
        j = int(np.argmin(n_measured))
        raise ValueError(
            f"Feature {j} of X is NaN in all {n_samples} samples, so that nothing can "
            "be learned about it. Remove it from X, or give more samples at first."
        )


def impute_means(X, weights, *, allow_empty=False):
    """Return X with missing entries replaced by the means of their features.

    Means that overflow are infinite, for the caller to check.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    weights : ndarray of shape (n_samples,) or None
    allow_empty : bool, default=False
        Whether a feature may be missing in all samples, for a model that knows it.

    Returns
    -------
    imputed : ndarray of shape (n_samples, n_features)
    missing_weight : float
        Σ w of the missing entries.
    """
    missing = np.isnan(X)
    w = np.ones(len(X)) if weights is None else weights.astype(np.float64)
    n_measured = w @ ~missing
    if not allow_empty:
        check_measured(n_measured, len(X))
    measured = np.where(missing, 0, X)
    total = np.einsum("i,ij->j", w, measured)  # in float64
    is_measured = n_measured > 0
    mean = np.divide(total, n_measured, out=np.zeros_like(total), where=is_measured)
    missing_weight = float(w @ missing.sum(axis=1))
    return np.where(missing, mean.astype(X.dtype), X), missing_weight
