"""What tests of exports share: coders of every kind, and a distance."""

import numpy as np

from skscn import NonNegativeSparseCoder, OrthogonalSparseCoder

N_SAMPLES = 1000
CODERS = [
    Coder(12, prior=prior, alpha=alpha, inference=inference, max_iter=10)
    for Coder, priors in (
        (OrthogonalSparseCoder, ("laplace", "spike_slab")),
        (NonNegativeSparseCoder, ("exponential", "spike_slab")),
    )
    for prior in priors
    for alpha in (2.0, "auto")
    for inference in ("map", "mean")
]


def off(found, wanted):
    """Return the largest difference, by the largest number."""
    assert found.shape == wanted.shape
    return np.abs(found - wanted).max() / max(1.0, np.abs(wanted).max())
