"""MLflowCallback with a SQLite store: what a fit, a search and an ensemble leave there; what a broken store does."""

import pickle
import sqlite3
import subprocess
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastmlp
from fastmlp import MLPClassifier, TabularMLPClassifier
from fastmlp.tracking import MLflowCallback, arrays_digest, data_fingerprint, git_state

mlflow = pytest.importorskip("mlflow")
pytest.importorskip("sqlalchemy")
pytest.importorskip("safetensors")
callback_protocol = pytest.mark.skipif(not hasattr(MLPClassifier, "set_callbacks"), reason="scikit-learn before 1.9")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, y = load_iris(return_X_y=True)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A database, in a Git repository with a difference; making its tables takes seconds."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        (folder / "code.py").write_text("a = 1\n")
        author = ["-c", "user.name=A", "-c", "user.email=a@b"]
        for args in (["init", "-q"], ["add", "code.py"], [*author, "commit", "-qm", "first"]):
            subprocess.run(["git", *args], check=True)
        (folder / "code.py").write_text("a = 2\n")
        MLflowCallback("made").prepare()
        yield folder


def _runs(callback):
    """Runs of the callback's experiment: the last whole fit, and those below it by name."""
    experiment = callback.client.get_experiment_by_name(callback.experiment)
    runs = callback.client.search_runs([experiment.experiment_id])
    below = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == callback.run_id_]
    return callback.client.get_run(callback.run_id_), {run.info.run_name: run for run in below}


def _curve(callback, run_id, name):
    return [(metric.step, metric.value) for metric in callback.client.get_metric_history(run_id, name)]


@callback_protocol
def test_a_fit_is_recorded_with_all_that_it_is_made_of(store):
    callback = MLflowCallback("fit", tags={"team": "blue"})
    model = MLPClassifier(hidden_layer_sizes=(4,), max_iter=7, early_stopping=True, random_state=3)
    model.set_callbacks(callback).fit(X, y)
    run, below = _runs(callback)
    assert run.info.status == "FINISHED" and not below
    assert run.data.params["max_iter"] == "7" and run.data.params["hidden_layer_sizes"] == "(4,)"
    assert _curve(callback, run.info.run_id, "loss") == list(enumerate(model.loss_curve_, 1))
    assert _curve(callback, run.info.run_id, "validation_score") == list(enumerate(model.validation_scores_, 1))
    assert run.data.metrics["best_validation_score"] == model.best_validation_score_
    tags = run.data.tags
    assert tags["digest"] == arrays_digest(model) and tags["data"] == data_fingerprint(X, y)
    assert tags["seed"] == "3" and tags["team"] == "blue" and tags["version.numpy"] == np.__version__
    git = git_state()
    assert tags["mlflow.source.git.commit"] == git["commit"] and tags["uncommitted"] == "True"
    assert "+a = 2" in mlflow.artifacts.load_text(f"{run.info.artifact_uri}/difference.patch")
    files = {file.path for file in callback.client.list_artifacts(run.info.run_id)}
    assert files >= {"difference.patch", "model"}
    folder = mlflow.artifacts.download_artifacts(f"{run.info.artifact_uri}/model")
    (file,) = Path(folder).rglob("model.fastmlp")
    assert (fastmlp.load(file).predict_proba(X) == model.predict_proba(X)).all()
    loaded = mlflow.pyfunc.load_model(folder)
    assert loaded.metadata.signature.inputs is not None and loaded.input_example.shape == (5, 4)
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


@callback_protocol
def test_fits_of_a_search_have_runs_below_it_from_processes_too(store):
    callback = MLflowCallback("search", log_model=False)
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(max_iter=3, random_state=0))
    search = GridSearchCV(pipeline, {"mlpclassifier__alpha": [0.1, 0.01]}, cv=2, n_jobs=2)
    search.set_callbacks(callback).fit(X, y)
    run, below = _runs(callback)
    assert run.info.status == "FINISHED" and run.data.metrics["best_score"] == search.best_score_
    assert run.data.tags["digest"] == arrays_digest(search)
    assert sorted(below) == [*(f"candidate-split-evaluation {i}" for i in range(4)), "refit-with-best-params 1"]
    assert {other.info.status for other in below.values()} == {"FINISHED"}
    refit = below["refit-with-best-params 1"].info.run_id
    assert _curve(callback, refit, "loss") == list(enumerate(search.best_estimator_[-1].loss_curve_, 1))


