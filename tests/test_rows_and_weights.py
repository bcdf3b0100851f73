"""Rows and weights: what every public estimator promises about them."""

import inspect
import re

import numpy as np
import pytest
from common import ESTIMATORS, make_data, make_estimator
from sklearn.base import clone

from skscn import (
    FlooredScaler,
    NonNegativeSparseCoder,
    OrthogonalSparseCoder,
    SparseCodingDetector,
    SparseCodingMixture,
    StreamingRidgeClassifier,
)

OUTPUTS = ("transform", "decision_function", "score_samples")
METHODS = ("transform", "predict", "decision_function", "score_samples", "reconstruct")


def has_weights(Estimator, method="fit"):
    function = getattr(Estimator, method, None)
    return (
        function is not None
        and "sample_weight" in inspect.signature(function).parameters
    )


WEIGHTED = [Estimator for Estimator in ESTIMATORS if has_weights(Estimator)]
STREAMING = [each for each in ESTIMATORS if hasattr(each, "partial_fit")]


def make_quick(Estimator):
    """Return an estimator of few atoms that converges on little data."""
    estimator = make_estimator(Estimator)
    if issubclass(Estimator, OrthogonalSparseCoder | NonNegativeSparseCoder):
        estimator.set_params(n_components=4, alpha=0.5, tol=1e-10, max_iter=500)
    if Estimator is SparseCodingMixture:
        estimator.set_params(n_dictionaries=2, n_components=3, max_iter=500)
        estimator.set_params(random_state=0)
    return estimator


def outputs(estimator, X):
    """Return what a fitted estimator computes of samples, as columns."""
    method = next(name for name in OUTPUTS if hasattr(estimator, name))
    return np.asarray(getattr(estimator, method)(X)).reshape(len(X), -1)


def assert_close(found, expected, rtol):
    np.testing.assert_allclose(
        found, expected, rtol=rtol, atol=rtol * np.abs(expected).max()
    )


@pytest.mark.parametrize("Estimator", ESTIMATORS)
@pytest.mark.parametrize(("dtype", "rtol"), [("f8", 1e-10), ("f4", 1e-4)])
def test_a_row_alone_has_the_result_that_it_has_in_a_batch(Estimator, dtype, rtol):
    """Bits may differ: products of matrices add in another order."""
    X, y = make_data(Estimator)
    X = X.astype(dtype)
    estimator = make_quick(Estimator).fit(X, y)
    names = [name for name in METHODS if hasattr(estimator, name)]
    assert names
    for name in names:
        method = getattr(estimator, name)
        alone = np.concatenate([method(X[i : i + 1]) for i in range(20)])
        assert_close(alone, method(X)[:20], rtol)


@pytest.mark.parametrize("Estimator", WEIGHTED)
def test_integer_weights_are_repetition(Estimator):
    X, y = make_data(Estimator)
    weights = np.random.default_rng(1).integers(0, 4, size=len(X))
    weighted = make_quick(Estimator).fit(X, y, sample_weight=weights)
    again = np.repeat(np.arange(len(X)), weights)
    repeated = make_quick(Estimator).fit(X[again], y[again])
    assert_close(outputs(weighted, X), outputs(repeated, X), 1e-6)


# The prior of a detector's histograms and the shrinkage of a mixture count samples, as
# if weights were repetition.
COUNTING = (SparseCodingDetector, SparseCodingMixture)


@pytest.mark.parametrize(
    "Estimator", [each for each in WEIGHTED if each not in COUNTING]
)
@pytest.mark.parametrize("factor", [1e-100, 1e100])
def test_weights_are_relative(Estimator, factor):
    X, y = make_data(Estimator)
    weights = np.random.default_rng(1).random(len(X)) + 0.1
    found = make_quick(Estimator).fit(X, y, sample_weight=factor * weights)
    expected = make_quick(Estimator).fit(X, y, sample_weight=weights)
    assert_close(outputs(found, X), outputs(expected, X), 1e-6)


@pytest.mark.parametrize("Estimator", WEIGHTED)
@pytest.mark.parametrize("weight", [1e-30, 1 / 120, 0.5])
def test_equal_weights_that_are_no_repetitions_change_nothing(Estimator, weight):
    X, y = make_data(Estimator)
    found = make_quick(Estimator).fit(X, y, sample_weight=np.full(len(X), weight))
    expected = make_quick(Estimator).fit(X, y)
    assert_close(outputs(found, X), outputs(expected, X), 1e-6)


