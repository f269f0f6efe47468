"""Scikit-learn's callbacks, told of every epoch of every member of an ensemble over a table."""

import importlib.util
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import TabularMLPClassifier, TabularMLPRegressor
from fastmlp.training import ensembles

BOTH = [TabularMLPClassifier, TabularMLPRegressor]
RNG = np.random.default_rng(1)
N = 61
A = RNG.normal(size=(N, 2))
X = {"one": A[:, 0], "two": A[:, 1], "few": np.array(["p", "q", "r"])[RNG.integers(3, size=N)]}
NUMBERS = A[:, 0] - A[:, 1] ** 2
LABELS = np.where(NUMBERS > -0.5, "much", "little")
PARAMS = {"n_members": 3, "random_state": 0, "recipe": {"hidden_layer_sizes": (6,), "frequencies": 3}, "max_iter": 5}


def test_callbacks_are_there_where_scikit_learn_has_them():
    has = importlib.util.find_spec("sklearn.callback") is not None
    assert [hasattr(kind(), "set_callbacks") for kind in BOTH] == [has] * 2


class Recorder:
    """A callback of scikit-learn's protocol that keeps what it is told, and sees that nobody else is told meanwhile."""

    def __init__(self, stops=(), fails=None, interrupts=None):
        self.stops, self.fails, self.interrupts = stops, fails, interrupts
        self.calls, self.fitted, self.estimators, self.tasks = [], {}, [], {}
        self.lock = threading.Lock()

    def setup(self, estimator, context):
        self.calls.append("setup")

    def teardown(self, estimator, context):
        self.calls.append("teardown")

    def _path(self, estimator, context):
        assert self.lock.acquire(blocking=False)
        self.estimators.append(estimator)
        path = []
        while context is not None:
            path.insert(0, (context.task_name, context.task_id))
            self.tasks[path[0]] = context.max_subtasks
            context = context.parent
        return tuple(path)

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None, metadata=None):
        path = self._path(estimator, context)
        self.calls.append(("begin", *path))
        self.data = X, y, metadata
        self.lock.release()
        if self.interrupts == ("begin", *path):
            raise KeyboardInterrupt

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        path = self._path(estimator, context)
        self.calls.append(("end", *path))
        self.fitted[path] = fitted_estimator
        self.lock.release()
        if path == self.fails:
            raise LookupError(path)
        if self.interrupts == ("end", *path):
            raise KeyboardInterrupt
        return path in self.stops


FIT = ("fit", 0)


def _of_member(number, n_epochs=5):
    path = FIT, ("member", number)
    epochs = [(how, *path, ("epoch", i)) for i in range(n_epochs) for how in ("begin", "end")]
    return [("begin", *path), *epochs, ("end", *path)]


@pytest.fixture(autouse=True)
def of_1_9(request):
    if "has_them" not in request.node.name:
        pytest.importorskip("sklearn.callback")


def _y(kind):
    return LABELS if kind is TabularMLPClassifier else NUMBERS


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("n_members", [1, 3])
def test_tasks_of_one_thread(n_members, kind):
    recorder = Recorder()
    model = kind(**{**PARAMS, "n_members": n_members, "n_jobs": 1}).set_callbacks(recorder)
    weight = np.ones(N)
    model.fit(X, _y(kind), weight)
    members = [call for number in range(n_members) for call in _of_member(number)]
    assert recorder.calls == ["setup", ("begin", FIT), *members, ("end", FIT), "teardown"]
    assert recorder.data[0] is X and recorder.data[1] is _y(kind) and recorder.data[2] == {"sample_weight": weight}
    assert len({*map(id, recorder.estimators)}) == 1
    most = {name: {count for task, count in recorder.tasks.items() if task[0] == name} for name, _ in recorder.tasks}
    assert most == {"fit": {n_members}, "member": {5}, "epoch": {0}}
    plain = kind(**{**PARAMS, "n_members": n_members}).fit(X, _y(kind))
    np.testing.assert_array_equal(model._outputs(X), plain._outputs(X))
    assert vars(model).keys() - vars(plain).keys() == {"_skl_callbacks"}


