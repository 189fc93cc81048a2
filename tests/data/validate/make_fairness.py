"""Writes fairness.json: metrics of five groups, their difference and ratio, from fairlearn, which a test is held against.

    python -m venv env && env/bin/pip install numpy scikit-learn fairlearn
    env/bin/python make_fairness.py
"""

import json
from pathlib import Path

import numpy as np
from fairlearn.metrics import MetricFrame
from sklearn import metrics as m

r = np.random.default_rng(7)
n, groups = 600, ["ash", "birch", "cedar", "oak", "pine"]
group = r.choice(groups, n, p=[0.4, 0.25, 0.2, 0.1, 0.05])
# Exact in f32, with all that the model makes of them, and never 0.
x = np.round(1024 * r.normal(size=n)) / 1024 + 1 / 2048
noise = np.array([0.5, 0.7, 0.9, 1.2, 1.5])[[groups.index(g) for g in group]]
number = np.round(2 * x + 1 + noise * r.normal(size=n), 3)
label = (x + noise * r.normal(size=n) > 0).astype(int)
chance = 1 / (1 + np.exp(-3 * x))


def frames(metrics, y, answer):
    out = {}
    for name, metric in metrics.items():
        frame = MetricFrame(metrics=metric, y_true=y, y_pred=answer, sensitive_features=group)
        out[name] = {
            "groups": [[g, float(frame.by_group[g])] for g in groups],
            "difference": float(frame.difference(method="between_groups")),
            "ratio": float(frame.ratio(method="between_groups")),
        }
    return out


classes = {
    "accuracy": m.accuracy_score,
    "balanced_accuracy": m.balanced_accuracy_score,
    "precision": m.precision_score,
    "recall": m.recall_score,
    "f1": m.f1_score,
}
numbers = {"mae": m.mean_absolute_error, "rmse": m.root_mean_squared_error}
golden = {
    "x": x.tolist(),
    "group": group.tolist(),
    "label": label.tolist(),
    "number": number.tolist(),
    "classification": frames(classes, label, (x > 0).astype(int)) | frames({"roc_auc": m.roc_auc_score}, label, chance),
    "regression": frames(numbers, number, 2 * x + 1),
}
(Path(__file__).parent / "fairness.json").write_text(json.dumps(golden) + "\n")
