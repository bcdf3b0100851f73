"""Bad input raises an error with the numbers and the remedy, and changes nothing."""

import numpy as np
import pytest
from common import random_orthonormal
from scipy import sparse

from skscn import NonNegativeSparseCoder, OrthogonalSparseCoder

X = np.random.default_rng(0).normal(size=(30, 6))
each_coder = pytest.mark.parametrize(
    "Coder", [OrthogonalSparseCoder, NonNegativeSparseCoder]
)


def with_entry(value):
    """Return X with another value in one entry."""
    array = X.copy()
    array[3, 2] = value
    return array


BAD_DATA = {
    "infinity": (with_entry(np.inf), "infinity"),
    "infinity beside NaN": (np.where(X > 1, np.nan, with_entry(np.inf)), "infinity"),
    "sparse NaN": (sparse.csr_array(with_entry(np.nan)), "NaN"),
    "one-dimensional": (X[0], "1D array"),
    "three-dimensional": (X[None], "dim 3"),
    "no rows": (X[:0], "0 sample"),
    "no columns": (X[:, :0], "0 feature"),
    "text": (np.array([["a", "b"]]), "could not convert|dtype"),
    "objects": (np.array([[{}, 1]], dtype=object), "argument must be|float"),
    "complex": (X + 1j, "Complex data not supported"),
    "square beyond the largest number": (X * 1e160, "overflow float64.*Scale X"),
    "square beyond the largest float32": (
        (X * 1e25).astype("f"),
        "overflow float32.*Scale X",
    ),
    "near the largest number": (X * 1e307, "overflow float64.*Scale X"),
}
BAD_PARAMETERS = {
    "too many atoms": (
        {"n_components": 7},
        r"n_components=7 must be at most n_features=6: .* Use n_components=6 or less",
    ),
    "no atoms": ({"n_components": 0}, "n_components"),
    "half an atom": ({"n_components": 1.5}, "n_components"),
    "unknown prior": ({"prior": "gauss"}, "prior"),
    "negative alpha": ({"alpha": -1.0}, "alpha"),
    "alpha not a number": ({"alpha": "much"}, "alpha"),
    "unknown inference": ({"inference": "median"}, "inference"),
    "infinite alpha": ({"alpha": np.inf}, r"alpha.*Got inf"),
    "alpha of a wrong length": (
        {"alpha": np.ones(5)},
        r"alpha has shape \(5,\).*shape \(n_components,\) = \(6,\)",
    ),
    "alpha of too many dimensions": (
        {"alpha": np.ones((6, 1))},
        r"alpha has shape \(6, 1\)",
    ),
    "one negative entry of alpha": (
        {"alpha": [1.0, 1, 1, 1, 1, -2]},
        r"not negative, but its entries range from -2.0 to 1.0",
    ),
    "square of alpha beyond the largest number": (
        {"alpha": 1e200},
        "square of alpha.*overflows float64",
    ),
    "NaN in alpha": ({"alpha": [1.0, 1, 1, 1, 1, np.nan]}, "alpha must be finite"),
    "unknown init": ({"init": "svd"}, "init"),
    "init with a wrong number of features": (
        {"init": np.eye(5)},
        "5 features, but X has n_features=6",
    ),
    "init with a wrong number of atoms": (
        {"init": np.eye(6)[:2], "n_components": 3},
        "has 2 atoms, but n_components=3",
    ),
    "init with more atoms than features": (
        {"init": np.ones((7, 6))},
        "n_components=7 must be at most n_features=6",
    ),
    "init that is not orthonormal": (
        {"init": 2 * np.eye(6)},
        r"differs by 3 from the identity\. scipy\.linalg\.polar",
    ),
    "NaN in init": ({"init": np.full((6, 6), np.nan)}, "init.*NaN"),
    "negative iterations": ({"max_iter": -1}, "max_iter"),
    "negative tolerance": ({"tol": -1e-3}, "tol"),
    "negative forgetting": ({"forgetting": -1}, "forgetting"),
    "half a worker": ({"n_jobs": 1.5}, "n_jobs"),
    "center that is a string": ({"center": "yes"}, "center"),
    "random_state that is a string": ({"random_state": "now"}, "random_state"),
}
BAD_WEIGHTS = {
    "wrong length": (np.ones(29), r"29|shape"),
    "negative": (-np.ones(30), "[Nn]egative"),
    "NaN": (np.full(30, np.nan), "NaN"),
    "all zero": (np.zeros(30), "zero"),
}


