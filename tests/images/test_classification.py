"""The scaler and the streaming classifier agree with those of scikit-learn."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifier
from sklearn.preprocessing import StandardScaler

from skscn import FlooredScaler, StreamingRidgeClassifier


@pytest.fixture(scope="module")
def labeled():
    X, y = load_digits(return_X_y=True)
    return X + 100, np.array(list("abcdefghij"))[y]


def test_without_a_floor_the_scaler_is_standard_scaler(digits):
    expected = StandardScaler().fit_transform(digits)
    np.testing.assert_array_equal(
        FlooredScaler(floor=0.0).fit_transform(digits), expected
    )


@pytest.mark.parametrize("floor", [0.1, 1.0])
def test_the_floor_bounds_small_scales_and_keeps_large_ones(digits, floor):
    scale = FlooredScaler(floor=floor).fit(digits).scale_
    min_scale = floor * np.sqrt(digits.var(axis=0).mean())
    expected = np.maximum(digits.std(axis=0), min_scale)
    np.testing.assert_allclose(scale, expected)


def test_the_scaler_learns_the_same_from_mini_batches_and_from_all_samples(digits):
    scaler = FlooredScaler()
    for batch in np.array_split(digits, 7):
        scaler = scaler.partial_fit(batch)
    np.testing.assert_allclose(scaler.scale_, FlooredScaler().fit(digits).scale_)


def expected_decision_function(X, y, alpha, weights=None):
    """Return the decision function of RidgeClassifier on standardized features."""
    scaler = FlooredScaler().fit(X, sample_weight=weights)
    total = len(X) if weights is None else weights.sum()
    ridge = RidgeClassifier(alpha=alpha * total, solver="cholesky")
    ridge.fit(scaler.transform(X), y, sample_weight=weights)
    return lambda X: ridge.decision_function(scaler.transform(X))


@pytest.mark.parametrize("alpha", [1e-3, 0.1])
@pytest.mark.parametrize("n_classes", [2, 10])
def test_the_classifier_is_ridge_classifier_on_standardized_features(
    labeled, alpha, n_classes
):
    X, y = labeled
    selected = y < "abcdefghijk"[n_classes]
    X, y = X[selected], y[selected]
    expected = expected_decision_function(X, y, alpha)(X)
    found = StreamingRidgeClassifier(alpha=alpha).fit(X, y)
    np.testing.assert_allclose(found.decision_function(X), expected, atol=1e-8)
    assert found.score(X, y) > 0.9


def test_the_classifier_learns_the_same_from_mini_batches_and_from_all_samples(labeled):
    X, y = labeled
    all_samples = StreamingRidgeClassifier().fit(X, y)
    for starts in ([100], [1, 3, 900, 1000]):
        stream = StreamingRidgeClassifier()
        for rows in np.split(np.arange(len(X)), starts):
            stream = stream.partial_fit(X[rows], y[rows], classes=np.unique(y))
        np.testing.assert_allclose(
            stream.coef_, all_samples.coef_, rtol=1e-6, atol=1e-9
        )
        np.testing.assert_allclose(stream.intercept_, all_samples.intercept_, rtol=1e-6)


def test_an_integer_weight_equals_repetition_of_its_sample(labeled, rng):
    X, y = labeled
    weights = rng.integers(0, 4, len(X))
    weighted = StreamingRidgeClassifier().fit(X, y, sample_weight=weights)
    repeated = StreamingRidgeClassifier().fit(X.repeat(weights, 0), y.repeat(weights))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-9)


def test_the_solution_has_the_same_bits_for_every_n_jobs(labeled):
    X, y = np.tile(labeled[0], (6, 1)), np.tile(labeled[1], 6)
    one_worker = StreamingRidgeClassifier(n_jobs=1).fit(X, y)
    two_workers = StreamingRidgeClassifier(n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(one_worker.coef_, two_workers.coef_)


def test_float32_features_give_float32_scores(labeled):
    X, y = labeled
    classifier = StreamingRidgeClassifier().fit(X.astype(np.float32), y)
    scores = classifier.decision_function(X.astype(np.float32))
    assert scores.dtype == np.float32
    expected = StreamingRidgeClassifier().fit(X, y).decision_function(X)
    np.testing.assert_allclose(scores, expected, atol=2e-2)


def test_the_solution_exists_after_fit_and_predict_does_not_change_the_classifier(
    labeled,
):
    classifier = StreamingRidgeClassifier()
    assert not hasattr(classifier, "coef_")
    assert hasattr(classifier.fit(*labeled), "coef_")
    before = dict(vars(classifier))
    classifier.predict(labeled[0])
    assert vars(classifier) == before


def test_errors_of_the_classifier_change_nothing(labeled):
    X, y = labeled
    classifier = StreamingRidgeClassifier()
    with pytest.raises(ValueError, match="needs all classes"):
        classifier.partial_fit(X, y)
    with pytest.raises(ValueError, match="not in classes"):
        classifier.partial_fit(X, y, classes=["a", "b"])
    with pytest.raises(ValueError, match="1 class"):
        classifier.fit(X[:1], y[:1])
    classifier.fit(X, y)
    before = dict(vars(classifier))
    with pytest.raises(ValueError, match="not the same"):
        clone(classifier).fit(X, y).partial_fit(X, y, classes=["a", "b"])
    with pytest.raises(ValueError, match="features"):
        classifier.partial_fit(X[:, :5], y)
    with pytest.raises(ValueError, match="overflow"):
        classifier.partial_fit(X * 1e200, y)
    assert vars(classifier) == before


@pytest.mark.parametrize(
    "classes",
    [
        ["a", "bcd"],
        np.array(["a", "bcd", "e"], dtype=object),
        [False, True],
        [-5, 10**12],
        np.array([0, 200], dtype=np.uint8),
        [0.0, 1.0, 7.0],
    ],
)
def test_classes_may_have_any_type(classes, rng):
    classes = np.asarray(classes)
    y = classes[rng.integers(0, len(classes), size=60)]
    X = rng.normal(size=(60, 4)) + 9 * (y[:, None] == classes[:1])
    found, expected = StreamingRidgeClassifier().fit(X, y), RidgeClassifier().fit(X, y)
    np.testing.assert_array_equal(found.classes_, classes)
    predicted = found.predict(X)
    assert predicted.dtype == expected.predict(X).dtype
    np.testing.assert_array_equal(predicted == classes[0], y == classes[0])
    streamed = StreamingRidgeClassifier().partial_fit(X, y, classes=classes)
    np.testing.assert_array_equal(streamed.predict(X), predicted)
