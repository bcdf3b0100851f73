"""How much noise is in an image.

High and low frequencies of white noise are independent. Patches with the least energy
at low frequencies are therefore those without content, not those that have little noise
by chance, and the energy that they have at high frequencies is the noise (Ponomarenko
et al., 2007; Colom and Buades, 2013).
"""

import numpy as np
from scipy.fft import dct

HIGH = 0.87  # frequencies down and to the right, in units of the highest, summed
QUIETEST = 0.02  # share of the patches that are looked at
FEWEST = 200  # of them
LEAST_SHARE = 0.1  # of all patches: fewer do not speak for the image


def noise_level(patches):
    """Return the standard deviation of the noise in patches of one channel.

    Parameters
    ----------
    patches : ndarray of shape (n_patches, height, width)

    Returns
    -------
    sigma : float
        0 where nearly all patches are constant.
    """
    kernel = patches.shape[1:]
    rows = patches.reshape(len(patches), -1).astype(np.float64)
    low, high = rows.min(), rows.max()
    # Where values were clipped there is less noise.
    clipped = ((rows == low).sum(axis=1) > 1) | ((rows == high).sum(axis=1) > 1)
    if np.count_nonzero(~clipped) >= min(FEWEST, len(rows)):
        rows = rows[~clipped]
    inner = ~_framed(rows)
    if np.count_nonzero(inner) >= max(LEAST_SHARE * len(rows), 1):
        rows = rows[inner]
    rows = rows - rows.mean(axis=1, keepdims=True)
    energy = (rows @ cosine_products(kernel).T) ** 2
    rise = np.add.outer(*(np.arange(size) / size for size in kernel)).ravel()
    is_high = rise >= min(HIGH, rise.max())
    n_quiet = max(min(FEWEST, len(rows)), int(QUIETEST * len(rows)))
    quiet = np.argsort(energy[:, ~is_high].sum(axis=1), kind="stable")[:n_quiet]
    return float(np.sqrt(np.median(energy[quiet][:, is_high].mean(axis=0))))


def _framed(rows):
    """Return which patches are constant, or reach into what is.

    Borders and padding that were added after the noise have none.
    """
    constant = np.ptp(rows, axis=1) == 0
    if not constant.any():
        return constant
    values, counts = np.unique(rows[constant, 0], return_counts=True)
    return constant | ((rows == values[counts.argmax()]).sum(axis=1) > 1)


def cosine_products(kernel):
    """Return the discrete cosine transform of patches as rows: products of cosines."""
    down, right = (dct(np.eye(size), axis=0, norm="ortho") for size in kernel)
    return np.kron(down, right)
