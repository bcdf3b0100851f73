"""The mathematics, on arrays: priors, exact inference, and learning of dictionaries.

In come rows of data as arrays, or an object that sums over rows wherever they are
(`row_sums.RowSums`). Out come codes, likelihoods and fitted dictionaries, as arrays and
frozen records. This room imports NumPy and SciPy only, and nothing in it has a `fit`.
Open `priors.py` first: every prior is one class with its threshold, such as the ReLU.
Then read `procrustes.py` (the dictionary step), `sparse_model.py` (a dictionary with
its encoder) and `fitting.py` (how a dictionary is learned).
"""
