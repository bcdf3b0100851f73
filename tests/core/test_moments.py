"""Theorems on moments: sums over rows, whatever the rows are cut into or stored as."""

from dataclasses import fields

import numpy as np
import pytest
from common import random_orthonormal
from scipy import sparse

from skscn._core import moments
from skscn._core.encoders import MapEncoder
from skscn._core.moments import (
    CodeMoments,
    code_moments,
    data_moments,
    encode,
    encode_sparse,
)
from skscn._core.priors import ONE_SIDED, SIGNED

COMPONENTS = random_orthonormal(5, 8)
CODES = [
    MapEncoder(SIGNED["laplace"], 0.5),
    MapEncoder(ONE_SIDED["exponential"], np.linspace(0, 1, 5)),
    MapEncoder(SIGNED["spike_slab"], 0.7),
]
each_code = pytest.mark.parametrize("code", CODES, ids=repr)
each_mean = pytest.mark.parametrize("mean", [None, np.linspace(-1, 1, 8)])


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Make sixty rows many blocks."""
    monkeypatch.setattr(moments, "BLOCK_ROWS", (7, 16))
    monkeypatch.setattr(moments, "BLOCK_BYTES", 1)


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


def of(X, weights=None, *, mean=None, code=CODES[0]):
    return code_moments(X, weights, components=COMPONENTS, mean=mean, code=code)


@each_code
@each_mean
def test_code_moments_are_their_definition(X, weights, mean, code):
    centred = X if mean is None else X - mean
    projections = centred @ COMPONENTS.T
    codes = code.encode(projections.copy())
    moments = of(X, weights, mean=mean, code=code)
    np.testing.assert_allclose(moments.weight, weights.sum())
    np.testing.assert_allclose(moments.cross, (codes * weights[:, None]).T @ centred)
    np.testing.assert_allclose(moments.total, weights @ codes)
    np.testing.assert_allclose(moments.gain, code.gain(codes, weights))
    # The curvature comes from the rows of the first block alone.
    few = weights[:7] @ np.ones(7)
    active = (codes[:7] != 0) * weights[:7, None]
    outside = (centred[:7] ** 2).sum(axis=1) - (projections[:7] ** 2).sum(axis=1)
    np.testing.assert_allclose(moments.sampled, few)
    np.testing.assert_allclose(
        moments.curvature,
        np.column_stack(
            [active.T @ projections[:7] ** 2, active.T @ outside, active.sum(axis=0)]
        ),
        atol=1e-12,
    )


@each_mean
def test_data_moments_are_their_definition(X, weights, mean):
    centred = X if mean is None else X - mean
    moments = data_moments(X, weights, mean=mean, scatter=True)
    np.testing.assert_allclose(moments.weight, weights.sum())
    np.testing.assert_allclose(moments.total, weights @ centred, atol=1e-12)
    np.testing.assert_allclose(moments.square, weights @ (centred**2).sum(axis=1))
    np.testing.assert_allclose(
        moments.scatter, (centred * weights[:, None]).T @ centred, atol=1e-12
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
        total = of(X[part], weights[part], mean=mean) + of(
            X[rest], weights[rest], mean=mean
        )
        whole = of(X, weights, mean=mean)
        np.testing.assert_allclose(total.cross, whole.cross, atol=1e-12)
        np.testing.assert_allclose(total.gain, whole.gain)


@each_mean
def test_integer_weights_are_repetition(X, weights, mean):
    repeated = np.repeat(X, weights.astype(int), axis=0)
    same(data_moments(X, weights, mean=mean), data_moments(repeated, None, mean=mean))
    weighted, plain = of(X, weights, mean=mean), of(repeated, mean=mean)
    for name in ("weight", "cross", "total", "gain"):
        np.testing.assert_allclose(
            getattr(weighted, name), getattr(plain, name), atol=1e-12
        )


@each_code
@each_mean
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csr_matrix])
def test_sparse_rows_have_the_moments_of_dense_ones(
    X, weights, mean, code, weighted, container, monkeypatch
):
    monkeypatch.setattr(moments, "BLOCK_ROWS", (60, 60))  # for the same curvature
    w = weights if weighted else None
    same(of(container(X), w, mean=mean, code=code), of(X, w, mean=mean, code=code))
    same(
        data_moments(container(X), w, mean=mean, scatter=True),
        data_moments(X, w, mean=mean, scatter=True),
    )


def test_moments_move_to_another_point(X, weights):
    shift = np.linspace(1, 2, 8)
    same(data_moments(X, weights).about(shift), data_moments(X, weights, mean=shift))
    # The codes stay; only what they are multiplied with moves.
    moved = of(X, weights).about(shift)
    codes = CODES[0].encode(X @ COMPONENTS.T)
    np.testing.assert_allclose(
        moved.cross, (codes * weights[:, None]).T @ (X - shift), atol=1e-12
    )


def test_atoms_are_rearranged_as_if_they_had_been_so_before(X):
    order, signs = np.array([3, 1, 0, 4, 2]), np.array([1.0, -1, 1, -1, -1])
    components = COMPONENTS[order] * signs[:, None]
    same(
        of(X).rearranged(order, signs),
        code_moments(X, None, components=components, mean=None, code=CODES[0]),
    )


@each_code
@each_mean
def test_dense_and_sparse_codes_are_their_definition(X, mean, code):
    expected = code.encode((X if mean is None else X - mean) @ COMPONENTS.T)
    arguments = {"components": COMPONENTS, "mean": mean, "code": code}
    for rows in (X, np.asfortranarray(X), sparse.csr_array(X)):
        np.testing.assert_allclose(encode(rows, None, **arguments), expected)
        csr = encode_sparse(rows, None, **arguments)
        np.testing.assert_allclose(csr.toarray(), expected)
        assert csr.nnz == np.count_nonzero(expected)


def test_float32_is_summed_in_float64(rng):
    X = (1000 + rng.normal(size=(60, 8))).astype(np.float32)
    mean = X.mean(axis=0, dtype=np.float64).astype(np.float32)
    exact = of(X.astype(float), mean=mean.astype(float))
    moments = code_moments(
        X, None, components=COMPONENTS.astype(np.float32), mean=mean, code=CODES[0]
    )
    assert moments.cross.dtype == np.float64
    # The distance from the origin costs no digits.
    np.testing.assert_allclose(moments.cross, exact.cross, atol=1e-4)


def test_moments_scale():
    moments = CodeMoments(1.0, np.ones((2, 3)), np.ones(2), 1.0, 1.0, np.ones((2, 3)))
    same(moments * 3.0, moments + moments + moments)