@pytest.mark.parametrize("kind", BOTH)
def test_tasks_of_several_threads_one_at_a_time(kind):
    recorder = Recorder()
    model = kind(**PARAMS, n_jobs=2).set_callbacks(recorder).fit(X, _y(kind))
    assert recorder.calls[:2] == ["setup", ("begin", FIT)] and recorder.calls[-2:] == [("end", FIT), "teardown"]
    for number in range(3):
        own = [call for call in recorder.calls if ("member", number) in [*call]]
        assert own == _of_member(number)
    assert len(recorder.calls) == 4 + 3 * 12
    np.testing.assert_array_equal(model._outputs(X), kind(**PARAMS).fit(X, _y(kind))._outputs(X))


@pytest.mark.parametrize("kind", BOTH)
def test_what_is_fitted_is_the_member_as_it_is_then(kind):
    recorder, told, table = Recorder(), {}, np.array([X["one"], X["two"]]).T

    def listen(estimator, epoch, metrics):
        told[FIT, ("member", metrics["member"]), ("epoch", epoch - 1)] = estimator.predict(table)

    # names and scores of an earlier fit are not those of this one
    model = kind(**PARAMS).fit(X, _y(kind)).set_callbacks(recorder).set_params(callbacks=listen)
    model.fit(table, _y(kind))
    assert len(told) == 15
    for path, prediction in told.items():
        fitted = recorder.fitted[path]
        np.testing.assert_array_equal(fitted.predict(table), prediction)
        assert not hasattr(fitted, "oof_score_") and not hasattr(fitted, "feature_names_in_")
    for number, member in enumerate(model.members_):
        ended = recorder.fitted[FIT, ("member", number)]
        assert len(ended.members_) == 1 and ended.members_[0].weight_ == 1 and ended.n_iter_ == 5
        for one, other in zip(ended.members_[0].parameters, member.parameters, strict=True):
            np.testing.assert_array_equal(one, other)
    whole = recorder.fitted[FIT,]
    np.testing.assert_array_equal(whole.predict(table), model.predict(table))
    assert whole.oof_score_ == model.oof_score_ and whole is not model


@pytest.mark.parametrize("kind", BOTH)
def test_the_end_of_an_epoch_or_a_member_may_ask_to_stop(kind):
    recorder = Recorder(stops=[(FIT, ("member", 0), ("epoch", 1)), (FIT, ("member", 1))])
    model = kind(**PARAMS, n_jobs=1).set_callbacks(recorder).fit(X, _y(kind))
    assert recorder.calls[2:-2] == _of_member(0, 2) + _of_member(1)
    assert [len(member.loss_curve_) for member in model.members_] == [2, 5]
    assert model.predict(X).shape == (N,)


@pytest.mark.parametrize("path", [(FIT,), (FIT, ("member", 1)), (FIT, ("member", 1), ("epoch", 2))])
def test_an_error_of_a_callback_leaves_the_estimator_as_it_was(path):
    model = TabularMLPRegressor(**PARAMS).fit(X, NUMBERS)
    recorder = Recorder(fails=path)
    model.set_callbacks(recorder)
    before = dict(vars(model))
    with pytest.raises(LookupError):
        model.fit(X, NUMBERS + 1)
    assert vars(model) == before
    assert recorder.calls[0] == "setup" and recorder.calls[-1] == "teardown"


@pytest.mark.parametrize(
    ("path", "n_epochs"),
    [((FIT, ("member", 1)), 1), ((FIT, ("member", 1), ("epoch", 2)), 3)],
)
@pytest.mark.parametrize("how", ["begin", "end"])
def test_an_interrupt_by_a_callback_ends_the_members_after_their_epoch(how, path, n_epochs):
    recorder = Recorder(interrupts=(how, *path))
    if how == "end" and len(path) == 2:
        n_epochs = 5
    model = TabularMLPRegressor(**PARAMS, n_jobs=1).set_callbacks(recorder)
    with pytest.warns(UserWarning, match="interrupted by user"):
        model.fit(X, NUMBERS)
    of_second = [call for call in recorder.calls if ("member", 1) in [*call]]
    # whose begin was interrupted has no end
    expected = _of_member(1, n_epochs)
    if how == "begin":
        ended = [("end", *path)] if len(path) == 3 else expected[1:]
        expected = [call for call in expected if call not in ended]
    assert of_second == expected
    assert recorder.calls[-2:] == [("end", FIT), "teardown"] and ("begin", FIT, ("member", 2)) not in recorder.calls
    assert [len(member.loss_curve_) for member in model.members_] == [5, 5][: 1 + (n_epochs == 5)]


