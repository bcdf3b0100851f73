"""The only module that imports private or very new parts of scikit-learn."""

from contextlib import contextmanager
from functools import cache, wraps
from importlib import import_module
from importlib.metadata import PackageNotFoundError, metadata
from typing import Any

import numpy as np
from scipy import sparse
from sklearn import config_context, get_config
from sklearn.base import _fit_context
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils import check_array as _check_array
from sklearn.utils._array_api import _convert_to_numpy, get_namespace_and_device
from sklearn.utils._optional_dependencies import (
    check_matplotlib_support as check_matplotlib,
)
from sklearn.utils._optional_dependencies import (
    check_pandas_support as check_pandas,
)
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils._repr_html.estimator import _VisualBlock
from sklearn.utils._set_output import _wrap_data_with_container
from sklearn.utils.metaestimators import _BaseComposition as BaseComposition
from sklearn.utils.validation import _check_feature_names_in as check_feature_names_in
from sklearn.utils.validation import _check_sample_weight
from sklearn.utils.validation import validate_data as _validate_data

from skscn._core.caller_warnings import warn_caller

try:  # scikit-learn 1.9
    from sklearn.callback import CallbackSupportMixin

    HAS_CALLBACKS = True
except ImportError:
    HAS_CALLBACKS = False

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """The mixin of scikit-learn 1.9, without any function before it."""


__all__ = [
    "HAS_CALLBACKS",
    "BaseComposition",
    "CallbackSupportMixin",
    "FitCallbacks",
    "Interval",
    "PackageMixin",
    "StrOptions",
    "array_namespace",
    "as_numpy",
    "atomic_fit",
    "check_array",
    "check_feature_names_in",
    "check_fixed_parameters",
    "check_matplotlib",
    "check_pandas",
    "check_sample_weight",
    "composition_block",
    "import_optional",
    "safe_indexing",
    "store_fixed_parameters",
    "to_sparse_interface",
    "validate_data",
    "wrap_tables",
]

# scikit-learn adds all entries to see whether they are finite: their sum may overflow.
_sum_may_overflow = np.errstate(over="ignore", invalid="ignore")
check_array = _sum_may_overflow(_check_array)
validate_data = _sum_may_overflow(_validate_data)


# Where the documentation is. None stands for the address in the package's metadata.
# The gallery, which is part of the documentation, sets a relative one.
DOCUMENTATION: str | None = None


class PackageMixin:
    """Do what scikit-learn does for its own estimators only.

    Files record the version of skscn, with a warning where another version loads them.
    The HTML representation links to the documentation of the class. The mixin comes
    before the classes of scikit-learn in the list of base classes.
    """

    def _get_doc_link(self):
        """Return the address of the page of the class, or "" if there is none."""
        address = DOCUMENTATION or _documentation_address()
        if not address or not type(self).__module__.startswith("skscn."):
            return ""  # subclasses elsewhere have pages of their own
        return f"{address.rstrip('/')}/generated/skscn.{type(self).__name__}.html"

    def __getstate__(self):
        state: Any = super().__getstate__()
        return {**state, "_skscn_version": _skscn_version()}

    def __setstate__(self, state):
        state = dict(state)
        version = state.pop("_skscn_version", "unknown")
        if version != _skscn_version():
            warning = InconsistentVersionWarning(
                estimator_name=f"{type(self).__name__} of skscn",
                current_sklearn_version=_skscn_version(),
                original_sklearn_version=version,
            )
            warn_caller(warning)
        super().__setstate__(state)  # type: ignore[misc]


@cache
def _documentation_address():
    """Return the address that a release states in pyproject.toml, or None."""
    try:
        urls = metadata("skscn").get_all("Project-URL") or []
    except PackageNotFoundError:  # not installed: imported from a folder
        return None
    addresses = dict(url.split(", ", 1) for url in urls)
    return addresses.get("Documentation")


def _skscn_version():
    import skscn  # not at the top, because the package imports this module

    return skscn.__version__


def atomic_fit(method, *, skip_nested=True):
    """Decorate a fitting method: validate parameters, and restore state on failure.

    If an exception stops the method, a KeyboardInterrupt included, the estimator gets
    back the attributes that it had before. Fitted arrays are replaced and never written
    into, so that a shallow copy of the attributes is enough.

    An estimator names in `_fixed_in_stream` the parameters that its fitted state
    depends on. `partial_fit` is refused if one of them was changed since the last fit.
    """
    checked = _fit_context(prefer_skip_nested_validation=skip_nested)(method)

    @wraps(method)
    def fit(estimator, *args, **kwargs):
        before = dict(vars(estimator))
        if method.__name__ == "partial_fit":
            check_fixed_parameters(estimator)
        try:
            result = checked(estimator, *args, **kwargs)
        except BaseException:
            vars(estimator).clear()
            vars(estimator).update(before)
            raise
        store_fixed_parameters(estimator)
        return result

    return fit


def store_fixed_parameters(estimator):
    """Store the parameters that the fitted state of an estimator depends on."""
    if hasattr(estimator, "_fixed_in_stream"):
        estimator._fixed_parameters = dict(_fixed_parameters(estimator))


def check_fixed_parameters(estimator):
    """Raise where a parameter that the fitted state depends on was changed."""
    if not hasattr(estimator, "_fixed_parameters"):
        return
    parameters = dict(_fixed_parameters(estimator))
    for name, fitted in estimator._fixed_parameters.items():
        value: Any = parameters.get(name)
        if value is not fitted and not np.array_equal(value, fitted):
            raise ValueError(
                f"{name}={value!r} was {fitted!r} when the stream started, and "
                "partial_fit cannot change it. Set it back, or start anew with fit."
            )


