"""Coders of every kind, and an error measure, for tests of exports."""

import numpy as np

from skscn import NonNegativeSparseCoder, OrthogonalSparseCoder

N_SAMPLES = 1000
CODERS = (
    [
        Coder(12, prior=prior, alpha=alpha, inference=inference, max_iter=10)
        for Coder, priors in (
            (OrthogonalSparseCoder, ("laplace", "spike_slab")),
            (NonNegativeSparseCoder, ("exponential", "spike_slab")),
        )
        for prior in priors
        for alpha in (2.0, "auto")
        for inference in ("map", "mean")
    ]
    + [
        OrthogonalSparseCoder(12, max_iter=10, **options)
        for options in (
            {"n_nonzero_coefs": 3},
            {
                "prior": "spike_slab",
                "alpha": np.linspace(0, 5, 12),
                "n_nonzero_coefs": 4,
            },
            {"alpha": 2.0, "split_sign": True},
            {"alpha": "auto", "inference": "mean", "split_sign": True},
            {"alpha": 1.0, "n_nonzero_coefs": 4, "split_sign": True},
        )
    ]
    + [NonNegativeSparseCoder(12, n_nonzero_coefs=3, max_iter=10)]
)


def relative_error(found, expected):
    """Return the largest difference, divided by the largest expected value if > 1."""
    assert found.shape == expected.shape
    return np.abs(found - expected).max() / max(1.0, np.abs(expected).max())
