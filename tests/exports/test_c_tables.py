"""Models of tables as C: compiled, and compared with the estimators on raw columns, row by row."""

import ctypes
import re
import shutil

import numpy as np
import pytest
from compiling import CC, FAST, SANITIZE, has_sanitizers, library_of, memory_of, outputs_of, run
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
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.exceptions import NotFittedError

from fastmlp import TabularMLPClassifier, TabularMLPRegressor
from fastmlp.data.fitting import CategoricalColumn
from fastmlp.exports.c_columns import COLUMN_HELPERS, encoded
from fastmlp.exports.c_text import Constants, file_of
from fastmlp.exports.tables import encoding_of
from fastmlp.training.recipes import Recipe

pytest.importorskip("pandas")
pytestmark = pytest.mark.skipif(CC is None, reason="there is no C compiler")

DTYPES = ["float32", "int8"]
X, LATER = frame(), frame(80, seed=1, later=True)


def _rows(columns):
    """Of cells by column: arrays of numbers, in which dates are seconds, and arrays of texts, for each row."""
    numbers, texts = [], []
    for kind, values in columns:
        if kind == "text":
            texts.append([None if value is None else value.encode() for value in values])
        elif kind == "date":
            numbers.append(np.where(np.isnat(values), np.nan, values.astype(np.int64) / 1e6))
        else:
            numbers.append(values)
    for i in range(len(columns[0][1])):
        row = (ctypes.c_double * max(1, len(numbers)))(*(column[i] for column in numbers))
        yield row, (ctypes.c_char_p * max(1, len(texts)))(*(column[i] for column in texts))


def _call(function, columns, *sizes):
    """The outputs of a function for rows: a matrix for each pair of a type and a size."""
    function.restype = None
    results = [[] for _ in sizes]
    for row in _rows(columns):
        outs = [(kind * (n + 1))() for kind, n in sizes]
        for out in outs:
            out[:] = [77] * len(out)
        function(*row, *outs)
        for out, result in zip(outs, results, strict=True):
            assert out[len(out) - 1] == 77
            result.append(out[:-1])
    return [np.array(result) for result in results]


def _labels(library, name, source):
    kind, size = re.search(rf"^const (.+){name}_classes\[(\d+)\]", source, re.MULTILINE).groups()
    kind = {"int32_t": ctypes.c_int32}.get(kind.strip(), ctypes.c_char_p)
    return np.array(list((kind * int(size)).in_dll(library, f"{name}_classes")))


def _assert_predicts(library, name, model, rows, tolerance=1e-5):
    columns = cells(model, rows)
    if isinstance(model, TabularMLPRegressor):
        (values,) = _call(getattr(library, f"{name}_predict"), columns, (ctypes.c_double, model.n_outputs_))
        expected = model.predict(rows).reshape(values.shape)
        spread = np.abs(expected).max(axis=0)
        np.testing.assert_allclose(values / spread, expected / spread, rtol=tolerance, atol=tolerance)
        return
    probabilities = _call(getattr(library, f"{name}_predict_proba"), columns, (ctypes.c_float, model.n_outputs_))[0]
    np.testing.assert_allclose(probabilities, model.predict_proba(rows), rtol=0, atol=tolerance)
    if tolerance == 1e-5:
        predict = getattr(library, f"{name}_predict")
        codes = [predict(*row) for row in _rows(columns)]
        labels = _labels(library, name, model.to_c(name=name))[codes]
        expected = model.predict(rows)
        np.testing.assert_array_equal(labels, np.char.encode(expected) if expected.dtype.kind == "U" else expected)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """A model of every kind of target, and both forms of it in one library."""
    models = {kind: fitted(X, kind) for kind in KINDS}
    sources = {
        f"m{i}_{dtype}": model.to_c(name=f"m{i}_{dtype}", dtype=dtype)
        for i, model in enumerate(models.values())
        for dtype in DTYPES
    }
    library = library_of(tmp_path_factory.mktemp("c"), sources)
    return library, {kind: (model, f"m{i}") for i, (kind, model) in enumerate(models.items())}


