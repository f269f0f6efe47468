"""The file that a fit can go on from: written whole or not at all, and refused by any other fit."""

import json
import math
import os
import time
import zipfile
from contextlib import contextmanager
from datetime import timedelta
from numbers import Integral

import numpy as np

from .disk import check_regular, check_writable, replace_file
from .documents import decoded, encoded, parsed, require
from .identity import check_fingerprint, check_same

__all__ = ["Checkpoint", "pack"]

VERSION = 3  # of the file's format
MOST_DIRECTORY = 1 << 21  # bytes of the zip's directory
MOST_TEXT = 1 << 25  # bytes of the document
MOST_SAID = 500  # characters of what is wrong with a file


def pack(state):
    """A state, as `encoded` takes it, as a JSON document and the arrays that it refers to.

    Arrays may have any dtype without objects. The list has the state's own, not copies.
    """
    arrays = []

    def keep(array, path):
        if array.dtype.hasobject:
            return None
        arrays.append(array)
        return len(arrays) - 1

    return json.dumps(encoded(state, keep)), arrays


class Checkpoint:
    """A file that holds the last state written to it. Only one fit at a time may write to it.

    Parameters
    ----------
    path : str or path-like
        The file; its directory must exist. A symbolic link is followed.
    every : int or timedelta
        When to write: after this number of epochs, or when this time has passed since the last write.
    clock : callable, default=time.monotonic
        Seconds as a float.

    Raises
    ------
    ValueError
        If `every` is not an int of at least 1 or a timedelta of more than 0.
    OSError
        If no file can be made in the directory.
    """

    def __init__(self, path, every, clock=time.monotonic):
        if isinstance(every, timedelta):
            valid = every > timedelta(0)
        else:
            valid = isinstance(every, Integral) and not isinstance(every, bool) and every >= 1
        if not valid:
            raise ValueError(f"every must be an int of at least 1 or a timedelta of more than 0, got {every!r}.")
        self.path, self.every = os.fsdecode(path), every
        self._file = os.path.abspath(self.path)  # the working directory may change while a fit goes on
        self._clock = clock
        self._written = clock()
        check_writable(self._file)  # rather now than after an hour of training

    def due(self, epoch=None):
        """Whether to write after this epoch, counted from 1; None: within one, where only time counts."""
        if isinstance(self.every, timedelta):
            return self._clock() - self._written >= self.every.total_seconds()
        return epoch is not None and epoch % self.every == 0

    def write(self, state):
        """Put a state, of the types that `pack` takes, in the place of the last one.

        Raises
        ------
        OSError
            See `replace_file`: the old one is as it was.
        """
        document, arrays = pack(state)
        text = np.frombuffer(document.encode(), np.uint8)
        replace_file(self._file, lambda file: np.savez(file, *arrays, fastmlp_checkpoint=VERSION, state=text))
        self._written = self._clock()

    def read(self, identity=None, check=None):
        """The state last written, or None if there is no file or an empty one.

        Whoever made the file: nothing of a size that it merely claims is allocated.

        Parameters
        ----------
        identity : dict, default=None
            The `fingerprint` that the state must have under "identity".
        check : callable, default=None
            Called twice with the state and raises an error if it is not one that can be gone on from: before any array
            is read, with arrays of zeros that take no memory in their place, and with the arrays themselves. The second
            argument says which.

        Raises
        ------
        ValueError
            If the file is damaged, of another version, not a checkpoint, or one of another fit.
        OSError
            If it cannot be opened, or is a directory, a pipe or a device.
        """
        status = check_regular(self._file)
        if status is None or status.st_size == 0:  # as `mktemp` makes them, and those who mount a single file
            return None
        with open(self._file, "rb") as file:
            with self._not_whole():
                members = _Members(file)
                document = parsed(members.text("state"))
                state = members.decoded(document, stand_ins=True)
                if identity is not None:
                    check_fingerprint(state["identity"])
            if identity is not None:
                check_same(state["identity"], identity, self.path)
            with self._not_whole():
                if check is not None:
                    check(state, False)
                state = members.decoded(document, stand_ins=False)
                if check is not None:
                    check(state, True)
                return state

    @contextmanager
    def _not_whole(self):
        """Whatever is wrong with the file as one kind of error."""
        try:
            yield
        except MemoryError:
            raise
        except Exception as error:  # of zipfile, NumPy and JSON there are a dozen for damaged files
            said = str(error)[:MOST_SAID]
            raise ValueError(f"{self.path!r} is not a whole checkpoint of fastmlp: {said}.") from error


