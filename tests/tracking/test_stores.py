"""Stores that others use too: a database of several processes, a locked and a read-only one, and a server."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import pytest
from sklearn.datasets import load_iris

from fastmlp import MLPClassifier
from fastmlp.tracking import MLflowCallback, arrays_digest

mlflow = pytest.importorskip("mlflow")
pytest.importorskip("sqlalchemy")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, y = load_iris(return_X_y=True)
N_PROCESSES, N_FITS, N_EPOCHS = 3, 2, 15
# each epoch is written by itself, and all begin at once, before there is a database
RECORD = """
import os, sys, time, warnings
from sklearn.datasets import load_iris
from fastmlp import MLPClassifier
from fastmlp.tracking import MLflowCallback

warnings.filterwarnings("error", message="MLflow at .* does not record")
number, n_fits, n_epochs = map(int, sys.argv[1:])
callback = MLflowCallback("shared", tracking_uri="sqlite:///shared.db", run_name=f"process {number}", log_model=False)
import mlflow.store.tracking.sqlalchemy_store  # which takes seconds
open(f"ready-{number}", "w").close()
while not os.path.exists("begin"):
    time.sleep(0.01)
for seed in range(n_fits):
    model = MLPClassifier((3,), max_iter=n_epochs, tol=0, random_state=seed, callbacks=callback)
    with callback.run(model):
        callback.interval = callback._pause = 0
        model.fit(*load_iris(return_X_y=True))
"""


def _runs(callback):
    found = callback.client.get_experiment_by_name(callback.experiment)
    return callback.client.search_runs([found.experiment_id])


def _losses(callback, run):
    return [metric.value for metric in callback.client.get_metric_history(run.info.run_id, "loss")]


def _environment():
    """That of this process, without what MLflow has put there."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}


def _record(folder, *args):
    """A process that does RECORD."""
    command = [sys.executable, "-c", RECORD, *map(str, args)]
    return subprocess.Popen(command, cwd=folder, env=_environment(), stderr=subprocess.PIPE, text=True)


def test_processes_begin_at_once_with_a_database_that_none_has_made(tmp_path):
    processes = [_record(tmp_path, number, N_FITS, N_EPOCHS) for number in range(N_PROCESSES)]
    while len([*tmp_path.glob("ready-*")]) < N_PROCESSES and all(process.poll() is None for process in processes):
        time.sleep(0.01)
    (tmp_path / "begin").touch()
    said = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * N_PROCESSES, said
    assert "locked" not in "".join(said)
    callback = MLflowCallback("shared", tracking_uri=f"sqlite:///{tmp_path / 'shared.db'}")
    runs = _runs(callback)
    names = [run.info.run_name for run in runs]
    assert sorted(names) == [f"process {number}" for number in range(N_PROCESSES) for _ in range(N_FITS)]
    for run in runs:
        seed = int(run.data.params["random_state"])
        model = MLPClassifier((3,), max_iter=N_EPOCHS, tol=0, random_state=seed).fit(X, y)
        assert run.info.status == "FINISHED" and _losses(callback, run) == model.loss_curve_


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    """A process that records in a database which is locked; MLflow waits 20 s for it."""
    folder = tmp_path_factory.mktemp("locked")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        MLflowCallback("shared", tracking_uri="sqlite:///shared.db").prepare()
    (folder / "begin").touch()
    database = sqlite3.connect(folder / "shared.db", isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    yield _record(folder, 0, 1, 2)
    database.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a server of MLflow's, on the loopback interface."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", "sqlite:///server.db", "--artifacts-destination", str(folder / "artifacts"),
        "--allowed-hosts", f"tracking:5000,127.0.0.1:{port}",
    ]  # fmt: skip
    environment = _environment() | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.1)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def test_a_server_records_a_fit_and_gives_it_back(locked, server, monkeypatch):
    pytest.importorskip("safetensors")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    callback = MLflowCallback("on a server")
    assert callback.tracking_uri == server
    model = MLPClassifier((4,), max_iter=5, random_state=1, callbacks=callback)
    with callback.run(model, X, y):
        model.fit(X, y)
    (run,) = _runs(callback)
    assert run.info.status == "FINISHED" and run.data.params["random_state"] == "1"
    assert run.data.tags["digest"] == arrays_digest(model) and _losses(callback, run) == model.loss_curve_
    loaded = mlflow.pyfunc.load_model(f"{run.info.artifact_uri}/model")
    assert run.info.artifact_uri.startswith("mlflow-artifacts:") and (loaded.predict(X) == model.predict(X)).all()


def test_a_server_answers_by_the_names_that_it_was_given(server):
    def status(name):
        address = f"{server}/api/2.0/mlflow/experiments/search?max_results=1"
        try:
            return urllib.request.urlopen(urllib.request.Request(address, headers={"Host": name}), timeout=60).status
        except urllib.error.HTTPError as error:
            return error.code

    assert (status("tracking:5000"), status("elsewhere:5000")) == (200, 403)


def test_a_locked_database_is_said(locked):
    errors = locked.communicate()[1]
    assert locked.returncode == 1 and "does not record: database is locked" in errors


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="another user's files can be written")
def test_a_database_that_cannot_be_written_costs_a_warning_and_no_fit():
    with tempfile.TemporaryDirectory() as folder:
        callback = MLflowCallback("read", tracking_uri=f"sqlite:///{folder}/read.db", log_model=False)
        callback.prepare()
        os.chmod(folder, 0o555)
        os.chmod(f"{folder}/read.db", 0o444)
        model = MLPClassifier((3,), max_iter=2, random_state=0, callbacks=callback)
        user = os.geteuid()
        if user == 0:  # who may write everything
            os.seteuid(65534)
        try:
            with (
                pytest.warns(UserWarning, match="does not record: attempt to write a readonly"),
                callback.run(model),
            ):
                model.fit(X, y)
        finally:
            os.seteuid(user)
        os.chmod(folder, 0o755)
    assert arrays_digest(model) == arrays_digest(MLPClassifier((3,), max_iter=2, random_state=0).fit(X, y))