def copy_attributes(coder):
    return {
        name: value.copy() if isinstance(value, np.ndarray) else value
        for name, value in vars(coder).items()
    }


def assert_unchanged(coder, before):
    assert set(vars(coder)) == set(before)
    for name, value in before.items():
        np.testing.assert_array_equal(vars(coder)[name], value)


@each_coder
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(("data", "message"), BAD_DATA.values(), ids=list(BAD_DATA))
def test_learning_rejects_bad_data(Coder, method, data, message):
    coder = Coder(alpha=0.1)
    before = copy_attributes(coder)
    with pytest.raises((ValueError, TypeError), match=message):
        getattr(coder, method)(data)
    assert_unchanged(coder, before)


@each_coder
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("parameters", "message"), BAD_PARAMETERS.values(), ids=list(BAD_PARAMETERS)
)
def test_learning_rejects_bad_parameters(Coder, method, parameters, message):
    coder = Coder(**parameters)
    before = copy_attributes(coder)
    with pytest.raises(ValueError, match=message):
        getattr(coder, method)(X)
    assert_unchanged(coder, before)


@each_coder
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("weights", "message"), BAD_WEIGHTS.values(), ids=list(BAD_WEIGHTS)
)
def test_learning_rejects_bad_sample_weights(Coder, method, weights, message):
    with pytest.raises(ValueError, match=message):
        getattr(Coder(alpha=0.1), method)(X, sample_weight=weights)


@each_coder
@pytest.mark.parametrize(
    ("data", "message"), list(BAD_DATA.values())[:10], ids=list(BAD_DATA)[:10]
)
def test_transform_rejects_bad_data(Coder, data, message):
    coder = Coder(alpha=0.1).fit(X)
    before = copy_attributes(coder)
    with pytest.raises((ValueError, TypeError)):
        coder.transform(data)
    assert_unchanged(coder, before)


@each_coder
@pytest.mark.parametrize("alpha", [0.1, "auto"])
def test_fit_rejects_a_feature_without_any_value(Coder, alpha):
    empty = np.where(np.arange(6) == 2, np.nan, X)
    with pytest.raises(ValueError, match="Feature 2 of X is NaN in all 30 samples"):
        Coder(alpha=alpha).fit(empty)


@each_coder
def test_a_fitted_coder_rejects_another_number_of_features(Coder):
    coder = Coder(alpha=0.1).fit(X)
    for method in ("transform", "partial_fit"):
        with pytest.raises(ValueError, match=r"X has 5 features.*expecting 6"):
            getattr(coder, method)(X[:, :5])
    with pytest.raises(ValueError, match=r"X has 5 columns.*with 6 columns"):
        coder.inverse_transform(X[:, :5])
    with pytest.raises(ValueError, match="NaN"):
        coder.inverse_transform(with_entry(np.nan))


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, ZeroDivisionError])
def test_an_interrupted_fit_leaves_the_coder_as_it_was(method, error, monkeypatch):
    coder = OrthogonalSparseCoder(alpha=0.1).fit(X)
    before, codes = copy_attributes(coder), coder.transform(X)
    path = list(coder.objective_path_)

    def interrupt(*args, **kwargs):
        raise error

    name = {
        "fit": "_coders.base.learn_dictionary",
        "partial_fit": "_coders.base.update",
    }[method]
    monkeypatch.setattr(f"skscn.{name}", interrupt)
    with pytest.raises(error):
        getattr(coder, method)(np.ones((9, 6)))
    assert_unchanged(coder, before)
    assert coder.objective_path_ == path
    np.testing.assert_array_equal(coder.transform(X), codes)


