"""Recurrent layers beside PyTorch's, eager, JAX's, compiled, and ONNX Runtime's, over the same batches, in one process.

    python bench/recurrent.py [--rounds 31] [--threads 1 2]

float32, Adam, cross entropy of 6 classes, sequences of 128 steps, batches of 32. PyTorch gets its batches (n, steps,
channels) ready, and unequal lengths as packed sequences; JAX, which has none of these, takes the threads that it finds.
Peers that are not installed are left out. Threads give way between lanes. Set no OPENBLAS_CORETYPE.
"""

import argparse
import warnings

import numpy as np
from engine_nets import adam
from layer_peers import CALLS, installed, jax_epoch, repeated, row_predictors
from timing import Lane, interleave, ratio

from fastmlp import RecurrentRegressor
from fastmlp.engine import Network, Predictor
from fastmlp.engine.architecture import GRU, LSTM, Dense, Inputs

try:
    import torch
except ImportError:
    torch = None

BATCH, N_BATCHES, N_CLASSES, STEPS, CHANNELS, UNITS = 32, 4, 6, 128, 9, 64
N_ROWS = BATCH * N_BATCHES
NETS = {
    "GRU-64": [GRU(STEPS, CHANNELS, UNITS)],
    "GRU-64, both directions": [GRU(STEPS, CHANNELS, UNITS, bidirectional=True)],
    "two layers of GRU-64": [GRU(STEPS, CHANNELS, UNITS, "all"), GRU(STEPS, UNITS, UNITS)],
    "GRU-64, lengths 1 to 128": [GRU(STEPS, CHANNELS, UNITS, lengths=True)],
    "LSTM-64": [LSTM(STEPS, CHANNELS, UNITS)],
}


def layers_of(name):
    layers = NETS[name]
    return [Inputs(layers[0].reads), *layers, Dense(N_CLASSES)]


def network_of(name, n_threads=None):
    network = Network(layers_of(name), None, "log_loss", np.float32, n_threads=n_threads)
    rng = np.random.default_rng(2)
    for _, array, _ in network.parameters:
        array[:] = rng.uniform(-1, 1, array.shape) / np.sqrt(UNITS)
    return network


def data_for(name):
    """X, y and the sequences' lengths."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N_ROWS, CHANNELS * STEPS), dtype=np.float32)
    lengths = np.full(N_ROWS, STEPS)
    if NETS[name][0].lengths:
        lengths = rng.integers(1, STEPS + 1, N_ROWS)
        X = np.hstack([X, lengths[:, None].astype(np.float32)])
    return X, rng.integers(N_CLASSES, size=N_ROWS), lengths


class Module(torch.nn.Module if torch else object):
    """PyTorch's network of the same weights."""

    def __init__(self, name):
        super().__init__()
        coefs, intercepts = network_of(name).coefs, network_of(name).intercepts
        self.recurrent = torch.nn.ModuleList()
        for layer, W, b in zip(NETS[name], coefs, intercepts, strict=False):
            kind = torch.nn.GRU if isinstance(layer, GRU) else torch.nn.LSTM
            module = kind(layer.channels, layer.units, batch_first=True, bidirectional=layer.bidirectional)
            n = layer.gates * layer.units
            for direction, suffix in enumerate(("", "_reverse")[: 1 + layer.bidirectional]):
                of_one = torch.from_numpy(W[:, direction * n : (direction + 1) * n].copy())
                biases = torch.from_numpy(b[direction * 4 * layer.units :][: 4 * layer.units].copy())
                of_states = torch.zeros(n)
                of_states[2 * layer.units :] = biases[n:] if layer.gates == 3 else 0
                values = {"weight_ih": of_one[: layer.channels].T, "weight_hh": of_one[layer.channels :].T,
                          "bias_ih": biases[:n], "bias_hh": of_states}  # fmt: skip
                with torch.no_grad():
                    for key, value in values.items():
                        getattr(module, f"{key}_l0{suffix}").copy_(value)
            self.recurrent.append(module)
        self.dense = torch.nn.Linear(coefs[-1].shape[0], N_CLASSES)
        with torch.no_grad():
            self.dense.weight.copy_(torch.from_numpy(coefs[-1].T))
            self.dense.bias.copy_(torch.from_numpy(intercepts[-1]))

    def forward(self, x, lengths=None):
        if lengths is not None:
            x = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        for module in self.recurrent:
            x, states = module(x)
        h = states[0] if isinstance(states, tuple) else states
        return self.dense(h.transpose(0, 1).reshape(h.shape[1], -1))


def sequences(X):
    return torch.from_numpy(X[:, : CHANNELS * STEPS].reshape(-1, CHANNELS, STEPS).transpose(0, 2, 1).copy())


