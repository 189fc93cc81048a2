"""One measurement of a peer, printed as a JSON object: `peer.py slices|report FOLDER`."""

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

what, folder = sys.argv[1], Path(sys.argv[2])
settings = json.loads((folder / "settings.json").read_text())
load = lambda name: np.load(folder / f"{name}.npy")
out = {}
if what == "slices":
    from sliceline.slicefinder import Slicefinder

    X, errors = load("codes").astype(np.int64), load("errors")
    finder = Slicefinder(
        alpha=settings["alpha"], k=settings["top"], max_l=settings["max_level"], min_sup=settings["min_support"], verbose=False
    )
    start = time.process_time()
    finder.fit(X, errors)
    out["seconds"] = time.process_time() - start
    out["slices"] = [
        {"predicates": {str(j): int(v) for j, v in enumerate(s) if v is not None}, "score": float(t["slice_score"])}
        for s, t in zip(finder.top_slices_, finder.top_slices_statistics_)
    ]
else:
    from fairlearn.metrics import MetricFrame
    from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

    y, predicted, group = load("label"), load("predicted"), load("group")
    metrics = {"accuracy": accuracy_score, "precision": precision_score, "recall": recall_score, "f1": f1_score}
    start = time.process_time()
    frame = MetricFrame(
        metrics=metrics, y_true=y, y_pred=predicted, sensitive_features=group,
        n_boot=settings["resamples"], ci_quantiles=[0.025, 0.975], random_state=0,
    )
    values, intervals = frame.by_group, frame.by_group_ci
    out["seconds"] = time.process_time() - start
    out["values"] = {m: [float(v) for v in values[m].sort_index()] for m in metrics}
    out["intervals"] = {m: [[float(q[m].sort_index().iloc[i]) for q in intervals] for i in range(len(values))] for m in metrics}
out["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps(out))
