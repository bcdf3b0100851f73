"""Theorems on missing entries: NaN in, and nothing else changes."""

import numpy as np
import pytest
from common import make_planted_data, random_orthonormal, recovered_fraction
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso, LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from skscn import NonNegativeSparseCoder, OrthogonalSparseCoder
from skscn._core import expectation_propagation
from skscn._core.missing_values import has_missing, impute_rows
from skscn._core.model_parameters import ModelParameters

CODERS = [
    OrthogonalSparseCoder(alpha=2.0),
    OrthogonalSparseCoder(alpha="auto"),
    OrthogonalSparseCoder(alpha="auto", prior="spike_slab", inference="mean"),
    NonNegativeSparseCoder(alpha=2.0),
    NonNegativeSparseCoder(alpha="auto", inference="mean"),
    NonNegativeSparseCoder(alpha="auto", prior="spike_slab"),
]
each_coder = pytest.mark.parametrize(
    "coder", CODERS, ids=lambda c: f"{type(c).__name__}-{c.prior}-{c.alpha}"
)
unfinished = pytest.mark.filterwarnings(
    f"ignore::{ConvergenceWarning.__module__}.{ConvergenceWarning.__qualname__}"
)


def with_missing(X, share=0.2, seed=0):
    return np.where(np.random.default_rng(seed).random(X.shape) < share, np.nan, X)


@pytest.mark.parametrize("Coder", [OrthogonalSparseCoder, NonNegativeSparseCoder])
def test_codes_are_those_of_the_lasso_on_what_was_measured(Coder, digits):
    coder = Coder(20, alpha=2.0, tol=1e-2).fit(digits)
    X = with_missing(digits[:30])
    codes = coder.transform(X)
    for row, code in zip(X, codes, strict=True):
        measured = ~np.isnan(row)
        lasso = Lasso(
            2.0 / measured.sum(),
            fit_intercept=False,
            positive=Coder is NonNegativeSparseCoder,
            tol=1e-10,
            max_iter=100_000,
        ).fit(coder.components_[:, measured].T, (row - coder.mean_)[measured])
        np.testing.assert_allclose(code, lasso.coef_, atol=1e-3)


