"""What users pass as X: masked arrays, pandas.NA, nullable columns, and CSR."""

import numpy as np
import pytest
from common import ESTIMATORS, make_estimator, make_short
from scipy import sparse
from sklearn.base import clone

from skscn import (
    ConvSparseCoder,
    FlooredScaler,
    NonNegativeSparseCoder,
    OrthogonalSparseCoder,
    SparseCodingDetector,
    SparseCodingImputer,
    SparseCodingNetwork,
    SpatialPool,
    StreamingRidgeClassifier,
    iter_patches,
)

# Estimators of rows that accept missing values, and a method of each.
WITH_MISSING = {
    OrthogonalSparseCoder: "transform",
    NonNegativeSparseCoder: "score_samples",
    SparseCodingImputer: "transform",
    SparseCodingDetector: "score_samples",
    FlooredScaler: "transform",
}
each_with_missing = pytest.mark.parametrize("Estimator", list(WITH_MISSING))


@pytest.fixture
def X(rng):
    X = rng.laplace(size=(100, 6))
    X[::9, 2] = np.nan
    X[3, :] = np.nan
    return X


@each_with_missing
@pytest.mark.parametrize("fill_value", [-999.0, 1e20, np.inf])
def test_masked_values_are_missing(Estimator, fill_value, X):
    masked = np.ma.masked_array(np.where(np.isnan(X), fill_value, X), np.isnan(X))
    method = WITH_MISSING[Estimator]
    expected = getattr(Estimator().fit(X), method)(X)
    np.testing.assert_array_equal(
        getattr(Estimator().fit(masked), method)(masked), expected
    )


def test_masked_features_are_refused_where_missing_values_are(X):
    masked = np.ma.masked_array(np.nan_to_num(X), np.isnan(X))
    y = np.arange(len(X)) % 2
    with pytest.raises(ValueError, match="contains NaN"):
        StreamingRidgeClassifier().fit(masked, y)
    with pytest.raises(ValueError, match="contains NaN"):
        StreamingRidgeClassifier().fit(X[:, :2], np.ma.masked_equal(y, 1))


@pytest.mark.parametrize(
    "Estimator", [ConvSparseCoder, SpatialPool, SparseCodingNetwork]
)
def test_masked_images_and_codes_are_refused(Estimator, rng):
    images = rng.normal(size=(9, 8, 8))
    masked = np.ma.masked_greater(images, 2)
    layer = make_estimator(Estimator).fit(images)
    for call in (clone(layer).fit, layer.transform):
        for X in (masked, masked.reshape(9, 64)):
            with pytest.raises(ValueError, match="contains NaN"):
                call(X)
    codes = layer.transform(images)
    with pytest.raises(ValueError, match="contains NaN"):
        layer.inverse_transform(np.ma.masked_equal(codes, codes.max()))


def test_masked_codes_are_refused(rng):
    X = rng.normal(size=(9, 4))
    coder = OrthogonalSparseCoder(3, alpha=0.1, max_iter=0).fit(X)
    with pytest.raises(ValueError, match="contains NaN"):
        coder.inverse_transform(np.ma.masked_greater(coder.transform(X), 0))


@each_with_missing
@pytest.mark.parametrize("dtype", ["object", "Float64", "float64[pyarrow]", "Int64"])
def test_nullable_columns_have_the_results_of_arrays(Estimator, dtype, X):
    pandas = pytest.importorskip("pandas")
    if "pyarrow" in dtype:
        pytest.importorskip("pyarrow")
    X = np.round(10 * X) if dtype == "Int64" else X
    frame = pandas.DataFrame(X, columns=list("abcdef"))
    nullable = frame.astype("Float64").mask(frame.isna(), pandas.NA).astype(dtype)
    assert nullable.isna().sum().sum() == np.isnan(X).sum()
    method = WITH_MISSING[Estimator]
    fitted, expected = Estimator().fit(nullable), Estimator().fit(frame)
    assert list(fitted.feature_names_in_) == list("abcdef")
    # pandas decides on the memory order, which sums depend on by rounding errors.
    np.testing.assert_allclose(
        getattr(fitted, method)(nullable),
        getattr(expected, method)(frame),
        rtol=1e-9,
        atol=1e-9,
    )
    assert nullable.iloc[3, 0] is pandas.NA  # the caller's frame stays


# They learn in few iterations.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("Estimator", ESTIMATORS)
@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csr_matrix])
def test_codes_as_csr_are_read_or_clearly_refused(Estimator, container, rng):
    X = rng.laplace(size=(60, 16)) * (rng.random((60, 16)) < 0.4)
    y = np.arange(60) % 2
    estimator = make_short(Estimator)
    if hasattr(estimator, "image_shape"):
        estimator.set_params(image_shape=(4, 4))
    if not estimator.__sklearn_tags__().input_tags.sparse:
        with pytest.raises((TypeError, ValueError), match=r"'.toarray\(\)'|with_mean"):
            estimator.fit(container(X), y)
        return
    found, expected = clone(estimator).fit(container(X)), estimator.fit(X)
    method = "transform" if hasattr(found, "transform") else "score_samples"
    np.testing.assert_allclose(
        getattr(found, method)(container(X)),
        getattr(expected, method)(X),
        rtol=1e-6,
        atol=1e-6,  # codes near their threshold
    )


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("Coder", [OrthogonalSparseCoder, NonNegativeSparseCoder])
def test_csr_may_be_unsorted_and_have_duplicates_and_long_indices(Coder, index, rng):
    X = rng.laplace(size=(80, 10)) * (rng.random((80, 10)) < 0.3)
    rows, columns = np.nonzero(X)
    order = rng.permutation(len(rows))
    order = order[np.argsort(rows[order], kind="stable")]  # columns stay unsorted
    values = X[rows, columns][order] / 2
    indptr = 2 * np.searchsorted(rows[order], np.arange(81))
    csr = sparse.csr_array((80, 10))
    csr.data, csr.indptr = np.repeat(values, 2), indptr.astype(index)
    csr.indices = np.repeat(columns[order], 2).astype(index)
    assert not csr.has_canonical_format
    assert csr.indices.dtype == index
    before = csr.copy()
    coder = Coder(4, alpha=0.2, tol=1e-8)
    expected = clone(coder).fit(X)
    found = coder.fit(csr)
    np.testing.assert_allclose(found.components_, expected.components_, atol=1e-6)
    np.testing.assert_allclose(found.transform(csr), found.transform(X), atol=1e-10)
    np.testing.assert_array_equal(csr.data, before.data)  # X stays as it was
    np.testing.assert_array_equal(csr.indices, before.indices)


@pytest.mark.parametrize("value", [np.nan, -999.0, 1e30])
def test_values_under_a_mask_do_not_count(value):
    pixels = np.arange(36.0).reshape(6, 6)
    mask = pixels % 7 == 3
    filled = np.ma.masked_array(np.where(mask, value, pixels), mask)
    (rows,) = iter_patches([filled], 3)
    (expected,) = iter_patches([np.where(mask, np.nan, pixels)], 3)
    np.testing.assert_array_equal(rows, expected)
