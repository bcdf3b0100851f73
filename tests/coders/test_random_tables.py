"""Coders and imputer give a right result or an error with numbers.

`SKSCN_RANDOM_INPUTS=20000 pytest tests/coders/test_random_tables.py` searches longer;
each test has a share of that many tables.
"""

import numpy as np
import pytest
from random_inputs import n_inputs, obeys, random_table, search
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from skscn import NonNegativeSparseCoder, OrthogonalSparseCoder, SparseCodingImputer

few = {"max_iter": 8, "random_state": 0}
ESTIMATORS = {
    "soft": OrthogonalSparseCoder(alpha=0.5, **few),
    "hard": OrthogonalSparseCoder(alpha=0.5, prior="spike_slab", init="dct", **few),
    "limited": OrthogonalSparseCoder(n_nonzero_coefs=2, split_sign=True, **few),
    "small": OrthogonalSparseCoder(1, alpha="auto", **few),
    "mean": OrthogonalSparseCoder(
        1, alpha="auto", prior="spike_slab", inference="mean", **few
    ),
    "ReLU": NonNegativeSparseCoder(alpha=0.5, center=False, **few),
    "one-sided": NonNegativeSparseCoder(1, alpha="auto", init="random", **few),
    "one-sided mean": NonNegativeSparseCoder(
        1, alpha="auto", prior="spike_slab", inference="mean", **few
    ),
    "CSR": NonNegativeSparseCoder(alpha=0.1, sparse_output=True, **few),
    "imputer": SparseCodingImputer(add_indicator=True),
    "kept": SparseCodingImputer(
        OrthogonalSparseCoder(1, alpha=0.1, **few), keep_empty_features=True
    ),
}
# What an estimator may say of a table, and go on.
EXPECTED_WARNINGS = (
    ConvergenceWarning,
    "All codes of the training data are zero",
    "features are NaN in",
    "The imputation of",
)


def dense(X):
    return X.toarray() if sparse.issparse(X) else np.asarray(X)


def results(estimator, X, **options):
    """Return the outputs of every method of an estimator that is fitted to X."""
    estimator = clone(estimator).set_params(**options).fit(X)
    found = {
        name: dense(getattr(estimator, name)(X))
        for name in ("transform", "score_samples", "posterior_std", "impute")
        if hasattr(estimator, name)
    }
    for name in ("components_", "mean_", "objective_path_", "noise_variance_"):
        if hasattr(estimator, name):
            found[name] = np.asarray(getattr(estimator, name))
    if hasattr(estimator, "inverse_transform") and hasattr(estimator, "components_"):
        found["inverse"] = estimator.inverse_transform(estimator.transform(X))
    if hasattr(estimator, "partial_fit"):
        found["stream"] = dense(clone(estimator).partial_fit(X).transform(X))
    return found


def check(estimator, table):
    """Raise AssertionError where an estimator breaks the law for a table."""
    X = table.X
    if sparse.issparse(X) and not estimator.__sklearn_tags__().input_tags.sparse:
        X = X.toarray()

    def both(X):
        found = results(estimator, X)
        if "n_jobs" in estimator.get_params() and X.shape[0] > 4096:
            again = results(estimator, X, n_jobs=2)
            for name, values in found.items():
                np.testing.assert_array_equal(values, again[name], err_msg=name)
        return found

    found = obeys(both, X, EXPECTED_WARNINGS)
    if found is None:
        return
    if "components_" in found:
        atoms = found["components_"].astype(np.float64)
        gram = atoms @ atoms.T
        np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-5)
        path = found["objective_path_"]
        assert np.all(np.diff(path) <= 1e-12 * np.abs(path[:-1]))
    if "impute" in found:
        measured = np.isfinite(dense(X))
        values = dense(X).astype(found["impute"].dtype)
        np.testing.assert_array_equal(found["impute"][measured], values[measured])


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_table_has_a_right_result_or_an_error_with_numbers(name):
    search(
        lambda table: check(ESTIMATORS[name], table),
        random_table,
        name,
        n_inputs(len(ESTIMATORS)),
    )
