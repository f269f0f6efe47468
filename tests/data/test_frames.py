"""Columns of all libraries give the same numbers, levels and dates, and what they cannot give is refused by name."""

import datetime as dt
import math
import re
import uuid
from decimal import Decimal
from enum import Enum, StrEnum
from fractions import Fraction

import numpy as np
import pytest
from scipy import sparse

from fastmlp.data.columns import as_category, as_dates, as_numbers, level_key
from fastmlp.data.frames import read_table


class Colour(Enum):
    RED = 1


class Spelled(StrEnum):
    RED = "red"


def column(values):
    """A column by the way of a dict."""
    return read_table({"a": values}, "Estimator").column(0)


def levels(values):
    """For each row the key of its level."""
    got = as_category(column(values), "Column 'a'")
    return [None if code < 0 else got.levels[code] for code in got.values]


def numbers(values):
    got = as_numbers(column(values), "Column 'a'").astype(float)
    return [None if math.isnan(number) else number for number in got]


def dates(values):
    return as_dates(column(values), "Column 'a'").astype(object).tolist()


class Sequenced:
    """A column of a library that fastmlp does not know, with NumPy's protocol alone."""

    def __init__(self, values):
        self.values = values

    def __len__(self):
        return len(self.values)

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)


def test_columns_by_numpys_protocol():
    assert numbers(Sequenced([1.5, math.nan])) == [1.5, None]
    assert levels(Sequenced(np.array(["a", None], object))) == ["a", None]
    with pytest.raises(TypeError, match="is of type Sequenced, which is no column of values"):
        column(Sequenced([[1.0], [2.0]]))


