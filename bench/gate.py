"""A gate against regressions: fastmlp must stay well ahead of scikit-learn in one process. Exits with 1 if it does not.

    python bench/gate.py

Median ratios over interleaved rounds, with wide margins: about half of what bench/results shows, so that a busy machine
passes and a kernel that no longer vectorises does not. A net that falls short is timed again, up to OCCASIONS times:
a neighbour who takes a core away for a minute is no regression.
"""

import sys
import warnings

from nets import NETS
from peers import PEERS
from sklearn.exceptions import ConvergenceWarning
from timing import Lane, interleave, ratio

LEAST = {"4-100-3": 7.0, "64-100-10": 5.0, "30-128-128-2": 3.5, "784-100-10": 1.4, "784-512-512-10": 1.5}
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


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)
    failed = False
    for name, least in LEAST.items():
        for _ in range(OCCASIONS):
            reached = reach(name)
            enough = reached >= least
            print(f"{name}: {reached:.1f} times scikit-learn, at least {least}: {'ok' if enough else 'TOO SLOW'}")
            if enough:
                break
        failed |= not enough
    sys.exit(failed)


if __name__ == "__main__":
    main()
