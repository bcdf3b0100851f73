"""Torch networks that were not exported from here, as scikit-learn's perceptrons."""

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor
from torch import nn

ACTIVATIONS = {
    nn.ReLU: "relu",
    nn.Tanh: "tanh",
    nn.Sigmoid: "logistic",
}
WITHOUT_EFFECT = (nn.Identity, nn.Flatten, nn.Dropout)


def perceptron(module, classes):
    """Return a fitted perceptron with the weights of a Sequential.

    Parameters
    ----------
    module : Sequential
        Of `Linear`, and one kind of activation between.
    classes : array-like of shape (n_classes,) or None
        None makes a regressor.

    Returns
    -------
    model : MLPClassifier or MLPRegressor
    """
    if not isinstance(module, nn.Sequential):
        raise _unknown(f"{type(module).__name__} is neither")
    linears, kinds = _chain(module)
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
        classes = np.unique(classes)
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


def _chain(module):
    """Return the linear layers, and the names of the activations between them."""
    linears, kinds, open_ = [], set(), True
    for name, layer in module.named_children():
        if isinstance(layer, nn.Linear) and open_:
            linears.append(layer)
            open_ = False
        elif type(layer) in ACTIVATIONS and not open_:
            kinds.add(ACTIVATIONS[type(layer)])
            open_ = True
        elif not isinstance(layer, WITHOUT_EFFECT):
            raise _unknown(f"its part {name!r} is {layer}")
    if not linears or open_ or len(kinds) > 1:
        raise _unknown("its activations are not all alike and between Linear layers")
    return linears, kinds


def _unknown(why):
    return TypeError(
        "from_torch takes what to_torch returned, or a Sequential of Linear layers "
        f"with ReLU, Tanh or Sigmoid between each two; {why}."
    )
