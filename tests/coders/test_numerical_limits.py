"""Theorems on scales, float32 and streams: the same results wherever digits allow."""

import numpy as np
import pytest
from common import make_planted_data, random_orthonormal
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso

from skscn import NonNegativeSparseCoder, OrthogonalSparseCoder, SparseCodingMixture

CODERS = [
    OrthogonalSparseCoder(prior="laplace"),
    OrthogonalSparseCoder(prior="spike_slab"),
    NonNegativeSparseCoder(prior="exponential"),
    NonNegativeSparseCoder(prior="spike_slab"),
]
each_coder = pytest.mark.parametrize(
    "coder", CODERS, ids=lambda coder: f"{type(coder).__name__}-{coder.prior}"
)
unfinished = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def non_negative_data(n_samples, n_features, n_components, signal, noise, seed=0):
    """Return exponential codes times orthonormal atoms, plus noise, and the atoms."""
    rng = np.random.default_rng(seed)
    atoms = random_orthonormal(n_components, n_features, seed)
    codes = rng.exponential(scale=signal, size=(n_samples, n_components))
    return codes @ atoms + noise * rng.normal(size=(n_samples, n_features)), atoms


# Scales


@each_coder
@unfinished
@pytest.mark.parametrize("alpha", [0.3, "auto"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("exponent", [-30, 25])
def test_powers_of_two_scale_the_results_to_the_last_bit(coder, alpha, dtype, exponent):
    X = make_planted_data(
        300, density=0.4, noise=0.1, seed=0, n_components=8, n_features=12
    )[0]
    X, factor = X.astype(dtype), 2.0**exponent
    coder = clone(coder).set_params(n_components=8, alpha=alpha, max_iter=20)
    scaled_alpha = alpha if alpha == "auto" else alpha * factor
    scaled = clone(coder).set_params(alpha=scaled_alpha)
    coder.fit(X), scaled.fit(X * dtype(factor))
    np.testing.assert_array_equal(scaled.components_, coder.components_)
    np.testing.assert_array_equal(scaled.mean_, coder.mean_ * dtype(factor))
    np.testing.assert_array_equal(scaled.alpha_, coder.alpha_ * dtype(factor))
    assert scaled.noise_variance_ == coder.noise_variance_ * factor**2
    np.testing.assert_allclose(
        scaled.score(X * dtype(factor)), coder.score(X) - 12 * np.log(factor), rtol=1e-5
    )


@unfinished
@pytest.mark.parametrize("exponent", [-300, 400])
@pytest.mark.parametrize("inference", ["map", "mean"])
def test_powers_of_two_scale_incomplete_rows(inference, exponent, digits):
    """Also where the variances of the prior would overflow."""
    factor = 2.0**exponent
    X = np.where(np.random.default_rng(0).random((200, 64)) < 0.2, np.nan, digits[:200])
    coder = OrthogonalSparseCoder(4, alpha=2.0, inference=inference, max_iter=5).fit(X)
    scaled = clone(coder).set_params(alpha=2.0 * factor).fit(X * factor)
    shift = np.count_nonzero(~np.isnan(X), axis=1) * np.log(factor)
    np.testing.assert_allclose(
        scaled.score_samples(X * factor) + shift, coder.score_samples(X), rtol=1e-6
    )
    for method in ("transform", "posterior_std", "impute"):
        found = getattr(scaled, method)(X * factor)
        expected = getattr(coder, method)(X)
        np.testing.assert_allclose(found / factor, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("exponent", [-30, -3, 20])
@pytest.mark.parametrize(
    "parameters",
    [
        {"alpha": 1.0},
        {"alpha": 1.0, "prior": "exponential"},
        {"alpha": 0.0, "n_nonzero_coefs": 2},
        {"alpha": "auto", "max_iter": 5},
    ],
)
@unfinished
def test_units_do_not_change_a_mixture(parameters, exponent, digits):
    X, scale = digits[:400], 2.0**exponent
    mixture = SparseCodingMixture(2, 8, random_state=0, **parameters).fit(X)
    if parameters["alpha"] != "auto":
        mixture.set_params(alpha=parameters["alpha"] * scale)
    scaled = clone(mixture).fit(X * scale)
    assert scaled.n_iter_ == mixture.n_iter_
    np.testing.assert_allclose(scaled.components_, mixture.components_, atol=1e-8)
    np.testing.assert_allclose(scaled.means_ / scale, mixture.means_, atol=1e-6)


@each_coder
@unfinished
@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_squares_that_just_fit_or_not_raise_no_warning(coder, missing, weighted):
    """A finite result up to the limit, and beyond it an error with the remedy."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 6))
    X[rng.random(X.shape) < missing] = np.nan
    weights = rng.integers(1, 4, size=200) if weighted else None
    options = {"alpha": "auto", "n_components": 2, "max_iter": 3}
    coder, results = clone(coder).set_params(**options), []
    for scale in np.logspace(15, 37, 12):
        try:
            coder.fit((X * scale).astype("f"), sample_weight=weights)
            results.append(np.isfinite(coder.objective_path_).all())
        except ValueError as error:
            results.append(str(error)[:53])
    n_finite = results.count(True)
    message = "The squares of the entries of X overflow float32. Sca"
    assert 1 <= n_finite < 12
    assert results == [True] * n_finite + [message] * (12 - n_finite)


@pytest.mark.parametrize("alpha", [1.0, "auto"])
@pytest.mark.parametrize("as_rows", [np.array, sparse.csr_array])
@unfinished
def test_rows_whose_squared_norms_overflow_have_no_likelihood(alpha, as_rows, rng):
    X = rng.normal(size=(100, 6))
    mixture = SparseCodingMixture(2, 4, alpha=alpha, max_iter=3, random_state=0).fit(X)
    coder = OrthogonalSparseCoder(4, alpha=alpha, max_iter=3).fit(X)
    methods = [mixture.transform, mixture.predict, mixture.predict_proba]
    methods += [mixture.reconstruct, mixture.score_samples, coder.score_samples]
    methods.append(coder.posterior_std)
    if as_rows is np.array:
        methods.append(coder.impute)
    rows = rng.normal(size=(3, 6)) * [[1.0], [1.0], [1e151]]
    for method in methods:
        assert np.isfinite(method(as_rows(rows))).all()
        with pytest.raises(ValueError, match="squared norms of rows leave the range"):
            method(as_rows(rows * 1e50))


@pytest.mark.parametrize("scale", [1e3, 1e150])
def test_equal_sparse_rows_have_no_codes(scale):
    """Their variance is what rounding errors leave of a difference of squares."""
    row = np.random.default_rng(0).normal(size=6) * scale
    X = sparse.csr_array(np.tile(row, (40, 1)))
    for coder in (
        OrthogonalSparseCoder(1, alpha="auto"),
        NonNegativeSparseCoder(2, alpha=0),
    ):
        coder = clone(coder).set_params(max_iter=5, tol=1).fit(X)
        codes = coder.transform(X)
        np.testing.assert_allclose(codes, 0, atol=1e-12 * scale)
        assert np.isfinite(coder.score_samples(X)).all()


@pytest.mark.parametrize("scale", [1e10, 1e-10])
def test_other_scales_give_the_same_atoms_in_float32(scale):
    X, _ = non_negative_data(3000, 20, 6, 1.0, 0.1)
    X = X.astype(np.float32)
    coder = NonNegativeSparseCoder(6, alpha="auto", max_iter=300)
    first, scaled = clone(coder).fit(X), clone(coder).fit(X * np.float32(scale))
    cosines = np.sum(first.components_ * scaled.components_, axis=1)
    np.testing.assert_allclose(cosines, 1.0, atol=1e-3)
    np.testing.assert_allclose(
        scaled.noise_variance_ / scale**2, first.noise_variance_, rtol=5e-3
    )


@each_coder
@pytest.mark.parametrize("alpha", [0.0, "auto"])
@pytest.mark.parametrize(
    ("dtype", "scale", "least"),
    [(np.float32, 1e-22, "1e-17"), (np.float64, 1e-160, "1e-142")],
)
def test_entries_whose_squares_underflow_are_refused(coder, alpha, dtype, scale, least):
    X = (np.random.default_rng(0).normal(size=(30, 4)) * scale).astype(dtype)
    coder = clone(coder).set_params(n_components=2, alpha=alpha)
    for container in (np.asarray, sparse.csr_array):
        with pytest.raises(ValueError, match=f"underflow.*larger than {least}"):
            coder.fit(container(X))


# Single precision


@pytest.mark.parametrize("signal", [10.0, 100.0, 1000.0])
@unfinished
def test_the_noise_variance_is_right_in_float32(signal):
    X, _ = non_negative_data(3000, 20, 5, signal, 0.1)
    coder = NonNegativeSparseCoder(5, alpha="auto").fit(X.astype(np.float32))
    np.testing.assert_allclose(coder.noise_variance_, 0.01, rtol=0.05)


def test_the_noise_variance_of_map_codes_is_right_in_float32():
    X, atoms = non_negative_data(3000, 20, 5, 1000.0, 0.1)
    coder = OrthogonalSparseCoder(5, prior="spike_slab", init=atoms, max_iter=0)
    coder.fit(X.astype(np.float32))
    np.testing.assert_allclose(coder.noise_variance_, 0.01, rtol=0.05)


@unfinished
def test_float32_learns_as_long_as_float64():
    X, atoms = non_negative_data(3000, 20, 6, 1.0, 0.005)
    double, single = (
        NonNegativeSparseCoder(6, alpha="auto").fit(X.astype(dtype))
        for dtype in (np.float64, np.float32)
    )
    assert single.score(X) > double.score(X) - 1.0
    assert np.abs(single.components_ @ atoms.T).max(axis=1).min() > 0.99


def test_a_stop_for_rounding_errors_is_warned_of(monkeypatch):
    """Where float64 sums are not taken, float32 stops early."""
    monkeypatch.setattr("skscn._core.objectives.MIN_FLOAT32_NOISE_FRACTION", 0.0)
    X, _ = non_negative_data(3000, 20, 6, 1.0, 0.001)
    coder = NonNegativeSparseCoder(6, alpha="auto", tol=0)
    with pytest.warns(ConvergenceWarning, match="rounding errors of float32"):
        coder.fit(X.astype(np.float32))


# Streams


@each_coder
@pytest.mark.parametrize("scale", [1e-4, 1e-2, 0.1, 1.0, 10.0, 100.0, 1e4])
@pytest.mark.parametrize("level", [0.0, 1e4])
def test_a_stream_recovers_from_any_first_mini_batch(coder, scale, level):
    rng = np.random.default_rng(0)
    codes = rng.laplace(size=(15_000, 8)) * np.linspace(3, 0.5, 8)
    X = codes @ random_orthonormal(8, 12) + 0.3 * rng.normal(size=(15_000, 12))
    X = X if isinstance(coder, OrthogonalSparseCoder) else np.abs(X)
    whole = clone(coder).set_params(n_components=8, alpha="auto").fit(X)
    stream = clone(coder).set_params(n_components=8, alpha="auto")
    stream.partial_fit(X[:150] * scale + level)
    for rows in np.array_split(X[150:], 100):
        stream.partial_fit(rows)
    assert stream.score(X) > whole.score(X) - 1.0


def test_the_estimated_noise_follows_a_stream_of_map_codes():
    rng = np.random.default_rng(0)
    X = rng.laplace(size=(600, 8)) @ rng.normal(size=(8, 8))
    coder = OrthogonalSparseCoder(6, alpha=0.5)
    coder.partial_fit(0.01 * rng.normal(size=(40, 8)))
    for _ in range(50):
        coder.partial_fit(X)
    whole = OrthogonalSparseCoder(6, alpha=0.5).fit(X)
    np.testing.assert_allclose(coder.noise_variance_, whole.noise_variance_, rtol=0.05)
    assert coder.score(X) > whole.score(X) - 0.2


def test_silence_in_a_long_stream_changes_nothing():
    X = make_planted_data(
        4000, density=0.4, noise=0.1, seed=0, n_components=8, n_features=12
    )[0]
    coder = OrthogonalSparseCoder(8, alpha="auto").partial_fit(X)
    before = coder._online_state.weight_seen
    coder.partial_fit(1e-4 * X[:500])
    assert coder._online_state.weight_seen == before + 500


# Missing values


def test_an_entry_that_hardly_tells_its_code_determines_it():
    e = 1e-3
    atom = [[e, np.sqrt(1 - e * e)]]
    coder = OrthogonalSparseCoder(1, alpha=1e-7, center=False, init=atom, max_iter=0)
    coder.fit(np.ones((3, 2)))
    code = coder.transform([[5 * e, np.nan]])
    np.testing.assert_allclose(code, (5 * e * e - 1e-7) / e**2, rtol=1e-9)


@pytest.mark.parametrize("n_components", [32, 64])
@pytest.mark.parametrize("Coder", [OrthogonalSparseCoder, NonNegativeSparseCoder])
def test_map_codes_of_incomplete_rows_solve_the_lasso(Coder, n_components, digits):
    rng = np.random.default_rng(0)
    X = np.where(rng.random(digits.shape) < 0.5, np.nan, digits)[:12]
    coder = Coder(n_components, alpha=0.5, max_iter=3, tol=1.0).fit(digits)
    residual = X - coder.mean_ - coder.transform(X) @ coder.components_
    penalty = 0.5 * np.abs(coder.transform(X)).sum(axis=1)
    objective = 0.5 * np.nansum(residual**2, axis=1) + penalty
    for row, found in zip(X - coder.mean_, objective, strict=True):
        measured = ~np.isnan(row)
        lasso = Lasso(
            alpha=0.5 / measured.sum(),
            fit_intercept=False,
            positive=Coder is NonNegativeSparseCoder,
            tol=1e-12,
            max_iter=100_000,
        ).fit(coder.components_.T[measured], row[measured])
        assert found <= lasso_objective(lasso, coder, row, measured) * (1 + 1e-8)


def lasso_objective(lasso, coder, row, measured):
    residual = row[measured] - lasso.coef_ @ coder.components_[:, measured]
    return 0.5 * residual @ residual + 0.5 * np.abs(lasso.coef_).sum()


@each_coder
def test_a_row_without_measurements_says_nothing(coder, digits):
    coder = clone(coder).set_params(n_components=32, alpha="auto", max_iter=5, tol=1.0)
    coder.fit(digits)
    empty = np.full((1, 64), np.nan)
    assert coder.score_samples(empty) == 0.0
    prior = coder._prior_object
    parameters = coder._estimate.parameters.prior_parameters
    np.testing.assert_allclose(
        coder.posterior_std(empty)[0], np.sqrt(prior.variance(parameters)), rtol=1e-3
    )


@each_coder
@pytest.mark.parametrize("n_missing", [1, 4, 7])
def test_likelihoods_of_incomplete_rows_are_those_of_sampling(coder, n_missing):
    rng = np.random.default_rng(0)
    X = make_planted_data(
        500, density=0.5, noise=0.3, seed=0, n_components=4, n_features=8
    )[0]
    coder = clone(coder).set_params(n_components=4, alpha="auto", tol=1e-3).fit(X)
    rows = X[:5].copy()
    rows[:, rng.permutation(8)[:n_missing]] = np.nan
    codes = coder._prior_object.sample(
        coder._estimate.parameters.prior_parameters, 200_000, rng
    )
    means = codes @ coder.components_ + coder.mean_
    noise = coder.noise_variance_
    for row, found in zip(rows, coder.score_samples(rows), strict=True):
        measured = ~np.isnan(row)
        distance = ((row[measured] - means[:, measured]) ** 2).sum(axis=1)
        weight = np.exp(-distance / (2 * noise))
        if weight.sum() ** 2 < 300 * (weight**2).sum():
            continue  # too few samples are near the row
        log_p = np.log(np.mean(weight))
        log_p -= measured.sum() / 2 * np.log(2 * np.pi * noise)
        assert abs(found - log_p) < 0.4


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_rows_of_weight_zero_do_not_count(weight):
    X = np.random.default_rng(0).normal(size=(50, 5))
    filled = np.vstack([X, np.full((3, 5), 1e200), np.full((2, 5), -999.0)])
    weights = np.append(np.full(50, 1.0 + weight), np.zeros(5))
    coder = OrthogonalSparseCoder(3, alpha=0.3)
    expected = clone(coder).fit(X, sample_weight=weights[:50])
    found = clone(coder).fit(filled, sample_weight=weights)
    np.testing.assert_array_equal(found.components_, expected.components_)
    assert found.noise_variance_ == expected.noise_variance_


def test_masked_values_are_missing():
    X = np.random.default_rng(0).normal(size=(50, 5))
    X[3, 2] = -9999.0
    masked = np.ma.masked_equal(X, -9999.0)
    coder = OrthogonalSparseCoder(3, alpha=0.3)
    found = clone(coder).fit(masked)
    expected = clone(coder).fit(np.where(X == -9999.0, np.nan, X))
    np.testing.assert_array_equal(found.components_, expected.components_)
    np.testing.assert_array_equal(found.transform(masked), expected.transform(masked))


# Wide data


@each_coder
@pytest.mark.parametrize("n_components", [5, 30, 80])
def test_wide_data_are_learned_in_the_span_of_their_rows(coder, n_components):
    """As without the short cut: the objective, and codes that rotate with the data."""
    X = np.random.default_rng(0).laplace(size=(20, 80))
    coder = clone(coder).set_params(
        n_components=n_components, alpha=0.5, tol=1e-9, max_iter=500
    )
    wide = clone(coder).fit(X)
    atoms = wide.components_
    np.testing.assert_allclose(atoms @ atoms.T, np.eye(n_components), atol=1e-12)
    again = clone(coder).set_params(init=atoms).fit(X)  # without the short cut
    np.testing.assert_allclose(
        wide.objective_path_[-1], again.objective_path_[-1], rtol=1e-6
    )
    # Only the principal axes are known to lie in the span: others are kept.
    coder.set_params(init="random", max_iter=0, random_state=0)
    tall = clone(coder).fit(np.tile(X, (10, 1)))  # without the short cut, too
    np.testing.assert_allclose(coder.fit(X).components_, tall.components_, atol=1e-12)


@pytest.mark.parametrize("factor", [1e-300, 1e300])
def test_weights_whose_products_leave_float64_are_refused(factor, rng):
    X, coder = rng.normal(size=(50, 4)), OrthogonalSparseCoder(2)
    for fit in (coder.fit, coder.partial_fit):
        with pytest.raises(ValueError, match="Divide all weights by a constant"):
            fit(X, sample_weight=np.full(50, factor))
