"""Where the portable kernels serve, larger layers go to BLAS: which ones, right numbers, the same bits for any team."""

import numpy as np
import pytest
from networks import (
    DTYPES,
    bound,
    copies,
    data_for,
    distance,
    network_for,
    optimizer_for,
    pair,
    parameters,
    same_bits,
    train,
)
from twin import TwinNetwork
from twin import input_gradients as twin_input_gradients

from fastmlp.engine import ISAS, Predictor, forward, input_gradients

CLOSE = {np.float32: 2e-4, np.float64: 1e-11}
# an odd layer, one with too few columns for BLAS, and one with as few as serve it
UNITS = (37, 41, 67, 3)

every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
dense_and_sparse = pytest.mark.parametrize("sparse", [None, np.int32], ids=["dense", "csr"])


@pytest.mark.parametrize("layer_units, expected", [
    ((16, 16), True),
    ((51, 5), False),          # 255 weights
    ((52, 5), True),
    ((5, 52), True),
    ((4, 1000), False),        # dot products and short sums are ours
    ((1000, 4), False),
    ((4, 100, 3), False),
    ((13, 37, 5), True),
    ((784, 512, 512, 10), True),
])  # fmt: skip
def test_the_choice(layer_units, expected):
    assert network_for(layer_units, "relu", "squared_error", np.float32, isa="baseline").uses_blas == expected
    for isa in set(ISAS) - {"baseline"}:
        assert not network_for(layer_units, "relu", "squared_error", np.float32, isa=isa).uses_blas


def trained(make, batch_size, **hyper):
    """The network, with its losses and parameters after two epochs of Adam."""
    network = make()
    optimizer = optimizer_for(network, "adam")
    optimizer.hyper = {**optimizer.hyper, **hyper}
    losses = train(network, optimizer, batch_size)
    return network, [np.array(losses), *parameters(network)]


CASES = {
    "several blocks": ({}, 300, 300, {}),
    "a short last batch": ({}, 301, 128, {}),
    "chunks": ({}, 2600, 2500, {}),
    "dropout": ({"dropout": (0.2, 0.5, 0.3)}, 301, 128, {}),
    "clip_norm": ({}, 301, 128, {"clip_norm": 0.01}),
    "clip_value": ({}, 301, 128, {"clip_value": 0.001}),
    "max_norm": ({}, 301, 128, {"max_norm": 0.5}),
}


@every_dtype
@dense_and_sparse
@pytest.mark.parametrize("options, n_rows, batch_size, hyper", CASES.values(), ids=CASES)
def test_training(options, n_rows, batch_size, hyper, sparse, dtype):
    if sparse is not None and "dropout" in options:
        options = {"dropout": (0.0, *options["dropout"][1:])}

    def make(**kwargs):
        return lambda: bound(UNITS, "gelu", "log_loss", dtype, n_rows, weights=True, sparse=sparse, **options, **kwargs)

    arrays = []
    for n_threads in (1, 2, 3):
        network, result = trained(make(isa="baseline", n_threads=n_threads), batch_size, **hyper)
        assert network.uses_blas
        arrays.append(result)
    assert same_bits(arrays[1], arrays[0]) and same_bits(arrays[2], arrays[0])
    _, expected = trained(make(kind=TwinNetwork), batch_size, **hyper)
    assert distance(arrays[0], expected) < CLOSE[dtype]


@every_dtype
@dense_and_sparse
@pytest.mark.parametrize("n_rows", [1, 3, 129, 700, 2600])
def test_gradients_and_predictions(n_rows, sparse, dtype):
    ours, twin = pair(UNITS, "tanh", "log_loss", dtype, n_rows, isa="baseline", weights=n_rows > 3, sparse=sparse)
    loss, *gradients = ours.loss_and_grad(alpha=0.1)
    expected_loss, *expected = twin.loss_and_grad(alpha=0.1)
    assert abs(loss - expected_loss) < CLOSE[dtype]
    assert distance(sum(copies(gradients), []), sum(expected, [])) < CLOSE[dtype]
    X, _, _ = data_for(UNITS, "log_loss", n_rows, dtype, sparse=sparse)
    arrays = [
        forward(ours.coefs, ours.intercepts, "tanh", "softmax", X, n_threads=n_threads, isa="baseline")
        for n_threads in (1, 2, 3)
    ]
    assert same_bits(arrays[1:], arrays[:1] * 2)
    assert distance(arrays[:1], [twin.predict(X)]) < CLOSE[dtype]


def test_rows_in_groups():
    def make(n_threads):
        return bound((64, 100, 10), "relu", "log_loss", np.float32, 600, isa="baseline", n_threads=n_threads)

    arrays = []
    for n_threads in (1, 2):
        network, result = trained(lambda n_threads=n_threads: make(n_threads), 200)
        assert network.uses_blas and network.row_groups == 2
        arrays.append(result)
    assert same_bits(*arrays)


@every_dtype
@pytest.mark.parametrize("n_rows", [1, 20, 400])
def test_input_gradients(n_rows, dtype):
    rng = np.random.default_rng(0)
    coefs, intercepts = (
        [rng.standard_normal(shape).astype(dtype) / 6 for shape in shapes]
        for shapes in (list(zip(UNITS, UNITS[1:], strict=False)), UNITS[1:])
    )
    X = rng.standard_normal((n_rows, UNITS[0])).astype(dtype)
    predictor = Predictor(coefs, intercepts, "tanh", "softmax", isa="baseline")
    gradients = [input_gradients(predictor, X, n_threads=n_threads) for n_threads in (1, 2, 3)]
    assert same_bits(gradients[1:], gradients[:1] * 2)
    expected = twin_input_gradients(coefs, intercepts, "tanh", "softmax", X)
    assert distance(gradients[:1], [expected]) < CLOSE[dtype]
    assert same_bits([input_gradients(predictor, X, 1)], [gradients[0][:, 1]])
