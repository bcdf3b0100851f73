"""Anomaly detection in images: scores are sums over layers and positions."""

import re

import numpy as np
import pytest
from scipy.stats import iqr

from skscn import (
    ConvSparseCoder,
    SparseCodingDetector,
    SparseCodingNetwork,
    SpatialPool,
)
from skscn._detection.image_layers import pixel_maps


def is_close(a, b):
    """Return whether arrays agree to 1e-9 of their largest entry."""
    return np.max(np.abs(a - b)) <= 1e-9 * max(1.0, np.max(np.abs(b)))


def bar_images(n_images, seed):
    """Return noisy images of horizontal or vertical bars at random positions."""
    rng = np.random.default_rng(seed)
    images = 0.1 * rng.normal(size=(n_images, 12, 12))
    rows, is_horizontal = rng.integers(2, 10, n_images), rng.random(n_images) < 0.5
    for image, row, horizontal in zip(images, rows, is_horizontal, strict=True):
        (image if horizontal else image.T)[row, 2:10] += 1.0
    return images


def two_layer_network(**parameters):
    layers = [
        ("conv1", ConvSparseCoder(6, kernel_size=3, random_state=0)),
        ("pool1", SpatialPool("max", window=2)),
        ("conv2", ConvSparseCoder(8, kernel_size=3, random_state=0)),
        ("pool2", SpatialPool("average", grid=3)),
    ]
    return SparseCodingNetwork(layers, **parameters)


IMAGE_CODERS = {
    "layer": ConvSparseCoder(8, kernel_size=5, random_state=0),
    "stack": two_layer_network(),
    "all pools of a stack": two_layer_network(outputs="pools"),
}
NETWORKS = {
    "stack": two_layer_network(),
    "all pools of a stack": two_layer_network(outputs="pools"),
    "branches of equal size": SparseCodingNetwork(
        [("a", SpatialPool(grid=4)), ("b", SpatialPool("max", grid=4))],
        arrangement="parallel",
    ),
    "branches of other sizes": SparseCodingNetwork(
        [("a", SpatialPool(grid=(4, 3))), ("b", two_layer_network(outputs="pools"))],
        arrangement="parallel",
    ),
}
each_image_coder = pytest.mark.parametrize(
    "coder", IMAGE_CODERS.values(), ids=list(IMAGE_CODERS)
)


@each_image_coder
def test_the_terms_of_the_score_of_an_image_add_up(coder):
    X = bar_images(150, 0)
    detector = SparseCodingDetector(coder).fit(X)
    score, explanation = detector.score_samples(X), detector.explain(X)
    assert explanation.maps.shape == (150, 12, 12)
    assert is_close(explanation.maps.sum(axis=(1, 2)), score)
    assert is_close(explanation.features.sum(axis=1), score)
    assert is_close(explanation.codes.sum(axis=1), score)
    by_coefficient = explanation.coefficients.sum(axis=1) + explanation.residual
    assert is_close(by_coefficient + explanation.marginals.sum(axis=1), score)


@each_image_coder
def test_it_is_a_detector_of_the_pooled_codes(coder):
    X = bar_images(150, 0)
    detector = SparseCodingDetector(coder, marginals=False).fit(X)
    codes = detector.layers_.transform(X)
    rows = SparseCodingDetector(marginals=False, trim=0.0).fit(codes)
    expected = rows.score_samples(codes)
    np.testing.assert_allclose(detector.score_samples(X), expected, rtol=1e-9)
    np.testing.assert_allclose(detector.offset_, rows.offset_, rtol=1e-9)


@each_image_coder
def test_both_terms_of_images_have_the_same_interquartile_range(coder):
    X = bar_images(150, 0)
    explanation = SparseCodingDetector(coder).fit(X).explain(X)
    marginal = explanation.marginals.sum(axis=1)
    ranges = [iqr(marginal), iqr(explanation.score - marginal)]
    np.testing.assert_allclose(*ranges, rtol=0.1)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=list(NETWORKS))
