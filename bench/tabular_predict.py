"""How fast models of tables predict: one row of each kind, and many rows beside LightGBM and scikit-learn's trees.

    python bench/tabular_predict.py [--rows 100000] [--rounds 7] [--threads 2]

Twenty columns that are generated: as an array, all numbers; as a frame, 14 numbers, some of them whole or with gaps,
and six categories. Models are trained for one epoch, which says nothing about speed. Times of single rows are the best
of many short runs, those of many rows are taken by turns. Beside them stands what they cannot fall below: for one row
the reading of all weights, for many the multiplications at the peak of the cores.
"""

import argparse
import time
import warnings
from datetime import date
from functools import partial
from importlib.metadata import version

import numpy as np
import pandas as pd
import polars
from compare import machine
from lightgbm import LGBMClassifier
from peers import limit_threads
from sklearn.ensemble import HistGradientBoostingClassifier
from timing import Lane, interleave, ratio

from fastmlp import TabularMLPClassifier
from fastmlp.engine import fma_peak
from fastmlp.engine.architecture import places
from fastmlp.engine.kernels import product
from fastmlp.training.recipes import Recipe

N_COLUMNS, N_NUMBERS, LEVELS = 20, 14, (2, 4, 7, 12, 40, 200)
PACKAGES = ("scikit-learn", "numpy", "pandas", "polars", "lightgbm")
MODELS = {
    "1 member": {"n_members": 1, "recipe": Recipe()},
    "5 members": {"n_members": 5, "recipe": Recipe()},
    "default": {},
}


def array_of(n, seed):
    """Rows of numbers, and their classes."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, N_COLUMNS))
    return X, (X[:, 0] + X[:, 1] * X[:, 2] + X[:, 15] + rng.standard_normal(n) > 0).astype(int)


def frame_of(X):
    """The same as a frame, whose last columns are levels."""
    frame = pd.DataFrame({f"x{i}": X[:, i] for i in range(N_NUMBERS)})
    frame["x5"] = np.round(100 * X[:, 5]).astype(int)
    frame.loc[::9, "x3"] = np.nan
    for i, n_levels in enumerate(LEVELS):
        codes = np.clip((X[:, N_NUMBERS + i] + 3) / 6 * n_levels, 0, n_levels - 1).astype(int)
        frame[f"c{i}"] = pd.Categorical.from_codes(codes, [f"level {code}" for code in range(n_levels)])
    return frame


def best_us(run, calls=20, rounds=200):
    """Microseconds of a call: the best of many short runs."""
    best = np.inf
    for _ in range(rounds):
        begin = time.perf_counter()
        for _ in range(calls):
            run()
        best = min(best, (time.perf_counter() - begin) / calls)
    return 1e6 * best


def multiplications(model):
    """Of a row, in all members."""
    return sum(
        place.layer.multiply_adds(place.n_in, inputs)
        for (inputs, *layers), _, _ in model._weighted_members()
        for place in places(inputs, layers)
    )


def weight_bytes(model):
    return sum(array.nbytes for member in model.members_ for array in member.parameters)


def reading_us(n_bytes):
    """Microseconds of a row's product with a matrix of as many bytes."""
    depth = n_bytes // 1024
    row, weights = np.ones((1, depth), np.float32), np.ones((depth, 256), np.float32)
    return best_us(partial(product, row, weights, np.empty((1, 256), np.float32)))


def print_rows(arrays, frames, peers, X, frame):
    """Single rows."""
    row, frame_row = X[:1].copy(), frame.iloc[[0]]
    kinds = {
        "NumPy": (arrays, row),
        "dict": (frames, frame.iloc[0].to_dict()),
        "polars": (frames, polars.from_pandas(frame_row)),
        "pandas": (frames, frame_row),
    }
    print(f"\n| one row, us | {' | '.join(MODELS)} | {' | '.join(peers['NumPy'])} |")
    print("|---|" + "---:|" * (len(MODELS) + len(peers["NumPy"])))
    for kind, (models, rows) in kinds.items():
        ours = [f"{best_us(partial(model.predict_proba, rows)):.1f}" for model in models.values()]
        theirs = ["" for _ in peers["NumPy"]]
        if kind in peers:
            with limit_threads(1):  # which takes them less time
                theirs = [f"{best_us(partial(one.predict_proba, rows), 3, 20):.0f}" for one in peers[kind].values()]
        print(f"| {kind} | {' | '.join(ours + theirs)} |", flush=True)
    floors = [f"{reading_us(weight_bytes(model)):.1f}" for model in arrays.values()]
    print(f"| weights alone | {' | '.join(floors)} |" + " |" * len(peers["NumPy"]))
    print(f"\nOf the frame's row pandas' own `iloc[0]` takes {best_us(lambda: frame_row.iloc[0]):.1f} us. Weights:")
    sizes = (f"{name} ({len(model.members_)}) {weight_bytes(model) / 1e6:.2f} MB" for name, model in arrays.items())
    print(", ".join(sizes) + ".")


def print_many(models, peers, rows, options):
    """Many rows; our models by turns with each of the others."""
    kind = "frame" if isinstance(rows, pd.DataFrame) else "array"
    peak = fma_peak(np.float32) * options.threads
    print(f"\n| {len(rows)} rows, {kind} | ms | at the peak, ms | times the throughput of {' | of '.join(peers)} |")
    print("|---|---:|---:|" + "---:|" * len(peers))
    for name, model in models.items():
        lanes = [
            Lane(peer, options.threads, partial(one.predict_proba, rows), partial(one.predict_proba, rows[:1000]), 1)
            for peer, one in {"fastmlp": model, **peers}.items()
        ]
        interleave(lanes, options.rounds)
        ours, *theirs = lanes
        ratios = [f"{median:.2f} ({best:.2f})" for median, best in (ratio(lane, ours) for lane in theirs)]
        floor = 2e3 * multiplications(model) * len(rows) / peak
        columns = [f"{name} ({len(model.members_)})", f"{1e3 * ours.best:.0f}", f"{floor:.0f}", *ratios]
        print(f"| {' | '.join(columns)} |", flush=True)


def main():
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    X, y = array_of(4000, 0)
    frame = frame_of(X)
    makers = {
        "LightGBM": lambda: LGBMClassifier(n_jobs=options.threads, verbose=-1),
        "HistGradientBoosting": lambda: HistGradientBoostingClassifier(early_stopping=False),
    }
    arrays, frames = (
        {
            name: TabularMLPClassifier(random_state=0, max_iter=1, **params).fit(table, y)
            for name, params in MODELS.items()
        }
        for table in (X, frame)
    )
    peers = {
        kind: {name: make().fit(table, y) for name, make in makers.items()}
        for kind, table in (("NumPy", X), ("pandas", frame))
    }
    about = machine()
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    print(f"{date.today()}, {about['cpu']}, {about['cores']} cores; {packages}; `python bench/tabular_predict.py`.")
    print("Members are networks of 256-256-256; the default has several recipes.")
    print(f"LightGBM and HistGradientBoosting as they come, 100 trees each. Many rows: {options.threads} threads,")
    print(f"median of {options.rounds} ratios of times by turns (of bests).")
    print_rows(arrays, frames, peers, X, frame)
    many, _ = array_of(options.rows, 1)
    print_many(arrays, peers["NumPy"], many, options)
    print_many(frames, peers["pandas"], frame_of(many), options)


if __name__ == "__main__":
    main()
