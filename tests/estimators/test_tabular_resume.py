"""Ensembles over tables that are killed go on from the members that are trained, to the same model bit for bit."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import make_scorer, mean_absolute_error

from fastmlp import TabularMLPClassifier, TabularMLPRegressor
from fastmlp.training import ensembles, kept_members
from fastmlp.training.checkpoint import Checkpoint
from fastmlp.training.recipes import Recipe

BOTH = [TabularMLPClassifier, TabularMLPRegressor]
SMALL = {"hidden_layer_sizes": (7,), "epochs": 6, "frequencies": 3}
RECIPES = (
    Recipe(**SMALL),
    Recipe(**{**SMALL, "hidden_layer_sizes": (5, 4), "n_bins": 5, "epochs": 4}),
    Recipe(**{**SMALL, "dropout": 0.3, "batch_size": 11}),
)
RNG = np.random.default_rng(0)
N = 67
A = RNG.normal(size=(N, 3))
X = {
    "one": A[:, 0],
    "gaps": np.where(np.arange(N) % 7 == 3, np.nan, A[:, 1]),
    "few": np.array(["p", "q", "r"])[RNG.integers(3, size=N)],
    "many": RNG.integers(12, size=N).astype(str),
}
NUMBERS = A[:, 0] + A[:, 1] ** 2 + 0.1 * A[:, 2]
LABELS = np.array(["low", "mid", "high"])[np.digitize(NUMBERS, [-0.2, 1.0])]
WEIGHTS = RNG.random(N) + 0.1


class Killed(BaseException):
    """Ends a fit as nothing else does."""


def rows(table, part):
    return {name: column[part] for name, column in table.items()}


def _fit(kind, path, given=None, **params):
    y = LABELS if kind is TabularMLPClassifier else NUMBERS
    params = {"n_members": 3, "random_state": 0, "recipe": SMALL, **params}
    return kind(**params, checkpoint_path=path).fit(X, y, **(given or {}))


def _validation(kind):
    y = LABELS if kind is TabularMLPClassifier else NUMBERS
    return {"X_val": rows(X, slice(20)), "y_val": y[:20]}


def _killing(member, epoch, told=None):
    """A callback that ends the fit, and others of its members, in some epoch."""

    def function(estimator, number, metrics):
        if told is not None:
            told.append(metrics["member"])
        if (metrics["member"], number) == (member, epoch):
            raise Killed

    return function


def _same(one, other):
    assert len(one.members_) == len(other.members_) and one.n_iter_ == other.n_iter_
    for a, b in zip(one.members_, other.members_, strict=True):
        assert a.recipe == b.recipe and a.weight_ == b.weight_ and a.best_epoch_ == b.best_epoch_
        assert a.loss_curve_ == b.loss_curve_ and a.validation_scores_ == b.validation_scores_
        for left, right in zip(a.parameters, b.parameters, strict=True):
            assert left.dtype == right.dtype == np.float32
            np.testing.assert_array_equal(left, right)
    for name in ("oof_score_", "oof_prediction_"):
        assert hasattr(one, name) == hasattr(other, name)
        np.testing.assert_array_equal(getattr(one, name, None), getattr(other, name, None))
    np.testing.assert_array_equal(one.predict(X), other.predict(X))
    np.testing.assert_array_equal(one._outputs(X), other._outputs(X))


CASES = {
    "folds": {},
    "one member": {"n_members": 1},
    "a set for validation": {"n_members": 2},
    "weights": {"scoring": make_scorer(lambda y, guess, sample_weight: np.mean(y == guess))},
    "batches": {"recipe": Recipe(**{**SMALL, "dropout": 0.3, "batch_size": 11}), "n_members": 4},
    "several recipes": {"n_members": 13, "recipe": None},
    "a RandomState": {"random_state": 5},
}


@pytest.fixture
def several(monkeypatch):
    for kind in BOTH:
        monkeypatch.setattr(kind, "_portfolio", RECIPES)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_fit_that_ends_early_goes_on_to_the_same_model(n_jobs, case, kind, several, tmp_path):
    params = {**CASES[case], "n_jobs": n_jobs}
    given = {"weights": {"sample_weight": WEIGHTS}, "a set for validation": _validation(kind)}.get(case)
    last = params.get("n_members", 3) - 1

    def fit(path, **more):
        if case == "a RandomState":
            more["random_state"] = np.random.RandomState(5)
        return _fit(kind, path, given, **{**params, **more})

    path, told = tmp_path / "checkpoint", []
    with pytest.raises(Killed):
        fit(path, callbacks=_killing(last, 2))
    if last == 0:
        assert not path.exists()
    resumed = fit(path, callbacks=lambda _, epoch, metrics: told.append((metrics["member"], epoch)))
    # one thread had trained all members before
    assert n_jobs == 2 or {member for member, _ in told} == {last}
    assert (last, 1) in told and len(told) == len({*told})
    _same(resumed, fit(None))
    # the same call once more finds it done, and leaves the file as it is
    before = path.read_bytes(), path.stat().st_mtime_ns
    _same(fit(path, callbacks=_killing(last, 1)), resumed)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert os.listdir(tmp_path) == ["checkpoint"]


def test_the_file_has_what_is_trained_after_each_member(tmp_path):
    path, numbers = tmp_path / "checkpoint", []

    def look(estimator, epoch, metrics):
        state = Checkpoint(path, 1).read()
        numbers.append((metrics["member"], epoch, state and [member["number"] for member in state["members"]]))

    model = _fit(TabularMLPRegressor, path, callbacks=look, n_jobs=1)
    expected = [(member, epoch, [*range(member)] or None) for member in range(3) for epoch in range(1, 7)]
    assert numbers == expected
    state = Checkpoint(path, 1).read()
    assert state["finished"] and state["seed"] == np.random.RandomState(0).randint(2**31 - 1)
    center, scale = NUMBERS.mean(), NUMBERS.std()
    held_out = [
        np.flatnonzero(np.isin(model.oof_prediction_, model._from_outputs(m["outputs"]))) for m in state["members"]
    ]
    np.testing.assert_array_equal(np.sort(np.concatenate(held_out)), np.arange(N))
    for member, own, outputs in zip(model.members_, held_out, state["members"], strict=True):
        assert member.loss_curve_ == outputs["losses"].tolist() and len(own) == len(outputs["outputs"])
        error = NUMBERS[own] - (outputs["outputs"][:, 0] * scale + center).clip(NUMBERS.min(), NUMBERS.max())
        spread = NUMBERS[own] - NUMBERS[own].mean()
        assert 1 - error @ error / (spread @ spread) == pytest.approx(max(member.validation_scores_), abs=1e-6)


@pytest.mark.parametrize("kind", BOTH)
def test_without_a_seed_it_is_the_file_that_has_it(kind, tmp_path):
    path = tmp_path / "checkpoint"
    with pytest.raises(Killed):
        _fit(kind, path, random_state=None, callbacks=_killing(2, 1), n_jobs=1)
    seed = Checkpoint(path, 1).read()["seed"]
    np.random.seed(8)
    before = np.random.get_state()[1].copy()
    resumed = _fit(kind, path, random_state=None)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # NumPy's own is left as it is
    _same(_fit(kind, path, random_state=None), resumed)

    class Seeded(np.random.RandomState):
        def randint(self, most):
            return seed

    _same(resumed, _fit(kind, None, random_state=Seeded()))
    # without the file another seed is drawn
    path.unlink()
    other = _fit(kind, path, random_state=None)
    assert other.members_[0].loss_curve_ != resumed.members_[0].loss_curve_
    assert Checkpoint(path, 1).read()["seed"] != seed


def test_a_random_state_goes_on_as_without_a_file(tmp_path):
    for path in (tmp_path / "checkpoint", None):
        states = [np.random.RandomState(3) for _ in range(2)]
        for state in states:
            _fit(TabularMLPRegressor, path, random_state=state)
        assert states[0].rand() == states[1].rand()


def test_an_interrupt_leaves_a_file_that_the_same_call_goes_on_from(tmp_path):
    path, whole = tmp_path / "checkpoint", _fit(TabularMLPClassifier, None, n_members=4)

    def interrupt(estimator, epoch, metrics):
        if (metrics["member"], epoch) == (2, 5):  # most of its epochs: the model has it, but the file has it not
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted by user"):
        model = _fit(TabularMLPClassifier, path, n_members=4, n_jobs=1, callbacks=interrupt)
    assert [len(member.loss_curve_) for member in model.members_] == [6, 6, 5]
    state = Checkpoint(path, 1).read()
    assert [member["number"] for member in state["members"]] == [0, 1] and not state["finished"]
    told = []
    _same(_fit(TabularMLPClassifier, path, n_members=4, callbacks=lambda *args: told.append(args[2]["member"])), whole)
    assert {*told} == {2, 3}


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals to threads")
def test_ctrl_c_leaves_a_file_that_the_same_call_goes_on_from(tmp_path):
    path, begun = tmp_path / "checkpoint", threading.Event()
    main = threading.main_thread().ident

    def send():
        begun.wait(60)
        signal.pthread_kill(main, signal.SIGINT)

    def listen(estimator, epoch, metrics):
        if metrics["member"] == 1:
            begun.set()
        return metrics["member"] == 0 and epoch == 5

    recipe = {**SMALL, "epochs": 10**6}
    sender = threading.Thread(target=send)
    sender.start()
    with pytest.warns(UserWarning, match="interrupted by user"):
        _fit(TabularMLPRegressor, path, n_jobs=1, callbacks=listen, recipe=recipe)
    sender.join()
    (member,) = Checkpoint(path, 1).read()["members"]
    assert member["number"] == 0 and member["epochs"] == 10**6 and len(member["losses"]) == 5

    def five(estimator, epoch, metrics):
        return epoch == 5

    resumed = _fit(TabularMLPRegressor, path, callbacks=five, recipe=recipe)
    _same(resumed, _fit(TabularMLPRegressor, None, callbacks=five, recipe=recipe))


# ---- a limit of time ----


@pytest.mark.parametrize("kind", BOTH)
def test_trained_members_are_taken_over_whatever_time_there_was(kind, several, tmp_path):
    path, params = tmp_path / "checkpoint", {"time_limit": 1000, "recipe": None, "n_members": 11}
    with pytest.raises(Killed):
        _fit(kind, path, callbacks=_killing(4, 1), **params)
    kept = {member["number"] for member in Checkpoint(path, 1).read()["members"]}
    told = []
    resumed = _fit(kind, path, callbacks=_killing(None, None, told), **params)
    assert {*told} == {*range(11)} - kept and kept
    _same(resumed, _fit(kind, None, **params))


def test_the_time_starts_anew_and_a_fit_whose_time_was_up_is_done(monkeypatch, tmp_path):
    now = [0.0]
    monkeypatch.setattr(ensembles, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    path, params = tmp_path / "checkpoint", {"time_limit": 16.0, "n_members": 9, "n_jobs": 1}
    told = []

    def second(estimator, epoch, metrics):
        now[0] += 1.0
        told.append(metrics["member"])
        if len(told) == 11:
            raise Killed

    # an epoch takes a second, a member six
    with pytest.raises(Killed):
        _fit(TabularMLPClassifier, path, callbacks=second, **params)
    assert told == [0] * 6 + [1] * 5
    model = _fit(TabularMLPClassifier, path, callbacks=second, **params)
    # 95 % of 16 seconds for two members of six epochs and one of the three that are left
    assert told[11:] == [1] * 6 + [2] * 6 + [3] * 3 and now[0] == 26
    assert [len(member.loss_curve_) for member in model.members_] == [6, 6, 6, 3]
    assert [member.recipe.epochs for member in model.members_] == [6, 6, 6, 3]
    _same(_fit(TabularMLPClassifier, path, callbacks=second, **params), model)
    assert len(told) == 26
    # a member that the time cut short is all there is, and is kept
    path.unlink()
    model = _fit(TabularMLPRegressor, path, callbacks=second, **{**params, "time_limit": 0.5})
    assert len(told) == 27 and [len(member.loss_curve_) for member in model.members_] == [1]
    _same(_fit(TabularMLPRegressor, path, callbacks=second, **{**params, "time_limit": 0.5}), model)
    assert len(told) == 27


# ---- killed from outside ----

WORKER = """
import os, pickle, signal, sys
sys.path.insert(0, {folder!r})
import test_tabular_resume as own
kind, path, kills = own.BOTH[int(sys.argv[1])], sys.argv[2], sys.argv[3] == "kill"

