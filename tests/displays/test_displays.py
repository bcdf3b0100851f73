"""Pictures show what estimators say."""

import matplotlib as mpl
import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.sparse import csr_array
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

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
def test_curves_of_different_objectives_are_above_their_own_least(estimators):
    several = estimators if isinstance(estimators, dict) else {"": estimators}
    for estimator in several.values():
        estimator.fit(X)
    display = ObjectiveDisplay.from_estimator(estimators)
    assert len(display.lines_) == 2
    for line, path in zip(display.lines_, display.paths.values(), strict=True):
        drawn = np.nan_to_num(line.get_ydata())
        np.testing.assert_array_equal(drawn, np.array(path) - np.min(path))
    assert display.ax_.get_ylabel() == "objective above its least"


def test_short_curves_are_marked():
    display = ObjectiveDisplay({"short": [2.0, 1.0], "long": np.arange(50.0)}).plot()
    assert [line.get_marker() for line in display.lines_] == [".", ""]


def test_what_has_no_objective_is_told():
    with pytest.raises(TypeError, match="PCA has no objective_path_"):
        ObjectiveDisplay.from_estimator(PCA(2).fit(X))
    with pytest.raises(TypeError, match=r"model\[0\]"):
        ObjectiveDisplay.from_estimator(make_pipeline(PCA(2)).fit(X))
    with pytest.raises(ValueError, match="relative='each'"):
        ObjectiveDisplay({"one": [2, 1]}).plot(relative="each")
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
    with pytest.raises(TypeError, match=r"component=1.5 must be an integer"):
        PriorDisplay.from_estimator(coder, X, component=1.5)
    with pytest.raises(ValueError, match="expecting 64 features"):
        PriorDisplay.from_estimator(coder, X[:, :9])


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


class Stored:
    """An array in a file: it takes places one by one, and tells which were read."""

    def __init__(self, values):
        self.values, self.shape, self.read = values, values.shape, []

    def __getitem__(self, i):
        self.read.append(i)
        return self.values[i]

    def __array__(self, *args, **kwargs):
        raise AssertionError("all of it is read")


def test_only_samples_that_are_drawn_are_read_from_any_container():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=[f"pixel {i}" for i in range(64)])
    coder = OrthogonalSparseCoder(6, alpha=2.0, max_iter=0, center=False)
    stored = Stored(X)
    for given in (X, X.tolist(), csr_array(X), frame, stored):
        coder.fit(frame if given is frame else X)
        display = ReconstructionDisplay.from_estimator(coder, given, samples=[3, -1])
        np.testing.assert_array_equal(display.samples, X[[3, -1]])
        expected = coder.inverse_transform(
            coder.transform(frame.iloc[[3, -1]] if given is frame else X[[3, -1]])
        )
        np.testing.assert_allclose(display.reconstructions, expected)
    assert stored.read == [3, len(X) - 1]


@pytest.mark.parametrize("shape", [(64,), (8, 8), (8, 8, 3)])
def test_samples_with_gaps_are_drawn(shape, rng):
    samples = rng.random((2, *shape))
    rebuilt = samples + 0.1
    samples[:, 1] = np.nan
    display = ReconstructionDisplay(samples, rebuilt).plot()
    display.figure_.canvas.draw()
    top = display.axes_[0, 0]
    if len(shape) == 1:
        assert np.isfinite(top.get_ylim()).all()
    elif len(shape) == 2:
        low, high = top.images[0].get_clim()
        assert (low, high) == (np.nanmin(samples), np.nanmax(samples))


def test_the_difference_keeps_its_colours(rng):
    samples = rng.random((2, 8, 8))
    display = ReconstructionDisplay(samples, samples + 0.1).plot(
        cmap="magma", vmin=-3, interpolation="nearest"
    )
    images = [ax.images[0] for ax in display.axes_[:, 0]]
    assert [image.get_cmap().name for image in images] == ["magma", "magma", "RdBu_r"]
    assert [image.norm.vmin for image in images[:2]] == [-3, -3]
    np.testing.assert_allclose(images[2].get_clim(), (-0.1, 0.1))
    assert {image.get_interpolation() for image in images} == {"nearest"}