@each_coder
def test_a_mini_batch_that_overflows_changes_nothing(Coder):
    for first, mini_batch in ((X, X * 1e200), (X.astype(np.float32), X * 1e60)):
        coder = Coder(3, alpha=0.1).fit(first)
        before = copy_attributes(coder)
        with pytest.raises(ValueError, match=r"overflow.*Scale X"):
            coder.partial_fit(mini_batch)
        assert_unchanged(coder, before)


@each_coder
def test_parameters_set_after_fit_take_effect_in_the_next_fit(Coder):
    coder = Coder(3, alpha=0.1).fit(X + 5)
    codes = coder.transform(X)
    coder.set_params(prior="spike_slab", center=False, alpha=9.0)
    np.testing.assert_array_equal(coder.transform(X), codes)


@each_coder
@pytest.mark.parametrize("dtype", [np.float16, np.int64, np.uint8, bool])
def test_other_dtypes_become_float64(Coder, dtype):
    coder = Coder(alpha=0.01).fit((X > 0).astype(dtype))
    assert coder.components_.dtype == np.float64


def test_init_may_be_orthonormal_up_to_the_precision_of_float32():
    init = random_orthonormal(6, 6).astype(np.float32)
    coder = OrthogonalSparseCoder(init=init, max_iter=0, alpha=0.1).fit(X)
    np.testing.assert_array_equal(coder.components_, init)


@each_coder
def test_fit_rejects_missing_values_in_a_sparse_matrix(Coder):
    X_missing = sparse.csr_array(np.where(X > 1, np.nan, X))
    with pytest.raises(ValueError, match=r"is sparse and holds \d+ NaN.*toarray"):
        Coder(3, alpha=0.1).fit(X_missing)


@each_coder
def test_transform_checks_the_parameter_inference(Coder):
    coder = Coder(3, alpha=0.1).fit(X).set_params(inference="median")
    with pytest.raises(ValueError, match="inference='median' must be 'map' or 'mean'"):
        coder.transform(X)


@each_coder
@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("others", [0.0, np.nan, np.inf, -np.inf])
def test_transform_rejects_infinite_entries(Coder, value, others):
    """A ReLU alone would map minus infinity to zero."""
    coder = Coder(3, alpha=0.1).fit(X)
    rows = X.copy()
    rows[7, 1], rows[7, 2] = value, others
    with pytest.raises(ValueError, match="infinity"):
        coder.transform(rows)


@each_coder
def test_transform_rejects_projections_that_overflow(Coder):
    coder = Coder(3, alpha=0.1).fit(X.astype(np.float32))
    rows = X.astype(np.float32)
    rows[2] = 3e38 * np.sign(coder.components_[0])
    with pytest.raises(ValueError, match=r"up to 3e\+38, overflow float32"):
        coder.transform(rows)


@each_coder
def test_a_fitted_dictionary_of_another_shape_is_not_continued(Coder):
    coder = Coder(4, alpha=0.1, warm_start=True).fit(X)
    before = coder.components_
    changed = r"n_components=3 was changed: the fitted dictionary has 4 atoms"
    coder.set_params(n_components=3)
    with pytest.raises(ValueError, match=rf"{changed}\. Set warm_start=False"):
        coder.fit(X)
    with pytest.raises(ValueError, match=rf"{changed}\. partial_fit"):
        coder.partial_fit(X)
    with pytest.raises(ValueError, match=r"n_features=5, but .* has 6\. Set warm_st"):
        coder.set_params(n_components=4).fit(X[:, :5])
    assert coder.components_ is before
    coder.set_params(n_components=None).fit(X)  # those of the last fit
    assert coder.components_.shape == (4, 6)
    assert coder.n_features_in_ == 6
    coder.set_params(n_components=3, warm_start=False).fit(X[:, :5])
    assert coder.components_.shape == (3, 5)