def test_each_code_is_distributed_over_the_pixels_of_its_cell(network):
    """The names of codes say which layer and which cell they are of."""
    layers = network.fit(bar_images(20, 0))
    names = layers.get_feature_names_out()
    pattern = re.compile(r"(.*)_map\d+_y(\d+)_x(\d+)")
    prefixes, *cells = zip(*(pattern.fullmatch(n).groups() for n in names), strict=True)
    prefixes, cells = np.array(prefixes), np.array(cells, dtype=int).T
    maps = pixel_maps(np.eye(len(names)), layers)
    np.testing.assert_allclose(maps.sum(axis=(1, 2)), 1.0)
    pixels = np.arange(12)
    for prefix, cell, found in zip(prefixes, cells, maps, strict=True):
        size = 12 / (1 + cells[prefixes == prefix].max(axis=0))
        rows, columns = (
            (pixels + 1 > i * extent) & (pixels < (i + 1) * extent)
            for i, extent in zip(cell, size, strict=True)
        )
        np.testing.assert_array_equal(found > 1e-9, np.outer(rows, columns))


def test_a_map_shows_where_an_image_is_anomalous():
    X, anomalies = bar_images(400, 0), bar_images(50, 1)
    anomalies[:, 8:11, 0:3] += 1.0
    explanation = SparseCodingDetector(IMAGE_CODERS["layer"]).fit(X).explain(anomalies)
    lowest = explanation.maps.reshape(50, -1).argmin(axis=1)
    rows, columns = np.divmod(lowest, 12)
    assert np.mean((rows >= 6) & (columns < 6)) >= 0.9


def test_images_and_flat_rows_have_the_same_scores():
    X = bar_images(100, 0)
    flat = ConvSparseCoder(8, kernel_size=5, image_shape=(12, 12), random_state=0)
    a = SparseCodingDetector(IMAGE_CODERS["layer"]).fit(X)
    b = SparseCodingDetector(flat).fit(X.reshape(100, -1))
    np.testing.assert_array_equal(
        a.score_samples(X), b.score_samples(X.reshape(100, -1))
    )


def test_the_map_of_a_color_image_is_shared_by_its_channels():
    X = np.stack([bar_images(80, seed) for seed in range(3)], axis=3)
    detector = SparseCodingDetector(ConvSparseCoder(8, random_state=0)).fit(X)
    explanation = detector.explain(X[:5])
    assert explanation.maps.shape == (5, 12, 12)
    assert explanation.features.shape == (5, 432)
    assert is_close(explanation.maps.sum(axis=(1, 2)), detector.score_samples(X[:5]))


def test_weights_of_images_are_repetitions_and_must_be_integers():
    X = bar_images(60, 0)
    weights = np.random.default_rng(0).integers(0, 3, 60)
    coder = ConvSparseCoder(4, kernel_size=3, random_state=0)
    weighted = SparseCodingDetector(coder).fit(X, sample_weight=weights)
    repeated = SparseCodingDetector(coder).fit(np.repeat(X, weights, axis=0))
    np.testing.assert_allclose(
        weighted.decision_function(X), repeated.decision_function(X), rtol=1e-6
    )
    with pytest.raises(ValueError, match=r"must hold integers, but has 0\.5"):
        SparseCodingDetector(coder).fit(X, sample_weight=np.full(60, 0.5))
    with pytest.raises(ValueError, match=r"has 1e\+300.*at most 2147483648"):
        SparseCodingDetector(coder).fit(X, sample_weight=np.full(60, 1e300))


def test_images_of_weight_zero_do_not_count():
    X = bar_images(60, 0)
    more = np.concatenate([X, np.full((2, 12, 12), 1e6)])
    detector = SparseCodingDetector(ConvSparseCoder(4, kernel_size=3, random_state=0))
    expected = detector.fit(X).decision_function(X)
    weights = np.r_[np.ones(60), np.zeros(2)]
    found = detector.fit(more, sample_weight=weights).decision_function(X)
    np.testing.assert_array_equal(found, expected)


def test_images_of_another_shape_are_refused():
    X = bar_images(60, 0)
    detector = SparseCodingDetector(ConvSparseCoder(4, random_state=0)).fit(X)
    with pytest.raises(ValueError, match=r"shape \(11, 12, 1\).*\(12, 12, 1\)"):
        detector.score_samples(X[:, 1:])
    with pytest.raises(ValueError, match=r"1 sample.*minimum of 2"):
        detector.fit(X[:1])


def test_partial_fit_learns_a_stream_of_images():
    X = bar_images(300, 0)
    detector = SparseCodingDetector(ConvSparseCoder(4, kernel_size=3, random_state=0))
    for part in np.array_split(X, 3):
        detector.partial_fit(part)
    upside_down = X[:100].copy()
    upside_down[:, :6] = 1.0
    assert np.mean(detector.predict(upside_down) == -1) > 0.9
    assert np.mean(detector.predict(X) == -1) < 0.2
