"""The reader of pipelines: of those that end in a network, and of networks with a head.

A network of this package may be followed by others, by transformers, and by a linear
model as the last step. The linear model is the readout of the network.
"""

from copy import deepcopy
from dataclasses import replace
from functools import partial

import numpy as np
from scipy.sparse import issparse
from sklearn.base import is_classifier
from sklearn.linear_model import (
    ElasticNet,
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeClassifier,
    RidgeClassifierCV,
    RidgeCV,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC, LinearSVR
from sklearn.utils.validation import check_is_fitted

from skscn._images.classification import StreamingRidgeClassifier
from skscn._interpretation.coder_readers import (
    CODERS,
    SPARSE_CODERS,
    read_sparse_coder,
)
from skscn._interpretation.operations import AffineLayer, Function, Reshape

LINEAR_MODELS = (
    ElasticNet
    | LinearRegression
    | LinearSVC
    | LinearSVR
    | LogisticRegression
    | Ridge
    | RidgeClassifier
    | RidgeClassifierCV
    | RidgeCV
    | SGDClassifier
    | SGDRegressor
    | StreamingRidgeClassifier
)
NETWORKS = MLPClassifier | MLPRegressor | SPARSE_CODERS
ALLOWED = (
    "A network of this package may be followed by transformers and, last, by a linear "
    "model such as LogisticRegression or Ridge."
)


def read_pipeline(model, read, kinds):
    """Return a fitted Pipeline as a `Network`.

    Parameters
    ----------
    model : Pipeline
    read : callable
        The reader of its last step.
    kinds : str
        The models that can be read, for errors.
    """
    check_is_fitted(model)
    if not model.steps:
        raise ValueError("The Pipeline has no steps.")
    last = model.steps[-1][1]
    steps = _flat_steps(model)
    networks = [i for i, (_, step) in enumerate(steps) if isinstance(step, NETWORKS)]
    if not networks:
        raise TypeError(
            f"The Pipeline ends in {type(last).__name__}, and none of its steps is a "
            f"network. Give {kinds}."
        )
    if networks == [len(steps) - 1]:
        network = read(last)
        return replace(
            network,
            name=f"Pipeline, {network.name}",
            prepare=partial(_prepare, model[:-1], network.prepare),
            write=partial(_write, model, network.write),
        )
    return _read_network_with_head(steps, networks)


def _flat_steps(model):
    """Return the (name, step) of a Pipeline and of pipelines in it."""
    steps = []
    for name, step in model.steps:
        if isinstance(step, Pipeline):
            steps += _flat_steps(step)
        elif step is not None and step != "passthrough":
            steps.append((name, step))
    return steps


def _prepare(before, prepare, X):
    return prepare(before.transform(X) if len(before.steps) else X)


def _write(model, write, layers):
    copied = deepcopy(model)
    copied.steps[-1] = (model.steps[-1][0], write(layers))
    return copied


def _read_network_with_head(steps, networks):
    """Return the networks of a Pipeline, one after the other, and their linear model.

    Parameters
    ----------
    steps : list of (str, estimator)
    networks : list of int
        Indices of the networks.
    """
    first = networks[0]
    operations: list = []
    head: dict = {}
    for i, (name, step) in enumerate(steps[first:], start=first):
        is_last = i == len(steps) - 1
        if isinstance(step, SPARSE_CODERS):
            prefix = f"{name}__" if len(networks) > 1 else ""
            network = read_sparse_coder(step, prefix)
            if i == first:
                start = network
            elif not isinstance(step, CODERS):
                operations.append(Reshape(step.image_shape_))
            operations += network.operations
            if not isinstance(step, CODERS):
                operations.append(Reshape((int(np.prod(step.map_shape_)),)))
        elif is_last and isinstance(step, LINEAR_MODELS):
            operations.append(_readout(step))
            head = _description(step)
        elif hasattr(step, "transform"):
            shape = None if is_last else (steps[i + 1][1].n_features_in_,)
            operations.append(Function(partial(_transform, step), shape))
        else:
            raise TypeError(
                f"Step {name!r} of the Pipeline is {type(step).__name__}, which cannot "
                f"be read after {steps[first][0]!r}. {ALLOWED} Give the steps before "
                f"{name!r}."
            )
    before = Pipeline(steps[:first])
    return replace(
        start,
        name=f"Pipeline, {start.name}",
        operations=tuple(operations),
        prepare=partial(_prepare, before, start.prepare),
        **head,
    )


def _transform(step, samples):
    return np.asarray(step.transform(samples))


def _readout(model):
    """Return the affine layer of a linear model."""
    coef = model.coef_.toarray() if issparse(model.coef_) else model.coef_
    weight = np.atleast_2d(coef)
    bias = np.broadcast_to(np.ravel(model.intercept_), (len(weight),))
    return AffineLayer(weight, bias.astype(weight.dtype), "readout")


def _description(model):
    """Return what a `Network` holds of a linear model besides its weights."""
    if not is_classifier(model):
        return {"has_flat_output": np.ndim(model.coef_) == 1}
    binarizer = getattr(model, "_label_binarizer", None)
    if getattr(binarizer, "y_type_", "").startswith("multilabel"):
        raise ValueError(
            f"{type(model).__name__} was fitted to several labels of each sample, "
            "which cannot be read as a readout. Fit it to one column of labels."
        )
    activation = "identity"
    if isinstance(model, LogisticRegression):
        is_binary = len(model.classes_) == 2
        is_multinomial = (
            getattr(model, "multi_class", "deprecated") in ("deprecated", "auto")
            and model.solver != "liblinear"
        )
        if is_binary or is_multinomial:
            activation = "logistic" if is_binary else "softmax"
    return {"classes": model.classes_, "output_activation": activation}
