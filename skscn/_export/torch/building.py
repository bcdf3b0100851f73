"""From fitted estimators to torch modules, step by step."""

from collections import OrderedDict

import numpy as np
import torch
from sklearn import linear_model, preprocessing, svm
from sklearn.decomposition import PCA
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils.validation import check_is_fitted
from torch import nn

from skscn._coders.non_negative import NonNegativeSparseCoder
from skscn._coders.orthogonal import OrthogonalSparseCoder
from skscn._export.fitted_layers import read_coder, read_conv, read_linear, read_pool
from skscn._export.torch import codes as torch_codes
from skscn._export.torch import layers as torch_layers
from skscn._images.classification import FlooredScaler, StreamingRidgeClassifier
from skscn._images.convolution import ConvSparseCoder
from skscn._images.network import SparseCodingNetwork
from skscn._images.pooling import SpatialPool

LAYERS = (ConvSparseCoder, SpatialPool, SparseCodingNetwork)
NORMS = {"l1": 1, "l2": 2, "max": np.inf}
LINEAR = (
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
HEADS = (*LINEAR, *PERCEPTRONS)
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "logistic": nn.Sigmoid}


class Builder:
    """Makes modules of steps, in one dtype.

    Parameters
    ----------
    dtype : torch dtype
    orthonormal : bool
        Whether torch keeps atoms orthonormal.
    """

    def __init__(self, dtype, orthonormal):
        self.dtype, self.orthonormal = dtype, orthonormal
        self.makers = {
            Pipeline: self.pipeline,
            FeatureUnion: self.union,
            OrthogonalSparseCoder: self.coder,
            NonNegativeSparseCoder: self.coder,
            **dict.fromkeys(LAYERS, self.images),
            **dict.fromkeys(LINEAR, self.head),
            **dict.fromkeys(PERCEPTRONS, self.perceptron),
            FlooredScaler: self.standardize,
            preprocessing.StandardScaler: self.standardize,
            preprocessing.MinMaxScaler: self.min_max,
            preprocessing.MaxAbsScaler: self.max_abs,
            preprocessing.Normalizer: self.normalize,
            preprocessing.FunctionTransformer: self.function,
            PCA: self.pca,
        }

    def __call__(self, name, step):
        """Return the module of a fitted step."""
        if step is None or step in ("passthrough", "drop"):
            return nn.Identity()
        maker = self.makers.get(type(step))
        if maker is None:
            names = sorted(kind.__name__ for kind in self.makers)
            raise TypeError(
                f"Step {name!r} is {step!r}, which has no torch module here. There are "
                f"modules of {', '.join(names)}."
            )
        check_is_fitted(step)
        return maker(name, step)

    def tensor(self, array):
        """Return an array as a tensor of its own."""
        return torch.tensor(np.asarray(array), dtype=self.dtype)

    def pipeline(self, name, pipeline):
        """Return the steps of a pipeline, one after another."""
        return nn.Sequential(self.named(pipeline.steps))

    def union(self, name, union):
        """Return the transformers of a union, side by side."""
        for inner, step in union.transformer_list:
            if step == "drop" or (union.transformer_weights or {}).get(inner, 1) != 1:
                raise TypeError(
                    f"Step {name!r} drops or weighs {inner!r}: torch modules are made "
                    "of unions that do neither."
                )
        return torch_layers.Branches(self.named(union.transformer_list))

    def named(self, steps, make=None):
        """Return modules by the names of their steps, as torch allows them."""
        made = OrderedDict()
        for name, step in steps:
            key = name.replace(".", "_")
            while hasattr(nn.ModuleDict, key) or hasattr(nn.Sequential, key):
                key += "_"
            made[key] = (make or self)(name, step)
        return made

    def coder(self, name, coder):
        """Return projections on atoms, and their code."""
        dense = read_coder(coder)
        mean, code = self.tensor(dense.mean), self.code(dense.code)
        rectified = type(code) is torch_codes.Rectifier
        bias = self.tensor(-dense.code.threshold) if rectified else None
        project = self.linear(nn.Linear, dense.components, bias)
        if self.orthonormal:
            gram = dense.components @ dense.components.T
            _check_orthonormal(name, gram, np.eye(len(gram)))
            torch_layers.keep_orthonormal(project)
        parts = {
            "center": torch_layers.Center(mean) if dense.mean.any() else nn.Identity(),
            "project": project,
            "code": nn.ReLU() if rectified else code,
        }
        return torch_layers.Coder(OrderedDict(parts))

    def code(self, code):
        """Return the map from projections to codes."""
        bias, split = self.tensor(-code.threshold), code.split
        if code.is_mean:
            sigma = float(np.sqrt(code.noise))
            if code.prior == "spike_slab":
                return torch_codes.SpikeSlabMean(
                    self.tensor(code.log_odds),
                    self.tensor(code.kept),
                    sigma,
                    code.one_sided,
                )
            if code.one_sided:
                return torch_codes.ExponentialMean(bias, sigma)
            return torch_codes.LaplaceMean(bias, sigma)
        if code.prior == "spike_slab":
            shrinkage = code.shrinkage
            if shrinkage is not None:
                shrinkage = self.tensor(shrinkage)
            return torch_codes.HardThreshold(bias, split, code.one_sided, shrinkage)
        if code.one_sided:
            return torch_codes.Rectifier(bias, split)
        return torch_codes.SoftThreshold(bias, split)

    def images(self, name, layer):
        """Return a layer of images or a network, between images as users have them."""
        inner = self.layer(name, layer)
        return torch_layers.Images(inner, layer.image_shape_, layer._flattens)

    def layer(self, name, layer):
        """Return a layer that reads maps."""
        if isinstance(layer, ConvSparseCoder):
            return self.conv(name, layer)
        if isinstance(layer, SpatialPool):
            return self.pool(read_pool(layer))
        layers = self.named(layer.layers_, self.layer)
        if layer.arrangement == "parallel":
            return torch_layers.Branches(layers)
        collected = layer._collected()
        return (
            torch_layers.Collected(layers, collected)
            if collected
            else nn.Sequential(layers)
        )

    def conv(self, name, layer):
        """Return zeros around images, products of patches with filters, and codes."""
        conv = read_conv(layer)
        (above, below), (left, right) = conv.geometry.padding
        padded = any((above, below, left, right))
        geometry = {
            "stride": conv.geometry.stride,
            "n_groups": len(conv.filters),
            "contrast": conv.contrast,
        }
        filters = np.moveaxis(conv.filters, -1, 2)
        filters = self.tensor(filters).flatten(0, 1)
        shift = self.tensor(conv.shift).flatten()
        if self.orthonormal:
            geometry |= self.whitened(layer)
            products = geometry["atoms"] @ geometry["forward"]
            found = filters.flatten(1).numpy()
            _check_orthonormal(name, found, products.flatten(0, 1).numpy())
        Products = (
            torch_layers.WhitenedProducts
            if self.orthonormal
            else torch_layers.PatchProducts
        )
        parts = {
            "pad": nn.ZeroPad2d((left, right, above, below))
            if padded
            else nn.Identity(),
            "project": Products(filters, shift, **geometry),
            "code": self.code(conv.code),
        }
        return torch_layers.Coder(OrderedDict(parts))

    def whitened(self, layer):
        """Return atoms and whitenings, which the filters of a layer are products of."""
        shape = layer.filters_.shape[1:]
        atoms, forward, origin = [], [], []
        for whitening, coder in layer._groups:
            rows = whitening.forward
            origin.append(rows @ whitening.mean)
            if layer.center_patches:
                rows = rows - rows.mean(axis=1, keepdims=True)
            rows = np.moveaxis(rows.reshape(-1, *shape), -1, 1)
            forward.append(rows.reshape(len(rows), -1))
            atoms.append(coder.components_)
        stacked = (self.tensor(np.array(rows)) for rows in (atoms, forward, origin))
        return dict(zip(("atoms", "forward", "origin"), stacked, strict=True))

    def pool(self, pool):
        """Return a pool: torch's own where windows are all alike."""
        averages = not pool.is_max and pool.windows is not None
        if averages:
            scales = {axis.scale for axis in (pool.rows, pool.columns)}
            mean = scales != {1.0} or pool.windows[0] == (1, 1)
        if pool.windows is None:
            axes = pool.rows, pool.columns
            if pool.is_max:
                rows, columns = (torch.tensor(_indices(axis)) for axis in axes)
            else:
                rows, columns = (self.tensor(axis.weights) for axis in axes)
            reduce: nn.Module = torch_layers.AxisPool(rows, columns, pool.is_max)
        elif averages:
            reduce = nn.AvgPool2d(
                pool.windows[0], pool.windows[1], divisor_override=None if mean else 1
            )
        else:
            reduce = nn.MaxPool2d(*pool.windows)
        if pool.power == 1.0:
            return reduce
        power = torch_layers.SignedPower(pool.power)
        return nn.Sequential(OrderedDict(reduce=reduce, power=power))

    def linear(self, Linear, weight, bias):
        """Return a linear layer of given weights; no numbers are drawn for it."""
        n_out, n_in = np.shape(weight)
        linear = Linear(n_in, n_out, bias=bias is not None, device="meta")
        linear.weight = nn.Parameter(self.tensor(weight))
        if bias is not None:
            linear.bias = nn.Parameter(bias)
        return linear

    def head(self, name, head):
        """Return a linear classifier or regressor."""
        linear = read_linear(head)
        return self.linear(
            torch_layers.Head, linear.coef, self.tensor(linear.intercept)
        )

    def perceptron(self, name, perceptron):
        """Return a multi-layer perceptron up to its scores."""
        if perceptron.out_activation_ == "logistic" and perceptron.n_outputs_ > 1:
            raise TypeError(
                f"Step {name!r} gives several labels at once, of which there are no "
                "torch modules here."
            )
        layers = [
            (weight.T, self.tensor(bias))
            for weight, bias in zip(
                perceptron.coefs_, perceptron.intercepts_, strict=True
            )
        ]
        parts = OrderedDict()
        for i, layer in enumerate(layers[:-1]):
            parts[f"layer{i}"] = self.linear(nn.Linear, *layer)
            Activation = ACTIVATIONS.get(perceptron.activation, nn.Identity)
            parts[f"activation{i}"] = Activation()
        parts["scores"] = self.linear(torch_layers.Head, *layers[-1])
        return nn.Sequential(parts)

    def standardize(self, name, scaler):
        """Return a scaler."""
        ones = np.ones(scaler.n_features_in_)
        mean = scaler.mean_ if scaler.with_mean else 0 * ones
        scale = scaler.scale_ if scaler.with_std else ones
        return torch_layers.Standardize(self.tensor(mean), self.tensor(scale))

    def min_max(self, name, scaler):
        """Return a scaler to a range."""
        if scaler.clip:
            raise TypeError(f"Step {name!r} clips: use MinMaxScaler(clip=False).")
        scale = 1.0 / scaler.scale_
        shift = -scaler.min_ * scale
        return torch_layers.Standardize(self.tensor(shift), self.tensor(scale))

    def max_abs(self, name, scaler):
        """Return a scaler by the largest value."""
        if getattr(scaler, "clip", False):
            raise TypeError(f"Step {name!r} clips: use MaxAbsScaler(clip=False).")
        scale = self.tensor(scaler.scale_)
        return torch_layers.Standardize(torch.zeros_like(scale), scale)

    def normalize(self, name, normalizer):
        """Return a division by norms."""
        return torch_layers.Normalize(NORMS[normalizer.norm])

    def function(self, name, transformer):
        """Return nothing but the identity: a function is Python, not torch."""
        if transformer.func is not None:
            raise TypeError(
                f"Step {name!r} calls {transformer.func!r}: of FunctionTransformer "
                "there is a torch module for func=None only."
            )
        return nn.Identity()

    def pca(self, name, pca):
        """Return principal components."""
        weight = pca.components_
        if pca.whiten:
            least = np.finfo(pca.explained_variance_.dtype).eps
            scale = np.maximum(np.sqrt(pca.explained_variance_), least)
            weight = weight / scale[:, None]
        parts = {
            "center": torch_layers.Center(self.tensor(pca.mean_)),
            "project": self.linear(nn.Linear, weight, None),
        }
        return nn.Sequential(OrderedDict(parts))


def _check_orthonormal(name, found, wanted):
    """Complain of atoms that training has turned already."""
    gap = np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1e-30)
    if gap > 1e-3:
        raise ValueError(
            f"The atoms of step {name!r} are not orthonormal (by {gap:.2g}), after "
            "training that did not keep them so. Use orthonormal=False, or first take "
            "the nearest orthonormal ones with from_torch(orthonormal=True)."
        )


def _indices(axis):
    """Return what is in every window, the last again where windows are smaller."""
    size = max(end - start for start, end in axis.windows)
    return np.array(
        [
            np.minimum(np.arange(start, start + size), end - 1)
            for start, end in axis.windows
        ]
    )
