"""Multi-layer perceptrons: as torch modules, and from ReLU networks of torch."""

from collections import OrderedDict

import numpy as np
import torch
from sklearn.neural_network import MLPClassifier, MLPRegressor
from torch import nn

from skscn._export.torch.network import TorchNetwork
from skscn._export.torch.weights import (
    check_weights,
    linear_module,
    trained_array,
)
from skscn._interpretation.torch_modules import check_plain_module

ACTIVATIONS = {nn.ReLU: "relu", nn.Tanh: "tanh", nn.Sigmoid: "logistic"}
MODULES = {name: module for module, name in ACTIVATIONS.items()}
WITHOUT_EFFECT = (nn.Identity, nn.Flatten, nn.Dropout)
PROBABILITIES = (nn.Softmax, nn.LogSoftmax)


class Exponential(nn.Module):
    """exp(x), the mean of a Poisson distribution."""

    def forward(self, x):
        """Return the exponential."""
        return torch.exp(x)


def perceptron_module(name, perceptron, options):
    """Return the module of a fitted perceptron, up to its scores or its values."""
    if perceptron.out_activation_ == "logistic" and perceptron.n_outputs_ > 1:
        raise TypeError(
            f"Step {name!r} predicts several labels of a sample, which has no torch "
            "module."
        )
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    last = perceptron.n_layers_ - 2
    weights = zip(perceptron.coefs_, perceptron.intercepts_, strict=True)
    for i, (coef, intercept) in enumerate(weights):
        key = f"layer{i}" if i < last else "scores"
        modules[key] = linear_module(options.tensor(coef.T), options.tensor(intercept))
        if i < last:
            activation = MODULES.get(perceptron.activation, nn.Identity)
            modules[f"activation{i}"] = activation()
    if perceptron.out_activation_ == "exp":
        modules["mean"] = Exponential()
    if perceptron.n_outputs_ == 1:
        modules["flatten"] = nn.Flatten(0)
    return nn.Sequential(modules)


def restore_perceptron(name, perceptron, module, orthonormal):
    """Write the trained weights of all layers into a perceptron."""
    linears = [child for child in module if isinstance(child, nn.Linear)]
    perceptron.coefs_ = [
        trained_array(linear.weight.T, coef)
        for linear, coef in zip(linears, perceptron.coefs_, strict=True)
    ]
    perceptron.intercepts_ = [
        trained_array(linear.bias, intercept)
        for linear, intercept in zip(linears, perceptron.intercepts_, strict=True)
    ]


def sequential_to_perceptron(module, classes):
    """Return a fitted perceptron with the weights of a Sequential.

    Parameters
    ----------
    module : Sequential
        Linear layers with activations of one kind between them.
    classes : array-like of shape (n_classes,) or None
        The class of every output. None makes a regressor.

    Returns
    -------
    model : MLPClassifier or MLPRegressor
    """
    if not isinstance(module, nn.Sequential):
        raise _not_a_perceptron(f"{type(module).__name__} is neither")
    if not isinstance(module, TorchNetwork):  # whose forward converts inputs only
        check_plain_module("", module)
    linears, activation = _layers(module, classes is not None)
    coefs = [trained_array(linear.weight.T) for linear in linears]
    intercepts = [
        np.zeros(linear.out_features)
        if linear.bias is None
        else trained_array(linear.bias)
        for linear in linears
    ]
    if classes is not None:
        classes = _sort_outputs(coefs, intercepts, classes)
    model = _initialized_perceptron(coefs, activation, classes)
    model.coefs_ = [coef.astype(np.float64) for coef in coefs]
    model.intercepts_ = [intercept.astype(np.float64) for intercept in intercepts]
    return model


