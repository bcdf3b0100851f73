"""The display of reconstructions: samples, reconstructions, and their differences."""

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import check_is_fitted

from skscn._data.sklearn_compat import array_namespace, as_numpy, check_matplotlib
from skscn._displays.validation import check_image_shape

N_SAMPLES = 6
RECONSTRUCTING_METHODS = ("reconstruct", "inverse_transform")
COLOR_OPTIONS = {"cmap", "norm", "vmin", "vmax"}  # the difference has its own


class ReconstructionDisplay:
    """Plot of samples, their reconstructions, and the differences, in three rows.

    It is recommended to use :meth:`from_estimator`. All parameters are stored as
    attributes.

    Parameters
    ----------
    samples : ndarray of shape (n_samples, n_features), (n_samples, height, width) or \
            (n_samples, height, width, n_channels)
        Samples, plotted as lines or as images.
    reconstructions : ndarray of the same shape
        Reconstructions from the codes of the samples.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes of shape (3, n_samples)
        The axes of the plot.
    figure_ : matplotlib Figure
        The figure of the axes.

    See Also
    --------
    SparseCodingNetwork.reconstruct : Return the reconstructions of a network.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skscn import OrthogonalSparseCoder, ReconstructionDisplay
    >>> X, _ = load_digits(return_X_y=True)
    >>> coder = OrthogonalSparseCoder(24, alpha=2.0).fit(X)
    >>> display = ReconstructionDisplay.from_estimator(coder, X, image_shape=(8, 8))
    >>> display.axes_.shape
    (3, 6)
    """

    def __init__(self, samples, reconstructions):
        self.samples = samples
        self.reconstructions = reconstructions

    def plot(self, *, figure=None, **kwargs):
        """Plot the samples.

        Parameters
        ----------
        figure : matplotlib Figure or SubFigure, default=None
            The figure to plot on. None creates a new one.
        **kwargs : dict
            Keyword arguments of ``ax.imshow`` or ``ax.plot``. `cmap`, `norm`, `vmin`
            and `vmax` do not apply to the differences and to images of three channels.

        Returns
        -------
        display : ReconstructionDisplay
            The display itself.
        """
        check_matplotlib("ReconstructionDisplay.plot")
        import matplotlib.pyplot as plt

        n_samples = len(self.samples)
        if figure is None:
            size = (1.3 * n_samples + 0.5, 4.2)
            figure = plt.figure(figsize=size, layout="constrained")
        axes = figure.subplots(3, n_samples, squeeze=False)
        samples = np.asarray(self.samples, dtype=np.float64)
        reconstructions = np.asarray(self.reconstructions, dtype=np.float64)
        differences = samples - reconstructions
        bounds = _finite_bounds(samples)
        largest = _finite_bounds(np.abs(differences))[1] or 1.0
        style = {"cmap": "gray_r"} | kwargs
        difference_style = {"cmap": "RdBu_r"} | _without_colors(kwargs)
        rows = (
            ("sample", samples, bounds, style),
            ("code", reconstructions, bounds, style),
            ("difference", differences, (-largest, largest), difference_style),
        )
        for (name, values, bounds, style), row_axes in zip(rows, axes, strict=True):
            for value, ax in zip(values, row_axes, strict=True):
                _plot_sample(ax, value, bounds, style)
            row_axes[0].set_ylabel(name)
        self.axes_, self.figure_ = axes, figure
        return self

    @classmethod
    def from_estimator(
        cls, estimator, X, *, samples=None, image_shape=None, figure=None, **kwargs
    ):
        """Reconstruct samples and plot them.

        Parameters
        ----------
        estimator : fitted estimator
            A layer or network, which has `reconstruct`, or an estimator with
            `transform` and `inverse_transform`, such as a coder or a Pipeline.
        X : {array-like, sparse matrix}
            Samples as `transform` of the estimator takes them. Only the plotted samples
            of stored arrays are read.
        samples : array-like of int, default=None
            Indices of the samples to plot. None plots the first six.
        image_shape : tuple of int, (height, width) or (height, width, n_channels), \
                default=None
            The shape of the images that flat rows are plotted as. None takes the
            `image_shape` of the estimator, or plots rows as lines.
        figure : matplotlib Figure or SubFigure, default=None
            The figure to plot on. None creates a new one.
        **kwargs : dict
            Keyword arguments of `plot`.

        Returns
        -------
        display : ReconstructionDisplay
            The display of the reconstructions.

        Raises
        ------
        TypeError
            If the estimator does not reconstruct samples.
        ValueError
            If `image_shape` does not fit the samples.
        """
        check_is_fitted(estimator)
        if not any(hasattr(estimator, name) for name in RECONSTRUCTING_METHODS):
            raise TypeError(
                "ReconstructionDisplay needs an estimator with "
                f"{' or '.join(RECONSTRUCTING_METHODS)}, but got "
                f"{type(estimator).__name__}."
            )
        chosen = _select_samples(X, slice(N_SAMPLES) if samples is None else samples)
        if hasattr(estimator, "reconstruct"):
            reconstructions = estimator.reconstruct(chosen)
        else:
            reconstructions = estimator.inverse_transform(estimator.transform(chosen))
        chosen = _to_dense(chosen)
        shape = image_shape or getattr(estimator, "image_shape", None)
        if chosen.ndim == 2 and shape is not None:
            shape = check_image_shape(shape, chosen.shape[1], "samples")
            chosen = chosen.reshape(-1, *shape)
        reconstructions = _to_dense(reconstructions).reshape(chosen.shape)
        return cls(chosen, reconstructions).plot(figure=figure, **kwargs)


def _select_samples(X, samples):
    """Return some samples in a container of the same type."""
    if not hasattr(X, "shape"):
        X = np.asarray(X)
    indices = np.atleast_1d(np.arange(X.shape[0])[samples])
    if hasattr(X, "iloc"):
        return X.iloc[indices]
    if issparse(X):
        return X.tocsr()[indices]
    if isinstance(X, np.ndarray):
        return X[indices]
    place = array_namespace(X)
    if place is not None:
        xp, device = place
        return xp.take(X, xp.asarray(indices, device=device), axis=0)
    if hasattr(X, "columns"):  # polars
        return X[indices.tolist()]
    # Not all arrays in files take a list of indices, but all take one index.
    return np.stack([np.asarray(X[int(i)]) for i in indices])


def _to_dense(rows):
    return rows.toarray() if issparse(rows) else np.asarray(as_numpy(rows))


def _finite_bounds(values):
    """Return the minimum and the maximum of the finite values."""
    finite = values[np.isfinite(values)]
    return (finite.min(), finite.max()) if finite.size else (0.0, 1.0)


def _without_colors(style):
    return {key: style[key] for key in style if key not in COLOR_OPTIONS}


def _plot_sample(ax, value, bounds, style):
    """Plot one sample as an image or as a line."""
    low, high = bounds
    if value.ndim == 1:
        ax.plot(value, **({"lw": 0.8} | _without_colors(style)))
        margin = 0.05 * (high - low or 1.0)
        ax.set_ylim(low - margin, high + margin)
    elif value.ndim == 3 and value.shape[2] == 3:
        colors = np.clip((value - low) / (high - low or 1.0), 0, 1)
        ax.imshow(np.nan_to_num(colors, nan=1.0), **_without_colors(style))
    else:
        image = value if value.ndim == 2 else value.mean(axis=2)
        if "norm" not in style:
            style = {"vmin": low, "vmax": high} | style
        ax.imshow(image, **style)
    ax.set(xticks=[], yticks=[])
