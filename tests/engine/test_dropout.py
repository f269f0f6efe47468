"""Dropout: the masks themselves, and epochs with them against the twin."""

import numpy as np
import pytest
from networks import DTYPES, bound, data_for, distance, network_for, optimizer_for, pair, parameters, same_bits, train
from twin import TwinNetwork, dropout_mask

from fastmlp.engine import ISAS, Network

CLOSE = {np.float32: 2e-5, np.float64: 5e-14}

every_isa = pytest.mark.parametrize("isa", ISAS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)


# ---- the masks, as the twin makes them ----

SHAPE = (2000, 500)
N = SHAPE[0] * SHAPE[1]


def mask(rate=0.5, seed=3, t=5, layer=1, first=0, shape=SHAPE):
    return dropout_mask(rate, seed, t, layer, first, shape)


@pytest.mark.parametrize("rate", [0.0, 1e-4, 0.1, 0.5, 0.9, 0.9999])
@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
def test_the_share_that_is_kept_and_its_scale(rate, seed):
    values = mask(rate, seed)
    kept = values > 0
    # rates are multiples of 2^-16, and what is kept is divided by what they leave, so that the mean stays
    np.testing.assert_array_equal(values[kept], 1 / (1 - round(rate * 2**16) / 2**16))
    spread = np.sqrt(rate * (1 - rate))
    assert abs(kept.mean() - (1 - rate)) <= 5 * spread / np.sqrt(N)
    # by rows and by columns: the largest of thousands
    assert np.abs(kept.mean(axis=1) - (1 - rate)).max() <= 5.5 * spread / np.sqrt(SHAPE[1]) + 1e-2 * (
        rate in (1e-4, 0.9999)
    )
    assert np.abs(kept.mean(axis=0) - (1 - rate)).max() <= 5.5 * spread / np.sqrt(SHAPE[0]) + 1e-2 * (
        rate in (1e-4, 0.9999)
    )


@pytest.mark.parametrize(
    "other",
    [
        {"t": 6},
        {"t": 4},
        {"layer": 2},
        {"layer": 0},
        {"layer": 5, "t": 1},
        {"seed": 4},
        {"seed": 3 + 2**32},
        {"seed": 3 + 2**63},
        {"seed": 5, "t": 3},
        {"first": 1},
        {"first": 2000},
        {"first": 2**31},
    ],
    ids=str,
)
def test_masks_of_other_keys_are_others(other):
    a, b = mask() > 0, mask(**other) > 0
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 5 / np.sqrt(N)


@pytest.mark.parametrize("rows, columns", [(0, 1), (0, 2), (0, 16), (1, 0), (1, 1), (1, -1), (128, 0), (1024, 0)])
def test_neighbours_know_nothing_of_each_other(rows, columns):
    a = mask() > 0
    b = np.roll(a, (rows, columns), (0, 1))
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 5 / np.sqrt(N)


def test_pairs_of_columns_and_of_updates_are_uncorrelated():
    kept = mask(0.3, shape=(20000, 60)) > 0
    correlations = np.corrcoef(kept.T) - np.eye(60)
    assert np.abs(correlations).max() < 5.5 / np.sqrt(20000)
    updates = np.array([(mask(0.3, t=t, shape=(40, 500)) > 0).ravel() for t in range(60)])
    assert np.abs(np.corrcoef(updates) - np.eye(60)).max() < 5.5 / np.sqrt(20000)


# ---- epochs ----


def check(network, expected, batch_size, *, rows=None, optimizer="adam", alpha=0.02):
    """Two epochs of both."""
    losses = [
        train(net, optimizer_for(net, optimizer), batch_size, alpha=alpha, rows=rows) for net in (network, expected)
    ]
    np.testing.assert_allclose(*losses, rtol=CLOSE[network.dtype.type])
    assert distance(parameters(network), parameters(expected)) < CLOSE[network.dtype.type]


