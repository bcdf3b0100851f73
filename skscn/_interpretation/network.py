"""A trained model as a sequence of operations, with its predictions and scores."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import expit, softmax
from sklearn.metrics import accuracy_score, r2_score

from skscn._data.sklearn_compat import as_numpy

FLOAT_DTYPES = [np.float64, np.float32]
OUTPUT_ACTIVATIONS: dict = {
    "softmax": partial(softmax, axis=1),
    "logistic": expit,
    "exp": np.exp,
}


def to_array(X):
    """Return a tensor, or an array of another namespace, as an array of NumPy."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(X, torch.Tensor):
        X = X.detach().cpu()
        return (X.float() if X.dtype in (torch.bfloat16, torch.float16) else X).numpy()
    return as_numpy(X)


@dataclass(frozen=True, eq=False)
class Network:
    """A trained model as operations, and functions that lead back to the model.

    Parameters
    ----------
    name : str
    operations : sequence of Operation
    prepare : callable
        Maps X, as the model takes it, to samples for the operations.
    write : callable or None
        Maps repaired affine layers by key to a copy of the model with their weights.
    repair_error : Exception or None
        The reason why the model cannot be repaired.
    classes : ndarray or None
        The labels of a classifier of scikit-learn.
    output_activation : {"softmax", "logistic", "identity", "exp"} or None
        The function that maps outputs to probabilities or values. "identity" of a
        classifier stands for scores. None if the model does not say whether its outputs
        are values or scores of classes.
    has_flat_output : bool
        Whether predictions of a single value are of shape (n_samples,).
    channels_first : bool
        Whether the model returns maps as (n, channels, height, width).
    """

    name: str
    operations: tuple
    prepare: Callable
    write: Callable | None = None
    repair_error: Exception | None = None
    classes: np.ndarray | None = None
    output_activation: str | None = "identity"
    has_flat_output: bool = False
    channels_first: bool = False

    def samples(self, X):
        """Return X, an array or tensor as the model takes it, for the operations."""
        return self.prepare(to_array(X))

    def predict_values(self, outputs):
        """Return probabilities or scores of a classifier, or values."""
        return OUTPUT_ACTIVATIONS.get(self.output_activation, np.asarray)(outputs)

    @property
    def has_probabilities(self):
        """Whether `predict_values` returns probabilities of classes."""
        return self.classes is not None and self.output_activation != "identity"

    def predict(self, outputs):
        """Return labels of a classifier, or values."""
        values = self.predict_values(outputs)
        if self.classes is None:
            return values.ravel() if self.has_flat_output else values
        is_logistic = self.output_activation == "logistic"
        if values.shape[1] == 1:
            is_second = values[:, 0] > (0.5 if is_logistic else 0.0)
            return self.classes[is_second.astype(int)]
        if is_logistic:  # several labels of each sample
            return (values > 0.5).astype(int)
        return self.classes[values.argmax(axis=1)]

    def score(self, predictions, y):
        """Return the accuracy of predictions, or R² of values.

        Parameters
        ----------
        predictions : ndarray
            Returned by `predict`.
        y : ndarray
        """
        if self.classes is not None:
            return float(accuracy_score(y, predictions))
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        n_outputs = int(np.prod(predictions.shape[1:]))
        if y.ndim == 1 and n_outputs > 1:
            if y.dtype.kind not in "iub" or not np.isin(y, np.arange(n_outputs)).all():
                raise ValueError(
                    f"The network has {n_outputs} outputs, so labels must be column "
                    f"indices, integers from 0 to {n_outputs - 1}, but y holds "
                    f"{', '.join(map(str, np.unique(y)[:3]))}, … Give np.unique(y, "
                    "return_inverse=True)[1], if its order is that of the outputs."
                )
            return float(accuracy_score(y, predictions.argmax(axis=1)))
        if y.dtype.kind not in "iubf":
            raise ValueError(
                f"y is of dtype {y.dtype}, but the outputs of the network are numbers: "
                "encode labels as 0 and 1."
            )
        is_score = self.output_activation is None and n_outputs == 1
        if is_score and np.isin(y, [0, 1]).all():
            return float(accuracy_score(y, predictions.ravel() > 0))
        if y.size != predictions.size:
            raise ValueError(
                f"y has shape {y.shape}, but the network returns {predictions.shape}."
            )
        return float(r2_score(y, predictions.reshape(y.shape)))
