"""What the layers of each kind compute, in NumPy: the formulas of fastmlp.engine.architecture, one function each.

A function gets the layer's description, its parameters and what it reads: a matrix, or a :class:`Table`. It returns the
layer's outputs and the way back, a function from dL/d(outputs) to dL/d(inputs), of a table its numbers, and the list of
dL/d(parameter).
"""

from itertools import groupby

import numpy as np
from scipy.special import expit, ndtr

from fastmlp.engine.architecture import (
    GRU,
    LSTM,
    AveragePool,
    Convolution,
    Dense,
    Embedding,
    Indicators,
    LayerNorm,
    MaxPool,
    Numbers,
    Parametric,
    Periodic,
    Piecewise,
    Residual,
    Scale,
    places,
    sources,
)

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554804935, 1.6732632423543772848
_GELU_TANH = 2 * np.sqrt(2 / np.pi)


def _elu(z):
    return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))


def _tanh_softplus(z):
    return np.tanh(np.logaddexp(z, 0))


def _gelu_factor(z):
    """(1 + tanh(u)) / 2, u = sqrt(2 / pi) (z + 0.044715 z^3)."""
    return expit(_GELU_TANH * (z + 0.044715 * z**3))


# name -> (f, f' as a function of z and of the activation a = f(z))
HIDDEN = {
    "identity": (lambda z: z, lambda z, a: np.ones_like(a)),
    "logistic": (expit, lambda z, a: a * (1 - a)),
    "tanh": (np.tanh, lambda z, a: 1 - a**2),
    "relu": (lambda z: np.maximum(z, 0), lambda z, a: (a > 0).astype(float)),
    "leaky_relu": (lambda z: np.where(z > 0, z, 0.01 * z), lambda z, a: np.where(z > 0, 1, 0.01)),
    "relu6": (lambda z: np.clip(z, 0, 6), lambda z, a: ((z > 0) & (z < 6)).astype(float)),
    "elu": (_elu, lambda z, a: np.where(z > 0, 1, np.exp(np.minimum(z, 0)))),
    "selu": (
        lambda z: _SELU_SCALE * np.where(z > 0, z, _SELU_ALPHA * _elu(z)),
        lambda z, a: _SELU_SCALE * np.where(z > 0, 1, _SELU_ALPHA * np.exp(np.minimum(z, 0))),
    ),
    "softplus": (lambda z: np.logaddexp(z, 0), lambda z, a: expit(z)),
    "softsign": (lambda z: z / (1 + abs(z)), lambda z, a: 1 / (1 + abs(z)) ** 2),
    "hard_sigmoid": (lambda z: np.clip(z + 3, 0, 6) / 6, lambda z, a: (abs(z) < 3) / 6),
    "hard_swish": (
        lambda z: z * np.clip(z + 3, 0, 6) / 6,
        lambda z, a: np.where(z < 3, np.where(z > -3, z / 3 + 0.5, 0), 1),
    ),
    "silu": (lambda z: z * expit(z), lambda z, a: expit(z) * (1 + z * expit(-z))),
    "gelu": (
        lambda z: z * ndtr(z),
        lambda z, a: ndtr(z) + z * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi),
    ),
    "gelu_tanh": (
        lambda z: z * _gelu_factor(z),
        lambda z, a: _gelu_factor(z) * (1 + z * _gelu_factor(-z) * _GELU_TANH * (1 + 3 * 0.044715 * z**2)),
    ),
    "mish": (
        lambda z: z * _tanh_softplus(z),
        lambda z, a: _tanh_softplus(z) + z * (1 - _tanh_softplus(z) ** 2) * expit(z),
    ),
}


# ---- kinds ----


class Table:
    """Numbers and categories of some rows; a category as one-hot columns, all 0 for a negative code."""

    def __init__(self, inputs, X, codes):
        self._inputs, self._X, self._codes = inputs, X, codes

    def numbers(self, columns):
        return self._X[:, self._inputs.numbers(columns)]

    def back(self, columns, d):
        """dL/d(all numbers) from that of some columns."""
        of_all = self.no_slope()
        of_all[:, self._inputs.numbers(columns)] = d
        return of_all

    def no_slope(self):
        return np.zeros(self._X.shape)

    def categories(self, columns):
        return [
            (self._codes[:, [c]] == np.arange(self._inputs.levels[c])).astype(float)
            for c in self._inputs.categories(columns)
        ]


