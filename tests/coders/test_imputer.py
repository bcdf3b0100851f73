"""Completion of missing entries as a step of a Pipeline."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skscn import NonNegativeSparseCoder, OrthogonalSparseCoder, SparseCodingImputer


@pytest.fixture(scope="module")
def digits():
    """Return digits, the same with holes, where the holes are, and labels."""
    X, y = load_digits(return_X_y=True)
    holes = np.random.default_rng(0).random(X.shape) < 0.2
    return X, np.where(holes, np.nan, X), holes, y


def test_it_is_impute_of_the_coder(digits):
    _, holed, holes, _ = digits
    coder = OrthogonalSparseCoder(8, alpha="auto", tol=1e-3)
    imputer = SparseCodingImputer(coder).fit(holed[::2])
    completed = imputer.transform(holed[1::2])
    expected = clone(coder).fit(holed[::2]).impute(holed[1::2])
    np.testing.assert_array_equal(completed, expected)
    measured = ~holes[1::2]
    np.testing.assert_array_equal(completed[measured], holed[1::2][measured])
    assert not hasattr(coder, "components_")


def test_it_beats_the_mean_by_far(digits):
    X, holed, holes, _ = digits
    errors = (SparseCodingImputer().fit_transform(holed) - X)[holes]
    assert np.std(errors) < 0.7 * np.std((X - np.nanmean(holed, axis=0))[holes])


def test_it_is_searched_and_refitted_in_every_fold(digits):
    _, holed, _, y = digits
    model = make_pipeline(
        SparseCodingImputer(OrthogonalSparseCoder(alpha="auto", tol=1e-2)),
        LogisticRegression(max_iter=3000),
    )
    grid = {"sparsecodingimputer__coder__n_components": [2, 10]}
    search = GridSearchCV(model, grid, cv=2).fit(holed[:600], y[:600])
    assert search.best_score_ > 0.7


def test_frames_keep_their_names():
    pandas = pytest.importorskip("pandas")
    rows = np.random.default_rng(0).normal(size=(40, 4))
    frame = pandas.DataFrame(rows, columns=list("abcd"))
    frame.loc[3, "b"] = np.nan
    imputer = SparseCodingImputer().set_output(transform="pandas").fit(frame)
    completed = imputer.transform(frame)
    assert list(completed.columns) == list("abcd")
    assert completed.notna().all(axis=None)


@pytest.fixture
def with_empty(digits):
    """Return rows in which feature 7 is never measured, and others sometimes not."""
    rows = digits[1][:300, :20].copy()
    rows[:, 7] = np.nan
    return rows


CODER = OrthogonalSparseCoder(4, alpha=1.0, tol=1e-2)
ignore_empty = pytest.mark.filterwarnings("ignore:.*features are NaN:UserWarning")
# SimpleImputer says the same in transform.
ignore_skipped = pytest.mark.filterwarnings("ignore:Skipping features:UserWarning")


@ignore_empty
@ignore_skipped
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("indicator", [False, True])
def test_shape_names_and_indicators_are_those_of_simple_imputer(
    indicator, keep, dtype, with_empty
):
    pandas = pytest.importorskip("pandas")
    options = {"add_indicator": indicator, "keep_empty_features": keep}
    columns = [f"pixel {i}" for i in range(20)]
    frame = pandas.DataFrame(with_empty.astype(dtype), columns=columns)
    frame["pixel 3"] = dtype(1)  # never missing
    imputer = SparseCodingImputer(CODER, **options).set_output(transform="pandas")
    oracle = SimpleImputer(**options).set_output(transform="pandas")
    found, expected = imputer.fit_transform(frame), oracle.fit_transform(frame)
    assert list(found) == list(expected)
    assert set(found.dtypes) == {np.dtype(dtype)}
    is_imputed = frame.isna().reindex(columns=list(found), fill_value=False)
    is_imputed["pixel 7"] = False  # zero in both
    is_imputed = is_imputed[list(found)]
    np.testing.assert_array_equal(
        found.mask(is_imputed, 0), expected.mask(is_imputed, 0)
    )
    np.testing.assert_array_equal(imputer.get_feature_names_out(), list(found))


@ignore_empty
def test_imputed_values_are_those_without_the_empty_feature(with_empty):
    measured = np.delete(with_empty, 7, axis=1)
    expected = SparseCodingImputer(CODER).fit_transform(measured)
    dropped = SparseCodingImputer(CODER).fit_transform(with_empty)
    np.testing.assert_array_equal(dropped, expected)
    imputer = SparseCodingImputer(CODER, keep_empty_features=True).fit(with_empty)
    kept = imputer.transform(with_empty)
    np.testing.assert_array_equal(np.delete(kept, 7, axis=1), expected)
    assert np.all(kept[:, 7] == 0)
    with_empty[3, 7] = 2.0  # measured values stay
    assert imputer.transform(with_empty)[3, 7] == 2.0


def test_empty_features_are_warned_of(with_empty):
    with pytest.warns(UserWarning, match=r"1 of 20 features .* 300 samples .*\[7\]"):
        SparseCodingImputer(CODER).fit(with_empty)
    with_empty[0, 7] = 3.0  # in a sample of weight zero
    weights = np.arange(300) > 0
    with pytest.warns(UserWarning, match=r"1 of 20 features .* 299 samples .*\[7\]"):
        SparseCodingImputer(CODER).fit(with_empty, sample_weight=weights)
    imputer = SparseCodingImputer(CODER, keep_empty_features=True)
    imputer.fit(with_empty, sample_weight=weights)  # without a warning


def test_data_without_measured_values_are_an_error():
    for keep in (False, True):
        imputer = SparseCodingImputer(keep_empty_features=keep)
        with pytest.raises(ValueError, match="All 3 features of X are NaN in all 5"):
            imputer.fit(np.full((5, 3), np.nan))
        assert not hasattr(imputer, "coder_")


def test_an_empty_feature_is_an_error_of_the_coder(with_empty):
    with pytest.raises(ValueError, match="Feature 7 of X is NaN in all"):
        NonNegativeSparseCoder(4, alpha=1.0).fit(with_empty)


def test_masked_values_are_missing(digits):
    masked = np.ma.masked_array(digits[0][:200], mask=digits[2][:200])
    found = SparseCodingImputer(CODER).fit_transform(masked)
    expected = SparseCodingImputer(CODER).fit_transform(digits[1][:200])
    np.testing.assert_array_equal(found, expected)


def test_rows_of_weight_zero_have_no_influence_and_integers_are_repetition(rng):
    X = rng.normal(size=(6, 9))
    X[0, 0] = np.nan
    more = np.vstack([X, np.full((6, 9), 50.0)])
    more[7, 3] = np.nan
    expected = SparseCodingImputer(add_indicator=True).fit(X).transform(X)
    weights = np.repeat([1.0, 0.0], 6)
    found = SparseCodingImputer(add_indicator=True).fit(more, sample_weight=weights)
    np.testing.assert_allclose(found.transform(X), expected)
    weighted = SparseCodingImputer().fit(X, sample_weight=np.full(6, 4))
    repeated = SparseCodingImputer().fit(np.repeat(X, 4, axis=0))
    assert weighted.coder_.n_components > 1
    np.testing.assert_allclose(weighted.transform(X), repeated.transform(X))
