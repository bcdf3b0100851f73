"""How a mixture of dictionaries learns from a stream of mini-batches."""

from dataclasses import replace

import numpy as np

from skscn._coders.base import BUFFERED_ROWS_PER_COMPONENT
from skscn._coders.checks import check_moments
from skscn._coders.mixture_learning import MixtureLearningMixin
from skscn._coders.mixture_start import check_labels
from skscn._core.mixture_online import OnlineMixture, update_mixture
from skscn._core.online import RowBuffer, buffer_rows
from skscn._data.inputs import (
    cast_minibatch,
    check_weights,
    drop_weightless,
    load_minibatch,
)
from skscn._data.row_sums import row_sums
from skscn._data.sample_weights import cast_weights
from skscn._data.sklearn_compat import atomic_fit
from skscn._data.validation import check_n_components


class MixtureStreamMixin(MixtureLearningMixin):
    """`partial_fit` of a mixture."""

    n_components: int | None
    forgetting: float
    n_jobs: int | None
    components_: np.ndarray
    objective_path_: list
    n_iter_: int
    _estimates: list
    _online_state: OnlineMixture
    _row_buffer: RowBuffer | None

    @atomic_fit
    def partial_fit(self, X, y=None, sample_weight=None):
        """Learn from one more mini-batch of a stream, or continue after `fit`.

        The responsibilities and the codes of a mini-batch are those of the current
        dictionaries. Its moments are added to those of the stream, which are discounted
        as those of a coder, and each dictionary takes an EM step. The first rows are
        buffered until there are two for every coefficient of every dictionary.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The mini-batch. The first has at least n_dictionaries rows. NaN marks
            missing values.
        y : Ignored
            Not used, present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. An integer weight equals repetition of its sample.

        Returns
        -------
        self : object
            The mixture, fitted to the stream so far. The objective of the mini-batch
            before it was learned is appended to `objective_path_`; `n_iter_` counts the
            mini-batches.

        Raises
        ------
        ValueError
            As `fit`, and if the number of features or a parameter of the model changes.
        TypeError
            If X is a dask array: mini-batches are in memory.
        """
        is_first = not hasattr(self, "components_")
        X = load_minibatch(self._validate(X, reset=is_first, method="partial_fit"))
        weights, labels = check_weights(sample_weight, X), None
        if is_first:
            labels = check_labels(self.init, X.shape[0], self.n_dictionaries, weights)
        X, weights = drop_weightless(X, weights)
        weights = cast_weights(weights, X.dtype)
        if not is_first:
            X = cast_minibatch(X, self.components_.dtype)
        n_components = check_n_components(self.n_components, X.shape[1])
        state = getattr(self, "_online_state", None)
        buffer = RowBuffer(X[:0]) if state is None else self._row_buffer
        if buffer is not None:
            required = BUFFERED_ROWS_PER_COMPONENT * n_components * self.n_dictionaries
            buffer, X, weights, restarts = buffer_rows(buffer, X, weights, required)
            state = None if restarts else state
        former = None if state is None else self._estimates
        with row_sums(X, weights, self.n_jobs, allow_empty=state is not None) as rows:
            if state is None:
                self._check_n_samples(X.shape[0])
                problem, dictionaries, shares, _ = self._start(
                    X, rows, n_components, labels
                )
                state = OnlineMixture.start(dictionaries, shares, problem)
            problem = self._problem(n_components, X.dtype, state.data_rms)
            check_moments(rows.data_moments(np.zeros(X.shape[1])), dtype=X.dtype)
            rows = self._incomplete(rows)
            new, objective = update_mixture(
                state, rows, problem, forgetting=self.forgetting
            )
            estimates = self._estimates_of(problem, rows, new)
        if former is not None and not problem.learns_prior:
            discount = (state.weight_seen / new.weight_seen) ** self.forgetting
            estimates = [
                replace(b, histogram=a.histogram * discount + b.histogram)
                for a, b in zip(former, estimates, strict=True)
            ]
        path = [] if is_first else self.objective_path_
        self.__dict__.update(
            self._attributes_of(problem, X.dtype, new),
            _estimates=estimates,
            _online_state=new,
            _row_buffer=buffer,
            objective_path_=[*path, objective],
            n_iter_=1 if is_first else self.n_iter_ + 1,
            converged_=False,
        )
        self.__dict__.pop("labels_", None)
        return self

    def _restart_stream(self, components):
        """Let `partial_fit` start a new stream from other orthonormal atoms."""
        former = self._online_state
        dictionaries = [
            replace(each, iterate=replace(each.iterate, components=atoms))
            for each, atoms in zip(former.dictionaries, components, strict=True)
        ]
        problem = self._problem(
            components.shape[1], self.components_.dtype, former.data_rms
        )
        state = OnlineMixture.start(dictionaries, former.weights, problem)
        self._online_state, self._row_buffer = state, None
