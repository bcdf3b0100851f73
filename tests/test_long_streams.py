"""Long streams of drifting data: constant memory, orthonormal atoms, no lag.

`SKSCN_STREAM=10000` in the environment makes that many calls of `partial_fit`.
"""

import os
import pickle
from copy import deepcopy

import numpy as np
import pytest
from common import orthonormality_error
from sklearn.base import clone

from skscn import (
    ConvSparseCoder,
    NonNegativeSparseCoder,
    OrthogonalSparseCoder,
    SparseCodingDetector,
    SparseCodingMixture,
)

N_CALLS = int(os.environ.get("SKSCN_STREAM", "80"))
N_ROWS, N_FEATURES, N_COMPONENTS = 20, 8, 4  # of a mini-batch
WINDOW = N_ROWS * N_CALLS // 10  # samples that a model is to be based on
DRIFT = 0.2  # radians and units of the mean, from the first to the last call
BASIS = np.linalg.qr(np.random.default_rng(9).normal(size=(N_FEATURES, N_FEATURES)))[0]

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:All codes of the training data are zero"),
]
auto = OrthogonalSparseCoder(N_COMPONENTS, alpha="auto")
STREAMS = {
    "laplace": OrthogonalSparseCoder(N_COMPONENTS, alpha=0.3),
    "exponential": NonNegativeSparseCoder(N_COMPONENTS, alpha=0.3),
    "likelihood": auto,
    "mixture": SparseCodingMixture(2, N_COMPONENTS, random_state=0),
    "detector": SparseCodingDetector(auto),
    "layer": ConvSparseCoder(N_COMPONENTS, kernel_size=3, random_state=0),
}


def rotation(angle):
    """Return an orthonormal matrix that rotates half of the axes into the others."""
    cos, sin = (f(angle) * np.eye(N_FEATURES // 2) for f in (np.cos, np.sin))
    return np.block([[cos, -sin], [sin, cos]])


def make_rows(rng, time, n_rows=N_ROWS):
    """Return rows of atoms and a mean that drift, at a time that is an angle."""
    atoms = (BASIS @ rotation(time))[:N_COMPONENTS]
    codes = rng.laplace(size=(n_rows, N_COMPONENTS)) * [3, 2.5, 2, 1.5]
    noise = 0.3 * rng.normal(size=(n_rows, N_FEATURES))
    return codes @ atoms + noise + time


def coders_of(estimator):
    """Return the coders whose atoms an estimator uses."""
    if isinstance(estimator, SparseCodingDetector):
        return [estimator.coder_]
    if isinstance(estimator, ConvSparseCoder):
        return [coder for _, coder in estimator._channel_groups]
    return [estimator]


def n_state_bytes(estimator):
    """Return the size of the state without the objectives, of which each call adds one.

    The parameters are the same in all calls.
    """
    copy = deepcopy(estimator)
    for each in {id(each): each for each in (copy, *coders_of(copy))}.values():
        vars(each).pop("objective_path_", None)
    return len(pickle.dumps(copy))


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("name", STREAMS)
def test_long_streams_keep_size_and_orthonormal_atoms_and_follow(name, dtype):
    rng = np.random.default_rng(0)
    estimator = clone(STREAMS[name])
    can_follow = hasattr(estimator, "forgetting")
    early, batches = 0, []
    for i in range(N_CALLS):
        X = make_rows(rng, DRIFT * i / N_CALLS).astype(dtype)
        batches = [*batches[1 - WINDOW // N_ROWS :], X]
        if can_follow:  # exponential weights: of a constant number of samples
            estimator.forgetting = i * N_ROWS / WINDOW
        if isinstance(estimator, ConvSparseCoder):
            X = np.multiply.outer(X, [1, 2, 1]).astype(dtype)
        estimator.partial_fit(X)
        if i == N_CALLS // 3:
            early = n_state_bytes(estimator)
    assert n_state_bytes(estimator) <= early + 100
    limit = 1e-10 if dtype == "f8" else 1e-5
    for coder in coders_of(estimator):
        for atoms in np.atleast_3d(coder.components_.T).T:
            assert atoms.dtype == dtype
            assert orthonormality_error(atoms.astype(float)) < limit
    if can_follow:
        fresh = clone(STREAMS[name]).fit(np.concatenate(batches))
        new = make_rows(rng, DRIFT, 1000).astype(dtype)
        found, expected = estimator.score(new), fresh.score(new)
        assert found > expected - 0.05 * abs(expected)
