"""Write the models and results of this version to a file that later versions must load.

Run `PYTHONPATH=. python tests/store_models.py` for every release, and commit the file.
`tests/test_persistence.py` loads all files of the folder.
"""

import warnings
from pathlib import Path
from zipfile import ZIP_DEFLATED

from common import ESTIMATORS, make_data, make_short, results

import skscn

FOLDER = Path(__file__).parent / "files"
N_SAMPLES = 5  # whose results are stored


def make_model(Estimator):
    """Return a small fitted estimator, after `partial_fit` where it has that."""
    X, y = make_data(Estimator, 40)
    estimator = make_short(Estimator)
    if Estimator is skscn.ConvSparseCoder:
        estimator.set_params(n_components=3, kernel_size=3)
    elif Estimator is skscn.SparseCodingNetwork:
        estimator.set_params(conv__n_components=3, conv__kernel_size=3)
    estimator.fit(X, y)
    if hasattr(estimator, "partial_fit"):
        estimator.partial_fit(X, y)
    return estimator, X[:N_SAMPLES]


def main():
    """Write the file of this version."""
    from skops.io import dump

    stored = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for Estimator in ESTIMATORS:
            model, X = make_model(Estimator)
            stored[Estimator.__name__] = {
                "model": model,
                "X": X,
                "results": results(model, X),
            }
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"models_{skscn.__version__}.skops"
    dump(stored, path, compression=ZIP_DEFLATED, compresslevel=9)


if __name__ == "__main__":
    main()