@pytest.mark.parametrize(
    "value, key",
    [
        ("3", "3"),
        ("3.0", "3.0"),
        (3, "3"),
        (3.0, "3"),
        (-0.0, "0"),
        (np.int8(3), "3"),
        (np.uint64(2**64 - 1), "18446744073709551615"),
        (2**53 + 1, "9007199254740993"),
        (1e22, "10000000000000000000000"),
        (np.float32(3), "3"),
        (0.1, "0.1"),
        (np.float64(0.1), "0.1"),
        (np.float32(0.1), "0.10000000149011612"),
        (math.inf, "inf"),
        (Decimal("3.0"), "3"),
        (Decimal("0.1"), "0.1"),
        (Fraction(1, 2), "0.5"),
        (True, "True"),
        (np.False_, "False"),
        (np.str_("x"), "x"),
        (Spelled.RED, "red"),
        (Colour.RED, "RED"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (None, None),
        (math.nan, None),
        (np.float32("nan"), None),
        (Decimal("NaN"), None),
        ("nan", "nan"),
        ("", ""),
    ],
)
def test_level_key(value, key):
    got = level_key(value)
    assert got == key
    assert type(got) in (str, type(None))


def test_missing_of_pandas():
    pd = pytest.importorskip("pandas")
    assert level_key(pd.NA) is None
    assert level_key(pd.NaT) is None
    assert numbers([1, pd.NA, 2.5]) == [1, None, 2.5]
    assert dates([dt.date(2024, 1, 1), pd.NaT]) == [dt.datetime(2024, 1, 1), None]


def test_objects():
    assert column([1, 2.5, None, Decimal("0.5"), True]).kind == "number"
    assert numbers([1, 2.5, None, Decimal("0.5"), True, math.nan]) == [1, 2.5, None, 0.5, 1, None]
    assert column([2**60 + 1, None]).values.tolist() == [2**60 + 1, 0]
    assert numbers([2**70]) == [2**70]
    assert levels([2**64 - 1, 2**64 - 2, None]) == ["18446744073709551615", "18446744073709551614", None]
    assert column(["1.5", "2"]).kind == "category"
    assert numbers(range(3)) == [0, 1, 2]
    assert levels(["b", None, "a", "b", math.nan]) == ["b", None, "a", "b", None]
    assert levels([1, 1.0, "1", True, None]) == ["1", "1", "1", "True", None]
    assert levels([True, None]) == ["True", None]
    assert column([None, math.nan, None]).kind == "number"
    assert column([None, None]).kind == "empty"
    assert levels([Colour.RED, uuid.UUID(int=0)]) == ["RED", "00000000-0000-0000-0000-000000000000"]
    assert numbers([dt.timedelta(hours=1), None]) == [3600, None]
    assert numbers([dt.time(1, 0, 0, 500_000), None]) == [3600.5, None]
    moment = dt.datetime(2024, 1, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    assert dates([dt.date(2024, 1, 1), moment, None, np.datetime64("2024-01-01", "D")]) == [
        dt.datetime(2024, 1, 1),
        dt.datetime(2024, 1, 1),
        None,
        dt.datetime(2024, 1, 1),
    ]


@pytest.mark.parametrize("gap", [math.nan, np.float32("nan")])
def test_nan_is_a_gap_beside_dates_and_times(gap):
    assert dates([dt.date(2024, 1, 1), gap, None]) == [dt.datetime(2024, 1, 1), None, None]
    assert numbers([dt.timedelta(hours=1), gap]) == [3600, None]
    assert numbers([gap, dt.time(1, 0, 3)]) == [None, 3603]
    with pytest.raises(TypeError, match="Column 'a' has values of types that do not go together: date, float"):
        column([dt.date(2024, 1, 1), gap, 1.5])


@pytest.mark.parametrize("dtype", ["i1", "u8", "f2", "f4", "f8", ">f8", ">i4"])
def test_numbers_of_numpy_are_not_copied(dtype):
    X = np.arange(6).reshape(3, 2).astype(dtype)
    got = read_table(X, "Estimator").column(1)
    assert got.kind == "number" and np.shares_memory(got.values, X) and got.values.tolist() == [1, 3, 5]


def test_numpy():
    assert levels(np.array(["b", "a"])) == ["b", "a"]
    assert levels(np.array([True, False])) == ["True", "False"]
    assert numbers(np.ma.array([1.0, 2.0], mask=[True, False])) == [None, 2]
    assert levels(np.ma.array([True, False], mask=[True, False])) == [None, "False"]
    assert numbers(np.array([90, "NaT"], dtype="m8[m]")) == [5400, None]
    assert dates(np.array(["2024-01-01T05", "NaT"], dtype="M8[h]")) == [dt.datetime(2024, 1, 1, 5), None]
    assert numbers(np.array([1.5, np.nan], dtype=object)) == [1.5, None]
    masked = read_table(np.ma.array([[1, 2], [3, 4]], mask=[[False, True], [False, False]]), "Estimator").column(1)
    assert as_numbers(masked, "").tolist()[1:] == [4] and np.isnan(as_numbers(masked, "")[0])


def test_numbers_as_levels():
    assert levels([3.0, math.nan, 0.5]) == ["3", None, "0.5"]
    assert levels([2**53 + 1, None]) == ["9007199254740993", None]
    assert numbers(["1.5", None, "2", "True"]) == [1.5, None, 2, 1]
    assert dates(["2024-01-01", None, "2024-01-01T02:00:00+02:00"]) == [
        dt.datetime(2024, 1, 1),
        None,
        dt.datetime(2024, 1, 1),
    ]


def test_pandas():
    pd = pytest.importorskip("pandas")
    assert levels(pd.Series(["b", None, "a"])) == ["b", None, "a"]
    assert levels(pd.Series(["b", None, "a"], dtype=object)) == ["b", None, "a"]
    assert levels(pd.Series(["b", None, "a"], dtype="string")) == ["b", None, "a"]
    assert levels(pd.Series(["b", None, "a"], dtype="category")) == ["b", None, "a"]
    assert levels(pd.Series([3, None, 4], dtype="category")) == ["3", None, "4"]
    assert levels(pd.cut(pd.Series([1, 9]), [0, 5, 10])) == ["(0, 5]", "(5, 10]"]
    assert levels(pd.Series([True, None], dtype="boolean")) == ["True", None]
    assert levels(pd.Series([True, False])) == ["True", "False"]
    assert numbers(pd.Series([1, None, 3], dtype="Int8")) == [1, None, 3]
    assert levels(pd.Series([2**53 + 1, None], dtype="Int64")) == ["9007199254740993", None]
    assert numbers(pd.Series([1.5, None], dtype="Float32")) == [1.5, None]
    assert numbers(pd.Series(pd.arrays.SparseArray([0.0, 1.5, 0.0]))) == [0, 1.5, 0]
    assert numbers(pd.Series([dt.timedelta(days=1), None])) == [86400, None]
    day = dt.datetime(2024, 1, 1)
    assert dates(pd.Series([day, None])) == [day, None]
    assert dates(pd.Series([day, None]).astype("M8[s]")) == [day, None]
    assert dates(pd.Series([day, None]).dt.tz_localize("Europe/Berlin")) == [dt.datetime(2023, 12, 31, 23), None]
    months = pd.Series(pd.period_range("2024-01", periods=1, freq="M"))
    assert dates(months) == dates(months.tolist()) == [day]
    assert levels(pd.Index(["a", "b"])) == ["a", "b"]
    assert levels(pd.Series(["a", None]).array) == ["a", None]
    ordered = column(pd.Series(pd.Categorical(["low"], ["low", "high"], ordered=True)))
    assert ordered.ordered and ordered.levels == ["low"]


def test_polars():
    pl = pytest.importorskip("polars")
    assert levels(pl.Series(["b", None, "a", "b"])) == ["b", None, "a", "b"]
    assert levels(pl.Series(["b", None, "a"], dtype=pl.Categorical)) == ["b", None, "a"]
    enum = column(pl.Series(["b", None, "a"] * 2, dtype=pl.Enum(["z", "b", "a"])))
    assert enum.ordered and enum.levels == ["z", "b", "a"] and enum.values.tolist() == [1, -1, 2] * 2
    assert levels(pl.Series([True, None])) == ["True", None]
    assert numbers(pl.Series([1, None], dtype=pl.Int8)) == [1, None]
    assert levels(pl.Series([2**53 + 1, None])) == ["9007199254740993", None]
    assert numbers(pl.Series([1.5, None, math.nan], dtype=pl.Float32)) == [1.5, None, None]
    assert numbers(pl.Series([Decimal("1.5"), None])) == [1.5, None]
    assert numbers(pl.Series([dt.timedelta(days=1), None])) == [86400, None]
    assert numbers(pl.Series([dt.time(1, 0, 0, 500_000), None])) == [3600.5, None]
    assert column(pl.Series([None, None])).kind == "empty"
    day = dt.datetime(2024, 1, 1)
    assert dates(pl.Series([day.date(), None])) == [day, None]
    for unit in ("ms", "us", "ns"):
        assert dates(pl.Series([day, None], dtype=pl.Datetime(unit))) == [day, None]
    berlin = pl.Series([day]).dt.replace_time_zone("Europe/Berlin")
    assert dates(berlin) == [dt.datetime(2023, 12, 31, 23)]
    assert levels(pl.Series([uuid.UUID(int=0)], dtype=pl.Object)) == ["00000000-0000-0000-0000-000000000000"]
    assert numbers(pl.Series([5], dtype=pl.Int128)) == [5]


def test_arrow():
    pa = pytest.importorskip("pyarrow")
    assert levels(pa.array(["b", None, "a"])) == ["b", None, "a"]
    assert levels(pa.array(["b", None, "a"], pa.large_string())) == ["b", None, "a"]
    assert levels(pa.array(["b", None, "a"], pa.string_view())) == ["b", None, "a"]
    assert levels(pa.array(["b", None, "a"]).dictionary_encode()) == ["b", None, "a"]
    assert levels(pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 2], pa.uint8()), ["x", None, "x"])) == [
        "x",
        None,
        None,
        "x",
    ]
    assert levels(pa.DictionaryArray.from_arrays([0], [7])) == ["7"]
    chunks = [pa.array(["a"]).dictionary_encode(), pa.array(["b", "a"]).dictionary_encode()]
    assert levels(pa.chunked_array(chunks)) == ["a", "b", "a"]
    assert levels(pa.array([True, None])) == ["True", None]
    assert numbers(pa.chunked_array([[1], [None, 3]])) == [1, None, 3]
    assert numbers(pa.array([1.5, None], pa.float32())) == [1.5, None]
    assert numbers(pa.array([Decimal("1.5"), None])) == [1.5, None]
    assert numbers(pa.array([dt.timedelta(days=1), None])) == [86400, None]
    assert numbers(pa.array([dt.time(1, 0, 0, 500_000), None])) == [3600.5, None]
    assert column(pa.nulls(2)).kind == "empty"
    day = dt.datetime(2024, 1, 1)
    assert dates(pa.array([day.date(), None])) == [day, None]
    for unit in ("s", "ms", "us", "ns"):
        assert dates(pa.array([day, None], pa.timestamp(unit, "Europe/Berlin"))) == [day, None]
    X = pa.array([1.0, 2.0])
    assert np.shares_memory(column(X).values, X.to_numpy())
    ordered = column(pa.DictionaryArray.from_arrays([0, 1], ["low", "high"], ordered=True))
    assert ordered.ordered and ordered.levels == ["low", "high"]


