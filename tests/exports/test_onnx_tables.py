"""Models of tables as ONNX, run by ONNX Runtime on raw columns."""

import sys

import numpy as np
import pytest
from raw_tables import (
    KINDS,
    LEVELS,
    SMALL,
    cells,
    dates_alone,
    fitted,
    frame,
    networks,
    numbers_of_all_sizes,
    targets,
    with_members,
)
from sklearn.exceptions import NotFittedError

from fastmlp import TabularMLPClassifier, TabularMLPRegressor
from fastmlp.data.fitting import CategoricalColumn
from fastmlp.data.tables import TableEncoder
from fastmlp.engine import architecture
from fastmlp.exports import onnx_nodes
from fastmlp.exports.onnx_columns import encoded, inputs_of
from fastmlp.exports.onnx_nodes import Value, graph_of, model_of
from fastmlp.exports.tables import encoding_of

onnx = pytest.importorskip("onnx")
reference = pytest.importorskip("onnx.reference")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("pandas")

LATEST = onnx.defs.onnx_opset_version()
NO_DATE = np.iinfo(np.int64).min
X, LATER = frame(), frame(80, seed=1, later=True)


def _session(graph):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _feeds(graph, columns):
    """Cells by the names of the graph's inputs."""
    feeds = {}
    for given, (kind, values) in zip(graph.graph.input, columns, strict=True):
        if kind == "date":
            values = values.astype(np.int64)
        elif kind == "text":
            values = np.array(["" if value is None else value for value in values], dtype=object)
        else:
            values = values.astype(onnx.helper.tensor_dtype_to_np_dtype(given.type.tensor_type.elem_type))
        feeds[given.name] = values[:, None]
    return feeds


def _run(graph, columns):
    return _session(graph).run(None, _feeds(graph, columns))


def _assert_predicts(results, model, X, tolerance=1e-5):
    if isinstance(model, TabularMLPRegressor):
        (values,) = results
        expected = model.predict(X).reshape(len(X), model.n_outputs_)
        spread = np.abs(expected).max(axis=0)
        assert values.shape == expected.shape
        np.testing.assert_allclose(values / spread, expected / spread, rtol=tolerance, atol=tolerance)
        return
    labels, probabilities = results
    expected = model.predict_proba(X)
    assert probabilities.dtype == np.float32 and probabilities.shape == expected.shape
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=tolerance)
    np.testing.assert_array_equal(labels, model.predict(X))


@pytest.fixture(scope="module")
def models():
    return {kind: fitted(X, kind) for kind in KINDS}


# Models


@pytest.mark.parametrize("kind", KINDS)
def test_raw_frames(models, kind):
    model = models[kind]
    graph = model.to_onnx()
    for rows in (X, LATER, X[:1], LATER[3:4]):
        _assert_predicts(_run(graph, cells(model, rows)), model, rows)
    empty = _run(graph, [(kind, values[:0]) for kind, values in cells(model, X)])
    assert [len(part) for part in empty] == [0] * len(empty)
    assert [part.shape[1:] for part in empty] == [part.shape[1:] for part in _run(graph, cells(model, X))]


def test_inputs_and_outputs(models):
    session = _session(models["words"].to_onnx())
    given = [(i.name, i.type, i.shape) for i in session.get_inputs()]
    number, text = "tensor(double)", "tensor(string)"
    kinds = [number] * 5 + ["tensor(int64)", number] + [text] * 7
    names = [name.replace(" ", "_") for name in X.columns]
    assert given == [(name, kind, ["n_samples", 1]) for name, kind in zip(names, kinds, strict=True)]
    outputs = [(o.name, o.type, o.shape) for o in session.get_outputs()]
    assert outputs == [("label", text, ["n_samples"]), ("probabilities", "tensor(float)", ["n_samples", 3])]
    (output,) = _session(models["several outputs"].to_onnx()).get_outputs()
    assert (output.name, output.type, output.shape) == ("variable", number, ["n_samples", 3])
    assert _session(models["integers"].to_onnx()).get_outputs()[0].type == "tensor(int64)"


@pytest.mark.parametrize("kind", ["words", "several outputs"])
def test_single_precision_at_the_ends(models, kind):
    model = models[kind]
    graph = model.to_onnx(dtype="float32")
    inputs, outputs = _session(graph).get_inputs(), _session(graph).get_outputs()
    assert {i.type for i in inputs} == {"tensor(float)", "tensor(int64)", "tensor(string)"}
    assert outputs[-1].type == "tensor(float)"
    rounded = X.copy()  # what comes in has the digits of float32, all else is as precise
    for name in ("size", "ratio"):
        rounded[name] = X[name].astype(np.float32).astype(float)
    rounded["took so long"] = X["took so long"].dt.total_seconds().astype(np.float32).astype(float)
    given = cells(model, rounded)
    _assert_predicts(_run(graph, given), model, rounded)


