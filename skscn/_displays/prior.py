"""The picture of a coefficient: its projections, its prior, and its code."""

from numbers import Integral

import numpy as np
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted, validate_data

from skscn._data.sklearn_compat import check_matplotlib

N_GRID = 801
ROOM = 0.25  # by the height of the curves


class PriorDisplay:
    """The projections on an atom, their density by the model, and their codes.

    It is recommended to use :meth:`from_estimator`. All parameters are stored as
    attributes.

    Parameters
    ----------
    projections : ndarray of shape (n_samples,)
        Projections u = (x − mean) · d on an atom d.
    grid : ndarray of shape (n_points,)
        Projections that the curves are drawn at.
    density : ndarray of shape (n_points,)
        Density p(u) by the model.
    code : ndarray of shape (n_points,)
        The most probable code of u.
    mean_code : ndarray of shape (n_points,)
        The posterior mean of u.
    threshold : float
        Threshold λ of the coefficient.
    component : int
        Which one it is.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes of the histogram and of the density.
    code_ax_ : matplotlib Axes
        The axes of the codes, on the right.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    ObjectiveDisplay : How learning came to it.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skscn import OrthogonalSparseCoder, PriorDisplay
    >>> X, _ = load_digits(return_X_y=True)
    >>> coder = OrthogonalSparseCoder(16, alpha="auto", max_iter=20, tol=1).fit(X)
    >>> display = PriorDisplay.from_estimator(coder, X, component=3)
    >>> display.ax_.get_xlabel()
    'projection on atom 3'
    """

    def __init__(
        self, projections, *, grid, density, code, mean_code, threshold, component
    ):
        self.projections = projections
        self.grid = grid
        self.density = density
        self.code = code
        self.mean_code = mean_code
        self.threshold = threshold
        self.component = component

    def plot(self, *, ax=None, bins="auto", **kwargs):
        """Draw the projections and what the model makes of them.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes new ones.
        bins : int, sequence or str, default="auto"
            For ``ax.hist``.
        **kwargs : dict
            For ``ax.hist``.

        Returns
        -------
        display : PriorDisplay
            The display itself.
        """
        check_matplotlib("PriorDisplay.plot")
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots()
        style = {"density": True, "color": "0.8", "label": "projections"} | kwargs
        ax.hist(self.projections, bins=bins, **style)
        ax.plot(self.grid, self.density, color="C0", label="density of the model")
        right = ax.twinx()
        right.plot(self.grid, self.code, color="C1", label="most probable code")
        right.plot(
            self.grid, self.mean_code, color="C1", ls="--", label="posterior mean"
        )
        zero = self.grid[self.code == 0]
        if len(zero):
            ax.axvspan(zero[0], zero[-1], color="C1", alpha=0.08, lw=0)
        ax.set(xlabel=f"projection on atom {self.component}", ylabel="density")
        right.set_ylabel("code")
        for part in (ax, right):  # room above all curves, for the legend
            low, high = part.get_ylim()
            part.set_ylim(low, high + ROOM * (high - low))
        handles = [part.get_legend_handles_labels() for part in (ax, right)]
        entries = (a + b for a, b in zip(*handles, strict=True))
        right.legend(*entries, loc="upper center", ncols=2)
        self.ax_, self.code_ax_, self.figure_ = ax, right, ax.figure
        return self

    @classmethod
    def from_estimator(cls, estimator, X, *, component=0, ax=None, **kwargs):
        """Draw a coefficient of a coder on data.

        Parameters
        ----------
        estimator : fitted OrthogonalSparseCoder or NonNegativeSparseCoder
            The coder.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples without missing entries.
        component : int, default=0
            Which coefficient to draw.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes new ones.
        **kwargs : dict
            For ``ax.hist``.

        Returns
        -------
        display : PriorDisplay
            What was drawn.

        Raises
        ------
        TypeError
            If `component` is no integer.
        ValueError
            If there is no such component, if X is not finite, or if it has other
            features than the coder was fitted to.
        """
        check_is_fitted(estimator)
        n_components = len(estimator.components_)
        if not isinstance(component, Integral):
            raise TypeError(f"component={component!r} must be an integer.")
        if not 0 <= int(component) < n_components:
            raise ValueError(
                f"component={component} must be from 0 to {n_components - 1}: the "
                f"coder has {n_components} atoms."
            )
        atom = estimator.components_[component].astype(np.float64)
        X = validate_data(
            estimator,
            X,
            reset=False,
            accept_sparse="csr",
            dtype=[np.float64, np.float32],
        )
        projections = np.ravel(safe_sparse_dot(X, atom[:, None]))
        projections = projections - estimator.mean_ @ atom
        low, high = _limits(projections)
        grid = np.linspace(low, high, N_GRID)
        density, code, mean_code = estimator._curves(component, grid)
        return cls(
            projections,
            grid=grid,
            density=density,
            code=code,
            mean_code=mean_code,
            threshold=float(estimator.alpha_[component]),
            component=component,
        ).plot(ax=ax, **kwargs)


def _limits(values):
    """Return the ends of an axis that shows all values, and some room."""
    room = 0.05 * max(np.ptp(values), np.finfo(float).tiny)
    return values.min() - room, values.max() + room
