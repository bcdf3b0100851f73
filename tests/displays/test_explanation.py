"""ExplanationDisplay plots what the detector explains."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError

from skscn import ConvSparseCoder, ExplanationDisplay, SparseCodingDetector


def anomalous_samples():
    X = np.random.default_rng(0).normal(size=(100, 4))
    X[7, 2] = 30.0
    return X


def test_the_first_bar_is_the_most_anomalous_feature():
    X = anomalous_samples()
    detector = SparseCodingDetector().fit(X)
    display = ExplanationDisplay.from_estimator(detector, X, sample=7, n_top=3)
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels[0] == "feature 2"
    assert len(display.bars_) == 3
    expected = detector.explain(X[[7]]).features[0].min()
    assert display.bars_[0].get_width() == expected
    assert display.figure_ is display.ax_.figure


def test_names_of_features_are_those_seen_in_fit_or_given():
    frame = pd.DataFrame(anomalous_samples(), columns=list("abcd"))
    detector = SparseCodingDetector().fit(frame)
    display = ExplanationDisplay.from_estimator(detector, frame, sample=7)
    assert display.ax_.get_yticklabels()[0].get_text() == "c"
    display = ExplanationDisplay(display.features, feature_names=list("wxyz")).plot()
    assert display.ax_.get_yticklabels()[0].get_text() == "y"


@pytest.mark.parametrize("shape", [(60, 8, 8), (60, 8, 8, 3)])
def test_the_map_of_an_image_has_its_size_and_adds_up(shape):
    X = np.random.default_rng(0).normal(size=shape)
    detector = SparseCodingDetector(
        ConvSparseCoder(4, kernel_size=3, random_state=0)
    ).fit(X)
    _, ax = plt.subplots()
    display = ExplanationDisplay.from_estimator(detector, X, sample=2, ax=ax)
    drawn = display.map_.get_array()
    assert display.ax_ is ax
    assert drawn.shape == (8, 8)
    score = detector.score_samples(X[[2]])[0]
    np.testing.assert_allclose(drawn.sum(), -score, rtol=1e-9)
    assert ax.get_title() == f"score {score:.1f}"


def test_keyword_arguments_are_passed_to_matplotlib():
    X = anomalous_samples()
    detector = SparseCodingDetector().fit(X)
    display = ExplanationDisplay.from_estimator(detector, X, color="black")
    assert display.bars_[0].get_facecolor() == (0.0, 0.0, 0.0, 1.0)


def test_the_detector_must_be_fitted():
    with pytest.raises(NotFittedError):
        ExplanationDisplay.from_estimator(SparseCodingDetector(), anomalous_samples())


def test_wrong_arguments_are_refused():
    features = np.arange(4.0)
    with pytest.raises(ValueError, match="n_top=0 must be an integer of at least 1"):
        ExplanationDisplay(features).plot(n_top=0)
    for names in (["a"], list("abcde")):
        with pytest.raises(ValueError, match=rf"{len(names)} names for 4 features"):
            ExplanationDisplay(features, feature_names=names).plot()


def test_other_estimators_and_samples_that_do_not_exist_are_refused():
    X = anomalous_samples()
    forest = IsolationForest(random_state=0).fit(X)
    with pytest.raises(TypeError, match="IsolationForest without the method explain"):
        ExplanationDisplay.from_estimator(forest, X)
    detector = SparseCodingDetector().fit(X)
    with pytest.raises(ValueError, match=r"sample=100 does not exist.*n_samples=100"):
        ExplanationDisplay.from_estimator(detector, X, sample=100)


def test_lists_are_explained():
    X = anomalous_samples()
    detector = SparseCodingDetector().fit(X)
    display = ExplanationDisplay.from_estimator(detector, X.tolist(), sample=7)
    assert display.ax_.get_yticklabels()[0].get_text() == "feature 2"
