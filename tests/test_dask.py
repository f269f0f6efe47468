"""Fits on a cluster of processes: the same bits as on one executor, also where processes are killed."""

import os
import pickle
import random
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from streamed import CODES, LABELS, NUMBERS, WEIGHTS, F, N, X, assert_same

import fastmlp
from fastmlp import MLPClassifier, TabularMLPClassifier
from fastmlp.dask import DaskMLPClassifier, DaskMLPRegressor

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
da = pytest.importorskip("dask.array")
pd = pytest.importorskip("pandas")
dd = pytest.importorskip("dask.dataframe")
joblib = pytest.importorskip("joblib")

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:n_replicas=.*are averaged too often"),
]

SMALL = {"hidden_layer_sizes": (9, 5), "random_state": 0, "max_iter": 3, "batch_size": 8, "n_inner_steps": 4}


@pytest.fixture(scope="module")
def client():
    with (
        # a process that is starting again 15 s after it was killed, for it was killed twice, is else given up
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1 hour"}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def thread():
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    for name, array in {"X": X, "y": LABELS, "w": WEIGHTS}.items():
        np.save(folder / f"{name}.npy", array)
    return fastmlp.scan_npy(folder / "X.npy", folder / "y.npy", folder / "w.npy")


def assert_same_parameters(one, other):
    for a, b in zip(one.coefs_ + one.intercepts_, other.coefs_ + other.intercepts_, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("params", [{}, {"early_stopping": True, "dropout": 0.2, "lr_schedule": lambda step: 0.01}])
def test_a_cluster_gives_the_bits_of_one_thread(params, client, thread, source):
    model = DaskMLPClassifier(**SMALL, **params)
    fitted = clone(model).fit(source)  # by the current client
    alone = clone(model).set_params(client=thread).fit(source)
    assert_same(fitted, alone)
    assert fitted.validation_scores_ == alone.validation_scores_


def test_sums_of_a_cluster_are_those_of_one_thread(client, thread, source):
    model = DaskMLPClassifier(solver="lbfgs", hidden_layer_sizes=(5,), max_iter=4, random_state=0, n_replicas=3)
    fitted = clone(model).set_params(client=client).fit(source)
    assert_same_parameters(fitted, clone(model).set_params(client=thread).fit(source))


def test_arrays_and_frames_give_the_bits_of_files(client, thread, tmp_path):
    """Of the same rows in the same blocks."""
    rows = 96
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", NUMBERS)
    np.save(tmp_path / "w.npy", WEIGHTS)
    files = fastmlp.scan_npy(*(tmp_path / f"{name}.npy" for name in "Xyw"), window_rows=16 * rows)
    files.window_rows = 10**6
    assert files.blocks[0] == rows
    model = DaskMLPRegressor(**SMALL, early_stopping=True)
    expected = clone(model).set_params(client=thread).fit(files)
    arrays = da.from_array(X, (rows, 3)), da.from_array(NUMBERS, 200), da.from_array(WEIGHTS, rows)
    assert_same_parameters(clone(model).fit(*arrays), expected)
    divisions = [*range(0, N, rows), N - 1]
    frame = pd.DataFrame(X, columns=[f"f{j}" for j in range(F)]).assign(y=NUMBERS, w=WEIGHTS)
    frame = dd.from_pandas(frame, npartitions=1).repartition(divisions=divisions)
    fitted = clone(model).fit(frame[[f"f{j}" for j in range(F)]], frame.y, frame.w)
    assert_same_parameters(fitted, expected)
    assert fitted.feature_names_in_.tolist() == [f"f{j}" for j in range(F)]
    np.testing.assert_array_equal(
        fitted.predict(frame[fitted.feature_names_in_.tolist()]).compute(),
        fitted.predict(frame[fitted.feature_names_in_.tolist()].compute()),
    )


def test_labels_and_predictions_of_collections(client):
    labels = pd.Series(LABELS, dtype="category")
    frame = pd.DataFrame(X.astype(np.float32), columns=list("abcdefg"))
    X_parts = dd.from_pandas(frame, npartitions=5)
    empty = X_parts.map_partitions(lambda part: part[part.index < 300], meta=frame)  # the last of no rows
    model = DaskMLPClassifier(**SMALL, class_weight="balanced").fit(X_parts, dd.from_pandas(labels, npartitions=5))
    assert model.classes_.tolist() == ["no", "perhaps", "yes"]
    assert model.coefs_[0].dtype == np.float32
    np.testing.assert_array_equal(model.predict(X_parts).compute(), model.predict(frame))
    np.testing.assert_array_equal(model.predict_proba(empty).compute(), model.predict_proba(frame[:300]))
    rows = da.from_array(X, (100, 2))
    model = DaskMLPClassifier(**SMALL).fit(rows, da.from_array(CODES, 100))
    for method in ("predict", "predict_proba", "predict_log_proba"):
        predicted = getattr(model, method)(rows)
        expected = getattr(model, method)(X)
        assert predicted.shape == expected.shape and predicted.dtype == expected.dtype
        np.testing.assert_array_equal(predicted.compute(), expected)
    hinge = DaskMLPClassifier(**SMALL | {"max_iter": 1}, loss="hinge").fit(rows, da.from_array(CODES, 100))
    np.testing.assert_array_equal(hinge.decision_function(rows).compute(), hinge.decision_function(X))
    assert not hasattr(hinge, "predict_proba") and not hasattr(model, "decision_function")


def test_what_is_refused_of_collections(client, thread, tmp_path):
    rows, labels = da.from_array(X, (100, F)), da.from_array(CODES, 100)
    frame = dd.from_pandas(pd.DataFrame({"a": X[:, 0], "b": LABELS}), npartitions=2)
    model = DaskMLPClassifier(**SMALL)
    for given, error, message in [
        ((rows, CODES), TypeError, "y must be a Dask collection as X is, got ndarray"),
        ((rows, labels[:-1]), ValueError, "y must have the partitions of X"),
        ((rows, dd.from_pandas(pd.Series(CODES), npartitions=2)), ValueError, "the 6 partitions of X, got 2"),
        ((rows[:, 0], labels), ValueError, "X must have rows and columns, got 1 dimension"),
        ((frame, frame.b), TypeError, "X has dtype str.* in column 'b': features must be numbers"),
        ((da.where(rows > 1, np.nan, rows), labels), ValueError, "Input X contains NaN: column ., row .* of partition"),
    ]:
        with pytest.raises(error, match=message):
            clone(model).fit(*given)
    with pytest.raises(TypeError, match="needs a client of Dask"):
        clone(model).set_params(client=thread).fit(rows, labels)
    with pytest.raises(ValueError, match="checkpoint_path needs rows that can be told from others"):
        clone(model).set_params(checkpoint_path=tmp_path / "c").fit(rows, labels)


@pytest.mark.parametrize("weights", [None, WEIGHTS, np.where(np.arange(N) < 100, 0.0, WEIGHTS)])
def test_scores_of_collections_are_those_of_arrays(weights, client):
    rows, w = da.from_array(X, (100, 3)), None if weights is None else da.from_array(weights, 100)
    regressor = DaskMLPRegressor(**SMALL).fit(rows, da.from_array(NUMBERS, 100))
    expected = regressor.score(X, NUMBERS, weights)
    np.testing.assert_allclose(regressor.score(rows, da.from_array(NUMBERS, 70), w), expected, rtol=1e-12)
    far = 1e6 + NUMBERS  # where sums of squares without the mean would be all rounding
    np.testing.assert_allclose(
        regressor.score(rows, da.from_array(far, 100), w), regressor.score(X, far, weights), rtol=1e-9
    )
    names = list("abcdefg")
    frame = pd.DataFrame(X, columns=names).assign(y=LABELS, w=1.0 if weights is None else weights)
    frame = dd.from_pandas(frame, npartitions=3)
    given = frame[names], frame.y, None if weights is None else frame.w
    classifier = DaskMLPClassifier(**SMALL).fit(*given)
    expected = classifier.score(pd.DataFrame(X, columns=names), LABELS, weights)
    np.testing.assert_allclose(classifier.set_params(client=client).score(*given), expected, rtol=1e-12)


def test_several_outputs_are_fitted_and_scored(client, thread, tmp_path):
    rows, numbers, codes = da.from_array(X, (100, F)), np.c_[NUMBERS, X[:, 2] ** 2], np.c_[CODES == 1, X[:, 0] > 0] * 1
    for kind, y in ((DaskMLPRegressor, numbers), (DaskMLPClassifier, codes)):
        model = kind(**SMALL).fit(rows, da.from_array(y, (100, 1)))
        assert model.predict(rows).compute().shape == y.shape
        np.testing.assert_array_equal(model.predict(rows).compute(), model.predict(X))
        expected = model.score(X, y)
        np.testing.assert_allclose(model.score(rows, da.from_array(y, (100, 2))), expected, rtol=1e-12)
    with pytest.raises(ValueError, match="y must have the partitions of X"):
        model.score(rows, da.from_array(codes[:-1], 100))
    with pytest.raises(ValueError, match="y must be given where X is no source"):
        model.score(rows)
    with pytest.raises(ValueError, match="rows with a sample_weight above zero, got none"):
        model.score(rows, da.from_array(codes, (100, 2)), da.zeros(N, chunks=100))
    regressor = DaskMLPRegressor(**SMALL).fit(rows, da.from_array(numbers, (100, 2)))
    with pytest.raises(ValueError, match="y must have 2 columns, one for each output, got 1"):
        regressor.score(rows, da.from_array(NUMBERS, 100))
    with pytest.raises(ValueError, match="Input y contains NaN"):
        regressor.score(rows, da.from_array(np.where(X[:, :2] > 1, np.nan, numbers), (100, 2)))
    with pytest.raises(ValueError, match="score with loss='quantile' takes arrays or a source"):
        regressor.set_params(loss="quantile").score(rows, da.from_array(numbers, (100, 2)))


def test_searches_over_fits_on_a_cluster(client):
    rows, labels = da.from_array(X, (100, F)), da.from_array(CODES, 100)
    model = DaskMLPClassifier(**SMALL | {"max_iter": 1})
    search = GridSearchCV(model, {"alpha": [0.1]}, cv=StratifiedKFold(2), refit=False, error_score="raise")
    search.fit(rows, labels)
    for fold, (train, test) in enumerate(StratifiedKFold(2).split(X, CODES)):
        alone = clone(model).set_params(alpha=0.1).fit(rows[train], labels[train])
        assert search.cv_results_[f"split{fold}_test_score"] == [alone.score(X[test], CODES[test])]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows raises no signal in a process of its own")
def test_ctrl_c_ends_a_fit_on_a_cluster(client, source, monkeypatch):
    model, submit, left = DaskMLPClassifier(**SMALL | {"max_iter": 99}, client=client), client.submit, [60]

    def counted(*task, **how):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return submit(*task, **how)

    monkeypatch.setattr(client, "submit", counted)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model.fit(source)
    assert 0 < model.n_iter_ < 99 and np.isfinite(model.predict_proba(X)).all()
    before, left[0] = pickle.dumps(model), 3
    rows = da.from_array(X, (100, F)), da.from_array(CODES, 100)
    with pytest.raises(KeyboardInterrupt):
        model.fit(*rows)  # while it reads the labels
    assert pickle.dumps(model) == before
    assert_same_parameters(DaskMLPClassifier(**SMALL).fit(source), DaskMLPClassifier(**SMALL).fit(source))


@contextmanager
def killed(client, delay):
    """Kill all processes of a cluster after some seconds."""
    known = set(client.nthreads())
    timer = threading.Timer(delay, _kill, [[nanny.pid for nanny in client.cluster.workers.values()]])
    timer.start()
    yield
    timer.join()
    # others that are killed while they start are not started again
    for _ in range(3000):
        if len(set(client.nthreads()) - known) == len(known):
            return
        time.sleep(0.1)
    raise AssertionError(f"{known} were killed, and {client.nthreads()} are there in their place")


def _kill(processes):
    for process in processes:
        os.kill(process, signal.SIGKILL)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
@pytest.mark.parametrize("rows", ["files", "arrays", "full batch"])
def test_killed_processes_change_no_bit(rows, client, thread, source):
    model = DaskMLPClassifier(**SMALL)
    if rows == "full batch":
        model.set_params(strategy="full_batch", batch_size="auto", n_inner_steps=None, max_iter=12)
    if rows == "arrays":
        given = da.from_array(X, (50, F)), da.from_array(CODES, 50)
        expected = clone(model).fit(*given)
    else:
        given = (source,)
        expected = clone(model).set_params(client=thread).fit(source)
    began = time.monotonic()
    assert_same_parameters(clone(model).fit(*given), expected)
    with killed(client, random.uniform(0, time.monotonic() - began)):
        assert_same_parameters(clone(model).fit(*given), expected)


def _note(model, epoch, metrics):
    """A callback, which goes to other processes by its name."""
    return epoch == 5


@pytest.mark.parametrize("kind", ["MLPClassifier", "TabularMLPClassifier"])
def test_searches_by_joblib_on_a_cluster_are_those_of_one_process(kind, client):
    X, y = load_iris(return_X_y=True)
    X, y = X[::3], y[::3]
    if kind == "MLPClassifier":
        model, grid = MLPClassifier(random_state=0, max_iter=9, callbacks=_note), {"alpha": [1e-4, 1.0]}
    else:
        model = TabularMLPClassifier(random_state=0, n_members=1, max_iter=3, callbacks=_note)
        grid = {"max_iter": [2, 3]}
    alone = GridSearchCV(clone(model), grid, cv=2, n_jobs=1).fit(X, y)
    with joblib.parallel_config(backend="dask"):
        searched = GridSearchCV(clone(model), grid, cv=2, n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(searched.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(searched.predict_proba(X), alone.predict_proba(X))
    if kind == "MLPClassifier":
        assert searched.best_estimator_.n_iter_ == alone.best_estimator_.n_iter_ == 5
