"""The common base of the coders: scikit-learn's conventions around the core."""

from dataclasses import replace
from functools import partial
from numbers import Integral, Real
from typing import ClassVar

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

from skscn._coders.checks import check_moments, warn_after_fit, weighted_rows
from skscn._coders.likelihood import LikelihoodMixin
from skscn._core.fitting import learn_dictionary, start_dictionary
from skscn._core.missing_values import (
    encode_to_csr_with_missing,
    encode_with_missing,
)
from skscn._core.online import OnlineState, RowBuffer, buffer_rows, update
from skscn._core.problems import MapProblem, MarginalLikelihoodProblem
from skscn._core.procrustes import polar_factor
from skscn._core.signs import encode_and_split, split_array_api
from skscn._data.blocks import blockwise
from skscn._data.device_arrays import DeviceRows, check_not_on_device
from skscn._data.inputs import (
    cast_minibatch,
    check_codes,
    check_rows,
    load_minibatch,
    to_input_namespace,
)
from skscn._data.parallel import map_rows, map_rows_into, worker_pool
from skscn._data.row_sums import contains_missing, row_sums
from skscn._data.sklearn_compat import (
    CallbackSupportMixin,
    FitCallbacks,
    Interval,
    PackageMixin,
    StrOptions,
    as_numpy,
    atomic_fit,
    to_sparse_interface,
)
from skscn._data.validation import (
    check_alpha,
    check_code_limit,
    check_initial_dictionary,
    check_n_components,
    check_only_missing,
    check_same_shape,
)

# Rows per component that a stream buffers before it starts from their principal axes:
# the axes of fewer rows are those of noise.
BUFFERED_ROWS_PER_COMPONENT = 2
# The default threshold, where the number of coefficients is not limited.
DEFAULT_ALPHA = 1.0
# Encodings other than a threshold of dense rows take about ten times as long.
SLOW_ENCODING_FACTOR = 10


