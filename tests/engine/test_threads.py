"""Any number of threads gives the same bits; the environment's limits are followed; nothing of the process changes."""

import multiprocessing
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import threadpoolctl
from networks import (
    DTYPES,
    OPTIMIZER_CASES,
    bound,
    copies,
    data_for,
    network_for,
    optimizer_for,
    parameters,
    same_bits,
    train,
)
from together import in_threads

from fastmlp.engine import LOSSES, Network, Predictor, effective_n_threads, forward

# a build without OpenMP is tested with the setting that it was built with
WITH_OPENMP = os.environ.get("FASTMLP_OPENMP", "1") != "0"
needs_openmp = pytest.mark.skipif(not WITH_OPENMP, reason="built without OpenMP")
LARGE = (64, 256, 256, 10)  # a batch of some hundred rows is worth two threads

every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
every_loss = pytest.mark.parametrize("loss", LOSSES)
dense_and_sparse = pytest.mark.parametrize("sparse", [None, np.int32], ids=["dense", "csr"])


def team_of(n_threads):
    """The team that a call for so many threads must get."""
    return n_threads if WITH_OPENMP else 1


def assert_same_for_any_team(make, work):
    """Whether work(network) returns the same bits on one, two and three threads."""
    expected = None
    for n_threads in (1, 2, 3):
        network = make(n_threads)
        result = work(network)
        assert network.team_size == team_of(n_threads)
        expected = expected or result
        assert same_bits(result, expected)


# ---- the same bits ----


# every loss and every optimizer, each loss with two of them
LOSS_AND_STEP = [
    (loss, *OPTIMIZER_CASES[(i + 4 * half) % len(OPTIMIZER_CASES)])
    for i, loss in enumerate(LOSSES)
    for half in range(2)
]


@every_dtype
@dense_and_sparse
@pytest.mark.parametrize(
    "loss, optimizer, hyper", LOSS_AND_STEP, ids=lambda part: part if isinstance(part, str) else ""
)
@pytest.mark.parametrize(
    "layer_units, n_rows, batch_size",
    [((1, 1, 2), 5, 3), ((33, 100, 10), 230, 100), ((70, 129, 65, 3), 131, 64), ((300, 7, 2), 40, 40)],
    ids=["tiny", "tails", "deep", "wide"],
)
def test_training(layer_units, n_rows, batch_size, loss, optimizer, hyper, sparse, dtype):
    def make(n_threads):
        return bound(
            layer_units, "tanh", loss, dtype, n_rows, n_threads=n_threads, sparse=sparse, weights=sparse is not None
        )

    def work(network):
        state = optimizer_for(network, optimizer, hyper)
        losses = train(network, state, batch_size)
        return [np.array(losses), *parameters(network), *state.state]

    assert_same_for_any_team(make, work)


@every_dtype
@dense_and_sparse
@every_loss
def test_chunked_batches(loss, sparse, dtype):
    rows = np.random.default_rng(0).permutation(2600)

    def make(n_threads):
        return bound((20, 40, 3), "relu", loss, dtype, 2600, n_threads=n_threads, sparse=sparse, weights=True)

    def work(network):
        losses = train(network, optimizer_for(network, "adam"), 2500, rows=rows)
        return [np.array(losses), *parameters(network)]

    assert_same_for_any_team(make, work)


@every_dtype
def test_layers_as_large_as_go_to_blas(dtype):
    def make(n_threads):
        return bound((4096, 2048, 3), "relu", "log_loss", dtype, 100, n_threads=n_threads)

    def work(network):
        assert network.uses_blas
        return [np.array(train(network, optimizer_for(network, "sgd"), 60, epochs=1)), *parameters(network)]

    assert_same_for_any_team(make, work)


