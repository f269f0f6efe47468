"""Checkpoints: exact round trips, files that are whole or refused, writers that are killed, fits that differ."""

import functools
import io
import json
import os
import pickle
import random
import re
import subprocess
import sys
import time
import zipfile
from collections import OrderedDict, namedtuple
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.sparse import csr_array, csr_matrix
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from fastmlp.training import checkpoint as module
from fastmlp.training.checkpoint import Checkpoint, _differences, check_same, fingerprint, pack, unpack


def _names(stored, current):
    """What two fingerprints differ in."""
    return [name for _, name, _, _ in _differences(stored, current)]


def _same(a, b):
    """Equal to the bit, types and order of keys included."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    if isinstance(a, dict):
        return _same(list(a.items()), list(b.items()))
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return repr(a) == repr(b)


def _state():
    rng = np.random.RandomState(0)
    rng.standard_normal(3)
    return {
        "epoch": 7,
        "best": float("-inf"),
        "losses": [0.1 + 0.2, float("nan"), -0.0, 5e-324],
        "coefs": [rng.standard_normal((3, 2)), np.zeros((0, 4), np.float32), np.asfortranarray(rng.rand(2, 3))],
        "random_state": rng.get_state(),
        "name": "größe \ud800 \0",
        "none": None,
        ("a", 1): True,
    }


# Round trips

_dtypes = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?"),
    hnp.complex_number_dtypes(),
    hnp.unicode_string_dtypes(max_len=5),
    hnp.datetime64_dtypes(),
)
_arrays = hnp.arrays(_dtypes, hnp.array_shapes(min_dims=0, min_side=0, max_side=4))
_plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
_states = st.recursive(
    _plain | _arrays,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.tuples(st.integers(), st.text()), inner, max_size=4)
    ),
)


@settings(deadline=None, database=None)
@given(_states)
def test_a_state_comes_back_as_it_was(state):
    assert _same(unpack(*pack(state)), state)


@settings(deadline=None, database=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_states)
def test_a_file_gives_back_what_was_written(tmp_path, state):
    checkpoint = Checkpoint(tmp_path / "c", 1)
    checkpoint.write(state)
    assert _same(checkpoint.read(), state)


def test_random_numbers_go_on(tmp_path):
    rng = np.random.RandomState(5)
    rng.standard_normal(3)
    checkpoint = Checkpoint(tmp_path / "c", 1)
    checkpoint.write([rng.get_state(), rng.get_state(legacy=False)])
    expected = rng.standard_normal(1000)
    for state in checkpoint.read():
        other = np.random.RandomState()
        other.set_state(state)
        np.testing.assert_array_equal(other.standard_normal(1000), expected)


def test_strided_arrays_keep_their_values_and_fortran_order():
    base = np.arange(24.0).reshape(4, 6)
    base.flags.writeable = False
    arrays = [base[::2, ::-3], base.T, np.broadcast_to(base[0], (3, 6))]
    buffer = io.BytesIO()
    np.savez(buffer, *pack(arrays)[1])
    buffer.seek(0)
    read = np.load(buffer, allow_pickle=False)
    for i, array in enumerate(arrays):
        np.testing.assert_array_equal(read[f"arr_{i}"], array)
    assert read["arr_1"].flags.f_contiguous and read["arr_1"].flags.writeable


def test_numpy_scalars_come_back_as_pythons():
    scalars = [np.float64(0.1), np.float32(0.1), np.int8(-3), np.uint64(2**64 - 1), np.bool_(True), np.str_("a")]
    assert _same(unpack(*pack(scalars)), [0.1, float(np.float32(0.1)), -3, 2**64 - 1, True, "a"])


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {1, 2},
        b"bytes",
        1j,
        np.longdouble(1),
        np.timedelta64(3, "ns"),
        np.array(["a", None], dtype=object),
        np.zeros(2, [("a", object)]),
        np.ma.masked_array([1, 2], [True, False]),
        namedtuple("Point", "x y")(1, 2),
        OrderedDict(a=1),
    ],
)
def test_what_would_not_come_back_the_same_is_refused(value, tmp_path):
    checkpoint = Checkpoint(tmp_path / "c", 1)
    checkpoint.write(1)
    with pytest.raises(TypeError, match=r"A file cannot hold a value of type .*\."):
        checkpoint.write({"deep": [(value,)]})
    assert checkpoint.read() == 1 and os.listdir(tmp_path) == ["c"]


# The file


def test_no_file_is_no_state(tmp_path):
    assert Checkpoint(tmp_path / "c", 1).read() is None
    assert os.listdir(tmp_path) == []


def test_the_document_in_the_file_is_json(tmp_path):
    Checkpoint(tmp_path / "c", 1).write({"a": (1, np.arange(3))})
    with np.load(tmp_path / "c", allow_pickle=False) as members:
        assert json.loads(members["state"].tobytes()) == {"dict": [["a", {"tuple": [1, {"array": 0}]}]]}
        np.testing.assert_array_equal(members["arr_0"], np.arange(3))
        assert members["fastmlp_checkpoint"] == module.VERSION


def _refused(checkpoint, content):
    with open(checkpoint.path, "wb") as file:
        file.write(content)
    with pytest.raises(ValueError, match=re.escape(repr(checkpoint.path))) as caught:
        checkpoint.read()
    return str(caught.value)


def test_every_truncation_is_refused(tmp_path):
    checkpoint = Checkpoint(tmp_path / "c", 1)
    checkpoint.write(_state())
    content = (tmp_path / "c").read_bytes()
    # at each byte of the first headers and of the zip's directory, and here and there in the arrays
    directory = content.index(b"PK\1\2")
    for size in [*range(600), *range(600, directory, 37), *range(directory, len(content))]:
        _refused(checkpoint, content[:size])


def test_flipped_bits_are_refused_or_change_nothing(tmp_path):
    state = {"a": np.arange(4.0), "b": [1.5, "x", np.array(["y", "zz"])], "empty": np.zeros((0, 2))}
    checkpoint = Checkpoint(tmp_path / "c", 1)
    checkpoint.write(state)
    content = (tmp_path / "c").read_bytes()
    with zipfile.ZipFile(tmp_path / "c") as archive:
        members = [archive.read(name) for name in archive.namelist()]
    covered = set()  # headers of arrays, values and document; the rest is the zip's
    for member in members:
        start = content.index(member)
        covered |= set(range(start, start + len(member)))
    assert len(covered) == sum(map(len, members))
    flips = random.Random(0)
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= flips.choice([1 << flips.randrange(8), flips.randrange(1, 256)])
        if position in covered:
            _refused(checkpoint, damaged)
            continue
        (tmp_path / "c").write_bytes(damaged)
        try:
            read = checkpoint.read()
        except ValueError as error:
            assert repr(checkpoint.path) in str(error)
        else:
            assert _same(read, state)


@pytest.mark.parametrize(
    ("header", "damaged"), [(b"(9,)", b"(8,)"), (b"(9,)", b"(0,)"), (b"<f8", b"<f4"), (b"<f8", b"<i8")]
)
def test_an_array_that_claims_to_be_another_is_refused(tmp_path, header, damaged):
    checkpoint = Checkpoint(tmp_path / "c", 1)
    checkpoint.write(np.arange(9.0))
    content = (tmp_path / "c").read_bytes()
    assert content.count(header) == 1
    assert "arr_0.npy in it is damaged" in _refused(checkpoint, content.replace(header, damaged))


def _npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_other_files_are_refused(tmp_path):
    checkpoint = Checkpoint(tmp_path / "c", 1)
    text = np.frombuffer(b'{"array": 0}', np.uint8)
    npy = io.BytesIO()
    np.save(npy, np.arange(3))
    assert "not a zip file" in _refused(checkpoint, b"")
    for other in (b"hello", pickle.dumps(_state()), npy.getvalue(), np.random.RandomState(0).bytes(1000)):
        _refused(checkpoint, other)
    assert "fastmlp_checkpoint" in _refused(checkpoint, _npz(x=np.arange(3)))
    other, ours = ({"fastmlp_checkpoint": version, "state": text} for version in (1, module.VERSION))
    assert f"version 1, this fastmlp reads {module.VERSION}" in _refused(checkpoint, _npz(**other))
    assert "state" in _refused(checkpoint, _npz(fastmlp_checkpoint=module.VERSION, other=text))
    assert "index out of range" in _refused(checkpoint, _npz(**ours))
    assert "arr_0" in _refused(checkpoint, _npz(**ours, arr_1=text))
    assert "pickle" in _refused(checkpoint, _npz(**ours, arr_0=np.array([None])))


def test_a_checkpoint_that_memory_cannot_hold_is_not_called_damaged(tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path / "c", 1)
    checkpoint.write(1)

    def fails(*args):
        raise MemoryError

    monkeypatch.setattr(module, "unpack", fails)
    with pytest.raises(MemoryError):
        checkpoint.read()


def test_a_place_where_nothing_can_be_written_is_found_at_once(tmp_path):
    with pytest.raises(FileNotFoundError):
        Checkpoint(tmp_path / "missing" / "c", 1)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        Checkpoint(tmp_path / "file" / "c", 1)
    with pytest.raises(IsADirectoryError):
        Checkpoint(tmp_path, 1).read()
    if os.path.isdir("/proc/self"):
        with pytest.raises(OSError, match="/proc"):
            Checkpoint("/proc/self/c", 1)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_without_permission(tmp_path):
    checkpoint = Checkpoint(tmp_path / "c", 1)
    checkpoint.write(1)
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError):
            Checkpoint(tmp_path / "c", 1)
        with pytest.raises(PermissionError):
            checkpoint.write(2)
        assert checkpoint.read() == 1
    finally:
        tmp_path.chmod(0o700)


def test_a_directory_that_goes_away_while_training(tmp_path):
    (tmp_path / "d").mkdir()
    checkpoint = Checkpoint(tmp_path / "d" / "c", 1)
    (tmp_path / "d").rmdir()
    with pytest.raises(FileNotFoundError):
        checkpoint.write(1)


@pytest.mark.parametrize("step", [(np, "savez"), (os, "fsync"), (os, "replace")])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, step, error):
    checkpoint = Checkpoint(tmp_path / "c", 1)
    checkpoint.write(1)

    def fails(*args, **kwargs):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(*step, fails)
        with pytest.raises(type(error)):
            checkpoint.write(2)
    assert checkpoint.read() == 1 and os.listdir(tmp_path) == ["c"]
    checkpoint.write(3)
    assert checkpoint.read() == 3


def test_the_file_and_then_its_directory_go_to_the_disk(tmp_path, monkeypatch):
    steps = []
    fsync, replace = os.fsync, os.replace

    def log_fsync(descriptor):
        steps.append(os.stat(descriptor))
        fsync(descriptor)

    def log_replace(old, new):
        size = os.path.getsize(old)
        steps.append("replace")
        replace(old, new)
        assert steps[0].st_size == size == os.path.getsize(new)

    monkeypatch.setattr(os, "fsync", log_fsync)
    monkeypatch.setattr(os, "replace", log_replace)
    Checkpoint(tmp_path / "c", 1).write(_state())
    assert [step if step == "replace" else step.st_ino for step in steps] == [
        (tmp_path / "c").stat().st_ino,
        "replace",
        tmp_path.stat().st_ino,
    ]


def test_a_directory_that_cannot_be_flushed_is_no_error(tmp_path, monkeypatch):
    def fails(*args):
        raise PermissionError

    checkpoint = Checkpoint(tmp_path / "c", 1)
    monkeypatch.setattr(os, "open", fails)
    checkpoint.write(1)
    assert checkpoint.read() == 1


def test_only_leftovers_of_this_path_are_removed(tmp_path):
    name = "c[1]+.npz"  # neither a glob nor a regular expression
    left = [f"{name}.{'0' * 16}.tmp", f"{name}.0123456789abcdef.tmp"]
    others = [
        f"{name}.tmp",
        f"{name}.{'0' * 15}.tmp",
        f"{name}.{'g' * 16}.tmp",
        f"{name}.{'0' * 16}.tmp2",
        f"d{name}.{'0' * 16}.tmp",
        f"c1.npz.{'0' * 16}.tmp",
    ]
    for other in left + others:
        (tmp_path / other).write_bytes(b"")
    Checkpoint(tmp_path / name, 1).write(1)
    assert sorted(os.listdir(tmp_path)) == sorted([name, *others])


@pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")
def test_permissions_are_those_of_a_new_file_and_links_are_followed(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "c")
    monkeypatch.chdir(tmp_path)
    checkpoint = Checkpoint("link", 1)
    monkeypatch.chdir("/")  # by a callback, say
    checkpoint.write(1)
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "link").is_symlink() and checkpoint.read() == 1
    assert (tmp_path / "real" / "c").stat().st_mode == (tmp_path / "plain").stat().st_mode


# Killed writers

_WRITES = """
import sys
import numpy as np
from fastmlp.training.checkpoint import Checkpoint
checkpoint = Checkpoint(sys.argv[1], 1)
for n in range(1, 1_000_000):
    checkpoint.write({"n": n, "arrays": [np.full(50_000, n), np.full((3, 5), float(n))]})
    print(n, flush=True)