def test_pandas_of_arrow():
    pd = pytest.importorskip("pandas")
    pa = pytest.importorskip("pyarrow")
    assert levels(pd.Series(["b", None], dtype=pd.ArrowDtype(pa.string()))) == ["b", None]
    assert levels(pd.Series(["b", None], dtype="string[pyarrow]")) == ["b", None]
    assert numbers(pd.Series([1, None], dtype="int16[pyarrow]")) == [1, None]
    assert levels(pd.Series([True, None], dtype="bool[pyarrow]")) == ["True", None]


def test_containers():
    """All give the names, the rows and the columns."""
    rows = [{"a": 1, "b": "x"}, {"a": 2, "b": None}, {"a": 3, "b": "y"}]
    columns = {name: [row[name] for row in rows] for name in ("a", "b")}
    tables = [rows, tuple(rows), columns]
    pd = pytest.importorskip("pandas")
    pl = pytest.importorskip("polars")
    tables += [pd.DataFrame(columns), pl.DataFrame(columns)]
    tables.append({"a": pd.Series(columns["a"]), "b": pl.Series(columns["b"])})
    for X in tables:
        table = read_table(X, "Estimator")
        assert (table.names, table.n_rows, table.n_columns) == (["a", "b"], 3, 2)
        assert as_numbers(table.column(0), "").tolist() == [1, 2, 3]
        category = table.column(1)
        assert [None if code < 0 else category.levels[code] for code in category.values] == ["x", None, "y"]
    lists = [[row["a"], row["b"]] for row in rows]
    for X in (lists, [tuple(row) for row in lists], np.array(lists, dtype=object), pd.DataFrame(lists)):
        table = read_table(X, "Estimator")
        assert (table.names, table.n_rows, table.n_columns) == (None, 3, 2)
        assert as_numbers(table.column(0), "").tolist() == [1, 2, 3]
    row = read_table({"a": 1, "b": "x"}, "Estimator")
    assert (row.names, row.n_rows, row.n_columns) == (["a", "b"], 1, 2)


