"""The Pipeline of a network, a scaler and a classifier."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from skscn import (
    ConvSparseCoder,
    SparseCodingNetwork,
    SpatialPool,
    StreamingRidgeClassifier,
    make_sparse_coding_network,
)


@pytest.fixture(scope="module")
def split():
    X, y = load_digits(return_X_y=True)
    return train_test_split(X, y, random_state=0, stratify=y)


def test_the_digits_network_classifies_digits(split):
    X_train, X_test, y_train, y_test = split
    model = make_sparse_coding_network(image_shape=(8, 8), random_state=0)
    assert isinstance(model[-1], LogisticRegression)
    assert model.fit(X_train, y_train).score(X_test, y_test) > 0.985


def test_flat_rows_have_the_features_of_their_images(split):
    X = split[0][:50]
    flat = make_sparse_coding_network(image_shape=(8, 8), random_state=0)
    images = clone(flat).set_params(network__image_shape=None)
    np.testing.assert_array_equal(
        images[:-1].fit_transform(X.reshape(-1, 8, 8)), flat[:-1].fit_transform(X)
    )


def test_the_natural_network_reads_color_photographs():
    images = np.random.default_rng(0).random((40, 16, 20, 3), dtype=np.float32)
    model = make_sparse_coding_network(
        "natural", classifier=StreamingRidgeClassifier(), random_state=0
    )
    assert isinstance(model[-1], StreamingRidgeClassifier)
    features = model[:-1].fit_transform(images)
    flat = 2 * (2 * 24 + 4 * 28 + 3 * 40) * 9
    deep = 2 * (4 * 96) * 4
    assert features.shape == (40, flat + deep)
    assert features.dtype == np.float32


def test_the_signals_network_reads_rows():
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    bumps = np.exp(-((np.linspace(-4, 4, 80) - rng.uniform(-1, 1, (90, 1))) ** 2))
    X = bumps * (y[:, None] - 1) + rng.normal(scale=0.2, size=bumps.shape)
    model = make_sparse_coding_network("signals", random_state=0).fit(X[:45], y[:45])
    assert model[:-1].transform(X).shape == (90, 2 * (4 + 6 + 8 + 8) * 8)
    assert model.score(X[45:], y[45:]) > 0.9


def test_a_list_is_a_stack_and_a_network_is_cloned(split):
    layers = [("conv", ConvSparseCoder(4)), ("pool", SpatialPool(grid=2))]
    by_list = make_sparse_coding_network(layers, image_shape=(8, 8), n_jobs=2)
    network = SparseCodingNetwork(layers)
    by_network = make_sparse_coding_network(network, image_shape=(8, 8), n_jobs=2)
    assert by_network["network"] is not network
    assert str(by_list) == str(by_network)
    assert by_list["network"].n_jobs == 2
    X_train, X_test, y_train, y_test = split
    assert by_list.fit(X_train, y_train).score(X_test, y_test) > 0.85


def test_random_state_determines_all_layers(split):
    def features(seed):
        model = make_sparse_coding_network(image_shape=(8, 8), random_state=seed)
        # Fewer patches than there are: they are drawn.
        for name in model.get_params():
            if name.endswith("max_patches"):
                model.set_params(**{name: 500})
        return model[:-1].fit_transform(split[0][:50])

    first, again, other = map(features, (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_random_state_is_set_in_given_layers_that_have_none(split):
    layers = [
        ("conv1", ConvSparseCoder(4)),
        ("conv2", ConvSparseCoder(4, random_state=5)),
    ]
    model = make_sparse_coding_network(layers, image_shape=(8, 8), random_state=0)
    parameters = model["network"].get_params()
    assert isinstance(parameters["conv1__random_state"], int)
    assert parameters["conv2__random_state"] == 5
    first, again = (
        clone(model[:1]).fit_transform(split[0][:100], None) for _ in range(2)
    )
    np.testing.assert_array_equal(first, again)
    assert layers[0][1].random_state is None


def test_scaler_and_classifier_do_not_change_features(split):
    X_train, X_test, y_train, y_test = split
    layers = [("conv", ConvSparseCoder(4)), ("pool", SpatialPool(grid=2))]
    model = make_sparse_coding_network(layers, image_shape=(8, 8), random_state=0)
    features = model.fit(X_train, y_train)["network"].transform(X_test)
    before = features.copy()
    model[1:].score(features, y_test)
    np.testing.assert_array_equal(features, before)


def test_the_error_for_an_unknown_name_lists_the_known_ones():
    with pytest.raises(
        ValueError, match=r"\['digits', 'natural', 'signals', 'tables'\]"
    ):
        make_sparse_coding_network("imagenet")
