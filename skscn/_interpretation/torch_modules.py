"""Modules of torch as operations, and copies of them with other weights.

torch is not imported unless a module of it is given, so that it is there already.
"""

import sys
from copy import deepcopy
from dataclasses import replace

import numpy as np

from skscn._interpretation.operations import (
    Flatten,
    Pool,
    Rectify,
    Softmax,
    Unflatten,
    Units,
)


def is_module(model):
    """Whether a model is a module of torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(model, torch.nn.Module)


def as_array(X):
    """Return a tensor as an array, and anything else as it is."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(X, torch.Tensor):
        X = X.detach().cpu()
        return (X.float() if X.dtype in (torch.bfloat16, torch.float16) else X).numpy()
    return X


def leaves(module, path=""):
    """Yield paths and modules of nested Sequentials in order, repeated ones too."""
    import torch

    if module._forward_hooks or module._forward_pre_hooks:
        raise ValueError(
            f"{path or 'The module'} {type(module).__name__} has hooks, which may "
            "change what it computes. Remove them from a copy: prune.remove after "
            "torch.nn.utils.prune, remove_spectral_norm or remove_weight_norm after "
            "those, and remove() of the handle of any other."
        )
    definer = next(cls for cls in type(module).__mro__ if "forward" in vars(cls))
    if not definer.__module__.startswith("torch."):
        raise ValueError(
            f"{path or 'The module'} {type(module).__name__} has a forward of its own, "
            "which cannot be read. Give a torch.nn.Sequential of layers of torch; a "
            "module that was exported from scikit-learn is read as the estimator."
        )
    if isinstance(module, torch.nn.Sequential):
        # Not named_children, which leaves out what stands there a second time.
        for name, child in module._modules.items():
            yield from leaves(child, f"{path}.{name}" if path else name)
    else:
        yield path or "0", module


def read_module(model):
    """Return the operations of a Sequential, in the mode of evaluation."""
    operations: list = []
    for path, module in leaves(model):
        found = _operation(path, module)
        if isinstance(found, Rectify):
            # The largest of a window may be taken before a ReLU as well as after it.
            at = len(operations) - 1
            while (
                at >= 0 and isinstance(operations[at], Pool) and operations[at].largest
            ):
                at -= 1
            if at >= 0 and isinstance(operations[at], Units):
                operations[at] = replace(operations[at], rectified=True)
                continue
        if found is not None:
            operations.append(found)
    if not any(isinstance(op, Units) for op in operations):
        raise ValueError("The module has neither a Linear nor a Conv2d layer.")
    return tuple(operations)


def _operation(path, module):
    import torch
    from torch import nn

    name = f"{path} {type(module).__name__}"
    if isinstance(module, nn.Identity | nn.modules.dropout._DropoutNd):
        return None
    if isinstance(module, nn.ReLU):
        return Rectify()
    if isinstance(module, nn.Flatten):
        if module.start_dim != 1 or module.end_dim not in (-1, 3):
            raise ValueError(f"{name}: only Flatten(1) makes rows of maps.")
        return Flatten()
    if isinstance(module, nn.Unflatten):
        shape = tuple(int(size) for size in module.unflattened_size)
        if module.dim != 1 or len(shape) != 3:
            raise ValueError(
                f"{name}: only rows as (channels, height, width) are read."
            )
        return Unflatten(shape)
    if isinstance(module, nn.Softmax | nn.LogSoftmax):
        if module.dim not in (1, -1):
            raise ValueError(f"{name}: only dim=1 is read.")
        return Softmax(isinstance(module, nn.LogSoftmax))
    if isinstance(module, nn.MaxPool2d | nn.AvgPool2d | nn.AdaptiveAvgPool2d):
        return _pool(name, module)
    if isinstance(module, nn.Linear | nn.Conv2d):
        if hasattr(module, "parametrizations"):  # some change when they are looked at
            module = deepcopy(module).eval()
        with torch.no_grad():
            weight = np.array(as_array(module.weight))
            bias = np.zeros(len(weight), dtype=weight.dtype)
            if module.bias is not None:
                bias = np.array(as_array(module.bias))
        if isinstance(module, nn.Linear):
            return Units(weight, bias, name, source=path)
        return _convolution(name, module, weight, bias, path)
    raise ValueError(
        f"{name} is a layer that cannot be read as sparse codes. Linear, Conv2d, ReLU, "
        "Flatten, Unflatten, MaxPool2d, AvgPool2d, AdaptiveAvgPool2d(1), Softmax, "
        f"Dropout and Identity can.{_hint(module)}"
    )


