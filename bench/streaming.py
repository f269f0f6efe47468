"""Fits to files beside the fit in memory: rows per second, and resident memory over files larger than a limit.

`python bench/streaming.py speed` trains 30-128-128-2 in float32 on the same rows in memory, in an `.npy` file and in
Parquet files, in turn, in one process. `python bench/streaming.py cost` tells the processor time of a row: of training,
of reading and shuffling, and of the decoding in it. `python bench/streaming.py memory` trains in a process whose memory
is limited to a tenth of the file, and prints how much is resident that no file is mapped to. The kind "table" is an
ensemble's fit to a table that has texts and gaps. `python bench/streaming.py peers` trains a larger network beside
PyTorch and Keras, which read the same file. Files go to a temporary folder.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from timing import Lane, interleave, ratio

import fastmlp
from fastmlp.data.windows import Stream
from fastmlp.training.streams import Order

F, HIDDEN, BATCH = 30, (128, 128), 256
GROUP = 100_000  # rows of a row group
TABLE_GROUP = 20_000  # likewise, of a table
PEERS = {"memory": "arrays", "npy": ".npy", "plain": "Parquet, plain", "snappy": "Parquet, snappy and dictionaries"}
PARQUET = {
    "Parquet, no compression, no dictionaries": {"compression": "none", "use_dictionary": False},
    "Parquet, Snappy, no dictionaries": {"use_dictionary": False},
    "Parquet as PyArrow writes it: Snappy and dictionaries": {},
}
STATUS = Path("/proc/self/status")


def rows(n_rows, seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_rows, F), dtype=np.float32)
    return X, (X[:, 0] * X[:, 1] + X[:, 2] > 0).astype(np.int64)


def write_parquet(path, n_rows, group=GROUP, **options):
    names = [f"f{j}" for j in range(F)]
    schema = pa.schema([(name, pa.float32()) for name in names] + [("y", pa.int64())])
    with pq.ParquetWriter(path, schema, **options) as writer:
        for start in range(0, n_rows, group):
            X, y = rows(min(group, n_rows - start), start)
            columns = dict(zip(names, X.T, strict=True)) | {"y": y}
            writer.write_table(pa.table(columns, schema), row_group_size=group)


def write_npy(folder, n_rows):
    X = np.lib.format.open_memmap(folder / "X.npy", "w+", np.float32, (n_rows, F))
    y = np.lib.format.open_memmap(folder / "y.npy", "w+", np.int64, (n_rows,))
    for start in range(0, n_rows, GROUP):
        X[start : start + GROUP], y[start : start + GROUP] = rows(min(GROUP, n_rows - start), start)


def model(epochs):
    return fastmlp.MLPClassifier(HIDDEN, batch_size=BATCH, max_iter=epochs, random_state=0, n_iter_no_change=epochs + 1)


def speed(n_rows, window_rows, epochs, rounds):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        write_npy(folder, n_rows)
        write_parquet(folder / "plain.parquet", n_rows, compression="none", use_dictionary=False)
        write_parquet(folder / "snappy.parquet", n_rows)
        arrays = np.load(folder / "X.npy"), np.load(folder / "y.npy")
        window = {"window_rows": window_rows}
        data = {
            "memory": arrays,
            "npy": (fastmlp.scan_npy(folder / "X.npy", folder / "y.npy", **window),),
            "plain": (fastmlp.scan_parquet(folder / "plain.parquet", "y", **window),),
            "snappy": (fastmlp.scan_parquet(folder / "snappy.parquet", "y", **window),),
        }
        few = tuple(array[:10_000] for array in arrays)
        lanes = [
            Lane(name, None, lambda given=given: model(epochs).fit(*given), lambda: model(1).fit(*few), n_rows * epochs)
            for name, given in data.items()
        ]
        interleave(lanes, rounds)
        print(f"{n_rows:,} rows of {F} features, windows of {window_rows:,}, {epochs} epochs, {rounds} rounds")
        for lane in lanes:
            share = 1 / ratio(lane, lanes[0])[0]
            print(f"{PEERS[lane.peer]:34} {1e-6 / lane.best:6.2f} million rows/s  {share:6.1%} of arrays")
        for name, source in data.items():
            if name != "memory":
                began = time.perf_counter()
                source[0].load()
                print(f"{PEERS[name]:34} read in {1e9 * (time.perf_counter() - began) / n_rows:5.0f} ns a row")


def cost(n_rows, window_rows, rounds):
    """Least processor time of a row among the rounds, which other programs lengthen less than the time on a clock."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        write_npy(folder, n_rows)
        for name, options in PARQUET.items():
            write_parquet(folder / f"{name}.parquet", n_rows, **options)
        few = tuple(np.load(folder / f"{name}.npy")[:100_000] for name in "Xy")
        alone = model(1).set_params(n_jobs=1)
        sources = {".npy": fastmlp.scan_npy(folder / "X.npy", folder / "y.npy", window_rows=window_rows)} | {
            name: fastmlp.scan_parquet(folder / f"{name}.parquet", "y", window_rows=window_rows) for name in PARQUET
        }
        measured = {"training": (lambda: alone.fit(*few), len(few[0]))}
        for name, source in sources.items():
            measured[name] = (lambda source=source: read_windows(source), n_rows)
        for name in PARQUET:
            measured[f"{name}: decoding"] = (lambda name=name: decode(folder / f"{name}.parquet"), n_rows)
        least = dict.fromkeys(measured, float("inf"))
        for _ in range(rounds):
            for name, (run, n) in measured.items():
                began = time.process_time()
                run()
                least[name] = min(least[name], 1e9 * (time.process_time() - began) / n)
        print(f"{n_rows:,} rows of {F} features, windows of {window_rows:,}, {rounds} rounds; nanoseconds a row")
        for name, nanoseconds in least.items():
            print(f"{name:60} {nanoseconds:6.0f}")


