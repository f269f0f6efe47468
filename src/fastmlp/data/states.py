"""Fitted columns as data: lists and few arrays, however many columns there are; all is checked on the way back."""

import numpy as np

from ..training.documents import require
from .fitting import DATE_FIELDS, CategoricalColumn, NumericColumn

__all__ = ["columns_of", "state_of"]

_NUMERIC, _CATEGORICAL = ("number", "date", "empty"), ("binary", "onehot", "embedding")
_CLIP = 3  # of the smooth clip of numbers
_FLAGS = ("ordered", "pooled", "missing")


def state_of(columns):
    """Columns as data, by name of what it is; names of columns are left to the caller.

    Parameters
    ----------
    columns : list of NumericColumn and CategoricalColumn

    Returns
    -------
    state : dict
        "roles" and, of the columns that have them one after another, "fields" of dates, "center", "scale" and "knots"
        of all fields, "gaps", whether there is an indicator, and "indicator"; "levels", "ordered", "pooled", "missing"
        and "constants", raveled.
    """
    numeric = [column for column in columns if column.role in _NUMERIC]
    categorical = [column for column in columns if column.role in _CATEGORICAL]
    indicators = [column.indicator for column in numeric if column.indicator is not None]
    constants = [column.constants.ravel() for column in categorical if column.constants is not None]
    knots = [column.knots for column in numeric] or [np.empty((0, 1))]
    return {
        "roles": [column.role for column in columns],
        "fields": [column.fields for column in numeric if column.role == "date"],
        "center": np.concatenate([np.empty(0), *(column.center for column in numeric)]),
        "scale": np.concatenate([np.empty(0), *(column.scale for column in numeric)]),
        "knots": np.concatenate(knots),
        "gaps": np.array([column.indicator is not None for column in numeric], dtype=bool),
        "indicator": np.array(indicators).reshape(-1, 2),
        "levels": [column.levels for column in categorical],
        **{name: np.array([getattr(column, name) for column in categorical], dtype=bool) for name in _FLAGS},
        "constants": np.concatenate([np.empty(0), *constants]),
    }


def columns_of(state, names):
    """The opposite of `state_of`.

    Parameters
    ----------
    state : dict
    names : list or None
        Names of the columns; None: their positions.

    Returns
    -------
    columns : list of NumericColumn and CategoricalColumn

    Raises
    ------
    ValueError, TypeError, KeyError
        If these are no columns that can have been fitted.
    """
    roles = state["roles"]
    known = {*_NUMERIC, *_CATEGORICAL}
    require(
        isinstance(roles, list) and roles and all(type(role) is str and role in known for role in roles),
        "a column has no role",
    )
    if names is None:
        names = range(len(roles))
    else:
        require(isinstance(names, list) and len(names) == len(roles), f"there are no names of {len(roles)} columns")
        require(len({*names}) == len(names), "several columns have the same name")
    named = list(zip(names, roles, strict=True))
    numeric = iter(_numeric(state, [(name, role) for name, role in named if role in _NUMERIC]))
    categorical = iter(_categorical(state, [(name, role) for name, role in named if role in _CATEGORICAL]))
    return [next(numeric if role in _NUMERIC else categorical) for role in roles]


def _numeric(state, named):
    """Columns of numbers and dates."""
    dates = state["fields"]
    require(
        isinstance(dates, list) and len(dates) == sum(role == "date" for _, role in named),
        "there are fields of other dates",
    )
    for fields in dates:
        in_order = [field for field in DATE_FIELDS if field in fields]
        require(isinstance(fields, list) and fields == in_order and "days" in fields, f"a date has the fields {fields}")
    dates = iter(dates)
    fields_of = [next(dates) if role == "date" else [""] for _, role in named]
    n_fields = sum(map(len, fields_of))
    center, scale, knots = _floats(state, "center", 1), _floats(state, "scale", 1), _floats(state, "knots", 2)
    require(len(center) == len(scale) == len(knots) == n_fields, f"there are not {n_fields} centers, scales and knots")
    require((scale >= 0).all() and np.isfinite(scale).all(), "a scale is negative or not finite")
    require(knots.shape[1] > 0, "there are no knots")
    gaps, indicator = _bools(state, "gaps", len(named)), _floats(state, "indicator", 2)
    require(indicator.shape == (np.count_nonzero(gaps), 2), "there are indicators of other columns")
    require((np.abs(indicator) <= _CLIP).all(), f"an indicator is beyond {_CLIP}")
    columns, indicators, start = [], iter(indicator), 0
    for (name, role), fields, has_gaps in zip(named, fields_of, gaps, strict=True):
        own = slice(start, start + len(fields))
        start = own.stop
        has = next(indicators) if has_gaps else None
        columns.append(NumericColumn(name, role, fields, center[own], scale[own], knots[own], has))
    return columns


def _categorical(state, named):
    """Columns of levels."""
    every = state["levels"]
    require(isinstance(every, list) and len(every) == len(named), "there are levels of other columns")
    flags = [_bools(state, name, len(named)).tolist() for name in _FLAGS]
    columns, constants, start = [], _floats(state, "constants", 1), 0
    require((np.abs(constants) <= _CLIP).all(), f"a constant is beyond {_CLIP}")
    for (name, role), levels, *column_flags in zip(named, every, *flags, strict=True):
        are_levels = isinstance(levels, list) and all(type(level) is str for level in levels)
        require(are_levels and len({*levels}) == len(levels), f"{name!r} has no levels")
        column = CategoricalColumn(name, role, levels, *column_flags, None)
        shape = {"binary": (3,), "onehot": (2, column.n_levels), "embedding": (0,)}[role]
        require(
            len(levels) + column.pooled == 2 if role == "binary" else column.n_levels > 0,
            f"{name!r} is {role} and has {len(levels)} levels",
        )
        own = constants[start : start + int(np.prod(shape))]
        start += len(own)
        require(len(own) == np.prod(shape), f"{name!r} has no constants")
        if role != "embedding":
            column.constants = own.reshape(shape)
        columns.append(column)
    require(start == len(constants), "there are constants of other columns")
    return columns


def _floats(state, name, ndim):
    array = state[name]
    of_floats = isinstance(array, np.ndarray) and array.dtype == np.float64 and array.ndim == ndim
    require(of_floats, f"{name} is no array of floats of {ndim} dimensions")
    return array


def _bools(state, name, n):
    array = state[name]
    of_bools = isinstance(array, np.ndarray) and array.dtype == bool and array.shape == (n,)
    require(of_bools, f"{name} is no array of {n} bools")
    return array
