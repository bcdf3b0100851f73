"""Detectors whose joint density is a mixture."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from skscn import OrthogonalSparseCoder, SparseCodingDetector, SparseCodingMixture

ALONE = {"scaling": None, "marginals": False, "trim": 0.0}


def make_rows(n_samples, seed=0):
    """Return rows of two kinds, each near a plane of its own."""
    rng = np.random.default_rng(seed)
    bases = [
        np.linalg.qr(np.random.default_rng(i).normal(size=(6, 6)))[0] for i in (1, 2)
    ]
    X = rng.laplace(size=(n_samples, 6)) * [3, 2, 1, 0.1, 0.1, 0.1]
    kinds = rng.integers(2, size=n_samples)
    for kind, basis in enumerate(bases):
        X[kinds == kind] = X[kinds == kind] @ basis + 2 * kind
    return X, kinds


@pytest.fixture(scope="module")
def mixture():
    return SparseCodingMixture(2, 4, random_state=0, tol=1e-2)


def test_the_score_is_the_log_likelihood_of_the_mixture(mixture):
    X, _ = make_rows(600)
    X[::50, 2] = np.nan
    detector = SparseCodingDetector(mixture, **ALONE).fit(X)
    expected = mixture.fit(X).score_samples(X)
    np.testing.assert_allclose(detector.score_samples(X), expected, rtol=1e-9)


@pytest.mark.parametrize("options", [ALONE, {}], ids=["alone", "default"])
def test_terms_sum_to_scores(options, mixture):
    X, kinds = make_rows(600)
    detector = SparseCodingDetector(mixture, **options).fit(X)
    found = detector.explain(X[:100])
    scores = detector.score_samples(X[:100])
    terms = np.column_stack([found.coefficients, found.residual, found.marginals])
    np.testing.assert_allclose(found.score, scores, rtol=1e-9)
    np.testing.assert_allclose(terms.sum(axis=1), scores, rtol=1e-9)
    np.testing.assert_allclose(found.features.sum(axis=1), scores, rtol=1e-9)
    assert repr(found).startswith("Explanation of 100 scores from ")
    # A row has coefficients in one dictionary, that of its kind.
    assert found.components.shape == (8, 6)
    of_first = found.coefficients[:, :4].any(axis=1)
    assert not np.any(of_first & found.coefficients[:, 4:].any(axis=1))
    agreement = np.mean(of_first == kinds[:100])
    assert max(agreement, 1 - agreement) > 0.9


def test_one_dictionary_is_a_coder():
    X, _ = make_rows(300)
    options = {"alpha": "auto", "tol": 1e-3}
    coder = SparseCodingDetector(OrthogonalSparseCoder(4, **options)).fit(X)
    one = SparseCodingDetector(SparseCodingMixture(1, 4, tol=1e-3)).fit(X)
    np.testing.assert_allclose(
        one.score_samples(X), coder.score_samples(X), rtol=1e-8, atol=1e-8
    )


def test_rows_between_the_kinds_are_anomalies(mixture):
    """Each kind lies near a plane; single dictionaries have to contain both."""
    X, _ = make_rows(1500)
    normal, _ = make_rows(500, seed=1)
    anomalies = normal[:250] / 2 + normal[250:] / 2
    rows, is_normal = np.vstack([normal, anomalies]), np.repeat([1, 0], [500, 250])
    areas = [
        roc_auc_score(is_normal, SparseCodingDetector(coder).fit(X).score_samples(rows))
        for coder in (mixture, OrthogonalSparseCoder(4, alpha="auto", tol=1e-3))
    ]
    assert areas[0] > areas[1] + 0.1


def test_streams_labels_and_workers(mixture):
    X, _ = make_rows(9000)
    detector = SparseCodingDetector(mixture).fit(X)
    scores = detector.score_samples(X)
    shared = SparseCodingDetector(mixture, n_jobs=2).fit(X)
    np.testing.assert_array_equal(shared.score_samples(X), scores)
    alone = np.concatenate([detector.predict(row[None]) for row in X[:20]])
    np.testing.assert_array_equal(alone, detector.predict(X)[:20])
    detector.partial_fit(X[:500])
    assert np.isfinite(detector.score_samples(X)).all()


@pytest.mark.parametrize("contamination", [0.025, 0.105])
def test_a_row_at_the_threshold_has_the_same_label_in_every_batch(
    mixture, contamination
):
    X = np.repeat(make_rows(100)[0], 10, axis=0)  # ten rows are the threshold
    detector = SparseCodingDetector(mixture, contamination=contamination).fit(X)
    X = X[np.abs(detector.decision_function(X)).argsort()[:40]]
    assert np.abs(detector.decision_function(X[:1])) < 1e-6
    labels = detector.predict(X)
    for size in (1, 17):
        parts = [X[start : start + size] for start in range(0, 40, size)]
        found = np.concatenate([detector.predict(part) for part in parts])
        np.testing.assert_array_equal(found, labels)
