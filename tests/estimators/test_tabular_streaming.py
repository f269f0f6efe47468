"""Ensembles over tables whose rows come from files."""

import math
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from copy import copy
from dataclasses import replace

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_sample_weight

import fastmlp
from fastmlp import TabularMLPClassifier, TabularMLPRegressor

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

N = 600
SMALL = {
    "n_members": 2,
    "max_iter": 3,
    "random_state": 0,
    "recipe": {"hidden_layer_sizes": (16,), "frequencies": 4, "batch_size": 32},
}
KINDS = [TabularMLPClassifier, TabularMLPRegressor]


def frame(n=N):
    """Columns of all kinds, with gaps, and targets of both kinds that follow from them."""
    rng = np.random.default_rng(0)
    size, day = rng.lognormal(size=n), rng.integers(0, 2000, n)
    city = rng.choice(["Graz", "Lyon", "Porto"], n)
    code = rng.integers(0, 30, n)
    gone = rng.random(n) < 0.1
    number = np.log(size) + (city == "Graz") + 0.1 * rng.standard_normal(n)
    return pa.table(
        {
            "size": pa.array(size, mask=gone),
            "count": pa.array(rng.integers(0, 9, n), pa.int16()),
            "city": pa.array(city, mask=np.roll(gone, 1)),
            "code": pa.array([f"code {c}" for c in code]).dictionary_encode(),
            "new": pa.array(rng.random(n) < 0.3),
            "day": pa.array(day.astype("datetime64[D]"), mask=np.roll(gone, 2)),
            "empty": pa.nulls(n, pa.float32()),
            "label": pa.array(np.array(["no", "perhaps", "yes"])[np.digitize(number, [0, 1])]),
            "number": pa.array(number),
            "weight": pa.array(rng.uniform(0, 2, n)),
        }
    )


TABLE = frame()
FEATURES = TABLE.schema.names[:7]


def column(kind):
    return "label" if kind is TabularMLPClassifier else "number"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    for i, start in enumerate(range(0, N, 200)):
        pq.write_table(TABLE.slice(start, 200), folder / f"{i}.parquet", row_group_size=40)
    pq.write_table(TABLE.slice(0, 0), folder / "empty.parquet")
    return folder


def scan(folder, kind, **keywords):
    return fastmlp.scan_parquet(folder, **{"target": column(kind), "features": FEATURES, **keywords})


def targets(kind):
    return TABLE.column(column(kind)).to_numpy()


def assert_same(one, other):
    assert one.encoder_.state()["names"] == other.encoder_.state()["names"]
    assert len(one.members_) == len(other.members_)
    for a, b in zip(one.members_, other.members_, strict=True):
        assert (a.loss_curve_, a.validation_scores_, a.weight_) == (b.loss_curve_, b.validation_scores_, b.weight_)
        for own, given in zip(a.parameters, b.parameters, strict=True):
            np.testing.assert_array_equal(own, given)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_one_window_are_those_of_the_frame(kind, folder):
    weights = TABLE.column("weight").to_numpy()
    X = TABLE.select(FEATURES)
    in_memory = kind(**SMALL).fit(X, targets(kind), weights)
    model = kind(**SMALL).fit(scan(folder, kind, sample_weight="weight"))
    assert_same(model, in_memory)
    np.testing.assert_array_equal(model.oof_prediction_, in_memory.oof_prediction_)
    assert model.feature_names_in_.tolist() == FEATURES
    assert model.score(scan(folder, kind, sample_weight="weight")) == in_memory.score(X, targets(kind), weights)


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_of_sources(kind, folder, tmp_path):
    model = kind(**SMALL).fit(TABLE.select(FEATURES), targets(kind))
    source = scan(folder, kind, target=None, window_rows=50)  # predictions need no targets
    expected = model.predict(TABLE.select(FEATURES))
    np.testing.assert_array_equal(model.predict(source), expected)
    model.predict_to(source, tmp_path / "predicted.parquet")
    assert pq.read_table(tmp_path / "predicted.parquet").column("prediction").to_pylist() == expected.tolist()
    if kind is TabularMLPClassifier:
        model.predict_to(source, tmp_path / "probabilities.parquet", "predict_proba")
        written = pq.read_table(tmp_path / "probabilities.parquet")
        assert written.schema.names == ["probability_no", "probability_perhaps", "probability_yes"]
        np.testing.assert_array_equal(np.stack(written.columns, axis=1), model.predict_proba(source))


