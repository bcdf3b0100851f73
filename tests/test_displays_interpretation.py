"""The picture of a layer that was read as sparse coding."""

import matplotlib as mpl
import numpy as np
import pytest

from skscn import InterpretationDisplay, interpret_network

mpl.use("agg")
import matplotlib.pyplot as plt


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


@pytest.fixture
def report():
    rng = np.random.default_rng(0)
    layers = [(rng.normal(size=(7, 12)), rng.normal(size=7)), (np.eye(7), np.zeros(7))]
    return interpret_network(layers, rng.normal(size=(50, 12)))


def test_priors_angles_and_atoms(report):
    display = report.plot(image_shape=(3, 4))
    assert isinstance(display, InterpretationDisplay)
    assert display.figure_ is display.axes_[0].figure
    heights = [patch.get_height() for patch in display.axes_[0].patches]
    assert sum(heights) == 2 * 7  # two histograms of seven units
    gram = display.axes_[1].images[0].get_array()
    np.testing.assert_array_equal(gram, report.layers[0].gram)
    sheet = display.axes_[2].images[0].get_array()
    assert sheet.shape == (3 * 4 - 1, 3 * 5 - 1)
    atom = report.layers[0].atoms[1].reshape(3, 4)
    np.testing.assert_allclose(sheet[:3, 5:9], atom / np.abs(atom).max())


def test_without_a_shape_atoms_are_not_drawn(report):
    assert len(report.plot().axes_) == 2
    _, axes = plt.subplots(1, 2)
    assert report.plot(axes=axes).axes_[0] is axes[0]


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_atoms_of_any_channels(report, channels):
    image_shape = (12 // channels, 1, channels)
    display = report.plot(image_shape=image_shape)
    sheet = display.axes_[2].images[0].get_array()
    assert sheet.ndim == (3 if channels == 3 else 2)


def test_all_priors_equal():
    layers = [(np.eye(3), np.zeros(3)), (np.eye(3), np.zeros(3))]
    display = interpret_network(layers).plot()
    heights = [patch.get_height() for patch in display.axes_[0].patches]
    assert sum(heights) == 3


def test_wrong_shapes_are_refused(report):
    with pytest.raises(ValueError, match="16 numbers"):
        report.plot(image_shape=(4, 4))
    _, axes = plt.subplots(1, 4)
    with pytest.raises(ValueError, match="4 axes"):
        report.plot(axes=axes)
