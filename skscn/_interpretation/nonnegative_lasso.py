"""Non-negative codes for atoms that are not orthonormal, exact or after a few steps.

For unit atoms D with the Gram matrix G = D Dᵀ and the projections u = x Dᵀ, the
objective of a non-negative code a is, up to the constant ½‖x‖²,

    ½‖x − aD‖² + Σ_j λ_j a_j  =  ½ a G aᵀ − v·a,    v = u − λ,    a ≥ 0.

It depends on the sample and on the priors through v alone, the pre-activation of a ReLU
layer. For G = I the minimizer is max(v, 0). For other G this is the starting point.
"""

import numpy as np
from scipy.optimize import linprog

from skscn._core.marginals import positive_part

BLOCK_ROWS = 256  # rows that are solved together, so that they stay in cache
MAX_SWEEPS = 32  # of coordinate descent; rows that need more get the active set method
SUPPORT_SWEEP = 16  # the sweep after which the equations of the supports are solved
MAX_EXCHANGES = 4  # of coefficients in a support with coefficients outside
MAX_SYSTEM_NUMBERS = 2**20  # in the matrices of these equations, 8 MB
CHECK_INTERVAL = 4  # sweeps from one test of convergence to the next
RIDGE = 1e-13  # on the diagonal of linear systems: atoms may be linearly dependent


