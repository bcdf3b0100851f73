"""Theorems on coders as distributions: likelihood, means, samples, what is learned."""

import pickle

import numpy as np
import pytest
from common import orthonormality_error, random_orthonormal
from scipy import sparse
from scipy.integrate import quad, trapezoid
from scipy.stats import laplace, norm
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score

from skscn import (
    NonNegativeSparseCoder,
    OrthogonalSparseCoder,
    SparseCodingMixture,
)
from skscn._core.encoders import PosteriorMeanEncoder

CODERS = [
    OrthogonalSparseCoder(alpha="auto"),
    OrthogonalSparseCoder(alpha="auto", prior="spike_slab"),
    NonNegativeSparseCoder(alpha="auto"),
    NonNegativeSparseCoder(alpha="auto", prior="spike_slab"),
]
each_coder = pytest.mark.parametrize(
    "coder", CODERS, ids=lambda c: f"{type(c).__name__}-{c.prior}"
)
# A few iterations tell as much as many.
unfinished = pytest.mark.filterwarnings(
    f"ignore::{ConvergenceWarning.__module__}.{ConvergenceWarning.__qualname__}"
)


def sample_rows(coder, n_samples, n_components, n_features, seed=0, *, center=True):
    """Return data of a model, its atoms, and the numbers of its prior."""
    rng = np.random.default_rng(seed)
    atoms = random_orthonormal(n_components, n_features, seed)
    scale = np.linspace(1, 2, n_components)
    shape = n_samples, n_components
    if coder.prior == "spike_slab":
        weight = np.linspace(0.2, 0.4, n_components)
        codes = 2 * scale * rng.normal(size=shape) * (rng.random(shape) < weight)
        numbers = np.array([weight, 4 * scale**2])
    else:
        codes = scale * rng.laplace(size=shape)
        numbers = 1 / scale[None]
    if isinstance(coder, NonNegativeSparseCoder):
        codes = np.abs(codes)
    mean = rng.normal(size=n_features) if center else 0.0
    X = mean + codes @ atoms + 0.5 * rng.normal(size=(n_samples, n_features))
    return X, atoms, numbers


@each_coder
@pytest.mark.parametrize("n_components", [1, 20, 64])
@unfinished
def test_the_likelihood_never_falls(coder, n_components, digits):
    coder = clone(coder).set_params(n_components=n_components, max_iter=30, tol=0)
    coder.fit(digits)
    path = np.array(coder.objective_path_)
    assert np.all(np.diff(path) <= 0)
    assert path[-1] < path[0]
    assert orthonormality_error(coder.components_) < 1e-12
    np.testing.assert_allclose(-coder.score(digits), path[-1], rtol=1e-9)


@pytest.mark.parametrize(
    "X",
    [
        np.zeros((5, 4)),
        np.ones((5, 4)),
        np.eye(4),
        np.outer(np.arange(6.0), np.ones(4)),
        np.full((3, 4), 1e-140),
        np.diag([1e6, 1.0, 1e-6, 0.0]),
        np.arange(4.0)[None],
    ],
    ids=["zeros", "ones", "identity", "one axis", "tiny", "scales", "one sample"],
)
@each_coder
@pytest.mark.parametrize("n_components", [2, 4])
@pytest.mark.parametrize("center", [True, False])
@unfinished
@pytest.mark.filterwarnings("ignore:All codes of the training data are zero")
def test_degenerate_data_do_no_harm(X, coder, n_components, center):
    coder = clone(coder).set_params(n_components=n_components, center=center)
    for alpha in ("auto", 0.0, 0.5):
        coder.set_params(alpha=alpha, max_iter=15).fit(X)
        assert np.all(np.diff(coder.objective_path_) <= 0)
        assert orthonormality_error(coder.components_) < 1e-12
        assert np.isfinite(coder.score_samples(X)).all()
        assert np.isfinite(coder.posterior_std(X)).all()
        assert np.isfinite(coder.sample(3, 0)).all()
        assert coder.noise_variance_ > 0
        assert np.isfinite(coder.rate_).all()


