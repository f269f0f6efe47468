"""Training steps of builds of fastmlp by several compilers, on one thread, beside the first of them.

    python bench/builds.py "GCC 12=src" "clang 14=../other-checkout/src" [--rounds 15]

Each build runs in a process of its own. The processes take turns, a fit of every net of the benchmark at a time, and
count the time that their thread was running, so that other programs matter little. Writes builds.md.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
from compare import DTYPES, machine, versions
from engine_nets import EngineNet
from nets import NETS
from report import RESULTS, table

from fastmlp.engine import single_threaded_blas
from fastmlp.engine.kernels import DEFAULT_ISA


def child():
    """For each line that is read, the microseconds of a batch of every net."""
    nets = {}
    for name, net in NETS.items():
        for dtype in DTYPES[: 1 + net.both_dtypes]:
            nets[f"{name}, {dtype.__name__}"] = EngineNet(net, dtype, n_threads=1), net.n_batches
    print(DEFAULT_ISA, flush=True)
    with single_threaded_blas():
        for _ in sys.stdin:
            times = {}
            for name, (net, n_batches) in nets.items():
                start = time.thread_time()
                net.epoch()
                times[name] = (time.thread_time() - start) / n_batches * 1e6
            print(json.dumps(times), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("builds", nargs="+", metavar="NAME=FOLDER", help="a compiler's name, and where fastmlp lies")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder to write to")
    chosen = parser.parse_args()
    folders = dict(build.split("=", 1) for build in chosen.builds)
    running = {
        name: subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "PYTHONPATH": folder, "FASTMLP_BENCH_CHILD": "1"})
        for name, folder in folders.items()
    }  # fmt: skip
    isas = {name: process.stdout.readline().strip() for name, process in running.items()}
    times = {name: [] for name in running}
    for turn in range(chosen.rounds):
        for name in list(running)[:: 1 if turn % 2 else -1]:
            running[name].stdin.write("\n")
            running[name].stdin.flush()
            times[name].append(json.loads(running[name].stdout.readline()))
    for process in running.values():
        process.stdin.close()
        process.wait()
    first, *others = folders
    best = {name: {net: min(turn[net] for turn in turns) for net in turns[0]} for name, turns in times.items()}
    ratios = {name: {net: best[name][net] / best[first][net] for net in best[first]} for name in others}
    rows = [[net, f"{best[first][net]:.1f}", *(f"{ratios[name][net]:.2f}" for name in others)] for net in best[first]]
    rows.append(["geometric mean", "", *(f"{np.exp(np.mean(np.log([*r.values()]))):.3f}" for r in ratios.values())])
    used = ", ".join(
        f"{name} {number}" for name, number in versions().items() if name in ("Python", "fastmlp", "numpy")
    )
    kernels = ", ".join(f"{name} {isa}" for name, isa in isas.items())
    text = (
        f"{date.today().isoformat()}, {machine()['cpu']}; {used}; kernels: {kernels}. `python bench/builds.py`, "
        f"{chosen.rounds} rounds: microseconds of a batch on one thread for {first}, and the others' times in these; "
        "best of all rounds.\n\n"
    )
    text += table(["net, dtype", first, *others], rows)
    chosen.out.mkdir(parents=True, exist_ok=True)
    chosen.out.joinpath("builds.md").write_text(text)
    print(text)


if __name__ == "__main__":
    child() if "FASTMLP_BENCH_CHILD" in os.environ else main()
