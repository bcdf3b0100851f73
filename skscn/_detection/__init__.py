"""Anomaly detection by likelihood, with explanations.

In come rows, or images; out come scores, a threshold, and the terms of each score. Open
`detector.py` first: `SparseCodingDetector` is there, and its `fit` and `partial_fit`
share one path. Then read `table_model.py`, which joins the parts: `scaling.py` brings
features to a common scale, a coder models them together, `histograms.py` models each by
itself, `trimming.py` chooses the rows to learn by `robust_distances.py`, and
`explanation.py` attributes a score to atoms and features. `image_layers.py` computes
rows from images.
"""
