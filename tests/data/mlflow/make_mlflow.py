"""What real MLflow writes, and what its tracking server answers: `make_mlflow.py` makes the files beside it anew.

Needs mlflow 3.17.2, xgboost 3.2.0, lightgbm 4.7.0, scikit-learn 1.9.1, skl2onnx 1.20.0, onnx, onnxruntime. Each model has its
directory as MLflow logged it, and `NAME.npz` with rows and the answers of `mlflow.pyfunc`. `server.json` holds what the
server answered, by path and query: text as it is, other bytes in base64.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
import lightgbm
import mlflow
import numpy as np
import onnx
import pandas as pd
import xgboost
from mlflow.models import infer_signature
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

here = Path(__file__).parent
work = Path(tempfile.mkdtemp())
port = 5077
url = f"http://127.0.0.1:{port}"
server = subprocess.Popen(
    [Path(sys.executable).parent / "mlflow", "server", "--backend-store-uri", f"sqlite:///{work}/mlflow.db",
     "--artifacts-destination", f"{work}/artifacts", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"],
    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=work,
)
try:
    for _ in range(100):
        try:
            urllib.request.urlopen(f"{url}/health").read()
            break
        except OSError:
            time.sleep(1)
    mlflow.set_tracking_uri(url)
    mlflow.set_experiment("fraud")
    client = mlflow.MlflowClient()
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(200, 4)).astype(np.float32), columns=["age", "amount", "hour", "visits"])
    y = (X.age + X.amount > 0).astype(int)
    rows = X[:20]

    def keep(name, info, x):
        """Copies the model's directory, and what MLflow answers for `x`."""
        target = here / name
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        logged = Path(mlflow.artifacts.download_artifacts(info.model_uri))
        spec = (logged / "MLmodel").read_text()
        for file in sorted(logged.iterdir()):
            if file.is_file() and file.name != "requirements.txt":
                shutil.copy(file, target / file.name)
        if x is not None:
            answers = mlflow.pyfunc.load_model(info.model_uri).predict(x)
            answers = answers if isinstance(answers, dict) else {"answer": np.asarray(answers)}
            arrays = {f"out:{k}": np.asarray(v) for k, v in answers.items()}
            np.savez(here / f"{name}.npz", **{"in": np.asarray(x, dtype=np.float32)}, **arrays)
        return spec

    with mlflow.start_run(run_name="nightly", tags={"mlflow.source.git.commit": "4f2a9c1", "mlflow.source.git.repoURL": "https://example.org/fraud"}) as run:
        mlflow.log_params({"C": 1.0, "depth": 3})
        mlflow.log_metric("auc", 0.93)
        sk = LogisticRegression().fit(X.values, y)
        graph = to_onnx(sk, X.values[:1], options={"zipmap": False})
        answers = {"label": sk.predict(X.values), "probabilities": sk.predict_proba(X.values).astype(np.float32)}
        keep("onnx", mlflow.onnx.log_model(graph, name="onnx", signature=infer_signature(X.values, answers), registered_model_name="fraud"), rows.values)
        # Weights of 2,560 bytes go to a file beside the graph.
        W = rng.normal(size=(64, 10)).astype(np.float32)
        net = helper.make_model(
            helper.make_graph(
                [helper.make_node("MatMul", ["X", "W"], ["scores"])], "net",
                [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["m", 64])],
                [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["m", 10])],
                [numpy_helper.from_array(W, "W")],
            ),
            opset_imports=[helper.make_opsetid("", 17)], ir_version=8,
        )
        big = rng.normal(size=(20, 64)).astype(np.float32)
        keep("external", mlflow.onnx.log_model(net, name="external", signature=infer_signature(big, {"scores": big @ W}), registered_model_name="external"), big)
        xg = xgboost.train({"objective": "binary:logistic", "max_depth": 3}, xgboost.DMatrix(X, y), 5)
        keep("xgboost", mlflow.xgboost.log_model(xg, name="xgboost", signature=infer_signature(X, xg.predict(xgboost.DMatrix(X))), registered_model_name="fraud-xgb"), rows)
        lg = lightgbm.LGBMClassifier(n_estimators=5, num_leaves=7, verbose=-1).fit(X, y)
        keep("lightgbm", mlflow.lightgbm.log_model(lg.booster_, name="lightgbm", signature=infer_signature(X, lg.booster_.predict(X)), registered_model_name="fraud-lgb"), rows)
        for name, flavor, model in [("sklearn", mlflow.sklearn, sk), ("lightgbm_skops", mlflow.lightgbm, lg)]:
            keep(name, flavor.log_model(model, name=name), None)
            # What can't be read is refused by what `MLmodel` says, without the file.
            for file in (here / name).iterdir():
                if file.name != "MLmodel":
                    file.unlink()
    client.set_registered_model_alias("fraud", "champion", 1)
    client.set_model_version_tag("fraud", 1, "team", "risk")
    client.update_model_version("fraud", 1, description="a logistic regression")

    answers = {}

    def ask(path, /, **query):
        key = path + ("?" + urllib.parse.urlencode(query) if query else "")
        try:
            body = urllib.request.urlopen(f"{url}/{key}").read()
            status = 200
        except urllib.error.HTTPError as error:
            body, status = error.read(), error.code
        try:
            answers[key] = {"status": status, "text": body.decode()}
        except UnicodeDecodeError:
            answers[key] = {"status": status, "base64": base64.b64encode(body).decode()}
        return body

    found = json.loads(ask("api/2.0/mlflow/registered-models/alias", name="fraud", alias="champion"))["model_version"]
    ask("api/2.0/mlflow/model-versions/get", name="fraud", version=1)
    ask("api/2.0/mlflow/model-versions/get", name="fraud", version=9)
    ask("api/2.0/mlflow/model-versions/search", filter="name='fraud'", order_by="version_number DESC", max_results=1)
    ask("api/2.0/mlflow/runs/get", run_id=found["run_id"])
    for name in ["fraud", "external"]:
        version = json.loads(ask("api/2.0/mlflow/model-versions/get", name=name, version=1))["model_version"]
        logged = version["source"].removeprefix("models:/")
        ask(f"api/2.0/mlflow/logged-models/{logged}")
        for file in json.loads(ask(f"api/2.0/mlflow/logged-models/{logged}/artifacts/directories"))["files"]:
            ask("model-versions/get-artifact", name=name, version=1, path=file["path"])
    (here / "server.json").write_text(json.dumps(answers, indent=1) + "\n")
finally:
    server.terminate()
    shutil.rmtree(work, ignore_errors=True)
