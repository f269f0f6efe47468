"""Models as ONNX, run by ONNX Runtime: alone, and in pipelines that skl2onnx converts."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import linear_model, neural_network
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import StackingClassifier, StackingRegressor, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor, Perceptron
from fastmlp.engine import ACTIVATIONS, LOSS_ROWS
from fastmlp.exports import onnx_nodes

onnx = pytest.importorskip("onnx")
reference = pytest.importorskip("onnx.reference")
onnxruntime = pytest.importorskip("onnxruntime")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N_FEATURES = 5
X = np.random.RandomState(0).standard_normal((67, N_FEATURES))
Z = X @ np.random.RandomState(1).standard_normal((N_FEATURES, 4))
CLASSES = {
    "binary": np.array([-3, 12])[(Z[:, 0] > 0).astype(int)],
    "multiclass": Z.argmax(axis=1) * 10,
    "multilabel": (Z > 0.5).astype(int),
    "multioutput": np.stack([(Z[:, 0] > 0) * 2, Z.argmax(axis=1) - 1], axis=1),
    "one class": np.full(len(X), 7),
}
NUMBERS = {"one output": Z[:, 0], "several outputs": Z}
LOSSES_AND_CLASSES = [
    (loss, target)
    for loss, row in LOSS_ROWS.items()
    for target in CLASSES
    if row.target == "code" and (target != "multioutput" or loss == "log_loss")  # which alone has several outputs
]
LATEST = onnx.defs.onnx_opset_version()
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


def _fitted(estimator, y, dtype="float32", scale=1.0):
    """The estimator after an epoch, its weights multiplied so that its units saturate."""
    estimator.set_params(max_iter=1, random_state=0).fit(X.astype(dtype), y)
    for coef in estimator.coefs_:
        coef *= scale
    return estimator


def _session(model):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _run(model, data):
    return _session(model).run(None, {"X": data})


def _runs(opset):
    """Whether the installed ONNX Runtime knows the operators of this version."""
    model = MLPRegressor(hidden_layer_sizes=(), max_iter=1).fit(X, X[:, 0]).to_onnx(opset=opset)
    try:
        _session(model)
    except Exception:
        return False
    return True


def _assert_predicts(results, estimator, data, dtype="float32"):
    """That what a graph gave is what the estimator predicts."""
    tolerance = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
    predicted = estimator.predict(data)
    if not hasattr(estimator, "classes_"):
        (values,) = results
        assert values.dtype == dtype
        np.testing.assert_allclose(values, predicted.reshape(values.shape), **tolerance)
        return
    labels, scores = results
    np.testing.assert_array_equal(labels, predicted)
    assert labels.shape == predicted.shape
    expected = (estimator.predict_proba if hasattr(estimator, "predict_proba") else estimator.decision_function)(data)
    assert isinstance(scores, list) == isinstance(expected, list)
    pairs = zip(scores, expected, strict=True) if isinstance(scores, list) else [(scores, expected)]
    for values, wanted in pairs:
        assert values.dtype == dtype and values.shape == wanted.shape
        np.testing.assert_allclose(values, wanted, **tolerance)


# Activations


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_as_a_function(name, dtype):
    z = np.concatenate([np.linspace(-40, 40, 1601), [-1e30, -1e10, -1e4, -200, -100, 100, 200, 1e4, 1e10, 1e30]])
    z = z.astype(dtype)[:, None]
    model = MLPRegressor(hidden_layer_sizes=(1,), activation=name, max_iter=1).fit(z[600:900], z[600:900, 0])
    model.coefs_ = [np.ones((1, 1), dtype), np.ones((1, 1), dtype)]
    model.intercepts_ = [np.zeros(1, dtype), np.zeros(1, dtype)]
    for opset in (15, 18, 20):  # where the operators that take the place of formulas begin
        (values,) = _run(model.to_onnx(dtype=dtype, opset=opset), z)
        assert np.isfinite(values).all()
        np.testing.assert_allclose(values[:, 0], model.predict(z), rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] / 10)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_in_a_model(name, kind):
    y = CLASSES["multiclass"] if kind is MLPClassifier else NUMBERS["several outputs"]
    model = _fitted(kind(hidden_layer_sizes=(9, 7), activation=name), y, scale=2.0)
    data = X.astype(np.float32)
    _assert_predicts(_run(model.to_onnx(), data), model, data)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_opset_and_an_activation_for_each_layer(dtype):
    model = _fitted(MLPClassifier((6,) * len(ACTIVATIONS), list(ACTIVATIONS)), CLASSES["multiclass"], dtype, scale=1.5)
    data = X.astype(dtype)
    for opset in range(15, LATEST + 1):
        graph = model.to_onnx(dtype=dtype, opset=opset)
        assert graph.opset_import[0].version == opset
        if _runs(opset):
            results = _run(graph, data)
        else:
            results = reference.ReferenceEvaluator(graph).run(None, {"X": data})
        _assert_predicts(results, model, data, dtype)


def test_what_a_runtime_of_two_years_ago_reads_is_the_default():
    graph = _fitted(MLPRegressor(), NUMBERS["one output"]).to_onnx()
    assert (graph.ir_version, [(i.domain, i.version) for i in graph.opset_import]) == (8, [("", 18)])
    assert (graph.producer_name, graph.producer_version) == ("fastmlp", fastmlp.__version__)


# Losses and targets


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("hidden", [(), (8,), (8, 3)])
@pytest.mark.parametrize("y", NUMBERS.values(), ids=NUMBERS)
@pytest.mark.parametrize("loss", [loss for loss, row in LOSS_ROWS.items() if row.target == "real"])
def test_regression(loss, y, hidden, dtype):
    model = _fitted(MLPRegressor(loss, hidden), np.exp(y / 4), dtype)  # positive, as some losses want it
    session = _session(model.to_onnx(dtype=dtype))
    assert [(i.name, i.shape) for i in session.get_inputs()] == [("X", ["n_samples", N_FEATURES])]
    assert [(o.name, o.shape) for o in session.get_outputs()] == [("variable", ["n_samples", model.n_outputs_])]
    data = X.astype(dtype)
    results = session.run(None, {"X": data})
    assert results[0].shape == (len(X), model.n_outputs_)
    _assert_predicts(results, model, data, dtype)
    assert session.run(None, {"X": data[:0]})[0].shape == (0, model.n_outputs_)


def test_several_quantiles():
    model = _fitted(MLPRegressor("quantile", (8,), quantile=[0.1, 0.5, 0.9]), NUMBERS["one output"])
    results = _run(model.to_onnx(), X.astype(np.float32))
    assert results[0].shape == (len(X), 3)
    _assert_predicts(results, model, X.astype(np.float32))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("levels", [(0.1, 0.5, 0.7, 0.9), [0.5, 0.9, 0.1, 0.7]])
def test_quantiles_that_cross_are_sorted(levels, dtype):
    data = X.astype(dtype)
    model = _fitted(MLPRegressor("quantile", (8,), quantile=levels), NUMBERS["one output"], dtype)
    (unsorted,) = _run(model.to_onnx(dtype=dtype), data)
    assert (np.diff(unsorted[:, np.argsort(levels)]) < 0).any(axis=1).mean() > 0.2
    model.sort_quantiles = True
    for opset in (15, 18, LATEST):
        graph = model.to_onnx(dtype=dtype, opset=opset)
        if _runs(opset):
            session = _session(graph)
            (values,) = session.run(None, {"X": data})
            _assert_predicts([values], model, data, dtype)
            np.testing.assert_array_equal(values[:, np.argsort(levels)], np.sort(unsorted))
            assert session.run(None, {"X": data[:0]})[0].shape == (0, 4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("hidden", [(), (8,)])
@pytest.mark.parametrize("loss, target", LOSSES_AND_CLASSES)
def test_classification(loss, target, hidden, dtype):
    model = _fitted(MLPClassifier(hidden, loss=loss), CLASSES[target], dtype, scale=3.0)
    session = _session(model.to_onnx(dtype=dtype))
    second = "scores" if loss == "hinge" else "probabilities"
    assert [o.name for o in session.get_outputs()] == ["label", second]
    data = X.astype(dtype)
    widths = [model.predict(data).shape[1:]]
    if target != "multioutput":  # whose probabilities are a sequence and have no shape
        widths.append((model.decision_function if loss == "hinge" else model.predict_proba)(data).shape[1:])
    for output, width in zip(session.get_outputs(), widths, strict=False):
        assert output.shape == ["n_samples", *width]
    results = session.run(None, {"X": data})
    assert results[0].dtype == np.int64
    _assert_predicts(results, model, data, dtype)
    labels, scores = session.run(None, {"X": data[:0]})
    assert labels.shape == (0, *widths[0])
    if target != "multioutput":
        assert scores.shape == (0, *widths[1])


@pytest.mark.parametrize("dtype", [str, object, "int8", "uint16", float, bool])
@pytest.mark.parametrize("target", ["binary", "multiclass", "multioutput"])
def test_labels_of_every_type(target, dtype):
    y = CLASSES[target] - CLASSES[target].min()
    y = np.array(["niño", "b", "c c", "d"] * 11)[y] if dtype in (str, object) else y
    y = y.astype(dtype)
    model = _fitted(MLPClassifier((8,)), y)
    data = X.astype(np.float32)
    labels, _ = _run(model.to_onnx(), data)
    assert labels.dtype == (object if dtype in (str, object) else np.int64)
    np.testing.assert_array_equal(labels, model.predict(data))
    assert len(np.unique(labels)) > 1


@pytest.mark.parametrize("classes", [[0.5, 1], [0, 1e300], [0, np.nan], np.array([0, 2**63], np.uint64), [b"a", b"b"]])
def test_labels_that_onnx_has_not_are_refused(classes):
    model = _fitted(MLPClassifier((8,)), CLASSES["binary"])
    model.classes_ = np.array(classes)
    with pytest.raises(ValueError, match="classes_ must be strings or whole numbers of 64 bits"):
        model.to_onnx()


def test_labels_of_two_types_are_refused():
    y = np.stack([CLASSES["binary"].astype(object), CLASSES["binary"].astype(str)], axis=1)
    with pytest.raises(ValueError, match="strings, or whole numbers, of all outputs"):
        _fitted(MLPClassifier((8,)), y).to_onnx()


@pytest.mark.parametrize("loss, target", [case for case in LOSSES_AND_CLASSES if case[1] != "one class"])
def test_ties_and_the_threshold_itself(loss, target):
    model = _fitted(MLPClassifier((8,), loss=loss), CLASSES[target])
    model.coefs_[-1][...] = 0
    model.intercepts_[-1][...] = 0
    data = X.astype(np.float32)
    labels, scores = _run(model.to_onnx(), data)
    first = np.zeros(4, int) if target == "multilabel" else [np.unique(y)[0] for y in CLASSES[target].T.reshape(-1, 67)]
    assert (labels == (first if labels.ndim == 2 else first[0])).all()
    _assert_predicts([labels, scores], model, data)
    # the next numbers above decide for the other
    model.intercepts_[-1][-1] = 1e-6
    assert (_run(model.to_onnx(), data)[0] == model.predict(data)).all()
    assert (model.predict(data) != labels).any()


def test_extreme_inputs():
    data = np.array([[1e4, -1e4, 0, 1e-30, 1], [-1e4] * 5, [1e4] * 5, [1e30, -1e30, 1e30, 1e25, -1e20]], np.float32)
    for name in ACTIVATIONS:
        model = _fitted(MLPClassifier((9, 7), name), CLASSES["multiclass"])
        expected = model.predict_proba(data)
        results = _run(model.to_onnx(), data)
        assert not np.isnan(results[1][~np.isnan(expected)]).any()
        np.testing.assert_allclose(results[1][:3], expected[:3], rtol=1e-4, atol=1e-4)
    model = _fitted(MLPRegressor("poisson", (9,)), np.exp(Z[:, 0] / 4))
    np.testing.assert_array_equal(_run(model.to_onnx(), data * 1e3)[0][:, 0], model.predict(data * 1e3))
    assert {0, np.inf} & set(model.predict(data * 1e3))


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("y", NUMBERS.values(), ids=NUMBERS)
def test_models_of_scikit_learn(y, loss):
    y = np.exp(y / 4)
    theirs = neural_network.MLPRegressor(loss=loss, hidden_layer_sizes=(8,), max_iter=30, random_state=0).fit(X, y)
    (values,) = _run(fastmlp.from_sklearn(theirs).to_onnx(dtype="float64"), X)
    np.testing.assert_allclose(values, theirs.predict(X).reshape(values.shape), rtol=1e-12)
    (values,) = _run(fastmlp.from_sklearn(theirs).to_onnx(), X.astype(np.float32))
    np.testing.assert_allclose(values, theirs.predict(X).reshape(values.shape), rtol=1e-5, atol=1e-5)


# Perceptrons


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("target", ["binary", "multiclass"])
def test_a_perceptron(target, dtype):
    data = X.astype(dtype)
    for y in (CLASSES[target], CLASSES[target].astype(str)):
        model = Perceptron(max_iter=5, tol=None).fit(data, y)
        session = _session(model.to_onnx(dtype=dtype))
        widths = [] if target == "binary" else [4]
        outputs = [(output.name, output.shape) for output in session.get_outputs()]
        assert outputs == [("label", ["n_samples"]), ("scores", ["n_samples", *widths])]
        results = session.run(None, {"X": data})
        assert results[0].dtype == (object if y.dtype.kind == "U" else np.int64)
        _assert_predicts(results, model, data, dtype)
        assert [result.shape for result in session.run(None, {"X": data[:0]})] == [(0,), (0, *widths)]
        sparsified = Perceptron(max_iter=5, tol=None).fit(data, y).sparsify()
        assert sparsified.to_onnx(dtype=dtype) == model.to_onnx(dtype=dtype)


whole = st.integers(-50, 50)


@settings(max_examples=40, derandomize=True, database=None)
@given(st.data(), st.integers(2, 5), st.integers(1, 4))
def test_any_perceptron_on_whole_numbers(data, n_classes, n_features):
    """Equal to the bit, ties and sums of 0 included: float32 makes no error."""
    n_neurons = 1 if n_classes == 2 else n_classes
    model = Perceptron().partial_fit(np.ones((1, n_features)), [0], classes=np.arange(n_classes))
    model.coef_ = data.draw(hnp.arrays(np.float64, (n_neurons, n_features), elements=whole))
    model.intercept_ = data.draw(hnp.arrays(np.float64, n_neurons, elements=whole))
    rows = data.draw(hnp.arrays(np.float32, (9, n_features), elements=whole))
    labels, scores = _run(model.to_onnx(), rows)
    np.testing.assert_array_equal(labels, model.predict(rows))
    np.testing.assert_array_equal(scores, model.decision_function(rows))


def test_perceptrons_that_cannot_be():
    with pytest.raises(NotFittedError):
        Perceptron().to_onnx()
    model = Perceptron().fit(X, CLASSES["binary"])
    model.coef_ = model.coef_ * 1e39
    with pytest.raises(ValueError, match="^coef_ has values beyond float32"):
        model.to_onnx()


# Files and refusals


def test_a_file(tmp_path):
    model = _fitted(MLPClassifier((8,)), CLASSES["multiclass"])
    onnx.save(model.to_onnx(), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    data = X.astype(np.float32)
    _assert_predicts(session.run(None, {"X": data}), model, data)


def test_parameters_assigned_by_the_user():
    model = _fitted(MLPRegressor(hidden_layer_sizes=(8,)), NUMBERS["one output"])
    model.coefs_ = [coef.round(1).tolist() for coef in model.coefs_]
    model.intercepts_ = [1, [2]]  # one for all units
    data = X.astype(np.float32)
    _assert_predicts(_run(model.to_onnx(), data), model, data)


@pytest.mark.parametrize("opset", [14, LATEST + 1])
def test_opsets_out_of_range(opset):
    with pytest.raises(ValueError, match=f"opset={opset} must be from 15 to {LATEST}"):
        _fitted(MLPRegressor(), NUMBERS["one output"]).to_onnx(opset=opset)


@pytest.mark.parametrize("dtype", ["float16", "double", int, None])
def test_other_dtypes(dtype):
    with pytest.raises(ValueError, match="must be 'float32' or 'float64'"):
        _fitted(MLPRegressor(), NUMBERS["one output"]).to_onnx(dtype=dtype)


def test_dtypes_as_classes():
    model = _fitted(MLPRegressor(), NUMBERS["one output"])
    assert model.to_onnx(dtype=np.float64) == model.to_onnx(dtype="float64")


def test_models_that_cannot_be():
    with pytest.raises(NotFittedError):
        MLPClassifier().to_onnx()
    model = _fitted(MLPRegressor(), NUMBERS["one output"], "float64")
    model.coefs_[0][1, 1] = 1e39
    with pytest.raises(ValueError, match="beyond float32"):
        model.to_onnx()
    assert np.isfinite(_run(model.to_onnx(dtype="float64"), X)[0]).all()


def test_models_larger_than_a_file_may_be(monkeypatch):
    assert onnx_nodes._MOST_BYTES < 2**31
    model = _fitted(MLPRegressor(hidden_layer_sizes=(8,)), NUMBERS["one output"])
    size = 4 * (5 * 8 + 8 + 8 + 1)
    monkeypatch.setattr(onnx_nodes, "_MOST_BYTES", size)
    model.to_onnx()
    with pytest.raises(ValueError, match=f"take {2 * size} bytes in float64"):
        model.to_onnx(dtype="float64")


def test_without_the_extra(monkeypatch):
    model = _fitted(MLPRegressor(), NUMBERS["one output"])
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r'to_onnx needs onnx: pip install "fastmlp\[onnx\]"'):
        model.to_onnx()
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(ImportError, match=r'needs skl2onnx: pip install "fastmlp\[onnx\]"'):
        fastmlp.register_onnx_converters()


# Pipelines


@pytest.fixture
def skl2onnx():
    module = pytest.importorskip("skl2onnx")
    fastmlp.register_onnx_converters()
    fastmlp.register_onnx_converters()  # more often is the same
    return module


def _converted(skl2onnx, model, data, **kwargs):
    """What the graph that skl2onnx makes of a model gives for the data."""
    options = {"zipmap": False} if hasattr(model, "classes_") else None
    graph = skl2onnx.to_onnx(model, data[:1], **{"options": options, **kwargs})
    results = _run(graph, data)
    for output, result in zip(graph.graph.output, results, strict=True):
        if isinstance(result, np.ndarray) and output.name in ("label", "probabilities", "variable"):
            assert [d.dim_value for d in output.type.tensor_type.shape.dim] == [0, *result.shape[1:]]
    return results


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("target", ["binary", "multiclass", "multilabel", "multioutput"])
def test_a_pipeline_that_classifies(skl2onnx, target, dtype):
    data = X.astype(dtype)
    model = make_pipeline(StandardScaler(), MLPClassifier((8,), "gelu", max_iter=5, random_state=0))
    model.fit(data, CLASSES[target])
    _assert_predicts(_converted(skl2onnx, model, data), model, data, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("y", NUMBERS.values(), ids=NUMBERS)
def test_a_pipeline_that_predicts_numbers(skl2onnx, y, loss, dtype):
    data = X.astype(dtype)
    model = make_pipeline(StandardScaler(), MLPRegressor(loss, (8,), "mish", max_iter=5, random_state=0))
    model.fit(data, np.exp(y / 4))
    results = _converted(skl2onnx, model, data)
    assert results[0].shape == (len(X), NUMBERS["several outputs"].shape[1] if y.ndim == 2 else 1)
    _assert_predicts(results, model, data, dtype)


def test_a_pipeline_that_sorts_quantiles(skl2onnx):
    data = X.astype(np.float32)
    network = MLPRegressor("quantile", (8,), quantile=[0.9, 0.1, 0.5], sort_quantiles=True, max_iter=1, random_state=0)
    model = make_pipeline(StandardScaler(), network).fit(data, NUMBERS["one output"])
    (values,) = _converted(skl2onnx, model, data)
    _assert_predicts([values], model, data)
    assert (np.diff(values[:, [1, 2, 0]]) >= 0).all()


def test_a_table_of_mixed_columns(skl2onnx):
    pandas = pytest.importorskip("pandas")
    types = skl2onnx.common.data_types
    frame = pandas.DataFrame(X.astype(np.float32), columns=list("vwxyz"))
    frame.iloc[::7, 1] = np.nan
    frame["kind"] = np.array(["low", "mid", "high"])[np.arange(len(X)) % 3]
    model = make_pipeline(
        make_column_transformer(
            (make_pipeline(SimpleImputer(), StandardScaler()), list("vwxyz")),
            (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["kind"]),
        ),
        MLPClassifier((8,), "tanh", max_iter=5, random_state=0),
    ).fit(frame, CLASSES["binary"].astype(str))
    kinds = {**dict.fromkeys("vwxyz", types.FloatTensorType([None, 1])), "kind": types.StringTensorType([None, 1])}
    graph = skl2onnx.to_onnx(model, initial_types=list(kinds.items()), options={"zipmap": False})
    results = _session(graph).run(None, {name: frame[[name]].to_numpy() for name in frame})
    np.testing.assert_array_equal(results[0], model.predict(frame))
    np.testing.assert_allclose(results[1], model.predict_proba(frame), rtol=1e-5, atol=1e-5)


def test_whole_numbers_as_input(skl2onnx):
    data = np.round(X * 3).astype(np.int64)
    model = MLPClassifier((8,), max_iter=5, random_state=0, dtype="float32").fit(data, CLASSES["binary"])
    graph = skl2onnx.to_onnx(model, data[:1], options={"zipmap": False})
    _assert_predicts(_run(graph, data), model, data)


def test_options_of_a_classifier(skl2onnx):
    data = X.astype(np.float32)
    model = MLPClassifier((8,), max_iter=5, random_state=0).fit(data, CLASSES["binary"].astype(str))
    probabilities = model.predict_proba(data)
    labels, dicts = _converted(skl2onnx, model, data, options=None)
    assert [list(d) for d in dicts] == [["-3", "12"]] * len(X)
    np.testing.assert_allclose([list(d.values()) for d in dicts], probabilities, rtol=1e-5, atol=1e-5)
    labels, first, second = _converted(skl2onnx, model, data, options={"zipmap": "columns"})
    np.testing.assert_array_equal(labels, model.predict(data))
    np.testing.assert_allclose(np.stack([first, second], axis=1), probabilities, rtol=1e-5, atol=1e-5)
    numbers = _converted(skl2onnx, model, data, options={"zipmap": False, "nocl": True})[0]
    assert numbers.dtype == np.int64
    np.testing.assert_array_equal(model.classes_[numbers], labels)
    *_, classes = _converted(skl2onnx, model, data, options={"zipmap": False, "output_class_labels": True})
    assert classes.tolist() == ["-3", "12"]


def test_one_class_needs_another_option(skl2onnx):
    data = X.astype(np.float32)
    model = MLPClassifier((8,), max_iter=1).fit(data, CLASSES["one class"])
    _assert_predicts(_converted(skl2onnx, model, data), model, data)
    with pytest.raises(ValueError, match="needs zipmap=False"):
        skl2onnx.to_onnx(model, data[:1])


def test_scores_of_two_classes_have_both_signs(skl2onnx):
    data = X.astype(np.float32)
    model = MLPClassifier((8,), loss="hinge", max_iter=5, random_state=0).fit(data, CLASSES["binary"])
    labels, scores = _converted(skl2onnx, model, data)
    np.testing.assert_array_equal(labels, model.predict(data))
    np.testing.assert_allclose(scores, model.decision_function(data)[:, None] * [-1, 1], rtol=1e-5, atol=1e-5)
    stack = StackingClassifier([("hinge", model)], cv="prefit").fit(data, CLASSES["binary"])
    with pytest.raises(ValueError, match="within a StackingClassifier"):
        skl2onnx.to_onnx(stack, data[:1])
    stack = StackingClassifier([("other", LogisticRegression())], model, cv=2).fit(data, CLASSES["binary"])
    np.testing.assert_array_equal(_converted(skl2onnx, stack, data)[0], stack.predict(data))


OPTIONS = [{"zipmap": False}, {"zipmap": True}, {"zipmap": "columns"}, {"zipmap": False, "nocl": True}]


@pytest.mark.parametrize("target", ["binary", "multiclass"])
def test_perceptrons_as_scikit_learn_s(skl2onnx, target):
    """Outputs have the same names, types, shapes and values."""
    data = X.astype(np.float32)
    for options in OPTIONS:
        of_both = []
        for kind in (Perceptron, linear_model.Perceptron):
            model = make_pipeline(StandardScaler(), kind(max_iter=5, tol=None)).fit(data, CLASSES[target].astype(str))
            graph = skl2onnx.to_onnx(model, data[:1], options=options)
            of_both.append(([output.name for output in graph.graph.output], _run(graph, data)))
        (names, ours), (their_names, theirs) = of_both
        assert names == their_names
        for result, expected in zip(ours, theirs, strict=True):
            if isinstance(result, list):
                assert [list(row) for row in result] == [list(row) for row in expected]
                result, expected = ([list(row.values()) for row in rows] for rows in (result, expected))
            result, expected = np.asarray(result), np.asarray(expected)
            assert (result.dtype, result.shape) == (expected.dtype, expected.shape)
            if result.dtype == np.float32:
                np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)
            else:
                np.testing.assert_array_equal(result, expected)
    with pytest.raises(ValueError, match=r"Perceptron, with two classes, .* within a StackingClassifier"):
        stack = StackingClassifier([("p", Perceptron())], cv=2).fit(data, CLASSES["binary"])
        skl2onnx.to_onnx(stack, data[:1])


def test_opsets_of_pipelines(skl2onnx):
    data = X.astype(np.float32)
    model = MLPRegressor(hidden_layer_sizes=(8,), activation="hard_swish", max_iter=1).fit(data, NUMBERS["one output"])
    for opset in (15, 17):
        graph = skl2onnx.to_onnx(model, data[:1], target_opset=opset)
        assert graph.opset_import[0].version <= opset
        _assert_predicts(_run(graph, data), model, data)
    with pytest.raises(ValueError, match="opset=14 must be"):
        skl2onnx.to_onnx(model, data[:1], target_opset=14)


def _classifier(**params):
    return MLPClassifier((6,), max_iter=20, random_state=0, **params)


@pytest.mark.parametrize(
    "target, model",
    [
        (
            "multiclass",
            GridSearchCV(make_pipeline(StandardScaler(), _classifier()), {"mlpclassifier__alpha": [1]}, cv=2),
        ),
        ("binary", CalibratedClassifierCV(_classifier(), cv=2)),
        ("binary", CalibratedClassifierCV(_classifier(loss="hinge"), cv=2)),
        ("multiclass", CalibratedClassifierCV(_classifier(loss="hinge"), cv=2)),
        ("multiclass", CalibratedClassifierCV(Perceptron(), cv=2)),
        ("multiclass", StackingClassifier([("a", Perceptron())], cv=2)),
        ("multiclass", OneVsRestClassifier(_classifier())),
        ("binary", StackingClassifier([("a", _classifier()), ("b", _classifier(activation="silu"))], cv=2)),
        ("multiclass", StackingClassifier([("a", LogisticRegression())], _classifier(), cv=2)),
        (
            "multiclass",
            VotingClassifier([("a", _classifier()), ("b", _classifier())], voting="soft", flatten_transform=False),
        ),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_classifiers_of_classifiers(skl2onnx, target, model):
    data = X.astype(np.float32)
    model.fit(data, CLASSES[target])
    labels, probabilities = _converted(skl2onnx, model, data)
    np.testing.assert_array_equal(labels, model.predict(data))
    np.testing.assert_allclose(probabilities, model.predict_proba(data), rtol=1e-5, atol=1e-5)


def test_regressors_of_regressors(skl2onnx):
    data = X.astype(np.float32)
    ours = MLPRegressor(hidden_layer_sizes=(6,), max_iter=5, random_state=0)
    for model, y in [
        (StackingRegressor([("ours", ours)], ours, cv=2), NUMBERS["one output"]),
        (MultiOutputRegressor(ours), NUMBERS["several outputs"]),
    ]:
        _assert_predicts(_converted(skl2onnx, model.fit(data, y), data), model, data)
