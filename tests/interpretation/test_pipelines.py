"""Reports of pipelines: networks of this package, transformers, and a linear model."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import (
    Lasso,
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.svm import LinearSVC

from skscn import (
    ConvSparseCoder,
    NonNegativeSparseCoder,
    OrthogonalSparseCoder,
    SparseCodingNetwork,
    SpatialPool,
    StreamingRidgeClassifier,
    interpret_network,
    make_sparse_coding_network,
)

CODER = NonNegativeSparseCoder(8, alpha=0.5, max_iter=0)
CLASSIFIERS = [
    LogisticRegression(max_iter=1000),
    LogisticRegression(solver="liblinear"),
    LinearSVC(),
    RidgeClassifier(fit_intercept=False),
    SGDClassifier(random_state=0),
    StreamingRidgeClassifier(),
]


@pytest.mark.parametrize(
    ("preset", "shape"),
    [("digits", (8, 8)), ("natural", (14, 13, 3)), ("signals", (1, 40))],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_presets_are_read_exactly(preset, shape, dtype):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (30, *shape)).astype(dtype).reshape(30, -1)
    y = np.arange(30) % 3
    model = make_sparse_coding_network(preset, image_shape=shape, random_state=0)
    model.set_params(classify__max_iter=5, classify__tol=1e3)
    iterations = [name for name in model.get_params() if name.endswith("max_iter")]
    model.set_params(**dict.fromkeys(iterations[1:], 0))
    model.fit(X, y)
    report = interpret_network(model)
    atol = 1e-10 if dtype == np.float64 else 1e-4
    np.testing.assert_allclose(
        report.predict_proba(X), model.predict_proba(X), atol=atol
    )
    np.testing.assert_array_equal(report.predict(X), model.predict(X))
    convolutions = [row["layer"] for row in model[0].report(X)]
    names = dict.fromkeys(layer.name.split(",")[0] for layer in report.layers)
    assert list(names) == convolutions


@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=repr)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_linear_classifiers_are_readouts(digits, classifier, n_classes):
    X, y = digits[:200], np.array(["a", "b", "c"])[np.arange(200) % n_classes]
    if getattr(classifier, "solver", "") == "liblinear" and n_classes > 2:
        pytest.skip("scikit-learn deprecates it")
    model = make_pipeline(StandardScaler(), CODER, MinMaxScaler(), classifier)
    report = interpret_network(model.fit(X, y), X)
    np.testing.assert_array_equal(report.predict(X), model.predict(X))
    scores = model.decision_function(X).reshape(len(X), -1)
    np.testing.assert_allclose(report.decision_function(X), scores, atol=1e-9)
    assert report.score(X, y) == model.score(X, y)
    if isinstance(classifier, LogisticRegression):
        found, expected = report.predict_proba(X), model.predict_proba(X)
        np.testing.assert_allclose(found, expected, atol=1e-9)
    else:
        with pytest.raises(AttributeError, match="decision_function"):
            report.predict_proba(X)
    with pytest.raises(TypeError, match="nothing to repair"):
        report.repair()


@pytest.mark.parametrize("regressor", [Ridge(), LinearRegression(), Lasso(0.01)])
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_linear_regressors_are_readouts(digits, regressor, n_outputs):
    X, Y = digits[:200, :40], digits[:200, [42, 43][:n_outputs]]
    y = Y[:, 0] if n_outputs == 1 else Y
    model = make_pipeline(CODER, "passthrough", PCA(5), regressor).fit(X, y)
    report = interpret_network(model, X)
    assert report.predict(X).shape == model.predict(X).shape
    np.testing.assert_allclose(report.predict(X), model.predict(X))
    assert np.isclose(report.score(X, y), model.score(X, y))


def test_networks_one_after_the_other_are_layers(digits):
    X, y = digits[:300], np.arange(300) % 2
    convolution = ConvSparseCoder(4, kernel_size=3, image_shape=(2, 4), max_iter=0)
    signed = OrthogonalSparseCoder(8, split_sign=True, max_iter=0)
    head = make_pipeline(StandardScaler(), LogisticRegression())
    model = make_pipeline(CODER, convolution.set_params(padding="same"), signed, head)
    report = interpret_network(model.fit(X, y), X)
    np.testing.assert_allclose(
        report.predict_proba(X), model.predict_proba(X), atol=1e-9
    )
    assert [layer.name for layer in report.layers] == [
        "nonnegativesparsecoder__coder",
        "convsparsecoder__ConvSparseCoder",
        "orthogonalsparsecoder__coder",
    ]
    codes = model[:3].transform(X)
    found = report.transform(X) * report.layers[2].norms
    np.testing.assert_allclose(found, codes, atol=1e-9)


def conv(n_components=3, kernel_size=3, **parameters):
    return ConvSparseCoder(
        n_components, kernel_size=kernel_size, max_iter=0, random_state=0, **parameters
    )


LAYERS = {
    "pools of a stack": [
        ("conv1", conv()),
        ("pool1", SpatialPool("max", window=2)),
        ("conv2", conv(padding="same", contrast=0.1)),
        ("pool2", SpatialPool("average", grid=1)),
    ],
    "contrast and stride": [("conv", conv(stride=2, padding="same", contrast=0.2))],
    "each channel": [
        ("conv1", conv(contrast=0.1)),
        ("conv2", conv(depthwise=True, padding=1, center_patches=False)),
        ("pool", SpatialPool("gaussian", grid=2, power=0.5)),
    ],
}


@pytest.mark.parametrize("layers", LAYERS.values(), ids=list(LAYERS))
@pytest.mark.parametrize("arrangement", ["stack", "parallel"])
def test_networks_are_read_exactly(digits, layers, arrangement):
    X = digits[:60].reshape(-1, 8, 8)
    if arrangement == "parallel":
        layers = [("a", SparseCodingNetwork(layers)), ("b", conv(kernel_size=5))]
    outputs = "last" if arrangement == "parallel" else "pools"
    if all(isinstance(layer, ConvSparseCoder) for _, layer in layers):
        outputs = "last"
    network = SparseCodingNetwork(layers, arrangement=arrangement, outputs=outputs)
    report = interpret_network(network.fit(X), X)
    found = report.decision_function(X).reshape(len(X), -1)
    np.testing.assert_allclose(found, network.transform(X), atol=1e-9)


def test_layers_of_a_branch_see_what_the_network_computes(digits):
    X = digits[:60].reshape(-1, 8, 8)
    network = SparseCodingNetwork(LAYERS["each channel"]).fit(X)
    report = interpret_network(network, X)
    assert len(report.layers) == 1 + network.layers_[0][1].map_shape_[2]
    maps = network.layers_[0][1].transform(X)
    by_hand = network.layers_[1][1].transform(maps)
    n_filters = by_hand.shape[3] // maps.shape[3]
    for i in (0, 2):
        codes = report.transform(X, layer=1 + i) * report.layers[1 + i].norms
        of_map = by_hand[..., i * n_filters : (i + 1) * n_filters]
        np.testing.assert_allclose(codes, of_map, atol=1e-9)
    # Normalized patches have no mean of their own.
    assert np.abs(report.layers[0].atoms.sum(axis=(1, 2, 3))).max() < 1e-12
    assert np.abs(report.layers[0].mean.sum()) < 1e-12
    changed = report.decision_function(X, inference="hard")
    assert np.abs(changed - report.decision_function(X)).max() > 1e-3


def test_errors_name_the_step(digits):
    X, y = digits[:60], np.arange(60) % 2
    scaled = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    with pytest.raises(TypeError, match="none of its steps is a network"):
        interpret_network(scaled)
    forest = RandomForestClassifier(2, random_state=0)
    trees = make_pipeline(CODER, StandardScaler(), forest).fit(X, y)
    with pytest.raises(TypeError, match=r"'randomforestclassifier'.*cannot be read"):
        interpret_network(trees)
    perceptron = MLPClassifier((4,), max_iter=20, tol=1e3, n_iter_no_change=1)
    with pytest.raises(TypeError, match=r"'mlpclassifier'.*Give the steps before"):
        interpret_network(make_pipeline(CODER, perceptron).fit(X, y))
    several = make_pipeline(CODER, RidgeClassifier()).fit(X, X[:, 20:23] > 4)
    with pytest.raises(ValueError, match="several labels"):
        interpret_network(several)


def test_steps_before_the_network_are_applied_first(digits):
    X, y = digits[:200], np.arange(200) % 3
    steps = FunctionTransformer(np.sqrt), make_pipeline(StandardScaler(), CODER)
    model = make_pipeline(*steps, Ridge()).fit(X, y)
    report = interpret_network(model, X)
    np.testing.assert_allclose(report.predict(X), model.predict(X))
    # The mean of scaled samples is zero: it explains no bias.
    assert np.abs(report.layers[0].mean).max() < 1e-12
