"""The network for tables: columns, splines and codes, in a Pipeline."""

import pickle

import numpy as np
import pytest
from joblib import Memory
from sklearn.datasets import load_breast_cancer, make_friedman1
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.model_selection import GridSearchCV, cross_val_score

from skscn import (
    OrthogonalSparseCoder,
    SparseCodingImputer,
    make_sparse_coding_network,
)

CODER = "network__codes__coder"


def table_network(**options):
    return make_sparse_coding_network("tables", **options)


@pytest.fixture(scope="module")
def cancer():
    """Return a data frame whose columns have means from 0.004 to 880, and labels."""
    return load_breast_cancer(return_X_y=True, as_frame=True)


def rotated_sources(n_samples, rng):
    """Return mixed independent sources, and which of the two first is larger."""
    sources = rng.laplace(size=(n_samples, 3))
    angle = np.pi / 4
    mixing = np.array(
        [
            [np.cos(angle), np.sin(angle), 0],
            [-np.sin(angle), np.cos(angle), 0],
            [0, 0, 1],
        ]
    )
    return sources @ mixing, np.abs(sources[:, 0]) > np.abs(sources[:, 1])


def test_features_equal_the_definition(rng):
    X = rng.normal(size=(300, 5)) @ rng.normal(size=(5, 5)) * [1, 10, 100, 1e3, 1e-3]
    y = np.arange(300) % 2
    model = table_network().fit(X, y)
    X_new = X[:50] + rng.normal(size=(50, 5)) * X.std(axis=0)  # some beyond the range

    z, z_new = ((each - X.mean(axis=0)) / X.std(axis=0) for each in (X, X_new))
    knots = np.quantile(z, np.linspace(0, 1, 5), axis=0)
    splines = [
        np.interp(z_new[:, j], knots[:, j], hat) for j in range(5) for hat in np.eye(5)
    ]
    covariance = z.T @ z / (len(z) - 1)
    coder = model["network"]["codes"]["coder"]
    atoms = coder.components_ @ np.linalg.inv(
        np.diag(np.sqrt(np.linalg.eigvalsh(covariance)[::-1]))
    )
    axes = model["network"]["codes"]["whiten"].components_
    np.testing.assert_allclose(
        axes @ covariance @ axes.T,
        np.diag(np.linalg.eigvalsh(covariance)[::-1]),
        atol=1e-12,
    )
    U = z_new @ axes.T @ atoms.T
    expected = [
        z_new,
        np.transpose(splines),
        np.maximum(U - 0.5, 0),
        np.maximum(-U - 0.5, 0),
    ]
    np.testing.assert_allclose(
        model[:-1].transform(X_new), np.hstack(expected), atol=1e-10
    )


def test_atoms_are_those_of_a_coder_of_whitened_columns(rng):
    X = rng.laplace(size=(400, 6)) @ rng.normal(size=(6, 6))
    codes = table_network().fit(X, np.arange(400) % 2)["network"]["codes"]
    z = (X - X.mean(axis=0)) / X.std(axis=0)
    left, _, axes = np.linalg.svd(z, full_matrices=False)
    signs = np.sign(np.sum(axes * codes["whiten"].components_, axis=1))
    whitened = left * signs * np.sqrt(len(X) - 1)
    coder = OrthogonalSparseCoder(alpha=0.5, init="dct", tol=1e-3).fit(whitened)
    atoms = codes["coder"].components_
    np.testing.assert_allclose(atoms, coder.components_, atol=1e-6)


def test_a_data_frame_of_mixed_units_is_classified(cancer):
    X, y = cancer
    model = table_network().set_output(transform="pandas").fit(X[::2], y[::2])
    assert model.score(X[1::2], y[1::2]) > 0.94
    features = model[:-1].transform(X)
    assert list(features.columns) == list(model[:-1].get_feature_names_out())
    assert features.columns[0] == "columns__mean radius"
    assert features.columns[30] == "splines__mean radius_sp_0"
    assert features.columns[-1].startswith("codes__orthogonalsparsecoder")
    assert np.array_equal(features.index, X.index)


def test_powers_of_two_as_units_give_the_same_bits(cancer):
    X, y = cancer[0].to_numpy()[:, :8], cancer[1]
    units = 2.0 ** np.arange(-16, 16, 4)
    expected = table_network().fit(X, y).predict_proba(X)
    found = table_network().fit(X * units, y).predict_proba(X * units)
    np.testing.assert_array_equal(found, expected)


