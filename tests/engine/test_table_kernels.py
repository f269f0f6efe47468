"""The kernels of layers over the columns of a table against NumPy: values, gradients, tiles, and nothing outside."""

import ctypes
import functools

import numpy as np
import pytest
from networks import DTYPES, same_bits

from fastmlp.engine import ACTIVATIONS, ISAS, Network
from fastmlp.engine.architecture import Dense, Inputs, Parametric
from fastmlp.engine.kernels import apply, layer_kernels, product

every_isa = pytest.mark.parametrize("isa", ISAS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
every_width = pytest.mark.parametrize("n", [1, 3, 8, 15, 17, 64, 130])
every_count = pytest.mark.parametrize("rows", [1, 5, 16, 33, 70])
CLOSE = {np.float32: 1e-5, np.float64: 1e-13}
FAR = 77.125  # what stands around a matrix


class Codes(ctypes.Structure):
    _fields_ = [
        ("codes", ctypes.c_void_p),
        ("n_codes", ctypes.c_ssize_t),
        ("index", ctypes.c_void_p),
        ("first", ctypes.c_ssize_t),
    ]


class Slice:
    """A matrix within rows that are longer, which begins at no whole vector."""

    def __init__(self, values, dtype):
        rows, n = np.shape(values)
        self._room = np.full((rows + 2, n + 8), FAR, dtype=dtype)
        self.values = self._room[1:-1, 3 : 3 + n]
        self.values[:] = values
        self.ld = n + 8

    def is_alone(self):
        inside = np.zeros(self._room.shape, dtype=bool)
        inside[1:-1, 3:-5] = True
        return bool(np.all(self._room[~inside] == FAR))


@functools.cache
def addresses(dtype, isa):
    return layer_kernels(dtype, isa)


def call(name, dtype, isa, *arguments):
    """Arrays, slices (as pointer and stride), codes and numbers, in the order of simd/tables.h."""
    values = []
    for argument in arguments:
        if isinstance(argument, Slice):
            values += [ctypes.c_void_p(argument.values.ctypes.data), ctypes.c_ssize_t(argument.ld)]
        elif isinstance(argument, np.ndarray):
            assert argument.flags.c_contiguous
            values.append(ctypes.c_void_p(argument.ctypes.data))
        elif argument is None:
            values.append(ctypes.c_void_p(None))
        elif isinstance(argument, Codes):
            values.append(ctypes.c_void_p(ctypes.addressof(argument)))
        else:
            values.append((ctypes.c_int if isinstance(argument, bool) else ctypes.c_ssize_t)(argument))
    ctypes.CFUNCTYPE(None, *map(type, values))(addresses(dtype, isa)[name])(*values)


def normal(rng, *shape, dtype=np.float64):
    return rng.standard_normal(shape).astype(dtype)


def check_rows(name, dtype, isa, before, expected, *arguments):
    """A kernel whose first argument are rows that it writes."""
    out = Slice(before, dtype)
    call(name, dtype, isa, out, *arguments)
    assert out.is_alone()
    close(out.values, expected, dtype)
    return out.values.copy()


def close(got, expected, dtype):
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(got, expected, rtol=0, atol=CLOSE[dtype] * scale)


def check_tiles(name, dtype, isa, expected, *arguments):
    """A kernel of gradients for rows start to stop of a parameter: any tiles, overwritten or added to."""
    rng = np.random.default_rng(0)
    n = len(expected)
    for accumulate in (False, True):
        before = normal(rng, *expected.shape, dtype=dtype)
        results = []
        for step in {1, 2, n}:
            grad = before.copy()
            for start in range(0, n, step):
                stop = min(start + step, n)
                call(name, dtype, isa, grad[start:stop], *arguments, start, stop, accumulate)
            results.append(grad)
        close(results[0], expected + before * accumulate, dtype)
        assert all(same_bits([result], [results[0]]) for result in results)


# ---- scale, parametric activations ----


@every_isa
@every_dtype
@every_width
@every_count
def test_scale_and_mix(rows, n, dtype, isa):
    rng = np.random.default_rng(0)
    x, d, f = (Slice(normal(rng, rows, n), dtype) for _ in range(3))
    a = normal(rng, n, dtype=dtype)
    X, D, F, A = (values.astype(np.float64) for values in (x.values, d.values, f.values, a))
    nothing = np.zeros((rows, n))
    check_rows("scale", dtype, isa, nothing, X * A, x, a, rows, n)
    check_rows("mix", dtype, isa, nothing, X + A * (F - X), x, f, a, rows, n)
    check_rows("mix_slope", dtype, isa, F, D + A * (F - D), d, a, rows, n)
    for accumulate in (False, True):
        for name, arguments, expected in (
            ("scale_gradient", (x, d), (X * D).sum(axis=0)),
            ("mix_gradient", (d, x, f), (D * (F - X)).sum(axis=0)),
        ):
            room = np.full(n + 2, FAR, dtype=dtype)
            call(name, dtype, isa, room[1:-1], *arguments, rows, n, accumulate)
            close(room[1:-1], expected + FAR * accumulate, dtype)
            assert room[0] == room[-1] == FAR
    # in place
    call("scale", dtype, isa, x, x, a, rows, n)
    close(x.values, X * A, dtype)
    call("mix", dtype, isa, d, d, f, a, rows, n)
    close(d.values, D + A * (F - D), dtype)


# ---- levels ----


@every_isa
@every_dtype
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_products_end_in_a_parametric_activation(name, dtype, isa):
    rng = np.random.default_rng(0)
    layers = [Inputs(9), Dense(37), Parametric(name), Dense(70), Parametric(name), Dense(2)]
    network = Network(layers, None, "squared_error", dtype, isa=isa)
    for _, array, _ in network.parameters:
        array[...] = normal(rng, *array.shape)
    X = normal(rng, 41, 9, dtype=dtype)
    values, parameters = X, [array for _, array, _ in network.parameters]
    for weights, bias, a in zip(parameters[::3], parameters[1::3], [*parameters[2::3], None], strict=True):
        sums = product(values, weights, np.empty((len(X), len(bias)), dtype), isa=isa) + bias
        if a is None:
            values = sums
            break
        out = Slice(sums, dtype)
        call("mix", dtype, isa, out, Slice(sums, dtype), Slice(apply(name, sums.copy(), isa), dtype), a, *sums.shape)
        values = out.values.copy()
    assert same_bits([network.predict(X)], [values])
    assert same_bits([network.predict(X[7:8])], [values[7:8]])


def levels(rng, rows, sizes, ordered):
    """Codes of some rows of a wider table, offsets, and the rows one-hot."""
    codes = np.stack([rng.integers(-1, size, rows + 9) for size in sizes], axis=1)
    table = np.full((rows + 9, len(sizes) + 3), 10**6, dtype=np.int32)
    table[:, 2:-1] = codes
    index = None if ordered else rng.permutation(rows + 9)[:rows].astype(np.intp)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.intp)
    struct = Codes(table[:, 2:].ctypes.data, table.shape[1], None if ordered else index.ctypes.data, 4)
    struct.keeps = table, index
    chosen = codes[4 : 4 + rows] if ordered else codes[index]
    one_hot = np.zeros((rows, offsets[-1]))
    row, column = np.nonzero(chosen >= 0)
    one_hot[row, offsets[column] + chosen[row, column]] = 1
    return struct, offsets, one_hot


