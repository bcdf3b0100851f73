"""Networks of scikit-learn and of arrays, read as sparse coding."""

import pickle

import numpy as np
import pytest
from common import random_orthonormal
from scipy.linalg import polar
from scipy.stats import exponnorm
from sklearn.datasets import make_regression
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
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
from skscn._interpretation.density import Density, orthonormalised
from skscn._interpretation.nonnegative_lasso import exact_codes

each_seed = pytest.mark.parametrize("seed", range(3))
quiet = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
STRONGER = ("exact", "unrolled", "hard", "mean")


def arrays(*sizes, seed=0, scale=0.3):
    """Return layers of random weights and biases of both signs."""
    rng = np.random.default_rng(seed)
    pairs = zip(sizes[1:], sizes[:-1], strict=True)
    return [(rng.normal(size=pair), scale * rng.normal(size=pair[0])) for pair in pairs]


def samples(n_features, seed=0, n_samples=80):
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


# Predictions recomputed from a reading are the model's own.


@quiet
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_probabilities_of_a_classifier(digits, n_classes, dtype):
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


@quiet
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_values_of_a_regressor(n_outputs):
    X, y = make_regression(1000, 8, n_targets=n_outputs, random_state=0)
    model = MLPRegressor(hidden_layer_sizes=(20,), max_iter=5, random_state=0).fit(X, y)
    report = interpret_network(model, X)
    found = report.predict(X)
    assert found.shape == model.predict(X).shape
    np.testing.assert_allclose(found, model.predict(X), rtol=1e-5)
    assert np.isclose(report.score(X, y), model.score(X, y))
    with pytest.raises(AttributeError, match="no classifier"):
        report.predict_proba(X)


@quiet
def test_indicators_of_several_labels(digits):
    Y = digits[:300, [10, 20, 30]] > 5
    model = MLPClassifier((10,), max_iter=20, random_state=0).fit(digits[:300], Y)
    report = interpret_network(model)
    found = report.predict(digits[:300])
    np.testing.assert_array_equal(found, model.predict(digits[:300]))


@quiet
def test_a_pipeline_is_read_through_its_steps(digits):
    y = digits[:, 20] > 8
    model = make_pipeline(
        StandardScaler(), MLPClassifier((10,), max_iter=5, random_state=0)
    ).fit(digits, y)
    report = interpret_network(model, digits)
    np.testing.assert_allclose(
        report.predict_proba(digits), model.predict_proba(digits), atol=1e-5
    )
    # The scaler centres: what the layer sees has no mean, and explains no bias.
    assert np.abs(report.layers[0].mean).max() < 1e-12
    assert report.layers[0].explained == 0.0
    repair = report.repair(digits, y, refit=True)
    assert (repair.model[-1].intercepts_[0] <= 0).all()
    assert repair.score_after == repair.model.score(digits, y)


def test_arrays_are_read_as_torch_has_them():
    layers, X = arrays(7, 5, 4, 3), samples(7)
    report = interpret_network(layers, X)
    below = X
    for i, (weight, bias) in enumerate(layers[:-1]):
        below = np.maximum(below @ weight.T + bias, 0)
        norms = np.linalg.norm(weight, axis=1)
        np.testing.assert_allclose(report.transform(X, layer=i) * norms, below)
    weight, bias = layers[-1]
    np.testing.assert_allclose(report.predict(X), below @ weight.T + bias)
    assert len(interpret_network(layers, readout=False).layers) == 3


def test_layers_of_this_package_are_exact_already(digits):
    coder = NonNegativeSparseCoder(20, alpha=2.0).fit(digits)
    report = interpret_network(coder, digits)
    np.testing.assert_allclose(report.transform(digits), coder.transform(digits))
    layer = report.layers[0]
    assert layer.broken_centred == 0.0
    assert layer.orthogonality_gap < 1e-10
    assert layer.objective_gap < 1e-10
    np.testing.assert_allclose(layer.centred_priors, coder.alpha_)
    with pytest.raises(TypeError, match="nothing to repair"):
        report.repair()


def test_a_stack_of_this_package(digits):
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


