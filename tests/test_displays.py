"""Pictures show what estimators say."""

import matplotlib as mpl
import numpy as np
import pytest
from scipy.integrate import trapezoid
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError

from skscn import (
    ConvSparseCoder,
    NonNegativeSparseCoder,
    ObjectiveDisplay,
    OrthogonalSparseCoder,
    PriorDisplay,
    ReconstructionDisplay,
    SparseCodingNetwork,
    SpatialPool,
)

mpl.use("agg")
import matplotlib.pyplot as plt

X = load_digits().data[:200]


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def test_the_objective_is_drawn_above_the_least_of_all():
    coders = {
        init: OrthogonalSparseCoder(
            8, alpha=2.0, init=init, max_iter=5, tol=1, random_state=0
        ).fit(X)
        for init in ("pca", "random")
    }
    display = ObjectiveDisplay.from_estimator(coders)
    least = min(coder.objective_path_[-1] for coder in coders.values())
    for line, (name, coder) in zip(display.lines_, coders.items(), strict=True):
        assert line.get_label() == name
        drawn = np.nan_to_num(line.get_ydata())
        np.testing.assert_array_equal(drawn, np.array(coder.objective_path_) - least)
    assert display.ax_.get_yscale() == "log"


def test_the_objective_itself_is_drawn_on_given_axes():
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


def test_what_has_no_objective_is_told():
    with pytest.raises(TypeError, match="PCA has no objective_path_"):
        ObjectiveDisplay.from_estimator(PCA(2).fit(X))
    with pytest.raises(NotFittedError):
        ObjectiveDisplay.from_estimator(OrthogonalSparseCoder())


@pytest.mark.parametrize("prior", ["laplace", "spike_slab"])
@pytest.mark.parametrize("alpha", [2.0, "auto"])
def test_curves_of_a_signed_coefficient_are_those_of_its_coder(prior, alpha):
    coder = OrthogonalSparseCoder(
        6, prior=prior, alpha=alpha, max_iter=30, tol=1e-2
    ).fit(X)
    check_curves(coder)


@pytest.mark.parametrize("prior", ["exponential", "spike_slab"])
def test_curves_of_a_non_negative_coefficient_are_those_of_its_coder(prior):
    coder = NonNegativeSparseCoder(
        6, prior=prior, alpha="auto", max_iter=30, tol=1e-2
    ).fit(X)
    check_curves(coder)


def check_curves(coder):
    """Rows along an atom have the grid for projections."""
    display = PriorDisplay.from_estimator(coder, X, component=2)
    rows = coder.mean_ + display.grid[:, None] * coder.components_[2]
    np.testing.assert_allclose(coder.transform(rows)[:, 2], display.code, atol=1e-9)
    coder.set_params(inference="mean")
    np.testing.assert_allclose(
        coder.transform(rows)[:, 2], display.mean_code, atol=1e-9
    )
    expected = (X - coder.mean_) @ coder.components_[2]
    np.testing.assert_allclose(display.projections, expected, atol=1e-9)
    # All but the tails beyond the data lies under the density.
    assert 0.8 < trapezoid(display.density, display.grid) < 1 + 1e-6
    assert display.ax_.get_xlabel() == "projection on atom 2"


def test_a_component_that_is_not_there_is_told():
    coder = OrthogonalSparseCoder(6, alpha=2.0, max_iter=0).fit(X)
    with pytest.raises(ValueError, match="component=6 must be from 0 to 5"):
        PriorDisplay.from_estimator(coder, X, component=6)


def test_reconstructions_of_a_coder_as_images_and_as_lines():
    coder = OrthogonalSparseCoder(6, alpha=2.0, max_iter=0).fit(X)
    display = ReconstructionDisplay.from_estimator(
        coder, X, samples=[3, 5], image_shape=(8, 8)
    )
    expected = coder.inverse_transform(coder.transform(X[[3, 5]]))
    np.testing.assert_array_equal(display.reconstructions.reshape(2, 64), expected)
    drawn = display.axes_[2, 1].images[0].get_array()
    np.testing.assert_allclose(drawn.ravel(), X[5] - expected[1])
    display = ReconstructionDisplay.from_estimator(coder, X)
    assert display.axes_.shape == (3, 6)
    np.testing.assert_array_equal(display.axes_[0, 4].lines[0].get_ydata(), X[4])
    with pytest.raises(ValueError, match="has 56 entries, but a sample has 64"):
        ReconstructionDisplay.from_estimator(coder, X, image_shape=(7, 8))


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_reconstructions_of_a_layer_have_the_shape_of_its_images(channels, rng):
    images = rng.random((7, 8, 8, *channels))
    conv = ConvSparseCoder(4, kernel_size=3, random_state=0).fit(images)
    display = ReconstructionDisplay.from_estimator(conv, images)
    assert display.reconstructions.shape == (6, 8, 8, *channels)
    expected = conv.reconstruct(images[:6])
    np.testing.assert_array_equal(
        display.reconstructions, expected.reshape(6, 8, 8, *channels)
    )
