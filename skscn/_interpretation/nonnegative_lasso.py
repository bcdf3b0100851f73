"""Non-negative codes for atoms that are not orthonormal: exact, and by a few steps.

With unit atoms D, Gram matrix G = D Dᵀ and projections u = x Dᵀ the objective of a
non-negative code is, but for ½‖x‖²,

    ½‖x − aD‖² + Σ_j λ_j a_j  =  ½ a G aᵀ − v·a,    v = u − λ,    a ≥ 0.

It knows the sample and the priors through v alone: the pre-activation of a ReLU layer.
For G = I its minimiser is max(v, 0). Else it is found from there by coordinate descent.
"""

import numpy as np
from scipy.optimize import linprog

BLOCK = 256  # rows solved together
SWEEPS = 32  # until what is left is solved row by row
SOLVED = 16  # sweeps after which the equations of the supports are solved
EXCHANGES = 4  # of coefficients of a support with others, at most
SOLVED_NUMBERS = 2**20  # in the matrices of these equations
CHECKED = 4  # sweeps from one look at who is done to the next
DEPENDENT = 1e-13  # added to the diagonal of systems of atoms that may be so


def exact_codes(drive, gram, *, tol=1e-6, max_iter=1000):
    """Return the codes that minimise ½ a G aᵀ − v·a over a ≥ 0, row by row.

    Rows are swept together, coefficient by coefficient, and each stops by itself: when
    no coefficient alone would move by more than `tol` times the median |v| of its row.
    Where atoms are nearly dependent sweeps are slow, but know early which coefficients
    are not zero: these solve linear equations, and are taken if they are optimal. Rows
    that are left are solved by the active set method of Lawson and Hanson.

    Parameters
    ----------
    drive : ndarray of shape (n_samples, n_components)
        v = (x − mean) Dᵀ − λ.
    gram : ndarray of shape (n_components, n_components)
        D Dᵀ, with ones on its diagonal. A zero there is an atom that is zero: its
        coefficient is max(v, 0).
    tol : float, default=1e-6
    max_iter : int, default=1000
        Most sweeps, and most steps of the active set.

    Returns
    -------
    codes : ndarray of shape (n_samples, n_components), float64
    converged : ndarray of shape (n_samples,), bool
    """
    codes = np.maximum(drive, 0).astype(np.float64, copy=False)
    converged = np.ones(len(drive), dtype=bool)
    free = np.flatnonzero(np.diag(gram) > 0)
    if not len(free):
        return codes, converged
    gram = np.asarray(gram, dtype=np.float64)[np.ix_(free, free)]
    for start in range(0, len(drive), BLOCK):
        part = slice(start, start + BLOCK)
        v = np.ascontiguousarray(drive[part][:, free].T, dtype=np.float64)
        found, converged[part] = _descend(v, gram, tol, max_iter)
        codes[part, free] = found.T
    return codes, converged


def _descend(v, gram, tol, max_iter):
    """Solve a block, one coefficient of all rows at a time; a column is a row's."""
    out = np.maximum(v, 0.0)
    # The median: one atom of tiny norm has a prior out of all proportion.
    size = np.abs(v)
    typical = np.median(size, axis=0)
    bound = tol * np.where(typical > 0, typical, size.max(axis=0))
    running = np.flatnonzero(_moves(out, v, gram) > bound)
    a, target = out[:, running], v[:, running]
    for sweep in range(1, min(max_iter, SWEEPS) + 1):
        if not len(running):
            break
        for j, row in enumerate(gram):
            a[j] += target[j] - row @ a  # G_jj = 1
            np.maximum(a[j], 0.0, out=a[j])
        if sweep == SOLVED:
            _solve_supports(a, target, gram, bound[running])
        if sweep % CHECKED == 0:
            still = _moves(a, target, gram) > bound[running]
            out[:, running] = a
            running, a, target = running[still], a[:, still], target[:, still]
    out[:, running] = a
    for i in running:
        out[:, i] = _active_set(v[:, i], gram, bound[i], max_iter)
    return out, _moves(out, v, gram) <= bound


def _moves(a, v, gram):
    """Return by how much a coefficient of each row would move alone, at most."""
    step = np.maximum(a + v - gram @ a, 0.0) - a
    return np.max(np.abs(step), axis=0, initial=0.0)


def _solve_supports(a, v, gram, bound):
    """Overwrite the columns of a whose support, solved for, is optimal."""
    left, active = np.arange(a.shape[1]), a > 0
    for _ in range(EXCHANGES):
        solved = _solved(active, v[:, left], gram)
        slopes = v[:, left] - gram @ solved
        wrong = np.where(active, solved < 0, slopes > bound[left])
        done = ~wrong.any(axis=0)
        done &= _moves(solved, v[:, left], gram) <= bound[left]
        a[:, left[done]] = solved[:, done]
        if done.all():
            break
        # What is negative leaves, and what would grow enters.
        left, active = left[~done], (active ^ wrong)[:, ~done]


