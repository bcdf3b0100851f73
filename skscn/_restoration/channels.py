"""Channels as uncorrelated planes in units of the noise."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from skscn._core.procrustes import canonical_signs


@dataclass(frozen=True)
class Units:
    """The change from channels to planes, and back.

    A pixel x of all channels becomes R ((x − centre) / sigma), with R orthonormal.
    Noise that is independent and of standard deviation sigma in each channel is
    independent and of standard deviation one in each plane.

    Parameters
    ----------
    centre, sigma : ndarray of shape (channels,)
    rotation : ndarray of shape (channels, channels)
    dtype : dtype of the planes
    """

    centre: np.ndarray
    sigma: np.ndarray
    rotation: np.ndarray
    dtype: np.dtype

    @classmethod
    def of(cls, pixels, sigma, dtype):
        """Return the units in which some pixels have uncorrelated planes.

        Parameters
        ----------
        pixels : ndarray of shape (n_pixels, channels), float64
        sigma : ndarray of shape (channels,)
        dtype : dtype of the planes
        """
        centre = pixels.mean(axis=0)
        scaled = (pixels - centre) / sigma
        axes = eigh(scaled.T @ scaled)[1].T[::-1]
        return cls(centre, sigma, axes * canonical_signs(axes)[:, None], dtype)

    def planes(self, pixels):
        """Return the planes of pixels of shape (..., channels), planes first."""
        if pixels.shape[-1] == 1:
            planes = np.subtract(pixels[..., 0], self.centre[0], dtype=self.dtype)
            planes *= self.rotation[0, 0] / self.sigma[0]
            return planes[None]
        scaled = np.subtract(pixels, self.centre.astype(self.dtype), dtype=self.dtype)
        turn = (self.rotation / self.sigma).astype(self.dtype)
        return np.moveaxis(scaled @ turn.T, -1, 0).copy()

    def pixels(self, planes):
        """Return the pixels of planes, channels last; planes may be overwritten."""
        back = (self.rotation.T * self.sigma[:, None]).astype(self.dtype)
        if len(planes) == 1:
            planes *= back[0, 0]
            planes += self.dtype.type(self.centre[0])
            return planes[0, ..., None]
        pixels = np.moveaxis(planes, 0, -1) @ back.T
        pixels += self.centre.astype(self.dtype)
        return pixels