@each_coder
def test_the_model_is_recovered_from_its_own_samples(coder):
    """Atoms, mean, noise and the numbers of the prior to five percent."""
    X, atoms, numbers = sample_rows(coder, 50_000, 6, 8)
    coder = clone(coder).set_params(n_components=6, tol=1e-6, max_iter=200).fit(X)
    cosines = coder.components_ @ atoms.T
    place = np.argmax(np.abs(cosines), axis=1)
    assert np.abs(cosines).max(axis=1).min() > 0.99
    np.testing.assert_allclose(coder.noise_variance_, 0.25, rtol=0.05)
    learned = np.array(list(coder.prior_.values()))
    np.testing.assert_allclose(learned, numbers[:, place], rtol=0.05)
    np.testing.assert_allclose(coder.rate_, coder.alpha_ / coder.noise_variance_)


def test_noise_is_told_from_codes_without_a_direction_of_its_own():
    """As many atoms as features: shapes alone tell codes from noise."""
    X, _, numbers = sample_rows(CODERS[0], 50_000, 6, 6)
    coder = OrthogonalSparseCoder(alpha="auto", tol=1e-6, max_iter=200).fit(X)
    np.testing.assert_allclose(coder.noise_variance_, 0.25, rtol=0.05)
    np.testing.assert_allclose(np.sort(coder.rate_), np.sort(numbers[0]), rtol=0.05)


@each_coder
def test_samples_of_the_model_are_as_likely_as_its_data(coder):
    X, _, _ = sample_rows(coder, 20_000, 6, 8)
    coder = clone(coder).set_params(n_components=6).fit(X)
    Z = coder.sample(20_000, random_state=0)
    np.testing.assert_allclose(Z.mean(axis=0), X.mean(axis=0), atol=0.1)
    np.testing.assert_allclose(Z.var(axis=0), X.var(axis=0), rtol=0.1)
    np.testing.assert_allclose(coder.score(Z), coder.score(X), atol=0.05)
    np.testing.assert_array_equal(coder.sample(5, 1), coder.sample(5, 1))
    with pytest.raises(ValueError, match="n_samples=0 must be at least 1"):
        coder.sample(0)


@each_coder
@pytest.mark.parametrize("alpha", ["auto", 1.0])
@unfinished
def test_the_likelihood_is_that_of_projections_and_noise(coder, alpha, digits):
    coder = clone(coder).set_params(n_components=5, alpha=alpha, max_iter=5)
    coder.fit(digits)
    u = (digits - coder.mean_) @ coder.components_.T
    rest = digits - coder.mean_ - u @ coder.components_
    noise = coder.noise_variance_
    expected = -(rest**2).sum(axis=1) / (2 * noise)
    expected -= (64 - 5) / 2 * np.log(2 * np.pi * noise)
    prior = coder._priors[coder.prior]
    parameters = np.array(list(coder.prior_.values()))
    expected += PosteriorMeanEncoder(prior, parameters, noise).log_density(u)
    np.testing.assert_allclose(coder.score_samples(digits), expected)
    assert coder.score(digits) == coder.score_samples(digits).mean()


def test_one_feature_has_a_density_that_integrates_to_one(rng):
    X = rng.laplace(size=(500, 1)) + 0.1 * rng.normal(size=(500, 1)) + 3
    coder = OrthogonalSparseCoder(alpha="auto").fit(X)
    density = quad(lambda x: np.exp(coder.score([[x]])), -30, 36, points=[3], limit=200)
    np.testing.assert_allclose(density[0], 1, atol=1e-6)
    rate, sigma = coder.rate_[0], np.sqrt(coder.noise_variance_)
    a = np.linspace(-30, 30, 200_001)
    for x in (1.0, 3.0, 5.5):
        joint = laplace.pdf(a, scale=1 / rate) * norm.pdf(x - coder.mean_ - a, 0, sigma)
        expected = np.log(trapezoid(joint, a))
        np.testing.assert_allclose(coder.score([[x]]), expected, rtol=1e-5)


