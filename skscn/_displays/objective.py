"""The display of learning: the objective after every iteration."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skscn._displays.axes import get_axes

MAX_MARKED_POINTS = 10  # longer curves have no markers


class ObjectiveDisplay:
    """Plot of the objective after every iteration, minus the smallest objective.

    It is recommended to use :meth:`from_estimator`. All parameters are stored as
    attributes.

    Parameters
    ----------
    paths : dict of str to array-like of shape (n_iter + 1,)
        For the name of every curve, the objective before the first iteration and after
        each iteration.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes of the plot.
    figure_ : matplotlib Figure
        The figure of the axes.
    lines_ : list of matplotlib Line2D
        The curves.

    See Also
    --------
    PriorDisplay : Plot the prior that is learned for a coefficient.
    OrthogonalSparseCoder : A coder with `objective_path_`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skscn import ObjectiveDisplay, OrthogonalSparseCoder
    >>> X, _ = load_digits(return_X_y=True)
    >>> coders = {
    ...     init: OrthogonalSparseCoder(alpha=2.0, init=init, random_state=0).fit(X)
    ...     for init in ("pca", "random")
    ... }
    >>> display = ObjectiveDisplay.from_estimator(coders)
    >>> display.ax_.get_xlabel()
    'iteration'
    """

    def __init__(self, paths):
        self.paths = paths

    def plot(self, *, ax=None, relative=True, **kwargs):
        """Plot the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            The axes to plot on. None creates new ones.
        relative : bool or "own", default=True
            True plots every objective minus the smallest objective of all curves, on a
            logarithmic axis. "own" subtracts the smallest objective of each curve, for
            curves of different objectives. False plots the objectives.
        **kwargs : dict
            Keyword arguments of ``ax.plot``.

        Returns
        -------
        display : ObjectiveDisplay
            The display itself.
        """
        ax = get_axes(ax, "ObjectiveDisplay.plot")
        paths = {name: np.asarray(path, float) for name, path in self.paths.items()}
        is_own = isinstance(relative, str) and relative == "own"
        if not is_own and not isinstance(relative, bool | np.bool_):
            raise ValueError(f"relative={relative!r} must be True, False or 'own'.")
        minimum = min(path.min() for path in paths.values())
        self.lines_ = []
        for name, path in paths.items():
            values = path
            if relative:
                excess = path - (path.min() if is_own else minimum)
                values = np.where(excess > 0, excess, np.nan)  # log(0) is not plotted
            marker = "." if len(path) <= MAX_MARKED_POINTS else ""
            style = {"label": name, "marker": marker} | kwargs
            self.lines_ += ax.plot(np.arange(len(path)), values, **style)
        ax.set(xlabel="iteration", ylabel="objective")
        if relative:
            label = f"objective above {'its' if is_own else 'the'} minimum"
            ax.set(yscale="log", ylabel=label)
        if len(paths) > 1:
            ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_estimator(cls, estimator, *, ax=None, relative=True, **kwargs):
        """Plot the objective of one or several estimators.

        Parameters
        ----------
        estimator : fitted estimator, or dict of str to fitted estimator
            Estimators with `objective_path_`: coders and convolutional layers. A
            network is plotted with a curve for each of its layers that learn. The
            estimators of a dict should be fitted to the same samples.
        ax : matplotlib Axes, default=None
            The axes to plot on. None creates new ones.
        relative : bool or "own", default=True
            True plots every objective minus the smallest objective of all curves, on a
            logarithmic axis. "own" subtracts the smallest objective of each curve. So
            does True if the objectives are different: for several layers of networks,
            and for estimators of several classes, priors or values of `alpha`. False
            plots the objectives.
        **kwargs : dict
            Keyword arguments of ``ax.plot``.

        Returns
        -------
        display : ObjectiveDisplay
            The display of the objectives.

        Raises
        ------
        TypeError
            If an estimator has no objective.
        """
        estimators = estimator if isinstance(estimator, dict) else {"": estimator}
        paths, objectives = {}, set()
        for name, fitted in estimators.items():
            check_is_fitted(fitted)
            if hasattr(fitted, "named_layers_"):
                for key, layer in fitted.named_layers_.items():
                    if hasattr(layer, "objective_path_"):
                        label = f"{name} {key}".strip()
                        paths[label] = layer.objective_path_
                        objectives.add(label)
            elif hasattr(fitted, "objective_path_"):
                paths[name or type(fitted).__name__] = fitted.objective_path_
                objectives.add(_objective_key(fitted))
            else:
                raise TypeError(_no_objective_message(fitted))
        if relative is True and len(objectives) > 1:
            relative = "own"
        return cls(paths).plot(ax=ax, relative=relative, **kwargs)


def _objective_key(estimator):
    """Return the settings that determine the objective for given samples."""
    settings = (repr(getattr(estimator, name, None)) for name in ("prior", "alpha"))
    return type(estimator).__name__, *settings


def _no_objective_message(estimator):
    """Return the error message for an estimator without objective, with the remedy."""
    name = type(estimator).__name__
    if hasattr(estimator, "steps"):
        return f"{name} has no objective_path_: use the step with it, such as model[0]."
    return (
        f"{name} has no objective_path_: use a coder, a ConvSparseCoder, or a "
        "SparseCodingNetwork."
    )
