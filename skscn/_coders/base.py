"""The body of the coders: scikit-learn's conventions around the functional core."""

from dataclasses import replace
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from scipy import sparse
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import check_random_state
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted

from skscn._coders.likelihood import Likelihood
from skscn._core.initialization import start, uses_scatter_matrix
from skscn._core.missing_values import MissingValues
from skscn._core.moments import code_moments, data_moments, encode, encode_sparse
from skscn._core.online import OnlineState, advance, gather
from skscn._core.problems import MapProblem, MarginalLikelihoodProblem
from skscn._core.procrustes import canonical_order, canonical_signs
from skscn._core.stiefel import minimize_on_stiefel
from skscn._data.blocks import blockwise
from skscn._data.device_arrays import DeviceRows, check_not_on_device
from skscn._data.inputs import (
    check_codes,
    check_rows,
    check_weights,
    require_in_memory,
    to_input_namespace,
)
from skscn._data.parallel import map_rows, map_rows_into, sum_over_rows, workers
from skscn._data.sklearn_compat import (
    CallbackSupportMixin,
    FitCallbacks,
    Interval,
    StrOptions,
    as_numpy,
    atomic_fit,
    to_sparse_interface,
)
from skscn._data.validation import (
    check_alpha,
    check_initial_dictionary,
    check_n_components,
    check_only_missing,
    check_squares,
    warn_not_converged,
    warn_zero_codes,
)

PATIENCE = 2  # small improvements in a row that end learning: one may be a saddle
GATHERED = 2  # rows per component that a stream gathers before it trusts their axes


