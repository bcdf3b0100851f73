"""Anomaly detection: the terms of a score, and the anomalies that it finds."""

import numpy as np
import pytest
from common import random_orthonormal
from scipy import sparse
from scipy.stats import spearmanr
from sklearn.exceptions import NotFittedError

from skscn import NonNegativeSparseCoder, OrthogonalSparseCoder, SparseCodingDetector
from skscn._detection.explanation import explain_log_likelihood

each_seed = pytest.mark.parametrize("seed", [0, 1, 2])


def mixed_table(n_samples, seed, n_features=6):
    """Return dependent features: skewed, shifted, rounded, binary and constant ones."""
    rng = np.random.default_rng(seed)
    X = rng.laplace(size=(n_samples, n_features)) * np.linspace(0.3, 2, n_features)
    X = X @ random_orthonormal(n_features, n_features)
    X[:, 0] = np.exp(3 * X[:, 0])  # heavy tails
    X[:, 1] = 1e6 + 100 * X[:, 1]  # far from the origin
    X[:, 2] = np.round(X[:, 2])
    X[:, 3] = X[:, 3] > 1.0
    X[:, 4] = 7.0
    return X


def with_missing(X, seed):
    return np.where(np.random.default_rng(seed).random(X.shape) < 0.1, np.nan, X)


CODERS = {
    "default": None,
    "fewer atoms": OrthogonalSparseCoder(2, alpha="auto", max_iter=5, tol=1.0),
    "spike and slab": OrthogonalSparseCoder(
        3, prior="spike_slab", alpha="auto", max_iter=5, tol=1.0
    ),
    "one-sided": NonNegativeSparseCoder(3, alpha="auto", max_iter=5, tol=1.0),
    "given thresholds": OrthogonalSparseCoder(4, alpha=0.1, max_iter=5, tol=1.0),
}
each_coder = pytest.mark.parametrize("coder", CODERS.values(), ids=list(CODERS))


def is_close(a, b):
    """Return whether arrays agree to 1e-9 of their largest entry."""
    return np.max(np.abs(a - b)) <= 1e-9 * max(1.0, np.max(np.abs(b)))


@each_seed
def test_without_scaling_and_marginals_the_score_is_the_likelihood_of_the_coder(seed):
    X = mixed_table(200, seed)
    coder = OrthogonalSparseCoder(3, alpha="auto", max_iter=5, tol=1.0)
    detector = SparseCodingDetector(coder, scaling=None, marginals=False, trim=0.0)
    detector.fit(X)
    expected = coder.fit(X).score_samples(X)
    np.testing.assert_allclose(detector.score_samples(X), expected, rtol=1e-12)


@each_coder
@pytest.mark.parametrize("missing", [False, True], ids=["complete", "missing"])
@pytest.mark.parametrize("scaling", ["robust", None])
def test_the_terms_of_an_explanation_add_up_to_the_score(coder, missing, scaling):
    X = mixed_table(200, 0)
    if scaling is None:
        X[:, 1] /= 1e6
    if missing:
        X = with_missing(X, 1)
    detector = SparseCodingDetector(coder, scaling=scaling).fit(X)
    score, explanation = detector.score_samples(X), detector.explain(X)
    by_coefficient = explanation.coefficients.sum(axis=1) + explanation.residual
    assert is_close(by_coefficient + explanation.marginals.sum(axis=1), score)
    assert is_close(explanation.features.sum(axis=1), score)
    assert is_close(explanation.score, score)


def test_the_terms_add_up_far_from_the_data_and_at_the_median():
    X = mixed_table(200, 0)
    detector = SparseCodingDetector().fit(X)
    far = np.vstack([np.median(X, axis=0), X[0] * 1e12, -X[1] * 1e200, 0 * X[0]])
    explanation = detector.explain(far)
    assert is_close(explanation.features.sum(axis=1), detector.score_samples(far))


