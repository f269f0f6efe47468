"""Recurrent layers beside PyTorch's, and sequences of unequal lengths."""

import numpy as np
import pytest
from networks import DTYPES, distance, gradients, network_for, optimizer_for, parameters, same_bits, train
from scipy.special import softmax
from twin import TwinNetwork

from fastmlp.engine import ISAS, Network, Predictor, input_gradients
from fastmlp.engine.architecture import GRU, LSTM, Dense, Inputs

every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
every_cell = pytest.mark.parametrize("cell", [GRU, LSTM], ids=lambda cell: cell.__name__)
every_output = pytest.mark.parametrize("output", ["last", "mean", "all"])
DIRECTIONS = ({}, {"reverse": True}, {"bidirectional": True})
every_direction = pytest.mark.parametrize("direction", DIRECTIONS, ids=str)

STEPS, CHANNELS, UNITS = 7, 3, 5


def of_lengths(lengths, dtype, *, seed=0, behind=0.0):
    """Rows of these lengths, with something behind their last steps."""
    X = np.random.default_rng(seed).standard_normal((len(lengths), CHANNELS, STEPS))
    X[np.broadcast_to((np.arange(STEPS) >= np.floor(lengths)[:, None])[:, None], X.shape)] += behind
    return np.hstack([X.reshape(len(X), -1), np.asarray(lengths, dtype=float)[:, None]]).astype(dtype)


def layers_with(cell, output="last", *, lengths=True, layers=1, **direction):
    first = cell(STEPS, CHANNELS, UNITS, output if layers == 1 else "all", lengths=lengths, **direction)
    made = [Inputs(first.reads), first]
    for i in range(1, layers):
        before, left = made[-1].shape_out[0], output if i == layers - 1 else "all"
        made.append(cell(STEPS, before, UNITS + i, left, lengths=lengths and "inputs", **direction))
    return [*made, Dense(4)]


# more rows than take their steps together, in no order
LENGTHS = np.array([7, 0, 3, 3, 1, 6, 7, 2, 5, 0, 4, 7, 1, 3, 6, 2, 7, 7, 0, 5, 2, 1, 4, 6, 3, 7, 5, 1, 2, 0, 7, 4, 6])
Y = np.random.default_rng(5).integers(4, size=len(LENGTHS))


def check_unequal_lengths(layers, dtype, isa):
    X, reached = of_lengths(LENGTHS, dtype), []
    for kind, more in ((Network, {"isa": isa, "n_threads": 2}), (TwinNetwork, {})):
        network = network_for(layers, None, "log_loss", dtype, kind=kind, **more)
        network.bind(X, Y)
        reached.append([network.predict(X), *gradients(network), *train(network, optimizer_for(network, "adam"), 20)])
    assert distance(*reached) < (2e-5 if dtype == np.float32 else 1e-13)
    network = network_for(layers, None, "log_loss", dtype, isa=isa)
    arrays = [array for _, array, _ in network.parameters]
    expected = network_for(layers, None, "log_loss", dtype, kind=TwinNetwork).input_gradients(X)
    slopes = input_gradients(Predictor.of(layers, arrays, "softmax", isa=isa), X)
    assert distance([slopes], [expected]) < (2e-5 if dtype == np.float32 else 1e-13)
    assert not slopes[:, :, -1].any()


@pytest.mark.parametrize("isa", ISAS)
@every_dtype
@every_cell
@every_output
@every_direction
def test_unequal_lengths(direction, output, cell, dtype, isa):
    check_unequal_lengths(layers_with(cell, output, **direction), dtype, isa)


@pytest.mark.parametrize("more", [{"layers": 3}, {"truncation": 3}, {"layers": 2, "truncation": 2}], ids=str)
@every_cell
@every_output
@every_direction
def test_further_layers_and_truncation(direction, output, cell, more):
    """Further layers read from the network's input how many steps there are."""
    check_unequal_lengths(layers_with(cell, output, **direction, **more), np.float64, ISAS[0])


@every_dtype
@every_cell
@every_output
@every_direction
@pytest.mark.parametrize("layers", [1, 2])
def test_what_stands_behind_the_last_step_is_not_read(layers, direction, output, cell, dtype):
    reached = []
    for behind in (0.0, 100.0, np.nan):
        network = network_for(layers_with(cell, output, layers=layers, **direction), None, "log_loss", dtype)
        X = of_lengths(LENGTHS, dtype, behind=behind)
        network.bind(X, Y)
        losses = train(network, optimizer_for(network, "adam"), 20)
        reached.append([np.array(losses), network.predict(X), *parameters(network)])
    assert all(same_bits(arrays, reached[0]) for arrays in reached)
    assert np.isfinite(reached[0][0]).all()


