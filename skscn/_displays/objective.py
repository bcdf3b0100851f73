"""The picture of learning: how the objective fell."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skscn._data.sklearn_compat import check_matplotlib

SHORT = 10  # points of a curve that are marked


class ObjectiveDisplay:
    """The objective after every iteration of learning, above the least that was found.

    It is recommended to use :meth:`from_estimator`. All parameters are stored as
    attributes.

    Parameters
    ----------
    paths : dict of str to array-like of shape (n_iter + 1,)
        Objectives before the first iteration and after each, by the name of their
        curve.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes that were drawn on.
    figure_ : matplotlib Figure
        Their figure.
    lines_ : list of matplotlib Line2D
        The curves.

    See Also
    --------
    PriorDisplay : What was learned of a coefficient.
    OrthogonalSparseCoder : Its `objective_path_` is drawn.

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
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes new ones.
        relative : bool or "own", default=True
            Whether to draw, on a logarithmic axis, how far every objective is above
            the least of all curves, or above the least of its "own" curve, where they
            are of different objectives. False draws the objectives themselves.
        **kwargs : dict
            For ``ax.plot``.

        Returns
        -------
        display : ObjectiveDisplay
            The display itself.
        """
        check_matplotlib("ObjectiveDisplay.plot")
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots()
        paths = {name: np.asarray(path, float) for name, path in self.paths.items()}
        own = isinstance(relative, str) and relative == "own"
        if not own and not isinstance(relative, bool | np.bool_):
            raise ValueError(f"relative={relative!r} must be True, False or 'own'.")
        least = min(path.min() for path in paths.values())
        self.lines_ = []
        for name, path in paths.items():
            least = path.min() if own else least
            # The least itself has no place on a logarithmic axis.
            heights = np.where(path > least, path - least, np.nan) if relative else path
            style = {"label": name, "marker": "." if len(path) <= SHORT else ""}
            style |= kwargs
            self.lines_ += ax.plot(np.arange(len(path)), heights, **style)
        ax.set(xlabel="iteration", ylabel="objective")
        if relative:
            ax.set(
                yscale="log", ylabel=f"objective above {'its' if own else 'the'} least"
            )
        if len(paths) > 1:
            ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_estimator(cls, estimator, *, ax=None, relative=True, **kwargs):
        """Draw how the objective of an estimator fell, or of several.

        Parameters
        ----------
        estimator : fitted estimator, or dict of str to fitted estimator
            With `objective_path_`: coders and convolutional layers. A network is drawn
            with a curve for each of its layers that learn. Estimators of a dict that
            are to be compared are fitted to the same samples.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes new ones.
        relative : bool or "own", default=True
            Whether to draw, on a logarithmic axis, how far every objective is above
            the least of all curves. "own" takes the least of each curve instead, and so
            does True for layers of networks and for estimators of other classes, priors
            or `alpha`, which have objectives of their own. False draws the objectives
            themselves.
        **kwargs : dict
            For ``ax.plot``.

        Returns
        -------
        display : ObjectiveDisplay
            What was drawn.

        Raises
        ------
        TypeError
            If an estimator has no objective.
        """
        several = estimator if isinstance(estimator, dict) else {"": estimator}
        paths, objectives = {}, set()
        for name, one in several.items():
            check_is_fitted(one)
            layers = getattr(one, "named_layers_", None)
            parts = {name: one}
            if layers is not None:
                parts = {f"{name} {key}".strip(): part for key, part in layers.items()}
            for key, part in parts.items():
                if hasattr(part, "objective_path_"):
                    paths[key or type(part).__name__] = part.objective_path_
                    objectives.add(key if layers is not None else _objective(part))
                elif layers is None:
                    raise TypeError(_no_path(part))
        if relative is True and len(objectives) > 1:
            relative = "own"
        return cls(paths).plot(ax=ax, relative=relative, **kwargs)


def _objective(estimator):
    """Return what tells one objective from another, on the same samples."""
    numbers = (repr(getattr(estimator, name, None)) for name in ("prior", "alpha"))
    return type(estimator).__name__, *numbers


def _no_path(estimator):
    name = type(estimator).__name__
    if hasattr(estimator, "steps"):
        return f"{name} has no objective_path_: give the step that has, as model[0]."
    return (
        f"{name} has no objective_path_: give a coder, a ConvSparseCoder, or a "
        "SparseCodingNetwork."
    )
