"""Readers and writers of torch modules.

torch is not imported before a module of it is given: then it is there.
"""

import sys
from copy import deepcopy
from dataclasses import replace
from functools import partial

import numpy as np
from scipy.special import log_softmax, softmax

from skscn._data.sklearn_compat import check_array
from skscn._interpretation.network import Network, to_array
from skscn._interpretation.operations import (
    AffineLayer,
    AxisFunction,
    ConvolutionLayer,
    Flatten,
    Function,
    Unflatten,
    WindowPooling,
)

RELU = Function(partial(np.maximum, 0))
ONE = 1, (1, 1)  # the two ways in which torch writes one for height and width


def is_module(model):
    """Whether a model is a module of torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(model, torch.nn.Module)


def read_module(model):
    """Return a Sequential, in evaluation mode, as a `Network`."""
    operations: list = []
    for path, module in _leaves(model):
        operation = _read_leaf(path, module)
        if operation is RELU:
            # A maximum over windows can be taken after the ReLU as well as before it.
            i = len(operations) - 1
            while i >= 0 and getattr(operations[i], "is_max", False):
                i -= 1
            if i >= 0 and isinstance(operations[i], AffineLayer):
                operations[i] = replace(operations[i], is_hidden=True)
                continue
        if operation is not None:
            operations.append(operation)
    if not any(isinstance(operation, AffineLayer) for operation in operations):
        raise ValueError("The module has neither a Linear nor a Conv2d layer.")
    return Network(
        name=type(model).__name__,
        operations=tuple(operations),
        prepare=partial(_prepare_tensor, operations[0]),
        write=partial(_write_module, model),
        repair_error=_repair_error(model),
        output_activation=None,
        channels_first=True,
    )


def _leaves(module, path=""):
    """Yield paths and modules of nested Sequentials in order, repeated ones too."""
    import torch

    check_plain_module(path, module)
    if isinstance(module, torch.nn.Sequential):
        # named_children would leave out repetitions of a module.
        for child_name, child in module._modules.items():
            yield from _leaves(child, f"{path}.{child_name}" if path else child_name)
    else:
        yield path or "0", module


def check_plain_module(path, module):
    """Raise ValueError if the outputs of a module are not those of its class in torch.

    Parameters
    ----------
    path : str
        Of the module in its network; empty for the network itself.
    module : Module
    """
    name = f"{path or 'The module'} {type(module).__name__}"
    if getattr(module, "has_uninitialized_params", bool)():
        raise ValueError(
            f"{name} is lazy, and its weights have no values. Run the module once."
        )
    if module._forward_hooks or module._forward_pre_hooks:
        raise ValueError(
            f"{name} has hooks, which may change its outputs. Remove them from a copy: "
            "by prune.remove after torch.nn.utils.prune, by remove_spectral_norm or "
            "remove_weight_norm after those, or by remove() of their handle."
        )
    definer = next(cls for cls in type(module).__mro__ if "forward" in vars(cls))
    if "forward" in vars(module) or not definer.__module__.startswith("torch."):
        raise ValueError(
            f"{name} has a forward of its own, which cannot be read. Give a "
            "torch.nn.Sequential of torch layers, or the estimator of scikit-learn "
            "that the module was exported from."
        )


def _read_leaf(path, module):
    """Return a module as an operation, or None if it does nothing in evaluation."""
    from torch import nn

    name, hint = f"{path} {type(module).__name__}", ""
    if isinstance(module, nn.Identity | nn.modules.dropout._DropoutNd):
        return None
    if isinstance(module, nn.ReLU):
        return RELU
    if isinstance(module, nn.Flatten):
        _check_options(name, module, start_dim=(1,), end_dim=(-1, 3))
        return Flatten()
    if isinstance(module, nn.Unflatten):
        _check_options(name, module, dim=(1,))
        shape = tuple(int(size) for size in module.unflattened_size)
        if len(shape) != 3:
            raise ValueError(f"{name}: only (channels, height, width) are read.")
        return Unflatten(shape)
    if isinstance(module, nn.Softmax | nn.LogSoftmax):
        function = softmax if isinstance(module, nn.Softmax) else log_softmax
        # Without dim, torch takes the second of two or four axes, as for dim=1.
        return AxisFunction(name, function, 1 if module.dim is None else module.dim)
    if isinstance(module, nn.MaxPool2d | nn.AvgPool2d | nn.AdaptiveAvgPool2d):
        return _read_pool(name, module)
    if isinstance(module, nn.Linear | nn.Conv2d):
        return _read_affine(name, path, module)
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        kind = "linear" if isinstance(module, nn.BatchNorm1d) else "conv"
        function = f"torch.nn.utils.fusion.fuse_{kind}_bn_eval"
        hint = f" Fuse it with the layer before it: {function}."
    elif type(module).__module__ == "torch.nn.modules.activation":
        hint = " Of activations only ReLU makes sparse codes."
    raise ValueError(
        f"{name} is a layer that cannot be read as sparse codes. Linear, Conv2d, ReLU, "
        "Flatten, Unflatten, MaxPool2d, AvgPool2d, AdaptiveAvgPool2d(1), Softmax, "
        f"Dropout and Identity can.{hint}"
    )


def _read_affine(name, path, module):
    if hasattr(module, "parametrizations"):  # reading some weights changes them
        module = deepcopy(module).eval()
    _check_weight(name, module)
    weight = np.array(to_array(module.weight))
    bias = np.zeros(len(weight), dtype=weight.dtype)
    if module.bias is not None:
        bias = np.array(to_array(module.bias))
    if weight.ndim == 2:
        return AffineLayer(weight, bias, name, key=path)
    padding = (0, 0) if module.padding == "valid" else module.padding
    _check_options(name, module, groups=(1,), dilation=ONE)
    if padding != (0, 0):
        _check_options(name, module, padding_mode=("zeros",))
    if padding == "same":
        padding = tuple(((k - 1) // 2, k // 2) for k in module.kernel_size)
    else:
        padding = tuple((p, p) for p in padding)
    filters, stride = np.moveaxis(weight, 1, 3), tuple(module.stride)
    rows, shape = filters.reshape(len(filters), -1), filters.shape[1:]
    return ConvolutionLayer(
        rows, bias, name, key=path, patch_shape=shape, stride=stride, padding=padding
    )


def _check_weight(name, module):
    """Raise ValueError if the weight of a layer has no real values."""
    if module.weight.is_meta:
        raise ValueError(
            f"The weights of {name} have no values: they are on the meta device. Load "
            "them to another device."
        )
    if module.weight.is_complex():
        raise ValueError(f"The weights of {name} are complex, but atoms are real.")


def _read_pool(name, module):
    from torch import nn

    if isinstance(module, nn.AdaptiveAvgPool2d):
        _check_options(name, module, output_size=ONE)
        return WindowPooling(is_max=False, window=None)
    window, stride, padding = (
        _pair(value) for value in (module.kernel_size, module.stride, module.padding)
    )
    _check_options(name, module, ceil_mode=(False,), return_indices=(False,))
    _check_options(name, module, dilation=ONE, divisor_override=(None,))
    if padding != (0, 0):
        _check_options(name, module, count_include_pad=(True,))
    return WindowPooling(isinstance(module, nn.MaxPool2d), window, stride, padding)


def _check_options(name, module, **options):
    """Raise ValueError if an option of a module is not one of those that are read."""
    for option, read in options.items():
        value = getattr(module, option, read[0])
        if (tuple(value) if isinstance(value, list) else value) not in read:
            raise ValueError(f"{name} has {option}={value!r}: only {read[0]} is read.")


def _pair(value):
    return tuple(value) if isinstance(value, tuple | list) else (value, value)


def _prepare_tensor(first, X):
    """Return rows, or images as (n_images, height, width, channels)."""
    X = check_array(X, dtype=[np.float64, np.float32], allow_nd=True)
    if X.ndim not in (2, 4):
        raise ValueError(
            f"X has {X.ndim} dimensions: torch takes rows (n_samples, n_features) or "
            "images (n_samples, channels, height, width)."
        )
    is_convolution = isinstance(first, ConvolutionLayer)
    n_channels = first.patch_shape[2] if is_convolution else None
    if is_convolution and (X.ndim == 2 or X.shape[1] != n_channels):
        hint = ""
        if X.ndim == 2:
            hint = f" Rows become images by X.reshape(-1, {n_channels}, height, width)."
        elif X.shape[3] == n_channels:
            hint = " Its channels are last: np.moveaxis(X, 3, 1) moves them."
        raise ValueError(
            f"X has shape {X.shape}, but {first.name} reads images (n, channels, "
            f"height, width) of {n_channels} channels.{hint}"
        )
    return np.ascontiguousarray(np.moveaxis(X, 1, 3)) if X.ndim == 4 else X


def _repair_error(model):
    """Return the reason why weights of the module cannot be replaced, or None."""
    owners: dict = {}
    for path, module in _leaves(model):
        if hasattr(module, "parametrizations"):
            return ValueError(
                f"{path} {type(module).__name__} computes its weights from parameters: "
                "they cannot be replaced. Repair a copy after torch.nn.utils."
                "parametrize.remove_parametrizations."
            )
        for name, parameter in module.named_parameters():
            owner = owners.setdefault(id(parameter), path)
            if owner != path:
                return ValueError(
                    f"{owner} and {path} share their {name}, but a repair changes each "
                    "in its own way. Give one of them a copy, by copy.deepcopy."
                )
    return None


def _write_module(model, layers):
    """Return a copy of a module with the weights of layers by path."""
    import torch

    copied = deepcopy(model)
    for path, module in _leaves(copied):
        if path in layers:
            layer = layers[path]
            weight = layer.weight
            if layer.patch_shape is not None:
                weight = np.moveaxis(weight.reshape(-1, *layer.patch_shape), 3, 1)
            module.weight.data.copy_(torch.from_numpy(weight.copy()))
            bias = torch.from_numpy(layer.bias.copy()).to(module.weight)
            if module.bias is not None:
                module.bias.data.copy_(bias)
            elif bool(bias.any()):
                module.bias = torch.nn.Parameter(bias)
    return copied
