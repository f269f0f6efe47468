"""Files changed at random: each is read or refused with a sentence; no crash, no hang, no memory out of proportion.

FASTMLP_FUZZ_FILES=20000 python -m pytest tests/exports/test_files_fuzz.py -s    tries so many, other ones every time.
"""

import collections
import copy
import functools
import json
import os
import re
import struct
import tempfile
import time
import warnings
from dataclasses import replace

import fuzzing
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor, Perceptron, TabularMLPClassifier, TabularMLPRegressor
from fastmlp.exports import files
from fastmlp.training.recipes import Recipe

pytest.importorskip("safetensors")
forging = pytest.importorskip("forging")

SECONDS = 10  # that a file may take, on a machine that is busy
BYTES = 1 << 23  # that it may take, beyond its own size twice
KINDS = ("is not a fastmlp file", "is truncated", "is corrupt", "is too large", "was written by a newer version")
OUTCOMES = collections.Counter()
fuzzed = fuzzing.fuzzed(n_tests=4, n_examples=120)


@functools.cache
def corpus():
    """Contents of files, of models small in every way."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((20, 3))
    codes = np.arange(20) % 3
    names = np.array(["a", "b", "c"])[codes]
    small = {"hidden_layer_sizes": (2,), "max_iter": 2, "random_state": 0}
    seeded = {**small, "random_state": np.random.RandomState(1)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        models = [
            MLPClassifier(class_weight={"a": 1, "b": 2.5}, dtype=np.float32),
            MLPClassifier(**seeded, early_stopping=True, scoring="accuracy", validation_fraction=0.3).fit(X, names),
            MLPClassifier(**small, solver="sgd", lr_schedule="plateau", dropout=0.1).fit(X, codes > 0),
            MLPClassifier(**small, loss="hinge", solver="lbfgs").fit(X, np.eye(3, dtype=int)[codes]),
            MLPClassifier(**small, activation=["tanh"]).fit(X.astype(np.float32), np.stack([codes, codes[::-1]], 1)),
            MLPRegressor(
                "quantile", quantile=[0.9, 0.1], sort_quantiles=True, **small, solver="schedule_free_adamw"
            ).fit(X, X[:, 0]),
            Perceptron(penalty="l1", class_weight={"a": 2}, random_state=np.random.RandomState(2)).fit(X, names),
            Perceptron(early_stopping=True, n_jobs=2).fit(X.astype(np.float32), codes > 0),
            MLPRegressor(loss="poisson", **small).fit(X, abs(X[:, :2]), X_val=X, y_val=abs(X[:, :2])),
        ]
        models[-1].feature_names_in_ = np.array(["x", "größe", "z"], dtype=object)
        models += models_of_tables(X, names)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model")
        contents = []
        for model in models:
            model.save(path)
            with open(path, "rb") as file:
                contents.append((file.read(), *forging.taken_apart(path)))
    return contents


def models_of_tables(X, names):
    """Models of tables with columns, names of columns and labels of every kind, and members of several recipes."""
    recipe = {"hidden_layer_sizes": (2,), "epochs": 2, "frequencies": 2, "number_width": 1, "category_width": 1}
    table = {
        "number": np.where(X[:, 0] > 1, np.nan, X[:, 0]),
        2: np.datetime64("2024-02-29T07") + np.arange(20) * np.timedelta64(13, "D"),
        ("few", None): names,
        3.5: [f"level {i % 10}" for i in range(20)],
        None: X[:, 1] > 0,
        "empty": [None] * 20,
    }
    given = {"n_members": 2, "random_state": 0, "recipe": recipe}
    deep = {**recipe, "hidden_layer_sizes": [2, 1], "n_bins": 3, "piecewise_width": 1}
    models = [
        TabularMLPClassifier(**given, class_weight={"a": 1, "b": 2.5, "c": 1}).fit(table, names),
        TabularMLPClassifier(**given | {"recipe": Recipe(**deep)}, scoring="roc_auc").fit(table, names == "a"),
        TabularMLPRegressor(**given, loss="gamma").fit(X.astype(np.float32), np.exp(X[:, 1])),
        TabularMLPRegressor(**given, categorical_features=["a"]).fit({"a": [1, 2] * 10, "b": X[:, 0]}, X[:, :2]),
    ]
    model = TabularMLPRegressor(**given).fit(table, X[:, 2])
    other = TabularMLPRegressor(**given | {"recipe": deep}).fit(table, X[:, 2])
    model.members_ = [replace(model.members_[0], weight_=0.75), replace(other.members_[0], weight_=0.25)]
    return [*models, model]


@pytest.fixture(scope="module", autouse=True)
def summary():
    yield from fuzzing.summary(OUTCOMES)


def judge(content):
    """Load a content, and use what comes of it."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        with fuzzing.within(2 * len(content) + BYTES, SECONDS, OUTCOMES):
            try:
                model = fastmlp.load(file.name)
            except ValueError as error:
                model, said = None, str(error)
                assert type(error) is ValueError and said.startswith(repr(file.name))
                said = said.removeprefix(repr(file.name)).lstrip()
                assert said.startswith(KINDS), said
                OUTCOMES[next(kind for kind in KINDS if said.startswith(kind))] += 1
    if model is not None:
        OUTCOMES["read"] += 1
        began = time.monotonic()
        use(model)
        assert time.monotonic() - began < SECONDS


