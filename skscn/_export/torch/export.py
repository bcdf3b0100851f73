"""Fitted models as torch modules, and back; torch is loaded when they are called."""

import warnings
from copy import deepcopy

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skscn._data.sklearn_compat import import_optional

OUTPUTS = ("logits", "probabilities", "features")


def to_torch(model, *, output="logits", dtype="float32", orthonormal=False):
    """Return a fitted model as a torch module that computes the same, to be trained.

    Every step becomes a module under its name, in a ``torch.nn.Sequential``. Atoms and
    filters are weights of ``Linear`` and ``Conv2d`` layers, biases are minus the
    priors, and all are parameters: backpropagation can fine-tune a network that was
    learned without labels. Means and scales are buffers, and stay.

    Read more in the :ref:`user guide <export>`.

    Parameters
    ----------
    model : estimator or Pipeline
        Fitted. Coders with every prior and inference, :class:`ConvSparseCoder`,
        :class:`SpatialPool`, :class:`SparseCodingNetwork`, :class:`FlooredScaler`,
        :class:`StreamingRidgeClassifier`; of scikit-learn Pipeline and FeatureUnion,
        StandardScaler, MinMaxScaler, MaxAbsScaler, Normalizer, PCA,
        FunctionTransformer without a function, LogisticRegression, RidgeClassifier,
        LinearSVC, linear regressors, MLPClassifier and
        MLPRegressor. Of a search such as GridSearchCV its `best_estimator_`.
    output : {"logits", "probabilities", "features"}, default="logits"
        What the module returns of a model that ends in a classifier:
        `decision_function`, which is one number for two classes; `predict_proba`; or
        what the classifier reads. Regressors predict, transformers transform.
    dtype : torch dtype or str, default="float32"
        Of parameters and results; inputs are converted.
    orthonormal : bool, default=False
        Whether torch keeps atoms orthonormal in training, by
        ``torch.nn.utils.parametrizations.orthogonal``. The atoms of a convolution are
        those of its whitened patches.

    Returns
    -------
    network : torch.nn.Sequential
        Takes rows or images as scikit-learn does: (n, n_features), (n, height, width)
        or (n, height, width, channels). Its method ``clamp_priors_()`` sets negative
        priors to zero, and its attribute ``model`` is a copy of the model.

    Raises
    ------
    ImportError
        If torch is not installed.
    TypeError
        If a step has no torch module.
    ValueError
        If `output` is a name that there is not, or asks for probabilities of a model
        that has none; if `dtype` is no float of torch; if `orthonormal` asks to keep
        what training has turned before.
    NotFittedError
        If the model is not fitted.

    See Also
    --------
    from_torch : The way back.
    to_onnx : A graph for other runtimes.

    Examples
    --------
    >>> import numpy as np
    >>> import torch  # doctest: +SKIP
    >>> from sklearn.datasets import load_digits
    >>> from skscn import make_sparse_coding_network, to_torch
    >>> X, y = load_digits(return_X_y=True)
    >>> model = make_sparse_coding_network(image_shape=(8, 8), random_state=0).fit(X, y)
    >>> network = to_torch(model)  # doctest: +SKIP
    >>> logits = network(torch.from_numpy(X))  # doctest: +SKIP
    >>> bool((logits.argmax(1).numpy() == model.predict(X)).all())  # doctest: +SKIP
    True
    """
    torch = import_optional("torch", extra="torch", caller="to_torch")
    if output not in OUTPUTS:
        raise ValueError(f"output={output!r} is none of {OUTPUTS}.")
    dtype = _float(torch, dtype)
    check_is_fitted(model)
    model = getattr(model, "best_estimator_", model)  # of a search

    from skscn._export.fitted_layers import read_link
    from skscn._export.torch.building import HEADS, Builder
    from skscn._export.torch.layers import Probabilities
    from skscn._export.torch.network import TorchNetwork

    build = Builder(dtype, orthonormal)
    steps = [(type(model).__name__.lower(), model)]
    if isinstance(model, Pipeline):
        steps = model.steps
    last = steps[-1][1]
    if output != "logits" and isinstance(last, HEADS):
        link = read_link(last)
        if output == "features":
            steps = steps[:-1]
        elif link is None:
            raise ValueError(
                f"{last!r} has no probabilities: use output='logits', which are its "
                "decision_function, or LogisticRegression."
            )
    elif output == "probabilities":
        raise ValueError(
            f"{last!r} is no classifier with probabilities: use output='logits', "
            "which is what the model returns."
        )
    layers = build.named(steps)
    if output == "probabilities":
        layers["probabilities"] = Probabilities(link)
    return TorchNetwork(layers, deepcopy(model), dtype)


