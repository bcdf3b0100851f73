"""DictionaryDisplay plots every atom once."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline

from skscn import (
    ConvSparseCoder,
    DictionaryDisplay,
    OrthogonalSparseCoder,
    SparseCodingMixture,
)


def fitted_coder(n_features):
    return OrthogonalSparseCoder(alpha=0.1, max_iter=0).fit(np.eye(n_features))


@pytest.mark.parametrize(
    ("n_features", "image_shape", "expected"),
    [
        (16, None, (4, 4)),
        (12, None, (2, 2, 3)),
        (12, (3, 4), (3, 4)),
        (12, (3, 4, 1), (3, 4)),
    ],
)
def test_atoms_are_patches(n_features, image_shape, expected):
    coder = fitted_coder(n_features)
    display = DictionaryDisplay.from_estimator(coder, image_shape=image_shape)
    assert display.atoms.shape == (n_features, *expected)
    np.testing.assert_array_equal(
        display.atoms.reshape(n_features, -1), coder.components_
    )
    assert display.image_.get_array().shape[2:] == expected[2:]


def test_every_atom_is_in_the_image_once(rng):
    atoms = rng.normal(size=(7, 3, 4))
    image = DictionaryDisplay(atoms).plot(n_columns=3).image_.get_array()
    assert image.shape == (3 * 4 - 1, 3 * 5 - 1)
    for i, atom in enumerate(atoms):
        top, left = 4 * (i // 3), 5 * (i % 3)
        found = np.asarray(image[top : top + 3, left : left + 4])
        np.testing.assert_allclose((2 * found - 1) * np.abs(atom).max(), atom)
    is_gap = np.ma.getmaskarray(image)
    assert is_gap[3::4].all()
    assert is_gap[:, 4::5].all()
    assert is_gap.sum() == is_gap.size - atoms.size


def test_a_convolution_and_other_estimators_have_atoms(digits):
    conv = ConvSparseCoder(5, kernel_size=3, image_shape=(8, 8), random_state=0)
    display = DictionaryDisplay.from_estimator(conv.fit(digits))
    assert display.atoms.shape == (5, 3, 3)
    pca = PCA(6).fit(digits)
    _, ax = plt.subplots()
    display = DictionaryDisplay.from_estimator(pca, n_atoms=4, ax=ax, cmap="magma")
    assert display.atoms.shape == (4, 8, 8)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert display.image_.get_cmap().name == "magma"


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="not square"):
        DictionaryDisplay.from_estimator(fitted_coder(7))
    with pytest.raises(ValueError, match="has 12 entries, but atoms have 16"):
        DictionaryDisplay.from_estimator(fitted_coder(16), image_shape=(3, 4))
    with pytest.raises(ValueError, match="2 channels"):
        DictionaryDisplay.from_estimator(fitted_coder(8), image_shape=(2, 2, 2))


def test_estimators_without_atoms_are_refused(rng):
    rows = rng.normal(size=(20, 4))
    with pytest.raises(TypeError, match=r"model\[0\]"):
        DictionaryDisplay.from_estimator(make_pipeline(PCA(2)).fit(rows))
    with pytest.raises(TypeError, match="neither"):
        DictionaryDisplay.from_estimator(KMeans(2, n_init=1).fit(rows))
    with pytest.raises(ValueError, match="n_atoms=0 must be"):
        DictionaryDisplay.from_estimator(fitted_coder(4), n_atoms=0)
    with pytest.raises(ValueError, match="n_columns=0 must be"):
        DictionaryDisplay.from_estimator(fitted_coder(4), n_columns=0)


@pytest.mark.parametrize("shape", [(3, 3), (3, 3, 3)])
def test_gaps_have_a_color_that_atoms_do_not_have(shape):
    display = DictionaryDisplay(np.ones((4, *shape))).plot()
    image = display.image_.to_rgba(display.image_.get_array())[..., :3]
    np.testing.assert_allclose(image[:3, :3], 1)
    np.testing.assert_allclose(image[3], np.tile([0.35, 0.5, 0.7], (7, 1)))


def test_each_dictionary_of_a_mixture_is_a_row_with_its_weight(digits):
    mixture = SparseCodingMixture(3, 6, alpha=2.0, max_iter=0, random_state=0)
    display = DictionaryDisplay.from_estimator(mixture.fit(digits), n_atoms=4)
    assert display.atoms.shape == (12, 8, 8)
    np.testing.assert_array_equal(
        display.atoms.reshape(3, 4, 64), mixture.components_[:, :4]
    )
    assert display.image_.get_array().shape == (3 * 9 - 1, 4 * 9 - 1)
    np.testing.assert_array_equal(display.ax_.get_yticks(), [3.5, 12.5, 21.5])
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels == [f"{weight:.3f}" for weight in mixture.weights_]
