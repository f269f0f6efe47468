"""The file that a fit can go on from: written whole or not at all, and refused by any other fit."""

import json
import os
import time
from datetime import timedelta
from numbers import Integral

import numpy as np
from numpy.lib.npyio import NpzFile

from .disk import check_regular, check_writable, replace_file

__all__ = ["Checkpoint", "decoded", "encoded", "pack", "unpack"]

VERSION = 2  # of the file's format


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
        self._file = os.path.abspath(self.path)  # the working directory may change while a fit goes on
        self._clock = clock
        self._written = clock()
        check_writable(self._file)  # rather now than after an hour of training

    def due(self, epoch):
        """Whether to write after this epoch, counted from 1."""
        if isinstance(self.every, timedelta):
            return self._clock() - self._written >= self.every.total_seconds()
        return epoch % self.every == 0

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

    def read(self):
        """The state last written, or None if there is no file or an empty one.

        Raises
        ------
        ValueError
            If the file is damaged, of another version or not a checkpoint.
        OSError
            If it cannot be opened.
        """
        status = check_regular(self._file)
        if status is None or status.st_size == 0:  # as `mktemp` makes them, and those who mount a single file
            return None
        file = open(self._file, "rb")
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
