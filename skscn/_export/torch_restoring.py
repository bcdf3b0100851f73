"""From trained torch modules back to a fitted estimator: their weights are written."""

import warnings
from copy import copy, deepcopy
from dataclasses import replace

import numpy as np
from scipy.special import expit
from sklearn.pipeline import FeatureUnion, Pipeline
from torch import nn

from skscn._coders import NonNegativeSparseCoder, OrthogonalSparseCoder
from skscn._convolution import ConvSparseCoder
from skscn._core.beliefs import Belief
from skscn._core.procrustes import polar
from skscn._export import torch_codes, torch_layers
from skscn._export.reading import read_coder, read_conv, read_linear
from skscn._export.torch_building import LAYERS, LINEAR, PERCEPTRONS
from skscn._heads import StreamingRidgeClassifier
from skscn._network import SparseCodingNetwork

# Of D Dᵀ from the identity: what a shorter float leaves, and what is worth a warning.
ROUNDING = 1e-5
GAP = 1e-3


def restored(network, *, orthonormal):
    """Return a copy of the model of a network, with the weights of the network."""
    model = deepcopy(network.model)
    children = list(network)
    module = children if isinstance(model, Pipeline) else children[0]
    _write(type(model).__name__, model, module, orthonormal)
    return model


def _write(name, step, module, orthonormal):
    """Write the weights of a module into the fitted step that it was made of."""
    if isinstance(step, Pipeline):
        for (inner, part), child in zip(step.steps, module, strict=False):
            _write(inner, part, child, orthonormal)
    elif isinstance(step, FeatureUnion):
        for (inner, part), child in zip(
            step.transformer_list, module.values(), strict=True
        ):
            _write(inner, part, child, orthonormal)
    elif isinstance(step, OrthogonalSparseCoder | NonNegativeSparseCoder):
        _write_coder(name, step, module, orthonormal)
    elif isinstance(step, LAYERS):
        _write_layer(name, step, module.layer, orthonormal)
    elif isinstance(step, LINEAR):
        _write_head(step, module)
    elif isinstance(step, PERCEPTRONS):
        linears = [part for part in module if isinstance(part, nn.Linear)]
        step.coefs_ = [
            _array(part.weight.T, former)
            for part, former in zip(linears, step.coefs_, strict=True)
        ]
        step.intercepts_ = [
            _array(part.bias, former)
            for part, former in zip(linears, step.intercepts_, strict=True)
        ]


def _write_coder(name, coder, module, orthonormal):
    """Write atoms and priors of rows."""
    components = _array(module.project.weight, coder.components_)
    if orthonormal:
        components = polar(components).astype(components.dtype)
    belief = coder._known.belief
    alpha, parameters = coder.alpha_, belief.parameters
    prior = coder._priors[coder._fitted_prior]
    if isinstance(module.code, torch_codes.SpikeSlabMean):
        known = read_coder(coder).code.log_odds
        odds = _array(module.code.bias, known)
        if odds is not known:
            slab = parameters[1]
            odds = odds + np.log1p(slab / belief.noise) / 2
            parameters = np.array([expit(odds), slab])
            alpha, coder._shrinkage = prior.rule(parameters, belief.noise)
            alpha = alpha.astype(coder.alpha_.dtype)
    else:
        alpha = _array(-module.prior_bias, alpha)
        if prior.given_by_threshold:
            rate = alpha.astype(np.float64) / belief.noise
            parameters = np.maximum(rate, np.min(parameters) * 1e-3)[None]
    _check_priors(name, alpha, signed=not prior.one_sided)
    if components is coder.components_ and alpha is coder.alpha_:
        return
    gap = np.abs(components @ components.T - np.eye(len(components))).max()
    if gap < ROUNDING:  # of the network's dtype, which may be a shorter one
        components = polar(components.astype(np.float64)).astype(components.dtype)
    if gap > GAP:
        warnings.warn(
            f"The atoms of step {name!r} are no longer orthonormal: D Dᵀ is {gap:.2g} "
            "away from the identity. transform gives what the network gives, but "
            "inverse_transform and the likelihood hold for orthonormal atoms only. "
            "Train with to_torch(orthonormal=True), or take the nearest orthonormal "
            "atoms with from_torch(orthonormal=True).",
            stacklevel=6,
        )
    coder.components_, coder.alpha_ = components, alpha
    coder._known = Belief(parameters, belief.noise)
    _restart(coder, components)


def _write_layer(name, layer, module, orthonormal):
    """Write what a layer of images learned, through networks of layers."""
    if isinstance(layer, SparseCodingNetwork):
        children = module.values() if hasattr(module, "values") else module
        for (inner, part), child in zip(layer.layers_, children, strict=True):
            _write_layer(f"{name}__{inner}", part, child, orthonormal)
    elif isinstance(layer, ConvSparseCoder):
        alpha = _array(-module.code.bias, layer.alpha_)
        _check_priors(name, alpha, signed=False)
        if isinstance(module.project, torch_layers.WhitenedProducts):
            _write_atoms(layer, _array(module.project.atoms.weight), alpha)
        else:
            _write_filters(layer, module.project, alpha, orthonormal)


