"""The picture of a layer that was read as sparse coding."""

from numbers import Integral

import numpy as np

from skscn._data.sklearn_compat import check_matplotlib

MOST_ATOMS = 64
N_BINS = 20
ROUNDING = 1e-9  # of priors that are equal but for it


class InterpretationDisplay:
    """A layer of a network: its priors, the angles of its atoms, and the atoms.

    It is recommended to use :meth:`from_report`. All parameters are stored as
    attributes.

    Parameters
    ----------
    priors : ndarray of shape (n_units,)
        Priors λ = −b/‖w‖; below zero they are not sparse.
    gram : ndarray of shape (n_units, n_units)
        Inner products of atoms.
    atoms : ndarray of shape (n_units, height, width[, channels]), default=None
        Atoms as images, or None.
    centered_priors : ndarray of shape (n_units,), default=None
        Priors about the mean of the layer's input.
    name : str, default=None
        Of the layer, for the title.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        The axes that were drawn on: priors, angles, and atoms where they are images.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    interpret_network : What is drawn.

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
        """Draw a layer of a report.

        Parameters
        ----------
        report : NetworkReport
            What :func:`interpret_network` returns.
        layer : int, default=0
            Which hidden layer.
        image_shape : tuple of int, default=None
            (height, width) or (height, width, channels) of the atoms of dense units.
            The atoms of a convolution have a shape of their own.
        axes : array-like of matplotlib Axes, default=None
            Axes to draw on, two or three. None makes new ones.

        Returns
        -------
        display : InterpretationDisplay
            What was drawn.

        Raises
        ------
        TypeError
            If `layer` is no integer.
        ValueError
            If there is no such layer, or another number of axes or of inputs.
        """
        read = report.layers[report._layer_index(layer)]
        atoms = None
        if read.patch_shape is not None:
            atoms = read.atoms
        elif image_shape is not None:
            _check_image_shape(image_shape)
            if int(np.prod(image_shape)) != read.n_inputs:
                raise ValueError(
                    f"image_shape={tuple(image_shape)} is {np.prod(image_shape)} "
                    f"numbers, but atoms of {read.name} have {read.n_inputs}."
                )
            atoms = read.atoms.reshape(-1, *image_shape)
        display = cls(
            read.priors,
            read.gram,
            atoms=atoms,
            centered_priors=read.centered_priors,
            name=read.name,
        )
        return display.plot(axes=axes)

    def plot(self, *, axes=None, n_atoms=MOST_ATOMS):
        """Draw the layer.

        Parameters
        ----------
        axes : array-like of matplotlib Axes, default=None
            Axes to draw on, two or three: priors, angles, and atoms. None makes new
            ones.
        n_atoms : int, default=64
            Most atoms to draw, the first ones.

        Returns
        -------
        display : InterpretationDisplay
            The display itself.
        """
        check_matplotlib("InterpretationDisplay.plot")
        import matplotlib.pyplot as plt

        wanted = 2 if self.atoms is None else 3
        if axes is None:
            figure, axes = plt.subplots(
                1, wanted, figsize=(3.4 * wanted, 3.2), layout="constrained"
            )
            if self.name is not None:
                figure.suptitle(self.name)
        axes = np.ravel(axes)
        if len(axes) not in (2, wanted):
            raise ValueError(
                f"There are {len(axes)} axes, but this layer is drawn on "
                f"{'2' if wanted == 2 else '2 or 3'}. "
                + (
                    "Atoms are drawn on a third where image_shape is given."
                    if wanted == 2
                    else "Atoms are drawn on the third."
                )
            )
        self._draw_priors(axes[0])
        self._draw_angles(axes[1])
        if len(axes) == 3:
            self._draw_atoms(axes[2], n_atoms)
        self.axes_, self.figure_ = axes, axes[0].figure
        return self

    def _draw_priors(self, ax):
        series = {"λ = −b/‖w‖": self.priors}
        if self.centered_priors is not None:
            series["λ about the mean"] = self.centered_priors
        joined = np.concatenate(list(series.values()))
        bins = _bins(joined)
        for i, (label, values) in enumerate(series.items()):
            shown, color = np.clip(values, bins[0], bins[-1]), f"C{i}"
            counts, *_ = ax.hist(shown, bins, color=color, alpha=0.4, label=label)
            style = "-" if i == 0 else "--"  # of two that coincide both are seen
            ax.stairs(counts, bins, color=color, linestyle=style, linewidth=1.5)
        ax.axvline(0.0, color="black", linewidth=1)
        ax.set(xlabel="prior; sparse on the right of 0", ylabel="units")
        ax.set_ylim(top=1.4 * max(ax.get_ylim()[1], 1.0))  # room for the legend
        ax.legend(fontsize="small", loc="upper center", ncols=len(series))

    def _draw_angles(self, ax):
        image = ax.imshow(self.gram, cmap="RdBu_r", vmin=-1, vmax=1)
        ax.set(title="cosines of atoms", xticks=[], yticks=[])
        ax.figure.colorbar(image, ax=ax, shrink=0.7)

    def _draw_atoms(self, ax, n_atoms):
        n_all = len(self.atoms)
        atoms = np.asarray(self.atoms, dtype=float)[:n_atoms]
        if atoms.ndim == 4 and atoms.shape[3] != 3:
            atoms = atoms.mean(axis=3)
        count, height, width = atoms.shape[:3]
        across = int(np.ceil(np.sqrt(count)))
        down = -(-count // across)
        most = np.abs(atoms).max(axis=tuple(range(1, atoms.ndim)), keepdims=True)
        atoms = atoms / np.where(most > 0, most, 1.0)
        shape = (down * (height + 1) - 1, across * (width + 1) - 1, *atoms.shape[3:])
        sheet = np.full(shape, np.nan)
        for i, atom in enumerate(atoms):
            top, left = (i // across) * (height + 1), (i % across) * (width + 1)
            sheet[top : top + height, left : left + width] = atom
        if sheet.ndim == 3:
            ax.imshow(np.nan_to_num((sheet + 1) / 2, nan=1.0))
        else:
            ax.imshow(sheet, cmap="RdBu_r", vmin=-1, vmax=1)
        title = "atoms" if count == n_all else f"{count} of {n_all} atoms"
        ax.set(title=title, xticks=[], yticks=[])


def _bins(priors):
    """Return edges of about twenty bins; zero is one where there are both signs.

    Outliers go to the first and the last, on their side of zero.
    """
    low, high = np.quantile(priors, [0.01, 0.99])
    if low >= 0 > np.min(priors):
        low = -max(high, 1.0) / N_BINS
    if high < 0 <= np.max(priors):
        high = max(-low, 1.0) / N_BINS
    if high - low <= ROUNDING * max(1.0, abs(low), abs(high)):
        low, high = low - 0.5, high + 0.5
    width = (high - low) / N_BINS
    first, last = np.floor(low / width), np.ceil(high / width)
    # A prior of zero is sparse: it belongs to the bin on the right of zero.
    return width * np.arange(first, max(last, first + 1) + 1)


def _check_image_shape(image_shape):
    sizes = image_shape if isinstance(image_shape, tuple | list) else ()
    if len(sizes) not in (2, 3) or not all(
        isinstance(size, Integral) and int(size) > 0 for size in sizes
    ):
        raise ValueError(
            f"image_shape={image_shape!r} must be (height, width) or (height, width, "
            "channels)."
        )
