"""Checkpoints: exact round trips, files that are whole or refused, writers that are killed, fits that differ."""

import copy
import io
import json
import os
import pickle
import random
import re
import subprocess
import sys
import time
import tracemalloc
import zipfile
from collections import OrderedDict, namedtuple
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastmlp.training import checkpoint as module
from fastmlp.training.checkpoint import Checkpoint, pack
from fastmlp.training.documents import decoded


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


def _unpacked(document, arrays):
    return decoded(json.loads(document), arrays.__getitem__)


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
_integers = st.integers(-(2**63), 2**64 - 1)
_plain = st.none() | st.booleans() | _integers | st.floats() | st.text()
_states = st.recursive(
    _plain | _arrays,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | _integers | st.tuples(_integers, st.text()), inner, max_size=4)
    ),
)


@settings(database=None)
@given(_states)
def test_a_state_comes_back_as_it_was(state):
    assert _same(_unpacked(*pack(state)), state)


@settings(database=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
    assert _same(_unpacked(*pack(scalars)), [0.1, float(np.float32(0.1)), -3, 2**64 - 1, True, "a"])


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


def test_no_file_and_an_empty_one_are_no_state(tmp_path):
    checkpoint = Checkpoint(tmp_path / "c", 1)
    assert checkpoint.read() is None
    assert os.listdir(tmp_path) == []
    (tmp_path / "c").write_bytes(b"")
    assert checkpoint.read() is None
    checkpoint.write(1)
    assert checkpoint.read() == 1


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
    for size in [*range(1, 600), *range(600, directory, 37), *range(directory, len(content))]:
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
    assert "Bad CRC-32 for file 'arr_0.npy'" in _refused(checkpoint, content.replace(header, damaged))


def _npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_other_files_are_refused(tmp_path):
    checkpoint = Checkpoint(tmp_path / "c", 1)
    text = np.frombuffer(b'{"array": 0}', np.uint8)
    npy = io.BytesIO()
    np.save(npy, np.arange(3))
    for other in (b"hello", pickle.dumps(_state()), npy.getvalue(), np.random.RandomState(0).bytes(1000)):
        assert "not a zip file" in _refused(checkpoint, other)
    assert "fastmlp_checkpoint" in _refused(checkpoint, _npz(x=np.arange(3)))
    other, ours = ({"fastmlp_checkpoint": version, "state": text} for version in (1, module.VERSION))
    assert f"its format is version 1, not {module.VERSION}" in _refused(checkpoint, _npz(**other))
    assert "state" in _refused(checkpoint, _npz(fastmlp_checkpoint=module.VERSION, other=text))
    assert "it has no array 0" in _refused(checkpoint, _npz(**ours))
    assert "arr_0" in _refused(checkpoint, _npz(**ours, arr_1=text))
    assert "arr_0 in it would need pickle" in _refused(checkpoint, _npz(**ours, arr_0=np.array([None])))
    assert "nothing refers to some" in _refused(checkpoint, _npz(**ours, arr_0=text, arr_1=text))


# Forged ones


def _peak(function, *args):
    """The memory that a call takes at most."""
    tracemalloc.start()
    try:
        function(*args)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _forged(document, write=np.savez, **members):
    buffer = io.BytesIO()
    text = np.frombuffer(document.encode(), np.uint8)
    write(buffer, **members, fastmlp_checkpoint=module.VERSION, state=text)
    return buffer.getvalue()


def test_what_would_be_larger_in_memory_is_refused_before(tmp_path):
    checkpoint = Checkpoint(tmp_path / "c", 1)

    def refused(content, why):
        assert len(content) < 3_000_000
        assert _peak(lambda: said.append(_refused(checkpoint, content))) < 2 * len(content) + 4_000_000
        assert why in said[-1]

    said = []
    zeros = np.zeros(30_000_000)
    refused(_forged('{"array": 0}', np.savez_compressed, arr_0=zeros), "is compressed")
    one = _forged('{"array": 0}', arr_0=zeros[:9])
    refused(one.replace(b"(9,)", b"(9000000000,)"), "")
    refused(_with_header(one, b"(9,)", b"(3000000000,)"), "arr_0 in it is not as large as it says")
    refused(_forged(json.dumps([{"array": 0}] * 10_000), arr_0=zeros[:100_000]), "it has no array 0")
    refused(_forged("[" * 100_000), "nested")
    refused(_forged("[" + "[]," * 600_000 + "[]]"), "brackets")
    refused(_forged("1" * 100_000), "an integer has 100000 digits")


def _with_header(content, old, new):
    """A zip whose member has another header of the same length, with checksums that are right."""
    archive, result = zipfile.ZipFile(io.BytesIO(content)), io.BytesIO()
    with zipfile.ZipFile(result, "w") as changed:
        for name in archive.namelist():
            member = archive.read(name)
            changed.writestr(name, member.replace(old + b", }" + b" " * (len(new) - len(old)), new + b", }"))
    return result.getvalue()


def test_members_that_share_their_bytes_are_refused(tmp_path):
    """As in D. Fifield (2019), "A better zip bomb"."""
    checkpoint = Checkpoint(tmp_path / "c", 1)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        content = zipfile.ZipFile(io.BytesIO(_forged("1", arr_0=np.zeros(10_000))))
        for name in content.namelist():
            file.writestr(name, content.read(name))
        info = file.getinfo("arr_0.npy")
        for i in range(1, 9):
            other = copy.copy(info)
            other.filename = f"arr_{i}.npy"
            file.filelist.append(other)
            file.NameToInfo[other.filename] = other
        file._didModify = True
    assert "its members are larger than the file" in _refused(checkpoint, archive.getvalue())


def test_a_pipe_and_a_device_are_not_waited_for(tmp_path):
    for path in (tmp_path / "pipe", tmp_path / "null"):
        if path.name == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to("/dev/zero")
        with pytest.raises(OSError, match="Not a regular file"):
            Checkpoint(path, 1)


def test_a_checkpoint_that_memory_cannot_hold_is_not_called_damaged(tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path / "c", 1)
    checkpoint.write(1)

    def fails(*args):
        raise MemoryError

    monkeypatch.setattr(module, "decoded", fails)
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
    assert len(os.listdir(tmp_path)) == (1 if step == "end" else 2)
    checkpoint = Checkpoint(path, 1)
    assert checkpoint.read() == ("new" if step == "end" else "old")
    assert os.listdir(tmp_path) == ["c"]
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