def _write_filters(layer, project, alpha, orthonormal):
    """Write filters that are free, or the nearest that have orthonormal atoms."""
    conv = read_conv(layer)
    n_groups, n_components = conv.filters.shape[:2]
    shape = n_groups, n_components, *np.shape(project.weight)[1:]
    filters = np.moveaxis(_array(project.weight).reshape(shape), 2, -1)
    shift = _array(project.bias).reshape(n_groups, n_components)
    same = np.array_equal(filters, conv.filters.astype(filters.dtype))
    same &= np.array_equal(shift, conv.shift.astype(shift.dtype))
    if same and alpha is layer.alpha_:
        return
    rows = filters.reshape(n_groups, n_components, -1).astype(np.float64)
    atoms = [
        polar(group @ whitening.backward.T)
        for group, (whitening, _) in zip(rows, layer._groups, strict=True)
    ]
    if orthonormal or same:
        _write_atoms(layer, atoms if not same else None, alpha)
        return
    inverse = np.linalg.pinv(rows)  # what a unit of code adds, by least squares
    mean = layer.mean_.reshape(n_groups, -1).astype(np.float64)
    # The mean patch is the nearest one to the former whose projections are −shift.
    off = -shift - np.einsum("gkp,gp->gk", rows, mean)
    mean = mean + np.einsum("gpk,gk->gp", inverse, off)
    signs = (1, -1) if layer.split_sign else (1,)
    dtype, shape = layer.filters_.dtype, layer.atoms_.shape
    stacked = np.concatenate([sign * filters for sign in signs], axis=1)
    layer.filters_ = stacked.reshape(layer.filters_.shape).astype(dtype)
    bias = np.concatenate([sign * shift - alpha for sign in signs], axis=1)
    layer.bias_ = bias.ravel().astype(dtype)
    layer.atoms_ = inverse.swapaxes(1, 2).reshape(shape).astype(dtype)
    layer.mean_ = mean.reshape(layer.mean_.shape).astype(dtype)
    layer.alpha_ = alpha
    layer._groups = [
        (whitening, _restarted(coder, rows))
        for (whitening, coder), rows in zip(layer._groups, atoms, strict=True)
    ]


def _write_atoms(layer, atoms, alpha):
    """Write orthonormal atoms of whitened patches; None leaves those that there are."""
    if atoms is not None:
        layer._groups = [
            (
                whitening,
                coder
                if np.array_equal(rows, coder.components_.astype(rows.dtype))
                else _restarted(coder, rows),
            )
            for (whitening, coder), rows in zip(layer._groups, atoms, strict=True)
        ]
    geometry = layer._geometry(layer.image_shape_)
    layer._set_attributes(geometry, alpha, layer.filters_.dtype)


def _write_head(head, module):
    """Write the weights of a linear model."""
    linear = read_linear(head)
    coef = _array(module.weight, linear.coef)
    intercept = _array(module.bias, linear.intercept)
    if coef is linear.coef and intercept is linear.intercept:
        return
    if isinstance(head, StreamingRidgeClassifier):
        # The weights are a property of the sums, which stay; their solution is known.
        head._ridge = copy(head._ridge)
        vars(head._ridge)["solution"] = coef, intercept
        return
    head.coef_ = np.array(coef).reshape(np.shape(head.coef_))
    if np.size(head.intercept_) == intercept.size:
        intercept = np.array(intercept).reshape(np.shape(head.intercept_))
    head.intercept_ = intercept[()]


def _restarted(coder, components):
    """Return a coder of whitened patches with other atoms."""
    coder = copy(coder)
    components = polar(components.astype(np.float64))
    coder.components_ = components.astype(coder.components_.dtype)
    _restart(coder, components)
    return coder


def _restart(coder, components):
    """Let `partial_fit` begin a new stream, from the nearest orthonormal atoms."""
    components = polar(components.astype(np.float64))
    coder._stream = replace(coder._stream, components=components, known=None)
    coder._gathered = None


def _check_priors(name, alpha, *, signed):
    if signed and (alpha < 0).any():
        raise ValueError(
            f"Step {name!r} has the prior λ = {alpha.min():.3g}, and signed codes have "
            "no threshold below zero. Call clamp_priors_() of the network after every "
            "step of the optimiser."
        )


def _array(tensor, former=None):
    """Return a tensor as an array; the former one itself where nothing changed."""
    array = tensor.detach().cpu().numpy()
    if former is None:
        return array.copy()
    if np.array_equal(array, former.astype(array.dtype)):
        return former
    return array.astype(former.dtype)
