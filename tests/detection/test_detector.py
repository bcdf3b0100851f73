"""Anomalies: what a score is made of, and what it finds."""

import numpy as np
import pytest
from common import random_orthonormal
from scipy import sparse
from sklearn.exceptions import NotFittedError

from skscn import NonNegativeSparseCoder, OrthogonalSparseCoder, SparseCodingDetector
from skscn._detection.explanation import costs

each_seed = pytest.mark.parametrize("seed", [0, 1, 2])


def mixed(n_samples, seed, n_features=6):
    """Return a table of related features in many units, with few values, with one."""
    rng = np.random.default_rng(seed)
    X = rng.laplace(size=(n_samples, n_features)) * np.linspace(0.3, 2, n_features)
    X = X @ random_orthonormal(n_features, n_features)
    X[:, 0] = np.exp(3 * X[:, 0])  # heavy tails
    X[:, 1] = 1e6 + 100 * X[:, 1]  # far from the origin
    X[:, 2] = np.round(X[:, 2])
    X[:, 3] = X[:, 3] > 1.0
    X[:, 4] = 7.0
    return X


def holed(X, seed, share=0.1):
    return np.where(np.random.default_rng(seed).random(X.shape) < share, np.nan, X)


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


def close(a, b):
    """Whether arrays are the same to 1e-9 of the larger ones in them."""
    return np.max(np.abs(a - b)) <= 1e-9 * max(1.0, np.max(np.abs(b)))


@each_seed
def test_without_scaling_and_marginals_it_is_the_likelihood_of_the_coder(seed):
    X = mixed(200, seed)
    coder = OrthogonalSparseCoder(3, alpha="auto", max_iter=5, tol=1.0)
    detector = SparseCodingDetector(coder, scaling=None, marginals=False).fit(X)
    expected = coder.fit(X).score_samples(X)
    np.testing.assert_allclose(detector.score_samples(X), expected, rtol=1e-12)


@each_coder
@pytest.mark.parametrize("gaps", [False, True], ids=["complete", "with gaps"])
@pytest.mark.parametrize("scaling", ["robust", None])
def test_the_parts_of_an_explanation_add_up_to_the_score(coder, gaps, scaling):
    X = mixed(200, 0)
    if scaling is None:
        X[:, 1] /= 1e6
    if gaps:
        X = holed(X, 1)
    detector = SparseCodingDetector(coder, scaling=scaling).fit(X)
    score, parts = detector.score_samples(X), detector.explain(X)
    by_coefficient = parts.coefficients.sum(axis=1) + parts.rest
    assert close(by_coefficient + parts.marginals.sum(axis=1), score)
    assert close(parts.features.sum(axis=1), score)
    assert close(parts.score, score)


def test_an_explanation_holds_far_from_the_data_and_at_the_mean():
    X = mixed(200, 0)
    detector = SparseCodingDetector().fit(X)
    far = np.vstack([np.median(X, axis=0), X[0] * 1e12, -X[1] * 1e200, 0 * X[0]])
    parts = detector.explain(far)
    assert close(parts.features.sum(axis=1), detector.score_samples(far))


@pytest.mark.parametrize("prior", ["laplace", "spike_slab"])
@pytest.mark.parametrize("n_components", [2, 4])
def test_no_feature_costs_more_than_another_value_of_it_wins_back(prior, n_components):
    """By the definition: the largest likelihood along every feature, on a grid."""
    X = np.log1p(np.abs(mixed(300, 0)[:, [0, 2, 3, 5]]))
    coder = OrthogonalSparseCoder(
        n_components, prior=prior, alpha="auto", max_iter=10, tol=1.0
    )
    coder.fit(X)
    model = coder._posterior_mean_model(np.float64)
    rows = X[:20]
    found, before = costs(rows, model), coder.score_samples(rows)
    assert found.min() >= 0.0
    span = np.ptp(X, axis=0)
    for f in range(4):
        others = np.repeat(rows, 1001, axis=0)
        others[:, f] += np.tile(np.linspace(-span[f], span[f], 1001), 20)
        best = coder.score_samples(others).reshape(20, -1).max(axis=1)
        assert np.all(found[:, f] <= best - before + 0.05)


