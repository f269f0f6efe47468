"""Columns as they were fitted: scales of numbers, parts of dates, codes of levels."""

import math
from dataclasses import dataclass

import numpy as np

from ..training.recipes import N_BINS
from .columns import as_numbers
from .frames import described

__all__ = [
    "DATE_FIELDS",
    "CategoricalColumn",
    "NumericColumn",
    "add_levels",
    "are_categorical",
    "check_most_onehot_levels",
    "date_fields",
    "fitted_levels",
    "fitted_numbers",
    "least_rows",
]

_DAY = 86_400_000_000  # microseconds
DATE_FIELDS = ("days", "year", "month", "day of week", "hour")


@dataclass
class NumericColumn:
    """A column of numbers or dates as it was fitted.

    Parameters
    ----------
    name : object
        Its name, or its position in a table without names.
    role : {"number", "date", "empty"}
        An empty column had no value in training; it gives 0, whatever it holds later.
    fields : list of str
        What a date is taken apart into; "" for a number.
    center, scale : ndarray of float64 of shape (n_fields,)
        The median, and 1 / interquartile range; 2 / range if that is 0, 0 for a constant.
    knots : ndarray of float64 of shape (n_fields, N_BINS + 1)
        Values between which there are equally many rows, ascending, NaN behind the last: see `_knots`.
    indicator : ndarray of float64 of shape (2,) or None
        What the indicator of gaps is for a value and for a gap; None if no training row had a gap.
    """

    name: object
    role: str
    fields: list
    center: np.ndarray
    scale: np.ndarray
    knots: np.ndarray
    indicator: np.ndarray | None


@dataclass
class CategoricalColumn:
    """A column of levels as it was fitted.

    Parameters
    ----------
    name : object
        Its name, or its position in a table without names.
    role : {"binary", "onehot", "embedding"}
        Binary columns are numbers; the others are codes.
    levels : list of str
        The keys of the levels with a code of their own, which is their position: see `level_key`. In the order of an
        ordered category, else ascending, as numbers if all are.
    ordered : bool
    pooled : bool
        Whether the next code is that of all levels that were rare, and of those that training has not seen.
    missing : bool
        Whether the last code is that of missing values.
    constants : ndarray of float64 or None
        Of a binary column, shape (3,): the number of the first level, of the second, of neither. Of a one-hot column,
        shape (2, n_levels): what the 0/1 column of each level is where it is off, and where it is on. None for others.
    """

    name: object
    role: str
    levels: list
    ordered: bool
    pooled: bool
    missing: bool
    constants: np.ndarray | None

    @property
    def n_levels(self):
        """Number of codes."""
        return len(self.levels) + self.pooled + self.missing

    def codes(self):
        """What code each key has; None is for missing values.

        Returns
        -------
        codes : dict of str or None to int
        unseen : int
            The code of all other keys: that of the pooled levels, or -1.
        """
        unseen = len(self.levels) if self.pooled else -1
        codes = {level: code for code, level in enumerate(self.levels)}
        for one, other in (("True", "1"), ("False", "0")):  # libraries write bools both ways
            for key, same in ((one, other), (other, one)):
                if key in codes:
                    codes.setdefault(same, codes[key])
        if not self.missing:
            codes[None] = unseen
        else:
            codes[None] = -1 if self.role == "binary" else self.n_levels - 1
        return codes, unseen


def _spread(values, counts=None):
    """Median and factor of scale of numbers, each as many times as its count says.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Ascending where there are counts.
    counts : ndarray of int of shape (n,) or None, default=None

    Returns
    -------
    center, scale : float
    """
    if counts is None:
        with np.errstate(over="ignore"):
            q25, q50, q75 = np.quantile(values, [0.25, 0.5, 0.75])
    else:
        upto = np.cumsum(counts)
        # quantiles by linear interpolation, as np.quantile has them
        at = (upto[-1] - 1) * np.array([0.25, 0.5, 0.75])
        below = np.floor(at)
        left = values[np.searchsorted(upto, below, side="right")]
        right = values[np.searchsorted(upto, np.minimum(below + 1, upto[-1] - 1), side="right")]
        q25, q50, q75 = left + (at - below) * (right - left)
        values = values[counts > 0]
    low, high = values.min(), values.max()
    limits = np.finfo(np.float64)
    rounding = 4 * limits.eps * max(abs(low), abs(high))  # numbers that differ by no more are one
    with np.errstate(over="ignore"):
        width, numerator = q75 - q25, 1.0
        if width <= rounding:
            width, numerator = high - low, 2.0
        scale = numerator / width if width > rounding else 0.0
    return q50 + 0.0, min(scale, limits.max)  # -0 is 0


