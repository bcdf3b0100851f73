"""to_onnx checks its arguments by the model before it converts."""

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


def fitted_classifier(X):
    model = make_pipeline(NonNegativeSparseCoder(3), LogisticRegression())
    return model.fit(X, np.arange(len(X)) % 3)


def normal_samples(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("X", [None, 3.0, normal_samples(6), normal_samples(0, 6), []])
def test_samples_are_rows_or_images(X):
    with pytest.raises(ValueError, match=r"at least one sample: .* X has the shape \("):
        to_onnx(fitted_classifier(normal_samples(60, 6)), X)


def test_samples_have_the_shape_of_the_model():
    with pytest.raises(ValueError, match=r"X has 5 features, but .* expecting 6"):
        to_onnx(fitted_classifier(normal_samples(60, 6)), normal_samples(4, 5))
    pool = SpatialPool(image_shape=(8, 8)).fit(normal_samples(9, 64))
    with pytest.raises(ValueError, match="128"):
        to_onnx(pool, normal_samples(4, 128))
    pool = SpatialPool().fit(normal_samples(9, 8, 8, 3))
    with pytest.raises(ValueError, match="8, 8, 3"):
        to_onnx(pool, normal_samples(4, 3, 8, 8))


def test_columns_have_the_names_of_the_model():
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(normal_samples(60, 6), columns=list("abcdef"))
    model = fitted_classifier(X)
    assert to_onnx(model, X).graph.output
    with pytest.raises(ValueError, match="feature names should match"):
        to_onnx(model, X[list("fedcba")])


@pytest.mark.parametrize("Model", [SparseCodingDetector, SparseCodingImputer])
def test_estimators_without_converter_are_refused(Model):
    X = normal_samples(60, 6)
    model = make_pipeline(Model()).fit(X)
    with pytest.raises(TypeError, match=r"no ONNX converter\..* ConvSparseCoder, "):
        to_onnx(model, X)


def test_the_best_estimator_of_a_search_is_converted():
    X = normal_samples(60, 6)
    search = GridSearchCV(
        fitted_classifier(X), {"logisticregression__C": [0.1, 1]}, cv=2
    )
    graph = to_onnx(search.fit(X, np.arange(60) % 3), X)
    assert [output.name for output in graph.graph.output] == ["label", "probabilities"]
