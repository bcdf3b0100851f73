"""The scaler and the classifier for streams, against scikit-learn's."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifier
from sklearn.preprocessing import StandardScaler

from skscn import FlooredScaler, StreamingRidgeClassifier


@pytest.fixture(scope="module")
def labelled():
    X, y = load_digits(return_X_y=True)
    return X + 100, np.array(list("abcdefghij"))[y]


def test_without_a_floor_it_is_standard_scaler(digits):
    expected = StandardScaler().fit_transform(digits)
    np.testing.assert_array_equal(
        FlooredScaler(floor=0.0).fit_transform(digits), expected
    )


@pytest.mark.parametrize("floor", [0.1, 1.0])
def test_the_floor_holds_and_large_scales_stay(digits, floor):
    scale = FlooredScaler(floor=floor).fit(digits).scale_
    least = floor * np.sqrt(digits.var(axis=0).mean())
    expected = np.maximum(digits.std(axis=0), least)
    np.testing.assert_allclose(scale, expected)


def test_chunks_of_the_scaler_are_all_at_once(digits):
    scaler = FlooredScaler()
    for chunk in np.array_split(digits, 7):
        scaler = scaler.partial_fit(chunk)
    np.testing.assert_allclose(scaler.scale_, FlooredScaler().fit(digits).scale_)


def oracle(X, y, alpha, weights=None):
    """Return RidgeClassifier on features standardised by hand."""
    scaler = FlooredScaler().fit(X, sample_weight=weights)
    total = len(X) if weights is None else weights.sum()
    ridge = RidgeClassifier(alpha=alpha * total, solver="cholesky")
    ridge.fit(scaler.transform(X), y, sample_weight=weights)
    return lambda X: ridge.decision_function(scaler.transform(X))


@pytest.mark.parametrize("alpha", [1e-3, 0.1])
@pytest.mark.parametrize("n_classes", [2, 10])
def test_it_is_ridge_classifier_on_standardised_features(labelled, alpha, n_classes):
    X, y = labelled
    kept = y < "abcdefghijk"[n_classes]
    X, y = X[kept], y[kept]
    expected = oracle(X, y, alpha)(X)
    found = StreamingRidgeClassifier(alpha=alpha).fit(X, y)
    np.testing.assert_allclose(found.decision_function(X), expected, atol=1e-8)
    assert found.score(X, y) > 0.9


def test_chunks_are_all_at_once(labelled):
    X, y = labelled
    whole = StreamingRidgeClassifier().fit(X, y)
    for cuts in ([100], [1, 3, 900, 1000]):
        stream = StreamingRidgeClassifier()
        for rows in np.split(np.arange(len(X)), cuts):
            stream = stream.partial_fit(X[rows], y[rows], classes=np.unique(y))
        np.testing.assert_allclose(stream.coef_, whole.coef_, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(stream.intercept_, whole.intercept_, rtol=1e-6)


def test_weights_are_repetition(labelled, rng):
    X, y = labelled
    weights = rng.integers(0, 4, len(X))
    weighted = StreamingRidgeClassifier().fit(X, y, sample_weight=weights)
    repeated = StreamingRidgeClassifier().fit(X.repeat(weights, 0), y.repeat(weights))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-9)


def test_the_same_bits_for_every_n_jobs(labelled):
    X, y = np.tile(labelled[0], (6, 1)), np.tile(labelled[1], 6)
    alone = StreamingRidgeClassifier(n_jobs=1).fit(X, y)
    together = StreamingRidgeClassifier(n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(alone.coef_, together.coef_)


def test_float32_features_give_float32_scores(labelled):
    X, y = labelled
    classifier = StreamingRidgeClassifier().fit(X.astype(np.float32), y)
    scores = classifier.decision_function(X.astype(np.float32))
    assert scores.dtype == np.float32
    expected = StreamingRidgeClassifier().fit(X, y).decision_function(X)
    np.testing.assert_allclose(scores, expected, atol=2e-2)


def test_weights_are_there_once_it_is_fitted(labelled):
    classifier = StreamingRidgeClassifier()
    assert not hasattr(classifier, "coef_")
    assert hasattr(classifier.fit(*labelled), "coef_")
    before = dict(vars(classifier))
    classifier.predict(labelled[0])
    assert vars(classifier) == before


def test_errors(labelled):
    X, y = labelled
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
