"""Reports and repairs of scikit-learn networks and of weight arrays."""

import pickle
import re

import numpy as np
import pytest
from common import random_orthonormal
from scipy.linalg import polar
from scipy.stats import exponnorm
from sklearn.datasets import make_regression
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skscn
from skscn import (
    ConvSparseCoder,
    InterpretationDisplay,
    NonNegativeSparseCoder,
    SparseCodingNetwork,
    SpatialPool,
    interpret_network,
    repair_network,
)
from skscn._interpretation.layer_density import LayerDensity
from skscn._interpretation.layer_geometry import orthonormalize
from skscn._interpretation.nonnegative_lasso import exact_codes

each_seed = pytest.mark.parametrize("seed", range(3))
ignore_convergence = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
OTHER_METHODS = ("exact", "unrolled", "hard", "mean")


def random_layers(*sizes, seed=0, scale=0.3):
    """Return layers of random weights and biases of both signs."""
    rng = np.random.default_rng(seed)
    pairs = zip(sizes[1:], sizes[:-1], strict=True)
    return [(rng.normal(size=pair), scale * rng.normal(size=pair[0])) for pair in pairs]


def random_rows(n_features, seed=0, n_samples=80):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_samples, n_features)) + rng.normal(size=n_features)


def orthonormal_layers(seed=0):
    """Return two layers of orthonormal atoms with sparse priors, and a readout."""
    rng = np.random.default_rng(seed)
    return [
        (2.0 * random_orthonormal(8, 12, seed), -rng.uniform(0, 1, 8)),
        (0.5 * random_orthonormal(6, 8, seed + 1), -rng.uniform(0, 0.2, 6)),
        (rng.normal(size=(3, 6)), rng.normal(size=3)),
    ]


@pytest.fixture(scope="module")
def trained(digits):
    y = np.argmax(digits @ np.random.default_rng(0).normal(size=(64, 4)), axis=1)
    model = MLPClassifier((24, 12), max_iter=40, random_state=0)
    with pytest.warns(match="Stochastic Optimizer"):
        return model.fit(digits, y), digits, y


# The predictions of a report are those of the model.


@ignore_convergence
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_probabilities_are_those_of_the_classifier(digits, n_classes, dtype):
    X = digits[:1000].astype(dtype)
    y = np.arange(1000) % n_classes * 10 + (X[:, 20] > 8)
    model = MLPClassifier((20, 10), max_iter=5, random_state=0).fit(X, y)
    report = interpret_network(model, X)
    np.testing.assert_allclose(
        report.predict_proba(X), model.predict_proba(X), atol=1e-5
    )
    np.testing.assert_array_equal(report.predict(X), model.predict(X))
    assert report.transform(X).dtype == dtype
    assert report.score(X, y) == model.score(X, y)


@ignore_convergence
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_values_are_those_of_the_regressor(n_outputs):
    X, y = make_regression(1000, 8, n_targets=n_outputs, random_state=0)
    model = MLPRegressor(hidden_layer_sizes=(20,), max_iter=5, random_state=0).fit(X, y)
    report = interpret_network(model, X)
    found = report.predict(X)
    assert found.shape == model.predict(X).shape
    np.testing.assert_allclose(found, model.predict(X), rtol=1e-5)
    assert np.isclose(report.score(X, y), model.score(X, y))
    with pytest.raises(AttributeError, match="no classifier"):
        report.predict_proba(X)


@ignore_convergence
def test_multilabel_predictions_are_those_of_the_classifier(digits):
    Y = digits[:300, [10, 20, 30]] > 5
    model = MLPClassifier((10,), max_iter=20, random_state=0).fit(digits[:300], Y)
    report = interpret_network(model)
    found = report.predict(digits[:300])
    np.testing.assert_array_equal(found, model.predict(digits[:300]))


@ignore_convergence
def test_a_pipeline_transforms_samples_before_its_network(digits):
    y = digits[:, 20] > 8
    model = make_pipeline(
        StandardScaler(), MLPClassifier((10,), max_iter=5, random_state=0)
    ).fit(digits, y)
    report = interpret_network(model, digits)
    np.testing.assert_allclose(
        report.predict_proba(digits), model.predict_proba(digits), atol=1e-5
    )
    # The mean of scaled samples is zero: it explains no bias.
    assert np.abs(report.layers[0].mean).max() < 1e-12
    assert report.layers[0].explained_fraction == 0.0
    repair = report.repair(digits, y, refit=True)
    assert (repair.model[-1].intercepts_[0] <= 0).all()
    assert repair.score_after == repair.model.score(digits, y)


