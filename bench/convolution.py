"""Convolutional networks beside PyTorch, JAX and ONNX Runtime: training steps, predictions of a row, MNIST by time.

    python bench/convolution.py [--rounds 15] [--mnist FILE.npz] [--out FILE.md]

Every network is trained on the same rows in batches of 64 by adam, in float32, interleaved in one process at one and
two threads: with PyTorch as it runs line by line and compiled, and with JAX, compiled, on the threads that it takes.
Peers that are not installed are left out. Shares of the peak count multiply-adds: a step takes
three times those of a prediction, the first layer two times, as no delta goes back to the inputs.
"""

import argparse
import importlib.metadata
import platform
import time
import warnings
from pathlib import Path

import numpy as np
from compare import machine
from engine_nets import adam
from layer_peers import CALLS, installed, jax_epoch, repeated, row_predictors
from report import table
from timing import Lane, headline, interleave, ratio

import fastmlp
from fastmlp import ConvClassifier, ConvRegressor
from fastmlp.engine import Network, Predictor
from fastmlp.engine.architecture import places
from fastmlp.engine.kernels import fma_peak
from fastmlp.estimators.planes import layers_for
from fastmlp.training.initialization import initialize

BATCH, BATCHES = 64, 4
PEERS = ("torch", "jax", "onnxruntime")
LENET = [
    ("conv", 6, 5), ("pool", 2), ("conv", 16, 5, {"padding": "valid"}), ("pool", 2), ("dense", 120), ("dense", 84)
]  # fmt: skip
NETS = {
    "LeNet-5-like, 28 x 28": (LENET, (1, 28, 28)),
    "three layers, 8 x 8": (
        [("conv", 16, 3), ("conv", 32, 3), ("pool", 2), ("conv", 32, 3), ("pool", 2)], (1, 8, 8)
    ),
    "series, 3 x 64 channels, width 7, length 128": ([("conv", 64, 7)] * 3 + [("global_pool",)], (1, 1, 128)),
}  # fmt: skip


def ours(entries, shape, threads):
    """A training pass over some batches, a prediction of one row, and multiply-adds of a row."""
    layers = layers_for(entries, "relu", shape, 10)
    network = Network(layers, None, "log_loss", np.float32, n_threads=threads)
    initialize(network, "he_uniform", np.dtype(np.float32), np.random.RandomState(0))
    X, y = data(shape)
    network.bind(X, y)
    optimizer = adam(network)
    predictor = Predictor.of(layers, [array for _, array, _ in network.parameters], "softmax")
    row = X[:1].copy()
    adds = [place.layer.multiply_adds(place.n_in, layers[0]) for place in places(layers[0], layers[1:])]
    return lambda: network.epoch(None, BATCH, optimizer, 0.0), lambda: predictor.quick(row), adds


def data(shape):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((BATCH * BATCHES, int(np.prod(shape)))).astype(np.float32)
    return X, rng.integers(10, size=len(X), dtype=np.intp)


def torch_layers(entries, shape):
    """The same network of PyTorch."""
    from torch import nn

    made = [nn.Unflatten(1, shape)]
    for layer in layers_for(entries, "relu", shape, 10)[1:]:
        kind = type(layer).__name__
        if kind == "Convolution":
            padding = tuple(layer.window.before)
            made += [nn.Conv2d(layer.shape[0], layer.channels, layer.size, padding=padding), nn.ReLU()]
        elif kind == "Dense":
            made += [nn.Flatten(), nn.LazyLinear(layer.units)]  # which leaves matrices as they are
            if layer.activation == "relu":
                made.append(nn.ReLU())
        else:
            made.append((nn.MaxPool2d if kind == "MaxPool" else nn.AvgPool2d)(layer.size, layer.window.stride))
    return nn.Sequential(*made)


def theirs(entries, shape, compiled):
    """The same of PyTorch."""
    import torch

    net = torch_layers(entries, shape)
    X, y = map(torch.from_numpy, data(shape))
    net(X[:1])  # which makes the lazy layers
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    run = torch.compile(net) if compiled else net

    def train():
        for start in range(0, len(X), BATCH):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(run(X[start : start + BATCH]), y[start : start + BATCH]).backward()
            optimizer.step()

    def predict():
        with torch.no_grad():
            return torch.softmax(net(X[:1]), 1).numpy()

    return train, predict


def of_jax(entries, shape):
    """A training pass of JAX from a start as ours."""
    layers = layers_for(entries, "relu", shape, 10)
    network = Network(layers, None, "log_loss", np.float32)
    initialize(network, "he_uniform", np.dtype(np.float32), np.random.RandomState(0))
    X, y = data(shape)
    run = jax_epoch(layers, [array for _, array, _ in network.parameters], X, y, BATCH)
    network.bind(X, y)
    np.testing.assert_allclose(run(), network.epoch(None, BATCH, adam(network), 0.0), rtol=1e-3)
    return run