@every_dtype
@dense_and_sparse
@pytest.mark.parametrize("n_rows", [3, 129, 2600])
def test_gradients(n_rows, sparse, dtype):
    def make(n_threads):
        return bound((20, 40, 3), "tanh", "log_loss", dtype, n_rows, n_threads=n_threads, sparse=sparse)

    def work(network):
        loss, coef_grads, intercept_grads = network.loss_and_grad(alpha=0.1)
        return [np.array(loss), *copies(coef_grads + intercept_grads)]

    assert_same_for_any_team(make, work)


@every_dtype
@dense_and_sparse
@pytest.mark.parametrize("n_rows", [1, 255, 257, 1500])
def test_predictions(n_rows, sparse, dtype):
    network = network_for((20, 40, 3), "logistic", "log_loss", dtype)
    X, _, _ = data_for((20, 40, 3), "log_loss", n_rows, dtype, sparse=sparse)
    outputs = [
        [forward(network.coefs, network.intercepts, "logistic", "softmax", X, n_threads=n_threads)]
        for n_threads in (1, 2, 3)
    ]
    assert all(same_bits(output, outputs[0]) for output in outputs)


def test_the_team_may_change_between_epochs():
    serial = bound((33, 100, 10), "relu", "log_loss", np.float32, 230, n_threads=1)
    losses = train(serial, optimizer_for(serial, "adam"), 50, epochs=4)
    network = bound((33, 100, 10), "relu", "log_loss", np.float32, 230)
    optimizer, mixed = optimizer_for(network, "adam"), []
    for limit in (1, 2, 3, 1):
        with threadpoolctl.threadpool_limits(limit, user_api="openmp"):
            mixed += train(network, optimizer, 50, epochs=1)
    assert mixed == losses
    assert same_bits(parameters(network), parameters(serial))


@needs_openmp
@pytest.mark.parametrize("n_threads", [3, 5])
def test_more_threads_than_cores(n_threads):
    # another thread keeps a core busy: members are taken off the processor in the middle of anything
    rows = np.random.default_rng(0).integers(500, size=20_000 * 32)
    done = threading.Event()

    def spin():
        while not done.is_set():
            pass

    def fit(n_threads):
        network = bound((6, 20, 20, 3), "tanh", "log_loss", np.float64, 500, n_threads=n_threads)
        train(network, optimizer_for(network, "adam"), 32, rows=rows, epochs=1)
        return parameters(network)

    expected = fit(1)
    spinner = threading.Thread(target=spin, daemon=True)
    spinner.start()
    try:
        for _ in range(3):
            assert same_bits(fit(n_threads), expected)
    finally:
        done.set()
        spinner.join()


# ---- how many ----


def run_python(code, **environment):
    """What a fresh interpreter prints."""
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"} | environment
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()


ASK = "from fastmlp.engine import effective_n_threads; print(effective_n_threads())"


@needs_openmp
@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_omp_num_threads_is_followed(n_threads):
    assert run_python(ASK, OMP_NUM_THREADS=str(n_threads)) == str(n_threads)


def test_without_a_setting_no_more_than_the_cores():
    expected = "import joblib; print(joblib.cpu_count(only_physical_cores=True))"
    assert 1 <= int(run_python(ASK)) <= int(run_python(expected))


def test_limits_of_threadpoolctl_are_followed():
    network = bound(LARGE, "relu", "log_loss", np.float32, 400)
    with threadpoolctl.threadpool_limits(1, user_api="openmp"):
        assert effective_n_threads() == 1
        train(network, optimizer_for(network, "adam"), 200, epochs=1)
        assert network.team_size == 1
    before = effective_n_threads()
    train(network, optimizer_for(network, "adam"), 200, epochs=1)
    assert network.team_size == before


def test_a_wish_goes_before_the_environment():
    assert effective_n_threads(7) == 7
    with threadpoolctl.threadpool_limits(1, user_api="openmp"):
        assert effective_n_threads(3) == 3
    with pytest.raises(ValueError, match="n_threads=0: at least 1"):
        effective_n_threads(0)


