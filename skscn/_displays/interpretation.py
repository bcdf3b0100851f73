"""The display of a layer of a trained network as a sparse coding model."""

import numpy as np

from skscn._data.sklearn_compat import check_matplotlib
from skscn._displays.mosaic import mosaic
from skscn._displays.validation import check_image_shape

MAX_ATOMS = 64
N_BINS = 20
ROUNDING_ERROR = 1e-9  # relative: priors that differ by less count as equal


class InterpretationDisplay:
    """Plot of a layer: its priors, the cosines of its atoms, and its atoms.

    It is recommended to use :meth:`from_report`. All parameters are stored as
    attributes.

    Parameters
    ----------
    priors : ndarray of shape (n_units,)
        Priors λ = −b/‖w‖. Units with λ < 0 are not sparse.
    gram : ndarray of shape (n_units, n_units)
        Inner products of atoms.
    atoms : ndarray of shape (n_units, height, width[, channels]), default=None
        Atoms as images. None plots no atoms.
    centered_priors : ndarray of shape (n_units,), default=None
        Priors for inputs of the layer minus their mean.
    name : str, default=None
        The name of the layer, for the title.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        The axes of the plot: priors, cosines, and atoms if they are images.
    figure_ : matplotlib Figure
        The figure of the axes.

    See Also
    --------
    interpret_network : Return the report of a network.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.neural_network import MLPClassifier
    >>> from skscn import InterpretationDisplay, interpret_network
    >>> X, y = load_digits(return_X_y=True)
    >>> model = MLPClassifier((16,), max_iter=500, random_state=0).fit(X, y)
    >>> report = interpret_network(model, X)
    >>> display = InterpretationDisplay.from_report(report, image_shape=(8, 8))
    >>> len(display.axes_)
    3
    """

    def __init__(self, priors, gram, *, atoms=None, centered_priors=None, name=None):
        self.priors = priors
        self.gram = gram
        self.atoms = atoms
        self.centered_priors = centered_priors
        self.name = name

    @classmethod
    def from_report(cls, report, *, layer=0, image_shape=None, axes=None):
        """Plot a layer of a report.

        Parameters
        ----------
        report : NetworkReport
            The report that :func:`interpret_network` returns.
        layer : int, default=0
            The index of the hidden layer.
        image_shape : tuple of int, default=None
            (height, width) or (height, width, channels) of the atoms of dense units.
            The atoms of a convolution have a shape.
        axes : array-like of matplotlib Axes, default=None
            The axes to plot on, two or three. None creates new ones.

        Returns
        -------
        display : InterpretationDisplay
            The display of the layer.

        Raises
        ------
        TypeError
            If `layer` is no integer.
        ValueError
            If the report has no such layer, if `image_shape` does not fit the atoms, or
            if the number of axes is wrong.
        """
        layer_report = report.layers[report._layer_index(layer)]
        atoms = None
        if layer_report.patch_shape is not None:
            atoms = layer_report.atoms
        elif image_shape is not None:
            owner = f"the atoms of {layer_report.name}"
            shape = check_image_shape(image_shape, layer_report.n_inputs, owner)
            atoms = layer_report.atoms.reshape(-1, *shape)
        display = cls(
            layer_report.priors,
            layer_report.gram,
            atoms=atoms,
            centered_priors=layer_report.centered_priors,
            name=layer_report.name,
        )
        return display.plot(axes=axes)

    def plot(self, *, axes=None, n_atoms=MAX_ATOMS):
        """Plot the layer.

        Parameters
        ----------
        axes : array-like of matplotlib Axes, default=None
            The axes to plot on, two or three: for priors, cosines, and atoms. None
            creates new ones.
        n_atoms : int, default=64
            Maximum number of atoms to plot, the first ones.

        Returns
        -------
        display : InterpretationDisplay
            The display itself.
        """
        check_matplotlib("InterpretationDisplay.plot")
        import matplotlib.pyplot as plt

        n_axes = 2 if self.atoms is None else 3
        if axes is None:
            figsize = (3.4 * n_axes, 3.2)
            figure, axes = plt.subplots(
                1, n_axes, figsize=figsize, layout="constrained"
            )
            if self.name is not None:
                figure.suptitle(self.name)
        axes = np.ravel(axes)
        if len(axes) not in (2, n_axes):
            expected, remedy = (
                ("2", "Give an image_shape to plot atoms on a third.")
                if self.atoms is None
                else ("2 or 3", "The third is for atoms.")
            )
            raise ValueError(
                f"There are {len(axes)} axes, but this layer is plotted on {expected}. "
                + remedy
            )
        self._plot_priors(axes[0])
        self._plot_cosines(axes[1])
        if len(axes) == 3:
            self._plot_atoms(axes[2], n_atoms)
        self.axes_, self.figure_ = axes, axes[0].figure
        return self

    def _plot_priors(self, ax):
        series = {"λ = −b/‖w‖": self.priors}
        if self.centered_priors is not None:
            series["λ about the mean"] = self.centered_priors
        edges = _bin_edges(np.concatenate(list(series.values())))
        for i, (label, values) in enumerate(series.items()):
            clipped, color = np.clip(values, edges[0], edges[-1]), f"C{i}"
            counts, *_ = ax.hist(clipped, edges, color=color, alpha=0.4, label=label)
            style = "-" if i == 0 else "--"  # shows both of two equal histograms
            ax.stairs(counts, edges, color=color, linestyle=style, linewidth=1.5)
        ax.axvline(0.0, color="black", linewidth=1)
        ax.set(xlabel="prior; sparse on the right of 0", ylabel="units")
        ax.set_ylim(top=1.4 * max(ax.get_ylim()[1], 1.0))  # space for the legend
        ax.legend(fontsize="small", loc="upper center", ncols=len(series))

    def _plot_cosines(self, ax):
        image = ax.imshow(self.gram, cmap="RdBu_r", vmin=-1, vmax=1)
        ax.set(title="cosines of atoms", xticks=[], yticks=[])
        ax.figure.colorbar(image, ax=ax, shrink=0.7)

    def _plot_atoms(self, ax, n_atoms):
        atoms = np.asarray(self.atoms, dtype=float)[:n_atoms]
        if atoms.ndim == 4 and atoms.shape[3] != 3:
            atoms = atoms.mean(axis=3)
        image = mosaic(atoms)
        if image.ndim == 3:
            ax.imshow(np.nan_to_num((image + 1) / 2, nan=1.0))
        else:
            ax.imshow(image, cmap="RdBu_r", vmin=-1, vmax=1)
        n_shown, n_all = len(atoms), len(self.atoms)
        title = "atoms" if n_shown == n_all else f"{n_shown} of {n_all} atoms"
        ax.set(title=title, xticks=[], yticks=[])


def _bin_edges(priors):
    """Return the edges of about twenty bins of a histogram.

    Zero is an edge if there are priors of both signs. The first and the last bin hold
    the outliers of their sign.
    """
    low, high = np.quantile(priors, [0.01, 0.99])
    if low >= 0 > np.min(priors):
        low = -max(high, 1.0) / N_BINS
    if high < 0 <= np.max(priors):
        high = max(-low, 1.0) / N_BINS
    if high - low <= ROUNDING_ERROR * max(1.0, abs(low), abs(high)):
        low, high = low - 0.5, high + 0.5
    width = (high - low) / N_BINS
    first, last = np.floor(low / width), np.ceil(high / width)
    # A prior of zero is sparse: it belongs to the bin on the right of zero.
    return width * np.arange(first, max(last, first + 1) + 1)