def exact_codes(preactivations, gram, *, tol=1e-6, max_iter=1000):
    """Return the codes that minimize ½ a G aᵀ − v·a over a ≥ 0, row by row.

    Cyclic coordinate descent updates all rows together. A row has converged when no
    update of a single coefficient would exceed `tol` times the median |v| of the row.
    Descent is slow for nearly dependent atoms, but finds early which coefficients are
    not zero. Their linear equations are solved, and the solution is taken if it is
    optimal. The active set method of Lawson and Hanson solves the remaining rows.

    Parameters
    ----------
    preactivations : ndarray of shape (n_samples, n_components)
        v = (x − mean) Dᵀ − λ.
    gram : ndarray of shape (n_components, n_components)
        D Dᵀ, with ones on its diagonal. A zero there stands for an atom that is zero:
        its coefficient is max(v, 0).
    tol : float, default=1e-6
    max_iter : int, default=1000
        Maximum number of sweeps, and of steps of the active set method.

    Returns
    -------
    codes : ndarray of shape (n_samples, n_components), float64
    converged : ndarray of shape (n_samples,), bool
    """
    codes = np.maximum(preactivations, 0).astype(np.float64, copy=False)
    converged = np.ones(len(codes), dtype=bool)
    used = np.flatnonzero(np.diag(gram) > 0)
    if not len(used):
        return codes, converged
    gram = np.asarray(gram, dtype=np.float64)[np.ix_(used, used)]
    for start in range(0, len(codes), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        v = np.ascontiguousarray(preactivations[block][:, used].T, dtype=np.float64)
        block_codes, converged[block] = _minimize(v, gram, tol, max_iter)
        codes[block, used] = block_codes.T
    return codes, converged


def _minimize(v, gram, tol, max_iter):
    """Return codes, and whether they have converged; a column is a row of data."""
    codes = np.maximum(v, 0.0)
    # The median is robust: an atom of tiny norm may have a huge prior.
    magnitude = np.abs(v)
    median = np.median(magnitude, axis=0)
    bounds = tol * np.where(median > 0, median, magnitude.max(axis=0))
    running = np.flatnonzero(_largest_updates(codes, v, gram) > bounds)
    a, target = codes[:, running], v[:, running]
    for sweep in range(1, min(max_iter, MAX_SWEEPS) + 1):
        if not len(running):
            break
        for j, row in enumerate(gram):
            a[j] += target[j] - row @ a  # G_jj = 1
            np.maximum(a[j], 0.0, out=a[j])
        if sweep == SUPPORT_SWEEP:
            _solve_supports(a, target, gram, bounds[running])
        if sweep % CHECK_INTERVAL == 0:
            keep = _largest_updates(a, target, gram) > bounds[running]
            codes[:, running] = a
            running, a, target = running[keep], a[:, keep], target[:, keep]
    codes[:, running] = a
    for i in running:
        codes[:, i] = _active_set(v[:, i], gram, bounds[i], max_iter)
    return codes, _largest_updates(codes, v, gram) <= bounds


def _largest_updates(a, v, gram):
    """Return the largest update of a single coefficient of every column."""
    updates = np.maximum(a + v - gram @ a, 0.0) - a
    return np.max(np.abs(updates), axis=0, initial=0.0)


def _solve_supports(a, v, gram, bounds):
    """Overwrite columns of a whose support has an optimal solution."""
    remaining, support = np.arange(a.shape[1]), a > 0
    for _ in range(MAX_EXCHANGES):
        target, bound = v[:, remaining], bounds[remaining]
        solution = _solve_systems(support, target, gram)
        is_wrong = np.where(support, solution < 0, target - gram @ solution > bound)
        is_done = ~is_wrong.any(axis=0)
        is_done &= _largest_updates(solution, target, gram) <= bound
        a[:, remaining[is_done]] = solution[:, is_done]
        if is_done.all():
            break
        # Negative coefficients leave the support, and those that would grow enter it.
        remaining, support = remaining[~is_done], (support ^ is_wrong)[:, ~is_done]


def _solve_systems(support, v, gram):
    """Return coefficients for which the gradient is zero on every support."""
    solution = np.zeros(v.shape)
    sizes = support.sum(axis=0)
    order = np.argsort(sizes, kind="stable")
    n_columns = max(1, MAX_SYSTEM_NUMBERS // max(int(sizes[order[-1]]), 1) ** 2)
    for start in range(0, len(order), n_columns):
        columns = order[start : start + n_columns]
        size = sizes[columns[-1]]
        # Small systems are padded with the identity to the largest size.
        index = np.argsort(~support[:, columns].T, axis=1, kind="stable")[:, :size]
        is_inside = np.arange(size) < sizes[columns, None]
        system = gram[index[:, :, None], index[:, None, :]]
        system *= is_inside[:, :, None] & is_inside[:, None, :]
        diagonal = np.arange(size)
        system[:, diagonal, diagonal] += ~is_inside + RIDGE
        right = np.where(is_inside, v[index, columns[:, None]], 0.0)
        values = np.linalg.solve(system, right[:, :, None])[:, :, 0]
        solution[index, columns[:, None]] = values
    return solution


def _active_set(v, gram, bound, max_iter):
    """Return the minimizer for one row. The objective decreases in every step."""
    # Start from zero: the support of another point may hold dependent atoms.
    a, support = np.zeros(len(v)), np.zeros(len(v), dtype=bool)
    excluded = np.zeros(len(v), dtype=bool)
    for _ in range(max_iter):
        gradient = np.where(support | excluded, 0.0, v - gram @ a)
        entering = np.argmax(gradient)
        if gradient[entering] <= bound:
            break
        support[entering] = True
        solution = _solve_system(support, v, gram)
        if solution[entering] <= 0:  # a rounding error: it should grow
            support[entering], excluded[entering] = False, True
            continue
        while (is_negative := solution < 0).any():  # stop at the first zero
            steps = np.full(len(a), np.inf)
            steps[is_negative] = a[is_negative] / (a - solution)[is_negative]
            step = np.min(steps)
            a = np.maximum(a + step * (solution - a), 0.0)
            support &= steps > step
            a[~support] = 0.0
            solution = _solve_system(support, v, gram)
        a = solution
        excluded[:] = False
    return a


def _solve_system(support, v, gram):
    """Return coefficients for which the gradient is zero on one support."""
    system = gram[np.ix_(support, support)] + RIDGE * np.eye(support.sum())
    solution = np.zeros(len(v))
    solution[support] = np.linalg.solve(system, v[support])
    return solution


def unrolled_codes(preactivations, gram, n_steps):
    """Return the codes after some proximal gradient steps from max(v, 0).

    A step is a ← max(a − (aG − v)/L, 0), with the largest eigenvalue L of G. It never
    increases the objective.

    Parameters
    ----------
    preactivations, gram
        As for `exact_codes`.
    n_steps : int

    Returns
    -------
    codes : ndarray of shape (n_samples, n_components)
        Of the dtype of `preactivations`.
    """
    v = preactivations
    codes = np.maximum(v, 0)
    lipschitz = max(float(np.linalg.eigvalsh(gram)[-1]), 1e-12)
    scaled_gram = np.asarray(gram / lipschitz, dtype=v.dtype)
    scaled_v = v / v.dtype.type(lipschitz)
    is_zero = np.diag(gram) == 0
    for _ in range(n_steps):
        step = codes - codes @ scaled_gram + scaled_v
        step[:, is_zero] = v[:, is_zero]
        codes = positive_part(step, out=step)
    return codes


def objective_decrease(codes, preactivations, gram):
    """Return v·a − ½ a G aᵀ, by which codes decrease the objective of the zero code."""
    quadratic = np.einsum("ij,ij->i", codes @ gram, codes)
    return np.einsum("ij,ij->i", codes, preactivations) - quadratic / 2


def is_bounded(atoms, priors):
    """Return whether the objective has a minimum for every sample.

    By linear programming duality it has one if and only if there is a center m of the
    samples for which the priors are not negative, D m ≤ λ. There always is if the atoms
    are linearly independent, or if no prior is negative.

    Parameters
    ----------
    atoms : ndarray of shape (n_components, n_features)
        D.
    priors : ndarray of shape (n_components,)
        λ.
    """
    is_used = np.any(atoms != 0, axis=1)
    atoms, priors = atoms[is_used], priors[is_used]
    n_components, n_features = atoms.shape
    if np.all(priors >= 0) or (
        n_components <= n_features and np.linalg.matrix_rank(atoms) == n_components
    ):
        return True
    result = linprog(np.zeros(n_features), A_ub=atoms, b_ub=priors, bounds=(None, None))
    return result.status == 0
