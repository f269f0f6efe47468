"""Networks against the NumPy twin: losses, gradients, epochs and predictions."""

import gc
import sys

import numpy as np
import pytest
import scipy.sparse
import twin
from networks import (
    DTYPES,
    OPTIMIZER_CASES,
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
    with_index_dtype,
)

from fastmlp.engine import (
    ACTIVATIONS,
    ISAS,
    LOSSES,
    OPTIMIZERS,
    Network,
    Predictor,
    forward,
)
from fastmlp.engine.kernels import DEFAULT_ISA
from fastmlp.engine.memory import Arena

# some five times the largest distances that these tests show
CLOSE = {np.float32: 2e-5, np.float64: 5e-14}

every_isa = pytest.mark.parametrize("isa", ISAS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
every_loss = pytest.mark.parametrize("loss", LOSSES)
every_activation = pytest.mark.parametrize("activation", ACTIVATIONS)
every_optimizer = pytest.mark.parametrize(
    "optimizer, hyper",
    OPTIMIZER_CASES,
    ids=lambda case: case if isinstance(case, str) else "-".join(map(str, case.values())),
)

SHAPES = [
    (1, 2),
    (15, 3),
    (129, 1),
    (2, 1, 2),
    (16, 17, 15),
    (31, 100, 5),
    (7, 129, 3),
    (13, 2, 1, 4),
    (5, 16, 31, 2),
    (17, 100, 15, 33),
    (3, 1, 1, 1, 2),
    (100, 31, 17, 64, 10),
]


def check_epochs(network, expected, optimizer, hyper=None, *, batch_size, rows=None, alpha=0.02, epochs=2):
    """Train both and compare losses, parameters, the optimizer's state and its count."""
    close = CLOSE[network.dtype.type]
    ours, theirs = optimizer_for(network, optimizer, hyper), optimizer_for(expected, optimizer, hyper)
    losses = train(network, ours, batch_size, epochs=epochs, alpha=alpha, rows=rows)
    np.testing.assert_allclose(
        losses, train(expected, theirs, batch_size, epochs=epochs, alpha=alpha, rows=rows), rtol=close
    )
    assert ours.t == theirs.t
    assert distance(network.coefs, expected.coefs) < close
    assert distance(network.intercepts, expected.intercepts) < close


def check_gradient(network, expected, *, rows=None, alpha=0.02):
    close = CLOSE[network.dtype.type]
    loss, coef_grads, intercept_grads = network.loss_and_grad(rows, alpha)
    true_loss, true_coef_grads, true_intercept_grads = expected.loss_and_grad(rows, alpha)
    np.testing.assert_allclose(loss, true_loss, rtol=close)
    assert distance(coef_grads, true_coef_grads) < close
    assert distance(intercept_grads, true_intercept_grads) < close


def test_the_twin_knows_every_row_of_the_tables():
    assert set(ACTIVATIONS) == set(twin.ACTIVATIONS)
    assert LOSSES == twin.LOSSES
    assert OPTIMIZERS == twin.OPTIMIZERS


# every activation with every loss, and the optimizers in turn
ROWS = [
    (activation, loss, *OPTIMIZER_CASES[(i + j) % len(OPTIMIZER_CASES)])
    for i, activation in enumerate(ACTIVATIONS)
    for j, loss in enumerate(LOSSES)
]


@every_isa
@every_dtype
@pytest.mark.parametrize(
    "activation, loss, optimizer, hyper", ROWS, ids=lambda part: part if isinstance(part, str) else ""
)
def test_every_row_of_the_tables(activation, loss, optimizer, hyper, dtype, isa):
    network, expected = pair((11, 19, 6, 3), activation, loss, dtype, 45, isa=isa, seed=1)
    check_gradient(network, expected)
    check_epochs(network, expected, optimizer, hyper, batch_size=16)


@every_isa
@every_dtype
@pytest.mark.parametrize(
    "layer_units, loss",
    [(shape, list(LOSSES)[(i + 4 * j) % len(LOSSES)]) for i, shape in enumerate(SHAPES) for j in range(5)],
    ids=lambda part: part if isinstance(part, str) else "-".join(map(str, part)),
)
def test_odd_sizes(layer_units, loss, dtype, isa):
    network, expected = pair(layer_units, "tanh", loss, dtype, 37, isa=isa)
    check_gradient(network, expected)
    check_epochs(network, expected, "sgd", batch_size=10)


@every_dtype
@every_loss
@pytest.mark.parametrize("n_rows, batch_size", [(1, 1), (2, 200), (31, 1), (100, 50), (101, 50), (129, 128), (257, 17)])
def test_batch_sizes(n_rows, batch_size, loss, dtype):
    network, expected = pair((9, 12, 4), "relu", loss, dtype, n_rows)
    check_epochs(network, expected, "adam", batch_size=batch_size)
    assert network.team_size >= 1


@every_isa
@every_dtype
@pytest.mark.parametrize("sparse", [None, np.int32], ids=["dense", "csr"])
@pytest.mark.parametrize("order", ["shuffled", "subset", "repeated"])
def test_rows(order, sparse, dtype, isa):
    network, expected = pair((21, 18, 3), "tanh", "log_loss", dtype, 70, sparse=sparse, weights=True, isa=isa)
    rng = np.random.default_rng(3)
    rows = {
        "shuffled": rng.permutation(70),
        "subset": rng.permutation(70)[:41],
        "repeated": rng.integers(70, size=90),
    }[order]
    check_gradient(network, expected, rows=rows)
    check_epochs(network, expected, "adam", batch_size=16, rows=rows)


@every_dtype
def test_no_rows_means_all_in_order(dtype):
    networks = [bound((8, 9, 2), "relu", "log_loss", dtype, 33) for _ in range(2)]
    for network, rows in zip(networks, [None, np.arange(33)], strict=True):
        train(network, optimizer_for(network, "adam"), 10, rows=rows)
    assert same_bits(parameters(networks[0]), parameters(networks[1]))


@every_isa
@every_dtype
@every_loss
def test_sample_weights(loss, dtype, isa):
    network, expected = pair((10, 14, 3), "tanh", loss, dtype, 60, weights=True, isa=isa)
    check_gradient(network, expected)
    check_epochs(network, expected, "adam", batch_size=16)


@every_dtype
@every_optimizer
def test_a_batch_without_weight_takes_a_step_without_gradient(optimizer, hyper, dtype):
    layer_units = (10, 14, 3)
    X, y, weight = data_for(layer_units, "log_loss", 60, dtype, weights=True)
    weight[16:32] = 0
    networks = [network_for(layer_units, "tanh", "log_loss", dtype, kind=kind) for kind in (Network, twin.TwinNetwork)]
    for network in networks:
        network.bind(X, y, weight)
    check_epochs(*networks, optimizer, hyper, batch_size=16)
    networks[0].bind(X, y, np.zeros(60))
    loss, coef_grads, intercept_grads = networks[0].loss_and_grad(alpha=1.0)
    assert loss == 0
    assert not any(np.any(grad) for grad in coef_grads + intercept_grads)


@every_dtype
def test_weights_of_one_change_nothing(dtype):
    networks = []
    for weight in (None, np.ones(50)):
        X, y, _ = data_for((10, 14, 3), "squared_error", 50, dtype)
        networks.append(network_for((10, 14, 3), "tanh", "squared_error", dtype))
        networks[-1].bind(X, y, weight)
        train(networks[-1], optimizer_for(networks[-1], "sgd"), 16)
    assert same_bits(parameters(networks[0]), parameters(networks[1]))


@every_isa
@every_dtype
@pytest.mark.parametrize("sparse", [None, np.int32, np.int64], ids=["dense", "csr32", "csr64"])
@pytest.mark.parametrize("x_dtype", DTYPES, ids=lambda dtype: "X-" + dtype.__name__)
@pytest.mark.parametrize("rows", [None, np.arange(50)[::-1].copy()], ids=["in-order", "reversed"])
def test_precision_and_kind_of_the_data(rows, x_dtype, sparse, dtype, isa):
    network, expected = pair((19, 20, 4), "tanh", "log_loss", dtype, 50, x_dtype=x_dtype, sparse=sparse, isa=isa)
    check_gradient(network, expected, rows=rows)
    check_epochs(network, expected, "adam", batch_size=16, rows=rows)


@every_isa
@every_dtype
@pytest.mark.parametrize("index_dtype", [np.int32, np.int64], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("layer_units", [(30, 7), (150, 64, 5), (997, 3, 3)], ids=["flat", "tiles", "wide"])
def test_sparse_equals_dense(layer_units, index_dtype, dtype, isa):
    X, y, _ = data_for(layer_units, "log_loss", 40, dtype, sparse=index_dtype)
    assert 0 in np.diff(X.indptr) and X.nnz
    gradients = []
    for data in (X, X.toarray()):
        network = network_for(layer_units, "relu", "log_loss", dtype, isa=isa)
        network.bind(data, y)
        loss, coef_grads, intercept_grads = network.loss_and_grad(alpha=0.1)
        gradients.append([np.array(loss), *copies(coef_grads + intercept_grads), network.predict(data)])
    assert distance(*gradients) < CLOSE[dtype]


@every_dtype
def test_duplicates_in_a_sparse_matrix_add_up(dtype):
    data, indices = np.array([1, 2, 3, 4, 5], dtype=dtype), np.array([0, 0, 2, 1, 1])
    X = scipy.sparse.csr_array((data, indices, np.array([0, 3, 3, 5])), shape=(3, 3))
    outputs = []
    for matrix in (with_index_dtype(X, np.int32), np.array([[3, 0, 3], [0, 0, 0], [0, 9, 0]], dtype=dtype)):
        network = network_for((3, 4, 2), "tanh", "squared_error", dtype)
        network.bind(matrix, np.ones((3, 2), dtype=dtype))
        outputs.append([*copies(network.loss_and_grad()[1]), network.predict(matrix)])
    assert distance(*outputs) < CLOSE[dtype]


def test_a_sparse_matrix_without_entries():
    X = with_index_dtype(scipy.sparse.csr_array((20, 6), dtype=np.float64), np.int32)
    network = network_for((6, 4, 2), "tanh", "squared_error", np.float64)
    network.bind(X, np.ones((20, 2)))
    _, coef_grads, _ = network.loss_and_grad()
    assert not coef_grads[0].any() and coef_grads[1].any()
    np.testing.assert_array_equal(network.predict(X), network.predict(np.zeros((20, 6))))


@every_dtype
@every_loss
@pytest.mark.parametrize("sparse", [None, np.int64], ids=["dense", "csr"])
@pytest.mark.parametrize("n_rows", [1024, 1025, 2500])
def test_large_batches_pass_in_chunks(n_rows, sparse, loss, dtype):
    network, expected = pair((12, 20, 3), "tanh", loss, dtype, n_rows, sparse=sparse, weights=True)
    check_gradient(network, expected)
    check_epochs(network, expected, "adam", batch_size=n_rows)
    check_epochs(network, expected, "sgd", batch_size=1100, rows=np.random.default_rng(0).permutation(n_rows))


def test_batches_of_changing_size_share_one_network():
    network, expected = pair((12, 20, 3), "tanh", "log_loss", np.float64, 1500)
    for batch_size in (7, 1500, 200, 7, 1200):
        check_epochs(network, expected, "sgd", batch_size=batch_size, epochs=1)
        check_gradient(network, expected, rows=np.arange(batch_size))


def test_data_may_be_bound_again():
    network, expected = pair((12, 20, 3), "tanh", "log_loss", np.float64, 50)
    for n_rows, sparse in ((30, None), (80, np.int32), (20, None)):
        data = data_for((12, 20, 3), "log_loss", n_rows, np.float64, sparse=sparse, seed=n_rows)
        network.bind(*data)
        expected.bind(*data)
        check_epochs(network, expected, "sgd", batch_size=16)


@every_dtype
@pytest.mark.parametrize("sparse", [None, np.int32], ids=["dense", "csr"])
def test_read_only_data(sparse, dtype):
    network, expected = pair((6, 5, 3), "tanh", "log_loss", dtype, 40, sparse=sparse)
    X, y, weight = data_for((6, 5, 3), "log_loss", 40, dtype, sparse=sparse, weights=True)
    rows = np.arange(40)
    for array in (y, weight, rows, *([X] if sparse is None else [X.data, X.indices, X.indptr])):
        array.flags.writeable = False
    network.bind(X, y, weight)
    expected.bind(X, y, weight)
    check_epochs(network, expected, "adam", batch_size=16, rows=rows)
    assert distance([network.predict(X)], [expected.predict(X)]) < CLOSE[dtype]


@every_isa
@every_dtype
@every_loss
@pytest.mark.parametrize("n_rows", [1, 100, 256, 777])
def test_predictions(n_rows, loss, dtype, isa):
    network, expected = pair((14, 33, 5), "logistic", loss, dtype, n_rows, isa=isa)
    X, _, _ = data_for((14, 33, 5), loss, n_rows, dtype, seed=5)
    predicted = network.predict(X)
    assert predicted.dtype == dtype and predicted.shape == (n_rows, 5)
    assert distance([predicted], [expected.predict(X)]) < CLOSE[dtype]
    rows = np.random.default_rng(0).integers(n_rows, size=n_rows + 3)
    assert distance([network.predict(X, rows)], [expected.predict(X, rows)]) < CLOSE[dtype]


@every_dtype
def test_forward_takes_plain_arrays(dtype):
    network = network_for((14, 33, 5), "logistic", "log_loss", dtype)
    X, _, _ = data_for((14, 33, 5), "log_loss", 50, dtype)
    # read-only and not on a cache line's border, as arrays come out of a pickle or a memory map
    plain = []
    for array in network.coefs + network.intercepts:
        room = np.empty(array.size + 1, dtype=dtype)
        plain.append(room[1:].reshape(array.shape))
        plain[-1][...] = array
        plain[-1].flags.writeable = False
    predicted = forward(plain[:2], plain[2:], "logistic", "softmax", X)
    assert same_bits([predicted], [network.predict(X)])
    assert forward(plain[:2], plain[2:], "logistic", "softmax", X, np.empty(0, dtype=np.intp)).shape == (0, 5)


def test_a_predictor_reads_the_arrays_at_every_call():
    network = network_for((14, 33, 5), "logistic", "log_loss", np.float64)
    X, _, _ = data_for((14, 33, 5), "log_loss", 50, np.float64)
    predictor = Predictor(network.coefs, network.intercepts, "logistic", "softmax")
    first = predictor(X)
    for array in network.coefs + network.intercepts:
        array *= 0.5
    second = predictor(X)
    assert distance([first], [second]) > 0.01
    assert same_bits([second], [network.predict(X)])


@every_dtype
def test_the_quick_way_takes_what_needs_no_conversion(dtype):
    network = network_for((14, 33, 5), "logistic", "log_loss", dtype)
    predictor = Predictor(network.coefs, network.intercepts, "logistic", "softmax")
    X, _, _ = data_for((14, 33, 5), "log_loss", 600, dtype)
    X.flags.writeable = False
    for rows in (1, 2, 600):
        assert same_bits([predictor.quick(X[:rows])], [predictor(X[:rows])])


@every_dtype
@pytest.mark.parametrize("n_features", [14, 16])
def test_the_quick_way_casts(n_features, dtype):
    network = network_for((n_features, 33, 5), "logistic", "log_loss", dtype)
    predictor = Predictor(network.coefs, network.intercepts, "logistic", "softmax")
    other = np.float64 if dtype == np.float32 else np.float32
    X, _, _ = data_for((n_features, 33, 5), "log_loss", 600, other)
    for rows in (1, 2, 600):
        assert same_bits([predictor.quick(X[:rows])], [predictor(X[:rows])])
    X[299, 13] = np.finfo(other).max
    assert (predictor.quick(X) is None) == (dtype == np.float32)
    X[299, 13] = np.nan
    assert predictor.quick(X) is None


@every_dtype
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row, column", [(0, 0), (299, 13), (599, 7)])
def test_the_quick_way_leaves_what_is_not_finite(row, column, value, dtype):
    network = network_for((14, 33, 5), "logistic", "log_loss", dtype)
    predictor = Predictor(network.coefs, network.intercepts, "logistic", "softmax")
    X, _, _ = data_for((14, 33, 5), "log_loss", 600, dtype)
    X[row, column] = value
    assert predictor.quick(X) is None
    X[row, column] = np.finfo(dtype).max
    assert predictor.quick(X) is not None


@pytest.mark.parametrize(
    "X",
    [
        np.ones((3, 4)).tolist(),
        np.ones((3, 4), dtype=np.float16),
        np.ones((3, 4), dtype=np.int64),
        np.ones((3, 4), dtype=">f8"),
        np.ones((4, 3)).T,
        np.ones((3, 8))[:, ::2],
        np.ones((3, 5)),
        np.ones((0, 4)),
        np.ones(4),
        np.ones((3, 4, 1)),
        np.ma.ones((3, 4)),
        scipy.sparse.csr_array(np.ones((3, 4))),
    ],
    ids=[
        "list",
        "float16",
        "integers",
        "big-endian",
        "F-order",
        "strided",
        "wide",
        "empty",
        "1d",
        "3d",
        "masked",
        "csr",
    ],
)
def test_the_quick_way_leaves_everything_else(X):
    network = network_for((4, 3, 2), "tanh", "squared_error", np.float64)
    assert Predictor(network.coefs, network.intercepts, "tanh", "identity").quick(X) is None


@every_dtype
def test_layers_as_large_as_go_to_blas(dtype):
    layer_units = (4096, 2048, 3)
    network, expected = pair(layer_units, "relu", "log_loss", dtype, 24)
    assert network.uses_blas
    # where the portable kernels serve, it takes layers of some hundred weights too
    assert network_for((64, 100, 10), "relu", "log_loss", dtype).uses_blas == (DEFAULT_ISA == "baseline")
    check_gradient(network, expected)
    check_epochs(network, expected, "sgd", batch_size=16, epochs=1)
    X, _, _ = data_for(layer_units, "log_loss", 24, dtype)
    assert distance([network.predict(X)], [expected.predict(X)]) < CLOSE[dtype]


@every_dtype
@every_loss
def test_extreme_outputs_keep_the_loss_finite(loss, dtype):
    network, expected = pair((3, 4), "tanh", loss, dtype, 20)
    # probabilities of exactly 0 and 1, of both the right and the wrong class
    for net in (network, expected):
        net.coefs[0][:] = 0
        net.intercepts[0][:] = [-60, -30, 0, 3] if LOSSES[loss] == "exp" else [-1000, -500, 0, 1000]
    check_gradient(network, expected)


@every_dtype
@every_loss
def test_divergence_shows_in_the_loss_and_the_weights(loss, dtype):
    network = bound((3, 5, 4), "relu", loss, dtype, 20)
    network.coefs[0][1, 2] = np.nan
    optimizer = optimizer_for(network, "sgd")
    assert np.isnan(network.epoch(None, 10, optimizer, 0.0))
    assert optimizer.t == 2
    assert all(np.isnan(W).any() for W in network.coefs)


def test_parameters_are_aligned_views_on_one_buffer():
    network = Network((5, 7, 3), "relu", "log_loss", np.float32)
    assert network.layer_units == (5, 7, 3)
    assert network.n_params == 5 * 7 + 7 + 7 * 3 + 3
    assert network.dtype == np.float32
    assert [W.shape for W in network.coefs] == [(5, 7), (7, 3)]
    assert [b.shape for b in network.intercepts] == [(7,), (3,)]
    arrays = network.coefs + network.intercepts
    assert all(array.flags.c_contiguous and array.flags.writeable for array in arrays)
    assert all(array.ctypes.data % 64 == 0 and not array.any() for array in arrays)
    assert len({id(array.base) for array in arrays}) == 1
    state = network.new_state()
    assert state.dtype == np.float32 and state.ctypes.data % 64 == 0 and not state.any()


@every_dtype
def test_views_on_a_state_have_the_parameters_shapes(dtype):
    network = network_for((5, 17, 3), "relu", "log_loss", dtype)
    state = network.new_state()
    coefs, intercepts = network.views(state)
    assert [array.shape for array in coefs] == [array.shape for array in network.coefs]
    assert [array.shape for array in intercepts] == [array.shape for array in network.intercepts]
    for i, array in enumerate(coefs + intercepts, start=1):
        assert np.shares_memory(array, state)
        array += i  # had two of them met, the second would find what the first has left
        assert np.all(array == i)


def test_views_of_moments_are_those_that_the_optimizer_moves():
    network, expected = pair((5, 17, 3), "tanh", "log_loss", np.float64, 30)
    ours, theirs = optimizer_for(network, "adam"), optimizer_for(expected, "adam")
    train(network, ours, 10)
    train(expected, theirs, 10)
    for state, true_state in zip(ours.state, theirs.state, strict=True):
        assert distance(sum(network.views(state), []), sum(expected.views(true_state), [])) < CLOSE[np.float64]


def test_released_data_are_let_go():
    network, expected = pair((5, 17, 3), "tanh", "log_loss", np.float64, 30)
    X, y, weight = data_for((5, 17, 3), "log_loss", 40, np.float64, weights=True)
    network.bind(X, y, weight)
    check_gradient(network, bound((5, 17, 3), "tanh", "log_loss", np.float64, 40, kind=twin.TwinNetwork, weights=True))
    held = [sys.getrefcount(array) for array in (X, y, weight)]
    network.release()
    assert [sys.getrefcount(array) for array in (X, y, weight)] == [count - 1 for count in held]
    with pytest.raises(ValueError, match="bind"):
        network.loss_and_grad()
    # the parameters stay, and new data may come
    network.bind(*data_for((5, 17, 3), "log_loss", 30, np.float64))
    check_epochs(network, expected, "adam", batch_size=10)


def test_what_is_written_into_the_parameters_counts():
    network, expected = pair((5, 7, 3), "relu", "log_loss", np.float64, 30)
    for net in (network, expected):
        net.coefs[0][:] *= 0.5
        net.intercepts[1][:] = [0.1, -0.2, 0.3]
    check_gradient(network, expected)
    check_epochs(network, expected, "sgd", batch_size=10)


def test_parameters_outlive_the_network():
    network = bound((5, 7, 3), "relu", "log_loss", np.float64, 30)
    before = parameters(network)
    arrays = network.coefs + network.intercepts
    del network
    assert same_bits(arrays, before)


def check_teams(layer_units, activation, loss, dtype, n_rows, batch_size, optimizer):
    """Two epochs agree with the twin's, on one, two and three threads in every bit; returns the last network."""
    expected = bound(layer_units, activation, loss, dtype, n_rows, kind=twin.TwinNetwork, weights=True)
    theirs = optimizer_for(expected, optimizer)
    losses = [expected.epoch(None, batch_size, theirs, 0.01) for _ in range(2)]
    first = None
    for n_threads in (1, 2, 3):
        network = bound(layer_units, activation, loss, dtype, n_rows, n_threads=n_threads, weights=True)
        ours = optimizer_for(network, optimizer)
        reached = [network.epoch(None, batch_size, ours, 0.01) for _ in range(2)]
        np.testing.assert_allclose(reached, losses, rtol=CLOSE[dtype])
        assert distance(parameters(network), parameters(expected)) < CLOSE[dtype]
        first = first or parameters(network)
        assert same_bits(parameters(network), first)
    return network


@every_dtype
@pytest.mark.parametrize("loss", ["log_loss", "squared_error"])
@pytest.mark.parametrize(
    ("layer_units", "n_rows", "batch_size"),
    [((64, 100, 10), 607, 200), ((7, 90, 90, 3), 1003, 334), ((601, 140, 3), 401, 200), ((9, 520, 140, 3), 1201, 600)],
)
def test_gradients_of_groups_of_rows(dtype, loss, layer_units, n_rows, batch_size):
    # the last batch has fewer rows than there are groups, or one
    assert check_teams(layer_units, "tanh", loss, dtype, n_rows, batch_size, "adam").row_groups > 1


@every_dtype
def test_parameters_larger_than_the_cache(dtype):
    # larger blocks of rows, panels fetched ahead, columns copied side by side
    check_teams((601, 523, 10), "relu", "log_loss", dtype, 700, 331, "sgd")


def test_memory_in_a_cycle_is_freed_without_a_word(monkeypatch):
    said = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    arena = Arena()
    arena.reserve("values", 8)
    arena.allocate()
    cycle = [arena]
    cycle.append(cycle)
    del arena, cycle
    gc.collect()
    assert not said
