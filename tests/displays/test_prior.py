"""PriorDisplay plots the density and the codes of the coder."""

import numpy as np
import pytest
from scipy.integrate import trapezoid
from sklearn.datasets import load_digits

from skscn import (
    NonNegativeSparseCoder,
    OrthogonalSparseCoder,
    PriorDisplay,
    SparseCodingDetector,
    SparseCodingMixture,
)

X = load_digits().data[:200]


def check_curves(coder):
    """Rows along an atom have the grid for projections."""
    display = PriorDisplay.from_estimator(coder, X, component=2)
    rows = coder.mean_ + display.grid[:, None] * coder.components_[2]
    np.testing.assert_allclose(coder.transform(rows)[:, 2], display.code, atol=1e-9)
    coder.set_params(inference="mean")
    np.testing.assert_allclose(
        coder.transform(rows)[:, 2], display.mean_code, atol=1e-9
    )
    expected = (X - coder.mean_) @ coder.components_[2]
    np.testing.assert_allclose(display.projections, expected, atol=1e-9)
    # All but the tails beyond the data lies under the density.
    assert 0.8 < trapezoid(display.density, display.grid) < 1 + 1e-6
    assert display.ax_.get_xlabel() == "projection on atom 2"


@pytest.mark.parametrize("prior", ["laplace", "spike_slab"])
@pytest.mark.parametrize("alpha", [2.0, "auto"])
def test_curves_of_a_signed_coefficient_are_those_of_its_coder(prior, alpha):
    coder = OrthogonalSparseCoder(
        6, prior=prior, alpha=alpha, max_iter=30, tol=1e-2
    ).fit(X)
    check_curves(coder)


@pytest.mark.parametrize("prior", ["exponential", "spike_slab"])
def test_curves_of_a_non_negative_coefficient_are_those_of_its_coder(prior):
    coder = NonNegativeSparseCoder(
        6, prior=prior, alpha="auto", max_iter=30, tol=1e-2
    ).fit(X)
    check_curves(coder)


def test_components_that_do_not_exist_are_refused():
    coder = OrthogonalSparseCoder(6, alpha=2.0, max_iter=0).fit(X)
    with pytest.raises(ValueError, match="component=6 must be from 0 to 5"):
        PriorDisplay.from_estimator(coder, X, component=6)
    with pytest.raises(TypeError, match=r"component=1.5 must be an integer"):
        PriorDisplay.from_estimator(coder, X, component=1.5)
    with pytest.raises(ValueError, match="expecting 64 features"):
        PriorDisplay.from_estimator(coder, X[:, :9])


def test_samples_with_missing_values_are_counted():
    coder = OrthogonalSparseCoder(6, alpha=2.0, max_iter=0).fit(X)
    incomplete = X.astype(float)
    incomplete[[3, 5], 7] = np.nan
    message = rf"2 of {len(X)} samples have missing values.*estimator.impute\(X\)"
    with pytest.raises(ValueError, match=message):
        PriorDisplay.from_estimator(coder, incomplete)
    PriorDisplay.from_estimator(coder, coder.impute(incomplete))


@pytest.mark.parametrize(
    "estimator", [SparseCodingMixture(2, 4, tol=1e-2), SparseCodingDetector()]
)
def test_estimators_that_are_no_coders_are_refused(estimator):
    message = f"but got {type(estimator).__name__}"
    with pytest.raises(TypeError, match=message):
        PriorDisplay.from_estimator(estimator.fit(X), X)
