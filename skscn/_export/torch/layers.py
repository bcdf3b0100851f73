"""Torch modules of layers that torch has not: patches of known contrast, pools.

Maps are (n_images, n_maps, height, width) here, as torch has them. Whatever is divided
by or raised to a power is safe to differentiate where it is zero.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from skscn._export.torch.codes import SpikeSlabMean, along


class Center(nn.Module):
    """x − mean; the mean is not trained."""

    mean: Tensor

    def __init__(self, mean):
        super().__init__()
        self.register_buffer("mean", mean)

    def forward(self, x):
        """Return x − mean."""
        return x - self.mean

    def extra_repr(self):
        """Return what is printed."""
        return f"{len(self.mean)}"


class Standardize(Center):
    """(x − mean) / scale; neither is trained."""

    def __init__(self, mean, scale):
        super().__init__(mean)
        self.register_buffer("scale", scale)

    def forward(self, x):
        """Return (x − mean) / scale."""
        return (x - self.mean) / self.scale


class Normalize(nn.Module):
    """Rows divided by their norm."""

    def __init__(self, order):
        super().__init__()
        self.order = order

    def forward(self, x):
        """Return x / ‖x‖, zero for zero."""
        zero = (x == 0).all(dim=1, keepdim=True)
        norms = torch.linalg.vector_norm(
            torch.where(zero, torch.ones_like(x), x), self.order, dim=1, keepdim=True
        )
        return x / norms

    def extra_repr(self):
        """Return what is printed."""
        return f"order={self.order}"


class PatchProducts(nn.Conv2d):
    """Products of patches with filters, by their contrast, plus the `bias`.

    Parameters
    ----------
    filters : Tensor of shape (n_groups · n_components, channels, height, width)
    shift : Tensor of shape (n_groups · n_components,)
    stride : tuple of int
    n_groups : int
    contrast : tuple of float or None
        (eps, centre).
    """

    def __init__(self, filters, shift, *, stride, n_groups, contrast):
        super().__init__(
            filters.shape[1] * n_groups,
            len(filters),
            tuple(filters.shape[2:]),
            stride,
            groups=n_groups,
            device="meta",  # no numbers are drawn, the global state of torch stays
        )
        self.weight = nn.Parameter(filters)
        self.bias = nn.Parameter(shift)
        self.contrast = contrast

    def forward(self, x):
        """Return the products of every patch."""
        return self.products(x, self.weight, self.bias)

    def products(self, x, filters, shift):
        """Return the products with filters and a shift."""
        if self.contrast is None:
            return functional.conv2d(x, filters, shift, self.stride, groups=self.groups)
        products = functional.conv2d(x, filters, None, self.stride, groups=self.groups)
        scale = self._inverse_contrast(x).unsqueeze(2)
        products = products.unflatten(1, (self.groups, -1)) * scale
        products = products.flatten(1, 2)
        return products + along(shift, products)

    def _inverse_contrast(self, x):
        """Return 1 / √(variance + eps) of shape (n, n_groups, n_down, n_right)."""
        eps, centre = self.contrast
        centred = (x - centre).unflatten(1, (self.groups, -1))
        mean, square = (
            functional.avg_pool2d(part.mean(dim=2), self.kernel_size, self.stride)
            for part in (centred, centred * centred)
        )
        return torch.rsqrt(torch.clamp(square - mean * mean, min=0.0) + eps)

    def extra_repr(self):
        """Return what is printed."""
        contrast = self.contrast and f", contrast={self.contrast[0]:.3g}"
        return f"{super().extra_repr()}{contrast or ''}"


class Atoms(nn.Module):
    """Matrices whose rows torch keeps orthonormal.

    Parameters
    ----------
    weight : Tensor of shape (n_groups, n_components, n_components)
    """

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)
        keep_orthonormal(self)

    def forward(self):
        """Return the matrices."""
        return self.weight


class WhitenedProducts(PatchProducts):
    """The same with filters D W: atoms D that are trained, and a whitening that is not.

    Parameters
    ----------
    atoms : Tensor of shape (n_groups, n_components, n_components)
        D, of which torch keeps the rows orthonormal.
    forward : Tensor of shape (n_groups, n_components, n_features)
        W, rid of the mean of patches.
    origin : Tensor of shape (n_groups, n_components)
        W μ, which is subtracted.
    filters, shift, **geometry
        As of `PatchProducts`.
    """

    whitening: Tensor
    origin: Tensor

    def __init__(self, filters, shift, *, atoms, forward, origin, **geometry):
        super().__init__(filters, shift, **geometry)
        shape = self.weight.shape
        del self.weight, self.bias
        self.filter_shape = shape
        self.register_buffer("whitening", forward)
        self.register_buffer("origin", origin)
        self.atoms = Atoms(atoms)

    def forward(self, x):
        """Return the products of every patch."""
        atoms = self.atoms()
        filters = (atoms @ self.whitening).reshape(-1, *self.filter_shape[1:])
        shift = -(atoms @ self.origin[:, :, None]).flatten()
        return self.products(x, filters, shift)

    def extra_repr(self):
        """Return what is printed."""
        return f"{self.in_channels}, {self.out_channels}, orthonormal atoms"


class AxisPool(nn.Module):
    """Pooling by weighted sums, or over windows of several sizes.

    Parameters
    ----------
    rows, columns : Tensor of shape (n_out, n_in)
        Weights of sums; for maxima, indices (n_out, size) of what is in every window.
    is_max : bool
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, rows, columns, is_max):
        super().__init__()
        self.register_buffer("rows", rows)
        self.register_buffer("columns", columns)
        self.is_max = is_max

    def forward(self, x):
        """Return the pooled maps."""
        if self.is_max:
            x = x[:, :, :, self.columns].amax(dim=-1)
            return x[:, :, self.rows].amax(dim=3)
        return self.rows @ (x @ self.columns.T)

    def extra_repr(self):
        """Return what is printed."""
        mode = "max" if self.is_max else "sum"
        return f"{len(self.rows)} x {len(self.columns)} cells, {mode}"


