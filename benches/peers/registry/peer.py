"""MLflow's side: register a model, move an alias, load by the alias. `peer.py MODEL.onnx COUNT FOLDER`"""

import statistics
import sys
import time
import warnings

warnings.filterwarnings("ignore")
import mlflow
import onnx

model, count, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
experiment = mlflow.create_experiment("fraud", artifact_location=f"file://{folder}/artifacts")
mlflow.set_experiment(experiment_id=experiment)
client = mlflow.MlflowClient()
graph = onnx.load(model)
times = {"register": [], "alias": [], "load by alias": [], "all three": []}
for i in range(count + 1):
    start = time.perf_counter()
    # Without these MLflow asks pip for the requirements of the model, which takes many seconds.
    mlflow.onnx.log_model(
        graph, name="model", registered_model_name="fraud", pip_requirements=["onnx"], save_as_external_data=False
    )
    registered = time.perf_counter()
    version = client.search_model_versions("name='fraud'", order_by=["version_number DESC"], max_results=1)[0].version
    step = time.perf_counter()
    client.set_registered_model_alias("fraud", "champion", version)
    aliased = time.perf_counter()
    mlflow.pyfunc.load_model("models:/fraud@champion")
    end = time.perf_counter()
    # The first one makes tables and imports modules.
    if i > 0:
        times["register"].append(registered - start)
        times["alias"].append(aliased - step)
        times["load by alias"].append(end - aliased)
        times["all three"].append(registered - start + end - step)
for what, values in times.items():
    print(f"{what:<46} least {min(values) * 1e3:9.3f} ms  median {statistics.median(values) * 1e3:9.3f} ms")
