"""The torch module that `to_torch` returns, and the check of its structure."""

from itertools import chain

import torch
from torch import nn

from skscn._export.torch.image_layers import ChannelsLast, is_traced
from skscn._export.torch.linear import Probabilities

WEIGHT_NAMES = ("weight", "bias", "atoms")


class TorchNetwork(nn.Sequential):
    """A fitted model as torch modules, one after another; see `to_torch`.

    Parameters
    ----------
    layers : OrderedDict of str to Module
    model : estimator, default=None
        The exported model, for `from_torch`. A slice of a network has none.
    dtype : torch dtype, default=None
        The dtype of results of modules without weights. None keeps that of inputs.
    """

    def __init__(self, layers, model=None, dtype=None):
        super().__init__(layers)
        self.model, self.dtype = model, dtype
        self.exported_structure = module_structure(self)
        has_images = any(isinstance(module, ChannelsLast) for module in self.modules())
        n_features = getattr(model, "n_features_in_", None)
        self.n_features = None if has_images else n_features

    def forward(self, x):
        """Return what the model returns for samples, of any dtype."""
        if not hasattr(x, "to"):
            raise TypeError(
                f"The network takes tensors, not {type(x).__name__}: use "
                "torch.from_numpy(X), for a table torch.from_numpy(X.to_numpy())."
            )
        if self.n_features and isinstance(x, torch.Tensor) and not is_traced():
            self._check_rows(x)
        weights = chain(self.parameters(), self.buffers())
        dtypes = (values.dtype for values in weights if values.is_floating_point())
        dtype = next(dtypes, self.dtype or x.dtype)
        return super().forward(x.to(dtype))

    def _check_rows(self, x):
        """Raise an error for rows of another width, which torch might broadcast."""
        if x.ndim != 2 or x.shape[1] != self.n_features:
            raise ValueError(
                f"The network takes rows of {self.n_features} features, (n, "
                f"{self.n_features}), not a tensor of shape {tuple(x.shape)}."
            )

    @torch.no_grad()
    def clamp_priors_(self):
        """Set negative priors λ to zero, in place. Call it after every step.

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


def module_structure(network, step_names=()):
    """Return the class and the shapes of the weights of every module, by its path.

    Probabilities are left out, since they have no weights, and so are the modules that
    torch adds to constrain weights.

    Parameters
    ----------
    network : TorchNetwork
    step_names : sequence of str, default=()
        Names of the first steps. torch replaces names by numbers when a step is
        deleted.
    """
    steps = [
        (name, step)
        for name, step in network._modules.items()
        if not isinstance(step, Probabilities)
    ]
    structure = {}
    for i, (name, step) in enumerate(steps):
        prefix = step_names[i] if i < len(step_names) else name
        for path, module in step.named_modules(prefix=prefix, remove_duplicate=False):
            if "parametrizations" in path.split("."):
                continue
            weights = {key: getattr(module, key, None) for key in WEIGHT_NAMES}
            shapes = {
                key: tuple(weight.shape)
                for key, weight in weights.items()
                if isinstance(weight, torch.Tensor)
            }
            structure[path] = type(module).__name__.removeprefix("Parametrized"), shapes
    return structure


def check_structure(network):
    """Raise an error if modules of a network were added, removed or replaced."""
    exported = network.exported_structure
    step_names = [path for path in exported if "." not in path]
    found = module_structure(network, step_names)
    for path in [*exported, *found]:
        if exported.get(path) != found.get(path):
            before, now = (_describe(each.get(path)) for each in (exported, found))
            raise ValueError(
                f"Step {path!r} was {before} when to_torch made the network and is "
                f"{now} now. from_torch writes weights into the exported model and "
                "takes no other layers: put those of your own into a Sequential "
                "around the network."
            )


def _describe(module):
    """Return the class and the shapes of the weights of a module as text."""
    if module is None:
        return "nothing"
    kind, shapes = module
    weights = " and ".join(f"{name} {shape}" for name, shape in shapes.items())
    return f"{kind} of {weights}" if weights else kind
