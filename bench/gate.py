"""A gate against regressions: fastmlp must stay well ahead of scikit-learn in one process. Exits with 1 if it does not.

    python bench/gate.py

Ratios of medians over interleaved rounds, with wide margins: about half of what bench/results shows, so that a busy
machine passes and a kernel that no longer vectorises does not.
"""

import sys
import warnings

from nets import NETS
from peers import PEERS
from sklearn.exceptions import ConvergenceWarning
from timing import Lane, interleave, ratio

LEAST = {"4-100-3": 7.0, "64-100-10": 5.0, "30-128-128-2": 4.0, "784-100-10": 2.2, "784-512-512-10": 1.7}
ROUNDS = 5
PART = 0.2  # of the epochs that the comparison takes


def lanes_of(net):
    X, y = net.data("float32")
    epochs = max(2, round(net.epochs * PART))
    for name, threads in (("fastmlp", None), ("scikit-learn", 1), ("scikit-learn", 2)):
        fit = PEERS[name].trainer(net, X, y)
        yield Lane(name, threads, lambda fit=fit: fit(epochs), lambda fit=fit: fit(1), epochs * net.n_batches)


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)
    failed = False
    for name, least in LEAST.items():
        lanes = list(lanes_of(NETS[name]))
        interleave(lanes, ROUNDS)
        ours, *theirs = lanes
        reached = min(ratio(lane, ours)[0] for lane in theirs)
        failed |= reached < least
        print(f"{name}: {reached:.1f} times scikit-learn, at least {least}: {'ok' if reached >= least else 'TOO SLOW'}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