@every_isa
@every_dtype
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("sizes", [(5,), (1, 4, 2), (3, 1, 1, 7, 2)], ids=str)
@pytest.mark.parametrize("n", [1, 3, 16, 21, 70])
def test_levels(n, sizes, ordered, dtype, isa):
    rng, rows, n_columns = np.random.default_rng(0), 33, len(sizes)
    codes, offsets, one_hot = levels(rng, rows, sizes, ordered)
    w = normal(rng, offsets[-1], n, dtype=dtype)
    W = w.astype(np.float64)
    before = normal(rng, rows, n, dtype=dtype)
    check_rows("onehot_add", dtype, isa, before, before + one_hot @ W, codes, offsets, n_columns, w, rows, n)
    d = Slice(normal(rng, rows, n), dtype)
    check_tiles(
        "onehot_gradient", dtype, isa, one_hot.T @ d.values.astype(np.float64), codes, offsets, n_columns, d, rows, n
    )
    columns = [slice(start, stop) for start, stop in zip(offsets, offsets[1:], strict=False)]
    expected = np.concatenate([one_hot[:, c] @ W[c] for c in columns], axis=1)
    check_rows("embed", dtype, isa, np.ones(expected.shape), expected, codes, offsets, n_columns, w, n, rows)
    d = Slice(normal(rng, *expected.shape), dtype)
    parts = np.split(d.values.astype(np.float64), n_columns, axis=1)
    expected = np.concatenate([one_hot[:, c].T @ part for c, part in zip(columns, parts, strict=True)])
    check_tiles("embed_gradient", dtype, isa, expected, codes, offsets, n_columns, d, n, rows)
    on, off = normal(rng, 2, offsets[-1], dtype=dtype)
    check_rows(
        "expand",
        dtype,
        isa,
        np.ones(one_hot.shape),
        np.where(one_hot > 0, on, off),
        codes,
        offsets,
        n_columns,
        on,
        off,
        rows,
    )