@each_seed
def test_of_gaussian_noise_the_cost_is_the_square_of_the_conditional_residual(seed):
    """Without codes a feature is known from the others by its mean and variance."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(50, 5))
    code = OrthogonalSparseCoder(1, alpha=1e3, max_iter=0)
    with pytest.warns(UserWarning, match="All codes"):
        code.fit(X)
    model = code._posterior_mean_model(np.float64)
    noise = code.noise_variance_
    expected = (X - code.mean_) ** 2 / (2 * noise)
    np.testing.assert_allclose(costs(X, model), expected, rtol=0.05)


def test_costs_of_features_that_are_nearly_one():
    """What cancels out along a direction of hardly any variance blames no feature."""
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
def test_a_corrupted_feature_is_named_first(seed, n_features):
    """One feature of a sample is moved: by four of its deviations, either way."""
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
    assert np.mean(named == which) >= 0.95


def test_an_atom_explains_what_no_feature_does():
    """A sample far out along one atom has its lowest coefficient there."""
    rng = np.random.default_rng(0)
    atoms = random_orthonormal(5, 5)
    X = rng.laplace(size=(2000, 5)) * [5.0, 4, 3, 2, 1] @ atoms
    detector = SparseCodingDetector(scaling=None, marginals=False).fit(X)
    parts = detector.explain(30 * atoms)
    which = parts.coefficients.argmin(axis=1)
    cosines = np.abs(np.sum(parts.components[which] * atoms, axis=1))
    assert cosines.min() > 0.9


@each_seed
@pytest.mark.parametrize("trim", [0.0, 0.2])
def test_weights_are_repetitions(seed, trim):
    X = mixed(150, seed)
    weights = np.random.default_rng(seed).integers(0, 4, 150)
    weighted = SparseCodingDetector(trim=trim).fit(X, sample_weight=weights)
    repeated = SparseCodingDetector(trim=trim).fit(np.repeat(X, weights, axis=0))
    a, b = weighted.decision_function(X), repeated.decision_function(X)
    np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


@each_seed
def test_sparse_is_dense(seed):
    X = mixed(150, seed)
    X[np.random.default_rng(seed).random(X.shape) < 0.6] = 0.0
    dense, csr = (SparseCodingDetector().fit(data) for data in (X, sparse.csr_array(X)))
    expected = dense.decision_function(X)
    np.testing.assert_allclose(csr.decision_function(X), expected, rtol=1e-6)
    found = dense.decision_function(sparse.csr_array(X))
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    np.testing.assert_allclose(
        dense.explain(sparse.csr_array(X)).features, dense.explain(X).features
    )


def test_the_same_bits_for_any_number_of_workers():
    X = mixed(9000, 0)
    one, two = (SparseCodingDetector(n_jobs=n, trim=0.1).fit(X) for n in (1, 2))
    np.testing.assert_array_equal(one.score_samples(X), two.score_samples(X))
    assert one.offset_ == two.offset_


@each_seed
def test_rows_are_scored_each_by_itself(seed):
    X = holed(mixed(200, seed), seed)
    detector = SparseCodingDetector().fit(X)
    alone = [detector.score_samples(row[None])[0] for row in X[:20]]
    np.testing.assert_allclose(alone, detector.score_samples(X)[:20], rtol=1e-9)


def test_scores_are_float64_also_of_float32():
    X = mixed(200, 0)
    X[:, 1] -= 1e6
    double = SparseCodingDetector().fit(X)
    single = SparseCodingDetector().fit(X.astype(np.float32))
    scores = single.score_samples(X.astype(np.float32))
    assert scores.dtype == np.float64
    assert np.corrcoef(scores, double.score_samples(X))[0, 1] > 0.999


@pytest.mark.parametrize("contamination", [0.01, 0.1, 0.333, 0.5])
def test_contamination_is_the_share_that_is_found(contamination):
    X = mixed(600, 0)
    detector = SparseCodingDetector(contamination=contamination)
    found = np.sum(detector.fit_predict(X) == -1)
    assert found == int(contamination * 600 + 1e-9)


def test_auto_is_the_fence_of_tukey():
    X = mixed(601, 0)
    detector = SparseCodingDetector().fit(X)
    low, high = np.quantile(detector.score_samples(X), [0.25, 0.75])
    np.testing.assert_allclose(detector.offset_, low - 1.5 * (high - low), rtol=0.02)


@each_seed
def test_units_do_not_matter(seed):
    """Robust scaling: features may be given in any units, and from any origin."""
    X = mixed(300, seed)
    unit, origin = 10.0 ** np.arange(-3, 3), np.array([0, 5, -3, 2, 1, 0])
    a = SparseCodingDetector().fit(X)
    b = SparseCodingDetector().fit(X * unit + origin)
    np.testing.assert_allclose(
        a.decision_function(X), b.decision_function(X * unit + origin), rtol=1e-4
    )


def test_a_value_never_seen_of_a_constant_feature_is_unlikely():
    X = mixed(300, 0)
    detector = SparseCodingDetector().fit(X)
    new = X.copy()
    new[:, 4] += 1e-3
    parts = detector.explain(new)
    assert np.all(parts.score < detector.score_samples(X) - 1.0)
    assert np.all(parts.marginals[:, 4] < -3.0)


def test_constant_features_take_no_atoms():
    """As many atoms as features are as many as vary, and explanations skip the rest."""
    X = np.column_stack(
        [np.full(100, 3.0), mixed(100, 0)[:, [0, 5]], np.zeros((100, 4))]
    )
    coder = OrthogonalSparseCoder(3, alpha="auto", max_iter=5, tol=1.0)
    detector = SparseCodingDetector(coder).fit(X)
    assert detector.coder_.components_.shape == (2, 2)
    assert not detector.explain(X).components[:, [0, 3, 4, 5, 6]].any()
    nothing = SparseCodingDetector().fit(np.ones((20, 3)))
    assert nothing.score_samples([[1.0, 1, 1]]) > nothing.score_samples([[1.0, 2, 1]])


def test_a_value_between_two_of_a_discrete_feature_is_unlikely():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.integers(0, 2, 500) * 1.0, rng.normal(size=500)])
    detector = SparseCodingDetector().fit(X)
    seen, between = detector.explain([[0.0, 0.0], [0.5, 0.0]]).marginals[:, 0]
    assert between < seen - 3.0


@each_seed
def test_trimming_finds_what_hides_in_the_training_data(seed):
    """A tight cluster of anomalies has a model of its own, unless it is left out."""
    rng = np.random.default_rng(seed)
    axes = random_orthonormal(10, 10, seed)
    normal = rng.normal(size=(900, 10)) * np.linspace(0.2, 2.0, 10) @ axes
    cluster = 8.0 * axes[0] + 0.1 * rng.normal(size=(100, 10))
    X = np.vstack([normal, cluster])

    def lowest(trim):
        scores = SparseCodingDetector(trim=trim).fit(X).score_samples(X)
        return np.mean(np.argsort(scores)[:100] >= 900)

    assert lowest(0.2) >= 0.95
    assert lowest(0.0) <= 0.05


def test_chunks_of_a_stream_add_up():
    X = mixed(2000, 0)
    stream = SparseCodingDetector()
    for part in np.array_split(X, 4):
        stream.partial_fit(part)
    whole = SparseCodingDetector().fit(X)
    a, b = stream.score_samples(X), whole.score_samples(X)
    assert np.corrcoef(a, b)[0, 1] > 0.95
    assert stream.n_features_in_ == 6


def test_before_fit():
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
def test_bad_data(method, data, message):
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
        ({"contamination": 0.0}, "contamination"),
        ({"contamination": 0.6}, "contamination"),
        ({"contamination": "some"}, "contamination"),
        ({"n_jobs": 1.5}, "n_jobs"),
        ({"coder": OrthogonalSparseCoder(9)}, "n_components=9 must be at most"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        SparseCodingDetector(**parameters).fit(mixed(50, 0))


def test_a_failed_fit_leaves_the_detector_as_it_was():
    X = mixed(100, 0)
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
def test_numbers_of_any_size(scale):
    X = mixed(100, 0)
    X[:, 1] = X[:, 0]
    X = X / np.abs(X).max() * scale
    scores = SparseCodingDetector().fit(X).score_samples(X)
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("dtype", [np.float16, np.int64, np.uint8, bool])
def test_other_numbers(dtype):
    X = (np.random.default_rng(0).normal(size=(60, 5)) > 0).astype(dtype)
    scores = SparseCodingDetector().fit(X).score_samples(X)
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()


def test_input_is_left_as_it_is():
    X = np.asfortranarray(holed(mixed(100, 0), 0))
    before = X.copy()
    X.flags.writeable = False
    SparseCodingDetector(trim=0.1).fit(X).explain(X)
    np.testing.assert_array_equal(X, before)


def test_rows_have_no_map():
    X = mixed(50, 0)
    with pytest.raises(AttributeError, match="read `features`"):
        _ = SparseCodingDetector().fit(X).explain(X).maps


@pytest.mark.parametrize("n_flagged", [1, 10, 20])
def test_a_flag_that_trimming_removes_is_not_coded(n_flagged):
    X = np.random.default_rng(0).normal(size=(300, 5))
    flag = np.r_[np.ones(n_flagged), np.zeros(300 - n_flagged)]
    scores = (
        SparseCodingDetector(trim=0.1).fit(np.c_[X, flag]).score_samples(np.c_[X, flag])
    )
    assert scores.min() > -100
