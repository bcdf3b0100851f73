"""Coders with a limited number of coefficients, and with split signs."""

import numpy as np
import pytest
from common import make_planted_data, orthonormality_error, recovered_fraction
from scipy import sparse
from sklearn.base import clone
from sklearn.decomposition import SparseCoder, sparse_encode

from skscn import (
    NonNegativeSparseCoder,
    OrthogonalSparseCoder,
    PriorDisplay,
    denoise_image,
    interpret_network,
)

each_coder = pytest.mark.parametrize(
    "coder",
    [
        OrthogonalSparseCoder(16, n_nonzero_coefs=4),
        OrthogonalSparseCoder(16, alpha=1.0, n_nonzero_coefs=4),
        OrthogonalSparseCoder(
            16, prior="spike_slab", alpha=np.linspace(0, 5, 16), n_nonzero_coefs=4
        ),
        NonNegativeSparseCoder(16, n_nonzero_coefs=4),
        NonNegativeSparseCoder(16, prior="spike_slab", alpha=2.0, n_nonzero_coefs=4),
        OrthogonalSparseCoder(16, alpha=2.0, split_sign=True),
        OrthogonalSparseCoder(16, n_nonzero_coefs=4, split_sign=True),
    ],
    ids=repr,
)
unfinished = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
pytestmark = unfinished


def fitted(coder, X, **options):
    return clone(coder).set_params(max_iter=15, tol=1e-3, **options).fit(X)


@pytest.mark.parametrize("n_components", [10, 48])
@pytest.mark.parametrize("n_nonzero", [1, 5, 48, 100])
def test_codes_are_those_of_orthogonal_matching_pursuit(
    n_components, n_nonzero, digits
):
    coder = OrthogonalSparseCoder(n_components, n_nonzero_coefs=n_nonzero, max_iter=5)
    coder.fit(digits)
    expected = sparse_encode(
        digits[:100] - coder.mean_,
        coder.components_,
        algorithm="omp",
        n_nonzero_coefs=min(n_nonzero, n_components),
    )
    np.testing.assert_allclose(coder.transform(digits[:100]), expected, atol=1e-10)


