"""A gate against regressions: fastmlp must stay well ahead of scikit-learn in one process. Exits with 1 if it does not.

    python bench/gate.py
    python bench/gate.py --record bench/results/gate.jsonl      # also adds a line for the commit, see history.py

Median ratios over interleaved rounds, with wide margins: a third to two fifths of what bench/results shows with
AVX-512, two thirds to three quarters of what a processor with AVX2 reaches, so that a busy machine passes and a kernel
that no longer vectorises does not. A net that falls short is timed again, up to OCCASIONS times: a neighbour who takes
a core away for a minute is no regression.
"""

import argparse
import json
import os
import subprocess
import sys
import warnings
from datetime import date
from pathlib import Path

from compare import machine, versions
from nets import NETS
from peers import PEERS
from sklearn.exceptions import ConvergenceWarning
from timing import Lane, interleave, ratio

LEAST = {"4-100-3": 6.0, "64-100-10": 4.0, "30-128-128-2": 2.8, "784-100-10": 1.2, "784-512-512-10": 1.25}
ROUNDS = 5
OCCASIONS = 3
PART = 0.2  # of the epochs that the comparison takes


def lanes_of(net):
    X, y = net.data("float32")
    epochs = max(2, round(net.epochs * PART))
    for name, threads in (("fastmlp", None), ("scikit-learn", 1), ("scikit-learn", 2)):
        fit = PEERS[name].trainer(net, X, y)
        yield Lane(name, threads, lambda fit=fit: fit(epochs), lambda fit=fit: fit(1), epochs * net.n_batches)


def reach(name):
    """How many times faster than the better of scikit-learn's lanes."""
    ours, *theirs = lanes = list(lanes_of(NETS[name]))
    interleave(lanes, ROUNDS)
    return min(ratio(lane, ours)[0] for lane in theirs)


def commit():
    """The commit that is checked out, with a + behind it if files differ from it."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--exclude=*", "--dirty=+"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def line(ratios):
    """A line of the record: what was measured, on what, and how busy that was (mean number of waiting programs)."""
    facts = {"commit": commit(), "date": date.today().isoformat(), "command": "bench/gate.py"} | machine()
    return facts | {"load": round(os.getloadavg()[0], 1), "versions": versions(), "ratios": ratios}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", type=Path, metavar="FILE", help="a file of lines in JSON, which gets one more")
    record = parser.parse_args().record
    warnings.simplefilter("ignore", ConvergenceWarning)
    ratios = {}
    for name, least in LEAST.items():
        for _ in range(OCCASIONS):
            ratios[name] = reached = round(reach(name), 2)
            enough = reached >= least
            print(f"{name}: {reached:.1f} times scikit-learn, at least {least}: {'ok' if enough else 'TOO SLOW'}")
            if enough:
                break
    if record:
        with record.open("a") as file:
            file.write(json.dumps(line(ratios)) + "\n")
    sys.exit(any(ratios[name] < least for name, least in LEAST.items()))


if __name__ == "__main__":
    main()