def _solved(active, v, gram):
    """Return the coefficients of every support that make their own slopes zero."""
    solved = np.zeros(v.shape)
    sizes = active.sum(axis=0)
    order = np.argsort(sizes, kind="stable")
    most = max(int(sizes[order[-1]]), 1)
    n_rows = max(1, SOLVED_NUMBERS // most**2)
    for start in range(0, len(order), n_rows):
        rows = order[start : start + n_rows]
        most = sizes[rows[-1]]
        index = np.argsort(~active[:, rows].T, axis=1, kind="stable")[:, :most]
        inside = np.arange(most) < sizes[rows, None]
        system = gram[index[:, :, None], index[:, None, :]]
        system *= inside[:, :, None] & inside[:, None, :]
        diagonal = np.arange(most)
        system[:, diagonal, diagonal] += ~inside + DEPENDENT
        right = np.where(inside, v[index, rows[:, None]], 0.0)
        found = np.linalg.solve(system, right[:, :, None])[:, :, 0]
        solved[index, rows[:, None]] = found
    return solved


def _active_set(v, gram, bound, max_iter):
    """Return the minimiser for a row, whose objective falls in every step."""
    # From zero: a support that is given may hold atoms that depend on each other.
    a, support = np.zeros(len(v)), np.zeros(len(v), dtype=bool)
    barred = np.zeros(len(v), dtype=bool)
    for _ in range(max_iter):
        slopes = np.where(support | barred, 0.0, v - gram @ a)
        entering = np.argmax(slopes)
        if slopes[entering] <= bound:
            break
        support[entering] = True
        best = _least(support, v, gram)
        if best[entering] <= 0:  # but for rounding it would grow
            support[entering], barred[entering] = False, True
            continue
        while (below := best < 0).any():  # go as far as none becomes negative
            steps = np.full(len(a), np.inf)
            steps[below] = a[below] / (a[below] - best[below])
            step = np.min(steps)
            a = np.maximum(a + step * (best - a), 0.0)
            support &= steps > step
            a[~support] = 0.0
            best = _least(support, v, gram)
        a = best
        barred[:] = False
    return a


def _least(support, v, gram):
    """Return the coefficients of a support that make their own slopes zero."""
    system = gram[np.ix_(support, support)] + DEPENDENT * np.eye(support.sum())
    best = np.zeros(len(v))
    best[support] = np.linalg.solve(system, v[support])
    return best


def unrolled_codes(drive, gram, n_steps):
    """Return the codes after so many proximal gradient steps from max(v, 0).

    A step is a ← max(a − (aG − v)/L, 0) with L the largest eigenvalue of G: a layer
    with lateral inhibition. None of them raises the objective.

    Parameters
    ----------
    drive, gram
        As for `exact_codes`.
    n_steps : int

    Returns
    -------
    codes : ndarray of shape (n_samples, n_components)
        Of the dtype of `drive`.
    """
    codes = np.maximum(drive, 0)
    lipschitz = max(float(np.linalg.eigvalsh(gram)[-1]), 1e-12)
    inner = np.asarray(gram / lipschitz, dtype=drive.dtype)
    push = drive / drive.dtype.type(lipschitz)
    fixed = np.diag(gram) == 0
    for _ in range(n_steps):
        step = codes - codes @ inner + push
        step[:, fixed] = drive[:, fixed]
        codes = np.maximum(step, 0, out=step)
    return codes


def gains(codes, drive, gram):
    """Return what codes take off the objective of the zero code, v·a − ½ a G aᵀ."""
    curved = np.einsum("ij,ij->i", codes @ gram, codes)
    return np.einsum("ij,ij->i", codes, drive) - curved / 2


def is_bounded(atoms, priors):
    """Return whether every sample has an exact code.

    It is so if the priors are not negative about some centre of the samples, that is,
    if D m ≤ λ for some m (linear duality): always, where the atoms are linearly
    independent or the priors are not negative.

    Parameters
    ----------
    atoms : ndarray of shape (n_components, n_features)
        D.
    priors : ndarray of shape (n_components,)
        λ.
    """
    used = np.any(atoms != 0, axis=1)
    atoms, priors = atoms[used], priors[used]
    n_components, n_features = atoms.shape
    if np.all(priors >= 0) or (
        n_components <= n_features and np.linalg.matrix_rank(atoms) == n_components
    ):
        return True
    found = linprog(np.zeros(n_features), A_ub=atoms, b_ub=priors, bounds=(None, None))
    return found.status == 0
