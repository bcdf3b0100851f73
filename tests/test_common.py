"""Every public estimator passes all checks of scikit-learn."""

import numpy as np
import pytest
from common import ESTIMATORS, make_estimator, make_short
from sklearn.utils import estimator_checks, estimator_html_repr
from sklearn.utils.estimator_checks import parametrize_with_checks

import skscn
from skscn._data import sklearn_compat

CODERS = (skscn.OrthogonalSparseCoder, skscn.NonNegativeSparseCoder)
# Checks of scikit-learn that `check_estimator` does not run.
ADDITIONAL_CHECKS = [
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
    "check_get_feature_names_out_error",
    "check_dataframe_column_names_consistency",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_global_output_transform_pandas",
    "check_global_set_output_transform_polars",
    "check_inplace_ensure_writeable",
    "check_param_validation",
]
CHECKS_WITHOUT_TRANSFORM = [  # the other additional checks are of transformers
    "check_dataframe_column_names_consistency",
    "check_inplace_ensure_writeable",
    "check_param_validation",
]


# The checks fit for few iterations and to data of any scale, which warns.
ignore_expected_warnings = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore:All codes of the training data are zero",
)


def estimator_variants():
    """Yield every estimator with its defaults, and with options that use other code."""
    for Estimator in ESTIMATORS:
        yield Estimator()
    yield make_estimator(skscn.SparseCodingNetwork)
    for Coder in (skscn.OrthogonalSparseCoder, skscn.NonNegativeSparseCoder):
        yield Coder(alpha=0.1, init="random", n_jobs=2)
        yield Coder(alpha=0.1, prior="spike_slab", init="dct", center=False)
        # Few iterations: some checks fit to fewer samples than features. Then the
        # likelihood has no maximum, and rounding errors grow with every iteration.
        yield Coder(n_nonzero_coefs=2, max_iter=3)
        yield Coder(alpha="auto", inference="mean", max_iter=3)
        yield Coder(alpha="auto", prior="spike_slab", max_iter=3, n_jobs=2)
    yield skscn.OrthogonalSparseCoder(alpha=0.1, split_sign=True)
    yield skscn.SparseCodingMixture(
        2, 2, prior="exponential", inference="mean", init="random", max_iter=3
    )
    yield skscn.SparseCodingMixture(alpha=0.1, n_init=2, n_jobs=2, max_iter=3)
    yield skscn.SparseCodingMixture(
        4, alpha=0, n_nonzero_coefs=1, center=False, max_iter=3
    )
    yield skscn.ConvSparseCoder(kernel_size=3, contrast=0.1, depthwise=True, n_jobs=2)
    yield skscn.ConvSparseCoder(
        padding=3, stride=2, prior="spike_slab", whiten=None, center_patches=False
    )
    yield skscn.SpatialPool("max", grid=3, power=0.5)
    yield skscn.SparseCodingDetector(trim=0.1, contamination=0.2, n_jobs=2)
    yield skscn.SparseCodingDetector(
        skscn.NonNegativeSparseCoder(2, alpha="auto", max_iter=3),
        scaling=None,
        contamination=0.1,
    )
    yield skscn.SparseCodingDetector(skscn.ConvSparseCoder(kernel_size=3))
    yield skscn.SparseCodingNetwork(
        [("fine", skscn.SpatialPool(grid=4)), ("coarse", skscn.SpatialPool(grid=2))],
        arrangement="parallel",
    )


@ignore_expected_warnings
def test_a_network_is_one_convolution_by_default(rng):
    images = rng.normal(size=(20, 8, 8))
    network = skscn.SparseCodingNetwork().fit(images)
    assert list(network.named_layers_) == ["conv"]
    conv = skscn.ConvSparseCoder().fit(images)
    expected = conv.transform(images).reshape(20, -1)
    np.testing.assert_array_equal(network.transform(images), expected)
    streamed = skscn.SparseCodingNetwork().partial_fit(images)
    assert streamed.transform(images).shape == expected.shape
    assert "layers=None" not in repr(network)
    with pytest.raises(ValueError, match="layers is empty"):
        skscn.SparseCodingNetwork([]).fit(images)


def test_the_list_of_estimators_holds_every_kind():
    assert {Estimator.__name__ for Estimator in ESTIMATORS} >= {
        "OrthogonalSparseCoder",
        "NonNegativeSparseCoder",
        "ConvSparseCoder",
        "SpatialPool",
        "SparseCodingNetwork",
        "SparseCodingDetector",
        "SparseCodingMixture",
        "FlooredScaler",
        "StreamingRidgeClassifier",
    }


@ignore_expected_warnings
@parametrize_with_checks(list(estimator_variants()))
def test_scikit_learn_checks(estimator, check):
    if getattr(check, "func", check).__name__.startswith("check_array_api"):
        # They need SCIPY_ARRAY_API: data/array_api.py runs them.
        supports = estimator.__sklearn_tags__().array_api_support
        assert supports == isinstance(estimator, CODERS)
        return
    check(estimator)


@ignore_expected_warnings
# The checks fit to a data frame and transform an array, or the other way round.
@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names")
@pytest.mark.parametrize(
    ("Estimator", "name"),
    [
        (Estimator, name)
        for Estimator in ESTIMATORS
        for name in ADDITIONAL_CHECKS
        if hasattr(Estimator, "transform") or name in CHECKS_WITHOUT_TRANSFORM
    ],
)
def test_additional_scikit_learn_checks(Estimator, name):
    # They check names, containers and parameters, whatever is learned.
    getattr(estimator_checks, name)(Estimator.__name__, make_short(Estimator))


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_html_links_to_documentation(Estimator, monkeypatch):
    """The link has the address that a release states; without one there is none."""
    estimator = make_estimator(Estimator)
    assert "estimator_doc_link" not in body_of_html(estimator)
    address = "scheme://host/pages"
    monkeypatch.setattr(sklearn_compat, "_documentation_address", lambda: address)
    page = f"{address}/generated/skscn.{Estimator.__name__}.html"
    assert f'href="{page}"' in body_of_html(estimator)
    subclass = type("Elsewhere", (Estimator,), {"__module__": "elsewhere"})
    assert page not in body_of_html(subclass(**estimator.get_params(deep=False)))


def body_of_html(estimator):
    return estimator_html_repr(estimator).rpartition("</style>")[2]