def from_torch(network, *, classes=None, orthonormal=False):
    """Return a torch network as a fitted scikit-learn model that computes the same.

    What :func:`to_torch` returned comes back as the model that it was made of, with the
    weights that the network has now. Any other ``Sequential`` of ``Linear`` layers with
    ReLU, Tanh or Sigmoid between them becomes scikit-learn's multi-layer perceptron;
    with classes a last Softmax may follow, which the perceptron has itself.

    Read more in the :ref:`user guide <export>`.

    Parameters
    ----------
    network : torch.nn.Sequential
        From :func:`to_torch`, fine-tuned or not, or a perceptron.
    classes : array-like of shape (n_classes,), default=None
        The labels of the outputs of a perceptron, in the order of the outputs; of a
        single output the second is that of positive scores. None makes it a regressor.
    orthonormal : bool, default=False
        Whether atoms that training has turned become the nearest orthonormal ones, so
        that likelihoods and inverses hold. The model then differs from the network.

    Returns
    -------
    model : estimator
        A new one; neither the network nor the exported model changes.

    Raises
    ------
    ImportError
        If torch is not installed.
    TypeError
        If `network` is of another kind.
    ValueError
        If a prior of signed codes is negative or weights are NaN; if layers were added
        to the network, taken off it or replaced by others; if outputs and classes
        differ, or classes are duplicates.

    Warns
    -----
    UserWarning
        If atoms of a coder of rows are no longer orthonormal.

    See Also
    --------
    to_torch : The way there.

    Notes
    -----
    A free fine-tuned convolution keeps its filters and biases as they are; its `atoms_`
    become the pseudo-inverse of the filters, so that `reconstruct` is the best linear
    reconstruction from the codes. `partial_fit` starts a new stream from the nearest
    orthonormal atoms. Noise variances are those of the fit before.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skscn import NonNegativeSparseCoder, from_torch, to_torch
    >>> X, _ = load_digits(return_X_y=True)
    >>> coder = NonNegativeSparseCoder(16, alpha=2.0).fit(X)
    >>> network = to_torch(coder, orthonormal=True)  # doctest: +SKIP
    >>> from_torch(network).components_.shape  # doctest: +SKIP
    (16, 64)
    """
    import_optional("torch", extra="torch", caller="from_torch")

    from skscn._export.torch.network import TorchNetwork
    from skscn._export.torch.perceptrons import perceptron
    from skscn._export.torch.restoring import restored

    if isinstance(network, TorchNetwork) and network.model is not None:
        model, gaps = restored(network, orthonormal=orthonormal)
        for name, gap in gaps.items():
            warnings.warn(
                f"The atoms of step {name!r} are no longer orthonormal: D Dᵀ is "
                f"{gap:.2g} away from the identity. transform gives what the network "
                "gives, but inverse_transform and the likelihood hold for orthonormal "
                "atoms only. Train with to_torch(orthonormal=True), or take the "
                "nearest orthonormal atoms with from_torch(orthonormal=True).",
                stacklevel=2,
            )
        return model
    return perceptron(network, classes)


def _float(torch, dtype):
    """Return the dtype of torch that was named."""
    found = dtype
    if not isinstance(dtype, torch.dtype):
        try:
            name = np.dtype(dtype).name
        except TypeError:  # NumPy has not all that torch has
            name = str(dtype)
        found = getattr(torch, name, None)
    if not (isinstance(found, torch.dtype) and found.is_floating_point):
        raise ValueError(f"dtype={dtype!r} is no float of torch, as 'float32' is.")
    return found
