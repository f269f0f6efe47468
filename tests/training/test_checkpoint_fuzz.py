"""Checkpoints changed at random: each is refused with a sentence, or the fit goes on from it; nothing crashes or hangs.

FASTMLP_FUZZ_FILES=20000 python -m pytest tests/training/test_checkpoint_fuzz.py -s    tries so many, others every time.
"""

import collections
import copy
import functools
import io
import os
import tempfile
import warnings
import zipfile

import fuzzing
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastmlp import MLPClassifier, MLPRegressor, TabularMLPClassifier, TabularMLPRegressor
from fastmlp.training.checkpoint import Checkpoint

SECONDS = 20  # that a fit may take, on a machine that is busy
BYTES = 1 << 24  # that it may take
OUTCOMES = collections.Counter()
fuzzed = fuzzing.fuzzed(n_tests=3, n_examples=100)
RNG = np.random.RandomState(0)
X = RNG.standard_normal((24, 3))
CODES = np.arange(24) % 3


class _StopError(Exception):
    pass


def _stop(estimator, epoch, metrics):
    if epoch == 3 and metrics.get("member") in (None, 2):
        raise _StopError


COMMON = {"hidden_layer_sizes": (2,), "max_iter": 5, "random_state": 0, "batch_size": 7}
TABULAR = {"n_members": 4, "random_state": 0, "n_jobs": 1, "max_iter": 5, "recipe": {"hidden_layer_sizes": (2,)}}
FITS = [
    (MLPClassifier, {}, CODES),
    (MLPClassifier, {"early_stopping": True, "validation_fraction": 0.3, "solver": "nadam", "dropout": 0.2}, CODES),
    (MLPClassifier, {"shuffle": False, "solver": "sgd", "lr_schedule": "plateau", "dtype": "float32"}, CODES > 0),
    (MLPRegressor, {"solver": "schedule_free_adamw", "early_stopping": True, "scoring": "loss"}, X[:, :2]),
    (TabularMLPClassifier, {"time_limit": 1000}, CODES),
    (TabularMLPRegressor, {"n_members": 12, "random_state": None}, X[:, :2]),
]


def _fit(number, path, callbacks=None):
    kind, params, y = FITS[number]
    given = {"X_val": X[:9], "y_val": y[:9]} if "scoring" in params else {}
    common = TABULAR if kind in (TabularMLPClassifier, TabularMLPRegressor) else COMMON
    return kind(**{**common, **params}, checkpoint_path=path, callbacks=callbacks).fit(X, y, **given)


@functools.cache
def corpus():
    """Contents of checkpoints of each of the fits, and their states."""
    found = []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(len(FITS)):
            path = os.path.join(folder, str(number))
            with pytest.raises(_StopError):
                _fit(number, path, _stop)
            with open(path, "rb") as file:
                found.append((file.read(), Checkpoint(path, 1).read()))
    return found


@pytest.fixture(scope="module", autouse=True)
def summary():
    yield from fuzzing.summary(OUTCOMES)