def training(name, n_threads):
    """Lanes of an epoch, ours and PyTorch's if it is installed."""
    X, y, lengths = data_for(name)
    network = network_of(name, n_threads)
    network.bind(X, y)
    optimizer = adam(network)

    def ours():
        return network.epoch(None, BATCH, optimizer, 0.0)

    lanes = [Lane("fastmlp", n_threads, ours, ours, N_BATCHES)]
    if torch is None:
        return lanes
    module, x, targets = Module(name), sequences(X), torch.from_numpy(y)
    of_torch = torch.optim.Adam(module.parameters(), 1e-3)

    def theirs():
        total = 0.0
        for start in range(0, N_ROWS, BATCH):
            rows = slice(start, start + BATCH)
            of_torch.zero_grad()
            known = torch.from_numpy(lengths[rows]) if NETS[name][0].lengths else None
            loss = torch.nn.functional.cross_entropy(module(x[rows], known), targets[rows])
            loss.backward()
            of_torch.step()
            total += loss.item() / N_BATCHES
        return total

    np.testing.assert_allclose(ours(), theirs(), rtol=1e-3)
    return [*lanes, Lane("PyTorch", n_threads, theirs, theirs, N_BATCHES)]


def training_of_jax(name):
    """The lane of JAX."""
    X, y, _ = data_for(name)
    network = network_of(name)
    network.bind(X, y)
    run = jax_epoch(layers_of(name), [array for _, array, _ in network.parameters], X, y, BATCH)
    np.testing.assert_allclose(run(), network.epoch(None, BATCH, adam(network), 0.0), rtol=1e-3)
    return Lane("JAX", None, run, run, N_BATCHES)


def prediction(name, n_threads, n_rows):
    """Lanes of predictions of some sequences, ours and PyTorch's if it is installed."""
    X, _, _ = data_for(name)
    X = X[:n_rows]
    network = network_of(name)
    predictor = Predictor.of(layers_of(name), [array for _, array, _ in network.parameters], "softmax")

    def ours():
        return predictor(X, n_threads=n_threads)

    lanes = [Lane("fastmlp", n_threads, repeated(ours), ours, CALLS)]
    if torch is None:
        return lanes
    module, x = Module(name).eval(), sequences(X)

    def theirs():
        with torch.inference_mode():
            return torch.softmax(module(x), dim=1).numpy()

    np.testing.assert_allclose(ours(), theirs(), atol=1e-5)
    return [*lanes, Lane("PyTorch", n_threads, repeated(theirs), theirs, CALLS)]


def prediction_by_onnx_runtime(cell, n_threads):
    """Lanes of predictions of one sequence, ours and ONNX Runtime's."""
    X = np.random.default_rng(0).standard_normal((BATCH, CHANNELS, STEPS), dtype=np.float32)
    calls = row_predictors(
        RecurrentRegressor, X, N_CLASSES, n_threads, hidden_layer_sizes=UNITS, cell=cell, dtype="float32"
    )
    peers = ("fastmlp", "ONNX Runtime")
    return [Lane(peer, n_threads, repeated(run), run, CALLS) for peer, run in zip(peers, calls, strict=True)]


def compare(what, lanes, rounds):
    """Lines of the table: ours at each number of threads beside the fastest peer."""
    interleave(lanes, rounds, pause=0.02)
    other = min((lane for lane in lanes if lane.peer != "fastmlp"), key=lambda lane: lane.median, default=None)
    for ours in lanes:
        if ours.peer == "fastmlp":
            line = f"| {what} | {ours.threads} | {ours.best * 1e6:.0f} |"
            if other is not None:
                median, best = ratio(other, ours)
                threads = other.threads or "its own"
                line += f" {other.best * 1e6:.0f} ({other.peer}, {threads}) | {median:.2f} ({best:.2f}) |"
            print(line, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # a fit of one epoch has not converged
    header = "| | threads | us | fastest peer, us (threads) | median of ratios (of bests) |"
    print(f"{header}\n|---|---:|---:|---:|---:|")
    for name, layers in NETS.items():
        lanes = [lane for n_threads in options.threads for lane in training(name, n_threads)]
        if installed("jax") and not layers[0].lengths:
            lanes.append(training_of_jax(name))
        compare(f"{name}: a training step", lanes, options.rounds)
    for name, n_rows in (("GRU-64", 1), ("GRU-64", N_ROWS), ("LSTM-64", 1)):
        lanes = [lane for n_threads in options.threads for lane in prediction(name, n_threads, n_rows)]
        compare(f"{name}: prediction of {n_rows}", lanes, options.rounds)
    for cell in ("gru", "lstm") if installed("onnxruntime") else ():
        lanes = [lane for n_threads in options.threads for lane in prediction_by_onnx_runtime(cell, n_threads)]
        compare(f"{cell.upper()}-64: prediction of 1, by ONNX Runtime", lanes, options.rounds)


if __name__ == "__main__":
    main()