class BaseCoder(
    PackageMixin,
    LikelihoodMixin,
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Learning, encoding and decoding; a subclass has the priors and the parameters."""

    _priors: ClassVar[dict]
    n_iter_: int
    _online_state: OnlineState
    _row_buffer: RowBuffer | None

    _parameter_constraints: ClassVar[dict] = {
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "alpha": [
            Interval(Real, 0, None, closed="left"),
            StrOptions({"auto"}),
            "array-like",
            None,
        ],
        "n_nonzero_coefs": [Interval(Integral, 1, None, closed="left"), None],
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

    _fixed_in_stream: tuple = ("center",)

    @atomic_fit
    def fit(self, X, y=None, sample_weight=None):
        """Learn the dictionary.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data. float32 stays float32 and CSR stays sparse. NaN marks missing
            values; data with NaN are copied. Files, dask arrays and tensors are read in
            place: see :ref:`scaling`.
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
            n_components exceeds n_features, if `alpha`, `init` or `sample_weight` have
            a wrong shape or value, or if a warm start has another number of components
            or features.
        """
        is_warm = self.warm_start and hasattr(self, "components_")
        X = self._validate(X, reset=True)
        X, weights = weighted_rows(X, sample_weight)
        init = as_numpy(self.components_ if is_warm else self.init)
        if is_warm:
            remedy = "Set warm_start=False to learn a new one."
            check_same_shape(init, self.n_components, X.shape[1], remedy=remedy)
        init = check_initial_dictionary(init, X.shape[1])
        n_components = check_n_components(self.n_components, X.shape[1], init)
        problem = self._problem(n_components, X.dtype)
        attributes = partial(self._fitted_attributes, problem, X)
        callbacks = FitCallbacks(self, X, self.max_iter, attributes)
        with row_sums(X, weights, self.n_jobs) as rows:
            solution = learn_dictionary(
                rows,
                problem,
                init,
                n_components,
                **self._start_options(rows),
                parameters=self._known_parameters(n_components) if is_warm else None,
                max_iter=self.max_iter,
                tol=self.tol,
                fixed_order=np.ndim(self.alpha) > 0,
                callbacks=callbacks,
            )
        self.__dict__.update(
            attributes(solution),
            _online_state=OnlineState.after_fit(solution),
            _row_buffer=None,
        )
        callbacks.end()
        options = {"alpha": self._given_alpha, "tol": self.tol, "dtype": X.dtype}
        warn_after_fit(solution, problem, max_iter=self.max_iter, **options)
        return self

    @atomic_fit
    def partial_fit(self, X, y=None, sample_weight=None):
        """Learn from one more mini-batch of a stream, or continue after `fit`.

        Every mini-batch is encoded with the current dictionary. Its moments are added
        to those of the stream, and the dictionary becomes their polar factor. The
        moments before are first scaled by (n / n')^forgetting, for n samples seen
        before the mini-batch and n' with it, so that the i-th of n samples weighs
        (i / n)^forgetting for mini-batches of any size. Repeated over the same data it
        converges to the same dictionaries as `fit`. With `init="pca"` the first rows
        are buffered until there are two for every component, and the stream starts from
        their principal axes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The mini-batch, of any number of rows. NaN marks missing values.
        y : Ignored
            Not used, present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. An integer weight equals repetition of its sample.

        Returns
        -------
        self : object
            The coder, fitted to the stream so far. The objective of the mini-batch
            before it was learned is appended to `objective_path_`; `n_iter_` counts the
            mini-batches.

        Raises
        ------
        ValueError
            As `fit`, and if the number of features or of components changes.
        TypeError
            If X is a dask array or a tensor on a device: mini-batches are in memory.
        """
        is_first = not hasattr(self, "components_")
        X = load_minibatch(self._validate(X, reset=is_first, method="partial_fit"))
        X, weights = weighted_rows(X, sample_weight)
        if not is_first:
            X = cast_minibatch(X, self.components_.dtype)
        init, n_components = self._stream_start(X, is_first)
        problem = self._problem(n_components, X.dtype)
        X, weights, state, buffer = self._buffered(X, weights, problem, n_components)
        if state is not None and not problem.continues(state):
            init, state = state.components, None
        with row_sums(X, weights, self.n_jobs, allow_empty=state is not None) as rows:
            if state is not None:
                batch = rows.data_moments(state.mean)
                init = self._init_anew(X, n_components, state)
                state = state.with_scale_of(batch, center=self.center)
            if state is None:
                start = start_dictionary(
                    rows, problem, init, n_components, **self._start_options(rows)
                )
                state = OnlineState.start(problem, *start)
            state, objective = update(
                state,
                rows,
                problem,
                forgetting=self.forgetting,
                check_moments=partial(check_moments, dtype=X.dtype),
            )
        path = [] if is_first else self.objective_path_
        self.__dict__.update(
            self._fitted_attributes(problem, X, state, [*path, objective]),
            n_iter_=1 if is_first else self.n_iter_ + 1,
            _online_state=state,
            _row_buffer=buffer,
        )
        return self

    @blockwise
    def transform(self, X):
        """Encode samples.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples. Each is encoded by itself, so that its code does not depend on the
            others. NaN marks missing values.

        Returns
        -------
        codes : {ndarray, CSR} of shape (n_samples, n_components)
            In the dtype of X; CSR with `sparse_output=True`. Twice as many columns with
            `split_sign=True`.

        Raises
        ------
        ValueError
            If X is infinite or has another number of features than in `fit`, or if
            `n_nonzero_coefs` is given for codes that are not limited.
        """
        check_is_fitted(self)
        # Dense rows are read once: their codes tell which of them are not finite.
        is_checked_later = not (self.sparse_output or sparse.issparse(X))
        finite = False if is_checked_later else "allow-nan"
        X = self._validate(X, reset=False, method="transform", finite=finite)
        model = self._encoding_model(X.dtype)
        if isinstance(X, DeviceRows):
            if self.sparse_output:
                check_not_on_device(X, "sparse_output=True", "Use False.")
            codes = X.encode(model)
            return split_array_api(X.xp, codes) if self._splits_signs else codes
        is_fast = is_checked_later and self.inference == "map"
        work = X.shape[0] * self.components_.size
        work *= 1 if is_fast else SLOW_ENCODING_FACTOR
        with worker_pool(X.shape[0], self.n_jobs, work=work) as pool:
            if self.sparse_output:
                encode = model.encode_to_csr
                if contains_missing(X):
                    encode = partial(encode_to_csr_with_missing, model=model)
                slices = list(map_rows(pool, self._split(encode), X))
                return to_sparse_interface(sparse.vstack(slices, format="csr"))
            out = np.empty((X.shape[0], self._n_features_out), dtype=X.dtype)
            encode = partial(model.encode, split_sign=self._splits_signs)
            codes = map_rows_into(pool, encode, X, out)
        missing = np.flatnonzero(np.isnan(codes[:, 0]))
        if len(missing):
            rows = check_only_missing(X[missing], self)
            encode = partial(encode_with_missing, model=model)
            codes[missing] = self._map_rows(self._split(encode), rows, codes[missing])
        return codes

    @blockwise
    def inverse_transform(self, X):
        """Reconstruct samples from codes, as mean + codes D.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_codes)
            Codes, as `transform` returns them.

        Returns
        -------
        samples : ndarray of shape (n_samples, n_features)
            In the dtype of the codes.

        Raises
        ------
        ValueError
            If X is not finite or has another number of columns than the codes that
            `transform` returns.
        """
        check_is_fitted(self)
        X = check_codes(self, X, self._n_features_out)
        atoms, mean = as_numpy(self.components_), as_numpy(self.mean_)
        if self._splits_signs:
            atoms = np.vstack([atoms, -atoms])
        if isinstance(X, DeviceRows):
            return X.multiply(atoms.astype(X.dtype, copy=False), mean)
        samples = safe_sparse_dot(X, atoms.astype(X.dtype, copy=False))
        samples += mean.astype(X.dtype, copy=False)
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
        return self.components_.shape[0] * (1 + self._splits_signs)

    @property
    def _splits_signs(self):
        """Whether `transform` returns positive and negative parts of codes."""
        return self._fitted_split_sign

    def _split(self, encode):
        """Return the function that encodes, or that encodes and splits signs."""
        return (
            partial(encode_and_split, encode=encode) if self._splits_signs else encode
        )

    def _validate(self, X, *, reset, method="fit", finite="allow-nan"):
        return check_rows(self, X, reset=reset, method=method, finite=finite)

    def _problem(self, n_components, dtype):
        prior, n_nonzero = self._priors[self.prior], self.n_nonzero_coefs
        learns_prior = isinstance(self.alpha, str)
        check_code_limit(n_nonzero, self.inference, learns_prior=learns_prior)
        if learns_prior:
            return MarginalLikelihoodProblem(prior, self.center)
        alpha = check_alpha(as_numpy(self._given_alpha), n_components, dtype)
        return MapProblem(prior, self.center, alpha, n_nonzero)

    @property
    def _given_alpha(self):
        """The parameter `alpha`, or what None stands for."""
        if self.alpha is None:
            return DEFAULT_ALPHA if self.n_nonzero_coefs is None else 0.0
        return self.alpha

    def _start_options(self, rows):
        return {
            "random_state": check_random_state(self.random_state),
            "check_moments": partial(check_moments, dtype=rows.dtype),
        }

    def _known_parameters(self, n_components):
        """Return the parameters that a warm start continues from, or None."""
        is_same = self.prior == self._fitted_prior
        is_same &= self.alpha_.shape[0] == n_components
        learns = isinstance(self.alpha, str)
        return self._estimate.parameters if is_same and learns else None

    def _stream_start(self, X, is_first):
        """Return the initial dictionary of a stream, and its number of atoms."""
        if is_first or self._row_buffer is not None:
            init = check_initial_dictionary(as_numpy(self.init), X.shape[1])
        else:
            init = None
        if is_first:
            return init, check_n_components(self.n_components, X.shape[1], init)
        remedy = "partial_fit goes on with them: call fit, or use clone first."
        check_same_shape(self.components_, self.n_components, remedy=remedy)
        return init, self.components_.shape[0]

    def _buffered(self, X, weights, problem, n_components):
        """Add a mini-batch to the buffer of first rows, as long as there is one.

        Returns the rows to learn from, their weights, the state of the stream, or None
        where it starts from these rows, and the buffer.
        """
        state = getattr(self, "_online_state", None)
        buffer = RowBuffer(X[:0]) if state is None else self._row_buffer
        if buffer is None:
            return X, weights, state, None
        needs_buffer = self._starts_from_axes() or problem.learns_prior
        required = BUFFERED_ROWS_PER_COMPONENT * n_components if needs_buffer else 0
        buffer, X, weights, restarts = buffer_rows(buffer, X, weights, required)
        return X, weights, None if restarts else state, buffer

    def _init_anew(self, X, n_components, state):
        """Return the dictionary that a stream starts anew from, in its midst."""
        if X.shape[0] < BUFFERED_ROWS_PER_COMPONENT * n_components:
            return state.components
        return check_initial_dictionary(as_numpy(self.init), X.shape[1])

    def _restart_stream(self, components):
        """Let `partial_fit` start a new stream from the nearest orthonormal atoms."""
        components = polar_factor(components.astype(np.float64))
        state = replace(self._online_state, components=components, estimate=None)
        self._online_state, self._row_buffer = state, None

    def _starts_from_axes(self):
        return isinstance(self.init, str) and self.init == "pca"

    def _fitted_attributes(self, problem, X, fitted, path=None):
        """Return the attributes of a `Solution` or of an `OnlineState`."""
        path = fitted.objective_path if path is None else path
        mean, alpha, shrinkage = problem.attributes(fitted)
        attributes = {
            "components_": fitted.components.astype(X.dtype),
            "mean_": mean.astype(X.dtype),
            "alpha_": alpha.astype(X.dtype),
            "_shrinkage": shrinkage,
            "_estimate": fitted.estimate,
            "_learned_prior": problem.learns_prior,
            "_fitted_prior": self.prior,
            "_fitted_split_sign": getattr(self, "split_sign", False),
            "objective_path_": path,
            "n_iter_": len(path) - 1,
        }
        return to_input_namespace(X, attributes)
