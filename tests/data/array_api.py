"""Arrays of other namespaces and devices: what `test_array_api` runs.

scikit-learn dispatches to them only where SCIPY_ARRAY_API was set before SciPy was
imported, so that these tests have a process of their own.
"""

import warnings
from functools import partial

import numpy as np
import pytest
import sklearn
from common import random_orthonormal
from sklearn.base import clone
from sklearn.utils.estimator_checks import estimator_checks_generator

from skscn import (
    ConvSparseCoder,
    DictionaryDisplay,
    FlooredScaler,
    NonNegativeSparseCoder,
    OrthogonalSparseCoder,
    PriorDisplay,
    ReconstructionDisplay,
    SparseCodingDetector,
    SparseCodingImputer,
    StreamingRidgeClassifier,
    interpret_network,
    map_blocks,
)

few = {"max_iter": 4, "tol": 1}
CODERS = {
    "soft": OrthogonalSparseCoder(4, alpha=0.5, **few),
    "hard": OrthogonalSparseCoder(4, alpha=0.5, prior="spike_slab", **few),
    "ReLU": NonNegativeSparseCoder(4, alpha=[0.1, 0.5, 0.2, 0.3], center=False, **few),
    "one-sided": NonNegativeSparseCoder(4, alpha=0.3, prior="spike_slab", **few),
    "all atoms": OrthogonalSparseCoder(6, alpha=0.5, init="dct", **few),
    "laplace": OrthogonalSparseCoder(4, alpha="auto", **few),
    "slab": OrthogonalSparseCoder(4, alpha="auto", prior="spike_slab", **few),
    "limited": OrthogonalSparseCoder(4, n_nonzero_coefs=2, **few),
    "split": OrthogonalSparseCoder(4, alpha=0.5, split_sign=True, **few),
    "mean": NonNegativeSparseCoder(4, alpha="auto", inference="mean", **few),
}


@pytest.fixture(params=["array_api_strict", "array_api_strict device1", "torch"])
def device(request):
    """Return a namespace, and a device of it."""
    name, _, device = request.param.partition(" ")
    xp = pytest.importorskip(name)
    if name == "torch":
        return xp, "cpu"
    return xp, xp.Device(device or "CPU_DEVICE")


@pytest.fixture(autouse=True)
def array_api_dispatch():
    with sklearn.config_context(array_api_dispatch=True):
        yield


@pytest.fixture
def X(rng, short_slices):
    scale = np.arange(6, 0, -1)
    return rng.laplace([1, 0, 0, 0, 0, -2], scale, size=(2 * short_slices + 100, 6))


def to_device(X, device):
    xp, device = device
    return xp.asarray(X, device=device)


def to_numpy(X):
    if hasattr(X, "to_device") and not isinstance(X, np.ndarray):  # array_api_strict
        X = X.to_device(type(X.device)("CPU_DEVICE"))
    return np.asarray(X)


def check_same_device_and_type(array, X):
    assert type(array) is type(X)
    assert array.device == X.device


def checks():
    """Yield scikit-learn's own, but for devices that this machine has not."""
    absent = {"cuda", "xpu", "mps", "gpu", "cupy", "dpnp"}
    for coder in CODERS.values():
        with sklearn.config_context(array_api_dispatch=True):
            for estimator, check in estimator_checks_generator(coder):
                if not check.func.__name__.startswith("check_array_api"):
                    continue
                words = set(str(check.keywords).replace("'", " ").split())
                if not words & absent:
                    yield pytest.param(estimator, check, id=str(check.keywords))


@pytest.mark.filterwarnings("ignore:All codes of the training data are zero")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("estimator", "check"), list(checks()))
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("name", CODERS)
@pytest.mark.parametrize(("dtype", "atol"), [("f8", 1e-10), ("f4", 1e-4)])
@pytest.mark.parametrize("weighted", [False, True])
def test_everything_is_as_of_numpy_and_stays_there(
    name, dtype, atol, weighted, device, X, rng
):
    X = X.astype(dtype)
    weights = rng.random(len(X)) if weighted else None
    whole = clone(CODERS[name]).fit(X, sample_weight=weights)
    x = to_device(X, device)
    coder = clone(CODERS[name])
    coder.fit(x, sample_weight=None if weights is None else to_device(weights, device))
    for attribute in ("components_", "mean_", "alpha_"):
        found, expected = getattr(coder, attribute), getattr(whole, attribute)
        check_same_device_and_type(found, x)
        assert to_numpy(found).dtype == expected.dtype
        np.testing.assert_allclose(to_numpy(found), expected, rtol=atol, atol=atol)
    np.testing.assert_allclose(coder.objective_path_, whole.objective_path_, rtol=atol)
    np.testing.assert_allclose(coder.noise_variance_, whole.noise_variance_, rtol=1e-3)
    if dtype == "f4":
        return
    # Noise is that of counts, and a projection on the edge of a bin may fall anywhere.
    tolerances = {"transform": 1e-9, "score_samples": 1e-5, "posterior_std": 1e-5}
    for method, tol in tolerances.items():
        found, expected = getattr(coder, method)(x), getattr(whole, method)(X)
        check_same_device_and_type(found, x)
        assert to_numpy(found).dtype == expected.dtype
        np.testing.assert_allclose(to_numpy(found), expected, rtol=tol, atol=tol)
    codes = whole.transform(X)
    found = coder.inverse_transform(to_device(codes, device))
    check_same_device_and_type(found, x)
    np.testing.assert_allclose(
        to_numpy(found), whole.inverse_transform(codes), atol=1e-9
    )
    assert coder.score(x) == pytest.approx(whole.score(X))
    assert coder.bic(x) == pytest.approx(whole.bic(X))


