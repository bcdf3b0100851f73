"""The workers of Ray give the same bits, where Ray is installed."""

import joblib
import numpy as np
import pytest
from sklearn.base import clone

from skscn import OrthogonalSparseCoder
from skscn._data.parallel import n_workers_of

ray = pytest.importorskip("ray")


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of Ray's own settings
def test_joblib_on_ray_gives_the_same_bits(rng, monkeypatch):
    from ray.util.joblib import register_ray

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)  # Ray sets it to 1
    X = rng.laplace(size=(9000, 4))
    coder = OrthogonalSparseCoder(2, alpha=0.5, max_iter=5, tol=1)
    one = clone(coder).fit(X)
    register_ray()
    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR")
    try:
        with joblib.parallel_config(backend="ray"):
            many = clone(coder).set_params(n_jobs=2).fit(X)
            codes = many.transform(X)
            tasks = (joblib.delayed(n_workers_of)(None) for _ in range(4))
            assert joblib.Parallel(2)(tasks) == [1] * 4  # processes do not multiply
    finally:
        ray.shutdown()
    np.testing.assert_array_equal(many.components_, one.components_)
    np.testing.assert_array_equal(codes, one.transform(X))
