"""Learning from a stream: moments that forget, one Procrustes step a chunk."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy import sparse

from skscn._core.model_parameters import ModelParameters
from skscn._core.moments import CodeMoments, DataMoments, data_moments
from skscn._core.problems import Chunk, no_moments
from skscn._core.projection_histogram import LazyEstimate


@dataclass(frozen=True)
class OnlineState:
    """All that is kept of a stream.

    Parameters
    ----------
    components : ndarray of shape (n_components, n_features)
        The dictionary so far.
    mean : ndarray of shape (n_features,)
    data : DataMoments
    code : CodeMoments
        Both discounted, and about `mean`.
    known : Measured or Belief
        Of noise and prior, so far.
    seen : float
        Weight of all samples seen, not discounted.
    """

    components: np.ndarray
    mean: np.ndarray
    data: DataMoments
    code: CodeMoments
    known: LazyEstimate | ModelParameters
    seen: float

    @classmethod
    def opened(cls, mean, components, known, n_sums):
        """Return the stream before its first chunk."""
        n_components, n_features = components.shape
        return cls(
            components,
            mean,
            DataMoments(0.0, np.zeros(n_features), 0.0, None),
            no_moments(n_components, n_features, n_sums),
            known,
            0.0,
        )


def advance(stream, total, *, inference, center, forgetting, check, missing=0.0):
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
    inference : Hard or Exact
        How to learn.
    center : bool
        Whether the mean follows the stream.
    forgetting : float
    check : callable
        Takes the squared size of the chunk, and raises where it is not finite.
    missing : float, default=0.0
        Σ w of the entries of the chunk that were completed.
    """
    chunk = total(partial(data_moments, mean=stream.mean))
    chunk = replace(chunk, missing=missing)
    check(chunk.square)
    seen = stream.seen + chunk.weight
    discount = (stream.seen / seen) ** forgetting
    data = stream.data * discount + chunk
    shift = data.total / data.weight if center else np.zeros_like(stream.mean)
    mean, data = stream.mean + shift, data.about(shift)
    components, moments, known, objective = inference.advanced(
        stream, Chunk(total, chunk.about(shift), data, mean, shift, discount)
    )
    return OnlineState(components, mean, data, moments, known, seen), objective


def gather(gathered, X, weights, enough):
    """Add a chunk to the gathered rows.

    Returns the rows to keep gathering, or None when there are enough; the rows to
    learn from; and whether to start anew from them. Starting anew each time that the
    rows have doubled keeps the cost of a stream of single rows in bounds.
    """
    before, before_weights = gathered
    if before_weights is not None or weights is not None:
        weights_joined = np.concatenate(
            [
                np.ones(rows.shape[0], dtype=X.dtype) if w is None else w
                for rows, w in ((before, before_weights), (X, weights))
            ]
        )
    else:
        weights_joined = None
    if sparse.issparse(X):
        rows_joined = sparse.vstack([sparse.csr_array(before), X], format="csr")
    else:
        before = before.toarray() if sparse.issparse(before) else before
        rows_joined = np.vstack([before, X])
    joined = rows_joined, weights_joined
    weight, weight_before = (
        int(rows.shape[0] if w is None else w.sum())
        for rows, w in (joined, (before, before_weights))
    )
    if weight >= enough:
        return None, joined, True
    if weight.bit_length() > weight_before.bit_length() or before.shape[0] == 0:
        return joined, joined, True
    return joined, (X, weights), False
