"""One network or predictor in the hands of several Python threads: a call is refused, or gives the bits that it gives
alone."""

from types import SimpleNamespace

import numpy as np
import pytest
from networks import bound, copies, data_for, network_for, optimizer_for, parameters, same_bits, train
from together import in_threads

from fastmlp.engine import LOSSES, Network, Predictor
from fastmlp.engine.architecture import Dense, Inputs

UNITS = (20, 40, 3)


def a_network(**kwargs):
    return bound(UNITS, "tanh", "log_loss", np.float64, 400, **kwargs)


def unless_in_use(call):
    """What a call returns, or None if another is inside."""
    try:
        return call()
    except RuntimeError as error:
        assert str(error) == "this network is in use by another call"


@pytest.mark.parametrize("n_threads", [1, 2])
def test_epochs_at_once_are_some_epochs_one_after_another(n_threads):
    network = a_network(n_threads=n_threads)
    optimizer = optimizer_for(network, "adam")

    def epochs():
        losses = [unless_in_use(lambda: network.epoch(None, 50, optimizer, 0.01)) for _ in range(30)]
        return [loss for loss in losses if loss is not None]

    losses = sum(in_threads(epochs, epochs, epochs), [])
    alone = a_network(n_threads=1)
    state = optimizer_for(alone, "adam")
    assert sorted(losses) == sorted(train(alone, state, 50, epochs=len(losses)))
    assert optimizer.t == state.t == 8 * len(losses)
    assert same_bits(parameters(network) + optimizer.state, parameters(alone) + state.state)


def test_a_call_from_within_another_is_refused():
    network = a_network()
    X, y, _ = data_for(UNITS, "log_loss", 400, np.float64)
    optimizer, refused = optimizer_for(network, "adam"), []
    calls = [
        lambda: network.epoch(None, 50, optimizer, 0.01),
        lambda: network.bind(X, y),
        lambda: network.evaluate(X, y),
        lambda: network.step(1.0, 1.0, [], optimizer, 0.0),
        lambda: network.epoch_so_far,
        lambda: setattr(network, "epoch_so_far", (0.0, 0)),
        network.release,
        network.loss_and_grad,
        network.sums,
    ]

    class Asking(SimpleNamespace):
        """An optimizer, whose rate the network asks for while it is inside a call."""

        @property
        def rate(self):
            for call in calls:
                with pytest.raises(RuntimeError, match="this network is in use by another call"):
                    call()
                refused.append(call)
            return optimizer.rate

    network.epoch(None, 50, Asking(**{key: value for key, value in vars(optimizer).items() if key != "rate"}), 0.01)
    assert refused == calls
    alone = a_network()
    train(alone, optimizer_for(alone, "adam"), 50, epochs=1)
    assert same_bits(parameters(network), parameters(alone))


def test_what_is_asked_of_one_network_at_once():
    network = a_network()
    X, y, _ = data_for(UNITS, "log_loss", 300, np.float64, seed=5)
    loss, gradients, outputs = network.evaluate(X, y), network.loss_and_grad()[1], network.predict(X)
    own = copies(gradients)

    def ask():
        for _ in range(40):
            assert unless_in_use(lambda: network.evaluate(X, y)) in (None, loss)
            unless_in_use(network.loss_and_grad)
            assert same_bits([network.predict(X)], [outputs])
            network.new_state().fill(1)

    in_threads(ask, ask, ask)
    assert same_bits(network.loss_and_grad()[1], own)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_predictions_change_no_bit_of_a_training(n_threads):
    network, alone = a_network(n_threads=n_threads), a_network(n_threads=n_threads)
    X, _, _ = data_for(UNITS, "log_loss", 300, np.float64, seed=5)
    predictor = Predictor(network.coefs, network.intercepts, "tanh", LOSSES["log_loss"])

    def predict():
        for call in [network.predict, predictor, predictor.quick] * 15:
            np.testing.assert_allclose(call(X).sum(axis=1), 1)

    def fit(network):
        return train(network, optimizer_for(network, "adam"), 20, epochs=20)

    losses, _, _ = in_threads(lambda: fit(network), predict, predict)
    assert losses == fit(alone)
    assert same_bits(parameters(network), parameters(alone))


@pytest.mark.parametrize("copied", [False, True], ids=["as they are", "copied"])
def test_one_predictor(copied):
    network = network_for(UNITS, "tanh", "log_loss", np.float32)
    arrays = network.coefs, network.intercepts
    held = [[array.astype(np.float64) for array in part] for part in arrays] if copied else None
    predictor = Predictor(*arrays, "tanh", "softmax", held=held)
    rows = [data_for(UNITS, "log_loss", n, dtype)[0] for n in (1, 700) for dtype in (np.float32, np.float64)]
    expected = [predictor(X) for X in rows]

    def predict():
        for _ in range(40):
            assert same_bits([predictor(X) for X in rows], expected)
            assert same_bits([predictor.quick(X) for X in rows], expected)

    in_threads(predict, predict, predict)


def test_networks_of_the_same_layers_are_made_and_trained_at_once():
    layers = [Inputs(20), Dense(33, "relu"), Dense(3)]

    def fit():
        network = network_for(layers, None, "log_loss", np.float32)
        network.bind(*data_for(layers, "log_loss", 100, np.float32))
        train(network, optimizer_for(network, "adam"), 20)
        return [*parameters(network), *parameters(Network(layers, None, "log_loss", np.float32))]

    expected = fit()
    for arrays in in_threads(*[lambda: [fit() for _ in range(10)]] * 4):
        assert all(same_bits(one, expected) for one in arrays)
