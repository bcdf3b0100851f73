"""From trained torch modules back to a fitted estimator: their weights are written."""

from copy import copy, deepcopy
from dataclasses import replace

import numpy as np
from scipy.special import expit
from sklearn.pipeline import FeatureUnion, Pipeline
from torch import nn

from skscn._coders.non_negative import NonNegativeSparseCoder
from skscn._coders.orthogonal import OrthogonalSparseCoder
from skscn._core.model_parameters import ModelParameters
from skscn._core.procrustes import polar_factor
from skscn._export.fitted_layers import read_coder, read_conv, read_linear
from skscn._export.torch.building import LAYERS, LINEAR, PERCEPTRONS
from skscn._export.torch.codes import SpikeSlabMean
from skscn._export.torch.layers import Branches, Images, WhitenedProducts
from skscn._export.torch.network import parts
from skscn._export.torch.perceptrons import check_trained
from skscn._images.classification import StreamingRidgeClassifier
from skscn._images.convolution import ConvSparseCoder
from skscn._images.network import SparseCodingNetwork

# Of D Dᵀ from the identity: what a shorter float leaves, and what is worth a warning.
ROUNDING = 1e-5
GAP = 1e-3


def restored(network, *, orthonormal):
    """Return a copy of the model of a network, with the weights of the network.

    Returns
    -------
    model : estimator
    gaps : dict of str to float
        How far atoms are from orthonormal, of coders of rows for which it matters.
    """
    _check_parts(network)
    model, gaps = deepcopy(network.model), {}
    children = list(network)
    module = children if isinstance(model, Pipeline) else children[0]
    for name, step, part in _parts(type(model).__name__, model, module):
        if isinstance(part, nn.Module):
            check_trained(name, part)
        if isinstance(step, OrthogonalSparseCoder | NonNegativeSparseCoder):
            gap = _write_coder(name, step, part, orthonormal)
            if gap > GAP:
                gaps[name] = gap
        elif isinstance(step, ConvSparseCoder):
            _write_conv(name, step, part, orthonormal)
        elif isinstance(step, LINEAR):
            _write_head(step, part)
        elif isinstance(step, PERCEPTRONS):
            _write_perceptron(step, part)
    return model, gaps


def _check_parts(network):
    """Complain of a network that is not made of what it was exported with."""
    wanted = network.exported
    found = parts(network, [path for path in wanted if "." not in path])
    for path in [*wanted, *found]:
        if wanted.get(path) == found.get(path):
            continue
        was, now = (_told(known.get(path)) for known in (wanted, found))
        raise ValueError(
            f"Step {path!r} was {was} when to_torch made the network and is {now} now. "
            "from_torch writes weights into the model that was exported, and takes no "
            "other layers: keep those of your own in a Sequential around the network."
        )


def _told(part):
    """Return a part of a network in words."""
    if part is None:
        return "nothing"
    kind, shapes = part
    weights = " and ".join(f"{name} {shape}" for name, shape in shapes.items())
    return f"{kind} of {weights}" if weights else kind


def _parts(name, step, module):
    """Yield names and fitted steps, down to what has no steps, and their modules."""
    if isinstance(step, Pipeline):
        inner = zip(step.steps, module, strict=False)
    elif isinstance(step, FeatureUnion):
        inner = zip(step.transformer_list, module.values(), strict=True)
    elif isinstance(step, LAYERS):
        module = module.layer if isinstance(module, Images) else module
        if not isinstance(step, SparseCodingNetwork):
            yield name, step, module
            return
        children = module.values() if isinstance(module, Branches) else module
        inner = zip(step.layers_, children, strict=True)
    else:
        yield name, step, module
        return
    for (own, part), child in inner:
        yield from _parts(own, part, child)


