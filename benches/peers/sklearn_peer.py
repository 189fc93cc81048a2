"""scikit-learn's side: answers timing requests on standard input, one line each, so that its windows take
their turn among the others'.

request:  PICKLE BATCH SECONDS      answer: the median of the per-call times, in nanoseconds
"""

import pickle
import statistics
import sys
import time

from threadpoolctl import threadpool_limits


def main():
    import sklearn

    sklearn.set_config(assume_finite=False)  # the default, stated: input checking is part of a call
    loaded, place = {}, {}
    print("ready", sklearn.__version__, flush=True)
    for line in sys.stdin:
        path, batch, seconds = line.split("\t")
        batch, seconds = int(batch), float(seconds)
        if path not in loaded:
            with open(path, "rb") as f:
                loaded[path] = pickle.load(f)
        case = loaded[path]
        call = getattr(case["estimator"], case["method"])
        pool = case["pool"]
        windows = len(pool) // batch
        at = place.get((path, batch), 0)
        for _ in range(3):  # warm-up
            call(pool[at * batch : (at + 1) * batch])
        times = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or len(times) < 3:
            rows = pool[at * batch : (at + 1) * batch]
            start = time.perf_counter_ns()
            call(rows)
            times.append(time.perf_counter_ns() - start)
            at = (at + 1) % windows
        place[(path, batch)] = at
        print(statistics.median(times), flush=True)


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
