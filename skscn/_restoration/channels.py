"""The transform of an image to uncorrelated channels in units of the noise."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from skscn._core.procrustes import canonical_signs
from skscn._data.validation import compute_dtype
from skscn._restoration.patches import sample_patches

MAX_SAMPLED_PIXELS = 2**17  # that the correlations of the channels are estimated from


@dataclass(frozen=True)
class ChannelTransform:
    """Scaling of the channels by their noise, and an orthonormal transform of them.

    A pixel x becomes R ((x − center) / sigma), with R orthonormal. Noise that is
    independent between channels, with standard deviation sigma, stays independent, and
    its standard deviation becomes one.

    Parameters
    ----------
    center, sigma : ndarray of shape (n_channels,)
        Subtracted mean, and standard deviation of the noise.
    rotation : ndarray of shape (n_channels, n_channels)
        R.
    dtype : dtype of the transformed channels
    """

    center: np.ndarray
    sigma: np.ndarray
    rotation: np.ndarray
    dtype: np.dtype

    @classmethod
    def fit(cls, pixels, sigma, rng):
        """Return the transform whose channels are uncorrelated in an image.

        Parameters
        ----------
        pixels : ndarray of shape (*shape, n_channels)
        sigma : ndarray of shape (n_channels,)
        rng : RandomState instance
            For the sample of pixels.
        """
        kernel = (1,) * (pixels.ndim - 1)
        sample = sample_patches(pixels, kernel, MAX_SAMPLED_PIXELS, rng)
        sample = sample.reshape(-1, pixels.shape[-1]).astype(np.float64)
        center = sample.mean(axis=0)
        scaled = (sample - center) / sigma
        axes = eigh(scaled.T @ scaled)[1].T[::-1]
        rotation = axes * canonical_signs(axes)[:, None]
        return cls(center, sigma, rotation, compute_dtype(pixels.dtype))

    def transform(self, pixels):
        """Return the transformed channels of pixels, as the first axis.

        Parameters
        ----------
        pixels : ndarray of shape (..., n_channels)

        Returns
        -------
        channels : ndarray of shape (n_channels, ...)
        """
        if pixels.shape[-1] == 1:
            channel = np.subtract(pixels[..., 0], self.center[0], dtype=self.dtype)
            channel *= self.rotation[0, 0] / self.sigma[0]
            return channel[None]
        centered = np.subtract(pixels, self.center.astype(self.dtype), dtype=self.dtype)
        matrix = (self.rotation / self.sigma).astype(self.dtype)
        return np.moveaxis(centered @ matrix.T, -1, 0).copy()

    def inverse_transform(self, channels):
        """Return the pixels of transformed channels, which may be overwritten."""
        matrix = (self.rotation.T * self.sigma[:, None]).astype(self.dtype)
        if len(channels) == 1:
            channels *= matrix[0, 0]
            channels += self.dtype.type(self.center[0])
            return channels[0, ..., None]
        pixels = np.moveaxis(channels, 0, -1) @ matrix.T
        pixels += self.center.astype(self.dtype)
        return pixels
