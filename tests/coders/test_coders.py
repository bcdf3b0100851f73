"""Theorems on the coders, with scikit-learn as the oracle."""

import copy
import pickle
import tracemalloc

import numpy as np
import pytest
from common import (
    make_planted_data,
    orthonormality_error,
    random_orthonormal,
    recovered_fraction,
)
from scipy import sparse
from sklearn.base import clone
from sklearn.decomposition import PCA, SparseCoder, sparse_encode
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from skscn import NonNegativeSparseCoder, OrthogonalSparseCoder
from skscn._core.procrustes import polar_factor

CODERS = [
    OrthogonalSparseCoder(alpha=3.0),
    OrthogonalSparseCoder(alpha=3.0, prior="spike_slab"),
    NonNegativeSparseCoder(alpha=3.0),
    NonNegativeSparseCoder(alpha=3.0, prior="spike_slab"),
]
each_coder = pytest.mark.parametrize(
    "coder", CODERS, ids=lambda c: f"{type(c).__name__}-{c.prior}"
)


@pytest.mark.parametrize("n_components", [10, 64])
@pytest.mark.parametrize("alpha", [0.5, 3.0, 12.0])
def test_codes_are_those_of_the_lasso(n_components, alpha, digits):
    """The soft threshold of the projections is what coordinate descent finds."""
    coder = OrthogonalSparseCoder(n_components, alpha=alpha).fit(digits)
    expected = sparse_encode(
        digits[:50] - coder.mean_,
        coder.components_,
        algorithm="lasso_cd",
        alpha=alpha,
        max_iter=10_000,
    )
    np.testing.assert_allclose(coder.transform(digits[:50]), expected, atol=1e-10)


@pytest.mark.parametrize("n_components", [10, 64])
@pytest.mark.parametrize("alpha", [0.5, 3.0, 12.0])
def test_non_negative_codes_are_those_of_the_positive_lasso(
    n_components, alpha, digits
):
    coder = NonNegativeSparseCoder(n_components, alpha=alpha, tol=1e-3).fit(digits)
    expected = sparse_encode(
        digits[:50] - coder.mean_,
        coder.components_,
        algorithm="lasso_cd",
        alpha=alpha,
        positive=True,
        max_iter=10_000,
    )
    np.testing.assert_allclose(coder.transform(digits[:50]), expected, atol=1e-10)


def test_one_prior_per_coefficient_is_a_layer_of_relu_units_with_biases(digits):
    priors = np.linspace(0, 8, 20)
    coder = NonNegativeSparseCoder(20, alpha=priors).fit(digits)
    weights, biases = coder.components_, -priors
    biases = biases - coder.mean_ @ weights.T
    np.testing.assert_allclose(
        coder.transform(digits), np.maximum(digits @ weights.T + biases, 0), atol=1e-10
    )


def test_with_a_given_dictionary_it_is_scikit_learns_sparse_coder(digits):
    atoms = random_orthonormal(30, 64)
    given = OrthogonalSparseCoder(init=atoms, alpha=2.0, center=False, max_iter=0)
    oracle = SparseCoder(
        atoms, transform_algorithm="threshold", transform_alpha=2.0
    ).fit(digits)
    np.testing.assert_array_equal(given.fit(digits).components_, atoms)
    np.testing.assert_allclose(
        given.transform(digits), oracle.transform(digits), atol=1e-10
    )
    assert given.n_iter_ == 0


def test_without_prior_it_is_pca(digits):
    pca = PCA(12).fit(digits)
    coder = OrthogonalSparseCoder(12, alpha=0).fit(digits)
    rebuilt = coder.inverse_transform(coder.transform(digits))
    np.testing.assert_allclose(
        rebuilt, pca.inverse_transform(pca.transform(digits)), atol=1e-6
    )


@each_coder
def test_the_objective_is_that_of_the_docstring(coder, digits):
    coder = clone(coder).set_params(n_components=25).fit(digits)
    codes = coder.transform(digits)
    residual = digits - coder.inverse_transform(codes)
    hard = coder.prior == "spike_slab"
    penalty = 4.5 * (codes != 0) if hard else 3.0 * np.abs(codes)
    expected = (0.5 * (residual**2).sum() + penalty.sum()) / len(digits)
    np.testing.assert_allclose(coder.objective_path_[-1], expected)
    assert np.all(np.diff(coder.objective_path_) <= 0)
    assert len(coder.objective_path_) == coder.n_iter_ + 1