@every_isa
@every_dtype
@pytest.mark.parametrize("loss", ["log_loss", "squared_error"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "silu"])
@pytest.mark.parametrize(
    "layer_units, dropout",
    [
        ((11, 3), (0.3,)),
        ((11, 19, 3), (0.0, 0.5)),
        ((11, 19, 3), (0.2, 0.0)),
        ((100, 33, 17, 2), (0.1, 0.5, 0.25)),
        ((3, 129, 1, 16, 5), (0.0, 0.9, 0.0, 0.01)),
    ],
    ids=str,
)
def test_epochs(layer_units, dropout, activation, loss, dtype, isa):
    check(*pair(layer_units, activation, loss, dtype, 101, dropout=dropout, isa=isa, weights=True), 40)


@every_dtype
@pytest.mark.parametrize("x_dtype", DTYPES, ids=lambda dtype: "X-" + dtype.__name__)
@pytest.mark.parametrize("rows", [None, np.arange(70)[::-1].copy()], ids=["in-order", "reversed"])
def test_the_data_are_left_alone(rows, x_dtype, dtype):
    network, expected = pair((21, 18, 3), "tanh", "log_loss", dtype, 70, x_dtype=x_dtype, dropout=(0.3, 0.3))
    X, y, _ = data_for((21, 18, 3), "log_loss", 70, dtype, x_dtype=x_dtype)
    before = X.copy()
    X.flags.writeable = False
    network.bind(X, y)
    network.loss_and_grad()  # which reads them where they lie
    check(network, expected, 16, rows=rows)
    assert same_bits([X], [before])


@every_dtype
def test_sparse_data_may_have_dropout_behind_the_input(dtype):
    check(*pair((30, 20, 3), "relu", "log_loss", dtype, 90, sparse=np.int32, dropout=(0.0, 0.5)), 40)


@every_dtype
@pytest.mark.parametrize("activation", ["relu", "mish"])
@pytest.mark.parametrize("n_rows, batch_size", [(607, 200), (2600, 2500)], ids=["groups", "chunks"])
def test_teams_batches_and_instruction_sets_change_no_bit(n_rows, batch_size, activation, dtype):
    layer_units, dropout, rows = (64, 100, 10), (0.2, 0.5), np.random.default_rng(0).permutation(n_rows)
    expected = bound(layer_units, activation, "log_loss", dtype, n_rows, kind=TwinNetwork, dropout=dropout)
    losses = train(expected, optimizer_for(expected, "adam"), batch_size, rows=rows)
    trained = []
    for isa in ISAS:
        for n_threads in (1, 2, 3):
            network = bound(
                layer_units, activation, "log_loss", dtype, n_rows, dropout=dropout, n_threads=n_threads, isa=isa
            )
            reached = train(network, optimizer_for(network, "adam"), batch_size, rows=rows)
            assert (network.row_groups > 1) == (batch_size == 200)
            np.testing.assert_allclose(reached, losses, rtol=CLOSE[dtype])
            assert distance(parameters(network), parameters(expected)) < CLOSE[dtype]
            if isa != "baseline":
                trained.append([*parameters(network), np.array(reached)])
    assert all(same_bits(arrays, trained[0]) for arrays in trained)


@every_dtype
def test_layers_as_large_as_go_to_blas(dtype):
    network, expected = pair((4096, 2048, 3), "gelu", "log_loss", dtype, 24, dropout=(0.2, 0.5))
    assert network.uses_blas
    losses = [train(net, optimizer_for(net, "sgd"), 16, epochs=1) for net in (network, expected)]
    np.testing.assert_allclose(*losses, rtol=CLOSE[dtype])
    assert distance(parameters(network), parameters(expected)) < CLOSE[dtype]