def test_codes_find_what_no_function_of_one_column_does(rng):
    X, y = rotated_sources(2000, rng)
    X_test, y_test = rotated_sources(2000, rng)

    def accuracy(**parameters):
        model = table_network().set_params(network__codes__coder__alpha=0.1)
        return model.set_params(**parameters).fit(X, y).score(X_test, y_test)

    assert accuracy() > 0.95
    assert accuracy(network__codes__coder__max_iter=0) < 0.9
    assert accuracy(network__codes="drop") < 0.6


def test_a_regressor_replaces_the_classifier():
    X, y = make_friedman1(600, noise=0.5, random_state=0)
    model = table_network(classifier=RidgeCV(np.logspace(-2, 3, 6)))
    linear = cross_val_score(LinearRegression(), X, y).mean()
    assert cross_val_score(model, X, y).mean() > linear + 0.1


def test_a_grid_search_compares_priors(cancer):
    X, y = (part[::2] for part in cancer)
    grid = {
        f"{CODER}__prior": ["laplace", "spike_slab"],
        f"{CODER}__alpha": [0.5, 2.0],
        "network__codes__whiten__n_components": [3, 10],
    }
    options = {"cv": 2, "scoring": "neg_log_loss", "error_score": "raise"}
    search = GridSearchCV(table_network(), grid, **options).fit(X, y)
    assert len(np.unique(search.cv_results_["mean_test_score"])) == 8
    assert search.best_score_ > -0.15
    loaded = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(loaded.predict_proba(X), search.predict_proba(X))


def test_a_grid_search_over_the_classifier_fits_every_network_once(
    cancer, tmp_path, monkeypatch
):
    def search():
        model = table_network(memory=Memory(tmp_path, verbose=0))
        grid = {"classify__C": [0.1, 1.0]}
        return GridSearchCV(model, grid, cv=2, error_score="raise").fit(*cancer)

    expected = search().predict(cancer[0])

    def fail(*args, **kwargs):
        pytest.fail("The network is fitted a second time.")

    monkeypatch.setattr("skscn._coders.base.learn_dictionary", fail)
    np.testing.assert_array_equal(search().predict(cancer[0]), expected)


def test_every_n_jobs_gives_the_same_bits(rng, short_slices):
    X, y = rotated_sources(4 * short_slices, rng)
    one, two = (
        table_network(n_jobs=n_jobs).fit(X, y).decision_function(X) for n_jobs in (1, 2)
    )
    np.testing.assert_array_equal(one, two)


def test_random_state_determines_random_atoms(cancer):
    random = {f"{CODER}__init": "random", f"{CODER}__max_iter": 0}
    first, again, other = (
        table_network(random_state=seed)
        .set_params(**random)
        .fit(*cancer)
        .decision_function(cancer[0])
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_float32_stays_float32(cancer):
    X, y = cancer[0].astype(np.float32), cancer[1]
    model = table_network().fit(X, y)
    assert model[:-1].transform(X).dtype == np.float32
    double = table_network().fit(*cancer)
    np.testing.assert_allclose(
        model.predict_proba(X), double.predict_proba(cancer[0]), atol=0.03
    )


@pytest.mark.parametrize("imputer", [None, SparseCodingImputer()])
def test_missing_values_are_imputed(cancer, imputer, rng):
    X, y = cancer
    X = X.mask(rng.random(X.shape) < 0.2)
    model = table_network()
    if imputer is not None:
        model.set_params(impute=imputer)
    assert model.fit(X[::2], y[::2]).score(X[1::2], y[1::2]) > 0.92


@pytest.mark.filterwarnings("ignore:invalid value encountered in divide")  # scaler
def test_constant_empty_and_collinear_columns_are_not_whitened(cancer):
    X, y = cancer[0].to_numpy()[:, :6], cancer[1]
    n = len(X)
    more = [np.full(n, 3.0), np.full(n, np.nan), 2 * X[:, 0], X[:, 1] + X[:, 2]]
    model = table_network().fit(np.column_stack([X, *more]), y)
    features = model[:-1].transform(np.column_stack([X, *more]))
    assert np.isfinite(features).all()
    assert model["network"]["codes"]["whiten"].n_components_ <= X.shape[1]


def test_tables_have_no_image_shape():
    with pytest.raises(ValueError, match=r"image_shape=\(8, 8\) is given"):
        table_network(image_shape=(8, 8))
