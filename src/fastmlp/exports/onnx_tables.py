"""Fitted models of tables as ONNX graphs: raw columns in, one input for each."""

import math

import numpy as np

from ..engine.architecture import Dense, Embedding, Indicators, Numbers, Parametric, Periodic, Piecewise, Scale
from .onnx_columns import encoded, inputs_of
from .onnx_nodes import Value, activate, check_size, element_type, graph_of, in_order, joined, labels_of, model_of
from .tables import blocks_of, table_of

__all__ = ["table_to_onnx"]

_OUTPUTS = ("label", "probabilities", "variable")


def table_to_onnx(estimator, *, dtype="float64", opset=18):
    """The ONNX model of a fitted estimator, as `TabularExportMixin.to_onnx` says."""
    names = []
    g = graph_of(dtype, opset, names)
    outside, g.dtype = g.dtype, np.dtype(np.float32)  # networks compute in float32, whatever comes in and goes out
    table = table_of(estimator)
    check_size(sum(array.size for _, parameters, _ in table.members for array in parameters), g.dtype)
    given = inputs_of(table.encoding.columns, outside, _OUTPUTS)
    names += [value.name for value in given]
    total = _average(g, table, *encoded(g, table.encoding, [value.name for value in given]))
    if table.ranks is not None:
        total = in_order(g, total, table.ranks)
    if table.units is not None:
        results = [_in_units(g, total, table.units, outside)]
        outputs = [Value("variable", outside, table.n_outputs)]
    else:
        labels = labels_of(table.classes)
        results = [g.add("Gather", labels, g.add("ArgMax", total, axis=1, keepdims=0)), total]
        outputs = [Value("label", labels.dtype), Value("probabilities", g.dtype, table.n_outputs)]
    return model_of(g, type(estimator).__name__, given, results, outputs)


# Networks


def _average(g, table, numbers, codes):
    """The average of the members' outputs, as `engine.Average` forms it."""
    largest = max(weight for _, _, weight in table.members)
    total = None
    for layers, parameters, weight in table.members:
        outputs = activate(g, table.activation, _network(g, layers, parameters, numbers, codes))
        if weight != largest:
            outputs = g.add("Mul", outputs, weight / largest)
        total = outputs if total is None else g.add("Add", total, outputs)
    return total if largest == 1 else g.add("Mul", total, largest)


def _network(g, layers, parameters, numbers, codes):
    """Nodes of one network: the name of its outputs before their activation."""
    inputs, blocks = blocks_of(layers, parameters)
    first, *others = blocks
    parts = []
    for layer, own in first.layers:
        kind = type(layer)
        if kind in _OF_NUMBERS:
            x = _some(g, numbers, inputs.numbers(layer.columns), inputs.n_features)
            parts.append(_OF_NUMBERS[kind](g, layer, own, x))
        else:
            columns = inputs.categories(layer.columns)
            x = _some(g, codes, columns, len(inputs.levels))
            parts.append(_OF_CODES[kind](g, layer, own, x, [inputs.levels[c] for c in columns]))
    a = joined(g, parts)
    for block in others:
        ((layer, own),) = block.layers
        a = _OF_ROWS[type(layer)](g, layer, own, a)
    return a


def _some(g, a, columns, n):
    """Adjacent columns of n."""
    return a if len(columns) == n else g.add("Gather", a, np.arange(columns[0], columns[-1] + 1), axis=1)


def _by_column(g, x):
    """(n, n_columns) -> (n_columns, n, 1), so that a product takes one column at a time."""
    return g.add("Unsqueeze", g.add("Transpose", x, perm=[1, 0]), np.array([2]))


def _side_by_side(g, a, n_columns, width):
    """(n_columns, n, width) -> (n, n_columns * width)"""
    return g.add("Reshape", g.add("Transpose", a, perm=[1, 0, 2]), np.array([0, n_columns * width]))


