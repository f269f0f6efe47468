"""Files of tables for the commands: read by pandas or PyArrow, whichever is there, and written."""

import csv
import io
import os
import re
from contextlib import contextmanager
from importlib.util import find_spec

import numpy as np

from ..estimators.parameters import closest, did_you_mean
from ..training.disk import replace_file

__all__ = [
    "TableError",
    "WriteError",
    "column",
    "columns_of",
    "delimiter_of",
    "files_of",
    "kind_of",
    "read_file",
    "refuse_absent",
    "refuse_none",
    "rows_where",
    "with_values",
    "without",
    "write_columns",
    "writing",
]

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}($|[T ])")
_DELIMITERS = ";\t|,"
_KINDS = {  # endings of names
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".gz": "csv",
    ".parquet": "parquet", ".pq": "parquet",
    ".arrow": "arrow", ".feather": "arrow", ".ipc": "arrow",
}  # fmt: skip


class TableError(ValueError):
    """A sentence about a file of a table."""


class WriteError(TableError):
    """A sentence about a file that cannot be written."""


def read_file(path, delimiter=None, setting="--delimiter"):
    """A table from a file, or from the files of a folder, in the order of their names.

    Parameters
    ----------
    path : str
        CSV, also gzipped; Parquet; Arrow or Feather; or a folder of files of one of these kinds.
    delimiter : str, default=None
        Between the fields of CSV. None is a tab for ``.tsv``, else a comma.
    setting : str, default="--delimiter"
        What the user sets it by.

    Returns
    -------
    table : pandas.DataFrame or pyarrow.Table

    Raises
    ------
    TableError
        If there is no table in it, or it cannot be read. The sentence says why.
    """
    if os.path.isdir(path):
        return _joined(path, [_read(file, delimiter, setting) for file in files_of(path)])
    return _read(path, delimiter, setting)


def files_of(folder):
    """The files of a folder that a table is read from, in their order."""
    names = sorted(name for name in os.listdir(folder) if os.path.splitext(name)[1].lower() in _KINDS)
    kinds = {_KINDS[os.path.splitext(name)[1].lower()] for name in names}
    if not names:
        raise TableError(f"{folder} has no files that end in {', '.join(_KINDS)}.")
    if len(kinds) > 1:
        raise TableError(f"{folder} has files of several kinds: {', '.join(sorted(kinds))}. Put one kind in a folder.")
    return [os.path.join(folder, name) for name in names]


def _joined(folder, tables):
    expected = columns_of(tables[0])
    for table in tables[1:]:
        if differing := set(expected) ^ set(columns_of(table)):
            raise TableError(f"The files of {folder} differ in their columns: {', '.join(sorted(differing)[:5])}.")
    if _is_arrow(tables[0]):
        import pyarrow

        return pyarrow.concat_tables([table.select(expected) for table in tables], promote_options="permissive")
    import pandas

    return pandas.concat([table[expected] for table in tables], ignore_index=True)


def _read(path, delimiter, setting):
    try:
        if os.path.getsize(path) == 0:
            raise TableError(f"{path} is empty.")
        table = _table(path, delimiter)
    except FileNotFoundError as error:
        raise TableError(f"There is no file {path}{_similar(path)}") from error
    except PermissionError as error:
        raise TableError(f"{path} cannot be read: permission denied.") from error
    except (ValueError, OSError) as error:  # those of the readers' parsers are ValueErrors
        if isinstance(error, TableError):
            raise
        said = str(error).strip().splitlines()
        raise TableError(f"{path} cannot be read: {said[0] if said else type(error).__name__}.") from error
    names = columns_of(table)
    if len(names) == 1 and kind_of(path) == "csv":
        _refuse_wrong_delimiter(path, str(names[0]), delimiter, setting)
    if len(table) == 0:
        raise TableError(f"{path} has no rows.")
    return table


def kind_of(path):
    """What a file's name says that it is: csv, parquet or arrow."""
    return _KINDS.get(os.path.splitext(path)[1].lower(), "csv")


def delimiter_of(path, given):
    """What is between the fields of a CSV file: what was given, a tab for ``.tsv``, or a comma."""
    return given or ("\t" if path.lower().endswith((".tsv", ".tsv.gz")) else ",")


def _table(path, delimiter):
    kind = kind_of(path)
    if kind == "csv":
        return _csv(path, delimiter_of(path, delimiter))
    if find_spec("pyarrow") is None:
        raise TableError(f'{path} needs PyArrow: pip install "fastmlp[arrow]".')
    if kind == "parquet":
        import pyarrow.parquet

        return pyarrow.parquet.read_table(path)
    import pyarrow.feather

    with open(path, "rb") as file:
        if file.read(6) not in (b"ARROW1", b"FEA1\0\0"):  # a stream has no magic number
            file.seek(0)
            return pyarrow.ipc.open_stream(file).read_all()
    return pyarrow.feather.read_table(path)