# ---- numbers ----


def periodic(x, p, k, width, d):
    """Outputs, and the gradients of p and x for the deltas d."""
    n_columns = len(p)
    w, b, weights, bias = np.split(p, [k, 2 * k, (2 + width) * k], axis=1)
    weights = weights.reshape(n_columns, width, k)
    angle = 2 * np.pi * w * x[:, :, None] + b
    out = np.einsum("jmf,ijf->ijm", weights, np.cos(angle)) + bias
    d = d.reshape(out.shape)
    e = -np.einsum("ijm,jmf->ijf", d, weights) * np.sin(angle)
    gradient = [2 * np.pi * (e * x[:, :, None]).sum(axis=0), e.sum(axis=0)]
    gradient += [np.einsum("ijm,ijf->jmf", d, np.cos(angle)).reshape(n_columns, -1), d.sum(axis=0)]
    return out.reshape(len(x), -1), np.concatenate(gradient, axis=1), 2 * np.pi * (e * w).sum(axis=2)


@every_isa
@every_dtype
@pytest.mark.parametrize(
    "n_columns, k, width", [(20, 16, 3), (1, 1, 1), (7, 5, 4), (17, 17, 7), (2, 64, 3), (3, 70, 2), (2, 33, 70)]
)
@every_count
def test_periodic(rows, n_columns, k, width, dtype, isa):
    rng = np.random.default_rng(0)
    x, d = Slice(normal(rng, rows, n_columns), dtype), Slice(normal(rng, rows, n_columns * width), dtype)
    p = normal(rng, n_columns, (2 + width) * k + width, dtype=dtype)
    out, gradient, dx = periodic(*(v.astype(np.float64) for v in (x.values, p)), k, width, d.values.astype(np.float64))
    got = check_rows("periodic", dtype, isa, np.ones(out.shape), out, x, p, n_columns, k, width, rows)
    for i, some in ((0, 1), (rows - 1, 1), (rows // 3, min(rows - rows // 3, 3))):  # rows do not depend on others
        part = Slice(x.values[i : i + some], dtype)
        alone = check_rows(
            "periodic", dtype, isa, got[i : i + some], out[i : i + some], part, p, n_columns, k, width, some
        )
        assert same_bits([alone], [got[i : i + some]])
    check_tiles("periodic_gradient", dtype, isa, gradient, x, d, p, k, width, rows)
    before = normal(rng, rows, n_columns, dtype=dtype)
    check_rows("periodic_input_gradient", dtype, isa, before, before + dx, x, d, p, n_columns, k, width, rows)


@every_isa
@every_dtype
def test_cosines_in_turns(dtype, isa):
    """w x + b / (2 pi) is exact here: what is left is the error of the cosine alone."""
    turns = np.concatenate([np.arange(-64, 65) / 64, [1000.25, 2.0**21 + 0.5, -(2.0**30)]])
    x = Slice(turns[:, None], dtype)
    p = np.array([[1, 0, 1, 0]], dtype=dtype)
    expected = np.cos(2 * np.pi * (turns % 1))
    out = check_rows("periodic", dtype, isa, x.values, expected[:, None], x, p, 1, 1, 1, len(turns))
    assert np.abs(out[:, 0] - expected).max() <= np.finfo(dtype).eps + 4e-16  # of the reference
    assert out[64] == 1 and np.all(out[[0, 128]] == 1)
    x = Slice(np.array([[np.nan], [np.inf], [-np.inf], [np.finfo(dtype).max]]), dtype)
    out = Slice(np.zeros((4, 1)), dtype)
    call("periodic", dtype, isa, out, x, p, 1, 1, 1, 4)
    np.testing.assert_array_equal(out.values[:, 0], [np.nan, np.nan, np.nan, 1])


def piecewise_edges(rng, n_columns, bins, dtype):
    edges = np.full((n_columns, bins + 1), np.inf, dtype=dtype)
    for j in range(n_columns):
        own = bins if j == 0 else int(rng.integers(1, bins + 1))
        edges[j, : own + 1] = np.cumsum(rng.uniform(0.5, 1.5, own + 1)) * (4 / own) - 2
    return edges


def piecewise(x, edges, p, width, d):
    """Outputs, and the gradients of p and x for the deltas d, by Gorishniy et al.'s formula bin by bin."""
    (rows, n_columns), bins = x.shape, edges.shape[1] - 1
    encoded, slopes = np.zeros((2, rows, n_columns, bins))
    for j, t in np.ndindex(n_columns, bins):
        low, high = edges[j, t : t + 2]
        if np.isinf(high):
            continue
        last = t == bins - 1 or np.isinf(edges[j, t + 2])
        inside = ((x[:, j] >= low) | (t == 0)) & ((x[:, j] < high) | last)
        encoded[:, j, t] = np.clip((x[:, j] - low) / (high - low), 0 if t else -np.inf, np.inf if last else 1)
        slopes[:, j, t] = inside / (high - low)
    w, b, weights = np.split(p.reshape(n_columns, -1, width), [1, 2], axis=1)
    out = x[:, :, None] * w[:, 0] + b[:, 0] + np.einsum("ijt,jtm->ijm", encoded, weights)
    d = d.reshape(out.shape)
    gradient = [np.einsum("ij,ijm->jm", x, d)[:, None], d.sum(axis=0)[:, None]]
    gradient += [np.einsum("ijt,ijm->jtm", encoded, d)]
    dx = np.einsum("ijm,jm->ij", d, w[:, 0]) + np.einsum("ijm,jtm,ijt->ij", d, weights, slopes)
    return out.reshape(rows, -1), np.concatenate(gradient, axis=1).reshape(n_columns, -1), dx


@every_isa
@every_dtype
@pytest.mark.parametrize(
    "n_columns, bins, width", [(9, 48, 8), (1, 1, 1), (3, 2, 3), (4, 5, 16), (3, 64, 4), (2, 65, 2), (3, 150, 17)]
)
@every_count
def test_piecewise(rows, n_columns, bins, width, dtype, isa):
    rng = np.random.default_rng(0)
    edges = piecewise_edges(rng, n_columns, bins, dtype)
    x = Slice(rng.uniform(-3, 4, (rows, n_columns)), dtype)
    x.values[rows // 2] = edges[:, (np.isfinite(edges).sum(axis=1) // 2).min()]  # on an edge, or infinity
    x.values[np.isinf(x.values)] = 0
    d = Slice(normal(rng, rows, n_columns * width), dtype)
    p = normal(rng, n_columns, (2 + bins) * width, dtype=dtype)
    exact = [v.astype(np.float64) for v in (x.values, edges, p)]
    out, gradient, dx = piecewise(*exact, width, d.values.astype(np.float64))
    sums = np.ones((n_columns, bins, width), dtype)
    call("piecewise_sums", dtype, isa, sums, p, n_columns, bins, width)
    upto = p.reshape(n_columns, -1, width)[:, 2:].cumsum(axis=1, dtype=np.float64)
    close(sums, np.concatenate([np.zeros((n_columns, 1, width)), upto[:, :-1]], axis=1), dtype)
    got = [
        check_rows("piecewise", dtype, isa, np.ones(out.shape), out, x, edges, p, known, n_columns, bins, width, rows)
        for known in (None, sums)
    ]
    assert same_bits([got[0]], [got[1]])
    check_tiles("piecewise_gradient", dtype, isa, gradient, x, d, edges, bins, width, rows)
    before = normal(rng, rows, n_columns, dtype=dtype)
    check_rows(
        "piecewise_input_gradient", dtype, isa, before, before + dx, x, d, edges, p, n_columns, bins, width, rows
    )


@every_isa
@every_dtype
def test_what_is_no_number_stays_none_and_in_its_column(dtype, isa):
    rng, rows, n_columns, width = np.random.default_rng(0), 20, 3, 5
    values = normal(rng, rows, n_columns)
    values[7, 1] = np.nan
    x = Slice(values, dtype)
    expected = np.repeat(np.isnan(values), width, axis=1)
    out = Slice(np.zeros(expected.shape), dtype)
    call("periodic", dtype, isa, out, x, normal(rng, n_columns, 7 * 4 + width, dtype=dtype), n_columns, 4, width, rows)
    np.testing.assert_array_equal(np.isnan(out.values), expected)
    edges = piecewise_edges(rng, n_columns, 70, dtype)
    p = normal(rng, n_columns, 72 * width, dtype=dtype)
    call("piecewise", dtype, isa, out, x, edges, p, None, n_columns, 70, width, rows)
    np.testing.assert_array_equal(np.isnan(out.values), expected)
    grad = np.zeros((n_columns, 72 * width), dtype=dtype)
    d = Slice(np.ones(expected.shape), dtype)
    call("piecewise_gradient", dtype, isa, grad, x, d, edges, 70, width, rows, 0, n_columns, False)
    assert np.isnan(grad[1]).any() and not np.isnan(grad[[0, 2]]).any()


@every_dtype
def test_instruction_sets_with_fma_agree_bit_for_bit(dtype):
    rng, rows, n_columns, k, width, bins = np.random.default_rng(0), 100, 20, 19, 5, 40
    x, d = Slice(normal(rng, rows, n_columns), dtype), Slice(normal(rng, rows, n_columns * width), dtype)
    waves = normal(rng, n_columns, (2 + width) * k + width, dtype=dtype)
    lines, edges = normal(rng, n_columns, (2 + bins) * width, dtype=dtype), piecewise_edges(rng, n_columns, bins, dtype)
    codes, offsets, _ = levels(rng, rows, (5, 9, 4), False)
    results = []
    for isa in ISAS:
        if isa == "baseline":
            continue
        out, dx, z = (Slice(np.zeros((rows, n)), dtype) for n in (n_columns * width, n_columns, width))
        grads = [np.zeros_like(waves), np.zeros_like(lines), np.zeros((18, n_columns * width), dtype=dtype)]
        call("periodic", dtype, isa, out, x, waves, n_columns, k, width, rows)
        call("periodic_gradient", dtype, isa, grads[0], x, d, waves, k, width, rows, 0, n_columns, False)
        call("periodic_input_gradient", dtype, isa, dx, x, d, waves, n_columns, k, width, rows)
        results.append([out.values.copy(), dx.values.copy()])
        call("piecewise", dtype, isa, out, x, edges, lines, None, n_columns, bins, width, rows)
        call("piecewise_gradient", dtype, isa, grads[1], x, d, edges, bins, width, rows, 0, n_columns, False)
        call("onehot_add", dtype, isa, z, codes, offsets, 3, grads[1], rows, width)
        call("onehot_gradient", dtype, isa, grads[2], codes, offsets, 3, d, rows, n_columns * width, 0, 18, False)
        results[-1] += [out.values.copy(), z.values.copy(), *grads]
    assert all(same_bits(result, results[0]) for result in results)
