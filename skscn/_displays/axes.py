"""Axes of matplotlib, which is imported only when something is plotted."""

from skscn._data.sklearn_compat import check_matplotlib


def get_axes(ax, caller):
    """Return the axes to draw on: the given ones, or new ones for None."""
    check_matplotlib(caller)
    import matplotlib.pyplot as plt

    return plt.subplots()[1] if ax is None else ax
