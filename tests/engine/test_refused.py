"""What the engine refuses, and that a refusal leaves the network as it was."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from networks import bound, data_for, optimizer_for, parameters, same_bits, train

from fastmlp.engine import Network, Predictor

UNITS = (4, 3, 2)


def make(**kwargs):
    return bound(UNITS, "tanh", "log_loss", np.float64, 20, **kwargs)


@pytest.mark.parametrize(
    "args, match",
    [
        (((4,), "relu", "log_loss", np.float64), "layer_units"),
        (((), "relu", "log_loss", np.float64), "layer_units"),
        (((4, 0), "relu", "log_loss", np.float64), "layer_units"),
        (((4, -3, 2), "relu", "log_loss", np.float64), "layer_units"),
        (((4, 2**31, 2), "relu", "log_loss", np.float64), "layer_units"),
        (((4, 2), "cosine", "log_loss", np.float64), "unknown activation 'cosine': one of .*'relu'"),
        (((4, 2), "relu", "zero_one", np.float64), "unknown loss 'zero_one': one of .*'log_loss'"),
        (((4, 2), "relu", "log_loss", np.float16), "float32 or float64"),
        (((4, 2), "relu", "log_loss", np.int64), "float32 or float64"),
        (((4, 2), "relu", "log_loss", ">f8"), "float32 or float64"),
    ],
)
def test_network(args, match):
    with pytest.raises(ValueError, match=match):
        Network(*args)


@pytest.mark.parametrize("n_threads", [0, -1])
def test_n_threads(n_threads):
    network = make(n_threads=n_threads)
    with pytest.raises(ValueError, match=f"n_threads={n_threads}: at least 1"):
        network.loss_and_grad()


def test_parameters_that_do_not_fit():
    with pytest.raises(MemoryError):
        Network((2**31 - 1, 2**31 - 1), "relu", "log_loss", np.float64)


X, Y, WEIGHT = data_for(UNITS, "log_loss", 20, np.float64, weights=True)
CSR = data_for(UNITS, "log_loss", 20, np.float64, sparse=np.int32)[0]


@pytest.mark.parametrize(
    "data, match",
    [
        ((X[:, :3].copy(), Y), "X has 3 features, the network 4"),
        ((X.ravel(), Y), "X: a two-dimensional array"),
        ((X.astype(np.float16), Y), "float16"),
        ((X.astype(np.int64), Y), "int64"),
        ((np.asfortranarray(X), Y), "C-contiguous"),
        ((np.ones((20, 8))[:, ::2], Y), "C-contiguous"),
        ((CSR.tocsc(), Y), "CSR"),
        ((CSR.tocoo(), Y), "CSR"),
        ((CSR.astype(np.int64), Y), "int64"),
        ((X, Y[:-1]), "y: shape"),
        ((X, Y.astype(np.int32)), "y: shape"),
        ((X, Y[:, None]), "y: shape"),
        ((X, np.full(20, 2)), "y: codes from 0 to 1"),
        ((X, np.full(20, -1)), "y: codes from 0 to 1"),
        ((X, np.zeros(40, dtype=np.intp)[::2]), "C-contiguous"),
        ((X, Y, WEIGHT[:-1]), "sample_weight"),
        ((X, Y, WEIGHT.astype(np.float32)), "sample_weight"),
        ((X, Y, np.ones((20, 1))), "sample_weight"),
        ((X, 1 - Y, np.ones(40)[::2]), "C-contiguous"),
    ],
)
def test_bind(data, match):
    network, expected = make(), make()
    with pytest.raises((ValueError, BufferError), match=match):
        network.bind(*data)
    # the data of before are still bound
    for net in (network, expected):
        train(net, optimizer_for(net, "sgd"), 7)
    assert same_bits(parameters(network), parameters(expected))


@pytest.mark.parametrize("loss", ["squared_error", "poisson", "binary_log_loss"])
@pytest.mark.parametrize("y", [np.zeros((20, 3)), np.zeros(20), np.zeros((20, 2), dtype=np.int64)])
def test_targets_of_other_losses(y, loss):
    network = Network(UNITS, "tanh", loss, np.float64)
    with pytest.raises(ValueError, match="y: shape"):
        network.bind(X, y)


def test_targets_of_another_precision():
    network = Network(UNITS, "tanh", "squared_error", np.float32)
    with pytest.raises(ValueError, match="y: shape .* float32"):
        network.bind(X.astype(np.float32), np.zeros((20, 2)))


@pytest.mark.parametrize(
    "rows, error, match",
    [
        (np.arange(20, dtype=np.int32), ValueError, "rows: a one-dimensional array of intp"),
        (np.arange(20).reshape(4, 5), ValueError, "rows: a one-dimensional array of intp"),
        (np.arange(20)[::2], (ValueError, BufferError), "contiguous"),
        (np.array([0, 20]), IndexError, "rows: numbers from 0 to 19"),
        (np.array([-1, 3]), IndexError, "rows: numbers from 0 to 19"),
        (np.empty(0, dtype=np.intp), ValueError, "no rows"),
    ],
)
def test_rows(rows, error, match):
    network = make()
    optimizer = optimizer_for(network, "sgd")
    train(network, optimizer, 7, epochs=1)
    before = parameters(network)
    with pytest.raises(error, match=match):
        network.epoch(rows, 7, optimizer, 0.0)
    with pytest.raises(error, match=match):
        network.loss_and_grad(rows)
    assert optimizer.t == 3
    assert same_bits(parameters(network), before)


@pytest.mark.parametrize("batch_size", [0, -5])
def test_batch_size(batch_size):
    network = make()
    with pytest.raises(ValueError, match=f"batch_size={batch_size}: at least 1"):
        network.epoch(None, batch_size, optimizer_for(network, "sgd"), 0.0)


def changed(**attributes):
    network = make()
    return network, SimpleNamespace(**(vars(optimizer_for(network, "sgd")) | attributes))


@pytest.mark.parametrize(
    "attributes, match",
    [
        ({"name": "newton"}, "unknown optimizer 'newton': one of"),
        ({"name": "adam"}, "1 state arrays, not 2"),
        ({"state": []}, "0 state arrays, not 1"),
        ({"state": [np.zeros(5)]}, "state: shape"),
        ({"hyper": {"friction": 0.5}}, "unknown optimizer parameter 'friction'"),
    ],
)
def test_optimizer(attributes, match):
    network, optimizer = changed(**attributes)
    with pytest.raises(ValueError, match=match):
        network.epoch(None, 5, optimizer, 0.0)
    assert optimizer.t == 0


def test_state_of_another_precision():
    network, optimizer = changed()
    optimizer.state = [array.astype(np.float32) for array in optimizer.state]
    with pytest.raises(ValueError, match="state: shape .* float64"):
        network.epoch(None, 5, optimizer, 0.0)


def test_state_that_is_read_only():
    network, optimizer = changed()
    optimizer.state[0].flags.writeable = False
    with pytest.raises((ValueError, BufferError), match="read-only"):
        network.epoch(None, 5, optimizer, 0.0)


@pytest.mark.parametrize("call", ["net.loss_and_grad()", "net.epoch(None, 5, opt, 0.0)"])
def test_nothing_is_bound(call):
    # in a process of its own, which a missing check would end
    code = f"""if True:
        from types import SimpleNamespace
        from fastmlp.engine import Network
        net = Network((4, 3, 2), "tanh", "log_loss", "float64")
        hyper = {{"momentum": 0.9, "nesterov": True}}
        opt = SimpleNamespace(name="sgd", rate=0.1, t=0, hyper=hyper, state=[net.new_state()])
        try:
            {call}
        except ValueError as error:
            print(error)
    """
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "bind" in process.stdout
    assert process.returncode == 0


W, B = [np.ones((4, 3)), np.ones((3, 2))], [np.ones(3), np.ones(2)]


@pytest.mark.parametrize(
    "coefs, intercepts, names, match",
    [
        (W, B[:1], ("relu", "softmax"), "zip|shorter"),
        (W[::-1], B, ("relu", "softmax"), "weights"),
        (W, B[::-1], ("relu", "softmax"), "biases"),
        ([W[0], W[1].astype(np.float32)], B, ("relu", "softmax"), "all of float64"),
        (W, [B[0], B[1].astype(np.float32)], ("relu", "softmax"), "all of float64"),
        ([W[0].ravel()], B[:1], ("relu", "softmax"), "weights"),
        ([np.asfortranarray(W[0]), W[1]], B, ("relu", "softmax"), "contiguous"),
        ([w.astype(int) for w in W], [b.astype(int) for b in B], ("relu", "softmax"), "float32 or float64"),
        (W, B, ("cosine", "softmax"), "unknown activation 'cosine'"),
        (W, B, ("relu", "cosine"), "unknown activation 'cosine'"),
        ([], [], ("relu", "softmax"), "layer"),
    ],
)
def test_predictor(coefs, intercepts, names, match):
    with pytest.raises((ValueError, BufferError), match=match):
        Predictor(coefs, intercepts, *names)


@pytest.mark.parametrize(
    "data, error, match",
    [
        ((X[:, :3].copy(),), ValueError, "X has 3 features, the network 4"),
        ((X[0],), ValueError, "two-dimensional"),
        ((np.asfortranarray(X),), (ValueError, BufferError), "contiguous"),
        ((CSR.tocsc(),), ValueError, "CSR"),
        ((X, np.array([20])), IndexError, "rows: numbers from 0 to 19"),
        ((X, np.array([1.0])), ValueError, "rows: a one-dimensional array of intp"),
    ],
)
def test_prediction(data, error, match):
    predictor = Predictor(W, B, "relu", "softmax")
    with pytest.raises(error, match=match):
        predictor(*data)
