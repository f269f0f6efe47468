"""Fits by replicas: how they converge, what kills and distance do to them, and what a round takes on many machines.

`python bench/replicas.py convergence --data FOLDER --lines replicas.jsonl` trains the same network by one process
(`MLPClassifier`) and by K replicas that are averaged every H updates, and writes what each pass has come to. Replicas
run one after the other here: the model is the same bit for bit, so that accuracy needs no cluster.
`python bench/replicas.py table` makes tables of these lines.
`python bench/replicas.py kills` kills processes of a cluster in the middle of fits, and compares the models.
`python bench/replicas.py rounds` measures tasks and transfers, and computes what a pass takes on many machines.
"""

import argparse
import json
import math
import os
import random
import signal
import tempfile
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np
from sklearn.base import clone

import fastmlp
import fastmlp.dask
from fastmlp.training.replicas import Sum

REPLICAS, STEPS = (1, 2, 4, 8, 16), (10, 30, 100, 10**9)
SETS = {"electricity": 24, "covertype": 12, "flights": 6, "generated": 4}  # passes
COMMON = {"hidden_layer_sizes": (128, 128), "batch_size": 200, "n_iter_no_change": 10**6, "tol": 0.0}


def generated(n_rows=1_000_000, n_test=50_000):
    """Labels by a network of 30-64-64-4 with random weights, 10 % of them replaced at random."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows + n_test, 30), dtype=np.float32)
    hidden = X
    for shape in ((30, 64), (64, 64)):
        hidden = np.maximum(hidden @ (rng.standard_normal(shape) * (2 / shape[0]) ** 0.5).astype(np.float32), 0)
    y = (hidden @ rng.standard_normal((64, 4)).astype(np.float32)).argmax(axis=1)
    noisy = rng.random(len(y)) < 0.1
    y[noisy] = rng.integers(4, size=noisy.sum())
    return X[:-n_test], X[-n_test:], y[:-n_test], y[-n_test:]


def rows_of(folder, name):
    """X and y to train on and to test with: numbers standardised, levels one-hot."""
    if name == "generated":
        return generated()
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    with np.load(Path(folder) / f"{name}.npz", allow_pickle=False) as file:
        numbers, codes, y = file["X_num"], file["X_cat"], file["y"]
    n_numbers = numbers.shape[1]
    X = np.hstack([numbers.astype(np.float64), codes])
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.2, random_state=0)
    encoder = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), list(range(n_numbers))),
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=False, max_categories=50),
            list(range(n_numbers, X.shape[1])),
        ),
    )
    X, X_test = encoder.fit_transform(X), encoder.transform(X_test)
    X, X_test = (np.ascontiguousarray(rows, dtype=np.float32) for rows in (X, X_test))
    if y.dtype.kind == "f":
        y, y_test = (y - y.mean()) / y.std(), (y_test - y.mean()) / y.std()
    return X, X_test, y, y_test


def convergence(options):
    """Scores after each pass, a line of JSON for each fit."""
    grid = [(0, 0), *((k, h) for k in options.replicas for h in options.steps)]
    for name in options.sets:
        rows = rows_of(options.data, name)
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as executor:
            np.save(f"{folder}/X.npy", rows[0])
            np.save(f"{folder}/y.npy", rows[2])
            source = fastmlp.scan_npy(f"{folder}/X.npy", f"{folder}/y.npy", window_rows=len(rows[0]))
            for seed, (n_replicas, n_steps) in product(range(options.seeds), grid):
                begun = time.perf_counter()
                scores = scores_of(rows, source, executor, n_replicas, n_steps, max_iter=SETS[name], random_state=seed)
                line = {"set": name, "rows": len(rows[0]), "seed": seed, "replicas": n_replicas, "steps": n_steps}
                line |= {"seconds": time.perf_counter() - begun, "scores": scores}
                with open(options.lines, "a") as file:
                    print(json.dumps(line), file=file)
                print(name, seed, n_replicas, n_steps, f"{scores[-1]:.4f}", f"{line['seconds']:.1f} s", flush=True)


def scores_of(rows, source, executor, n_replicas, n_steps, **params):
    """Accuracy or R2 on the test rows after each pass; without replicas of one process."""
    X, X_test, y, y_test = rows
    scores = []

    def score(model, epoch, metrics):
        scores.append(model.score(X_test, y_test))

    kind = "Regressor" if y.dtype.kind == "f" else "Classifier"
    params |= COMMON | {"n_jobs": 1, "callbacks": score}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of too few batches, and of the limit on passes
        if n_replicas == 0:
            getattr(fastmlp, f"MLP{kind}")(**params).fit(X, y)
        else:
            replicated = getattr(fastmlp.dask, f"DaskMLP{kind}")
            replicated(**params, n_replicas=n_replicas, n_inner_steps=n_steps, client=executor).fit(source)
    return scores


def small(n_rows=8_000):
    """A fit of some seconds, and its rows."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows, 30), dtype=np.float32)
    model = fastmlp.dask.DaskMLPClassifier((64,), batch_size=100, max_iter=6, random_state=0, n_inner_steps=10)
    return model, X, (X[:, 0] * X[:, 1] > 0).astype(np.int64)


