"""Estimators as files that hold data and nothing that runs: safetensors for the arrays, JSON for the rest.

A file is one safetensors container. Its metadata has one entry, "fastmlp", a JSON document; the arrays that it refers
to are tensors named by where they belong: ``coefs_.0``, ``intercepts_.0``, ``loss_curve_``. The document begins
with the version of the format, a BLAKE2b (RFC 7693) of the whole file with zeros in its own place, and the size of all
arrays, so that a file can be judged by its first bytes and its size before anything else is read or allocated.
"""

import json
import os
import re
import stat
import warnings
from hashlib import blake2b

import numpy as np

from ..training.arrays import physical_memory
from ..training.disk import replace_file
from ..training.documents import TooLargeError, decoded, encoded, parsed, require
from . import ESTIMATORS
from .states import state_of

__all__ = ["RefusedError", "read", "write"]

VERSION = 1  # of the format
MOST_HEADER = 1 << 25  # bytes of the container's header, and so of the document
MOST_TENSORS = 1 << 16
MOST_LABELS = 1 << 26  # bytes of an array of strings, which a single long one makes much larger than the file
LONGEST = 500  # characters of what is wrong with a file

_MAGIC = b'{"__metadata__":{"fastmlp":"{\\"version\\":'
_START = re.compile(rb'(\d{1,18}),(?:\\"blake2b\\":\\"([0-9a-f]{64})\\",\\"data_bytes\\":(\d{1,18}),)?')
_FIRST_BYTES = 8 + len(_MAGIC) + 18 + len(b',\\"blake2b\\":\\"\\",\\"data_bytes\\":') + 64 + 18 + 1
_NO_DIGEST = b"0" * 64


def _safetensors():
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError('Files need safetensors: pip install "fastmlp[files]".') from error
    return safetensors.numpy


class RefusedError(ValueError):
    """Says what a file is that is not read, "is truncated: ..."; anything else raised means that it is corrupt."""


def write(estimator, path, make):
    """Write an estimator to a file, once it is seen that it comes back; see `SaveMixin.save`.

    Parameters
    ----------
    estimator : object
        Of one of `ESTIMATORS`.
    path : str or path-like
    make : callable
        As `read` takes it.
    """
    name, own = type(estimator).__name__, f"{type(estimator).__module__}.{type(estimator).__qualname__}"
    if ESTIMATORS.get(name) != own:
        raise TypeError(
            f"{own} cannot be saved: a file can only be of {' or '.join(ESTIMATORS)} itself, not of a class derived"
            " from it."
        )
    path = os.fsdecode(path)
    content, left_out = _written(estimator)
    try:
        _read(content, make)
    except ValueError as error:  # rather now than when it is needed
        raise ValueError(f"{name} cannot be saved: {error.__cause__ or error}") from error
    replace_file(path, lambda file: file.write(content))
    if left_out:
        warnings.warn(f"Not saved, because a file holds nothing but data: {', '.join(left_out)}.", stacklevel=3)


def read(path, make):
    """Read a file that `write` wrote, whoever did; see `fastmlp.load`.

    Parameters
    ----------
    path : str or path-like
    make : callable
        (name of the class, parameters, fitted attributes) -> the estimator; raises an error if they are not one.

    Returns
    -------
    estimator : object
        What `make` gives.
    """
    _safetensors()
    path = os.fsdecode(path)
    try:
        # looked at first: opening a pipe would wait for its other end
        if not stat.S_ISREG(mode := os.stat(path).st_mode) and not stat.S_ISDIR(mode):
            raise RefusedError("is not a fastmlp file: it is not a regular file.")
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            first = file.read(_FIRST_BYTES)
            _check_first(first, size)
            file.seek(0)
            content = file.read(size)
        return _read(content, make)
    except MemoryError as error:
        raise ValueError(f"{path!r} is too large: it takes more memory than there is.") from error
    except ValueError as error:
        raise ValueError(f"{path!r} {error}") from error


# Writing


def _written(estimator):
    """The content of an estimator's file, and the names of what cannot be in it."""
    tensors = {}

    def keep(array, path):
        kind = array.dtype.kind
        if kind in "UO":
            if array.ndim != 1 or array.nbytes > MOST_LABELS or not all(isinstance(item, str) for item in array):
                return None
            return {"strings": list(map(str, array)), "dtype": "object" if kind == "O" else array.dtype.str}
        if kind not in "biuf" or array.itemsize > 8 or path in tensors:
            return None
        tensors[path] = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
        return [path, ">"] if array.dtype.str.startswith(">") else path

    def held(values, within=""):
        written = {}
        for name, value in values.items():
            try:
                written[name] = encoded(value, keep, within + name)
            except TypeError as error:
                raise TypeError(f"{name} cannot be saved: {error}") from error
        return written

    state, left_out = state_of(estimator)
    params, fitted = held(state["params"], "params."), held(state["fitted"])
    size = sum(tensor.nbytes for tensor in tensors.values())
    document = {"version": VERSION, "blake2b": _NO_DIGEST.decode(), "data_bytes": size}
    document |= {"class": state["class"], "params": params, "fitted": fitted}
    # safetensors writes several entries in any order: with one the same estimator always makes the same bytes
    metadata = {"fastmlp": json.dumps(document, separators=(",", ":"))}
    content = bytearray(_safetensors().save(tensors, metadata))
    start = _START.match(content, 8 + len(_MAGIC)).start(2)
    content[start : start + 64] = _digest(content, start).encode()
    return bytes(content), left_out