@each_coder
def test_the_objective_never_rises_and_is_that_of_the_codes(coder, digits):
    coder = fitted(coder, digits)
    assert np.all(np.diff(coder.objective_path_) <= 0)
    assert orthonormality_error(coder.components_) < 1e-12
    codes = coder.transform(digits)
    residual = digits - coder.inverse_transform(codes)
    alpha = np.tile(coder.alpha_, codes.shape[1] // 16)
    penalty = alpha * codes if coder.prior != "spike_slab" else alpha**2 / 2
    penalty = np.abs(penalty) * (codes != 0)
    expected = 0.5 * (residual**2).sum(axis=1) + penalty.sum(axis=1)
    np.testing.assert_allclose(coder.objective_path_[-1], expected.mean())
    if coder.n_nonzero_coefs is not None:
        assert (codes != 0).sum(axis=1).max() <= 4


def test_a_limit_above_the_number_of_atoms_is_none(digits):
    for Coder in (OrthogonalSparseCoder, NonNegativeSparseCoder):
        limited = Coder(8, alpha=2.0, n_nonzero_coefs=9, max_iter=4).fit(digits)
        unlimited = Coder(8, alpha=2.0, max_iter=4).fit(digits)
        np.testing.assert_array_equal(
            limited.transform(digits), unlimited.transform(digits)
        )


def test_alpha_is_zero_by_default_where_codes_are_limited(digits):
    coder = OrthogonalSparseCoder(8, max_iter=2)
    assert np.all(clone(coder).fit(digits).alpha_ == 1)
    assert np.all(coder.set_params(n_nonzero_coefs=3).fit(digits).alpha_ == 0)


@pytest.mark.parametrize("seed", range(3))
def test_planted_atoms_are_recovered(seed):
    """Rows of three atoms each: nothing else has to be known about the codes."""
    rng = np.random.default_rng(seed)
    _, atoms = make_planted_data(
        1, density=1, noise=0, seed=seed, n_components=24, n_features=24
    )
    supports = np.argsort(rng.random((2000, 24)), axis=1) < 3
    X = (rng.laplace(size=supports.shape) * supports) @ atoms
    X += 0.01 * rng.normal(size=X.shape)
    coder = OrthogonalSparseCoder(
        n_nonzero_coefs=3, init="random", random_state=seed, max_iter=300, tol=1e-6
    )
    assert recovered_fraction(coder.fit(X).components_, atoms) == 1.0


@each_coder
def test_sparse_output_and_workers_change_nothing(coder, digits):
    coder = fitted(coder, digits)
    codes = coder.transform(digits)
    np.testing.assert_array_equal(codes, fitted(coder, digits).fit_transform(digits))
    two = fitted(coder, np.tile(digits, (6, 1)), n_jobs=2)
    one = fitted(coder, np.tile(digits, (6, 1)))
    np.testing.assert_array_equal(one.components_, two.components_)
    csr = coder.set_params(sparse_output=True).transform(digits)
    assert csr.format == "csr"
    assert csr.has_sorted_indices
    assert csr.nnz == np.count_nonzero(codes)
    np.testing.assert_array_equal(csr.toarray(), codes)
    np.testing.assert_allclose(
        coder.inverse_transform(csr), coder.inverse_transform(codes), atol=1e-10
    )
    from_csr = coder.transform(sparse.csr_array(digits))
    np.testing.assert_allclose(from_csr.toarray(), codes, atol=1e-9)


@each_coder
def test_float32_stays_float32(coder, digits):
    coder = fitted(coder, digits.astype("f"))
    codes = coder.transform(digits.astype("f"))
    assert codes.dtype == coder.components_.dtype == np.float32
    assert coder.inverse_transform(codes).dtype == np.float32
    np.testing.assert_allclose(
        coder.objective_path_[-1], fitted(coder, digits).objective_path_[-1], rtol=1e-3
    )


@each_coder
def test_integer_weights_are_repetition(coder, digits, rng):
    X, weights = digits[:200], rng.integers(0, 4, size=200)
    coder = clone(coder).set_params(max_iter=4, tol=1)
    weighted = clone(coder).fit(X, sample_weight=weights)
    repeated = clone(coder).fit(np.repeat(X, weights, axis=0))
    np.testing.assert_allclose(weighted.components_, repeated.components_, atol=1e-6)
    np.testing.assert_allclose(weighted.objective_path_, repeated.objective_path_)
    weighted = clone(coder).partial_fit(X, sample_weight=weights)
    repeated = clone(coder).partial_fit(np.repeat(X, weights, axis=0))
    np.testing.assert_allclose(weighted.components_, repeated.components_, atol=1e-6)


@each_coder
def test_a_stream_stays_where_fit_ended(coder, digits):
    coder = clone(coder).set_params(max_iter=300, tol=1e-7).fit(digits)
    objective = coder.objective_path_[-1]
    for _ in range(20):
        coder.partial_fit(digits)
    assert coder.objective_path_[-1] < objective * (1 + 1e-4)


@each_coder
def test_incomplete_rows_have_codes_that_are_a_fixed_point(coder, digits, rng):
    """Missing values that are what the code says have the same code."""
    coder = fitted(coder, digits)
    X = np.where(rng.random(digits.shape) < 0.1, np.nan, digits)[:300]
    codes = coder.transform(X)
    assert np.isfinite(codes).all()
    imputed = np.where(np.isnan(X), coder.inverse_transform(codes), X)
    np.testing.assert_allclose(coder.transform(imputed), codes, atol=1e-4)
    csr = coder.set_params(sparse_output=True).transform(X)
    np.testing.assert_allclose(csr.toarray(), codes, atol=1e-9)


@pytest.mark.parametrize("options", [{}, {"n_nonzero_coefs": 3}])
def test_split_signs_are_those_of_scikit_learn(options, digits):
    coder = OrthogonalSparseCoder(
        16, alpha=2.0, split_sign=True, center=False, max_iter=3, **options
    ).fit(digits)
    plain = clone(coder).set_params(split_sign=False).fit(digits)
    codes, signed = coder.transform(digits), plain.transform(digits)
    assert codes.min() == 0
    np.testing.assert_array_equal(codes[:, :16] - codes[:, 16:], signed)
    np.testing.assert_allclose(
        coder.inverse_transform(codes), plain.inverse_transform(signed), atol=1e-10
    )
    assert len(set(coder.get_feature_names_out())) == 32
    if not options:
        oracle = SparseCoder(
            coder.components_,
            transform_algorithm="lasso_cd",
            transform_alpha=2.0,
            transform_max_iter=10_000,
            split_sign=True,
        )
        expected = oracle.fit(digits[:50]).transform(digits[:50])
        np.testing.assert_allclose(codes[:50], expected, atol=1e-10)


def test_split_signs_of_a_data_frame_have_distinct_names(digits):
    pytest.importorskip("pandas")
    coder = OrthogonalSparseCoder(3, split_sign=True).set_output(transform="pandas")
    frame = coder.fit_transform(digits)
    assert list(frame) == [f"orthogonalsparsecoder{i}" for i in range(6)]


def test_split_signs_are_read_as_a_layer_of_relu_units(digits):
    coder = OrthogonalSparseCoder(16, alpha=2.0, split_sign=True, max_iter=3)
    report = interpret_network(coder.fit(digits), digits)
    (layer,) = report.layers
    np.testing.assert_allclose(
        layer.atoms, np.vstack([coder.components_, -coder.components_])
    )
    weight = np.vstack([coder.components_, -coder.components_])
    bias = -2.0 - weight @ coder.mean_
    np.testing.assert_allclose(
        np.maximum(digits @ weight.T + bias, 0), coder.transform(digits), atol=1e-10
    )
    np.testing.assert_allclose(
        report.predict(digits), coder.transform(digits), atol=1e-10
    )


def test_what_a_limit_does_not_go_with_says_so(digits):
    coder = OrthogonalSparseCoder(8, n_nonzero_coefs=3, max_iter=1)
    with pytest.raises(ValueError, match=r'n_nonzero_coefs=3.*alpha="auto".*alpha=0'):
        clone(coder).set_params(alpha="auto").fit(digits)
    with pytest.raises(ValueError, match=r"n_nonzero_coefs=3.*inference='mean'"):
        clone(coder).set_params(inference="mean").fit(digits)
    with pytest.raises(ValueError, match=r"n_nonzero_coefs.*int"):
        clone(coder).set_params(n_nonzero_coefs=0).fit(digits)
    coder.fit(digits)
    with pytest.raises(ValueError, match=r"n_nonzero_coefs=3.*inference='mean'"):
        clone(coder).fit(digits).set_params(inference="mean").transform(digits)
    with pytest.raises(ValueError, match="n_nonzero_coefs=0 must be an integer"):
        clone(coder).fit(digits).set_params(n_nonzero_coefs=0).transform(digits)
    with pytest.raises(ValueError, match="n_nonzero_coefs=3"):
        PriorDisplay.from_estimator(coder, digits)
    with pytest.raises(ValueError, match="n_nonzero_coefs=3"):
        denoise_image(np.random.default_rng(0).normal(size=(20, 20)), coder=coder)
    with pytest.raises(TypeError, match=r"split_sign=False.*split_sign=True"):
        interpret_network(coder)
    limited = NonNegativeSparseCoder(8, n_nonzero_coefs=3, max_iter=1).fit(digits)
    with pytest.raises(ValueError, match="n_nonzero_coefs=3: its code is no ReLU"):
        interpret_network(limited)


def test_the_limit_may_change_after_fit(digits):
    coder = OrthogonalSparseCoder(16, alpha=0, max_iter=3).fit(digits)
    for n_nonzero in (2, 5):
        codes = coder.set_params(n_nonzero_coefs=n_nonzero).transform(digits)
        assert (codes != 0).sum(axis=1).max() == n_nonzero
