"""Robust distances rotate with the data and ignore a minority of far rows."""

import numpy as np
import pytest
from common import random_orthonormal
from scipy import sparse

from skscn._detection.robust_distances import robust_distances


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_robust_distances_are_invariant_to_rotations_and_ignore_far_rows(
    seed, container
):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(400, 5)) * [0.2, 0.5, 1, 2, 4]
    z[:20] = [8.0, 0, 0, 0, 0]

    def distances(rows):
        return robust_distances(container(rows), None, np.zeros(5), n_jobs=None)

    found = distances(z)
    rotated = distances(z @ random_orthonormal(5, 5, seed))
    np.testing.assert_allclose(rotated, found, rtol=1e-8)
    assert found[:20].min() > np.quantile(found[20:], 0.99)


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e200])
def test_robust_distances_do_not_depend_on_scale(scale):
    z = np.random.default_rng(0).normal(size=(400, 5)) * [0.2, 0.5, 1, 2, 4]
    expected = robust_distances(z, None, np.zeros(5), n_jobs=None)
    found = robust_distances(scale * z, None, np.zeros(5), n_jobs=None)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
