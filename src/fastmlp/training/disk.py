"""Files that are written whole or not at all."""

import errno
import io
import os
import re
import secrets
import shutil
import stat
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where nobody can remove a file that is open
    fcntl = None

__all__ = ["FULL", "check_regular", "check_writable", "replace_file"]

# What a system says where there can be no other file beside a file, which itself may be writable: in a read-only
# directory; and where no other file can get its name: a mount point, or a file of another user
_NO_NEW_FILE = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_NEW_NAME = (errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no room on the disk, or for this user, or in a file
_MOST_LINKS = 40  # in a row, as Linux follows them


def check_regular(path):
    """Look at what has a name.

    Returns
    -------
    status : os.stat_result or None
        None if there is nothing.

    Raises
    ------
    OSError
        If it is a directory, a pipe or a device: reading could wait for ever, and writing would do away with it.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        number = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
        raise OSError(number, "Not a regular file", os.path.realpath(path))
    return status


def check_writable(path):
    """Raise the OSError of `replace_file` if it can write no file of this name, however small."""
    path, _, file = _new_file(path)
    if file is None:
        open(path, "r+b").close()
    else:
        file.close()
        os.unlink(file.name)


def replace_file(path, write, streams=False):
    """Write a file anew; until the new one is whole and on the disk, the old one is there.

    A symbolic link is followed, and the permissions of the old file are kept. What killed writers of the same file left
    is removed. Where no other file can take the place of the old one, because it is a mount point or its directory is
    read-only, it is overwritten, once all of the new content has been made.

    Parameters
    ----------
    path : str or path-like
    write : callable
        Called with an open binary file.
    streams : bool, default=False
        Whether a pipe, a character device, such as a terminal, and an open file of this process, such as /dev/stdout,
        are written to. Otherwise a pipe and a device are refused.

    Raises
    ------
    OSError
        If it cannot be written, or if a directory, a pipe or a device has its name. The old one is as it was.
    """
    if streams and (descriptor := _descriptor(path)) is not None:
        with open(os.dup(descriptor), "wb") as file:
            write(file)
        return
    if streams and _is_stream(path):
        # a pipe without a reader is an error, in place of a wait
        with open(path, "wb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            os.set_blocking(file.fileno(), True)
            write(file)
        return
    path, exists, file = _new_file(path)
    if file is None:
        content = io.BytesIO()
        write(content)
        _overwrite(path, content)
        return
    try:
        with file:
            if exists:  # before anything is in it
                _keep_permissions(path, file.name)
            write(file)
            file.flush()
            os.fsync(file.fileno())
            if fcntl is None:
                file.close()  # Windows renames no open file
            try:
                os.replace(file.name, path)
            except OSError as error:
                if not exists or file.closed or error.errno not in _NO_NEW_NAME:
                    raise
                _overwrite(path, file)
    finally:
        Path(file.name).unlink(missing_ok=True)
    # the new name outlasts a power cut once the directory is on the disk, where the system can tell it to be
    with suppress(OSError):
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _descriptor(path):
    """The number of the open file of this process that a path stands for, as /dev/stdout does; None of another path.

    Such a file is not replaced: it may have no name, and the process goes on writing to it.
    """
    path = os.fsdecode(path)
    with suppress(OSError, ValueError):  # of what is no link, and of links without end
        for _ in range(_MOST_LINKS):
            folder, name = os.path.split(path)
            if os.path.realpath(folder) == f"/proc/{os.getpid()}/fd":
                return int(name)
            path = os.path.join(folder, os.readlink(path))
    return None


def _is_stream(path):
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return False
    return hasattr(os, "O_NONBLOCK") and (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode))


def _keep_permissions(old, new):
    """Give a file the owner, the mode and the access list of another, as far as the system allows."""
    status = os.stat(old)
    if hasattr(os, "chown"):
        with suppress(OSError):
            os.chown(new, status.st_uid, status.st_gid)
    with suppress(OSError):
        shutil.copystat(old, new)
    with suppress(OSError):  # which copystat comes to last
        shutil.copymode(old, new)


def _new_file(path):
    """The path without links, whether there is a file, and a new one to replace it; None if it must be overwritten."""
    exists = check_regular(path) is not None
    path = Path(os.path.realpath(path))
    try:
        return path, exists, _temporary(path)
    except OSError as error:
        if not exists or error.errno not in _NO_NEW_FILE:
            raise
        return path, exists, None


def _temporary(path):
    """A new file beside another, to be renamed or removed while it is open.

    Its name does not depend on how long the other's is. It is locked, which tells it from one whose writer was killed.
    """
    of_path = f".fastmlp-{blake2b(os.fsencode(path.name), digest_size=8).hexdigest()}-"
    _remove_leftovers(path.parent, re.compile(re.escape(of_path) + r"[0-9a-f]{16}\.tmp"))
    while True:
        file = open(path.parent / f"{of_path}{secrets.token_hex(8)}.tmp", "x+b")  # with the permissions of a new file
        if fcntl is None:
            return file
        with suppress(OSError):  # where the file system has no locks
            fcntl.flock(file, fcntl.LOCK_EX)
        # another writer may have taken it for a leftover before it was locked
        with suppress(FileNotFoundError):
            if os.path.samestat(os.stat(file.name), os.fstat(file.fileno())):
                return file
        file.close()


def _remove_leftovers(folder, pattern):
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if pattern.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError), open(entry.path, "rb") as file:
                    if fcntl is None:
                        file.close()
                    else:
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # an error while its writer lives
                    os.unlink(entry.path)


def _overwrite(path, source):
    """Put the whole content of an open file in the place of a file's own.

    The room is taken first, and on any error, or an interrupt, the old content is written back. Only if the process
    is killed, or the machine stops, within this function is the old content lost, and the new one incomplete.
    """
    with open(path, "r+b", buffering=0) as file:
        old = file.read()
        try:
            size = source.seek(0, os.SEEK_END)
            source.seek(0)
            if size > len(old) and hasattr(os, "posix_fallocate"):
                try:
                    os.posix_fallocate(file.fileno(), 0, size)
                except OSError as error:
                    if error.errno in FULL:
                        raise
            _put(file, iter(lambda: source.read(1 << 20), b""))
        except BaseException:
            _put(file, [old])
            raise


def _put(file, pieces):
    """Make an unbuffered file consist of some bytes, on the disk."""
    file.seek(0)
    for piece in pieces:
        left = memoryview(piece)
        while left:
            left = left[file.write(left) :]
    file.truncate()
    os.fsync(file.fileno())
