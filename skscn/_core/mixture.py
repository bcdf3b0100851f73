"""A mixture of orthonormal dictionaries, and the sums over rows that it learns from.

With p_l the exact likelihood of dictionary l, p(x) = Σ_l w_l p_l(x). One pass over the
rows computes log p_l for every l, the responsibilities r_l(x) = w_l p_l(x) / p(x), and
for each dictionary the same moments as those of a single one, weighted by r_l. With MAP
codes, a row belongs to the one dictionary that encodes it at the smallest objective.
"""

from dataclasses import dataclass, replace

import numpy as np

from skscn._core.missing_values import impute_rows, log_likelihood_with_missing
from skscn._core.moments import CodeMoments, DataMoments, code_moments, data_moments
from skscn._core.sparse_model import n_rows_of, squared_norms

# Rows with a smaller responsibility are left out of the moments of a dictionary: they
# would change them by less than this fraction of a row. Most rows of many features
# belong to one or two dictionaries, so that moments cost little more than those of one.
MIN_RESPONSIBILITY = 1e-12
# Nats below the best dictionary, from which on a likelihood is not computed: together,
# such ones change a log-likelihood by less than 1e-13 for each dictionary.
MAX_LOG_RATIO = 30.0
IMPUTATION_TOL = 1e-4  # during learning, relative to the largest entry of a row


@dataclass(frozen=True)
class MixtureModel:
    """A fitted mixture: how rows are assigned to dictionaries.

    Its methods take a slice of rows, dense or CSR, and can be sent to workers.

    Parameters
    ----------
    models : tuple of SparseModel
        With the encoders of the mixture: posterior means, or MAP codes.
    log_weights : ndarray of shape (n_dictionaries,) or None
        Logarithms of the mixture weights. None stands for MAP codes, where each row is
        assigned to the dictionary of smallest objective.
    """

    models: tuple
    log_weights: np.ndarray | None

    @property
    def is_hard(self):
        """Whether each row belongs to one dictionary."""
        return self.log_weights is None

    def scores(self, rows):
        """Return log w_l p_l(x), or minus the MAP objective, of rows and dictionaries.

        They are computed in float64. Of rows with missing values, likelihoods are those
        of expectation propagation, and objectives those of the measured entries.

        Returns
        -------
        scores : ndarray of shape (n_rows, n_dictionaries)
        """
        return self._scores(
            rows,
            minus_map_objective_with_missing
            if self.is_hard
            else log_likelihood_with_missing,
        )

    def relevant_scores(self, rows):
        """Return scores of complete rows, and −inf where they are irrelevant.

        An upper bound of each likelihood tells which ones need to be computed.
        """
        log_weights = self.log_weights
        if log_weights is None:
            return self._scores(rows, minus_map_objective)
        models = [model.astype(np.float64) for model in self.models]
        bounds = np.empty((n_rows_of(rows), len(models)))
        for i, model in enumerate(models):
            bounds[:, i] = model.log_likelihood(rows, bound=True)
        bounds += log_weights
        scores = np.full(bounds.shape, -np.inf)

        def compute(is_relevant):
            for i, model in enumerate(models):
                which = np.flatnonzero(is_relevant[:, i])
                if len(which):
                    scores[which, i] = model.log_likelihood(rows[which])
                    scores[which, i] += log_weights[i]

        is_best = np.zeros(bounds.shape, dtype=bool)
        is_best[np.arange(len(bounds)), bounds.argmax(axis=1)] = True
        compute(is_best)
        lowest = scores.max(axis=1, keepdims=True) - MAX_LOG_RATIO
        compute(~is_best & (bounds >= lowest))
        return scores

    def log_likelihood(self, rows, out=None):
        """Return log p(x), or minus the smallest MAP objective, of every row."""
        total, _ = self.assign(self.scores(rows))
        if out is None:
            return total
        out[:] = total
        return out

    def responsibilities(self, rows, out=None):
        """Return the probability of each dictionary given the row; or zeros and a one.

        Returns
        -------
        responsibilities : ndarray of shape (n_rows, n_dictionaries)
        """
        _, responsibilities = self.assign(self.scores(rows))
        if out is None:
            return responsibilities
        out[:] = responsibilities
        return out

    @np.errstate(over="ignore", invalid="ignore")
    def labels(self, rows, out):
        """Write the index of the best dictionary of every row into out."""
        scores, incomplete = self.relevant_scores(rows), _incomplete_rows(rows)
        if len(incomplete):
            scores[incomplete] = self.scores(rows[incomplete])
        out[:] = scores.argmax(axis=1)
        return out

    def assign(self, scores):
        """Return the score of every row in the mixture, and the responsibilities."""
        best = scores.max(axis=1)
        if self.is_hard:
            responsibilities = np.zeros_like(scores)
            responsibilities[np.arange(len(scores)), scores.argmax(axis=1)] = 1.0
            return best, responsibilities
        responsibilities = np.exp(scores - best[:, None])
        mass = responsibilities.sum(axis=1)
        responsibilities /= mass[:, None]
        return best + np.log(mass), responsibilities

    def _scores(self, rows, score):
        scores = np.empty((n_rows_of(rows), len(self.models)))
        for i, model in enumerate(self.models):
            scores[:, i] = score(rows, model=model.astype(np.float64))
        if not self.is_hard:
            scores += self.log_weights
        return scores