@every_cell
@every_output
@every_direction
def test_a_row_is_what_a_layer_of_its_length_makes_of_it(direction, output, cell):
    network = network_for(layers_with(cell, output, **direction), None, "log_loss", np.float64)
    X, recurrent, dense = of_lengths(LENGTHS, np.float64), network.coefs[0], network.coefs[1]
    together, width = network.predict(X), UNITS * (1 + direction.get("bidirectional", False))
    for length, row, reached in zip(LENGTHS, X, together, strict=True):
        if length == 0:
            z = network.intercepts[1]
        else:
            seen = slice(length if output == "all" else 1)
            weights = dense.reshape(width, -1, 4)[:, seen].reshape(-1, 4).copy()
            layer = cell(int(length), CHANNELS, UNITS, output, **direction)
            arrays = [recurrent, network.intercepts[0], weights, network.intercepts[1]]
            alone = Predictor.of([Inputs(layer.reads), layer, Dense(4)], arrays, "identity")
            z = alone(row[:-1].reshape(CHANNELS, STEPS)[:, :length].flatten()[None])[0]
        np.testing.assert_allclose(reached, softmax(z), rtol=1e-12)


@every_cell
@every_output
def test_truncation_is_a_network_for_each_part(output, cell):
    """Deltas as of a network that begins with the states before, which are taken as they are; outputs as without."""
    layers = {k: layers_with(cell, output, lengths=False, truncation=k) for k in (None, 3, 4, STEPS, STEPS + 1)}
    X = np.random.default_rng(0).standard_normal((9, CHANNELS * STEPS))
    networks = {k: network_for(made, None, "log_loss", np.float64) for k, made in layers.items()}
    reached = {}
    for k, network in networks.items():
        network.bind(X, Y[:9])
        reached[k] = gradients(network)
        assert same_bits([network.predict(X)], [networks[None].predict(X)])
    for k in (STEPS, STEPS + 1):
        assert same_bits(reached[k], reached[None])
    if output == "last":  # the inputs of the parts before have no part in it
        arrays = [array for _, array, _ in networks[3].parameters]
        slopes = input_gradients(Predictor.of(layers[3], arrays, "softmax"), X).reshape(9, 4, CHANNELS, STEPS)
        assert not slopes[..., :6].any() and slopes[..., 6:].all()
        whole = input_gradients(Predictor.of(layers[None], arrays, "softmax"), X).reshape(9, 4, CHANNELS, STEPS)
        np.testing.assert_allclose(slopes[..., 6], whole[..., 6], rtol=1e-12)
    assert distance(reached[3][:1], reached[None][:1]) > 1e-3


@every_dtype
@pytest.mark.parametrize("layers", [1, 2])
def test_lengths_that_are_no_counts(layers, dtype):
    """Fractions are cut off; beyond the ends they are those of the ends; NaN shows."""
    predict = network_for(layers_with(GRU, "mean", layers=layers), None, "squared_error", dtype).predict
    odd, counts = [2.9, 0.99, -0.0, -3.0, -np.inf, 7.5, 1e30, np.inf], [2, 0, 0, 0, 0, 7, 7, 7]
    assert same_bits([predict(of_lengths(odd, dtype))], [predict(of_lengths(counts, dtype))])
    reached = predict(of_lengths([3, np.nan, 5], dtype))
    assert np.isnan(reached[1]).all()
    assert same_bits([reached[[0, 2]]], [predict(of_lengths([3, 7, 5], dtype))[[0, 2]]])


@pytest.mark.parametrize(
    "layer, match",
    [
        (GRU(0, 3, 5), "steps=0: an integer from 1"),
        (LSTM(7, 0, 5), "channels=0: an integer from 1"),
        (GRU(7, 2.5, 5), "channels=2.5: an integer from 1"),
        (LSTM(7, 3, 0), r"LSTM\(.*units=0.*: units is an integer from 1"),
        (GRU(7, 3, 5, "first"), r"output='first': one of \('last', 'mean', 'all'\)"),
        (LSTM(7, 3, 5, reverse=True, bidirectional=True), "reverse=True: of one direction, not with bidirectional"),
        (GRU(7, 4, 5), "the layer before leaves 21 numbers, not 28"),
        (GRU(7, 3, 5, lengths="input"), "lengths='input': False, True or \"inputs\""),
        (GRU(7, 3, 5, truncation=0), "truncation=0: an integer of 1 or more, or None"),
        (LSTM(7, 3, 5, truncation=1.5), "truncation=1.5: an integer of 1 or more, or None"),
        (GRU(7, 3, 5, lengths=True), "the layer before leaves 21 numbers, not 22"),
    ],
    ids=str,
)
def test_layers_that_are_none(layer, match):
    with pytest.raises(ValueError, match=match):
        Network([Inputs(21), layer, Dense(2)], None, "log_loss", np.float32)


