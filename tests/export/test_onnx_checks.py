"""What `to_onnx` is given is checked by the model itself before it is converted."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skscn import (
    NonNegativeSparseCoder,
    SparseCodingDetector,
    SparseCodingImputer,
    SpatialPool,
    to_onnx,
)

pytest.importorskip("skl2onnx")
pytest.importorskip("onnxruntime")


def classifier(X):
    model = make_pipeline(NonNegativeSparseCoder(3), LogisticRegression())
    return model.fit(X, np.arange(len(X)) % 3)


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("X", [None, 3.0, normal(6), normal(0, 6), []])
def test_samples_are_rows_or_images(X):
    with pytest.raises(ValueError, match=r"at least one sample, .* X has the shape \("):
        to_onnx(classifier(normal(60, 6)), X)


def test_rows_and_images_are_those_of_the_model():
    with pytest.raises(ValueError, match=r"X has 5 features, but .* expecting 6"):
        to_onnx(classifier(normal(60, 6)), normal(4, 5))
    pool = SpatialPool(image_shape=(8, 8)).fit(normal(9, 64))
    with pytest.raises(ValueError, match="128"):
        to_onnx(pool, normal(4, 128))
    pool = SpatialPool().fit(normal(9, 8, 8, 3))
    with pytest.raises(ValueError, match="8, 8, 3"):
        to_onnx(pool, normal(4, 3, 8, 8))


def test_columns_are_those_of_the_model():
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(normal(60, 6), columns=list("abcdef"))
    model = classifier(X)
    assert to_onnx(model, X).graph.output
    with pytest.raises(ValueError, match="feature names should match"):
        to_onnx(model, X[list("fedcba")])


@pytest.mark.parametrize("Model", [SparseCodingDetector, SparseCodingImputer])
def test_what_has_no_converter_is_named_with_what_has(Model):
    X = normal(60, 6)
    model = make_pipeline(Model()).fit(X)
    with pytest.raises(TypeError, match=r"no ONNX converter\..* ConvSparseCoder, "):
        to_onnx(model, X)


def test_of_a_search_the_best_estimator_is_converted():
    X = normal(60, 6)
    search = GridSearchCV(classifier(X), {"logisticregression__C": [0.1, 1]}, cv=2)
    graph = to_onnx(search.fit(X, np.arange(60) % 3), X)
    assert [output.name for output in graph.graph.output] == ["label", "probabilities"]
