"""Fits by tasks on executors: replicas that are averaged, and exact sums; the same bits whoever runs them."""

import copy
import importlib.util
import os
import pickle
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import timedelta
from itertools import chain
from multiprocessing import get_context

import numpy as np
import pytest
import sklearn.neural_network
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler
from streamed import CODES, LABELS, NUMBERS, WEIGHTS, F, N, X, assert_same, parquet

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.dask import DaskMLPClassifier, DaskMLPRegressor
from fastmlp.data.shards import dealt_pieces
from fastmlp.data.windows import random_of
from fastmlp.engine import Network
from fastmlp.training.checkpoint import Checkpoint
from fastmlp.training.initialization import initialize
from fastmlp.training.optimizers import Optimizer
from fastmlp.training.tasks import tree

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:n_replicas=.*are averaged too often"),
]

SMALL = {"hidden_layer_sizes": (9, 5), "random_state": 0, "max_iter": 3, "batch_size": 8, "n_inner_steps": 4}
FULL = {"strategy": "full_batch", "batch_size": "auto", "n_inner_steps": None, "max_iter": 8}
CASES = {
    "classes": (DaskMLPClassifier, {}),
    "values": (DaskMLPRegressor, {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.01}),
    "weighted classes": (DaskMLPClassifier, {"class_weight": "balanced", "label_smoothing": 0.1, "weights": WEIGHTS}),
    "held out": (DaskMLPRegressor, {"early_stopping": True, "weights": WEIGHTS, "solver": "adamw", "dtype": "float32"}),
    "dropout": (DaskMLPClassifier, {"dropout": 0.3, "solver": "nadam", "warmup": 9, "early_stopping": True}),
    "in order": (DaskMLPClassifier, {"shuffle": False, "solver": "rmsprop", "n_replicas": 3, "batch_size": 7}),
    "alone": (DaskMLPClassifier, {"n_replicas": 1, "solver": "lion", "clip_norm": 1.0}),
    "by windows": (DaskMLPClassifier, {"window": 60, "solver": "adagrad", "early_stopping": True}),
    "sums": (DaskMLPClassifier, {"solver": "lbfgs", "n_inner_steps": None, "weights": WEIGHTS}),
    "sums by windows": (DaskMLPRegressor, {"solver": "lbfgs", "n_inner_steps": None, "n_replicas": 2, "window": 100}),
    "full batch": (DaskMLPClassifier, FULL | {"weights": WEIGHTS, "max_norm": 1.5}),
    "full batch by windows": (
        DaskMLPRegressor,
        FULL | {"solver": "sgd", "lr_schedule": "cosine", "clip_norm": 0.1, "early_stopping": True, "window": 100},
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    for name, array in {"X": X, "labels": LABELS, "numbers": NUMBERS, "weights": WEIGHTS}.items():
        np.save(folder / f"{name}.npy", array)
    return folder


@pytest.fixture(scope="module")
def processes():
    # a fork would take over the threads of others, of which it has none
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        yield executor


@pytest.fixture(scope="module")
def thread():
    with ThreadPoolExecutor(1) as executor:
        yield executor


def source_of(folder, kind, weights=None, window=10**6):
    targets = "labels" if kind is DaskMLPClassifier else "numbers"
    weights = None if weights is None else folder / "weights.npy"
    return fastmlp.scan_npy(folder / "X.npy", folder / f"{targets}.npy", weights, window_rows=window)


def model_and_source(case, folder, client, **more):
    kind, params = CASES[case]
    params = SMALL | params | more
    source = source_of(folder, kind, params.pop("weights", None), params.pop("window", 10**6))
    return kind(**params, client=client), source


def assert_same_parameters(one, other):
    for a, b in zip(one.coefs_ + one.intercepts_, other.coefs_ + other.intercepts_, strict=True):
        np.testing.assert_array_equal(a, b)


def assert_same_model(one, other):
    if one.solver != "lbfgs":
        assert_same(one, other)
        assert one.validation_scores_ == other.validation_scores_
    assert one.loss_ == other.loss_
    assert_same_parameters(one, other)


@pytest.mark.parametrize("case", CASES)
def test_one_thread_four_and_two_processes_give_the_same_bits(case, folder, thread, processes):
    model, source = model_and_source(case, folder, thread)
    model.fit(source)
    with ThreadPoolExecutor(4) as threads:
        assert_same_model(clone(model).set_params(client=threads).fit(source), model)
    assert_same_model(clone(model).set_params(client=processes, n_jobs=2).fit(source), model)


def test_parquet_and_npy_are_the_same_rows(folder, tmp_path, thread):
    model = DaskMLPClassifier(**SMALL, client=thread, n_replicas=2)
    files = parquet(tmp_path, MLPClassifier, group=6, size=1000)
    blocks = fastmlp.scan_npy(folder / "X.npy", folder / "labels.npy", window_rows=96)  # of 6 rows, as row groups
    assert blocks.blocks.tolist() == files.blocks.tolist()
    blocks.window_rows = files.window_rows = 10**6
    assert_same(clone(model).fit(blocks), model.fit(files))
    assert model.feature_names_in_.tolist() == [f"f{j}" for j in range(F)]


def test_rounds_are_averages_taken_as_steps_with_momentum(folder, thread):
    n_replicas, n_steps, batch, seed = 3, 5, 8, 4
    params = {"hidden_layer_sizes": (5,), "batch_size": batch, "max_iter": 2, "random_state": seed, "alpha": 0.01}
    model = DaskMLPClassifier(**params, client=thread, n_replicas=n_replicas, n_inner_steps=n_steps)
    shards = []

    def keep(estimator, epoch, metrics):
        shards.append((estimator.coefs_, metrics["loss"]))

    source = source_of(folder, DaskMLPClassifier)
    fitted = clone(model).set_params(callbacks=keep).fit(source)

    # the same in one loop: rows of the shards, then an engine for each replica
    random_state = np.random.RandomState(seed)
    initial = MLPClassifier(hidden_layer_sizes=(5,), random_state=seed, max_iter=1, alpha=0.01)
    outer = Network((F, 5, 3), "relu", "log_loss", np.float64)
    # seeds are drawn in this order: the weights, then the order of rows
    initialize(outer, "auto", np.float64, random_state)
    order_seed = int(random_state.randint(2**63, dtype=np.int64))
    params_of = vars(initial) | {"learning_rate": "constant"}
    starts = np.concatenate([[0], np.cumsum(source.blocks)])
    rows_of = [
        np.concatenate([np.arange(starts[b] + i, starts[b] + j) for b, i, j in pieces])
        for pieces in dealt_pieces(source.blocks, n_replicas)
    ]
    weights = outer.coefs + outer.intercepts
    velocity = [np.zeros_like(w) for w in weights]
    optimizer, losses = Optimizer("adam", params_of).on(outer), []
    for epoch in range(2):
        n_batches = [-(-len(rows) // batch) for rows in rows_of]
        n_parts = max(1, round(min(n_batches) / n_steps))
        total = 0.0
        for part in range(n_parts):
            results = []
            for number, rows in enumerate(rows_of):
                order = np.arange(len(rows))
                random_of(order_seed, epoch, number).shuffle(order)
                first, stop = (n_batches[number] * p // n_parts * batch for p in (part, part + 1))
                network = Network((F, 5, 3), "relu", "log_loss", np.float64)
                for own, w in zip(network.coefs + network.intercepts, weights, strict=True):
                    own[...] = w
                inner = optimizer.on(network)
                taken = rows[order[first:stop]]
                network.bind(X[taken], CODES[taken].astype(np.intp))
                total += network.epoch(None, batch, inner, 0.01) * len(taken)
                results.append(([*network.coefs, *network.intercepts], inner))
            for i, (w, v) in enumerate(zip(weights, velocity, strict=True)):
                mean = ((results[0][0][i] + results[1][0][i]) + results[2][0][i]) / 3
                v[...] = 0.9 * v + (w - mean)
                w[...] = w - 0.7 * ((w - mean) + 0.9 * v)
            for moment, *theirs in zip(
                chain(*optimizer.moments), *(chain(*inner.moments) for _, inner in results), strict=True
            ):
                moment[...] = ((theirs[0] + theirs[1]) + theirs[2]) / 3
            optimizer.t = max(inner.t for _, inner in results)
        losses.append(total / N)
    for own, w in zip(fitted.coefs_ + fitted.intercepts_, weights, strict=True):
        np.testing.assert_allclose(own, w, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(fitted.loss_curve_, losses, rtol=1e-12)
    assert fitted._optimizer.t == optimizer.t
    assert [loss for _, loss in shards] == fitted.loss_curve_


def test_sums_are_those_of_the_rows_in_memory(folder, thread):
    params = {"hidden_layer_sizes": (6,), "solver": "lbfgs", "max_iter": 8, "random_state": 0, "alpha": 0.1}
    source = source_of(folder, DaskMLPClassifier, WEIGHTS)
    ours = DaskMLPClassifier(**params, client=thread, n_replicas=5).fit(source)
    whole = MLPClassifier(**params).fit(X, LABELS, WEIGHTS)
    np.testing.assert_allclose(ours.loss_, whole.loss_, rtol=1e-7)
    np.testing.assert_allclose(ours.predict_proba(X), whole.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("more", [{}, {"solver": "sgd", "clip_norm": 0.1}, {"solver": "nadam", "max_norm": 1.0}])
def test_one_full_batch_is_a_batch_of_all_rows(more, dtype, weights, folder, thread):
    """Bit for bit, with one shard."""
    params = {"hidden_layer_sizes": (9, 5), "max_iter": 7, "random_state": 0, "dtype": dtype} | more
    ours = DaskMLPClassifier(**params, strategy="full_batch", n_replicas=1, client=thread)
    ours.fit(source_of(folder, DaskMLPClassifier, weights))
    whole = MLPClassifier(**params, batch_size=N, shuffle=False).fit(X, LABELS, weights)
    assert_same_parameters(ours, whole)
    np.testing.assert_allclose(ours.loss_curve_, whole.loss_curve_, rtol=1e-15)
    for one, other in zip(chain(*ours._optimizer.moments), chain(*whole._optimizer.moments), strict=True):
        np.testing.assert_array_equal(one, other)


def test_full_batches_of_several_shards_are_those_of_scikit_learn(folder, thread):
    params = {"hidden_layer_sizes": (9, 5), "max_iter": 30, "random_state": 0, "alpha": 0.1, "learning_rate_init": 0.01}
    ours = DaskMLPRegressor(**params, strategy="full_batch", n_replicas=5, client=thread)
    ours.fit(source_of(folder, DaskMLPRegressor))
    theirs = sklearn.neural_network.MLPRegressor(**params, batch_size=N, shuffle=False).fit(X, NUMBERS)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-10)
    for own, expected in zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
        np.testing.assert_allclose(own, expected, rtol=1e-8, atol=1e-10)


def test_replicas_learn_as_one_process_does(folder, thread):
    params = {"hidden_layer_sizes": (16,), "max_iter": 40, "batch_size": 8, "random_state": 0}
    ours = DaskMLPClassifier(**params, client=thread, n_replicas=2).fit(source_of(folder, DaskMLPClassifier))
    assert ours.score(X, LABELS) > MLPClassifier(**params).fit(X, LABELS).score(X, LABELS) - 0.03


def test_sorted_rows_are_learnt_too(tmp_path, thread):
    order = np.argsort(CODES, kind="stable")
    np.save(tmp_path / "X.npy", X[order])
    np.save(tmp_path / "y.npy", LABELS[order])
    source = fastmlp.scan_npy(tmp_path / "X.npy", tmp_path / "y.npy")
    params = {"hidden_layer_sizes": (16,), "max_iter": 40, "batch_size": 8, "random_state": 0}
    assert DaskMLPClassifier(**params, client=thread).fit(source).score(X, LABELS) > 0.85


# Killed and resumed


class Killed(BaseException):
    """Ends a fit as nothing else does."""


class Mortal:
    """An executor that ends the fit at one of its tasks."""

    def __init__(self, executor, n_tasks):
        self.executor, self.left = executor, n_tasks

    def submit(self, function, *args):
        self.left -= 1
        if self.left < 0:
            raise Killed
        return self.executor.submit(function, *args)


@pytest.mark.parametrize("case", ["classes", "held out", "dropout", "by windows", "values"])
def test_a_fit_goes_on_between_two_rounds(case, folder, thread, tmp_path):
    model, source = model_and_source(case, folder, thread, n_iter_no_change=2)
    whole = clone(model).fit(source)
    model.set_params(checkpoint_path=tmp_path / "c", checkpoint_every=timedelta(microseconds=1))
    within = []
    for n_tasks in (30, 14):
        with pytest.raises(Killed):
            clone(model).set_params(client=Mortal(thread, n_tasks)).fit(source)
        within.append(Checkpoint(tmp_path / "c", 1).read()["within"])
    assert within[0] is not None and within[0]["n_rows"] < N
    resumed = clone(model).fit(source)
    assert_same_model(resumed, whole)
    assert_same_model(clone(model).fit(source), whole)  # which finds it done


_FIT = """
import os, signal, sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
import fastmlp
from fastmlp.dask import DaskMLPClassifier
X, y, path, kill = sys.argv[1:]
def stop(model, epoch, metrics):
    if epoch == 2 and int(kill):
        os.kill(os.getpid(), signal.SIGKILL)
with ThreadPoolExecutor(2) as executor:
    model = DaskMLPClassifier((9,), batch_size=8, max_iter=4, random_state=0, client=executor, callbacks=stop,
                              checkpoint_path=path, checkpoint_every=timedelta(microseconds=1))
    print([coef.tobytes().hex() for coef in model.fit(fastmlp.scan_npy(X, y)).coefs_])
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_client_that_is_killed_goes_on(folder, tmp_path):
    def run(path, kill):
        command = [sys.executable, "-W", "ignore", "-c", _FIT, folder / "X.npy", folder / "labels.npy", path, str(kill)]
        return subprocess.run(command, capture_output=True, text=True)

    assert run(tmp_path / "c", 1).returncode == -signal.SIGKILL
    resumed = run(tmp_path / "c", 0)
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout == run(tmp_path / "d", 0).stdout


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"round": 0}, "it counts no rounds"),
        ({"n_rows": N}, "it has no loss of the epoch"),
        ({"loss": float("nan")}, "it has no loss of the epoch"),
        ({"more": 1}, "it is at no place within an epoch"),
        (None, "its velocity is not the network's"),
    ],
)
def test_checkpoints_of_no_such_fit_are_refused(change, error, folder, thread, tmp_path):
    model, source = model_and_source("classes", folder, thread)
    model.set_params(checkpoint_path=tmp_path / "c", checkpoint_every=timedelta(microseconds=1))
    with pytest.raises(Killed):
        clone(model).set_params(client=Mortal(thread, 30)).fit(source)
    checkpoint = Checkpoint(tmp_path / "c", 1)
    state = checkpoint.read()
    if change is None:
        state["velocity"] = state["velocity"][:-1]
    else:
        state["within"] |= change
    checkpoint.write(state)
    with pytest.raises(ValueError, match=error):
        clone(model).fit(source)


def test_full_batches_go_on_after_an_epoch(folder, thread, tmp_path):
    model, source = model_and_source("full batch by windows", folder, thread)
    whole = clone(model).fit(source)
    model.set_params(checkpoint_path=tmp_path / "c")
    with pytest.raises(Killed):
        clone(model).set_params(client=Mortal(thread, 30)).fit(source)
    assert Checkpoint(tmp_path / "c", 1).read()["progress"]["n_iter"] > 0
    assert_same_model(clone(model).fit(source), whole)


def test_other_replicas_are_another_fit(folder, thread, tmp_path):
    model, source = model_and_source("classes", folder, thread, checkpoint_path=tmp_path / "c")
    model.fit(source)
    with pytest.raises(ValueError, match="n_replicas was 4, is 2"):
        clone(model).set_params(n_replicas=2).fit(source)


# What goes with it


def test_a_task_that_fails_leaves_the_estimator_as_it_was(folder, tmp_path, processes):
    bad = X.copy()
    bad[400, 3] = np.nan
    np.save(tmp_path / "X.npy", bad)
    model, source = model_and_source("classes", folder, processes)
    model.fit(source)
    before = pickle.dumps(model)
    with pytest.raises(ValueError, match="Input X contains NaN: column 3, row 400"):
        model.fit(fastmlp.scan_npy(tmp_path / "X.npy", folder / "labels.npy"))
    assert pickle.dumps(model) == before


@pytest.mark.parametrize("within", [False, True])
def test_an_executor_that_is_shut_down_is_named(within, folder):
    model, source = model_and_source("classes", folder, ThreadPoolExecutor(1))
    if within:
        model.callbacks = lambda *_: model.client.shutdown()
    else:
        model.client.shutdown()
    with pytest.raises(RuntimeError, match=r"client=<.*ThreadPoolExecutor.*> takes no tasks: cannot schedule new"):
        model.fit(source)
    assert not hasattr(model, "coefs_")


def test_validation_data_stop_the_training(folder, thread):
    model, source = model_and_source("classes", folder, thread, early_stopping=True, max_iter=30, n_iter_no_change=1)
    model.fit(source, X_val=X[:99], y_val=LABELS[:99])
    assert len(model.validation_scores_) == model.n_iter_ < 30
    assert model.best_validation_score_ == model.score(X[:99], LABELS[:99])


def test_warm_starts_go_on(folder, thread):
    model, source = model_and_source("classes", folder, thread, warm_start=True)
    first = model.fit(source).loss_
    assert model.fit(source).loss_ < first and len(model.loss_curve_) == 6


def test_few_rows_warn(folder, thread):
    source = source_of(folder, DaskMLPClassifier)
    with pytest.warns(UserWarning, match="n_replicas=8 of 503 rows have 8 batches of 8 rows in an epoch"):
        DaskMLPClassifier(batch_size=8, max_iter=1, n_replicas=8, client=thread).fit(source)
    with pytest.warns(UserWarning, match="n_inner_steps=3 has no effect with solver='lbfgs'"):
        DaskMLPClassifier(solver="lbfgs", max_iter=1, n_inner_steps=3, client=thread).fit(source)
    with pytest.warns(UserWarning, match="batch_size=8 has no effect with strategy='full_batch'"):
        DaskMLPClassifier(strategy="full_batch", batch_size=8, max_iter=1, client=thread).fit(source)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"solver": "schedule_free_adamw"}, ValueError, "solver='schedule_free_adamw' averages iterates itself"),
        ({"max_norm": 2.0}, ValueError, "max_norm=2.0 is not kept by averages"),
        ({"strategy": "full"}, ValueError, "The 'strategy' parameter"),
        ({"strategy": "full_batch", "dropout": [0.1]}, ValueError, r"dropout=\[0.1\] needs strategy='local_sgd'"),
        ({"strategy": "full_batch", "input_dropout": 0.1}, ValueError, "input_dropout=0.1 needs strategy='local_sgd'"),
        ({"n_replicas": 0}, ValueError, "'n_replicas' parameter"),
        ({"n_inner_steps": 0}, ValueError, "'n_inner_steps' parameter"),
        ({"n_replicas": N + 1}, ValueError, "n_replicas=504 is too many for the 503 rows"),
        ({"n_replicas": 400, "early_stopping": True, "validation_fraction": 0.5}, ValueError, "n_replicas=400 is too"),
        ({"client": 3}, TypeError, "client must be a client of Dask or an executor with submit, got 3"),
    ],
)
def test_what_is_refused(params, error, message, folder, thread):
    with pytest.raises(error, match=message):
        DaskMLPClassifier(**{"client": thread, **params}).fit(source_of(folder, DaskMLPClassifier))


def test_arrays_are_refused(thread):
    with pytest.raises(TypeError, match="X must be a Dask array, a Dask frame or a source, got ndarray"):
        DaskMLPClassifier(client=thread).fit(X, LABELS)
    source = fastmlp.scan_npy(X, LABELS)
    for given in (source, source.transformed(scaler())):
        with pytest.raises(TypeError, match="has arrays of this process"):
            DaskMLPClassifier(client=thread).fit(given)


def scaler():
    return StandardScaler().fit(X)


def test_transformed_sources_are_read_by_tasks(folder, processes, thread):
    model, source = model_and_source("classes", folder, thread)
    scaled = source.transformed(scaler())
    assert_same(clone(model).set_params(client=processes).fit(scaled), model.fit(scaled))


# Fitted


def test_a_fitted_model_is_one_of_one_process(folder, thread, tmp_path):
    model, source = model_and_source("classes", folder, thread)
    model.fit(source)
    local = model.to_local()
    assert type(local) is MLPClassifier and local.batch_size == 8
    for made in (local, copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(made.predict_proba(X), model.predict_proba(X))
        assert getattr(made, "client", None) is (thread if made.__class__ is type(model) and made.client else None)
    assert local.coefs_[0] is not model.coefs_[0]
    pytest.importorskip("safetensors")
    model.save(tmp_path / "m")
    loaded = fastmlp.load(tmp_path / "m")
    assert type(loaded) is MLPClassifier
    for going_on in (local, loaded, pickle.loads(pickle.dumps(model))):
        going_on.partial_fit(X, LABELS)
    assert_same(local, loaded)
    regressor = DaskMLPRegressor(client=thread, **SMALL).fit(source_of(folder, DaskMLPRegressor))
    assert type(regressor.to_local()) is MLPRegressor
    np.testing.assert_array_equal(regressor.to_local().predict(X), regressor.predict(X))


def test_clones_have_the_client_and_parameters_are_those_of_one_process(thread):
    model = DaskMLPRegressor("huber", (7,), client=thread, n_replicas=3)
    assert clone(model).get_params() == model.get_params()
    assert (model.loss, model.hidden_layer_sizes, model.client) == ("huber", (7,), thread)
    own = {"client", "n_replicas", "n_inner_steps", "strategy"}
    assert model.get_params().keys() - MLPRegressor().get_params().keys() == own
    assert MLPClassifier().get_params().items() <= DaskMLPClassifier().get_params().items()


def test_trees_add_in_one_order():
    for n in range(1, 18):
        assert tree(lambda a, b: f"({a}{b})", list("abcdefghijklmnopqr"[:n])).count("(") == n - 1
    assert tree(lambda a, b: f"({a}{b})", list("abcde")) == "(((ab)(cd))e)"


_IMPORTS = """
import sys
import fastmlp, fastmlp.dask
assert not {"dask", "distributed"} & set(sys.modules)
sys.modules["distributed"] = None
import numpy as np
np.save(sys.argv[1], np.zeros((9, 2)))
try:
    fastmlp.dask.DaskMLPRegressor().fit(fastmlp.scan_npy(sys.argv[1], sys.argv[1]))
except ImportError as error:
    assert 'pip install "fastmlp[dask]"' in str(error)
else:
    raise AssertionError
"""


def test_dask_is_not_imported(tmp_path):
    subprocess.run([sys.executable, "-c", _IMPORTS, tmp_path / "X.npy"], check=True, env=os.environ)


_BY_MPI = """
import sys, warnings
from mpi4py.futures import MPIPoolExecutor
import fastmlp
from fastmlp.dask import DaskMLPClassifier
if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with MPIPoolExecutor() as executor:
        model = DaskMLPClassifier((9, 5), random_state=0, max_iter=3, batch_size=8, n_inner_steps=4, client=executor)
        print(model.fit(fastmlp.scan_npy(*sys.argv[1:])).coefs_[0].tobytes().hex())
"""


def test_mpi_gives_the_same_bits(folder, thread, tmp_path):
    mpiexec = shutil.which("mpiexec")
    if mpiexec is None or importlib.util.find_spec("mpi4py") is None:
        pytest.skip("mpiexec or mpi4py is not installed")
    (tmp_path / "fit.py").write_text(_BY_MPI)
    command = [sys.executable, "-m", "mpi4py.futures", tmp_path / "fit.py", folder / "X.npy", folder / "labels.npy"]
    done = subprocess.run([mpiexec, "-n", "3", *command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    model, source = model_and_source("classes", folder, thread)
    assert done.stdout.split()[-1] == model.fit(source).coefs_[0].tobytes().hex()