@pytest.mark.parametrize("rows", [X, LATER], ids=["seen", "later"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_row_agrees(compiled, kind, rows):
    library, models = compiled
    model, name = models[kind]
    _assert_predicts(library, f"{name}_float32", model, rows)
    _assert_predicts(library, f"{name}_int8", model, rows, 0.03)


@pytest.mark.parametrize("kind", ["words", "several outputs"])
def test_every_kind_of_layer(tmp_path, kind):
    model = fitted(X, kind)
    sources, lists = {}, networks(model)
    for i, layers in enumerate(lists.values()):
        sources[f"n{i}"] = with_members(model, [layers]).to_c(name=f"n{i}")
    library = library_of(tmp_path, sources)
    for i, layers in enumerate(lists.values()):
        _assert_predicts(library, f"n{i}", with_members(model, [layers]), LATER)


def test_quantiles(tmp_path):
    models = {
        name: fitted(X, "positive", loss="quantile", quantile=[0.55, 0.45, 0.5], sort_quantiles=name == "ordered")
        for name in ("free", "ordered")
    }
    library = library_of(tmp_path, {name: model.to_c(name=name) for name, model in models.items()})
    for name, model in models.items():
        _assert_predicts(library, name, model, LATER)
        ascending = (np.diff(model.predict(LATER)[:, [1, 2, 0]], axis=1) >= 0).all()
        assert ascending == (name == "ordered")  # which the networks alone do not come to


def test_members_of_different_layers_and_weights(tmp_path):
    model = fitted(X)
    with_members(model, list(networks(model).values()), [0.1, 0.2, 0.05, 0.2, 0.15, 0.2, 0.1, 0.0])
    sources = {dtype: model.to_c(name=dtype, dtype=dtype) for dtype in DTYPES}
    library = library_of(tmp_path, sources)
    _assert_predicts(library, "float32", model, LATER)
    _assert_predicts(library, "int8", model, LATER, 0.05)
    assert "/* member 6 */" in sources["int8"] and "/* member 7 */" not in sources["int8"]  # whose weight is 0


@pytest.mark.parametrize("load", [load_breast_cancer, load_diabetes])
def test_int8_on_real_data(tmp_path, load):
    data = load()
    kind = TabularMLPRegressor if load is load_diabetes else TabularMLPClassifier
    recipe = {"hidden_layer_sizes": (32, 32), "epochs": 12}
    model = kind(n_members=3, random_state=0, recipe=recipe).fit(data.data, data.target)
    library = library_of(tmp_path, {"net": model.to_c(name="net", dtype="int8")})
    columns = [("number", column) for column in data.data.T]
    if kind is TabularMLPClassifier:
        (got,) = _call(library.net_predict_proba, columns, (ctypes.c_float, 2))
        assert np.mean(got.argmax(axis=1) == model.predict(data.data)) > 0.99
        error = np.abs(got - model.predict_proba(data.data))
    else:
        (got,) = _call(library.net_predict, columns, (ctypes.c_double, 1))
        error = np.abs(got[:, 0] - model.predict(data.data)) / data.target.std()
    assert 1e-5 < np.quantile(error, 0.99) < 0.02


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("flags", [["-O0"], ["-O2", "-DNET_STORAGE="], ["-O3", "-march=native", *FAST]], ids=" ".join)
def test_flags_change_nothing(tmp_path, flags, dtype):
    model = fitted(X)
    library = library_of(tmp_path, {"net": model.to_c(name="net", dtype=dtype)}, *flags)
    _assert_predicts(library, "net", model, LATER, 2e-5 if dtype == "float32" else 0.03)


# Columns


def _encoded(folder, columns, given, *flags):
    """Numbers and codes of cells, as C makes them."""
    constants, encoding = Constants("t"), encoding_of(columns)
    body = ["(void)numbers;", "(void)categories;", "(void)x;", "(void)codes;", *encoded(constants, encoding)]
    source = file_of(
        None,
        "t",
        **dict.fromkeys(("what", "layers", "dtype", "usage", "rules"), ""),
        **{key: [] for key in ("inputs", "labels", "functions")},
        sizes={},
        constants=constants.definitions,
        public={"void t_encode(const double *numbers, const char *const *categories, float *x, int32_t *codes)": body},
        helpers=COLUMN_HELPERS,
        headers=("math.h", "string.h"),
    )
    n_fields = sum(len(column.fields) for column in encoding.numeric)
    sizes = n_fields + len(encoding.binary) + len(encoding.with_gaps), len(encoding.coded)
    library = library_of(folder, {"t": source}, *flags)
    return _call(library.t_encode, given, (ctypes.c_float, sizes[0]), (ctypes.c_int32, sizes[1]))


@pytest.mark.parametrize("rows", [X, LATER], ids=["seen", "later"])
def test_numbers_and_codes_are_the_encoders(tmp_path, rows):
    model = fitted(X)
    got = _encoded(tmp_path, model.encoder_.columns_, cells(model, rows))
    numbers, codes = model.encoder_.transform(rows)
    np.testing.assert_allclose(got[0], numbers, rtol=2e-7, atol=1e-7)
    np.testing.assert_array_equal(got[1], codes)
    assert (codes < 0).any() == (rows is LATER)


def test_dates_of_many_times(tmp_path):
    """Each day of the years around those that end centuries, and times from the first to the last that Python has."""
    ends = [(f"{year - 1}-12", f"{year + 1}-04") for year in range(1600, 2500, 100)]
    days = np.concatenate([np.arange(*one, dtype="datetime64[D]") for one in ends]).astype("datetime64[us]")
    rng = np.random.default_rng(0)
    first, last = np.array(["0001-01-01", "9999-12-31"], dtype="datetime64[us]").astype(np.int64)
    times = rng.integers(first, last, 4_000) // 1_000_000 * 1_000_000
    near = rng.integers(-(2**52), 2**52, 4_000)  # from 1827 to 2112, where seconds in double have microseconds
    times = np.array([first, last, -1, 0, 1, *times, *near]).astype("datetime64[us]")
    dates = np.concatenate([days, days - 1_000_000, times, np.array(["NaT"], dtype="datetime64[us]")])
    column, expected = dates_alone(dates)
    got, _ = _encoded(tmp_path, [column], [("date", dates)], "-fsanitize=undefined", "-fno-sanitize-recover=all")
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("flags", [[], ["-O3", *FAST]], ids=["plain", "fast"])
def test_numbers_of_all_sizes(tmp_path, flags):
    encoder, table = numbers_of_all_sizes()
    got, _ = _encoded(tmp_path, encoder.columns_, [("number", x) for x in table.values()], *flags)
    numbers, _ = encoder.transform(table)
    np.testing.assert_allclose(got, numbers, rtol=2e-7, atol=1e-30)
    if not flags:
        got, _ = _encoded(tmp_path, encoder.columns_, [("number", np.array([-np.inf, np.inf]))] * 3)
        np.testing.assert_allclose(got, [[-3, -3, 0, numbers[1, 3]], [3, 3, 0, numbers[1, 3]]], rtol=1e-6)


def test_levels_are_told_apart_by_their_text(tmp_path):
    """Of columns with and without missing and pooled levels, whose codes ascend with the texts or do not."""
    columns, expected = [], []
    for pooled, missing in ((False, False), (False, True), (True, False), (True, True)):
        for levels in (LEVELS[::2], sorted(LEVELS[1::2])):
            columns.append(CategoricalColumn("c", "embedding", levels, False, pooled, missing, None))
            codes, unseen = columns[-1].codes()
            expected.append([codes.get(level, unseen) for level in [*LEVELS, "unseen", "aa", "", None]])
    texts = [*LEVELS, "unseen", "aa", "", None]
    _, got = _encoded(tmp_path, columns, [("text", texts)] * len(columns), "-trigraphs")
    np.testing.assert_array_equal(got.T, expected)
    assert [(codes == -1).any() for codes in got.T] == [True] * 4 + [False] * 4


def test_levels_that_no_text_can_be(tmp_path):
    """A surrogate alone, and a NUL, at which texts end; and a column that has no other."""
    column = CategoricalColumn("c", "embedding", ["a\0b", "a", "\ud800"], False, False, True, None)
    alone = CategoricalColumn("d", "embedding", ["\0"], False, True, True, None)
    _, got = _encoded(tmp_path, [column, alone], [("text", ["a", "b", None])] * 2)
    assert got.tolist() == [[1, 1], [-1, 1], [3, 2]]


# Files


def test_the_first_comment(compiled):
    model, _ = compiled[1]["words"]
    source = model.to_c(name="net")
    assert source.isascii()
    comment = source[: source.index("*/")]
    assert comment.startswith("/* net: the model of a fastmlp.TabularMLPClassifier, written by fastmlp ")
    assert " * Layers of 2 members: " in comment and " columns, 9 selu, 5 selu, 3 softmax.\n" in comment
    assert max(map(len, comment.splitlines())) <= 120
    numbers, texts = (re.findall(rf" \* {kind}\[(\d+)\] is (.*)", comment) for kind in ("numbers", "categories"))
    places = {"since": '"since", seconds since 1970 in UTC'}
    assert numbers == [(str(i), places.get(name, f'"{name}"')) for i, name in enumerate(X.columns[:7])]
    assert texts == [(str(i), f'"{name}"') for i, name in enumerate(X.columns[7:])]
    assert dict(re.findall(r"#define NET_(N_\w+) (\d+)", source)) == {
        "N_NUMBERS": "7",
        "N_CATEGORIES": "7",
        "N_OUTPUTS": "3",
        "N_CLASSES": "3",
    }


def test_tables_of_one_kind_of_column(tmp_path):
    """Then the other array may be a null pointer; columns without names go by their places."""
    rows = np.random.default_rng(0).normal(size=(40, 3))
    texts = np.array([["a", "b", "c"][i % 3] for i in range(40)])[:, None]
    kind = {"n_members": 1, "random_state": 0, "recipe": {**SMALL, "frequencies": 0}}
    models = {
        "numbers": TabularMLPRegressor(**kind).fit(rows, rows[:, 0]),
        "texts": TabularMLPRegressor(**kind).fit(texts, rows[:, 0]),
    }
    sources = {name: model.to_c(name=name) for name, model in models.items()}
    assert " * numbers[2] is column 2\n" in sources["numbers"] and " * categories[0] is column 0\n" in sources["texts"]
    assert not any("(void)x;" in source for source in sources.values())
    assert "numbers_predict(numbers, 0, y);" in sources["numbers"]
    assert "texts_predict(0, categories, y);" in sources["texts"]
    library = library_of(tmp_path, sources)
    out = ctypes.c_double()
    library.numbers_predict((ctypes.c_double * 3)(*rows[0]), None, ctypes.byref(out))
    assert out.value == pytest.approx(models["numbers"].predict(rows)[0], rel=1e-5)
    library.texts_predict(None, (ctypes.c_char_p * 1)(b"c"), ctypes.byref(out))
    assert out.value == pytest.approx(models["texts"].predict(np.array([["c"]]))[0], rel=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_memory_is_what_the_comment_says(tmp_path, dtype):
    if shutil.which("nm") is None:
        pytest.skip("there is no nm")
    rows = np.random.default_rng(0).normal(size=(40, 3))
    model = TabularMLPRegressor(n_members=2, recipe=Recipe(**SMALL), random_state=0).fit(rows, rows[:, 0])
    source = model.to_c(dtype=dtype)
    constants, scratch = map(int, re.findall(r"(\d+) bytes", source))
    assert memory_of(tmp_path, source) == (constants, scratch)
    n_parameters = sum(array.size for member in model.members_ for array in member.parameters)
    # and the center and scale of 3 columns, and 4 numbers for y
    plain = 4 * n_parameters + 8 * (2 * 3 + 4)
    width = 3 * 3 + 3
    n_dense = 2 * (width * 9 + 9 * 5 + 5)
    if dtype == "float32":
        assert constants == plain and scratch == 4 * (3 + width + 9 + 1 + 1)
    else:
        assert constants == plain - 3 * n_dense + 2 * 4 * (9 + 5 + 1 + width)
        assert scratch == 4 * (3 + width + 1 + 1) + 2 * width


def test_other_files_get_the_declarations(tmp_path):
    model = TabularMLPClassifier(n_members=1, recipe=SMALL, random_state=0)
    model.fit(X[["city", "count"]], targets(X, "words"))
    model.to_c(tmp_path / "net.c", name="net")
    main = """\
#include <stdio.h>
#define NET_DECLARATIONS
#include "net.c"
int main(void)
{
    const double numbers[NET_N_NUMBERS] = {7};
    const char *categories[NET_N_CATEGORIES] = {"Malm\\303\\266"};
    float scores[NET_N_OUTPUTS];
    net_predict_proba(numbers, categories, scores);
    printf("%d %s %.6f", NET_N_CLASSES, net_classes[net_predict(numbers, categories)], (double)scores[0]);
    return 0;
}
"""
    row = {"city": "Malmö", "count": 7}
    for written in outputs_of(tmp_path, main):
        count, word, score = written.split()
        assert (int(count), word) == (3, model.predict(row)[0])
        assert float(score) == pytest.approx(model.predict_proba(row)[0, 0], abs=2e-6)


NASTY = [*LEVELS, "\ud800", "a\0b", "two\nlines", "#include <x>"]


def test_names_levels_and_labels_break_nothing(tmp_path):
    n = 4 * len(NASTY)
    table = {name: np.resize(NASTY if i % 2 else np.arange(9.0), n) for i, name in enumerate([*NASTY, 5])}
    model = TabularMLPClassifier(n_members=1, recipe={**SMALL, "epochs": 1}).fit(table, np.resize(NASTY[1:], n))
    source = model.to_c(name="nasty")
    assert source.isascii()
    assert source.count("*/") == source.count("/*")
    library = library_of(tmp_path, {"nasty": source}, "-trigraphs")
    expected = [label.encode("utf-8", "backslashreplace") for label in sorted(NASTY[1:])]
    assert list(_labels(library, "nasty", source)) == [label.split(b"\0")[0] for label in expected]


@pytest.mark.parametrize("dtype", DTYPES)
def test_sanitizers_find_nothing(tmp_path, dtype):
    """Whatever the numbers and texts."""
    if not has_sanitizers(tmp_path):
        pytest.skip("the compiler has no sanitizers")
    model = fitted(X)
    with_members(model, list(networks(model).values()))
    model.to_c(tmp_path / "net.c", name="net", dtype=dtype)
    (tmp_path / "main.c").write_text("""\
#include "net.c"
int main(void)
{
    const double values[] = {0, 1, -1, 1e4, 1e-308, -5e-324, 1.7e308, -1.7e308, 9e18, INFINITY, -INFINITY, NAN};
    const char *const texts[] = {0, "", "a", "Graz", "Zzz", "\\377\\376", "3 lane", "True", "1", "low", "7", "0.5"};
    for (int i = 0; i < 12 * 12; i++) {
        double numbers[NET_N_NUMBERS];
        const char *categories[NET_N_CATEGORIES];
        float out[NET_N_OUTPUTS];
        for (int j = 0; j < NET_N_NUMBERS; j++) numbers[j] = j % 3 ? values[i % 12] : values[i / 12];
        for (int j = 0; j < NET_N_CATEGORIES; j++) categories[j] = j % 3 ? texts[i % 12] : texts[i / 12];
        net_predict_proba(numbers, categories, out);
        for (int j = 0; j < NET_N_OUTPUTS; j++)
            if (!(out[j] >= 0 && out[j] <= 1)) return 2;
        if (net_predict(numbers, categories) >= NET_N_CLASSES) return 3;
    }
    return 0;
}
""")
    run([CC, "-std=c99", *SANITIZE, "main.c", "-o", "main", "-lm"], cwd=tmp_path)
    run(["./main"], cwd=tmp_path)


def test_text_or_file(tmp_path):
    model = fitted(X[["count", "flag"]], "one output")
    assert model.to_c(str(tmp_path / "net.c"), name="net") is None
    assert (tmp_path / "net.c").read_text() == model.to_c(name="net")


def test_refused():
    for kind in (TabularMLPClassifier, TabularMLPRegressor):
        with pytest.raises(NotFittedError):
            kind().to_c()
    model = fitted(X[["count", "flag"]], "one output")
    for name in ("", "1a", "a-b", "_a", "ä", None):
        with pytest.raises(ValueError, match="name=.* must be a C identifier that begins with a letter"):
            model.to_c(name=name)
    for dtype in ("float64", np.int8, None):
        with pytest.raises(ValueError, match="dtype=.* must be one of 'float32', 'int8'"):
            model.to_c(dtype=dtype)
    model.members_[1].parameters[0][...] = np.inf
    with pytest.raises(ValueError, match="The parameters of members_ must be finite in float32"):
        model.to_c()


def test_targets_of_any_size(tmp_path):
    table = {"x": np.arange(20.0)}
    y = 1e60 * np.arange(20.0)
    model = TabularMLPRegressor(n_members=1, recipe=SMALL, random_state=0).fit(table, y)
    library = library_of(tmp_path, {"net": model.to_c(name="net")})
    (values,) = _call(library.net_predict, [("number", table["x"])], (ctypes.c_double, 1))
    np.testing.assert_allclose(values[:, 0], model.predict(table), rtol=1e-5)
    with_members(model, [networks(model)["the recipe's"]])
    library = library_of(tmp_path, {"clipped": model.to_c(name="clipped")})
    (values,) = _call(library.clipped_predict, [("number", table["x"])], (ctypes.c_double, 1))
    np.testing.assert_allclose(values[:, 0], model.predict(table), rtol=1e-5)
    assert {y.min(), y.max()} & {*values[:, 0]}