def test_weight_arrays_have_a_row_for_each_unit():
    layers, X = random_layers(7, 5, 4, 3), random_rows(7)
    report = interpret_network(layers, X)
    below = X
    for i, (weight, bias) in enumerate(layers[:-1]):
        below = np.maximum(below @ weight.T + bias, 0)
        norms = np.linalg.norm(weight, axis=1)
        np.testing.assert_allclose(report.transform(X, layer=i) * norms, below)
    weight, bias = layers[-1]
    np.testing.assert_allclose(report.predict(X), below @ weight.T + bias)
    assert len(interpret_network(layers, readout=False).layers) == 3


def test_codes_of_a_non_negative_coder_are_exact(digits):
    coder = NonNegativeSparseCoder(20, alpha=2.0).fit(digits)
    report = interpret_network(coder, digits)
    np.testing.assert_allclose(report.transform(digits), coder.transform(digits))
    layer = report.layers[0]
    assert layer.positive_bias_fraction_centered == 0.0
    assert layer.orthogonality_error < 1e-10
    assert layer.objective_gap < 1e-10
    np.testing.assert_allclose(layer.centered_priors, coder.alpha_)
    with pytest.raises(TypeError, match="nothing to repair"):
        report.repair()


def test_outputs_are_those_of_the_sparse_coding_network(digits):
    images = digits[:100].reshape(-1, 8, 8)
    network = SparseCodingNetwork(
        [
            ("conv1", ConvSparseCoder(6, kernel_size=3, random_state=0)),
            ("pool1", SpatialPool("max")),
            ("conv2", ConvSparseCoder(4, kernel_size=2, split_sign=False, max_iter=3)),
            ("pool2", SpatialPool("gaussian", grid=2, power=0.5)),
        ]
    )
    with pytest.warns(match="still decreases"):
        network.fit(images)
    report = interpret_network(network, images)
    assert [layer.name for layer in report.layers] == ["conv1", "conv2"]
    found = report.predict(images).reshape(100, -1)
    np.testing.assert_allclose(found, network.transform(images), atol=1e-10)
    assert report.layers[0].atoms.shape == (12, 3, 3, 1)


# Statistics of weights.


@each_seed
def test_atoms_and_priors_are_weights_and_biases_divided_by_norms(seed):
    layers = random_layers(7, 5, 3, seed=seed)
    layer = interpret_network(layers).layers[0]
    weight, bias = layers[0]
    np.testing.assert_allclose(layer.atoms * layer.norms[:, None], weight)
    np.testing.assert_allclose(-layer.priors * layer.norms, bias)
    np.testing.assert_allclose(np.linalg.norm(layer.atoms, axis=1), 1.0)
    assert layer.positive_bias_fraction == np.mean(bias > 0)
    gram = layer.atoms @ layer.atoms.T
    assert np.isclose(layer.orthogonality_error, np.linalg.norm(gram - np.eye(5)))
    assert np.isclose(layer.coherence, np.abs(np.triu(gram, 1)).max())
    assert layer.explained_fraction is None
    assert layer.activity is None


@each_seed
def test_overcomplete_atoms_satisfy_the_welch_bounds(seed):
    layer = interpret_network(random_layers(4, 9, 2, seed=seed)).layers[0]
    assert layer.is_overcomplete
    assert layer.orthogonality_error >= layer.min_orthogonality_error > 0
    assert layer.coherence >= layer.min_coherence > 0
    # Three vectors at 120 degrees reach both.
    angles = 2 * np.pi * np.arange(3) / 3
    weight = np.column_stack([np.cos(angles), np.sin(angles)])
    tight = interpret_network([(weight, np.zeros(3))], readout=False).layers[0]
    assert np.isclose(tight.orthogonality_error, tight.min_orthogonality_error)
    assert np.isclose(tight.coherence, tight.min_coherence)


