"""Linear models as torch modules, and trained modules as linear models."""

from collections import OrderedDict
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from skscn._export.fitted_parameters import linear_parameters
from skscn._export.torch.weights import linear_module, trained_array
from skscn._images.classification import StreamingRidgeClassifier


def output_activation(classifier):
    """Return the function that maps scores to probabilities, or None without one.

    Returns
    -------
    activation : {"softmax", "sigmoid", "one_vs_rest"} or None
    """
    if not hasattr(classifier, "predict_proba"):
        return None
    if len(classifier.classes_) == 2:
        return "sigmoid"
    # scikit-learn before 1.8 has this parameter for more than two classes.
    ovr = getattr(classifier, "multi_class", "") == "ovr"
    return "one_vs_rest" if ovr or classifier.solver == "liblinear" else "softmax"


class Probabilities(nn.Module):
    """The map from scores to the probabilities of all classes.

    Parameters
    ----------
    activation : {"softmax", "sigmoid", "one_vs_rest"}
    """

    def __init__(self, activation):
        super().__init__()
        self.activation = activation

    def forward(self, scores):
        """Return what `predict_proba` of the classifier returns."""
        if self.activation == "softmax":
            return torch.softmax(scores, dim=1)
        if self.activation == "sigmoid":
            return torch.sigmoid(torch.stack([-scores, scores], dim=1))
        probabilities = torch.sigmoid(scores)
        return probabilities / probabilities.sum(dim=1, keepdim=True)

    def extra_repr(self):
        """Return the name of the function."""
        return self.activation


def scores_module(name, model, options):
    """Return the linear module of a classifier or regressor.

    A single output is flattened to shape (n_samples,), as scikit-learn returns it.
    """
    coef, intercept = linear_parameters(model)
    linear = linear_module(options.tensor(coef), options.tensor(intercept))
    if len(coef) > 1:
        return linear
    return nn.Sequential(OrderedDict(linear=linear, flatten=nn.Flatten(0)))


def restore_linear(name, model, module, orthonormal):
    """Write trained weights into a linear classifier or regressor."""
    linear = module if isinstance(module, nn.Linear) else module.linear
    former_coef, former_intercept = linear_parameters(model)
    coef = trained_array(linear.weight, former_coef)
    intercept = trained_array(linear.bias, former_intercept)
    if coef is former_coef and intercept is former_intercept:
        return
    if isinstance(model, StreamingRidgeClassifier):  # its coef_ is computed from sums
        statistics = model._statistics
        trained = replace(statistics.solution, coef=coef, intercept=intercept)
        model._statistics = replace(statistics, given_solution=trained)
        return
    model.coef_ = np.array(coef).reshape(np.shape(model.coef_))
    if np.size(model.intercept_) == intercept.size:
        intercept = np.array(intercept).reshape(np.shape(model.intercept_))
    model.intercept_ = intercept[()]
