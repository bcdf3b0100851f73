"""ONNX graphs equal what they were made of, in ONNX Runtime."""

from copy import deepcopy

import numpy as np
import pytest
from exported import CODERS, N_SAMPLES, off
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skscn import (
    ConvSparseCoder,
    FlooredScaler,
    NonNegativeSparseCoder,
    SparseCodingNetwork,
    SpatialPool,
    StreamingRidgeClassifier,
    make_sparse_coding_network,
    register_onnx_converters,
    to_onnx,
)

skl2onnx = pytest.importorskip("skl2onnx")
onnxruntime = pytest.importorskip("onnxruntime")

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

LAYERS = [
    *(
        ConvSparseCoder(4, kernel_size=3, max_iter=5, random_state=0, **options)
        for options in (
            {},
            {"contrast": 0.1},
            {"contrast": 0.1, "depthwise": True, "padding": "valid"},
            {"stride": (2, 3), "padding": (1, 2), "split_sign": False},
            {"depthwise": True, "alpha": np.linspace(0.2, 1.0, 4)},
            {"center_patches": False, "whiten": None, "alpha": 2.0},
        )
    ),
    *(
        SpatialPool(mode, **options)
        for mode in ("average", "max", "sum")
        for options in (
            {"window": (3, 2), "stride": (1, 2)},
            {"grid": (4, 3), "power": 0.5},
            {"grid": 2, "power": 2.0, "flatten": True},
        )
    ),
    SpatialPool("gaussian", grid=3, power=0.5),
]


def network(outputs="last", arrangement="stack"):
    deep = SparseCodingNetwork(
        [
            ("conv1", ConvSparseCoder(5, kernel_size=3, contrast=0.1, random_state=0)),
            ("pool1", SpatialPool("max")),
            ("conv2", ConvSparseCoder(6, kernel_size=3, depthwise=True)),
            ("pool2", SpatialPool(grid=2)),
        ],
        outputs=outputs,
        image_shape=(8, 8),
    )
    if arrangement == "stack":
        return deep
    layers = [("deep", deep.set_params(image_shape=None)), ("flat", SpatialPool())]
    return SparseCodingNetwork(layers, arrangement="parallel", image_shape=(8, 8))


def run(graph, X):
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {session.get_inputs()[0].name: X})


def margins(scores):
    """Return how far the highest score is above the next, or above zero."""
    if scores.shape[1] == 1:
        return np.abs(scores[:, 0])
    least, most = np.sort(scores, axis=1)[:, -2:].T
    return most - least


@pytest.fixture(scope="module")
def labels():
    from sklearn.datasets import load_digits

    return load_digits(return_X_y=True)[1][:N_SAMPLES]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("coder", CODERS, ids=repr)
def test_codes_of_rows_are_equal(coder, dtype, digits):
    X = digits[:N_SAMPLES]
    coder = deepcopy(coder).fit(X)
    (codes,) = run(to_onnx(coder, X.astype(dtype)), X.astype(dtype))
    assert codes.dtype == dtype
    assert off(codes, coder.transform(X)) < (1e-5 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_maps_are_equal(layer, dtype):
    X = 2 + np.random.default_rng(0).normal(size=(N_SAMPLES, 7, 8, 3))
    X = X.astype(dtype)
    layer = deepcopy(layer).fit(X[:100])
    wanted = layer.transform(X)
    (maps,) = run(to_onnx(layer, X), X)
    assert maps.dtype == dtype
    assert off(maps, wanted) < 1e-5
    rows = X.reshape(N_SAMPLES, -1)
    assert off(run(to_onnx(layer, rows), rows)[0], wanted.reshape(N_SAMPLES, -1)) < 1e-5


@pytest.mark.parametrize("outputs", ["last", "pools"])
@pytest.mark.parametrize("arrangement", ["stack", "parallel"])
def test_networks_are_equal(outputs, arrangement, digits):
    X = digits[:N_SAMPLES].astype(np.float32)
    layer = network(outputs, arrangement).fit(X[:200])
    assert off(run(to_onnx(layer, X), X)[0], layer.transform(X)) < 1e-5
    bytes_ = X.reshape(-1, 8, 8).astype(np.uint8)
    assert off(run(to_onnx(layer, bytes_), bytes_)[0], layer.transform(bytes_)) < 1e-5


@pytest.mark.parametrize("names", [False, True])
@pytest.mark.parametrize("n_classes", [2, 10])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("head", [LogisticRegression, StreamingRidgeClassifier])
def test_labels_and_scores_are_equal(head, dtype, n_classes, names, digits, labels):
    X, y = digits[:N_SAMPLES].astype(dtype), labels % n_classes
    y = np.array([f"class {i}" for i in y]) if names else y
    model = make_pipeline(network(), FlooredScaler(), head()).fit(X[:300], y[:300])
    found, scores = run(to_onnx(model, X[:1]), X)
    if hasattr(model, "predict_proba"):
        wanted = model.predict_proba(X)
    else:
        wanted = model.decision_function(X).reshape(N_SAMPLES, -1)
    assert off(scores, wanted) < 1e-5
    clear = margins(wanted) > 1e-5 * np.abs(wanted).max()
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(found[clear], model.predict(X)[clear])
    assert scores.dtype == dtype


@pytest.mark.parametrize("name", ["digits", "natural", "signals"])
def test_networks_by_name_are_equal(name, digits, labels):
    X, y = digits[:200].astype(np.float32), labels[:200]
    if name == "natural":
        X = X.reshape(-1, 8, 8, 1).repeat(2, axis=1).repeat(2, axis=2).repeat(3, axis=3)
    shape = (8, 8) if name == "digits" else None
    model = make_sparse_coding_network(name, image_shape=shape, random_state=0)
    for key in model.get_params():
        if key.endswith("max_iter") and key.startswith("network"):
            model.set_params(**{key: 2})
    model.fit(X, y)
    found, probabilities = run(to_onnx(model, X[:1]), X)
    np.testing.assert_array_equal(found, model.predict(X))
    assert off(probabilities, model.predict_proba(X)) < 1e-5


@pytest.mark.parametrize("target_opset", [15, 18, 21])
def test_older_operators_serve(target_opset, digits, labels):
    X, y = digits[:200].astype(np.float32), labels[:200]
    model = make_pipeline(network(), FlooredScaler(), LogisticRegression(max_iter=99))
    graph = to_onnx(model.fit(X, y), X, target_opset=target_opset)
    assert off(run(graph, X)[1], model.predict_proba(X)) < 1e-5


def test_converters_serve_within_other_estimators(digits, labels):
    X, y = digits[:200].astype(np.float32), labels[:200]
    model = make_pipeline(
        StandardScaler(), NonNegativeSparseCoder(9), LogisticRegression(max_iter=99)
    ).fit(X, y)
    register_onnx_converters()
    graph = skl2onnx.to_onnx(model, X[:1])  # with a list of dictionaries
    _, probabilities = run(graph, X)
    wanted = model.predict_proba(X)
    found = np.array([[row[k] for k in model.classes_] for row in probabilities])
    assert off(found, wanted) < 1e-5
