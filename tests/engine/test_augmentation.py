"""Rows that are changed in training: what is drawn, and epochs with it against the twin; and rows of bytes."""

import numpy as np
import pytest
from networks import DTYPES, bits, data_for, distance, network_for, optimizer_for, parameters, same_bits, train
from twin import TwinNetwork, augmented

from fastmlp.engine import ISAS, Network, Predictor
from fastmlp.engine.architecture import Augmentation, Convolution, Dense, Inputs, MaxPool

CLOSE = {np.float32: 5e-5, np.float64: 1e-13}
SHAPE = (2, 5, 7)
LAYERS = [Inputs(70), Convolution(SHAPE, 4, (3, 3), "tanh"), MaxPool((4, 3, 5), (2, 2)), Dense(9, "relu"), Dense(3)]
CHANGES = {
    "shift": {"shift": (2, 3)},
    "along one axis": {"shift": (0, 6)},
    "mirrored": {"flip": (False, True)},
    "upside down": {"flip": (True, False)},
    "noise": {"noise": 0.3},
    "all": {"shift": (4, 1), "flip": (True, True), "noise": 0.1},
}
every_isa = pytest.mark.parametrize("isa", ISAS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)


def made(changes, dtype, n_rows=130, *, kind=Network, layers=LAYERS, shape=SHAPE, **more):
    network = network_for(
        layers, None, "log_loss", dtype, kind=kind, augmentation=Augmentation(shape, **changes), **more
    )
    network.bind(*data_for(layers, "log_loss", n_rows, dtype, weights=True))
    return network


@every_isa
@every_dtype
@pytest.mark.parametrize("changes", CHANGES)
def test_twin(changes, dtype, isa):
    nets = [made(CHANGES[changes], dtype, isa=isa), made(CHANGES[changes], dtype, kind=TwinNetwork)]
    losses = [train(net, optimizer_for(net, "adam"), 40) for net in nets]
    np.testing.assert_allclose(*losses, rtol=CLOSE[dtype])
    assert distance(*map(parameters, nets)) < CLOSE[dtype]
    # what is predicted and evaluated is left as it is
    X, y, _ = data_for(LAYERS, "log_loss", 30, dtype, seed=3)
    np.testing.assert_allclose(*(net.predict(X) for net in nets), rtol=20 * CLOSE[dtype])
    np.testing.assert_allclose(*(net.evaluate(X, y) for net in nets), rtol=CLOSE[dtype])


@every_dtype
def test_with_dropout_of_the_input(dtype):
    rates = [0.2, 0.0, 0.0, 0.3]
    nets = [made(CHANGES["all"], dtype, kind=kind, dropout=rates) for kind in (Network, TwinNetwork)]
    losses = [train(net, optimizer_for(net, "adam"), 40) for net in nets]
    np.testing.assert_allclose(*losses, rtol=CLOSE[dtype])


@every_dtype
@pytest.mark.parametrize("batch_size", [40, 1300])
def test_the_bits_depend_neither_on_threads_nor_on_the_order_in_memory(batch_size, dtype):
    reached = []
    X, y, _ = data_for(LAYERS, "log_loss", 1400, dtype)
    rows = np.random.default_rng(0).permutation(1400)
    for n_threads, order in ((1, None), (2, None), (3, None), (2, rows)):
        network = made(CHANGES["all"], dtype, 10, n_threads=n_threads)
        network.bind(X if order is not None else X[rows], y if order is not None else y[rows])
        losses = train(network, optimizer_for(network, "adam"), batch_size, epochs=1, rows=order)
        reached.append([np.array(losses), *parameters(network)])
    assert all(same_bits(arrays, reached[0]) for arrays in reached)


def test_after_a_call_that_changes_nothing():
    """The workspaces of such a call serve the next one: rows of another precision are gathered in both."""
    X, y, _ = data_for(LAYERS, "log_loss", 130, np.float64)
    reached = []
    for first in (False, True):
        network = made(CHANGES["all"], np.float32, n_threads=2)
        network.bind(X, y)
        if first:
            network.loss_and_grad()
        reached.append([np.array(train(network, optimizer_for(network, "adam"), 130)), *parameters(network)])
    assert same_bits(*reached)


@pytest.mark.skipif(len(ISAS) < 3, reason="one instruction set besides the portable kernels")
@every_dtype
def test_instruction_sets_agree(dtype):
    reached = []
    for isa in ISAS:
        if isa != "baseline":
            network = made(CHANGES["all"], dtype, isa=isa)
            reached.append([np.array(train(network, optimizer_for(network, "adam"), 40)), *parameters(network)])
    assert all(same_bits(arrays, reached[0]) for arrays in reached)


