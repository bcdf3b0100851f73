"""The priors of coefficients by name."""

from skscn._core.rate_priors import Exponential, Laplace
from skscn._core.spike_slab import SpikeSlab

SIGNED = {"laplace": Laplace(), "spike_slab": SpikeSlab(one_sided=False)}
ONE_SIDED = {"exponential": Exponential(), "spike_slab": SpikeSlab(one_sided=True)}
