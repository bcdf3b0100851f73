"""What a trained network is as a hierarchy of sparse codes."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_consistent_length

from skscn._data.parallel import single_blas_thread
from skscn._data.sklearn_compat import check_pandas
from skscn._interpretation.anatomy import Anatomy
from skscn._interpretation.forwards import FORWARDS, Forward, whole
from skscn._interpretation.layer_report import LayerReport, place, table
from skscn._interpretation.network import log_likelihoods, outputs
from skscn._interpretation.readers import read
from skscn._interpretation.reading import Reading, observe
from skscn._interpretation.repair import Repair
from skscn._interpretation.repairing import Remedy, repaired

TOL = 1e-5  # of exact codes that are reported, where predictions have 1e-6


class NetworkReport:
    """A trained ReLU network read as sparse coding, layer by layer.

    A unit max(w·x + b, 0) is ‖w‖ times the code max(d·x − λ, 0) of its input: the atom
    is d = w/‖w‖, the prior λ = −b/‖w‖. It is the most probable code where the atoms D
    of a layer are orthonormal; the report says how far they are from it, and what that
    costs. :func:`interpret_network` makes it.

    Read more in the :ref:`user guide <interpretation>`.

    Parameters
    ----------
    network : Network
        The model as operations.
    layers : tuple of LayerReport
        The hidden layers.
    X : array-like or None
        The data that the layers were observed on, as the network takes them within.
    max_rows : int
        Most rows that exact codes and refits are made of.

    Attributes
    ----------
    layers : tuple of LayerReport
        The hidden layers, from the input on. Of each: `name`, `atoms`, `norms`,
        `priors`, `centred_priors`, `gram`, `activity`, `dead`, `mean` and the numbers
        of `to_frame`.

    See Also
    --------
    interpret_network : Reads a network.
    InterpretationDisplay : Draws a report.

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
    layer    units  inputs  b > 0   gap  coherence
    layer 1      3       3    33%  0.00       0.00
    b > 0: units whose prior is not sparse
    gap: how far atoms are from orthonormal
    >>> report.layers[0].priors
    array([ 1. ,  1. , -0.5])
    """

    def __init__(self, network, layers, X, max_rows):
        self._network = network
        self.layers = tuple(layers)
        self._samples = X
        self._max_rows = max_rows

    @classmethod
    def of(cls, network, samples, max_rows):
        """Return the report of a `Network`, on samples or of weights alone.

        Parameters
        ----------
        network : Network
            The model as operations.
        samples : ndarray or None
            As operations take them.
        max_rows : int
            Most rows that exact codes are found of.

        Returns
        -------
        report : NetworkReport
            The report.
        """
        if samples is None:
            readings = [
                Reading(units, Anatomy.of(units.weight, units.bias))
                for units in network.hidden
            ]
        else:
            with single_blas_thread():
                readings = observe(
                    network.operations,
                    samples,
                    max_rows=max_rows,
                    forward=Forward("exact", tol=TOL),
                )
        layers = [LayerReport(reading) for reading in readings]
        return cls(network, layers, samples, max_rows)

    def __repr__(self):
        return str(self)

    def __str__(self):
        n_layers = len(self.layers)
        head = (
            f"{self._network.title}, {n_layers} hidden "
            f"layer{'s' if n_layers != 1 else ''} read as sparse codes"
        )
        return f"{head}\n{table(self.layers, with_data=self._samples is not None)}"

    def to_frame(self):
        """Return the numbers of all hidden layers as a data frame.

        Returns
        -------
        frame : :class:`pandas.DataFrame` of shape (n_layers, n_numbers)
            A row for each layer.
        """
        check_pandas("NetworkReport.to_frame")
        import pandas as pd

        rows = [layer.summary() for layer in self.layers]
        return pd.DataFrame(rows).set_index("layer")

    def transform(self, X, *, layer=-1, forward="relu", n_steps=5):
        """Return the codes of a hidden layer.

        Parameters
        ----------
        X : array-like
            Samples as the model takes them.
        layer : int, default=-1
            Which hidden layer; negative numbers count from the last.
        forward : {"relu", "exact", "unrolled", "hard", "mean"}, default="relu"
            How hidden layers code; see `decision_function`.
        n_steps : int, default=5
            Steps of "unrolled".

        Returns
        -------
        codes : ndarray of shape (n_samples, n_units) or \
                (n_samples, height, width, n_units)
            In units of the atoms: the network's activations by `norms`.

        Raises
        ------
        ValueError
            If X has a wrong shape, if there is no such layer, or as
            `decision_function`.
        """
        return self._outputs(X, forward, n_steps, self._index(layer))

    def decision_function(self, X, *, forward="relu", n_steps=5):
        """Return what the last layer says, with any forward transformation.

        Parameters
        ----------
        X : array-like
            Samples as the model takes them.
        forward : {"relu", "exact", "unrolled", "hard", "mean"}, default="relu"
            How hidden layers code. "relu" is the network itself. "exact" finds the
            non-negative code that minimises ½‖x − aD‖² + Σ λ_j a_j, whatever the angles
            of the atoms. "unrolled" takes a few proximal gradient steps towards it.
            "hard" does not shrink what is beyond the threshold (a spike and slab
            prior). "mean" is the mean of the posterior under orthonormal atoms, a
            smooth ReLU. The last two need a report with data, for their mean and noise.
        n_steps : int, default=5
            Steps of "unrolled".

        Returns
        -------
        outputs : ndarray of shape (n_samples, n_outputs)
            Before any softmax of scikit-learn; what a module of torch returns.

        Raises
        ------
        ValueError
            If `forward` is not known, if X has a wrong shape, if a layer has no exact
            code, or if data are needed that the report was made without.
        """
        found = self._outputs(X, forward, n_steps, None)
        if found.ndim == 4 and self._network.channels_first:
            return np.moveaxis(found, 3, 1)
        return found

    def predict_proba(self, X, *, forward="relu", n_steps=5):
        """Return the probabilities of a classifier of scikit-learn.

        Parameters
        ----------
        X : array-like
            Samples as the model takes them.
        forward : {"relu", "exact", "unrolled", "hard", "mean"}, default="relu"
            How hidden layers code; see `decision_function`.
        n_steps : int, default=5
            Steps of "unrolled".

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            As the model's own `predict_proba`.

        Raises
        ------
        AttributeError
            If the model is not a classifier of scikit-learn.
        ValueError
            As `decision_function`.
        """
        if self._network.classes is None:
            raise AttributeError(
                f"{self._network.title} is no classifier of scikit-learn: it has no "
                "predict_proba. decision_function returns its outputs."
            )
        found = self._network.values(self._outputs(X, forward, n_steps, None))
        if found.shape[1] == 1:
            found = np.hstack([1 - found, found])
        return found

    def predict(self, X, *, forward="relu", n_steps=5):
        """Return what the model predicts, with any forward transformation.

        Parameters
        ----------
        X : array-like
            Samples as the model takes them.
        forward : {"relu", "exact", "unrolled", "hard", "mean"}, default="relu"
            How hidden layers code; see `decision_function`.
        n_steps : int, default=5
            Steps of "unrolled".

        Returns
        -------
        predictions : ndarray
            Labels of a classifier and values of a regressor of scikit-learn; else the
            outputs of the network.

        Raises
        ------
        ValueError
            As `decision_function`.
        """
        return self._network.predicted(self._outputs(X, forward, n_steps, None))

    def score(self, X, y, *, forward="relu", n_steps=5):
        """Return the accuracy, or R² of values, with any forward transformation.

        Parameters
        ----------
        X : array-like
            Samples as the model takes them.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Labels or values. Of arrays and modules of torch, whose outputs do not say
            what they are for, integers from 0 beside several outputs are the columns of
            the largest one, zeros and ones beside a single output say whether it is
            positive, and all else is values.
        forward : {"relu", "exact", "unrolled", "hard", "mean"}, default="relu"
            How hidden layers code; see `decision_function`.
        n_steps : int, default=5
            Steps of "unrolled".

        Returns
        -------
        score : float
            Of the predictions.

        Raises
        ------
        ValueError
            As `decision_function`, if X and y differ in length, or if y is neither
            columns of the outputs nor values for them.
        """
        check_consistent_length(X, y)
        found = self.predict(X, forward=forward, n_steps=n_steps)
        return self._network.scored(found, y)

    def score_samples(self, X, *, layer=None):
        """Return how likely samples are to the network, in nats.

        Every hidden layer stands for a distribution of its input: exponential priors
        about its mean, the nearest orthonormal atoms, and noise whose variance makes
        the data of the report most likely. A convolution sums over places. Of a layer
        with more units than inputs it is a log-likelihood up to a constant. A layer
        whose input is the same for all data of the report has none.

        Parameters
        ----------
        X : array-like
            Samples as the model takes them.
        layer : int, default=None
            Which hidden layer; negative numbers count from the last. None sums over
            all.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            The lowest are the strangest.

        Raises
        ------
        ValueError
            If the report was made without data, if a layer has no likelihood, or if X
            has a wrong shape.
        """
        chosen = range(len(self.layers)) if layer is None else [self._index(layer)]
        densities = {i: self.layers[i].reading.density for i in chosen}
        with single_blas_thread():
            return log_likelihoods(
                self._network.operations, densities, self._network.prepare(X)
            )

    def repair(self, X=None, y=None, *, priors="bias", atoms=False, refit=False):
        """Return a copy of the model with sparse priors, orthonormal atoms, or both.

        Layers are repaired from the input on; the readout is left as it is, unless it
        is refitted. The model itself is never changed.

        Parameters
        ----------
        X : array-like, default=None
            Samples to score the model and its copy on.
        y : array-like of shape (n_samples,), default=None
            Their labels or values.
        priors : {"bias", "centred"} or None, default="bias"
            What is made sparse: "bias" cuts biases at zero; "centred" cuts priors about
            the mean of the layer's input at zero, which leaves positive biases that the
            mean explains and lowers negative ones that it does not; None leaves them.
        atoms : bool, default=False
            Whether to replace atoms by the nearest orthonormal ones, their norms kept:
            the polar factor. More units than inputs cannot be orthonormal; they become
            the nearest tight frame, whose columns are.
        refit : bool, default=False
            Whether to fit the layer after a repaired one, by least squares without
            labels, to the pre-activations that it had.

        Returns
        -------
        repair : Repair
            The copy is its `model`.

        Raises
        ------
        ValueError
            If data are needed that the report was made without, if only one of X and y
            is given, or if layers of a module of torch share their weights.
        TypeError
            If the model is of this package: what it learns is orthonormal and sparse.
        """
        if self._network.refusal is not None:
            raise self._network.refusal.with_traceback(None)
        if priors not in ("bias", "centred", None):
            raise ValueError(
                f"priors={priors!r} is none of 'bias', 'centred' and None."
            )
        if (X is None) != (y is None):
            raise ValueError("Give both X and y to have scores, or neither.")
        if self._samples is None and (priors == "centred" or refit):
            raise ValueError(
                f"priors={priors!r} and refit={refit} need the input of every layer: "
                "give interpret_network the data, X."
            )
        means = None
        if self._samples is not None:
            means = [layer.mean for layer in self.layers]
        with single_blas_thread():
            found = repaired(
                self._network.operations,
                self._samples,
                means,
                Remedy(priors, bool(atoms), bool(refit)),
                self._max_rows,
            )
        model = self._network.written(
            {op.source: op for op in found if getattr(op, "source", None) is not None}
        )
        network = read(model, readout=self._readout)
        after = NetworkReport.of(network, self._samples, self._max_rows)
        scores = None, None
        if X is not None:
            scores = self.score(X, y), after.score(X, y)
        return Repair(model, self, after, *scores)

    @property
    def _readout(self):
        return not getattr(self._network.operations[-1], "rectified", False)

    def _index(self, layer):
        return place(layer, len(self.layers))

    def _outputs(self, X, forward, n_steps, stop):
        if forward not in FORWARDS:
            raise ValueError(f"forward={forward!r} is none of {', '.join(FORWARDS)}.")
        whole("n_steps", n_steps, 0)
        readings = [layer.reading for layer in self.layers]
        with single_blas_thread():
            found, converged = outputs(
                self._network.operations,
                readings,
                self._network.prepare(X),
                Forward(forward, n_steps=n_steps),
                stop=stop,
            )
        if not converged:
            warnings.warn(
                "Some exact codes have not converged: atoms are nearly dependent.",
                ConvergenceWarning,
                stacklevel=3,
            )
        return found
