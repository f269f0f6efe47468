"""The file that a fit can go on from: written whole or not at all, and refused by any other fit."""

import errno
import functools
import json
import os
import re
import secrets
import tempfile
import time
from contextlib import suppress
from datetime import timedelta
from hashlib import blake2b
from numbers import Integral
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile
from scipy.sparse import issparse

__all__ = ["Checkpoint", "check_same", "decoded", "encoded", "fingerprint", "pack", "replace_file", "unpack"]

VERSION = 2  # of the file's format
BLOCK = 1 << 24  # bytes of an array that are hashed at a time
LONGEST = 60  # characters of a value that an error shows
MOST = 6  # differences that an error lists


def encoded(value, keep, path=""):
    """A value as JSON's own types and references to arrays.

    Parameters
    ----------
    value : dict, list, tuple, ndarray, number, str, bool or None
        Nested at will.
    keep : callable
        (array, path) -> what refers to the array, of JSON's types; None if such an array cannot be kept.
    path : str, default=""
        Where the value is: names and positions, with dots between them.

    Returns
    -------
    encoded : object
        Lists and plain values as JSON's own; anything else as an object of one key that names its type.

    Raises
    ------
    TypeError
        If there is anything else in it, subclasses included: it would not come back as it was.
        Only NumPy's scalars become Python's, and arrays mapped from a file plain ones.
    """
    if isinstance(value, np.generic) and value.dtype.kind in "biufU":
        value = value.item()
    elif isinstance(value, np.memmap):
        value = np.asarray(value)
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if kind in (list, tuple):
        items = [encoded(item, keep, f"{path}.{i}") for i, item in enumerate(value)]
        return items if kind is list else {"tuple": items}
    if kind is dict:
        items = value.items()
        return {"dict": [[encoded(key, keep, path), encoded(item, keep, f"{path}.{key}")] for key, item in items]}
    if kind is np.ndarray and (reference := keep(value, path)) is not None:
        return {"array": reference}
    what = f"array of dtype {value.dtype}" if kind is np.ndarray else f"{kind.__module__}.{kind.__qualname__}"
    raise TypeError(f"A file cannot hold a value of type {what}.")


def decoded(value, array):
    """The opposite of `encoded`; `array` gives the array of a reference.

    Raises
    ------
    ValueError, TypeError, KeyError
        If the value is not what `encoded` gives.
    """
    if isinstance(value, list):
        return [decoded(item, array) for item in value]
    if not isinstance(value, dict):
        return value
    ((tag, content),) = value.items()
    if tag == "array":
        return array(content)
    return {"tuple": tuple, "dict": dict}[tag](decoded(content, array))


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


def unpack(document, arrays):
    """The state that `pack` made a document and arrays of."""
    return decoded(json.loads(document), arrays.__getitem__)


