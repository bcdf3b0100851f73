"""ConvSparseCoder as torch modules, and trained modules as ConvSparseCoder."""

from collections import OrderedDict
from copy import copy

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from skscn._core.procrustes import polar_factor
from skscn._export.fitted_parameters import convolution_parameters
from skscn._export.torch.coders import Encoder, SparseCoder
from skscn._export.torch.weights import (
    check_orthonormal,
    check_thresholds,
    keep_orthonormal,
    per_channel,
    trained_array,
    trained_atoms,
)
from skscn._images.layers.convolution import FittedConvolution


def contrast_conv2d(x, weight, bias, stride, groups, contrast_eps):
    """Return the products of patches with filters, over their contrast, plus the bias.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width)
    weight : Tensor of shape (n_filters, channels_per_group, height, width)
    bias : Tensor of shape (n_filters,)
    stride : tuple of int
    groups : int
    contrast_eps : float or None
        Products are divided by √(variance + eps) of their patch, unless it is None.
    """
    if contrast_eps is None:
        return functional.conv2d(x, weight, bias, stride, groups=groups)
    # Relative to the level of the image the numbers keep more digits.
    level = x.unflatten(1, (groups, -1)).mean(dim=(2, 3, 4), keepdim=True)
    x = (x.unflatten(1, (groups, -1)) - level).flatten(1, 2)
    products = functional.conv2d(x, weight, None, stride, groups=groups)
    products = products.unflatten(1, (groups, -1))
    sums = _sums_of_filters(weight).reshape(groups, -1, 1, 1)
    variance = patch_variances(x, weight.shape[2:], stride, groups)
    inverse_contrast = torch.rsqrt(variance + contrast_eps).unsqueeze(2)
    products = ((products + sums * level) * inverse_contrast).flatten(1, 2)
    return products + per_channel(bias, products)


def _sums_of_filters(weight):
    """Return the sums of filters, zero where they are rounding errors of the entries.

    The derivatives are those of the sums.
    """
    sums = weight.sum(dim=(1, 2, 3))
    rounding_errors = torch.finfo(weight.dtype).eps * weight.abs().sum(dim=(1, 2, 3))
    is_zero = sums.abs() <= rounding_errors
    return sums - torch.where(is_zero, sums, 0.0).detach()


def patch_variances(x, kernel_size, stride, groups):
    """Return the variance of every patch, of shape (n, groups, grid height and width).

    It is computed one axis at a time by the law of total variance, as in
    `skscn._images.layers.contrast`.
    """
    x = x.unflatten(1, (groups, -1))
    mean = x.mean(dim=2, keepdim=True)
    variance = (x - mean).square().mean(dim=2)
    mean = mean.squeeze(2)
    for dim in (3, 2):
        windows = (dim, kernel_size[dim - 2], stride[dim - 2])
        means = mean.unfold(*windows)
        mean = means.mean(dim=-1)
        variance_of_means = (means - mean.unsqueeze(-1)).square().mean(dim=-1)
        variance = variance.unfold(*windows).mean(dim=-1) + variance_of_means
    return variance


class ContrastConv2d(nn.Conv2d):
    """A convolution whose products are divided by the contrast of their patch."""

    contrast_eps: float

    def forward(self, x):
        """Return the products of every patch."""
        return contrast_conv2d(
            x, self.weight, self.bias, self.stride, self.groups, self.contrast_eps
        )

    def extra_repr(self):
        """Return the options of Conv2d and the constant added to the variance."""
        return f"{super().extra_repr()}, contrast_eps={self.contrast_eps:.3g}"


class WhitenedConv2d(nn.Module):
    """A convolution with the filters D W: trained atoms D and a fixed whitening W.

    Parameters
    ----------
    atoms : Tensor of shape (n_groups * n_dictionaries, n_components, n_components)
        D. torch keeps the rows of each dictionary orthonormal.
    whitening : Tensor of shape (n_groups * n_dictionaries, n_components, n_features)
        W, minus the mean over features if patches are centered; equal for all
        dictionaries of a group.
    whitened_mean : Tensor of shape (n_groups * n_dictionaries, n_components)
        W μ, which is subtracted from whitened patches.
    n_groups : int
        Number of groups of channels.
    filter_shape : tuple of int
        (channels_per_group, height, width).
    stride, contrast_eps
        Those of `contrast_conv2d`.
    """

    whitening: Tensor
    whitened_mean: Tensor

    def __init__(
        self,
        atoms,
        whitening,
        whitened_mean,
        n_groups,
        filter_shape,
        stride,
        contrast_eps,
    ):
        super().__init__()
        self.n_groups = n_groups
        self.filter_shape, self.stride = filter_shape, stride
        self.contrast_eps = contrast_eps
        self.register_buffer("whitening", whitening)
        self.register_buffer("whitened_mean", whitened_mean)
        self.atoms = nn.Parameter(atoms)
        keep_orthonormal(self, "atoms")

    def forward(self, x):
        """Return the products of every patch."""
        atoms = self.atoms
        weight = (atoms @ self.whitening).reshape(-1, *self.filter_shape)
        bias = -(atoms @ self.whitened_mean[:, :, None]).flatten()
        return contrast_conv2d(
            x, weight, bias, self.stride, self.n_groups, self.contrast_eps
        )

    def extra_repr(self):
        """Return the number of channels, of filters, and the size of filters."""
        n_filters = self.atoms.shape[0] * self.atoms.shape[1]
        channels, *kernel_size = self.filter_shape
        return (
            f"{self.n_groups * channels}, {n_filters}, "
            f"kernel_size={tuple(kernel_size)}, stride={self.stride}"
        )


