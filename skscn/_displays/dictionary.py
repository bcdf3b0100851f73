"""The display of one or several dictionaries: their atoms as small images."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skscn._data.sklearn_compat import as_numpy
from skscn._displays.axes import get_axes
from skscn._displays.mosaic import GAP_PIXELS, mosaic
from skscn._displays.validation import check_image_shape, check_positive_integer

GAP_COLOR = (0.35, 0.5, 0.7)  # blue, since atoms are black, gray and white


class DictionaryDisplay:
    """Plot of the atoms of a dictionary, each as an image of its patch.

    It is recommended to use :meth:`from_estimator`. All parameters are stored as
    attributes.

    Parameters
    ----------
    atoms : ndarray of shape (n_atoms, height, width) or \
            (n_atoms, height, width, channels)
        Atoms as patches, of one or three channels.
    weights : ndarray of shape (n_dictionaries,), default=None
        Weights of the dictionaries of a mixture, which have the same number of atoms,
        one dictionary after the other. None stands for a single dictionary.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes of the plot.
    figure_ : matplotlib Figure
        The figure of the axes.
    image_ : matplotlib AxesImage
        All atoms as one image.

    See Also
    --------
    OrthogonalSparseCoder : A coder of rows. Its atoms are `components_`.
    ConvSparseCoder : A coder of patches. Its atoms are `atoms_`.
    SparseCodingMixture : Several dictionaries with weights.

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

    def __init__(self, atoms, weights=None):
        self.atoms = atoms
        self.weights = weights

    def plot(self, *, ax=None, n_columns=None, **kwargs):
        """Plot the atoms.

        Every atom is scaled so that its largest absolute value is one; zero is the
        middle of the colors. The gaps between atoms are blue. Of a mixture, each
        dictionary is one row, with its weight beside it.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            The axes to plot on. None creates new ones.
        n_columns : int, default=None
            Number of atoms in a row. None makes the image nearly square. It is not
            used for a mixture.
        **kwargs : dict
            Keyword arguments of ``ax.imshow``.

        Returns
        -------
        display : DictionaryDisplay
            The display itself.
        """
        ax = get_axes(ax, "DictionaryDisplay.plot")
        import matplotlib.pyplot as plt

        if n_columns is not None:
            check_positive_integer("n_columns", n_columns)
        if self.weights is not None:
            n_columns = len(self.atoms) // len(self.weights)
        image = 0.5 + 0.5 * mosaic(self.atoms, n_columns)
        if image.ndim == 3:
            image = np.where(np.isnan(image), GAP_COLOR, image)
        cmap = plt.get_cmap(kwargs.get("cmap", "gray")).with_extremes(bad=GAP_COLOR)
        style = {"vmin": 0, "vmax": 1, "interpolation": "nearest"}
        self.image_ = ax.imshow(image, **(style | kwargs | {"cmap": cmap}))
        ax.set(xticks=[], yticks=[])
        if self.weights is not None:
            height = self.atoms.shape[1]
            centers = np.arange(len(self.weights)) * (height + GAP_PIXELS) + height / 2
            labels = [f"{weight:.3f}" for weight in self.weights]
            ax.set_yticks(centers - 0.5, labels)
            ax.set_ylabel("weight")
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_estimator(
        cls, estimator, *, image_shape=None, n_atoms=None, ax=None, **kwargs
    ):
        """Plot the atoms of a fitted coder.

        Parameters
        ----------
        estimator : fitted estimator with `components_` or `atoms_`
            A coder of rows, a `ConvSparseCoder`, a `SparseCodingMixture`, or another
            estimator with `components_`, for instance PCA.
        image_shape : tuple of int, default=None
            (height, width) or (height, width, channels) of the patch of an atom. None
            stands for squares of one or three channels. `atoms_` have a shape.
        n_atoms : int, default=None
            Number of atoms to plot, the first ones of each dictionary. None plots all.
        ax : matplotlib Axes, default=None
            The axes to plot on. None creates new ones.
        **kwargs : dict
            Keyword arguments of `plot`.

        Returns
        -------
        display : DictionaryDisplay
            The display of the atoms.

        Raises
        ------
        TypeError
            If the estimator has no atoms.
        ValueError
            If `image_shape` does not fit the atoms, if the atoms are no images of one
            or three channels, or if `n_atoms` is less than 1.
        """
        check_is_fitted(estimator)
        if n_atoms is not None:
            check_positive_integer("n_atoms", n_atoms)
        weights = None
        if hasattr(estimator, "atoms_"):
            atoms = estimator.atoms_
        elif not hasattr(estimator, "components_"):
            raise TypeError(_no_atoms_message(estimator))
        else:
            atoms = as_numpy(estimator.components_)
            if atoms.ndim == 3:
                weights = estimator.weights_
                atoms, n_atoms = atoms[:, :n_atoms].reshape(-1, atoms.shape[2]), None
            atoms = atoms.reshape(len(atoms), *_patch_shape(image_shape, atoms))
        if atoms.ndim == 4 and atoms.shape[3] == 1:
            atoms = atoms[..., 0]
        if atoms.ndim == 4 and atoms.shape[3] != 3:
            raise ValueError(
                f"Atoms have {atoms.shape[3]} channels, but images have 1 or 3. Plot "
                "some of the channels by DictionaryDisplay(atoms[..., :3]).plot()."
            )
        return cls(atoms[:n_atoms], weights).plot(ax=ax, **kwargs)


def _no_atoms_message(estimator):
    """Return the error message for an estimator without atoms, with the remedy."""
    name = type(estimator).__name__
    if hasattr(estimator, "named_layers_"):
        return f"{name} has no atoms: use a layer, such as model.named_layers_[name]."
    if hasattr(estimator, "steps"):
        return f"{name} has no atoms: use the step with atoms, such as model[0]."
    return f"{name} has neither components_ nor atoms_: use a coder."


def _patch_shape(image_shape, atoms):
    """Return the shape of the patch of an atom."""
    n_features = atoms.shape[1]
    if image_shape is not None:
        return check_image_shape(image_shape, n_features, "atoms")
    for channels in (1, 3):
        side = round((n_features / channels) ** 0.5)
        if side * side * channels == n_features:
            return (side, side) if channels == 1 else (side, side, channels)
    raise ValueError(
        f"Atoms of {n_features} entries are not square patches of one or three "
        "channels. Give their image_shape."
    )