def judge(number, content):
    """Go on from a content; what is accepted trains to its end, or to weights that are not finite."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        path = os.path.join(folder, "checkpoint")
        with open(path, "wb") as file:
            file.write(content)
        with fuzzing.within(BYTES, SECONDS, OUTCOMES):
            try:
                model = _fit(number, path)
            except ValueError as error:
                said = str(error)
                assert type(error) is ValueError
                if said.startswith(f"{path!r} is not a whole checkpoint of fastmlp: "):
                    OUTCOMES["refused"] += 1
                elif said.startswith(f"the checkpoint {path!r} is of another fit: "):
                    OUTCOMES["of another fit"] += 1
                else:
                    assert "non-finite" in said, said
                    OUTCOMES["not finite"] += 1
            else:
                OUTCOMES["trained"] += 1
                members = getattr(model, "members_", [model])
                assert model.n_iter_ == max(len(member.loss_curve_) for member in members) <= 5
                assert len(model.predict(X)) == len(X)


NUMBERS = [2**31, 2**63 - 1, 2**63, 2**64 - 1, -(2**63), -1, 10**18, float("nan"), float("inf"), 1e308, 5e-324]
WORDS = ["", "rate", "t", "rows", "MT19937", "PCG64", "losses", "params", "identity", "__class__"]
_arrays = hnp.arrays(
    st.sampled_from(["f4", "f8", ">f8", "i8", "i4", "u4", "?", "c8", "U3", "M8[s]"]),
    hnp.array_shapes(min_dims=0, min_side=0, max_side=4),
)
_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 30)
    | st.sampled_from(NUMBERS)
    | st.floats()
    | _arrays
    | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(st.sampled_from(WORDS), inner, max_size=2)
    ),
    max_leaves=5,
)


class _Tuple(list):
    pass


def _thawed(value):
    if isinstance(value, dict):
        return {key: _thawed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return (list if isinstance(value, list) else _Tuple)(map(_thawed, value))
    return copy.deepcopy(value)


def _frozen(value):
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    if isinstance(value, list):
        return (tuple if isinstance(value, _Tuple) else list)(map(_frozen, value))
    return value


def _changed(draw, array):
    """Another array, much like this one."""
    how = draw(st.sampled_from(["dtype", "shape", "values", "value", "cut", "swap"]))
    if how not in ("value", "swap"):
        return fuzzing.changed(draw, array, how, ["f4", "f8", ">f8", "i8", "u4", "?", "f2"])
    array = array.copy()
    if array.size:
        place = draw(st.integers(0, array.size - 1))
        if how == "value":
            array.flat[place] = draw(hnp.from_dtype(array.dtype))
        else:
            array.flat[place], array.flat[0] = array.flat[0], array.flat[place]
    return array


def _written(state):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "c")
        Checkpoint(path, 1).write(state)
        with open(path, "rb") as file:
            return file.read()


@fuzzed
@given(st.data())
def test_states(data):
    number = data.draw(st.integers(0, len(FITS) - 1))
    state = _thawed(corpus()[number][1])
    identity = state.pop("identity") if data.draw(st.booleans()) else None
    for _ in range(data.draw(st.integers(1, 3))):
        places = fuzzing.places(state)
        container, key = data.draw(st.sampled_from(places))
        how = data.draw(st.sampled_from(["put", "put", "change", "change", "remove", "swap"]))
        if how == "put":
            container[key] = data.draw(_values)
        elif how == "change" and isinstance(container[key], np.ndarray) and container[key].dtype.kind in "fiu?":
            container[key] = _changed(data.draw, container[key])
        elif how == "change" and type(container[key]) in (int, float):
            container[key] = data.draw(st.integers(-3, 30) | st.sampled_from(NUMBERS) | st.floats())
        elif how == "remove":
            del container[key]
        elif how == "swap":
            other, place = data.draw(st.sampled_from(places))
            container[key], other[place] = copy.deepcopy(other[place]), copy.deepcopy(container[key])
    if identity is not None:
        state["identity"] = identity
    judge(number, _written(_frozen(state)))


@fuzzed
@given(st.data())
def test_members(data):
    """Documents and headers of arrays, in a zip whose checksums are right."""
    number = data.draw(st.integers(0, len(FITS) - 1))
    with zipfile.ZipFile(io.BytesIO(corpus()[number][0])) as archive:
        members = {name: bytearray(archive.read(name)) for name in archive.namelist()}
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from(["state.npy", *sorted(members)]))
        content = members.setdefault(name, bytearray())
        at = data.draw(st.integers(0, min(130, len(content))) | st.integers(0, len(content)))
        how = data.draw(st.sampled_from(["digit", "token", "flip", "insert", "cut", "remove", "copy"]))
        if how == "digit":
            digits = [i for i in range(at, min(len(content), at + 200)) if chr(content[i]).isdigit()]
            if digits:
                content[data.draw(st.sampled_from(digits))] = ord(data.draw(st.sampled_from("0123456789-")))
        elif how == "token":
            token = data.draw(st.sampled_from([b"null", b"[]", b'{"array": 0}', b"1e999", b"NaN", b"9" * 30, b"<f8"]))
            content[at : at + len(token)] = token
        elif how == "flip" and at < len(content):
            content[at] ^= 1 << data.draw(st.integers(0, 7))
        elif how == "insert":
            content[at:at] = data.draw(st.binary(max_size=8))
        elif how == "cut":
            del content[at:]
        elif how == "remove":
            del members[name]
        else:
            members[data.draw(st.sampled_from(sorted(members)))] = content
    result = io.BytesIO()
    method = data.draw(st.sampled_from([zipfile.ZIP_STORED] * 9 + [zipfile.ZIP_DEFLATED]))
    with zipfile.ZipFile(result, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, bytes(content))
    judge(number, result.getvalue())


@fuzzed
@given(st.data())
def test_bytes(data):
    number = data.draw(st.integers(0, len(FITS) - 1))
    content = bytearray(corpus()[number][0])
    directory = content.index(b"PK\1\2")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(min(directory, len(content)), len(content)) | st.integers(0, len(content)))
        how = data.draw(st.sampled_from(["flip", "flip", "put", "insert", "remove", "cut", "repeat"]))
        if how == "flip" and at < len(content):
            content[at] ^= 1 << data.draw(st.integers(0, 7))
        elif how == "put":
            put = data.draw(st.sampled_from([b"\xff" * 4, b"\0" * 4, b"PK\1\2", b"PK\6\7"]) | st.binary(max_size=8))
            content[at : at + len(put)] = put
        elif how == "insert":
            content[at:at] = data.draw(st.binary(max_size=8))
        elif how == "remove":
            del content[at : at + data.draw(st.integers(0, 8))]
        elif how == "cut":
            del content[at:]
        elif how == "repeat":
            content[at:at] = content[at : at + 60]
    if content:
        judge(number, bytes(content))


def test_what_is_not_changed_goes_on():
    for number, (content, state) in enumerate(corpus()):
        before = OUTCOMES["trained"]
        judge(number, content)
        judge(number, _written(state))
        assert OUTCOMES["trained"] == before + 2