@pytest.mark.parametrize("name", CODERS)
def test_float32_codes_are_those_of_numpy(name, device, X):
    X = X.astype(np.float32)
    atoms = random_orthonormal(CODERS[name].n_components, 6)
    coder = clone(CODERS[name]).set_params(init=atoms, max_iter=0)
    codes = coder.fit(X).transform(X)
    found = clone(coder).fit(to_device(X, device)).transform(to_device(X, device))
    assert to_numpy(found).dtype == np.float32
    # At a hard threshold a code is one or the other.
    differ = np.abs(to_numpy(found) - codes) > 1e-4
    assert differ.mean() < (1e-3 if coder.prior == "spike_slab" else 1e-12)


def test_start_and_warm_start_may_be_there(device, X):
    x = to_device(X, device)
    start = to_device(random_orthonormal(4, 6), device)
    coder = OrthogonalSparseCoder(4, alpha=0.5, init=start, warm_start=True, **few)
    first = to_numpy(coder.fit(x).components_)
    start = OrthogonalSparseCoder(4, alpha=0.5, init=to_numpy(start), **few).fit(X)
    np.testing.assert_allclose(first, start.components_, atol=1e-10)
    assert coder.objective_path_[-1] > coder.fit(x).objective_path_[-1]


def test_what_is_learned_of_the_prior_needs_no_dispatch(device, X):
    coder = CODERS["laplace"].fit(to_device(X, device))
    with sklearn.config_context(array_api_dispatch=False):
        assert coder.rate_.shape == coder.prior_["rate"].shape == (4,)
        assert coder.sample(3, random_state=0).shape == (3, 6)


def test_what_numpy_alone_can_do_says_so(device, X):
    x = to_device(X[:300], device)
    coder = OrthogonalSparseCoder(4, alpha=0.5, **few)
    with pytest.raises(TypeError, match="partial_fit needs NumPy arrays"):
        coder.partial_fit(x)
    assert not hasattr(coder, "components_")
    coder.fit(x)
    with pytest.raises(TypeError, match="impute needs NumPy arrays"):
        coder.impute(x)
    with pytest.raises(TypeError, match="sparse_output=True needs NumPy arrays"):
        coder.set_params(sparse_output=True).transform(x)
    X = X[:300].copy()
    X[3, 3] = np.nan
    with pytest.raises(ValueError, match=r"NaN.* imputed in NumPy arrays only: move"):
        coder.fit(to_device(X, device))
    X[3, 3] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        coder.fit(to_device(X, device))


def test_layers_of_images_say_that_they_read_numpy(device, rng):
    images = rng.normal(size=(20, 8, 8))
    conv = ConvSparseCoder(4, kernel_size=3, random_state=0)
    name = device[0].__name__
    message = f"Layers of images read NumPy arrays, but X is of {name}\\."
    for call in (conv.fit, conv.partial_fit, conv.fit(images).transform):
        with pytest.raises(TypeError, match=message):
            call(to_device(images, device))
    with pytest.raises(TypeError, match=message):
        conv.inverse_transform(to_device(conv.transform(images), device))


ROW_READERS = {
    SparseCodingDetector(): "Detectors",
    SparseCodingImputer(): "Imputers",
    FlooredScaler(): "Scalers and classifiers of features",
    StreamingRidgeClassifier(): "Scalers and classifiers of features",
}


