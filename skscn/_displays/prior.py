"""The display of a coefficient: its projections, their density, and its codes."""

from numbers import Integral

import numpy as np
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted

from skscn._data.sklearn_compat import as_numpy, validate_data
from skscn._displays.axes import get_axes

N_GRID_POINTS = 801
LEGEND_HEIGHT = 0.25  # above all curves, as a fraction of their height


class PriorDisplay:
    """Plot of the projections on an atom, their model density, and their codes.

    It is recommended to use :meth:`from_estimator`. All parameters are stored as
    attributes.

    Parameters
    ----------
    projections : ndarray of shape (n_samples,)
        Projections u = (x − mean) · d on an atom d.
    grid : ndarray of shape (n_points,)
        Projections at which the curves are evaluated.
    density : ndarray of shape (n_points,)
        Density p(u) of the model.
    code : ndarray of shape (n_points,)
        The MAP code of u.
    mean_code : ndarray of shape (n_points,)
        The posterior mean of the coefficient for u.
    threshold : float
        Threshold λ of the coefficient.
    component : int
        Index of the coefficient.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes of the histogram and of the density.
    code_ax_ : matplotlib Axes
        The axes of the codes, on the right side.
    figure_ : matplotlib Figure
        The figure of the axes.

    See Also
    --------
    ObjectiveDisplay : Plot the objective of learning.

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
        """Plot the histogram of projections, their density, and their codes.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            The axes to plot on. None creates new ones.
        bins : int, sequence or str, default="auto"
            The argument `bins` of ``ax.hist``.
        **kwargs : dict
            Keyword arguments of ``ax.hist``.

        Returns
        -------
        display : PriorDisplay
            The display itself.
        """
        ax = get_axes(ax, "PriorDisplay.plot")
        style = {"density": True, "color": "0.8", "label": "projections"} | kwargs
        ax.hist(self.projections, bins=bins, **style)
        ax.plot(self.grid, self.density, color="C0", label="density of the model")
        code_ax = ax.twinx()
        code_ax.plot(self.grid, self.code, color="C1", label="MAP code")
        code_ax.plot(
            self.grid, self.mean_code, color="C1", ls="--", label="posterior mean"
        )
        zero_codes = self.grid[self.code == 0]
        if len(zero_codes):
            ax.axvspan(zero_codes[0], zero_codes[-1], color="C1", alpha=0.08, lw=0)
        ax.set(xlabel=f"projection on atom {self.component}", ylabel="density")
        code_ax.set_ylabel("code")
        handles, labels = [], []
        for each in (ax, code_ax):
            low, high = each.get_ylim()
            each.set_ylim(low, high + LEGEND_HEIGHT * (high - low))
            new_handles, new_labels = each.get_legend_handles_labels()
            handles += new_handles
            labels += new_labels
        code_ax.legend(handles, labels, loc="upper center", ncols=2)
        self.ax_, self.code_ax_, self.figure_ = ax, code_ax, ax.figure
        return self

    @classmethod
    def from_estimator(cls, estimator, X, *, component=0, ax=None, **kwargs):
        """Plot a coefficient of a coder for given samples.

        Parameters
        ----------
        estimator : fitted OrthogonalSparseCoder or NonNegativeSparseCoder
            The coder.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples without missing values.
        component : int, default=0
            Index of the coefficient to plot.
        ax : matplotlib Axes, default=None
            The axes to plot on. None creates new ones.
        **kwargs : dict
            Keyword arguments of `plot`.

        Returns
        -------
        display : PriorDisplay
            The display of the coefficient.

        Raises
        ------
        TypeError
            If the estimator is not such a coder, or if `component` is no integer.
        ValueError
            If there is no such component, if X is not finite, if its features are not
            those of `fit`, or if the coder has `n_nonzero_coefs`.
        """
        check_is_fitted(estimator)
        if not hasattr(estimator, "_curves"):
            raise TypeError(
                "PriorDisplay plots a coefficient of an OrthogonalSparseCoder or a "
                f"NonNegativeSparseCoder, but got {type(estimator).__name__}."
            )
        n_nonzero_coefs = estimator.n_nonzero_coefs
        if n_nonzero_coefs is not None:
            raise ValueError(
                f"n_nonzero_coefs={n_nonzero_coefs} makes a code depend on "
                "all projections of a sample, but PriorDisplay plots codes as a "
                "function of one. Give a coder with n_nonzero_coefs=None."
            )
        n_components = estimator.components_.shape[0]
        if not isinstance(component, Integral):
            raise TypeError(f"component={component!r} must be an integer.")
        if not 0 <= int(component) < n_components:
            raise ValueError(
                f"component={component} must be from 0 to {n_components - 1}: the "
                f"coder has {n_components} atoms."
            )
        components, mean = as_numpy(estimator.components_), as_numpy(estimator.mean_)
        atom = components[component].astype(np.float64)
        X = validate_data(
            estimator,
            as_numpy(X),
            reset=False,
            accept_sparse="csr",
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan",
        )
        projections = np.ravel(safe_sparse_dot(X, atom[:, None]))
        n_missing = np.count_nonzero(np.isnan(projections))
        if n_missing:
            raise ValueError(
                f"{n_missing} of {len(projections)} samples have missing values, and "
                "their projections are not known. Give X without these samples, or "
                "estimator.impute(X)."
            )
        projections = projections - mean @ atom
        margin = 0.05 * max(np.ptp(projections), np.finfo(float).tiny)
        low, high = projections.min() - margin, projections.max() + margin
        grid = np.linspace(low, high, N_GRID_POINTS)
        density, code, mean_code = estimator._curves(component, grid)
        return cls(
            projections,
            grid=grid,
            density=density,
            code=code,
            mean_code=mean_code,
            threshold=float(as_numpy(estimator.alpha_)[component]),
            component=component,
        ).plot(ax=ax, **kwargs)
