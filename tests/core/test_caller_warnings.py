"""Warnings point at the user's line, however deep the code that warns is."""

import inspect
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skscn
from skscn import (
    ConvSparseCoder,
    OrthogonalSparseCoder,
    SparseCodingDetector,
    SparseCodingImputer,
    SparseCodingNetwork,
    denoise_image,
)

X = np.random.default_rng(0).laplace(size=(60, 6))
images = np.random.default_rng(0).normal(size=(3, 9, 9))
silent = OrthogonalSparseCoder(3, alpha=100.0)
unfinished = OrthogonalSparseCoder(3, max_iter=1, tol=0)
layer = ConvSparseCoder(3, kernel_size=3, alpha=1e3)


@pytest.mark.parametrize(
    "call",
    [
        lambda: silent.fit(X),
        lambda: unfinished.fit_transform(X),
        lambda: make_pipeline(StandardScaler(), silent).fit_transform(X),
        lambda: cross_val_score(silent, X, cv=2),
        lambda: SparseCodingDetector(unfinished).fit(X),
        lambda: SparseCodingImputer(unfinished).fit_transform(X),
        lambda: SparseCodingNetwork([("layer", layer)]).fit(images),
        lambda: denoise_image(np.kron(np.eye(8), np.ones((8, 8)))),
    ],
)
def test_warnings_point_at_the_line_of_the_caller(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    assert caught
    lines = {(warning.filename, warning.lineno) for warning in caught}
    assert lines == {(__file__, inspect.getsourcelines(call)[1])}


def test_the_package_warns_in_one_place():
    root = Path(skscn.__file__).parent
    found = [
        path for path in root.rglob("*.py") if "warnings.warn(" in path.read_text()
    ]
    assert [path.name for path in found] == ["caller_warnings.py"]