def _layers(module, is_classifier):
    """Return the linear layers and the name of the activation between them."""
    # Not named_children, which leaves out a module that is used a second time.
    layers = list(module._modules.items())
    if _flattens_single_output(layers):
        layers.pop()
    layers = [
        (name, layer)
        for name, layer in layers
        if not isinstance(layer, WITHOUT_EFFECT)
        or getattr(layer, "start_dim", 1) != 1  # of a Flatten that joins samples
    ]
    if is_classifier and _ends_in_probabilities(layers):
        layers.pop()  # MLPClassifier computes probabilities itself
    for i, (name, layer) in enumerate(layers):
        check_plain_module(name, layer)
        if i % 2 == 0 and isinstance(layer, nn.Linear):
            check_weights(name, layer)
        elif i % 2 == 0 or type(layer) not in ACTIVATIONS:
            raise _not_a_perceptron(f"its part {name!r} is {layer}")
    activations = {ACTIVATIONS[type(layer)] for _, layer in layers[1::2]}
    if len(layers) % 2 == 0 or len(activations) > 1:
        raise _not_a_perceptron(
            "its activations are not all alike and between Linear layers"
        )
    linears = [layer for _, layer in layers[::2]]
    return linears, activations.pop() if activations else "identity"


def _flattens_single_output(layers):
    """Return whether the last layer returns a single output as scikit-learn does."""
    if len(layers) < 2:
        return False
    is_single = getattr(layers[-2][1], "out_features", None) == 1
    return is_single and isinstance(layers[-1][1], nn.Flatten)


def _ends_in_probabilities(layers):
    """Return whether the last layer computes probabilities from scores."""
    if not layers:
        return False
    name, last = layers[-1]
    if isinstance(last, PROBABILITIES):
        if last.dim not in (None, 1, -1):
            raise _not_a_perceptron(
                f"its part {name!r} is {last}, which is not over classes"
            )
        return True
    is_single = len(layers) > 1 and getattr(layers[-2][1], "out_features", None) == 1
    return is_single and isinstance(last, nn.Sigmoid)


def _sort_outputs(coefs, intercepts, classes):
    """Sort the outputs of the last layer by class, in place; return sorted classes.

    For two classes scikit-learn has one output, the score of the second class.
    """
    given = np.asarray(classes)
    classes, order = np.unique(given, return_index=True)
    if len(classes) < given.size:
        raise ValueError(
            f"There are duplicate classes in {given.tolist()}: give every output a "
            "class of its own."
        )
    n_outputs = len(intercepts[-1])
    if n_outputs == len(classes):
        coefs[-1], intercepts[-1] = coefs[-1][:, order], intercepts[-1][order]
    elif n_outputs == 1 and len(classes) == 2 and order[0] == 1:
        coefs[-1], intercepts[-1] = -coefs[-1], -intercepts[-1]
    if n_outputs == len(classes) == 2:
        # The difference of two scores is the score of the second class.
        coefs[-1] = coefs[-1][:, 1:] - coefs[-1][:, :1]
        intercepts[-1] = intercepts[-1][1:] - intercepts[-1][:1]
    if len(intercepts[-1]) != (1 if len(classes) == 2 else len(classes)):
        raise ValueError(
            f"The last layer has {n_outputs} outputs, but there are {len(classes)} "
            "classes. Give the class of every output."
        )
    return classes


def _initialized_perceptron(coefs, activation, classes):
    """Return a perceptron of the shapes of weights, fitted by one step on zeros."""
    options = {
        "hidden_layer_sizes": tuple(coef.shape[1] for coef in coefs[:-1]),
        "activation": activation,
        "random_state": 0,
    }
    n_features, n_outputs = len(coefs[0]), coefs[-1].shape[1]
    if classes is not None:
        X = np.zeros((len(classes), n_features))
        return MLPClassifier(**options).partial_fit(X, classes, classes=classes)
    y = np.zeros((1, n_outputs) if n_outputs > 1 else 1)
    return MLPRegressor(**options).partial_fit(np.zeros((1, n_features)), y)


def _not_a_perceptron(reason):
    """Return the error for a module that is no perceptron."""
    return TypeError(
        "from_torch takes what to_torch returned, or a Sequential of Linear layers "
        f"with ReLU, Tanh or Sigmoid between each two; {reason}."
    )
