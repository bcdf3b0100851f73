"""Readers of the coders and image layers of this package."""

from functools import partial

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skscn._coders.non_negative import NonNegativeSparseCoder
from skscn._coders.orthogonal import OrthogonalSparseCoder
from skscn._core.workspace import WorkspacePool
from skscn._data.sklearn_compat import validate_data
from skscn._images.convolution import ConvSparseCoder
from skscn._images.layers.base import compute_maps
from skscn._images.network import SparseCodingNetwork
from skscn._images.pooling import SpatialPool
from skscn._interpretation.network import FLOAT_DTYPES, Network, to_array
from skscn._interpretation.operations import (
    AffineLayer,
    ConvolutionLayer,
    Function,
    NormalizedPatches,
    PatchLayer,
)
from skscn._interpretation.traversal import Branches

CODERS = NonNegativeSparseCoder | OrthogonalSparseCoder
SPARSE_CODERS = CODERS | ConvSparseCoder | SparseCodingNetwork


def read_sparse_coder(model, prefix=""):
    """Return a fitted coder, convolution or network as a `Network`.

    Parameters
    ----------
    model : estimator of SPARSE_CODERS
    prefix : str, default=""
        Of the names of its layers.
    """
    check_is_fitted(model)
    name = type(model).__name__
    reason = f"{name} learns orthonormal atoms and sparse priors: nothing to repair."
    if isinstance(model, CODERS):
        operations = (_read_coder(model, prefix + "coder"),)
        prepare = prepare_rows
        if isinstance(model, OrthogonalSparseCoder):
            reason += (
                " Its weights are not orthonormal because of split signs, d and −d."
            )
    else:
        layer_name = prefix if isinstance(model, SparseCodingNetwork) else prefix + name
        operations = tuple(_read_image_layer(layer_name, model))
        prepare = _prepare_images
        reason += (
            " Its filters are not orthonormal because of split signs, d and −d, and of "
            "the whitening that they contain."
        )
    return Network(
        name, operations, partial(prepare, model), repair_error=TypeError(reason)
    )


def prepare_rows(model, X):
    """Return rows as an estimator takes them, as dense floats."""
    X = to_array(X)
    X = validate_data(model, X, reset=False, dtype=FLOAT_DTYPES, accept_sparse="csr")
    return X if isinstance(X, np.ndarray) else X.toarray()


def _prepare_images(model, X):
    images, _ = model._validate_images(X, reset=False)
    return images if images.dtype in FLOAT_DTYPES else images.astype(np.float32)


def _read_coder(model, layer_name):
    """Return the ReLU layer of a coder; signed codes are split by sign."""
    name = type(model).__name__
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
    return AffineLayer(weight, bias, layer_name, is_hidden=True)


def _read_image_layer(name, layer):
    """Yield the operations of a fitted convolution, pool or network.

    Parameters
    ----------
    name : str
        Of the layer, or the prefix of the names of the layers of a network.
    layer : ConvSparseCoder, SpatialPool or SparseCodingNetwork
    """
    if isinstance(layer, SpatialPool):
        pooling = layer._fitted_layer(np.float64)
        yield Function(partial(_pool, pooling), pooling.out_shape)
    elif isinstance(layer, ConvSparseCoder):
        yield from _read_convolution(name, layer._fitted)
    else:
        layers = [
            tuple(_read_image_layer(_layer_name(name, inner_name, inner), inner))
            for inner_name, inner in layer.layers_
        ]
        if layer._is_parallel:
            yield Branches(tuple(layers))
        elif layer._output_indices:
            yield from _read_stack(layers, layer._output_indices)
        else:
            for operations in layers:
                yield from operations


def _layer_name(prefix, name, layer):
    """Return the name of a layer, or the prefix of names in a nested network."""
    return f"{prefix}{name}{'__' if isinstance(layer, SparseCodingNetwork) else ''}"


def _read_stack(layers, output_indices):
    """Yield the operations of a stack that returns the maps of several layers as rows.

    After each of these layers the stack branches into its maps and the layers above.
    """
    first, *others = output_indices
    for operations in layers[: first + 1]:
        yield from operations
    if not others:
        return
    others = [i - first - 1 for i in others]
    above = tuple(_read_stack(layers[first + 1 :], others))
    yield Branches(((), above), as_rows=True)


def _read_convolution(name, fitted):
    """Yield the operations of a `FittedConvolution`.

    With contrast normalization, or with filters of each channel, the normalized patches
    are the input of the units. Otherwise the units read the images.
    """
    settings, grid = fitted.settings, fitted.settings.grid
    if settings.prior != "exponential":
        raise ValueError(
            f"{name} was fitted with prior={settings.prior!r}: its code is no ReLU. "
            "With 'exponential' it is."
        )
    n_groups, patch_shape = len(fitted.filters), fitted.filters.shape[3:]
    weights = fitted.filters.reshape(n_groups, -1, int(np.prod(patch_shape)))
    biases = fitted.bias.reshape(n_groups, -1)
    if n_groups == 1 and not settings.eps:
        yield ConvolutionLayer(
            weight=weights[0],
            bias=biases[0],
            name=name,
            is_hidden=True,
            patch_shape=patch_shape,
            stride=grid.stride,
            padding=grid.padding,
            edge=True,
        )
        return
    branches = []
    for channel, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        is_single = n_groups == 1
        patches = NormalizedPatches(
            grid.with_channels(patch_shape[2]),
            settings.center,
            settings.eps,
            None if is_single else channel,
        )
        layer = PatchLayer(
            weight=weight,
            bias=bias,
            name=name if is_single else f"{name}, map {channel}",
            is_hidden=True,
            patch_shape=patch_shape,
        )
        branches.append((patches, layer))
    if n_groups == 1:
        yield from branches[0]
    else:
        yield Branches(tuple(branches))


def _pool(layer, samples):
    dtype, workspaces = samples.dtype, WorkspacePool()
    return compute_maps(samples, None, layer=layer, dtype=dtype, workspaces=workspaces)
