"""Where the log-likelihood of a sample comes from: its coefficients and its features.

Coefficients are independent, so that log p(x) is a sum over them and over what no atom
reaches. Features are not. A feature f costs what another value of it alone would win
back. With the posterior means a of the codes the gradient of −log p(x) is

    s = (x − mean − a D) / σ²,

what the model cannot rebuild. A prior that is a mixture of Gaussians about zero, as all
signed ones here are, bends no more than the parabola that touches it at u_j and −u_j,
of curvature w_j = (u_j − a_j) / (u_j σ²). Along feature f these add up to

    c_f = Σ_j w_j D_jf² + (1 − Σ_j D_jf²) / σ²,

so that a step along f wins s_f² / 2c_f at least.
"""

from dataclasses import dataclass

import numpy as np

from skscn._core.encoders import PosteriorMeanEncoder

NEAR = 1e-6  # projections by σ that are zero


@dataclass(frozen=True)
class Explanation:
    """The scores of samples in parts that add up to them.

    Parameters
    ----------
    score : ndarray of shape (n_samples,)
        What `score_samples` returns: the sum of `coefficients`, `rest` and `marginals`
        over their columns, and the sum of `features`.
    coefficients : ndarray of shape (n_samples, n_components)
        Log-density of the projection on every atom.
    rest : ndarray of shape (n_samples,)
        Log-density of what no atom reaches.
    marginals : ndarray of shape (n_samples, n_coded)
        What everything that is coded adds by itself: its log-probability times the
        balance.
    features : ndarray of shape (n_samples, n_features)
        The score by the entries of a sample: minus what each costs, and all else in
        equal shares. The lowest is the most surprising.
    components : ndarray of shape (n_components, n_coded)
        The atoms that the coefficients belong to.
    codes : ndarray of shape (n_samples, n_coded), default=None
        The score by what is coded, where it is not the features: by the pooled codes of
        images.
    image_shape : tuple of int, default=None
        (height, width, channels) of the images.
    """

    score: np.ndarray
    coefficients: np.ndarray
    rest: np.ndarray
    marginals: np.ndarray
    features: np.ndarray
    components: np.ndarray
    codes: np.ndarray | None = None
    image_shape: tuple | None = None

    @property
    def maps(self):
        """The score by the pixels of images, (n_samples, height, width)."""
        if self.image_shape is None:
            raise AttributeError(
                "These samples are rows, without a shape of images: read `features`."
            )
        return self.features.reshape(-1, *self.image_shape).sum(axis=3)


def costs(rows, model):
    """Return what each entry of dense rows costs of log p, at least.

    For one-sided priors, which are not symmetric, it is an estimate.

    Parameters
    ----------
    rows : ndarray of shape (n_samples, n_features)
    model : SparseModel
        In float64, with a `PosteriorMeanEncoder`.

    Returns
    -------
    costs : ndarray of shape (n_samples, n_features)
        s_f² / 2c_f.
    """
    components, encoder = model.components, model.encoder
    y = rows if model.mean is None else rows - model.mean
    u = y @ components.T
    codes = encoder.encode(u.copy())
    zero = np.abs(u) <= NEAR * np.sqrt(encoder.noise_variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        bends = (u - codes) / u  # by σ⁻², of which no prior has more
    bends = np.where(zero, 1.0 - encoder.derivative(np.zeros((1, u.shape[1]))), bends)
    bends = np.where((bends > 0) & (bends < 1), bends, 1.0)
    shares = components**2
    outside = np.maximum(1.0 - shares.sum(axis=0), 0.0)
    curvature = np.maximum(bends @ shares + outside, np.finfo(float).tiny)
    return (y - codes @ components) ** 2 / (2 * encoder.noise_variance * curvature)


def terms(rows, model):
    """Return log p(u_j) of every coefficient, and log p of the residual.

    Parameters
    ----------
    rows, model
        As for `costs`.

    Returns
    -------
    coefficients : ndarray of shape (n_samples, n_components)
    rest : ndarray of shape (n_samples,)
    """
    encoder = model.encoder
    y = rows if model.mean is None else rows - model.mean
    u = y @ model.components.T
    densities, rest = log_densities(u, encoder), np.zeros(len(rows))
    if model.n_free:  # otherwise the residual is rounding error
        residual = y - u @ model.components
        norms = np.einsum("ij,ij->i", residual, residual)
        rest -= norms / (2 * encoder.noise_variance)
        rest -= model.n_free / 2 * np.log(2 * np.pi * encoder.noise_variance)
    return densities, rest


def log_densities(projections, encoder):
    """Return log p(u_j) of every projection, which `log_density` sums."""
    out = np.empty_like(projections)
    for j in range(projections.shape[1]):
        own = PosteriorMeanEncoder(
            encoder.prior, encoder.parameters[:, [j]], encoder.noise_variance
        )
        out[:, j] = own.log_density(projections[:, [j]])
    return out