def test_a_source_of_numbers(folder, tmp_path):
    X = np.random.default_rng(1).standard_normal((200, 3))
    X[::9, 1] = np.nan
    y = X[:, 0] > 0
    np.save(tmp_path / "X.npy", X)
    source = fastmlp.scan_npy(tmp_path / "X.npy", y)
    assert_same(TabularMLPClassifier(**SMALL).fit(source), TabularMLPClassifier(**SMALL).fit(X, y))


@pytest.mark.parametrize("kind", KINDS)
def test_validation_data_from_a_source(kind, folder):
    X, y = TABLE.select(FEATURES), targets(kind)
    model = kind(**SMALL).fit(X, y, X_val=scan(folder, kind))
    assert_same(model, kind(**SMALL).fit(X, y, X_val=X, y_val=y))


def test_sources_that_are_refused(folder, tmp_path):
    model = TabularMLPClassifier(**SMALL)
    source = scan(folder, TabularMLPClassifier)
    with pytest.raises(ValueError, match="y must be None beside X=scan_parquet"):
        model.fit(source, [0, 1])
    with pytest.raises(ValueError, match="X has no targets: name them where scan_parquet"):
        model.fit(scan(folder, TabularMLPClassifier, target=None))
    with pytest.raises(ValueError, match=r"X_val=.* has 600 rows, more than its window of 100"):
        model.fit(source, X_val=scan(folder, TabularMLPClassifier, window_rows=100))
    assert not hasattr(model, "members_")
    model.fit(source)
    table = TABLE.set_column(0, "size", pa.array(["large"] * N))
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=100)
    with pytest.raises(ValueError, match=r"row group 0 of .*a.parquet': Column 'size' is numeric, and has 'large'"):
        model.predict(scan(tmp_path, TabularMLPClassifier))
    with pytest.raises(TypeError, match=r"column 'city' of .*0.parquet' is string: features needs columns of int"):
        fastmlp.MLPClassifier().fit(source)


# More rows than a window has

WINDOW = 200


@pytest.mark.parametrize("kind", KINDS)
def test_larger_than_a_window(kind, folder):
    source = scan(folder, kind, window_rows=WINDOW, sample_weight="weight")
    weights = {"class_weight": "balanced"} if kind is TabularMLPClassifier else {}
    one, two = (kind(**SMALL | {"n_members": 12, "max_iter": 8}, **weights, n_jobs=n).fit(source) for n in (1, 2))
    assert_same(one, two)
    X = TABLE.select(FEATURES)
    assert one.score(X, targets(kind)) > 0.6
    assert abs(one.oof_score_ - one.score(X, targets(kind))) < 0.3
    assert not hasattr(one, "oof_prediction_")
    if kind is TabularMLPRegressor:
        number = TABLE.column("number").to_numpy()
        assert (one._least, one._greatest) == (number.min(), number.max())


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_encoded_as_those_of_the_frame(kind, folder):
    model = kind(**SMALL)
    source = scan(folder, kind, window_rows=WINDOW)
    rows = model._read_blocks(source, None, None, 0)
    X, codes, y, weight = rows.files.data
    numbers, expected = model.encoder_.transform(TABLE.select(FEATURES))
    np.testing.assert_array_equal(X, numbers)
    np.testing.assert_array_equal(codes, expected)
    np.testing.assert_array_equal(y, model._engine_y(targets(kind), "y"))
    assert weight is None and 0.5 * WINDOW < len(rows.X) < 1.5 * WINDOW
    np.testing.assert_array_equal(rows.labels, targets(kind)[rows.files.drawn])
    held_out = np.array([3, 7])
    own = rows.files.all_but(held_out)
    n_parts, parts = own.epoch(np.random.default_rng(0))
    parts = [*parts]
    assert len(parts) == n_parts > 1 and max(map(len, parts)) <= WINDOW
    left = np.setdiff1d(np.arange(N), rows.files.drawn[held_out])
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), left)
    assert own.n_rows == len(left) and np.isin(own.sample, left).all()
    rows.files.close()


def test_the_sample_follows_the_seed(folder):
    source = scan(folder, TabularMLPClassifier, window_rows=WINDOW)

    def fitted(seed):
        return TabularMLPClassifier(**SMALL | {"random_state": seed, "max_iter": 1}).fit(source)

    def columns(model):
        state = model.encoder_.state()["columns"]
        return state["center"].tobytes(), state["knots"].tobytes()

    one, again, other = fitted(1), fitted(np.random.RandomState(1)), fitted(2)
    assert_same(one, again)
    assert columns(one) == columns(again) != columns(other)
    assert one.encoder_.state()["columns"]["levels"] == other.encoder_.state()["columns"]["levels"]