@each_seed
def test_the_mean_of_centered_inputs_explains_no_positive_bias(seed):
    layers, X = random_layers(7, 20, 3, seed=seed), random_rows(7, seed) + 2.0
    layer = interpret_network(layers, X).layers[0]
    weight, bias = layers[0]
    centered = bias + weight @ X.mean(axis=0)
    assert layer.positive_bias_fraction == np.mean(bias > 0)
    assert layer.explained_fraction == np.mean((bias > 0) & (centered <= 0))
    assert layer.unexplained_fraction == np.mean((bias > 0) & (centered > 0))
    assert 0 < layer.explained_fraction < layer.positive_bias_fraction
    # With the mean moved into the bias, the network is the same for centered inputs.
    moved = [(weight, centered), layers[1]]
    again = interpret_network(moved, X - X.mean(axis=0)).layers[0]
    assert again.explained_fraction == 0.0
    assert again.positive_bias_fraction == layer.positive_bias_fraction_centered


def test_units_without_weights_are_constant():
    layers, X = random_layers(7, 5, 3), random_rows(7)
    layers[0][0][1] = 0.0
    layers[0][1][1] = 0.7
    report = interpret_network(layers, X)
    layer = report.layers[0]
    assert layer.n_constant_units == 1
    assert not layer.atoms[1].any()
    expected = np.maximum(X @ layers[0][0].T + layers[0][1], 0)
    for inference in ("relu", *OTHER_METHODS):
        codes = report.transform(X, layer=0, inference=inference)
        np.testing.assert_allclose(codes[:, 1], 0.7)
    found = report.transform(X, layer=0) * layer.norms
    np.testing.assert_allclose(found, expected)
    assert np.isfinite(report.score_samples(X)).all()


# Statistics of data.


@each_seed
def test_relu_codes_of_orthonormal_atoms_are_exact(seed):
    X = random_rows(12, seed)
    report = interpret_network(orthonormal_layers(seed), X)
    for layer in report.layers:
        assert abs(layer.objective_gap) < 1e-9
        assert layer.orthogonality_error < 1e-9
    for inference in ("exact", "unrolled"):
        np.testing.assert_allclose(
            report.predict(X, inference=inference), report.predict(X), atol=1e-10
        )


@each_seed
def test_objectives_equal_their_definition(seed):
    layers, X = random_layers(9, 6, 3, seed=seed), random_rows(9, seed)
    report = interpret_network(layers, X)
    layer, atoms = report.layers[0], report.layers[0].atoms
    centered = X - X.mean(axis=0)

    def objective(codes):
        fit = np.sum((centered - codes @ atoms) ** 2, axis=1) / 2
        return np.mean(fit + codes @ layer.centered_priors)

    relu = report.transform(X)
    exact = report.transform(X, inference="exact")
    assert np.isclose(layer.objective_zero, objective(np.zeros_like(relu)))
    assert np.isclose(layer.objective_relu, objective(relu))
    assert np.isclose(layer.objective_exact, objective(exact), rtol=1e-6)
    assert layer.objective_exact < layer.objective_relu
    best = layer.objective_zero - layer.objective_exact
    gap = layer.objective_relu - layer.objective_exact
    assert np.isclose(layer.objective_gap, gap / best)


@each_seed
def test_r2_equals_its_definition(seed):
    layers, X = random_layers(9, 6, 3, seed=seed), random_rows(9, seed)
    report = interpret_network(layers, X)
    layer, relu = report.layers[0], report.transform(X)
    residual = X - relu @ layer.atoms
    variance = X.var(axis=0).sum()
    assert np.isclose(layer.r2_relu, 1 - residual.var(axis=0).sum() / variance)
    design = np.column_stack([relu, np.ones(len(X))])
    residual = X - design @ np.linalg.lstsq(design, X, rcond=None)[0]
    share = 1 - residual.var(axis=0).sum() / variance
    assert np.isclose(layer.r2_linear, share, atol=1e-4)
    assert layer.r2_linear >= layer.r2_relu


@each_seed
def test_no_center_with_sparse_priors_is_closer_than_center_distance(seed):
    layers, X = random_layers(9, 6, 3, seed=seed, scale=3.0), random_rows(9, seed)
    layer = interpret_network(layers, X).layers[0]
    mean = X.mean(axis=0)
    assert layer.positive_bias_fraction_centered > 0
    code, _ = exact_codes(-layer.centered_priors[None], layer.gram, tol=1e-12)
    center = mean - code[0] @ layer.atoms
    assert (layer.priors - layer.atoms @ center).min() > -1e-8
    spread = np.sqrt(np.mean(np.sum((X - mean) ** 2, axis=1)))
    distance = np.linalg.norm(center - mean) / spread
    assert np.isclose(distance, layer.center_distance, rtol=1e-3)
    # For all centers between the mean and this one, some prior is not sparse.
    for fraction in (0.5, 0.99):
        between = mean + fraction * (center - mean)
        assert (layer.priors - layer.atoms @ between).min() < 0