@each_coder
@pytest.mark.parametrize("n_components", [1, 30, 64])
def test_many_orthonormal_atoms_with_codes_of_their_prior(coder, n_components, digits):
    coder = clone(coder).set_params(n_components=n_components).fit(digits)
    codes = coder.transform(digits)
    assert orthonormality_error(coder.components_) < 1e-12
    assert codes.shape == (len(digits), n_components)
    if isinstance(coder, NonNegativeSparseCoder):
        assert codes.min() >= 0
    smallest = np.abs(codes[codes != 0]).min()
    assert (smallest > 3.0) == (coder.prior == "spike_slab")
    # Atoms come in the order of what their codes explain.
    explained = np.sum(codes * ((digits - coder.mean_) @ coder.components_.T), axis=0)
    assert np.all(np.diff(explained) <= 1e-6 * explained[0])


@pytest.mark.parametrize("seed", range(10))
def test_a_planted_dictionary_is_recovered_by_default(seed):
    X, atoms = make_planted_data(300, density=0.1, noise=0.05, seed=seed)
    coder = OrthogonalSparseCoder(alpha=0.2, init="random", random_state=seed).fit(X)
    assert recovered_fraction(coder.components_, atoms) == 1.0


@each_coder
def test_codes_turn_with_the_data(coder, digits):
    """Turning the features turns the atoms, and leaves the codes as they are."""
    turn = random_orthonormal(64, 64)
    coder = clone(coder).set_params(n_components=10, max_iter=3, tol=1)
    plain = clone(coder).fit(digits)
    turned = clone(coder).set_params(init=plain.components_ @ turn).fit(digits @ turn)
    again = clone(coder).set_params(init=plain.components_).fit(digits)
    np.testing.assert_allclose(
        turned.objective_path_, again.objective_path_, rtol=1e-10
    )
    np.testing.assert_allclose(
        np.abs(turned.transform(digits @ turn)),
        np.abs(again.transform(digits)),
        atol=1e-8,
    )


@each_coder
def test_integer_weights_are_repetition(coder, digits, rng):
    X = digits[:200]
    weights = rng.integers(0, 4, size=200)
    coder = clone(coder).set_params(n_components=10, max_iter=4, tol=1)
    weighted = clone(coder).fit(X, sample_weight=weights)
    repeated = clone(coder).fit(np.repeat(X, weights, axis=0))
    np.testing.assert_allclose(weighted.components_, repeated.components_, atol=1e-6)
    np.testing.assert_allclose(weighted.mean_, repeated.mean_)
    np.testing.assert_allclose(weighted.objective_path_, repeated.objective_path_)


@each_coder
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize(
    "container",
    [sparse.csr_array, sparse.csr_matrix, sparse.csc_array, sparse.coo_matrix],
)
def test_sparse_input_is_dense_input(coder, center, container, digits):
    coder = clone(coder).set_params(n_components=8, center=center, max_iter=20, tol=0.1)
    dense = clone(coder).fit(digits)
    from_sparse = clone(coder).fit(container(digits))
    np.testing.assert_allclose(from_sparse.components_, dense.components_, atol=1e-8)
    np.testing.assert_allclose(
        from_sparse.transform(container(digits)), dense.transform(digits), atol=1e-8
    )
    if not center:
        assert not dense.mean_.any()


@each_coder
def test_sparse_output_is_dense_output(coder, digits):
    coder = clone(coder).fit(digits)
    dense = coder.transform(digits)
    csr = coder.set_params(sparse_output=True).transform(digits)
    assert sparse.isspmatrix_csr(csr)
    assert csr.nnz == np.count_nonzero(dense)
    np.testing.assert_array_equal(csr.toarray(), dense)
    np.testing.assert_allclose(
        coder.inverse_transform(csr), coder.inverse_transform(dense)
    )


@each_coder
@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array])
def test_float32_stays_float32(coder, make, digits):
    X = digits.astype(np.float32)
    coder = clone(coder).set_params(n_components=10, max_iter=20, tol=0.1)
    double = clone(coder).fit(digits)
    single = clone(coder).fit(make(X))
    for array in (single.components_, single.mean_, single.alpha_):
        assert array.dtype == np.float32
    codes = single.transform(make(X))
    assert codes.dtype == np.float32
    assert single.inverse_transform(codes).dtype == np.float32
    assert single.transform(digits).dtype == np.float64
    np.testing.assert_allclose(
        single.objective_path_[-1], double.objective_path_[-1], rtol=1e-3
    )


