"""Processes of joblib, maps that are read-only, and searches within searches."""

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score

from skscn import OrthogonalSparseCoder

coder = OrthogonalSparseCoder(3, alpha=0.5, max_iter=4, tol=1, n_jobs=2)


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i2"])
def test_read_only_maps_give_the_bits_of_memory(
    backend, dtype, tmp_path, short_slices, rng
):
    X = (10 * rng.laplace(size=(2 * short_slices, 5))).astype(dtype)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    expected = clone(coder).fit(np.asarray(mapped))
    with joblib.parallel_config(backend=backend, n_jobs=2):
        found = clone(coder).fit(mapped)
        codes = found.transform(mapped)
    np.testing.assert_array_equal(found.components_, expected.components_)
    np.testing.assert_allclose(codes, expected.transform(X), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(mapped, X)


def test_a_search_in_every_fold_of_a_validation(rng):
    X = rng.laplace(size=(90, 6)) * np.arange(1, 7)
    search = GridSearchCV(
        clone(coder).set_params(alpha=0.1, n_jobs=None), {"n_components": [1, 4]}, cv=2
    )
    scores = [
        cross_val_score(search.set_params(n_jobs=inner), X, cv=3, n_jobs=outer)
        for inner, outer in [(None, None), (None, 2), (2, 2)]
    ]
    np.testing.assert_array_equal(scores[1], scores[0])
    np.testing.assert_array_equal(scores[2], scores[0])