@every_dtype
def test_shards(dtype):
    X, y, _ = data_for(LAYERS, "log_loss", 600, dtype)
    reached = []
    for ends in ([600], [256, 600]):
        network = made(CHANGES["all"], dtype, 10)
        optimizer = optimizer_for(network, "adam")
        for start, stop in zip([0, *ends], ends, strict=False):
            network.bind(X[start:stop], y[start:stop])
            loss = network.epoch(None, 64, optimizer, 0.01, first_row=start, more=stop < 600)
        reached.append([np.array(loss), *parameters(network)])
    assert same_bits(*reached)


def test_what_is_drawn():
    """As the twin draws it: all places as often as each other, flips of half, normal noise; others for each update."""
    n = 4000
    marked = np.zeros((1, 5, 7))
    marked[0, 2, 3] = 1
    X = np.repeat(marked.reshape(1, -1), n, axis=0)
    moved = augmented(X, Augmentation((1, 5, 7), (2, 3)), 3, 5, 0)
    places = moved.sum(axis=0).reshape(5, 7)
    assert (moved.sum(axis=1) == 1).all()
    assert abs(places - n / 35).max() < 4.5 * np.sqrt(n / 35)
    X = np.repeat(np.arange(35.0)[None], n, axis=0)
    flipped = augmented(X, Augmentation((1, 5, 7), flip=(True, True)), 3, 5, 0)
    _, counts = np.unique(flipped[:, 0], return_counts=True)
    assert len(counts) == 4 and abs(counts - n / 4).max() < 4 * np.sqrt(n / 4)
    noise = augmented(np.zeros((n, 35)), Augmentation((1, 5, 7), noise=2.0), 3, 5, 0) / 2
    assert abs(noise.mean()) < 4 / np.sqrt(noise.size)
    assert noise.std() == pytest.approx(1, abs=0.01)
    assert (noise**4).mean() == pytest.approx(3, abs=0.1)
    assert np.abs(np.corrcoef(noise.T) - np.eye(35)).max() < 5 / np.sqrt(n)
    other = augmented(np.zeros((n, 35)), Augmentation((1, 5, 7), noise=2.0), 3, 6, 0) / 2
    assert abs((noise * other).mean()) < 4 / np.sqrt(noise.size)


@pytest.mark.parametrize(
    "augmentation, match",
    [
        (Augmentation((2, 5, 6)), "rows of 60 numbers, the network has 70"),
        (Augmentation((70,)), r"shape=\(70,\): \(channels, height, width\)"),
        (Augmentation(SHAPE, (5, 0)), r"shift=\(5, 0\): two numbers from 0 to less than"),
        (Augmentation(SHAPE, (0, -1)), r"shift=\(0, -1\)"),
        (Augmentation(SHAPE, (0, 1.0)), r"shift=\(0, 1.0\)"),
        (Augmentation(SHAPE, flip=(1, 0)), r"flip=\(1, 0\): two of True or False"),
        (Augmentation(SHAPE, noise=-0.1), "noise=-0.1: a number that is not negative"),
        (Augmentation(SHAPE, noise=np.nan), "noise=nan"),
    ],
    ids=str,
)
def test_augmentation_that_is_refused(augmentation, match):
    with pytest.raises(ValueError, match=match):
        Network(LAYERS, None, "log_loss", np.float32, augmentation=augmentation)


def test_a_seed_is_needed():
    network = made({"noise": 0.1}, np.float32)
    optimizer = optimizer_for(network, "adam")
    optimizer.dropout_seed = None
    with pytest.raises(ValueError, match="a network with dropout or augmentation needs an int"):
        network.epoch(None, 40, optimizer, 0.0)
    assert network.draws and not network_for(LAYERS, None, "log_loss", np.float32).draws


# ---- bytes ----


@every_isa
@every_dtype
def test_bytes_are_divided_by_255(dtype, isa):
    X = np.random.default_rng(0).integers(256, size=(150, 70), dtype=np.uint8)
    _, y, _ = data_for(LAYERS, "log_loss", 150, dtype)
    rows, reached = np.random.default_rng(1).permutation(150), []
    for data in (X, (X.astype(dtype) / dtype(255)).astype(dtype)):
        network = network_for(LAYERS, None, "log_loss", dtype, isa=isa)
        network.bind(data, y)
        losses = train(network, optimizer_for(network, "adam"), 40, rows=rows)
        predictor = Predictor.of(LAYERS, [array for _, array, _ in network.parameters], "softmax", isa=isa)
        loss = np.array([*losses, network.evaluate(data, y)])
        reached.append(
            [loss, *parameters(network), network.predict(data), predictor(data, rows), predictor.quick(data)]
        )
    assert same_bits(*reached)
    assert np.array_equal(bits(reached[0][-1][rows]), bits(reached[0][-2]))


def test_bytes_that_are_refused():
    network = network_for([Inputs(3), Dense(2)], None, "log_loss", np.float32)
    for X in (np.zeros((4, 3), np.int8), np.zeros((4, 3), np.uint16), np.zeros((4, 3), bool)):
        with pytest.raises(ValueError, match="float32 or float64, or dense of uint8, not 2-d of"):
            network.predict(X)
