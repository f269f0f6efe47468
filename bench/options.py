"""What each option costs: the time of a fit with it over one without it, in one process.

    python bench/options.py [--nets 64-100-10] [--rounds 15]

Median over interleaved rounds of the ratios to the same fit with scikit-learn's parameters alone (adam, relu), of
activations to tanh.
"""

import argparse
import warnings

import numpy as np
from nets import NETS
from sklearn.exceptions import ConvergenceWarning
from timing import Lane, interleave, ratio

import fastmlp
from fastmlp.engine import ACTIVATIONS, OPTIMIZERS

PART = 0.25  # of the epochs that the comparison with others takes


def options_of(net):
    """Name, parameters, and the name of what it is compared with."""
    yield "plain", {}, "plain"
    yield "plain again", {}, "plain"
    yield "dropout=0.5", {"dropout": 0.5}, "plain"
    yield "dropout=0.1, input_dropout=0.1", {"dropout": 0.1, "input_dropout": 0.1}, "plain"
    yield "weight_decay=0.01", {"weight_decay": 0.01}, "plain"
    yield "max_norm=2", {"max_norm": 2.0}, "plain"
    yield "clip_value=1", {"clip_value": 1.0}, "plain"
    yield "clip_norm=1", {"clip_norm": 1.0}, "plain"
    yield "lr_schedule='step'", {"lr_schedule": "step"}, "plain"
    yield "lr_schedule='cosine', warmup=0.1", {"lr_schedule": "cosine", "warmup": 0.1}, "plain"
    yield "lr_schedule='one_cycle'", {"lr_schedule": "one_cycle"}, "plain"
    yield "callbacks", {"callbacks": lambda estimator, epoch, metrics: False}, "plain"
    for name in OPTIMIZERS:
        yield f"solver={name!r}", {"solver": name}, "plain"
    yield "tanh", {"activation": "tanh"}, "plain"
    for name in ACTIVATIONS:
        yield f"activation={name!r}", {"activation": name}, "tanh"
    if net.loss != "squared_error":
        yield "label_smoothing=0.1", {"label_smoothing": 0.1}, "plain"
        yield "loss='focal'", {"loss": "focal"}, "plain"
        yield "loss='hinge'", {"loss": "hinge"}, "plain"
        yield "class_weight='balanced'", {"class_weight": "balanced"}, "plain"


def lanes_of(net, dtype):
    X, y = net.data(dtype)
    epochs = max(4, round(net.epochs * PART))
    for name, params, against in options_of(net):
        model = net.estimator(fastmlp).set_params(**params)

        def fit(epochs, model=model):
            model.set_params(max_iter=epochs).fit(X, y)

        yield Lane(name, None, lambda fit=fit: fit(epochs), lambda fit=fit: fit(1), epochs * net.n_batches), against


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", nargs="+", default=["64-100-10", "784-100-10"], choices=NETS)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    for name in options.nets:
        pairs = list(lanes_of(NETS[name], np.float32))
        lanes = {lane.peer: lane for lane, _ in pairs}
        interleave(list(lanes.values()), options.rounds)
        print(f"\n| {name}, float32 | us a batch | ratio | to |\n|---|---:|---:|---|")
        for lane, against in pairs:
            print(f"| {lane.peer} | {lane.median * 1e6:.1f} | {ratio(lane, lanes[against])[0]:.2f} | {against} |")


if __name__ == "__main__":
    main()