@each_coder
def test_posterior_means_have_the_least_squared_error(coder):
    X, _, _ = sample_rows(coder, 20_000, 6, 8, center=False)
    coder = clone(coder).set_params(n_components=6, center=False).fit(X)
    Z, codes = _sample_with_codes(coder, 20_000)
    errors = {
        inference: np.mean(
            (coder.set_params(inference=inference).transform(Z) - codes) ** 2
        )
        for inference in ("map", "mean")
    }
    assert errors["mean"] < errors["map"]
    # And their error is what the posterior says it is.
    deviation = coder.posterior_std(Z)
    np.testing.assert_allclose(errors["mean"], np.mean(deviation**2), rtol=0.03)


def _sample_with_codes(coder, n_samples):
    rng = np.random.RandomState(0)
    prior = coder._priors[coder.prior]
    codes = prior.sample(np.array(list(coder.prior_.values())), n_samples, rng)
    noise = rng.standard_normal((n_samples, len(coder.mean_)))
    return (
        codes @ coder.components_ + coder.mean_ + noise * coder.noise_variance_**0.5,
        codes,
    )


@each_coder
@pytest.mark.parametrize("alpha", [0.5, 3.0])
def test_given_thresholds_leave_the_most_likely_noise(coder, alpha, digits):
    """No other noise variance makes the training data more probable."""
    coder = clone(coder).set_params(n_components=20, alpha=alpha, tol=1e-2).fit(digits)
    np.testing.assert_array_equal(coder.alpha_, alpha)
    np.testing.assert_allclose(coder.rate_, alpha / coder.noise_variance_)
    u = (digits - coder.mean_) @ coder.components_.T
    outside = ((digits - coder.mean_) ** 2).sum() - (u**2).sum()
    prior, n = coder._priors[coder.prior], len(digits)

    def likelihood(noise):
        parameters = np.array(list(coder.prior_.values()))
        if prior.parameter_names == ("rate",):
            parameters = coder.alpha_[None] / noise
        value = (
            PosteriorMeanEncoder(prior, parameters, noise).log_density(u.copy()).sum()
        )
        return value - outside / 2 / noise - n * 44 / 2 * np.log(2 * np.pi * noise)

    best = likelihood(coder.noise_variance_)
    np.testing.assert_allclose(best / n, coder.score(digits), rtol=1e-9)
    for factor in (0.5, 0.9, 1.1, 2.0):
        assert likelihood(coder.noise_variance_ * factor) < best


def test_one_threshold_for_all_is_the_same_threshold_for_each(digits):
    one, each = (
        OrthogonalSparseCoder(10, alpha=alpha, max_iter=0).fit(digits)
        for alpha in (2.0, np.append(np.full(9, 2.0), 2.0 + 1e-9))
    )
    np.testing.assert_allclose(one.noise_variance_, each.noise_variance_, rtol=1e-2)


@each_coder
@unfinished
def test_integer_weights_are_repetition(coder, digits, rng):
    X = digits[:120]
    weights = rng.integers(0, 4, size=120)
    for alpha in ("auto", 2.0):
        coder = clone(coder).set_params(n_components=10, max_iter=4, alpha=alpha)
        weighted = clone(coder).fit(X, sample_weight=weights)
        repeated = clone(coder).fit(np.repeat(X, weights, axis=0))
        np.testing.assert_allclose(
            weighted.objective_path_, repeated.objective_path_, rtol=1e-6
        )
        np.testing.assert_allclose(
            weighted.noise_variance_, repeated.noise_variance_, rtol=1e-4
        )
        np.testing.assert_allclose(weighted.score(X), repeated.score(X), rtol=1e-4)


