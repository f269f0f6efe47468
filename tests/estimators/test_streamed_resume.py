"""A fit to a source that is killed goes on from its checkpoint to the same bits, within an epoch too."""

import os
import pickle
import random
import signal
import subprocess
import sys
import time
from datetime import timedelta

import numpy as np
import pytest
from sklearn.base import clone
from streamed import KINDS, LABELS, N, X, assert_same, npy, parquet

import fastmlp
from fastmlp import MLPClassifier
from fastmlp.data.sources import NpySource
from fastmlp.training.checkpoint import Checkpoint

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

PARAMS = {
    "hidden_layer_sizes": (6,),
    "max_iter": 5,
    "random_state": 0,
    "batch_size": 32,
    "checkpoint_every": timedelta(microseconds=1),  # after each window
}
CASES = {
    "adam": {},
    "sgd": {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.5, "n_iter_no_change": 1},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 2, "learning_rate_init": 0.05},
    "dropout": {"dropout": 0.3, "input_dropout": 0.1, "solver": "nadam"},
    "schedule free": {"solver": "schedule_free_adamw", "weight_decay": 0.1, "warmup": 10},
    "one cycle": {"lr_schedule": "one_cycle", "clip_norm": 0.5, "solver": "lion", "dtype": "float32"},
    "no shuffling": {"shuffle": False, "solver": "rmsprop"},
    "large batches": {"batch_size": 150},
}


class Killed(BaseException):
    """Ends a fit as nothing else does."""


def killing(monkeypatch, reads):
    """Let the read of this number, from 1, of features end the fit."""
    done, read = [], NpySource.read

    def patched(self, block, X=None, targets=True):
        if X is not None:
            done.append(block)
            if len(done) == reads:
                raise Killed
        return read(self, block, X, targets)

    monkeypatch.setattr(NpySource, "read", patched)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_goes_on_within_an_epoch(kind, case, tmp_path):
    source = npy(kind, weights=None if kind is MLPClassifier else np.arange(N) % 3 + 0.5)
    model = kind(**{**PARAMS, **CASES[case]}, checkpoint_path=tmp_path / "c")
    whole = clone(model).set_params(checkpoint_path=None, checkpoint_every=1).fit(source)
    held_out = len(source.blocks) // 2 if "early_stopping" in CASES[case] else 0
    within = []
    for reads in (60, 130):
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
            killing(patch, held_out + reads)
            clone(model).fit(source)
        state = Checkpoint(tmp_path / "c", 1).read()
        within.append(state["within"])
    assert within[0] is not None and within[0]["done"] < N
    told = []
    resumed = clone(model).set_params(callbacks=lambda *args: told.append(args[1])).fit(source)
    assert_same(resumed, whole)
    assert resumed.validation_scores_ == whole.validation_scores_
    assert told == list(range(state["progress"]["n_iter"] + 1, whole.n_iter_ + 1))
    # the same call once more finds it done
    assert_same(clone(model).fit(source), whole)


def test_epochs_alone_are_counted_by_a_number(tmp_path):
    source = npy(MLPClassifier)
    model = MLPClassifier(**{**PARAMS, "checkpoint_every": 2}, checkpoint_path=tmp_path / "c")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        killing(patch, 4 * len(source.blocks))
        model.fit(source)
    state = Checkpoint(tmp_path / "c", 1).read()
    assert state["progress"]["n_iter"] == 2 and state["within"] is None
    model.fit(source)
    assert_same(model, clone(model).set_params(checkpoint_path=None, checkpoint_every=1).fit(source))


def test_other_rows_are_refused_by_name(tmp_path):
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
    source = parquet(tmp_path / "one", MLPClassifier)
    model = MLPClassifier(**PARAMS, checkpoint_path=tmp_path / "c").fit(source)
    for other, match in (
        (fastmlp.scan_parquet(tmp_path / "one", "y", window_rows=90), "window_rows differs"),
        (parquet(tmp_path / "other", MLPClassifier, group=20), "X differs; blocks differs"),
        (fastmlp.scan_parquet(tmp_path / "one", "y", features=["f1", "f2"], window_rows=100), "X differs"),
        (npy(MLPClassifier), "X differs; blocks differs"),
        (npy(MLPClassifier, y=LABELS[::-1].copy()), "X differs; y differs; blocks differs"),
    ):
        with pytest.raises(ValueError, match=match):
            model.fit(other)


@pytest.mark.parametrize(
    "change",
    [
        {"window": 0},
        {"done": 33},
        {"done": N + 9},
        {"loss": [0.5, 1]},
        {"loss": ["a", 32]},
        {"left": []},
        {"left": [np.zeros((40, 7)), np.zeros(40, np.intp), None]},
        {"left": [np.zeros((3, 6)), np.zeros(3, np.intp), None]},
        {"left": [np.zeros((3, 7), np.float32), np.zeros(3, np.intp), None]},
        {"left": [np.zeros((3, 7)), np.zeros(3), None]},
        {"left": [np.zeros((3, 7)), np.zeros(3, np.intp), np.zeros(3)]},
    ],
    ids=str,
)
def test_places_within_an_epoch_that_are_none(change, tmp_path):
    source = npy(MLPClassifier)
    model = MLPClassifier(**PARAMS, checkpoint_path=tmp_path / "c")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        killing(patch, 60)
        model.fit(source)
    checkpoint = Checkpoint(tmp_path / "c", 1)
    state = checkpoint.read()
    state["within"] |= change
    checkpoint.write(state)
    with pytest.raises(ValueError, match="is not a whole checkpoint of fastmlp"):
        model.fit(source)
    assert not hasattr(model, "coefs_")


WORKER = """
import pickle, sys, warnings
from datetime import timedelta
import fastmlp
warnings.simplefilter("ignore")
folder, checkpoint, out = sys.argv[1:]
source = fastmlp.scan_npy(folder + "/X.npy", folder + "/y.npy", window_rows=6000)
model = fastmlp.MLPClassifier((50,), random_state=0, max_iter=3, early_stopping=True, batch_size=64)
if checkpoint:
    model.set_params(checkpoint_path=checkpoint, checkpoint_every=timedelta(microseconds=1))
model.fit(source)
with open(out, "wb") as file:
    pickle.dump((model.coefs_, model.loss_curve_, model.validation_scores_), file)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_killed_processes(tmp_path):
    np.save(tmp_path / "X.npy", np.tile(X, (50, 1)) + np.arange(50 * N)[:, None] * 1e-6)
    np.save(tmp_path / "y.npy", np.tile(LABELS, 50))

    def started(checkpoint, out):
        return subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path), checkpoint, str(tmp_path / out)])

    assert started("", "whole").wait() == 0
    path, within = str(tmp_path / "checkpoint"), []
    for draw in (random.Random(1), random.Random(2)):
        process = started(path, "killed")
        before = os.stat(path).st_mtime_ns if os.path.exists(path) else None
        while process.poll() is None and (not os.path.exists(path) or os.stat(path).st_mtime_ns == before):
            time.sleep(0.001)
        time.sleep(draw.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.wait()
        within.append(Checkpoint(path, 1).read()["within"])
    assert any(place is not None for place in within)
    assert started(path, "resumed").wait() == 0
    whole, resumed = (pickle.loads((tmp_path / name).read_bytes()) for name in ("whole", "resumed"))
    for one, other in zip(whole[0], resumed[0], strict=True):
        np.testing.assert_array_equal(one, other)
    assert whole[1:] == resumed[1:]
