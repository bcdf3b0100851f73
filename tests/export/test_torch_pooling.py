"""Pooling in torch returns equal maps."""

from copy import deepcopy

import numpy as np
import pytest
from export_helpers import relative_error
from torch_helpers import POOLS, evaluate, images

from skscn import SpatialPool, to_torch

torch = pytest.importorskip("torch")

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.mark.parametrize("layer", POOLS, ids=repr)
def test_pooled_maps_are_equal(layer):
    X = images()
    layer = deepcopy(layer).fit(X)
    assert relative_error(evaluate(to_torch(layer), X), layer.transform(X)) < 1e-5
    assert evaluate(to_torch(layer), X.astype(int)).dtype == np.float32


def test_parameters_that_are_set_after_fit_change_no_exported_maps():
    X = images()
    layer = SpatialPool("max", window=2, power=0.5).fit(X)
    expected = layer.transform(X)
    layer.set_params(mode="sum", window=3, power=2.0, flatten=True)
    assert relative_error(evaluate(to_torch(layer), X), expected) < 1e-5
