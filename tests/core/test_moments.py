"""Theorems on moments: sums over rows, whatever the rows are cut into or stored as."""

from dataclasses import fields

import numpy as np
import pytest
from common import random_orthonormal
from scipy import sparse

from skscn._core import sparse_model
from skscn._core.encoders import MapEncoder
from skscn._core.moments import CodeMoments, code_moments, data_moments
from skscn._core.priors import ONE_SIDED, SIGNED
from skscn._core.sparse_model import SparseModel

COMPONENTS = random_orthonormal(5, 8)
ENCODERS = [
    MapEncoder(SIGNED["laplace"], 0.5),
    MapEncoder(ONE_SIDED["exponential"], np.linspace(0, 1, 5)),
    MapEncoder(SIGNED["spike_slab"], 0.7),
]
each_encoder = pytest.mark.parametrize("encoder", ENCODERS, ids=repr)
each_mean = pytest.mark.parametrize("mean", [None, np.linspace(-1, 1, 8)])


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Make sixty rows many blocks."""
    monkeypatch.setattr(sparse_model, "MIN_BLOCK_ROWS", 7)
    monkeypatch.setattr(sparse_model, "MAX_BLOCK_ROWS", 16)
    monkeypatch.setattr(sparse_model, "BLOCK_BYTES", 1)


@pytest.fixture
def X(rng):
    return rng.normal(size=(60, 8)) * (rng.random((60, 8)) < 0.5)


@pytest.fixture
def weights(rng):
    return rng.integers(0, 4, size=60).astype(float)


def same(first, second, **kwargs):
    assert type(first) is type(second)
    for field in fields(first):
        a, b = (getattr(moments, field.name) for moments in (first, second))
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, atol=1e-10, **kwargs)


def moments_of(X, weights=None, *, mean=None, encoder=ENCODERS[0]):
    return code_moments(X, weights, model=SparseModel(COMPONENTS, mean, encoder))


@each_encoder
@each_mean
def test_code_moments_are_their_definition(X, weights, mean, encoder):
    centered = X if mean is None else X - mean
    projections = centered @ COMPONENTS.T
    codes = encoder.encode(projections.copy())
    moments = moments_of(X, weights, mean=mean, encoder=encoder)
    np.testing.assert_allclose(moments.weight, weights.sum())
    np.testing.assert_allclose(moments.cross, (codes * weights[:, None]).T @ centered)
    np.testing.assert_allclose(moments.code_sum, weights @ codes)
    np.testing.assert_allclose(
        moments.objective_decrease,
        encoder.prior.objective_decrease(codes, encoder.threshold, weights),
    )
    # The curvature comes from the rows of the first block alone.
    few = weights[:7] @ np.ones(7)
    active = (codes[:7] != 0) * weights[:7, None]
    residual = (centered[:7] ** 2).sum(axis=1) - (projections[:7] ** 2).sum(axis=1)
    np.testing.assert_allclose(moments.curvature_weight, few)
    np.testing.assert_allclose(
        moments.curvature,
        np.column_stack(
            [active.T @ projections[:7] ** 2, active.T @ residual, active.sum(axis=0)]
        ),
        atol=1e-12,
    )


@each_mean
def test_data_moments_are_their_definition(X, weights, mean):
    centered = X if mean is None else X - mean
    moments = data_moments(X, weights, mean=mean, scatter=True)
    np.testing.assert_allclose(moments.weight, weights.sum())
    np.testing.assert_allclose(moments.weighted_sum, weights @ centered, atol=1e-12)
    np.testing.assert_allclose(moments.sum_squares, weights @ (centered**2).sum(axis=1))
    np.testing.assert_allclose(
        moments.scatter, (centered * weights[:, None]).T @ centered, atol=1e-12
    )


@each_mean
def test_moments_of_stacked_data_add_up(X, weights, mean):
    for part in (slice(0, 7), slice(0, 1), slice(0, 30)):
        rest = slice(part.stop, None)
        same(
            data_moments(X[part], weights[part], mean=mean)
            + data_moments(X[rest], weights[rest], mean=mean),
            data_moments(X, weights, mean=mean),
        )
        total = moments_of(X[part], weights[part], mean=mean) + moments_of(
            X[rest], weights[rest], mean=mean
        )
        whole = moments_of(X, weights, mean=mean)
        np.testing.assert_allclose(total.cross, whole.cross, atol=1e-12)
        np.testing.assert_allclose(total.objective_decrease, whole.objective_decrease)


@each_mean
def test_integer_weights_are_repetition(X, weights, mean):
    repeated = np.repeat(X, weights.astype(int), axis=0)
    same(data_moments(X, weights, mean=mean), data_moments(repeated, None, mean=mean))
    weighted, plain = moments_of(X, weights, mean=mean), moments_of(repeated, mean=mean)
    for name in ("weight", "cross", "code_sum", "objective_decrease"):
        np.testing.assert_allclose(
            getattr(weighted, name), getattr(plain, name), atol=1e-12
        )


@each_encoder
@each_mean
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csr_matrix])
def test_sparse_rows_have_the_moments_of_dense_ones(
    X, weights, mean, encoder, weighted, container, monkeypatch
):
    monkeypatch.setattr(sparse_model, "MIN_BLOCK_ROWS", 60)  # for the same curvature
    monkeypatch.setattr(sparse_model, "MAX_BLOCK_ROWS", 60)
    w = weights if weighted else None
    same(
        moments_of(container(X), w, mean=mean, encoder=encoder),
        moments_of(X, w, mean=mean, encoder=encoder),
    )
    same(
        data_moments(container(X), w, mean=mean, scatter=True),
        data_moments(X, w, mean=mean, scatter=True),
    )


def test_moments_move_to_another_point(X, weights):
    shift = np.linspace(1, 2, 8)
    same(
        data_moments(X, weights).recentered(shift), data_moments(X, weights, mean=shift)
    )
    # The codes stay; only what they are multiplied with moves.
    moved = moments_of(X, weights).recentered(shift)
    codes = ENCODERS[0].encode(X @ COMPONENTS.T)
    np.testing.assert_allclose(
        moved.cross, (codes * weights[:, None]).T @ (X - shift), atol=1e-12
    )


def test_atoms_are_permuted_as_if_they_had_been_in_that_order(X):
    order, signs = np.array([3, 1, 0, 4, 2]), np.array([1.0, -1, 1, -1, -1])
    components = COMPONENTS[order] * signs[:, None]
    same(
        moments_of(X).permuted(order, signs),
        code_moments(X, None, model=SparseModel(components, None, ENCODERS[0])),
    )


@each_encoder
@each_mean
def test_dense_and_sparse_codes_are_their_definition(X, mean, encoder):
    expected = encoder.encode((X if mean is None else X - mean) @ COMPONENTS.T)
    model = SparseModel(COMPONENTS, mean, encoder)
    for rows in (X, np.asfortranarray(X), sparse.csr_array(X)):
        np.testing.assert_allclose(model.encode(rows), expected)
        csr = model.encode_to_csr(rows)
        np.testing.assert_allclose(csr.toarray(), expected)
        assert csr.nnz == np.count_nonzero(expected)


def test_codes_of_rows_that_are_not_finite_are_nan(rng):
    X = rng.normal(size=(5, COMPONENTS.shape[1]))
    model = SparseModel(COMPONENTS, None, ENCODERS[0])
    expected = model.encode(X)
    for value in (np.inf, -np.inf, np.nan):
        bad = X.copy()
        bad[2, 3] = value
        codes = model.encode(bad)
        assert np.isnan(codes[2]).all()
        np.testing.assert_array_equal(np.delete(codes, 2, 0), np.delete(expected, 2, 0))


def test_float32_is_summed_in_float64(rng):
    X = (1000 + rng.normal(size=(60, 8))).astype(np.float32)
    mean = X.mean(axis=0, dtype=np.float64).astype(np.float32)
    exact = moments_of(X.astype(float), mean=mean.astype(float))
    model = SparseModel(COMPONENTS.astype(np.float32), mean, ENCODERS[0])
    moments = code_moments(X, None, model=model)
    assert moments.cross.dtype == np.float64
    # The distance from the origin costs no digits.
    np.testing.assert_allclose(moments.cross, exact.cross, atol=1e-4)


def test_moments_scale():
    moments = CodeMoments(1.0, np.ones((2, 3)), np.ones(2), 1.0, 1.0, np.ones((2, 3)))
    same(moments * 3.0, moments + moments + moments)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_variance_of_constant_csr_is_its_rounding_error(dtype):
    # Rows that are not centered do not resolve a smaller one.
    X = sparse.csr_array(np.full((50, 4), 3.0, dtype=dtype))
    moments = data_moments(X, None, mean=np.full(4, 3.0, dtype=dtype))
    expected = 50 * np.finfo(dtype).eps * 36
    np.testing.assert_allclose(moments.sum_squares, expected)
