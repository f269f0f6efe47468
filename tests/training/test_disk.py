"""Files are written whole or not at all, whatever is at their name, and whatever goes wrong."""

import errno
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile

import pytest
from sklearn.datasets import load_iris

from fastmlp import MLPClassifier
from fastmlp.training import disk
from fastmlp.training.checkpoint import Checkpoint
from fastmlp.training.disk import check_writable, replace_file

resource = pytest.importorskip("resource", reason="links, pipes and permissions are POSIX's")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
AS_ROOT = os.geteuid() == 0


def _put(path, content):
    replace_file(path, lambda file: file.write(content))


@pytest.fixture(scope="module")
def model():
    X, y = load_iris(return_X_y=True)
    return MLPClassifier((4,), max_iter=2, random_state=0).fit(X, y)


WRITERS = {
    "save": lambda model, path: model.save(path),
    "to_c": lambda model, path: model.to_c(path),
    "checkpoint": lambda model, path: Checkpoint(path, 1).write({"coefs": model.coefs_}),
}


@pytest.fixture(params=WRITERS)
def write(request, model):
    if request.param == "save":
        pytest.importorskip("safetensors")
    return lambda path: WRITERS[request.param](model, path)


# Of every writer


def test_a_file_keeps_its_permissions(write, tmp_path):
    path, plain = tmp_path / "f", tmp_path / "plain"
    write(path)
    plain.write_bytes(b"")
    assert path.stat().st_mode == plain.stat().st_mode
    content = path.read_bytes()
    for mode in (0o600, 0o640, 0o666, 0o755):
        path.write_bytes(b"old")
        path.chmod(mode)
        write(path)
        assert path.read_bytes() == content and stat.S_IMODE(path.stat().st_mode) == mode
        assert sorted(os.listdir(tmp_path)) == ["f", "plain"]


@pytest.mark.parametrize("name", ["x" * 255, "ж" * 127, "x"])
def test_names_may_be_as_long_as_the_system_lets_them(write, name, tmp_path):
    for _ in range(2):
        write(tmp_path / name)
        assert os.listdir(tmp_path) == [name]
    with pytest.raises(OSError) as caught:
        write(tmp_path / ("x" * 256))
    assert caught.value.errno == errno.ENAMETOOLONG


def test_empty_files_and_links(write, tmp_path):
    (tmp_path / "folder").mkdir()
    empty, link, dangling = tmp_path / "folder" / "empty", tmp_path / "link", tmp_path / "dangling"
    empty.write_bytes(b"")
    link.symlink_to(empty)
    dangling.symlink_to("folder/new")
    write(link)
    write(dangling)
    assert link.is_symlink() and dangling.is_symlink()
    assert empty.read_bytes() == (tmp_path / "folder" / "new").read_bytes() != b""


@pytest.mark.parametrize("kind", ["folder", "socket", "pipe", "null"])
def test_what_is_no_file_is_left_alone(kind, write, tmp_path, monkeypatch):
    path = tmp_path / "f"
    if kind == "folder":
        path.mkdir()
    elif kind == "socket":
        monkeypatch.chdir(tmp_path)  # a socket's path may not be long
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("f")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/null")
    before = os.stat(path)
    try:
        write(path)
    except OSError as error:
        assert error.errno in (errno.EISDIR, errno.EINVAL, errno.ENXIO) and error.filename is not None
    else:
        assert kind == "null"  # which takes C
    after = os.stat(path)
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode) and os.listdir(tmp_path) == ["f"]


