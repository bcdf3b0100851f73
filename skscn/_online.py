"""Learning from a stream: moments that forget, one Procrustes step a chunk."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from skscn._learning import mean_objective
from skscn._moments import CodeMoments, DataMoments, code_moments, data_moments
from skscn._procrustes import polar


@dataclass(frozen=True)
class Stream:
    """All that is kept of a stream.

    Parameters
    ----------
    components : ndarray of shape (n_components, n_features)
        The dictionary so far.
    mean : ndarray of shape (n_features,)
    data : DataMoments
    code : CodeMoments
        Both discounted, and about `mean`.
    seen : float
        Weight of all samples seen, not discounted.
    """

    components: np.ndarray
    mean: np.ndarray
    data: DataMoments
    code: CodeMoments
    seen: float

    @classmethod
    def opened(cls, mean, components):
        """Return the stream before its first chunk."""
        n_components, n_features = components.shape
        return cls(
            components,
            mean,
            DataMoments(0.0, np.zeros(n_features), 0.0, None),
            CodeMoments(
                0.0,
                np.zeros((n_components, n_features)),
                np.zeros(n_components),
                0.0,
                0.0,
                np.zeros((n_components, n_components + 1)),
            ),
            0.0,
        )


def advance(stream, total, *, code, center, forgetting, dtype, check):
    """Return the stream after one more chunk, and the mean objective of that chunk.

    Before the chunk is added, what came before is scaled by (seen / seen')^forgetting,
    where seen' counts the chunk too. A sample that came i-th of n thus weighs
    (i / n)^forgetting, however the stream is cut into chunks: codes of old dictionaries
    fade, and yet every step is smaller than the last, so that the dictionary converges.

    Parameters
    ----------
    stream : Stream
    total : callable
        Sums a function of (rows, weights) over all slices of the chunk.
    code : MapCode
    center : bool
        Whether the mean follows the stream.
    forgetting : float
    dtype : dtype of the chunk
    check : callable
        Takes the squared size of the chunk, and raises where it is not finite.
    """
    chunk = total(partial(data_moments, mean=stream.mean))
    check(chunk.square)
    seen = stream.seen + chunk.weight
    discount = (stream.seen / seen) ** forgetting
    data = stream.data * discount + chunk
    shift = data.total / data.weight if center else np.zeros_like(stream.mean)
    mean = stream.mean + shift
    encoded = total(
        partial(
            code_moments,
            components=stream.components.astype(dtype, copy=False),
            mean=mean.astype(dtype, copy=False),
            code=code,
        )
    )
    moments = stream.code.about(shift) * discount + encoded
    components = polar(moments.cross, stream.components)
    objective = mean_objective(chunk.about(shift), encoded)
    return Stream(components, mean, data.about(shift), moments, seen), objective
