"""An epoch in several calls, with the bits of one."""

import numpy as np
import pytest
from networks import DTYPES, OPTIMIZER_CASES, bound, data_for, network_for, optimizer_for, parameters, same_bits

UNITS = (20, 60, 30, 4)

every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)


def states(network, optimizer):
    return [*parameters(network), *(state.copy() for state in optimizer.state)]


def whole(make, data, batch_size, optimizer_case, *, rates, epochs=2, n_threads=None):
    """Losses and all state after epochs of one call each."""
    network = make(n_threads)
    network.bind(*data)
    optimizer = optimizer_for(network, *optimizer_case)
    losses = []
    for epoch in range(epochs):
        optimizer.rates = None if rates is None else rates[epoch]
        losses.append(network.epoch(None, batch_size, optimizer, 0.01))
    return [np.array(losses), *states(network, optimizer)]


def sharded(make, data, batch_size, optimizer_case, bounds, *, rates, epochs=2, n_threads=None):
    """The same with the rows between two bounds in each call."""
    network = make(n_threads)
    optimizer = optimizer_for(network, *optimizer_case)
    losses = []
    for epoch in range(epochs):
        for start, stop in zip(bounds[:-1], bounds[1:], strict=True):
            network.bind(*(None if part is None else part[start:stop] for part in data))
            batches = slice(start // batch_size, -(-stop // batch_size))
            optimizer.rates = None if rates is None else rates[epoch][batches]
            loss = network.epoch(None, batch_size, optimizer, 0.01, first_row=start, more=stop < bounds[-1])
        losses.append(loss)
    return [np.array(losses), *states(network, optimizer)]


@every_dtype
@pytest.mark.parametrize("case", OPTIMIZER_CASES, ids=lambda case: case[0])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_optimizers(n_threads, case, dtype):
    def make(n_threads):
        return network_for(UNITS, "relu", "log_loss", dtype, dropout=(0.1, 0.5, 0.2), n_threads=n_threads)

    data = data_for(UNITS, "log_loss", 203, dtype, weights=True)
    rates = np.random.default_rng(0).uniform(0.001, 0.01, (2, 6))
    expected = whole(make, data, 40, case, rates=rates)
    for bounds in ([0, 40, 80, 203], [0, 160, 203], [0, 200, 203]):
        assert same_bits(sharded(make, data, 40, case, bounds, rates=rates, n_threads=n_threads), expected)


@every_dtype
@pytest.mark.parametrize("sparse", [None, np.int32], ids=["dense", "csr"])
@pytest.mark.parametrize("batch_size, n_rows", [(256, 1100), (2500, 6000)], ids=["groups", "chunks"])
def test_cuts_of_batches(batch_size, n_rows, sparse, dtype):
    units = (64, 100, 10)

    def make(n_threads):
        return network_for(units, "gelu", "log_loss", dtype, n_threads=n_threads)

    data = data_for(units, "log_loss", n_rows, dtype, sparse=sparse)
    case, last = ("adam",), n_rows - n_rows % batch_size
    expected = whole(make, data, batch_size, case, rates=None)
    for bounds in ([0, batch_size, n_rows], [0, last, n_rows]):
        assert same_bits(sharded(make, data, batch_size, case, bounds, rates=None), expected)


def test_averages_wait_for_the_end_of_the_epoch():
    case = next(case for case in OPTIMIZER_CASES if case[0] == "schedule_free_adamw")
    network = bound(UNITS, "relu", "log_loss", np.float64, 80)
    optimizer = optimizer_for(network, *case)
    network.epoch(None, 40, optimizer, 0.0, more=True)
    in_training, z = network.coefs[0].copy(), network.views(optimizer.state[0])[0][0].copy()
    beta_1 = case[1]["beta_1"]
    other = bound(UNITS, "relu", "log_loss", np.float64, 80)
    other_optimizer = optimizer_for(other, *case)
    other.epoch(None, 40, other_optimizer, 0.0)
    # y = (1 - b1) z + b1 x
    np.testing.assert_allclose(in_training, (1 - beta_1) * z + beta_1 * other.coefs[0], rtol=1e-12)
    assert not np.allclose(in_training, other.coefs[0], rtol=1e-6)


def test_what_is_asked_between_two_shards_changes_nothing():
    X, y, _ = data_for(UNITS, "log_loss", 120, np.float64)
    reached = []
    for asks in (False, True):
        network = network_for(UNITS, "relu", "log_loss", np.float64)
        optimizer = optimizer_for(network, "adam")
        network.bind(X[:80], y[:80])
        network.epoch(None, 40, optimizer, 0.01, more=True)
        if asks:
            network.predict(X)
            network.evaluate(X, y)
            network.loss_and_grad(alpha=0.1)
        network.bind(X[80:], y[80:])
        loss = network.epoch(None, 40, optimizer, 0.01, first_row=80)
        reached.append([np.array(loss), *states(network, optimizer)])
    assert same_bits(*reached)


def test_the_loss_is_that_of_the_rows_that_a_network_has_seen():
    def make(n_threads):
        return network_for(UNITS, "relu", "log_loss", np.float64)

    data, case = data_for(UNITS, "log_loss", 100, np.float64), ("sgd",)
    (loss,), *_ = whole(make, data, 20, case, rates=None, epochs=1)
    networks = [make(None), make(None)]
    optimizers = [optimizer_for(network, *case) for network in networks]
    networks[0].bind(*(None if part is None else part[:40] for part in data))
    first = networks[0].epoch(None, 20, optimizers[0], 0.01, more=True)
    # another process goes on
    for to, values in zip(networks[1].coefs + networks[1].intercepts, parameters(networks[0]), strict=True):
        to[:] = values
    optimizers[1].state[0][:], optimizers[1].t = optimizers[0].state[0], optimizers[0].t
    networks[1].bind(*(None if part is None else part[40:] for part in data))
    rest = networks[1].epoch(None, 20, optimizers[1], 0.01, first_row=40)
    assert (40 * first + 60 * rest) / 100 == pytest.approx(loss, rel=1e-14)


@pytest.mark.parametrize("case", OPTIMIZER_CASES, ids=lambda case: case[0])
def test_another_network_goes_on_within_the_epoch(case):
    data, ends = data_for(UNITS, "log_loss", 100, np.float64), []
    for moves in (False, True):
        network = network_for(UNITS, "relu", "log_loss", np.float64)
        optimizer = optimizer_for(network, *case)
        network.bind(*(None if part is None else part[:40] for part in data))
        network.epoch(None, 20, optimizer, 0.01, more=True)
        if moves:
            other = network_for(UNITS, "relu", "log_loss", np.float64)
            for to, values in zip(other.coefs + other.intercepts, parameters(network), strict=True):
                to[:] = values
            other.epoch_so_far = network.epoch_so_far
            assert other.epoch_so_far[1] == 40
            network = other
        network.bind(*(None if part is None else part[40:] for part in data))
        loss = network.epoch(None, 20, optimizer, 0.01, first_row=40)
        ends.append([np.array(loss), *states(network, optimizer)])
    assert same_bits(*ends)


@pytest.mark.parametrize("case", OPTIMIZER_CASES, ids=lambda case: case[0])
def test_a_call_without_rows_ends_an_epoch(case):
    data, none, ends = data_for(UNITS, "log_loss", 80, np.float64), np.empty(0, np.intp), []
    for at_once in (True, False):
        network = network_for(UNITS, "relu", "log_loss", np.float64)
        optimizer = optimizer_for(network, *case)
        network.bind(*data)
        loss = network.epoch(None, 40, optimizer, 0.01, more=not at_once)
        for _ in range(2):  # the second time it is over, as it is from the beginning if all came at once
            assert network.epoch(none, 40, optimizer, 0.01, first_row=80) == loss
        ends.append([np.array(loss), *states(network, optimizer)])
    assert same_bits(*ends)
    for keywords in ({}, {"first_row": 80, "more": True}):
        with pytest.raises(ValueError, match="no rows"):
            network.epoch(none, 40, optimizer, 0.01, **keywords)


@pytest.mark.parametrize("first_row, more", [(-40, False), (10, False), (0, True), (40, True)])
def test_refusals(first_row, more):
    network = bound(UNITS, "relu", "log_loss", np.float64, 50)
    optimizer, before = optimizer_for(network, "sgd"), parameters(network)
    with pytest.raises(ValueError, match=f"first_row={first_row}, 50 rows, more={more}: .* whole batches of 40"):
        network.epoch(None, 40, optimizer, 0.0, first_row=first_row, more=more)
    assert same_bits(parameters(network), before)