def read_windows(source):
    """What a fit's reader does in an epoch: features, targets, checks and the order of rows."""
    stream = Stream(source, lambda y, weight: (y, weight), np.zeros(1, np.int64), False, np.zeros(0, np.uint8))
    for _ in stream.in_precision(np.dtype(np.float32)).windows(Order(0, 0, None, 0.0, BATCH - 1)):
        pass
    stream.close()


def decode(path):
    file = pq.ParquetFile(path)
    for group in range(file.num_row_groups):
        file.read_row_group(group, use_threads=False)


def write_table(path, n_rows):
    """The same columns, of which one is a text, and one has gaps."""
    with pq.ParquetWriter(path, table_of(0, 1).schema) as writer:
        for start in range(0, n_rows, TABLE_GROUP):
            writer.write_table(table_of(start, min(TABLE_GROUP, n_rows - start)))


def table_of(start, n_rows):
    X, y = rows(n_rows, start)
    columns = {f"f{j}": column for j, column in enumerate(X.T)}
    columns["f3"] = pa.array(X[:, 3], mask=X[:, 4] > 1)
    columns["f5"] = pa.array(np.char.add("level ", (X[:, 5] * 10).astype(np.int64).astype(str)))
    return pa.table(columns | {"y": y})


def peers(n_rows, rounds, only):
    """PyTorch and Keras beside: five layers of 300 tanh units, 28 features, batches of 100, Adam; Keras runs on JAX."""
    import torch

    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    hidden, n_features, batch = (300,) * 5, 28, 100

    def batches(path):
        """Batches of the rows of a file's row groups, shuffled in each of them."""
        file, random = pq.ParquetFile(path), np.random.default_rng(0)
        for group in random.permutation(file.num_row_groups):
            table = file.read_row_group(group)
            X = np.stack([table[f"f{j}"].to_numpy() for j in range(n_features)], axis=1)
            y, order = table["y"].to_numpy().astype(np.float32), random.permutation(len(X))
            for start in range(0, len(X), batch):
                of_batch = order[start : start + batch]
                yield X[of_batch], y[of_batch]

    class RowGroups(torch.utils.data.IterableDataset):
        def __init__(self, path):
            self.path = path

        def __iter__(self):
            return ((torch.from_numpy(X), torch.from_numpy(y)) for X, y in batches(self.path))

    def train_keras(path):
        layers = [keras.layers.Dense(units, "tanh") for units in hidden]
        network = keras.Sequential([keras.Input((n_features,)), *layers, keras.layers.Dense(1, "sigmoid")])
        network.compile("adam", "binary_crossentropy")
        network.fit(batches(path), steps_per_epoch=-(-n_rows // batch), epochs=1, verbose=0)

    def train(path, n_threads):
        torch.set_num_threads(n_threads)
        sizes = (n_features, *hidden)
        layers = [part for a, b in pairwise(sizes) for part in (torch.nn.Linear(a, b), torch.nn.Tanh())]
        network = torch.nn.Sequential(*layers, torch.nn.Linear(hidden[-1], 1))
        optimizer, loss = torch.optim.Adam(network.parameters(), lr=1e-3), torch.nn.BCEWithLogitsLoss()
        for X, y in torch.utils.data.DataLoader(RowGroups(path), batch_size=None):
            optimizer.zero_grad()
            loss(network(X)[:, 0], y).backward()
            optimizer.step()

    def fit(path, n_threads):
        features = [f"f{j}" for j in range(n_features)]
        source = fastmlp.scan_parquet(path, "y", features, window_rows=min(n_rows // 2, 1_000_000))
        options = {"batch_size": batch, "max_iter": 1, "n_jobs": n_threads, "random_state": 0}
        fastmlp.MLPClassifier(hidden, activation="tanh", **options).fit(source)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        write_parquet(path, n_rows, min(n_rows // 10, GROUP), use_dictionary=False)
        runs = {f"fastmlp, {n} threads": partial(fit, path, n) for n in (1, 2)}
        runs |= {f"PyTorch {torch.__version__}, {n} threads": partial(train, path, n) for n in (1, 2)}
        runs[f"Keras {keras.__version__}, its own threads"] = partial(train_keras, path)
        lanes = [Lane(name, None, run, lambda: None, n_rows) for name, run in runs.items() if name.startswith(only)]
        interleave(lanes, rounds)
        for lane in lanes:
            print(f"{lane.peer:32} {1 / lane.best:10,.0f} rows/s  {1 / ratio(lane, lanes[0])[0]:6.1%} of the first")


def _kib(field):
    return int(STATUS.read_text().partition(f"{field}:")[2].split()[0])


def within(folder, kind, limit, window_bytes):
    """Train on a file with so many bytes allowed beside those of the loaded libraries; run in a process of its own."""
    small = rows(2000, 0)
    fitted = model(1)
    if kind == "table":
        fitted = fastmlp.TabularMLPClassifier(
            n_members=1, max_iter=1, random_state=0, recipe={"hidden_layer_sizes": (16,), "frequencies": 0}
        )
    fitted.fit(*small)
    if kind == "npy":
        source = fastmlp.scan_npy(folder / "X.npy", folder / "y.npy", window_bytes=window_bytes)
    else:
        source = fastmlp.scan_parquet(folder / "rows.parquet", "y", window_bytes=window_bytes)
    allowed = 1024 * _kib("VmData") + limit
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, allowed))
    baseline, seen, done = _kib("RssAnon"), [], threading.Event()

    def watch():
        while not done.wait(0.1):
            seen.append(_kib("RssAnon") - baseline)

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    fitted.fit(source)
    seconds = time.perf_counter() - began
    done.set()
    watcher.join()
    n_bytes = source.n_rows * F * 4
    print(
        f"{kind}: {n_bytes / 2**20:.0f} MiB of features, {limit / 2**20:.0f} MiB allowed, windows of"
        f" {window_bytes / 2**20:.0f} MiB, {source.n_rows / seconds / 1e6:.2f} million rows/s"
    )
    tenths = [max(part) / 1024 for part in np.array_split(seen, 10)]
    print("  grown by, in MiB, tenth by tenth:", " ".join(f"{mib:.0f}" for mib in tenths), flush=True)
    try:
        source.table(range(len(source.blocks))) if kind == "table" else source.load()
        print("  all rows fit into the limit: it is none")
    except MemoryError:
        print("  all rows in memory: MemoryError")


def memory(limit, times, kinds):
    n_rows = int(times * limit) // (F * 4)
    for kind in kinds:
        with tempfile.TemporaryDirectory() as folder:
            if kind == "npy":
                write_npy(Path(folder), n_rows)
            elif kind == "table":
                write_table(Path(folder) / "rows.parquet", n_rows)
            else:
                write_parquet(Path(folder) / "rows.parquet", n_rows)
            command = [sys.executable, __file__, "within", folder, kind, str(limit), str(limit // 5)]
            # unchecked: where the C library finds no memory for a thread, it ends the process
            subprocess.run(command)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    timed = commands.add_parser("speed", help="rows per second")
    timed.add_argument("--rows", type=int, default=2_000_000)
    timed.add_argument("--window-rows", type=int, default=400_000)
    timed.add_argument("--epochs", type=int, default=2)
    timed.add_argument("--rounds", type=int, default=5)
    beside = commands.add_parser("peers", help="rows per second beside PyTorch and Keras")
    beside.add_argument("--rows", type=int, default=1_000_000)
    beside.add_argument("--rounds", type=int, default=5)
    beside.add_argument("--only", default="", help='what the learners\' names begin with, such as "fastmlp, 2"')
    costing = commands.add_parser("cost", help="processor time of a row")
    costing.add_argument("--rows", type=int, default=1_000_000)
    costing.add_argument("--window-rows", type=int, default=400_000)
    costing.add_argument("--rounds", type=int, default=3)
    limited = commands.add_parser("memory", help="resident memory over a file of several times a limit")
    limited.add_argument("--limit", type=int, default=256, help="MiB")
    limited.add_argument("--times", type=float, default=10, help="the file's features, in limits")
    limited.add_argument("--kinds", nargs="+", default=["npy", "parquet", "table"])
    alone = commands.add_parser("within", help="what memory runs in a process of its own")
    alone.add_argument("arguments", nargs=4)
    given = parser.parse_args()
    if given.command == "speed":
        speed(given.rows, given.window_rows, given.epochs, given.rounds)
    elif given.command == "cost":
        cost(given.rows, given.window_rows, given.rounds)
    elif given.command == "peers":
        peers(given.rows, given.rounds, given.only)
    elif given.command == "memory":
        memory(given.limit * 2**20, given.times, given.kinds)
    else:
        folder, kind, limit, window = given.arguments
        within(Path(folder), kind, int(limit), int(window))
