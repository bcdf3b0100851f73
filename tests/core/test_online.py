"""Theorems on streams."""

import copy
from dataclasses import replace

import numpy as np
import pytest
from common import make_planted_data, orthonormality_error, recovered_fraction
from scipy import sparse

from skscn import NonNegativeSparseCoder, OrthogonalSparseCoder
from skscn._core.moments import DataMoments
from skscn._core.online import OnlineState


def chunks(X, sizes):
    start = 0
    for size in sizes:
        yield X[start : start + size]
        start += size


@pytest.fixture
def X():
    return make_planted_data(
        600, density=0.3, noise=0.1, seed=0, n_components=8, n_features=12
    )[0]


@pytest.mark.parametrize("forgetting", [0.0, 1.0, 2.5])
def test_the_i_th_of_n_samples_weighs_its_share_to_the_power(forgetting, X):
    """However the stream is cut; single rows make every sample a chunk."""
    coder = OrthogonalSparseCoder(8, init="random", forgetting=forgetting, alpha=0.5)
    for row in X[:50]:
        coder.partial_fit(row[None])
    expected = np.sum((np.arange(1, 51) / 50) ** forgetting)
    np.testing.assert_allclose(coder._online_state.moments.weight, expected)
    np.testing.assert_allclose(coder._online_state.code_moments.weight, expected)
    assert coder._online_state.weight_seen == 50


def test_the_mean_follows_the_stream(X):
    coder = OrthogonalSparseCoder(8, forgetting=0.0, alpha=0.5)
    for chunk in chunks(X + 3, (100, 1, 250, 249)):
        coder.partial_fit(chunk)
    np.testing.assert_allclose(coder.mean_, (X + 3).mean(axis=0))
    np.testing.assert_allclose(coder._online_state.moments.weighted_sum, 0, atol=1e-8)


@pytest.mark.parametrize("Coder", [OrthogonalSparseCoder, NonNegativeSparseCoder])
def test_repeated_over_the_same_data_it_rests_where_fit_does(Coder, X):
    streamed = Coder(8, alpha=0.5, forgetting=4.0)
    for _ in range(60):
        for chunk in chunks(X, (200, 100, 299, 1)):
            streamed.partial_fit(chunk)
    onward = Coder(8, alpha=0.5, init=streamed.components_, tol=0, max_iter=50).fit(X)
    start, *_, end = onward.objective_path_
    np.testing.assert_allclose(end, start, rtol=6e-3)


def test_going_on_from_a_fixed_point_of_fit_stays_there(X):
    coder = OrthogonalSparseCoder(8, alpha=0.5, tol=1e-12, max_iter=1000).fit(X)
    components = coder.components_
    for _ in range(5):
        coder.partial_fit(X)
    np.testing.assert_allclose(coder.components_, components, atol=1e-3)


@pytest.mark.parametrize("size", [3, 10, 100])
def test_a_planted_dictionary_is_recovered_from_chunks_of_any_size(size):
    X, atoms = make_planted_data(
        3000, density=0.2, noise=0.05, seed=1, n_components=10, n_features=10
    )
    coder = OrthogonalSparseCoder(alpha=0.3, forgetting=3.0)
    for start in [*range(0, len(X), size)] * (1 if size < 100 else 5):
        coder.partial_fit(X[start : start + size])
    assert orthonormality_error(coder.components_) < 1e-12
    assert recovered_fraction(coder.components_, atoms) == 1.0


def test_first_rows_are_row_buffer_for_their_principal_axes(X):
    """Any cut of the first rows starts the stream at the same dictionary."""
    whole, single = OrthogonalSparseCoder(8), OrthogonalSparseCoder(8)
    whole.partial_fit(X[:16])
    for row in X[:16]:
        single.partial_fit(row[None])
    np.testing.assert_allclose(single.components_, whole.components_, atol=1e-10)
    assert single._row_buffer is None
    assert (single.n_iter_, whole.n_iter_) == (16, 1)


def test_weights_are_repetition_while_gathering_and_after(X, rng):
    weights = rng.integers(1, 4, size=len(X)).astype(float)
    weighted, repeated = (OrthogonalSparseCoder(8, alpha=0.5) for _ in range(2))
    for part in (slice(0, 9), slice(9, 300), slice(300, 600)):
        weighted.partial_fit(X[part], sample_weight=weights[part])
        repeated.partial_fit(np.repeat(X[part], weights[part].astype(int), axis=0))
    np.testing.assert_allclose(
        np.abs(np.sum(weighted.components_ * repeated.components_, axis=1)), 1, atol=0.1
    )
    np.testing.assert_allclose(weighted.mean_, repeated.mean_)


