"""Models as C: compiled, and compared with the estimators row by row."""

import ctypes
import re
import shutil
from copy import deepcopy
from itertools import product

import numpy as np
import pandas as pd
import pytest
from compiling import CC, FAST, SANITIZE, has_sanitizers, library_of, memory_of, outputs_of, run
from sklearn import neural_network
from sklearn.base import is_classifier
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPClassifier, MLPRegressor, Perceptron, from_sklearn
from fastmlp.engine import ACTIVATIONS, LOSSES
from fastmlp.engine.kernels import apply
from fastmlp.exports.c_text import ACTIVATIONS as FORMULAS
from fastmlp.exports.layers import network_of

DTYPES = ["float32", "int8"]

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.skipif(CC is None, reason="there is no C compiler"),
]
every_dtype = pytest.mark.parametrize("dtype", DTYPES)

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 7)).astype(np.float32)
Z = X @ rng.normal(size=(7, 4))
WORDS = np.array(["no", "yes", "perhaps"])


def _target(kind):
    """An estimator and its y."""
    classifier, regressor = MLPClassifier, MLPRegressor
    return {
        "binary": (classifier(), Z[:, 0] > 0),
        "multiclass": (classifier(), Z.argmax(axis=1) * 5 - 3),
        "words": (classifier(), WORDS[Z[:, :3].argmax(axis=1)]),
        "multilabel": (classifier(), (Z[:, :3] > 0).astype(int)),
        "multioutput": (classifier(), np.array([Z[:, :3].argmax(axis=1), Z[:, 3] > 0, Z.argmin(axis=1) + 7]).T),
        "one class": (classifier(), np.full(len(X), 4)),
        "binary hinge": (classifier(loss="hinge"), Z[:, 0] > 0),
        "hinge": (classifier(loss="hinge"), Z.argmax(axis=1)),
        "multilabel hinge": (classifier(loss="hinge"), (Z[:, :3] > 0).astype(int)),
        "regression": (regressor(), Z[:, 0]),
        "several outputs": (regressor(), Z),
        "poisson": (regressor(loss="poisson"), np.exp(Z[:, 1] / 3)),
        "quantiles": (regressor(loss="quantile", quantile=[0.1, 0.5, 0.9]), Z[:, 0]),
        "sorted quantiles": (regressor("quantile", quantile=[0.9, 0.1, 0.5, 0.3], sort_quantiles=True), Z[:, 0]),
        "perceptron": (Perceptron(), Z.argmax(axis=1) * 5 - 3),
        "two class perceptron": (Perceptron(), WORDS[(Z[:, 0] > 0).astype(int)]),
    }[kind]


def _fitted(model, X, y, **params):
    """The estimator with those of the parameters that it has."""
    return model.set_params(**{name: params[name] for name in params.keys() & model.get_params()}).fit(X, y)


KINDS = (
    "binary, multiclass, words, multilabel, multioutput, one class, binary hinge, hinge, multilabel hinge, regression,"
    " several outputs, poisson, quantiles, sorted quantiles, perceptron, two class perceptron"
).split(", ")
# hidden layers, their activations and the precision of the model
SHAPES = [
    ((), "relu", np.float64),
    ((5,), "gelu", np.float32),
    ((31, 1, 6), ["tanh", "identity", "mish"], np.float64),
]


