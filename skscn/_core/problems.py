"""The two ways to learn: hard codes of given thresholds, and exact inference.

Each says what a fit lowers, what one more chunk of a stream changes, and what is to be
kept of it. Fitting itself knows of neither.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from skscn._core.encoders import MapEncoder, PosteriorMeanEncoder
from skscn._core.model_parameters import Coordinates, ModelParameters, first_belief
from skscn._core.moments import CodeMoments, DataMoments, code_moments
from skscn._core.objectives import (
    Iterate,
    belief_moments,
    evidence,
    evidence_objective,
    map_objective,
    mean_objective,
)
from skscn._core.priors import SIGNED, Prior
from skscn._core.procrustes import polar_factor
from skscn._core.projection_histogram import (
    LazyEstimate,
    empty_spectrum,
    pooled,
    spectrum,
)


@dataclass(frozen=True)
class Chunk:
    """A chunk of a stream on its way into the sums.

    Parameters
    ----------
    total : callable
        Sums a function of (rows, weights) over all slices of the chunk.
    data, all_data : DataMoments
        Of the chunk, and of the stream with it, both about `mean`.
    mean : ndarray of shape (n_features,)
    shift : ndarray of shape (n_features,)
        From the mean before to this.
    discount : float
        Of what came before.
    """

    total: Callable
    data: DataMoments
    all_data: DataMoments
    mean: np.ndarray
    shift: np.ndarray
    discount: float


def size_of(data):
    """Return the root mean square of the entries of data about their point."""
    variance = data.square / (data.weight * len(data.total))
    # A size that has a square in either float type, and one for data without any.
    return float(np.sqrt(variance)) if variance > 1e-200 else 1.0


def no_moments(n_components, n_features, n_sums):
    """Return the moments of no data."""
    return CodeMoments(
        0.0,
        np.zeros((n_components, n_features)),
        np.zeros(n_components),
        0.0,
        0.0,
        np.zeros((n_components, n_components + 2)),
        np.zeros((n_sums, n_components)) if n_sums else None,
    )


@dataclass(frozen=True)
class MapProblem:
    """Most probable codes of given thresholds.

    Parameters
    ----------
    prior : Prior
    alpha : ndarray of shape (n_components,)
    center : bool
    dtype : dtype of the data
    """

    prior: Prior
    alpha: np.ndarray
    center: bool
    dtype: np.dtype
    n_sums = 0

    @property
    def code(self):
        """The code to learn for."""
        return MapEncoder.of(self.prior, self.alpha, self.dtype)

    def problem(self, total, data, mean, components, known):
        """Return what `minimize_on_stiefel` lowers, from where, and its limits."""
        point = mean.astype(self.dtype) if self.center else None
        evaluate = map_objective(
            total, data, mean=point, code=self.code, dtype=self.dtype
        )
        return evaluate, Iterate(components), None

    def reader(self, mean, data):
        """Return the function from states to the mean of their model and their code."""
        return lambda state: (mean, self.code)

    def reading(self, components, mean, known):
        """Return the mean of the model and the code that completes samples."""
        return mean, self.code

    def measured(self, state, total, data, mean):
        """Return what the dictionary says of noise and prior."""
        size = size_of(data)
        counted = self._counted(state.components, total, mean, size)
        counted = replace(counted, missing=data.missing)
        return LazyEstimate(self.prior, self.alpha, counted, size, len(mean))

    def rearranged(self, state, order, signs):
        """Return the state with atoms in another order, some with another sign."""
        return Iterate(state.components[order] * signs[:, None])

    def opened(self, components, total, data, mean):
        """Return what a stream knows before its first chunk."""
        none = empty_spectrum(len(components), self.prior.one_sided, self._pooled)
        return LazyEstimate(self.prior, self.alpha, none, size_of(data), len(mean))

    def goes_on(self, stream):
        """Return whether the sums of a stream are of this kind."""
        none = empty_spectrum(
            len(stream.components), self.prior.one_sided, self._pooled
        )
        return (
            isinstance(stream.known, LazyEstimate)
            and stream.known.spectrum.counts.shape == none.counts.shape
        )

    def advanced(self, stream, chunk):
        """Return dictionary, moments, what is known, and objective after a chunk."""
        encoded = chunk.total(
            partial(
                code_moments,
                components=stream.components.astype(self.dtype, copy=False),
                mean=chunk.mean.astype(self.dtype, copy=False),
                code=self.code,
            )
        )
        moments = stream.code.about(chunk.shift) * chunk.discount + encoded
        components = polar_factor(moments.cross, stream.components)
        counted = self._counted(components, chunk.total, chunk.mean, stream.known.size)
        counted = replace(counted, missing=chunk.data.missing)
        counted = stream.known.spectrum * chunk.discount + counted
        known = replace(
            stream.known, prior=self.prior, threshold=self.alpha, spectrum=counted
        )
        return components, moments, known, mean_objective(chunk.data, encoded)

    @property
    def _pooled(self):
        return pooled(self.prior, self.alpha)

    def _counted(self, components, total, mean, size):
        return total(
            partial(
                spectrum,
                components=components.astype(self.dtype, copy=False),
                mean=mean.astype(self.dtype, copy=False),
                size=size,
                one_sided=self.prior.one_sided,
                pooled=self._pooled,
            )
        )


@dataclass(frozen=True)
class MarginalLikelihoodProblem:
    """Posterior means, with prior and noise learned from the data: the EM algorithm.

    Parameters
    ----------
    prior : Prior
    center : bool
    dtype : dtype of the data
    """

    prior: Prior
    center: bool
    dtype: np.dtype

    @property
    def n_sums(self):
        """Number of sums of every coefficient that moments hold."""
        return 2 + len(self.prior.names)

    @property
    def code(self):
        """The code to orient a start for."""
        return MapEncoder(self.prior, 0.0)

    def problem(self, total, data, mean, components, known):
        """Return what `minimize_on_stiefel` lowers, from where, and its limits."""
        coordinates = self._coordinates(data, len(components))
        belief = known or self.opened(components, total, data, mean)
        evaluate = evidence_objective(
            total, data, mean=mean, coordinates=coordinates, dtype=self.dtype
        )
        numbers = coordinates.numbers(belief)
        return evaluate, Iterate(components, numbers), coordinates.limits

    def reader(self, mean, data):
        """Return the function from states to the mean of their model and their code."""

        def read(state):
            belief = self.measured(state, None, data, mean)
            return self.reading(state.components, mean, belief)

        return read

    def reading(self, components, mean, known):
        """Return the mean of the model and the code that completes samples."""
        code = PosteriorMeanEncoder(self.prior, known.parameters, known.noise)
        return mean + known.shift(components), code

    def measured(self, state, total, data, mean):
        """Return what was learned of noise and prior."""
        return self._coordinates(data, len(state.components)).belief(state.numbers)

    def rearranged(self, state, order, signs):
        """Return the state with atoms in another order, some with another sign."""
        components = state.components[order] * signs[:, None]
        parts = [
            *state.numbers[:-1].reshape(-1, len(order))[:, order],
            state.numbers[-1:],
        ]
        return Iterate(components, np.concatenate(parts))

    def opened(self, components, total, data, mean):
        """Return a belief to start from."""
        moments = total(
            partial(
                code_moments,
                components=components.astype(self.dtype, copy=False),
                mean=mean.astype(self.dtype),
                code=MapEncoder(SIGNED["laplace"], 0.0),
            )
        )
        energies = np.einsum("ij,ij->i", moments.cross, components) / data.weight
        return first_belief(
            self._coordinates(data, len(components)),
            energies,
            data.square / data.weight,
            len(mean),
        )

    def goes_on(self, stream):
        """Return whether the sums of a stream are of this kind."""
        sums = stream.code.sums
        return (
            isinstance(stream.known, ModelParameters)
            and sums is not None
            and len(sums) == self.n_sums
        )

    def advanced(self, stream, chunk):
        """Return dictionary, moments, what is known, and objective after a chunk."""
        components, belief = stream.components, stream.known
        coordinates = self._coordinates(chunk.all_data, len(components))
        encoded = belief_moments(
            chunk.total, chunk.mean, components, belief, coordinates, self.dtype
        )
        of_chunk = evidence(chunk.data, encoded, components, belief, coordinates)
        moments = stream.code.about(chunk.shift) * chunk.discount + encoded
        whole = evidence(chunk.all_data, moments, components, belief, coordinates)
        components = polar_factor(moments.cross, components)
        known = coordinates.belief(whole.m_step(components))
        return components, moments, known, of_chunk.objective

    def _coordinates(self, data, n_components):
        offset = self.center and self.prior.one_sided
        return Coordinates(self.prior, n_components, size_of(data) ** 2, offset=offset)
