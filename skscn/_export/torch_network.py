"""The torch module that `to_torch` returns."""

from itertools import chain

import torch
from torch import nn


class TorchNetwork(nn.Sequential):
    """A fitted model as torch modules, one after another; see `to_torch`.

    Parameters
    ----------
    layers : OrderedDict of str to Module
    model : estimator, default=None
        What was exported, for `from_torch`; a slice of the network has none.
    dtype : torch dtype, default=None
        Of results where there is no parameter to tell it; None leaves that of inputs.
    """

    def __init__(self, layers, model=None, dtype=None):
        super().__init__(layers)
        self.model, self.dtype = model, dtype

    def forward(self, x):
        """Return what the model returns for samples, of any dtype."""
        numbers = chain(self.parameters(), self.buffers())
        known = (v.dtype for v in numbers if v.is_floating_point())
        dtype = next(known, self.dtype or x.dtype)
        return super().forward(x.to(dtype))

    @torch.no_grad()
    def clamp_priors_(self):
        """Set negative priors λ to zero, in place: call it after every step.

        Returns
        -------
        self : TorchNetwork
            The network itself.
        """
        for module in self.modules():
            bias = getattr(module, "prior_bias", None)
            if bias is not None:
                bias.clamp_(max=0.0)
        return self