@pytest.mark.parametrize("in_place", [False, True])
def test_a_full_disk_leaves_the_old_file(write, in_place, tmp_path, monkeypatch):
    path = tmp_path / "f"
    path.write_bytes(b"old" * 1000)
    if in_place:
        monkeypatch.setattr(os, "replace", _refusing(errno.EBUSY))
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 10, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            write(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert path.read_bytes() == b"old" * 1000 and os.listdir(tmp_path) == ["f"]


_MOUNTS = """
import sys, warnings
warnings.simplefilter("ignore")
from sklearn.datasets import load_iris
from fastmlp import MLPClassifier, load
from fastmlp.training.checkpoint import Checkpoint

path = sys.argv[1]
X, y = load_iris(return_X_y=True)
small, large = (MLPClassifier((n,), max_iter=3, random_state=0).fit(X, y) for n in (4, 500))
for model in (large, small, large):
    model.to_c(path)
    assert open(path).read() == model.to_c()
    model.save(path)
    assert (load(path).predict_proba(X) == model.predict_proba(X)).all()
open(path, "w").close()
fits = [MLPClassifier((4,), max_iter=3, random_state=0, checkpoint_path=path).fit(X, y) for _ in range(2)]
assert fits[0].loss_curve_ == fits[1].loss_curve_ == small.loss_curve_
assert Checkpoint(path, 1).read()["progress"]["n_iter"] == 3
"""


@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_that_is_mounted_by_itself(read_only, tmp_path):
    pytest.importorskip("safetensors")
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    (tmp_path / "folder").mkdir()
    for name in ("folder/inside", "outside"):
        (tmp_path / name).write_bytes(b"")
    script = 'mount --bind "$1/folder" "$1/folder" && mount --bind "$1/outside" "$1/folder/inside"'
    if read_only:
        script += ' && mount -o remount,bind,ro "$1/folder"'
    script += ' && exec "$2" -c "$3" "$1/folder/inside"'
    subprocess.run(["unshare", "-rm", "sh", "-c", script, "sh", tmp_path, sys.executable, _MOUNTS], check=True)
    assert (tmp_path / "outside").stat().st_size > 1000 and os.listdir(tmp_path / "folder") == ["inside"]


# C alone goes to streams


def test_c_goes_to_a_pipe_that_is_read(model, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError) as caught:
        model.to_c(tmp_path / "pipe")
    assert caught.value.errno == errno.ENXIO
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    model.to_c(tmp_path / "pipe")
    with open(reading) as file:
        assert file.read() == model.to_c()
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)


def test_c_goes_to_standard_output():
    code = (
        "from fastmlp import MLPRegressor\n"
        "MLPRegressor(hidden_layer_sizes=(), max_iter=1, random_state=0).fit([[0], [1]], [0, 1]).to_c('/dev/stdout')"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert "fastmlp_predict(" in done.stdout
    # a file, here one without a name, is written to where the process is in it
    with tempfile.TemporaryFile("w+") as file:
        code = f"print('before', flush=True)\n{code}"
        subprocess.run([sys.executable, "-W", "ignore", "-c", code], stdout=file, check=True)
        file.seek(0)
        assert file.read() == f"before\n{done.stdout}"


# The function alone


def _refusing(number):
    def refuses(*args):
        raise OSError(number, os.strerror(number), *args[:1])

    return refuses


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EXDEV, errno.EPERM])
@pytest.mark.parametrize("old", [b"", b"a long old content", b"old"])
def test_a_file_that_cannot_be_replaced_is_overwritten(number, old, tmp_path, monkeypatch):
    path = tmp_path / "f"
    path.write_bytes(old)
    inode = path.stat().st_ino
    monkeypatch.setattr(os, "replace", _refusing(number))
    _put(path, b"the new")
    assert path.read_bytes() == b"the new" and path.stat().st_ino == inode and os.listdir(tmp_path) == ["f"]
    path.unlink()
    with pytest.raises(OSError):
        _put(path, b"the new")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("error", [OSError(errno.EIO, "I/O error"), KeyboardInterrupt()])
