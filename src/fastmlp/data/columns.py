"""One column of a table as numbers, codes of levels, or dates; whatever library it came from."""

import math
from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from numbers import Complex, Integral, Real
from types import NoneType
from typing import NamedTuple
from uuid import UUID

import numpy as np

__all__ = [
    "Column",
    "as_category",
    "as_dates",
    "as_numbers",
    "level_key",
    "level_keys",
    "of_array",
    "of_bools",
    "of_objects",
]

_DATES = np.dtype("datetime64[us]")
_SECOND = np.timedelta64(1, "s")
_DATED = "is categorical, and has dates or times: convert it to strings."
_OF_PANDAS = {"Interval": "label", "Period": "date"}
_BOOLS = {"True": 1.0, "False": 0.0}


class Column(NamedTuple):
    """Values of one column.

    Parameters
    ----------
    kind : {"number", "category", "date", "empty"}
        An empty column has rows, but no value.
    values : ndarray of shape (n,)
        Numbers of any real dtype; codes of levels; datetime64[us].
    missing : ndarray of bool of shape (n,) or None, default=None
        Numbers that are missing, besides NaN. Other kinds have none: a negative code and NaT are missing.
    levels : list of str or None, default=()
        The level of each code, as `level_key` gives it; a level may come twice, and None is missing.
    ordered : bool, default=False
        Whether the order of the levels says something.
    """

    kind: str
    values: np.ndarray
    missing: np.ndarray | None = None
    levels: list = ()
    ordered: bool = False


def level_key(value):
    """What tells a level from others: the value as text; None if it is missing.

    A number that is whole is written without a decimal point, so that 3, 3.0 and "3" are one level, whatever the
    dtypes. Other numbers are written as float64. True and False are "True" and "False". Texts are themselves: "3.0" is
    not "3".

    Parameters
    ----------
    value : object

    Returns
    -------
    key : str or None
    """
    kind = type(value)  # the usual ones first: abstract classes take a microsecond
    if kind is str:
        return value
    if kind is int:
        return str(value)
    if kind is float:
        return str(int(value)) if value.is_integer() else None if value != value else repr(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool | np.bool_):
        return "True" if value else "False"
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real | Decimal):
        if value != value:
            return None
        whole = int(value) if math.isfinite(value) else None
        return str(whole) if value == whole else repr(float(value))
    if _is_missing(kind):
        return None
    return value.name if isinstance(value, Enum) else str(value)


def _is_missing(kind):
    """Whether values of a type are missing ones: None, and pandas' NA and NaT, which is not imported for that."""
    return kind is NoneType or kind.__name__ in ("NAType", "NaTType")


def _class_of(kind, where):
    """What values of a type are."""
    if _is_missing(kind):
        return "missing"
    for name, bases in (
        ("text", str),
        ("bool", bool | np.bool_),
        ("date", date | np.datetime64),
        ("duration", timedelta | np.timedelta64),
        ("time", time),
        ("number", Real | np.integer | np.floating | Decimal),
        ("label", UUID | Enum),
    ):
        if issubclass(kind, bases):
            return name
    if kind.__module__.split(".")[0] == "pandas" and kind.__name__ in _OF_PANDAS:
        return _OF_PANDAS[kind.__name__]
    if issubclass(kind, Complex):
        raise ValueError(f"Complex data not supported: {where} has complex numbers.")
    raise TypeError(f"{where} has a value of type {kind.__name__}: the argument must be a string or a real number.")


def of_objects(values, where):
    """A column of Python objects.

    Parameters
    ----------
    values : list of object
    where : str
        What messages call the column.

    Returns
    -------
    Column
        Numbers, durations and times of the day are numbers, the latter two in seconds. Strings and bools are
        categories, and so is a mixture of numbers and strings.

    Raises
    ------
    TypeError, ValueError
        If the values are of other types, or dates and others.
    """
    types = {*map(type, values)}
    classes = {kind: _class_of(kind, where) for kind in types}
    found = {*classes.values()} - {"missing"}
    gone = {kind for kind, name in classes.items() if name == "missing"}
    missing = np.fromiter((type(value) in gone for value in values), bool, len(values)) if gone else None
    if not found:
        return Column("empty", np.zeros(len(values)), missing)
    if found == {"date"}:
        dates = [None if type(value) in gone else _in_utc(value) for value in values]
        return Column("date", np.array(dates, dtype=_DATES))
    if found == {"number"} or found == {"number", "bool"}:
        present = values if missing is None else [0 if type(value) in gone else value for value in values]
        whole = all(issubclass(kind, int | np.integer | np.bool_) for kind in types - gone)
        return Column("number", _array(present, whole, where), missing)
    if found == {"duration"}:
        durations = [None if type(value) in gone else np.timedelta64(value, "us") for value in values]
        return Column("number", np.array(durations, dtype="timedelta64[us]") / _SECOND)
    if found == {"time"}:
        seconds = [math.nan if type(value) in gone else _seconds(value) for value in values]
        return Column("number", np.array(seconds, dtype=np.float64))
    if found & {"date", "duration", "time"}:
        nan = [isinstance(value, float | np.floating) and value != value for value in values]
        if any(nan):  # a gap, as joins and JSON have it in a column of any type
            return of_objects([None if gap else value for gap, value in zip(nan, values, strict=True)], where)
        names = ", ".join(sorted(kind.__name__ for kind in types - gone))
        raise TypeError(f"{where} has values of types that do not go together: {names}.")
    # 1 and True are one key to a dict
    return _factorized(map(level_key, values) if found >= {"bool", "number"} else values, len(values))


