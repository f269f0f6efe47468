"""A training step on one thread beside what its products would take at the core's peak.

    python bench/floor.py [--nets NAME ...] [--seconds S]

Microseconds a batch, float32: the operations of the products at the peak of multiply-adds in registers; the same with
the lanes that a row's last vector leaves empty; the best epoch of the engine, rows shuffled beforehand. Under
`perf record -e cpu-clock python bench/floor.py --nets NAME`, `perf report --sort symbol` says where a step goes.
"""

import argparse
import time
from itertools import pairwise

import numpy as np
from engine_nets import EngineNet
from nets import NETS

from fastmlp.engine import fma_peak, single_threaded_blas

LANES = 16  # of an AVX-512 vector in float32


def vectors(n):
    return -(-n // LANES)


def whole_vectors(net):
    """Operations of the products if every vector were full.

    Forward and weight gradient of fewer columns than lanes may lie the other way, their rows in the vectors.
    """
    total = 0
    for i, (n_in, n_out) in enumerate(pairwise(net.layers)):
        across, along = vectors(n_out) * n_in, vectors(n_in) * n_out
        forward = along if n_out <= 4 else across
        gradient = min(across, along) if n_out < LANES else across
        total += forward + gradient + (along if i else 0)
    return 2 * LANES * net.batch * total


def step(net, seconds):
    """Best seconds of a batch within so many seconds of epochs."""
    engine = EngineNet(net, "float32", n_threads=1)
    engine.epoch()
    best, end = np.inf, time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter()
        engine.epoch()
        best = min(best, (time.perf_counter() - begin) / net.n_batches)
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    dense = [name for name, net in NETS.items() if net.density == 1]
    parser.add_argument("--nets", nargs="+", choices=NETS, default=dense)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    peak = fma_peak("float32", 1.0)
    print(f"One core, float32: {peak / 1e9:.0f} GFLOP/s of multiply-adds in registers.\n")
    print("| net, batch | at the peak | whole vectors | a step |\n|---|---:|---:|---:|")
    with single_threaded_blas():
        for name in options.nets:
            net = NETS[name]
            floor, whole = net.products / peak, whole_vectors(net) / peak
            whole = f"{whole * 1e6:.1f}" if net.density == 1 else ""
            print(f"| {name}, {net.batch} | {floor * 1e6:.1f} | {whole} | {step(net, options.seconds) * 1e6:.1f} |")


if __name__ == "__main__":
    main()