def kills(options):
    """Fits of which each loses a process at a random moment; the models must be the same."""
    import dask
    from distributed import Client, LocalCluster

    model, X, y = small()
    moments, same = random.Random(0), 0
    with (
        tempfile.TemporaryDirectory() as folder,
        # else a process that is starting again 15 s after it was killed is given up
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1 hour"}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        np.save(f"{folder}/X.npy", X)
        np.save(f"{folder}/y.npy", y)
        source = fastmlp.scan_npy(f"{folder}/X.npy", f"{folder}/y.npy")
        expected = clone(model).fit(source)
        begun = time.perf_counter()
        clone(model).fit(source)
        seconds = time.perf_counter() - begun
        for number in range(options.fits):
            client.wait_for_workers(1)
            # one that is killed while it starts is not started again
            begun = [nanny for nanny in cluster.workers.values() if nanny.worker_address in client.nthreads()]
            nanny = moments.choice(begun)
            timer = threading.Timer(moments.uniform(0, seconds), os.kill, (nanny.pid, signal.SIGKILL))
            timer.start()
            begun = time.perf_counter()
            fitted = clone(model).fit(source)
            took = time.perf_counter() - begun
            timer.join()
            equal = all(map(np.array_equal, fitted.coefs_ + fitted.intercepts_, expected.coefs_ + expected.intercepts_))
            same += equal
            print(f"fit {number}: {took:.1f} s, without a kill {seconds:.1f} s, same bits: {equal}", flush=True)
    print(f"{same} of {options.fits} fits have the same bits")


NETS = {"30-128-128-2": (30, (128, 128), 2, 256), "784-512-512-10": (784, (512, 512), 10, 256)}


def rounds(options):
    """Time of an update and of the tasks around it, and what a round then takes on many machines."""
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        tasks = fastmlp.dask.ClientTasks(client)
        empty = Sum([], 0.0, 1.0)
        times = {}
        for n_tasks in (2, 32):
            best = math.inf
            for _ in range(7):
                begun = time.perf_counter()
                tasks.reduce(Sum.plus, _given, (tasks.shared(empty),), [(number,) for number in range(n_tasks)])
                best = min(best, time.perf_counter() - begun)
            times[n_tasks] = best
    of_task = (times[32] - times[2]) / (2 * 30)  # each has a sum too, nearly
    of_round = times[2] - 4 * of_task
    print(f"a round of empty tasks: {1e3 * of_round:.1f} ms, and {1e3 * of_task:.2f} ms for each task")
    print("| network | MB of a state | H | Gbit/s | 2 machines | 8 | 32 | 100 |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, (n_features, hidden, n_classes, batch) in NETS.items():
        X = np.random.default_rng(0).standard_normal((20 * batch, n_features), dtype=np.float32)
        y = np.arange(len(X)) % n_classes
        model = fastmlp.MLPClassifier(hidden, batch_size=batch, max_iter=1, random_state=0, n_jobs=1)
        best = math.inf
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(X, y)
            for _ in range(7):
                begun = time.perf_counter()
                model.partial_fit(X, y)
                best = min(best, time.perf_counter() - begun)
        step, n_bytes = best / 20, 3 * sum(array.nbytes for array in model.coefs_ + model.intercepts_)
        for n_steps, gigabits in product((30, 100), (1, 10)):
            gains = []
            for machines in (2, 8, 32, 100):
                transfers = (1 + 2 * math.ceil(math.log2(machines))) * (n_bytes * 8e-9 / gigabits + 1e-3)
                total = n_steps * step + transfers + of_round + 2 * machines * of_task
                gains.append(machines * n_steps * step / total)
            cells = " | ".join(f"{gain:.1f}" for gain in gains)
            print(f"| {name}, {1e3 * step:.2f} ms an update | {n_bytes / 1e6:.2f} | {n_steps} | {gigabits} | {cells} |")


def _given(value, number):
    return value


def table(options):
    """A Markdown table for each set: what the last pass has come to, by replicas and updates of a round."""
    with open(options.lines) as file:
        lines = [json.loads(line) for line in file]
    for name in dict.fromkeys(line["set"] for line in lines):
        own = [line for line in lines if line["set"] == name]
        scores = {}
        for line in own:
            scores.setdefault((line["replicas"], line["steps"]), []).append(line["scores"])
        steps = sorted({key[1] for key in scores if key[0]})
        print(f"\n{name}: {own[0]['rows']} rows, {len(own[0]['scores'])} passes\n")
        print(f"| K | {' | '.join('a pass' if step == 10**9 else f'H={step}' for step in steps)} |")
        print(f"|---|{'---:|' * len(steps)}")
        alone = np.mean([curve[-1] for curve in scores[0, 0]])
        print(f"| one process | {alone:.4f} |{' |' * (len(steps) - 1)}")
        for k in sorted({key[0] for key in scores if key[0]}):
            cells = (np.mean([c[-1] for c in scores[k, step]]) if (k, step) in scores else None for step in steps)
            print(f"| {k} | {' | '.join('' if cell is None else f'{cell:.4f}' for cell in cells)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("convergence")
    command.set_defaults(run=convergence)
    command.add_argument("--data", default="data")
    command.add_argument("--lines", default="replicas.jsonl")
    command.add_argument("--sets", nargs="+", default=list(SETS))
    command.add_argument("--seeds", type=int, default=1)
    command.add_argument("--replicas", type=int, nargs="+", default=REPLICAS)
    command.add_argument("--steps", type=int, nargs="+", default=STEPS)
    command = commands.add_parser("table")
    command.set_defaults(run=table)
    command.add_argument("--lines", default="replicas.jsonl")
    command = commands.add_parser("kills")
    command.set_defaults(run=kills)
    command.add_argument("--fits", type=int, default=20)
    commands.add_parser("rounds").set_defaults(run=rounds)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
