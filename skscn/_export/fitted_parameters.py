"""The parameters of fitted steps as plain arrays, in the layout of torch and ONNX."""

from dataclasses import dataclass

import numpy as np
from scipy.special import logit
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler

from skscn._images.layers.pooling import LinearPooling1D, WindowPooling1D


@dataclass(frozen=True)
class EncoderParameters:
    """The map from projections u to codes, which `encode` evaluates.

    Parameters
    ----------
    prior : {"laplace", "exponential", "spike_slab"}
    one_sided : bool
    bias : ndarray of shape (n_components,)
        −λ, minus the threshold. For posterior means under a spike-and-slab prior: the
        log odds of slab to spike at u = 0.
    wiener_gain : ndarray of shape (n_components,) or None, default=None
        τ² / (τ² + σ²) for a slab of variance τ². None stands for one.
    sigma : float or None, default=None
        Standard deviation of the noise if the codes are posterior means. None stands
        for MAP codes.
    n_nonzero : int or None, default=None
        The largest number of non-zero coefficients of a row. None is no limit.
    split_sign : bool, default=False
        Whether the positive parts of the codes of a row are followed by the negative
        ones.
    """

    prior: str
    one_sided: bool
    bias: np.ndarray
    wiener_gain: np.ndarray | None = None
    sigma: float | None = None
    n_nonzero: int | None = None
    split_sign: bool = False


@dataclass(frozen=True)
class ConvolutionParameters:
    """A convolution, its contrast normalization and its encoder.

    Parameters
    ----------
    weight : ndarray of shape (n_groups * n_components, n_channels, height, width)
    bias : ndarray of shape (n_groups * n_components,)
        Added to the products of patches with filters.
    n_groups : int
    stride : tuple of int
    padding : tuple of tuple of int
        Number of edge pixels repeated ((top, bottom), (left, right)).
    padded_shape, grid_shape : tuple of int
        Height and width of padded images, and number of patches down and to the right.
    contrast_eps : float or None
        Products are divided by √(variance + eps) of their patch, unless it is None.
    encoder : EncoderParameters
    split_sign : bool
        Whether the projections −u of each group follow its projections u.
    """

    weight: np.ndarray
    bias: np.ndarray
    n_groups: int
    stride: tuple
    padding: tuple
    padded_shape: tuple
    grid_shape: tuple
    contrast_eps: float | None
    encoder: EncoderParameters
    split_sign: bool


def last_step(model):
    """Return the last step of a Pipeline, of a Pipeline in a Pipeline too."""
    while isinstance(model, Pipeline):
        model = model.steps[-1][1]
    return model


def encoder_parameters(coder):
    """Return the parameters of the encoder of a fitted coder of rows."""
    split_sign = coder._splits_signs
    encoder = coder._encoding_model(np.float64).encoder
    prior, one_sided = coder._fitted_prior, coder._prior_object.one_sided
    if coder.inference == "map":
        return EncoderParameters(
            prior,
            one_sided,
            -coder.alpha_,
            encoder.shrinkage,
            n_nonzero=encoder.n_nonzero,
            split_sign=split_sign,
        )
    sigma = float(np.sqrt(encoder.noise_variance))
    if prior == "spike_slab":
        slab_probability, slab_variance = encoder.parameters
        total_variance = slab_variance + encoder.noise_variance
        log_odds = (
            logit(slab_probability)
            + np.log(encoder.noise_variance / total_variance) / 2
        )
        wiener_gain = slab_variance / total_variance
        return EncoderParameters(
            prior, one_sided, log_odds, wiener_gain, sigma, split_sign=split_sign
        )
    # λ = σ² β by the rate, not alpha_: alpha_ may be zero, the rate is positive.
    bias = -encoder.noise_variance * encoder.parameters[0]
    return EncoderParameters(prior, one_sided, bias, sigma=sigma, split_sign=split_sign)


def convolution_parameters(layer):
    """Return the parameters of a fitted ConvSparseCoder."""
    fitted, settings = layer._fitted, layer._fitted.settings
    weight = np.moveaxis(fitted.filters[:, 0], -1, 2)
    return ConvolutionParameters(
        weight=weight.reshape(-1, *weight.shape[2:]),
        bias=fitted.projection_bias.ravel(),
        n_groups=len(fitted.filters),
        stride=settings.grid.stride,
        padding=settings.grid.padding,
        padded_shape=settings.grid.padded_shape[:2],
        grid_shape=settings.grid.grid_shape,
        contrast_eps=settings.eps or None,
        encoder=EncoderParameters(
            settings.prior, one_sided=True, bias=-fitted.threshold
        ),
        split_sign=settings.split_sign,
    )


@dataclass(frozen=True)
class PoolingParameters:
    """How a pool reduces rows and columns.

    Parameters
    ----------
    rows, columns : LinearPooling1D or WindowPooling1D
    windows : tuple of tuple of int or None
        (sizes, strides) of equal windows at equal distances; None for other windows
        and for weighted sums.
    is_max, is_sum : bool
        Whether maxima are taken, and whether the sums over windows are not divided.
    power : float
        Power of the pooled values.
    """

    rows: LinearPooling1D | WindowPooling1D
    columns: LinearPooling1D | WindowPooling1D
    windows: tuple | None
    is_max: bool
    is_sum: bool
    power: float


def pooling_parameters(layer):
    """Return the parameters of a fitted SpatialPool."""
    pooling = layer._fitted
    axes = pooling.rows, pooling.columns
    windows = [_window_and_stride(axis) for axis in axes]
    return PoolingParameters(
        *axes,
        windows=tuple(zip(*windows, strict=True)) if all(windows) else None,
        is_max=getattr(pooling.rows, "is_max", False),
        is_sum=all(getattr(axis, "scale", 1.0) == 1.0 for axis in axes),
        power=pooling.power,
    )


def linear_parameters(model):
    """Return the weights of a linear classifier or regressor.

    Returns
    -------
    coef : ndarray of shape (n_outputs, n_features)
    intercept : ndarray of shape (n_outputs,)
    """
    coef = np.atleast_2d(model.coef_)
    return coef, np.broadcast_to(np.asarray(model.intercept_), (len(coef),))


def scaling_parameters(scaler):
    """Return the offset and the scale of a scaler, which returns (X − offset) / scale.

    Parameters
    ----------
    scaler : StandardScaler, FlooredScaler, MinMaxScaler or MaxAbsScaler

    Returns
    -------
    offset, scale : ndarray of shape (n_features,)
    """
    zeros, ones = np.zeros(scaler.n_features_in_), np.ones(scaler.n_features_in_)
    if isinstance(scaler, MinMaxScaler):
        scale = 1.0 / scaler.scale_
        return -scaler.min_ * scale, scale
    if isinstance(scaler, MaxAbsScaler):
        return zeros, scaler.scale_
    # StandardScaler reads its parameter, FlooredScaler what was fitted.
    fitted = getattr(scaler, "_fixed_parameters", vars(scaler))
    with_mean = fitted["with_mean"]
    return (
        zeros if scaler.mean_ is None or not with_mean else scaler.mean_,
        ones if scaler.scale_ is None else scaler.scale_,
    )


def _window_and_stride(axis):
    """Return the size and the stride of equal windows, or None for other windows."""
    if not isinstance(axis, WindowPooling1D):
        return None
    starts, ends = np.transpose(axis.windows)
    # A single window takes any stride that leaves no room for a second one.
    strides = np.diff(starts) if len(starts) > 1 else np.array([axis.n_in])
    if np.ptp(ends - starts) or np.ptp(strides) or not strides[0]:
        return None
    return int(ends[0]), int(strides[0])
