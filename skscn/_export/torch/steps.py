"""The table of the steps that have torch modules, and combinations of steps."""

from collections import OrderedDict

from sklearn import linear_model, preprocessing, svm
from sklearn.decomposition import PCA
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils.validation import check_is_fitted
from torch import nn

from skscn._coders.non_negative import NonNegativeSparseCoder
from skscn._coders.orthogonal import OrthogonalSparseCoder
from skscn._export.torch.coders import coder_module, restore_coder
from skscn._export.torch.convolution import convolution_module, restore_convolution
from skscn._export.torch.image_layers import (
    ChannelsLast,
    MultiOutputSequential,
    Parallel,
)
from skscn._export.torch.linear import restore_linear, scores_module
from skscn._export.torch.perceptron import perceptron_module, restore_perceptron
from skscn._export.torch.pooling import pooling_module
from skscn._export.torch.preprocessing import (
    function_module,
    normalizer_module,
    pca_module,
    scaler_module,
)
from skscn._export.torch.weights import check_weights
from skscn._images.classification import StreamingRidgeClassifier
from skscn._images.convolution import ConvSparseCoder
from skscn._images.network import SparseCodingNetwork
from skscn._images.pooling import SpatialPool
from skscn._images.scaler import FlooredScaler

LINEAR_MODELS = (
    linear_model.LogisticRegression,
    linear_model.LogisticRegressionCV,
    linear_model.RidgeClassifier,
    linear_model.RidgeClassifierCV,
    linear_model.LinearRegression,
    linear_model.Ridge,
    linear_model.RidgeCV,
    svm.LinearSVC,
    svm.LinearSVR,
    StreamingRidgeClassifier,
)
PERCEPTRONS = (MLPClassifier, MLPRegressor)
PREDICTORS = (*LINEAR_MODELS, *PERCEPTRONS)


def step_module(name, step, options):
    """Return the torch module of a fitted step.

    Parameters
    ----------
    name : str
        The name of the step, for error messages.
    step : estimator
    options : ExportOptions
    """
    if step is None or step in ("passthrough", "drop"):
        return nn.Identity()
    make_module = MODULE_FUNCTIONS.get(type(step))
    if make_module is None:
        kinds = sorted(kind.__name__ for kind in MODULE_FUNCTIONS)
        raise TypeError(
            f"Step {name!r} is {step!r}, which has no torch module. There are modules "
            f"for {', '.join(kinds)}."
        )
    check_is_fitted(step)
    return make_module(name, step, options)


def step_modules(steps, options, make_module=step_module):
    """Return the modules of named steps, under names that torch allows."""
    modules = OrderedDict()
    for name, step in steps:
        key = name.replace(".", "_")
        while hasattr(nn.ModuleDict, key) or hasattr(nn.Sequential, key):
            key += "_"
        modules[key] = make_module(name, step, options)
    return modules


def restore_steps(name, step, module, orthonormal):
    """Write the weights of a trained module into a step and all steps inside of it.

    Parameters
    ----------
    name : str
    step : estimator
        It is changed.
    module : Module
    orthonormal : bool
        Whether to take the nearest orthonormal atoms.

    Yields
    ------
    name : str
        The name of a coder of rows.
    error : float
        How far its trained atoms are from orthonormal.
    """
    if isinstance(module, ChannelsLast):
        module = module.layer
    if isinstance(step, Pipeline):
        inner = zip(step.steps, module, strict=False)
    elif isinstance(step, FeatureUnion):
        inner = zip(step.transformer_list, module.values(), strict=True)
    elif isinstance(step, SparseCodingNetwork):
        layers = module.values() if isinstance(module, Parallel) else module
        inner = zip(step.layers_, layers, strict=True)
    else:
        check_weights(name, module)
        restore = RESTORE_FUNCTIONS.get(type(step))
        error = restore and restore(name, step, module, orthonormal)
        if error is not None:
            yield name, error
        return
    for (inner_name, inner_step), inner_module in inner:
        yield from restore_steps(inner_name, inner_step, inner_module, orthonormal)


def _pipeline_module(name, pipeline, options):
    """Return the steps of a Pipeline one after another."""
    return nn.Sequential(step_modules(pipeline.steps, options))


def _union_module(name, union, options):
    """Return the transformers of a FeatureUnion in parallel."""
    for inner, step in union.transformer_list:
        if step == "drop" or (union.transformer_weights or {}).get(inner, 1) != 1:
            raise TypeError(
                f"Step {name!r} drops or weighs {inner!r}: torch modules exist for "
                "unions that do neither."
            )
    return Parallel(step_modules(union.transformer_list, options))


def _image_module(name, layer, options):
    """Return a layer of images, or a network, with the channels of images last."""
    module = _map_module(name, layer, options)
    return ChannelsLast(module, layer.image_shape_, layer._returns_rows)


def _map_module(name, layer, options):
    """Return a layer whose input is maps with the channels first."""
    if isinstance(layer, ConvSparseCoder):
        return convolution_module(name, layer, options)
    if isinstance(layer, SpatialPool):
        return pooling_module(name, layer, options)
    layers = step_modules(layer.layers_, options, _map_module)
    if layer._is_parallel:
        return Parallel(layers)
    if layer._output_indices:
        return MultiOutputSequential(layers, layer._output_indices)
    return nn.Sequential(layers)


# For every type of step, the function that returns its module.
MODULE_FUNCTIONS = {
    Pipeline: _pipeline_module,
    FeatureUnion: _union_module,
    OrthogonalSparseCoder: coder_module,
    NonNegativeSparseCoder: coder_module,
    ConvSparseCoder: _image_module,
    SpatialPool: _image_module,
    SparseCodingNetwork: _image_module,
    FlooredScaler: scaler_module,
    preprocessing.StandardScaler: scaler_module,
    preprocessing.MinMaxScaler: scaler_module,
    preprocessing.MaxAbsScaler: scaler_module,
    preprocessing.Normalizer: normalizer_module,
    preprocessing.FunctionTransformer: function_module,
    PCA: pca_module,
    **dict.fromkeys(LINEAR_MODELS, scores_module),
    **dict.fromkeys(PERCEPTRONS, perceptron_module),
}
# The function that writes trained weights into a step, if anything in it is trained.
RESTORE_FUNCTIONS = {
    OrthogonalSparseCoder: restore_coder,
    NonNegativeSparseCoder: restore_coder,
    ConvSparseCoder: restore_convolution,
    **dict.fromkeys(LINEAR_MODELS, restore_linear),
    **dict.fromkeys(PERCEPTRONS, restore_perceptron),
}
