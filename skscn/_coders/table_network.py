"""A network for tables: columns, their splines, and sparse codes, side by side."""

from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler

from skscn._coders.orthogonal import OrthogonalSparseCoder

# Inverse penalty of the logistic regression. This number and those below were chosen on
# the tables of examples/benchmarks/bench_tables.py.
TABLE_C = 0.1
# Threshold of the codes. Whitened columns have projections of standard deviation 1.
TABLE_ALPHA = 0.5
# Share of the variance that is whitened. Whitening all of it would enlarge the rounding
# errors of collinear columns to a standard deviation of 1.
WHITENED_VARIANCE_FRACTION = 0.9999


def make_table_steps():
    """Return the steps of a Pipeline before its last, for columns of any units.

    Three sets of features stand side by side: the columns, linear splines of every
    column between its quantiles, and the positive and negative parts of codes, which
    are functions of several columns.

    Returns
    -------
    steps : list of (str, transformer)
        With the names "scale", "impute" and "network".
    """
    whiten = PCA(WHITENED_VARIANCE_FRACTION, whiten=True, svd_solver="full")
    # Whitened columns have no principal axes: with init="pca" the first dictionary
    # would be that of rounding errors.
    coder = OrthogonalSparseCoder(
        alpha=TABLE_ALPHA, split_sign=True, init="dct", tol=1e-3
    )
    network = [
        ("columns", "passthrough"),
        ("splines", SplineTransformer(degree=1, knots="quantile")),
        ("codes", Pipeline([("whiten", whiten), ("coder", coder)])),
    ]
    return [
        ("scale", StandardScaler()),
        # All folds of a cross-validation keep the same columns.
        ("impute", SimpleImputer(keep_empty_features=True)),
        ("network", FeatureUnion(network)),
    ]