def lanes_of(entries, shape):
    """Lanes of training and of prediction, and multiply-adds of each layer."""
    training, prediction = [], []
    for threads in (1, 2):
        train, predict, adds = ours(entries, shape, threads)
        training.append(Lane("fastmlp", threads, train, train, BATCHES))
        if threads == 1:
            prediction.append(Lane("fastmlp", 1, repeated(predict), predict, CALLS))
    for compiled in (False, True) if installed("torch") else ():
        for threads in (1, 2):
            train, predict = theirs(entries, shape, compiled)
            try:
                train()
            except Exception as error:  # a compiler that is not there
                print(f"PyTorch compiled: {error!s:.100}")
                continue
            name = "PyTorch compiled" if compiled else "PyTorch"
            training.append(Lane(name, threads, train, train, BATCHES))
            if not compiled:
                prediction.append(Lane(name, threads, repeated(predict), predict, CALLS))
    if installed("jax"):
        train = of_jax(entries, shape)
        training.append(Lane("JAX", None, train, train, BATCHES))
    if installed("onnxruntime"):
        X = data(shape)[0].reshape(-1, *shape)
        for threads in (1, 2):
            _, predict = row_predictors(ConvRegressor, X, 10, threads, layers=entries)
            prediction.append(Lane("ONNX Runtime", threads, repeated(predict), predict, CALLS))
    return training, prediction, adds


def best_peer(lanes, peers):
    """The lane of these peers with the least median, or None."""
    found = [lane for peer in peers if (lane := headline(lanes, peer)) is not None]
    return min(found, key=lambda lane: lane.median, default=None)


def training_row(name, lanes, flops, peak):
    """A row of the table of training."""
    own, better = headline(lanes, "fastmlp"), best_peer(lanes, ("PyTorch", "PyTorch compiled", "JAX"))
    single = next(lane for lane in lanes if lane.peer == "fastmlp" and lane.threads == 1)
    row = [name, f"{own.best * 1e6:.0f}", f"{BATCH / own.best:,.0f}"]
    if better is None:
        row += ["", ""]
    else:
        row.append(f"{better.best * 1e6:.0f} ({better.peer}, {better.threads or 'its own'})")
        row.append("{:.2f}, {:.2f}".format(*ratio(better, own)))
    return [*row, f"{flops / single.best / peak:.0%}"]


def prediction_row(name, lanes):
    """A row of the table of prediction."""
    row, alone = [name, f"{lanes[0].best * 1e6:.0f}"], lanes[0]
    for peer in ("PyTorch", "ONNX Runtime"):
        other = headline(lanes, peer)
        row += ["", ""] if other is None else [f"{other.best * 1e6:.0f}", f"{other.best / alone.best:.1f}"]
    return row


def mnist(path):
    """Rows of (seconds of the fit, epochs, accuracy on 10,000 rows) for some numbers of epochs."""
    with np.load(path, allow_pickle=False) as file:
        X, y = file["X_num"].reshape(-1, 28, 28), file["y"]
    order = np.random.default_rng(0).permutation(len(X))
    train, test = order[10000:], order[:10000]
    rows = []
    for epochs in (1, 2, 3, 4, 5):
        model = ConvClassifier(
            LENET, max_iter=epochs, tol=0, random_state=0, dtype="float32", lr_schedule="one_cycle",
            learning_rate_init=4e-3, weight_init="he_uniform", n_iter_no_change=np.inf,
        )  # fmt: skip
        began = time.perf_counter()
        model.fit(X[train], y[train])
        seconds = time.perf_counter() - began
        rows.append((seconds, epochs, model.score(X[test], y[test])))
        print(f"{epochs} epochs: {seconds:.1f} s, {rows[-1][2]:.2%}")
    return len(train), rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--mnist", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    # before PyTorch is loaded, whose threads take time of the cores when they have none
    epochs = mnist(options.mnist) if options.mnist else None
    peak = fma_peak(np.float32)
    training, prediction = [], []
    for name, (entries, shape) in NETS.items():
        of_training, of_prediction, adds = lanes_of(entries, shape)
        interleave(of_training, options.rounds)
        interleave(of_prediction, 3 * options.rounds)
        training.append(training_row(name, of_training, 2 * BATCH * (3 * sum(adds) - adds[0]), peak))
        prediction.append(prediction_row(name, of_prediction))
        print(training[-1], prediction[-1])
    here = machine()
    peers = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PEERS if installed(name))
    command = f"python bench/convolution.py --rounds {options.rounds}{' --mnist FILE' if options.mnist else ''}"
    text = (
        f"{time.strftime('%Y-%m-%d')}, {here['cpu']}, {here['cores']} cores, {peak / 1e9:.0f} GFLOP/s a core at most;"
        f" fastmlp {fastmlp.__version__}, {peers}, Python {platform.python_version()};"
        f" `{command}`.\n\n"
        f"## A training step of {BATCH} rows\n\n"
        "fastmlp with two threads, the fastest peer at its faster setting; ratios: median of rounds, best over best."
        " The share of the peak is that of one thread.\n\n"
    )
    header = ["network", "us", "rows/s", "fastest peer, us (setting, threads)", "times faster", "share of the peak"]
    text += table(header, training) + "\n## Prediction of one row\n\n"
    header = ["network", "us", "PyTorch, us", "times faster", "ONNX Runtime, us", "times faster"]
    text += table(header, prediction)
    if options.mnist:
        n_rows, rows = epochs
        text += f"\n## MNIST, {n_rows:,} rows to train on, 10,000 to test\n\n" + table(
            ["epochs", "seconds of the fit", "accuracy"],
            [[epochs, f"{seconds:.1f}", f"{accuracy:.2%}"] for seconds, epochs, accuracy in rows],
        )
    print(text)
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