def _knots(values):
    """Edges of at most N_BINS bins of a column's values.

    A value that fills a bin alone is an edge; between the others lie equally many of the rows that are left. Where half
    of a column is zero, the bins are so where the other half is.

    Parameters
    ----------
    values : ndarray of shape (n,)

    Returns
    -------
    knots : ndarray of float64 of shape (N_BINS + 1,)
        Ascending and distinct, NaN behind the last.
    """
    distinct, counts = np.unique(values + 0.0, return_counts=True)  # -0 is 0, whichever comes first
    own = counts * N_BINS > len(values)
    rest = np.repeat(distinct[~own], counts[~own])
    knots = distinct[own]
    if len(rest):
        ranks = np.linspace(0, 1, N_BINS + 1 - len(knots))
        # "nearest" takes values as they are, so that nothing can overflow
        knots = np.union1d(knots, np.quantile(rest, ranks, method="nearest"))
    return np.pad(knots, (0, N_BINS + 1 - len(knots)), constant_values=math.nan)


def _clipped(values, counts):
    """Constants as the numbers of a column: centred, scaled and clipped by what training has of each."""
    center, scale = _spread(values, counts)
    x = (values - center) * scale
    return x / np.sqrt(1.0 + np.square(x / 3.0))


def are_categorical(asked, columns, names):
    """For each column whether it holds levels, as `categorical_features` of `TableEncoder` asks."""
    if isinstance(asked, str) and asked == "from_dtype":
        return [column.kind == "category" for column in columns]
    n = len(columns)
    chosen = np.asarray([] if asked is None else asked)
    if chosen.ndim != 1 or chosen.size and chosen.dtype.kind not in "biuUO":
        raise ValueError(
            "categorical_features must be 'from_dtype', None, or an array-like of names, positions or bools, got"
            f" {asked!r}."
        )
    if chosen.dtype.kind == "b":
        if len(chosen) != n:
            raise ValueError(f"categorical_features has {len(chosen)} bools, but X has {n} features.")
        return chosen.tolist()
    chosen = chosen.tolist()
    if all(isinstance(one, int) for one in chosen):
        if outside := [one for one in chosen if not 0 <= one < n]:
            raise ValueError(f"categorical_features must be positions in [0, {n - 1}], got {outside[0]}.")
        return [i in chosen for i in range(n)]
    if names is None:
        raise ValueError(f"categorical_features has names, {chosen!r}, but the columns of X have none.")
    if unknown := [one for one in chosen if one not in names]:
        raise ValueError(f"categorical_features has {unknown[0]!r}, which is no column of X.")
    return [name in chosen for name in names]


def check_most_onehot_levels(most):
    """Refuse what is no number of levels."""
    if not isinstance(most, int | np.integer) or most < 0:
        raise ValueError(f"max_onehot_levels must be an integer >= 0, got {most!r}.")