@pytest.fixture(params=[3, 6], ids="{} atoms".format)
def gaussian(request):
    """Return a coder whose slab is always there, and its mean and covariance."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5000, 3)) @ (random_orthonormal(3, 6) * [[3], [2], [1.5]])
    X += 0.5 * rng.normal(size=X.shape) + 4
    size = request.param
    coder = OrthogonalSparseCoder(size, prior="spike_slab", alpha="auto", tol=1.0)
    D, slab, noise = coder.fit(X).components_, np.linspace(9, 2, size), 0.3
    coder._estimate = ModelParameters(np.array([np.full(size, 1 - 1e-9), slab]), noise)
    covariance = D.T * slab @ D + noise * np.eye(6)
    return coder, coder.mean_, covariance, with_missing(X[:40], 0.3)


def test_for_gaussian_data_likelihood_and_completion_are_exact(gaussian):
    coder, mean, covariance, X = gaussian
    filled, scores = coder.impute(X), coder.score_samples(X)
    for row, full, score in zip(X, filled, scores, strict=True):
        seen = ~np.isnan(row)
        within = covariance[np.ix_(seen, seen)]
        if seen.any():
            expected = multivariate_normal(mean[seen], within).logpdf(row[seen])
            np.testing.assert_allclose(score, expected, atol=1e-6)
        pull = np.linalg.solve(within, row[seen] - mean[seen])
        given = mean + covariance[:, seen] @ pull
        np.testing.assert_allclose(full[~seen], given[~seen], atol=1e-6)
        np.testing.assert_array_equal(full[seen], row[seen])


def test_for_gaussian_data_the_posterior_is_exact(gaussian):
    coder, mean, covariance, X = gaussian
    D, slab = coder.components_, coder.prior_["slab_variance"]
    means = clone(coder).set_params(inference="mean")
    means.__dict__.update(vars(coder), inference="mean")
    codes, deviations = means.transform(X), coder.posterior_std(X)
    for row, code, deviation in zip(X, codes, deviations, strict=True):
        seen = ~np.isnan(row)
        cross = slab[:, None] * D[:, seen]
        gain = np.linalg.solve(covariance[np.ix_(seen, seen)], cross.T).T
        np.testing.assert_allclose(code, gain @ (row - mean)[seen], atol=1e-6)
        variance = slab - np.einsum("ij,ij->i", gain, cross)
        np.testing.assert_allclose(deviation, np.sqrt(variance), rtol=1e-6)


@pytest.mark.parametrize("n_components", [5, 12])
@pytest.mark.parametrize("prior", ["laplace", "spike_slab"])
def test_incomplete_rows_depend_neither_on_others_nor_on_the_kind_of_system(
    n_components, prior, monkeypatch
):
    X, _ = make_planted_data(
        500, density=0.4, noise=0.3, seed=0, n_components=12, n_features=12
    )
    coder = OrthogonalSparseCoder(
        n_components, prior=prior, alpha="auto", inference="mean", tol=0.1
    ).fit(X)
    X = with_missing(X[:60], 0.3)

    def results(rows):
        scores = coder.score_samples(rows)[:, None]
        return np.hstack([scores, coder.transform(rows), coder.posterior_std(rows)])

    together = results(X)
    alone = np.vstack([results(row[None]) for row in X])
    np.testing.assert_allclose(alone, together, rtol=1e-7, atol=1e-9)
    for ratio in (0, np.inf):
        monkeypatch.setattr(expectation_propagation, "MAX_FEW_RATIO", ratio)
        np.testing.assert_allclose(results(X), together, rtol=1e-6, atol=1e-7)


@each_coder
@unfinished
def test_the_objective_never_rises(coder, digits):
    coder = clone(coder).set_params(n_components=12, max_iter=15)
    coder.fit(with_missing(digits[:400]))
    path = np.array(coder.objective_path_)
    assert np.all(np.diff(path) <= 0)
    assert path[-1] < path[0]
    assert np.isfinite(coder.score(with_missing(digits)))


@pytest.mark.parametrize("Coder", [OrthogonalSparseCoder, NonNegativeSparseCoder])
def test_noise_is_that_of_what_was_measured(Coder):
    """Completed entries have no noise, and do not make it smaller."""
    rng = np.random.default_rng(0)
    X = np.abs(rng.laplace(size=(4000, 3))) @ random_orthonormal(3, 12)
    X += 0.3 * rng.normal(size=X.shape)
    for alpha in (0.1, "auto"):
        coder = Coder(3, alpha=alpha, center=False).fit(X)
        lossy = clone(coder).fit(with_missing(X))
        np.testing.assert_allclose(
            lossy.noise_variance_, coder.noise_variance_, rtol=0.1
        )


@each_coder
@unfinished
def test_complete_rows_do_not_notice(coder, digits):
    coder = clone(coder).set_params(n_components=12, max_iter=5).fit(digits)
    X = digits[:60].copy()
    X[::3] = with_missing(X[::3])
    for method in (coder.transform, coder.score_samples, coder.posterior_std):
        found, expected = method(X), method(digits[:60])
        for start in (1, 2):
            np.testing.assert_array_equal(found[start::3], expected[start::3])
        assert np.isfinite(found).all()
    np.testing.assert_array_equal(coder.impute(digits), digits)
    # Nor does it matter what stands beside a row.
    np.testing.assert_allclose(
        coder.transform(X)[:9],
        np.vstack([coder.transform(row[None]) for row in X[:9]]),
        atol=1e-9,
    )
    csr = coder.set_params(sparse_output=True).transform(X)
    dense = coder.set_params(sparse_output=False).transform(X)
    np.testing.assert_allclose(csr.toarray(), dense, atol=1e-12)


@each_coder
@unfinished
def test_a_row_of_nothing_is_the_mean_of_the_model(coder, digits):
    coder = clone(coder).set_params(n_components=5, max_iter=5).fit(digits)
    X = np.vstack([np.full(64, np.nan), digits[0]])
    assert np.isfinite(coder.transform(X)).all()
    assert np.isfinite(coder.score_samples(X)).all()
    assert np.isfinite(coder.impute(X)).all()


def test_a_planted_dictionary_is_recovered_from_what_is_left():
    X, atoms = make_planted_data(
        3000, density=0.2, noise=0.05, seed=0, n_components=8, n_features=16
    )
    for alpha in (0.2, "auto"):
        coder = OrthogonalSparseCoder(8, alpha=alpha, max_iter=200).fit(with_missing(X))
        assert recovered_fraction(coder.components_, atoms) == 1.0
        error = np.sqrt(np.mean((coder.impute(with_missing(X)) - X) ** 2))
        assert error < 0.5 * np.sqrt(0.2 * np.mean(X**2))


@each_coder
@unfinished
def test_weights_are_repetition_and_workers_change_nothing(coder, digits, rng):
    X = with_missing(digits[:120])
    weights = rng.integers(1, 4, size=120)
    coder = clone(coder).set_params(n_components=6, max_iter=3)
    weighted = clone(coder).fit(X, sample_weight=weights)
    repeated = clone(coder).fit(np.repeat(X, weights, axis=0))
    np.testing.assert_allclose(
        weighted.objective_path_, repeated.objective_path_, rtol=1e-4
    )
    two = clone(coder).set_params(n_jobs=2).fit(X, sample_weight=weights)
    assert two.objective_path_ == weighted.objective_path_


@each_coder
def test_chunks_of_a_stream_may_have_gaps(coder, digits):
    coder = clone(coder).set_params(n_components=6)
    for chunk in np.array_split(with_missing(digits), 6):
        coder.partial_fit(chunk)
    gone = digits[:50].copy()
    gone[:, 20] = np.nan  # a model that knows the feature can do without
    coder.partial_fit(gone)
    assert np.isfinite(coder.score(digits))
    single, weights = clone(coder).fit(digits.astype("f4")), np.ones(50, dtype="f4")
    single.partial_fit(gone.astype("f4"), sample_weight=weights)
    assert np.isfinite(single.score(digits))
    complete_data = clone(coder)
    for chunk in np.array_split(digits, 6):
        complete_data.partial_fit(chunk)
    lost = complete_data.score(digits) - coder.score(digits)
    assert lost < 15


def test_rows_are_left_alone_by_completion(digits):
    X = with_missing(digits[:5])
    before = X.copy()
    coder = OrthogonalSparseCoder(4, alpha=2.0, tol=0.1).fit(X)
    coder.impute(X)
    coder.transform(X)
    np.testing.assert_array_equal(X, before)


def test_single_precision_stays_so(digits):
    X = with_missing(digits).astype(np.float32)
    coder = OrthogonalSparseCoder(6, alpha=2.0, tol=0.1).fit(X)
    assert coder.impute(X).dtype == coder.transform(X).dtype == np.float32
    rows = impute_rows(X[:9], model=coder._posterior_mean_model(np.float32))
    assert rows.dtype == np.float32


def test_in_a_pipeline_in_front_of_a_classifier(digits):
    y = digits[:, 20] > 8
    X = with_missing(np.delete(digits, 20, axis=1))
    model = make_pipeline(
        OrthogonalSparseCoder(16, alpha=2.0, tol=1e-2, max_iter=30),
        LogisticRegression(max_iter=2000),
    )
    assert cross_val_score(model, X, y, cv=3).mean() > 0.75


def test_a_single_nan_in_any_block_is_found_and_nothing_else():
    parts = [slice(0, 2), slice(2, 4), slice(4, 6)]
    X = np.ones((6, 3))
    X[1, 1], X[1, 2] = np.inf, -np.inf  # their sum is NaN
    assert not has_missing(X, parts)
    assert not has_missing(np.ones((6, 3)), parts)
    for row in range(6):
        incomplete = X.copy()
        incomplete[row, 0] = np.nan
        assert has_missing(incomplete, parts)