def test_tables_of_other_libraries():
    nw = pytest.importorskip("narwhals")
    pl = pytest.importorskip("polars")
    table = read_table(nw.from_native(pl.DataFrame({"a": [1], "b": ["x"]})), "Estimator")
    assert (table.names, table.n_rows) == (["a", "b"], 1)
    pa = pytest.importorskip("pyarrow")
    for X in (pa.table({"a": [1], "b": ["x"]}), pa.RecordBatch.from_pydict({"a": [1], "b": ["x"]})):
        table = read_table(X, "Estimator")
        assert (table.names, table.n_rows) == (["a", "b"], 1)

    class Stream:
        columns = ("a",)

        def __arrow_c_stream__(self, requested_schema=None):
            return pa.table({"a": [1.5]}).__arrow_c_stream__(requested_schema)

    assert read_table(Stream(), "Estimator").column(0).values.tolist() == [1.5]


BAD = {
    "complex": ({"a": [1j]}, ValueError, "Complex data not supported: Column 'a'"),
    "complex array": ({"a": np.array([1j])}, ValueError, "Complex data not supported: Column 'a'"),
    "complex matrix": (np.ones((2, 2)) * 1j, ValueError, "Complex data not supported"),
    "bytes": ({"a": [b"x"]}, TypeError, "Column 'a' has a value of type bytes: the argument must be a string or a"),
    "array of bytes": ({"a": np.array([b"x"])}, TypeError, "Column 'a' has values of dtype |S1"),
    "lists": ({"a": [[1], [2]]}, TypeError, "Column 'a' has a value of type list"),
    "dicts": ({"a": [{"x": 1}]}, TypeError, "Column 'a' has a value of type dict"),
    "objects": ({"a": [object()]}, TypeError, "Column 'a' has a value of type object"),
    "dict in an array": (np.array([[{"x": 1}, 2]], dtype=object), TypeError, "Column 0 has a value of type dict"),
    "dates and numbers": ({"a": [dt.date(2024, 1, 1), 3]}, TypeError, "Column 'a' has values of types that do not go"),
    "beyond float64": ({"a": [10**400]}, ValueError, "Column 'a' has an integer beyond float64"),
    "lengths": ({"a": [1, 2], "b": [1]}, ValueError, "Column 'b' has 1 rows, the first column has 2"),
    "scalar among columns": ({"a": [1, 2], "b": 1}, ValueError, "Column 'b' is a scalar, but others are columns"),
    "set": ({"a": {1, 2}}, TypeError, "Column 'a' is of type set"),
    "rows that differ": ([{"a": 1}, {"b": 1}], ValueError, "X has column 'a' in some rows only: row 1 and row 0"),
    "rows that are none": ([{"a": 1}, 3], TypeError, "row 1 is 3"),
    "ragged rows": ([[1, 2], [3]], ValueError, "row 0 has 2 values, row 1 is [3]"),
    "one dimension": ([1, 2], ValueError, "Expected 2D array, got 1D array"),
    "one dimension, array": (np.ones(3), ValueError, "Expected 2D array, got 1D array"),
    "three dimensions": (np.ones((2, 2, 2)), ValueError, "Found array with dim 3"),
    "scalar": (3.0, ValueError, "Expected 2D array, got scalar"),
    "no rows": (np.ones((0, 2)), ValueError, "Found array with 0 sample(s) (shape=(0, 2)) while a minimum of 1 is"),
    "no columns": (np.ones((2, 0)), ValueError, "0 feature(s) (shape=(2, 0)) while a minimum of 1 is required"),
    "no rows in columns": ({"a": []}, ValueError, "0 sample(s) (shape=(0, 1)) while a minimum of 1 is required by E"),
    "empty list": ([], ValueError, "Expected 2D array"),
    "empty dict": ({}, ValueError, "0 sample(s)"),
    "sparse dict": (sparse.eye(3).todok(), TypeError, "Sparse data was passed"),
    "sparse": (sparse.eye(3).tocsr(), TypeError, "Sparse data was passed, but Estimator takes dense tables: use MLP"),
}


