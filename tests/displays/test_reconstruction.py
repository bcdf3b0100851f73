"""ReconstructionDisplay plots reconstructions of the estimator."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import load_digits

from skscn import (
    ConvSparseCoder,
    OrthogonalSparseCoder,
    ReconstructionDisplay,
    SparseCodingDetector,
)

X = load_digits().data[:200]


def test_reconstructions_of_a_coder_are_images_or_lines():
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
    with pytest.raises(ValueError, match="has 56 entries, but samples have 64"):
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


class StoredArray:
    """An array in a file that is read by one index at a time, and records them."""

    def __init__(self, values):
        self.values, self.shape, self.read_indices = values, values.shape, []

    def __getitem__(self, i):
        self.read_indices.append(i)
        return self.values[i]

    def __array__(self, *args, **kwargs):
        raise AssertionError("the whole array is read")


def test_only_plotted_samples_are_read_from_any_container():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=[f"pixel {i}" for i in range(64)])
    coder = OrthogonalSparseCoder(6, alpha=2.0, max_iter=0, center=False)
    stored = StoredArray(X)
    for given in (X, X.tolist(), csr_array(X), frame, stored):
        coder.fit(frame if given is frame else X)
        display = ReconstructionDisplay.from_estimator(coder, given, samples=[3, -1])
        np.testing.assert_array_equal(display.samples, X[[3, -1]])
        expected = coder.inverse_transform(
            coder.transform(frame.iloc[[3, -1]] if given is frame else X[[3, -1]])
        )
        np.testing.assert_allclose(display.reconstructions, expected)
    assert stored.read_indices == [3, len(X) - 1]


@pytest.mark.parametrize("shape", [(64,), (8, 8), (8, 8, 3)])
def test_samples_with_missing_values_are_plotted(shape, rng):
    samples = rng.random((2, *shape))
    reconstructions = samples + 0.1
    samples[:, 1] = np.nan
    display = ReconstructionDisplay(samples, reconstructions).plot()
    display.figure_.canvas.draw()
    top = display.axes_[0, 0]
    if len(shape) == 1:
        assert np.isfinite(top.get_ylim()).all()
    elif len(shape) == 2:
        low, high = top.images[0].get_clim()
        assert (low, high) == (np.nanmin(samples), np.nanmax(samples))


def test_the_difference_keeps_its_colors(rng):
    samples = rng.random((2, 8, 8))
    display = ReconstructionDisplay(samples, samples + 0.1).plot(
        cmap="magma", vmin=-3, interpolation="nearest"
    )
    images = [ax.images[0] for ax in display.axes_[:, 0]]
    assert [image.get_cmap().name for image in images] == ["magma", "magma", "RdBu_r"]
    assert [image.norm.vmin for image in images[:2]] == [-3, -3]
    np.testing.assert_allclose(images[2].get_clim(), (-0.1, 0.1))
    assert {image.get_interpolation() for image in images} == {"nearest"}


def test_estimators_that_do_not_reconstruct_are_refused():
    detector = SparseCodingDetector().fit(X)
    with pytest.raises(TypeError, match="inverse_transform, but got SparseCodingDet"):
        ReconstructionDisplay.from_estimator(detector, X)