def test_a_checkpoint_has_the_seed_of_its_sample(folder, tmp_path):
    """Of a fit without one."""
    source = scan(folder, TabularMLPClassifier, window_rows=WINDOW)
    model = TabularMLPClassifier(**SMALL | {"random_state": None}, n_jobs=1, checkpoint_path=tmp_path / "kept")
    whole = copy(model).fit(source)
    assert_same(copy(model).fit(source), whole)


def test_class_weights_of_counts(folder):
    model = TabularMLPClassifier(**SMALL, class_weight="balanced")
    source = scan(folder, TabularMLPClassifier, window_rows=WINDOW, sample_weight="weight")
    rows = model._read_blocks(source, None, None, 0)
    expected = compute_sample_weight("balanced", targets(TabularMLPClassifier)) * TABLE.column("weight").to_numpy()
    np.testing.assert_allclose(rows.files.data[3], expected, rtol=1e-12)
    rows.files.close()


@pytest.mark.parametrize("kind", KINDS)
def test_validation_data_beside_a_larger_source(kind, folder):
    X, y = TABLE.select(FEATURES).slice(0, 100), targets(kind)[:100]
    model = kind(**SMALL, scoring="r2" if kind is TabularMLPRegressor else None)
    model.fit(scan(folder, kind, window_rows=WINDOW), X_val=X, y_val=y)
    member = model.members_[0]
    alone = copy(model)
    alone.members_, alone._average = [replace(member, weight_=1.0)], None
    assert alone.score(X, y) == pytest.approx(member.validation_scores_[member.best_epoch_ - 1], abs=1e-6)
    assert not hasattr(model, "oof_score_")


def test_a_fit_goes_on_from_its_checkpoint(folder, tmp_path):
    source = scan(folder, TabularMLPClassifier, window_rows=WINDOW)
    whole = TabularMLPClassifier(**SMALL).fit(source)

    def stop(estimator, epoch, metrics):
        if metrics["member"] == 1:
            raise RuntimeError("killed")

    model = TabularMLPClassifier(**SMALL, n_jobs=1, checkpoint_path=tmp_path / "kept", callbacks=stop)
    with pytest.raises(RuntimeError, match="killed"):
        model.fit(source)
    told = []
    model.set_params(callbacks=lambda estimator, epoch, metrics: told.append(metrics["member"])).fit(source)
    assert {*told} == {1}
    assert_same(model, whole)
    with pytest.raises(ValueError, match="of another fit: X differs"):
        model.fit(scan(folder, TabularMLPClassifier, window_rows=WINDOW + 50))


_KILLED = """
import os, signal, sys
import fastmlp
folder, path, scratch = sys.argv[1:]
def kill(model, epoch, metrics):
    if metrics["member"] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
source = fastmlp.scan_parquet(folder, target="label", features=%r, window_rows=%r)
fastmlp.TabularMLPClassifier(**%r, n_jobs=1, checkpoint_path=path, callbacks=kill).fit(source)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_fit_leaves_no_files_and_goes_on(folder, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = [sys.executable, "-c", _KILLED % (FEATURES, WINDOW, SMALL), folder, tmp_path / "kept", scratch]
    done = subprocess.run(command, env=os.environ | {"TMPDIR": str(scratch)}, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [*scratch.iterdir()] == []
    source, told = scan(folder, TabularMLPClassifier, window_rows=WINDOW), []
    model = TabularMLPClassifier(**SMALL, checkpoint_path=tmp_path / "kept")
    model.set_params(callbacks=lambda model, epoch, metrics: told.append(metrics["member"])).fit(source)
    assert {*told} == {1}
    assert_same(model, TabularMLPClassifier(**SMALL).fit(source))


def test_scratch_files_that_cannot_be_written(folder, monkeypatch, tmp_path):
    model, source = TabularMLPClassifier(**SMALL), scan(folder, TabularMLPClassifier, window_rows=WINDOW)
    model.fit(source)
    before = pickle.dumps(model)
    failed = "is encoded to temporary files, which failed:.*Set the environment variable TMPDIR"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(FileNotFoundError, match=failed):
        model.fit(source)
    assert pickle.dumps(model) == before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows raises no signal in a process of its own")
@pytest.mark.parametrize("n_blocks", [4, 19], ids=["first pass", "second pass"])
def test_ctrl_c_while_blocks_are_read(n_blocks, folder, monkeypatch):
    source = scan(folder, TabularMLPClassifier, window_rows=WINDOW)
    model = TabularMLPClassifier(**SMALL).fit(source)
    before, read, left = pickle.dumps(model), source.table, [n_blocks]

    def table(*args):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return read(*args)

    monkeypatch.setattr(source, "table", table)
    with pytest.raises(KeyboardInterrupt):
        model.fit(source)
    assert pickle.dumps(model) == before


_FULL = """
import os, resource, sys, tempfile
import fastmlp
folder, full = sys.argv[1:]
if not full:
    full = None
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
tempfile.tempdir = full
source = fastmlp.scan_parquet(folder, target="label", features=%r, window_rows=%r)
model = fastmlp.TabularMLPClassifier(**%r)
try:
    model.fit(source)
