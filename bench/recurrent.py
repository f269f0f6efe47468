"""Recurrent layers beside PyTorch's, eager, from the same weights over the same batches, in one process.

    python bench/recurrent.py [--rounds 31] [--threads 1 2]

float32, Adam, cross entropy of 6 classes, sequences of 128 steps, batches of 32. PyTorch gets its batches (n, steps,
channels) ready, and unequal lengths as packed sequences; its time is that at its faster number of threads. Threads of
both give way between lanes. Set no OPENBLAS_CORETYPE.
"""

import argparse

import numpy as np
import torch
from engine_nets import adam
from timing import Lane, interleave, ratio

from fastmlp.engine import Network, Predictor
from fastmlp.engine.architecture import GRU, LSTM, Dense, Inputs

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


class Module(torch.nn.Module):
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
    """Lanes of an epoch, ours and PyTorch's."""
    X, y, lengths = data_for(name)
    network = network_of(name, n_threads)
    network.bind(X, y)
    optimizer = adam(network)
    module, x, targets = Module(name), sequences(X), torch.from_numpy(y)
    of_torch = torch.optim.Adam(module.parameters(), 1e-3)

    def ours():
        return network.epoch(None, BATCH, optimizer, 0.0)

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
    return Lane("fastmlp", n_threads, ours, ours, N_BATCHES), Lane("PyTorch", n_threads, theirs, theirs, N_BATCHES)


def prediction(name, n_threads, n_rows):
    """Lanes of predictions of some sequences, ours and PyTorch's."""
    X, _, _ = data_for(name)
    X = X[:n_rows]
    network = network_of(name)
    predictor = Predictor.of(layers_of(name), [array for _, array, _ in network.parameters], "softmax")
    module, x = Module(name).eval(), sequences(X)

    def ours():
        return predictor(X, n_threads=n_threads)

    def theirs():
        with torch.inference_mode():
            return torch.softmax(module(x), dim=1).numpy()

    np.testing.assert_allclose(ours(), theirs(), atol=1e-5)

    def repeated(run):
        return lambda: [run() for _ in range(10)]

    return (
        Lane("fastmlp", n_threads, repeated(ours), ours, 10), Lane("PyTorch", n_threads, repeated(theirs), theirs, 10)
    )  # fmt: skip


def compare(what, pairs, rounds):
    lanes = [lane for pair in pairs for lane in pair]
    interleave(lanes, rounds, pause=0.02)
    other = min((theirs for _, theirs in pairs), key=lambda lane: lane.median)
    for ours, _ in pairs:
        median, best = ratio(other, ours)
        print(f"| {what} | {ours.threads} | {ours.best * 1e6:.0f} | {other.best * 1e6:.0f} ({other.threads}) |"
              f" {median:.2f} ({best:.2f}) |", flush=True)  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    print("| | threads | us | PyTorch, us (threads) | median of ratios (of bests) |\n|---|---:|---:|---:|---:|")
    for name in NETS:
        pairs = [training(name, n_threads) for n_threads in options.threads]
        compare(f"{name}: a training step", pairs, options.rounds)
    for name, n_rows in (("GRU-64", 1), ("GRU-64", N_ROWS), ("LSTM-64", 1)):
        pairs = [prediction(name, n_threads, n_rows) for n_threads in options.threads]
        compare(f"{name}: prediction of {n_rows}", pairs, options.rounds)


if __name__ == "__main__":
    main()
