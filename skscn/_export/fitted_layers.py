"""Fitted steps as plain records of arrays: all that another library has to compute."""

from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from skscn._images.layers.patches import Geometry
from skscn._images.layers.pooling_axes import LinearAxis, WindowAxis


@dataclass(frozen=True)
class Code:
    """How projections u become codes.

    Parameters
    ----------
    prior : {"laplace", "exponential", "spike_slab"}
    one_sided : bool
    threshold : ndarray of shape (n_components,)
        λ.
    split : bool, default=False
        Whether the codes of u are followed by those of −u, group by group.
    shrinkage : ndarray of shape (n_components,) or None, default=None
        What codes beyond λ are multiplied by.
    noise : float or None, default=None
        σ² where the code is the posterior mean; None stands for the most probable code.
    kept, log_odds : ndarray of shape (n_components,) or None, default=None
        Of a slab whose posterior mean is asked for: τ² / (τ² + σ²), and the log of the
        odds of slab to spike at u = 0.
    """

    prior: str
    one_sided: bool
    threshold: np.ndarray
    split: bool = False
    shrinkage: np.ndarray | None = None
    noise: float | None = None
    kept: np.ndarray | None = None
    log_odds: np.ndarray | None = None

    @property
    def is_mean(self):
        """Whether the code is the mean of the posterior."""
        return self.noise is not None


@dataclass(frozen=True)
class Dense:
    """The code of rows: projections (x − mean) Dᵀ, and their code."""

    mean: np.ndarray
    components: np.ndarray
    code: Code


@dataclass(frozen=True)
class Conv:
    """The code of every patch of an image.

    Parameters
    ----------
    filters : ndarray of shape (n_groups, n_components, *patch_shape)
    shift : ndarray of shape (n_groups, n_components)
        Added to the products of patches with filters.
    code : Code
    geometry : Geometry
    contrast : tuple of float or None
        (eps, centre): products are divided by √(variance + eps) of their patch; the
        variance is computed about the centre.
    """

    filters: np.ndarray
    shift: np.ndarray
    code: Code
    geometry: Geometry
    contrast: tuple | None


@dataclass(frozen=True)
class Pool:
    """A reduction of rows and of columns, and the power of what it gives."""

    rows: LinearAxis | WindowAxis
    columns: LinearAxis | WindowAxis
    power: float

    @property
    def is_max(self):
        """Whether windows are reduced to their maxima."""
        return isinstance(self.rows, WindowAxis) and self.rows.reduce is np.maximum

    @property
    def windows(self):
        """Sizes and steps of windows that are all alike, as two pairs; else None."""
        regular = [_regular(axis) for axis in (self.rows, self.columns)]
        return tuple(zip(*regular, strict=True)) if all(regular) else None


@dataclass(frozen=True)
class Linear:
    """Products with weights, and numbers added to them.

    Parameters
    ----------
    coef : ndarray of shape (n_outputs, n_features)
    intercept : ndarray of shape (n_outputs,)
    """

    coef: np.ndarray
    intercept: np.ndarray


def read_coder(coder):
    """Return the record of a fitted coder of rows."""
    prior = coder._prior_object
    names = {"prior": coder._fitted_prior, "one_sided": prior.one_sided}
    found = coder._encoding_model(np.float64).encoder
    if coder.inference == "map":
        code = Code(**names, threshold=coder.alpha_, shrinkage=found.shrinkage)
    elif coder._fitted_prior == "spike_slab":
        weight, slab = found.parameters
        kept = slab / (slab + found.noise_variance)
        code = Code(
            **names,
            threshold=coder.alpha_,
            noise=found.noise_variance,
            kept=kept,
            log_odds=logit(weight)
            + np.log(found.noise_variance / (found.noise_variance + slab)) / 2,
        )
    else:
        # The rate, not alpha_: they differ where a prior of no threshold is floored.
        rate = found.parameters[0]
        code = Code(
            **names, threshold=found.noise_variance * rate, noise=found.noise_variance
        )
    return Dense(coder.mean_, coder.components_, code)


def read_conv(layer):
    """Return the record of a fitted convolution, from its public attributes."""
    n_groups, n_components = len(layer.mean_), len(layer.alpha_)
    shape = (n_groups, 1 + layer.split_sign, n_components)
    filters = layer.filters_.reshape(*shape, *layer.filters_.shape[1:])[:, 0]
    bias = layer.bias_.astype(np.float64).reshape(shape)
    return Conv(
        filters=filters,
        shift=(bias + layer.alpha_)[:, 0],
        code=Code(
            prior=layer.prior,
            one_sided=True,
            threshold=layer.alpha_,
            split=layer.split_sign,
        ),
        geometry=layer._geometry(layer.image_shape_),
        contrast=(layer.eps_, layer._centre) if layer.eps_ else None,
    )


def read_pool(layer):
    """Return the record of a pool."""
    rows, columns = layer._axes(layer.image_shape_)
    return Pool(rows, columns, layer.power)


def read_linear(model):
    """Return the record of a linear classifier or regressor."""
    coef = np.atleast_2d(model.coef_)
    intercept = np.broadcast_to(np.asarray(model.intercept_), (len(coef),))
    return Linear(coef, intercept)


def read_link(model):
    """Return how scores become probabilities, or None where there are none.

    Returns
    -------
    link : {"softmax", "sigmoid", "one_vs_rest"} or None
    """
    if not hasattr(model, "predict_proba"):
        return None
    if len(model.classes_) == 2:
        return "sigmoid"
    # What scikit-learn before 1.8 did for more than two classes.
    ovr = getattr(model, "multi_class", "") == "ovr"
    return "one_vs_rest" if ovr or model.solver == "liblinear" else "softmax"


def _regular(axis):
    """Return (size, step) of windows that a stock pooling layer reaches, or None."""
    if not isinstance(axis, WindowAxis):
        return None
    starts, ends = np.transpose(axis.windows)
    size, step = int(ends[0] - starts[0]), int(starts[1]) if len(starts) > 1 else 1
    if len(starts) == 1:
        step = axis.n_in
    alike = np.array_equal(starts, step * np.arange(len(starts)))
    alike &= np.array_equal(ends, starts + size)
    return (
        (size, step)
        if alike and (axis.n_in - size) // step + 1 == len(starts)
        else None
    )
