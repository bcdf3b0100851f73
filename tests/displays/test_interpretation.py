"""InterpretationDisplay plots the priors and atoms of a report."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from skscn import InterpretationDisplay, interpret_network


@pytest.fixture
def report():
    rng = np.random.default_rng(0)
    layers = [(rng.normal(size=(7, 12)), rng.normal(size=7)), (np.eye(7), np.zeros(7))]
    return interpret_network(layers, rng.normal(size=(50, 12)))


def bars(ax):
    return [bar for container in ax.containers for bar in container]


def n_plotted_units(ax):
    return sum(bar.get_height() for bar in bars(ax))


def test_priors_cosines_and_atoms_are_plotted(report):
    display = InterpretationDisplay.from_report(report, image_shape=(3, 4))
    assert isinstance(display, InterpretationDisplay)
    assert display.figure_ is display.axes_[0].figure
    assert n_plotted_units(display.axes_[0]) == 2 * 7  # two histograms of seven units
    gram = display.axes_[1].images[0].get_array()
    np.testing.assert_array_equal(gram, report.layers[0].gram)
    image = display.axes_[2].images[0].get_array()
    assert image.shape == (3 * 4 - 1, 3 * 5 - 1)
    atom = report.layers[0].atoms[1].reshape(3, 4)
    np.testing.assert_allclose(image[:3, 5:9], atom / np.abs(atom).max())


def test_atoms_without_a_shape_are_not_plotted(report):
    assert len(InterpretationDisplay.from_report(report).axes_) == 2
    _, axes = plt.subplots(1, 2)
    assert InterpretationDisplay.from_report(report, axes=axes).axes_[0] is axes[0]


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_atoms_have_any_number_of_channels(report, channels):
    image_shape = (12 // channels, 1, channels)
    display = InterpretationDisplay.from_report(report, image_shape=image_shape)
    image = display.axes_[2].images[0].get_array()
    assert image.ndim == (3 if channels == 3 else 2)


def test_equal_priors_are_plotted():
    layers = [(np.eye(3), np.zeros(3)), (np.eye(3), np.zeros(3))]
    display = InterpretationDisplay.from_report(interpret_network(layers))
    assert n_plotted_units(display.axes_[0]) == 3


def test_wrong_shapes_are_refused(report):
    with pytest.raises(ValueError, match=r"16 entries, but the atoms of .* have 12"):
        InterpretationDisplay.from_report(report, image_shape=(4, 4))
    _, axes = plt.subplots(1, 4)
    with pytest.raises(ValueError, match="4 axes"):
        InterpretationDisplay.from_report(report, axes=axes)
    with pytest.raises(ValueError, match=r"on 2\. Give an image_shape to plot"):
        InterpretationDisplay.from_report(report, axes=axes[:3])
    for image_shape in (12, (12,), (3, 4.0), "3x4"):
        with pytest.raises(ValueError, match="must be \\(height, width\\)"):
            InterpretationDisplay.from_report(report, image_shape=image_shape)
    with pytest.raises(ValueError, match="layer=5 does not exist"):
        InterpretationDisplay.from_report(report, layer=5)


@pytest.mark.parametrize("first", [0.0, 1e-17, 3.0, -3.0])
def test_nearly_equal_priors_are_plotted(first):
    display = InterpretationDisplay(
        np.array([first]), np.eye(1), centered_priors=np.array([first + 1e-15])
    ).plot()
    assert n_plotted_units(display.axes_[0]) == 2


@pytest.mark.parametrize("seed", range(5))
def test_no_bar_has_priors_of_both_signs(seed):
    rng = np.random.default_rng(seed)
    priors = rng.normal(loc=rng.normal(), size=200)
    priors[0], priors[1] = -0.01, [0.0, 300.0, -300.0][seed % 3]
    ax = InterpretationDisplay(priors, np.eye(2)).plot().axes_[0]
    right = [bar.get_height() for bar in bars(ax) if bar.get_x() > -1e-9]
    assert sum(right) == np.sum(priors >= 0)
    # One outlier on the other side stays there.
    ax = InterpretationDisplay(np.append(np.full(200, 5.0), -1.0), np.eye(2)).plot()
    left = [bar.get_height() for bar in bars(ax.axes_[0]) if bar.get_x() < -1e-9]
    assert sum(left) == 1


def test_the_number_of_plotted_atoms_is_in_the_title(report):
    display = InterpretationDisplay.from_report(report, image_shape=(3, 4))
    assert display.axes_[2].get_title() == "atoms"
    assert display.plot(n_atoms=4).axes_[2].get_title() == "4 of 7 atoms"


def test_the_legend_is_above_the_bars():
    priors = np.random.default_rng(0).normal(size=300)
    display = InterpretationDisplay(priors, np.eye(2), centered_priors=priors).plot()
    ax = display.axes_[0]
    display.figure_.canvas.draw()
    box = ax.get_legend().get_window_extent().transformed(ax.transData.inverted())
    assert max(bar.get_height() for bar in bars(ax)) <= box.y0