class Compiled:
    """The functions of a source in a library, on rows of arrays."""

    def __init__(self, library, name, source):
        self.sizes = {
            key: int(size) for key, size in re.findall(rf"^#define {name.upper()}_(\w+) (\d+)$", source, re.MULTILINE)
        }
        self.library, self.name, self.source = library, name, source

    def rows(self, function, X, n_outputs, dtype=ctypes.c_float):
        call = getattr(self.library, f"{self.name}_{function}")
        call.restype = None
        out = (dtype * (n_outputs + 1))()
        results = []
        for row in np.asarray(X, dtype=np.float32):
            out[:] = [77] * (n_outputs + 1)
            call(np.ascontiguousarray(row).ctypes.data_as(ctypes.POINTER(ctypes.c_float)), out)
            assert out[n_outputs] == 77
            results.append(out[:n_outputs])
        return np.array(results)

    def labels(self, suffix=""):
        name = f"{self.name}_classes{suffix}"
        kind, size = re.search(rf"^const (.+){name}\[(\d+)\]", self.source, re.MULTILINE).groups()
        kind = {"int32_t": ctypes.c_int32, "int64_t": ctypes.c_int64}.get(kind.strip(), ctypes.c_char_p)
        return list((kind * int(size)).in_dll(self.library, name))

    def predict(self, X):
        if "N_TARGETS" in self.sizes:
            codes = self.rows("predict", X, self.sizes["N_TARGETS"], ctypes.c_int)
            return np.array([np.take(self.labels(f"_{k}"), column) for k, column in enumerate(codes.T)]).T
        if "N_CLASSES" in self.sizes:
            call = getattr(self.library, f"{self.name}_predict")
            codes = [
                call(np.ascontiguousarray(row).ctypes.data_as(ctypes.POINTER(ctypes.c_float)))
                for row in np.asarray(X, dtype=np.float32)
            ]
            return np.take(self.labels(), codes)
        integers = f"{self.name}_predict(const float *x, int *out)" in self.source
        return self.rows("predict", X, self.sizes["N_OUTPUTS"], ctypes.c_int if integers else ctypes.c_float)

    def scores(self, X):
        """What the estimator's `_scores` are."""
        function = re.search(rf"^void {self.name}_(\w+)\(const float \*x, float \*out\);", self.source, re.MULTILINE)
        return self.rows(function[1], X, self.sizes["N_OUTPUTS"])


def _scores(model, X):
    if not is_classifier(model):
        scores = model.predict(X)
    else:
        scores = (model.predict_proba if hasattr(model, "predict_proba") else model.decision_function)(X)
    scores = np.hstack(scores) if isinstance(scores, list) else scores
    return scores.reshape(len(X), -1)


