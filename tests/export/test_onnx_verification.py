"""to_onnx compares the graph with the model, and refuses what deviates."""

from importlib.util import find_spec

import numpy as np
import pytest
from export_helpers import relative_error
from onnx_helpers import deep_network, run
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skscn import NonNegativeSparseCoder, StreamingRidgeClassifier, to_onnx

onnx = pytest.importorskip("onnx")
pytest.importorskip("skl2onnx")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
verification = pytest.importorskip("skscn._export.onnx.verification")


@pytest.fixture
def calibrated(digits, labels):
    """Return a model whose isotonic regression skl2onnx converts wrongly."""
    X, y = digits[:400].astype(np.float32), labels[:400]
    classifier = CalibratedClassifierCV(LogisticRegression(), method="isotonic", cv=3)
    return make_pipeline(NonNegativeSparseCoder(6), classifier).fit(X, y), X


def table():
    rng = np.random.default_rng(0)
    pandas = pytest.importorskip("pandas")
    numbers = rng.normal(size=(80, 3)).astype(np.float32)
    frame = pandas.DataFrame(numbers, columns=["a", "b c", "d"])
    frame["kind"] = np.where(numbers[:, 0] > 0, "x", "y")
    return frame, (numbers.sum(axis=1) > 0).astype(int)


def selecting_model():
    select = ColumnTransformer(
        [
            ("scale", StandardScaler(), ["d", "a"]),
            ("code", NonNegativeSparseCoder(2), ["b c", "a"]),
            ("encode", OneHotEncoder(), ["kind"]),
        ]
    )
    return make_pipeline(select, StreamingRidgeClassifier())


@pytest.mark.parametrize(("target_opset", "least"), [(6, 11), (9, 11), (10, 11)])
@pytest.mark.parametrize("check", [True, False])
def test_an_old_opset_is_refused_with_the_least_that_works(
    target_opset, least, check, digits
):
    X = digits[:200].astype(np.float32)
    model = deep_network().fit(X)
    with pytest.raises(ValueError, match=f"opset={target_opset} .* at least {least}"):
        to_onnx(model, X, target_opset=target_opset, check=check)
    graph = to_onnx(model, X, target_opset=least)
    assert relative_error(run(graph, X)[0], model.transform(X)) < 1e-5


def test_coders_of_rows_need_no_new_opset(digits):
    X = digits[:200].astype(np.float32)
    coder = NonNegativeSparseCoder(6).fit(X)
    (codes,) = run(to_onnx(coder, X, target_opset=9), X)
    assert relative_error(codes, coder.transform(X)) < 1e-5


def test_a_step_that_is_converted_wrongly_is_named(calibrated):
    model, X = calibrated
    message = r"step 'calibratedclassifiercv' .* of 1000 probabilities deviate, by up"
    with pytest.raises(ValueError, match=message):
        to_onnx(model, X)
    nested = make_pipeline("passthrough", model)
    with pytest.raises(ValueError, match=message):
        to_onnx(nested, X)
    assert run(to_onnx(model, X, check=False), X)[1].shape == (400, 10)


def test_wrong_labels_and_shapes_are_found(digits, labels):
    X, y = digits[:200].astype(np.float32), labels[:200]
    model = make_pipeline(NonNegativeSparseCoder(6), StreamingRidgeClassifier())
    graph = to_onnx(model.fit(X, y), X)
    samples = verification.thin_samples(X)
    assert len(samples) == 100
    assert verification.find_deviation(model, graph, samples) is None
    (classes,) = (
        each
        for each in graph.graph.initializer
        if each.data_type == onnx.TensorProto.INT64 and each.dims == [10]
    )
    classes.CopyFrom(onnx.numpy_helper.from_array(np.arange(10)[::-1], classes.name))
    found = verification.find_deviation(model, graph, samples)
    assert found == "100 of 100 labels differ"
    found = verification.find_deviation(model[:-1], graph, samples)
    assert found == "values are of shape (100,) instead of (100, 6)"


def test_rounding_is_no_deviation_and_a_wrong_column_is_one():
    expected = np.random.default_rng(0).normal(size=(50, 4)) * [1e3, 1, 1, 1]
    describe = verification._describe_deviation
    assert describe("values", expected * (1 + 1e-5), expected) is None
    with_nan = np.where(expected > 2, np.nan, expected)
    assert describe("values", with_nan, with_nan) is None
    shifted = expected + np.array([0, 1, 0, 0])
    assert "50 of 200 values" in describe("values", shifted, expected)
    assert "values deviate" in describe("values", with_nan, expected)


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_a_column_transformer_keeps_the_names_of_a_frame(package):
    frame, y = table()
    model = selecting_model().fit(frame, y)
    X = frame
    if package == "polars":
        X = (
            pytest.importorskip("polars")
            .DataFrame(frame.to_dict("list"))
            .cast(
                {
                    name: pytest.importorskip("polars").Float32
                    for name in ["a", "b c", "d"]
                }
            )
        )
    graph = to_onnx(model, X)
    assert [each.name for each in graph.graph.input] == ["a", "b_c", "d", "kind"]
    found, scores = verification.run_graph(graph, X)
    np.testing.assert_array_equal(found, model.predict(frame))
    expected = model.decision_function(frame).reshape(scores.shape)
    assert relative_error(scores, expected) < 1e-5


def test_a_frame_without_column_transformer_is_one_input():
    frame, y = table()
    numbers = frame[["a", "b c", "d"]]
    model = make_pipeline(StandardScaler(), StreamingRidgeClassifier())
    graph = to_onnx(model.fit(numbers, y), numbers)
    found, _ = run(graph, numbers.to_numpy())
    np.testing.assert_array_equal(found, model.predict(numbers))


def test_without_onnxruntime_the_reference_evaluator_compares(calibrated, monkeypatch):
    monkeypatch.setattr(
        verification, "find_spec", lambda name: None if name else find_spec(name)
    )
    model, X = calibrated
    graph = to_onnx(model[0], X)
    assert relative_error(run(graph, X)[0], model[0].transform(X)) < 1e-5
    monkeypatch.setattr(verification, "thin_samples", lambda X: X[:0])
    for each in graph.graph.node:
        each.op_type = "Unknown"
    with pytest.warns(UserWarning, match="was not compared with the model"):
        assert verification.run_graph(graph, X) is None


def test_a_graph_that_cannot_be_run_is_refused(digits):
    X = digits[:100]
    graph = to_onnx(NonNegativeSparseCoder(6).fit(X), X)
    for each in graph.graph.node:
        each.op_type = "Unknown"
    with pytest.raises(ValueError, match=r"onnxruntime cannot run .* check=False"):
        verification.run_graph(graph, X)


def test_sparse_samples_are_refused(digits):
    scipy_sparse = pytest.importorskip("scipy.sparse")
    X = digits[:100]
    model = NonNegativeSparseCoder(6).fit(X)
    with pytest.raises(TypeError, match=r"dense samples.*toarray"):
        to_onnx(model, scipy_sparse.csr_array(X))
