"""The coders of rows: estimators that learn orthonormal dictionaries.

In come rows of features, from arrays to clusters; out come sparse codes,
reconstructions, log-likelihoods and imputed rows. Open `base.py` first: `fit`,
`partial_fit` and `transform` of both coders are there, and read like a table of
contents. `likelihood.py` is a fitted coder as a probability distribution,
`orthogonal.py` and `non_negative.py` are the public classes, `checks.py` checks what a
coder learns from, and `imputer.py` uses a coder to impute missing values. A mixture
has its parameters and codes in `mixture.py`, and learns in `mixture_learning.py` and
`mixture_stream.py`. `table_network.py` puts columns and codes side by side, for a
classifier of tables.
"""
