"""Loaded models have the outputs of the saved ones, with pickle, joblib and skops."""

import pickle
import re
import warnings
from copy import deepcopy
from functools import cache, partial
from importlib import import_module
from io import BytesIO
from zipfile import BadZipFile, ZipFile

import joblib
import numpy as np
import pytest
from common import ESTIMATORS, assert_same_bits, make_data, make_short, results
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import has_fit_parameter
from store_models import FOLDER
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


@cache
def fitted_models():
    """Return models after `fit` and after `partial_fit`, and their samples."""
    return list(_fitted_models())


def _fitted_models():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(80, 16)), np.arange(80) % 3
    for model in models():
        if getattr(model, "random_state", 0) is None:
            model.set_params(random_state=0)  # a buffered stream draws its start again
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


def assert_equal_outputs(found, expected, X):
    expected = results(expected, X)
    assert expected
    assert_same_bits(results(found, X), expected)


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


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.stem)
def test_files_of_all_versions_are_loaded_or_refused_with_the_version(path):
    skops = pytest.importorskip("skops.io")
    version = path.stem.removeprefix("models_")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            stored = skops.load(path, trusted=skops_trusted_types())
        except ValueError as error:
            assert version in str(error)  # noqa: PT017
            return
    messages = [str(each.message) for each in caught if "of skscn" in str(each.message)]
    for name in stored:
        warned = [m for m in messages if f"{name} of skscn" in m and version in m]
        assert bool(warned) == (version != skscn.__version__)
    for each in stored.values():
        found = results(each["model"], each["X"])
        for method, values in each["results"].items():
            np.testing.assert_allclose(found[method], values, rtol=1e-6, atol=1e-6)


def test_files_that_were_tampered_with_are_refused():
    """Changed types are not trusted, and changed bytes do not match their checksum."""
    skops = pytest.importorskip("skops.io")
    X, y = make_data(skscn.NonNegativeSparseCoder)
    data = skops.dumps(make_short(skscn.NonNegativeSparseCoder).fit(X, y))
    changed = BytesIO()
    with ZipFile(BytesIO(data)) as before, ZipFile(changed, "w") as after:
        for name in before.namelist():
            content = before.read(name)
            if name == "schema.json":
                assert b"NonNegativeSparseCoder" in content
                content = content.replace(b'"NonNegativeSparseCoder"', b'"system"')
                content = content.replace(b'"skscn._coders.non_negative"', b'"os"')
            after.writestr(name, content)
    untrusted = skops.exceptions.UntrustedTypesFoundException
    with pytest.raises(untrusted, match=r"os\.system"):
        skops.loads(changed.getvalue(), trusted=skops_trusted_types())
    position = data.index(b"NUMPY")  # the beginning of the first array
    flipped = bytearray(data)
    flipped[position + 200] ^= 255
    with pytest.raises(BadZipFile, match="CRC"):
        skops.loads(bytes(flipped), trusted=skops_trusted_types())


@pytest.mark.parametrize("Estimator", ESTIMATORS, ids=lambda each: each.__name__)
def test_copies_have_the_same_outputs_and_a_state_of_their_own(Estimator):
    """Of copies, of clones, and with metadata routing."""
    X, y = make_data(Estimator, 60)
    model = make_short(Estimator).fit(X, y)
    expected = results(model, X)
    copy = deepcopy(model)
    assert_same_bits(results(copy, X), expected)
    if hasattr(copy, "partial_fit"):
        copy.partial_fit(X[::-2], y[::-2])
    else:
        copy.fit(X[::-2], y[::-2])
    assert_same_bits(results(model, X), expected)
    assert_same_bits(results(clone(model).fit(X, y), X), expected)
    assert clone(FrozenEstimator(model)).estimator is model
    with config_context(enable_metadata_routing=True):
        assert_same_bits(results(clone(model).fit(X, y), X), expected)
        if has_fit_parameter(model, "sample_weight"):
            weights = np.arange(60) % 3 + 1.0
            weighted = clone(model).fit(X, y, sample_weight=weights)
            step = clone(model).set_fit_request(sample_weight=True)
            routed = make_pipeline(step).fit(X, y, sample_weight=weights)
            assert_same_bits(results(routed[0], X), results(weighted, X))


@pytest.mark.parametrize("container", ["imputer", "detector", "network"])
def test_parts_are_cloned_by_their_own_method(container):
    """As `clone` does, with `__sklearn_clone__`."""
    X, _ = make_data(skscn.OrthogonalSparseCoder, 60)
    kind = skscn.OrthogonalSparseCoder
    if container == "network":
        kind = skscn.ConvSparseCoder
    options = {"kernel_size": 3} if container == "network" else {"alpha": "auto"}

    class Cloned(kind):
        def __sklearn_clone__(self):
            copy = Cloned(**self.get_params())
            copy.is_own_clone = True
            return copy

    part = Cloned(3, **options)
    if container == "imputer":
        fitted = skscn.SparseCodingImputer(part).fit(X).coder_
    elif container == "detector":
        fitted = skscn.SparseCodingDetector(part).fit(X).coder_
    else:
        X = X.reshape(-1, 4, 2)
        fitted = skscn.SparseCodingNetwork([("conv", part)]).fit(X)
        fitted = fitted.named_layers_["conv"]
    assert fitted.is_own_clone
    assert not hasattr(part, "is_own_clone")


@pytest.mark.parametrize("Estimator", ESTIMATORS, ids=lambda each: each.__name__)
def test_callbacks_are_in_pickles_and_refused_in_files_of_skops(Estimator):
    callback = pytest.importorskip("sklearn.callback")
    if not hasattr(Estimator, "set_callbacks"):
        return
    X, y = make_data(Estimator, 60)
    model = make_short(Estimator).set_callbacks(callback.ProgressBar()).fit(X, y)
    loaded = pickle.loads(pickle.dumps(model))
    assert_equal_outputs(loaded, model, X)
    (found,) = loaded._skl_callbacks
    assert type(found) is callback.ProgressBar
    skops = pytest.importorskip("skops.io")
    untrusted = skops.exceptions.UntrustedTypesFoundException
    with pytest.raises(untrusted, match="ProgressBar"):
        skops.loads(skops.dumps(model), trusted=skops_trusted_types())
    model.set_callbacks()
    loaded = skops.loads(skops.dumps(model), trusted=skops_trusted_types())
    assert_equal_outputs(loaded, model, X)


def test_loaded_streams_continue_with_the_same_outputs():
    skops = pytest.importorskip("skops.io")
    rng = np.random.default_rng(1)
    for model, X in fitted_models():
        if not hasattr(model, "partial_fit") or hasattr(model, "classes_"):
            continue
        more = rng.normal(size=(30, X.shape[1]))
        loaded = skops.loads(skops.dumps(model), trusted=skops_trusted_types())
        continued = deepcopy(model).partial_fit(more)
        assert_equal_outputs(loaded.partial_fit(more), continued, X)


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