@pytest.mark.parametrize("kind", ["words", "one output"])
def test_every_opset(models, kind):
    model = models[kind]
    given = cells(model, X[:20])
    n_run = 0
    for opset in range(15, LATEST + 1):
        graph = model.to_onnx(opset=opset)
        assert {i.domain: i.version for i in graph.opset_import} == {"": opset, "ai.onnx.ml": 2}
        try:
            session = _session(graph)
        except Exception:  # ONNX Runtime does not know the version
            results = reference.ReferenceEvaluator(graph).run(None, _feeds(graph, given))
        else:
            results = session.run(None, _feeds(graph, given))
            n_run += 1
        _assert_predicts(results, model, X[:20])
    assert n_run >= 4


def test_what_a_runtime_of_two_years_ago_reads_is_the_default(models):
    assert models["words"].to_onnx().ir_version == 8
    numbers = fitted(X[["size", "count", "flag"]].astype({"flag": float}), "one output").to_onnx()
    assert [i.domain for i in numbers.opset_import] == [""]


@pytest.mark.parametrize(
    "loss", ["squared_error", "absolute_error", "huber", "log_cosh", "poisson", "gamma", "tweedie"]
)
def test_losses(loss):
    model = fitted(X, "positive", loss=loss)
    _assert_predicts(_run(model.to_onnx(), cells(model, LATER)), model, LATER)


@pytest.mark.parametrize("sort_quantiles", [False, True])
def test_quantiles(sort_quantiles):
    params = {"loss": "quantile", "quantile": [0.55, 0.45, 0.5], "sort_quantiles": sort_quantiles}
    model = fitted(X, "positive", **params)
    _assert_predicts(_run(model.to_onnx(), cells(model, LATER)), model, LATER)
    ascending = (np.diff(model.predict(LATER)[:, [1, 2, 0]], axis=1) >= 0).all()
    assert ascending == sort_quantiles  # which the networks alone do not come to


def test_predictions_stay_within_the_range_of_the_targets():
    model = fitted(X, "one output")
    with_members(model, [networks(model)["the recipe's"]])
    (values,) = _run(model.to_onnx(), cells(model, X))
    y = targets(X, "one output")
    assert (values.min(), values.max()) == (y.min(), y.max())
    _assert_predicts([values], model, X)


@pytest.mark.parametrize("name", networks(fitted(X)))
@pytest.mark.parametrize("kind", ["words", "several outputs"])
def test_every_kind_of_layer(kind, name):
    model = fitted(X, kind)
    with_members(model, [networks(model)[name]])
    _assert_predicts(_run(model.to_onnx(), cells(model, LATER)), model, LATER)


def test_members_of_different_layers_and_weights():
    model = fitted(X)
    layers = list(networks(model).values())
    weights = np.array([0.1, 0.2, 0.05, 0.2, 0.15, 0.2, 0.1, 0.0])
    with_members(model, layers, weights)
    graph = model.to_onnx()
    _assert_predicts(_run(graph, cells(model, LATER)), model, LATER)
    # the last has no part, nor any node
    n_dense = sum(type(layer) is architecture.Dense for one in layers[:-1] for layer in one)
    assert sum(node.op_type == "Gemm" for node in graph.graph.node) == n_dense


OF_IMAGES_AND_SERIES = {"Augmentation", "AveragePool", "Convolution", "GRU", "LSTM", "LayerNorm", "MaxPool", "Residual"}


def test_every_kind_of_layer_is_tried():
    kinds = {type(layer) for layers in networks(fitted(X)).values() for layer in layers}
    assert {kind.__name__ for kind in kinds} == {*architecture.__all__} - OF_IMAGES_AND_SERIES


# Columns


def _encoded(columns, given, dtype="float64"):
    """Numbers and codes that a graph of columns gives."""
    g = graph_of(dtype, 18)
    inputs = inputs_of(columns, np.dtype(dtype))
    results = encoded(g, encoding_of(columns), [value.name for value in inputs])
    outputs = [Value("numbers", np.dtype(np.float32), "width"), Value("codes", np.dtype(np.int64), "n_codes")]
    results, outputs = zip(*((a, b) for a, b in zip(results, outputs, strict=True) if a is not None), strict=True)
    return dict(zip([b.name for b in outputs], _run(model_of(g, "g", inputs, results, outputs), given), strict=True))


