"""Where the log-likelihood of a sample comes from: its coefficients and its features.

The gradient of log p, followed from the mean of the model to the sample, splits
log p(x) − log p(mean) among the features (integrated gradients, Sundararajan et al.
2017). Along that straight way every projection grows in proportion, so that the
integral has a closed form: with g_j = log p(u_j) and y = x − mean,

    feature f has   Σ_j (g_j(u_j) − g_j(0)) / u_j · y_f D_jf  −  r_f² / 2σ²,

and of log p(mean), the sum of g_j(0), as much of every term as of the squares of the
atom. All of it adds up to log p(x).
"""

from dataclasses import dataclass, replace

import numpy as np

from skscn._codes import MeanCode

NEAR = 1e-6  # projections by σ within which the slope of log p stands for a ratio


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
        The score by the entries of a sample: the lowest is the most surprising.
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


@dataclass(frozen=True)
class Split:
    """The log-likelihoods of samples in parts.

    Parameters
    ----------
    coefficients : ndarray of shape (n_samples, n_components)
        log p(u_j).
    rest : ndarray of shape (n_samples,)
        log p of what no atom reaches. With the coefficients it is log p(x).
    features : ndarray of shape (n_samples, n_features)
        log p(x) too, by the features.
    """

    coefficients: np.ndarray
    rest: np.ndarray
    features: np.ndarray

    def widened(self, volumes, gaps):
        """Return the parts for rows whose entries `gaps` were not measured."""
        each = volumes / np.maximum(gaps.sum(axis=1), 1)
        return replace(
            self,
            rest=self.rest + volumes,
            features=self.features + gaps * each[:, None],
        )


def split(rows, *, components, mean, code):
    """Return the `Split` of dense rows.

    Parameters
    ----------
    rows : ndarray of shape (n_samples, n_features)
    components, mean, code
        As for `log_likelihoods`.
    """
    y = rows if mean is None else rows - mean
    u = y @ components.T
    densities, slopes = log_densities(u, code), slope_at_zero(code)
    start = log_densities(np.zeros((1, len(components))), code)[0]
    near = np.abs(u) <= NEAR * np.sqrt(code.noise)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(near, slopes, (densities - start) / u)
    shares = components**2  # of every atom, that add up to one
    features = y * (ratios @ components) + start @ shares
    n_free = rows.shape[1] - len(components)
    if not n_free:  # what is outside is rounding error
        return Split(densities, np.zeros(len(rows)), features)
    constant = 0.5 * np.log(2 * np.pi * code.noise)
    rest = y - u @ components
    lost = y * rest
    energy = np.einsum("ij,ij->i", rest, rest)
    # The sum of y_f r_f is ‖r‖² up to digits that the product loses.
    lost += ((energy - lost.sum(axis=1)) / rows.shape[1])[:, None]
    features -= lost / (2 * code.noise) + constant * (1.0 - shares.sum(axis=0))
    return Split(densities, -energy / (2 * code.noise) - n_free * constant, features)


def log_densities(projections, code):
    """Return log p(u_j) of every projection, which `log_density` sums."""
    out = np.empty_like(projections)
    for j in range(projections.shape[1]):
        own = MeanCode(code.prior, code.parameters[:, [j]], code.noise)
        out[:, j] = own.log_density(projections[:, [j]])
    return out


def slope_at_zero(code):
    """Return the derivative of every log p(u_j) at zero."""
    step = NEAR * np.sqrt(code.noise)
    ends = np.tile([[-step], [step]], (1, code.parameters.shape[1]))
    below, above = log_densities(ends, code)
    return (above - below) / (2 * step)