# What a report says of weights.


@each_seed
def test_atoms_and_priors_are_weights_by_their_norms(seed):
    layers = arrays(7, 5, 3, seed=seed)
    layer = interpret_network(layers).layers[0]
    weight, bias = layers[0]
    np.testing.assert_allclose(layer.atoms * layer.norms[:, None], weight)
    np.testing.assert_allclose(-layer.priors * layer.norms, bias)
    np.testing.assert_allclose(np.linalg.norm(layer.atoms, axis=1), 1.0)
    assert layer.broken == np.mean(bias > 0)
    gram = layer.atoms @ layer.atoms.T
    assert np.isclose(layer.orthogonality_gap, np.linalg.norm(gram - np.eye(5)))
    assert np.isclose(layer.coherence, np.abs(np.triu(gram, 1)).max())
    assert layer.explained is None
    assert layer.activity is None


@each_seed
def test_overcomplete_atoms_keep_the_bounds_of_welch(seed):
    layer = interpret_network(arrays(4, 9, 2, seed=seed)).layers[0]
    assert layer.overcomplete
    assert layer.orthogonality_gap >= layer.least_gap > 0
    assert layer.coherence >= layer.least_coherence > 0
    # Three vectors at 120 degrees reach both.
    angles = 2 * np.pi * np.arange(3) / 3
    weight = np.column_stack([np.cos(angles), np.sin(angles)])
    tight = interpret_network([(weight, np.zeros(3))], readout=False).layers[0]
    assert np.isclose(tight.orthogonality_gap, tight.least_gap)
    assert np.isclose(tight.coherence, tight.least_coherence)


@each_seed
def test_what_the_mean_explains_vanishes_where_inputs_are_centred(seed):
    layers, X = arrays(7, 20, 3, seed=seed), samples(7, seed) + 2.0
    layer = interpret_network(layers, X).layers[0]
    weight, bias = layers[0]
    centred = bias + weight @ X.mean(axis=0)
    assert layer.broken == np.mean(bias > 0)
    assert layer.explained == np.mean((bias > 0) & (centred <= 0))
    assert layer.unexplained == np.mean((bias > 0) & (centred > 0))
    assert 0 < layer.explained < layer.broken
    # The same network of centred inputs, with its bias moved, has nothing to explain.
    moved = [(weight, centred), layers[1]]
    again = interpret_network(moved, X - X.mean(axis=0)).layers[0]
    assert again.explained == 0.0
    assert again.broken == layer.broken_centred


def test_units_without_weights_are_constants():
    layers, X = arrays(7, 5, 3), samples(7)
    layers[0][0][1] = 0.0
    layers[0][1][1] = 0.7
    report = interpret_network(layers, X)
    layer = report.layers[0]
    assert layer.n_constant == 1
    assert not layer.atoms[1].any()
    expected = np.maximum(X @ layers[0][0].T + layers[0][1], 0)
    for forward in ("relu", *STRONGER):
        codes = report.transform(X, layer=0, forward=forward)
        np.testing.assert_allclose(codes[:, 1], 0.7)
    found = report.transform(X, layer=0) * layer.norms
    np.testing.assert_allclose(found, expected)
    assert np.isfinite(report.score_samples(X)).all()


# What it says of data.


@each_seed
def test_orthonormal_atoms_have_exact_codes_in_one_step(seed):
    X = samples(12, seed)
    report = interpret_network(orthonormal_layers(seed), X)
    for layer in report.layers:
        assert abs(layer.objective_gap) < 1e-9
        assert layer.orthogonality_gap < 1e-9
    for forward in ("exact", "unrolled"):
        np.testing.assert_allclose(
            report.predict(X, forward=forward), report.predict(X), atol=1e-10
        )


