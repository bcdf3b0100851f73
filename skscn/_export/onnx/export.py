"""Fitted models as ONNX graphs; skl2onnx is loaded when they are called."""

from functools import partial

import numpy as np
from sklearn.base import is_classifier
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils.validation import check_is_fitted

from skscn._data.sklearn_compat import import_optional


def register_onnx_converters():
    """Teach skl2onnx the estimators of skscn.

    Afterwards ``skl2onnx.to_onnx`` and ``skl2onnx.convert_sklearn`` convert coders,
    layers, networks, :class:`FlooredScaler` and :class:`StreamingRidgeClassifier`,
    alone, in a Pipeline, or inside of any other estimator that they know.

    Read more in the :ref:`user guide <export>`.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.

    See Also
    --------
    to_onnx : Registers them and converts a model.

    Examples
    --------
    >>> from skscn import register_onnx_converters
    >>> register_onnx_converters()  # doctest: +SKIP
    """
    skl2onnx = import_optional(
        "skl2onnx", extra="onnx", caller="register_onnx_converters"
    )

    from skscn._export.onnx.converters import CONVERTERS

    for Estimator, (shapes, convert, options) in CONVERTERS.items():
        skl2onnx.update_registered_converter(
            Estimator, f"Skscn{Estimator.__name__}", shapes, convert, options=options
        )


def to_onnx(model, X, *, options=None, target_opset=None):
    """Return a fitted model as an ONNX graph, that other runtimes and languages run.

    It is what ``skl2onnx.to_onnx`` returns after :func:`register_onnx_converters`, with
    probabilities as one array instead of a list of dictionaries.

    Read more in the :ref:`user guide <export>`.

    Parameters
    ----------
    model : estimator or Pipeline
        Fitted, of estimators of skscn and those that skl2onnx knows. Of a search such
        as GridSearchCV it is its `best_estimator_`.
    X : array-like
        Samples, of which one is enough: the graph takes any number of the same type
        and shape, rows or images. The model is run on the first, which tells of
        samples that are none of it.
    options : dict, default=None
        Of skl2onnx, for single estimators.
    target_opset : int, default=None
        Version of the operators of ONNX; None takes the newest that skl2onnx knows.

    Returns
    -------
    graph : onnx.ModelProto
        ``graph.SerializeToString()`` is what ``onnxruntime.InferenceSession`` loads.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.
    NotFittedError
        If the model is not fitted.
    TypeError
        If a step is an estimator of skscn that has no converter.
    ValueError
        If there is no sample, or it is not as the model takes it.

    See Also
    --------
    to_torch : A module that can be trained.

    Notes
    -----
    Layers of images compute in single precision for input of any type, since ONNX
    Runtime has no other convolution on CPUs. The second output of a
    classifier without probabilities is its `decision_function`, as a column for two
    classes.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skscn import make_sparse_coding_network, to_onnx
    >>> X, y = load_digits(return_X_y=True)
    >>> model = make_sparse_coding_network(image_shape=(8, 8), random_state=0).fit(X, y)
    >>> graph = to_onnx(model, X[:1].astype("float32"))  # doctest: +SKIP
    >>> [output.name for output in graph.graph.output]  # doctest: +SKIP
    ['label', 'probabilities']
    """
    skl2onnx = import_optional("skl2onnx", extra="onnx", caller="to_onnx")
    check_is_fitted(model)
    model = getattr(model, "best_estimator_", model)  # of a search
    _check_steps(type(model).__name__, model)
    _check_sample(model, X)
    register_onnx_converters()
    last = model.steps[-1][1] if isinstance(model, Pipeline) else model
    convert = partial(
        skl2onnx.to_onnx, model, np.asarray(X)[:1], target_opset=target_opset
    )
    if is_classifier(last) and not {id(last), type(last)} & set(options or ()):
        try:
            return convert(options={**(options or {}), id(last): {"zipmap": False}})
        except NameError as error:  # how skl2onnx says that there is no such option
            if "zipmap" not in str(error):
                raise
    return convert(options=options)


def _check_steps(name, step):
    """Complain of a step of skscn that has no converter."""
    from skscn._export.onnx.converters import CONVERTERS

    if isinstance(step, Pipeline | FeatureUnion):
        inner = step.steps if isinstance(step, Pipeline) else step.transformer_list
        for own, part in inner:
            _check_steps(own, part)
    elif type(step).__module__.startswith("skscn.") and type(step) not in CONVERTERS:
        names = sorted(kind.__name__ for kind in CONVERTERS)
        raise TypeError(
            f"Step {name!r} is {step!r}, which has no ONNX converter. Of skscn there "
            f"are converters of {', '.join(names)}."
        )


def _check_sample(model, X):
    """Run a model on the first sample, named as it is, to tell what is wrong."""
    shape = np.shape(X)
    if len(shape) < 2 or shape[0] == 0:
        raise ValueError(
            "to_onnx needs at least one sample, rows (n, n_features) or images; X has "
            f"the shape {shape}."
        )
    method = "predict" if hasattr(model, "predict") else "transform"
    getattr(model, method)(X[:1])
