"""Readers of trained models: each returns the model as a `Network`."""

from copy import deepcopy
from dataclasses import replace
from functools import partial

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skscn._data.sklearn_compat import check_array
from skscn._interpretation.coder_readers import (
    SPARSE_CODERS,
    prepare_rows,
    read_sparse_coder,
)
from skscn._interpretation.network import FLOAT_DTYPES, Network, to_array
from skscn._interpretation.operations import AffineLayer
from skscn._interpretation.pipeline_reader import read_pipeline
from skscn._interpretation.torch_modules import is_module, read_module
from skscn._interpretation.traversal import iter_operations

MODEL_KINDS = (
    "MLPClassifier, MLPRegressor, a torch.nn.Sequential, a NonNegativeSparseCoder, an "
    "OrthogonalSparseCoder with split_sign=True, a ConvSparseCoder, a "
    "SparseCodingNetwork, a Pipeline that ends in one of them, or in a linear model "
    "after one of this package, or a list of (weight, bias)"
)


def read_model(model, *, readout=True):
    """Return a trained model as a `Network`.

    Parameters
    ----------
    model : object
    readout : bool, default=True
        Whether the last pair of a list of arrays is not followed by a ReLU.
    """
    network = _read(model, readout)
    for layer in iter_operations(network.operations):
        if isinstance(layer, AffineLayer):
            _check_finite(network.name, layer)
    return network


def _check_finite(name, layer):
    """Raise ValueError if weights or biases of a layer are not finite."""
    for kind, values in (("weights", layer.weight), ("biases", layer.bias)):
        n_wrong = values.size - np.count_nonzero(np.isfinite(values))
        if n_wrong:
            raise ValueError(
                f"{name}, {layer.name}: {n_wrong} of {values.size} {kind} are NaN or "
                "infinite, as after a training that diverged. Train with a lower "
                "learning rate."
            )


def _read(model, readout):
    if isinstance(model, Pipeline):
        return read_pipeline(model, read_model, MODEL_KINDS)
    if isinstance(model, MLPClassifier | MLPRegressor):
        return _read_perceptron(model)
    if isinstance(model, SPARSE_CODERS):
        return read_sparse_coder(model)
    if is_module(model):
        return read_module(model)
    if isinstance(model, list | tuple):
        return _read_arrays(model, readout)
    name = type(model).__name__
    if hasattr(model, "best_estimator_"):
        raise TypeError(f"{name} is no network: give its best_estimator_.")
    raise TypeError(f"{name} cannot be read as a network. Give {MODEL_KINDS}.")


def _read_perceptron(model):
    check_is_fitted(model)
    name = type(model).__name__
    if model.activation != "relu":
        raise ValueError(
            f"{name} has activation={model.activation!r}: only 'relu' can be read."
        )
    layers = [
        AffineLayer(coef.T, model.intercepts_[i], f"hidden {i + 1}", True, key=i)
        for i, coef in enumerate(model.coefs_)
    ]
    layers[-1] = replace(layers[-1], name="readout", is_hidden=False)
    return Network(
        name,
        tuple(layers),
        prepare=partial(prepare_rows, model),
        write=partial(_write_perceptron, model),
        classes=getattr(model, "classes_", None),
        output_activation=model.out_activation_,
        has_flat_output=isinstance(model, MLPRegressor) and model.n_outputs_ == 1,
    )


def _write_perceptron(model, layers):
    copied = deepcopy(model)
    copied.coefs_ = [layer.weight.T.copy() for layer in layers.values()]
    copied.intercepts_ = [layer.bias.copy() for layer in layers.values()]
    return copied


def _read_arrays(pairs, readout):
    if not pairs:
        raise ValueError("The list is empty: give at least one (weight, bias).")
    layers: list = []
    for i, pair in enumerate(pairs):
        weight, bias = _check_pair(i, pair)
        if layers and weight.shape[1] != len(layers[-1].weight):
            raise ValueError(
                f"Layer {i} reads {weight.shape[1]} inputs, but the layer before has "
                f"{len(layers[-1].weight)} units. A weight is (n_units, n_inputs)."
            )
        layers.append(AffineLayer(weight, bias, f"layer {i + 1}", True, key=i))
    if readout:
        layers[-1] = replace(layers[-1], name="readout", is_hidden=False)
    name = f"{len(layers)} layer{'s' if len(layers) > 1 else ''}"
    prepare = partial(_prepare_plain_rows, layers[0].weight.shape[1])
    return Network(name, tuple(layers), prepare, _write_arrays, output_activation=None)


def _check_pair(i, pair):
    """Return copies of the weight and the bias of layer i."""
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise TypeError(
            f"Layer {i} is not a pair (weight, bias). Give a list of pairs: "
            "[(weight, bias)] for one; [(W.T, b) for W, b in zip(coefs_, intercepts_)] "
            "of scikit-learn."
        )
    weight, bias = map(to_array, pair)
    check = partial(check_array, dtype=FLOAT_DTYPES, copy=True, ensure_all_finite=False)
    weight = check(weight, input_name=f"Weight {i}")
    bias = np.zeros(len(weight), weight.dtype) if bias is None else bias
    bias = check(bias, ensure_2d=False, input_name=f"Bias {i}")
    if bias.shape != (len(weight),):
        hint = ""
        if bias.shape == (weight.shape[1],):
            hint = " It seems to be its transpose, like coefs_ of scikit-learn."
        raise ValueError(
            f"Layer {i} has a weight of shape {weight.shape} and a bias of shape "
            f"{bias.shape}, but a weight is (n_units, n_inputs), as in torch.{hint}"
        )
    return weight, bias


def _write_arrays(layers):
    return [(layer.weight.copy(), layer.bias.copy()) for layer in layers.values()]


def _prepare_plain_rows(n_features, X):
    X = check_array(to_array(X), dtype=FLOAT_DTYPES, accept_sparse="csr")
    if X.shape[1] != n_features:
        raise ValueError(
            f"X has {X.shape[1]} features, but the network reads {n_features} features."
        )
    return X if isinstance(X, np.ndarray) else X.toarray()
