"""Values as JSON and arrays, and the checks of what comes back from a file that anybody may have made."""

import json
import re
from datetime import date, datetime

import numpy as np

__all__ = [
    "LARGEST_COUNT",
    "TooLargeError",
    "are_arrays",
    "decoded",
    "encoded",
    "is_count",
    "is_number",
    "parsed",
    "random_state_of",
    "require",
]

LARGEST_COUNT = 2**63 - 1
MOST_BRACKETS = 1 << 20  # of a document: an empty list is 24 times as large in memory as in JSON
MOST_DEPTH = 32
MOST_DIGITS = 20  # of an integer

# strings, which may have any character in them, or brackets; what is not closed ends with the text
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[][{}]', re.DOTALL)
_DATES = {"date": date.fromisoformat, "datetime": datetime.fromisoformat}


class TooLargeError(ValueError):
    """A document would be much larger in memory than in its file."""


def require(condition, otherwise):
    """Raise a ValueError with this text unless the condition holds."""
    if not condition:
        raise ValueError(otherwise)


def is_number(value):
    """Whether a value is an int or a float, but no bool."""
    return type(value) in (int, float)


def is_count(value):
    """Whether a value is an int that a counter may have come to."""
    return type(value) is int and 0 <= value <= LARGEST_COUNT


def are_arrays(values, kinds, ndim=None):
    """Whether a value is a list of arrays whose dtypes are of these kinds."""
    return isinstance(values, list) and all(
        isinstance(value, np.ndarray) and value.dtype.kind in kinds and ndim in (None, value.ndim) for value in values
    )


def random_state_of(generator, keys, position, has_gauss, gauss):
    """The RandomState of a state, checked.

    NumPy itself would take positions beyond the keys, and then read there, and keys that it never gets away from.

    Raises
    ------
    ValueError
        If it is not the state of a RandomState.
    """
    require(generator == "MT19937", f"random_state is of {generator!r}")
    require(are_arrays([keys], "u") and keys.dtype == np.uint32 and keys.shape == (624,), "random_state has no keys")
    require(bool(keys[0] >> 31) or keys[1:].any(), "random_state gives only zeros")
    require(type(position) is int and 0 <= position <= 624, f"random_state is at {position!r}")
    require(type(has_gauss) is int and has_gauss in (0, 1), f"random_state has_gauss is {has_gauss!r}")
    require(type(gauss) is float and np.isfinite(gauss), f"random_state gauss is {gauss!r}")
    state = np.random.RandomState()
    state.set_state((generator, keys, position, has_gauss, gauss))
    return state


def encoded(value, keep, path=""):
    """A value as JSON's own types and references to arrays.

    Parameters
    ----------
    value : dict, list, tuple, ndarray, number, str, bool, date, datetime or None
        Nested at will.
    keep : callable
        (array, path) -> what refers to the array, of JSON's types; None if such an array cannot be kept.
    path : str, default=""
        Where the value is: names and positions, with dots between them.

    Returns
    -------
    encoded : object
        Lists and plain values as JSON's own; anything else as an object of one key that names its type.

    Raises
    ------
    TypeError
        If there is anything else in it, subclasses included: it would not come back as it was.
        Only NumPy's scalars become Python's, and arrays mapped from a file plain ones.
    """
    if isinstance(value, np.generic) and value.dtype.kind in "biufU":
        value = value.item()
    elif isinstance(value, np.memmap):
        value = np.asarray(value)
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if kind in (list, tuple):
        items = [encoded(item, keep, f"{path}.{i}") for i, item in enumerate(value)]
        return items if kind is list else {"tuple": items}
    if kind is dict:
        items = value.items()
        return {"dict": [[encoded(key, keep, path), encoded(item, keep, f"{path}.{key}")] for key, item in items]}
    if kind in (date, datetime):
        return {kind.__name__: value.isoformat()}
    if kind is np.ndarray and (reference := keep(value, path)) is not None:
        return {"array": reference}
    what = f"array of dtype {value.dtype}" if kind is np.ndarray else f"{kind.__module__}.{kind.__qualname__}"
    raise TypeError(f"A file cannot hold a value of type {what}.")


def decoded(value, array):
    """The opposite of `encoded`; `array` gives the array of a reference.

    Raises
    ------
    ValueError, TypeError, KeyError
        If the value is not what `encoded` gives.
    """
    if isinstance(value, list):
        return [decoded(item, array) for item in value]
    if not isinstance(value, dict):
        return value
    ((tag, content),) = value.items()
    if tag == "array":
        return array(content)
    if tag in _DATES:
        return _DATES[tag](content)
    return {"tuple": tuple, "dict": dict}[tag](decoded(content, array))


def parsed(text):
    """What a JSON document says.

    Raises
    ------
    TooLargeError
        Before that is allocated.
    ValueError
        If it is no JSON, nested too deep or ambiguous.
    """
    depth = brackets = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        character = token[0][0]
        if character == '"':
            continue
        brackets += 1
        depth += 1 if character in "[{" else -1
        require(depth <= MOST_DEPTH, f"its document is nested more than {MOST_DEPTH} levels deep")
        if brackets > MOST_BRACKETS:
            raise TooLargeError(f"its document has more than {MOST_BRACKETS} brackets")

    def integer(digits):
        require(len(digits) <= MOST_DIGITS, f"an integer has {len(digits)} digits")
        return int(digits)

    def unique(pairs):
        values = dict(pairs)
        require(len(values) == len(pairs), "its document has a name twice")
        return values

    return json.loads(text, parse_int=integer, object_pairs_hook=unique)
