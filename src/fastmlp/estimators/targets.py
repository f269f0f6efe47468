"""Targets as users have them: tables with a column of labels for each output, gaps, dates in place of numbers."""

from numbers import Complex, Real

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.multiclass import type_of_target

from ..data.sources import as_table

__all__ = [
    "check_numbers",
    "check_same_type",
    "checked_column",
    "checked_labels",
    "columns_of",
    "is_indicator",
]

# What labels are, by the kind of their dtype: those of different types are never equal
_TYPES = {**dict.fromkeys("biuf", "numbers"), "U": "text", "M": "dates", "m": "durations"}


def _frame_columns(y, name):
    """The columns of a data frame, of pandas or Polars, under the names that errors have for them; None of others."""
    if not hasattr(y, "columns") or len(getattr(y, "shape", ())) != 2:
        return None
    names = list(getattr(y, "column_names", y.columns))  # PyArrow's columns are not names
    columns = [y.iloc[:, i] if hasattr(y, "iloc") else y[names[i]] for i in range(y.shape[1])]
    return [(f"column {label!r} of {name}", column) for label, column in zip(names, columns, strict=True)]


def _is_na(value):
    return value is None or type(value).__name__ == "NAType"  # pandas' answers no comparison


def _check_missing(values, name):
    """Refuse missing values: None, NaN, NaT and pandas' NA."""
    if values.dtype == object:
        missing = (row for row, value in enumerate(values) if _is_na(value) or value != value)
    else:
        missing = np.flatnonzero(values != values) if values.dtype.kind in "fmM" else ()
    for row in missing:
        raise ValueError(f"Input {name} contains NaN or other missing values, the first in row {row}: {values[row]!r}.")


def _type_of(label):
    if isinstance(label, str):
        return "text"
    if isinstance(label, bool | np.bool_):
        return "bool"
    # timedelta64 is one of NumPy's integers
    return "number" if isinstance(label, Real) and not isinstance(label, np.timedelta64) else type(label).__name__


def checked_column(labels, name):
    """A column of labels in the dtype that they share.

    Raises
    ------
    ValueError
        If some are missing, or if they are not text, bools, whole numbers, dates or durations.
    TypeError
        If they are of several types.
    """
    _check_missing(labels, name)
    if labels.dtype == object:
        types = sorted({_type_of(label) for label in labels})
        if len(types) > 1:
            raise TypeError(f"{name} has labels of several types, {' and '.join(types)}: they must be of one.")
        labels = np.array(labels.tolist())
    if labels.dtype.kind not in _TYPES or labels.ndim > 1:
        raise ValueError(f"Unknown label type: {name} has dtype {labels.dtype}.")
    if labels.dtype.kind == "f" and (not np.isfinite(labels).all() or (labels != np.rint(labels)).any()):
        raise ValueError(f"Unknown label type: {name} is continuous. A regressor is for such targets.")
    return labels


def checked_labels(y, name):
    """Labels as `validate_data` keeps them.

    Parameters
    ----------
    y : array-like or sparse matrix
        Of one column of labels, or of one for each output.
    name : str
        What errors call it.

    Returns
    -------
    y : array-like, sparse matrix or ndarray of shape (n_samples, n_outputs)
        Itself if it has one column, or is sparse.

    Raises
    ------
    ValueError, TypeError
        If labels are missing; if of several columns one has labels of several types, or no labels at all.
    """
    if y is None or issparse(y):
        return y
    columns = _frame_columns(y, name)
    if columns is None or len(columns) == 1:
        array = np.asarray(y)
        if array.dtype.kind in "US" and not hasattr(y, "dtype") and columns is None:
            array = np.array(y, dtype=object)  # a list, whose numbers and gaps NumPy would make text of
        if array.ndim < 2 or array.shape[1] == 1:
            _check_missing(array.ravel(), name)
            return y
        if array.dtype.kind in "biu" or is_indicator(array):
            return array
        columns = [(f"{name}[:, {i}]", column) for i, column in enumerate(array.T)]
    columns = [checked_column(np.asarray(column), label) for label, column in columns]
    if all(column.dtype.kind in "biuf" for column in columns) and is_indicator(matrix := np.stack(columns, axis=1)):
        return matrix
    return as_table(columns)


def columns_of(labels):
    """Validated labels, or each column of them, as vectors: of a table of objects each in its own dtype.

    A sparse indicator matrix gives vectors of bool.
    """
    dense = labels.toarray() if issparse(labels) else labels
    if dense.ndim == 1 or dense.shape[1] == 1:
        return [dense.ravel()]
    if issparse(labels):
        dense = dense != 0
    return [np.array(column.tolist()) if dense.dtype == object else column for column in dense.T]


def is_indicator(y):
    """Whether a y of several columns says by 0 and 1 which labels a row has.

    A sparse matrix says so by its only value beside 0, whichever that is.
    """
    if issparse(y):
        return type_of_target(y) == "multilabel-indicator"
    return y.dtype.kind in "biuf" and bool(((y == 0) | (y == 1)).all())


def check_same_type(labels, classes, name):
    """Refuse labels that cannot be any of the classes, as numbers beside text.

    Raises
    ------
    ValueError
        That names both types.
    """
    given, known = (
        _TYPES.get((np.array(array.tolist()) if array.dtype == object else array).dtype.kind)
        for array in (labels, classes)
    )
    if given is not None and known is not None and given != known:
        raise ValueError(f"The labels in {name} are {given}, those of the model are {known}: {classes}.")


def check_numbers(y, name):
    """Refuse targets of a regression that are no numbers.

    NumPy would make numbers of dates and durations, and a large negative one of NaT.

    Raises
    ------
    TypeError
        That names the targets and their dtype.
    ValueError
        If values are missing.
    """
    if y is None or issparse(y):
        return
    for label, column in _frame_columns(y, name) or [(name, y)]:
        values = np.asarray(column)
        dtype = getattr(column, "dtype", values.dtype)
        if values.dtype.kind in "mM":
            raise TypeError(f"{label} has dtype {dtype}: targets of a regression must be numbers.")
        for value in values.flat if values.dtype == object else ():
            if not _is_na(value) and not _is_float(value):
                raise TypeError(
                    f"{label} has dtype {dtype} and in it {value!r}: targets of a regression must be numbers."
                )
        if values.dtype == object:
            _check_missing(values.ravel(), label)


def _is_float(value):
    """Whether a value is a number, or text that may be one."""
    if isinstance(value, np.datetime64 | np.timedelta64) or (
        isinstance(value, Complex) and not isinstance(value, Real)
    ):
        return False
    return isinstance(value, str | bytes) or hasattr(value, "__float__")
