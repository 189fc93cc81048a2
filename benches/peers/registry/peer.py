"""MLflow's side: register a model, move an alias, load by the alias. `peer.py MODEL.onnx COUNT FOLDER`

Twice: with the call of its manual, which finds out by itself which packages the model needs, and spared that.
"""

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


def cycles(count, **options):
    """Times of the steps, in seconds; the first cycle, which makes tables and imports modules, is not kept."""
    times = {"register": [], "alias": [], "load by alias": [], "all three": []}
    for i in range(count + 1):
        start = time.perf_counter()
        mlflow.onnx.log_model(graph, name="model", registered_model_name="fraud", **options)
        registered = time.perf_counter()
        newest = client.search_model_versions("name='fraud'", order_by=["version_number DESC"], max_results=1)
        step = time.perf_counter()
        client.set_registered_model_alias("fraud", "champion", newest[0].version)
        aliased = time.perf_counter()
        mlflow.pyfunc.load_model("models:/fraud@champion")
        end = time.perf_counter()
        if i > 0:
            times["register"].append(registered - start)
            times["alias"].append(aliased - step)
            times["load by alias"].append(end - aliased)
            times["all three"].append(registered - start + end - step)
    return times


calls = {
    "spared: its packages given, no external data": dict(pip_requirements=["onnx"], save_as_external_data=False),
    "as its manual says": {},
}
for call, options in calls.items():
    print(call)
    # The second takes seconds each.
    for what, values in cycles(count if options else min(count, 3), **options).items():
        print(f"  {what:<44} least {min(values) * 1e3:9.3f} ms  median {statistics.median(values) * 1e3:9.3f} ms")
