"""What a fit is told apart by: equals have equal descriptions in any process, and nothing else has."""

import collections
import enum
import fractions
import functools
import hashlib
import importlib
import json
import math
import operator
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest
from scipy.sparse import coo_array, csr_array, csr_matrix
from sklearn.linear_model import Ridge
from sklearn.metrics import fbeta_score, make_scorer
from sklearn.pipeline import make_pipeline

import fastmlp
from fastmlp.training import identity as module
from fastmlp.training.checkpoint import Checkpoint
from fastmlp.training.identity import _differences, check_same, data_description, fingerprint


def _names(stored, current):
    """What two fingerprints differ in."""
    return [name for _, name, _, _ in _differences(stored, current)]


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


# Callables count by all that they read

RATE = 0.1
TABLE = {"rate": [0.1]}


def _reads_a_global(step):
    return RATE


def _reads_within(step):
    return [TABLE["rate"][0] for _ in range(2)]


def _calls_another(step):
    return _reads_a_global(step) + (_calls_another(step - 1) if step else 0)


class _Held:
    kind = "held"

    def __init__(self, rate):
        self.rate = rate

    def __call__(self, step):
        return self.rate

    def at(self, step):
        return self.rate


class _Slotted:
    __slots__ = ("__rate",)

    def __init__(self, rate):
        self.__rate = rate

    def __call__(self, step):
        return self.__rate


class _TellsPickleNothing(_Held):
    def __getstate__(self):
        return {}


class _Listed(list):
    def __call__(self, step):
        return self[0]


def _compiled(source, **names):
    """A function or class of another source text."""
    space = {"__name__": "user_script", **names}
    exec(source, space)
    return space["f"]


def _closing_over(value):
    return lambda step: value


def _twice(function):
    @functools.wraps(function)
    def wrapper(step):
        return 2 * function(step)

    return wrapper


def _with_attribute(value):
    def function(step):
        return function.rate

    function.rate = value
    return function


def _empty_cell():
    def function():
        return later

    if function is None:
        later = 1
    return function


# a callable for a value
CALLABLES = {
    "constant": lambda v: _compiled(f"def f(step): return {v}"),
    "nested constant": lambda v: _compiled(f"def f(step): return (lambda: {v})()"),
    "name": lambda v: _compiled(f"def f(step): return a{v if v == 1 else 2}", a1=0, a2=0),
    "default": lambda v: _compiled(f"def f(step, rate={v}): return rate"),
    "keyword default": lambda v: _compiled(f"def f(step, *, rate={v}): return rate"),
    "closure": _closing_over,
    "closure of a closure": lambda v: _closing_over(_closing_over(v)),
    "array in a closure": lambda v: _closing_over(np.full(5, v)),
    "global": lambda v: _compiled("def f(step): return rate", rate=v),
    "global of a global": lambda v: _compiled("def f(step): return g()", g=_closing_over(v)),
    "global in a comprehension": lambda v: _compiled("def f(step): return [rate for _ in range(3)]", rate=v),
    "attribute": _with_attribute,
    "decorated": lambda v: _twice(_closing_over(v)),
    "cached": lambda v: functools.lru_cache(_closing_over(v)),
    "size of a cache": lambda v: functools.lru_cache(maxsize=int(10 * v))(_reads_a_global),
    "partial": lambda v: functools.partial(_closing_over(v)),
    "argument of a partial": lambda v: functools.partial(max, v),
    "object": _Held,
    "slots": _Slotted,
    "object that tells pickle nothing": _TellsPickleNothing,
    "list with a call": lambda v: _Listed([v]),
    "bound method": lambda v: _Held(v).at,
    "bound method of C": lambda v: [v].count,
    "method of a class": lambda v: _compiled(f"class f:\n  def at(self): return {v}")().at,
    "member of a class": lambda v: _compiled(f"class f:\n  rate = {v}\n  def __call__(self): return self.rate")(),
    "property": lambda v: _compiled(f"class f:\n  @property\n  def rate(self): return {v}")(),
    "cached property": lambda v: _compiled(
        f"import functools\nclass f:\n  @functools.cached_property\n  def rate(self): return {v}"
    )(),
    "base class": lambda v: _compiled("class f(base): pass", base=_compiled(f"class f:\n  rate = {v}"))(),
    "class of a class": lambda v: (
        _compiled(
            "class f(metaclass=kind):\n  def at(self): return type(self).rate",
            kind=_compiled(f"class f(type):\n  rate = {v}"),
        )().at
    ),
    "static method": lambda v: _compiled(f"class f:\n  @staticmethod\n  def at(): return {v}").at,
    "class": lambda v: _compiled(f"class f:\n  def at(self): return {v}"),
    "scorer": lambda v: make_scorer(_closing_over(v)),
    "option of a scorer": lambda v: make_scorer(fbeta_score, beta=v),
    "sign of a scorer": lambda v: make_scorer(fbeta_score, greater_is_better=v == 1),
    "response of a scorer": lambda v: make_scorer(
        fbeta_score, response_method="predict" if v == 1 else "predict_proba"
    ),
    "fitted estimator": lambda v: Ridge().fit([[0.0], [1.0]], [0.0, v]).predict,
    "random numbers": lambda v: np.random.RandomState(int(10 * v)).uniform,
    "generator of random numbers": lambda v: np.random.default_rng(int(10 * v)).uniform,
    "frame": lambda v: _closing_over(pytest.importorskip("pandas").DataFrame({"a": [v]})),
    "vectorized": lambda v: np.vectorize(_closing_over(v)),
    "getter": lambda v: operator.itemgetter(v),
    "sparse": lambda v: _closing_over(coo_array([[0.0, v]])),
    "masked": lambda v: _closing_over(np.ma.masked_array([1.0, 2.0], [v == 1, True])),
    "defaults of a dict": lambda v: _closing_over(collections.defaultdict(float, a=v)),
    "queue": lambda v: _closing_over(collections.deque([v])),
    "enumeration": lambda v: _closing_over(enum.Enum("E", {"a": v})["a"]),
    "named tuple": lambda v: _closing_over(collections.namedtuple("P", "x")(v)),
    "fraction": lambda v: _closing_over(fractions.Fraction(v)),
    "class of data": lambda v: _compiled(
        f"from dataclasses import dataclass\n@dataclass\nclass f:\n  x: float = {v}\n  def __call__(self): return 1"
    )(),
}


