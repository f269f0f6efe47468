"""What explanations cost: input gradients and integrated gradients to `predict`, and to PyTorch's autograd.

    python bench/gradients.py [--nets 64-100-10] [--rows 20000] [--rounds 15] [--threads 2]

Each is timed by turns with what it is compared with, in float32. The numbers of both are checked against each other.
"""

import argparse
import warnings
from functools import partial

import numpy as np
import torch
from nets import NETS
from sklearn.exceptions import ConvergenceWarning
from timing import Lane, interleave, ratio

import fastmlp

STEPS = 10


class TorchNet:
    """A fitted estimator's network in PyTorch, and its explanations by autograd."""

    def __init__(self, model):
        self.layers = [(torch.tensor(W), torch.tensor(b)) for W, b in zip(model.coefs_, model.intercepts_, strict=True)]
        self.link = {"softmax": partial(torch.softmax, dim=1), "logistic": torch.sigmoid}.get(
            model.out_activation_, lambda z: z
        )

    def outputs(self, x):
        *hidden, (W, b) = self.layers
        for V, c in hidden:
            x = torch.relu(torch.addmm(c, x, V))
        return self.link(torch.addmm(b, x, W))

    def input_gradients(self, X, target=0):
        x = torch.from_numpy(X).requires_grad_()
        return torch.autograd.grad(self.outputs(x)[:, target].sum(), x)[0].numpy()

    def all_input_gradients(self, X):
        x = torch.from_numpy(X).requires_grad_()
        p = self.outputs(x)
        columns = [torch.autograd.grad(column.sum(), x, retain_graph=True)[0] for column in p.T]
        return torch.stack(columns, dim=1).numpy()

    def integrated_gradients(self, X, target=0):
        nodes, weights = np.polynomial.legendre.leggauss(STEPS)
        total = np.zeros(X.shape)
        for node, weight in zip(nodes, weights, strict=True):
            total += weight / 2 * self.input_gradients(np.float32((1 + node) / 2) * X, target)
        return X * total


def lanes_of(model, net, X):
    """Name, what is timed and what it is compared with."""
    outputs = model.predict if net.loss == "squared_error" else model.predict_proba
    last = net.layers[-1] - 1
    target = 1 if net.loss == "binary_log_loss" else last
    each = np.arange(len(X)) % (target + 1)
    predict = ("predict", partial(outputs, X))
    ours, theirs = model.input_gradients, TorchNet(model)
    yield "one output", partial(ours, X, target=target), predict
    yield "one output", partial(ours, X, target=target), ("PyTorch", partial(theirs.input_gradients, X, last))
    yield "one raw score", partial(ours, X, target=target, raw_score=True), predict
    yield "one for each row", partial(ours, X, target=each), predict
    if last > 0:
        yield "all outputs", partial(ours, X), predict
        yield "all outputs", partial(ours, X), ("PyTorch", partial(theirs.all_input_gradients, X))
    name, path = f"{STEPS} steps of a path", partial(model.integrated_gradients, X, target=target, n_steps=STEPS)
    yield name, path, (f"{STEPS} gradients", lambda: [ours(X, target=target) for _ in range(STEPS)])
    yield name, path, ("PyTorch", partial(theirs.integrated_gradients, X, last))


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", nargs="+", default=["64-100-10"], choices=[n for n in NETS if NETS[n].density == 1])
    parser.add_argument("--rows", type=int, default=20000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    for net in map(NETS.get, options.nets):
        X, y = net.data(np.float32, max(options.rows, net.rows))
        model = net.estimator(fastmlp).set_params(max_iter=2).fit(X, y)
        X = X[: options.rows]
        print(f"\n| {net.name}, {len(X)} rows, float32 | ms | median of times of the other / ours (of bests) | other |")
        print("|---|---:|---:|---|")
        for name, run, (other, theirs) in lanes_of(model, net, X):
            if other == "PyTorch":
                # in the mean: a point within rounding of relu's kink has either slope
                reference = theirs()
                assert abs(run() - reference).mean() < 1e-5 * abs(reference).max()
            lane = Lane(name, options.threads, run, run, 1)
            against = Lane(other, options.threads, theirs, theirs, 1)
            interleave([lane, against], options.rounds, pause=0.15 if other == "PyTorch" else 0)
            median, best = ratio(against, lane)
            print(f"| {name} | {lane.best * 1e3:.2f} | {median:.2f} ({best:.2f}) | {other} |", flush=True)


if __name__ == "__main__":
    main()