@pytest.mark.parametrize("prior", ["laplace", "spike_slab"])
@pytest.mark.parametrize("n_components", [2, 4])
def test_the_cost_of_a_feature_is_at_most_the_gain_by_its_best_value(
    prior, n_components
):
    """The best value maximizes the likelihood along the feature, on a grid."""
    X = np.log1p(np.abs(mixed_table(300, 0)[:, [0, 2, 3, 5]]))
    coder = OrthogonalSparseCoder(
        n_components, prior=prior, alpha="auto", max_iter=10, tol=1.0
    )
    coder.fit(X)
    model = coder._posterior_mean_model(np.float64)
    rows = X[:20]
    _, _, costs = explain_log_likelihood(rows, model)
    before = coder.score_samples(rows)
    assert costs.min() >= 0.0
    span = np.ptp(X, axis=0)
    for f in range(4):
        others = np.repeat(rows, 1001, axis=0)
        others[:, f] += np.tile(np.linspace(-span[f], span[f], 1001), 20)
        best = coder.score_samples(others).reshape(20, -1).max(axis=1)
        assert np.all(costs[:, f] <= best - before + 0.05)


@each_seed
def test_the_cost_of_noise_is_half_its_square_in_units_of_the_variance(seed):
    """Where all codes are zero, each feature is its mean and Gaussian noise."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(50, 5))
    coder = OrthogonalSparseCoder(1, alpha=1e3, max_iter=0)
    with pytest.warns(UserWarning, match="All codes"):
        coder.fit(X)
    model = coder._posterior_mean_model(np.float64)
    expected = (X - coder.mean_) ** 2 / (2 * coder.noise_variance_)
    _, _, costs = explain_log_likelihood(X, model)
    np.testing.assert_allclose(costs, expected, rtol=0.05)


def test_two_nearly_equal_features_are_not_the_most_anomalous():
    """A large distance along a direction of small variance has a small cost."""
    rng = np.random.default_rng(0)
    X = rng.laplace(size=(1000, 6))
    X[:, 1] = X[:, 0] + 1e-4 * rng.laplace(size=1000)
    detector = SparseCodingDetector().fit(X)
    clean = detector.explain(X).features
    assert np.abs(clean - np.median(clean, axis=0)).max() < 100.0
    X[:200, 4] += 8.0
    assert np.mean(detector.explain(X[:200]).features.argmin(axis=1) == 4) > 0.95


@each_seed
@pytest.mark.parametrize("n_features", [8, 30])
def test_a_corrupted_feature_has_the_lowest_value(seed, n_features):
    """One feature of each sample is moved by four of its standard deviations."""
    rng = np.random.default_rng(seed)
    codes = rng.laplace(size=(1500, n_features)) * np.linspace(0.2, 2, n_features)
    X = codes @ random_orthonormal(n_features, n_features, seed)
    X[:, 0] = np.exp(X[:, 0])
    detector = SparseCodingDetector().fit(X[:1000])
    bad, rows = X[1000:].copy(), np.arange(500)
    which = rng.integers(n_features, size=500)
    sign = rng.choice([-1, 1], size=500)
    bad[rows, which] += 4 * sign * X[:1000].std(axis=0)[which]
    named = detector.explain(bad).features.argmin(axis=1)
    assert np.mean(named == which) >= 0.93


def test_a_sample_far_along_an_atom_has_its_lowest_log_density_there():
    rng = np.random.default_rng(0)
    atoms = random_orthonormal(5, 5)
    X = rng.laplace(size=(2000, 5)) * [5.0, 4, 3, 2, 1] @ atoms
    detector = SparseCodingDetector(scaling=None, marginals=False).fit(X)
    explanation = detector.explain(30 * atoms)
    which = explanation.coefficients.argmin(axis=1)
    cosines = np.abs(np.sum(explanation.components[which] * atoms, axis=1))
    assert cosines.min() > 0.9


@each_seed
@pytest.mark.parametrize("trim", [0.0, 0.2])
def test_weights_are_repetitions(seed, trim):
    X = mixed_table(150, seed)
    weights = np.random.default_rng(seed).integers(0, 4, 150)
    weighted = SparseCodingDetector(trim=trim).fit(X, sample_weight=weights)
    repeated = SparseCodingDetector(trim=trim).fit(np.repeat(X, weights, axis=0))
    a, b = weighted.decision_function(X), repeated.decision_function(X)
    np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("factor", [1e-300, 1 / 150, 0.3, 1e300])
@pytest.mark.parametrize("trim", [0.0, 0.2])
def test_weights_that_cannot_be_repetitions_are_relative(factor, trim):
    X = mixed_table(150, 0)
    expected = SparseCodingDetector(trim=trim).fit(X).score_samples(X)
    weighted = SparseCodingDetector(trim=trim).fit(
        X, sample_weight=np.full(150, factor)
    )
    np.testing.assert_array_equal(weighted.score_samples(X), expected)


@pytest.mark.parametrize("scaling", ["robust", None])
@pytest.mark.parametrize("trim", [0.0, 0.2])
def test_rows_of_weight_zero_do_not_count(scaling, trim):
    X = mixed_table(150, 0)
    values = np.array([1e160, np.nan, -999.0])[:, None]
    more = np.vstack([X, np.repeat(values, 6, axis=1)])
    weights = np.r_[np.ones(150), np.zeros(3)]
    detector = SparseCodingDetector(scaling=scaling, trim=trim)
    expected = detector.fit(X).decision_function(X)
    found = detector.fit(more, sample_weight=weights).decision_function(X)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_masked_values_are_missing():
    X = mixed_table(150, 0)
    is_masked = np.random.default_rng(0).random(X.shape) < 0.1
    masked = np.ma.array(np.where(is_masked, -999.0, X), mask=is_masked)
    incomplete = np.where(is_masked, np.nan, X)
    detector = SparseCodingDetector()
    expected = detector.fit(incomplete).decision_function(incomplete)
    np.testing.assert_array_equal(
        detector.fit(masked).decision_function(masked), expected
    )
    np.testing.assert_array_equal(
        detector.explain(masked).features, detector.explain(incomplete).features
    )


@each_seed
def test_sparse_rows_have_the_scores_of_dense_rows(seed):
    X = mixed_table(150, seed)
    X[np.random.default_rng(seed).random(X.shape) < 0.6] = 0.0
    dense, csr = (SparseCodingDetector().fit(data) for data in (X, sparse.csr_array(X)))
    expected = dense.decision_function(X)
    np.testing.assert_allclose(csr.decision_function(X), expected, rtol=1e-6)
    found = dense.decision_function(sparse.csr_array(X))
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    np.testing.assert_allclose(
        dense.explain(sparse.csr_array(X)).features, dense.explain(X).features
    )


def test_results_have_the_same_bits_for_every_number_of_workers():
    X = mixed_table(9000, 0)
    one, two = (SparseCodingDetector(n_jobs=n, trim=0.1).fit(X) for n in (1, 2))
    np.testing.assert_array_equal(one.score_samples(X), two.score_samples(X))
    assert one.offset_ == two.offset_


def one_hot_rows(n_samples=300):
    fractions = [0.4, 0.3, 0.1, 0.1, 0.05, 0.03, 0.02]
    return np.eye(7)[np.random.default_rng(9).choice(7, n_samples, p=fractions)]


@pytest.mark.parametrize("trim", [0.0, 0.1])
@pytest.mark.parametrize("contamination", ["auto", 0.02, 0.05, 0.1])
@pytest.mark.parametrize("table", ["one-hot", "mixed", "missing"])
def test_a_row_at_the_threshold_has_the_same_label_in_every_batch(
    trim, contamination, table
):
    X = one_hot_rows() if table == "one-hot" else mixed_table(300, 0)
    X = with_missing(X, 0) if table == "missing" else X
    detector = SparseCodingDetector(trim=trim, contamination=contamination).fit(X)
    X = X[np.abs(detector.decision_function(X)).argsort()[:40]]
    labels = detector.predict(X)
    for size in (1, 17):
        parts = [X[start : start + size] for start in range(0, 40, size)]
        found = np.concatenate([detector.predict(part) for part in parts])
        np.testing.assert_array_equal(found, labels)


@pytest.mark.parametrize("scaling", ["robust", None])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_categories_that_a_trimmed_fit_leaves_out_have_ordinary_scores(
    scaling, container
):
    """Without them, the indicators of the other categories add up to one."""
    X = container(one_hot_rows())
    detector = SparseCodingDetector(scaling=scaling, trim=0.1).fit(X)
    assert detector.score_samples(X).min() > -100


@pytest.mark.parametrize("value", [1e20, 3e38])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_trimming_leaves_out_values_whose_squares_overflow(value, container):
    X = np.random.default_rng(0).laplace(size=(200, 5)).astype(np.float32)
    bad = X.copy()
    bad[3, 2] = value
    detector = SparseCodingDetector(scaling=None, trim=0.3).fit(container(bad))
    scores = detector.score_samples(X)
    assert detector.score_samples(bad)[3] < scores.min() - 1e10
    clean = SparseCodingDetector(scaling=None, trim=0.3).fit(np.delete(X, 3, axis=0))
    np.testing.assert_allclose(scores, clean.score_samples(X), atol=2.0)


@pytest.mark.parametrize("trim", [0.0, 0.3])
@pytest.mark.parametrize("marginals", [False, True])
@pytest.mark.parametrize(("dtype", "scale"), [(np.float32, 1e-30), (float, 1e-310)])
def test_without_scaling_the_squares_of_features_must_not_underflow(
    dtype, scale, trim, marginals
):
    X = (np.random.default_rng(0).laplace(size=(200, 5)) * scale).astype(dtype)
    detector = SparseCodingDetector(scaling=None, trim=trim, marginals=marginals)
    with pytest.raises(ValueError, match=r"at most .* squares underflow"):
        detector.fit(X)


@each_seed
def test_each_row_is_scored_by_itself(seed):
    X = with_missing(mixed_table(200, seed), seed)
    detector = SparseCodingDetector().fit(X)
    alone = [detector.score_samples(row[None])[0] for row in X[:20]]
    np.testing.assert_allclose(alone, detector.score_samples(X)[:20], rtol=1e-9)


@pytest.mark.parametrize("level", [0.0, 1e3, 1e5])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("missing", [False, True], ids=["complete", "missing"])
def test_float32_has_the_scores_of_the_same_numbers_in_float64(level, scale, missing):
    X = mixed_table(300, 0)
    X[:, 1] = (X[:, 1] - 1e6) / 100
    X[:, 0] = np.clip(X[:, 0], None, 100)
    X = ((X + level) * scale).astype(np.float32)
    X = with_missing(X, 0).astype(np.float32) if missing else X
    single, double = (SparseCodingDetector().fit(a) for a in (X, X.astype(float)))
    scores = single.score_samples(X)
    assert scores.dtype == np.float64
    np.testing.assert_array_equal(single.score_samples(X.astype(float)), scores)
    expected = double.explain(X.astype(float))
    np.testing.assert_allclose(scores, expected.score, atol=0.02)
    np.testing.assert_allclose(single.explain(X).features, expected.features, atol=0.02)
    np.testing.assert_allclose(single.offset_, double.offset_, atol=0.02)


@pytest.mark.parametrize("contamination", [0.01, 0.1, 0.333, 0.5])
def test_contamination_is_the_fraction_of_anomalies_in_the_training_data(contamination):
    X = mixed_table(600, 0)
    detector = SparseCodingDetector(contamination=contamination)
    found = np.sum(detector.fit_predict(X) == -1)
    assert found == int(contamination * 600 + 1e-9)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_the_first_data_have_a_value_of_every_feature(method):
    X = mixed_table(150, 0)
    X[:, 2] = np.nan
    detector = SparseCodingDetector(trim=0.1)
    with pytest.raises(ValueError, match="Feature 2 of X is NaN in all 150 samples"):
        getattr(detector, method)(X)
    assert not hasattr(detector, "coder_")


def test_the_automatic_threshold_is_the_fence_of_cube_roots():
    X = mixed_table(601, 0)
    detector = SparseCodingDetector().fit(X)
    scores = detector.score_samples(X)
    roots = np.cbrt(scores.max() - scores)
    median, quartile, decile = np.quantile(roots, [0.5, 0.75, 0.9])
    fence = median + max(4.0 * (quartile - median), 2.105 * (decile - median))
    expected = scores.max() - fence**3
    np.testing.assert_allclose(detector.offset_, expected, rtol=0.02)


@pytest.mark.parametrize(("n_samples", "n_features"), [(200, 2), (200, 6), (1000, 20)])
def test_the_automatic_threshold_labels_few_normal_samples(n_samples, n_features):
    fractions = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        mixing = rng.normal(size=(n_features, n_features))
        X, new = (rng.normal(size=(n, n_features)) @ mixing for n in (n_samples, 2000))
        fractions.append(np.mean(SparseCodingDetector().fit(X).predict(new) == -1))
    assert np.mean(fractions) <= 0.02


@each_seed
def test_scores_do_not_depend_on_units_and_origins(seed):
    X = mixed_table(300, seed)
    unit, origin = 10.0 ** np.arange(-3, 3), np.array([0, 5, -3, 2, 1, 0])
    a = SparseCodingDetector().fit(X)
    b = SparseCodingDetector().fit(X * unit + origin)
    np.testing.assert_allclose(
        a.decision_function(X), b.decision_function(X * unit + origin), rtol=1e-4
    )


def test_another_value_of_a_constant_feature_is_unlikely():
    X = mixed_table(300, 0)
    detector = SparseCodingDetector().fit(X)
    new = X.copy()
    new[:, 4] += 1e-3
    explanation = detector.explain(new)
    assert np.all(explanation.score < detector.score_samples(X) - 1.0)
    assert np.all(explanation.marginals[:, 4] < -3.0)


def test_constant_features_are_not_coded():
    """Atoms have zeros for them, and there are no more atoms than other features."""
    X = np.column_stack(
        [np.full(100, 3.0), mixed_table(100, 0)[:, [0, 5]], np.zeros((100, 4))]
    )
    coder = OrthogonalSparseCoder(3, alpha="auto", max_iter=5, tol=1.0)
    detector = SparseCodingDetector(coder).fit(X)
    assert detector.coder_.components_.shape == (2, 2)
    assert not detector.explain(X).components[:, [0, 3, 4, 5, 6]].any()
    constant = SparseCodingDetector().fit(np.ones((20, 3)))
    assert constant.score_samples([[1.0, 1, 1]]) > constant.score_samples([[1.0, 2, 1]])


def test_a_value_between_those_of_a_discrete_feature_is_unlikely():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.integers(0, 2, 500) * 1.0, rng.normal(size=500)])
    detector = SparseCodingDetector().fit(X)
    seen, between = detector.explain([[0.0, 0.0], [0.5, 0.0]]).marginals[:, 0]
    assert between < seen - 2.5


@each_seed
def test_trimming_finds_a_group_of_anomalies_in_the_training_data(seed):
    """Without trimming, an atom and a histogram bin model the group."""
    rng = np.random.default_rng(seed)
    axes = random_orthonormal(10, 10, seed)
    normal = rng.normal(size=(900, 10)) * np.linspace(0.2, 2.0, 10) @ axes
    cluster = 8.0 * axes[0] + 0.1 * rng.normal(size=(100, 10))
    X = np.vstack([normal, cluster])

    def recall(trim):
        scores = SparseCodingDetector(trim=trim).fit(X).score_samples(X)
        return np.mean(np.argsort(scores)[:100] >= 900)

    assert recall(0.2) >= 0.95
    assert recall("auto") >= 0.95
    assert recall(0.0) <= 0.2


@each_seed
def test_without_anomalies_trimming_hardly_changes_the_order_of_samples(seed):
    X = np.random.default_rng(seed).normal(size=(1000, 6)) @ random_orthonormal(6, 6)
    trimmed, whole = (SparseCodingDetector(trim=trim).fit(X) for trim in ("auto", 0))
    assert trimmed._model.histograms.counts[0].sum() == 900
    a, b = trimmed.score_samples(X), whole.score_samples(X)
    assert spearmanr(a, b).statistic > 0.95


@each_seed
def test_a_group_of_anomalies_hardly_changes_the_order_of_normal_samples(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(900, 6)) * np.linspace(0.5, 2.0, 6)
    group = np.array([10.0, 0, 0, 0, 0, 0]) + 0.1 * rng.normal(size=(90, 6))
    clean = SparseCodingDetector(trim=0.0).fit(X)
    detector = SparseCodingDetector().fit(np.vstack([X, group]))
    scores = detector.score_samples(X)
    assert spearmanr(scores, clean.score_samples(X)).statistic > 0.95
    assert detector.score_samples(group).max() < np.quantile(scores, 0.05)


def test_many_samples_are_learned_from_a_part_of_them():
    """Weights are repetitions here, too, and the scores hardly change."""
    X = np.random.default_rng(0).laplace(size=(12_000, 3)) * [0.5, 1.0, 2.0]
    detector = SparseCodingDetector(trim=0.0)
    twice = SparseCodingDetector(trim=0.0).fit(X[:6000], sample_weight=np.full(6000, 2))
    repeated = SparseCodingDetector(trim=0.0).fit(np.repeat(X[:6000], 2, axis=0))
    np.testing.assert_allclose(
        twice.decision_function(X), repeated.decision_function(X), rtol=1e-6
    )
    part, all_rows = detector.fit(X)._model, OrthogonalSparseCoder(3, alpha="auto")
    assert part.histograms.counts[0].sum() == 2500
    all_rows.fit(part.scaling.transform(X))
    joint = SparseCodingDetector(marginals=False, trim=0.0).fit(X).score_samples(X)
    expected = all_rows.score_samples(part.scaling.transform(X))
    assert np.mean(np.abs(joint - expected)) < 0.1


def test_partial_fit_on_mini_batches_resembles_fit():
    X = mixed_table(2000, 0)
    stream = SparseCodingDetector()
    for part in np.array_split(X, 4):
        stream.partial_fit(part)
    whole = SparseCodingDetector().fit(X)
    a, b = stream.score_samples(X), whole.score_samples(X)
    assert np.corrcoef(a, b)[0, 1] > 0.95
    assert stream.n_features_in_ == 6


def test_methods_raise_before_fit():
    for method in ("score_samples", "decision_function", "predict", "explain"):
        with pytest.raises(NotFittedError):
            getattr(SparseCodingDetector(), method)(np.ones((2, 2)))


BAD = {
    "infinity": (np.array([[1.0, np.inf], [2, 3], [4, 5]]), "infinity"),
    "one row": (np.ones((1, 3)), "minimum of 2 is required"),
    "no rows": (np.ones((0, 3)), "0 sample"),
    "no columns": (np.ones((3, 0)), "0 feature"),
    "one-dimensional": (np.ones(3), "1D array"),
    "text": (np.array([["a", "b"], ["c", "d"]]), "could not convert|dtype"),
    "complex": (np.ones((3, 2)) + 1j, "Complex data not supported"),
    "sparse NaN": (sparse.csr_array([[np.nan, 1.0], [1, 2], [2, 1]]), "NaN"),
}


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(("data", "message"), BAD.values(), ids=list(BAD))
def test_bad_data_are_refused(method, data, message):
    detector = SparseCodingDetector()
    before = dict(vars(detector))
    with pytest.raises(ValueError, match=message):
        getattr(detector, method)(data)
    assert vars(detector) == before


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"coder": "pca"}, "coder"),
        ({"scaling": "standard"}, "scaling"),
        ({"trim": 0.5}, "trim"),
        ({"trim": -0.1}, "trim"),
        ({"trim": "robust"}, "trim"),
        ({"contamination": 0.0}, "contamination"),
        ({"contamination": 0.6}, "contamination"),
        ({"contamination": "some"}, "contamination"),
        ({"n_jobs": 1.5}, "n_jobs"),
        ({"coder": OrthogonalSparseCoder(9)}, "n_components=9 must be at most"),
    ],
)
def test_bad_parameters_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        SparseCodingDetector(**parameters).fit(mixed_table(50, 0))


def test_a_failed_fit_leaves_the_detector_as_it_was():
    X = mixed_table(100, 0)
    detector = SparseCodingDetector().fit(X)
    scores, before = detector.score_samples(X), dict(vars(detector))
    for method in (detector.fit, detector.partial_fit):
        with pytest.raises(ValueError, match="infinity"):
            method(np.where(X > 1, np.inf, X))
        assert vars(detector) == before
    with pytest.raises(ValueError, match=r"X has 5 features.*expecting 6"):
        detector.partial_fit(X[:, :5])
    np.testing.assert_array_equal(detector.score_samples(X), scores)


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e200, 1e307])
def test_scores_are_finite_for_numbers_of_any_size(scale):
    X = mixed_table(100, 0)
    X[:, 1] = X[:, 0]
    X = X / np.abs(X).max() * scale
    scores = SparseCodingDetector().fit(X).score_samples(X)
    assert np.isfinite(scores).all()


@pytest.mark.parametrize(
    ("dtype", "exponent"),
    [
        (np.float32, -90),
        (np.float32, 50),
        (np.float64, -1000),
        (np.float64, -100),
        (np.float64, 900),
    ],
)
def test_scores_of_scaled_data_are_equal(dtype, exponent):
    """They have the same bits for powers of two; other factors round the data."""
    X = with_missing(mixed_table(200, 0), 0).astype(dtype)
    factor, tol = 2.0**exponent, 1e3 * np.finfo(dtype).eps
    scores = SparseCodingDetector().fit(X).score_samples(X)
    scaled = X * dtype(factor)
    same = SparseCodingDetector().fit(scaled).score_samples(scaled)
    np.testing.assert_array_equal(same, scores)
    scaled = X * dtype(0.7 * factor)
    close = SparseCodingDetector().fit(scaled).score_samples(scaled)
    np.testing.assert_allclose(close, scores, rtol=tol, atol=10 * tol)


@pytest.mark.parametrize("exponent", [-400, -20, 400])
def test_without_scaling_scores_change_by_the_jacobian(exponent):
    X = np.random.default_rng(0).laplace(size=(200, 6)) @ random_orthonormal(6, 6)
    detector = SparseCodingDetector(scaling=None)
    scores = detector.fit(X).score_samples(X)
    scaled = detector.fit(2.0**exponent * X).score_samples(2.0**exponent * X)
    expected = scores - 6 * exponent * np.log(2)
    np.testing.assert_allclose(scaled, expected, rtol=1e-9)


@pytest.mark.parametrize("dtype", [np.float16, np.int64, np.uint8, bool])
def test_other_dtypes_are_scored(dtype):
    X = (np.random.default_rng(0).normal(size=(60, 5)) > 0).astype(dtype)
    scores = SparseCodingDetector().fit(X).score_samples(X)
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()


def test_input_is_not_modified():
    X = np.asfortranarray(with_missing(mixed_table(100, 0), 0))
    before = X.copy()
    X.flags.writeable = False
    SparseCodingDetector(trim=0.1).fit(X).explain(X)
    np.testing.assert_array_equal(X, before)


def test_explanations_of_rows_have_no_maps():
    X = mixed_table(50, 0)
    with pytest.raises(AttributeError, match="use `features`"):
        _ = SparseCodingDetector().fit(X).explain(X).maps


@pytest.mark.parametrize("n_flagged", [1, 10, 20])
def test_an_indicator_that_is_constant_after_trimming_is_not_coded(n_flagged):
    X = np.random.default_rng(0).normal(size=(300, 5))
    flag = np.r_[np.ones(n_flagged), np.zeros(300 - n_flagged)]
    X = np.c_[X, flag]
    assert SparseCodingDetector(trim=0.1).fit(X).score_samples(X).min() > -100
