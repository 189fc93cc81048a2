"""The side of the libraries that fitted the models: answers timing requests on standard input, one line each, so that
its windows take their turn among the others'.

request:  PICKLE BATCH SECONDS      answer: the median of the per-call times, in nanoseconds

A batch of 0 asks for the time of loading the model.
"""

import importlib.metadata
import pickle
import statistics
import sys
import time

from threadpoolctl import threadpool_limits

LIBRARIES = ["scikit-learn", "lightgbm", "xgboost", "catboost", "lleaves"]


def lightgbm(file):
    import lightgbm

    booster = lightgbm.Booster(model_file=file)
    return lambda rows: booster.predict(rows, num_threads=1)


def xgboost(file):
    import xgboost

    booster = xgboost.Booster({"nthread": 1}, model_file=file)
    return booster.inplace_predict


def catboost(file):
    import catboost

    model = catboost.CatBoost().load_model(file, format="json")
    return lambda rows: model.predict(rows, thread_count=1)


def lleaves(file):
    import lleaves

    model = lleaves.Model(model_file=file)
    model.compile(cache=file + ".compiled")
    return lambda rows: model.predict(rows, n_jobs=1)


def opened(peer):
    """What answers rows."""
    if "load" in peer:
        return globals()[peer["load"]](peer["file"])
    return getattr(peer["estimator"], peer["method"])


def versions():
    found = []
    for library in LIBRARIES:
        try:
            found.append(f"{library} {importlib.metadata.version(library)}")
        except importlib.metadata.PackageNotFoundError:
            pass
    return ", ".join(found)


def main():
    import sklearn

    sklearn.set_config(assume_finite=False)  # the default, stated: input checking is part of a call
    loaded, place = {}, {}
    print("ready", versions(), flush=True)
    for line in sys.stdin:
        path, batch, seconds = line.split("\t")
        batch, seconds = int(batch), float(seconds)
        if path not in loaded:
            with open(path, "rb") as f:
                peer = pickle.load(f)
            loaded[path] = peer, opened(peer)
        peer, predict = loaded[path]
        pool = peer["pool"]
        windows = len(pool) // max(batch, 1)
        at = place.get((path, batch), 0)

        def call():
            if batch == 0:
                opened(peer)
            else:
                predict(pool[at * batch : (at + 1) * batch])

        for _ in range(3 if batch else 1):  # warm-up
            call()
        times = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or len(times) < 3:
            start = time.perf_counter_ns()
            call()
            times.append(time.perf_counter_ns() - start)
            at = (at + 1) % windows
        place[(path, batch)] = at
        print(statistics.median(times), flush=True)


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
