"""Fits by replicas: how they converge, what kills and distance do to them, and what a round takes on many machines.

`python bench/replicas.py convergence --data FOLDER --lines replicas.jsonl` trains the same network by one process
(`MLPClassifier`) and by K replicas that are averaged every H updates, and writes what each pass has come to. Replicas
run one after the other here: the model is the same bit for bit, so that accuracy needs no cluster.
`python bench/replicas.py kills` kills processes of a cluster in the middle of fits, and compares the models.
`python bench/replicas.py rounds` measures tasks and transfers, and computes what a pass takes on many machines.
"""

import argparse
import json
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np

import fastmlp
import fastmlp.dask

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
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
