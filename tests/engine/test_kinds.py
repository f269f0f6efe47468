"""The contract of every kind of layer (docs/development.md)."""

from itertools import product

import numpy as np
import pytest
from networks import (
    DTYPES,
    bits,
    bound,
    codes_for,
    copies,
    data_for,
    distance,
    gradients,
    network_for,
    optimizer_for,
    pair,
    parameters,
    same_bits,
    train,
)
from twin import TwinNetwork

from fastmlp.engine import ISAS, Network, Predictor, input_gradients
from fastmlp.engine.architecture import (
    GRU,
    LSTM,
    AveragePool,
    Convolution,
    Dense,
    Embedding,
    Indicators,
    Inputs,
    LayerNorm,
    MaxPool,
    Numbers,
    Parametric,
    Periodic,
    Piecewise,
    Residual,
    Scale,
)
from fastmlp.engine.kernels import DEFAULT_ISA

CLOSE = {np.float32: 5e-5, np.float64: 2e-13}
UNITS = (37, 31, 17, 5)
LEVELS = (3, 1, 40)


def edges_of(n_columns, n_bins):
    """Ascending edges of float32's precision among the data, no two near each other; most columns have fewer bins."""
    bins = np.linspace(-0.5, 0.5, n_bins + 1)
    jitter = np.random.default_rng(n_bins).uniform(-0.3, 0.3, (n_columns, n_bins + 1)) / n_bins
    edges = (bins + jitter).astype(np.float32)
    for column in range(1, n_columns):
        edges[column, max(2, n_bins + 1 - column % 4) :] = np.inf
    return edges


def indicators(levels, columns=None):
    """Constants of float32's precision that differ from level to level."""
    n_levels = sum(levels[c] for c in columns or range(len(levels)))
    on, off = np.random.default_rng(0).standard_normal((2, n_levels)).astype(np.float32)
    return Indicators(on, off, columns)


