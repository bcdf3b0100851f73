"""The functions `to_torch` and `from_torch`, which import torch when called."""

from copy import deepcopy

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skscn._core.caller_warnings import warn_caller
from skscn._data.sklearn_compat import import_optional
from skscn._export.fitted_parameters import last_step

OUTPUTS = ("logits", "probabilities", "features")


def to_torch(
    model, *, output="logits", dtype="float32", orthonormal=False, batch_norm=False
):
    """Return a fitted model as a torch module with the same outputs, to be trained.

    Every step becomes a module under its name in a ``torch.nn.Sequential``. Atoms and
    filters are weights of ``Linear`` and ``Conv2d`` layers, and biases are minus the
    priors. All of them are parameters: backpropagation can fine-tune a network that was
    learned without labels. Means and scales are buffers, which are not trained.

    Read more in the :ref:`user guide <export>`.

    Parameters
    ----------
    model : estimator or Pipeline
        A fitted model. There are modules for coders with every prior and inference,
        :class:`ConvSparseCoder`, :class:`SpatialPool`, :class:`SparseCodingNetwork`,
        :class:`FlooredScaler` and :class:`StreamingRidgeClassifier`, and for these
        estimators of scikit-learn: Pipeline, FeatureUnion, StandardScaler,
        MinMaxScaler, MaxAbsScaler, Normalizer, PCA, FunctionTransformer without a
        function, LogisticRegression, RidgeClassifier, LinearSVC, linear regressors,
        MLPClassifier and MLPRegressor. The `best_estimator_` of a search such as
        GridSearchCV is exported.
    output : {"logits", "probabilities", "features"}, default="logits"
        The output of the module if the model ends in a classifier: "logits" are its
        `decision_function`, one number per sample for two classes; "probabilities" are
        its `predict_proba`; "features" are its inputs. The output is `predict` for
        regressors and `transform` for transformers.
    dtype : torch dtype or str, default="float32"
        The type of parameters and outputs. Inputs are converted to it.
    orthonormal : bool, default=False
        Whether torch keeps atoms orthonormal in training, by
        ``torch.nn.utils.parametrizations.orthogonal``. The atoms of a convolution are
        those of its whitened patches.
    batch_norm : bool, default=False
        Whether the projections of every convolution pass through a
        ``torch.nn.BatchNorm2d``, with which deep networks are trained at higher rates.
        It starts as the identity, in training up to the difference of a mini-batch from
        the data that the model was fitted to. Call ``network.eval()`` to predict.
        :func:`from_torch` folds it into filters and biases, so that the trained model
        has no normalization.

    Returns
    -------
    network : torch.nn.Sequential
        Its inputs are rows or images as in scikit-learn, of shape (n, n_features),
        (n, height, width) or (n, height, width, channels). Its method
        ``clamp_priors_()`` sets negative priors to zero. Its attribute ``model`` is a
        copy of the model.

    Raises
    ------
    ImportError
        If torch is not installed.
    TypeError
        If a step has no torch module.
    ValueError
        If `output` has another value, or is "probabilities" for a model without them;
        if `dtype` is no floating-point dtype of torch; if `orthonormal=True` and
        `dtype` is a half precision, or the atoms are not orthonormal after earlier
        training; if `batch_norm=True` together with `orthonormal=True`, for a model
        without convolutions, or for one with ``whiten=None`` or with atoms that are not
        orthonormal after earlier training.
    NotFittedError
        If the model is not fitted.

    See Also
    --------
    from_torch : Return a trained network as a fitted model.
    to_onnx : Return a graph for other runtimes.

    Examples
    --------
    >>> import numpy as np
    >>> import torch  # doctest: +SKIP
    >>> from sklearn.datasets import load_digits
    >>> from skscn import make_sparse_coding_network, to_torch
    >>> X, y = load_digits(n_class=3, return_X_y=True)
    >>> model = make_sparse_coding_network(image_shape=(8, 8), random_state=0).fit(X, y)
    >>> network = to_torch(model)  # doctest: +SKIP
    >>> logits = network(torch.from_numpy(X))  # doctest: +SKIP
    >>> bool((logits.argmax(1).numpy() == model.predict(X)).all())  # doctest: +SKIP
    True
    """
    torch = import_optional("torch", extra="torch", caller="to_torch")
    if output not in OUTPUTS:
        raise ValueError(f"output={output!r} must be one of {OUTPUTS}.")
    dtype = _float_dtype(torch, dtype)
    if orthonormal and dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"orthonormal=True needs dtype='float32' or 'float64', not {dtype}: torch "
            "keeps matrices orthonormal in these only."
        )
    if orthonormal and batch_norm:
        raise ValueError(
            "orthonormal=True and batch_norm=True exclude each other: batch norm "
            "scales every atom. Use one of them."
        )
    check_is_fitted(model)
    model = getattr(model, "best_estimator_", model)  # of a search

    from skscn._export.torch.linear import Probabilities, output_activation
    from skscn._export.torch.network import TorchNetwork
    from skscn._export.torch.steps import PREDICTORS, step_modules
    from skscn._export.torch.weights import ExportOptions

    steps = [(type(model).__name__.lower(), model)]
    if isinstance(model, Pipeline):
        steps = model.steps
    last, activation = last_step(model), None
    is_predictor = isinstance(last, PREDICTORS)
    if output == "features" and is_predictor:
        steps = _without_last_step(steps)
    if output == "probabilities":
        activation = output_activation(last) if is_predictor else None
        if activation is None:
            raise ValueError(
                f"{last!r} has no probabilities: use output='logits' for what the "
                "model returns, or end the model in a classifier with predict_proba, "
                "such as LogisticRegression."
            )
    layers = step_modules(steps, ExportOptions(dtype, orthonormal, batch_norm))
    if batch_norm and not any(
        isinstance(module, torch.nn.BatchNorm2d)
        for layer in layers.values()
        for module in layer.modules()
    ):
        raise ValueError(
            f"batch_norm=True normalizes convolutions, but {model!r} has none. Use "
            "batch_norm=False."
        )
    if activation is not None:
        layers["probabilities"] = Probabilities(activation)
    return TorchNetwork(layers, deepcopy(model), dtype)