@each_seed
def test_objectives_are_those_of_the_definition(seed):
    layers, X = arrays(9, 6, 3, seed=seed), samples(9, seed)
    report = interpret_network(layers, X)
    layer, atoms = report.layers[0], report.layers[0].atoms
    centred = X - X.mean(axis=0)

    def objective(codes):
        fit = np.sum((centred - codes @ atoms) ** 2, axis=1) / 2
        return np.mean(fit + codes @ layer.centred_priors)

    relu = report.transform(X)
    exact = report.transform(X, forward="exact")
    assert np.isclose(layer.objective_zero, objective(np.zeros_like(relu)))
    assert np.isclose(layer.objective_relu, objective(relu))
    assert np.isclose(layer.objective_exact, objective(exact), rtol=1e-6)
    assert layer.objective_exact < layer.objective_relu
    best = layer.objective_zero - layer.objective_exact
    missed = layer.objective_relu - layer.objective_exact
    assert np.isclose(layer.objective_gap, missed / best)


@each_seed
def test_shares_that_codes_rebuild(seed):
    layers, X = arrays(9, 6, 3, seed=seed), samples(9, seed)
    report = interpret_network(layers, X)
    layer, relu = report.layers[0], report.transform(X)
    left = X - relu @ layer.atoms
    assert np.isclose(layer.r2_relu, 1 - left.var(axis=0).sum() / X.var(axis=0).sum())
    beside = np.column_stack([relu, np.ones(len(X))])
    left = X - beside @ np.linalg.lstsq(beside, X, rcond=None)[0]
    share = 1 - left.var(axis=0).sum() / X.var(axis=0).sum()
    assert np.isclose(layer.r2_linear, share, atol=1e-4)
    assert layer.r2_linear >= layer.r2_relu


@each_seed
def test_the_nearest_centre_with_sparse_priors(seed):
    layers, X = arrays(9, 6, 3, seed=seed, scale=3.0), samples(9, seed)
    layer = interpret_network(layers, X).layers[0]
    mean = X.mean(axis=0)
    assert layer.broken_centred > 0
    code, _ = exact_codes(-layer.centred_priors[None], layer.gram, tol=1e-12)
    centre = mean - code[0] @ layer.atoms
    assert (layer.priors - layer.atoms @ centre).min() > -1e-8
    spread = np.sqrt(np.mean(np.sum((X - mean) ** 2, axis=1)))
    distance = np.linalg.norm(centre - mean) / spread
    assert np.isclose(distance, layer.centre_distance, rtol=1e-3)
    # No point on the way there is such a centre.
    for share in (0.5, 0.99):
        between = mean + share * (centre - mean)
        assert (layer.priors - layer.atoms @ between).min() < 0


def test_without_such_a_centre_there_is_no_exact_code():
    weight = np.vstack([np.eye(3), -np.eye(3)])
    layers = [(weight, np.full(6, 0.5)), (np.ones((2, 6)), np.zeros(2))]
    X = samples(3)
    report = interpret_network(layers, X)
    layer = report.layers[0]
    assert np.isnan(layer.objective_exact)
    assert np.isnan(layer.r2_exact)
    assert np.isinf(layer.centre_distance)
    with pytest.raises(ValueError, match="has no exact code"):
        report.predict(X, forward="exact")
    assert np.isfinite(report.predict(X, forward="unrolled")).all()
    mended = report.repair().after
    assert np.isfinite(mended.predict(X, forward="exact")).all()


def test_activity_and_dead_units():
    layers, X = arrays(7, 5, 3), samples(7)
    layers[0][1][2] = -100.0
    report = interpret_network(layers, X)
    layer = report.layers[0]
    codes = report.transform(X, layer=0)
    np.testing.assert_allclose(layer.activity, np.mean(codes > 0, axis=0))
    np.testing.assert_array_equal(layer.dead, [2])


# Stronger forward transformations.


def test_hard_codes_are_not_shrunk():
    layers, X = orthonormal_layers(), samples(12)
    layers = [layers[0], (np.eye(8), np.zeros(8))]
    report = interpret_network(layers, X)
    layer = report.layers[0]
    u = (X - X.mean(axis=0)) @ layer.atoms.T
    threshold = layer.centred_priors
    expected = np.where(u > threshold, u - np.minimum(threshold, 0), 0)
    found = report.transform(X, forward="hard")
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_posterior_means_are_a_relu_with_a_smooth_corner():
    layers, X = orthonormal_layers(), samples(12)
    report = interpret_network(layers, X)
    layer = report.layers[0]
    v = X @ layer.atoms.T - layer.priors
    grid = np.linspace(0, 30, 30_001)
    density = np.exp(-((grid - v[:5, :, None]) ** 2) / (2 * layer.noise))
    expected = (density * grid).sum(axis=2) / density.sum(axis=2)
    found = report.transform(X, layer=0, forward="mean")
    np.testing.assert_allclose(found[:5], expected, atol=2e-3)
    relu = report.transform(X, layer=0)
    assert np.all(found > relu)


