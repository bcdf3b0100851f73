"""Online learning of a mixture: discounted moments of every dictionary."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from skscn._core.mixture import mixture_sums
from skscn._core.mixture_fitting import MIN_SHARE, em_step
from skscn._core.moments import CodeMoments, DataMoments


@dataclass(frozen=True)
class OnlineMixture:
    """What is kept of a stream.

    Parameters
    ----------
    dictionaries : list of Dictionary
    weights : ndarray of shape (n_dictionaries,)
        Of the mixture.
    data : list of DataMoments
    codes : list of CodeMoments
        Of each dictionary, both discounted, and about its center.
    weight_seen : float
        Weight of all samples of the stream, not discounted.
    data_rms : float
        Root mean square of the rows that the stream started from.
    """

    dictionaries: list
    weights: np.ndarray
    data: list
    codes: list
    weight_seen: float
    data_rms: float

    @classmethod
    def after_fit(cls, state, problem):
        """Return the stream that continues a `MixtureState`."""
        stream = cls.start(state.dictionaries, state.weights, problem)
        codes = [
            zero if evaluation is None else evaluation.moments
            for zero, evaluation in zip(stream.codes, state.evaluations, strict=True)
        ]
        weight = sum(data.weight for data in state.data)
        return replace(stream, data=list(state.data), codes=codes, weight_seen=weight)

    @classmethod
    def start(cls, dictionaries, weights, problem):
        """Return the stream before its first mini-batch."""
        n_components, n_features = dictionaries[0].iterate.components.shape
        n_statistics = problem.n_statistics + problem.learns_prior
        codes = CodeMoments.zero(n_components, n_features, n_statistics)
        data = DataMoments(0.0, np.zeros(n_features), 0.0, None)
        return cls(
            list(dictionaries),
            weights,
            [data] * len(dictionaries),
            [codes] * len(dictionaries),
            0.0,
            problem.data_rms,
        )


def update_mixture(state, rows, problem, *, forgetting):
    """Return the stream after one more mini-batch, and the objective of the latter.

    Moments of the stream are discounted as in `skscn._core.online`, and every
    dictionary takes one EM step.

    Parameters
    ----------
    state : OnlineMixture
    rows : RowSums
        With NaN where nothing was measured.
    problem : MixtureProblem
    forgetting : float
    """
    sums = rows.sum(
        partial(
            mixture_sums,
            mixture=problem.mixture(state.dictionaries, state.weights),
            dtypes=tuple(
                problem.dtype_of_moments(each, rows.dtype)
                for each in state.dictionaries
            ),
            n_statistics=problem.n_statistics,
        )
    )
    weight_seen = state.weight_seen + sums.weight
    discount = (state.weight_seen / weight_seen) ** forgetting
    dictionaries, all_data, all_codes = [], [], []
    for dictionary, data, codes, former_data, former_codes in zip(
        state.dictionaries, sums.data, sums.codes, state.data, state.codes, strict=True
    ):
        if data.weight > 0.0:
            data, codes = problem.complete(dictionary, data, codes)
            data = former_data * discount + data
            codes = former_codes * discount + codes
        else:
            data, codes = former_data * discount, former_codes * discount
        if data.weight > MIN_SHARE * sums.weight:
            new, evaluation = problem.evaluate(dictionary, data, codes)
            data = data.recentered(new.center - dictionary.center)
            codes = evaluation.moments
            dictionary = em_step(new, evaluation)
        dictionaries.append(dictionary)
        all_data.append(data)
        all_codes.append(codes)
    former_weight = sum(data.weight for data in state.data) * discount
    weights = former_weight * state.weights + sums.responsibility
    new = OnlineMixture(
        dictionaries,
        weights / weights.sum(),
        all_data,
        all_codes,
        weight_seen,
        state.data_rms,
    )
    return new, -sums.score / sums.weight
