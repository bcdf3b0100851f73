"""Parameters that are set after a fit change nothing until the next fit."""

import numpy as np
import pytest
from common import ESTIMATORS, make_estimator, make_short
from sklearn.base import clone

import skscn

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore:All codes of the training data are zero",
)

# Documented to take effect at once: where or in which form results are computed, and
# the seed of new samples.
RUN_TIME_PARAMETERS = {
    "copy",
    "inference",
    "n_jobs",
    "n_nonzero_coefs",
    "random_state",
    "sparse_output",
}
# Another valid value of every other parameter; of estimators, by their class.
OTHER_VALUES = {
    "add_indicator": True,
    "alpha": 3.0,
    "arrangement": "parallel",
    "center": False,
    "center_patches": False,
    "coder": skscn.NonNegativeSparseCoder(1, alpha="auto", max_iter=2),
    "contamination": 0.3,
    "contrast": 0.5,
    "depthwise": True,
    "flatten": True,
    "floor": 2.0,
    "forgetting": 0.6,
    "grid": 3,
    "image_shape": (2, 2, 9),
    "init": "random",
    "keep_empty_features": True,
    "kernel_size": 2,
    "layers": [("other", skscn.SpatialPool(grid=2))],
    "marginals": False,
    "max_iter": 1,
    "max_patches": 7,
    "mode": "sum",
    "n_components": 2,
    "n_dictionaries": 2,
    "n_init": 2,
    "outputs": "pools",
    "padding": "valid",
    "power": 0.5,
    "prior": "spike_slab",
    "scaling": None,
    "sigma": 0.1,
    "split_sign": False,
    "store_statistics": False,
    "stride": 2,
    "tol": 0.5,
    "transform_alpha": 3.0,
    "trim": 0.2,
    "warm_start": True,
    "whiten": None,
    "window": 3,
    "with_mean": False,
    "with_std": False,
}
# Parameters that a stream of mini-batches may change: of the steps, not of the model.
STREAM_PARAMETERS = {
    *RUN_TIME_PARAMETERS,
    "alpha",
    "contamination",
    "floor",
    "forgetting",
    "image_shape",  # of flat rows: the shape of the first mini-batch stays
    "init",
    "max_iter",
    "max_patches",
    "n_init",
    "store_statistics",
    "tol",
    "transform_alpha",
    "trim",
    "warm_start",
}
CODERS = skscn.OrthogonalSparseCoder | skscn.NonNegativeSparseCoder
STREAM_PARAMETERS_OF_CODERS = {
    "n_components",  # those of the fitted dictionary stay
    "prior",  # its parameters are learned anew
    "split_sign",
}
METHODS = [
    "transform",
    "inverse_transform",
    "reconstruct",
    "predict",
    "predict_proba",
    "decision_function",
    "score_samples",
    "posterior_std",
    "impute",
    "get_feature_names_out",
]


def variants():
    """Yield estimators, with options that other code depends on."""
    for Estimator in ESTIMATORS:
        yield make_short(Estimator)
    yield skscn.OrthogonalSparseCoder(4, alpha="auto", max_iter=3)
    yield skscn.OrthogonalSparseCoder(4, n_nonzero_coefs=1, split_sign=True, max_iter=3)
    yield skscn.SparseCodingMixture(2, 3, max_iter=3)
    yield skscn.SparseCodingMixture(2, 3, alpha=0.5, max_iter=3)
    yield skscn.ConvSparseCoder(3, kernel_size=3, contrast=0.1, image_shape=(6, 6))
    yield skscn.SpatialPool("max", grid=2, image_shape=(6, 6))
    yield skscn.SpatialPool("gaussian", grid=2, power=2.0)
    yield skscn.SparseCodingDetector(skscn.ConvSparseCoder(3, kernel_size=3))
    layers = [
        ("conv", skscn.ConvSparseCoder(3, kernel_size=3)),
        ("pool", skscn.SpatialPool(grid=2)),
        ("last", skscn.SpatialPool(grid=2, power=0.5)),
    ]
    yield skscn.SparseCodingNetwork(layers, outputs="pools", image_shape=(6, 6))
    yield skscn.SparseCodingNetwork(layers[1:], arrangement="parallel")


def data_for(estimator):
    rng = np.random.default_rng(0)
    X = np.abs(rng.normal(size=(60, 36)))
    is_flat = getattr(estimator, "image_shape", None) is not None
    coder = getattr(estimator, "coder", None)
    reads_images = hasattr(estimator, "image_shape") or hasattr(coder, "image_shape")
    return X if is_flat or not reads_images else X.reshape(-1, 6, 6)


def results(estimator, X, given):
    """Return what all methods return, for samples or for what `given` holds."""
    return {
        name: getattr(estimator, name)(*given.get(name, (X,)))
        for name in METHODS
        if hasattr(estimator, name)
    }


def fitted_with_results(estimator):
    X, y = data_for(estimator), np.arange(60) % 3
    if hasattr(estimator, "random_state"):
        estimator.set_params(random_state=0)
    estimator.fit(X, y)
    given = {"get_feature_names_out": ()}
    if hasattr(estimator, "inverse_transform"):
        given["inverse_transform"] = (estimator.transform(X),)
    return X, given, results(estimator, X, given)


EACH = [
    pytest.param(estimator, name, id=f"{type(estimator).__name__}-{i}-{name}")
    for i, estimator in enumerate(variants())
    for name in estimator.get_params(deep=False)
]


@pytest.mark.parametrize(("estimator", "name"), EACH)
def test_a_parameter_set_after_fit_changes_no_result(estimator, name):
    if name in RUN_TIME_PARAMETERS:
        return
    estimator = clone(estimator)
    X, given, expected = fitted_with_results(estimator)
    other = OTHER_VALUES[name]
    if getattr(estimator, name) == other:
        return
    estimator.set_params(**{name: other})
    for method, found in results(estimator, X, given).items():
        np.testing.assert_array_equal(found, expected[method], err_msg=method)


@pytest.mark.parametrize(("estimator", "name"), EACH)
def test_a_parameter_set_within_a_stream_is_refused_or_of_later_steps(estimator, name):
    if not hasattr(estimator, "partial_fit") or name in STREAM_PARAMETERS:
        return
    if isinstance(estimator, CODERS) and name in STREAM_PARAMETERS_OF_CODERS:
        return
    estimator = clone(estimator)
    X, y = data_for(estimator), np.arange(60) % 3
    estimator.partial_fit(X, y)
    value, other = getattr(estimator, name), OTHER_VALUES[name]
    if value == other:
        return
    estimator.set_params(**{name: other})
    before = dict(vars(estimator))
    with pytest.raises(ValueError, match=f"{name}=.* partial_fit"):
        estimator.partial_fit(X, y)
    assert vars(estimator) == before
    estimator.set_params(**{name: value}).partial_fit(X, y)


def test_a_parameter_of_a_layer_set_within_a_stream_is_refused():
    X = data_for(skscn.SpatialPool())
    network = make_estimator(skscn.SparseCodingNetwork).partial_fit(X)
    for name, value in (("conv__alpha", 3.0), ("pool__mode", "max")):
        kept = network.get_params()[name]
        with pytest.raises(ValueError, match=f"{name}={value!r} was {kept!r}"):
            network.set_params(**{name: value}).partial_fit(X)
        network.set_params(**{name: kept})
    network.set_params(conv__n_jobs=2, conv__random_state=1).partial_fit(X)