@dataclass(frozen=True)
class MixtureSums:
    """Sums over rows for one iteration; those of two sets of rows add up.

    Parameters
    ----------
    weight : float
        Σ w.
    score : float
        Σ w log p(x), or minus that of the smallest MAP objectives.
    data : tuple of DataMoments
        Of every dictionary, about the mean of its model.
    codes : tuple of CodeMoments
    """

    weight: float
    score: float
    data: tuple
    codes: tuple

    def __add__(self, other):
        return MixtureSums(
            self.weight + other.weight,
            self.score + other.score,
            tuple(a + b for a, b in zip(self.data, other.data, strict=True)),
            tuple(a + b for a, b in zip(self.codes, other.codes, strict=True)),
        )

    @property
    def sum_squares(self):
        """Whether sums are finite is read from it, as for `DataMoments`."""
        return self.score

    @property
    def responsibility(self):
        """Σ w r_l of every dictionary."""
        return np.array([data.weight for data in self.data])


@np.errstate(over="ignore", invalid="ignore")
def mixture_sums(rows, weights, *, mixture, dtypes, n_statistics):
    """Return the `MixtureSums` of a slice of rows.

    Parameters
    ----------
    rows : {ndarray, CSR} of shape (n_rows, n_features)
        NaN where nothing was measured. Each dictionary imputes these entries by itself.
    weights : ndarray of shape (n_rows,) or None
    mixture : MixtureModel
    dtypes : tuple of dtype
        That the moments of each dictionary are computed in.
    n_statistics : int
        Rows of `CodeMoments.statistics`.
    """
    incomplete = _incomplete_rows(rows)
    scores = mixture.relevant_scores(rows)
    imputed = []
    for i, model in enumerate(mixture.models if len(incomplete) else ()):
        missing = rows[incomplete]
        filled = impute_rows(
            missing, model=model.astype(rows.dtype), tol=IMPUTATION_TOL
        )
        scores[incomplete, i] = _imputed_scores(mixture, i, filled, missing)
        imputed.append(filled)
    total, responsibilities = mixture.assign(scores)
    w = np.ones(len(total)) if weights is None else weights.astype(np.float64)
    data, codes = [], []
    for i, model in enumerate(mixture.models):
        selected = np.flatnonzero(responsibilities[:, i] >= MIN_RESPONSIBILITY)
        r = w[selected] * responsibilities[selected, i]
        complete_rows = rows
        missing_weight = 0.0
        if len(incomplete):
            complete_rows = rows.copy()
            complete_rows[incomplete] = imputed[i]
            missing_weight = float(r @ np.isnan(rows[selected]).sum(axis=1))
        part = complete_rows[selected] if len(selected) < len(total) else complete_rows
        moments = row_moments(part, r, model.astype(dtypes[i]), n_statistics)
        data.append(replace(moments[0], missing_weight=missing_weight))
        codes.append(moments[1])
    return MixtureSums(float(w.sum()), float(w @ total), tuple(data), tuple(codes))


def row_moments(rows, weights, model, n_statistics):
    """Return the moments of the rows of one dictionary, which may be none."""
    n_components, n_features = model.components.shape
    if not n_rows_of(rows):
        return (
            DataMoments(0.0, np.zeros(n_features), 0.0, None),
            CodeMoments.zero(n_components, n_features, n_statistics),
        )
    data = data_moments(rows, weights, mean=model.mean)
    codes = code_moments(rows, weights.astype(model.components.dtype), model=model)
    return data, codes


def _incomplete_rows(rows):
    if not isinstance(rows, np.ndarray) or not np.isnan(rows.sum()):
        return np.empty(0, dtype=int)
    return np.flatnonzero(np.isnan(rows).any(axis=1))


def _imputed_scores(mixture, i, filled, missing):
    """Return scores of imputed rows: a missing entry integrates to √(2πσ²)."""
    model = mixture.models[i].astype(np.float64)
    if mixture.is_hard:
        return minus_map_objective(filled, model)
    log_normalizer = np.log(2 * np.pi * model.encoder.noise_variance)
    n_missing = np.isnan(missing).sum(axis=1)
    scores = model.log_likelihood(filled) + n_missing / 2 * log_normalizer
    return scores + mixture.log_weights[i]


def minus_map_objective(rows, model):
    """Return minus the smallest ½‖x − m − aD‖² + penalty(a) of every row."""
    rows = rows.astype(model.components.dtype, copy=False)
    out, start = np.empty(n_rows_of(rows)), 0
    encoder = model.encoder
    for block, _, projections, scratch in model.projections(rows):
        part = slice(start, start := start + len(projections))
        codes = encoder.encode(projections, scratch)
        decreases = encoder.prior.objective_decreases_array_api(
            np, codes, encoder.threshold
        )
        out[part] = decreases.sum(axis=1) - 0.5 * squared_norms(block, model.mean)
    return out


def minus_map_objective_with_missing(rows, model):
    """Return the same, with missing entries imputed by the model."""
    out = minus_map_objective(rows, model)
    which = np.flatnonzero(np.isnan(out))
    if len(which):
        imputed = impute_rows(rows[which].astype(np.float64), model=model)
        out[which] = minus_map_objective(imputed, model)
    return out
