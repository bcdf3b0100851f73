"""The picture of a dictionary: its atoms as small images."""

from numbers import Integral

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skscn._data.sklearn_compat import check_matplotlib

GAP = 1  # pixels between atoms
BETWEEN = (0.35, 0.5, 0.7)  # no grey: black, grey and white are colours of atoms


class DictionaryDisplay:
    """Atoms side by side, each as the patch that it is.

    It is recommended to use :meth:`from_estimator`. All parameters are stored as
    attributes.

    Parameters
    ----------
    atoms : ndarray of shape (n_atoms, height, width) or \
            (n_atoms, height, width, channels)
        Atoms as patches, of one or three channels.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes that were drawn on.
    figure_ : matplotlib Figure
        Their figure.
    image_ : matplotlib AxesImage
        All atoms as one image.

    See Also
    --------
    OrthogonalSparseCoder : Has atoms of rows, `components_`.
    ConvSparseCoder : Has atoms of patches, `atoms_`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skscn import DictionaryDisplay, OrthogonalSparseCoder
    >>> X, _ = load_digits(return_X_y=True)
    >>> coder = OrthogonalSparseCoder(30, alpha=3.0).fit(X)
    >>> display = DictionaryDisplay.from_estimator(coder)
    >>> display.atoms.shape
    (30, 8, 8)
    """

    def __init__(self, atoms):
        self.atoms = atoms

    def plot(self, *, ax=None, n_columns=None, **kwargs):
        """Draw the atoms.

        Every atom is scaled to the whole range of colours; zero is their middle. What
        is between atoms is blue.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes new ones.
        n_columns : int, default=None
            How many atoms are side by side. None makes a square of all.
        **kwargs : dict
            For ``ax.imshow``.

        Returns
        -------
        display : DictionaryDisplay
            The display itself.
        """
        check_matplotlib("DictionaryDisplay.plot")
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots()
        if n_columns is not None:
            _check_count("n_columns", n_columns)
        picture = _mosaic(self.atoms, n_columns)
        style = {"vmin": 0, "vmax": 1, "interpolation": "nearest"} | kwargs
        colours = plt.get_cmap(kwargs.get("cmap", "gray"))
        style["cmap"] = colours.with_extremes(bad=BETWEEN)
        self.image_ = ax.imshow(picture, **style)
        ax.set(xticks=[], yticks=[])
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_estimator(
        cls, estimator, *, image_shape=None, n_atoms=None, ax=None, **kwargs
    ):
        """Draw the atoms of a fitted coder.

        Parameters
        ----------
        estimator : fitted estimator with `components_` or `atoms_`
            A coder of rows, or a `ConvSparseCoder`. Others that have `components_`,
            for instance PCA, will do.
        image_shape : tuple of int, default=None
            (height, width) or (height, width, channels) of the patches that atoms are.
            None takes squares, of one or three channels; `atoms_` have a shape.
        n_atoms : int, default=None
            How many to draw, from the first. None draws all.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes new ones.
        **kwargs : dict
            For `plot`.

        Returns
        -------
        display : DictionaryDisplay
            What was drawn.

        Raises
        ------
        TypeError
            If the estimator has no atoms.
        ValueError
            If atoms have no such shape, or if there are none to draw.
        """
        check_is_fitted(estimator)
        if n_atoms is not None:
            _check_count("n_atoms", n_atoms)
        if hasattr(estimator, "atoms_"):
            atoms = estimator.atoms_
        elif not hasattr(estimator, "components_"):
            raise TypeError(_no_atoms(estimator))
        else:
            atoms = np.asarray(estimator.components_)
            atoms = atoms.reshape(len(atoms), *_shape(image_shape, atoms.shape[1]))
        if atoms.ndim == 4 and atoms.shape[3] == 1:
            atoms = atoms[..., 0]
        if atoms.ndim == 4 and atoms.shape[3] != 3:
            raise ValueError(
                f"Atoms have {atoms.shape[3]} channels: 1 or 3 can be drawn. Take some "
                "of them, DictionaryDisplay(atoms[..., :3]).plot()."
            )
        return cls(atoms[:n_atoms]).plot(ax=ax, **kwargs)


def _check_count(name, value):
    if not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name}={value!r} must be an integer of at least 1.")


def _no_atoms(estimator):
    """Return what to say of an estimator without atoms, and where they may be."""
    name = type(estimator).__name__
    if hasattr(estimator, "named_layers_"):
        return (
            f"{name} has no atoms itself: give a layer, as model.named_layers_[name]."
        )
    if hasattr(estimator, "steps"):
        return f"{name} has no atoms itself: give the step that has, as model[0]."
    return f"{name} has neither components_ nor atoms_: give a coder."


def _shape(image_shape, n_features):
    """Return the shape of the patch that an atom is."""
    if image_shape is not None:
        if np.prod(image_shape) != n_features:
            raise ValueError(
                f"image_shape={image_shape} stands for {np.prod(image_shape)} numbers, "
                f"but atoms have {n_features}."
            )
        return tuple(image_shape)
    for channels in (1, 3):
        side = round((n_features / channels) ** 0.5)
        if side * side * channels == n_features:
            return (side, side) if channels == 1 else (side, side, channels)
    raise ValueError(
        f"Atoms of {n_features} numbers are not square patches of one or three "
        "channels. Give their image_shape."
    )


def _mosaic(atoms, n_columns):
    """Return atoms in a grid, each in the range 0 to 1, NaN or a colour between."""
    n_atoms, height, width = atoms.shape[:3]
    n_columns = n_columns or int(np.ceil(np.sqrt(n_atoms * height / width)))
    n_rows = -(-n_atoms // n_columns)
    shape = (n_rows * (height + GAP) - GAP, n_columns * (width + GAP) - GAP)
    fill = BETWEEN if atoms.ndim == 4 else np.nan
    picture = np.full((*shape, *atoms.shape[3:]), fill)
    for i, atom in enumerate(atoms):
        top, left = (height + GAP) * (i // n_columns), (width + GAP) * (i % n_columns)
        scaled = 0.5 + 0.5 * atom / (np.abs(atom).max() or 1.0)
        picture[top : top + height, left : left + width] = scaled
    return picture
