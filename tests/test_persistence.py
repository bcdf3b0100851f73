"""Saved models are what they were: pickle, joblib, and skops with its trusted list."""

import pickle
from io import BytesIO

import joblib
import numpy as np
import pytest
from common import ESTIMATORS
from sklearn.base import clone
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_common import estimator_variants

import skscn
from skscn import make_sparse_coding_network, skops_trusted_types

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:All codes of the training data are zero"),
]


def models():
    """Yield every public estimator with its defaults, in variants and in Pipelines."""
    yield from estimator_variants()
    named = make_sparse_coding_network(
        [
            ("conv", skscn.ConvSparseCoder(3, kernel_size=3)),
            ("pool", skscn.SpatialPool()),
        ],
        image_shape=(4, 4),
        random_state=0,
    )
    yield named
    yield make_pipeline(StandardScaler(), skscn.NonNegativeSparseCoder(3))
    for solver in ("adam", "sgd"):
        head = MLPClassifier((3,), solver=solver, max_iter=3, random_state=0)
        yield make_pipeline(skscn.NonNegativeSparseCoder(3), head)


def fitted():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(80, 16)), np.arange(80) % 3
    for model in models():
        yield clone(model).fit(X, y), X
        if hasattr(model, "partial_fit"):
            options = {"classes": [0, 1, 2]} if hasattr(model, "predict") else {}
            if isinstance(model, skscn.SparseCodingDetector):
                options = {}
            model = clone(model).partial_fit(X, y, **options)
            yield model.partial_fit(X, y), X
            yield clone(model).partial_fit(X[:70], y[:70], **options), X
    yield skscn.OrthogonalSparseCoder(8).partial_fit(X[:10]), X  # still buffers rows


def outputs(model, X):
    """Return everything that a model says of samples."""
    methods = ("transform", "predict", "decision_function", "score_samples")
    return {
        method: np.asarray(getattr(model, method)(X))
        for method in methods
        if hasattr(model, method)
    }


def assert_same(found, wanted, X):
    found, wanted = outputs(found, X), outputs(wanted, X)
    assert found
    for method, values in wanted.items():
        np.testing.assert_array_equal(found[method], values)


def test_every_public_estimator_is_saved():
    assert {type(model) for model, _ in fitted()} >= set(ESTIMATORS)


def test_pickle_and_joblib():
    for model, X in fitted():
        assert_same(pickle.loads(pickle.dumps(model)), model, X)
        file = BytesIO()
        joblib.dump(model, file)
        file.seek(0)
        assert_same(joblib.load(file), model, X)


def test_skops():
    skops = pytest.importorskip("skops.io")
    seen = set()
    for model, X in fitted():
        data = skops.dumps(model)
        seen |= set(skops.get_untrusted_types(data=data))
        loaded = skops.loads(data, trusted=skops_trusted_types())
        assert_same(loaded, model, X)
    assert seen == set(skops_trusted_types())  # none too few, none too many


def test_saved_streams_go_on():
    skops = pytest.importorskip("skops.io")
    rng = np.random.default_rng(1)
    for model, X in fitted():
        if not hasattr(model, "partial_fit") or hasattr(model, "classes_"):
            continue
        more = rng.normal(size=(30, X.shape[1]))
        loaded = skops.loads(skops.dumps(model), trusted=skops_trusted_types())
        assert_same(loaded.partial_fit(more), model.partial_fit(more), X)


def test_the_trusted_list_is_of_this_package_and_perceptrons_and_a_copy():
    types = skops_trusted_types()
    known = "skscn.", "sklearn.neural_network._stochastic_optimizers."
    assert all(name.startswith(known) for name in types)
    assert types == sorted(types)
    types.clear()
    assert skops_trusted_types()
