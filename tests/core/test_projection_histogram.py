"""Histograms of projections: counts in logarithmic bins, of every scale."""

import numpy as np
import pytest

from skscn._core.encoders import IDENTITY
from skscn._core.priors import ONE_SIDED, SIGNED
from skscn._core.projection_histogram import (
    BINS_PER_OCTAVE,
    BINS_PER_OCTAVE_SHARED,
    OCTAVES_ABOVE,
    OCTAVES_BELOW,
    HistogramBins,
    ProjectionHistogram,
    projection_histogram,
)
from skscn._core.sparse_model import SparseModel

PRIORS = [SIGNED["laplace"], ONE_SIDED["exponential"], SIGNED["spike_slab"]]


def histogram_of(rows, bins, weights=None):
    model = SparseModel(np.eye(3, 4), None, IDENTITY)
    return projection_histogram(rows, weights, model=model, bins=bins)


def make_rows(rng):
    """Return rows whose projections are within all bins, at both of their ends too."""
    rows = rng.normal(size=(200, 4)) * np.exp(rng.normal(size=(200, 4)) * 3)
    rows[:40, :3] *= 2.0 ** -(OCTAVES_BELOW + 4)
    rows[40:80, :3] *= 2.0 ** (OCTAVES_ABOVE + 4)
    return rows


@pytest.mark.parametrize("prior", PRIORS, ids=["shared", "one-sided", "own"])
@pytest.mark.parametrize("scale", [0.25, 0.9, 1.0, 3.0, 64.0])
def test_rebinned_counts_are_those_of_the_new_bins(prior, scale, rng):
    """Where no projection was beyond the first bins, which do not remember it."""
    bins = HistogramBins.for_prior(prior, np.ones(3), 1.0)
    new_bins = HistogramBins.for_prior(prior, np.ones(3), scale)
    rows = rng.normal(size=(300, 4))
    rebinned = histogram_of(rows, bins).rebinned(bins, new_bins)
    np.testing.assert_array_equal(rebinned.counts, histogram_of(rows, new_bins).counts)


@pytest.mark.parametrize("prior", PRIORS, ids=["shared", "one-sided", "own"])
@pytest.mark.parametrize("scale", [2.0**-9, 1.0, 2.0**9])
def test_rebinning_keeps_all_counts_and_both_signs(prior, scale, rng):
    bins = HistogramBins.for_prior(prior, np.ones(3), 1.0)
    new_bins = HistogramBins.for_prior(prior, np.ones(3), scale)
    before = histogram_of(make_rows(rng), bins)
    after = before.rebinned(bins, new_bins)
    shape = (len(before.counts), 1 + prior.one_sided, -1)
    np.testing.assert_array_equal(
        after.counts.reshape(shape).sum(axis=2),
        before.counts.reshape(shape).sum(axis=2),
    )
    edge = {True: 0, False: -1}[scale > 1.0]
    if scale != 1.0:  # what is beyond the new range is in its last bin
        assert np.all(after.counts.reshape(shape)[:, 0, edge] > 0)


def test_no_data_add_nothing(rng):
    bins = HistogramBins.for_prior(SIGNED["laplace"], np.arange(3.0), 1.0)
    histogram = histogram_of(rng.normal(size=(50, 4)), bins)
    total = ProjectionHistogram.zero(bins) + histogram
    np.testing.assert_array_equal(total.counts, histogram.counts)
    assert total.weight == histogram.weight == 50
    assert total.residual_sum_squares == histogram.residual_sum_squares > 0


def test_histograms_that_coefficients_share_are_finer():
    """They are one, so that more bins take the time of many histograms."""
    assert BINS_PER_OCTAVE_SHARED > BINS_PER_OCTAVE
    for thresholds, shape in (
        (np.ones(5), (1, BINS_PER_OCTAVE_SHARED)),
        (np.arange(5.0), (5, BINS_PER_OCTAVE)),
    ):
        bins = HistogramBins.for_prior(SIGNED["laplace"], thresholds, 1.0)
        n_histograms, per_octave = shape
        assert bins.shape == (
            n_histograms,
            per_octave * (OCTAVES_BELOW + OCTAVES_ABOVE),
        )
        ratios = bins.centers[per_octave:] / bins.centers[:-per_octave]
        np.testing.assert_allclose(ratios, 2.0)