@pytest.mark.parametrize("kind", CALLABLES)
def test_callables_by_all_that_they_read(kind):
    make = CALLABLES[kind]
    held = make(0.5)
    described = _described(held)
    assert described == _described(held) == _described(make(0.5))
    assert described != _described(make(1))
    assert len(described) <= module.READABLE and "0x" not in described


def test_globals_as_they_are_when_asked(monkeypatch):
    before = list(map(_described, (_reads_a_global, _calls_another, _reads_within)))
    assert before == list(map(_described, (_reads_a_global, _calls_another, _reads_within)))
    monkeypatch.setitem(globals(), "RATE", 0.2)
    after = list(map(_described, (_reads_a_global, _calls_another, _reads_within)))
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, False, True]
    monkeypatch.setitem(TABLE, "rate", [0.3])
    assert _described(_reads_within) != before[2]
    # what code does not name is not part of it
    monkeypatch.setitem(globals(), "rate", 3)
    assert _described(_reads_a_global) == after[0]


def test_what_refers_to_itself_ends():
    ring = [1]
    ring.append(ring)
    other = [2]
    other.append(other)
    assert _described(_closing_over(ring)) == _described(_closing_over(ring)) != _described(_closing_over(other))
    held = _Held(1)
    held.rate = held.at
    _described(held)
    deep = []
    for _ in range(60):
        deep = [deep, deep]
    assert len(_described(deep)) <= module.READABLE
    _described(_empty_cell())


