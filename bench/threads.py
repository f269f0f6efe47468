"""What a second thread brings, and what two fits cost each other that share two cores.

    python bench/threads.py [--rounds N] [--nets NAME ...]

Speed-up: one epoch on the engine with 1 thread over one with 2, interleaved. Company: two whole fits at once, in two
processes, each free to take both cores, against the same two one after the other (1.00 loses nothing).
"""

import argparse
import multiprocessing
import time

import numpy as np
from engine_nets import EngineNet
from nets import NETS
from peers import PEERS

FITS = 3  # one after the other in each process, so that they overlap whatever the start


def speed_up(net, rounds):
    nets = {n: EngineNet(net, "float32", n_threads=n) for n in (1, 2)}
    seconds = {n: [] for n in nets}
    for _ in range(rounds):
        for n, engine in nets.items():
            time.sleep(0.03)
            engine.epoch()
            begin = time.perf_counter()
            engine.epoch()
            seconds[n].append(time.perf_counter() - begin)
    return float(np.median(np.divide(seconds[1], seconds[2])))


def worker(name, orders, done):
    net = NETS[name]
    fit = PEERS["fastmlp"].trainer(net, *net.data("float32"))
    fit(1)
    done.put(None)
    while orders.get():
        for _ in range(FITS):
            fit(net.epochs)
        done.put(None)


def company(name, rounds):
    context = multiprocessing.get_context("spawn")
    done = context.Queue()
    orders = [context.Queue() for _ in range(2)]
    workers = [context.Process(target=worker, args=(name, order, done)) for order in orders]
    for process in workers:
        process.start()
    for _ in workers:
        done.get()
    ratios = []
    for _ in range(rounds):
        begin = time.perf_counter()
        for order in orders:
            order.put(True)
            done.get()
        alone = time.perf_counter() - begin
        begin = time.perf_counter()
        for order in orders:
            order.put(True)
        for _ in orders:
            done.get()
        ratios.append((time.perf_counter() - begin) / alone)
    for order, process in zip(orders, workers, strict=True):
        order.put(False)
        process.join()
    return float(np.median(ratios))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--nets", nargs="+", choices=NETS, default=["64-100-10", "30-128-128-2", "784-512-512-10"])
    options = parser.parse_args()
    for name in options.nets:
        print(
            f"{name}: two threads {speed_up(NETS[name], options.rounds):.2f} times as fast as one;"
            f" two fits at once take {company(name, options.rounds):.2f} of one after the other"
        )


if __name__ == "__main__":
    main()
