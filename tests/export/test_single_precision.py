"""Exports in single precision have the outputs of the model in double precision.

The samples are numbers of single precision, at levels of up to 1e5 standard deviations
and in units from 1e-12 to 1e12. The tolerance grows with the level as the rounding
errors of single precision do: 6e-8 of the level for every number.
"""

import numpy as np
import pytest
from export_helpers import CODERS
from onnx_helpers import run
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch_helpers import evaluate

from skscn import (
    ConvSparseCoder,
    FlooredScaler,
    SparseCodingNetwork,
    SpatialPool,
    StreamingRidgeClassifier,
    to_onnx,
    to_torch,
)

pytest.importorskip("skl2onnx")
pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

ROWS = [
    *(
        clone(coder).set_params(n_components=5, alpha="auto", n_nonzero_coefs=None)
        for coder in CODERS[::2]
    ),
    StandardScaler(),
    FlooredScaler(),
    PCA(4, whiten=True),
    make_pipeline(FlooredScaler(), StreamingRidgeClassifier()),
]
CONVOLUTION = ConvSparseCoder(
    4, kernel_size=3, padding="valid", max_iter=5, random_state=0
)
IMAGES = [
    CONVOLUTION,
    clone(CONVOLUTION).set_params(center_patches=False),
    make_pipeline(
        SparseCodingNetwork([("conv", CONVOLUTION), ("pool", SpatialPool(grid=2))]),
        FlooredScaler(),
        StreamingRidgeClassifier(),
    ),
]
each_level = pytest.mark.parametrize("level", [0, 1e3, 1e5])
each_unit = pytest.mark.parametrize("unit", [1e-12, 1, 1e12])


def outputs(model, X):
    method = "decision_function" if hasattr(model, "predict") else "transform"
    return getattr(model, method)(X)


def deviation(found, expected):
    """Return the largest difference relative to the range of the expected values."""
    spread = np.abs(expected - expected.mean(axis=0)).max()
    assert spread > 0
    return np.abs(found.astype(np.float64) - expected).max() / spread


def assert_exports_are_accurate(model, X, level, unit, tolerance):
    X = (unit * (X + level)).astype(np.float32)
    exact = X.astype(np.float64)
    model = clone(model).fit(exact, np.arange(len(X)) % 3)
    expected = outputs(model, exact)
    found = evaluate(to_torch(model), X)
    assert found.dtype == np.float32
    assert deviation(found, expected) < tolerance
    found = run(to_onnx(model, X, check=level < 1e5), X)[-1]
    assert found.dtype == np.float32
    assert deviation(found, expected) < tolerance
    found = evaluate(to_torch(model, dtype="float64"), exact)
    assert deviation(found, expected) < 1e-12 + 1e-15 * level


@each_level
@each_unit
@pytest.mark.parametrize("model", ROWS, ids=lambda each: repr(each)[:60])
def test_rows(model, level, unit):
    rng = np.random.default_rng(0)
    X = rng.laplace(size=(300, 12)) @ rng.normal(size=(12, 12))
    X /= X.std(axis=0)
    assert_exports_are_accurate(model, X, level, unit, 3e-6 + 5e-8 * level)


@each_level
@each_unit
@pytest.mark.parametrize("model", IMAGES, ids=lambda each: repr(each)[:60])
def test_images(model, level, unit):
    X = np.random.default_rng(0).normal(size=(60, 8, 8, 2))
    assert_exports_are_accurate(model, X, level, unit, 3e-6 + 3e-7 * level)
