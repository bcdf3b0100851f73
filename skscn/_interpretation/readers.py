"""Models of several libraries as operations on arrays, and back."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.special import expit
from sklearn.metrics import accuracy_score, r2_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from skscn._interpretation.operations import Softmax, Units
from skscn._interpretation.own_layers import OWN, read_own
from skscn._interpretation.torch_modules import (
    as_array,
    is_module,
    read_module,
    unwritable,
    write,
)

FLOAT_DTYPES = [np.float64, np.float32]
READABLE = (
    "MLPClassifier, MLPRegressor, a Pipeline that ends in one, a torch.nn.Sequential "
    "of Linear, Conv2d, ReLU, Flatten and pools, a NonNegativeSparseCoder, a "
    "ConvSparseCoder, a SparseCodingNetwork that is a stack of them, or a list of "
    "(weight, bias)"
)
NETWORKS = MLPClassifier | MLPRegressor | OWN


@dataclass(frozen=True, eq=False)
class Network:
    """A model as operations, and what connects it with the model.

    Parameters
    ----------
    operations : tuple of Operation
    prepare : callable
        Maps X, as the model takes it, to samples.
    written : callable
        Maps units by source to a copy of the model that has their weights.
    title : str
    classes : ndarray or None
        The labels of a classifier.
    link : {"softmax", "logistic", "identity", "exp", "scores"}
        From the last operation to probabilities or values; "scores" where nothing says
        which of them the outputs are.
    flat : bool
        Whether values are a plain row, of one output.
    channels_first : bool
        Whether maps that come out are (n, channels, height, width).
    refusal : Exception or None
        Why the model cannot be repaired.
    """

    operations: tuple
    prepare: Callable
    written: Callable | None
    title: str
    classes: np.ndarray | None = None
    link: str = "identity"
    flat: bool = False
    channels_first: bool = False
    refusal: Exception | None = None

    @property
    def hidden(self):
        """Units that a ReLU follows."""
        return [op for op in self.operations if isinstance(op, Units) and op.rectified]

    def values(self, outputs):
        """Return probabilities of a classifier, or values."""
        if self.channels_first and outputs.ndim == 4:
            return np.moveaxis(outputs, 3, 1)
        if self.link == "softmax":
            return Softmax()(outputs)
        if self.link == "logistic":
            return expit(outputs)
        return np.exp(outputs) if self.link == "exp" else outputs

    def predicted(self, outputs):
        """Return labels of a classifier, or values."""
        values = self.values(outputs)
        if self.classes is None:
            return values.ravel() if self.flat else values
        if self.link == "softmax":
            return self.classes[values.argmax(axis=1)]
        if values.shape[1] == 1:
            return self.classes[(values[:, 0] > 0.5).astype(int)]
        return (values > 0.5).astype(int)

    def scored(self, predicted, y):
        """Return the accuracy of predictions, or R² of values."""
        y = np.asarray(as_array(y))
        if self.classes is not None:
            return float(accuracy_score(y, predicted))
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        n_outputs = int(np.prod(predicted.shape[1:]))
        if y.ndim == 1 and n_outputs > 1:
            if y.dtype.kind not in "iub" or not np.isin(y, np.arange(n_outputs)).all():
                raise ValueError(
                    f"The network has {n_outputs} outputs, so labels must be column "
                    f"indices, integers from 0 to {n_outputs - 1}, but y holds "
                    f"{', '.join(map(str, np.unique(y)[:3]))}, … Give np.unique(y, "
                    "return_inverse=True)[1], if its order is that of the outputs."
                )
            return float(accuracy_score(y, predicted.argmax(axis=1)))
        if y.dtype.kind not in "iubf":
            raise ValueError(
                f"y is of dtype {y.dtype}, but the outputs of the network are numbers: "
                "encode labels as 0 and 1."
            )
        if self.link == "scores" and n_outputs == 1 and np.isin(y, [0, 1]).all():
            return float(accuracy_score(y, predicted.ravel() > 0))
        if y.size != predicted.size:
            raise ValueError(
                f"y has shape {y.shape}, but the network returns {predicted.shape}."
            )
        return float(r2_score(y, predicted.reshape(y.shape)))


def read(model, *, readout):
    """Return a model as a `Network`.

    Parameters
    ----------
    model : object
    readout : bool
        Of arrays, whether the last pair is without a ReLU.
    """
    if isinstance(model, Pipeline):
        return _read_pipeline(model, readout)
    if isinstance(model, MLPClassifier | MLPRegressor):
        return _read_perceptron(model)
    if isinstance(model, OWN):
        return _read_own(model)
    if is_module(model):
        operations = read_module(model)
        return Network(
            operations=operations,
            prepare=partial(_tensors, operations),
            written=partial(write, model),
            title=type(model).__name__,
            link="scores",
            channels_first=True,
            refusal=unwritable(model),
        )
    if isinstance(model, list | tuple):
        return _read_arrays(model, readout)
    if hasattr(model, "best_estimator_"):
        raise TypeError(
            f"{type(model).__name__} is no network: give its best_estimator_."
        )
    raise TypeError(
        f"{type(model).__name__} cannot be read as a network. Give {READABLE}."
    )


def is_readable(model):
    """Whether a model is of a kind that `read` knows."""
    return is_module(model) or isinstance(model, NETWORKS | Pipeline | list | tuple)


def _read_pipeline(model, readout):
    check_is_fitted(model)
    if not len(model.steps):
        raise ValueError("The Pipeline has no steps.")
    *before, last_step = (step for _, step in model.steps)
    layers = [i for i, step in enumerate(before) if isinstance(step, NETWORKS)]
    if layers:
        for i in layers:  # what cannot be read by itself says why
            read(before[i], readout=readout)
        parts = [*layers, len(before)] if is_readable(last_step) else layers
        steps = [f"model[{i}] on model[:{i}].transform(X)" for i in parts if i]
        raise ValueError(
            f"The Pipeline ends in {type(last_step).__name__}, but its step "
            f"model[{layers[0]}], {type(before[layers[0]]).__name__}, is a network, "
            f"too. Read {', '.join((['model[0]'] if 0 in parts else []) + steps)}."
        )
    if not is_readable(last_step):
        raise TypeError(
            f"The Pipeline ends in {type(last_step).__name__}, which cannot be read as "
            f"a network. Give {READABLE}."
        )
    last = read(last_step, readout=readout)
    return replace(
        last,
        prepare=partial(_through, model, last.prepare),
        written=partial(_write_pipeline, model, last.written),
        title=f"Pipeline, {last.title}",
    )


def _through(model, prepare, X):
    return prepare(model[:-1].transform(X) if len(model.steps) > 1 else X)


def _write_pipeline(model, written, units):
    copied = deepcopy(model)
    copied.steps[-1] = (model.steps[-1][0], written(units))
    return copied


def _read_perceptron(model):
    check_is_fitted(model)
    if model.activation != "relu":
        raise ValueError(
            f"{type(model).__name__} has activation={model.activation!r}: only with "
            "'relu' are its layers sparse codes."
        )
    pairs = list(zip(model.coefs_, model.intercepts_, strict=True))
    operations = tuple(
        Units(
            weight=coef.T,
            bias=intercept,
            name=f"hidden {i + 1}" if i < len(pairs) - 1 else "readout",
            rectified=i < len(pairs) - 1,
            source=i,
        )
        for i, (coef, intercept) in enumerate(pairs)
    )
    if model.out_activation_ not in ("softmax", "logistic", "identity", "exp"):
        raise ValueError(
            f"{type(model).__name__} has the output activation "
            f"{model.out_activation_!r}, which is not known here."
        )
    return Network(
        operations=operations,
        prepare=partial(_rows_of, model),
        written=partial(_write_perceptron, model),
        title=type(model).__name__,
        classes=getattr(model, "classes_", None),
        link=model.out_activation_,
        flat=isinstance(model, MLPRegressor) and model.n_outputs_ == 1,
    )


def _write_perceptron(model, units):
    copied = deepcopy(model)
    copied.coefs_ = [
        np.ascontiguousarray(units[i].weight.T, dtype=coef.dtype)
        for i, coef in enumerate(model.coefs_)
    ]
    copied.intercepts_ = [
        np.array(units[i].bias, dtype=intercept.dtype)
        for i, intercept in enumerate(model.intercepts_)
    ]
    return copied


def _read_own(model):
    check_is_fitted(model)
    operations, image_shape = read_own(model)

    if image_shape is None:
        prepare = partial(_rows_of, model)
    else:
        prepare = partial(_images, model)
    name = type(model).__name__
    why = f"{name} learns orthonormal atoms and sparse priors: there is nothing to "
    why += "repair."
    if image_shape is not None:
        why += (
            " A gap of its filters comes of split signs, d and −d, and of whitening, "
            "which filters contain."
        )
    return Network(operations, prepare, None, name, refusal=TypeError(why))


def _images(model, X):
    images, _ = model._validate_images(X, reset=False)
    return images if images.dtype in FLOAT_DTYPES else images.astype(np.float32)


def _read_arrays(layers, readout):
    if not layers:
        raise ValueError(
            "The list of layers is empty: give at least one (weight, bias)."
        )
    operations, above = [], None
    for i, pair in enumerate(layers):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise TypeError(
                f"Layer {i} is not a pair (weight, bias). Give a list of pairs: "
                "[(weight, bias)] for one; [(W.T, b) for W, b in zip(coefs_, "
                "intercepts_)] of scikit-learn."
            )
        weight = check_array(
            pair[0], dtype=FLOAT_DTYPES, copy=True, input_name=f"Weight {i}"
        )
        bias = check_array(
            np.zeros(len(weight), weight.dtype) if pair[1] is None else pair[1],
            dtype=FLOAT_DTYPES,
            ensure_2d=False,
            copy=True,
            input_name=f"Bias {i}",
        )
        if bias.shape != (len(weight),):
            hint = ""
            if bias.shape == (weight.shape[1],):
                hint = " It seems to be its transpose, like coefs_ of scikit-learn."
            raise ValueError(
                f"Layer {i} has a weight of shape {weight.shape} and a bias of shape "
                f"{bias.shape}, but a weight is (n_units, n_inputs), as in torch.{hint}"
            )
        if above is not None and weight.shape[1] != above:
            raise ValueError(
                f"Layer {i} reads {weight.shape[1]} inputs, but the layer before has "
                f"{above} units. A weight is (n_units, n_inputs), as in torch."
            )
        above = len(weight)
        rectified = i < len(layers) - 1 or not readout
        name = f"layer {i + 1}" if rectified else "readout"
        operations.append(Units(weight, bias, name, rectified, source=i))

    width = operations[0].weight.shape[1]
    prepare = partial(_rows, width=width)
    written = partial(_write_arrays, operations)
    title = f"{len(layers)} layer{'s' if len(layers) > 1 else ''}"
    return Network(tuple(operations), prepare, written, title, link="scores")


def _write_arrays(operations, units):
    return [
        (
            np.array(units[i].weight, dtype=op.weight.dtype),
            np.array(units[i].bias, dtype=op.bias.dtype),
        )
        for i, op in enumerate(operations)
    ]


def _rows_of(model, X):
    X = validate_data(model, X, reset=False, dtype=FLOAT_DTYPES, accept_sparse="csr")
    return X if isinstance(X, np.ndarray) else X.toarray()


def _rows(X, width):
    X = check_array(X, dtype=FLOAT_DTYPES, accept_sparse="csr")
    X = X if isinstance(X, np.ndarray) else X.toarray()
    if X.shape[1] != width:
        raise ValueError(
            f"X has {X.shape[1]} features, but the network reads {width} features."
        )
    return X


def _tensors(operations, X):
    X = check_array(as_array(X), dtype=FLOAT_DTYPES, allow_nd=True)
    first = operations[0]
    if isinstance(first, Units) and first.kernel is not None and X.ndim in (2, 4):
        _check_channels(first, X.shape)
    if X.ndim == 4:  # as torch has it: (n, channels, height, width)
        return np.ascontiguousarray(np.moveaxis(X, 1, 3))
    if X.ndim != 2:
        raise ValueError(
            f"X has {X.ndim} dimensions: torch takes rows (n_samples, n_features) or "
            "images (n_samples, channels, height, width)."
        )
    return X


def _check_channels(units, shape):
    """Raise where X is not images as a first convolution of torch reads them."""
    channels = units.channels
    if len(shape) == 4 and shape[1] == channels:
        return
    hint = ""
    if len(shape) == 2:
        hint = f" Rows become images by X.reshape(-1, {channels}, height, width)."
    elif shape[3] == channels:
        hint = " Its channels are last: np.moveaxis(X, 3, 1) puts them there."
    raise ValueError(
        f"X has shape {shape}, but {units.name} reads images (n, channels, height, "
        f"width) of {channels} channel{'s' if channels > 1 else ''}.{hint}"
    )
