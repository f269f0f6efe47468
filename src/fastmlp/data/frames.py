"""Tables read column by column: frames of pandas, Polars and Arrow, dicts of columns, rows of dicts, arrays, lists."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import check_array

from .columns import Column, level_keys, of_array, of_bools, of_objects

__all__ = ["Table", "described", "few_rows", "read_table"]

_FEW = 64  # rows that take less time one by one than the columns of pandas take at all


class Table(NamedTuple):
    """A table as columns.

    Parameters
    ----------
    names : list or None
        None where columns have only their positions.
    n_rows, n_columns : int
    raw : callable
        Position of a column -> the column as its library gives it.
    """

    names: list | None
    n_rows: int
    n_columns: int
    raw: Callable

    def column(self, i):
        """The column at a position, as a `Column`."""
        where = described(i if self.names is None else self.names[i])
        column = _read(self.raw(i), where)
        if len(column.values) != self.n_rows:
            raise ValueError(f"{where} has {len(column.values)} rows, the first column has {self.n_rows}.")
        return column


def described(name):
    """What messages call a column of this name or position."""
    return f"Column {name!r}"


def _loaded(module, name):
    """A class of an optional package; (), of which nothing is an instance, if that was not imported."""
    return getattr(sys.modules.get(module), name, ())


def read_table(X, estimator):
    """Any table as columns.

    Parameters
    ----------
    X : frame, dict, list or array-like
        A frame of pandas, Polars or PyArrow, or of another library that speaks Arrow's protocol (which needs PyArrow);
        a dict of columns; a dict of scalars, which is one row; a list of dicts, which are rows; an array or lists of
        rows.
    estimator : str
        The name that messages give to the estimator.

    Returns
    -------
    Table
        With at least one row and one column. Column names 0, 1, ... are none.

    Raises
    ------
    TypeError, ValueError
        If it is no such table.
    """
    if issparse(X):  # one kind of which is a dict
        raise TypeError(
            f"Sparse data was passed, but {estimator} takes dense tables: use MLPClassifier or MLPRegressor, which take"
            " sparse matrices, or X.toarray()."
        )
    if isinstance(X, _loaded("pandas", "DataFrame")):
        names = X.columns.tolist()
        table = Table(names, len(X), len(names), lambda i: X[names[i]])
    elif isinstance(X, _loaded("polars", "DataFrame")):
        table = Table(X.columns, X.height, X.width, X.to_series)
    elif isinstance(X, (_loaded("pyarrow", "Table"), _loaded("pyarrow", "RecordBatch"))):
        table = Table(X.schema.names, X.num_rows, X.num_columns, X.column)
    elif isinstance(X, Mapping):
        table = _of_mapping(X)
    elif isinstance(X, list | tuple) and len(X) and isinstance(X[0], Mapping):
        table = _of_dicts(X)
    elif isinstance(X, list | tuple) and len(X) and isinstance(X[0], list | tuple):
        table = _of_lists(X)
    elif hasattr(X, "to_native") and hasattr(X, "columns"):  # of narwhals
        return read_table(X.to_native(), estimator)
    elif isinstance(X, _loaded("polars", "LazyFrame")):
        raise TypeError("X is a LazyFrame: pass X.collect().")
    elif hasattr(X, "__arrow_c_stream__") and hasattr(X, "columns"):
        import pyarrow

        return read_table(pyarrow.table(X), estimator)
    else:
        table = _of_array(X, estimator)
    for n, unit in ((table.n_rows, "sample"), (table.n_columns, "feature")):
        if n == 0:
            raise ValueError(
                f"Found array with 0 {unit}(s) (shape={(table.n_rows, table.n_columns)}) while a minimum of 1 is"
                f" required by {estimator}."
            )
    return table._replace(names=_checked_names(table.names))


def _checked_names(names):
    if names is None or names == [*range(len(names))]:
        return None
    if len({*names}) < len(names):
        twice = sorted({repr(name) for name in names if names.count(name) > 1})
        raise ValueError(f"X has several columns of the same name: {', '.join(twice)}.")
    return names


def _of_array(X, estimator):
    if not (isinstance(X, np.ma.MaskedArray) and X.ndim == 2):
        X = check_array(X, dtype=None, ensure_all_finite=False, estimator=estimator, input_name="X")
    return Table(None, *X.shape, lambda i: X[:, i])


def _of_lists(rows):
    n = len(rows[0])
    for i, row in enumerate(rows):
        if not isinstance(row, list | tuple) or len(row) != n:
            raise ValueError(f"X has rows of different lengths: row 0 has {n} values, row {i} is {row!r}.")
    columns = [*zip(*rows, strict=True)]
    return Table(None, len(rows), n, lambda i: columns[i])


def _of_mapping(X):
    names = [*X]
    is_column = [hasattr(X[name], "__len__") and not isinstance(X[name], str | bytes | Mapping) for name in names]
    if not any(is_column):  # one row
        return Table(names, min(len(names), 1), len(names), lambda i: (X[names[i]],))
    if not all(is_column):
        raise ValueError(f"{described(names[is_column.index(False)])} is a scalar, but others are columns.")
    return Table(names, len(X[names[0]]), len(names), lambda i: X[names[i]])


def _of_dicts(rows):
    names, keys = [*rows[0]], rows[0].keys()
    for i, row in enumerate(rows):
        if type(row) is not dict and not isinstance(row, Mapping):
            raise TypeError(f"X has rows that are dicts, but row {i} is {row!r}.")
        if row.keys() != keys:
            name = sorted(map(repr, row.keys() ^ keys))[0]
            raise ValueError(f"X has column {name} in some rows only: row {i} and row 0 differ. Use None for a gap.")
    return Table(names, len(rows), len(names), lambda i: [row[names[i]] for row in rows])


def _read(values, where):
    """A column of any library."""
    if isinstance(values, list | tuple):
        return of_objects(values, where)
    if isinstance(values, np.ndarray) and values.ndim == 1:
        return of_array(values, where)
    if isinstance(values, _loaded("pandas", "Series")):
        return _of_pandas(values, where)
    if isinstance(values, _loaded("polars", "Series")):
        return _of_polars(values, where)
    if isinstance(values, (_loaded("pyarrow", "Array"), _loaded("pyarrow", "ChunkedArray"))):
        return _of_arrow(values, where)
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(values, pandas.Index | pandas.api.extensions.ExtensionArray):
        return _of_pandas(pandas.Series(values), where)
    if isinstance(values, Sequence):
        return of_objects([*values], where)
    if hasattr(values, "__array__") and (array := np.asanyarray(values)).ndim == 1:
        return of_array(array, where)
    raise TypeError(f"{where} is of type {type(values).__name__}, which is no column of values.")


def _coded(codes, levels, where, ordered=False):
    """A category of codes and an array or index of what they stand for; of many levels, those that some row has."""
    if len(levels) > len(codes):
        used, codes = np.unique(codes, return_inverse=True)
        codes = codes - np.count_nonzero(used < 0)
        levels = levels[used[used >= 0]]
    return Column("category", codes, levels=level_keys(levels.tolist(), where), ordered=ordered)


def _of_pandas(series, where):
    import pandas

    dtype = series.dtype
    if isinstance(dtype, pandas.SparseDtype):
        series = series.sparse.to_dense()
        dtype = series.dtype
    if isinstance(dtype, np.dtype):
        return of_array(series.to_numpy(), where)
    if isinstance(dtype, pandas.CategoricalDtype):
        return _coded(series.cat.codes.to_numpy(), dtype.categories, where, bool(dtype.ordered))
    if isinstance(dtype, pandas.StringDtype):
        return _coded(*series.factorize(), where)
    if isinstance(dtype, pandas.ArrowDtype):
        return _of_arrow(series.array.__arrow_array__(), where)
    if isinstance(dtype, pandas.DatetimeTZDtype):
        return of_array(series.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy(), where)
    if isinstance(dtype, pandas.PeriodDtype):
        return of_array(series.dt.to_timestamp().to_numpy(), where)
    if isinstance(dtype, pandas.BooleanDtype):
        missing = series.isna().to_numpy()
        return of_bools(series.to_numpy(dtype=bool, na_value=False), missing)
    if getattr(dtype, "kind", "O") in "iuf":
        missing = series.isna().to_numpy()
        return Column("number", series.to_numpy(dtype=dtype.numpy_dtype, na_value=0), missing)
    return of_objects(series.tolist(), where)


def _of_polars(series, where):
    import polars

    dtype = series.dtype
    if dtype == polars.Boolean:
        return of_bools(series.fill_null(False).to_numpy(), series.is_null().to_numpy())
    if dtype == polars.Decimal or str(dtype).endswith("128"):  # NumPy has no such numbers
        series = series.cast(polars.Float64)
        dtype = series.dtype
    if dtype.is_float():  # null becomes NaN
        return Column("number", series.to_numpy())
    if dtype.is_integer():
        missing = series.is_null().to_numpy() if series.null_count() else None
        return Column("number", series.fill_null(0).to_numpy(), missing)
    if dtype in (polars.String, polars.Categorical, polars.Enum):
        return _of_polars_strings(series, where)
    if dtype == polars.Date or dtype == polars.Datetime:
        if getattr(dtype, "time_zone", None) is not None:
            series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return of_array(series.to_numpy(), where)
    if dtype == polars.Duration:
        return of_array(series.to_numpy(), where)
    if dtype == polars.Time:  # nanoseconds since midnight
        return Column("number", series.to_physical().cast(polars.Float64).to_numpy() / 1e9)
    if dtype == polars.Null:
        return Column("empty", np.zeros(len(series)))
    if dtype == polars.Object:
        return of_objects(series.to_list(), where)
    raise TypeError(f"{where} has values of type {dtype}: numbers, strings, bools and dates are allowed.")


def _of_polars_strings(series, where):
    """Levels by the first row of each: the codes of a Categorical are no help, as it shares them with other columns."""
    import polars

    if series.dtype == polars.Enum:
        codes = series.to_physical().cast(polars.Int64).fill_null(-1).to_numpy()
        return _coded(codes, series.dtype.categories.to_numpy(), where, ordered=True)
    rows = series.alias("level").to_frame().with_row_index("row")
    first = rows.select(polars.col("row").first().over("level")).to_series().to_numpy()
    is_first = first == np.arange(len(first))
    codes = (np.cumsum(is_first) - 1)[first]
    return Column("category", codes, levels=series.filter(is_first).cast(polars.String).to_list())


def _of_arrow(values, where):
    import pyarrow
    from pyarrow import types

    if types.is_string(values.type) or values.type == getattr(pyarrow, "string_view", str)():
        values = values.cast(pyarrow.large_string())  # chunks may be more than an array of strings can hold
    if isinstance(values, pyarrow.ChunkedArray):
        if types.is_dictionary(values.type):
            values = values.unify_dictionaries()
        values = values.combine_chunks()
    kind = values.type
    missing = values.is_null().to_numpy(zero_copy_only=False) if values.null_count else None
    if types.is_null(kind):
        return Column("empty", np.zeros(len(values)))
    if types.is_boolean(kind):
        return of_bools(values.fill_null(False).to_numpy(zero_copy_only=False), missing)
    if types.is_decimal(kind):
        values, kind = values.cast(pyarrow.float64()), pyarrow.float64()
    if types.is_floating(kind) or types.is_integer(kind):
        if missing is not None:
            values = values.fill_null(pyarrow.scalar(0, kind))
        return Column("number", values.to_numpy(zero_copy_only=False), missing)
    if types.is_large_string(kind):
        values = values.dictionary_encode()
        kind = values.type
    if types.is_dictionary(kind):
        codes = values.indices.cast(pyarrow.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
        levels = np.empty(len(values.dictionary), dtype=object)
        levels[:] = values.dictionary.to_pylist()
        return _coded(codes, levels, where, bool(kind.ordered))
    if types.is_timestamp(kind) or types.is_date(kind) or types.is_duration(kind):
        return of_array(values.to_numpy(zero_copy_only=False), where)
    if types.is_time(kind):
        return of_objects(values.to_pylist(), where)
    raise TypeError(f"{where} has values of type {kind}: numbers, strings, bools and dates are allowed.")


def few_rows(X, names, n_features):
    """The rows of a table that has not many, without the detour by columns.

    Parameters
    ----------
    X : object
    names : list or None
        Of the columns seen in `fit`.
    n_features : int

    Returns
    -------
    rows : list of sequences of object, or None
        In the order of `names`; None if X may be anything but one to 64 such rows.
    """
    kind = type(X)
    if kind is dict:
        X = [X]
    if kind is dict or kind is list:
        return _few_of_list(X, names, n_features)
    shape = getattr(X, "shape", ())
    if len(shape) != 2 or shape[1] != n_features or not 1 <= shape[0] <= _FEW:
        return None
    if kind is np.ndarray:
        return X.tolist()
    names = [*range(n_features)] if names is None else names
    if kind is _loaded("polars", "DataFrame"):
        return X.rows() if X.columns == names else None
    if kind is _loaded("pyarrow", "Table"):
        return [[*row.values()] for row in X.to_pylist()] if X.schema.names == names else None
    if kind is not _loaded("pandas", "DataFrame") or X.columns.tolist() != names:
        return None
    if shape[0] > 1:
        return X.to_numpy(dtype=object).tolist()
    row = X.iloc[0]  # takes a third of the time
    values = row.tolist()
    if row.dtype != object and any(isinstance(value, float) and abs(value) >= 2**53 for value in values):
        return None  # beside floats, integers became floats
    return [values]


def _few_of_list(rows, names, n_features):
    if not 1 <= len(rows) <= _FEW or any(len(row) != n_features for row in rows if type(row) in (dict, list, tuple)):
        return None
    kinds = {*map(type, rows)}
    if kinds == {dict} and names is not None:
        try:
            return [[row[name] for name in names] for row in rows]
        except KeyError:
            return None
    return rows if kinds <= {list, tuple} else None
