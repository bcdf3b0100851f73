"""The scaler and the streaming classifier agree with those of scikit-learn."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifier
from sklearn.preprocessing import StandardScaler

from skscn import FlooredScaler, StreamingRidgeClassifier
from skscn._images.ridge_statistics import FIRST_ALPHA

RIDGE = StreamingRidgeClassifier()


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


def test_an_empty_feature_leaves_the_others_as_they_are(rng):
    X = rng.normal(size=(30, 3))
    X[:, 2] = np.nan
    found = FlooredScaler().fit_transform(X)
    np.testing.assert_array_equal(
        found[:, :2], StandardScaler().fit_transform(X[:, :2])
    )
    assert np.isnan(found[:, 2]).all()


@pytest.mark.parametrize("options", [{}, {"with_mean": False}, {"with_std": False}])
@pytest.mark.parametrize("weighted", [False, True])
def test_mini_batches_of_a_scaler_may_lack_features(rng, options, weighted):
    X = 2 + 3 * rng.normal(size=(40, 4))
    X[rng.random(X.shape) < 0.4] = np.nan
    X[:5, 1] = np.nan  # at first
    X[:, 3] = np.nan  # always
    weights = rng.random(40) if weighted else np.ones(40)
    expected, scaler = FlooredScaler(**options), FlooredScaler(**options)
    expected.fit(X, sample_weight=weights)
    for row, weight in zip(X, weights, strict=True):
        scaler.partial_fit(row[None], sample_weight=[weight])
    for name in ("mean_", "var_", "scale_", "n_samples_seen_"):
        if getattr(expected, name) is not None:
            np.testing.assert_allclose(getattr(scaler, name), getattr(expected, name))


@pytest.mark.parametrize("scale", [1e-15, 1e-100])
def test_without_a_floor_features_of_every_unit_count(rng, scale):
    X = rng.normal(size=(200, 2)) * [scale, 1.0]
    y = X[:, 0] > 0
    np.testing.assert_allclose(FlooredScaler(floor=0).fit_transform(X).std(axis=0), 1.0)
    assert StreamingRidgeClassifier(floor=0).fit(X, y).score(X, y) > 0.97


@pytest.mark.parametrize("container", [np.asarray, pd.DataFrame])
def test_samples_of_weight_zero_do_not_count_whatever_they_hold(rng, container):
    X, y = rng.normal(size=(90, 3)), rng.integers(0, 2, 90)
    weights = rng.uniform(0.5, 2.0, size=90)
    weights[::3] = 0
    kept = weights > 0
    X[~kept] = [-999.0, 1e20, 1e160]
    found = FlooredScaler().fit(container(X), sample_weight=weights)
    expected = FlooredScaler().fit(X[kept], sample_weight=weights[kept])
    np.testing.assert_allclose(found.scale_, expected.scale_)
    np.testing.assert_allclose(found.mean_, expected.mean_)
    found = StreamingRidgeClassifier().fit(container(X), y, weights)
    expected = StreamingRidgeClassifier().fit(X[kept], y[kept], weights[kept])
    np.testing.assert_allclose(found.coef_, expected.coef_)


@pytest.mark.parametrize("factor", [1e-100, 1e100])
def test_weights_are_relative(rng, factor):
    """Those of `alpha="auto"` are, where they cannot be numbers of repetitions."""
    X, y = rng.normal(size=(90, 3)), rng.integers(0, 2, 90)
    weights = rng.uniform(0.1, 0.5, size=90)
    ridge = StreamingRidgeClassifier(alpha=0.01)
    for estimator, name in (
        (FlooredScaler(), "scale_"),
        (ridge, "coef_"),
        (RIDGE, "coef_"),
    ):
        expected = getattr(clone(estimator).fit(X, y, sample_weight=weights), name)
        found = clone(estimator).fit(X, y, sample_weight=weights * factor)
        np.testing.assert_allclose(getattr(found, name), expected)
        for extreme in (1e300, 1e-300):
            with pytest.raises(ValueError, match=r"sample weights .* Divide"):
                clone(estimator).fit(X, y, sample_weight=weights * extreme)


@pytest.mark.parametrize("alpha", [1e-6, 1e-4, 0.01, 1.0])
@pytest.mark.parametrize("n_samples", [30, 90, 250])
def test_few_samples_of_many_features_have_the_same_equations(rng, alpha, n_samples):
    """They are solved by eigenvectors where the rank is small."""
    X, y = rng.normal(size=(n_samples, 400)), rng.integers(0, 3, n_samples)
    X += 3 * rng.normal(size=(n_samples, 5)) @ rng.normal(size=(5, 400))
    z = StandardScaler().fit_transform(X)
    expected = RidgeClassifier(alpha=alpha * n_samples).fit(z, y)
    found = StreamingRidgeClassifier(alpha=alpha, floor=0).fit(z, y)
    largest = np.abs(expected.coef_).max()
    np.testing.assert_allclose(found.coef_, expected.coef_, atol=1e-8 * largest)


@pytest.mark.parametrize("alpha", [0.1, "auto"])
def test_constant_features_predict_the_most_frequent_class(alpha):
    y = np.array([0, 1, 1, 1, 0, 1])
    ridge = StreamingRidgeClassifier(alpha=alpha).fit(np.ones((6, 40)), y)
    assert ridge.alpha_ == (FIRST_ALPHA if alpha == "auto" else alpha)
    np.testing.assert_array_equal(ridge.predict(np.zeros((3, 40))), [1, 1, 1])


def cross_validation_error(X, y, weights, alpha, floor=0.1):
    """The error of generalized cross-validation, from the matrix that smooths y."""
    targets = np.where(y[:, None] == np.unique(y), 1.0, -1.0).repeat(weights, 0)
    z = FlooredScaler(floor=floor).fit_transform(X.repeat(weights, 0))
    n_samples, n_features = z.shape
    system = z.T @ z + alpha * n_samples * np.eye(n_features)
    smoother = z @ np.linalg.solve(system, z.T) + 1 / n_samples
    residual = targets - smoother @ targets
    return np.square(residual).sum() / (1 - np.trace(smoother) / n_samples) ** 2


@pytest.mark.parametrize("noise", [0.3, 3.0, 30.0])
@pytest.mark.parametrize("n_features", [5, 40, 400])
def test_auto_alpha_has_the_least_generalized_cross_validation_error(
    rng, noise, n_features
):
    centers = rng.normal(size=(3, n_features))
    y, weights = rng.integers(0, 3, 80), rng.integers(1, 4, 80)
    if n_features > 80:  # repeated samples would be fitted exactly
        weights[:] = 1
    X = centers[y] + noise * rng.normal(size=(80, n_features))
    classifier = StreamingRidgeClassifier().fit(X, y, sample_weight=weights)
    found = cross_validation_error(X, y, weights, classifier.alpha_)
    others = [cross_validation_error(X, y, weights, a) for a in np.logspace(-4, 1, 51)]
    assert found < 1.003 * min(others)  # a parabola through three penalties


def test_auto_alpha_of_a_stream_is_that_of_all_samples(rng):
    X, y = rng.normal(size=(200, 30)), rng.integers(0, 3, 200)
    stream = StreamingRidgeClassifier()
    for batch in np.array_split(np.arange(200), 3):
        stream.partial_fit(X[batch], y[batch], classes=range(3))
    expected = StreamingRidgeClassifier().fit(X, y).alpha_
    np.testing.assert_allclose(stream.alpha_, expected)
    explicit = StreamingRidgeClassifier(alpha=expected).fit(X, y)
    np.testing.assert_allclose(stream.coef_, explicit.coef_)


def test_auto_alpha_is_found_with_fewer_samples_than_features(rng):
    X, y = rng.normal(size=(12, 60)).astype(np.float32), np.arange(12) % 3
    classifier = StreamingRidgeClassifier().fit(X, y)
    assert 1e-4 <= classifier.alpha_ <= 10
    assert np.isfinite(classifier.coef_).all()


def expected_decision_function(X, y, alpha, weights=None):
    """Return the decision function of RidgeClassifier on standardized features."""
    scaler = FlooredScaler().fit(X, sample_weight=weights)
    total = len(X) if weights is None else weights.sum()
    ridge = RidgeClassifier(alpha=alpha * total, solver="cholesky")
    ridge.fit(scaler.transform(X), y, sample_weight=weights)
    return lambda X: ridge.decision_function(scaler.transform(X))


@pytest.mark.parametrize("n_samples", [12, 35, 60])
def test_few_samples_have_the_coefficients_of_ridge_classifier(rng, n_samples):
    y = np.arange(n_samples) % 3
    X = rng.normal(size=(3, 200))[y] + rng.normal(size=(n_samples, 200))
    classifier = StreamingRidgeClassifier().fit(X, y)
    assert 1e-4 <= classifier.alpha_ < 10
    expected = expected_decision_function(X, y, classifier.alpha_)(X)
    np.testing.assert_allclose(classifier.decision_function(X), expected, atol=1e-8)


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


@pytest.mark.parametrize("alpha", [1e-4, 1e-7])
def test_small_penalties_of_float32_features_are_those_of_ridge_classifier(rng, alpha):
    X = rng.normal(size=(20, 100)).astype(np.float32)
    y = np.arange(20) % 2
    found = StreamingRidgeClassifier(alpha=alpha, floor=0).fit(X, y).coef_[0]
    scaler = StandardScaler().fit(X.astype(np.float64))
    ridge = RidgeClassifier(alpha=20 * alpha, solver="svd")
    ridge.fit(scaler.transform(X.astype(np.float64)), y)
    expected = ridge.coef_ / scaler.scale_
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("n_batches", [1, 8])
def test_a_stream_of_float32_features_may_change_its_level(rng, n_batches):
    X = rng.normal(size=(4000, 30))
    y = (X @ rng.normal(size=30) + rng.normal(size=4000) > 0).astype(int)
    X[1000:] += 1000
    X = X.astype(np.float32)
    expected = StreamingRidgeClassifier(alpha=1e-6).fit(X.astype(np.float64), y)
    stream = StreamingRidgeClassifier(alpha=1e-6)
    for rows in np.array_split(np.arange(len(X)), n_batches):
        stream.partial_fit(X[rows], y[rows], classes=[0, 1])
    np.testing.assert_allclose(stream.coef_, expected.coef_, rtol=1e-3, atol=1e-6)


def test_an_alpha_below_the_rounding_errors_is_refused(rng):
    X = rng.normal(size=(20, 100))
    y, classifier = np.arange(20) % 2, StreamingRidgeClassifier(alpha=1e-18)
    with pytest.raises(ValueError, match=r"alpha=1e-18 is too small .* Increase alpha"):
        classifier.fit(X, y)
    assert not hasattr(classifier, "classes_")
    stream = classifier.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match=r"alpha=1e-18 is too small"):
        stream.predict(X)


def test_files_hold_half_of_the_scatter_matrix_or_the_coefficients_only(rng):
    X, y = rng.normal(size=(300, 200)), np.arange(300) % 3
    classifier = StreamingRidgeClassifier().fit(X, y)
    stored = pickle.dumps(classifier)
    assert len(stored) < 0.6 * 8 * 200**2
    again = pickle.loads(stored).partial_fit(X[::2], y[::2])
    expected = classifier.partial_fit(X[::2], y[::2])
    np.testing.assert_allclose(again.coef_, expected.coef_, rtol=1e-9)
    small = StreamingRidgeClassifier(store_statistics=False).fit(X, y)
    assert len(pickle.dumps(small)) < 2 * 8 * 3 * 200
    np.testing.assert_array_equal(small.coef_, clone(RIDGE).fit(X, y).coef_)
    with pytest.raises(ValueError, match=r"store_statistics=False. Set it to True"):
        small.partial_fit(X, y)


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


def test_a_scaler_computes_float16_in_float32(rng):
    X = (6e4 * rng.choice([-1, 1], size=(30, 4))).astype(np.float16)
    scaled = FlooredScaler(floor=0).fit_transform(X)
    expected = StandardScaler().fit_transform(X.astype(np.float64))
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, expected, rtol=1e-6)


@pytest.mark.parametrize("size", [1e30, 3e38])
def test_a_scaler_refuses_csr_whose_squares_overflow_and_stays_as_it_was(rng, size):
    X = sparse.random(20, 3, 0.5, format="csr", dtype=np.float32, random_state=0)
    scaler = FlooredScaler(with_mean=False).fit(X)
    before = pickle.dumps(scaler)
    for fit in (scaler.fit, scaler.partial_fit):
        with pytest.raises(ValueError, match=r"squares of \d of 3 features overflow"):
            fit(X * np.float32(size))
        assert pickle.dumps(scaler) == before


def test_scaled_features_that_overflow_are_an_error_with_their_size():
    X = np.array([[3e38], [3e38], [-3e38]], dtype=np.float32)
    with pytest.raises(ValueError, match=r"features leave the range of .*3e\+38"):
        FlooredScaler().fit_transform(X)


def test_finite_features_whose_sum_overflows_have_a_clear_error():
    X = np.array([[3e38], [3e38], [-3e38], [-3e38]], dtype=np.float32)
    X = np.hstack([X, X])
    with pytest.raises(ValueError, match="squares of the entries of X overflow"):
        StreamingRidgeClassifier().fit(X, [0, 1, 0, 1])


@pytest.mark.parametrize("size", [1e200, 1e308])
def test_features_whose_squares_overflow_are_an_error(rng, size):
    X = rng.uniform(size=(30, 3)) * [1.0, size, size]
    X[3, 1] = np.nan
    with pytest.raises(ValueError, match="squares of 2 of 3 features overflow"):
        FlooredScaler().fit(X)