def test_without_a_center_with_sparse_priors_there_is_no_exact_code():
    weight = np.vstack([np.eye(3), -np.eye(3)])
    layers = [(weight, np.full(6, 0.5)), (np.ones((2, 6)), np.zeros(2))]
    X = random_rows(3)
    report = interpret_network(layers, X)
    layer = report.layers[0]
    assert np.isnan(layer.objective_exact)
    assert np.isnan(layer.r2_exact)
    assert np.isinf(layer.center_distance)
    with pytest.raises(ValueError, match="has no exact code"):
        report.predict(X, inference="exact")
    assert np.isfinite(report.predict(X, inference="unrolled")).all()
    repaired = report.repair().after
    assert np.isfinite(repaired.predict(X, inference="exact")).all()


def test_activity_is_the_fraction_of_positive_codes():
    layers, X = random_layers(7, 5, 3), random_rows(7)
    layers[0][1][2] = -100.0
    report = interpret_network(layers, X)
    layer = report.layers[0]
    codes = report.transform(X, layer=0)
    np.testing.assert_allclose(layer.activity, np.mean(codes > 0, axis=0))
    np.testing.assert_array_equal(layer.dead_units, [2])


# Other inference methods.


def test_hard_codes_are_not_shrunk():
    layers, X = orthonormal_layers(), random_rows(12)
    layers = [layers[0], (np.eye(8), np.zeros(8))]
    report = interpret_network(layers, X)
    layer = report.layers[0]
    u = (X - X.mean(axis=0)) @ layer.atoms.T
    threshold = layer.centered_priors
    expected = np.where(u > threshold, u - np.minimum(threshold, 0), 0)
    found = report.transform(X, inference="hard")
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_mean_codes_are_means_of_the_truncated_normal_posterior():
    layers, X = orthonormal_layers(), random_rows(12)
    report = interpret_network(layers, X)
    layer = report.layers[0]
    v = X @ layer.atoms.T - layer.priors
    grid = np.linspace(0, 30, 30_001)
    density = np.exp(-((grid - v[:5, :, None]) ** 2) / (2 * layer.noise_variance))
    expected = (density * grid).sum(axis=2) / density.sum(axis=2)
    found = report.transform(X, layer=0, inference="mean")
    np.testing.assert_allclose(found[:5], expected, atol=2e-3)
    relu = report.transform(X, layer=0)
    assert np.all(found > relu)


def test_unrolled_codes_lead_from_relu_codes_to_exact_codes():
    layers, X = random_layers(7, 5, 3), random_rows(7)
    report = interpret_network(layers, X)
    found = report.predict(X, inference="unrolled", n_steps=0)
    np.testing.assert_allclose(found, report.predict(X))
    last = report.predict(X, inference="unrolled", n_steps=5000)
    np.testing.assert_allclose(last, report.predict(X, inference="exact"), atol=1e-4)


# Likelihoods.


def test_log_likelihood_is_that_of_scipy_for_orthonormal_atoms():
    rng = np.random.default_rng(0)
    atoms, mean = random_orthonormal(5, 5), rng.normal(size=5)
    threshold = rng.uniform(0.5, 1, 5)
    density = LayerDensity(atoms, mean, threshold, 0.3)
    X = 2 * rng.normal(size=(20, 5))
    sigma, u = np.sqrt(0.3), (X - mean) @ atoms.T
    expected = exponnorm.logpdf(u, 0.3 / threshold / sigma, scale=sigma).sum(axis=1)
    np.testing.assert_allclose(density.log_likelihood(X), expected)


@each_seed
def test_the_planted_noise_variance_is_estimated(seed):
    rng = np.random.default_rng(seed)
    atoms = random_orthonormal(6, 10, seed)
    codes = rng.exponential(0.8, size=(4000, 6))
    X = codes @ atoms + 0.3 * rng.normal(size=(4000, 10))
    # λ = σ² β, about the mean of the data.
    bias = -np.full(6, 0.09 / 0.8)
    report = interpret_network([(atoms, bias), (np.eye(6), np.zeros(6))], X)
    density = LayerDensity.fit(atoms, np.zeros(10), -bias, X)
    assert np.isclose(density.noise_variance, 0.09, rtol=0.05)
    assert np.isfinite(report.score_samples(X)).all()


