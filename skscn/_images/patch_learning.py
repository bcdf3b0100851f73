"""How a convolutional layer learns dictionaries from a sample of patches."""

from copy import copy
from typing import Any

import numpy as np

from skscn._coders.mixture import SparseCodingMixture
from skscn._coders.non_negative import NonNegativeSparseCoder
from skscn._coders.orthogonal import OrthogonalSparseCoder
from skscn._core.procrustes import polar_factor
from skscn._data.validation import check_squares
from skscn._images.layers.convolution import ConvolutionSettings, FittedConvolution
from skscn._images.layers.patch_sampling import sample_patches
from skscn._images.layers.whitening import Whitening

# The signed prior whose codes, split by sign, are those of the one-sided prior.
SIGNED_PRIORS = {"exponential": "laplace", "spike_slab": "spike_slab"}
# The same prior of one sign, by its name in mixtures.
ONE_SIDED_MIXTURE_PRIORS = {
    "exponential": "exponential",
    "spike_slab": "half_spike_slab",
}
TOL = 1e-3  # relative decrease of the objective; features do not improve with less


class PatchLearningMixin:
    """What `fit` and `partial_fit` of a convolutional layer share."""

    n_dictionaries: int
    prior: str
    alpha: Any
    split_sign: bool
    center_patches: bool
    contrast: float | None
    whiten: float | None
    init: Any
    max_iter: int
    max_patches: int
    n_jobs: int | None
    _fitted: FittedConvolution

    def _sample_patches(self, source, grid, n_groups, dtype, rng):
        """Return a sample of patches of shape (n_groups, n_patches, n_features)."""
        patches = sample_patches(
            source.load, source.n_images, grid, self.max_patches, dtype, rng
        )
        with np.errstate(over="ignore"):
            check_squares(np.vdot(patches, patches), dtype)
        n_patches = len(patches)
        if n_groups > 1:
            patches = np.moveaxis(patches, -1, 0)
        return patches.reshape(n_groups, n_patches, -1)

    def _settings(self, grid, patches, *, is_first):
        """Return the settings; those of the data come from the first patches."""
        if is_first:
            eps = 0.0
            if self.contrast is not None:
                variance = float(patches.var(axis=2, dtype=np.float64).mean())
                eps = self.contrast * (variance or 1.0)
        else:
            eps = self._fitted.settings.eps
        return ConvolutionSettings(
            grid, self.prior, self.split_sign, self.center_patches, eps
        )

    def _fit_group(self, rows, n_components, rng, task):
        """Return the whitening and the coder of a group of channels.

        Parameters
        ----------
        rows : ndarray of shape (n_patches, n_features)
            Normalized patches of these channels.
        n_components : int
        rng : RandomState instance
        task : FitCallbacks
        """
        whitening = Whitening.from_patches(rows, n_components, self.whiten)
        rows = whitening(rows)
        make_coder = self._mixture if self.n_dictionaries > 1 else self._coder
        coder = make_coder(rows, n_components, rng)
        coder.set_params(
            alpha=self.alpha,
            center=False,
            max_iter=self.max_iter,
            tol=TOL,
            n_jobs=self.n_jobs,
            random_state=rng.randint(2**31 - 1),
        )
        with task.subtask("learn dictionary", coder):
            coder.fit(rows)
        return whitening, coder

    def _coder(self, rows, n_components, rng):
        """Return the coder of whitened patches."""
        init = self.init
        if init == "patches":
            replace = len(rows) < n_components
            drawn = rng.choice(len(rows), n_components, replace=replace)
            init = polar_factor(rows[drawn])
        elif init == "pca":  # the axes of whitened patches are those of the patches
            init = np.eye(n_components)
        if self.split_sign:
            prior = SIGNED_PRIORS[self.prior]
            return OrthogonalSparseCoder(n_components, prior=prior, init=init)
        return NonNegativeSparseCoder(n_components, prior=self.prior, init=init)

    def _mixture(self, rows, n_components, rng):
        """Return the coder of whitened patches with several dictionaries."""
        priors = SIGNED_PRIORS if self.split_sign else ONE_SIDED_MIXTURE_PRIORS
        return SparseCodingMixture(
            self.n_dictionaries, n_components, prior=priors[self.prior]
        )

    def _update_group(self, rows, whitening, coder):
        """Return the whitening and the coder after one more mini-batch."""
        coder = copy(coder)  # the fitted coder must not change if this call fails
        coder.set_params(alpha=self.alpha)  # a mixture raises if it is another
        return whitening, coder.partial_fit(whitening(rows))
