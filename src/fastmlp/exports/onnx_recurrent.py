"""Recurrent layers as ONNX nodes, which read (steps, n_samples, channels)."""

import numpy as np

from ..engine.architecture import GRU

__all__ = ["read_sequences"]

# Of our blocks of columns those that ONNX has in its order: z, r, n of GRU (its "h"), i, o, f, g of LSTM (its "c")
_ORDER = {3: (1, 0, 2), 4: (0, 3, 1, 2)}


def read_sequences(g, layer, a, coef, intercept, inputs):
    """Nodes of a layer on the name of its rows; the name of its outputs, in rows.

    `inputs` are the name of the network's rows, and how many numbers they have.
    """
    gates, units, n_directions = layer.gates, layer.units, 1 + layer.bidirectional
    order, lengths = _ORDER[gates], []
    if layer.lengths:
        given, n = (a, layer.reads) if layer.lengths is True else inputs
        before, own = g.add("Split", given, np.array([n - 1, 1], np.int64), n_outputs=2, axis=1)
        a = before if layer.lengths is True else a
        own = g.add("Squeeze", own, np.array([1], np.int64))
        lengths = [g.add("Cast", own, to=6)]  # int32
    planes = g.add("Reshape", a, np.array([-1, layer.channels, layer.steps], np.int64))
    sequences = g.add("Transpose", planes, perm=[2, 0, 1])
    directions = np.split(coef, n_directions, axis=1)
    weights = np.stack([_in_order(part, gates, order).T for part in directions])
    biases = np.stack([_biases(part, layer, order) for part in np.split(intercept, n_directions)])
    inputs = [weights[:, :, : layer.channels], weights[:, :, layer.channels :], biases]
    kind = "bidirectional" if layer.bidirectional else "reverse" if layer.reverse else "forward"
    more = {"linear_before_reset": 1} if isinstance(layer, GRU) else {}
    states, last = g.add(
        "GRU" if isinstance(layer, GRU) else "LSTM", sequences, *map(np.ascontiguousarray, inputs), *lengths,
        n_outputs=2, hidden_size=units, direction=kind, **more,
    )  # fmt: skip
    if layer.output == "last":
        outputs = g.add("Transpose", last, perm=[1, 0, 2])  # (n_samples, directions, units)
    elif layer.output == "all":
        outputs = g.add("Transpose", states, perm=[2, 1, 3, 0])
    else:
        total = g.add("ReduceSum", states, np.array([0], np.int64), keepdims=0)  # (directions, n_samples, units)
        outputs = g.add("Transpose", total, perm=[1, 0, 2])
    outputs = g.add("Reshape", outputs, np.array([-1, n_directions * units * (
        layer.steps if layer.output == "all" else 1
    )], np.int64))  # fmt: skip
    if layer.output != "mean":
        return outputs
    if layer.lengths:
        n_steps = g.add("Unsqueeze", g.add("Max", own, 1.0), np.array([1], np.int64))
        return g.add("Div", outputs, n_steps)
    return g.add("Div", outputs, float(layer.steps))


def _in_order(columns, gates, order):
    blocks = np.split(columns, gates, axis=-1)
    return np.concatenate([blocks[i] for i in order], axis=-1)


def _biases(biases, layer, order):
    """Those of the inputs, then those of the states."""
    blocks = np.split(biases, 4)
    own = np.concatenate([blocks[i] for i in order])
    of_states = np.zeros(layer.gates * layer.units, biases.dtype)
    if isinstance(layer, GRU):
        of_states[2 * layer.units :] = blocks[3]
    return np.concatenate([own, of_states])