def test_noise_and_shuffled_digits_are_less_likely_than_digits(trained):
    model, X, _ = trained
    report = interpret_network(model, X[::2])
    rng = np.random.default_rng(0)
    strange = {
        "noise": rng.uniform(0, 16, size=X[1::2].shape),
        "shuffled": rng.permuted(X[1::2], axis=1),
    }
    normal = report.score_samples(X[1::2])
    for others in strange.values():
        scores = np.concatenate([normal, report.score_samples(others)])
        assert roc_auc_score(np.arange(len(scores)) < len(normal), scores) > 0.99


def test_log_likelihoods_are_summed_over_layers(trained):
    model, X, _ = trained
    report = interpret_network(model, X)
    parts = [report.score_samples(X[:9], layer=i) for i in (0, -1)]
    np.testing.assert_allclose(report.score_samples(X[:9]), sum(parts))


# Repair.


def test_repair_does_not_change_the_model(trained):
    model, X, y = trained
    before = pickle.dumps(model)
    for options in ({}, {"priors": "centered", "atoms": True, "refit": True}):
        repair = repair_network(model, X, y, **options)
        assert type(repair.model) is MLPClassifier
        assert repair.model is not model
        np.testing.assert_array_equal(repair.after.predict(X), repair.model.predict(X))
        assert repair.score_before == model.score(X, y)
        assert repair.score_after == repair.model.score(X, y)
        assert repair.change == repair.score_after - repair.score_before
    assert pickle.dumps(model) == before


@each_seed
def test_repaired_priors_are_sparse(seed):
    layers, X = random_layers(9, 6, 5, 3, seed=seed), random_rows(9, seed)
    plain = repair_network(layers)
    for (weight, bias), (old, given) in zip(plain.model, layers, strict=True):
        np.testing.assert_array_equal(weight, old)
        last = given is layers[-1][1]
        np.testing.assert_array_equal(bias, given if last else np.minimum(given, 0))
    centered = repair_network(layers, X, priors="centered")
    for layer in centered.after.layers:
        assert layer.positive_bias_fraction_centered == 0.0


@each_seed
def test_repaired_atoms_are_the_polar_factor(seed):
    layers, X = random_layers(9, 6, 3, seed=seed), random_rows(9, seed)
    repair = repair_network(layers, X, priors=None, atoms=True)
    old, new = repair.before.layers[0], repair.after.layers[0]
    np.testing.assert_allclose(new.atoms, polar(old.atoms, side="left")[0], atol=1e-12)
    np.testing.assert_allclose(new.norms, old.norms)
    assert new.orthogonality_error < 1e-10
    # The pre-activations of the mean input do not change.
    np.testing.assert_allclose(new.centered_priors, old.centered_priors, atol=1e-10)
    again = repair_network(repair.model, X, priors=None, atoms=True).model
    np.testing.assert_allclose(again[0][0], repair.model[0][0], atol=1e-10)


def test_overcomplete_atoms_become_a_tight_frame():
    atoms = interpret_network(random_layers(4, 9, 2)).layers[0].atoms
    frame = orthonormalize(atoms)
    np.testing.assert_allclose(frame.T @ frame, 9 / 4 * np.eye(4), atol=1e-12)
    assert np.isclose(np.mean(np.sum(frame**2, axis=1)), 1.0)


@each_seed
def test_a_refit_reduces_the_change_of_the_outputs(seed):
    layers, X = random_layers(9, 8, 3, seed=seed), random_rows(9, seed, n_samples=400)
    expected = interpret_network(layers).predict(X)
    errors = []
    for refit in (False, True):
        repair = repair_network(layers, X, atoms=True, refit=refit)
        errors.append(np.mean((repair.after.predict(X) - expected) ** 2))
        assert repair.after.layers[0].positive_bias_fraction == 0.0
    assert errors[1] < 0.9 * errors[0]
    untouched = repair_network(layers, X, priors=None, refit=True).model
    np.testing.assert_array_equal(untouched[1][0], layers[1][0])


# Tables, data frames and errors.


