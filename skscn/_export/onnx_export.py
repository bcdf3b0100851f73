"""Fitted models as ONNX graphs; skl2onnx is loaded when they are called."""

from functools import partial

import numpy as np
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skscn._compat import need


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
    skl2onnx = need("skl2onnx", extra="onnx", caller="register_onnx_converters")

    from skscn._export.onnx_converters import CONVERTERS

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
        Fitted, of estimators of skscn and those that skl2onnx knows.
    X : array-like
        Samples, of which one is enough: the graph takes any number of the same type
        and shape, rows or images.
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
    skl2onnx = need("skl2onnx", extra="onnx", caller="to_onnx")
    check_is_fitted(model)
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
