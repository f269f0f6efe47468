"""Members of an ensemble side by side: two on two workers beside one on one, as ratios within one run.

    python bench/members.py
    python bench/members.py --rows 500 --rounds 40

Two processes of one member each share nothing: what they take longer than one is the machine's own limit (cores that
share units, caches or a clock), and the ratio of threads to processes is what our threads cost.
"""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np
from compare import machine
from engine_nets import adam

from fastmlp.engine import Network

_state = {}


def member(units, n_rows, number):
    """A network with data, its optimizer and an order of rows."""
    rng = np.random.default_rng(number)
    network = Network(units, "relu", "log_loss", np.float32, n_threads=1)
    for weights in network.coefs:
        weights[:] = rng.standard_normal(weights.shape) / np.sqrt(len(weights))
    network.bind(rng.standard_normal((n_rows, units[0])).astype(np.float32), rng.integers(units[-1], size=n_rows))
    return network, adam(network), np.arange(n_rows), rng


def train(one, epochs, batch_size):
    """Epochs of a member, the rows in a new order each time."""
    network, optimizer, rows, rng = one
    for _ in range(epochs):
        rng.shuffle(rows)
        network.epoch(rows, batch_size, optimizer, 1e-4)


def in_process(units, n_rows, epochs, batch_size, number):
    """The same in a process of its own, which keeps its member; the seconds between begin and end."""
    if "barrier" in _state:
        _state["barrier"].wait()
    one = _state.setdefault("member", member(units, n_rows, number))
    begin = time.perf_counter()
    train(one, epochs, batch_size)
    return time.perf_counter() - begin


def _meet(barrier):
    _state["barrier"] = barrier


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--units", type=int, nargs="+", default=[16, 64, 64, 2])
    add("--rows", type=int, default=5000)
    add("--batch-size", type=int, default=256)
    add("--epochs", type=int, default=20)
    add("--rounds", type=int, default=20)
    chosen = parser.parse_args()
    members = [member(chosen.units, chosen.rows, number) for number in range(2)]
    alone, threads, processes = [], [], []
    context = get_context("spawn")
    barrier = context.Barrier(2)
    run = partial(train, epochs=chosen.epochs, batch_size=chosen.batch_size)
    job = partial(in_process, chosen.units, chosen.rows, chosen.epochs, chosen.batch_size)
    with ThreadPoolExecutor(2) as pool, ProcessPoolExecutor(2, context, _meet, (barrier,)) as others:
        for _ in range(chosen.rounds):
            begin = time.perf_counter()
            run(members[0])
            alone.append(time.perf_counter() - begin)
            begin = time.perf_counter()
            list(pool.map(run, members))
            threads.append(time.perf_counter() - begin)
            processes.append(max(others.map(job, range(2))))
    one, two, apart = (min(seconds) for seconds in (alone, threads, processes))
    print(machine())
    net = "-".join(map(str, chosen.units))
    print(f"{net}, {chosen.rows} rows, batches of {chosen.batch_size}, best of {chosen.rounds} rounds")
    print(
        f"one member {1e3 * one / chosen.epochs:.3f} ms an epoch; two in threads {two / one:.3f} times as long,"
        f" in processes {apart / one:.3f}; threads / processes {two / apart:.3f}"
    )


if __name__ == "__main__":
    main()
