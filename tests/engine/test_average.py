"""Averages of networks."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fastmlp.engine import ISAS, Average, Network, Predictor
from fastmlp.engine.architecture import Dense, Embedding, Inputs, Numbers, Parametric, Periodic, Scale

INPUTS = Inputs(3, (4, 2))
LAYERS = [
    [INPUTS, Periodic(frequencies=5), Numbers(), Embedding(3), Scale(), Dense(17), Parametric("selu"), Dense(2)],
    [INPUTS, Numbers(), Embedding(2), Dense(9, "relu"), Dense(33, "mish"), Dense(2)],
    [INPUTS, Dense(2)],
]
WEIGHTS = (0.5, 0.2, 0.3)


def parameters_of(layers, seed):
    rng = np.random.default_rng(seed)
    network = Network(layers, None, "log_loss", np.float32)
    return [rng.standard_normal(array.shape).astype(np.float32) for _, array, _ in network.parameters]


def rows(n):
    rng = np.random.default_rng(n)
    codes = np.column_stack([rng.integers(-1, levels, n) for levels in INPUTS.levels]).astype(np.int32)
    return rng.standard_normal((n, INPUTS.n_features)).astype(np.float32), codes


def outputs(layers, parameters, loss, X, codes):
    """Of one member, by `Network`."""
    network = Network(layers, None, loss, np.float32)
    for (_, own, _), given in zip(network.parameters, parameters, strict=True):
        own[...] = given
    return network.predict(X, codes=codes)


MEMBERS = [(layers, parameters_of(layers, i)) for i, layers in enumerate(LAYERS)]


@pytest.mark.parametrize("loss", ["log_loss", "squared_error"])
@pytest.mark.parametrize("n_rows", [1, 7, 300])
def test_members_of_any_layers_and_weights(loss, n_rows):
    X, codes = rows(n_rows)
    average = Average([(*member, weight) for member, weight in zip(MEMBERS, WEIGHTS, strict=True)], loss)
    each = [outputs(*member, loss, X, codes) for member in MEMBERS]
    found = average(X, codes)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.tensordot(WEIGHTS, np.array(each, np.float64), 1), rtol=1e-5, atol=1e-6)
    total = each[0].copy()  # the weights divided by the largest, in the order of the members
    for one, weight in zip(each[1:], WEIGHTS[1:], strict=True):
        total += one * np.float32(weight / WEIGHTS[0])
    np.testing.assert_array_equal(found, total * np.float32(WEIGHTS[0]))


@pytest.mark.parametrize("isa", ISAS)
def test_the_same_bits_for_any_rows_and_threads(isa):
    X, codes = rows(700)
    average = Average([(*member, weight) for member, weight in zip(MEMBERS, WEIGHTS, strict=True)], "log_loss", isa=isa)
    expected = average(X, codes)
    for n_threads in (1, 2, 3):
        np.testing.assert_array_equal(average(X, codes, n_threads=n_threads), expected)
        for start, stop in ((0, 1), (5, 12), (100, 164), (300, 699)):
            part = average(X[start:stop], codes[start:stop], n_threads=n_threads)
            np.testing.assert_array_equal(part, expected[start:stop])


def test_calls_at_once_do_not_meet():
    X, codes = rows(900)
    average = Average([(*member, weight) for member, weight in zip(MEMBERS, WEIGHTS, strict=True)], "log_loss")
    expected = average(X, codes)

    def predict(start):
        return average(X[start : start + 60], codes[start : start + 60], n_threads=1 + start % 2)

    with ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            for start, part in enumerate(pool.map(predict, range(200))):
                np.testing.assert_array_equal(part, expected[start : start + 60])


def test_float64():
    X, codes = rows(30)
    members = [(layers, [array.astype(np.float64) for array in parameters]) for layers, parameters in MEMBERS]
    average = Average([(*member, weight) for member, weight in zip(members, WEIGHTS, strict=True)], "squared_error")
    expected = np.zeros((30, 2))
    for (layers, parameters), weight in zip(members, WEIGHTS, strict=True):
        expected += weight * Predictor.of(layers, parameters, "identity")(X, codes=codes)
    found = average(X, codes)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)


def test_equal_weights_are_a_plain_mean():
    X, codes = rows(50)
    average = Average([(*member, 1 / 3) for member in MEMBERS], "squared_error")
    total = sum(outputs(*member, "squared_error", X, codes) for member in MEMBERS)
    np.testing.assert_array_equal(average(X, codes), total * np.float32(1 / 3))


def test_a_member_alone_and_one_of_no_weight():
    X, codes = rows(20)
    expected = outputs(*MEMBERS[1], "log_loss", X, codes)
    for members in ([(*MEMBERS[1], 1.0)], [(*MEMBERS[0], 0.0), (*MEMBERS[1], 1.0)]):
        np.testing.assert_array_equal(Average(members, "log_loss")(X, codes), expected)


def test_parameters_are_copied():
    X, codes = rows(5)
    parameters = [array.copy() for array in MEMBERS[0][1]]
    average = Average([(LAYERS[0], parameters, 1.0)], "log_loss")
    before = average(X, codes)
    for array in parameters:
        array[...] = 0
    np.testing.assert_array_equal(average(X, codes), before)


@pytest.mark.parametrize("weights", [(0.5, 0.6, 0.1), (0.5, 0.7, -0.2), (0.5, 0.5, np.nan), (0, 0, 0)])
def test_weights_are_refused(weights):
    with pytest.raises(ValueError, match="members: weights of at least 0 that add up to 1"):
        Average([(*member, weight) for member, weight in zip(MEMBERS, weights, strict=True)], "log_loss")


def test_data_are_refused():
    X, codes = rows(4)
    average = Average([(*MEMBERS[0], 1.0)], "log_loss")
    for wrong, of, match in (
        (X[:, :2].copy(), codes, "X has 2 features, the network 3"),
        (X, codes[:, :1].copy(), "codes: 1 categories, the network has 2"),
        (X, codes + 4, "below"),
        (X, None, "codes: 0 categories, the network has 2"),
        (X.astype(int), codes, "a two-dimensional array of float32 or float64"),
        (X, codes.astype(np.int64), "codes: shape"),
    ):
        with pytest.raises(ValueError, match=match):
            average(wrong, of)


@pytest.mark.parametrize("other", [[INPUTS, Dense(3)], [Inputs(3, (4, 3)), Dense(2)]])
def test_members_must_go_together(other):
    members = [(*MEMBERS[2], 0.5), (other, parameters_of(other, 0), 0.5)]
    with pytest.raises(ValueError, match="members: all of the same inputs and number of outputs"):
        Average(members, "log_loss")