def test_weights_count_among_the_row_buffer_rows(X):
    weighted, repeated = (OrthogonalSparseCoder(5, alpha=0.1) for _ in range(2))
    weighted.partial_fit(X[:6], sample_weight=np.full(6, 3)).partial_fit(X[6:12])
    repeated.partial_fit(np.repeat(X[:6], 3, axis=0)).partial_fit(X[6:12])
    np.testing.assert_allclose(weighted.components_, repeated.components_, atol=1e-6)


def test_a_copy_keeps_its_own_path(X):
    coder = OrthogonalSparseCoder(8, alpha=0.5).partial_fit(X)
    copy.copy(coder).partial_fit(X)
    assert len(coder.objective_path_) == 1


def test_chunks_may_be_sparse(X):
    X = X * (np.abs(X) > 0.5)
    dense, csr = (OrthogonalSparseCoder(8, alpha=0.5) for _ in range(2))
    for chunk in chunks(X, (5, 7, 300, 288)):
        dense.partial_fit(chunk)
        csr.partial_fit(sparse.csr_array(chunk))
    np.testing.assert_allclose(csr.components_, dense.components_, atol=1e-8)


def test_row_buffer_chunks_may_be_dense_and_sparse_by_turns(X):
    dense, mixed = (OrthogonalSparseCoder(8, alpha=0.5) for _ in range(2))
    for i, chunk in enumerate(chunks(X, (5, 2, 3, 290))):
        dense.partial_fit(chunk)
        mixed.partial_fit(sparse.csr_matrix(chunk) if i % 2 else chunk)
    np.testing.assert_allclose(mixed.components_, dense.components_, atol=1e-8)


def test_it_keeps_its_dtype_and_the_path_of_objectives(X):
    coder = OrthogonalSparseCoder(8, alpha=0.5).partial_fit(X[:300].astype(np.float32))
    coder.partial_fit(X[300:])
    assert coder.components_.dtype == np.float32
    assert coder.n_iter_ == len(coder.objective_path_) == 2


def test_a_given_dictionary_needs_no_gathering(X):
    coder = OrthogonalSparseCoder(init=np.eye(12)[:3], alpha=100.0)
    coder.partial_fit(X[:1])
    # Without codes there is nothing to learn from.
    np.testing.assert_allclose(coder.components_, np.eye(12)[:3])


@pytest.mark.parametrize("n_quiet", [30, 31])
def test_a_stream_starts_anew_once_most_of_it_has_a_smaller_scale(n_quiet):
    moments = DataMoments(30.0, np.zeros(2), 30 * 2 * 1e4, None)
    state = OnlineState(np.eye(2), np.zeros(2), moments, None, None, 30.0)
    for n_rows in (10, n_quiet - 10):
        quiet = DataMoments(n_rows, np.zeros(2), 2.0 * n_rows, None)
        state = state.with_scale_of(quiet, center=True)
        if state is not None:
            seen = state.weight_seen + n_rows
            state = replace(state, weight_seen=seen)
    assert (state is None) == (n_quiet > 30)


def test_a_loud_mini_batch_leaves_quiet_ones_uncounted():
    moments = DataMoments(30.0, np.zeros(2), 30 * 2 * 1e4, None)
    quiet = DataMoments(20.0, np.zeros(2), 40.0, None)
    state = OnlineState(np.eye(2), np.zeros(2), moments, None, None, 30.0, quiet)
    loud = DataMoments(5.0, np.zeros(2), 5 * 2 * 1e4, None)
    assert state.with_scale_of(loud, center=True).quiet is None


@pytest.mark.parametrize("alpha", [0.1, "auto"])
@pytest.mark.parametrize("size", [1, 5, 100])
def test_a_mean_that_moves_is_no_other_scale(alpha, size, rng):
    """The weights of samples are those of `forgetting`: here all are equal."""
    X = rng.normal(size=(600, 4)) + 0.1 * np.arange(600)[:, None]
    X[500:] -= 2000.0
    coder = OrthogonalSparseCoder(2, alpha=alpha, forgetting=0.0)
    for start in range(0, 600, size):
        coder.partial_fit(X[start : start + size])
    np.testing.assert_allclose(coder.mean_, X.mean(axis=0), atol=1e-10)


def test_mini_batches_whose_squares_overflow_are_refused_at_any_time(X):
    coder = OrthogonalSparseCoder(3, alpha=0.1).fit(X.astype(np.float32))
    with pytest.raises(ValueError, match="overflow"):
        coder.partial_fit(np.full((9, X.shape[1]), 1e25, dtype=np.float32))