@every_dtype
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_rates_of_zero_are_no_dropout(activation, dtype):
    networks = [bound((9, 20, 7, 3), activation, "log_loss", dtype, 90, dropout=rates) for rates in (None, (0, 0, 0))]
    for network in networks:
        optimizer = optimizer_for(network, "adam")
        del optimizer.dropout_seed
        train(network, optimizer, 40)
    assert same_bits(parameters(networks[0]), parameters(networks[1]))
    assert [network.dropout for network in networks] == [None, (0.0, 0.0, 0.0)]


@every_dtype
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_only_epochs_have_dropout(activation, dtype):
    networks = [bound((9, 20, 3), activation, "log_loss", dtype, 90, dropout=rates) for rates in (None, (0.5, 0.5))]
    X, _, _ = data_for((9, 20, 3), "log_loss", 40, dtype)

    def without():
        results = [net.loss_and_grad(alpha=0.1) for net in networks]
        assert results[0][0] == results[1][0]
        assert same_bits(*(coef_grads + intercept_grads for _, coef_grads, intercept_grads in results))
        assert same_bits(*([net.predict(X)] for net in networks))

    without()
    train(networks[1], optimizer_for(networks[1], "adam"), 40)
    for ours, theirs in zip(*(net.coefs + net.intercepts for net in networks), strict=True):
        ours[...] = theirs
    without()


def test_the_seed_and_the_count_of_updates_say_which():
    trained = []
    for seed, t in ((7, 0), (7, 0), (8, 0), (7, 1), (np.uint64(2**64 - 1), 0), (2**64 - 1, 0)):
        network = bound((9, 20, 3), "relu", "log_loss", np.float64, 90, dropout=(0.1, 0.5))
        optimizer = optimizer_for(network, "sgd")
        optimizer.dropout_seed, optimizer.t = seed, t
        network.epoch(None, 40, optimizer, 0.0)
        trained.append(parameters(network))
    assert same_bits(trained[0], trained[1]) and same_bits(trained[4], trained[5])
    for i, j in ((0, 2), (0, 3), (0, 4), (2, 3)):
        assert distance(trained[i], trained[j]) > 1e-4


def test_epochs_in_two_calls_are_those_in_one():
    # the place of a row is counted in its epoch, the updates from the first
    networks = [bound((9, 20, 3), "relu", "log_loss", np.float32, 90, dropout=(0.1, 0.5)) for _ in range(2)]
    optimizers = [optimizer_for(network, "sgd") for network in networks]
    train(networks[0], optimizers[0], 40)
    for _ in range(2):
        networks[1].epoch(None, 40, optimizers[1], 0.01)
        networks[1].loss_and_grad()
    assert same_bits(parameters(networks[0]), parameters(networks[1]))


# ---- what is refused ----


@pytest.mark.parametrize("dropout", [(0.5,), (0.5, 0.5, 0.5), (0.5, 1.0), (-0.1, 0.5), (np.nan, 0.5)], ids=str)
def test_rates(dropout):
    with pytest.raises(ValueError, match=r"dropout=\(.*\): 2 rates in \[0, 1\)"):
        Network((4, 3, 2), "tanh", "log_loss", np.float64, dropout=dropout)


def test_sparse_data_with_dropout_of_the_input():
    network = network_for((4, 3, 2), "tanh", "log_loss", np.float64, dropout=(0.5, 0.0))
    with pytest.raises(ValueError, match="none of a sparse input"):
        network.bind(*data_for((4, 3, 2), "log_loss", 20, np.float64, sparse=np.int32))


@pytest.mark.parametrize("seed", [None, -1, 2**64])
def test_seeds(seed):
    network = bound((4, 3, 2), "tanh", "log_loss", np.float64, 20, dropout=(0.0, 0.5))
    optimizer, before = optimizer_for(network, "sgd"), parameters(network)
    optimizer.dropout_seed = seed
    with pytest.raises(ValueError, match=f"dropout_seed={seed}: a network with dropout or augmentation needs an int"):
        network.epoch(None, 10, optimizer, 0.0)
    assert optimizer.t == 0 and same_bits(parameters(network), before)
