"""Pooling in torch returns equal maps."""

from copy import deepcopy

import numpy as np
import pytest
from export_helpers import relative_error
from torch_helpers import POOLS, evaluate, images

from skscn import to_torch

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
