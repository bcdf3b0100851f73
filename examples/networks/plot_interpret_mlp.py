"""
Is a trained ReLU network a sparse coding model?
================================================

A ReLU unit max(w·x + b, 0) computes the coefficient of the atom w/‖w‖ with the
threshold λ = −b/‖w‖, if the atoms of its layer are orthonormal and its bias is not
positive. Training ensures neither condition. :func:`~skscn.interpret_network` measures
both for a multilayer perceptron. Its report can also return a repaired copy of the
network that satisfies them.
"""

# %%
# A perceptron is trained to classify digits.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from skscn import InterpretationDisplay, interpret_network

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0)
model = MLPClassifier((48,), alpha=1e-2, max_iter=1000, random_state=0)
model.fit(X_train, y_train)
f"accuracy {model.score(X_test, y_test):.3f}"

# %%
# The report is a table with one row for each hidden layer. More than half of the biases
# are positive, which no sparse prior allows. A positive bias can compensate for inputs
# that are not centered. Here this is not the reason: the mean of the inputs explains
# none of them.

report = interpret_network(model, X_train)
report

# %%
# The orthogonality error (error) is large: the inner products of an atom with the other
# atoms outweigh its own norm. The ReLU codes are therefore far from the exact codes,
# which minimize the objective. The objective gap compares the two: a gap above one
# means that the objective of the ReLU codes is higher than that of zero codes. Yet a
# linear map of the ReLU codes reconstructs most of the digit (R² linear): they keep
# most of the information.

layer = report.layers[0]
{
    "zero codes": round(layer.objective_zero, 2),
    "ReLU codes": round(layer.objective_relu, 2),
    "exact codes": round(layer.objective_exact, 2),
}

# %%
# A repaired copy of the network has biases b ≤ 0, sparse priors for centered inputs,
# orthonormal atoms, or both. What does each repair cost? Biases b ≤ 0 cost no accuracy
# here, sparse priors for centered inputs do. Orthonormal atoms change the codes so much
# that the output layer cannot classify them. With ``refit=True`` the output layer is
# fitted, without labels, to its previous outputs, and most of the accuracy returns.

repairs = {
    "as trained": {"priors": None},
    "b ≤ 0": {},
    "b ≤ 0, refitted": {"refit": True},
    "sparse, centered inputs,\nrefitted": {"priors": "centered", "refit": True},
    "orthonormal": {"priors": None, "atoms": True},
    "orthonormal, refitted": {"priors": None, "atoms": True, "refit": True},
    "orthonormal, b ≤ 0,\nrefitted": {"atoms": True, "refit": True},
}
results = {
    name: report.repair(X_test, y_test, **options) for name, options in repairs.items()
}
scores = {name: result.score_after for name, result in results.items()}

# %%
# As a sparse coding model, every layer defines a probability density of its inputs. So
# a trained network also detects anomalies. It separates digits from uniform noise and
# from digits with permuted pixels, although it was not trained to do so.

rng = np.random.default_rng(0)
anomalies = {
    "uniform noise": rng.uniform(size=X_test.shape),
    "permuted pixels": rng.permuted(X_test, axis=1),
}
normal_scores = report.score_samples(X_test)
for name, X_anomalous in anomalies.items():
    sample_scores = np.concatenate([normal_scores, report.score_samples(X_anomalous)])
    is_normal = np.arange(len(sample_scores)) < len(normal_scores)
    print(f"{name}: AUROC {roc_auc_score(is_normal, sample_scores):.3f}")

# %%
# Priors, angles between atoms, and atoms: first of the trained network, then of the
# copy with orthonormal atoms and sparse priors. The bars are the accuracies of all
# repairs.

repaired_report = results["orthonormal, b ≤ 0,\nrefitted"].after
figure = plt.figure(figsize=(10, 8.4), layout="constrained")
top, middle, bottom = figure.subfigures(3, 1, height_ratios=(1, 1, 0.8))
for subfigure, shown_report, title in (
    (top, report, "as trained"),
    (middle, repaired_report, "orthonormal atoms, b ≤ 0"),
):
    subfigure.suptitle(title)
    InterpretationDisplay.from_report(
        shown_report, image_shape=(8, 8), axes=subfigure.subplots(1, 3)
    )
ax = bottom.subplots()
positions = np.arange(len(scores))
bars = ax.barh(positions, scores.values(), color=["C1", *["C0"] * (len(scores) - 1)])
ax.bar_label(bars, fmt="%.3f", padding=3)
ax.set(yticks=positions, yticklabels=scores, xlim=(0.8, 1.0), xlabel="accuracy")
ax.invert_yaxis()
plt.show()