@pytest.mark.parametrize("rows", [X, LATER, X[:1]], ids=["seen", "later", "one"])
def test_numbers_and_codes_are_the_encoders(models, rows):
    model = models["words"]
    got = _encoded(model.encoder_.columns_, cells(model, rows))
    numbers, codes = model.encoder_.transform(rows)
    np.testing.assert_allclose(got["numbers"], numbers, rtol=2e-7, atol=1e-7)
    np.testing.assert_array_equal(got["codes"], codes)
    assert (codes < 0).any() == (rows is LATER)


@pytest.mark.parametrize("column", X.columns)
def test_a_column_alone(column):
    model = TabularMLPClassifier(n_members=1, recipe=SMALL, random_state=0).fit(X[[column]], targets(X, "words"))
    _assert_predicts(_run(model.to_onnx(), cells(model, LATER[[column]])), model, LATER[[column]])


def test_dates_of_all_times():
    """Each day of the calendar's era of 400 years, and times from the first to the last that Python has."""
    days = np.arange("1796-01-01", "2205-01-01", dtype="datetime64[D]").astype("datetime64[us]")
    rng = np.random.default_rng(0)
    first, last = np.array(["0001-01-01", "9999-12-31T23:59:59.999999"], dtype="datetime64[us]").astype(np.int64)
    times = np.array([first, last, -1, 0, 1, *rng.integers(first, last, 20_000)]).astype("datetime64[us]")
    dates = np.concatenate([days, days - 1, times, np.array(["NaT"], dtype="datetime64[us]")])
    column, expected = dates_alone(dates)
    got = _encoded([column], [("date", dates)])["numbers"]
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=0)


def test_numbers_of_all_sizes():
    encoder, table = numbers_of_all_sizes()
    got = _encoded(encoder.columns_, [("number", x) for x in table.values()])["numbers"]
    numbers, _ = encoder.transform(table)
    np.testing.assert_allclose(got, numbers, rtol=2e-7, atol=1e-30)
    infinite = [("number", np.array([-np.inf, np.inf]))] * 3
    np.testing.assert_allclose(_encoded(encoder.columns_, infinite)["numbers"][:, :2], [[-3, -3], [3, 3]], rtol=1e-6)


@pytest.mark.parametrize("missing", [True, False])
@pytest.mark.parametrize("pooled", [True, False])
def test_levels_are_told_apart_by_their_text(pooled, missing):
    column = CategoricalColumn("c", "embedding", LEVELS[::2], False, pooled, missing, None)
    texts = [*LEVELS, "unseen", "NaNNaN"]  # the last stands for a missing level, as "" and "NaN" are levels
    got = _encoded([column], [("text", texts)])["codes"][:, 0]
    codes, unseen = column.codes()
    assert [*got] == [codes.get(level, unseen) for level in [*LEVELS, "unseen", None]]
    assert (got == -1).any() == (not pooled)


def test_levels_of_two_columns_of_two_each():
    rows = {"a": ["x", "y", None] * 20, "b": [True, False, False] * 20}
    encoder = TableEncoder().fit(rows)
    given = {"a": ["x", "y", None, "z", "x"], "b": [True, False, None, True, False]}
    texts = [("text", given["a"]), ("text", ["True", "0", None, "1", "False"])]
    got = _encoded(encoder.columns_, texts)
    numbers, codes = encoder.transform(given)
    np.testing.assert_allclose(got["numbers"], numbers, rtol=1e-7)
    assert codes.shape[1] == 0 and "codes" not in got


def test_levels_that_no_text_can_be():
    """A surrogate alone, and a NUL, at which texts may end: nobody can give them, so the graph does not know them."""
    column = CategoricalColumn("c", "embedding", ["a\0b", "a", "\ud800"], False, False, False, None)
    got = _encoded([column], [("text", ["a", "b"])])["codes"][:, 0]
    assert [*got] == [1, -1]


def test_without_a_missing_level_a_missing_text_is_unseen():
    column = CategoricalColumn("c", "onehot", ["a", "b", "c"], False, True, False, None)
    assert [*_encoded([column], [("text", [None, "c", "?"])])["codes"][:, 0]] == [3, 2, 3]


# Names


def test_names_are_made_valid_and_unique():
    names = ["label", "a b", "a_b", "a.b", "2 much", "größe", "", "variable", "gather_0", "x", ("t", 1)]
    table = {name: np.arange(20.0) + i for i, name in enumerate(names)}
    model = fitted_on(table)
    graph = model.to_onnx()
    given = [i.name for i in graph.graph.input]
    assert given == [
        *("label_2", "a_b", "a_b_2", "a_b_3", "_2_much", "gr__e", "_", "variable_2", "gather_0", "x", "__t___1_"),
    ]
    assert graph.graph.input[0].doc_string == "column 'label': numbers, NaN for a gap"
    values = _run(graph, [("number", column) for column in table.values()])[0]
    np.testing.assert_allclose(values[:, 0], model.predict(table), rtol=1e-5)


