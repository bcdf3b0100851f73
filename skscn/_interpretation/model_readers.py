"""Readers of trained models: each returns the model as a `Network`."""

from copy import deepcopy
from dataclasses import replace
from functools import partial

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skscn._coders.non_negative import NonNegativeSparseCoder
from skscn._coders.orthogonal import OrthogonalSparseCoder
from skscn._core.workspace import WorkspacePool
from skscn._data.sklearn_compat import check_array, validate_data
from skscn._images.convolution import ConvSparseCoder
from skscn._images.layers.base import compute_maps
from skscn._images.network import SparseCodingNetwork
from skscn._images.pooling import SpatialPool
from skscn._interpretation.network import Network, to_array
from skscn._interpretation.operations import AffineLayer, ConvolutionLayer, Function
from skscn._interpretation.torch_modules import is_module, read_module

FLOAT_DTYPES = [np.float64, np.float32]
MODEL_KINDS = (
    "MLPClassifier, MLPRegressor, a Pipeline that ends in one, a torch.nn.Sequential, "
    "a NonNegativeSparseCoder, an OrthogonalSparseCoder with split_sign=True, a "
    "ConvSparseCoder, a SparseCodingNetwork that is a stack of them, or a list of "
    "(weight, bias)"
)
CODERS = NonNegativeSparseCoder | OrthogonalSparseCoder
SPARSE_CODERS = CODERS | ConvSparseCoder | SparseCodingNetwork
NETWORKS = MLPClassifier | MLPRegressor | SPARSE_CODERS


def read_model(model, *, readout=True):
    """Return a trained model as a `Network`.

    Parameters
    ----------
    model : object
    readout : bool, default=True
        Whether the last pair of a list of arrays is not followed by a ReLU.
    """
    network = _read(model, readout)
    for layer in network.operations:
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
        return _read_pipeline(model)
    if isinstance(model, MLPClassifier | MLPRegressor):
        return _read_perceptron(model)
    if isinstance(model, SPARSE_CODERS):
        return _read_sparse_coder(model)
    if is_module(model):
        return read_module(model)
    if isinstance(model, list | tuple):
        return _read_arrays(model, readout)
    name = type(model).__name__
    if hasattr(model, "best_estimator_"):
        raise TypeError(f"{name} is no network: give its best_estimator_.")
    raise TypeError(f"{name} cannot be read as a network. Give {MODEL_KINDS}.")


def _read_pipeline(model):
    check_is_fitted(model)
    steps = [step for _, step in model.steps]
    if not steps:
        raise ValueError("The Pipeline has no steps.")
    networks = [i for i, step in enumerate(steps) if isinstance(step, NETWORKS)]
    is_nested = not networks and isinstance(steps[-1], Pipeline)
    if networks != [len(steps) - 1] and not is_nested:
        for i in networks:  # a step that cannot be read raises an error of its own
            read_model(steps[i])
        parts = " and ".join(f"model[{i}]" for i in networks)
        remedy = f"Read {parts}, each on the output of the steps before it."
        raise (ValueError if networks else TypeError)(
            f"The Pipeline ends in {type(steps[-1]).__name__}, but the last step of a "
            "Pipeline must be its only network. "
            f"{remedy if networks else f'Give {MODEL_KINDS}.'}"
        )
    network = read_model(steps[-1])
    return replace(
        network,
        name=f"Pipeline, {network.name}",
        prepare=partial(_prepare_pipeline, model, network.prepare),
        write=partial(_write_pipeline, model, network.write),
    )


def _prepare_pipeline(model, prepare, X):
    return prepare(model[:-1].transform(X) if len(model.steps) > 1 else X)


def _write_pipeline(model, write, layers):
    copied = deepcopy(model)
    copied.steps[-1] = (model.steps[-1][0], write(layers))
    return copied


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
        prepare=partial(_prepare_estimator_rows, model),
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