def test_a_limit_holds_for_the_choice_alone():
    most = effective_n_threads()
    assert effective_n_threads(None, 1) == 1 and effective_n_threads(None, most + 5) == most
    assert effective_n_threads(3, 1) == 3
    with threadpoolctl.threadpool_limits(1, user_api="openmp"):
        assert effective_n_threads(None, 2) == 1
    arrays = []
    for limits in ({"max_threads": 1}, {"max_threads": 1, "n_threads": 2}, {"max_threads": most + 5}, {}):
        network = network_for(LARGE, "relu", "log_loss", np.float32, **limits)
        network.bind(*data_for(LARGE, "log_loss", 400, np.float32))
        train(network, optimizer_for(network, "adam"), 200, epochs=1)
        assert network.team_size == team_of(limits.get("n_threads", min(most, limits.get("max_threads", most))))
        assert network.max_threads == limits.get("max_threads")
        arrays.append([*parameters(network), network.predict(np.ones((500, 64), np.float32))])
    assert all(same_bits(others, arrays[0]) for others in arrays)


def test_predictions_keep_to_the_limit_in_an_environment():
    # the threads of a call show in the process's own count, so in a process of its own
    code = """if True:
        import numpy as np
        import psutil
        from fastmlp.engine import Predictor
        arrays = [np.ones((64, 512))], [np.ones(512)]
        X = np.ones((5000, 64))
        threads = psutil.Process().num_threads
        before = threads()
        for limit in (1, None):
            predictor = Predictor(*arrays, "relu", "identity", max_threads=limit)
            assert predictor.quick(X).shape == predictor(X).shape == (5000, 512)
            print(threads() - before)
    """
    expected = ["0", str(team_of(2) - 1)]
    assert run_python(code, OMP_NUM_THREADS="2", OPENBLAS_NUM_THREADS="1").split() == expected


@pytest.mark.parametrize("max_threads", [0, -1])
def test_limits_that_are_refused(max_threads):
    arrays = [np.ones((3, 2))], [np.ones(2)]
    for call in (
        lambda: Network((3, 2), "relu", "log_loss", np.float32, max_threads=max_threads),
        lambda: Predictor(*arrays, "relu", "softmax", max_threads=max_threads),
        lambda: forward(*arrays, "relu", "softmax", np.ones((1, 3)), max_threads=max_threads),
    ):
        with pytest.raises(ValueError, match=f"max_threads={max_threads}: at least 1"):
            call()


def test_little_work_wakes_no_second_thread():
    network = bound((4, 10, 3), "relu", "log_loss", np.float32, 100)
    train(network, optimizer_for(network, "adam"), 50)
    assert network.team_size == 1


@pytest.mark.parametrize("layer_units, batch_size, worth", [
    ((4, 100, 3), 150, 1),       # 0.7 million operations
    ((20, 100, 5), 100, 2),      # 1.6 million, in groups
    ((128, 128, 10), 32, 1),     # 3.4 million, more parameters than activations
    ((256, 128, 10), 32, 2),     # 6.6 million
])  # fmt: skip
def test_a_second_thread_comes_for_work_that_is_worth_it(layer_units, batch_size, worth):
    network = bound(layer_units, "relu", "log_loss", np.float32, batch_size)
    train(network, optimizer_for(network, "adam"), batch_size, epochs=1)
    assert network.team_size == team_of(min(worth, effective_n_threads()))


# ---- forks ----


def train_in_child(connection, network, X):
    losses = train(network, optimizer_for(network, "adam"), 50)
    connection.send((network.team_size, effective_n_threads(4), losses, parameters(network), network.predict(X)))
    connection.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_trains_and_predicts_on_one_thread():
    network = bound((33, 100, 10), "relu", "log_loss", np.float32, 600, n_threads=2)
    X, _, _ = data_for((33, 100, 10), "log_loss", 600, np.float32)
    train(network, optimizer_for(network, "adam"), 50)
    assert network.team_size == team_of(2)
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=train_in_child, args=(sender, network, X))
    child.start()
    try:
        assert receiver.poll(120), "the child hangs"
        team, wish, losses, arrays, predicted = receiver.recv()
    finally:
        child.kill()
        child.join()
    assert (team, wish) == (1, 1)
    # the parent goes on as before, on two threads, to the same result
    assert train(network, optimizer_for(network, "adam"), 50) == losses
    assert network.team_size == team_of(2)
    assert same_bits(parameters(network), arrays)
    assert same_bits([network.predict(X)], [predicted])