def use(model):
    """Predict, which must go well, and train, which the parameters may forbid."""
    if not hasattr(model, "n_features_in_"):
        return
    if hasattr(model, "members_"):
        use_table(model)
        return
    linear = isinstance(model, Perceptron)
    X = np.linspace(-1, 1, 4 * model.n_features_in_).reshape(4, -1)
    if not linear and (model.dtype is not None or model.coefs_[0].dtype == np.float32):
        X = X.astype(np.float32)
    vars(model).pop("feature_names_in_", None)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        predicted = model.predict(X)
        assert predicted.shape[0] == 4
        if hasattr(model, "predict_proba"):
            model.predict_proba(X)
        try:
            params = {} if linear else {"scoring": None}
            model.set_params(early_stopping=False, verbose=False, **params).partial_fit(X, predicted)
        except (ValueError, TypeError, AttributeError):  # as of any estimator with such parameters
            pass


def use_table(model):
    """Predict rows of all kinds."""
    cells = {"number": [0.5, None, 1e300, -3], "date": ["2024-02-29", None, "0001-01-01", "9999-12-31T23:59:59"]}
    table = {}
    for column in model.encoder_.columns_:
        levels = [*getattr(column, "levels", [])[-2:], None, "?", "1", True]
        table[column.name] = cells.get(column.role, levels[:4])
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for rows in (table, {name: values[0] for name, values in table.items()}):
            predicted = model.predict(rows)
            assert len(predicted) == (4 if rows is table else 1)
            assert len(model.input_gradients(rows, raw_score=True)) == len(predicted)
            if hasattr(model, "predict_proba"):
                assert model.predict_proba(rows).shape == (len(predicted), len(model.classes_))


NAMES = ["", "coefs_.0", "coefs_.1", "_best_coefs.0", "coef_", "intercept_", "classes_", "_scale"]
NAMES += ["members_.0.parameters.0", "members_.1.loss_curve", "encoder_.columns.constants", "encoder_.columns.scale"]
WORDS = [*NAMES, "array", "tuple", "dict", "strings", "softmax", "logistic", "relu", "multiclass", "sgd", "cosine"]
WORDS += ["<U1", "<U99999999", "object", "MLPRegressor", "Perceptron", "__class__", "MT19937", ">", "\ud800"]
WORDS += ["TabularMLPClassifier", "recipe", "levels", "number", "empty", "binary", "onehot", "embedding", "date"]
BROKEN = ['"', "\\", "[", "}", ",", "1e999", "NaN", "9" * 5000]
TOKENS = ["", "0", "1", "8", "-1", str(2**63), str(2**64 - 1), "1e3", "[", "]", "}", "[" * 3000, "\xff", "\0"]
TOKENS += ['"F32"', '"F64"', '"BF16"', '"BOOL"', '"F8_E5M2"', '"coefs_.0"', '"dtype"', '"__metadata__"']
_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 5)
    | st.integers()
    | st.sampled_from([2**31, 2**63 - 1, 2**63, 2**64, 10**19, 10**40, -(2**63)])
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(WORDS)
)
_values = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(WORDS), inner, max_size=2)
        | st.builds(lambda tag, content: {tag: content}, st.sampled_from(["array", "tuple", "dict"]), inner)
    ),
    max_leaves=6,
)


