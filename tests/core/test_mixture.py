"""Mixtures: moments are those of weighted coders, and passes add up."""

from functools import partial

import numpy as np
import pytest
from common import random_orthonormal
from scipy import sparse
from scipy.special import logsumexp

from skscn._core import marginals
from skscn._core.encoders import PosteriorMeanEncoder
from skscn._core.mixture import MixtureModel, mixture_sums
from skscn._core.mixture_shrinkage import ISOTROPIC_FRACTION, Shrinkage
from skscn._core.mixture_start import fill_classes, gaussian_responsibilities
from skscn._core.moments import code_moments, data_moments
from skscn._core.priors import SIGNED
from skscn._core.sparse_model import SparseModel
from skscn._core.workspace import Workspace

N_STATISTICS = {"laplace": 2, "spike_slab": 3}


def make_mixture(prior="laplace", n_dictionaries=3, n_components=5, n_features=7):
    rng = np.random.default_rng(0)
    models = []
    for i in range(n_dictionaries):
        if prior == "laplace":
            parameters = rng.uniform(0.5, 2.0, size=(1, n_components))
        else:
            parameters = rng.uniform(0.2, 0.8, size=(2, n_components))
        encoder = PosteriorMeanEncoder(SIGNED[prior], parameters, 0.1 + 0.2 * i)
        atoms = random_orthonormal(n_components, n_features, seed=i)
        models.append(SparseModel(atoms, rng.normal(size=n_features), encoder))
    weights = rng.dirichlet(np.ones(n_dictionaries))
    return MixtureModel(tuple(models), np.log(weights))


def sums_of(rows, weights, mixture, prior="laplace", dtype=np.float64):
    return mixture_sums(
        rows,
        weights,
        mixture=mixture,
        dtypes=(np.dtype(dtype),) * len(mixture.models),
        n_statistics=N_STATISTICS[prior],
    )


@pytest.fixture
def rows():
    return np.random.default_rng(1).normal(size=(200, 7)) * 1.5


def test_scores_and_responsibilities_are_those_of_the_definition(rows):
    mixture = make_mixture()
    each = np.array([model.log_likelihood(rows) for model in mixture.models]).T
    joint = each + mixture.log_weights
    total = logsumexp(joint, axis=1)
    np.testing.assert_allclose(mixture.log_likelihood(rows), total, rtol=1e-13)
    expected = np.exp(joint - total[:, None])
    np.testing.assert_allclose(mixture.responsibilities(rows), expected, atol=1e-13)


@pytest.mark.parametrize("prior", ["laplace", "spike_slab"])
@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array])
def test_sums_are_weighted_moments_of_every_dictionary(rows, prior, convert):
    mixture = make_mixture(prior)
    weights = np.random.default_rng(2).uniform(size=len(rows))
    found = sums_of(convert(rows), weights, mixture, prior)
    score = weights @ mixture.log_likelihood(rows)
    np.testing.assert_allclose(found.score, score, rtol=1e-12)
    responsibilities = mixture.responsibilities(rows)
    for i, model in enumerate(mixture.models):
        w = weights * responsibilities[:, i]
        data = data_moments(rows, w, mean=model.mean)
        codes = code_moments(rows, w, model=model)
        for name in ("weight", "weighted_sum", "sum_squares"):
            value = getattr(found.data[i], name)
            np.testing.assert_allclose(value, getattr(data, name), rtol=1e-9)
        for name in ("cross", "code_sum", "objective_decrease", "statistics"):
            value = getattr(found.codes[i], name)
            scale = np.abs(getattr(codes, name)).max()
            np.testing.assert_allclose(
                value, getattr(codes, name), rtol=1e-9, atol=1e-9 * scale
            )


def test_sums_of_two_sets_of_rows_add_up(rows):
    mixture = make_mixture()
    whole = sums_of(rows, None, mixture)
    parts = sums_of(rows[:70], None, mixture) + sums_of(rows[70:], None, mixture)
    np.testing.assert_allclose(parts.score, whole.score, rtol=1e-12)
    np.testing.assert_allclose(parts.responsibility, whole.responsibility, rtol=1e-12)
    for a, b in zip(parts.codes, whole.codes, strict=True):
        np.testing.assert_allclose(a.cross, b.cross, atol=1e-10)


def test_only_relevant_likelihoods_are_computed(rows):
    mixture = make_mixture()
    rows = rows * 30
    all_scores, relevant = mixture.scores(rows), mixture.relevant_scores(rows)
    is_computed = np.isfinite(relevant)
    assert is_computed.mean() < 0.8
    np.testing.assert_allclose(relevant[is_computed], all_scores[is_computed])
    distance = all_scores.max(axis=1, keepdims=True) - all_scores
    assert distance[~is_computed].min() > 30 - 1e-9


@pytest.mark.parametrize("rate", [1e-3, 0.3, 1.0, 4.0, 50.0])
def test_the_bound_of_a_laplace_density_holds(rate):
    z = np.linspace(-80, 80, 2001)[:, None]
    rates = np.full(z.shape, rate)
    density = marginals.laplace_log_density(z.copy(), rates, Workspace())
    bound = marginals.laplace_log_density_bound(z.copy(), rates, Workspace())
    assert np.all(bound >= density - 1e-12)
    if rate <= 0.3:  # it is tight
        assert np.max(bound - density) < 0.25