def test_no_steps_are_the_network_itself():
    layers, X = arrays(7, 5, 3), samples(7)
    report = interpret_network(layers, X)
    found = report.predict(X, forward="unrolled", n_steps=0)
    np.testing.assert_allclose(found, report.predict(X))
    far = report.predict(X, forward="unrolled", n_steps=5000)
    np.testing.assert_allclose(far, report.predict(X, forward="exact"), atol=1e-4)


# The likelihood.


def test_densities_are_those_of_scipy_where_atoms_are_orthonormal():
    rng = np.random.default_rng(0)
    atoms, mean = random_orthonormal(5, 5), rng.normal(size=5)
    threshold = rng.uniform(0.5, 1, 5)
    density = Density(atoms, mean, threshold, 0.3)
    X = 2 * rng.normal(size=(20, 5))
    sigma, u = np.sqrt(0.3), (X - mean) @ atoms.T
    expected = exponnorm.logpdf(u, 0.3 / threshold / sigma, scale=sigma).sum(axis=1)
    np.testing.assert_allclose(density(X), expected)


@each_seed
def test_planted_noise_is_found(seed):
    rng = np.random.default_rng(seed)
    atoms = random_orthonormal(6, 10, seed)
    codes = rng.exponential(0.8, size=(4000, 6))
    X = codes @ atoms + 0.3 * rng.normal(size=(4000, 10))
    # λ = σ² β, about the mean of the data.
    bias = -np.full(6, 0.09 / 0.8)
    report = interpret_network([(atoms, bias), (np.eye(6), np.zeros(6))], X)
    density = Density.fitted(atoms, np.zeros(10), -bias, X)
    assert np.isclose(density.noise, 0.09, rtol=0.05)
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


def test_the_sum_over_layers(trained):
    model, X, _ = trained
    report = interpret_network(model, X)
    parts = [report.score_samples(X[:9], layer=i) for i in (0, -1)]
    np.testing.assert_allclose(report.score_samples(X[:9]), sum(parts))


# Repair.


def test_repair_leaves_the_model_as_it_was(trained):
    model, X, y = trained
    before = pickle.dumps(model)
    for options in ({}, {"priors": "centred", "atoms": True, "refit": True}):
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
    layers, X = arrays(9, 6, 5, 3, seed=seed), samples(9, seed)
    plain = repair_network(layers)
    for (weight, bias), (old, given) in zip(plain.model, layers, strict=True):
        np.testing.assert_array_equal(weight, old)
        last = given is layers[-1][1]
        np.testing.assert_array_equal(bias, given if last else np.minimum(given, 0))
    centred = repair_network(layers, X, priors="centred")
    for layer in centred.after.layers:
        assert layer.broken_centred == 0.0


@each_seed
def test_repaired_atoms_are_the_polar_factor(seed):
    layers, X = arrays(9, 6, 3, seed=seed), samples(9, seed)
    repair = repair_network(layers, X, priors=None, atoms=True)
    old, new = repair.before.layers[0], repair.after.layers[0]
    np.testing.assert_allclose(new.atoms, polar(old.atoms, side="left")[0], atol=1e-12)
    np.testing.assert_allclose(new.norms, old.norms)
    assert new.orthogonality_gap < 1e-10
    # What a unit sees in the mean is as before.
    np.testing.assert_allclose(new.centred_priors, old.centred_priors, atol=1e-10)
    again = repair_network(repair.model, X, priors=None, atoms=True).model
    np.testing.assert_allclose(again[0][0], repair.model[0][0], atol=1e-10)