def test_a_report_prints_as_a_table(trained):
    model, X, y = trained
    report = interpret_network(model, X)
    text = str(report)
    assert text == repr(report)
    lines = text.splitlines()
    assert len(lines) == 6
    assert max(map(len, lines)) <= 100
    assert "; explained: " in lines[4]
    assert "; objective gap: " in lines[5]
    assert lines[2].startswith("hidden 1")
    assert "R² linear" in lines[1]
    assert "R² linear" not in str(interpret_network(model))
    assert "hidden 1" in repr(report.layers[0])
    assert "change" in repr(report.repair(X, y))
    assert "change" not in repr(report.repair())


def test_a_report_is_a_table_in_html():
    """Its cells are those of the printed table, with special characters escaped."""
    report = interpret_network([(np.eye(3), -np.ones(3)), (np.ones((2, 3)), None)])
    html = report._repr_html_()
    title, head, row, *_ = str(report).splitlines()
    assert f"<caption>{title}</caption>" in html
    cells = re.findall("<(?:th|td)>(.*?)</", html)
    assert " ".join(cells).replace("&gt;", ">").split() == f"{head} {row}".split()


def test_a_report_converts_to_a_data_frame(trained):
    model, X, _ = trained
    report = interpret_network(model, X)
    frame = report.to_frame()
    assert list(frame.index) == ["hidden 1", "hidden 2"]
    assert frame.loc["hidden 2", "positive_bias_fraction"] == (
        report.layers[1].positive_bias_fraction
    )
    assert frame.notna().all(axis=None)


def test_a_report_survives_pickling(trained):
    model, X, _ = trained
    report = pickle.loads(pickle.dumps(interpret_network(model, X)))
    np.testing.assert_array_equal(report.predict(X), model.predict(X))


def test_memory_order_and_read_only_arrays_change_nothing():
    layers, X = random_layers(7, 5, 3), random_rows(7)
    expected = interpret_network(layers, X).predict(X)
    other = np.asfortranarray(X)
    other.flags.writeable = False
    for weight, bias in layers:
        weight.flags.writeable = bias.flags.writeable = False
    report = interpret_network(layers, other)
    np.testing.assert_allclose(report.predict(other), expected)
    assert report.repair(refit=True).model[0][0].flags.writeable