def _factorized(values, n):
    """A category of hashable values."""
    codes = defaultdict()
    codes.default_factory = codes.__len__  # before the new key is in it
    numbered = np.fromiter(map(codes.__getitem__, values), np.int32, n)
    return Column("category", numbered, levels=[*map(level_key, codes)])


def _array(values, whole, where):
    for dtype in (np.int64, np.uint64, np.float64) if whole else (np.float64,):
        try:
            return np.array(values, dtype=dtype)
        except OverflowError:
            pass
    raise ValueError(f"{where} has an integer beyond float64.")


def _in_utc(value):
    """A date as NumPy takes it; with a time zone, in UTC; a period as its start."""
    if hasattr(value, "start_time"):
        return value.start_time
    if getattr(value, "tzinfo", None) is not None:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value


def _seconds(value):
    return value.hour * 3600 + value.minute * 60 + value.second + value.microsecond / 1e6


def level_keys(values, where):
    """The keys of levels that a library lists.

    Parameters
    ----------
    values : list of object
    where : str
        What messages call the column.

    Returns
    -------
    keys : list of str or None

    Raises
    ------
    TypeError, ValueError
        If these cannot be levels, as dates.
    """
    if {_class_of(kind, where) for kind in {*map(type, values)}} & {"date", "duration", "time"}:
        raise ValueError(f"{where} {_DATED}")
    return [*map(level_key, values)]


def of_bools(values, missing=None):
    """A category of False and True.

    Parameters
    ----------
    values : ndarray of bool of shape (n,)
    missing : ndarray of bool of shape (n,) or None, default=None
    """
    codes = values.astype(np.int32)
    if missing is not None:
        codes[missing] = -1
    return Column("category", codes, levels=["False", "True"])


def of_array(values, where):
    """A column of a NumPy array.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Numbers are not copied.
    where : str
        What messages call the column.

    Returns
    -------
    Column

    Raises
    ------
    TypeError, ValueError
        If it cannot hold numbers, levels or dates.
    """
    kind = values.dtype.kind
    if kind in "iuf":
        masked = isinstance(values, np.ma.MaskedArray)
        return Column("number", np.asarray(values), np.ma.getmaskarray(values) if masked else None)
    if kind in "OUTb" and isinstance(values, np.ma.MaskedArray) or kind in "OUT":
        return of_objects(values.tolist(), where)
    if kind == "b":
        return of_bools(values)
    if kind == "M":
        return Column("date", values.astype(_DATES))
    if kind == "m":
        return Column("number", values / _SECOND)
    if kind == "c":
        raise ValueError(f"Complex data not supported: {where} has complex numbers.")
    raise TypeError(f"{where} has values of dtype {values.dtype}: numbers, strings, bools and dates are allowed.")


def as_category(column, where):
    """The column as levels; numbers become their keys.

    Raises
    ------
    ValueError
        If it has dates.
    """
    if column.kind == "category":
        return column
    if column.kind == "date":
        raise ValueError(f"{where} {_DATED}")
    if column.kind == "empty":
        return Column("category", np.full(len(column.values), -1, dtype=np.int32))
    distinct, codes = np.unique(column.values, return_inverse=True)  # NaN is one of them
    if column.missing is not None:
        codes[column.missing] = -1
    return Column("category", codes, levels=[*map(level_key, distinct.tolist())])


def as_numbers(column, where):
    """The column as numbers, NaN where there is none; texts that say a number are taken for it.

    Returns
    -------
    numbers : ndarray of shape (n,)
        Of the column's own dtype where nothing is missing.

    Raises
    ------
    ValueError
        If it has other texts, or dates.
    """
    if column.kind == "date":
        raise ValueError(f"{where} has numbers where the model was fitted, but dates here.")
    if column.kind == "empty":
        return np.full(len(column.values), math.nan)
    if column.kind == "category":
        return _of_levels(column, lambda level: _number(level, where), math.nan, np.float64)
    if column.missing is None or not column.missing.any():
        return column.values
    return np.where(column.missing, math.nan, column.values)


def _number(level, where):
    if level in _BOOLS:
        return _BOOLS[level]
    try:
        return float(level)
    except ValueError:
        raise ValueError(
            f"{where} is numeric, and has {level!r}: could not convert string to float. A column of other values is"
            " to be named in categorical_features."
        ) from None


def as_dates(column, where):
    """The column as datetime64[us], NaT where there is none; texts may be dates as ISO 8601 writes them.

    Raises
    ------
    ValueError
        If it has other texts, or numbers.
    """
    if column.kind == "date":
        return column.values
    if column.kind == "category":
        return _of_levels(column, lambda level: _date(level, where), None, _DATES)
    if column.kind == "number" and not np.isnan(as_numbers(column, where)).all():
        raise ValueError(f"{where} has dates where the model was fitted, but numbers here.")
    return np.full(len(column.values), "NaT", dtype=_DATES)


def _date(level, where):
    try:
        return _in_utc(datetime.fromisoformat(level))
    except ValueError:
        raise ValueError(f"{where} has dates where the model was fitted, but {level!r} here.") from None


def _of_levels(column, value_of, absent, dtype):
    """A value for each row by its level; the last one is for negative codes."""
    seen = np.unique(column.values).tolist()  # a level that no row has need not be a number
    values = np.full(len(column.levels) + 1, absent, dtype=dtype)
    for code in seen:
        if code >= 0 and (level := column.levels[code]) is not None:
            values[code] = value_of(level)
    return values[column.values]