"""

_DIES = """
import os, sys
import numpy as np
from fastmlp.training.checkpoint import Checkpoint

def dies(*args, **kwargs):
    os.kill(os.getpid(), 9)

def dies_half_way(file, *args, **kwargs):
    file.write(b"PK half a file")
    file.flush()
    dies()

def dies_after(*args):
    replace(*args)
    dies()

replace = os.replace
checkpoint = Checkpoint(sys.argv[1], 1)
checkpoint.write("old")
if sys.argv[2] == "savez":
    np.savez = dies_half_way
elif sys.argv[2] == "fsync":
    os.fsync = dies
elif sys.argv[2] == "replace":
    os.replace = dies
else:
    os.replace = dies_after
checkpoint.write("new")
"""


@pytest.mark.parametrize("seed", range(4))
def test_a_writer_killed_at_any_moment_leaves_a_whole_file(tmp_path, seed):
    moments = random.Random(seed)
    path = tmp_path / "c"
    with subprocess.Popen([sys.executable, "-c", _WRITES, path], stdout=subprocess.PIPE, text=True) as writer:
        told = "".join(writer.stdout.readline() for _ in range(moments.randrange(1, 8)))
        time.sleep(moments.uniform(0, 0.01))
        writer.kill()
        told += writer.stdout.read()
    state = Checkpoint(path, 1).read()
    n = state["n"]
    # the file is that of the last write that returned, or of the one under way
    assert n - told.count("\n") in (0, 1)
    assert _same(state["arrays"], [np.full(50_000, n), np.full((3, 5), float(n))])
    Checkpoint(path, 1).write("next")
    assert os.listdir(tmp_path) == ["c"]


@pytest.mark.parametrize("step", ["savez", "fsync", "replace", "end"])
def test_a_writer_killed_at_each_step(tmp_path, step):
    path = tmp_path / "c"
    assert subprocess.run([sys.executable, "-c", _DIES, path, step]).returncode != 0
    checkpoint = Checkpoint(path, 1)
    assert checkpoint.read() == ("new" if step == "end" else "old")
    assert len(os.listdir(tmp_path)) == (1 if step == "end" else 2)
    checkpoint.write("next")
    assert checkpoint.read() == "next" and os.listdir(tmp_path) == ["c"]


# When to write


def test_due_by_epochs(tmp_path):
    assert [epoch for epoch in range(1, 11) if Checkpoint(tmp_path / "c", np.int64(3)).due(epoch)] == [3, 6, 9]
    assert all(map(Checkpoint(tmp_path / "c", 1).due, range(1, 5)))


def test_due_by_time_since_the_last_write(tmp_path):
    now = 1000.0
    checkpoint = Checkpoint(tmp_path / "c", timedelta(minutes=1), clock=lambda: now)
    due = []
    for epoch in range(1, 15):
        now += 17.0
        if checkpoint.due(epoch):
            due.append(epoch)
            now += 10.0  # that writing takes
            checkpoint.write(epoch)
    assert due == [4, 8, 12]
    now = checkpoint._written + 59.999
    assert not checkpoint.due(1)
    now = checkpoint._written + 60.0
    assert checkpoint.due(1)


def test_time_counts_from_the_start(tmp_path):
    assert not Checkpoint(tmp_path / "c", timedelta(days=1)).due(1)
    assert Checkpoint(tmp_path / "c", timedelta(microseconds=1), clock=iter([0.0, 1e-6]).__next__).due(1)


@pytest.mark.parametrize("every", [0, -1, 1.0, True, "1", None, timedelta(0), timedelta(days=-1)])
def test_bad_every(tmp_path, every):
    with pytest.raises(ValueError, match=f"every must be .*, got {re.escape(repr(every))}"):
        Checkpoint(tmp_path / "c", every)


# Of which fit


def _function(x):
    return x


def _cached_body(x):
    return x


class _Callback:
    def __call__(self):
        pass

    def method(self):
        pass

    @classmethod
    def of_class(cls):
        pass


class _Other:
    def __repr__(self):
        return f"_Other(inner={object.__repr__(_function)})"


def _described(value):
    return fingerprint({"p": value}, {})["params"]["p"]


def _drawn(seed, n):
    rng = np.random.RandomState(seed)
    rng.standard_normal(n)
    return rng


# equals, made twice, and another
PARAMS = {
    "float": (lambda: 0.1, lambda: 0.1 + 1e-17 * 4),
    "tiny": (lambda: 5e-324, lambda: 0.0),
    "nan": (lambda: float("nan"), lambda: float("inf")),
    "int": (lambda: 200, lambda: 201),
    "bool": (lambda: True, lambda: "True"),
    "none": (lambda: None, lambda: "None"),
    "string": (lambda: "adam", lambda: "sgd"),
    "sequence": (lambda: (100, 50), lambda: (100, 50, 1)),
    "nested": (lambda: [(1, "a"), {"b": [2.0]}], lambda: [(1, "a"), {"b": [2.5]}]),
    "dict": (lambda: {"a": 1, "b": 2}, lambda: {"a": 2, "b": 1}),
    "set": (lambda: {"x", "y", "z"}, lambda: {"x", "y"}),
    "random state": (lambda: np.random.RandomState(3), lambda: np.random.RandomState(4)),
    "used random state": (lambda: _drawn(3, 1), lambda: _drawn(3, 2)),  # the second of a pair waits in one of them
    "array": (lambda: np.arange(3000.0), lambda: np.where(np.arange(3000) == 1500, 0.0, np.arange(3000.0))),
    "function": (lambda: _function, lambda: _cached_body),
    "wrapped": (lambda: functools.lru_cache(_function), lambda: functools.lru_cache(_cached_body)),
    "builtin": (lambda: len, lambda: max),
    "method of a builtin": (lambda: [].append, lambda: [].extend),
    "ufunc": (lambda: np.tanh, lambda: np.exp),
    "descriptor": (lambda: str.upper, lambda: str.lower),
    "class": (lambda: _Callback, lambda: Ridge),
    "method": (lambda: _Callback().method, lambda: _Callback().of_class),
    "partial": (lambda: functools.partial(_function, 1, a=2), lambda: functools.partial(_function, 1, a=3)),
    "estimator": (lambda: Ridge(alpha=0.5), lambda: Ridge(alpha=0.25)),
    "pipeline": (lambda: make_pipeline(Ridge(alpha=0.5)), lambda: make_pipeline(Ridge(alpha=0.25))),
    "object": (_Callback, object),
    "its own repr": (_Other, _Callback),
}


@pytest.mark.parametrize("kind", PARAMS)
def test_parameters_by_value(kind):
    make, other = PARAMS[kind]
    held = make()  # so that the second is at another address
    assert _described(held) == _described(make())
    assert _described(held) != _described(other())
    assert "0x" not in _described(held)
    json.dumps(fingerprint({kind: held}, {}))


def test_descriptions_can_be_read():
    assert _described(0.1) == _described(np.float64(0.1)) == "0.1"
    assert _described((100, 50)) == _described([100, np.int64(50)]) == "[100, 50]"
    assert _described("adam") == "'adam'"
    assert _described(np.longdouble(1)) == repr(np.longdouble(1))
    assert _described(functools.partial(len, 1)) == "partial(builtins.len, [1], {})"
    assert _described(str.upper) == "builtins.str.upper"
    assert _described({"b": 1, "a": 2}) == "{'a': 2, 'b': 1}"
    assert re.fullmatch(r"RandomState\([0-9a-f]{32}\)", _described(np.random.RandomState(0)))


def test_a_random_state_is_not_drawn_from():
    rng = np.random.RandomState(0)
    _described(rng)
    assert rng.uniform() == np.random.RandomState(0).uniform()


_HASHES = """
import json, sys
import numpy as np
from fastmlp.training.checkpoint import fingerprint
labels = np.array([f"label {i}" for i in range(100)], dtype=object)
params = {"set": set(map(str, range(50))), "object": object(), "rng": np.random.RandomState(0)}
print(json.dumps(fingerprint(params, {"y": labels, "X": np.arange(5.0)})))
"""


def test_another_process_finds_the_same():
    found = {
        subprocess.run(
            [sys.executable, "-c", _HASHES],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            stdout=subprocess.PIPE,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def _data(value):
    return fingerprint({}, {"X": value})["data"]["X"]


def _layouts(array, tmp_path):
    """The same values as they may lie in memory."""
    yield array.copy()
    yield np.asfortranarray(array)
    wide = np.zeros((2 * array.shape[0], 3 * array.shape[1]), array.dtype)
    wide[::2, ::3] = array
    yield wide[::2, ::3]
    yield np.ascontiguousarray(array[::-1, ::-1])[::-1, ::-1]
    frozen = array.copy()
    frozen.flags.writeable = False
    yield frozen
    unaligned = np.frombuffer(b"\0" + array.tobytes(), np.uint8)[1:].view(array.dtype).reshape(array.shape)
    yield unaligned
    np.save(tmp_path / "array.npy", array)
    yield np.load(tmp_path / "array.npy", mmap_mode="r")


@pytest.mark.parametrize("block", [1, 64, 1 << 24])
@pytest.mark.parametrize("dtype", ["f4", "f8", ">f8", "i8", "u1", "?", "U3", "M8[s]"])
def test_data_by_value_whatever_the_layout(dtype, block, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", block)
    array = np.random.RandomState(0).randint(100, size=(7, 5)).astype(dtype)
    expected = _data(array)
    assert expected.startswith(f"{array.dtype.str} (7, 5) ")
    assert expected.endswith(module._digest([array.tobytes()]))
    for layout in _layouts(array, tmp_path):
        assert _data(layout) == expected
    changed = array.copy()
    changed[6, 4] = ~changed[6, 4] if dtype == "?" else changed[0, 0]
    assert changed[6, 4] != array[6, 4]
    assert _data(changed) != expected
    assert _data(array.reshape(5, 7)) != expected and _data(array.ravel()) != expected


def test_data_by_dtype():
    zeros = [np.zeros(4, dtype) for dtype in ("f4", "i4", "u4", ">i4")]
    assert len(set(map(_data, zeros))) == 4
    assert _data(np.zeros((0, 3))) != _data(np.zeros((0, 4)))
    assert _data(np.array(3.0)) != _data(np.array(4.0))


def test_large_arrays_are_hashed_without_a_copy(monkeypatch):
    large = np.zeros((3000, 2000))[::2].T  # 24 MB that are not in C order
    sizes = []
    digest = module._digest
    monkeypatch.setattr(module, "_digest", lambda blocks: digest(sizes.append(b.nbytes) or b for b in blocks))
    monkeypatch.setattr(module, "BLOCK", 1 << 20)
    _data(large)
    assert sum(sizes) == large.nbytes and max(sizes) <= 1 << 20


def test_object_arrays_by_their_values():
    labels = np.array(["".join(["cl", "ass "]) + str(i) for i in range(5)], dtype=object)
    again = np.array(["".join(["cla", "ss "]) + str(i) for i in range(5)], dtype=object)
    assert all(a is not b for a, b in zip(labels, again, strict=True))
    assert _data(labels) == _data(again)
    again[3] = "class 9"
    assert _data(labels) != _data(again)
    assert _data(np.array([1, 2], dtype=object)) != _data(np.array(["1", "2"], dtype=object))
    assert _data(np.array(["a", "b\nc"], dtype=object)) != _data(np.array(["a\nb", "c"], dtype=object))
    assert _data(np.array([None, float("nan")], dtype=object)) == _data(np.array([None, np.nan], dtype=object))


@pytest.mark.parametrize("kind", [csr_matrix, csr_array])
def test_csr_by_its_three_arrays(kind):
    dense = np.random.RandomState(0).binomial(1, 0.4, (6, 5)) * np.arange(1.0, 6.0)
    X = kind(dense)
    expected = _data(X)
    assert _data(kind(dense)) == _data(csr_matrix(dense)) == expected
    roomy = kind(dense)
    roomy.data, roomy.indices = np.append(X.data, 7.0), np.append(X.indices, X.indices[:1])
    assert roomy.nnz == X.nnz and _data(roomy) == expected
    others = [kind(dense) for _ in range(5)]
    others[0].data[0] += 1
    others[1].indices[:] = (others[1].indices + 1) % 5
    others[2].indptr[1] -= 1
    others[3] = kind((X.data, X.indices, X.indptr), shape=(6, 7))
    others[4] = kind(dense.astype(np.float32))
    assert len({expected, _data(dense), *map(_data, others)}) == 7


def test_nothing_is_not_an_array():
    assert _data(None) != _data(np.zeros(0))


def _fit(**changes):
    params = {"alpha": 0.1, "hidden_layer_sizes": (100,), "solver": "adam", "random_state": None}
    data = {"X": np.arange(6.0).reshape(3, 2), "y": np.array(["a", "b", "a"], dtype=object), "sample_weight": None}
    for name, value in changes.items():
        (data if name in data else params)[name] = value
    return fingerprint(params, data)


DIFFERENCES = {
    "alpha": (0.2, "alpha was 0.1, is 0.2"),
    "hidden_layer_sizes": ((100, 20), "hidden_layer_sizes was [100], is [100, 20]"),
    "solver": ("x" * 200, "solver differs"),
    "random_state": (1, "random_state was None, is 1"),
    "new": (3, "new was absent, is 3"),
    "X": (np.zeros((3, 2)), "X differs"),
    "y": (np.array(["a", "b", "b"], dtype=object), "y differs"),
    "sample_weight": (np.ones(3), "sample_weight differs"),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_every_difference_is_named(name):
    value, said = DIFFERENCES[name]
    other = _fit(**{name: value})
    assert _names(_fit(), other) == _names(other, _fit()) == [name]
    with pytest.raises(ValueError) as caught:
        check_same(_fit(), other, "a.ckpt")
    assert str(caught.value) == (
        f"the checkpoint 'a.ckpt' is of another fit: {said}. Give checkpoint_path another name, or remove the file."
    )


def test_the_same_fit_goes_on_also_from_a_file(tmp_path):
    checkpoint = Checkpoint(tmp_path / "c", 1)
    checkpoint.write({"fit": _fit(alpha=float("nan"))})
    stored = checkpoint.read()["fit"]
    assert _names(stored, _fit(alpha=float("nan"))) == []
    check_same(stored, _fit(alpha=float("nan")), checkpoint.path)


def test_differences_come_in_order_and_not_without_end(tmp_path):
    other = _fit(**{name: value for name, (value, _) in reversed(DIFFERENCES.items())})
    assert _names(_fit(), other) == list(DIFFERENCES)
    with pytest.raises(ValueError) as caught:
        check_same(_fit(), other, tmp_path / "c")
    said = [said for _, said in DIFFERENCES.values()]
    assert str(caught.value).startswith(
        f"the checkpoint {str(tmp_path / 'c')!r} is of another fit: {'; '.join(said[:6])}; and 2 more. Give"
    )