class _Members:
    """The arrays of a file that `np.savez` wrote; all that is not as it writes them is refused.

    Members are not compressed, so that they are no larger than the file, and neither are the arrays in them.

    Parameters
    ----------
    file : binary file

    Raises
    ------
    ValueError, KeyError, BadZipFile, EOFError or whatever else zipfile raises
        If it is not, or damaged.
    """

    def __init__(self, file):
        size = file.seek(0, os.SEEK_END)
        require(_directory_bytes(file, size) <= MOST_DIRECTORY, "it has too many members")
        self._archive = zipfile.ZipFile(file)
        infos = self._archive.infolist()
        self._infos = {info.filename: info for info in infos}
        require(len(self._infos) == len(infos), "it has a member twice")
        for info in infos:
            stored = info.compress_type == zipfile.ZIP_STORED and info.file_size == info.compress_size
            require(stored, f"{info.filename} in it is compressed")
        require(sum(info.file_size for info in infos) <= size, "its members are larger than the file")
        version = self._read("fastmlp_checkpoint")
        require(version.shape == () and version == VERSION, f"its format is version {version}, not {VERSION}")

    def _header(self, name):
        """Shape and dtype of a member, which are checked to be those of the values behind them."""
        with self._archive.open(f"{name}.npy") as member:
            read = _HEADERS.get(np.lib.format.read_magic(member))
            require(read is not None, f"{name} in it has another format")
            shape, _, dtype = read(member)
            require(not dtype.hasobject, f"{name} in it would need pickle")
            begins = member.tell()
        n_bytes = math.prod(shape) * dtype.itemsize  # exactly: zipfile compares the checksum at a member's end
        whole = min(shape, default=0) >= 0 and n_bytes == self._infos[f"{name}.npy"].file_size - begins
        require(whole, f"{name} in it is not as large as it says")
        return shape, dtype

    def _read(self, name):
        self._header(name)
        with self._archive.open(f"{name}.npy") as member:
            return np.lib.format.read_array(member, allow_pickle=False)

    def text(self, name):
        """A member that is text."""
        shape, dtype = self._header(name)
        require(dtype == np.uint8 and len(shape) == 1 and shape[0] <= MOST_TEXT, f"{name} in it is no text")
        return self._read(name).tobytes().decode()

    def decoded(self, document, stand_ins):
        """What a document says, with the arrays that it refers to, each of them once.

        As stand-ins they are zeros of the same shape and dtype, which take no memory.
        """
        left = {f"arr_{i}" for i in range(len(self._infos) - 2)}

        def array(number):
            name = f"arr_{number}"
            require(type(number) is int and name in left, f"it has no array {number!r}")
            left.remove(name)
            if not stand_ins:
                return self._read(name)
            shape, dtype = self._header(name)
            return np.broadcast_to(np.zeros((), dtype), shape)

        value = decoded(document, array)
        require(not left, "nothing refers to some of its arrays")
        return value


_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def _directory_bytes(file, size):
    """The size of a zip's directory, of which zipfile makes a larger one in memory."""
    file.seek(max(0, size - 98))
    tail = file.read()
    end, locator = tail[-22:], tail[-42:-22]
    require(end[:4] == b"PK\5\6" and end[20:] == b"\0\0", "it is not a zip file")
    if locator[:4] == b"PK\6\7":
        require(tail[:4] == b"PK\6\6", "it is not a zip file")
        return int.from_bytes(tail[40:48], "little")
    return int.from_bytes(end[12:16], "little")