def _periodic(g, layer, parameters, x):
    """V cos(2 pi w x + b) + c"""
    (p,) = parameters
    k, width = layer.frequencies, layer.width
    w, b, V, c = np.split(p[:, None, :], [k, 2 * k, 2 * k + k * width], axis=2)
    V = V.reshape(len(p), width, k).transpose(0, 2, 1)
    angles = g.add("Add", g.add("Mul", _by_column(g, x), np.float32(2 * math.pi) * w), b)
    return _side_by_side(g, g.add("Add", g.add("MatMul", g.add("Cos", angles), V.copy()), c), len(p), width)


def _piecewise(g, layer, parameters, x):
    """w x + b + V e(x), e(x) = (x - left) / (right - left) within limits"""
    (p,) = parameters
    width = layer.width
    w, b, V = np.split(p[:, None, :], [width, 2 * width], axis=2)
    edges = np.asarray(layer.edges, dtype=np.float32)
    is_bin = np.isfinite(edges[:, 1:])
    left, right = (np.where(is_bin, one, i).astype(np.float32) for i, one in enumerate((edges[:, :-1], edges[:, 1:])))
    bins, n_bins = np.arange(is_bin.shape[1]), is_bin.sum(axis=1, keepdims=True)
    largest = np.finfo(np.float32).max
    least = np.where(bins == 0, -largest, 0).astype(np.float32)
    most = np.where(bins == n_bins - 1, largest, is_bin).astype(np.float32)
    x = _by_column(g, x)
    share = g.add("Div", g.add("Sub", x, left[:, None, :]), (right - left)[:, None, :])
    share = g.add("Min", g.add("Max", share, least), most[:, None, :])
    V = np.where(is_bin[:, :, None], V.reshape(len(p), -1, width), np.float32(0))
    line = g.add("Add", g.add("Mul", x, w), b)
    return _side_by_side(g, g.add("Add", line, g.add("MatMul", share, V)), len(p), width)


_OF_NUMBERS = {
    Numbers: lambda g, layer, parameters, x: x,
    Periodic: _periodic,
    Piecewise: _piecewise,
}


def _indicators(g, layer, parameters, codes, levels):
    of_each = np.concatenate([np.arange(n) for n in levels])
    repeated = g.add("Gather", codes, np.repeat(np.arange(len(levels)), levels), axis=1)
    off, on = (np.asarray(values, dtype=np.float32) for values in (layer.off, layer.on))
    return g.add("Where", g.add("Equal", repeated, of_each), on, off)


def _embedding(g, layer, parameters, codes, levels):
    """Rows of a table, to which a last row is added for codes of no level: zeros."""
    (table,) = parameters
    table = np.concatenate([table, np.zeros((1, layer.width), dtype=np.float32)])
    starts = np.cumsum([0, *levels[:-1]])
    rows = g.add("Where", g.add("Less", codes, 0), len(table) - 1, g.add("Add", codes, starts))
    return g.add("Reshape", g.add("Gather", table, rows, axis=0), np.array([0, len(levels) * layer.width]))


_OF_CODES = {Indicators: _indicators, Embedding: _embedding}


def _parametric(g, layer, parameters, z):
    """z + a (f(z) - z)"""
    change = g.add("Sub", activate(g, layer.activation, z), z)
    return g.add("Add", z, g.add("Mul", parameters[0], change))


_OF_ROWS = {
    Dense: lambda g, layer, parameters, a: activate(g, layer.activation, g.add("Gemm", a, *parameters)),
    Scale: lambda g, layer, parameters, a: g.add("Mul", a, parameters[0]),
    Parametric: _parametric,
}


def _in_units(g, outputs, units, dtype):
    """Values within the range of the training targets."""
    largest = max(np.abs(units.least).max(), np.abs(units.greatest).max())
    if largest > np.finfo(dtype).max:
        raise ValueError(f"The targets go up to {largest:.3g}, beyond {dtype}: dtype='float64' has them.")
    values = g.add("Cast", outputs, to=element_type(np.float64))
    values = g.add("Add", g.add("Mul", values, units.scale), units.center)
    values = g.add("Min", g.add("Max", values, units.least), units.greatest)
    return g.add("Cast", values, to=element_type(dtype))