class SignedPower(nn.Module):
    """sign(v) |v|^power; zero, and flat, where that is below rounding."""

    def __init__(self, power):
        super().__init__()
        self.power = power

    def forward(self, x):
        """Return the powers."""
        size = x.abs()
        if self.power < 1:
            least = torch.finfo(x.dtype).eps ** (1 / self.power)
            inside = ~(size <= least)  # with NaN, which stays
            size = torch.where(inside, size, torch.ones_like(size))
            powers = size.sqrt() if self.power == 0.5 else size**self.power
            return torch.where(inside, torch.sign(x) * powers, torch.zeros_like(x))
        return torch.sign(x) * size**self.power

    def extra_repr(self):
        """Return what is printed."""
        return f"{self.power:g}"


class Images(nn.Module):
    """A layer of maps, for images or rows as scikit-learn has them.

    Images are (n, height, width, channels) or (n, height, width), rows in that order.

    Parameters
    ----------
    layer : Module
    image_shape : tuple of int
        (height, width, channels).
    flatten : bool
        Whether rows are returned for images too.
    """

    def __init__(self, layer, image_shape, flatten):
        super().__init__()
        self.layer, self.image_shape, self.flatten = layer, image_shape, flatten

    def forward(self, x):
        """Return maps of shape (n, height, width, n_maps), or rows."""
        rows = x.ndim == 2 or self.flatten
        if not is_traced():
            self._check(tuple(x.shape[1:]))
        x = x.reshape(x.shape[0], *self.image_shape).permute(0, 3, 1, 2)
        return as_rows(self.layer(x), channels_last=not rows)

    def _check(self, shape):
        """Complain of samples of another shape; pixels in another order are noise."""
        height, width, channels = self.image_shape
        known = [(height * width * channels,), (height, width, channels)]
        if channels == 1:
            known += [(height, width), (1, height, width)]
        if shape not in known:
            taken = ", ".join(_samples(one) for one in known[:3])
            raise ValueError(
                f"The network takes rows or images with their channels last, {taken}, "
                f"not {_samples(shape)}. Of images with their channels first take "
                "x.permute(0, 2, 3, 1)."
            )

    def extra_repr(self):
        """Return what is printed."""
        return f"image_shape={self.image_shape}"


class Branches(nn.ModuleDict):
    """Layers that read the same, joined along the maps, or as rows of several sizes."""

    def forward(self, x):
        """Return the outputs side by side."""
        return side_by_side([branch(x) for branch in self.values()])


class Collected(nn.Sequential):
    """Layers one after another, of which several are returned as rows, side by side.

    Parameters
    ----------
    layers : OrderedDict of str to Module
    collected : list of int
    """

    def __init__(self, layers, collected=()):
        super().__init__(layers)
        self.collected = collected

    def forward(self, x):
        """Return what the collected layers return."""
        outputs = []
        for i, layer in enumerate(self):
            x = layer(x)
            if i in self.collected:
                outputs.append(as_rows(x))
        return torch.cat(outputs, dim=1)


class Coder(nn.Sequential):
    """Projections and their codes; `prior_bias` is the trained −λ."""

    @property
    def prior_bias(self):
        """Minus the priors, or None where the code has other numbers."""
        parts = dict(self.named_children())
        code = parts["code"]
        if isinstance(code, nn.ReLU):
            return parts["project"].bias
        return None if isinstance(code, SpikeSlabMean) else code.bias


class Head(nn.Linear):
    """A linear classifier or regressor; of two classes the score of the second."""

    def forward(self, x):
        """Return the scores, as `decision_function` does."""
        scores = super().forward(x)
        return scores.squeeze(1) if self.out_features == 1 else scores


class Probabilities(nn.Module):
    """Scores as probabilities of all classes.

    Parameters
    ----------
    link : {"softmax", "sigmoid", "one_vs_rest"}
    """

    def __init__(self, link):
        super().__init__()
        self.link = link

    def forward(self, x):
        """Return what `predict_proba` does."""
        if self.link == "softmax":
            return torch.softmax(x, dim=1)
        if self.link == "sigmoid":
            return torch.stack([torch.sigmoid(-x), torch.sigmoid(x)], dim=1)
        shares = torch.sigmoid(x)
        return shares / shares.sum(dim=1, keepdim=True)

    def extra_repr(self):
        """Return what is printed."""
        return self.link


def is_traced():
    """Return whether torch records a graph, in which shapes cannot be compared."""
    return torch.jit.is_tracing()  # type: ignore[attr-defined]


def keep_orthonormal(module):
    """Let torch keep the rows of weights orthonormal.

    What it gives then, other than the weights by rounding, stays as `exported`: by it
    `from_torch` knows that nothing was trained.
    """
    nn.utils.parametrizations.orthogonal(module)
    module.exported = module.weight.detach().cpu().numpy().copy()


def _samples(shape):
    """Return the shape of samples, as it is printed."""
    return f"({', '.join(map(str, ('n', *shape)))})"


def as_rows(x, channels_last=False):
    """Return maps as rows in the order of scikit-learn, or with their channels last."""
    if x.ndim == 4:
        x = x.permute(0, 2, 3, 1)
    return x if channels_last else x.flatten(1)


def side_by_side(outputs):
    """Return maps of one size joined along the channels, others as rows."""
    if len({(x.ndim, x.shape[2:]) for x in outputs}) > 1:
        outputs = [as_rows(x) for x in outputs]
    return torch.cat(outputs, dim=1)
