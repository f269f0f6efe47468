"""A fit that is killed goes on from its checkpoint to the same model bit for bit."""

import os
import pickle
import signal
import subprocess
import sys
import time
from datetime import timedelta

import numpy as np
import pytest
from parity import data, quietly, weights

from fastmlp import MLPClassifier, MLPRegressor

X, LABELS = data("multiclass")
NUMBERS = data("regression")[1]
PARAMS = {"hidden_layer_sizes": (6,), "max_iter": 12, "random_state": 0, "batch_size": 16}
FITS = int(os.environ.get("FASTMLP_KILLED_FITS", 2))
MOST_KILLS = 3  # of one fit

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CASES = {
    "adam": {},
    "sgd": {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.5, "n_iter_no_change": 1},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 3, "learning_rate_init": 0.05},
    "own validation": {"early_stopping": True, "scoring": "loss"},
    "dropout": {"dropout": 0.3, "input_dropout": 0.1, "solver": "nadam"},
    "schedule free": {"solver": "schedule_free_adamw", "weight_decay": 0.1, "warmup": 10},
    "plateau": {"lr_schedule": "plateau", "lr_schedule_params": {"patience": 1, "threshold": 0.3}, "max_norm": 1.0},
    "cosine": {"lr_schedule": "cosine", "clip_norm": 0.5, "solver": "lion", "dtype": "float32"},
    "no seed": {"random_state": None},
    "no shuffling": {"shuffle": False, "solver": "rmsprop"},
}


class Killed(BaseException):
    """Ends a fit as nothing else does."""


def _fit(kind, params, y, path, **more):
    validation = {"X_val": X[:30], "y_val": y[:30]} if params.get("scoring") == "loss" else {}
    return kind(**{**PARAMS, **params}, checkpoint_path=path, **more).fit(X, y, **validation)


def _same(a, b):
    assert a.loss_curve_ == b.loss_curve_ and a.n_iter_ == b.n_iter_ and a.t_ == b.t_
    assert a.learning_rate_curve_ == b.learning_rate_curve_ and len(a.learning_rate_curve_) == len(a.loss_curve_)
    assert a.validation_scores_ == b.validation_scores_ and a.best_loss_ == b.best_loss_
    for one, other in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(sum(a._optimizer.moments, []), sum(b._optimizer.moments, []), strict=True):
        np.testing.assert_array_equal(one, other)
    assert a._optimizer.t == b._optimizer.t and a._optimizer.rate == b._optimizer.rate


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("ends", [1, 5])
def test_a_fit_that_ends_early_goes_on_to_the_same_model(ends, case, kind, tmp_path):
    params, y = CASES[case], LABELS if kind is MLPClassifier else NUMBERS

    def ending(estimator, epoch, metrics):
        if epoch == ends:
            raise Killed

    path = tmp_path / "checkpoint"
    with pytest.raises(Killed):
        # the checkpoint of an epoch is written after its callbacks: the last one on disk is of the epoch before
        _fit(kind, params, y, path, callbacks=ending)
    told = []
    resumed = _fit(kind, params, y, path, callbacks=lambda *args: told.append(args[1]))
    assert told[0] == max(1, ends)
    if case == "no seed":
        again = _fit(kind, params, y, path)
    else:
        again = _fit(kind, params, y, tmp_path / "other")
    _same(resumed, again)
    # the same call once more finds it done
    _same(_fit(kind, params, y, path, callbacks=lambda *args: told.clear()), resumed)
    assert told
    if case not in ("no seed", "own validation"):
        _same(quietly(kind(**{**PARAMS, **params}).fit, X, y), resumed)
    if case == "no seed":
        return
    # and both go on alike
    for model in (resumed, again):
        model.set_params(checkpoint_path=None, early_stopping=False, scoring=None).partial_fit(X, y)
    _same(resumed, again)


def test_without_a_seed_the_global_random_state_is_left_alone(tmp_path):
    _fit(MLPClassifier, {"random_state": None}, LABELS, tmp_path / "c")
    before = np.random.get_state()[1].copy()
    _fit(MLPClassifier, {"random_state": None}, LABELS, tmp_path / "c")
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_checkpoints_come_every_so_many_epochs_and_at_the_end(tmp_path):
    path, seen = tmp_path / "checkpoint", []

    def look(estimator, epoch, metrics):
        seen.append(path.stat().st_mtime_ns if path.exists() else None)
        time.sleep(0.002)

    _fit(MLPClassifier, {}, LABELS, path, checkpoint_every=5, callbacks=look)
    assert [epoch for epoch in range(1, 12) if seen[epoch] != seen[epoch - 1]] == [5, 10]
    assert path.stat().st_mtime_ns != seen[-1]
    path.unlink()
    seen.clear()
    _fit(MLPClassifier, {}, LABELS, path, checkpoint_every=timedelta(hours=1), callbacks=look)
    assert set(seen) == {None} and path.exists()


CHANGED = [
    ({"alpha": 0.5}, "alpha was 0.0001, is 0.5"),
    ({"hidden_layer_sizes": (5,)}, r"hidden_layer_sizes was \[6\], is \[5\]"),
    ({"random_state": 1}, "random_state was 0, is 1"),
    ({"dropout": 0.1, "max_iter": 13}, "dropout was 0.0, is 0.1; max_iter was 12, is 13"),
]


