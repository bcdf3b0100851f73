"""SparseCodingMixture: exact likelihoods, monotone learning, and recovered models."""

import numpy as np
import pytest
from common import random_orthonormal
from scipy import sparse
from scipy.special import logsumexp
from sklearn.base import clone, is_clusterer
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score

from skscn import (
    NonNegativeSparseCoder,
    OrthogonalSparseCoder,
    SparseCodingMixture,
    map_blocks,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
PRIORS = ("laplace", "spike_slab", "exponential", "half_spike_slab")
MODES = [
    {},
    {"prior": "spike_slab"},
    {"prior": "exponential"},
    {"prior": "half_spike_slab"},
    {"center": False},
    {"alpha": 3.0},
    {"alpha": 3.0, "prior": "spike_slab"},
    {"alpha": np.linspace(1, 4, 10)},
    {"alpha": 0.0, "n_nonzero_coefs": 3},
]
each_mode = pytest.mark.parametrize("parameters", MODES, ids=str)


@pytest.fixture(scope="module")
def digits():
    return load_digits(return_X_y=True)[0][:600]


def make_mixture_data(n_samples, seed=0):
    """Return samples of two dictionaries of Laplace codes, their labels and models."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(2, size=n_samples, p=[0.6, 0.4])
    atoms = np.array([random_orthonormal(4, 6, seed=i) for i in range(2)])
    means = np.array([np.zeros(6), np.full(6, 1.5)])
    scales, noise = np.array([[2.0, 1.5, 1, 0.7], [1, 1, 0.6, 0.5]]), [0.1, 0.2]
    codes = rng.laplace(size=(n_samples, 4)) * scales[labels]
    X = np.einsum("ij,ijk->ik", codes, atoms[labels]) + means[labels]
    X += rng.normal(size=X.shape) * np.sqrt(noise)[labels][:, None]
    return X, labels, (atoms, means, scales, noise)


def fitted(X, **parameters):
    options = {"n_dictionaries": 3, "n_components": 10, "random_state": 0}
    return SparseCodingMixture(**{**options, "max_iter": 12, **parameters}).fit(X)


def do_not_shrink(monkeypatch):
    name = "skscn._core.mixture_start.Shrinkage.of_data"
    monkeypatch.setattr(name, lambda *args: None)


@each_mode
def test_learning_never_increases_the_objective(digits, parameters):
    mixture = fitted(digits, **parameters)
    assert np.all(np.diff(mixture.objective_path_) <= 0)
    assert mixture.objective_path_[-1] < mixture.objective_path_[0]
    assert mixture.n_iter_ == len(mixture.objective_path_) - 1
    for atoms in mixture.components_:
        np.testing.assert_allclose(atoms @ atoms.T, np.eye(10), atol=1e-10)
    assert mixture.weights_.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("prior", PRIORS)
def test_the_likelihood_is_the_weighted_sum_of_those_of_coders(
    digits, prior, monkeypatch
):
    do_not_shrink(monkeypatch)
    mixture = fitted(digits, prior=prior)
    joint = (
        np.log(mixture.weights_)
        + np.array(
            [
                each.log_likelihood(digits)
                for each in mixture._posterior_mean_models(float)
            ]
        ).T
    )
    np.testing.assert_allclose(
        mixture.score_samples(digits), logsumexp(joint, axis=1), rtol=1e-12
    )
    assert mixture.score(digits) == pytest.approx(-mixture.objective_path_[-1])
    probability = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
    np.testing.assert_allclose(mixture.predict_proba(digits), probability, atol=1e-12)
    np.testing.assert_array_equal(mixture.predict(digits), joint.argmax(axis=1))


def test_one_dictionary_is_a_coder(digits):
    for prior in PRIORS:
        for parameters in ({"alpha": "auto"}, {"alpha": 3.0}):
            Coder = NonNegativeSparseCoder
            if prior in ("laplace", "spike_slab"):
                Coder = OrthogonalSparseCoder
            parameters["max_iter"] = 5
            coder = Coder(10, prior=prior.removeprefix("half_"), **parameters)
            coder.fit(digits)
            mixture = SparseCodingMixture(1, 10, prior=prior, **parameters).fit(digits)
            np.testing.assert_array_equal(mixture.components_[0], coder.components_)
            assert mixture.objective_path_ == coder.objective_path_
            for found, expected in (
                (mixture.means_[0], coder.mean_),
                (mixture.alpha_[0], coder.alpha_),
                (mixture.noise_variance_[0], coder.noise_variance_),
                (mixture.score_samples(digits), coder.score_samples(digits)),
                (mixture.transform(digits), coder.transform(digits)),
            ):
                np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("alpha", [{"alpha": 3.0}, {"alpha": 0, "n_nonzero_coefs": 3}])
def test_the_map_objective_is_the_smallest_over_dictionaries(digits, alpha):
    mixture = fitted(digits, **alpha)
    objectives = []
    for i, atoms in enumerate(mixture.components_):
        coder = OrthogonalSparseCoder(init=atoms, center=False, max_iter=0, **alpha)
        centered = digits - mixture.means_[i]
        codes = coder.fit(centered).transform(centered)
        residual = centered - codes @ atoms
        objective = 0.5 * (residual**2).sum(axis=1)
        objectives.append(objective + alpha["alpha"] * np.abs(codes).sum(axis=1))
    best = np.min(objectives, axis=0)
    assert mixture.objective_path_[-1] == pytest.approx(best.mean(), rel=1e-9)
    np.testing.assert_array_equal(mixture.predict(digits), np.argmin(objectives, 0))
    probability = mixture.predict_proba(digits)
    np.testing.assert_array_equal(np.unique(probability), [0.0, 1.0])


def test_the_model_of_its_own_samples_is_recovered():
    X, labels, (atoms, means, scales, noise) = make_mixture_data(20_000)
    mixture = SparseCodingMixture(2, 4, tol=1e-6, random_state=0).fit(X)
    np.testing.assert_allclose(mixture.weights_, [0.6, 0.4], atol=0.02)
    np.testing.assert_allclose(mixture.noise_variance_, noise, rtol=0.1)
    np.testing.assert_allclose(mixture.means_, means, atol=0.1)
    for i in range(2):
        cosines = np.abs(mixture.components_[i] @ atoms[i].T)
        match = cosines.argmax(axis=1)
        assert cosines.max(axis=1).min() > 0.99
        found = 1 / mixture.prior_["rate"][i]
        np.testing.assert_allclose(found, scales[i][match], rtol=0.1)
    truth = SparseCodingMixture(2, 4, max_iter=0, init=labels).fit(X)
    assert mixture.score(X) > truth.score(X)
    agreement = np.mean(mixture.predict(X) == labels)
    assert agreement > 0.8


@each_mode
def test_all_numbers_of_workers_have_the_same_bits(digits, parameters, short_slices):
    X = np.tile(digits, (15, 1))[: 2 * short_slices + 100]
    found = [fitted(X, n_jobs=n_jobs, max_iter=1, **parameters) for n_jobs in (1, 2)]
    for name in ("components_", "means_", "weights_", "noise_variance_"):
        np.testing.assert_array_equal(*(getattr(each, name) for each in found))
    np.testing.assert_array_equal(*(each.transform(X) for each in found))


@each_mode
def test_csr_gives_the_results_of_dense_rows(digits, parameters):
    parameters, csr = {"max_iter": 4, **parameters}, sparse.csr_array(digits)
    dense, mixture = fitted(digits, **parameters), fitted(csr, **parameters)
    np.testing.assert_allclose(mixture.score(csr), dense.score(digits), rtol=1e-6)
    for name in ("score_samples", "predict_proba", "transform", "reconstruct"):
        found, expected = getattr(dense, name)(csr), getattr(dense, name)(digits)
        np.testing.assert_allclose(found, expected, atol=1e-8)


@each_mode
def test_sparse_codes_are_the_dense_ones(digits, parameters):
    mixture = fitted(digits, max_iter=4, **parameters)
    codes = mixture.transform(digits)
    assert codes.shape == (600, 30)
    found = mixture.set_params(sparse_output=True).transform(digits)
    np.testing.assert_array_equal(found.toarray(), codes)
    blocks = codes.reshape(600, 3, 10).any(axis=2)
    labels = mixture.predict(digits)
    assert not blocks[np.arange(3) != labels[:, None]].any()
    restored = mixture.inverse_transform(found)
    np.testing.assert_allclose(restored, mixture.inverse_transform(codes), atol=1e-9)
    has_code = codes.any(axis=1)
    by_hand = mixture.means_[labels] + np.einsum(
        "ij,ijk->ik",
        codes.reshape(600, 3, 10)[np.arange(600), labels],
        mixture.components_[labels],
    )
    np.testing.assert_allclose(restored[has_code], by_hand[has_code], atol=1e-9)


def test_posterior_means_are_averages_over_dictionaries(digits):
    mixture = fitted(digits, inference="mean")
    codes = mixture.transform(digits).reshape(600, 3, 10)
    probability = mixture.predict_proba(digits)
    expected = np.einsum("il,lk->ik", probability, mixture.means_)
    expected += np.einsum("ilj,ljk->ik", codes, mixture.components_)
    np.testing.assert_allclose(mixture.reconstruct(digits), expected, atol=1e-8)
    noise = np.random.default_rng(0).normal(size=digits.shape) * 2
    error = mixture.reconstruct(digits + noise) - digits
    assert np.mean(error**2) < np.mean(noise**2)


def test_float32_stays_float32_and_is_near_float64(digits):
    X = digits.astype(np.float32)
    single, double = fitted(X, max_iter=5), fitted(digits, max_iter=5)
    assert single.components_.dtype == single.means_.dtype == np.float32
    assert single.transform(X).dtype == single.reconstruct(X).dtype == np.float32
    assert single.score(X) == pytest.approx(double.score(digits), abs=0.05)


@pytest.mark.parametrize("parameters", [{}, {"alpha": 3.0}], ids=str)
def test_missing_values_are_imputed(digits, parameters):
    missing = np.random.default_rng(0).random(digits.shape) < 0.1
    X = np.where(missing, np.nan, digits)
    mixture = fitted(X, n_init=2, max_iter=5, **parameters)
    assert np.all(np.isfinite(mixture.components_))
    reconstruction = mixture.reconstruct(X)
    error = np.std((reconstruction - digits)[missing])
    assert error < 0.8 * np.std((digits - digits.mean(axis=0))[missing])
    assert np.isfinite(mixture.score_samples(X)).all()
    complete = ~missing.any(axis=1)
    if complete.any():
        np.testing.assert_allclose(
            mixture.transform(X)[complete], mixture.transform(digits[complete])
        )


def test_a_stream_learns_and_continues_a_fit(digits, monkeypatch):
    do_not_shrink(monkeypatch)  # as a stream is not
    X = digits[np.random.default_rng(0).permutation(600)]
    stream = SparseCodingMixture(3, 5, random_state=0)
    for start in range(0, 600, 100):
        stream.partial_fit(X[start : start + 100])
    assert stream.n_iter_ == 6
    whole = SparseCodingMixture(3, 5, random_state=0).fit(X)
    one = SparseCodingMixture(1, 5).fit(X)
    assert one.score(X) + 1 < stream.score(X)
    assert abs(stream.score(X) - whole.score(X)) < 1  # of two local maxima
    before = whole.score(X)
    whole.partial_fit(X)
    assert whole.score(X) >= before - 1e-3


@pytest.mark.parametrize("parameters", [{}, {"alpha": 3.0}], ids=str)
def test_a_stream_may_have_missing_values(digits, parameters):
    rng = np.random.default_rng(0)
    X = np.where(rng.random(digits.shape) < 0.05, np.nan, digits)
    stream = SparseCodingMixture(2, 5, random_state=0, **parameters)
    for start in range(0, 400, 100):
        stream.partial_fit(X[start : start + 100])
    X[400:, 3] = np.nan  # in every row of the last mini-batch
    stream.partial_fit(X[400:])
    complete = SparseCodingMixture(2, 5, random_state=0, **parameters)
    for start in (*range(0, 400, 100), 400):
        complete.partial_fit(digits[start : start + 100 if start < 400 else None])
    assert abs(stream.score(digits) - complete.score(digits)) < 3
    missing = np.isnan(X)
    error = np.std((stream.reconstruct(X) - digits)[missing])
    assert error < 0.8 * np.std((digits - digits.mean(axis=0))[missing])


def test_a_stream_keeps_the_shrinkage_of_a_fit():
    X = make_mixture_data(300)[0]
    mixture = SparseCodingMixture(3, 4, random_state=0, tol=1e-6).fit(X)
    before = clone(mixture).fit(X)
    mixture.partial_fit(X[:1])
    np.testing.assert_allclose(mixture.weights_, before.weights_, atol=0.01)
    np.testing.assert_allclose(mixture.alpha_, before.alpha_, rtol=0.05)
    np.testing.assert_allclose(
        mixture.noise_variance_, before.noise_variance_, rtol=0.05
    )


def test_a_repeated_mini_batch_is_plain_em():
    X = make_mixture_data(500)[0]
    mixture = SparseCodingMixture(2, 4, random_state=0, max_iter=1).fit(X)
    scores = [mixture.score(X)]
    mixture.forgetting = 1e9  # only the last mini-batch counts
    scores += [mixture.partial_fit(X).score(X) for _ in range(20)]
    assert np.all(np.diff(scores) >= -1e-9)


def test_weights_are_repetition_in_every_order():
    X = make_mixture_data(300)[0]
    rng = np.random.default_rng(0)
    weights = rng.integers(0, 3, size=300)
    # The curvature, from a part of the rows, changes the way to the maximum only.
    mixture = SparseCodingMixture(2, 4, random_state=0, tol=1e-6)
    weighted = clone(mixture).fit(X, sample_weight=weights)
    again = rng.permutation(np.repeat(np.arange(300), weights))
    repeated = clone(mixture).fit(X[again])
    np.testing.assert_allclose(weighted.score(X), repeated.score(X), rtol=1e-6)


def test_moments_of_samples_are_those_of_the_model(digits):
    mixture = fitted(digits, max_iter=5)
    X, labels = mixture.sample(60_000, random_state=0)
    assert X.shape == (60_000, 64)
    np.testing.assert_allclose(
        np.bincount(labels) / 60_000, mixture.weights_, atol=0.01
    )
    for i in range(3):
        rows = X[labels == i] - mixture.means_[i]
        variance = 64 * mixture.noise_variance_[i]
        variance += (2 / mixture.prior_["rate"][i] ** 2).sum()
        assert (rows**2).sum(axis=1).mean() == pytest.approx(variance, rel=0.05)
        assert np.abs(rows.mean(axis=0)).max() < 0.2
    with pytest.raises(ValueError, match="n_samples=0"):
        mixture.sample(0)


def test_labels_start_dictionaries_that_keep_their_order():
    X, labels, (_, means, *_) = make_mixture_data(4000)
    mixture = SparseCodingMixture(2, 4, init=1 - labels).fit(X)
    np.testing.assert_allclose(mixture.means_, means[::-1], atol=0.2)
    for init, message in (
        (labels[:5], r"init has shape \(5,\)"),
        (labels + 1, "labels from 1 to 2"),
        (labels - 0.5, "labels from -0.5"),
    ):
        with pytest.raises(ValueError, match=message):
            SparseCodingMixture(2, 4, init=init).fit(X)
    with pytest.raises(ValueError, match=r"\(3999,\)"):
        SparseCodingMixture(2, 4, init=labels).fit(X, sample_weight=np.ones(3999))


def test_several_starts_are_not_worse_than_one(digits):
    scores = [
        fitted(digits, n_init=n_init, max_iter=5, init="random").objective_path_[-1]
        for n_init in (1, 3)
    ]
    assert scores[1] <= scores[0]


def test_clusters_of_known_kinds_are_found():
    X, labels, _ = make_mixture_data(3000)
    X[labels == 1] += 4
    mixture = SparseCodingMixture(2, 4, random_state=0)
    found = mixture.fit_predict(X)
    assert adjusted_rand_score(found, labels) > 0.95
    assert is_clusterer(mixture)
    np.testing.assert_array_equal(mixture.labels_, found)


@pytest.mark.parametrize("parameters", [{}, {"alpha": 0.3}], ids=str)
def test_labels_are_those_of_all_samples_of_fit(digits, parameters):
    X = digits.copy()
    X[::40, ::3] = np.nan
    weights = np.arange(len(X)) % 3  # a third of the samples are not learned from
    mixture = SparseCodingMixture(3, 8, random_state=0, max_iter=5, **parameters)
    labels = mixture.fit_predict(X, sample_weight=weights)
    np.testing.assert_array_equal(labels, mixture.labels_)
    np.testing.assert_array_equal(labels, mixture.predict(X))
    np.testing.assert_array_equal(labels, mixture.predict_proba(X).argmax(axis=1))
    assert not hasattr(mixture.partial_fit(X[:50]), "labels_")


@pytest.mark.parametrize("parameters", [{}, {"alpha": 0.5}], ids=str)
@pytest.mark.parametrize(
    "X",
    [
        np.zeros((12, 4)),
        np.tile(np.arange(4.0), (12, 1)),
        np.repeat(np.eye(4), 3, axis=0),
        np.c_[np.random.default_rng(0).normal(size=(30, 2)), np.ones(30)],
        np.random.default_rng(0).normal(size=(4, 9)),
        np.r_[np.random.default_rng(0).normal(size=(40, 3)), [[1e6, 0, 0]]],
    ],
    ids=["zeros", "constant", "duplicates", "constant feature", "few", "outlier"],
)
def test_degenerate_data_have_finite_results(X, parameters):
    mixture = SparseCodingMixture(3, 2, random_state=0, **parameters).fit(X)
    assert np.all(np.diff(mixture.objective_path_) <= 0)
    assert np.all(np.isfinite(mixture.components_))
    assert np.all(np.isfinite(mixture.score_samples(X)))
    assert np.all(np.isfinite(mixture.reconstruct(X)))
    assert np.isfinite(mixture.sample(5, random_state=0)[0]).all()


@pytest.mark.parametrize("prior", PRIORS)
def test_the_penalized_likelihood_of_few_samples_has_a_maximum(prior):
    X = np.random.default_rng(0).normal(size=(15, 30))
    mixture = SparseCodingMixture(prior=prior, random_state=0, tol=1e-5).fit(X)
    assert np.all(np.diff(mixture.objective_path_) <= 0)
    # Variances are not at their lower bound of 1e-8.
    assert np.all(mixture.noise_variance_ > 1e-6)


def test_the_penalty_is_that_of_a_fixed_weight_of_observations():
    X, labels, _ = make_mixture_data(300)
    penalties = []
    for n_copies in (1, 4):
        data, init = np.tile(X, (n_copies, 1)), np.tile(labels, n_copies)
        start = SparseCodingMixture(2, init=init, max_iter=0).fit(data)
        mean = start.objective_path_[-1] + start.score(data)
        penalties.append(len(data) * mean)
    assert penalties[0] > 0
    assert penalties[1] == pytest.approx(penalties[0], rel=1e-6)


def test_shrinkage_vanishes_as_one_over_the_number_of_samples(monkeypatch):
    X, labels, _ = make_mixture_data(500)
    changes = []
    for n_copies in (10, 100):
        data = np.tile(X, (n_copies, 1))
        mixture = SparseCodingMixture(2, 4, init=np.tile(labels, n_copies), max_iter=1)
        shrunk = clone(mixture).fit(data)
        with monkeypatch.context() as patch:
            do_not_shrink(patch)
            free = clone(mixture).fit(data)
        changes.append(
            [
                np.abs(getattr(shrunk, name) - getattr(free, name)).max()
                for name in ("components_", "means_", "noise_variance_", "alpha_")
            ]
        )
    np.testing.assert_allclose(np.divide(*changes), 10, rtol=0.1)
    assert np.max(changes[1]) < 1e-2


def test_errors_hold_the_numbers(digits):
    with pytest.raises(ValueError, match="n_samples=3 is less than n_dictionaries=4"):
        SparseCodingMixture().fit(digits[:3])
    with pytest.raises(ValueError, match="n_components=65 must be at most"):
        SparseCodingMixture(2, 65).fit(digits)
    with pytest.raises(ValueError, match="n_nonzero_coefs=2 limits"):
        SparseCodingMixture(2, 5, n_nonzero_coefs=2).fit(digits)
    mixture = fitted(digits, max_iter=1).set_params(inference="median")
    with pytest.raises(ValueError, match="inference='median' must be"):
        mixture.transform(digits)
    with pytest.raises(ValueError, match="X has 5 columns"):
        mixture.inverse_transform(digits[:, :5])
    with pytest.raises(AttributeError, match="noise_variance_"):
        _ = SparseCodingMixture().noise_variance_


@pytest.mark.filterwarnings("default::sklearn.exceptions.ConvergenceWarning")
def test_too_few_iterations_warn(digits):
    with pytest.warns(ConvergenceWarning, match="max_iter=2"):
        fitted(digits, max_iter=2)


def test_an_interrupted_fit_leaves_the_mixture_as_it_was(digits, monkeypatch):
    mixture = fitted(digits, max_iter=2)
    before = dict(vars(mixture))

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("skscn._coders.mixture_learning.fit_mixture", interrupt)
    with pytest.raises(KeyboardInterrupt):
        mixture.fit(digits[:, :20])
    assert vars(mixture) == before


def test_files_and_dask_arrays_are_read_in_place(digits, tmp_path):
    path = tmp_path / "X.npy"
    np.save(path, digits)
    on_disk = np.load(path, mmap_mode="r")
    expected = fitted(digits, max_iter=3)
    found = fitted(on_disk, max_iter=3)
    np.testing.assert_array_equal(found.components_, expected.components_)
    scores = map_blocks(found, on_disk, method="score_samples", block_bytes=100_000)
    np.testing.assert_allclose(scores, expected.score_samples(digits))
    dask = pytest.importorskip("dask.array")
    lazy = dask.from_array(digits, chunks=(250, -1))
    found = fitted(lazy, max_iter=3)
    np.testing.assert_allclose(found.score(digits), expected.score(digits), rtol=1e-4)
    codes = np.asarray(found.transform(lazy))
    np.testing.assert_allclose(codes, found.transform(digits), atol=1e-10)


def test_information_criteria_count_the_parameters_of_all_dictionaries(digits):
    one, two = (SparseCodingMixture(n, 5, max_iter=2).fit(digits) for n in (1, 2))
    assert two._n_fitted_parameters() == 2 * one._n_fitted_parameters() + 1
    difference = two.bic(digits) - two.aic(digits)
    expected = (np.log(600) - 2) * two._n_fitted_parameters()
    assert difference == pytest.approx(expected)
