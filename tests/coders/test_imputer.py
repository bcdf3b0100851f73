"""Completion of missing entries as a step of a Pipeline."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
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


def test_a_feature_that_is_never_there_is_an_error(digits):
    holed = digits[1].copy()
    holed[:, 7] = np.nan
    imputer = SparseCodingImputer(NonNegativeSparseCoder(4, alpha=1.0))
    with pytest.raises(ValueError, match="Feature 7 of X is NaN in all"):
        imputer.fit(holed)
    assert not hasattr(imputer, "coder_")