@pytest.mark.parametrize("params, match", CHANGED)
def test_other_parameters_are_refused_by_name(params, match, tmp_path):
    path = tmp_path / "checkpoint"
    _fit(MLPClassifier, {}, LABELS, path)
    with pytest.raises(ValueError, match=match):
        _fit(MLPClassifier, params, LABELS, path)
    # those without an effect may change
    _fit(MLPClassifier, {}, LABELS, path, n_jobs=1, checkpoint_every=7)


def test_schedules_of_one_name_and_another_formula_are_told_apart(tmp_path):
    path = tmp_path / "checkpoint"
    _fit(MLPClassifier, {"lr_schedule": lambda step: 0.1}, LABELS, path)
    with pytest.raises(ValueError, match="lr_schedule differs"):
        _fit(MLPClassifier, {"lr_schedule": lambda step: 0.01}, LABELS, path)


def test_other_data_are_refused_by_name(tmp_path):
    path = tmp_path / "checkpoint"
    model = MLPClassifier(**PARAMS, checkpoint_path=path)
    sample_weight = weights()
    given = {"sample_weight": sample_weight, "X_val": X[:9], "y_val": LABELS[:9]}
    model.fit(X, LABELS, **given)
    other = X.copy()
    other[40, 3] += 1e-9
    labels = LABELS.copy()
    labels[7] = 60 - labels[7] if labels[7] != 30 else 10
    for X_, y_, more, match in (
        (other, LABELS, {}, "X differs"),
        (X, labels, {}, "y differs"),
        (X, LABELS, {"sample_weight": None}, "sample_weight differs"),
        (X, LABELS, {"X_val": other[-9:], "y_val": labels[-9:]}, "X_val differs; y_val differs"),
    ):
        with pytest.raises(ValueError, match=match):
            model.fit(X_, y_, **{**given, **more})
    with pytest.raises(ValueError, match="X_val differs"):
        model.fit(X, LABELS, sample_weight)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="not a whole checkpoint"):
        model.fit(X, LABELS, **given)


WORKER = """
import pickle, sys, warnings
import numpy as np
from fastmlp import MLPClassifier
warnings.simplefilter("ignore")
path, out = sys.argv[1:]
rng = np.random.RandomState(0)
X = rng.standard_normal((600, 20))
y = (X[:, :3] @ rng.standard_normal((3, 3))).argmax(axis=1)
print("ready", flush=True)
model = MLPClassifier(
    (32,), max_iter=40, random_state=1, dropout=0.2, solver="adamw", early_stopping=True, n_iter_no_change=100,
    lr_schedule="cosine", checkpoint_path=path,
)
model.fit(X, y)
with open(out, "wb") as file:
    pickle.dump((model.coefs_, model.intercepts_, model.loss_curve_, model.validation_scores_), file)
"""


def test_kill_9_at_any_moment(tmp_path):
    def worker(path):
        return subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path / path), str(tmp_path / f"{path}.model")],
            stdout=subprocess.PIPE,
        )

    whole = worker("whole")
    whole.stdout.readline()
    began = time.monotonic()
    assert whole.wait() == 0
    lasts = time.monotonic() - began
    expected = pickle.loads((tmp_path / "whole.model").read_bytes())
    rng = np.random.RandomState(int(os.environ.get("FASTMLP_SEED", 0)))
    killed = 0
    for trial in range(FITS):
        path = f"trial{trial}"
        for kills in range(MOST_KILLS + 1):
            process = worker(path)
            process.stdout.readline()
            if kills < MOST_KILLS:
                time.sleep(rng.uniform(0, lasts) if killed else 0)  # the first comes in any case
                process.send_signal(signal.SIGKILL)
            if process.wait() == 0:
                break
            killed += 1
        coefs, intercepts, losses, scores = pickle.loads((tmp_path / f"{path}.model").read_bytes())
        assert losses == expected[2] and scores == expected[3]
        for one, other in zip(coefs + intercepts, expected[0] + expected[1], strict=True):
            np.testing.assert_array_equal(one, other)
    assert killed
    print(f"{killed} kills in {FITS} fits")


def test_a_random_state_of_another_generator_is_refused(tmp_path):
    other = np.random.RandomState(np.random.PCG64(1))
    with pytest.raises(ValueError, match="checkpoint_path needs a RandomState of MT19937, got random_state=.*PCG64"):
        _fit(MLPClassifier, {"random_state": other}, LABELS, tmp_path / "c")
    seeded = {"random_state": np.random.RandomState(1)}
    _same(_fit(MLPClassifier, seeded, LABELS, tmp_path / "c"), _fit(MLPClassifier, {"random_state": 1}, LABELS, None))


def test_what_has_no_value_is_refused_before_anything_is_written(tmp_path):
    with open(os.devnull) as opened:
        for params in (
            {"lr_schedule": lambda step: 0.01 if opened else 1.0},
            {"early_stopping": True, "scoring": lambda model, X, y: 1.0 if opened else 0.0},
        ):
            model = MLPClassifier(**params, checkpoint_path=tmp_path / "c")
            with pytest.raises(ValueError, match=rf"{list(params)[-1]} holds an object of _io.TextIOWrapper"):
                model.fit(X, LABELS)
    assert os.listdir(tmp_path) == []
