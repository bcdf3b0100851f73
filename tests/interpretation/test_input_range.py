"""Weights and samples of any size: equal reports, or errors that say what is wrong."""

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline

from skscn import interpret_network

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def random_layers(scale=1.0):
    rng = np.random.default_rng(0)
    shapes = (6, 8), (5, 6), (2, 5)
    return [
        (scale * rng.normal(size=shape), scale * rng.normal(size=shape[0]))
        for shape in shapes
    ]


def fitted_perceptron(X):
    y = np.arange(len(X)) % 2
    return MLPClassifier((5,), max_iter=3, random_state=0).fit(X, y)


@pytest.mark.parametrize("exponent", [-1000, -600, -40, 40, 600, 1000])
def test_atoms_and_priors_do_not_depend_on_the_scale_of_the_weights(exponent):
    report = interpret_network(random_layers(2.0**exponent))
    expected = interpret_network(random_layers())
    for found, layer in zip(report.layers, expected.layers, strict=True):
        np.testing.assert_array_equal(found.atoms, layer.atoms)
        np.testing.assert_array_equal(found.priors, layer.priors)
        np.testing.assert_array_equal(found.norms, np.ldexp(layer.norms, exponent))
    assert str(report) == str(expected)


@pytest.mark.parametrize("exponent", [-400, -40, 40, 400])
def test_reports_do_not_depend_on_the_unit_of_the_samples(exponent, rng):
    X, scale = rng.normal(size=(200, 8)), 2.0**exponent
    (weight, bias), *_ = random_layers()
    layer = [(weight, bias)]
    expected = interpret_network(layer, X, readout=False).layers[0]
    layer = [(weight, bias * scale)]
    report = interpret_network(layer, X * scale, readout=False)
    found = report.layers[0]
    for name in ("r2_relu", "r2_exact", "r2_linear", "objective_gap", "coherence"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), 1e-9)
    assert found.objective_relu == pytest.approx(expected.objective_relu * scale**2)
    # The search of the noise variance stops at a tolerance of the logarithm.
    ratio = found.noise_variance / expected.noise_variance / scale**2
    assert ratio == pytest.approx(1, rel=1e-4)
    assert str(report.layers[0]) == str(expected)


@pytest.mark.parametrize("scale", [1e-200, 1e-150, 1e150, 1e200])
def test_samples_whose_squares_overflow_or_vanish_are_refused(scale, rng):
    X = rng.normal(size=(50, 8))
    with pytest.raises(ValueError, match=r"layer 1: its input deviates .* up to \d"):
        interpret_network(random_layers(), scale * X)
    message = "(its input deviates|exceeds the largest)"
    with pytest.raises(ValueError, match=message):
        interpret_network(random_layers(scale), X)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_networks_whose_training_diverged_are_refused(value, rng):
    for layer, kind in ((0, 0), (1, 1), (2, 0)):
        layers = random_layers()
        layers[layer][kind].flat[3 % len(layers[layer][kind])] = value
        name = f"layer {layer + 1}" if layer < 2 else "readout"
        kind = ("weights", "biases")[kind]
        message = rf"3 layers, {name}: 1 of \d+ {kind} are NaN or infinite"
        with pytest.raises(ValueError, match=message):
            interpret_network(layers)
    perceptron = fitted_perceptron(rng.normal(size=(40, 8)))
    perceptron.coefs_[0][2, 3] = value
    for model in (perceptron, make_pipeline(perceptron)):
        with pytest.raises(ValueError, match="hidden 1: 1 of 40 weights are NaN"):
            interpret_network(model)


def test_torch_layers_without_real_values_are_refused():
    torch = pytest.importorskip("torch")
    nn = torch.nn

    def network(**options):
        layers = nn.Linear(8, 3, **options), nn.ReLU(), nn.Linear(3, 2, **options)
        return nn.Sequential(*layers)

    lazy = nn.Sequential(nn.LazyLinear(3), nn.ReLU(), nn.Linear(3, 2))
    with pytest.raises(ValueError, match=r"0 LazyLinear is lazy.* Run the module once"):
        interpret_network(lazy)
    lazy(torch.ones(1, 8))
    assert interpret_network(lazy).layers[0].n_inputs == 8
    with pytest.raises(ValueError, match="0 Linear have no values: they are on the"):
        interpret_network(network(device="meta"))
    with pytest.raises(ValueError, match="0 Linear are complex, but atoms are real"):
        interpret_network(network(dtype=torch.complex64))
    diverged = network()
    with torch.no_grad():
        diverged[2].bias[1] = torch.nan
    with pytest.raises(ValueError, match="2 Linear: 1 of 2 biases are NaN"):
        interpret_network(diverged)


def test_arrays_may_be_tensors(rng):
    torch = pytest.importorskip("torch")
    X, layers = rng.normal(size=(40, 8)), random_layers()
    expected = interpret_network(layers, X).predict(X)
    tensors = [tuple(map(torch.from_numpy, layer)) for layer in layers]
    trained = [
        tuple(each.clone().requires_grad_() for each in pair) for pair in tensors
    ]
    samples = torch.from_numpy(X).requires_grad_()
    for pairs in (tensors, trained):
        found = interpret_network(pairs, samples).predict(samples)
        np.testing.assert_array_equal(found, expected)
    perceptron = fitted_perceptron(X)
    report = interpret_network(perceptron, samples)
    np.testing.assert_array_equal(report.predict(samples), perceptron.predict(X))


@pytest.mark.parametrize("level", [0, 1e3, 1e5])
@pytest.mark.parametrize("unit", [1e-12, 1, 1e12])
def test_samples_in_single_precision_have_the_report_of_the_same_numbers(
    level, unit, rng
):
    X = rng.laplace(size=(200, 8)) @ rng.normal(size=(8, 8))
    X = (unit * (X / X.std(axis=0) + level)).astype(np.float32)
    (weight, bias), *others = random_layers()
    layers = [(weight / unit, bias - level * weight.sum(axis=1)), *others]
    report, expected = (
        interpret_network(layers, each) for each in (X, X.astype(np.float64))
    )
    for found, layer in zip(report.layers, expected.layers, strict=True):
        for name, value in layer.to_dict().items():
            if name != "layer":
                approximately = pytest.approx(value, rel=1e-9, nan_ok=True)
                assert found.to_dict()[name] == approximately
        spread = np.sqrt(2 * layer.objective_zero)
        np.testing.assert_allclose(found.mean, layer.mean, atol=1e-9 * spread)
    for inference in ("relu", "exact", "unrolled", "hard", "mean"):
        found = report.predict(X, inference=inference)
        assert found.dtype == np.float32
        values = expected.predict(X.astype(np.float64), inference=inference)
        spread = np.abs(values - values.mean(axis=0)).max()
        np.testing.assert_allclose(found, values, rtol=1e-6, atol=1e-6 * spread)
    np.testing.assert_allclose(
        report.score_samples(X), expected.score_samples(X.astype(np.float64))
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_that_overflow_are_an_error_with_the_size_of_the_input(dtype):
    report = interpret_network([(np.eye(2), None), (np.full((1, 2), 1e30), None)])
    X = np.full((3, 2), np.finfo(dtype).max / 1e20, dtype=dtype)
    with pytest.raises(ValueError, match=rf"network leave .* {dtype.__name__}: .*\d"):
        report.decision_function(X)


def test_a_single_sample_whose_squares_overflow_is_an_error():
    # It has no deviation from its mean.
    with pytest.raises(ValueError, match=r"objectives of .* up to 1e\+300"):
        interpret_network([(np.eye(2), None)], np.full((1, 2), 1e300), readout=False)