def fitted_on(table):
    n = len(table) if isinstance(table, np.ndarray) else len(next(iter(table.values())))
    return TabularMLPRegressor(n_members=1, recipe=SMALL, random_state=0).fit(table, np.arange(float(n)))


def test_columns_without_names():
    rows = np.random.default_rng(0).normal(size=(30, 3))
    model = fitted_on(rows)
    graph = model.to_onnx()
    assert [i.name for i in graph.graph.input] == ["x0", "x1", "x2"]
    (values,) = _session(graph).run(None, {f"x{i}": rows[:, i : i + 1] for i in range(3)})
    np.testing.assert_allclose(values[:, 0], model.predict(rows), rtol=0, atol=1e-6 * 30)


def test_descriptions(models):
    said = {i.name: i.doc_string for i in models["words"].to_onnx().graph.input}
    assert said["since"] == f"column 'since': microseconds since 1970-01-01 UTC, {NO_DATE} (NaT) for a gap"
    assert said["took_so_long"] == "column 'took so long': numbers, NaN for a gap"
    assert said["city"] == "column 'city': levels as text, '' for a missing one"
    model = TabularMLPClassifier(n_members=1, recipe=SMALL, random_state=0)
    model.fit({"a": ["", "b", None, "c"] * 10}, ["x", "y"] * 20)
    graph = model.to_onnx()
    assert graph.graph.input[0].doc_string == "column 'a': levels as text, 'NaN' for a missing one"
    _, got = _run(graph, [("text", ["", "NaN", "b"])])
    np.testing.assert_allclose(got, model.predict_proba({"a": ["", None, "b"]}), atol=1e-6)


def test_frames_of_polars():
    polars = pytest.importorskip("polars")
    names = ["size", "count", "city", "flag", "since"]
    theirs = polars.DataFrame({name: X[name].astype(object).where(X[name].notna(), None).tolist() for name in names})
    model = fitted(X[names])
    graph = model.to_onnx()
    results = _run(graph, cells(model, X[names]))
    np.testing.assert_allclose(results[1], model.predict_proba(theirs), atol=1e-6)


# Refusals


def test_models_that_cannot_be(models, monkeypatch):
    for kind in (TabularMLPClassifier, TabularMLPRegressor):
        with pytest.raises(NotFittedError):
            kind().to_onnx()
    for dtype in ("float16", int, None):
        with pytest.raises(ValueError, match="must be 'float32' or 'float64'"):
            models["words"].to_onnx(dtype=dtype)
    for opset in (14, LATEST + 1):
        with pytest.raises(ValueError, match=f"opset={opset} must be from 15 to {LATEST}"):
            models["words"].to_onnx(opset=opset)
    model = fitted_on({"x": np.arange(20.0)})
    n_numbers = sum(array.size for member in model.members_ for array in member.parameters)
    monkeypatch.setattr(onnx_nodes, "_MOST_BYTES", 4 * n_numbers)
    model.to_onnx()
    monkeypatch.setattr(onnx_nodes, "_MOST_BYTES", 4 * n_numbers - 1)
    with pytest.raises(ValueError, match=f"take {4 * n_numbers:,} bytes in float32"):
        model.to_onnx()
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r'to_onnx needs onnx: pip install "fastmlp\[onnx\]"'):
        model.to_onnx()


def test_targets_beyond_single_precision():
    table = {"x": np.arange(20.0)}
    model = TabularMLPRegressor(n_members=1, recipe=SMALL, random_state=0).fit(table, 1e60 * np.arange(20))
    (values,) = _run(model.to_onnx(), [("number", table["x"])])
    np.testing.assert_allclose(values[:, 0], model.predict(table), rtol=1e-5)
    with pytest.raises(ValueError, match="targets go up to 1.9e.61, beyond float32: dtype='float64'"):
        model.to_onnx(dtype="float32")


def test_labels_that_onnx_has_not():
    model = TabularMLPClassifier(n_members=1, recipe=SMALL).fit({"x": np.arange(20.0)}, [0, 1] * 10)
    model.classes_ = np.array([0.5, 1.5])
    with pytest.raises(ValueError, match="classes_ must be strings or whole numbers of 64 bits"):
        model.to_onnx()