def _integer_outputs(model, X):
    """What the int8 source computes, in NumPy: the outputs before their activation."""
    a = X.astype(float)
    layers = network_of(model).layers
    for i, (coef, intercept, activation, _) in enumerate(layers):
        coef = coef.astype(float)
        if i == 0:
            factors = np.abs(coef).max(axis=1)
            a, coef = a * factors, coef / np.where(factors > 0, factors, 1)[:, None]
        scale = np.abs(coef).max(axis=0) / 127
        weights = np.rint(coef / np.where(scale > 0, scale, 1))
        limit = min(32767, (2**31 - 1) // max(1, np.abs(weights).sum(axis=0).max()))
        step = np.abs(a).max(axis=1, keepdims=True) / limit
        z = np.rint(a / np.where(step > 0, step, 1)) @ weights * scale * step + intercept
        a = z if i == len(layers) - 1 else apply(activation, z)
    return a


def _assert_close(got, expected, tolerance):
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Every kind of target with every shape, in both forms, as one library."""
    models, sources = {}, {}
    for i, (kind, (shape, (units, activation, precision))) in enumerate(product(KINDS, enumerate(SHAPES))):
        model, y = _target(kind)
        params = {"hidden_layer_sizes": units, "activation": activation, "max_iter": 20, "random_state": i}
        models[kind, shape] = _fitted(model, X.astype(precision), y, **params)
        sources |= {f"m{i}_{dtype}": model.to_c(name=f"m{i}_{dtype}", dtype=dtype) for dtype in DTYPES}
    library = library_of(tmp_path_factory.mktemp("c"), sources)
    return {
        key: (model, {dtype: Compiled(library, f"m{i}_{dtype}", sources[f"m{i}_{dtype}"]) for dtype in DTYPES})
        for i, (key, model) in enumerate(models.items())
    }


every_shape = pytest.mark.parametrize("shape", range(len(SHAPES)))


@every_shape
@pytest.mark.parametrize("kind", KINDS)
def test_every_row_agrees(compiled, kind, shape):
    model, of_dtype = compiled[kind, shape]
    rows = X.astype(SHAPES[shape][2])
    expected = model.predict(rows)
    if is_classifier(model):
        expected = np.char.encode(expected) if expected.dtype.kind == "U" else expected
        np.testing.assert_array_equal(of_dtype["float32"].predict(X), expected)
    else:
        _assert_close(of_dtype["float32"].predict(X), expected.reshape(len(X), -1), 1e-5)
    scores = _scores(model, rows)
    _assert_close(of_dtype["float32"].scores(X), scores, 1e-5)
    # 8 bits are two digits and a half
    assert np.abs(of_dtype["int8"].scores(X) - scores).max() <= 0.03 * max(1, np.abs(scores).max())


@every_shape
@pytest.mark.parametrize("kind", ["several outputs", "hinge", "quantiles", "perceptron"])
def test_integers_are_those_of_the_formula(compiled, kind, shape):
    model, of_dtype = compiled[kind, shape]
    outputs, scores = _integer_outputs(model, X), of_dtype["int8"].scores(X)
    _assert_close(scores, outputs, 1e-4)
    # a number halfway between two steps may be rounded otherwise, but few are
    assert np.median(np.abs(scores - outputs)) <= 2e-6 * np.abs(outputs).max()
    if is_classifier(model):
        np.testing.assert_array_equal(of_dtype["int8"].predict(X), model.classes_[outputs.argmax(axis=1)])


def test_every_activation_has_a_formula():
    assert set(FORMULAS) | {"identity", "softmax"} == {*ACTIVATIONS, *LOSSES.values()}


def _one_unit(activation):
    """A network that is an activation."""
    model = MLPRegressor(hidden_layer_sizes=1, activation=activation, max_iter=1).fit(X[:, :1], Z[:, 0])
    model.coefs_ = [np.ones((1, 1), dtype=np.float32)] * 2
    model.intercepts_ = [np.zeros(1, dtype=np.float32)] * 2
    return model


@pytest.mark.parametrize("flags", [[], FAST], ids=["plain", "fast"])
def test_every_activation(tmp_path, flags):
    far = np.geomspace(1e-38, 1e30)
    z = np.concatenate([np.linspace(-12, 12, 481), [0.0, 89, 104], far, -far]).astype(np.float32)
    sources = {f"a_{name}": _one_unit(name).to_c(name=f"a_{name}") for name in ACTIVATIONS}
    library = library_of(tmp_path, sources, *flags)
    for name in ACTIVATIONS:
        got = Compiled(library, f"a_{name}", sources[f"a_{name}"]).predict(z[:, None])[:, 0]
        np.testing.assert_allclose(got, apply(name, z.copy()), rtol=5e-6, atol=1e-20, err_msg=name)


@every_dtype
@pytest.mark.parametrize("flags", [["-O0"], ["-O2", "-DNET_STORAGE="], ["-O3", "-march=native", *FAST]], ids=" ".join)
def test_flags_change_nothing(tmp_path, flags, dtype):
    y = Z.argmax(axis=1)
    model = MLPClassifier((33, 17), activation=["gelu_tanh", "mish"], max_iter=30, random_state=0).fit(X, y)
    source = model.to_c(name="net", dtype=dtype)
    got = Compiled(library_of(tmp_path, {"net": source}, *flags), "net", source)
    _assert_close(got.scores(X), model.predict_proba(X), 1e-5 if dtype == "float32" else 0.02)
    assert np.mean(got.predict(X) == model.predict(X)) > 0.95


def test_large_outputs_have_probabilities(tmp_path):
    models = {}
    for kind in ("binary", "multiclass", "multilabel", "multioutput"):
        model, y = _target(kind)
        model.set_params(hidden_layer_sizes=(), max_iter=20, random_state=0).fit(X, y)
        model.coefs_ = [coef * 3000 for coef in model.coefs_]
        models[kind] = model
    sources = {kind: model.to_c(name=kind) for kind, model in models.items()}
    library = library_of(tmp_path, sources)
    for kind, model in models.items():
        scores = Compiled(library, kind, sources[kind]).scores(X)
        np.testing.assert_allclose(scores, _scores(model, X), rtol=0, atol=1e-3)
        assert ((scores < 1e-6) | (scores > 1 - 1e-6)).mean() > 0.9


def test_sizes_of_inputs(tmp_path):
    """Numbers from the smallest to the largest, and a layer whose sums need the limit."""
    sources, models = {}, {}
    for n in (1, 17, 900):
        wide = np.random.default_rng(n).normal(size=(20, n)).astype(np.float32)
        models[n] = MLPRegressor(hidden_layer_sizes=(3,), max_iter=2, random_state=0).fit(wide, wide[:, 0]), wide
        if n == 900:  # all weights are at their largest
            models[n][0].coefs_[0][...] = 0.5
        sources |= {f"n{n}_{dtype}": models[n][0].to_c(name=f"n{n}_{dtype}", dtype=dtype) for dtype in DTYPES}
    assert ", 18788, q)" in sources["n900_int8"]  # (2^31 - 1) / (127 * 900)
    library = library_of(tmp_path, sources, "-fsanitize=undefined", "-fno-sanitize-recover=all")
    for n, (model, wide) in models.items():
        for size in (1e-38, 1e-20, 1, 1e4, 1e20):
            rows = np.vstack([wide, np.ones((1, n)), -np.ones((1, n)), np.zeros((1, n))]).astype(np.float32)
            rows = rows / np.abs(rows).max() * np.float32(size)
            expected = model.predict(rows)[:, None]
            for dtype, tolerance in (("float32", 1e-5), ("int8", 0.02)):
                got = Compiled(library, f"n{n}_{dtype}", sources[f"n{n}_{dtype}"]).predict(rows)
                scale = np.abs(expected).max() + np.abs(rows).max() * np.abs(model.coefs_[0]).sum()
                np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("load", [load_digits, load_wine, load_breast_cancer, load_diabetes])
def test_int8_on_real_data(tmp_path, load):
    """As accurate, also with the scaler folded into the first layer."""
    data, y = load(return_X_y=True)
    y = (y - y.mean()) / y.std() if load is load_diabetes else y
    train, test, y_train, y_test = train_test_split(data, y, random_state=0)
    scaler = StandardScaler().fit(train)
    kind = MLPRegressor if load is load_diabetes else MLPClassifier
    model = kind(hidden_layer_sizes=(100,), max_iter=60, random_state=0).fit(scaler.transform(train), y_train)
    folded = deepcopy(model)
    folded.intercepts_[0] = model.intercepts_[0] - scaler.mean_ / scaler.scale_ @ model.coefs_[0]
    folded.coefs_[0] = model.coefs_[0] / scaler.scale_[:, None]
    sources = {
        "scaled": model.to_c(name="scaled", dtype="int8"),
        "folded": folded.to_c(name="folded", dtype="int8"),
        "full": folded.to_c(name="full"),
    }
    library = library_of(tmp_path, sources)
    expected = _scores(model, scaler.transform(test))
    for name, source in sources.items():
        got = Compiled(library, name, source)
        rows = scaler.transform(test) if name == "scaled" else test
        error = np.abs(got.scores(rows) - expected)
        assert np.median(error) <= (1e-5 if name == "full" else 0.02)
        if kind is MLPClassifier:
            accuracy = np.mean(got.predict(rows) == y_test)
            assert abs(accuracy - model.score(scaler.transform(test), y_test)) <= 0.01


@every_dtype
def test_memory_is_what_the_comment_says(tmp_path, dtype):
    if shutil.which("nm") is None:
        pytest.skip("there is no nm")
    model = MLPClassifier((13, 9, 11), max_iter=2, random_state=0).fit(X, Z.argmax(axis=1))
    source = model.to_c(dtype=dtype)
    constants, scratch = map(int, re.findall(r"(\d+) bytes", source))
    assert memory_of(tmp_path, source) == (constants, scratch)
    weights = 7 * 13 + 13 * 9 + 9 * 11 + 11 * 4
    if dtype == "float32":
        assert constants == 4 * (weights + 13 + 9 + 11 + 4) + 4 * 4
        assert scratch == 4 * (13 + 9 + 4)
    else:
        assert constants == weights + 4 * 2 * (13 + 9 + 11 + 4) + 4 * 7 + 4 * 4
        assert scratch == 4 * 13 + 2 * 13 + 4 * 4
    assert memory_of(tmp_path, source, "-DFASTMLP_STORAGE=") == (constants, 0)


@every_dtype
def test_other_files_get_the_declarations(tmp_path, dtype):
    model = MLPClassifier(7, max_iter=50, random_state=0).fit(X, WORDS[Z[:, :3].argmax(axis=1)])
    model.to_c(tmp_path / "net.c", name="net", dtype=dtype)
    main = f"""\
#include <stdio.h>
#define NET_DECLARATIONS
#include "net.c"
int main(void)
{{
    const float x[NET_N_FEATURES] = {{{", ".join(f"{value}f" for value in X[0])}}};
    float scores[NET_N_OUTPUTS];
    net_predict_proba(x, scores);
    printf("%d %s %.6f", NET_N_CLASSES, net_classes[net_predict(x)], (double)scores[0]);
    return 0;
}}
"""
    for written in outputs_of(tmp_path, main):
        count, word, score = written.split()
        assert (int(count), word) == (3, model.predict(X[:1])[0])
        assert abs(float(score) - model.predict_proba(X[:1])[0, 0]) < (2e-6 if dtype == "float32" else 0.02)


NASTY = [
    *("*/ int i;", "/* a", "//", 'a "b"', "back\\", "\\n", "??/", "two\nlines", "tab\t7", "\x017", "%s $name ${NAME}"),
    *("é漢🙂", "\ud800", "'", "{", "#include <x>", "a" * 300, "*\\"),
]


def test_names_and_labels_break_nothing(tmp_path):
    frame = pd.DataFrame(np.tile(X[:, :1], len(NASTY) - 1), columns=[name for name in NASTY if name != "\ud800"])
    columns = np.array([np.resize(NASTY, len(X)), np.resize(["x", "*/"], len(X))], dtype=object).T
    model = MLPClassifier(2, max_iter=1).fit(frame, columns)
    source = model.to_c(name="nasty")
    assert source.isascii()
    assert source.count("*/") == source.count("/*")
    compiled = Compiled(library_of(tmp_path, {"nasty": source}, "-trigraphs"), "nasty", source)
    assert compiled.labels("_0") == [label.encode("utf-8", "backslashreplace") for label in sorted(NASTY)]
    assert compiled.labels("_1") == [b"*/", b"x"]


@pytest.mark.parametrize(
    "labels, expected",
    [
        ([2**31, -1], [-1, 2**31]),
        ([0.0, 3.0], [0, 3]),
        ([2**31 - 1, 1 - 2**31], [1 - 2**31, 2**31 - 1]),
        (np.array([2**63 + 1, 7], dtype=np.uint64), [b"7", b"9223372036854775809"]),
        (np.array(["1", "2"], dtype=object), [b"1", b"2"]),
        ([True, False], [0, 1]),
    ],
    ids=str,
)
def test_labels(tmp_path, labels, expected):
    model = MLPClassifier(2, max_iter=1).fit(X, np.resize(labels, len(X)))
    source = model.to_c(name="net")
    assert Compiled(library_of(tmp_path, {"net": source}), "net", source).labels() == expected


def test_taken_over_from_scikit_learn(tmp_path):
    theirs = neural_network.MLPClassifier((5,), max_iter=30, random_state=0).fit(X, (Z > 0).astype(int))
    source = from_sklearn(theirs).to_c(name="net")
    compiled = Compiled(library_of(tmp_path, {"net": source}), "net", source)
    _assert_close(compiled.scores(X), theirs.predict_proba(X), 1e-5)
    np.testing.assert_array_equal(compiled.predict(X), theirs.predict(X))


@every_dtype
def test_sanitizers_find_nothing(tmp_path, dtype):
    """Whatever the numbers, those that predict refuses included."""
    if not has_sanitizers(tmp_path):
        pytest.skip("the compiler has no sanitizers")
    include, calls = "", ""
    for kind in KINDS:
        model, y = _target(kind)
        name = kind.replace(" ", "_")
        source = _fitted(model, X, y, hidden_layer_sizes=(3, 9), max_iter=1).to_c(name=name, dtype=dtype)
        (tmp_path / f"{name}.c").write_text(source)
        include += f'#include "{name}.c"\n'
        declared = re.findall(rf"^\w+ {name}_(\w+)\(const float \*x(?:, (\w+) \*out)?\);", source, re.MULTILINE)
        for function, out in declared:
            n = f"{name.upper()}_{'N_TARGETS' if (kind, out) == ('multioutput', 'int') else 'N_OUTPUTS'}"
            calls += f"{{ {out} out[{n}]; {name}_{function}(x, out); }}\n" if out else f"{name}_{function}(x);\n"
    (tmp_path / "main.c").write_text(f"""\
{include}
int main(void)
{{
    const float values[] = {{0.0f, 1.0f, -1.0f, 1e4f, 1e-38f, -1e-45f, 3e38f, -3e38f, INFINITY, -INFINITY, NAN}};
    for (int i = 0; i < 11 * 11; i++) {{
        float x[7];
        for (int j = 0; j < 7; j++) x[j] = j % 3 ? values[i % 11] : values[i / 11];
        {calls}
    }}
    return 0;
}}
""")
    run([CC, "-std=c99", *SANITIZE, "main.c", "-o", "main", "-lm"], cwd=tmp_path)
    run(["./main"], cwd=tmp_path)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_perceptron_decides_by_sign_or_the_largest(tmp_path, n_classes):
    """Whole numbers, of which float32 makes no error, with sums of 0 and equal sums among them."""
    numbers = np.random.default_rng(n_classes)
    rows = numbers.integers(-3, 4, size=(400, 3)).astype(np.float32)
    model = Perceptron(max_iter=3, tol=None).fit(rows, np.arange(400) % n_classes)
    model.coef_ = numbers.integers(-2, 3, size=model.coef_.shape).astype(float)
    model.intercept_ = numbers.integers(-1, 2, size=model.intercept_.shape).astype(float)
    scores = model.decision_function(rows).reshape(400, -1)
    assert ((scores == 0) if n_classes == 2 else np.diff(np.sort(scores))[:, -1:] == 0).any()
    source = model.to_c(name="net")
    assert "Layers: 3 inputs, " in source and "fastmlp.Perceptron" in source
    compiled = Compiled(library_of(tmp_path, {"net": source}), "net", source)
    np.testing.assert_array_equal(compiled.scores(rows), scores)
    np.testing.assert_array_equal(compiled.predict(rows), model.predict(rows))


def test_perceptrons_are_refused_by_the_names_of_their_attributes():
    with pytest.raises(NotFittedError):
        Perceptron().to_c()
    model = Perceptron().fit(X.astype(float), Z[:, 0] > 0)
    model.coef_ = model.coef_ * 1e39
    with pytest.raises(ValueError, match="^coef_ must be finite in float32"):
        model.to_c()


@every_dtype
def test_quantiles_that_cross_are_sorted(tmp_path, dtype):
    levels = [0.5, 0.9, 0.1, 0.7]
    model = MLPRegressor("quantile", (5,), quantile=levels, max_iter=2, random_state=0).fit(X, Z[:, 0])
    plain = model.to_c(name="plain", dtype=dtype)
    model.sort_quantiles = True
    source = model.to_c(name="ordered", dtype=dtype)
    library = library_of(tmp_path, {"plain": plain, "ordered": source})
    unsorted = Compiled(library, "plain", plain).predict(X)
    assert (np.diff(unsorted[:, np.argsort(levels)]) < 0).any(axis=1).mean() > 0.2
    np.testing.assert_array_equal(Compiled(library, "ordered", source).predict(X), np.sort(unsorted)[:, [1, 3, 0, 2]])


def test_text_or_file(tmp_path):
    model = MLPRegressor(hidden_layer_sizes=2, max_iter=1, random_state=0).fit(X, Z[:, 0])
    assert model.to_c(str(tmp_path / "net.c"), name="net") is None
    assert (tmp_path / "net.c").read_text() == model.to_c(name="net")


def test_refused():
    model = MLPRegressor(hidden_layer_sizes=2, max_iter=1)
    with pytest.raises(NotFittedError):
        model.to_c()
    model.fit(X.astype(float), Z[:, 0])
    for name in ("", "1a", "a-b", "_a", "ä", "a b", "a\n", None):
        with pytest.raises(ValueError, match="name=.* must be a C identifier that begins with a letter"):
            model.to_c(name=name)
    for dtype in ("float64", np.int8, None):
        with pytest.raises(ValueError, match="dtype=.* must be one of 'float32', 'int8'"):
            model.to_c(dtype=dtype)
    model.activation = "softmax"
    with pytest.raises(ValueError, match="activation='softmax' must name functions among identity, logistic, "):
        model.to_c()
    model.activation = "relu"
    for value in (np.nan, np.inf, 1e39):
        model.intercepts_[0] = np.array([0.0, value])
        with pytest.raises(ValueError, match=r"intercepts_\[0\] must be finite in float32"):
            model.to_c()
    model.intercepts_[0] = np.zeros(2)
    model.coefs_[1], model.intercepts_[1] = np.ones((2, 3)), np.ones(3)
    with pytest.raises(ValueError, match=r"coefs_\[-1\] must be of shape \(fan_in, 1\), got \(2, 3\)"):
        model.to_c()
