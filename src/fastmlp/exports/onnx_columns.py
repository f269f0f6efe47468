"""Raw columns as a network takes them, in ONNX: an input for each, numbers centred and scaled, codes of levels."""

import math
import re
from itertools import groupby

import numpy as np

from .onnx_nodes import Value, element_type, joined
from .tables import is_text

__all__ = ["encoded", "inputs_of"]

_NO_DATE = np.iinfo(np.int64).min  # NaT as NumPy has it
_DAY = 86_400_000_000  # microseconds
_LARGE = 1e9  # where the smooth clip has come to its end


def inputs_of(columns, dtype, taken=()):
    """What the graph takes: a value for each column.

    Parameters
    ----------
    columns : list of NumericColumn and CategoricalColumn
    dtype : numpy.dtype
        Of numbers.
    taken : collection of str, default=()
        Names that no value must have.

    Returns
    -------
    list of Value
    """
    inputs, taken = [], {*taken}
    for column in columns:
        name = base = _identifier(column.name)
        number = 1
        while name in taken:
            number += 1
            name = f"{base}_{number}"
        taken.add(name)
        inputs.append(Value(name, *_taken(column, dtype)))
    return inputs


def _identifier(name):
    """A column's name as the standard allows it: as an identifier of C; x0, x1, ... of columns without names."""
    name = re.sub("[^A-Za-z0-9_]", "_", str(name) if not isinstance(name, int) else f"x{name}")
    return name if re.match("[A-Za-z_]", name) else f"_{name}"


def _taken(column, dtype):
    """Of a column's input: its type, its width, whether it is a sequence, and its description."""
    said = f"column {column.name!r}: "
    if column.role == "date":
        return np.dtype(np.int64), 1, False, f"{said}microseconds since 1970-01-01 UTC, {_NO_DATE} (NaT) for a gap"
    if column.role in ("number", "empty"):
        return dtype, 1, False, f"{said}numbers, NaN for a gap"
    return np.dtype(object), 1, False, f"{said}levels as text, {_missing(column)!r} for a missing one"


def _missing(column):
    """The text that stands for a missing level: the empty one, or "NaN", "NaNNaN", ... where a level has it."""
    text = ""
    while text in column.levels:
        text += "NaN"
    return text


def encoded(g, encoding, names):
    """Numbers and codes of the columns: their names; None where there are none."""
    of_column = {id(column): name for column, name in zip(encoding.columns, names, strict=True)}
    numbers = []
    if encoding.numeric:
        x = joined(g, _fields(g, encoding.numeric, of_column))
        continuous, gaps = _scaled(g, x, encoding.center, encoding.scale)
        numbers.append(continuous)
    for column in encoding.binary:
        codes, unseen = column.codes()
        constants = column.constants.astype(np.float32).tolist()
        values = {level: constants[code] for level, code in codes.items()}
        numbers.append(_looked_up(g, column, of_column, "float", values, constants[unseen]))
    if encoding.with_gaps:
        without, with_gap = np.array([column.indicator for column in encoding.with_gaps], dtype=np.float32).T
        of_some = g.add("Gather", gaps, np.array(encoding.first_fields), axis=1)
        numbers.append(g.add("Where", of_some, with_gap, without))
    coded = [_looked_up(g, column, of_column, "int64", *column.codes()) for column in encoding.coded]
    return joined(g, numbers), joined(g, coded)


def _fields(g, numeric, of_column):
    """Matrices of float64 that have the fields of the columns of numbers and dates, in order."""
    double = element_type(np.float64)
    parts = []
    for is_date, columns in groupby(numeric, lambda column: column.role == "date"):
        if is_date:
            parts += [field for column in columns for field in _of_date(g, of_column[id(column)], column.fields)]
        else:
            parts.append(g.add("Cast", joined(g, [of_column[id(column)] for column in columns]), to=double))
    return parts


def _floored(g, a, divisor):
    """a // divisor and a % divisor, the latter from 0 on."""
    rest = g.add("Mod", a, divisor)
    return g.add("Div", g.add("Sub", a, rest), divisor), rest


def _of_date(g, name, fields):
    """The fields of a date, as `data.fitting.date_fields` makes them; NaN for a gap."""
    gaps = g.add("Equal", name, _NO_DATE)
    time = g.add("Where", gaps, 0, name)
    days, of_day = _floored(g, time, _DAY)
    year, month = _year_and_month(g, days)

    def number(a, factor):
        return g.add("Mul", g.add("Cast", a, to=element_type(np.float64)), np.float64(factor))

    make = {
        "days": lambda: g.add("Div", number(time, 1.0), np.float64(_DAY)),
        "year": lambda: number(year, 1.0),
        "month": lambda: number(month, 1.0),
        "day of week": lambda: number(g.add("Mod", g.add("Add", days, 3), 7), 1.0),
        "hour": lambda: number(of_day, 24 / _DAY),
    }
    return [g.add("Where", gaps, np.float64(math.nan), make[field]()) for field in fields]


def _year_and_month(g, days):
    """The year and the month, January is 1, of days since 1970.

    In the era of 400 years that began with a March: Hinnant, "chrono-compatible low-level date algorithms" (2014).
    """
    era, day = _floored(g, g.add("Add", days, 719_468), 146_097)  # since 0000-03-01
    leaps = g.add("Sub", g.add("Div", day, 36_524), g.add("Div", day, 1_460))
    leaps = g.add("Sub", leaps, g.add("Div", day, 146_096))
    year = g.add("Div", g.add("Add", day, leaps), 365)  # of the era
    before = g.add("Sub", g.add("Div", year, 4), g.add("Div", year, 100))
    day = g.add("Sub", day, g.add("Add", g.add("Mul", year, 365), before))  # of the year
    month = g.add("Div", g.add("Add", g.add("Mul", day, 5), 2), 153)  # March is 0
    year = g.add("Add", year, g.add("Mul", era, 400))
    month = g.add("Add", month, 2)
    over, month = _floored(g, month, 12)
    return g.add("Add", year, over), g.add("Add", month, 1)


def _scaled(g, x, center, scale):
    """Centred, scaled and clipped numbers as float32, 0 for gaps; and the gaps."""
    x = g.add("Mul", g.add("Sub", x, center), scale)
    gaps = g.add("IsNaN", x)
    x = g.add("Clip", x, np.float64(-_LARGE), np.float64(_LARGE))
    third = g.add("Div", x, np.float64(3.0))
    norm = g.add("Sqrt", g.add("Add", g.add("Mul", third, third), np.float64(1.0)))
    x = g.add("Where", gaps, np.float64(0.0), g.add("Div", x, norm))
    return g.add("Cast", x, to=element_type(np.float32)), gaps


def _looked_up(g, column, of_column, kind, values, default):
    """What the levels of a column stand for: float or int64."""
    keyed = {_missing(column) if level is None else level: value for level, value in values.items()}
    keys = [key for key in keyed if is_text(key)]
    return g.add(
        "LabelEncoder",
        of_column[id(column)],
        domain="ai.onnx.ml",
        keys_strings=keys,
        **{f"values_{kind}s": [keyed[key] for key in keys], f"default_{kind}": default},
    )