def least_rows(least, n_rows):
    """The rows that a level of its own is in at least, as `min_frequency` of `TableEncoder` says."""
    if isinstance(least, str) and least == "auto":
        return min(max(n_rows // 5000, 2), 10)
    if isinstance(least, int | np.integer) and not isinstance(least, bool) and least >= 1:
        return int(least)
    if isinstance(least, float) and 0 < least < 1:
        return math.ceil(least * n_rows)
    raise ValueError(f"min_frequency must be 'auto', an integer >= 1 or a float in (0, 1), got {least!r}.")


def fitted_numbers(name, column, rows, gaps=None):
    """What training rows tell of a column of numbers or dates.

    Parameters
    ----------
    name : object
    column : Column
    rows : ndarray of int
        At least one.
    gaps : tuple of int, default=None
        How many gaps there are in how many rows, where the column has some of these alone. None: those of the column.

    Returns
    -------
    NumericColumn

    Raises
    ------
    ValueError
        If a value is infinite, or text that says no number.
    """
    where = described(name)
    if column.kind == "date":
        role, fields = "date", list(DATE_FIELDS)
        values = date_fields(column.values[rows], fields)
    else:
        role, fields = "number", [""]
        values = [as_numbers(column, where)[rows].astype(np.float64)]
        if np.isinf(values[0]).any():
            raise ValueError(f"{where} contains infinity or a value too large for float64.")
    missing = np.isnan(values[0])
    n_gaps, n_rows = (np.count_nonzero(missing), len(rows)) if gaps is None else gaps
    values = [one[~missing] for one in values]
    if n_gaps == n_rows:
        return NumericColumn(name, "empty", [""], np.zeros(1), np.zeros(1), np.full((1, N_BINS + 1), math.nan), None)
    if role == "date":
        vary = [i == 0 or one.min() < one.max() for i, one in enumerate(values)]
        fields, values = ([one for one, varies in zip(part, vary, strict=True) if varies] for part in (fields, values))
    center, scale = np.array([_spread(one) for one in values]).T.copy()
    indicator = _clipped(np.array([0.0, 1.0]), np.array([n_rows - n_gaps, n_gaps])) if n_gaps else None
    knots = np.array([_knots(one) for one in values])
    return NumericColumn(name, role, fields, center, scale, knots, indicator)


def date_fields(dates, fields):
    """What dates are taken apart into, as arrays of float64; NaN for NaT.

    Parameters
    ----------
    dates : ndarray of datetime64[us] of shape (n,)
    fields : list of str
    """
    gaps = np.isnat(dates)
    time = np.where(gaps, 0, dates.view(np.int64))
    months = time.view(dates.dtype).astype("datetime64[M]").astype(np.int64)
    make = {
        "days": lambda: time / _DAY,
        "year": lambda: 1970.0 + months // 12,
        "month": lambda: 1.0 + months % 12,
        "day of week": lambda: (time // _DAY + 3.0) % 7,  # 1970 began with a Thursday
        "hour": lambda: (time % _DAY) * (24 / _DAY),
    }
    return [np.where(gaps, math.nan, make[one]()) for one in fields]


def add_levels(counts, column):
    """Add the rows of a category to the counts of its levels; None counts those that are missing."""
    present = column.values[column.values >= 0]
    for level, count in zip(column.levels, np.bincount(present, minlength=len(column.levels)).tolist(), strict=True):
        if count:
            counts[level] = counts.get(level, 0) + count
    if n_missing := len(column.values) - len(present):
        counts[None] = counts.get(None, 0) + n_missing


def fitted_levels(name, counts, ordered, least, max_onehot_levels):
    """What training rows tell of a column of levels.

    Parameters
    ----------
    name : object
    counts : dict of str or None to int
        Of `add_levels`: rows of each level, those of an ordered category in its order.
    ordered : bool
    least : int
        Levels in fewer rows are pooled, if there are more than two.
    max_onehot_levels : int
        Columns of more levels, one for missing values included, are to be embedded.

    Returns
    -------
    CategoricalColumn
    """
    n_rows, counts = sum(counts.values()), dict(counts)
    n_missing = counts.pop(None, 0)
    levels = [*counts] if ordered else _ascending(counts)
    rare = {level for level in levels if counts[level] < least} if len(levels) > 2 else set()
    kept = [level for level in levels if level not in rare]
    of_each = [counts[level] for level in kept]
    if rare:
        of_each.append(sum(counts[level] for level in rare))
    constants = None
    n_real = len(of_each)
    if n_real == 2:
        role = "binary"
        by_value = _clipped(np.array([-1.0, 0.0, 1.0]), np.array([of_each[0], n_missing, of_each[1]]))
        constants = by_value[[0, 2, 1]]
    elif n_real + 1 <= max_onehot_levels:
        role = "onehot"
        if n_missing:
            of_each.append(n_missing)
        on_off = [_clipped(np.array([0.0, 1.0]), np.array([n_rows - count, count])) for count in of_each]
        constants = np.array(on_off).reshape(-1, 2).T.copy()
    else:
        role = "embedding"
    return CategoricalColumn(name, role, kept, ordered, bool(rare), n_missing > 0, constants)


def _ascending(levels):
    """Levels in order: as numbers if all are, else as texts."""
    try:
        numbers = {level: float(level) for level in levels}
    except ValueError:
        return sorted(levels)
    if any(math.isnan(number) for number in numbers.values()):
        return sorted(levels)
    return sorted(levels, key=lambda level: (numbers[level], level))