def change_document(draw, document):
    start = ("version", "blake2b", "data_bytes")
    rest = copy.deepcopy({name: value for name, value in document.items() if name not in start})
    found = fuzzing.places(rest)
    for _ in range(draw(st.integers(1, 3))):
        container, key = draw(st.sampled_from(found))
        how = draw(st.sampled_from(["put", "put", "put", "remove", "swap", "copy", "rename"]))
        if key not in (container if isinstance(container, dict) else range(len(container))):
            continue  # removed before
        if how == "put":
            container[key] = draw(_values)
        elif how == "remove":
            del container[key]
        elif how in ("swap", "copy"):
            other, place = draw(st.sampled_from(found))
            try:
                value = copy.deepcopy(other[place])
                if how == "swap":
                    other[place] = copy.deepcopy(container[key])
                container[key] = value
            except (KeyError, IndexError):  # removed before
                pass
        elif isinstance(container, dict):
            container[draw(st.sampled_from(WORDS))] = container.pop(key)
    return rest


def change_tensors(draw, tensors):
    tensors = dict(tensors)
    for _ in range(draw(st.integers(1, 3))):
        if not tensors:
            break
        name = draw(st.sampled_from(sorted(tensors)))
        how = draw(st.sampled_from(["dtype", "shape", "values", "remove", "swap", "new", "cut"]))
        array = tensors[name]
        if how in ("dtype", "shape", "values", "cut"):
            dtypes = ["f2", "f4", "f8", "i1", "u1", "i8", "u8", "u4", "?", "c8"]
            array = fuzzing.changed(draw, array, how, dtypes)
        elif how == "swap":
            array = tensors[draw(st.sampled_from(sorted(tensors)))]
        elif how == "new":
            name = draw(st.sampled_from(NAMES))
        if how == "remove":
            del tensors[name]
        else:
            tensors[name] = np.ascontiguousarray(array)
    return tensors


@fuzzed
@given(st.data())
def test_documents(data):
    _, document, tensors = data.draw(st.sampled_from(corpus()))
    rest = change_document(data.draw, document)
    text = json.dumps(rest)[1:]
    if data.draw(st.booleans()):  # and no JSON any more
        at, length = data.draw(st.integers(0, len(text))), data.draw(st.integers(0, 9))
        text = text[:at] + data.draw(st.sampled_from(BROKEN)) + text[at + length :]
    judge(forging.put_together({}, tensors, text))


@fuzzed
@given(st.data())
def test_arrays(data):
    _, document, tensors = data.draw(st.sampled_from(corpus()))
    rest = document if data.draw(st.booleans()) else change_document(data.draw, document)
    judge(forging.put_together(rest, change_tensors(data.draw, tensors)))


@fuzzed
@given(st.data())
def test_headers(data):
    content, _, _ = data.draw(st.sampled_from(corpus()))
    (length,) = struct.unpack("<Q", content[:8])
    header, rest = content[8 : 8 + length], content[8 + length :]
    metadata = re.match(rb'\{"__metadata__":\{"fastmlp":"(?:[^"\\]|\\.)*"', header).end()
    for _ in range(data.draw(st.integers(1, 3))):
        tokens = [match.span() for match in re.finditer(rb'\d+|"[^"]*"|[][{},:]', header) if match.start() >= metadata]
        start, stop = data.draw(st.sampled_from(tokens)) if tokens else (metadata, metadata)
        header = header[:start] + data.draw(st.sampled_from(TOKENS)).encode("latin-1") + header[stop:]
    if data.draw(st.booleans()):
        rest = rest[: data.draw(st.integers(0, len(rest)))]
        said = re.search(rb'data_bytes\\":(\d+)', header)
        header = header[: said.start(1)] + str(len(rest)).encode() + header[said.end(1) :]
    judge(forging.sealed(struct.pack("<Q", len(header)) + header + rest))


@fuzzed
@given(st.data())
def test_bytes(data):
    content = bytearray(data.draw(st.sampled_from(corpus()))[0])
    begins = 8 + len(files._MAGIC) + 120
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, min(begins, len(content))) | st.integers(0, len(content)))
        length = data.draw(st.integers(0, 8))
        how = data.draw(st.sampled_from(["flip", "flip", "put", "insert", "remove", "cut", "repeat"]))
        if how == "flip" and at < len(content):
            content[at] ^= 1 << data.draw(st.integers(0, 7))
        elif how == "put":
            content[at : at + length] = data.draw(st.binary(min_size=length, max_size=length))
        elif how == "insert":
            content[at:at] = data.draw(st.binary(max_size=8))
        elif how == "remove":
            del content[at : at + length]
        elif how == "cut":
            del content[at:]
        elif how == "repeat":
            content[at:at] = content[at : at + 40]
    judge(forging.sealed(content) if data.draw(st.booleans()) else bytes(content))
