"""fastmlp beside scikit-learn, and beside PyTorch, JAX and ONNX Runtime where they are installed.

The same work, interleaved in one process: microseconds per training batch, per prediction, share of the processor's
peak, and peak memory over the data. Writes compare.json, compare.md and compare.png.

    python bench/compare.py
    python bench/compare.py --quick --nets 64-100-10 --only fastmlp scikit-learn
"""

import argparse
import json
import platform
import sys
import time
import warnings
from datetime import date
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from subprocess import CalledProcessError

import numpy as np
import report
import sklearn.neural_network
from memory import measure_apart
from nets import NETS
from peers import CORES, PEERS
from sklearn.exceptions import ConvergenceWarning
from timing import Lane, headline, interleave, ratio

from fastmlp import engine

DTYPES = (np.float32, np.float64)
PREDICTED = {1: 500, 20000: 2}  # rows of a prediction: calls timed as one
REQUIRED = ("fastmlp", "scikit-learn")
PACKAGES = ("fastmlp", "scikit-learn", "numpy", "scipy", "torch", "jax", "onnxruntime")


def machine():
    """The processor, its cores that we may use, and the system."""
    try:
        cpu = Path("/proc/cpuinfo").read_text().partition("model name")[2].splitlines()[0].strip("\t :")
    except (OSError, IndexError):
        cpu = platform.processor()
    return {"cpu": cpu, "cores": CORES, "system": platform.platform()}


def versions():
    """Of Python and of every package here that is installed."""
    found = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def lanes_of(peers, make):
    """The lanes make(peer) of all peers; an optional one that fails, in whatever way, is named and left out."""
    lanes = []
    for peer in peers:
        try:
            lanes += make(peer)
        except Exception as error:
            if peer.name in REQUIRED:
                raise
            print(f"  {peer.name} left out: {type(error).__name__}: {error}", file=sys.stderr)
    return lanes


def compared(lanes, rounds, **facts):
    """Time the lanes and return the facts, every lane's times, and how many times faster fastmlp was than each peer."""
    interleave(lanes, rounds)
    records = [lane.record() for lane in lanes]
    ours, theirs = headline(lanes, "fastmlp"), headline(lanes, "scikit-learn")
    for lane, record in zip(lanes, records, strict=True):
        record["headline"] = lane is headline(lanes, lane.peer)
        if theirs:
            record["times_scikit_learn"] = round(ratio(theirs, lane)[0], 3)
        if ours:
            record["fastmlp_faster"] = [round(value, 3) for value in ratio(lane, ours)]
    chosen = [record for record in records if record["headline"]]
    line = "  ".join(f"{record['peer']} {record['best_us']:.0f}" for record in chosen)
    print(f"{'  '.join(map(str, facts.values())):52} best us: {line}", flush=True)
    return facts | {"lanes": records}


def train(net, dtype, peers, rounds, peak):
    """Whole fits of the net by every peer, per batch."""
    X, y = net.data(dtype)
    expected = PEERS["scikit-learn"].trainer(net, X, y)(2)

    def make(peer):
        fit = peer.trainer(net, X, y)
        # The same weights over the same rows; the slack is for the penalty, which not every peer adds to its loss.
        np.testing.assert_allclose(fit(2), expected, rtol=0.02, err_msg="loss after two epochs")
        run, warm, units = partial(fit, net.epochs), partial(fit, 1), net.epochs * net.n_batches
        return [Lane(peer.name, threads, run, warm, units) for threads in peer.threads]

    result = compared(lanes_of(peers, make), rounds, net=net.name, batch=net.batch, dtype=X.dtype.name)
    for record in result["lanes"]:
        record["gflops"] = round(net.products / record["best_us"] / 1e3, 2)
        record["share_of_peak"] = round(record["gflops"] / peak[X.dtype.name] / (record["threads"] or CORES), 4)
    return result


def predict(net, dtype, rows, peers, rounds):
    """predict_proba of `rows` rows by every peer, all with the weights of one scikit-learn estimator."""
    fitted = net.estimator(sklearn.neural_network).fit(*net.data(dtype))
    X, _ = net.data(dtype, rows)
    expected = fitted.predict_proba(X)
    calls = PREDICTED[rows]

    def make(peer):
        lanes = []
        for threads in peer.threads:
            call = peer.predictor(fitted, threads)
            np.testing.assert_allclose(call(X), expected, atol=1e-4, err_msg="probabilities")
            lanes.append(Lane(peer.name, threads, partial(repeat, call, X, calls), partial(call, X), calls))
        return lanes

    return compared(lanes_of(peers, make), rounds, net=net.name, rows=rows, dtype=X.dtype.name)


def repeat(call, X, times):
    for _ in range(times):
        call(X)


def peak_memory(net, peers):
    """Peak memory of a fit over the data, in MiB, each peer in a process of its own."""
    result = {"net": net.name, "dtype": "float32", "peak_mib": {}}
    for peer in peers:
        try:
            peak, result["data_mib"] = (round(value, 2) for value in measure_apart(peer.name, net))
        except CalledProcessError as error:
            print(f"  {peer.name} left out: {error.stderr}", file=sys.stderr)
            continue
        result["peak_mib"][peer.name] = peak
    print(f"{net.name}: peak MiB over the data: {result['peak_mib']}", flush=True)
    return result


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12, help="rounds of interleaved fits (default 12)")
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS), metavar="NET", help=", ".join(NETS))
    parser.add_argument("--only", nargs="+", choices=PEERS, default=list(PEERS), metavar="PEER", help=", ".join(PEERS))
    parser.add_argument("--quick", action="store_true", help="3 rounds, float32 only, no memory")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results"), help="folder to write to")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.rounds = min(chosen.rounds, 3)
    if chosen.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {chosen.rounds}")
    return chosen


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)
    chosen = arguments()
    nets = [NETS[name] for name in chosen.nets]
    peers = [PEERS[name] for name in PEERS if name in chosen.only and PEERS[name].installed]
    trainers = [peer for peer in peers if peer.trainer]
    predictors = [peer for peer in peers if peer.predictor]
    dtypes = DTYPES[:1] if chosen.quick else DTYPES
    begin = time.perf_counter()

    peak = {np.dtype(dtype).name: round(engine.fma_peak(dtype) / 1e9, 1) for dtype in DTYPES}
    print(f"fused multiply-adds of one core, as measured, GFLOP/s: {peak}")
    results = {
        "date": date.today().isoformat(),
        "machine": machine(),
        "versions": versions(),
        "rounds": chosen.rounds,
        "fma_peak_gflops": peak,
        "training": [
            train(net, dtype, trainers, chosen.rounds, peak) for net in nets for dtype in dtypes[: 1 + net.both_dtypes]
        ],
        "prediction": [
            predict(net, dtype, rows, predictors, chosen.rounds)
            for net in nets
            if net.name == "64-100-10"
            for dtype in dtypes
            for rows in PREDICTED
        ],
        "memory": [peak_memory(net, trainers) for net in nets if net.memory and not chosen.quick],
    }
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "compare.json").write_text(json.dumps(results, indent=1) + "\n")
    report.write(results, chosen.out)
    print(f"{chosen.out}/compare.json, .md and .png written after {time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