def _write_coder(name, coder, module, orthonormal):
    """Write atoms and priors of rows; return how far atoms are from orthonormal."""
    components = _atoms(module.project, coder.components_)
    if orthonormal and _gap(components) >= ROUNDING:
        components = polar_factor(components).astype(components.dtype)
    belief = coder._estimate.parameters
    alpha, parameters = coder.alpha_, belief.prior_parameters
    prior = coder._prior_object
    if isinstance(module.code, SpikeSlabMean):
        known = read_coder(coder).code.log_odds
        odds = _array(module.code.bias, known)
        if odds is not known:
            slab = parameters[1]
            odds = odds + np.log1p(slab / belief.noise_variance) / 2
            parameters = np.array([expit(odds), slab])
            alpha, coder._shrinkage = prior.map_rule(parameters, belief.noise_variance)
            alpha = alpha.astype(coder.alpha_.dtype)
    else:
        alpha = _array(-module.prior_bias, alpha)
        if prior.determined_by_threshold:
            rate = alpha.astype(np.float64) / belief.noise_variance
            parameters = np.maximum(rate, np.min(parameters) * 1e-3)[None]
    _check_priors(name, alpha, signed=not prior.one_sided)
    gap = _gap(components)
    if components is coder.components_ and alpha is coder.alpha_:
        return gap
    if gap < ROUNDING:  # of the network's dtype, which may be a shorter one
        components = polar_factor(components.astype(np.float64)).astype(
            components.dtype
        )
    coder.components_, coder.alpha_ = components, alpha
    coder._estimate = ModelParameters(parameters, belief.noise_variance)
    _restart(coder, components)
    return gap


def _write_conv(name, layer, module, orthonormal):
    """Write what a convolution learned."""
    alpha = _array(-module.code.bias, layer.alpha_)
    _check_priors(name, alpha, signed=False)
    if isinstance(module.project, WhitenedProducts):
        former = np.array([coder.components_ for _, coder in layer._groups])
        atoms = _atoms(module.project.atoms, former)
        if atoms is not former or alpha is not layer.alpha_:
            _write_atoms(layer, None if atoms is former else atoms, alpha)
    else:
        _write_filters(layer, module.project, alpha, orthonormal)


def _write_perceptron(perceptron, module):
    """Write the weights of all layers."""
    linears = [part for part in module if isinstance(part, nn.Linear)]
    perceptron.coefs_, perceptron.intercepts_ = (
        [
            _array(weight, former)
            for weight, former in zip(weights, formers, strict=True)
        ]
        for weights, formers in (
            ([linear.weight.T for linear in linears], perceptron.coefs_),
            ([linear.bias for linear in linears], perceptron.intercepts_),
        )
    )


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
        polar_factor(group @ whitening.backward.T)
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
    components = polar_factor(components.astype(np.float64))
    coder.components_ = components.astype(coder.components_.dtype)
    _restart(coder, components)
    return coder


def _restart(coder, components):
    """Let `partial_fit` begin a new stream, from the nearest orthonormal atoms."""
    components = polar_factor(components.astype(np.float64))
    coder._online_state = replace(
        coder._online_state, components=components, estimate=None
    )
    coder._row_buffer = None


def _check_priors(name, alpha, *, signed):
    if signed and (alpha < 0).any():
        raise ValueError(
            f"Step {name!r} has the prior λ = {alpha.min():.3g}, and signed codes have "
            "no threshold below zero. Call clamp_priors_() of the network after every "
            "step of the optimiser."
        )


def _gap(components):
    """Return how far atoms are from orthonormal."""
    return np.abs(components @ components.T - np.eye(len(components))).max()


def _atoms(module, former):
    """Return the atoms of a module; the former ones themselves where nothing changed.

    Of atoms that torch keeps orthonormal it gives others from the start, by rounding.
    """
    exported = getattr(module, "exported", None)
    if exported is not None and np.array_equal(_array(module.weight), exported):
        return former
    return _array(module.weight, former)


def _array(tensor, former=None):
    """Return a tensor as an array; the former one itself where nothing changed."""
    array = tensor.detach().cpu().numpy()
    if former is None:
        return array.copy()
    if np.array_equal(array, former.astype(array.dtype)):
        return former
    return array.astype(former.dtype)