def test_parameters_are_listed_as_those_of_dense_layers():
    layers = [
        Inputs(22), GRU(7, 3, 5, "all", bidirectional=True, lengths=True, weights="recurrent"), LSTM(7, 10, 4), Dense(2)
    ]  # fmt: skip
    network = Network(layers, None, "log_loss", np.float32)
    assert [(name, array.shape, group) for name, array, group in network.parameters] == [
        ("coefs.0", (8, 30), "recurrent"), ("intercepts.0", (40,), "biases"), ("coefs.1", (14, 16), "weights"),
        ("intercepts.1", (16,), "biases"), ("coefs.2", (4, 2), "weights"), ("intercepts.2", (2,), "biases"),
    ]  # fmt: skip
    assert [W.shape for W in network.coefs] == [(8, 30), (14, 16), (4, 2)]


# ---- PyTorch ----


def weights_for_pytorch(torch, layer, W, b):
    """A layer's parameters as PyTorch has them, differentiable functions of ours."""
    n, channels, of_all = layer.gates * layer.units, layer.channels, []
    for direction in range(1 + layer.bidirectional):
        weights, biases = W[:, direction * n :][:, :n], b[direction * 4 * layer.units :][: 4 * layer.units]
        of_states = torch.zeros(n, dtype=b.dtype)
        if layer.gates == 3:
            of_states = torch.cat([of_states[: 2 * layer.units], biases[n:]])
        of_all += [weights[:channels].T, weights[channels:].T, biases[:n], of_states]
    return of_all


@every_cell
@every_output
@every_direction
@pytest.mark.parametrize("lengths", [False, True])
def test_steps_of_pytorch(lengths, direction, output, cell):
    """Two layers, the second of both directions, in float64 from the same start."""
    torch = pytest.importorskip("torch")
    first = cell(STEPS, CHANNELS, UNITS, "all", lengths=lengths)
    second = cell(STEPS, UNITS, 6, output, **direction)
    layers = [Inputs(first.reads), first, second, Dense(4)]
    if lengths:  # a layer behind knows no lengths
        layers = layers_with(cell, output, **direction)
    counts = np.where(LENGTHS == 0, 4, LENGTHS) if lengths else np.full(len(LENGTHS), STEPS)
    X = of_lengths(counts, np.float64)[:, : layers[0].n_features].copy()
    network = network_for(layers, None, "log_loss", np.float64)
    network.bind(X, Y)
    tensors = [torch.tensor(array.copy(), requires_grad=True) for _, array, _ in network.parameters]
    theirs, targets = torch.optim.Adam(tensors, 0.01, (0.9, 0.999), 1e-8), torch.tensor(Y)
    ends, seen = torch.tensor(counts), torch.arange(STEPS) < torch.tensor(counts)[:, None]
    for _ in range(5):
        x = torch.tensor(X[:, : CHANNELS * STEPS].reshape(-1, CHANNELS, STEPS)).transpose(1, 2)
        for layer, W, b in zip(layers[1:-1], tensors[::2], tensors[1::2], strict=False):
            kind = torch.nn.GRU if cell is GRU else torch.nn.LSTM
            both = layer.bidirectional or layer.reverse
            module = kind(layer.channels, layer.units, batch_first=True, bidirectional=both, dtype=torch.float64)
            values = weights_for_pytorch(torch, layer, W, b)
            if layer.reverse:  # the other direction plays no part
                values = [torch.zeros_like(value) for value in values] + values
            names = [name for name, _ in module.named_parameters()]
            packed = torch.nn.utils.rnn.pack_padded_sequence(x, ends, batch_first=True, enforce_sorted=False)
            found, states = torch.func.functional_call(module, dict(zip(names, values, strict=True)), (packed,))
            x, _ = torch.nn.utils.rnn.pad_packed_sequence(found, batch_first=True, total_length=STEPS)
            h = (states if cell is GRU else states[0]).transpose(0, 1)
            if layer.reverse:
                x, h = x[:, :, layer.units :], h[:, 1:]
            if layer.output == "mean":
                h = (x * seen[:, :, None]).sum(dim=1) / ends[:, None]
            elif layer.output == "all":
                h = x.transpose(1, 2)
        z = h.reshape(len(h), -1) @ tensors[-2] + tensors[-1]
        loss = torch.nn.functional.cross_entropy(z, targets)
        theirs.zero_grad()
        loss.backward()
        theirs.step()
    hyper = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8, "weight_decay": 0.0}
    losses = train(network, optimizer_for(network, "adamw", hyper), len(Y), epochs=5, alpha=0.0)
    assert losses[-1] == pytest.approx(float(loss.detach()), rel=1e-11)
    for (_, array, _), tensor in zip(network.parameters, tensors, strict=True):
        np.testing.assert_allclose(array, tensor.detach().numpy(), rtol=1e-8, atol=1e-10)
