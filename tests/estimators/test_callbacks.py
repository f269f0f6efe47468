"""Functions and scikit-learn's callbacks, told of every epoch."""

import importlib.util
import io
import pickle

import numpy as np
import pytest
from parity import data, quietly
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPClassifier, MLPRegressor

X, LABELS = data("multiclass")
PARAMS = {"hidden_layer_sizes": (6,), "max_iter": 8, "random_state": 0, "batch_size": 16}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_a_function_is_told_of_every_epoch_and_gets_copies(solver):
    told = []
    params = {**PARAMS, "solver": solver}
    model = MLPClassifier(**params, callbacks=lambda *args: told.append(args)).fit(X, LABELS)
    assert [epoch for _, epoch, _ in told] == list(range(1, model.n_iter_ + 1))
    if solver != "lbfgs":
        assert [metrics["loss"] for _, _, metrics in told] == model.loss_curve_
        assert {metrics["learning_rate"] for _, _, metrics in told} == {0.001}
    for estimator, epoch, metrics in told:
        short = quietly(MLPClassifier(**{**params, "max_iter": epoch}).fit, X, LABELS)
        np.testing.assert_array_equal(estimator.predict_proba(X), short.predict_proba(X))
        assert estimator.loss_ == metrics["loss"] == short.loss_ and estimator.n_iter_ == epoch
        assert not any(np.shares_memory(a, b) for a in estimator.coefs_ for b in model.coefs_)
        stored = pickle.dumps(estimator.set_params(callbacks=None))
        np.testing.assert_array_equal(pickle.loads(stored).predict(X), short.predict(X))
    plain = MLPClassifier(**params).fit(X, LABELS)
    assert all(np.array_equal(a, b) for a, b in zip(plain.coefs_, model.coefs_, strict=True))


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_one_of_several_functions_stops_the_fit(solver, recwarn):
    told = []
    functions = [lambda *args: told.append(args[1]), lambda estimator, epoch, metrics: epoch == 3]
    model = MLPClassifier(**{**PARAMS, "solver": solver}, callbacks=functions).fit(X, LABELS)
    assert model.n_iter_ == 3 and told == [1, 2, 3] and not recwarn.list
    short = quietly(MLPClassifier(**{**PARAMS, "solver": solver, "max_iter": 3}).fit, X, LABELS)
    np.testing.assert_array_equal(model.predict_proba(X), short.predict_proba(X))


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_nothing_but_true_itself_stops_the_fit(solver):
    log, history = io.StringIO(), {}
    answers = {
        "log": lambda estimator, epoch, metrics: log.write(f"{epoch}\n"),
        "history": lambda estimator, epoch, metrics: history.setdefault(epoch, metrics),
        "loss": lambda estimator, epoch, metrics: metrics["loss"],
        "estimator": lambda estimator, epoch, metrics: estimator,
        "weights": lambda estimator, epoch, metrics: estimator.coefs_[0],
        "one": lambda estimator, epoch, metrics: 1,
        "NumPy's one": lambda estimator, epoch, metrics: np.int64(1),
        "word": lambda estimator, epoch, metrics: "True",
        "NumPy's False": lambda estimator, epoch, metrics: np.False_,
    }
    for answer in answers.values():
        assert MLPClassifier(**{**PARAMS, "solver": solver}, callbacks=answer).fit(X, LABELS).n_iter_ == 8
    assert log.getvalue().split() == [str(epoch) for epoch in range(1, 9)] and len(history) == 8
    stops = [lambda estimator, epoch, metrics: np.int64(epoch) == 2, answers["log"]]
    assert MLPClassifier(**{**PARAMS, "solver": solver}, callbacks=stops).fit(X, LABELS).n_iter_ == 2


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_an_error_of_a_function_leaves_the_estimator_as_it_was(solver):
    def fails(estimator, epoch, metrics):
        raise LookupError(epoch)

    model = MLPClassifier(**{**PARAMS, "solver": solver})
    with pytest.raises(LookupError):
        model.set_params(callbacks=fails).fit(X, LABELS)
    assert not hasattr(model, "coefs_")
    model.set_params(callbacks=None).fit(X, LABELS)
    before = model.predict_proba(X)
    with pytest.raises(LookupError):
        model.set_params(callbacks=fails).fit(X[::2], LABELS[::2])
    np.testing.assert_array_equal(model.predict_proba(X), before)


def test_partial_fit_tells_too():
    told = []
    model = MLPRegressor(**PARAMS, callbacks=lambda *args: told.append(args))
    y = data("regression")[1]
    for _ in range(3):
        model.partial_fit(X, y)
    assert [epoch for _, epoch, _ in told] == [1, 1, 1]
    assert [len(estimator.loss_curve_) for estimator, _, _ in told] == [1, 2, 3]
    assert [metrics["loss"] for _, _, metrics in told] == model.loss_curve_


