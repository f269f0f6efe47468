"""What layers over the columns of a table cost: training steps beside those of dense or sparse inputs, in one process.

    python bench/layers.py [--rounds 31] [--threads 1 2]

Adam in float32, batches of 256 rows, by turns with what is named in the last column.
"""

import argparse

import numpy as np
import scipy.sparse
from engine_nets import adam
from timing import Lane, interleave, ratio

from fastmlp.engine import Network, single_threaded_blas
from fastmlp.engine.architecture import Dense, Embedding, Inputs, Numbers, Parametric, Periodic, Scale

BATCH, N_BATCHES, N_CLASSES = 256, 20, 10
N_ROWS = BATCH * N_BATCHES


def numbers(n):
    return np.random.default_rng(0).standard_normal((N_ROWS, n), dtype=np.float32)


def codes(levels):
    return np.random.default_rng(1).integers(levels, size=(N_ROWS, len(levels)), dtype=np.int32)


def one_hot(codes, levels):
    columns = codes + np.cumsum([0, *levels[:-1]], dtype=np.int32)
    indptr = np.arange(N_ROWS + 1, dtype=np.int32) * len(levels)
    return scipy.sparse.csr_array(
        (np.ones(columns.size, np.float32), columns.reshape(-1), indptr), shape=(N_ROWS, sum(levels))
    )


def hidden(n):
    return [Dense(n, "relu") for _ in range(3)]


def parametric():
    return [Scale(), *(layer for _ in range(3) for layer in (Dense(256), Parametric("mish"))), Dense(N_CLASSES)]


def pairs():
    """What is compared: a name, layers, data, and the same of the other."""
    levels = (50,) * 10
    yield (
        ("10 embedded categories, 10 numbers, 3 x 256 relu",
         [Inputs(10, levels), Numbers(), Embedding(8), *hidden(256), Dense(N_CLASSES)], numbers(10), codes(levels)),
        ("90 numbers", [Inputs(90), *hidden(256), Dense(N_CLASSES)], numbers(90), None),
    )  # fmt: skip
    levels = (200,) * 10
    yield (
        ("2,000 levels by gather, 100 relu",
         [Inputs(0, levels), Dense(100, "relu"), Dense(N_CLASSES)], numbers(0), codes(levels)),
        ("as CSR", [Inputs(2000), Dense(100, "relu"), Dense(N_CLASSES)], one_hot(codes(levels), levels), None),
    )  # fmt: skip
    yield (
        ("20 periodic embeddings, scale, 3 x 256 parametric mish",
         [Inputs(20), Periodic(frequencies=16, width=3), *parametric()], numbers(20), None),
        ("60 numbers, scale, 3 x 256 parametric mish", [Inputs(60), *parametric()], numbers(60), None),
    )  # fmt: skip


def lane_of(name, layers, X, categories, n_threads):
    network = Network(layers, None, "log_loss", np.float32, n_threads=n_threads)
    rng = np.random.default_rng(2)
    for parameter, array, _ in network.parameters:
        array[:] = rng.standard_normal(array.shape) * np.sqrt(2 / sum(array.shape))
        if parameter.startswith(("scales", "activations")):
            array[:] = 1
    network.bind(X, rng.integers(N_CLASSES, size=N_ROWS), codes=categories)
    optimizer = adam(network)
    rows = rng.permutation(N_ROWS)

    def epoch():
        network.epoch(rows, BATCH, optimizer, 0.0)

    return Lane(name, n_threads, epoch, epoch, N_BATCHES)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    print("| layers | threads | us a batch | median of ratios (of bests) | to |\n|---|---:|---:|---:|---|")
    with single_threaded_blas():
        for pair in pairs():
            for n_threads in options.threads:
                lane, other = (lane_of(*net, n_threads) for net in pair)
                interleave([lane, other], options.rounds, pause=0)
                median, best = ratio(lane, other)
                print(f"| {lane.peer} | {n_threads} | {lane.best * 1e6:.0f}, {other.best * 1e6:.0f} |"
                      f" {median:.2f} ({best:.2f}) | {other.peer} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