def kill(estimator, epoch, metrics):
    if kills and (metrics["member"], epoch) == (9, 2):
        os.kill(os.getpid(), signal.SIGKILL)

kind._portfolio = own.RECIPES
model = own._fit(kind, path, recipe=None, n_members=13, n_jobs=2, callbacks=kill)
with open(path + ".model", "wb") as file:
    pickle.dump((model.set_params(callbacks=None), model.oof_prediction_), file)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9")
@pytest.mark.parametrize("kind", BOTH)
def test_kill_9(kind, several, tmp_path):
    path = str(tmp_path / "checkpoint")
    worker = WORKER.format(folder=os.path.dirname(__file__))
    codes, kept = [], []
    for how in ("kill", "go on"):
        arguments = [sys.executable, "-c", worker, str(BOTH.index(kind)), path, how]
        codes.append(subprocess.run(arguments, check=False).returncode)
        kept.append(len(Checkpoint(path, 1).read()["members"]))
    assert codes == [-signal.SIGKILL, 0] and 0 < kept[0] < 13 == kept[1]
    with open(f"{path}.model", "rb") as file:
        resumed, resumed.oof_prediction_ = pickle.load(file)
    _same(resumed, _fit(kind, None, recipe=None, n_members=13, n_jobs=1))


# ---- what is refused ----