class BaseCoder(
    Likelihood,
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """What coders share; a concrete one names its priors and its parameters."""

    _priors: ClassVar[dict]
    n_iter_: int
    _gathered: tuple | None

    _parameter_constraints: ClassVar[dict] = {
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "alpha": [
            Interval(Real, 0, None, closed="left"),
            StrOptions({"auto"}),
            "array-like",
        ],
        "inference": [StrOptions({"map", "mean"})],
        "center": ["boolean"],
        "init": [StrOptions({"pca", "dct", "random"}), "array-like"],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "forgetting": [Interval(Real, 0, None, closed="left")],
        "sparse_output": ["boolean"],
        "warm_start": ["boolean"],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    @atomic_fit
    def fit(self, X, y=None, sample_weight=None):
        """Learn the dictionary.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data. float32 stays float32, CSR stays sparse. NaN stands for what
            was not measured; data with NaN are copied. Files, dask arrays and tensors
            are read where they are: see :ref:`scaling`.
        y : Ignored
            Not used, present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. An integer weight equals repetition of its sample.

        Returns
        -------
        self : object
            The fitted coder.

        Raises
        ------
        ValueError
            If X is empty, infinite or complex, if a feature is NaN everywhere, if
            n_components exceeds n_features, or if `alpha`, `init` or `sample_weight`
            have a wrong shape or value.
        """
        warm = self.warm_start and hasattr(self, "components_")
        X = self._validated(X, reset=True)
        weights = check_weights(sample_weight, X)
        given = self.components_ if warm else self.init
        given = check_initial_dictionary(as_numpy(given), X.shape[1])
        n_components = check_n_components(self.n_components, X.shape[1], given)
        inference = self._inference(n_components, X.dtype)
        task = FitCallbacks(self, X, self.max_iter)
        with workers(X.shape[0], self.n_jobs) as pool:
            gaps = None
            if self._has_missing(X):
                gaps = MissingValues(X, weights, partial(map_rows_into, pool))
                X = gaps.filled
            total = partial(sum_over_rows, pool, X=X, sample_weight=weights)
            data, mean, origin = self._opening(X, total, given, inference.code)
            known = self._known.belief if warm and self._goes_on(n_components) else None
            evaluate, start, limits = inference.problem(
                total, data, mean, origin, known
            )
            if gaps is not None:
                data = replace(data, missing=gaps.n_missing)
                reader = inference.reader(mean, data)
                evaluate = gaps.profiled(evaluate, reader, total, mean)
            steps = minimize_on_stiefel(evaluate, start, limits)
            step = next(steps)
            path = [step.evaluation.objective]

            def attributes():
                known = inference.measured(step.state, total, data, mean)
                fitted = self._attributes(
                    step.components, mean, inference, known, list(path)
                )
                return to_input_namespace(X, fitted)

            calm, done = 0, self.max_iter == 0
            while not done and len(path) <= self.max_iter:
                task.begin_iteration()
                step = next(steps)
                path.append(step.evaluation.objective)
                calm = step.calm_since(calm, self.tol)
                done = calm == PATIENCE
                done |= task.end_iteration(attributes)
            state, moments = step.state, step.evaluation.moments
            if self.max_iter > 0:
                order, signs = self._canonical(state.components, moments.cross)
                state = inference.rearranged(state, order, signs)
                moments = moments.rearranged(order, signs)
            if gaps is not None:
                final = gaps.completed(state, reader, total, mean)
            known = inference.measured(state, total, data, mean)
            data = data if gaps is None else final
        fitted = self._attributes(state.components, mean, inference, known, path)
        self.__dict__.update(
            to_input_namespace(X, fitted),
            _stream=OnlineState(
                state.components, mean, data, moments, known, data.weight
            ),
            _gathered=None,
        )
        task.end()
        if not done:
            unit = "nats a feature" if inference.n_sums else "of its value"
            warn_not_converged(self.tol, unit, self.max_iter)
        if not inference.n_sums and moments.gain == 0.0 and data.square > 0.0:
            size = np.sqrt(data.square / data.weight / X.shape[1])
            warn_zero_codes(self.alpha, size)
        return self

    @atomic_fit
    def partial_fit(self, X, y=None, sample_weight=None):
        """Learn from one more chunk of a stream, or go on after `fit`.

        Every chunk is coded with the dictionary so far; its moments are added to those
        of the stream, and the dictionary becomes their polar factor. What came before
        is first scaled by (n / n')^forgetting for n samples seen before the chunk and
        n' after it, so that the i-th of n samples weighs (i / n)^forgetting for chunks
        of any sizes. Repeated over the same data it comes to rest where `fit` does.
        With `init="pca"` the first rows are gathered until there are two for every
        component, before the stream starts from their principal axes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The chunk, of any number of rows. NaN stands for what was not measured.
        y : Ignored
            Not used, present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. An integer weight equals repetition of its sample.

        Returns
        -------
        self : object
            The coder, fitted to the stream so far. `objective_path_` gains the
            objective of the chunk before it was learned, `n_iter_` counts the chunks.

        Raises
        ------
        ValueError
            As `fit`, and if the number of features changes.
        TypeError
            If X is a dask array or a tensor on a device: a chunk is at hand.
        """
        first = not hasattr(self, "components_")
        stream: Any = None
        X = require_in_memory(self._validated(X, reset=first, method="partial_fit"))
        weights = check_weights(sample_weight, X)
        if first:
            given = check_initial_dictionary(as_numpy(self.init), X.shape[1])
            n_components = check_n_components(self.n_components, X.shape[1], given)
            path: list = []
            gathered: tuple | None = X[:0], None
        else:
            given, n_components = None, self._n_features_out
            stream, gathered = self._stream, self._gathered
            path = self.objective_path_
            with np.errstate(over="ignore"):  # the check of the squares will tell
                X = X.astype(self.components_.dtype, copy=False)
        inference = self._inference(n_components, X.dtype)
        anew = gathered is not None
        if anew:
            axes = given is None and self.init == "pca"
            enough = GATHERED * n_components if axes or inference.n_sums else 0
            gathered, (X, weights), anew = gather(gathered, X, weights, enough)
        if stream is not None and not anew and not inference.goes_on(stream):
            given, anew = stream.components, True
        with workers(X.shape[0], self.n_jobs) as pool:
            gaps, missing = None, 0.0
            if self._has_missing(X):
                gaps = MissingValues(
                    X, weights, partial(map_rows_into, pool), empty=not anew
                )
                X, missing = gaps.filled, gaps.n_missing
            total = partial(sum_over_rows, pool, X=X, sample_weight=weights)
            if anew:
                data, mean, origin = self._opening(X, total, given, inference.code)
                known = inference.opened(origin, total, data, mean)
                stream = OnlineState.opened(mean, origin, known, inference.n_sums)
            if gaps is not None:
                point, code = inference.reading(
                    stream.components, stream.mean, stream.known
                )
                gaps.refill(components=stream.components, mean=point, code=code)
            stream, objective = advance(
                stream,
                total,
                inference=inference,
                center=self.center,
                forgetting=self.forgetting,
                check=partial(check_squares, dtype=X.dtype),
                missing=missing,
            )
        path = [*path, objective]
        self.__dict__.update(
            self._attributes(
                stream.components, stream.mean, inference, stream.known, path
            ),
            n_iter_=1 if first else self.n_iter_ + 1,
            _stream=stream,
            _gathered=gathered,
        )
        return self

    @blockwise
    def transform(self, X):
        """Return the sparse codes of samples.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples; each is coded by itself, so the result does not depend on the
            others. NaN stands for what was not measured.

        Returns
        -------
        codes : {ndarray, CSR} of shape (n_samples, n_components)
            Of the dtype of X; CSR with `sparse_output=True`.

        Raises
        ------
        ValueError
            If X is infinite or has another number of features than in `fit`.
        """
        check_is_fitted(self)
        # Dense rows are read once: their codes tell which of them are not finite.
        by_codes = not (self.sparse_output or sparse.issparse(X))
        finite = False if by_codes else "allow-nan"
        X = self._validated(X, reset=False, method="transform", finite=finite)
        encoder = partial(
            encode_sparse if self.sparse_output else encode,
            components=self._atoms(X.dtype),
            mean=self._shift(X.dtype),
            code=self._asked_code(X.dtype),
        )
        if isinstance(X, DeviceRows):
            check_not_on_device(
                X, "sparse_output=True", "Use False.", self.sparse_output
            )
            return X.filled(encoder)
        work = X.shape[0] * self.components_.size
        work *= 1 if by_codes and self.inference == "map" else 10
        with workers(X.shape[0], self.n_jobs, work=work) as pool:
            if not self.sparse_output:
                out = np.empty((X.shape[0], self._n_features_out), dtype=X.dtype)
                codes = map_rows_into(pool, encoder, X, out)
                gaps = np.flatnonzero(np.isnan(codes[:, 0]))
                if len(gaps):
                    rows = check_only_missing(X[gaps], self)
                    codes[gaps] = encoder(self._completed(rows, encoder), None)
                return codes
            if self._has_missing(X):
                X = self._completed(X, encoder)
            slices = list(map_rows(pool, encoder, X))
        return to_sparse_interface(sparse.vstack(slices, format="csr"))

    @blockwise
    def inverse_transform(self, X):
        """Return the samples that codes stand for, mean + codes D.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_components)
            Codes.

        Returns
        -------
        samples : ndarray of shape (n_samples, n_features)
            Of the dtype of the codes.

        Raises
        ------
        ValueError
            If X is not finite or has not n_components columns.
        """
        check_is_fitted(self)
        X = check_codes(self, X, self._n_features_out)
        if isinstance(X, DeviceRows):
            return X.times(self._atoms(X.dtype), as_numpy(self.mean_))
        samples = safe_sparse_dot(X, self._atoms(X.dtype))
        samples += as_numpy(self.mean_).astype(X.dtype, copy=False)
        return samples

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.array_api_support = True
        return tags

    @property
    def _n_features_out(self):
        return self.components_.shape[0]

    def _validated(self, X, *, reset, method="fit", finite="allow-nan"):
        return check_rows(self, X, reset=reset, method=method, finite=finite)

    def _inference(self, n_components, dtype):
        prior = self._priors[self.prior]
        if isinstance(self.alpha, str):
            return MarginalLikelihoodProblem(prior, self.center, dtype)
        alpha = check_alpha(as_numpy(self.alpha), n_components, dtype)
        return MapProblem(prior, alpha, self.center, dtype)

    def _goes_on(self, n_components):
        """Return whether what is known of the prior can be learned on."""
        known = (
            self.prior == self._fitted_prior and self.alpha_.shape[0] == n_components
        )
        return known and isinstance(self.alpha, str)

    def _opening(self, X, total, given, code):
        """Return moments of the data about their mean, the mean, and a dictionary."""
        mean = np.zeros(X.shape[1])
        if self.center:
            data = total(data_moments)
            check_squares(data.square, X.dtype)
            mean = (data.total / data.weight).astype(X.dtype).astype(np.float64)
        point = mean.astype(X.dtype) if self.center else None
        scatter = (
            given is None and self.init == "pca" and uses_scatter_matrix(X.shape[1])
        )
        data = total(partial(data_moments, mean=point, scatter=scatter))
        check_squares(data.square, X.dtype)
        if given is None:
            given = start(
                self.init,
                check_n_components(self.n_components, X.shape[1]),
                data=data,
                moments=lambda components, code: total(
                    partial(
                        code_moments,
                        components=components.astype(X.dtype),
                        mean=point,
                        code=code,
                    )
                ),
                code=code,
                random_state=check_random_state(self.random_state),
            )
        return replace(data, scatter=None), mean, given

    def _canonical(self, components, cross):
        """Return order and signs of atoms, both as they are where they have a meaning.

        An array of priors belongs to coefficients in their order, and one-sided codes
        belong to atoms with their sign.
        """
        order = np.arange(len(components))
        signs = np.ones(len(components))
        if np.ndim(self.alpha) == 0:  # a number, or "auto"
            order = canonical_order(components, cross)
        if not self._priors[self.prior].one_sided:
            signs = canonical_signs(components[order])
        return order, signs

    def _attributes(self, components, mean, inference, known, path):
        dtype, exact = inference.dtype, isinstance(inference, MarginalLikelihoodProblem)
        if exact:
            mean = mean + known.shift(components)
            alpha, shrinkage = inference.prior.rule(known.parameters, known.noise)
        else:
            alpha, shrinkage = inference.alpha, None
        return {
            "components_": components.astype(dtype),
            "mean_": mean.astype(dtype),
            "alpha_": alpha.astype(dtype),
            "_shrinkage": shrinkage,
            "_known": known,
            "_learned_prior": exact,
            "_fitted_prior": self.prior,
            "objective_path_": path,
            "n_iter_": len(path) - 1,
        }
