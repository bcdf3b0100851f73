"""The terms of a score: log-densities of coefficients, and attributions to features.

Coefficients are independent, so that log p(x) is a sum of terms of the coefficients and
of the residual. It is not a sum of terms of the features. The cost of a feature f is a
lower bound on the increase of log p(x) by a better value of this feature alone. With
the posterior means a of the codes and the residual r = x − mean − a D, the gradient of
−log p(x) is r / σ².

A signed prior is a mixture of Gaussians of mean zero. Therefore −log p(u_j) is below
the parabola that touches it at u_j and −u_j. Its curvature is w_j / σ² with the weight
w_j = (u_j − a_j) / u_j. Along feature f the curvatures add up to

    c_f = (Σ_j w_j D_jf² + 1 − Σ_j D_jf²) / σ².

A parabola with this gradient and this curvature decreases to its minimum by the cost

    r_f² / (2 σ⁴ c_f).
"""

from dataclasses import dataclass, replace

import numpy as np

from skscn._core.missing_values import (
    log_likelihood_with_missing,
    reconstruct_missing,
)

MIN_PROJECTION = 1e-6  # in units of σ; below it u − a and u are rounding errors


@dataclass(frozen=True, repr=False)
class Explanation:
    """The terms that the scores of samples are the sum of.

    Parameters
    ----------
    score : ndarray of shape (n_samples,)
        The output of `score_samples`. It is the sum of the columns of `coefficients`
        and `marginals`, and of `residual`. It is also the sum of the columns of
        `features`.
    coefficients : ndarray of shape (n_samples, n_components)
        Log-density of the projection onto each atom.
    residual : ndarray of shape (n_samples,)
        Log-density of the residual. With a mixture, also log w − log r, with the weight
        w and the responsibility r of the most probable dictionary; the coefficients of
        all other dictionaries are zero.
    marginals : ndarray of shape (n_samples, n_coded)
        Log-probability of each feature or pooled code in its histogram, times
        `marginal_weight_`.
    features : ndarray of shape (n_samples, n_features)
        The score, distributed over the features: minus the cost of each feature, and
        the remainder in equal shares. The lowest is the most surprising. Missing
        features are set to their conditional means, so that they cost about nothing.
    components : ndarray of shape (n_components, n_coded)
        The atoms of the coefficients.
    codes : ndarray of shape (n_samples, n_coded), default=None
        For images: the score, distributed over the pooled codes.
    image_shape : tuple of int, default=None
        (height, width, channels) of the images.
    """

    score: np.ndarray
    coefficients: np.ndarray
    residual: np.ndarray
    marginals: np.ndarray
    features: np.ndarray
    components: np.ndarray
    codes: np.ndarray | None = None
    image_shape: tuple | None = None

    def __repr__(self):
        n_samples, n_features = self.features.shape
        scores = f"{self.score.min():.1f} to {self.score.max():.1f}"
        return (
            f"Explanation of {n_samples} scores from {scores} nats, by {n_features} "
            f"features and {self.coefficients.shape[1]} atoms"
        )

    @property
    def maps(self):
        """The score, distributed over the pixels: (n_samples, height, width)."""
        if self.image_shape is None:
            raise AttributeError(
                "The samples are rows without an image shape, and have no maps: use "
                "`features`."
            )
        return self.features.reshape(-1, *self.image_shape).sum(axis=3)


def explain_log_likelihood(rows, model):
    """Compute all terms of the log-likelihood of dense rows, also with missing values.

    Parameters
    ----------
    rows : ndarray of shape (n_samples, n_features)
    model : SparseModel
        In float64, with a `PosteriorMeanEncoder`.

    Returns
    -------
    coefficients : ndarray of shape (n_samples, n_components)
        log p(u_j).
    residual : ndarray of shape (n_samples,)
        Log-density of the residual, with the integrals over missing values.
    attributions : ndarray of shape (n_samples, n_features)
        The cost of each feature, in nats. The priors of non-negative codes are not
        symmetric: for them it is an estimate and not a bound.
    """
    missing, log_volume = np.isnan(rows).any(axis=1), np.zeros(len(rows))
    if missing.any():
        measured, rows = rows[missing], rows.copy()
        rows[missing] = reconstruct_missing(measured, model=model)
        log_volume[missing] = log_likelihood_with_missing(measured, model=model)
        log_volume[missing] -= model.log_likelihood(rows[missing])
    centered = rows if model.mean is None else rows - model.mean
    projections = centered @ model.components.T
    coefficients, residual = _log_density_terms(centered, projections, model)
    attributions = _feature_attributions(centered, projections, model)
    return coefficients, residual + log_volume, attributions


def rounding_error_bound(rows, model):
    """Bound the rounding errors of log p of dense rows, to first order.

    With p features, each of k projections of a row x has an error of at most p · eps ·
    ‖x − mean‖, and the gradient of log p multiplies it. The terms are functions of the
    projections and of the residual, and their sum has k + 1 of them.

    Parameters
    ----------
    rows : ndarray of shape (n_samples, n_features)
    model : SparseModel
        In float64, with a `PosteriorMeanEncoder`.
    """
    rows = reconstruct_missing(rows, model=model)
    centered = rows if model.mean is None else rows - model.mean
    projections = centered @ model.components.T
    terms = np.column_stack(_log_density_terms(centered, projections, model))
    codes = model.encoder.encode(projections.copy())
    residual = centered - codes @ model.components
    gradient = np.linalg.norm(residual, axis=1) / model.encoder.noise_variance
    n_components, n_features = model.components.shape
    error = n_features * np.sqrt(n_components) * np.linalg.norm(centered, axis=1)
    error = error * gradient + (n_components + 1) * np.abs(terms).sum(axis=1)
    return np.finfo(float).eps * error


def _log_density_terms(centered, projections, model):
    encoder, residual = model.encoder, np.zeros(len(centered))
    if model.n_free:  # otherwise the residual is rounding error
        norms = model.residual_norms(centered, projections)
        residual -= norms / (2 * encoder.noise_variance)
        residual -= model.n_free / 2 * np.log(2 * np.pi * encoder.noise_variance)
    coefficients = np.empty_like(projections)
    for j in range(projections.shape[1]):
        own_encoder = replace(encoder, parameters=encoder.parameters[:, [j]])
        coefficients[:, j] = own_encoder.log_density(projections[:, [j]])
    return coefficients, residual


def _feature_attributions(centered, projections, model):
    components, encoder = model.components, model.encoder
    codes = encoder.encode(projections.copy())
    with np.errstate(divide="ignore", invalid="ignore"):
        curvature_weights = (projections - codes) / projections
    at_zero = 1.0 - encoder.derivative(np.zeros((1, projections.shape[1])))
    is_zero = np.abs(projections) <= MIN_PROJECTION * np.sqrt(encoder.noise_variance)
    curvature_weights = np.where(is_zero, at_zero, curvature_weights)
    is_valid = (curvature_weights > 0) & (curvature_weights < 1)
    curvature_weights = np.where(is_valid, curvature_weights, 1.0)
    squares = components**2
    residual_curvature = np.maximum(1.0 - squares.sum(axis=0), 0.0)
    curvature = curvature_weights @ squares + residual_curvature  # times σ²
    curvature = np.maximum(curvature, np.finfo(float).tiny)
    residual = centered - codes @ components
    return residual**2 / (2 * encoder.noise_variance * curvature)