def test_data_that_are_refused_are_told_of_too():
    recorder = Recorder()
    model = TabularMLPRegressor(**PARAMS).set_callbacks(recorder)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(X, NUMBERS[1:])
    assert recorder.calls == ["setup", ("begin", FIT), "teardown"]
    with pytest.raises(ValueError, match="n_members"):
        model.set_params(n_members=0).fit(X, NUMBERS)
    assert len(recorder.calls) == 3


def test_members_of_a_file_are_not_told_of_again(tmp_path):
    first, second = Recorder(fails=(FIT, ("member", 2), ("epoch", 3))), Recorder()
    model = TabularMLPRegressor(**PARAMS, n_jobs=1, checkpoint_path=tmp_path / "c").set_callbacks(first)
    with pytest.raises(LookupError):
        model.fit(X, NUMBERS)
    model.set_callbacks(second).fit(X, NUMBERS)
    assert second.calls == ["setup", ("begin", FIT), *_of_member(2), ("end", FIT), "teardown"]
    second.calls.clear()
    model.fit(X, NUMBERS)
    assert second.calls == ["setup", ("begin", FIT), ("end", FIT), "teardown"]


def test_a_member_that_begins_anew_for_want_of_time_has_no_more_epochs_than_it_said(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(ensembles, "time", SimpleNamespace(monotonic=lambda: now[0]))
    recorder = Recorder()

    def second(estimator, epoch, metrics):
        now[0] += 1.0

    params = {**PARAMS, "max_iter": 50, "time_limit": 1e9, "n_jobs": 1, "callbacks": second, "n_members": 2}
    model = TabularMLPRegressor(**params).set_callbacks(recorder)
    # the time that is left when the fit begins, by the clock that stands
    monkeypatch.setattr("fastmlp.estimators.tabular_base.time", SimpleNamespace(monotonic=lambda: 12.0 - 1e9))
    model.fit(X, NUMBERS)
    # two epochs of fifty show that there is time for 95 % of the ten seconds that are left; then there is none
    assert recorder.calls[2:-2] == _of_member(0, 2 + 9)
    assert [len(member.loss_curve_) for member in model.members_] == [9] and now[0] == 11
    assert recorder.tasks["member", 0] == 50


def test_progress_bar_and_scoring_monitor(capsys):
    callback = pytest.importorskip("sklearn.callback")
    pytest.importorskip("rich")
    monitor, told = callback.ScoringMonitor(scoring="accuracy"), {}

    def listen(estimator, epoch, metrics):
        told[0, metrics["member"], epoch - 1] = accuracy_score(LABELS, estimator.predict(X))

    model = TabularMLPClassifier(**PARAMS, callbacks=listen, n_jobs=2)
    model.set_callbacks(monitor, callback.ProgressBar()).fit(X, LABELS)
    rows = {row["task_id_path"]: row["accuracy"] for row in monitor.get_logs().data}
    assert {path: score for path, score in rows.items() if len(path) == 3} == told and len(told) == 15
    assert rows[0,] == model.score(X, LABELS) and len(rows) == 15 + 3 + 1
    shown = [line for line in capsys.readouterr().out.splitlines() if "100%" in line]
    assert "TabularMLPClassifier - fit" in shown[0]
    assert sorted(line.split("#")[1].split()[0] for line in shown[1:]) == ["0", "1", "2"]


def test_in_a_pipeline_and_a_search(capsys):
    callback = pytest.importorskip("sklearn.callback")
    pytest.importorskip("rich")
    monitor = callback.ScoringMonitor(scoring="r2")
    pipeline = make_pipeline(StandardScaler(), TabularMLPRegressor(**PARAMS).set_callbacks(monitor))
    pipeline.set_callbacks(callback.ProgressBar()).fit(A, NUMBERS)
    rows = monitor.get_logs().data
    assert [row["task_name"] for row in rows].count("epoch") == 15
    assert not hasattr(pipeline[-1], "_parent_callback_ctx")
    pd = pytest.importorskip("pandas")
    search = GridSearchCV(TabularMLPClassifier(**PARAMS), {"max_iter": [2, 8]}, cv=2)
    search.set_callbacks(callback.ProgressBar(max_propagation_depth=None)).fit(pd.DataFrame(X), LABELS)
    plain = clone(search).set_callbacks().fit(pd.DataFrame(X), LABELS)
    assert search.best_score_ == plain.best_score_ and search.best_params_ == plain.best_params_
    assert capsys.readouterr().out.count(" - member #") == 3 + 3 * 5