except OSError as error:
    print(error)
print(hasattr(model, "members_"), *[name for name in os.listdir(f"/proc/{os.getpid()}/fd") if "deleted" in
                                    os.path.realpath(f"/proc/self/fd/{name}")])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it looks at /proc")
@pytest.mark.parametrize("kind", ["limit", "disk"])
def test_no_room_for_scratch_files(kind, folder, tmp_path):
    """A file that is mapped and has no room behind it would end the process by SIGBUS."""
    full = ""
    if kind == "disk":
        full = tmp_path / "full"
        full.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", full]
        if subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("no file system can be mounted here")
    try:
        command = [sys.executable, "-c", _FULL % (FEATURES, WINDOW, SMALL), folder, full]
        done = subprocess.run(command, capture_output=True, text=True)
    finally:
        if kind == "disk":
            subprocess.run(["umount", full], check=True)
    assert done.returncode == 0, done.stderr
    said, state = done.stdout.splitlines()
    assert ("No space left on device" if kind == "disk" else "File too large") in said and "TMPDIR" in said
    assert state == "False"


class Tasks:
    """A callback that keeps the tasks that it is told of."""

    def __init__(self):
        self.ended = []

    def setup(self, estimator, context): ...

    def teardown(self, estimator, context): ...

    def on_fit_task_begin(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context):
        self.ended.append((context.task_name, context.max_subtasks, context.parent and context.parent.task_name))


def test_progress_within_epochs(folder, capsys):
    source = scan(folder, TabularMLPClassifier, window_rows=WINDOW)
    params = SMALL | {"n_members": 1, "max_iter": 2, "random_state": 3}
    model = TabularMLPClassifier(**params, verbose=2)
    has_tasks = hasattr(model, "set_callbacks")
    if has_tasks:
        model.set_callbacks(tasks := Tasks())
    model.fit(source)
    said = [line for line in capsys.readouterr().out.splitlines() if "rows" in line]
    n_windows = len(said) // 2
    assert n_windows >= 3 and said[n_windows].startswith("Member 1 of 1, epoch 2 of 2: ")
    counts = [int(line.split(": ")[1].split(" of ")[0]) for line in said]
    assert counts == sorted(counts[:n_windows]) * 2 and said[-1].endswith(f"{counts[-1]} of {counts[-1]} rows")
    if has_tasks:
        epoch = [("part", 0, "epoch")] * n_windows + [("epoch", n_windows, "member")]
        assert tasks.ended == [*epoch, *epoch, ("member", 2, "fit"), ("fit", 1, None)]
        callback, _ = pytest.importorskip("sklearn.callback"), pytest.importorskip("rich")
        TabularMLPClassifier(**params | {"n_members": 2}).set_callbacks(callback.ProgressBar()).fit(source)


def test_bad_values_of_a_larger_source(tmp_path):
    model = TabularMLPClassifier(**SMALL)
    size = TABLE.column("size").to_pylist()
    size[333] = math.inf
    pq.write_table(TABLE.set_column(0, "size", pa.array(size)), tmp_path / "a.parquet", row_group_size=50)
    source = scan(tmp_path, TabularMLPClassifier, window_rows=WINDOW)
    with pytest.raises(ValueError, match=r"row group 6 of .*a.parquet': Column 'size' contains infinity"):
        model.fit(source)
    ids = TABLE.append_column("id", pa.array([f"row {i}" for i in range(N)]))
    pq.write_table(ids, tmp_path / "a.parquet", row_group_size=50)
    source = scan(tmp_path, TabularMLPClassifier, window_rows=WINDOW, features=["size", "id"])
    with pytest.raises(ValueError, match=r"row group 4 of .*: Column 'id' has more than 200 levels"):
        model.fit(source)
    with pytest.raises(ValueError, match=r"X=.*: name it where the source is made"):
        model.fit(source, targets(TabularMLPClassifier))
    weight = TABLE.column("weight").to_pylist()
    weight[120] = -1.0
    table = TABLE.set_column(TABLE.schema.get_field_index("weight"), "weight", pa.array(weight))
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=50)
    with pytest.raises(ValueError, match=r"row group 2 of .*a.parquet'"):
        model.fit(scan(tmp_path, TabularMLPClassifier, window_rows=WINDOW, sample_weight="weight"))
    assert not hasattr(model, "members_")