def _csv(path, delimiter):
    if find_spec("pandas") is not None:
        import pandas

        table = pandas.read_csv(path, sep=delimiter)
        for name in table.columns:
            table[name] = _as_dates(table[name])
        return table
    if find_spec("pyarrow") is not None:
        import pyarrow.csv

        # as pandas does: empty strings are missing, too
        convert = pyarrow.csv.ConvertOptions(strings_can_be_null=True)
        return pyarrow.csv.read_csv(
            path, parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter), convert_options=convert
        )
    raise TableError('CSV needs pandas or PyArrow: pip install "fastmlp[cli]".')


def _as_dates(series):
    """A column of pandas' as dates, if it has texts that all are dates as ISO 8601 has them, as PyArrow takes them."""
    import pandas

    first = series.first_valid_index()
    if not isinstance(None if first is None else series[first], str) or not _DATE.match(series[first]):
        return series
    dates = pandas.to_datetime(series, format="ISO8601", errors="coerce")
    return dates if dates.notna().sum() == series.notna().sum() else series


def _refuse_wrong_delimiter(path, header, delimiter, setting):
    for other in _DELIMITERS:
        if other != (delimiter or ",") and other in header:
            tab = "$'\\t'" if setting.startswith("-") else '"\\t"'  # of a shell, or of TOML
            name = tab if other == "\t" else f"'{other}'"
            shown = header if len(header) <= 60 else f"{header[:60]}..."
            raise TableError(f"{path} has one column, {shown!r}: its delimiter is another, try {setting} {name}.")


def _similar(path):
    folder, name = os.path.split(path)
    if not os.path.isdir(folder or "."):
        return "."
    close = closest(name, os.listdir(folder or "."))
    return "." if close is None else f"; did you mean {os.path.join(folder, close)}?"


@contextmanager
def writing(path):
    """Say which file it is that cannot be written.

    Raises
    ------
    WriteError
        In place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise WriteError(f"{path} cannot be written: {error.strerror or error}.") from error


# What the commands need of a table of either library


def _is_arrow(table):
    return hasattr(table, "column_names")


def columns_of(table):
    """The names of the columns."""
    return [*table.column_names] if _is_arrow(table) else [*table.columns]


def column(table, name, path):
    """The values of a column as a list; None where there is none.

    Raises
    ------
    TableError
        If there is no such column.
    """
    refuse_absent(name, columns_of(table), path)
    if _is_arrow(table):
        return [None if value != value else value for value in table.column(name).to_pylist()]  # NaN is no value
    values = table[name]
    return [None if missing else value for value, missing in zip(values.tolist(), values.isna(), strict=True)]


def refuse_none(names):
    """Raise a TableError if there are no columns to predict from."""
    if not names:
        raise TableError("No column is left to predict from.")


def refuse_absent(name, names, path):
    """Raise a TableError if a name is not among those of the columns."""
    if name not in names:
        listed = ", ".join(map(str, names[:20])) + (", ..." if len(names) > 20 else "")
        raise TableError(f"{path} has no column {name!r}{did_you_mean(name, names)} It has {listed}.")


def without(table, names):
    """The table without some of its columns."""
    names = [name for name in names if name in columns_of(table)]
    return table.drop_columns(names) if _is_arrow(table) else table.drop(columns=names)


def rows_where(table, keep):
    """Some rows, by a mask of bool or by their numbers."""
    keep = np.asarray(keep)
    if not _is_arrow(table):
        return table.iloc[np.flatnonzero(keep) if keep.dtype == bool else keep]
    return table.filter(keep) if keep.dtype == bool else table.take(keep)


def with_values(table, values):
    """The rows where the values of a column are not None, and these values."""
    known = [value is not None for value in values]
    return rows_where(table, known), [value for value in values if value is not None]


def write_columns(path, columns):
    """Write columns as a table.

    Parameters
    ----------
    path : str or None
        By its ending CSV, Parquet or Feather; None is CSV on the standard output. A file is written whole or not at
        all.
    columns : dict of str to list or ndarray
    """
    values = {name: part.tolist() if isinstance(part, np.ndarray) else part for name, part in columns.items()}
    kind = "csv" if path is None else kind_of(path)
    if kind == "csv":
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(values)
        writer.writerows(zip(*values.values(), strict=True))
        if path is None:
            print(text.getvalue(), end="")
            return
        with writing(path):
            replace_file(path, lambda file: file.write(text.getvalue().encode()))
        return
    if find_spec("pyarrow") is None:
        raise TableError(f'{path} needs PyArrow: pip install "fastmlp[arrow]".')
    import pyarrow.feather
    import pyarrow.parquet

    table = pyarrow.table(values)
    write = pyarrow.parquet.write_table if kind == "parquet" else pyarrow.feather.write_feather
    with writing(path):
        replace_file(path, lambda file: write(table, file))
