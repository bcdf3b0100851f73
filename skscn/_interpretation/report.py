"""The report of a trained network as a hierarchy of sparse coding models."""

from numbers import Integral

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_consistent_length, check_scalar

from skscn._core.caller_warnings import warn_caller
from skscn._data.blas_threads import single_blas_thread
from skscn._data.sklearn_compat import check_pandas
from skscn._interpretation.inference import (
    INFERENCE_METHODS,
    check_density,
    network_log_likelihood,
    run_network,
)
from skscn._interpretation.layer_analysis import analyze_layers
from skscn._interpretation.layer_report import format_html_table, format_table
from skscn._interpretation.model_readers import read_model
from skscn._interpretation.network import to_array
from skscn._interpretation.operations import AffineLayer
from skscn._interpretation.repair import RepairResult, repair_operations


class NetworkReport:
    """A trained ReLU network as a hierarchy of sparse coding models.

    A unit max(w·x + b, 0) is ‖w‖ times the code max(d·x − λ, 0) of its input, with the
    atom d = w/‖w‖ and the prior λ = −b/‖w‖. This is the most probable code if the atoms
    D of a layer are orthonormal and λ ≥ 0. The report measures how far the atoms are
    from orthonormal, and by how much the codes miss the optimum. Use
    :func:`interpret_network` to make a report.

    Read more in the :ref:`user guide <interpretation>`.

    Parameters
    ----------
    network : Network
        The model as a sequence of operations.
    X : ndarray or None
        Samples as the operations take them. None analyzes the weights alone.
    max_rows : int
        Maximum number of rows for exact codes and refits.

    Attributes
    ----------
    layers : tuple of LayerReport
        The hidden layers in their order. Attributes of a layer are `name`, `atoms`,
        `norms`, `priors`, `centered_priors`, `gram`, `activity`, `dead_units`, `mean`
        and the numbers of `to_frame`.

    See Also
    --------
    interpret_network : Make a report.
    InterpretationDisplay : Draw a layer of a report.

    Examples
    --------
    >>> import numpy as np
    >>> from skscn import interpret_network
    >>> rng = np.random.default_rng(0)
    >>> hidden = np.eye(3), np.array([-1.0, -1.0, 0.5])
    >>> readout = rng.normal(size=(2, 3)), np.zeros(2)
    >>> report = interpret_network([hidden, readout])
    >>> print(report)
    2 layers, 1 hidden layer read as sparse codes
    layer    units  inputs  b > 0  error  coherence
    layer 1      3       3    33%   0.00       0.00
    b > 0: units with a positive bias; error: deviation from orthonormal atoms, per unit
    >>> report.layers[0].priors
    array([ 1. ,  1. , -0.5])
    """

    def __init__(self, network, X, max_rows):
        self._network = network
        self._samples = X
        self._max_rows = max_rows
        with single_blas_thread():
            self.layers = tuple(analyze_layers(network.operations, X, max_rows))

    def __repr__(self):
        return f"{self._title()}\n{format_table(self.layers)}"

    def _repr_html_(self):
        return format_html_table(self._title(), self.layers)

    def to_frame(self):
        """Return the numbers of all hidden layers as a data frame.

        Returns
        -------
        frame : :class:`pandas.DataFrame` of shape (n_layers, n_numbers)
            One row per layer.
        """
        check_pandas("NetworkReport.to_frame")
        import pandas as pd

        rows = [layer.to_dict() for layer in self.layers]
        return pd.DataFrame(rows).set_index("layer")

    def transform(self, X, *, layer=-1, inference="relu", n_steps=5):
        """Return the codes of a hidden layer.

        Parameters
        ----------
        X : array-like
            Samples as the model takes them.
        layer : int, default=-1
            Index of the hidden layer. Negative indices count from the last.
        inference : {"relu", "exact", "unrolled", "hard", "mean"}, default="relu"
            Inference method of the hidden layers; see `decision_function`.
        n_steps : int, default=5
            Number of steps of "unrolled".

        Returns
        -------
        codes : ndarray of shape (n_samples, n_units) or \
                (n_samples, height, width, n_units)
            Coefficients of atoms of norm one: the activations divided by `norms`.

        Raises
        ------
        ValueError
            If X has a wrong shape, if there is no such layer, or as
            `decision_function`.
        """
        return self._run(X, inference, n_steps, self._layer_index(layer))

    def decision_function(self, X, *, inference="relu", n_steps=5):
        """Return the outputs of the network, with any inference method.

        Parameters
        ----------
        X : array-like
            Samples as the model takes them.
        inference : {"relu", "exact", "unrolled", "hard", "mean"}, default="relu"
            Inference method of the hidden layers. "relu" is the network itself. "exact"
            computes the non-negative code that minimizes ½‖x − aD‖² + Σ λ_j a_j, also
            for atoms that are not orthonormal. "unrolled" takes a few proximal gradient
            steps toward it. "hard" does not shrink coefficients above the threshold (a
            spike and slab prior). "mean" is the posterior mean for orthonormal atoms, a
            smooth ReLU. "hard" and "mean" need a report with data, for the mean and the
            noise variance of the layer's input.
        n_steps : int, default=5
            Number of steps of "unrolled".

        Returns
        -------
        outputs : ndarray of shape (n_samples, n_outputs)
            For scikit-learn the outputs before the output activation, for torch the
            outputs of the module.

        Raises
        ------
        ValueError
            If `inference` is not known, if X has a wrong shape, if a layer has no exact
            code, or if the report has no data and they are needed.
        """
        return self._run(X, inference, n_steps)

    def predict_proba(self, X, *, inference="relu", n_steps=5):
        """Return the probabilities of a classifier of scikit-learn.

        Parameters
        ----------
        X : array-like
            Samples as the model takes them.
        inference : {"relu", "exact", "unrolled", "hard", "mean"}, default="relu"
            Inference method of the hidden layers; see `decision_function`.
        n_steps : int, default=5
            Number of steps of "unrolled".

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            The probabilities, in the order of `classes_` of the model.

        Raises
        ------
        AttributeError
            If the model is not a classifier of scikit-learn.
        ValueError
            As `decision_function`.
        """
        if not self._network.has_probabilities:
            raise AttributeError(
                f"{self._network.name} is no classifier of scikit-learn with "
                "probabilities that are a function of its outputs alone: it has no "
                "predict_proba. decision_function returns its outputs."
            )
        values = self._network.predict_values(self._run(X, inference, n_steps))
        return np.hstack([1 - values, values]) if values.shape[1] == 1 else values

    def predict(self, X, *, inference="relu", n_steps=5):
        """Return the predictions of the model, with any inference method.

        Parameters
        ----------
        X : array-like
            Samples as the model takes them.
        inference : {"relu", "exact", "unrolled", "hard", "mean"}, default="relu"
            Inference method of the hidden layers; see `decision_function`.
        n_steps : int, default=5
            Number of steps of "unrolled".

        Returns
        -------
        predictions : ndarray
            Labels or values of a scikit-learn model, or else the outputs of the
            network.

        Raises
        ------
        ValueError
            As `decision_function`.
        """
        return self._network.predict(self._run(X, inference, n_steps))

    def score(self, X, y, *, inference="relu", n_steps=5):
        """Return the accuracy, or R² of values, with any inference method.

        Parameters
        ----------
        X : array-like
            Samples as the model takes them.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Labels or values. Arrays and torch modules do not say which of them their
            outputs are. For several outputs, integers from 0 are the columns of the
            largest output. For one output, zeros and ones are the labels of negative
            and positive outputs. All other y are values.
        inference : {"relu", "exact", "unrolled", "hard", "mean"}, default="relu"
            Inference method of the hidden layers; see `decision_function`.
        n_steps : int, default=5
            Number of steps of "unrolled".

        Returns
        -------
        score : float
            The score of the predictions.

        Raises
        ------
        ValueError
            As `decision_function`, if X and y differ in length, or if y is neither
            columns of the outputs nor values for them.
        """
        check_consistent_length(X, y)
        predictions = self.predict(X, inference=inference, n_steps=n_steps)
        return self._network.score(predictions, np.asarray(to_array(y)))

    def score_samples(self, X, *, layer=None):
        """Return the log-likelihood of samples under the hidden layers, in nats.

        Every hidden layer is a density of its input: exponential priors on codes of the
        centered input, the nearest orthonormal atoms, and the noise variance that
        maximizes the likelihood of the data of the report. A convolution sums over
        positions. If a layer has more units than inputs, its log-likelihood is known up
        to a constant. If the input of a layer is the same for all data of the report,
        the layer has no density.

        Parameters
        ----------
        X : array-like
            Samples as the model takes them.
        layer : int, default=None
            Index of the hidden layer. Negative indices count from the last. None sums
            over all hidden layers.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            The log-likelihood. It is low for anomalies.

        Raises
        ------
        ValueError
            If the report was made without data, if a layer has no density, or if X has
            a wrong shape.
        """
        n_layers = len(self.layers)
        indices = range(n_layers) if layer is None else [self._layer_index(layer)]
        densities = {i: check_density(self.layers[i]) for i in indices}
        with single_blas_thread():
            return network_log_likelihood(
                self._network.operations, densities, self._network.samples(X)
            )

    def repair(self, X=None, y=None, *, priors="bias", atoms=False, refit=False):
        """Return a copy of the model with sparse priors, orthonormal atoms, or both.

        Layers are repaired in their order. The readout changes only if it is refitted.
        The model itself never changes.

        Parameters
        ----------
        X : array-like, default=None
            Samples for the scores of the model and of its copy.
        y : array-like of shape (n_samples,), default=None
            Labels or values of X.
        priors : {"bias", "centered"} or None, default="bias"
            The priors that are made non-negative. "bias" sets positive biases to zero.
            "centered" sets negative priors of the centered input of the layer to zero:
            it keeps positive biases that the mean of the input explains, and lowers
            negative biases that are too large. None keeps the priors.
        atoms : bool, default=False
            Whether to replace the atoms by the nearest orthonormal atoms, the polar
            factor, with the same norms. More units than inputs cannot be orthonormal:
            they become the nearest tight frame, whose columns are orthogonal.
        refit : bool, default=False
            Whether to fit the layer after a repaired one, by least squares and without
            labels, to the pre-activations that it had before the repair.

        Returns
        -------
        result : RepairResult
            The repaired copy in `model`, the reports `before` and `after`, the scores
            `score_before` and `score_after`, and their difference `change`.

        Raises
        ------
        ValueError
            If the report has no data and they are needed, if only one of X and y is
            given, or if layers of a torch module share their weights.
        TypeError
            If the model is of this package: its atoms are orthonormal, and its priors
            are sparse.
        """
        network, samples = self._network, self._samples
        if network.repair_error is not None:
            raise network.repair_error.with_traceback(None)
        if priors not in ("bias", "centered", None):
            raise ValueError(
                f"priors={priors!r} is none of 'bias', 'centered' and None."
            )
        if (X is None) != (y is None):
            raise ValueError("Give both X and y to have scores, or neither.")
        if samples is None and (priors == "centered" or refit):
            raise ValueError(
                f"priors={priors!r} and refit={refit} need the input of every layer: "
                "give interpret_network the data, X."
            )
        means = None if samples is None else [layer.mean for layer in self.layers]
        with single_blas_thread():
            operations = repair_operations(
                network.operations, samples, means, self._max_rows, priors, atoms, refit
            )
        layers = {op.key: op for op in operations if isinstance(op, AffineLayer)}
        model = network.write(layers)
        # The copy is read again: its parameters may have fewer digits.
        repaired = read_model(model, readout=not network.operations[-1].is_hidden)
        after = NetworkReport(repaired, samples, self._max_rows)
        scores = () if X is None else (self.score(X, y), after.score(X, y))
        return RepairResult(model, self, after, *scores)

    def _title(self):
        n_layers = len(self.layers)
        hidden = f"{n_layers} hidden layer{'s' if n_layers > 1 else ''}"
        return f"{self._network.name}, {hidden} read as sparse codes"

    def _layer_index(self, layer):
        """Return a non-negative index, and raise an error if there is no such layer."""
        n_layers = len(self.layers)
        check_scalar(layer, "layer", Integral)
        if not -n_layers <= layer < n_layers:
            raise ValueError(
                f"layer={layer} does not exist: hidden layers are 0 to {n_layers - 1}."
            )
        return layer % n_layers

    def _run(self, X, inference, n_steps, index=None):
        """Return the codes of the hidden layer at an index, or else the outputs."""
        if inference not in INFERENCE_METHODS:
            raise ValueError(
                f"inference={inference!r} is none of {', '.join(INFERENCE_METHODS)}."
            )
        check_scalar(n_steps, "n_steps", Integral, min_val=0)
        with single_blas_thread():
            outputs, converged = run_network(
                self._network.operations,
                self.layers,
                self._network.samples(X),
                inference,
                n_steps,
                index=index,
            )
        if not converged:
            warn_caller(
                "Some exact codes have not converged: atoms are nearly dependent.",
                ConvergenceWarning,
            )
        if index is None and self._network.channels_first and outputs.ndim == 4:
            return np.moveaxis(outputs, 3, 1)
        return outputs
