"""Signals during an epoch: it ends between batches, and counts them."""

import contextlib
import os
import signal
import threading
from itertools import pairwise

import numpy as np
import pytest
from networks import bound, optimizer_for, parameters, same_bits

from fastmlp.engine import Network, Predictor, input_gradients, integrated_gradients

LAYER_UNITS = (6, 20, 3)
DATA_ROWS = 3000


@pytest.fixture(autouse=True)
def handlers():
    """SIGINT as Python has it (a shell's background job ignores it), SIGALRM raising TimeoutError."""

    def time_out(signum, frame):
        raise TimeoutError

    before = signal.signal(signal.SIGINT, signal.default_int_handler), signal.signal(signal.SIGALRM, time_out)
    yield
    signal.signal(signal.SIGINT, before[0])
    signal.signal(signal.SIGALRM, before[1])


def make(n_threads=1):
    network = bound(LAYER_UNITS, "tanh", "log_loss", np.float64, DATA_ROWS, n_threads=n_threads, weights=True)
    return network, optimizer_for(network, "adam")


def long_order(batches, batch_size):
    """Rows for an epoch that lasts for seconds, unless it is interrupted."""
    return np.random.default_rng(0).integers(DATA_ROWS, size=batches * batch_size)


def once_moving(network, action):
    """Start a thread that acts when the network's weights have begun to move."""
    bias = network.intercepts[-1]
    first = bias[0]

    def watch():
        while bias[0] == first:
            pass
        action()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize("signum, error", [(signal.SIGINT, KeyboardInterrupt), (signal.SIGALRM, TimeoutError)])
@pytest.mark.parametrize("batches, batch_size", [(400_000, 8), (1000, 2500)], ids=["small", "chunked"])
def test_the_model_is_that_of_the_batches_counted(batches, batch_size, signum, error, n_threads):
    rows = long_order(batches, batch_size)
    network, optimizer = make(n_threads)
    watcher = once_moving(network, lambda: os.kill(os.getpid(), signum))
    with pytest.raises(error):
        network.epoch(rows, batch_size, optimizer, 0.01)
    watcher.join()
    assert 0 < optimizer.t < batches
    again, expected = make(n_threads)
    again.epoch(rows[: optimizer.t * batch_size], batch_size, expected, 0.01)
    assert expected.t == optimizer.t
    assert same_bits(parameters(network), parameters(again))
    assert same_bits(optimizer.state, expected.state)


def test_training_goes_on_after_an_interrupt():
    rows = long_order(400_000, 8)
    network, optimizer = make()
    watcher = once_moving(network, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        network.epoch(rows, 8, optimizer, 0.01)
    watcher.join()
    done = optimizer.t
    network.epoch(rows[done * 8 : done * 8 + 400], 8, optimizer, 0.01)
    assert optimizer.t == done + 50
    again, expected = make()
    again.epoch(rows[: done * 8 + 400], 8, expected, 0.01)
    assert same_bits(parameters(network), parameters(again))


def test_modes_of_the_processor_survive_an_interrupt():
    network, optimizer = make()
    watcher = once_moving(network, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        network.epoch(long_order(400_000, 8), 8, optimizer, 0.01)
    watcher.join()
    assert np.all(np.full(50, 2.0**-1030) * 0.5 == 2.0**-1031)


def test_a_gradient_can_be_interrupted():
    network, _ = make()
    rows = long_order(1, 20_000_000)
    before = parameters(network)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    with pytest.raises(TimeoutError):
        network.loss_and_grad(rows)
    assert same_bits(parameters(network), before)
    # and the next one is whole
    loss = network.loss_and_grad(rows[:100])[0]
    assert loss == make()[0].loss_and_grad(rows[:100])[0]


@contextlib.contextmanager
def third_signal_raises():
    """The third signal within the block raises an error there: what was pending when a call returned comes once."""
    calls = []

    def third_time(signum, frame):
        calls.append(signum)
        if len(calls) == 3:
            raise TimeoutError

    signal.signal(signal.SIGALRM, third_time)
    signal.setitimer(signal.ITIMER_REAL, 0.06, 0.06)
    try:
        with pytest.raises(TimeoutError):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("call", ["predict", "evaluate", "gradients", "steps"])
def test_calls_that_do_not_train_can_be_interrupted(call, n_threads):
    units = (6, 200, 200, 3)
    coefs = [np.ones(shape) for shape in pairwise(units)]
    predictor = Predictor(coefs, [np.zeros(n) for n in units[1:]], "tanh", "softmax")
    network = Network(units, "tanh", "log_loss", np.float64, n_threads=n_threads)
    X, rows, nodes = np.zeros((600_000, 6)), long_order(5, 4_000_000), np.full(200_000, 1 / 200_000)
    many, y = np.zeros((4_000_000, 6)), np.zeros(4_000_000, dtype=np.intp)
    with third_signal_raises():
        {
            "predict": lambda: predictor(X, rows, n_threads=n_threads),
            "evaluate": lambda: network.evaluate(many, y),
            "gradients": lambda: input_gradients(predictor, X, n_threads=n_threads),
            "steps": lambda: integrated_gradients(predictor, X[:5], X[:1], nodes, nodes, n_threads=n_threads),
        }[call]()
    assert np.isfinite(input_gradients(predictor, X[:5], n_threads=n_threads)).all()
    assert network.evaluate(many[:5], y[:5]) == pytest.approx(np.log(3))


def test_a_call_can_be_interrupted_while_another_thread_has_its_only_block():
    units = (6, 200, 200, 3)
    predictor = Predictor(
        [np.ones(shape) for shape in pairwise(units)], [np.zeros(n) for n in units[1:]], "tanh", "softmax"
    )
    row, nodes = np.zeros((1, 6)), np.full(100_000, 1e-5)
    for _ in range(12):  # whichever thread takes it
        with third_signal_raises():
            integrated_gradients(predictor, row, row, nodes, nodes, n_threads=5)


def test_a_handler_that_does_not_raise_runs_and_the_epoch_goes_on():
    calls = []
    signal.signal(signal.SIGALRM, lambda signum, frame: calls.append(signum))
    network, optimizer = make()
    watcher = once_moving(network, lambda: os.kill(os.getpid(), signal.SIGALRM))
    network.epoch(long_order(30_000, 8), 8, optimizer, 0.01)
    watcher.join()
    assert calls == [signal.SIGALRM]
    assert optimizer.t == 30_000


def test_other_threads_are_not_disturbed():
    rows = long_order(30_000, 8)
    network, optimizer = make()
    worker = threading.Thread(target=network.epoch, args=(rows, 8, optimizer, 0.01), daemon=True)
    bias, first = network.intercepts[-1], network.intercepts[-1][0]
    with pytest.raises(TimeoutError):
        worker.start()
        while worker.is_alive():
            if bias[0] != first:
                os.kill(os.getpid(), signal.SIGALRM)
    worker.join()
    assert optimizer.t == 30_000


def test_a_call_from_a_handler_is_refused():
    network, optimizer = make()
    signal.signal(signal.SIGALRM, lambda signum, frame: network.loss_and_grad())
    watcher = once_moving(network, lambda: os.kill(os.getpid(), signal.SIGALRM))
    with pytest.raises(RuntimeError, match="in use"):
        network.epoch(long_order(400_000, 8), 8, optimizer, 0.01)
    watcher.join()
    assert 0 < optimizer.t < 400_000
    # and the network is free again
    network.loss_and_grad()
