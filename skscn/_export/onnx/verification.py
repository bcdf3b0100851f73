"""Comparison of ONNX graphs with the models that they were converted from."""

from importlib.util import find_spec

import numpy as np
import onnx
from scipy import sparse
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline

from skscn._core.caller_warnings import warn_caller

MAX_SAMPLES = 100  # enough to find a wrong conversion, evaluated in milliseconds
# Deviations of less are rounding errors of single precision, which square roots of
# small codes amplify. They are relative to the largest value of a column and of all.
COLUMN_TOLERANCE = 1e-3
TOLERANCE = 1e-4
# A projection can fall on the other side of a threshold by rounding. This fraction of
# the values may deviate for such reasons.
MAX_DEVIATING_FRACTION = 1e-3


def thin_samples(X):
    """Return at most `MAX_SAMPLES` samples, spread evenly over X."""
    n_samples = np.shape(X)[0]
    return X[:: -(-n_samples // MAX_SAMPLES)]


def run_graph(graph, X):
    """Return the outputs of a graph for samples.

    Parameters
    ----------
    graph : onnx.ModelProto
    X : array-like or data frame

    Returns
    -------
    outputs : list of ndarray, or None
        None if onnxruntime is not installed and the reference evaluator of ONNX lacks
        an operator of the graph.
    """
    initializers = {each.name for each in graph.graph.initializer}
    inputs = [each for each in graph.graph.input if each.name not in initializers]
    columns = [X]
    if len(inputs) > 1:  # skl2onnx keeps the order of columns, and changes some names
        columns = [np.asarray(X[name]).reshape(-1, 1) for name in X.columns]
    feeds = {
        each.name: np.asarray(values, dtype=_numpy_dtype(each))
        for each, values in zip(inputs, columns, strict=True)
    }
    if find_spec("onnxruntime") is None:
        return _run_reference_evaluator(graph, feeds)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # errors, which are raised too
    try:
        session = onnxruntime.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return session.run(None, feeds)
    except Exception as error:  # those of onnxruntime have no common class
        raise ValueError(
            f"onnxruntime cannot run the ONNX graph: {error} For another runtime, "
            "check=False returns it unchecked."
        ) from error


def _run_reference_evaluator(graph, feeds):
    """Return the outputs of a graph, or None with a warning if it cannot be run."""
    from onnx.reference import ReferenceEvaluator

    try:
        return ReferenceEvaluator(graph).run(None, feeds)
    except Exception as error:  # an operator that it lacks, or supports in part
        warn_caller(
            "The ONNX graph was not compared with the model, because the reference "
            f"evaluator of ONNX cannot run it ({error}). Install onnxruntime for the "
            "comparison, or switch it off by check=False.",
        )
    return None


def find_deviation(model, graph, X, *, compare_scores=True):
    """Return how the outputs of a graph deviate from those of its model, or None.

    Parameters
    ----------
    model : estimator
    graph : onnx.ModelProto
    X : array-like or data frame
    compare_scores : bool, default=True
        Whether probabilities or scores of a classifier are compared, not only labels.

    Returns
    -------
    deviation : str or None
        The number of deviating values and the largest deviation.
    """
    outputs = run_graph(graph, X)
    if outputs is None:
        return None
    if not hasattr(model, "predict"):
        return _describe_deviation("values", outputs[0], model.transform(X))
    expected = np.asarray(model.predict(X))
    if not is_classifier(model):
        return _describe_deviation("predictions", outputs[0], expected)
    method = "predict_proba" if hasattr(model, "predict_proba") else "decision_function"
    scores = getattr(model, method)(X) if hasattr(model, method) else None
    deviation = None
    if isinstance(scores, np.ndarray):  # several outputs have a list of probabilities
        if compare_scores and np.size(outputs[1]) == scores.size:
            name = "probabilities" if method == "predict_proba" else "scores"
            deviation = _describe_deviation(name, outputs[1], scores)
        is_tie = _margins(scores) <= TOLERANCE * np.max(np.abs(scores))
    else:
        is_tie = np.zeros(len(expected), dtype=bool)
    labels = np.reshape(outputs[0], expected.shape)
    is_wrong = (labels != expected).reshape(len(expected), -1).any(axis=1) & ~is_tie
    if is_wrong.sum() > MAX_DEVIATING_FRACTION * len(expected):
        text = f"{is_wrong.sum()} of {len(expected)} labels differ"
        return f"{text}, and {deviation}" if deviation else text
    return deviation


def find_deviating_step(name, model, X, convert):
    """Return the first step whose own graph deviates, and how, or None.

    Parameters
    ----------
    name : str
    model : estimator or Pipeline
    X : array-like or data frame
        Samples as the step takes them.
    convert : callable
        Maps a step and its samples to a graph.

    Returns
    -------
    name, deviation : str
    """
    if isinstance(model, Pipeline):
        for inner_name, step in model.steps:
            if step in (None, "passthrough"):
                continue
            found = find_deviating_step(inner_name, step, X, convert)
            if found or step is model.steps[-1][1]:
                return found
            X = step.transform(X)
        return None
    try:
        deviation = find_deviation(model, convert(model, X), X)
    except Exception:  # a step that cannot be converted alone is not the one
        return None
    return deviation and (name, deviation)


def _describe_deviation(name, found, expected):
    """Return how an output deviates, or None."""
    expected = expected.toarray() if sparse.issparse(expected) else expected
    expected = np.asarray(expected, dtype=np.float64)
    found = np.asarray(found, dtype=np.float64)
    if found.size != expected.size:
        return f"{name} are of shape {found.shape} instead of {expected.shape}"
    found = found.reshape(expected.shape)
    is_equal = (found == expected) | (np.isnan(found) & np.isnan(expected))
    with np.errstate(invalid="ignore"):  # infinite values that are equal
        error = np.where(is_equal, 0.0, np.abs(found - expected))
    magnitude = np.where(np.isfinite(expected), np.abs(expected), 0.0)
    columns = magnitude.reshape(-1, magnitude.shape[-1] if magnitude.ndim > 1 else 1)
    tolerance = np.maximum(
        COLUMN_TOLERANCE * columns.max(axis=0), TOLERANCE * magnitude.max()
    )
    is_wrong = ~(error.reshape(columns.shape) <= tolerance)
    if is_wrong.sum() <= MAX_DEVIATING_FRACTION * error.size:
        return None
    return (
        f"{is_wrong.sum()} of {error.size} {name} deviate, by up to {error.max():.2g} "
        f"where the largest of the model is {magnitude.max():.2g}"
    )


def _margins(scores):
    """Return by how much the best score of a sample exceeds the second best."""
    if scores.ndim == 1:
        return np.abs(scores)
    if scores.shape[1] == 1:
        return np.full(len(scores), np.inf)
    second, best = np.sort(scores, axis=1)[:, -2:].T
    return best - second


def _numpy_dtype(graph_input):
    """Return the dtype of the arrays that an input of a graph takes."""
    element_type = graph_input.type.tensor_type.elem_type
    return onnx.helper.tensor_dtype_to_np_dtype(element_type)
