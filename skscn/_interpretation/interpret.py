"""Trained ReLU networks read and repaired as sparse coding: the two functions."""

from skscn._interpretation.forwards import whole
from skscn._interpretation.readers import read
from skscn._interpretation.report import NetworkReport


def interpret_network(model, X=None, *, max_rows=2000, readout=True):
    """Read a trained ReLU network as a hierarchy of sparse codes.

    A ReLU unit computes max(w·x + b, 0), which is the norm of w times::

        max(d·x − λ, 0)    with the atom d = w/‖w‖ and the prior λ = −b/‖w‖

    If the atoms D of a layer were orthonormal and λ ≥ 0, this would be the exact
    solution of::

        min  ½‖x − aD‖² + Σ_j λ_j a_j    over a ≥ 0

    The report tells how near a network comes to that: which priors are sparse, about
    zero or about the mean of what a layer sees; the angles of the atoms; and, on data,
    how far the network's codes are from the exact ones.

    Read more in the :ref:`user guide <interpretation>`.

    Parameters
    ----------
    model : object
        A fitted :class:`~sklearn.neural_network.MLPClassifier` or
        :class:`~sklearn.neural_network.MLPRegressor` with ReLU, or a Pipeline that ends
        in one; a ``torch.nn.Sequential`` of Linear, Conv2d, ReLU, Flatten, Unflatten,
        MaxPool2d, AvgPool2d, AdaptiveAvgPool2d(1), Softmax, Dropout and Identity, read
        in the mode of evaluation; a fitted :class:`NonNegativeSparseCoder`,
        :class:`ConvSparseCoder`, or :class:`SparseCodingNetwork` that is a stack of
        them; or a list of (weight, bias) with weights of shape (n_units, n_inputs), as
        in torch, and None for no bias. It is not changed.
    X : array-like, default=None
        Samples as the model takes them: rows for dense layers, images (n, channels,
        height, width) for torch, in NumPy or as a tensor. Some hundreds are enough.
        None reads weights alone. The report keeps them, for repairs.
    max_rows : int, default=2000
        Most rows, or patches, of a layer's input whose exact codes are found, spread
        evenly over X.
    readout : bool, default=True
        Of a list of arrays, whether the last pair has no ReLU and is not a layer of
        codes.

    Returns
    -------
    report : NetworkReport
        Prints as a table.

    Raises
    ------
    TypeError
        If the model is of a kind that cannot be read.
    ValueError
        If it has a layer that cannot be read, no hidden layer, or another shape than X.

    See Also
    --------
    repair_network : Makes priors sparse and atoms orthonormal.
    InterpretationDisplay : Draws a layer.

    References
    ----------
    .. [1] J. Bowren, "A Sparse Coding Interpretation of Neural Networks and Theoretical
       Implications", arXiv:2108.06622, 2021.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.neural_network import MLPClassifier
    >>> from skscn import interpret_network
    >>> X, y = load_digits(return_X_y=True)
    >>> model = MLPClassifier((32,), max_iter=500, random_state=0).fit(X, y)
    >>> report = interpret_network(model, X)
    >>> bool((report.predict(X) == model.predict(X)).all())
    True
    >>> layer = report.layers[0]
    >>> layer.atoms.shape, layer.priors.shape
    ((32, 64), (32,))
    >>> layer.broken > 0.2  # share of units with a positive bias
    True
    """
    whole("max_rows", max_rows, 1)
    network = read(model, readout=readout)
    if not network.hidden:
        hint = ""
        if isinstance(model, list | tuple):
            hint = (
                " If one follows the last, too, give interpret_network readout=False."
            )
        raise ValueError(
            f"{network.title}: no hidden layer, no weights that a ReLU follows.{hint}"
        )
    samples = None if X is None else network.prepare(X)
    return NetworkReport.of(network, samples, max_rows)


def repair_network(
    model, X=None, y=None, *, priors="bias", atoms=False, refit=False, max_rows=2000
):
    """Return a copy of a network with sparse priors, orthonormal atoms, or both.

    The same as :func:`interpret_network` and :meth:`NetworkReport.repair` in one, which
    scores on other samples than those it repairs by. The nearest non-negative prior is
    max(λ, 0), and the nearest orthonormal atoms are the polar factor of D, norms kept::

        b ← min(b, 0),    W ← diag(‖w_j‖) polar(D)

    Read more in the :ref:`user guide <interpretation>`.

    Parameters
    ----------
    model : object
        As :func:`interpret_network` takes it. It is not changed.
    X : array-like, default=None
        Samples as the model takes them.
    y : array-like of shape (n_samples,), default=None
        Labels or values, to have scores.
    priors : {"bias", "centred"} or None, default="bias"
        "bias" cuts biases at zero, "centred" cuts priors about the mean of a layer's
        input at zero, None leaves them.
    atoms : bool, default=False
        Whether atoms become orthonormal; of an overcomplete layer the nearest tight
        frame.
    refit : bool, default=False
        Whether the layer after a repaired one is fitted, by least squares without
        labels, to the pre-activations that it had.
    max_rows : int, default=2000
        Most rows that exact codes and refits are made of.

    Returns
    -------
    repair : Repair
        With `model`, `before`, `after`, `score_before`, `score_after` and `change`.

    Raises
    ------
    TypeError
        If the model is of a kind that cannot be read or repaired.
    ValueError
        As :func:`interpret_network`, and if X is missing where it is needed.

    See Also
    --------
    interpret_network : Reads a network without changing it.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.neural_network import MLPClassifier
    >>> from skscn import repair_network
    >>> X, y = load_digits(return_X_y=True)
    >>> model = MLPClassifier((32,), max_iter=500, random_state=0).fit(X, y)
    >>> repair = repair_network(model, X, y, priors="bias", refit=True)
    >>> repair.after.layers[0].broken
    0.0
    >>> bool((repair.model.intercepts_[0] <= 0).all())
    True
    >>> abs(repair.change) < 0.05
    True
    """
    report = interpret_network(model, X, max_rows=max_rows)
    given = (None, None) if y is None else (X, y)
    return report.repair(*given, priors=priors, atoms=atoms, refit=refit)