def test_overcomplete_atoms_become_a_tight_frame():
    atoms = interpret_network(arrays(4, 9, 2)).layers[0].atoms
    frame = orthonormalised(atoms)
    np.testing.assert_allclose(frame.T @ frame, 9 / 4 * np.eye(4), atol=1e-12)
    assert np.isclose(np.mean(np.sum(frame**2, axis=1)), 1.0)


@each_seed
def test_a_refit_comes_nearer_to_what_the_next_layer_saw(seed):
    layers, X = arrays(9, 8, 3, seed=seed), samples(9, seed, n_samples=400)
    wanted = interpret_network(layers).predict(X)
    missed = []
    for refit in (False, True):
        repair = repair_network(layers, X, atoms=True, refit=refit)
        missed.append(np.mean((repair.after.predict(X) - wanted) ** 2))
        assert repair.after.layers[0].broken == 0.0
    assert missed[1] < 0.9 * missed[0]
    untouched = repair_network(layers, X, priors=None, refit=True).model
    np.testing.assert_array_equal(untouched[1][0], layers[1][0])


# Prints, frames and errors.


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


def test_a_report_is_a_frame(trained):
    model, X, _ = trained
    report = interpret_network(model, X)
    frame = report.to_frame()
    assert list(frame.index) == ["hidden 1", "hidden 2"]
    assert frame.loc["hidden 2", "broken"] == report.layers[1].broken
    assert frame.notna().all(axis=None)


def test_a_report_survives_pickling(trained):
    model, X, _ = trained
    report = pickle.loads(pickle.dumps(interpret_network(model, X)))
    np.testing.assert_array_equal(report.predict(X), model.predict(X))


