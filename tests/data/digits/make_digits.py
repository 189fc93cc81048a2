"""Fit a scaler and a logistic regression on scikit-learn's digits, export the pipeline, and keep the rows it has
not seen with what scikit-learn answers for them.

usage: make_digits.py OUT      (numpy scikit-learn skl2onnx onnx)

Writes OUT/digits.onnx and OUT/heldout.csv: 64 pixels (0 to 16), the true digit, scikit-learn's answer and its
probability for that answer.
"""
import sys

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skl2onnx import to_onnx

out = sys.argv[1]
x, y = load_digits(return_X_y=True)
x = x.astype(np.float32)
x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=450, random_state=0, stratify=y)
pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(x_train, y_train)
model = to_onnx(pipeline, x_train[:1], options={id(pipeline): {"zipmap": False}}, target_opset=17)
with open(f"{out}/digits.onnx", "wb") as f:
    f.write(model.SerializeToString())
answers, probabilities = pipeline.predict(x_test), pipeline.predict_proba(x_test).max(axis=1)
with open(f"{out}/heldout.csv", "w") as f:
    for row, true, answer, p in zip(x_test, y_test, answers, probabilities):
        f.write(",".join(str(int(v)) for v in row) + f",{true},{answer},{p:.9f}\n")
