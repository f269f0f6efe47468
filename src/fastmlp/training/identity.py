"""What a fit is told apart by: its parameters and data by value, the same in any process."""

import dis
import functools
import hashlib
import importlib.machinery
import importlib.util
import os
import sys
import sysconfig
import types
from hashlib import blake2b

import numpy as np
from scipy.sparse import issparse

from .documents import require

__all__ = ["check_fingerprint", "check_same", "data_description", "fingerprint"]

BLOCK = 1 << 24  # bytes of an array that are hashed at a time
SAMPLES = 64  # blocks of an array that is not hashed whole
OBJECT_BYTES = 64  # that an object in an array counts for
LONGEST = 60  # characters of a value that an error shows
MOST = 6  # differences that an error lists
READABLE = 200  # characters of a description; a longer one is replaced by its hash

_COMPARED = {"params": "parameters", "data": "data"}
_PLAIN = (type(None), bool, int, float, complex, str, bytes, range, type(...), type(NotImplemented))
_STANDARD = tuple(os.path.realpath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib"))
_LIBRARIES = {"site-packages", "dist-packages"}
_COMPILED = tuple(importlib.machinery.EXTENSION_SUFFIXES)
_OURS = __name__.partition(".")[0]
_GLOBALS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
_VERSIONS = ("_sklearn_version", "_fastmlp_version")  # of the library, not of the value


def fingerprint(params, data):
    """What a checkpoint must have in common with the fit that goes on from it.

    Parameters
    ----------
    params : dict of str to object
        Constructor parameters. All count by value:

        - numbers, strings and collections by what is in them, lists as tuples;
        - random states by their state;
        - functions by their code, default arguments, closure, attributes and the globals that the code names, and those
          by value in turn; bound methods by the object too;
        - classes by their members, bases and metaclass; other objects by their class and state;
        - modules, and what an installed library defines, by name and version.
    data : dict of str to ndarray, CSR matrix, None or tuple
        Arrays count by shape, dtype and a hash of all values (BLAKE2b, RFC 7693), tuples as parameters do.

    Returns
    -------
    dict of str to dict of str to str
        Under "params" and "data" a description for each name: those of equals are equal, in any process.

    Raises
    ------
    ValueError
        If one holds something without a value that another process could have too, such as an open file. The sentence
        names it.
    """
    described = {"params": {}, "data": {}}
    for kind, values in (("params", params), ("data", data)):
        for name, value in values.items():
            by_value = kind == "params" or isinstance(value, tuple)
            try:
                described[kind][name] = _Describer()(value) if by_value else data_description(value)
            except (_Incomparable, RecursionError) as error:
                raise ValueError(
                    f"checkpoint_path needs {_COMPARED[kind]} that can be compared with those of another process:"
                    f" {name} holds {error}."
                ) from error
    return described


def check_fingerprint(value):
    """Raise a ValueError if a value is of no kind that `fingerprint` gives."""
    texts = isinstance(value, dict) and [value.keys(), *(side.items() for side in value.values() if type(side) is dict)]
    require(texts and len(texts) == 3 and value.keys() == {"params", "data"}, "it has no fingerprint")
    require(all(type(text) is str for side in texts[1:] for item in side for text in item), "it has no fingerprint")


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


# Arrays


def data_description(value, most=None):
    """Shape, dtype and a hash of the values of an array, whatever its layout in memory.

    Parameters
    ----------
    value : ndarray, CSR or CSC matrix, or None
    most : int, default=None
        Bytes that are hashed at most. Of more, evenly spaced blocks of this total are, the first and the last among
        them. None: all.

    Returns
    -------
    str
    """
    return _data_description(value, most, _Describer())


def _data_description(value, most, describe):
    if value is None:
        return "None"
    if issparse(value):
        # beyond nnz there may be room with anything in it
        parts = value.data[: value.nnz], value.indices[: value.nnz], value.indptr
        total = sum(part.nbytes for part in parts)
        each = [None if most is None or total <= most else most * part.nbytes // total for part in parts]
        described = (_data_description(part, n, describe) for part, n in zip(parts, each, strict=True))
        return f"{value.format} {value.shape} {' '.join(described)}"
    itemsize = OBJECT_BYTES if value.dtype.hasobject else value.itemsize
    chunks = [value] if most is None or value.size * itemsize <= most else _samples(value, max(1, most // itemsize))
    digest = blake2b(digest_size=16)
    for chunk in chunks:
        for block in _blocks(chunk) if not value.dtype.hasobject else (f"{describe(i)}\n".encode() for i in chunk.flat):
            digest.update(block)
    return f"{value.dtype.str} {value.shape} {digest.hexdigest()}"


def _samples(array, n_items):
    """Evenly spaced pieces of an array's values in C order, `n_items` in all, the first and the last among them."""
    n_pieces = min(SAMPLES, n_items)
    length = n_items // n_pieces
    for i in range(n_pieces):
        start = (array.size - length) * i // max(1, n_pieces - 1)
        yield array.flat[start : start + length]


def _blocks(array):
    """The bytes of an array's values in C order, whatever its own, without a copy of the whole."""
    flags = ["external_loop", "buffered", "zerosize_ok"]
    for chunk in np.nditer(array, flags, order="C", buffersize=max(1, BLOCK // max(1, array.itemsize))):
        yield np.ascontiguousarray(chunk).view(np.uint8)


# Anything else


class _Incomparable(Exception):
    """Says what has no value that another process could have too."""


class _Describer:
    """Values as strings; equals have equal ones, in any process.

    An object that is met again is not walked again, so cycles end and what is shared costs once.
    """

    def __init__(self):
        self._known = {}  # id -> description, or how deep the object is while it is being described
        self._kept = []  # so that no id is used anew
        self._depth = 0
        self._modules = []  # that are being described

    def __call__(self, value, names=()):
        """The description of a value; `names` are those that code asks a module for."""
        if isinstance(value, np.generic):
            value = value.item()  # a NumPy number is the same parameter as Python's
        if type(value) in _PLAIN or isinstance(value, np.generic | np.dtype):
            return repr(value)
        if isinstance(value, types.ModuleType):
            return self._of_module(value, names)
        known = self._known.get(id(value))
        if known is not None:
            return known if isinstance(known, str) else f"<{self._depth - known} up>"
        self._known[id(value)] = self._depth
        self._kept.append(value)
        self._depth += 1
        described = self._described(value)
        if len(described) > READABLE:
            described = f"{described[: LONGEST // 2]}... {_digest(described)}"
        self._depth -= 1
        self._known[id(value)] = described
        return described

    def _described(self, value):
        kind = type(value)
        if kind in (np.ndarray, np.memmap) or (issparse(value) and value.format in ("csr", "csc")):
            return _data_description(value, None, self)
        if kind in (list, tuple):
            return f"[{', '.join(map(self, value))}]"
        if kind in (set, frozenset):
            return f"{{{', '.join(sorted(map(self, sorted(value, key=_sortable))))}}}"
        if kind in (dict, types.MappingProxyType):
            return self._of_items(value.items())
        if isinstance(value, np.random.RandomState):
            return f"RandomState({_digest(self(value.get_state(legacy=False)))})"
        for kinds, describe in _BY_KIND:
            if isinstance(value, kinds):
                return describe(self, value)
        return self._of_object(value)

    def _of_items(self, items):
        """Pairs in any order."""
        items = sorted(((self(key), value) for key, value in items), key=lambda item: item[0])
        return f"{{{', '.join(f'{key}: {self(value)}' for key, value in items)}}}"

    # What has a name

    def _of_module(self, module, names=()):
        """A module by name and version; one of the user's own by what code asks it for."""
        name = module.__name__
        if _is_installed(module):
            return f"{name}{_version(module)}"
        asked = sorted(set(names) & vars(module).keys())
        if not asked or module in self._modules:
            return name
        self._modules.append(module)
        described = ", ".join(f"{key}={self(vars(module)[key], names)}" for key in asked)
        self._modules.pop()
        return f"{name}({_digest(described)})"

    def _named(self, value, name):
        """A function or class by its name, if an installed library has it under this name; else None."""
        module = getattr(value, "__module__", None) or getattr(type(value), "__module__", None)
        home = sys.modules.get(module) if isinstance(module, str) else None
        if home is None or not isinstance(name, str) or not _is_installed(home):
            return None
        found = home
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is not value:
            return None
        return f"{module}.{name}{_version(home)}"

    def _of_class(self, kind):
        if (named := self._named(kind, kind.__qualname__)) is not None:
            return named
        members = {
            name: member
            for name, member in vars(kind).items()
            if name != "__slots__"
            and not name.startswith("_abc_")
            and (not _is_dunder(name) or isinstance(member, types.FunctionType | staticmethod | classmethod))
            and not isinstance(member, types.MemberDescriptorType | types.GetSetDescriptorType)
        }
        bases = ", ".join(map(self, (*kind.__bases__, *{type(kind)} - {type})))
        return f"{_name(kind)}({_digest(f'{bases}; {self._of_items(members.items())}')})"

    def _of_function(self, function):
        if (named := self._named(function, function.__qualname__)) is not None:
            return named
        code, asked = function.__code__, set()
        parts = [self._of_code(code, asked)]
        names = sorted(_names_in(code))
        cells = {}
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            try:
                cells[name] = self(cell.cell_contents, names)
            except ValueError:  # not yet assigned
                cells[name] = "empty"
        found = {}
        for name in sorted(asked):
            if name in function.__globals__:
                found[name] = self(function.__globals__[name], names)
            elif name not in vars(sys.modules["builtins"]):
                found[name] = "missing"
        parts += [str(sorted(side.items())) for side in (cells, found)]
        held = function.__defaults__, function.__kwdefaults__, vars(function)
        parts += [self(part) for part in held]
        parts += [self(module, names) for module in _imported(code, function.__globals__)]
        return f"{_name(function)}({_digest(*parts)})"

    def _of_code(self, code, asked):
        """Bytecode with its constants and names; adds the globals that it reads to `asked`."""
        asked.update(each.argval for each in dis.get_instructions(code) if each.opname in _GLOBALS)
        constants = [
            self._of_code(part, asked) if isinstance(part, types.CodeType) else self(part) for part in code.co_consts
        ]
        names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
        counts = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags
        return _digest(code.co_code.hex(), code.co_exceptiontable.hex(), *constants, repr((names, counts)))

    def _of_builtin(self, function):
        owner = function.__self__
        if owner is None or isinstance(owner, types.ModuleType):
            return self._of_descriptor(function)
        return f"{self(owner)}.{function.__name__}"

    def _of_descriptor(self, function):
        """What is written in C, and so has no state."""
        home = getattr(function, "__objclass__", None)
        if home is not None:
            return f"{self(home)}.{function.__name__}"
        module = sys.modules.get(function.__module__)
        return f"{_name(function)}{'' if module is None else _version(module)}"

    def _of_ufunc(self, function):
        name = function.__name__
        for module in ("numpy", "scipy.special"):
            if getattr(sys.modules.get(module), name, None) is function:
                return f"{module}.{name}{_version(sys.modules[module])}"
        raise _Incomparable(f"the ufunc {name!r}, which is neither NumPy's nor SciPy's")

    # What has a state

    def _of_partial(self, partial):
        described = ", ".join(map(self, (partial.func, partial.args, partial.keywords)))
        more = f", {self(vars(partial))}" if vars(partial) else ""
        return f"{'' if type(partial) is functools.partial else self(type(partial))}partial({described}{more})"

    def _of_cache(self, function):
        return f"cache({self(function.__wrapped__)}, {self(function.cache_parameters())})"

    def _of_property(self, value):
        return f"property({', '.join(map(self, (value.fget, value.fset, value.fdel)))})"

    def _of_object(self, value):
        """An object by its class and its state: all attributes, and what `pickle` would keep."""
        kind = type(value)
        what = f"an object of {kind.__module__}.{kind.__qualname__}"
        try:
            reduced = value.__reduce_ex__(4)
        except Exception as error:
            raise _Incomparable(f"{what}, which has no value") from error
        if isinstance(reduced, str):
            if (named := self._named(value, reduced)) is None:
                raise _Incomparable(f"{what}, which has a name alone")
            return named
        maker, args, state, items, pairs = (*reduced, None, None, None)[:5]
        if isinstance(state, dict):
            state = {name: kept for name, kept in state.items() if name not in _VERSIONS}
        described = [self(kind), self(maker), self(list(args)), self(state)]
        described += [self(list(items)) if items is not None else "", self(list(pairs)) if pairs is not None else ""]
        if self._named(kind, kind.__qualname__) is None:  # whatever it tells pickle, its code reads these
            attributes = dict(getattr(value, "__dict__", {}))
            for base in kind.__mro__:
                for name, member in vars(base).items():
                    if isinstance(member, types.MemberDescriptorType) and hasattr(value, name):
                        attributes[f"{base.__qualname__}.{name}"] = member.__get__(value)
            described.append(self(attributes))
        return f"{described[0]}({_digest(*described[1:])})"


_BY_KIND = (
    (type, _Describer._of_class),
    (types.FunctionType, _Describer._of_function),
    (types.CodeType, lambda describe, code: describe._of_code(code, set())),
    (types.MethodType, lambda describe, method: f"{describe(method.__func__)} of {describe(method.__self__)}"),
    ((types.BuiltinFunctionType, types.MethodWrapperType), _Describer._of_builtin),
    (
        (types.MethodDescriptorType, types.WrapperDescriptorType, types.ClassMethodDescriptorType),
        _Describer._of_descriptor,
    ),
    (np.ufunc, _Describer._of_ufunc),
    (functools.partial, _Describer._of_partial),
    (functools._lru_cache_wrapper, _Describer._of_cache),
    ((staticmethod, classmethod), lambda describe, method: f"{type(method).__name__}({describe(method.__func__)})"),
    (property, _Describer._of_property),
    (functools.cached_property, lambda describe, value: f"cached_property({describe(value.func)})"),
)


def _name(value):
    return f"{getattr(value, '__module__', None) or 'builtins'}.{value.__qualname__}"


def _is_dunder(name):
    return name.startswith("__") and name.endswith("__")


def _sortable(value):
    """Orders the members of a set alike in any process, as far as their kinds have an order."""
    return type(value).__name__, repr(value) if type(value) in _PLAIN else getattr(value, "__qualname__", "")


def _is_installed(module):
    """Whether what a module has counts by name and version: of Python, of an installed library, or compiled."""
    name, file = module.__name__, getattr(module, "__file__", None)
    if name == "__main__":
        return False
    return name.partition(".")[0] == _OURS or _is_of_library(file or getattr(module.__spec__, "origin", None))


@functools.cache
def _is_of_library(origin):
    if origin is None or origin in ("built-in", "frozen"):
        return origin is not None
    path = os.path.realpath(origin)
    folders = path.split(os.sep)
    return path.startswith(_STANDARD) or path.endswith(_COMPILED) or not _LIBRARIES.isdisjoint(folders)


@functools.cache
def _version(module):
    """Behind a space the version of a module's library; of a compiled one that has none, a hash of its file."""
    version = getattr(sys.modules.get(module.__name__.partition(".")[0]), "__version__", None)
    if isinstance(version, str):
        return f" {version}"
    file = getattr(module, "__file__", None)
    if file is None or not file.endswith(_COMPILED) or os.path.realpath(file).startswith(_STANDARD):
        return ""
    with open(file, "rb") as opened:
        return f" {hashlib.file_digest(opened, 'blake2b').hexdigest()[:32]}"


def _names_in(code):
    """Names of globals and attributes in code, and in the code within it."""
    return set(code.co_names).union(*(_names_in(part) for part in code.co_consts if isinstance(part, types.CodeType)))


def _imported(code, namespace):
    """The user's own modules that code imports when it runs."""
    for each in dis.get_instructions(code):
        if each.opname == "IMPORT_NAME":
            if (module := _module(each.argval, namespace)) is not None:
                yield module
    for part in code.co_consts:
        if isinstance(part, types.CodeType):
            yield from _imported(part, namespace)


def _module(name, namespace):
    """A module of the user's own, by the name in an import statement; None for any other."""
    for full in (name, f"{namespace.get('__package__') or ''}.{name}".strip(".")):
        try:
            spec = importlib.util.find_spec(full.partition(".")[0])
            if spec is not None and not _is_of_library(spec.origin):
                return importlib.import_module(full)
        except Exception:  # whatever it is, the code will meet it when it runs
            continue
    return None


def _digest(*texts):
    digest = blake2b(digest_size=16)
    for text in texts:
        digest.update(f"{len(text)} {text}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