def test_read_only_and_other_orders_of_memory():
    layers, X = arrays(7, 5, 3), samples(7)
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
        lambda: interpret_network([*arrays(4, 3), *arrays(4, 2)]),
        ValueError,
        "reads 4 inputs",
    ),
    "no hidden layer": (
        lambda: interpret_network(arrays(4, 3)),
        ValueError,
        "no hidden layer",
    ),
    "features": (
        lambda: interpret_network(arrays(4, 3, 2), np.ones((5, 6))),
        ValueError,
        "reads 4 features",
    ),
    "NaN": (
        lambda: interpret_network(arrays(4, 3, 2), np.full((5, 4), np.nan)),
        ValueError,
        "NaN",
    ),
    "NaN weights": (
        lambda: interpret_network([(np.full((2, 2), np.nan), np.ones(2))]),
        ValueError,
        "Weight 0",
    ),
    "no rows": (
        lambda: interpret_network(arrays(4, 3, 2), max_rows=0),
        ValueError,
        "max_rows=0",
    ),
    "forward": (
        lambda: interpret_network(arrays(4, 3, 2)).predict(np.ones((1, 4)), forward=""),
        ValueError,
        "none of relu",
    ),
    "steps": (
        lambda: interpret_network(arrays(4, 3, 2)).predict(np.ones((1, 4)), n_steps=-1),
        ValueError,
        "n_steps=-1",
    ),
    "layer": (
        lambda: interpret_network(arrays(4, 3, 2)).transform(np.ones((1, 4)), layer=1),
        ValueError,
        "1 hidden layer[.]",
    ),
    "noise": (
        lambda: interpret_network(arrays(4, 3, 2)).predict(
            np.ones((1, 4)), forward="mean"
        ),
        ValueError,
        "variance of the noise",
    ),
    "hard": (
        lambda: interpret_network(arrays(4, 3, 2)).predict(
            np.ones((1, 4)), forward="hard"
        ),
        ValueError,
        "about the mean",
    ),
    "whole steps": (
        lambda: interpret_network(arrays(4, 3, 2)).predict(
            np.ones((1, 4)), n_steps=1.5
        ),
        TypeError,
        "n_steps=1.5 must be an integer",
    ),
    "whole rows": (
        lambda: interpret_network(arrays(4, 3, 2), max_rows="a"),
        TypeError,
        "max_rows='a' must be an integer",
    ),
    "name of a layer": (
        lambda: interpret_network(arrays(4, 3, 2)).transform(
            np.ones((1, 4)), layer="layer 1"
        ),
        TypeError,
        "layer='layer 1' must be an integer",
    ),
    "picture of a layer": (
        lambda: InterpretationDisplay.from_report(
            interpret_network(arrays(4, 3, 2)), layer=5
        ),
        ValueError,
        "layer=5 is not there",
    ),
    "bare pair": (
        lambda: interpret_network(arrays(4, 3)[0]),
        TypeError,
        r"\[\(weight, bias\)\] for one",
    ),
    "coefs_": (
        lambda: interpret_network([np.ones((4, 3)), np.ones((3, 2))]),
        TypeError,
        "zip\\(coefs_",
    ),
    "one layer": (
        lambda: interpret_network(arrays(4, 3)),
        ValueError,
        "1 layer: no hidden layer.*readout=False",
    ),
    "likelihood": (
        lambda: interpret_network(arrays(4, 3, 2)).score_samples(np.ones((1, 4))),
        ValueError,
        "Give interpret_network the data",
    ),
    "repair": (
        lambda: repair_network(arrays(4, 3, 2), priors="zero"),
        ValueError,
        "none of 'bias'",
    ),
    "centred": (
        lambda: repair_network(arrays(4, 3, 2), priors="centred"),
        ValueError,
        "need the input",
    ),
    "score": (
        lambda: interpret_network(arrays(4, 3, 2)).repair(np.ones((1, 4))),
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


@quiet
def test_other_activations_are_refused(digits):
    model = MLPClassifier((4,), activation="tanh", max_iter=2)
    model.fit(digits[:50], np.arange(50) % 2)
    with pytest.raises(ValueError, match="activation='tanh'"):
        interpret_network(model)


def test_layers_whose_code_is_no_relu_are_refused(digits):
    images = digits[:50].reshape(-1, 8, 8)
    contrast = ConvSparseCoder(4, kernel_size=3, contrast=0.1, max_iter=0).fit(images)
    with pytest.raises(ValueError, match=r"contrast=0\.1"):
        interpret_network(contrast)
    hard = NonNegativeSparseCoder(4, prior="spike_slab", max_iter=0).fit(digits)
    with pytest.raises(ValueError, match="no ReLU"):
        interpret_network(hard)
    layers = [("a", ConvSparseCoder(4, max_iter=0)), ("b", SpatialPool(grid=2))]
    parallel = SparseCodingNetwork(layers, arrangement="parallel").fit(images)
    with pytest.raises(ValueError, match="arrangement='parallel'"):
        interpret_network(parallel)


def test_names_of_the_front_door():
    assert {"interpret_network", "repair_network", "NetworkReport"} <= set(
        skscn.__all__
    )


@pytest.mark.parametrize(
    "X", [np.ones((1, 4)), np.zeros((5, 4)), np.eye(4, dtype=np.float32)[:2]]
)
def test_few_or_equal_samples(X):
    layers = arrays(4, 3, 2)
    layers[0][1][:] = -10.0  # silent
    report = interpret_network(layers, X)
    assert report.layers[0].n_dead == 3
    if len(np.unique(X, axis=0)) > 1:
        assert np.isfinite(report.score_samples(X)).all()
    else:
        with pytest.raises(ValueError, match="data of the report do not vary"):
            report.score_samples(X)
        with pytest.raises(ValueError, match="data of the report do not vary"):
            report.predict(X, forward="mean")
    repair = report.repair(X, np.arange(len(X)) % 2, priors="centred", atoms=True)
    assert np.isfinite(repair.after.predict(X)).all()
    refitted = report.repair(atoms=True, refit=True).after
    np.testing.assert_allclose(refitted.predict(X), report.predict(X), atol=1e-6)


def test_a_deeper_layer_without_a_density_is_named():
    layers, X = arrays(4, 3, 3, 2), samples(4)
    layers[0][1][:] = -100.0  # silent: the second layer sees nothing
    report = interpret_network(layers, X)
    with pytest.raises(ValueError, match="layer 2 has no density"):
        report.score_samples(X)
    assert np.isfinite(report.score_samples(X, layer=0)).all()


@quiet
def test_reordered_columns_are_refused(digits):
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame(digits[:100], columns=[f"p{i}" for i in range(64)])
    y = np.arange(100) % 2
    coder = NonNegativeSparseCoder(4, max_iter=0)
    for model in (MLPClassifier((4,), max_iter=2).fit(X, y), coder.fit(X)):
        report = interpret_network(model, X)
        with pytest.raises(ValueError, match="feature names"):
            report.transform(X[X.columns[::-1]])


def test_no_bias_is_a_bias_of_zeros():
    (weight, _), last = arrays(7, 5, 3)
    found = interpret_network([(weight, None), last]).predict(samples(7))
    zeros = interpret_network([(weight, np.zeros(5)), last]).predict(samples(7))
    np.testing.assert_array_equal(found, zeros)


def test_scores_of_arrays():
    X = samples(7)
    single = interpret_network(arrays(7, 5, 1))
    values = single.predict(X)[:, 0]
    whole = np.round(10 * values).astype(int)
    assert single.score(X, whole / 10) > 0.9  # R², whatever the dtype
    assert single.score(X, np.round(values).astype(int)) == r2_score(
        np.round(values), values
    )
    assert single.score(X, (values > 0).astype(int)) == 1.0
    assert single.score(X, (values > 0).astype(int)[:, None]) == 1.0
    several = interpret_network(arrays(7, 5, 3))
    labels = several.predict(X).argmax(axis=1)
    assert several.score(X, labels) == several.score(X, labels[:, None]) == 1.0
    for wrong in (labels + 1, labels.astype(str), labels / 2):
        with pytest.raises(ValueError, match="column indices, integers from 0 to 2"):
            several.score(X, wrong)
    with pytest.raises(ValueError, match=r"y has shape \(80, 2\)"):
        several.score(X, np.ones((80, 2)))
    with pytest.raises(ValueError, match="encode labels"):
        single.score(X, labels.astype(str))


@quiet
def test_whole_values_of_a_regressor_are_values():
    X = samples(7)
    y = (X[:, 0] > 0).astype(int)
    model = MLPRegressor(hidden_layer_sizes=(5,), max_iter=5, random_state=0).fit(X, y)
    assert interpret_network(model).score(X, y) == model.score(X, y)


@quiet
def test_what_stands_around_a_network_is_named(digits):
    X, y = digits[:60], np.arange(60) % 2
    coder = NonNegativeSparseCoder(8, max_iter=0)
    linear = make_pipeline(coder, LogisticRegression()).fit(X, y)
    with pytest.raises(ValueError, match=r"ends in LogisticRegression.*model\[0\]"):
        interpret_network(linear)
    two = make_pipeline(coder, NonNegativeSparseCoder(4, max_iter=0)).fit(X)
    with pytest.raises(ValueError, match=r"Read model\[0\], model\[1\] on"):
        interpret_network(two)
    scaled = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    with pytest.raises(TypeError, match="ends in LogisticRegression"):
        interpret_network(scaled)
    search = GridSearchCV(MLPClassifier((4,), max_iter=2), {"alpha": [1e-3]}, cv=2).fit(
        X, y
    )
    with pytest.raises(TypeError, match="best_estimator_"):
        interpret_network(search)


def test_convolutions_show_a_gap_that_cannot_be_repaired(digits):
    images = digits[:100].reshape(-1, 8, 8)
    params = {"kernel_size": 3, "init": "random", "max_iter": 0, "random_state": 0}
    layer = ConvSparseCoder(4, **params).fit(images)
    report = interpret_network(layer, images)
    assert report.layers[0].coherence > 0.99  # d and −d
    assert report.layers[0].objective_gap > 0.01  # whitened
    plain = ConvSparseCoder(4, whiten=None, **params).fit(images)
    assert np.isclose(interpret_network(plain, images).layers[0].gap_per_unit, 1.0)
    assert interpret_network(plain, images).layers[0].objective_gap < 1e-10
    with pytest.raises(TypeError, match="comes of split signs"):
        report.repair()
