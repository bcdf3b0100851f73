"""Loaded models have the outputs of the saved ones, with pickle, joblib and skops."""

import pickle
import re
import warnings
from copy import deepcopy
from functools import partial
from importlib import import_module
from io import BytesIO

import joblib
import numpy as np
import pytest
from common import ESTIMATORS
from sklearn.base import clone
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.model_selection import GridSearchCV
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
    """Yield every public estimator, with several parameters and in Pipelines."""
    yield from estimator_variants()
    yield make_sparse_coding_network(
        [
            ("conv", skscn.ConvSparseCoder(3, kernel_size=3)),
            ("pool", skscn.SpatialPool()),
        ],
        image_shape=(4, 4),
        random_state=0,
    )
    yield make_pipeline(StandardScaler(), skscn.NonNegativeSparseCoder(3))
    for solver in ("adam", "sgd"):
        perceptron = MLPClassifier((3,), solver=solver, max_iter=3, random_state=0)
        yield make_pipeline(skscn.NonNegativeSparseCoder(3), perceptron)
    yield GridSearchCV(skscn.NonNegativeSparseCoder(3), {"alpha": [0.1, 0.5]}, cv=2)
    classifier = make_pipeline(skscn.FlooredScaler(), skscn.StreamingRidgeClassifier())
    grid = {"streamingridgeclassifier__alpha": [0.1, 1.0]}
    yield GridSearchCV(classifier, grid, cv=2)


def fitted_models():
    """Yield models after `fit` and after `partial_fit`, and their samples."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(80, 16)), np.arange(80) % 3
    for model in models():
        yield clone(model).fit(X, y), X
        if hasattr(model, "partial_fit"):
            options = {"classes": [0, 1, 2]} if hasattr(model, "predict") else {}
            if isinstance(
                model, skscn.SparseCodingDetector | skscn.SparseCodingMixture
            ):
                options = {}
            model = clone(model).partial_fit(X, y, **options)
            yield model.partial_fit(X, y), X
            yield clone(model).partial_fit(X[:70], y[:70], **options), X
    yield skscn.OrthogonalSparseCoder(8).partial_fit(X[:10]), X  # still buffers rows


def explanation():
    X = np.random.default_rng(0).normal(size=(80, 16))
    return skscn.SparseCodingDetector().fit(X).explain(X[:3])


def outputs(model, X):
    """Return the outputs of all methods of a model that take samples."""
    methods = ("transform", "predict", "decision_function", "score_samples")
    return {
        method: np.asarray(getattr(model, method)(X))
        for method in methods
        if hasattr(model, method)
    }


def assert_equal_outputs(found, expected, X):
    found, expected = outputs(found, X), outputs(expected, X)
    assert found
    for method, values in expected.items():
        np.testing.assert_array_equal(found[method], values)


def test_every_public_estimator_is_saved():
    assert {type(model) for model, _ in fitted_models()} >= set(ESTIMATORS)


def test_pickle_and_joblib_load_every_model():
    for model, X in fitted_models():
        assert_equal_outputs(pickle.loads(pickle.dumps(model)), model, X)
        file = BytesIO()
        joblib.dump(model, file)
        file.seek(0)
        assert_equal_outputs(joblib.load(file), model, X)


def test_skops_loads_every_model_and_trusts_no_other_types():
    skops = pytest.importorskip("skops.io")
    types = set()
    for model, X in fitted_models():
        data = skops.dumps(model)
        types |= set(skops.get_untrusted_types(data=data))
        loaded = skops.loads(data, trusted=skops_trusted_types())
        assert_equal_outputs(loaded, model, X)
    data = skops.dumps(explanation())
    types |= set(skops.get_untrusted_types(data=data))
    loaded = skops.loads(data, trusted=skops_trusted_types())
    for name, values in vars(explanation()).items():
        np.testing.assert_array_equal(getattr(loaded, name), values)
    assert types == set(skops_trusted_types())


def test_reports_are_not_for_files_of_skops():
    skops = pytest.importorskip("skops.io")
    layers = [(np.eye(3), -np.ones(3)), (np.ones((2, 3)), np.zeros(2))]
    data = skops.dumps(skscn.interpret_network(layers))
    with pytest.raises(skops.exceptions.UntrustedTypesFoundException, match="Report"):
        skops.loads(data, trusted=skops_trusted_types())


@pytest.mark.parametrize("Estimator", ESTIMATORS, ids=lambda each: each.__name__)
def test_another_version_warns(Estimator, monkeypatch):
    model = next(each for each in models() if type(each) is Estimator)
    files = [pickle.dumps(model)]
    assert "_skscn_version" not in vars(pickle.loads(files[0]))
    assert "_skscn_version" not in vars(deepcopy(model))
    try:
        skops = import_module("skops.io")
    except ImportError:
        loaders = [pickle.loads]
    else:
        files.append(skops.dumps(model))
        trusted = skops_trusted_types()
        loaders = [pickle.loads, partial(skops.loads, trusted=trusted)]
    monkeypatch.setattr(skscn, "__version__", "99.1")
    message = f"estimator {Estimator.__name__} of skscn from version .* version 99.1"
    for file, load in zip(files, loaders, strict=True):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", InconsistentVersionWarning)
            loaded = load(file)
        assert any(re.search(message, str(each.message)) for each in caught)
        assert loaded.get_params().keys() == model.get_params().keys()


def test_a_file_without_version_warns():
    coder = skscn.NonNegativeSparseCoder(3)
    with pytest.warns(InconsistentVersionWarning, match="from version unknown"):
        coder.__setstate__({"n_components": 4})
    assert coder.n_components == 4


def test_loaded_streams_continue_with_the_same_outputs():
    skops = pytest.importorskip("skops.io")
    rng = np.random.default_rng(1)
    for model, X in fitted_models():
        if not hasattr(model, "partial_fit") or hasattr(model, "classes_"):
            continue
        more = rng.normal(size=(30, X.shape[1]))
        loaded = skops.loads(skops.dumps(model), trusted=skops_trusted_types())
        assert_equal_outputs(loaded.partial_fit(more), model.partial_fit(more), X)


def test_the_trusted_list_is_sorted_and_a_copy():
    types = skops_trusted_types()
    prefixes = (
        "skscn.",
        "sklearn.metrics._scorer._PassthroughScorer",  # these of fitted searches
        "sklearn.model_selection._split.",
        "sklearn.neural_network._stochastic_optimizers.",
    )
    assert all(name.startswith(prefixes) for name in types)
    assert types == sorted(types)
    types.clear()
    assert skops_trusted_types()