@pytest.mark.parametrize("estimator", ROW_READERS, ids=lambda e: type(e).__name__)
def test_estimators_that_read_numpy_say_so(estimator, device, X):
    X, y = X[:300], np.arange(300) % 2
    x, message = to_device(X, device), f"{ROW_READERS[estimator]} read NumPy arrays"
    fitted = clone(estimator).fit(X, y)
    names = ("transform", "inverse_transform", "predict", "score_samples", "explain")
    calls = [getattr(fitted, name) for name in names if hasattr(fitted, name)]
    for call in (partial(clone(estimator).fit, y=y), *calls):
        with pytest.raises(TypeError, match=message):
            call(x)


def test_complex_arrays_are_refused(device, X):
    X = X[:300]
    x, coder = to_device(X, device), CODERS["soft"]
    codes = coder.fit(x).transform(x)
    for call in (clone(coder).fit, coder.transform, coder.score_samples):
        with pytest.raises(ValueError, match="Complex data not supported: X has"):
            call(to_device(X + 1j, device))
    with pytest.raises(ValueError, match="Complex data not supported: X has"):
        coder.inverse_transform(to_device(to_numpy(codes) + 1j, device))


def test_displays_plot_what_is_there(device, X):
    pytest.importorskip("matplotlib").use("agg")
    X = X[:300]
    x = to_device(X, device)
    there, here = CODERS["soft"].fit(x), clone(CODERS["soft"]).fit(X)
    found = PriorDisplay.from_estimator(there, x)
    expected = PriorDisplay.from_estimator(here, X)
    np.testing.assert_allclose(found.projections, expected.projections, atol=1e-9)
    found = ReconstructionDisplay.from_estimator(there, x)
    expected = ReconstructionDisplay.from_estimator(here, X)
    np.testing.assert_allclose(
        found.reconstructions, expected.reconstructions, atol=1e-9
    )
    found = DictionaryDisplay.from_estimator(there, image_shape=(2, 3))
    np.testing.assert_allclose(found.atoms.reshape(4, 6), here.components_, atol=1e-9)


def test_networks_are_interpreted_on_tensors(X):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    pairs = [(rng.normal(size=(5, 6)), rng.normal(size=5)), (np.ones((2, 5)), None)]
    found = interpret_network(pairs, torch.tensor(X[:300]))
    expected = interpret_network(pairs, X[:300])
    np.testing.assert_array_equal(
        found.predict(torch.tensor(X[:9])), expected.predict(X[:9])
    )


def test_what_was_fitted_with_dispatch_is_used_with_it(device, X):
    coder = OrthogonalSparseCoder(4, alpha=0.5, **few).fit(to_device(X, device))
    with sklearn.config_context(array_api_dispatch=False):
        for method in ("transform", "inverse_transform", "score_samples"):
            with pytest.raises(TypeError, match="array_api_dispatch=True"):
                getattr(coder, method)(X)


def test_gradients_are_told_to_be_lost(X):
    torch = pytest.importorskip("torch")
    x = torch.tensor(X, requires_grad=True)
    coder = OrthogonalSparseCoder(4, alpha=0.5, **few)
    with pytest.raises(TypeError, match=r"X\.detach\(\)"):
        coder.fit(x)
    coder.fit(x.detach())
    with pytest.raises(TypeError, match="out is of type Tensor"):
        map_blocks(coder, x.detach(), out=torch.empty(len(X), 4))


def test_fit_and_the_rest_happen_in_one_place(device, X):
    X = X[:300]
    x = to_device(X, device)
    here = OrthogonalSparseCoder(4, alpha=0.5, **few).fit(X)
    far = OrthogonalSparseCoder(4, alpha=0.5, **few).fit(x)
    for method in ("transform", "inverse_transform", "score_samples", "partial_fit"):
        for coder, other in ((here, x), (far, X)):
            with pytest.raises(ValueError, match=rf"Coder.{method}\(\) must use the"):
                getattr(coder, method)(other)


def test_blocks_of_arrays_at_hand_do_not_change_with_dispatch(X):
    coder = CODERS["soft"].fit(X)
    found = map_blocks(coder, X, block_bytes=10_000)
    np.testing.assert_allclose(found, coder.transform(X), atol=1e-12)


def test_blocks_of_what_is_there_come_home(device, X):
    x = to_device(X, device)
    coder = CODERS["soft"].fit(x)
    found = map_blocks(coder, x, block_bytes=100_000)
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(found, to_numpy(coder.transform(x)), atol=1e-12)


def test_integers_are_read_as_float64(device):
    X = np.arange(600).reshape(100, 6) % 7
    coder = OrthogonalSparseCoder(2, alpha=0.5, **few)
    found = to_numpy(clone(coder).fit(to_device(X, device)).components_)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = coder.fit(X).components_
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, atol=1e-10)
