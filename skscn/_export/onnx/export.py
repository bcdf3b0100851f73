"""The function `to_onnx`, which imports skl2onnx when called."""

from functools import partial

import numpy as np
from sklearn.base import is_classifier
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils.validation import check_is_fitted

from skscn._data.sklearn_compat import import_optional


def register_onnx_converters():
    """Register converters for the estimators of skscn in skl2onnx.

    Afterwards ``skl2onnx.to_onnx`` and ``skl2onnx.convert_sklearn`` convert coders,
    layers, networks, :class:`FlooredScaler` and :class:`StreamingRidgeClassifier`,
    alone, in a Pipeline, or inside of other estimators that have converters.

    Read more in the :ref:`user guide <export>`.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.

    See Also
    --------
    to_onnx : Register the converters and convert a model.

    Examples
    --------
    >>> from skscn import register_onnx_converters
    >>> register_onnx_converters()  # doctest: +SKIP
    """
    skl2onnx = import_optional(
        "skl2onnx", extra="onnx", caller="register_onnx_converters"
    )

    from skscn._export.onnx.converters import CONVERTERS

    for Estimator, (set_shapes, convert, options) in CONVERTERS.items():
        name = f"Skscn{Estimator.__name__}"
        skl2onnx.update_registered_converter(
            Estimator, name, set_shapes, convert, options=options
        )


def to_onnx(model, X, *, options=None, target_opset=None):
    """Return a fitted model as an ONNX graph, for other runtimes and languages.

    The function calls :func:`register_onnx_converters` and then ``skl2onnx.to_onnx``.
    Probabilities are one array instead of a list of dictionaries.

    Read more in the :ref:`user guide <export>`.

    Parameters
    ----------
    model : estimator or Pipeline
        A fitted model of estimators of skscn and of those that skl2onnx converts. The
        `best_estimator_` of a search such as GridSearchCV is converted.
    X : array-like
        At least one sample, a row or an image. The inputs of the graph have its type
        and shape, for any number of samples. The model is run on the first sample to
        check its type and shape.
    options : dict, default=None
        Options of skl2onnx for single estimators.
    target_opset : int, default=None
        Version of the operators of ONNX. None takes the newest version that skl2onnx
        supports.

    Returns
    -------
    graph : onnx.ModelProto
        ``onnxruntime.InferenceSession`` loads ``graph.SerializeToString()``.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.
    NotFittedError
        If the model is not fitted.
    TypeError
        If a step is an estimator of skscn that has no converter.
    ValueError
        If there is no sample, or the model does not accept it.

    See Also
    --------
    to_torch : Return a module that can be trained.

    Notes
    -----
    Layers of images compute in single precision for inputs of any type, because ONNX
    Runtime has no convolution in double precision on CPUs. The second output of a
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
        except NameError as error:  # skl2onnx raises it for options it does not have
            if "zipmap" not in str(error):
                raise
    return convert(options=options)


def _check_steps(name, step):
    """Raise an error if a step of skscn has no converter."""
    from skscn._export.onnx.converters import CONVERTERS

    if isinstance(step, Pipeline | FeatureUnion):
        inner = step.steps if isinstance(step, Pipeline) else step.transformer_list
        for inner_name, inner_step in inner:
            _check_steps(inner_name, inner_step)
    elif type(step).__module__.startswith("skscn.") and type(step) not in CONVERTERS:
        names = sorted(kind.__name__ for kind in CONVERTERS)
        raise TypeError(
            f"Step {name!r} is {step!r}, which has no ONNX converter. skscn has "
            f"converters for {', '.join(names)}."
        )


def _check_sample(model, X):
    """Run the model on the first sample, which raises an error if it does not fit."""
    shape = np.shape(X)
    if len(shape) < 2 or shape[0] == 0:
        raise ValueError(
            "to_onnx needs at least one sample: rows (n, n_features) or images. X has "
            f"the shape {shape}."
        )
    method = "predict" if hasattr(model, "predict") else "transform"
    getattr(model, method)(X[:1])
