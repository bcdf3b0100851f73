"""ObjectiveDisplay plots the objectives of estimators."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from skscn import (
    ConvSparseCoder,
    ObjectiveDisplay,
    OrthogonalSparseCoder,
    SparseCodingNetwork,
    SpatialPool,
)

X = load_digits().data[:200]


def test_objectives_are_plotted_above_the_minimum_of_all():
    coders = {
        init: OrthogonalSparseCoder(
            8, alpha=2.0, init=init, max_iter=5, tol=1, random_state=0
        ).fit(X)
        for init in ("pca", "random")
    }
    display = ObjectiveDisplay.from_estimator(coders)
    minimum = min(coder.objective_path_[-1] for coder in coders.values())
    for line, (name, coder) in zip(display.lines_, coders.items(), strict=True):
        assert line.get_label() == name
        drawn = np.nan_to_num(line.get_ydata())
        np.testing.assert_array_equal(drawn, np.array(coder.objective_path_) - minimum)
    assert display.ax_.get_yscale() == "log"


def test_objectives_are_plotted_on_given_axes():
    coder = OrthogonalSparseCoder(8, alpha=2.0, max_iter=5, tol=1).fit(X)
    _, ax = plt.subplots()
    display = ObjectiveDisplay.from_estimator(coder, relative=False, ax=ax, color="r")
    assert display.ax_ is ax
    (line,) = display.lines_
    np.testing.assert_array_equal(line.get_ydata(), coder.objective_path_)
    assert line.get_color() == "r"


def test_a_network_has_a_curve_for_each_layer_that_learns():
    layers = [
        ("conv", ConvSparseCoder(4, kernel_size=3, random_state=0)),
        ("pool", SpatialPool("average", window=2)),
    ]
    network = SparseCodingNetwork(layers, image_shape=(8, 8)).fit(X)
    display = ObjectiveDisplay.from_estimator(network)
    assert list(display.paths) == ["conv"]


@pytest.mark.parametrize(
    "estimators",
    [
        {a: OrthogonalSparseCoder(8, alpha=a, max_iter=5, tol=1) for a in (1.0, 4.0)},
        SparseCodingNetwork(
            [(name, ConvSparseCoder(4, kernel_size=3)) for name in ("first", "second")],
            image_shape=(8, 8),
        ),
    ],
    ids=["coders", "layers"],
)
def test_different_objectives_are_plotted_above_their_own_minimum(estimators):
    several = estimators if isinstance(estimators, dict) else {"": estimators}
    for estimator in several.values():
        estimator.fit(X)
    display = ObjectiveDisplay.from_estimator(estimators)
    assert len(display.lines_) == 2
    for line, path in zip(display.lines_, display.paths.values(), strict=True):
        drawn = np.nan_to_num(line.get_ydata())
        np.testing.assert_array_equal(drawn, np.array(path) - np.min(path))
    assert display.ax_.get_ylabel() == "objective above its minimum"


def test_short_curves_have_markers():
    display = ObjectiveDisplay({"short": [2.0, 1.0], "long": np.arange(50.0)}).plot()
    assert [line.get_marker() for line in display.lines_] == [".", ""]


def test_errors_name_the_remedy():
    with pytest.raises(TypeError, match="PCA has no objective_path_"):
        ObjectiveDisplay.from_estimator(PCA(2).fit(X))
    with pytest.raises(TypeError, match=r"model\[0\]"):
        ObjectiveDisplay.from_estimator(make_pipeline(PCA(2)).fit(X))
    with pytest.raises(ValueError, match="relative='each'"):
        ObjectiveDisplay({"one": [2, 1]}).plot(relative="each")
    with pytest.raises(NotFittedError):
        ObjectiveDisplay.from_estimator(OrthogonalSparseCoder())
