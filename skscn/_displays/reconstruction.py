"""The picture of reconstructions: samples, what their codes say, and the rest."""

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import check_is_fitted

from skscn._data.sklearn_compat import check_matplotlib

N_SAMPLES = 6
OF_COLOURS = {"cmap", "norm", "vmin", "vmax"}  # their difference has its own


class ReconstructionDisplay:
    """Samples above their reconstructions, above the difference.

    It is recommended to use :meth:`from_estimator`. All parameters are stored as
    attributes.

    Parameters
    ----------
    samples : ndarray of shape (n_samples, n_features), (n_samples, height, width) or \
            (n_samples, height, width, n_channels)
        Drawn as lines, or as images.
    reconstructions : ndarray of the same shape
        What their codes stand for.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes of shape (3, n_samples)
        The axes that were drawn on.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    SparseCodingNetwork.reconstruct : What is drawn of networks.

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
        """Draw the samples.

        Parameters
        ----------
        figure : matplotlib Figure or SubFigure, default=None
            To draw on. None makes a new one.
        **kwargs : dict
            For ``ax.imshow`` or ``ax.plot``. The difference keeps its own `cmap`,
            `norm`, `vmin` and `vmax`, and so do images of three channels.

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
        rebuilt = np.asarray(self.reconstructions, dtype=np.float64)
        rests = samples - rebuilt
        limits, most = _range(samples), _range(np.abs(rests))[1] or 1.0
        grey = {"cmap": "gray_r"} | kwargs
        plain = {key: kwargs[key] for key in kwargs if key not in OF_COLOURS}
        rows = (
            ("sample", samples, limits, grey),
            ("code", rebuilt, limits, grey),
            ("difference", rests, (-most, most), {"cmap": "RdBu_r"} | plain),
        )
        for (name, values, limits, style), line in zip(rows, axes, strict=True):
            for value, ax in zip(values, line, strict=True):
                _draw(ax, value, limits, style)
            line[0].set_ylabel(name)
        self.axes_, self.figure_ = axes, figure
        return self

    @classmethod
    def from_estimator(
        cls, estimator, X, *, samples=None, image_shape=None, figure=None, **kwargs
    ):
        """Reconstruct samples and draw them.

        Parameters
        ----------
        estimator : fitted estimator
            With `reconstruct`, as layers and networks, or with `transform` and
            `inverse_transform`, as coders and Pipelines of such steps.
        X : {array-like, sparse matrix}
            Samples, as its `transform` takes them. Of stored arrays only the samples
            that are drawn are read.
        samples : array-like of int, default=None
            Which of them to draw. None takes the first six.
        image_shape : tuple of int, (height, width) or (height, width, n_channels), \
                default=None
            How flat rows are drawn. None draws them as lines, or as the estimator
            reads them.
        figure : matplotlib Figure or SubFigure, default=None
            To draw on. None makes a new one.
        **kwargs : dict
            For ``ax.imshow`` or ``ax.plot``, as in `plot`.

        Returns
        -------
        display : ReconstructionDisplay
            What was drawn.

        Raises
        ------
        ValueError
            If `image_shape` does not fit the samples.
        """
        check_is_fitted(estimator)
        rows = _chosen(X, slice(N_SAMPLES) if samples is None else samples)
        if hasattr(estimator, "reconstruct"):
            rebuilt = _dense(estimator.reconstruct(rows))
        else:
            rebuilt = _dense(estimator.inverse_transform(estimator.transform(rows)))
        rows = _dense(rows)
        shape = image_shape or getattr(estimator, "image_shape", None)
        if rows.ndim == 2 and shape is not None:
            if np.prod(shape) != rows.shape[1]:
                raise ValueError(
                    f"image_shape={tuple(shape)} has {np.prod(shape)} entries, but a "
                    f"sample has {rows.shape[1]}."
                )
            rows = rows.reshape(-1, *shape)
        rebuilt = rebuilt.reshape(rows.shape)
        return cls(rows, rebuilt).plot(figure=figure, **kwargs)


def _chosen(X, samples):
    """Return some samples, in the container that they come in."""
    if not hasattr(X, "shape"):
        X = np.asarray(X)
    which = np.atleast_1d(np.arange(X.shape[0])[samples])
    if hasattr(X, "iloc"):
        return X.iloc[which]
    if issparse(X):
        return X.tocsr()[which]
    if isinstance(X, np.ndarray):
        return X[which]
    if hasattr(X, "columns"):  # polars
        return X[which.tolist()]
    # Arrays in files take a place, whatever they think of lists of places.
    return np.stack([np.asarray(X[int(i)]) for i in which])


def _dense(rows):
    return rows.toarray() if issparse(rows) else np.asarray(rows)


def _range(values):
    """Return the least and the largest of the finite values."""
    finite = values[np.isfinite(values)]
    return (finite.min(), finite.max()) if finite.size else (0.0, 1.0)


def _draw(ax, value, limits, style):
    """Draw an image, or a line of features."""
    if value.ndim == 1:
        style = {key: style[key] for key in style if key not in OF_COLOURS}
        ax.plot(value, **({"lw": 0.8} | style))
        room = 0.05 * (limits[1] - limits[0] or 1.0)
        ax.set_ylim(limits[0] - room, limits[1] + room)
    elif value.ndim == 3 and value.shape[2] == 3:
        low, high = limits  # colours; a difference of zero is grey
        colours = np.clip((value - low) / (high - low or 1.0), 0, 1)
        style = {key: style[key] for key in style if key not in OF_COLOURS}
        ax.imshow(np.nan_to_num(colours, nan=1.0), **style)
    else:
        image = value if value.ndim == 2 else value.mean(axis=2)
        if "norm" not in style:
            style = {"vmin": limits[0], "vmax": limits[1]} | style
        ax.imshow(image, **style)
    ax.set(xticks=[], yticks=[])
