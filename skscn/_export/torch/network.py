"""The torch module that `to_torch` returns."""

from itertools import chain

import torch
from torch import nn

from skscn._export.torch.layers import Head, Images, Probabilities, is_traced


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
        self.exported = parts(self)
        reads_images = any(isinstance(part, Images) for part in self.modules())
        known = getattr(model, "n_features_in_", None)
        self.n_features = None if reads_images else known

    def forward(self, x):
        """Return what the model returns for samples, of any dtype."""
        if not hasattr(x, "to"):
            raise TypeError(
                f"The network takes tensors, not {type(x).__name__}: give "
                "torch.from_numpy(X), of a table torch.from_numpy(X.to_numpy())."
            )
        if self.n_features and isinstance(x, torch.Tensor) and not is_traced():
            self._check(x)
        numbers = chain(self.parameters(), self.buffers())
        known = (v.dtype for v in numbers if v.is_floating_point())
        dtype = next(known, self.dtype or x.dtype)
        return super().forward(x.to(dtype))

    def _check(self, x):
        """Complain of rows of another width, which might be broadcast."""
        if x.ndim != 2 or x.shape[1] != self.n_features:
            raise ValueError(
                f"The network takes rows of {self.n_features} features, (n, "
                f"{self.n_features}), not a tensor of shape {tuple(x.shape)}."
            )

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


def parts(network, names=()):
    """Return what a network is made of: kinds of modules and shapes of weights.

    Probabilities are no part, since they have no weights, nor is what torch adds to
    constrain weights. Names of steps may be given, for torch replaces them by numbers
    when it deletes one.
    """
    steps = [
        (name, step)
        for name, step in network._modules.items()
        if not isinstance(step, Probabilities)
    ]
    found = {}
    for path, module in (
        named
        for i, (own, step) in enumerate(steps)
        for named in step.named_modules(
            prefix=names[i] if i < len(names) else own, remove_duplicate=False
        )
    ):
        if "parametrizations" in path.split("."):
            continue
        kind = type(module).__name__.removeprefix("Parametrized")
        weights = ((name, getattr(module, name, None)) for name in ("weight", "bias"))
        shapes = {
            name: tuple(weight.shape)
            for name, weight in weights
            if isinstance(weight, torch.Tensor)
        }
        found[path] = "Linear" if isinstance(module, Head) else kind, shapes
    return found