class SplitSign(nn.Module):
    """Projections followed by their negatives, group by group."""

    def __init__(self, n_components):
        super().__init__()
        self.n_components = n_components

    def forward(self, u):
        """Return u and −u for every group."""
        u = u.unflatten(1, (-1, 1, self.n_components))
        return torch.cat([u, -u], dim=2).flatten(1, 3)


def convolution_module(name, layer, options):
    """Return padding, products of patches with filters, and the encoder."""
    conv = convolution_parameters(layer)
    weight, bias = options.tensor(conv.weight), options.tensor(conv.bias)
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    (top, bottom), (left, right) = conv.padding
    if any((top, bottom, left, right)):
        modules["pad"] = nn.ReplicationPad2d((left, right, top, bottom))
    if options.orthonormal or options.batch_norm:
        atoms, whitening, whitened_mean = _atoms_and_whitening(layer)
        filters = (atoms @ whitening).reshape(len(conv.weight), -1)
        option = "orthonormal" if options.orthonormal else "batch_norm"
        check_orthonormal(name, conv.weight.reshape(filters.shape), filters, option)
    if options.orthonormal:
        modules["project"] = WhitenedConv2d(
            options.tensor(atoms),
            options.tensor(whitening),
            options.tensor(whitened_mean),
            conv.n_groups,
            tuple(weight.shape[1:]),
            conv.stride,
            conv.contrast_eps,
        )
    else:
        modules["project"] = _conv2d(weight, bias, conv)
    if options.batch_norm:
        modules["norm"] = _unit_batch_norm(name, layer, len(bias), options.dtype)
    if conv.split_sign:
        modules["split_sign"] = SplitSign(len(conv.encoder.bias))
    modules["encoder"] = Encoder(conv.encoder, options)
    return SparseCoder(modules)


def restore_convolution(name, layer, module, orthonormal):
    """Write trained filters or atoms, biases and thresholds into a ConvSparseCoder."""
    alpha = trained_array(-module.prior_bias, layer.alpha_)
    check_thresholds(name, alpha, signed=False)
    if not isinstance(module.project, WhitenedConv2d):
        weight, bias = _trained_filters(module)
        _restore_filters(layer, weight, bias, alpha, orthonormal)
        return
    former = _whitened_atoms(layer)
    atoms = trained_atoms(module.project, "atoms", former)
    if atoms is not former or alpha is not layer.alpha_:
        _set_atoms(layer, atoms, alpha)


def _unit_batch_norm(name, layer, n_channels, dtype):
    """Return batch norm that is the identity in evaluation mode.

    It is nearly the identity in training mode, too: projections of whitened patches on
    orthonormal atoms have mean zero and variance one.
    """
    if not all(whitening.divides for whitening, _ in layer._channel_groups):
        raise ValueError(
            f"Step {name!r} has whiten=None, and batch_norm=True needs projections of "
            "variance one. Fit it with another value of whiten, such as 0.01, or use "
            "batch_norm=False."
        )
    norm = nn.BatchNorm2d(n_channels, dtype=dtype)
    norm.running_var = torch.ones(n_channels, dtype=dtype) - norm.eps
    return norm


def _trained_filters(module):
    """Return filters and biases of projections, with batch norm folded into them."""
    project, norm = module.project, getattr(module, "norm", None)
    if norm is None:
        return project.weight, project.bias
    return nn.utils.fuse_conv_bn_weights(
        project.weight,
        project.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )


def _whitened_atoms(layer):
    """Return the atoms of whitened patches, for every dictionary of every group."""
    return np.concatenate([_dictionaries(coder) for _, coder in layer._channel_groups])


def _dictionaries(coder):
    """Return the atoms of a coder or of a mixture, dictionary by dictionary."""
    components = coder.components_
    return components.reshape(-1, *components.shape[-2:])