def _hint(module):
    """Return what else to do about a module that cannot be read."""
    from torch import nn

    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        kind = "linear" if isinstance(module, nn.BatchNorm1d) else "conv"
        return (
            " It folds into the layer before it: torch.nn.utils.fusion."
            f"fuse_{kind}_bn_eval."
        )
    if type(module).__module__ == "torch.nn.modules.activation":
        return " Of activations only ReLU makes sparse codes."
    return ""


def _convolution(name, module, weight, bias, path):
    if module.groups != 1 or module.dilation != (1, 1):
        raise ValueError(
            f"{name} has groups={module.groups} and dilation={module.dilation}: only "
            "groups=1 and dilation=1 are read."
        )
    padding = module.padding
    if module.padding_mode != "zeros" and padding not in ("valid", (0, 0)):
        raise ValueError(
            f"{name} has padding_mode={module.padding_mode!r}: only 'zeros' is read."
        )
    if padding == "valid":
        padding = (0, 0)
    if padding == "same":
        padding = tuple(((k - 1) // 2, k // 2) for k in module.kernel_size)
    else:
        padding = tuple((p, p) for p in padding)
    rows = np.ascontiguousarray(np.moveaxis(weight, 1, 3)).reshape(len(weight), -1)
    return Units(
        weight=rows,
        bias=bias,
        name=name,
        kernel=tuple(module.kernel_size),
        stride=tuple(module.stride),
        padding=padding,
        source=path,
    )


def _pool(name, module):
    from torch import nn

    if isinstance(module, nn.AdaptiveAvgPool2d):
        if module.output_size not in (1, (1, 1)):
            raise ValueError(
                f"{name} has output_size={module.output_size}: only 1 is read."
            )
        return Pool(largest=False, window=None)
    largest = isinstance(module, nn.MaxPool2d)
    window, stride, padding = (
        _pair(value) for value in (module.kernel_size, module.stride, module.padding)
    )
    unread = {"ceil_mode": module.ceil_mode}
    if largest:
        unread |= {
            "dilation": _pair(module.dilation) != (1, 1),
            "return_indices": module.return_indices,
        }
    else:
        unread["divisor_override"] = module.divisor_override is not None
        unread["count_include_pad"] = padding != (0, 0) and not module.count_include_pad
    for option, asked in unread.items():
        if asked:
            raise ValueError(f"{name} has another {option} than the one that is read.")
    return Pool(largest, window, stride, padding)


def _pair(value):
    return tuple(value) if isinstance(value, tuple | list) else (value, value)


def unwritable(model):
    """Return why no copy with other weights can be made, or None."""
    users: dict = {}
    for path, module in leaves(model):
        if hasattr(module, "parametrizations"):
            return ValueError(
                f"{path} {type(module).__name__} computes its weights from parameters: "
                "they cannot be replaced. Repair a copy after torch.nn.utils."
                "parametrize.remove_parametrizations."
            )
        for name in ("weight", "bias"):
            parameter = getattr(module, name, None)
            if parameter is None:
                continue
            first = users.setdefault(id(parameter), path)
            if first != path:
                return ValueError(
                    f"{first} and {path} share their {name}, and each would be "
                    "repaired in its own way. Give them copies of it: copy.deepcopy "
                    "of one of the modules."
                )
    return None


def write(model, units):
    """Return a copy of a module with the weights of units by path."""
    import torch

    copied = deepcopy(model)
    for path, module in leaves(copied):
        if path not in units:
            continue
        found = units[path]
        weight = found.weight
        if found.kernel is not None:
            weight = np.moveaxis(weight.reshape(-1, *found.patch_shape), 3, 1)
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(np.array(weight)))
            bias = torch.from_numpy(np.array(found.bias)).to(module.weight)
            if module.bias is not None:
                module.bias.copy_(bias)
            elif bool(bias.any()):
                module.bias = torch.nn.Parameter(bias)
    return copied