@pytest.mark.parametrize(
    "params, match",
    [
        ({"n_members": 4}, "n_members was 3, is 4"),
        ({"random_state": 1}, "random_state was 0, is 1"),
        ({"max_iter": 5, "scoring": "neg_log_loss"}, "max_iter was None, is 5; scoring was None, is 'neg_log_loss'"),
        ({"recipe": SMALL | {"dropout": 0.2}}, "recipe differs"),
        ({"class_weight": "balanced"}, "class_weight was None, is 'balanced'"),
        ({"time_limit": 100}, "time_limit was None, is 100"),
        ({"categorical_features": ["few", "many", "one"]}, "categorical_features was .*; X differs"),
    ],
)
def test_other_parameters_are_refused_by_name(params, match, tmp_path):
    path = tmp_path / "checkpoint"
    model = _fit(TabularMLPClassifier, path)
    before = dict(vars(model))
    model.set_params(**params)
    with pytest.raises(ValueError, match=rf"the checkpoint '.*' is of another fit: {match}\."):
        model.fit(X, LABELS)
    assert {**vars(model), **dict.fromkeys(params)} == {**before, **dict.fromkeys(params)}
    # those without an effect may change
    _fit(TabularMLPClassifier, path, n_jobs=1, verbose=True, callbacks=_killing(0, 1))
    with pytest.raises(ValueError, match="loss was 'log_loss', is 'squared_error'; .*; portfolio differs; and 3 more"):
        _fit(TabularMLPRegressor, path)


