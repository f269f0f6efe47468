"""Groups of parameters, and what changes from update to update besides the learning rate."""

import numpy as np
import pytest
from networks import DTYPES, OPTIMIZER_CASES, bound, distance, optimizer_for, pair, parameters, same_bits, train

from fastmlp.engine import ISAS

CLOSE = {np.float32: 5e-5, np.float64: 2e-13}
GROUPS = [
    {"weights": {"rate": 0.5}, "biases": {"rate": 0.1}},
    {"weights": {"decay": 0.0}, "biases": {"decay": 2.0}},
    {"weights": {"penalised": False}, "biases": {"penalised": True}},
    {"biases": {"rate": 0.0, "decay": 0.5, "penalised": True}},
]
UNITS, N_ROWS, BATCH = (17, 33, 5), 45, 16

every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
every_optimizer = pytest.mark.parametrize(
    "name, hyper",
    OPTIMIZER_CASES,
    ids=lambda case: case if isinstance(case, str) else "-".join(map(str, case.values())),
)


def check(network, expected, name, hyper, *, epochs=2, n_rows=N_ROWS, batch_size=BATCH, **more):
    """The same epochs in the engine and in the twin."""
    optimizers = [optimizer_for(net, name, hyper) for net in (network, expected)]
    for optimizer in optimizers:
        vars(optimizer).update(more)
    losses = [
        train(net, optimizer, batch_size, epochs=epochs, alpha=0.3)
        for net, optimizer in zip((network, expected), optimizers, strict=True)
    ]
    close = CLOSE[network.dtype.type]
    np.testing.assert_allclose(*losses, rtol=close)
    assert distance(parameters(network), parameters(expected)) < close


@every_dtype
@every_optimizer
@pytest.mark.parametrize("groups", GROUPS, ids=str)
def test_factors_of_groups(groups, name, hyper, dtype):
    network, expected = pair(UNITS, "tanh", "squared_error", dtype, N_ROWS, weights=True)
    check(network, expected, name, hyper | {"weight_decay": 0.2}, groups=groups)


@every_dtype
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("extra", [{"clip_norm": 0.1}, {"clip_value": 0.02}, {"max_norm": 0.6}], ids=str)
@pytest.mark.parametrize("groups", GROUPS, ids=str)
def test_factors_of_groups_beside_limits(groups, extra, isa, dtype):
    network, expected = pair(UNITS, "relu", "log_loss", dtype, N_ROWS, isa=isa)
    hyper = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8, "weight_decay": 0.2} | extra
    check(network, expected, "adam", hyper, groups=groups)


@every_dtype
def test_the_defaults_change_no_bit(dtype):
    groups = {
        "weights": {"rate": 1.0, "decay": 1.0, "penalised": True},
        "biases": {"rate": 1.0, "decay": 0.0, "penalised": False},
    }
    reached = []
    for more in ({}, {"groups": groups}):
        network = bound(UNITS, "tanh", "log_loss", dtype, N_ROWS)
        hyper = {"beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-8, "weight_decay": 0.7}
        optimizer = optimizer_for(network, "adamw", hyper)
        vars(optimizer).update(more)
        reached.append([np.array(train(network, optimizer, BATCH)), *parameters(network)])
    assert same_bits(*reached)


@every_dtype
@pytest.mark.parametrize("limit", [{}, {"clip_norm": 0.1}], ids=str)
def test_the_loss_has_the_penalty_of_its_own_epoch(limit, dtype):
    network, expected = pair(UNITS, "tanh", "squared_error", dtype, N_ROWS)
    optimizers = [optimizer_for(net, "sgd", {"momentum": 0.9, "nesterov": True} | limit) for net in (network, expected)]
    for weights, biases in [(True, True), (False, True), (True, False), (False, False)]:
        for optimizer in optimizers:
            optimizer.groups = {"weights": {"penalised": weights}, "biases": {"penalised": biases}}
        losses = [net.epoch(None, BATCH, o, 0.3) for net, o in zip((network, expected), optimizers, strict=True)]
        np.testing.assert_allclose(*losses, rtol=CLOSE[dtype])


@every_dtype
@every_optimizer
def test_decay_of_each_batch(name, hyper, dtype):
    network, expected = pair(UNITS, "tanh", "squared_error", dtype, N_ROWS)
    check(network, expected, name, hyper, decays=np.array([0.5, 0.0, 3.0]))


@every_dtype
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_dropout_of_each_batch(activation, dtype):
    network, expected = pair((17, 33, 21, 5), activation, "log_loss", dtype, N_ROWS, dropout=(0.2, 0.0, 0.5))
    check(network, expected, "sgd", None, dropout_factors=np.array([1.0, 0.0, 0.3]))
    # the factors were of those calls alone
    check(network, expected, "sgd", None, epochs=1)


@pytest.mark.parametrize(
    "more, match",
    [
        ({"groups": {"embeddings": {}}}, "groups='embeddings': one of weights, biases"),
        ({"groups": {"weights": {"speed": 1}}}, "unknown number 'speed'"),
        ({"groups": {"weights": {"rate": -1.0}}}, "finite and at least 0"),
        ({"groups": {"biases": {"decay": np.inf}}}, "finite and at least 0"),
        ({"groups": {"biases": {"decay": np.nan}}}, "finite and at least 0"),
        ({"decays": np.zeros(2)}, r"decays: shape \(3,\)"),
        ({"decays": np.array([0, np.nan, 0])}, "decays: finite"),
        ({"decays": np.array([0, -1.0, 0])}, "decays: finite"),
        ({"dropout_factors": np.ones(3, dtype=np.float32)}, "dropout_factors: shape"),
        ({"dropout_factors": np.full(3, 1.5)}, "dropout_factors at most 1"),
    ],
    ids=str,
)
def test_refusals(more, match):
    network = bound(UNITS, "tanh", "log_loss", np.float64, N_ROWS)
    optimizer, before = optimizer_for(network, "sgd"), parameters(network)
    vars(optimizer).update(more)
    with pytest.raises(ValueError, match=match):
        network.epoch(None, BATCH, optimizer, 0.0)
    assert same_bits(parameters(network), before)
    assert optimizer.t == 0


def test_parameters_are_listed_with_their_groups():
    network = bound((4, 3, 2), "tanh", "log_loss", np.float64, 5)
    names = ["coefs.0", "intercepts.0", "coefs.1", "intercepts.1"]
    assert [name for name, _, _ in network.parameters] == names
    assert [group for _, _, group in network.parameters] == ["weights", "biases"] * 2
    arrays, views = [array for _, array, _ in network.parameters], network.coefs + network.intercepts
    assert all(np.shares_memory(a, b) for a, b in zip(arrays[::2] + arrays[1::2], views, strict=True))
    assert [array.shape for array in arrays] == [(4, 3), (3,), (3, 2), (2,)]