def replace_file(path, write):
    """Write a file anew; until it is whole and on the disk, the old one is there.

    Parameters
    ----------
    path : Path
    write : callable
        Called with the open binary file.

    Raises
    ------
    OSError
        If it cannot be written, or if a directory, a pipe or a device has its name. The old one is as it was.
    """
    if path.exists() and not path.is_file():  # os.replace would do away with a pipe or a device, such as /dev/null
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    temporary = path.parent / f"{path.name}.{secrets.token_hex(8)}.tmp"
    try:
        with open(temporary, "xb") as file:  # with the user's permissions, which tempfile would narrow
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    # the new name outlasts a power cut once the directory is on the disk, where the system can tell it to be
    with suppress(OSError):
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Checkpoint:
    """A file that holds the last state written to it. Only one fit at a time may write to it.

    Parameters
    ----------
    path : str or path-like
        The file; its directory must exist. A symbolic link is followed.
    every : int or timedelta
        When to write: each time that so many epochs are done, or that so much time has passed since the last write.
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
        self._file = Path(os.path.realpath(self.path))
        self._clock = clock
        self._written = clock()
        with tempfile.TemporaryFile(dir=self._file.parent):  # rather now than after an hour of training
            pass

    def due(self, epoch):
        """Whether to write after this epoch, counted from 1."""
        if isinstance(self.every, timedelta):
            return self._clock() - self._written >= self.every.total_seconds()
        return epoch % self.every == 0

    def write(self, state):
        """Put a state, of the types that `pack` takes, in the place of the last one.

        Until the new file is whole and on the disk, the old one is there. What killed writers left is removed.

        Raises
        ------
        OSError
            If the file cannot be written. The old one is as it was.
        """
        document, arrays = pack(state)
        leftover = re.compile(re.escape(self._file.name) + r"\.[0-9a-f]{16}\.tmp")
        for path in self._file.parent.iterdir():
            if leftover.fullmatch(path.name):
                path.unlink(missing_ok=True)
        text = np.frombuffer(document.encode(), np.uint8)
        replace_file(self._file, lambda file: np.savez(file, *arrays, fastmlp_checkpoint=VERSION, state=text))
        self._written = self._clock()

    def read(self):
        """The state last written, or None if there is no file.

        Raises
        ------
        ValueError
            If the file is damaged, of another version or not a checkpoint.
        OSError
            If it cannot be opened.
        """
        try:
            file = open(self._file, "rb")
        except FileNotFoundError:
            return None
        try:
            with file, NpzFile(file, allow_pickle=False) as members:
                # all of every member: an array whose damaged header tells fewer values would not be read to its CRC
                if (damaged := members.zip.testzip()) is not None:
                    raise ValueError(f"{damaged} in it is damaged")
                if (version := members["fastmlp_checkpoint"]) != VERSION:
                    raise ValueError(f"its format is version {version}, this fastmlp reads {VERSION}")
                arrays = [members[f"arr_{i}"] for i in range(len(members.files) - 2)]
                return unpack(members["state"].tobytes(), arrays)
        except MemoryError:
            raise
        except Exception as error:  # zipfile alone has a dozen for damaged files
            raise ValueError(f"{self.path!r} is not a whole checkpoint of fastmlp: {error}.") from error


def fingerprint(params, data):
    """What a checkpoint must have in common with the fit that goes on from it.

    Parameters
    ----------
    params : dict of str to object
        Constructor parameters. Numbers, strings and collections count by their values, lists as tuples; random states
        by their state; functions, methods and classes by their names; estimators by their parameters; anything
        else by its repr without addresses.
    data : dict of str to ndarray, CSR matrix or None
        Counted by shape, dtype and a hash of all values (BLAKE2b, RFC 7693).

    Returns
    -------
    dict of str to dict of str to str
        Under "params" and "data" a description for each name: those of equals are equal, in any process.
    """
    return {
        "params": {name: _description(value) for name, value in params.items()},
        "data": {name: _data_description(value) for name, value in data.items()},
    }


def check_same(stored, current, path):
    """Raise a ValueError that says in what the fingerprint stored in the checkpoint at `path` is of another fit."""
    said = [
        f"{name} was {was}, is {now}" if kind == "params" and max(len(was), len(now)) <= LONGEST else f"{name} differs"
        for kind, name, was, now in _differences(stored, current)
    ]
    if len(said) > MOST:
        said[MOST:] = [f"and {len(said) - MOST} more"]
    if said:
        raise ValueError(
            f"the checkpoint {os.fsdecode(path)!r} is of another fit: {'; '.join(said)}."
            " Give checkpoint_path another name, or remove the file."
        )


def _differences(stored, current):
    """Kind, name and both descriptions of the parameters, then of the data, in which two fingerprints differ."""
    for kind in ("params", "data"):
        for name in current[kind] | stored[kind]:
            was, now = (side[kind].get(name, "absent") for side in (stored, current))
            if was != now:
                yield kind, name, was, now


def _description(value):
    if isinstance(value, np.generic):
        value = value.item()  # a NumPy number is the same parameter as Python's
    if isinstance(value, str | int | float):  # first: there may be a million labels
        return repr(value)
    if isinstance(value, np.ndarray) or issparse(value):
        return _data_description(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_description, value))}]"
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(map(_description, value)))}}}"
    if isinstance(value, dict):
        return f"{{{', '.join(sorted(f'{_description(key)}: {_description(item)}' for key, item in value.items()))}}}"
    if isinstance(value, np.random.RandomState):
        return f"RandomState({_digest([_description(value.get_state()).encode()])})"
    if isinstance(value, functools.partial):
        return f"partial({', '.join(map(_description, (value.func, value.args, value.keywords)))})"
    if hasattr(value, "__qualname__"):
        name = f"{getattr(value, '__module__', None) or 'builtins'}.{value.__qualname__}"
        code = getattr(value, "__code__", None)
        if code is None:
            return name
        parts = (code.co_code, re.sub(r" at 0x[0-9a-fA-F]+", "", repr(code.co_consts)).encode())
        return f"{name}({_digest(parts)})"
    if hasattr(value, "get_params"):
        return f"{_description(type(value))}({_description(value.get_params(deep=False))})"
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def _data_description(value):
    if value is None:
        return "None"
    if issparse(value):
        # beyond nnz there may be room with anything in it
        parts = value.data[: value.nnz], value.indices[: value.nnz], value.indptr
        return f"{value.format} {value.shape} {' '.join(map(_data_description, parts))}"
    if value.dtype.hasobject:
        blocks = (f"{_description(item)}\n".encode() for item in value.flat)
    else:
        blocks = _blocks(value)
    return f"{value.dtype.str} {value.shape} {_digest(blocks)}"


def _blocks(array):
    """The bytes of an array's values in C order, whatever its own, without a copy of the whole."""
    flags = ["external_loop", "buffered", "zerosize_ok"]
    for chunk in np.nditer(array, flags, order="C", buffersize=max(1, BLOCK // array.itemsize)):
        yield np.ascontiguousarray(chunk).view(np.uint8)


def _digest(blocks):
    digest = blake2b(digest_size=16)
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()