def test_recipes_of_a_later_version_are_refused(monkeypatch, tmp_path):
    _fit(TabularMLPClassifier, tmp_path / "c", recipe=None, max_iter=2)
    monkeypatch.setattr(TabularMLPClassifier, "_portfolio", RECIPES)
    with pytest.raises(ValueError, match="is of another fit: portfolio differs"):
        _fit(TabularMLPClassifier, tmp_path / "c", recipe=None, max_iter=2)


def test_scorers_of_one_name_and_another_formula_are_told_apart(tmp_path):
    _fit(TabularMLPRegressor, tmp_path / "c", scoring=make_scorer(lambda y, guess: -mean_absolute_error(y, guess)))
    with pytest.raises(ValueError, match="scoring differs"):
        _fit(TabularMLPRegressor, tmp_path / "c", scoring=make_scorer(lambda y, guess: -abs(y - guess).mean()))


def test_other_data_are_refused_by_name(tmp_path):
    given = {"sample_weight": WEIGHTS, **_validation(TabularMLPClassifier)}
    model = _fit(TabularMLPClassifier, tmp_path / "c", given, n_members=2)
    before = dict(vars(model))
    labels = np.where(np.arange(N) == 7, "mid", LABELS)
    assert (labels != LABELS).any()
    for table, y, more, match in (
        ({**X, "one": X["one"] + 1e-6 * (X["one"] == X["one"].max())}, LABELS, {}, "X differs"),
        ({**X, "one": 2 * X["one"]}, LABELS, {}, "X differs.*"),
        (
            {"1": X["one"], **{name: X[name] for name in ("gaps", "few", "many")}},
            LABELS,
            {"X_val": None, "y_val": None},
            "X differs; X_val differs; y_val differs",
        ),
        ({**X, "few": np.where(X["few"] == "p", "q", X["few"])}, LABELS, {}, "X differs; X_val differs"),
        (X, labels, {}, "y differs"),
        (X, LABELS, {"sample_weight": None}, "sample_weight differs"),
        (X, LABELS, {"X_val": rows(X, slice(1, 21))}, "X_val differs"),
        (X, LABELS, {"y_val": labels[:20]}, "y_val differs"),
        (X, LABELS, {"X_val": None, "y_val": None}, "X_val differs; y_val differs"),
    ):
        with pytest.raises(ValueError, match=rf"is of another fit: {match}\."):
            model.fit(table, y, **{**given, **more})
    assert vars(model) == before
    model.fit(X, LABELS, **given)