@pytest.mark.parametrize("by", ["function", pytest.param("protocol", marks=callback_protocol)])
def test_members_have_runs_of_their_own(store, by):
    callback = MLflowCallback(f"members {by}", log_model=False)
    model = TabularMLPClassifier(n_members=2, max_iter=3, random_state=0)
    if by == "function":
        model.set_params(callbacks=callback)
        with callback.run(model, X, y):
            model.fit(X, y)
    else:
        model.set_callbacks(callback).fit(X, y)
    run, below = _runs(callback)
    assert run.info.status == "FINISHED" and sorted(below) == ["member 0", "member 1"]
    for number, member in enumerate(model.members_):
        member_run = below[f"member {number}"]
        assert member_run.info.status == "FINISHED"
        assert _curve(callback, member_run.info.run_id, "loss") == list(enumerate(member.loss_curve_, 1))


def test_curves_are_written_once_when_a_fit_is_shorter_than_the_interval(store):
    callback = MLflowCallback("batches", log_model=False, interval=1e6)
    client, batches = callback.client, []
    log_batch = client.log_batch

    def counted(run_id, metrics=(), params=(), **kwargs):
        batches.append(len(metrics))
        return log_batch(run_id, metrics, params, **kwargs)

    client.log_batch = counted
    model = MLPClassifier(hidden_layer_sizes=(2,), max_iter=1200, tol=0, n_iter_no_change=1200, callbacks=callback)
    with callback.run(model, X, y):
        model.fit(X, y)
    run, _ = _runs(callback)
    assert [n for n in batches if n] == [1000, 201]  # the loss of each epoch, and the learning rate, which is constant
    assert _curve(callback, run.info.run_id, "loss") == list(enumerate(model.loss_curve_, 1))


def test_a_fit_that_fails_and_one_below_an_active_run(store):
    callback = MLflowCallback("fails", log_model=False)
    model = MLPClassifier(max_iter=3, callbacks=callback)
    # of the store's own experiment: another test may have made one in its store the process's
    active = mlflow.start_run(experiment_id="0")
    with active, pytest.raises(ValueError, match="inconsistent"), callback.run(model, X, y):
        model.fit(X, y[:10])
    run, _ = _runs(callback)
    assert run.info.status == "FAILED" and run.data.tags["mlflow.parentRunId"] == active.info.run_id
    with pytest.raises(ValueError, match="needs the block"):
        model.fit(X, y)


@pytest.mark.parametrize("by", ["function", pytest.param("protocol", marks=callback_protocol)])
def test_an_interrupted_search_ends_its_runs_as_killed(store, by):
    def interrupt(estimator, epoch, metrics):
        raise SystemExit(143)  # as a handler of SIGTERM does

    callback = MLflowCallback(f"interrupted {by}", log_model=False)
    if by == "function":
        model = MLPClassifier(max_iter=3, callbacks=[callback, interrupt])
        with pytest.raises(SystemExit), callback.run(model, X, y):
            model.fit(X, y)
    else:
        search = GridSearchCV(MLPClassifier(max_iter=3, callbacks=interrupt), {"alpha": [0.1]}, cv=2)
        with pytest.raises(SystemExit):
            search.set_callbacks(callback).fit(X, y)
    run, below = _runs(callback)
    assert {run.info.status, *(other.info.status for other in below.values())} == {"KILLED"}
    assert len(below) == (by == "protocol")


def test_a_store_that_cannot_be_written_costs_a_warning_and_no_fit(store):
    callback = MLflowCallback("locked", log_model=False)
    callback.prepare()
    expected = MLPClassifier(max_iter=3, random_state=0).fit(X, y)
    model = MLPClassifier(max_iter=3, random_state=0, callbacks=callback)
    with sqlite3.connect(store / "mlflow.db") as database:
        database.execute("ALTER TABLE runs RENAME TO runs_aside")
    try:
        with pytest.warns(UserWarning, match="MLflow at sqlite:.* does not record"), callback.run(model, X, y):
            model.fit(X, y)
    finally:
        with sqlite3.connect(store / "mlflow.db") as database:
            database.execute("ALTER TABLE runs_aside RENAME TO runs")
    assert arrays_digest(model) == arrays_digest(expected)


def test_copies_in_other_processes_know_the_store(store):
    callback = MLflowCallback("copies", interval=2.0)
    copy = pickle.loads(pickle.dumps(callback))
    assert copy.tracking_uri == f"sqlite:///{store / 'mlflow.db'}" and copy.interval == 2.0


def test_digests_see_every_bit():
    model = MLPClassifier(max_iter=2, random_state=0).fit(X, y)
    before = arrays_digest(model)
    assert arrays_digest(MLPClassifier(max_iter=2, random_state=0).fit(X, y)) == before
    model.coefs_[0][0, 0] = np.nextafter(model.coefs_[0][0, 0], 1)
    assert arrays_digest(model) != before
    assert data_fingerprint(X, y) == data_fingerprint(np.asfortranarray(X), y.tolist())
    assert data_fingerprint(X, y) != data_fingerprint(X.astype(np.float32), y)