@pytest.mark.parametrize("Estimator", WEIGHTED)
@pytest.mark.parametrize("factor", [1e-44, 1e20])
def test_weights_beyond_float32_are_refused_with_float32_data(Estimator, factor):
    X, y = make_data(Estimator)
    weights = factor * np.linspace(1, 2, len(X))
    weights[3] = 0.0
    make_quick(Estimator).fit(X, y, sample_weight=weights)
    X = X.astype(np.float32)
    if Estimator in COUNTING:
        found = make_quick(Estimator).fit(X, y, sample_weight=weights)
        weights = weights / (1e3 * factor)  # they are relative, too
        expected = make_quick(Estimator).fit(X, y, sample_weight=weights)
        assert_close(outputs(found, X), outputs(expected, X), 1e-4)
        return
    message = f"between {factor:.3g} and {2 * factor:.3g}: in float32"
    with pytest.raises(ValueError, match=re.escape(message)):
        make_quick(Estimator).fit(X, y, sample_weight=weights)


@pytest.mark.parametrize(
    ("Estimator", "method"),
    [
        (Estimator, method)
        for Estimator in WEIGHTED
        for method in ("fit", "partial_fit")
        if has_weights(Estimator, method)
    ],
)
def test_negative_weights_are_refused(Estimator, method):
    X, y = make_data(Estimator)
    weights = np.ones(len(X))
    weights[3] = -1e-9
    kwargs = {}
    if Estimator is StreamingRidgeClassifier and method == "partial_fit":
        kwargs["classes"] = np.unique(y)
    estimator = make_quick(Estimator)
    with pytest.raises(ValueError, match="Negative values in data passed to"):
        getattr(estimator, method)(X, y, sample_weight=weights, **kwargs)
    assert not any(name.endswith("_") for name in vars(estimator))


@pytest.mark.parametrize("Estimator", STREAMING)
def test_fit_after_a_stream_starts_anew(Estimator):
    X, y = make_data(Estimator)
    kwargs = {"classes": np.unique(y)} if Estimator is StreamingRidgeClassifier else {}
    used = make_quick(Estimator).partial_fit(10 * X[:50] + 3, y[:50], **kwargs)
    expected = make_quick(Estimator).fit(X, y)
    np.testing.assert_array_equal(outputs(used.fit(X, y), X), outputs(expected, X))


CUTS = [(120,), (60, 60), (50, 69, 1), (40, 1, 1, 1, 77), (30,) * 4]


def stream(estimator, X, y, sizes):
    kwargs = {}
    if isinstance(estimator, StreamingRidgeClassifier):
        kwargs["classes"] = np.unique(y)
    for stop, size in zip(np.cumsum(sizes), sizes, strict=True):
        part = slice(stop - size, stop)
        estimator = estimator.partial_fit(X[part], y[part], **kwargs)
    return estimator


@pytest.mark.parametrize("Estimator", [FlooredScaler, StreamingRidgeClassifier])
@pytest.mark.parametrize("sizes", CUTS)
def test_sums_of_a_stream_do_not_depend_on_its_cuts(Estimator, sizes):
    """They are those of all its rows: the result of `fit`."""
    X, y = make_data(Estimator)
    found = stream(make_quick(Estimator), X + 1e3, y, sizes)
    expected = make_quick(Estimator).fit(X + 1e3, y)
    assert_close(outputs(found, X + 1e3), outputs(expected, X + 1e3), 1e-8)


@pytest.mark.parametrize("Coder", [OrthogonalSparseCoder, NonNegativeSparseCoder])
@pytest.mark.parametrize("forgetting", [0.0, 1.0])
@pytest.mark.parametrize("alpha", [0.5, "auto"])
def test_cuts_of_a_stream_hardly_change_what_coders_learn(Coder, forgetting, alpha):
    """Each mini-batch is encoded by the atoms before it, and the first by the start."""
    X, y = make_data(Coder, 3000)
    coder = Coder(4, alpha=alpha, forgetting=forgetting)
    scores = [
        stream(clone(coder), X, y, (600, *sizes)).score(X)
        for sizes in [(2400,), (1200,) * 2, (300,) * 7 + (299, 1), (20,) * 120]
    ]
    assert np.ptp(scores) < 0.1  # nats


def test_cuts_of_a_stream_hardly_change_the_scores_of_a_detector():
    X, y = make_data(SparseCodingDetector, 1200)
    found = [
        stream(SparseCodingDetector(), X, y, (600, *sizes)).score_samples(X)
        for sizes in [(600,), (300,) * 2, (30,) * 19 + (29, 1)]
    ]
    for scores in found[1:]:
        assert np.corrcoef(scores, found[0])[0, 1] > 0.99
        assert abs(np.mean(scores - found[0])) < 0.1  # nats
