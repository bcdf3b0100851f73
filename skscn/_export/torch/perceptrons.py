"""Torch networks that were not exported from here, as scikit-learn's perceptrons."""

import numpy as np
import torch
from sklearn.neural_network import MLPClassifier, MLPRegressor
from torch import nn

ACTIVATIONS = {
    nn.ReLU: "relu",
    nn.Tanh: "tanh",
    nn.Sigmoid: "logistic",
}
WITHOUT_EFFECT = (nn.Identity, nn.Flatten, nn.Dropout)
PROBABILITIES = (nn.Softmax, nn.LogSoftmax)


def perceptron(module, classes):
    """Return a fitted perceptron with the weights of a Sequential.

    Parameters
    ----------
    module : Sequential
        Of `Linear`, and one kind of activation between.
    classes : array-like of shape (n_classes,) or None
        Of the outputs, in their order. None makes a regressor.

    Returns
    -------
    model : MLPClassifier or MLPRegressor
    """
    if not isinstance(module, nn.Sequential):
        raise _unknown(f"{type(module).__name__} is neither")
    linears, kinds = _chain(module, classes is not None)
    weights = [linear.weight.detach().cpu().numpy().T for linear in linears]
    biases = [
        np.zeros(linear.out_features)
        if linear.bias is None
        else linear.bias.detach().cpu().numpy()
        for linear in linears
    ]
    activation = kinds.pop() if kinds else "identity"
    options = {
        "hidden_layer_sizes": tuple(len(bias) for bias in biases[:-1]),
        "activation": activation,
    }
    n_features, n_outputs = len(weights[0]), len(biases[-1])
    if classes is None:
        y = np.zeros((1, n_outputs) if n_outputs > 1 else 1)
        model = MLPRegressor(**options, random_state=0)
        model.partial_fit(np.zeros((1, n_features)), y)
    else:
        classes, order = _sorted(classes)
        if n_outputs == len(order):
            weights[-1], biases[-1] = weights[-1][:, order], biases[-1][order]
        elif n_outputs == 1 and len(order) == 2 and order[0] == 1:
            weights[-1], biases[-1] = -weights[-1], -biases[-1]
        if n_outputs == 2 and len(classes) == 2:
            # The difference of two scores is the score of the second class.
            weights[-1] = weights[-1][:, 1:] - weights[-1][:, :1]
            biases[-1] = biases[-1][1:] - biases[-1][:1]
            n_outputs = 1
        wanted = 1 if len(classes) == 2 else len(classes)
        if n_outputs != wanted:
            raise ValueError(
                f"The last layer has {n_outputs} outputs, but there are "
                f"{len(classes)} classes. Give the class of every output."
            )
        model = MLPClassifier(**options, random_state=0)
        # One step on nothing makes all that a fitted model has; its weights follow.
        X = np.zeros((len(classes), n_features))
        model.partial_fit(X, classes, classes=classes)
    model.coefs_ = [weight.astype(np.float64) for weight in weights]
    model.intercepts_ = [bias.astype(np.float64) for bias in biases]
    return model


def check_trained(name, module):
    """Complain of weights that are not numbers."""
    if any(torch.isnan(weights).any() for weights in module.parameters()):
        raise ValueError(
            f"Step {name!r} has NaN weights: training diverged. Take a lower rate."
        )


def _sorted(classes):
    """Return classes as scikit-learn orders them, and where they were."""
    given = np.asarray(classes)
    classes, order = np.unique(given, return_index=True)
    if len(classes) < given.size:
        raise ValueError(
            f"There are duplicate classes in {given.tolist()}: give every output a "
            "class of its own."
        )
    return classes, order


def _chain(module, classifies):
    """Return the linear layers, and the names of the activations between them."""
    linears, kinds, open_ = [], set(), True
    # Not named_children, which leaves out what is used a second time.
    layers = [
        (name, layer)
        for name, layer in module._modules.items()
        if not isinstance(layer, WITHOUT_EFFECT)
    ]
    if classifies and layers and _gives_probabilities(*layers[-1], layers[:-1]):
        layers.pop()  # the perceptron takes probabilities itself
    for name, layer in layers:
        if isinstance(layer, nn.Linear) and open_:
            check_trained(name, layer)
            linears.append(layer)
            open_ = False
        elif type(layer) in ACTIVATIONS and not open_:
            kinds.add(ACTIVATIONS[type(layer)])
            open_ = True
        else:
            raise _unknown(f"its part {name!r} is {layer}")
    if not linears or open_ or len(kinds) > 1:
        raise _unknown("its activations are not all alike and between Linear layers")
    return linears, kinds


def _gives_probabilities(name, layer, before):
    """Return whether a last layer makes probabilities of scores."""
    if isinstance(layer, PROBABILITIES):
        if layer.dim not in (None, 1, -1):
            raise _unknown(f"its part {name!r} is {layer}, which is not over classes")
        return True
    single = bool(before) and getattr(before[-1][1], "out_features", None) == 1
    return single and isinstance(layer, nn.Sigmoid)


def _unknown(why):
    return TypeError(
        "from_torch takes what to_torch returned, or a Sequential of Linear layers "
        f"with ReLU, Tanh or Sigmoid between each two; {why}."
    )