@each_coder
def test_float32_learns_at_a_level_of_thousands_of_deviations(coder, digits):
    """At 100,000 the pixels are still integers that float32 holds."""
    far = digits + 1e5
    single = clone(coder).fit(far.astype(np.float32))
    double = clone(coder).fit(digits)
    # The objective is that of these atoms, and not above that of float64. There are
    # many local minima with spike_slab, and it can be a lower one.
    objective = single.objective_path_[-1]
    init = polar_factor(single.components_.astype(np.float64))
    fixed = clone(coder).set_params(init=init, max_iter=0).fit(digits)
    np.testing.assert_allclose(objective, fixed.objective_path_[-1], rtol=1e-3)
    ratio = objective / double.objective_path_[-1]
    assert ratio < 1 + 1e-3
    if coder.prior != "spike_slab":
        np.testing.assert_allclose(ratio, 1, rtol=1e-3)
    codes = single.transform(far.astype(np.float32))
    expected = single.transform(far)
    np.testing.assert_allclose(codes, expected, atol=0.01 * np.abs(expected).max())


def test_float32_far_from_the_origin_keeps_its_digits(digits):
    coder = OrthogonalSparseCoder(
        init=random_orthonormal(20, 64), alpha=1.0, max_iter=0
    )
    near, far = digits.astype(np.float32), (digits + 4096).astype(np.float32)
    codes, expected = (clone(coder).fit(X).transform(X) for X in (far, near))
    np.testing.assert_allclose(codes, expected, atol=2e-3)


def test_each_sample_is_coded_by_itself(digits):
    coder = OrthogonalSparseCoder(alpha=2.0).fit(digits)
    together = coder.transform(digits)
    alone = np.vstack([coder.transform(row[None]) for row in digits[:20]])
    np.testing.assert_allclose(alone, together[:20], atol=1e-12)


