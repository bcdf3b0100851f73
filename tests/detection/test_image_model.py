"""Anomalies among images: scores that sum over layers and places."""

import numpy as np
import pytest

from skscn import (
    ConvSparseCoder,
    SparseCodingDetector,
    SparseCodingNetwork,
    SpatialPool,
)


def close(a, b):
    """Whether arrays are the same to 1e-9 of the larger ones in them."""
    return np.max(np.abs(a - b)) <= 1e-9 * max(1.0, np.max(np.abs(b)))


def pictures(n_images, seed):
    """Return bars that lie or stand somewhere, and noise."""
    rng = np.random.default_rng(seed)
    images = 0.1 * rng.normal(size=(n_images, 12, 12))
    for image, at, lies in zip(
        images, rng.integers(2, 10, n_images), rng.random(n_images) < 0.5, strict=True
    ):
        (image if lies else image.T)[at, 2:10] += 1.0
    return images


def network(**parameters):
    layers = [
        ("conv1", ConvSparseCoder(6, kernel_size=3, random_state=0)),
        ("pool1", SpatialPool("max", window=2)),
        ("conv2", ConvSparseCoder(8, kernel_size=3, random_state=0)),
        ("pool2", SpatialPool("average", grid=3)),
    ]
    return SparseCodingNetwork(layers, **parameters)


IMAGE_CODERS = {
    "layer": ConvSparseCoder(8, kernel_size=5, random_state=0),
    "stack": network(),
    "all pools of a stack": network(outputs="pools"),
}
each_image_coder = pytest.mark.parametrize(
    "coder", IMAGE_CODERS.values(), ids=list(IMAGE_CODERS)
)


@each_image_coder
def test_the_parts_of_the_score_of_an_image_add_up(coder):
    X = pictures(150, 0)
    detector = SparseCodingDetector(coder).fit(X)
    score, parts = detector.score_samples(X), detector.explain(X)
    assert parts.maps.shape == (150, 12, 12)
    assert close(parts.maps.sum(axis=(1, 2)), score)
    assert close(parts.features.sum(axis=1), score)
    assert close(parts.codes.sum(axis=1), score)
    assert close(parts.coefficients.sum(1) + parts.rest + parts.marginals.sum(1), score)


@each_image_coder
def test_around_layers_it_is_a_detector_of_their_codes(coder):
    X = pictures(150, 0)
    detector = SparseCodingDetector(coder).fit(X)
    codes = detector.layers_.transform(X)
    rows = SparseCodingDetector().fit(codes)
    expected = rows.score_samples(codes)
    np.testing.assert_allclose(detector.score_samples(X), expected, rtol=1e-9)
    np.testing.assert_allclose(detector.offset_, rows.offset_, rtol=1e-9)


def test_a_map_shows_where_an_image_is_strange():
    X, strange = pictures(400, 0), pictures(50, 1)
    strange[:, 8:11, 0:3] += 1.0
    parts = SparseCodingDetector(IMAGE_CODERS["layer"]).fit(X).explain(strange)
    lowest = parts.maps.reshape(50, -1).argmin(axis=1)
    rows, columns = np.divmod(lowest, 12)
    assert np.mean((rows >= 6) & (columns < 6)) >= 0.9


def test_images_and_flat_rows_are_the_same():
    X = pictures(100, 0)
    flat = ConvSparseCoder(8, kernel_size=5, image_shape=(12, 12), random_state=0)
    a = SparseCodingDetector(IMAGE_CODERS["layer"]).fit(X)
    b = SparseCodingDetector(flat).fit(X.reshape(100, -1))
    np.testing.assert_array_equal(
        a.score_samples(X), b.score_samples(X.reshape(100, -1))
    )


def test_images_in_colour_share_their_map_among_the_channels():
    X = np.stack([pictures(80, seed) for seed in range(3)], axis=3)
    detector = SparseCodingDetector(ConvSparseCoder(8, random_state=0)).fit(X)
    parts = detector.explain(X[:5])
    assert parts.maps.shape == (5, 12, 12)
    assert parts.features.shape == (5, 432)
    assert close(parts.maps.sum(axis=(1, 2)), detector.score_samples(X[:5]))


def test_weights_of_images_are_whole_repetitions():
    X = pictures(60, 0)
    weights = np.random.default_rng(0).integers(0, 3, 60)
    coder = ConvSparseCoder(4, kernel_size=3, random_state=0)
    weighted = SparseCodingDetector(coder).fit(X, sample_weight=weights)
    repeated = SparseCodingDetector(coder).fit(np.repeat(X, weights, axis=0))
    np.testing.assert_allclose(
        weighted.decision_function(X), repeated.decision_function(X), rtol=1e-6
    )
    with pytest.raises(ValueError, match=r"must hold integers, but has 0\.5"):
        SparseCodingDetector(coder).fit(X, sample_weight=np.full(60, 0.5))


def test_images_of_another_shape():
    X = pictures(60, 0)
    detector = SparseCodingDetector(ConvSparseCoder(4, random_state=0)).fit(X)
    with pytest.raises(ValueError, match=r"shape \(11, 12, 1\).*\(12, 12, 1\)"):
        detector.score_samples(X[:, 1:])
    with pytest.raises(ValueError, match=r"1 sample.*minimum of 2"):
        detector.fit(X[:1])


def test_a_stream_of_images():
    X = pictures(300, 0)
    detector = SparseCodingDetector(ConvSparseCoder(4, kernel_size=3, random_state=0))
    for part in np.array_split(X, 3):
        detector.partial_fit(part)
    upside_down = X[:100].copy()
    upside_down[:, :6] = 1.0
    assert np.mean(detector.predict(upside_down) == -1) > 0.9
    assert np.mean(detector.predict(X) == -1) < 0.2