def _digest(content, start):
    """BLAKE2b of a file's content, the 64 digits of its own from `start` on taken for zeros."""
    view = memoryview(content)
    digest = blake2b(view[:start], digest_size=32)
    digest.update(_NO_DIGEST)
    digest.update(view[start + 64 :])
    return digest.hexdigest()


# Reading


def _check_first(first, size):
    """The length of the header, and where the digest is, of a file of `size` bytes that begins with `first`.

    Raises
    ------
    ValueError
        If it is not read: that is told before anything of its size is allocated.
    """
    magic = first[8 : 8 + len(_MAGIC)]
    if not _MAGIC.startswith(magic):
        raise RefusedError("is not a fastmlp file: it does not begin as one.")
    start = _START.match(first, 8 + len(_MAGIC))
    if start is not None and int(start[1]) > VERSION:
        raise RefusedError(
            f"was written by a newer version: its format is version {int(start[1])}, this fastmlp reads up to"
            f" {VERSION}."
        )
    if start is None or start[2] is None or int(start[1]) != VERSION:
        if size < _FIRST_BYTES:
            raise RefusedError(f"is truncated: it has only {size} bytes.")
        raise RefusedError("is corrupt: its beginning is damaged.")
    header, data = int.from_bytes(first[:8], "little"), int(start[3])
    if header > MOST_HEADER:
        raise RefusedError(f"is too large: its header has {header} bytes, {MOST_HEADER} are allowed.")
    expected = 8 + header + data
    if size < expected:
        raise RefusedError(f"is truncated: it has {size} bytes of {expected}.")
    if size > expected:
        raise RefusedError(f"is corrupt: it has {size} bytes and should have {expected}.")
    if size > (memory := physical_memory()):
        raise RefusedError(f"is too large: it has {size} bytes, this machine's memory {memory}.")
    return header, start.start(2)


def _read(content, make):
    """The estimator of a file's content."""
    header, start = _check_first(content, len(content))
    try:
        require(_digest(content, start).encode() == content[start : start + 64], "its checksum does not match")
        text = content[8 : 8 + header].decode()
        document, end = json.JSONDecoder().raw_decode(text, _MAGIC.index(b'"{'))
        if text.count("{", end) > MOST_TENSORS:  # one for each, which no escape hides
            raise RefusedError(f"is too large: it has more than {MOST_TENSORS} arrays.")
        return make(*_parts(parsed(document), _safetensors().load(content)))
    except (RefusedError, MemoryError):
        raise
    except TooLargeError as error:
        raise RefusedError(f"is too large: {error}.") from error
    except Exception as error:  # of JSON, safetensors, NumPy, scikit-learn and our own checks
        said = str(error)
        raise RefusedError(f"is corrupt: {said if len(said) <= LONGEST else said[:LONGEST] + '...'}") from error


def _parts(document, tensors):
    """The class, parameters and fitted attributes of a document, with the tensors that it refers to, each once."""
    names = ["version", "blake2b", "data_bytes", "class", "params", "fitted"]
    require(list(document) == names, f"its document has {list(document)}, not {names}")

    def array(reference):
        if isinstance(reference, dict):
            return _strings(**reference)
        name, order = (reference, "<") if isinstance(reference, str) else reference
        require(isinstance(name, str) and name in tensors, f"there is no array {name!r} left")
        require(order in ("<", ">"), f"{name} has byte order {order!r}")
        values = tensors.pop(name)
        require(values.dtype.kind in "biuf", f"{name} has dtype {values.dtype}")
        if values.dtype == bool:
            require((values.view(np.uint8) <= 1).all(), f"{name} is not of bools")
        return values.astype(values.dtype.newbyteorder(order), copy=False)

    params, fitted = (
        {name: decoded(value, array) for name, value in document[part].items()} for part in ("params", "fitted")
    )
    require(not tensors, f"nothing refers to its arrays {sorted(tensors)[:3]}")
    return document["class"], params, fitted


def _strings(strings, dtype):
    """An array of strings, of dtype object or as wide as it was."""
    require(isinstance(strings, list) and all(isinstance(item, str) for item in strings), "labels are not strings")
    if dtype == "object":
        return np.array(strings, dtype=object)
    width = re.fullmatch("[<>]U([0-9]{1,9})", dtype)
    require(width is not None, f"labels have dtype {dtype!r}")
    width = int(width[1])
    require(4 * width * len(strings) <= MOST_LABELS, f"labels take more than {MOST_LABELS} bytes")
    require(width >= max(map(len, strings), default=0), f"labels are longer than their dtype {dtype!r}")
    return np.array(strings, dtype=dtype)