@pytest.mark.parametrize("callbacks", ["print", [print, 3], 5])
def test_what_is_no_function_is_refused(callbacks):
    with pytest.raises(ValueError, match="callbacks"):
        MLPClassifier(**PARAMS, callbacks=callbacks).fit(X, LABELS)


class Recorder:
    """A callback of scikit-learn's protocol that keeps what it is told."""

    def __init__(self, stop_at=None):
        self.stop_at, self.calls, self.fitted = stop_at, [], []

    def setup(self, estimator, context):
        self.calls.append("setup")

    def teardown(self, estimator, context):
        self.calls.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None):
        self.calls.append(("begin", context.task_name, context.task_id))
        assert X is not None and y is not None

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.calls.append(("end", context.task_name, context.task_id))
        if context.task_name != "fit":
            self.fitted.append(fitted_estimator)
            return context.task_id + 1 == self.stop_at


@pytest.mark.parametrize("solver, task", [("adam", "epoch"), ("lbfgs", "iteration")])
@pytest.mark.parametrize("stop_at", [None, 2])
def test_scikit_learn_s_protocol(stop_at, solver, task):
    pytest.importorskip("sklearn.callback")
    recorder = Recorder(stop_at)
    model = MLPClassifier(**{**PARAMS, "solver": solver}).set_callbacks(recorder).fit(X, LABELS)
    assert model.n_iter_ == (stop_at or 8)
    expected = ["setup", ("begin", "fit", 0)]
    for i in range(model.n_iter_):
        expected += [("begin", task, i), ("end", task, i)]
    assert recorder.calls == [*expected, ("end", "fit", 0), "teardown"]
    np.testing.assert_array_equal(recorder.fitted[-1].predict_proba(X), model.predict_proba(X))
    assert not any(np.shares_memory(a, b) for a in recorder.fitted[-1].coefs_ for b in model.coefs_)
    recorder.calls.clear()
    with pytest.raises(ValueError):
        model.fit(X[:, 0], LABELS)
    assert recorder.calls[0] == "setup" and recorder.calls[-1] == "teardown"


def test_progress_bar_and_scoring_monitor_in_a_pipeline_and_a_search(capsys):
    callback = pytest.importorskip("sklearn.callback")
    pytest.importorskip("rich")
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model = MLPClassifier(**PARAMS).set_callbacks(monitor)
    pipeline = make_pipeline(StandardScaler(), model).set_callbacks(callback.ProgressBar())
    pipeline.fit(X, LABELS)
    scores = [row["accuracy"] for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    told = []
    again = clone(pipeline[-1]).set_callbacks().set_params(callbacks=lambda model, *_: told.append(model))
    scaled = pipeline[:-1].transform(X)
    again.fit(scaled, LABELS)
    assert scores == [model.score(scaled, LABELS) for model in told]
    search = GridSearchCV(MLPClassifier(**PARAMS), {"alpha": [0.1, 1]}, cv=2).set_callbacks(callback.ProgressBar())
    assert search.fit(X, LABELS).best_score_ > 0.3


def test_callbacks_are_there_where_scikit_learn_has_them():
    has = importlib.util.find_spec("sklearn.callback") is not None
    assert hasattr(MLPClassifier(), "set_callbacks") == has


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_an_end_of_an_iteration_that_a_function_raises_is_not_swallowed(solver):
    def ends(estimator, epoch, metrics):
        raise StopIteration

    with pytest.raises(StopIteration):
        MLPClassifier(**{**PARAMS, "solver": solver}, callbacks=ends).fit(X, LABELS)


def test_the_copy_shows_nothing_of_an_earlier_fit():
    model = MLPClassifier(**PARAMS, early_stopping=True).fit(X, LABELS)
    told = []
    model.set_params(solver="lbfgs", callbacks=lambda copy, *_: told.append(copy)).fit(X, LABELS)
    assert not hasattr(told[0], "validation_scores_") and not hasattr(told[0], "_optimizer")


def test_a_function_that_changes_the_estimator_does_not_confuse_its_fit():
    model = MLPClassifier(**PARAMS)
    model.set_params(callbacks=lambda *_: model.set_params(early_stopping=True) and None).fit(X, LABELS)
    assert model.n_iter_ == 8 and model.best_loss_ == min(model.loss_curve_)


def test_an_error_at_the_end_of_scikit_learn_s_protocol_leaves_the_estimator_as_it_was():
    pytest.importorskip("sklearn.callback")

    class Fails(Recorder):
        def on_fit_task_end(self, estimator, context):
            if context.task_name == "fit":
                raise LookupError

    model = MLPClassifier(**PARAMS).set_callbacks(Fails())
    with pytest.raises(LookupError):
        model.fit(X, LABELS)
    assert not hasattr(model, "coefs_")
