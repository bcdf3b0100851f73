"""The two public functions: interpret a trained network, and repair it."""

from numbers import Integral

from sklearn.utils import check_scalar

from skscn._interpretation.model_readers import read_model
from skscn._interpretation.report import NetworkReport
from skscn._interpretation.traversal import hidden_layers


def interpret_network(model, X=None, *, max_rows=2000, readout=True):
    """Interpret a trained ReLU network as a hierarchy of sparse coding models.

    A ReLU unit computes max(w·x + b, 0), which is the norm of w times::

        max(d·x − λ, 0)    with the atom d = w/‖w‖ and the prior λ = −b/‖w‖

    If the atoms D of a layer are orthonormal and λ ≥ 0, this is the exact solution of::

        min  ½‖x − aD‖² + Σ_j λ_j a_j    over a ≥ 0

    The report says how close a network is to that: which priors are sparse, for the
    input as it is or centered; the angles between the atoms; and, on data, how far the
    codes of the network are from the exact codes.

    Read more in the :ref:`user guide <interpretation>`.

    Parameters
    ----------
    model : object
        A fitted :class:`~sklearn.neural_network.MLPClassifier` or
        :class:`~sklearn.neural_network.MLPRegressor` with ReLU; a
        ``torch.nn.Sequential`` of Linear, Conv2d, ReLU, Flatten, Unflatten, MaxPool2d,
        AvgPool2d, AdaptiveAvgPool2d(1), Softmax, Dropout and Identity, read in
        evaluation mode; a fitted :class:`NonNegativeSparseCoder`,
        :class:`OrthogonalSparseCoder` with `split_sign=True`, :class:`ConvSparseCoder`
        or :class:`SparseCodingNetwork`; a Pipeline that ends in one of them, or in a
        linear model after those of this package, as the networks of
        :func:`make_sparse_coding_network` do; or a list of (weight, bias) with weights
        of shape (n_units, n_inputs), as in torch, and None for no bias. It is not
        changed.
    X : array-like, default=None
        Samples as the model takes them: rows for dense layers, images (n, channels,
        height, width) for torch, in NumPy or as a tensor. A few hundred are enough.
        None analyzes the weights alone. The report keeps X for repairs.
    max_rows : int, default=2000
        Maximum number of rows, or patches, of a layer's input for exact codes. They are
        spread evenly over X.
    readout : bool, default=True
        For a list of arrays, whether the last pair is not followed by a ReLU, and is
        not a hidden layer.

    Returns
    -------
    report : NetworkReport
        The report. It prints as a table.

    Raises
    ------
    TypeError
        If the model is of a kind that cannot be read.
    ValueError
        If it has a layer that cannot be read, if it has no hidden layer, if weights are
        NaN or infinite, if X has another shape than the model takes, or if the input of
        a layer is too large or too small for its squares.

    See Also
    --------
    repair_network : Make priors sparse and atoms orthonormal.
    InterpretationDisplay : Draw a layer of a report.

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
    >>> layer.positive_bias_fraction > 0.2
    True
    """
    check_scalar(max_rows, "max_rows", Integral, min_val=1)
    network = read_model(model, readout=readout)
    if not hidden_layers(network.operations):
        hint = " If a ReLU follows the last layer, give readout=False."
        raise ValueError(
            f"{network.name}: no hidden layer, no weights that a ReLU follows."
            f"{hint if isinstance(model, list | tuple) else ''}"
        )
    samples = None if X is None else network.samples(X)
    return NetworkReport(network, samples, max_rows)


def repair_network(
    model, X=None, y=None, *, priors="bias", atoms=False, refit=False, max_rows=2000
):
    """Return a copy of a network with sparse priors, orthonormal atoms, or both.

    This is :func:`interpret_network` followed by :meth:`NetworkReport.repair`. Call
    these two to score on other samples than those of the repair. The nearest
    non-negative prior is max(λ, 0). The nearest orthonormal atoms are the polar factor
    of D, and the norms stay::

        b ← min(b, 0),    W ← diag(‖w_j‖) polar(D)

    Read more in the :ref:`user guide <interpretation>`.

    Parameters
    ----------
    model : object
        A model as :func:`interpret_network` takes it. It is not changed.
    X : array-like, default=None
        Samples as the model takes them.
    y : array-like of shape (n_samples,), default=None
        Labels or values of X, for scores.
    priors : {"bias", "centered"} or None, default="bias"
        The priors that are made non-negative. "bias" sets positive biases to zero,
        "centered" sets negative priors of the centered input of a layer to zero, and
        None keeps the priors.
    atoms : bool, default=False
        Whether atoms are made orthonormal. An overcomplete layer gets the nearest tight
        frame.
    refit : bool, default=False
        Whether the layer after a repaired one is fitted, by least squares and without
        labels, to the pre-activations that it had before the repair.
    max_rows : int, default=2000
        Maximum number of rows for exact codes and refits.

    Returns
    -------
    result : RepairResult
        The repaired copy in `model`, the reports `before` and `after`, the scores
        `score_before` and `score_after`, and their difference `change`.

    Raises
    ------
    TypeError
        If the model is of a kind that cannot be read or repaired.
    ValueError
        As :func:`interpret_network`, and if X is missing and is needed.

    See Also
    --------
    interpret_network : Interpret a network without changing it.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.neural_network import MLPClassifier
    >>> from skscn import repair_network
    >>> X, y = load_digits(return_X_y=True)
    >>> model = MLPClassifier((32,), max_iter=500, random_state=0).fit(X, y)
    >>> result = repair_network(model, X, y, priors="bias", refit=True)
    >>> result.after.layers[0].positive_bias_fraction
    0.0
    >>> bool((result.model.intercepts_[0] <= 0).all())
    True
    >>> abs(result.change) < 0.05
    True
    """
    report = interpret_network(model, X, max_rows=max_rows)
    scored = () if y is None else (X, y)
    return report.repair(*scored, priors=priors, atoms=atoms, refit=refit)