@each_coder
@unfinished
def test_sparse_and_single_precision_agree(coder, digits):
    coder = clone(coder).set_params(n_components=8, max_iter=6)
    dense = clone(coder).fit(digits)
    csr = clone(coder).fit(sparse.csr_array(digits))
    single = clone(coder).fit(digits.astype(np.float32))
    np.testing.assert_allclose(csr.objective_path_, dense.objective_path_, rtol=1e-6)
    np.testing.assert_allclose(
        csr.score_samples(sparse.csr_array(digits)),
        dense.score_samples(digits),
        rtol=1e-5,
    )
    np.testing.assert_allclose(single.objective_path_, dense.objective_path_, rtol=1e-3)
    for array in (single.alpha_, single.rate_, single.mean_, single.sample(2)):
        assert array.dtype == np.float32
    X = digits[:9].astype(np.float32)
    assert single.posterior_std(X).dtype == np.float32
    assert single.set_params(inference="mean").transform(X).dtype == np.float32
    assert single.score_samples(X).dtype == np.float64


@each_coder
@unfinished
def test_the_same_bits_for_every_number_of_workers(coder, rng):
    X = rng.laplace(size=(10_000, 5))
    for alpha in ("auto", 0.5):
        coders = [
            clone(coder).set_params(alpha=alpha, max_iter=4, n_jobs=n_jobs).fit(X)
            for n_jobs in (1, 2)
        ]
        one, two = coders
        assert one.objective_path_ == two.objective_path_
        assert one.noise_variance_ == two.noise_variance_
        np.testing.assert_array_equal(one.score_samples(X), two.score_samples(X))


@each_coder
def test_warm_start_goes_on_where_the_last_fit_ended(coder, digits):
    coder = clone(coder).set_params(n_components=6, warm_start=True, max_iter=2, tol=0)
    with pytest.warns(ConvergenceWarning, match="nats a feature"):
        coder.fit(digits)
    end = coder.objective_path_[-1]
    coder.set_params(max_iter=0).fit(digits)
    np.testing.assert_allclose(coder.objective_path_[0], end, rtol=1e-6)


@each_coder
@unfinished
def test_warm_start_goes_on_from_given_thresholds(coder, digits):
    coder = clone(coder).set_params(n_components=6, alpha=2.0, warm_start=True)
    coder.fit(digits)
    before = coder.score(digits)
    coder.set_params(alpha="auto", max_iter=5).fit(digits)
    np.testing.assert_allclose(-coder.objective_path_[0], before, rtol=1e-4)
    assert coder.score(digits) > before


@each_coder
def test_streams_learn_what_fit_learns(coder):
    X, _, _ = sample_rows(coder, 4000, 5, 7)
    whole = clone(coder).set_params(n_components=5).fit(X)
    stream = clone(coder).set_params(n_components=5, forgetting=2.0)
    for _ in range(25):
        for chunk in np.array_split(X, 8):
            stream.partial_fit(chunk)
    assert orthonormality_error(stream.components_) < 1e-12
    np.testing.assert_allclose(stream.score(X), whole.score(X), atol=0.06)
    np.testing.assert_allclose(stream.noise_variance_, whole.noise_variance_, rtol=0.05)


@each_coder
def test_streams_of_given_thresholds_know_their_noise(coder):
    X, _, _ = sample_rows(coder, 4000, 5, 7)
    coder = clone(coder).set_params(n_components=5, alpha=0.5)
    whole, stream = clone(coder).fit(X), clone(coder).set_params(forgetting=2.0)
    for _ in range(10):
        for chunk in np.array_split(X, 8):
            stream.partial_fit(chunk)
    np.testing.assert_allclose(stream.noise_variance_, whole.noise_variance_, rtol=0.1)


def test_a_stream_that_changes_its_mind_begins_its_sums_anew(digits):
    coder = OrthogonalSparseCoder(6, alpha=2.0).fit(digits)
    for alpha in ("auto", 2.0, np.linspace(1, 2, 6)):
        coder.set_params(alpha=alpha).partial_fit(digits[:500])
        assert np.isfinite(coder.score(digits))
        assert coder._online_state.moments.weight == 500