def test_the_same_table_of_another_library_is_the_same(tmp_path):
    pl = pytest.importorskip("polars")
    model = _fit(TabularMLPClassifier, tmp_path / "c")
    frame = pl.DataFrame({name: [None if v != v else v for v in column.tolist()] for name, column in X.items()})
    model.set_params(callbacks=_killing(0, 1)).fit(frame, LABELS)


def test_what_has_no_value_is_refused_before_anything_is_written(tmp_path):
    with open(os.devnull) as opened, pytest.raises(ValueError, match=r"scoring holds an object of _io.TextIOWrapper"):
        _fit(TabularMLPClassifier, tmp_path / "c", scoring=lambda model, X, y: 1.0 if opened else 0.0)
    with pytest.raises(FileNotFoundError):
        _fit(TabularMLPClassifier, tmp_path / "no such" / "c")
    with pytest.raises(IsADirectoryError):
        _fit(TabularMLPClassifier, tmp_path)
    with pytest.raises(ValueError, match="'checkpoint_path' parameter"):
        _fit(TabularMLPClassifier, timedelta(1))
    assert os.listdir(tmp_path) == []


def _with(member=None, **parts):
    def changed(state):
        state = {**state, **parts}
        if member is not None:
            state["members"] = [state["members"][0] | member, *state["members"][1:]]
        return state

    return changed


@pytest.mark.parametrize(
    "change, match",
    [
        (_with(more=1), "it has other parts"),
        (_with(seed=-1), "its seed is -1"),
        (_with(seed=2**31 - 1), "its seed is 2147483647"),
        (_with(seed=1.0), "its seed is 1.0"),
        (_with(finished=1), "finished is 1"),
        (_with(members=[]), "it has no members"),
        (_with(members={}), "it has no members"),
        (_with({"number": 1}), r"it has the members \[1, 1, 2\]"),
        (_with({"number": 9}), r"it has the members \[9, 1, 2\]"),
        (_with({"number": True}), r"it has the members \[True, 1, 2\]"),
        (_with({"code": "import os"}), "a member has other parts"),
        (_with({"epochs": 5}), "member 0 has 5 epochs"),
        (_with({"losses": np.zeros(6, np.float32)}), "member 0 has no curves"),
        (_with({"losses": np.zeros((6, 1))}), "member 0 has no curves"),
        (_with({"losses": np.zeros(0), "scores": np.zeros(0)}), "member 0 has 0 losses and 0 scores of 6 epochs"),
        (_with({"losses": np.zeros(7)}), "member 0 has 7 losses and 6 scores of 6 epochs"),
        (_with({"scores": np.zeros(4)}), "member 0 has 6 losses and 4 scores of 6 epochs"),
        (_with({"best_epoch": 7}), "member 0 has its best in epoch 7"),
        (_with({"best_epoch": 1.0}), "member 0 has its best in epoch 1.0"),
        (_with({"parameters": np.zeros(3, np.float32)}), "member 0 has other parameters"),
        (_with({"outputs": np.zeros((23, 3))}), "member 0 has other outputs"),
        (_with({"outputs": np.zeros((23, 2), np.float32)}), "member 0 has other outputs"),
        (_with({"outputs": None}), "member 0 has other outputs"),
    ],
)
def test_what_is_no_state_of_this_fit_is_refused(change, match, tmp_path):
    path = tmp_path / "checkpoint"
    _fit(TabularMLPClassifier, path)
    checkpoint = Checkpoint(path, 1)
    checkpoint.write(change(checkpoint.read()))
    with pytest.raises(ValueError, match=rf"'{path}' is not a whole checkpoint of fastmlp: {match}\."):
        _fit(TabularMLPClassifier, path)


def test_what_a_file_claims_is_not_allocated(tmp_path):
    path = tmp_path / "checkpoint"
    _fit(TabularMLPClassifier, path)
    checkpoint = Checkpoint(path, 1)
    state = checkpoint.read()
    state["members"][2]["parameters"] = np.zeros(10**7, np.float32)
    checkpoint.write(state)
    seen = []

    class Watched(kept_members.KeptMembers):
        def check(self, state, with_values):
            seen.append(state["members"][2]["parameters"].strides)
            super().check(state, with_values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastmlp.estimators.tabular_keeping.KeptMembers", Watched)
        with pytest.raises(ValueError, match="member 2 has other parameters"):
            _fit(TabularMLPClassifier, path)
    assert seen == [(0,)]  # of a number that stands for all of them