def _fixed_parameters(estimator):
    for name in estimator._fixed_in_stream:
        yield from _plain_parameters(name, getattr(estimator, name))


def _plain_parameters(name, value):
    """Yield (name, value) of a parameter and, of estimators, of their parameters."""
    if hasattr(value, "get_params"):
        yield name, type(value).__name__
        for inner, inner_value in value.get_params(deep=False).items():
            if inner not in ("n_jobs", "random_state"):
                yield from _plain_parameters(f"{name}__{inner}", inner_value)
    elif isinstance(value, list) and all(isinstance(pair, tuple) for pair in value):
        yield name, tuple(inner for inner, _ in value)
        for inner, inner_value in value:
            yield from _plain_parameters(inner, inner_value)
    else:
        yield name, value


def wrap_tables(method):
    """Decorate a transforming method: tables become data frames if so configured.

    scikit-learn wraps all results, and fails for arrays of more than two dimensions. A
    class with this decorator is defined with ``auto_wrap_output_keys=None``.
    """

    @wraps(method)
    def transform(estimator, X, *args, **kwargs):
        result = method(estimator, X, *args, **kwargs)
        if not isinstance(result, np.ndarray) or result.ndim != 2:
            return result
        return _wrap_data_with_container("transform", result, X, estimator)

    return transform


def check_sample_weight(sample_weight, X):
    """Return weights in float64, or None; raise where all weights are zero."""
    if sample_weight is None:
        return None
    weights = _check_sample_weight(
        sample_weight, X, dtype=np.float64, ensure_non_negative=True
    )
    if not weights.any():
        raise ValueError(
            f"The sample weights of all {len(weights)} samples are zero, so that there "
            "is nothing to learn from. Give at least one sample a positive weight."
        )
    return weights


def array_namespace(X):
    """Return the array namespace and the device of X; None stands for NumPy.

    There are others only with scikit-learn's `array_api_dispatch`.
    """
    if not get_config()["array_api_dispatch"] or not _is_foreign(X):
        return None
    xp, _, device = get_namespace_and_device(X)
    return xp, device


def as_numpy(X):
    """Return an array of any namespace and device as a NumPy array."""
    if not _is_foreign(X):
        return X
    with config_context(array_api_dispatch=True):
        xp, *_ = get_namespace_and_device(X)
    return _convert_to_numpy(X, xp)


def _is_foreign(X):
    return hasattr(X, "__dlpack__") and not isinstance(X, np.ndarray | np.generic)


def to_sparse_interface(matrix):
    """Return a CSR array as the sparse container that scikit-learn is configured for.

    Before 1.9 scikit-learn returned matrices, which is still the default.
    """
    if get_config().get("sparse_interface", "spmatrix") == "sparray":
        return matrix
    return sparse.csr_matrix(matrix)


class FitCallbacks:
    """The callbacks of an iterative fit; before scikit-learn 1.9, no operation.

    Parameters
    ----------
    estimator : estimator instance
    X : {ndarray, sparse} of shape (n_samples, n_features)
    max_iter : int
    attributes : callable, default=None
        Maps the solution so far to the fitted attributes, as if the fit stopped here.
    """

    def __init__(self, estimator, X, max_iter, attributes=None):
        self._estimator, self._X, self._attributes = estimator, X, attributes
        self._context = None
        if HAS_CALLBACKS:
            self._context = estimator._init_callback_context(max_subtasks=max_iter)
            self._context.call_on_fit_task_begin(estimator=estimator, X=X)

    def begin_iteration(self):
        """Announce an iteration."""
        if self._context is not None:
            self._iteration = self._context.subcontext(task_name="iteration")
            self._iteration.call_on_fit_task_begin(estimator=self._estimator, X=self._X)

    def end_iteration(self, solution):
        """End an iteration; return whether a callback asks to stop.

        Parameters
        ----------
        solution : callable
            Returns the solution so far. It is called when a callback needs it.
        """
        if self._context is None:
            return False
        return self._iteration.call_on_fit_task_end(
            estimator=self._estimator,
            X=self._X,
            reconstruction_attributes=lambda: self._attributes(solution()),
        )

    @contextmanager
    def subtask(self, name, estimator):
        """Run the fit of another estimator as a part of this fit."""
        if self._context is None:
            yield
            return
        part = self._context.subcontext(task_name=name)
        with part.propagate_callback_context(estimator):
            part.call_on_fit_task_begin(estimator=self._estimator, X=self._X)
            yield
            part.call_on_fit_task_end(estimator=self._estimator, X=self._X)

    def end(self):
        """End the fit, with all attributes set."""
        if self._context is not None:
            self._context.call_on_fit_task_end(
                estimator=self._estimator, X=self._X, reconstruction_attributes={}
            )


def composition_block(named_estimators, *, is_stack):
    """Return how the HTML of scikit-learn shows estimators: in a row, or side by side.

    Parameters
    ----------
    named_estimators : list of (str, estimator or str) tuples
    is_stack : bool
        Whether each reads the output of the one before.
    """
    names, estimators = zip(*named_estimators, strict=True)
    if is_stack:
        kinds = (
            each if isinstance(each, str) else type(each).__name__
            for each in estimators
        )
        names = tuple(
            f"{name}: {kind}" for name, kind in zip(names, kinds, strict=True)
        )
    return _VisualBlock(
        "serial" if is_stack else "parallel",
        estimators,
        names=names,
        name_details=[str(each) for each in estimators],
        dash_wrapped=False,
    )


def import_optional(package, *, extra, caller):
    """Return an optional package, or raise an error that names its extra."""
    try:
        return import_module(package)
    except ImportError as error:
        raise ImportError(
            f"{caller} needs {package}: pip install 'skscn[{extra}]'"
        ) from error