def every_layer(n):
    """One of each kind that reads the inputs, and the others behind."""
    return [
        Inputs(n, (3, 1, 40, 7)), Periodic(range(n // 2), frequencies=5, width=3), indicators((3, 1, 40, 7), range(2)),
        Numbers(range(n // 2, n)), Embedding(4, range(1, 4)), Piecewise(edges_of(n, 6), width=5),
        Embedding(2, range(2, 3), group="short"), Scale(), Dense(19), Parametric("mish"), Dense(11, "gelu"),
    ]  # fmt: skip


# the layers before the dense ones of a network of n numbers that make a layer be of a kind, beside the instruction
# sets; BLAS serves layers of this size where the portable kernels do
KINDS = {
    "dense": (lambda n: [Inputs(n)], ISAS[:1]),
    "dense by BLAS": (lambda n: [Inputs(n)], ["baseline"]),
    "csr": (lambda n: [Inputs(n)], ISAS),
    "one-hot": (lambda n: [Inputs(n, LEVELS)], ISAS),
    "numbers": (lambda n: [Inputs(n), Numbers(), Numbers(range(n - 1, n))], ISAS),
    "periodic": (lambda n: [Inputs(n), Periodic(frequencies=5, width=3)], ISAS),
    "piecewise": (lambda n: [Inputs(n), Piecewise(edges_of(n, 6), width=5)], ISAS),
    "indicators": (lambda n: [Inputs(n, LEVELS), indicators(LEVELS), Numbers()], ISAS),
    "embedding": (lambda n: [Inputs(n, LEVELS), Numbers(), Embedding(3)], ISAS),
    "scale": (lambda n: [Inputs(n), Scale()], ISAS),
    "parametric": (lambda n: [Inputs(n), Dense(13), Parametric("mish")], ISAS),
    "convolution": (
        lambda n: [
            Inputs(n),
            Convolution((1, 1, n), 5, (1, 3), "relu", padding="same"),
            Convolution((5, 1, n), 4, (1, 2), "gelu", stride=(1, 2)),
        ],
        ISAS,
    ),
    "maxpool": (
        lambda n: [Inputs(n), Convolution((1, 1, n), 6, (1, 3), "tanh"), MaxPool((6, 1, n - 2), (1, 2), (1, 1))],
        ISAS,
    ),
    "averagepool": (
        lambda n: [
            Inputs(n),
            AveragePool((1, 1, n), (1, 2), (1, 1)),
            Convolution((1, 1, n - 1), 3, (1, 2), "tanh"),
            AveragePool((3, 1, n - 2), (1, n - 2)),
        ],
        ISAS,
    ),
    "gru": (lambda n: [Inputs(n), GRU(n, 1, 5, "all"), GRU(n, 5, 6, bidirectional=True)], ISAS),
    "gru of unequal lengths": (lambda n: [Inputs(n), GRU(n - 1, 1, 7, "mean", reverse=True, lengths=True)], ISAS),
    "lstm": (lambda n: [Inputs(n), LSTM(n, 1, 5, "all"), LSTM(n, 5, 6, bidirectional=True)], ISAS),
    "layernorm": (
        lambda n: [
            Inputs(n),
            Convolution((1, 1, n), 6, (1, 3), padding="same"),
            LayerNorm((6, 1, n), "gelu"),
            Dense(21),
            LayerNorm((21,), "relu"),
            LayerNorm((21,)),
        ],
        ISAS,
    ),
    "residual": (
        lambda n: [
            Inputs(n),
            Dense(n, "gelu"),
            Residual((n,), 1, "mish"),
            Dense(n, "tanh"),
            Dense(n, "silu"),
            Residual((n,), 2, "relu"),
            Residual((n,), 4),
        ],
        ISAS,
    ),
    "every layer": (every_layer, ISAS),
}
CASES = [(kind, isa) for kind, (_, isas) in KINDS.items() for isa in isas]

every_kind = pytest.mark.parametrize("kind", KINDS)
every_case = pytest.mark.parametrize("kind, isa", CASES)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)


def layers_of(kind, units=UNITS):
    """The kind's layers and dense ones of these units, the first the number of features."""
    before, _ = KINDS[kind]
    return [*before(units[0]), *(Dense(n, "tanh") for n in units[1:-1]), Dense(units[-1])]


def data_of(kind):
    return {"sparse": np.int32} if kind == "csr" else {}


def of_its_kind(network, kind):
    if kind == "dense by BLAS" and not network.uses_blas:
        pytest.skip("the portable kernels are as wide as BLAS's here")
    return network


def network_of(kind, dtype, n_rows, *, units=UNITS, isa=None, **more):
    isa = isa or KINDS[kind][1][0]
    network = bound(layers_of(kind, units), None, "log_loss", dtype, n_rows, isa=isa, **data_of(kind), **more)
    return of_its_kind(network, kind)


def check_twin(layers, dtype, n_rows, batch_size, isa, *, hyper=None, epochs=2, kind=None, attributes=None, **more):
    """The same losses, parameters, predictions and evaluation as the twin's after some epochs of adam."""
    nets = pair(layers, None, "log_loss", dtype, n_rows, isa=isa, **more)
    of_its_kind(nets[0], kind)
    optimizers = [optimizer_for(net, "adam", hyper) for net in nets]
    for optimizer in optimizers:
        vars(optimizer).update(attributes or {})
    losses = [train(net, optimizer, batch_size, epochs=epochs) for net, optimizer in zip(nets, optimizers, strict=True)]
    np.testing.assert_allclose(*losses, rtol=CLOSE[dtype])
    assert distance(*map(parameters, nets)) < CLOSE[dtype]
    sparse = more.get("sparse")
    X, y, weight = data_for(layers, "log_loss", n_rows, dtype, sparse=sparse, weights=True, seed=9)
    codes = codes_for(layers, n_rows, seed=9)
    np.testing.assert_allclose(*(net.predict(X, codes=codes) for net in nets), rtol=20 * CLOSE[dtype])
    if weight.any():
        np.testing.assert_allclose(*(net.evaluate(X, y, weight, codes=codes) for net in nets), rtol=CLOSE[dtype])


@every_case
@every_dtype
@pytest.mark.parametrize("n_rows", [1, 2, 5, 130])
def test_twin(n_rows, dtype, kind, isa):
    check_twin(layers_of(kind), dtype, n_rows, 40, isa, kind=kind, weights=n_rows > 5, **data_of(kind))


HYPER = {"beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-6, "weight_decay": 0.3}
FACTORS = {
    "weights": {"rate": 0.5, "decay": 0.0},
    "biases": {"rate": 0.1, "penalised": True},
    "scales": {"rate": 2.0, "decay": 0.5},
    "activations": {"rate": 0.3, "penalised": True},
    "embeddings": {"rate": 0.7, "decay": 2.0, "penalised": False},
    "short": {"rate": 0.0, "decay": 1.0},
    "numeric embeddings": {"rate": 0.2, "decay": 0.5},
}


@every_case
@every_dtype
@pytest.mark.parametrize("limit", [{}, {"clip_norm": 0.05}, {"clip_value": 0.01}, {"max_norm": 0.7}], ids=str)
def test_groups_limits_and_dropout(limit, dtype, kind, isa):
    layers = layers_of(kind)
    rates = [0.0 if kind == "csr" else 0.1, *(0.0 if layer.beside else 0.25 for layer in layers[1:-1])]
    groups = {name: values for name, values in FACTORS.items() if name in Network(layers, None, "hinge", dtype).groups}
    check_twin(
        layers, dtype, 75, 32, isa, kind=kind, hyper=HYPER | limit, attributes={"groups": groups}, weights=True,
        dropout=rates, **data_of(kind),
    )  # fmt: skip


@every_case
@every_dtype
def test_batches_in_chunks(dtype, kind, isa):
    layers = layers_of(kind, (6, 9, 3))
    hyper = HYPER | {"clip_norm": 0.05}
    check_twin(layers, dtype, 1500, 1300, isa, hyper=hyper, epochs=1, weights=True, **data_of(kind))


@every_case
@every_dtype
def test_groups_of_rows(dtype, kind, isa):
    layers = layers_of(kind, (20, 60, 10))
    check_twin(layers, dtype, 400, 400, isa, epochs=1, weights=True, **data_of(kind))


SIZES = {
    "categories alone": [Inputs(0, (5, 300)), Dense(9, "relu"), Dense(3)],
    "embedded categories alone": [Inputs(0, (5, 300)), Embedding(7), Dense(3)],
    "categories alone as indicators": [Inputs(0, (5, 17)), indicators((5, 17)), Dense(9, "relu"), Dense(3)],
    "one category of one level": [Inputs(1, (1,)), Dense(1, "tanh"), Dense(2)],
    "one embedded category of one level": [Inputs(0, (1,)), Embedding(1), Dense(2)],
    "one indicator": [Inputs(0, (1,)), indicators((1,)), Dense(2)],
    "3000 levels": [Inputs(3, (2, 3000)), Dense(11, "relu"), Dense(3)],
    "3000 embedded levels": [Inputs(0, (3000, 2)), Embedding(17), Dense(3)],
    "no hidden layer": [Inputs(4, (3, 2)), Dense(3)],
    "scale, no hidden layer": [Inputs(1), Scale(), Dense(2)],
    "scales": [Inputs(33), Scale(), Scale(group="other"), Dense(1, "tanh"), Scale(), Dense(2)],
    "parametric, unit of one": [Inputs(3), Dense(1), Parametric("silu"), Dense(2)],
    "64 frequencies": [Inputs(2), Periodic(frequencies=64, width=64), Dense(2)],
    "65 frequencies": [Inputs(3), Periodic(frequencies=65, width=65), Dense(2)],
    "300 frequencies, one wide": [Inputs(1), Periodic(frequencies=300, width=1), Dense(2)],
    "one frequency": [Inputs(37), Periodic(frequencies=1, width=1), Dense(2)],
    "64 bins": [Inputs(3), Piecewise(edges_of(3, 64), width=16), Dense(2)],
    "65 bins": [Inputs(3), Piecewise(edges_of(3, 65), width=17), Dense(2)],
    "200 bins": [Inputs(2), Piecewise(edges_of(2, 200), width=33), Dense(2)],
    "one bin": [Inputs(37), Piecewise(edges_of(37, 1), width=1), Dense(2)],
    "one column each": [
        Inputs(3), Piecewise(edges_of(1, 3), range(2, 3), 2), Periodic(range(1, 2), 3, 2), Numbers(range(1)), Dense(2)
    ],
    "planes": [Inputs(98), Convolution((2, 7, 7), 3, (3, 3), "tanh"), Dense(2)],
    "padded": [Inputs(98), Convolution((2, 7, 7), 3, (3, 3), "tanh", padding="same"), Dense(2)],
    "an even window, padded": [Inputs(42), Convolution((1, 6, 7), 3, (4, 2), "gelu", padding="same"), Dense(2)],
    "padded unevenly": [Inputs(42), Convolution((1, 6, 7), 3, (3, 2), padding=(2, 0, 1, 3)), Dense(2)],
    "strides": [Inputs(99), Convolution((1, 9, 11), 4, (3, 3), "relu", stride=(2, 3), padding="same"), Dense(2)],
    "dilated": [Inputs(99), Convolution((1, 9, 11), 4, (3, 2), "mish", dilation=(2, 3), padding="same"), Dense(2)],
    "a window as large as the plane": [Inputs(60), Convolution((3, 4, 5), 7, (4, 5), "tanh"), Dense(2)],
    "a window larger than the plane": [Inputs(6), Convolution((1, 2, 3), 2, (5, 4), padding="same"), Dense(2)],
    "single elements": [Inputs(60), Convolution((3, 4, 5), 17, (1, 1), "tanh"), Convolution((17, 4, 5), 3, (1, 1)),
                        Dense(2)],
    "groups": [Inputs(96), Convolution((6, 4, 4), 9, (3, 3), "tanh", groups=3, padding="same"), Dense(2)],
    "depthwise, then pointwise": [
        Inputs(80), Convolution((5, 4, 4), 10, (3, 3), "relu", groups=5, padding="same"),
        Convolution((10, 4, 4), 8, (1, 1), "tanh"), Dense(2)
    ],
    "pointwise in groups": [Inputs(96), Convolution((6, 4, 4), 9, (1, 1), groups=3), Dense(2)],
    "more elements than a panel": [Inputs(4800), Convolution((48, 10, 10), 3, (5, 5)), Dense(2)],
    "several panels": [Inputs(900), Convolution((1, 30, 30), 3, (5, 5), "tanh"), Dense(2)],
    "one channel, one place": [Inputs(1), Convolution((1, 1, 1), 1, (1, 1)), Dense(2)],
    "pools that overlap": [Inputs(99), MaxPool((1, 9, 11), (3, 2), (2, 1)), AveragePool((1, 4, 10), (2, 3), (1, 2)),
                           Dense(2)],
    "pools that leave columns out": [Inputs(99), AveragePool((1, 9, 11), (2, 3)), MaxPool((1, 4, 3), (3, 2)), Dense(2)],
    "a convolution behind dense units": [
        Inputs(5), Dense(36, "tanh"), Convolution((4, 3, 3), 5, (2, 2), "silu"), MaxPool((5, 2, 2), (2, 2)), Dense(2)
    ],
    "a convolution behind a scale": [Inputs(36), Scale(), Convolution((4, 3, 3), 5, (2, 2), "gelu"), Dense(2)],
    "a convolution of embeddings": [Inputs(0, (3, 4)), Embedding(6), Convolution((2, 2, 3), 2, (2, 2)), Dense(2)],
    "one unit, one step, one channel": [Inputs(1), GRU(1, 1, 1), LSTM(1, 1, 1), Dense(2)],
    "one unit": [Inputs(14), GRU(7, 2, 1, "all"), LSTM(7, 1, 1, "mean", reverse=True), Dense(2)],
    "one step": [Inputs(9), LSTM(1, 9, 17, "all"), GRU(1, 17, 5, bidirectional=True), Dense(2)],
    "a vector, and more": [Inputs(30), GRU(10, 3, 16, "all", bidirectional=True), LSTM(10, 32, 33), Dense(2)],
    "rows of weights on the same sets of a cache": [Inputs(18), LSTM(6, 3, 64, "all"), GRU(6, 64, 43), Dense(2)],
    "lengths of the inputs behind others": [
        Inputs(16), LSTM(5, 3, 9, "all", lengths=True), LayerNorm((9, 1, 5)), GRU(5, 9, 4, lengths="inputs"), Dense(2)
    ],
    "lengths": [Inputs(26), LSTM(5, 5, 9, "all", bidirectional=True, lengths=True), GRU(5, 18, 4, "mean"), Dense(2)],
    "recurrence behind a convolution": [
        Inputs(20), Convolution((2, 1, 10), 4, (1, 3), "relu"), GRU(8, 4, 6, "mean", bidirectional=True), Dense(2)
    ],
    "recurrence behind dense units": [Inputs(5), Dense(12, "mish"), LSTM(4, 3, 5, reverse=True), Dense(2)],
    "one unit, normalised": [Inputs(3), Dense(1), LayerNorm((1,)), Dense(2)],
    "inputs, normalised": [Inputs(33), LayerNorm((33,), "tanh", 1e-3), Dense(2)],
    "planes, normalised": [Inputs(60), LayerNorm((3, 4, 5)), Convolution((3, 4, 5), 9, (3, 3)),
                           LayerNorm((9, 2, 3), "silu"), LayerNorm((9, 2, 3)), Dense(2)],
    "planes of a place, normalised": [Inputs(37), LayerNorm((37, 1, 1)), Dense(2)],
    "one plane, normalised": [Inputs(35), LayerNorm((1, 5, 7)), Dense(2)],
    "a residual block": [
        Inputs(48), Convolution((3, 4, 4), 5, (3, 3), "relu", padding="same"),
        Convolution((5, 4, 4), 5, (3, 3), "relu", padding="same"), LayerNorm((5, 4, 4), "gelu"),
        Convolution((5, 4, 4), 5, (3, 3), padding="same"), Residual((5, 4, 4), 3, "relu"), MaxPool((5, 4, 4), (2, 2)),
        Dense(2),
    ],
    "one output added twice": [
        Inputs(9), Dense(17, "mish"), Dense(17, "tanh"), Residual((17,), 1), Dense(17, "gelu"), Residual((17,), 3),
        Dense(2),
    ],
    "inputs added twice": [
        Inputs(9), Dense(9, "mish"), Residual((9,), 1), Dense(9, "tanh"), Residual((9,), 3, "silu"), Dense(2)
    ],
    "embeddings and numbers added": [
        Inputs(3, (4, 5)), Numbers(), Embedding(5), Dense(13, "tanh"), Residual((13,), 1), Dense(2)
    ],
    "numbers added to what embeddings give": [
        Inputs(3, (4, 5)), Embedding(5), Periodic(frequencies=4, width=2), Dense(3, "tanh"), Residual((3,), 2), Dense(2)
    ],
    "numbers added where categories are one-hot": [Inputs(3, (4, 5)), Dense(3, "tanh"), Residual((3,), 1), Dense(2)],
    "parametric activations added": [
        Inputs(5), Dense(7), Parametric("mish"), Dense(7), Parametric("silu"), Residual((7,), 2), Dense(2)
    ],
    "what parametric activations read, added": [
        Inputs(5), Dense(7), Parametric("mish"), Residual((7,), 1), Dense(7), Parametric("silu"), Residual((7,), 3),
        Dense(2),
    ],
    "pools and recurrent states added": [
        Inputs(24), GRU(4, 6, 6, "all"), Residual((24,), 1), MaxPool((6, 1, 4), (1, 1)), Residual((6, 1, 4), 2),
        Dense(2),
    ],
    # parameters of a tile, an element less, an element more
    "tile": [Inputs(0, (4096,)), Embedding(1), Dense(2)],
    "tile - 1": [Inputs(0, (4095,)), Embedding(1), Dense(2)],
    "tile + 1": [Inputs(0, (4097,)), Embedding(1), Dense(2)],
    "many tiles of columns": [Inputs(210), Periodic(frequencies=16, width=3), Dense(2)],
}  # fmt: skip


@pytest.mark.parametrize("isa", ISAS)
@every_dtype
@pytest.mark.parametrize("sizes", SIZES)
def test_sizes(sizes, dtype, isa):
    check_twin(SIZES[sizes], dtype, 37, 16, isa, epochs=1)


@pytest.mark.parametrize("isa", ISAS)
@every_dtype
@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33])
def test_odd_sizes(n, dtype, isa):
    layers = [
        Inputs(2, (n, 2)), Periodic(frequencies=n, width=n), Piecewise(edges_of(2, n), width=n), Embedding(n), Scale(),
        Dense(n), Parametric("gelu"), Dense(2 * n, "tanh"), Convolution((2, 1, n), n, (1, 3), "relu", padding="same"),
        LayerNorm((n, 1, n)), Dense(n, "relu"), LayerNorm((n,)), Residual((n,), 1), Dense(n + 1),
    ]  # fmt: skip
    check_twin(layers, dtype, n + 1, n, isa, epochs=1)


@every_dtype
def test_the_last_bins_and_rows_without_a_level(dtype):
    """Numbers below all edges, at each of them and above; rows that have no level at all."""
    edges = np.array([[-1, 0, 0.5, 2], [-2, 1, np.inf, np.inf]], dtype=np.float32)
    layers = [Inputs(2, (3, 2)), Piecewise(edges, width=2), Embedding(2), indicators((3, 2)), Dense(2)]
    nets = [network_for(layers, None, "squared_error", dtype, kind=kind) for kind in (Network, TwinNetwork)]
    X = np.stack(np.meshgrid([-5, -1, -0.5, 0, 0.25, 0.5, 1, 2, 7], [-3, -2, 0, 1, 4]), axis=-1).reshape(-1, 2)
    codes = np.full((len(X), 2), -1, dtype=np.int32)
    for net in nets:
        net.bind(X.astype(dtype), np.ones((len(X), 2), dtype=dtype), codes=codes)
    np.testing.assert_allclose(*(net.predict(X, codes=codes) for net in nets), rtol=CLOSE[dtype], atol=CLOSE[dtype])
    slopes = [gradients(net) for net in nets]
    assert distance(*slopes) < CLOSE[dtype]
    of_embeddings = dict(zip((name for name, _, _ in nets[0].parameters), slopes[0], strict=True))["embeddings.0"]
    assert not of_embeddings.any()
    codes = np.array([[-1, -7], [0, -(2**31)], [2, 1]], dtype=np.int32)
    np.testing.assert_allclose(*(net.predict(X[:3], codes=codes) for net in nets), rtol=10 * CLOSE[dtype])


@every_kind
def test_finite_differences(kind):
    network = network_of(kind, np.float64, 30, n_threads=1)
    slopes, rng, step = gradients(network, 0.1), np.random.default_rng(0), 1e-6
    for (_, array, _), gradient in zip(network.parameters, slopes, strict=True):
        flat, gradient = array.reshape(-1), gradient.reshape(-1)
        for i in rng.choice(flat.size, size=min(5, flat.size), replace=False):
            value, losses = flat[i], []
            for sign in (1, -1):
                flat[i] = value + sign * step
                losses.append(network.loss_and_grad(alpha=0.1)[0])
            flat[i] = value
            assert (losses[0] - losses[1]) / (2 * step) == pytest.approx(gradient[i], rel=1e-5, abs=1e-9)


@every_kind
def test_the_gradient_is_that_of_a_step(kind):
    network = network_of(kind, np.float64, 60)
    _, coef_grads, intercept_grads = network.loss_and_grad(alpha=0.1)
    coef_grads, intercept_grads = copies(coef_grads), copies(intercept_grads)
    names = [name for name, _, _ in network.parameters]
    of_step = dict(zip(names, gradients(network, 0.1), strict=True))
    for name, expected in (("coefs", coef_grads), ("intercepts", intercept_grads)):
        assert same_bits([of_step[f"{name}.{i}"] for i in range(len(expected))], expected)


@every_case
@every_dtype
def test_rows_do_not_depend_on_each_other(dtype, kind, isa):
    networks = [network_of(kind, dtype, 1, isa=isa, n_threads=n_threads) for n_threads in (1, 2, 3)]
    layers = layers_of(kind)
    X, codes = data_for(layers, "log_loss", 700, dtype, **data_of(kind))[0], codes_for(layers, 700)
    together = networks[0].predict(X, codes=codes)
    for rows in (None, [3], [69, 0], [5, 5, 41], range(17, 50), range(699, -1, -1)):
        rows = rows if rows is None else np.array(rows, dtype=np.intp)
        for network in networks:
            alone = network.predict(X, rows, codes=codes)
            expected = together if rows is None else together[rows]
            if network.uses_blas:  # which may add in another order
                np.testing.assert_allclose(alone, expected, rtol=CLOSE[dtype])
            else:
                assert np.array_equal(bits(alone), bits(expected))


@every_case
@every_dtype
@pytest.mark.parametrize("units, batch_size", [(UNITS, 64), ((64, 100, 10), 200), ((30, 40, 3), 1300)], ids=str)
def test_no_sum_is_divided_by_worker(units, batch_size, dtype, kind, isa):
    reached = []
    for n_threads in (1, 2, 3):
        network = network_of(kind, dtype, 1400, units=units, n_threads=n_threads, isa=isa)
        optimizer = optimizer_for(network, "adam")
        losses = train(network, optimizer, batch_size, epochs=1)
        reached.append([np.array(losses), *parameters(network), *optimizer.state])
    assert all(same_bits(arrays, reached[0]) for arrays in reached)


@every_case
@every_dtype
def test_gradients_with_respect_to_the_numbers(dtype, kind, isa):
    """At edges too, where the slope is that of the bin behind."""
    layers = layers_of(kind)
    network, expected = pair(layers, None, "log_loss", dtype, 1, isa=isa, **data_of(kind))
    of_its_kind(network, kind)
    arrays = [array for _, array, _ in network.parameters]
    predictor = Predictor.of(layers, arrays, "softmax", isa=isa)
    X, codes = data_for(layers, "log_loss", 150, dtype, **data_of(kind))[0], codes_for(layers, 150)
    if kind == "piecewise":
        X[:7] = edges_of(UNITS[0], 6).T
        X[~np.isfinite(X)] = 0
    theirs = expected.input_gradients(X, codes=codes)
    reached = [input_gradients(predictor, X, codes=codes, n_threads=n_threads) for n_threads in (1, 2, 3)]
    assert distance(reached[:1], [theirs]) < CLOSE[dtype]
    if not network.uses_blas:
        assert all(same_bits([one], reached[:1]) for one in reached)
    np.testing.assert_allclose(input_gradients(predictor, X, 2, codes=codes), theirs[:, 2], atol=20 * CLOSE[dtype])
    rows = np.array([5, 0, 149], dtype=np.intp)
    np.testing.assert_allclose(
        predictor(X, rows, codes=codes), expected.predict(X, rows, codes=codes), rtol=20 * CLOSE[dtype]
    )


def test_finite_differences_by_the_numbers():
    """Of the twin, whose slopes the engine's are compared with."""
    layers, step = layers_of("every layer"), 1e-6
    expected = network_for(layers, None, "log_loss", np.float64, kind=TwinNetwork)
    X, codes = data_for(layers, "log_loss", 4, np.float64)[0], codes_for(layers, 4)
    slopes = expected.input_gradients(X, codes=codes)
    for column in range(X.shape[1]):
        ends = []
        for sign in (1, -1):
            moved = X.copy()
            moved[:, column] += sign * step
            ends.append(expected.predict(moved, codes=codes))
        np.testing.assert_allclose((ends[0] - ends[1]) / (2 * step), slopes[:, :, column], rtol=1e-5, atol=1e-8)


@pytest.mark.skipif(len(ISAS) < 3, reason="one instruction set besides the portable kernels")
@every_kind
@every_dtype
@pytest.mark.parametrize("units, batch_size", [(UNITS, 64), ((64, 100, 10), 200)], ids=str)
def test_instruction_sets_agree(units, batch_size, dtype, kind):
    isas, reached = [isa for isa in KINDS[kind][1] if isa != "baseline"], []
    for isa in isas:
        network = network_of(kind, dtype, 230, units=units, isa=isa)
        losses = train(network, optimizer_for(network, "adam"), batch_size)
        reached.append([np.array(losses), *parameters(network)])
    assert all(same_bits(arrays, reached[0]) for arrays in reached)


@every_case
@every_dtype
@pytest.mark.parametrize("batch_size", [64, 256])
def test_shards(batch_size, dtype, kind, isa):
    layers = layers_of(kind, (64, 100, 10))
    rates = [0.0, *(0.0 if layer.beside else 0.25 for layer in layers[1:-1])]
    data = [*data_for(layers, "log_loss", 600, dtype, weights=True, **data_of(kind)), codes_for(layers, 600)]
    reached = []
    for ends in ([600], [256, 600], [256, 512, 600]):
        network = network_for(layers, None, "log_loss", dtype, isa=isa, dropout=rates)
        optimizer, losses = optimizer_for(network, "adam"), []
        for _ in range(2):
            for start, stop in zip([0, *ends], ends, strict=False):
                X, y, weight, codes = (None if part is None else part[start:stop] for part in data)
                network.bind(X, y, weight, codes=codes)
                loss = network.epoch(None, batch_size, optimizer, 0.01, first_row=start, more=stop < 600)
            losses.append(loss)
        reached.append([np.array(losses), *parameters(network), *optimizer.state])
    assert all(same_bits(arrays, reached[0]) for arrays in reached)


@every_kind
@every_dtype
def test_an_order_of_rows_is_that_of_the_rows_themselves(dtype, kind):
    """And numbers of the other precision are those cast to this one."""
    layers, other = layers_of(kind), np.float64 if dtype == np.float32 else np.float32
    X, y, _ = data_for(layers, "log_loss", 60, np.float32, **data_of(kind))
    codes, rows, reached = codes_for(layers, 60), np.random.default_rng(0).permutation(60), []
    for x_dtype, order in product((dtype, other), (rows, None)):
        network = of_its_kind(network_for(layers, None, "log_loss", dtype, isa=KINDS[kind][1][0]), kind)
        gathered = slice(None) if order is not None else rows
        network.bind(X[gathered].astype(x_dtype), y[gathered], codes=None if codes is None else codes[gathered])
        losses = train(network, optimizer_for(network, "adam"), 32, rows=order)
        reached.append([np.array(losses), *parameters(network)])
    assert all(same_bits(arrays, reached[0]) for arrays in reached)


def skip_with_blas(network):
    """Layers of some hundred weights are BLAS's where the portable kernels alone serve, and nowhere else."""
    if DEFAULT_ISA == "baseline" and network.uses_blas:
        pytest.skip("BLAS adds in another order for another shape")


@every_dtype
@pytest.mark.parametrize("kind", ["dense", "csr"])
def test_gradients_are_those_of_any_division_into_tiles(kind, dtype):
    """Features whose weights are 0 change no delta, and so no gradient of the others, but the tiles."""
    few, many, n_rows = 9, 1500, 20
    reached = []
    X, y, _ = data_for((many, 37, 4), "log_loss", n_rows, dtype, **data_of(kind))
    for n_features in (few, many):
        network = bound((n_features, 37, 4), "tanh", "log_loss", dtype, 5)
        for array in network.coefs + network.intercepts:
            array[:] = np.random.default_rng(array.shape[-1]).standard_normal((few, array.shape[-1]))[0] / 8
        network.coefs[0][few:] = 0
        network.bind(X if n_features == many else X[:, :few].copy(), y)
        reached.append([network.loss_and_grad()[1][0][:few].copy()])
        skip_with_blas(network)
        assert network.row_groups == 1
    assert same_bits(*reached)
    assert np.abs(reached[0][0]).max() > 0


# layers of `few` columns or levels behind others that play no part, which move them to another place in the tiles
MOVED = {
    "one-hot": lambda n: [Inputs(2, (n,)), Dense(9, "tanh"), Dense(3)],
    "embedding": lambda n: [Inputs(0, (n,)), Embedding(9), Dense(9, "tanh"), Dense(3)],
    "periodic": lambda n: [Inputs(n), Periodic(frequencies=16, width=3), Dense(9, "tanh"), Dense(3)],
    "piecewise": lambda n: [
        Inputs(n), Piecewise(edges_of(1, 6).repeat(n, axis=0), width=5), Dense(9, "tanh"), Dense(3),
    ],
}  # fmt: skip


@every_dtype
@pytest.mark.parametrize("kind", MOVED)
@pytest.mark.parametrize("many", [200, 1500, 1501])
def test_gradients_are_those_of_any_place_in_the_tiles(many, kind, dtype):
    few, n_rows, reached = 7, 12, []
    layers, head = MOVED[kind](few), 2 if kind == "one-hot" else 0
    X, y, _ = data_for(layers, "log_loss", n_rows, dtype)
    codes = codes_for(layers, n_rows)
    start = [array for _, array, _ in network_for(layers, None, "log_loss", dtype).parameters]
    for n in (few, many):
        network, moved = Network(MOVED[kind](n), None, "log_loss", dtype), n - few
        for (_, array, _), values in zip(network.parameters, start, strict=True):
            array[:head] = values[:head]
            array[head + len(array) - len(values) :] = values[head:]
        numbers = X if codes is not None else np.hstack([np.ones((n_rows, moved), dtype), X])
        network.bind(numbers, y, codes=codes if codes is None else np.where(codes < 0, -1, codes + np.int32(moved)))
        tails = [slope[len(slope) - len(part) + head :] for slope, part in zip(gradients(network), start, strict=True)]
        reached.append(copies(tails))
        skip_with_blas(network)
        assert network.row_groups == 1
    assert same_bits(*reached)
    assert all(np.abs(slope).max() > 0 for slope in reached[0])


# ---- numbers that are none, and very large and small ones ----


@every_case
@every_dtype
def test_nan_shows_in_its_row_alone(dtype, kind, isa):
    network, layers = network_of(kind, dtype, 1, isa=isa), layers_of(kind)
    X, y, _ = data_for(layers, "log_loss", 40, dtype, **data_of(kind))
    codes = codes_for(layers, 40)
    before = network.predict(X, codes=codes)
    X = X.copy()
    row = 17
    if kind == "csr":
        X.data[X.indptr[row]] = np.nan
    else:
        X[row, -1] = np.nan
    after = network.predict(X, codes=codes)
    assert np.isnan(after[row]).all()
    others = np.arange(40) != row
    assert same_bits([after[others]], [before[others]])
    network.bind(X, y, codes=codes)
    assert np.isnan(network.epoch(None, 16, optimizer_for(network, "adam"), 0.1))


@every_case
@every_dtype
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinity_is_that_of_the_formula(value, dtype, kind, isa):
    layers = layers_of(kind)
    nets = pair(layers, None, "squared_error", dtype, 1, isa=isa, **data_of(kind))
    X, codes = data_for(layers, "squared_error", 3, dtype, **data_of(kind))[0], codes_for(layers, 3)
    if kind == "csr":
        X.data[-1] = value
    else:
        X[1, 0] = X[2, -1] = value
    with np.errstate(invalid="ignore"):
        reached = [net.predict(X, codes=codes) for net in nets]
    np.testing.assert_allclose(*reached, rtol=20 * CLOSE[dtype])
    if kind in ("periodic", "every layer"):
        assert np.isnan(reached[0][1]).all()


@every_case
@every_dtype
@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_very_large_and_small_numbers_train(size, dtype, kind, isa):
    network, layers = network_of(kind, dtype, 1, isa=isa), layers_of(kind)
    X, y, _ = data_for(layers, "log_loss", 40, dtype, **data_of(kind))
    network.bind((X * dtype(size)).astype(dtype), y, codes=codes_for(layers, 40))
    losses = train(network, optimizer_for(network, "adam"), 16)
    assert np.isfinite(losses).all()
    assert all(np.isfinite(array).all() for array in parameters(network))


# ---- PyTorch ----


def test_steps_of_pytorch():
    """Embedding, periodic embedding, scale, parametric mish and dense layers in float64 from the same start."""
    torch = pytest.importorskip("torch")
    n, levels, k, width, n_rows = 3, (4, 6), 5, 2, 40
    layers = [
        Inputs(n, levels), Periodic(frequencies=k, width=width), Embedding(3), Scale(), Dense(8), Parametric("mish"),
        Dense(3),
    ]  # fmt: skip
    network = bound(layers, None, "log_loss", np.float64, n_rows)
    X, y, _ = data_for(layers, "log_loss", n_rows, np.float64)
    X, y, codes = torch.tensor(X), torch.tensor(y), torch.tensor(codes_for(layers, n_rows)).long()
    tensors = [torch.tensor(array.copy(), requires_grad=True) for _, array, _ in network.parameters]
    periodic, embeddings, scales, coefs, intercepts, shares, last_coefs, last_intercepts = tensors
    theirs = torch.optim.Adam(tensors, 0.01, (0.9, 0.999), 1e-8)
    # of a negative code the vector is that of a level more, which is 0
    starts = torch.tensor([0, levels[0]])
    for _ in range(10):
        w, b, V, c = torch.split(periodic, [k, k, k * width, width], dim=1)
        cosines = torch.cos(2 * torch.pi * w * X[:, :, None] + b)
        numbers = torch.einsum("njf,jmf->njm", cosines, V.reshape(n, width, k)) + c
        rows = torch.where(codes < 0, sum(levels), codes + starts)
        vectors = torch.nn.functional.embedding(rows, torch.cat([embeddings, torch.zeros(1, 3).double()]))
        z = (torch.cat([numbers.reshape(n_rows, -1), vectors.reshape(n_rows, -1)], dim=1) * scales) @ coefs + intercepts
        hidden = z + shares * (torch.nn.functional.mish(z) - z)
        loss = torch.nn.functional.cross_entropy(hidden @ last_coefs + last_intercepts, y)
        theirs.zero_grad()
        loss.backward()
        theirs.step()
    # Kingma and Ba's epsilon stands inside the bias correction in PyTorch, as in adamw
    hyper = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8, "weight_decay": 0.0}
    losses = train(network, optimizer_for(network, "adamw", hyper), n_rows, epochs=10, alpha=0.0)
    assert losses[-1] == pytest.approx(float(loss.detach()), rel=1e-12)
    for (_, array, _), tensor in zip(network.parameters, tensors, strict=True):
        np.testing.assert_allclose(array, tensor.detach().numpy(), rtol=1e-10, atol=1e-12)


def test_normalisation_of_pytorch():
    """LayerNorm of dense units and GroupNorm of planes, a residual connection, and their gradients, in float64."""
    torch = pytest.importorskip("torch")
    layers = [
        Inputs(48), LayerNorm((3, 4, 4), "tanh"), Residual((48,), 1), Dense(9), LayerNorm((9,), epsilon=1e-3), Dense(3)
    ]  # fmt: skip
    network = bound(layers, None, "log_loss", np.float64, 20)
    X, y, _ = data_for(layers, "log_loss", 20, np.float64)
    tensors = [torch.tensor(array.copy(), requires_grad=True) for _, array, _ in network.parameters]
    factors, shifts, W, b, own_factors, own_shifts, last_W, last_b = tensors
    x = torch.tensor(X)
    normal = torch.nn.functional.group_norm(x.reshape(20, 3, 4, 4), 1, factors, shifts).tanh().reshape(20, -1)
    hidden = torch.nn.functional.layer_norm((normal + x) @ W + b, (9,), own_factors, own_shifts, 1e-3)
    torch.nn.functional.cross_entropy(hidden @ last_W + last_b, torch.tensor(y)).backward()
    assert distance(gradients(network), [tensor.grad.numpy() for tensor in tensors]) < 1e-12


# ---- data ----

TABLE = [Inputs(2, (3, 5)), Numbers(), Embedding(2), Dense(3)]


def table_network(dtype=np.float64):
    return bound(TABLE, None, "log_loss", dtype, 20)


CODES = codes_for(TABLE, 20)
ABOVE = CODES.copy()
ABOVE[7, 1] = 5


@pytest.mark.parametrize(
    "codes, match",
    [
        (None, "codes: 0 categories, the network has 2"),
        (CODES.astype(np.int64), r"codes: shape \(20, n_codes\) of int32"),
        (CODES.astype(np.float32), r"codes: shape \(20, n_codes\) of int32"),
        (CODES[:-1], r"codes: shape \(20, n_codes\) of int32"),
        (CODES[:, 0].copy(), r"codes: shape \(20, n_codes\) of int32"),
        (CODES[:, :1].copy(), "codes: 1 categories, the network has 2"),
        (np.hstack([CODES, CODES]), "codes: 4 categories, the network has 2"),
        (ABOVE, r"codes\[7, 1\]=5: below 5, the number of levels"),
        (np.asfortranarray(CODES), "C-contiguous"),
        (CODES[::-1], "C-contiguous"),
        (np.repeat(CODES, 2, axis=1)[:, ::2], "C-contiguous"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_codes_that_do_not_fit(codes, match):
    X, y, _ = data_for(TABLE, "log_loss", 20, np.float64)
    reached = []
    for refused in (False, True):
        network = table_network()
        if refused:
            for call in (network.bind, network.evaluate):
                with pytest.raises(ValueError, match=match):
                    call(X, y, codes=codes)
            with pytest.raises(ValueError, match=match):
                network.predict(X, codes=codes)
        reached.append([np.array(train(network, optimizer_for(network, "adam"), 8)), *parameters(network)])
    assert same_bits(*reached)


def test_x_that_does_not_fit():
    X, y, _ = data_for(TABLE, "log_loss", 20, np.float64)
    network = table_network()
    before = train(table_network(), optimizer_for(network, "adam"), 8)
    for other, match in [
        (np.asfortranarray(X), "C-contiguous"),
        (np.hstack([X, X])[:, ::2], "C-contiguous"),
        (X[:, :1].copy(), "X has 1 features, the network 2"),
        (X.astype(np.int64), "X: a two-dimensional array of float32 or float64"),
    ]:
        with pytest.raises(ValueError, match=match):
            network.bind(other, y, codes=CODES)
        with pytest.raises(ValueError, match=match):
            network.predict(other, codes=CODES)
    assert train(network, optimizer_for(network, "adam"), 8) == before


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.startswith(("dense", "csr", "parametric"))])
def test_csr_is_for_dense_layers(kind):
    layers = layers_of(kind)
    X, y, _ = data_for(layers, "log_loss", 20, np.float64, sparse=np.int32)
    network, codes = network_of(kind, np.float64, 20), codes_for(layers, 20)
    before = train(network_of(kind, np.float64, 20), optimizer_for(network, "adam"), 8)
    for given in (None, codes):
        with pytest.raises(
            ValueError, match="X: dense, for these layers|X: dense, for a resid|codes: .* beside dense X"
        ):
            network.bind(X, y, codes=given)
        with pytest.raises(
            ValueError, match="X: dense, for these layers|X: dense, for a resid|codes: .* beside dense X"
        ):
            network.predict(X, codes=given)
    assert train(network, optimizer_for(network, "adam"), 8) == before


def test_a_network_without_categories_takes_no_codes():
    network = bound((4, 3, 2), "tanh", "log_loss", np.float64, 20)
    with pytest.raises(ValueError, match="codes: 2 categories, the network has 0"):
        network.predict(data_for((4, 2), "log_loss", 20, np.float64)[0], codes=CODES)


def test_arrays_may_be_read_only():
    X, y, _ = data_for(TABLE, "log_loss", 20, np.float64)
    codes, reached = CODES.copy(), []
    for read_only in (False, True):
        for array in (X, y, codes):
            array.flags.writeable = not read_only
        network = network_for(TABLE, None, "log_loss", np.float64)
        network.bind(X, y, codes=codes)
        losses = train(network, optimizer_for(network, "adam"), 8)
        reached.append([np.array(losses), network.predict(X, codes=codes), *parameters(network)])
    assert same_bits(*reached)


# ---- layers ----


def test_parameters_are_listed_with_their_groups():
    layers = [
        Inputs(3, (4, 2)), Periodic(frequencies=4, width=2), Embedding(5), Embedding(1, range(1), "short"),
        Piecewise(edges_of(3, 6), width=2), Numbers(), indicators((4, 2)), Scale(), Dense(7, weights="first"),
        Parametric("mish"), Dense(2),
    ]  # fmt: skip
    found = [(name, array.shape, group) for name, array, group in Network(layers, None, "log_loss", "f4").parameters]
    assert found == [
        ("periodic.0", (3, 18), "numeric embeddings"),
        ("embeddings.0", (6, 5), "embeddings"),
        ("embeddings.1", (4, 1), "short"),
        ("piecewise.0", (3, 16), "numeric embeddings"),
        ("scales.0", (6 + 10 + 1 + 6 + 3 + 6,), "scales"),
        ("coefs.0", (32, 7), "first"),
        ("intercepts.0", (7,), "biases"),
        ("activations.0", (7,), "activations"),
        ("coefs.1", (7, 2), "weights"),
        ("intercepts.1", (2,), "biases"),
    ]
    assert all(not array.any() for _, array, _ in Network(layers, None, "log_loss", "f4").parameters)
    expected = TwinNetwork(layers, None, "log_loss", "f4")
    assert found == [(name, array.shape, group) for name, array, group in expected.parameters]
    network = Network(layers, None, "log_loss", "f4")
    assert set(network.groups) == set(expected.groups)
    assert network.n_params == expected.n_params == sum(array.size for _, array, _ in network.parameters)
    assert network.layer_units == expected.layer_units == (3, 32, 32, 7, 7, 2)


def layers_like(*layers, inputs=None):
    return [inputs or Inputs(2, (3,)), *layers, Dense(2)]


@pytest.mark.parametrize(
    "layers, match",
    [
        ([Inputs(2)], "layers: the last is Dense, with the activation 'identity'"),
        ([Inputs(2), Scale()], "the last is Dense"),
        ([Inputs(2), Dense(2, "tanh")], "the last is Dense"),
        ([Inputs(2), Dense(2), Parametric("mish")], "the last is Dense"),
        ([Inputs(2), Inputs(3), Dense(2)], r"layers: Inputs\(n_features=3, levels=\(\)\) is no layer"),
        ([Inputs(2), Dense(3), Inputs(3), Dense(2)], r"layers: Inputs\(n_features=3, .* is no layer"),
        ([Inputs(2), 3, Dense(2)], "layers: 3 is no layer"),
        ([Dense(3), Dense(2)], "layers: the first is Inputs"),
        ([2, Dense(3), Dense(2)], "layers: the first is Inputs"),
        (layers_like(Dense(3), Numbers()), "layers: those that read the inputs beside each other come first"),
        (layers_like(Numbers(), Scale(), Embedding(2)), "beside each other come first"),
        (layers_like(Parametric("mish"), inputs=Inputs(2)), "layers: Parametric follows Dense"),
        (layers_like(Dense(3, "tanh"), Parametric("mish")), "follows Dense with the activation 'identity'"),
        (layers_like(Numbers(), Parametric("mish")), "layers: Parametric follows Dense"),
        (layers_like(Dense(3), Scale(), Parametric("mish")), "layers: Parametric follows Dense"),
        (layers_like(Scale()), "layers: Scale reads no categories"),
        (layers_like(Dense(3), Parametric("softmax")), "activation='softmax': not of hidden layers"),
        (layers_like(Dense(3, "softmax")), "activation='softmax': not of hidden layers"),
        (layers_like(Dense(3, "swish")), "unknown activation 'swish'"),
        (layers_like(Dense(0)), r"Dense\(units=0.*: units is an integer from 1"),
        (layers_like(Dense(-1)), r"Dense\(units=-1.*: units is an integer from 1"),
        (layers_like(Dense(2.5)), r"Dense\(units=2.5.*: units is an integer from 1"),
        (layers_like(Dense("3")), r"Dense\(units='3'.*: units is an integer from 1"),
        (layers_like(inputs=Inputs(0)), r"Inputs\(n_features=0, levels=\(\)\): at least one number or category"),
        (layers_like(inputs=Inputs(-1)), r"Inputs\(n_features=-1.*: n_features from 0"),
        (layers_like(inputs=Inputs(2.5)), r"Inputs\(n_features=2.5.*: n_features from 0"),
        (layers_like(inputs=Inputs(2**31)), r"Inputs\(n_features=2147483648.*: n_features from 0"),
        (layers_like(inputs=Inputs(2, (3, 0))), r"levels=\(3, 0\)"),
        (layers_like(inputs=Inputs(2, (2**31,))), r"levels=\(2147483648,\)"),
        (layers_like(inputs=Inputs(2, (2.5,))), r"levels=\(2.5,\)"),
        (layers_like(Embedding(0)), r"Embedding\(width=0"),
        (layers_like(Numbers(), Embedding(0)), r"Embedding\(width=0.*: width is an integer from 1"),
        (layers_like(Numbers(), Embedding(-1)), r"Embedding\(width=-1"),
        (layers_like(Embedding(2.5), inputs=Inputs(0, (3, 3))), r"Embedding\(width=2.5.*: width is an integer from 1"),
        (layers_like(Periodic(width=0)), r"Periodic\(.*width=0"),
        (layers_like(Periodic(frequencies=0)), r"Periodic\(.*frequencies=0.*: frequencies is an integer from 1"),
        (layers_like(Embedding(2, range(1, 2))), r"columns=range\(1, 2\): there are 1 categories"),
        (layers_like(Numbers(range(3))), r"columns=range\(0, 3\): there are 2 numbers"),
        (layers_like(Numbers(range(0))), r"columns=range\(0, 0\): a range of the 2 numbers, of one or more"),
        (layers_like(Numbers(range(-1, 1))), r"columns=range\(-1, 1\): there are 2 numbers"),
        (layers_like(Numbers([0])), r"columns=\[0\]: a range of the 2 numbers"),
        (layers_like(Embedding(2), inputs=Inputs(2)), "columns=range\\(0, 0\\): a range of the 0 categories"),
        (layers_like(Numbers(), inputs=Inputs(0, (3,))), "columns=range\\(0, 0\\): a range of the 0 numbers"),
        (layers_like(Piecewise([[0, 1]])), r"edges: shape \(2, n_bins \+ 1\), not \(1, 2\)"),
        (layers_like(Piecewise([0, 1])), r"edges: shape \(n_columns, n_bins \+ 1\), not \(2,\)"),
        (layers_like(Piecewise([[0], [1]])), r"edges: shape \(n_columns, n_bins \+ 1\), not \(2, 1\)"),
        (layers_like(Piecewise([[0, 1], [1, 0]])), "edges: .*ascending"),
        (layers_like(Piecewise([[0, 1], [1, 1]])), "edges: .*ascending"),
        (layers_like(Piecewise([[0, 1, 1], [0, 1, 2]])), "edges: .*ascending"),
        (layers_like(Piecewise([[0, 1], [0, np.nan]])), "edges: .*ascending"),
        (layers_like(Piecewise([[0, 1, np.inf, 2], [0, 1, 2, 3]])), "edges: .*infinity behind the last"),
        (layers_like(Piecewise([[0, 1, -np.inf], [0, 1, 2]])), "edges: .*ascending"),
        (layers_like(Piecewise([[0, 1], [0, np.inf]])), "edges: .*finite"),
        (layers_like(Piecewise([[-np.inf, 1], [0, 1]])), "edges: .*finite"),
        (layers_like(Piecewise([[0, 1], [0, 1]], width=0)), r"Piecewise\(.*width=0"),
        (layers_like(LayerNorm((3,)), inputs=Inputs(2)), r"the layer before leaves 2 numbers, not 3"),
        (layers_like(LayerNorm((0,)), inputs=Inputs(2)), r"shape=\(0,\): \(units,\) or \(channels, height, width\)"),
        (layers_like(LayerNorm((1, 2)), inputs=Inputs(2)), r"shape=\(1, 2\): \(units,\)"),
        (layers_like(LayerNorm(2), inputs=Inputs(2)), r"shape=2: \(units,\)"),
        (layers_like(LayerNorm((2,), epsilon=0.0), inputs=Inputs(2)), "epsilon=0.0: a number > 0"),
        (layers_like(LayerNorm((2,), "softmax"), inputs=Inputs(2)), "activation='softmax': not of hidden layers"),
        (layers_like(Residual((2,)), inputs=Inputs(2)), "layers is an integer from 1 to 0, the layers before"),
        (layers_like(Dense(2), Residual((2,)), inputs=Inputs(2)), "layers is an integer from 1 to 1"),
        (layers_like(Dense(2), Residual((2,), 0), inputs=Inputs(2)), "layers=0.*: layers is an integer from 1 to 1"),
        (layers_like(Dense(3), Residual((3,), 1), inputs=Inputs(2)), r"Residual\(.*: adds 2 numbers to 3"),
        (layers_like(Numbers(), Embedding(2), Residual((4,), 1)), r"Residual\(.*: adds 2 numbers to 4"),
        (layers_like(Indicators([1], [0])), r"on, off: shape \(3,\), not \(1,\) and \(1,\)"),
        (layers_like(Indicators([1, 1, 1], [0])), r"on, off: shape \(3,\), not \(3,\) and \(1,\)"),
    ],
    ids=str,
)
def test_layers_that_make_no_network(layers, match):
    with pytest.raises(ValueError, match=match):
        Network(layers, None, "log_loss", np.float32)


def test_layers_have_their_activations():
    with pytest.raises(ValueError, match="activation='relu': layers have theirs"):
        Network(TABLE, "relu", "log_loss", np.float32)


def test_units_come_with_an_activation():
    with pytest.raises(ValueError, match="activation=None: layers that are given as units have one"):
        Network((3, 4, 2), None, "log_loss", np.float32)


def test_quick_predictions_leave_categories_to_others():
    network = Network(TABLE, None, "log_loss", np.float32)
    predictor = Predictor.of(TABLE, [array for _, array, _ in network.parameters], "softmax")
    assert predictor.quick(np.zeros((4, 2), dtype=np.float32)) is None


def test_predictors_of_layers_take_the_parameters_of_the_layers():
    arrays = [array for _, array, _ in Network(TABLE, None, "log_loss", np.float32).parameters]
    predictor = Predictor.of(TABLE, arrays, "softmax")
    assert not predictor.serves(predictor.coefs, predictor.intercepts, "identity", "softmax")
    with pytest.raises(ValueError, match="parameters: at least those of one layer"):
        Predictor.of(TABLE, [], "softmax")
    with pytest.raises(ValueError, match=f"{len(arrays) - 1} parameters, the layers have {len(arrays)}"):
        Predictor.of(TABLE, arrays[1:], "softmax")
    with pytest.raises(ValueError, match=r"shape \(.*\) of float32, not \(1, "):
        Predictor.of(TABLE, [array[None] if array.ndim == 2 else array for array in arrays], "softmax")


def test_groups_of_parameters_are_few():
    layers = [Inputs(2), *(Scale(f"group {i}") for i in range(15)), Dense(2)]
    with pytest.raises(ValueError, match="groups of parameters: at most 16, not 17"):
        Network(layers, None, "log_loss", np.float32)


def test_dropout_of_layers_beside_each_other_is_refused():
    with pytest.raises(ValueError, match=r"dropout\[1\]=0.5: 0 for layers that read the input beside others"):
        Network(TABLE, None, "log_loss", np.float32, dropout=(0.5, 0.5, 0.0))
    with pytest.raises(ValueError, match="3 rates"):
        Network(TABLE, None, "log_loss", np.float32, dropout=(0.5, 0.0))