ERRORS = {
    "no network": (lambda: interpret_network(object()), TypeError, "cannot be read"),
    "empty": (lambda: interpret_network([]), ValueError, "empty"),
    "no pair": (lambda: interpret_network([np.eye(3)]), TypeError, "not a pair"),
    "transposed": (
        lambda: interpret_network([(np.ones((4, 2)), np.ones(2))]),
        ValueError,
        "seems to be its transpose",
    ),
    "no chain": (
        lambda: interpret_network([*random_layers(4, 3), *random_layers(4, 2)]),
        ValueError,
        "reads 4 inputs",
    ),
    "no hidden layer": (
        lambda: interpret_network(random_layers(4, 3)),
        ValueError,
        "no hidden layer",
    ),
    "features": (
        lambda: interpret_network(random_layers(4, 3, 2), np.ones((5, 6))),
        ValueError,
        "reads 4 features",
    ),
    "NaN": (
        lambda: interpret_network(random_layers(4, 3, 2), np.full((5, 4), np.nan)),
        ValueError,
        "NaN",
    ),
    "NaN weights": (
        lambda: interpret_network([(np.full((2, 2), np.nan), np.ones(2))]),
        ValueError,
        "layer 1|readout: 4 of 4 weights are NaN",
    ),
    "no rows": (
        lambda: interpret_network(random_layers(4, 3, 2), max_rows=0),
        ValueError,
        "max_rows == 0, must be >= 1",
    ),
    "forward": (
        lambda: interpret_network(random_layers(4, 3, 2)).predict(
            np.ones((1, 4)), inference=""
        ),
        ValueError,
        "none of relu",
    ),
    "steps": (
        lambda: interpret_network(random_layers(4, 3, 2)).predict(
            np.ones((1, 4)), n_steps=-1
        ),
        ValueError,
        "n_steps == -1, must be >= 0",
    ),
    "layer": (
        lambda: interpret_network(random_layers(4, 3, 2)).transform(
            np.ones((1, 4)), layer=1
        ),
        ValueError,
        "layer=1 does not exist: hidden layers are 0 to 0[.]",
    ),
    "noise": (
        lambda: interpret_network(random_layers(4, 3, 2)).predict(
            np.ones((1, 4)), inference="mean"
        ),
        ValueError,
        "variance of the noise",
    ),
    "mean": (
        lambda: interpret_network(random_layers(4, 3, 2)).predict(
            np.ones((1, 4)), inference="hard"
        ),
        ValueError,
        "need the mean of the input",
    ),
    "integer steps": (
        lambda: interpret_network(random_layers(4, 3, 2)).predict(
            np.ones((1, 4)), n_steps=1.5
        ),
        TypeError,
        "n_steps must be an instance of int, not float",
    ),
    "integer rows": (
        lambda: interpret_network(random_layers(4, 3, 2), max_rows="a"),
        TypeError,
        "max_rows must be an instance of int, not str",
    ),
    "name of a layer": (
        lambda: interpret_network(random_layers(4, 3, 2)).transform(
            np.ones((1, 4)), layer="layer 1"
        ),
        TypeError,
        "layer must be an instance of int, not str",
    ),
    "picture of a layer": (
        lambda: InterpretationDisplay.from_report(
            interpret_network(random_layers(4, 3, 2)), layer=5
        ),
        ValueError,
        "layer=5 does not exist",
    ),
    "bare pair": (
        lambda: interpret_network(random_layers(4, 3)[0]),
        TypeError,
        r"\[\(weight, bias\)\] for one",
    ),
    "coefs_": (
        lambda: interpret_network([np.ones((4, 3)), np.ones((3, 2))]),
        TypeError,
        "zip\\(coefs_",
    ),
    "one layer": (
        lambda: interpret_network(random_layers(4, 3)),
        ValueError,
        "1 layer: no hidden layer.*readout=False",
    ),
    "likelihood": (
        lambda: interpret_network(random_layers(4, 3, 2)).score_samples(
            np.ones((1, 4))
        ),
        ValueError,
        "Give interpret_network the data",
    ),
    "repair": (
        lambda: repair_network(random_layers(4, 3, 2), priors="zero"),
        ValueError,
        "none of 'bias'",
    ),
    "centered": (
        lambda: repair_network(random_layers(4, 3, 2), priors="centered"),
        ValueError,
        "need the input",
    ),
    "score": (
        lambda: interpret_network(random_layers(4, 3, 2)).repair(np.ones((1, 4))),
        ValueError,
        "both X and y",
    ),
    "unfitted": (
        lambda: interpret_network(MLPClassifier()),
        NotFittedError,
        "not fitted",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_say_what_to_do(case):
    call, kind, words = ERRORS[case]
    with pytest.raises(kind, match=words):
        call()


@ignore_convergence
def test_other_activations_raise_an_error(digits):
    model = MLPClassifier((4,), activation="tanh", max_iter=2)
    model.fit(digits[:50], np.arange(50) % 2)
    with pytest.raises(ValueError, match="activation='tanh'"):
        interpret_network(model)


def test_layers_without_relu_codes_raise_an_error(digits):
    hard = NonNegativeSparseCoder(4, prior="spike_slab", max_iter=0).fit(digits)
    with pytest.raises(ValueError, match="no ReLU"):
        interpret_network(hard)
    layer = ConvSparseCoder(4, kernel_size=3, prior="spike_slab", max_iter=0)
    network = SparseCodingNetwork([("hard", layer)])
    network.fit(digits[:50].reshape(-1, 8, 8))
    with pytest.raises(ValueError, match="hard was fitted with prior='spike_slab'"):
        interpret_network(network)


def test_public_names_are_exported():
    assert {"interpret_network", "repair_network", "NetworkReport"} <= set(
        skscn.__all__
    )


@pytest.mark.parametrize(
    "X", [np.ones((1, 4)), np.zeros((5, 4)), np.eye(4, dtype=np.float32)[:2]]
)
def test_few_or_equal_samples_give_finite_results(X):
    layers = random_layers(4, 3, 2)
    layers[0][1][:] = -10.0  # all units are dead
    report = interpret_network(layers, X)
    assert report.layers[0].n_dead_units == 3
    if len(np.unique(X, axis=0)) > 1:
        assert np.isfinite(report.score_samples(X)).all()
    else:
        with pytest.raises(
            ValueError, match="its input is the same for all data of the report"
        ):
            report.score_samples(X)
        with pytest.raises(
            ValueError, match="its input is the same for all data of the report"
        ):
            report.predict(X, inference="mean")
    repair = report.repair(X, np.arange(len(X)) % 2, priors="centered", atoms=True)
    assert np.isfinite(repair.after.predict(X)).all()
    refitted = report.repair(atoms=True, refit=True).after
    np.testing.assert_allclose(refitted.predict(X), report.predict(X), atol=1e-6)


def test_the_error_names_the_layer_without_a_density():
    layers, X = random_layers(4, 3, 3, 2), random_rows(4)
    layers[0][1][:] = -100.0  # the input of the second layer is zero
    report = interpret_network(layers, X)
    with pytest.raises(ValueError, match="layer 2 has no density"):
        report.score_samples(X)
    assert np.isfinite(report.score_samples(X, layer=0)).all()


@ignore_convergence
def test_reordered_columns_raise_an_error(digits):
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame(digits[:100], columns=[f"p{i}" for i in range(64)])
    y = np.arange(100) % 2
    coder = NonNegativeSparseCoder(4, max_iter=0)
    for model in (MLPClassifier((4,), max_iter=2).fit(X, y), coder.fit(X)):
        report = interpret_network(model, X)
        with pytest.raises(ValueError, match="feature names"):
            report.transform(X[X.columns[::-1]])


def test_no_bias_is_a_bias_of_zeros():
    (weight, _), last = random_layers(7, 5, 3)
    found = interpret_network([(weight, None), last]).predict(random_rows(7))
    zeros = interpret_network([(weight, np.zeros(5)), last]).predict(random_rows(7))
    np.testing.assert_array_equal(found, zeros)


def test_scores_of_arrays_depend_on_the_kind_of_y():
    X = random_rows(7)
    single = interpret_network(random_layers(7, 5, 1))
    values = single.predict(X)[:, 0]
    integers = np.round(10 * values).astype(int)
    assert single.score(X, integers / 10) > 0.9  # R², whatever the dtype
    assert single.score(X, np.round(values).astype(int)) == r2_score(
        np.round(values), values
    )
    assert single.score(X, (values > 0).astype(int)) == 1.0
    assert single.score(X, (values > 0).astype(int)[:, None]) == 1.0
    several = interpret_network(random_layers(7, 5, 3))
    labels = several.predict(X).argmax(axis=1)
    assert several.score(X, labels) == several.score(X, labels[:, None]) == 1.0
    for wrong in (labels + 1, labels.astype(str), labels / 2):
        with pytest.raises(ValueError, match="column indices, integers from 0 to 2"):
            several.score(X, wrong)
    with pytest.raises(ValueError, match=r"y has shape \(80, 2\)"):
        several.score(X, np.ones((80, 2)))
    with pytest.raises(ValueError, match="encode labels"):
        single.score(X, labels.astype(str))


@ignore_convergence
def test_integer_targets_of_a_regressor_are_values():
    X = random_rows(7)
    y = (X[:, 0] > 0).astype(int)
    model = MLPRegressor(hidden_layer_sizes=(5,), max_iter=5, random_state=0).fit(X, y)
    assert interpret_network(model).score(X, y) == model.score(X, y)


@ignore_convergence
def test_a_search_is_no_network(digits):
    X, y = digits[:60], np.arange(60) % 2
    search = GridSearchCV(MLPClassifier((4,), max_iter=2), {"alpha": [1e-3]}, cv=2).fit(
        X, y
    )
    with pytest.raises(TypeError, match="best_estimator_"):
        interpret_network(search)


def test_filters_are_not_orthonormal_and_cannot_be_repaired(digits):
    images = digits[:100].reshape(-1, 8, 8)
    params = {"kernel_size": 3, "init": "random", "max_iter": 0, "random_state": 0}
    layer = ConvSparseCoder(4, **params).fit(images)
    report = interpret_network(layer, images)
    assert report.layers[0].coherence > 0.99  # d and −d
    assert report.layers[0].objective_gap > 0.01  # whitened
    plain = ConvSparseCoder(4, whiten=None, **params).fit(images)
    assert np.isclose(
        interpret_network(plain, images).layers[0].orthogonality_error_per_unit, 1.0
    )
    assert interpret_network(plain, images).layers[0].objective_gap < 1e-10
    with pytest.raises(TypeError, match="because of split signs"):
        report.repair()


def test_outputs_of_a_coder_with_one_atom_are_values(digits):
    coder = NonNegativeSparseCoder(1, alpha=2.0).fit(digits)
    codes = coder.transform(digits)
    y = (codes[:, 0] > 0).astype(int)
    assert np.isclose(interpret_network(coder).score(digits, y), r2_score(y, codes))