def _dense(layer, parameters, x):
    W, b = parameters
    function, slope = HIDDEN[layer.activation]
    z = np.asarray(x @ W) + b
    a = function(z)

    def back(d):
        d = d * slope(z, a)
        return d @ W.T, [np.asarray(x.T @ d), d.sum(axis=0)]

    return a, back


def _scale(layer, parameters, x):
    (s,) = parameters
    return x * s, lambda d: (d * s, [(d * x).sum(axis=0)])


def _layer_norm(layer, parameters, x):
    s, b = (np.repeat(parameter, x.shape[1] // layer.shape[0]) for parameter in parameters)
    function, slope = HIDDEN[layer.activation]
    difference = x - x.mean(axis=1, keepdims=True)
    inverse = 1 / np.sqrt((difference**2).mean(axis=1, keepdims=True) + layer.epsilon)
    u = difference * inverse
    z = s * u + b
    a = function(z)

    def back(d):
        d = d * slope(z, a)
        g = s * d
        of_x = inverse * (g - g.mean(axis=1, keepdims=True) - u * (g * u).mean(axis=1, keepdims=True))
        return of_x, [part.sum(axis=0).reshape(layer.shape[0], -1).sum(axis=1) for part in (d * u, d)]

    return a, back


def _residual(layer, parameters, x):
    """x is the sum already."""
    function, slope = HIDDEN[layer.activation]
    a = function(x)
    return a, lambda d: (d * slope(x, a), [])


def _parametric(layer, parameters, x):
    (a,) = parameters
    function, slope = HIDDEN[layer.activation]
    f = function(x)
    return x + a * (f - x), lambda d: (d * (1 + a * (slope(x, f) - 1)), [(d * (f - x)).sum(axis=0)])


def _numbers(layer, parameters, table):
    return table.numbers(layer.columns), lambda d: (table.back(layer.columns, d), [])


def _periodic(layer, parameters, table):
    (p,) = parameters
    k, width = layer.frequencies, layer.width
    w, b, V, c = np.split(p, [k, 2 * k, 2 * k + k * width], axis=1)
    V = V.reshape(len(p), width, k)
    turns = 2 * np.pi * table.numbers(layer.columns)[:, :, None]
    angles = turns * w + b
    outputs = np.einsum("njf,jmf->njm", np.cos(angles), V) + c

    def back(d):
        d = d.reshape(outputs.shape)
        of_angles = -np.sin(angles) * np.einsum("njm,jmf->njf", d, V)
        of_V = np.einsum("njm,njf->jmf", d, np.cos(angles)).reshape(len(p), -1)
        of_p = np.hstack([(turns * of_angles).sum(axis=0), of_angles.sum(axis=0), of_V, d.sum(axis=0)])
        return table.back(layer.columns, 2 * np.pi * (of_angles * w).sum(axis=2)), [of_p]

    return outputs.reshape(len(outputs), -1), back


def _piecewise_linear(x, edges):
    """The encoding (n, n_columns, n_bins) of numbers (n, n_columns), and its slope, at an edge that behind it."""
    edges, x, t = np.asarray(edges, dtype=float), x[:, :, None], np.arange(len(edges[0]) - 1)
    last = np.isfinite(edges).sum(axis=1)[:, None] - 2
    with np.errstate(invalid="ignore"):
        width = np.diff(edges)
        e = (x - edges[:, :-1]) / width
    e = np.where(t > 0, np.maximum(e, 0), e)
    e = np.where(t < last, np.minimum(e, 1), e)
    inside = ((t == 0) | (x >= edges[:, :-1])) & ((t == last) | (x < edges[:, 1:])) & (t <= last)
    return np.where(t <= last, e, 0), np.where(inside, 1 / width, 0)


def _piecewise(layer, parameters, table):
    (p,) = parameters
    width = layer.width
    w, b, V = np.split(p, [width, 2 * width], axis=1)
    V = V.reshape(len(p), -1, width)
    x = table.numbers(layer.columns)
    e, slope = _piecewise_linear(x, layer.edges)
    outputs = x[:, :, None] * w + b + np.einsum("njt,jtm->njm", e, V)

    def back(d):
        d = d.reshape(outputs.shape)
        of_V = np.einsum("njt,njm->jtm", e, d).reshape(len(p), -1)
        of_p = np.hstack([(x[:, :, None] * d).sum(axis=0), d.sum(axis=0), of_V])
        return table.back(layer.columns, (d * w).sum(axis=2) + np.einsum("njm,njt,jtm->nj", d, slope, V)), [of_p]

    return outputs.reshape(len(outputs), -1), back


def _indicators(layer, parameters, table):
    hot = np.hstack(table.categories(layer.columns))
    return np.where(hot, layer.on, layer.off), lambda d: (table.no_slope(), [])


def _embedding(layer, parameters, table):
    (E,) = parameters
    hot = table.categories(layer.columns)
    vectors = np.split(E, np.cumsum([levels.shape[1] for levels in hot])[:-1])
    outputs = np.hstack([levels @ part for levels, part in zip(hot, vectors, strict=True)])

    def back(d):
        deltas = np.split(d, len(hot), axis=1)
        return table.no_slope(), [np.vstack([levels.T @ part for levels, part in zip(hot, deltas, strict=True)])]

    return outputs, back


def _places_seen(layer):
    """For each element of the window and each of its places, in rows: (out_height, out_width) rows and columns of the
    input, and whether they are within."""
    window = layer.window
    for i, j in np.ndindex(*window.size):
        rows, columns = (
            np.arange(n) * stride - before + k * dilation
            for n, stride, before, k, dilation in zip(
                window.out, window.stride, window.before, (i, j), window.dilation, strict=True
            )
        )
        height, width = layer.shape[1:]
        inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
        yield (i, j), np.clip(rows, 0, height - 1)[:, None], np.clip(columns, 0, width - 1), inside


def _convolution(layer, parameters, x):
    W, b = parameters
    function, slope = HIDDEN[layer.activation]
    planes = x.reshape(-1, layer.groups, layer.shape[0] // layer.groups, *layer.shape[1:])
    # (group, input channel, i, j, output channel)
    filters = np.moveaxis(W.reshape(planes.shape[2], *layer.size, layer.groups, -1), 3, 0)
    z = np.zeros((len(x), *layer.shape_out)) + b[:, None, None]
    by_group = z.reshape(len(x), layer.groups, -1, *layer.window.out)
    for (i, j), rows, columns, inside in _places_seen(layer):
        by_group += np.einsum("ngchw,gco->ngohw", planes[..., rows, columns] * inside, filters[:, :, i, j])
    a = function(z)

    def back(d):
        d = d.reshape(z.shape) * slope(z, a)
        deltas = d.reshape(by_group.shape)
        of_x, of_filters = np.zeros(planes.shape), np.zeros(filters.shape)
        for (i, j), rows, columns, inside in _places_seen(layer):
            of_filters[:, :, i, j] = np.einsum("ngchw,ngohw->gco", planes[..., rows, columns] * inside, deltas)
            seen = np.einsum("ngohw,gco->ngchw", deltas, filters[:, :, i, j]) * inside
            np.add.at(of_x, (..., rows, columns), seen)
        return of_x.reshape(x.shape), [np.moveaxis(of_filters, 0, 3).reshape(W.shape), d.sum(axis=(0, 2, 3))]

    return a.reshape(len(x), -1), back


def _pool(layer, parameters, x):
    planes = x.reshape(-1, *layer.shape)
    seen = np.array([planes[..., rows, columns] for _, rows, columns, _ in _places_seen(layer)])
    most = seen.argmax(axis=0)
    outputs = seen.max(axis=0) if isinstance(layer, MaxPool) else seen.mean(axis=0)

    def back(d):
        d, of_x = d.reshape(outputs.shape), np.zeros(planes.shape)
        for k, (_, rows, columns, _) in enumerate(_places_seen(layer)):
            share = most == k if isinstance(layer, MaxPool) else 1 / len(seen)
            np.add.at(of_x, (..., rows, columns), d * share)
        return of_x.reshape(x.shape), []

    return outputs.reshape(len(x), -1), back


def _gru_step(z, m, before, cells):
    """One step from its sums z (3, n, units), the states' part m (3, n, units) and what was before.

    Returns h and cells, and the way back from dL/dh and dL/dcells to the same of z, of m, of h before and of cells
    before, the part by way of z and m left out.
    """
    r, u = expit(z[0] + m[0]), expit(z[1] + m[1])
    n = np.tanh(z[2] + r * m[2])

    def back(dh, dcells):
        dn = dh * (1 - u) * (1 - n**2)
        dr, du = dn * m[2] * r * (1 - r), dh * (before - n) * u * (1 - u)
        return np.stack([dr, du, dn]), np.stack([dr, du, dn * r]), dh * u, dcells

    return (1 - u) * n + u * before, cells, back


def _lstm_step(z, m, before, cells):
    i, f, g, o = z + m
    i, f, g, o = expit(i), expit(f), np.tanh(g), expit(o)
    c = f * cells + i * g
    t = np.tanh(c)

    def back(dh, dcells):
        dc = dcells + dh * o * (1 - t**2)
        dz = np.stack([dc * g * i * (1 - i), dc * cells * f * (1 - f), dc * i * (1 - g**2), dh * t * o * (1 - o)])
        return dz, dz, np.zeros_like(dh), dc * f

    return o * t, c, back


def _one_direction(layer, W, b, steps, lengths):
    """States (steps, n, units) from steps (steps, n, channels) of which each row has as many as its length says.

    A state stays as it is behind a row's last step. The way back is from dL/d(states) to dL/d(steps), dL/dW and dL/db.
    """
    units, gates, channels, step = layer.units, layer.gates, layer.channels, _gru_step
    of_inputs, of_states = b[: gates * units], np.zeros(gates * units)
    if isinstance(layer, GRU):
        of_states[2 * units :] = b[gates * units :]
    else:
        step = _lstm_step

    def by_gates(sums):
        return np.moveaxis(sums.reshape(-1, gates, units), 1, 0)

    h = c = np.zeros((len(lengths), units))
    states, ways = [], []
    for s, x in enumerate(steps):
        goes_on, before, cells = (lengths > s)[:, None], h, c
        h, c, way = step(by_gates(x @ W[:channels] + of_inputs), by_gates(h @ W[channels:] + of_states), h, c)
        h, c = np.where(goes_on, h, before), np.where(goes_on, c, cells)
        states.append(h)
        ways.append((x, before, goes_on, way))

    def back(d):
        dx, dW, db = np.zeros(steps.shape), np.zeros(W.shape), np.zeros(b.shape)
        dh = dc = np.zeros(h.shape)
        for s in range(len(steps) - 1, -1, -1):
            if layer.truncation and (s + 1) % layer.truncation == 0:
                dh, dc = (np.where((lengths > s + 1)[:, None], 0, part) for part in (dh, dc))
            x, before, goes_on, way = ways[s]
            dh = dh + d[s]
            dz, dm, passed, dcells = way(dh * goes_on, dc * goes_on)
            dz, dm = (np.moveaxis(part, 0, 1).reshape(len(x), -1) for part in (dz, dm))
            dx[s] = dz @ W[:channels].T
            dh, dc = np.where(goes_on, passed + dm @ W[channels:].T, dh), np.where(goes_on, dcells, dc)
            dW += np.vstack([x.T @ dz, before.T @ dm])
            db += np.hstack([dz, dm[:, 2 * units :]]).sum(axis=0)[: len(b)]
        return dx, dW, db

    return np.array(states), back


def _of_lengths_of_inputs(layer, parameters, x, inputs):
    outputs, way = _recurrent(layer._replace(lengths=True), parameters, np.hstack([x, inputs[:, -1:]]))

    def back(d):
        of_x, gradients = way(d)
        return of_x[:, :-1], gradients

    return outputs, back


def _recurrent(layer, parameters, x):
    n, n_steps, directions = len(x), layer.steps, 1 + layer.bidirectional
    parts = [np.split(parameter, directions, axis=-1) for parameter in parameters]
    sequences = x[:, : layer.channels * n_steps].reshape(n, layer.channels, n_steps)
    lengths, rest = np.full(n, n_steps), np.zeros(n)
    if layer.lengths:
        rest = np.where(np.isnan(x[:, -1]), np.nan, 0)
        lengths = np.clip(np.where(np.isnan(rest), 0, x[:, -1]), 0, n_steps).astype(int)
    share = (1 / np.maximum(lengths, 1))[:, None]
    rows, s = np.arange(n), np.arange(n_steps)[:, None]
    seen = s < lengths
    outputs, ways = [], []
    for direction in range(directions):
        order = np.where(seen, lengths - 1 - s if layer.reverse or direction == 1 else s, s)
        taken = np.where(seen[..., None], sequences[rows, :, order], 0)
        states, way = _one_direction(layer, parts[0][direction], parts[1][direction], taken, lengths)
        if layer.output == "all":
            out = np.zeros((n, layer.units, n_steps))
            out[rows, :, order] = states * seen[..., None] + rest[:, None] * ~seen[..., None]
        else:
            out = states[-1] if layer.output == "last" else (states * seen[..., None]).sum(axis=0) * share
            out = out + rest[:, None]
        outputs.append(out.reshape(n, -1))
        ways.append((order, way))

    def back(d):
        of_x, gradients = np.zeros(x.shape), []
        of_sequences = np.zeros(sequences.shape)
        for delta, (order, way) in zip(np.split(d, directions, axis=1), ways, strict=True):
            of_states = np.zeros((n_steps, n, layer.units))
            if layer.output == "all":
                of_states = delta.reshape(n, layer.units, n_steps)[rows, :, order] * seen[..., None]
            elif layer.output == "last":
                of_states[-1] = delta * (lengths > 0)[:, None]
            else:
                of_states = of_states + seen[..., None] * (delta * share)
            of_steps, *of_parameters = way(of_states)
            of_sequences[rows, :, order] += of_steps * seen[..., None]
            gradients.append(of_parameters)
        of_x[:, : layer.channels * n_steps] = of_sequences.reshape(n, -1)
        return of_x, [np.concatenate(of_one, axis=-1) for of_one in zip(*gradients, strict=True)]

    return np.hstack(outputs), back


_KINDS = {
    GRU: _recurrent,
    LSTM: _recurrent,
    AveragePool: _pool,
    Convolution: _convolution,
    MaxPool: _pool,
    Dense: _dense,
    Scale: _scale,
    LayerNorm: _layer_norm,
    Residual: _residual,
    Parametric: _parametric,
    Numbers: _numbers,
    Periodic: _periodic,
    Piecewise: _piecewise,
    Indicators: _indicators,
    Embedding: _embedding,
}


def pass_rows(inputs, layers, parameters, X, codes=None, masks=None):
    """Rows through a network's layers.

    `parameters` are those of all layers, one after another. `masks` are what the numbers of the input and the outputs
    of each layer but the last are multiplied by, None for no dropout. Returns the outputs, and the way back from
    dL/d(outputs) to dL/d(numbers of the input) and the list of dL/d(parameter).
    """
    masks = masks or [None] * len(layers)
    values = iter([parameter.astype(np.float64) for parameter in parameters])
    x = X if masks[0] is None else X * masks[0]
    table, steps, n_read, added = Table(inputs, x, codes), [], 0, sources(inputs, layers)
    left = {-1: x}  # by the number of the last of the layers that leave it
    for _, beside in groupby(places(inputs, layers), lambda place: place.shared):
        parts, source = [], added.get(n_read)
        if source is not None:
            x = x + left[source]
        for place in beside:
            if place.reads_codes:
                x = np.hstack([x, *table.categories(None)])
            own = [next(values) for _ in place.parameters]
            if getattr(place.layer, "lengths", False) == "inputs":
                parts.append(_of_lengths_of_inputs(place.layer, own, x, left[-1]))
                continue
            parts.append(_KINDS[type(place.layer)](place.layer, own, table if place.layer.beside else x))
        n_read += len(parts)
        mask = masks[n_read] if n_read < len(layers) else None
        x = np.hstack([outputs for outputs, _ in parts])
        x = x if mask is None else x * mask
        left[n_read - 1] = x
        ends = np.cumsum([outputs.shape[1] for outputs, _ in parts])[:-1]
        steps.append((n_read - 1, source, mask, ends, [back for _, back in parts]))

    def back(d):
        gradients, of_sources = [], {}
        for number, source, mask, ends, ways in reversed(steps):
            d = d + of_sources.get(number, 0)
            deltas = np.split(d if mask is None else d * mask, ends, axis=1)
            below = [way(delta) for way, delta in zip(ways, deltas, strict=True)]
            gradients = [gradient for _, own in below for gradient in own] + gradients
            d = sum(of_inputs for of_inputs, _ in below)
            if source is not None:
                of_sources[source] = of_sources.get(source, 0) + d
        return d[:, : inputs.n_features] + of_sources.get(-1, 0), gradients

    return x, back