def test_overwriting_that_fails_gives_the_old_content_back(error, tmp_path, monkeypatch):
    path = tmp_path / "f"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "replace", _refusing(errno.EBUSY))
    fsync, done = os.fsync, []

    def fails_in_place(descriptor):
        fsync(descriptor)
        done.append(path.read_bytes())
        if len(done) == 2:
            raise error

    monkeypatch.setattr(os, "fsync", fails_in_place)
    with pytest.raises(type(error)):
        _put(path, b"the new")
    assert done == [b"old", b"the new", b"old"]
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["f"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_read_only_directory_with_a_file_in_it(number, tmp_path, monkeypatch):
    path = tmp_path / "f"
    monkeypatch.setattr(disk, "_temporary", _refusing(number))
    for function in (check_writable, lambda path: _put(path, b"new")):
        with pytest.raises(OSError) as caught:
            function(path)
        assert caught.value.errno == number
    path.write_bytes(b"old")
    check_writable(path)
    assert path.read_bytes() == b"old"
    with pytest.raises(ZeroDivisionError):
        replace_file(path, lambda file: file.write(b"half") and 1 / 0)
    assert path.read_bytes() == b"old"
    _put(path, b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.skipif(AS_ROOT, reason="root may write anywhere")
def test_permissions_that_forbid_it(tmp_path):
    (tmp_path / "f").write_bytes(b"old")
    tmp_path.chmod(0o500)
    try:
        _put(tmp_path / "f", b"new")
        assert (tmp_path / "f").read_bytes() == b"new"
        (tmp_path / "f").chmod(0o400)
        for name in ("f", "g"):
            with pytest.raises(PermissionError):
                check_writable(tmp_path / name)
            with pytest.raises(PermissionError):
                _put(tmp_path / name, b"newer")
        assert (tmp_path / "f").read_bytes() == b"new"
    finally:
        tmp_path.chmod(0o700)


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
    _put(tmp_path / "f", b"content")
    assert [step if step == "replace" else step.st_ino for step in steps] == [
        (tmp_path / "f").stat().st_ino,
        "replace",
        tmp_path.stat().st_ino,
    ]


def test_a_directory_that_cannot_be_flushed_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "open", _refusing(errno.EACCES))
    _put(tmp_path / "f", b"content")
    assert (tmp_path / "f").read_bytes() == b"content"


# What killed writers left


def _temporaries(path):
    """Names of new temporary files for a path, and the open files."""
    files = [disk._temporary(path) for _ in range(3)]
    return [os.path.basename(file.name) for file in files], files


def test_only_leftovers_of_this_name_are_removed(tmp_path):
    path = tmp_path / ("x" * 250)
    left, files = _temporaries(path)
    others, more = _temporaries(tmp_path / "other")
    for file in files + more:
        file.close()
    (name, *_) = left
    others += [name[:-4], name[:-5] + "g.tmp", name + "2", "a" + name, path.name]
    for other in others:
        (tmp_path / other).write_bytes(b"")
    (tmp_path / (name[:-6] + "zz.tmp")).mkdir()
    _put(path, b"new")
    assert sorted(os.listdir(tmp_path)) == sorted([*others, name[:-6] + "zz.tmp"])


def test_writers_at_the_same_time_do_not_remove_each_others(tmp_path):
    path = tmp_path / "f"
    names, files = _temporaries(path)
    _put(path, b"new")
    assert sorted(os.listdir(tmp_path)) == sorted([*names, "f"])
    for file in files:
        file.close()
    _put(path, b"new")
    assert os.listdir(tmp_path) == ["f"]


_CROWD = """
import sys
from fastmlp.training.disk import replace_file
for _ in range(40):
    replace_file(sys.argv[1], lambda file: file.write(sys.argv[2].encode() * 10000))
"""


def test_several_processes_write_the_same_file(tmp_path):
    path = tmp_path / "f"
    crowd = [subprocess.Popen([sys.executable, "-c", _CROWD, path, letter]) for letter in "abc"]
    seen = set()
    while any(writer.poll() is None for writer in crowd):
        if path.exists():
            content = path.read_bytes()
            seen.add((len(content), *set(content.decode())))
    assert [writer.returncode for writer in crowd] == [0, 0, 0]
    assert seen <= {(10000, letter) for letter in "abc"} and os.listdir(tmp_path) == ["f"]


def test_content_may_be_written_in_any_order(tmp_path, monkeypatch):
    def write(file):
        file.write(b"0123456789")
        file.seek(2)
        file.write(b"ab")

    replace_file(tmp_path / "f", write)
    monkeypatch.setattr(disk, "_temporary", _refusing(errno.EROFS))
    (tmp_path / "g").write_bytes(b"old")
    replace_file(tmp_path / "g", write)
    assert (tmp_path / "f").read_bytes() == (tmp_path / "g").read_bytes() == b"01ab456789"
