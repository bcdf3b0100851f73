"""
Why is this row of a table an anomaly?
======================================

:class:`~skscn.SparseCodingDetector` scores rows of a table by their likelihood, and its
score is a sum over the features. The lowest terms are the reasons.
"""

# %%
# The table describes cell nuclei of breast tumors by 30 features, in very different
# units. The detector learns from half of the benign tumors, and from all of them
# (``trim=0``), because no malignant tumor, the anomaly here, is among them. It needs no
# scaling.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import IsolationForest
from sklearn.metrics import RocCurveDisplay

from skscn import ExplanationDisplay, SparseCodingDetector

table, target = load_breast_cancer(return_X_y=True, as_frame=True)
benign = (target == 1).to_numpy()
learned = benign & (np.cumsum(benign) % 2 == 0)
X_train, X_test, is_anomaly = table[learned], table[~learned], ~benign[~learned]
detector = SparseCodingDetector(trim=0).fit(X_train)
forest = IsolationForest(random_state=0).fit(X_train)

# %%
# ``predict`` returns −1 for anomalies. With ``contamination="auto"`` the threshold is
# low, for few false alarms; a number finds more anomalies for more false alarms.

predicted = detector.predict(X_test) == -1
print(f"malignant tumors found: {predicted[is_anomaly].mean():.0%}")
print(f"false alarms: {predicted[~is_anomaly].mean():.0%}")

# %%
# ``explain`` distributes the score of a row over its features. Here are the average
# terms of malignant tumors, and two malignant tumors that were found for different
# reasons.

explanation = detector.explain(X_test)
features = explanation.features
assert np.allclose(features.sum(axis=1), detector.score_samples(X_test))
reasons = np.argsort(features[is_anomaly & predicted], axis=1)[:, 0]
most_common, other = np.unique(reasons, return_counts=True)
most_common = most_common[np.argsort(-other)[:2]]
rows = [
    np.flatnonzero(is_anomaly & predicted)[np.flatnonzero(reasons == feature)[0]]
    for feature in most_common
]

figure, axes = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
for name, scores, color in (
    ("SparseCodingDetector", -detector.score_samples(X_test), "#1f5fa8"),
    ("IsolationForest", -forest.score_samples(X_test), "#e07b20"),
):
    RocCurveDisplay.from_predictions(
        is_anomaly, scores, name=name, ax=axes[0], curve_kwargs={"color": color}
    )
axes[0].set(xlabel="false alarms", ylabel="anomalies found", title="half of the table")
axes[0].legend(loc="lower right", frameon=False)
for ax, row in zip(axes[1:], rows, strict=True):
    ExplanationDisplay.from_estimator(
        detector, X_test, sample=row, ax=ax, n_top=7, color="#1f5fa8"
    )
plt.show()

# %%
# The bars to the left are features with values that are improbable for a benign tumor,
# by themselves or together with the others.
