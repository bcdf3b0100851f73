"""Coders within scikit-learn: Pipelines, searches, caches, routing, data frames."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from joblib import Memory
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler

from skscn import NonNegativeSparseCoder, OrthogonalSparseCoder


@pytest.fixture(scope="module")
def few_digits():
    X, y = load_digits(return_X_y=True)
    return X[:300], y[:300]


def make_classifier(coder, **kwargs):
    return make_pipeline(coder, LogisticRegression(max_iter=500, C=0.01), **kwargs)


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize(
    ("coder", "priors"),
    [
        (OrthogonalSparseCoder(), ["laplace", "spike_slab"]),
        (NonNegativeSparseCoder(), ["exponential", "spike_slab"]),
    ],
)
def test_a_grid_search_finds_the_larger_dictionary(coder, priors, n_jobs, few_digits):
    name = type(coder).__name__.lower()
    grid = {
        f"{name}__prior": priors,
        f"{name}__alpha": [0.5, 3.0],
        f"{name}__n_components": [8, 40],
    }
    search = GridSearchCV(make_classifier(coder), grid, n_jobs=n_jobs, cv=3)
    search.fit(*few_digits)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_score_ > 0.85
    assert search.best_params_[f"{name}__n_components"] == 40


def test_cross_validation_gives_equal_scores_for_every_n_jobs(few_digits):
    pipeline = make_classifier(OrthogonalSparseCoder(20, n_jobs=2))
    scores = [cross_val_score(pipeline, *few_digits, n_jobs=jobs) for jobs in (1, 2)]
    np.testing.assert_array_equal(*scores)


def test_a_cached_pipeline_fits_a_coder_once(tmp_path, few_digits, monkeypatch):
    memory = Memory(tmp_path, verbose=0)
    pipeline = make_classifier(OrthogonalSparseCoder(10), memory=memory)
    expected = clone(pipeline).fit(*few_digits).predict(few_digits[0])

    def fail(*args, **kwargs):
        pytest.fail("The coder is fitted a second time.")

    monkeypatch.setattr("skscn._coders.base.learn_dictionary", fail)
    pipeline.set_params(logisticregression__C=0.01).fit(*few_digits)
    np.testing.assert_array_equal(pipeline.predict(few_digits[0]), expected)


def test_sample_weight_is_routed(few_digits):
    X, y = few_digits
    weights = np.random.default_rng(0).integers(1, 4, size=len(X))
    with sklearn.config_context(enable_metadata_routing=True):
        coder = OrthogonalSparseCoder(10).set_fit_request(sample_weight=True)
        classifier = LogisticRegression(max_iter=500)
        classifier.set_fit_request(sample_weight=False)
        pipeline = make_pipeline(coder, classifier).fit(X, y, sample_weight=weights)
    weighted = OrthogonalSparseCoder(10).fit(X, sample_weight=weights)
    np.testing.assert_array_equal(pipeline[0].components_, weighted.components_)
    unweighted = OrthogonalSparseCoder(10).fit(X)
    assert np.abs(weighted.mean_ - unweighted.mean_).max() > 1e-3


def test_sample_weight_must_be_requested(few_digits):
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline = make_classifier(OrthogonalSparseCoder(10))
        with pytest.raises(Exception, match="sample_weight"):
            pipeline.fit(*few_digits, sample_weight=np.ones(300))


@pytest.mark.parametrize(
    ("container", "to_frame"),
    [("pandas", pd.DataFrame), ("polars", lambda X: pl.from_numpy(X))],
)
def test_a_data_frame_is_transformed_into_a_data_frame(container, to_frame, few_digits):
    frame = to_frame(few_digits[0])
    coder = NonNegativeSparseCoder(3, alpha=2.0).set_output(transform=container)
    if container == "pandas":
        frame.columns = [f"pixel{i}" for i in range(64)]
        assert list(coder.fit(frame).feature_names_in_) == list(frame.columns)
    codes = coder.fit_transform(frame)
    assert type(codes) is type(frame)
    names = [f"nonnegativesparsecoder{i}" for i in range(3)]
    assert list(codes.columns) == names == list(coder.get_feature_names_out())
    array = clone(coder).set_output(transform="default").fit_transform(few_digits[0])
    np.testing.assert_array_equal(np.asarray(codes), array)


def test_sparse_output_cannot_be_a_data_frame(few_digits):
    coder = OrthogonalSparseCoder(3, sparse_output=True).set_output(transform="pandas")
    with pytest.raises(ValueError, match="sparse"):
        coder.fit_transform(few_digits[0])


def test_coders_can_be_stacked_and_joined_like_other_transformers(few_digits):
    union = FeatureUnion(
        [
            ("signed", OrthogonalSparseCoder(30, alpha=2.0)),
            ("relu", NonNegativeSparseCoder(64, alpha=2.0)),
        ]
    )
    network = make_pipeline(
        union,
        StandardScaler(),
        NonNegativeSparseCoder(80, alpha=0.3),
        LogisticRegression(max_iter=1000),
    )
    network.fit(*few_digits)
    assert network[:-1].transform(few_digits[0]).shape == (300, 80)
    assert network.score(*few_digits) > 0.98