@pytest.fixture
def user_module(tmp_path, monkeypatch):
    """Makes the same module anew from another text."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(text):
        sys.modules.pop("settings_of_user", None)
        (tmp_path / "settings_of_user.py").write_text(text)
        importlib.invalidate_caches()
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
        return importlib.import_module("settings_of_user")

    yield make
    sys.modules.pop("settings_of_user", None)


READERS = {
    "by attribute": "def f(step): return s.RATE",
    "imported": "def f(step):\n  import settings_of_user\n  return settings_of_user.RATE",
    "from": "def f(step):\n  from settings_of_user import RATE\n  return RATE",
    "by a function": "def f(step): return s.rate()",
}


@pytest.mark.parametrize("reader", READERS)
def test_modules_of_the_user_count_by_what_is_read(reader, user_module):
    found = []
    for rate, other in ((0.1, 1), (0.1, 2), (0.2, 2)):
        settings = user_module(f"import settings_of_user\nRATE = {rate}\nOTHER = {other}\ndef rate(): return RATE")
        found.append(_described(_compiled(READERS[reader], s=settings)))
    assert found[0] == found[1] != found[2]


def test_installed_modules_count_by_name_and_version(monkeypatch):
    function = _compiled("def f(step): return np.mean(math.exp(step))", np=np, math=math)
    before = _described(function), _described(np.mean), _described(np), _described(np.tanh)
    monkeypatch.setattr(np, "__version__", "0.1")
    module._version.cache_clear()
    after = _described(function), _described(np.mean), _described(np), _described(np.tanh)
    module._version.cache_clear()
    assert all(a != b for a, b in zip(before, after, strict=True))
    assert after[1:] == ("numpy.mean 0.1", "numpy 0.1", "numpy.tanh 0.1")
    assert _described(math) == "math" and _described(math.exp) == "math.exp"
    assert _described(fastmlp.MLPClassifier) == f"fastmlp.estimators.classifier.MLPClassifier {fastmlp.__version__}"


def _generates():
    yield 1


NO_VALUE = {
    "open file": lambda: open(os.devnull),
    "generator": _generates,
    "lock": threading.Lock,
    "reference": lambda: weakref.ref(_Held(1)),
    "memory": lambda: memoryview(b"a"),
    "ufunc of a function": lambda: np.frompyfunc(_reads_a_global, 1, 1),
    "object of C": lambda: socket.socket(),
    "iterator over a generator": lambda: map(str, _generates()),
}


@pytest.mark.parametrize("kind", NO_VALUE)
@pytest.mark.parametrize("around", [lambda v: v, _closing_over, _Held, lambda v: _Held(v).at, lambda v: [{"a": v}]])
def test_what_has_no_value_is_refused_by_name(kind, around):
    value = NO_VALUE[kind]()
    try:
        with pytest.raises(ValueError, match="checkpoint_path needs parameters .*: scoring holds "):
            fingerprint({"alpha": 1.0, "scoring": around(value)}, {})
    finally:
        if hasattr(value, "close"):
            value.close()


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
import functools, json, sys
import numpy as np
from sklearn.metrics import make_scorer
from fastmlp.training.identity import fingerprint
labels = np.array([f"label {i}" for i in range(100)], dtype=object)
class Held:
    def __init__(self, value): self.value = value
    def __call__(self, step): return [other(step) for other in functions], self.value
def scheduled(step, names=frozenset(map(str, range(50)))): return Held(names)(step) if step in {"a", "b", "c"} else 1
functions = {scheduled, Held, len, lambda: 1}
params = {"set": set(map(str, range(50))), "object": object(), "rng": np.random.RandomState(0), "function": scheduled}
params |= {"held": Held(functions), "method": Held(object()).__call__, "partial": functools.partial(scheduled, 1)}
params |= {"scorer": make_scorer(lambda y, p: functions), "ufunc": np.exp}
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


def _hashed(content):
    return hashlib.blake2b(content, digest_size=16).hexdigest()


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
    assert expected.endswith(_hashed(array.tobytes()))
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
    blocks = module._blocks
    monkeypatch.setattr(module, "_blocks", lambda array: (sizes.append(b.nbytes) or b for b in blocks(array)))
    monkeypatch.setattr(module, "BLOCK", 1 << 20)
    _data(large)
    assert sum(sizes) == large.nbytes and max(sizes) <= 1 << 20


@pytest.mark.parametrize("size", [1000, 1001, 8191, 8192, 8193, 100_000])
def test_a_bounded_hash_is_of_evenly_spaced_blocks(size):
    array = np.random.RandomState(0).randint(256, size=size).astype(np.uint8)
    described = data_description(array, most=8192)
    whole = data_description(array)
    if size <= 8192:
        assert described == whole
        return
    starts = [(size - 128) * i // 63 for i in range(64)]
    assert starts[0] == 0 and starts[-1] == size - 128
    assert described.endswith(_hashed(b"".join(array[start : start + 128].tobytes() for start in starts)))
    for layout in (np.repeat(array, 2)[::2], array[::-1].copy()[::-1]):
        assert data_description(layout, most=8192) == described
    wide = np.zeros((size, 2), np.uint8, order="F")
    wide[-1, -1] = 1
    assert data_description(wide, most=64) != data_description(np.zeros_like(wide), most=64)


def test_a_bound_holds_for_all_parts_of_a_csr_matrix(monkeypatch):
    X = csr_matrix(np.random.RandomState(0).binomial(1, 0.2, (500, 100)) * 1.5)
    sizes = []
    blocks = module._blocks
    monkeypatch.setattr(module, "_blocks", lambda array: (sizes.append(b.nbytes) or b for b in blocks(array)))
    described = data_description(X, most=10_000)
    assert 9_000 < sum(sizes) <= 10_000
    assert described == data_description(X.copy(), most=10_000) != data_description(X)


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