def from_torch(network, *, classes=None, orthonormal=False):
    """Return a torch network as a fitted scikit-learn model with the same outputs.

    A network from :func:`to_torch` becomes a copy of the exported model with the
    weights that the network has now. Any other ``Sequential`` of ``Linear`` layers with
    ReLU, Tanh or Sigmoid between them becomes a multi-layer perceptron of scikit-learn.
    With classes, the last layer may be a Softmax, which the perceptron applies itself.

    Read more in the :ref:`user guide <export>`.

    Parameters
    ----------
    network : torch.nn.Sequential
        A network from :func:`to_torch`, fine-tuned or not, or a perceptron.
    classes : array-like of shape (n_classes,), default=None
        The labels of the outputs of a perceptron, in the order of the outputs. For a
        single output, positive scores stand for the second class. None returns a
        regressor. A network from :func:`to_torch` keeps the labels of its model.
    orthonormal : bool, default=False
        Whether trained atoms are replaced by the nearest orthonormal ones, for which
        likelihoods and inverses are exact. The outputs of the model then differ from
        those of the network.

    Returns
    -------
    model : estimator
        A new estimator. The network and the exported model do not change.

    Raises
    ------
    ImportError
        If torch is not installed.
    TypeError
        If `network` has another type or other layers.
    ValueError
        If a prior of signed codes is negative; if weights are not finite, or have no
        values since they are on the meta device or belong to a lazy module; if a
        perceptron has hooks, or a module with a forward of its own; if layers were
        added to the network, removed from it or replaced by others; if the numbers
        of outputs and classes differ, or there are duplicate classes; or if `classes`
        are given for a network from :func:`to_torch`.

    Warns
    -----
    UserWarning
        If atoms of a coder of rows are no longer orthonormal.

    See Also
    --------
    to_torch : Return a fitted model as a torch module.

    Notes
    -----
    A convolution that was trained with `orthonormal=False` has the trained filters and
    biases. Its `atoms_` are the pseudo-inverse of the filters, so that `reconstruct` is
    the best linear reconstruction from the codes. Batch norm is folded into them with
    its running statistics, as in evaluation mode. `partial_fit` starts a new stream
    from the nearest orthonormal atoms. Noise variances do not change, and neither does
    a classifier that the network does not have, with ``output="features"``.

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

    from skscn._export.torch.network import TorchNetwork, check_structure
    from skscn._export.torch.perceptron import sequential_to_perceptron
    from skscn._export.torch.steps import restore_steps
    from skscn._export.torch.weights import MAX_ORTHONORMALITY_ERROR

    if not isinstance(network, TorchNetwork) or network.model is None:
        return sequential_to_perceptron(network, classes)
    if classes is not None:
        raise ValueError(
            "classes are those of a perceptron, but the network comes from to_torch "
            "and keeps the labels of its model. Give classes=None."
        )
    check_structure(network)
    model = deepcopy(network.model)
    module = network if isinstance(model, Pipeline) else network[0]
    errors = restore_steps(type(model).__name__, model, module, orthonormal)
    for name, error in errors:
        if error > MAX_ORTHONORMALITY_ERROR:
            warn_caller(
                f"The atoms of step {name!r} are no longer orthonormal: D Dᵀ differs "
                f"from the identity by {error:.2g}. transform returns what the network "
                "returns, but inverse_transform and the likelihood are exact for "
                "orthonormal atoms only. Train with to_torch(orthonormal=True), or "
                "take the nearest orthonormal atoms by from_torch(orthonormal=True).",
            )
    return model


def _without_last_step(steps):
    """Return the steps before the last one, which may be in an inner Pipeline."""
    *before, (name, last) = steps
    if not isinstance(last, Pipeline):
        return before
    inner = _without_last_step(last.steps)
    return [*before, (name, Pipeline(inner))] if inner else before


def _float_dtype(torch, dtype):
    """Return a floating-point dtype of torch by its name, or by that of NumPy."""
    found = dtype
    if not isinstance(dtype, torch.dtype):
        try:
            name = np.dtype(dtype).name
        except TypeError:  # torch has dtypes that NumPy does not have
            name = str(dtype)
        found = getattr(torch, name, None)
    if not (isinstance(found, torch.dtype) and found.is_floating_point):
        raise ValueError(
            f"dtype={dtype!r} must be a floating-point dtype of torch, such as "
            "'float32'."
        )
    return found
