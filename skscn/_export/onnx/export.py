"""The function `to_onnx`, which imports skl2onnx when called."""

from functools import partial
from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn.base import is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils.validation import check_is_fitted

from skscn._data.sklearn_compat import import_optional
from skscn._export.fitted_parameters import last_step


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


def to_onnx(model, X, *, options=None, target_opset=None, check=True):
    """Return a fitted model as an ONNX graph, for other runtimes and languages.

    The function calls :func:`register_onnx_converters` and then ``skl2onnx.to_onnx``.
    Probabilities are one array instead of a list of dictionaries. The outputs of the
    graph for X are compared with those of the model.

    Read more in the :ref:`user guide <export>`.

    Parameters
    ----------
    model : estimator or Pipeline
        A fitted model of estimators of skscn and of those that skl2onnx converts. The
        `best_estimator_` of a search such as GridSearchCV is converted.
    X : array-like
        At least one sample, a row or an image; a few hundred make the comparison more
        reliable. The input of the graph has their type and shape, for any number of
        samples. If the model contains a ColumnTransformer, a data frame gives one input
        of shape (n_samples, 1) per column, in the order of the columns. skl2onnx names
        them after the columns, with ``_`` for characters other than letters and digits.
    options : dict, default=None
        Options of skl2onnx for single estimators.
    target_opset : int, default=None
        Version of the operators of ONNX. None takes the newest version that skl2onnx
        supports.
    check : bool, default=True
        Whether to run the graph on at most 100 samples of X and to raise an error if it
        does not return what the model returns: by onnxruntime if it is installed, else
        by the reference evaluator of ONNX.

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
        If a step is an estimator of skscn that has no converter, or X is sparse.
    ValueError
        If there is no sample, or the model does not accept it; if `target_opset` is too
        old for the model, with the least that is not; if the graph cannot be run; or if
        its outputs deviate from those of the model, with the step at fault and the
        largest deviation.

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
    >>> X, y = load_digits(n_class=3, return_X_y=True)
    >>> model = make_sparse_coding_network(image_shape=(8, 8), random_state=0).fit(X, y)
    >>> graph = to_onnx(model, X[:1].astype("float32"))  # doctest: +SKIP
    >>> [output.name for output in graph.graph.output]  # doctest: +SKIP
    ['label', 'probabilities']
    """
    import_optional("skl2onnx", extra="onnx", caller="to_onnx")
    check_is_fitted(model)
    model = getattr(model, "best_estimator_", model)  # of a search
    _check_steps(type(model).__name__, model)
    _check_sample(model, X)
    register_onnx_converters()
    convert = partial(_convert, options=options, target_opset=target_opset)
    try:
        graph = convert(model, X)
        deviation = _check_graph(model, graph, X, options, check)
    except Exception as error:
        least = _least_opset(model, X, options, target_opset, check)
        if least is None:
            raise
        raise ValueError(
            f"target_opset={target_opset} is too old for this model: give at least "
            f"{least}. {error}"
        ) from error
    if deviation:
        _raise_deviation(model, X, deviation, convert)
    return graph


def _convert(model, X, *, options, target_opset):
    """Return a model as a graph."""
    import skl2onnx

    model = _without_passthrough(model)
    convert = partial(
        skl2onnx.to_onnx,
        model,
        initial_types=_input_types(model, X),
        target_opset=target_opset,
    )
    if is_classifier(last_step(model)) and not _has_own_options(model, options):
        last = {id(last_step(model)): {"zipmap": False}}
        try:
            return convert(options={**(options or {}), **last})
        except NameError as error:  # skl2onnx raises it for options it does not have
            if "zipmap" not in str(error):
                raise
    return convert(options=options)


def _without_passthrough(model):
    """Return a fitted Pipeline without the steps that skl2onnx does not accept."""
    if not isinstance(model, Pipeline):
        return model
    steps = [
        (name, _without_passthrough(step))
        for name, step in model.steps
        if step not in (None, "passthrough")
    ]
    return Pipeline(steps) if steps else model


def _has_own_options(model, options):
    """Return whether the options of the last step are given."""
    last = last_step(model)
    return bool({id(last), type(last)} & set(options or ()))


def _input_types(model, X):
    """Return the names and the types of the inputs of the graph."""
    from skl2onnx.common.data_types import guess_data_type

    if hasattr(X, "columns") and _selects_columns(model):
        columns = [(name, np.asarray(X[name])) for name in X.columns]
    else:
        columns = [("X", np.asarray(X)[:1])]
    types = []
    for name, values in columns:
        values = values[:, None] if values.ndim == 1 else values
        [(_, data_type)] = guess_data_type(values)
        data_type.shape = [None, *values.shape[1:]]
        types.append((name, data_type))
    return types


def _selects_columns(model):
    """Return whether the model contains a ColumnTransformer."""
    parts = [model, *model.get_params().values()]
    return any(isinstance(part, ColumnTransformer) for part in parts)


def _check_graph(model, graph, X, options, check):
    """Return how the graph deviates from the model, or None; raise if it is invalid."""
    from onnx.checker import ValidationError, check_model

    from skscn._export.onnx.verification import find_deviation, thin_samples

    try:
        check_model(graph)
    except ValidationError as error:
        raise ValueError(f"The ONNX graph is not valid: {error}") from error
    if not check:
        return None
    scores_are_known = not _has_own_options(model, options)
    samples = thin_samples(X)
    return find_deviation(model, graph, samples, compare_scores=scores_are_known)


def _least_opset(model, X, options, target_opset, check):
    """Return the least opset above the target that gives a valid graph, or None."""
    from skl2onnx import __max_supported_opset__ as newest

    if not isinstance(target_opset, Integral):
        return None
    for opset in range(int(target_opset) + 1, newest + 1):
        try:
            graph = _convert(model, X, options=options, target_opset=opset)
            _check_graph(model, graph, X, options, check)
        except Exception:
            continue
        return opset
    return None


def _raise_deviation(model, X, deviation, convert):
    """Raise the error for a graph that deviates, with the name of the step at fault."""
    from skscn._export.onnx.verification import find_deviating_step, thin_samples

    name = type(model).__name__
    step = find_deviating_step(name, model, thin_samples(X), convert)
    name, deviation = step or (name, deviation)
    raise ValueError(
        f"The ONNX graph of step {name!r} does not return what the step returns: "
        f"{deviation}. Give X in float64 if it is in single precision, or replace the "
        "step by one that skl2onnx converts well. check=False returns the graph as it "
        "is."
    )


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
    elif getattr(step, "out_activation_", None) == "exp":
        raise TypeError(
            f"Step {name!r} is {step!r}, and skl2onnx has no exponential output of a "
            "perceptron. Export the model by torch.onnx.export(to_torch(model), ...)."
        )


def _check_sample(model, X):
    """Run the model on the first sample, which raises an error if it does not fit."""
    if sparse.issparse(X):
        raise TypeError("to_onnx takes dense samples, not sparse ones: X.toarray().")
    shape = np.shape(X)
    if len(shape) < 2 or shape[0] == 0:
        raise ValueError(
            "to_onnx needs at least one sample: rows (n, n_features) or images. X has "
            f"the shape {shape}."
        )
    method = "predict" if hasattr(model, "predict") else "transform"
    getattr(model, method)(X[:1])