@pytest.mark.parametrize("weight", [1e-3, 0.5, 0.99])
@pytest.mark.parametrize("slab_variance", [0.1, 10.0, 1e4])
def test_the_bound_of_a_spike_and_slab_density_holds(weight, slab_variance):
    prior = SIGNED["spike_slab"]
    z = np.linspace(-80, 80, 2001)[:, None]
    standardized, _ = prior.standardized_parameters(
        np.array([[weight], [slab_variance]]), 1.0
    )
    standardized = [np.broadcast_to(row, z.shape).copy() for row in standardized]
    density = prior.log_density(z.copy(), standardized, Workspace())
    bound = prior.log_density_bound(z.copy(), standardized, Workspace())
    assert np.all(bound >= density - 1e-12)
    assert np.max(bound - density) < 0.25


def test_missing_entries_are_imputed_by_each_dictionary(rows):
    mixture = make_mixture()
    incomplete = rows.copy()
    incomplete[::3, 2] = np.nan
    sums = sums_of(incomplete, None, mixture)
    n_missing = np.count_nonzero(np.isnan(incomplete))
    total = sum(data.missing_weight for data in sums.data)
    np.testing.assert_allclose(total, n_missing, rtol=1e-9)
    np.testing.assert_allclose(sums.responsibility.sum(), len(rows), rtol=1e-9)
    complete = np.flatnonzero(~np.isnan(incomplete).any(axis=1))
    np.testing.assert_allclose(
        sums_of(incomplete[complete], None, mixture).score,
        mixture.log_likelihood(rows[complete]).sum(),
    )


def make_shrinkage(rows):
    rng = np.random.default_rng(3)
    centers, scales = rng.normal(size=(3, 7)), rng.uniform(0.5, 2.0, size=3)
    return Shrinkage.of_data(rows, np.ones(len(rows)), centers, scales)


def test_pseudo_observations_have_the_shape_of_the_directions_of_rows(rows):
    shrinkage = make_shrinkage(rows)
    directions = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    shape = directions.T @ directions
    shape = shape * 7 / np.trace(shape) + ISOTROPIC_FRACTION * np.eye(7)
    shape /= 1 + ISOTROPIC_FRACTION
    for i in range(3):
        z = shrinkage.rows(i) - shrinkage.centers[i]
        found = z.T @ z / len(z)
        np.testing.assert_allclose(found, shape * shrinkage.scales[i] ** 2, atol=1e-12)
        np.testing.assert_allclose(z.sum(axis=0), 0.0, atol=1e-12)
    scaled = make_shrinkage(rows * 2.0**40)
    np.testing.assert_array_equal(scaled.offsets, shrinkage.offsets)
    isotropic = make_shrinkage(np.zeros((5, 7))).offsets
    np.testing.assert_allclose(isotropic.T @ isotropic / 14, np.eye(7), atol=1e-12)


@pytest.mark.parametrize("prior", ["laplace", "spike_slab"])
def test_pseudo_observations_are_rows_of_one_dictionary(rows, prior):
    mixture, shrinkage = make_mixture(prior), make_shrinkage(rows)
    sums = sums_of(rows, None, mixture, prior)
    found = shrinkage.added_to(sums, mixture, N_STATISTICS[prior])
    responsibilities, score = mixture.responsibilities(rows), sums.score
    assert found.weight == sums.weight
    for i, model in enumerate(mixture.models):
        z = shrinkage.rows(i)
        v = np.full(len(z), shrinkage.weight)
        all_rows, w = np.vstack([rows, z]), np.append(responsibilities[:, i], v)
        data = data_moments(all_rows, w, mean=model.mean)
        np.testing.assert_allclose(found.data[i].weighted_sum, data.weighted_sum)
        np.testing.assert_allclose(found.data[i].sum_squares, data.sum_squares)
        assert found.data[i].weight == pytest.approx(responsibilities[:, i].sum() + 7)
        codes = code_moments(all_rows, w, model=model)
        for name in ("cross", "code_sum", "statistics"):
            value, expected = getattr(found.codes[i], name), getattr(codes, name)
            np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-9)
        unit = shrinkage.scales[i]
        in_units = model.log_likelihood(z) + 7 * np.log(unit)
        score += v @ in_units
    np.testing.assert_allclose(found.score, score, rtol=1e-12)


def test_gaussian_classes_are_found():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 200)
    rows = rng.normal(size=(600, 4)) * 0.1 + np.eye(4)[labels]
    start = np.where(rng.random(600) < 0.3, rng.integers(0, 3, size=600), labels)
    rows -= rows.mean(axis=0)
    found = gaussian_responsibilities(rows, np.ones(600), start, 3)
    assert all(len(np.unique(found[labels == i].argmax(axis=1))) == 1 for i in range(3))


def test_an_empty_class_takes_half_of_the_largest():
    rows = np.random.default_rng(0).normal(size=(100, 3))
    start = np.eye(4)[np.repeat([0, 2], [70, 30])]
    found = partial(fill_classes, rows=rows, weights=np.ones(100))(start)
    masses = found.sum(axis=0)
    assert np.all(masses > 5)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    np.testing.assert_array_equal(fill_classes(start, rows, np.ones(100)), found)