def _read_sparse_coder(model):
    check_is_fitted(model)
    name = type(model).__name__
    reason = f"{name} learns orthonormal atoms and sparse priors: nothing to repair."
    if isinstance(model, CODERS):
        operations, prepare = (_read_coder(name, model),), _prepare_estimator_rows
        if isinstance(model, OrthogonalSparseCoder):
            reason += (
                " Its weights are not orthonormal because of split signs, d and −d."
            )
    else:
        operations, prepare = tuple(_read_image_layers(name, model)), _prepare_images
        reason += (
            " Its filters are not orthonormal because of split signs, d and −d, and of "
            "the whitening that they contain."
        )
    return Network(
        name, operations, partial(prepare, model), repair_error=TypeError(reason)
    )


def _read_coder(name, model):
    """Return the ReLU layer of a coder; signed codes are split by sign."""
    if isinstance(model, OrthogonalSparseCoder) and not model._splits_signs:
        raise TypeError(
            f"{name} has split_sign=False: its codes have both signs, and are no ReLU. "
            "With split_sign=True they are."
        )
    wanted = "laplace" if isinstance(model, OrthogonalSparseCoder) else "exponential"
    is_relu = model._fitted_prior == wanted and model.inference == "map"
    if not is_relu or model.n_nonzero_coefs is not None:
        raise ValueError(
            f"{name} has prior={model._fitted_prior!r}, inference={model.inference!r} "
            f"and n_nonzero_coefs={model.n_nonzero_coefs}: its code is no ReLU. With "
            f"{wanted!r}, 'map' and None it is."
        )
    weight, alpha = model.components_, model.alpha_
    if isinstance(model, OrthogonalSparseCoder):
        weight, alpha = np.vstack([weight, -weight]), np.tile(alpha, 2)
    bias = -alpha - weight @ model.mean_
    return AffineLayer(weight, bias, "coder", is_hidden=True)


def _read_image_layers(name, layer):
    """Yield the operations of a fitted convolution, pool, or stack of them."""
    if isinstance(layer, SpatialPool):
        pooling = layer._fitted_layer(np.float64)
        yield Function(partial(_pool, pooling), pooling.out_shape)
    elif isinstance(layer, ConvSparseCoder):
        settings, depthwise = layer._fitted.settings, len(layer._fitted.filters) > 1
        if settings.prior != "exponential" or depthwise or settings.eps:
            contrast = layer._fixed_parameters["contrast"]
            raise ValueError(
                f"{name} was fitted with prior={settings.prior!r}, depthwise="
                f"{depthwise} and contrast={contrast}: its code is no ReLU of one "
                "product with filters. With 'exponential', False and None it is."
            )
        grid = settings.grid
        yield ConvolutionLayer(
            weight=layer.filters_.reshape(len(layer.filters_), -1),
            bias=layer.bias_,
            name=name,
            is_hidden=True,
            patch_shape=grid.patch_shape,
            stride=grid.stride,
            padding=grid.padding,
            edge=True,
        )
    elif not layer._is_parallel and not layer._output_indices:
        for inner_name, inner in layer.layers_:
            yield from _read_image_layers(inner_name, inner)
    else:
        raise ValueError(
            f"{name} was fitted with arrangement='parallel' or outputs='pools': only a "
            "stack that returns its last layer is a sequence of layers. Read its "
            "branches one by one."
        )


def _pool(layer, samples):
    dtype, workspaces = samples.dtype, WorkspacePool()
    return compute_maps(samples, None, layer=layer, dtype=dtype, workspaces=workspaces)


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
    prepare = partial(_prepare_rows, layers[0].weight.shape[1])
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


def _prepare_estimator_rows(model, X):
    X = to_array(X)
    X = validate_data(model, X, reset=False, dtype=FLOAT_DTYPES, accept_sparse="csr")
    return X if isinstance(X, np.ndarray) else X.toarray()


def _prepare_rows(n_features, X):
    X = check_array(to_array(X), dtype=FLOAT_DTYPES, accept_sparse="csr")
    if X.shape[1] != n_features:
        raise ValueError(
            f"X has {X.shape[1]} features, but the network reads {n_features} features."
        )
    return X if isinstance(X, np.ndarray) else X.toarray()


def _prepare_images(model, X):
    images, _ = model._validate_images(X, reset=False)
    return images if images.dtype in FLOAT_DTYPES else images.astype(np.float32)
