"""
Is a trained network a sparse code?
===================================

A ReLU unit max(w·x + b, 0) computes the code of an atom, w/‖w‖, under a prior of
sparsity, −b/‖w‖, if the atoms of its layer are orthonormal and its bias is not
positive. Training asks for neither. :func:`~skscn.interpret_network` reads a multilayer
perceptron, and its report makes a repaired copy that is what it claims to be.
"""

# %%
# A perceptron learns to read digits.

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
# The report is a table with a row for each hidden layer. Biases are positive for more
# than half of the units: those priors are not sparse. A positive bias can be
# bookkeeping, where it makes up for inputs that are not centred. Not here: the mean
# explains none of them.

report = interpret_network(model, X_train)
report

# %%
# The error is the deviation of the atoms from orthonormal atoms: they overlap. The
# codes of the ReLU count what atoms have in common several times. The objective gap
# compares them with the exact codes, which do not. If it is larger than one, the codes
# of the ReLU describe a digit less well than the code zero. All the same, the best
# linear map of these codes reconstructs most of the digit (R² linear).

layer = report.layers[0]
{
    "no code": round(layer.objective_zero, 2),
    "one step": round(layer.objective_relu, 2),
    "exact": round(layer.objective_exact, 2),
}

# %%
# How much of the reading can be made true, and what does it cost? Biases at most zero
# come for free here, priors that are sparse about the mean do not. Orthonormal atoms
# are another layer, whose codes the readout cannot read; fitted, without labels, to
# what it saw before, it can.

repairs = {
    "as trained": {"priors": None},
    "b ≤ 0": {},
    "b ≤ 0, refitted": {"refit": True},
    "sparse about the mean,\nrefitted": {"priors": "centered", "refit": True},
    "orthonormal": {"priors": None, "atoms": True},
    "orthonormal, refitted": {"priors": None, "atoms": True, "refit": True},
    "orthonormal, b ≤ 0,\nrefitted": {"atoms": True, "refit": True},
}
repaired = {
    name: report.repair(X_test, y_test, **options) for name, options in repairs.items()
}
scores = {name: repair.score_after for name, repair in repaired.items()}

# %%
# A trained network knows, too, how likely an image is: every layer stands for a
# distribution of what it sees. It tells digits from noise without having been trained
# to, and from digits whose pixels were shuffled.

rng = np.random.default_rng(0)
strange = [rng.uniform(size=X_test.shape), rng.permuted(X_test, axis=1)]
normal = report.score_samples(X_test)
for others in strange:
    both = np.concatenate([normal, report.score_samples(others)])
    print(f"AUROC {roc_auc_score(np.arange(len(both)) < len(normal), both):.3f}")

# %%
# Priors, angles and atoms as trained; and beside them what the repair that asks for
# everything made of them.

last = repaired["orthonormal, b ≤ 0,\nrefitted"].after
figure = plt.figure(figsize=(10, 8.4), layout="constrained")
top, middle, bottom = figure.subfigures(3, 1, height_ratios=(1, 1, 0.8))
for part, shown, title in (
    (top, report, "as trained"),
    (middle, last, "orthonormal, sparse priors"),
):
    part.suptitle(title)
    InterpretationDisplay.from_report(
        shown, image_shape=(8, 8), axes=part.subplots(1, 3)
    )
ax = bottom.subplots()
places = np.arange(len(scores))
bars = ax.barh(places, scores.values(), color=["C1", *["C0"] * (len(scores) - 1)])
ax.bar_label(bars, fmt="%.3f", padding=3)
ax.set(yticks=places, yticklabels=scores, xlim=(0.8, 1.0), xlabel="accuracy")
ax.invert_yaxis()
plt.show()