def _conv2d(weight, bias, conv):
    """Return a Conv2d of given weights, without drawing random ones."""
    Conv2d = nn.Conv2d if conv.contrast_eps is None else ContrastConv2d
    n_channels = conv.n_groups * weight.shape[1]
    kernel_size = tuple(weight.shape[2:])
    options = {"groups": conv.n_groups, "device": "meta"}
    module = Conv2d(n_channels, len(weight), kernel_size, conv.stride, **options)
    module.weight, module.bias = nn.Parameter(weight), nn.Parameter(bias)
    if conv.contrast_eps is not None:
        module.contrast_eps = conv.contrast_eps
    return module


def _atoms_and_whitening(layer):
    """Return the arrays of `WhitenedConv2d`, whose products are the filters."""
    shape = layer.filters_.shape[1:]
    whitenings, whitened_means = [], []
    for whitening, coder in layer._channel_groups:
        n_dictionaries = len(_dictionaries(coder))
        rows = whitening.matrix
        whitened_means += [rows @ whitening.mean] * n_dictionaries
        if layer._fitted.settings.center:
            rows = rows - rows.mean(axis=1, keepdims=True)
        rows = np.moveaxis(rows.reshape(-1, *shape), -1, 1)
        whitenings += [rows.reshape(len(rows), -1)] * n_dictionaries
    return _whitened_atoms(layer), np.array(whitenings), np.array(whitened_means)


def _restore_filters(layer, weight, bias, alpha, orthonormal):
    """Write free filters, or those of the nearest orthonormal atoms."""
    conv = convolution_parameters(layer)
    is_unchanged = trained_array(weight, conv.weight) is conv.weight
    is_unchanged &= trained_array(bias, conv.bias) is conv.bias
    weight, bias = trained_array(weight), trained_array(bias)
    if is_unchanged and alpha is layer.alpha_:
        return
    filters = weight.reshape(conv.n_groups, -1, *weight.shape[1:])
    filters = np.moveaxis(filters, 2, -1)
    rows = filters.reshape(*filters.shape[:2], -1).astype(np.float64)
    former = _whitened_atoms(layer)
    n_dictionaries = len(former) // conv.n_groups
    atoms = [
        polar_factor(dictionary @ whitening.dewhitening_matrix.T)
        for group, (whitening, _) in zip(rows, layer._channel_groups, strict=True)
        for dictionary in np.split(group, n_dictionaries)
    ]
    if orthonormal or is_unchanged:
        _set_atoms(layer, former if is_unchanged else atoms, alpha)
    else:
        _set_free_filters(layer, filters, bias.reshape(filters.shape[:2]), alpha)
        layer._channel_groups = [
            (whitening, _with_atoms(coder, rows))
            for (whitening, coder), rows in _with_group(layer, atoms)
        ]


def _set_free_filters(layer, filters, bias, alpha):
    """Write filters that are no product of orthonormal atoms and a whitening.

    The atoms become the pseudo-inverse of the filters, the best linear reconstruction
    from their products. The mean patch becomes the nearest to the former one whose
    products are minus the bias.
    """
    n_groups = len(filters)
    rows = filters.reshape(*filters.shape[:2], -1).astype(np.float64)
    atoms = np.linalg.pinv(rows)
    mean = layer.mean_.reshape(n_groups, -1).astype(np.float64)
    bias_error = -bias - np.einsum("gkp,gp->gk", rows, mean)
    mean = mean + np.einsum("gpk,gk->gp", atoms, bias_error)
    layer._store_convolution(
        FittedConvolution.from_filters(
            layer._fitted.settings,
            filters,
            bias,
            atoms.swapaxes(1, 2),
            mean,
            alpha,
            layer.filters_.dtype,
        )
    )


def _set_atoms(layer, atoms, alpha):
    """Write orthonormal atoms of whitened patches, and thresholds.

    A coder whose atoms are unchanged keeps its stream.
    """
    groups = [
        (whitening, coder)
        if np.array_equal(rows, _dictionaries(coder).astype(rows.dtype))
        else (whitening, _with_atoms(coder, rows))
        for (whitening, coder), rows in _with_group(layer, atoms)
    ]
    layer._store_groups(groups, layer._fitted.settings, alpha, layer.filters_.dtype)


def _with_group(layer, atoms):
    """Return pairs of a group of channels and the atoms of its dictionaries."""
    groups = layer._channel_groups
    return zip(groups, np.split(np.asarray(atoms), len(groups)), strict=True)


def _with_atoms(coder, dictionaries):
    """Return a copy of a coder of whitened patches with other atoms."""
    coder, former = copy(coder), coder.components_
    factors = [polar_factor(rows.astype(np.float64)) for rows in dictionaries]
    components = np.reshape(factors, former.shape)
    coder.components_ = components.astype(former.dtype)
    coder._restart_stream(components)
    return coder