@pytest.mark.parametrize("X, kind, message", BAD.values(), ids=BAD.keys())
def test_refused(X, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        table = read_table(X, "Estimator")
        for i in range(table.n_columns):
            table.column(i)


def test_frames_refused():
    pd = pytest.importorskip("pandas")
    pl = pytest.importorskip("polars")
    twice = pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"])
    cases = [
        (twice, ValueError, "X has several columns of the same name: 'a'."),
        (pd.DataFrame({"a": []}), ValueError, "0 sample(s) (shape=(0, 1))"),
        (pd.DataFrame(index=[0, 1]), ValueError, "0 feature(s) (shape=(2, 0))"),
        (pl.DataFrame({"a": [1]}).lazy(), TypeError, "X is a LazyFrame: pass X.collect()."),
        (pl.DataFrame({"a": [[1, 2]]}), TypeError, "Column 'a' has values of type List"),
        (pl.DataFrame({"a": [b"x"]}), TypeError, "Column 'a' has values of type Binary"),
        (pl.DataFrame({"a": [{"x": 1}]}), TypeError, "Column 'a' has values of type Struct"),
        (pd.DataFrame({"a": [1j]}), ValueError, "Complex data not supported: Column 'a'"),
        (pd.DataFrame({"a": [[1]]}), TypeError, "Column 'a' has a value of type list"),
        (pd.DataFrame({"a": pd.Categorical([(1, 2)])}), TypeError, "Column 'a' has a value of type tuple"),
        (pd.DataFrame({"a": pd.Categorical([dt.date(2024, 1, 1)])}), ValueError, "Column 'a' is categorical, and has"),
        (pd.Series([1.0]), ValueError, "Expected"),
    ]
    for X, kind, message in cases:
        with pytest.raises(kind, match=re.escape(message)):
            read_table(X, "Estimator").column(0)
    pa = pytest.importorskip("pyarrow")
    for values, kind in (([[1]], "list"), ([b"x"], "binary")):
        with pytest.raises(TypeError, match=f"Column 'a' has values of type {kind}"):
            read_table(pa.table({"a": values}), "Estimator").column(0)
    with pytest.raises(ValueError, match="several columns of the same name: 'a'"):
        read_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]), "Estimator")


def test_values_of_another_kind():
    for values, convert, message in (
        (["x"], as_numbers, "Column 'a' is numeric, and has 'x': could not convert string to float"),
        ([dt.date(2024, 1, 1)], as_numbers, "Column 'a' has numbers where the model was fitted, but dates here"),
        ([3.0], as_dates, "Column 'a' has dates where the model was fitted, but numbers here"),
        (["soon"], as_dates, "Column 'a' has dates where the model was fitted, but 'soon' here"),
        ([dt.date(2024, 1, 1)], as_category, "Column 'a' is categorical, and has dates or times: convert it to"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            convert(column(values), "Column 'a'")
