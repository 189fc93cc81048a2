"""A random forest of some 5 MB as ONNX: `make_model.py MODEL.onnx`."""

import sys

import numpy as np
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier

rng = np.random.default_rng(0)
X = rng.normal(size=(4000, 20)).astype(np.float32)
y = (X[:, 0] + X[:, 1] * X[:, 2] + rng.normal(size=4000) > 0).astype(int)
forest = RandomForestClassifier(n_estimators=110, random_state=0, n_jobs=1).fit(X, y)
with open(sys.argv[1], "wb") as file:
    file.write(to_onnx(forest, X[:1], options={"zipmap": False}).SerializeToString())