@pytest.mark.parametrize("alpha", [2.0, np.linspace(1, 3, 64)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_layout_does_not_matter(alpha, order, digits):
    coder = OrthogonalSparseCoder(alpha=alpha, max_iter=5, tol=0.1)
    X = np.array(digits, order=order)
    X.flags.writeable = False
    np.testing.assert_allclose(
        clone(coder).fit(X).transform(X),
        clone(coder).fit(digits).transform(digits),
        atol=1e-7,
    )


def test_a_memmap_is_read_slice_by_slice(tmp_path, rng):
    """Fit and transform need no memory that grows with the file."""
    shape = (60_000, 64)  # 31 MB
    X = np.memmap(tmp_path / "X.dat", dtype=np.float64, mode="w+", shape=shape)
    X[:] = rng.laplace(size=shape)
    X.flush()
    coder = OrthogonalSparseCoder(8, max_iter=2, tol=1)
    whole = clone(coder).fit(np.array(X))
    read = np.memmap(tmp_path / "X.dat", dtype=np.float64, mode="r", shape=shape)
    tracemalloc.start()
    coder.fit(read).partial_fit(read)
    peak_of_fit = tracemalloc.get_traced_memory()[1]
    codes = coder.transform(read)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_of_fit < 8e6
    assert peak - codes.nbytes < 8e6
    np.testing.assert_array_equal(
        whole.partial_fit(np.array(X)).components_, coder.components_
    )


def test_sparse_output_of_sparse_input_never_is_dense():
    """A dense array of all codes, or of all input, would be 64 MB or more."""
    n_samples = 20_000
    X = sparse.random(n_samples, 3000, density=0.002, format="csr", random_state=0)
    coder = NonNegativeSparseCoder(
        400, alpha=2.0, init="dct", max_iter=0, sparse_output=True
    )
    with pytest.warns(UserWarning, match="All codes of the training data are zero"):
        coder.fit(X[:500])
    tracemalloc.start()
    codes = coder.transform(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert codes.shape == (n_samples, 400)
    assert peak < 50e6


@pytest.mark.parametrize("init", ["pca", "dct", "random"])
def test_starts_lead_to_sparser_codes_than_they_have(init, digits):
    coder = OrthogonalSparseCoder(alpha=3.0, init=init, random_state=0).fit(digits)
    assert coder.objective_path_[-1] < coder.objective_path_[0]
    again = clone(coder).fit(digits)
    np.testing.assert_array_equal(again.components_, coder.components_)


def test_a_given_start_is_where_learning_starts(digits):
    atoms = random_orthonormal(20, 64)
    coder = OrthogonalSparseCoder(init=atoms, alpha=3.0, max_iter=50, tol=0.1)
    start = clone(coder).set_params(max_iter=0).fit(digits)
    assert coder.fit(digits).objective_path_[0] == start.objective_path_[0]
    assert len(coder.components_) == 20


def test_warm_start_goes_on_where_the_last_fit_ended(digits):
    coder = OrthogonalSparseCoder(alpha=3.0, warm_start=True, max_iter=3)
    with pytest.warns(ConvergenceWarning, match="max_iter=3"):
        coder.fit(digits)
    end = coder.objective_path_[-1]
    coder.set_params(max_iter=200).fit(digits)
    np.testing.assert_allclose(coder.objective_path_[0], end)
    assert coder.objective_path_[-1] < end


def test_atoms_with_priors_of_their_own_keep_their_place(digits):
    """Coefficient j has prior alpha[j], so its atom is not sorted away."""
    alpha = np.array([1e6, 3.0, 1e6, 3.0])
    coder = OrthogonalSparseCoder(4, alpha=alpha).fit(digits)
    np.testing.assert_array_equal(coder.alpha_, alpha)
    active = (coder.transform(digits) != 0).any(axis=0)
    np.testing.assert_array_equal(active, [False, True, False, True])


def test_signs_are_canonical_for_signed_codes_alone(digits):
    signed = OrthogonalSparseCoder(10, alpha=2.0).fit(digits).components_
    largest = np.take_along_axis(signed, np.abs(signed).argmax(axis=1)[:, None], 1)
    assert largest.min() > 0
    oriented = NonNegativeSparseCoder(10, alpha=2.0).fit(digits).components_
    largest = np.take_along_axis(oriented, np.abs(oriented).argmax(axis=1)[:, None], 1)
    assert largest.min() < 0


def test_a_prior_beyond_all_projections_leaves_zero_codes_and_says_so(digits):
    coder = OrthogonalSparseCoder(alpha=1000.0)
    with pytest.warns(UserWarning, match=r"alpha=1000\.0 is above every projection"):
        coder.fit(digits)
    assert not coder.transform(digits).any()
    np.testing.assert_allclose(
        coder.inverse_transform(np.zeros((1, 64)))[0], coder.mean_
    )


def test_codes_that_sum_to_zero_are_no_zero_codes():
    X = np.vstack([np.eye(4), -np.eye(4)])
    assert OrthogonalSparseCoder(alpha=0.1).fit(X).transform(X).any()


@pytest.mark.parametrize(
    "X", [np.ones((3, 4)), np.eye(4), np.ones((1, 4)), np.zeros((5, 4))]
)
@each_coder
def test_degenerate_data_give_an_orthonormal_dictionary(coder, X):
    coder = clone(coder).set_params(alpha=0.0).fit(X)
    assert orthonormality_error(coder.components_) < 1e-12
    if type(coder) is OrthogonalSparseCoder:
        rebuilt = coder.inverse_transform(coder.transform(X))
        np.testing.assert_allclose(rebuilt, X, atol=1e-12)


@each_coder
def test_one_feature_will_do(coder):
    X = np.linspace(-9, 9, 30)[:, None]
    codes = clone(coder).fit(X).transform(X)
    assert np.count_nonzero(codes) == (
        20 if isinstance(coder, OrthogonalSparseCoder) else 10
    )


def test_unequal_classes_of_slices_do_not_matter(digits):
    """Sorted data have the mean and the dictionary of shuffled data."""
    order = np.argsort(digits.sum(axis=1))
    coder = OrthogonalSparseCoder(10, alpha=3.0)
    shuffled, ordered = clone(coder).fit(digits), clone(coder).fit(digits[order])
    np.testing.assert_allclose(
        ordered.objective_path_[-1], shuffled.objective_path_[-1], rtol=1e-2
    )


@each_coder
def test_copies_and_pickles_code_the_same(coder, digits):
    coder = clone(coder).fit(digits)
    expected = coder.transform(digits)
    for other in (pickle.loads(pickle.dumps(coder)), copy.deepcopy(coder)):
        np.testing.assert_array_equal(other.transform(digits), expected)
        other.partial_fit(digits)
    np.testing.assert_array_equal(coder.transform(digits), expected)


def test_transform_before_fit_says_so(digits):
    for method in ("transform", "inverse_transform"):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            getattr(OrthogonalSparseCoder(), method)(digits)
