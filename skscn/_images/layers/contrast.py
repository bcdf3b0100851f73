"""The contrasts of all patches of images, without storing patches.

The variance of a patch is computed one axis at a time by the law of total variance: the
mean over windows of the variance inside of them, plus the variance of their means. This
is a sum of squares of small differences. E[x²] − E[x]² is one of large numbers, whose
digits are lost in bright images.
"""

import numpy as np

from skscn._data.validation import check_squares


class InverseContrast:
    """1 / √(variance + eps) of all patches.

    Parameters
    ----------
    grid : PatchGrid
    eps : float
        Added to the variance.
    """

    def __init__(self, grid, eps):
        self.grid, self.eps = grid, eps

    def __call__(self, images, workspace):
        """Return an array of shape (n_images, *grid_shape) for padded images.

        It is in the memory of the workspace.
        """
        mean, variance = _moments_of_pixels(images, workspace)
        for axis in (1, 0):
            windows = self.grid.kernel[axis], self.grid.stride[axis]
            mean, variance = _moments_of_windows(
                mean, variance, axis, *windows, workspace
            )
        check_squares(np.max(variance, initial=0.0), images.dtype)
        variance += images.dtype.type(self.eps)
        np.sqrt(variance, out=variance)
        contrast = workspace.array("contrast", np.roll(variance.shape, 1), images.dtype)
        np.reciprocal(variance, out=variance)
        np.copyto(contrast, np.moveaxis(variance, -1, 0))
        return contrast


def _moments_of_pixels(images, workspace):
    """Return mean and variance over the channels, of shape (height, width, n_images).

    The images are the last axis, because NumPy is slow where rows are short. The means
    are relative to the middle of each image, which keeps more of their digits.
    """
    n_images, height, width, n_channels = images.shape
    mean, variance = (
        workspace.array(name, (height, width, n_images), images.dtype)
        for name in ("mean", "variance")
    )
    if n_channels == 1:
        np.copyto(mean, np.moveaxis(images[..., 0], 0, -1))
        mean -= mean[height // 2, width // 2].copy()
        variance[...] = 0
        return mean, variance
    centered = images - images[:, height // 2, None, width // 2, None, :1]
    means = centered @ np.full(n_channels, 1 / n_channels, dtype=images.dtype)
    centered -= means[..., None]
    variances = np.einsum("ijkl,ijkl->ijk", centered, centered)
    np.copyto(mean, np.moveaxis(means, 0, -1))
    np.copyto(variance, np.moveaxis(variances, 0, -1))
    variance /= images.dtype.type(n_channels)
    return mean, variance


def _moments_of_windows(mean, variance, axis, size, step, workspace):
    """Return mean and variance of windows of one axis.

    Parameters
    ----------
    mean, variance : ndarray
        Of the values that each entry stands for.
    axis : {0, 1}
    size, step : int
        The size of a window, and the distance of neighboring windows.
    workspace : Workspace
    """
    n_windows = (mean.shape[axis] - size) // step + 1
    shape = (*mean.shape[:axis], n_windows, *mean.shape[axis + 1 :])
    window_mean, window_variance, difference = (
        workspace.array((name, axis), shape, mean.dtype)
        for name in ("mean", "variance", "difference")
    )
    entries = [
        (slice(None),) * axis + (slice(i, i + (n_windows - 1) * step + 1, step),)
        for i in range(size)
    ]
    _add_entries(mean, entries, window_mean)
    window_mean /= size
    _add_entries(variance, entries, window_variance)
    for entry in entries:
        np.subtract(mean[entry], window_mean, out=difference)
        np.square(difference, out=difference)
        window_variance += difference
    window_variance /= size
    return window_mean, window_variance


def _add_entries(values, entries, out):
    np.copyto(out, values[entries[0]])
    for entry in entries[1:]:
        out += values[entry]