# ---- the processor's modes ----


@pytest.mark.parametrize("n_threads", [1, 2])
def test_subnormal_numbers_survive_in_the_process(n_threads):
    network = bound((10, 20, 3), "relu", "log_loss", np.float64, 100, n_threads=n_threads)
    train(network, optimizer_for(network, "adam"), 10)
    network.loss_and_grad()
    network.predict(np.ones((3, 10)))
    assert np.all(np.full(50, 2.0**-1030) * 0.5 == 2.0**-1031)
    assert np.all(np.full(50, 2.0**-1000) * 2.0**-30 == 2.0**-1030)


@pytest.mark.parametrize("n_threads", [1, 2])
@every_dtype
def test_subnormal_moments_are_flushed(dtype, n_threads):
    X, y, _ = data_for((10, 20, 3), "log_loss", 100, dtype)
    network = network_for((10, 20, 3), "relu", "log_loss", dtype, n_threads=n_threads)
    network.bind(X, y, np.zeros(100))
    optimizer = optimizer_for(network, "sgd")
    velocities = sum(network.views(optimizer.state[0]), [])
    for velocity in velocities:
        velocity[:] = np.finfo(dtype).smallest_normal / 2
    train(network, optimizer, 10, epochs=1)
    assert not any(velocity.any() for velocity in velocities)


# ---- several Python threads ----


@pytest.mark.parametrize("n_threads", [1, 2])
def test_networks_trained_at_once_agree_with_one_after_the_other(n_threads):
    def fit(seed):
        layer_units = (20, 30 + seed, 3)
        network = network_for(layer_units, "tanh", "log_loss", np.float32, seed=seed, n_threads=n_threads)
        network.bind(*data_for(layer_units, "log_loss", 500, np.float32, seed=seed))
        losses = train(network, optimizer_for(network, "adam"), 20, epochs=5)
        return [np.array(losses), *parameters(network)]

    expected = [fit(seed) for seed in range(4)]
    together = in_threads(*[lambda seed=seed: fit(seed) for seed in range(4)])
    assert all(same_bits(ours, theirs) for ours, theirs in zip(together, expected, strict=True))


@pytest.mark.parametrize("n_threads", [1, 2])
@dense_and_sparse
def test_concurrent_predictions_from_the_same_arrays(sparse, n_threads):
    network = network_for((20, 40, 3), "logistic", "log_loss", np.float64)
    X, _, _ = data_for((20, 40, 3), "log_loss", 900, np.float64, sparse=sparse)

    def predict():
        return [
            forward(network.coefs, network.intercepts, "logistic", "softmax", X, n_threads=n_threads) for _ in range(20)
        ]

    expected = predict()[0]
    for outputs in in_threads(predict, predict, predict):
        assert all(same_bits([output], [expected]) for output in outputs)


def test_the_gil_is_free_during_an_epoch():
    network = bound((4, 50, 3), "tanh", "log_loss", np.float32, 100, n_threads=1)
    rows = np.arange(400_000, dtype=np.intp) % 100
    optimizer = optimizer_for(network, "adam")
    bias = network.intercepts[-1]
    first, seen = bias[0], set()
    worker = threading.Thread(target=network.epoch, args=(rows, 50, optimizer, 0.0), daemon=True)
    worker.start()
    # this thread runs and sees the one epoch's weights move: with the GIL held it would see them before and after only
    while worker.is_alive() and len(seen) < 3:
        seen.add(float(bias[0]))
    worker.join()
    assert optimizer.t == 8000
    assert len(seen - {float(first), float(bias[0])}) >= 1