@each_coder
def test_single_rows_make_a_stream(coder, digits):
    coder = clone(coder).set_params(n_components=3)
    for row in digits[:20]:
        coder.partial_fit(row[None])
        assert np.isfinite(coder.score(digits))


def test_model_selection_needs_no_labels(digits):
    search = GridSearchCV(
        OrthogonalSparseCoder(tol=1e-2),
        {
            "prior": ["laplace", "spike_slab"],
            "alpha": ["auto", 2.0],
            "n_components": [4, 16],
        },
        cv=3,
    ).fit(digits[:, :32])
    assert search.best_params_["n_components"] == 16
    assert search.best_params_["alpha"] == "auto"
    scores = cross_val_score(search.best_estimator_, digits[:, :32], cv=3)
    assert np.isfinite(scores).all()


def test_information_criteria_count_what_was_learned(digits):
    coder = OrthogonalSparseCoder(3, alpha="auto", tol=1e-2).fit(digits)
    # Three atoms on a sphere, orthogonal to each other; mean; rates; noise.
    n_learned = 3 * 64 - 6 + 64 + 3 + 1
    total = coder.score_samples(digits).sum()
    np.testing.assert_allclose(coder.aic(digits), 2 * n_learned - 2 * total)
    np.testing.assert_allclose(
        coder.bic(digits), np.log(len(digits)) * n_learned - 2 * total
    )


def test_gaussian_data_are_as_likely_as_for_pca(rng):
    """A slab that is always there is probabilistic PCA."""
    X = rng.normal(size=(20_000, 3)) @ (random_orthonormal(3, 8) * [[3], [2], [1.5]])
    X += 0.3 * rng.normal(size=X.shape)
    coder = OrthogonalSparseCoder(3, prior="spike_slab", alpha="auto").fit(X)
    np.testing.assert_allclose(coder.score(X), PCA(3).fit(X).score(X), atol=2e-3)


def test_the_floor_of_the_noise_is_where_it_is_said_to_be():
    """Without noise a square dictionary of sparse codes has no largest likelihood."""
    rng, atoms = np.random.default_rng(0), random_orthonormal(4, 4)
    X = rng.normal(size=(2000, 4)) * (rng.random((2000, 4)) < 0.3) @ atoms
    coder = OrthogonalSparseCoder(
        prior="spike_slab", alpha="auto", init=atoms, center=False, tol=1e-9
    ).fit(X)
    floor = 1e-8 * np.mean(X**2)
    np.testing.assert_allclose(coder.noise_variance_, floor)
    assert np.isfinite(coder.score(X))


@each_coder
def test_attributes_wait_for_fit_and_survive_a_pickle(coder, digits):
    for name in ("noise_variance_", "rate_", "prior_"):
        with pytest.raises(AttributeError, match="before it is fitted"):
            getattr(clone(coder), name)
    for alpha in ("auto", 2.0):
        fitted = clone(coder).set_params(alpha=alpha, n_components=4, tol=0.1)
        fitted.fit(digits)
        loaded = pickle.loads(pickle.dumps(fitted))
        assert loaded.score(digits) == fitted.score(digits)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("mixture", [False, True])
def test_coefficients_that_never_are_zero_have_a_slab_of_weight_one(seed, mixture):
    rng = np.random.default_rng(seed)
    atoms = random_orthonormal(2, 4, seed)
    codes = rng.choice([-1.0, 1.0], size=(100, 2)) * rng.uniform(1, 2, size=(100, 2))
    X = codes @ atoms + 1e-3 * rng.normal(size=(100, 4))
    if mixture:
        coder = SparseCodingMixture(1, 2, prior="spike_slab")
    else:
        coder = OrthogonalSparseCoder(2, prior="spike_slab", alpha="auto")
    weights = rng.random(100)
    coder.fit(X, sample_weight=weights).partial_fit(X[:37], sample_weight=weights[:37])
    assert np.all((coder.prior_["weight"] > 0.99) & (coder.prior_["weight"] <= 1))
    assert np.isfinite(coder.score(X))
