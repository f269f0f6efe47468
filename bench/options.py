"""What each option costs: the time of a fit with it over one without it, in one process.

    python bench/options.py [--nets 64-100-10] [--rounds 31]

Each option is timed by turns with a fit with scikit-learn's parameters alone (adam, relu); activations with tanh.
"""

import argparse
import warnings

import numpy as np
from nets import NETS
from sklearn.exceptions import ConvergenceWarning
from timing import Lane, interleave, ratio

import fastmlp
from fastmlp.engine import ACTIVATIONS, OPTIMIZERS

PART = 0.5  # of the epochs that the comparison with others takes


def options_of(net):
    """Name and parameters of each, and of what it is compared with."""
    yield "plain again", {}, "plain", {}
    yield "dropout=0.5", {"dropout": 0.5}, "plain", {}
    yield "dropout=0.1, input_dropout=0.1", {"dropout": 0.1, "input_dropout": 0.1}, "plain", {}
    yield "weight_decay=0.01", {"weight_decay": 0.01}, "plain", {}
    yield "max_norm=2", {"max_norm": 2.0}, "plain", {}
    yield "clip_value=1", {"clip_value": 1.0}, "plain", {}
    yield "clip_norm=1", {"clip_norm": 1.0}, "plain", {}
    yield "lr_schedule='step'", {"lr_schedule": "step"}, "plain", {}
    yield "lr_schedule='cosine', warmup=0.1", {"lr_schedule": "cosine", "warmup": 0.1}, "plain", {}
    yield "lr_schedule='one_cycle'", {"lr_schedule": "one_cycle"}, "plain", {}
    yield "callbacks", {"callbacks": lambda estimator, epoch, metrics: False}, "plain", {}
    for name in OPTIMIZERS:
        yield f"solver={name!r}", {"solver": name}, "plain", {}
    yield "activation='tanh'", {"activation": "tanh"}, "plain", {}
    for name in ACTIVATIONS:
        yield f"activation={name!r}", {"activation": name}, "tanh", {"activation": "tanh"}
    if net.loss != "squared_error":
        yield "label_smoothing=0.1", {"label_smoothing": 0.1}, "plain", {}
        yield "loss='focal'", {"loss": "focal"}, "plain", {}
        yield "loss='hinge'", {"loss": "hinge"}, "plain", {}
        yield "class_weight='balanced'", {"class_weight": "balanced"}, "plain", {}


def lane_of(net, X, y, name, params):
    epochs = max(4, round(net.epochs * PART))
    model = net.estimator(fastmlp).set_params(**params)

    def fit(epochs):
        model.set_params(max_iter=epochs).fit(X, y)

    return Lane(name, None, lambda: fit(epochs), lambda: fit(1), epochs * net.n_batches)


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", nargs="+", default=["64-100-10", "784-100-10"], choices=NETS)
    parser.add_argument("--rounds", type=int, default=31)
    options = parser.parse_args()
    for name in options.nets:
        net = NETS[name]
        X, y = net.data(np.float32)
        print(f"\n| {name}, float32 | us a batch | median of ratios (of bests) | to |\n|---|---:|---:|---|")
        for option, params, against, others in options_of(net):
            # our own threads sleep between calls, so there is no pool to wait for
            lane, other = lane_of(net, X, y, option, params), lane_of(net, X, y, against, others)
            interleave([lane, other], options.rounds, pause=0)
            median, best = ratio(lane, other)
            print(f"| {option} | {lane.median * 1e6:.1f} | {median:.2f} ({best:.2f}) | {against} |", flush=True)


if __name__ == "__main__":
    main()
